// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets larger than a page: the limit, and what it does to write, read, poll and resizing. */
#include "packet.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define UNTOUCHED 0xa5a5a5a5u

static void limits(void)
{
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	mended(get_limit(fds[1]) == 0 && get_limit(fds[0]) == 0, "a pipe has no limit");
	mended(set_limit(fds[1], 1) && get_limit(fds[0]) == 1, "1 is a limit, told at both ends");
	mended(set_limit(fds[1], CAPACITY) && get_limit(fds[1]) == CAPACITY,
	       "so is the pipe's capacity");
	mended(!set_limit(fds[1], CAPACITY + 1) && errno == EINVAL && get_limit(fds[1]) == CAPACITY,
	       "but a byte more is EINVAL, and changes nothing");
	mended(!set_limit(fds[1], UNKNOWN) && errno == EINVAL, "so is 4 GiB less a byte");
	mended(!set_limit(fds[0], PAGE) && errno == EBADF, "a read end cannot set it: EBADF");
	mended(fails(ioctl(fds[1], XP_IOC_PIPE_SET_PACKET_LIMIT, NULL), EFAULT) &&
		       fails(ioctl(fds[0], XP_IOC_PIPE_GET_PACKET_LIMIT, NULL), EFAULT) &&
		       fails(ioctl(fds[0], XP_IOC_PIPE_NEXT_PACKET, NULL), EFAULT),
	       "no memory: EFAULT");
	mended(set_limit(fds[1], 0) && get_limit(fds[1]) == 0, "0 takes it away");
	close_both(fds);
}

static void other_files(void)
{
	int queue[2], sockets[2], file = open("/dev/null", O_RDWR);

	open_queue(queue, 32);
	mended(!set_limit(queue[1], PAGE) && errno == EOPNOTSUPP &&
		       get_limit(queue[0]) == UNKNOWN && errno == EOPNOTSUPP &&
		       next_packet(queue[0]) == UNKNOWN && errno == EOPNOTSUPP,
	       "a notification pipe has none of it: EOPNOTSUPP");
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) && file >= 0);
	ok(!set_limit(sockets[0], PAGE) && errno == ENOTTY && !set_limit(file, PAGE) &&
		   errno == ENOTTY,
	   "a socket and a device: ENOTTY");
	close_both(queue);
	close_both(sockets);
	close(file);
}

static void fifo(void)
{
	int fd = open_fifo(O_NONBLOCK | O_DIRECT);

	mended(set_limit(fd, 3 * PAGE) && put(fd, 10000, 1) == 10000 && next_packet(fd) == 10000 &&
		       take(fd, 10000, 1) && is_empty(fd),
	       "a FIFO takes them too");
	close(fd);
}

/* Each multiple of a page, and what is near it. */
static void sizes(void)
{
	static const int near[] = { -1, 0, 1, 2000 };
	int fds[2], right = 0, wanted = 0;

	open_packets(fds, CAPACITY, O_NONBLOCK);
	for (size_t pages = 0; pages <= SLOTS; pages++) {
		for (size_t i = 0; i < sizeof(near) / sizeof(*near); i++) {
			int len = (int)pages * PAGE + near[i];

			if (len < 1 || len > CAPACITY)
				continue;
			wanted++;
			right += put(fds[1], len, i) == len && queued(fds[0]) == len &&
				 next_packet(fds[1]) == (unsigned int)len && take(fds[0], len, i) &&
				 is_empty(fds[0]);
			drain(fds[0]);
		}
	}
	mended(right == wanted, "each length from 1 to the capacity is one packet");
	close_both(fds);
}

