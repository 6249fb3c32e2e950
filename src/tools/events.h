/* SPDX-License-Identifier: GPL-2.0-or-later */
/* events.h - an event as a line, as an object, by a format, or as variables. */
#ifndef EXTPIPE_TOOLS_EVENTS_H
#define EXTPIPE_TOOLS_EVENTS_H

#include <extpipe.h>
#include <stdbool.h>
#include <stdio.h>

enum event_style { EVENT_TEXT, EVENT_JSON, EVENT_FORMAT };

struct event_printer {
	enum event_style style;
	const char *format; /* EVENT_FORMAT: one that event_format_error() finds nothing in */
	bool numbered;      /* EVENT_TEXT: the watch's number stands in the line */
	char end;           /* what ends an event */
};

/* What is wrong with a format; NULL where nothing is. @at is where, @length how long it is. */
const char *event_format_error(const char *format, const char **at, int *length);

/* "attach", "removal", "loss"; "unknown" where the library has no name. */
const char *event_name(const struct xp_event *event);

/* Writes one event and what ends it. */
void event_print(FILE *to, const struct event_printer *printer, const struct xp_event *event);

/* Writes what is known of an event as variables: "WATCHQ_NAME=value", each ended by NUL. */
void event_variables(FILE *to, const struct xp_event *event);

#endif
