/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xsplice - moves bytes from one endpoint to another. */
#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "endpoint.h"
#include "meter.h"
#include "sandbox.h"
#include "signals.h"

enum {
	KEY_IN_OFFSET = CLI_KEY_TOOL,
	KEY_OUT_OFFSET,
	KEY_APPEND,
	KEY_NO_TRUNCATE,
	KEY_CHUNK,
	KEY_PIPE_SIZE,
	KEY_VIA,
	KEY_STABLE,
	KEY_MORE,
	KEY_MOVE,
	KEY_NONBLOCK,
	KEY_ONCE,
	KEY_RATE,
	KEY_SYNC,
};

#define NO_OFFSET (-1)

struct xsplice {
	struct cli_common common;
	const char *source, *dest;
	uint64_t length;
	loff_t in_offset, out_offset; /* NO_OFFSET where none was given */
	bool append, no_truncate, once, sync;
	size_t chunk, pipe_size;
	uint64_t rate; /* bytes a second, 0 for no limit */
	enum xp_via via;
	unsigned flags; /* XP_* */
	struct endpoint in, out;
	struct meter meter;
};

static const struct argp_option options[] = {
	{ "length", 'n', "SIZE", 0, "Move SIZE bytes at most", 0 },
	{ "in-offset", KEY_IN_OFFSET, "SIZE", 0, "Read from this offset", 0 },
	{ "out-offset", KEY_OUT_OFFSET, "SIZE", 0, "Write at this offset; DEST is not truncated",
	  0 },
	{ "append", KEY_APPEND, NULL, 0, "Append to DEST", 0 },
	{ "no-truncate", KEY_NO_TRUNCATE, NULL, 0, "Overwrite DEST without truncating it", 0 },
	{ "chunk", KEY_CHUNK, "SIZE", 0, "Move SIZE bytes a step at most", 0 },
	{ "pipe-size", KEY_PIPE_SIZE, "SIZE", 0, "Give the pipes in use this capacity", 0 },
	{ "via", KEY_VIA, "auto|splice|sendfile|copy_file_range|copy", 0,
	  "Try this way first; copying is the fallback", 0 },
	{ "stable", KEY_STABLE, NULL, 0, "Let no later write to SOURCE change what arrives", 0 },
	{ "more", KEY_MORE, NULL, 0, "Tell the kernel that more follows (SPLICE_F_MORE)", 0 },
	{ "move", KEY_MOVE, NULL, 0, "Ask to move pages (SPLICE_F_MOVE)", 0 },
	{ "nonblock", KEY_NONBLOCK, NULL, 0, "Exit with status 4 rather than wait", 0 },
	{ "once", KEY_ONCE, NULL, 0, "Make exactly one system call and tell its result", 0 },
	{ "rate", KEY_RATE, "SIZE", 0, "Move SIZE bytes a second at most", 0 },
	{ "sync", KEY_SYNC, NULL, 0, "Write DEST to its disk before the end (fsync)", 0 },
	{ 0 },
};

/* Words of --via and what they mean, in one order. */
static const char *const via_words[] = { "auto", "splice", "sendfile", "copy_file_range",
					 "copy", NULL };
static const enum xp_via via_values[] = { XP_VIA_AUTO, XP_VIA_SPLICE, XP_VIA_SENDFILE,
					  XP_VIA_COPY_FILE_RANGE, XP_VIA_COPY };

static error_t parse_operand(struct xsplice *x, char *arg, struct argp_state *state)
{
	if (state->arg_num > 1)
		argp_error(state, "extra operand '%s'", arg);
	else if (state->arg_num)
		x->dest = arg;
	else
		x->source = arg;
	return 0;
}

static error_t check_options(struct xsplice *x, struct argp_state *state)
{
	if (x->append && x->out_offset != NO_OFFSET)
		argp_error(state, "--append and --out-offset exclude each other");
	if (x->once && x->via == XP_VIA_COPY)
		argp_error(state, "--once: a copy takes two calls");
	if (x->once && x->via == XP_VIA_SENDFILE && x->out_offset != NO_OFFSET)
		argp_error(state, "--once: sendfile takes no --out-offset");
	return 0;
}

