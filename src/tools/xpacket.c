/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xpacket - records as packets in a pipe: sends them, receives them, works on them. */
#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli.h"
#include "endpoint.h"
#include "intake.h"
#include "jobs.h"
#include "meter.h"
#include "records.h"
#include "sandbox.h"
#include "signals.h"

#define DEFAULT_MAX ((size_t)1024 * 1024)
#define MOST_WORKERS 4096

/* What a command is, and the bit that says that an option is for it. */
enum { SEND = 1, RECV = 2, WORK = 4 };
static const char *const commands[] = { "send", "recv", "work", NULL };

/* How recv prints; the framings of records.h, and two more. */
enum print { PRINT_FRAMED, PRINT_JSON, PRINT_RAW };

/* A key carries the commands that its option is for. */
#define KEY(number, mask) ((mask) << 12 | (CLI_KEY_TOOL + (number)))
#define COMMANDS_OF(key) ((key) >> 12)
enum {
	KEY_LINES = KEY(0, SEND | RECV),
	KEY_NULL = KEY(1, SEND | RECV),
	KEY_NETSTRING = KEY(2, SEND | RECV),
	KEY_CHUNK = KEY(3, SEND),
	KEY_SPLIT = KEY(4, SEND),
	KEY_SKIP_EMPTY = KEY(5, SEND),
	KEY_FRAMES = KEY(6, SEND),
	KEY_JSON = KEY(7, RECV),
	KEY_RAW = KEY(8, RECV),
	KEY_MAX = KEY(9, RECV | WORK),
	KEY_KEEP_ORDER = KEY(10, WORK),
	KEY_HALT = KEY(11, WORK),
};

struct xpacket {
	struct cli_common common;
	int command;       /* SEND, RECV or WORK */
	unsigned allowed;  /* commands that every option given is for */
	const char *stray; /* the first option that narrowed them, for the message */
	bool framing_given;
	enum framing framing;
	enum print print;
	size_t chunk, max;
	bool split, skip_empty, frames, keep_order, halt;
	uint64_t count; /* recv -n; 0 for all */
	unsigned workers;
	char **argv; /* of work's COMMAND */
	struct meter meter;
	struct xp_report report;
	uint64_t packets;
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "For send and recv, how records stand in the stream:", 1 },
	{ "lines", KEY_LINES, NULL, 0, "One a line (default)", 0 },
	{ "null", KEY_NULL, NULL, 0, "Ended by NUL", 0 },
	{ "netstring", KEY_NETSTRING, NULL, 0, "LENGTH:BYTES,", 0 },
	{ NULL, 0, NULL, 0, "For send:", 2 },
	{ "chunk", KEY_CHUNK, "SIZE", 0, "Each SIZE bytes are a record", 0 },
	{ "split", KEY_SPLIT, NULL, 0, "Send a record that is too long in several packets", 0 },
	{ "skip-empty", KEY_SKIP_EMPTY, NULL, 0, "Leave empty records out", 0 },
	{ "frames", KEY_FRAMES, NULL, 0,
	  "Send netstrings over a stream; recv and work recognise them", 0 },
	{ NULL, 0, NULL, 0, "For recv:", 3 },
	{ "json", KEY_JSON, NULL, 0, "Print one object a line: seq, length, data or base64", 0 },
	{ "raw", KEY_RAW, NULL, 0, "Print packets without a frame", 0 },
	{ "count", 'n', "COUNT", 0, "Stop after COUNT packets", 0 },
	{ "max", KEY_MAX, "SIZE", 0, "Take packets of up to SIZE bytes (1M; work too)", 0 },
	{ NULL, 0, NULL, 0, "For work:", 4 },
	{ "jobs", 'j', "N", 0, "Run N commands at once (one a processor)", 0 },
	{ "keep-order", KEY_KEEP_ORDER, NULL, 0, "Print results in the order of packets", 0 },
	{ "halt", KEY_HALT, NULL, 0, "Start no more after the first failure", 0 },
	{ 0 },
};

static error_t set_framing(struct xpacket *x, enum framing framing, enum print print,
			   struct argp_state *state)
{
	if (x->framing_given && (x->framing != framing || x->print != print))
		argp_error(state, "only one way of framing can be used");
	x->framing_given = true;
	x->framing = framing;
	x->print = print;
	return 0;
}

static size_t positive_size(struct argp_state *state, const char *option, const char *arg)
{
	uint64_t size = cli_size_option(state, option, arg);

	if (!size || size > INT_MAX)
		argp_error(state, "%s: must be from 1 to %d", option, INT_MAX);
	return (size_t)size;
}

