/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * extpipe.h - the whole public interface of libextpipe.
 *
 * Conventions
 * -----------
 * Every function that fails returns -1 and sets errno, as libc does. The errno
 * values listed beside a function are part of its interface.
 *
 * "Not here" is said of a call that this kernel lacks or denies. It is
 * recognised by ENOSYS, EPERM, EOPNOTSUPP or EINVAL on the first attempt,
 * before any byte has moved.
 *
 * Thread safety: unless a function says otherwise, any thread may call any
 * function at any time; two threads must not work on the same struct, or on the
 * same descriptor, at once. The wrappers may be called from a signal handler,
 * nothing else may.
 *
 * The library uses no stdio, environment, signals, threads or locks, and never
 * changes the flags of a descriptor that it was given (xp_pipe_set_mode() apart,
 * whose purpose that is). It does not ignore SIGPIPE: a caller that wants EPIPE
 * ignores the signal itself.
 */
#ifndef EXTPIPE_H
#define EXTPIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* Strict C hides it; splice(2) and its kin are declared with it. */
#ifdef __GLIBC__
typedef __loff_t loff_t;
#endif

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define XP_API __attribute__((visibility("default")))
#define XP_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define XP_MUST_CHECK __attribute__((warn_unused_result))
#else
#define XP_API
#define XP_NONNULL(...)
#define XP_MUST_CHECK
#endif

/*
 * xp_version - the version of the library that is loaded, as "0.1.0".
 *
 * Returns: a static string, never NULL.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API const char *xp_version(void);

/* ------------------------------------------------------------------ probes */

/* What a kernel can be asked about. Calls first, then behaviour, then sources. */
enum xp_feature_id {
	XP_FEATURE_SPLICE,            /* splice(2) */
	XP_FEATURE_TEE,               /* tee(2) */
	XP_FEATURE_VMSPLICE,          /* vmsplice(2) */
	XP_FEATURE_SENDFILE,          /* sendfile(2) */
	XP_FEATURE_COPY_FILE_RANGE,   /* copy_file_range(2) */
	XP_FEATURE_PIPE_SIZE,         /* F_SETPIPE_SZ; limit: largest pipe, bytes */
	XP_FEATURE_PACKET_PIPE,       /* pipe2(O_DIRECT); limit: packet, bytes */
	XP_FEATURE_BIG_PACKETS,       /* packets larger than a page; limit: bytes */
	XP_FEATURE_NOTIFICATION_PIPE, /* pipe2(O_NOTIFICATION_PIPE) */
	XP_FEATURE_VMSPLICE_SHARES,   /* native: the pipe shares the caller's pages */
	XP_FEATURE_SPLICE_SHARES,     /* native: the pipe shares page cache */
	XP_FEATURE_WATCH_KEY,         /* key and keyring notifications */
	XP_FEATURE_WATCH_MOUNT,       /* mount-tree notifications */
	XP_FEATURE_WATCH_SB,          /* superblock notifications */
	XP_FEATURE_WATCH_BLOCK,       /* block-layer notifications */
	XP_FEATURE_FUSE_SPLICE,       /* splice into /dev/fuse */
	XP_FEATURE_COUNT
};

enum xp_support {
	XP_ABSENT,   /* nothing serves it here */
	XP_EMULATED, /* the library serves it by other means */
	XP_NATIVE,   /* the kernel serves it */
};

struct xp_feature {
	const char *name;        /* as xprobe prints it, "packet-pipe" */
	enum xp_support support; /* for behaviour: XP_NATIVE yes, XP_ABSENT no */
	int error;               /* errno that decided it, 0 if none */
	int64_t limit;           /* the limit named above, -1 if there is none */
	const char *why;         /* one static phrase */
};

/*
 * xp_feature - what this kernel does, found out by experiment.
 *
 * @id: which feature.
 * @answer: filled in on success.
 *
 * The first question about a feature runs its probe; the answer is kept for the
 * life of the process and inherited over fork(2). A probe works on private pipes
 * and memfds, needs no privilege, and tells "denied here" (EPERM) from "absent"
 * (ENOSYS) in @answer->error. XP_FEATURE_FUSE_SPLICE alone opens a device,
 * /dev/fuse, and closes it again unused. Two threads that ask first at once both
 * probe and find the same.
 *
 * Returns: 0, or -1 with errno
 *   EINVAL  @id is no feature.
 *   EMFILE, ENFILE, ENOMEM  the probe could not be made; a later call tries again.
 * Since: 0.1.0
 */
XP_API int xp_feature(enum xp_feature_id id, struct xp_feature *answer) XP_NONNULL(2);

/* ---------------------------------------------------------------- wrappers */

/*
 * xp_pipe2 - pipe2(2), also where the kernel lacks packet mode.
 *
 * @fds: receives the read end and the write end.
 * @flags: O_CLOEXEC, O_NONBLOCK, O_DIRECT (packet mode), O_EXCL
 *   (notification pipe, never emulated).
 *
 * Where O_DIRECT is refused with EINVAL, a SEQPACKET socket pair serves, each
 * half shut down in one direction: it keeps message boundaries, never splits a
 * large write, and is no pipe to splice(2).
 *
 * Returns: 0, or -1 with errno
 *   EINVAL  unknown flag.
 *   EMFILE, ENFILE, ENOMEM  out of descriptors or memory.
 *   ENOPKG  notification pipes are configured off.
 *   ENOSYS  missing here.
 *   EPERM   denied by a security policy.
 * Since: 0.1.0
 */
XP_API int xp_pipe2(int fds[2], int flags) XP_NONNULL(1) XP_MUST_CHECK;

