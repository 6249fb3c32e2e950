// SPDX-License-Identifier: GPL-2.0-or-later
/* What changes a mount's attributes tells so, if they did change. */
#include "mounts.h"

/* Attributes by mount(2) and by mount_setattr(2). Those of access times are a field. */
static const struct {
	const char *name;
	unsigned long flag;
	u64 attribute, clear;
} attributes[] = {
	{ "read-only", MS_RDONLY, 0x1, 0 },
	{ "nosuid", MS_NOSUID, 0x2, 0 },
	{ "nodev", MS_NODEV, 0x4, 0 },
	{ "noexec", MS_NOEXEC, 0x8, 0 },
	{ "nodiratime", MS_NODIRATIME, 0x80, 0 },
	{ "nosymfollow", 256, 0x200000, 0 },
	{ "noatime", MS_NOATIME, 0x10, 0x70 },
	{ "strictatime", MS_STRICTATIME, 0x20, 0x70 },
};

#define ATTRIBUTES (sizeof(attributes) / sizeof(*attributes))

static void remount(const char *path, unsigned long flags)
{
	must(!mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL));
}

static void remounted(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a");
	unsigned int i, ro;

	tmpfs("a/child");
	queue = watch_here();
	for (i = 0; i < ATTRIBUTES; i++) {
		ro = attributes[i].flag == MS_RDONLY ? READONLY : 0;
		remount("a", attributes[i].flag);
		mended(exactly(&queue, { SETATTR, ro, a, top }), attributes[i].name);
		remount("a", attributes[i].flag);
		ok(nothing_else(&queue), "%s again: no change", attributes[i].name);
		remount("a", MS_RELATIME);
		mended(exactly(&queue, { SETATTR, 0, a, top }), "and no longer");
	}
	remount("a", MS_RDONLY | MS_NOSUID | MS_NOEXEC);
	mended(exactly(&queue, { SETATTR, READONLY, a, top }), "three at once: one event");
	remount("a", MS_RDONLY | MS_NOSUID);
	mended(exactly(&queue, { SETATTR, READONLY, a, top }),
	       "another one of a mount that stays read-only");
}

static void set(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a");
	unsigned int i, ro;

	tmpfs("a/child");
	queue = watch_here();
	for (i = 0; i < ATTRIBUTES; i++) {
		struct attributes on = { .set = attributes[i].attribute,
					 .clear = attributes[i].clear };
		struct attributes off = { .clear = attributes[i].clear ? attributes[i].clear :
									 attributes[i].attribute };

		ro = attributes[i].flag == MS_RDONLY ? READONLY : 0;
		must(!set_attributes(AT_FDCWD, "a", 0, on));
		mended(exactly(&queue, { SETATTR, ro, a, top }), attributes[i].name);
		must(!set_attributes(AT_FDCWD, "a", 0, on));
		ok(nothing_else(&queue), "%s again: no change", attributes[i].name);
		must(!set_attributes(AT_FDCWD, "a", 0, off));
		mended(exactly(&queue, { SETATTR, 0, a, top }), "and no longer");
	}
	must(!set_attributes(AT_FDCWD, "a", 0, (struct attributes){ 0 }));
	must(set_attributes(AT_FDCWD, "a", 0, (struct attributes){ .set = 1ul << 63 }) == -1);
	ok(nothing_else(&queue), "nothing to change, and what does not exist");
}

/* a, a/b, a/b/c, a/d. */
static struct queue watched_tree(u64 ids[4])
{
	ids[0] = tmpfs("a");
	ids[1] = tmpfs("a/b");
	ids[2] = tmpfs("a/b/c");
	ids[3] = tmpfs("a/d");
	return watch_here();
}

static void tree(void)
{
	u64 top = at("."), ids[4];
	struct queue queue = watched_tree(ids);

	must(!set_attributes(AT_FDCWD, "a/b", 0, (struct attributes){ .set = X_ATTR_RDONLY }));
	mended(exactly(&queue, { SETATTR, READONLY, ids[1], ids[0] }), "one mount of a tree");
	must(!set_attributes(AT_FDCWD, "a", X_AT_RECURSIVE,
			     (struct attributes){ .set = X_ATTR_RDONLY }));
	mended(exactly(&queue, { SETATTR, READONLY, ids[0], top },
		       { SETATTR, READONLY | RECURSIVE, ids[2], ids[1] },
		       { SETATTR, READONLY | RECURSIVE, ids[3], ids[0] }),
	       "the whole tree: only those that were not so before");
	must(!set_attributes(AT_FDCWD, "a/b", X_AT_RECURSIVE,
			     (struct attributes){ .set = X_ATTR_NOEXEC, .clear = X_ATTR_RDONLY }));
	mended(exactly(&queue, { SETATTR, 0, ids[1], ids[0] },
		       { SETATTR, RECURSIVE, ids[2], ids[1] }),
	       "two attributes of a part of it: one event a mount");
}

