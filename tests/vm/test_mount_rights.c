// SPDX-License-Identifier: GPL-2.0-or-later
/* Who may watch what: CAP_SYS_ADMIN in the user namespace that owns the mount namespace. */
#include "mounts.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define USER 1000
#define MOST_WATCHES 32

/* ------------------------------------------------------------------ containers */

/* A process with a user namespace and a mount namespace of its own, and a line to it. */
struct container {
	pid_t pid;
	int line, mounts;
};

static void give(int line, u64 value)
{
	must(write(line, &value, sizeof(value)) == sizeof(value));
}

static u64 take(int line)
{
	u64 value;

	must(read(line, &value, sizeof(value)) == sizeof(value));
	return value;
}

static void become_user(void)
{
	must(!setgroups(0, NULL) && !setresgid(USER, USER, USER) && !setresuid(USER, USER, USER));
	must(!prctl(PR_SET_DUMPABLE, 1));
}

/* Root of a user namespace, and as little as the user outside of it. */
static void become_root_inside(int flags)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %d 1", USER);
	must(!unshare(CLONE_NEWUSER | flags));
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", map);
	write_file("/proc/self/gid_map", map);
	must(!chdir("/tmp"));
}

static struct container start(void (*body)(int line), int flags)
{
	struct container container;
	char path[64];
	int line[2];

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, line));
	fflush(stdout);
	container.pid = fork();
	must(container.pid >= 0);
	if (!container.pid) {
		close(line[0]);
		alarm(CASE_SECONDS);
		become_user();
		become_root_inside(flags);
		give(line[1], 0);
		body(line[1]);
		fflush(stdout);
		_exit(0);
	}
	close(line[1]);
	container.line = line[0];
	take(container.line);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", container.pid);
	container.mounts = open(path, O_RDONLY | O_CLOEXEC);
	must(container.mounts >= 0);
	return container;
}

/* A descriptor of the container's, whose number it gives. */
static int take_descriptor(const struct container *container)
{
	int process = (int)syscall(NR_PIDFD_OPEN, container->pid, 0), fd;

	must(process >= 0);
	fd = (int)syscall(NR_PIDFD_GETFD, process, (int)take(container->line), 0);
	must(fd >= 0);
	close(process);
	return fd;
}

static void finish(struct container *container)
{
	int status;

	must(waitpid(container->pid, &status, 0) == container->pid && !status);
	close(container->line);
}

/* ------------------------------------------------------------------ cases */

static int inherited_ns, inherited_mount;
static struct queue queue;

static int errors(int fd)
{
	return watch(queue.fds[0], 0, fd, 1);
}

/* Results of a child that can't count for its parent: an exit status of 0 is that all held. */
static bool child_succeeds(bool (*body)(void))
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	must(child >= 0);
	if (!child) {
		bool good = body();

		fflush(stdout);
		_exit(!good);
	}
	must(waitpid(child, &status, 0) == child);
	return !status;
}

static bool user_is_refused(void)
{
	become_user();
	queue = empty_queue(1);
	return errors(inherited_ns) == -EPERM && errors(inherited_mount) == -EPERM &&
	       errors(own_ns()) == -EPERM && errors(handle("/")) == -EPERM && nothing_else(&queue);
}

/* A queue that root has given it, with watches that root has added: it concerns nobody else. */
static bool user_removes(void)
{
	become_user();
	return watch(queue.fds[0], XP_WATCH_REMOVE, inherited_ns, 1) == 0 &&
	       watch(queue.fds[0], XP_WATCH_REMOVE, inherited_mount, 1) == 0 &&
	       watch(queue.fds[0], XP_WATCH_REMOVE, inherited_mount, 1) == -EBADSLT &&
	       errors(inherited_mount) == -EPERM;
}

/* Root of a user namespace alone; the mount namespace is the host's still. */
static bool inner_root_is_refused(void)
{
	become_user();
	become_root_inside(0);
	queue = empty_queue(1);
	return errors(inherited_ns) == -EPERM && errors(own_ns()) == -EPERM &&
	       errors(handle("/")) == -EPERM;
}

