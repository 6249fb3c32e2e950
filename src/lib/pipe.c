/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pipe.c - creating, sizing and describing pipes. */
#include "extpipe.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "extpipe/uapi.h"
#include "ret.h"
#include "sys.h"

/* fcntl(2) returns an int, which a pipe of 2 GiB (the kernel's own bound) would overflow. */
#define LARGEST_PIPE ((size_t)1 << 30)

/* 0 and the status flags, or why @fd is no pipe to work with. */
static int pipe_flags(int fd, int *flags)
{
	*flags = sys_fcntl(fd, F_GETFL, 0);
	if (*flags < 0)
		return *flags;
	if (*flags & O_PATH)
		return -EBADF;
	return sys_is_pipe(fd) ? 0 : -EINVAL;
}

static bool is_write_end(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/*
 * A size of 0 notes is refused with EINVAL by a notification pipe and with another error
 * by every other pipe (watch_queue_set_size(), pipe_ioctl()), so nothing is changed.
 */
static bool is_notification_pipe(int fd)
{
	return sys_ioctl(fd, XP_IOC_WATCH_QUEUE_SET_SIZE, NULL) == -EINVAL;
}

static size_t packet_limit(int fd)
{
	__u32 limit;

	if (sys_ioctl(fd, XP_IOC_PIPE_GET_PACKET_LIMIT, &limit) || !limit)
		return PIPE_BUF;
	return limit;
}

int xp_pipe_info(int fd, struct xp_pipe_info *info)
{
	struct pollfd poll = { .fd = fd };
	int flags, size, queued = 0;
	int error = pipe_flags(fd, &flags);

	if (error)
		return (int)ret(error);
	size = sys_fcntl(fd, F_GETPIPE_SZ, 0);
	if (size < 0)
		return (int)ret(size);
	*info = (struct xp_pipe_info){
		.size = (size_t)size,
		.slots = (unsigned)(size / sysconf(_SC_PAGESIZE)),
		.write_end = is_write_end(flags),
		.read_end = (flags & O_ACCMODE) != O_WRONLY,
	};
	if (is_notification_pipe(fd))
		info->mode = XP_PIPE_NOTIFICATION;
	else if (info->write_end && flags & O_DIRECT)
		info->mode = XP_PIPE_PACKET;
	if (info->mode == XP_PIPE_PACKET)
		info->packet_limit = packet_limit(fd);
	/* A notification pipe has no FIONREAD to speak of; nothing queued is the answer. */
	if (!sys_ioctl(fd, FIONREAD, &queued))
		info->queued = (size_t)queued;
	if (sys_poll(&poll, 1, 0) > 0)
		info->peer_gone = poll.revents & (info->write_end ? POLLERR : POLLHUP);
	return 0;
}

/* Sizes are powers of two, so halving from the top finds the largest that is allowed. */
static int set_largest(int fd)
{
	int now = sys_fcntl(fd, F_GETPIPE_SZ, 0);

	if (now < 0)
		return now;
	for (size_t size = LARGEST_PIPE; size > (size_t)now; size /= 2) {
		int result = sys_fcntl(fd, F_SETPIPE_SZ, (long)size);

		if (result >= 0)
			return result;
		if (result != -EPERM && result != -ENOMEM && result != -EINVAL)
			return result;
	}
	return now;
}

ssize_t xp_pipe_set_size(int fd, size_t size)
{
	int flags;
	int error = pipe_flags(fd, &flags);

	if (error)
		return ret(error);
	if (size == XP_PIPE_MAX)
		return ret(set_largest(fd));
	if (!size || size > LARGEST_PIPE)
		return ret(-EINVAL);
	return ret(sys_fcntl(fd, F_SETPIPE_SZ, (long)size));
}

/* The path by which a pipe that is open already can be opened once more, for reading. */
static int open_reader(int fd)
{
	char path[32] = "/proc/self/fd/";
	char digits[12];
	size_t length = 0, at = strlen(path);

	do {
		digits[length++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd);
	while (length)
		path[at++] = digits[--length];
	return sys_open(path, O_RDONLY | O_NONBLOCK);
}

/*
 * Does what @pipe holds, @len bytes, end with stream data? A byte that is written behind it as a
 * packet comes alone, or doesn't.
 */
static bool ends_with_stream(const int pipe[2], size_t len)
{
	char *bytes = malloc(len + 1);
	ssize_t n, last = 0;

	if (!bytes)
		return true;
	/* Where there is no slot for it, packets are read until there is one. */
	while (len && sys_write(pipe[1], NULL, "", 1) == -EAGAIN) {
		n = sys_read(pipe[0], NULL, bytes, len);
		len -= n > 0 ? (size_t)n : len;
	}
	while ((n = sys_read(pipe[0], NULL, bytes, len + 1)) > 0)
		last = n;
	free(bytes);
	/* All of a full pipe in one read is no packet. */
	return !len || last != 1;
}

/*
 * Would a packet that is written now merge with what is queued? It would if that ends with stream
 * data; an experiment on a duplicate tells. Others may write and read meanwhile.
 */
static bool would_merge(int fd)
{
	int reader = open_reader(fd), copy[2];
	long size = sys_fcntl(fd, F_GETPIPE_SZ, 0);
	bool merges = true;
	ssize_t n;

	if (reader < 0)
		return true;
	if (!sys_pipe2(copy, O_CLOEXEC | O_NONBLOCK | O_DIRECT)) {
		/* A slot to spare for the byte, or as many at least. */
		if (sys_fcntl(copy[1], F_SETPIPE_SZ, 2 * size) < 0)
			sys_fcntl(copy[1], F_SETPIPE_SZ, size);
		n = sys_tee(reader, copy[1], SYS_MAX_LENGTH, SPLICE_F_NONBLOCK);
		if (sys_fcntl(copy[1], F_GETPIPE_SZ, 0) >= size)
			merges = n > 0 ? ends_with_stream(copy, (size_t)n) : n != -EAGAIN;
		close(copy[0]);
		close(copy[1]);
	}
	close(reader);
	return merges;
}

/* The kernel accepts O_DIRECT on a read end and ignores it, so it is refused here. */
int xp_pipe_set_mode(int fd, enum xp_pipe_mode mode)
{
	int flags, queued = 0;
	int error = pipe_flags(fd, &flags);

	if (!error && (!is_write_end(flags) || mode > XP_PIPE_PACKET))
		error = -EINVAL;
	if (error)
		return (int)ret(error);
	if (mode == XP_PIPE_STREAM)
		return (int)ret(sys_fcntl(fd, F_SETFL, flags & ~O_DIRECT));
	if (flags & O_DIRECT)
		return 0;
	error = sys_ioctl(fd, FIONREAD, &queued);
	if (!error && queued && would_merge(fd))
		error = -EBUSY;
	if (!error)
		error = sys_fcntl(fd, F_SETFL, flags | O_DIRECT);
	return (int)ret(error);
}

int xp_pipe_set_packet_limit(int fd, size_t limit)
{
	__u32 bytes = (__u32)limit;
	int flags;
	int error = pipe_flags(fd, &flags);

	if (!error && (!is_write_end(flags) || !limit || limit > LARGEST_PIPE))
		error = -EINVAL;
	if (!error)
		error = sys_ioctl(fd, XP_IOC_PIPE_SET_PACKET_LIMIT, &bytes);
	/* An ordinary kernel knows no such ioctl, or takes it for the queue's. */
	if (error == -ENOTTY || error == -ENODEV)
		error = -EOPNOTSUPP;
	return (int)ret(error);
}
