/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse.h"

#include <sys/sysmacros.h>

#include "../lib/sys.h"

/* Of <linux/fuse.h>, which is not everywhere: struct fuse_out_header begins with its length. */
#define HEADER_SIZE ((size_t)16)
#define DEVICE makedev(10, 229)

bool fuse_is_device(int fd)
{
	struct stat st;

	return !sys_fstat(fd, &st) && S_ISCHR(st.st_mode) && st.st_rdev == DEVICE;
}

bool fuse_threw_away(int pipe, int device)
{
	int queued = 0;

	return fuse_is_device(device) && !sys_ioctl(pipe, FIONREAD, &queued) && !queued;
}

/* Reads what is there for certain. */
static ssize_t read_all(int pipe, char *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = sys_read(pipe, NULL, to + done, len - done);

		if (n <= 0 && n != -EINTR)
			return n ? n : -EINVAL;
		done += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)done;
}

ssize_t fuse_reply(int pipe, int device, size_t len)
{
	uint32_t length = (uint32_t)len;
	int queued = 0;
	char *message;
	ssize_t n;

	/* As fuse_dev_splice_write() has it: a reply is whole. */
	if (sys_ioctl(pipe, FIONREAD, &queued) || (size_t)queued < len || len < HEADER_SIZE)
		return -EINVAL;
	message = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (message == MAP_FAILED)
		return -ENOMEM;
	n = read_all(pipe, message, len);
	if (n > 0) {
		memcpy(message, &length, sizeof(length));
		n = sys_write(device, NULL, message, len);
	}
	munmap(message, len);
	return n;
}
