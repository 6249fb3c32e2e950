// SPDX-License-Identifier: GPL-2.0-or-later
/* What is unmounted, expires or loses its place tells its namespace so, once a mount. */
#include "mounts.h"

/* a, a/b and a/b/c. */
struct tree {
	u64 a, b, c;
};

static struct tree tree(void)
{
	struct tree tree = { .a = tmpfs("a") };

	tree.b = tmpfs("a/b");
	tree.c = tmpfs("a/b/c");
	return tree;
}

static void unmounted(void)
{
	struct queue queue;
	u64 top = at(".");
	struct tree ids = tree();

	make("a/b", MS_SHARED);
	queue = watch_here();
	must(!umount("a/b/c"));
	mended(exactly(&queue, { DETACHED, 0, ids.c, ids.b }), "a mount on a mount");
	must(!umount("a/b"));
	mended(exactly(&queue, { DETACHED, 0, ids.b, ids.a }),
	       "a shared one: its type is not told, which goes with it");
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	mended(exactly(&queue, { SETATTR, READONLY, ids.a, top }), "one is made read-only");
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, READONLY, ids.a, top }), "and so it goes");
}

static void busy(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a");
	int fd = handle("a");

	queue = watch_here();
	must(umount("a") == -1 && errno == EBUSY);
	must(umount(".") == -1 && errno == EBUSY);
	must(umount("nowhere") == -1 && errno == ENOENT);
	ok(nothing_else(&queue), "an unmounting that fails tells nothing");
	must(!umount2("a", MNT_DETACH));
	mended(exactly(&queue, { DETACHED, 0, a, top }),
	       "a lazy one is told when its place is gone");
	close(fd);
	ok(nothing_else(&queue), "not when its last user is");
}

static void lazy_tree(void)
{
	struct queue queue;
	u64 top = at(".");
	struct tree ids = tree();

	queue = watch_here();
	must(!umount2("a", MNT_DETACH));
	mended(exactly(&queue, { DETACHED, 0, ids.a, top }, { DETACHED, RECURSIVE, ids.b, ids.a },
		       { DETACHED, RECURSIVE, ids.c, ids.b }),
	       "a tree: each mount with the parent that it had");
}

/* Mounts that lie on one another at one place go one by one. */
static void stacked(void)
{
	struct queue queue;
	u64 top = at("."), low = tmpfs("a"), middle = tmpfs("a"), high = tmpfs("a");

	queue = watch_here();
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, 0, high, middle }), "the highest of three");
	must(!umount2("a", MNT_DETACH));
	must(!umount2("a", MNT_DETACH));
	mended(exactly(&queue, { DETACHED, 0, middle, low }, { DETACHED, 0, low, top }),
	       "the others");
}

static void expired(void)
{
	struct queue queue;
	u64 top = at("."), a = tmpfs("a");

	queue = watch_here();
	must(umount2("a", MNT_EXPIRE) == -1 && errno == EAGAIN);
	ok(nothing_else(&queue), "the mark for expiry is no event");
	must(!umount2("a", MNT_EXPIRE));
	mended(exactly(&queue, { EXPIRED, 0, a, top }),
	       "a mount that expires: no DETACHED besides");
	a = tmpfs("a");
	mended(exactly(&queue, { ATTACHED, 0, a, top }), "another at its place");
	must(umount2("a", MNT_EXPIRE) == -1 && errno == EAGAIN);
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, 0, a, top }),
	       "one that is unmounted in time is DETACHED");
}

static void add_to_list(int list, const char *path)
{
	int fd = handle(path);

	must(!ioctl(list, 0, fd));
	close(fd);
}

/* With the module mount_expiry, as an automounter does. */
static void expired_list(void)
{
	int list = open("/dev/mount_expiry", O_RDWR | O_CLOEXEC), user;
	u64 top = at("."), a = tmpfs("a"), b = tmpfs("b"), c = tmpfs("c");
	struct queue queue = watch_here();

	must(list >= 0);
	add_to_list(list, "a");
	add_to_list(list, "b");
	add_to_list(list, "c");
	user = handle("c");
	must(!ioctl(list, 1, 0));
	ok(nothing_else(&queue), "mounts that are marked are no events");
	must(!ioctl(list, 1, 0));
	mended(exactly(&queue, { EXPIRED, 0, a, top }, { EXPIRED, 0, b, top }),
	       "two that nobody uses expire, a third is used");
	close(user);
	must(!ioctl(list, 1, 0) && !ioctl(list, 1, 0));
	mended(exactly(&queue, { EXPIRED, 0, c, top }), "the third does later");
	close(list);
	ok(nothing_else(&queue), "the list goes without a word");
}