/* The first operand is the command; after work's come those of COMMAND, which end the options. */
static error_t parse_operand(struct xpacket *x, const char *arg, struct argp_state *state)
{
	if (!x->command) {
		x->command = 1 << cli_word_option(state, "command", arg, commands);
		return 0;
	}
	if (x->command != WORK)
		argp_error(state, "extra operand '%s'", arg);
	x->argv = state->argv + state->next - 1;
	state->next = state->argc;
	return 0;
}

static error_t check(struct xpacket *x, struct argp_state *state)
{
	if (!x->command)
		argp_error(state, "send, recv or work?");
	if (!(x->allowed & (unsigned)x->command))
		argp_error(state, "%s is not for %s", x->stray, commands[ffs(x->command) - 1]);
	if (x->command == WORK && !x->argv)
		argp_error(state, "work on packets with which COMMAND?");
	return 0;
}

static error_t parse_framing(struct xpacket *x, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case KEY_LINES:
		return set_framing(x, FRAMING_LINES, PRINT_FRAMED, state);
	case KEY_NULL:
		return set_framing(x, FRAMING_NULL, PRINT_FRAMED, state);
	case KEY_NETSTRING:
		return set_framing(x, FRAMING_NETSTRING, PRINT_FRAMED, state);
	case KEY_CHUNK:
		x->chunk = positive_size(state, "--chunk", arg);
		return set_framing(x, FRAMING_CHUNK, PRINT_FRAMED, state);
	case KEY_JSON:
		return set_framing(x, FRAMING_LINES, PRINT_JSON, state);
	case KEY_RAW:
		return set_framing(x, FRAMING_CHUNK, PRINT_RAW, state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(struct xpacket *x, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case KEY_SPLIT:
		x->split = true;
		return 0;
	case KEY_SKIP_EMPTY:
		x->skip_empty = true;
		return 0;
	case KEY_FRAMES:
		x->frames = true;
		return 0;
	case 'n':
		x->count = cli_number_option(state, "--count", arg, 1, UINT_MAX);
		return 0;
	case KEY_MAX:
		x->max = positive_size(state, "--max", arg);
		return 0;
	case 'j':
		x->workers = cli_number_option(state, "--jobs", arg, 1, MOST_WORKERS);
		return 0;
	case KEY_KEEP_ORDER:
		x->keep_order = true;
		return 0;
	case KEY_HALT:
		x->halt = true;
		return 0;
	default:
		return parse_framing(x, key, arg, state);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct xpacket *x = state->input;
	unsigned mask = key == 'n' ? RECV : key == 'j' ? WORK : (unsigned)COMMANDS_OF(key);

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &x->common;
		return 0;
	case ARGP_KEY_ARG:
		return parse_operand(x, arg, state);
	case ARGP_KEY_END:
		return check(x, state);
	}
	if (!mask || mask > (SEND | RECV | WORK)) /* argp's own keys are far above */
		return ARGP_ERR_UNKNOWN;
	if ((x->allowed & mask) != x->allowed && !x->stray)
		x->stray = state->argv[state->next - 1];
	x->allowed &= mask;
	return parse_option(x, key, arg, state);
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "send\nrecv\nwork -- COMMAND...",
	.doc = "Turn records into packets of a pipe, packets into records, or run a command for "
	       "each packet.\v"
	       "send reads records from standard input, recv and work take packets from it. Each "
	       "packet is COMMAND's standard input, once, in exactly one of N workers; XPACKET_SEQ "
	       "and XPACKET_WORKER are set.",
	.children = cli_common_children,
};

static int said(const char *side, const char *object, const char *cause)
{
	cli_complain(side, object, cause);
	return CLI_FAILED;
}

/* A failure of the output; a signal that ends the run needs no words. */
static int writing_failed(int error)
{
	return error == EINTR ? CLI_FAILED : said("writing", "standard output", strerror(error));
}

/* A failure of one record: "record N: CAUSE". */
static int record_failed(const char *side, const char *object, uint64_t number, const char *cause)
{
	char text[160];

	snprintf(text, sizeof(text), "record %llu: %s", (unsigned long long)number, cause);
	return said(side, object, text);
}

static int reading_failed(const struct reader *r, int error)
{
	char text[96];

	switch (error) {
	case EMSGSIZE:
		snprintf(text, sizeof(text), "%llu bytes are more than the limit of %zu",
			 (unsigned long long)r->length, r->limit);
		return record_failed("reading", "standard input", r->number, text);
	case EBADMSG:
		return record_failed("reading", "standard input", r->number, "malformed netstring");
	default:
		return said("reading", "standard input", strerror(error));
	}
}

/* Where records go: packets, or netstrings in a stream. */
struct outlet {
	struct xp_packet end;
	bool frames;
	struct writer writer;
};

static int outlet_open(struct outlet *out, struct xpacket *x)
{
	const struct endpoint end = { .name = "standard output", .fd = STDOUT_FILENO };

	out->frames = x->frames;
	out->writer = (struct writer){ .fd = STDOUT_FILENO };
	if (x->frames) {
		out->end.limit = DEFAULT_MAX;
		if (x->common.explain)
			cli_say("frames in a stream: it was asked for");
		return writer_put(&out->writer, INTAKE_MAGIC, strlen(INTAKE_MAGIC)) ? CLI_FAILED :
										      CLI_OK;
	}
	if (!xp_packet_open(&out->end, STDOUT_FILENO, O_WRONLY)) {
		/* A packet takes a slot, and a pipe of the default capacity has sixteen. */
		endpoint_size_pipe(&end, 0, x->common.explain);
		if (x->common.explain)
			cli_say("packets of up to %zu bytes: packet mode was %s", out->end.limit,
				out->end.restore ? "turned on" : "on already");
		return CLI_OK;
	}
	if (errno == EINVAL)
		return said("writing", "standard output", "not a pipe");
	if (errno == EOPNOTSUPP || errno == EPERM) {
		said("writing", "standard output", "no packet mode here; --frames does without");
		return CLI_UNSUPPORTED;
	}
	return said("writing", "standard output", strerror(errno));
}

/* 0 or -errno. Frames are buffered, and written before more records are waited for. */
static int outlet_send(struct outlet *out, const char *record, size_t length)
{
	if (out->frames)
		return writer_record(&out->writer, FRAMING_NETSTRING, record, length);
	while (xp_packet_send(&out->end, record, length, 0))
		if (errno != EINTR || signals_stop())
			return -errno;
	return 0;
}

static int outlet_flush(struct outlet *out)
{
	return out->frames ? writer_flush(&out->writer) : 0;
}

static int send_records(struct xpacket *x, struct reader *r, struct outlet *out)
{
	const char *record;
	size_t length;
	int result, error;

	while (!meter_tick(&x->meter, &x->report)) {
		result = reader_next(r, out->frames, &record, &length);
		if (result == -EAGAIN) {
			error = outlet_flush(out);
			if (error)
				return writing_failed(-error);
			result = reader_next(r, false, &record, &length);
		}
		if (result == -EINTR)
			continue;
		if (result < 0)
			return reading_failed(r, -result);
		if (!result)
			return CLI_OK;
		if (!length && x->skip_empty)
			continue;
		if (!length)
			return record_failed("reading", "standard input", r->number,
					     "empty, which no packet can be");
		error = outlet_send(out, record, length);
		if (error)
			return writing_failed(-error);
		x->packets++;
		x->report.bytes += length;
		x->report.calls++;
	}
	return CLI_FAILED;
}

static int run_send(struct xpacket *x)
{
	struct reader reader = {
		.fd = STDIN_FILENO, .framing = x->framing, .chunk = x->chunk, .split = x->split
	};
	struct outlet out = { .frames = false };
	int error, status = outlet_open(&out, x);

	if (status)
		return status;
	reader.limit = out.end.limit;
	status = sandbox_enter(&x->common);
	if (!status && reader_open(&reader))
		status = said("reading", "standard input", strerror(ENOMEM));
	if (!status)
		status = send_records(x, &reader, &out);
	error = outlet_flush(&out);
	if (error && !status)
		status = writing_failed(-error);
	if (xp_packet_close(&out.end) && !status)
		status = said("writing", "standard output", strerror(errno));
	reader_close(&reader);
	return status;
}

/* One object and a newline. 0 or -errno. */
static int put_json(struct writer *writer, uint64_t number, const char *packet, size_t available,
		    size_t length)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	int error;

	if (!to)
		return -ENOMEM;
	fprintf(to, "{\"seq\":%llu,\"length\":%zu,", (unsigned long long)number, length);
	if (cli_is_utf8(packet, available)) {
		fputs("\"data\":", to);
		cli_json_bytes(to, packet, available);
	} else {
		fputs("\"base64\":\"", to);
		cli_base64(to, packet, available);
		fputc('"', to);
	}
	fputs(length > available ? ",\"cut\":true}\n" : "}\n", to);
	error = fclose(to) ? -ENOMEM : writer_put(writer, text, size);
	free(text);
	return error;
}