/*
 * xp_splice - splice(2), copying where it is not here.
 *
 * @in, @off_in: input; the offset in bytes is read and advanced, NULL uses the
 *   descriptor's own position.
 * @out, @off_out: output, likewise.
 * @len: bytes at most.
 * @flags: SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT.
 *
 * One of the two must be a pipe, as for splice(2). The copy moves what the call
 * would move, and takes from the input only what the output accepted: a file is
 * read at its offset, a pipe is duplicated first, a stream socket is peeked at.
 * What can only be read, a terminal or, where tee(2) is missing as well, a pipe,
 * is read once the output has room, and then delivered whatever time it takes; a
 * failing output loses it. Nobody else may read @in meanwhile.
 *
 * Returns: bytes moved, 0 at the end of the input, or -1 with errno
 *   EAGAIN  a descriptor is non-blocking, or SPLICE_F_NONBLOCK was given, and
 *           the call would have waited.
 *   EBADF   a descriptor is closed or open in the wrong direction.
 *   EFAULT  an offset's pointer leads nowhere; bytes may have moved.
 *   EINTR   a signal came before a byte moved.
 *   EINVAL  neither is a pipe, both are the same pipe, an unknown flag, a range
 *           that no file can have, an offset for what has no positions, the input
 *           is a directory, or part of a packet was asked for, which the copy
 *           can't take where vmsplice(2) is missing as well.
 *   EMFILE, ENFILE  no descriptor is left for the duplicate.
 *   ENOMEM  out of memory.
 *   EPIPE   nobody reads the output pipe or socket (and SIGPIPE is raised).
 *   ESPIPE  an offset was given for a pipe.
 *   and what read(2) and write(2) give for the descriptors: ECONNRESET, EDQUOT,
 *   EFBIG, EIO, ENOSPC, ENOTCONN.
 * Since: 0.1.0
 */
XP_API ssize_t xp_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
			 unsigned flags) XP_MUST_CHECK;

/*
 * xp_tee - tee(2).
 *
 * @in, @out: two different pipes.
 * @len: bytes at most.
 * @flags: SPLICE_F_NONBLOCK; the other SPLICE_F flags have no effect.
 *
 * Duplicates from the head of @in without consuming it, so two calls in a row
 * duplicate the same bytes. Nothing can emulate it.
 *
 * Returns: bytes duplicated, 0 if @in is empty and has no writer, or -1 with errno
 *   EAGAIN  it would have waited and must not.
 *   EBADF   a descriptor is closed or open in the wrong direction.
 *   EINTR   a signal came first.
 *   EINVAL  one is no pipe, both are the same pipe, or an unknown flag.
 *   ENOMEM  out of memory.
 *   ENOSYS, EPERM  missing or denied here.
 *   EPIPE   nobody reads @out (and SIGPIPE is raised).
 * Since: 0.1.0
 */
XP_API ssize_t xp_tee(int in, int out, size_t len, unsigned flags) XP_MUST_CHECK;

/*
 * xp_vmsplice - vmsplice(2), copying where it is not here.
 *
 * @fd: a pipe; its write end takes memory, its read end fills memory.
 * @iov, @count: the memory, at most 1024 pieces.
 * @flags: SPLICE_F_MOVE, SPLICE_F_NONBLOCK, SPLICE_F_MORE, SPLICE_F_GIFT.
 *
 * Memory that was handed to a pipe must never change again: whether the pipe
 * refers to it is what XP_FEATURE_VMSPLICE_SHARES tells, and no event says when
 * the last reference went. The copy writes and reads; on a pipe in packet mode it
 * makes packets, where vmsplice(2) makes stream data, and reads one packet.
 *
 * Returns: bytes moved, 0 at the end of the input, or -1 with errno
 *   EAGAIN  it would have waited and must not.
 *   EBADF   @fd is closed or no pipe.
 *   EFAULT  a piece of memory is not mapped.
 *   EINTR   a signal came before a byte moved.
 *   EINVAL  an unknown flag, more than 1024 pieces, one longer than SSIZE_MAX, or
 *           memory for a part of a packet only.
 *   ENOMEM  out of memory.
 *   EPIPE   nobody reads the pipe (and SIGPIPE is raised).
 * Since: 0.1.0
 */
XP_API ssize_t xp_vmsplice(int fd, const struct iovec *iov, size_t count,
			   unsigned flags) XP_MUST_CHECK;

/*
 * xp_sendfile - sendfile(2), copying where it is not here.
 *
 * @out: any output.
 * @in: any input; a pipe too, which sendfile(2) refuses for a file as output.
 * @offset: where to read in bytes, advanced by what was moved, and the input's
 *   own position stays; NULL reads at, and advances, the input's own position.
 * @len: bytes at most.
 *
 * The copy moves what the call would move, and takes from the input only what
 * the output accepted, with xp_splice()'s exception.
 *
 * Returns: bytes moved, 0 at the end of the input, or -1 with errno
 *   EAGAIN  a descriptor is non-blocking and the call would have waited.
 *   EBADF   a descriptor is closed or open in the wrong direction.
 *   EFAULT  @offset leads nowhere; bytes may have moved.
 *   EINTR   a signal came before a byte moved.
 *   EINVAL  a range that no file can have, or the input is a directory.
 *   EMFILE, ENFILE  no descriptor is left for the duplicate of a pipe.
 *   ENOMEM  out of memory.
 *   EOVERFLOW  @offset is beyond what the file system can hold.
 *   EPIPE   nobody reads the output (and SIGPIPE is raised).
 *   ESPIPE  @offset was given and the input has no positions.
 *   and what read(2) and write(2) give for the descriptors: ECONNRESET, EDQUOT,
 *   EFBIG, EIO, ENOSPC, ENOTCONN.
 * Since: 0.1.0
 */
XP_API ssize_t xp_sendfile(int out, int in, loff_t *offset, size_t len) XP_MUST_CHECK;

/*
 * xp_copy_file_range - copy_file_range(2), copying where it is not here.
 *
 * @in, @off_in, @out, @off_out: two regular files, and offsets in bytes as for
 *   xp_splice(). Unlike copy_file_range(2), an output in append mode is served.
 * @len: bytes at most.
 * @flags: must be 0.
 *
 * Returns: bytes moved, 0 at the end of the input, or -1 with errno
 *   EBADF   a descriptor is closed or open in the wrong direction.
 *   EFAULT  an offset's pointer leads nowhere; bytes may have moved.
 *   EINVAL  @flags is not 0, an offset is negative, one is no regular file, or
 *           both are one and the ranges overlap.
 *   EISDIR  one is a directory.
 *   ENOMEM  out of memory.
 *   EOVERFLOW  an offset and @len are more than can be counted.
 *   and what read(2) and write(2) give for files: EDQUOT, EFBIG, EIO, ENOSPC.
 * Since: 0.1.0
 */
XP_API ssize_t xp_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
				  unsigned flags) XP_MUST_CHECK;

/* ------------------------------------------------------------------- pipes */

enum xp_pipe_mode {
	XP_PIPE_STREAM,       /* bytes */
	XP_PIPE_PACKET,       /* each write is one packet (seen on the write end only) */
	XP_PIPE_NOTIFICATION, /* the kernel writes records into it */
};

