/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flow.c - the pieces of a job that moves much: each waits only for what it needs. */
#include "flow.h"

#include <stdlib.h>

#include "sys.h"

int flow_buffer(struct flow *flow)
{
	if (!flow->buffer)
		flow->buffer = malloc(FLOW_BUFFER);
	return flow->buffer ? 0 : -ENOMEM;
}

int flow_tick(struct flow *flow)
{
	if (flow->progress && flow->progress(flow->report, flow->arg))
		return -ECANCELED;
	return 0;
}

int flow_wait(struct flow *flow, int fd, short events)
{
	/* What was taken from the input has to be delivered, even where nothing else waits. */
	bool wait = !(flow->flags & XP_NONBLOCK) || flow->report->in_flight;
	struct pollfd poll = { .fd = fd, .events = events };

	for (;;) {
		int ready = sys_poll(&poll, 1, wait ? -1 : 0);
		int error;

		if (ready > 0)
			return 0;
		if (!ready)
			return -EAGAIN;
		error = flow_retry(flow, ready, fd, events);
		if (error)
			return error;
	}
}

int flow_retry(struct flow *flow, int error, int fd, short events)
{
	if (error == -EINTR)
		return flow_tick(flow);
	if (error == -EAGAIN)
		return flow_wait(flow, fd, events);
	return error;
}

int flow_decide(struct flow *flow, const struct xp_decision *decision)
{
	bool fallback = decision->from != XP_VIA_AUTO;

	if (flow->decided)
		flow->decided(decision, flow->arg);
	if (fallback && flow->flags & XP_NO_FALLBACK)
		return -EOPNOTSUPP;
	return 0;
}

ssize_t flow_read(struct flow *flow, int fd, loff_t *offset, size_t len)
{
	int error = flow_buffer(flow);

	while (!error) {
		ssize_t n = sys_read(fd, offset, flow->buffer,
				     len < FLOW_BUFFER ? len : FLOW_BUFFER);

		flow->report->calls++;
		if (n >= 0)
			return n;
		error = flow_retry(flow, (int)n, fd, POLLIN);
	}
	return error;
}

/* Counts what went out; a part of what was to go is worth a tick. */
static int delivered(struct flow *flow, struct sink *sink, ssize_t n, size_t left)
{
	*sink->bytes += (uint64_t)n;
	return left ? flow_tick(flow) : 0;
}

int flow_write(struct flow *flow, struct sink *sink, const char *from, size_t len)
{
	int error = 0;

	while (len && !error) {
		ssize_t n = sys_write(sink->fd, sink->offset, from, len);

		flow->report->calls++;
		if (n < 0) {
			error = flow_retry(flow, (int)n, sink->fd, POLLOUT);
			continue;
		}
		from += n;
		len -= (size_t)n;
		error = delivered(flow, sink, n, len);
	}
	return error;
}

/* The stage is read first, because a packet inside it must be written as one. */
static int drain_copying(struct flow *flow, struct stage *stage, struct sink *sink)
{
	int error = flow_buffer(flow);

	while (stage->held && !error) {
		ssize_t n = stage_read(stage, flow->buffer, FLOW_BUFFER);
		uint64_t before = *sink->bytes;

		if (n <= 0) {
			error = n ? (int)n : -EIO;
			continue;
		}
		error = flow_write(flow, sink, flow->buffer, (size_t)n);
		/* What was read and not written is still in flight. */
		stage->held += (size_t)n - (size_t)(*sink->bytes - before);
	}
	return error;
}

/* A sink that refuses its first splice gets copies. */
static int fall_back(struct flow *flow, struct sink *sink, int error)
{
	if (*sink->bytes || !sys_refused(error))
		return error;
	sink->copying = true;
	return flow_decide(flow, &(struct xp_decision){ .via = XP_VIA_COPY,
							.from = XP_VIA_SPLICE,
							.error = -error,
							.output = sink->number,
							.why = "the output refuses splice" });
}

unsigned flow_splice_flags(const struct flow *flow)
{
	return (flow->flags & XP_MORE ? SPLICE_F_MORE : 0) |
	       (flow->flags & XP_MOVE ? SPLICE_F_MOVE : 0);
}

int flow_drain(struct flow *flow, struct stage *stage, struct sink *sink)
{
	int error = 0;

	while (stage->held && !sink->copying && !error) {
		ssize_t n = stage_drain(stage, sink->fd, sink->offset, flow_splice_flags(flow));

		flow->report->calls++;
		if (n > 0)
			error = delivered(flow, sink, n, stage->held);
		else if (n == -EAGAIN || n == -EINTR)
			error = flow_retry(flow, (int)n, sink->fd, POLLOUT);
		else
			error = fall_back(flow, sink, n ? (int)n : -EIO);
	}
	if (!error && stage->held)
		error = drain_copying(flow, stage, sink);
	return error;
}

int flow_check(int fd, int access)
{
	int flags = sys_fcntl(fd, F_GETFL, 0);

	if (flags < 0)
		return flags;
	if (flags & O_PATH)
		return -EBADF;
	return (flags & O_ACCMODE) == access || (flags & O_ACCMODE) == O_RDWR ? 0 : -EBADF;
}
