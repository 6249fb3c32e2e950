/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sendfile [PIPE-SIZE] - a file on standard input to anything on standard output. */
#include "bench.h"

#include <sys/sendfile.h>

int main(int argc, char **argv)
{
	resize(STDOUT_FILENO, argc > 1 ? number(argv[1]) : 0);
	while (must(sendfile(STDOUT_FILENO, STDIN_FILENO, NULL, BENCH_MOST), "sendfile"))
		;
	return 0;
}
