// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pipes that have no limit behave as they did before the series, byte for byte.
 *
 * Operations are chosen at random, the same ones each time, and none of them can block. Whatever
 * they give goes into a digest for each kind, and the digests are those of the base. What they give
 * is also compared with a model of pipes, which tells where a difference begins.
 *
 * Kept out is what the series changes on purpose: writes from memory that can't be read, which left
 * an empty buffer behind (0001); notification pipes (0002 to 0005); ioctls of 32-bit programs
 * (0006); and the ioctls that the series adds.
 */
#include "packet.h"

#define OPERATIONS 100000
#define PIPES 4
#define MOST_SLOTS 64
#define LARGEST (20 * PAGE)
#define PIECES 4

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* ------------------------------------------------------------------ the model */

/* One buffer: its page, and what of it is still to be read. */
struct slot {
	unsigned char page[PAGE];
	size_t at, len;
	bool packet, merges;
};

struct pipe {
	int ends[2]; /* -1: closed */
	bool packets;
	unsigned int first, count, size; /* slots: the next one, how many, how many at most */
	struct slot slots[MOST_SLOTS];
};

static struct slot *slot_at(struct pipe *pipe, unsigned int n)
{
	return &pipe->slots[(pipe->first + n) % MOST_SLOTS];
}

static struct slot *add_slot(struct pipe *pipe)
{
	return slot_at(pipe, pipe->count++);
}

static void drop_slot(struct pipe *pipe)
{
	pipe->first++;
	pipe->count--;
}

static bool is_full(const struct pipe *pipe)
{
	return pipe->count == pipe->size;
}

static void add_bytes(struct pipe *pipe, const unsigned char *bytes, size_t len, bool merges)
{
	struct slot *slot = add_slot(pipe);

	memcpy(slot->page, bytes, len);
	slot->at = 0;
	slot->len = len;
	slot->packet = false;
	slot->merges = merges;
}

/*
 * The bytes of a write that make no whole page merge into the last slot if it has room for them,
 * even those of a packet.
 */
static size_t merge(struct pipe *pipe, const unsigned char *bytes, size_t len)
{
	struct slot *last = slot_at(pipe, pipe->count - 1);
	size_t end = last->at + last->len;

	if (!pipe->count || !last->merges || end + len > PAGE)
		return 0;
	memcpy(last->page + end, bytes, len);
	last->len += len;
	return len;
}

static long model_write(struct pipe *pipe, const unsigned char *bytes, size_t len)
{
	size_t done;

	if (pipe->ends[1] < 0)
		return -EBADF;
	if (!len)
		return 0;
	if (pipe->ends[0] < 0)
		return -EPIPE;
	for (done = merge(pipe, bytes, len % PAGE); done < len && !is_full(pipe);) {
		size_t chunk = MIN(len - done, PAGE);

		add_bytes(pipe, bytes + done, chunk, !pipe->packets);
		slot_at(pipe, pipe->count - 1)->packet = pipe->packets;
		done += chunk;
	}
	return done ? (long)done : -EAGAIN;
}

/* vmsplice from memory: each page that is begun takes a slot. */
static long model_lend(struct pipe *pipe, const struct iovec *pieces, int count)
{
	size_t done = 0, at, chunk;

	if (pipe->ends[1] < 0)
		return -EBADF;
	for (; count--; pieces++) {
		for (at = 0; at < pieces->iov_len; at += chunk, done += chunk) {
			const unsigned char *bytes = (unsigned char *)pieces->iov_base + at;

			if (pipe->ends[0] < 0)
				return -EPIPE;
			if (is_full(pipe))
				return done ? (long)done : -EAGAIN;
			chunk = MIN(pieces->iov_len - at, PAGE - (uintptr_t)bytes % PAGE);
			add_bytes(pipe, bytes, chunk, false);
		}
	}
	return (long)done;
}

