// SPDX-License-Identifier: GPL-2.0-or-later
/* Block devices that come, go and change, and who may watch which of them. */
#include "blockdev.h"

#include <sched.h>

#define ID 0x5a
#define ALL 0xa5
#define NULL_SECTORS 2048 /* null_blk's 1 MiB */
#define NOTES 32
#define TIMES 20

static void asked(const int queue[2])
{
	struct xp_watch_query query = { .size = sizeof(query), .type = XP_WATCH_TYPE_BLOCK };

	ok(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_QUERY, &query) &&
		   query.types & 1u << XP_WATCH_TYPE_BLOCK && query.subtypes[0] == 0x1f,
	   "the query knows block devices and their 5 sub-types");
}

/* A device that comes and goes, watched by those who watch all devices, and by one of its own. */
static void coming_and_going(void)
{
	int all[2], one[2], fd;
	dev_t device;

	open_watch(all, NOTES, -1, ALL);
	null_configure("xp0", NULL);
	null_power("xp0", true);
	fd = open_device("xp0", O_PATH);
	device = number_of(fd);
	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_ADDED, NULL_SECTORS),
	   "a device is added: its capacity is told");
	ok(nothing_more(all, -1), "and nothing else");

	open_queue(one, NOTES);
	ok(!watch_block(one, fd, ID, 0), "a descriptor for the path only can be watched");
	ok(nothing_more(one, fd), "what came before is not told");
	null_power("xp0", false);
	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_REMOVED, 0),
	   "the device is removed: who watches all devices is told");
	ok(nothing_more(all, -1), "once, and the watch goes on");
	ok(is_change(one, ID, device, XP_WATCH_BLOCK_REMOVED, 0), "so is who watches this device");
	ok(is_end(one, ID, device), "and that the watch has ended, of which device");
	ok(!readable(one[0]), "and nothing else");
	ok(watch_block(one, fd, ID, 0) == -ENXIO, "the path of a device that is gone: ENXIO");
	close(fd);

	null_power("xp0", true);
	fd = open_device("xp0", O_PATH);
	ok(is_change(all, ALL, number_of(fd), XP_WATCH_BLOCK_ADDED, NULL_SECTORS),
	   "the next device of that name is another event");
	ok(!readable(one[0]) && !watch_block(one, fd, ID, 0) && nothing_more(one, fd),
	   "and another object for who watched the first");
	close(fd);
	null_power("xp0", false);
	null_remove("xp0");
	close_both(one);
	close_both(all);
}

/* A size is given to a null_blk device before it is switched on, so that none has another. */
static void resized_by_power(void)
{
	int all[2], one[2], fd;
	dev_t device;

	null_configure("xp0", NULL);
	null_power("xp0", true);
	fd = open_device("xp0", O_RDONLY);
	device = number_of(fd);
	open_watch(all, NOTES, -1, ALL);
	open_watch(one, NOTES, fd, ID);
	null_power("xp0", false);
	null_set("xp0", "size", "3");
	null_power("xp0", true);
	ok(is_change(one, ID, device, XP_WATCH_BLOCK_REMOVED, 0) && is_end(one, ID, device) &&
		   !readable(one[0]),
	   "switched off, and on with another size: the watch of it has ended");
	close(fd);
	fd = open_device("xp0", O_PATH);
	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_REMOVED, 0) &&
		   is_change(all, ALL, number_of(fd), XP_WATCH_BLOCK_ADDED, 3 * NULL_SECTORS) &&
		   nothing_more(all, -1),
	   "one device is removed, and one of that size is added: none is resized");
	ok(!watch_block(one, fd, ID, 0) && nothing_more(one, fd),
	   "it can be watched by that queue");
	null_power("xp0", false);
	ok(is_change(one, ID, number_of(fd), XP_WATCH_BLOCK_REMOVED, 0) &&
		   is_end(one, ID, number_of(fd)) && !readable(one[0]),
	   "to its own end");
	close(fd);
	null_remove("xp0");
	close_both(one);
	close_both(all);
}

