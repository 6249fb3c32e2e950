/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * endpoint.h - what a tool reads from and writes to: "-", a path, fd:N, tcp:HOST:PORT,
 * tcp-listen:[HOST:]PORT, unix:PATH, unix-listen:PATH.
 */
#ifndef EXTPIPE_TOOLS_ENDPOINT_H
#define EXTPIPE_TOOLS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* The capacity that a pipe of the default one is given, bytes. */
#define ENDPOINT_LARGE_PIPE ((size_t)1024 * 1024)

enum endpoint_side { ENDPOINT_READ, ENDPOINT_WRITE };

struct endpoint {
	enum endpoint_side side;
	const char *name; /* as messages show it */
	int fd;
	bool path;    /* opened by path, so this run may truncate it */
	bool adopted; /* was there before the run, and stays */
};

/* "reading" or "writing". */
const char *endpoint_verb(const struct endpoint *end);

/*
 * Opens @text on @end->side. A path to write to is created, appended to with @append, and not
 * yet truncated. Returns 0, or the exit status after a line on standard error.
 */
int endpoint_open(struct endpoint *end, const char *text, bool append);

/* Truncates a regular file that was opened by path. Returns as endpoint_open() does. */
int endpoint_truncate(struct endpoint *end);

/* True where both are one regular file, block device or pipe. */
bool endpoint_same(const struct endpoint *a, const struct endpoint *b);

/*
 * Sizes the pipe at @end, if it is one: to @size bytes; or, where @size is 0, from the default
 * capacity to a large one. A limit that forbids it only costs speed, and is told to @explain.
 */
void endpoint_size_pipe(const struct endpoint *end, size_t size, bool explain);

/* Closes it, so that every write error is known. Returns as endpoint_open() does. */
int endpoint_close(struct endpoint *end);

/* Says "TOOL: reading 'NAME': CAUSE" and returns CLI_FAILED. */
int endpoint_failed(const struct endpoint *end, int error);

#endif
