/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench.h - what the limit programs share: failing, and making pipes larger. */
#ifndef EXTPIPE_BENCH_H
#define EXTPIPE_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes asked of one call: as much as fits, page-aligned below SSIZE_MAX and INT_MAX. */
#define BENCH_MOST ((size_t)INT_MAX & ~(size_t)0xffff)

static inline _Noreturn void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(1);
}

static inline ssize_t must(ssize_t result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

/* Sets a pipe's capacity, unless @size is 0; what is no pipe, or is refused, stays as it is. */
static inline void resize(int fd, long size)
{
	if (size)
		(void)fcntl(fd, F_SETPIPE_SZ, size);
}

static inline long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || value < 0) {
		errno = EINVAL;
		die(text);
	}
	return value;
}

#endif
