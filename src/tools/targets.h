/* SPDX-License-Identifier: GPL-2.0-or-later */
/* targets.h - WATCH operands: key:KEY, mount[:PATH], sb:PATH, block[:DEVICE]. */
#ifndef EXTPIPE_TOOLS_TARGETS_H
#define EXTPIPE_TOOLS_TARGETS_H

#include <extpipe.h>
#include <stdbool.h>

struct target {
	const char *name;   /* as it was given */
	const char *object; /* what follows the colon, or NULL */
	enum xp_source source;
};

/* Which events are wanted of each source: bit N, event N; 0: none. */
struct event_choice {
	uint64_t events[XP_SOURCE_COUNT];
	uint64_t named[XP_SOURCE_COUNT]; /* those that were called by both their names */
};

/* The bits of all events that a source has. */
uint64_t events_of(enum xp_source source);

/* Reads one WATCH. Returns NULL, or what is wrong with it. */
const char *target_parse(struct target *target, const char *text);

/*
 * Reads "SOURCE.EVENT,...", where either may be *, and SOURCE alone is all of it. Returns NULL, or
 * what is wrong, with the word in @word, which is changed in place.
 */
const char *choice_parse(struct event_choice *choice, char *list, const char **word);

/* Finds or opens what is to be watched. Returns 0 or an errno; close @found->fd if it isn't -1. */
int target_open(const struct target *target, struct xp_target *found);

/* Is it a mount namespace by its file, maybe another than this process's? */
bool target_is_namespace(const struct xp_target *found);

/* What an errno of target_open() or xp_watch_add() means for this source. */
const char *target_error(const struct target *target, int error);

#endif
