/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "meter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "signals.h"

#define REDRAW_SECONDS 0.1
#define LINE_SECONDS 1.0

void meter_start(struct meter *meter, const struct cli_common *common, uint64_t total)
{
	*meter = (struct meter){
		.common = common,
		.total = total,
		.terminal = isatty(STDERR_FILENO),
	};
	clock_gettime(CLOCK_MONOTONIC, &meter->start);
	if (common->progress)
		signals_every_second();
}

double meter_seconds(const struct meter *meter)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - meter->start.tv_sec) +
	       (double)(now.tv_nsec - meter->start.tv_nsec) / 1e9;
}

/* "1.50 GiB"; @text holds 32 bytes. */
static const char *human(char *text, double bytes)
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	while (bytes >= 1023.995 && unit < (int)sizeof(units) - 2) {
		bytes /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(text, 32, "%.0f B", bytes);
	else
		snprintf(text, 32, "%.2f %ciB", bytes, units[unit]);
	return text;
}

static const char *clock_time(char *text, double seconds)
{
	unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;

	snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	return text;
}

static int columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

/* " [=====>    ]  42% ETA 0:00:10", as wide as what is left of the line. */
static void bar(char *text, size_t room, const struct meter *meter, uint64_t bytes, double seconds)
{
	double part = bytes < meter->total ? (double)bytes / (double)meter->total : 1;
	int width = columns() - 70; /* what stands beside it */
	char left[32], fill[256];
	int done;

	if (width < 10)
		width = 10;
	if (width > 200)
		width = 200;
	done = (int)(part * width);
	memset(fill, ' ', (size_t)width);
	memset(fill, '=', (size_t)done);
	if (done < width)
		fill[done] = '>';
	fill[width] = '\0';
	clock_time(left, part > 0 ? seconds / part - seconds : 0);
	snprintf(text, room, " [%s] %3d%% ETA %s", fill, (int)(part * 100), left);
}

static void show(struct meter *meter, const struct xp_report *report, bool in_place)
{
	double seconds = meter_seconds(meter);
	double rate = seconds > 0 ? (double)report->bytes / seconds : 0;
	char bytes[32], speed[32], elapsed[32], tail[512] = "";

	if (meter->total)
		bar(tail, sizeof(tail), meter, report->bytes, seconds);
	fprintf(stderr, "%s%s %s %s/s%s%s", in_place ? "\r" : "",
		human(bytes, (double)report->bytes), clock_time(elapsed, seconds),
		human(speed, rate), tail, in_place ? "\033[K" : "\n");
	fflush(stderr);
	meter->drawn = in_place;
	meter->shown = seconds;
}

void meter_clear(struct meter *meter)
{
	if (meter->drawn)
		fputc('\n', stderr);
	meter->drawn = false;
}

int meter_tick(struct meter *meter, const struct xp_report *report)
{
	if (signals_asked()) {
		meter_clear(meter);
		show(meter, report, false);
	}
	if (meter->common->progress) {
		double every = meter->terminal ? REDRAW_SECONDS : LINE_SECONDS;

		/* A timer that is a hair early must not cost a second. */
		if (meter_seconds(meter) - meter->shown >= every - 0.01)
			show(meter, report, meter->terminal);
	}
	return signals_stop() ? 1 : 0;
}

void meter_decided(struct meter *meter, const struct xp_decision *decision, const char *object)
{
	const char *from = xp_via_name(decision->from);
	const char *cause = decision->error ? strerror(decision->error) : NULL;
	bool fell = decision->from != XP_VIA_AUTO;

	if (fell && !meter->fallback[0])
		snprintf(meter->fallback, sizeof(meter->fallback), "%s: %s%s%s", from,
			 decision->why, cause ? ": " : "", cause ? cause : "");
	if (!meter->common->explain)
		return;
	meter_clear(meter);
	cli_say("%s%s%s%s%s: %s%s%s", object ? object : "", object ? ": " : "",
		xp_via_name(decision->via), fell ? " instead of " : "", fell ? from : "",
		decision->why, cause ? ": " : "", cause ? cause : "");
}

static void stats_text(const struct meter *meter, const struct xp_report *report)
{
	double seconds = meter_seconds(meter);
	char bytes[32], rate[32];

	cli_say("%llu bytes (%s) in %.3f s, %s/s, by %s in %llu calls%s%s%s%s",
		(unsigned long long)report->bytes, human(bytes, (double)report->bytes), seconds,
		human(rate, seconds > 0 ? (double)report->bytes / seconds : 0),
		xp_via_name(report->via), (unsigned long long)report->calls, meter->detail,
		meter->fallback[0] ? " (" : "", meter->fallback, meter->fallback[0] ? ")" : "");
	if (report->in_flight)
		cli_say("%llu bytes were read and could not be written",
			(unsigned long long)report->in_flight);
}

static void stats_json(const struct meter *meter, const struct xp_report *report,
		       void (*more)(void *arg), void *arg)
{
	fprintf(stderr,
		"{\"tool\":\"%s\",\"bytes\":%llu,\"seconds\":%.6f,\"method\":\"%s\",\"fallback\":",
		program_invocation_short_name, (unsigned long long)report->bytes,
		meter_seconds(meter), xp_via_name(report->via));
	if (meter->fallback[0])
		cli_json_string(stderr, meter->fallback);
	else
		fputs("null", stderr);
	fprintf(stderr, ",\"calls\":%llu,\"in_flight\":%llu", (unsigned long long)report->calls,
		(unsigned long long)report->in_flight);
	if (more)
		more(arg);
	fputs("}\n", stderr);
}

void meter_stats(struct meter *meter, const struct xp_report *report, void (*more)(void *arg),
		 void *arg)
{
	if (meter->common->progress)
		show(meter, report, meter->terminal);
	meter_clear(meter);
	if (meter->common->stats == CLI_STATS_TEXT)
		stats_text(meter, report);
	else if (meter->common->stats == CLI_STATS_JSON)
		stats_json(meter, report, more, arg);
}
