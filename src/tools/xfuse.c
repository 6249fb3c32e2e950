/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xfuse - serves a file, a tree, a block device or a stream by FUSE. */
#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "endpoint.h"
#include "fusefile.h"
#include "fusekeeper.h"
#include "fusemount.h"
#include "fusenode.h"
#include "fuseserve.h"
#include "fusestream.h"
#include "fusetree.h"
#include "meter.h"
#include "sandbox.h"
#include "signals.h"

enum {
	KEY_VIA = CLI_KEY_TOOL,
	KEY_NAME,
	KEY_THREADS,
};

enum kind { KIND_TREE, KIND_FILE, KIND_STREAM };

#define THREADS_LEAST 4
#define THREADS_USUAL 16

struct xfuse {
	struct cli_common common;
	const char *source, *mountpoint, *name;
	bool foreground;
	enum xp_via via;
	enum kind kind;
	struct endpoint in;
	struct fusemount mount;
	struct fusekeeper keeper;
	struct fuseway ways;
	struct fuseserve serve;
	int parent; /* who waits to be told that the mount works, -1 if nobody */
	int null;   /* what standard descriptors become then */
};

/* One run a process; the meter is told by any thread. */
static struct meter meter;
static pthread_mutex_t meter_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct argp_option options[] = {
	{ "foreground", 'f', NULL, 0, "Stay in the foreground", 0 },
	{ "option", 'o', "OPT", 0, "FUSE options, as for mount(8), separated by commas", 0 },
	{ "via", KEY_VIA, "auto|splice|copy", 0, "Answer READ requests this way", 0 },
	{ "name", KEY_NAME, "NAME", 0, "Give a SOURCE that is no directory this name", 0 },
	{ "threads", KEY_THREADS, "N", 0, "Serve with N threads", 0 },
	{ 0 },
};

static const char *const via_words[] = { "auto", "splice", "copy", NULL };
static const enum xp_via via_values[] = { XP_VIA_AUTO, XP_VIA_SPLICE, XP_VIA_COPY };

static error_t parse_operand(struct xfuse *x, char *arg, struct argp_state *state)
{
	if (state->arg_num > 1)
		argp_error(state, "extra operand '%s'", arg);
	else if (state->arg_num)
		x->mountpoint = arg;
	else
		x->source = arg;
	return 0;
}

static const char *name_option(struct argp_state *state, const char *name)
{
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strlen(name) > 255)
		argp_error(state, "--name: '%s' is no file's name", name);
	return name;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct xfuse *x = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &x->common;
		return 0;
	case ARGP_KEY_ARG:
		return parse_operand(x, arg, state);
	case ARGP_KEY_END:
		if (!x->mountpoint)
			argp_error(state, *x->source ? "no MOUNTPOINT" : "no SOURCE");
		return 0;
	case 'f':
		x->foreground = true;
		return 0;
	case 'o':
		if (fusemount_option(&x->mount, arg))
			exit(CLI_FAILED);
		return 0;
	case KEY_VIA:
		x->via = via_values[cli_word_option(state, "--via", arg, via_words)];
		return 0;
	case KEY_NAME:
		x->name = name_option(state, arg);
		return 0;
	case KEY_THREADS:
		x->serve.threads = cli_number_option(state, "--threads", arg, 1, FUSESERVE_THREADS);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "SOURCE MOUNTPOINT",
	.doc = "Serve SOURCE, read-only, below MOUNTPOINT by FUSE, with its data spliced into the "
	       "device wherever that pays.\v"
	       "SOURCE is a directory, a file, a block device, or a stream: a FIFO, fd:N, "
	       "tcp:HOST:PORT, tcp-listen:[HOST:]PORT, unix:PATH or unix-listen:PATH. "
	       "fusermount3 -u MOUNTPOINT or SIGINT ends it.",
	.children = cli_common_children,
};

/* ------------------------------------------------------------------------ source */

