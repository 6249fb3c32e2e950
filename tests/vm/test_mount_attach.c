// SPDX-License-Identifier: GPL-2.0-or-later
/* What is mounted, bound or attached tells its namespace so, once a mount. */
#include "mounts.h"

static void new_mount(void)
{
	struct queue queue = watch_here();
	u64 top = at("."), a = tmpfs("a"), b;

	mended(exactly(&queue, { ATTACHED, 0, a, top }), "a new file system");
	b = tmpfs("a/b");
	mended(exactly(&queue, { ATTACHED, 0, b, a }), "one on it: the parent is the first");
	must(!mount("case", "a/b", "tmpfs", 0, NULL));
	mended(exactly(&queue, { ATTACHED, 0, at("a/b"), b }), "one at the same place lies on it");
	dir("ro");
	must(!mount("case", "ro", "tmpfs", MS_RDONLY, NULL));
	mended(exactly(&queue, { ATTACHED, READONLY, at("ro"), top }), "one that is read-only");
}

static void failed_mount(void)
{
	struct queue queue = watch_here();

	must(mount("case", "nowhere", "tmpfs", 0, NULL) == -1 && errno == ENOENT);
	must(mount("nowhere", ".", NULL, MS_BIND, NULL) == -1 && errno == ENOENT);
	ok(nothing_else(&queue), "a mount that fails tells nothing");
}