static void refused(void)
{
	u64 ids[4];
	struct queue queue = watched_tree(ids);
	int fd = open("a/d/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	must(fd >= 0);
	ok(set_attributes(AT_FDCWD, "a", X_AT_RECURSIVE,
			  (struct attributes){ .set = X_ATTR_RDONLY }) == -1 &&
		   errno == EBUSY,
	   "a tree where a file is written to can't be read-only");
	ok(nothing_else(&queue), "nothing is told, of the other mounts either");
	must(mount(NULL, "a/d", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == -1);
	ok(nothing_else(&queue), "nor of that mount alone");
	close(fd);
}

static void superblock(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a");
	int fs;

	queue = watch_here();
	must(!mount(NULL, "a", NULL, MS_REMOUNT, "size=1M"));
	ok(nothing_else(&queue), "the file system's own options are none of the mount");
	fs = (int)syscall(NR_FSPICK, AT_FDCWD, "a", 1);
	must(fs >= 0 && !syscall(NR_FSCONFIG, fs, X_FSCONFIG_SET_FLAG, "ro", NULL, 0));
	must(!syscall(NR_FSCONFIG, fs, X_FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0));
	close(fs);
	ok(nothing_else(&queue), "nor is it, if the file system gets read-only");
	remount("a", MS_NOEXEC);
	mended(exactly(&queue, { SETATTR, 0, a, top }), "the mount is not, as the flag says");
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY | MS_NOEXEC, NULL));
	mended(exactly(&queue, { SETATTR, READONLY, a, top }),
	       "MS_REMOUNT with a flag of the mount changes both");
}

static void with_propagation(void)
{
	u64 top = at("."), ids[4];
	struct queue queue = watched_tree(ids);
	struct attributes shared = { .propagation = MS_SHARED },
			  both = { .set = X_ATTR_NOSUID, .propagation = MS_PRIVATE };

	must(!set_attributes(AT_FDCWD, "a", 0, shared));
	mended(exactly(&queue, { PROPAGATION, 0, ids[0], top }),
	       "mount_setattr(2), the type alone");
	must(!set_attributes(AT_FDCWD, "a", X_AT_RECURSIVE, shared));
	mended(exactly(&queue, { PROPAGATION, RECURSIVE, ids[1], ids[0] },
		       { PROPAGATION, RECURSIVE, ids[2], ids[1] },
		       { PROPAGATION, RECURSIVE, ids[3], ids[0] }),
	       "of the whole tree: only those that had another");
	must(!set_attributes(AT_FDCWD, "a/b/c", 0, (struct attributes){ .set = X_ATTR_NOSUID }));
	mended(exactly(&queue, { SETATTR, 0, ids[2], ids[1] }), "an attribute alone");
	must(!set_attributes(AT_FDCWD, "a", X_AT_RECURSIVE, both));
	mended(exactly(&queue, { PROPAGATION, 0, ids[0], top }, { SETATTR, 0, ids[0], top },
		       { PROPAGATION, RECURSIVE, ids[1], ids[0] },
		       { SETATTR, RECURSIVE, ids[1], ids[0] },
		       { PROPAGATION, RECURSIVE, ids[2], ids[1] },
		       { PROPAGATION, RECURSIVE, ids[3], ids[0] },
		       { SETATTR, RECURSIVE, ids[3], ids[0] }),
	       "both: an event for each that changes, of each mount");
}

static void write_map(const char *name, const char *map)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	must(fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map));
	close(fd);
}

/* A user namespace in which 0 is 1000. */
static int mapping(void)
{
	int ready[2], ns;
	char byte, path[64];
	pid_t child;

	must(!pipe2(ready, O_CLOEXEC) && (child = fork()) >= 0);
	if (!child) {
		must(!unshare(CLONE_NEWUSER));
		must(write(ready[1], "", 1) == 1);
		pause();
		_exit(0);
	}
	must(read(ready[0], &byte, 1) == 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", child);
	write_map(path, "0 1000 1");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", child);
	write_map(path, "0 1000 1");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", child);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	must(ns >= 0 && !kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
	close_both(ready);
	return ns;
}

/* Only what is mounted nowhere takes a mapping. */
static void id_mapped(void)
{
	struct queue queue = empty_queue(9), here = watch_here();
	int fd = detached_tmpfs(), ns = mapping();
	struct attributes map = { .set = X_ATTR_IDMAP, .userns = (u64)ns };
	u64 id = mount_of(fd, "");

	must_watch(&queue, fd);
	must(!set_attributes(fd, "", AT_EMPTY_PATH, map));
	mended(exactly(&queue, { SETATTR, 0, id, id }), "a mapping of ids, of a detached mount");
	dir("a");
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY));
	mended(exactly(&here, { ATTACHED, 0, id, at(".") }), "which is attached as it is");
	close(ns);
	close(fd);
}

static const struct test_case cases[] = {
	{ "mount(2) with MS_REMOUNT and MS_BIND", remounted },
	{ "mount_setattr(2)", set },
	{ "mount_setattr(2) of a tree", tree },
	{ "attributes refused", refused },
	{ "attributes of the file system", superblock },
	{ "attributes and propagation", with_propagation },
	{ "mapped ids", id_mapped },
};

int main(void)
{
	return RUN_CASES(cases);
}
