/* SPDX-License-Identifier: GPL-2.0-or-later */
/* superblock.h - file systems that are watched, and the records of what happens to them. */
#ifndef EXTPIPE_TESTS_SUPERBLOCK_H
#define EXTPIPE_TESTS_SUPERBLOCK_H

#include "image.h"

#include <linux/fs.h>
#include <sys/sysmacros.h>

#define USER 1000

#define REMOUNT XP_WATCH_SB_REMOUNT
#define ERROR XP_WATCH_SB_ERROR
#define NOSPC XP_WATCH_SB_NOSPC
#define QUOTA XP_WATCH_SB_QUOTA
#define FREEZE XP_WATCH_SB_FREEZE
#define THAW XP_WATCH_SB_THAW
#define SHUTDOWN XP_WATCH_SB_SHUTDOWN
#define READONLY XP_WATCH_SB_READONLY

/* A queue that watches a file system. */
struct watch {
	int queue[2];
	unsigned int id;
	dev_t device;
};

/* Asks for a watch of the file system that FD is on, or for its removal: 0, or the error. */
static inline int ask(const int queue[2], int fd, unsigned int id, unsigned int flags)
{
	return watch_object(queue[0], XP_WATCH_TYPE_SB, fd, id, flags);
}

static inline int ask_for(const int queue[2], const char *path, unsigned int id, unsigned int flags)
{
	int fd = open(path, O_PATH | O_CLOEXEC), result;

	must(fd >= 0);
	result = ask(queue, fd, id, flags);
	close(fd);
	return result;
}

/* Watches the file system at @path from now on. */
static inline struct watch watched(const char *path, unsigned int id)
{
	struct watch watch = { .id = id };
	struct stat st;

	must(!stat(path, &st));
	watch.device = st.st_dev;
	open_queue(watch.queue, 32);
	must(!ask_for(watch.queue, path, id, 0));
	return watch;
}

static inline void unwatch(struct watch *watch)
{
	close_both(watch->queue);
}

/* Is nothing queued? What happens is posted before the call ends that makes it happen. */
static inline bool nothing(const struct watch *watch)
{
	return !readable(watch->queue[0]) && !queued(watch->queue[0]);
}

/* Is the next record, each byte of it, the one that is wanted but for head and device? */
static inline bool told_more(const struct watch *watch, unsigned int subtype, unsigned int flags,
			     struct xp_sb_record wanted)
{
	wanted.watch[0] = XP_WATCH_TYPE_SB | subtype << 24;
	wanted.watch[1] = sizeof(wanted) | watch->id << INFO_ID_SHIFT | flags;
	wanted.dev_major = major(watch->device);
	wanted.dev_minor = minor(watch->device);
	return is_record(watch->queue[0], &wanted, sizeof(wanted));
}

static inline bool told(const struct watch *watch, unsigned int subtype, unsigned int flags)
{
	return told_more(watch, subtype, flags, (struct xp_sb_record){ 0 });
}

/* This, and nothing else. */
static inline bool only(const struct watch *watch, unsigned int subtype, unsigned int flags)
{
	return told(watch, subtype, flags) && nothing(watch);
}

/* The record of the watch's end, with the file system's st_dev, and nothing else. */
static inline bool ended(const struct watch *watch)
{
	const struct {
		unsigned int head[2];
		unsigned long long id;
	} wanted = { { XP_WATCH_TYPE_META | META_REMOVAL << 24,
		       sizeof(wanted) | watch->id << INFO_ID_SHIFT },
		     watch->device };

	return is_record(watch->queue[0], &wanted, sizeof(wanted)) && nothing(watch);
}

/* Unmounts, which must not fail, and must be told with the flag. */
static inline bool unmounted(const struct watch *watch, const char *path, unsigned int flags)
{
	return !umount2(path, 0) && told(watch, SHUTDOWN, flags) && ended(watch);
}

/* A tmpfs on a directory of its own. */
static inline const char *tmpfs(const char *options)
{
	static char where[32];

	strcpy(where, "/tmp/tmpfs.XXXXXX");
	must(mkdtemp(where));
	must(!mount("tmpfs", where, "tmpfs", 0, options));
	return where;
}

/* Is @path below @directory; one at a time. */
static inline const char *in(const char *directory, const char *path)
{
	static char whole[96];

	snprintf(whole, sizeof(whole), "%s/%s", directory, path);
	return whole;
}

static inline int new_file(const char *directory, const char *name)
{
	return open(in(directory, name), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
}

/* Runs @body in a child, as an ordinary user if @user: what it returns, or -1 if it was killed. */
static inline int apart(int (*body)(const void *), const void *argument, bool user)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	must(child >= 0);
	if (!child) {
		must(!user || (!setresgid(USER, USER, USER) && !setresuid(USER, USER, USER)));
		_exit(body(argument));
	}
	must(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Where file systems can't be watched, there is nothing to be tested. */
static inline bool can_watch(void)
{
	int queue[2], result;

	open_queue(queue, 1);
	result = ask_for(queue, "/tmp", 0, 0);
	mended(result == 0, "a file system can be watched");
	if (on_base())
		ok(result == -ENOTTY, "ENOTTY says that it can't");
	close_both(queue);
	return result == 0;
}

#endif