struct xp_pipe_info {
	size_t size;            /* capacity, bytes */
	unsigned slots;         /* capacity, slots of a page each */
	size_t queued;          /* bytes waiting to be read */
	size_t packet_limit;    /* largest packet, bytes; 0 unless in packet mode */
	enum xp_pipe_mode mode; /* of this end's file description */
	bool write_end;         /* @fd can be written to */
	bool read_end;          /* @fd can be read from (both: a FIFO opened O_RDWR) */
	bool peer_gone;         /* no reader of a write end, no writer of a read end */
};

/* The size that xp_pipe_set_size() takes for "as much as this process may have". */
#define XP_PIPE_MAX SIZE_MAX

/*
 * xp_pipe_info - describes a pipe.
 *
 * @fd: either end of a pipe or FIFO.
 * @info: filled in on success.
 *
 * Returns: 0, or -1 with errno
 *   EBADF   @fd is closed, or was opened with O_PATH.
 *   EINVAL  @fd is no pipe.
 * Since: 0.1.0
 */
XP_API int xp_pipe_info(int fd, struct xp_pipe_info *info) XP_NONNULL(2);

/*
 * xp_pipe_set_size - sets a pipe's capacity.
 *
 * @fd: either end.
 * @size: bytes; the kernel rounds up to a power of two of pages. XP_PIPE_MAX takes
 *   the largest that is allowed, and never shrinks.
 *
 * Returns: the capacity it has now in bytes, or -1 with errno
 *   EBADF   @fd is closed, or was opened with O_PATH.
 *   EBUSY   more is queued than would fit, or a packet of the limit would not, or it is
 *           a notification pipe.
 *   EINVAL  @fd is no pipe, or @size is 0 or above 1 GiB.
 *   ENOMEM  out of memory.
 *   EPERM   above fs.pipe-max-size or the user's limits, or denied.
 * Since: 0.1.0
 */
XP_API ssize_t xp_pipe_set_size(int fd, size_t size);

/*
 * xp_pipe_set_mode - turns packet mode on or off.
 *
 * @fd: the write end. Everybody who shares its file description is affected.
 * @mode: XP_PIPE_STREAM or XP_PIPE_PACKET.
 *
 * Turning packet mode on while stream data is queued would merge the first packet with it, and is
 * refused; queued packets are no hindrance. Which they are is found out on a duplicate, for which
 * the pipe is opened once more through /proc; where that can't be done, all that is queued counts
 * as stream data.
 *
 * Returns: 0, or -1 with errno
 *   EBADF   @fd is closed, or was opened with O_PATH.
 *   EBUSY   packet mode was asked for while stream data is queued.
 *   EINVAL  @fd is no pipe or not a write end, @mode is another, or the kernel
 *           has no packet mode.
 *   EPERM   denied by a security policy.
 * Since: 0.1.0
 */
XP_API int xp_pipe_set_mode(int fd, enum xp_pipe_mode mode);

/*
 * xp_pipe_set_packet_limit - allows packets larger than a page.
 *
 * @fd: the write end.
 * @limit: bytes, up to the pipe's capacity.
 *
 * Returns: 0, or -1 with errno
 *   EBADF   @fd is closed, or was opened with O_PATH.
 *   EINVAL  @fd is no pipe or not a write end, or @limit is 0 or too large.
 *   EOPNOTSUPP  this kernel has no big packets, or it is a notification pipe.
 * Since: 0.1.0
 */
XP_API int xp_pipe_set_packet_limit(int fd, size_t limit);

/* ----------------------------------------------------- moving much, reports */

/* The ways to move bytes. */
enum xp_via {
	XP_VIA_AUTO,            /* whatever is best here */
	XP_VIA_SPLICE,          /* splice(2), through a private pipe or directly */
	XP_VIA_SENDFILE,        /* sendfile(2) */
	XP_VIA_COPY_FILE_RANGE, /* copy_file_range(2) */
	XP_VIA_TEE,             /* tee(2); for xp_fanout() and xp_emit() */
	XP_VIA_VMSPLICE,        /* vmsplice(2); xp_emit(), messages, a pipe's xp_transfer() */
	XP_VIA_COPY,            /* read(2) and write(2) */
	XP_VIA_COUNT
};

/*
 * xp_via_name - "auto", "splice", "sendfile", "copy_file_range", "tee", "vmsplice" or "copy".
 *
 * @via: a way.
 *
 * Returns: a static string; NULL if @via is no way.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API const char *xp_via_name(enum xp_via via);

enum xp_side {
	XP_SIDE_NONE,   /* no failure, or one of neither (out of memory) */
	XP_SIDE_INPUT,  /* the input failed */
	XP_SIDE_OUTPUT, /* an output failed */
};

/* One decision: which way was taken, and why. */
struct xp_decision {
	enum xp_via via;  /* the way taken */
	enum xp_via from; /* the way given up for it; XP_VIA_AUTO if none was */
	int error;        /* errno that made it be given up, or 0 */
	unsigned output;  /* the output concerned; 0 in xp_transfer() */
	const char *why;  /* one static phrase */
};

struct xp_report {
	uint64_t bytes;     /* delivered: to the output, or to every live output */
	uint64_t in_flight; /* taken from the input and not delivered */
	uint64_t calls;     /* system calls that moved, or tried to move, bytes */
	enum xp_via via;    /* the way in use */
	enum xp_side side;  /* who failed */
	int error;          /* the failure's errno, 0 if none */
};

/* Flags of xp_transfer() and xp_fanout(). */
#define XP_STABLE 0x01u        /* later writes to the source cannot reach the output */
#define XP_NO_FALLBACK 0x02u   /* fail with EOPNOTSUPP rather than fall back */
#define XP_NONBLOCK 0x04u      /* fail with EAGAIN rather than wait */
#define XP_MORE 0x08u          /* SPLICE_F_MORE */
#define XP_MOVE 0x10u          /* SPLICE_F_MOVE */
#define XP_PEEK 0x20u          /* xp_fanout(): duplicate what is queued, consume nothing */
#define XP_WATCH_OUTPUTS 0x40u /* xp_fanout(): notice a dead reader while idle */
#define XP_HUGE 0x80u          /* xp_emit(): memory from huge pages where there are any */
#define XP_GIFT 0x100u         /* xp_emit(): SPLICE_F_GIFT */

/* A length that means "to the end of the input". */
#define XP_TO_END UINT64_MAX

