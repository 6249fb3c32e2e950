/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flow.h - what xp_transfer() and xp_fanout() share: waiting, reporting, delivering. */
#ifndef EXTPIPE_LIB_FLOW_H
#define EXTPIPE_LIB_FLOW_H

#include "extpipe.h"
#include "stage.h"

/* What one read(2) takes when bytes are copied. */
#define FLOW_BUFFER ((size_t)256 * 1024)

/* A job that runs: the caller's callbacks, and the account of what happened. */
struct flow {
	int (*progress)(const struct xp_report *report, void *arg);
	void (*decided)(const struct xp_decision *decision, void *arg);
	void *arg;
	unsigned flags; /* XP_* */
	struct xp_report *report;
	char *buffer; /* FLOW_BUFFER bytes once flow_buffer() was called */
};

/* Where bytes go. */
struct sink {
	int fd;
	loff_t *offset;
	unsigned number; /* which output, for decisions */
	bool copying;    /* it refused splices: read from the stage, and write */
	uint64_t *bytes; /* delivered so far; the caller keeps it */
};

/* Fills in the buffer on first use. 0 or -ENOMEM. */
int flow_buffer(struct flow *flow);

/* Tells the caller where things stand. 0, or -ECANCELED where it wants to stop. */
int flow_tick(struct flow *flow);

/* Waits until @fd is ready; a signal ticks. 0 or -errno; -EAGAIN where waiting is not allowed. */
int flow_wait(struct flow *flow, int fd, short events);

/*
 * What to do about a call on @fd that failed with @error: 0 when it is to be made again
 * (after waiting, if it would have blocked), else the error.
 */
int flow_retry(struct flow *flow, int error, int fd, short events);

/* Tells of a decision. 0, or -EOPNOTSUPP where it is a fallback that is not allowed. */
int flow_decide(struct flow *flow, const struct xp_decision *decision);

/* read(2) of at most @len bytes into the buffer: bytes, 0 at the end, or -errno. */
ssize_t flow_read(struct flow *flow, int fd, loff_t *offset, size_t len);

/* Delivers @len bytes of memory. What was delivered before a failure is counted. */
int flow_write(struct flow *flow, struct sink *sink, const char *from, size_t len);

/* The SPLICE_F flags that the job asks for and that concern neither side's waiting. */
unsigned flow_splice_flags(const struct flow *flow);

/* Delivers all that the stage holds, by splice(2), or copying where the sink refuses it. */
int flow_drain(struct flow *flow, struct stage *stage, struct sink *sink);

/* 0 if @fd is open in the direction that @access (O_RDONLY, O_WRONLY) needs, else -EBADF. */
int flow_check(int fd, int access);

#endif
