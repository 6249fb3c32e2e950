/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stress.h - chance, and an end: what programs that run for a given time share. */
#ifndef EXTPIPE_TESTS_STRESS_H
#define EXTPIPE_TESTS_STRESS_H

#include "vm.h"

static double deadline;
static unsigned int seed;

static inline unsigned int chance(unsigned int of)
{
	return (unsigned int)rand_r(&seed) % of;
}

static inline bool go_on(void)
{
	return now() < deadline;
}

#endif
