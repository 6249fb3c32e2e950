/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages: the header first, whenever it was written; and all of one message, none of another. */
#include <extpipe.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tap.h"

#define fails(call, error) (errno = 0, (call) == -1 && errno == (error))
#define gives_null(call, error) (errno = 0, !(call) && errno == (error))

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static const enum xp_via ways[] = { XP_VIA_SPLICE, XP_VIA_VMSPLICE, XP_VIA_COPY, XP_VIA_AUTO };
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* A header as devices have them: the message's length, and a number. */
struct header {
	uint64_t length, number;
};

/* ---------------------------------------------------------------- fixtures */

static struct xp_decision decisions[16];
static unsigned decided_count;

static void note(const struct xp_decision *decision, void *arg)
{
	must(arg == decisions && decided_count < 16);
	printf("# %s from %s: %s (%s)\n", xp_via_name(decision->via), xp_via_name(decision->from),
	       decision->why, strerror(decision->error));
	decisions[decided_count++] = *decision;
}

static struct xp_message *open_message(enum xp_via via, unsigned flags, size_t capacity)
{
	const struct xp_message_options options = {
		.via = via, .capacity = capacity, .flags = flags, .decided = note, .arg = decisions
	};

	decided_count = 0;
	return xp_message_open(&options);
}

static struct xp_message *must_open(enum xp_via via)
{
	struct xp_message *m = open_message(via, 0, 0);

	must(m);
	return m;
}

/* Where messages go: a pipe that has room, and what came out of it. */
static int device[2];
static char came[8 * 1024 * 1024];
static size_t came_length;

/* Messages that no pipe has room for go to a file. */
static int disk = -1;

static void reset_device(int flags)
{
	if (device[1]) {
		close(device[0]);
		close(device[1]);
	}
	must(!pipe2(device, flags));
	/* Where so many slots are not allowed, the library has no more of them either. */
	must(fcntl(device[1], F_SETPIPE_SZ, 4 * MIB) > 0 ||
	     fcntl(device[1], F_SETPIPE_SZ, MIB) > 0);
}

/* Packets come one by one. */
static void take(void)
{
	int queued;

	came_length = 0;
	while (!ioctl(device[0], FIONREAD, &queued) && queued) {
		ssize_t n = read(device[0], came + came_length, sizeof(came) - came_length);

		must(n > 0);
		came_length += (size_t)n;
	}
}

/* What a message is made of, for comparison. */
static char meant[sizeof(came)];
static size_t meant_length;

static void expect(const void *data, size_t len)
{
	must(meant_length + len <= sizeof(meant));
	memcpy(meant + meant_length, data, len);
	meant_length += len;
}

static struct header *begin(struct xp_message *m)
{
	struct header *header = xp_message_begin(m, sizeof(*header));

	must(header);
	meant_length = sizeof(*header);
	return header;
}

/* Sends what was begun to @fd, the header being written at the last moment. */
static ssize_t finish(struct xp_message *m, struct header *header, int fd)
{
	static uint64_t number;

	*header = (struct header){ xp_message_length(m), ++number };
	memcpy(meant, header, sizeof(*header));
	return xp_message_send(m, fd);
}

/* Did all that was meant, and nothing else, come? */
static bool arrives(struct xp_message *m, struct header *header)
{
	ssize_t n = finish(m, header, disk >= 0 ? disk : device[1]);

	if (n != (ssize_t)meant_length) {
		printf("# %zd of %zu bytes were sent: %s\n", n, meant_length, strerror(errno));
		return false;
	}
	if (disk >= 0) {
		came_length = (size_t)pread(disk, came, sizeof(came), 0);
		must(!ftruncate(disk, 0) && !lseek(disk, 0, SEEK_SET));
	} else {
		take();
	}
	return came_length == meant_length && !memcmp(came, meant, meant_length) &&
	       !xp_message_length(m);
}

/* A message of one word: what was before it is no matter. */
static bool is_clean(struct xp_message *m)
{
	struct header *header = begin(m);

	must(!xp_message_add(m, "clean", 5));
	expect("clean", 5);
	return arrives(m, header);
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A file, and its bytes. */
static int file;
static const size_t file_size = 3 * MIB + 123;
static const char *bytes;

static void make_file(void)
{
	file = tap_file(file_size);
	bytes = mmap(NULL, file_size, PROT_READ, MAP_SHARED, file, 0);
	must(bytes != MAP_FAILED);
}

static bool add_file(struct xp_message *m, loff_t from, size_t len)
{
	loff_t at = from;
	size_t there = (size_t)from >= file_size      ? 0 :
		       file_size - (size_t)from < len ? file_size - (size_t)from :
							len;
	ssize_t n = xp_message_add_fd(m, file, &at, len);

	expect(bytes + from, there);
	return n == (ssize_t)there && at == from + n;
}

/* Denies F_SETPIPE_SZ above @largest; for good, so in a child. */
static void limit_pipes(size_t largest)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	must(filter);
	must(!seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 2,
			       SCMP_A1(SCMP_CMP_EQ, F_SETPIPE_SZ, 0),
			       SCMP_A2(SCMP_CMP_GT, largest, 0)));
	must(!seccomp_load(filter));
	seccomp_release(filter);
}

