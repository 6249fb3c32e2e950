/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message.c - a header, and a payload that was gathered before its length was known.
 *
 * A pipe is first in, first out, and the header has to come first. Either it has a pipe of its own,
 * behind which the payload is spliced once it is complete; or its page lies in the pipe from the
 * beginning, and is written to later, which shows as long as vmsplice(2) shares pages.
 */
#include "message.h"

#include <stdlib.h>

#include "ret.h"
#include "sys.h"

/* What FUSE asks for at once unless more was negotiated, bytes. */
#define PAYLOAD ((size_t)128 * 1024)

/*
 * Where splicing begins to pay on /dev/fuse, bytes. A server's processor was busy for 4.8 us with
 * 4 KiB that it copied and 6.0 us where it spliced them; from 32 KiB on splicing was as good, or
 * better.
 */
#define SMALL ((size_t)32 * 1024)

static int take_way(struct xp_message *m, enum xp_via via, enum xp_via from, int error,
		    const char *why)
{
	m->way = m->via = via;
	return flow_decide(
		&m->flow,
		&(struct xp_decision){ .via = via, .from = from, .error = error, .why = why });
}

static const char *const reasons[] = {
	[MESSAGE_NO_PIPE] = "no pipe can be made",
	[MESSAGE_NO_SLOTS] = "it takes more slots than a pipe may have",
	[MESSAGE_INPUT] = "the input refuses splice",
	[MESSAGE_DEVICE] = "the device refuses splice",
};
_Static_assert(sizeof(reasons) / sizeof(reasons[0]) == MESSAGE_REASONS, "a reason without words");

/* Tells of a reason to copy, the first time. 0, or -EOPNOTSUPP where that is not allowed. */
static int tell(struct xp_message *m, enum message_reason reason, int error)
{
	if (m->told & 1u << reason)
		return m->flow.flags & XP_NO_FALLBACK ? -EOPNOTSUPP : 0;
	m->told |= 1u << reason;
	return flow_decide(&m->flow, &(struct xp_decision){ .via = XP_VIA_COPY,
							    .from = m->via,
							    .error = -error,
							    .why = reasons[reason] });
}

int message_room(struct xp_message *m, size_t len)
{
	size_t want = m->payload + len, room = m->room ? m->room : m->ready * m->page;
	char *bytes;

	if (want <= m->room)
		return 0;
	if (want < len || want > SIZE_MAX / 4)
		return -ENOMEM;
	while (room < want)
		room *= 2;
	bytes = m->bytes ? mremap(m->bytes, m->room, room, MREMAP_MAYMOVE) :
			   mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);
	if (bytes == MAP_FAILED)
		return -ENOMEM;
	m->bytes = bytes;
	m->room = room;
	return 0;
}

int message_grow(struct xp_message *m, size_t slots)
{
	int error = 0;

	if (slots > STAGE_MAX / m->page - 1)
		return -EPERM;
	if (m->via == XP_VIA_SPLICE)
		error = stage_grow(&m->side, slots * m->page);
	return error ? error : stage_grow(&m->line, (slots + 1) * m->page);
}

/* Drops what was gathered; pipes that hold some of it are no good any more. */
static void drop(struct xp_message *m)
{
	if (m->line.held)
		stage_close(&m->line);
	if (m->side.held)
		stage_close(&m->side);
	/* Nothing says when the last reference goes to a page that was passed on. */
	if (m->head_lent) {
		munmap(m->head, m->page);
		m->head = NULL;
		m->head_lent = false;
	}
	m->begun = m->started = false;
	m->header = m->payload = m->slots = m->tail = 0;
}

