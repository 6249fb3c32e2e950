/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_serve.c - who serves which source, and watches that are added and taken off. */
#include "watch.h"

#include "ret.h"
#include "watch_names.h"

const struct watch_backend *const watch_backends[WATCH_BACKENDS] = {
	&watch_queue, &watch_fanotify, &watch_mountinfo, &watch_fserror, &watch_uevent,
};

static const struct watch_backend *backend_of(enum xp_backend id)
{
	unsigned i = 0;

	while (i < WATCH_BACKENDS - 1 && watch_backends[i]->id != id)
		i++;
	return watch_backends[i];
}

#define CHOICES 3

/* Who serves a source, the best first; what comes after "with" completes it. */
static const struct {
	enum xp_backend backend, with;
} choices[XP_SOURCE_COUNT][CHOICES] = {
	[XP_SOURCE_KEY] = { { XP_BACKEND_QUEUE, 0 } },
	[XP_SOURCE_MOUNT] = { { XP_BACKEND_QUEUE, 0 },
			      { XP_BACKEND_FANOTIFY, XP_BACKEND_MOUNTINFO },
			      { XP_BACKEND_MOUNTINFO, 0 } },
	[XP_SOURCE_SB] = { { XP_BACKEND_QUEUE, 0 },
			   { XP_BACKEND_FS_ERROR, XP_BACKEND_MOUNTINFO },
			   { XP_BACKEND_MOUNTINFO, 0 } },
	[XP_SOURCE_BLOCK] = { { XP_BACKEND_QUEUE, 0 }, { XP_BACKEND_UEVENT, 0 } },
};

static void remove_from_all(struct xp_watch *watch, unsigned slot)
{
	for (unsigned i = 0; i < WATCH_BACKENDS; i++)
		if (watch_served(&watch->watches[slot], watch_backends[i]->id))
			watch_backends[i]->remove(watch, slot);
}

void watch_end(struct xp_watch *watch, unsigned slot)
{
	watch->endings += !watch->watches[slot].ending;
	watch->watches[slot].ending = true;
}

void watch_gone(struct xp_watch *watch, const struct set *who, enum xp_backend backend,
		const struct xp_event *event)
{
	struct xp_event removal = { .event = -1, .removal = true, .operation = -1 };
	struct set rest = *who;
	unsigned slot;

	if (event)
		removal = *event;
	while ((slot = set_first(&rest)) < SET_BITS) {
		struct watched *watched = &watch->watches[slot];
		struct set one = { { 0 } };

		set_drop(&rest, slot);
		set_add(&one, slot);
		if (watched->number < 0 || !watched->served)
			continue;
		remove_from_all(watch, slot);
		watched->served = 0;
		watch->endings -= watched->ending;
		watched->ending = false;
		removal.source = watched->source;
		watch_tell(watch, &one, backend, &removal, NULL, watched->path);
	}
}

struct set watch_those(const struct xp_watch *watch, enum xp_backend backend, enum xp_source source,
		       uint64_t object)
{
	struct set set = { { 0 } };

	for (unsigned slot = 0; slot < WATCH_MAX; slot++) {
		const struct watched *watched = &watch->watches[slot];

		if (watch_served(watched, backend) && watched->source == source &&
		    (watched->object == object || watched->object == WATCH_ALL))
			set_add(&set, slot);
	}
	return set;
}

/* Is the backend one of those that the handle was opened for? */
static bool asked_for(const struct xp_watch *watch, enum xp_backend backend)
{
	bool queue = backend == XP_BACKEND_QUEUE;

	return watch->mode != (queue ? XP_BACKEND_STOCK : XP_BACKEND_QUEUE);
}

/* Fills in who would serve a source: 0, or -errno of the best who would not. */
static int choose(struct xp_watch *watch, enum xp_source source, unsigned choice,
		  struct xp_service *service)
{
	enum xp_backend backend = choices[source][choice].backend;

	*service = (struct xp_service){ .backend = backend, .why = "not asked for" };
	if (!asked_for(watch, backend))
		return -EOPNOTSUPP;
	return backend_of(backend)->serves(watch, source, service);
}

