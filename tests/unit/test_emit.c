/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xp_emit(): what a reader gets is what the memory held, by every way and to every output. */
#include <endian.h>
#include <extpipe.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "tap.h"

#define LEN 2500001

static const char *where = "native";
static const enum xp_via vias[] = { XP_VIA_AUTO, XP_VIA_VMSPLICE, XP_VIA_TEE, XP_VIA_COPY };

/* How the reader at the other end behaves. */
enum reader { READS, SPLICES_ON, TO_FILE, READERS };
static const char *const reader_names[] = { "a reader", "a reader that splices on", "a file" };

/* Collects @fd into @got, by way of a third pipe if @on: references outlive the first one. */
static pid_t collector(int fd, int other, int got, bool on)
{
	static char buffer[30011];
	pid_t child = fork();
	int third[2];
	ssize_t n;

	must(child >= 0);
	if (child)
		return child;
	close(other);
	if (pipe(third))
		_exit(1);
	for (;;) {
		n = on ? splice(fd, NULL, third[1], NULL, 65536, 0) : 0;
		if (!on || n > 0)
			n = read(on ? third[0] : fd, buffer, sizeof(buffer));
		if (n <= 0)
			break;
		if (write(got, buffer, (size_t)n) != n)
			_exit(1);
	}
	if (on && fcntl(third[0], F_SETFL, O_NONBLOCK) < 0)
		_exit(1);
	while (on && (n = read(third[0], buffer, sizeof(buffer))) > 0)
		if (write(got, buffer, (size_t)n) != n)
			_exit(1);
	_exit(0);
}

/* Runs one job and leaves what arrived in a file. */
static int run(struct xp_emit job, enum reader reader, int *result, struct xp_report *report)
{
	int got = memfd_create("got", 0), p[2], status;
	pid_t child = 0;

	must(got >= 0 && !pipe(p));
	job.out = got;
	if (reader != TO_FILE) {
		child = collector(p[0], p[1], got, reader == SPLICES_ON);
		job.out = p[1];
	}
	close(p[0]);
	*result = xp_emit(&job, report);
	close(p[1]);
	if (child)
		must(waitpid(child, &status, 0) == child && !status);
	return got;
}

static char *contents(int fd, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *bytes = malloc((size_t)size + 1);

	must(size >= 0 && bytes && pread(fd, bytes, (size_t)size, 0) == size);
	*len = (size_t)size;
	return bytes;
}

static bool repeats(int got, const char *string, size_t length, size_t total)
{
	size_t len;
	char *bytes = contents(got, &len);
	bool same = len == total;

	for (size_t i = 0; i < len && same; i++)
		same = bytes[i] == string[i % length];
	free(bytes);
	return same;
}

static void test_repeat(void)
{
	static const size_t lengths[] = { 1, 2, 3, 100, 4095, 4096, 4097, 70000 };
	char string[70000];

	for (size_t i = 0; i < sizeof(string); i++)
		string[i] = (char)(i * 31 + i / 251);
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
		for (int v = 0; v < 4; v++) {
			enum reader reader = (enum reader)((l + (size_t)v) % READERS);
			struct xp_report r;
			int result;
			int got = run((struct xp_emit){ .from = XP_MEMORY_REPEAT,
							.string = string,
							.string_length = lengths[l],
							.length = LEN,
							.via = vias[v],
							.flags = l % 2 ? XP_GIFT : XP_HUGE },
				      reader, &result, &r);

			ok(!result && r.bytes == LEN && repeats(got, string, lengths[l], LEN),
			   "%s: %zu bytes repeated by %s to %s", where, lengths[l],
			   xp_via_name(vias[v]), reader_names[reader]);
			close(got);
		}
	}
}

