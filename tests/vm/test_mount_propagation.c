// SPDX-License-Identifier: GPL-2.0-or-later
/* What changes a mount's type of propagation tells so, if it did change. */
#include "mounts.h"

static void make_private(void)
{
}

static void make_shared(void)
{
	make("a", MS_SHARED);
}

static void make_peer(void)
{
	make("a", MS_SHARED);
	dir("peer");
	bind_mount("a", "peer", 0);
}

static void make_slave(void)
{
	make_peer();
	make("a", MS_SLAVE);
}

static void make_shared_slave(void)
{
	make_slave();
	make("a", MS_SHARED);
}

static void make_unbindable(void)
{
	make("a", MS_UNBINDABLE);
}

static const struct {
	const char *name;
	void (*set)(void);
} states[] = {
	{ "private", make_private },
	{ "shared, alone", make_shared },
	{ "shared, with a peer", make_peer },
	{ "a slave", make_slave },
	{ "a shared slave", make_shared_slave },
	{ "unbindable", make_unbindable },
};

static const struct {
	const char *name;
	unsigned long type;
} types[] = {
	{ "MS_PRIVATE", MS_PRIVATE },
	{ "MS_SHARED", MS_SHARED },
	{ "MS_SLAVE", MS_SLAVE },
	{ "MS_UNBINDABLE", MS_UNBINDABLE },
};

#define STATES (sizeof(states) / sizeof(*states))
#define TYPES (sizeof(types) / sizeof(*types))

static void by_mount(unsigned long type)
{
	make("a", type);
}

static void by_setattr(unsigned long type)
{
	must(!set_attributes(AT_FDCWD, "a", 0, (struct attributes){ .propagation = type }));
}

/* Whether the type changes is told by statmount(2). */
static void change(unsigned int state, unsigned int type, void (*set)(unsigned long type))
{
	u64 top = at("."), a = tmpfs("a"), before;
	struct queue queue;
	char name[80];

	states[state].set();
	before = status_of(a).propagation;
	queue = watch_here();
	set(types[type].type);
	snprintf(name, sizeof(name), "%s, %s: ", states[state].name, types[type].name);
	if (status_of(a).propagation == before) {
		ok(nothing_else(&queue), "%sno change", name);
	} else {
		strcat(name, "an event");
		mended(exactly(&queue, { PROPAGATION, 0, a, top }), name);
	}
	close_queue(&queue);
	must(!umount2("a", MNT_DETACH));
	if (!umount2("peer", MNT_DETACH))
		must(!rmdir("peer"));
}

static void changes(void (*set)(unsigned long type))
{
	unsigned int state, type;

	for (state = 0; state < STATES; state++)
		for (type = 0; type < TYPES; type++)
			change(state, type, set);
}

static void each_by_mount(void)
{
	changes(by_mount);
}

static void each_by_setattr(void)
{
	changes(by_setattr);
}

