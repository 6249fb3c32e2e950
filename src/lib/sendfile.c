/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sendfile.c - sendfile(2) and copy_file_range(2): from a file in one call. */
#include "extpipe.h"

#include "copy.h"
#include "ret.h"
#include "sys.h"

ssize_t xp_sendfile(int out, int in, loff_t *offset, size_t len)
{
	ssize_t n = sys_sendfile(out, in, offset, len);

	if (!sys_refused(n))
		return ret(n);
	if (offset && *offset < 0)
		return ret(-EINVAL);
	return ret(copy_once(in, offset, out, NULL, len, false));
}

/* Same file system, append mode and the rest are the kernel's conditions, not the copy's. */
static bool range_refused(ssize_t n)
{
	return sys_refused(n) || n == -EXDEV || n == -EBADF || n == -ETXTBSY;
}

static int regular_file(int fd)
{
	struct stat st;
	int error = sys_fstat(fd, &st);

	if (error)
		return error;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

ssize_t xp_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
			   unsigned flags)
{
	ssize_t n = sys_copy_file_range(in, off_in, out, off_out, len, flags);
	int error;

	if (!range_refused(n))
		return ret(n);
	if (flags)
		return ret(-EINVAL);
	error = regular_file(in);
	if (!error)
		error = regular_file(out);
	return ret(error ? error : copy_once(in, off_in, out, off_out, len, false));
}
