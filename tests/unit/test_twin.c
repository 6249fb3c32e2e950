/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Twins: the same random calls on the same descriptors, once by the kernel and once emulated where
 * it refuses them. Results, errno, offsets, positions, what is queued, and every byte must agree.
 *
 * The emulating twin is a process of its own, under a filter that denies the calls; it makes them
 * through the library's wrappers, or through libc with the shim preloaded. TWIN_CALLS says how
 * many calls are made in all, TWIN_SEED where the random numbers begin.
 */
#include <extpipe.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tap.h"

#define PAGE ((size_t)4096)
#define FILE_SIZE 100003l
#define ROOM (1 << 20) /* of a pipe whose slots never run out */
#define STEPS 120      /* calls in one world */
#define BASE 100       /* descriptor of the first slot */
#define MEMORY (16 * PAGE)

/* ------------------------------------------------------------ the world */

enum slot {
	SOURCE, /* a memfd, for reading */
	SOURCE_DISK,
	SINK, /* a memfd, for both */
	SINK_DISK,
	DIRECTORY,
	PATH_ONLY,
	CLOSED,
	ZERO,
	NULL_DEVICE,
	A_READ, /* a pipe that blocks, and has room for all */
	A_WRITE,
	B_READ, /* the same, non-blocking */
	B_WRITE,
	ENDED,    /* a pipe whose writer is gone */
	UNHEARD,  /* a pipe whose reader is gone */
	UNIX_ONE, /* stream sockets, non-blocking */
	UNIX_TWO,
	TCP_ONE,
	TCP_TWO,
	LONELY, /* a socket whose peer is gone */
	SLOTS
};

#define FD(slot) (BASE + (int)(slot))

enum call { SPLICE, VMSPLICE, SENDFILE, RANGE, TEE, FEED, SEEK, DRAIN, CALLS };

struct step {
	enum call call;
	int in, out;         /* slots */
	int off_in, off_out; /* kinds of offsets */
	loff_t at_in, at_out;
	size_t len;
	unsigned flags;
	unsigned pieces, bad; /* of memory */
	uint32_t random;
};

struct outcome {
	int64_t result;
	int32_t error;
	uint32_t pipes; /* SIGPIPEs so far */
	int64_t at_in, at_out;
	uint64_t state, bytes;
};

/* What the twins share. */
struct shared {
	struct outcome native[STEPS + 1], emulated[STEPS + 1];
};

static struct shared *shared;
static char *memory;  /* constant, with a hole behind it */
static char *landing; /* where bytes are put, likewise */
static volatile sig_atomic_t pipes_broken;
static bool by_number; /* some calls are made through syscall(2) */
static bool full;      /* this world's pipes are small, and what moves are whole pages */

static uint32_t random_state;

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % below;
}

static uint64_t hash(uint64_t h, const void *from, size_t len)
{
	const unsigned char *p = from;

	while (len--)
		h = (h ^ *p++) * 0x100000001b3ull;
	return h;
}

/* ------------------------------------------------------------ generating */

/* clang-format off */
static const int inputs[] = { SOURCE, SOURCE, SOURCE_DISK, SOURCE_DISK, A_READ, A_READ, B_READ,
			      B_READ, ENDED, UNIX_ONE, TCP_ONE, DIRECTORY, CLOSED, PATH_ONLY,
			      ZERO, A_WRITE, SINK_DISK, LONELY };
static const int outputs[] = { SINK, SINK, SINK_DISK, A_WRITE, A_WRITE, B_WRITE, B_WRITE, UNIX_ONE,
			       TCP_ONE, UNHEARD, LONELY, NULL_DEVICE, CLOSED, PATH_ONLY, SOURCE,
			       A_READ };
/* sendfile(2) refuses what has no positions, and the emulation serves it. */
static const int files[] = { SOURCE, SOURCE, SOURCE_DISK, SOURCE_DISK, SINK, DIRECTORY, CLOSED,
			     PATH_ONLY, ZERO, SINK_DISK };
/* copy_file_range(2) refuses two file systems, and the emulation serves them. */
static const int memories[] = { SOURCE, SOURCE, SINK, SINK, A_READ, UNIX_ONE, CLOSED, PATH_ONLY };
static const unsigned some_flags[] = { 0, 0, 0, SPLICE_F_MOVE, SPLICE_F_NONBLOCK,
				       SPLICE_F_NONBLOCK, SPLICE_F_GIFT, SPLICE_F_MORE, 1 << 7 };
