/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xvmsplice - user memory to a pipe, and back. */
#include <errno.h>
#include <extpipe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "endpoint.h"
#include "meter.h"
#include "sandbox.h"
#include "signals.h"

enum { KEY_REPEAT = CLI_KEY_TOOL, KEY_PATTERN, KEY_HUGE, KEY_GIFT, KEY_VIA, KEY_READ };

enum what { WHAT_FILES, WHAT_REPEAT, WHAT_PATTERN, WHAT_READ };

struct xvmsplice {
	struct cli_common common;
	enum what what;
	unsigned kinds; /* how many of --repeat, --pattern, --read and FILEs were given */
	char **files;
	unsigned file_count;
	const char *dest;   /* of --read */
	struct xp_emit job; /* what is emitted, the descriptors apart */
	enum xp_via via;
	struct endpoint *in; /* one a FILE, or the pipe of --read */
	struct endpoint out;
	struct meter meter;
	struct xp_report total;
};

static const struct argp_option options[] = {
	{ "repeat", KEY_REPEAT, "STRING", 0, "Write STRING and a newline again and again", 0 },
	{ "pattern", KEY_PATTERN, "zero|counter|random[:SEED]", 0,
	  "Write zeros, 64-bit numbers that count up, or pseudo-random bytes", 0 },
	{ "length", 'n', "SIZE", 0, "Write SIZE bytes at most", 0 },
	{ "huge", KEY_HUGE, NULL, 0, "Take memory from huge pages where possible", 0 },
	{ "gift", KEY_GIFT, NULL, 0, "Give the pages away (SPLICE_F_GIFT)", 0 },
	{ "via", KEY_VIA, "auto|vmsplice|tee|write", 0,
	  "Try this way first; writing is the fallback", 0 },
	{ "read", KEY_READ, NULL, 0,
	  "The other direction: from the pipe on standard input into memory, then to DEST", 0 },
	{ 0 },
};

static error_t choose(struct xvmsplice *x, enum what what, struct argp_state *state)
{
	x->what = what;
	if (++x->kinds > 1)
		argp_error(state, "FILE, --repeat, --pattern and --read exclude each other");
	return 0;
}

static error_t parse_repeat(struct xvmsplice *x, const char *text, struct argp_state *state)
{
	char *line;
	int length = asprintf(&line, "%s\n", text);

	if (length < 0)
		argp_failure(state, CLI_FAILED, ENOMEM, "--repeat");
	x->job.from = XP_MEMORY_REPEAT;
	x->job.string = line;
	x->job.string_length = (size_t)length;
	return choose(x, WHAT_REPEAT, state);
}

/* Any 64-bit number, in decimal. */
static uint64_t parse_seed(const char *text, struct argp_state *state)
{
	unsigned long long seed;

	errno = 0;
	seed = strtoull(text, NULL, 10);
	if (!*text || strspn(text, "0123456789") != strlen(text) || errno)
		argp_error(state, "--pattern: '%s' is no seed", text);
	return seed;
}

static error_t parse_pattern(struct xvmsplice *x, const char *text, struct argp_state *state)
{
	static const char zeros[4096];

	if (!strcmp(text, "zero")) {
		x->job.from = XP_MEMORY_REPEAT;
		x->job.string = zeros;
		x->job.string_length = sizeof(zeros);
	} else if (!strcmp(text, "counter")) {
		x->job.from = XP_MEMORY_COUNTER;
	} else if (!strcmp(text, "random")) {
		x->job.from = XP_MEMORY_RANDOM;
		if (getrandom(&x->job.seed, sizeof(x->job.seed), 0) != sizeof(x->job.seed))
			argp_failure(state, CLI_FAILED, errno, "--pattern");
	} else if (!strncmp(text, "random:", 7)) {
		x->job.from = XP_MEMORY_RANDOM;
		x->job.seed = parse_seed(text + 7, state);
	} else {
		argp_error(state, "--pattern: '%s' is none of zero, counter, random[:SEED]", text);
	}
	return choose(x, WHAT_PATTERN, state);
}

static error_t parse_operands(struct xvmsplice *x, struct argp_state *state)
{
	x->files = state->argv + state->next;
	x->file_count = (unsigned)(state->argc - state->next);
	return 0;
}

