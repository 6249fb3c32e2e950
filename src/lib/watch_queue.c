/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_queue.c - the kernel's notification pipe: mainline's keys, and what the series adds.
 *
 * A kernel watch is known by 8 bits that each record carries. Several watches of the handle may
 * share one, as those of subtrees of one mount namespace do. An id is given to another object only
 * when no record of the old one can be left in the queue.
 */
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "extpipe/uapi.h"
#include "sys.h"
#include "watch_names.h"
#include "watch_target.h"
#include "watch_values.h"

/* Some hundred records at once. */
#define BUFFER 8192

/* keyctl(2) operations. */
#define KEYCTL_GET_KEYRING_ID 0
#define KEYCTL_DESCRIBE 6
#define KEYCTL_READ 11

enum { FREE, LIVE, ENDING };

struct kernel_watch {
	int state;
	enum xp_source source;
	uint64_t object;
	struct set users;
};

struct queue {
	int fds[2];
	unsigned fresh; /* so many records may tell what a table just loaded holds already */
	bool lossy;     /* records were lost, the ends of watches perhaps among them */
	struct kernel_watch watches[WATCH_MAX];
	struct device_names names;
	char buffer[BUFFER];
};

static struct queue *queue_of(struct xp_watch *watch)
{
	return watch->state[XP_BACKEND_QUEUE];
}

/* ------------------------------------------------------------------------------ service */

/* A notification pipe's ends, or -errno, which is -EOPNOTSUPP if there are none here. */
static int make_pipe(int fds[2])
{
	int error = sys_pipe2(fds, XP_O_NOTIFICATION_PIPE | O_CLOEXEC | O_NONBLOCK);

	return error == -ENOPKG || error == -EINVAL ? -EOPNOTSUPP : error;
}

static void close_pipe(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* Adds or removes the kernel's watch of what a descriptor names. */
static int watch_object(int pipe, unsigned type, int fd, unsigned id, unsigned flags)
{
	struct xp_watch_object object = { .size = sizeof(object), .flags = flags, .type = type };

	object.fd = fd;
	object.id = id;
	return sys_ioctl(pipe, XP_IOC_WATCH_QUEUE_WATCH, &object);
}

/* The sub-types that the kernel has, and whether this process may watch what needs no descriptor.
 */
static int ask(enum xp_source source, uint64_t *events)
{
	struct xp_watch_query query = { .size = sizeof(query) };
	int fds[2], error, fd = -1;

	query.type = watch_sources[source].type;
	error = make_pipe(fds);
	if (error)
		return error;
	error = sys_ioctl(fds[0], XP_IOC_WATCH_QUEUE_QUERY, &query);
	if (!error)
		*events = query.subtypes[0] & watch_all_events(source);
	else if (source == XP_SOURCE_KEY)
		*events = watch_all_events(source);
	if (source == XP_SOURCE_MOUNT)
		fd = sys_open("/proc/thread-self/ns/mnt", O_RDONLY);
	if (!error && (source == XP_SOURCE_BLOCK || fd >= 0))
		error = watch_object(fds[0], query.type, fd, 0, 0);
	if (fd >= 0)
		close(fd);
	close_pipe(fds);
	return source == XP_SOURCE_KEY ? 0 : error;
}

static int queue_serves(struct xp_watch *watch, enum xp_source source, struct xp_service *service)
{
	struct xp_feature feature;
	int error;

	(void)watch;
	service->backend = XP_BACKEND_QUEUE;
	service->why = "no descriptors or memory to find out";
	if (xp_feature(watch_sources[source].native, &feature))
		return -errno;
	if (feature.support != XP_NATIVE) {
		service->why = source == XP_SOURCE_KEY ?
				       "needs a kernel with CONFIG_WATCH_QUEUE and "
				       "CONFIG_KEY_NOTIFICATIONS" :
				       "needs a kernel with CONFIG_WATCH_QUEUE and the extpipe "
				       "series";
		return feature.error == EPERM || feature.error == EACCES ? -feature.error :
									   -EOPNOTSUPP;
	}
	error = ask(source, &service->events);
	/* Where a mount is, its record does not say. */
	if (!error && source == XP_SOURCE_MOUNT && !mounts_listed(0)) {
		service->why = "needs listmount and statmount";
		return -EOPNOTSUPP;
	}
	if (error == -EPERM)
		service->why = "needs CAP_SYS_ADMIN";
	if (!error)
		service->why = "the kernel's notification queue";
	return error;
}

static int queue_open(struct xp_watch *watch)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	int error;

	if (!queue)
		return -ENOMEM;
	error = make_pipe(queue->fds);
	if (error) {
		free(queue);
		return error;
	}
	error = sys_ioctl(queue->fds[0], XP_IOC_WATCH_QUEUE_SET_SIZE,
			  (void *)(uintptr_t)watch->depth);
	if (!error)
		error = watch_listen(watch, queue->fds[0], XP_BACKEND_QUEUE, EPOLLIN);
	if (error) {
		close_pipe(queue->fds);
		free(queue);
		return error;
	}
	watch->state[XP_BACKEND_QUEUE] = queue;
	return 0;
}

