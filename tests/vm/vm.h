/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.h - what the tests of the kernel series share.
 *
 * They run on the patched kernel and, with XP_KERNEL=base, on the base. ok() is for what holds on
 * both. mended() is for what the series puts right: on the base it must be wrong, which proves
 * that the test can fail.
 */
#ifndef EXTPIPE_TESTS_VM_H
#define EXTPIPE_TESTS_VM_H

#include "../unit/tap.h"

#include <extpipe/uapi.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static inline bool on_base(void)
{
	const char *kernel = getenv("XP_KERNEL");

	return kernel && !strcmp(kernel, "base");
}

#define mended(condition, name) \
	ok((condition) != on_base(), "%s%s", on_base() ? "wrong on the base: " : "", name)

/* The head of a record; <linux/watch_queue.h> can't stand beside <fcntl.h>. */
struct record {
	unsigned int type : 24;
	unsigned int subtype : 8;
	unsigned int info;
	unsigned int payload[30];
};

#define INFO_LENGTH 0x7fu
#define INFO_ID_SHIFT 8
#define META_LOSS 1

struct filter {
	unsigned int count, reserved;
	struct {
		unsigned int type, info_filter, info_mask, subtypes[8];
	} types[1];
};

/* A notification pipe of at least @notes records, the read end non-blocking. */
static inline void open_queue(int queue[2], unsigned int notes)
{
	must(!pipe2(queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC));
	must(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, notes));
	must(!fcntl(queue[0], F_SETFL, O_NONBLOCK));
}

static inline void close_both(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* Does poll(2) say now that @fd can be read? */
static inline bool readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	must(poll(&poll_fd, 1, 0) >= 0);
	return poll_fd.revents & POLLIN;
}

static inline int queued(int fd)
{
	int bytes;

	must(!ioctl(fd, FIONREAD, &bytes));
	return bytes;
}

#endif