static void users(void)
{
	int detached = detached_tmpfs();

	inherited_ns = own_ns();
	inherited_mount = handle(".");
	mended(child_succeeds(user_is_refused), "an ordinary user: EPERM for all");
	mended(child_succeeds(inner_root_is_refused),
	       "root of a user namespace in the host's mounts: EPERM for all");
	inherited_mount = detached;
	mended(child_succeeds(user_is_refused), "a detached tree of another: EPERM");
	queue = empty_queue(1);
	mended(errors(inherited_ns) == 0, "root itself may");
	mended(errors(inherited_mount) == 0, "both");
	mended(child_succeeds(user_removes),
	       "who has root's queue can remove its watches, no more");
}

static void inside(int line)
{
	struct queue here = watch_here();
	u64 top, a;
	bool told;

	queue = empty_queue(1);
	give(line, errors(inherited_ns) == -EPERM);
	give(line, errors(inherited_mount) == -EPERM);
	give(line, watch(queue.fds[0], XP_WATCH_REMOVE, inherited_mount, 1) != 0);
	give(line, errors(handle("/tmp")) == 0);
	take(line);
	top = at(".");
	give(line, nothing_else(&here) && nothing_else(&queue));
	a = tmpfs("inside");
	told = exactly(&here, { ATTACHED, 0, a, top });
	queue.ns = here.ns;
	give(line, told && exactly(&queue, { ATTACHED, 0, a, top }));
	give(line, a);
	give(line, top);
	take(line);
}

static void container(void)
{
	struct container inner;
	struct queue ours, theirs;
	u64 x, a;

	inherited_ns = own_ns();
	inherited_mount = handle(".");
	inner = start(inside, CLONE_NEWNS);
	ours = watch_here();
	theirs = watch_ns(inner.mounts, 2);
	mended(take(inner.line), "in a container, the host's namespace: EPERM");
	mended(take(inner.line), "a mount of the host, by a descriptor from there: EPERM");
	ok(take(inner.line), "nor can a watch on it be removed");
	mended(take(inner.line), "a mount of its own may be watched");
	x = tmpfs("x");
	mended(exactly(&ours, { ATTACHED, 0, x, at(".") }), "a mount on the host is told there");
	give(inner.line, 0);
	ok(take(inner.line), "not in the container");
	mended(take(inner.line), "a mount in the container is told there");
	a = take(inner.line);
	mended(exactly(&theirs, { ATTACHED, 0, a, take(inner.line) }),
	       "and to the host's root, who may watch the container");
	ok(nothing_else(&ours), "not as an event of the host's namespace");
	give(inner.line, 0);
	finish(&inner);
	close(inner.mounts);
	mended(removal(&theirs, theirs.ns), "it ends, and with it the watch");
}

static void slave_inside(int line)
{
	struct queue here = watch_here();

	give(line, 0);
	take(line);
	give(line, exactly(&here, { ATTACHED, PROPAGATED, at("s/x"), at("s") }));
	give(line, at("s/x"));
	take(line);
	give(line, expect(&here, { DETACHED, PROPAGATED, take(line), at("s") }));
	give(line, nothing_else(&here));
}

/* What the host shares is a slave in the container. */
static void shared(void)
{
	struct container inner;
	u64 x, theirs;

	tmpfs("s");
	make("s", MS_SHARED);
	dir("s/x");
	inner = start(slave_inside, CLONE_NEWNS);
	take(inner.line);
	x = tmpfs("s/x");
	give(inner.line, 0);
	mended(take(inner.line), "what propagates into a container is told there");
	theirs = take(inner.line);
	ok(theirs != x, "with its own id");
	must(!umount("s/x"));
	give(inner.line, 0);
	give(inner.line, theirs);
	mended(take(inner.line), "and so is its end");
	ok(take(inner.line), "which is all");
	finish(&inner);
}

static void attach_inside(int line)
{
	take(line);
	must(!x_move_mount(inherited_mount, "", AT_FDCWD, "place", X_MOVE_F_EMPTY));
	tmpfs("place/child");
	give(line, 0);
	take(line);
}

/* A tree that the host gives away. */
static void given(void)
{
	struct container inner;
	struct queue ours = empty_queue(4);
	u64 id;

	inherited_mount = detached_tmpfs();
	id = mount_of(inherited_mount, "");
	dir("place");
	must_watch(&ours, inherited_mount);
	inner = start(attach_inside, CLONE_NEWNS);
	ok(nothing_else(&ours), "a tree is handed to a container");
	give(inner.line, 0);
	take(inner.line);
	mended(removal(&ours, id), "when it is attached there, the host's watch on it ends");
	must(!set_attributes(inherited_mount, "", AT_EMPTY_PATH,
			     (struct attributes){ .set = X_ATTR_NOEXEC }) ||
	     errno == EINVAL);
	give(inner.line, 0);
	finish(&inner);
	ok(nothing_else(&ours), "and nothing of the container is told");
}