static const char *const call_names[] = { "splice", "vmsplice", "sendfile", "copy_file_range",
					  "tee", "feed", "seek", "drain" };
/* clang-format on */

#define PICK(list) (list)[draw(sizeof(list) / sizeof((list)[0]))]

/* Kinds of offsets; the rest are pointers that lead nowhere good. */
enum { NO_OFFSET, OFFSET, READ_ONLY, NOWHERE, HOLE };

static size_t some_length(void)
{
	static const size_t odd[] = { 0,       1,        PAGE,    SSIZE_MAX, (size_t)SSIZE_MAX + 1,
				      INT_MAX, SIZE_MAX, UINT_MAX };

	return draw(8) ? draw(20000) : PICK(odd);
}

static int some_offset(loff_t *at, bool input)
{
	static const loff_t odd[] = { -1, -4096, LLONG_MIN, LLONG_MAX };
	static const loff_t far[] = { FILE_SIZE - 1, FILE_SIZE, FILE_SIZE + 1, 1ll << 62 };

	*at = draw((uint32_t)FILE_SIZE);
	if (!draw(10))
		*at = PICK(odd);
	else if (input && !draw(8))
		*at = PICK(far);
	return draw(2) ? NO_OFFSET : draw(12) ? OFFSET : READ_ONLY + (int)draw(3);
}

static bool is_socket(int slot)
{
	return slot >= UNIX_ONE && slot <= LONELY;
}

/* Whole pages to and from pipes that fill up, so that the slots taken are the same. */
static void generate_pages(struct step *s)
{
	static const enum call some[] = { SPLICE, SPLICE, SPLICE, VMSPLICE, SENDFILE, TEE, FEED };
	static const int from[] = { SOURCE_DISK, SOURCE_DISK, A_READ, A_READ, B_READ, B_READ };
	static const int to[] = { SINK, A_WRITE, A_WRITE, B_WRITE, B_WRITE };

	*s = (struct step){ .call = PICK(some), .in = PICK(from), .out = PICK(to) };
	if (s->call == SENDFILE)
		s->in = SOURCE_DISK;
	s->off_in = s->in == SOURCE_DISK ? OFFSET : NO_OFFSET;
	s->at_in = (loff_t)(draw(20) * PAGE);
	s->len = (1 + draw(draw(3) ? 4 : 20)) * PAGE;
	s->flags = SPLICE_F_NONBLOCK;
	s->pieces = 1 + draw(4);
	s->random = draw(1u << 30);
	if (s->call == SENDFILE && s->out == SINK)
		s->out = B_WRITE;
}

static void generate(struct step *s)
{
	if (full) {
		generate_pages(s);
		return;
	}
	*s = (struct step){ .call = draw(10) < 4 ? SPLICE : draw(CALLS) };
	s->in = s->call == SENDFILE ? PICK(files) :
		s->call == RANGE    ? PICK(memories) :
				      PICK(inputs);
	s->out = s->call == RANGE ? PICK(memories) : PICK(outputs);
	s->off_in = some_offset(&s->at_in, true);
	s->off_out = some_offset(&s->at_out, false);
	s->len = some_length();
	s->flags = PICK(some_flags);
	if (s->call == RANGE)
		s->flags = draw(12) ? 0 : 1;
	s->pieces = draw(20) ? draw(5) : 1025;
	s->bad = draw(8) ? 0 : 1 + draw(6);
	s->random = draw(1u << 30);
	if (is_socket(s->out) && s->len > 20000 && s->len <= SSIZE_MAX)
		s->len = 20000;
	/* What can only be read is read by no more than surely has room. */
	if (s->in == ZERO && s->len > PAGE && s->len <= SSIZE_MAX)
		s->len = PAGE;
	/* The position of a device is its own affair, and what a file system can hold too. */
	if (s->in == ZERO)
		s->off_in = NO_OFFSET;
	if (s->out == NULL_DEVICE)
		s->off_out = NO_OFFSET;
	/* Kernels differ in whether the end of the input comes before the limit of the output. */
	if (s->call == RANGE && s->at_out == LLONG_MAX)
		s->at_out = FILE_SIZE;
	/* A file that is sent to itself grows for ever, and in a pipe it shows what is written. */
	if (s->call == SENDFILE && s->in == SINK && s->out != SINK_DISK)
		s->in = SOURCE;
	if ((s->in != SOURCE || s->call == SENDFILE) && s->at_in > 2 * FILE_SIZE &&
	    (s->at_in < LLONG_MAX || !s->len))
		s->at_in = FILE_SIZE;
}

