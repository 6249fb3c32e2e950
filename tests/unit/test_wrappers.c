/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wrappers do what the system calls do, also where those are missing. */
#include <extpipe.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "tap.h"

#define fails(call, error) (errno = 0, (call) == -1 && errno == (error))
#define LEN 100000

static const char *where;
static bool no_tee;

/* Takes everything out of a pipe whose writer is closed. */
static int collect(int from)
{
	int file = memfd_create("collected", 0);
	char buffer[4096];
	ssize_t n;

	must(file >= 0);
	while ((n = read(from, buffer, sizeof(buffer))) > 0)
		must(write(file, buffer, (size_t)n) == n);
	must(!n);
	close(from);
	return file;
}

static void splice_file_to_pipe(void)
{
	int file = tap_file(LEN), out, p[2];
	loff_t at = 5;
	ssize_t n, total = 0;

	must(!pipe(p) && fcntl(p[1], F_SETPIPE_SZ, 1 << 20) > 0);
	while ((n = xp_splice(file, &at, p[1], NULL, LEN, 0)) > 0)
		total += n;
	ok(!n && total == LEN - 5 && at == LEN, "%s: splice reads at an offset and advances it",
	   where);
	ok(!lseek(file, 0, SEEK_CUR), "%s: and leaves the file's own position", where);
	close(p[1]);
	out = collect(p[0]);
	ok(tap_same(file, 5, out, 0, LEN - 5), "%s: and the bytes are the file's", where);
	close(out);
	must(!pipe(p));
	ok(xp_splice(file, NULL, p[1], NULL, 10, 0) == 10 && lseek(file, 0, SEEK_CUR) == 10,
	   "%s: without an offset the position moves", where);
	close(p[0]);
	close(p[1]);
	close(file);
}

/* A reader that has room for less than was asked: nothing is taken and then lost. */
static void splice_pipe_to_small_pipe(void)
{
	int file = tap_file(40000), in[2], out[2], got = memfd_create("got", 0);
	char buffer[4096];
	ssize_t n;

	must(!pipe(in) && !pipe2(out, O_NONBLOCK) && fcntl(out[1], F_SETPIPE_SZ, 4096) == 4096);
	must(xp_splice(file, NULL, in[1], NULL, 40000, 0) > 0);
	while (lseek(file, 0, SEEK_CUR) < 40000)
		must(xp_splice(file, NULL, in[1], NULL, 40000, 0) > 0);
	close(in[1]);
	do {
		n = xp_splice(in[0], NULL, out[1], NULL, 40000, 0);
		ssize_t m = read(out[0], buffer, sizeof(buffer));

		if (m > 0)
			must(write(got, buffer, (size_t)m) == m);
	} while (n > 0 || (n < 0 && errno == EAGAIN));
	ok(!n && tap_same(file, 0, got, 0, 40000), "%s: a full pipe costs no byte", where);
	close(in[0]);
	close(out[0]);
	close(out[1]);
	close(got);
	close(file);
}

static void splice_errors(void)
{
	int file = tap_file(10), p[2], q[2];
	loff_t at = 0;

	must(!pipe(p) && !pipe(q));
	ok(fails(xp_splice(file, NULL, p[1], NULL, 1, 1 << 20), EINVAL), "%s: unknown flag", where);
	ok(fails(xp_splice(file, NULL, file, NULL, 1, 0), EINVAL), "%s: no pipe", where);
	ok(fails(xp_splice(p[0], NULL, p[1], NULL, 1, 0), EINVAL), "%s: one pipe twice", where);
	must(write(p[1], "x", 1) == 1);
	ok(fails(xp_splice(p[0], &at, q[1], NULL, 1, 0), ESPIPE), "%s: an offset for a pipe",
	   where);
	ok(fails(xp_splice(q[0], NULL, p[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN),
	   "%s: an empty pipe would block", where);
	close(q[0]);
	close(q[1]);
	close(p[0]);
	close(p[1]);
	close(file);
}

static void splice_socket(void)
{
	int file = tap_file(30000), s[2], p[2], out;
	ssize_t n, total = 0;

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !pipe(p));
	must(fcntl(p[1], F_SETPIPE_SZ, 65536) > 0);
	must(xp_sendfile(s[0], file, NULL, 30000) == 30000);
	close(s[0]);
	while ((n = xp_splice(s[1], NULL, p[1], NULL, 30000, 0)) > 0)
		total += n;
	close(p[1]);
	out = collect(p[0]);
	ok(!n && total == 30000 && tap_same(file, 0, out, 0, 30000), "%s: from a socket", where);
	close(s[1]);
	close(out);
	close(file);
}

static int queued(int fd)
{
	int n = -1;

	must(!ioctl(fd, FIONREAD, &n));
	return n;
}

/* What finds no room stays in the socket. */
static void splice_socket_to_full_pipe(void)
{
	char page[4096] = "page";
	int s[2], p[2];

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, s) && !pipe2(p, O_NONBLOCK));
	must(fcntl(p[1], F_SETPIPE_SZ, 8192) == 8192);
	must(write(p[1], page, 4096) == 4096 && write(s[0], page, 4096) == 4096);
	must(write(s[0], page, 1904) == 1904);
	ok(xp_splice(s[1], NULL, p[1], NULL, 6000, 0) == 4096 && queued(s[1]) == 1904,
	   "%s: from a socket, what there is room for", where);
	ok(fails(xp_splice(s[1], NULL, p[1], NULL, 6000, 0), EAGAIN) && queued(s[1]) == 1904,
	   "%s: and nothing where there is none", where);
	close(s[0]);
	close(s[1]);
	close(p[0]);
	close(p[1]);
}

