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
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "ret.h"
#include "sys.h"
#include "watch_names.h"

#define DEPTH_DEFAULT 256
#define DEPTH_MAX 512

static const struct watch_backend *const backends[XP_BACKEND_COUNT] = {
	[XP_BACKEND_QUEUE] = &watch_queue,         [XP_BACKEND_FANOTIFY] = &watch_fanotify,
	[XP_BACKEND_MOUNTINFO] = &watch_mountinfo, [XP_BACKEND_FS_ERROR] = &watch_fserror,
	[XP_BACKEND_UEVENT] = &watch_uevent,
};

/* Who serves a source, the best first; what comes after "with" completes it. */
static const struct {
	enum xp_backend backend, with;
} choices[XP_SOURCE_COUNT][3] = {
	[XP_SOURCE_KEY] = { { XP_BACKEND_QUEUE, 0 } },
	[XP_SOURCE_MOUNT] = { { XP_BACKEND_QUEUE, 0 },
			      { XP_BACKEND_FANOTIFY, XP_BACKEND_MOUNTINFO },
			      { XP_BACKEND_MOUNTINFO, 0 } },
	[XP_SOURCE_SB] = { { XP_BACKEND_QUEUE, 0 },
			   { XP_BACKEND_FS_ERROR, XP_BACKEND_MOUNTINFO },
			   { XP_BACKEND_MOUNTINFO, 0 } },
	[XP_SOURCE_BLOCK] = { { XP_BACKEND_QUEUE, 0 }, { XP_BACKEND_UEVENT, 0 } },
};

/* ------------------------------------------------------------------------------ notes */

static void note_free(struct note *note)
{
	if (!note)
		return;
	mount_put(note->mount);
	mount_put(note->parent);
	free(note->old_path);
	free(note->payload);
	free(note);
}

/* Does the watch want such an event? What is unknown here, and what ends it, it does. */
static bool wants(const struct watched *watched, enum xp_source source, int event)
{
	return watched->number >= 0 &&
	       (event < 0 || source != watched->source || watched->events & 1ull << event);
}

static struct note *queue_note(struct xp_watch *watch, enum xp_backend backend,
			       enum xp_source source, int event)
{
	struct note *note = calloc(1, sizeof(*note));

	if (!note) {
		watch->starved = true;
		return NULL;
	}
	note->backend = (uint8_t)backend;
	note->source = (uint8_t)source;
	note->event = (int8_t)event;
	clock_gettime(CLOCK_REALTIME, &note->time);
	*watch->last = note;
	watch->last = &note->next;
	return note;
}

struct note *watch_note(struct xp_watch *watch, const struct set *to, enum xp_backend backend,
			enum xp_source source, int event)
{
	struct set rest = *to, who = { { 0 } };
	struct note *note;
	unsigned slot;

	while ((slot = set_first(&rest)) < SET_BITS) {
		set_drop(&rest, slot);
		if (wants(&watch->watches[slot], source, event))
			set_add(&who, slot);
	}
	if (set_first(&who) == SET_BITS)
		return NULL;
	note = queue_note(watch, backend, source, event);
	if (note)
		note->to = who;
	return note;
}

static struct payload *payload_new(const struct xp_event *event, const char *text, const char *more)
{
	size_t length = text ? strlen(text) + 1 : 0, rest = more ? strlen(more) + 1 : 0;
	struct payload *payload = malloc(sizeof(*payload) + length + rest);

	if (!payload)
		return NULL;
	payload->event = *event;
	if (text)
		memcpy(payload->text, text, length);
	if (more)
		memcpy(payload->text + length, more, rest);
	if (event->source == XP_SOURCE_KEY) {
		payload->event.key_type = text ? payload->text : NULL;
		payload->event.description = more ? payload->text + length : NULL;
	} else {
		payload->event.device = text ? payload->text : NULL;
		payload->event.path = more ? payload->text + length : NULL;
	}
	if (event->record && event->record_size <= WATCH_RECORD) {
		memcpy(payload->record, event->record, event->record_size);
		payload->event.record = payload->record;
	}
	return payload;
}

struct note *watch_tell(struct xp_watch *watch, const struct set *to, enum xp_backend backend,
			const struct xp_event *event, const char *text, const char *more)
{
	struct note *note = watch_note(watch, to, backend, event->source, event->event);

	if (!note)
		return NULL;
	note->flags = event->flags;
	note->removal = event->removal;
	note->payload = payload_new(event, text, more);
	if (!note->payload)
		watch->starved = true;
	return note;
}

