/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * calls.c - the calls that programs make here instead of in libc.
 *
 * The kernel is asked first, and what it serves is handed on as it is. Only where it refuses is
 * the call made of others. Nothing here allocates, locks or writes; errno is changed only by a call
 * that fails.
 *
 * Each function gets libc's name as an alias: libc's own declarations stay out of the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "../lib/emulate.h"
#include "../lib/sys.h"
#include "fuse.h"
#include "next.h"
#include "shim.h"

/* Exports @function as @name; here nobody calls it by that name, which may lead elsewhere. */
#define EXPORT(name, function) \
	extern __typeof__(function) exported_##name __asm__(#name) \
		__attribute__((alias(#function), visibility("default")))

/* The errno of a kernel that refuses, or 0: @n is the answer. */
static int refusal(long n)
{
	return n < 0 && sys_refused(-errno) ? errno : 0;
}

/* The kernel's answer, handed on. */
static long native(enum shim_call call, long n)
{
	tally_count(call, n < 0 ? TALLY_FAILED : TALLY_NATIVE);
	return n;
}

/*
 * An emulation, which no cancellation of its thread may leave halfway: what was delivered would not
 * be taken.
 */
#define WHOLE(emulation) \
	({ \
		int whole_state; \
		long whole_n; \
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &whole_state); \
		whole_n = (emulation); \
		pthread_setcancelstate(whole_state, NULL); \
		whole_n; \
	})

/*
 * The emulation's answer @n, or -errno, after the kernel had refused with @error. Success leaves
 * errno as it was @before.
 */
static long emulated(enum shim_call call, int before, int error, long n)
{
	if (n != -error)
		tally_tell(call, error, "emulated");
	tally_count(call, n < 0 ? TALLY_FAILED : TALLY_EMULATED);
	errno = n < 0 ? (int)-n : before;
	return n < 0 ? -1 : n;
}

/* The errno of the kernel that refused vmsplice(2), once memory was copied into a pipe; or 0. */
static _Atomic int memory_copied;

/* May this be a reply that a FUSE server made by vmsplice(2)? Then it has to be looked into. */
static int copied_reply(const loff_t *off_in, int out, const loff_t *off_out)
{
	int error = atomic_load_explicit(&memory_copied, memory_order_relaxed);

	return error && !off_in && !off_out && fuse_is_device(out) ? error : 0;
}

static ssize_t shim_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
			   unsigned flags)
{
	int before = errno, error = copied_reply(off_in, out, off_out);
	ssize_t n;

	if (error)
		return emulated(SHIM_SPLICE, before, error, WHOLE(fuse_reply(in, out, len)));
	n = next_splice(in, off_in, out, off_out, len, flags);
	error = refusal(n);
	if (error == EINVAL && fuse_threw_away(in, out))
		error = 0;
	if (!error)
		return native(SHIM_SPLICE, n);
	n = WHOLE(emulate_splice(in, off_in, out, off_out, len, flags));
	return emulated(SHIM_SPLICE, before, error, n);
}
EXPORT(splice, shim_splice);

/* Nothing but tee(2) looks into a pipe without consuming what is there. */
static long after_tee(long n)
{
	if (refusal(n))
		tally_tell(SHIM_TEE, errno, "fails, nothing can emulate it");
	return native(SHIM_TEE, n);
}

static ssize_t shim_tee(int in, int out, size_t len, unsigned flags)
{
	return after_tee(next_tee(in, out, len, flags));
}
EXPORT(tee, shim_tee);

static ssize_t shim_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	int before = errno;
	ssize_t n = next_vmsplice(fd, iov, count, flags);
	int error = refusal(n);

	if (!error)
		return native(SHIM_VMSPLICE, n);
	n = WHOLE(emulate_vmsplice(fd, iov, count, flags));
	if (n > 0)
		atomic_store_explicit(&memory_copied, error, memory_order_relaxed);
	return emulated(SHIM_VMSPLICE, before, error, n);
}
EXPORT(vmsplice, shim_vmsplice);

static ssize_t shim_sendfile64(int out, int in, loff_t *offset, size_t len)
{
	int before = errno;
	ssize_t n = next_sendfile(out, in, offset, len);
	int error = refusal(n);

	if (!error)
		return native(SHIM_SENDFILE, n);
	n = WHOLE(emulate_sendfile(out, in, offset, len));
	return emulated(SHIM_SENDFILE, before, error, n);
}
EXPORT(sendfile64, shim_sendfile64);

/* Its offset is a long, which is all there is to be said of it where a long has 64 bits. */
_Static_assert(sizeof(long) == sizeof(loff_t), "sendfile() needs a body of its own here");

static ssize_t shim_sendfile(int out, int in, long *offset, size_t len)
{
	return shim_sendfile64(out, in, (loff_t *)offset, len);
}
EXPORT(sendfile, shim_sendfile);

static ssize_t shim_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
				    unsigned flags)
{
	int before = errno;
	ssize_t n = next_copy_file_range(in, off_in, out, off_out, len, flags);
	int error = n < 0 && emulate_range_refused(-errno) ? errno : 0;

	if (!error)
		return native(SHIM_COPY_FILE_RANGE, n);
	n = WHOLE(emulate_copy_file_range(in, off_in, out, off_out, len, flags));
	return emulated(SHIM_COPY_FILE_RANGE, before, error, n);
}
EXPORT(copy_file_range, shim_copy_file_range);

static int shim_pipe2(int fds[2], int flags)
{
	int before = errno;
	int n = next_pipe2(fds, flags);
	int error = (flags & (O_DIRECT | O_EXCL)) == O_DIRECT ? refusal(n) : 0;

	if (!error)
		return (int)native(SHIM_PIPE2, n);
	n = emulate_pipe2(fds, flags);
	return (int)emulated(SHIM_PIPE2, before, error, n);
}
EXPORT(pipe2, shim_pipe2);

/*
 * What syscall(2) makes of the calls above. Its arguments are registers: as many are read as a
 * call can have, and no call looks at more than it takes.
 */
static long shim_syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	switch (number) {
	case SYS_splice:
		return shim_splice((int)a[0], (loff_t *)a[1], (int)a[2], (loff_t *)a[3],
				   (size_t)a[4], (unsigned)a[5]);
	case SYS_tee:
		return shim_tee((int)a[0], (int)a[1], (size_t)a[2], (unsigned)a[3]);
	case SYS_vmsplice:
		return shim_vmsplice((int)a[0], (const struct iovec *)a[1], (size_t)a[2],
				     (unsigned)a[3]);
	case SYS_sendfile:
		return shim_sendfile64((int)a[0], (int)a[1], (loff_t *)a[2], (size_t)a[3]);
	case SYS_copy_file_range:
		return shim_copy_file_range((int)a[0], (loff_t *)a[1], (int)a[2], (loff_t *)a[3],
					    (size_t)a[4], (unsigned)a[5]);
	case SYS_pipe2:
		return shim_pipe2((int *)a[0], (int)a[1]);
	default:
		return next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}
EXPORT(syscall, shim_syscall);
