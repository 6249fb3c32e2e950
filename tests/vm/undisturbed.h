/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * undisturbed.h - a processor for one process, so that what it wakes up comes too late.
 */
#ifndef EXTPIPE_TESTS_UNDISTURBED_H
#define EXTPIPE_TESTS_UNDISTURBED_H

#include "vm.h"

#include <sched.h>

/*
 * How long in a second the kernel lets ordinary processes have processor 0 although a real-time
 * one does not let go of it, in nanoseconds.
 */
#define FAIR_RUNTIME "/sys/kernel/debug/sched/fair_server/cpu0/runtime"

struct undisturbed {
	cpu_set_t processors;
	char fair_runtime[32];
};

/*
 * From now on this process has processor 0 for itself until it sleeps, however long that takes.
 * Its children run there too, when it lets them. Returns what was before.
 */
static inline struct undisturbed begin_undisturbed(void)
{
	struct sched_param first = { .sched_priority = 1 };
	FILE *fair_runtime = fopen(FAIR_RUNTIME, "re");
	struct undisturbed before;
	cpu_set_t one;

	must(fair_runtime);
	must(fgets(before.fair_runtime, sizeof(before.fair_runtime), fair_runtime));
	fclose(fair_runtime);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	must(!sched_getaffinity(0, sizeof(before.processors), &before.processors));
	must(!sched_setaffinity(0, sizeof(one), &one));
	must(!mlockall(MCL_CURRENT | MCL_FUTURE)); /* a page that has to be read makes it sleep */
	write_file(FAIR_RUNTIME, "0");
	must(!sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first));
	return before;
}

static inline void end_undisturbed(const struct undisturbed *before)
{
	struct sched_param normal = { .sched_priority = 0 };

	must(!sched_setscheduler(0, SCHED_OTHER, &normal) && !munlockall());
	must(!sched_setaffinity(0, sizeof(before->processors), &before->processors));
	write_file(FAIR_RUNTIME, before->fair_runtime);
}

#endif
