/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ret.h - where -errno becomes -1 and errno; nowhere else. */
#ifndef EXTPIPE_LIB_RET_H
#define EXTPIPE_LIB_RET_H

#include <errno.h>
#include <sys/types.h>

static inline ssize_t ret(ssize_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

#endif
