/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xpipe - looks at and changes a pipe, then runs a command with it. */
#include <errno.h>
#include <extpipe.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum {
	KEY_STDIN = CLI_KEY_TOOL,
	KEY_STDOUT,
	KEY_FD,
	KEY_SIZE,
	KEY_PACKET,
	KEY_STREAM,
	KEY_PACKET_SIZE,
	KEY_SHOW,
	KEY_JSON,
};

struct xpipe {
	int fd;
	size_t size;        /* 0: leave it */
	size_t packet_size; /* 0: leave it */
	bool set_mode, show, json;
	enum xp_pipe_mode mode;
	char **command;
};

static const struct argp_option options[] = {
	{ "stdin", KEY_STDIN, NULL, 0, "Work on the pipe at standard input", 0 },
	{ "stdout", KEY_STDOUT, NULL, 0, "Work on the pipe at standard output (default)", 0 },
	{ "fd", KEY_FD, "N", 0, "Work on the pipe at descriptor N", 0 },
	{ "size", KEY_SIZE, "SIZE|max", 0, "Set its capacity", 0 },
	{ "packet", KEY_PACKET, NULL, 0, "Turn packet mode on: each write is one packet", 0 },
	{ "stream", KEY_STREAM, NULL, 0, "Turn packet mode off", 0 },
	{ "packet-size", KEY_PACKET_SIZE, "SIZE", 0,
	  "Allow packets of up to SIZE bytes (kernels with big packets)", 0 },
	{ "show", KEY_SHOW, NULL, 0, "Describe the pipe (default where nothing is changed)", 0 },
	{ "json", KEY_JSON, NULL, 0, "Describe it as a JSON object", 0 },
	{ 0 },
};

static error_t parse_mode(struct xpipe *x, enum xp_pipe_mode mode, struct argp_state *state)
{
	if (x->set_mode && x->mode != mode)
		argp_error(state, "--packet and --stream exclude each other");
	x->set_mode = true;
	x->mode = mode;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct xpipe *x = state->input;

	switch (key) {
	case ARGP_KEY_ARGS:
		x->command = state->argv + state->next;
		return 0;
	case KEY_STDIN:
		x->fd = STDIN_FILENO;
		return 0;
	case KEY_STDOUT:
		x->fd = STDOUT_FILENO;
		return 0;
	case KEY_FD:
		x->fd = (int)cli_number_option(state, "--fd", arg, 0, INT_MAX);
		return 0;
	case KEY_SIZE:
		x->size = strcmp(arg, "max") ? cli_positive_option(state, "--size", arg) :
					       XP_PIPE_MAX;
		return 0;
	case KEY_PACKET:
		return parse_mode(x, XP_PIPE_PACKET, state);
	case KEY_STREAM:
		return parse_mode(x, XP_PIPE_STREAM, state);
	case KEY_PACKET_SIZE:
		x->packet_size = cli_positive_option(state, "--packet-size", arg);
		return 0;
	case KEY_SHOW:
		x->show = true;
		return 0;
	case KEY_JSON:
		x->show = x->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[--] [COMMAND...]",
	.doc = "Look at a pipe, change it, and run COMMAND with it.\v"
	       "The description goes to standard output, or to standard error where COMMAND is to "
	       "have standard output. SIZE takes K M G T P (1024) or KB MB GB TB PB (1000).",
};

static int failed(const char *doing, int fd, int error)
{
	char object[16];

	snprintf(object, sizeof(object), "fd:%d", fd);
	cli_error(doing, object, error);
	return error == EOPNOTSUPP ? CLI_UNSUPPORTED : CLI_FAILED;
}

static int set_mode(const struct xpipe *x, const struct xp_pipe_info *info)
{
	if (!xp_pipe_set_mode(x->fd, x->mode))
		return CLI_OK;
	if (errno != EINVAL)
		return failed("setting the mode of", x->fd, errno);
	if (!info->write_end) {
		cli_say("setting the mode of 'fd:%d': packet mode belongs to the write end", x->fd);
		return CLI_FAILED;
	}
	cli_say("setting the mode of 'fd:%d': this kernel has no packet mode", x->fd);
	return CLI_UNSUPPORTED;
}

static int change(const struct xpipe *x, const struct xp_pipe_info *info)
{
	int status = CLI_OK;

	if (x->size && xp_pipe_set_size(x->fd, x->size) < 0)
		return failed("setting the size of", x->fd, errno);
	if (x->set_mode)
		status = set_mode(x, info);
	if (!status && x->packet_size && xp_pipe_set_packet_limit(x->fd, x->packet_size))
		return failed("setting the packet size of", x->fd, errno);
	return status;
}

static const char *mode_name(enum xp_pipe_mode mode)
{
	static const char *const names[] = {
		[XP_PIPE_STREAM] = "stream",
		[XP_PIPE_PACKET] = "packet",
		[XP_PIPE_NOTIFICATION] = "notification",
	};

	return names[mode];
}

static void show_json(FILE *to, int fd, const struct xp_pipe_info *info)
{
	fprintf(to, "{\"fd\":%d,\"size\":%zu,\"slots\":%u,\"queued\":%zu,\"mode\":\"%s\"", fd,
		info->size, info->slots, info->queued, mode_name(info->mode));
	if (info->packet_limit)
		fprintf(to, ",\"packet_size\":%zu", info->packet_limit);
	if (info->write_end)
		fprintf(to, ",\"readers\":%s", info->peer_gone ? "false" : "true");
	else
		fprintf(to, ",\"writers\":%s", info->peer_gone ? "false" : "true");
	fputs("}\n", to);
}

static void show_text(FILE *to, int fd, const struct xp_pipe_info *info)
{
	fprintf(to, "fd %d: pipe size=%zu queued=%zu mode=%s slots=%u", fd, info->size,
		info->queued, mode_name(info->mode), info->slots);
	if (info->packet_limit)
		fprintf(to, " packet-size=%zu", info->packet_limit);
	fprintf(to, " %s=%s\n", info->write_end ? "readers" : "writers",
		info->peer_gone ? "none" : "some");
}

static int show(const struct xpipe *x)
{
	FILE *to = *x->command ? stderr : stdout;
	struct xp_pipe_info info;

	if (xp_pipe_info(x->fd, &info))
		return failed("reading", x->fd, errno);
	if (x->json)
		show_json(to, x->fd, &info);
	else
		show_text(to, x->fd, &info);
	return CLI_OK;
}

static int run(const struct xpipe *x)
{
	bool changes = x->size || x->set_mode || x->packet_size;
	struct xp_pipe_info info;
	int status;

	if (xp_pipe_info(x->fd, &info)) {
		if (errno != EINVAL)
			return failed("reading", x->fd, errno);
		cli_say("reading 'fd:%d': not a pipe", x->fd);
		return CLI_FAILED;
	}
	status = change(x, &info);
	if (!status && (x->show || !changes))
		status = show(x);
	return status;
}

int main(int argc, char **argv)
{
	char *nothing[] = { NULL };
	struct xpipe x = { .fd = STDOUT_FILENO, .command = nothing };
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &x);
	status = run(&x);
	if (!status && *x.command)
		cli_exec(x.command);
	return status;
}
