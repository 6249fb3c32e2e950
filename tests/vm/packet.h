/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packet.h - what the tests of packets larger than a page share. */
#ifndef EXTPIPE_TESTS_PACKET_H
#define EXTPIPE_TESTS_PACKET_H

#include "vm.h"

#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#define PAGE 4096
#define SLOTS 16
#define CAPACITY (SLOTS * PAGE)
#define UNKNOWN 0xffffffffu

/* In seconds: what should have been woken up and was not ends then, and all children with it. */
#define PATIENCE 200

static inline bool set_limit(int fd, unsigned int limit)
{
	return !ioctl(fd, XP_IOC_PIPE_SET_PACKET_LIMIT, &limit);
}

static inline unsigned int get_limit(int fd)
{
	unsigned int limit;

	return ioctl(fd, XP_IOC_PIPE_GET_PACKET_LIMIT, &limit) ? UNKNOWN : limit;
}

static inline unsigned int next_packet(int fd)
{
	unsigned int len;

	return ioctl(fd, XP_IOC_PIPE_NEXT_PACKET, &len) ? UNKNOWN : len;
}

/* A pipe in packet mode, with a limit where the kernel has such. */
static inline void open_packets(int fds[2], unsigned int limit, int flags)
{
	must(!pipe2(fds, O_DIRECT | O_CLOEXEC | flags));
	must(fcntl(fds[0], F_GETPIPE_SZ) == CAPACITY);
	must(set_limit(fds[1], limit) || on_base());
}

/* Both ends of a FIFO without a name. */
static inline int open_fifo(int flags)
{
	char path[] = "/tmp/fifo.XXXXXX";
	int fd;

	must(mkdtemp(path));
	must(!rmdir(path) && !mkfifo(path, 0600));
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	must(fd >= 0 && !fcntl(fd, F_SETFL, flags) && !unlink(path));
	return fd;
}

/* Another descriptor of the same pipe, which is not in packet mode. */
static inline int plain_writer(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	must(fd >= 0);
	return fd;
}

/* The same numbers each time, for who begins with the same state, which is not 0. */
static inline unsigned int random_number(unsigned int *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#define DIGEST_START 0xcbf29ce484222325u

/* FNV-1a, going on from @digest. */
static inline uint64_t digest_of(uint64_t digest, const void *bytes, size_t len)
{
	const unsigned char *byte = bytes;

	while (len--)
		digest = (digest ^ *byte++) * 0x100000001b3u;
	return digest;
}

/* A byte of a packet tells where it is, and in which packet. */
static inline unsigned char byte_at(size_t at, unsigned int seed)
{
	return (unsigned char)(at + (at >> 8) * 7 + (at >> 16) * 31 + seed * 101);
}

static inline void fill(unsigned char *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(i, seed);
}

static inline bool holds(const unsigned char *bytes, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != byte_at(i, seed))
			return false;
	return true;
}

static inline ssize_t put(int fd, size_t len, unsigned int seed)
{
	static unsigned char bytes[2 * CAPACITY];

	must(len <= sizeof(bytes));
	fill(bytes, len, seed);
	return write(fd, bytes, len);
}

/* What one read with room for @room bytes gets is the beginning of that packet: its length. */
static inline ssize_t take_some(int fd, size_t room, unsigned int seed)
{
	static unsigned char bytes[2 * CAPACITY];
	ssize_t n;

	must(room <= sizeof(bytes));
	n = read(fd, bytes, room);
	return n > 0 && !holds(bytes, (size_t)n, seed) ? -2 : n;
}

/* Does one read get that packet, as long as it is? */
static inline bool take(int fd, size_t len, unsigned int seed)
{
	return take_some(fd, 2 * CAPACITY, seed) == (ssize_t)len;
}

/* Empties a pipe that does not block, of whatever a kernel without limits has made. */
static inline void drain(int fd)
{
	static unsigned char bytes[CAPACITY];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static inline bool is_empty(int fd)
{
	return !queued(fd) && !readable(fd);
}

static inline bool fails(long result, int error)
{
	return result == -1 && errno == error;
}

static inline bool writable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	must(poll(&poll_fd, 1, 0) >= 0);
	return poll_fd.revents & POLLOUT;
}

static inline void do_nothing(int number)
{
	(void)number;
}

/* Signals interrupt system calls then; which start again if @flags has SA_RESTART. */
static inline void let_interrupt(int number, int flags)
{
	struct sigaction action = { .sa_handler = do_nothing, .sa_flags = flags };

	must(!sigaction(number, &action, NULL));
}

/* Zeros, which children that are started later share. */
static inline void *shared_memory(size_t len)
{
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED);
	return memory;
}

/* Memory of @pages pages, after which there is none. */
static inline unsigned char *fenced(size_t pages)
{
	unsigned char *memory = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED);
	must(!mprotect(memory + pages * PAGE, PAGE, PROT_NONE));
	return memory;
}

static inline pid_t start(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	must(child >= 0);
	must(child || !prctl(PR_SET_PDEATHSIG, SIGKILL));
	return child;
}

static inline int status_of(pid_t child)
{
	int status;

	must(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
