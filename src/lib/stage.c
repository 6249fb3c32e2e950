/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stage.c - the private pipe.
 *
 * A stage between input and output costs nothing that can be measured, holds no lock of the
 * output while the source is read, and tells exactly which of the two failed.
 */
#include "stage.h"

#include "copy.h"
#include "sys.h"

static ssize_t account(struct stage *stage, ssize_t n, int sign)
{
	if (n > 0)
		stage->held += (size_t)(sign * n);
	return n;
}

/* The user's limits may allow less than the system's: takes the largest that goes. */
static int resize(int fd, size_t size)
{
	int now = sys_fcntl(fd, F_GETPIPE_SZ, 0);
	int sized = now;

	if (size > STAGE_MAX)
		size = STAGE_MAX;
	for (; size && size != (size_t)now; size /= 2) {
		sized = sys_fcntl(fd, F_SETPIPE_SZ, (long)size);
		if (sized > 0 || size < (size_t)now)
			break;
	}
	return sized > 0 ? sized : now;
}

int stage_open(struct stage *stage, size_t size)
{
	int fds[2];
	int error = sys_pipe2(fds, O_CLOEXEC);
	int now;

	if (error)
		return error;
	now = resize(fds[1], size);
	if (now < 0) {
		close(fds[0]);
		close(fds[1]);
		return now;
	}
	*stage = (struct stage){ .rd = fds[0], .wr = fds[1], .size = (size_t)now };
	return 0;
}

void stage_close(struct stage *stage)
{
	if (stage->rd < 0)
		return;
	close(stage->rd);
	close(stage->wr);
	*stage = (struct stage)STAGE_CLOSED;
}

int stage_reset(struct stage *stage)
{
	size_t size = stage->size;

	stage_close(stage);
	return stage_open(stage, size);
}

int stage_grow(struct stage *stage, size_t size)
{
	int sized;

	if (size <= stage->size)
		return 0;
	if (size > STAGE_MAX)
		return -EPERM;
	sized = sys_fcntl(stage->wr, F_SETPIPE_SZ, (long)size);
	if (sized < 0)
		return sized;
	stage->size = (size_t)sized;
	return 0;
}

/* A poll that waits for nothing can be interrupted nevertheless. */
bool stage_full(const struct stage *stage)
{
	struct pollfd poll = { .fd = stage->wr, .events = POLLOUT };
	int ready;

	do {
		ready = sys_poll(&poll, 1, 0);
	} while (ready == -EINTR);

	return !ready;
}

int stage_accepted(const struct stage *stage, int out, loff_t *offset)
{
	loff_t at = offset ? *offset : 0;
	ssize_t n;

	do {
		n = sys_splice(stage->rd, NULL, out, offset ? &at : NULL, 1, SPLICE_F_NONBLOCK);
	} while (n == -EINTR);

	return n < 0 && n != -EAGAIN ? (int)n : 0;
}

ssize_t stage_fill(struct stage *stage, int in, loff_t *offset, size_t len, unsigned flags)
{
	if (len > stage->size)
		len = stage->size;
	return account(stage, sys_splice(in, offset, stage->wr, NULL, len, flags), 1);
}

ssize_t stage_drain(struct stage *stage, int out, loff_t *offset, unsigned flags)
{
	return account(stage, sys_splice(stage->rd, NULL, out, offset, stage->held, flags), -1);
}

ssize_t stage_tee(struct stage *stage, int in, size_t len, unsigned flags)
{
	ssize_t n;

	do {
		n = sys_tee(in, stage->wr, len, flags);
	} while (n == -EINTR);
	return account(stage, n, 1);
}

ssize_t stage_write(struct stage *stage, const void *from, size_t len)
{
	const struct copy_end end = { .fd = stage->wr };

	return account(stage, copy_put_pipe(&end, from, len, false), 1);
}

ssize_t stage_read(struct stage *stage, void *to, size_t len)
{
	return account(stage, sys_read(stage->rd, NULL, to, len), -1);
}
