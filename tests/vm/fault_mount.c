// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Watches of mounts, and what happens to mounts that are watched, without memory: a call that fails
 * tells nothing, and what another one has done is told, or that something was lost.
 */
#include "mounts.h"

#include "fault.h"

#define WORK "/tmp/work"
#define ID_ALL 0x42u
#define ID_ONE 0x17u

/* One watches the namespace, the other one mount. */
static struct queue all, one;
static u64 watched, below, top, a, c, s, t, detached;
static int object, outside = -1;
static unsigned int losses;
static char mounts_before[16384];

/* The mounts below the root, which lies outside of /proc where it has been changed. */
static void read_mounts(char *text)
{
	const char *path = outside < 0 ? "/proc/self/mountinfo" : "proc/self/mountinfo";
	int fd = openat(outside, path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;

	must(fd >= 0);
	while ((n = read(fd, text + length, sizeof(mounts_before) - 1 - length)) > 0)
		length += (size_t)n;
	must(n == 0 && length < sizeof(mounts_before) - 1);
	text[length] = '\0';
	close(fd);
}

/* a with the mount a/c on it, an empty b, and s of which t is a peer. */
static void make_tree(void)
{
	dir(WORK);
	top = tmpfs(WORK);
	must(!chdir(WORK));
	a = tmpfs("a");
	c = tmpfs("a/c");
	dir("b");
	s = tmpfs("s");
	make("s", MS_SHARED);
	dir("s/m");
	dir("t");
	bind_mount("s", "t", 0);
	t = at("t");
	object = -1;
}

static void watch_tree(const char *path)
{
	all = watch_here();
	one = watch_mount(path, ID_ONE);
	watched = at(path);
	read_mounts(mounts_before);
}

static void clean(void)
{
	if (object >= 0)
		close(object);
	if (outside >= 0)
		must(!fchdir(outside) && !chroot(".") && !close(outside));
	outside = -1;
	close_queue(&all);
	close_queue(&one);
	must(!chdir("/tmp") && !umount2(WORK, MNT_DETACH));
}

/* ------------------------------------------------------------------ what was told */

/* Who watches the mount @object, or the namespace if that is 0, has to be told of this. */
static bool concerns(u64 object, const struct note *note)
{
	if (!object || note->mount == object)
		return true;
	return note->parent == object && note->subtype != SETATTR && note->subtype != PROPAGATION;
}

/* These come, in this order; where one is missing, a loss is told, and only then. */
static bool told_to(const struct queue *queue, u64 object, const struct note *notes, int count)
{
	bool lost = false, missing = false, ended = false, ends = false;
	union bytes got, want;
	int next = 0, i;

	for (i = 0; i < count; i++)
		ends = ends || (notes[i].subtype == DETACHED && notes[i].mount == object);
	while (next_record(queue->fds[0], &got, 0) >= 0) {
		want = removal_of(queue, object);
		if (!ended && tells_loss(&got)) {
			lost = true;
			losses++;
			continue;
		}
		if (!ended && !memcmp(&got, &want, sizeof(got))) {
			ended = true;
			continue;
		}
		for (; next < count; next++) {
			want = record_of(queue, &notes[next]);
			if (!memcmp(&got, &want, sizeof(got)))
				break;
			missing = missing || concerns(object, &notes[next]);
		}
		if (ended || lost || next == count) {
			tell("not expected", &got);
			return false;
		}
		next++;
	}
	for (; next < count; next++)
		missing = missing || concerns(object, &notes[next]);
	if (!on_base() && (missing != lost || ended != ends))
		printf("# missing %d, lost %d, ended %d\n", missing, lost, ended);
	return missing == lost && ended == ends;
}

static bool told_both(const struct note *notes, int count)
{
	bool right = told_to(&all, 0, notes, count);

	return told_to(&one, watched, notes, count) && right;
}

#define told(...) \
	told_both((const struct note[]){ __VA_ARGS__ }, \
		  (int)(sizeof((const struct note[]){ __VA_ARGS__ }) / sizeof(struct note)))

static bool unchanged(void)
{
	static char mounts[sizeof(mounts_before)];

	read_mounts(mounts);
	return !strcmp(mounts, mounts_before) && nothing_else(&all) && nothing_else(&one);
}

/* ------------------------------------------------------------------ events */

static void watch_top(void)
{
	make_tree();
	watch_tree(".");
}

static void watch_a(void)
{
	make_tree();
	watch_tree("a");
}

static void watch_c(void)
{
	make_tree();
	watch_tree("a/c");
}

/* A tmpfs that has no memory for the inode of its root says that there is no space. */
static long mount_new(void)
{
	long result = outcome(mount("new", "b", "tmpfs", 0, "size=1m"));

	return result == -ENOSPC ? -ENOMEM : result;
}

static long bind_a(void)
{
	return outcome(mount("a", "b", NULL, MS_BIND, NULL));
}

static bool b_attached(long result)
{
	return result == 0 && told({ ATTACHED, 0, at("b"), top });
}

static long bind_tree(void)
{
	return outcome(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
}

static bool tree_attached(long result)
{
	return result == 0 &&
	       told({ ATTACHED, 0, at("b"), top }, { ATTACHED, RECURSIVE, at("b/c"), at("b") });
}

static long bind_shared(void)
{
	return outcome(mount("a", "s/m", NULL, MS_BIND, NULL));
}

static bool shared_attached(long result)
{
	return result == 0 &&
	       told({ ATTACHED, 0, at("s/m"), s }, { ATTACHED, PROPAGATED, at("t/m"), t });
}

static void watch_with_detached(void)
{
	make_tree();
	object = detached_tmpfs();
	detached = mount_of(object, "");
	watch_tree(".");
}

static long attach(void)
{
	return outcome(x_move_mount(object, "", AT_FDCWD, "b", X_MOVE_F_EMPTY));
}

static bool detached_attached(long result)
{
	return result == 0 && told({ ATTACHED, 0, detached, top });
}

static long move_a(void)
{
	return outcome(mount("a", "b", NULL, MS_MOVE, NULL));
}

static bool a_moved(long result)
{
	return result == 0 && at("b") == a && told({ MOVED, 0, a, top });
}

/* The tree as this process's root, so that the machine keeps its own. */
static void watch_root(void)
{
	make_tree();
	dir("a/old");
	watch_tree("a");
	below = parent_of(top);
	outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(outside >= 0 && !chroot("."));
	read_mounts(mounts_before);
}

static long pivot(void)
{
	return outcome(syscall(SYS_pivot_root, "a", "a/old"));
}

static bool pivoted(long result)
{
	return result == 0 && at("/") == a && at("/old") == top &&
	       told({ MOVED, 0, top, a }, { MOVED, 0, a, below });
}

static long unmount_c(void)
{
	return outcome(umount2("a/c", 0));
}

static bool c_detached(long result)
{
	return result == 0 && at("a/c") == a && told({ DETACHED, 0, c, a });
}

static long detach_a(void)
{
	return outcome(umount2("a", MNT_DETACH));
}

static bool tree_detached(long result)
{
	return result == 0 && at("a") == top &&
	       told({ DETACHED, 0, a, top }, { DETACHED, RECURSIVE, c, a });
}

static long set_a(void)
{
	return outcome(
		set_attributes(AT_FDCWD, "a", 0, (struct attributes){ .set = X_ATTR_RDONLY }));
}

static long bind_remount_a(void)
{
	return outcome(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
}

static long remount_a(void)
{
	return outcome(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, "size=2m"));
}

static bool a_set(long result)
{
	return result == 0 && readonly_flag(a) && told({ SETATTR, READONLY, a, top });
}

static long set_tree(void)
{
	return outcome(set_attributes(AT_FDCWD, "a", X_AT_RECURSIVE,
				      (struct attributes){ .set = X_ATTR_RDONLY }));
}

static bool tree_set(long result)
{
	return result == 0 && readonly_flag(a) && readonly_flag(c) &&
	       told({ SETATTR, READONLY, a, top }, { SETATTR, READONLY | RECURSIVE, c, a });
}

static long share_tree(void)
{
	return outcome(mount(NULL, "a", NULL, MS_SHARED | MS_REC, NULL));
}

static bool tree_shared(long result)
{
	return result == 0 && told({ PROPAGATION, 0, a, top }, { PROPAGATION, RECURSIVE, c, a });
}

/* ------------------------------------------------------------------ watches */

/* Something that the namespace's watches and those of the mount see. */
static void cause(void)
{
	struct attributes noexec = { .set = X_ATTR_NOEXEC }, exec = { .clear = X_ATTR_NOEXEC };
	bool is_set = status_of(a).attributes & X_ATTR_NOEXEC;

	must(!set_attributes(AT_FDCWD, "a", 0, is_set ? exec : noexec));
}

/* A queue without a watch, one for those of the other that are looked at. */
static void open_queues(void)
{
	make_tree();
	all = watch_here();
	one = empty_queue(ID_ONE);
	one.ns = all.ns;
}

static void prepare_mount(void)
{
	open_queues();
	object = handle("a");
	watched = a;
}

/* A namespace that nobody has watched. */
static void prepare_namespace(void)
{
	must(!unshare(CLONE_NEWNS));
	make_tree();
	one = empty_queue(ID_ONE);
	all = empty_queue(ID_ALL);
	object = own_ns();
	watched = one.ns = ns_id(object);
}

static void prepare_removal(void)
{
	prepare_mount();
	must_watch(&one, object);
}

static long add_watch(void)
{
	return watch(one.fds[0], 0, object, ID_ONE);
}

static bool not_watched(void)
{
	cause();
	return nothing_else(&one);
}

static bool is_watched(void)
{
	cause();
	return exactly(&one, { SETATTR, 0, a, top });
}

static bool watch_added(long result)
{
	return result == 0 && is_watched() && add_watch() == -EBUSY;
}

static long remove_watch(void)
{
	return watch(one.fds[0], XP_WATCH_REMOVE, object, ID_ONE);
}

static bool watch_removed(long result)
{
	return result == 0 && removal(&one, watched) && not_watched();
}

static const struct operation watches[] = {
	{ "a watch of a mount", prepare_mount, add_watch, not_watched, watch_added, clean },
	{ "a watch of a namespace", prepare_namespace, add_watch, not_watched, watch_added, clean },
	{ "its removal", prepare_removal, remove_watch, is_watched, watch_removed, clean },
};

static const struct operation events[] = {
	{ "a new mount", watch_top, mount_new, unchanged, b_attached, clean },
	{ "a bind mount", watch_top, bind_a, unchanged, b_attached, clean },
	{ "a tree of them", watch_top, bind_tree, unchanged, tree_attached, clean },
	{ "one that is propagated", watch_top, bind_shared, unchanged, shared_attached, clean },
	{ "a detached tree", watch_with_detached, attach, unchanged, detached_attached, clean },
	{ "a move", watch_top, move_a, unchanged, a_moved, clean },
	{ "pivot_root", watch_root, pivot, unchanged, pivoted, clean },
	{ "umount", watch_a, unmount_c, unchanged, c_detached, clean },
	{ "umount, and the end of a watch", watch_c, unmount_c, unchanged, c_detached, clean },
	{ "umount of a tree", watch_top, detach_a, unchanged, tree_detached, clean },
	{ "mount_setattr", watch_a, set_a, unchanged, a_set, clean },
	{ "mount_setattr of a tree", watch_a, set_tree, unchanged, tree_set, clean },
	{ "a remount of the mount", watch_a, bind_remount_a, unchanged, a_set, clean },
	{ "a remount of the file system too", watch_a, remount_a, unchanged, a_set, clean },
	{ "propagation of a tree", watch_a, share_tree, unchanged, tree_shared, clean },
};

static void run_watches(void)
{
	open_injection(NO_PAGE);
	REFUSE_EACH(watches);
}

/* Each has an event that there was no memory for. */
static void run_events(void)
{
	open_injection(NO_PAGE);
	for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		losses = 0;
		refuse_each(&events[i]);
		mended(losses > 0, "and its loss is told");
	}
}

int main(void)
{
	static const struct test_case cases[] = { { "watches", run_watches },
						  { "events", run_events } };

	return RUN_CASES(cases);
}
