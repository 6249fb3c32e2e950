/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stage.h - a private pipe through which bytes pass from an input to an output. */
#ifndef EXTPIPE_LIB_STAGE_H
#define EXTPIPE_LIB_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What a stage is enlarged to where nobody says: large enough that calls stop to matter. */
#define STAGE_SIZE ((size_t)1024 * 1024)

/* fcntl(2) returns an int, so a pipe of 2 GiB would look like a failure. */
#define STAGE_MAX ((size_t)1 << 30)

struct stage {
	int rd, wr;  /* -1 while closed */
	size_t size; /* what F_GETPIPE_SZ says, bytes */
	size_t held; /* bytes inside */
};

#define STAGE_CLOSED \
	{ \
		.rd = -1, .wr = -1 \
	}

/* Opens a stage of @size bytes, or of what the limits allow below that. 0 or -errno. */
int stage_open(struct stage *stage, size_t size);

/* Closes it with whatever it holds; a closed stage may be closed. */
void stage_close(struct stage *stage);

/* Throws away what it holds, by taking a new pipe: leftovers poison the next use. */
int stage_reset(struct stage *stage);

/* Makes it @size bytes large at least, with all that it holds. 0 or -errno. */
int stage_grow(struct stage *stage, size_t size);

/* Is no slot left, however few bytes it holds? */
bool stage_full(const struct stage *stage);

/*
 * Asks @out whether it takes splices, without giving it a byte: a splice from the empty
 * stage that must not wait. 0 if it does, or the -errno that it refuses with.
 */
int stage_accepted(const struct stage *stage, int out, loff_t *offset);

/* splice(2) into, and out of, the stage; they keep account in held. */
ssize_t stage_fill(struct stage *stage, int in, loff_t *offset, size_t len, unsigned flags);
ssize_t stage_drain(struct stage *stage, int out, loff_t *offset, unsigned flags);

/* tee(2) of the head of pipe @in into the stage, which must be empty. */
ssize_t stage_tee(struct stage *stage, int in, size_t len, unsigned flags);

/* Writes to the stage what fits, without waiting: bytes, or -EAGAIN. */
ssize_t stage_write(struct stage *stage, const void *from, size_t len);

/* read(2) from the stage. */
ssize_t stage_read(struct stage *stage, void *to, size_t len);

#endif
