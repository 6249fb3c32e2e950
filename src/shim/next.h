/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * next.h - the calls as they would be without the shim: libc's, or whatever was preloaded besides.
 *
 * The library inside the shim is linked so that it makes its own calls through these, too: it
 * must not meet itself.
 */
#ifndef EXTPIPE_SHIM_NEXT_H
#define EXTPIPE_SHIM_NEXT_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t next_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, unsigned flags);
ssize_t next_tee(int in, int out, size_t len, unsigned flags);
ssize_t next_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags);
ssize_t next_sendfile(int out, int in, loff_t *offset, size_t len);
ssize_t next_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
			     unsigned flags);
int next_pipe2(int fds[2], int flags);
long next_syscall(long number, ...);

#endif
