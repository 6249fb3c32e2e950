/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fusefile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fusestream.h"

static struct {
	int fd;
	const char *name;
	bool stream;
	fuse_ino_t node; /* the file's */
	uid_t user;
	gid_t group;
	struct timespec since;
} file;

void fusefile_start(int fd, const char *name, bool stream)
{
	file.fd = fd;
	file.name = name;
	file.stream = stream;
	file.node = name ? FUSE_ROOT_ID + 1 : FUSE_ROOT_ID;
	file.user = geteuid();
	file.group = getegid();
	clock_gettime(CLOCK_REALTIME, &file.since);
}

/* The size of a block device; the position, which others may share, is put back. */
static off_t device_size(int fd)
{
	off_t at = lseek(fd, 0, SEEK_CUR), end = lseek(fd, 0, SEEK_END);

	if (at >= 0)
		lseek(fd, at, SEEK_SET);
	return end < 0 ? 0 : end;
}

/* 0 or errno. */
static int file_stat(struct stat *st)
{
	if (fstat(file.fd, st))
		return errno;
	if (file.stream)
		*st = (struct stat){
			.st_mode = 0444,
			.st_uid = file.user,
			.st_gid = file.group,
			.st_atim = file.since,
			.st_mtim = file.since,
			.st_ctim = file.since,
		};
	if (S_ISBLK(st->st_mode)) {
		st->st_size = device_size(file.fd);
		st->st_blocks = st->st_size / 512;
	}
	st->st_mode = S_IFREG | (st->st_mode & 0777);
	st->st_rdev = 0;
	st->st_nlink = 1;
	if (!st->st_ino || file.name)
		st->st_ino = file.node;
	return 0;
}

static void directory_stat(struct stat *st)
{
	*st = (struct stat){
		.st_ino = FUSE_ROOT_ID,
		.st_mode = S_IFDIR | 0555,
		.st_nlink = 2,
		.st_uid = file.user,
		.st_gid = file.group,
		.st_atim = file.since,
		.st_mtim = file.since,
		.st_ctim = file.since,
	};
}

static void file_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct stat st;
	int error = 0;

	(void)info;
	if (ino == file.node)
		error = file_stat(&st);
	else
		directory_stat(&st);
	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_attr(request, &st, fuselow_timeouts.attr);
}

static void file_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = file.node,
		.attr_timeout = fuselow_timeouts.attr,
		.entry_timeout = fuselow_timeouts.entry,
	};
	int error = ENOENT;

	if (parent != file.node && !strcmp(name, file.name))
		error = file_stat(&entry.attr);
	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_entry(request, &entry);
}

static void file_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct stat st = { 0 };
	int error = 0;

	(void)ino;
	if ((info->flags & O_ACCMODE) != O_RDONLY)
		error = EROFS;
	else if (file.stream)
		error = fusestream_open();
	else if (fstat(file.fd, &st))
		error = errno;
	if (error) {
		fuse_reply_err(request, error);
		return;
	}
	/* Of a stream nothing may be read that nobody asked for. */
	if (S_ISBLK(st.st_mode))
		st.st_size = device_size(file.fd);
	info->direct_io = file.stream || fuselow_uncached(info->flags, st.st_size);
	info->nonseekable = file.stream;
	info->fh = (uint64_t)file.fd;
	if (fuse_reply_open(request, info) && file.stream)
		fusestream_close();
}

static void file_release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	(void)info;
	if (file.stream)
		fusestream_close();
	fuse_reply_err(request, 0);
}

static void file_lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence,
		       struct fuse_file_info *info)
{
	off_t before = lseek(file.fd, 0, SEEK_CUR);
	off_t at = lseek(file.fd, offset, whence);
	int error = errno;

	(void)ino;
	(void)info;
	if (before >= 0)
		lseek(file.fd, before, SEEK_SET);
	if (at < 0)
		fuse_reply_err(request, error);
	else
		fuse_reply_lseek(request, at);
}

static void file_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
			 struct fuse_file_info *info)
{
	const char *const names[] = { ".", "..", file.name };
	struct stat st[] = {
		{ .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR },
		{ .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR },
		{ .st_ino = file.node, .st_mode = S_IFREG },
	};
	char bytes[1024];
	size_t used = 0, room = size < sizeof(bytes) ? size : sizeof(bytes);

	(void)ino;
	(void)info;
	for (off_t i = offset; i >= 0 && i < 3; i++) {
		size_t needed = fuse_add_direntry(request, bytes + used, room - used, names[i],
						  &st[i], i + 1);

		if (needed > room - used)
			break;
		used += needed;
	}
	fuse_reply_buf(request, bytes, used);
}

const struct fuse_lowlevel_ops fusefile_ops = {
	.init = fuselow_negotiate,
	.lookup = file_lookup,
	.getattr = file_getattr,
	.open = file_open,
	.release = file_release,
	.lseek = file_lseek,
	.readdir = file_readdir,
};
