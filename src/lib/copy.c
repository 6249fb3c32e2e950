/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.c - the fallback of the wrappers: one read, one delivery, no byte lost.
 *
 * What can be read without being consumed (a file at its offset, a pipe through tee(2))
 * is written first and consumed afterwards, by as much as was written. What cannot is
 * read only once the output has room for it.
 */
#include "copy.h"

#include <limits.h>
#include <stdlib.h>

#include "sys.h"

/* Below malloc's mmap threshold, so that repeated calls reuse the same pages. */
#define COPY_BUFFER ((size_t)64 * 1024)

struct copy {
	int in, out;
	loff_t *off_in, *off_out;
	bool nonblock;
	char *buffer;
	size_t len;
};

/* Waits until @fd is ready, or says -EAGAIN where waiting is not allowed. */
static int wait_ready(const struct copy *c, int fd, short events)
{
	struct pollfd poll = { .fd = fd, .events = events };
	int ready = sys_poll(&poll, 1, c->nonblock ? 0 : -1);

	return ready > 0 ? 0 : ready ? ready : -EAGAIN;
}

static bool would_block(int fd)
{
	return sys_fcntl(fd, F_GETFL, 0) & O_NONBLOCK;
}

/* Writes @len bytes, waiting where the output may be waited for: bytes written, or -errno. */
static ssize_t write_out(const struct copy *c, size_t len)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		n = sys_write(c->out, c->off_out, c->buffer + done, len - done);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n != -EAGAIN || would_block(c->out) || wait_ready(c, c->out, POLLOUT))
			break;
	}
	return done ? (ssize_t)done : n;
}

/* A file: read at a position, written, and only then is the position moved. */
static ssize_t copy_positioned(const struct copy *c, loff_t position)
{
	loff_t at = position;
	ssize_t n = sys_read(c->in, &at, c->buffer, c->len);

	if (n > 0)
		n = write_out(c, (size_t)n);
	if (n <= 0)
		return n;
	if (c->off_in)
		*c->off_in = position + n;
	else if (sys_lseek(c->in, n, SEEK_CUR) < 0)
		return -EIO;
	return n;
}

/* Takes @len bytes out of a pipe that holds them; packets come one a read. */
static int consume(const struct copy *c, size_t len)
{
	while (len) {
		ssize_t n = sys_read(c->in, NULL, c->buffer, len);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		len -= (size_t)n;
	}
	return 0;
}

/* A pipe: a duplicate is written, then as much is consumed. */
static ssize_t copy_duplicated(const struct copy *c, const int spare[2])
{
	unsigned flags = c->nonblock ? SPLICE_F_NONBLOCK : 0;
	ssize_t n = sys_tee(c->in, spare[1], c->len, flags);

	if (n > 0)
		n = sys_read(spare[0], NULL, c->buffer, c->len);
	if (n > 0)
		n = write_out(c, (size_t)n);
	if (n > 0) {
		int error = consume(c, (size_t)n);

		if (error)
			return error;
	}
	return n;
}

/*
 * A stream: what was read must be written. A pipe that polls writable takes PIPE_BUF bytes
 * at once; more is not asked for, so that only a dying output can lose any.
 */
static ssize_t copy_stream(const struct copy *c)
{
	size_t len = sys_is_pipe(c->out) && c->len > PIPE_BUF ? PIPE_BUF : c->len;
	int error = wait_ready(c, c->out, POLLOUT);
	ssize_t n;

	if (!error && c->nonblock)
		error = wait_ready(c, c->in, POLLIN);
	if (error)
		return error;
	n = sys_read(c->in, NULL, c->buffer, len);
	return n > 0 ? write_out(c, (size_t)n) : n;
}

static ssize_t copy_any(const struct copy *c)
{
	loff_t position = c->off_in ? *c->off_in : sys_lseek(c->in, 0, SEEK_CUR);
	int spare[2];
	ssize_t n;

	if (position >= 0)
		return copy_positioned(c, position);
	if (!sys_is_pipe(c->in) || sys_pipe2(spare, O_CLOEXEC))
		return copy_stream(c);
	n = copy_duplicated(c, spare);
	close(spare[0]);
	close(spare[1]);
	return sys_refused(n) ? copy_stream(c) : n;
}

ssize_t copy_once(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, bool nonblock)
{
	struct copy c = {
		.in = in,
		.out = out,
		.off_in = off_in,
		.off_out = off_out,
		.nonblock = nonblock,
		.len = len < COPY_BUFFER ? len : COPY_BUFFER,
	};
	ssize_t n;

	if ((off_in && *off_in < 0) || (off_out && *off_out < 0))
		return -EINVAL;
	/* Without waiting a pipe takes PIPE_BUF bytes whole or none. */
	if (nonblock && sys_is_pipe(out)) {
		if (c.len > PIPE_BUF)
			c.len = PIPE_BUF;
		if (wait_ready(&c, out, POLLOUT))
			return -EAGAIN;
	}
	c.buffer = malloc(COPY_BUFFER);
	if (!c.buffer)
		return -ENOMEM;
	n = copy_any(&c);
	free(c.buffer);
	return n;
}
