// SPDX-License-Identifier: GPL-2.0-or-later
/* tee and splice of packets larger than a page, from pipe to pipe and elsewhere. */
#include "packet.h"

#include <sys/socket.h>

#define SOON 20 /* seconds, for a child that has nothing to wait for */

typedef ssize_t call_function(int from, int to, size_t len, unsigned int flags);

static ssize_t call_tee(int from, int to, size_t len, unsigned int flags)
{
	return tee(from, to, len, flags);
}

static ssize_t call_splice(int from, int to, size_t len, unsigned int flags)
{
	return splice(from, NULL, to, NULL, len, flags);
}

/* Packets of 9000, 5000 and 100 bytes. */
static void open_three(int fds[2])
{
	open_packets(fds, CAPACITY, O_NONBLOCK);
	must(put(fds[1], 9000, 1) == 9000 && put(fds[1], 5000, 2) == 5000);
	must(put(fds[1], 100, 3) == 100);
}

static void open_target(int fds[2], int slots)
{
	must(!pipe2(fds, O_NONBLOCK) && fcntl(fds[1], F_SETPIPE_SZ, slots * PAGE) == slots * PAGE);
}

/* The three packets, and what is left of them in the source: all after tee, the others else. */
static void whole(call_function *call, const char *name)
{
	int from[2], to[2];

	open_three(from);
	open_target(to, SLOTS);
	mended(call(from[0], to[1], 14100, 0) == 14100 && queued(to[0]) == 14100 &&
		       next_packet(to[0]) == 9000 && take(to[0], 9000, 1) && take(to[0], 5000, 2) &&
		       take(to[0], 100, 3) && is_empty(to[0]),
	       name);
	ok(queued(from[0]) == (call == call_tee ? 14100 : 0), "and the source has what it should");
	close_both(from);
	close_both(to);
}

/* How much is taken of a length. */
static bool takes(call_function *call, size_t len, ssize_t expected)
{
	ssize_t left = 14100 - (call == call_tee ? 0 : expected);
	int from[2], to[2];
	bool right;

	open_three(from);
	open_target(to, SLOTS);
	right = call(from[0], to[1], len, 0) == expected && queued(to[0]) == expected &&
		queued(from[0]) == left && take(to[0], 9000, 1) &&
		(expected < 14000 || take(to[0], 5000, 2)) && is_empty(to[0]);
	close_both(from);
	close_both(to);
	return right;
}

static void lengths(call_function *call)
{
	int from[2], to[2];

	mended(takes(call, 9000, 9000) && takes(call, 9001, 9000) && takes(call, 13999, 9000),
	       "a length within the second packet: the first");
	mended(takes(call, 14000, 14000) && takes(call, 14099, 14000),
	       "within the third, of one slot: the first two");
	open_three(from);
	open_target(to, SLOTS);
	mended(fails(call(from[0], to[1], 8999, 0), EMSGSIZE) &&
		       fails(call(from[0], to[1], 1, 0), EMSGSIZE) && is_empty(to[0]) &&
		       queued(from[0]) == 14100 && take(from[0], 9000, 1),
	       "within the first: EMSGSIZE, and nothing is taken");
	close_both(from);
	close_both(to);
}

static void room(call_function *call)
{
	int from[2], to[2];

	open_three(from);
	open_target(to, 2);
	mended(fails(call(from[0], to[1], CAPACITY, 0), EMSGSIZE) && is_empty(to[0]),
	       "a target of two slots for a packet of three: EMSGSIZE");
	close_both(to);
	open_target(to, 4);
	mended(call(from[0], to[1], CAPACITY, 0) == 9000 && take(to[0], 9000, 1) && is_empty(to[0]),
	       "of four, for three and two: the first");
	close_both(from);
	open_three(from);
	must(put(to[1], 2 * PAGE, 4) == 2 * PAGE || on_base());
	mended(fails(call(from[0], to[1], CAPACITY, 0), EAGAIN) && queued(to[0]) == 2 * PAGE &&
		       queued(from[0]) == 14100,
	       "two of four slots free: EAGAIN");
	close_both(from);
	close_both(to);
}

