// SPDX-License-Identifier: GPL-2.0-or-later
/* The ioctl that watches an object: what it refuses, whatever the object is. */
#include "vm.h"

#include <sys/resource.h>

#define LARGE 8192 /* more than a page */
#define WATCH_TYPE XP_WATCH_TYPE_SB
#define MOST_TYPES 64
#define USER 1234

static int queue[2], object;

static struct xp_watch_object request(void)
{
	return (struct xp_watch_object){
		.size = sizeof(struct xp_watch_object),
		.type = WATCH_TYPE,
		.fd = object,
	};
}

static int ask(int fd, const void *watch)
{
	return ioctl(fd, XP_IOC_WATCH_QUEUE_WATCH, watch) ? -errno : 0;
}

/* Adds and removes the watch; leaves nothing but the record of the removal, which is read. */
static int add_and_remove(struct xp_watch_object watch)
{
	int result = ask(queue[0], &watch);
	char record[128];

	if (result)
		return result;
	watch.flags = XP_WATCH_REMOVE;
	must(!ask(queue[1], &watch));
	must(read(queue[0], record, sizeof(record)) > 0);
	return 0;
}

static void fields(void)
{
	struct xp_watch_object watch = request();
	unsigned int bit, good = 0;

	for (bit = 1; bit < 32; bit++) {
		watch.flags = 1u << bit;
		good += ask(queue[0], &watch) == -EINVAL;
	}
	ok(good == 31, "each flag but the one that removes: EINVAL");
	watch = request();
	watch.id = 255;
	ok(add_and_remove(watch) == 0, "id 255");
	watch.id = 256;
	ok(ask(queue[0], &watch) == -EINVAL, "id 256: EINVAL");
	watch.id = 0xffffff01;
	ok(ask(queue[0], &watch) == -EINVAL, "an id of 32 bits: EINVAL");
	watch = request();
	watch.__reserved = 1;
	ok(ask(queue[0], &watch) == -EINVAL, "a reserved field: EINVAL");
}

/* Those that the query tells, but for keys, are watched so; no others. */
static void types(void)
{
	struct xp_watch_query query = { .size = sizeof(query) };
	struct xp_watch_object watch = request();
	unsigned int good = 0;
	bool source;

	must(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_QUERY, &query));
	watch.fd = -1;
	watch.flags = XP_WATCH_REMOVE;
	for (watch.type = 0; watch.type < MOST_TYPES; watch.type++) {
		source = query.types >> watch.type & 1 && watch.type != XP_WATCH_TYPE_KEY;
		good += (ask(queue[0], &watch) != -EINVAL) == source;
	}
	ok(good == MOST_TYPES, "types that the query does not tell, META and keys: EINVAL");
	watch.type = 0x80000000 | WATCH_TYPE;
	ok(ask(queue[0], &watch) == -EINVAL, "a type of 32 bits: EINVAL");
}

static void descriptors(void)
{
	struct xp_watch_object watch = request();
	int fds[2];

	watch.fd = 1000;
	ok(ask(queue[0], &watch) == -EBADF, "an object that is not open: EBADF");
	watch = request();
	must(!pipe(fds));
	ok(ask(fds[0], &watch) == -ENODEV && ask(fds[1], &watch) == -ENODEV,
	   "an ordinary pipe: ENODEV");
	close_both(fds);
	ok(ask(object, &watch) == -EBADF, "a queue that is opened with O_PATH: EBADF");
	ok(ask(queue[0], NULL) == -EFAULT, "no memory: EFAULT");
	watch.flags = XP_WATCH_REMOVE;
	ok(ask(queue[0], &watch) == -EBADSLT, "nothing to be removed: EBADSLT");
	watch.flags = 0;
	ok(ask(queue[0], &watch) == 0 && ask(queue[1], &watch) == -EBUSY,
	   "either end of the queue is the same: EBUSY");
	watch.id = 7;
	ok(ask(queue[0], &watch) == -EBUSY, "another id too");
	watch.id = 0;
	ok(add_and_remove(watch) == -EBUSY, "it stays");
	watch.flags = XP_WATCH_REMOVE;
	watch.id = 9;
	ok(ask(queue[1], &watch) == 0, "it is removed by its object, whatever the id");
	ok(queued(queue[0]) == 16, "and the queue is told of it");
	must(read(queue[0], &(struct record){ 0 }, 16) == 16);
}