/* The call that is made, for whoever has to tell of it. */
static char description[256];

static void describe(const struct step *s)
{
	snprintf(description, sizeof(description),
		 "# %s in=%d out=%d off_in=%d:%lld off_out=%d:%lld len=%zu flags=%#x pieces=%u "
		 "bad=%u\n",
		 call_names[s->call], s->in, s->out, s->off_in, (long long)s->at_in, s->off_out,
		 (long long)s->at_out, s->len, s->flags, s->pieces, s->bad);
}

/* ------------------------------------------------------------ calling */

static struct {
	ssize_t (*splice)(int, loff_t *, int, loff_t *, size_t, unsigned);
	ssize_t (*vmsplice)(int, const struct iovec *, size_t, unsigned);
	ssize_t (*sendfile)(int, int, loff_t *, size_t);
	ssize_t (*range)(int, loff_t *, int, loff_t *, size_t, unsigned);
	ssize_t (*tee)(int, int, size_t, unsigned);
} calls = { splice, vmsplice, sendfile, copy_file_range, tee };

static size_t queued(int slot)
{
	int n = 0;

	return ioctl(FD(slot), FIONREAD, &n) ? 0 : (size_t)n;
}

/* A call that would wait for ever doesn't. */
static unsigned harmless(const struct step *s)
{
	int from = s->call == VMSPLICE && !(s->random & 2) ? s->out : s->in;
	bool waits = from == A_READ || (from == B_READ && s->call == VMSPLICE);
	bool empty = waits && !queued(from);

	return empty ? s->flags | SPLICE_F_NONBLOCK : s->flags;
}

/* An offset, or a pointer that is none. @where is an offset's place. */
static loff_t *pointer(int kind, loff_t *where)
{
	switch (kind) {
	case NO_OFFSET:
		return NULL;
	case OFFSET:
		return where;
	case READ_ONLY:
		return (loff_t *)(memory + 8 * PAGE);
	case NOWHERE:
		return (loff_t *)8;
	default:
		return (loff_t *)(memory + MEMORY);
	}
}

/* Pieces of memory at @where; one of them may be bad. */
static size_t make_pieces(struct iovec *iov, const struct step *s, char *where)
{
	uint32_t r = s->random;
	unsigned n = s->pieces;
	/* How much goes before a bad one into memory hangs on how bytes lie in the pipe. */
	struct iovec *bad = where == landing ? iov : &iov[n / 2];

	for (unsigned i = 0; i < n; i++) {
		r = r * 1664525u + 1013904223u;
		iov[i] = (struct iovec){ where + (r >> 8) % (7 * PAGE), (r >> 4) % 8000 };
		if (n > 5)
			iov[i].iov_len = 0;
		if (full)
			iov[i] = (struct iovec){ where + (r >> 8) % 7 * PAGE,
						 (1 + (r >> 4) % 3) * PAGE };
	}
	if (n && s->bad == 1) /* runs into the hole, or lies there */
		*bad = (struct iovec){ where + MEMORY - (where == landing ? 0 : 5000), 9000 };
	if (n && s->bad == 2)
		bad->iov_base = NULL;
	if (n && s->bad == 3)
		bad->iov_len = (size_t)SSIZE_MAX + 1;
	if (n && s->bad == 4) /* the kernel's */
		bad->iov_base = (void *)(UINTPTR_MAX - PAGE);
	return n;
}

