/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets: whole or not at all, and a cut one is told. */
#include <extpipe.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>

#include "tap.h"

#define fails(call, error) (errno = 0, (call) == -1 && errno == (error))

static int p[2];
static struct xp_packet in, out;
static char buffer[8192];

static void open_ends(void)
{
	must(!xp_packet_open(&in, p[0], O_RDONLY) && !xp_packet_open(&out, p[1], O_WRONLY));
}

static void test_both(const char *kind, size_t limit)
{
	open_ends();
	ok(out.limit == limit || (!limit && out.limit > PIPE_BUF), "%s: the limit is known", kind);
	ok(!xp_packet_send(&out, "one", 3, 0) && !xp_packet_send(&out, "three", 5, XP_NONBLOCK),
	   "%s: two packets are sent", kind);
	ok(xp_packet_recv(&in, buffer, sizeof(buffer), 0) == 3 && !memcmp(buffer, "one", 3),
	   "%s: the first arrives", kind);
	ok(xp_packet_recv(&in, buffer, 2, XP_NONBLOCK) == 5 && !memcmp(buffer, "th", 2),
	   "%s: the second is cut, and its length told", kind);
	ok(fails(xp_packet_recv(&in, buffer, 1, XP_NONBLOCK), EAGAIN), "%s: then there is none",
	   kind);
	ok(fails(xp_packet_send(&out, "", 0, 0), EINVAL), "%s: none is empty", kind);
	ok(fails(xp_packet_send(&out, buffer, out.limit + 1, 0), EMSGSIZE), "%s: nor too long",
	   kind);
	ok(fails(xp_packet_recv(&in, buffer, 0, 0), EINVAL), "%s: no room: EINVAL", kind);
	ok(fails(xp_packet_send(&out, "x", 1, 1u << 30), EINVAL), "%s: an unknown flag", kind);
	memset(buffer, 'm', sizeof(buffer));
	ok(!xp_packet_send(&out, buffer, 4096, 0) && xp_packet_recv(&in, buffer, 4096, 0) == 4096,
	   "%s: one of 4096 bytes fits exactly", kind);
	while (!xp_packet_send(&out, buffer, 100, XP_NONBLOCK))
		;
	ok(errno == EAGAIN, "%s: a full one would block", kind);
	while (xp_packet_recv(&in, buffer, sizeof(buffer), XP_NONBLOCK) == 100)
		;
	ok(errno == EAGAIN, "%s: and all come whole", kind);
	must(!xp_packet_close(&out) && !xp_packet_close(&in));
	close(p[1]);
	ok(!xp_packet_recv(&in, buffer, sizeof(buffer), 0), "%s: the end is seen", kind);
	close(p[0]);
}

static void test_mode(void)
{
	struct xp_pipe_info info;

	must(!pipe(p));
	open_ends();
	ok(!xp_pipe_info(p[1], &info) && info.mode == XP_PIPE_PACKET, "opening switches");
	ok(!xp_packet_close(&out) && !xp_pipe_info(p[1], &info) && info.mode == XP_PIPE_STREAM,
	   "closing puts back");
	must(write(p[1], "x", 1) == 1);
	ok(fails(xp_packet_open(&out, p[1], O_WRONLY), EBUSY), "stream data queued: EBUSY");
	ok(fails(xp_packet_open(&out, p[0], O_WRONLY), EBADF), "the wrong end: EBADF");
	close(p[0]);
	close(p[1]);
	must(!pipe2(p, O_DIRECT));
	open_ends();
	ok(!xp_packet_close(&out) && !xp_pipe_info(p[1], &info) && info.mode == XP_PIPE_PACKET,
	   "a packet pipe stays one");
	close(p[0]);
	close(p[1]);
	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	ok(fails(xp_packet_open(&out, p[1], O_WRONLY), EINVAL), "a stream socket: EINVAL");
	close(p[0]);
	close(p[1]);
}

/* Before pipes knew RWF_NOWAIT. */
static void body_old(void)
{
	must(!pipe(p));
	test_both("without RWF_NOWAIT", 4096);
}

static void body_emulated(void)
{
	must(!xp_pipe2(p, O_DIRECT));
	test_both("emulated", 0);
}

/* Up to 6.12 a write from memory that can't be read leaves an empty packet, no end of file. */
static void test_empty_packet(void)
{
	int file = memfd_create("gone", 0);
	void *gone;

	/* Memory that is mapped, and has nothing behind it any more. */
	must(file >= 0 && !ftruncate(file, 4096));
	gone = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
	must(gone != MAP_FAILED && !ftruncate(file, 0));
	must(!pipe(p));
	open_ends();
	must(write(p[1], gone, 100) == -1 && errno == EFAULT);
	must(!munmap(gone, 4096) && !close(file));
	ok(fails(xp_packet_recv(&in, buffer, sizeof(buffer), XP_NONBLOCK), EAGAIN),
	   "a failed write is no end");
	must(!xp_packet_send(&out, "x", 1, 0));
	ok(xp_packet_recv(&in, buffer, sizeof(buffer), 0) == 1, "and the next packet comes");
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	static const denial old[] = { { SCMP_SYS(preadv2), EOPNOTSUPP },
				      { SCMP_SYS(pwritev2), EOPNOTSUPP },
				      { -1, 0 } };
	static const denial no_packets[] = { { SCMP_SYS(pipe2), EINVAL }, { -1, 0 } };

	must(!pipe(p));
	test_both("pipe", 4096);
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p));
	test_both("socket", 0);
	test_mode();
	test_empty_packet();
	tap_denied(old, body_old);
	tap_denied(no_packets, body_emulated);
	return tap_done();
}
