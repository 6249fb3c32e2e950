/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fusemount.h - mounting by libfuse, with whatever may be wrong told as one line. */
#ifndef EXTPIPE_TOOLS_FUSEMOUNT_H
#define EXTPIPE_TOOLS_FUSEMOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#include "fuselow.h"

struct fusemount {
	const char *given;     /* as messages show it */
	char *path;            /* absolute, without symbolic links */
	bool is_file;          /* a regular file, to be mounted over */
	bool nonempty;         /* -o nonempty: whatever is below it */
	struct fuse_args args; /* for libfuse */
	bool fsname, subtype;  /* were among the options */
	struct fuselow low;    /* the caller sets read_max */
};

/* Adds the words of one -o. Returns 0, or -1 after a usage error's line. */
int fusemount_option(struct fusemount *mount, const char *words);

/*
 * Looks whether there can be a mount: the mount point, the device, fusermount3 where that has to
 * help. @tree: a directory is served. Returns 0, or the exit status after a line.
 */
int fusemount_check(struct fusemount *mount, const char *given, bool tree);

/* Makes the session. Returns 0, or the exit status after a line. */
int fusemount_session(struct fusemount *mount, const char *source,
		      const struct fuse_lowlevel_ops *ops, struct fuse_session **session);

/* Mounts. Returns 0, or the exit status after a line. */
int fusemount_mount(struct fusemount *mount, struct fuse_session *session);

#endif
