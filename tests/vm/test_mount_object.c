// SPDX-License-Identifier: GPL-2.0-or-later
/* What can be watched for mount events, how often, and what is refused. */
#include "mounts.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define LARGE 8192 /* more than a page */
#define ID 0x42
#define MOUNTS 40

static struct queue queue;

static int raw_watch(int fd, const void *object)
{
	return ioctl(fd, XP_IOC_WATCH_QUEUE_WATCH, object) ? -errno : 0;
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	must(fd >= 0);
	return fd;
}

/* Each of them is an object; two descriptors of one are one. */
static void watched(const char *name, int fds[2], u64 object)
{
	char text[100];

	snprintf(text, sizeof(text), "%s is watched", name);
	mended(watch(queue.fds[0], 0, fds[0], ID) == 0, text);
	mended(watch(queue.fds[0], 0, fds[0], ID) == -EBUSY, "not twice: EBUSY");
	mended(watch(queue.fds[1], 0, fds[1], 1) == -EBUSY,
	       "not by another descriptor, id or end of the pipe either");
	ok(nothing_else(&queue), "which tells nothing");
	mended(watch(queue.fds[1], XP_WATCH_REMOVE, fds[1], ID) == 0, "the watch is removed");
	mended(removal(&queue, object), "which is told: META, REMOVAL, 16 bytes with the object");
	mended(watch(queue.fds[0], XP_WATCH_REMOVE, fds[0], ID) == -EBADSLT,
	       "what is not watched can't be removed: EBADSLT");
	ok(nothing_else(&queue), "which tells nothing");
	close_both(fds);
}

static void kinds(void)
{
	u64 a = tmpfs("a"), ns;

	dir("a/dir");
	file("a/file");
	must(!mkfifo("a/fifo", 0600));
	queue = watch_here();
	ns = queue.ns;
	close_queue(&queue);
	queue = empty_queue(ID);
	watched("a mount namespace", (int[]){ own_ns(), own_ns() }, ns);
	watched("a mount, by its root", (int[]){ handle("a"), opened("a", O_RDONLY) }, a);
	watched("by a directory", (int[]){ handle("a/dir"), opened("a/dir", O_RDONLY) }, a);
	watched("by files", (int[]){ handle("a/file"), opened("a/file", O_WRONLY) }, a);
	watched("by a FIFO", (int[]){ handle("a/fifo"), opened("a/fifo", O_RDWR) }, a);
	watched("the mount of the root directory", (int[]){ handle("/"), handle("/") }, at("/"));
}

static void ids(void)
{
	struct queue lowest = watch_mount(".", 0), highest = watch_mount(".", 255);
	u64 top = at("."), a = tmpfs("a");

	mended(exactly(&lowest, { ATTACHED, 0, a, top }), "a watch with id 0");
	mended(exactly(&highest, { ATTACHED, 0, a, top }), "one with id 255, on another queue");
}

/* Records of one operation come in the order of nothing: each is looked for among them. */
static void several(void)
{
	struct queue here = watch_here(), other;
	u64 top = at("."), a;
	union bytes got[2], want[2];
	struct note note;
	int fd = handle(".");

	other = here;
	other.id = 7;
	must_watch(&other, fd);
	close(fd);
	a = tmpfs("a");
	note = (struct note){ ATTACHED, 0, a, top };
	want[0] = record_of(&here, &note);
	want[1] = record_of(&other, &note);
	mended(next_record(here.fds[0], &got[0], PATIENCE) > 0 &&
		       next_record(here.fds[0], &got[1], PATIENCE) > 0 &&
		       ((!memcmp(&got[0], &want[0], 32) && !memcmp(&got[1], &want[1], 32)) ||
			(!memcmp(&got[0], &want[1], 32) && !memcmp(&got[1], &want[0], 32))),
	       "a queue that watches a namespace and a mount: a record for each");
	ok(nothing_else(&here), "and no more");
}