struct xp_transfer {
	int in, out;        /* descriptors */
	loff_t *in_offset;  /* read here, bytes, advanced; NULL: its own position */
	loff_t *out_offset; /* write here, bytes, advanced; NULL: its own position */
	uint64_t length;    /* bytes at most, or XP_TO_END; 0 moves nothing */
	size_t chunk;       /* bytes a step at most; 0: as suits the way */
	size_t pipe_size;   /* of a private pipe, bytes; 0: as suits */
	enum xp_via via;    /* the way to try first; copying is the fallback */
	unsigned flags;     /* XP_STABLE and so on */
	/* Called after each step and after each signal; not 0 stops. May be NULL. */
	int (*progress)(const struct xp_report *report, void *arg);
	/* Called once a decision. May be NULL. */
	void (*decided)(const struct xp_decision *decision, void *arg);
	void *arg; /* handed to both */
};

/*
 * xp_transfer - moves bytes from one descriptor to another, by the best way.
 *
 * @job: what to move, and how.
 * @report: filled in whatever happens.
 *
 * Takes splice(2) directly between two pipes, copy_file_range(2) between two files
 * of one file system, splice(2) through a private pipe for the rest, and
 * read(2)/write(2) where the kernel refuses those. A way is given up only before it
 * has moved its first byte. Bytes already taken from the input when a way is given
 * up are delivered by the next one. The end of the input is what read(2) says.
 * Waits for non-blocking descriptors on the side that is blocked. A signal
 * interrupts nothing unless @job->progress then stops the job.
 *
 * Returns: 0 at the end or once @length bytes have moved, or -1 with errno, which
 * @report->error repeats and @report->side assigns; @report->in_flight counts what
 * was taken and could not be delivered:
 *   EAGAIN  XP_NONBLOCK, and it would have waited.
 *   EBADF   a descriptor is closed or open in the wrong direction.
 *   ECANCELED  @job->progress stopped it.
 *   EINVAL  an unknown flag or way, or a negative offset.
 *   EISDIR  the input is a directory.
 *   ENOMEM  out of memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and the way is not here.
 *   EPIPE   nobody reads the output (and SIGPIPE is raised).
 *   ESPIPE  an offset was given for a descriptor that has no positions.
 *   and what read(2) and write(2) give for the descriptors: ECONNRESET, EDQUOT,
 *   EFBIG, EIO, ENOSPC, ENOTCONN.
 * Since: 0.1.0
 */
XP_API int xp_transfer(const struct xp_transfer *job, struct xp_report *report) XP_NONNULL(1, 2);

/* One output of xp_fanout(). The caller sets fd; the rest is zero to begin with. */
struct xp_output {
	int fd;          /* descriptor */
	int error;       /* why it was given up; 0 while it lives */
	uint64_t bytes;  /* delivered to it */
	enum xp_via via; /* the way it is served by */
};

struct xp_fanout {
	int in;                    /* descriptor; XP_PEEK needs a pipe */
	unsigned count;            /* outputs */
	struct xp_output *outputs; /* filled in while it runs */
	size_t pipe_size;          /* of private pipes, bytes; 0: as suits */
	enum xp_via via;           /* XP_VIA_AUTO, XP_VIA_TEE or XP_VIA_COPY */
	unsigned flags;            /* XP_NO_FALLBACK, XP_PEEK, XP_WATCH_OUTPUTS */
	/* Called after each step and after each signal; not 0 stops. May be NULL. */
	int (*progress)(const struct xp_report *report, void *arg);
	/* Called once a decision. May be NULL. */
	void (*decided)(const struct xp_decision *decision, void *arg);
	/* An output failed: 0 goes on without it, another value stops. NULL goes on. */
	int (*failed)(unsigned output, int error, void *arg);
	void *arg; /* handed to all three */
};

/*
 * xp_fanout - moves one input to many outputs.
 *
 * @job: the input, the outputs, and how.
 * @report: filled in whatever happens; bytes counts what was taken from the input
 *   and handed to every output alive then.
 *
 * Each live output gets every byte once and in order. tee(2) duplicates pipe to
 * pipe; other outputs are served by splice(2) from a private pipe, or by write(2)
 * where they refuse that. An input that is no pipe is spliced into a private one.
 * Without tee(2) everything is copied. Nobody else may read @job->in meanwhile.
 * Ends when the input ends, or when no output is left.
 *
 * Returns: 0, or -1 with errno, which @report->error repeats; a failed output alone
 * is no failure of the call, its error stands in @job->outputs:
 *   EBADF   the input is closed or not open for reading.
 *   ECANCELED  @job->progress or @job->failed stopped it.
 *   EINVAL  an unknown flag or way, or XP_PEEK on an input that is no pipe.
 *   EISDIR  the input is a directory.
 *   EMFILE, ENFILE, ENOMEM  out of descriptors or memory.
 *   ENOBUFS  XP_PEEK, and private pipes cannot be made large enough to hold what is
 *           queued; the outputs got what their reports say.
 *   EOPNOTSUPP  XP_NO_FALLBACK or XP_PEEK, and tee(2) is not here.
 *   and what read(2) gives for the input: EAGAIN never, ECONNRESET, EIO.
 * Since: 0.1.0
 */
XP_API int xp_fanout(const struct xp_fanout *job, struct xp_report *report) XP_NONNULL(1, 2);

/* ------------------------------------------------------------------ memory */

/* What xp_emit() writes. */
enum xp_memory {
	XP_MEMORY_FILE,    /* a file, mapped privately */
	XP_MEMORY_REPEAT,  /* a string, again and again */
	XP_MEMORY_COUNTER, /* 0, 1, 2, ... as 64-bit little-endian numbers */
	XP_MEMORY_RANDOM,  /* pseudo-random bytes that a seed determines */
};

struct xp_emit {
	int out;              /* descriptor; one that is no pipe is served through a private one */
	enum xp_memory from;  /* what to write */
	int file;             /* XP_MEMORY_FILE: a descriptor that can be mapped */
	loff_t file_offset;   /* where in it to begin, bytes */
	const void *string;   /* XP_MEMORY_REPEAT: not needed any more after the call */
	size_t string_length; /* bytes, at least 1 */
	uint64_t seed;        /* XP_MEMORY_RANDOM */
	uint64_t length;      /* bytes, or XP_TO_END: for ever, or to the end of the file */
	enum xp_via via;      /* XP_VIA_AUTO, XP_VIA_VMSPLICE, XP_VIA_TEE or XP_VIA_COPY */
	unsigned flags;       /* XP_HUGE, XP_GIFT, XP_NO_FALLBACK */
	/* Called after each step and after each signal; not 0 stops. May be NULL. */
	int (*progress)(const struct xp_report *report, void *arg);
	/* Called once a decision. May be NULL. */
	void (*decided)(const struct xp_decision *decision, void *arg);
	void *arg; /* handed to both */
};

