/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drain [BYTES] - splices the pipe on standard input into /dev/null; 1 unless BYTES came. */
#include "bench.h"

int main(int argc, char **argv)
{
	int null = (int)must(open("/dev/null", O_WRONLY), "/dev/null");
	long bytes = 0;
	ssize_t got;

	while ((got = must(splice(STDIN_FILENO, NULL, null, NULL, 1 << 20, 0), "splice")))
		bytes += got;
	return argc > 1 && bytes != number(argv[1]);
}
