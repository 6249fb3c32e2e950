/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.h - one bounded copy in the place of a call that is not here. */
#ifndef EXTPIPE_LIB_COPY_H
#define EXTPIPE_LIB_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Copies at most one buffer from @in to @out and takes from @in only what @out accepted.
 * Offsets as in splice(2). With @nonblock it fails with -EAGAIN rather than wait.
 * Returns bytes moved, 0 at the end of the input, or -errno.
 */
ssize_t copy_once(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, bool nonblock);

#endif
