/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calls COUNT - as many splices of nothing, which the kernel answers soonest. */
#include "bench.h"

int main(int argc, char **argv)
{
	long count = argc > 1 ? number(argv[1]) : 1;

	while (count--)
		must(splice(STDIN_FILENO, NULL, STDOUT_FILENO, NULL, 0, 0), "splice");
	return 0;
}
