/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jobs.c - one process hands packets to free workers, so that their order is known. SIGCHLD is
 * blocked but for the moments of waiting, so that no end of a worker goes unnoticed.
 */
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "signals.h"

/* Results that may wait for an earlier one, for each worker: a bound on open descriptors. */
#define WINDOW_PER_WORKER 8
#define OTHER_DESCRIPTORS 24

struct worker {
	pid_t pid; /* 0 while free */
	uint64_t packet;
	unsigned next; /* in the queue of free workers */
};

/* What a command printed, until its turn comes. */
struct result {
	int output; /* a memfd */
	bool used, done;
};

struct run {
	struct jobs *jobs;
	struct worker *workers;
	unsigned *idle; /* a ring of free workers, the longest free first */
	unsigned idle_count, idle_first;
	struct result *results; /* a ring, by packet number */
	uint64_t window;
	uint64_t printed; /* packets whose results are out */
	uint64_t failures;
	bool stopped;       /* no more packets are taken */
	bool passed_on;     /* the signal that stopped it */
	bool output_failed; /* nothing more can be printed */
	bool cut;           /* a packet was longer than what may be taken */
	int status;         /* why the run can't go on, or CLI_OK */
	sigset_t waiting;   /* the signal mask while it waits */
	posix_spawnattr_t attributes;
};

static char packet_variable[64], worker_variable[64];

static void on_child(int number)
{
	(void)number; /* ending ppoll() is all it is for */
}

static void stop(struct run *run, int status)
{
	run->stopped = true;
	if (!run->status)
		run->status = status;
}

/* A file of the packet to be a command's input: a pipe if it fits in one, else in memory. */
static int packet_file(const char *packet, size_t length)
{
	int fds[2];

	/* A pipe may have a single page, where the user has many. */
	if (length <= PIPE_BUF && !pipe2(fds, O_CLOEXEC)) {
		ssize_t n = write(fds[1], packet, length);

		close(fds[1]);
		if (n == (ssize_t)length)
			return fds[0];
		close(fds[0]);
	}
	fds[0] = memfd_create("packet", MFD_CLOEXEC);
	if (fds[0] < 0)
		return -1;
	for (size_t done = 0; done < length;) {
		ssize_t n = pwrite(fds[0], packet + done, length - done, (off_t)done);

		if (n <= 0) {
			close(fds[0]);
			return -1;
		}
		done += (size_t)n;
	}
	return fds[0];
}

/* Starts the command; 0 or an errno. */
static int spawn(struct run *run, struct worker *w, int input, int output)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return error;
	error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (!error && output >= 0)
		error = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!error)
		error = posix_spawnp(&w->pid, run->jobs->command[0], &actions, &run->attributes,
				     run->jobs->command, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error)
		w->pid = 0;
	return error;
}

static struct result *result_of(const struct run *run, uint64_t packet)
{
	return &run->results[packet % run->window];
}

static void cannot_run(struct run *run, int error)
{
	cli_error("running", run->jobs->command[0], error);
	stop(run, error == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_RUN);
}

/* Gives the packet to the worker that has been free the longest. */
static void start(struct run *run, const char *packet, size_t length)
{
	unsigned number = run->idle[run->idle_first];
	struct worker *w = &run->workers[number];
	struct result *result = NULL;
	int input = packet_file(packet, length);
	int error = input < 0 ? errno : 0;

	w->packet = run->jobs->in->number;
	if (!error && run->jobs->keep_order) {
		result = result_of(run, w->packet);
		*result = (struct result){ .output = memfd_create("result", MFD_CLOEXEC),
					   .used = true };
		error = result->output < 0 ? errno : 0;
	}
	snprintf(packet_variable, sizeof(packet_variable), "XPACKET_SEQ=%llu",
		 (unsigned long long)w->packet);
	snprintf(worker_variable, sizeof(worker_variable), "XPACKET_WORKER=%u", number + 1);
	if (!error)
		error = spawn(run, w, input, result ? result->output : -1);
	if (input >= 0)
		close(input);
	if (error) {
		cannot_run(run, error);
		return;
	}
	run->idle_first = (run->idle_first + 1) % run->jobs->workers;
	run->idle_count--;
}

/* Whoever asks to stop does not want to wait for the output either. */
static int on_progress(const struct xp_report *report, void *arg)
{
	(void)report;
	(void)arg;
	return signals_stop();
}

static void print_result(struct run *run, int output)
{
	loff_t at = 0;
	struct xp_transfer job = {
		.in = output,
		.out = STDOUT_FILENO,
		.in_offset = &at,
		.length = XP_TO_END,
		.progress = on_progress,
	};
	struct xp_report report;

	if (signals_stop() || run->output_failed || !xp_transfer(&job, &report))
		return;
	run->output_failed = true;
	if (report.error != ECANCELED)
		cli_error("writing", "standard output", report.error);
	stop(run, CLI_FAILED);
}

/* Prints a result that is due, and all that waited for it. */
static void print_due(struct run *run)
{
	struct result *r = result_of(run, run->printed + 1);

	while (r->used && r->done) {
		print_result(run, r->output);
		close(r->output);
		r->used = false;
		run->printed++;
		r = result_of(run, run->printed + 1);
	}
}

/* "KILL", or the number of one that has no name. */
static const char *signal_name(int number, char text[16])
{
	const char *name = sigabbrev_np(number);

	if (name)
		return name;
	snprintf(text, 16, "%d", number);
	return text;
}

