/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * served sequential|random|cached REQUEST BYTES ORIGINAL MOUNT FILE COMMAND... - starts a server
 * that mounts on MOUNT, reads BYTES of FILE there in requests of so many bytes, unmounts.
 *
 * The first two read with O_DIRECT, so that every read is a request of that length, and none is
 * answered from the client's page cache; "cached" is what cat does: the kernel reads ahead, into a
 * cache that is empty because the mount is new. ORIGINAL, if it is no empty word, is compared with
 * what arrives; a run that compares is not for its times. Prints the seconds that the reads took,
 * the CPU that the server used meanwhile, and its peak resident set in KiB, as stages does.
 */
#include "bench.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 10000

static double clock_of(clockid_t id)
{
	struct timespec t;

	must(clock_gettime(id, &t), "clock");
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static dev_t device_of(const char *path)
{
	struct stat st;

	must(stat(path, &st), path);
	return st.st_dev;
}

static pid_t start(char **command)
{
	pid_t pid = (pid_t)must(fork(), "fork");

	if (pid)
		return pid;
	execvp(command[0], command);
	die(command[0]);
}

/* Returns once something else is mounted there: the table of mounts tells when it changes. */
static void wait_for_mount(const char *path, dev_t before, int mounts)
{
	struct pollfd changed = { .fd = mounts, .events = POLLPRI };

	while (device_of(path) == before)
		if (!must(poll(&changed, 1, PATIENCE_MS), "poll")) {
			errno = ETIMEDOUT;
			die(path);
		}
}

/* Each place has its turn in some order that looks like none: a step prime to their number. */
static off_t place(bool random, long turn, long places, long request)
{
	uint64_t number = (uint64_t)turn;

	if (random)
		number = number * 2654435761U % (uint64_t)places;
	return (off_t)number * request;
}

static void *buffer(long size)
{
	void *memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static void read_at(int fd, void *memory, long request, off_t at)
{
	if (must(pread(fd, memory, (size_t)request, at), "read") != request) {
		errno = EIO;
		die("short read");
	}
}

static void read_all(int fd, bool random, long request, long bytes, int original)
{
	void *memory = buffer(request), *want = buffer(request);
	long places = bytes / request;

	for (long turn = 0; turn < places; turn++) {
		off_t at = place(random, turn, places, request);

		read_at(fd, memory, request, at);
		if (original < 0)
			continue;
		read_at(original, want, request, at);
		if (memcmp(memory, want, (size_t)request) != 0) {
			errno = EBADMSG;
			die("other bytes");
		}
	}
}

static void unmount(char *path)
{
	static char tool[] = "fusermount3", option[] = "-u";
	char *command[] = { tool, option, path, NULL };
	int status;

	must(waitpid(start(command), &status, 0), "wait");
	if (status) {
		errno = EBUSY;
		die(path);
	}
}

int main(int argc, char **argv)
{
	struct rusage used;
	clockid_t server;
	int status;

	if (argc < 8) {
		errno = EINVAL;
		die("arguments");
	}
	bool random = *argv[1] == 'r', direct = *argv[1] != 'c';
	long request = number(argv[2]), bytes = number(argv[3]);
	int original = *argv[4] ? (int)must(open(argv[4], O_RDONLY | O_CLOEXEC), argv[4]) : -1;
	int mounts = (int)must(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC), "mounts");
	dev_t before = device_of(argv[5]);
	pid_t pid = start(argv + 7);

	wait_for_mount(argv[5], before, mounts);
	errno = clock_getcpuclockid(pid, &server);
	if (errno)
		die("clock");
	int fd = (int)must(open(argv[6], O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0)), argv[6]);
	double cpu = clock_of(server), began = clock_of(CLOCK_MONOTONIC);

	read_all(fd, random, request, bytes, original);
	double took = clock_of(CLOCK_MONOTONIC) - began;

	cpu = clock_of(server) - cpu;
	close(fd);
	unmount(argv[5]);
	must(wait4(pid, &status, 0, &used), "wait");
	printf("%.9f %.6f %ld\n", took, cpu, used.ru_maxrss);
	return status != 0;
}