static ssize_t call_vmsplice(const struct step *s, struct outcome *o)
{
	static struct iovec iov[1025];
	int slot = s->random & 2 ? s->in : s->out;
	bool reading = slot == A_READ || slot == B_READ || slot == ENDED;
	int fd = FD(slot);
	size_t count = make_pieces(iov, s, reading ? landing : memory);
	const struct iovec *given = s->bad == 5 ? (const void *)8 : iov;
	ssize_t n;

	if (reading)
		memset(landing, 0, MEMORY);
	if (by_number && s->random & 1)
		n = syscall(SYS_vmsplice, fd, given, count, harmless(s));
	else
		n = calls.vmsplice(fd, given, count, harmless(s));
	o->error = n < 0 ? errno : 0;
	o->bytes = reading && n > 0 ? hash(0, landing, MEMORY) : 0;
	return n;
}

static ssize_t make_call(const struct step *s, struct outcome *o)
{
	int in = FD(s->in), out = FD(s->out);
	unsigned flags = harmless(s);
	loff_t *from = pointer(s->off_in, &o->at_in), *to = pointer(s->off_out, &o->at_out);
	bool number = by_number && s->random & 1;

	switch (s->call) {
	case SPLICE:
		return number ? syscall(SYS_splice, in, from, out, to, s->len, flags) :
				calls.splice(in, from, out, to, s->len, flags);
	case VMSPLICE:
		return call_vmsplice(s, o);
	case SENDFILE:
		return number ? syscall(SYS_sendfile, out, in, from, s->len) :
				calls.sendfile(out, in, from, s->len);
	case RANGE:
		return number ? syscall(SYS_copy_file_range, in, from, out, to, s->len, s->flags) :
				calls.range(in, from, out, to, s->len, s->flags);
	default:
		return calls.tee(in, out, s->len, flags);
	}
}

/* ------------------------------------------------------------ the rest */

/* What was written to one end of a connection is on its way to the other. */
static void arrives(int slot, size_t bytes)
{
	struct pollfd poll_end = { .fd = FD(slot), .events = POLLIN };

	while (queued(slot) < bytes)
		must(poll(&poll_end, 1, 1000) >= 0);
}

static ssize_t feed(const struct step *s)
{
	static const int ends[] = { A_WRITE, B_WRITE, UNIX_TWO, TCP_TWO };
	int to = ends[s->random % 4];
	size_t before = queued(TCP_ONE), len = 1 + (s->random >> 4) % 9000;
	ssize_t n;

	if (full)
		return s->random & 16 ?
			       write(FD(ends[s->random % 2]), memory, s->len % MEMORY) :
			       read(FD(s->random & 1 ? A_READ : B_READ), landing, s->len % MEMORY);
	n = write(FD(to), memory + (s->random >> 8) % PAGE, len);

	if (to == TCP_TWO && n > 0)
		arrives(TCP_ONE, before + (size_t)n);
	return n;
}

static uint64_t drained(int slot)
{
	static char buffer[65536];
	uint64_t h = 0;

	while (queued(slot)) {
		ssize_t n = read(FD(slot), buffer, sizeof(buffer));

		must(n > 0);
		h = hash(h, buffer, (size_t)n);
	}
	return h;
}

static void drain(struct outcome *o)
{
	static const int all[] = { A_READ, B_READ, UNIX_ONE, UNIX_TWO, TCP_ONE, TCP_TWO };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint64_t h = drained(all[i]);

		o->bytes = hash(o->bytes, &h, sizeof(h));
	}
}

static uint64_t state(void)
{
	static const int placed[] = { SOURCE, SOURCE_DISK, SINK, SINK_DISK };
	static const int holding[] = {
		A_READ, B_READ, ENDED, UNIX_ONE, UNIX_TWO, TCP_ONE, TCP_TWO
	};
	uint64_t h = 0;

	for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
		off_t at = lseek(FD(placed[i]), 0, SEEK_CUR);
		struct stat st;

		must(!fstat(FD(placed[i]), &st));
		h = hash(h, &at, sizeof(at));
		h = hash(h, &st.st_size, sizeof(st.st_size));
	}
	for (size_t i = 0; i < sizeof(holding) / sizeof(holding[0]); i++) {
		size_t n = queued(holding[i]);

		h = hash(h, &n, sizeof(n));
	}
	return h;
}

