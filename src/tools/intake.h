/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intake.h - packets from standard input: from a packet pipe, from a SEQPACKET socket, or from
 * netstrings in a stream, which a first line tells apart.
 */
#ifndef EXTPIPE_TOOLS_INTAKE_H
#define EXTPIPE_TOOLS_INTAKE_H

#include <extpipe.h>

#include "records.h"

/* What a stream of frames begins with; a first packet that does is taken for one. */
#define INTAKE_MAGIC "#!extpipe-frames 1\n"

struct intake {
	struct xp_packet end;
	bool packets; /* what was opened can hold packets */
	bool framed;  /* the magic was seen */
	struct reader frames;
	char *buffer;
	size_t size;
	uint64_t number; /* packets so far */
};

/* Opens standard input for packets of @max bytes. 0 or -errno. */
int intake_open(struct intake *in, size_t max);

void intake_close(struct intake *in);

/*
 * The next packet; it stays until the next call. Returns 1, with its length, which is more than
 * @available where it was cut; 0 at the end; or -errno: -EINVAL where standard input is no pipe
 * and holds no frames, -EBADMSG for malformed frames, -EAGAIN, -EINTR, or what read(2) says.
 */
int intake_next(struct intake *in, bool nonblock, const char **packet, size_t *length,
		size_t *available);

#endif
