/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_notes.c - what happened, until those who are concerned have been told. */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void watch_note_free(struct note *note)
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
	note->event = event;
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
	watch_note_free(watch->current);
	watch->current = note;
}

/* Takes the first note off the queue, which nobody is left for. */
static void drop(struct xp_watch *watch)
{
	struct note *note = watch->first;

	watch->first = note->next;
	if (!watch->first)
		watch->last = &watch->first;
	watch_note_free(note);
}

void watch_forget(struct xp_watch *watch, unsigned slot)
{
	struct watched *watched = &watch->watches[slot];

	for (struct note *note = watch->first; note; note = note->next)
		if (!note->loss)
			set_drop(&note->to, slot);
	watch->endings -= watched->ending;
	free(watched->path);
	view_put(watch, watched->view);
	*watched = (struct watched){ .number = -1 };
	watch->count--;
}

void watch_prune(struct xp_watch *watch, const struct note *told)
{
	while (watch->first && set_first(&watch->first->to) == SET_BITS) {
		if (watch->first == told)
			retire(watch);
		else
			drop(watch);
	}
}

int watch_deliver(struct xp_watch *watch, struct xp_event *event)
{
	struct note *note;
	unsigned slot;
	bool bad;

	watch_prune(watch, NULL);
	note = watch->first;
	if (!note)
		return 0;
	slot = set_first(&note->to);
	bad = note->bad;
	fill(note, &watch->watches[slot], event);
	set_drop(&note->to, slot);
	if (note->removal)
		watch_forget(watch, slot);
	watch_prune(watch, note);
	return bad ? -EBADMSG : 1;
}
