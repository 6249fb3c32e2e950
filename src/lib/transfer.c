/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transfer.c - one descriptor to one descriptor, by the best way.
 *
 * Each way is a function that moves one chunk. A way is chosen from what the descriptors
 * are and from what they answer, and may be given up for copying until it has moved a byte.
 */
#include "extpipe.h"

#include <limits.h>
#include <stdlib.h>

#include "flow.h"
#include "ret.h"
#include "sys.h"

/* In one call, so that progress, signals and rates are served in between. */
#define FILE_CHUNK ((size_t)8 * 1024 * 1024)

enum kind { KIND_PIPE, KIND_FILE, KIND_BLOCK, KIND_SOCKET, KIND_OTHER };

struct transfer {
	const struct xp_transfer *job;
	struct flow flow;
	struct stage stage;
	struct sink sink;
	const struct way *way;
	enum kind in, out;
	dev_t in_dev, out_dev;
	bool append; /* the output appends: splice, sendfile and copy_file_range refuse it */
};

/* Moves at most @len bytes: bytes, 0 when the input says it is at its end, or -errno. */
typedef ssize_t step_fn(struct transfer *t, size_t len);

struct way {
	enum xp_via via;
	step_fn *step;
	size_t chunk;
};

/* Says whose failure it is; stopping on request is nobody's. */
static ssize_t failed(struct transfer *t, enum xp_side side, ssize_t error)
{
	t->flow.report->side = error < 0 && error != -ECANCELED ? side : XP_SIDE_NONE;
	return error;
}

/* For calls that touch both sides at once: would the input give a byte on its own? */
static enum xp_side blame(struct transfer *t, ssize_t error)
{
	loff_t at = t->job->in_offset ? *t->job->in_offset : sys_lseek(t->job->in, 0, SEEK_CUR);
	char byte;

	if (error == -EPIPE || error == -ENOSPC || error == -EDQUOT || error == -EFBIG || at < 0)
		return XP_SIDE_OUTPUT;
	return sys_read(t->job->in, &at, &byte, 1) < 0 ? XP_SIDE_INPUT : XP_SIDE_OUTPUT;
}

/*
 * With XP_NONBLOCK nothing is taken before both sides are ready: what was taken has to be
 * delivered, and that might have to wait.
 */
static int both_ready(struct transfer *t)
{
	int error;

	if (!(t->job->flags & XP_NONBLOCK))
		return 0;
	error = flow_wait(&t->flow, t->job->out, POLLOUT);
	if (error)
		return (int)failed(t, XP_SIDE_OUTPUT, error);
	return (int)failed(t, XP_SIDE_INPUT, flow_wait(&t->flow, t->job->in, POLLIN));
}

/* Writes the @n bytes that were read into the buffer, or passes on how reading ended. */
static ssize_t deliver(struct transfer *t, ssize_t n)
{
	uint64_t before = t->flow.report->bytes;
	int error;

	if (n <= 0)
		return failed(t, XP_SIDE_INPUT, n);
	t->flow.report->in_flight = (uint64_t)n;
	error = flow_write(&t->flow, &t->sink, t->flow.buffer, (size_t)n);
	t->flow.report->in_flight -= t->flow.report->bytes - before;
	return error ? failed(t, XP_SIDE_OUTPUT, error) : n;
}

static ssize_t step_copy(struct transfer *t, size_t len)
{
	int error = both_ready(t);

	if (error)
		return error;
	/* A pipe that is ready takes PIPE_BUF bytes without waiting. */
	if (t->job->flags & XP_NONBLOCK && t->out == KIND_PIPE && len > PIPE_BUF)
		len = PIPE_BUF;
	return deliver(t, flow_read(&t->flow, t->job->in, t->job->in_offset, len));
}

