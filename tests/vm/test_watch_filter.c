// SPDX-License-Identifier: GPL-2.0-or-later
/* A filter holds all 256 sub-types. Records come from the module watch_feed. */
#include "vm.h"

#define SUBTYPES 256
#define FLAG_0 0x10000u
#define FEED_ID 0x5au

static int queue[2], feed;

static void post(unsigned int subtype, unsigned int flags)
{
	struct record record = { .type = XP_WATCH_TYPE_KEY, .subtype = subtype, .info = 8 | flags };

	must(write(feed, &record, 8) == 8);
}

/* Which sub-type is next in the queue, or -1. */
static int next(void)
{
	union bytes got;
	ssize_t n = next_record(queue[0], &got, 0);

	must(n == 8 || n == -1);
	must(n < 0 || (got.head.type == XP_WATCH_TYPE_KEY &&
		       (got.head.info & 0xffff) == (8 | FEED_ID << INFO_ID_SHIFT)));
	return n < 0 ? -1 : (int)got.head.subtype;
}

static void set_filter(struct filter *filter)
{
	filter->count = 1;
	filter->types[0].type = XP_WATCH_TYPE_KEY;
	must(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, filter));
}

/* Posts every sub-type through a filter for one. */
static bool lets_only_it_pass(unsigned int subtype)
{
	struct filter filter = { 0 };
	unsigned int i;

	filter.types[0].subtypes[subtype / 32] = 1u << subtype % 32;
	set_filter(&filter);
	for (i = 0; i < SUBTYPES; i++)
		post(i, 0);
	return next() == (int)subtype && next() == -1;
}

static unsigned int good_filters(unsigned int from, unsigned int to)
{
	unsigned int good = 0;

	for (; from < to; from++)
		good += lets_only_it_pass(from);
	return good;
}

static void each_alone(void)
{
	unsigned int low = good_filters(0, 32), high = good_filters(32, SUBTYPES);

	printf("# of sub-types 32 to 255, %u pass their filter\n", high);
	ok(low == 32, "each sub-type below 32 passes its filter, and no other does");
	mended(high == SUBTYPES - 32, "each from 32 on passes its filter, and no other does");
}

static void all(void)
{
	struct filter filter = { 0 };
	unsigned int i, good = 0;

	memset(filter.types[0].subtypes, 0xff, sizeof(filter.types[0].subtypes));
	set_filter(&filter);
	for (i = 0; i < SUBTYPES; i++) {
		post(i, 0);
		good += next() == (int)i;
	}
	mended(good == SUBTYPES, "a filter for all lets all pass");
	must(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, NULL));
	for (good = 0, i = 0; i < SUBTYPES; i++) {
		post(i, 0);
		good += next() == (int)i;
	}
	ok(good == SUBTYPES, "and so does none");
}

/*
 * Where the kernel keeps one word of the eight, info_filter and info_mask stand in the places of
 * the second and the third: bit 16 of them for sub-types 48 and 80.
 */
static void info_is_no_subtype(void)
{
	struct filter filter = { 0 };

	filter.types[0].subtypes[0] = 1u << 5;
	filter.types[0].info_mask = FLAG_0;
	filter.types[0].info_filter = FLAG_0;
	set_filter(&filter);
	post(5, 0);
	ok(next() == -1, "without the flag that the filter asks for, nothing passes");
	post(5, FLAG_0);
	ok(next() == 5, "with it, the sub-type does");
	post(48, FLAG_0);
	mended(next() == -1, "info_filter lets no sub-type pass");
	post(80, FLAG_0);
	mended(next() == -1, "nor does info_mask");
}

int main(void)
{
	feed = open("/dev/watch_feed", O_RDWR | O_CLOEXEC);
	must(feed >= 0);
	open_queue(queue, 512);
	must(!ioctl(feed, 0, queue[0]));
	each_alone();
	all();
	info_is_no_subtype();
	close_both(queue);
	post(0, 0);
	ok(true, "posting to a queue that was closed does no harm");
	close(feed);
	return tap_done();
}
