// SPDX-License-Identifier: GPL-2.0-or-later
/* A record of lost notifications is there for poll, and for those who sleep in read. */
#include "undisturbed.h"

#include <linux/keyctl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>

#define NOTES 32      /* a page of them, the smallest queue */
#define KEY_RECORD 16 /* struct key_notification */
#define ID 7

static long key;

static void watch_key(const int queue[2])
{
	must(!syscall(SYS_keyctl, XP_KEYCTL_WATCH_KEY, key, queue[0], ID));
}

static void events(int count)
{
	while (count-- > 0)
		must(!syscall(SYS_keyctl, KEYCTL_UPDATE, key, "x", 1));
}

/* One record: its type, or -1 for EAGAIN. */
static int next(int fd, struct record *record)
{
	union bytes got;
	ssize_t n = next_record(fd, &got, 0);

	*record = got.head;
	return n < 0 ? -1 : (int)record->type;
}

/* A queue in which more was posted than it holds, of which @taken records have been read. */
static void overrun(int queue[2], int taken)
{
	struct record record;

	open_queue(queue, NOTES);
	watch_key(queue);
	events(NOTES + 5);
	while (taken-- > 0)
		must(next(queue[0], &record) == XP_WATCH_TYPE_KEY);
}

static bool selectable(int fd)
{
	struct timeval now = { 0 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	must(select(fd + 1, &set, NULL, NULL, &now) >= 0);
	return FD_ISSET(fd, &set);
}

static void polled(void)
{
	struct record record;
	int queue[2];

	overrun(queue, NOTES);
	ok(queued(queue[0]) == 0, "every queued record has been read");
	mended(readable(queue[0]), "poll reports the record of loss");
	mended(selectable(queue[0]), "so does select");
	ok(next(queue[0], &record) == XP_WATCH_TYPE_META && record.subtype == META_LOSS &&
		   record.info == 8,
	   "the next read gives it: META, LOSS, 8 bytes, no id");
	ok(!readable(queue[0]) && !selectable(queue[0]), "afterwards nothing is reported");
	ok(next(queue[0], &record) == -1, "or there: a loss is told once");
	events(1);
	ok(readable(queue[0]) && next(queue[0], &record) == XP_WATCH_TYPE_KEY &&
		   record.info == (KEY_RECORD | ID << INFO_ID_SHIFT),
	   "the next event is posted and reported as ever");
	close_both(queue);
}

static void small_buffer(void)
{
	int queue[2];
	char byte;

	overrun(queue, NOTES);
	ok(read(queue[0], &byte, 1) == -1 && errno == ENOBUFS, "a buffer too small: ENOBUFS");
	mended(readable(queue[0]), "and the record is still reported");
	close_both(queue);
}

static void nothing_lost(void)
{
	struct record record;
	int queue[2], i;

	open_queue(queue, NOTES);
	watch_key(queue);
	events(NOTES);
	for (i = 0; i < NOTES; i++)
		must(next(queue[0], &record) == XP_WATCH_TYPE_KEY);
	ok(!readable(queue[0]), "a queue that was just full has lost nothing, and reports nothing");
	close_both(queue);
}

static int epolled(int fd, uint32_t edge, int taken)
{
	struct epoll_event event = { .events = EPOLLIN | edge };
	int set = epoll_create1(EPOLL_CLOEXEC), found;
	struct record record;

	must(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	must(epoll_wait(set, &event, 1, 0) == 1);
	while (taken-- > 0)
		must(next(fd, &record) == XP_WATCH_TYPE_KEY);
	found = epoll_wait(set, &event, 1, 0);
	close(set);
	return found;
}

static void epoll(void)
{
	int queue[2];

	overrun(queue, NOTES - 1);
	mended(epolled(queue[0], 0, 1) == 1, "epoll reports it");
	close_both(queue);
	overrun(queue, NOTES - 1);
	mended(epolled(queue[0], EPOLLET, 1) == 1, "reading the last record is an edge for epoll");
	close_both(queue);
}

/*
 * The event wakes the reader, which gets the processor only when all records are gone: it finds
 * an empty ring, and either reads the record of loss or sleeps again.
 */
static void late_reader(void)
{
	struct undisturbed before;
	struct record record;
	int queue[2], status, i;
	pid_t child;

	open_queue(queue, NOTES);
	must(!fcntl(queue[0], F_SETFL, 0));
	watch_key(queue);
	before = begin_undisturbed();
	child = fork();
	must(child >= 0);
	if (!child)
		_exit(read(queue[0], &record, sizeof(record)) != 8 ||
		      record.type != XP_WATCH_TYPE_META || record.subtype != META_LOSS ||
		      record.info != 8);
	await_sleep(child);
	events(NOTES + 5);
	for (i = 0; i < NOTES; i++)
		must(next(queue[0], &record) == XP_WATCH_TYPE_KEY);
	if (is_asleep(child))
		must(!kill(child, SIGKILL));
	must(waitpid(child, &status, 0) == child);
	end_undisturbed(&before);
	mended(status == 0, "a reader that was woken too late for a record gets that of loss");
	close_both(queue);
}

/* A queue without a size has room for nothing, and no record that could be marked. */
static void no_size(void)
{
	struct record record;
	int queue[2];

	must(!pipe2(queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC));
	must(!fcntl(queue[0], F_SETFL, O_NONBLOCK));
	watch_key(queue);
	ok(!readable(queue[0]), "a queue without a size watches a key");
	events(3);
	mended(readable(queue[0]), "what is lost for it is reported");
	mended(next(queue[0], &record) == XP_WATCH_TYPE_META && record.subtype == META_LOSS &&
		       record.info == 8,
	       "and told: META, LOSS");
	ok(!readable(queue[0]) && next(queue[0], &record) == -1, "once");
	must(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, NOTES));
	events(1);
	ok(next(queue[0], &record) == XP_WATCH_TYPE_KEY && next(queue[0], &record) == -1,
	   "with a size, the next event is a record");
	close_both(queue);
}

int main(void)
{
	key = syscall(SYS_add_key, "user", "watched", "x", 1, KEY_SPEC_PROCESS_KEYRING);
	must(key > 0);
	polled();
	small_buffer();
	nothing_lost();
	epoll();
	late_reader();
	no_size();
	return tap_done();
}