static void make_inside(int line)
{
	int fd = detached_tmpfs();
	struct queue mine = empty_queue(6);

	must_watch(&mine, fd);
	give(line, (u64)fd);
	take(line);
	give(line, removal(&mine, mount_of(fd, "")));
	give(line, 0);
	take(line);
	give(line, errors(fd) == -EPERM);
	give(line, nothing_else(&mine));
}

/* A tree that a container gives to the host, which must not be watched from there. */
static void taken(void)
{
	struct container inner;
	u64 id;
	int fd;

	queue = empty_queue(1);
	inner = start(make_inside, CLONE_NEWNS);
	fd = take_descriptor(&inner);
	id = mount_of(fd, "");
	dir("place");
	must(!x_move_mount(fd, "", AT_FDCWD, "place", X_MOVE_F_EMPTY));
	must(at("place") == id);
	give(inner.line, 0);
	mended(take(inner.line), "a container's tree is attached on the host: its watch ends");
	take(inner.line);
	must(!mount(NULL, "place", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	must(!mount("case", "place", "tmpfs", 0, NULL));
	give(inner.line, 0);
	mended(take(inner.line), "and can't be added again: EPERM");
	ok(take(inner.line), "nothing of the host is told");
	finish(&inner);
}

static const char *const crowd_steps[] = {
	"32 watches, and no more: ENOSPC", "twice the same is EBUSY all the same",
	"another object has room",         "a watch is removed",
	"another has its place",           "which the first does not get back",
	"a queue is closed: then it does",
};

/* As many as users may have; there is room again for each that goes, and room on others. */
static void crowd(int line, int fd, int other)
{
	struct queue queues[MOST_WATCHES + 1], *more = &queues[MOST_WATCHES];
	int i, added = 0;

	for (i = 0; i <= MOST_WATCHES; i++) {
		queues[i] = empty_queue((unsigned int)i);
		added += !watch(queues[i].fds[0], 0, fd, queues[i].id);
	}
	give(line, added == MOST_WATCHES && watch(more->fds[0], 0, fd, 1) == -ENOSPC);
	give(line, watch(queues[0].fds[0], 0, fd, 1) == -EBUSY);
	give(line, watch(more->fds[0], 0, other, 1) == 0);
	give(line, watch(queues[1].fds[0], XP_WATCH_REMOVE, fd, 1) == 0);
	give(line, watch(more->fds[0], 0, fd, 1) == 0);
	give(line, watch(queues[1].fds[0], 0, fd, 1) == -ENOSPC);
	close_queue(&queues[0]);
	give(line, watch(queues[1].fds[0], 0, fd, 1) == 0);
	take(line);
	for (i = 1; i <= MOST_WATCHES; i++)
		close_queue(&queues[i]);
}

static void crowds_inside(int line)
{
	int other, mount;

	tmpfs("a");
	tmpfs("other");
	mount = handle("a");
	other = handle("other");
	give(line, (u64)mount);
	crowd(line, mount, other);
	crowd(line, own_ns(), other);
}

/* Who fills an object with watches keeps its own kind away, but not the host's root. */
static void crowd_from_outside(const struct container *inner, int fd, const char *name)
{
	struct queue ours = empty_queue(1);
	unsigned int i;

	for (i = 0; i < sizeof(crowd_steps) / sizeof(*crowd_steps); i++)
		mended(take(inner->line), crowd_steps[i]);
	mended(watch(ours.fds[0], 0, fd, 1) == 0, name);
	give(inner->line, 0);
	close_queue(&ours);
	close(fd);
}

static void crowded(void)
{
	struct container inner = start(crowds_inside, CLONE_NEWNS);

	crowd_from_outside(&inner, take_descriptor(&inner),
			   "the host's root may watch a mount that bears no more");
	crowd_from_outside(&inner, inner.mounts, "and a namespace");
	finish(&inner);
}

static const struct test_case cases[] = {
	{ "users", users },
	{ "a container", container },
	{ "what a container shares", shared },
	{ "a tree for a container", given },
	{ "a tree from a container", taken },
	{ "many watches of one object", crowded },
};

int main(void)
{
	return RUN_CASES(cases);
}
