/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* via.c - the names of the ways to move bytes. */
#include "extpipe.h"

static const char *const names[] = {
	[XP_VIA_AUTO] = "auto",         [XP_VIA_SPLICE] = "splice",
	[XP_VIA_SENDFILE] = "sendfile", [XP_VIA_COPY_FILE_RANGE] = "copy_file_range",
	[XP_VIA_TEE] = "tee",           [XP_VIA_VMSPLICE] = "vmsplice",
	[XP_VIA_COPY] = "copy",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == XP_VIA_COUNT, "a way without a name");

const char *xp_via_name(enum xp_via via)
{
	return (unsigned)via < XP_VIA_COUNT ? names[via] : NULL;
}
