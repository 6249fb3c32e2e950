// SPDX-License-Identifier: GPL-2.0-or-later
/* I/O that fails on block devices, in each context in which it may end. */
#include "blockdev.h"
#include "undisturbed.h"

#include <linux/aio_abi.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <signal.h>

#define ID 0x5a
#define ALL 0xa5
#define NOTES 512
#define FEW_NOTES 32
#define FLOOD 10000
#define HELD 256   /* what the kernel holds back for a watch */
#define BURST 1024 /* more than that */
#define READ 0     /* enum req_op */
#define WRITE 1
#define DISCARD 3

static char *buffer; /* for direct I/O */

/* Does reading or writing SECTORS at SECTOR fail with EIO? */
static bool fails(int fd, int operation, unsigned int sector, unsigned int sectors)
{
	off_t at = (off_t)sector * SECTOR;
	size_t bytes = (size_t)sectors * SECTOR;
	ssize_t n = operation == READ ? pread(fd, buffer, bytes, at) :
					pwrite(fd, buffer, bytes, at);

	must(n == (ssize_t)bytes || (n < 0 && errno == EIO));
	return n < 0;
}

static int null_start(const char *option)
{
	null_configure("xp0", option, NULL);
	null_set("xp0", "badblocks", "+16-17");
	null_power("xp0", true);
	return open_device("xp0", O_RDWR | O_DIRECT);
}

static void null_end(int fd)
{
	close(fd);
	null_power("xp0", false);
	null_remove("xp0");
}

/* Sectors 16 and 17 are bad. A request fails as a whole. */
static void sectors(const char *irqmode, const char *context)
{
	int fd = null_start(irqmode), queue[2];
	dev_t device = number_of(fd);

	open_watch(queue, NOTES, fd, ID);
	ok(fails(fd, READ, 16, 1) && is_error(queue, ID, device, 16, 1, READ, EIO) &&
		   nothing_more(queue, fd),
	   "%s: a sector can't be read", context);
	ok(fails(fd, WRITE, 17, 1) && is_error(queue, ID, device, 17, 1, WRITE, EIO) &&
		   nothing_more(queue, fd),
	   "%s: a sector can't be written", context);
	ok(fails(fd, READ, 8, 16) && is_error(queue, ID, device, 8, 16, READ, EIO) &&
		   nothing_more(queue, fd),
	   "%s: a longer request is told as it is", context);
	ok(!fails(fd, READ, 18, 8) && !fails(fd, WRITE, 0, 16) && nothing_more(queue, fd),
	   "%s: what succeeds makes no record", context);
	close_both(queue);
	null_end(fd);
}

static void discard(void)
{
	int fd = null_start("discard=1"), queue[2];
	__u64 range[2] = { 8 * SECTOR, 16 * SECTOR };

	open_watch(queue, NOTES, fd, ID);
	ok(ioctl(fd, BLKDISCARD, range) == -1 && errno == EIO &&
		   is_error(queue, ID, number_of(fd), 8, 16, DISCARD, EIO) &&
		   nothing_more(queue, fd),
	   "a discard fails");
	close_both(queue);
	null_end(fd);
}

/* A write that has to be followed by a flush ends twice: its data, and the whole of it. */
static void flushed(void)
{
	int fd = null_start("cache_size=1"), queue[2], synced;

	open_watch(queue, NOTES, fd, ID);
	synced = open_device("xp0", O_RDWR | O_DIRECT | O_DSYNC);
	ok(fails(synced, WRITE, 16, 2) && is_error(queue, ID, number_of(fd), 16, 2, WRITE, EIO) &&
		   nothing_more(queue, fd),
	   "a write through the cache fails: one record");
	close(synced);
	close_both(queue);
	null_end(fd);
}

