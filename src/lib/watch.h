/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.h - the handle of xp_watch_*, and what its backends see of it.
 *
 * A backend reads what it is told, and makes a note for each thing that happened, with the set
 * of watches that are concerned. The handle turns notes into events. Nobody waits but the handle.
 */
#ifndef EXTPIPE_LIB_WATCH_H
#define EXTPIPE_LIB_WATCH_H

#include <time.h>

#include "extpipe.h"
#include "watch_mounts.h"
#include "watch_set.h"

/* As many as a notification pipe can tell apart. */
#define WATCH_MAX SET_BITS

/* A record's length is told in seven bits. */
#define WATCH_RECORD 128

/* One watch. */
struct watched {
	int number; /* what the caller knows it by; -1: there is none here */
	enum xp_source source;
	uint64_t events; /* bit N: event N is wanted */
	unsigned served; /* bit N: by backend N */
	bool ending;     /* its removal is told when all that came before it is read */
	uint64_t object; /* a key, a mount or 0 for the namespace, a device or WATCH_ALL */
	struct view *view;
	char *path;    /* XP_SOURCE_SB: where it is mounted; owned */
	bool readonly; /* XP_SOURCE_SB: when it was looked at last */
};

/* An object: all block devices. No device has this number. */
#define WATCH_ALL UINT64_MAX

/* A device as one number. */
#define WATCH_DEVICE(major, minor) ((uint64_t)(major) << 32 | (uint32_t)(minor))

/* What is known of something beyond a mount's own. */
struct payload {
	struct xp_event event;
	unsigned char record[WATCH_RECORD];
	char text[]; /* key_type or device, and description or path: one after the other */
};

/* Something that happened, and the watches that are to hear of it. */
struct note {
	struct note *next;
	struct set to;
	struct timespec time;
	struct mount *mount;  /* references to it, */
	struct mount *parent; /* and to its parent; NULL: all is in the payload */
	char *old_path;       /* owned */
	struct payload *payload;
	uint64_t parent_id;
	uint8_t source, backend;
	int event;
	bool removal;
	bool loss; /* of no watch */
	bool bad;  /* a record that contradicts itself */
	unsigned flags;
};

struct xp_watch {
	int epoll;
	int wake; /* an eventfd that is readable while notes wait */
	bool awake;
	bool starved; /* a note could not be made: a loss is to be told */
	enum xp_backend mode;
	unsigned depth;
	int next_number;
	int count;     /* watches */
	int endings;   /* of them, those whose removal is still to be told */
	unsigned hot;  /* bit N: backend N may have more */
	unsigned open; /* bit N: backend N is open */
	unsigned turns;
	struct note *first, **last;
	struct note *current;          /* whose event the caller has */
	struct view *views;            /* mount namespaces */
	void *state[XP_BACKEND_COUNT]; /* each backend's own */
	struct watched watches[WATCH_MAX];
};

/* What every backend offers. Those functions return 0 or -errno where nothing else is said. */
struct watch_backend {
	enum xp_backend id;
	/* Could it serve the source? Says which events, and how in a static phrase. */
	int (*serves)(struct xp_watch *watch, enum xp_source source, struct xp_service *service);
	/* Prepares it; called before the first add. May be NULL. */
	int (*open)(struct xp_watch *watch);
	/* Begins to look at an object for the watch in that slot. */
	int (*add)(struct xp_watch *watch, unsigned slot, const struct xp_target *target);
	/* The watch is to end: the backend may tell it by itself, as all that came is read. May be
	 * NULL. */
	void (*end)(struct xp_watch *watch, unsigned slot);
	/* Stops; the object may be gone. */
	void (*remove)(struct xp_watch *watch, unsigned slot);
	/* Reads what there is, at most a buffer of it: 1 if there may be more, 0 if not. */
	int (*pump)(struct xp_watch *watch);
	void (*close)(struct xp_watch *watch);
};

extern const struct watch_backend watch_queue, watch_fanotify, watch_mountinfo, watch_fserror,
	watch_uevent;

#define WATCH_BACKENDS 5
extern const struct watch_backend *const watch_backends[WATCH_BACKENDS];

/* Puts a descriptor among those that are waited for. @events: EPOLLIN, EPOLLET. */
int watch_listen(struct xp_watch *watch, int fd, enum xp_backend backend, unsigned events);

/*
 * A note for those in @to, queued; NULL if memory is out, which becomes a loss. With none in @to it
 * is not made.
 */
struct note *watch_note(struct xp_watch *watch, const struct set *to, enum xp_backend backend,
			enum xp_source source, int event);

/* A note with a payload, into which @event and the two strings (or NULL) are copied. */
struct note *watch_tell(struct xp_watch *watch, const struct set *to, enum xp_backend backend,
			const struct xp_event *event, const char *text, const char *more);

/* A note of no watch: a loss, or a record that can't be read. */
struct note *watch_tell_all(struct xp_watch *watch, enum xp_backend backend,
			    const struct xp_event *event);

/* A loss: told, and the mount tree looked at again. */
void watch_lost(struct xp_watch *watch, enum xp_backend backend, const struct xp_event *event);

/* The object of the watches in @who is gone: their last event. @event: the kernel's, or NULL. */
void watch_gone(struct xp_watch *watch, const struct set *who, enum xp_backend backend,
		const struct xp_event *event);

/* The watches that a backend serves and that look at an object. */
struct set watch_those(const struct xp_watch *watch, enum xp_backend backend, enum xp_source source,
		       uint64_t object);

/* Makes the descriptor tell whether there is something to do. */
void watch_settle(struct xp_watch *watch);

/* The watch is over once all that came before is told. */
void watch_end(struct xp_watch *watch, unsigned slot);

/* Frees a slot. What is still to be told is not for who has it next. */
void watch_forget(struct xp_watch *watch, unsigned slot);

/* Makes the next event out of the notes: 1, or 0 if none are left, or -errno. */
int watch_deliver(struct xp_watch *watch, struct xp_event *event);

/* Takes off the notes that nobody is left for. @told: what the caller is being told, or NULL. */
void watch_prune(struct xp_watch *watch, const struct note *told);

void watch_note_free(struct note *note);

static inline bool watch_served(const struct watched *watched, enum xp_backend backend)
{
	return watched->number >= 0 && watched->served & 1u << backend;
}

#endif
