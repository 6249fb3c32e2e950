/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xp_transfer(): every pair of kinds, every way, and what it says of failures. */
#include <extpipe.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "tap.h"

#define LEN 150000

enum kind { FILE_END, PIPE_END, SOCKET_END, APPEND_END, KINDS };
static const char *const kind_names[] = { "file", "pipe", "socket", "append file" };

static const char *where = "native";

/* A child that writes @file into @fd and ends, or collects @fd into @file. */
static pid_t feeder(int fd, int other, int file)
{
	char buffer[10000];
	pid_t child = fork();
	ssize_t n;
	off_t at = 0;

	must(child >= 0);
	if (child)
		return child;
	close(other); /* or a reader that gave up would not be noticed */
	while ((n = pread(file, buffer, sizeof(buffer), at)) > 0) {
		if (write(fd, buffer, (size_t)n) != n)
			_exit(1);
		at += n;
	}
	_exit(0);
}

static pid_t collector(int fd, int other, int file)
{
	char buffer[10000];
	pid_t child = fork();
	ssize_t n;

	must(child >= 0);
	if (child)
		return child;
	close(other);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (write(file, buffer, (size_t)n) != n)
			_exit(1);
	_exit(n != 0);
}

struct ends {
	int in, out, source, got;
	pid_t feeder, collector;
};

static void make_pair(enum kind kind, int pair[2])
{
	int swap;

	if (kind == PIPE_END) {
		must(!pipe(pair));
		return;
	}
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	swap = pair[0];
	pair[0] = pair[1];
	pair[1] = swap;
}

static struct ends open_ends(enum kind in, enum kind out)
{
	struct ends e = { .source = tap_file(LEN), .got = memfd_create("got", 0) };
	int pair[2];

	must(e.got >= 0);
	e.in = e.source;
	e.out = e.got;
	if (in != FILE_END) {
		make_pair(in, pair);
		e.feeder = feeder(pair[1], pair[0], e.source);
		e.in = pair[0];
		close(pair[1]);
	}
	if (out == APPEND_END) {
		must(!fcntl(e.got, F_SETFL, O_APPEND));
	} else if (out != FILE_END) {
		make_pair(out, pair);
		e.collector = collector(pair[0], pair[1], e.got);
		e.out = pair[1];
		close(pair[0]);
	}
	return e;
}

static bool close_ends(struct ends *e)
{
	int status = 0;
	bool same;

	if (e->in != e->source)
		close(e->in);
	if (e->out != e->got)
		close(e->out);
	if (e->feeder)
		must(waitpid(e->feeder, &status, 0) == e->feeder && !status);
	if (e->collector)
		must(waitpid(e->collector, &status, 0) == e->collector && !status);
	same = tap_same(e->source, 0, e->got, 0, LEN);
	close(e->source);
	close(e->got);
	return same;
}

static void test_pairs(void)
{
	static const enum xp_via vias[] = { XP_VIA_AUTO,     XP_VIA_SPLICE,
					    XP_VIA_SENDFILE, XP_VIA_COPY_FILE_RANGE,
					    XP_VIA_VMSPLICE, XP_VIA_COPY };

	for (enum kind in = 0; in < APPEND_END; in++) {
		for (enum kind out = 0; out < KINDS; out++) {
			for (size_t v = 0; v < sizeof(vias) / sizeof(vias[0]); v++) {
				struct ends e = open_ends(in, out);
				struct xp_transfer job = { .in = e.in,
							   .out = e.out,
							   .length = XP_TO_END,
							   .via = vias[v] };
				struct xp_report r;
				int result = xp_transfer(&job, &r);

				ok(close_ends(&e) && !result && r.bytes == LEN && !r.in_flight &&
					   r.side == XP_SIDE_NONE && !r.error && r.calls,
				   "%s: %s to %s by %s", where, kind_names[in], kind_names[out],
				   xp_via_name(vias[v]));
			}
		}
	}
}