/* Reads @len bytes that are there. A packet comes alone, so there may be several reads. */
static int read_out(struct stage *stage, char *to, size_t len)
{
	while (len) {
		ssize_t n = stage_read(stage, to, len);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

int message_copy(struct xp_message *m, enum message_reason reason, int error)
{
	size_t behind;

	error = tell(m, reason, error);
	/* The payload is reckoned with already, and the header passes through. */
	if (!error)
		error = message_room(m, m->header);
	if (error)
		return error;
	if (m->line.held)
		error = read_out(&m->line, m->bytes, m->header);
	behind = m->line.held;
	if (!error)
		error = read_out(&m->line, m->bytes, behind);
	if (!error)
		error = read_out(&m->side, m->bytes + behind, m->side.held);
	m->via = XP_VIA_COPY;
	/* Half of it is nowhere, and must not be sent. */
	if (error)
		drop(m);
	return error;
}

/* Makes the pipes that the way needs and that are not there. */
static int open_pipes(struct xp_message *m)
{
	int error = 0;

	if (m->via == XP_VIA_COPY)
		return 0;
	if (m->line.rd < 0)
		error = stage_open(&m->line, (m->ready + 1) * m->page);
	if (!error && m->via == XP_VIA_SPLICE && m->side.rd < 0)
		error = stage_open(&m->side, m->ready * m->page);
	return error;
}

/*
 * The header's page is shared memory: private memory that a pipe refers to would be replaced for
 * its owner by the next write after a fork(2), and the pipe would keep the old page.
 */
static int make_head(struct xp_message *m)
{
	if (m->head)
		return 0;
	m->head = mmap(NULL, m->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m->head != MAP_FAILED)
		return 0;
	m->head = NULL;
	return -ENOMEM;
}

/* The header's page into the pipe, before the payload. The pipe is empty: there is room. */
static int lay_head(struct xp_message *m)
{
	struct iovec iov = { m->head, m->header };
	ssize_t n;

	if (!m->header)
		return 0;
	n = sys_vmsplice(m->line.wr, &iov, 1, SPLICE_F_NONBLOCK);
	if (n > 0)
		m->line.held += (size_t)n;
	if (n == (ssize_t)m->header)
		return 0;
	return n < 0 ? (int)n : -EIO;
}

/* What the way needs before the first piece. */
static int prepare(struct xp_message *m)
{
	int error = open_pipes(m);

	if (!error && m->via == XP_VIA_VMSPLICE) {
		error = lay_head(m);
		if (sys_refused(error)) {
			error = take_way(m, XP_VIA_SPLICE, XP_VIA_VMSPLICE, -error,
					 "vmsplice is refused");
			if (error)
				return error;
			error = open_pipes(m);
		}
	}
	return error ? message_copy(m, MESSAGE_NO_PIPE, error) : 0;
}

int message_start(struct xp_message *m, size_t len)
{
	int error = 0;

	if (m->started)
		return 0;
	if (len < m->small)
		m->via = XP_VIA_COPY;
	else
		error = prepare(m);
	m->started = !error;
	return error;
}

void *xp_message_begin(struct xp_message *m, size_t header)
{
	int error = header > XP_MESSAGE_HEADER ? -EINVAL : 0;

	drop(m);
	if (!error)
		error = make_head(m);
	if (error) {
		ret(error);
		return NULL;
	}
	memset(m->head, 0, header);
	m->via = m->way;
	m->header = header;
	m->begun = true;
	return m->head;
}

size_t xp_message_length(const struct xp_message *m)
{
	return m->begun ? m->header + m->payload : 0;
}

enum xp_via xp_message_via(const struct xp_message *m)
{
	return m->via;
}

/* XP_VIA_SPLICE: the header first, and the payload behind it. */
static int assemble(struct xp_message *m)
{
	ssize_t n = m->header ? stage_write(&m->line, m->head, m->header) : 0;
	int error;

	if (n != (ssize_t)m->header)
		return n < 0 ? (int)n : -EIO;
	while (m->side.held) {
		n = stage_fill(&m->line, m->side.rd, NULL, m->side.held, SPLICE_F_NONBLOCK);
		if (n > 0) {
			m->side.held -= (size_t)n;
			continue;
		}
		/* It is full: as many slots as the other one has, and the header's, hold all. */
		error = n == -EAGAIN ? stage_grow(&m->line, m->side.size + m->page) : (int)n;
		if (error && (n == -EAGAIN || sys_refused(error)))
			return message_copy(m, MESSAGE_NO_SLOTS, error);
		if (!n || (error && error != -EINTR))
			return n ? error : -EIO;
	}
	return 0;
}

static ssize_t send_copy(struct xp_message *m, int device)
{
	struct iovec iov[2] = { { m->head, m->header }, { m->bytes, m->payload } };

	return sys_writev(device, m->header ? iov : iov + 1, 1 + (m->header && m->payload));
}

static bool is_character_device(int fd)
{
	struct stat st;

	return !sys_fstat(fd, &st) && S_ISCHR(st.st_mode);
}

/* Did the device refuse the splice as such? One that takes messages throws away what is wrong. */
static bool took_nothing(const struct xp_message *m, ssize_t n)
{
	int queued = 0;

	return sys_refused(n) && !sys_ioctl(m->line.rd, FIONREAD, &queued) &&
	       (size_t)queued == m->line.held;
}

static ssize_t send_spliced(struct xp_message *m, int device)
{
	ssize_t n = stage_drain(&m->line, device, NULL, flow_splice_flags(&m->flow));
	int error;

	if (!took_nothing(m, n)) {
		m->head_lent = m->via == XP_VIA_VMSPLICE && m->header &&
			       !is_character_device(device);
		return n;
	}
	error = message_copy(m, MESSAGE_DEVICE, (int)n);
	if (error)
		return error;
	n = send_copy(m, device);
	if (n > 0)
		m->way = XP_VIA_COPY;
	return n;
}

ssize_t xp_message_send(struct xp_message *m, int device)
{
	ssize_t n = m->begun ? message_start(m, 0) : -EINVAL;

	if (!n && m->via == XP_VIA_SPLICE)
		n = assemble(m);
	if (!n && m->header + m->payload)
		n = m->via == XP_VIA_COPY ? send_copy(m, device) : send_spliced(m, device);
	drop(m);
	return ret(n);
}

/* What a feature is here; where no pipe can be made to find out, it is none. 0 or -errno. */
static int look_up(enum xp_feature_id id, struct xp_feature *answer)
{
	if (!xp_feature(id, answer))
		return 0;
	*answer = (struct xp_feature){ .support = XP_ABSENT,
				       .error = errno,
				       .why = reasons[MESSAGE_NO_PIPE] };
	return sys_refused(-errno) ? 0 : -errno;
}

/* vmsplice(2) serves only where the pipe is proved to share the page of the header. */
static int choose_vmsplice(struct xp_message *m)
{
	struct xp_feature shares;
	int error = look_up(XP_FEATURE_VMSPLICE_SHARES, &shares);

	if (error)
		return error;
	if (shares.support == XP_NATIVE)
		return take_way(m, XP_VIA_VMSPLICE, XP_VIA_AUTO, 0, "it was asked for");
	return take_way(m, XP_VIA_SPLICE, XP_VIA_VMSPLICE, shares.error, shares.why);
}

/*
 * Between the two ways to splice nothing is to choose on /dev/fuse (23 us of a server's processor
 * for 128 KiB either way, and 27 us for copying), so the one is taken that relies on no sharing.
 */
static int choose(struct xp_message *m, enum xp_via asked)
{
	struct xp_feature splice;
	int error;

	if (asked == XP_VIA_COPY)
		return take_way(m, XP_VIA_COPY, XP_VIA_AUTO, 0, "it was asked for");
	error = look_up(XP_FEATURE_SPLICE, &splice);
	if (error)
		return error;
	if (splice.support != XP_NATIVE)
		return take_way(m, XP_VIA_COPY, asked == XP_VIA_AUTO ? XP_VIA_SPLICE : asked,
				splice.error, splice.why);
	if (asked == XP_VIA_VMSPLICE)
		return choose_vmsplice(m);
	if (asked == XP_VIA_SPLICE)
		return take_way(m, XP_VIA_SPLICE, XP_VIA_AUTO, 0, "it was asked for");
	m->small = SMALL;
	return take_way(m, XP_VIA_SPLICE, XP_VIA_AUTO, 0,
			"through private pipes; less than 32 KiB is copied, which is quicker");
}

/* 0 or -errno; a way that is refused gives way to copying. */
static int start(struct xp_message *m, const struct xp_message_options *options)
{
	size_t capacity = options->capacity < STAGE_MAX ? options->capacity : STAGE_MAX;
	int error;

	if (options->flags & ~(XP_MOVE | XP_NO_FALLBACK) ||
	    (options->via != XP_VIA_AUTO && options->via != XP_VIA_SPLICE &&
	     options->via != XP_VIA_VMSPLICE && options->via != XP_VIA_COPY))
		return -EINVAL;
	m->page = (size_t)sysconf(_SC_PAGESIZE);
	/* Rounded down: the odd bytes are the header's. */
	m->ready = (capacity ? capacity : PAYLOAD) / m->page;
	m->ready += !m->ready;
	m->flow = (struct flow){ .decided = options->decided,
				 .arg = options->arg,
				 .flags = options->flags };
	error = choose(m, options->via);
	if (!error)
		error = open_pipes(m);
	if (sys_refused(error) && error != -EOPNOTSUPP)
		error = take_way(m, XP_VIA_COPY, m->way, -error, reasons[MESSAGE_NO_PIPE]);
	return error ? error : make_head(m);
}

struct xp_message *xp_message_open(const struct xp_message_options *options)
{
	static const struct xp_message_options defaults = { .via = XP_VIA_AUTO };
	struct xp_message *m = calloc(1, sizeof(*m));
	int error;

	if (!m) {
		ret(-ENOMEM);
		return NULL;
	}
	m->line = m->side = (struct stage)STAGE_CLOSED;
	error = start(m, options ? options : &defaults);
	if (!error)
		return m;
	xp_message_close(m);
	ret(error);
	return NULL;
}

void xp_message_close(struct xp_message *m)
{
	if (!m)
		return;
	stage_close(&m->line);
	stage_close(&m->side);
	if (m->head)
		munmap(m->head, m->page);
	if (m->bytes)
		munmap(m->bytes, m->room);
	free(m);
}
