/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notes mount | block | key KEY - the bare loop of watchq: reads events where the kernel offers
 * them, the queue before anything else, and prints a line for each, with one write.
 */
#include "bench.h"

#include <linux/netlink.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* What the headers here may lack. */
#define NOTIFICATION_PIPE O_EXCL
#define SET_SIZE 0x5760  /* IOC_WATCH_QUEUE_SET_SIZE */
#define WATCH 0x40185763 /* the series */
#define WATCH_KEY 32     /* KEYCTL_WATCH_KEY */
#define TYPE_MOUNT 2
#define TYPE_BLOCK 4
#define REPORT_MNT 0x4000
#define MARK_MNTNS 0x110
#define MNT_ATTACH 0x01000000ull
#define MNT_DETACH 0x02000000ull
#define NOTES 256

struct object {
	uint32_t size, flags, type;
	int32_t fd;
	uint32_t id, reserved;
};

static void put(const char *what, unsigned long long number)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %llu\n", what, number);

	must(write(STDOUT_FILENO, line, (size_t)n), "write");
}

/* The read end of a notification pipe that watches, or -1. */
static int open_queue(uint32_t type, int fd, long key)
{
	struct object object = { sizeof(object), 0, type, fd, 0, 0 };
	int ends[2];

	if (pipe2(ends, NOTIFICATION_PIPE | O_CLOEXEC) || ioctl(ends[0], SET_SIZE, NOTES))
		return -1;
	if (key ? syscall(SYS_keyctl, WATCH_KEY, key, ends[0], 0) : ioctl(ends[0], WATCH, &object))
		return -1;
	return ends[0];
}

static void read_queue(int fd)
{
	unsigned char bytes[4096];
	uint32_t word[2];
	ssize_t n;

	while ((n = must(read(fd, bytes, sizeof(bytes)), "read")) > 0)
		for (ssize_t at = 0; at < n; at += word[1] & 0x7f) {
			memcpy(word, bytes + at, sizeof(word));
			put("note", word[0]);
		}
}

static void read_fanotify(int fd)
{
	struct {
		uint32_t length;
		uint8_t version, reserved;
		uint16_t metadata;
		uint64_t mask;
		int32_t fd, pid;
		uint32_t header; /* of the one information record that there is */
		uint64_t id;
	} __attribute__((packed)) event;
	unsigned char bytes[4096];
	ssize_t n;

	while ((n = must(read(fd, bytes, sizeof(bytes)), "read")) > 0)
		for (ssize_t at = 0; at < n; at += event.length) {
			memcpy(&event, bytes + at, sizeof(event));
			put(event.mask & MNT_ATTACH ? "attach" : "detach", event.id);
		}
}

static void watch_mount(void)
{
	int ns = (int)must(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), "namespace");
	int fd = open_queue(TYPE_MOUNT, ns, 0);

	if (fd >= 0)
		read_queue(fd);
	fd = (int)must(syscall(SYS_fanotify_init, REPORT_MNT | 1, 0), "fanotify_init");
	must(syscall(SYS_fanotify_mark, fd, MARK_MNTNS | 1, MNT_ATTACH | MNT_DETACH, ns, NULL),
	     "fanotify_mark");
	read_fanotify(fd);
}

static void watch_block(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = open_queue(TYPE_BLOCK, -1, 0);
	char bytes[8192];

	/* Its events are none that sysfs can cause. */
	if (fd >= 0)
		close(fd);
	fd = (int)must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT),
		       "socket");
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	for (;;) {
		ssize_t n = must(recv(fd, bytes, sizeof(bytes), 0), "recv");

		if (memmem(bytes, (size_t)n, "\0SUBSYSTEM=block", 16))
			put(bytes, (unsigned long long)n);
	}
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 2 && !strcmp(argv[1], "mount"))
		watch_mount();
	if (argc == 2 && !strcmp(argv[1], "block"))
		watch_block();
	if (argc != 3 || strcmp(argv[1], "key") != 0)
		return 2;
	fd = open_queue(0, -1, number(argv[2]));
	if (fd < 0)
		die("notification pipe");
	read_queue(fd);
	return 1;
}