static void test_length_and_offsets(void)
{
	int in = tap_file(LEN), out = memfd_create("out", 0);
	loff_t from = 1000, to = 50;
	struct xp_transfer job = { .in = in,
				   .out = out,
				   .in_offset = &from,
				   .out_offset = &to,
				   .length = 5000,
				   .chunk = 700 };
	struct xp_report r;

	for (enum xp_via via = XP_VIA_AUTO; via <= XP_VIA_COPY; via++) {
		if (via == XP_VIA_TEE)
			continue;
		from = 1000;
		to = 50;
		job.via = via;
		must(!ftruncate(out, 0));
		ok(!xp_transfer(&job, &r) && r.bytes == 5000 && from == 6000 && to == 5050 &&
			   tap_same(in, 1000, out, 50, 5000) && !lseek(in, 0, SEEK_CUR) &&
			   !lseek(out, 0, SEEK_CUR),
		   "%s: a length at offsets by %s", where, xp_via_name(via));
	}
	job.length = 0;
	ok(!xp_transfer(&job, &r) && !r.bytes, "%s: length 0 moves nothing", where);
	close(in);
	close(out);
}

static void everything(void)
{
	test_pairs();
	test_length_and_offsets();
}

static bool fails(const struct xp_transfer *job, int error, enum xp_side side)
{
	struct xp_report r;

	errno = 0;
	return xp_transfer(job, &r) == -1 && errno == error && r.error == error && r.side == side;
}

