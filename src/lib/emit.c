/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emit.c - memory to a descriptor.
 *
 * A pipe may refer to the pages that vmsplice(2) gave it for as long as anybody passes them on,
 * and no event tells when that ended. So memory that was handed over is never written again: what
 * repeats stands in one block that is made once, what doesn't is made in fresh pages each time.
 * Those are unmapped afterwards, which leaves them to the pipe alone.
 */
#include "extpipe.h"

#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "ret.h"
#include "sys.h"

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)
#define WINDOW ((size_t)2 * 1024 * 1024) /* of a file mapped at once: it counts as resident */

struct emit {
	const struct xp_emit *job;
	struct flow flow;
	struct sink sink;
	enum xp_via via;
	bool to_pipe;        /* the output is one, and takes memory directly */
	struct stage stage;  /* in front of an output that is no pipe, or for tee */
	struct stage master; /* filled once, duplicated for ever */
	void *map;           /* what is mapped now, and how much of it */
	size_t mapped;
	const char *piece; /* the bytes at hand */
	size_t left;       /* how many */
	uint64_t position; /* of the piece's end in what is written */
	uint64_t random;   /* state of the generator */
};

static void unmap(struct emit *e)
{
	if (e->map)
		munmap(e->map, e->mapped);
	e->map = NULL;
	e->left = 0;
}

/* Anonymous memory, from huge pages where there are any: fewer references to take. */
static int map_anonymous(struct emit *e, size_t len)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	size_t whole = (len + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	char *start;

	e->mapped = whole;
	e->map = MAP_FAILED;
	if (e->job->flags & XP_HUGE)
		e->map = mmap(NULL, whole, prot, flags | MAP_HUGETLB, -1, 0);
	if (e->map != MAP_FAILED) {
		e->piece = e->map;
		return 0;
	}
	/* One more, so that a multiple of the size is in it. */
	e->mapped = whole + HUGE_PAGE;
	e->map = mmap(NULL, e->mapped, prot, flags, -1, 0);
	if (e->map == MAP_FAILED) {
		e->map = NULL;
		return -errno;
	}
	start = (char *)e->map + (HUGE_PAGE - (uintptr_t)e->map % HUGE_PAGE) % HUGE_PAGE;
	madvise(start, whole, MADV_HUGEPAGE); /* a wish: where it fails, small pages serve */
	e->piece = start;
	return 0;
}

/* splitmix64: small, quick, and the same everywhere. */
static uint64_t next_random(struct emit *e)
{
	uint64_t x = e->random += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Makes the next huge page of numbers, in fresh memory unless it is copied anyway. */
static int generate(struct emit *e)
{
	uint64_t *numbers;
	int error;

	if (e->via != XP_VIA_COPY)
		unmap(e);
	if (!e->map) {
		error = map_anonymous(e, HUGE_PAGE);
		if (error)
			return error;
	} else {
		e->piece -= HUGE_PAGE;
	}
	numbers = (uint64_t *)(uintptr_t)e->piece;
	for (size_t i = 0; i < HUGE_PAGE / sizeof(*numbers); i++)
		numbers[i] = htole64(e->job->from == XP_MEMORY_COUNTER ?
					     e->position / sizeof(*numbers) + i :
					     next_random(e));
	e->left = HUGE_PAGE;
	e->position += HUGE_PAGE;
	return 0;
}

/* Maps the next window of the file; at its end nothing is left. */
static int map_file(struct emit *e)
{
	uint64_t at = (uint64_t)e->job->file_offset + e->position;
	uint64_t page = at / WINDOW * WINDOW;
	struct stat st;
	int error = sys_fstat(e->job->file, &st);

	unmap(e);
	if (error || !S_ISREG(st.st_mode))
		return error ? error : -ENODEV;
	if (at >= (uint64_t)st.st_size)
		return 0;
	e->mapped = (uint64_t)st.st_size - page < WINDOW ? (size_t)(st.st_size - (off_t)page) :
							   WINDOW;
	e->map = mmap(NULL, e->mapped, PROT_READ, MAP_PRIVATE, e->job->file, (off_t)page);
	if (e->map == MAP_FAILED) {
		e->map = NULL;
		return -errno;
	}
	e->piece = (const char *)e->map + (at - page);
	e->left = e->mapped - (size_t)(at - page);
	e->position += e->left;
	return 0;
}

/* How much of a repeated string one block holds: whole strings, whole pages if that goes. */
static size_t block_length(size_t string)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), both = string;

	while (both % page && both <= HUGE_PAGE)
		both += string;
	if (both > HUGE_PAGE)
		both = string;
	return both > HUGE_PAGE ? both : HUGE_PAGE / both * both;
}

/* Makes the block once; after that it is only gone through again. */
static int repeat(struct emit *e)
{
	size_t length = block_length(e->job->string_length);
	int error;

	if (!e->map) {
		error = map_anonymous(e, length);
		if (error)
			return error;
		for (size_t at = 0; at < length; at += e->job->string_length)
			memcpy((char *)(uintptr_t)e->piece + at, e->job->string,
			       e->job->string_length);
	} else {
		e->piece -= length;
	}
	e->left = length;
	return 0;
}