static void too_large(void)
{
	int fds[2];

	open_packets(fds, 10000, O_NONBLOCK);
	mended(fails(put(fds[1], 10001, 1), EMSGSIZE) && is_empty(fds[0]),
	       "a byte beyond the limit: EMSGSIZE, and nothing is written");
	mended(put(fds[1], 10000, 1) == 10000 && take(fds[0], 10000, 1), "the limit itself goes");
	must(set_limit(fds[1], 100) || on_base());
	mended(fails(put(fds[1], 101, 1), EMSGSIZE), "a limit of less than a page holds too");
	drain(fds[0]);
	ok(put(fds[1], 100, 1) == 100 && take(fds[0], 100, 1), "and lets pass what is within it");
	ok(put(fds[1], 0, 1) == 0 && is_empty(fds[0]), "a write of nothing makes no packet");
	close_both(fds);
}

static void gathered(void)
{
	static unsigned char bytes[9000];
	struct iovec pieces[] = {
		{ bytes, 1 }, { bytes + 1, 4999 }, { bytes, 0 }, { bytes + 5000, 4000 }
	};
	int fds[2];

	fill(bytes, sizeof(bytes), 7);
	open_packets(fds, CAPACITY, O_NONBLOCK);
	mended(writev(fds[1], pieces, 4) == 9000 && take(fds[0], 9000, 7) && is_empty(fds[0]),
	       "what writev gathers is one packet");
	mended(pwritev2(fds[1], pieces, 4, -1, RWF_NOWAIT) == 9000 && take(fds[0], 9000, 7),
	       "with RWF_NOWAIT too");
	close_both(fds);
}

/* A read with too little room for the first of two packets leaves the second as it is. */
static bool cuts(size_t room)
{
	int fds[2];
	bool right;

	open_packets(fds, CAPACITY, O_NONBLOCK);
	must(put(fds[1], 3 * PAGE + 1000, 1) > 0 && put(fds[1], 2 * PAGE + 10, 2) > 0);
	right = take_some(fds[0], room, 1) == (ssize_t)room &&
		next_packet(fds[0]) == 2 * PAGE + 10 && queued(fds[0]) == 2 * PAGE + 10 &&
		take(fds[0], 2 * PAGE + 10, 2) && is_empty(fds[0]);
	close_both(fds);
	return right;
}

static void short_reads(void)
{
	static const size_t rooms[] = {
		1,        999,      PAGE - 1,       PAGE,           PAGE + 1,
		2 * PAGE, 3 * PAGE, 3 * PAGE + 999, 3 * PAGE + 1000
	};
	size_t right = 0;

	for (size_t i = 0; i < sizeof(rooms) / sizeof(*rooms); i++)
		right += cuts(rooms[i]);
	mended(right == sizeof(rooms) / sizeof(*rooms),
	       "a short read loses the rest of its packet, and no more");
}

/* A reader whose memory ends too early has taken nothing. */
static void bad_readers(void)
{
	unsigned char *memory = fenced(3);
	int fds[2], right = 0;

	open_packets(fds, CAPACITY, O_NONBLOCK);
	must(put(fds[1], 3 * PAGE + 10, 1) > 0);
	for (int pages = 0; pages <= 3; pages++)
		right += fails(read(fds[0], memory + (3 - pages) * PAGE, CAPACITY), EFAULT) &&
			 next_packet(fds[0]) == 3 * PAGE + 10;
	mended(right == 4, "a read that faults in any page leaves the packet there");
	mended(take(fds[0], 3 * PAGE + 10, 1) && is_empty(fds[0]), "all of it");
	munmap(memory, 4 * PAGE);
	close_both(fds);
}

static long free_memory(void)
{
	FILE *info = fopen("/proc/meminfo", "re");
	char line[100];
	long kilobytes = 0;

	must(info);
	while (fgets(line, sizeof(line), info) && !sscanf(line, "MemFree: %ld", &kilobytes))
		;
	fclose(info);
	return kilobytes;
}