static error_t check_operands(struct xvmsplice *x, struct argp_state *state)
{
	if (x->what == WHAT_READ) {
		if (x->file_count > 1)
			argp_error(state, "--read takes one DEST");
		x->dest = x->file_count ? x->files[0] : "-";
	} else if (x->file_count) {
		choose(x, WHAT_FILES, state);
	} else if (!x->kinds) {
		argp_error(state, "nothing to write: give FILE, --repeat, --pattern or --read");
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const words[] = { "auto", "vmsplice", "tee", "write", NULL };
	static const enum xp_via vias[] = { XP_VIA_AUTO, XP_VIA_VMSPLICE, XP_VIA_TEE, XP_VIA_COPY };
	struct xvmsplice *x = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &x->common;
		return 0;
	case ARGP_KEY_ARGS:
		return parse_operands(x, state);
	case ARGP_KEY_END:
		return check_operands(x, state);
	case KEY_REPEAT:
		return parse_repeat(x, arg, state);
	case KEY_PATTERN:
		return parse_pattern(x, arg, state);
	case 'n':
		x->job.length = cli_size_option(state, "--length", arg);
		return 0;
	case KEY_HUGE:
		x->job.flags |= XP_HUGE;
		return 0;
	case KEY_GIFT:
		x->job.flags |= XP_GIFT;
		return 0;
	case KEY_VIA:
		x->via = vias[cli_word_option(state, "--via", arg, words)];
		return 0;
	case KEY_READ:
		return choose(x, WHAT_READ, state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FILE...]\n--read [DEST]",
	.doc = "Put memory into the pipe on standard output without copying it.\v"
	       "Each FILE is mapped privately. SIZE takes K M G T P (1024) or KB MB GB TB PB "
	       "(1000).",
	.children = cli_common_children,
};

/* The account of the whole run, of which @part is one piece of work. */
static struct xp_report so_far(const struct xvmsplice *x, const struct xp_report *part)
{
	struct xp_report all = *part;

	all.bytes += x->total.bytes;
	all.calls += x->total.calls;
	all.in_flight += x->total.in_flight;
	if (!part->bytes && x->total.bytes)
		all.via = x->total.via; /* a look for more at the end of a file is no change of ways
					 */
	return all;
}

static int on_progress(const struct xp_report *report, void *arg)
{
	struct xvmsplice *x = arg;
	struct xp_report all = so_far(x, report);

	return meter_tick(&x->meter, &all);
}

static void on_decision(const struct xp_decision *decision, void *arg)
{
	struct xvmsplice *x = arg;

	meter_decided(&x->meter, decision, NULL);
}

static int explain_failure(struct xvmsplice *x, const struct endpoint *in,
			   const struct xp_report *report)
{
	const struct endpoint *end = report->side == XP_SIDE_INPUT && in ? in : &x->out;

	meter_clear(&x->meter);
	if (report->error == ECANCELED)
		return CLI_FAILED; /* by a signal, which main() passes on */
	if (report->error == EOPNOTSUPP && x->common.no_fallback && x->meter.fallback[0]) {
		cli_complain("writing", x->out.name, x->meter.fallback);
		return CLI_UNSUPPORTED;
	}
	return endpoint_failed(end, report->error);
}

static unsigned library_flags(const struct xvmsplice *x)
{
	return x->job.flags | (x->common.no_fallback ? XP_NO_FALLBACK : 0);
}

/* Memory to the output; -1 where the file can't be mapped. */
static int emit(struct xvmsplice *x, const struct endpoint *in)
{
	struct xp_emit job = x->job;
	struct xp_report report;
	int result;

	job.out = x->out.fd;
	job.via = x->via;
	job.flags = library_flags(x);
	job.progress = on_progress;
	job.decided = on_decision;
	job.arg = x;
	result = xp_emit(&job, &report);
	x->total = so_far(x, &report);
	if (!result)
		return CLI_OK;
	if (in && !report.bytes && (report.error == ENODEV || report.error == EACCES))
		return -1;
	return explain_failure(x, in, &report);
}

/* What can't be mapped, or lies beyond the size that a file says it has. */
static int transfer(struct xvmsplice *x, const struct endpoint *in, loff_t *offset, uint64_t length,
		    enum xp_via via)
{
	struct xp_transfer job = {
		.in = in->fd,
		.out = x->out.fd,
		.in_offset = offset,
		.length = length,
		.via = via,
		.flags = x->common.no_fallback ? XP_NO_FALLBACK : 0,
		.progress = on_progress,
		/* A copy has been told of already, or only looks for more at the end of a file. */
		.decided = via == XP_VIA_COPY ? NULL : on_decision,
		.arg = x,
	};
	struct xp_report report;
	int result = xp_transfer(&job, &report);

	x->total = so_far(x, &report);
	return result ? explain_failure(x, in, &report) : CLI_OK;
}

static bool can_be_mapped(const struct endpoint *in)
{
	struct stat st;

	return !fstat(in->fd, &st) && S_ISREG(st.st_mode) && st.st_size;
}

/* A descriptor that was there before is read from where it stands. */
static loff_t start_of(const struct endpoint *in)
{
	loff_t at = in->adopted ? lseek(in->fd, 0, SEEK_CUR) : 0;

	return at < 0 ? 0 : at;
}

static int emit_file(struct xvmsplice *x, const struct endpoint *in, uint64_t length)
{
	uint64_t before = x->total.bytes;
	loff_t at = start_of(in);
	int status = -1;

	if (can_be_mapped(in)) {
		x->job.from = XP_MEMORY_FILE;
		x->job.file = in->fd;
		x->job.file_offset = at;
		x->job.length = length;
		status = emit(x, in);
	}
	if (status > 0)
		return status;
	if (status < 0 && x->common.no_fallback) {
		cli_complain("reading", in->name, "it can't be mapped");
		return CLI_UNSUPPORTED;
	}
	if (status < 0 && x->common.explain)
		cli_say("%s: copy instead of vmsplice: it can't be mapped", in->name);
	/* The size that a file has is not where it ends: read(2) has the last word. */
	at += (loff_t)(x->total.bytes - before);
	length -= length == XP_TO_END ? 0 : x->total.bytes - before;
	if (lseek(in->fd, 0, SEEK_CUR) < 0)
		return transfer(x, in, NULL, length, XP_VIA_COPY);
	status = transfer(x, in, &at, length, XP_VIA_COPY);
	/* Who shares the description reads on where this ended. */
	if (lseek(in->fd, at, SEEK_SET) < 0 && !status)
		status = endpoint_failed(in, errno);
	return status;
}

static int emit_files(struct xvmsplice *x)
{
	uint64_t length = x->job.length;
	int status = CLI_OK;

	for (unsigned i = 0; i < x->file_count && !status; i++)
		status = emit_file(x, &x->in[i],
				   length == XP_TO_END ? XP_TO_END : length - x->total.bytes);
	return status;
}

static int open_input(struct endpoint *in, const char *text)
{
	struct stat st;
	int status;

	in->side = ENDPOINT_READ;
	in->fd = -1;
	status = endpoint_open(in, text, false);
	if (!status && !fstat(in->fd, &st) && S_ISDIR(st.st_mode))
		status = endpoint_failed(in, EISDIR);
	return status;
}

static int check_pipe(const struct endpoint *in)
{
	struct xp_pipe_info info;

	if (!xp_pipe_info(in->fd, &info))
		return CLI_OK;
	cli_complain("reading", in->name, "not a pipe");
	return CLI_FAILED;
}

static int open_all(struct xvmsplice *x)
{
	bool reading = x->what == WHAT_READ;
	unsigned inputs = reading ? 1 : x->what == WHAT_FILES ? x->file_count : 0;
	int status = CLI_OK;

	x->in = calloc(inputs + 1, sizeof(*x->in));
	if (!x->in) {
		cli_say("%s", strerror(ENOMEM));
		return CLI_FAILED;
	}
	for (unsigned i = 0; i < inputs && !status; i++)
		status = open_input(&x->in[i], reading ? "-" : x->files[i]);
	if (!status && reading)
		status = check_pipe(&x->in[0]);
	if (!status)
		status = endpoint_open(&x->out, reading ? x->dest : "-", false);
	if (!status && reading)
		status = endpoint_truncate(&x->out);
	return status;
}

static int work(struct xvmsplice *x)
{
	switch (x->what) {
	case WHAT_READ:
		return transfer(x, &x->in[0], NULL, x->job.length,
				x->via == XP_VIA_COPY ? XP_VIA_COPY : XP_VIA_VMSPLICE);
	case WHAT_FILES:
		return emit_files(x);
	default:
		return emit(x, NULL);
	}
}

static int run(struct xvmsplice *x)
{
	int closed, status = open_all(x);

	if (!status) {
		endpoint_size_pipe(&x->out, 0, x->common.explain);
		status = sandbox_enter(&x->common);
	}
	if (!status) {
		meter_start(&x->meter, &x->common, x->job.length == XP_TO_END ? 0 : x->job.length);
		x->total.via = x->via;
		status = work(x);
		meter_stats(&x->meter, &x->total, NULL, NULL);
	}
	closed = endpoint_close(&x->out);
	free(x->in);
	return status ? status : closed;
}

int main(int argc, char **argv)
{
	struct xvmsplice x = {
		.job = { .length = XP_TO_END },
		.out = { .side = ENDPOINT_WRITE, .fd = -1 },
	};
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	signals_catch(false);
	status = run(&x);
	return signals_end(status);
}