static void perform(const struct step *s, struct outcome *o)
{
	size_t before = queued(TCP_TWO);

	*o = (struct outcome){ .at_in = s->at_in, .at_out = s->at_out };
	errno = 0;
	switch (s->call) {
	case FEED:
		o->result = feed(s);
		break;
	case SEEK:
		o->result = lseek(FD(s->random % 4), (off_t)((s->random >> 3) % FILE_SIZE),
				  SEEK_SET);
		break;
	case DRAIN:
		drain(o);
		break;
	default:
		o->result = make_call(s, o);
		o->error = o->result < 0 ? errno : 0;
	}
	if (s->out == TCP_ONE && o->result > 0 && (s->call == SPLICE || s->call == SENDFILE))
		arrives(TCP_TWO, before + (size_t)o->result);
	o->pipes = (uint32_t)pipes_broken;
	o->state = state();
}

/* ------------------------------------------------------------ making worlds */

static void place(int fd, enum slot slot)
{
	must(fd >= 0 && dup2(fd, FD(slot)) == FD(slot) && !close(fd));
}

static int reopened(int fd, int flags)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags);
	must(again >= 0);
	return again;
}

static int disk_file(size_t size)
{
	const char *directory = getenv("TMPDIR");
	int fd = open(directory ? directory : "/tmp", O_TMPFILE | O_RDWR, 0600);

	must(fd >= 0 && write(fd, memory, size) == (ssize_t)size && !lseek(fd, 0, SEEK_SET));
	return fd;
}

static void make_files(void)
{
	int fd = tap_file((size_t)FILE_SIZE);

	place(reopened(fd, O_RDONLY), SOURCE);
	close(fd);
	fd = disk_file(MEMORY);
	place(reopened(fd, O_RDONLY), SOURCE_DISK);
	close(fd);
	place(memfd_create("sink", 0), SINK);
	fd = disk_file(0);
	place(reopened(fd, O_WRONLY), SINK_DISK);
	close(fd);
	place(open("/", O_RDONLY | O_DIRECTORY), DIRECTORY);
	place(open("/dev/null", O_PATH), PATH_ONLY);
	close(FD(CLOSED));
	place(open("/dev/zero", O_RDONLY), ZERO);
	place(open("/dev/null", O_RDWR), NULL_DEVICE);
}

static void make_pipes(void)
{
	int p[2];

	int room_a = full ? (int)PAGE << draw(5) : ROOM,
	    room_b = full ? (int)PAGE << draw(5) : ROOM;

	must(!pipe2(p, full ? O_NONBLOCK : 0) && fcntl(p[1], F_SETPIPE_SZ, room_a) == room_a);
	place(p[0], A_READ);
	place(p[1], A_WRITE);
	must(!pipe2(p, O_NONBLOCK) && fcntl(p[1], F_SETPIPE_SZ, room_b) == room_b);
	place(p[0], B_READ);
	place(p[1], B_WRITE);
	must(!pipe2(p, 0) && write(p[1], memory, 3 * PAGE) == 3 * PAGE && !close(p[1]));
	place(p[0], ENDED);
	must(!pipe2(p, 0) && !close(p[0]));
	place(p[1], UNHEARD);
}

static void make_connection(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), room = 400000;

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(listener >= 0 && ends[0] >= 0);
	must(!setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) &&
	     !setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)));
	must(!bind(listener, (struct sockaddr *)&address, size) && !listen(listener, 1) &&
	     !getsockname(listener, (struct sockaddr *)&address, &size) &&
	     !connect(ends[0], (struct sockaddr *)&address, size));
	ends[1] = accept(listener, NULL, NULL);
	must(ends[1] >= 0 && !close(listener));
	must(!fcntl(ends[0], F_SETFL, O_NONBLOCK) && !fcntl(ends[1], F_SETFL, O_NONBLOCK));
}

static void make_sockets(void)
{
	int s[2];

	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	place(s[0], UNIX_ONE);
	place(s[1], UNIX_TWO);
	make_connection(s);
	place(s[0], TCP_ONE);
	place(s[1], TCP_TWO);
	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) && !close(s[1]));
	place(s[0], LONELY);
}

/* What the sinks hold, of both the first half MiB. */
static uint64_t sinks(void)
{
	static char buffer[1 << 19];
	uint64_t h = 0;
	int disk = reopened(FD(SINK_DISK), O_RDONLY);
	ssize_t n = pread(FD(SINK), buffer, sizeof(buffer), 0);

	must(n >= 0);
	h = hash(h, buffer, (size_t)n);
	n = pread(disk, buffer, sizeof(buffer), 0);
	must(n >= 0 && !close(disk));
	return hash(h, buffer, (size_t)n);
}

