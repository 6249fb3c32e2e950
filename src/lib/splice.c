/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* splice.c - splice(2). */
#include "extpipe.h"

#include "copy.h"
#include "emulate.h"
#include "ret.h"
#include "sys.h"

/* What the kernel asks of a side that is no pipe (do_splice()). */
static int check_file(const struct copy_end *end, size_t len)
{
	if (end->at && !end->seekable)
		return -EINVAL;
	return copy_verify(end, len);
}

/* 0 if these two can be spliced, or why not, in the kernel's order. */
static int check_ends(const struct copy_end *in, const struct copy_end *out, size_t len)
{
	if (!copy_can_read(in) || !copy_can_write(out))
		return -EBADF;
	if (copy_is_pipe(in) && copy_is_pipe(out))
		return copy_is_same(in, out) ? -EINVAL : 0;
	if (copy_is_pipe(in))
		return check_file(out, len);
	return copy_is_pipe(out) ? check_file(in, len) : -EINVAL;
}

static int fetch_offsets(struct copy_end *in, const loff_t *off_in, struct copy_end *out,
			 const loff_t *off_out, loff_t at[2])
{
	if ((off_in && copy_is_pipe(in)) || (off_out && copy_is_pipe(out)))
		return -ESPIPE;
	in->at = off_in ? &at[0] : NULL;
	out->at = off_out ? &at[1] : NULL;
	if (off_out && copy_fetch(&at[1], off_out))
		return -EFAULT;
	return off_in ? copy_fetch(&at[0], off_in) : 0;
}

ssize_t emulate_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, unsigned flags)
{
	struct copy_end from, to;
	loff_t at[2];
	ssize_t n;

	if (!len)
		return 0;
	if (flags & ~SYS_SPLICE_FLAGS)
		return -EINVAL;
	n = copy_look(&from, in);
	if (!n)
		n = copy_look(&to, out);
	if (!n)
		n = fetch_offsets(&from, off_in, &to, off_out, at);
	if (!n)
		n = check_ends(&from, &to, len);
	if (n)
		return n;
	/* A pipe's own O_NONBLOCK counts, that of anything else is for its reads and writes. */
	if ((copy_is_pipe(&from) && from.flags & O_NONBLOCK) ||
	    (copy_is_pipe(&to) && to.flags & O_NONBLOCK))
		flags |= SPLICE_F_NONBLOCK;
	n = copy_move(&from, &to, len, flags);
	if (n >= 0 &&
	    ((off_out && copy_store(off_out, at[1])) || (off_in && copy_store(off_in, at[0]))))
		return -EFAULT;
	return n;
}

ssize_t xp_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, unsigned flags)
{
	ssize_t n = sys_splice_exactly(in, off_in, out, off_out, len, flags);

	if (sys_refused(n))
		n = emulate_splice(in, off_in, out, off_out, len, flags);
	return ret(n);
}
