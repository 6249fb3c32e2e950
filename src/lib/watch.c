/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c - a set of watches, and the stream of what they see.
 *
 * The handle has one epoll descriptor, with a descriptor of each backend in it, and an eventfd for
 * notes that wait. Backends are read in turn until none has more, so that what is told of one
 * source never starves another's.
 */
#include "watch.h"

#include <stdlib.h>

#include "ret.h"
#include "sys.h"

#define DEPTH_DEFAULT 256
#define DEPTH_MAX 512

/*
 * Descriptors of these say by themselves whether there is more, also to who waits for the handle.
 * mountinfo's tells of a change once, and an unmended queue's does not tell of a loss.
 */
#define TELLING (1u << XP_BACKEND_FANOTIFY | 1u << XP_BACKEND_FS_ERROR | 1u << XP_BACKEND_UEVENT)

/* Has xp_watch_next() something to do without waiting? */
static bool busy(const struct xp_watch *watch)
{
	return watch->first || watch->hot & ~TELLING || watch->starved ||
	       (watch->next_number && !watch->count);
}

void watch_settle(struct xp_watch *watch)
{
	uint64_t count = 1;
	bool awake = busy(watch) || watch->endings;

	if (awake == watch->awake)
		return;
	watch->awake = awake;
	if (awake)
		(void)sys_write(watch->wake, NULL, &count, sizeof(count));
	else
		(void)sys_read(watch->wake, NULL, &count, sizeof(count));
}

void watch_lost(struct xp_watch *watch, enum xp_backend backend, const struct xp_event *event)
{
	static const struct xp_event plain = {
		.source = XP_SOURCE_META,
		.event = XP_META_LOSS,
		.operation = -1,
	};

	watch_tell_all(watch, backend, event ? event : &plain);
	views_rescan(watch);
}

int watch_listen(struct xp_watch *watch, int fd, enum xp_backend backend, unsigned events)
{
	return sys_epoll_add(watch->epoll, fd, events, backend);
}

/* Every one of these backends that may have more is read once. */
static int pump(struct xp_watch *watch, unsigned which)
{
	for (unsigned i = 0; i < WATCH_BACKENDS; i++) {
		unsigned bit = 1u << watch_backends[i]->id;
		int more;

		if (!(watch->hot & which & bit))
			continue;
		more = watch_backends[i]->pump(watch);
		if (more <= 0)
			watch->hot &= ~bit;
		if (more < 0)
			return more;
	}
	return 0;
}

static int wait_for(struct xp_watch *watch, int timeout)
{
	struct epoll_event ready[XP_BACKEND_COUNT + 1];
	int n = sys_epoll_wait(watch->epoll, ready, XP_BACKEND_COUNT + 1, timeout);

	for (int i = 0; i < n; i++)
		if (ready[i].data.u32 < XP_BACKEND_COUNT)
			watch->hot |= 1u << ready[i].data.u32;
	watch->hot &= watch->open;
	return n;
}

/* All that came before the end of these watches was read. */
static void finish(struct xp_watch *watch)
{
	struct set set = { { 0 } };

	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch->watches[slot].number >= 0 && watch->watches[slot].ending)
			set_add(&set, slot);
	for (unsigned i = 0; i < WATCH_BACKENDS; i++) {
		struct set its = set;

		for (unsigned slot = 0; slot < WATCH_MAX; slot++)
			if (!watch_served(&watch->watches[slot], watch_backends[i]->id))
				set_drop(&its, slot);
		watch_gone(watch, &its, watch_backends[i]->id, NULL);
	}
}

/* Looks for something to tell: 0, or -errno, -EAGAIN if there is nothing. */
static int look(struct xp_watch *watch, unsigned flags)
{
	bool patient = !(flags & XP_NONBLOCK) && !watch->hot && !watch->endings;
	int error = 0;

	watch_settle(watch);
	/* While one has more and more, now and then the others are asked as well. */
	if (!watch->hot || !(++watch->turns % 16)) {
		error = wait_for(watch, patient ? -1 : 0);
		if (error < 0)
			return error;
	}
	if (watch->hot)
		return pump(watch, watch->hot);
	if (watch->endings)
		finish(watch);
	else if (flags & XP_NONBLOCK)
		return -EAGAIN;
	return 0;
}

