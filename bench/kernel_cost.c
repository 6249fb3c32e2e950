// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kernel_cost - what the paths that the kernel series touches cost, with nobody watching.
 *
 * For devtools/vm --count, where a nanosecond of the clock is an instruction. Prints a row an
 * operation: its name, and the mean of the nanoseconds that one took. Not a median: one
 * hundred of mounts costs a third more than another, and which is in the middle is chance.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 4096, BLOCK = 4096 };

#define must(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "kernel_cost: %s: %s\n", #condition, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

static char *block;
static char where[] = "/tmp/kernel_cost.XXXXXX";
static int bytes[2], packets[2], disk;

static void mount_pair(void)
{
	must(!mount("cost", where, "tmpfs", 0, NULL));
	must(!umount(where));
}

static void bind_pair(void)
{
	must(!mount(where, where, NULL, MS_BIND, NULL));
	must(!umount(where));
}

static void one_byte(void)
{
	must(write(bytes[1], block, 1) == 1);
	must(read(bytes[0], block, 1) == 1);
}

static void page(void)
{
	must(write(bytes[1], block, PACKET) == PACKET);
	must(read(bytes[0], block, PACKET) == PACKET);
}

static void packet(void)
{
	must(write(packets[1], block, PACKET) == PACKET);
	must(read(packets[0], block, PACKET) == PACKET);
}

static void disk_read(void)
{
	must(pread(disk, block, BLOCK, 0) == BLOCK);
}

static void disk_write(void)
{
	must(pwrite(disk, block, BLOCK, 0) == BLOCK);
}

static const struct operation {
	const char *name;
	void (*run)(void);
	int times;
	bool disk;
} operations[] = {
	{ "mount-umount", mount_pair, 1500 },
	{ "bind-umount", bind_pair, 1500 },
	{ "pipe-1-byte", one_byte, 30000 },
	{ "pipe-4096", page, 30000 },
	{ "packet-4096", packet, 30000 },
	{ "disk-read-4096", disk_read, 15000, true },
	{ "disk-write-4096", disk_write, 15000, true },
};

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1e9 + at.tv_nsec;
}

static double mean_cost(const struct operation *operation)
{
	double began = now();
	int i;

	for (i = 0; i < operation->times; i++)
		operation->run();
	return (now() - began) / operation->times;
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc > 2) {
		fprintf(stderr, "usage: kernel_cost [BLOCK-DEVICE]\n");
		return 2;
	}
	block = aligned_alloc(BLOCK, BLOCK);
	must(block && mkdtemp(where));
	memset(block, 'x', BLOCK);
	must(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(!pipe2(bytes, O_CLOEXEC) && !pipe2(packets, O_CLOEXEC | O_DIRECT));
	disk = argc > 1 ? open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC) : -1;
	must(argc == 1 || disk >= 0);
	for (i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		if (disk >= 0 || !operations[i].disk)
			printf("%s %.1f\n", operations[i].name, mean_cost(&operations[i]));
	must(!rmdir(where));
	return 0;
}