/* An open device that is removed: its number may be another's soon. */
static void open_while_removed(void)
{
	int queue[2], fd, again;
	dev_t device;

	open_queue(queue, NOTES);
	null_configure("xp0", NULL);
	null_power("xp0", true);
	fd = open_device("xp0", O_RDONLY);
	null_power("xp0", false);
	null_power("xp0", true);
	again = open_device("xp0", O_RDONLY);
	device = number_of(again);
	ok(watch_block(queue, fd, ID, 0) == -ENXIO, "an open device that is gone: ENXIO");
	ok(!watch_block(queue, again, ID, 0), "not the one that has its place now");
	close(fd);
	close(again);
	null_power("xp0", false);
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_REMOVED, 0) && is_end(queue, ID, device) &&
		   !readable(queue[0]),
	   "which goes in its turn");
	null_remove("xp0");
	close_both(queue);
}

/* A loop device gets a file, which grows and shrinks, and is taken away. */
static void loop_capacity(const char *name, const int all[2])
{
	int fd = open_device(name, O_RDWR), file = sectors_file(200), queue[2];
	dev_t device = number_of(fd);

	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_ADDED, 0),
	   "a loop device is added: it has no capacity");
	open_watch(queue, NOTES, fd, ID);
	must(!ioctl(fd, LOOP_SET_FD, file));
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_MEDIA, 0) &&
		   is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 200) &&
		   nothing_more(queue, fd),
	   "it gets a file: another medium, and its capacity");
	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_MEDIA, 0) &&
		   is_change(all, ALL, device, XP_WATCH_BLOCK_RESIZED, 200) &&
		   nothing_more(all, -1),
	   "who watches all devices gets the same");
	must(!ioctl(fd, LOOP_SET_CAPACITY));
	ok(nothing_more(queue, fd), "a capacity that is set to what it is: no record");
	must(!ftruncate(file, 300 * SECTOR) && !ioctl(fd, LOOP_SET_CAPACITY));
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 300) && nothing_more(queue, fd),
	   "the file has grown: a new capacity");
	must(!ftruncate(file, 100 * SECTOR) && !ioctl(fd, LOOP_SET_CAPACITY));
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 100) && nothing_more(queue, fd),
	   "it has shrunk: a new capacity");
	must(!ioctl(fd, LOOP_CLR_FD));
	close(fd); /* the last one: the file is taken away now */
	fd = open_device(name, O_PATH);
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 0) &&
		   is_change(queue, ID, device, XP_WATCH_BLOCK_MEDIA, 0) && nothing_more(queue, fd),
	   "the file is taken away: no capacity, no medium");
	close(fd);
	close(file);
	close_both(queue);
}

/* A loop device that can only be read gets another file. */
static void loop_medium(const char *name, const int queue[2])
{
	int fd = open_device(name, O_RDONLY), file = sectors_file(100), other = sectors_file(100);
	dev_t device = number_of(fd);

	must(!watch_block(queue, fd, ID, 0));
	must(!ioctl(fd, LOOP_SET_FD, file));
	must(is_change(queue, ID, device, XP_WATCH_BLOCK_MEDIA, 0) &&
	     is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 100));
	must(!ioctl(fd, LOOP_CHANGE_FD, other));
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_MEDIA, 0) && nothing_more(queue, fd),
	   "the file is changed for another of that size: another medium");
	must(!ioctl(fd, LOOP_CLR_FD));
	close(fd);
	must(is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 0) &&
	     is_change(queue, ID, device, XP_WATCH_BLOCK_MEDIA, 0));
	close(file);
	close(other);
}

static void loop_changes(void)
{
	int queue[2], all[2], number, fd;
	char name[16];
	dev_t device;

	open_watch(all, NOTES, -1, ALL);
	number = loop_add(name);
	loop_capacity(name, all);
	open_queue(queue, NOTES);
	loop_medium(name, queue);
	fd = open_device(name, O_PATH);
	device = number_of(fd);
	close(fd);
	loop_remove(number);
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_REMOVED, 0) && is_end(queue, ID, device) &&
		   !readable(queue[0]),
	   "the loop device is removed: that, and the watch's end");
	close_both(queue);
	close_both(all);
}

