/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sys.h - raw system calls: each returns what the kernel did, errors as -errno.
 *
 * The library's only place for syscall(2) and for constants that a libc may lack.
 */
#ifndef EXTPIPE_LIB_SYS_H
#define EXTPIPE_LIB_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Every SPLICE_F flag there is; the kernel refuses others, and so must a fallback. */
#define SYS_SPLICE_FLAGS \
	(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | (unsigned)SPLICE_F_GIFT)

/* The most that one read or write moves (MAX_RW_COUNT); splice refuses SIZE_MAX. */
#define SYS_MAX_LENGTH ((size_t)0x7ffff000)

/* What libc returned, as the kernel said it. */
#define SYS_RESULT(call) \
	({ \
		__typeof__(call) sys_result = (call); \
		sys_result < 0 ? -errno : sys_result; \
	})

static inline ssize_t sys_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
				 unsigned flags)
{
	if (len > SYS_MAX_LENGTH)
		len = SYS_MAX_LENGTH;
	return SYS_RESULT(splice(in, off_in, out, off_out, len, flags));
}

/* As it was asked for: also a length that the kernel refuses. */
static inline ssize_t sys_splice_exactly(int in, loff_t *off_in, int out, loff_t *off_out,
					 size_t len, unsigned flags)
{
	return SYS_RESULT(splice(in, off_in, out, off_out, len, flags));
}

static inline ssize_t sys_tee(int in, int out, size_t len, unsigned flags)
{
	if (len > SYS_MAX_LENGTH)
		len = SYS_MAX_LENGTH;
	return SYS_RESULT(tee(in, out, len, flags));
}

static inline ssize_t sys_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	return SYS_RESULT(vmsplice(fd, iov, count, flags));
}

static inline ssize_t sys_sendfile(int out, int in, loff_t *offset, size_t len)
{
	return SYS_RESULT(sendfile64(out, in, offset, len));
}

static inline ssize_t sys_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out,
					  size_t len, unsigned flags)
{
	return SYS_RESULT(copy_file_range(in, off_in, out, off_out, len, flags));
}

/* read(2), or pread(2) at *@offset, which is advanced. */
static inline ssize_t sys_read(int fd, loff_t *offset, void *to, size_t len)
{
	ssize_t n = offset ? pread64(fd, to, len, *offset) : read(fd, to, len);

	if (n < 0)
		return -errno;
	if (offset)
		*offset += n;
	return n;
}

/* write(2), or pwrite(2) at *@offset, which is advanced. */
static inline ssize_t sys_write(int fd, loff_t *offset, const void *from, size_t len)
{
	ssize_t n = offset ? pwrite64(fd, from, len, *offset) : write(fd, from, len);

	if (n < 0)
		return -errno;
	if (offset)
		*offset += n;
	return n;
}

/* readv(2) at the descriptor's own position. */
static inline ssize_t sys_readv(int fd, const struct iovec *iov, int count)
{
	return SYS_RESULT(readv(fd, iov, count));
}

static inline ssize_t sys_recv(int fd, void *to, size_t len, int flags)
{
	return SYS_RESULT(recv(fd, to, len, flags));
}

static inline ssize_t sys_send(int fd, const void *from, size_t len, int flags)
{
	return SYS_RESULT(send(fd, from, len, flags));
}

/* An option of a socket that is a number. */
static inline int sys_getsockopt(int fd, int option, int *value)
{
	socklen_t size = sizeof(*value);

	return SYS_RESULT(getsockopt(fd, SOL_SOCKET, option, value, &size));
}

/* preadv2(2) and pwritev2(2) at the descriptor's own position. */
static inline ssize_t sys_preadv2(int fd, const struct iovec *iov, int count, int flags)
{
	return SYS_RESULT(preadv2(fd, iov, count, -1, flags));
}

static inline ssize_t sys_pwritev2(int fd, const struct iovec *iov, int count, int flags)
{
	return SYS_RESULT(pwritev2(fd, iov, count, -1, flags));
}

static inline int sys_pipe2(int fds[2], int flags)
{
	return SYS_RESULT(pipe2(fds, flags));
}

static inline int sys_fcntl(int fd, int command, long value)
{
	return SYS_RESULT(fcntl(fd, command, value));
}

static inline int sys_ioctl(int fd, unsigned long request, void *arg)
{
	return SYS_RESULT(ioctl(fd, request, arg));
}

static inline int sys_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	return SYS_RESULT(poll(fds, count, timeout_ms));
}

static inline int sys_fstat(int fd, struct stat *st)
{
	return SYS_RESULT(fstat(fd, st));
}

static inline loff_t sys_lseek(int fd, loff_t offset, int whence)
{
	return SYS_RESULT(lseek64(fd, offset, whence));
}

static inline int sys_socketpair(int type, int fds[2])
{
	return SYS_RESULT(socketpair(AF_UNIX, type, 0, fds));
}

static inline int sys_memfd(const char *name)
{
	return SYS_RESULT(memfd_create(name, MFD_CLOEXEC));
}

static inline int sys_open(const char *path, int flags)
{
	return SYS_RESULT(open(path, flags | O_CLOEXEC));
}

static inline long sys_keyctl(long operation, long a, long b, long c)
{
	return SYS_RESULT(syscall(SYS_keyctl, operation, a, b, c));
}

/*
 * Can eight bytes be read there? A call that changes nothing, its first argument being none that
 * there is, reads them first (rt_sigprocmask() copies the mask before it looks at what to do).
 */
static inline bool sys_readable(const void *at)
{
	return SYS_RESULT(syscall(SYS_rt_sigprocmask, -1, at, NULL, 8)) != -EFAULT;
}

/* Can eight bytes be written there? What stands there is lost. */
static inline bool sys_writable(void *at)
{
	return SYS_RESULT(syscall(SYS_rt_sigprocmask, 0, NULL, at, 8)) != -EFAULT;
}

/* The call is missing, denied, or not for these descriptors: another way may serve. */
static inline bool sys_refused(ssize_t result)
{
	return result == -ENOSYS || result == -EPERM || result == -EINVAL || result == -EOPNOTSUPP;
}

static inline bool sys_is_pipe(int fd)
{
	struct stat st;

	return !sys_fstat(fd, &st) && S_ISFIFO(st.st_mode);
}

#endif
