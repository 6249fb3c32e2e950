/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch_mounts.h - mount namespaces as they are known: what is mounted where, and who wants to
 * know.
 *
 * A view is the table of one namespace. It is loaded once, when whoever tells of changes does so
 * already, and kept up by what they tell; the difference of two tables gives the rest.
 */
#ifndef EXTPIPE_LIB_WATCH_MOUNTS_H
#define EXTPIPE_LIB_WATCH_MOUNTS_H

#include "extpipe.h"
#include "watch_set.h"
#include "watch_table.h"

#define VIEW_RECENT 16

struct view {
	struct view *next;
	unsigned users;
	uint64_t ns; /* its id; 0: not known */
	bool own;    /* this process is in it */
	bool listed; /* statmount(2) and listmount(2) serve: ids are unique ones */
	bool loaded;
	bool fresh;       /* what is told next may be in the table already */
	unsigned driven;  /* bit N: backend N tells of changes */
	struct set whole; /* the watches of all of it */
	struct set parts; /* those of a subtree */
	struct table table;
	struct mount *recent[VIEW_RECENT]; /* mounts that have gone, the last few */
	unsigned forgotten;                /* which of them goes next */
};

/* Finds the namespace and the mount that a target names, and makes the watch look at them. */
int view_attach(struct xp_watch *watch, unsigned slot, const struct xp_target *target);

/* Begins to tell, by @backend: from the table as it is, or as it is made now. */
int view_begin(struct xp_watch *watch, unsigned slot, enum xp_backend backend, unsigned flags);

/* The watch looks no more. */
void view_detach(struct xp_watch *watch, unsigned slot);

void view_put(struct xp_watch *watch, struct view *view);

/* A new descriptor of the namespace that a target names or lies in, or -errno. */
int view_descriptor(const struct xp_target *target);

/* A new descriptor of this process's namespace, or -errno. */
int view_own_descriptor(void);

/* The same if it has that id, or -errno. */
int view_own_namespace(uint64_t ns);

/*
 * A change that the kernel told of. @event: source, event, mount_id; parent_id and flags as far as
 * known; the record. @recorded: parent_id and flags are known.
 */
void view_change(struct xp_watch *watch, struct view *view, enum xp_backend backend,
		 const struct xp_event *event, bool recorded);

/* What @backend had to tell of a time before the tables were loaded is told. */
void views_settled(struct xp_watch *watch, enum xp_backend backend);

/* Looks at all mounts again, after a loss. */
void views_rescan(struct xp_watch *watch);

/*
 * Compares what is known with what is, and tells the difference. Where another backend tells of the
 * tree, of mounts that are in their place only what is new about them. 0 or -errno.
 */
int view_compare(struct xp_watch *watch, struct view *view, enum xp_backend backend,
		 unsigned flags);

/* The view of this process's namespace, loaded; NULL with *@error where there is none. */
struct view *view_own(struct xp_watch *watch, int *error);

/* ---- what watch_mounts.c and watch_views.c share */

/* How changes are told. */
struct telling {
	struct xp_watch *watch;
	struct view *view;
	enum xp_backend backend;
	unsigned flags;
	const struct xp_event *record; /* NULL: there is none */
};

/* Sets the watches of subtrees that a mount is in. */
void mount_place(struct xp_watch *watch, const struct view *view, struct mount *mount);

/* Those who hear of a mount. */
struct set mount_listeners(const struct view *view, const struct mount *mount);

/* Tells of a mount as it is now. Takes over the old path. */
void mount_tell(const struct telling *telling, const struct set *to, int event, struct mount *mount,
		char *old_path);

/* A mount of the table that may be changed: what notes hold stays as it was. NULL: no memory. */
struct mount *mount_to_change(struct xp_watch *watch, struct view *view, struct mount *mount);

/* Gives a mount another place, and tells it. Takes over the path. */
void mount_move(const struct telling *telling, struct mount *mount, uint64_t parent, char *path);

/* Ends the watches of the subtree that has lost its root. */
void view_end_subtrees(struct xp_watch *watch, struct view *view, const struct mount *root);

/* Keeps a mount that has gone for a while. Takes over the reference. */
void view_remember(struct view *view, struct mount *mount);

/* Loads a table. @listed: by listmount(2), or else from mountinfo. */
int mounts_load(struct table *table, uint64_t ns, bool listed);

/* A mount of a namespace as statmount(2) describes it now; NULL if it can't be had. */
struct mount *mounts_describe(uint64_t ns, uint64_t id);

/* Does listmount(2) serve this namespace? */
bool mounts_listed(uint64_t ns);

/* The table of /proc/thread-self/mountinfo. */
int mountinfo_load(struct table *table);

#endif