struct note *watch_tell_all(struct xp_watch *watch, enum xp_backend backend,
			    const struct xp_event *event)
{
	struct note *note = queue_note(watch, backend, event->source, event->event);

	if (!note)
		return NULL;
	note->loss = true;
	set_add(&note->to, 0);
	note->payload = payload_new(event, NULL, NULL);
	if (!note->payload)
		watch->starved = true;
	return note;
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
		for (unsigned i = 0; i < XP_BACKEND_COUNT; i++)
			if (watched->served & 1u << i)
				backends[i]->remove(watch, slot);
		watched->served = 0;
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

/* ------------------------------------------------------------------------------ events */

static void fill_mount(const struct note *note, const struct watched *one, struct xp_event *event)
{
	event->mount_id = note->mount->id;
	event->parent_id = note->parent_id;
	if (!note->payload && one->view)
		event->ns_id = one->view->ns;
	event->path = note->mount->path;
	event->parent_path = note->parent ? note->parent->path : NULL;
	event->old_path = note->old_path;
	event->major = (uint32_t)(note->mount->device >> 32);
	event->minor = (uint32_t)note->mount->device;
}

static void fill(const struct note *note, const struct watched *one, struct xp_event *event)
{
	*event = (struct xp_event){ .operation = -1 };
	if (note->payload)
		*event = note->payload->event;
	event->time = note->time;
	event->source = (enum xp_source)note->source;
	event->event = note->event;
	event->removal = note->removal;
	event->watch = note->loss ? -1 : one->number;
	event->backend = (enum xp_backend)note->backend;
	event->flags = note->flags;
	if (note->mount)
		fill_mount(note, one, event);
}

/* Takes the first note off the queue, and keeps it while the caller has its event. */
static void retire(struct xp_watch *watch)
{
	struct note *note = watch->first;

	watch->first = note->next;
	if (!watch->first)
		watch->last = &watch->first;
	note_free(watch->current);
	watch->current = note;
}

/* Takes the first note off the queue, which nobody is left for. */
static void drop(struct xp_watch *watch)
{
	struct note *note = watch->first;

	watch->first = note->next;
	if (!watch->first)
		watch->last = &watch->first;
	note_free(note);
}

/* Frees a slot. What is still to be told is not for who has it next. */
static void forget(struct xp_watch *watch, unsigned slot)
{
	struct watched *watched = &watch->watches[slot];

	for (struct note *note = watch->first; note; note = note->next)
		if (!note->loss)
			set_drop(&note->to, slot);
	free(watched->path);
	view_put(watch, watched->view);
	*watched = (struct watched){ .number = -1 };
	watch->count--;
}

/* Takes off what nobody is left for. @told: what the caller is being told. */
static void prune(struct xp_watch *watch, const struct note *told)
{
	while (watch->first && set_first(&watch->first->to) == SET_BITS) {
		if (watch->first == told)
			retire(watch);
		else
			drop(watch);
	}
}

/* Makes the next event out of the notes: 1, or 0 if none are left, or -errno. */
static int deliver(struct xp_watch *watch, struct xp_event *event)
{
	struct note *note;
	unsigned slot;
	bool bad;

	prune(watch, NULL);
	note = watch->first;
	if (!note)
		return 0;
	slot = set_first(&note->to);
	bad = note->bad;
	fill(note, &watch->watches[slot], event);
	set_drop(&note->to, slot);
	if (note->removal)
		forget(watch, slot);
	prune(watch, note);
	return bad ? -EBADMSG : 1;
}

/* Has xp_watch_next() something to do without waiting? */
static bool busy(const struct xp_watch *watch)
{
	return watch->first || watch->hot || watch->starved ||
	       (watch->next_number && !watch->count);
}

static bool ending(const struct xp_watch *watch)
{
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch->watches[slot].number >= 0 && watch->watches[slot].ending)
			return true;
	return false;
}

/* Makes the descriptor tell whether there is something to do. */
static void settle(struct xp_watch *watch)
{
	uint64_t count = 1;
	bool awake = busy(watch) || ending(watch);

	if (awake == watch->awake)
		return;
	watch->awake = awake;
	if (awake)
		(void)sys_write(watch->wake, NULL, &count, sizeof(count));
	else
		(void)sys_read(watch->wake, NULL, &count, sizeof(count));
}

/* ------------------------------------------------------------------------------ waiting */

int watch_listen(struct xp_watch *watch, int fd, enum xp_backend backend, unsigned events)
{
	return sys_epoll_add(watch->epoll, fd, events, backend);
}

