/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuseread.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fuselow.h"
#include "fusewire.h"

int fuseread_open(struct fuseread *reader, struct fuseway *ways, unsigned flags,
		  void (*decided)(const struct xp_decision *decision, void *arg), void *arg)
{
	/* What begins within a page ends within another one. */
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct xp_message_options options = {
		.capacity = sizeof(struct fusewire_out) + FUSELOW_READ_MAX + page,
		.flags = flags,
		.decided = decided,
		.arg = arg,
	};

	reader->ways = ways;
	for (unsigned i = 0; i < ways->count; i++) {
		options.via = ways->ways[i];
		reader->messages[i] = xp_message_open(&options);
		if (!reader->messages[i])
			return -1;
	}
	return 0;
}

void fuseread_close(struct fuseread *reader)
{
	for (unsigned i = 0; i < FUSEWAY_MAX; i++) {
		xp_message_close(reader->messages[i]);
		reader->messages[i] = NULL;
	}
}

static void count(_Atomic uint64_t *counter, uint64_t by)
{
	/* One thread writes: no need for a locked addition. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

void fuseread_refuse(struct fuseread *reader, uint64_t unique, int error)
{
	const struct fusewire_out out = {
		.length = sizeof(out),
		.error = -error,
		.unique = unique,
	};

	count(&reader->tally.requests, 1);
	count(&reader->tally.errors, 1);
	/* ENOENT: the kernel has given it up meanwhile. ENODEV: the mount has gone. */
	if (write(reader->device, &out, sizeof(out)) < 0)
		return;
}

/* Gathers the message and sends it. Returns the payload's bytes or -errno. */
static ssize_t send_one(struct fuseread *reader, struct xp_message *message, uint64_t unique,
			int fd, const loff_t *offset, size_t size)
{
	struct fusewire_out *out = xp_message_begin(message, sizeof(*out));
	loff_t at = offset ? *offset : 0;
	enum xp_via via;
	ssize_t n;

	if (!out)
		return -errno;
	n = xp_message_add_fd(message, fd, offset ? &at : NULL, size);
	if (n < 0)
		return -errno;
	out->length = (uint32_t)xp_message_length(message);
	out->unique = unique;
	via = xp_message_via(message);
	if (xp_message_send(message, reader->device) < 0)
		return -errno;
	count(&reader->tally.requests, 1);
	count(&reader->tally.replies[via], 1);
	count(&reader->tally.bytes[via], (uint64_t)n);
	return n;
}

ssize_t fuseread_answer(struct fuseread *reader, uint64_t unique, int fd, const loff_t *offset,
			size_t size)
{
	struct fuseway_trial trial;
	ssize_t n;

	fuseway_begin(reader->ways, size, &trial);
	n = send_one(reader, reader->messages[trial.way], unique, fd, offset, size);
	fuseway_end(reader->ways, &trial, n);
	if (n < 0)
		fuseread_refuse(reader, unique, (int)-n);
	return n;
}