/* A read into @room bytes of which @good are memory. vmsplice to memory knows no packets. */
static long model_read(struct pipe *pipe, unsigned char *bytes, size_t room, size_t good,
		       bool packets)
{
	size_t done = 0;

	if (pipe->ends[0] < 0)
		return -EBADF;
	while (pipe->count && done < room) {
		struct slot *slot = slot_at(pipe, 0);
		size_t chunk = MIN(slot->len, room - done);
		bool last = packets && slot->packet;

		if (chunk > good - done)
			return done ? (long)done : -EFAULT;
		memcpy(bytes + done, slot->page + slot->at, chunk);
		done += chunk;
		slot->at += chunk;
		slot->len -= chunk;
		if (last || !slot->len)
			drop_slot(pipe);
		if (last)
			break;
	}
	return done || !room || pipe->ends[1] < 0 ? (long)done : -EAGAIN;
}

/* splice, or tee, which leaves what it takes. Only a buffer that is moved merges on. */
static long model_move(struct pipe *from, struct pipe *to, size_t len, bool leave)
{
	unsigned int next = 0;
	size_t done = 0;

	if (!len)
		return 0;
	if (from->ends[0] < 0 || to->ends[1] < 0)
		return -EBADF;
	if (from == to)
		return -EINVAL;
	if (!from->count && from->ends[1] >= 0)
		return -EAGAIN;
	if (to->ends[0] < 0)
		return -EPIPE;
	if (is_full(to))
		return -EAGAIN;
	while (done < len && next < from->count && !is_full(to)) {
		struct slot *slot = slot_at(from, next), *copy = add_slot(to);

		*copy = *slot;
		copy->len = MIN(slot->len, len - done);
		done += copy->len;
		if (leave) {
			next++;
			copy->merges = false;
		} else if (copy->len == slot->len) {
			drop_slot(from);
		} else {
			copy->merges = false;
			slot->at += copy->len;
			slot->len -= copy->len;
		}
	}
	return (long)done;
}

static long model_queued(struct pipe *pipe)
{
	size_t sum = 0;

	for (unsigned int i = 0; i < pipe->count; i++)
		sum += slot_at(pipe, i)->len;
	return (long)sum;
}

/* ------------------------------------------------------------------ what is compared */

static struct pipe pipes[PIPES];
static unsigned int state = 20241117;
static uint64_t *digest;

/* What is written comes from here. vmsplice lends it to pipes, so that it never changes. */
static _Alignas(PAGE) unsigned char pool[4 * LARGEST];
static unsigned char written[PIECES * LARGEST], got[PIECES * LARGEST], expected[PIECES * LARGEST];

static unsigned int some(unsigned int most)
{
	return random_number(&state) % most;
}

static size_t some_length(void)
{
	switch (some(8)) {
	case 0:
		return some(3);
	case 1:
	case 2:
		return some(100);
	case 3:
	case 4:
		return some(PAGE);
	case 5:
		return (1 + some(4)) * PAGE + some(5) - 2;
	case 6:
		return some(4 * PAGE);
	}
	return some(LARGEST);
}

/* Pieces of the pool, and the same in a row. Returns their length. */
static size_t gather(struct iovec *pieces, int count)
{
	size_t len = 0;

	for (; count--; pieces++) {
		pieces->iov_len = some_length();
		pieces->iov_base = pool + some(sizeof(pool) - LARGEST);
		memcpy(written + len, pieces->iov_base, pieces->iov_len);
		len += pieces->iov_len;
	}
	return len;
}

/* A result that is below 0 is an error's number. */
static long result_of(long result)
{
	return result < 0 ? -errno : result;
}

static bool same(long result, long wanted)
{
	*digest = digest_of(*digest, &result, sizeof(result));
	if (result != wanted)
		printf("# %ld, but by the model %ld\n", result, wanted);
	return result == wanted;
}

static bool same_bytes(const unsigned char *bytes, long len, long wanted)
{
	if (!same(len, wanted))
		return false;
	if (len <= 0)
		return true;
	*digest = digest_of(*digest, bytes, (size_t)len);
	return !memcmp(bytes, expected, (size_t)len);
}

/* ------------------------------------------------------------------ the operations */

static bool do_write(struct pipe *pipe)
{
	struct iovec piece;
	size_t len = gather(&piece, 1);

	return same(result_of(write(pipe->ends[1], piece.iov_base, len)),
		    model_write(pipe, written, len));
}

static bool do_writev(struct pipe *pipe)
{
	int count = 1 + (int)some(PIECES);
	struct iovec pieces[PIECES];
	size_t len = gather(pieces, count);

	return same(result_of(writev(pipe->ends[1], pieces, count)),
		    model_write(pipe, written, len));
}

