/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_target.h - file systems and block devices: which one a descriptor names, and its state. */
#ifndef EXTPIPE_LIB_WATCH_TARGET_H
#define EXTPIPE_LIB_WATCH_TARGET_H

#include "watch.h"
#include "watch_values.h"

/* Fills in the object, the path and the state of a watch of a file system, or a block device. */
int sb_resolve(struct xp_watch *watch, unsigned slot, int fd);
int block_resolve(struct xp_watch *watch, unsigned slot, int fd);

/* Tells the state of a file system. */
void sb_initial(struct xp_watch *watch, unsigned slot, enum xp_backend backend);

/* Learns the names of the devices that a watch looks at, and tells that they are there. */
void block_initial(struct xp_watch *watch, unsigned slot, enum xp_backend backend,
		   struct device_names *names, bool tell);

/* Opens /sys/dev/block/MAJOR:MINOR/NAME for reading: a descriptor, or -errno. */
int block_attribute(uint64_t device, const char *name);

/* Capacity of a device in sectors, 0 if it isn't known. */
uint64_t block_capacity(uint64_t device);

/* What a table of mounts tells of file systems: remounts, and those that are gone. */
void sb_compare(struct xp_watch *watch, const struct table *now);

#endif
