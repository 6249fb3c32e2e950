/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tee PIPE-SIZE [OUTPUT...] - the pipe on standard input to the pipe on standard output
 * and to each OUTPUT.
 *
 * Standard output decides by how much each round goes on: tee duplicates from the head
 * and cannot continue a partial duplicate. The last output takes the original. Those
 * between get a duplicate made in an empty private pipe, which always has room for it.
 */
#include "bench.h"

#define MOST_OUTPUTS 64

static void move(int in, int out, ssize_t left)
{
	while (left > 0)
		left -= must(splice(in, NULL, out, NULL, (size_t)left, 0), "splice");
}

int main(int argc, char **argv)
{
	long size = argc > 1 ? number(argv[1]) : 0;
	int outputs[MOST_OUTPUTS], count = 0, spare[2];
	ssize_t got;

	if (argc < 3 || argc - 2 > MOST_OUTPUTS) {
		errno = EINVAL;
		die("outputs");
	}
	must(pipe(spare), "pipe");
	resize(spare[1], size);
	resize(STDIN_FILENO, size);
	resize(STDOUT_FILENO, size);
	for (int i = 2; i < argc; i++) {
		outputs[count] = (int)must(open(argv[i], O_WRONLY), argv[i]);
		resize(outputs[count++], size);
	}
	while ((got = must(tee(STDIN_FILENO, STDOUT_FILENO, BENCH_MOST, 0), "tee"))) {
		for (int i = 0; i < count - 1; i++) {
			must(tee(STDIN_FILENO, spare[1], (size_t)got, 0), "tee");
			move(spare[0], outputs[i], got);
		}
		move(STDIN_FILENO, outputs[count - 1], got);
	}
	return 0;
}
