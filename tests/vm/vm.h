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
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

typedef uint64_t u64;

#define WAIT_MS 10000 /* for what must come; a slow machine takes long */

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
#define META_REMOVAL 0
#define META_LOSS 1

/* A whole record of any kind, and zeros after it. */
union bytes {
	char bytes[128];
	unsigned int words[32];
	struct record head;
	struct xp_mount_record mount;
	struct xp_block_record block;
	struct {
		u64 head, object;
	} removal;
};

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

/* Asks @queue for a watch of @fd by @id, or for its removal: 0, or the error. */
static inline int watch_object(int queue, unsigned int type, int fd, unsigned int id,
			       unsigned int flags)
{
	struct xp_watch_object object = {
		.size = sizeof(object),
		.flags = flags,
		.type = type,
		.fd = fd,
		.id = id,
	};

	return ioctl(queue, XP_IOC_WATCH_QUEUE_WATCH, &object) ? -errno : 0;
}

/*
 * One record within @wait milliseconds: its length, or -1. A read gives as many whole records as
 * there is room for, and ENOBUFS if there is none for the first.
 */
static inline ssize_t next_record(int fd, union bytes *record, int wait)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	size_t room = 0;
	ssize_t n;

	memset(record, 0, sizeof(*record));
	must(poll(&poll_fd, 1, wait) >= 0);
	do {
		room += sizeof(record->removal.head);
		n = read(fd, record, room);
	} while (n < 0 && errno == ENOBUFS && room < sizeof(*record));
	must(n > 0 || errno == EAGAIN);
	must(n < 0 || (record->head.info & INFO_LENGTH) == n);
	return n;
}

static inline void show(const union bytes *record, ssize_t length)
{
	ssize_t i;

	printf("# %zd bytes:", length);
	for (i = 0; i < length / 4; i++)
		printf(" %#x", record->words[i]);
	printf("\n");
}

/* Is the next record, which has to come, this one, each byte of it? */
static inline bool is_record(int fd, const void *wanted, size_t size)
{
	union bytes got;
	ssize_t n = next_record(fd, &got, WAIT_MS);

	if (n == (ssize_t)size && !memcmp(&got, wanted, size))
		return true;
	show(&got, n);
	return false;
}

/* What a queue says of records that it had no room for. */
static const unsigned int loss_record[] = { XP_WATCH_TYPE_META | META_LOSS << 24, 8 };

static inline bool tells_loss(const void *record)
{
	return !memcmp(record, loss_record, sizeof(loss_record));
}

static inline bool is_loss(int fd)
{
	return is_record(fd, loss_record, sizeof(loss_record));
}

/* ------------------------------------------------------------------ time and processes */

/* Seconds. */
static inline double now(void)
{
	struct timespec time;

	must(!clock_gettime(CLOCK_MONOTONIC, &time));
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A file of the kernel's, which takes a text at once. */
static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Waits until @child, which runs nothing but one system call that blocks, sleeps in it. */
static inline void await_sleep(pid_t child)
{
	char path[32], state = 'R';
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	while (state != 'S' && state != 'Z') {
		stat = fopen(path, "re");
		must(stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
		fclose(stat);
		usleep(1000);
	}
}

static inline bool is_asleep(pid_t child)
{
	siginfo_t info = { .si_pid = 0 };

	await_sleep(child);
	must(!waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT));
	return !info.si_pid;
}

#endif