/* A call waits that should not have: not much can be done but to say which. */
static void stuck(int number)
{
	static const char text[] = "# stuck in\n";

	if (write(STDOUT_FILENO, text, sizeof(text) - 1) > 0 &&
	    write(STDOUT_FILENO, description, strlen(description)) > 0)
		_exit(number);
	_exit(99);
}

static void live(uint32_t seed, struct outcome *outcomes)
{
	struct step s;

	full = seed % 4 == 0;
	random_state = seed;
	make_files();
	make_pipes();
	make_sockets();
	pipes_broken = 0;
	must(signal(SIGALRM, stuck) != SIG_ERR);
	random_state = seed;
	for (int i = 0; i < STEPS; i++) {
		generate(&s);
		/* So that slots and buffers never run out, but where they are meant to. */
		if (!full && i % 5 == 4)
			s.call = DRAIN;
		alarm(60);
		describe(&s);
		perform(&s, &outcomes[i]);
	}
	alarm(0);
	outcomes[STEPS] = (struct outcome){ .bytes = sinks() };
}

static bool compare(uint32_t seed, size_t *made)
{
	struct step s;

	full = seed % 4 == 0;
	random_state = seed;
	for (int i = 0; i < STEPS; i++) {
		const struct outcome *n = &shared->native[i], *e = &shared->emulated[i];

		generate(&s);
		*made += (full || i % 5 != 4) && s.call < FEED;
		if (!memcmp(n, e, sizeof(*n)))
			continue;
		printf("# TWIN_SEED=%u, step %d\n", seed, i);
		describe(&s);
		fputs(description, stdout);
		printf("# native %lld errno %d pipes %u at %lld, %lld; emulated %lld errno %d "
		       "pipes %u at "
		       "%lld, %lld;%s%s\n",
		       (long long)n->result, n->error, n->pipes, (long long)n->at_in,
		       (long long)n->at_out, (long long)e->result, e->error, e->pipes,
		       (long long)e->at_in, (long long)e->at_out,
		       n->state != e->state ? " state" : "", n->bytes != e->bytes ? " bytes" : "");
		return false;
	}
	if (shared->native[STEPS].bytes == shared->emulated[STEPS].bytes)
		return true;
	printf("# TWIN_SEED=%u: the files differ\n", seed);
	return false;
}

/* ------------------------------------------------------------ signals */

/* What a signal does while a call waits. */
static volatile sig_atomic_t helps;
static int helped_slot;

static void interrupt(int number)
{
	static char buffer[4096];
	ssize_t n;

	(void)number;
	if (!helps)
		return;
	helps = 0;
	n = helped_slot == A_READ ? read(FD(A_READ), buffer, PAGE) :
				    write(FD(helped_slot), memory, PAGE);
	if (n != (ssize_t)PAGE)
		_exit(98);
}

/* Calls that wait: for bytes, or for room. */
static const struct waiting {
	const char *what;
	enum call call;
	int in, out;
	int help; /* reading from A_READ makes room, writing elsewhere makes bytes */
	bool filled;
} waiting[] = {
	{ "splice from an empty pipe", SPLICE, A_READ, SINK, A_WRITE, false },
	{ "splice from pipe to pipe", SPLICE, A_READ, B_WRITE, A_WRITE, false },
	{ "splice from an empty socket", SPLICE, UNIX_ONE, A_WRITE, UNIX_TWO, false },
	{ "splice to a full pipe", SPLICE, SOURCE_DISK, A_WRITE, A_READ, true },
	{ "sendfile to a full pipe", SENDFILE, SOURCE_DISK, A_WRITE, A_READ, true },
	{ "vmsplice to a full pipe", VMSPLICE, A_READ, A_WRITE, A_READ, true },
	{ "vmsplice from an empty pipe", VMSPLICE, A_READ, A_WRITE, A_WRITE, false },
};

#define WAITING (sizeof(waiting) / sizeof(waiting[0]))

