// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many writers and many readers of packets larger than a page, each packet with its writer, its
 * number, its length and a checksum: none torn, none lost, none twice, and those of one writer in
 * order.
 */
#include "packet.h"

#include <sys/time.h>

#define WRITERS 5
#define READERS 3
#define RELAYS 2
#define PACKETS 400

struct head {
	unsigned int writer, number, len, sum;
};

/* What a run is like. */
struct crowd {
	const char *name;
	unsigned int limit, slots, readers;
	bool nonblocking, alarms, sized, relayed;
};

/* What all see. */
struct shared {
	unsigned char seen[WRITERS][PACKETS];
	unsigned int torn, reordered, unasked, interrupted, refused;
};

static struct shared *shared;

/* Of a packet's bytes behind its head; the number is in it too. */
static unsigned int sum_of(const unsigned char *packet, const struct head *head)
{
	uint64_t sum = digest_of(DIGEST_START + head->number, packet + sizeof(*head),
				 head->len - sizeof(*head));

	return (unsigned int)(sum ^ sum >> 32);
}

/* A signal each millisecond or so, whose handler does not let system calls start again. */
static void start_alarms(void)
{
	struct itimerval interval = { { 0, 1300 }, { 0, 1300 } };

	let_interrupt(SIGALRM, 0);
	must(!setitimer(ITIMER_REAL, &interval, NULL));
}