/* Every backend that may have more is read once. */
static int pump(struct xp_watch *watch)
{
	for (unsigned i = 0; i < XP_BACKEND_COUNT; i++) {
		int more;

		if (!(watch->hot & 1u << i))
			continue;
		more = backends[i]->pump(watch);
		if (more <= 0)
			watch->hot &= ~(1u << i);
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
	for (unsigned i = 0; i < XP_BACKEND_COUNT; i++) {
		struct set its = set;

		for (unsigned slot = 0; slot < WATCH_MAX; slot++)
			if (!watch_served(&watch->watches[slot], (enum xp_backend)i))
				set_drop(&its, slot);
		watch_gone(watch, &its, (enum xp_backend)i, NULL);
	}
}

/* Looks for something to tell: 0, or -errno, -EAGAIN if there is nothing. */
static int look(struct xp_watch *watch, unsigned flags)
{
	bool patient = !(flags & XP_NONBLOCK) && !watch->hot && !ending(watch);
	int error = 0;

	settle(watch);
	/* While one has more and more, now and then the others are asked as well. */
	if (!watch->hot || !(++watch->turns % 16)) {
		error = wait_for(watch, patient ? -1 : 0);
		if (error < 0)
			return error;
	}
	if (watch->hot)
		return pump(watch);
	if (ending(watch))
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
			watch_lost(watch, XP_BACKEND_AUTO, NULL);
			if (watch->starved)
				return -ENOMEM;
		}
		error = deliver(watch, event);
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
	note_free(watch->current);
	watch->current = NULL;
	result = next(watch, event, flags);
	/* What is ready is looked at now, so that the descriptor tells the truth. */
	while (result > 0 && !watch->first && watch->hot && !watch->starved)
		if (pump(watch) < 0)
			break;
	settle(watch);
	return (int)ret(result);
}

/* ------------------------------------------------------------------------------ watches */

/* Fills in who would serve a source: 0, or -errno of the best who would not. */
static int choose(struct xp_watch *watch, enum xp_source source, unsigned choice,
		  struct xp_service *service)
{
	enum xp_backend backend = choices[source][choice].backend;
	bool queue = backend == XP_BACKEND_QUEUE;

	*service = (struct xp_service){ .backend = backend };
	if (!backend)
		return -ENOENT;
	if ((queue && watch->mode == XP_BACKEND_STOCK) ||
	    (!queue && watch->mode == XP_BACKEND_QUEUE)) {
		service->why = "not asked for";
		return -EOPNOTSUPP;
	}
	return backends[backend]->serves(watch, source, service);
}

int xp_watch_service(struct xp_watch *watch, enum xp_source source, struct xp_service *service)
{
	struct xp_service other;
	int error = -EOPNOTSUPP;

	if (source <= XP_SOURCE_META || source >= XP_SOURCE_COUNT)
		return (int)ret(-EINVAL);
	*service = (struct xp_service){ .why = "nothing here sees such events" };
	for (unsigned i = 0; i < 3 && choices[source][i].backend; i++) {
		int refused = choose(watch, source, i, &other);

		if (!refused) {
			*service = other;
			return 0;
		}
		/* The reason of who was asked first and could. */
		if (error == -EOPNOTSUPP && strcmp(other.why, "not asked for") != 0) {
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
	if (backends[backend]->open)
		error = backends[backend]->open(watch);
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
	error = backends[backend]->add(watch, slot, target);
	if (error) {
		backends[backend]->remove(watch, slot);
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

	for (unsigned i = 0; i < 3 && choices[target->source][i].backend; i++) {
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
		for (unsigned i = 0; i < XP_BACKEND_COUNT; i++)
			if (watched->served & 1u << i)
				backends[i]->remove(watch, slot);
		watch->count++;
		forget(watch, slot);
		prune(watch, NULL);
		return (int)ret(error);
	}
	watch->count++;
	watch->next_number++;
	settle(watch);
	return watched->number;
}

int xp_watch_remove(struct xp_watch *watch, int number)
{
	for (unsigned slot = 0; slot < WATCH_MAX; slot++) {
		struct watched *watched = &watch->watches[slot];

		if (number < 0 || watched->number != number || watched->ending || !watched->served)
			continue;
		for (unsigned i = 0; i < XP_BACKEND_COUNT; i++)
			if (watched->served & 1u << i && backends[i]->end)
				backends[i]->end(watch, slot);
		watched->ending = true;
		settle(watch);
		return 0;
	}
	return (int)ret(-ENOENT);
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
	if (!watch)
		return ret(error ? error : -ENOMEM) ? NULL : NULL;
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
	for (unsigned i = 0; i < XP_BACKEND_COUNT; i++)
		if (watch->open & 1u << i)
			backends[i]->close(watch);
	while ((note = watch->first)) {
		watch->first = note->next;
		note_free(note);
	}
	note_free(watch->current);
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch->watches[slot].number >= 0)
			forget(watch, slot);
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
