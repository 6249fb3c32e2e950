// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A queue's ioctls from a 32-bit program: made through int 0x80, by which the kernel takes a
 * 64-bit program for one. What they point to must lie below 4 GiB.
 */
#include "vm.h"

#include <sys/mman.h>

enum { COMPAT_IOCTL = 54, NOTES = 32 };

static int compat_ioctl(int fd, unsigned int request, void *argument)
{
	int result = COMPAT_IOCTL;

	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(fd), "c"(request), "d"((unsigned int)(uintptr_t)argument)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void *low_memory(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			-1, 0);

	must(at != MAP_FAILED);
	return at;
}

int main(void)
{
	struct xp_watch_query *query = low_memory();
	struct filter *filter = low_memory();
	int queue[2], *bytes = low_memory();

	must(!pipe2(queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC));
	*bytes = -1;
	ok(!compat_ioctl(queue[0], FIONREAD, bytes) && *bytes == 0, "FIONREAD: an empty queue");
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, (void *)NOTES),
	       "the queue gets its size");
	mended(compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, (void *)NOTES) == -EBUSY,
	       "and has it: EBUSY");
	filter->count = 1;
	filter->types[0].type = XP_WATCH_TYPE_KEY;
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, filter), "a filter");
	query->size = sizeof(*query);
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_QUERY, query) &&
		       query->types & 1 << XP_WATCH_TYPE_KEY,
	       "the query answers");
	ok(compat_ioctl(queue[0], 0x5799, NULL) == -ENOTTY, "an unknown one: ENOTTY");
	return tap_done();
}
