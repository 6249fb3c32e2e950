/* SPDX-License-Identifier: GPL-2.0-or-later */
/* write PIPE-SIZE BYTES - "y" lines to standard output, by write alone, 128 KiB at a time. */
#include "bench.h"

int main(int argc, char **argv)
{
	static char block[131072];
	long size = argc > 1 ? number(argv[1]) : 0, left = argc > 2 ? number(argv[2]) : 0;
	long at = 0;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i % 2 ? '\n' : 'y';
	resize(STDOUT_FILENO, size);
	while (left) {
		long rest = (long)sizeof(block) - at;
		ssize_t put = must(
			write(STDOUT_FILENO, block + at, (size_t)(left < rest ? left : rest)),
			"write");

		left -= put;
		at = (at + put) % (long)sizeof(block);
	}
	return 0;
}
