/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_fserror.c - errors of file systems by fanotify(7), Linux 5.16.
 *
 * Each watch has a group of its own: a mark could be taken off only with a descriptor of the file
 * system, and none is kept.
 */
#include "watch.h"

#include <stdlib.h>

#include "sys.h"
#include "watch_fan.h"
#include "watch_target.h"

struct groups {
	int fds[WATCH_MAX]; /* by slot; -1: none */
	struct device_names names;
};

static struct groups *groups_of(struct xp_watch *watch)
{
	return watch->state[XP_BACKEND_FS_ERROR];
}

/* Not every file system has the ids that are needed for it. */
static int refusal(int error)
{
	switch (error) {
	case -EINVAL:
	case -ENODEV:
	case -EXDEV:
		return -EOPNOTSUPP;
	default:
		return error;
	}
}

static int mark(int group, int fd)
{
	return refusal(fan_mark(group, FAN_MARK_SB, FAN_EVENT_ERROR, fd));
}

static int fserror_serves(struct xp_watch *watch, enum xp_source source, struct xp_service *service)
{
	int group = fan_open(FAN_INIT_FID);
	int root = sys_open("/", O_PATH);
	int error = group < 0 ? refusal(group) : 0;

	(void)watch;
	(void)source;
	/* Whether a file system can is seen when it is added; here, only what is true of all. */
	if (!error && root >= 0 && mark(group, root) == -EPERM)
		error = -EPERM;
	if (group >= 0)
		close(group);
	if (root >= 0)
		close(root);
	service->backend = XP_BACKEND_FS_ERROR;
	service->events = 1u << XP_SB_ERROR | 1u << XP_SB_REMOUNT;
	service->why = "fanotify for errors, mountinfo for remounts";
	if (error == -EPERM)
		service->why = "fanotify needs CAP_SYS_ADMIN";
	else if (error)
		service->why = "fanotify tells of errors since Linux 5.16";
	return error;
}

static int fserror_open(struct xp_watch *watch)
{
	struct groups *groups = calloc(1, sizeof(*groups));

	if (!groups)
		return -ENOMEM;
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		groups->fds[slot] = -1;
	watch->state[XP_BACKEND_FS_ERROR] = groups;
	return 0;
}

static int fserror_add(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	int error = sb_resolve(watch, slot, target->fd);
	int group = error ? error : fan_open(FAN_INIT_FID);

	if (group < 0)
		return refusal(group);
	error = mark(group, target->fd);
	if (!error)
		error = watch_listen(watch, group, XP_BACKEND_FS_ERROR, EPOLLIN);
	if (error) {
		close(group);
		return error;
	}
	groups_of(watch)->fds[slot] = group;
	if (target->flags & XP_WATCH_INITIAL)
		sb_initial(watch, slot, XP_BACKEND_FS_ERROR);
	return 0;
}

static void fserror_remove(struct xp_watch *watch, unsigned slot)
{
	struct groups *groups = groups_of(watch);

	if (groups->fds[slot] >= 0)
		close(groups->fds[slot]);
	groups->fds[slot] = -1;
}

static void take(struct xp_watch *watch, unsigned slot, const struct fan_event *from)
{
	const struct watched *watched = &watch->watches[slot];
	struct xp_event event = { .source = XP_SOURCE_SB, .event = XP_SB_ERROR, .operation = -1 };
	struct set one = { { 0 } };

	if (from->mask & FAN_EVENT_OVERFLOW)
		watch_lost(watch, XP_BACKEND_FS_ERROR, NULL);
	if (!(from->mask & FAN_EVENT_ERROR))
		return;
	set_add(&one, slot);
	event.major = (uint32_t)(watched->object >> 32);
	event.minor = (uint32_t)watched->object;
	event.error = from->error;
	event.ino = from->ino;
	watch_tell(watch, &one, XP_BACKEND_FS_ERROR, &event,
		   values_device(&groups_of(watch)->names, watched->object, false), watched->path);
}

static int read_group(struct xp_watch *watch, unsigned slot)
{
	_Alignas(8) char buffer[4096];
	ssize_t n = sys_read(groups_of(watch)->fds[slot], NULL, buffer, sizeof(buffer));
	struct fan_event event;
	size_t length;

	if (n == -EINTR)
		return 1;
	for (ssize_t at = 0; at < n; at += (ssize_t)length) {
		length = fan_parse(buffer + at, (size_t)(n - at), &event);
		if (!length) {
			watch_lost(watch, XP_BACKEND_FS_ERROR, NULL);
			break;
		}
		take(watch, slot, &event);
	}
	return n > 0;
}

static int fserror_pump(struct xp_watch *watch)
{
	int more = 0;

	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (groups_of(watch)->fds[slot] >= 0)
			more |= read_group(watch, slot);
	return more;
}

static void fserror_close(struct xp_watch *watch)
{
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		fserror_remove(watch, slot);
	free(groups_of(watch));
}

const struct watch_backend watch_fserror = {
	.id = XP_BACKEND_FS_ERROR,
	.serves = fserror_serves,
	.open = fserror_open,
	.add = fserror_add,
	.remove = fserror_remove,
	.pump = fserror_pump,
	.close = fserror_close,
};
