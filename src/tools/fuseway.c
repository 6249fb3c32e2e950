/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuseway.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replies by each way; the first are not counted: they find pipes, caches and pages cold. */
#define COLD 4
#define SAMPLES 24

#define UNDECIDED (-1)

static const size_t limits[] = { 4096, 32768, 131072, 1048576 };

#define CLASSES (sizeof(limits) / sizeof(limits[0]))

static struct class {
	atomic_int chosen;
	atomic_uint begun;
	unsigned taken[FUSEWAY_MAX];
	uint32_t cost[FUSEWAY_MAX][COLD + SAMPLES]; /* nanoseconds */
} classes[CLASSES] = {
	{ .chosen = UNDECIDED },
	{ .chosen = UNDECIDED },
	{ .chosen = UNDECIDED },
	{ .chosen = UNDECIDED },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fuseway_begin(struct fuseway *ways, size_t size, struct fuseway_trial *trial)
{
	int chosen = 0;

	*trial = (struct fuseway_trial){ 0 };
	while (trial->class < CLASSES - 1 && size > limits[trial->class])
		trial->class++;
	if (ways->count > 1)
		chosen = atomic_load_explicit(&classes[trial->class].chosen, memory_order_relaxed);
	if (chosen != UNDECIDED) {
		trial->way = (unsigned)chosen;
		return;
	}
	trial->way = atomic_fetch_add(&classes[trial->class].begun, 1) % ways->count;
	trial->timed = true;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &trial->before);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The median: an interrupt that falls into a reply tells nothing about its way. */
static double cost_of(struct class *class, unsigned way)
{
	uint32_t *samples = class->cost[way] + COLD;

	qsort(samples, SAMPLES, sizeof(*samples), compare);
	return (samples[SAMPLES / 2 - 1] + samples[SAMPLES / 2]) / 2000.0;
}

/* "replies of up to 4096 bytes: copy, 2.1 µs of CPU against 3.0 µs by splice and 2.8 by ..." */
static void tell(const struct fuseway *ways, size_t limit, const double *costs, unsigned best)
{
	char line[256];
	int used = snprintf(line, sizeof(line), "replies of up to %zu bytes: %s, %.1f µs of CPU",
			    limit, xp_via_name(ways->ways[best]), costs[best]);
	const char *joint = "against";

	for (unsigned i = 0; i < ways->count; i++) {
		if (i == best)
			continue;
		used += snprintf(line + used, sizeof(line) - (size_t)used, " %s %.1f µs by %s",
				 joint, costs[i], xp_via_name(ways->ways[i]));
		joint = "and";
	}
	ways->settled(line);
}

static void settle(struct fuseway *ways, size_t index)
{
	struct class *class = &classes[index];
	double costs[FUSEWAY_MAX];
	unsigned best = 0;

	for (unsigned i = 0; i < ways->count; i++) {
		costs[i] = cost_of(class, i);
		if (costs[i] < costs[best])
			best = i;
	}
	atomic_store(&class->chosen, (int)best);
	tell(ways, limits[index], costs, best);
}

static bool complete(const struct fuseway *ways, const struct class *class)
{
	for (unsigned i = 0; i < ways->count; i++)
		if (class->taken[i] < COLD + SAMPLES)
			return false;
	return true;
}

void fuseway_end(struct fuseway *ways, const struct fuseway_trial *trial, bool typical)
{
	struct class *class = &classes[trial->class];
	struct timespec now;
	int64_t spent;

	if (!trial->timed || !typical)
		return;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	spent = (now.tv_sec - trial->before.tv_sec) * (int64_t)1000000000 +
		(now.tv_nsec - trial->before.tv_nsec);
	pthread_mutex_lock(&lock);
	if (class->chosen == UNDECIDED && class->taken[trial->way] < COLD + SAMPLES) {
		class->cost[trial->way][class->taken[trial->way]++] =
			spent < UINT32_MAX ? (uint32_t)spent : UINT32_MAX;
		if (complete(ways, class))
			settle(ways, trial->class);
	}
	pthread_mutex_unlock(&lock);
}
