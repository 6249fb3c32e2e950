/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fanout.c - one descriptor to many.
 *
 * tee(2) always duplicates from the head of its input, so it can't continue a duplicate that
 * an output had room for only in part. A round is therefore: duplicate some bytes to the first
 * output, as many to each further one, and consume exactly that many, by handing them to the
 * last. An output that took only a part gets the rest through the stage, an empty private pipe
 * with as many slots as the input, in which any such duplicate fits. So do outputs that are
 * no pipes.
 */
#include "extpipe.h"

#include <stdlib.h>

#include "flow.h"
#include "ret.h"
#include "sys.h"

struct branch {
	struct sink sink;
	bool alive;
	bool direct; /* a pipe, which tee(2) can write to */
};

struct fanout {
	const struct xp_fanout *job;
	struct flow flow;
	struct branch *branches;
	struct pollfd *watch; /* the input, then each output */
	struct branch *last;  /* gets the bytes themselves, not a duplicate */
	struct stage stage;
	struct stage feed; /* stands in for an input that is no pipe */
	int pipe;          /* the pipe that is duplicated: the input or the feed */
	bool small_stage;  /* fewer slots than the input: a round takes what fits in it */
	bool copying;      /* no tee(2) here: read once, write to each */
};

/* After a failure: 0 to go on without the output, -errno to stop. */
static int drop(struct fanout *f, struct branch *b, int error)
{
	unsigned number = b->sink.number;

	if (error == -ECANCELED || error == -EOPNOTSUPP)
		return error;
	b->alive = false;
	f->job->outputs[number].error = -error;
	if (f->job->failed && f->job->failed(number, -error, f->job->arg))
		return -ECANCELED;
	return 0;
}

static struct branch *next_alive(const struct fanout *f, struct branch *b)
{
	for (b = b ? b + 1 : f->branches; b < f->branches + f->job->count; b++)
		if (b->alive)
			return b;
	return NULL;
}

/* One that is no pipe, if there is one: it then needs no duplicate through the stage. */
static struct branch *choose_last(const struct fanout *f)
{
	struct branch *last = NULL;

	for (struct branch *b = next_alive(f, NULL); b; b = next_alive(f, b))
		if (!last || last->direct)
			last = b;
	return last;
}

/* The first output that gets a duplicate; NULL where the last is alone. */
static struct branch *choose_first(const struct fanout *f)
{
	struct branch *b = next_alive(f, NULL);

	return b == f->last ? next_alive(f, b) : b;
}

/* Drops the outputs whose readers went away while nothing was written to them. */
static int drop_broken(struct fanout *f)
{
	int error = 0;

	for (struct branch *b = next_alive(f, NULL); b && !error; b = next_alive(f, b))
		if (f->watch[1 + b->sink.number].revents & (POLLERR | POLLHUP | POLLNVAL))
			error = drop(f, b, -EPIPE);
	return error;
}

/*
 * Waits for input, and looks after the outputs meanwhile where that was asked for. Comes back
 * without input if the last of them went.
 */
static int wait_input(struct fanout *f)
{
	bool all = f->job->flags & XP_WATCH_OUTPUTS;
	int error = 0;

	f->watch[0] = (struct pollfd){ .fd = f->job->in, .events = POLLIN };
	while (!error && !f->watch[0].revents && next_alive(f, NULL)) {
		int ready;

		for (unsigned i = 0; i < f->job->count; i++)
			f->watch[1 + i].fd = f->branches[i].alive ? f->branches[i].sink.fd : -1;
		ready = sys_poll(f->watch, all ? 1 + f->job->count : 1, -1);
		if (ready < 0)
			error = ready == -EINTR ? flow_tick(&f->flow) : ready;
		else if (all)
			error = drop_broken(f);
	}
	return error;
}

/* Drains what the stage holds to @b; leftovers of a failure must not reach another output. */
static int drain(struct fanout *f, struct branch *b)
{
	int error = flow_drain(&f->flow, &f->stage, &b->sink);

	if (error)
		error = drop(f, b, error);
	if (!error && f->stage.held)
		error = stage_reset(&f->stage);
	return error;
}

/* Takes @len bytes out of the stage that its output has already. */
static int skip(struct fanout *f, size_t len)
{
	int error = flow_buffer(&f->flow);

	while (len && !error) {
		ssize_t n = stage_read(&f->stage, f->flow.buffer,
				       len < FLOW_BUFFER ? len : FLOW_BUFFER);

		if (n > 0)
			len -= (size_t)n;
		else
			error = n ? (int)n : -EIO;
	}
	return error;
}