static void queue_close(struct xp_watch *watch)
{
	struct queue *queue = queue_of(watch);

	close_pipe(queue->fds);
	free(queue);
}

/* ------------------------------------------------------------------------------ records */

static void tell_key(struct xp_watch *watch, const struct set *to, const struct xp_event *event)
{
	char buffer[VALUES_KEY];
	const char *type, *description;

	values_key(event->key_id, buffer, &type, &description);
	watch_tell(watch, to, XP_BACKEND_QUEUE, event, type, description);
}

static void tell_sb(struct xp_watch *watch, const struct set *to, const struct xp_event *event)
{
	uint64_t device = WATCH_DEVICE(event->major, event->minor);
	unsigned slot = set_first(to);
	const char *path = slot < WATCH_MAX ? watch->watches[slot].path : NULL;

	watch_tell(watch, to, XP_BACKEND_QUEUE, event,
		   values_device(&queue_of(watch)->names, device, false), path);
}

static void tell_block(struct xp_watch *watch, const struct set *to, const struct xp_event *event)
{
	uint64_t device = WATCH_DEVICE(event->major, event->minor);
	bool gone = event->event == XP_BLOCK_REMOVE;

	watch_tell(watch, to, XP_BACKEND_QUEUE, event,
		   values_device(&queue_of(watch)->names, device, gone), NULL);
	if (gone)
		values_forget(&queue_of(watch)->names, device);
}

/* The kernel has ended its watch: the id is free, and its users are told. */
static void end_kernel_watch(struct xp_watch *watch, unsigned id, const struct xp_event *event)
{
	struct kernel_watch *kernel = &queue_of(watch)->watches[id];
	struct set users = kernel->users;

	if (kernel->state == FREE)
		return;
	*kernel = (struct kernel_watch){ .state = FREE };
	watch_gone(watch, &users, XP_BACKEND_QUEUE, event);
}

static void lost(struct xp_watch *watch, const struct xp_event *event)
{
	queue_of(watch)->fresh = watch->depth + 1;
	queue_of(watch)->lossy = true;
	watch_lost(watch, XP_BACKEND_QUEUE, event);
}

/* All users look at the namespace that the kernel watches; subtrees are the view's concern. */
static void take_mount(struct xp_watch *watch, const struct kernel_watch *kernel,
		       const struct xp_event *event)
{
	unsigned slot = set_first(&kernel->users);

	if (slot < WATCH_MAX && watch->watches[slot].view)
		view_change(watch, watch->watches[slot].view, XP_BACKEND_QUEUE, event, true);
}

static void take(struct xp_watch *watch, const struct xp_event *event)
{
	struct queue *queue = queue_of(watch);
	struct kernel_watch *kernel = event->watch < 0 ? NULL : &queue->watches[event->watch];

	if (queue->fresh && !--queue->fresh)
		views_settled(watch, XP_BACKEND_QUEUE);
	if (event->source == XP_SOURCE_META && event->event == XP_META_LOSS)
		lost(watch, event);
	else if (!kernel || kernel->state == FREE)
		return;
	else if (event->removal)
		end_kernel_watch(watch, (unsigned)event->watch, event);
	else if (event->source == XP_SOURCE_KEY)
		tell_key(watch, &kernel->users, event);
	else if (event->source == XP_SOURCE_MOUNT && event->event >= 0)
		take_mount(watch, kernel, event);
	else if (event->source == XP_SOURCE_SB)
		tell_sb(watch, &kernel->users, event);
	else if (event->source == XP_SOURCE_BLOCK)
		tell_block(watch, &kernel->users, event);
	else
		watch_tell(watch, &kernel->users, XP_BACKEND_QUEUE, event, NULL, NULL);
}

/* What contradicts itself can't be read on: the rest of the buffer is lost with it. */
static void take_bad(struct xp_watch *watch, const char *at, size_t size)
{
	struct xp_event event = { .event = -1, .watch = -1, .operation = -1 };
	struct note *note;

	event.record = at;
	event.record_size = size < WATCH_RECORD ? size : WATCH_RECORD;
	note = watch_tell_all(watch, XP_BACKEND_QUEUE, &event);
	if (note)
		note->bad = true;
	lost(watch, NULL);
}

