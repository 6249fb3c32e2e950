/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.c - what the emulated calls share: bytes are looked at, delivered, and only then taken.
 *
 * A file is read at a position, a pipe is duplicated by tee(2), a stream socket is peeked at; so
 * what the output does not accept stays where it was. What can only be read (a terminal, a
 * datagram, a pipe where tee is missing as well) is read once the output has room for it.
 */
#include "copy.h"

#include <limits.h>

#include "sys.h"

/* On the stack of whoever calls, which may be a small one. */
#define COPY_BUFFER ((size_t)8 * 1024)

/* The most that a device or a datagram moves in one piece. */
#define COPY_PIECE ((size_t)2 << 20)

struct copy {
	struct copy_end *in, *out;
	bool nonblock;
	bool more;    /* SPLICE_F_MORE: a hint for sockets */
	int spare[2]; /* for duplicates of the input */
	bool cut;     /* what is to be taken ends inside a packet */
	bool no_tee;  /* it was refused: a pipe can't be looked into */
};

/* How an input is looked at, and how what was delivered is taken. */
struct way {
	ssize_t (*look)(struct copy *c, char *buffer, size_t len, bool wait);
	int (*take)(struct copy *c, char *buffer, size_t len);
};

/* ------------------------------------------------------------ descriptors */

int copy_look(struct copy_end *end, int fd)
{
	struct stat st;
	int error;

	*end = (struct copy_end){ .fd = fd, .flags = sys_fcntl(fd, F_GETFL, 0) };
	if (end->flags < 0 || end->flags & O_PATH)
		return -EBADF;
	error = sys_fstat(fd, &st);
	if (error)
		return error;
	end->type = st.st_mode & S_IFMT;
	end->size = st.st_size;
	end->device = st.st_dev;
	end->inode = st.st_ino;
	if (S_ISFIFO(end->type) || S_ISSOCK(end->type))
		return 0;
	end->own = sys_lseek(fd, 0, SEEK_CUR);
	end->seekable = end->own >= 0;
	return 0;
}

bool copy_can_read(const struct copy_end *end)
{
	int access = end->flags & O_ACCMODE;

	return access == O_RDONLY || access == O_RDWR;
}

bool copy_can_write(const struct copy_end *end)
{
	int access = end->flags & O_ACCMODE;

	return access == O_WRONLY || access == O_RDWR;
}

bool copy_is_pipe(const struct copy_end *end)
{
	return S_ISFIFO(end->type);
}

bool copy_is_same(const struct copy_end *a, const struct copy_end *b)
{
	return a->device == b->device && a->inode == b->inode;
}

int copy_fetch(loff_t *to, const loff_t *from)
{
	if (!sys_readable(from))
		return -EFAULT;
	memcpy(to, from, sizeof(*to));
	return 0;
}

int copy_store(loff_t *to, loff_t value)
{
	if (!sys_writable(to))
		return -EFAULT;
	memcpy(to, &value, sizeof(value));
	return 0;
}

int copy_verify(const struct copy_end *end, size_t len)
{
	loff_t at = end->at ? *end->at : end->seekable ? end->own : 0;

	if (len > SSIZE_MAX || at < 0 || (uint64_t)at + len > INT64_MAX)
		return -EINVAL;
	return 0;
}

/* ----------------------------------------------------------------- output */

int copy_broken(void)
{
	int pipe[2];

	/* The signal is the kernel's to send: a pipe that nobody reads does it. */
	if (!sys_pipe2(pipe, O_CLOEXEC)) {
		close(pipe[0]);
		(void)sys_write(pipe[1], NULL, "", 1);
		close(pipe[1]);
	}
	return -EPIPE;
}