static void count(unsigned int *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static bool try_again(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	if (errno == EAGAIN) {
		count(&shared->refused);
		if (poll(&poll_fd, 1, -1) >= 0)
			return true;
	}
	if (errno != EINTR)
		return false;
	count(&shared->interrupted);
	return true;
}

static unsigned int some_length(const struct crowd *crowd, unsigned int *state)
{
	unsigned int most = crowd->limit;

	/* A third of them small, a third around a page's end, a third anything. */
	switch (random_number(state) % 3) {
	case 0:
		most = PAGE / 4;
		break;
	case 1:
		most = (1 + random_number(state) % (most / PAGE)) * PAGE;
		return most - random_number(state) % 3 +
		       random_number(state) % 2 * (most < crowd->limit);
	}
	return sizeof(struct head) + random_number(state) % (most - sizeof(struct head) + 1);
}

static void writer(const struct crowd *crowd, int fd, unsigned int id)
{
	unsigned char *bytes = malloc(crowd->limit);
	unsigned int state = 88172645u + id;
	struct head head = { .writer = id };
	ssize_t n;

	must(bytes);
	for (; head.number < PACKETS; head.number++) {
		head.len = some_length(crowd, &state);
		for (size_t i = sizeof(head); i < head.len; i++)
			bytes[i] = (unsigned char)(random_number(&state) >> 8);
		head.sum = sum_of(bytes, &head);
		memcpy(bytes, &head, sizeof(head));
		do
			n = write(fd, bytes, head.len);
		while (n < 0 && try_again(fd, POLLOUT));
		if (n != (ssize_t)head.len)
			count(&shared->torn);
	}
	_exit(0);
}

static void check(const unsigned char *bytes, size_t len, int last[WRITERS])
{
	struct head head = { .writer = WRITERS };

	if (len >= sizeof(head))
		memcpy(&head, bytes, sizeof(head));
	if (head.writer >= WRITERS || head.number >= PACKETS || head.len != len ||
	    head.sum != sum_of(bytes, &head)) {
		count(&shared->torn);
		return;
	}
	if (last[head.writer] >= (int)head.number)
		count(&shared->reordered);
	last[head.writer] = (int)head.number;
	__atomic_add_fetch(&shared->seen[head.writer][head.number], 1, __ATOMIC_RELAXED);
}

static void reader(const struct crowd *crowd, int fd)
{
	size_t room = crowd->slots * PAGE;
	unsigned char *bytes = malloc(room);
	int last[WRITERS];
	unsigned int next;
	ssize_t n;

	must(bytes);
	memset(last, -1, sizeof(last));
	for (;;) {
		next = crowd->sized ? next_packet(fd) : 0;
		n = read(fd, bytes, next && next <= room ? next : room);
		if (!n)
			_exit(0);
		if (n < 0) {
			must(try_again(fd, POLLIN));
			continue;
		}
		if (next && (ssize_t)next != n)
			count(&shared->unasked);
		check(bytes, (size_t)n, last);
	}
}

/* Moves packets from pipe to pipe, with lengths that end anywhere. */
static void relay(int from, int to)
{
	unsigned int state = 12345;
	ssize_t n;

	for (;;) {
		n = splice(from, NULL, to, NULL, 1 + random_number(&state) % CAPACITY, 0);
		if (n < 0 && errno == EMSGSIZE)
			n = splice(from, NULL, to, NULL, CAPACITY, 0);
		if (!n)
			_exit(0);
		if (n < 0)
			must(errno == EINTR || errno == EAGAIN);
	}
}

static void open_sized(const struct crowd *crowd, int fds[2], int flags)
{
	must(!pipe2(fds, O_CLOEXEC | flags));
	must(fcntl(fds[1], F_SETPIPE_SZ, crowd->slots * PAGE) >= 0);
}

static unsigned int missing(void)
{
	unsigned int sum = 0;

	for (int i = 0; i < WRITERS; i++)
		for (int j = 0; j < PACKETS; j++)
			sum += shared->seen[i][j] != 1;
	return sum;
}

/* A run whose calls are never interrupted, or never refused, has not shown what it is for. */
static bool was_hard(const struct crowd *crowd)
{
	return (!crowd->alarms || shared->interrupted) && (!crowd->nonblocking || shared->refused);
}

static void run_crowd(const struct crowd *crowd)
{
	int in[2], out[2], children = 0, status, bad = 0;

	alarm(PATIENCE);
	memset(shared, 0, sizeof(*shared));
	open_sized(crowd, in, O_DIRECT | (crowd->nonblocking ? O_NONBLOCK : 0));
	must(set_limit(in[1], crowd->limit) || on_base());
	if (crowd->relayed)
		open_sized(crowd, out, 0);
	for (unsigned int i = 0; i < WRITERS + crowd->readers + RELAYS; i++) {
		bool relays = i >= WRITERS + crowd->readers, writes = i < WRITERS;

		if (relays && !crowd->relayed)
			break;
		children++;
		if (start())
			continue;
		if (crowd->alarms)
			start_alarms();
		if (writes)
			close(in[0]);
		else
			close(in[1]);
		if (crowd->relayed && !relays)
			close(out[1]);
		if (writes)
			writer(crowd, in[1], i);
		if (relays)
			relay(in[0], out[1]);
		reader(crowd, crowd->relayed ? out[0] : in[0]);
	}
	close_both(in);
	if (crowd->relayed)
		close_both(out);
	while (children--) {
		must(wait(&status) > 0);
		bad += status != 0;
	}
	if (!mended(!bad && !shared->torn && !shared->reordered && !shared->unasked && !missing() &&
			    was_hard(crowd),
		    crowd->name))
		printf("# %d ended badly; %u torn, %u out of order, %u not as told, %u missing; "
		       "%u calls interrupted, %u refused\n",
		       bad, shared->torn, shared->reordered, shared->unasked, missing(),
		       shared->interrupted, shared->refused);
}

static const struct crowd crowds[] = {
	{ "many writers, one reader", 10 * PAGE, 16, 1, false, false, false, false },
	{ "one reader that asks for each length", 10 * PAGE, 16, 1, false, false, true, false },
	{ "many writers, many readers", 10 * PAGE, 16, READERS, false, false, false, false },
	{ "packets as large as the pipe", 16 * PAGE, 16, READERS, false, false, false, false },
	{ "a pipe of two slots", 2 * PAGE, 2, READERS, false, false, false, false },
	{ "non-blocking ends and poll", 10 * PAGE, 16, READERS, true, false, false, false },
	{ "signals all the time", 10 * PAGE, 16, READERS, false, true, false, false },
	{ "signals, non-blocking ends and poll", 10 * PAGE, 16, READERS, true, true, false, false },
	{ "non-blocking ends and poll, one reader", 10 * PAGE, 16, 1, true, false, false, false },
	{ "signals all the time, one reader", 10 * PAGE, 16, 1, false, true, false, false },
	{ "signals, non-blocking ends and poll, one reader", 16 * PAGE, 16, 1, true, true, true,
	  false },
	{ "splice into a second pipe", 10 * PAGE, 16, READERS, false, false, false, true },
	{ "splice with signals", 10 * PAGE, 16, READERS, false, true, false, true },
	{ "a large pipe", 60 * PAGE, 256, READERS, false, false, false, false },
};

int main(void)
{
	shared = shared_memory(sizeof(*shared));
	for (size_t i = 0; i < sizeof(crowds) / sizeof(*crowds); i++)
		run_crowd(&crowds[i]);
	return tap_done();
}
