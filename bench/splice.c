/* SPDX-License-Identifier: GPL-2.0-or-later */
/* splice [PIPE-SIZE] - standard input to standard output, one of them a pipe, by splice alone. */
#include "bench.h"

int main(int argc, char **argv)
{
	long size = argc > 1 ? number(argv[1]) : 0;

	resize(STDIN_FILENO, size);
	resize(STDOUT_FILENO, size);
	while (must(splice(STDIN_FILENO, NULL, STDOUT_FILENO, NULL, BENCH_MOST, 0), "splice"))
		;
	return 0;
}
