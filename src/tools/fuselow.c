/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuselow.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static atomic_bool aloud;
static char words[512];

void fuselow_negotiate(void *data, struct fuse_conn_info *conn)
{
	const struct fuselow *low = data;
	const uint64_t one = 1;

	/* Requests are looked at, so they have to be in memory. */
	conn->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
	/* What is cached goes where the size or the time of change is another. */
	conn->want |= conn->capable & (FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_READ |
				       FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS);
	/* Nothing is ever written, but libfuse derives the pages of any request from this. */
	conn->max_write = (unsigned)low->read_max;
	if (write(low->ready, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes 2^64 - 2 of them */
}

/* "fuse: it failed\n" becomes "it failed". */
static void on_words(enum fuse_log_level level, const char *format, va_list args)
{
	char text[sizeof(words)];
	const char *from = text;

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	if (!strncmp(from, "fuse: ", 6))
		from += 6;
	if (atomic_load(&aloud))
		cli_say("%s", from);
	else if (level <= FUSE_LOG_ERR)
		memcpy(words, from, strlen(from) + 1);
}

void fuselow_listen(bool loud)
{
	atomic_store(&aloud, loud);
	fuse_set_log_func(on_words);
}

const char *fuselow_words(void)
{
	return words;
}