/* A FIFO's writer may come later: whoever reads waits for it, not who mounts. */
static int open_source(struct xfuse *x)
{
	struct stat st;

	if (stat(x->source, &st) || !S_ISFIFO(st.st_mode))
		return endpoint_open(&x->in, x->source, false);
	x->in.name = x->source;
	x->in.fd = open(x->source, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (x->in.fd < 0 || fcntl(x->in.fd, F_SETFL, O_RDONLY))
		return endpoint_failed(&x->in, errno);
	x->in.path = true;
	return CLI_OK;
}

static int find_kind(struct xfuse *x)
{
	struct stat st;

	if (fstat(x->in.fd, &st))
		return endpoint_failed(&x->in, errno);
	if (S_ISDIR(st.st_mode))
		x->kind = KIND_TREE;
	else if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		x->kind = KIND_FILE;
	else
		x->kind = KIND_STREAM;
	if (x->kind != KIND_TREE || !x->name)
		return CLI_OK;
	cli_say("--name: a directory's files have names");
	return CLI_USAGE;
}

/* What a file is called in the mount: as it was, where SOURCE is its path. */
static const char *file_name(const struct xfuse *x)
{
	const char *base;

	if (x->mount.is_file)
		return NULL;
	if (x->name)
		return x->name;
	base = strrchr(x->source, '/');
	base = base ? base + 1 : x->source;
	return x->in.path && *base ? base : "data";
}

/* What it is served by. Returns 0, or the exit status after a line. */
static int take_source(struct xfuse *x)
{
	int error;

	if (x->mount.is_file && x->name) {
		cli_say("--name: '%s' is a file, and has one", x->mountpoint);
		return CLI_USAGE;
	}
	if (x->kind == KIND_TREE) {
		error = fusenode_start(x->in.fd);
		return error ? endpoint_failed(&x->in, error) : CLI_OK;
	}
	fusefile_start(x->in.fd, file_name(x), x->kind == KIND_STREAM);
	return CLI_OK;
}

/* -------------------------------------------------------------------------- ways */

static void on_measured(const char *line)
{
	pthread_mutex_lock(&meter_lock);
	if (meter.common->explain) {
		meter_clear(&meter);
		cli_say("%s", line);
	}
	pthread_mutex_unlock(&meter_lock);
}

/* Each thread decides, and all alike: what was told once is told no more. */
static void on_decision(const struct xp_decision *decision, void *arg)
{
	static struct xp_decision told[16];
	static unsigned count;
	const struct xfuse *x = arg;
	unsigned i;

	/* What all are opened with is no decision where there is a choice yet. */
	if (decision->from == XP_VIA_AUTO && x->ways.count > 1)
		return;
	pthread_mutex_lock(&meter_lock);
	for (i = 0; i < count; i++)
		if (told[i].via == decision->via && told[i].from == decision->from &&
		    told[i].error == decision->error)
			break;
	if (i == count) {
		if (count < sizeof(told) / sizeof(told[0]))
			told[count++] = *decision;
		meter_decided(&meter, decision, NULL);
	}
	pthread_mutex_unlock(&meter_lock);
}

static bool is_here(enum xp_feature_id id, struct xp_feature *feature)
{
	return !xp_feature(id, feature) && feature->support == XP_NATIVE;
}

/*
 * The largest READ, bytes. A pipe has a slot for the header and one for each page of the payload,
 * of which there is one more where it begins within a page. What is more than a pipe can hold is
 * copied: so pages are given up for that if they are few, or if nothing may be copied.
 */
static size_t read_max(const struct xfuse *x)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct xp_feature pipes;
	size_t fits;

	if (x->ways.ways[0] == XP_VIA_COPY || !is_here(XP_FEATURE_PIPE_SIZE, &pipes) ||
	    pipes.limit < (int64_t)(3 * page))
		return FUSELOW_READ_MAX;
	fits = (size_t)pipes.limit - 2 * page;
	if (fits > FUSELOW_READ_MAX)
		return FUSELOW_READ_MAX;
	return x->common.no_fallback || fits >= FUSELOW_READ_MAX / 2 ? fits : FUSELOW_READ_MAX;
}

/* Which ways there are to choose from. Returns 0, or the exit status after a line. */
static int find_ways(struct xfuse *x)
{
	struct xp_feature splice = { 0 }, shares = { 0 };
	struct xp_decision decision = { .via = XP_VIA_COPY, .from = XP_VIA_SPLICE };
	bool spliced = x->via != XP_VIA_COPY && is_here(XP_FEATURE_FUSE_SPLICE, &splice);

	x->ways.tell = on_measured;
	if (spliced)
		x->ways.ways[x->ways.count++] = is_here(XP_FEATURE_VMSPLICE_SHARES, &shares) ?
							XP_VIA_VMSPLICE :
							XP_VIA_SPLICE;
	if (x->via == XP_VIA_AUTO || !spliced)
		x->ways.ways[x->ways.count++] = XP_VIA_COPY;
	x->mount.low.read_max = read_max(x);
	if (spliced || x->via == XP_VIA_COPY)
		return CLI_OK;
	decision.error = splice.error;
	decision.why = splice.why ? splice.why : "it could not be tried";
	on_decision(&decision, x);
	if (!x->common.no_fallback)
		return CLI_OK;
	cli_complain("writing", "/dev/fuse", meter.fallback);
	return CLI_UNSUPPORTED;
}

