/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_mounts.c - what is mounted where, kept up by what the kernel tells.
 *
 * A change may be told late, when the mount has changed again or is gone. What it looks like now is
 * then no answer: a path stands in an event only if it agrees with the parent that the table has.
 */
#include "watch_mounts.h"

#include <stdlib.h>
#include <string.h>

#include "sys.h"
#include "watch.h"

/* ------------------------------------------------------------------------------ subtrees */

/* Is a mount the one with that id, or below it? No chain is longer than the table. */
static bool lies_below(const struct view *view, const struct mount *mount, uint64_t id)
{
	for (size_t steps = view->table.count; mount; steps--) {
		if (mount->id == id)
			return true;
		if (!steps || mount->parent == mount->id)
			return false;
		mount = table_find(&view->table, mount->parent);
	}
	return false;
}

/* The watches of subtrees that a mount is in: its parent's, and those that it is the root of. */
void mount_place(struct xp_watch *watch, const struct view *view, struct mount *mount)
{
	struct set parts = view->parts;
	unsigned slot;

	mount->members = (struct set){ { 0 } };
	while ((slot = set_first(&parts)) < SET_BITS) {
		set_drop(&parts, slot);
		if (lies_below(view, mount, watch->watches[slot].object))
			set_add(&mount->members, slot);
	}
}

/* Those who hear of a mount. */
struct set mount_listeners(const struct view *view, const struct mount *mount)
{
	struct set to = view->whole;

	set_join(&to, &mount->members);
	return to;
}

void view_end_subtrees(struct xp_watch *watch, struct view *view, const struct mount *root)
{
	struct set parts = view->parts;
	unsigned slot;

	while ((slot = set_first(&parts)) < SET_BITS) {
		struct watched *watched = &watch->watches[slot];

		set_drop(&parts, slot);
		if (watched->object != root->id)
			continue;
		/* What was below it goes as well, and is told first. */
		watch_end(watch, slot);
		if (!watched->path && root->path)
			watched->path = strdup(root->path);
	}
}

/* ------------------------------------------------------------------------------ notes */

/* A parent, also if it has just gone: a tree is taken off from its top. */
static struct mount *find_parent(const struct view *view, uint64_t id)
{
	struct mount *mount = table_find(&view->table, id);

	for (unsigned i = 0; !mount && i < VIEW_RECENT; i++)
		if (view->recent[i] && view->recent[i]->id == id)
			mount = view->recent[i];
	return mount;
}

void view_remember(struct view *view, struct mount *mount)
{
	mount_put(view->recent[view->forgotten]);
	view->recent[view->forgotten] = mount;
	view->forgotten = (view->forgotten + 1) % VIEW_RECENT;
}

/* Tells of a mount as it is now. Takes over the old path. */
void mount_tell(const struct telling *telling, const struct set *to, int event, struct mount *mount,
		char *old_path)
{
	struct note *note;

	if (telling->record)
		note = watch_tell(telling->watch, to, telling->backend, telling->record, NULL,
				  NULL);
	else
		note = watch_note(telling->watch, to, telling->backend, XP_SOURCE_MOUNT, event);
	if (!note) {
		free(old_path);
		return;
	}
	note->event = event;
	note->flags = telling->flags;
	if (!telling->record && mount->readonly)
		note->flags |= XP_EVENT_READONLY;
	note->old_path = old_path;
	note->parent_id = mount->parent;
	note->mount = mount;
	mount->references++;
	note->parent = find_parent(telling->view, mount->parent);
	if (note->parent)
		note->parent->references++;
}

static struct mount *copy_mount(const struct mount *from)
{
	struct mount *mount = mount_new(from->id, from->parent, from->path,
					from->path ? strlen(from->path) : 0);

	if (!mount)
		return NULL;
	mount->readonly = from->readonly;
	mount->sb_readonly = from->sb_readonly;
	mount->device = from->device;
	mount->what = from->what;
	mount->attributes = from->attributes;
	mount->propagation = from->propagation;
	mount->members = from->members;
	return mount;
}

/* A mount of the table that may be changed: what notes hold stays as it was. NULL: no memory. */
struct mount *mount_to_change(struct xp_watch *watch, struct view *view, struct mount *mount)
{
	struct mount *copy;