static ssize_t wait_in(const struct waiting *w)
{
	struct iovec iov = { w->filled ? memory : landing, PAGE };

	switch (w->call) {
	case SPLICE:
		return calls.splice(FD(w->in), NULL, FD(w->out), NULL, PAGE, 0);
	case SENDFILE:
		return calls.sendfile(FD(w->out), FD(w->in), NULL, PAGE);
	default:
		return calls.vmsplice(FD(w->filled ? A_WRITE : A_READ), &iov, 1, 0);
	}
}

/* A call that a signal interrupts: with EINTR, or, restarted, with what the handler brought. */
static void wait_for_signal(const struct waiting *w, bool restart, struct outcome *o)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = restart ? SA_RESTART : 0 };
	struct itimerval timer = { { 0, 10000 }, { 0, 10000 } }, none = { 0 };
	ssize_t n;

	full = true;
	random_state = 1;
	make_files();
	make_pipes();
	make_sockets();
	must(!fcntl(FD(A_READ), F_SETFL, 0) && !fcntl(FD(A_WRITE), F_SETFL, 0) &&
	     !fcntl(FD(B_WRITE), F_SETFL, 0) && !fcntl(FD(UNIX_ONE), F_SETFL, 0));
	while (w->filled && queued(A_READ) < (size_t)fcntl(FD(A_READ), F_GETPIPE_SZ))
		must(write(FD(A_WRITE), memory, PAGE) == PAGE);
	helped_slot = w->help;
	helps = restart;
	must(!sigaction(SIGALRM, &action, NULL) && !setitimer(ITIMER_REAL, &timer, NULL));
	n = wait_in(w);
	*o = (struct outcome){ .result = n, .error = n < 0 ? errno : 0 };
	must(!setitimer(ITIMER_REAL, &none, NULL) && signal(SIGALRM, SIG_DFL) != SIG_ERR);
	o->state = state();
}

static void live_with_signals(struct outcome *outcomes)
{
	for (size_t i = 0; i < WAITING; i++) {
		wait_for_signal(&waiting[i], false, &outcomes[2 * i]);
		wait_for_signal(&waiting[i], true, &outcomes[2 * i + 1]);
	}
}

static void compare_signals(const char *how)
{
	for (size_t i = 0; i < 2 * WAITING; i++) {
		const struct outcome *n = &shared->native[i], *e = &shared->emulated[i];
		bool same = !memcmp(n, e, sizeof(*n));

		ok(same && (i % 2 ? n->result == (ssize_t)PAGE : n->error == EINTR),
		   "%s: %s, a signal%s", how, waiting[i / 2].what,
		   i % 2 ? " that restarts it" : "");
		if (!same)
			printf("# native %lld errno %d, emulated %lld errno %d\n",
			       (long long)n->result, n->error, (long long)e->result, e->error);
	}
}

/* ------------------------------------------------------------ the twins */

/* Descriptors of a twin: what is shared, and where it is told which world comes. */
enum { SHARED_FD = 90, CONTROL_FD };

#define SIGNALS 0 /* instead of a seed */

static void broken(int number)
{
	(void)number;
	pipes_broken++;
}

static void prepare(void)
{
	struct sigaction action = { .sa_handler = broken, .sa_flags = SA_RESTART };
	uint64_t offset = 7;

	memory = mmap(NULL, MEMORY + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	landing = mmap(NULL, MEMORY + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	must(memory != MAP_FAILED && landing != MAP_FAILED);
	random_state = 12345;
	for (size_t i = 0; i < MEMORY; i++)
		memory[i] = (char)draw(256);
	memcpy(memory + 8 * PAGE, &offset, sizeof(offset));
	must(!mprotect(memory, MEMORY, PROT_READ) && !munmap(memory + MEMORY, PAGE) &&
	     !munmap(landing + MEMORY, PAGE) && !sigaction(SIGPIPE, &action, NULL));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	must(shared != MAP_FAILED);
}

/* The emulating twin: lives in each world that it is told of. */
static int be_twin(const char *how)
{
	uint32_t seed;

	prepare();
	if (!strcmp(how, "wrappers")) {
		calls.splice = xp_splice;
		calls.vmsplice = xp_vmsplice;
		calls.sendfile = xp_sendfile;
		calls.range = xp_copy_file_range;
		calls.tee = xp_tee;
	} else {
		by_number = true;
	}
	while (read(CONTROL_FD, &seed, sizeof(seed)) == sizeof(seed)) {
		if (seed == SIGNALS)
			live_with_signals(shared->emulated);
		else
			live(seed, shared->emulated);
		must(write(CONTROL_FD, &seed, sizeof(seed)) == sizeof(seed));
	}
	return 0;
}

static void deny_all(int error)
{
	static const int denied[] = { SCMP_SYS(splice), SCMP_SYS(vmsplice), SCMP_SYS(sendfile),
				      SCMP_SYS(copy_file_range) };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	must(filter);
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		must(!seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), denied[i], 0));
	/* As on kernels whose pipes don't know RWF_NOWAIT. */
	if (error == EOPNOTSUPP)
		must(!seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(pwritev2), 0));
	must(!seccomp_load(filter));
	seccomp_release(filter);
}

