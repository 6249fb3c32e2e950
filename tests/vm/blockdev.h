/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blockdev.h - block devices that come, go and fail at a test's wish, and watches of them.
 *
 * null_blk's devices are made in configfs, loop's by its control device, and mapped ones by ioctls
 * of device mapper. Their nodes are devtmpfs's.
 */
#ifndef EXTPIPE_TESTS_BLOCKDEV_H
#define EXTPIPE_TESTS_BLOCKDEV_H

#include "vm.h"

#include <linux/dm-ioctl.h>
#include <linux/loop.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#define SECTOR 512
#define CONFIGFS "/sys/kernel/config"

/* ------------------------------------------------------------------------------ devices */

static inline int open_device(const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, flags | O_CLOEXEC);
	must(fd >= 0);
	return fd;
}

static inline dev_t number_of(int fd)
{
	struct stat st;

	must(!fstat(fd, &st) && S_ISBLK(st.st_mode));
	return st.st_rdev;
}

/* Writes an attribute of the null_blk device. */
static inline void null_set(const char *name, const char *attribute, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), CONFIGFS "/nullb/%s/%s", name, attribute);
	write_file(path, value);
}

/* A null_blk device of 1 MiB that keeps what is written; then "attribute=value" words, NULL. */
static inline void null_configure(const char *name, ...)
{
	char path[64], *value, word[64];
	const char *option;
	va_list options;

	must(!mount("configfs", CONFIGFS, "configfs", 0, NULL) || errno == EBUSY);
	snprintf(path, sizeof(path), CONFIGFS "/nullb/%s", name);
	must(!mkdir(path, 0700));
	null_set(name, "size", "1");
	null_set(name, "memory_backed", "1");
	va_start(options, name);
	while ((option = va_arg(options, const char *))) {
		snprintf(word, sizeof(word), "%s", option);
		value = strchr(word, '=');
		*value++ = '\0';
		null_set(name, word, value);
	}
	va_end(options);
}

static inline void null_power(const char *name, bool on)
{
	null_set(name, "power", on ? "1" : "0");
}

static inline void null_remove(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), CONFIGFS "/nullb/%s", name);
	must(!rmdir(path));
}

/* A file of SECTORS that has no name. */
static inline int sectors_file(unsigned int sectors)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	must(fd >= 0 && !ftruncate(fd, (off_t)sectors * SECTOR));
	return fd;
}

/* A new loop device without a file: its number. */
static inline int loop_add(char name[16])
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number = 40;

	must(control >= 0);
	while (ioctl(control, LOOP_CTL_ADD, number) < 0) {
		must(errno == EEXIST);
		number++;
	}
	close(control);
	snprintf(name, 16, "loop%d", number);
	return number;
}

static inline void loop_remove(int number)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	must(control >= 0 && ioctl(control, LOOP_CTL_REMOVE, number) == 0);
	close(control);
}

/* One ioctl of device mapper, on the device NAME, with a table of one or two targets. */
struct dm_call {
	struct dm_ioctl head;
	struct {
		struct dm_target_spec spec;
		char words[64];
	} targets[2];
};

static inline dev_t dm_ioctl(struct dm_call *call, unsigned long request, const char *name)
{
	int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	must(control >= 0);
	call->head.version[0] = DM_VERSION_MAJOR;
	call->head.data_size = sizeof(*call);
	call->head.data_start = sizeof(call->head);
	snprintf(call->head.name, sizeof(call->head.name), "%s", name);
	must(!ioctl(control, request, call));
	close(control);
	return makedev(call->head.dev >> 8 & 0xfff, call->head.dev & 0xff);
}

static inline void dm_target(struct dm_call *call, unsigned int start, unsigned int sectors,
			     const char *type, const char *words)
{
	int i = (int)call->head.target_count++;

	call->targets[i].spec.sector_start = start;
	call->targets[i].spec.length = sectors;
	call->targets[i].spec.next = sizeof(call->targets[i]);
	snprintf(call->targets[i].spec.target_type, sizeof(call->targets[i].spec.target_type), "%s",
		 type);
	snprintf(call->targets[i].words, sizeof(call->targets[i].words), "%s", words);
}

