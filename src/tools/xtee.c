/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xtee - standard input to standard output and to each DEST. */
#include <errno.h>
#include <extpipe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "endpoint.h"
#include "meter.h"
#include "sandbox.h"
#include "signals.h"

enum { KEY_OUTPUT_ERROR = CLI_KEY_TOOL, KEY_NO_STDOUT, KEY_PEEK, KEY_PIPE_SIZE, KEY_VIA };

/* What a failed output does, as in GNU tee. Without -p a broken pipe ends the run by SIGPIPE. */
enum mode { MODE_SIGPIPE, MODE_WARN, MODE_WARN_NOPIPE, MODE_EXIT, MODE_EXIT_NOPIPE };

struct xtee {
	struct cli_common common;
	enum mode mode;
	bool append, ignore_interrupts, no_stdout, peek;
	size_t pipe_size;
	enum xp_via via;
	char **dests;
	unsigned dest_count;
	struct endpoint in;
	struct endpoint *ends;     /* the outputs that could be opened */
	struct xp_output *outputs; /* the same, for the library */
	unsigned count;
	int status; /* CLI_FAILED once an output failed */
	struct meter meter;
};

static const struct argp_option options[] = {
	{ "append", 'a', NULL, 0, "Append to each DEST", 0 },
	{ "ignore-interrupts", 'i', NULL, 0, "Ignore SIGINT", 0 },
	{ NULL, 'p', NULL, 0,
	  "Go on when a reader goes away, noticing it while idle; short for "
	  "--output-error=warn-nopipe",
	  0 },
	{ "output-error", KEY_OUTPUT_ERROR, "warn|warn-nopipe|exit|exit-nopipe",
	  OPTION_ARG_OPTIONAL, "What to do when an output fails (warn-nopipe)", 0 },
	{ "no-stdout", KEY_NO_STDOUT, NULL, 0, "Leave standard output out", 0 },
	{ "peek", KEY_PEEK, NULL, 0,
	  "Copy what standard input, a pipe, holds now, without consuming it", 0 },
	{ "pipe-size", KEY_PIPE_SIZE, "SIZE", 0, "Give the pipes in use this capacity", 0 },
	{ "via", KEY_VIA, "auto|tee|copy", 0, "Try this way first; copying is the fallback", 0 },
	{ 0 },
};

static error_t parse_output_error(struct xtee *x, const char *arg, struct argp_state *state)
{
	static const char *const words[] = { "warn", "warn-nopipe", "exit", "exit-nopipe", NULL };

	x->mode = MODE_WARN_NOPIPE;
	if (arg)
		x->mode = MODE_WARN +
			  (enum mode)cli_word_option(state, "--output-error", arg, words);
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const via_words[] = { "auto", "tee", "copy", NULL };
	static const enum xp_via via_values[] = { XP_VIA_AUTO, XP_VIA_TEE, XP_VIA_COPY };
	struct xtee *x = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &x->common;
		return 0;
	case ARGP_KEY_ARGS:
		x->dests = state->argv + state->next;
		x->dest_count = (unsigned)(state->argc - state->next);
		return 0;
	case 'a':
		x->append = true;
		return 0;
	case 'i':
		x->ignore_interrupts = true;
		return 0;
	case 'p':
		return parse_output_error(x, NULL, state);
	case KEY_OUTPUT_ERROR:
		return parse_output_error(x, arg, state);
	case KEY_NO_STDOUT:
		x->no_stdout = true;
		return 0;
	case KEY_PEEK:
		x->peek = true;
		return 0;
	case KEY_PIPE_SIZE:
		x->pipe_size = cli_positive_option(state, "--pipe-size", arg);
		return 0;
	case KEY_VIA:
		x->via = via_values[cli_word_option(state, "--via", arg, via_words)];
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[DEST...]",
	.doc = "Duplicate standard input to standard output and to each DEST, without copying it "
	       "wherever that is possible.\v"
	       "DEST is -, a path, fd:N, tcp:HOST:PORT, tcp-listen:[HOST:]PORT, unix:PATH or "
	       "unix-listen:PATH. SIZE takes K M G T P (1024) or KB MB GB TB PB (1000).",
	.children = cli_common_children,
};

static bool exits(const struct xtee *x)
{
	return x->mode == MODE_EXIT || x->mode == MODE_EXIT_NOPIPE;
}

/* An output that is not this run's own: nothing was there to fail before. */
static int open_output(struct xtee *x, const char *text)
{
	struct endpoint *end = &x->ends[x->count];
	int status;

	end->side = ENDPOINT_WRITE;
	status = endpoint_open(end, text, x->append);
	if (!status && endpoint_same(&x->in, end)) {
		cli_complain("writing", end->name, "input file is output file");
		status = CLI_FAILED;
	}
	if (!status && !x->append)
		status = endpoint_truncate(end);
	if (status)
		return status;
	endpoint_size_pipe(end, x->pipe_size, x->common.explain);
	x->outputs[x->count++].fd = end->fd;
	return CLI_OK;
}

