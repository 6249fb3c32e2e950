/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fusekeeper.h - a small process that unmounts: when it is asked to, and when the process that
 * serves is no more, whatever ended it. It keeps the rights for that, which the other gives up.
 */
#ifndef EXTPIPE_TOOLS_FUSEKEEPER_H
#define EXTPIPE_TOOLS_FUSEKEEPER_H

#include <sys/types.h>

/* What a mount is known by. */
struct fusekeeper_mount {
	dev_t device;          /* 0 where there is none */
	unsigned long long id; /* 0 where the kernel tells none */
};

struct fusekeeper {
	int fd;           /* to the process */
	const char *path; /* of the mount point, absolute */
	struct fusekeeper_mount mount;
};

/* Starts it, for the mount point at @path. Returns 0, or -1 with errno. */
int fusekeeper_start(struct fusekeeper *keeper, const char *path);

/* What is mounted there now is to be unmounted at the end. Returns 0, or -1 with errno. */
int fusekeeper_mounted(struct fusekeeper *keeper);

/*
 * Unmounts now, where that is still what is mounted there, and ends the process: even while files
 * are open, whose readers get an error once nobody serves them. Returns 0 or an errno.
 */
int fusekeeper_unmount(struct fusekeeper *keeper);

#endif
