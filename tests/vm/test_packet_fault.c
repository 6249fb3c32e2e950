// SPDX-License-Identifier: GPL-2.0-or-later
/* A write whose copy from user space fails leaves nothing in the pipe. */
#include "packet.h"

static bool faults(int fd, const unsigned char *memory, size_t len)
{
	return fails(write(fd, memory, len), EFAULT);
}

/* Does a reader with O_NONBLOCK find nothing, and no end of file? */
static bool finds_nothing(int fd)
{
	return fails(take_some(fd, PAGE, 0), EAGAIN);
}

static void first_page(const unsigned char *bad)
{
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	ok(faults(fds[1], bad, 10), "a packet from memory that can't be read: EFAULT");
	ok(queued(fds[0]) == 0, "no bytes are queued");
	mended(!readable(fds[0]), "poll does not report a packet");
	mended(finds_nothing(fds[0]), "a non-blocking read gets EAGAIN, not an end of file");
	must(put(fds[1], 4, 1) == 4);
	ok(take(fds[0], 4, 1), "the next packet arrives whole");
	ok(finds_nothing(fds[0]), "nothing follows it");
	close_both(fds);
}

static void second_page(const unsigned char *memory)
{
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	ok(write(fds[1], memory, PAGE + 10) == PAGE, "a fault in the second page: a short write");
	ok(take(fds[0], PAGE, 2), "the first page is a packet");
	mended(!readable(fds[0]), "poll does not report another");
	mended(finds_nothing(fds[0]), "a read does not find one");
	close_both(fds);
}

static void many(const unsigned char *bad)
{
	int fds[2], slots, i;

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	slots = fcntl(fds[1], F_GETPIPE_SZ) / PAGE;
	for (i = 0; i < slots; i++)
		must(faults(fds[1], bad, 10));
	mended(put(fds[1], 4, 1) == 4, "as many faults as slots leave room for a packet");
	mended(take(fds[0], 4, 1), "which is the first that a reader gets");
	close_both(fds);
}

static void stream(const unsigned char *memory)
{
	int fds[2];

	must(!pipe2(fds, O_NONBLOCK));
	must(faults(fds[1], memory + PAGE, 10));
	mended(!readable(fds[0]), "without packets, poll does not report data either");
	must(write(fds[1], memory, 4) == 4 && write(fds[1], memory + 4, 1) == 1);
	ok(take(fds[0], 5, 2), "and later writes merge");
	close_both(fds);
}

static void fifo(const unsigned char *bad)
{
	int fd = open_fifo(O_NONBLOCK | O_DIRECT);

	must(faults(fd, bad, 10));
	mended(!readable(fd), "nor does it on a FIFO in packet mode");
	close(fd);
}

/* A reader that sleeps must not be sent away with an end of file. */
static void blocked_reader(const unsigned char *bad)
{
	int fds[2];
	pid_t child;

	must(!pipe2(fds, O_DIRECT));
	must(faults(fds[1], bad, 10));
	child = start();
	if (!child)
		_exit(take(fds[0], 4, 1) ? 0 : 1);
	await_sleep(child);
	must(put(fds[1], 4, 1) == 4);
	mended(status_of(child) == 0,
	       "a blocking reader gets the packet that follows, not an end of file");
	close_both(fds);
}

int main(void)
{
	unsigned char *memory = fenced(1), *bad = memory + PAGE;

	alarm(PATIENCE);
	fill(memory, PAGE, 2);
	first_page(bad);
	second_page(memory);
	many(bad);
	stream(memory);
	fifo(bad);
	blocked_reader(bad);
	return tap_done();
}
