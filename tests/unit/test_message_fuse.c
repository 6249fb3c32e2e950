/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to /dev/fuse: what it refuses is sent once; and examples/fuse-file serves by them. */
#include <extpipe.h>
#include <limits.h>
#include <linux/fuse.h>

#include "watchers.h"

static const enum xp_via ways[] = { XP_VIA_SPLICE, XP_VIA_VMSPLICE, XP_VIA_COPY, XP_VIA_AUTO };
#define WAYS (sizeof(ways) / sizeof(ways[0]))

#define FILE_SIZE ((size_t)3 * 1024 * 1024 + 123)

static char base[PATH_MAX], example[PATH_MAX];
static int file;
static char *bytes;

static void make_file(void)
{
	int source = tap_file(FILE_SIZE);

	bytes = mmap(NULL, FILE_SIZE, PROT_READ, MAP_PRIVATE, source, 0);
	must(bytes != MAP_FAILED && !close(source));
	file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(file >= 0 && write(file, bytes, FILE_SIZE) == (ssize_t)FILE_SIZE);
	must(put_text("point", "") || !close(open("point", O_WRONLY | O_CREAT, 0600)));
}

/* ---------------------------------------------------------- a device's word */

struct request {
	struct fuse_in_header header;
	char body[FUSE_MIN_READ_BUFFER];
};

static unsigned told;

static void decided(const struct xp_decision *decision, void *arg)
{
	(void)arg;
	printf("# %s from %s: %s\n", xp_via_name(decision->via), xp_via_name(decision->from),
	       decision->why);
	told++;
}

static int mount_device(void)
{
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char how[128];

	must(device >= 0);
	snprintf(how, sizeof(how), "fd=%d,rootmode=100444,user_id=0,group_id=0", device);
	must(!mount("test", "point", "fuse", MS_RDONLY, how));
	return device;
}

static struct fuse_out_header *begin(struct xp_message *m, const struct request *request)
{
	struct fuse_out_header *header = xp_message_begin(m, sizeof(*header));

	must(header);
	header->unique = request->header.unique;
	return header;
}

/* Answers until somebody reads, and then leaves it to others to answer that. */
static void serve_until_read(struct xp_message *m, int device, struct request *request)
{
	static const struct fuse_open_out opened = { .open_flags = FOPEN_DIRECT_IO };
	static const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
						   .minor = FUSE_KERNEL_MINOR_VERSION };
	static const struct fuse_attr_out attr = {
		.attr = { .ino = 1, .nlink = 1, .mode = S_IFREG | 0444, .size = FILE_SIZE }
	};

	for (;;) {
		struct fuse_out_header *header;

		must(read(device, request, sizeof(*request)) > 0);
		if (request->header.opcode == FUSE_READ)
			return;
		header = begin(m, request);
		if (request->header.opcode == FUSE_INIT)
			must(!xp_message_add(m, &init, sizeof(init)));
		else if (request->header.opcode == FUSE_GETATTR)
			must(!xp_message_add(m, &attr, sizeof(attr)));
		else if (request->header.opcode == FUSE_OPEN)
			must(!xp_message_add(m, &opened, sizeof(opened)));
		else
			header->error = -ENOSYS;
		header->len = (uint32_t)xp_message_length(m);
		must(xp_message_send(m, device) == header->len);
	}
}

/* Reads 100000 bytes at 4096: are they what they should be? */
static bool read_through(void)
{
	static char data[100000];
	int fd = open("point", O_RDONLY);

	return fd >= 0 && pread(fd, data, sizeof(data), 4096) == sizeof(data) &&
	       !memcmp(data, bytes + 4096, sizeof(data));
}

static ssize_t reply(struct xp_message *m, int device, const struct request *request,
		     uint64_t unique, unsigned more)
{
	const struct fuse_read_in *in = (const void *)request->body;
	struct fuse_out_header *header = begin(m, request);
	loff_t at = (loff_t)in->offset;

	must(xp_message_add_fd(m, file, &at, in->size) == in->size);
	header->unique += unique;
	header->len = (uint32_t)xp_message_length(m) + more;
	return xp_message_send(m, device);
}

