/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * feature.c - the probe table; nothing else in the library probes.
 *
 * Each probe makes the call on private pipes and memfds and looks at what came of it.
 */
#include "extpipe.h"

#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "extpipe/uapi.h"
#include "ret.h"
#include "sys.h"

/* What the probes share: two pipes and a memfd, made anew for each probe. */
struct bench {
	int a[2], b[2];
	int file;
};

typedef void probe_fn(struct bench *bench, struct xp_feature *answer);

static void decide(struct xp_feature *answer, enum xp_support support, int error, const char *why)
{
	answer->support = support;
	answer->error = error;
	answer->why = why;
}

/* A call that answered @n: native, or else whatever @otherwise the library offers. */
static void decide_call(struct xp_feature *answer, ssize_t n, enum xp_support otherwise)
{
	int error = n < 0 ? (int)-n : 0;

	if (!error)
		decide(answer, XP_NATIVE, 0, "the call works");
	else if (error == EPERM || error == EACCES)
		decide(answer, otherwise, error, "the call is denied here");
	else if (error == ENOSYS)
		decide(answer, otherwise, error, "the kernel lacks the call");
	else
		decide(answer, otherwise, error, "the call is refused");
}

static void probe_splice(struct bench *bench, struct xp_feature *answer)
{
	ssize_t n = sys_write(bench->a[1], NULL, "x", 1);

	if (n > 0)
		n = sys_splice(bench->a[0], NULL, bench->b[1], NULL, 1, SPLICE_F_NONBLOCK);
	decide_call(answer, n, XP_EMULATED);
}

static void probe_tee(struct bench *bench, struct xp_feature *answer)
{
	ssize_t n = sys_write(bench->a[1], NULL, "x", 1);

	if (n > 0)
		n = sys_tee(bench->a[0], bench->b[1], 1, SPLICE_F_NONBLOCK);
	decide_call(answer, n, XP_ABSENT);
}

static void probe_vmsplice(struct bench *bench, struct xp_feature *answer)
{
	static const char byte = 'x';
	struct iovec iov = { (void *)(uintptr_t)&byte, 1 };

	decide_call(answer, sys_vmsplice(bench->a[1], &iov, 1, SPLICE_F_NONBLOCK), XP_EMULATED);
}

static void probe_sendfile(struct bench *bench, struct xp_feature *answer)
{
	loff_t offset = 0;
	ssize_t n = sys_write(bench->file, NULL, "x", 1);

	if (n > 0)
		n = sys_sendfile(bench->a[1], bench->file, &offset, 1);
	decide_call(answer, n, XP_EMULATED);
}

static void probe_copy_file_range(struct bench *bench, struct xp_feature *answer)
{
	loff_t from = 0, to = 1;
	ssize_t n = sys_write(bench->file, NULL, "x", 1);

	if (n > 0)
		n = sys_copy_file_range(bench->file, &from, bench->file, &to, 1, 0);
	decide_call(answer, n, XP_EMULATED);
}

static void probe_pipe_size(struct bench *bench, struct xp_feature *answer)
{
	ssize_t size = xp_pipe_set_size(bench->a[1], XP_PIPE_MAX);

	decide_call(answer, size < 0 ? -errno : size, XP_ABSENT);
	if (size > 0) {
		answer->limit = size;
		answer->why = "largest pipe this process may have";
	}
}

static void probe_packet_pipe(struct bench *bench, struct xp_feature *answer)
{
	int packets[2];
	int error = sys_pipe2(packets, O_DIRECT | O_CLOEXEC);

	(void)bench;
	decide_call(answer, error, error == -EINVAL ? XP_EMULATED : XP_ABSENT);
	if (error == -EINVAL)
		answer->why = "no packet mode; a SEQPACKET socket pair serves";
	if (error)
		return;
	answer->limit = PIPE_BUF;
	answer->why = "each write of up to the limit is one packet";
	close(packets[0]);
	close(packets[1]);
}

static void probe_big_packets(struct bench *bench, struct xp_feature *answer)
{
	__u32 limit = 0;
	int error = sys_ioctl(bench->a[1], XP_IOC_PIPE_GET_PACKET_LIMIT, &limit);

	decide_call(answer, error, XP_ABSENT);
	if (error)
		answer->why = "needs a kernel with the extpipe series";
	else
		answer->limit = sys_fcntl(bench->a[1], F_GETPIPE_SZ, 0);
}

/* A notification pipe's read end for @answer's sake, or -errno with @answer decided. */
static int notification_pipe(struct xp_feature *answer)
{
	int queue[2];
	int error = sys_pipe2(queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC);

	decide_call(answer, error, XP_ABSENT);
	if (error == -ENOPKG || error == -EINVAL)
		answer->why = "the kernel is built without notification queues";
	if (error)
		return error;
	close(queue[1]);
	return queue[0];
}

