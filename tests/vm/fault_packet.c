// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets larger than a page, without memory: all of a packet or nothing, and a pipe as it was. */
#include "packet.h"

#include "fault.h"

#define LENGTH (4 * PAGE + 10)
#define FIRST (2 * PAGE + 1)
#define SEED 7
#define FIRST_SEED 3

/* The pipe, and what its packets go to. */
static int fds[2], to[2];
static unsigned char packet[LENGTH], room[CAPACITY];

/* ------------------------------------------------------------------ writing */

static void prepare_empty(void)
{
	open_packets(fds, LENGTH, O_NONBLOCK);
	fill(packet, LENGTH, SEED);
}

/* One packet is there already. */
static void prepare_second(void)
{
	prepare_empty();
	must(put(fds[1], FIRST, FIRST_SEED) == FIRST);
}

/* There is room for a packet, and no more than that. */
static void prepare_narrow(void)
{
	must(!pipe2(fds, O_DIRECT | O_CLOEXEC | O_NONBLOCK));
	must(fcntl(fds[1], F_SETPIPE_SZ, 8 * PAGE) == 8 * PAGE);
	must(set_limit(fds[1], LENGTH) || on_base());
	fill(packet, LENGTH, SEED);
	must(put(fds[1], FIRST, FIRST_SEED) == FIRST);
}

static long write_packet(void)
{
	return outcome(write(fds[1], packet, LENGTH));
}

static long writev_packet(void)
{
	struct iovec parts[] = { { packet, 10 },
				 { packet + 10, PAGE },
				 { packet + 10 + PAGE, LENGTH - PAGE - 10 } };

	return outcome(writev(fds[1], parts, 3));
}

static bool is_still_empty(void)
{
	return is_empty(fds[0]) && next_packet(fds[0]) == 0 && writable(fds[1]) &&
	       fails(read(fds[0], room, sizeof(room)), EAGAIN);
}

static bool has_first(void)
{
	return queued(fds[0]) == FIRST && next_packet(fds[0]) == FIRST && readable(fds[0]);
}

static bool has_first_and_room(void)
{
	return has_first() && writable(fds[1]);
}

static bool is_there(void)
{
	return next_packet(fds[0]) == LENGTH && readable(fds[0]) && take(fds[0], LENGTH, SEED) &&
	       is_still_empty();
}

static bool written(long result)
{
	return result == LENGTH && queued(fds[0]) == LENGTH && is_there();
}

static bool written_second(long result)
{
	return result == LENGTH && queued(fds[0]) == FIRST + LENGTH &&
	       take(fds[0], FIRST, FIRST_SEED) && is_there();
}

static bool written_narrow(long result)
{
	return !writable(fds[1]) && written_second(result);
}

/* ------------------------------------------------------------------ reading */

/* And another one behind it. */
static void prepare_reading(void)
{
	prepare_second();
	must(put(fds[1], LENGTH, SEED) == LENGTH);
	memset(room, 0, sizeof(room));
}

static long read_first(void)
{
	return outcome(read(fds[0], room, sizeof(room)));
}

static long readv_first(void)
{
	struct iovec parts[] = { { room, 10 }, { room + 10, PAGE }, { room + 10 + PAGE, PAGE } };

	return outcome(readv(fds[0], parts, 3));
}

/* The rest of the packet is lost, as ever. */
static long read_some(void)
{
	return outcome(read(fds[0], room, PAGE + 1));
}

static bool has_both(void)
{
	return queued(fds[0]) == FIRST + LENGTH && next_packet(fds[0]) == FIRST;
}

static bool first_read(long result)
{
	return result == FIRST && holds(room, FIRST, FIRST_SEED) && is_there();
}

static bool some_read(long result)
{
	return result == PAGE + 1 && holds(room, PAGE + 1, FIRST_SEED) && is_there();
}

/* ------------------------------------------------------------------ to another place */

/* Bytes leave a pipe one buffer after another: what is left of the first packet is one. */
static bool rest_is_there(long taken)
{
	long left = FIRST - taken;

	return left >= 0 && queued(fds[0]) == left + LENGTH &&
	       (!left || (next_packet(fds[0]) == left &&
			  read(fds[0], room + taken, sizeof(room) - (size_t)taken) == left)) &&
	       holds(room, FIRST, FIRST_SEED) && is_there();
}

