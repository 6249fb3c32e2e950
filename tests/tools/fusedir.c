/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fusedir -f MOUNTPOINT DIRECTORY - serves DIRECTORY's files through FUSE, and says
 * "mounted" on standard output. A file whose name begins with "liar" claims to be empty,
 * as files in /proc do, and is read all the same. With FUSEDIR_SPLICE in the environment, data
 * is spliced from and to the device.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int directory;

static int result(long value)
{
	return value < 0 ? -errno : (int)value;
}

static bool liar(const char *path)
{
	return !strncmp(path, "/liar", 5);
}

static const char *inside(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static void *fd_init(struct fuse_conn_info *conn, struct fuse_config *config)
{
	conn->want |= conn->capable & (FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
	/* Tests change the directory behind the kernel's back. */
	config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
	puts("mounted");
	fflush(stdout);
	return NULL;
}

static int fd_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	if (fstatat(directory, inside(path), st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (liar(path))
		st->st_size = 0;
	return 0;
}

static int fd_open(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(directory, inside(path), fi->flags & ~O_APPEND, 0600);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	fi->direct_io = liar(path);
	return 0;
}

static int fd_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	(void)mode;
	fi->flags |= O_CREAT;
	return fd_open(path, fi);
}

static int fd_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	int fd = fi ? (int)fi->fh : openat(directory, inside(path), O_WRONLY);
	int error = result(fd < 0 ? -1 : ftruncate(fd, size));

	if (!fi && fd >= 0)
		close(fd);
	return error;
}

static int fd_read(const char *path, char *buffer, size_t size, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	return result(pread((int)fi->fh, buffer, size, at));
}

static int fd_write(const char *path, const char *buffer, size_t size, off_t at,
		    struct fuse_file_info *fi)
{
	(void)path;
	return result(pwrite((int)fi->fh, buffer, size, at));
}

static struct fuse_bufvec file_buffer(const struct fuse_file_info *fi, size_t size, off_t at)
{
	struct fuse_bufvec buffer = FUSE_BUFVEC_INIT(size);

	buffer.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buffer.buf[0].fd = (int)fi->fh;
	buffer.buf[0].pos = at;
	return buffer;
}

static int fd_read_buf(const char *path, struct fuse_bufvec **buffer, size_t size, off_t at,
		       struct fuse_file_info *fi)
{
	(void)path;
	*buffer = malloc(sizeof(**buffer));
	if (!*buffer)
		return -ENOMEM;
	**buffer = file_buffer(fi, size, at);
	return 0;
}

static int fd_write_buf(const char *path, struct fuse_bufvec *buffer, off_t at,
			struct fuse_file_info *fi)
{
	struct fuse_bufvec file = file_buffer(fi, fuse_buf_size(buffer), at);

	(void)path;
	return (int)fuse_buf_copy(&file, buffer, 0);
}

static int fd_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return result(close((int)fi->fh));
}

static struct fuse_operations operations = {
	.init = fd_init,
	.getattr = fd_getattr,
	.open = fd_open,
	.create = fd_create,
	.truncate = fd_truncate,
	.read = fd_read,
	.write = fd_write,
	.release = fd_release,
};

int main(int argc, char **argv)
{
	directory = open(argv[argc - 1], O_PATH | O_DIRECTORY);
	if (directory < 0) {
		perror(argv[argc - 1]);
		return 1;
	}
	argv[--argc] = NULL;
	if (getenv("FUSEDIR_SPLICE")) {
		operations.read_buf = fd_read_buf;
		operations.write_buf = fd_write_buf;
	}
	return fuse_main(argc, argv, &operations, NULL);
}