/* A mapped device is marked dead before it is deleted; a table changes its capacity. */
static void mapped_changes(void)
{
	struct dm_call create = { 0 }, table = { 0 }, larger = { 0 }, gone = { 0 };
	int queue[2], all[2], fd;
	char name[16];
	dev_t device;

	open_watch(all, NOTES, -1, ALL);
	device = dm_ioctl(&create, DM_DEV_CREATE, "xp_mapped");
	dm_target(&table, 0, 64, "error", "");
	dm_load(&table, "xp_mapped");
	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_ADDED, 0) &&
		   is_change(all, ALL, device, XP_WATCH_BLOCK_RESIZED, 64) && nothing_more(all, -1),
	   "a mapped device is added when it gets a table, its capacity when it is resumed");
	snprintf(name, sizeof(name), "dm-%u", minor(device));
	fd = open_device(name, O_PATH);
	open_watch(queue, NOTES, fd, ID);
	dm_target(&larger, 0, 96, "error", "");
	dm_load(&larger, "xp_mapped");
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 96) && nothing_more(queue, fd),
	   "a larger table is resumed: a new capacity");
	dm_ioctl(&gone, DM_DEV_REMOVE, "xp_mapped");
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_REMOVED, 0) && is_end(queue, ID, device) &&
		   !readable(queue[0]),
	   "it is removed: told once, although it was marked dead before");
	ok(is_change(all, ALL, device, XP_WATCH_BLOCK_RESIZED, 96) &&
		   is_change(all, ALL, device, XP_WATCH_BLOCK_REMOVED, 0) && nothing_more(all, -1),
	   "all devices the same");
	close(fd);
	close_both(queue);
	close_both(all);
}

static void objects(void)
{
	int queue[2], others[2], fd;

	open_queue(queue, NOTES);
	null_configure("xp0", NULL);
	null_power("xp0", true);
	fd = open_device("xp0", O_RDONLY);
	ok(watch_block(queue, queue[0], ID, 0) == -EINVAL, "a pipe is no block device: EINVAL");
	ok(watch_block(queue, -2, ID, 0) == -EBADF && watch_block(queue, 999, ID, 0) == -EBADF,
	   "no descriptor: EBADF");
	ok(watch_block(queue, fd, ID, 0) == 0, "an open device can be watched");
	ok(watch_block(queue, fd, ID + 1, 0) == -EBUSY, "the same again: EBUSY");
	ok(watch_block(queue, -1, ALL, 0) == 0, "and all devices by the same queue");
	ok(watch_block(queue, -1, 1, 0) == -EBUSY, "these again: EBUSY");
	open_queue(others, NOTES);
	ok(watch_block(others, fd, ID, XP_WATCH_REMOVE) == -EBADSLT &&
		   watch_block(others, -1, ID, XP_WATCH_REMOVE) == -EBADSLT,
	   "a watch that isn't there can't be removed: EBADSLT");
	ok(!watch_block(queue, fd, 0, XP_WATCH_REMOVE) && is_end(queue, ID, number_of(fd)),
	   "the watch of the device is removed: its end is told");
	ok(!watch_block(queue, -1, 0, XP_WATCH_REMOVE) && is_end(queue, ALL, 0),
	   "that of all devices too");
	null_power("xp0", false);
	ok(!readable(queue[0]), "a device that nobody watches any more is removed: no record");
	close(fd);
	null_remove("xp0");

	must(!mknod("/tmp/xp_none", S_IFBLK | 0600, makedev(240, 77)));
	fd = open("/tmp/xp_none", O_PATH | O_CLOEXEC);
	ok(watch_block(queue, fd, ID, 0) == -ENXIO, "a number without a device: ENXIO");
	close(fd);
	must(!unlink("/tmp/xp_none"));
	close_both(queue);
	close_both(others);
}

/* A loop device with a table of one partition. */
static void partitions(void)
{
	unsigned char table[SECTOR] = { 0 };
	struct loop_config config = { .info.lo_flags = LO_FLAGS_PARTSCAN };
	int queue[2], number, fd, file = sectors_file(200), partition;
	char name[16], path[24];

	table[446 + 4] = 0x83;
	table[446 + 8] = 8;
	table[446 + 12] = 64;
	table[510] = 0x55;
	table[511] = 0xaa;
	must(pwrite(file, table, sizeof(table), 0) == sizeof(table));
	number = loop_add(name);
	fd = open_device(name, O_RDWR);
	config.fd = (__u32)file;
	must(!ioctl(fd, LOOP_CONFIGURE, &config));
	open_queue(queue, NOTES);
	snprintf(path, sizeof(path), "%sp1", name);
	partition = open_device(path, O_PATH);
	ok(watch_block(queue, partition, ID, 0) == -EINVAL, "a partition: EINVAL");
	close(partition);
	must(!ioctl(fd, LOOP_CLR_FD));
	close(fd);
	close(file);
	loop_remove(number);
	close_both(queue);
}

