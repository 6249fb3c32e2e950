/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * records.h - records in a stream of bytes: lines, NUL-ended, netstrings, pieces of one length.
 */
#ifndef EXTPIPE_TOOLS_RECORDS_H
#define EXTPIPE_TOOLS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum framing { FRAMING_LINES, FRAMING_NULL, FRAMING_NETSTRING, FRAMING_CHUNK };

struct reader {
	int fd;
	enum framing framing;
	size_t chunk; /* FRAMING_CHUNK: bytes a record */
	size_t limit; /* longest record, bytes */
	bool split;   /* hand out longer ones in pieces of the limit */
	char *buffer;
	size_t capacity, start, end; /* what is in the buffer, and not yet handed out */
	bool eof;
	bool inside;     /* a piece of the record at hand was handed out */
	uint64_t left;   /* FRAMING_NETSTRING: bytes of it to come */
	uint64_t number; /* of the record at hand, from 1 */
	uint64_t length; /* of a record that is too long, bytes */
};

/* Makes a reader that was filled in up to @split ready. 0 or -ENOMEM. */
int reader_open(struct reader *reader);

void reader_close(struct reader *reader);

/* Puts bytes that were read elsewhere before what is to be read. */
void reader_feed(struct reader *reader, const char *bytes, size_t length);

/*
 * The next record, or with @split a piece of it; it stays until the next call.
 * Returns 1, 0 at the end of the input, or -errno: -EMSGSIZE for a record above the limit, whose
 * length stands in reader->length, -EBADMSG for a malformed netstring, -EAGAIN where @nonblock and
 * no whole record is there, -EINTR after a signal, or what read(2) says.
 */
int reader_next(struct reader *reader, bool nonblock, const char **record, size_t *length);

struct writer {
	int fd;
	char buffer[65536];
	size_t used;
};

/* Adds bytes to the buffer, writing it out as it fills. 0 or -errno. */
int writer_put(struct writer *writer, const char *bytes, size_t length);

/* Writes out what is buffered, waiting for a non-blocking descriptor. 0 or -errno. */
int writer_flush(struct writer *writer);

/* Adds one record. Returns 0, -EBADMSG where it contains what ends a record, or -errno. */
int writer_record(struct writer *writer, enum framing framing, const char *record, size_t length);

#endif