/* A read throws away what it leaves of a packet: better to refuse than to lose it. */
static void splice_packets(void)
{
	char buffer[4096] = "packet", back[4096];
	struct iovec some = { back, 50 };
	int p[2], q[2], left;
	ssize_t n;

	must(!pipe2(p, O_DIRECT) && !pipe(q) && write(p[1], buffer, 100) == 100 &&
	     write(p[1], buffer, 200) == 200);
	n = xp_vmsplice(p[0], &some, 1, 0);
	left = queued(p[0]);
	/* Where nothing can look into the pipe first, it's lost. */
	ok(no_tee || (n == 50 && left == 250) || (n == -1 && errno == EINVAL && left == 300),
	   "%s: no part of a packet is lost on its way to memory", where);
	left = queued(p[0]);
	n = xp_splice(p[0], NULL, q[1], NULL, 20, 0);
	ok(no_tee || (n == 20 && queued(p[0]) == left - 20) ||
		   (n == -1 && errno == EINVAL && queued(p[0]) == left),
	   "%s: nor to a pipe", where);
	while (queued(q[0]))
		must(read(q[0], buffer, sizeof(buffer)) > 0);
	left = queued(p[0]);
	while (queued(p[0]))
		must(xp_splice(p[0], NULL, q[1], NULL, 65536, 0) > 0);
	ok(queued(q[0]) == left, "%s: and whole packets pass", where);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

/* Of the files that the kernel refuses, and of arguments that it refuses. */
static void splice_odd_files(void)
{
	int file = tap_file(10), out = memfd_create("out", 0), s[2], p[2];
	int directory = open("/", O_RDONLY | O_DIRECTORY);
	loff_t at = 0;

	must(out >= 0 && directory >= 0 && !pipe(p) && !socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(write(p[1], "abc", 3) == 3 && write(out, "xyz", 3) == 3 && !lseek(out, 0, SEEK_SET));
	must(!fcntl(out, F_SETFL, O_APPEND));
	ok(xp_splice(p[0], NULL, out, NULL, 3, 0) == 3 && lseek(out, 0, SEEK_END) == 6,
	   "%s: a file in append mode is appended to", where);
	must(write(s[0], "abc", 3) == 3);
	ok(fails(xp_splice(s[1], &at, p[1], NULL, 3, 0), EINVAL), "%s: an offset for a socket",
	   where);
	ok(fails(xp_sendfile(out, s[1], &at, 3), ESPIPE), "%s: to send from", where);
	ok(fails(xp_splice(directory, NULL, p[1], NULL, 3, 0), EINVAL), "%s: a directory", where);
	at = INT64_MAX - 1;
	ok(fails(xp_splice(file, &at, p[1], NULL, 3, 0), EINVAL), "%s: past every file's end",
	   where);
	at = 1;
	ok(fails(xp_copy_file_range(file, NULL, file, &at, 5, 0), EINVAL),
	   "%s: ranges that overlap", where);
	close(s[0]);
	close(s[1]);
	close(p[0]);
	close(p[1]);
	close(directory);
	close(out);
	close(file);
}

static void sendfile_and_range(void)
{
	int file = tap_file(LEN), out = memfd_create("out", 0);
	loff_t from = 7, to = 3;
	ssize_t n, total = 0;

	must(out >= 0);
	while ((n = xp_sendfile(out, file, &from, LEN)) > 0)
		total += n;
	ok(!n && total == LEN - 7 && from == LEN && tap_same(file, 7, out, 0, LEN - 7),
	   "%s: sendfile", where);
	from = 11;
	must(!ftruncate(out, 0));
	while ((n = xp_copy_file_range(file, &from, out, &to, LEN, 0)) > 0)
		;
	ok(!n && from == LEN && to == LEN - 8 && tap_same(file, 11, out, 3, LEN - 11),
	   "%s: copy_file_range", where);
	ok(fails(xp_copy_file_range(file, NULL, out, NULL, 1, 1), EINVAL), "%s: no flags", where);
	from = 0, to = INT64_MAX;
	ok(fails(xp_copy_file_range(file, &from, out, &to, 5, 0), EFBIG),
	   "%s: copy_file_range to where no file reaches", where);
	must(!fcntl(out, F_SETFL, O_APPEND) && !lseek(file, 0, SEEK_SET));
	ok(xp_copy_file_range(file, NULL, out, NULL, 10, 0) == 10 &&
		   lseek(out, 0, SEEK_END) == LEN - 8 + 10,
	   "%s: copy_file_range appends", where);
	close(file);
	close(out);
}

static void vmsplice_both_ways(void)
{
	static const char text[] = "constant memory";
	char back[sizeof(text)] = "";
	struct iovec out = { (void *)(uintptr_t)text, sizeof(text) }, in = { back, sizeof(back) };
	struct iovec many[1025] = { { NULL, 0 } };
	int p[2], file = tap_file(1);

	must(!pipe(p));
	ok(xp_vmsplice(p[1], &out, 1, SPLICE_F_NONBLOCK) == sizeof(text), "%s: memory to pipe",
	   where);
	ok(xp_vmsplice(p[0], &in, 1, 0) == sizeof(text) && !strcmp(back, text),
	   "%s: pipe to memory", where);
	ok(fails(xp_vmsplice(p[0], &in, 1, SPLICE_F_NONBLOCK), EAGAIN), "%s: an empty pipe", where);
	ok(fails(xp_vmsplice(file, &out, 1, 0), EBADF), "%s: vmsplice to a file", where);
	ok(fails(xp_vmsplice(p[1], &out, 1, 1 << 20), EINVAL), "%s: vmsplice flag", where);
	ok(xp_vmsplice(p[1], many, 1025, 0) == -1, "%s: too many pieces", where);
	close(p[0]);
	close(p[1]);
	close(file);
}

static void all(void)
{
	splice_file_to_pipe();
	splice_pipe_to_small_pipe();
	splice_errors();
	splice_socket();
	splice_socket_to_full_pipe();
	splice_packets();
	splice_odd_files();
	sendfile_and_range();
	vmsplice_both_ways();
}

static void test_tee(void)
{
	int p[2], q[2];
	char buffer[8];

	must(!pipe(p) && !pipe(q) && write(p[1], "abc", 3) == 3);
	ok(xp_tee(p[0], q[1], 8, 0) == 3 && xp_tee(p[0], q[1], 8, 0) == 3,
	   "tee duplicates the head");
	ok(read(q[0], buffer, 8) == 6 && !memcmp(buffer, "abcabc", 6), "twice, if called twice");
	ok(fails(xp_tee(p[0], p[1], 8, 0), EINVAL), "tee of one pipe");
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

int main(void)
{
	static const int errors[] = { ENOSYS, EPERM, EINVAL, EOPNOTSUPP };

	where = "native";
	all();
	test_tee();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		int e = errors[i];
		const denial refused[] = { { SCMP_SYS(splice), e },
					   { SCMP_SYS(vmsplice), e },
					   { SCMP_SYS(sendfile), e },
					   { SCMP_SYS(copy_file_range), e },
					   { -1, 0 } };
		const denial tee_too[] = {
			{ SCMP_SYS(splice), e },   { SCMP_SYS(vmsplice), e },
			{ SCMP_SYS(sendfile), e }, { SCMP_SYS(copy_file_range), e },
			{ SCMP_SYS(tee), e },      { -1, 0 }
		};

		where = strerrorname_np(e);
		no_tee = false;
		tap_denied(refused, all);
		no_tee = true;
		tap_denied(tee_too, all);
	}
	return tap_done();
}