/* The target has no limit and is not full: its readers have to wake up who waits all the same. */
static void waits(call_function *call)
{
	int from[2], to[2], early = 0, i;
	pid_t child;

	open_packets(from, CAPACITY, 0);
	must(put(from[1], 7 * PAGE, 7) == 7 * PAGE && !pipe2(to, O_DIRECT));
	for (i = 0; i < SLOTS - 2; i++)
		must(put(to[1], 1, i) == 1);
	child = start();
	if (!child)
		_exit(call(from[0], to[1], 7 * PAGE, 0) == 7 * PAGE ? 0 : 1);
	for (i = 0; i < 5; i++) {
		early += !is_asleep(child);
		must(take(to[0], 1, i));
	}
	mended(!early && status_of(child) == 0, "it waits for room for all of a packet");
	for (; i < SLOTS - 2; i++)
		must(take(to[0], 1, i));
	mended(take(to[0], 7 * PAGE, 7), "which it then gets");
	close_both(from);
	close_both(to);
}

/* A child that waits for more room than there is, and ends with its error. */
static pid_t start_waiting(call_function *call, int from[2], int to[2], int slots, int used)
{
	pid_t child;

	open_packets(from, CAPACITY, 0);
	must(put(from[1], 7 * PAGE, 7) == 7 * PAGE && !pipe2(to, O_DIRECT));
	must(fcntl(to[1], F_SETPIPE_SZ, slots * PAGE) == slots * PAGE);
	for (int i = 0; i < used; i++)
		must(put(to[1], 1, i) == 1);
	child = start();
	if (!child) {
		close(to[0]);
		_exit(call(from[0], to[1], 7 * PAGE, 0) < 0 ? errno : 0);
	}
	await_sleep(child);
	return child;
}

static void waits_in_vain(call_function *call)
{
	int from[2], to[2];
	pid_t child = start_waiting(call, from, to, 8, 2);

	must(fcntl(to[0], F_SETPIPE_SZ, 4 * PAGE) == 4 * PAGE || on_base());
	mended(status_of(child) == EMSGSIZE,
	       "the target becomes too small for the packet: EMSGSIZE");
	close_both(from);
	close_both(to);

	signal(SIGPIPE, SIG_IGN);
	child = start_waiting(call, from, to, 8, 2);
	close(to[0]);
	mended(status_of(child) == EPIPE && queued(from[0]) == 7 * PAGE,
	       "the target has no reader any more: EPIPE, and nothing is taken");
	signal(SIGPIPE, SIG_DFL);
	close(to[1]);
	close_both(from);
}

/* What a child that waits for room with a packet of seven slots finds, when that is taken. */
static ssize_t packet_taken(call_function *call, size_t next, bool more)
{
	ssize_t *found = shared_memory(PAGE);
	int from[2], to[2], i;
	ssize_t result;
	pid_t child;

	open_packets(from, CAPACITY, 0);
	must(put(from[1], 7 * PAGE, 7) == 7 * PAGE && !pipe2(to, O_DIRECT));
	for (i = 0; i < SLOTS - 2; i++)
		must(put(to[1], 1, i) == 1);
	child = start();
	if (!child) {
		close(from[1]);
		alarm(SOON);
		*found = call(from[0], to[1], CAPACITY, 0);
		_exit(0);
	}
	await_sleep(child);
	must(take(from[0], 7 * PAGE, 7) || on_base());
	while (on_base() && queued(from[0]))
		take_some(from[0], PAGE, 7);
	must(!next || put(from[1], next, 8) == (ssize_t)next);
	if (!more)
		close(from[1]);
	must(take(to[0], 1, 0));
	result = status_of(child) ? -1 : *found;
	munmap(found, PAGE);
	if (more)
		close(from[1]);
	close(from[0]);
	close_both(to);
	return result;
}

static void another_reader(call_function *call)
{
	mended(packet_taken(call, 100, true) == 100,
	       "another reader takes the packet: the next one, which fits, goes");
	mended(packet_taken(call, 0, false) == 0, "or it is the end of the input");
}

/* Packets of one slot: whole if their pipe has a limit, cut as ever if not. */
static void small(call_function *call)
{
	int from[2], to[2];

	open_packets(from, CAPACITY, O_NONBLOCK);
	open_target(to, SLOTS);
	must(put(from[1], 100, 1) == 100 && put(from[1], 100, 2) == 100);
	mended(fails(call(from[0], to[1], 50, 0), EMSGSIZE) && is_empty(to[0]),
	       "a packet of one slot is not cut either, in a pipe with a limit");
	close_both(from);
	close_both(to);
	must(!pipe2(from, O_NONBLOCK | O_DIRECT));
	open_target(to, SLOTS);
	must(put(from[1], 100, 1) == 100 && put(from[1], 100, 2) == 100);
	ok(call(from[0], to[1], 150, 0) == 150 && take(to[0], 100, 1) && take(to[0], 50, 2) &&
		   is_empty(to[0]) && queued(from[0]) == (call == call_tee ? 200 : 50),
	   "and is as ever in one without");
	close_both(from);
	close_both(to);
}

