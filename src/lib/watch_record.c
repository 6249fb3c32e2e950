/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_record.c - the records of a notification pipe.
 *
 * Nothing is believed before it is measured: a record's length is checked against what was read,
 * and against its type, before any other of its bytes is looked at.
 */
#include "extpipe.h"

#include <string.h>

#include "extpipe/uapi.h"
#include "ret.h"
#include "watch_names.h"

/* The bits of info, as <linux/watch_queue.h> has them. */
#define INFO_LENGTH 0x7fu
#define INFO_ID_SHIFT 8
#define INFO_ID 0xffu

/* struct watch_notification, with the order of bits that the machine has. */
struct header {
	__u32 type : 24;
	__u32 subtype : 8;
	__u32 info;
};
_Static_assert(sizeof(struct header) == 8, "a header has 8 bytes");

struct key_record {
	__u32 watch[2];
	__u32 key_id;
	__u32 aux;
};

static unsigned mount_flags(__u32 info)
{
	return (info & XP_WATCH_MOUNT_RECURSIVE ? XP_EVENT_RECURSIVE : 0) |
	       (info & XP_WATCH_MOUNT_READONLY ? XP_EVENT_READONLY : 0) |
	       (info & XP_WATCH_MOUNT_PROPAGATED ? XP_EVENT_PROPAGATED : 0);
}

static void parse_key(const void *data, struct xp_event *event)
{
	struct key_record record;

	memcpy(&record, data, sizeof(record));
	event->key_id = (int32_t)record.key_id;
	event->aux = record.aux;
}

static void parse_mount(const void *data, struct xp_event *event)
{
	struct xp_mount_record record;

	memcpy(&record, data, sizeof(record));
	event->flags = mount_flags(record.watch[1]);
	event->mount_id = record.mnt_id;
	event->parent_id = record.parent_id;
	event->ns_id = record.mnt_ns_id;
}

static void parse_sb(const void *data, struct xp_event *event)
{
	struct xp_sb_record record;

	memcpy(&record, data, sizeof(record));
	event->flags = record.watch[1] & XP_WATCH_SB_READONLY ? XP_EVENT_READONLY : 0;
	event->major = record.dev_major;
	event->minor = record.dev_minor;
	event->ino = record.ino;
	event->error = (int)record.error;
	event->quota_warning = record.quota_warning;
	event->quota_type = record.quota_type;
	event->quota_id = record.quota_id;
}

static void parse_block(const void *data, struct xp_event *event)
{
	struct xp_block_record record;

	memcpy(&record, data, sizeof(record));
	event->major = record.dev_major;
	event->minor = record.dev_minor;
	event->sector = record.sector;
	event->bytes = record.length;
	event->error = (int)record.error;
	if (event->event == XP_BLOCK_ERROR)
		event->operation = (int)record.operation;
}

static void parse_meta(struct xp_event *event)
{
	event->removal = event->event == XP_META_REMOVAL;
	if (event->removal)
		event->event = -1;
	else if (event->event == XP_META_LOSS)
		event->watch = -1;
}

static void parse_body(const void *data, struct xp_event *event)
{
	switch (event->source) {
	case XP_SOURCE_KEY:
		parse_key(data, event);
		break;
	case XP_SOURCE_MOUNT:
		parse_mount(data, event);
		break;
	case XP_SOURCE_SB:
		parse_sb(data, event);
		break;
	case XP_SOURCE_BLOCK:
		parse_block(data, event);
		break;
	default:
		parse_meta(event);
	}
}

ssize_t xp_record_parse(const void *data, size_t size, struct xp_event *event)
{
	struct header header;
	enum xp_source source;
	size_t length;

	*event = (struct xp_event){ .event = -1, .watch = -1, .operation = -1 };
	event->backend = XP_BACKEND_QUEUE;
	if (size < sizeof(header))
		return ret(-EBADMSG);
	memcpy(&header, data, sizeof(header));
	length = header.info & INFO_LENGTH;
	source = watch_source_of(header.type);
	if (length < sizeof(header) || length > size ||
	    (source < XP_SOURCE_COUNT && length < watch_sources[source].record))
		return ret(-EBADMSG);
	event->watch = (int)(header.info >> INFO_ID_SHIFT & INFO_ID);
	event->record = data;
	event->record_size = length;
	if (source == XP_SOURCE_COUNT)
		return (ssize_t)length;
	event->source = source;
	event->event = header.subtype < watch_sources[source].recorded ? header.subtype : -1;
	parse_body(data, event);
	return (ssize_t)length;
}
