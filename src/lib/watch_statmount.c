/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_statmount.c - mounts by listmount(2) and statmount(2), Linux 6.8. */
#include "watch_mounts.h"

#include <limits.h>
#include <string.h>

#include "sys.h"
#include "watch.h"

/* What listmount(2) begins at: the root. */
#define LISTMOUNT_ROOT UINT64_MAX
#define LISTED 256

#define SB_READONLY 1u
#define ATTRIBUTE_READONLY 1u

/* A mount, and the text that goes with it. */
struct described {
	struct sys_statmount mount;
	char text[PATH_MAX + 16];
};

/* Before 6.11 a request named no namespace, and was as much shorter. */
static struct sys_mount_request request(uint64_t ns, uint64_t mount)
{
	struct sys_mount_request request = { .size = SYS_MOUNT_REQUEST_VER0, .mount = mount };

	if (ns)
		request.size = sizeof(request);
	request.ns = ns;
	return request;
}

bool mounts_listed(uint64_t ns)
{
	struct sys_mount_request ask = request(ns, LISTMOUNT_ROOT);
	uint64_t id;

	return sys_listmount(&ask, &id, 1) >= 0;
}

/* The text at an offset that the kernel gave; NULL if it's empty, or not all there. */
static const char *text_at(const struct described *described, uint32_t offset, size_t *length)
{
	size_t size = sizeof(described->text);

	if (described->mount.size > sizeof(described->mount) &&
	    described->mount.size - sizeof(described->mount) < size)
		size = described->mount.size - sizeof(described->mount);
	if (offset >= size)
		return NULL;
	*length = strnlen(described->text + offset, size - offset);
	return *length && *length < size - offset ? described->text + offset : NULL;
}

struct mount *mounts_describe(uint64_t ns, uint64_t id)
{
	struct sys_mount_request ask = request(ns, id);
	struct described described;
	const struct sys_statmount *from = &described.mount;
	const char *path = NULL;
	struct mount *mount;
	size_t length = 0;

	ask.param = SYS_STATMOUNT_SB | SYS_STATMOUNT_MOUNT | SYS_STATMOUNT_POINT;
	memset(&described.mount, 0, sizeof(described.mount));
	if (sys_statmount(&ask, &described, sizeof(described)) || from->id != id)
		return NULL;
	if (from->mask & SYS_STATMOUNT_POINT)
		path = text_at(&described, from->point, &length);
	mount = mount_new(id, from->parent, path, length);
	if (!mount)
		return NULL;
	mount->device = WATCH_DEVICE(from->sb_major, from->sb_minor);
	mount->sb_readonly = from->sb_flags & SB_READONLY;
	mount->readonly = from->attributes & ATTRIBUTE_READONLY;
	mount->attributes = from->attributes;
	mount->propagation = from->propagation;
	return mount;
}

/* A mount that went since it was listed is none. */
static int load_one(struct table *table, uint64_t ns, uint64_t id)
{
	struct mount *mount = mounts_describe(ns, id);

	if (!mount)
		return 0;
	if (table_add(table, mount))
		return 0;
	mount_put(mount);
	return -ENOMEM;
}

static int load_listed(struct table *table, uint64_t ns)
{
	struct sys_mount_request ask = request(ns, LISTMOUNT_ROOT);
	uint64_t ids[LISTED];
	ssize_t n;

	do {
		n = sys_listmount(&ask, ids, LISTED);
		for (ssize_t i = 0; i < n; i++)
			if (load_one(table, ns, ids[i]))
				return -ENOMEM;
		if (n > 0)
			ask.param = ids[n - 1];
	} while (n == LISTED);
	return n < 0 ? (int)n : 0;
}

int mounts_load(struct table *table, uint64_t ns, bool listed)
{
	int error = listed ? load_listed(table, ns) : mountinfo_load(table);

	if (error)
		table_clear(table);
	return error;
}