/* The rest of @len bytes for @b, which has the first @have of them. */
static int duplicate_rest(struct fanout *f, struct branch *b, size_t have, size_t len)
{
	ssize_t n = stage_tee(&f->stage, f->pipe, len, SPLICE_F_NONBLOCK);
	int error;

	f->flow.report->calls++;
	if (n >= 0 && (size_t)n < len)
		n = -ENOBUFS; /* somebody enlarged the input since the stage was made */
	error = n < 0 ? (int)n : skip(f, have);
	return error ? drop(f, b, error) : drain(f, b);
}

/* Duplicates what pipe @b has room for now: bytes, or -errno. */
static ssize_t offer(struct fanout *f, struct branch *b, size_t len)
{
	ssize_t n;

	do {
		n = sys_tee(f->pipe, b->sink.fd, len, SPLICE_F_NONBLOCK);
		f->flow.report->calls++;
	} while (n == -EINTR);
	if (n > 0)
		*b->sink.bytes += (uint64_t)n;
	return n;
}

/* Gives @b a duplicate of the @len bytes at the head. */
static int duplicate(struct fanout *f, struct branch *b, size_t len)
{
	ssize_t n = b->direct ? offer(f, b, len) : 0;

	if (n == (ssize_t)len)
		return 0;
	if (n < 0 && n != -EAGAIN)
		return drop(f, b, (int)n);
	return duplicate_rest(f, b, n > 0 ? (size_t)n : 0, len);
}

/*
 * Gives @b a first duplicate, whose length the whole round takes over: bytes, 0 at the end of
 * the input, or -errno. A failure that ends the whole job goes to *@fatal.
 */
static ssize_t lead(struct fanout *f, struct branch *b, int *fatal)
{
	ssize_t n;

	if (b->direct && !f->small_stage)
		return offer(f, b, SYS_MAX_LENGTH);
	n = stage_tee(&f->stage, f->pipe, SYS_MAX_LENGTH, SPLICE_F_NONBLOCK);
	f->flow.report->calls++;
	if (n > 0)
		*fatal = drain(f, b);
	return n;
}

/* Hands the last output at most @len bytes from the head of the pipe. Returns as lead() does. */
static ssize_t hand_over(struct fanout *f, size_t len, int *fatal)
{
	struct sink *sink = &f->last->sink;
	ssize_t n;
	int error;

	if (sink->copying) {
		n = flow_read(&f->flow, f->pipe, NULL, len);
		error = n > 0 ? flow_write(&f->flow, sink, f->flow.buffer, (size_t)n) : 0;
		if (error)
			*fatal = drop(f, f->last, error);
		return n;
	}
	n = sys_splice(f->pipe, NULL, sink->fd, NULL, len, SPLICE_F_NONBLOCK);
	f->flow.report->calls++;
	if (n > 0)
		*sink->bytes += (uint64_t)n;
	return n;
}

/* The others have these bytes, and the last output is gone. */
static int discard(struct fanout *f, size_t len)
{
	while (len) {
		ssize_t n = flow_read(&f->flow, f->pipe, NULL, len);

		if (n <= 0)
			return n ? (int)n : -EIO;
		len -= (size_t)n;
	}
	return 0;
}

/* Takes the @len bytes that all others have out of the pipe, for the last output. */
static int consume(struct fanout *f, size_t len)
{
	int error = 0;

	while (len && f->last->alive && !error) {
		ssize_t n = hand_over(f, len, &error);

		if (n > 0) {
			len -= (size_t)n;
			continue;
		}
		/* The bytes are there, so whatever blocks or fails is the output. */
		error = flow_retry(&f->flow, n ? (int)n : -EIO, f->last->sink.fd, POLLOUT);
		if (error)
			error = drop(f, f->last, error);
	}
	return error ? error : discard(f, len);
}

static int decide_copying(struct fanout *f, enum xp_via from, int error, const char *why)
{
	f->copying = true;
	f->flow.report->via = XP_VIA_COPY;
	for (unsigned i = 0; i < f->job->count; i++)
		f->job->outputs[i].via = XP_VIA_COPY;
	return flow_decide(&f->flow,
			   &(struct xp_decision){
				   .via = XP_VIA_COPY, .from = from, .error = error, .why = why });
}

/* The round's first call gave @error: waits for what blocks it, or gives something up. */
static int unblock(struct fanout *f, struct branch *b, int error)
{
	if (error == -EINTR)
		return flow_tick(&f->flow);
	if (error == -EAGAIN) {
		error = f->feed.rd < 0 ? wait_input(f) : 0;
		if (error || !b->alive)
			return error;
		error = flow_wait(&f->flow, b->sink.fd, POLLOUT);
	} else if (sys_refused(error) && !f->flow.report->bytes) {
		return decide_copying(f, XP_VIA_TEE, -error, "the kernel refuses tee here");
	}
	return error ? drop(f, b, error) : 0;
}

