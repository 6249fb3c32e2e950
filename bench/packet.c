/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet PIPE-SIZE SIZE COUNT - COUNT packets of SIZE bytes from one process to another, by
 * write and read alone; 1 unless all came.
 */
#include "bench.h"

#include <sys/wait.h>

static char record[4096];

static void feed(int to, size_t size, long count)
{
	while (count--)
		must(write(to, record, size), "write");
}

static long take(int from, size_t size)
{
	long whole = 0;
	ssize_t got;

	while ((got = must(read(from, record, sizeof(record)), "read")))
		whole += (size_t)got == size;
	return whole;
}

int main(int argc, char **argv)
{
	size_t size = argc > 3 ? (size_t)number(argv[2]) : 0;
	long count = argc > 3 ? number(argv[3]) : 0;
	int ends[2], status;

	if (!size || size > sizeof(record)) {
		errno = EINVAL;
		die("size");
	}
	must(pipe2(ends, O_DIRECT), "pipe");
	resize(ends[1], number(argv[1]));
	if (!must(fork(), "fork")) {
		close(ends[0]);
		feed(ends[1], size, count);
		return 0;
	}
	close(ends[1]);
	long whole = take(ends[0], size);

	must(wait(&status), "wait");
	return status || whole != count;
}
