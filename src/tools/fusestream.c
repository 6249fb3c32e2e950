/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fusestream.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* The kernel tells of a file's last close some time afterwards: how long an open waits, seconds. */
#define RELEASE_SECONDS 1

struct waiting {
	struct waiting *next;
	uint64_t unique, offset;
	size_t size;
	bool given_up;
};

static struct {
	int fd;
	int news; /* an eventfd: the queue has changed */
	struct fuseread *reader;
	struct waiting *queue;
	uint64_t position;  /* of the next byte */
	uint64_t answering; /* this request, which is in the queue no more */
	bool opened, ended;
} stream;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t released = PTHREAD_COND_INITIALIZER;

int fusestream_start(int fd, struct fuseread *reader)
{
	stream.fd = fd;
	stream.reader = reader;
	stream.news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return stream.news < 0 ? -1 : 0;
}

/* Wakes the thread; a counter that is full wakes it too. */
static void tell(void)
{
	const uint64_t one = 1;

	if (write(stream.news, &one, sizeof(one)) < 0)
		return;
}

int fusestream_open(void)
{
	struct timespec until;
	int error = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RELEASE_SECONDS;
	pthread_mutex_lock(&lock);
	while (stream.opened && !stream.ended && error != ETIMEDOUT)
		error = pthread_cond_timedwait(&released, &lock, &until);
	if (stream.opened)
		error = EBUSY;
	else if (stream.position)
		error = ESPIPE;
	else
		error = 0;
	stream.opened = stream.opened || !error;
	pthread_mutex_unlock(&lock);
	return error;
}

void fusestream_close(void)
{
	pthread_mutex_lock(&lock);
	stream.opened = false;
	pthread_cond_broadcast(&released);
	pthread_mutex_unlock(&lock);
}

int fusestream_read(uint64_t unique, uint64_t offset, size_t size)
{
	struct waiting *waiting = malloc(sizeof(*waiting));
	struct waiting **end = &stream.queue;

	if (!waiting)
		return ENOMEM;
	*waiting = (struct waiting){ .unique = unique, .offset = offset, .size = size };
	pthread_mutex_lock(&lock);
	while (*end)
		end = &(*end)->next;
	*end = waiting;
	pthread_mutex_unlock(&lock);
	tell();
	return 0;
}

bool fusestream_interrupt(uint64_t unique)
{
	bool found;

	pthread_mutex_lock(&lock);
	found = stream.answering == unique;
	for (struct waiting *w = stream.queue; w && !found; w = w->next)
		if (w->unique == unique)
			found = w->given_up = true;
	pthread_mutex_unlock(&lock);
	tell();
	return found;
}

void fusestream_end(void)
{
	pthread_mutex_lock(&lock);
	stream.ended = true;
	pthread_cond_broadcast(&released);
	pthread_mutex_unlock(&lock);
	tell();
}

/* Takes the requests that were given up out of the queue, and answers them. */
static void drop_given_up(void)
{
	struct waiting *dropped = NULL;

	pthread_mutex_lock(&lock);
	for (struct waiting **at = &stream.queue; *at;) {
		struct waiting *w = *at;

		if (!w->given_up) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = dropped;
		dropped = w;
	}
	pthread_mutex_unlock(&lock);
	while (dropped) {
		struct waiting *w = dropped;

		dropped = w->next;
		fuseread_refuse(stream.reader, w->unique, EINTR);
		free(w);
	}
}

/* The first request, out of the queue; NULL if there is none. */
static struct waiting *take(void)
{
	struct waiting *first;

	pthread_mutex_lock(&lock);
	first = stream.queue;
	if (first)
		stream.queue = first->next;
	stream.answering = first ? first->unique : 0;
	pthread_mutex_unlock(&lock);
	return first;
}

/*
 * Answers with what is there: less than was asked for, as read(2) does. Where nobody can tell how
 * much that is (a device such as /dev/zero), reading finds out; nothing at all is the end.
 */
static void answer(const struct waiting *w)
{
	size_t size = w->size;
	int there = 0;
	ssize_t n;

	if (w->offset != stream.position) {
		fuseread_refuse(stream.reader, w->unique, ESPIPE);
		return;
	}
	if (!ioctl(stream.fd, FIONREAD, &there) && there > 0 && (size_t)there < size)
		size = (size_t)there;
	n = fuseread_answer(stream.reader, w->unique, stream.fd, NULL, size);
	if (n > 0) {
		pthread_mutex_lock(&lock);
		stream.position += (uint64_t)n;
		pthread_mutex_unlock(&lock);
	}
}

/* What the thread waits for: the stream only where somebody has asked for it. */
static bool to_go_on(nfds_t *count)
{
	bool ended;

	pthread_mutex_lock(&lock);
	ended = stream.ended;
	*count = stream.queue ? 2 : 1;
	pthread_mutex_unlock(&lock);
	return !ended;
}

void *fusestream_run(void *unused)
{
	struct pollfd polled[] = {
		{ .fd = stream.news, .events = POLLIN },
		{ .fd = stream.fd, .events = POLLIN },
	};
	nfds_t count;

	while (to_go_on(&count)) {
		struct waiting *first = NULL;
		uint64_t news;

		polled[1].revents = 0;
		if (poll(polled, count, -1) < 0)
			continue; /* interrupted, perhaps to end */
		if (polled[0].revents && read(stream.news, &news, sizeof(news)) < 0)
			continue;
		drop_given_up();
		if (polled[1].revents)
			first = take();
		if (first)
			answer(first);
		free(first);
	}
	return unused;
}