static const denial nothing[] = { { -1, 0 } };

/* ---------------------------------------------------------------- contents */

static void test_way(enum xp_via via, unsigned flags)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = open_message(via, flags, 0);
	bool good = true;

	must(m);
	ok(decided_count == 1 && decisions[0].why &&
		   decisions[0].via == (via == XP_VIA_AUTO ? XP_VIA_SPLICE : via),
	   "%s: which way is told", name);
	for (size_t len = 1; len < 900 * KIB; len = len * 3 + 1) {
		struct header *header = begin(m);

		good &= add_file(m, 4095 + (loff_t)len, len);
		must(!xp_message_add(m, "between", 7));
		expect("between", 7);
		good &= add_file(m, 0, 4096);
		good &= arrives(m, header);
		good &= xp_message_via(m) == (via != XP_VIA_AUTO ? via :
					      len < 32 * KIB     ? XP_VIA_COPY :
								   XP_VIA_SPLICE);
	}
	ok(good, "%s: two pieces of a file, and memory between", name);
	ok(decided_count == 1, "%s: nothing else was decided", name);
	must(lseek(file, 77, SEEK_SET) == 77);
	{
		struct header *header = begin(m);

		good = xp_message_add_fd(m, file, NULL, 50000) == 50000;
		expect(bytes + 77, 50000);
		ok(good && lseek(file, 0, SEEK_CUR) == 50077 && arrives(m, header),
		   "%s: from the file's own position", name);
	}
	xp_message_close(m);
}

static void test_header(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	char *header = xp_message_begin(m, XP_MESSAGE_HEADER);

	must(header);
	memset(header, 'h', XP_MESSAGE_HEADER);
	ok(!xp_message_add(m, "payload", 7) && xp_message_length(m) == XP_MESSAGE_HEADER + 7,
	   "%s: a header of 4096 bytes", name);
	header[0] = 'H';
	must(xp_message_send(m, device[1]) == XP_MESSAGE_HEADER + 7);
	take();
	ok(came_length == XP_MESSAGE_HEADER + 7 && came[0] == 'H' && came[4095] == 'h' &&
		   !memcmp(came + 4096, "payload", 7),
	   "%s: written before, corrected after", name);
	ok(gives_null(xp_message_begin(m, XP_MESSAGE_HEADER + 1), EINVAL),
	   "%s: a larger one: EINVAL", name);
	ok(fails(xp_message_add(m, "x", 1), EINVAL), "%s: which begins nothing", name);
	header = xp_message_begin(m, 4096);
	must(header);
	for (int i = 0; i < 4096; i++)
		header[0] |= header[i];
	ok(!header[0], "%s: a new one is zeroed", name);
	must(xp_message_begin(m, 0) && !xp_message_add(m, "bare", 4));
	ok(xp_message_send(m, device[1]) == 4 && (take(), came_length == 4) &&
		   !memcmp(came, "bare", 4),
	   "%s: no header at all", name);
	must(xp_message_begin(m, 0));
	ok(!xp_message_send(m, device[1]), "%s: nor a payload: nothing is sent", name);
	ok(arrives(m, begin(m)), "%s: a header alone", name);
	xp_message_close(m);
}

/* What was sent stays as it is while it waits in somebody's pipe. */
static void test_page_given_up(enum xp_via via)
{
	struct xp_message *m = must_open(via);
	struct header *header, first, second;

	header = begin(m);
	must(!xp_message_add(m, "1", 1));
	*header = (struct header){ 1, 1 };
	must(xp_message_send(m, device[1]) == sizeof(*header) + 1);
	header = begin(m);
	must(!xp_message_add(m, "2", 1));
	*header = (struct header){ 2, 2 };
	must(xp_message_send(m, device[1]) == sizeof(*header) + 1);
	take();
	memcpy(&first, came, sizeof(first));
	memcpy(&second, came + sizeof(first) + 1, sizeof(second));
	ok(first.number == 1 && second.number == 2,
	   "%s: a header is not changed by the next message's", xp_via_name(via));
	xp_message_close(m);
}