static void judge(struct run *run, const struct worker *w, unsigned number, int status)
{
	char text[16];

	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	run->failures++;
	if (WIFSIGNALED(status) && !signals_stop())
		cli_say("packet %llu (worker %u): killed by signal %s",
			(unsigned long long)w->packet, number + 1,
			signal_name(WTERMSIG(status), text));
	if (run->jobs->halt)
		stop(run, CLI_OK);
}

/* Frees the workers whose command has ended. */
static void reap(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		unsigned i = 0;

		while (i < run->jobs->workers && run->workers[i].pid != pid)
			i++;
		if (i == run->jobs->workers)
			continue; /* a child that was there before this program */
		judge(run, &run->workers[i], i, status);
		run->workers[i].pid = 0;
		run->idle[(run->idle_first + run->idle_count++) % run->jobs->workers] = i;
		if (run->jobs->keep_order) {
			result_of(run, run->workers[i].packet)->done = true;
			print_due(run);
		}
	}
}

/*
 * Passes a signal on, once, to the commands and to what they have started: each has a process
 * group of its own. They are waited for all the same.
 */
static void pass_on(struct run *run)
{
	if (run->passed_on)
		return;
	run->passed_on = true;
	stop(run, CLI_FAILED);
	for (unsigned i = 0; i < run->jobs->workers; i++)
		if (run->workers[i].pid)
			kill(-run->workers[i].pid, SIGTERM);
}

static void input_failed(struct run *run, int error)
{
	if (error == EINVAL) {
		cli_complain("reading", "standard input", "not a pipe");
	} else if (error == EBADMSG) {
		char cause[64];

		snprintf(cause, sizeof(cause), "record %llu: malformed netstring",
			 (unsigned long long)run->jobs->in->number + 1);
		cli_complain("reading", "standard input", cause);
	} else {
		cli_error("reading", "standard input", error);
	}
	stop(run, CLI_FAILED);
}

/* Room for one more: a free worker, and a place for its result. */
static bool has_room(const struct run *run)
{
	return !run->stopped && run->idle_count &&
	       run->jobs->in->number - run->printed < run->window;
}

/* Takes one packet. True if it is worth trying again at once. */
static bool take(struct run *run)
{
	const char *packet;
	size_t length, available;
	int result = intake_next(run->jobs->in, true, &packet, &length, &available);

	if (result == -EAGAIN || result == -EINTR)
		return false;
	if (result < 0)
		input_failed(run, -result);
	else if (!result)
		stop(run, CLI_OK);
	if (result <= 0)
		return false;
	run->cut |= length > available;
	if (length > available)
		cli_say("record %llu: cut at %zu of %zu bytes",
			(unsigned long long)run->jobs->in->number, available, length);
	run->jobs->report.bytes += available;
	run->jobs->report.calls++;
	if (!run->jobs->keep_order)
		run->printed = run->jobs->in->number;
	start(run, packet, available);
	return true;
}

static void wait_for_something(struct run *run)
{
	struct pollfd input = { .fd = has_room(run) ? STDIN_FILENO : -1, .events = POLLIN };

	ppoll(&input, 1, NULL, &run->waiting);
}

/* How many results may be open at once, leaving descriptors for the rest. */
static uint64_t window(unsigned workers)
{
	uint64_t wanted = (uint64_t)workers * WINDOW_PER_WORKER;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted + OTHER_DESCRIPTORS)
		return wanted;
	return limit.rlim_cur > OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : 1;
}

static int prepare(struct run *run)
{
	struct sigaction action = { .sa_handler = on_child };
	sigset_t blocked;

	run->workers = calloc(run->jobs->workers, sizeof(*run->workers));
	run->idle = calloc(run->jobs->workers, sizeof(*run->idle));
	run->window = window(run->jobs->workers);
	run->results = calloc(run->window, sizeof(*run->results));
	if (!run->workers || !run->idle || !run->results)
		return ENOMEM;
	for (unsigned i = 0; i < run->jobs->workers; i++)
		run->idle[run->idle_count++] = i;
	snprintf(packet_variable, sizeof(packet_variable), "XPACKET_SEQ=0");
	snprintf(worker_variable, sizeof(worker_variable), "XPACKET_WORKER=0");
	if (putenv(packet_variable) || putenv(worker_variable))
		return ENOMEM;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	if (sigaction(SIGCHLD, &action, NULL) || sigprocmask(SIG_BLOCK, &blocked, &run->waiting))
		return errno;
	sigdelset(&run->waiting, SIGCHLD);
	return posix_spawnattr_init(&run->attributes)                              ?:
		       posix_spawnattr_setsigmask(&run->attributes, &run->waiting) ?:
		       posix_spawnattr_setpgroup(&run->attributes, 0)              ?:
		       posix_spawnattr_setflags(&run->attributes,
						POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
}

static void work(struct run *run)
{
	for (;;) {
		reap(run);
		if (meter_tick(run->jobs->meter, &run->jobs->report))
			pass_on(run);
		if (has_room(run) && take(run))
			continue;
		if (run->stopped && run->idle_count == run->jobs->workers)
			break;
		if (!run->stopped || run->idle_count < run->jobs->workers)
			wait_for_something(run);
	}
}

int jobs_run(struct jobs *jobs)
{
	struct run run = { .jobs = jobs };
	int error = prepare(&run);

	if (error) {
		cli_say("%s", strerror(error));
		run.status = CLI_FAILED;
	} else {
		work(&run);
		posix_spawnattr_destroy(&run.attributes);
	}
	if (run.failures && !signals_stop())
		cli_say("%llu of %llu commands failed", (unsigned long long)run.failures,
			(unsigned long long)jobs->in->number);
	free(run.workers);
	free(run.idle);
	free(run.results);
	return run.status ? run.status : run.failures || run.cut ? CLI_FAILED : CLI_OK;
}