/* Is it known that a kernel watch has ended, because its object is no more? */
static bool has_ended(const struct kernel_watch *kernel)
{
	int fd;

	if (kernel->state != LIVE)
		return false;
	if (kernel->source == XP_SOURCE_KEY)
		return sys_keyctl(KEYCTL_DESCRIBE, (long)kernel->object, 0, 0) == -ENOKEY;
	if (kernel->source != XP_SOURCE_BLOCK || kernel->object == WATCH_ALL)
		return false;
	fd = block_attribute(kernel->object, "dev");
	if (fd >= 0)
		close(fd);
	return fd == -ENOENT;
}

/* Nothing is left of what was posted: watches that have ended have no record to come. */
static int emptied(struct xp_watch *watch)
{
	struct queue *queue = queue_of(watch);

	queue->fresh = 0;
	views_settled(watch, XP_BACKEND_QUEUE);
	for (unsigned id = 0; id < WATCH_MAX; id++)
		if (queue->watches[id].state == ENDING ||
		    (queue->lossy && has_ended(&queue->watches[id])))
			end_kernel_watch(watch, id, NULL);
	queue->lossy = false;
	return 0;
}

/*
 * Read until it is empty, because Linux 6.12's poll does not know of a loss that is still to be
 * told.
 */
static int queue_pump(struct xp_watch *watch)
{
	struct queue *queue = queue_of(watch);
	ssize_t n = sys_read(queue->fds[0], NULL, queue->buffer, BUFFER);
	const char *at = queue->buffer, *end = at + n;
	struct xp_event event;

	if (n == -EINTR)
		return 1;
	if (n <= 0)
		return n == -EAGAIN || !n ? emptied(watch) : (int)n;
	while (at < end) {
		ssize_t length = xp_record_parse(at, (size_t)(end - at), &event);

		if (length < 0) {
			take_bad(watch, at, (size_t)(end - at));
			break;
		}
		take(watch, &event);
		at += length;
	}
	return 1;
}

/* ------------------------------------------------------------------------------ watches */

static int find_kernel_watch(const struct queue *queue, enum xp_source source, uint64_t object)
{
	int found = -1;

	for (int id = WATCH_MAX - 1; id >= 0; id--) {
		const struct kernel_watch *kernel = &queue->watches[id];

		if (kernel->state == LIVE && kernel->source == source && kernel->object == object)
			return id;
		if (kernel->state == FREE)
			found = id;
	}
	return found < 0 ? -ENOSPC : found;
}

static int set_kernel_watch(struct queue *queue, const struct watched *watched, int fd, int id)
{
	unsigned type = watch_sources[watched->source].type;
	int error;

	if (watched->source == XP_SOURCE_KEY)
		return (int)sys_keyctl(XP_KEYCTL_WATCH_KEY, (long)(int32_t)watched->object,
				       queue->fds[0], id);
	error = watch_object(queue->fds[0], type, fd, (unsigned)id, 0);
	return error == -ENOTTY ? -EOPNOTSUPP : error;
}

/* Lets a kernel watch serve one more, and begins it if it does not run. */
static int join(struct xp_watch *watch, unsigned slot, uint64_t object, int fd)
{
	struct queue *queue = queue_of(watch);
	struct watched *watched = &watch->watches[slot];
	int id = find_kernel_watch(queue, watched->source, object);
	int error;

	if (id < 0)
		return id;
	if (queue->watches[id].state == FREE) {
		error = set_kernel_watch(queue, watched, fd, id);
		if (error < 0)
			return error;
		queue->watches[id] = (struct kernel_watch){
			LIVE, watched->source, object, { { 0 } }
		};
	}
	set_add(&queue->watches[id].users, slot);
	return 0;
}

/* A keyring's links, or the key, as events. */
static void initial_key(struct xp_watch *watch, unsigned slot)
{
	int32_t links[1024], key = (int32_t)watch->watches[slot].object;
	struct xp_event event = { .source = XP_SOURCE_KEY, .key_id = key, .operation = -1 };
	struct set one = { { 0 } };
	char buffer[VALUES_KEY];
	const char *type, *description;
	long size;

	event.flags = XP_EVENT_INITIAL;
	set_add(&one, slot);
	if (!values_key(key, buffer, &type, &description) || strcmp(type, "keyring") != 0) {
		event.event = XP_KEY_INSTANTIATED;
		tell_key(watch, &one, &event);
		return;
	}
	size = sys_keyctl(KEYCTL_READ, key, (long)(uintptr_t)links, sizeof(links));
	event.event = XP_KEY_LINKED;
	for (long i = 0; i < size / (long)sizeof(links[0]) && i < 1024; i++) {
		event.aux = (uint32_t)links[i];
		tell_key(watch, &one, &event);
	}
}

