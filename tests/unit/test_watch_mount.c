/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications of the mount tree, by whatever serves here, and by less than that. */
#include "watchers.h"

#define STEPS 300
#define ENOUGH 4000

static char base[64], path[256], other[256];

static const char *at(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static const char *also_at(const char *name)
{
	snprintf(other, sizeof(other), "%s/%s", base, name);
	return other;
}

static void mount_at(const char *name)
{
	must((!mkdir(at(name), 0755) || errno == EEXIST) && !mount("x", path, "tmpfs", 0, NULL));
}

static struct xp_event last;
static char last_path[256], last_old[256], last_parent[256];

/* The next event must be that one; what it says is kept. */
static bool comes(struct xp_watch *watch, int number, int event)
{
	if (next_within(watch, &last, 2000) != 1)
		return false;
	snprintf(last_path, sizeof(last_path), "%s", last.path ? last.path : "");
	snprintf(last_old, sizeof(last_old), "%s", last.old_path ? last.old_path : "");
	snprintf(last_parent, sizeof(last_parent), "%s", last.parent_path ? last.parent_path : "");
	return last.watch == number && last.source == XP_SOURCE_MOUNT && last.event == event;
}

static bool none(struct xp_watch *watch)
{
	struct xp_event event;

	return next_within(watch, &event, 100) == -2 && at_rest(watch) &&
	       fails(xp_watch_next(watch, &event, XP_NONBLOCK), EAGAIN) && at_rest(watch);
}

/* ------------------------------------------------------------------------------ each event */

static void test_tree(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	uint64_t id, parent;
	int number;

	must(watch);
	number = add_path(watch, XP_SOURCE_MOUNT, base, 0);
	ok(number == 0 && none(watch), "%s: nothing to begin with", how);
	mount_at("a");
	ok(comes(watch, number, XP_MOUNT_ATTACH) && is(last_path, at("a")) && is(last_parent, base),
	   "%s: a mount comes with its place and its parent's", how);
	id = last.mount_id;
	parent = last.parent_id;
	ok(id && parent && id != parent && last.backend > XP_BACKEND_AUTO, "%s: and with ids", how);
	must(!mkdir(also_at("b"), 0755) && !mount(at("a"), other, "none", MS_MOVE, NULL));
	ok(comes(watch, number, XP_MOUNT_MOVE) && is(last_path, at("b")) &&
		   is(last_old, also_at("a")) && last.mount_id == id,
	   "%s: it moves from where it was", how);
	must(!mount(NULL, at("b"), "none", MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	ok(comes(watch, number, XP_MOUNT_SETATTR) && last.flags & XP_EVENT_READONLY &&
		   last.mount_id == id,
	   "%s: it becomes read-only", how);
	must(!mount(NULL, at("b"), "none", MS_REMOUNT | MS_BIND, NULL));
	ok(comes(watch, number, XP_MOUNT_SETATTR) && !(last.flags & XP_EVENT_READONLY),
	   "%s: and writable", how);
	must(!umount(at("b")));
	ok(comes(watch, number, XP_MOUNT_DETACH) && is(last_path, at("b")) && last.mount_id == id &&
		   last.parent_id == parent && is(last_parent, base),
	   "%s: it goes from where it was", how);
	ok(none(watch), "%s: and that is all", how);
	xp_watch_close(watch);
	must(!rmdir(at("a")) && !rmdir(at("b")));
}

/* A tree that moves, and one that goes: every mount of it is told. */
static void test_deep(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	int number;

	must(watch);
	mount_at("a");
	mount_at("a/in");
	must(!mkdir(at("b"), 0755));
	number = add_path(watch, XP_SOURCE_MOUNT, base, 0);
	must(!mount(at("a"), also_at("b"), "none", MS_MOVE, NULL));
	ok(comes(watch, number, XP_MOUNT_MOVE) && is(last_path, at("b")) &&
		   !(last.flags & XP_EVENT_RECURSIVE),
	   "%s: the top moves", how);
	ok(comes(watch, number, XP_MOUNT_MOVE) && is(last_path, at("b/in")) &&
		   is(last_old, also_at("a/in")) && last.flags & XP_EVENT_RECURSIVE,
	   "%s: and what is below moves with it", how);
	must(!umount2(at("b"), MNT_DETACH));
	ok(comes(watch, number, XP_MOUNT_DETACH) && comes(watch, number, XP_MOUNT_DETACH) &&
		   none(watch),
	   "%s: both go", how);
	xp_watch_close(watch);
	must(!rmdir(at("a")) && !rmdir(at("b")));
}

/* Only what is below, until its root goes. */
static void test_subtree(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	int whole, part;

	must(watch);
	mount_at("in");
	mount_at("out");
	part = add_path(watch, XP_SOURCE_MOUNT, at("in"), 0);
	mount_at("out/x");
	mount_at("in/y");
	ok(comes(watch, part, XP_MOUNT_ATTACH) && is(last_path, at("in/y")) && none(watch),
	   "%s: of a subtree alone", how);
	whole = add_path(watch, XP_SOURCE_MOUNT, NULL, 0);
	ok(whole == part + 1, "%s: another watch has another number", how);
	must(!umount(at("out/x")));
	ok(comes(watch, whole, XP_MOUNT_DETACH) && is(last_path, at("out/x")) && none(watch),
	   "%s: what lies elsewhere is for the whole alone", how);
	must(!mkdir(at("in/z"), 0755));
	must(!mount(at("out"), also_at("in/z"), "none", MS_MOVE, NULL));
	ok((comes(watch, part, XP_MOUNT_MOVE) || comes(watch, part, XP_MOUNT_MOVE)) &&
		   is(last_path, at("in/z")),
	   "%s: what moves in is told", how);
	while (next_within(watch, &last, 100) == 1)
		;
	must(!xp_watch_remove(watch, whole));
	ok(next_within(watch, &last, 1000) == 1 && last.removal && last.watch == whole &&
		   last.event == -1,
	   "%s: a watch that is removed says so", how);
	ok(fails(xp_watch_remove(watch, whole), ENOENT), "%s: once", how);
	must(!umount2(at("in"), MNT_DETACH));
	ok(comes(watch, part, XP_MOUNT_DETACH) && comes(watch, part, XP_MOUNT_DETACH) &&
		   comes(watch, part, XP_MOUNT_DETACH),
	   "%s: the root goes, and all that was in it", how);
	ok(next_within(watch, &last, 1000) == 1 && last.removal && last.watch == part &&
		   last.source == XP_SOURCE_MOUNT,
	   "%s: and the watch is over", how);
	ok(!xp_watch_next(watch, &last, 0), "%s: with no watch left there is an end", how);
	xp_watch_close(watch);
	must(!rmdir(at("in")) && !rmdir(at("out")));
}

static void test_filter(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	struct xp_target target = { .source = XP_SOURCE_MOUNT, .fd = -1 };

	must(watch);
	target.events = 1u << XP_MOUNT_DETACH;
	must(!xp_watch_add(watch, &target));
	mount_at("f");
	ok(none(watch), "%s: what is not wanted does not come", how);
	must(!umount(at("f")));
	ok(comes(watch, 0, XP_MOUNT_DETACH) && is(last_path, at("f")) && none(watch),
	   "%s: what is wanted does", how);
	xp_watch_close(watch);
	must(!rmdir(at("f")));
}

/* ------------------------------------------------------------------------------ the picture */

/* Mounts as the events have made them. */
static struct known {
	uint64_t id;
	char path[128];
} known[ENOUGH];
static int knowing;
static bool lost, found; /* a loss was told; and what it hid */

static void know_nothing(void)
{
	knowing = 0;
	lost = found = false;
}

static struct known *find(uint64_t id)
{
	for (int i = 0; i < knowing; i++)
		if (known[i].id == id)
			return &known[i];
	return NULL;
}

static void learn(const struct xp_event *event)
{
	struct known *one = find(event->mount_id);

	if (event->source == XP_SOURCE_META && event->event == XP_META_LOSS)
		lost = true;
	else if (event->flags & XP_EVENT_RESCAN)
		found = lost;
	if (event->source != XP_SOURCE_MOUNT || event->removal)
		return;
	if (event->event == XP_MOUNT_DETACH || event->event == XP_MOUNT_EXPIRE) {
		if (one)
			*one = known[--knowing];
		return;
	}
	if (!one) {
		must(knowing < ENOUGH);
		one = &known[knowing++];
	}
	one->id = event->mount_id;
	snprintf(one->path, sizeof(one->path), "%s", event->path ? event->path : "?");
}

static void learn_all(struct xp_watch *watch, int patience)
{
	struct xp_event event;

	while (next_within(watch, &event, patience) == 1)
		learn(&event);
}

/* Is it of the mount that is made when all else has happened? What is told with it is all. */
static bool is_end(const struct xp_event *event)
{
	return event->source == XP_SOURCE_MOUNT && event->path && is(event->path, at("end"));
}

/*
 * Learns what there is to tell, however long a loaded machine takes. A backend that compares tells
 * of the end in one go with what it found besides, in an order of its own.
 */
static void learn_to_end(struct xp_watch *watch)
{
	struct xp_event event;
	bool end = false;

	mount_at("end");
	while (!end) {
		must(next_within(watch, &event, 60000) == 1);
		learn(&event);
		end = is_end(&event);
	}
	learn_all(watch, 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The places in mountinfo, which lie in the fifth field and have no escapes here. */
static int mounted(char (*places)[128])
{
	FILE *info = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	int count = 0;

	must(info);
	while (fgets(line, sizeof(line), info)) {
		must(count < ENOUGH && sscanf(line, "%*s %*s %*s %*s %127s", places[count]) == 1);
		count++;
	}
	fclose(info);
	qsort(places, (size_t)count, sizeof(places[0]), by_name);
	return count;
}

static bool picture_is_right(void)
{
	static char are[ENOUGH][128], told[ENOUGH][128];
	int count = mounted(are);
	bool same = count == knowing;

	for (int i = 0; i < knowing; i++)
		strcpy(told[i], known[i].path);
	qsort(told, (size_t)knowing, sizeof(told[0]), by_name);
	for (int i = 0; i < count && i < knowing; i++) {
		if (strcmp(are[i], told[i]) != 0) {
			printf("# %s, told: %s\n", are[i], told[i]);
			return false;
		}
	}
	if (!same)
		printf("# there are %d, told: %d\n", count, knowing);
	return same;
}

static unsigned seed = 1;

static unsigned dice(unsigned sides)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % sides;
}

/* Mounts, moves and unmounts of eight directories, in each other. */
static void shake(void)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "d%u", dice(4));
	snprintf(b, sizeof(b), "d%u/d%u", dice(4), dice(4));
	mkdir(at(a), 0755);
	mkdir(at(b), 0755);
	switch (dice(5)) {
	case 0:
	case 1:
		(void)mount("x", at(dice(2) ? a : b), "tmpfs", 0, "size=64k");
		break;
	case 2:
		(void)mount(at(a), also_at(b), "none", MS_MOVE, NULL);
		break;
	case 3:
		(void)umount2(at(dice(2) ? a : b), MNT_DETACH);
		break;
	default:
		(void)mount(at(b), also_at(a), "none", MS_MOVE, NULL);
	}
}

enum pace { AT_ONCE, LATE, BESIDE };
static const char *const paces[] = { "at once", "late", "while it happens" };

/* A child that ends still knows its parent's handle: to valgrind it is not lost. */
static struct xp_watch *volatile inherited;

/* Another process shakes, as fast as it can, while this one reads. */
static void shake_beside(struct xp_watch *watch)
{
	pid_t child;
	int status;

	fflush(stdout);
	inherited = watch;
	child = fork();
	must(child >= 0);
	if (!child) {
		for (int i = 0; i < 4 * STEPS; i++)
			shake();
		_exit(0);
	}
	while (!waitpid(child, &status, WNOHANG))
		learn_all(watch, 1);
}

static void test_picture(const char *how, enum pace pace)
{
	struct xp_watch *watch = xp_watch_open(NULL);

	must(watch);
	know_nothing();
	must(!add_path(watch, XP_SOURCE_MOUNT, NULL, XP_WATCH_INITIAL));
	for (int i = 0; i < STEPS && pace != BESIDE; i++) {
		shake();
		if (pace == AT_ONCE || !dice(50))
			learn_all(watch, 0);
	}
	if (pace == BESIDE)
		shake_beside(watch);
	learn_to_end(watch);
	ok(picture_is_right(), "%s: the state and the events give what is, read %s", how,
	   paces[pace]);
	xp_watch_close(watch);
	while (!umount2(base, MNT_DETACH))
		;
	must(!mount("base", base, "tmpfs", 0, NULL));
}

/*
 * Nobody reads while more happens than can be kept: sixteen thousand events for fanotify, a page of
 * notes for the queue. Differences have no such bound.
 */
static void test_flood(const char *how)
{
	struct xp_watch_options options = { .depth = 1 };
	struct xp_watch *watch = xp_watch_open(&options);
	enum xp_backend backend;

	must(watch);
	backend = service_of(watch, XP_SOURCE_MOUNT).backend;
	know_nothing();
	must(!add_path(watch, XP_SOURCE_MOUNT, NULL, XP_WATCH_INITIAL));
	learn_all(watch, 0);
	for (int i = 0; i < (backend == XP_BACKEND_FANOTIFY ? 9000 : 200); i++) {
		mount_at("flood");
		must(!umount(path));
	}
	for (int i = 0; i < 10; i++)
		mount_at("flood");
	learn_to_end(watch);
	ok(lost == (backend != XP_BACKEND_MOUNTINFO) && found == lost,
	   "%s: a loss is told, and what it hid is found", how);
	ok(picture_is_right(), "%s: so that the picture is right", how);
	xp_watch_close(watch);
	for (int i = 0; i < 10; i++)
		must(!umount(at("flood")));
	must(!umount(at("end")));
}

static void test_all(const char *how)
{
	test_tree(how);
	test_deep(how);
	test_subtree(how);
	test_filter(how);
	test_picture(how, AT_ONCE);
	test_picture(how, LATE);
	test_picture(how, BESIDE);
	test_flood(how);
}

/* ------------------------------------------------------------------------------ and less */

/* The namespace of another process, which mounts in it once it is watched, and then ends. */
static void test_foreign(void)
{
	struct xp_target target = { .source = XP_SOURCE_MOUNT, .flags = XP_WATCH_INITIAL };
	struct xp_watch *watch = xp_watch_open(NULL);
	enum xp_backend backend = service_of(watch, XP_SOURCE_MOUNT).backend;
	int ready[2], go[2], status, count = 0;
	char name[64], byte;
	pid_t child;

	must(watch && !pipe(ready) && !pipe(go) && !mkdir(at("foreign"), 0755));
	fflush(stdout);
	inherited = watch;
	child = fork();
	must(child >= 0);
	if (!child) {
		must(!unshare(CLONE_NEWNS) && write(ready[1], "x", 1) == 1);
		must(read(go[0], &byte, 1) == 1 && !mount("x", at("foreign"), "tmpfs", 0, NULL));
		must(write(ready[1], "x", 1) == 1 && read(go[0], &byte, 1) == 1);
		_exit(0);
	}
	must(read(ready[0], &byte, 1) == 1);
	snprintf(name, sizeof(name), "/proc/%d/ns/mnt", child);
	target.fd = open(name, O_PATH | O_CLOEXEC);
	must(target.fd >= 0);
	if (backend == XP_BACKEND_MOUNTINFO) {
		ok(fails(xp_watch_add(watch, &target), EOPNOTSUPP), "another's: not by mountinfo");
	} else {
		ok(!xp_watch_add(watch, &target), "another's namespace is watched");
		while (next_within(watch, &last, 100) == 1)
			count += last.flags & XP_EVENT_INITIAL && last.path && *last.path == '/';
		ok(count > 1, "it has mounts");
	}
	close(target.fd);
	must(write(go[1], "x", 1) == 1 && read(ready[0], &byte, 1) == 1);
	if (backend != XP_BACKEND_MOUNTINFO)
		ok(comes(watch, 0, XP_MOUNT_ATTACH) && is(last_path, at("foreign")) && last.ns_id,
		   "and what comes there is told");
	must(write(go[1], "x", 1) == 1 && waitpid(child, &status, 0) == child && !status);
	/* A namespace that nobody is in any more has an end, of which the queue tells. */
	if (backend == XP_BACKEND_QUEUE)
		ok(next_within(watch, &last, 3000) == 1 && last.removal && last.watch == 0,
		   "it ends with who was in it");
	xp_watch_close(watch);
	for (int i = 0; i < 2; i++)
		must(!close(ready[i]) && !close(go[i]));
	must(!rmdir(at("foreign")));
}

/* Handles may be closed with anything left to tell, in any order. */
static void test_close(void)
{
	struct xp_watch *watches[3];
	struct xp_event event;

	for (int i = 0; i < 3; i++) {
		watches[i] = xp_watch_open(NULL);
		must(watches[i] && !add_path(watches[i], XP_SOURCE_MOUNT, NULL, XP_WATCH_INITIAL) &&
		     add_path(watches[i], XP_SOURCE_MOUNT, base, 0) == 1);
	}
	mount_at("close");
	xp_watch_close(watches[1]);
	must(xp_watch_next(watches[0], &event, 0) == 1 && !xp_watch_remove(watches[0], 0));
	xp_watch_close(watches[0]);
	while (next_within(watches[2], &event, 1000) == 1)
		if (event.watch == 1 && event.event == XP_MOUNT_ATTACH)
			break;
	ok(event.watch == 1 && event.event == XP_MOUNT_ATTACH && is(event.path, at("close")),
	   "handles know nothing of each other");
	must(!umount(path));
	xp_watch_close(watches[2]);
}

static void test_errors(void)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	struct xp_target target = { .source = XP_SOURCE_MOUNT, .fd = -1 };

	must(watch && !mkdir(at("plain"), 0755));
	ok(fails(add_path(watch, XP_SOURCE_MOUNT, path, 0), EINVAL), "no mount's root: EINVAL");
	target.fd = 1000;
	ok(fails(xp_watch_add(watch, &target), EBADF), "no descriptor: EBADF");
	target.fd = open("/proc/self/ns/uts", O_RDONLY);
	ok(fails(xp_watch_add(watch, &target), EINVAL), "another namespace: EINVAL");
	close(target.fd);
	target.fd = -1;
	target.events = 1u << XP_MOUNT_COUNT;
	ok(fails(xp_watch_add(watch, &target), EINVAL), "an unknown event: EINVAL");
	target.events = 0;
	target.flags = 2;
	ok(fails(xp_watch_add(watch, &target), EINVAL), "an unknown flag: EINVAL");
	target.flags = 0;
	for (int i = 0; i < 256; i++)
		must(xp_watch_add(watch, &target) == i);
	ok(fails(xp_watch_add(watch, &target), ENOSPC), "the 257th: ENOSPC");
	mount_at("many");
	for (int i = 0; i < 256; i++)
		must(comes(watch, i, XP_MOUNT_ATTACH));
	ok(none(watch), "each of 256 is told once");
	must(!umount(at("many")));
	xp_watch_close(watch);
}

static void body_no_fanotify(void)
{
	test_all("without fanotify");
}

static void body_no_statmount(void)
{
	test_all("by mountinfo alone");
}

int main(void)
{
	static const denial no_fanotify[] = { { SCMP_SYS(fanotify_init), EPERM },
					      { SCMP_SYS(pipe2), ENOPKG },
					      { -1, 0 } };
	/* statmount(2) and listmount(2), which libseccomp may not know by name. */
	static const denial no_statmount[] = { { 457, ENOSYS }, { 458, ENOSYS }, { -1, 0 } };

	if (!private_mounts(base)) {
		skip("no mount namespace may be had", "mounts");
		return tap_done();
	}
	test_all("as it is");
	test_close();
	test_foreign();
	test_errors();
	tap_denied(no_fanotify, body_no_fanotify);
	tap_denied(no_statmount, body_no_statmount);
	leave_mounts(base);
	return tap_done();
}
