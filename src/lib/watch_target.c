/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_target.c - file systems and block devices: which one a descriptor names, and its state. */
#include "watch_target.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "sys.h"

/* ------------------------------------------------------------------------------ file systems */

/* The mount that a descriptor is on, by statmount(2) or else from mountinfo; NULL: not to be had.
 */
static struct mount *mount_under(int fd)
{
	struct table table = { 0 };
	struct mount *mount = NULL;
	struct sys_statx st;

	if (!sys_statx(fd, SYS_STATX_MNT_ID_UNIQUE, &st) && st.mask & SYS_STATX_MNT_ID_UNIQUE)
		mount = mounts_describe(0, st.mnt_id);
	if (mount || sys_statx(fd, SYS_STATX_MNT_ID, &st) || mountinfo_load(&table))
		return mount;
	mount = st.mask & SYS_STATX_MNT_ID ? table_find(&table, st.mnt_id) : NULL;
	if (mount)
		table_remove(&table, mount);
	table_clear(&table);
	return mount;
}

int sb_resolve(struct xp_watch *watch, unsigned slot, int fd)
{
	struct watched *watched = &watch->watches[slot];
	struct mount *mount;
	struct stat st;
	int error = sys_fstat(fd, &st);

	if (error || watched->path)
		return error;
	watched->object = WATCH_DEVICE(major(st.st_dev), minor(st.st_dev));
	mount = mount_under(fd);
	if (!mount)
		return 0;
	watched->object = mount->device;
	watched->readonly = mount->sb_readonly;
	watched->path = mount->path;
	mount->path = NULL;
	mount_put(mount);
	return 0;
}

static void tell_sb(struct xp_watch *watch, unsigned slot, enum xp_backend backend, unsigned flags)
{
	struct watched *watched = &watch->watches[slot];
	struct xp_event event = { .source = XP_SOURCE_SB, .event = XP_SB_REMOUNT, .operation = -1 };
	struct device_names names = { .next = 0 };
	struct set one = { { 0 } };

	set_add(&one, slot);
	event.major = (uint32_t)(watched->object >> 32);
	event.minor = (uint32_t)watched->object;
	event.flags = flags | (watched->readonly ? XP_EVENT_READONLY : 0);
	watch_tell(watch, &one, backend, &event, values_device(&names, watched->object, false),
		   watched->path);
}

void sb_initial(struct xp_watch *watch, unsigned slot, enum xp_backend backend)
{
	tell_sb(watch, slot, backend, XP_EVENT_INITIAL);
}

/* A file system that is mounted nowhere that can be seen is gone. */
static void compare_one(struct xp_watch *watch, unsigned slot, const struct table *now)
{
	struct watched *watched = &watch->watches[slot];
	const struct mount *mount = now->first;
	struct set one = { { 0 } };

	while (mount && mount->device != watched->object)
		mount = mount->after;
	if (!mount) {
		set_add(&one, slot);
		watch_gone(watch, &one, XP_BACKEND_MOUNTINFO, NULL);
	} else if (mount->sb_readonly != watched->readonly) {
		watched->readonly = mount->sb_readonly;
		tell_sb(watch, slot, XP_BACKEND_MOUNTINFO, 0);
	}
}

void sb_compare(struct xp_watch *watch, const struct table *now)
{
	for (unsigned slot = 0; slot < WATCH_MAX; slot++)
		if (watch_served(&watch->watches[slot], XP_BACKEND_MOUNTINFO) &&
		    watch->watches[slot].source == XP_SOURCE_SB)
			compare_one(watch, slot, now);
}

/* ------------------------------------------------------------------------------ block devices */

int block_attribute(uint64_t device, const char *name)
{
	char path[96] = "/sys/dev/block/";
	char *end = values_decimal(path + strlen(path), device >> 32);

	*end++ = ':';
	end = values_decimal(end, (uint32_t)device);
	*end++ = '/';
	strcpy(end, name);
	return sys_open(path, O_RDONLY);
}

uint64_t block_capacity(uint64_t device)
{
	char text[32];
	int fd = block_attribute(device, "size");
	ssize_t n = fd < 0 ? fd : sys_read(fd, NULL, text, sizeof(text));
	uint64_t sectors;

	if (fd >= 0)
		close(fd);
	return n > 0 && values_number(text, text + n, '\n', &sectors) ? sectors : 0;
}

int block_resolve(struct xp_watch *watch, unsigned slot, int fd)
{
	struct watched *watched = &watch->watches[slot];
	struct stat st;
	int error;

	watched->object = WATCH_ALL;
	if (fd == -1)
		return 0;
	error = sys_fstat(fd, &st);
	if (error)
		return error;
	if (!S_ISBLK(st.st_mode))
		return -EINVAL;
	watched->object = WATCH_DEVICE(major(st.st_rdev), minor(st.st_rdev));
	/* What happens, happens to the whole device. */
	fd = block_attribute(watched->object, "partition");
	if (fd < 0)
		return 0;
	close(fd);
	return -EINVAL;
}

/* The number of a device in /sys/block. */
static bool read_number(const char *name, uint64_t *device)
{
	char path[NAME_MAX + 32] = "/sys/block/", text[48];
	uint64_t high, low;
	const char *at;
	ssize_t n;
	int fd;

	strcpy(path + strlen(path), name);
	strcpy(path + strlen(path), "/dev");
	fd = sys_open(path, O_RDONLY);
	n = fd < 0 ? fd : sys_read(fd, NULL, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	at = n > 0 ? values_number(text, text + n, ':', &high) : NULL;
	if (!at || !values_number(at, text + n, '\n', &low))
		return false;
	*device = WATCH_DEVICE(high, low);
	return true;
}

void block_initial(struct xp_watch *watch, unsigned slot, enum xp_backend backend,
		   struct device_names *names, bool tell)
{
	struct xp_event event = { .source = XP_SOURCE_BLOCK, .event = XP_BLOCK_ADD };
	uint64_t object = watch->watches[slot].object, device;
	DIR *all = opendir("/sys/block");
	struct set one = { { 0 } };
	const struct dirent *entry;

	set_add(&one, slot);
	event.flags = XP_EVENT_INITIAL;
	event.operation = -1;
	while (all && (entry = readdir(all))) {
		if (!read_number(entry->d_name, &device) ||
		    (object != WATCH_ALL && object != device))
			continue;
		event.major = (uint32_t)(device >> 32);
		event.minor = (uint32_t)device;
		event.sector = block_capacity(device);
		if (tell)
			watch_tell(watch, &one, backend, &event,
				   values_device(names, device, false), NULL);
		else
			values_device(names, device, false);
	}
	if (all)
		closedir(all);
}
