// SPDX-License-Identifier: GPL-2.0-or-later
/* Watches of file systems: who may have which, remounts, freezing, and the end. */
#include "superblock.h"

#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define ID 0x5a
#define IDS 256
#define WRITERS 3
#define TURNS 20000

static int remount(const char *where, unsigned long flags, const char *options)
{
	return mount(NULL, where, NULL, MS_REMOUNT | flags, options) ? -errno : 0;
}

static void remounted(void)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;
	int fd;

	mount_image(&image, 0, NULL);
	watch = watched(image.where, ID);
	ok(nothing(&watch), "a watch alone tells nothing");
	ok(!remount(image.where, MS_RDONLY, NULL) && only(&watch, REMOUNT, READONLY),
	   "ext4, to read-only");
	ok(!remount(image.where, 0, NULL) && only(&watch, REMOUNT, 0), "to writable");
	ok(!remount(image.where, 0, "nodelalloc") && only(&watch, REMOUNT, 0), "an option");
	ok(remount(image.where, 0, "no-such-option") == -EINVAL && nothing(&watch),
	   "an option that there is not: nothing");
	fd = new_file(image.where, "busy");
	ok(remount(image.where, MS_RDONLY, NULL) == -EBUSY && nothing(&watch), "EBUSY: nothing");
	close(fd);
	ok(!remount(image.where, MS_BIND | MS_RDONLY, NULL) && nothing(&watch),
	   "read-only as a mount, not as a file system: nothing");
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

static int reconfigure_read_only(const char *where)
{
	int fs = fspick(AT_FDCWD, where, FSPICK_CLOEXEC), result;

	must(fs >= 0 && !fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0));
	result = fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
	close(fs);
	return result;
}

static void remounted_tmpfs(void)
{
	const char *where = tmpfs("size=1m");
	struct watch watch = watched(where, ID);

	ok(!remount(where, 0, "size=2m") && only(&watch, REMOUNT, 0), "tmpfs, its size");
	ok(!reconfigure_read_only(where) && only(&watch, REMOUNT, READONLY), "by fsconfig");
	ok(unmounted(&watch, where, READONLY), "unmounted, read-only");
	unwatch(&watch);
	rmdir(where);
}

