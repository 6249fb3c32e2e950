/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox.h - least privilege, before a tool touches data. */
#ifndef EXTPIPE_TOOLS_SANDBOX_H
#define EXTPIPE_TOOLS_SANDBOX_H

#include "cli.h"

/*
 * Drops every capability and allows from now on only the system calls that moving bytes
 * between open descriptors takes. Nothing can be opened, and nothing run, after it. Says why
 * with --explain where the kernel has no seccomp; does nothing with --no-sandbox.
 * Returns 0, or the exit status after a line on standard error.
 */
int sandbox_enter(const struct cli_common *common);

/*
 * The same for a tool that looks at mounts, keys and devices while it works: it may open files,
 * but for reading alone. @admin keeps CAP_SYS_ADMIN, without which another mount namespace can't be
 * looked at.
 */
int sandbox_enter_watching(const struct cli_common *common, bool admin);

/*
 * The same for a tool that serves files to others: it may look at everything, open it for reading,
 * and start threads. CAP_DAC_READ_SEARCH is kept, without which root couldn't read what is others'.
 */
int sandbox_enter_serving(const struct cli_common *common);

/*
 * Drops all capabilities but @keep, a number as in CAP_SYS_ADMIN, if it is there; those who enter
 * one of the above need not. Returns 0 or an errno.
 */
int sandbox_drop_capabilities(int keep);

#endif
