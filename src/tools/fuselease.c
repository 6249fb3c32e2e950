/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuselease.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 1024u

/* A lease is not broken by what changes permissions or links, so asking is not left off for ever.
 */
#define LEASED_SECONDS 1.0

/* How many leases are looked after in one go. */
#define BATCH 16

struct lease {
	struct lease *next;
	fuse_ino_t ino;
	int fd;
	bool broken; /* somebody writes, or wants to */
};

static struct lease *buckets[BUCKETS];
static struct fuse_session *session;
static pthread_t thread;
static bool started, ended;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct lease **find(fuse_ino_t ino)
{
	struct lease **at = &buckets[(ino * 0x9e3779b97f4a7c15u) >> 54 & (BUCKETS - 1)];

	while (*at && (*at)->ino != ino)
		at = &(*at)->next;
	return at;
}

void fuselease_take(fuse_ino_t ino, int fd)
{
	struct lease *lease;

	/* Who says how long attributes are right wants it so. */
	if (!started || fuselow_timeouts.attr_given)
		return;
	lease = malloc(sizeof(*lease));
	if (!lease)
		return;
	pthread_mutex_lock(&lock);
	if (fcntl(fd, F_SETLEASE, F_RDLCK)) {
		free(lease); /* it is open for writing, or not ours, or has no leases */
	} else {
		*lease = (struct lease){ .ino = ino, .fd = fd };
		*find(ino) = lease;
	}
	pthread_mutex_unlock(&lock);
}

void fuselease_drop(fuse_ino_t ino)
{
	struct lease **at, *lease;

	pthread_mutex_lock(&lock);
	at = find(ino);
	lease = *at;
	if (lease) {
		*at = lease->next;
		fcntl(lease->fd, F_SETLEASE, F_UNLCK);
	}
	pthread_mutex_unlock(&lock);
	free(lease);
}

double fuselease_seconds(fuse_ino_t ino)
{
	const struct lease *lease;
	bool leased;

	if (!started || fuselow_timeouts.attr_given)
		return fuselow_timeouts.attr;
	pthread_mutex_lock(&lock);
	lease = *find(ino);
	leased = lease && !lease->broken;
	pthread_mutex_unlock(&lock);
	return leased ? LEASED_SECONDS : 0;
}

/* Finds leases that are to be given up, each with a descriptor that keeps it. */
static unsigned collect(struct lease *found, unsigned room)
{
	unsigned count = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct lease *l = buckets[i]; l && count < room; l = l->next) {
			/* While it's being broken this is what it is to become. */
			if (l->broken || fcntl(l->fd, F_GETLEASE) == F_RDLCK)
				continue;
			l->broken = true;
			found[count] = *l;
			found[count++].fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
		}
	}
	pthread_mutex_unlock(&lock);
	return count;
}

/*
 * First the kernel forgets, then the writer may go on. Replies that are under way meanwhile, with
 * what was so before, are older than the forgetting, and the kernel leaves them aside. The lock is
 * not held: forgetting waits for readers, and these for threads that may want the lock.
 */
static void give_up(void)
{
	struct lease found[BATCH];
	unsigned count;

	do {
		count = collect(found, BATCH);
		for (unsigned i = 0; i < count; i++) {
			fuse_lowlevel_notify_inval_inode(session, found[i].ino, 0, 0);
			if (found[i].fd < 0)
				continue; /* the kernel takes it away in the end */
			fcntl(found[i].fd, F_SETLEASE, F_UNLCK);
			close(found[i].fd);
		}
	} while (count);
}

static bool has_ended(void)
{
	bool now;

	pthread_mutex_lock(&lock);
	now = ended;
	pthread_mutex_unlock(&lock);
	return now;
}

static void *run(void *unused)
{
	sigset_t signals;
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGIO);
	while (!has_ended())
		if (!sigwait(&signals, &number))
			give_up();
	return unused;
}

int fuselease_start(struct fuse_session *of)
{
	sigset_t all, before;
	int error;

	session = of;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, run, NULL);
	/* It is for that thread alone. */
	sigaddset(&before, SIGIO);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	started = !error;
	return error;
}

void fuselease_stop(void)
{
	struct timespec until;

	if (!started)
		return;
	pthread_mutex_lock(&lock);
	ended = true;
	pthread_mutex_unlock(&lock);
	pthread_kill(thread, SIGIO);
	/* It may wait for a reader whom nobody serves any more. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	pthread_timedjoin_np(thread, NULL, &until);
}
