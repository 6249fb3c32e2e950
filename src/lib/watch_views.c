/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_views.c - which namespaces are looked at, by whom, and what two looks differ in. */
#include "watch_mounts.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "sys.h"
#include "watch.h"
#include "watch_target.h"
#include "watch_values.h"

#define NSFS_MAGIC 0x6e736673

/* ------------------------------------------------------------------------------ namespaces */

int view_own_descriptor(void)
{
	return sys_open("/proc/thread-self/ns/mnt", O_RDONLY);
}

/* Is it a descriptor of a namespace, whichever? */
static bool is_namespace(int fd)
{
	struct statfs st;

	return !SYS_RESULT(fstatfs(fd, &st)) && st.f_type == NSFS_MAGIC;
}

/* The same file once more, for reading: ioctl(2) refuses what was opened with O_PATH. */
static int open_again(int fd)
{
	char path[64] = "/proc/self/fd/";

	*values_decimal(path + strlen(path), (uint64_t)fd) = '\0';
	return sys_open(path, O_RDONLY | O_NONBLOCK);
}

/* The id of a mount namespace: 0 if this kernel gives none, or -EINVAL if it is another kind. */
static int namespace_id(int fd, uint64_t *id)
{
	*id = 0;
	if (sys_ioctl(fd, SYS_NS_GET_NSTYPE, NULL) != CLONE_NEWNS)
		return -EINVAL;
	if (sys_ioctl(fd, SYS_NS_GET_MNTNS_ID, id))
		*id = 0;
	return 0;
}

int view_descriptor(const struct xp_target *target)
{
	return target->fd >= 0 && is_namespace(target->fd) ? open_again(target->fd) :
							     view_own_descriptor();
}