/* SysRq answers before it has done it. */
static void by_sysrq(void)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;
	int fd;

	mount_image(&image, 0, NULL);
	watch = watched(image.where, ID);
	fd = open(image.where, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && !ioctl(fd, FIFREEZE, 0));
	close(fd);
	ok(only(&watch, FREEZE, 0), "frozen");
	shell("echo j >/proc/sysrq-trigger");
	ok(only(&watch, THAW, 0), "thawed by SysRq");
	shell("echo u >/proc/sysrq-trigger");
	ok(only(&watch, REMOUNT, READONLY), "remounted by SysRq");
	ok(unmounted(&watch, image.where, READONLY), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

static void freeze_and_thaw(const struct watch *watch, int fd, unsigned int flags)
{
	const char *what = flags ? "read-only" : "writable";

	ok(!ioctl(fd, FIFREEZE, 0) && only(watch, FREEZE, flags), "frozen, %s", what);
	ok(ioctl(fd, FIFREEZE, 0) == -1 && errno == EBUSY && nothing(watch),
	   "frozen twice: EBUSY, and nothing");
	ok(!ioctl(fd, FITHAW, 0) && only(watch, THAW, flags), "thawed, %s", what);
	ok(ioctl(fd, FITHAW, 0) == -1 && errno == EINVAL && nothing(watch),
	   "thawed twice: EINVAL, and nothing");
}

static void frozen(void)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;
	int fd;

	mount_image(&image, 0, NULL);
	watch = watched(image.where, ID);
	fd = open(image.where, O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	freeze_and_thaw(&watch, fd, 0);
	must(!remount(image.where, MS_RDONLY, NULL) && only(&watch, REMOUNT, READONLY));
	freeze_and_thaw(&watch, fd, READONLY);
	ok(ioctl(fd, FIFREEZE, 0) == 0 && only(&watch, FREEZE, READONLY), "frozen");
	close(fd);
	ok(!umount2(image.where, 0) && nothing(&watch), "unmounted frozen: it lives on");
	shell("echo j >/proc/sysrq-trigger");
	ok(told(&watch, THAW, READONLY) && told(&watch, SHUTDOWN, READONLY) && ended(&watch),
	   "until it is thawed");
	unwatch(&watch);
	remove_image(&image);
}

static void unmounting(void)
{
	const char *where = tmpfs(NULL);
	struct watch watch = watched(where, ID);
	int fd;

	must(!mkdir(in(where, "d"), 0755));
	must(!mount(in(where, "d"), "/mnt", NULL, MS_BIND, NULL));
	ok(!umount2(where, 0) && nothing(&watch), "unmounted in one place: nothing");
	ok(unmounted(&watch, "/mnt", 0), "in the last: SHUTDOWN, REMOVAL");
	unwatch(&watch);
	rmdir(where);

	where = tmpfs(NULL);
	watch = watched(where, ID);
	fd = new_file(where, "open");
	ok(!umount2(where, MNT_DETACH) && nothing(&watch), "detached with an open file: nothing");
	ok(!remount("/tmp", 0, NULL) && nothing(&watch), "or if another is remounted");
	close(fd);
	ok(told(&watch, SHUTDOWN, 0) && ended(&watch), "until it is closed");
	unwatch(&watch);
	rmdir(where);
}

static void removing(void)
{
	const char *where = tmpfs(NULL);
	struct watch watch = watched(where, ID), other = watched(where, 3);

	ok(ask_for(watch.queue, where, ID, 0) == -EBUSY, "the same again: EBUSY");
	must(close(new_file(where, "file")) == 0);
	ok(ask_for(watch.queue, in(where, "file"), 1, 0) == -EBUSY, "by a file, another id: EBUSY");
	ok(!ask_for(watch.queue, where, 0, XP_WATCH_REMOVE) && ended(&watch),
	   "a watch that is removed tells so");
	ok(ask_for(watch.queue, where, ID, XP_WATCH_REMOVE) == -EBADSLT, "once: EBADSLT");
	ok(!remount(where, 0, "size=2m") && nothing(&watch), "it tells nothing any more");
	ok(only(&other, REMOUNT, 0), "but the other queue's does, with its own id");
	ok(!ask_for(watch.queue, where, ID, 0) && nothing(&watch), "it can be added again");
	ok(unmounted(&watch, where, 0) && told(&other, SHUTDOWN, 0) && ended(&other),
	   "both are told of the end");
	unwatch(&watch);
	unwatch(&other);
	rmdir(where);

	where = tmpfs(NULL);
	open_queue(watch.queue, 1);
	ok(ask_for(watch.queue, where, ID, XP_WATCH_REMOVE) == -EBADSLT,
	   "nothing to be removed where nobody has watched: EBADSLT");
	must(!umount2(where, 0) && !rmdir(where));
	unwatch(&watch);
}

/* In any order. */
static void closing(void)
{
	const char *where = tmpfs(NULL);
	struct watch watch = watched(where, ID), other = watched(where, ID + 1);

	unwatch(&watch);
	ok(!remount(where, 0, "size=2m") && only(&other, REMOUNT, 0),
	   "a queue that was closed leaves the others");
	unwatch(&other);
	ok(!remount(where, 0, "size=3m") && !umount2(where, 0), "and the file system");
	rmdir(where);
	where = tmpfs(NULL);
	watch = watched(where, ID);
	ok(!umount2(where, 0) && (unwatch(&watch), true), "so does one that outlives it");
	rmdir(where);
}

static void refused(const int queue[2], int fd, int error, const char *what)
{
	must(fd >= 0 || error == -EBADF);
	ok(ask(queue, fd, ID, 0) == error, "%s: %s", what, strerrorname_np(-error));
	close(fd);
}

static void objects(void)
{
	int queue[2], fds[2];

	open_queue(queue, 32);
	refused(queue, -1, -EBADF, "no descriptor");
	refused(queue, 1000, -EBADF, "a descriptor that is not open");
	refused(queue, dup(queue[0]), -EINVAL, "the notification pipe");
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	refused(queue, fds[0], -EINVAL, "a socket");
	close(fds[1]);
	refused(queue, memfd_create("m", 0), -EINVAL, "a memfd");
	refused(queue, memfd_create("m", MFD_HUGETLB), -EINVAL, "one of huge pages");
	refused(queue, mq_open("/extpipe", O_CREAT | O_RDWR, 0600, NULL), -EINVAL,
		"a message queue");
	must(!mq_unlink("/extpipe"));
	refused(queue, eventfd(0, 0), -EINVAL, "an eventfd");
	refused(queue, open("/proc/self/ns/mnt", O_RDONLY), -EINVAL, "a namespace");
	refused(queue, open("/proc/self/ns/mnt", O_PATH), -EINVAL, "its path");
	ok(!ask_for(queue, "/proc/self/ns", 1, 0), "a directory in /proc");
	ok(!ask_for(queue, "/dev/null", 2, 0), "a device: the file system that it is in");
	ok(ask_for(queue, "/dev/null", 2, XP_WATCH_REMOVE) == 0, "which is not asked again");
	close_both(queue);
}

/* The kernel has these mounted too, and users see the same. */
static void also_internal(const char *type, const char *options)
{
	char where[] = "/tmp/internal.XXXXXX";
	struct watch watch;
	struct stat st;

	must(mkdtemp(where) && !mount(type, where, type, 0, NULL) && !stat(where, &st));
	open_queue(watch.queue, 32);
	watch.id = ID;
	watch.device = st.st_dev;
	ok(!ask_for(watch.queue, where, ID, 0), "%s can be watched where it is mounted", type);
	ok(!remount(where, 0, options) && only(&watch, REMOUNT, 0), "and is, as any other");
	ok(!ask_for(watch.queue, where, ID, XP_WATCH_REMOVE) && ended(&watch), "until the end");
	must(!umount2(where, 0) && !rmdir(where));
	unwatch(&watch);
}

static int as_user(const void *argument)
{
	int queue[2];

	open_queue(queue, 1);
	return -ask_for(queue, argument, ID, 0);
}

/* Root of a user namespace: its own file systems, and not the host's. */
static int as_root_of_namespace(const void *argument)
{
	const char *where = argument;
	struct watch watch;
	int queue[2];

	/* Else the files in /proc belong to root, because the user's ID has changed. */
	must(!prctl(PR_SET_DUMPABLE, 1));
	must(!unshare(CLONE_NEWUSER | CLONE_NEWNS));
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", "0 1000 1");
	write_file("/proc/self/gid_map", "0 1000 1");
	open_queue(queue, 1);
	if (ask_for(queue, where, ID, 0) != -EPERM)
		return 1;
	if (ask_for(queue, "/proc", ID, 0) != -EPERM)
		return 2;
	must(!mount("own", where, "tmpfs", 0, NULL));
	watch = watched(where, ID);
	if (remount(where, 0, "size=2m") || !only(&watch, REMOUNT, 0))
		return 3;
	return unmounted(&watch, where, 0) ? 0 : 4;
}

static void permission(void)
{
	const char *where = tmpfs("mode=777");

	ok(apart(as_user, where, true) == EPERM, "an ordinary user: EPERM");
	ok(apart(as_root_of_namespace, where, true) == 0,
	   "root of a user namespace: its own tmpfs, and EPERM for the host's");
	must(!umount2(where, 0) && !rmdir(where));
}

static void filtered(void)
{
	const char *where = tmpfs(NULL);
	struct watch watch = watched(where, ID);
	struct filter filter = { .count = 1 };

	filter.types[0].type = XP_WATCH_TYPE_SB;
	filter.types[0].subtypes[0] = 1u << FREEZE | 1u << THAW;
	must(!ioctl(watch.queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
	ok(!remount(where, 0, "size=2m") && nothing(&watch), "a filter for others: no REMOUNT");
	filter.types[0].subtypes[0] = 1u << REMOUNT;
	filter.types[0].info_mask = READONLY;
	filter.types[0].info_filter = READONLY;
	must(!ioctl(watch.queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
	ok(!remount(where, 0, "size=3m") && nothing(&watch), "one for read-only: none if writable");
	ok(!remount(where, MS_RDONLY, NULL) && only(&watch, REMOUNT, READONLY), "else one");
	ok(!umount2(where, 0) && ended(&watch), "REMOVAL passes any");
	unwatch(&watch);
	rmdir(where);
}

static void query(void)
{
	struct xp_watch_query query = { .size = sizeof(query), .type = XP_WATCH_TYPE_SB };
	int queue[2];

	open_queue(queue, 1);
	ok(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_QUERY, &query) &&
		   query.types & 1u << XP_WATCH_TYPE_SB && query.subtypes[0] == 0x7f,
	   "the query knows the type and its 7 sub-types");
	close_both(queue);
}

/* More than the queue holds: the rest is told as lost. */
static void overrun(void)
{
	const char *where = tmpfs(NULL);
	struct watch watch = watched(where, ID);
	int i, count = 0;

	for (i = 0; i < 40; i++)
		must(!remount(where, 0, NULL));
	for (i = 0; i < 32; i++)
		count += told(&watch, REMOUNT, 0);
	ok(count == 32 && is_loss(watch.queue[0]) && nothing(&watch),
	   "32 records, and that the others are lost");
	must(!umount2(where, 0) && !rmdir(where));
	unwatch(&watch);
}

/* Finds no space, time and again, until it is killed. */
static pid_t start_writer(const char *where)
{
	pid_t child = fork();
	int fd;

	must(child >= 0);
	if (child)
		return child;
	fd = open(where, O_TMPFILE | O_WRONLY, 0600);
	must(fd >= 0);
	for (;;)
		must(pwrite(fd, "", 1, 0) == -1 && errno == ENOSPC);
}

/* Reads what there is; counts what comes of a watch that has ended. */
static int late_records(const int queue[2], bool ended[IDS])
{
	union bytes got;
	int late = 0;

	while (next_record(queue[0], &got, 0) >= 0) {
		unsigned int id = got.head.info >> INFO_ID_SHIFT & 0xff;

		if (tells_loss(&got))
			continue;
		late += ended[id];
		ended[id] = ended[id] || got.head.type == XP_WATCH_TYPE_META;
	}
	return late;
}

/* A watch is added and removed while others cause events: each time its end is the last. */
static void end_is_last(void)
{
	/* A watch counts until it is freed, which takes its time. */
	struct rlimit most = { 2 * TURNS, 2 * TURNS };
	const char *where = tmpfs("size=64k");
	bool ended[IDS] = { false };
	int queue[2], late = 0, i;
	pid_t writers[WRITERS];

	must(!setrlimit(RLIMIT_NOFILE, &most));
	shell("! cat /dev/zero >%s/full 2>/dev/null", where);
	open_queue(queue, 512);
	for (i = 0; i < WRITERS; i++)
		writers[i] = start_writer(where);
	for (i = 0; i < TURNS; i++) {
		unsigned int id = (unsigned int)i % IDS;

		ended[id] = false;
		must(!ask_for(queue, where, id, 0));
		must(!ask_for(queue, where, id, XP_WATCH_REMOVE));
		late += late_records(queue, ended);
	}
	for (i = 0; i < WRITERS; i++)
		must(!kill(writers[i], SIGKILL) && waitpid(writers[i], NULL, 0) == writers[i]);
	late += late_records(queue, ended);
	ok(late == 0, "nothing comes of a watch that has ended: %d", late);
	close_both(queue);
	must(!umount2(where, 0) && !rmdir(where));
}

int main(void)
{
	if (!can_watch())
		return tap_done();
	must(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	query();
	objects();
	also_internal("debugfs", "mode=700");
	also_internal("mqueue", NULL);
	permission();
	remounted();
	remounted_tmpfs();
	frozen();
	unmounting();
	removing();
	closing();
	end_is_last();
	filtered();
	overrun();
	by_sysrq();
	return tap_done();
}