/*
 * xp_emit - writes memory to a descriptor, without copying it wherever that is safe.
 *
 * @job: what to write, and how.
 * @report: filled in whatever happens.
 *
 * Memory that a pipe may refer to is never written again and never goes back to the allocator:
 * what repeats is made once and handed over again and again; what does not is made in memory of
 * its own. What a reader gets is what the memory held when it was handed over, whatever the
 * reader does with it; of a mapped file that holds as long as nobody writes to the file.
 *
 * XP_VIA_TEE duplicates from a pipe that is filled once (XP_MEMORY_REPEAT only). Where a way is
 * refused, or vmsplice(2) answers EOPNOTSUPP, EPERM, ENOSYS or EINVAL to its first call, the
 * next serves: vmsplice, tee, write.
 *
 * Returns: 0 once @job->length bytes were written, or -1 with errno, which @report->error
 * repeats and @report->side assigns:
 *   EBADF   a descriptor is closed or open in the wrong direction.
 *   ECANCELED  @job->progress stopped it.
 *   EFAULT  the file was truncated while it was read.
 *   EINVAL  an unknown flag, way or kind of memory, a negative offset, or an empty string.
 *   ENODEV, EACCES  the file is none that can be mapped.
 *   ENOMEM  out of memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and the way is not here.
 *   EPIPE   nobody reads the output (and SIGPIPE is raised).
 *   and what write(2) gives for the output: ECONNRESET, EDQUOT, EFBIG, EIO, ENOSPC, ENOTCONN.
 * Since: 0.1.0
 */
XP_API int xp_emit(const struct xp_emit *job, struct xp_report *report) XP_NONNULL(1, 2);

/* ---------------------------------------------------------------- messages */

/*
 * A message is a header and a payload that a device takes in one piece, as FUSE's takes a reply:
 * the header comes first, and tells the length of what follows, which is known only once the
 * payload has been gathered.
 *
 * A handle is made once and used for message after message; it keeps the pipes, the page of the
 * header and the memory that they need. One handle serves one thread; each thread of a server has
 * its own.
 */
struct xp_message;

/* The largest header, bytes. */
#define XP_MESSAGE_HEADER 4096

struct xp_message_options {
	/*
	 * XP_VIA_SPLICE: the payload into one pipe, the header into another, and the payload
	 * behind it. XP_VIA_VMSPLICE: the page of the header lies in the pipe before the payload,
	 * and is written to afterwards; only where XP_FEATURE_VMSPLICE_SHARES. XP_VIA_COPY:
	 * through memory. XP_VIA_AUTO: the first of these; but a message that begins with less
	 * than 32 KiB of a descriptor is copied, which is quicker.
	 */
	enum xp_via via;
	size_t capacity; /* header and payload to be ready for, bytes; 0: 128 KiB and a header */
	unsigned flags;  /* XP_MOVE, XP_NO_FALLBACK */
	/* Called once a decision, by the function that decides. May be NULL. */
	void (*decided)(const struct xp_decision *decision, void *arg);
	void *arg; /* handed to it */
};

/*
 * xp_message_open - makes a handle for messages.
 *
 * @options: NULL for the defaults.
 *
 * Where a way is not here, the next serves: vmsplice, splice, copy. A single message is copied
 * where an input refuses splices, or where its pieces take more slots than a pipe may have; the
 * next one takes the handle's way again. From a device that refuses splices on, all are copied.
 * Each of these is told to @options->decided the first time.
 *
 * @options->capacity is no limit: pipes and memory grow with the messages.
 *
 * Returns: a handle, or NULL with errno
 *   EINVAL  an unknown flag, or a way that is none for messages.
 *   EMFILE, ENFILE, ENOMEM  out of descriptors or memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and the way is not here.
 * Since: 0.1.0
 */
XP_API struct xp_message *xp_message_open(const struct xp_message_options *options);

/*
 * xp_message_begin - begins a message; what was gathered and not sent is dropped.
 *
 * @message: a handle.
 * @header: bytes of the header, at most XP_MESSAGE_HEADER; 0: none.
 *
 * The header may be written, and corrected, at any time until xp_message_send(), between other
 * calls as well. It begins at a page.
 *
 * Returns: where the header is to be written, zeroed, valid until xp_message_send(); or NULL with
 * errno
 *   EINVAL  @header is too large.
 *   ENOMEM  out of memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and this message would be copied.
 * Since: 0.1.0
 */
XP_API void *xp_message_begin(struct xp_message *message, size_t header) XP_NONNULL(1);

/*
 * xp_message_add - adds a copy of memory to the payload.
 *
 * @message: a handle with a message that was begun.
 * @from, @len: the memory, bytes; it may change afterwards.
 *
 * Returns: 0, or -1 with errno; what had been added before stays
 *   EFAULT  the memory can't be read.
 *   EINVAL  no message was begun.
 *   ENOMEM  out of memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and the message would be copied.
 * Since: 0.1.0
 */
XP_API int xp_message_add(struct xp_message *message, const void *from, size_t len) XP_NONNULL(1);

/*
 * xp_message_add_fd - adds what a descriptor holds to the payload.
 *
 * @message: a handle with a message that was begun.
 * @fd: a file, block device, pipe, socket, terminal.
 * @offset: read here, bytes, advanced; NULL: its own position.
 * @len: bytes to add.
 *
 * Waits until there are @len bytes, or the end of the input, which is what read(2) says. So fewer
 * bytes than @len are the end, with two exceptions for what is no file: the descriptor is
 * non-blocking, and has no more now; or a signal came after the first byte.
 *
 * Where bytes are spliced, they are those that the file has when the device takes the message.
 *
 * Returns: bytes added, or -1 with errno, where what had been added before the failure stays in
 * the message, and xp_message_length() tells how much that is
 *   EAGAIN  @fd is non-blocking and has nothing now.
 *   EBADF   @fd is closed or not open for reading.
 *   EINTR   a signal came before the first byte.
 *   EINVAL  no message was begun, @offset is negative, or @fd can't be read from.
 *   EISDIR  @fd is a directory.
 *   ENOMEM  out of memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and the message would be copied.
 *   ESPIPE  @offset was given and @fd has no positions.
 *   and what read(2) gives for the descriptor: ECONNRESET, EIO, ENOTCONN, ESTALE.
 * Since: 0.1.0
 */
