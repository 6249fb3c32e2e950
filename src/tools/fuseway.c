/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuseway.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replies by each way; the first are not counted: they find pipes, caches and pages cold. */
#define COLD 2
#define SAMPLES 14

#define UNDECIDED (-1)

static const size_t limits[] = { 4096, 32768, 131072, 1048576 };

#define CLASSES (sizeof(limits) / sizeof(limits[0]))

static struct class
{
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

static unsigned class_of(size_t size)
{
	unsigned class = 0;

	while (class < CLASSES - 1 && size > limits[class])
		class ++;
	return class;
}

void fuseway_begin(struct fuseway *ways, size_t size, struct fuseway_trial *trial)
{
	int chosen = 0;

	*trial = (struct fuseway_trial){ .class = class_of(size) };
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

/* The median, microseconds: an interrupt that falls into a reply tells nothing about its way. */
static double cost_of(const struct class *class, unsigned way)
{
	uint32_t samples[SAMPLES];
	unsigned count = class->taken[way] > COLD ? class->taken[way] - COLD : 0;
	unsigned middle = count / 2;

	memcpy(samples, class->cost[way] + COLD, count * sizeof(*samples));
	qsort(samples, count, sizeof(*samples), compare);
	if (!count)
		return 0;
	if (count % 2)
		return samples[middle] / 1000.0;
	return ((double)samples[middle - 1] + samples[middle]) / 2000;
}

/* "replies of up to 4096 bytes: copy, 2.1 µs of CPU against 3.0 µs by splice" */
static void tell(const struct fuseway *ways, size_t index, unsigned best, const char *note)
{
	char line[256];
	int used = snprintf(line, sizeof(line), "replies of up to %zu bytes: %s%s, %.1f µs of CPU",
			    limits[index], note, xp_via_name(ways->ways[best]),
			    cost_of(&classes[index], best));
	const char *joint = "against";

	for (unsigned i = 0; i < ways->count; i++) {
		if (i == best)
			continue;
		used += snprintf(line + used, sizeof(line) - (size_t)used, " %s %.1f µs by %s",
				 joint, cost_of(&classes[index], i), xp_via_name(ways->ways[i]));
		joint = "and";
	}
	ways->tell(line);
}

static unsigned best_of(const struct fuseway *ways, const struct class *class)
{
	unsigned best = 0;

	for (unsigned i = 1; i < ways->count; i++)
		if (cost_of(class, i) < cost_of(class, best))
			best = i;
	return best;
}

/* Have as many replies been measured by each way? */
static bool measured(const struct fuseway *ways, const struct class *class, unsigned samples)
{
	for (unsigned i = 0; i < ways->count; i++)
		if (class->taken[i] < COLD + samples)
			return false;
	return true;
}

void fuseway_finish(const struct fuseway *ways)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < CLASSES; i++)
		if (measured(ways, &classes[i], 1) && !measured(ways, &classes[i], SAMPLES))
			tell(ways, i, best_of(ways, &classes[i]), "not settled; ");
	pthread_mutex_unlock(&lock);
}

void fuseway_end(struct fuseway *ways, const struct fuseway_trial *trial, ssize_t size)
{
	struct class *class = &classes[trial->class];
	struct timespec now;
	int64_t spent;

	if (!trial->timed || size <= 0 || class_of((size_t)size) != trial->class)
		return;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	spent = (now.tv_sec - trial->before.tv_sec) * (int64_t)1000000000 +
		(now.tv_nsec - trial->before.tv_nsec);
	pthread_mutex_lock(&lock);
	if (class->chosen == UNDECIDED && class->taken[trial->way] < COLD + SAMPLES) {
		class->cost[trial->way][class->taken[trial->way]++] = spent < UINT32_MAX ?
									      (uint32_t)spent :
									      UINT32_MAX;
		if (measured(ways, class, SAMPLES)) {
			class->chosen = (int)best_of(ways, class);
			tell(ways, trial->class, (unsigned)class->chosen, "");
		}
	}
	pthread_mutex_unlock(&lock);
}