/* A page of private memory would be another one for its owner after that. */
static void test_fork(enum xp_via via)
{
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int status;
	pid_t child;

	must(add_file(m, 1, 40 * KIB));
	child = fork();
	must(child >= 0);
	if (!child)
		_exit(0);
	must(waitpid(child, &status, 0) == child && !status);
	ok(arrives(m, header), "%s: a fork before the header is written", xp_via_name(via));
	xp_message_close(m);
}

static void test_end(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	loff_t at = 10;
	int small = memfd_create("small", 0), version = open("/proc/version", O_RDONLY);
	char text[1024];
	ssize_t n;

	ok(add_file(m, (loff_t)file_size - 100, 64 * KIB) && arrives(m, header),
	   "%s: less than was asked for at the end", name);
	header = begin(m);
	ok(add_file(m, (loff_t)file_size, 64 * KIB) && arrives(m, header),
	   "%s: nothing at the very end", name);
	must(small >= 0 && write(small, bytes, 64 * KIB) == (ssize_t)(64 * KIB));
	header = begin(m);
	must(!ftruncate(small, 33000));
	ok(xp_message_add_fd(m, small, &at, 60000) == 32990 && at == 33000,
	   "%s: of a file that was truncated, what is left", name);
	expect(bytes + 10, 32990);
	ok(arrives(m, header), "%s: and nothing else", name);
	header = begin(m);
	must(!ftruncate(small, 0));
	at = 5000;
	ok(!xp_message_add_fd(m, small, &at, 60000) && at == 5000 && arrives(m, header),
	   "%s: which may be nothing", name);
	must(version >= 0 && (n = pread(version, text, sizeof(text), 0)) > 0);
	close(small);
	xp_message_begin(m, 0);
	ok(xp_message_add_fd(m, version, NULL, 64 * KIB) == n &&
		   xp_message_send(m, device[1]) == n && (take(), !memcmp(came, text, came_length)),
	   "%s: a file of /proc, whose size is a lie", name);
	close(version);
	xp_message_close(m);
}

static void test_far_away(enum xp_via via)
{
	const loff_t far = (loff_t)(4608 * MIB + 5);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int sparse = memfd_create("sparse", 0);
	loff_t at = far;

	must(sparse >= 0 && !ftruncate(sparse, (loff_t)(5120 * MIB)));
	must(pwrite(sparse, bytes, 50000, far) == 50000);
	expect(bytes, 50000);
	ok(xp_message_add_fd(m, sparse, &at, 50000) == 50000 && at == far + 50000 &&
		   arrives(m, header),
	   "%s: beyond 4 GiB", xp_via_name(via));
	close(sparse);
	xp_message_close(m);
}

/* ------------------------------------------------------------------- slots */

/* A pipe whose slots hold a byte each: how many there are. */
static size_t fill_crumbs(int crumbs[2])
{
	loff_t at = 0;

	must(!pipe(crumbs));
	/* Where it is not allowed, there are 16. */
	(void)fcntl(crumbs[1], F_SETPIPE_SZ, 1024 * KIB);
	while (splice(file, &at, crumbs[1], NULL, 1, SPLICE_F_NONBLOCK) == 1)
		;
	must(errno == EAGAIN && at >= 16);
	return (size_t)at;
}

static void test_crumbs(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = open_message(via, 0, 1);
	struct header *header;
	int crumbs[2];
	bool good = true;
	size_t count;

	must(m);
	header = begin(m);
	for (int i = 0; i < 10000; i++)
		good &= !xp_message_add(m, bytes + i, 1);
	expect(bytes, 10000);
	ok(good && arrives(m, header), "%s: 10000 pieces of memory of a byte each", name);
	header = begin(m);
	good = true;
	for (loff_t i = 0; i < 200; i++)
		good &= add_file(m, 7 * i, 1);
	ok(good && arrives(m, header), "%s: 200 of a file", name);
	header = begin(m);
	count = fill_crumbs(crumbs);
	expect(bytes, count);
	ok(xp_message_add_fd(m, crumbs[0], NULL, count) == (ssize_t)count && arrives(m, header),
	   "%s: a pipe with a byte in each of its slots", name);
	close(crumbs[0]);
	close(crumbs[1]);
	header = begin(m);
	good = true;
	for (size_t i = 1; i < 300; i++) {
		good &= !xp_message_add(m, bytes + i, i * 50 % 9000);
		expect(bytes + i, i * 50 % 9000);
	}
	disk = memfd_create("disk", 0);
	ok(good && arrives(m, header), "%s: memory of every size", name);
	close(disk);
	disk = -1;
	xp_message_close(m);
}