static void tree(void)
{
	u64 top = at("."), a = tmpfs("a"), b = tmpfs("a/b"), c = tmpfs("a/b/c");
	struct queue queue;

	make("a/b", MS_SHARED);
	queue = watch_here();
	make("a", MS_REC | MS_SHARED);
	mended(exactly(&queue, { PROPAGATION, 0, a, top }, { PROPAGATION, RECURSIVE, c, b }),
	       "MS_REC: those of the tree that had another type");
	make("a", MS_PRIVATE);
	mended(exactly(&queue, { PROPAGATION, 0, a, top }), "without it: the one mount");
	make("a/b", MS_REC | MS_UNBINDABLE);
	mended(exactly(&queue, { PROPAGATION, 0, b, a }, { PROPAGATION, RECURSIVE, c, b }),
	       "a part of the tree");
	must(!mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	mended(exactly(&queue, { SETATTR, READONLY, a, top }), "the tree's top is made read-only");
	make("a", MS_REC | MS_SHARED);
	mended(exactly(&queue, { PROPAGATION, READONLY, a, top }, { PROPAGATION, RECURSIVE, b, a },
		       { PROPAGATION, RECURSIVE, c, b }),
	       "and has the flag, its children do not");
}

static void refused(void)
{
	struct queue queue;

	tmpfs("a");
	dir("a/no-mount");
	queue = watch_here();
	must(mount(NULL, "a/no-mount", NULL, MS_SHARED, NULL) == -1 && errno == EINVAL);
	must(mount(NULL, "a", NULL, MS_SHARED | MS_SLAVE, NULL) == -1 && errno == EINVAL);
	ok(nothing_else(&queue), "a change that is refused tells nothing");
}

static void set_group(void)
{
	u64 top = at("."), b;
	struct queue queue;

	tmpfs("a");
	make("a", MS_SHARED);
	dir("b");
	dir("c");
	bind_mount("a", "b", 0);
	bind_mount("a", "c", 0);
	make("b", MS_PRIVATE);
	make("c", MS_SLAVE);
	b = at("b");
	queue = watch_here();
	must(!x_move_mount(AT_FDCWD, "a", AT_FDCWD, "b", X_MOVE_SET_GROUP));
	mended(exactly(&queue, { PROPAGATION, 0, b, top }),
	       "a private mount joins a shared one's group");
	make("b", MS_PRIVATE);
	mended(exactly(&queue, { PROPAGATION, 0, b, top }), "is private again");
	must(!x_move_mount(AT_FDCWD, "c", AT_FDCWD, "b", X_MOVE_SET_GROUP));
	mended(exactly(&queue, { PROPAGATION, 0, b, top }), "and becomes a slave beside another");
	must(x_move_mount(AT_FDCWD, "a", AT_FDCWD, "b", X_MOVE_SET_GROUP) == -1);
	ok(nothing_else(&queue), "what has a group already is refused");
}

/* Who leaves a group changes the others' company, not their type. */
static void leaving(void)
{
	u64 top = at("."), a = tmpfs("a"), b;
	struct queue queue;

	make("a", MS_SHARED);
	dir("b");
	bind_mount("a", "b", 0);
	b = at("b");
	queue = watch_here();
	make("b", MS_PRIVATE);
	mended(exactly(&queue, { PROPAGATION, 0, b, top }), "one of two peers leaves, one stays");
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, 0, a, top }), "that one is unmounted");
}

/* A slave without a master is private, by what is done to the master. */
static void left_alone(void)
{
	u64 top = at("."), a = tmpfs("a"), b, c;
	struct queue queue;

	make("a", MS_SHARED);
	dir("b");
	dir("c");
	bind_mount("a", "b", 0);
	bind_mount("a", "c", 0);
	b = at("b");
	c = at("c");
	make("c", MS_SLAVE);
	queue = watch_here();
	must(!umount("a"));
	mended(exactly(&queue, { DETACHED, 0, a, top }),
	       "a slave gets its master's peer as master");
	make("b", MS_PRIVATE);
	mended(exactly(&queue, { PROPAGATION, PROPAGATED, c, top }, { PROPAGATION, 0, b, top }),
	       "its last master becomes private: so does the slave");
	make("b", MS_SHARED);
	must(!umount("c"));
	bind_mount("b", "c", 0);
	c = at("c");
	make("c", MS_SLAVE);
	make("c", MS_SHARED);
	close_queue(&queue);
	queue = watch_mount("c", 0x17);
	must(!umount("b"));
	mended(exactly(&queue, { PROPAGATION, PROPAGATED, c, top }),
	       "its last master is unmounted: who is shared as well is shared alone");
}

/* What goes with its master has come to its end, and to nothing else. */
static void gone_together(void)
{
	u64 top = at("."), a = tmpfs("a"), b, c;
	struct queue queue;

	dir("a/b");
	dir("a/c");
	b = tmpfs("a/b");
	make("a/b", MS_SHARED);
	bind_mount("a/b", "a/c", 0);
	c = at("a/c");
	make("a/c", MS_SLAVE);
	queue = watch_here();
	must(!umount2("a", MNT_DETACH));
	mended(exactly(&queue, { DETACHED, 0, a, top }, { DETACHED, RECURSIVE, b, a },
		       { DETACHED, RECURSIVE, c, a }),
	       "a master and its slave are unmounted together");
}

static const struct test_case cases[] = {
	{ "each type, by mount(2)", each_by_mount },
	{ "each type, by mount_setattr(2)", each_by_setattr },
	{ "trees", tree },
	{ "changes refused", refused },
	{ "MOVE_MOUNT_SET_GROUP", set_group },
	{ "leaving a group", leaving },
	{ "a slave left alone", left_alone },
	{ "a slave and its master gone", gone_together },
};

int main(void)
{
	return RUN_CASES(cases);
}