static int add_key(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	long key = target->key;
	int error;

	if (key < 0)
		key = sys_keyctl(KEYCTL_GET_KEYRING_ID, key, 0, 0);
	if (key < 0)
		return (int)key;
	watch->watches[slot].object = (uint64_t)key;
	error = join(watch, slot, (uint64_t)key, -1);
	if (!error && target->flags & XP_WATCH_INITIAL)
		initial_key(watch, slot);
	return error;
}

/* The namespace is watched first and looked at then, so that nothing falls in between. */
static int add_mount(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	struct watched *watched = &watch->watches[slot];
	int ns, error = view_attach(watch, slot, target);

	if (!error && !watched->view->listed)
		error = -EOPNOTSUPP;
	ns = error ? error : view_descriptor(target);
	if (ns < 0)
		return ns;
	error = join(watch, slot, watched->view->ns, ns);
	close(ns);
	if (!error)
		error = view_begin(watch, slot, XP_BACKEND_QUEUE, target->flags);
	queue_of(watch)->fresh = watch->depth + 1;
	while (!error && watched->view->fresh && queue_pump(watch) > 0)
		;
	return error;
}

static int add_sb(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	int error = sb_resolve(watch, slot, target->fd);

	if (!error)
		error = join(watch, slot, watch->watches[slot].object, target->fd);
	if (!error && target->flags & XP_WATCH_INITIAL)
		sb_initial(watch, slot, XP_BACKEND_QUEUE);
	return error;
}

static int add_block(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	int error = block_resolve(watch, slot, target->fd);

	if (!error)
		error = join(watch, slot, watch->watches[slot].object, target->fd);
	if (!error)
		block_initial(watch, slot, XP_BACKEND_QUEUE, &queue_of(watch)->names,
			      target->flags & XP_WATCH_INITIAL);
	return error;
}

static int queue_add(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	switch (target->source) {
	case XP_SOURCE_KEY:
		return add_key(watch, slot, target);
	case XP_SOURCE_MOUNT:
		return add_mount(watch, slot, target);
	case XP_SOURCE_SB:
		return add_sb(watch, slot, target);
	default:
		return add_block(watch, slot, target);
	}
}

/*
 * Asks the kernel to end its watch. Of a mounted file system or a device no descriptor is kept,
 * which would keep it busy: such a watch runs on with nobody listening.
 */
static void end_early(struct queue *queue, int id)
{
	struct kernel_watch *kernel = &queue->watches[id];
	unsigned type = watch_sources[kernel->source].type;
	int fd = -1;

	if (kernel->source == XP_SOURCE_KEY) {
		kernel->state = ENDING;
		(void)sys_keyctl(XP_KEYCTL_WATCH_KEY, (long)(int32_t)kernel->object, queue->fds[0],
				 -1);
		return;
	}
	if (kernel->source == XP_SOURCE_MOUNT)
		fd = view_own_namespace(kernel->object);
	if (fd < 0 && kernel->object != WATCH_ALL)
		return;
	if (!watch_object(queue->fds[0], type, fd, (unsigned)id, XP_WATCH_REMOVE))
		kernel->state = ENDING;
	if (fd >= 0)
		close(fd);
}

/* The kernel watch that serves a slot, or -1. */
static int serving(const struct queue *queue, unsigned slot)
{
	for (int id = 0; id < WATCH_MAX; id++)
		if (queue->watches[id].state != FREE && set_has(&queue->watches[id].users, slot))
			return id;
	return -1;
}

static void queue_end(struct xp_watch *watch, unsigned slot)
{
	struct queue *queue = queue_of(watch);
	int id = serving(queue, slot);
	struct set others;

	if (id < 0 || queue->watches[id].state != LIVE)
		return;
	others = queue->watches[id].users;
	set_drop(&others, slot);
	if (set_first(&others) == SET_BITS)
		end_early(queue, id);
}

static void queue_remove(struct xp_watch *watch, unsigned slot)
{
	struct queue *queue = queue_of(watch);
	int id = serving(queue, slot);

	view_detach(watch, slot);
	if (id < 0)
		return;
	set_drop(&queue->watches[id].users, slot);
	if (set_first(&queue->watches[id].users) == SET_BITS && queue->watches[id].state == LIVE)
		end_early(queue, id);
}

const struct watch_backend watch_queue = {
	.id = XP_BACKEND_QUEUE,
	.serves = queue_serves,
	.open = queue_open,
	.add = queue_add,
	.end = queue_end,
	.remove = queue_remove,
	.pump = queue_pump,
	.close = queue_close,
};