static void test_socket(enum xp_via via, int domain)
{
	const char *name = domain == AF_UNIX ? "unix" : "tcp";
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int ends[2], listener;
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(here);
	pid_t child;

	if (domain == AF_UNIX) {
		must(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	} else {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		must(listener >= 0 && !bind(listener, (struct sockaddr *)&here, sizeof(here)));
		must(!listen(listener, 1) &&
		     !getsockname(listener, (struct sockaddr *)&here, &size));
		ends[1] = socket(AF_INET, SOCK_STREAM, 0);
		must(ends[1] >= 0 && !connect(ends[1], (struct sockaddr *)&here, sizeof(here)));
		ends[0] = accept(listener, NULL, NULL);
		must(ends[0] >= 0 && !close(listener));
	}
	child = fork();
	must(child >= 0);
	if (!child) {
		for (int i = 0; i < 500; i++)
			must(send(ends[1], bytes + i, 1, 0) == 1);
		must(send(ends[1], bytes + 500, 99500, 0) == 99500);
		_exit(0);
	}
	close(ends[1]);
	ok(xp_message_add_fd(m, ends[0], NULL, 60000) == 60000,
	   "%s: %s socket: all that was asked for, in whatever pieces it comes", xp_via_name(via),
	   name);
	ok(xp_message_add_fd(m, ends[0], NULL, 60000) == 40000, "%s: %s socket: up to its end",
	   xp_via_name(via), name);
	expect(bytes, 100000);
	ok(arrives(m, header), "%s: %s socket: contents", xp_via_name(via), name);
	must(waitpid(child, NULL, 0) == child);
	close(ends[0]);
	xp_message_close(m);
}

/* Packets keep their boundaries in a pipe, and must not be cut where they leave it. */
static void test_packets(enum xp_via via)
{
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int packets[2], append = memfd_create("append", 0);

	must(!pipe2(packets, O_DIRECT));
	for (size_t i = 0; i < 10; i++)
		must(write(packets[1], bytes + i * 3000, 3000) == 3000);
	expect(bytes, 30000);
	ok(xp_message_add_fd(m, packets[0], NULL, 30000) == 30000 && arrives(m, header),
	   "%s: packets", xp_via_name(via));
	header = begin(m);
	for (size_t i = 0; i < 10; i++)
		must(write(packets[1], bytes + i * 3000, 3000) == 3000);
	must(xp_message_add_fd(m, packets[0], NULL, 30000) == 30000);
	expect(bytes, 30000);
	must(append >= 0 && !fcntl(append, F_SETFL, O_APPEND));
	ok(finish(m, header, append) == (ssize_t)meant_length &&
		   pread(append, came, sizeof(came), 0) == (ssize_t)meant_length &&
		   !memcmp(came, meant, meant_length),
	   "%s: packets that are copied after all", xp_via_name(via));
	close(append);
	close(packets[0]);
	close(packets[1]);
	xp_message_close(m);
}

/* ------------------------------------------------------------------ limits */

/* In a child where no pipe may have more than 16 slots. */
static void test_limit(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int crumbs[2];
	bool good = true;

	ok(add_file(m, 0, 128 * KIB) && xp_message_via(m) == XP_VIA_COPY && arrives(m, header),
	   "%s: more than the pipe may hold is copied", name);
	ok(decided_count == 2 && decisions[1].via == XP_VIA_COPY && decisions[1].from == via &&
		   decisions[1].error == EPERM,
	   "%s: and that is told", name);
	header = begin(m);
	ok(add_file(m, 3, 40 * KIB) && xp_message_via(m) == via && arrives(m, header),
	   "%s: the next one takes the handle's way again", name);
	header = begin(m);
	*header = (struct header){ 1, 2 };
	for (loff_t i = 0; i < 40; i++)
		good &= add_file(m, 5 * i, 1);
	ok(good && xp_message_via(m) == XP_VIA_COPY && arrives(m, header),
	   "%s: so is what has too many pieces, from the first one on", name);
	must(fill_crumbs(crumbs) == 16);
	header = begin(m);
	expect(bytes, 16);
	good = xp_message_add_fd(m, crumbs[0], NULL, 16) == 16;
	ok(good && arrives(m, header) && xp_message_via(m) == XP_VIA_COPY,
	   "%s: so is what turns out to have too many", name);
	ok(decided_count == 2, "%s: it was told once", name);
	xp_message_close(m);
	m = open_message(via, XP_NO_FALLBACK, 0);
	must(m);
	begin(m);
	ok(fails(add_file(m, 0, 128 * KIB) ? 0 : -1, EOPNOTSUPP), "%s: unless it must not be",
	   name);
	meant_length = sizeof(*header);
	header = begin(m);
	ok(add_file(m, 0, 8 * KIB) && arrives(m, header), "%s: then it is no harm to the next",
	   name);
	xp_message_close(m);
	close(crumbs[0]);
	close(crumbs[1]);
}

static void body_limited(void)
{
	reset_device(0);
	limit_pipes(64 * KIB);
	test_limit(XP_VIA_SPLICE);
	test_limit(XP_VIA_VMSPLICE);
}

/* Pipes that never become larger than they were made. */
static void body_fixed(void)
{
	limit_pipes(0);
	test_crumbs(XP_VIA_SPLICE);
	test_crumbs(XP_VIA_VMSPLICE);
	test_socket(XP_VIA_SPLICE, AF_INET);
	test_socket(XP_VIA_VMSPLICE, AF_UNIX);
}

/* ---------------------------------------------------------------- failures */

static void test_inputs(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int directory = open("/", O_RDONLY), blind = open("/dev/null", O_WRONLY), p[2];
	loff_t at = 0;

	must(directory >= 0 && blind >= 0 && !pipe(p));
	must(add_file(m, 0, 5000));
	ok(fails(xp_message_add_fd(m, directory, NULL, 100), EISDIR), "%s: a directory: EISDIR",
	   name);
	ok(fails(xp_message_add_fd(m, blind, NULL, 100), EBADF), "%s: write-only: EBADF", name);
	ok(fails(xp_message_add_fd(m, -1, NULL, 100), EBADF), "%s: no descriptor: EBADF", name);
	ok(fails(xp_message_add_fd(m, p[0], &at, 100), ESPIPE), "%s: an offset in a pipe: ESPIPE",
	   name);
	at = -1;
	ok(fails(xp_message_add_fd(m, file, &at, 100), EINVAL) && at == -1,
	   "%s: a negative one: EINVAL", name);
	ok(!xp_message_add_fd(m, file, NULL, 0) && !xp_message_add(m, NULL, 0),
	   "%s: nothing can be added", name);
	ok(xp_message_length(m) == 5016 && arrives(m, header),
	   "%s: what was there before the failures stays", name);
	ok(!xp_message_length(m) && fails(xp_message_add_fd(m, file, NULL, 1), EINVAL) &&
		   fails(xp_message_send(m, device[1]), EINVAL),
	   "%s: after that, there is no message", name);
	close(directory);
	close(blind);
	close(p[0]);
	close(p[1]);
	xp_message_close(m);
}

static void test_nonblocking_input(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int p[2];

	must(!pipe2(p, O_NONBLOCK));
	ok(fails(xp_message_add_fd(m, p[0], NULL, 40000), EAGAIN), "%s: nothing there: EAGAIN",
	   name);
	must(write(p[1], bytes, 700) == 700);
	expect(bytes, 700);
	ok(xp_message_add_fd(m, p[0], NULL, 40000) == 700, "%s: what there is", name);
	must(write(p[1], bytes, 50) == 50 && !close(p[1]));
	expect(bytes, 50);
	ok(xp_message_add_fd(m, p[0], NULL, 40000) == 50 &&
		   !xp_message_add_fd(m, p[0], NULL, 40000) && arrives(m, header),
	   "%s: then the end", name);
	close(p[0]);
	xp_message_close(m);
}

static void interrupted(int number)
{
	(void)number;
}

static void set_timer(long ms)
{
	const struct itimerval again = { { 0, ms * 1000 }, { 0, ms * 1000 } };

	must(!setitimer(ITIMER_REAL, &again, NULL));
}

static void test_signals(enum xp_via via)
{
	const char *name = xp_via_name(via);
	const struct sigaction act = { .sa_handler = interrupted };
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int p[2];

	must(!sigaction(SIGALRM, &act, NULL) && !pipe(p));
	set_timer(20);
	ok(fails(xp_message_add_fd(m, p[0], NULL, 40000), EINTR),
	   "%s: a signal before the first byte: EINTR", name);
	set_timer(0);
	must(write(p[1], bytes, 300) == 300);
	expect(bytes, 300);
	set_timer(20);
	ok(xp_message_add_fd(m, p[0], NULL, 40000) == 300, "%s: and after it: what there was",
	   name);
	set_timer(0);
	ok(arrives(m, header), "%s: which is not lost", name);
	close(p[0]);
	close(p[1]);
	xp_message_close(m);
}

static void test_sending(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	unsigned before;
	int p[2];
	ssize_t n;

	must(add_file(m, 0, 60000));
	ok(fails(finish(m, header, -1), EBADF) && is_clean(m), "%s: no device: EBADF", name);
	header = begin(m);
	must(add_file(m, 0, 60000) && !pipe(p) && !close(p[0]));
	ok(fails(finish(m, header, p[1]), EPIPE) && is_clean(m), "%s: nobody reads: EPIPE", name);
	close(p[1]);
	header = begin(m);
	must(add_file(m, 0, 60000));
	ok(fails(finish(m, header, device[0]), EBADF) && is_clean(m), "%s: the wrong end: EBADF",
	   name);
	must(!pipe2(p, O_NONBLOCK));
	header = begin(m);
	must(add_file(m, 0, 90000));
	n = finish(m, header, p[1]);
	ok(n > 0 && n < 90000, "%s: a device that has room for a part", name);
	header = begin(m);
	must(add_file(m, 0, 90000));
	ok(fails(finish(m, header, p[1]), EAGAIN), "%s: and then for nothing: EAGAIN", name);
	ok(is_clean(m), "%s: nothing of them is in the next message", name);
	begin(m);
	must(add_file(m, 0, 90000));
	ok(is_clean(m), "%s: nor of one that was not sent", name);
	close(p[0]);
	close(p[1]);
	before = open_descriptors();
	for (int i = 0; i < 50; i++) {
		header = begin(m);
		must(add_file(m, 0, 90000));
		must(finish(m, header, -1) < 0);
	}
	begin(m);
	ok(open_descriptors() <= before, "%s: failures cost no descriptors", name);
	xp_message_close(m);
}

static void test_device_refuses(enum xp_via via)
{
	const char *name = xp_via_name(via);
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);
	int append = memfd_create("append", 0), other = memfd_create("other", 0);

	/* splice(2) has no way to append. */
	must(append >= 0 && other >= 0 && !fcntl(append, F_SETFL, O_APPEND));
	must(add_file(m, 1, 100000));
	ok(finish(m, header, append) == 100016 && pread(append, came, sizeof(came), 0) == 100016 &&
		   !memcmp(came, meant, 100016),
	   "%s: a device that refuses splices gets copies, once", name);
	ok(decided_count == 2 && decisions[1].via == XP_VIA_COPY && decisions[1].from == via &&
		   decisions[1].error == EINVAL,
	   "%s: which is told", name);
	header = begin(m);
	must(add_file(m, 1, 100000));
	ok(xp_message_via(m) == XP_VIA_COPY && finish(m, header, other) == 100016,
	   "%s: and from then on so does every other", name);
	xp_message_close(m);
	m = open_message(via, XP_NO_FALLBACK, 0);
	must(m);
	header = begin(m);
	must(add_file(m, 1, 100000));
	ok(fails(finish(m, header, append), EOPNOTSUPP) && lseek(append, 0, SEEK_END) == 100016 &&
		   is_clean(m),
	   "%s: unless it must not be copied: EOPNOTSUPP", name);
	close(append);
	close(other);
	xp_message_close(m);
}