/* One round; *@n is what its first call gave, and if positive what every output has got. */
static int play_round(struct fanout *f, struct branch *first, ssize_t *n)
{
	int fatal = 0;

	*n = first ? lead(f, first, &fatal) : hand_over(f, SYS_MAX_LENGTH, &fatal);
	if (*n <= 0 || !first)
		return fatal;
	for (struct branch *b = next_alive(f, first); b && !fatal; b = next_alive(f, b))
		if (b != f->last)
			fatal = duplicate(f, b, (size_t)*n);
	return fatal ? fatal : consume(f, (size_t)*n);
}

/* Fills the feed from an input that is no pipe: bytes, 0 at its end, or -errno. */
static ssize_t fill_feed(struct fanout *f)
{
	int error = f->job->flags & XP_WATCH_OUTPUTS ? wait_input(f) : 0;
	ssize_t n;

	if (error || !next_alive(f, NULL))
		return error ? error : -EAGAIN;
	n = stage_fill(&f->feed, f->job->in, NULL, SYS_MAX_LENGTH, 0);
	f->flow.report->calls++;
	return n;
}

/*
 * The feed could not be filled. At the end of the input the copy has the last word, since
 * only read(2) knows; a terminal would want a second end of file for that.
 */
static int feed_failed(struct fanout *f, ssize_t n, bool *end)
{
	if (!n) {
		*end = isatty(f->job->in);
		f->copying = !*end;
		return 0;
	}
	if (sys_refused(n) && !f->flow.report->bytes)
		return decide_copying(f, XP_VIA_TEE, (int)-n, "the input refuses splice");
	if (n == -EAGAIN)
		return wait_input(f);
	return flow_retry(&f->flow, (int)n, f->job->in, POLLIN);
}

static int account(struct fanout *f, size_t n)
{
	if (f->feed.rd >= 0)
		f->feed.held -= n;
	f->flow.report->bytes += n;
	return flow_tick(&f->flow);
}

static int run_tee(struct fanout *f)
{
	bool end = false;
	int error = 0;

	while (!error && !end && !f->copying && (f->last = choose_last(f))) {
		struct branch *first = choose_first(f);
		ssize_t n;

		if (f->feed.rd >= 0 && !f->feed.held) {
			n = fill_feed(f);
			if (n <= 0)
				error = feed_failed(f, n, &end);
			continue;
		}
		error = play_round(f, first, &n);
		if (error)
			break;
		if (n > 0)
			error = account(f, (size_t)n);
		else if (n < 0)
			error = unblock(f, first ? first : f->last, (int)n);
		else
			end = true;
	}
	return error;
}

/* Reads once, from the feed what it may still hold, and writes to each. */
static int copy_round(struct fanout *f, ssize_t *n)
{
	bool fed = f->feed.held;
	int error = !fed && f->job->flags & XP_WATCH_OUTPUTS ? wait_input(f) : 0;

	*n = 0;
	if (error || !next_alive(f, NULL))
		return error;
	*n = flow_read(&f->flow, fed ? f->pipe : f->job->in, NULL,
		       fed ? f->feed.held : FLOW_BUFFER);
	if (*n < 0)
		return (int)*n;
	if (fed)
		f->feed.held -= (size_t)*n;
	for (struct branch *b = next_alive(f, NULL); b && !error; b = next_alive(f, b)) {
		error = flow_write(&f->flow, &b->sink, f->flow.buffer, (size_t)*n);
		if (error)
			error = drop(f, b, error);
	}
	return error;
}

static int run_copy(struct fanout *f)
{
	ssize_t n = 1;
	int error = 0;

	while (n && !error && next_alive(f, NULL)) {
		error = copy_round(f, &n);
		if (error)
			break;
		f->flow.report->bytes += (uint64_t)n;
		error = flow_tick(&f->flow);
	}
	return error;
}

/* One duplicate of all that is queued to each, and nothing consumed. */
static int run_peek(struct fanout *f)
{
	int error, queued = 0;
	bool whole = true;

	error = sys_ioctl(f->pipe, FIONREAD, &queued);
	for (struct branch *b = next_alive(f, NULL); b && queued && !error; b = next_alive(f, b)) {
		ssize_t n = stage_tee(&f->stage, f->pipe, (size_t)queued, SPLICE_F_NONBLOCK);

		f->flow.report->calls++;
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		whole = whole && n == queued;
		f->flow.report->bytes = (uint64_t)n;
		error = drain(f, b);
	}
	return error ? error : whole ? 0 : -ENOBUFS;
}