/* -------------------------------------------------------------------- statistics */

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct fuseread_tally total(const struct xfuse *x)
{
	struct fuseread_tally sum = { 0 };

	for (unsigned i = 0; i < sizeof(x->serve.readers) / sizeof(x->serve.readers[0]); i++) {
		const struct fuseread_tally *one = &x->serve.readers[i].tally;

		sum.requests += load(&one->requests);
		sum.errors += load(&one->errors);
		for (int via = 0; via < XP_VIA_COUNT; via++) {
			sum.replies[via] += load(&one->replies[via]);
			sum.bytes[via] += load(&one->bytes[via]);
		}
	}
	return sum;
}

/* The way that most bytes went is the one in use. */
static struct xp_report report_of(const struct xfuse *x, const struct fuseread_tally *sum)
{
	struct xp_report report = { .calls = sum->requests, .via = x->ways.ways[0] };

	for (int via = 0; via < XP_VIA_COUNT; via++) {
		report.bytes += sum->bytes[via];
		if (sum->bytes[via] > sum->bytes[report.via])
			report.via = (enum xp_via)via;
	}
	return report;
}

static const enum xp_via ways[] = { XP_VIA_SPLICE, XP_VIA_VMSPLICE, XP_VIA_COPY };

/* Processor time of this process, seconds. */
static double cpu_seconds(void)
{
	struct timespec spent = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
	return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static void more_json(void *arg)
{
	const struct fuseread_tally *sum = arg;

	fputs(",\"replies\":{", stderr);
	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		fprintf(stderr, "%s\"%s\":{\"count\":%llu,\"bytes\":%llu}", i ? "," : "",
			xp_via_name(ways[i]), (unsigned long long)sum->replies[ways[i]],
			(unsigned long long)sum->bytes[ways[i]]);
	fprintf(stderr, "},\"errors\":%llu,\"cpu_seconds\":%.6f", (unsigned long long)sum->errors,
		cpu_seconds());
}

/* ": 14 replies of 3000003 bytes by splice, 2 of 8192 by copy" */
static void detail(char *text, size_t room, const struct fuseread_tally *sum)
{
	size_t used = 0;

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]) && used < room; i++)
		if (sum->replies[ways[i]])
			used += (size_t)snprintf(
				text + used, room - used, "%s %llu replies of %llu bytes by %s",
				used ? "," : ":", (unsigned long long)sum->replies[ways[i]],
				(unsigned long long)sum->bytes[ways[i]], xp_via_name(ways[i]));
	if (sum->errors && used < room)
		snprintf(text + used, room - used, "%s %llu errors", used ? "," : ":",
			 (unsigned long long)sum->errors);
}

static void show_stats(const struct xfuse *x)
{
	struct fuseread_tally sum = total(x);
	struct xp_report report = report_of(x, &sum);

	fuseway_finish(&x->ways);
	pthread_mutex_lock(&meter_lock);
	detail(meter.detail, sizeof(meter.detail), &sum);
	meter_stats(&meter, &report, more_json, &sum);
	pthread_mutex_unlock(&meter_lock);
}

/* ------------------------------------------------------------------------ running */

/* Lets go of the terminal, and of those who wait for output to end. */
static void let_go(const struct xfuse *x)
{
	bool talks = x->common.stats || x->common.explain || x->common.progress;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fd != x->in.fd && !(talks && fd == STDERR_FILENO))
			dup3(x->null, fd, 0);
	close(x->null);
}

static int tell_parent(struct xfuse *x)
{
	const char status = CLI_OK;

	if (x->parent < 0)
		return CLI_OK;
	let_go(x);
	if (write(x->parent, &status, 1) < 0)
		return CLI_FAILED;
	close(x->parent);
	return CLI_OK;
}

/* Until the mount has gone, or a signal asks for it. Returns the exit status. */
static int watch(struct xfuse *x)
{
	struct pollfd polled[] = {
		{ .fd = x->serve.ended, .events = POLLIN },
		{ .fd = x->mount.low.ready, .events = POLLIN },
	};
	int status = CLI_OK, stop = 0;

	while (!status && !stop && !polled[0].revents) {
		struct fuseread_tally sum = total(x);
		struct xp_report report = report_of(x, &sum);

		pthread_mutex_lock(&meter_lock);
		stop = meter_tick(&meter, &report);
		pthread_mutex_unlock(&meter_lock);
		if (stop || poll(polled, 2, -1) < 0)
			continue;
		if (polled[1].revents) {
			polled[1].fd = -1;
			status = tell_parent(x);
		}
	}
	return status;
}

