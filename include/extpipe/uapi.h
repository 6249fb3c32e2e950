/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * extpipe/uapi.h - the kernel's side of extended pipes: ioctls and records.
 *
 * A leaf: <linux/types.h> alone, because Debian 12's <linux/watch_queue.h> cannot
 * stand beside <fcntl.h> (struct flock is defined twice).
 */
#ifndef EXTPIPE_UAPI_H
#define EXTPIPE_UAPI_H

#include <linux/types.h>

/* pipe2(2) flag: O_EXCL's value, generic and on every architecture but alpha, parisc, sparc. */
#define XP_O_NOTIFICATION_PIPE 0200

/* ioctls on a notification pipe: _IO('W', 0x60) and _IO('W', 0x61), mainline since 5.8. */
#define XP_IOC_WATCH_QUEUE_SET_SIZE 0x5760
#define XP_IOC_WATCH_QUEUE_SET_FILTER 0x5761

/* keyctl(2) operation, mainline since 5.8. */
#define XP_KEYCTL_WATCH_KEY 32

/* What the series answers to the query; size-versioned, unknown tails are zero. */
struct xp_watch_query {
	__u32 size;        /* in: sizeof this struct; out: the size that the kernel knows */
	__u32 flags;       /* in: 0 */
	__u64 types;       /* out: bit N set: records of type N can be watched */
	__u32 max_notes;   /* out: most notes in a queue */
	__u32 max_id;      /* out: largest watch id */
	__u32 type;        /* in: the type whose sub-types are asked for */
	__u32 __reserved;  /* in: 0 */
	__u32 subtypes[8]; /* out: bit N set: sub-type N exists; a filter's form */
};

#define XP_WATCH_TYPE_META 0
#define XP_WATCH_TYPE_KEY 1
#define XP_WATCH_TYPE_MOUNT 2
#define XP_WATCH_TYPE_SB 3
#define XP_WATCH_TYPE_BLOCK 4

/* _IOWR('W', 0x62), with the first version's 64 bytes for good: the series. */
#define XP_IOC_WATCH_QUEUE_QUERY 0xc0405762

/*
 * Packets larger than a page, the series: _IOW('W', 0x68, __u32) sets the limit in
 * bytes, _IOR('W', 0x69, __u32) reads it, on either end of a pipe.
 */
#define XP_IOC_PIPE_SET_PACKET_LIMIT 0x40045768
#define XP_IOC_PIPE_GET_PACKET_LIMIT 0x80045769

#endif
