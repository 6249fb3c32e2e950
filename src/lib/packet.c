/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packet.c - packet pipes: each write one packet, each read one packet.
 *
 * A pipe throws away what a read has no room for and does not tell. So every read has a page of
 * room to spare: what lands there tells that the packet was cut.
 */
#include "extpipe.h"

#include <limits.h>

#include "flow.h"
#include "ret.h"
#include "sys.h"

/* unix_seqpacket sends refuse what is above the send buffer less this much (unix_stream_sendmsg).
 */
#define SOCKET_OVERHEAD 32

static int open_socket(struct xp_packet *end)
{
	int type = 0, room = 0;
	socklen_t size = sizeof(type);

	if (SYS_RESULT(getsockopt(end->fd, SOL_SOCKET, SO_TYPE, &type, &size)) ||
	    type != SOCK_SEQPACKET)
		return -EINVAL;
	size = sizeof(room);
	if (SYS_RESULT(getsockopt(end->fd, SOL_SOCKET, SO_SNDBUF, &room, &size)))
		return -EINVAL;
	end->socket = true;
	end->limit = (size_t)(room - SOCKET_OVERHEAD);
	return 0;
}

static int open_pipe(struct xp_packet *end, int access)
{
	struct xp_pipe_info info;

	if (xp_pipe_info(end->fd, &info))
		return -errno;
	if (info.mode == XP_PIPE_NOTIFICATION)
		return -EINVAL;
	end->limit = PIPE_BUF;
	if (access != O_WRONLY)
		return 0;
	if (info.mode == XP_PIPE_STREAM) {
		if (xp_pipe_set_mode(end->fd, XP_PIPE_PACKET))
			return errno == EINVAL ? -EOPNOTSUPP : -errno;
		end->restore = true;
		if (xp_pipe_info(end->fd, &info))
			return -errno;
	}
	end->limit = info.packet_limit;
	return 0;
}

int xp_packet_open(struct xp_packet *end, int fd, int access)
{
	int error = flow_check(fd, access);

	*end = (struct xp_packet){ .fd = fd };
	if (error)
		return (int)ret(error);
	return (int)ret(sys_is_pipe(fd) ? open_pipe(end, access) : open_socket(end));
}

int xp_packet_close(struct xp_packet *end)
{
	if (!end->restore)
		return 0;
	end->restore = false;
	return xp_pipe_set_mode(end->fd, XP_PIPE_STREAM);
}

static int wait_for(const struct xp_packet *end, short events, int timeout_ms)
{
	struct pollfd poll = { .fd = end->fd, .events = events };
	int ready = sys_poll(&poll, 1, timeout_ms);

	return ready > 0 ? poll.revents : ready ? ready : -EAGAIN;
}

static ssize_t send_once(const struct xp_packet *end, const void *data, size_t len, unsigned flags)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	ssize_t n;

	if (end->socket)
		return SYS_RESULT(send(end->fd, data, len, flags & XP_NONBLOCK ? MSG_DONTWAIT : 0));
	if (!(flags & XP_NONBLOCK))
		return sys_write(end->fd, NULL, data, len);
	n = sys_pwritev2(end->fd, &iov, 1, RWF_NOWAIT);
	if (n != -EOPNOTSUPP)
		return n;
	/* Before pipes knew RWF_NOWAIT: a pipe that polls writable takes a packet. */
	n = wait_for(end, POLLOUT, 0);
	return n < 0 ? n : sys_write(end->fd, NULL, data, len);
}

int xp_packet_send(const struct xp_packet *end, const void *data, size_t len, unsigned flags)
{
	ssize_t n;

	if (!len || flags & ~XP_NONBLOCK)
		return (int)ret(-EINVAL);
	if (len > end->limit)
		return (int)ret(-EMSGSIZE);
	for (;;) {
		n = send_once(end, data, len, flags);
		if (n != -EAGAIN || flags & XP_NONBLOCK)
			return n < 0 ? (int)ret(n) : 0;
		n = wait_for(end, POLLOUT, -1);
		if (n < 0)
			return (int)ret(n);
	}
}

static ssize_t recv_once(const struct xp_packet *end, struct iovec iov[2], unsigned flags)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 1 };
	ssize_t n;

	if (end->socket)
		return SYS_RESULT(recvmsg(end->fd, &message,
					  MSG_TRUNC | (flags & XP_NONBLOCK ? MSG_DONTWAIT : 0)));
	if (!(flags & XP_NONBLOCK))
		return SYS_RESULT(readv(end->fd, iov, 2));
	n = sys_preadv2(end->fd, iov, 2, RWF_NOWAIT);
	if (n != -EOPNOTSUPP)
		return n;
	n = wait_for(end, POLLIN, 0);
	return n < 0 ? n : SYS_RESULT(readv(end->fd, iov, 2));
}

/*
 * A read of 0 is the end only if no writer is left: up to Linux 6.12 a write whose memory could
 * not be read leaves an empty packet.
 */
static bool at_end(const struct xp_packet *end)
{
	int events = wait_for(end, POLLIN, 0);

	return end->socket || (events > 0 && events & POLLHUP && !(events & POLLIN));
}

ssize_t xp_packet_recv(const struct xp_packet *end, void *data, size_t size, unsigned flags)
{
	char spare[PIPE_BUF];
	ssize_t n;

	if (!size || flags & ~XP_NONBLOCK)
		return ret(-EINVAL);
	for (;;) {
		struct iovec iov[2] = { { data, size }, { spare, sizeof(spare) } };

		n = recv_once(end, iov, flags);
		if (n > 0 || (!n && at_end(end)))
			return n;
		if ((n && n != -EAGAIN) || flags & XP_NONBLOCK)
			return ret(n ? n : -EAGAIN);
		n = wait_for(end, POLLIN, -1);
		if (n < 0)
			return ret(n);
	}
}
