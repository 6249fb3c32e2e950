// SPDX-License-Identifier: GPL-2.0-or-later
/* Writers of packets larger than a page that wait for room. */
#include "packet.h"

/* A pipe that is full of packets of a byte, numbered from 0, and blocks. */
static void open_full(int fds[2], unsigned int limit)
{
	open_packets(fds, limit, 0);
	for (int i = 0; i < SLOTS; i++)
		must(put(fds[1], 1, i) == 1);
}

/* A child that writes a packet, and ends with @error if that fails with it, or 0. */
static pid_t start_writer(int fds[2], size_t len, unsigned int seed)
{
	pid_t child = start();
	ssize_t n;

	if (child)
		return child;
	close(fds[0]);
	n = put(fds[1], len, seed);
	_exit(n == (ssize_t)len ? 0 : n < 0 ? errno : 255);
}

/*
 * What poll says of a pipe with @used slots in use is what a write then finds: of the limit's size,
 * in whole pages or a byte above the last but one. A write that may not wait fails with EAGAIN, or
 * its packet is there as a whole.
 */
static bool honest(int fds[2], unsigned int used, unsigned int pages, size_t limit)
{
	bool room = used + pages <= SLOTS, right;
	unsigned int i;
	ssize_t n;

	must(set_limit(fds[1], (unsigned int)limit) || on_base());
	for (i = 0; i < used; i++)
		must(put(fds[1], 1, i) == 1);
	right = writable(fds[1]) == room;
	n = put(fds[1], limit, 99);
	right &= room ? n == (ssize_t)limit : fails(n, EAGAIN);
	right &= queued(fds[0]) == (int)(used + (room ? limit : 0));
	for (i = 0; i < used; i++)
		must(take(fds[0], 1, i));
	right &= !room || take(fds[0], limit, 99);
	right &= is_empty(fds[0]);
	drain(fds[0]);
	return right;
}

/* One pipe for all, so that packets lie anywhere in its ring. */
static void polled(void)
{
	unsigned int used, pages, right = 0;
	int fds[2];

	open_packets(fds, CAPACITY, O_NONBLOCK);
	for (used = 0; used <= SLOTS; used++)
		for (pages = 1; pages <= SLOTS; pages++)
			right += honest(fds, used, pages, pages * PAGE) &&
				 honest(fds, used, pages, (pages - 1) * PAGE + 1);
	mended(right == (SLOTS + 1) * SLOTS,
	       "with each use of the slots and each limit, poll says whether the limit fits");
	close_both(fds);
}

/* Each read frees a slot; the writer needs five of them. */
static void needs_several(void)
{
	int fds[2], early = 0, i;
	pid_t child;

	open_full(fds, CAPACITY);
	child = start_writer(fds, 4 * PAGE + 1, 77);
	for (i = 0; i < 5; i++) {
		early += !is_asleep(child) || next_packet(fds[0]) != 1 ||
			 queued(fds[0]) != SLOTS - i;
		must(take(fds[0], 1, i));
	}
	mended(!early && status_of(child) == 0, "a writer waits for all the slots that it needs");
	for (; i < SLOTS; i++)
		must(take(fds[0], 1, i));
	mended(take(fds[0], 4 * PAGE + 1, 77) && is_empty(fds[0]), "and its packet comes whole");
	close_both(fds);
}

