/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuseway.h - which way replies go. Where there is a choice it is measured: for each class of
 * sizes the first replies go by each way in turn, and what took the least processor time stays.
 */
#ifndef EXTPIPE_TOOLS_FUSEWAY_H
#define EXTPIPE_TOOLS_FUSEWAY_H

#include <extpipe.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define FUSEWAY_MAX 3

struct fuseway {
	unsigned count;
	enum xp_via ways[FUSEWAY_MAX];
	/* Told what was measured. */
	void (*tell)(const char *line);
};

/* One reply's way, and what is measured of it. */
struct fuseway_trial {
	unsigned way; /* index in ways */
	unsigned class;
	bool timed;
	struct timespec before;
};

/* The way for a reply of @size bytes. Any thread may call it. */
void fuseway_begin(struct fuseway *ways, size_t size, struct fuseway_trial *trial);

/* After a reply of @size bytes; one that failed, or is of another class, tells nothing. */
void fuseway_end(struct fuseway *ways, const struct fuseway_trial *trial, ssize_t size);

/* At the end: tells what had been measured where nothing was settled yet. */
void fuseway_finish(const struct fuseway *ways);

#endif
