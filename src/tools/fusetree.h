/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fusetree.h - a directory tree, as libfuse asks for it. */
#ifndef EXTPIPE_TOOLS_FUSETREE_H
#define EXTPIPE_TOOLS_FUSETREE_H

#include "fuselow.h"

/* For fuse_session_new(), after fusenode_start(). The handle of an open file is its descriptor. */
extern const struct fuse_lowlevel_ops fusetree_ops;

#endif
