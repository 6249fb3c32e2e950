/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fusewire.h - the requests of FUSE that xfuse answers itself, as they stand on the wire: sizes
 * and offsets are the kernel's interface, and never change.
 */
#ifndef EXTPIPE_TOOLS_FUSEWIRE_H
#define EXTPIPE_TOOLS_FUSEWIRE_H

#include <stdint.h>

/* Opcodes. */
enum { FUSEWIRE_READ = 15, FUSEWIRE_INTERRUPT = 36 };

/* What each request begins with; length counts this header too. */
struct fusewire_in {
	uint32_t length;
	uint32_t opcode;
	uint64_t unique;
	uint64_t node;
	uint32_t uid, gid, pid;
	uint16_t extension; /* in 8-byte units; padding before 7.38 */
	uint16_t padding;
};

/* What each reply begins with; error is 0 or -errno. */
struct fusewire_out {
	uint32_t length;
	int32_t error;
	uint64_t unique;
};

struct fusewire_read {
	uint64_t handle;
	uint64_t offset;
	uint32_t size;
	uint32_t read_flags;
	uint64_t lock_owner;
	uint32_t flags;
	uint32_t padding;
};

struct fusewire_interrupt {
	uint64_t unique; /* of the request that is given up */
};

_Static_assert(sizeof(struct fusewire_in) == 40, "struct fuse_in_header");
_Static_assert(sizeof(struct fusewire_out) == 16, "struct fuse_out_header");
_Static_assert(sizeof(struct fusewire_read) == 40, "struct fuse_read_in");
_Static_assert(sizeof(struct fusewire_interrupt) == 8, "struct fuse_interrupt_in");

#endif