/* Of a packet whose memory ends too early there is nothing, not even a page that is used up. */
static void bad_writers(void)
{
	unsigned char *memory = fenced(SLOTS - 1);
	int fds[2], right = 0, i;
	long before;

	open_packets(fds, CAPACITY, O_NONBLOCK);
	fill(memory, (SLOTS - 1) * PAGE, 1);
	for (i = 0; i < SLOTS; i++)
		right += fails(write(fds[1], memory + (SLOTS - 1 - i) * PAGE, CAPACITY), EFAULT) &&
			 is_empty(fds[0]);
	mended(right == SLOTS, "a write that faults in any page leaves nothing");
	drain(fds[0]);
	must(put(fds[1], 5000, 2) > 0);
	mended(fails(write(fds[1], memory + (SLOTS - 4) * PAGE, 4 * PAGE), EFAULT) &&
		       queued(fds[0]) == 5000,
	       "nor does it touch what is queued");
	mended(write(fds[1], memory, 14 * PAGE) == 14 * PAGE && take(fds[0], 5000, 2) &&
		       take(fds[0], 14 * PAGE, 1) && is_empty(fds[0]),
	       "or take a slot");
	drain(fds[0]);
	before = free_memory();
	for (i = 0; i < 4000; i++)
		if (!fails(write(fds[1], memory, CAPACITY), EFAULT))
			break;
	mended(i == 4000 && free_memory() > before - 32 * 1024,
	       "250 MB of such writes are not 32 MB of memory less");
	munmap(memory, SLOTS * PAGE);
	close_both(fds);
}

static void full(void)
{
	int fds[2], i;

	open_packets(fds, 8 * PAGE, O_NONBLOCK);
	ok(put(fds[1], 8 * PAGE, 1) == 8 * PAGE && put(fds[1], 7 * PAGE + 1, 2) == 7 * PAGE + 1,
	   "two packets of eight slots fill a pipe of sixteen");
	ok(fails(put(fds[1], 1, 3), EAGAIN), "there is no room for a third: EAGAIN");
	mended(take(fds[0], 8 * PAGE, 1) && put(fds[1], PAGE, 3) == PAGE &&
		       fails(put(fds[1], 8 * PAGE, 4), EAGAIN) &&
		       queued(fds[0]) == 7 * PAGE + 1 + PAGE,
	       "seven slots are too few for eight pages: EAGAIN, and nothing is written");
	mended(put(fds[1], 7 * PAGE, 5) == 7 * PAGE, "and enough for seven");
	mended(take(fds[0], 7 * PAGE + 1, 2) && take(fds[0], PAGE, 3) &&
		       take(fds[0], 7 * PAGE, 5) && is_empty(fds[0]),
	       "all of them come in order");
	drain(fds[0]);
	for (i = 0; put(fds[1], 1, i) == 1; i++)
		;
	ok(i == SLOTS, "a packet of a byte takes a slot");
	close_both(fds);
}

static void polled(void)
{
	struct epoll_event event = { .events = EPOLLOUT }, edge = { .events = EPOLLOUT | EPOLLET };
	int fds[2], plain, level = epoll_create1(0), edges = epoll_create1(0), i;

	open_packets(fds, 8 * PAGE, O_NONBLOCK);
	plain = plain_writer(fds[1], O_NONBLOCK);
	must(level >= 0 && !epoll_ctl(level, EPOLL_CTL_ADD, fds[1], &event));
	must(edges >= 0 && !epoll_ctl(edges, EPOLL_CTL_ADD, fds[1], &edge));
	for (i = 0; i < 8; i++)
		must(writable(fds[1]) && put(fds[1], 10, i) == 10);
	ok(writable(fds[1]) && epoll_wait(edges, &edge, 1, 0) == 1, "room for the limit: writable");
	must(put(fds[1], 10, 8) == 10);
	mended(!writable(fds[1]) && epoll_wait(level, &event, 1, 0) == 0,
	       "a slot too few: not writable, by poll and epoll");
	ok(writable(plain), "but it is to a writer that is not in packet mode");
	epoll_wait(edges, &edge, 1, 0);
	must(take(fds[0], 10, 0));
	ok(writable(fds[1]) && epoll_wait(level, &event, 1, 0) == 1, "a read makes it so again");
	mended(epoll_wait(edges, &edge, 1, 0) == 1, "of which an edge tells");
	ok(put(fds[1], 8 * PAGE, 9) == 8 * PAGE, "and the limit can be written");
	must(set_limit(fds[1], PAGE) || on_base());
	must(take(fds[0], 10, 1));
	ok(writable(fds[1]), "with a smaller limit less will do");
	close(level);
	close(edges);
	close(plain);
	close_both(fds);
}

