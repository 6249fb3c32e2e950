/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mirror copy|splice DIRECTORY MOUNTPOINT - shows the files right in DIRECTORY, to be read, by
 * libfuse's low-level interface and nothing else. With copy, which is libfuse's default, it stands
 * for libfuse where that comes without examples; with splice, libfuse may splice its replies.
 */
#define FUSE_USE_VERSION 34
#include "bench.h"

#include <fuse3/fuse_lowlevel.h>
#include <sys/stat.h>

#define MOST_FILES 1024
#define FRESH 1.0 /* seconds that what was told may be believed */

static int directory;
static char *names[MOST_FILES]; /* by number, which begins after the directory's */
static fuse_ino_t count;

static void start(void *may_splice, struct fuse_conn_info *conn)
{
	if (may_splice)
		conn->want |= conn->capable & (FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static int fill(fuse_ino_t number, struct stat *st)
{
	int failed = number == FUSE_ROOT_ID ?
			     fstat(directory, st) :
			     fstatat(directory, names[number - FUSE_ROOT_ID - 1], st, 0);

	st->st_ino = number;
	return failed;
}

static fuse_ino_t number_of(const char *name)
{
	for (fuse_ino_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i + FUSE_ROOT_ID + 1;
	if (count == MOST_FILES)
		return 0;
	names[count] = strdup(name);
	return names[count] ? ++count + FUSE_ROOT_ID : 0;
}

static void lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = FRESH, .entry_timeout = FRESH };

	(void)parent;
	if (faccessat(directory, name, R_OK, 0)) {
		fuse_reply_err(request, errno);
		return;
	}
	entry.ino = number_of(name);
	if (!entry.ino || fill(entry.ino, &entry.attr))
		fuse_reply_err(request, ENOENT);
	else
		fuse_reply_entry(request, &entry);
}

static void attributes(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	struct stat st;

	(void)file;
	if (fill(number, &st))
		fuse_reply_err(request, errno);
	else
		fuse_reply_attr(request, &st, FRESH);
}

/* A client's O_DIRECT is its own affair. */
static void open_file(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	int fd = number == FUSE_ROOT_ID ?
			 -1 :
			 openat(directory, names[number - FUSE_ROOT_ID - 1], O_RDONLY | O_CLOEXEC);

	file->fh = (uint64_t)fd;
	if (fd < 0)
		fuse_reply_err(request, number == FUSE_ROOT_ID ? EISDIR : errno);
	else
		fuse_reply_open(request, file);
}

static void read_file(fuse_req_t request, fuse_ino_t number, size_t size, off_t at,
		      struct fuse_file_info *file)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(size);

	(void)number;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = (int)file->fh;
	data.buf[0].pos = at;
	fuse_reply_data(request, &data, FUSE_BUF_SPLICE_MOVE);
}

static void release(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)number;
	fuse_reply_err(request, close((int)file->fh) ? errno : 0);
}

static const struct fuse_lowlevel_ops operations = {
	.init = start,
	.lookup = lookup,
	.getattr = attributes,
	.open = open_file,
	.read = read_file,
	.release = release,
};

int main(int argc, char **argv)
{
	char *words[] = { argv[0], NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	struct fuse_session *session;
	int failed;

	if (argc != 4) {
		errno = EINVAL;
		die("arguments");
	}
	directory = (int)must(open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), argv[2]);
	session = fuse_session_new(&args, &operations, sizeof(operations),
				   strcmp(argv[1], "splice") ? NULL : &directory);
	if (!session || fuse_session_mount(session, argv[3]))
		return 1;
	failed = fuse_session_loop(session);
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return failed != 0;
}
