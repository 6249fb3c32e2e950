// SPDX-License-Identifier: GPL-2.0-or-later
/* A watch on one mount tells of it and of its direct children, does not hold it, and ends with it.
 */
#include "mounts.h"

#define ID 5

static void itself(void)
{
	u64 top = at("."), a = tmpfs("a"), b = tmpfs("b");
	struct queue queue = watch_mount("a", ID);

	dir("b/c");
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
	mended(exactly(&queue, { SETATTR, 0, a, top }), "its attributes");
	make("a", MS_SHARED);
	mended(exactly(&queue, { PROPAGATION, 0, a, top }), "its type");
	must(!mount("a", "b/c", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, a, b }), "its place");
	must(!umount("b/c"));
	mended(expect(&queue, { DETACHED, 0, a, b }), "its end");
	mended(removal(&queue, a), "which ends the watch");
	ok(nothing_else(&queue), "nothing follows");
}

static void children(void)
{
	u64 top = at("."), a = tmpfs("a"), b, c;
	struct queue queue = watch_mount("a", ID);

	dir("d");
	b = tmpfs("a/b");
	mended(exactly(&queue, { ATTACHED, 0, b, a }), "a child comes");
	must(!mount(NULL, "a/b", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
	make("a/b", MS_SHARED);
	ok(nothing_else(&queue), "its attributes and its type are not told");
	c = tmpfs("a/b/c");
	ok(nothing_else(&queue), "nor what comes on it");
	must(!umount("a/b/c"));
	ok(c && nothing_else(&queue), "and goes");
	must(!mount("a/b", "d", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, b, top }), "it moves away: told to its old parent");
	must(!mount("d", "a/b", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, b, a }), "it comes back: told to its new one");
	dir("a/e");
	must(!mount("a/b", "a/e", NULL, MS_MOVE, NULL));
	mended(exactly(&queue, { MOVED, 0, b, a }), "it moves within: told once");
	must(!umount("a/e"));
	mended(exactly(&queue, { DETACHED, 0, b, a }), "it goes");
	b = tmpfs("a/b");
	mended(exactly(&queue, { ATTACHED, 0, b, a }), "another comes");
	must(umount2("a/b", MNT_EXPIRE) == -1 && !umount2("a/b", MNT_EXPIRE));
	mended(exactly(&queue, { EXPIRED, 0, b, a }), "and expires");
	tmpfs("d");
	ok(nothing_else(&queue), "what happens elsewhere is not told");
}

static void trees(void)
{
	u64 top = at("."), a = tmpfs("a"), b, c;
	struct queue above, queue, below;

	tmpfs("t");
	tmpfs("t/u");
	dir("a/b");
	queue = watch_mount("a", ID);
	bind_mount("t", "a/b", MS_REC);
	b = at("a/b");
	mended(exactly(&queue, { ATTACHED, 0, b, a }), "of a tree that comes, its top");
	c = at("a/b/u");
	below = watch_mount("a/b/u", 8);
	above = watch_mount(".", 9);
	must(!umount2("a", MNT_DETACH));
	mended(exactly(&above, { DETACHED, 0, a, top }), "of one that goes, its top to its parent");
	mended(expect(&queue, { DETACHED, 0, a, top }, { DETACHED, RECURSIVE, b, a }) &&
		       removal(&queue, a),
	       "itself and its child to the top");
	mended(expect(&below, { DETACHED, RECURSIVE, c, b }) && removal(&below, c),
	       "and the lowest to itself");
	ok(nothing_else(&queue) && nothing_else(&below), "nothing follows");
}

static void beneath(void)
{
	u64 top = at("."), a = tmpfs("a"), new;
	struct queue parent = watch_mount(".", 1), upper = watch_mount("a", 2);
	int fd = detached_tmpfs();

	new = mount_of(fd, "");
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY | X_MOVE_BENEATH));
	close(fd);
	mended(exactly(&parent, { ATTACHED, 0, new, top }, { MOVED, 0, a, new }),
	       "a mount beneath a child: both are told to the parent");
	mended(exactly(&upper, { MOVED, 0, a, new }), "the upper one is told that it has moved");
}

static void between(void)
{
	u64 a = tmpfs("a"), b = tmpfs("b"), c = tmpfs("a/c");
	struct queue from = watch_mount("a", 1), to = watch_mount("b", 2),
		     it = watch_mount("a/c", 3), both = watch_mount("a", 4), second = both;
	const struct note there = { MOVED, 0, c, b }, back = { MOVED, 0, c, a };
	int fd = handle("b");

	second.id = 5;
	must_watch(&second, fd);
	close(fd);
	dir("b/d");
	must(!mount("a/c", "b/d", NULL, MS_MOVE, NULL));
	mended(exactly(&from, { MOVED, 0, c, b }), "a move: the old parent is told");
	mended(exactly(&to, { MOVED, 0, c, b }), "the new one is");
	mended(exactly(&it, { MOVED, 0, c, b }), "and the mount itself");
	mended(expect_records(
		       &both,
		       (union bytes[]){ record_of(&both, &there), record_of(&second, &there) },
		       2) &&
		       nothing_else(&both),
	       "a queue that watches both parents is told once for each");
	must(!mount("b/d", "a/c", NULL, MS_MOVE, NULL));
	mended(expect_records(&both,
			      (union bytes[]){ record_of(&both, &back), record_of(&second, &back) },
			      2) &&
		       nothing_else(&both),
	       "and when it moves back");
}

