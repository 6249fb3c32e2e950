// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * More events than a queue holds: who mounts never waits, and whatever is missing is told by a
 * record of loss at its place. XP_PAIRS says how often to mount and unmount (default 100000).
 */
#include "mounts.h"

#define NOTES 512 /* the largest queue */

static struct queue queue;

/* What a reader has seen of a row of mounts, each ATTACHED and DETACHED, with rising ids. */
struct seen {
	u64 first;          /* the first event: twice the mount's id, and 1 for DETACHED */
	u64 next;           /* the event that is due */
	u64 records;        /* read, without those of loss */
	u64 missing;        /* left out */
	u64 losses;         /* records of loss */
	u64 untold;         /* gaps that none of them explains */
	u64 strange;        /* records that nobody expects */
	u64 wrong_polls;    /* poll said readable, and there was nothing */
	bool lost_just_now; /* the last record was one of loss */
};

static void see(struct seen *seen, const union bytes *got)
{
	u64 event = got->mount.mnt_id * 2 + (got->head.subtype == DETACHED);

	if (tells_loss(got)) {
		seen->losses++;
		seen->lost_just_now = true;
		return;
	}
	if (got->head.type != XP_WATCH_TYPE_MOUNT || got->head.subtype > DETACHED ||
	    event < seen->next) {
		seen->strange++;
		return;
	}
	seen->records++;
	seen->missing += event - seen->next;
	if (event != seen->next && !seen->lost_just_now)
		seen->untold++;
	seen->lost_just_now = false;
	seen->next = event + 1;
}

/* Reads what is there: how many records. */
static u64 drain(struct seen *seen, u64 most)
{
	union bytes got;
	u64 count;

	for (count = 0; count < most && readable(queue.fds[0]); count++) {
		if (next_record(queue.fds[0], &got, 0) < 0) {
			seen->wrong_polls++;
			break;
		}
		see(seen, &got);
	}
	return count;
}

/* The longest time that a pair took. */
static double mount_pairs(u64 pairs)
{
	double slowest = 0;

	while (pairs-- > 0) {
		double began = now();

		must(!mount("place", "place", NULL, MS_BIND, NULL) && !umount("place"));
		if (now() - began > slowest)
			slowest = now() - began;
	}
	return slowest;
}

/* The id of the mount that comes next, if nobody else mounts: they are counted. */
static u64 next_mount(void)
{
	u64 first, second;

	bind_mount("place", "place", 0);
	first = at("place");
	must(!umount("place"));
	bind_mount("place", "place", 0);
	second = at("place");
	must(!umount("place") && second == first + 1);
	return second + 1;
}

static struct seen watch_place(void)
{
	struct seen seen = { .next = 0 };

	dir("place");
	seen.first = seen.next = 2 * next_mount();
	queue = watch_here();
	return seen;
}

static void told_all(const struct seen *seen, u64 pairs)
{
	u64 end = 2 * pairs;
	char byte[128];

	printf("# %llu events: %llu read, %llu lost, %llu records of loss\n",
	       (unsigned long long)end, (unsigned long long)seen->records,
	       (unsigned long long)(end - seen->records), (unsigned long long)seen->losses);
	ok(seen->strange == 0, "nothing but what was done is told, in its order");
	ok(seen->untold == 0, "nothing is missing without a record of loss at its place");
	ok(seen->wrong_polls == 0, "poll never says that there is something where nothing is");
	mended((seen->losses > 0) == (seen->records < end) && seen->records > 0,
	       "there is a record of loss if, and only if, something was lost");
	ok(seen->losses <= end - seen->records, "and no more of them than lost events");
	mended(seen->next == seen->first + end || seen->lost_just_now,
	       "the last event is read, or a loss was told after what was read");
	ok(read(queue.fds[0], byte, sizeof(byte)) == -1 && errno == EAGAIN,
	   "then there is nothing to be read: EAGAIN");
}

static void nobody_reads(void)
{
	struct seen seen = watch_place();
	u64 notes;

	mount_pairs(NOTES);
	notes = drain(&seen, NOTES);
	mended(notes == NOTES && seen.records == NOTES && seen.missing == 0,
	       "a queue that nobody reads holds the first 512 events");
	mended(readable(queue.fds[0]), "then poll says that there is more");
	drain(&seen, NOTES);
	mended(seen.losses == 1 && seen.records == NOTES, "one record of loss for all the others");
	ok(!readable(queue.fds[0]), "which is the last");
	mount_pairs(1);
	drain(&seen, NOTES);
	mended(seen.records == NOTES + 2, "then events come again");
	told_all(&seen, NOTES + 1);
}

static void none_lost(void)
{
	struct seen seen = watch_place();

	mount_pairs(NOTES / 2);
	drain(&seen, NOTES + 1);
	mended(seen.records == NOTES && seen.losses == 0,
	       "a queue that is just full has lost nothing");
	told_all(&seen, NOTES / 2);
}

/* Naps between bursts until the writer's end of @done is closed, and reports to @result. */
static void slow_reader(struct seen seen, int done, int result)
{
	struct pollfd fds[2] = { { .fd = queue.fds[0], .events = POLLIN },
				 { .fd = done, .events = POLLIN } };
	unsigned int burst = 0;

	while (!(fds[1].revents & POLLHUP)) {
		drain(&seen, 1 + burst++ % 700);
		usleep(burst % 8 * 3000);
		must(poll(fds, 2, 1000) >= 0);
	}
	drain(&seen, 2 * NOTES);
	must(write(result, &seen, sizeof(seen)) == sizeof(seen));
	_exit(readable(queue.fds[0]));
}

static void slow(void)
{
	const char *pairs_text = getenv("XP_PAIRS");
	u64 pairs = pairs_text ? strtoull(pairs_text, NULL, 10) : 100000;
	struct seen seen = watch_place();
	int done[2], result[2], status;
	double began, slowest;
	pid_t reader;

	alarm(0);
	must(!pipe2(done, O_CLOEXEC) && !pipe2(result, O_CLOEXEC));
	fflush(stdout);
	reader = fork();
	must(reader >= 0);
	if (!reader) {
		close(done[1]);
		slow_reader(seen, done[0], result[1]);
	}
	began = now();
	slowest = mount_pairs(pairs);
	printf("# %llu pairs in %.1f s, the slowest in %.3f s\n", (unsigned long long)pairs,
	       now() - began, slowest);
	close(done[1]);
	must(read(result[0], &seen, sizeof(seen)) == sizeof(seen));
	must(waitpid(reader, &status, 0) == reader);
	ok(slowest < 10, "who mounts does not wait for who reads");
	ok(status == 0, "in the end all is read, and poll says so");
	told_all(&seen, pairs);
}

static const struct test_case cases[] = {
	{ "nobody reads", nobody_reads },
	{ "just enough room", none_lost },
	{ "a slow reader", slow },
};

int main(void)
{
	return RUN_CASES(cases);
}