/* One that polls sleeps until the limit fits, and no longer. */
static void poll_wakes(void)
{
	int fds[2], i, early = 0;
	pid_t child;

	open_packets(fds, 8 * PAGE, O_NONBLOCK);
	for (i = 0; i < SLOTS; i++)
		must(put(fds[1], 1, i) == 1);
	child = start();
	if (!child) {
		struct pollfd poll_fd = { .fd = fds[1], .events = POLLOUT };

		_exit(poll(&poll_fd, 1, -1) == 1 && put(fds[1], 8 * PAGE, 99) == 8 * PAGE ? 0 : 1);
	}
	await_sleep(child);
	for (i = 0; i < 8; i++) {
		early += !is_asleep(child);
		must(take(fds[0], 1, i));
	}
	mended(status_of(child) == 0 && !early, "poll wakes up when there is room for the limit");
	close_both(fds);
}

static void resized(void)
{
	int fds[2];

	open_packets(fds, 5 * PAGE, O_NONBLOCK);
	mended(fails(fcntl(fds[1], F_SETPIPE_SZ, 4 * PAGE), EBUSY) &&
		       fcntl(fds[1], F_GETPIPE_SZ) == CAPACITY,
	       "a pipe does not become smaller than its limit: EBUSY");
	ok(fcntl(fds[0], F_SETPIPE_SZ, 8 * PAGE) == 8 * PAGE, "as small as it it does");
	mended(!set_limit(fds[1], 8 * PAGE + 1) && errno == EINVAL && set_limit(fds[1], 8 * PAGE),
	       "the limit has to fit then");
	ok(fcntl(fds[0], F_SETPIPE_SZ, 256 * PAGE) == 256 * PAGE, "larger is always right");
	must(set_limit(fds[1], 0) || on_base());
	ok(fcntl(fds[0], F_SETPIPE_SZ, PAGE) == PAGE, "without the limit, smaller as well");
	close_both(fds);
}

/* The largest pipe that there is without privileges. */
static void megabyte(void)
{
	size_t len = 256 * PAGE;
	unsigned char *out = malloc(len), *in = malloc(len);
	int fds[2];

	must(out && in && !pipe2(fds, O_DIRECT | O_NONBLOCK));
	must(fcntl(fds[1], F_SETPIPE_SZ, len) == (int)len);
	must(set_limit(fds[1], (unsigned int)len) || on_base());
	fill(out, len, 3);
	mended(write(fds[1], out, len) == (ssize_t)len && next_packet(fds[0]) == len &&
		       read(fds[0], in, len) == (ssize_t)len && holds(in, len, 3),
	       "a packet of a MiB");
	free(out);
	free(in);
	close_both(fds);
}

static void set_sysctl(const char *path, unsigned long value)
{
	FILE *file = fopen(path, "we");

	must(file && fprintf(file, "%lu\n", value) > 0 && !fclose(file));
}

/* One who is over the soft limit gets small pipes, and so small packets. */
static void user_limits(void)
{
	const char *soft = "/proc/sys/fs/pipe-user-pages-soft";
	unsigned long before;
	FILE *file = fopen(soft, "re");
	pid_t child;

	must(file && fscanf(file, "%lu", &before) == 1 && !fclose(file));
	set_sysctl(soft, 1);
	child = start();
	if (!child) {
		int fds[2];

		must(!setgid(65534) && !setuid(65534) && !pipe2(fds, O_DIRECT | O_NONBLOCK));
		must(fcntl(fds[1], F_GETPIPE_SZ) == 2 * PAGE);
		_exit(fails(fcntl(fds[1], F_SETPIPE_SZ, 4 * PAGE), EPERM) &&
				      !set_limit(fds[1], 2 * PAGE + 1) && errno == EINVAL &&
				      set_limit(fds[1], 2 * PAGE) &&
				      put(fds[1], 2 * PAGE, 1) == 2 * PAGE ?
			      0 :
			      1);
	}
	mended(status_of(child) == 0, "the pages that a user may have in pipes bound the limit");
	set_sysctl(soft, before);
}