	if (mount->references == 1)
		return mount;
	copy = copy_mount(mount);
	if (!copy) {
		watch->starved = true;
		return NULL;
	}
	table_remove(&view->table, mount);
	mount_put(mount);
	/* There is room: one has just left. */
	(void)table_add(&view->table, copy);
	return copy;
}

/* ------------------------------------------------------------------------------ changes */

/* What is said of a mount now is of the time of the event only if its parent agrees. */
static bool agrees(const struct view *view, const struct mount *now, uint64_t parent)
{
	const struct mount *above = table_find(&view->table, parent);
	size_t length;

	if (!now->path || now->parent != parent)
		return false;
	if (!above || !above->path || above == now || now->parent == now->id)
		return true;
	length = strlen(above->path);
	return length == 1 || (!strncmp(now->path, above->path, length) &&
			       (now->path[length] == '/' || !now->path[length]));
}

/* The mount as it was at the event, as far as that can be told; NULL: no memory. */
static struct mount *as_told(const struct view *view, const struct xp_event *event, bool recorded)
{
	struct mount *now = mounts_describe(view->ns, event->mount_id);

	if (!now)
		now = mount_new(event->mount_id, 0, NULL, 0);
	if (!now || !recorded)
		return now;
	if (!agrees(view, now, event->parent_id)) {
		free(now->path);
		now->path = NULL;
	}
	now->parent = event->parent_id;
	now->readonly = event->flags & XP_EVENT_READONLY;
	return now;
}

static void attached(const struct telling *telling, const struct xp_event *event, bool recorded)
{
	struct view *view = telling->view;
	struct mount *mount;
	struct set to;

	/* The table was loaded after it. */
	if (table_find(&view->table, event->mount_id))
		return;
	mount = as_told(view, event, recorded);
	if (!mount || !table_add(&view->table, mount)) {
		mount_put(mount);
		telling->watch->starved = true;
		return;
	}
	mount_place(telling->watch, view, mount);
	to = mount_listeners(view, mount);
	mount_tell(telling, &to, event->event, mount, NULL);
}

static void detached(const struct telling *telling, const struct xp_event *event)
{
	struct view *view = telling->view;
	struct mount *mount = table_find(&view->table, event->mount_id);
	struct set to;

	if (!mount && view->fresh)
		return;
	if (mount)
		table_remove(&view->table, mount);
	else
		mount = mount_new(event->mount_id, event->parent_id, NULL, 0);
	if (!mount) {
		telling->watch->starved = true;
		return;
	}
	to = mount_listeners(view, mount);
	mount_tell(telling, &to, event->event, mount, NULL);
	view_end_subtrees(telling->watch, view, mount);
	view_remember(view, mount);
}

/* @path below @from, as it is with @from at @to; NULL if that is not known. */
static char *moved_path(const char *path, const char *from, const char *to)
{
	size_t length = from ? strlen(from) : 0, rest, start;
	char *moved;

	if (!path || !from || !to || strncmp(path, from, length) != 0)
		return NULL;
	if (length == 1)
		length = 0;
	rest = strlen(path + length) + 1;
	start = strlen(to) == 1 ? 0 : strlen(to);
	moved = malloc(start + rest);
	if (moved) {
		memcpy(moved, to, start);
		memcpy(moved + start, path + length, rest);
	}
	return moved;
}

/* Gives a mount another place, and tells it. Takes over the path. */
void mount_move(const struct telling *telling, struct mount *mount, uint64_t parent, char *path)
{
	struct view *view = telling->view;
	struct set to = mount_listeners(view, mount);
	char *old_path;

	mount = mount_to_change(telling->watch, view, mount);
	if (!mount) {
		free(path);
		return;
	}
	old_path = mount->path;
	mount->path = path;
	mount->parent = parent;
	mount_place(telling->watch, view, mount);
	set_join(&to, &mount->members);
	mount_tell(telling, &to, XP_MOUNT_MOVE, mount, old_path);
}

