/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_table.h - a table of mounts: found by id, walked in the order in which they came. */
#ifndef EXTPIPE_LIB_WATCH_TABLE_H
#define EXTPIPE_LIB_WATCH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch_set.h"

/* What is known of a mount. Notes may hold it after it has left the table. */
struct mount {
	struct mount *chain;          /* of its bucket */
	struct mount *before, *after; /* in the table */
	unsigned references;
	bool readonly, sb_readonly;
	bool moved; /* in a comparison: not with what it is below, but by itself */
	uint64_t id, parent;
	uint64_t device;      /* of the file system, WATCH_DEVICE() */
	uint64_t what;        /* tells mounts apart whose ids are used again */
	uint64_t attributes;  /* MOUNT_ATTR_*, or a hash of the words */
	uint64_t propagation; /* likewise */
	struct set members;   /* the watches of a subtree that it is in */
	char *path;           /* owned; NULL: not known */
};

struct table {
	struct mount **buckets;
	size_t size, count; /* size: a power of two, or 0 */
	struct mount *first, *last;
};

/* A mount of no table, with one reference; NULL if memory is out. */
struct mount *mount_new(uint64_t id, uint64_t parent, const char *path, size_t length);
void mount_put(struct mount *mount);

/* Takes over the reference. False, with nothing changed, if memory is out. */
bool table_add(struct table *table, struct mount *mount);

struct mount *table_find(const struct table *table, uint64_t id);

/* The mount leaves the table; its reference goes to the caller. */
void table_remove(struct table *table, struct mount *mount);

void table_clear(struct table *table);

#endif