static void one_bind(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a");

	tmpfs("a/b");
	dir("c");
	file("f");
	file("g");
	queue = watch_here();
	bind_mount("a", "c", 0);
	mended(exactly(&queue, { ATTACHED, 0, at("c"), top }), "a bound mount, without its child");
	bind_mount("f", "g", 0);
	mended(exactly(&queue, { ATTACHED, 0, at("g"), top }), "a bound file");
	bind_mount("a", "a", 0);
	mended(exactly(&queue, { ATTACHED, 0, at("a"), a }), "a mount bound onto itself");
	dir("ro");
	bind_mount("c", "ro", 0);
	must(!mount(NULL, "ro", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	mended(exactly(&queue, { ATTACHED, 0, at("ro"), top },
		       { SETATTR, READONLY, at("ro"), top }),
	       "one that is made read-only afterwards");
	dir("ro2");
	bind_mount("ro", "ro2", 0);
	mended(exactly(&queue, { ATTACHED, READONLY, at("ro2"), top }),
	       "a read-only mount's copy is read-only");
}

/* a, a/b, a/b/c, a/d: d read-only. */
static void tree(void)
{
	tmpfs("a");
	tmpfs("a/b");
	tmpfs("a/b/c");
	dir("a/d");
	must(!mount("case", "a/d", "tmpfs", MS_RDONLY, NULL));
}

static void whole_tree(void)
{
	struct queue queue;
	u64 top = at(".");

	tree();
	tmpfs("e");
	queue = watch_here();
	bind_mount("a", "e", MS_REC);
	mended(exactly(&queue, { ATTACHED, 0, at("e"), parent_of(at("e")) },
		       { ATTACHED, RECURSIVE, at("e/b"), at("e") },
		       { ATTACHED, RECURSIVE, at("e/b/c"), at("e/b") },
		       { ATTACHED, RECURSIVE | READONLY, at("e/d"), at("e") }),
	       "a tree that is bound: its children are told as such");
	make("a/b", MS_UNBINDABLE);
	dir("f");
	mended(exactly(&queue, { PROPAGATION, 0, at("a/b"), at("a") }), "a child is unbindable");
	bind_mount("a", "f", MS_REC);
	mended(exactly(&queue, { ATTACHED, 0, at("f"), top },
		       { ATTACHED, RECURSIVE | READONLY, at("f/d"), at("f") }),
	       "then it and what is on it is not bound, nor told");
}

/* One at a time out of and into the tree, by descriptor. */
static void from_descriptor(void)
{
	struct queue queue = watch_here();
	u64 top = at("."), id;
	int fd = detached_tmpfs();

	id = mount_of(fd, "");
	ok(nothing_else(&queue), "fsmount(2) tells nothing: it is mounted nowhere");
	dir("a");
	must(!x_move_mount(fd, "", AT_FDCWD, "a", X_MOVE_F_EMPTY));
	must(at("a") == id);
	mended(exactly(&queue, { ATTACHED, 0, id, top }), "move_mount(2) attaches it");
	close(fd);
	ok(nothing_else(&queue), "closing the descriptor tells nothing");
	fd = x_open_tree(AT_FDCWD, "a", X_OPEN_TREE_CLONE);
	must(fd >= 0);
	id = mount_of(fd, "");
	dir("b");
	ok(nothing_else(&queue), "nor does a copy that is mounted nowhere");
	must(!x_move_mount(fd, "", AT_FDCWD, "b", X_MOVE_F_EMPTY));
	mended(exactly(&queue, { ATTACHED, 0, id, top }), "which keeps its id when it is attached");
	close(fd);
	fd = x_open_tree(AT_FDCWD, "b", X_OPEN_TREE_CLONE);
	must(fd >= 0);
	close(fd);
	ok(nothing_else(&queue), "a copy that is never attached is never told");
}

static void tree_from_descriptor(void)
{
	struct queue queue;
	u64 top = at(".");
	int fd;

	tree();
	dir("e");
	queue = watch_here();
	fd = x_open_tree(AT_FDCWD, "a", X_OPEN_TREE_CLONE | X_AT_RECURSIVE);
	must(fd >= 0);
	ok(nothing_else(&queue), "a copied tree that is mounted nowhere");
	must(!x_move_mount(fd, "", AT_FDCWD, "e", X_MOVE_F_EMPTY));
	mended(exactly(&queue, { ATTACHED, 0, at("e"), top },
		       { ATTACHED, RECURSIVE, at("e/b"), at("e") },
		       { ATTACHED, RECURSIVE, at("e/b/c"), at("e/b") },
		       { ATTACHED, RECURSIVE | READONLY, at("e/d"), at("e") }),
	       "is attached as a whole: its children are told as such");
	close(fd);
}

static void other_namespaces(void)
{
	struct queue queue, theirs;
	int here = own_ns(), other;

	tree();
	queue = watch_here();
	other = clone_ns();
	ok(nothing_else(&queue), "a copy of the namespace is no event in it");
	theirs = watch_ns(other, 7);
	tmpfs("x");
	mended(expect(&queue, { ATTACHED, 0, at("x"), at(".") }), "a mount is told here");
	ok(nothing_else(&theirs), "and not in the copy");
	enter(other);
	tmpfs("y");
	mended(exactly(&theirs, { ATTACHED, 0, at("y"), at(".") }), "one there is told there");
	enter(here);
	ok(nothing_else(&queue), "and not here");
	ok(queue.ns != theirs.ns, "the two namespaces have two ids");
}

/* How many mounts a namespace may have, or what it was. */
static long limit(long most)
{
	FILE *file = fopen("/proc/sys/fs/mount-max", "r+");
	long was;

	must(file && fscanf(file, "%ld", &was) == 1);
	rewind(file);
	must(fprintf(file, "%ld\n", most ? most : was) > 0 && !fclose(file));
	return was;
}

static long mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	long lines = 0;
	int c;

	must(file);
	while ((c = getc(file)) != EOF)
		lines += c == '\n';
	fclose(file);
	return lines;
}

/* Room for two mounts of the tree's four, or none in one of the peers. */
static void no_room(void)
{
	struct queue queue, theirs[2];
	int others[2], i, here = own_ns(), failed;
	long was, most;

	tree();
	tmpfs("s");
	make("s", MS_SHARED);
	dir("s/x");
	dir("e");
	for (i = 0; i < 2; i++) {
		others[i] = clone_ns();
		theirs[i] = watch_ns(others[i], 1 + (unsigned int)i);
	}
	queue = watch_here();
	was = limit(mounts() + 2);
	failed = mount("a", "e", NULL, MS_BIND | MS_REC, NULL) == -1 && errno == ENOSPC;
	limit(was);
	ok(failed, "a tree that is too large for the namespace is refused");
	ok(nothing_else(&queue), "of which nothing is told");
	enter(others[1]);
	for (i = 0; i < 9; i++)
		must(!mount("case", "e", "tmpfs", 0, NULL));
	most = mounts();
	while (next_record(theirs[1].fds[0], &(union bytes){ .bytes = { 0 } }, 0) > 0)
		continue;
	enter(here);
	was = limit(most);
	failed = mount("a", "s/x", NULL, MS_BIND | MS_REC, NULL) == -1 && errno == ENOSPC;
	limit(was);
	ok(failed, "a tree that is too large for one of the peers is refused");
	ok(nothing_else(&queue), "of which nothing is told here");
	ok(nothing_else(&theirs[0]), "nor in the peer that had room");
	ok(nothing_else(&theirs[1]), "nor in the one that had none");
}

static const struct test_case cases[] = {
	{ "new mounts", new_mount },
	{ "mounts that fail", failed_mount },
	{ "one mount bound", one_bind },
	{ "a tree bound", whole_tree },
	{ "a descriptor attached", from_descriptor },
	{ "a descriptor's tree attached", tree_from_descriptor },
	{ "other namespaces", other_namespaces },
	{ "no room", no_room },
};

int main(void)
{
	return RUN_CASES(cases);
}