/* Two queues, two devices, and filters. */
static void told_apart(void)
{
	struct filter filter = { .count = 1, .types[0] = { .type = XP_WATCH_TYPE_BLOCK } };
	int first[2], second[2], both[2], resized[2], fds[2], files[2], numbers[2], i;
	char names[2][16];
	dev_t devices[2];
	struct xp_block_record records[4];

	for (i = 0; i < 2; i++) {
		numbers[i] = loop_add(names[i]);
		fds[i] = open_device(names[i], O_RDWR);
		devices[i] = number_of(fds[i]);
		files[i] = sectors_file(50);
	}
	open_watch(first, NOTES, fds[0], 1);
	open_watch(second, NOTES, fds[1], 2);
	open_watch(both, NOTES, fds[0], 3);
	must(!watch_block(both, -1, 4, 0));
	open_watch(resized, NOTES, fds[0], 5);
	filter.types[0].subtypes[0] = 1u << XP_WATCH_BLOCK_RESIZED;
	must(!ioctl(resized[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
	must(!ioctl(fds[0], LOOP_SET_FD, files[0]));

	ok(is_change(first, 1, devices[0], XP_WATCH_BLOCK_MEDIA, 0) &&
		   is_change(first, 1, devices[0], XP_WATCH_BLOCK_RESIZED, 50) &&
		   nothing_more(first, fds[0]),
	   "one device changes: who watches it is told");
	ok(nothing_more(second, fds[1]), "who watches another is not");
	for (i = 0; i < 2; i++) {
		records[i] = change_record(3 + (unsigned int)i, devices[0], XP_WATCH_BLOCK_MEDIA,
					   0);
		records[2 + i] = change_record(3 + (unsigned int)i, devices[0],
					       XP_WATCH_BLOCK_RESIZED, 50);
	}
	ok(are_records(both, records, 4) && nothing_more(both, fds[0]) && nothing_more(both, -1),
	   "a queue with both watches gets a record from each");
	ok(is_change(resized, 5, devices[0], XP_WATCH_BLOCK_RESIZED, 50) &&
		   nothing_more(resized, fds[0]),
	   "a filter of sub-types lets its own pass");
	for (i = 0; i < 2; i++) {
		if (!i)
			must(!ioctl(fds[i], LOOP_CLR_FD));
		close(fds[i]);
		loop_remove(numbers[i]);
		close(files[i]);
	}
	close_both(first);
	close_both(second);
	close_both(both);
	close_both(resized);
}

/* The pipe goes first; then the device, whose watches have gone with the pipe. */
static void pipe_first(void)
{
	int queue[2], others[2], fd, i, told = 0;
	dev_t device;

	open_watch(others, NOTES, -1, ALL);
	for (i = 0; i < TIMES; i++) {
		null_configure("xp0", NULL);
		null_power("xp0", true);
		fd = open_device("xp0", O_PATH);
		device = number_of(fd);
		open_watch(queue, NOTES, fd, ID);
		must(!watch_block(queue, -1, ALL, 0));
		close(fd);
		close_both(queue);
		null_power("xp0", false);
		null_remove("xp0");
		told += is_change(others, ALL, device, XP_WATCH_BLOCK_ADDED, NULL_SECTORS) &&
			is_change(others, ALL, device, XP_WATCH_BLOCK_REMOVED, 0);
	}
	ok(told == TIMES && nothing_more(others, -1),
	   "%d times the pipe is closed before the device goes: another pipe is told", TIMES);
	close_both(others);
}

/* How many reads of the device wait for their end; 0 if it is not there yet. */
static unsigned int reads_under_way(void)
{
	FILE *file = fopen("/sys/block/xp0/inflight", "re");
	unsigned int reads = 0;

	if (file) {
		must(fscanf(file, "%u", &reads) == 1);
		fclose(file);
	}
	return reads;
}

/*
 * A device can be watched while its partitions are read, of which each read takes half a second:
 * that it is added then is for who watches all devices.
 */
static void before_it_is_added(void)
{
	int all[2], one[2], status, fd;
	pid_t child;

	open_watch(all, NOTES, -1, ALL);
	null_configure("xp0", "irqmode=2", "completion_nsec=500000000", NULL);
	child = fork();
	must(child >= 0);
	if (!child) {
		null_power("xp0", true);
		_exit(0);
	}
	while (!reads_under_way())
		usleep(1000);
	fd = open_device("xp0", O_PATH);
	open_watch(one, NOTES, fd, ID);
	ok(nothing_more(all, -1), "a device is watched before it is added");
	must(waitpid(child, &status, 0) == child && !status);
	ok(is_change(all, ALL, number_of(fd), XP_WATCH_BLOCK_ADDED, NULL_SECTORS) &&
		   nothing_more(all, -1),
	   "then it is: who watches all devices is told");
	ok(nothing_more(one, fd), "who watches this device is not");
	null_power("xp0", false);
	close(fd);
	null_remove("xp0");
	close_both(one);
	close_both(all);
}

/* The device comes and goes, half of the times not before it may. */
static void come_and_go(int may_go)
{
	char byte;
	int i;

	for (i = 0; i < TIMES; i++) {
		null_power("xp0", true);
		must(i >= TIMES / 2 || read(may_go, &byte, 1) == 1);
		null_power("xp0", false);
	}
}

/* Watches the device at /dev/xp0, if there is one: is there a watch? */
static bool watched(const int queue[2])
{
	int fd = open("/dev/xp0", O_PATH | O_CLOEXEC), error;

	if (fd < 0)
		return false;
	error = watch_block(queue, fd, ID, 0);
	must(!error || error == -ENXIO);
	close(fd);
	return !error;
}

/*
 * A device comes and goes, and is watched as soon as it has come until it goes. Half of the times
 * it waits for the watch, and then goes as fast as it can.
 */
static void together(void)
{
	int all[2], one[2], may_go[2], status, fd, i, watches = 0, ends = 0, told = 0;
	dev_t device;
	pid_t child;

	null_configure("xp0", NULL);
	null_power("xp0", true);
	fd = open_device("xp0", O_PATH);
	device = number_of(fd);
	close(fd);
	null_power("xp0", false);
	open_watch(all, 2 * TIMES, -1, ALL);
	must(!pipe2(may_go, O_CLOEXEC));
	child = fork();
	must(child >= 0);
	if (!child) {
		come_and_go(may_go[0]);
		_exit(0);
	}
	for (i = 0; i < TIMES; i++) {
		told += is_change(all, ALL, device, XP_WATCH_BLOCK_ADDED, NULL_SECTORS);
		open_queue(one, NOTES);
		status = watched(one);
		must(i >= TIMES / 2 || write(may_go[1], "", 1) == 1);
		watches += status;
		ends += status && is_change(one, ID, device, XP_WATCH_BLOCK_REMOVED, 0) &&
			is_end(one, ID, device) && !readable(one[0]);
		told += is_change(all, ALL, device, XP_WATCH_BLOCK_REMOVED, 0);
		close_both(one);
	}
	must(waitpid(child, &status, 0) == child);
	ok(!status && told == 2 * TIMES && nothing_more(all, -1),
	   "a device that came and went %d times is told as often", TIMES);
	ok(watches >= TIMES / 2 && watches == ends,
	   "the watches that it got while it was there, %d, have ended", watches);
	null_remove("xp0");
	close_both(may_go);
	close_both(all);
}

/* 0 or the error of who is not the initial namespace's root. */
static int watched_as(bool namespace, int fd)
{
	int queue[2], status;
	pid_t child = fork();

	must(child >= 0);
	if (!child) {
		open_queue(queue, NOTES);
		if (namespace ? unshare(CLONE_NEWUSER) : setresuid(65534, 65534, 65534))
			_exit(99);
		_exit(-watch_block(queue, fd, ID, 0));
	}
	must(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void permission(void)
{
	int fd = open_device("loop0", O_RDONLY);

	ok(watched_as(false, fd) == EPERM && watched_as(false, -1) == EPERM,
	   "an ordinary user, even with the device open: EPERM");
	ok(watched_as(true, fd) == EPERM && watched_as(true, -1) == EPERM,
	   "root of another user namespace: EPERM");
	close(fd);
}

int main(void)
{
	int queue[2];

	open_queue(queue, NOTES);
	mended(watch_block(queue, -1, ALL, 0) == 0, "block devices can be watched");
	if (on_base()) {
		ok(watch_block(queue, -1, ALL, 0) == -ENOTTY, "ENOTTY says that they can't");
		return tap_done();
	}
	asked(queue);
	close_both(queue);
	coming_and_going();
	resized_by_power();
	open_while_removed();
	loop_changes();
	mapped_changes();
	objects();
	partitions();
	told_apart();
	pipe_first();
	before_it_is_added();
	together();
	permission();
	return tap_done();
}
