/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader agree read|direct|map COUNT SEED FROM ORIGINAL COPY - so many random reads, none longer
 *   than 1 MiB, of both files from byte FROM on; what they say must be the same, and as much.
 * reader pattern SIZE FILE - makes a file that tells of each byte where it is; none is 0.
 * reader churn SIZE SEED FILE - for ever truncates such a file, and writes what it has lost.
 * reader torn COUNT SEED FILE - so many random direct reads of a file that is churned elsewhere:
 *   each byte is the file's own, or 0 where the file was truncated in that moment.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST ((size_t)1 << 20)
#define PAGE 4096

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(2);
}

static _Noreturn void wrong(const char *what, off_t at, size_t length)
{
	fprintf(stderr, "reader: %s: %zu bytes at %lld\n", what, length, (long long)at);
	exit(1);
}

static int opened(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	return fd;
}

static unsigned char *buffer(void)
{
	void *memory = mmap(NULL, MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static off_t random_below(off_t most)
{
	off_t number = (off_t)random() << 31 | random();

	return most > 0 ? number % most : 0;
}

/* Short reads are seldom short of 1 MiB: every length is as likely as its double. */
static size_t random_length(void)
{
	return 1 + (size_t)random_below((off_t)1 << random_below(21));
}

/* Every other offset is near data, or a sparse file would be read where it has none. */
static off_t random_offset(int fd, off_t from, off_t size)
{
	off_t at = from + random_below(size - from), data;

	if (random() % 2)
		return at;
	data = lseek(fd, at, SEEK_DATA);
	return data < at ? at : data + random_below(2 * PAGE);
}

static size_t read_all(int fd, void *to, size_t length, off_t at)
{
	ssize_t got = pread(fd, to, length, at);

	if (got < 0)
		die("pread");
	return (size_t)got;
}

/* What is mapped, as much of it as there is. */
static size_t read_map(int fd, void *to, size_t length, off_t at, off_t size)
{
	off_t start = at & ~(off_t)(PAGE - 1);
	size_t ahead = (size_t)(at - start);
	char *map;

	if (at >= size)
		return 0;
	if (length > (size_t)(size - at))
		length = (size_t)(size - at);
	map = mmap(NULL, ahead + length, PROT_READ, MAP_SHARED, fd, start);
	if (map == MAP_FAILED)
		die("mmap");
	memcpy(to, map + ahead, length);
	munmap(map, ahead + length);
	return length;
}

static int agree(const char *how, long count, off_t from, const char *original, const char *copy)
{
	int a = opened(original, O_RDONLY);
	int b = opened(copy, O_RDONLY | (*how == 'd' ? O_DIRECT : 0));
	unsigned char *want = buffer(), *got = buffer();
	off_t size = lseek(a, 0, SEEK_END);

	while (count--) {
		off_t at = random_offset(a, from, size);
		size_t length = random_length(), n, m;

		if (*how == 'd') {
			at &= ~(off_t)(PAGE - 1);
			length = (length + PAGE - 1) & ~(size_t)(PAGE - 1);
		}
		n = read_all(a, want, length, at);
		m = *how == 'm' ? read_map(b, got, length, at, size) : read_all(b, got, length, at);
		if (m != n)
			wrong("another length", at, length);
		if (memcmp(want, got, n))
			wrong("another content", at, length);
	}
	return 0;
}

/* The bytes of a number that counts eights of bytes, each with its highest bit set. */
static unsigned char byte_at(off_t at)
{
	return (unsigned char)(0x80 | (at / 8) >> (at % 8 * 7));
}

static void write_pattern(int fd, off_t from, off_t to, unsigned char *memory)
{
	while (from < to) {
		size_t length = to - from < (off_t)MOST ? (size_t)(to - from) : MOST;
		ssize_t put;

		for (size_t i = 0; i < length; i++)
			memory[i] = byte_at(from + (off_t)i);
		put = pwrite(fd, memory, length, from);
		if (put <= 0)
			die("pwrite");
		from += put;
	}
}

static _Noreturn void churn(off_t size, const char *path)
{
	int fd = opened(path, O_WRONLY);
	unsigned char *memory = buffer();
	off_t length;

	for (;;) {
		length = random_below(size);
		if (ftruncate(fd, length))
			die(path);
		write_pattern(fd, length, length + random_below(size - length), memory);
	}
}

static int torn(long count, const char *path)
{
	int fd = opened(path, O_RDONLY | O_DIRECT);
	unsigned char *memory = buffer();

	while (count--) {
		off_t at = random_below((off_t)MOST) & ~(off_t)(PAGE - 1);
		size_t n = read_all(fd, memory, MOST, at);

		for (size_t i = 0; i < n; i++)
			if (memory[i] && memory[i] != byte_at(at + (off_t)i))
				wrong("bytes of something else", at + (off_t)i, n);
	}
	return 0;
}

static int usage(void)
{
	fputs("usage: reader agree|pattern|churn|torn ...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";

	if (!strcmp(what, "agree") && argc == 8) {
		srandom((unsigned)atol(argv[4]));
		return agree(argv[2], atol(argv[3]), atoll(argv[5]), argv[6], argv[7]);
	}
	if (!strcmp(what, "pattern") && argc == 4) {
		write_pattern(opened(argv[3], O_WRONLY | O_CREAT), 0, atoll(argv[2]), buffer());
		return 0;
	}
	if (!strcmp(what, "churn") && argc == 5) {
		srandom((unsigned)atol(argv[3]));
		churn(atoll(argv[2]), argv[4]);
	}
	if (!strcmp(what, "torn") && argc == 5) {
		srandom((unsigned)atol(argv[3]));
		return torn(atol(argv[2]), argv[4]);
	}
	return usage();
}
