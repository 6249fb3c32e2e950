// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * stress_devices - block devices fail, come and go, and file systems fill and change, while they
 * are watched and their watches end.
 *
 * usage: stress_devices [SECONDS]
 *
 * To be run beside stress_watch. Prints TAP.
 */
#include "blockdev.h"
#include "stress.h"

#include <sched.h>
#include <sys/wait.h>

enum { WORKERS_OF_A_KIND = 2, NOTES = 64 };

static unsigned long records, losses;

/* What a watch may be answered: the user's other watches, of stress_watch, may be the last ones. */
static bool may_be(int error)
{
	return !error || error == -EAGAIN || (on_base() && error == -ENOTTY);
}

/* What is read must be whole, and of the type that is watched. */
static void read_all(const int queue[2], unsigned int type)
{
	union bytes got;
	ssize_t n;

	while ((n = next_record(queue[0], &got, 0)) > 0) {
		if (got.head.type == XP_WATCH_TYPE_META) {
			losses += tells_loss(&got);
			continue;
		}
		must(got.head.type == type && n == 40);
		records++;
	}
}

static void fail_reads(const char *name, unsigned int times)
{
	void *memory = aligned_alloc(4096, 4096);
	int fd = open_device(name, O_RDONLY | O_DIRECT);

	must(memory);
	while (times-- > 0)
		must(pread(fd, memory, 4096, 0) == -1 && errno == EIO);
	close(fd);
	free(memory);
}

/* Devices with a bad sector, watched alone or with all others, that go before or after it. */
static void devices(void)
{
	char name[16];

	snprintf(name, sizeof(name), "xs%d", (int)getpid() % 10000);
	while (go_on()) {
		int queue[2], fd, error;
		bool closed = chance(2);

		open_queue(queue, NOTES);
		null_configure(name, "badblocks=+0-0", chance(2) ? "irqmode=2" : "irqmode=1", NULL);
		null_power(name, true);
		fd = chance(2) ? -1 : open_device(name, O_PATH);
		error = watch_block(queue, fd, chance(256), 0);
		must(may_be(error));
		if (fd >= 0)
			close(fd);
		fail_reads(name, chance(300));
		read_all(queue, XP_WATCH_TYPE_BLOCK);
		if (closed)
			close_both(queue);
		null_power(name, false);
		if (!closed) {
			read_all(queue, XP_WATCH_TYPE_BLOCK);
			close_both(queue);
		}
		null_remove(name);
	}
}

static void fill(const char *dir)
{
	char path[64], bytes[4096] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/full", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return; /* read-only just now */
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	must(errno == ENOSPC);
	close(fd);
}

/* A file system that is filled, remounted and unmounted while it is watched. */
static void file_systems(void)
{
	char dir[] = "/tmp/stress.XXXXXX";

	must(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(mkdtemp(dir));
	while (go_on()) {
		int queue[2], times = (int)chance(20), fd;

		open_queue(queue, NOTES);
		must(!mount("stress", dir, "tmpfs", 0, "size=64k"));
		fd = open(dir, O_PATH | O_CLOEXEC);
		must(may_be(watch_object(queue[0], XP_WATCH_TYPE_SB, fd, chance(256), 0)));
		close(fd);
		while (times-- > 0) {
			fill(dir);
			must(!mount(NULL, dir, NULL, MS_REMOUNT | (chance(2) ? MS_RDONLY : 0),
				    NULL));
		}
		read_all(queue, XP_WATCH_TYPE_SB);
		if (chance(2)) {
			close_both(queue);
			must(!umount(dir));
		} else {
			must(!umount(dir));
			read_all(queue, XP_WATCH_TYPE_SB);
			close_both(queue);
		}
	}
	must(!rmdir(dir));
}

static const struct {
	const char *name;
	void (*work)(void);
} kinds[] = {
	{ "block devices that fail and go", devices },
	{ "file systems that fill and go", file_systems },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static pid_t begin(unsigned int kind)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	must(child >= 0);
	if (!child) {
		seed = (unsigned int)getpid() * 2654435761u;
		kinds[kind].work();
		printf("# %s: %lu records, %lu losses\n", kinds[kind].name, records, losses);
		fflush(stdout);
		_exit(records || on_base() ? 0 : 1);
	}
	return child;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 5, status, i;
	pid_t children[KINDS][WORKERS_OF_A_KIND];
	unsigned int kind;

	if (seconds < 1 || argc > 2) {
		fprintf(stderr, "usage: stress_devices [SECONDS]\n");
		return 2;
	}
	deadline = now() + seconds;
	alarm((unsigned int)seconds + 120);
	for (kind = 0; kind < KINDS; kind++)
		for (i = 0; i < WORKERS_OF_A_KIND; i++)
			children[kind][i] = begin(kind);
	for (kind = 0; kind < KINDS; kind++) {
		bool good = true;

		for (i = 0; i < WORKERS_OF_A_KIND; i++) {
			must(waitpid(children[kind][i], &status, 0) == children[kind][i]);
			good &= !status;
		}
		ok(good, "%s", kinds[kind].name);
	}
	return tap_done();
}
