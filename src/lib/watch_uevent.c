/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_uevent.c - block devices by the kernel's uevents, which come by a netlink socket. */
#include "watch_uevent.h"

#include <stdlib.h>
#include <string.h>

#include "sys.h"
#include "watch_target.h"

/* Room for some thousand messages while nobody reads. */
#define RECEIVE_BUFFER (4 << 20)

/* The kernel's buffer is 2 KiB and what leads the message is a path. */
#define MESSAGE 8192

struct listener {
	int fd;
	struct device_names names;
	char message[MESSAGE];
};

/* ------------------------------------------------------------------------------ messages */

/* The value of a line "NAME=value", or NULL. */
static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(line, name, length) && line[length] == '=' ? line + length + 1 : NULL;
}

static bool is_number(const char *text, uint64_t *number)
{
	return text && values_number(text, text + strlen(text) + 1, '\0', number) &&
	       *number <= UINT32_MAX;
}

/* What the lines of a message may say. */
enum { ACTION, PATH, SUBSYSTEM, TYPE, MAJOR, MINOR, MEDIA, RESIZE, LINES };
static const char *const lines[LINES] = {
	[ACTION] = "ACTION",       [PATH] = "DEVPATH",
	[SUBSYSTEM] = "SUBSYSTEM", [TYPE] = "DEVTYPE",
	[MAJOR] = "MAJOR",         [MINOR] = "MINOR",
	[RESIZE] = "RESIZE",       [MEDIA] = "DISK_MEDIA_CHANGE",
};

static bool says(const char *text, const char *what)
{
	return text && !strcmp(text, what);
}

static int event_of(const char *const said[LINES])
{
	if (says(said[ACTION], "add"))
		return XP_BLOCK_ADD;
	if (says(said[ACTION], "remove"))
		return XP_BLOCK_REMOVE;
	if (!says(said[ACTION], "change"))
		return -1;
	if (says(said[MEDIA], "1"))
		return XP_BLOCK_MEDIA;
	return says(said[RESIZE], "1") ? XP_BLOCK_RESIZE : XP_BLOCK_CHANGE;
}

bool uevent_parse(const char *message, size_t size, struct uevent *event)
{
	const char *said[LINES] = { NULL };
	const char *line;

	/* Every line has an end, or strings would run out of the message. */
	if (!size || message[size - 1] || !memchr(message, '@', strlen(message)))
		return false;
	for (line = message + strlen(message) + 1; line < message + size; line += strlen(line) + 1)
		for (unsigned i = 0; i < LINES; i++)
			if (value_of(line, lines[i]))
				said[i] = value_of(line, lines[i]);
	*event = (struct uevent){ .event = event_of(said) };
	if (!says(said[SUBSYSTEM], "block") || !says(said[TYPE], "disk") || event->event < 0 ||
	    !said[PATH] || !is_number(said[MAJOR], &event->major) ||
	    !is_number(said[MINOR], &event->minor))
		return false;
	line = strrchr(said[PATH], '/');
	event->name = line ? line + 1 : said[PATH];
	return *event->name;
}

/* ------------------------------------------------------------------------------ listening */

static struct listener *listener_of(struct xp_watch *watch)
{
	return watch->state[XP_BACKEND_UEVENT];
}

static int uevent_serves(struct xp_watch *watch, enum xp_source source, struct xp_service *service)
{
	int fd = sys_uevents(0);

	(void)watch;
	(void)source;
	service->backend = XP_BACKEND_UEVENT;
	service->events = 1u << XP_BLOCK_ADD | 1u << XP_BLOCK_REMOVE | 1u << XP_BLOCK_MEDIA |
			  1u << XP_BLOCK_RESIZE | 1u << XP_BLOCK_CHANGE;
	service->why = fd < 0 ? "needs netlink, for the kernel's uevents" :
				"the kernel's uevents, which say nothing of I/O errors";
	if (fd < 0)
		return fd == -EPERM || fd == -EACCES ? fd : -EOPNOTSUPP;
	close(fd);
	return 0;
}

