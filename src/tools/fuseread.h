/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuseread.h - READ requests, answered by messages straight into the device. */
#ifndef EXTPIPE_TOOLS_FUSEREAD_H
#define EXTPIPE_TOOLS_FUSEREAD_H

#include <extpipe.h>
#include <stdint.h>

#include "fuseway.h"

/* What was answered, and how. Written by one thread, read by any. */
struct fuseread_tally {
	_Atomic uint64_t requests;
	_Atomic uint64_t errors; /* answered by one */
	_Atomic uint64_t replies[XP_VIA_COUNT];
	_Atomic uint64_t bytes[XP_VIA_COUNT];
};

/* What one thread answers with. */
struct fuseread {
	int device;
	struct fuseway *ways;
	struct xp_message *messages[FUSEWAY_MAX]; /* one a way */
	struct fuseread_tally tally;
};

/* Opens the messages. @flags and @decided are theirs. Returns 0, or -1 with errno. */
int fuseread_open(struct fuseread *reader, struct fuseway *ways, unsigned flags,
		  void (*decided)(const struct xp_decision *decision, void *arg), void *arg);
void fuseread_close(struct fuseread *reader);

/*
 * Answers the request @unique by @size bytes of @fd at @offset; with NULL, from where it stands.
 * Returns the bytes that were sent, or -errno, which the request was answered by.
 */
ssize_t fuseread_answer(struct fuseread *reader, uint64_t unique, int fd, const loff_t *offset,
			size_t size);

/* Answers it by an errno. */
void fuseread_refuse(struct fuseread *reader, uint64_t unique, int error);

#endif
