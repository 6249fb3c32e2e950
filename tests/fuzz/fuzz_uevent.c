/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A message of the kernel about a device. */
#include "watch_uevent.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *message = malloc(size);
	struct uevent event;

	if (!message && size)
		return 0;
	if (size)
		memcpy(message, data, size);
	if (uevent_parse(message, size, &event) &&
	    (event.event < 0 || event.name < message || !strlen(event.name) ||
	     event.name + strlen(event.name) >= message + size))
		abort();
	free(message);
	return 0;
}
