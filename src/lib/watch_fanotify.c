/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_fanotify.c - mounts by fanotify(7), Linux 6.15: attached, detached and moved.
 *
 * An event has the mount's id and nothing else. Where a mount is, it is asked for when the event is
 * read; where it was, the table knows.
 */
#include "watch.h"

#include <stdlib.h>

#include "sys.h"
#include "watch_fan.h"

#define TREE_EVENTS (1u << XP_MOUNT_ATTACH | 1u << XP_MOUNT_DETACH | 1u << XP_MOUNT_MOVE)

/* A namespace that is looked at; an event does not say which it is from. */
struct group {
	struct group *next;
	struct view *view; /* NULL: nobody looks at it any more */
	int fd;
};

static struct group *groups_of(struct xp_watch *watch)
{
	return watch->state[XP_BACKEND_FANOTIFY];
}

static int mark_namespace(int group, int ns)
{
	return fan_mark(group, FAN_MARK_NAMESPACE, FAN_EVENT_ATTACH | FAN_EVENT_DETACH, ns);
}

static int fanotify_serves(struct xp_watch *watch, enum xp_source source,
			   struct xp_service *service)
{
	int ns = view_own_descriptor();
	int group = ns < 0 ? ns : fan_open(FAN_INIT_MNT);
	int error = group < 0 ? group : mark_namespace(group, ns);

	(void)watch;
	(void)source;
	if (!error && !mounts_listed(0))
		error = -EOPNOTSUPP;
	if (ns >= 0)
		close(ns);
	if (group >= 0)
		close(group);
	service->backend = XP_BACKEND_FANOTIFY;
	service->events = TREE_EVENTS | 1u << XP_MOUNT_SETATTR;
	service->why = "fanotify for attach, detach and move, mountinfo for attributes";
	if (error == -EPERM)
		service->why = "fanotify needs CAP_SYS_ADMIN";
	else if (error)
		service->why = "needs fanotify of Linux 6.15, and listmount";
	return error == -EINVAL ? -EOPNOTSUPP : error;
}

static struct group *find_group(struct xp_watch *watch, const struct view *view)
{
	struct group *group = groups_of(watch);

	while (group && group->view != view)
		group = group->next;
	return group;
}

static int open_group(struct xp_watch *watch, struct view *view, const struct xp_target *target)
{
	struct group *group = calloc(1, sizeof(*group));
	int ns = group ? view_descriptor(target) : -ENOMEM;
	int error = ns;

	if (ns >= 0) {
		group->fd = fan_open(FAN_INIT_MNT);
		error = group->fd < 0 ? group->fd : mark_namespace(group->fd, ns);
		if (!error)
			error = watch_listen(watch, group->fd, XP_BACKEND_FANOTIFY, EPOLLIN);
		if (error && group->fd >= 0)
			close(group->fd);
		close(ns);
	}
	if (error) {
		free(group);
		return error == -EINVAL ? -EOPNOTSUPP : error;
	}
	group->view = view;
	group->next = groups_of(watch);
	watch->state[XP_BACKEND_FANOTIFY] = group;
	return 0;
}

/* Frees the groups that nobody looks at. */
static void sweep(struct xp_watch *watch, bool all)
{
	struct group *group = groups_of(watch), *kept = NULL, *next;

	for (; group; group = next) {
		next = group->next;
		if (group->view && !all) {
			group->next = kept;
			kept = group;
		} else {
			close(group->fd);
			free(group);
		}
	}
	watch->state[XP_BACKEND_FANOTIFY] = kept;
}

static void take(struct xp_watch *watch, struct view *view, const struct fan_event *from)
{
	struct xp_event event = { .source = XP_SOURCE_MOUNT, .mount_id = from->mount };

	if (from->mask & FAN_EVENT_OVERFLOW) {
		watch_lost(watch, XP_BACKEND_FANOTIFY, NULL);
		return;
	}
	if (!from->mount || !(from->mask & (FAN_EVENT_ATTACH | FAN_EVENT_DETACH)))
		return;
	if (!(from->mask & FAN_EVENT_DETACH))
		event.event = XP_MOUNT_ATTACH;
	else if (!(from->mask & FAN_EVENT_ATTACH))
		event.event = XP_MOUNT_DETACH;
	else
		event.event = XP_MOUNT_MOVE;
	view_change(watch, view, XP_BACKEND_FANOTIFY, &event, false);
}

/* One buffer: 1 if something was read, 0 if not. */
static int read_group(struct xp_watch *watch, struct group *group)
{
	_Alignas(8) char buffer[4096];
	ssize_t n = sys_read(group->fd, NULL, buffer, sizeof(buffer));
	struct fan_event event;
	size_t length;

	if (n == -EINTR)
		return 1;
	if (n <= 0)
		return 0;
	for (ssize_t at = 0; at < n && group->view; at += (ssize_t)length) {
		length = fan_parse(buffer + at, (size_t)(n - at), &event);
		if (!length) {
			watch_lost(watch, XP_BACKEND_FANOTIFY, NULL);
			break;
		}
		take(watch, group->view, &event);
	}
	return 1;
}

static int fanotify_pump(struct xp_watch *watch)
{
	int more = 0;

	for (struct group *group = groups_of(watch); group; group = group->next)
		if (group->view)
			more |= read_group(watch, group);
	sweep(watch, false);
	if (!more)
		views_settled(watch, XP_BACKEND_FANOTIFY);
	return more;
}

static int fanotify_add(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	struct watched *watched = &watch->watches[slot];
	int error = view_attach(watch, slot, target);

	/* Its ids are the unique ones. */
	if (!error && !watched->view->listed)
		error = -EOPNOTSUPP;
	if (!error && !find_group(watch, watched->view))
		error = open_group(watch, watched->view, target);
	if (!error)
		error = view_begin(watch, slot, XP_BACKEND_FANOTIFY, target->flags);
	while (!error && watched->view->fresh && fanotify_pump(watch) > 0)
		;
	return error;
}

static void fanotify_remove(struct xp_watch *watch, unsigned slot)
{
	struct view *view = watch->watches[slot].view;
	struct group *group = find_group(watch, view);

	view_detach(watch, slot);
	if (!group || !view)
		return;
	for (unsigned i = 0; i < WATCH_MAX; i++)
		if (i != slot && watch_served(&watch->watches[i], XP_BACKEND_FANOTIFY) &&
		    watch->watches[i].view == view)
			return;
	group->view = NULL;
	watch->hot |= 1u << XP_BACKEND_FANOTIFY;
}

static void fanotify_close(struct xp_watch *watch)
{
	sweep(watch, true);
}

const struct watch_backend watch_fanotify = {
	.id = XP_BACKEND_FANOTIFY,
	.serves = fanotify_serves,
	.add = fanotify_add,
	.remove = fanotify_remove,
	.pump = fanotify_pump,
	.close = fanotify_close,
};
