/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shim.h - what becomes of each call, counted and told. */
#ifndef EXTPIPE_SHIM_SHIM_H
#define EXTPIPE_SHIM_SHIM_H

#include <stdbool.h>

#include "tally.h"

/* Where processes count; NULL where nobody asked. */
extern struct tally *tally;

static inline void tally_count(enum shim_call call, enum tally_end end)
{
	if (__builtin_expect(tally != NULL, 0))
		atomic_fetch_add_explicit(&tally->calls[call][end], 1, memory_order_relaxed);
}

/*
 * Tells, once in a process for each call and errno, that the kernel refused with @error and what
 * came of it. Leaves errno alone.
 */
void tally_tell(enum shim_call call, int error, const char *outcome);

#endif