static void prepare_file(void)
{
	prepare_reading();
	to[0] = to[1] = memfd_create("packets", MFD_CLOEXEC);
	must(to[0] >= 0);
}

static long splice_to_file(void)
{
	return outcome(splice(fds[0], NULL, to[1], NULL, FIRST, SPLICE_F_NONBLOCK));
}

static bool not_spliced(void)
{
	return has_both() && !lseek(to[1], 0, SEEK_END);
}

static bool spliced_to_file(long result)
{
	return result > 0 && lseek(to[1], 0, SEEK_END) == result &&
	       pread(to[1], room, sizeof(room), 0) == result && rest_is_there(result);
}

static void clean_file(void)
{
	close_both(fds);
	close(to[0]);
}

static long vmsplice_to_memory(void)
{
	struct iovec memory = { room, FIRST };

	return outcome(vmsplice(fds[0], &memory, 1, SPLICE_F_NONBLOCK));
}

static bool vmspliced(long result)
{
	return result > 0 && rest_is_there(result);
}

static void prepare_pipes(void)
{
	prepare_reading();
	must(!pipe2(to, O_CLOEXEC | O_NONBLOCK));
}

static long tee_first(void)
{
	return outcome(tee(fds[0], to[1], FIRST, 0));
}

static long splice_first(void)
{
	return outcome(splice(fds[0], NULL, to[1], NULL, FIRST, 0));
}

static bool is_copied(void)
{
	return next_packet(to[0]) == FIRST && take(to[0], FIRST, FIRST_SEED) && is_empty(to[0]);
}

static bool teed(long result)
{
	return result == FIRST && is_copied() && has_both() && take(fds[0], FIRST, FIRST_SEED) &&
	       is_there();
}

static bool spliced(long result)
{
	return result == FIRST && is_copied() && is_there();
}

static void clean_pipes(void)
{
	close_both(fds);
	close_both(to);
}

/* ------------------------------------------------------------------ the pipe itself */

static long enlarge(void)
{
	return outcome(fcntl(fds[1], F_SETPIPE_SZ, 4 * CAPACITY));
}

static bool is_as_large(void)
{
	return fcntl(fds[1], F_GETPIPE_SZ) == CAPACITY && get_limit(fds[1]) == LENGTH && has_both();
}

static bool enlarged(long result)
{
	return result == 4 * CAPACITY && fcntl(fds[1], F_GETPIPE_SZ) == 4 * CAPACITY &&
	       get_limit(fds[1]) == LENGTH && set_limit(fds[1], 4 * CAPACITY) && has_both() &&
	       take(fds[0], FIRST, FIRST_SEED) && is_there();
}

static void clean(void)
{
	close_both(fds);
}

static const struct operation operations[] = {
	{ "write", prepare_empty, write_packet, is_still_empty, written, clean },
	{ "writev", prepare_empty, writev_packet, is_still_empty, written, clean },
	{ "write behind a packet", prepare_second, write_packet, has_first_and_room, written_second,
	  clean },
	{ "write that fills the pipe", prepare_narrow, write_packet, has_first_and_room,
	  written_narrow, clean },
	{ "read", prepare_reading, read_first, has_both, first_read, clean },
	{ "readv", prepare_reading, readv_first, has_both, first_read, clean },
	{ "read with room for a part", prepare_reading, read_some, has_both, some_read, clean },
	{ "splice to a file", prepare_file, splice_to_file, not_spliced, spliced_to_file,
	  clean_file },
	{ "vmsplice to memory", prepare_reading, vmsplice_to_memory, has_both, vmspliced, clean },
	{ "a larger pipe", prepare_reading, enlarge, is_as_large, enlarged, clean },
};

/* These ask for nothing that could be refused. */
static const struct operation between[] = {
	{ "tee needs no memory", prepare_pipes, tee_first, has_both, teed, clean_pipes },
	{ "nor does splice", prepare_pipes, splice_first, has_both, spliced, clean_pipes },
};

int main(void)
{
	bool refused;

	alarm(PATIENCE);
	open_injection(ANY_PAGE);
	REFUSE_EACH(operations);
	for (unsigned int i = 0; i < sizeof(between) / sizeof(between[0]); i++)
		mended(attempt(&between[i], 1, &refused) && !refused, between[i].name);
	return tap_done();
}
