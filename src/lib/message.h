/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* message.h - a message that is being gathered, as those see it who gather and who send. */
#ifndef EXTPIPE_LIB_MESSAGE_H
#define EXTPIPE_LIB_MESSAGE_H

#include "flow.h"

struct xp_message {
	struct flow flow; /* whom to tell of decisions, and flags; it has no report */
	enum xp_via way;  /* of the handle */
	enum xp_via via;  /* of the message at hand */
	unsigned told;    /* a bit for each reason to copy that was told of */
	size_t page;      /* of memory and of pipes, bytes */
	size_t small;     /* fewer bytes are copied, because that is quicker */
	size_t ready;     /* slots of payload that the pipes begin with */

	bool begun;
	bool started;      /* pipes or memory are ready for the payload */
	size_t header;     /* bytes */
	size_t payload;    /* bytes so far */
	size_t slots;      /* that the payload takes, as far as can be reckoned */
	size_t tail;       /* bytes that the last of them has room for, if it was written */
	void *head;        /* the page where the header is written */
	bool head_lent;    /* somebody may have kept that page */
	char *bytes;       /* XP_VIA_COPY: the payload */
	size_t room;       /* for so many */
	struct stage line; /* what goes to the device: the header, and the payload behind it */
	struct stage side; /* XP_VIA_SPLICE: the payload, until its header goes first */
};

/* Why a message is copied though the handle's way is another one. */
enum message_reason {
	MESSAGE_NO_PIPE,
	MESSAGE_NO_SLOTS,
	MESSAGE_INPUT,
	MESSAGE_DEVICE,
	MESSAGE_REASONS
};

/*
 * Gets everything ready for the first piece, of so many bytes of a descriptor; SIZE_MAX for
 * others. 0 or -errno.
 */
int message_start(struct xp_message *m, size_t len);

/*
 * Copies the message from now on: what the pipes hold is read into memory. @error is what the
 * kernel said, negative. 0 or -errno.
 */
int message_copy(struct xp_message *m, enum message_reason reason, int error);

/* Makes room for @len bytes of payload more in memory. 0 or -ENOMEM. */
int message_room(struct xp_message *m, size_t len);

/* Makes room for so many slots of payload in the pipes. 0 or -errno. */
int message_grow(struct xp_message *m, size_t slots);

/* Where the payload gathers, if it isn't copied. */
static inline struct stage *message_pipe(struct xp_message *m)
{
	return m->via == XP_VIA_SPLICE ? &m->side : &m->line;
}

#endif
