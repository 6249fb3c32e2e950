/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "extpipe.h"

const char *xp_version(void)
{
	return XP_VERSION;
}