static int print_packet(struct xpacket *x, struct writer *writer, const char *packet,
			size_t available, size_t length)
{
	switch (x->print) {
	case PRINT_JSON:
		return put_json(writer, x->packets, packet, available, length);
	case PRINT_RAW:
		return writer_put(writer, packet, available);
	default:
		return writer_record(writer, x->framing, packet, available);
	}
}

static int intake_failed(const struct xpacket *x, int error)
{
	if (error == EINVAL)
		return said("reading", "standard input", "not a pipe, and no frames");
	if (error == EBADMSG)
		return record_failed("reading", "standard input", x->packets + 1,
				     "malformed netstring");
	return said("reading", "standard input", strerror(error));
}

static int printing_failed(const struct xpacket *x, int error)
{
	if (error != EBADMSG)
		return writing_failed(error);
	return record_failed("writing", "standard output", x->packets,
			     x->framing == FRAMING_LINES ? "contains a newline; use --netstring" :
							   "contains a NUL; use --netstring");
}

static int receive(struct xpacket *x, struct intake *in, struct writer *writer)
{
	int result, status = CLI_OK;
	size_t length, available;
	const char *packet;

	while (!x->count || x->packets < x->count) {
		if (meter_tick(&x->meter, &x->report))
			return CLI_FAILED;
		result = intake_next(in, true, &packet, &length, &available);
		if (result == -EAGAIN) {
			/* What was printed goes out before more is waited for. */
			result = writer_flush(writer);
			if (result)
				return printing_failed(x, -result);
			result = intake_next(in, false, &packet, &length, &available);
		}
		if (result == -EINTR)
			continue;
		if (result < 0)
			return intake_failed(x, -result);
		if (!result)
			return status;
		x->packets++;
		if (length > available) {
			cli_say("record %llu: cut at %zu of %zu bytes",
				(unsigned long long)x->packets, available, length);
			status = CLI_FAILED;
		}
		result = print_packet(x, writer, packet, available, length);
		if (result)
			return printing_failed(x, -result);
		x->report.bytes += available;
		x->report.calls++;
	}
	return status;
}

