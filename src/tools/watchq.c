/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchq - keys, mounts, file systems and block devices: what happens to them, as lines. */
#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "events.h"
#include "meter.h"
#include "react.h"
#include "records.h"
#include "sandbox.h"
#include "signals.h"
#include "targets.h"

#define MOST_NOTES 512
#define MOST_WATCHES 256
#define MOST_SECONDS 1e9
#define MOST_LATE 1.0 /* seconds that taking what came in time may take */
#define PIPEFS_MAGIC 0x50495045

enum {
	KEY_JSON = CLI_KEY_TOOL,
	KEY_FORMAT,
	KEY_RAW,
	KEY_INITIAL,
	KEY_READY,
	KEY_QUEUE,
	KEY_STRICT,
	KEY_BACKEND,
	KEY_LIST,
};

/* How events are printed; raw is the kernel's own records. */
enum output { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_FORMAT, OUTPUT_RAW };

struct watchq {
	struct cli_common common;
	struct target targets[MOST_WATCHES];
	unsigned count; /* of targets */
	struct xp_watch_options queue;
	struct event_choice choice;
	enum output output;
	bool output_given, null, chosen, initial, strict, list;
	const char *format, *command;
	int ready;      /* descriptor for the line, or -1 */
	uint64_t most;  /* events to be printed; 0: no limit */
	double seconds; /* of time to run; below 0: no limit */

	struct xp_watch *watch;
	struct meter meter;
	struct event_printer printer;
	struct writer writer;
	FILE *memory; /* where an event is put together */
	char *text;
	size_t text_size;
	double deadline; /* seconds after the start */
	bool foreign;    /* another mount namespace is watched */
	bool idle_pipe;  /* a dead reader is noticed while nothing happens */
	uint64_t events, losses, bytes, failures;
	unsigned backends;                  /* bit N: backend N serves a watch */
	unsigned seen[XP_SOURCE_COUNT][64]; /* bit N: --explain has told of backend N */
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "How events are printed:", 1 },
	{ "json", KEY_JSON, NULL, 0, "One JSON object a line", 0 },
	{ "format", KEY_FORMAT, "FORMAT", 0,
	  "%t time, %s source, %e event, %i watch number, %{NAME} a field", 0 },
	{ "null", '0', NULL, 0, "End each with NUL instead of newline", 0 },
	{ "raw", KEY_RAW, NULL, 0, "The kernel's records, unchanged", 0 },
	{ NULL, 0, NULL, 0, "Which, and how long:", 2 },
	{ "only", 'o', "SOURCE.EVENT", 0, "Only these, with commas between; either may be *", 0 },
	{ "count", 'n', "N", 0, "Stop after N events", 0 },
	{ "timeout", 't', "SECONDS", 0, "Stop after SECONDS; status 124 if none came", 0 },
	{ "initial", KEY_INITIAL, NULL, 0, "Begin with the state now, as events", 0 },
	{ "strict", KEY_STRICT, NULL, 0, "Stop with status 5 when events were lost", 0 },
	{ NULL, 0, NULL, 0, "What else is done:", 3 },
	{ "ready", KEY_READY, "FD", OPTION_ARG_OPTIONAL,
	  "Write a line to FD (2) once every watch is set", 0 },
	{ "exec", 'x', "COMMAND", 0, "Run it by the shell for each event, which is in WATCHQ_*",
	  0 },
	{ NULL, 0, NULL, 0, "Where events come from:", 4 },
	{ "backend", KEY_BACKEND, "auto|queue|stock", 0,
	  "The best there is, the notification queue, or anything else", 0 },
	{ "queue", KEY_QUEUE, "N", 0, "Room in the queue for N notes, 1 to 512 (256)", 0 },
	{ "list", KEY_LIST, NULL, 0, "List sources and events, and how each is served here", 0 },
	{ 0 },
};

static error_t set_output(struct watchq *x, enum output output, struct argp_state *state)
{
	if (x->output_given && x->output != output)
		argp_error(state, "--json, --format and --raw exclude each other");
	x->output_given = true;
	x->output = output;
	return 0;
}