/* From a pipe to memory by vmsplice(2), which is a copy as well. */
static ssize_t step_vmsplice(struct transfer *t, size_t len)
{
	struct iovec iov = { NULL, len < FLOW_BUFFER ? len : FLOW_BUFFER };
	int error = both_ready(t);
	ssize_t n = error ? error : flow_buffer(&t->flow);

	if (n)
		return n;
	iov.iov_base = t->flow.buffer;
	do {
		n = sys_vmsplice(t->job->in, &iov, 1, 0);
		t->flow.report->calls++;
		error = n < 0 ? flow_retry(&t->flow, (int)n, t->job->in, POLLIN) : 0;
	} while (n < 0 && !error);
	return deliver(t, error ? error : n);
}

static unsigned splice_flags(const struct transfer *t)
{
	return flow_splice_flags(&t->flow) | (t->job->flags & XP_NONBLOCK ? SPLICE_F_NONBLOCK : 0);
}

/* Fills the stage once. */
static ssize_t fill(struct transfer *t, size_t len)
{
	const struct xp_transfer *job = t->job;
	int error = both_ready(t);

	if (error)
		return error;
	while (!error) {
		ssize_t n = stage_fill(&t->stage, job->in, job->in_offset, len, splice_flags(t));

		t->flow.report->calls++;
		if (n >= 0)
			return n;
		error = flow_retry(&t->flow, (int)n, job->in, POLLIN);
	}
	return failed(t, XP_SIDE_INPUT, error);
}

static ssize_t step_staged(struct transfer *t, size_t len)
{
	ssize_t n = fill(t, len);
	int error;

	if (n <= 0)
		return n;
	t->flow.report->in_flight = t->stage.held;
	error = flow_drain(&t->flow, &t->stage, &t->sink);
	t->flow.report->in_flight = t->stage.held;
	return error ? failed(t, XP_SIDE_OUTPUT, error) : n;
}

/*
 * What the ways share that touch both sides in one call: should it be made again, after
 * waiting for whichever side may have blocked it? If not, *@n is the result.
 */
static bool again(struct transfer *t, ssize_t *n)
{
	ssize_t result = *n;

	t->flow.report->calls++;
	if (result != -EAGAIN && result != -EINTR)
		return false;
	*n = flow_retry(&t->flow, (int)result, t->job->in, POLLIN);
	if (!*n && result == -EAGAIN)
		*n = flow_wait(&t->flow, t->job->out, POLLOUT);
	return !*n;
}

static ssize_t settle(struct transfer *t, ssize_t n)
{
	if (n < 0)
		return failed(t, blame(t, n), n);
	t->flow.report->bytes += (uint64_t)n;
	return n;
}

/* Nothing is taken from one side before the other has it. One of them is a pipe. */
static ssize_t step_direct(struct transfer *t, size_t len)
{
	const struct xp_transfer *job = t->job;
	ssize_t n = both_ready(t);

	if (n)
		return n;
	do {
		n = sys_splice(job->in, job->in_offset, job->out, job->out_offset, len,
			       splice_flags(t));
	} while (again(t, &n));
	return settle(t, n);
}

static ssize_t step_sendfile(struct transfer *t, size_t len)
{
	const struct xp_transfer *job = t->job;
	ssize_t n;

	/* sendfile(2) has no offset for its output. */
	if (job->out_offset)
		return -EINVAL;
	do {
		n = sys_sendfile(job->out, job->in, job->in_offset, len);
	} while (again(t, &n));
	return settle(t, n);
}

static ssize_t step_copy_file_range(struct transfer *t, size_t len)
{
	const struct xp_transfer *job = t->job;
	ssize_t n;

	do {
		n = sys_copy_file_range(job->in, job->in_offset, job->out, job->out_offset, len, 0);
	} while (again(t, &n));
	/* Its own conditions (one file system, no append mode) are refusals as well. */
	if (!t->flow.report->bytes && (n == -EXDEV || n == -EBADF || n == -ETXTBSY))
		n = -EINVAL;
	return settle(t, n);
}