static bool do_lend(struct pipe *pipe)
{
	int count = 1 + (int)some(PIECES);
	struct iovec pieces[PIECES];

	gather(pieces, count);
	return same(result_of(vmsplice(pipe->ends[1], pieces, count, SPLICE_F_NONBLOCK)),
		    model_lend(pipe, pieces, count));
}

static bool do_read(struct pipe *pipe)
{
	size_t room = some_length();
	long n = result_of(read(pipe->ends[0], got, room));

	return same_bytes(got, n, model_read(pipe, expected, room, room, true));
}

/* Into pieces that lie in a row. */
static size_t scatter(struct iovec *pieces, int count)
{
	size_t len = 0;

	for (; count--; pieces++) {
		pieces->iov_base = got + len;
		pieces->iov_len = some_length();
		len += pieces->iov_len;
	}
	return len;
}

static bool do_readv(struct pipe *pipe)
{
	int count = 1 + (int)some(PIECES);
	struct iovec pieces[PIECES];
	size_t room = scatter(pieces, count);
	long n = result_of(readv(pipe->ends[0], pieces, count));

	return same_bytes(got, n, model_read(pipe, expected, room, room, true));
}

static bool do_take(struct pipe *pipe)
{
	int count = 1 + (int)some(PIECES);
	struct iovec pieces[PIECES];
	size_t room = scatter(pieces, count);
	long n = result_of(vmsplice(pipe->ends[0], pieces, count, SPLICE_F_NONBLOCK));

	return same_bytes(got, n, model_read(pipe, expected, room, room, false));
}

/* Into memory that ends too early. */
static bool do_bad_read(struct pipe *pipe)
{
	static unsigned char *memory;
	size_t good = some(2 * PAGE + 1), room = good + 1 + some(PAGE);
	unsigned char *bytes;
	long n;

	if (!memory)
		memory = fenced(2);
	bytes = memory + 2 * PAGE - good;
	n = result_of(read(pipe->ends[0], bytes, room));
	return same_bytes(bytes, n, model_read(pipe, expected, room, good, true));
}

static bool do_splice(struct pipe *from)
{
	struct pipe *to = &pipes[some(PIPES)];
	size_t len = some_length();

	return same(result_of(splice(from->ends[0], NULL, to->ends[1], NULL, len, 0)),
		    model_move(from, to, len, false));
}

static bool do_tee(struct pipe *from)
{
	struct pipe *to = &pipes[some(PIPES)];
	size_t len = some_length();

	return same(result_of(tee(from->ends[0], to->ends[1], len, 0)),
		    model_move(from, to, len, true));
}

static bool do_queued(struct pipe *pipe)
{
	int end = pipe->ends[some(2)], bytes = 0;
	long result = result_of(ioctl(end, FIONREAD, &bytes));

	return same(result, end < 0 ? -EBADF : 0) && same(bytes, end < 0 ? 0 : model_queued(pipe));
}

static bool do_poll(struct pipe *pipe)
{
	short all = POLLIN | POLLRDNORM | POLLPRI | POLLRDHUP | POLLOUT | POLLWRNORM;
	struct pollfd ends[2] = { { pipe->ends[0], all, 0 }, { pipe->ends[1], all, 0 } };
	bool reader = pipe->ends[0] >= 0, writer = pipe->ends[1] >= 0;
	short in = 0, out = 0;

	if (reader)
		in = (pipe->count ? POLLIN | POLLRDNORM : 0) | (writer ? 0 : POLLHUP);
	if (writer)
		out = (is_full(pipe) ? 0 : POLLOUT | POLLWRNORM) | (reader ? 0 : POLLERR);
	return same(result_of(poll(ends, 2, 0)), !!in + !!out) && same(ends[0].revents, in) &&
	       same(ends[1].revents, out);
}

static bool do_mode(struct pipe *pipe)
{
	bool closed = pipe->ends[1] < 0, packets = some(2);
	int flags = O_NONBLOCK | (packets ? O_DIRECT : 0);
	long result = result_of(fcntl(pipe->ends[1], F_SETFL, flags));

	pipe->packets = packets;
	return same(result, closed ? -EBADF : 0) &&
	       same(result_of(fcntl(pipe->ends[1], F_GETFL)), closed ? -EBADF : O_WRONLY | flags);
}

