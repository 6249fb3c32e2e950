/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * duplicate PIPE-SIZE BYTES - "y" lines to the pipe on standard output, by tee alone, from a
 * pipe that is filled once and never emptied.
 */
#include "bench.h"

static int filled(long size)
{
	static char page[4096];
	int ends[2];

	for (size_t at = 0; at < sizeof(page); at++)
		page[at] = at % 2 ? '\n' : 'y';
	must(pipe(ends), "pipe");
	resize(ends[1], size);
	for (long left = must(fcntl(ends[1], F_GETPIPE_SZ), "pipe size"); left > 0;)
		left -= must(write(ends[1], page, sizeof(page)), "write");
	return ends[0];
}

int main(int argc, char **argv)
{
	long size = argc > 1 ? number(argv[1]) : 0, left = argc > 2 ? number(argv[2]) : 0;
	int master = filled(size);

	resize(STDOUT_FILENO, size);
	while (left)
		left -= must(tee(master, STDOUT_FILENO, (size_t)left, 0), "tee");
	return 0;
}