static const struct way ways[] = {
	[XP_VIA_SPLICE] = { XP_VIA_SPLICE, step_staged, STAGE_SIZE },
	[XP_VIA_SENDFILE] = { XP_VIA_SENDFILE, step_sendfile, FILE_CHUNK },
	[XP_VIA_COPY_FILE_RANGE] = { XP_VIA_COPY_FILE_RANGE, step_copy_file_range, FILE_CHUNK },
	[XP_VIA_VMSPLICE] = { XP_VIA_VMSPLICE, step_vmsplice, FLOW_BUFFER },
	[XP_VIA_COPY] = { XP_VIA_COPY, step_copy, FLOW_BUFFER },
};
static const struct way direct = { XP_VIA_SPLICE, step_direct, STAGE_SIZE };

static int take(struct transfer *t, const struct way *way, enum xp_via from, int error,
		const char *why)
{
	t->way = way;
	t->flow.report->via = way->via;
	return flow_decide(
		&t->flow,
		&(struct xp_decision){ .via = way->via, .from = from, .error = error, .why = why });
}

/* Could what is in flight still change when the source is written to? */
static bool unstable(const struct transfer *t)
{
	struct xp_feature shares;

	if (!(t->job->flags & XP_STABLE) || t->out == KIND_FILE || t->out == KIND_BLOCK)
		return false;
	return xp_feature(XP_FEATURE_SPLICE_SHARES, &shares) || shares.support == XP_NATIVE;
}

/* Opens the stage and asks the output: 0, or why splicing through it can't be. */
static int prepare_stage(struct transfer *t)
{
	int error = stage_open(&t->stage, t->job->pipe_size ? t->job->pipe_size : STAGE_SIZE);

	return error ? error : stage_accepted(&t->stage, t->job->out, t->job->out_offset);
}

static int choose_splice(struct transfer *t, const char *why)
{
	int error;

	if (t->append)
		return take(t, &ways[XP_VIA_COPY], XP_VIA_SPLICE, EINVAL,
			    "the output is in append mode");
	error = prepare_stage(t);
	if (error)
		return take(t, &ways[XP_VIA_COPY], XP_VIA_SPLICE, -error,
			    "the output refuses splice");
	return take(t, &ways[XP_VIA_SPLICE], XP_VIA_AUTO, 0, why);
}

static int choose(struct transfer *t)
{
	enum xp_via via = t->job->via;

	if (via == XP_VIA_COPY)
		return take(t, &ways[XP_VIA_COPY], XP_VIA_AUTO, 0, "it was asked for");
	if (unstable(t))
		return take(t, &ways[XP_VIA_COPY], via, 0,
			    "splice would share the source's pages with the output");
	if (via == XP_VIA_VMSPLICE && t->in != KIND_PIPE)
		return take(t, &ways[XP_VIA_COPY], via, EINVAL, "the input is no pipe");
	if (via == XP_VIA_VMSPLICE)
		return take(t, &ways[via], XP_VIA_AUTO, 0, "it was asked for");
	if (via == XP_VIA_SENDFILE || via == XP_VIA_COPY_FILE_RANGE)
		return take(t, &ways[via], XP_VIA_AUTO, 0, "it was asked for");
	if (t->in == KIND_PIPE && t->out == KIND_PIPE)
		return take(t, &direct, XP_VIA_AUTO, 0, "both ends are pipes");
	if (t->job->flags & XP_NONBLOCK && (t->in == KIND_PIPE || t->out == KIND_PIPE))
		return take(t, &direct, XP_VIA_AUTO, 0, "nothing may be held while waiting");
	if (via == XP_VIA_SPLICE)
		return choose_splice(t, "it was asked for");
	if (t->in == KIND_FILE && t->out == KIND_FILE && t->in_dev == t->out_dev && !t->append)
		return take(t, &ways[XP_VIA_COPY_FILE_RANGE], XP_VIA_AUTO, 0,
			    "both are files of one file system");
	return choose_splice(t, "through a private pipe");
}

/* One chunk, by copying from now on where the way is refused before its first byte. */
static ssize_t step(struct transfer *t, size_t len)
{
	enum xp_via via = t->way->via;
	ssize_t n = t->way->step(t, len);
	int error;

	if (n >= 0 || !sys_refused(n) || via == XP_VIA_COPY || t->flow.report->bytes ||
	    t->stage.held)
		return n;
	error = take(t, &ways[XP_VIA_COPY], via, (int)-n, "the kernel refuses it here");
	t->flow.report->side = XP_SIDE_NONE;
	return error ? error : step_copy(t, len);
}

