/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse-file - shows a file at another file's place, through FUSE, read-only.
 *
 * usage: fuse-file FILE MOUNTPOINT [auto|splice|vmsplice|copy]
 *
 * MOUNTPOINT is a file, too. What is read there is spliced from FILE into /dev/fuse: this program
 * sees the requests, and never the data. It says "mounted" once it can be used, and ends when it
 * is unmounted. It needs the right to mount: root, or `unshare -Urm`.
 *
 * build: cc -o fuse-file fuse-file.c $(pkg-config --cflags --libs extpipe)
 */
#include <err.h>
#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Sends what was gathered. The kernel finds the request by its number, the rest by the length. */
static void answer(const struct request *request, struct fuse_out_header *header, int error)
{
	header->unique = request->header.unique;
	header->error = -error;
	header->len = (unsigned)xp_message_length(reply);
	/* ENOENT: who had asked is gone, killed for instance. */
	if (xp_message_send(reply, device) < 0 && errno != ENOENT)
		warn("a reply to request %u", request->header.opcode);
}

static struct fuse_out_header *begin(void)
{
	struct fuse_out_header *header = xp_message_begin(reply, sizeof(*header));

	if (!header)
		err(1, "a reply");
	return header;
}

/* An answer without data, or with a structure that is at hand. */
static void answer_with(const struct request *request, int error, const void *data, size_t len)
{
	struct fuse_out_header *header = begin();

	if (len && xp_message_add(reply, data, len))
		err(1, "a reply");
	answer(request, header, error);
}

static void do_init(const struct request *request)
{
	const struct fuse_init_in *in = (const void *)request->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.max_write = 4096,
		.time_gran = 1,
	};

	answer_with(request, 0, &out, sizeof(out));
	puts("mounted");
	fflush(stdout);
}

static void do_getattr(const struct request *request)
{
	struct fuse_attr_out out = { .attr = { .ino = FUSE_ROOT_ID, .nlink = 1 } };
	struct stat st;

	if (fstat(file, &st)) {
		answer_with(request, errno, NULL, 0);
		return;
	}
	out.attr.size = (unsigned long long)st.st_size;
	out.attr.blocks = (unsigned long long)st.st_blocks;
	out.attr.mtime = (unsigned long long)st.st_mtime;
	out.attr.mode = S_IFREG | 0444;
	out.attr.uid = getuid();
	out.attr.gid = getgid();
	answer_with(request, 0, &out, sizeof(out));
}

/* The payload first: only then is it known how long it is, or that it can't be had. */
static void do_read(const struct request *request)
{
	const struct fuse_read_in *in = (const void *)request->body;
	struct fuse_out_header *header = begin();
	loff_t offset = (loff_t)in->offset;

	if (xp_message_add_fd(reply, file, &offset, in->size) < 0)
		answer_with(request, errno, NULL, 0);
	else
		answer(request, header, 0);
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
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		return answer_with(request, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return; /* these want no answer */
	default:
		answer_with(request, ENOSYS, NULL, 0);
	}
}

int main(int argc, char *argv[])
{
	struct xp_message_options options = { .via = XP_VIA_AUTO };
	struct request request;
	char mount_data[128];

	while (argc == 4 && options.via < XP_VIA_COUNT && strcmp(xp_via_name(options.via), argv[3]))
		options.via++;
	if (argc < 3 || argc > 4)
		errx(2, "usage: fuse-file FILE MOUNTPOINT [auto|splice|vmsplice|copy]");
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0)
		err(1, "%s", argv[1]);
	reply = xp_message_open(&options);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (!reply || device < 0)
		err(1, "%s", reply ? "/dev/fuse" : "xp_message_open");
	snprintf(mount_data, sizeof(mount_data), "fd=%d,rootmode=100444,user_id=%u,group_id=%u",
		 device, getuid(), getgid());
	if (mount("fuse-file", argv[2], "fuse", MS_NOSUID | MS_NODEV | MS_RDONLY, mount_data))
		err(1, "%s", argv[2]);
	while (read(device, &request, sizeof(request)) >= 0 || errno == EINTR || errno == ENOENT)
		serve(&request);
	if (errno != ENODEV)
		err(1, "/dev/fuse");
	xp_message_close(reply);
	return 0;
}
