/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emulate.h - the calls themselves, made of other calls.
 *
 * Each takes what the system call takes, and returns what it returns, or -errno. Bad arguments,
 * bad pointers among them, get the errno that the kernel gives; no memory is allocated, and what
 * is not delivered is not consumed. All of them may be called from a signal handler.
 */
#ifndef EXTPIPE_LIB_EMULATE_H
#define EXTPIPE_LIB_EMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Are these the answers of a kernel that refuses? copy_file_range(2) has more of them. */
bool emulate_range_refused(ssize_t result);

ssize_t emulate_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
		       unsigned flags);
ssize_t emulate_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags);
ssize_t emulate_sendfile(int out, int in, loff_t *offset, size_t len);
ssize_t emulate_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
				unsigned flags);

/* For O_DIRECT alone, which a socket pair stands in for. */
int emulate_pipe2(int fds[2], int flags);

#endif
