// SPDX-License-Identifier: GPL-2.0-or-later
/* What is moved tells so, once a mount that has another place or parent. */
#include "mounts.h"

static void moved(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a"), b = tmpfs("b");
	int fd;

	tmpfs("a/child");
	dir("c");
	dir("b/c");
	queue = watch_here();
	must(!mount("a", "b/c", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, a, b }), "a tree: the top, not what lies on it");
	fd = handle("b/c");
	must(!x_move_mount(fd, "", AT_FDCWD, "c", X_MOVE_F_EMPTY));
	close(fd);
	mended(exactly(&queue, { MOVED, 0, a, top }), "move_mount(2), by descriptor");
	must(!mount("c", "a", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, a, top }), "to another place on the same parent");
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	must(!mount("a", "c", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { SETATTR, READONLY, a, top }, { MOVED, READONLY, a, top }),
	       "one that is read-only");
}

/* A tree of private mounts, and two that are not, whose top is moved to a shared parent. */
static void made_shared(void)
{
	struct queue queue, child;
	u64 s, c, d, b;

	tmpfs("a");
	s = tmpfs("a/s");
	c = tmpfs("a/s/c");
	d = tmpfs("a/s/c/d");
	tmpfs("a/s/shared");
	make("a/s/shared", MS_SHARED);
	bind_mount("a/s/shared", "a/s/shared", 0);
	make("a/s/shared", MS_SLAVE);
	b = tmpfs("b");
	make("b", MS_SHARED);
	dir("b/x");
	queue = watch_here();
	child = watch_mount("a/s/c", 7);
	must(!mount("a/s", "b/x", NULL, MS_MOVE, NULL));
	mended(expect(&queue, { MOVED, 0, s, b }), "a move to a shared parent: the top is MOVED");
	mended(exactly(&queue, { PROPAGATION, 0, s, b }, { PROPAGATION, RECURSIVE, c, s },
		       { PROPAGATION, RECURSIVE, d, c },
		       { PROPAGATION, RECURSIVE, at("b/x/shared"), parent_of(at("b/x/shared")) }),
	       "then PROPAGATION for each that was not shared, and for no other");
	mended(exactly(&child, { PROPAGATION, RECURSIVE, c, s }), "also to who watches a child");
	must(status_of(d).propagation == MS_SHARED);
	must(status_of(at("b/x/shared")).propagation == (MS_SHARED | MS_SLAVE));
	make("b", MS_PRIVATE);
	mended(exactly(&queue, { PROPAGATION, 0, b, at(".") }), "the parent is made private");
	must(!mount("b/x", "a/s", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, s, at("a") }), "a move from there changes no type");
}

static void made_shared_beneath(void)
{
	struct queue queue;
	u64 a = tmpfs("a"), b = tmpfs("b"), x;

	make("b", MS_SHARED);
	x = tmpfs("b/x");
	queue = watch_here();
	must(!x_move_mount(AT_FDCWD, "a", AT_FDCWD, "b/x", X_MOVE_BENEATH));
	mended(exactly(&queue, { MOVED, 0, a, b }, { PROPAGATION, 0, a, b }, { MOVED, 0, x, a }),
	       "a move beneath a mount on a shared parent");
	must(at("b/x") == x);
}

static void refused(void)
{
	struct queue queue;
	u64 a = tmpfs("a");

	dir("a/sub");
	dir("b");
	make(".", MS_SHARED);
	queue = watch_here();
	must(mount("a", "a/sub", NULL, MS_MOVE, NULL) == -1);
	must(mount("a", "b", NULL, MS_MOVE, NULL) == -1 && errno == EINVAL);
	must(at("a") == a);
	ok(nothing_else(&queue), "a move that is refused tells nothing");
}

static void beneath(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a"), b = tmpfs("b"), new;
	int fd = detached_tmpfs();

	new = mount_of(fd, "");
	queue = watch_here();
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY | X_MOVE_BENEATH));
	must(at("a") == a && parent_of(a) == new);
	mended(exactly(&queue, { ATTACHED, 0, new, top }, { MOVED, 0, a, new }),
	       "a new mount beneath one: ATTACHED, and MOVED for what lies on it now");
	close(fd);
	must(!x_move_mount(AT_FDCWD, "b", AT_FDCWD, "a", X_MOVE_BENEATH));
	must(at("a") == a && parent_of(a) == b && parent_of(b) == new);
	mended(exactly(&queue, { MOVED, 0, b, new }, { MOVED, 0, a, b }),
	       "one that was elsewhere, beneath: both are MOVED");
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, 0, a, b }), "the upper one is unmounted");
	must(at("a") == b);
}

static void tree_beneath(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a"), new, child;
	int fd;

	tmpfs("b");
	child = tmpfs("b/child");
	fd = x_open_tree(AT_FDCWD, "b", X_OPEN_TREE_CLONE | X_AT_RECURSIVE);
	must(fd >= 0);
	new = mount_of(fd, "");
	child = mount_of(fd, "child");
	queue = watch_here();
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY | X_MOVE_BENEATH));
	mended(exactly(&queue, { ATTACHED, 0, new, top }, { ATTACHED, RECURSIVE, child, new },
		       { MOVED, 0, a, new }),
	       "a tree beneath a mount");
	close(fd);
}

/* The mount that everything here lies on, and the one below. */
static void pivoted(void)
{
	struct queue queue;
	u64 root = at("/"), below = parent_of(root), new = tmpfs("new");
	unsigned int ro = readonly_flag(root);

	tmpfs("new/child");
	dir("new/old");
	queue = watch_here();
	must(!syscall(SYS_pivot_root, "new", "new/old"));
	must(at("/") == new &&at("/old") == root);
	mended(exactly(&queue, { MOVED, 0, new, below }, { MOVED, ro, root, new }),
	       "pivot_root(2): the new root and the old one");
}

static void pivoted_in_place(void)
{
	struct queue queue;
	u64 root = at("/"), below = parent_of(root), new = tmpfs("new");
	unsigned int ro = readonly_flag(root);

	must(!chdir("new"));
	queue = watch_here();
	must(!syscall(SYS_pivot_root, ".", "."));
	mended(exactly(&queue, { MOVED, 0, new, below }, { MOVED, ro, root, new }),
	       "pivot_root(2) onto the new root itself: the old one lies on it");
	must(!umount2(".", MNT_DETACH));
	mended(expect(&queue, { DETACHED, ro, root, new }), "and is unmounted");
	must(at("/") == new);
}

static const struct test_case cases[] = {
	{ "mounts moved", moved },
	{ "mounts made shared", made_shared },
	{ "mounts made shared, beneath", made_shared_beneath },
	{ "moves refused", refused },
	{ "beneath", beneath },
	{ "a tree beneath", tree_beneath },
	{ "pivot_root(2)", pivoted },
	{ "pivot_root(2) in place", pivoted_in_place },
};

int main(void)
{
	return RUN_CASES(cases);
}