XP_API ssize_t xp_message_add_fd(struct xp_message *message, int fd, loff_t *offset, size_t len)
	XP_NONNULL(1);

/*
 * xp_message_length - how long the message is so far.
 *
 * @message: a handle.
 *
 * Returns: header and payload, bytes; 0 if no message was begun.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API size_t xp_message_length(const struct xp_message *message) XP_NONNULL(1);

/*
 * xp_message_via - the way that the message at hand takes, or took if it was sent.
 *
 * @message: a handle.
 *
 * Returns: XP_VIA_SPLICE, XP_VIA_VMSPLICE or XP_VIA_COPY; before the first message the handle's
 *   way.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API enum xp_via xp_message_via(const struct xp_message *message) XP_NONNULL(1);

/*
 * xp_message_send - sends the message by one splice(2), or one writev(2) where it is copied.
 *
 * @message: a handle with a message that was begun.
 * @device: where to: a device that takes messages, or anything that can be written to.
 *
 * Whatever comes of it, the message is gone afterwards, and nothing of it reaches the next one.
 * A device that refuses the splice and has taken nothing is written to.
 *
 * Returns: bytes that @device took, which may be fewer than xp_message_length() where it is no
 * device for messages, or -1 with errno
 *   EAGAIN  @device is non-blocking and has no room.
 *   EBADF   @device is closed or not open for writing.
 *   EINTR   a signal came while it waited.
 *   EINVAL  no message was begun; or the device refuses the message: of FUSE's, the header's
 *           length is not that of the message.
 *   EMFILE, ENFILE, ENOMEM  out of descriptors or memory.
 *   EOPNOTSUPP  XP_NO_FALLBACK, and the message would be copied.
 *   EPIPE   nobody reads @device (and SIGPIPE is raised).
 *   and what write(2) gives for the device: ENODEV, ENOENT (of FUSE's, that nobody waits for this
 *   reply any more), EPERM, EIO, ENOSPC.
 * Since: 0.1.0
 */
XP_API ssize_t xp_message_send(struct xp_message *message, int device) XP_NONNULL(1);

/*
 * xp_message_close - frees a handle, with what was gathered and not sent.
 *
 * @message: a handle, or NULL.
 *
 * Returns: nothing.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API void xp_message_close(struct xp_message *message);

/* ----------------------------------------------------------------- packets */

/* One end of a packet pipe: a pipe, or a SEQPACKET socket. xp_packet_open() fills it in. */
struct xp_packet {
	int fd;
	size_t limit; /* largest packet that can be sent, bytes */
	bool socket;  /* SEQPACKET */
	bool restore; /* packet mode was turned on, and xp_packet_close() turns it off */
};

/*
 * xp_packet_open - makes an end of a pipe ready for packets.
 *
 * @end: filled in on success.
 * @fd: a pipe or a SEQPACKET socket.
 * @access: O_RDONLY to receive, O_WRONLY to send. A pipe to send to that is not in packet mode is
 *   switched to it, for everybody who shares its file description.
 *
 * Returns: 0, or -1 with errno
 *   EBADF   @fd is closed, or open in the wrong direction.
 *   EBUSY   bytes are queued that are no packets; they would merge with the first ones.
 *   EINVAL  @fd is neither a pipe nor a SEQPACKET socket, or a notification pipe.
 *   EOPNOTSUPP  this kernel has no packet mode.
 *   EPERM   denied by a security policy.
 * Since: 0.1.0
 */
XP_API int xp_packet_open(struct xp_packet *end, int fd, int access) XP_NONNULL(1);

/*
 * xp_packet_close - puts a pipe's mode back as xp_packet_open() found it.
 *
 * @end: one that xp_packet_open() filled in. Its descriptor stays open; packets that are queued
 *   stay packets.
 *
 * Returns: 0, or -1 with errno
 *   EBADF   the descriptor was closed.
 *   EPERM   denied by a security policy.
 * Since: 0.1.0
 */
XP_API int xp_packet_close(struct xp_packet *end) XP_NONNULL(1);

/*
 * xp_packet_send - sends one packet, whole or not at all.
 *
 * @end: where to.
 * @data, @len: the packet, 1 to @end->limit bytes.
 * @flags: 0 or XP_NONBLOCK.
 *
 * Waits where the pipe is full, also where its descriptor is non-blocking.
 *
 * Returns: 0, or -1 with errno
 *   EAGAIN  XP_NONBLOCK, and the pipe has no room for it.
 *   EBADF   the descriptor is closed or no write end.
 *   EINTR   a signal came while it waited; nothing was sent.
 *   EINVAL  @len is 0, which a pipe can't carry, or an unknown flag.
 *   EMSGSIZE  @len is above the limit.
 *   EPIPE   nobody reads (and SIGPIPE is raised).
 * Since: 0.1.0
 */
XP_API int xp_packet_send(const struct xp_packet *end, const void *data, size_t len, unsigned flags)
	XP_NONNULL(1, 2);

/*
 * xp_packet_recv - receives one packet, and tells whether it was cut.
 *
 * @end: where from.
 * @data, @size: where to put it, bytes.
 * @flags: 0 or XP_NONBLOCK.
 *
 * Waits where the pipe is empty, also where its descriptor is non-blocking. What does not fit is
 * thrown away by the kernel.
 *
 * Returns: the packet's length in bytes, more than @size if it was cut (by how much is known up to
 * a page); 0 once nobody writes any more; or -1 with errno
 *   EAGAIN  XP_NONBLOCK, and there is no packet.
 *   EBADF   the descriptor is closed or no read end.
 *   EINTR   a signal came while it waited.
 *   EINVAL  @size is 0, or an unknown flag.
 * Since: 0.1.0
 */
XP_API ssize_t xp_packet_recv(const struct xp_packet *end, void *data, size_t size, unsigned flags)
	XP_NONNULL(1, 2);