/* After mounting: serves until the end, whose unmounting is up to the caller. */
static int serve(struct xfuse *x)
{
	int error, status;

	if (fusekeeper_mounted(&x->keeper)) {
		cli_error("mounting", x->mountpoint, errno);
		return CLI_FAILED;
	}
	fusenode_mounted(x->keeper.mount.device);
	status = sandbox_enter_serving(&x->common);
	if (status)
		return status;
	fuselow_listen(true);
	error = fuseserve_start(&x->serve);
	if (error) {
		cli_error("starting", "threads", error);
		return CLI_FAILED;
	}
	status = watch(x);
	if (status || !x->serve.error)
		return status;
	cli_error("reading", "/dev/fuse", x->serve.error);
	return CLI_FAILED;
}

/* What has to be there before mounting. */
static int prepare(struct xfuse *x)
{
	unsigned flags = x->common.no_fallback ? XP_NO_FALLBACK : 0;

	/* While there is little to be inherited. */
	if (fusekeeper_start(&x->keeper, x->mount.path)) {
		cli_error("starting", "a process", errno);
		return CLI_FAILED;
	}
	if (x->kind == KIND_STREAM) {
		x->serve.stream = true;
		if (fusestream_start(x->in.fd, &x->serve.readers[x->serve.threads])) {
			cli_say("%s", strerror(errno));
			return CLI_FAILED;
		}
	}
	if (fuseserve_prepare(&x->serve, &x->ways, flags, on_decision, x)) {
		cli_say("%s", strerror(errno));
		return errno == EOPNOTSUPP ? CLI_UNSUPPORTED : CLI_FAILED;
	}
	return CLI_OK;
}

static int run(struct xfuse *x)
{
	int error, status = prepare(x);

	if (!status)
		status = fusemount_mount(&x->mount, x->serve.session);
	if (status)
		return status;
	clock_gettime(CLOCK_MONOTONIC, &meter.start);
	status = serve(x);
	error = fusekeeper_unmount(&x->keeper);
	fuseserve_stop(&x->serve);
	if (error) {
		cli_error("unmounting", x->mountpoint, error);
		status = status ? status : CLI_FAILED;
	}
	show_stats(x);
	return status;
}

/* In the parent: what became of the child, or that the mount works. */
static int wait_for(pid_t child, int from)
{
	char answer;
	int status;
	ssize_t n;

	do {
		n = read(from, &answer, 1);
	} while (n < 0 && errno == EINTR && !signals_stop());
	if (n == 1)
		return CLI_OK;
	if (signals_stop())
		kill(child, signals_stop());
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return CLI_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	cli_say("ended by signal %d", WTERMSIG(status));
	return CLI_FAILED;
}

/* Runs in a child that goes to the background once the mount works. */
static int run_behind(struct xfuse *x)
{
	int ends[2];
	pid_t child;

	x->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (x->null < 0 || pipe2(ends, O_CLOEXEC) || (child = fork()) < 0) {
		cli_error("starting", "a process", errno);
		return CLI_FAILED;
	}
	if (child) {
		close(ends[1]);
		return wait_for(child, ends[0]);
	}
	close(ends[0]);
	x->parent = ends[1];
	setsid();
	return run(x);
}

static int start(struct xfuse *x)
{
	int status = open_source(x);

	if (!status)
		status = find_kind(x);
	if (!status)
		status = fusemount_check(&x->mount, x->mountpoint, x->kind == KIND_TREE);
	if (!status)
		status = take_source(x);
	if (!status)
		status = find_ways(x);
	if (!status)
		status = fusemount_session(&x->mount, x->source,
					   x->kind == KIND_TREE ? &fusetree_ops : &fusefile_ops,
					   &x->serve.session);
	if (status)
		return status;
	if (chdir("/")) {
		cli_error("entering", "/", errno);
		return CLI_FAILED;
	}
	return x->foreground ? run(x) : run_behind(x);
}

/* As many as there are processors, within reason; open files are as many as are allowed. */
static void size_up(struct xfuse *x)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct rlimit files;

	if (!x->serve.threads)
		x->serve.threads = processors < THREADS_LEAST ? THREADS_LEAST :
				   processors > THREADS_USUAL ? THREADS_USUAL :
								(unsigned)processors;
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	static struct xfuse x = {
		.source = "",
		.in = { .side = ENDPOINT_READ, .fd = -1 },
		.parent = -1,
	};

	cli_start();
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	size_up(&x);
	signals_catch(false);
	meter_start(&meter, &x.common, 0);
	return start(&x);
}
