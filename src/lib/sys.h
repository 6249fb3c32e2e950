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
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
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

/* writev(2) at the descriptor's own position. */
static inline ssize_t sys_writev(int fd, const struct iovec *iov, int count)
{
	return SYS_RESULT(writev(fd, iov, count));
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

static inline long sys_request_key(const char *type, const char *description, const char *callout,
				   int keyring)
{
	return SYS_RESULT(syscall(SYS_request_key, type, description, callout, keyring));
}

static inline int sys_epoll_create(void)
{
	return SYS_RESULT(epoll_create1(EPOLL_CLOEXEC));
}

static inline int sys_epoll_add(int epoll, int fd, unsigned events, unsigned data)
{
	struct epoll_event event = { .events = events, .data.u32 = data };

	return SYS_RESULT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static inline int sys_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
	return SYS_RESULT(epoll_wait(epoll, events, count, timeout_ms));
}

static inline int sys_eventfd(void)
{
	return SYS_RESULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static inline int sys_timer(void)
{
	return SYS_RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

/* Sets it to a time of CLOCK_MONOTONIC in ns. */
static inline int sys_timer_set(int timer, uint64_t due)
{
	struct itimerspec time = { .it_value = { .tv_sec = (time_t)(due / 1000000000u),
						 .tv_nsec = (long)(due % 1000000000u) } };

	return SYS_RESULT(timerfd_settime(timer, TFD_TIMER_ABSTIME, &time, NULL));
}

/* The group in which the kernel tells of devices; udevd speaks in another. */
#define SYS_UEVENT_GROUP 1

/* A socket that hears the kernel's uevents, with room for so many bytes of them; 0: as it is. */
static inline int sys_uevents(int room)
{
	struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = SYS_UEVENT_GROUP };
	int fd = SYS_RESULT(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
				   NETLINK_KOBJECT_UEVENT));
	int error;

	if (fd < 0)
		return fd;
	/* Beyond the limit with the right to, or else up to it. */
	if (room && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	error = SYS_RESULT(bind(fd, (const struct sockaddr *)&name, sizeof(name)));
	if (!error)
		return fd;
	close(fd);
	return error;
}

static inline ssize_t sys_readlink(const char *path, char *to, size_t size)
{
	return SYS_RESULT(readlink(path, to, size));
}

/* statx(2)'s answer, as far as it is of use here; libcs disagree on how much there is. */
struct sys_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare;
	uint64_t ino, size, blocks, attributes_mask, times[8];
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id, more[13];
};
_Static_assert(sizeof(struct sys_statx) == 256, "struct statx has 256 bytes");

#define SYS_STATX_MNT_ID 0x1000u
#define SYS_STATX_MNT_ID_UNIQUE 0x4000u
#define SYS_STATX_ATTR_MOUNT_ROOT 0x2000u

/* What a descriptor names. */
static inline int sys_statx(int fd, unsigned mask, struct sys_statx *st)
{
	return (int)SYS_RESULT(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, mask, st));
}

/* statmount(2) and listmount(2), Linux 6.8, have one number everywhere but on alpha. */
#ifdef __alpha__
#define SYS_STATMOUNT 567
#define SYS_LISTMOUNT 568
#else
#define SYS_STATMOUNT 457
#define SYS_LISTMOUNT 458
#endif

struct sys_mount_request {
	uint32_t size, spare;
	uint64_t mount, param, ns;
};

/* Its first version ends before the namespace. */
#define SYS_MOUNT_REQUEST_VER0 24

#define SYS_STATMOUNT_SB 0x1u
#define SYS_STATMOUNT_MOUNT 0x2u
#define SYS_STATMOUNT_POINT 0x10u

struct sys_statmount {
	uint32_t size, options;
	uint64_t mask;
	uint32_t sb_major, sb_minor;
	uint64_t sb_magic;
	uint32_t sb_flags, fs_type;
	uint64_t id, parent;
	uint32_t old_id, old_parent;
	uint64_t attributes, propagation, peer_group, master, propagate_from;
	uint32_t root, point;
	uint64_t ns, more[49];
};
_Static_assert(sizeof(struct sys_statmount) == 512, "struct statmount has 512 bytes, and text");

static inline int sys_statmount(const struct sys_mount_request *request, void *to, size_t size)
{
	return (int)SYS_RESULT(syscall(SYS_STATMOUNT, request, to, size, 0));
}

static inline ssize_t sys_listmount(const struct sys_mount_request *request, uint64_t *to,
				    size_t count)
{
	return SYS_RESULT(syscall(SYS_LISTMOUNT, request, to, count, 0));
}

/* ioctl(2) on a namespace: its kind, and the id of a mount namespace (Linux 6.11). */
#define SYS_NS_GET_NSTYPE 0xb703
#define SYS_NS_GET_MNTNS_ID 0x8008b705

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
