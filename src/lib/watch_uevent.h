/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_uevent.h - the kernel's messages about devices. */
#ifndef EXTPIPE_LIB_WATCH_UEVENT_H
#define EXTPIPE_LIB_WATCH_UEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a message says of a whole block device. */
struct uevent {
	int event; /* XP_BLOCK_* */
	uint64_t major, minor;
	const char *name; /* in the message */
};

/* Reads a message. False if it is not about a whole block device, or none at all. */
bool uevent_parse(const char *message, size_t size, struct uevent *event);

#endif
