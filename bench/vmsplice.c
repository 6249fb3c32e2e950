/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmsplice PIPE-SIZE BYTES - "y" lines to the pipe on standard output, by vmsplice alone.
 *
 * They stand in one block, which is made once and handed over again and again: a huge page,
 * because the kernel finds the pages of one faster.
 */
#include "bench.h"

#include <sys/mman.h>
#include <sys/uio.h>

#define BLOCK ((size_t)2 << 20)

static char *lines(void)
{
	char *room = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);

	if (room == MAP_FAILED)
		die("memory");
	room += BLOCK - (size_t)room % BLOCK;
	(void)madvise(room, BLOCK, MADV_HUGEPAGE); /* a wish */
	for (size_t at = 0; at < BLOCK; at++)
		room[at] = at % 2 ? '\n' : 'y';
	return room;
}

int main(int argc, char **argv)
{
	long size = argc > 1 ? number(argv[1]) : 0, left = argc > 2 ? number(argv[2]) : 0;
	char *block = lines();
	size_t at = 0;

	resize(STDOUT_FILENO, size);
	while (left) {
		size_t rest = BLOCK - at;
		struct iovec part = { block + at, left < (long)rest ? (size_t)left : rest };
		ssize_t put = must(vmsplice(STDOUT_FILENO, &part, 1, 0), "vmsplice");

		left -= put;
		at = (at + (size_t)put) % BLOCK;
	}
	return 0;
}
