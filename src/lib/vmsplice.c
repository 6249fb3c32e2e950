/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmsplice.c - vmsplice(2). */
#include "extpipe.h"

#include <limits.h>

#include "copy.h"
#include "emulate.h"
#include "ret.h"
#include "sys.h"

/* Can all of @iov be read? Two ends of each page that it touches tell. */
static bool readable(const struct iovec *iov, size_t count)
{
	uintptr_t at = (uintptr_t)iov, end = at + count * sizeof(*iov);

	while (at < end) {
		uintptr_t last = at + PIPE_BUF - (at & (PIPE_BUF - 1));

		if (last > end)
			last = end;
		if (!sys_readable((const void *)at) || !sys_readable((const void *)(last - 8)))
			return false;
		at = last;
	}
	return true;
}

/* What there is in these pieces of memory, bytes; or what import_iovec() says of them. */
static ssize_t check_memory(const struct iovec *iov, size_t count)
{
	size_t total = 0;

	if (count > IOV_MAX)
		return -EINVAL;
	if (!readable(iov, count))
		return -EFAULT;
	for (size_t i = 0; i < count; i++)
		if (iov[i].iov_len > SSIZE_MAX)
			return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		size_t len = iov[i].iov_len, room = SYS_MAX_LENGTH - total;

		/* Addresses of a process are below half of what a pointer holds. */
		if ((uintptr_t)iov[i].iov_base > INTPTR_MAX - len)
			return -EFAULT;
		total += len < room ? len : room;
	}
	return (ssize_t)total;
}

static size_t to_page_end(const char *from)
{
	return PIPE_BUF - ((uintptr_t)from & (PIPE_BUF - 1));
}

/*
 * One piece of memory. The kernel takes page after page up to one that is not there, and a write
 * fails without the part of its last page that is: the rest is tried up to the page's end.
 */
static ssize_t put_piece(const struct copy_end *pipe, const char *from, size_t len, bool wait)
{
	ssize_t done = copy_put_pipe(pipe, from, len, wait);
	ssize_t n;

	if (done == (ssize_t)len || (done < 0 && done != -EFAULT))
		return done;
	if (done < 0 && len <= to_page_end(from))
		return done;
	from += done > 0 ? done : 0;
	len -= done > 0 ? (size_t)done : 0;
	if (len > to_page_end(from))
		len = to_page_end(from);
	n = copy_put_pipe(pipe, from, len, false);
	return done > 0 ? done + (n > 0 ? n : 0) : n;
}

static ssize_t from_memory(const struct copy_end *pipe, const struct iovec *iov, size_t count,
			   size_t left, bool nonblock)
{
	struct pollfd poll = { .fd = pipe->fd, .events = POLLOUT };
	size_t done = 0;
	ssize_t n = sys_poll(&poll, 1, 0);

	if (n > 0 && poll.revents & POLLERR)
		return copy_broken();
	if (n <= 0 && nonblock)
		return -EAGAIN;
	for (size_t i = 0; i < count && left; i++) {
		size_t len = iov[i].iov_len < left ? iov[i].iov_len : left;
		const char *from = iov[i].iov_base;

		while (len) {
			n = put_piece(pipe, from, len, !done && !nonblock);
			if (n <= 0)
				return done ? (ssize_t)done : n;
			from += n;
			len -= (size_t)n;
			left -= (size_t)n;
			done += (size_t)n;
		}
	}
	return (ssize_t)done;
}

static ssize_t to_memory(const struct copy_end *pipe, const struct iovec *iov, size_t count,
			 size_t len, bool nonblock)
{
	struct pollfd poll = { .fd = pipe->fd, .events = POLLIN };
	bool cut = false;
	int error = copy_settle(pipe, &len, nonblock, &cut);

	/* The descriptor's O_NONBLOCK means nothing to vmsplice(2). */
	while (error == -EAGAIN && !nonblock) {
		if (sys_poll(&poll, 1, -1) < 0)
			return -EINTR;
		error = copy_settle(pipe, &len, nonblock, &cut);
	}
	if (cut)
		return -EINVAL;
	if (error && !sys_refused(error))
		return error;
	if (error && nonblock && sys_poll(&poll, 1, 0) <= 0)
		return -EAGAIN;
	return sys_readv(pipe->fd, iov, (int)count);
}

ssize_t emulate_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	bool nonblock = flags & SPLICE_F_NONBLOCK;
	struct copy_end pipe;
	bool writing;
	ssize_t n;

	if (flags & ~SYS_SPLICE_FLAGS)
		return -EINVAL;
	n = copy_look(&pipe, fd);
	if (n)
		return n;
	writing = copy_can_write(&pipe);
	if (!writing && !copy_can_read(&pipe))
		return -EBADF;
	n = check_memory(iov, count);
	if (n <= 0)
		return n;
	if (!copy_is_pipe(&pipe))
		return -EBADF;
	if (writing)
		return from_memory(&pipe, iov, count, (size_t)n, nonblock);
	return to_memory(&pipe, iov, count, (size_t)n, nonblock);
}

ssize_t xp_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	ssize_t n = sys_vmsplice(fd, iov, count, flags);

	if (sys_refused(n))
		n = emulate_vmsplice(fd, iov, count, flags);
	return ret(n);
}
