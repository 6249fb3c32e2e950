/* SPDX-License-Identifier: GPL-2.0-or-later */
/* meter.h - what a run tells on standard error: decisions, progress, statistics. */
#ifndef EXTPIPE_TOOLS_METER_H
#define EXTPIPE_TOOLS_METER_H

#include <extpipe.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cli.h"

struct meter {
	const struct cli_common *common;
	uint64_t total; /* bytes expected, 0 where nobody knows */
	struct timespec start;
	double shown;       /* when progress was last shown, seconds after start */
	bool terminal;      /* standard error is one: redraw in place */
	bool drawn;         /* a line stands there that has to be ended */
	char fallback[160]; /* why a way was given up, "" if none was */
	char detail[160];   /* what else the line of --stats says, "" if nothing */
};

/* Starts the clock; @total in bytes or 0. */
void meter_start(struct meter *meter, const struct cli_common *common, uint64_t total);

/* Seconds since the start. */
double meter_seconds(const struct meter *meter);

/* After each step: shows what is due. Returns 1 where a signal asked to stop. */
int meter_tick(struct meter *meter, const struct xp_report *report);

/* Keeps, and with --explain shows, a decision about @object (NULL: the whole run). */
void meter_decided(struct meter *meter, const struct xp_decision *decision, const char *object);

/* Takes the meter's line off the terminal, before another message or the end. */
void meter_clear(struct meter *meter);

/*
 * --stats at the end. @more writes further members of the JSON object, each after a comma;
 * it may be NULL.
 */
void meter_stats(struct meter *meter, const struct xp_report *report, void (*more)(void *arg),
		 void *arg);

#endif
