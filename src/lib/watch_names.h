/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_names.h - the table of sources: names, kernel types, records, events. */
#ifndef EXTPIPE_LIB_WATCH_NAMES_H
#define EXTPIPE_LIB_WATCH_NAMES_H

#include "extpipe.h"

/* What there is to know of a source. */
struct source_row {
	const char *name;
	unsigned type;             /* XP_WATCH_TYPE_* */
	size_t record;             /* least length of its records, bytes */
	enum xp_feature_id native; /* the feature that says whether the queue serves it */
	const char *const *events;
	int count;
	int recorded; /* of these, what records have: the first so many */
};

extern const struct source_row watch_sources[XP_SOURCE_COUNT];

/* The source whose records are of that type; XP_SOURCE_COUNT if there is none. */
enum xp_source watch_source_of(unsigned type);

/* A bit for each event of a source. */
static inline uint64_t watch_all_events(enum xp_source source)
{
	return (1ull << watch_sources[source].count) - 1;
}

#endif