/*
 * xp_key_find - the serial number of a key that is called by its type and description.
 *
 * @type: "keyring", "user", ...
 * @description: all of it.
 *
 * Looks in the keyrings of the thread, the process and the session, then among all keys that may
 * be seen.
 *
 * Returns: the number, or -1 with errno
 *   EACCES  no right to search.
 *   EKEYEXPIRED, EKEYREVOKED  the first that was found is no longer valid.
 *   ENOKEY  there is none.
 *   ENOSYS, EPERM  the kernel has no keys, or they are denied here.
 * Since: 0.1.0
 */
XP_API int32_t xp_key_find(const char *type, const char *description) XP_NONNULL(1, 2);

/* ----------------------------------------------------------- notifications */

/* What events are about. The queue's own come as meta. */
enum xp_source {
	XP_SOURCE_META,  /* the stream itself */
	XP_SOURCE_KEY,   /* keys and keyrings */
	XP_SOURCE_MOUNT, /* the mount tree */
	XP_SOURCE_SB,    /* file systems */
	XP_SOURCE_BLOCK, /* block devices */
	XP_SOURCE_COUNT
};

/* Who sees events. The first three can be asked for; an event never says AUTO or STOCK. */
enum xp_backend {
	XP_BACKEND_AUTO,      /* the best there is for each source */
	XP_BACKEND_QUEUE,     /* the kernel's notification queue */
	XP_BACKEND_STOCK,     /* anything but the queue */
	XP_BACKEND_FANOTIFY,  /* mounts: fanotify(7), Linux 6.15 */
	XP_BACKEND_MOUNTINFO, /* mounts, and remounts: differences of /proc/self/mountinfo */
	XP_BACKEND_FS_ERROR,  /* file systems: fanotify's FAN_FS_ERROR, Linux 5.16 */
	XP_BACKEND_UEVENT,    /* block devices: the kernel's uevents */
	XP_BACKEND_COUNT
};

/* Events of XP_SOURCE_META. */
enum { XP_META_REMOVAL, XP_META_LOSS, XP_META_COUNT };

/* Events of XP_SOURCE_KEY: the kernel's sub-types. */
enum {
	XP_KEY_INSTANTIATED,
	XP_KEY_UPDATED,
	XP_KEY_LINKED,
	XP_KEY_UNLINKED,
	XP_KEY_CLEARED,
	XP_KEY_REVOKED,
	XP_KEY_INVALIDATED,
	XP_KEY_SETATTR,
	XP_KEY_COUNT
};

/* Events of XP_SOURCE_MOUNT: the series' sub-types. */
enum {
	XP_MOUNT_ATTACH,
	XP_MOUNT_DETACH,
	XP_MOUNT_MOVE,
	XP_MOUNT_SETATTR,
	XP_MOUNT_PROPAGATION,
	XP_MOUNT_EXPIRE,
	XP_MOUNT_COUNT
};

/* Events of XP_SOURCE_SB: the series' sub-types. */
enum {
	XP_SB_REMOUNT,
	XP_SB_ERROR,
	XP_SB_NOSPC,
	XP_SB_QUOTA,
	XP_SB_FREEZE,
	XP_SB_THAW,
	XP_SB_SHUTDOWN,
	XP_SB_COUNT
};

/* Events of XP_SOURCE_BLOCK: the series' sub-types, and a change of which uevents don't say what.
 */
enum {
	XP_BLOCK_ADD,
	XP_BLOCK_REMOVE,
	XP_BLOCK_MEDIA,
	XP_BLOCK_RESIZE,
	XP_BLOCK_ERROR,
	XP_BLOCK_CHANGE,
	XP_BLOCK_COUNT
};

/* Flags of an event. */
#define XP_EVENT_RECURSIVE 0x1u  /* mounts: for lying below the one that was named */
#define XP_EVENT_READONLY 0x2u   /* mounts, file systems: read-only now */
#define XP_EVENT_PROPAGATED 0x4u /* mounts: from a peer or a master */
#define XP_EVENT_INITIAL 0x10u   /* the state when XP_WATCH_INITIAL was asked for */
#define XP_EVENT_RESCAN 0x20u    /* found by looking again after a loss */

/*
 * One event. What is not known is 0, -1 or NULL, never a guess. Strings belong to the handle and
 * hold until its next call; they are bytes as the kernel has them, in no encoding.
 */
struct xp_event {
	struct timespec time;  /* CLOCK_REALTIME when it was read */
	enum xp_source source; /* of the watch; XP_SOURCE_META for a loss alone */
	int event;             /* XP_KEY_, XP_MOUNT_...; -1 for a removal, or a type unknown here */
	bool removal;          /* the watch is over: its object is gone, or it was removed */
	int watch;             /* what xp_watch_add() returned; -1 for a loss */
	enum xp_backend backend; /* who saw it */
	unsigned flags;          /* XP_EVENT_* */

	/* XP_SOURCE_KEY */
	int32_t key_id;
	uint32_t aux; /* the key linked or unlinked, or the error of its making */
	const char *key_type;
	const char *description;

	/* XP_SOURCE_MOUNT; ids are unique ones, or those of mountinfo where there are no others */
	uint64_t mount_id;
	uint64_t parent_id;
	uint64_t ns_id;
	const char *path; /* of the mount; where it was, if it is gone. Also XP_SOURCE_SB */
	const char *parent_path;
	const char *old_path; /* XP_MOUNT_MOVE: from where */

	/* XP_SOURCE_SB, XP_SOURCE_BLOCK */
	uint32_t major, minor;
	const char *device; /* name of the block device, without a directory */
	int error;          /* errno */
	uint64_t ino;       /* XP_SB_ERROR: the inode */
	uint32_t quota_warning, quota_type, quota_id;
	uint64_t sector; /* of 512 bytes: the first that failed, or the new capacity */
	uint32_t bytes;  /* that failed */
	int operation;   /* REQ_OP_*; -1 */

	/* The kernel's record, if there is one */
	const void *record;
	size_t record_size; /* bytes */
};

/* A set of watches and their stream of events. */
struct xp_watch;

struct xp_watch_options {
	enum xp_backend backend; /* AUTO, QUEUE or STOCK */
	unsigned depth;          /* notes in the queue, 1 to 512; 0: 256 */
};