static int uevent_open(struct xp_watch *watch)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int error = -ENOMEM;

	if (!listener)
		return error;
	listener->fd = error = sys_uevents(RECEIVE_BUFFER);
	if (error >= 0)
		error = watch_listen(watch, listener->fd, XP_BACKEND_UEVENT, EPOLLIN);
	if (error) {
		if (listener->fd >= 0)
			close(listener->fd);
		free(listener);
		return error;
	}
	watch->state[XP_BACKEND_UEVENT] = listener;
	return 0;
}

static int uevent_add(struct xp_watch *watch, unsigned slot, const struct xp_target *target)
{
	int error = block_resolve(watch, slot, target->fd);

	if (!error)
		block_initial(watch, slot, XP_BACKEND_UEVENT, &listener_of(watch)->names,
			      target->flags & XP_WATCH_INITIAL);
	return error;
}

static void uevent_remove(struct xp_watch *watch, unsigned slot)
{
	(void)watch;
	(void)slot;
}

/* The device is gone, and what looks at it alone has nothing more to come. */
static void end_device(struct xp_watch *watch, uint64_t device)
{
	struct set gone = { { 0 } };

	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch_served(&watch->watches[slot], XP_BACKEND_UEVENT) &&
		    watch->watches[slot].object == device)
			set_add(&gone, slot);
	watch_gone(watch, &gone, XP_BACKEND_UEVENT, NULL);
}

static void take(struct xp_watch *watch, const struct uevent *from)
{
	uint64_t device = WATCH_DEVICE(from->major, from->minor);
	struct xp_event event = { .source = XP_SOURCE_BLOCK, .operation = -1 };
	struct set to = watch_those(watch, XP_BACKEND_UEVENT, XP_SOURCE_BLOCK, device);

	event.event = from->event;
	event.major = (uint32_t)from->major;
	event.minor = (uint32_t)from->minor;
	if (from->event == XP_BLOCK_ADD || from->event == XP_BLOCK_RESIZE)
		event.sector = block_capacity(device);
	watch_tell(watch, &to, XP_BACKEND_UEVENT, &event, from->name, NULL);
	if (from->event == XP_BLOCK_REMOVE)
		end_device(watch, device);
}

/* One message: 1 if there was one, 0 if not. */
static int uevent_pump(struct xp_watch *watch)
{
	struct listener *listener = listener_of(watch);
	struct sockaddr_nl from = { .nl_pid = 0 };
	struct iovec room = { listener->message, sizeof(listener->message) };
	struct msghdr header = { .msg_name = &from, .msg_namelen = sizeof(from) };
	struct uevent event;
	ssize_t n;

	header.msg_iov = &room;
	header.msg_iovlen = 1;
	n = SYS_RESULT(recvmsg(listener->fd, &header, 0));
	if (n == -ENOBUFS || (n >= 0 && header.msg_flags & MSG_TRUNC))
		watch_lost(watch, XP_BACKEND_UEVENT, NULL);
	if (n < 0)
		return n == -EINTR || n == -ENOBUFS;
	/* Anybody with the right may speak in the group; only the kernel has the port 0. */
	if (header.msg_namelen == sizeof(from) && !from.nl_pid && from.nl_family == AF_NETLINK &&
	    uevent_parse(listener->message, (size_t)n, &event))
		take(watch, &event);
	return 1;
}

static void uevent_close(struct xp_watch *watch)
{
	close(listener_of(watch)->fd);
	free(listener_of(watch));
}

const struct watch_backend watch_uevent = {
	.id = XP_BACKEND_UEVENT,
	.serves = uevent_serves,
	.open = uevent_open,
	.add = uevent_add,
	.remove = uevent_remove,
	.pump = uevent_pump,
	.close = uevent_close,
};