/* Without a limit, nothing has changed. */
static void unlimited(void)
{
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	ok(put(fds[1], 10000, 1) == 10000 && take_some(fds[0], CAPACITY, 1) == PAGE &&
		   read(fds[0], (char[PAGE]){ 0 }, PAGE) == PAGE &&
		   read(fds[0], (char[PAGE]){ 0 }, PAGE) == 10000 - 2 * PAGE && is_empty(fds[0]),
	   "without a limit, 10000 bytes are three packets");
	must(put(fds[1], 10000, 1) == 10000);
	mended(next_packet(fds[0]) == PAGE, "whose sizes can be asked for");
	close_both(fds);
	must(!pipe2(fds, O_NONBLOCK));
	must(put(fds[1], 10, 1) == 10 && !fcntl(fds[1], F_SETFL, O_DIRECT | O_NONBLOCK));
	must(put(fds[1], 20, 2) == 20 && put(fds[1], 30, 3) == 30);
	ok(read(fds[0], (char[100]){ 0 }, 100) == 60,
	   "without a limit, packets merge with plain bytes");
	mended(next_packet(fds[0]) == 0, "an empty pipe has no next packet");
	close_both(fds);
}

static void taken_away(void)
{
	int fds[2];

	open_packets(fds, CAPACITY, O_NONBLOCK);
	must(put(fds[1], 10000, 1) == 10000);
	mended(set_limit(fds[1], 0) && next_packet(fds[0]) == 10000,
	       "the limit is taken away from a pipe with a packet");
	must(put(fds[1], 5000, 2) == 5000);
	mended(take(fds[0], 10000, 1), "which stays as it is");
	drain(fds[0]);
	must(put(fds[1], 5000, 2) == 5000);
	ok(take_some(fds[0], CAPACITY, 2) == PAGE, "new ones are cut at a page");
	close_both(fds);
}

/* Packets keep apart from plain bytes, before them and behind. */
static void plain_bytes(void)
{
	int fds[2], plain;

	open_packets(fds, CAPACITY, O_NONBLOCK);
	plain = plain_writer(fds[1], O_NONBLOCK);
	must(put(plain, 10, 1) == 10 && put(fds[1], 20, 2) == 20 && put(plain, 5000, 3) == 5000 &&
	     put(fds[1], 6000, 4) == 6000 && put(plain, 7, 5) == 7);
	mended(next_packet(fds[0]) == 10 && take(fds[0], 10, 1), "plain bytes end before a packet");
	mended(take(fds[0], 20, 2), "which is by itself");
	mended(next_packet(fds[0]) == PAGE && take(fds[0], 5000, 3),
	       "plain bytes in several slots are read at once");
	mended(take(fds[0], 6000, 4) && take(fds[0], 7, 5), "and a large packet is by itself too");
	mended(put(plain, 100000, 6) == CAPACITY && take(fds[0], CAPACITY, 6),
	       "no limit holds for plain bytes");
	close(plain);
	close_both(fds);
}

static void broken(void)
{
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	open_packets(fds, CAPACITY, 0);
	close(fds[0]);
	ok(fails(put(fds[1], 10000, 1), EPIPE), "without a reader: EPIPE");
	close(fds[1]);
	signal(SIGPIPE, SIG_DFL);
}

int main(void)
{
	alarm(PATIENCE);
	limits();
	other_files();
	fifo();
	sizes();
	too_large();
	gathered();
	short_reads();
	bad_readers();
	bad_writers();
	full();
	polled();
	poll_wakes();
	resized();
	megabyte();
	user_limits();
	unlimited();
	taken_away();
	plain_bytes();
	broken();
	return tap_done();
}