/* What to watch: the object by number, or by descriptor, which may be closed afterwards. */
struct xp_target {
	enum xp_source source;
	int32_t key;     /* XP_SOURCE_KEY: a serial number, or KEY_SPEC_* */
	int fd;          /* a mount or mount namespace, anything on a file system, a block device;
			    -1 for XP_SOURCE_MOUNT: this namespace; for XP_SOURCE_BLOCK: all */
	uint64_t events; /* bit N: event N is wanted; 0: all */
	unsigned flags;  /* XP_WATCH_INITIAL */
};

#define XP_WATCH_INITIAL 0x1u /* begin with the state, as events with XP_EVENT_INITIAL */

/* How a source is served by a handle's backend. */
struct xp_service {
	enum xp_backend backend; /* who would see its events; XP_BACKEND_AUTO: nobody */
	uint64_t events;         /* bit N: event N would be seen */
	int error;               /* errno if nobody: EOPNOTSUPP, EPERM, ... */
	const char *why;         /* a static phrase: what is missing, or what is used */
};

/*
 * xp_watch_open - makes an empty set of watches.
 *
 * @options: NULL for the defaults.
 *
 * Returns: a handle, or NULL with errno
 *   EINVAL  an unknown backend, or a depth above 512.
 *   EMFILE, ENFILE, ENOMEM  out of descriptors or memory.
 *   EOPNOTSUPP  XP_BACKEND_QUEUE, and this kernel has no notification pipe.
 * Since: 0.1.0
 */
XP_API struct xp_watch *xp_watch_open(const struct xp_watch_options *options);

/*
 * xp_watch_close - ends all watches and frees the handle.
 *
 * @watch: a handle, or NULL.
 *
 * Returns: nothing.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API void xp_watch_close(struct xp_watch *watch);

/*
 * xp_watch_fd - one descriptor for poll(2): readable when xp_watch_next() has something to do.
 *
 * @watch: a handle, to which the descriptor belongs.
 *
 * What there is to do may turn out to be nothing to tell. Once xp_watch_next() has said EAGAIN, the
 * descriptor is at rest until something happens.
 *
 * Returns: the descriptor.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API int xp_watch_fd(const struct xp_watch *watch) XP_NONNULL(1);

/*
 * xp_watch_service - how a source is or would be served here.
 *
 * @watch: a handle.
 * @source: not XP_SOURCE_META.
 * @service: filled in on success.
 *
 * Returns: 0, or -1 with errno
 *   EINVAL  no such source.
 * Since: 0.1.0
 */
XP_API int xp_watch_service(struct xp_watch *watch, enum xp_source source,
			    struct xp_service *service) XP_NONNULL(1, 3);

/*
 * xp_watch_add - watches one more object.
 *
 * @watch: a handle.
 * @target: what, and which of its events.
 *
 * From its return on no event is missed, or else a loss is told. A mount is watched with all that
 * is below it, until it goes. A watch holds nothing: what is watched can be unmounted or removed.
 *
 * Returns: the watch's number, from 0 on and never used twice, or -1 with errno
 *   EACCES, EPERM  no right to watch it.
 *   EAGAIN  the user has as many watches as RLIMIT_NOFILE permits.
 *   EBADF   @target->fd is not open.
 *   EINVAL  an unknown source, event or flag; @target->fd is no such object, or no mount's root.
 *   EKEYEXPIRED, EKEYREVOKED, ENOKEY  there is no such key.
 *   EMFILE, ENFILE, ENOMEM  no descriptor, or no memory.
 *   ENOSPC  256 watches, or as many of the object as the kernel lets it have.
 *   ENXIO   the device is gone.
 *   EOPNOTSUPP  nothing here sees such events; xp_watch_service() says why.
 * Since: 0.1.0
 */
XP_API int xp_watch_add(struct xp_watch *watch, const struct xp_target *target) XP_NONNULL(1, 2);

/*
 * xp_watch_remove - ends one watch. Its removal comes as the last of its events.
 *
 * @watch: a handle.
 * @number: what xp_watch_add() returned.
 *
 * Returns: 0, or -1 with errno
 *   ENOENT  there is no such watch, or no more.
 * Since: 0.1.0
 */
XP_API int xp_watch_remove(struct xp_watch *watch, int number) XP_NONNULL(1);

/*
 * xp_watch_next - the next event.
 *
 * @watch: a handle.
 * @event: filled in if there is one.
 * @flags: 0, or XP_NONBLOCK.
 *
 * After a loss that concerns mounts it looks at the tree again, and gives what has changed as
 * events with XP_EVENT_RESCAN.
 *
 * Returns: 1; or 0 if no watch is left; or -1 with errno
 *   EAGAIN  XP_NONBLOCK, and there is none.
 *   EBADMSG  a record that contradicts itself; it is in @event->record, and the next call goes on.
 *   EINTR   a signal came while it waited.
 *   EINVAL  an unknown flag.
 *   ENOMEM  out of memory; the next call tells of a loss.
 * Since: 0.1.0
 */
XP_API int xp_watch_next(struct xp_watch *watch, struct xp_event *event, unsigned flags)
	XP_NONNULL(1, 2);

/*
 * xp_record_parse - reads one record of a notification pipe.
 *
 * @data, @size: what read(2) gave, or the rest of it, bytes.
 * @event: filled in; nothing is looked up, so that all its strings are NULL. The watch is the
 *   record's 8-bit id. A type that is not known here has the source XP_SOURCE_META and event -1.
 *
 * Returns: the record's length in bytes, or -1 with errno
 *   EBADMSG  the length is below 8 or above @size, or too small for the type.
 * Since: 0.1.0
 */
XP_API ssize_t xp_record_parse(const void *data, size_t size, struct xp_event *event)
	XP_NONNULL(1, 3);

/*
 * xp_source_name - as watchq prints it: "meta", "key", "mount", "sb", "block".
 *
 * @source: which.
 *
 * Returns: a static string, NULL if there is none.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API const char *xp_source_name(enum xp_source source);

/*
 * xp_event_name - as watchq prints it: "attach", "remount", "loss".
 *
 * @source: whose.
 * @event: which of them.
 *
 * Returns: a static string, NULL if there is none.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API const char *xp_event_name(enum xp_source source, int event);

/*
 * xp_backend_name - as watchq prints it: "queue", "fanotify", "mountinfo", "fs-error", "uevent".
 *
 * @backend: which; "auto" and "stock" are those that can be asked for.
 *
 * Returns: a static string, NULL if there is none.
 * Errors: none.
 * Since: 0.1.0
 */
XP_API const char *xp_backend_name(enum xp_backend backend);

#ifdef __cplusplus
}
#endif

#endif
