/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tap.h - the Test Anything Protocol, and what unit tests share. */
#ifndef EXTPIPE_TESTS_TAP_H
#define EXTPIPE_TESTS_TAP_H

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int tap_count, tap_failures;

/* One result; @name says what holds. */
#define ok(condition, ...) tap_result(condition, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5))) static inline bool tap_result(bool passed, const char *file,
								    int line, const char *name, ...)
{
	char text[256];
	__builtin_va_list args;

	__builtin_va_start(args, name);
	vsnprintf(text, sizeof(text), name, args);
	__builtin_va_end(args);
	tap_count++;
	tap_failures += !passed;
	printf("%sok %d - %s\n", passed ? "" : "not ", tap_count, text);
	if (!passed)
		printf("# %s:%d, errno %s\n", file, line, strerror(errno));
	fflush(stdout);
	return passed;
}

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures != 0;
}

/* A fixture that breaks stops the test. */
#define must(condition) \
	do { \
		if (!(condition)) { \
			printf("Bail out! %s:%d: %s: %s\n", __FILE__, __LINE__, #condition, \
			       strerror(errno)); \
			exit(99); \
		} \
	} while (0)

/* Calls denied to a piece of a test; ends with -1. */
typedef struct {
	int call;
	int error;
} denial;

/*
 * Runs @body in a child in which calls are denied, and carries its results over. The filter
 * can't be taken off again, so it needs a process of its own.
 */
static inline void tap_denied(const denial *denials, void (*body)(void))
{
	int counts[2] = { tap_count, tap_failures };
	int results[2], status;
	pid_t child;

	must(!pipe(results));
	fflush(stdout);
	child = fork();
	must(child >= 0);
	if (!child) {
		scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

		must(filter);
		for (; denials->call >= 0; denials++)
			must(!seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)denials->error),
					       denials->call, 0));
		must(!seccomp_load(filter));
		seccomp_release(filter);
		body();
		counts[0] = tap_count;
		counts[1] = tap_failures;
		must(write(results[1], counts, sizeof(counts)) == sizeof(counts));
		exit(0);
	}
	close(results[1]);
	must(read(results[0], counts, sizeof(counts)) == sizeof(counts));
	close(results[0]);
	must(waitpid(child, &status, 0) == child && !status);
	tap_count = counts[0];
	tap_failures = counts[1];
}

/* A memfd with @len bytes that repeat nowhere soon, positioned at 0. */
static inline int tap_file(size_t len)
{
	uint32_t *words = malloc(len + sizeof(*words));
	int fd = memfd_create("tap", 0);
	uint32_t x = 2463534242u;

	must(fd >= 0 && words);
	for (size_t i = 0; i <= len / sizeof(x); i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		words[i] = x;
	}
	must(write(fd, words, len) == (ssize_t)len && !lseek(fd, 0, SEEK_SET));
	free(words);
	return fd;
}

/* Do @len bytes of @a at @a_at equal those of @b at @b_at, and does @b end there? */
static inline bool tap_same(int a, off_t a_at, int b, off_t b_at, size_t len)
{
	char *x = malloc(len + 1), *y = malloc(len + 1);
	bool same;

	must(x && y);
	same = pread(a, x, len, a_at) == (ssize_t)len &&
	       pread(b, y, len + 1, b_at) == (ssize_t)len && !memcmp(x, y, len);
	free(x);
	free(y);
	return same;
}

#endif
