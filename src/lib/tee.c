/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tee.c - tee(2).
 *
 * It has no fallback: nothing else looks into a pipe without consuming what is there.
 */
#include "extpipe.h"

#include "ret.h"
#include "sys.h"

ssize_t xp_tee(int in, int out, size_t len, unsigned flags)
{
	return ret(sys_tee(in, out, len, flags));
}
