/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fusenode.h - the files of a tree as the kernel knows them by number.
 *
 * A node keeps no descriptor, so that a large tree takes none: it is its parent and its name
 * there, and is reached from the root step by step, through no symbolic link. What is found must
 * be the file that the node was made for, else the answer is ESTALE, upon which the kernel looks
 * the name up anew: so an answer is about what has that name now. Only while it's open a file has
 * a descriptor, one for all who have it open, by which it is there also without a name.
 */
#ifndef EXTPIPE_TOOLS_FUSENODE_H
#define EXTPIPE_TOOLS_FUSENODE_H

#include "fuselow.h"

/* The tree below @root, a directory's descriptor. Returns 0 or an errno. */
int fusenode_start(int root);

/* The device number of the mount itself: what is on it is not served, but ELOOP. */
void fusenode_mounted(dev_t self);

/* The directory that everything is below. */
int fusenode_root(void);

/* Finds @name in @parent and fills in @entry, whose number is held until forgotten. 0 or errno. */
int fusenode_lookup(fuse_ino_t parent, const char *name, struct fuse_entry_param *entry);

void fusenode_forget(fuse_ino_t ino, uint64_t lookups);

/* Returns 0 or an errno. */
int fusenode_stat(fuse_ino_t ino, struct stat *st);

/* The attributes of what is open. Returns 0 or an errno. */
int fusenode_stat_fd(int fd, struct stat *st);

/* Opens a file for reading; @fd is its descriptor until it is closed as often. 0 or errno. */
int fusenode_open_file(fuse_ino_t ino, int *fd);
void fusenode_close_file(fuse_ino_t ino);

/* Opens something else with @flags of open(2). Returns the descriptor or -errno. */
int fusenode_open(fuse_ino_t ino, int flags);

/* The number that is shown for a file: its own, unless it is on another file system than the
 * root, where it might be another file's. */
ino_t fusenode_shown(dev_t device, ino_t ino);

#endif