static error_t parse_format(struct watchq *x, const char *arg, struct argp_state *state)
{
	const char *at = "";
	int length = 0;
	const char *wrong = event_format_error(arg, &at, &length);

	if (wrong)
		argp_error(state, "--format: '%.*s': %s", length, at, wrong);
	x->format = arg;
	return set_output(x, OUTPUT_FORMAT, state);
}

static error_t parse_only(struct watchq *x, char *arg, struct argp_state *state)
{
	const char *word = "";
	const char *wrong = choice_parse(&x->choice, arg, &word);

	if (wrong)
		argp_error(state, "--only: '%s': %s; --list has them", word, wrong);
	x->chosen = true;
	return 0;
}

/* Decimal seconds, with a fraction or without. */
static double parse_seconds(const char *arg, struct argp_state *state)
{
	size_t whole = strspn(arg, "0123456789");
	size_t fraction = arg[whole] == '.' ? strspn(arg + whole + 1, "0123456789") : 0;
	double seconds = strtod(arg, NULL);

	if (whole + fraction == 0 || arg[whole + (arg[whole] == '.') + fraction] ||
	    seconds > MOST_SECONDS)
		argp_error(state, "--timeout: '%s' is no number of seconds", arg);
	return seconds;
}

static error_t parse_watch(struct watchq *x, const char *arg, struct argp_state *state)
{
	const char *wrong;

	if (x->count == MOST_WATCHES)
		argp_error(state, "more than %d watches", MOST_WATCHES);
	wrong = target_parse(&x->targets[x->count], arg);
	if (wrong)
		argp_error(state, "'%s': %s", arg, wrong);
	x->count++;
	return 0;
}

static error_t check(struct watchq *x, struct argp_state *state)
{
	if (x->list && x->count)
		argp_error(state, "--list and '%s' exclude each other", x->targets[0].name);
	if (x->list && x->output != OUTPUT_TEXT && x->output != OUTPUT_JSON)
		argp_error(state, "--list prints a table, or JSON");
	if (!x->list && !x->count)
		argp_error(state, "watch what?");
	for (unsigned i = 0; x->chosen && i < x->count; i++)
		if (!x->choice.events[x->targets[i].source])
			argp_error(state, "--only leaves nothing of '%s'", x->targets[i].name);
	if (x->output == OUTPUT_RAW && x->queue.backend == XP_BACKEND_STOCK)
		argp_error(state, "--raw needs the queue");
	if (x->output == OUTPUT_RAW && (x->null || x->initial))
		argp_error(state, "--raw prints records alone, without --null and --initial");
	if (x->common.no_fallback && x->queue.backend == XP_BACKEND_STOCK)
		argp_error(state, "--no-fallback allows the queue alone");
	return 0;
}

