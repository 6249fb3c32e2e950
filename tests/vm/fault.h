/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault.h - calls to which the kernel refuses memory, or a copy from or to them, at each place.
 *
 * That needs the debug configuration. What is refused is the nth request that this thread makes
 * in its calls, and only that one: /proc/thread-self/fail-nth.
 */
#ifndef EXTPIPE_TESTS_VM_FAULT_H
#define EXTPIPE_TESTS_VM_FAULT_H

#include "vm.h"

#include <dirent.h>

/* Whether a slab needs another page is a matter of chance too. */
#define ANY_PAGE "0"
#define NO_PAGE "99"
#define INJECTION "/sys/kernel/debug"
#define SLABS "/sys/kernel/slab"

static int fail_nth = -1;

static inline void set(const char *directory, const char *name, const char *value)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	write_file(path, value);
}

/*
 * What the kernel's own checks take from slabs, and when, is a matter of chance: it would change
 * the numbers of the other requests from one call to the next.
 */
static inline void choose_slabs(void)
{
	DIR *slabs = opendir(SLABS);
	struct dirent *slab;
	char directory[512];

	must(slabs);
	while ((slab = readdir(slabs))) {
		if (slab->d_name[0] == '.' || !strncmp(slab->d_name, "kmemleak", 8) ||
		    !strncmp(slab->d_name, "debug_objects", 13))
			continue;
		snprintf(directory, sizeof(directory), "%s/%s", SLABS, slab->d_name);
		set(directory, "failslab", "1");
	}
	closedir(slabs);
	set(INJECTION, "failslab/cache-filter", "1");
}

/*
 * Slabs count, copies, and pages of an order from @min_order on, even if the request may wait. The
 * console is left alone.
 */
static inline void open_injection(const char *min_order)
{
	choose_slabs();
	set(INJECTION, "failslab/ignore-gfp-wait", "0");
	set(INJECTION, "failslab/verbose", "0");
	set(INJECTION, "fail_page_alloc/ignore-gfp-wait", "0");
	set(INJECTION, "fail_page_alloc/ignore-gfp-highmem", "0");
	set(INJECTION, "fail_page_alloc/min-order", min_order);
	set(INJECTION, "fail_page_alloc/verbose", "0");
	set(INJECTION, "fail_usercopy/verbose", "0");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	must(fail_nth >= 0);
}

/* The nth request from now on; 0 for none. */
static inline void refuse(unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	must(pwrite(fail_nth, text, (size_t)n, 0) == n);
}

/*
 * Has it come to that? From now on nothing is refused. The answer and what takes the order back
 * are copied too, and may be what is refused.
 */
static inline bool was_refused(void)
{
	char text[16] = "";
	bool refused = pread(fail_nth, text, sizeof(text), 0) == 2 && text[0] == '0';

	must(pwrite(fail_nth, "0", 1, 0) == 1 || errno == EFAULT);
	return refused;
}

/* What a call has returned, or its error, negative. */
static inline long outcome(long result)
{
	return result < 0 ? -errno : result;
}

/* A call that is made in a situation of its own each time. */
struct operation {
	const char *name;
	void (*prepare)(void);
	long (*act)(void);         /* nothing but the call: its outcome() */
	bool (*unchanged)(void);   /* after it failed: is everything as if it had not been made? */
	bool (*done)(long result); /* after it did not: has it done all that it should? */
	void (*clean)(void);
};

/* The call when the nth request is refused. If it fails, it must not when it is made again. */
static inline bool attempt(const struct operation *operation, unsigned int nth, bool *refused)
{
	long first, result;
	bool right = true;

	operation->prepare();
	refuse(nth);
	first = result = operation->act();
	*refused = was_refused() && nth;
	if (*refused && (first == -ENOMEM || first == -EFAULT)) {
		right = operation->unchanged();
		result = operation->act();
	}
	right = right && result >= 0 && operation->done(result);
	operation->clean();
	if (!right && !on_base())
		printf("# request %u %s: %ld, then %ld\n", nth, *refused ? "refused" : "granted",
		       first, result);
	return right;
}

/* Each request of the call is refused in turn; first none is, which makes what is made once. */
static inline void refuse_each(const struct operation *operation)
{
	bool refused, right = attempt(operation, 0, &refused);
	unsigned int nth = 0;

	do {
		nth++;
		right = attempt(operation, nth, &refused) && right;
	} while (refused);
	printf("# %u requests\n", nth - 1);
	mended(right && nth > 1, operation->name);
}

#define REFUSE_EACH(operations) \
	do { \
		for (unsigned int i = 0; i < sizeof(operations) / sizeof((operations)[0]); i++) \
			refuse_each(&(operations)[i]); \
	} while (0)

#endif