/* What came first goes first, although there would be room for what came later. */
static void in_line(void)
{
	int fds[2], early = 0, i;
	pid_t large, small[3];

	open_full(fds, CAPACITY);
	large = start_writer(fds, 6 * PAGE, 70);
	await_sleep(large);
	for (i = 0; i < 3; i++) {
		small[i] = start_writer(fds, 10, 71);
		await_sleep(small[i]);
	}
	for (i = 0; i < 6; i++) {
		for (int j = 0; j < 3; j++)
			early += !is_asleep(small[j]);
		must(take(fds[0], 1, i));
	}
	mended(!early && status_of(large) == 0, "small packets don't pass a large one that waits");
	for (; i < 9; i++)
		must(take(fds[0], 1, i));
	ok(status_of(small[0]) == 0 && status_of(small[1]) == 0 && status_of(small[2]) == 0,
	   "they follow it");
	for (; i < SLOTS; i++)
		must(take(fds[0], 1, i));
	mended(take(fds[0], 6 * PAGE, 70) && take(fds[0], 10, 71) && take(fds[0], 10, 71) &&
		       take(fds[0], 10, 71) && is_empty(fds[0]),
	       "in this order");
	close_both(fds);
}

/* Those who wait must not keep each other's wake-ups: with the last slots all of them go. */
static void all_at_once(void)
{
	static const size_t lengths[] = { 3 * PAGE, 1, 5 * PAGE, 100, 2 * PAGE, PAGE };
	int fds[2], right = 0, plain;
	pid_t children[7];

	open_packets(fds, CAPACITY, 0);
	must(put(fds[1], CAPACITY, 1) == CAPACITY);
	for (int i = 0; i < 6; i++) {
		children[i] = start_writer(fds, lengths[i], (unsigned int)i);
		await_sleep(children[i]);
	}
	/* One that is not in packet mode waits exclusively, as ever. */
	plain = plain_writer(fds[1], 0);
	children[6] = start_writer((int[2]){ fds[0], plain }, 10, 6);
	await_sleep(children[6]);
	mended(take(fds[0], CAPACITY, 1), "a packet of the whole pipe");
	while (on_base() && queued(fds[0]))
		take_some(fds[0], CAPACITY, 1);
	for (int i = 0; i < 7; i++)
		right += status_of(children[i]) == 0;
	ok(right == 7, "lets all go who waited behind it");
	ok(queued(fds[0]) == 11 * PAGE + 111 || on_base(), "with all their packets");
	close(plain);
	close_both(fds);
}

static void interrupted(void)
{
	int fds[2], i;
	pid_t first, second, restarted;

	open_full(fds, CAPACITY);
	let_interrupt(SIGUSR1, 0);
	first = start_writer(fds, 5000, 1);
	await_sleep(first);
	second = start_writer(fds, 5000, 2);
	await_sleep(second);
	let_interrupt(SIGUSR1, SA_RESTART);
	restarted = start_writer(fds, 5000, 3);
	await_sleep(restarted);
	must(!kill(second, SIGUSR1));
	ok(status_of(second) == EINTR, "a signal ends the wait of one who is in line: EINTR");
	must(!kill(first, SIGUSR1));
	ok(status_of(first) == EINTR, "and of the one who waits for room");
	must(!kill(restarted, SIGUSR1));
	ok(is_asleep(restarted) && queued(fds[0]) == SLOTS,
	   "or it starts again, with SA_RESTART; nothing has been written");
	for (i = 0; i < 2; i++)
		must(take(fds[0], 1, i));
	ok(status_of(restarted) == 0 && queued(fds[0]) == SLOTS - 2 + 5000,
	   "whoever is left gets the room");
	for (; i < SLOTS; i++)
		must(take(fds[0], 1, i));
	mended(take(fds[0], 5000, 3) && is_empty(fds[0]), "for all of its packet");
	close_both(fds);
	signal(SIGUSR1, SIG_DFL);
}

static void killed(void)
{
	int fds[2], i;
	pid_t first, second;

	open_full(fds, CAPACITY);
	first = start_writer(fds, 5000, 1);
	await_sleep(first);
	second = start_writer(fds, 5000, 2);
	await_sleep(second);
	must(!kill(first, SIGKILL));
	ok(status_of(first) == -SIGKILL, "the one who waits for room can be killed");
	for (i = 0; i < SLOTS; i++)
		must(take(fds[0], 1, i));
	mended(status_of(second) == 0 && take(fds[0], 5000, 2), "the next one follows it");
	close_both(fds);
}

