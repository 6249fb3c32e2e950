/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmsplice.c - vmsplice(2). */
#include "extpipe.h"

#include <limits.h>

#include "ret.h"
#include "sys.h"

/* A pipe that polls writable takes PIPE_BUF bytes without waiting, and no more is certain. */
static ssize_t write_without_waiting(int fd, const struct iovec *iov, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (iov[i].iov_len)
			return sys_write(fd, NULL, iov[i].iov_base,
					 iov[i].iov_len < PIPE_BUF ? iov[i].iov_len : PIPE_BUF);
	return 0;
}

static ssize_t copy_memory(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	bool writing = (sys_fcntl(fd, F_GETFL, 0) & O_ACCMODE) != O_RDONLY;
	struct pollfd poll = { .fd = fd, .events = writing ? POLLOUT : POLLIN };

	if (flags & SPLICE_F_NONBLOCK) {
		int ready = sys_poll(&poll, 1, 0);

		if (ready <= 0)
			return ready ? ready : -EAGAIN;
		if (writing)
			return write_without_waiting(fd, iov, count);
	}
	if (writing)
		return SYS_RESULT(writev(fd, iov, (int)count));
	return SYS_RESULT(readv(fd, iov, (int)count));
}

ssize_t xp_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	ssize_t n = sys_vmsplice(fd, iov, count, flags);

	if (!sys_refused(n))
		return ret(n);
	if (flags & ~SYS_SPLICE_FLAGS || count > IOV_MAX)
		return ret(-EINVAL);
	if (!sys_is_pipe(fd))
		return ret(-EBADF);
	return ret(copy_memory(fd, iov, count, flags));
}
