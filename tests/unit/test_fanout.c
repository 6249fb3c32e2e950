/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xp_fanout(): every output gets every byte once and in order, or is reported. */
#include <extpipe.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "tap.h"

#define LEN 200000
#define MANY 12

enum output_kind {
	TO_PIPE,
	TO_SLOW_PIPE,
	TO_TINY_PIPE,
	TO_FILE,
	TO_APPEND,
	TO_SOCKET,
	TO_NULL,
	KINDS
};

struct receiver {
	enum output_kind kind;
	int fd, got;
	pid_t child;
};

static const char *where = "native";

/* Reads @chunk bytes at a time, so that the pipe is never drained at once. */
static pid_t collector(int fd, int got, size_t chunk)
{
	char buffer[65536];
	pid_t child = fork();
	ssize_t n;

	must(child >= 0);
	if (child)
		return child;
	/* Ends inherited from the other outputs would keep their readers waiting. */
	for (int other = 3; other < 200; other++)
		if (other != fd && other != got)
			close(other);
	while ((n = read(fd, buffer, chunk)) > 0)
		if (write(got, buffer, (size_t)n) != n)
			_exit(1);
	_exit(n != 0);
}

static void open_receiver(struct receiver *r, enum output_kind kind)
{
	int pair[2];

	*r = (struct receiver){ .kind = kind, .got = memfd_create("got", 0) };
	must(r->got >= 0);
	if (kind == TO_NULL) {
		must((r->fd = open("/dev/null", O_WRONLY)) >= 0);
		return;
	}
	if (kind == TO_FILE || kind == TO_APPEND) {
		r->fd = r->got;
		must(kind == TO_FILE || !fcntl(r->fd, F_SETFL, O_APPEND));
		return;
	}
	if (kind == TO_SOCKET) {
		must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	} else {
		must(!pipe(pair));
		must(kind != TO_TINY_PIPE || fcntl(pair[1], F_SETPIPE_SZ, 4096) == 4096);
	}
	r->fd = pair[1];
	r->child = collector(pair[0], r->got, kind == TO_SLOW_PIPE ? 1000 : 65536);
	close(pair[0]);
}

static bool close_receiver(struct receiver *r, int source)
{
	int status = 0;
	bool same;

	if (r->fd != r->got)
		close(r->fd);
	if (r->child)
		must(waitpid(r->child, &status, 0) == r->child && !status);
	same = r->kind == TO_NULL || tap_same(source, 0, r->got, 0, LEN);
	close(r->got);
	return same;
}

/* A child that writes the source in uneven pieces. */
static pid_t feeder(const int p[2], int source)
{
	char buffer[9973];
	pid_t child = fork();
	size_t chunk = 1;
	off_t at = 0;
	ssize_t n;

	must(child >= 0);
	if (child)
		return child;
	close(p[0]); /* or a reader that gave up would not be noticed */
	while ((n = pread(source, buffer, chunk, at)) > 0) {
		if (write(p[1], buffer, (size_t)n) != n)
			_exit(1);
		at += n;
		chunk = (chunk * 7 + 3) % sizeof(buffer) + 1;
	}
	_exit(0);
}

static void fan(const char *name, bool from_pipe, size_t in_size, enum xp_via via,
		const enum output_kind *kinds, unsigned count)
{
	struct receiver receivers[MANY];
	struct xp_output outputs[MANY] = { { 0 } };
	struct xp_fanout job = { .count = count, .outputs = outputs, .via = via };
	struct xp_report report;
	int source = tap_file(LEN), p[2], result, status;
	pid_t child = 0;
	bool all = true;

	for (unsigned i = 0; i < count; i++) {
		open_receiver(&receivers[i], kinds[i]);
		outputs[i].fd = receivers[i].fd;
	}
	job.in = source;
	if (from_pipe) {
		must(!pipe(p) && fcntl(p[1], F_SETPIPE_SZ, in_size) > 0);
		child = feeder(p, source);
		close(p[1]);
		job.in = p[0];
	}
	result = xp_fanout(&job, &report);
	if (from_pipe) {
		close(p[0]);
		must(waitpid(child, &status, 0) == child && !status);
	}
	for (unsigned i = 0; i < count; i++) {
		bool same = close_receiver(&receivers[i], source);

		all = all && same && outputs[i].bytes == LEN && !outputs[i].error;
		if (!same)
			printf("# output %u of kind %d differs\n", i, (int)kinds[i]);
	}
	ok(all && !result && report.bytes == LEN && !report.in_flight, "%s: %s by %s from a %s",
	   where, name, xp_via_name(via),
	   from_pipe ? in_size > 65536 ? "large pipe" : "pipe" : "file");
	close(source);
}

