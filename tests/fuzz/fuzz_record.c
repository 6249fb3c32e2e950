/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The records of a notification pipe: a buffer of them, read to its end. */
#include <extpipe.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xp_event event;
	ssize_t length;

	while (size && (length = xp_record_parse(data, size, &event)) >= 0) {
		if (length < 8 || (size_t)length > size || event.record != data ||
		    event.record_size != (size_t)length || event.watch > 255)
			abort();
		if (event.event >= 0 && !xp_event_name(event.source, event.event))
			abort();
		data += length;
		size -= (size_t)length;
	}
	return 0;
}
