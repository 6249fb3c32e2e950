/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuseserve.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "fusestream.h"
#include "fusewire.h"

/* How long is waited for a thread that is to end, and how often it is interrupted meanwhile. */
#define STOP_TRIES 100
#define STOP_NSEC 10000000

/* The kernel wants room for a WRITE of the largest size, though none ever comes, and its header. */
#define REQUEST_ROOM (FUSELOW_READ_MAX + 4096)

static struct worker {
	struct fuseserve *serve;
	struct fuseread *reader;
	pthread_t thread;
	bool running;
	void *room;               /* for a request */
	_Atomic uint64_t at_work; /* on this request */
} workers[FUSESERVE_THREADS + 1];

static void nothing(int number)
{
	(void)number;
}

int fuseserve_prepare(struct fuseserve *serve, struct fuseway *ways, unsigned flags,
		      void (*decided)(const struct xp_decision *decision, void *arg), void *arg)
{
	unsigned readers = serve->threads + (serve->stream ? 1 : 0);

	serve->ended = eventfd(0, EFD_CLOEXEC);
	if (serve->ended < 0)
		return -1;
	/* All are alike: what the first says about its way goes for all of them. */
	for (unsigned i = 0; i < readers; i++) {
		workers[i].room = malloc(REQUEST_ROOM);
		if (!workers[i].room ||
		    fuseread_open(&serve->readers[i], ways, flags, decided, arg))
			return -1;
	}
	return 0;
}

/* A request of ours as it lies in memory, if it is whole. */
static const void *body_of(const struct fuse_buf *buffer, size_t size)
{
	if (buffer->size < sizeof(struct fusewire_in) + size)
		return NULL;
	return (const char *)buffer->mem + sizeof(struct fusewire_in);
}

static void on_read(struct worker *worker, const struct fuse_buf *buffer, uint64_t unique)
{
	const struct fusewire_read *in = body_of(buffer, sizeof(*in));
	loff_t offset;
	int error = 0;

	if (!in || in->size > FUSELOW_READ_MAX || in->offset > (uint64_t)INT64_MAX - in->size ||
	    in->handle > INT_MAX)
		error = EINVAL;
	else if (worker->serve->stream)
		error = fusestream_read(unique, in->offset, in->size);
	if (error) {
		fuseread_refuse(worker->reader, unique, error);
	} else if (!worker->serve->stream) {
		offset = (loff_t)in->offset;
		fuseread_answer(worker->reader, unique, (int)in->handle, &offset, in->size);
	}
}

static bool is_at_work(const struct fuseserve *serve, uint64_t unique)
{
	for (unsigned i = 0; i < serve->threads; i++)
		if (atomic_load(&workers[i].at_work) == unique)
			return true;
	return false;
}

/*
 * The reader was interrupted. A READ of a stream is given up; whatever else is at work will be
 * answered soon. libfuse would look for the request among its own, and have the kernel ask again
 * and again. That is right only where it is not known here: it may have been taken from the
 * device a moment ago, or have been answered, in which case the kernel takes no notice.
 */
static void on_interrupt(struct worker *worker, const struct fuse_buf *buffer, uint64_t unique)
{
	const struct fusewire_interrupt *in = body_of(buffer, sizeof(*in));
	struct fusewire_out out = { .length = sizeof(out), .error = -EAGAIN, .unique = unique };

	if (!in)
		return;
	if (worker->serve->stream && fusestream_interrupt(in->unique))
		return;
	if (is_at_work(worker->serve, in->unique))
		return;
	if (write(worker->reader->device, &out, sizeof(out)) < 0)
		return; /* ENOENT: answered meanwhile */
}

static void dispatch(struct worker *worker, const struct fuse_buf *buffer)
{
	struct fusewire_in in;

	if (buffer->size < sizeof(in))
		return;
	memcpy(&in, buffer->mem, sizeof(in));
	/* An interrupt is never interrupted itself, and says nothing about what is at work. */
	if (in.opcode == FUSEWIRE_INTERRUPT) {
		on_interrupt(worker, buffer, in.unique);
		return;
	}
	atomic_store(&worker->at_work, in.unique);
	if (in.opcode == FUSEWIRE_READ)
		on_read(worker, buffer, in.unique);
	else
		fuse_session_process_buf(worker->serve->session, buffer);
	atomic_store(&worker->at_work, 0);
}

/*
 * The next request: its length, 0 once nobody is served any more, or -1 with errno. An unmount
 * is ENODEV, or ECONNABORTED if it comes while a request is handed over (fuse_dev_do_read()),
 * which libfuse's own reading takes for a failure.
 */
static ssize_t receive(const struct fuseserve *serve, void *to)
{
	ssize_t n = read(fuse_session_fd(serve->session), to, REQUEST_ROOM);

	return n < 0 && (errno == ENODEV || errno == ECONNABORTED) ? 0 : n;
}

/* A signal came, another thread was quicker, or the request was given up meanwhile. */
static bool is_passing(int error)
{
	return error == EINTR || error == EAGAIN || error == ENOENT;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct fuseserve *serve = worker->serve;
	struct fuse_buf buffer = { .mem = worker->room };
	const uint64_t one = 1;

	while (!fuse_session_exited(serve->session)) {
		ssize_t n = receive(serve, buffer.mem);

		if (n < 0 && is_passing(errno))
			continue;
		if (n <= 0) {
			serve->error = n < 0 ? errno : 0;
			fuse_session_exit(serve->session);
			break;
		}
		buffer.size = (size_t)n;
		dispatch(worker, &buffer);
	}
	if (write(serve->ended, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes 2^64 - 2 of them */
	return NULL;
}

/* Signals are for the first thread; the others have one that does nothing but interrupt. */
static void mask_signals(sigset_t *before)
{
	struct sigaction action = { .sa_handler = nothing };
	sigset_t all;

	sigaction(SIGUSR2, &action, NULL);
	sigfillset(&all);
	sigdelset(&all, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &all, before);
}

int fuseserve_start(struct fuseserve *serve)
{
	unsigned all = serve->threads + (serve->stream ? 1 : 0);
	sigset_t before;
	int error = 0;

	mask_signals(&before);
	for (unsigned i = 0; i < all && !error; i++) {
		struct worker *worker = &workers[i];

		worker->serve = serve;
		worker->reader = &serve->readers[i];
		worker->reader->device = fuse_session_fd(serve->session);
		error = pthread_create(&worker->thread, NULL,
				       i < serve->threads ? work : fusestream_run, worker);
		worker->running = !error;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void stop_worker(struct worker *worker)
{
	for (int i = 0; worker->running && i < STOP_TRIES; i++) {
		struct timespec until;

		pthread_kill(worker->thread, SIGUSR2);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += STOP_NSEC;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		worker->running = pthread_timedjoin_np(worker->thread, NULL, &until) != 0;
	}
}

void fuseserve_stop(struct fuseserve *serve)
{
	fuse_session_exit(serve->session);
	if (serve->stream)
		fusestream_end();
	for (unsigned i = 0; i <= FUSESERVE_THREADS; i++) {
		stop_worker(&workers[i]);
		if (workers[i].running || !workers[i].reader)
			continue;
		fuseread_close(workers[i].reader);
		free(workers[i].room);
	}
}
