/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drain [BYTES [stop]] - splices the pipe on standard input into /dev/null; 1 unless BYTES came.
 * With "stop" it takes no more than those, for a writer that has no end.
 */
#include "bench.h"

int main(int argc, char **argv)
{
	int null = (int)must(open("/dev/null", O_WRONLY), "/dev/null");
	long want = argc > 1 ? number(argv[1]) : 0, most = argc > 2 ? want : LONG_MAX, bytes = 0;
	ssize_t got = 1;

	while (got && bytes < most) {
		long left = most - bytes, step = 1 << 20;

		got = must(splice(STDIN_FILENO, NULL, null, NULL,
				  (size_t)(left < step ? left : step), 0),
			   "splice");
		bytes += got;
	}
	return argc > 1 && bytes != want;
}