static void everything(void)
{
	static const enum output_kind kinds[][MANY] = {
		{ TO_PIPE },
		{ TO_FILE },
		{ TO_APPEND },
		{ TO_PIPE, TO_NULL },
		{ TO_PIPE, TO_PIPE },
		{ TO_SLOW_PIPE, TO_PIPE, TO_TINY_PIPE },
		{ TO_TINY_PIPE, TO_SOCKET, TO_APPEND, TO_FILE },
		{ TO_APPEND, TO_APPEND },
		{ TO_FILE, TO_SLOW_PIPE, TO_SOCKET, TO_PIPE, TO_NULL, TO_APPEND, TO_TINY_PIPE,
		  TO_PIPE, TO_FILE, TO_SOCKET, TO_SLOW_PIPE, TO_PIPE },
	};
	static const unsigned counts[] = { 1, 1, 1, 2, 2, 3, 4, 2, 12 };
	static const enum xp_via vias[] = { XP_VIA_AUTO, XP_VIA_COPY };
	char name[32];

	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		snprintf(name, sizeof(name), "set %zu, %u outputs", k, counts[k]);
		for (int v = 0; v < 2; v++) {
			fan(name, true, 65536, vias[v], kinds[k], counts[k]);
			fan(name, true, 1 << 20, vias[v], kinds[k], counts[k]);
			fan(name, false, 0, vias[v], kinds[k], counts[k]);
		}
	}
}

static int failures, failed_output, failed_error;

static int on_failure(unsigned output, int error, void *arg)
{
	failures++;
	failed_output = (int)output;
	failed_error = error;
	return arg != NULL;
}

/* A full device and a dead pipe among living outputs. */
static void test_failures(void)
{
	static const enum xp_via vias[] = { XP_VIA_AUTO, XP_VIA_COPY };

	for (int v = 0; v < 2; v++) {
		int source = tap_file(LEN), dead[2], got = memfd_create("got", 0);
		struct xp_output outputs[] = { { .fd = open("/dev/full", O_WRONLY) },
					       { .fd = got },
					       { .fd = 0 } };
		struct xp_fanout job = { .in = source,
					 .count = 3,
					 .outputs = outputs,
					 .via = vias[v],
					 .failed = on_failure };
		struct xp_report r;

		must(!pipe(dead) && got >= 0 && outputs[0].fd >= 0);
		close(dead[0]);
		outputs[2].fd = dead[1];
		failures = 0;
		ok(!xp_fanout(&job, &r) && failures == 2 && outputs[0].error == ENOSPC &&
			   outputs[2].error == EPIPE && !outputs[1].error &&
			   outputs[1].bytes == LEN && tap_same(source, 0, got, 0, LEN),
		   "the others get everything, by %s", xp_via_name(vias[v]));
		must(!lseek(source, 0, SEEK_SET));
		job.arg = &job;
		outputs[0].error = outputs[1].error = outputs[2].error = 0;
		ok(xp_fanout(&job, &r) == -1 && errno == ECANCELED,
		   "the caller stops at a failure");
		close(outputs[0].fd);
		close(dead[1]);
		close(got);
		close(source);
	}
}