/* ------------------------------------------------------------------ denied */

static void still_works(enum xp_via via, enum xp_via instead, int error, const char *what)
{
	struct xp_message *m = must_open(via);
	struct header *header = begin(m);

	ok(add_file(m, 1, 70000) && !xp_message_add(m, "end", 3), "%s: %s: all is gathered", what,
	   xp_via_name(via));
	expect("end", 3);
	ok(arrives(m, header) && xp_message_via(m) == instead, "%s: %s: and arrives by %s", what,
	   xp_via_name(via), xp_via_name(instead));
	ok(decided_count && decisions[decided_count - 1].via == instead &&
		   decisions[decided_count - 1].error == error,
	   "%s: %s: the cause is told", what, xp_via_name(via));
	xp_message_close(m);
	if (via == XP_VIA_AUTO || via == instead)
		return;
	m = open_message(via, XP_NO_FALLBACK, 0);
	ok(!m && errno == EOPNOTSUPP, "%s: %s: no fallback: EOPNOTSUPP", what, xp_via_name(via));
	xp_message_close(m);
}

static void body_without_splice(void)
{
	still_works(XP_VIA_AUTO, XP_VIA_COPY, ENOSYS, "no splice");
	still_works(XP_VIA_SPLICE, XP_VIA_COPY, ENOSYS, "no splice");
	still_works(XP_VIA_VMSPLICE, XP_VIA_COPY, ENOSYS, "no splice");
	still_works(XP_VIA_COPY, XP_VIA_COPY, 0, "no splice");
}

