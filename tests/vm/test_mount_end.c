// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues, watches, mounts and namespaces end in any order; nothing is left of them. */
#include "mounts.h"

#define ID 11

static void nothing_left(void)
{
	mended(watches_left() == 0, "no watch is left");
}

/* ------------------------------------------------------------------ any order */

/*
 * A namespace with a mount "m" and one on it, a queue that watches all three, a bystander that
 * watches the namespace, and a process that sleeps in a read of a queue as the first.
 */
struct scene {
	struct queue queue, bystander;
	pid_t sleeper;
	int here, other;
	u64 top, m, child;
	bool mounted, open;
	bool watches_ns, watches_m;
};

static void watch_mounts(const struct queue *queue)
{
	int m = handle("m"), child = handle("m/child");

	must_watch(queue, m);
	must_watch(queue, child);
	close(m);
	close(child);
}

/* It holds nothing but its queue, which it alone has. */
static pid_t start_sleeper(struct scene *scene, struct queue *queue)
{
	char byte[128];
	pid_t child;
	int ready[2];

	must(!pipe2(ready, O_CLOEXEC) && (child = fork()) >= 0);
	if (!child) {
		alarm(CASE_SECONDS);
		close(scene->other);
		close_queue(&scene->queue);
		close_queue(&scene->bystander);
		must(!fcntl(queue->fds[0], F_SETFL, 0) && write(ready[1], "", 1) == 1);
		while (read(queue->fds[0], byte, sizeof(byte)) > 0)
			continue;
		_exit(1);
	}
	must(read(ready[0], byte, 1) == 1);
	close_both(ready);
	close_queue(queue);
	return child;
}

static struct scene set(void)
{
	struct scene scene = { .here = own_ns(), .mounted = true, .open = true };
	struct queue sleeping;

	scene.other = clone_ns();
	enter(scene.other);
	scene.top = at(".");
	scene.m = tmpfs("m");
	scene.child = tmpfs("m/child");
	scene.queue = watch_ns(scene.other, ID);
	scene.bystander = watch_ns(scene.other, ID);
	sleeping = watch_ns(scene.other, ID);
	watch_mounts(&scene.queue);
	watch_mounts(&sleeping);
	scene.watches_ns = scene.watches_m = true;
	enter(scene.here);
	scene.sleeper = start_sleeper(&scene, &sleeping);
	return scene;
}

/* What a queue has to be told by a step. */
struct wanted {
	union bytes records[16];
	int count;
};

static void want_end(struct wanted *wanted, const struct queue *queue, u64 object)
{
	wanted->records[wanted->count++] = removal_of(queue, object);
}

/* "m" goes, with @flags, and the mount on it. */
static void want_going(struct wanted *wanted, const struct queue *queue, const struct scene *scene,
		       unsigned int flags, bool both)
{
	const struct note m = { DETACHED, flags, scene->m, scene->top },
			  child = { DETACHED, RECURSIVE, scene->child, scene->m };

	if (both)
		wanted->records[wanted->count++] = record_of(queue, &m);
	wanted->records[wanted->count++] = record_of(queue, &child);
}

/* They are told so by the watches of the mounts, which end. */
static void want_mounts_end(struct wanted *wanted, const struct scene *scene, unsigned int flags)
{
	if (scene->watches_m) {
		want_going(wanted, &scene->queue, scene, flags, true);
		want_end(wanted, &scene->queue, scene->m);
	}
	want_going(wanted, &scene->queue, scene, flags, false);
	want_end(wanted, &scene->queue, scene->child);
}

/* They, and nothing else. */
static bool told(const struct queue *queue, const struct wanted *wanted)
{
	return expect_records(queue, wanted->records, wanted->count) && nothing_else(queue);
}

static bool remove_watches(struct scene *scene)
{
	struct wanted wanted = { .count = 0 };
	int m;

	if (!scene->open || scene->other < 0)
		return true;
	enter(scene->other);
	if (scene->mounted) {
		m = handle("m");
		must(!watch(scene->queue.fds[0], XP_WATCH_REMOVE, m, ID) || on_base());
		close(m);
		want_end(&wanted, &scene->queue, scene->m);
	}
	must(!watch(scene->queue.fds[0], XP_WATCH_REMOVE, scene->other, ID) || on_base());
	want_end(&wanted, &scene->queue, scene->queue.ns);
	enter(scene->here);
	scene->watches_ns = scene->watches_m = false;
	return told(&scene->queue, &wanted);
}

static bool end_queue(struct scene *scene)
{
	close_queue(&scene->queue);
	scene->open = false;
	return true;
}