/* Every size, with a tail of zeros or with its last byte set. */
static bool size_rule(unsigned int size, bool tail)
{
	static union {
		struct xp_watch_object watch;
		unsigned char bytes[LARGE];
	} large;
	int want = 0, got;

	memset(&large, 0, sizeof(large));
	large.watch = request();
	large.watch.size = size;
	if (size < sizeof(large.watch))
		want = -EINVAL;
	else if (size > 4096 || (tail && size > sizeof(large.watch)))
		want = -E2BIG;
	if (tail && size > sizeof(large.watch))
		large.bytes[size - 1] = 1;
	large.watch.flags = XP_WATCH_REMOVE;
	got = ask(queue[0], &large);
	if (!want)
		want = -EBADSLT;
	if (got != want)
		printf("# size %u: %d, not %d\n", size, got, want);
	return got == want;
}

static void sizes(void)
{
	unsigned int size, good = 0;

	for (size = 0; size <= LARGE; size++)
		good += size_rule(size, false) && size_rule(size, true);
	ok(good == LARGE + 1, "each size from 0 to %d, with and without a tail", LARGE);
}

/* Read, and not written: it may be constant. What lies behind it is not read. */
static void at_the_edge(void)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct xp_watch_object watch = request();
	char *edge;

	must(pages != MAP_FAILED && !mprotect(pages + 4096, 4096, PROT_NONE));
	edge = pages + 4096 - sizeof(watch);
	watch.flags = XP_WATCH_REMOVE;
	memcpy(edge, &watch, sizeof(watch));
	must(!mprotect(pages, 4096, PROT_READ));
	ok(ask(queue[0], edge) == -EBADSLT, "memory that is only for reading will do");
	must(!mprotect(pages, 4096, PROT_READ | PROT_WRITE));
	memcpy(edge + 4, &watch, sizeof(watch) - 4);
	ok(ask(queue[0], edge + 4) == -EFAULT || ask(queue[0], edge + 4) == -EINVAL,
	   "memory that ends within: refused");
	munmap(pages, 8192);
}

/*
 * As many watches as descriptors may be open, for all of a user's queues. A user that has had none:
 * those that were removed count until RCU is through with them.
 */
static void limit(void)
{
	struct rlimit old, one = { .rlim_cur = 1 };
	struct xp_watch_object watch = request();
	int other[2];

	must(!setresuid(USER, 0, 0) && !getrlimit(RLIMIT_NOFILE, &old));
	one.rlim_max = old.rlim_max;
	open_queue(other, 1);
	must(!setrlimit(RLIMIT_NOFILE, &one));
	ok(ask(queue[0], &watch) == 0 && ask(other[0], &watch) == -EAGAIN,
	   "RLIMIT_NOFILE of 1: the second watch is EAGAIN");
	watch.flags = XP_WATCH_REMOVE;
	must(!ask(queue[0], &watch));
	watch.flags = 0;
	must(!setrlimit(RLIMIT_NOFILE, &old));
	ok(ask(other[0], &watch) == 0, "after that, it is there");
	close_both(other);
}

int main(void)
{
	struct xp_watch_object watch;

	object = open("/", O_PATH | O_CLOEXEC);
	must(object >= 0);
	open_queue(queue, 32);
	watch = request();
	mended(add_and_remove(watch) == 0, "an object can be watched");
	if (on_base()) {
		ok(ask(queue[0], &watch) == -ENOTTY, "ENOTTY says that it can't");
		return tap_done();
	}
	fields();
	types();
	descriptors();
	sizes();
	at_the_edge();
	limit();
	close_both(queue);
	return tap_done();
}
