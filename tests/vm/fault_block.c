// SPDX-License-Identifier: GPL-2.0-or-later
/* Watches of block devices, and what happens to devices that are watched, without memory. */
#include "blockdev.h"

#include "fault.h"

#include <linux/fs.h>

#define NOTES 32
#define ID 0x5a
#define ALL 0xa5
#define SECTORS 100
#define SPAN 40 /* sectors of so many pages that a read needs memory to list them */
#define NEW 97
#define NEW_DEVICE "/sys/block/loop97"

static int queue[2], fd, file, number;
static unsigned int id, sectors;
static char name[16];
static dev_t device;
static int object; /* the descriptor that is watched, or -1 for all */
static unsigned char *buffer;

/* A loop device that nobody has watched, with a queue. */
static void prepare_loop(void)
{
	number = loop_add(name);
	fd = open_device(name, O_RDWR);
	device = number_of(fd);
	sectors = SECTORS;
	file = sectors_file(sectors);
	open_queue(queue, NOTES);
	id = ID;
	object = fd;
}

static void prepare_device(void)
{
	prepare_loop();
	must(!ioctl(fd, LOOP_SET_FD, file));
}

static void prepare_all(void)
{
	prepare_device();
	id = ALL;
	object = -1;
}

static long add_watch(void)
{
	return watch_block(queue, object, id, 0);
}

static void prepare_watch(void)
{
	prepare_device();
	must(!add_watch());
}

static void prepare_watched_loop(void)
{
	prepare_loop();
	must(!add_watch());
}

static void clean(void)
{
	close_both(queue);
	must(!ioctl(fd, LOOP_CLR_FD));
	close(fd);
	close(file);
	loop_remove(number);
}

/* ------------------------------------------------------------------ watches */

static long set_capacity(void)
{
	return outcome(ioctl(fd, LOOP_SET_CAPACITY));
}

static void resize(void)
{
	sectors += 10;
	must(!ftruncate(file, (off_t)sectors * SECTOR));
}

static bool is_resized(void)
{
	return is_change(queue, id, device, XP_WATCH_BLOCK_RESIZED, sectors);
}

/* Another watch of the device makes the kernel post what has happened. */
static bool not_watched(void)
{
	int other[2];

	resize();
	must(!set_capacity());
	open_watch(other, NOTES, object, id);
	close_both(other);
	return !readable(queue[0]) && !queued(queue[0]);
}

static bool is_watched(void)
{
	resize();
	return !set_capacity() && is_resized() && nothing_more(queue, object);
}

static bool added(long result)
{
	return result == 0 && is_watched() && add_watch() == -EBUSY;
}

static long remove_watch(void)
{
	return watch_block(queue, object, id, XP_WATCH_REMOVE);
}

static bool removed(long result)
{
	return result == 0 && is_end(queue, ID, device) && not_watched();
}

/* ------------------------------------------------------------------ events */

static unsigned long long capacity(void)
{
	unsigned long long bytes;

	must(!ioctl(fd, BLKGETSIZE64, &bytes));
	return bytes / SECTOR;
}

static void prepare_resize(void)
{
	prepare_watch();
	resize();
}

static bool not_resized(void)
{
	return capacity() == SECTORS && nothing_more(queue, object);
}

static bool resized(long result)
{
	return result == 0 && capacity() == sectors && is_resized() && nothing_more(queue, object);
}

static long set_file(void)
{
	return outcome(ioctl(fd, LOOP_SET_FD, file));
}

static bool no_file(void)
{
	return capacity() == 0 && nothing_more(queue, object);
}

static bool has_file(long result)
{
	return result == 0 && capacity() == SECTORS &&
	       is_change(queue, id, device, XP_WATCH_BLOCK_MEDIA, 0) && is_resized() &&
	       nothing_more(queue, object);
}

static void prepare_bad(void)
{
	null_configure("xp0", "badblocks=+16-16", NULL);
	null_power("xp0", true);
	fd = object = open_device("xp0", O_RDONLY | O_DIRECT);
	device = number_of(fd);
	id = ID;
	open_watch(queue, NOTES, fd, id);
}

static long read_bad(void)
{
	long result = outcome(pread(fd, buffer, SPAN * SECTOR, 0));

	return result == -EIO ? 0 : result;
}

static bool nothing_told(void)
{
	return nothing_more(queue, object);
}

static bool error_told(long result)
{
	return result == 0 && is_error(queue, id, device, 0, SPAN, 0, EIO) && nothing_told();
}

static void clean_bad(void)
{
	close_both(queue);
	close(fd);
	null_power("xp0", false);
	null_remove("xp0");
}

static void prepare_new(void)
{
	fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	must(fd >= 0);
	object = -1;
	id = ALL;
	open_watch(queue, NOTES, -1, id);
}

/* A device that has no memory for its name is said to be invalid. */
static long add_device(void)
{
	long result = outcome(ioctl(fd, LOOP_CTL_ADD, NEW));

	return result == -EINVAL ? -ENOMEM : result;
}

static bool no_device(void)
{
	return access(NEW_DEVICE, F_OK) && errno == ENOENT && nothing_told();
}

static bool device_added(long result)
{
	unsigned int numbers[2];
	FILE *dev = fopen(NEW_DEVICE "/dev", "re");

	must(dev && fscanf(dev, "%u:%u", &numbers[0], &numbers[1]) == 2);
	fclose(dev);
	return result == NEW &&
	       is_change(queue, id, makedev(numbers[0], numbers[1]), XP_WATCH_BLOCK_ADDED, 0) &&
	       nothing_told();
}

static void clean_new(void)
{
	close_both(queue);
	must(!ioctl(fd, LOOP_CTL_REMOVE, NEW));
	close(fd);
}

static const struct operation operations[] = {
	{ "a watch of a device", prepare_device, add_watch, not_watched, added, clean },
	{ "a watch of all devices", prepare_all, add_watch, not_watched, added, clean },
	{ "its removal", prepare_watch, remove_watch, is_watched, removed, clean },
	{ "another capacity", prepare_resize, set_capacity, not_resized, resized, clean },
	{ "another medium", prepare_watched_loop, set_file, no_file, has_file, clean },
	{ "an error", prepare_bad, read_bad, nothing_told, error_told, clean_bad },
	{ "a new device", prepare_new, add_device, no_device, device_added, clean_new },
};

/* Where devices can't be watched, there is nothing to be tested. */
static bool can_watch(void)
{
	int queues[2], result;

	open_queue(queues, 1);
	result = watch_block(queues, -1, 0, 0);
	mended(result == 0, "block devices can be watched");
	close_both(queues);
	return result == 0;
}

int main(void)
{
	must(!posix_memalign((void **)&buffer, 4096, SPAN * SECTOR));
	memset(buffer, 0, SPAN * SECTOR);
	open_injection(ANY_PAGE);
	if (can_watch())
		REFUSE_EACH(operations);
	return tap_done();
}
