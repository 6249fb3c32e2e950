/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* splice.c - splice(2). */
#include "extpipe.h"

#include "copy.h"
#include "ret.h"
#include "sys.h"

static bool same_pipe(int a, int b)
{
	struct stat x, y;

	return !sys_fstat(a, &x) && !sys_fstat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The copy refuses what splice(2) refuses whatever the kernel: EINVAL stays EINVAL. */
static bool can_emulate(int in, int out, unsigned flags)
{
	if (flags & ~SYS_SPLICE_FLAGS)
		return false;
	if (!sys_is_pipe(in) && !sys_is_pipe(out))
		return false;
	return !same_pipe(in, out);
}

ssize_t xp_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, unsigned flags)
{
	ssize_t n = sys_splice(in, off_in, out, off_out, len, flags);

	if (!sys_refused(n))
		return ret(n);
	if (!can_emulate(in, out, flags))
		return ret(n == -EINVAL ? n : -EINVAL);
	if ((off_in && sys_is_pipe(in)) || (off_out && sys_is_pipe(out)))
		return ret(-ESPIPE);
	return ret(copy_once(in, off_in, out, off_out, len, flags & SPLICE_F_NONBLOCK));
}
