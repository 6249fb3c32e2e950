/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuselow.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct fuselow_timeouts fuselow_timeouts;

bool fuselow_uncached(int flags, off_t size)
{
	/*
	 * O_DIRECT alone would have the kernel ask for attributes before each read, as it does for
	 * what is cached. The size of a file in /proc is 0, and that of one that grows is to be:
	 * reading tells.
	 */
	return flags & O_DIRECT || !size;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool aloud;
static bool ended; /* the line in words is whole */
static char words[512];

void fuselow_negotiate(void *data, struct fuse_conn_info *conn)
{
	const struct fuselow *low = data;
	const uint64_t one = 1;

	/* What is cached goes where the size or the time of change is another. */
	conn->want |= conn->capable & (FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_READ |
				       FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
	/* Nothing is ever written, but libfuse derives the pages of any request from this. */
	conn->max_write = (unsigned)low->read_max;
	conn->max_read = low->option;
	if (write(low->ready, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes 2^64 - 2 of them */
}

/* Lines come in pieces; "fuse: it failed\n" becomes "it failed". */
__attribute__((format(printf, 2, 0))) static void on_words(enum fuse_log_level level,
							   const char *format, va_list args)
{
	size_t length = ended ? 0 : strlen(words);
	const char *from;

	(void)level;
	vsnprintf(words + length, sizeof(words) - length, format, args);
	length = strcspn(words, "\n");
	ended = words[length] || length == sizeof(words) - 1;
	words[length] = '\0';
	from = strncmp(words, "fuse: ", 6) ? words : words + 6;
	if (ended && aloud)
		cli_say("%s", from);
	memmove(words, from, strlen(from) + 1);
}

__attribute__((format(printf, 2, 0))) static void on_locked_words(enum fuse_log_level level,
								  const char *format, va_list args)
{
	pthread_mutex_lock(&lock);
	on_words(level, format, args);
	pthread_mutex_unlock(&lock);
}

void fuselow_listen(bool loud)
{
	pthread_mutex_lock(&lock);
	aloud = loud;
	pthread_mutex_unlock(&lock);
	fuse_set_log_func(on_locked_words);
}

const char *fuselow_words(void)
{
	return words;
}