static void test_device(enum xp_via via)
{
	const struct xp_message_options options = { .via = via, .decided = decided };
	const char *name = xp_via_name(via);
	struct xp_message *m = xp_message_open(&options);
	int device = mount_device(), told_back[2];
	struct request request;
	bool right = false;
	pid_t reader;

	must(m && !pipe(told_back));
	reader = fork();
	must(reader >= 0);
	if (!reader) {
		close(device);
		xp_message_close(m);
		right = read_through();
		must(write(told_back[1], &right, sizeof(right)) == sizeof(right));
		_exit(0);
	}
	serve_until_read(m, device, &request);
	told = 0;
	ok(fails(reply(m, device, &request, 0, 1), EINVAL), "%s: a wrong length: EINVAL", name);
	ok(fails(reply(m, device, &request, 1u << 20, 0), ENOENT), "%s: a reply to nobody: ENOENT",
	   name);
	ok(reply(m, device, &request, 0, 0) > 100000, "%s: the right one after that", name);
	ok(!told && xp_message_via(m) == (via == XP_VIA_AUTO ? XP_VIA_SPLICE : via),
	   "%s: no refusal was taken for one of splices", name);
	must(read(told_back[0], &right, sizeof(right)) == sizeof(right));
	ok(right, "%s: who had asked gets what was meant", name);
	/* Nobody answers what the reader still asks for when it closes the file. */
	must(!umount2("point", MNT_FORCE | MNT_DETACH) && waitpid(reader, NULL, 0) == reader);
	ok(reply(m, device, &request, 0, 0) < 0, "%s: nothing after unmounting", name);
	close(device);
	close(told_back[0]);
	close(told_back[1]);
	xp_message_close(m);
}

/* -------------------------------------------------------------- the example */

/* Starts it, and waits until it has mounted. */
static pid_t start(const char *way)
{
	int out[2];
	char line[16];
	pid_t server;

	must(!pipe2(out, O_CLOEXEC));
	server = fork();
	must(server >= 0);
	if (!server) {
		dup2(out[1], STDOUT_FILENO);
		execl(example, "fuse-file", "file", "point", way, NULL);
		_exit(127);
	}
	close(out[1]);
	must(read(out[0], line, sizeof(line)) == 8 && !memcmp(line, "mounted\n", 8));
	close(out[0]);
	return server;
}

static bool ended(pid_t server, int code)
{
	int status;

	return waitpid(server, &status, 0) == server && WIFEXITED(status) &&
	       WEXITSTATUS(status) == code;
}

static void test_example(const char *way)
{
	pid_t server = start(way);
	int point = open("point", O_RDONLY | O_CLOEXEC);
	char odd[10000];
	ssize_t n;

	must(point >= 0);
	ok(pread(point, odd, sizeof(odd), 1234567) == sizeof(odd) &&
		   !memcmp(odd, bytes + 1234567, sizeof(odd)),
	   "fuse-file: %s: anywhere in the file", way);
	ok(tap_same(file, 0, point, 0, FILE_SIZE), "fuse-file: %s: all of it", way);
	ok(pread(point, odd, sizeof(odd), (off_t)FILE_SIZE - 7) == 7,
	   "fuse-file: %s: no more than there is", way);
	close(point);
	must(!truncate("file", 1000) && !umount2("point", 0));
	ok(ended(server, 0), "fuse-file: %s: it ends when it is unmounted", way);
	server = start(way);
	point = open("point", O_RDONLY | O_CLOEXEC);
	must(point >= 0);
	n = read(point, odd, sizeof(odd));
	ok(n == 1000 && !memcmp(odd, bytes, 1000), "fuse-file: %s: a short file", way);
	must(pwrite(file, bytes, FILE_SIZE, 0) == (ssize_t)FILE_SIZE && !kill(server, SIGKILL));
	must(waitpid(server, NULL, 0) == server);
	ok(fails(open("point", O_RDONLY), ENOTCONN),
	   "fuse-file: %s: nobody waits for one that was killed", way);
	close(point);
	must(!umount2("point", MNT_DETACH));
}

static void test_usage(void)
{
	pid_t server = fork();

	must(server >= 0);
	if (!server) {
		must(freopen("/dev/null", "w", stderr));
		execl(example, "fuse-file", "file", NULL);
		_exit(127);
	}
	ok(ended(server, 2), "fuse-file: too few arguments");
}

int main(int argc, char *argv[])
{
	char here[PATH_MAX];

	must(argc && realpath(argv[0], here) && strrchr(here, '/'));
	*strrchr(here, '/') = '\0';
	snprintf(example, sizeof(example), "%.4000s/../../examples/fuse-file", here);
	must(!access(example, X_OK));
	if (access("/dev/fuse", R_OK | W_OK) || !private_mounts(base)) {
		skip("no /dev/fuse, or no mount namespace may be had", "messages to FUSE");
		return tap_done();
	}
	must(!chdir(base));
	make_file();
	for (size_t i = 0; i < WAYS; i++)
		test_device(ways[i]);
	for (size_t i = 0; i < WAYS; i++)
		test_example(xp_via_name(ways[i]));
	test_usage();
	must(!chdir("/"));
	leave_mounts(base);
	return tap_done();
}