/* What a pipe takes at once. */
static ssize_t write_now(const struct copy_end *out, const char *from, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)from, len };
	size_t done = 0;
	ssize_t n;

	if (out->flags & O_NONBLOCK)
		return sys_write(out->fd, NULL, from, len);
	n = sys_pwritev2(out->fd, &iov, 1, RWF_NOWAIT);
	if (n != -EOPNOTSUPP && n != -ENOSYS && n != -EPERM)
		return n;
	/* Before pipes knew RWF_NOWAIT: one that polls writable takes PIPE_BUF bytes. */
	while (done < len) {
		struct pollfd poll = { .fd = out->fd, .events = POLLOUT };
		size_t piece = len - done < PIPE_BUF ? len - done : PIPE_BUF;

		n = sys_poll(&poll, 1, 0);
		n = n > 0 ? sys_write(out->fd, NULL, from + done, piece) : n ? n : -EAGAIN;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done ? (ssize_t)done : n;
}

ssize_t copy_put_pipe(const struct copy_end *out, const void *from, size_t len, bool wait)
{
	struct pollfd poll = { .fd = out->fd, .events = POLLOUT };
	ssize_t n;

	for (;;) {
		n = write_now(out, from, len);
		if (n != -EAGAIN || !wait)
			return n;
		/* A write that waits is restarted after a signal as the call would be. */
		if (!(out->flags & O_NONBLOCK))
			return sys_write(out->fd, NULL, from, len < PIPE_BUF ? len : PIPE_BUF);
		n = sys_poll(&poll, 1, -1);
		if (n < 0)
			return n;
	}
}

/* @more: further bytes are sure to follow. */
static ssize_t put(const struct copy *c, const char *from, size_t len, bool wait, bool more)
{
	const struct copy_end *out = c->out;

	if (copy_is_pipe(out))
		return copy_put_pipe(out, from, len, wait && !c->nonblock);
	if (S_ISSOCK(out->type))
		return sys_send(out->fd, from, len, more || c->more ? MSG_MORE : 0);
	return sys_write(out->fd, out->at, from, len);
}

/* A pipe is looked at before the input is (wait_for_space()). */
static int look_at_output(const struct copy *c)
{
	struct pollfd poll = { .fd = c->out->fd, .events = POLLOUT };
	int ready;

	if (!copy_is_pipe(c->out))
		return 0;
	ready = sys_poll(&poll, 1, 0);
	if (ready > 0 && poll.revents & POLLERR)
		return copy_broken();
	return ready <= 0 && c->nonblock ? -EAGAIN : 0;
}

/* ------------------------------------------------------------------ files */

static ssize_t look_into_file(struct copy *c, char *buffer, size_t len, bool wait)
{
	loff_t at = *c->in->at;

	(void)wait;
	return sys_read(c->in->fd, &at, buffer, len);
}

static int take_from_file(struct copy *c, char *buffer, size_t len)
{
	(void)buffer;
	*c->in->at += (loff_t)len;
	return 0;
}

/* ------------------------------------------------------------------ pipes */

static size_t queued_in(int fd)
{
	int queued = 0;

	return sys_ioctl(fd, FIONREAD, &queued) || queued < 0 ? 0 : (size_t)queued;
}

/* Empties the spare pipe. */
static void drain(const struct copy *c)
{
	char rest[64];

	while (queued_in(c->spare[0]) && sys_read(c->spare[0], NULL, rest, sizeof(rest)) > 0)
		;
}

/*
 * One byte more than is wanted is duplicated. What a read leaves of a packet is thrown away, so
 * if less is left in the duplicate than was not read, the packet is longer than was wanted.
 */
static ssize_t look_into_pipe(struct copy *c, char *buffer, size_t len, bool wait)
{
	ssize_t copied = sys_tee(c->in->fd, c->spare[1], len + 1,
				 wait && !c->nonblock ? 0 : SPLICE_F_NONBLOCK);
	size_t left;
	ssize_t n;

	c->no_tee = sys_refused(copied);
	if (copied <= 0)
		return copied;
	n = sys_read(c->spare[0], NULL, buffer, len);
	if (n <= 0)
		return n ? n : -EIO;
	left = copied > n ? queued_in(c->spare[0]) : 0;
	c->cut = (size_t)n + left < (size_t)copied;
	if (left)
		drain(c);
	return n;
}

