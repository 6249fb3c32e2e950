/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sink [BYTES] - discards what a TCP socket receives, uncopied; 1 unless BYTES came. */
#include "bench.h"

#include <sys/socket.h>

int main(int argc, char **argv)
{
	long bytes = 0;
	ssize_t got;

	while ((got = must(recv(STDIN_FILENO, NULL, 1 << 20, MSG_TRUNC), "recv")))
		bytes += got;
	return argc > 1 && bytes != number(argv[1]);
}