/* Sees to it that bytes are at hand; nothing is left at the end of a file. */
static int refill(struct emit *e)
{
	if (e->left)
		return 0;
	switch (e->job->from) {
	case XP_MEMORY_FILE:
		return map_file(e);
	case XP_MEMORY_REPEAT:
		return repeat(e);
	default:
		return generate(e);
	}
}

/* Hands memory to a pipe: bytes, or -errno. */
static ssize_t hand_over(struct emit *e, int pipe, size_t len, unsigned flags)
{
	struct iovec iov = { (void *)(uintptr_t)e->piece, len };

	if (e->job->flags & XP_GIFT)
		flags |= SPLICE_F_GIFT;
	e->flow.report->calls++;
	return sys_vmsplice(pipe, &iov, 1, flags);
}

static ssize_t step_vmsplice(struct emit *e, size_t len)
{
	int pipe = e->to_pipe ? e->job->out : e->stage.wr;
	ssize_t n;
	int error;

	do {
		/* Nobody else empties the stage, so it is never waited for. */
		n = hand_over(e, pipe, len, e->to_pipe ? 0 : SPLICE_F_NONBLOCK);
		error = n < 0 ? flow_retry(&e->flow, (int)n, e->job->out, POLLOUT) : 0;
	} while (n < 0 && !error);
	if (error)
		return error;
	if (e->to_pipe) {
		*e->sink.bytes += (uint64_t)n;
		return n;
	}
	e->stage.held += (size_t)n;
	error = flow_drain(&e->flow, &e->stage, &e->sink);
	return error ? error : n;
}

static ssize_t step_copy(struct emit *e, size_t len)
{
	int error;

	if (len > FLOW_BUFFER)
		len = FLOW_BUFFER;
	error = flow_write(&e->flow, &e->sink, e->piece, len);
	return error ? error : (ssize_t)len;
}

/*
 * A duplicate always begins at the master's head, and an output without room takes a part of it,
 * of whole pages. Where the string divides a page that is no harm; elsewhere the duplicate goes to
 * the empty stage, which has room for all, and from there on.
 */
static ssize_t step_tee(struct emit *e, size_t len)
{
	bool direct = e->to_pipe && (size_t)sysconf(_SC_PAGESIZE) % e->job->string_length == 0;
	ssize_t n;
	int error;

	do {
		n = direct ? sys_tee(e->master.rd, e->job->out, len, 0) :
			     stage_tee(&e->stage, e->master.rd, len, SPLICE_F_NONBLOCK);
		e->flow.report->calls++;
		error = n < 0 ? flow_retry(&e->flow, (int)n, e->job->out, POLLOUT) : 0;
	} while (n < 0 && !error);
	if (n > 0 && direct)
		*e->sink.bytes += (uint64_t)n;
	if (n > 0 && !direct)
		error = flow_drain(&e->flow, &e->stage, &e->sink);
	return error ? error : n;
}

