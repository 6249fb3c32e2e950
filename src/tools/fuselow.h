/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuselow.h - libfuse's low-level interface, and what xfuse settles with the kernel by it. */
#ifndef EXTPIPE_TOOLS_FUSELOW_H
#define EXTPIPE_TOOLS_FUSELOW_H

#include <stdbool.h>
#include <stddef.h>

#define FUSE_USE_VERSION 31
#include <fuse3/fuse_lowlevel.h>

/*
 * For how long the kernel may take a name or attributes for right without asking, seconds. 0 unless
 * the user wants it otherwise: attributes tell the kernel whether what it has cached of a file is
 * still what the file holds.
 */
extern struct fuselow_timeouts {
	double entry, attr;
} fuselow_timeouts;

/*
 * Is a file that is opened with these flags, and has this size, to be read past the kernel's cache?
 */
bool fuselow_uncached(int flags, off_t size);

/* The largest READ there may be, bytes. */
#define FUSELOW_READ_MAX ((size_t)1024 * 1024)

/* A session's data. */
struct fuselow {
	int ready;       /* an eventfd, which tells from then on that the mount works */
	size_t read_max; /* the largest READ that is asked for, bytes */
	unsigned option; /* -o max_read, which the answer to INIT has to repeat; or 0 */
};

/* What the answer to INIT says; for fuse_lowlevel_ops.init. */
void fuselow_negotiate(void *data, struct fuse_conn_info *conn);

/*
 * Keeps what libfuse says from standard error: the last line is what fuselow_words() returns, ""
 * if there is none. With @loud, lines are printed as the tool's own from now on.
 */
void fuselow_listen(bool loud);
const char *fuselow_words(void);

#endif