/* Gives the mapped device the table, and takes it in use. */
static inline void dm_load(struct dm_call *table, const char *name)
{
	struct dm_call resume = { 0 };

	dm_ioctl(table, DM_TABLE_LOAD, name);
	dm_ioctl(&resume, DM_DEV_SUSPEND, name);
}

/* ------------------------------------------------------------------------------ watches */

/* Asks for a watch of FD by ID, or for its removal: 0 or the error, negative. */
static inline int watch_block(const int queue[2], int fd, unsigned int id, unsigned int flags)
{
	return watch_object(queue[0], XP_WATCH_TYPE_BLOCK, fd, id, flags);
}

/* A queue of NOTES that watches FD by ID. */
static inline void open_watch(int queue[2], unsigned int notes, int fd, unsigned int id)
{
	open_queue(queue, notes);
	must(!watch_block(queue, fd, id, 0));
}

/*
 * Is nothing queued? Asking again for what FD has already makes the kernel post what has happened
 * before it answers.
 */
static inline bool nothing_more(const int queue[2], int fd)
{
	must(watch_block(queue, fd, 0, 0) == -EBUSY);
	return !readable(queue[0]) && !queued(queue[0]);
}

/* The record, whole, that has these fields beside its head and the device. */
static inline struct xp_block_record
block_record(unsigned int id, dev_t device, unsigned int subtype, struct xp_block_record record)
{
	record.watch[0] = XP_WATCH_TYPE_BLOCK | subtype << 24;
	record.watch[1] = sizeof(record) | id << INFO_ID_SHIFT;
	record.dev_major = major(device);
	record.dev_minor = minor(device);
	return record;
}

static inline struct xp_block_record change_record(unsigned int id, dev_t device,
						   unsigned int subtype, u64 capacity)
{
	return block_record(id, device, subtype, (struct xp_block_record){ .sector = capacity });
}

static inline struct xp_block_record error_record(unsigned int id, dev_t device, u64 sector,
						  unsigned int sectors, unsigned int operation,
						  unsigned int error)
{
	return block_record(id, device, XP_WATCH_BLOCK_ERROR,
			    (struct xp_block_record){ .sector = sector,
						      .length = sectors * SECTOR,
						      .operation = operation,
						      .error = error });
}

static inline bool is_change(const int queue[2], unsigned int id, dev_t device,
			     unsigned int subtype, u64 capacity)
{
	const struct xp_block_record wanted = change_record(id, device, subtype, capacity);

	return is_record(queue[0], &wanted, sizeof(wanted));
}

static inline bool is_error(const int queue[2], unsigned int id, dev_t device, u64 sector,
			    unsigned int sectors, unsigned int operation, unsigned int error)
{
	const struct xp_block_record wanted = error_record(id, device, sector, sectors, operation,
							   error);

	return is_record(queue[0], &wanted, sizeof(wanted));
}

/* Are the next COUNT records those that are WANTED, in any order? */
static inline bool are_records(const int queue[2], struct xp_block_record *wanted, int count)
{
	union bytes got;
	ssize_t n;
	int i;

	for (; count; wanted[i] = wanted[--count]) {
		n = next_record(queue[0], &got, WAIT_MS);
		for (i = 0; i < count; i++) {
			if (n == sizeof(*wanted) && !memcmp(&got, &wanted[i], sizeof(*wanted)))
				break;
		}
		if (i == count) {
			show(&got, n);
			return false;
		}
	}
	return true;
}

/* The record of a watch's end, with the device's number, or none if DEVICE is 0. */
static inline union bytes end_record(unsigned int id, dev_t device)
{
	unsigned int length = device ? 16 : 8;

	return (union bytes){ .words = { XP_WATCH_TYPE_META | META_REMOVAL << 24,
					 length | id << INFO_ID_SHIFT, minor(device),
					 major(device) } };
}

static inline bool is_end(const int queue[2], unsigned int id, dev_t device)
{
	const union bytes wanted = end_record(id, device);

	return is_record(queue[0], &wanted, wanted.head.info & INFO_LENGTH);
}

#endif