static void body_without_vmsplice(void)
{
	still_works(XP_VIA_AUTO, XP_VIA_SPLICE, 0, "vmsplice denied");
	still_works(XP_VIA_VMSPLICE, XP_VIA_SPLICE, EPERM, "vmsplice denied");
}

static void body_without_sizes(void)
{
	still_works(XP_VIA_SPLICE, XP_VIA_COPY, EPERM, "pipes that can't be enlarged");
}

/* Whether the calls are there was found out before they were denied. */
static struct xp_message *early[WAYS];

static void body_denied_later(void)
{
	for (size_t i = 0; i < WAYS; i++) {
		struct header *header = begin(early[i]);

		ok(add_file(early[i], 1, 70000) && arrives(early[i], header) &&
			   xp_message_via(early[i]) == XP_VIA_COPY,
		   "%s: splice denied later: it is copied", xp_via_name(ways[i]));
		header = begin(early[i]);
		must(!xp_message_add(early[i], "memory", 6));
		expect("memory", 6);
		ok(arrives(early[i], header), "%s: memory alone as well", xp_via_name(ways[i]));
	}
}

static void body_vmsplice_denied_later(void)
{
	struct header *header = begin(early[1]);

	ok(add_file(early[1], 1, 70000) && arrives(early[1], header) &&
		   xp_message_via(early[1]) == XP_VIA_SPLICE,
	   "vmsplice denied later: it is spliced");
}

