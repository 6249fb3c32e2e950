/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch_table.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 64

struct mount *mount_new(uint64_t id, uint64_t parent, const char *path, size_t length)
{
	struct mount *mount = calloc(1, sizeof(*mount));

	if (!mount)
		return NULL;
	mount->references = 1;
	mount->id = id;
	mount->parent = parent;
	if (!path)
		return mount;
	mount->path = malloc(length + 1);
	if (!mount->path) {
		free(mount);
		return NULL;
	}
	memcpy(mount->path, path, length);
	mount->path[length] = '\0';
	return mount;
}

void mount_put(struct mount *mount)
{
	if (!mount || --mount->references)
		return;
	free(mount->path);
	free(mount);
}

/* Ids come in sequence; those of one machine differ in their lower bits. */
static size_t bucket(const struct table *table, uint64_t id)
{
	return (size_t)(id * 0x9e3779b97f4a7c15u >> 32) & (table->size - 1);
}

static bool grow(struct table *table)
{
	size_t size = table->size ? table->size * 2 : SMALLEST;
	struct mount **buckets = calloc(size, sizeof(struct mount *));

	if (!buckets)
		return false;
	free(table->buckets);
	table->buckets = buckets;
	table->size = size;
	for (struct mount *mount = table->first; mount; mount = mount->after) {
		size_t at = bucket(table, mount->id);

		mount->chain = buckets[at];
		buckets[at] = mount;
	}
	return true;
}

bool table_add(struct table *table, struct mount *mount)
{
	size_t at;

	if (table->count >= table->size && !grow(table))
		return false;
	at = bucket(table, mount->id);
	mount->chain = table->buckets[at];
	table->buckets[at] = mount;
	mount->before = table->last;
	mount->after = NULL;
	if (table->last)
		table->last->after = mount;
	else
		table->first = mount;
	table->last = mount;
	table->count++;
	return true;
}

struct mount *table_find(const struct table *table, uint64_t id)
{
	struct mount *mount = table->size ? table->buckets[bucket(table, id)] : NULL;

	while (mount && mount->id != id)
		mount = mount->chain;
	return mount;
}

void table_remove(struct table *table, struct mount *mount)
{
	struct mount **link = &table->buckets[bucket(table, mount->id)];

	while (*link != mount)
		link = &(*link)->chain;
	*link = mount->chain;
	*(mount->before ? &mount->before->after : &table->first) = mount->after;
	*(mount->after ? &mount->after->before : &table->last) = mount->before;
	mount->chain = mount->before = mount->after = NULL;
	table->count--;
}

void table_clear(struct table *table)
{
	struct mount *mount = table->first, *after;

	for (; mount; mount = after) {
		after = mount->after;
		mount->chain = mount->before = mount->after = NULL;
		mount_put(mount);
	}
	free(table->buckets);
	*table = (struct table){ 0 };
}
