/* SPDX-License-Identifier: GPL-2.0-or-later */
/* jobs.h - runs a command for each packet, several at once: xpacket work. */
#ifndef EXTPIPE_TOOLS_JOBS_H
#define EXTPIPE_TOOLS_JOBS_H

#include <stdbool.h>

#include "intake.h"
#include "meter.h"

struct jobs {
	unsigned workers;
	bool keep_order; /* print results in the order of packets */
	bool halt;       /* start no more after the first failure */
	char **command;
	struct intake *in;
	struct meter *meter;
	struct xp_report report; /* what was taken in */
};

/*
 * Runs the command until the input ends, and waits for all it started, also where a signal or a
 * failure stops it. Returns the exit status, after lines on standard error.
 */
int jobs_run(struct jobs *jobs);

#endif