/* Starts the emulating twin; returns how it is told of worlds. */
static int start_twin(const char *how, const char *shim, int error, pid_t *pid)
{
	int control[2];

	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control));
	fflush(stdout);
	*pid = fork();
	must(*pid >= 0);
	if (!*pid) {
		must(dup2(control[1], CONTROL_FD) == CONTROL_FD);
		if (shim)
			must(!setenv("LD_PRELOAD", shim, 1));
		if (error)
			deny_all(error);
		execl("/proc/self/exe", "test_twin", how, NULL);
		_exit(99);
	}
	close(control[1]);
	return control[0];
}

static bool live_both(int control, uint32_t seed, size_t *made)
{
	uint32_t lived;

	must(write(control, &seed, sizeof(seed)) == sizeof(seed));
	if (seed == SIGNALS)
		live_with_signals(shared->native);
	else
		live(seed, shared->native);
	must(read(control, &lived, sizeof(lived)) == sizeof(lived));
	return seed == SIGNALS || compare(seed, made);
}

static void twins(const char *how, const char *shim, int error, uint32_t seed, size_t wanted)
{
	pid_t pid;
	size_t made = 0, worlds = 0, differ = 0;
	int control = start_twin(how, shim, error, &pid), status;
	char name[64];

	snprintf(name, sizeof(name), "%s, %s", how,
		 error ? strerrorname_np(error) : "nothing denied");
	while (made < wanted && differ < 5) {
		differ += !live_both(control, seed++, &made);
		worlds++;
	}
	ok(!differ, "%s: %zu calls in %zu worlds, no difference", name, made, worlds);
	live_both(control, SIGNALS, &made);
	compare_signals(name);
	close(control);
	must(waitpid(pid, &status, 0) == pid);
	ok(!status, "%s: the twin ended well", name);
}

static size_t from_environment(const char *name, size_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

/* With a sanitizer inside, the shim can't be preloaded. */
#ifdef __SANITIZE_ADDRESS__
#define CAN_PRELOAD false
#else
#define CAN_PRELOAD true
#endif

/* The shim lies where the build puts it. */
static const char *find_shim(void)
{
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);

	must(n > 0);
	path[n] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/libextpipe-shim.so");
	must(!access(path, R_OK));
	return path;
}

int main(int argc, char **argv)
{
	/* With nothing denied, what the kernel serves or refuses must come through as it is. */
	static const int errors[] = { 0, ENOSYS, EPERM, EINVAL, EOPNOTSUPP };
	const char *preloaded = getenv("LD_PRELOAD");
	size_t wanted = from_environment("TWIN_CALLS", 30000) / 10;
	uint32_t seed = (uint32_t)from_environment("TWIN_SEED", 1);
	int fd;

	if (argc > 1)
		return be_twin(argv[1]);
	if (preloaded && strstr(preloaded, "vgpreload")) {
		printf("1..1\nok 1 - twins # SKIP valgrind takes bad pointers for mistakes\n");
		return 0;
	}
	fd = memfd_create("twins", MFD_CLOEXEC);
	must(fd >= 0 && !ftruncate(fd, sizeof(*shared)) && dup2(fd, SHARED_FD) == SHARED_FD);
	prepare();
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		twins("wrappers", NULL, errors[i], seed, wanted);
		seed += 1u << 24;
		if (CAN_PRELOAD)
			twins("shim", find_shim(), errors[i], seed, wanted);
		seed += 1u << 24;
	}
	return tap_done();
}
