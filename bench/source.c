/* SPDX-License-Identifier: GPL-2.0-or-later */
/* source FILE - feeds the pipe on standard output, as it is, from FILE by splice. */
#include "bench.h"

int main(int argc, char **argv)
{
	int file = (int)must(open(argc > 1 ? argv[1] : "", O_RDONLY), "source file");

	while (must(splice(file, NULL, STDOUT_FILENO, NULL, BENCH_MOST, 0), "splice"))
		;
	return 0;
}
