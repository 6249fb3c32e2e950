/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch_fan.h"

#include <string.h>
#include <sys/fanotify.h>

#include "sys.h"
#include "watch_values.h"

/* Kinds of further information; <sys/fanotify.h> may know fewer. */
#define INFO_FID 1
#define INFO_ERROR 5
#define INFO_MNT 7

/* A file handle that holds the inode's number in 32 bits, as ext4's does. */
#define HANDLE_INO32 1

struct info {
	uint8_t type, pad;
	uint16_t length;
};

struct mnt_info {
	struct info info;
	uint32_t pad;
	uint64_t mount;
};

struct error_info {
	struct info info;
	int32_t error;
	uint32_t count;
};

struct fid_info {
	struct info info;
	int32_t fsid[2];
	uint32_t handle_bytes;
	int32_t handle_type;
	uint32_t ino;
};

int fan_open(unsigned flags)
{
	return SYS_RESULT(fanotify_init(flags | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC));
}

int fan_mark(int group, unsigned type, uint64_t mask, int fd)
{
	char path[64] = "/proc/self/fd/";

	*values_decimal(path + strlen(path), (uint64_t)fd) = '\0';
	return SYS_RESULT(fanotify_mark(group, FAN_MARK_ADD | type, mask, AT_FDCWD, path));
}

/* The kernel's errors are below 4096, with either sign; other numbers are none. */
static int error_number(int32_t number)
{
	if (number > -4096 && number < 0)
		return -number;
	return number >= 0 && number < 4096 ? number : 0;
}

static void take_info(const char *at, size_t length, struct fan_event *event)
{
	struct mnt_info mnt;
	struct error_info error;
	struct fid_info fid;

	switch ((unsigned char)*at) {
	case INFO_MNT:
		if (length < sizeof(mnt))
			break;
		memcpy(&mnt, at, sizeof(mnt));
		event->mount = mnt.mount;
		break;
	case INFO_ERROR:
		if (length < sizeof(error))
			break;
		memcpy(&error, at, sizeof(error));
		event->error = error_number(error.error);
		break;
	case INFO_FID:
		if (length < sizeof(fid))
			break;
		memcpy(&fid, at, sizeof(fid));
		if (fid.handle_type == HANDLE_INO32 && fid.handle_bytes >= sizeof(fid.ino))
			event->ino = fid.ino;
		break;
	default:
		break;
	}
}

size_t fan_parse(const char *data, size_t size, struct fan_event *event)
{
	struct fanotify_event_metadata head;
	struct info info;
	size_t at;

	*event = (struct fan_event){ 0 };
	if (size < sizeof(head))
		return 0;
	memcpy(&head, data, sizeof(head));
	if (head.event_len > size || head.metadata_len < sizeof(head) ||
	    head.event_len < head.metadata_len || head.vers != FANOTIFY_METADATA_VERSION)
		return 0;
	event->mask = head.mask;
	for (at = head.metadata_len; head.event_len - at >= sizeof(info); at += info.length) {
		memcpy(&info, data + at, sizeof(info));
		if (info.length < sizeof(info) || info.length > head.event_len - at)
			return 0;
		take_info(data + at, info.length, event);
	}
	return head.event_len;
}
