/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "records.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "signals.h"

#define READ_SIZE ((size_t)65536)
#define LENGTH_DIGITS 18 /* of a netstring: what fits in 64 bits */

int reader_open(struct reader *reader)
{
	/* One record and its frame, and as much again as one read brings. */
	reader->capacity = reader->limit + LENGTH_DIGITS + 2 + READ_SIZE;
	reader->buffer = malloc(reader->capacity);
	return reader->buffer ? 0 : -ENOMEM;
}

void reader_close(struct reader *reader)
{
	free(reader->buffer);
	reader->buffer = NULL;
}

static size_t held(const struct reader *r)
{
	return r->end - r->start;
}

/* Moves what is left to the front, so that there is room behind it. */
static void make_room(struct reader *r)
{
	memmove(r->buffer, r->buffer + r->start, held(r));
	r->end -= r->start;
	r->start = 0;
}

void reader_feed(struct reader *reader, const char *bytes, size_t length)
{
	make_room(reader);
	memcpy(reader->buffer + reader->end, bytes, length);
	reader->end += length;
}

/* One read(2): 1 if it brought something, 0 at the end, or -errno. */
static int fill(struct reader *r, bool nonblock)
{
	struct pollfd ready = { .fd = r->fd, .events = POLLIN };
	ssize_t n;

	if (r->eof)
		return 0;
	make_room(r);
	for (;;) {
		if (nonblock && !poll(&ready, 1, 0))
			return -EAGAIN;
		n = read(r->fd, r->buffer + r->end, r->capacity - r->end);
		if (n >= 0)
			break;
		if (errno != EAGAIN || nonblock)
			return -errno;
		if (poll(&ready, 1, -1) < 0)
			return -errno;
	}
	r->eof = !n;
	r->end += (size_t)n;
	return n > 0;
}

/* Hands out @length bytes, and takes @frame more that end the record. */
static int hand_out(struct reader *r, size_t length, size_t frame, const char **record, size_t *len)
{
	*record = r->buffer + r->start;
	*len = length;
	r->start += length + frame;
	r->number += !r->inside;
	return 1;
}

/* A record above the limit is gone through to its end, because its length is to be told. */
static int skip_delimited(struct reader *r, char delimiter)
{
	int result = 1;

	r->number++;
	r->length = 0;
	while (result > 0) {
		char *at = memchr(r->buffer + r->start, delimiter, held(r));
		size_t length = at ? (size_t)(at - r->buffer) - r->start : held(r);

		r->length += length;
		r->start += length + (at != NULL);
		if (at)
			break;
		result = fill(r, false);
		if (result == -EINTR && !signals_stop())
			result = 1;
	}
	return result < 0 ? result : -EMSGSIZE;
}

static int next_delimited(struct reader *r, char delimiter, bool nonblock, const char **record,
			  size_t *length)
{
	size_t searched = 0;

	for (;;) {
		char *at = memchr(r->buffer + r->start + searched, delimiter, held(r) - searched);
		size_t found = at ? (size_t)(at - r->buffer) - r->start : held(r);
		int result;

		if (found > r->limit && !r->split)
			return skip_delimited(r, delimiter);
		if (found > r->limit) {
			result = hand_out(r, r->limit, 0, record, length);
			r->inside = true;
			return result;
		}
		if (at || (r->eof && found)) {
			result = hand_out(r, found, at != NULL, record, length);
			r->inside = false;
			return result;
		}
		searched = held(r);
		result = fill(r, nonblock);
		if (result < 0 || (!result && !held(r)))
			return result;
	}
}

/* The length in front of a netstring: its bytes and r->left, 0 if more is needed, or -EBADMSG. */
static int parse_length(struct reader *r)
{
	const char *text = r->buffer + r->start;
	size_t digits = 0;

	r->left = 0;
	while (digits < held(r) && digits < LENGTH_DIGITS && text[digits] >= '0' &&
	       text[digits] <= '9')
		r->left = r->left * 10 + (uint64_t)(text[digits++] - '0');
	if (digits > 1 && *text == '0')
		return -EBADMSG;
	if (digits == held(r) && digits < LENGTH_DIGITS)
		return r->eof && digits ? -EBADMSG : 0;
	return digits && text[digits] == ':' ? (int)digits + 1 : -EBADMSG;
}

/* Reads until  bytes are held: 1, or -errno; the input must not end before. */
static int hold(struct reader *r, size_t want, bool nonblock)
{
	int result = 1;

	while (held(r) < want && result > 0)
		result = fill(r, nonblock);
	return result ? result : -EBADMSG;
}