static void not_held(void)
{
	u64 top = at("."), a = tmpfs("a");
	struct queue queue = empty_queue(ID);
	int fd = handle("a"), ns = own_ns();

	queue.ns = ns_id(ns);
	must_watch(&queue, fd);
	ok(umount("a") == -1 && errno == EBUSY, "a descriptor holds a mount");
	close(fd);
	ok(!umount("a"), "a watch does not");
	mended(expect(&queue, { DETACHED, 0, a, top }) && removal(&queue, a), "it ends with it");
	close(ns);
}

/* The watch of a mount that somebody still uses ends when nobody does, or is removed before. */
static void used_to_the_end(void)
{
	u64 top = at("."), a = tmpfs("a");
	struct queue queue = watch_mount("a", ID);
	int fd = handle("a");

	must(!umount2("a", MNT_DETACH));
	mended(expect(&queue, { DETACHED, 0, a, top }), "a lazy unmounting is told at once");
	close(fd);
	mended(removal(&queue, a), "when the last user is gone, the watch is");
	ok(nothing_else(&queue), "nothing follows");

	a = tmpfs("a");
	queue = watch_mount("a", ID);
	fd = handle("a");
	must(!umount2("a", MNT_DETACH));
	mended(expect(&queue, { DETACHED, 0, a, top }), "another that is still used");
	mended(watch(queue.fds[0], 0, fd, ID) == -EINVAL, "can't be watched: EINVAL");
	mended(watch(queue.fds[0], XP_WATCH_REMOVE, fd, ID) == 0, "its watch can be removed");
	mended(removal(&queue, a), "which is told");
	mended(watch(queue.fds[0], XP_WATCH_REMOVE, fd, ID) == -EBADSLT, "once: EBADSLT");
	close(fd);
	ok(nothing_else(&queue), "nothing follows");
}

static void detached(void)
{
	struct queue queue = empty_queue(ID);
	int fd = detached_tmpfs(), ns = own_ns();
	u64 id = mount_of(fd, ""), top = at(".");

	must_watch(&queue, fd);
	must(!set_attributes(fd, "", AT_EMPTY_PATH, (struct attributes){ .set = X_ATTR_RDONLY }));
	mended(exactly(&queue, { SETATTR, READONLY, id, id }),
	       "a detached tree is its own parent, in no namespace");
	must(!set_attributes(fd, "", AT_EMPTY_PATH, (struct attributes){ .clear = X_ATTR_RDONLY }));
	mended(exactly(&queue, { SETATTR, 0, id, id }), "and can change");
	dir("a");
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY));
	close(fd);
	queue.ns = ns_id(ns);
	mended(exactly(&queue, { ATTACHED, 0, id, top }), "it is attached: it has a namespace now");
	must(!umount("a"));
	mended(expect(&queue, { DETACHED, 0, id, top }) && removal(&queue, id), "and ends there");
}

static void never_attached(void)
{
	struct queue queue = empty_queue(ID);
	int fd = detached_tmpfs();
	u64 id = mount_of(fd, "");

	must_watch(&queue, fd);
	close(fd);
	mended(expect(&queue, { DETACHED, 0, id, id }) && removal(&queue, id),
	       "a detached tree that is closed: DETACHED, then the end of the watch");
	ok(nothing_else(&queue), "nothing follows");
}

/* The same user namespace owns both. */
static void attached_elsewhere(void)
{
	struct queue queue = empty_queue(ID);
	int fd = detached_tmpfs(), here = own_ns(), other = clone_ns();
	u64 id = mount_of(fd, "");

	must_watch(&queue, fd);
	dir("a");
	enter(other);
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY));
	queue.ns = ns_id(other);
	mended(exactly(&queue, { ATTACHED, 0, id, at(".") }),
	       "a detached tree that gets to another namespace of the same owner");
	enter(here);
	close(fd);
}

static const struct test_case cases[] = {
	{ "the mount itself", itself },
	{ "its children", children },
	{ "trees", trees },
	{ "beneath", beneath },
	{ "from one parent to another", between },
	{ "a watched mount is unmounted", not_held },
	{ "and still used", used_to_the_end },
	{ "a detached tree", detached },
	{ "a detached tree, closed", never_attached },
	{ "a detached tree, attached elsewhere", attached_elsewhere },
};

int main(void)
{
	return RUN_CASES(cases);
}
