// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues, watches, mounts and namespaces end in any order; nothing is left of them. */
#include "mounts.h"

#define ID 11

static void nothing_left(void)
{
	mended(watches_left() == 0, "no watch is left");
}

/* ------------------------------------------------------------------ any order */

/* A namespace with a mount "m" and one on it, a queue that watches all three, and a bystander. */
struct scene {
	struct queue queue, bystander;
	int here, other;
	bool mounted, open;
};

static struct scene set(void)
{
	struct scene scene = { .here = own_ns(), .mounted = true, .open = true };
	int m, child;

	scene.other = clone_ns();
	enter(scene.other);
	tmpfs("m");
	tmpfs("m/child");
	scene.queue = watch_ns(scene.other, ID);
	scene.bystander = watch_ns(scene.other, ID);
	m = handle("m");
	child = handle("m/child");
	must_watch(&scene.queue, m);
	must_watch(&scene.queue, child);
	close(m);
	close(child);
	enter(scene.here);
	return scene;
}

static void remove_watches(struct scene *scene)
{
	int m;

	if (!scene->open || scene->other < 0)
		return;
	enter(scene->other);
	if (scene->mounted) {
		m = handle("m");
		must(!watch(scene->queue.fds[0], XP_WATCH_REMOVE, m, ID) || on_base());
		close(m);
	}
	must(!watch(scene->queue.fds[0], XP_WATCH_REMOVE, scene->other, ID) || on_base());
	enter(scene->here);
}

static void end_queue(struct scene *scene)
{
	close_queue(&scene->queue);
	scene->open = false;
}

static void end_mounts(struct scene *scene)
{
	if (scene->other < 0)
		return;
	enter(scene->other);
	must(!umount2("m", MNT_DETACH));
	enter(scene->here);
	scene->mounted = false;
}

static void end_namespace(struct scene *scene)
{
	close(scene->other);
	scene->other = -1;
}

static void (*const ends[])(struct scene *) = { remove_watches, end_queue, end_mounts,
						end_namespace };

#define ENDS 4

static void in_order(const int order[ENDS])
{
	struct scene scene = set();
	int i;

	for (i = 0; i < ENDS; i++)
		ends[order[i]](&scene);
	close_queue(&scene.bystander);
	close(scene.here);
}

/* Each order of the four. */
static void any_order(void)
{
	int order[ENDS], count = 0, number;

	for (number = 0; number < ENDS * ENDS * ENDS * ENDS; number++) {
		int rest = number, i, met = 0;

		for (i = 0; i < ENDS; i++, rest /= ENDS) {
			order[i] = rest % ENDS;
			met |= 1 << order[i];
		}
		if (met != (1 << ENDS) - 1)
			continue;
		in_order(order);
		count++;
	}
	ok(count == 24, "watches, queue, mounts and namespace ended in 24 orders");
	nothing_left();
}

/* ------------------------------------------------------------------ one at a time */

/*
 * The end of a namespace is no unmounting that names a mount: the watchers of one may be told that
 * it and its child go, with or without RECURSIVE, and must be told that their watch is gone.
 */
static bool end_of_mount(const struct queue *queue, const struct note notes[2])
{
	bool seen[2] = { false, false };
	union bytes got;
	int found;

	while (next_record(queue->fds[0], &got, PATIENCE) == sizeof(got.mount)) {
		tell("the end of a namespace", &got);
		got.head.info &= ~RECURSIVE;
		found = which(queue, notes, 2, seen, &got);
		if (found < 0)
			return false;
		seen[found] = true;
	}
	return got.head.type == XP_WATCH_TYPE_META && got.head.subtype == META_REMOVAL &&
	       got.head.info == (16 | queue->id << INFO_ID_SHIFT) &&
	       got.removal.object == notes[0].mount;
}

static void namespace_ends(void)
{
	int here = own_ns(), other = clone_ns();
	struct queue queue, mine;
	struct note ends[2] = { { .subtype = DETACHED }, { .subtype = DETACHED } };

	enter(other);
	ends[0].parent = at(".");
	ends[0].mount = ends[1].parent = tmpfs("m");
	ends[1].mount = tmpfs("m/child");
	queue = watch_ns(other, ID);
	mine = watch_mount("m", 3);
	enter(here);
	must(!close(other));
	mended(removal(&queue, queue.ns), "the end of a namespace ends a watch on it");
	ok(nothing_else(&queue), "and is not told mount by mount");
	mended(end_of_mount(&mine, ends), "a watch on one of its mounts ends too");
	ok(nothing_else(&mine), "once");
	close_queue(&queue);
	close_queue(&mine);
	nothing_left();
}

/* A reader that sleeps is killed: its queue goes, whoever mounts goes on. */
static void reader_killed(void)
{
	int i, status, here = own_ns();
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
		must(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
		close_both(ready);
	}
	ok(true, "readers were killed in their sleep");
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