static int next(struct xp_watch *watch, struct xp_event *event, unsigned flags)
{
	int error;

	for (;;) {
		if (watch->starved) {
			watch->starved = false;
			watch_lost(watch, (enum xp_backend)__builtin_ctz(watch->open), NULL);
			if (watch->starved)
				return -ENOMEM;
		}
		error = watch_deliver(watch, event);
		if (error)
			return error;
		if (!watch->count)
			return 0;
		error = look(watch, flags);
		if (error)
			return error;
		if (watch->starved)
			return -ENOMEM;
	}
}

int xp_watch_next(struct xp_watch *watch, struct xp_event *event, unsigned flags)
{
	int result;

	if (flags & ~XP_NONBLOCK)
		return (int)ret(-EINVAL);
	watch_note_free(watch->current);
	watch->current = NULL;
	result = next(watch, event, flags);
	/* What is ready is looked at now, so that the descriptor tells the truth. */
	while (result > 0 && !watch->first && watch->hot & ~TELLING && !watch->starved)
		if (pump(watch, ~TELLING) < 0)
			break;
	watch_settle(watch);
	return (int)ret(result);
}

/* ------------------------------------------------------------------------------ handles */

static int open_handle(struct xp_watch *watch)
{
	watch->epoll = sys_epoll_create();
	if (watch->epoll < 0)
		return watch->epoll;
	watch->wake = sys_eventfd();
	if (watch->wake < 0)
		return watch->wake;
	return sys_epoll_add(watch->epoll, watch->wake, EPOLLIN, XP_BACKEND_COUNT);
}

static int check_options(const struct xp_watch_options *options)
{
	struct xp_feature queue;

	if ((unsigned)options->backend > XP_BACKEND_STOCK || options->depth > DEPTH_MAX)
		return -EINVAL;
	if (options->backend != XP_BACKEND_QUEUE)
		return 0;
	if (xp_feature(XP_FEATURE_NOTIFICATION_PIPE, &queue))
		return -errno;
	return queue.support == XP_NATIVE ? 0 : -EOPNOTSUPP;
}

struct xp_watch *xp_watch_open(const struct xp_watch_options *options)
{
	static const struct xp_watch_options defaults = { .backend = XP_BACKEND_AUTO };
	struct xp_watch *watch;
	int error;

	if (!options)
		options = &defaults;
	error = check_options(options);
	watch = error ? NULL : calloc(1, sizeof(*watch));
	if (!watch) {
		(void)ret(error ? error : -ENOMEM);
		return NULL;
	}
	watch->epoll = watch->wake = -1;
	watch->last = &watch->first;
	watch->mode = options->backend;
	watch->depth = options->depth ? options->depth : DEPTH_DEFAULT;
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		watch->watches[slot].number = -1;
	error = open_handle(watch);
	if (error) {
		xp_watch_close(watch);
		(void)ret(error);
		return NULL;
	}
	return watch;
}

void xp_watch_close(struct xp_watch *watch)
{
	struct note *note;

	if (!watch)
		return;
	for (unsigned i = 0; i < WATCH_BACKENDS; i++)
		if (watch->open & 1u << watch_backends[i]->id)
			watch_backends[i]->close(watch);
	while ((note = watch->first)) {
		watch->first = note->next;
		watch_note_free(note);
	}
	watch_note_free(watch->current);
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch->watches[slot].number >= 0)
			watch_forget(watch, slot);
	if (watch->wake >= 0)
		close(watch->wake);
	if (watch->epoll >= 0)
		close(watch->epoll);
	free(watch);
}

int xp_watch_fd(const struct xp_watch *watch)
{
	return watch->epoll;
}
