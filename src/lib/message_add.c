/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message_add.c - what goes into a message.
 *
 * A pipe holds slots, not bytes. How many a piece takes is reckoned before it goes in, so that the
 * pipes are large enough; but a slot may hold a single byte, and only the pipe itself knows. So
 * nothing waits for a private pipe, which nobody would empty: one that is full is enlarged, and
 * where that is not allowed the message is copied.
 */
#include "message.h"

#include <limits.h>

#include "ret.h"
#include "sys.h"

/* What is read into memory at once. */
#define PIECE ((size_t)1024 * 1024)

/* Something is different now: the step is to be made again. */
#define AGAIN (-ERESTART)

/* An offset that isn't known counts as the worst. */
static size_t slots_of_file(const struct xp_message *m, const loff_t *offset, size_t len)
{
	size_t skip = offset ? (size_t)*offset % m->page : m->page - 1;

	return len / m->page + (skip + len % m->page + m->page - 1) / m->page;
}

/* Odd bytes go behind what was written last, if they fit there (pipe_write()). */
static size_t slots_of_memory(const struct xp_message *m, size_t len)
{
	return len / m->page + (len % m->page > m->tail);
}

/* Sees to it that so many more slots are there, or that the message is copied. */
static int reserve(struct xp_message *m, size_t slots)
{
	int error = message_grow(m, m->slots + slots);

	return error ? message_copy(m, MESSAGE_NO_SLOTS, error) : 0;
}

/* The pipe says that it is full, whatever was reckoned. */
static int enlarge(struct xp_message *m)
{
	m->slots = message_pipe(m)->size / m->page;
	return reserve(m, 1);
}

/* ----------------------------------------------------------------- memory */

static int copy_memory(struct xp_message *m, const char *from, size_t len)
{
	int error = message_room(m, len);

	if (error)
		return error;
	memcpy(m->bytes + m->payload, from, len);
	m->payload += len;
	return 0;
}

static void account_memory(struct xp_message *m, size_t len)
{
	size_t odd = len % m->page;

	m->slots += slots_of_memory(m, len);
	if (odd > m->tail)
		m->tail = m->page - odd;
	else
		m->tail = len < m->page ? m->tail - odd : 0;
	m->payload += len;
}

static int put(struct xp_message *m, const char *from, size_t len)
{
	int error = m->via == XP_VIA_COPY ? 0 : reserve(m, slots_of_memory(m, len));

	while (!error && len) {
		ssize_t n;

		if (m->via == XP_VIA_COPY)
			return copy_memory(m, from, len);
		n = stage_write(message_pipe(m), from, len);
		if (n < 0 && n != -EAGAIN && n != -EINTR)
			return (int)n;
		if (n > 0) {
			account_memory(m, (size_t)n);
			from += n;
			len -= (size_t)n;
		}
		if (len && n != -EINTR)
			error = enlarge(m);
	}
	return error;
}

int xp_message_add(struct xp_message *m, const void *from, size_t len)
{
	int error = m->begun ? message_start(m, SIZE_MAX) : -EINVAL;

	return (int)ret(error ? error : put(m, from, len));
}

/* ------------------------------------------------------------ descriptors */

struct input {
	int fd;
	loff_t *offset;
};

/* Has it positions? Then its end is what read(2) says; a terminal would want a second one. */
static bool is_file(const struct input *in)
{
	return in->offset || sys_lseek(in->fd, 0, SEEK_CUR) >= 0;
}

/* read(2) of a piece into memory. */
static ssize_t step_copy(struct xp_message *m, const struct input *in, size_t len)
{
	size_t want = len < PIECE ? len : PIECE;
	int error = message_room(m, want);
	ssize_t n;

	if (error)
		return error;
	n = sys_read(in->fd, in->offset, m->bytes + m->payload, want);
	if (n > 0)
		m->payload += (size_t)n;
	return n;
}

/*
 * A splice stopped short of what was asked for: the end of a file is what read(2) says. It refuses
 * where it has to be aligned (O_DIRECT); then what splice(2) said holds.
 */
static ssize_t ask(struct xp_message *m, const struct input *in, size_t len, ssize_t spliced)
{
	_Alignas(512) char bytes[PIPE_BUF];
	ssize_t n = sys_read(in->fd, in->offset, bytes, len < sizeof(bytes) ? len : sizeof(bytes));
	int error;

	if (n == -EINVAL)
		return spliced ? AGAIN : 0;
	if (n <= 0)
		return n;
	error = put(m, bytes, (size_t)n);
	return error ? error : n;
}

/* splice(2) into the pipe: bytes, 0 if there were none, or -errno. */
static ssize_t fill(struct xp_message *m, const struct input *in, size_t len)
{
	unsigned flags = flow_splice_flags(&m->flow);
	struct stage *pipe = message_pipe(m);
	ssize_t n = stage_fill(pipe, in->fd, in->offset, len, flags | SPLICE_F_NONBLOCK);
	int error;

	if (n == -EAGAIN && stage_full(pipe)) {
		error = enlarge(m);
		return error ? error : AGAIN;
	}
	/* It has room, so that only the input is waited for, unless that is non-blocking. */
	if (n == -EAGAIN)
		n = stage_fill(pipe, in->fd, in->offset, len, flags);
	if (sys_refused(n)) {
		error = message_copy(m, MESSAGE_INPUT, (int)n);
		return error ? error : AGAIN;
	}
	return n;
}

/* One step: bytes, 0 at the end, AGAIN, or -errno. All that came is accounted for. */
static ssize_t step(struct xp_message *m, const struct input *in, size_t len)
{
	loff_t from = in->offset ? *in->offset : 0;
	ssize_t n;

	if (m->via == XP_VIA_COPY)
		return step_copy(m, in, len);
	n = fill(m, in, len);
	if (n > 0) {
		m->slots += slots_of_file(m, in->offset ? &from : NULL, (size_t)n);
		m->payload += (size_t)n;
		m->tail = 0;
	}
	if (n >= 0 && (size_t)n < len && is_file(in))
		n = ask(m, in, len - (size_t)n, n);
	return n;
}

static ssize_t gather(struct xp_message *m, const struct input *in, size_t len)
{
	size_t before = m->payload, done = 0;
	int error = message_start(m, len);

	if (!error && m->via != XP_VIA_COPY)
		error = reserve(m, slots_of_file(m, in->offset, len));
	if (error)
		return error;
	while (done < len) {
		ssize_t n = step(m, in, len - done);

		done = m->payload - before;
		if (n > 0 || n == AGAIN)
			continue;
		if (!n || (done && n == -EAGAIN))
			break;
		if (!done || n != -EINTR)
			return n;
		/* A signal: fewer bytes of a file would look like its end. */
		if (!is_file(in))
			break;
	}
	return (ssize_t)done;
}

ssize_t xp_message_add_fd(struct xp_message *m, int fd, loff_t *offset, size_t len)
{
	const struct input in = { fd, offset };

	if (!m->begun || (offset && *offset < 0))
		return ret(-EINVAL);
	return ret(gather(m, &in, len < SSIZE_MAX ? len : SSIZE_MAX));
}