static void body_without_pipes(void)
{
	still_works(XP_VIA_AUTO, XP_VIA_COPY, EPERM, "no pipes");
	still_works(XP_VIA_VMSPLICE, XP_VIA_COPY, EPERM, "no pipes");
}

/* splice(2) of a file says that this is the end, from the beginning. */
static void body_lies(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	must(filter && !seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), SCMP_SYS(splice), 1,
					 SCMP_A1(SCMP_CMP_NE, 0, 0)));
	must(!seccomp_load(filter));
	seccomp_release(filter);
	for (size_t i = 0; i < WAYS; i++) {
		struct xp_message *m = must_open(ways[i]);
		struct header *header = begin(m);

		ok(add_file(m, 5, 70000) && add_file(m, (loff_t)file_size - 5, 70000) &&
			   arrives(m, header) && xp_message_via(m) != XP_VIA_AUTO,
		   "%s: the end is what read says, whatever splice said", xp_via_name(ways[i]));
		xp_message_close(m);
	}
}

/* A file that can only be read where it is aligned, and its end is not. */
static void body_aligned(void)
{
	test_far_away(XP_VIA_SPLICE);
	for (size_t i = 0; i < 2; i++) {
		struct xp_message *m = must_open(ways[i]);
		struct header *header = begin(m);

		ok(add_file(m, (loff_t)file_size - 5000, 70000) && arrives(m, header) &&
			   xp_message_via(m) == ways[i],
		   "%s: where read refuses, the end is what splice says", xp_via_name(ways[i]));
		xp_message_close(m);
	}
}

/* Pipes were thrown away after a failure, and there is no descriptor for new ones. */
static void body_no_descriptor(void)
{
	struct rlimit none;

	must(!getrlimit(RLIMIT_NOFILE, &none));
	none.rlim_cur = 0;
	for (size_t i = 0; i < 2; i++) {
		struct header *header = begin(early[i]);

		must(add_file(early[i], 1, 70000) && finish(early[i], header, -1) < 0);
	}
	must(!setrlimit(RLIMIT_NOFILE, &none));
	for (size_t i = 0; i < 2; i++) {
		struct header *header = begin(early[i]);

		ok(add_file(early[i], 1, 70000) && arrives(early[i], header) &&
			   xp_message_via(early[i]) == XP_VIA_COPY,
		   "%s: no descriptor is left: it is copied", xp_via_name(ways[i]));
	}
	errno = 0;
	ok(!open_message(XP_VIA_SPLICE, 0, 0) && errno == EMFILE, "and no handle: EMFILE");
}

/* Before pipes knew RWF_NOWAIT. */
static void body_old_pipes(void)
{
	test_crumbs(XP_VIA_SPLICE);
	test_crumbs(XP_VIA_VMSPLICE);
}

/* What was found out about calls is remembered, so a child of its own finds out for itself. */
static void test_absent(void)
{
	static const denial no_splice[] = { { SCMP_SYS(splice), ENOSYS }, { -1, 0 } };
	static const denial no_vmsplice[] = { { SCMP_SYS(vmsplice), EPERM }, { -1, 0 } };
	static const denial no_pipes[] = { { SCMP_SYS(pipe2), EPERM }, { -1, 0 } };

	tap_denied(no_splice, body_without_splice);
	tap_denied(no_vmsplice, body_without_vmsplice);
	tap_denied(no_pipes, body_without_pipes);
}

