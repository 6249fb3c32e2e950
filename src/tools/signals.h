/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signals.h - signals that a tool answers between two steps of its work. */
#ifndef EXTPIPE_TOOLS_SIGNALS_H
#define EXTPIPE_TOOLS_SIGNALS_H

#include <stdbool.h>

/*
 * Catches SIGINT, SIGTERM, SIGHUP and SIGUSR1. A signal that was ignored at the start stays
 * ignored;
 * @ignore_interrupt ignores SIGINT too. A blocking call ends with EINTR, also one that is
 * entered just after the signal came.
 */
void signals_catch(bool ignore_interrupt);

/* Interrupts a blocking call once a second, so that a meter moves while nothing else does. */
void signals_every_second(void);

/* The signal that asked to stop, or 0. */
int signals_stop(void);

/* True once for each SIGUSR1 (or several in a row). */
bool signals_asked(void);

/*
 * The last call of main(): ends the process by the signal that asked to stop, as if it had not
 * been caught; where none did, returns @status.
 */
int signals_end(int status);

#endif