/* An output that can't be opened does not keep the others from theirs, but a typing error does. */
static int open_outputs(struct xtee *x)
{
	unsigned all = x->dest_count + !x->no_stdout;

	x->ends = calloc(all + 1, sizeof(*x->ends));
	x->outputs = calloc(all + 1, sizeof(*x->outputs));
	if (!x->ends || !x->outputs) {
		cli_say("%s", strerror(ENOMEM));
		return CLI_FAILED;
	}
	for (unsigned i = 0; i < all; i++) {
		bool standard = !x->no_stdout && !i;
		int status = open_output(x, standard ? "-" : x->dests[i - !x->no_stdout]);

		if (status == CLI_USAGE || (status && exits(x)) || signals_stop())
			return status;
		if (status)
			x->status = status;
	}
	return CLI_OK;
}

static int on_progress(const struct xp_report *report, void *arg)
{
	struct xtee *x = arg;

	return meter_tick(&x->meter, report);
}

static void on_decision(const struct xp_decision *decision, void *arg)
{
	struct xtee *x = arg;

	meter_decided(&x->meter, decision,
		      decision->via == XP_VIA_COPY && decision->from == XP_VIA_TEE ?
			      NULL :
			      x->ends[decision->output].name);
}

static int on_failure(unsigned output, int error, void *arg)
{
	struct xtee *x = arg;
	bool quiet = error == EPIPE && (x->mode == MODE_WARN_NOPIPE || x->mode == MODE_EXIT_NOPIPE);

	if (quiet)
		return 0;
	meter_clear(&x->meter);
	x->status = endpoint_failed(&x->ends[output], error);
	return exits(x);
}

static int explain_failure(struct xtee *x, const struct xp_report *report)
{
	meter_clear(&x->meter);
	switch (report->error) {
	case ECANCELED:
		return CLI_FAILED; /* a signal, or an output that said so already */
	case EOPNOTSUPP:
		cli_complain("reading", x->in.name, x->meter.fallback);
		return CLI_UNSUPPORTED;
	case ENOBUFS:
		cli_complain("reading", x->in.name, "more is queued than a private pipe may hold");
		return CLI_FAILED;
	default:
		return endpoint_failed(&x->in, report->error);
	}
}

/* The outputs, for --stats=json. */
static void outputs_json(void *arg)
{
	const struct xtee *x = arg;

	fputs(",\"outputs\":[", stderr);
	for (unsigned i = 0; i < x->count; i++) {
		const struct xp_output *output = &x->outputs[i];

		fputs(i ? ",{\"name\":" : "{\"name\":", stderr);
		cli_json_string(stderr, x->ends[i].name);
		fprintf(stderr, ",\"bytes\":%llu,\"method\":\"%s\",\"error\":",
			(unsigned long long)output->bytes, xp_via_name(output->via));
		if (output->error)
			cli_json_string(stderr, strerror(output->error));
		else
			fputs("null", stderr);
		fputc('}', stderr);
	}
	fputc(']', stderr);
}

static int fanout(struct xtee *x)
{
	struct xp_fanout job = {
		.in = x->in.fd,
		.count = x->count,
		.outputs = x->outputs,
		.pipe_size = x->pipe_size,
		.via = x->via,
		.flags = (x->common.no_fallback ? XP_NO_FALLBACK : 0) | (x->peek ? XP_PEEK : 0) |
			 (x->mode != MODE_SIGPIPE ? XP_WATCH_OUTPUTS : 0),
		.progress = on_progress,
		.decided = on_decision,
		.failed = on_failure,
		.arg = x,
	};
	struct xp_report report;
	int status = CLI_OK;

	meter_start(&x->meter, &x->common, 0);
	if (xp_fanout(&job, &report))
		status = explain_failure(x, &report);
	meter_stats(&x->meter, &report, outputs_json, x);
	return status;
}

static int check_input(struct xtee *x)
{
	struct xp_pipe_info info;
	int status = endpoint_open(&x->in, "-", false);

	if (status || !x->peek || !xp_pipe_info(x->in.fd, &info))
		return status;
	cli_complain("reading", x->in.name, "no pipe, so nothing can be peeked at");
	return CLI_FAILED;
}

static int run(struct xtee *x)
{
	int status = check_input(x);

	if (!status)
		status = open_outputs(x);
	if (!status && !x->peek)
		endpoint_size_pipe(&x->in, x->pipe_size, x->common.explain);
	if (!status && !signals_stop())
		status = sandbox_enter(&x->common);
	if (!status && !signals_stop())
		status = fanout(x);
	for (unsigned i = 0; i < x->count; i++) {
		int closed = endpoint_close(&x->ends[i]);

		if (!x->outputs[i].error && closed)
			x->status = closed;
	}
	free(x->outputs);
	free(x->ends);
	return status ? status : x->status;
}

int main(int argc, char **argv)
{
	struct xtee x = { .in = { .side = ENDPOINT_READ, .fd = -1 } };
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	signals_catch(x.ignore_interrupts);
	if (x.mode != MODE_SIGPIPE)
		signal(SIGPIPE, SIG_IGN);
	status = run(&x);
	return signals_end(status);
}