/* The device's own sectors and number, not those of the partition. */
static void partition(void)
{
	struct blkpg_partition part = { .start = 8 * SECTOR, .length = 64 * SECTOR, .pno = 1 };
	struct blkpg_ioctl_arg change = { .op = BLKPG_ADD_PARTITION, .data = &part };
	int fd = null_start("irqmode=0"), queue[2], inside;

	must(!ioctl(fd, BLKPG, &change));
	inside = open_device("xp0p1", O_RDONLY | O_DIRECT);
	open_watch(queue, NOTES, fd, ID);
	ok(fails(inside, READ, 8, 8) && is_error(queue, ID, number_of(fd), 16, 8, READ, EIO) &&
		   nothing_more(queue, fd),
	   "a partition's sector is told as the device's");
	ok(watch_block(queue, inside, ID, 0) == -EINVAL, "a partition can't be watched: EINVAL");
	close(inside);
	close_both(queue);
	null_end(fd);
}

/*
 * Reads or writes COUNT times SECTORS, STRIDE sectors apart, at once: how many of them fail. It
 * asks for them without a pause, so that who has a processor for itself keeps it.
 */
static int at_once(int fd, int operation, unsigned int sector, unsigned int sectors,
		   unsigned int stride, int count)
{
	struct iocb *calls = calloc((size_t)count, sizeof(*calls));
	struct iocb **list = calloc((size_t)count, sizeof(*list));
	struct io_event *events = calloc((size_t)count, sizeof(*events));
	struct timespec no_wait = { 0 };
	aio_context_t context = 0;
	int i, n, got, failed = 0;

	must(calls && list && events && !syscall(SYS_io_setup, count, &context));
	for (i = 0; i < count; i++) {
		calls[i] = (struct iocb){
			.aio_lio_opcode = operation == READ ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
			.aio_fildes = (__u32)fd,
			.aio_buf = (__u64)(unsigned long)buffer,
			.aio_nbytes = sectors * SECTOR,
			.aio_offset = (__s64)(sector + (unsigned int)i * stride) * SECTOR,
		};
		list[i] = &calls[i];
	}
	must(syscall(SYS_io_submit, context, count, list) == count);
	for (n = 0; n < count; n += got) {
		got = (int)syscall(SYS_io_getevents, context, 0, count - n, events + n, &no_wait);
		must(got >= 0);
	}
	for (i = 0; i < count; i++)
		failed += events[i].res == -EIO;
	must(!syscall(SYS_io_destroy, context));
	free(calls);
	free(list);
	free(events);
	return failed;
}

static void merged(void)
{
	int fd = null_start("irqmode=1"), queue[2];

	open_watch(queue, NOTES, fd, ID);
	ok(at_once(fd, WRITE, 0, 8, 8, 4) == 4 &&
		   is_error(queue, ID, number_of(fd), 0, 32, WRITE, EIO) && nothing_more(queue, fd),
	   "four writes that became one request: one record of all");
	close_both(queue);
	null_end(fd);
}

/* Each device of a stack speaks for itself: a linear target on a bad disk, then an error target. */
static void stacked(void)
{
	struct dm_call create = { 0 }, table = { 0 }, gone = { 0 };
	int below = null_start("irqmode=2"), queue[2], fd;
	dev_t disk = number_of(below), mapped;
	struct xp_block_record halves[3];
	char name[16], words[32];

	mapped = dm_ioctl(&create, DM_DEV_CREATE, "xp_stack");
	snprintf(words, sizeof(words), "%u:%u 0", major(disk), minor(disk));
	dm_target(&table, 0, 64, "linear", words);
	dm_target(&table, 64, 64, "error", "");
	dm_load(&table, "xp_stack");
	snprintf(name, sizeof(name), "dm-%u", minor(mapped));
	fd = open_device(name, O_RDWR | O_DIRECT);
	open_watch(queue, NOTES, -1, ALL);
	ok(fails(fd, READ, 16, 8) && is_error(queue, ALL, disk, 16, 8, READ, EIO) &&
		   is_error(queue, ALL, mapped, 16, 8, READ, EIO) && nothing_more(queue, -1),
	   "the disk fails: its record, then that of the mapped device");
	ok(fails(fd, WRITE, 72, 8) && is_error(queue, ALL, mapped, 72, 8, WRITE, EIO) &&
		   nothing_more(queue, -1),
	   "the mapped device fails by itself: its record alone");
	ok(fails(fd, READ, 48, 32) && is_error(queue, ALL, mapped, 64, 16, READ, EIO) &&
		   nothing_more(queue, -1),
	   "the second half of what was split fails: that half is told");
	halves[0] = error_record(ALL, disk, 8, 56, READ, EIO);
	halves[1] = error_record(ALL, mapped, 8, 56, READ, EIO);
	halves[2] = error_record(ALL, mapped, 64, 8, READ, EIO);
	ok(fails(fd, READ, 8, 64) && are_records(queue, halves, 3) && nothing_more(queue, -1),
	   "both halves fail: a record of each, and of the disk");
	close_both(queue);
	close(fd);
	dm_ioctl(&gone, DM_DEV_REMOVE, "xp_stack");
	null_end(below);
}

