/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_set.h - sets of watches. */
#ifndef EXTPIPE_LIB_WATCH_SET_H
#define EXTPIPE_LIB_WATCH_SET_H

#include <stdbool.h>
#include <stdint.h>

#define SET_BITS 256

struct set {
	uint64_t bits[SET_BITS / 64];
};

static inline void set_add(struct set *set, unsigned member)
{
	set->bits[member / 64] |= 1ull << member % 64;
}

static inline void set_drop(struct set *set, unsigned member)
{
	set->bits[member / 64] &= ~(1ull << member % 64);
}

static inline bool set_has(const struct set *set, unsigned member)
{
	return set->bits[member / 64] >> member % 64 & 1;
}

/* All of @other's, too. */
static inline void set_join(struct set *set, const struct set *other)
{
	for (unsigned i = 0; i < SET_BITS / 64; i++)
		set->bits[i] |= other->bits[i];
}

/* The lowest member, or SET_BITS if there is none. */
static inline unsigned set_first(const struct set *set)
{
	for (unsigned i = 0; i < SET_BITS / 64; i++)
		if (set->bits[i])
			return i * 64 + (unsigned)__builtin_ctzll(set->bits[i]);
	return SET_BITS;
}

#endif