static void test_denied(void)
{
	static const denial no_splice[] = { { SCMP_SYS(splice), EPERM }, { -1, 0 } };
	static const denial no_vmsplice[] = { { SCMP_SYS(vmsplice), EPERM }, { -1, 0 } };
	static const denial no_sizes[] = { { SCMP_SYS(fcntl), EPERM }, { -1, 0 } };
	static const denial aligned[] = { { SCMP_SYS(pread64), EINVAL }, { -1, 0 } };
	static const denial old[] = { { SCMP_SYS(pwritev2), ENOSYS }, { -1, 0 } };

	for (size_t i = 0; i < WAYS; i++)
		early[i] = must_open(ways[i]);
	tap_denied(no_splice, body_denied_later);
	tap_denied(no_vmsplice, body_vmsplice_denied_later);
	tap_denied(nothing, body_no_descriptor);
	for (size_t i = 0; i < WAYS; i++)
		xp_message_close(early[i]);
	tap_denied(no_sizes, body_without_sizes);
	tap_denied(aligned, body_aligned);
	tap_denied(old, body_old_pipes);
	tap_denied(nothing, body_lies);
	tap_denied(nothing, body_limited);
	tap_denied(nothing, body_fixed);
}

/* ----------------------------------------------------------------- handles */

static void test_options(void)
{
	struct xp_message_options options = { .via = XP_VIA_TEE };
	unsigned before = open_descriptors();
	struct xp_message *m;

	ok(gives_null(xp_message_open(&options), EINVAL), "tee is no way for messages: EINVAL");
	options.via = XP_VIA_COUNT;
	ok(gives_null(xp_message_open(&options), EINVAL), "nor is what is no way at all");
	options = (struct xp_message_options){ .flags = XP_NONBLOCK };
	ok(gives_null(xp_message_open(&options), EINVAL), "a flag of others: EINVAL");
	m = xp_message_open(NULL);
	ok(m && xp_message_via(m) == XP_VIA_SPLICE && is_clean(m), "the defaults");
	ok(fails(xp_message_add(m, "x", 1), EINVAL) && fails(xp_message_send(m, 1), EINVAL) &&
		   fails(xp_message_add_fd(m, file, NULL, 1), EINVAL) && !xp_message_length(m),
	   "nothing without a message that was begun");
	xp_message_close(m);
	m = open_message(XP_VIA_SPLICE, 0, SIZE_MAX);
	ok(m && is_clean(m), "a capacity beyond all limits is no failure");
	xp_message_close(m);
	xp_message_close(NULL);
	ok(open_descriptors() == before, "no descriptor is left");
}

static bool send_one(struct xp_message *m, const int p[2], char *data, loff_t from)
{
	static const char zero[16];
	loff_t at = from;

	return xp_message_begin(m, 16) && xp_message_add_fd(m, file, &at, 60000) == 60000 &&
	       xp_message_send(m, p[1]) == 60016 && read(p[0], data, 70000) == 60016 &&
	       !memcmp(data, zero, 16) && !memcmp(data + 16, bytes + from, 60000);
}

static void *send_many(void *arg)
{
	const struct xp_message_options options = { .via = *(const enum xp_via *)arg };
	struct xp_message *m = xp_message_open(&options);
	char *data = malloc(70000);
	bool good = true;
	int p[2];

	must(m && data && !pipe(p) && fcntl(p[1], F_SETPIPE_SZ, 128 * KIB) > 0);
	for (loff_t i = 0; i < 300; i++)
		good &= send_one(m, p, data, i * 1001);
	close(p[0]);
	close(p[1]);
	free(data);
	xp_message_close(m);
	return good ? arg : NULL;
}

static void test_threads(void)
{
	pthread_t threads[2 * WAYS];
	bool good = true;

	for (size_t i = 0; i < 2 * WAYS; i++)
		must(!pthread_create(&threads[i], NULL, send_many,
				     (void *)(uintptr_t)&ways[i % WAYS]));
	for (size_t i = 0; i < 2 * WAYS; i++) {
		void *result;

		must(!pthread_join(threads[i], &result));
		good &= result != NULL;
	}
	ok(good, "threads with a handle each");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	make_file();
	reset_device(0);
	test_absent();
	test_options();
	for (size_t i = 0; i < WAYS; i++) {
		test_way(ways[i], i % 2 ? XP_MOVE : 0);
		test_header(ways[i]);
		test_page_given_up(ways[i]);
		test_fork(ways[i]);
		test_end(ways[i]);
		test_far_away(ways[i]);
		test_crumbs(ways[i]);
		test_socket(ways[i], AF_UNIX);
		test_socket(ways[i], AF_INET);
		test_packets(ways[i]);
		test_inputs(ways[i]);
		test_nonblocking_input(ways[i]);
		test_signals(ways[i]);
		test_sending(ways[i]);
	}
	test_device_refuses(XP_VIA_SPLICE);
	test_device_refuses(XP_VIA_VMSPLICE);
	test_threads();
	test_denied();
	return tap_done();
}