/* Takes part of a packet, which only vmsplice(2) does without losing the rest. */
static ssize_t take_part(int fd, char *buffer, size_t len)
{
	struct iovec iov = { buffer, len };

	return sys_vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK);
}

static int take_from_pipe(struct copy *c, char *buffer, size_t len)
{
	while (len) {
		ssize_t n = c->cut ? take_part(c->in->fd, buffer, len) :
				     sys_read(c->in->fd, NULL, buffer, len);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		len -= (size_t)n;
	}
	return 0;
}

/* Takes @len bytes of a pipe to nowhere, as part of a packet if @cut. */
static int discard(int fd, size_t len, bool cut)
{
	char nowhere[COPY_BUFFER];
	struct iovec iov[32];

	while (len) {
		size_t rest = len;
		int count = 0;
		ssize_t n;

		for (; rest && count < 32; count++) {
			size_t piece = rest < sizeof(nowhere) ? rest : sizeof(nowhere);

			iov[count] = (struct iovec){ nowhere, piece };
			rest -= piece;
		}
		n = cut ? sys_vmsplice(fd, iov, (size_t)count, SPLICE_F_NONBLOCK) :
			  sys_readv(fd, iov, count);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		len -= (size_t)n;
	}
	return 0;
}

static int open_spare(int spare[2], long size)
{
	/* That waits: tee(2) heeds O_NONBLOCK of both its pipes. */
	int error = sys_pipe2(spare, O_CLOEXEC);

	/* Twice as many slots have room for one more; if that is too much, as many have for all. */
	if (!error && size > 0 && sys_fcntl(spare[1], F_SETPIPE_SZ, 2 * size) < 0)
		(void)sys_fcntl(spare[1], F_SETPIPE_SZ, size);
	return error;
}

static void close_spare(const int spare[2])
{
	close(spare[0]);
	close(spare[1]);
}

/* Does the duplicate in @spare, read up to @len bytes, end there inside a packet? */
static bool ends_in_packet(const int spare[2], size_t len)
{
	char buffer[COPY_BUFFER];

	while (len) {
		size_t before = queued_in(spare[0]);
		size_t piece = len < sizeof(buffer) ? len : sizeof(buffer);
		ssize_t n = before ? sys_read(spare[0], NULL, buffer, piece) : 0;

		if (n <= 0)
			return false;
		if (before - (size_t)n != queued_in(spare[0]))
			return true;
		len -= (size_t)n;
	}
	return false;
}

int copy_settle(const struct copy_end *in, size_t *len, bool nonblock, bool *cut)
{
	size_t queued = queued_in(in->fd);
	ssize_t copied;
	int spare[2];
	int error;

	*cut = false;
	if (queued && queued <= *len) {
		*len = queued;
		return 0;
	}
	error = open_spare(spare, sys_fcntl(in->fd, F_GETPIPE_SZ, 0));
	if (error)
		return error;
	copied = sys_tee(in->fd, spare[1], *len + 1, nonblock ? SPLICE_F_NONBLOCK : 0);
	if (copied > (ssize_t)*len)
		*cut = ends_in_packet(spare, *len);
	else if (copied > 0)
		*len = (size_t)copied;
	close_spare(spare);
	return copied < 0 ? (int)copied : 0;
}

/* tee(2) does all that splice(2) does from pipe to pipe, but that it leaves the input. */
static ssize_t pipe_to_pipe(struct copy *c, size_t len)
{
	unsigned flags = c->nonblock ? SPLICE_F_NONBLOCK : 0;
	int error = copy_settle(c->in, &len, c->nonblock, &c->cut);
	ssize_t n;

	c->no_tee = sys_refused(error);
	if (error)
		return error;
	if (c->cut && take_part(c->in->fd, NULL, 0))
		return -EINVAL;
	n = sys_tee(c->in->fd, c->out->fd, len, flags);
	c->no_tee = sys_refused(n);
	if (n > 0)
		error = discard(c->in->fd, (size_t)n, c->cut);
	return error ? error : n;
}