/* What serves each output; those that refuse splices get copies from the stage. */
static int choose_outputs(struct fanout *f)
{
	int error = 0;

	for (struct branch *b = next_alive(f, NULL); b && !error; b = next_alive(f, b)) {
		struct xp_output *output = &f->job->outputs[b->sink.number];
		int refused = stage_accepted(&f->stage, b->sink.fd, NULL);

		b->sink.copying = refused;
		output->via = refused ? XP_VIA_COPY : b->direct ? XP_VIA_TEE : XP_VIA_SPLICE;
		error = flow_decide(
			&f->flow,
			&(struct xp_decision){ .via = output->via,
					       .from = refused ? XP_VIA_SPLICE : XP_VIA_AUTO,
					       .error = -refused,
					       .output = b->sink.number,
					       .why = refused   ? "the output refuses splice" :
						      b->direct ? "the output is a pipe" :
								  "through a private pipe" });
	}
	return error;
}

/* Makes the stage, and the feed where the input is no pipe. 0, or why tee(2) can't be used. */
static int prepare_stage(struct fanout *f)
{
	int held = sys_fcntl(f->job->in, F_GETPIPE_SZ, 0);
	size_t size = f->job->pipe_size;
	int error;

	f->pipe = f->job->in;
	if (held < 0) {
		error = stage_open(&f->feed, size ? size : STAGE_SIZE);
		if (error)
			return error;
		f->pipe = f->feed.rd;
		held = (int)f->feed.size;
	}
	error = stage_open(&f->stage, size > (size_t)held ? size : (size_t)held);
	f->small_stage = f->stage.size < (size_t)held;
	return error;
}

static int choose(struct fanout *f)
{
	struct xp_feature tee;
	int error;

	f->flow.report->via = XP_VIA_TEE;
	if (f->job->via == XP_VIA_COPY)
		return decide_copying(f, XP_VIA_AUTO, 0, "it was asked for");
	if (xp_feature(XP_FEATURE_TEE, &tee))
		return decide_copying(f, XP_VIA_TEE, errno, "no pipe can be made");
	if (tee.support != XP_NATIVE)
		return decide_copying(f, XP_VIA_TEE, tee.error, tee.why);
	error = prepare_stage(f);
	if (error)
		return decide_copying(f, XP_VIA_TEE, -error, "no pipe can be made");
	return choose_outputs(f);
}

static int run(struct fanout *f)
{
	int error = choose(f);

	if (error)
		return error;
	if (f->job->flags & XP_PEEK)
		return f->copying ? -EOPNOTSUPP : run_peek(f);
	error = run_tee(f);
	return !error && f->copying ? run_copy(f) : error;
}

static int check_job(struct fanout *f)
{
	const struct xp_fanout *job = f->job;
	int error = flow_check(job->in, O_RDONLY);

	if (job->flags & ~(XP_NO_FALLBACK | XP_PEEK | XP_WATCH_OUTPUTS) ||
	    (job->via != XP_VIA_AUTO && job->via != XP_VIA_TEE && job->via != XP_VIA_COPY))
		return -EINVAL;
	if (!error && job->flags & XP_PEEK && !sys_is_pipe(job->in))
		error = -EINVAL;
	for (unsigned i = 0; i < job->count && !error; i++) {
		struct xp_output *output = &job->outputs[i];
		struct branch *b = &f->branches[i];

		*b = (struct branch){
			.sink = { .fd = output->fd, .number = i, .bytes = &output->bytes },
			.alive = true,
			.direct = sys_is_pipe(output->fd),
		};
		if (flow_check(output->fd, O_WRONLY))
			error = drop(f, b, -EBADF);
	}
	return error;
}

int xp_fanout(const struct xp_fanout *job, struct xp_report *report)
{
	struct fanout f = {
		.job = job,
		.flow = { job->progress, job->decided, job->arg, job->flags, report, NULL },
		.branches = calloc(job->count, sizeof(struct branch)),
		.watch = calloc(1 + (size_t)job->count, sizeof(struct pollfd)),
		.stage = STAGE_CLOSED,
		.feed = STAGE_CLOSED,
	};
	int error = f.watch && (f.branches || !job->count) ? 0 : -ENOMEM;

	*report = (struct xp_report){ .via = job->via };
	if (!error)
		error = check_job(&f);
	if (!error)
		error = run(&f);
	report->in_flight = f.feed.held;
	stage_close(&f.feed);
	stage_close(&f.stage);
	free(f.flow.buffer);
	free(f.watch);
	free(f.branches);
	report->error = -error;
	report->side = error && error != -ECANCELED ? XP_SIDE_INPUT : XP_SIDE_NONE;
	return (int)ret(error);
}
