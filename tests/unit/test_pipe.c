/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pipes: created, described, sized, switched. */
#include <extpipe.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "tap.h"

#define fails(call, error) (errno = 0, (call) == -1 && errno == (error))

static int p[2];

static void test_info(void)
{
	struct xp_pipe_info info;

	must(!xp_pipe2(p, O_CLOEXEC));
	ok(!xp_pipe_info(p[1], &info) && info.size == 65536 && info.slots == 16 && !info.queued &&
		   info.write_end && !info.read_end && info.mode == XP_PIPE_STREAM &&
		   !info.packet_limit && !info.peer_gone,
	   "a new pipe's write end is described");
	must(write(p[1], "hello", 5) == 5);
	ok(!xp_pipe_info(p[0], &info) && info.queued == 5 && info.read_end && !info.write_end,
	   "a read end with five bytes is described");
	close(p[1]);
	ok(!xp_pipe_info(p[0], &info) && info.peer_gone, "no writer is seen");
	close(p[0]);
	must(!xp_pipe2(p, 0));
	close(p[0]);
	ok(!xp_pipe_info(p[1], &info) && info.peer_gone, "no reader is seen");
	close(p[1]);
}

static void test_size(void)
{
	must(!xp_pipe2(p, 0));
	ok(xp_pipe_set_size(p[0], 5000) == 8192, "a size is rounded up");
	ok(xp_pipe_set_size(p[0], 1) == 4096, "one page is the least");
	ok(xp_pipe_set_size(p[1], XP_PIPE_MAX) >= 65536, "the largest is at least the default");
	ok(fails(xp_pipe_set_size(p[1], 0), EINVAL), "0 is refused");
	ok(fails(xp_pipe_set_size(p[1], (size_t)1 << 31), EINVAL), "2 GiB is refused");
	must(xp_pipe_set_size(p[1], 8192) == 8192);
	for (int i = 0; i < 2; i++)
		must(write(p[1], (char[4096]){ 0 }, 4096) == 4096);
	ok(fails(xp_pipe_set_size(p[1], 4096), EBUSY), "below what is queued: EBUSY");
	close(p[0]);
	close(p[1]);
}

/* One read gives one packet of  bytes. */
static bool packet(size_t len)
{
	char bytes[8];

	return read(p[0], bytes, sizeof(bytes)) == (ssize_t)len;
}

static void test_mode(void)
{
	struct xp_pipe_info info;
	char byte[8];

	must(!xp_pipe2(p, 0));
	must(write(p[1], "x", 1) == 1);
	ok(fails(xp_pipe_set_mode(p[1], XP_PIPE_PACKET), EBUSY), "queued stream data: EBUSY");
	must(read(p[0], byte, 1) == 1);
	ok(!xp_pipe_set_mode(p[1], XP_PIPE_PACKET), "an empty pipe is switched");
	ok(!xp_pipe_info(p[1], &info) && info.mode == XP_PIPE_PACKET && info.packet_limit == 4096,
	   "packet mode and its limit are seen");
	must(write(p[1], "ab", 2) == 2 && write(p[1], "cde", 3) == 3);
	ok(packet(2) && packet(3), "each write is one packet");
	must(write(p[1], "fg", 2) == 2 && !xp_pipe_set_mode(p[1], XP_PIPE_STREAM));
	ok(!xp_pipe_set_mode(p[1], XP_PIPE_PACKET), "queued packets are no hindrance");
	must(write(p[1], "h", 1) == 1);
	ok(packet(2) && packet(1), "and stay apart from the next");
	must(write(p[1], "ij", 2) == 2 && !xp_pipe_set_mode(p[1], XP_PIPE_STREAM));
	must(write(p[1], "stream", 6) == 6);
	ok(fails(xp_pipe_set_mode(p[1], XP_PIPE_PACKET), EBUSY),
	   "stream data behind a packet: EBUSY");
	must(packet(2) && packet(6));
	ok(!xp_pipe_set_mode(p[1], XP_PIPE_STREAM) && !xp_pipe_info(p[1], &info) &&
		   info.mode == XP_PIPE_STREAM,
	   "and back");
	ok(fails(xp_pipe_set_mode(p[0], XP_PIPE_PACKET), EINVAL), "the read end has no mode");
	ok(fails(xp_pipe_set_mode(p[1], XP_PIPE_NOTIFICATION), EINVAL), "no other mode can be set");
	ok(fails(xp_pipe_set_packet_limit(p[1], 0), EINVAL), "a packet limit of 0 is refused");
	ok(xp_pipe_set_packet_limit(p[1], 8192) == 0 || errno == EOPNOTSUPP,
	   "big packets: served, or EOPNOTSUPP");
	close(p[0]);
	close(p[1]);
}

/* A pipe that is full, of the largest size: no duplicate of it has a slot to spare. */
static void test_full(void)
{
	static const char name[] = "a full pipe of packets is switched, one of stream data is not";
	bool packets, stream;

	must(!pipe2(p, O_NONBLOCK | O_DIRECT) && xp_pipe_set_size(p[1], XP_PIPE_MAX) > 0);
	while (write(p[1], "ab", 2) == 2)
		;
	must(errno == EAGAIN && !xp_pipe_set_mode(p[1], XP_PIPE_STREAM));
	packets = !xp_pipe_set_mode(p[1], XP_PIPE_PACKET);
	close(p[0]);
	close(p[1]);
	must(!pipe2(p, O_NONBLOCK) && xp_pipe_set_size(p[1], XP_PIPE_MAX) > 0);
	while (write(p[1], name, sizeof(name)) > 0)
		;
	stream = fails(xp_pipe_set_mode(p[1], XP_PIPE_PACKET), EBUSY);
	ok(packets && stream, "%s", name);
	close(p[0]);
	close(p[1]);
}

static void test_no_pipe(void)
{
	struct xp_pipe_info info;
	int file = tap_file(1);

	ok(fails(xp_pipe_info(file, &info), EINVAL), "a file: EINVAL");
	ok(fails(xp_pipe_set_size(file, 4096), EINVAL), "a file has no pipe size");
	ok(fails(xp_pipe_set_mode(file, XP_PIPE_PACKET), EINVAL), "a file has no mode");
	close(file);
	ok(fails(xp_pipe_info(file, &info), EBADF), "a closed descriptor: EBADF");
	ok(fails(xp_pipe_set_size(-1, 4096), EBADF), "-1: EBADF");
	ok(fails(xp_pipe2(p, 1 << 30), EINVAL), "an unknown flag: EINVAL");
}

/* pipe2(O_DIRECT) refused with EINVAL: everything is, here, and O_DIRECT alone is emulated. */
static void body_no_packets(void)
{
	char byte[8];

	ok(!xp_pipe2(p, O_DIRECT | O_CLOEXEC), "a socket pair serves for packets");
	must(write(p[1], "ab", 2) == 2 && write(p[1], "cde", 3) == 3);
	ok(packet(2) && packet(3), "it keeps boundaries");
	close(p[1]);
	ok(!read(p[0], byte, sizeof(byte)), "its end is seen");
	close(p[0]);
	must(!xp_pipe2(p, O_DIRECT));
	close(p[0]);
	ok(send(p[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE, "its dead reader is seen");
	ok(fails(xp_pipe2(p, O_CLOEXEC), EINVAL), "other flags are not");
}

int main(void)
{
	static const denial no_packets[] = { { SCMP_SYS(pipe2), EINVAL }, { -1, 0 } };

	test_info();
	test_size();
	test_mode();
	test_full();
	test_no_pipe();
	tap_denied(no_packets, body_no_packets);
	return tap_done();
}