static void test_generated(void)
{
	int first = -1;

	for (int v = 0; v < 4; v++) {
		for (enum reader reader = 0; reader < READERS; reader++) {
			struct xp_emit job = { .from = XP_MEMORY_COUNTER,
					       .length = LEN,
					       .via = vias[v] };
			struct xp_report r;
			size_t len;
			int result, got = run(job, reader, &result, &r);
			char *bytes = contents(got, &len);
			bool counts = len == LEN;

			for (size_t i = 0; i + 8 <= len && counts; i += 8) {
				uint64_t number;

				memcpy(&number, bytes + i, 8);
				counts = le64toh(number) == i / 8;
			}
			ok(!result && counts, "%s: it counts, by %s to %s", where,
			   xp_via_name(vias[v]), reader_names[reader]);
			free(bytes);
			close(got);
			job.from = XP_MEMORY_RANDOM;
			job.seed = 7;
			got = run(job, reader, &result, &r);
			first = first < 0 ? got : first;
			ok(!result && tap_same(first, 0, got, 0, LEN), "%s: one seed, one stream",
			   where);
			if (got != first)
				close(got);
		}
	}
	close(first);
}

static void test_file(void)
{
	int file = tap_file(LEN);

	for (int v = 0; v < 4; v++) {
		for (enum reader reader = 0; reader < READERS; reader++) {
			struct xp_report r;
			int result;
			int got = run((struct xp_emit){ .from = XP_MEMORY_FILE,
							.file = file,
							.file_offset = 12345,
							.length = XP_TO_END,
							.via = vias[v] },
				      reader, &result, &r);

			ok(!result && tap_same(file, 12345, got, 0, LEN - 12345),
			   "%s: a file from an offset by %s to %s", where, xp_via_name(vias[v]),
			   reader_names[reader]);
			close(got);
		}
	}
	close(file);
}

static void everything(void)
{
	test_repeat();
	test_generated();
	test_file();
}

static bool fails(struct xp_emit job, int error, enum xp_side side)
{
	struct xp_report r;

	errno = 0;
	return xp_emit(&job, &r) == -1 && errno == error && r.error == error && r.side == side;
}

static void test_errors(void)
{
	int full = open("/dev/full", O_WRONLY), p[2];

	must(full >= 0 && !pipe(p));
#define REPEAT .from = XP_MEMORY_REPEAT, .string = "ab", .string_length = 2, .length = 10
#define FAILS(error, side, ...) \
	ok(fails((struct xp_emit){ __VA_ARGS__ }, error, side), #error " for " #__VA_ARGS__)
	FAILS(ENOSPC, XP_SIDE_OUTPUT, .out = full, REPEAT);
	FAILS(EBADF, XP_SIDE_OUTPUT, .out = p[0], REPEAT);
	FAILS(EINVAL, XP_SIDE_OUTPUT, .out = p[1], REPEAT, .flags = XP_STABLE);
	FAILS(EINVAL, XP_SIDE_OUTPUT, .out = p[1], REPEAT, .via = XP_VIA_SENDFILE);
	FAILS(EINVAL, XP_SIDE_OUTPUT, .out = p[1], .from = XP_MEMORY_REPEAT, .length = 1);
	FAILS(ENODEV, XP_SIDE_INPUT, .out = p[1], .from = XP_MEMORY_FILE, .file = p[0], .length = 1,
	      .via = XP_VIA_COPY);
	FAILS(EBADF, XP_SIDE_INPUT, .out = p[1], .from = XP_MEMORY_FILE, .file = p[1], .length = 1);
	signal(SIGPIPE, SIG_IGN);
	close(p[0]);
	FAILS(EPIPE, XP_SIDE_OUTPUT, .out = p[1], REPEAT);
	close(p[1]);
	close(full);
}

int main(void)
{
	static const int errors[] = { ENOSYS, EPERM, EOPNOTSUPP, EINVAL };

	everything();
	test_errors();
	for (int i = 0; i < 4; i++) {
		const denial no_vmsplice[] = { { SCMP_SYS(vmsplice), errors[i] }, { -1, 0 } };
		const denial neither[] = { { SCMP_SYS(vmsplice), errors[i] },
					   { SCMP_SYS(tee), errors[i] },
					   { -1, 0 } };

		where = strerrorname_np(errors[i]);
		tap_denied(no_vmsplice, test_repeat);
		tap_denied(neither, test_generated);
	}
	return tap_done();
}
