/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchers.h - what the tests of notifications share. */
#ifndef EXTPIPE_TESTS_WATCHERS_H
#define EXTPIPE_TESTS_WATCHERS_H

#include <extpipe.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tap.h"

#define fails(call, error) (errno = 0, (call) == -1 && errno == (error))

/* A result that is none; @why says what is missing. */
#define skip(why, ...) skip_result(why, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static inline void skip_result(const char *why,
								     const char *name, ...)
{
	char text[256];
	__builtin_va_list args;

	__builtin_va_start(args, name);
	vsnprintf(text, sizeof(text), name, args);
	__builtin_va_end(args);
	printf("ok %d - %s # SKIP %s\n", ++tap_count, text, why);
	fflush(stdout);
}

static inline bool put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* The user as root of a user namespace, for who is none. */
static inline bool become_root(void)
{
	char uid[64], gid[64];

	snprintf(uid, sizeof(uid), "0 %u 1", (unsigned)getuid());
	snprintf(gid, sizeof(gid), "0 %u 1", (unsigned)getgid());
	return !unshare(CLONE_NEWUSER | CLONE_NEWNS) && put_text("/proc/self/setgroups", "deny") &&
	       put_text("/proc/self/uid_map", uid) && put_text("/proc/self/gid_map", gid);
}

/* A mount namespace of the test's own, and a directory with a file system on it. False: not here.
 */
static inline bool private_mounts(char *base)
{
	if (unshare(CLONE_NEWNS) && !become_root())
		return false;
	strcpy(base, "/tmp/extpipe-watch.XXXXXX");
	must(!mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) && mkdtemp(base));
	must(!mount("base", base, "tmpfs", 0, NULL));
	return true;
}

static inline void leave_mounts(const char *base)
{
	must(!umount2(base, MNT_DETACH) && !rmdir(base));
}

/* Adds a watch of what a path names. */
static inline int add_path(struct xp_watch *watch, enum xp_source source, const char *path,
			   unsigned flags)
{
	struct xp_target target = { .source = source, .fd = -1, .flags = flags };
	int number;

	if (path)
		target.fd = open(path, O_PATH | O_CLOEXEC);
	must(!path || target.fd >= 0);
	number = xp_watch_add(watch, &target);
	if (path) {
		int error = errno;

		close(target.fd);
		errno = error;
	}
	return number;
}

/* The next event within so many milliseconds: what xp_watch_next() says, or -2. */
static inline int next_within(struct xp_watch *watch, struct xp_event *event, int timeout)
{
	struct pollfd ready = { .fd = xp_watch_fd(watch), .events = POLLIN };
	int n;

	while (poll(&ready, 1, timeout) > 0) {
		n = xp_watch_next(watch, event, XP_NONBLOCK);
		if (n >= 0 || errno != EAGAIN)
			return n;
	}
	return -2;
}

/* Is the descriptor at rest, so that a caller that polls sleeps? */
static inline bool at_rest(struct xp_watch *watch)
{
	struct pollfd ready = { .fd = xp_watch_fd(watch), .events = POLLIN };

	return !poll(&ready, 1, 0);
}

static inline bool is(const char *text, const char *what)
{
	return text && !strcmp(text, what);
}

static inline struct xp_service service_of(struct xp_watch *watch, enum xp_source source)
{
	struct xp_service service;

	must(!xp_watch_service(watch, source, &service));
	return service;
}

#endif
