/* SPDX-License-Identifier: GPL-2.0-or-later */
/* readwrite [BUFFER-SIZE [PIPE-SIZE]] - standard input to standard output through memory. */
#include "bench.h"

int main(int argc, char **argv)
{
	size_t room = argc > 1 ? (size_t)number(argv[1]) : 131072;
	long size = argc > 2 ? number(argv[2]) : 0;
	char *buffer = aligned_alloc(4096, (room + 4095) & ~(size_t)4095);
	ssize_t got;

	if (!buffer)
		die("memory");
	resize(STDIN_FILENO, size);
	resize(STDOUT_FILENO, size);
	while ((got = must(read(STDIN_FILENO, buffer, room), "read")))
		for (ssize_t put = 0; put < got;)
			put += must(write(STDOUT_FILENO, buffer + put, (size_t)(got - put)),
				    "write");
	return 0;
}
