/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fusetree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fusenode.h"

/* A listing's reply, bytes at most; the kernel asks for a page, or for up to a megabyte. */
#define LISTING_MAX ((size_t)128 * 1024)

/* An open directory. */
struct listing {
	pthread_mutex_t lock;
	DIR *stream;
	off_t at;            /* the position of the next entry */
	struct dirent *kept; /* read, but there was no room for it */
	dev_t device;
};

/* A reply's entries. */
struct page {
	fuse_req_t request;
	char *bytes;
	size_t used, size;
};

static void tree_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	int error = fusenode_lookup(parent, name, &entry);

	if (error)
		fuse_reply_err(request, error);
	else if (fuse_reply_entry(request, &entry))
		fusenode_forget(entry.ino, 1);
}

static void tree_forget(fuse_req_t request, fuse_ino_t ino, uint64_t lookups)
{
	fusenode_forget(ino, lookups);
	fuse_reply_none(request);
}

static void tree_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		fusenode_forget(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(request);
}

static void tree_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct stat st;
	int error = file ? fusenode_stat_fd((int)file->fh, &st) : fusenode_stat(ino, &st);

	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_attr(request, &st, fuselow_timeouts.attr);
}

static void tree_readlink(fuse_req_t request, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	int fd = fusenode_open(ino, O_PATH);
	ssize_t length;
	int error;

	if (fd < 0) {
		fuse_reply_err(request, -fd);
		return;
	}
	length = readlinkat(fd, "", target, sizeof(target));
	error = errno;
	close(fd);
	if (length < 0) {
		fuse_reply_err(request, error);
	} else if ((size_t)length == sizeof(target)) {
		fuse_reply_err(request, ENAMETOOLONG);
	} else {
		target[length] = '\0';
		fuse_reply_readlink(request, target);
	}
}

static void tree_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct stat st;
	int fd, error;

	if ((file->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(request, EROFS);
		return;
	}
	error = fusenode_open_file(ino, &fd);
	if (error) {
		fuse_reply_err(request, error);
		return;
	}
	file->direct_io = fuselow_uncached(file->flags, fstat(fd, &st) ? 0 : st.st_size);
	file->fh = (uint64_t)fd;
	if (fuse_reply_open(request, file))
		fusenode_close_file(ino);
}

static void tree_release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)file;
	fusenode_close_file(ino);
	fuse_reply_err(request, 0);
}

static void tree_lseek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence,
		       struct fuse_file_info *file)
{
	off_t at = lseek((int)file->fh, offset, whence);

	(void)ino;
	if (at < 0)
		fuse_reply_err(request, errno);
	else
		fuse_reply_lseek(request, at);
}

static void tree_statfs(fuse_req_t request, fuse_ino_t ino)
{
	struct statvfs fs;

	(void)ino;
	if (fstatvfs(fusenode_root(), &fs))
		fuse_reply_err(request, errno);
	else
		fuse_reply_statfs(request, &fs);
}

/* ---------------------------------------------------------------------- listings */

static struct listing *listing_of(const struct fuse_file_info *file)
{
	return (struct listing *)(uintptr_t)file->fh;
}

static void close_listing(struct listing *listing)
{
	if (listing->stream)
		closedir(listing->stream);
	pthread_mutex_destroy(&listing->lock);
	free(listing);
}

/* 0 or errno. */
static int open_listing(fuse_ino_t ino, struct listing **opened)
{
	struct listing *listing = calloc(1, sizeof(*listing));
	struct stat st;
	int fd, error = 0;

	if (!listing)
		return ENOMEM;
	pthread_mutex_init(&listing->lock, NULL);
	fd = fusenode_open(ino, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		close_listing(listing);
		return -fd;
	}
	if (fstat(fd, &st))
		error = errno;
	listing->device = st.st_dev;
	if (!error && !(listing->stream = fdopendir(fd)))
		error = errno;
	if (!listing->stream)
		close(fd);
	if (error)
		close_listing(listing);
	else
		*opened = listing;
	return error;
}

static void tree_opendir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	struct listing *listing = NULL;
	int error = open_listing(ino, &listing);

	if (!listing) {
		fuse_reply_err(request, error);
		return;
	}
	file->fh = (uintptr_t)listing;
	if (fuse_reply_open(request, file))
		close_listing(listing);
}

static void tree_releasedir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	close_listing(listing_of(file));
	fuse_reply_err(request, 0);
}

/* False where there is no room for it. */
static bool add_entry(struct page *page, const struct listing *listing, const struct dirent *found)
{
	struct stat known = {
		.st_ino = fusenode_shown(listing->device, found->d_ino),
		.st_mode = DTTOIF(found->d_type),
	};
	size_t left = page->size - page->used;
	size_t needed = fuse_add_direntry(page->request, page->bytes + page->used, left,
					  found->d_name, &known, found->d_off);

	if (needed > left)
		return false;
	page->used += needed;
	return true;
}

/* Fills the page from @offset on. 0 or errno. */
static int fill(struct page *page, struct listing *listing, off_t offset)
{
	if (offset != listing->at) {
		seekdir(listing->stream, offset);
		listing->at = offset;
		listing->kept = NULL;
	}
	for (;;) {
		if (!listing->kept) {
			errno = 0;
			listing->kept = readdir(listing->stream);
		}
		if (!listing->kept)
			return page->used ? 0 : errno;
		if (!add_entry(page, listing, listing->kept))
			return 0;
		listing->at = listing->kept->d_off;
		listing->kept = NULL;
	}
}

static void tree_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
			 struct fuse_file_info *file)
{
	struct listing *listing = listing_of(file);
	struct page page = {
		.request = request,
		.size = size < LISTING_MAX ? size : LISTING_MAX,
	};
	int error;

	(void)ino;
	page.bytes = malloc(page.size);
	if (!page.bytes) {
		fuse_reply_err(request, ENOMEM);
		return;
	}
	pthread_mutex_lock(&listing->lock);
	error = fill(&page, listing, offset);
	pthread_mutex_unlock(&listing->lock);
	if (error)
		fuse_reply_err(request, error);
	else
		fuse_reply_buf(request, page.bytes, page.used);
	free(page.bytes);
}

const struct fuse_lowlevel_ops fusetree_ops = {
	.init = fuselow_negotiate,
	.lookup = tree_lookup,
	.forget = tree_forget,
	.forget_multi = tree_forget_multi,
	.getattr = tree_getattr,
	.readlink = tree_readlink,
	.open = tree_open,
	.release = tree_release,
	.lseek = tree_lseek,
	.statfs = tree_statfs,
	.opendir = tree_opendir,
	.releasedir = tree_releasedir,
	.readdir = tree_readdir,
};