static void refused_objects(void)
{
	int pipe_fds[2], sockets[2], fd;
	const char *const others[] = { "/proc/self/ns/uts", "/proc/self/ns/user",
				       "/proc/self/ns/net" };
	unsigned int i;

	queue = empty_queue(ID);
	must(!pipe2(pipe_fds, O_CLOEXEC) && !socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	mended(watch(queue.fds[0], 0, pipe_fds[0], ID) == -EINVAL, "a pipe: EINVAL");
	mended(watch(queue.fds[0], 0, queue.fds[0], ID) == -EINVAL, "the queue itself: EINVAL");
	mended(watch(queue.fds[0], 0, sockets[0], ID) == -EINVAL, "a socket: EINVAL");
	mended(watch(queue.fds[0], 0, eventfd(0, 0), ID) == -EINVAL, "an eventfd: EINVAL");
	mended(watch(queue.fds[0], 0, memfd_create("x", 0), ID) == -EINVAL, "a memfd: EINVAL");
	for (i = 0; i < sizeof(others) / sizeof(*others); i++)
		mended(watch(queue.fds[0], 0, opened(others[i], O_RDONLY), ID) == -EINVAL,
		       others[i]);
	tmpfs("a");
	fd = handle("a");
	must(!umount2("a", MNT_DETACH));
	mended(watch(queue.fds[0], 0, fd, ID) == -EINVAL, "a mount that was unmounted: EINVAL");
	mended(watch(queue.fds[0], XP_WATCH_REMOVE, fd, ID) == -EBADSLT,
	       "nor is there a watch of it to be removed: EBADSLT");
	mended(watch(queue.fds[0], XP_WATCH_REMOVE, pipe_fds[0], ID) == -EBADSLT,
	       "nor one of a pipe: EBADSLT");
	mended(watch(queue.fds[0], XP_WATCH_REMOVE, opened(others[0], O_RDONLY), ID) == -EINVAL,
	       "another namespace, to be removed: EINVAL");
	mended(watch(queue.fds[0], 0, -1, ID) == -EBADF, "no descriptor: EBADF");
	mended(watch(queue.fds[0], 0, 999, ID) == -EBADF, "one that is not open: EBADF");
	ok(nothing_else(&queue), "nothing is told");
}

static void refused_arguments(void)
{
	int fd = handle("."), pipe_fds[2], plain = opened("/proc/self/maps", O_RDONLY);
	struct xp_watch_object good = { .size = sizeof(good),
					.type = XP_WATCH_TYPE_MOUNT,
					.fd = fd,
					.id = ID },
			       object;

	queue = empty_queue(ID);
	must(!pipe2(pipe_fds, O_CLOEXEC));
	object = good;
	object.flags = 2;
	mended(raw_watch(queue.fds[0], &object) == -EINVAL, "an unknown flag: EINVAL");
	object = good;
	object.id = 256;
	mended(raw_watch(queue.fds[0], &object) == -EINVAL, "an id of 256: EINVAL");
	object = good;
	object.__reserved = 1;
	mended(raw_watch(queue.fds[0], &object) == -EINVAL, "a reserved field: EINVAL");
	object = good;
	object.type = 77;
	mended(raw_watch(queue.fds[0], &object) == -EINVAL, "an unknown type: EINVAL");
	object.type = XP_WATCH_TYPE_META;
	mended(raw_watch(queue.fds[0], &object) == -EINVAL, "META is no type of objects: EINVAL");
	object.type = XP_WATCH_TYPE_KEY;
	mended(raw_watch(queue.fds[0], &object) == -EINVAL, "keys have another call: EINVAL");
	mended(raw_watch(queue.fds[0], NULL) == -EFAULT, "no memory: EFAULT");
	mended(raw_watch(pipe_fds[0], &good) == -ENODEV, "on an ordinary pipe: ENODEV");
	ok(raw_watch(plain, &good) == -ENOTTY, "on something else: ENOTTY");
	close(queue.fds[1]);
	mended(raw_watch(queue.fds[0], &good) == 0, "the write end need not be open");
}

/* Every size, with a tail of zeros or with its last byte set; it asks for what is not there. */
static bool size_rule(unsigned int size, bool tail, int fd)
{
	static union {
		struct xp_watch_object object;
		unsigned char bytes[LARGE];
	} large;
	int want = -EBADSLT, got;

	memset(&large, 0, sizeof(large));
	large.object = (struct xp_watch_object){
		.size = size, .flags = XP_WATCH_REMOVE, .type = XP_WATCH_TYPE_MOUNT, .fd = fd
	};
	tail = tail && size > sizeof(large.object);
	if (size < sizeof(large.object))
		want = -EINVAL;
	else if (size > 4096 || tail)
		want = -E2BIG;
	if (tail)
		large.bytes[size - 1] = 1;
	got = raw_watch(queue.fds[0], &large);
	if (got != want && !on_base())
		printf("# size %u: %d, not %d\n", size, got, want);
	return got == want;
}

static void sizes(void)
{
	unsigned int size, good = 0;
	int fd = handle(".");

	queue = empty_queue(ID);
	for (size = 0; size <= LARGE; size++)
		good += size_rule(size, false, fd) && size_rule(size, true, fd);
	mended(good == LARGE + 1, "each size from 0 to 8192, with and without a tail");
}

/* Adds watches on the mounts 0, 1, 2 and so on: how many there could be. */
static int add_watches(int *error)
{
	char name[8];
	int added, fd;

	for (added = 0; added < MOUNTS; added++) {
		snprintf(name, sizeof(name), "%d", added);
		fd = handle(name);
		*error = watch(queue.fds[0], 0, fd, ID);
		close(fd);
		if (*error)
			break;
	}
	return added;
}

static void limited(void)
{
	struct rlimit limit = { .rlim_cur = MOUNTS - 8, .rlim_max = MOUNTS - 8 };
	int error = 0, fd, added, i;
	char name[8];

	for (i = 0; i < MOUNTS; i++) {
		snprintf(name, sizeof(name), "%d", i);
		dir(name);
		bind_mount(".", name, 0);
	}
	queue = empty_queue(ID);
	must(!setrlimit(RLIMIT_NOFILE, &limit));
	added = add_watches(&error);
	printf("# %d watches\n", added);
	mended(error == -EAGAIN && added > 0 && added <= (int)limit.rlim_cur,
	       "more watches than RLIMIT_NOFILE: EAGAIN");
	ok(nothing_else(&queue), "nothing is told");
	fd = handle("0");
	mended(watch(queue.fds[0], 0, fd, ID) == -EBUSY, "twice the same is EBUSY all the same");
	close(fd);
}

/* Sub-types and flags pass or do not. */
static void filtered(void)
{
	struct filter filter = { .count = 1,
				 .types[0] = { .type = XP_WATCH_TYPE_MOUNT,
					       .subtypes = { 1u << DETACHED | 1u << SETATTR } } };
	u64 top = at("."), a;

	queue = watch_here();
	must(!ioctl(queue.fds[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
	a = tmpfs("a");
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, 0, a, top }), "a filter of sub-types");
	filter.types[0].info_filter = filter.types[0].info_mask = READONLY;
	must(!ioctl(queue.fds[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
	a = tmpfs("a");
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	mended(exactly(&queue, { SETATTR, READONLY, a, top }), "a filter of flags");
}

static void asked(void)
{
	struct xp_watch_query query = { .size = sizeof(query), .type = XP_WATCH_TYPE_MOUNT };

	queue = empty_queue(ID);
	mended(!ioctl(queue.fds[0], XP_IOC_WATCH_QUEUE_QUERY, &query) &&
		       query.types >> XP_WATCH_TYPE_MOUNT & 1,
	       "the query says that mounts can be watched");
	mended(query.subtypes[0] == 0x3f, "and that there are six sub-types");
}

static const struct test_case cases[] = {
	{ "objects", kinds },
	{ "ids", ids },
	{ "several watches", several },
	{ "objects refused", refused_objects },
	{ "arguments refused", refused_arguments },
	{ "sizes", sizes },
	{ "RLIMIT_NOFILE", limited },
	{ "filters", filtered },
	{ "the query", asked },
};

int main(void)
{
	return RUN_CASES(cases);
}
