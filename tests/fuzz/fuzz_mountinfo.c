/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line of mountinfo. Texts must lie in the line. */
#include "watch_mountinfo.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int inside(const char *text, size_t length, const char *line, size_t size)
{
	return text >= line && length <= size && text + length <= line + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size);
	struct mountinfo info;

	if (!line && size)
		return 0;
	if (size)
		memcpy(line, data, size);
	if (mountinfo_parse(line, size, &info) &&
	    (!inside(info.root, info.root_length, line, size) ||
	     !inside(info.point, info.point_length, line, size)))
		abort();
	free(line);
	return 0;
}
