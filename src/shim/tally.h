/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally.h - what xshim and the object that it preloads have in common.
 *
 * A directory of xshim's, named by TALLY_VARIABLE, holds one file that all processes map and
 * count in, and a FIFO that takes a line for each decision. Either may be missing.
 */
#ifndef EXTPIPE_SHIM_TALLY_H
#define EXTPIPE_SHIM_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#define TALLY_VARIABLE "XSHIM_TALLY"
#define TALLY_COUNTS "counts"
#define TALLY_LINES "lines"

/* The calls, in the order in which they are counted. */
#define TALLY_CALLS(row) \
	row(SPLICE, "splice") row(TEE, "tee") row(VMSPLICE, "vmsplice") row(SENDFILE, "sendfile") \
		row(COPY_FILE_RANGE, "copy_file_range") row(PIPE2, "pipe2")

#define TALLY_ID(id, name) SHIM_##id,
enum shim_call { TALLY_CALLS(TALLY_ID) SHIM_CALLS };

/* How a call ended. */
enum tally_end { TALLY_NATIVE, TALLY_EMULATED, TALLY_FAILED, TALLY_ENDS };

struct tally {
	_Atomic uint64_t calls[SHIM_CALLS][TALLY_ENDS];
};

#endif