/* ---------------------------------------------------------------- sockets */

/* Of stream sockets SPLICE_F_NONBLOCK means something to the unix family alone. */
static ssize_t look_into_socket(struct copy *c, char *buffer, size_t len, bool wait)
{
	int domain = 0, flags = MSG_PEEK;

	if (wait && c->nonblock)
		(void)sys_getsockopt(c->in->fd, SO_DOMAIN, &domain);
	if (!wait || domain == AF_UNIX)
		flags |= MSG_DONTWAIT;
	return sys_recv(c->in->fd, buffer, len, flags);
}

static int take_from_socket(struct copy *c, char *buffer, size_t len)
{
	while (len) {
		ssize_t n = sys_recv(c->in->fd, buffer, len, MSG_DONTWAIT);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		len -= (size_t)n;
	}
	return 0;
}

static bool is_stream_socket(const struct copy_end *end)
{
	int type = 0;

	return S_ISSOCK(end->type) && !sys_getsockopt(end->fd, SO_TYPE, &type) &&
	       type == SOCK_STREAM;
}

/* ---------------------------------------------------------- moving, taking */

static const struct way file_way = { look_into_file, take_from_file };
static const struct way pipe_way = { look_into_pipe, take_from_pipe };
static const struct way socket_way = { look_into_socket, take_from_socket };

/* Do more bytes of a file follow, as far as its size tells? */
static bool follows(const struct copy *c, const struct way *way, size_t n, size_t left)
{
	return way == &file_way && left > n && *c->in->at + (loff_t)n < c->in->size;
}

static ssize_t relay(struct copy *c, const struct way *way, char *buffer, size_t size, size_t len)
{
	size_t done = 0;
	ssize_t n = 0;
	int error;

	while (done < len) {
		size_t want = len - done < size ? len - done : size;
		ssize_t seen = way->look(c, buffer, want, !done);

		n = seen;
		if (n > 0 && c->cut)
			n = take_part(c->in->fd, buffer, 0) ? -EINVAL : n;
		if (n > 0)
			n = put(c, buffer, (size_t)seen, !done,
				follows(c, way, (size_t)seen, len - done));
		if (n <= 0)
			break;
		error = way->take(c, buffer, (size_t)n);
		if (error)
			return error;
		done += (size_t)n;
		if (n < seen)
			break;
	}
	return done ? (ssize_t)done : n;
}

/* Memory for one piece: @stack if that is enough, and if there is no other. */
static char *piece_memory(char *stack, size_t *size)
{
	char *memory;

	if (*size > COPY_PIECE)
		*size = COPY_PIECE;
	if (*size > COPY_BUFFER) {
		memory = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
		if (memory != MAP_FAILED)
			return memory;
		*size = COPY_BUFFER;
	}
	return stack;
}

/* The bytes that a pipe has room for: all, if it is empty, or a slot that it polls free. */
static size_t room_in(const struct copy_end *out)
{
	int size = copy_is_pipe(out) ? sys_fcntl(out->fd, F_GETPIPE_SZ, 0) : INT_MAX;

	if (size < PIPE_BUF || (copy_is_pipe(out) && queued_in(out->fd)))
		return PIPE_BUF;
	return (size_t)size;
}

static int wait_ready(const struct copy *c, int fd, short events)
{
	struct pollfd poll = { .fd = fd, .events = events };
	int ready = sys_poll(&poll, 1, c->nonblock ? 0 : -1);

	return ready > 0 ? 0 : ready ? ready : -EAGAIN;
}