static int open_intake(struct xpacket *x, struct intake *in)
{
	int error = intake_open(in, x->max);

	return error ? said("reading", "standard input", strerror(-error)) : CLI_OK;
}

/* Only the first packet tells which it is. */
static void explain_intake(const struct xpacket *x, const struct intake *in)
{
	if (x->common.explain)
		cli_say(in->framed ? "frames in a stream: they begin with their mark" :
				     "packets: standard input holds them");
}

static int run_recv(struct xpacket *x)
{
	struct writer writer = { .fd = STDOUT_FILENO };
	struct intake in;
	int error, status = open_intake(x, &in);

	if (status)
		return status;
	status = sandbox_enter(&x->common);
	if (!status)
		status = receive(x, &in, &writer);
	error = writer_flush(&writer);
	if (error && !status)
		status = writing_failed(-error);
	explain_intake(x, &in);
	intake_close(&in);
	return status;
}

static int run_work(struct xpacket *x)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct intake in;
	struct jobs jobs = {
		.workers = x->workers     ? x->workers :
			   processors > 0 ? (unsigned)processors :
					    1,
		.keep_order = x->keep_order,
		.halt = x->halt,
		.command = x->argv,
		.in = &in,
		.meter = &x->meter,
	};
	int status = open_intake(x, &in);

	if (status)
		return status;
	status = jobs_run(&jobs);
	x->report.bytes = jobs.report.bytes;
	x->report.calls = jobs.report.calls;
	x->packets = in.number;
	explain_intake(x, &in);
	intake_close(&in);
	return status;
}

static void packets_json(void *arg)
{
	const struct xpacket *x = arg;

	fprintf(stderr, ",\"packets\":%llu", (unsigned long long)x->packets);
}

static int run(struct xpacket *x)
{
	int status;

	meter_start(&x->meter, &x->common, 0);
	x->report.via = XP_VIA_COPY;
	status = x->command == SEND ? run_send(x) : x->command == RECV ? run_recv(x) : run_work(x);
	meter_stats(&x->meter, &x->report, packets_json, x);
	return status;
}

int main(int argc, char **argv)
{
	struct xpacket x = { .allowed = SEND | RECV | WORK, .max = DEFAULT_MAX };
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &x);
	signals_catch(false);
	status = run(&x);
	return signals_end(status);
}
