// SPDX-License-Identifier: GPL-2.0-or-later
/* A watch keeps its id for those who still see it while it is removed. */
#include "vm.h"

#define FEED_ID 0x5a

int main(void)
{
	struct record record = { .type = XP_WATCH_TYPE_KEY, .info = 8 };
	int queue[2], feed = open("/dev/watch_feed", O_RDWR | O_CLOEXEC);

	must(feed >= 0);
	open_queue(queue, 32);
	must(!ioctl(feed, 0, queue[0]));
	ok(ioctl(feed, 0, queue[0]) == -1 && errno == EBUSY, "a second watch: EBUSY");
	mended(ioctl(feed, 1, queue[0]) == FEED_ID, "a watch that is removed keeps its id");
	ok(read(queue[0], &record, sizeof(record)) == 8 && record.type == XP_WATCH_TYPE_META &&
		   record.subtype == META_REMOVAL && record.info == (8 | FEED_ID << INFO_ID_SHIFT),
	   "the queue is told: META, REMOVAL, 8 bytes, the watch's id");
	ok(ioctl(feed, 1, queue[0]) == -1 && errno == EBADSLT, "it is removed once: EBADSLT");
	record = (struct record){ .type = XP_WATCH_TYPE_KEY, .info = 8 };
	must(write(feed, &record, 8) == 8);
	ok(!readable(queue[0]), "nothing is posted any more");
	close_both(queue);
	close(feed);
	return tap_done();
}
