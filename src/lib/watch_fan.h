/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_fan.h - what fanotify(7) gives, read with nothing believed; and its newer numbers. */
#ifndef EXTPIPE_LIB_WATCH_FAN_H
#define EXTPIPE_LIB_WATCH_FAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAN_INIT_MNT 0x4000u /* FAN_REPORT_MNT, Linux 6.15 */
#define FAN_INIT_FID 0x200u  /* FAN_REPORT_FID */
#define FAN_MARK_NAMESPACE 0x110u
#define FAN_MARK_SB 0x100u
#define FAN_EVENT_ATTACH 0x01000000u
#define FAN_EVENT_DETACH 0x02000000u
#define FAN_EVENT_ERROR 0x8000u
#define FAN_EVENT_OVERFLOW 0x4000u

/* One event, as far as it is of use here. */
struct fan_event {
	uint64_t mask;
	uint64_t mount; /* the unique id; 0: none */
	int error;
	uint64_t ino;
};

/* A group, non-blocking, or -errno. */
int fan_open(unsigned flags);

/* Marks what a descriptor names, one that is open for its path only, too. */
int fan_mark(int group, unsigned type, uint64_t mask, int fd);

/* Reads one event: its length in bytes, or 0 if it contradicts itself. */
size_t fan_parse(const char *data, size_t size, struct fan_event *event);

#endif
