/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fusenode.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BUCKETS 65536u

/* What makes a file this file: an inode number may be used again, but not with the same birth. */
struct identity {
	dev_t device;
	uint64_t ino;
	int64_t born;
	uint32_t born_nsec;
};

struct node {
	struct node *next; /* in its bucket */
	struct node *parent;
	char *name; /* there */
	struct identity id;
	uint64_t lookups;  /* that the kernel has not forgotten */
	uint64_t children; /* nodes whose parent this is */
	uint64_t opens;
	int fd; /* where opens is not 0 */
};

/* Where a node is: in an open directory, under a name; "" for the root, which is that directory. */
struct place {
	int fd;
	const char *name;
	char *names; /* of all steps, each with its NUL */
	char room[512];
};

static struct node *buckets[BUCKETS];
static struct node root_node;
static int root_fd = -1;
static dev_t self;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root_node : (struct node *)(uintptr_t)ino;
}

int fusenode_root(void)
{
	return root_fd;
}

void fusenode_mounted(dev_t device)
{
	self = device;
}

/* ------------------------------------------------------------------ attributes */

ino_t fusenode_shown(dev_t device, ino_t ino)
{
	/* Programs that look for hard links compare numbers, and see but one device. */
	if (device == root_node.id.device)
		return ino;
	return ino ^ (ino_t)((uint64_t)device * 0x9e3779b97f4a7c15u);
}

static struct timespec time_of(struct statx_timestamp t)
{
	return (struct timespec){ .tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec };
}

static void to_stat(const struct statx *x, struct stat *st)
{
	*st = (struct stat){
		.st_dev = makedev(x->stx_dev_major, x->stx_dev_minor),
		.st_mode = x->stx_mode,
		.st_nlink = x->stx_nlink,
		.st_uid = x->stx_uid,
		.st_gid = x->stx_gid,
		.st_rdev = makedev(x->stx_rdev_major, x->stx_rdev_minor),
		.st_size = (off_t)x->stx_size,
		.st_blksize = x->stx_blksize,
		.st_blocks = (blkcnt_t)x->stx_blocks,
		.st_atim = time_of(x->stx_atime),
		.st_mtim = time_of(x->stx_mtime),
		.st_ctim = time_of(x->stx_ctime),
	};
	st->st_ino = fusenode_shown(st->st_dev, x->stx_ino);
}

/* Attributes and identity of a name in a directory, or with "" of what is open. 0 or errno. */
static int look(int fd, const char *name, struct stat *st, struct identity *id)
{
	const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
	struct statx x;

	/*
	 * On the mount itself, an ordinary question would be one to this process, and could wait
	 * for ever. One for nothing is answered by the kernel, device number included.
	 */
	if (statx(fd, name, flags | AT_STATX_DONT_SYNC, 0, &x))
		return errno;
	if (self && makedev(x.stx_dev_major, x.stx_dev_minor) == self)
		return ELOOP;
	if (statx(fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &x))
		return errno;
	to_stat(&x, st);
	*id = (struct identity){ .device = st->st_dev, .ino = x.stx_ino };
	if (x.stx_mask & STATX_BTIME) {
		id->born = x.stx_btime.tv_sec;
		id->born_nsec = x.stx_btime.tv_nsec;
	}
	return 0;
}

int fusenode_stat_fd(int fd, struct stat *st)
{
	if (fstat(fd, st))
		return errno;
	st->st_ino = fusenode_shown(st->st_dev, st->st_ino);
	return 0;
}

static bool same(const struct identity *a, const struct identity *b)
{
	return a->ino == b->ino && a->device == b->device && a->born == b->born &&
	       a->born_nsec == b->born_nsec;
}

/* ------------------------------------------------------------------------ places */

/* Puts the names of the steps to a node one behind the other. 0 or ENOMEM. */
static int spell(const struct node *node, struct place *place)
{
	size_t length = 1;
	char *at;

	for (const struct node *n = node; n->parent; n = n->parent)
		length += strlen(n->name) + 1;
	place->names = length <= sizeof(place->room) ? place->room : malloc(length);
	if (!place->names)
		return ENOMEM;
	at = place->names + length - 1;
	*at = '\0'; /* an empty name ends them */
	for (const struct node *n = node; n->parent; n = n->parent) {
		size_t size = strlen(n->name) + 1;

		at -= size;
		memcpy(at, n->name, size);
	}
	return 0;
}

static void leave(struct place *place)
{
	if (place->fd >= 0 && place->fd != root_fd)
		close(place->fd);
	if (place->names != place->room)
		free(place->names);
}

/* What is missing where a node was is no longer there under that name. */
static int stale(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP ? ESTALE : error;
}