/* The file of a loop device becomes shorter, and the device does not know. */
static void truncated(void)
{
	int number, fd, file = sectors_file(100), queue[2];
	char name[16];
	dev_t device;

	number = loop_add(name);
	fd = open_device(name, O_RDWR | O_DIRECT);
	device = number_of(fd);
	must(!ioctl(fd, LOOP_SET_FD, file));
	open_watch(queue, NOTES, fd, ID);
	must(!ftruncate(file, 40 * SECTOR));
	ok(!fails(fd, READ, 0, 40) && nothing_more(queue, fd),
	   "a loop device's file is truncated: what it still has can be read");
	ok(fails(fd, READ, 40, 8) && is_error(queue, ID, device, 40, 8, READ, EIO) &&
		   nothing_more(queue, fd),
	   "what is beyond its end can't");
	ok(fails(fd, READ, 32, 24) && is_error(queue, ID, device, 40, 16, READ, EIO) &&
		   nothing_more(queue, fd),
	   "of a request across the end, what is beyond it is told");
	ok(!fails(fd, WRITE, 56, 8) && !fails(fd, READ, 32, 32) && nothing_more(queue, fd),
	   "a write makes the file longer, and what is before it can be read");
	must(!ioctl(fd, LOOP_SET_CAPACITY));
	ok(is_change(queue, ID, device, XP_WATCH_BLOCK_RESIZED, 64) && nothing_more(queue, fd),
	   "the device is told: another capacity");
	ok(pread(fd, buffer, SECTOR, 64 * SECTOR) == 0 && nothing_more(queue, fd),
	   "beyond which nothing is a request any more");
	must(!ioctl(fd, LOOP_CLR_FD));
	close(fd);
	close(file);
	loop_remove(number);
	close_both(queue);
}

/* A disk in which all is bad. */
static int bad_start(const char *irqmode)
{
	null_configure("xp0", "size=8", irqmode, "hw_queue_depth=1024", "submit_queues=1",
		       "completion_nsec=20000000", NULL);
	null_set("xp0", "badblocks", "+0-16383");
	null_power("xp0", true);
	return open_device("xp0", O_RDONLY | O_DIRECT);
}

/* Is it, each byte of it, the record that one sector could not be read, whichever? */
static bool is_bad_sector(const union bytes *got, unsigned int id, dev_t disk)
{
	const struct xp_block_record wanted = error_record(id, disk, got->block.sector, 1, READ,
							   EIO);

	return !memcmp(got, &wanted, sizeof(wanted));
}

struct tally {
	u64 next;                    /* the sector that would come next */
	u64 records, gaps, missed;   /* missed: sectors in the gaps */
	bool lost, silent, needless; /* LOSS came; a gap without it; LOSS without a gap */
	bool strange;                /* neither a sector nor LOSS */
};

/* Takes one record: a sector of a flood that has only ascending ones, or a loss. */
static void count(struct tally *tally, const union bytes *got, dev_t disk)
{
	u64 missed = got->block.sector - tally->next;

	if (tells_loss(got)) {
		tally->lost = true;
		return;
	}
	tally->strange |= !is_bad_sector(got, ID, disk);
	tally->silent |= missed && !tally->lost;
	tally->needless |= !missed && tally->lost;
	tally->gaps += missed > 0;
	tally->missed += missed;
	tally->records++;
	tally->next = got->block.sector + 1;
	tally->lost = false;
}