static bool same_file(int a, int b)
{
	struct stat one, other;

	return !sys_fstat(a, &one) && !sys_fstat(b, &other) && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

int view_own_namespace(uint64_t ns)
{
	int fd = view_own_descriptor();
	uint64_t id;

	if (fd < 0)
		return fd;
	if (!namespace_id(fd, &id) && id == ns)
		return fd;
	close(fd);
	return -ENOENT;
}

/* Which namespace a descriptor is one of. */
static int identify(int fd, uint64_t *ns, bool *own)
{
	int mine = view_own_descriptor();
	int error = namespace_id(fd, ns);

	*own = mine >= 0 && same_file(fd, mine);
	if (mine >= 0)
		close(mine);
	return error;
}

/* ------------------------------------------------------------------------------ views */

static struct view *find_view(struct xp_watch *watch, uint64_t ns, bool own)
{
	struct view *view = watch->views;

	while (view && (view->own != own || view->ns != ns))
		view = view->next;
	if (view)
		return view;
	view = calloc(1, sizeof(*view));
	if (!view)
		return NULL;
	view->ns = ns;
	view->own = own;
	view->listed = mounts_listed(ns);
	view->next = watch->views;
	watch->views = view;
	return view;
}

void view_put(struct xp_watch *watch, struct view *view)
{
	struct view **link = &watch->views;

	if (!view || --view->users)
		return;
	while (*link != view)
		link = &(*link)->next;
	*link = view->next;
	table_clear(&view->table);
	for (unsigned i = 0; i < VIEW_RECENT; i++)
		mount_put(view->recent[i]);
	free(view);
}

/* The view that a target is in, with one user more. */
static struct view *view_of(struct xp_watch *watch, const struct xp_target *target, int *error)
{
	int fd = view_descriptor(target);
	struct view *view = NULL;
	uint64_t ns;
	bool own;

	*error = fd < 0 ? fd : identify(fd, &ns, &own);
	if (fd >= 0)
		close(fd);
	if (*error)
		return NULL;
	view = find_view(watch, ns, own);
	if (!view)
		*error = -ENOMEM;
	else
		view->users++;
	/* Of another namespace there is no mountinfo to be had without one of its processes. */
	if (view && !view->listed && !view->own) {
		view_put(watch, view);
		*error = -EOPNOTSUPP;
		return NULL;
	}
	return view;
}

struct view *view_own(struct xp_watch *watch, int *error)
{
	struct xp_target target = { .fd = -1 };

	return view_of(watch, &target, error);
}

/* The mount whose root a descriptor is, as the view's ids have it. */
static int mount_of(const struct view *view, int fd, uint64_t *id)
{
	unsigned mask = view->listed ? SYS_STATX_MNT_ID_UNIQUE : SYS_STATX_MNT_ID;
	struct sys_statx st;
	int error = sys_statx(fd, mask, &st);

	if (error)
		return error;
	if (!(st.mask & mask))
		return -EOPNOTSUPP;
	if (!(st.attributes & SYS_STATX_ATTR_MOUNT_ROOT))
		return -EINVAL;
	*id = st.mnt_id;
	return 0;
}

int view_attach(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	struct watched *watched = &watch->watches[slot];
	int error;

	if (target->fd < -1)
		return -EBADF;
	if (watched->view)
		return 0;
	if (target->fd >= 0 && sys_fcntl(target->fd, F_GETFD, 0) < 0)
		return -EBADF;
	watched->view = view_of(watch, target, &error);
	if (!watched->view)
		return error;
	if (target->fd < 0 || is_namespace(target->fd))
		return 0;
	return mount_of(watched->view, target->fd, &watched->object);
}

static void tell_state(struct xp_watch *watch, unsigned slot, enum xp_backend backend)
{
	struct view *view = watch->watches[slot].view;
	struct telling telling = { watch, view, backend, XP_EVENT_INITIAL, NULL };
	struct set one = { { 0 } };

	set_add(&one, slot);
	for (struct mount *mount = view->table.first; mount; mount = mount->after)
		if (!watch->watches[slot].object || set_has(&mount->members, slot))
			mount_tell(&telling, &one, XP_MOUNT_ATTACH, mount, NULL);
}

/* Exact tellers keep a table as it is; mountinfo has to be compared with first. */
static bool is_kept(const struct view *view)
{
	return view->driven & (1u << XP_BACKEND_QUEUE | 1u << XP_BACKEND_FANOTIFY);
}

int view_begin(struct xp_watch *watch, unsigned slot, enum xp_backend backend, unsigned flags)
{
	struct watched *watched = &watch->watches[slot];
	struct view *view = watched->view;
	int error = 0;

	if (!view->loaded) {
		error = mounts_load(&view->table, view->ns, view->listed);
		view->loaded = view->fresh = !error;
	} else if (!is_kept(view)) {
		error = view_compare(watch, view, XP_BACKEND_MOUNTINFO, 0);
		view->fresh = true;
	}
	if (error)
		return error;
	if (watched->object && !table_find(&view->table, watched->object))
		return -EINVAL;
	view->driven |= 1u << backend;
	if (!watched->object)
		set_add(&view->whole, slot);
	else
		set_add(&view->parts, slot);
	for (struct mount *mount = view->table.first; mount; mount = mount->after)
		mount_place(watch, view, mount);
	if (flags & XP_WATCH_INITIAL)
		tell_state(watch, slot, backend);
	return 0;
}

void view_detach(struct xp_watch *watch, unsigned slot)
{
	struct view *view = watch->watches[slot].view;

	if (!view)
		return;
	set_drop(&view->whole, slot);
	set_drop(&view->parts, slot);
	for (struct mount *mount = view->table.first; mount; mount = mount->after)
		set_drop(&mount->members, slot);
	/* Who has nobody to tell stops telling. */
	if (set_first(&view->whole) == SET_BITS && set_first(&view->parts) == SET_BITS)
		view->driven = 0;
}

void views_settled(struct xp_watch *watch, enum xp_backend backend)
{
	for (struct view *view = watch->views; view; view = view->next)
		if (view->driven & 1u << backend)
			view->fresh = false;
}

/* ------------------------------------------------------------------------------ differences */

/* Is it the same mount? Without unique ids, one that has gone may have left its id to another. */
static bool same_mount(const struct mount *a, const struct mount *b)
{
	return a && b && a->what == b->what && a->device == b->device;
}

static bool same_place(const struct mount *a, const struct mount *b)
{
	bool same = a->path && b->path ? !strcmp(a->path, b->path) : a->path == b->path;

	return same && a->parent == b->parent;
}

static void compare_gone(const struct telling *telling, const struct table *now)
{
	struct view *view = telling->view;
	struct mount *mount = view->table.last, *before;

	for (; mount; mount = before) {
		struct set to;

		before = mount->before;
		if (same_mount(table_find(now, mount->id), mount))
			continue;
		to = mount_listeners(view, mount);
		table_remove(&view->table, mount);
		mount_tell(telling, &to, XP_MOUNT_DETACH, mount, NULL);
		view_end_subtrees(telling->watch, view, mount);
		view_remember(view, mount);
	}
}

/* Takes what is new from one table to the other, and then tells of it: parents may come later. */
static int compare_new(const struct telling *telling, struct table *now)
{
	struct view *view = telling->view;
	struct mount *mount = now->first, *after, *last = view->table.last;

	for (; mount; mount = after) {
		after = mount->after;
		if (table_find(&view->table, mount->id))
			continue;
		table_remove(now, mount);
		if (!table_add(&view->table, mount)) {
			mount_put(mount);
			return -ENOMEM;
		}
	}
	for (mount = last ? last->after : view->table.first; mount; mount = mount->after) {
		struct set to;

		mount_place(telling->watch, view, mount);
		to = mount_listeners(view, mount);
		mount_tell(telling, &to, XP_MOUNT_ATTACH, mount, NULL);
	}
	return 0;
}

/* A path as seen from the parent's; all of it if it isn't below. */
static const char *seen_from(const char *path, const struct mount *parent)
{
	size_t length = parent && parent->path ? strlen(parent->path) : 0;

	return path && length && !strncmp(path, parent->path, length) ? path + length : path;
}

/* Marks those that have moved by themselves: they have another parent, or place below it. */
static void mark_moved(const struct view *view, const struct table *now)
{
	for (struct mount *one = now->first; one; one = one->after) {
		const struct mount *mount = table_find(&view->table, one->id), *parent;
		const char *was, *is;

		if (!mount)
			continue;
		parent = table_find(now, one->parent);
		is = seen_from(one->path, parent ? parent : table_find(&view->table, one->parent));
		was = seen_from(mount->path, table_find(&view->table, mount->parent));
		one->moved = mount->parent != one->parent || !was || !is || strcmp(was, is) != 0;
	}
}

/* Moves those that have moved by themselves, or with what they are below. */
static int compare_moved(const struct telling *telling, const struct table *now, bool moved)
{
	struct view *view = telling->view;
	struct telling how = *telling;

	how.flags |= moved ? 0 : XP_EVENT_RECURSIVE;
	for (const struct mount *one = now->first; one; one = one->after) {
		struct mount *mount = table_find(&view->table, one->id);
		char *path;

		if (!mount || one->moved != moved || same_place(mount, one))
			continue;
		path = one->path ? strdup(one->path) : NULL;
		if (one->path && !path)
			return -ENOMEM;
		mount_move(&how, mount, one->parent, path);
	}
	return 0;
}

/* What is new about mounts that are where they were. */
static int compare_altered(const struct telling *telling, const struct table *now)
{
	struct view *view = telling->view;

	for (const struct mount *one = now->first; one; one = one->after) {
		struct mount *mount = table_find(&view->table, one->id);
		bool attributes, propagation;
		struct set to;

		if (!mount || !same_mount(mount, one))
			continue;
		attributes = mount->attributes != one->attributes;
		propagation = mount->propagation != one->propagation;
		if (!attributes && !propagation)
			continue;
		mount = mount_to_change(telling->watch, view, mount);
		if (!mount)
			return -ENOMEM;
		mount->attributes = one->attributes;
		mount->propagation = one->propagation;
		mount->readonly = one->readonly;
		to = mount_listeners(view, mount);
		if (attributes)
			mount_tell(telling, &to, XP_MOUNT_SETATTR, mount, NULL);
		if (propagation)
			mount_tell(telling, &to, XP_MOUNT_PROPAGATION, mount, NULL);
	}
	return 0;
}

/* Where another tells of the tree, its changes are left to it: nothing is told twice. */
static int compare(const struct telling *telling, struct table *now, bool tree)
{
	struct view *view = telling->view;
	int error = 0;

	if (tree) {
		compare_gone(telling, now);
		error = compare_new(telling, now);
		mark_moved(view, now);
		if (!error)
			error = compare_moved(telling, now, true);
		if (!error)
			error = compare_moved(telling, now, false);
	}
	return error ? error : compare_altered(telling, now);
}

int view_compare(struct xp_watch *watch, struct view *view, enum xp_backend backend, unsigned flags)
{
	struct telling telling = { watch, view, backend, flags, NULL };
	struct table now = { 0 };
	bool tree = flags & XP_EVENT_RESCAN || !is_kept(view);
	int error = mounts_load(&now, view->ns, view->listed);

	if (error)
		return error;
	if (view->own && backend == XP_BACKEND_MOUNTINFO)
		sb_compare(watch, &now);
	error = compare(&telling, &now, tree);
	table_clear(&now);
	return error;
}

/* Who tells of a view's changes: the most exact. */
static enum xp_backend teller(const struct view *view)
{
	if (view->driven & 1u << XP_BACKEND_QUEUE)
		return XP_BACKEND_QUEUE;
	return view->driven & 1u << XP_BACKEND_FANOTIFY ? XP_BACKEND_FANOTIFY :
							  XP_BACKEND_MOUNTINFO;
}

void views_rescan(struct xp_watch *watch)
{
	for (struct view *view = watch->views; view; view = view->next) {
		if (!view->loaded)
			continue;
		view->fresh = is_kept(view);
		if (view_compare(watch, view, teller(view), XP_EVENT_RESCAN) == -ENOMEM)
			watch->starved = true;
	}
}
