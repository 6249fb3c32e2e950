/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fusefile.h - one file, as libfuse asks for it: a regular file, a block device or a stream. */
#ifndef EXTPIPE_TOOLS_FUSEFILE_H
#define EXTPIPE_TOOLS_FUSEFILE_H

#include <stdbool.h>

#include "fuselow.h"

/* For fuse_session_new(), after fusefile_start(). */
extern const struct fuse_lowlevel_ops fusefile_ops;

/*
 * Serves @fd, as @name in a directory; with NULL it is itself what is mounted. A @stream is read
 * once, from fusestream.h.
 */
void fusefile_start(int fd, const char *name, bool stream);

#endif
