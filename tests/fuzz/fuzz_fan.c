/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A buffer of what fanotify(7) gives, read to its end. */
#include "watch_fan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fan_event event;
	size_t length;

	while ((length = fan_parse((const char *)data, size, &event))) {
		if (length > size)
			abort();
		data += length;
		size -= length;
	}
	return 0;
}
