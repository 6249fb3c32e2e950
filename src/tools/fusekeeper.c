/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fusekeeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

/* Linux 6.8: an id that is never used again. Before, one that the next mount may get. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000u
#endif

/* What is mounted there now, without a question to who serves it. 0, or -1 with errno. */
static int look(const char *path, struct fusekeeper_mount *mount)
{
	struct statx x;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		  STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &x))
		return -1;
	mount->device = makedev(x.stx_dev_major, x.stx_dev_minor);
	mount->id = x.stx_mask & (STATX_MNT_ID | STATX_MNT_ID_UNIQUE) ? x.stx_mnt_id : 0;
	return 0;
}

/* An ordinary user's way; it checks whose the mount is. 0 or an errno. */
static int ask_fusermount(const char *mountpoint)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return errno;
	if (!child) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint, NULL);
		execl("/usr/bin/fusermount3", "fusermount3", "-u", "-z", "-q", "--", mountpoint,
		      NULL);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return status ? EPERM : 0;
}

/* Somebody else may have unmounted it, and mounted something else there. */
static bool is_mounted(const char *path, const struct fusekeeper_mount *mount)
{
	struct fusekeeper_mount now;

	return !look(path, &now) && now.device == mount->device && now.id == mount->id;
}

/* 0 or an errno. */
static int unmount(const char *mountpoint, const struct fusekeeper_mount *mount)
{
	if (!is_mounted(mountpoint, mount))
		return 0;
	if (!umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW))
		return 0;
	return errno == EPERM ? ask_fusermount(mountpoint) : errno;
}

/* Nothing of the tool's stays open here, and no terminal's signal ends it. */
static void stand_apart(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int std = STDIN_FILENO; null >= 0 && std <= STDERR_FILENO; std++)
		dup2(null, std);
	if (fd != STDERR_FILENO + 1)
		dup3(fd, STDERR_FILENO + 1, O_CLOEXEC);
	close_range(STDERR_FILENO + 2, ~0u, 0);
	setsid();
	if (chdir("/"))
		_exit(1);
	/* Whoever kills the tool by its name does not mean this one. */
	prctl(PR_SET_NAME, "fuse-unmounter");
	for (int number = 1; number < SIGRTMIN; number++)
		if (number != SIGCHLD)
			signal(number, SIG_IGN);
	/* What unmounting doesn't take; failing to give it up hinders nothing. */
	sandbox_drop_capabilities(CAP_SYS_ADMIN);
}

static _Noreturn void keep(const char *mountpoint)
{
	struct fusekeeper_mount mount = { 0 };
	const int fd = STDERR_FILENO + 1;
	ssize_t n;
	int error = 0;

	/* What is said last counts; the end of it is the other process's end. */
	do {
		n = recv(fd, &mount, sizeof(mount), 0);
	} while (n == sizeof(mount) || (n < 0 && errno == EINTR));
	if (mount.device)
		error = unmount(mountpoint, &mount);
	send(fd, &error, sizeof(error), MSG_NOSIGNAL);
	_exit(0);
}

int fusekeeper_start(struct fusekeeper *keeper, const char *path)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -1;
	child = fork();
	if (!child) {
		stand_apart(ends[1]);
		keep(path);
	}
	close(ends[1]);
	keeper->fd = ends[0];
	keeper->path = path;
	return child < 0 ? -1 : 0;
}

/* A process that is no more is no reason for a SIGPIPE. */
static int tell(const struct fusekeeper *keeper)
{
	ssize_t n = send(keeper->fd, &keeper->mount, sizeof(keeper->mount), MSG_NOSIGNAL);

	return n < 0 ? -1 : 0;
}

int fusekeeper_mounted(struct fusekeeper *keeper)
{
	return look(keeper->path, &keeper->mount) ? -1 : tell(keeper);
}

int fusekeeper_unmount(struct fusekeeper *keeper)
{
	int error = EPIPE;
	ssize_t n;

	/* What is mounted there later is not to be taken for it, should it get its numbers. */
	if (!is_mounted(keeper->path, &keeper->mount)) {
		keeper->mount = (struct fusekeeper_mount){ 0 };
		tell(keeper);
	}
	shutdown(keeper->fd, SHUT_WR);
	do {
		n = read(keeper->fd, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	close(keeper->fd);
	/* Should it have been killed, somebody else may have unmounted nevertheless. */
	return error && is_mounted(keeper->path, &keeper->mount) ? error : 0;
}
