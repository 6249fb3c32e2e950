// SPDX-License-Identifier: GPL-2.0-or-later
/* What comes by propagation is told where it arrives, with the ids of that place. */
#include "mounts.h"

/* This namespace with a shared mount s, and others, in which it is a peer or a slave. */
struct peers {
	int here, other;
	struct queue ours, theirs;
	u64 s, there_s;
};

/* Watching begins with watch_both(). */
static struct peers make_peers(unsigned long type)
{
	struct peers peers = { .here = own_ns() };

	peers.s = tmpfs("s");
	make("s", MS_SHARED);
	dir("s/x");
	dir("s/y");
	peers.other = clone_ns();
	enter(peers.other);
	make("s", type);
	peers.there_s = at("s");
	enter(peers.here);
	return peers;
}

static void watch_both(struct peers *peers)
{
	peers->ours = watch_ns(peers->here, 1);
	peers->theirs = watch_ns(peers->other, 2);
}

static void come_and_go(unsigned long type)
{
	struct peers peers = make_peers(type);
	u64 x, there_x;

	watch_both(&peers);
	x = tmpfs("s/x");
	there_x = there(peers.other, "s/x");
	must(x != there_x);
	mended(exactly(&peers.ours, { ATTACHED, 0, x, peers.s }), "a mount here");
	mended(exactly(&peers.theirs, { ATTACHED, PROPAGATED, there_x, peers.there_s }),
	       "is one there");
	must(!mount(NULL, "s/x", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	mended(exactly(&peers.ours, { SETATTR, READONLY, x, peers.s }), "attributes are its own");
	ok(nothing_else(&peers.theirs), "and do not propagate");
	must(!umount("s/x"));
	mended(exactly(&peers.ours, { DETACHED, READONLY, x, peers.s }), "the end of it here");
	mended(exactly(&peers.theirs, { DETACHED, PROPAGATED, there_x, peers.there_s }),
	       "is the end of it there");
}

static void peers(void)
{
	come_and_go(MS_SHARED);
}

static void slaves(void)
{
	struct peers peers;
	u64 y;

	come_and_go(MS_SLAVE);
	must(!umount2("s", MNT_DETACH));
	peers = make_peers(MS_SLAVE);
	watch_both(&peers);
	enter(peers.other);
	y = tmpfs("s/y");
	mended(exactly(&peers.theirs, { ATTACHED, 0, y, peers.there_s }), "a mount on the slave");
	ok(nothing_else(&peers.ours), "is none here");
}

static void private(void)
{
	struct peers peers = make_peers(MS_PRIVATE);
	u64 x;

	watch_both(&peers);
	x = tmpfs("s/x");
	mended(exactly(&peers.ours, { ATTACHED, 0, x, peers.s }), "a mount here");
	ok(nothing_else(&peers.theirs), "is none where it is private");
}

static void same_namespace(void)
{
	struct queue queue;
	u64 s = tmpfs("s"), t, x, copy;

	make("s", MS_SHARED);
	dir("s/x");
	dir("t");
	bind_mount("s", "t", 0);
	t = at("t");
	queue = watch_here();
	x = tmpfs("s/x");
	copy = at("t/x");
	mended(exactly(&queue, { ATTACHED, 0, x, s }, { ATTACHED, PROPAGATED, copy, t }),
	       "a peer in the same namespace: an event each, one of them by propagation");
	must(!umount("t/x"));
	mended(exactly(&queue, { DETACHED, PROPAGATED, x, s }, { DETACHED, 0, copy, t }),
	       "and the other way");
}

static void trees(void)
{
	struct peers peers = make_peers(MS_SHARED);
	u64 ours[2], theirs[2];

	tmpfs("a");
	tmpfs("a/b");
	watch_both(&peers);
	bind_mount("a", "s/x", MS_REC);
	ours[0] = at("s/x");
	ours[1] = at("s/x/b");
	theirs[0] = there(peers.other, "s/x");
	theirs[1] = there(peers.other, "s/x/b");
	mended(exactly(&peers.ours, { ATTACHED, 0, ours[0], peers.s },
		       { ATTACHED, RECURSIVE, ours[1], ours[0] }),
	       "a tree here");
	mended(exactly(&peers.theirs, { ATTACHED, PROPAGATED, theirs[0], peers.there_s },
		       { ATTACHED, PROPAGATED | RECURSIVE, theirs[1], theirs[0] }),
	       "is one there");
	must(!umount2("s/x", MNT_DETACH));
	mended(exactly(&peers.ours, { DETACHED, 0, ours[0], peers.s },
		       { DETACHED, RECURSIVE, ours[1], ours[0] }),
	       "it is unmounted here");
	mended(exactly(&peers.theirs, { DETACHED, PROPAGATED, theirs[0], peers.there_s },
		       { DETACHED, PROPAGATED | RECURSIVE, theirs[1], theirs[0] }),
	       "and there");
}

static void many(void)
{
	struct queue queues[8];
	u64 s = tmpfs("s"), parents[8], x;
	int others[8], i;
	bool told = true;

	make("s", MS_SHARED);
	dir("s/x");
	for (i = 0; i < 8; i++) {
		others[i] = clone_ns();
		parents[i] = there(others[i], "s");
		queues[i] = watch_ns(others[i], (unsigned int)i);
	}
	x = tmpfs("s/x");
	must(parent_of(x) == s);
	for (i = 0; i < 8; i++)
		told &= exactly(&queues[i],
				{ ATTACHED, PROPAGATED, there(others[i], "s/x"), parents[i] });
	mended(told, "eight peers in eight namespaces: each in its own, with its own ids");
}

static void moved(void)
{
	struct peers peers = make_peers(MS_SHARED);
	u64 top = at("."), a = tmpfs("a");

	make("a", MS_SHARED);
	watch_both(&peers);
	must(!mount("a", "s/x", NULL, MS_MOVE, NULL));
	mended(exactly(&peers.ours, { MOVED, 0, a, peers.s }), "a mount that is moved onto a peer");
	mended(exactly(&peers.theirs,
		       { ATTACHED, PROPAGATED, there(peers.other, "s/x"), peers.there_s }),
	       "is attached to the other");
	must(parent_of(a) == peers.s && top != peers.s);
}

/* What a slave has at the place stays on top of what its master sends. */
static void tucked(void)
{
	struct peers peers = make_peers(MS_SLAVE);
	u64 top, x, copy;

	enter(peers.other);
	top = tmpfs("s/x");
	enter(peers.here);
	watch_both(&peers);
	x = tmpfs("s/x");
	enter(peers.other);
	must(at("s/x") == top);
	copy = parent_of(top);
	must(parent_of(copy) == peers.there_s);
	enter(peers.here);
	mended(exactly(&peers.ours, { ATTACHED, 0, x, peers.s }), "a mount on the master");
	mended(exactly(&peers.theirs, { ATTACHED, PROPAGATED, copy, peers.there_s },
		       { MOVED, PROPAGATED, top, copy }),
	       "goes beneath what the slave has there, which is MOVED");
	must(!umount("s/x"));
	mended(exactly(&peers.ours, { DETACHED, 0, x, peers.s }), "it is unmounted");
	must(there(peers.other, "s/x") == top);
	mended(exactly(&peers.theirs, { DETACHED, PROPAGATED, copy, peers.there_s },
		       { MOVED, PROPAGATED, top, peers.there_s }),
	       "then it goes, and what the slave has there is MOVED back");
}

/* Nobody uses the copies either, or the mount would not go: they expire as it does. */
static void expired(void)
{
	struct peers peers = make_peers(MS_SHARED);
	u64 x, there_x;

	x = tmpfs("s/x");
	there_x = there(peers.other, "s/x");
	watch_both(&peers);
	must(umount2("s/x", MNT_EXPIRE) == -1 && errno == EAGAIN);
	must(!umount2("s/x", MNT_EXPIRE));
	mended(exactly(&peers.ours, { EXPIRED, 0, x, peers.s }), "a mount expires here");
	mended(exactly(&peers.theirs, { EXPIRED, PROPAGATED, there_x, peers.there_s }),
	       "and there, by propagation");
}

static const struct test_case cases[] = {
	{ "peers", peers },
	{ "slaves", slaves },
	{ "private mounts", private },
	{ "peers in one namespace", same_namespace },
	{ "trees", trees },
	{ "many peers", many },
	{ "moves", moved },
	{ "tucked mounts", tucked },
	{ "expiry", expired },
};

int main(void)
{
	return RUN_CASES(cases);
}