/* An automounter's list does not hold what a watch is on for in use. */
static void expired_watched(void)
{
	int list = open("/dev/mount_expiry", O_RDWR | O_CLOEXEC);
	u64 top = at("."), a = tmpfs("a");
	struct queue queue = watch_mount("a", 3);

	must(list >= 0);
	add_to_list(list, "a");
	must(!ioctl(list, 1, 0) && !ioctl(list, 1, 0));
	ok(at("a") == top, "a mount that is watched expires all the same");
	mended(expect(&queue, { EXPIRED, 0, a, top }) && removal(&queue, a) && nothing_else(&queue),
	       "its watch is told, and ends");
	close(list);
}

/* The module holds nothing: it can go, and come back. */
static void module_goes(void)
{
	const char *modules = getenv("XP_MODULES");
	char path[4096];
	int fd;

	must(modules);
	snprintf(path, sizeof(path), "%s/mount_expiry.ko", modules);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	ok(!syscall(SYS_delete_module, "mount_expiry", O_NONBLOCK), "the module is taken out");
	must(!syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	fd = open("/dev/mount_expiry", O_RDWR | O_CLOEXEC);
	ok(fd >= 0, "and put in again");
	close(fd);
}

static void remove_dir(void)
{
	must(!rmdir("place"));
}

static void remove_file(void)
{
	must(!unlink("place"));
}

static void rename_dir(void)
{
	dir("other");
	must(!rename("other", "place"));
}

static void rename_file(void)
{
	file("other");
	must(!rename("other", "place"));
}

/* What takes a place away under a mount that only another namespace has there. */
static const struct {
	const char *name;
	bool is_dir;
	void (*take)(void);
} takings[] = {
	{ "rmdir(2)", true, remove_dir },
	{ "unlink(2)", false, remove_file },
	{ "rename(2) onto a directory", true, rename_dir },
	{ "rename(2) onto a file", false, rename_file },
};

static void take_place(int other, unsigned int which)
{
	u64 place, child = 0, top;
	int here = own_ns();
	struct queue ours, theirs;
	bool told;

	if (takings[which].is_dir)
		dir("place");
	else
		file("place");
	enter(other);
	top = at(".");
	bind_mount(takings[which].is_dir ? "tree" : "filled", "place", MS_REC);
	place = at("place");
	if (takings[which].is_dir)
		child = at("place/child");
	theirs = watch_ns(other, 1);
	enter(here);
	ours = watch_here();
	takings[which].take();
	if (child)
		told = exactly(&theirs, { DETACHED, 0, place, top },
			       { DETACHED, RECURSIVE, child, place });
	else
		told = exactly(&theirs, { DETACHED, 0, place, top });
	mended(told, takings[which].name);
	ok(nothing_else(&ours), "nothing is told here");
	close_queue(&ours);
	close_queue(&theirs);
	close(here);
}

static void place_taken(void)
{
	int other = clone_ns(), here = own_ns();
	unsigned int i;

	dir("tree");
	file("filled");
	enter(other);
	tmpfs("tree");
	tmpfs("tree/child");
	enter(here);
	for (i = 0; i < sizeof(takings) / sizeof(*takings); i++) {
		take_place(other, i);
		must(!rmdir("place") || !unlink("place") || errno == ENOENT);
	}
}

/* The end of a namespace with many mounts is no event in any other. */
static void namespace_ends(void)
{
	struct queue queue;
	int other;

	tree();
	queue = watch_here();
	other = clone_ns();
	close(other);
	ok(nothing_else(&queue), "the end of another namespace tells nothing");
}

static const struct test_case cases[] = {
	{ "mounts unmounted", unmounted },
	{ "mounts that are used", busy },
	{ "a tree unmounted", lazy_tree },
	{ "mounts on one another", stacked },
	{ "umount2(2) with MNT_EXPIRE", expired },
	{ "an automounter's list", expired_list },
	{ "an automounter's list, watched", expired_watched },
	{ "an automounter's module", module_goes },
	{ "places taken away", place_taken },
	{ "namespaces that end", namespace_ends },
};

int main(void)
{
	return RUN_CASES(cases);
}
