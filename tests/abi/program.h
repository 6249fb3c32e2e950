/* SPDX-License-Identifier: GPL-2.0-or-later */
/* program.h - what a program of somebody else's does with the library, in C and in C++. */
#ifndef EXTPIPE_TESTS_ABI_PROGRAM_H
#define EXTPIPE_TESTS_ABI_PROGRAM_H

#include <extpipe.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Names that the library uses inside; they must not meet these. */
int stage_open(void);
int copy_once(void);

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

/* Sends a line from one pipe to another, asks for a feature, and provokes an error. */
static int use_library(void)
{
	struct xp_transfer job;
	struct xp_report report;
	struct xp_feature feature;
	char line[8] = "";
	int in[2], out[2];

	if (xp_pipe2(in, 0) || xp_pipe2(out, 0))
		return fail("xp_pipe2");
	if (write(in[1], "through", 7) != 7 || close(in[1]))
		return fail("write");
	memset(&job, 0, sizeof(job));
	job.in = in[0];
	job.out = out[1];
	job.length = XP_TO_END;
	if (xp_transfer(&job, &report) || report.bytes != 7)
		return fail("xp_transfer");
	if (read(out[0], line, sizeof(line)) != 7 || strcmp(line, "through"))
		return fail("read");
	if (xp_feature(XP_FEATURE_SPLICE, &feature) || strcmp(feature.name, "splice"))
		return fail("xp_feature");
	if (xp_tee(-1, out[1], 1, 0) != -1 || errno != EBADF)
		return fail("xp_tee");
	printf("%s\n", xp_version());
	return stage_open() + copy_once();
}

#endif