/* A packet's pages are in two pipes, and outlive either. */
static void shared_pages(void)
{
	int from[2], to[2], right = 0;

	open_packets(from, CAPACITY, O_NONBLOCK);
	open_target(to, SLOTS);
	for (unsigned int i = 0; i < 50; i++) {
		right += put(from[1], 40000, i) == 40000 &&
			 tee(from[0], to[1], CAPACITY, 0) == 40000 &&
			 take_some(from[0], 5, i) == 5 && put(from[1], 40000, i + 100) == 40000 &&
			 take(to[0], 40000, i) && take(from[0], 40000, i + 100);
		drain(from[0]);
		drain(to[0]);
	}
	mended(right == 50, "a duplicate does not change with what is written later");
	close_both(from);
	close_both(to);
}

/* What takes bytes may leave a part of a packet, which is a packet. */
static void bytes_out(void)
{
	static unsigned char bytes[CAPACITY];
	struct iovec memory = { bytes, 6000 };
	int from[2], sockets[2], file = memfd_create("packets", 0);

	open_three(from);
	must(file >= 0);
	ok(splice(from[0], NULL, file, NULL, 7000, 0) == 7000 &&
		   pread(file, bytes, sizeof(bytes), 0) == 7000 && holds(bytes, 7000, 1),
	   "splice to a file takes bytes");
	mended(next_packet(from[0]) == 2000 && read(from[0], bytes, sizeof(bytes)) == 2000 &&
		       next_packet(from[0]) == 5000,
	       "what is left of the packet is one, and the next one is whole");
	close_both(from);
	open_three(from);
	ok(splice(from[0], NULL, file, NULL, CAPACITY, 0) == 14100 && is_empty(from[0]),
	   "and all of them become one");
	close_both(from);
	open_three(from);
	ok(vmsplice(from[0], &memory, 1, 0) == 6000 && holds(bytes, 6000, 1),
	   "vmsplice to memory takes bytes");
	mended(next_packet(from[0]) == 3000, "and what is left is a packet");
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	ok(splice(from[0], NULL, sockets[0], NULL, 7000, 0) == 7000 && queued(from[0]) == 1100,
	   "so does splice to a socket");
	mended(next_packet(from[0]) == 1000, "and what is left is a packet");
	close_both(sockets);
	close_both(from);
	close(file);
}

/* What comes from files and memory is plain bytes. */
static void bytes_in(void)
{
	static unsigned char bytes[9000];
	struct iovec memory = { bytes, sizeof(bytes) };
	int to[2], file = memfd_create("bytes", 0);
	off_t at = 0;

	fill(bytes, sizeof(bytes), 1);
	must(file >= 0 && write(file, bytes, sizeof(bytes)) == sizeof(bytes));
	open_packets(to, PAGE, O_NONBLOCK);
	ok(splice(file, &at, to[1], NULL, sizeof(bytes), 0) == sizeof(bytes) &&
		   take(to[0], sizeof(bytes), 1),
	   "splice from a file makes plain bytes, whatever the limit");
	ok(vmsplice(to[1], &memory, 1, 0) == sizeof(bytes) && take(to[0], sizeof(bytes), 1),
	   "and so does vmsplice");
	must(splice(file, (at = 0, &at), to[1], NULL, 10, 0) == 10 && put(to[1], 20, 2) == 20);
	mended(take(to[0], 10, 1) && take(to[0], 20, 2), "a packet that follows them is by itself");
	close_both(to);
	close(file);
}

static void both(call_function *call, const char *name)
{
	whole(call, name);
	lengths(call);
	room(call);
	waits(call);
	waits_in_vain(call);
	another_reader(call);
	small(call);
}

int main(void)
{
	alarm(PATIENCE);
	both(call_tee, "tee duplicates whole packets");
	both(call_splice, "splice moves whole packets");
	shared_pages();
	bytes_out();
	bytes_in();
	return tap_done();
}
