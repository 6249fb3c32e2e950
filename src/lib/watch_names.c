/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_names.c - one table of sources and events, for the parser, the names and the checks. */
#include "watch_names.h"

#include "extpipe/uapi.h"

static const char *const meta_events[] = {
	[XP_META_REMOVAL] = "removal",
	[XP_META_LOSS] = "loss",
};
_Static_assert(sizeof(meta_events) / sizeof(meta_events[0]) == XP_META_COUNT, "an event's name");

static const char *const key_events[] = {
	[XP_KEY_INSTANTIATED] = "instantiated",
	[XP_KEY_UPDATED] = "updated",
	[XP_KEY_LINKED] = "linked",
	[XP_KEY_UNLINKED] = "unlinked",
	[XP_KEY_CLEARED] = "cleared",
	[XP_KEY_REVOKED] = "revoked",
	[XP_KEY_INVALIDATED] = "invalidated",
	[XP_KEY_SETATTR] = "setattr",
};
_Static_assert(sizeof(key_events) / sizeof(key_events[0]) == XP_KEY_COUNT, "an event's name");

static const char *const mount_events[] = {
	[XP_MOUNT_ATTACH] = "attach",
	[XP_MOUNT_DETACH] = "detach",
	[XP_MOUNT_MOVE] = "move",
	[XP_MOUNT_SETATTR] = "setattr",
	[XP_MOUNT_PROPAGATION] = "propagation",
	[XP_MOUNT_EXPIRE] = "expire",
};
_Static_assert(sizeof(mount_events) / sizeof(mount_events[0]) == XP_MOUNT_COUNT, "an event's name");

static const char *const sb_events[] = {
	[XP_SB_REMOUNT] = "remount",   [XP_SB_ERROR] = "error",   [XP_SB_NOSPC] = "nospc",
	[XP_SB_QUOTA] = "quota",       [XP_SB_FREEZE] = "freeze", [XP_SB_THAW] = "thaw",
	[XP_SB_SHUTDOWN] = "shutdown",
};
_Static_assert(sizeof(sb_events) / sizeof(sb_events[0]) == XP_SB_COUNT, "an event's name");

static const char *const block_events[] = {
	[XP_BLOCK_ADD] = "add",       [XP_BLOCK_REMOVE] = "remove", [XP_BLOCK_MEDIA] = "media",
	[XP_BLOCK_RESIZE] = "resize", [XP_BLOCK_ERROR] = "error",   [XP_BLOCK_CHANGE] = "change",
};
_Static_assert(sizeof(block_events) / sizeof(block_events[0]) == XP_BLOCK_COUNT, "an event's name");

/* A header alone is 8 bytes; a key's record has two numbers more. */
const struct source_row watch_sources[XP_SOURCE_COUNT] = {
	[XP_SOURCE_META] = { "meta", XP_WATCH_TYPE_META, 8, XP_FEATURE_NOTIFICATION_PIPE,
			     meta_events, XP_META_COUNT, XP_META_COUNT },
	[XP_SOURCE_KEY] = { "key", XP_WATCH_TYPE_KEY, 16, XP_FEATURE_WATCH_KEY, key_events,
			    XP_KEY_COUNT, XP_KEY_COUNT },
	[XP_SOURCE_MOUNT] = { "mount", XP_WATCH_TYPE_MOUNT, sizeof(struct xp_mount_record),
			      XP_FEATURE_WATCH_MOUNT, mount_events, XP_MOUNT_COUNT,
			      XP_MOUNT_COUNT },
	[XP_SOURCE_SB] = { "sb", XP_WATCH_TYPE_SB, sizeof(struct xp_sb_record), XP_FEATURE_WATCH_SB,
			   sb_events, XP_SB_COUNT, XP_SB_COUNT },
	[XP_SOURCE_BLOCK] = { "block", XP_WATCH_TYPE_BLOCK, sizeof(struct xp_block_record),
			      XP_FEATURE_WATCH_BLOCK, block_events, XP_BLOCK_COUNT,
			      XP_BLOCK_CHANGE },
};

static const char *const backends[] = {
	[XP_BACKEND_AUTO] = "auto",           [XP_BACKEND_QUEUE] = "queue",
	[XP_BACKEND_STOCK] = "stock",         [XP_BACKEND_FANOTIFY] = "fanotify",
	[XP_BACKEND_MOUNTINFO] = "mountinfo", [XP_BACKEND_FS_ERROR] = "fs-error",
	[XP_BACKEND_UEVENT] = "uevent",
};
_Static_assert(sizeof(backends) / sizeof(backends[0]) == XP_BACKEND_COUNT, "a backend's name");

enum xp_source watch_source_of(unsigned type)
{
	int source = 0;

	while (source < XP_SOURCE_COUNT && watch_sources[source].type != type)
		source++;
	return (enum xp_source)source;
}

const char *xp_source_name(enum xp_source source)
{
	return (unsigned)source < XP_SOURCE_COUNT ? watch_sources[source].name : NULL;
}

const char *xp_event_name(enum xp_source source, int event)
{
	if ((unsigned)source >= XP_SOURCE_COUNT || event < 0 ||
	    event >= watch_sources[source].count)
		return NULL;
	return watch_sources[source].events[event];
}

const char *xp_backend_name(enum xp_backend backend)
{
	return (unsigned)backend < XP_BACKEND_COUNT ? backends[backend] : NULL;
}
