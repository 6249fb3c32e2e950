/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse-file - shows a file at another file's place, through FUSE, read-only.
 * usage: fuse-file FILE MOUNTPOINT [auto|splice|vmsplice|copy]
 *
 * MOUNTPOINT is a file, too. What is read there is spliced from FILE into /dev/fuse: this program
 * sees the requests, and never the data. It says "mounted" once it can be used, and ends when it
 * is unmounted. It needs the right to mount: root, or `unshare -rm`.
 * build: cc -o fuse-file fuse-file.c $(pkg-config --cflags --libs extpipe)
 */
#include <err.h>
#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
	struct fuse_in_header header;
	char body[FUSE_MIN_READ_BUFFER];
};

static int file, device;
static struct xp_message *reply;

static struct fuse_out_header *begin(const struct request *request, int error)
{
	struct fuse_out_header *header = xp_message_begin(reply, sizeof(*header));

	if (!header)
		err(1, "a reply");
	header->unique = request->header.unique;
	header->error = -error;
	return header;
}

/* Only now is it known how long the reply is. */
static void answer(struct fuse_out_header *header)
{
	header->len = (unsigned)xp_message_length(reply);
	/* ENOENT: whoever asked has gone, killed for instance. */
	if (xp_message_send(reply, device) < 0 && errno != ENOENT)
		warn("/dev/fuse");
}

/* An answer without data, or with a structure that is at hand. */
static void answer_with(const struct request *request, int error, const void *data, size_t len)
{
	struct fuse_out_header *header = begin(request, error);

	if (xp_message_add(reply, data, len))
		err(1, "a reply");
	answer(header);
}

static void do_init(const struct request *request)
{
	const struct fuse_init_in *in = (const void *)request->body;
	const struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
	};

	answer_with(request, 0, &out, sizeof(out));
	puts("mounted");
	fflush(stdout);
}

static void do_getattr(const struct request *request)
{
	struct fuse_attr_out out = { .attr = { .ino = FUSE_ROOT_ID, .nlink = 1 } };
	struct stat st;

	if (fstat(file, &st))
		return answer_with(request, errno, NULL, 0);
	out.attr.size = (unsigned long long)st.st_size;
	out.attr.mtime = (unsigned long long)st.st_mtime;
	out.attr.mode = S_IFREG | 0444;
	answer_with(request, 0, &out, sizeof(out));
}

/* What can't be read after all is not half an answer: another one begins. */
static void do_read(const struct request *request)
{
	const struct fuse_read_in *in = (const void *)request->body;
	struct fuse_out_header *header = begin(request, 0);
	loff_t offset = (loff_t)in->offset;

	if (xp_message_add_fd(reply, file, &offset, in->size) < 0)
		answer_with(request, errno, NULL, 0);
	else
		answer(header);
}

static void serve(const struct request *request)
{
	static const struct fuse_open_out opened;

	switch (request->header.opcode) {
	case FUSE_INIT:
		return do_init(request);
	case FUSE_GETATTR:
		return do_getattr(request);
	case FUSE_OPEN:
		return answer_with(request, 0, &opened, sizeof(opened));
	case FUSE_READ:
		return do_read(request);
	case FUSE_FORGET:
		return; /* it wants no answer */
	default:
		answer_with(request, request->header.opcode == FUSE_RELEASE ? 0 : ENOSYS, NULL, 0);
	}
}

int main(int argc, char *argv[])
{
	struct xp_message_options options = { .via = XP_VIA_AUTO };
	struct request request;
	char how[128];
	ssize_t n;

	while (argc == 4 && options.via < XP_VIA_COUNT && strcmp(xp_via_name(options.via), argv[3]))
		options.via++;
	if (argc < 3 || argc > 4)
		errx(2, "usage: fuse-file FILE MOUNTPOINT [auto|splice|vmsplice|copy]");
	reply = xp_message_open(&options);
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (!reply || file < 0 || device < 0)
		err(1, "%s", !reply ? "a message" : file < 0 ? argv[1] : "/dev/fuse");
	snprintf(how, sizeof(how), "fd=%d,rootmode=100444,user_id=%u,group_id=%u", device, getuid(),
		 getgid());
	if (mount("fuse-file", argv[2], "fuse", MS_NOSUID | MS_NODEV | MS_RDONLY, how))
		err(1, "%s", argv[2]);
	/* ENOENT: the request was withdrawn. ENODEV: it is unmounted. */
	while ((n = read(device, &request, sizeof(request))) >= 0 || errno == EINTR ||
	       errno == ENOENT)
		if (n >= 0)
			serve(&request);
	if (errno != ENODEV)
		err(1, "/dev/fuse");
	xp_message_close(reply);
	return 0;
}
