/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pipe2.c - pipe2(2). */
#include "extpipe.h"

#include "emulate.h"
#include "extpipe/uapi.h"
#include "ret.h"
#include "sys.h"

/* Each half is left one direction, so that both ends behave as a pipe's do. */
static int packet_socketpair(int fds[2], int flags)
{
	int type = SOCK_SEQPACKET;
	int error;

	if (flags & O_CLOEXEC)
		type |= SOCK_CLOEXEC;
	if (flags & O_NONBLOCK)
		type |= SOCK_NONBLOCK;
	error = sys_socketpair(type, fds);
	if (error)
		return error;
	if (!SYS_RESULT(shutdown(fds[0], SHUT_WR)) && !SYS_RESULT(shutdown(fds[1], SHUT_RD)))
		return 0;
	error = -errno;
	close(fds[0]);
	close(fds[1]);
	return error;
}

int xp_pipe2(int fds[2], int flags)
{
	int error;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT | XP_O_NOTIFICATION_PIPE))
		return (int)ret(-EINVAL);
	error = sys_pipe2(fds, flags);
	if (error == -EINVAL && (flags & (O_DIRECT | XP_O_NOTIFICATION_PIPE)) == O_DIRECT)
		error = emulate_pipe2(fds, flags);
	return (int)ret(error);
}

int emulate_pipe2(int fds[2], int flags)
{
	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	return packet_socketpair(fds, flags);
}