/* Where a mount is after one above it has moved; NULL: not known. */
static char *path_below(const struct telling *telling, const struct mount *mount, const char *from,
			const char *to)
{
	char *path = moved_path(mount->path, from, to);
	struct mount *now;

	if (path)
		return path;
	now = mounts_describe(telling->view->ns, mount->id);
	if (now && agrees(telling->view, now, mount->parent)) {
		path = now->path;
		now->path = NULL;
	}
	mount_put(now);
	return path;
}

/* What is below a mount has moved with it, which the kernel does not say for each. */
static void move_below(const struct telling *telling, uint64_t id, const char *from, const char *to)
{
	struct telling below = *telling;
	struct view *view = telling->view;
	size_t left = view->table.count;
	struct mount *mount = view->table.first, *after;
	char *path;

	below.record = NULL;
	below.flags = (telling->flags & XP_EVENT_RESCAN) | XP_EVENT_RECURSIVE;
	/* A mount that is copied goes to the end, where it is not looked at again. */
	for (; mount && left; mount = after, left--) {
		after = mount->after;
		if (mount->id == id || !lies_below(view, mount, id))
			continue;
		path = path_below(telling, mount, from, to);
		if (path && mount->path && !strcmp(path, mount->path))
			free(path);
		else
			mount_move(&below, mount, mount->parent, path);
	}
}

static bool stands_there(const struct mount *mount, const struct mount *now)
{
	return mount->parent == now->parent && mount->path && now->path &&
	       !strcmp(mount->path, now->path);
}

/* Moves a mount, and what is below it, to where @now is; its path goes to the table's. */
static void move_tree(const struct telling *telling, struct mount *mount, struct mount *now)
{
	char *from = mount->path ? strdup(mount->path) : NULL, *path = now->path;
	bool there = stands_there(mount, now);
	struct view *view = telling->view;

	mount = mount_to_change(telling->watch, view, mount);
	if (mount) {
		mount->readonly = now->readonly;
		now->path = NULL;
		/* What the table has already is not the place before, which is not known. */
		if (there) {
			free(mount->path);
			mount->path = NULL;
		}
		mount_move(telling, mount, now->parent, path);
		mount = table_find(&view->table, now->id);
	}
	if (mount && !there)
		move_below(telling, now->id, from, mount->path);
	free(from);
}

static void moved(const struct telling *telling, const struct xp_event *event, bool recorded)
{
	struct view *view = telling->view;
	struct mount *mount = table_find(&view->table, event->mount_id), *now;

	if (!mount) {
		attached(telling, event, recorded);
		return;
	}
	now = as_told(view, event, recorded);
	if (!now)
		telling->watch->starved = true;
	else if (!view->fresh || !stands_there(mount, now))
		move_tree(telling, mount, now);
	mount_put(now);
}

static void altered(const struct telling *telling, const struct xp_event *event, bool recorded)
{
	struct view *view = telling->view;
	struct mount *mount = table_find(&view->table, event->mount_id), *now;
	struct set to;
	bool same;

	if (!mount && view->fresh)
		return;
	if (!mount) {
		attached(telling, event, recorded);
		return;
	}
	now = mounts_describe(view->ns, event->mount_id);
	same = now && now->attributes == mount->attributes &&
	       now->propagation == mount->propagation;
	if (same && view->fresh) {
		mount_put(now);
		return;
	}
	mount = mount_to_change(telling->watch, view, mount);
	if (mount) {
		if (now) {
			mount->attributes = now->attributes;
			mount->propagation = now->propagation;
		}
		mount->readonly = event->flags & XP_EVENT_READONLY;
		to = mount_listeners(view, mount);
		mount_tell(telling, &to, event->event, mount, NULL);
	}
	mount_put(now);
}

void view_change(struct xp_watch *watch, struct view *view, enum xp_backend backend,
		 const struct xp_event *event, bool recorded)
{
	struct telling telling = { watch, view, backend, event->flags, NULL };

	if (recorded)
		telling.record = event;
	switch (event->event) {
	case XP_MOUNT_ATTACH:
		attached(&telling, event, recorded);
		break;
	case XP_MOUNT_DETACH:
	case XP_MOUNT_EXPIRE:
		detached(&telling, event);
		break;
	case XP_MOUNT_MOVE:
		moved(&telling, event, recorded);
		break;
	default:
		altered(&telling, event, recorded);
	}
}
