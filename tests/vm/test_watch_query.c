// SPDX-License-Identifier: GPL-2.0-or-later
/* The query tells what can be watched, and refuses what it doesn't know. */
#include "vm.h"

#define LARGE 8192 /* more than a page */

static int queue[2];

static int ask(int fd, void *query)
{
	return ioctl(fd, XP_IOC_WATCH_QUEUE_QUERY, query) ? -errno : 0;
}

static bool zeros(const unsigned int *words, int count)
{
	while (count-- > 0)
		if (*words++)
			return false;
	return true;
}

static void answers(void)
{
	struct xp_watch_query query = { .size = sizeof(query), .type = XP_WATCH_TYPE_KEY };

	ok(!ask(queue[0], &query), "the read end answers");
	ok(query.size == sizeof(query) && query.flags == 0, "its size is ours");
	ok(query.types == (1u << XP_WATCH_TYPE_KEY | 1u << XP_WATCH_TYPE_MOUNT |
			   1u << XP_WATCH_TYPE_SB | 1u << XP_WATCH_TYPE_BLOCK),
	   "keys, mounts, superblocks and block devices can be watched");
	ok(query.max_notes == 512 && query.max_id == 255, "the limits: 512 notes, id 255");
	ok(query.subtypes[0] == 0xff && zeros(query.subtypes + 1, 7), "keys have 8 sub-types");
	query = (struct xp_watch_query){ .size = sizeof(query) };
	ok(!ask(queue[1], &query) && query.subtypes[0] == 3, "the write end too; META has 2");
	query.type = 77;
	ok(!ask(queue[0], &query) && zeros(query.subtypes, 8), "an unknown type has none");
	must(ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, 513) == -1 && errno == EINVAL);
	ok(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, 512), "the limit of notes is the limit");
}

static void refusals(void)
{
	struct xp_watch_query query = { .size = sizeof(query), .flags = 1 };
	int pipe_fds[2];

	ok(ask(queue[0], &query) == -EINVAL, "an unknown flag: EINVAL");
	query = (struct xp_watch_query){ .size = sizeof(query), .__reserved = 1 };
	ok(ask(queue[0], &query) == -EINVAL, "a reserved field: EINVAL");
	ok(ask(queue[0], NULL) == -EFAULT, "no memory: EFAULT");
	must(!pipe(pipe_fds));
	query = (struct xp_watch_query){ .size = sizeof(query) };
	ok(ask(pipe_fds[0], &query) == -ENODEV, "an ordinary pipe: ENODEV");
	close_both(pipe_fds);
}

/* Every size, with a tail of zeros or with its last byte set. */
static bool size_rule(unsigned int size, bool tail)
{
	static union {
		struct xp_watch_query query;
		unsigned char bytes[LARGE];
	} large;
	int want = 0, got;

	memset(&large, 0, sizeof(large));
	large.query.size = size;
	if (size < sizeof(large.query))
		want = -EINVAL;
	else if (size > 4096 || (tail && size > sizeof(large.query)))
		want = -E2BIG;
	if (tail && size > sizeof(large.query))
		large.bytes[size - 1] = 1;
	got = ask(queue[0], &large);
	if (got != want)
		printf("# size %u: %d, not %d\n", size, got, want);
	return got == want && (got || large.query.size == sizeof(large.query));
}

static void sizes(void)
{
	unsigned int size, good = 0;

	for (size = 0; size <= LARGE; size++)
		good += size_rule(size, false) && size_rule(size, true);
	ok(good == LARGE + 1, "each size from 0 to %d, with and without a tail", LARGE);
}

/* The struct is read and written where it is: memory for reading only is not enough. */
static void read_only(void)
{
	struct xp_watch_query *query = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(query != MAP_FAILED);
	query->size = sizeof(*query);
	must(!mprotect(query, 4096, PROT_READ));
	ok(ask(queue[0], query) == -EFAULT, "memory that can't be written: EFAULT");
}

int main(void)
{
	struct xp_watch_query query = { .size = sizeof(query) };

	must(!pipe2(queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC));
	mended(ask(queue[0], &query) == 0, "the kernel can be asked");
	if (on_base()) {
		ok(ask(queue[0], &query) == -ENOTTY, "ENOTTY says that it can't");
		return tap_done();
	}
	answers();
	refusals();
	sizes();
	read_only();
	return tap_done();
}