/* The limit changes under those who wait. */
static void limit_changes(void)
{
	int fds[2], i;
	pid_t large, small;

	open_full(fds, CAPACITY);
	large = start_writer(fds, 5 * PAGE, 1);
	await_sleep(large);
	small = start_writer(fds, 4 * PAGE, 2);
	await_sleep(small);
	if (!set_limit(fds[1], 4 * PAGE)) {
		must(on_base());
		kill(large, SIGKILL);
	}
	mended(status_of(large) == EMSGSIZE && is_asleep(small),
	       "a smaller limit: EMSGSIZE for the one that is larger");
	must(set_limit(fds[1], 0) || on_base());
	must(is_asleep(small));
	mended(get_limit(fds[0]) == 0, "no limit: the other waits on");
	for (i = 0; i < SLOTS; i++)
		must(take(fds[0], 1, i));
	ok(status_of(small) == 0 && next_packet(fds[0]) != 4 * PAGE && queued(fds[0]) >= 4 * PAGE,
	   "and its packet is cut, as without a limit");
	close_both(fds);
}

static void resized(void)
{
	int fds[2];
	pid_t child;

	open_full(fds, 2 * PAGE);
	child = start_writer(fds, 2 * PAGE, 1);
	await_sleep(child);
	must(fcntl(fds[0], F_SETPIPE_SZ, 2 * CAPACITY) == 2 * CAPACITY);
	ok(status_of(child) == 0, "a larger pipe has room");
	close_both(fds);
}

static void broken(void)
{
	int fds[2];
	pid_t first, second;

	open_full(fds, CAPACITY);
	signal(SIGPIPE, SIG_IGN);
	first = start_writer(fds, 5000, 1);
	await_sleep(first);
	second = start_writer(fds, 5000, 2);
	await_sleep(second);
	close(fds[0]);
	ok(status_of(first) == EPIPE && status_of(second) == EPIPE,
	   "when the last reader goes, all who wait get EPIPE");
	signal(SIGPIPE, SIG_DFL);
	close(fds[1]);
}

/* A reader that waits gets all of a packet. */
static void reader_waits(void)
{
	int fds[2];
	pid_t child;

	open_packets(fds, CAPACITY, 0);
	child = start();
	if (!child)
		_exit(take(fds[0], CAPACITY, 5) ? 0 : 1);
	await_sleep(child);
	must(put(fds[1], CAPACITY, 5) == CAPACITY);
	mended(status_of(child) == 0, "a reader that waits gets all of a packet at once");
	close_both(fds);
}

/* As many small packets as there is room for, and one that needs the whole pipe each time. */
static void no_starvation(void)
{
	int *done = shared_memory(PAGE);
	int fds[2], right = 0, i;
	pid_t children[5];
	ssize_t n;

	open_packets(fds, CAPACITY, 0);
	for (i = 0; i < 5; i++) {
		children[i] = start();
		if (children[i])
			continue;
		close(fds[0]);
		if (i == 4) {
			for (int j = 0; j < 100; j++)
				right += put(fds[1], CAPACITY, 4) == CAPACITY;
			*(volatile int *)done = 1;
			_exit(right != 100);
		}
		while (!*(volatile int *)done)
			if (put(fds[1], 1, (unsigned int)i) != 1)
				_exit(1);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], (char[CAPACITY]){ 0 }, CAPACITY)) > 0)
		right += n == CAPACITY;
	for (i = 0; i < 5; i++)
		must(status_of(children[i]) == 0);
	mended(right == 100, "packets of the whole pipe get through among small ones");
	munmap(done, PAGE);
	close(fds[0]);
}

int main(void)
{
	alarm(PATIENCE);
	polled();
	needs_several();
	in_line();
	all_at_once();
	interrupted();
	killed();
	limit_changes();
	resized();
	broken();
	reader_waits();
	no_starvation();
	return tap_done();
}