/* All that is queued. */
static void read_all(const int queue[2], struct tally *tally, dev_t disk)
{
	union bytes record;

	while (next_record(queue[0], &record, 0) > 0)
		count(tally, &record, disk);
}

/* Ten thousand errors, one after the other; the reader looks when it is too late for many. */
static void flood(void)
{
	int fd = bad_start("irqmode=1"), queue[2], turn[2], status;
	dev_t disk = number_of(fd);
	struct tally tally = { 0 };
	unsigned int i;
	pid_t child;

	open_watch(queue, FEW_NOTES, fd, ID);
	must(!pipe2(turn, O_CLOEXEC));
	child = fork();
	must(child >= 0);
	if (!child) {
		for (i = 0; i < FLOOD; i++) {
			must(fails(fd, READ, i, 1));
			if (i == FLOOD / 10)
				must(write(turn[1], "", 1) == 1);
		}
		_exit(0);
	}
	must(read(turn[0], &status, 1) == 1);
	while (!waitpid(child, &status, WNOHANG))
		read_all(queue, &tally, disk);
	must(status == 0 && watch_block(queue, fd, 0, 0) == -EBUSY);
	read_all(queue, &tally, disk);
	tally.silent |= tally.next != FLOOD && !tally.lost;
	tally.missed += FLOOD - tally.next;
	printf("# %ju records, %ju gaps of %ju in all\n", (uintmax_t)tally.records,
	       (uintmax_t)tally.gaps, (uintmax_t)tally.missed);
	ok(tally.missed > FLOOD / 20 && tally.records >= FEW_NOTES, "%d errors: many are lost",
	   FLOOD);
	ok(!tally.strange && tally.records + tally.missed == FLOOD,
	   "what came, byte by byte, and what is missing are all of them");
	ok(!tally.silent, "where some are missing, the loss was told");
	ok(!tally.needless, "and nowhere else");
	close_both(turn);
	close_both(queue);
	null_end(fd);
}

/*
 * BURST errors, four sectors apart, all of which end before the kernel gets to post the first: it
 * does that on the processor whose timer ended them, and this process has that for itself. It
 * sleeps for no request, because there are as many as the disk takes.
 */
static void at_one_blow(int fd)
{
	struct undisturbed before = begin_undisturbed();
	int failed = at_once(fd, READ, 0, 1, 4, BURST);

	end_undisturbed(&before);
	must(failed == BURST);
}

/* More errors than are held back for a watch, and room for all in the queue. */
static void burst(void)
{
	int fd = bad_start("irqmode=2"), queue[2];
	dev_t disk = number_of(fd);
	unsigned int i;

	open_watch(queue, NOTES, fd, ID);
	at_one_blow(fd);
	for (i = 0; i < HELD && is_error(queue, ID, disk, 4 * i, 1, READ, EIO); i++)
		;
	ok(i == HELD && is_loss(queue[0]) && nothing_more(queue, fd),
	   "%d errors at once: %d, and then that the others are lost", BURST, HELD);
	ok(fails(fd, READ, 9999, 1) && is_error(queue, ID, disk, 9999, 1, READ, EIO) &&
		   nothing_more(queue, fd),
	   "the next error is told as ever");
	close_both(queue);
	null_end(fd);
}

