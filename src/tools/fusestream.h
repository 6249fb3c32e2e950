/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fusestream.h - a source that is read once, in order. READ requests wait in a queue for one
 * thread, so that those who serve everything else never wait for a stream.
 */
#ifndef EXTPIPE_TOOLS_FUSESTREAM_H
#define EXTPIPE_TOOLS_FUSESTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fuseread.h"

/* Makes the queue of @fd, which @reader answers from. Returns 0, or -1 with errno. */
int fusestream_start(int fd, struct fuseread *reader);

/* The thread: answers until it is told to end. */
void *fusestream_run(void *unused);
void fusestream_end(void);

/* One open file at a time, and none once something was read. Returns 0 or an errno. */
int fusestream_open(void);
void fusestream_close(void);

/* Queues a request. Returns 0 or an errno to answer it by. */
int fusestream_read(uint64_t unique, uint64_t offset, size_t size);

/*
 * Gives up a request that waits: it is answered by EINTR, and nothing is read for it. False where
 * it is not in the queue.
 */
bool fusestream_interrupt(uint64_t unique);

#endif
