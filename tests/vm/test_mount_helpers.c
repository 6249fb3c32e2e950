// SPDX-License-Identifier: GPL-2.0-or-later
/* What the other tests of mounts compare records with: it must see whatever is wrong with one. */
#include "mounts.h"

#define ID 9

/* A queue that has been told of a mount "a", as often as it watches what tells of it. */
struct told {
	struct queue queue;
	u64 top, a;
};

static struct told mount_is_told(bool twice)
{
	struct told told = { .queue = watch_mount(".", ID), .top = at(".") };
	int ns = own_ns();

	if (twice)
		must_watch(&told.queue, ns);
	close(ns);
	told.a = tmpfs("a");
	must(!umount2("a", MNT_DETACH) && !rmdir("a"));
	return told;
}

/* The record of what has been told first, and each way in which it may be another. */
static void compared(void)
{
	struct told told = mount_is_told(false);
	struct queue *queue = &told.queue;
	u64 a = told.a, top = told.top;

	mended(expect(queue, { ATTACHED, 0, a, top }), "what is told is what is expected");
	mended(exactly(queue, { DETACHED, 0, a, top }), "and the next, which is the last");
	told = mount_is_told(false);
	ok(!expect(queue, { DETACHED, 0, told.a, top }), "another sub-type is objected to");
	ok(nothing_else(queue), "and what follows is read");
	told = mount_is_told(false);
	ok(!expect(queue, { ATTACHED, RECURSIVE, told.a, top }), "a flag");
	told = mount_is_told(false);
	ok(!expect(queue, { ATTACHED, 0, told.a, told.a }), "another parent");
	told = mount_is_told(false);
	ok(!expect(queue, { ATTACHED, 0, a, top }), "another mount");
	told = mount_is_told(false);
	queue->id = ID + 1;
	ok(!expect(queue, { ATTACHED, 0, told.a, top }), "another id");
	told = mount_is_told(false);
	queue->ns++;
	ok(!expect(queue, { ATTACHED, 0, told.a, top }), "another namespace");
	told = mount_is_told(false);
	ok(!removal(queue, told.a), "the end of a watch where there is none");
}

static void counted(void)
{
	struct told told = mount_is_told(true);
	struct queue *queue = &told.queue;
	u64 a = told.a, top = told.top;

	mended(exactly(queue, { ATTACHED, 0, a, top }, { ATTACHED, 0, a, top },
		       { DETACHED, 0, a, top }, { DETACHED, 0, a, top }),
	       "two watches that tell twice");
	told = mount_is_told(true);
	ok(!exactly(queue, { ATTACHED, 0, told.a, top }, { DETACHED, 0, told.a, top }),
	   "a record that comes twice is objected to");
	told = mount_is_told(false);
	ok(!exactly(queue, { ATTACHED, 0, told.a, top }), "one that nobody expects");
	told = mount_is_told(false);
	ok(!expect(queue, { ATTACHED, 0, told.a, top }, { DETACHED, 0, told.a, top },
		   { DETACHED, 0, told.a, top }),
	   "one that comes once and should come twice");
}

static void ended(void)
{
	u64 a = tmpfs("a"), top = at(".");
	struct queue queue = watch_mount("a", ID);

	must(!umount("a"));
	mended(expect(&queue, { DETACHED, 0, a, top }), "a mount that goes");
	ok(!removal(&queue, top), "the end of another object's watch is objected to");
	tmpfs("a");
	queue = watch_mount("a", ID);
	must(!umount("a"));
	ok(!exactly(&queue, { DETACHED, 0, a, top }), "and one that nobody expects");
}

static const struct test_case cases[] = {
	{ "records", compared },
	{ "how many", counted },
	{ "ends", ended },
};

int main(void)
{
	return RUN_CASES(cases);
}