static error_t parse_output(struct watchq *x, int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case KEY_JSON:
		return set_output(x, OUTPUT_JSON, state);
	case KEY_FORMAT:
		return parse_format(x, arg, state);
	case KEY_RAW:
		return set_output(x, OUTPUT_RAW, state);
	case '0':
		x->null = true;
		return 0;
	case 'o':
		return parse_only(x, arg, state);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_option(struct watchq *x, int key, char *arg, struct argp_state *state)
{
	static const char *const backends[] = { "auto", "queue", "stock", NULL };

	switch (key) {
	case 'n':
		x->most = cli_number_option(state, "--count", arg, 1, UINT_MAX);
		return 0;
	case 't':
		x->seconds = parse_seconds(arg, state);
		return 0;
	case KEY_INITIAL:
		x->initial = true;
		return 0;
	case KEY_READY:
		x->ready = arg ? (int)cli_number_option(state, "--ready", arg, 0, INT_MAX) :
				 STDERR_FILENO;
		return 0;
	case KEY_STRICT:
		x->strict = true;
		return 0;
	case 'x':
		x->command = arg;
		return 0;
	case KEY_QUEUE:
		x->queue.depth = cli_number_option(state, "--queue", arg, 1, MOST_NOTES);
		return 0;
	case KEY_BACKEND:
		x->queue.backend = XP_BACKEND_AUTO +
				   (unsigned)cli_word_option(state, "--backend", arg, backends);
		return 0;
	case KEY_LIST:
		x->list = true;
		return 0;
	default:
		return parse_output(x, key, arg, state);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watchq *x = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &x->common;
		return 0;
	case ARGP_KEY_ARG:
		return parse_watch(x, arg, state);
	case ARGP_KEY_END:
		return check(x, state);
	default:
		return parse_option(x, key, arg, state);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "WATCH...\n--list",
	.doc = "Print what happens to keys, mounts, file systems and block devices, one event a "
	       "line.\v"
	       "WATCH is key:KEY (@s, @u, a number, %TYPE:NAME; as for keyctl), mount (this "
	       "namespace) or mount:PATH (what is mounted there and below, or a namespace's file), "
	       "sb:PATH (the file system that PATH is on), block (all devices) or block:DEVICE.",
	.children = cli_common_children,
};

/* What would tell of events that are not seen here. */
static const char *remedy(enum xp_source source)
{
	return source == XP_SOURCE_KEY ? "a kernel with CONFIG_WATCH_QUEUE tells of it" :
					 "a kernel with the extpipe patches tells of it";
}

/* Why some events of a source are not seen here: for want of a right, or of a kernel. */
static const char *lack(enum xp_source source, const struct xp_service *service)
{
	return strstr(service->why, "CAP_") ? service->why : remedy(source);
}

static int unsupported(const struct target *target, const char *why, const char *would)
{
	char cause[256];

	snprintf(cause, sizeof(cause), "%s%s%s", why, would ? "; " : "", would ? would : "");
	cli_complain("watching", target->name, cause);
	return CLI_UNSUPPORTED;
}

static int failed(const struct target *target, int error)
{
	cli_complain("watching", target->name, target_error(target, error));
	return error == EOPNOTSUPP ? CLI_UNSUPPORTED : CLI_FAILED;
}

/* Names each event that was asked for by name and will never come; not the others. */
static void tell_unserved(const struct watchq *x, enum xp_source source,
			  const struct xp_service *service)
{
	uint64_t never = x->choice.named[source] & ~service->events;

	for (int i = 0; i < 64; i++)
		if (never >> i & 1)
			cli_say("%s.%s: not seen here; %s", xp_source_name(source),
				xp_event_name(source, i), lack(source, service));
}

/* Can this source be watched as it was asked for? Returns an exit status. */
static int check_service(struct watchq *x, const struct target *target, struct xp_service *service)
{
	uint64_t wanted = x->chosen ? x->choice.events[target->source] : UINT64_MAX;

	if (xp_watch_service(x->watch, target->source, service))
		return failed(target, errno);
	if (service->backend == XP_BACKEND_AUTO)
		return unsupported(target, service->why,
				   x->queue.backend == XP_BACKEND_STOCK ? remedy(target->source) :
									  NULL);
	if (service->backend != XP_BACKEND_QUEUE && x->output == OUTPUT_RAW)
		return unsupported(target, "only the queue has records", remedy(target->source));
	if (service->backend != XP_BACKEND_QUEUE && x->common.no_fallback)
		return unsupported(target, "the queue does not serve it here", NULL);
	if (!(service->events & wanted))
		return unsupported(target, "none of the events asked for is seen here",
				   lack(target->source, service));
	tell_unserved(x, target->source, service);
	return CLI_OK;
}

static int add(struct watchq *x, const struct target *target)
{
	struct xp_service service;
	struct xp_target found;
	int error, number, status = check_service(x, target, &service);

	if (status)
		return status;
	error = target_open(target, &found);
	if (!error) {
		found.events = x->chosen ? x->choice.events[target->source] & service.events : 0;
		found.flags = x->initial ? XP_WATCH_INITIAL : 0;
		number = xp_watch_add(x->watch, &found);
		error = number < 0 ? errno : 0;
		x->foreign |= target_is_namespace(&found);
	}
	if (found.fd >= 0)
		close(found.fd);
	if (error)
		return failed(target, error);
	x->backends |= 1u << service.backend;
	if (x->common.explain)
		cli_say("watch %d, %s: %s: %s", number, target->name,
			xp_backend_name(service.backend), service.why);
	if (service.backend != XP_BACKEND_QUEUE && !x->meter.fallback[0])
		snprintf(x->meter.fallback, sizeof(x->meter.fallback), "%s", service.why);
	return CLI_OK;
}

static int open_watch(struct watchq *x)
{
	x->watch = xp_watch_open(&x->queue);
	if (x->watch)
		return CLI_OK;
	if (errno != EOPNOTSUPP) {
		cli_say("opening the queue: %s", strerror(errno));
		return CLI_FAILED;
	}
	cli_say("no notification queue here; a kernel with CONFIG_WATCH_QUEUE would have it");
	return CLI_UNSUPPORTED;
}

static void list_event(const struct watchq *x, enum xp_source source, int event,
		       const struct xp_service *service)
{
	bool seen = service->backend != XP_BACKEND_AUTO && service->events >> event & 1;
	const char *backend = seen ? xp_backend_name(service->backend) : NULL;
	const char *why = seen || service->backend == XP_BACKEND_AUTO ? service->why :
			  service->backend == XP_BACKEND_QUEUE        ? "no event of the queue" :
									remedy(source);

	if (x->output == OUTPUT_JSON) {
		printf("{\"source\":\"%s\",\"event\":\"%s\",\"backend\":%s%s%s,\"why\":",
		       xp_source_name(source), xp_event_name(source, event), backend ? "\"" : "",
		       backend ? backend : "null", backend ? "\"" : "");
		cli_json_string(stdout, why);
		fputs("}", stdout);
	} else {
		printf("%-7s %-13s %-10s %s", xp_source_name(source), xp_event_name(source, event),
		       backend ? backend : "-", why);
	}
	putchar(x->printer.end);
}

static int list(struct watchq *x)
{
	struct xp_service service;

	if (x->output != OUTPUT_JSON)
		printf("%-7s %-13s %-10s %s%c", "SOURCE", "EVENT", "SERVED BY", "WHY",
		       x->printer.end);
	for (unsigned s = XP_SOURCE_META + 1; s < XP_SOURCE_COUNT; s++) {
		if (xp_watch_service(x->watch, s, &service)) {
			cli_say("listing: %s", strerror(errno));
			return CLI_FAILED;
		}
		for (int i = 0; i < 64 && xp_event_name(s, i); i++)
			list_event(x, s, i, &service);
	}
	return CLI_OK;
}

static int tell_ready(const struct watchq *x)
{
	char object[16];

	if (x->ready < 0)
		return CLI_OK;
	if (dprintf(x->ready, "ready\n") < 0) {
		snprintf(object, sizeof(object), "fd:%d", x->ready);
		cli_error("writing", object, errno);
		return CLI_FAILED;
	}
	/* Who reads that descriptor to its end waits no longer. */
	if (x->ready > STDERR_FILENO)
		close(x->ready);
	return CLI_OK;
}

static void tell_progress(struct watchq *x)
{
	meter_clear(&x->meter);
	cli_say("%llu events, %llu losses, %.0f s", (unsigned long long)x->events,
		(unsigned long long)x->losses, meter_seconds(&x->meter));
}

static int writing_failed(int error)
{
	if (error != EINTR) /* a signal that ends the run needs no words */
		cli_error("writing", "standard output", error);
	return CLI_FAILED;
}

/* Puts an event out, at once. Returns 0 or an errno. */
static int put_event(struct watchq *x, const struct xp_event *event)
{
	int error;

	if (x->output == OUTPUT_RAW) {
		error = writer_put(&x->writer, event->record, event->record_size);
		x->bytes += event->record_size;
	} else {
		if (fseeko(x->memory, 0, SEEK_SET))
			return errno;
		event_print(x->memory, &x->printer, event);
		if (fflush(x->memory))
			return ENOMEM;
		error = writer_put(&x->writer, x->text, x->text_size);
		x->bytes += x->text_size;
	}
	return -(error ? error : writer_flush(&x->writer));
}

/* With --explain: who sees an event of this kind, said once. */
static void explain(struct watchq *x, const struct xp_event *event)
{
	unsigned kind = event->event < 0 || event->event > 62 ? 63 : (unsigned)event->event;

	if (!x->common.explain || x->seen[event->source][kind] >> event->backend & 1)
		return;
	x->seen[event->source][kind] |= 1u << event->backend;
	cli_say("%s %s: seen by %s", xp_source_name(event->source), event_name(event),
		xp_backend_name(event->backend));
}

/* One event. Returns a negative number to go on, or the exit status. */
static int handle(struct watchq *x, const struct xp_event *event)
{
	bool loss = event->source == XP_SOURCE_META && event->event == XP_META_LOSS;
	int error;

	/* What was found by looking again has no record. */
	if (x->output == OUTPUT_RAW && !event->record)
		return -1;
	explain(x, event);
	error = put_event(x, event);
	if (error)
		return writing_failed(error);
	x->events++;
	x->losses += loss;
	if (x->command) {
		int result = react(x->command, event);

		if (result < 0)
			return CLI_CANNOT_RUN;
		x->failures += (unsigned)result;
	}
	if (loss && x->strict)
		return CLI_LOST;
	return x->events == x->most ? CLI_OK : -1;
}

/* As a write would: a reader that went away ends it, quietly. */
static int reader_gone(void)
{
	struct sigaction action;

	if (!sigaction(SIGPIPE, NULL, &action) && action.sa_handler != SIG_IGN)
		raise(SIGPIPE);
	return writing_failed(EPIPE);
}

/* Waits for the next event, the end of the time, or a signal. Returns as handle() does. */
static int wait_for_event(struct watchq *x)
{
	struct pollfd fds[] = {
		{ .fd = xp_watch_fd(x->watch), .events = POLLIN },
		{ .fd = x->idle_pipe ? STDOUT_FILENO : -1 },
	};
	double left = x->deadline - meter_seconds(&x->meter);
	struct timespec time;

	if (left < 0)
		left = 0;
	time.tv_sec = (time_t)left;
	time.tv_nsec = (long)((left - (double)time.tv_sec) * 1e9);
	if (ppoll(fds, 2, x->seconds < 0 ? NULL : &time, NULL) < 0 && errno != EINTR) {
		cli_say("waiting: %s", strerror(errno));
		return CLI_FAILED;
	}
	if (fds[1].revents & POLLERR)
		return reader_gone();
	return -1;
}

/* A failure to get the next event. Returns as handle() does. */
static int no_event(struct watchq *x, const struct xp_event *event, int error)
{
	switch (error) {
	case EAGAIN:
		return wait_for_event(x);
	case EINTR:
	case ENOMEM: /* the next call tells of a loss */
		return -1;
	case EBADMSG:
		cli_say("reading the queue: a malformed record of %zu bytes", event->record_size);
		x->failures++;
		if (x->output == OUTPUT_RAW)
			error = put_event(x, event);
		return x->output == OUTPUT_RAW && error ? writing_failed(error) : -1;
	default:
		cli_say("reading events: %s", strerror(error));
		return CLI_FAILED;
	}
}

/* Is the time over? What came in time is still taken, but for ever only the state. */
static bool is_over(const struct watchq *x, const struct xp_event *event)
{
	double left = x->seconds < 0 ? 1 : x->deadline - meter_seconds(&x->meter);

	return left <= 0 && (!event || (left < -MOST_LATE && !(event->flags & XP_EVENT_INITIAL)));
}

static int watch(struct watchq *x)
{
	struct xp_watch *from = x->watch;
	struct xp_event event;
	int result, status = -1;

	while (status < 0) {
		if (signals_asked() ||
		    (x->common.progress && meter_seconds(&x->meter) - x->meter.shown >= 0.99)) {
			tell_progress(x);
			x->meter.shown = meter_seconds(&x->meter);
		}
		if (signals_stop())
			return CLI_FAILED;
		result = xp_watch_next(from, &event, XP_NONBLOCK);
		if (!result)
			return CLI_OK;
		if (is_over(x, result > 0 ? &event : NULL))
			return x->events ? CLI_OK : CLI_TIMEOUT;
		status = result > 0 ? handle(x, &event) : no_event(x, &event, errno);
	}
	return status;
}

/* Everything that needs privileges or paths; then without them. */
static int prepare(struct watchq *x)
{
	struct statfs fs;
	int status = CLI_OK;

	/* A FIFO may get another reader. */
	x->idle_pipe = !fstatfs(STDOUT_FILENO, &fs) && fs.f_type == PIPEFS_MAGIC;
	tzset(); /* it opens a file, and gmtime_r(3) would do it later */
	for (unsigned i = 0; i < x->count && !status; i++)
		status = add(x, &x->targets[i]);
	if (!status && !x->command)
		status = sandbox_enter_watching(&x->common, x->foreign);
	if (!status)
		status = tell_ready(x);
	x->deadline = meter_seconds(&x->meter) + x->seconds;
	return status;
}

/* Those that serve the watches, as "fanotify+uevent". */
static const char *method(const struct watchq *x, char text[80])
{
	*text = '\0';
	for (unsigned i = 0; i < XP_BACKEND_COUNT; i++)
		if (x->backends >> i & 1)
			snprintf(text + strlen(text), 80 - strlen(text), "%s%s", *text ? "+" : "",
				 xp_backend_name(i));
	return text;
}

static void print_stats(const struct watchq *x)
{
	unsigned long long events = x->events, losses = x->losses, bytes = x->bytes;
	double seconds = meter_seconds(&x->meter);
	char text[80];

	if (x->common.stats == CLI_STATS_TEXT)
		cli_say("%llu events, %llu losses, %llu bytes in %.3f s, by %s", events, losses,
			bytes, seconds, method(x, text));
	if (x->common.stats != CLI_STATS_JSON)
		return;
	fprintf(stderr, "{\"tool\":\"watchq\",\"bytes\":%llu,\"seconds\":%.6f,\"method\":\"%s\"",
		bytes, seconds, method(x, text));
	fputs(",\"fallback\":", stderr);
	if (x->meter.fallback[0])
		cli_json_string(stderr, x->meter.fallback);
	else
		fputs("null", stderr);
	fprintf(stderr, ",\"calls\":%llu,\"events\":%llu,\"losses\":%llu,\"failures\":%llu}\n",
		events, events, losses, (unsigned long long)x->failures);
}

/* What events are put together in. */
static int open_output(struct watchq *x)
{
	static const enum event_style styles[] = {
		[OUTPUT_TEXT] = EVENT_TEXT,
		[OUTPUT_JSON] = EVENT_JSON,
		[OUTPUT_FORMAT] = EVENT_FORMAT,
		[OUTPUT_RAW] = EVENT_TEXT,
	};

	x->printer = (struct event_printer){
		.style = styles[x->output],
		.format = x->format,
		.numbered = x->count > 1,
		.end = x->null ? '\0' : '\n',
	};
	x->writer.fd = STDOUT_FILENO;
	x->memory = open_memstream(&x->text, &x->text_size);
	if (x->memory)
		return CLI_OK;
	cli_say("%s", strerror(ENOMEM));
	return CLI_FAILED;
}

static int work(struct watchq *x)
{
	int status;

	if (x->list)
		return list(x);
	meter_start(&x->meter, &x->common, 0);
	status = prepare(x);
	if (!status)
		status = watch(x);
	print_stats(x);
	return status;
}

static int run(struct watchq *x)
{
	int status = open_output(x);

	if (!status)
		status = open_watch(x);
	if (!status)
		status = work(x);
	if (!status && x->failures)
		status = CLI_FAILED;
	xp_watch_close(x->watch);
	if (x->memory)
		fclose(x->memory);
	free(x->text);
	return status;
}

int main(int argc, char **argv)
{
	static struct watchq x = { .ready = -1, .seconds = -1, .queue = { .depth = 0 } };
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	signals_catch(false);
	status = run(&x);
	return signals_end(status);
}