static bool kill_sleeper(struct scene *scene)
{
	int status;

	must(!kill(scene->sleeper, SIGKILL));
	must(waitpid(scene->sleeper, &status, 0) == scene->sleeper);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static bool end_mounts(struct scene *scene)
{
	struct wanted wanted = { .count = 0 }, beside = { .count = 0 };
	bool good;

	if (scene->other < 0)
		return true;
	want_going(&beside, &scene->bystander, scene, 0, true);
	if (scene->watches_ns)
		want_going(&wanted, &scene->queue, scene, 0, true);
	want_mounts_end(&wanted, scene, 0);
	enter(scene->other);
	must(!umount2("m", MNT_DETACH));
	enter(scene->here);
	scene->mounted = scene->watches_m = false;
	good = told(&scene->bystander, &beside);
	return (!scene->open || told(&scene->queue, &wanted)) && good;
}

static bool end_namespace(struct scene *scene)
{
	struct wanted wanted = { .count = 0 };
	bool good;

	if (scene->watches_ns)
		want_end(&wanted, &scene->queue, scene->queue.ns);
	if (scene->mounted)
		want_mounts_end(&wanted, scene, RECURSIVE);
	close(scene->other);
	scene->other = -1;
	good = removal(&scene->bystander, scene->bystander.ns) && nothing_else(&scene->bystander);
	return (!scene->open || told(&scene->queue, &wanted)) && good;
}

static bool (*const ends[])(struct scene *) = { remove_watches, end_queue, kill_sleeper, end_mounts,
						end_namespace };

#define ENDS 5

static bool in_order(const int order[ENDS])
{
	struct scene scene = set();
	bool good = true;
	int i;

	for (i = 0; i < ENDS; i++)
		good &= ends[order[i]](&scene);
	if (!good && !on_base())
		printf("# in the order %d %d %d %d %d\n", order[0], order[1], order[2], order[3],
		       order[4]);
	close_queue(&scene.bystander);
	close(scene.here);
	return good;
}

/* Each order of the five. */
static void any_order(void)
{
	int order[ENDS], count = 0, good = 0, number;

	for (number = 0; number < ENDS * ENDS * ENDS * ENDS * ENDS; number++) {
		int rest = number, i, met = 0;

		for (i = 0; i < ENDS; i++, rest /= ENDS) {
			order[i] = rest % ENDS;
			met |= 1 << order[i];
		}
		if (met != (1 << ENDS) - 1)
			continue;
		good += in_order(order);
		count++;
	}
	ok(count == 120, "watches, queue, reader, mounts and namespace ended in 120 orders");
	mended(good == 120, "and in each all was told that had to be, and nothing else");
	nothing_left();
}

/* ------------------------------------------------------------------ one at a time */

/* The end of a namespace is told once to its own watches, mount by mount to those of the mounts. */
static void namespace_ends(void)
{
	int here = own_ns(), other = clone_ns();
	struct queue queue, mine, above;
	u64 below, top, m, child;

	enter(other);
	top = at(".");
	below = parent_of(top);
	m = tmpfs("m");
	child = tmpfs("m/child");
	queue = watch_ns(other, ID);
	mine = watch_mount("m", 3);
	above = watch_mount(".", 4);
	enter(here);
	must(!close(other));
	mended(removal(&queue, queue.ns), "the end of a namespace ends a watch on it");
	ok(nothing_else(&queue), "and is not told mount by mount");
	mended(expect(&mine, { DETACHED, RECURSIVE, m, top }, { DETACHED, RECURSIVE, child, m }),
	       "a watch on one of its mounts is told of it and of its child");
	mended(removal(&mine, m), "and ends too");
	ok(nothing_else(&mine), "once");
	mended(expect(&above, { DETACHED, RECURSIVE, top, below },
		      { DETACHED, RECURSIVE, m, top }) &&
		       removal(&above, top) && nothing_else(&above),
	       "a watch on the mount below, of both");
	close_queue(&queue);
	close_queue(&mine);
	close_queue(&above);
	nothing_left();
}

/* A reader that sleeps is killed: its queue goes, whoever mounts goes on. */
static void reader_killed(void)
{
	int i, status, here = own_ns(), killed = 0;
	char byte[128];
	pid_t child;

	for (i = 0; i < 20; i++) {
		int ready[2];

		must(!pipe2(ready, O_CLOEXEC) && (child = fork()) >= 0);
		if (!child) {
			struct queue queue = watch_ns(here, ID);

			must(!fcntl(queue.fds[0], F_SETFL, 0) && write(ready[1], "", 1) == 1);
			while (read(queue.fds[0], byte, sizeof(byte)) > 0)
				continue;
			_exit(1);
		}
		must(read(ready[0], byte, 1) == 1);
		tmpfs("a");
		must(!kill(child, SIGKILL));
		must(!umount("a"));
		must(waitpid(child, &status, 0) == child);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		close_both(ready);
	}
	ok(killed == 20, "readers are killed in their sleep");
	nothing_left();
}

/* One queue, many objects; and one object, many queues. */
static void many(void)
{
	struct queue queues[16];
	u64 top = at("."), a;
	int i, ns = own_ns(), told = 0;

	for (i = 0; i < 16; i++)
		queues[i] = watch_ns(ns, (unsigned int)i);
	a = tmpfs("a");
	for (i = 0; i < 16; i++)
		told += exactly(&queues[i], { ATTACHED, 0, a, top });
	mended(told == 16, "sixteen queues watch one namespace");
	for (i = 0; i < 16; i += 2)
		close_queue(&queues[i]);
	must(!umount("a"));
	for (told = 0, i = 1; i < 16; i += 2)
		told += exactly(&queues[i], { DETACHED, 0, a, top });
	mended(told == 8, "half of them are closed, the others go on");
	for (i = 1; i < 16; i += 2)
		close_queue(&queues[i]);
	nothing_left();
}

static const struct test_case cases[] = {
	{ "before", nothing_left },        { "any order", any_order },
	{ "a namespace", namespace_ends }, { "killed readers", reader_killed },
	{ "many queues", many },
};

int main(void)
{
	return RUN_CASES(cases);
}
