/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events CAUSE rate|latency COUNT COMMAND... - makes things happen, and waits for COMMAND to print
 * a line for each. CAUSE is mount (in a namespace of its own), file (a file's times), block (a
 * change of a device, by sysfs) or key (a key's permissions; its number replaces {} in COMMAND,
 * and the file's or the device's name does).
 *
 * "rate" lets a window of events happen before it waits, "latency" one. Prints the seconds for
 * COUNT events, the CPU that COMMAND used in the meantime, and its peak resident set in KiB, as
 * stages does. With COUNT 0 it only finds out whether COMMAND prints anything at all.
 */
#include "bench.h"

#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define WINDOW 64
#define QUIET_MS 100
#define PATIENCE_MS 10000

/* <linux/keyctl.h> may lack some, and add_key has no wrapper. */
#define JOIN_SESSION_KEYRING 1
#define SETPERM 5
#define SESSION_KEYRING (-3)

static char object[64]; /* what the cause is about; replaces {} */

static void cause_mount(long number)
{
	if (number % 2)
		must(umount2(object, MNT_DETACH), "umount");
	else
		must(mount("none", object, "tmpfs", 0, "size=64k"), "mount");
}

static void prepare_mount(void)
{
	snprintf(object, sizeof(object), "/tmp/events.XXXXXX");
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
	must(mount("none", "/tmp", "tmpfs", 0, NULL), "mount");
	if (!mkdtemp(object))
		die(object);
}

static void cause_file(long number)
{
	struct timespec times[2] = { { number, 0 }, { number, 0 } };

	must(utimensat(AT_FDCWD, object, times, 0), "utimensat");
}

static void prepare_file(void)
{
	snprintf(object, sizeof(object), "/tmp/events.XXXXXX");
	close((int)must(mkstemp(object), object));
}

static int uevent = -1;

static void cause_block(long number)
{
	(void)number;
	must(write(uevent, "change", 6), "uevent");
}

static void prepare_block(void)
{
	char path[128];
	glob_t found;

	if (glob("/sys/block/loop*", 0, NULL, &found) && glob("/sys/block/*", 0, NULL, &found))
		die("/sys/block");
	snprintf(object, sizeof(object), "%s", strrchr(found.gl_pathv[0], '/') + 1);
	snprintf(path, sizeof(path), "/sys/block/%s/uevent", object);
	uevent = (int)must(open(path, O_WRONLY | O_CLOEXEC), path);
	globfree(&found);
}

static long key;

static void cause_key(long number)
{
	(void)number;
	must(syscall(SYS_keyctl, SETPERM, key, 0x3f3f0000), "keyctl");
}

static void prepare_key(void)
{
	must(syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL), "keyctl");
	key = must(syscall(SYS_add_key, "user", "events", "x", 1, SESSION_KEYRING), "add_key");
	snprintf(object, sizeof(object), "%ld", key);
}

static const struct cause {
	const char *name;
	void (*prepare)(void);
	void (*cause)(long number);
} causes[] = {
	{ "mount", prepare_mount, cause_mount },
	{ "file", prepare_file, cause_file },
	{ "block", prepare_block, cause_block },
	{ "key", prepare_key, cause_key },
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Reads what there is within so many ms: the lines in it, 0 after that time. */
static long read_lines(int fd, int ms)
{
	static char bytes[65536];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long lines = 0;
	ssize_t n;

	if (must(poll(&p, 1, ms), "poll") == 0)
		return 0;
	n = must(read(fd, bytes, sizeof(bytes)), "read");
	if (!n) {
		fprintf(stderr, "events: the reader has ended\n");
		exit(1);
	}
	for (ssize_t i = 0; i < n; i++)
		lines += bytes[i] == '\n';
	/* Something came, if less than a line. */
	return lines ? lines : read_lines(fd, ms);
}

static void expect_lines(int fd, long count)
{
	while (count > 0) {
		long lines = read_lines(fd, PATIENCE_MS);

		if (!lines) {
			fprintf(stderr, "events: %ld lines never came\n", count);
			exit(1);
		}
		count -= lines;
	}
}

static pid_t start(char **command, int *fd)
{
	int ends[2];
	pid_t pid;

	for (char **word = command; *word; word++) {
		char *at = strstr(*word, "{}");

		if (!at)
			continue;
		*at = '\0';
		if (asprintf(word, "%s%s%s", *word, object, at + 2) < 0)
			die("asprintf");
	}
	must(pipe2(ends, O_CLOEXEC), "pipe");
	pid = (pid_t)must(fork(), "fork");
	if (!pid) {
		must(dup2(ends[1], STDOUT_FILENO), "dup2");
		if (command[0])
			execvp(command[0], command);
		die("exec");
	}
	close(ends[1]);
	*fd = ends[0];
	return pid;
}

/* Nobody says when the command is ready: the first line for an event does. */
static long settle(const struct cause *cause, int fd)
{
	long number = 0;
	double until = now() + PATIENCE_MS / 1e3;

	/* What it prints about itself. */
	while (read_lines(fd, QUIET_MS) > 0)
		;
	do {
		if (now() > until) {
			fprintf(stderr, "events: the reader prints nothing\n");
			exit(1);
		}
		cause->cause(number++);
	} while (!read_lines(fd, QUIET_MS));
	if (number % 2)
		cause->cause(number++);
	while (read_lines(fd, QUIET_MS) > 0)
		;
	return number;
}

static double cpu_of(pid_t pid)
{
	struct timespec t = { 0, 0 };
	clockid_t clock;

	if (!clock_getcpuclockid(pid, &clock))
		clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	const struct cause *cause = causes, *end = causes + sizeof(causes) / sizeof(causes[0]);
	long count, window, next;
	struct rusage usage;
	double time, cpu;
	pid_t pid;
	int fd;

	while (argc > 4 && cause < end && strcmp(argv[1], cause->name) != 0)
		cause++;
	if (argc <= 4 || cause == end)
		return 2;
	window = strcmp(argv[2], "rate") ? 1 : WINDOW;
	count = number(argv[3]);
	cause->prepare();
	pid = start(argv + 4, &fd);
	next = settle(cause, fd);
	cpu = cpu_of(pid);
	time = now();
	for (long done = 0; done < count; done += window) {
		for (long i = 0; i < window; i++)
			cause->cause(next++);
		expect_lines(fd, window);
	}
	time = now() - time;
	cpu = cpu_of(pid) - cpu;
	kill(pid, SIGKILL);
	must(wait4(pid, NULL, 0, &usage), "wait");
	if (!strcmp(cause->name, "file"))
		unlink(object);
	printf("%.6f %.6f %ld\n", time, cpu, usage.ru_maxrss);
	return 0;
}
