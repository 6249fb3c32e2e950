/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuseserve.h - threads that take requests: READ is answered here, libfuse does the rest. */
#ifndef EXTPIPE_TOOLS_FUSESERVE_H
#define EXTPIPE_TOOLS_FUSESERVE_H

#include "fuselow.h"
#include "fuseread.h"

#define FUSESERVE_THREADS 64

struct fuseserve {
	struct fuse_session *session;
	unsigned threads;
	bool stream; /* READ goes to fusestream.h, whose reader comes behind the threads' */
	struct fuseread readers[FUSESERVE_THREADS + 1];
	int ended; /* readable once a thread has found the mount gone */
	int error; /* errno of a device that failed, 0 where it was unmounted */
};

/* Makes what the threads need; before the sandbox. Returns 0, or -1 with errno. */
int fuseserve_prepare(struct fuseserve *serve, struct fuseway *ways, unsigned flags,
		      void (*decided)(const struct xp_decision *decision, void *arg), void *arg);

/* Starts the threads. Returns 0 or an errno. */
int fuseserve_start(struct fuseserve *serve);

/* Ends them; one that can't be interrupted is left behind after a second. */
void fuseserve_stop(struct fuseserve *serve);

#endif