static void test_errors(void)
{
	int in = tap_file(10), full = open("/dev/full", O_WRONLY), dir = open("/", O_RDONLY), p[2];
	loff_t at = 0, negative = -1;

	must(full >= 0 && dir >= 0 && !pipe(p) && write(p[1], "x", 1) == 1);
#define FAILS(error, side, ...) \
	ok(fails(&(struct xp_transfer){ .length = XP_TO_END, __VA_ARGS__ }, error, side), \
	   #error " for " #__VA_ARGS__)
	FAILS(ENOSPC, XP_SIDE_OUTPUT, .in = in, .out = full);
	FAILS(ENOSPC, XP_SIDE_OUTPUT, .in = p[0], .out = full);
	FAILS(EISDIR, XP_SIDE_INPUT, .in = dir, .out = p[1]);
	FAILS(EBADF, XP_SIDE_INPUT, .in = -1, .out = p[1]);
	FAILS(EBADF, XP_SIDE_INPUT, .in = p[1], .out = full);
	FAILS(EBADF, XP_SIDE_OUTPUT, .in = in, .out = p[0]);
	FAILS(EBADF, XP_SIDE_OUTPUT, .in = in, .out = 999);
	FAILS(ESPIPE, XP_SIDE_INPUT, .in = p[0], .out = full, .in_offset = &at);
	FAILS(ESPIPE, XP_SIDE_OUTPUT, .in = in, .out = p[1], .out_offset = &at);
	FAILS(EINVAL, XP_SIDE_INPUT, .in = in, .out = p[1], .in_offset = &negative);
	FAILS(EINVAL, XP_SIDE_NONE, .in = in, .out = p[1], .flags = 1u << 30);
	FAILS(EINVAL, XP_SIDE_NONE, .in = in, .out = p[1], .via = XP_VIA_TEE);
	FAILS(EINVAL, XP_SIDE_NONE, .in = in, .out = p[1], .via = (enum xp_via)99);
	FAILS(EOPNOTSUPP, XP_SIDE_NONE, .in = in, .out = full, .flags = XP_NO_FALLBACK);
	FAILS(EAGAIN, XP_SIDE_INPUT, .in = p[0], .out = open("/dev/null", O_WRONLY),
	      .flags = XP_NONBLOCK);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	must(!lseek(in, 0, SEEK_SET));
	FAILS(EPIPE, XP_SIDE_OUTPUT, .in = in, .out = p[1]);
	close(in);
	close(full);
	close(dir);
	close(p[1]);
}

/* What was taken and could not be delivered is told, whichever way was used. */
static void test_in_flight(void)
{
	static const enum xp_via vias[] = { XP_VIA_SPLICE, XP_VIA_COPY };
	struct xp_report r;

	for (int i = 0; i < 2; i++) {
		int full = open("/dev/full", O_WRONLY), p[2];
		struct xp_transfer job = { .out = full, .length = XP_TO_END, .via = vias[i] };

		must(full >= 0 && !pipe(p) && write(p[1], "seven b", 7) == 7);
		job.in = p[0];
		ok(xp_transfer(&job, &r) == -1 && r.in_flight == 7 && !r.bytes,
		   "7 bytes in flight are reported, by %s", xp_via_name(vias[i]));
		close(p[0]);
		close(p[1]);
		close(full);
	}
}

static int stop_after(const struct xp_report *report, void *arg)
{
	return report->bytes >= *(uint64_t *)arg;
}

static void count_decision(const struct xp_decision *decision, void *arg)
{
	*(struct xp_decision *)arg = *decision;
}

static void test_callbacks(void)
{
	int in = tap_file(LEN), out = memfd_create("out", 0);
	struct xp_decision decision = { 0 };
	struct xp_report r;
	uint64_t limit = 5000;

	must(out >= 0);
	ok(xp_transfer(&(struct xp_transfer){ .in = in,
					      .out = out,
					      .length = XP_TO_END,
					      .chunk = 1000,
					      .progress = stop_after,
					      .arg = &limit },
		       &r) == -1 &&
		   errno == ECANCELED && r.bytes == 5000 && r.side == XP_SIDE_NONE,
	   "the caller stops it after 5000 bytes");
	must(!fcntl(out, F_SETFL, O_APPEND));
	ok(!xp_transfer(&(struct xp_transfer){ .in = in,
					       .out = out,
					       .length = XP_TO_END,
					       .decided = count_decision,
					       .arg = &decision },
			&r) &&
		   decision.via == XP_VIA_COPY && decision.from == XP_VIA_SPLICE &&
		   decision.error == EINVAL && decision.why && r.via == XP_VIA_COPY,
	   "an append-mode output is a decision for copying");
	ok(tap_same(in, 0, out, 0, LEN), "and what was left arrives");
	close(in);
	close(out);
}

/* What is in the pipe after the run: the old bytes if stable, whatever happens to the file. */
static void test_stable(void)
{
	for (int stable = 0; stable < 2; stable++) {
		int in = tap_file(4096), p[2], got = memfd_create("got", 0), copy = tap_file(4096);
		char page[4096];
		struct xp_feature shares;
		struct xp_report r;
		bool old;

		must(got >= 0 && !pipe(p) && !xp_feature(XP_FEATURE_SPLICE_SHARES, &shares));
		must(!xp_transfer(&(struct xp_transfer){ .in = in,
							 .out = p[1],
							 .length = XP_TO_END,
							 .flags = stable ? XP_STABLE : 0 },
				  &r));
		memset(page, 'Z', sizeof(page));
		must(pwrite(in, page, sizeof(page), 0) == sizeof(page));
		must(read(p[0], page, sizeof(page)) == sizeof(page));
		must(write(got, page, sizeof(page)) == sizeof(page));
		old = tap_same(copy, 0, got, 0, 4096);
		if (stable)
			ok(old && lseek(in, 0, SEEK_CUR) == 4096, "stable: the old bytes arrive");
		else
			ok(old == (shares.support != XP_NATIVE),
			   "otherwise what arrives is what the probe says");
		close(in);
		close(p[0]);
		close(p[1]);
		close(got);
		close(copy);
	}
}

/* Both sides non-blocking: waited for, not spun on. */
static void test_nonblocking(void)
{
	for (int via = 0; via < 2; via++) {
		struct ends e = open_ends(PIPE_END, PIPE_END);
		struct xp_report r;

		must(!fcntl(e.in, F_SETFL, O_NONBLOCK) && !fcntl(e.out, F_SETFL, O_NONBLOCK));
		must(!xp_transfer(&(struct xp_transfer){ .in = e.in,
							 .out = e.out,
							 .length = XP_TO_END,
							 .via = via ? XP_VIA_COPY : XP_VIA_AUTO },
				  &r));
		ok(fcntl(e.in, F_GETFL) & O_NONBLOCK && fcntl(e.out, F_GETFL) & O_NONBLOCK,
		   "descriptor flags stay as they were");
		ok(close_ends(&e) && r.bytes == LEN && r.calls < LEN / 100,
		   "non-blocking pipes are waited for (%llu calls)", (unsigned long long)r.calls);
	}
}

int main(void)
{
	static const int errors[] = { ENOSYS, EPERM, EINVAL };
	static const int calls[] = { SCMP_SYS(splice), SCMP_SYS(sendfile),
				     SCMP_SYS(copy_file_range) };

	everything();
	test_errors();
	test_in_flight();
	test_callbacks();
	test_stable();
	test_nonblocking();
	for (size_t e = 0; e < 3; e++) {
		for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++) {
			const denial one[] = { { calls[c], errors[e] }, { -1, 0 } };

			where = strerrorname_np(errors[e]);
			tap_denied(one, everything);
		}
	}
	return tap_done();
}
