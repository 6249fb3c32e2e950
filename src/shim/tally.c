/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tally.c - counts in memory that processes share, and lines to xshim's FIFO. */
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

struct tally *tally;

/* The FIFO's path; empty where nobody asked. */
static char lines[256];

/* Told already: a bit for each errno below 128. */
static _Atomic uint64_t told[SHIM_CALLS][2];

static const char *const names[] = {
#define TALLY_NAME(id, name) name,
	TALLY_CALLS(TALLY_NAME)
};

static bool make_path(char path[256], const char *directory, const char *name)
{
	if (strlen(directory) + 1 + strlen(name) >= 256)
		return false;
	strcpy(stpcpy(stpcpy(path, directory), "/"), name);
	return true;
}

/* Runs before main(), when nobody else can be looking for a descriptor. */
__attribute__((constructor)) static void start(void)
{
	const char *directory = secure_getenv(TALLY_VARIABLE);
	int error = errno, fd;
	char path[256];
	void *memory;

	if (!directory || !make_path(path, directory, TALLY_COUNTS))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		memory = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory != MAP_FAILED)
			tally = memory;
		close(fd);
	}
	if (make_path(path, directory, TALLY_LINES) && !access(path, W_OK))
		strcpy(lines, path);
	errno = error;
}

/* A line made without stdio, which no signal handler may use. */
struct line {
	char text[160];
	size_t length;
};

static void add(struct line *line, const char *text)
{
	while (*text && line->length < sizeof(line->text) - 1)
		line->text[line->length++] = *text++;
}

static void add_number(struct line *line, long number)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add(line, digits + at);
}

/* strerror(3) may allocate, this does not. */
static const char *error_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "an unknown error";
}

void tally_tell(enum shim_call call, int error, const char *outcome)
{
	int saved = errno, fd;
	uint64_t bit = 1ull << (error & 63);
	struct line line = { .length = 0 };

	if (!*lines ||
	    atomic_fetch_or_explicit(&told[call][(error >> 6) & 1], bit, memory_order_relaxed) &
		    bit)
		return;
	add(&line, names[call]);
	add(&line, " ");
	add(&line, outcome);
	add(&line, ": the kernel says ");
	add(&line, error_name(error));
	add(&line, " (process ");
	add_number(&line, getpid());
	add(&line, ")\n");
	/* Nobody reads it any more: ENXIO, and no SIGPIPE. */
	fd = open(lines, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, line.text, line.length);
		close(fd);
	}
	errno = saved;
}
