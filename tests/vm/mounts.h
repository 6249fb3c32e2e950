/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mounts.h - what the tests of mount notifications share.
 *
 * A case runs in a process and a mount namespace of its own, in which nothing is shared and a
 * tmpfs is on /tmp, its working directory: whatever it mounts is gone when it ends.
 */
#ifndef EXTPIPE_TESTS_VM_MOUNTS_H
#define EXTPIPE_TESTS_VM_MOUNTS_H

#include "vm.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#define ATTACHED XP_WATCH_MOUNT_ATTACHED
#define DETACHED XP_WATCH_MOUNT_DETACHED
#define MOVED XP_WATCH_MOUNT_MOVED
#define SETATTR XP_WATCH_MOUNT_SETATTR
#define PROPAGATION XP_WATCH_MOUNT_PROPAGATION
#define EXPIRED XP_WATCH_MOUNT_EXPIRED
#define RECURSIVE XP_WATCH_MOUNT_RECURSIVE
#define READONLY XP_WATCH_MOUNT_READONLY
#define PROPAGATED XP_WATCH_MOUNT_PROPAGATED

#define PATIENCE (on_base() ? 0 : WAIT_MS) /* there, nothing comes */
#define CASE_SECONDS 120

/* ------------------------------------------------------------------ what libc may lack */

#define X_STATX_MNT_ID_UNIQUE 0x4000u
#define X_NS_GET_MNTNS_ID 0x8008b705u
#define X_OPEN_TREE_CLONE 1
#define X_MOVE_F_EMPTY 0x4
#define X_MOVE_SET_GROUP 0x100
#define X_MOVE_BENEATH 0x200
#define X_AT_RECURSIVE 0x8000
#define X_ATTR_RDONLY 0x1u
#define X_ATTR_NOSUID 0x2u
#define X_ATTR_NOEXEC 0x8u
#define X_ATTR_IDMAP 0x100000u
#define X_FSCONFIG_CMD_CREATE 6
#define X_FSCONFIG_CMD_RECONFIGURE 7
#define X_FSCONFIG_SET_FLAG 0

/* Of the same numbers on every architecture but alpha. */
#define NR_OPEN_TREE 428
#define NR_MOVE_MOUNT 429
#define NR_FSOPEN 430
#define NR_FSCONFIG 431
#define NR_FSMOUNT 432
#define NR_FSPICK 433
#define NR_PIDFD_OPEN 434
#define NR_PIDFD_GETFD 438
#define NR_MOUNT_SETATTR 442
#define NR_STATMOUNT 457

struct attributes {
	u64 set, clear, propagation, userns;
};

/* The head of struct statmount, and room for the rest. */
struct status {
	unsigned int words[10];
	u64 mount, parent;
	unsigned int old_ids[2];
	u64 attributes, propagation;
	char rest[512];
};

static inline int x_open_tree(int at, const char *path, unsigned int flags)
{
	return (int)syscall(NR_OPEN_TREE, at, path, flags | O_CLOEXEC);
}

static inline int x_move_mount(int from, const char *from_path, int to, const char *to_path,
			       unsigned int flags)
{
	return (int)syscall(NR_MOVE_MOUNT, from, from_path, to, to_path, flags);
}

static inline int set_attributes(int at, const char *path, unsigned int flags,
				 struct attributes attributes)
{
	return (int)syscall(NR_MOUNT_SETATTR, at, path, flags, &attributes, sizeof(attributes));
}

