/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "endpoint.h"

static const char magic[] = INTAKE_MAGIC;
#define MAGIC_LENGTH (sizeof(magic) - 1)

int intake_open(struct intake *in, size_t max)
{
	struct xp_pipe_info info;
	int error;

	*in = (struct intake){ .size = max, .max = max };
	/* Each sender into one pipe begins with the magic. */
	in->frames = (struct reader){
		.fd = STDIN_FILENO,
		.framing = FRAMING_NETSTRING,
		.mark = magic,
	};
	in->packets = !xp_packet_open(&in->end, STDIN_FILENO, O_RDONLY);
	if (!in->packets && errno != EINVAL)
		return -errno;
	/* If frames come, the first read takes all that the pipe holds, and must not cut it. The
	 * pipe may yet grow to the size that this suite gives one. */
	if (in->size < ENDPOINT_LARGE_PIPE)
		in->size = ENDPOINT_LARGE_PIPE;
	if (!xp_pipe_info(STDIN_FILENO, &info) && info.size > in->size)
		in->size = info.size;
	in->buffer = malloc(in->size);
	if (!in->buffer)
		return -ENOMEM;
	in->frames.limit = in->size;
	error = reader_open(&in->frames);
	if (error)
		intake_close(in);
	return error;
}

void intake_close(struct intake *in)
{
	free(in->buffer);
	reader_close(&in->frames);
}

/* What is no pipe can only hold frames: reads the magic, which must be there. */
static int expect_magic(struct intake *in)
{
	size_t have = 0;

	while (have < MAGIC_LENGTH) {
		ssize_t n = read(STDIN_FILENO, in->buffer + have, MAGIC_LENGTH - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		have += (size_t)n;
		if (!n || memcmp(in->buffer, magic, have))
			return -EINVAL;
	}
	in->framed = true;
	return 0;
}

static int next_frame(struct intake *in, bool nonblock, const char **packet, size_t *length,
		      size_t *available)
{
	int result = reader_next(&in->frames, nonblock, packet, length);

	*available = *length < in->max ? *length : in->max;
	in->number += result > 0;
	return result;
}

static int next_packet(struct intake *in, bool nonblock, const char **packet, size_t *length,
		       size_t *available)
{
	ssize_t n = xp_packet_recv(&in->end, in->buffer, in->size, nonblock ? XP_NONBLOCK : 0);

	if (n < 0)
		return -errno;
	if (!in->number && (size_t)n >= MAGIC_LENGTH && !memcmp(in->buffer, magic, MAGIC_LENGTH)) {
		in->framed = true;
		reader_feed(&in->frames, in->buffer + MAGIC_LENGTH, (size_t)n - MAGIC_LENGTH);
		return next_frame(in, nonblock, packet, length, available);
	}
	*packet = in->buffer;
	*length = (size_t)n;
	*available = *length < in->max ? *length : in->max;
	in->number += n > 0;
	return n > 0;
}

int intake_next(struct intake *in, bool nonblock, const char **packet, size_t *length,
		size_t *available)
{
	int error = !in->packets && !in->framed ? expect_magic(in) : 0;

	if (error)
		return error;
	*length = 0;
	return in->framed ? next_frame(in, nonblock, packet, length, available) :
			    next_packet(in, nonblock, packet, length, available);
}