/*
 * The end of a file is what read(2) says, whatever splice says: sizes in /proc and FUSE lie.
 * A terminal is not asked, for it would want a second end of file from its user.
 */
static ssize_t confirm_end(struct transfer *t, size_t len)
{
	ssize_t n;

	if (t->way->via == XP_VIA_COPY || t->in == KIND_PIPE || t->in == KIND_SOCKET ||
	    (t->in == KIND_OTHER && isatty(t->job->in)))
		return 0;
	n = step_copy(t, len);
	if (n <= 0)
		return n;
	/* No fallback, so it cannot be refused: these bytes are beyond the other way's sight. */
	return take(t, &ways[XP_VIA_COPY], XP_VIA_AUTO, 0, "the input's size lies") ?: n;
}

static int run(struct transfer *t)
{
	uint64_t left = t->job->length;
	int error = choose(t);

	while (left && !error) {
		size_t chunk = t->job->chunk ? t->job->chunk : t->way->chunk;
		ssize_t n = step(t, left < chunk ? (size_t)left : chunk);

		if (!n)
			n = confirm_end(t, left < chunk ? (size_t)left : chunk);
		if (n <= 0)
			return (int)n;
		left -= (uint64_t)n;
		error = flow_tick(&t->flow);
	}
	return error;
}

static enum kind kind_of(int fd, dev_t *dev)
{
	struct stat st;

	if (sys_fstat(fd, &st))
		return KIND_OTHER;
	*dev = st.st_dev;
	switch (st.st_mode & S_IFMT) {
	case S_IFIFO:
		return KIND_PIPE;
	case S_IFREG:
		return KIND_FILE;
	case S_IFBLK:
		return KIND_BLOCK;
	case S_IFSOCK:
		return KIND_SOCKET;
	default:
		return KIND_OTHER;
	}
}

static int check_side(struct transfer *t, int fd, int access, const loff_t *offset,
		      enum xp_side side)
{
	int error = flow_check(fd, access);

	if (!error && offset && *offset < 0)
		error = -EINVAL;
	if (!error && offset && sys_lseek(fd, 0, SEEK_CUR) < 0)
		error = -ESPIPE;
	return (int)failed(t, side, error);
}

static int check_job(struct transfer *t)
{
	const struct xp_transfer *job = t->job;
	const unsigned known = XP_STABLE | XP_NO_FALLBACK | XP_NONBLOCK | XP_MORE | XP_MOVE;
	int error;

	if (job->flags & ~known || !xp_via_name(job->via) || job->via == XP_VIA_TEE)
		return -EINVAL;
	error = check_side(t, job->in, O_RDONLY, job->in_offset, XP_SIDE_INPUT);
	if (!error)
		error = check_side(t, job->out, O_WRONLY, job->out_offset, XP_SIDE_OUTPUT);
	if (error)
		return error;
	t->in = kind_of(job->in, &t->in_dev);
	t->out = kind_of(job->out, &t->out_dev);
	t->append = sys_fcntl(job->out, F_GETFL, 0) & O_APPEND;
	return 0;
}

int xp_transfer(const struct xp_transfer *job, struct xp_report *report)
{
	struct transfer t = {
		.job = job,
		.flow = { job->progress, job->decided, job->arg, job->flags, report, NULL },
		.stage = STAGE_CLOSED,
		.sink = { .fd = job->out, .offset = job->out_offset, .bytes = &report->bytes },
	};
	int error;

	*report = (struct xp_report){ .via = job->via };
	error = check_job(&t);
	if (!error)
		error = run(&t);
	stage_close(&t.stage);
	free(t.flow.buffer);
	report->error = -error;
	if (!error)
		report->side = XP_SIDE_NONE;
	return (int)ret(error);
}