/* A tmpfs that is mounted nowhere yet. */
static inline int detached_tmpfs(void)
{
	int fs = (int)syscall(NR_FSOPEN, "tmpfs", 0), mount;

	must(fs >= 0);
	must(!syscall(NR_FSCONFIG, fs, X_FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	mount = (int)syscall(NR_FSMOUNT, fs, 1, 0);
	must(mount >= 0);
	close(fs);
	return mount;
}

/* ------------------------------------------------------------------ ids */

static inline u64 mount_of(int at, const char *path)
{
	struct statx found;

	must(!statx(at, path, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, X_STATX_MNT_ID_UNIQUE, &found));
	must(found.stx_mask & X_STATX_MNT_ID_UNIQUE);
	return found.stx_mnt_id;
}

static inline u64 at(const char *path)
{
	return mount_of(AT_FDCWD, path);
}

static inline struct status status_of(u64 mount)
{
	struct {
		unsigned int size, spare;
		u64 mount, mask;
	} request = { .size = 24, .mount = mount, .mask = 2 };
	struct status status = { .mount = 0 };

	must(!syscall(NR_STATMOUNT, &request, &status, sizeof(status), 0));
	return status;
}

static inline u64 parent_of(u64 mount)
{
	return status_of(mount).parent;
}

/* The flag that the records of a mount have if it is read-only. */
static inline unsigned int readonly_flag(u64 mount)
{
	return status_of(mount).attributes & X_ATTR_RDONLY ? READONLY : 0;
}

static inline u64 ns_id(int ns)
{
	u64 id;

	must(!ioctl(ns, X_NS_GET_MNTNS_ID, &id));
	return id;
}

/* ------------------------------------------------------------------ namespaces and mounts */

static inline int own_ns(void)
{
	int ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	must(ns >= 0);
	return ns;
}

static inline void enter(int ns)
{
	must(!setns(ns, CLONE_NEWNS) && !chdir("/tmp"));
}

/* Another namespace with copies of what is mounted here; shared mounts become peers. */
static inline int clone_ns(void)
{
	int here = own_ns(), other;

	must(!unshare(CLONE_NEWNS));
	other = own_ns();
	enter(here);
	close(here);
	return other;
}

/* The mount at @path in the namespace @ns. */
static inline u64 there(int ns, const char *path)
{
	int here = own_ns();
	u64 mount;

	enter(ns);
	mount = at(path);
	enter(here);
	close(here);
	return mount;
}

static inline void own_mounts(void)
{
	must(!unshare(CLONE_NEWNS));
	must(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(!mount("case", "/tmp", "tmpfs", 0, NULL) && !chdir("/tmp"));
}

static inline void dir(const char *path)
{
	must(!mkdir(path, 0755) || errno == EEXIST);
}

/* A tmpfs at @path. */
static inline u64 tmpfs(const char *path)
{
	dir(path);
	must(!mount("case", path, "tmpfs", 0, NULL));
	return at(path);
}

static inline void bind_mount(const char *from, const char *to, unsigned long flags)
{
	must(!mount(from, to, NULL, MS_BIND | flags, NULL));
}

/* Changes the mount's type: MS_SHARED and so on. */
static inline void make(const char *path, unsigned long type)
{
	must(!mount(NULL, path, NULL, type, NULL));
}

static inline void file(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	must(fd >= 0);
	close(fd);
}

static inline int handle(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	must(fd >= 0);
	return fd;
}

/* ------------------------------------------------------------------ watching */

/* A queue, and the id and the namespace that its records must have. */
struct queue {
	int fds[2];
	unsigned int id;
	u64 ns;
};

/* 0, or the error. */
static inline int watch(int queue, unsigned int flags, int fd, unsigned int id)
{
	return watch_object(queue, XP_WATCH_TYPE_MOUNT, fd, id, flags);
}

/* For a fixture: where there are no watches, the case goes on without. */
static inline void must_watch(const struct queue *queue, int fd)
{
	int error = watch(queue->fds[0], 0, fd, queue->id);

	errno = -error;
	must(error == (on_base() ? -ENOTTY : 0));
}

static inline struct queue empty_queue(unsigned int id)
{
	struct queue queue = { .id = id };

	open_queue(queue.fds, 512);
	return queue;
}

static inline struct queue watch_ns(int ns, unsigned int id)
{
	struct queue queue = empty_queue(id);

	queue.ns = ns_id(ns);
	must_watch(&queue, ns);
	return queue;
}

static inline struct queue watch_here(void)
{
	int ns = own_ns();
	struct queue queue = watch_ns(ns, 0x42);

	close(ns);
	return queue;
}

/* The mount at @path. */
static inline struct queue watch_mount(const char *path, unsigned int id)
{
	struct queue queue = empty_queue(id);
	int fd = handle(path), ns = own_ns();

	queue.ns = ns_id(ns);
	must_watch(&queue, fd);
	close(ns);
	close(fd);
	return queue;
}

static inline void close_queue(struct queue *queue)
{
	close_both(queue->fds);
}

/* ------------------------------------------------------------------ records */

/* A record that is expected, with the queue's id and namespace. */
struct note {
	unsigned int subtype, flags;
	u64 mount, parent;
};

static inline void tell(const char *what, const union bytes *record)
{
	static const char *const names[] = { "ATTACHED", "DETACHED",    "MOVED",
					     "SETATTR",  "PROPAGATION", "EXPIRED" };
	const struct record *head = &record->head;

	if (head->type != XP_WATCH_TYPE_MOUNT || head->subtype > XP_WATCH_MOUNT_EXPIRED) {
		printf("# %s: type %u, sub-type %u, info %#x, %#llx\n", what, head->type,
		       head->subtype, head->info, (unsigned long long)record->removal.object);
		return;
	}
	printf("# %s: %s%s%s%s, info %#x, mount %#llx, parent %#llx, ns %#llx\n", what,
	       names[head->subtype], head->info & RECURSIVE ? " RECURSIVE" : "",
	       head->info & READONLY ? " READONLY" : "",
	       head->info & PROPAGATED ? " PROPAGATED" : "", head->info,
	       (unsigned long long)record->mount.mnt_id,
	       (unsigned long long)record->mount.parent_id,
	       (unsigned long long)record->mount.mnt_ns_id);
}

static inline union bytes record_of(const struct queue *queue, const struct note *note)
{
	union bytes record = { .bytes = { 0 } };

	record.head.type = XP_WATCH_TYPE_MOUNT;
	record.head.subtype = note->subtype;
	record.head.info = sizeof(record.mount) | queue->id << INFO_ID_SHIFT | note->flags;
	record.mount.mnt_id = note->mount;
	record.mount.parent_id = note->parent;
	record.mount.mnt_ns_id = queue->ns;
	return record;
}

/* Reads what is there, which nobody expects. */
static inline bool nothing_else(const struct queue *queue)
{
	union bytes record;
	bool none = !readable(queue->fds[0]);

	while (next_record(queue->fds[0], &record, 0) >= 0) {
		tell("not expected", &record);
		none = false;
	}
	return none;
}

static inline union bytes removal_of(const struct queue *queue, u64 object)
{
	union bytes record = { .bytes = { 0 } };

	record.head.type = XP_WATCH_TYPE_META;
	record.head.subtype = META_REMOVAL;
	record.head.info = 16 | queue->id << INFO_ID_SHIFT;
	record.removal.object = object;
	return record;
}

#define MOST_NOTES 64

/* The records of one operation, byte by byte, in any order. */
static inline bool expect_records(const struct queue *queue, const union bytes *want, int count)
{
	bool seen[MOST_NOTES] = { false };
	union bytes got;
	int left = count, i;

	must(count <= MOST_NOTES);
	while (left && next_record(queue->fds[0], &got, PATIENCE) >= 0) {
		for (i = 0; i < count; i++) {
			if (!seen[i] && !memcmp(&want[i], &got, sizeof(got)))
				break;
		}
		if (i == count) {
			tell("not expected", &got);
			break;
		}
		seen[i] = true;
		left--;
	}
	for (i = 0; left && !on_base() && i < count; i++) {
		if (!seen[i])
			tell("missing", &want[i]);
	}
	if (left)
		nothing_else(queue);
	return !left;
}

static inline bool expect_notes(const struct queue *queue, const struct note *notes, int count)
{
	union bytes want[MOST_NOTES];
	int i;

	must(count <= MOST_NOTES);
	for (i = 0; i < count; i++)
		want[i] = record_of(queue, &notes[i]);
	return expect_records(queue, want, count);
}

/* expect(queue, { sub-type, flags, mount, parent }, ...): these come, perhaps with others. */
#define expect(queue, ...) \
	expect_notes(queue, (const struct note[]){ __VA_ARGS__ }, \
		     (int)(sizeof((const struct note[]){ __VA_ARGS__ }) / sizeof(struct note)))

/* These come, and no others. */
#define exactly(queue, ...) (expect(queue, __VA_ARGS__) && nothing_else(queue))

/* The end of a watch on @object. */
static inline bool removal(const struct queue *queue, u64 object)
{
	union bytes want = removal_of(queue, object);

	return expect_records(queue, &want, 1);
}

/* ------------------------------------------------------------------ what is left */

#define PROBE_WATCHES 48

/* In a child: how many more watches this user may have. */
static inline int room_for_watches(void)
{
	struct rlimit limit = { .rlim_cur = PROBE_WATCHES, .rlim_max = PROBE_WATCHES };
	struct queue queue = empty_queue(1);
	char name[8];
	int i, fd, error = 0;

	own_mounts();
	for (i = 0; i < PROBE_WATCHES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		dir(name);
		bind_mount("/", name, 0);
	}
	must(!setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < PROBE_WATCHES && !error; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fd = handle(name);
		error = watch(queue.fds[0], 0, fd, 1);
		close(fd);
	}
	return error ? i - 1 : i;
}

/* Watches that have not been given back yet; they are, some time after their end. */
static inline int watches_left(void)
{
	int status, tries, left = PROBE_WATCHES;
	pid_t child;

	for (tries = 0; left && tries < 100; tries++) {
		child = fork();
		must(child >= 0);
		if (!child)
			_exit(room_for_watches());
		must(waitpid(child, &status, 0) == child && WIFEXITED(status));
		left = PROBE_WATCHES - WEXITSTATUS(status);
		if (on_base())
			break;
	}
	return left;
}

/* ------------------------------------------------------------------ cases */

static int case_results = -1;
static pid_t case_process;

static inline void hand_over(void)
{
	int counts[2] = { tap_count, tap_failures };

	if (getpid() == case_process)
		must(write(case_results, counts, sizeof(counts)) == sizeof(counts));
}

/* Runs @body in a process and a mount namespace of its own, and carries its results over. */
static inline void apart(const char *name, void (*body)(void))
{
	int counts[2] = { tap_count, tap_failures }, results[2], status;
	pid_t child;

	must(!pipe2(results, O_CLOEXEC));
	printf("# %s\n", name);
	fflush(stdout);
	child = fork();
	must(child >= 0);
	if (!child) {
		case_results = results[1];
		case_process = getpid();
		must(!atexit(hand_over));
		alarm(CASE_SECONDS);
		own_mounts();
		body();
		exit(0);
	}
	close(results[1]);
	must(waitpid(child, &status, 0) == child);
	if (read(results[0], counts, sizeof(counts)) == sizeof(counts)) {
		tap_count = counts[0];
		tap_failures = counts[1];
	}
	close(results[0]);
	if (status)
		ok(false, "%s: ended with %#x", name, status);
}

struct test_case {
	const char *name;
	void (*body)(void);
};

static inline int run_cases(const struct test_case *cases, int count)
{
	for (; count > 0; cases++, count--)
		apart(cases->name, cases->body);
	return tap_done();
}

#define RUN_CASES(cases) run_cases(cases, (int)(sizeof(cases) / sizeof((cases)[0])))

#endif