int xp_watch_service(struct xp_watch *watch, enum xp_source source, struct xp_service *service)
{
	struct xp_service other;
	int error = -EOPNOTSUPP;

	if (source <= XP_SOURCE_META || source >= XP_SOURCE_COUNT)
		return (int)ret(-EINVAL);
	*service = (struct xp_service){ .why = "nothing here sees such events" };
	for (unsigned i = 0; i < CHOICES && choices[source][i].backend; i++) {
		int refused = choose(watch, source, i, &other);

		if (!refused) {
			/* What would serve better is there, but not for everybody. */
			if (error == -EPERM && other.backend == XP_BACKEND_MOUNTINFO)
				other.why = "differences of mountinfo, for want of CAP_SYS_ADMIN";
			*service = other;
			return 0;
		}
		/* The reason of who was asked first and could. */
		if (error == -EOPNOTSUPP && asked_for(watch, choices[source][i].backend)) {
			error = refused;
			*service = other;
		}
	}
	service->backend = XP_BACKEND_AUTO;
	service->events = 0;
	service->error = -error;
	return 0;
}

static int open_backend(struct xp_watch *watch, enum xp_backend backend)
{
	int error = 0;

	if (watch->open & 1u << backend)
		return 0;
	if (backend_of(backend)->open)
		error = backend_of(backend)->open(watch);
	if (!error)
		watch->open |= 1u << backend;
	return error;
}

static int add_to(struct xp_watch *watch, unsigned slot, enum xp_backend backend,
		  const struct xp_target *target)
{
	int error = open_backend(watch, backend);

	if (error)
		return error;
	watch->watches[slot].served |= 1u << backend;
	error = backend_of(backend)->add(watch, slot, target);
	if (error) {
		backend_of(backend)->remove(watch, slot);
		watch->watches[slot].served &= ~(1u << backend);
	}
	return error;
}

/* A refusal for which another way may serve as well. */
static bool another_way(int error)
{
	return error == -EPERM || error == -EACCES || error == -EOPNOTSUPP || error == -ENOSYS;
}

static int add(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	int first = -EOPNOTSUPP;

	for (unsigned i = 0; i < CHOICES && choices[target->source][i].backend; i++) {
		enum xp_backend with = choices[target->source][i].with;
		struct xp_service service;
		int error = choose(watch, target->source, i, &service);

		if (!error)
			error = add_to(watch, slot, choices[target->source][i].backend, target);
		if (!error && with) {
			/* It completes what there is already, so it may be refused. */
			error = add_to(watch, slot, with, target);
			if (another_way(error))
				error = 0;
		}
		if (!error)
			return 0;
		if (!another_way(error))
			return error;
		if (first == -EOPNOTSUPP)
			first = error;
	}
	return first;
}

static bool known_target(const struct xp_target *target)
{
	if (target->source <= XP_SOURCE_META || target->source >= XP_SOURCE_COUNT)
		return false;
	return !(target->events & ~watch_all_events(target->source)) &&
	       !(target->flags & ~XP_WATCH_INITIAL);
}

static unsigned free_slot(const struct xp_watch *watch)
{
	unsigned slot = 0;

	while (slot < WATCH_MAX && watch->watches[slot].number >= 0)
		slot++;
	return slot;
}

int xp_watch_add(struct xp_watch *watch, const struct xp_target *target)
{
	unsigned slot = free_slot(watch);
	struct watched *watched = &watch->watches[slot];
	int error;

	if (!known_target(target))
		return (int)ret(-EINVAL);
	if (slot == WATCH_MAX)
		return (int)ret(-ENOSPC);
	*watched = (struct watched){ .number = watch->next_number, .source = target->source };
	watched->events = target->events ? target->events : watch_all_events(target->source);
	error = add(watch, slot, target);
	if (error) {
		remove_from_all(watch, slot);
		watch->count++;
		watch_forget(watch, slot);
		watch_prune(watch, NULL);
		return (int)ret(error);
	}
	watch->count++;
	watch->next_number++;
	watch_settle(watch);
	return watched->number;
}

int xp_watch_remove(struct xp_watch *watch, int number)
{
	for (unsigned slot = 0; slot < WATCH_MAX; slot++) {
		struct watched *watched = &watch->watches[slot];

		if (number < 0 || watched->number != number || watched->ending || !watched->served)
			continue;
		for (unsigned i = 0; i < WATCH_BACKENDS; i++)
			if (watch_served(watched, watch_backends[i]->id) && watch_backends[i]->end)
				watch_backends[i]->end(watch, slot);
		watch_end(watch, slot);
		watch_settle(watch);
		return 0;
	}
	return (int)ret(-ENOENT);
}
