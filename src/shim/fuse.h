/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuse.h - replies of FUSE servers, where vmsplice is a copy.
 *
 * libfuse vmsplices a reply's header before it knows how much data there is, and changes the
 * length afterwards, which shows in a pipe that shares its memory. In a copy it does not, the
 * kernel refuses such a reply, and throws it away.
 */
#ifndef EXTPIPE_SHIM_FUSE_H
#define EXTPIPE_SHIM_FUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

bool fuse_is_device(int fd);

/* Did the device refuse a reply, and throw it away? Then there is nothing to wait for. */
bool fuse_threw_away(int pipe, int device);

/*
 * What splice(2) of @len bytes from a pipe to the device does, with the length that the server
 * means: the one that it splices. Returns bytes, or -errno.
 */
ssize_t fuse_reply(int pipe, int device, size_t len);

#endif
