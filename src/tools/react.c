/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "react.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "events.h"
#include "signals.h"

static bool is_ours(const char *variable)
{
	return !strncmp(variable, "WATCHQ_", strlen("WATCHQ_"));
}

/* The environment without another event's variables, and with these. NULL without memory. */
static char **with_variables(char *variables, size_t size)
{
	size_t count = 1;
	char **all, **next;

	for (char **e = environ; *e; e++)
		count++;
	for (size_t i = 0; i < size; i += strlen(variables + i) + 1)
		count++;
	next = all = calloc(count, sizeof(*all));
	if (!all)
		return NULL;
	for (char **e = environ; *e; e++)
		if (!is_ours(*e))
			*next++ = *e;
	for (size_t i = 0; i < size; i += strlen(variables + i) + 1)
		*next++ = variables + i;
	return all;
}

/* In a process group of its own, so that a signal reaches what it has started. */
static int spawn(const char *command, char **environment, pid_t *pid)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)(uintptr_t)command, NULL };
	posix_spawnattr_t attributes;
	int error = posix_spawnattr_init(&attributes);

	if (error)
		return error;
	error = posix_spawnattr_setpgroup(&attributes, 0)                            ?:
			posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP) ?:
			posix_spawn(pid, "/bin/sh", NULL, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	return error;
}

static int judge(const char *command, int status)
{
	char cause[48];

	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status))
		snprintf(cause, sizeof(cause), "exit status %d", WEXITSTATUS(status));
	else
		snprintf(cause, sizeof(cause), "killed by signal %d", WTERMSIG(status));
	if (!signals_stop())
		cli_complain("running", command, cause);
	return 1;
}

int react(const char *command, const struct xp_event *event)
{
	char *variables = NULL, **environment = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&variables, &size);
	bool passed_on = false;
	int error = ENOMEM, status;
	pid_t pid = 0;

	if (to) {
		event_variables(to, event);
		if (!fclose(to))
			environment = with_variables(variables, size);
	}
	if (environment)
		error = spawn(command, environment, &pid);
	free(environment);
	free(variables);
	if (error) {
		cli_error("running", command, error);
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
		if (signals_stop() && !passed_on)
			passed_on = !kill(-pid, SIGTERM);
	}
	return judge(command, status);
}
