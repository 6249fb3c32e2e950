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

/* What is watched, and by which id; size-versioned, unknown tails must be zero. */
struct xp_watch_object {
	__u32 size;       /* in: sizeof this struct */
	__u32 flags;      /* in: 0 adds the watch, XP_WATCH_REMOVE removes it */
	__u32 type;       /* in: which records: XP_WATCH_TYPE_MOUNT, _SB or _BLOCK */
	__s32 fd;         /* in: the object; what it may be depends on the type */
	__u32 id;         /* in: 0 to 255, which every record of this watch carries */
	__u32 __reserved; /* in: 0 */
};

#define XP_WATCH_REMOVE 1

/* _IOW('W', 0x63), with the first version's 24 bytes for good: the series. */
#define XP_IOC_WATCH_QUEUE_WATCH 0x40185763

/*
 * Sub-types of XP_WATCH_TYPE_MOUNT. The object is a mount namespace, for all of its mounts, or any
 * descriptor within a mount: for what happens to it, and for what comes and goes directly on it.
 */
#define XP_WATCH_MOUNT_ATTACHED 0    /* part of the namespace's tree now */
#define XP_WATCH_MOUNT_DETACHED 1    /* and no longer */
#define XP_WATCH_MOUNT_MOVED 2       /* has another place or parent */
#define XP_WATCH_MOUNT_SETATTR 3     /* read-only, nosuid and the like, or an id mapping */
#define XP_WATCH_MOUNT_PROPAGATION 4 /* shared, slave, private or unbindable */
#define XP_WATCH_MOUNT_EXPIRED 5     /* detached because nobody used it */

/* Flags in info, beside length and id. */
#define XP_WATCH_MOUNT_RECURSIVE 0x10000  /* lies below the mount that the operation named */
#define XP_WATCH_MOUNT_READONLY 0x20000   /* the mount, not the superblock, is read-only now */
#define XP_WATCH_MOUNT_PROPAGATED 0x40000 /* came from a peer or a master */

/* A record of XP_WATCH_TYPE_MOUNT. Mounts have the ids that statx(2) and statmount(2) give. */
struct xp_mount_record {
	__u32 watch[2]; /* struct watch_notification: type and sub-type, info (length, id, flags) */
	__u64 mnt_id;
	__u64 parent_id; /* after the event; of what is gone: before; without parent: its own id */
	__u64 mnt_ns_id; /* as NS_GET_MNTNS_ID gives; 0 for a detached tree */
};

/* Sub-types of XP_WATCH_TYPE_SB. The object is a file system; any descriptor on it names it. */
#define XP_WATCH_SB_REMOUNT 0  /* reconfigured: options, read-only or writable */
#define XP_WATCH_SB_ERROR 1    /* the file system found an error */
#define XP_WATCH_SB_NOSPC 2    /* no space was left for somebody */
#define XP_WATCH_SB_QUOTA 3    /* a quota was exceeded, or no longer is */
#define XP_WATCH_SB_FREEZE 4   /* frozen */
#define XP_WATCH_SB_THAW 5     /* thawed by the last who held it frozen */
#define XP_WATCH_SB_SHUTDOWN 6 /* unmounted, shut down by force, or without its device */

/* Flag in info, beside length and id. */
#define XP_WATCH_SB_READONLY 0x10000 /* is read-only after the event */

/* A record of XP_WATCH_TYPE_SB. What has no meaning is 0. */
struct xp_sb_record {
	__u32 watch[2];  /* struct watch_notification: type and sub-type, info (length, id, flag) */
	__u32 dev_major; /* of the superblock, as statmount(2) and mountinfo have it */
	__u32 dev_minor;
	__u64 ino;           /* error: the inode concerned, or 0 */
	__u32 error;         /* error, no space: errno */
	__u32 quota_warning; /* quota: QUOTA_NL_* of <linux/quota.h> */
	__u32 quota_type;    /* quota: USRQUOTA, GRPQUOTA or PRJQUOTA */
	__u32 quota_id;      /* quota: whose, as the file system's user namespace has it */
};

/*
 * Sub-types of XP_WATCH_TYPE_BLOCK. The object is a block device, not a partition, or -1 for all
 * of them.
 */
#define XP_WATCH_BLOCK_ADDED 0   /* seen by a watch of all devices only */
#define XP_WATCH_BLOCK_REMOVED 1 /* or found dead, if that was before */
#define XP_WATCH_BLOCK_MEDIA 2   /* has another medium, or none */
#define XP_WATCH_BLOCK_RESIZED 3 /* has another capacity */
#define XP_WATCH_BLOCK_ERROR 4   /* a request failed */

/* A record of XP_WATCH_TYPE_BLOCK. Sectors have 512 bytes; what has no meaning is 0. */
struct xp_block_record {
	__u32 watch[2];  /* struct watch_notification: type and sub-type, info (length, id) */
	__u32 dev_major; /* of the whole device */
	__u32 dev_minor;
	__u64 sector;    /* error: the first that failed; added, resized: the capacity */
	__u32 length;    /* error: how many bytes failed */
	__u32 operation; /* error: 0 read, 1 write, 3 discard, 9 write zeroes, ... */
	__u32 error;     /* error: EIO, ENODATA, ENOSPC and the like */
	__u32 __reserved;
};

/*
 * Packets larger than a page, the series: _IOW('W', 0x68, __u32) sets the limit in
 * bytes, on a write end; _IOR('W', 0x69, __u32) reads it and _IOR('W', 0x6a, __u32)
 * reads the size of the packet that the next read takes, on either end of a pipe.
 */
#define XP_IOC_PIPE_SET_PACKET_LIMIT 0x40045768
#define XP_IOC_PIPE_GET_PACKET_LIMIT 0x80045769
#define XP_IOC_PIPE_NEXT_PACKET 0x8004576a

#endif
