/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_mountpoll.c - mounts and remounts by asking what there is whenever mountinfo says that
 * something has changed.
 *
 * mounts_poll() forgets a change once it has told it, also to a poll of the epoll descriptor that
 * it is in. But mountinfo is always readable: waited for as EPOLLIN with EPOLLET, each change makes
 * it ready, and it stays so until it was looked for.
 *
 * Looking costs as much as there are mounts. Therefore a look waits for four times what the last
 * one took; and where fanotify tells of the tree, for what it has to tell of the same change.
 */
#include "watch.h"

#include <stdlib.h>

#include "sys.h"
#include "watch_target.h"

#define PATIENCE 4
#define FANOTIFY_FIRST ((uint64_t)1000000) /* ns */

struct poller {
	int fd, timer;
	uint64_t due;    /* when to look; 0: nothing has changed */
	uint64_t before; /* not to look before */
};

static struct poller *poller_of(struct xp_watch *watch)
{
	return watch->state[XP_BACKEND_MOUNTINFO];
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int poll_serves(struct xp_watch *watch, enum xp_source source, struct xp_service *service)
{
	int fd = sys_open("/proc/thread-self/mountinfo", O_RDONLY);

	(void)watch;
	service->backend = XP_BACKEND_MOUNTINFO;
	service->why = "needs /proc";
	if (fd < 0)
		return fd;
	close(fd);
	if (source == XP_SOURCE_SB) {
		service->events = 1u << XP_SB_REMOUNT;
		service->why = "remounts alone, as mountinfo shows them";
	} else {
		service->events = 1u << XP_MOUNT_ATTACH | 1u << XP_MOUNT_DETACH |
				  1u << XP_MOUNT_MOVE | 1u << XP_MOUNT_SETATTR;
		service->why = "differences of mountinfo: what comes and goes at once is not seen";
	}
	return 0;
}

static int poll_open(struct xp_watch *watch)
{
	struct poller *poller = calloc(1, sizeof(*poller));
	int error;

	if (!poller)
		return -ENOMEM;
	poller->fd = sys_open("/proc/thread-self/mountinfo", O_RDONLY);
	poller->timer = sys_timer();
	error = poller->fd < 0 ? poller->fd : poller->timer < 0 ? poller->timer : 0;
	if (!error)
		error = watch_listen(watch, poller->fd, XP_BACKEND_MOUNTINFO, EPOLLIN | EPOLLET);
	if (!error)
		error = watch_listen(watch, poller->timer, XP_BACKEND_MOUNTINFO, EPOLLIN);
	watch->state[XP_BACKEND_MOUNTINFO] = poller;
	if (!error)
		return 0;
	watch_mountinfo.close(watch);
	return error;
}

static void poll_close(struct xp_watch *watch)
{
	struct poller *poller = poller_of(watch);

	if (poller->fd >= 0)
		close(poller->fd);
	if (poller->timer >= 0)
		close(poller->timer);
	free(poller);
}

/* The view that is looked at, for mounts or for file systems; NULL if nobody wants to know. */
static struct view *looked_at(const struct xp_watch *watch)
{
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch_served(&watch->watches[slot], XP_BACKEND_MOUNTINFO))
			return watch->watches[slot].view;
	return NULL;
}

static int look(struct xp_watch *watch, struct view *view)
{
	struct poller *poller = poller_of(watch);
	uint64_t begun = now(), ended;
	int error;

	poller->due = 0;
	error = view_compare(watch, view, XP_BACKEND_MOUNTINFO, 0);
	ended = now();
	poller->before = ended + PATIENCE * (ended - begun);
	if (error == -ENOMEM)
		watch->starved = true;
	return 0;
}

/* Woken by a change or by the timer; there is no harm in looking once too often. */
static int poll_pump(struct xp_watch *watch)
{
	struct poller *poller = poller_of(watch);
	struct view *view = looked_at(watch);
	uint64_t time = now(), expired;
	bool armed = poller->due;

	if (!armed || time >= poller->due)
		(void)sys_read(poller->timer, NULL, &expired, sizeof(expired));
	if (!view)
		return 0;
	if (!poller->due) {
		poller->due = poller->before;
		if (view->driven & 1u << XP_BACKEND_FANOTIFY && poller->due < time + FANOTIFY_FIRST)
			poller->due = time + FANOTIFY_FIRST;
	}
	if (time >= poller->due)
		return look(watch, view);
	return armed ? 0 : sys_timer_set(poller->timer, poller->due);
}

static int add_sb(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	struct watched *watched = &watch->watches[slot];
	bool alone = !(watched->served & 1u << XP_BACKEND_FS_ERROR);
	const struct mount *mount;
	int error = sb_resolve(watch, slot, target->fd);

	if (!error)
		watched->view = view_own(watch, &error);
	if (!error && !watched->view->loaded) {
		error = mounts_load(&watched->view->table, watched->view->ns,
				    watched->view->listed);
		watched->view->loaded = !error;
	}
	if (error)
		return error;
	for (mount = watched->view->table.first; mount; mount = mount->after)
		if (mount->device == watched->object)
			break;
	/* Of what is not mounted here, no remount is seen. */
	if (!mount)
		return alone ? -EINVAL : -EOPNOTSUPP;
	if (alone && target->flags & XP_WATCH_INITIAL)
		sb_initial(watch, slot, XP_BACKEND_MOUNTINFO);
	return 0;
}

/* Beside fanotify, which has begun already, it tells of attributes alone. */
static int add_mount(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	struct watched *watched = &watch->watches[slot];
	int error = view_attach(watch, slot, target);

	if (error)
		return error;
	if (!watched->view->own)
		return -EOPNOTSUPP;
	if (watched->served & 1u << XP_BACKEND_FANOTIFY)
		return 0;
	return view_begin(watch, slot, XP_BACKEND_MOUNTINFO, target->flags);
}

static int poll_add(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{

	if (target->source == XP_SOURCE_SB)
		return add_sb(watch, slot, target);
	return add_mount(watch, slot, target);
}

/* Beside fanotify, which is asked as well, the view is not its own to leave. */
static void poll_remove(struct xp_watch *watch, unsigned slot)
{
	const struct watched *watched = &watch->watches[slot];

	if (watched->source == XP_SOURCE_MOUNT && !watch_served(watched, XP_BACKEND_FANOTIFY))
		view_detach(watch, slot);
}

const struct watch_backend watch_mountinfo = {
	.id = XP_BACKEND_MOUNTINFO,
	.serves = poll_serves,
	.open = poll_open,
	.add = poll_add,
	.remove = poll_remove,
	.pump = poll_pump,
	.close = poll_close,
};
