/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sendfile.c - sendfile(2) and copy_file_range(2): from a file in one call. */
#include "extpipe.h"

#include "copy.h"
#include "emulate.h"
#include "ret.h"
#include "sys.h"

/* 0 if bytes can be sent, or why not, in the kernel's order (do_sendfile()). */
static int look_at_ends(struct copy_end *in, int in_fd, struct copy_end *out, int out_fd,
			loff_t *at, size_t len)
{
	int error = copy_look(in, in_fd);

	if (!error && !copy_can_read(in))
		error = -EBADF;
	if (error)
		return error;
	in->at = at;
	if (at && !in->seekable)
		return -ESPIPE;
	error = copy_verify(in, len);
	if (!error)
		error = copy_look(out, out_fd);
	if (!error && !copy_can_write(out))
		error = -EBADF;
	if (!error && !copy_is_pipe(out))
		error = copy_verify(out, len < SYS_MAX_LENGTH ? len : SYS_MAX_LENGTH);
	return error;
}

ssize_t emulate_sendfile(int out_fd, int in_fd, loff_t *offset, size_t len)
{
	struct copy_end in, out;
	loff_t at;
	ssize_t n;

	if (offset && copy_fetch(&at, offset))
		return -EFAULT;
	n = look_at_ends(&in, in_fd, &out, out_fd, offset ? &at : NULL, len);
	if (!n)
		n = copy_move(&in, &out, len,
			      copy_is_pipe(&out) && out.flags & O_NONBLOCK ? SPLICE_F_NONBLOCK : 0);
	if (offset && copy_store(offset, at))
		return -EFAULT;
	return n;
}

ssize_t xp_sendfile(int out, int in, loff_t *offset, size_t len)
{
	ssize_t n = sys_sendfile(out, in, offset, len);

	if (sys_refused(n))
		n = emulate_sendfile(out, in, offset, len);
	return ret(n);
}

/* Same file system, append mode and the rest are the kernel's conditions, not the copy's. */
bool emulate_range_refused(ssize_t result)
{
	return sys_refused(result) || result == -EXDEV || result == -EBADF || result == -ETXTBSY;
}

/* Shortens @len to the end of the input (generic_copy_file_checks()). */
static int check_range(const struct copy_end *in, const struct copy_end *out, size_t *len)
{
	uint64_t from = (uint64_t)*in->at, to = (uint64_t)*out->at;

	if (S_ISDIR(in->type) || S_ISDIR(out->type))
		return -EISDIR;
	if (!S_ISREG(in->type) || !S_ISREG(out->type))
		return -EINVAL;
	if (!copy_can_read(in) || !copy_can_write(out))
		return -EBADF;
	if (from + *len < from || to + *len < to)
		return -EOVERFLOW;
	/* Of a file whose size the kernel makes up, a read tells more than that. */
	if (*in->at >= 0 && (in->size || copy_is_same(in, out))) {
		uint64_t left = from < (uint64_t)in->size ? (uint64_t)in->size - from : 0;

		*len = *len < left ? *len : (size_t)left;
	}
	/*
	 * The largest file there can be; smaller limits a write knows. At the end of the input
	 * the limit is no error in 6.12.117, and is one in 6.18.44.
	 */
	if (*len && *out->at == INT64_MAX)
		return -EFBIG;
	if (*out->at >= 0 && *len > (uint64_t)INT64_MAX - to)
		*len = (size_t)((uint64_t)INT64_MAX - to);
	if (copy_is_same(in, out) && to + *len > from && to < from + *len)
		return -EINVAL;
	if (copy_verify(in, *len))
		return -EINVAL;
	return copy_verify(out, *len);
}

ssize_t emulate_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
				unsigned flags)
{
	struct copy_end from, to;
	loff_t at[2];
	ssize_t n = copy_look(&from, in);
	int error;

	if (!n)
		n = copy_look(&to, out);
	if (!n &&
	    ((off_in && copy_fetch(&at[0], off_in)) || (off_out && copy_fetch(&at[1], off_out))))
		n = -EFAULT;
	if (!n && flags)
		n = -EINVAL;
	if (n)
		return n;
	from.at = off_in ? &at[0] : &from.own;
	to.at = off_out ? &at[1] : &to.own;
	n = check_range(&from, &to, &len);
	if (n)
		return n;
	from.at = off_in ? from.at : NULL;
	to.at = off_out ? to.at : NULL;
	n = copy_move(&from, &to, len, 0);
	if (n <= 0)
		return n;
	/* Whatever becomes of one of them, the other is stored. */
	error = off_in ? copy_store(off_in, at[0]) : 0;
	if (off_out && copy_store(off_out, at[1]))
		error = -EFAULT;
	return error ? error : n;
}

ssize_t xp_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
			   unsigned flags)
{
	ssize_t n = sys_copy_file_range(in, off_in, out, off_out, len, flags);

	if (emulate_range_refused(n))
		n = emulate_copy_file_range(in, off_in, out, off_out, len, flags);
	return ret(n);
}
