/* SPDX-License-Identifier: GPL-2.0-or-later */
/* react.h - a command for each event, one at a time: watchq --exec. */
#ifndef EXTPIPE_TOOLS_REACT_H
#define EXTPIPE_TOOLS_REACT_H

#include <extpipe.h>

/*
 * Runs "/bin/sh -c COMMAND" with the event in WATCHQ_* variables, and waits for it; a signal that
 * asks to stop is passed on, as SIGTERM. Returns 0 if it succeeded, 1 after a line on standard
 * error if it did not, or -1 after such a line if nothing could be run.
 */
int react(const char *command, const struct xp_event *event);

#endif
