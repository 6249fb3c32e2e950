/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuselease.h - how the kernel may go on with what it knows of an open file, and still never show
 * what is no longer so: by a lease (fcntl(2), F_SETLEASE). Whoever wants to write to the file waits
 * until this process has been told, has had the kernel forget what it knows, and has let go.
 */
#ifndef EXTPIPE_TOOLS_FUSELEASE_H
#define EXTPIPE_TOOLS_FUSELEASE_H

#include <stdbool.h>

#include "fuselow.h"

/* Starts the thread that is told. Before that no lease is taken. Returns 0 or an errno. */
int fuselease_start(struct fuse_session *session);
void fuselease_stop(void);

/* @ino was opened, as @fd. Where there can be no lease, the kernel will ask each time. */
void fuselease_take(fuse_ino_t ino, int fd);

/* It is to be closed by its last user. */
void fuselease_drop(fuse_ino_t ino);

/* For how long its attributes are right, seconds. */
double fuselease_seconds(fuse_ino_t ino);

#endif