static int enter(const struct node *node, struct place *place)
{
	int error;

	pthread_mutex_lock(&lock);
	error = spell(node, place);
	pthread_mutex_unlock(&lock);
	if (error)
		return error;
	place->fd = root_fd;
	place->name = place->names;
	for (const char *next; *place->name; place->name = next) {
		int fd;

		next = place->name + strlen(place->name) + 1;
		if (!*next)
			break;
		fd = openat(place->fd, place->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			error = stale(errno);
		if (place->fd != root_fd)
			close(place->fd);
		place->fd = fd;
		if (error) {
			leave(place);
			return error;
		}
	}
	return 0;
}

/* What has the node's name now, if that is still its file. 0 or errno. */
static int stat_named(struct node *node, struct stat *st)
{
	struct identity id = { 0 };
	struct place place;
	int error = enter(node, &place);

	if (error)
		return error;
	error = stale(look(place.fd, place.name, st, &id));
	leave(&place);
	return !error && !same(&id, &node->id) ? ESTALE : error;
}

int fusenode_stat(fuse_ino_t ino, struct stat *st)
{
	struct node *node = node_of(ino);
	int error = stat_named(node, st);

	if (error != ESTALE)
		return error;
	/* Whoever has it open may still ask. */
	pthread_mutex_lock(&lock);
	if (node->opens)
		error = fusenode_stat_fd(node->fd, st);
	pthread_mutex_unlock(&lock);
	return error;
}

int fusenode_open(fuse_ino_t ino, int flags)
{
	struct node *node = node_of(ino);
	struct identity id = { 0 };
	struct place place;
	struct stat st;
	int error = enter(node, &place);
	int fd = -1;

	if (error)
		return -error;
	fd = openat(place.fd, *place.name ? place.name : ".", flags | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		error = stale(errno);
	leave(&place);
	if (!error)
		error = look(fd, "", &st, &id);
	if (!error && !same(&id, &node->id))
		error = ESTALE;
	if (error && fd >= 0)
		close(fd);
	return error ? -error : fd;
}

int fusenode_open_file(fuse_ino_t ino, int *fd)
{
	struct node *node = node_of(ino);
	/* Should the name have become a FIFO's meanwhile, nobody is waited for. */
	int opened = fusenode_open(ino, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (opened < 0)
		return -opened;
	pthread_mutex_lock(&lock);
	if (node->opens++)
		close(opened);
	else
		node->fd = opened;
	*fd = node->fd;
	pthread_mutex_unlock(&lock);
	return 0;
}

void fusenode_close_file(fuse_ino_t ino)
{
	struct node *node = node_of(ino);

	pthread_mutex_lock(&lock);
	if (!--node->opens)
		close(node->fd);
	pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------------------- nodes */

static struct node **bucket_of(const struct identity *id)
{
	uint64_t mixed = (id->ino ^ (uint64_t)id->device << 32) * 0x9e3779b97f4a7c15u;

	return &buckets[mixed >> 48 & (BUCKETS - 1)];
}

static void unlink_node(struct node *node)
{
	struct node **at = bucket_of(&node->id);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	free(node->name);
	free(node);
}

/* Frees it, and the parents that were kept for it, where nobody needs them. */
static void release(struct node *node)
{
	while (node != &root_node && !node->lookups && !node->children) {
		struct node *parent = node->parent;

		unlink_node(node);
		parent->children--;
		node = parent;
	}
}

/* Is @node @other, or above it? */
static bool is_above(const struct node *node, const struct node *other)
{
	while (other && other != node)
		other = other->parent;
	return other != NULL;
}

/* A node's place is where it was last seen: one of its links, or where it was moved to. */
static int move(struct node *node, struct node *parent, const char *name)
{
	struct node *before = node->parent;
	char *copy;

	if (node == &root_node || (before == parent && !strcmp(node->name, name)))
		return 0;
	/* Directories that are moved about while they are looked at may seem to be in a circle. */
	if (is_above(node, parent))
		return ESTALE;
	copy = strdup(name);
	if (!copy)
		return ENOMEM;
	free(node->name);
	node->name = copy;
	node->parent = parent;
	parent->children++;
	before->children--;
	release(before);
	return 0;
}

static struct node *new_node(struct node *parent, const char *name, const struct identity *id)
{
	struct node *node = calloc(1, sizeof(*node));
	struct node **bucket = bucket_of(id);

	if (!node)
		return NULL;
	node->name = strdup(name);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->id = *id;
	node->parent = parent;
	parent->children++;
	node->next = *bucket;
	*bucket = node;
	return node;
}

/* The node of a file that was found, made if need be, with one lookup more. 0 or errno. */
static int take(struct node *parent, const char *name, const struct identity *id, fuse_ino_t *ino)
{
	struct node *node;
	int error = 0;

	pthread_mutex_lock(&lock);
	for (node = *bucket_of(id); node && !same(&node->id, id); node = node->next)
		;
	if (node)
		error = move(node, parent, name);
	else
		node = new_node(parent, name, id);
	if (!node)
		error = ENOMEM;
	if (!error) {
		node->lookups++;
		*ino = (uintptr_t)node;
	}
	pthread_mutex_unlock(&lock);
	return error;
}

int fusenode_lookup(fuse_ino_t parent, const char *name, struct fuse_entry_param *entry)
{
	struct identity id = { 0 };
	int error, directory;

	*entry = (struct fuse_entry_param){
		.attr_timeout = fuselow_timeouts.attr,
		.entry_timeout = fuselow_timeouts.entry,
	};
	/* The kernel sends no others; one that is more than a step would lead out of the tree. */
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return EINVAL;
	directory = fusenode_open(parent, O_PATH | O_DIRECTORY);
	if (directory < 0)
		return -directory;
	error = look(directory, name, &entry->attr, &id);
	close(directory);
	return error ? error : take(node_of(parent), name, &id, &entry->ino);
}

void fusenode_forget(fuse_ino_t ino, uint64_t lookups)
{
	struct node *node = node_of(ino);

	pthread_mutex_lock(&lock);
	node->lookups -= lookups < node->lookups ? lookups : node->lookups;
	release(node);
	pthread_mutex_unlock(&lock);
}

int fusenode_start(int root)
{
	struct stat st;

	root_fd = root;
	return look(root, "", &st, &root_node.id);
}