/* Delivers what was taken already, whatever time it takes. */
static ssize_t deliver(const struct copy *c, const char *from, size_t len)
{
	struct pollfd poll = { .fd = c->out->fd, .events = POLLOUT };
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		n = put(c, from + done, len - done, true, false);
		if (n == -EAGAIN)
			(void)sys_poll(&poll, 1, -1);
		else if (n > 0)
			done += (size_t)n;
		else if (n != -EINTR)
			break;
	}
	return done ? (ssize_t)done : n;
}

/* What can't be looked at: read once there is room for it. */
static ssize_t take_and_deliver(struct copy *c, size_t len)
{
	char stack[COPY_BUFFER];
	size_t room, size;
	char *buffer;
	ssize_t n;

	c->nonblock |= c->out->flags & O_NONBLOCK;
	n = wait_ready(c, c->out->fd, POLLOUT);
	if (!n && copy_is_pipe(c->in) && c->nonblock)
		n = wait_ready(c, c->in->fd, POLLIN);
	if (n)
		return n;
	room = room_in(c->out);
	size = len < room ? len : room;
	buffer = piece_memory(stack, &size);
	n = sys_read(c->in->fd, c->in->at, buffer, size);
	c->nonblock = false;
	if (n > 0)
		n = deliver(c, buffer, (size_t)n);
	if (buffer != stack)
		munmap(buffer, size);
	return n;
}

/* A device may want its message whole, in one write; to others a part is as good. */
static ssize_t move_from_pipe(struct copy *c, size_t len)
{
	char stack[COPY_BUFFER];
	size_t size = COPY_BUFFER;
	long room = 0;
	char *buffer;
	ssize_t n;

	if (S_ISCHR(c->out->type) && len > COPY_BUFFER) {
		room = sys_fcntl(c->in->fd, F_GETPIPE_SZ, 0);
		if (room > 0)
			size = len < (size_t)room ? len : (size_t)room;
	}
	if (open_spare(c->spare, room))
		return take_and_deliver(c, len);
	buffer = piece_memory(stack, &size);
	n = relay(c, &pipe_way, buffer, size, len);
	if (buffer != stack)
		munmap(buffer, size);
	close_spare(c->spare);
	return n;
}

static ssize_t move_from_socket(struct copy *c, size_t len)
{
	char buffer[COPY_BUFFER];

	return relay(c, &socket_way, buffer, sizeof(buffer), len);
}

static ssize_t move_from_file(struct copy *c, size_t len)
{
	bool own = !c->in->at;
	_Alignas(512) char buffer[COPY_BUFFER]; /* as O_DIRECT wants it */
	ssize_t n;

	if (own)
		c->in->at = &c->in->own;
	n = relay(c, &file_way, buffer, sizeof(buffer), len);
	if (own && n > 0 && sys_lseek(c->in->fd, c->in->own, SEEK_SET) < 0)
		return -EIO;
	return n;
}

ssize_t copy_move(struct copy_end *in, struct copy_end *out, size_t len, unsigned flags)
{
	struct copy c = {
		.in = in,
		.out = out,
		.nonblock = flags & SPLICE_F_NONBLOCK,
		.more = flags & SPLICE_F_MORE,
	};
	ssize_t n;

	if (len > SYS_MAX_LENGTH)
		len = SYS_MAX_LENGTH;
	if (copy_is_pipe(in)) {
		n = copy_is_pipe(out) ? pipe_to_pipe(&c, len) : move_from_pipe(&c, len);
		return c.no_tee ? take_and_deliver(&c, len) : n;
	}
	n = look_at_output(&c);
	if (n)
		return n;
	if (!len)
		return 0;
	if (S_ISDIR(in->type))
		return -EINVAL;
	if (S_ISREG(in->type) || S_ISBLK(in->type))
		return move_from_file(&c, len);
	if (is_stream_socket(in))
		return move_from_socket(&c, len);
	return take_and_deliver(&c, len);
}