/* What follows  bytes: its end is looked at before any of it is handed out, if it fits. */
static int next_body(struct reader *r, size_t header, bool nonblock, const char **record,
		     size_t *length)
{
	bool last = r->left <= r->limit;
	size_t part = last ? (size_t)r->left : r->limit;
	int result = hold(r, header + part + last, nonblock);

	if (result > 0 && last && r->buffer[r->start + header + part] != ',')
		result = -EBADMSG;
	if (result < 0)
		return result;
	r->start += header;
	r->left -= part;
	result = hand_out(r, part, last, record, length);
	r->inside = !last;
	return result;
}

static int next_netstring(struct reader *r, bool nonblock, const char **record, size_t *length)
{
	int header = r->inside ? 0 : parse_length(r);
	int result = 1;

	while (!header && !r->inside && result > 0) {
		result = fill(r, nonblock);
		header = parse_length(r);
	}
	if (result < 0 || (!result && !held(r)))
		return result;
	if (header >= 0 && r->left > r->limit && !r->split) {
		r->length = r->left;
		result = -EMSGSIZE;
	} else {
		result = header < 0 ? header :
				      next_body(r, (size_t)header, nonblock, record, length);
	}
	/* A failure is told by the number of the record that it is in. */
	if (result == -EMSGSIZE || result == -EBADMSG)
		r->number += !r->inside;
	return result;
}

/* A piece above the limit is gone through as a long line is. */
static int skip_chunk(struct reader *r)
{
	int result = 1;

	r->number++;
	r->length = 0;
	while (result > 0 && r->length < r->chunk) {
		size_t left = r->chunk - (size_t)r->length;
		size_t n = held(r) < left ? held(r) : left;

		r->length += n;
		r->start += n;
		result = r->length < r->chunk ? fill(r, false) : 0;
		if (result == -EINTR && !signals_stop())
			result = 1;
	}
	return result < 0 ? result : -EMSGSIZE;
}

static int next_chunk(struct reader *r, bool nonblock, const char **record, size_t *length)
{
	bool too_long = r->chunk > r->limit;
	size_t want = !too_long ? r->chunk : r->split ? r->limit : r->limit + 1;
	int result = 1;

	while (held(r) < want && result > 0)
		result = fill(r, nonblock);
	if (result < 0 || !held(r))
		return result;
	if (held(r) > r->limit && too_long && !r->split)
		return skip_chunk(r);
	return hand_out(r, held(r) < want ? held(r) : want, 0, record, length);
}

int reader_next(struct reader *reader, bool nonblock, const char **record, size_t *length)
{
	switch (reader->framing) {
	case FRAMING_LINES:
		return next_delimited(reader, '\n', nonblock, record, length);
	case FRAMING_NULL:
		return next_delimited(reader, '\0', nonblock, record, length);
	case FRAMING_NETSTRING:
		return next_netstring(reader, nonblock, record, length);
	default:
		return next_chunk(reader, nonblock, record, length);
	}
}

int writer_flush(struct writer *writer)
{
	struct pollfd ready = { .fd = writer->fd, .events = POLLOUT };
	size_t done = 0;

	while (done < writer->used) {
		ssize_t n = write(writer->fd, writer->buffer + done, writer->used - done);

		if (n > 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			poll(&ready, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
	writer->used = 0;
	return 0;
}

int writer_put(struct writer *writer, const char *bytes, size_t length)
{
	while (length) {
		size_t room = sizeof(writer->buffer) - writer->used;
		size_t n = length < room ? length : room;

		memcpy(writer->buffer + writer->used, bytes, n);
		writer->used += n;
		bytes += n;
		length -= n;
		if (writer->used == sizeof(writer->buffer)) {
			int error = writer_flush(writer);

			if (error)
				return error;
		}
	}
	return 0;
}

int writer_record(struct writer *writer, enum framing framing, const char *record, size_t length)
{
	static const char *const ends[] = {
		[FRAMING_LINES] = "\n",
		[FRAMING_NULL] = "\0",
		[FRAMING_NETSTRING] = ",",
		[FRAMING_CHUNK] = NULL,
	};
	const char *end = ends[framing];
	char header[32];
	int error = 0;

	if (framing == FRAMING_NETSTRING) {
		int n = snprintf(header, sizeof(header), "%zu:", length);

		error = writer_put(writer, header, (size_t)n);
	} else if (end && memchr(record, *end, length)) {
		return -EBADMSG;
	}
	if (!error)
		error = writer_put(writer, record, length);
	if (!error && end)
		error = writer_put(writer, end, 1);
	return error;
}