/* A reader goes away while no input comes: told at once, though nothing is written. */
static void test_idle_death(enum xp_via via)
{
	int in[2], out[2], status;
	struct xp_output output = { 0 };
	struct xp_fanout job = { .count = 1,
				 .outputs = &output,
				 .via = via,
				 .flags = XP_WATCH_OUTPUTS,
				 .failed = on_failure };
	struct xp_report r;
	pid_t child;

	must(!pipe(in) && !pipe(out));
	job.in = in[0];
	output.fd = out[1];
	child = fork();
	must(child >= 0);
	if (!child)
		_exit(0); /* with it the last reader goes, once this side has closed its own */
	close(out[0]);
	ok(!xp_fanout(&job, &r) && output.error == EPIPE,
	   "a dead reader is noticed while idle, by %s", xp_via_name(via));
	must(waitpid(child, &status, 0) == child);
	close(in[0]);
	close(in[1]);
	close(out[1]);
}

static void test_peek(void)
{
	int in[2], out[2], file = memfd_create("peek", 0);
	struct xp_output outputs[2] = { { 0 } };
	struct xp_fanout job = { .count = 2, .outputs = outputs, .flags = XP_PEEK };
	struct xp_report r;
	char buffer[16];

	must(file >= 0 && !pipe(in) && !pipe(out) && write(in[1], "queued", 6) == 6);
	job.in = in[0];
	outputs[0].fd = out[1];
	outputs[1].fd = file;
	ok(!xp_fanout(&job, &r) && read(out[0], buffer, sizeof(buffer)) == 6 &&
		   !memcmp(buffer, "queued", 6) && pread(file, buffer, sizeof(buffer), 0) == 6,
	   "peek copies to a pipe and a file");
	ok(read(in[0], buffer, sizeof(buffer)) == 6 && !memcmp(buffer, "queued", 6),
	   "and leaves what was there");
	ok(!xp_fanout(&job, &r) && !r.bytes, "an empty pipe gives nothing");
	job.in = file;
	errno = 0;
	ok(xp_fanout(&job, &r) == -1 && errno == EINVAL, "a file can't be peeked at");
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	close(file);
}

static void test_packets(void)
{
	int in[2], a[2], b[2];
	struct xp_output outputs[2] = { { 0 } };
	struct xp_fanout job = { .count = 2, .outputs = outputs };
	struct xp_report r;
	char buffer[8192] = "";
	bool whole = true;

	must(!pipe2(in, O_DIRECT) && !pipe(a) && !pipe(b));
	for (size_t i = 1; i <= 10; i++)
		must(write(in[1], buffer, i * 10) == (ssize_t)(i * 10));
	close(in[1]);
	job.in = in[0];
	outputs[0].fd = a[1];
	outputs[1].fd = b[1];
	must(!xp_fanout(&job, &r));
	for (size_t i = 1; i <= 10; i++)
		whole = whole && read(a[0], buffer, sizeof(buffer)) == (ssize_t)(i * 10) &&
			read(b[0], buffer, sizeof(buffer)) == (ssize_t)(i * 10);
	ok(whole, "packets keep their boundaries");
	close(in[0]);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

int main(void)
{
	static const int errors[] = { ENOSYS, EPERM, EINVAL };

	signal(SIGPIPE, SIG_IGN);
	everything();
	test_failures();
	test_idle_death(XP_VIA_AUTO);
	test_idle_death(XP_VIA_COPY);
	test_peek();
	test_packets();
	for (int i = 0; i < 3; i++) {
		const denial no_tee[] = { { SCMP_SYS(tee), errors[i] }, { -1, 0 } };
		const denial no_splice[] = { { SCMP_SYS(splice), errors[i] }, { -1, 0 } };

		where = strerrorname_np(errors[i]);
		tap_denied(no_tee, everything);
		tap_denied(no_splice, everything);
		tap_denied(no_tee, test_failures);
	}
	return tap_done();
}