/* Waits for the signal, which is blocked: did it come? */
static bool signalled(int signal)
{
	const struct timespec patience = { .tv_sec = WAIT_MS / 1000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	return sigtimedwait(&set, NULL, &patience) == signal;
}

/* A filter that lets no error pass, but that the device is removed. */
static void filter_errors(const int queue[2])
{
	struct filter filter = { .count = 1, .types[0] = { .type = XP_WATCH_TYPE_BLOCK } };

	filter.types[0].subtypes[0] = 1u << XP_WATCH_BLOCK_REMOVED;
	must(!ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
}

/*
 * The filter lets no error pass, so that the queue stays empty: but that some were lost before they
 * came to the filter has to be told, to a reader that waits for a signal too.
 */
static void loss_signalled(void)
{
	int fd = bad_start("irqmode=2"), queue[2];
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	must(!sigprocmask(SIG_BLOCK, &set, NULL));
	open_watch(queue, FEW_NOTES, fd, ID);
	filter_errors(queue);
	must(!fcntl(queue[0], F_SETOWN, getpid()) &&
	     !fcntl(queue[0], F_SETFL, O_NONBLOCK | O_ASYNC));
	at_one_blow(fd);
	ok(is_loss(queue[0]) && nothing_more(queue, fd),
	   "errors that no filter lets pass, and too many: the loss alone");
	ok(signalled(SIGIO), "which is told by SIGIO to who asked for it");
	close_both(queue);
	must(signal(SIGIO, SIG_IGN) != SIG_ERR); /* one more may be pending */
	must(!sigprocmask(SIG_UNBLOCK, &set, NULL) && signal(SIGIO, SIG_DFL) != SIG_ERR);
	null_end(fd);
}

/* Is the next record one of an error, from either watch of the queue? */
static bool is_some_error(const int queue[2], dev_t disk)
{
	union bytes got;
	ssize_t n = next_record(queue[0], &got, WAIT_MS);

	if (is_bad_sector(&got, ID, disk) || is_bad_sector(&got, ALL, disk))
		return true;
	show(&got, n);
	return false;
}

/*
 * The disk has gone while errors came, of which the filter lets none pass. If more came than can be
 * held back, its removal may be among those that are lost; but then the loss is told.
 */
static bool is_end_amid_errors(const int queue[2], dev_t disk)
{
	const struct xp_block_record removal = change_record(ID, disk, XP_WATCH_BLOCK_REMOVED, 0);
	const union bytes end = end_record(ID, disk);
	bool removed = false, lost = false;
	union bytes got;
	ssize_t n;

	while ((n = next_record(queue[0], &got, WAIT_MS)) > 0) {
		if (tells_loss(&got))
			lost = true;
		else if (!removed && !memcmp(&got, &removal, sizeof(removal)))
			removed = true;
		else
			break;
	}
	if ((removed || lost) && !memcmp(&got, &end, sizeof(end)))
		return true;
	show(&got, n);
	return false;
}

/* Errors come in interrupts while watches and queues come and go, and then the disk. */
static void together(void)
{
	int fd = bad_start("irqmode=2"), queue[2], status, i, seen = 0;
	dev_t disk = number_of(fd);
	pid_t child = fork();

	must(child >= 0);
	if (!child) {
		close(STDOUT_FILENO); /* it breaks when the disk goes */
		for (;;)
			at_once(fd, READ, 0, 1, 4, 64);
	}
	for (i = 0; i < 200; i++) {
		open_watch(queue, FEW_NOTES, fd, ID);
		must(!watch_block(queue, -1, ALL, 0));
		if (i % 2)
			must(!watch_block(queue, fd, ID, XP_WATCH_REMOVE));
		if (i % 8 == 0)
			seen += is_some_error(queue, disk);
		close_both(queue);
	}
	ok(seen == 25, "watches come and go while errors do");
	open_queue(queue, FEW_NOTES);
	filter_errors(queue);
	must(!watch_block(queue, fd, ID, 0));
	null_power("xp0", false);
	ok(is_end_amid_errors(queue, disk) && !readable(queue[0]),
	   "the disk goes meanwhile: the watch ends");
	must(!kill(child, SIGKILL) && waitpid(child, &status, 0) == child);
	close(fd);
	close_both(queue);
	null_remove("xp0");
}

int main(void)
{
	int queue[2];

	open_queue(queue, FEW_NOTES);
	mended(watch_block(queue, -1, ALL, 0) == 0, "errors of block devices can be watched");
	close_both(queue);
	if (on_base())
		return tap_done();
	must(!posix_memalign((void **)&buffer, 4096, 64 * SECTOR));
	sectors("irqmode=0", "ended where it began");
	sectors("irqmode=1", "ended in a soft interrupt");
	sectors("irqmode=2", "ended in a timer's interrupt");
	discard();
	flushed();
	partition();
	merged();
	stacked();
	truncated();
	flood();
	burst();
	loss_signalled();
	together();
	return tap_done();
}
