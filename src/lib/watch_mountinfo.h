/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_mountinfo.h - the lines of /proc/PID/mountinfo. */
#ifndef EXTPIPE_LIB_WATCH_MOUNTINFO_H
#define EXTPIPE_LIB_WATCH_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One line. Texts lie in the line, whose escapes have been resolved in place. */
struct mountinfo {
	uint64_t id, parent, major, minor;
	const char *root, *point;
	size_t root_length, point_length;
	bool readonly, sb_readonly;
	uint64_t attributes, propagation, what; /* hashes of the words */
};

/*
 * Reads one line, without its newline. False if it is none; it may have been changed all the same.
 */
bool mountinfo_parse(char *line, size_t length, struct mountinfo *info);

/* Resolves octal escapes in place: the new length. */
size_t mountinfo_unescape(char *text, size_t length);

#endif