/* A size is rounded up to a power of two. */
static bool do_size(struct pipe *pipe)
{
	unsigned int bytes = some(2) ? some(8 * PAGE) : some(MOST_SLOTS * PAGE + 1), slots = 1;
	int end = pipe->ends[some(2)];
	long result = result_of(fcntl(end, F_SETPIPE_SZ, bytes));

	while (slots * PAGE < bytes)
		slots *= 2;
	if (end < 0)
		return same(result, -EBADF);
	if (slots < pipe->count)
		return same(result, -EBUSY);
	pipe->size = slots;
	return same(result, slots * PAGE) && same(fcntl(end, F_GETPIPE_SZ), result);
}

static bool do_close(struct pipe *pipe)
{
	int *end = &pipe->ends[some(2)];
	long result = result_of(close(*end)), wanted = *end < 0 ? -EBADF : 0;

	*end = -1;
	return same(result, wanted);
}

static bool do_renew(struct pipe *pipe)
{
	close_both(pipe->ends);
	pipe->packets = some(2);
	pipe->first = pipe->count = 0;
	pipe->size = SLOTS;
	must(!pipe2(pipe->ends, O_CLOEXEC | O_NONBLOCK | (pipe->packets ? O_DIRECT : 0)));
	return same(fcntl(pipe->ends[0], F_GETPIPE_SZ), CAPACITY);
}

/* How often of a hundred, and the digest that the base has. */
static const struct kind {
	const char *name;
	bool (*run)(struct pipe *pipe);
	unsigned int often;
	uint64_t digest;
} kinds[] = {
	{ "write", do_write, 18, 0x8322ced58364f7af },
	{ "writev", do_writev, 7, 0x734063b607ee3a55 },
	{ "vmsplice from memory", do_lend, 5, 0x42d15baf7cfd8ff3 },
	{ "read", do_read, 20, 0x18776a486f9d6710 },
	{ "readv", do_readv, 6, 0x2c4850a9e1b05a10 },
	{ "read into memory that ends", do_bad_read, 4, 0x88504bec22e4bf57 },
	{ "vmsplice to memory", do_take, 3, 0x37d0d3d99da5e550 },
	{ "splice", do_splice, 9, 0x5b4bad62bcab7113 },
	{ "tee", do_tee, 7, 0xdf32cb56f83b023c },
	{ "FIONREAD", do_queued, 5, 0x9617ed317ac9c837 },
	{ "poll", do_poll, 6, 0xd4c98912523d6971 },
	{ "O_DIRECT on and off", do_mode, 2, 0xa3d56c9941dd686c },
	{ "F_SETPIPE_SZ", do_size, 3, 0x0922ec240aa08f25 },
	{ "close", do_close, 1, 0xdb9cad7511bc5805 },
	{ "pipe2", do_renew, 4, 0x92dd5a716116b00c },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static size_t some_kind(void)
{
	unsigned int left = some(100);
	size_t i = 0;

	while (left >= kinds[i].often)
		left -= kinds[i++].often;
	return i;
}

int main(void)
{
	uint64_t digests[KINDS];
	size_t i;
	int n;

	alarm(PATIENCE);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(pool); i++)
		pool[i] = (unsigned char)(random_number(&state) >> 8);
	for (i = 0; i < KINDS; i++)
		digests[i] = DIGEST_START;
	digest = &digests[KINDS - 1];
	for (i = 0; i < PIPES; i++) {
		pipes[i].ends[0] = pipes[i].ends[1] = -1;
		must(do_renew(&pipes[i]));
	}
	for (n = 0; n < OPERATIONS; n++) {
		i = some_kind();
		digest = &digests[i];
		if (!kinds[i].run(&pipes[some(PIPES)]))
			break;
	}
	if (!ok(n == OPERATIONS, "%d operations on pipes do what they do by the model", OPERATIONS))
		printf("# operation %d, %s, does not\n", n, kinds[i].name);
	for (i = 0; i < KINDS; i++)
		if (!ok(digests[i] == kinds[i].digest, "%s: as ever", kinds[i].name))
			printf("# %#018llx\n", (unsigned long long)digests[i]);
	return tap_done();
}