static void probe_notification_pipe(struct bench *bench, struct xp_feature *answer)
{
	int queue = notification_pipe(answer);

	(void)bench;
	if (queue >= 0)
		close(queue);
}

/*
 * keyctl_watch_key() refuses a watch id below -1 with EINVAL before it looks at the key;
 * a kernel without it says EOPNOTSUPP, one without keys ENOSYS.
 */
static void probe_watch_key(struct bench *bench, struct xp_feature *answer)
{
	int queue = notification_pipe(answer);
	long error;

	(void)bench;
	if (queue < 0)
		return;
	error = sys_keyctl(XP_KEYCTL_WATCH_KEY, 0, queue, -2);
	decide_call(answer, error == -EINVAL ? 0 : error, XP_ABSENT);
	close(queue);
}

/*
 * The query says which records there are. The ioctl that begins to watch refuses flags that it
 * doesn't know with EINVAL before it looks at the object; a kernel without it says ENOTTY.
 */
static int watch_type(struct xp_feature *answer, unsigned type)
{
	struct xp_watch_query query = { .size = sizeof(query) };
	struct xp_watch_object object = { .size = sizeof(object), .flags = ~0u, .type = type };
	int queue = notification_pipe(answer);
	int error;

	if (queue < 0)
		return queue;
	error = sys_ioctl(queue, XP_IOC_WATCH_QUEUE_QUERY, &query);
	if (!error && !(query.types & 1ull << type))
		error = -EOPNOTSUPP;
	if (!error) {
		error = sys_ioctl(queue, XP_IOC_WATCH_QUEUE_WATCH, &object);
		error = error == -EINVAL ? 0 : error ? error : -EOPNOTSUPP;
	}
	decide_call(answer, error, XP_ABSENT);
	if (error)
		answer->why = "needs a kernel with the extpipe series";
	close(queue);
	return error;
}

/* What the library makes of a stock kernel's means, which are there if @fd is a descriptor. */
static void stock_serves(struct xp_feature *answer, int fd, const char *why)
{
	if (fd < 0)
		return;
	close(fd);
	answer->support = XP_EMULATED;
	answer->why = why;
}

static void probe_watch_mount(struct bench *bench, struct xp_feature *answer)
{
	(void)bench;
	if (watch_type(answer, XP_WATCH_TYPE_MOUNT))
		stock_serves(answer, sys_open("/proc/thread-self/mountinfo", O_RDONLY),
			     "fanotify and mountinfo serve");
}

static void probe_watch_sb(struct bench *bench, struct xp_feature *answer)
{
	(void)bench;
	if (watch_type(answer, XP_WATCH_TYPE_SB))
		stock_serves(answer, sys_open("/proc/thread-self/mountinfo", O_RDONLY),
			     "fanotify serves for errors, mountinfo for remounts");
}

static void probe_watch_block(struct bench *bench, struct xp_feature *answer)
{
	(void)bench;
	if (watch_type(answer, XP_WATCH_TYPE_BLOCK))
		stock_serves(answer, sys_uevents(0), "uevents serve, but for I/O errors");
}

/* Does a byte changed after vmsplice show in the pipe? */
static void probe_vmsplice_shares(struct bench *bench, struct xp_feature *answer)
{
	size_t len = (size_t)sysconf(_SC_PAGESIZE);
	struct iovec iov = { NULL, len };
	char first = 0;
	ssize_t n;

	iov.iov_base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (iov.iov_base == MAP_FAILED) {
		decide_call(answer, -errno, XP_ABSENT);
		return;
	}
	memset(iov.iov_base, 'a', len);
	n = sys_vmsplice(bench->a[1], &iov, 1, SPLICE_F_NONBLOCK);
	memset(iov.iov_base, 'b', len);
	if (n > 0)
		n = sys_read(bench->a[0], NULL, &first, 1);
	munmap(iov.iov_base, len);
	decide_call(answer, n, XP_ABSENT);
	if (n > 0 && first == 'b')
		answer->why = "the pipe refers to the caller's pages: later writes show";
	else if (n > 0)
		decide(answer, XP_ABSENT, 0, "the pipe holds a copy");
}

/* Does a byte changed in the file after splice show in the pipe? */
static void probe_splice_shares(struct bench *bench, struct xp_feature *answer)
{
	loff_t at = 0, again = 0;
	char first = 0;
	ssize_t n = sys_write(bench->file, NULL, "a", 1);

	if (n > 0)
		n = sys_splice(bench->file, &at, bench->a[1], NULL, 1, SPLICE_F_NONBLOCK);
	if (n > 0)
		n = sys_write(bench->file, &again, "b", 1);
	if (n > 0)
		n = sys_read(bench->a[0], NULL, &first, 1);
	decide_call(answer, n, XP_ABSENT);
	if (n > 0 && first == 'b')
		answer->why = "the pipe refers to page cache: later writes to the file show";
	else if (n > 0)
		decide(answer, XP_ABSENT, 0, "the pipe holds a copy");
}