/* Fills the master with whole strings, by write(2): its pages are the kernel's alone. */
static int prepare_tee(struct emit *e)
{
	int error = stage_open(&e->master, STAGE_SIZE);
	size_t whole;

	stage_close(&e->stage);
	if (!error)
		error = stage_open(&e->stage, e->master.size);
	if (!error)
		error = refill(e);
	if (error)
		return error;
	whole = e->left < e->master.size ? e->left : e->master.size;
	whole -= whole % e->job->string_length;
	if (!whole || e->stage.size < e->master.size)
		return -ENOBUFS;
	while (e->master.held < whole) {
		ssize_t n = sys_write(e->master.wr, NULL, e->piece + e->master.held,
				      whole - e->master.held);

		if (n < 0 && n != -EINTR)
			return (int)n;
		e->master.held += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int decide(struct emit *e, enum xp_via via, enum xp_via from, int error, const char *why)
{
	e->via = e->flow.report->via = via;
	return flow_decide(
		&e->flow,
		&(struct xp_decision){ .via = via, .from = from, .error = error, .why = why });
}

static bool native(enum xp_feature_id id)
{
	struct xp_feature answer;

	return !xp_feature(id, &answer) && answer.support == XP_NATIVE;
}

/* The next best way after @from, or the first of all where @from is XP_VIA_AUTO. */
static int take_next(struct emit *e, enum xp_via from, int error, const char *why)
{
	if (from != XP_VIA_TEE && e->job->from == XP_MEMORY_REPEAT && native(XP_FEATURE_TEE)) {
		int prepared = prepare_tee(e);

		if (!prepared)
			return decide(e, XP_VIA_TEE, from, error, why);
	}
	return decide(e, XP_VIA_COPY, from, error, why);
}

static int choose(struct emit *e)
{
	enum xp_via via = e->job->via;
	bool generated = e->job->from == XP_MEMORY_COUNTER || e->job->from == XP_MEMORY_RANDOM;
	int error;

	if (via == XP_VIA_COPY)
		return decide(e, via, XP_VIA_AUTO, 0, "it was asked for");
	if (via == XP_VIA_TEE && e->job->from != XP_MEMORY_REPEAT)
		return decide(e, XP_VIA_COPY, via, EINVAL, "only what repeats can be duplicated");
	if (via == XP_VIA_TEE) {
		error = native(XP_FEATURE_TEE) ? prepare_tee(e) : -ENOSYS;
		return error ? decide(e, XP_VIA_COPY, via, -error, "tee is not to be had here") :
			       decide(e, via, XP_VIA_AUTO, 0, "it was asked for");
	}
	if (via == XP_VIA_AUTO && generated)
		return decide(e, XP_VIA_COPY, via, 0, "making fresh pages costs more than copying");
	if (via == XP_VIA_AUTO && !native(XP_FEATURE_VMSPLICE_SHARES))
		return take_next(e, via, 0, "vmsplice would copy here");
	if (!e->to_pipe) {
		error = stage_open(&e->stage, STAGE_SIZE);
		if (error)
			return decide(e, XP_VIA_COPY, XP_VIA_VMSPLICE, -error,
				      "no pipe can be made");
	}
	return decide(e, XP_VIA_VMSPLICE, XP_VIA_AUTO, 0,
		      via == XP_VIA_AUTO ? "the pipe shares memory that never changes" :
					   "it was asked for");
}

/* One step; 0 where the way in use was refused before its first byte, and the next is to serve. */
static ssize_t step(struct emit *e, size_t len)
{
	enum xp_via via = e->via;
	ssize_t n;
	int error;

	if (via == XP_VIA_COPY)
		return step_copy(e, len);
	n = via == XP_VIA_TEE ? step_tee(e, len) : step_vmsplice(e, len);
	if (n >= 0 || !sys_refused(n) || e->flow.report->bytes || e->stage.held)
		return n;
	error = take_next(e, via, (int)-n, "the kernel refuses it here");
	return error;
}

static void advance(struct emit *e, size_t n)
{
	if (e->via == XP_VIA_TEE)
		return; /* the master stays as it is */
	e->piece += n;
	e->left -= n;
}

static int run(struct emit *e)
{
	uint64_t left = e->job->length;
	int error = choose(e);

	while (left && !error) {
		size_t len = STAGE_SIZE;
		ssize_t n;

		error = e->via == XP_VIA_TEE ? 0 : refill(e);
		if (error || (e->via != XP_VIA_TEE && !e->left))
			return (int)error;
		if (e->via != XP_VIA_TEE)
			len = e->left;
		n = step(e, left < len ? (size_t)left : len);
		if (n < 0)
			return (int)n;
		advance(e, (size_t)n);
		left -= (uint64_t)n;
		error = flow_tick(&e->flow);
	}
	return error;
}

static int check_job(const struct xp_emit *job)
{
	int error;

	if (job->flags & ~(XP_HUGE | XP_GIFT | XP_NO_FALLBACK) ||
	    (unsigned)job->from > XP_MEMORY_RANDOM ||
	    (job->via != XP_VIA_AUTO && job->via != XP_VIA_VMSPLICE && job->via != XP_VIA_TEE &&
	     job->via != XP_VIA_COPY))
		return -EINVAL;
	if (job->from == XP_MEMORY_REPEAT && (!job->string_length || !job->string))
		return -EINVAL;
	error = flow_check(job->out, O_WRONLY);
	if (error || job->from != XP_MEMORY_FILE)
		return error;
	return job->file_offset < 0 ? -EINVAL : flow_check(job->file, O_RDONLY);
}

/* Memory fails on the input's side; what is left is the output's. */
static enum xp_side blame(const struct xp_emit *job, int error)
{
	if (!error || error == -ECANCELED || error == -ENOMEM || error == -EOPNOTSUPP)
		return XP_SIDE_NONE;
	if (error == -EFAULT || error == -ENODEV || error == -EACCES)
		return XP_SIDE_INPUT;
	if (error == -EBADF && job->from == XP_MEMORY_FILE && !flow_check(job->out, O_WRONLY))
		return XP_SIDE_INPUT;
	return XP_SIDE_OUTPUT;
}

int xp_emit(const struct xp_emit *job, struct xp_report *report)
{
	struct emit e = {
		.job = job,
		.flow = { job->progress, job->decided, job->arg, job->flags, report, NULL },
		.sink = { .fd = job->out, .bytes = &report->bytes },
		.to_pipe = sys_is_pipe(job->out),
		.stage = STAGE_CLOSED,
		.master = STAGE_CLOSED,
		.random = job->seed,
	};
	int error = check_job(job);

	*report = (struct xp_report){ .via = job->via };
	if (!error)
		error = run(&e);
	report->in_flight = e.stage.held;
	report->side = blame(job, error);
	report->error = -error;
	unmap(&e);
	stage_close(&e.stage);
	stage_close(&e.master);
	free(e.flow.buffer);
	return (int)ret(error);
}