static error_t parse_flag(struct xsplice *x, int key)
{
	switch (key) {
	case KEY_APPEND:
		x->append = true;
		return 0;
	case KEY_NO_TRUNCATE:
		x->no_truncate = true;
		return 0;
	case KEY_STABLE:
		x->flags |= XP_STABLE;
		return 0;
	case KEY_MORE:
		x->flags |= XP_MORE;
		return 0;
	case KEY_MOVE:
		x->flags |= XP_MOVE;
		return 0;
	case KEY_NONBLOCK:
		x->flags |= XP_NONBLOCK;
		return 0;
	case KEY_ONCE:
		x->once = true;
		return 0;
	case KEY_SYNC:
		x->sync = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct xsplice *x = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &x->common;
		return 0;
	case ARGP_KEY_ARG:
		return parse_operand(x, arg, state);
	case ARGP_KEY_END:
		return check_options(x, state);
	case 'n':
		x->length = cli_size_option(state, "--length", arg);
		return 0;
	case KEY_IN_OFFSET:
		x->in_offset = (loff_t)cli_size_option(state, "--in-offset", arg);
		return 0;
	case KEY_OUT_OFFSET:
		x->out_offset = (loff_t)cli_size_option(state, "--out-offset", arg);
		return 0;
	case KEY_CHUNK:
		x->chunk = cli_positive_option(state, "--chunk", arg);
		return 0;
	case KEY_PIPE_SIZE:
		x->pipe_size = cli_positive_option(state, "--pipe-size", arg);
		return 0;
	case KEY_RATE:
		x->rate = cli_positive_option(state, "--rate", arg);
		return 0;
	case KEY_VIA:
		x->via = via_values[cli_word_option(state, "--via", arg, via_words)];
		return 0;
	default:
		return parse_flag(x, key);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[SOURCE [DEST]]",
	.doc = "Move bytes from SOURCE to DEST inside the kernel wherever that is possible.\v"
	       "SOURCE and DEST are -, a path, fd:N, tcp:HOST:PORT, tcp-listen:[HOST:]PORT, "
	       "unix:PATH or unix-listen:PATH; standard input and standard output if left out. "
	       "SIZE takes K M G T P (1024) or KB MB GB TB PB (1000).",
	.children = cli_common_children,
};

/* Do the bytes that are read overlap with those that are written? */
static bool overlaps(const struct xsplice *x)
{
	uint64_t from = (uint64_t)x->in_offset, to = (uint64_t)x->out_offset;

	if (x->in_offset == NO_OFFSET || x->out_offset == NO_OFFSET || x->length == XP_TO_END)
		return true;
	return from < to ? to - from < x->length : from - to < x->length;
}

/* cat refuses what would feed itself, unless the input is at its end. */
static bool feeds_itself(const struct xsplice *x)
{
	loff_t at = x->in_offset == NO_OFFSET ? lseek(x->in.fd, 0, SEEK_CUR) : x->in_offset;
	struct stat st;

	if (!endpoint_same(&x->in, &x->out) || !overlaps(x))
		return false;
	return fstat(x->in.fd, &st) || !S_ISREG(st.st_mode) || at < st.st_size || x->out.path;
}

static int check_seekable(struct endpoint *end, loff_t offset)
{
	if (offset == NO_OFFSET || lseek(end->fd, 0, SEEK_CUR) >= 0)
		return CLI_OK;
	return endpoint_failed(end, errno);
}

static int open_source(struct xsplice *x)
{
	int status = endpoint_open(&x->in, x->source, false);
	struct stat st;

	if (status)
		return status;
	if (!fstat(x->in.fd, &st) && S_ISDIR(st.st_mode))
		return endpoint_failed(&x->in, EISDIR);
	return check_seekable(&x->in, x->in_offset);
}

/* Nothing is truncated before everything that can be known to be wrong has been looked at. */
static int open_dest(struct xsplice *x)
{
	int status = endpoint_open(&x->out, x->dest, x->append);

	if (!status)
		status = check_seekable(&x->out, x->out_offset);
	if (status)
		return status;
	if (feeds_itself(x)) {
		cli_complain("writing", x->out.name, "input file is output file");
		return CLI_FAILED;
	}
	if (x->append || x->no_truncate || x->out_offset != NO_OFFSET)
		return CLI_OK;
	return endpoint_truncate(&x->out);
}

/* The bytes to come, as far as they are known: for the meter, never for the end. */
static uint64_t expected(const struct xsplice *x)
{
	loff_t at = x->in_offset == NO_OFFSET ? lseek(x->in.fd, 0, SEEK_CUR) : x->in_offset;
	struct stat st;
	uint64_t size;

	if (fstat(x->in.fd, &st) || !S_ISREG(st.st_mode) || at < 0 || at >= st.st_size)
		return x->length == XP_TO_END ? 0 : x->length;
	size = (uint64_t)(st.st_size - at);
	return size < x->length ? size : x->length;
}

/* Sleeps until @bytes are allowed to have moved; a signal ends the sleep early. */
static void keep_rate(const struct xsplice *x, uint64_t bytes)
{
	double ahead = (double)bytes / (double)x->rate - meter_seconds(&x->meter);
	struct timespec pause = { (time_t)ahead, (long)((ahead - (double)(time_t)ahead) * 1e9) };

	if (ahead > 0)
		nanosleep(&pause, NULL);
}

static int on_progress(const struct xp_report *report, void *arg)
{
	struct xsplice *x = arg;
	int stop = meter_tick(&x->meter, report);

	while (x->rate && !stop &&
	       (double)report->bytes / (double)x->rate > meter_seconds(&x->meter)) {
		keep_rate(x, report->bytes);
		stop = meter_tick(&x->meter, report);
	}
	return stop;
}

static void on_decision(const struct xp_decision *decision, void *arg)
{
	struct xsplice *x = arg;

	meter_decided(&x->meter, decision, NULL);
}

static int would_block(const struct endpoint *end)
{
	endpoint_failed(end, EAGAIN);
	return CLI_WOULD_BLOCK;
}

/* The line and the status for a failed transfer. */
static int explain_failure(struct xsplice *x, const struct xp_report *report)
{
	const struct endpoint *end = report->side == XP_SIDE_INPUT ? &x->in : &x->out;

	meter_clear(&x->meter);
	switch (report->error) {
	case ECANCELED:
		return CLI_FAILED; /* by a signal, which main() passes on */
	case EOPNOTSUPP:
		if (!(x->flags & XP_NO_FALLBACK) || !x->meter.fallback[0])
			break;
		cli_complain("writing", x->out.name, x->meter.fallback);
		return CLI_UNSUPPORTED;
	case EAGAIN:
		return would_block(end);
	}
	if (report->side != XP_SIDE_NONE)
		return endpoint_failed(end, report->error);
	cli_say("%s", strerror(report->error));
	return CLI_FAILED;
}

/* A rate is kept by small steps, a tenth of a second each. */
static size_t chunk_size(const struct xsplice *x)
{
	uint64_t step = x->rate / 10 ? x->rate / 10 : 1;

	if (x->rate && (!x->chunk || step < x->chunk))
		return (size_t)step;
	return x->chunk;
}

static int transfer(struct xsplice *x)
{
	struct xp_transfer job = {
		.in = x->in.fd,
		.out = x->out.fd,
		.in_offset = x->in_offset == NO_OFFSET ? NULL : &x->in_offset,
		.out_offset = x->out_offset == NO_OFFSET ? NULL : &x->out_offset,
		.length = x->length,
		.chunk = chunk_size(x),
		.pipe_size = x->pipe_size,
		.via = x->via,
		.flags = x->flags | (x->common.no_fallback ? XP_NO_FALLBACK : 0),
		.progress = on_progress,
		.decided = on_decision,
		.arg = x,
	};
	struct xp_report report;
	int status = CLI_OK;

	x->flags = job.flags;
	meter_start(&x->meter, &x->common, expected(x));
	if (xp_transfer(&job, &report))
		status = explain_failure(x, &report);
	if (!status && x->sync && fsync(x->out.fd) && errno != EINVAL)
		status = endpoint_failed(&x->out, errno);
	meter_stats(&x->meter, &report, NULL, NULL);
	return status;
}

/* The library would make further calls where one is refused, so this asks libc. */
static ssize_t one_call(struct xsplice *x, size_t length)
{
	loff_t *in = x->in_offset == NO_OFFSET ? NULL : &x->in_offset;
	loff_t *out = x->out_offset == NO_OFFSET ? NULL : &x->out_offset;
	unsigned flags = 0;

	if (x->via == XP_VIA_SENDFILE)
		return sendfile(x->out.fd, x->in.fd, in, length);
	if (x->via == XP_VIA_COPY_FILE_RANGE)
		return copy_file_range(x->in.fd, in, x->out.fd, out, length, 0);
	flags |= x->flags & XP_MORE ? SPLICE_F_MORE : 0;
	flags |= x->flags & XP_MOVE ? SPLICE_F_MOVE : 0;
	flags |= x->flags & XP_NONBLOCK ? SPLICE_F_NONBLOCK : 0;
	return splice(x->in.fd, in, x->out.fd, out, length, flags);
}

static int once(struct xsplice *x)
{
	struct pollfd input = { .fd = x->in.fd, .events = POLLIN };
	struct xp_report report = { .calls = 1, .via = x->via ?: XP_VIA_SPLICE };
	size_t chunk = x->chunk ? x->chunk : 0x7ffff000;
	ssize_t n;

	meter_start(&x->meter, &x->common, expected(x));
	n = one_call(x, x->length < chunk ? (size_t)x->length : chunk);

	if (n >= 0) {
		fprintf(stderr, "%zd bytes\n", n);
		report.bytes = (uint64_t)n;
		meter_stats(&x->meter, &report, NULL, NULL);
		return CLI_OK;
	}
	if (errno == EAGAIN)
		return would_block(poll(&input, 1, 0) ? &x->out : &x->in);
	cli_error("moving to", x->out.name, errno);
	return errno == ENOSYS || errno == EINVAL || errno == EPERM || errno == EOPNOTSUPP ?
		       CLI_UNSUPPORTED :
		       CLI_FAILED;
}

static int run(struct xsplice *x)
{
	int closed, status = open_source(x);

	if (!status)
		status = open_dest(x);
	if (status)
		goto out;
	endpoint_size_pipe(&x->in, x->pipe_size, x->common.explain);
	endpoint_size_pipe(&x->out, x->pipe_size, x->common.explain);
	status = sandbox_enter(&x->common);
	if (!status)
		status = x->once ? once(x) : transfer(x);
out:
	closed = endpoint_close(&x->out);
	return status ? status : closed;
}

int main(int argc, char **argv)
{
	struct xsplice x = {
		.source = "-",
		.dest = "-",
		.length = XP_TO_END,
		.in_offset = NO_OFFSET,
		.out_offset = NO_OFFSET,
		.in = { .side = ENDPOINT_READ, .fd = -1 },
		.out = { .side = ENDPOINT_WRITE, .fd = -1 },
	};
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	signals_catch(false);
	status = run(&x);
	return signals_end(status);
}