/*
 * A device that takes splices looks for its mount first and says EPERM, there being none
 * (fuse_dev_splice_write()); a device that takes none says EINVAL.
 */
static void probe_fuse_splice(struct bench *bench, struct xp_feature *answer)
{
	ssize_t n;
	int fuse;

	probe_splice(bench, answer);
	if (answer->support != XP_NATIVE)
		return;
	fuse = sys_open("/dev/fuse", O_RDWR);
	decide_call(answer, fuse, XP_ABSENT);
	if (fuse < 0) {
		answer->why = "/dev/fuse cannot be opened";
		return;
	}
	n = sys_splice(bench->a[0], NULL, fuse, NULL, 1, SPLICE_F_NONBLOCK);
	decide_call(answer, n == -EPERM || n == -EAGAIN ? 0 : n, XP_ABSENT);
	close(fuse);
}

static const struct {
	const char *name;
	probe_fn *run;
} probes[] = {
	[XP_FEATURE_SPLICE] = { "splice", probe_splice },
	[XP_FEATURE_TEE] = { "tee", probe_tee },
	[XP_FEATURE_VMSPLICE] = { "vmsplice", probe_vmsplice },
	[XP_FEATURE_SENDFILE] = { "sendfile", probe_sendfile },
	[XP_FEATURE_COPY_FILE_RANGE] = { "copy-file-range", probe_copy_file_range },
	[XP_FEATURE_PIPE_SIZE] = { "pipe-size", probe_pipe_size },
	[XP_FEATURE_PACKET_PIPE] = { "packet-pipe", probe_packet_pipe },
	[XP_FEATURE_BIG_PACKETS] = { "big-packets", probe_big_packets },
	[XP_FEATURE_NOTIFICATION_PIPE] = { "notification-pipe", probe_notification_pipe },
	[XP_FEATURE_VMSPLICE_SHARES] = { "vmsplice-shares", probe_vmsplice_shares },
	[XP_FEATURE_SPLICE_SHARES] = { "splice-shares", probe_splice_shares },
	[XP_FEATURE_WATCH_KEY] = { "watch-key", probe_watch_key },
	[XP_FEATURE_WATCH_MOUNT] = { "watch-mount", probe_watch_mount },
	[XP_FEATURE_WATCH_SB] = { "watch-sb", probe_watch_sb },
	[XP_FEATURE_WATCH_BLOCK] = { "watch-block", probe_watch_block },
	[XP_FEATURE_FUSE_SPLICE] = { "fuse-splice", probe_fuse_splice },
};
_Static_assert(sizeof(probes) / sizeof(probes[0]) == XP_FEATURE_COUNT, "a feature without a probe");

/* The one thing here that changes: answers, each written once by whoever claims its slot. */
enum { UNKNOWN, CLAIMED, KNOWN };
static struct {
	atomic_int state;
	struct xp_feature answer;
} cache[XP_FEATURE_COUNT];

static int bench_open(struct bench *bench)
{
	int error = sys_pipe2(bench->a, O_CLOEXEC);

	if (error)
		return error;
	error = sys_pipe2(bench->b, O_CLOEXEC);
	if (error)
		goto close_a;
	bench->file = sys_memfd("extpipe-probe");
	if (bench->file >= 0 || bench->file == -ENOSYS || bench->file == -EPERM)
		return 0; /* a file that is denied decides the probes that use it */
	error = bench->file;
	close(bench->b[0]);
	close(bench->b[1]);
close_a:
	close(bench->a[0]);
	close(bench->a[1]);
	return error;
}

static void bench_close(struct bench *bench)
{
	close(bench->a[0]);
	close(bench->a[1]);
	close(bench->b[0]);
	close(bench->b[1]);
	if (bench->file >= 0)
		close(bench->file);
}

int xp_feature(enum xp_feature_id id, struct xp_feature *answer)
{
	struct bench bench;
	int unknown = UNKNOWN;
	int error;

	if ((unsigned)id >= XP_FEATURE_COUNT)
		return (int)ret(-EINVAL);
	if (atomic_load_explicit(&cache[id].state, memory_order_acquire) == KNOWN) {
		*answer = cache[id].answer;
		return 0;
	}
	error = bench_open(&bench);
	if (error)
		return (int)ret(error);
	*answer = (struct xp_feature){ .name = probes[id].name, .limit = -1 };
	probes[id].run(&bench, answer);
	bench_close(&bench);
	if (atomic_compare_exchange_strong(&cache[id].state, &unknown, CLAIMED)) {
		cache[id].answer = *answer;
		atomic_store_explicit(&cache[id].state, KNOWN, memory_order_release);
	}
	return 0;
}
