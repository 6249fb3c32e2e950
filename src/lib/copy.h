/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.h - bytes from one descriptor to another, as a call that is not here would move them. */
#ifndef EXTPIPE_LIB_COPY_H
#define EXTPIPE_LIB_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A descriptor as the kernel sees it. */
struct copy_end {
	int fd;
	int flags;     /* of the open file */
	mode_t type;   /* S_IFMT's part of its mode */
	loff_t size;   /* of a file, bytes */
	dev_t device;  /* which file, */
	ino_t inode;   /* for telling whether two are one */
	bool seekable; /* it has positions */
	loff_t *at;    /* where; NULL: its own position */
	loff_t own;    /* that */
};

/* Looks at @fd: 0, or -EBADF where there is nothing to read or write through. */
int copy_look(struct copy_end *end, int fd);

bool copy_can_read(const struct copy_end *end);
bool copy_can_write(const struct copy_end *end);
bool copy_is_pipe(const struct copy_end *end);

/* Are they the two ends of one pipe, or one file? */
bool copy_is_same(const struct copy_end *a, const struct copy_end *b);

/* An offset that a caller points to: 0, or -EFAULT where that is no memory. */
int copy_fetch(loff_t *to, const loff_t *from);
int copy_store(loff_t *to, loff_t value);

/* Is @len from where @end is a range that a file can have? -EINVAL if not (rw_verify_area()). */
int copy_verify(const struct copy_end *end, size_t len);

/*
 * Moves up to @len bytes: all that is there and finds room, waiting only for the first of them,
 * and not even for that where @flags has SPLICE_F_NONBLOCK. Moves the input's own position.
 * Returns bytes moved, 0 at the end of the input, or -errno.
 */
ssize_t copy_move(struct copy_end *in, struct copy_end *out, size_t len, unsigned flags);

/* Writes to a pipe what fits; waits for the first byte's room if @wait. */
ssize_t copy_put_pipe(const struct copy_end *out, const void *from, size_t len, bool wait);

/*
 * A pipe from which *@len bytes are to be taken: waits if it may, and lowers *@len to what there
 * is.
 * @cut tells whether that ends inside a packet, whose rest a read would throw away.
 * Returns 0, -EAGAIN, or why the pipe can't be looked into.
 */
int copy_settle(const struct copy_end *in, size_t *len, bool nonblock, bool *cut);

/* EPIPE, and the signal that the kernel sends with it. */
int copy_broken(void);

#endif
