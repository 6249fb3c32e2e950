// SPDX-License-Identifier: GPL-2.0-or-later
/* A write whose copy from user space fails leaves nothing in the pipe. */
#include "vm.h"

#define PAGE 4096

/* Two pages, of which the second can't be read. */
static char *half_mapped(void)
{
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);

	must(memory != MAP_FAILED);
	memset(memory, 'x', PAGE);
	must(!mprotect(memory + PAGE, PAGE, PROT_NONE));
	return memory;
}

static bool faults(int fd, const char *memory, size_t len)
{
	return write(fd, memory, len) == -1 && errno == EFAULT;
}

/* What a reader with O_NONBLOCK finds: a length, or -1 for EAGAIN. */
static ssize_t found(int fd)
{
	static char buffer[2 * PAGE];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	must(n >= 0 || errno == EAGAIN);
	return n;
}

static void first_page(const char *bad)
{
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	ok(faults(fds[1], bad, 10), "a packet from memory that can't be read: EFAULT");
	ok(queued(fds[0]) == 0, "no bytes are queued");
	mended(!readable(fds[0]), "poll does not report a packet");
	mended(found(fds[0]) == -1, "a non-blocking read gets EAGAIN, not an end of file");
	must(write(fds[1], "good", 4) == 4);
	ok(found(fds[0]) == 4, "the next packet arrives whole");
	ok(found(fds[0]) == -1, "nothing follows it");
	close_both(fds);
}

static void second_page(const char *memory)
{
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	ok(write(fds[1], memory, PAGE + 10) == PAGE, "a fault in the second page: a short write");
	ok(found(fds[0]) == PAGE, "the first page is a packet");
	mended(!readable(fds[0]), "poll does not report another");
	mended(found(fds[0]) == -1, "a read does not find one");
	close_both(fds);
}

static void many(const char *bad)
{
	int fds[2], slots, i;

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK));
	slots = fcntl(fds[1], F_GETPIPE_SZ) / PAGE;
	for (i = 0; i < slots; i++)
		must(faults(fds[1], bad, 10));
	mended(write(fds[1], "good", 4) == 4, "as many faults as slots leave room for a packet");
	mended(found(fds[0]) == 4, "which is the first that a reader gets");
	close_both(fds);
}

static void stream(const char *bad)
{
	int fds[2];

	must(!pipe2(fds, O_NONBLOCK));
	must(faults(fds[1], bad, 10));
	mended(!readable(fds[0]), "without packets, poll does not report data either");
	must(write(fds[1], "good", 4) == 4 && write(fds[1], "!", 1) == 1);
	ok(found(fds[0]) == 5, "and later writes merge");
	close_both(fds);
}

static void fifo(const char *bad)
{
	char path[] = "/tmp/fifo.XXXXXX";
	int fd;

	must(mkdtemp(path));
	must(!rmdir(path) && !mkfifo(path, 0600));
	fd = open(path, O_RDWR | O_NONBLOCK);
	must(fd >= 0 && !fcntl(fd, F_SETFL, O_NONBLOCK | O_DIRECT));
	must(faults(fd, bad, 10));
	mended(!readable(fd), "nor does it on a FIFO in packet mode");
	close(fd);
	unlink(path);
}

/* A reader that sleeps must not be sent away with an end of file. */
static void blocked_reader(const char *bad)
{
	int fds[2], status;
	pid_t child;

	must(!pipe2(fds, O_DIRECT));
	must(faults(fds[1], bad, 10));
	child = fork();
	must(child >= 0);
	if (!child) {
		char buffer[PAGE];

		_exit(read(fds[0], buffer, sizeof(buffer)) == 4 ? 0 : 1);
	}
	usleep(200000);
	must(write(fds[1], "good", 4) == 4);
	must(waitpid(child, &status, 0) == child);
	mended(status == 0, "a blocking reader gets the packet that follows, not an end of file");
	close_both(fds);
}

int main(void)
{
	char *memory = half_mapped(), *bad = memory + PAGE;

	first_page(bad);
	second_page(memory);
	many(bad);
	stream(bad);
	fifo(bad);
	blocked_reader(bad);
	return tap_done();
}
