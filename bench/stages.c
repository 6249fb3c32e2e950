/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stages [-n RUNS] COMMAND... - runs a pipeline RUNS times and says what it took.
 *
 * "|" joins two commands by a pipe, "~" by a TCP connection over loopback, "," runs them
 * side by side unjoined; "<FILE" and ">FILE" redirect the command they stand in, the
 * latter in place. Prints the seconds from the first fork to the last exit, the seconds of
 * CPU that all commands used, both over all runs, then each command's peak resident set in
 * KiB. One small process forks them all, so that a command's cost is the same whoever it is
 * compared with, and no shell is timed along with it.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define MOST_STAGES 64

struct stage {
	char **command;
	const char *in, *out;
	double cpu;
	long peak;
	pid_t pid;
	char join; /* what ties it to the next one */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int parse(struct stage *stages, char **words)
{
	int count = 0;

	while (*words) {
		struct stage *stage = &stages[count++];
		char **kept = stage->command = words;

		for (; *words && !strchr("|~,", **words); words++) {
			if (**words == '<')
				stage->in = *words + 1;
			else if (**words == '>')
				stage->out = *words + 1;
			else
				*kept++ = *words;
		}
		if (*words)
			stage->join = **words++;
		*kept = NULL;
		if (kept == stage->command || count == MOST_STAGES) {
			errno = EINVAL;
			die("pipeline");
		}
	}
	return count;
}

static void join_tcp(int ends[2])
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t room = sizeof(any);
	int door = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

	must(bind(door, (struct sockaddr *)&any, sizeof(any)), "bind");
	must(listen(door, 1), "listen");
	must(getsockname(door, (struct sockaddr *)&any, &room), "getsockname");
	ends[1] = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	must(connect(ends[1], (struct sockaddr *)&any, sizeof(any)), "connect");
	ends[0] = (int)must(accept4(door, NULL, NULL, SOCK_CLOEXEC), "accept");
	close(door);
}

static void put(int fd, int as)
{
	if (fd >= 0)
		must(dup2(fd, as), "dup2");
}

static _Noreturn void become(const struct stage *stage, int in, int out)
{
	put(in, STDIN_FILENO);
	put(out, STDOUT_FILENO);
	if (stage->in)
		put((int)must(open(stage->in, O_RDONLY | O_CLOEXEC), stage->in), STDIN_FILENO);
	if (stage->out)
		put((int)must(open(stage->out, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), stage->out),
		    STDOUT_FILENO);
	execvp(stage->command[0], stage->command);
	die(stage->command[0]);
}

static void start(struct stage *stages, int count)
{
	int before = -1;

	for (int i = 0; i < count; i++) {
		int ends[2] = { -1, -1 };

		if (stages[i].join == '|')
			must(pipe2(ends, O_CLOEXEC), "pipe");
		else if (stages[i].join == '~')
			join_tcp(ends);
		stages[i].pid = (pid_t)must(fork(), "fork");
		if (!stages[i].pid)
			become(&stages[i], before, ends[1]);
		if (before >= 0)
			close(before);
		if (ends[1] >= 0)
			close(ends[1]);
		before = ends[0];
	}
}

static double seconds(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec * 1e-6;
}

static int finish(struct stage *stages, int count)
{
	int failed = 0, status;
	struct rusage used;

	for (int i = 0; i < count; i++) {
		must(wait4(stages[i].pid, &status, 0, &used), "wait");
		stages[i].cpu += seconds(&used.ru_utime) + seconds(&used.ru_stime);
		if (used.ru_maxrss > stages[i].peak)
			stages[i].peak = used.ru_maxrss;
		if (status && !failed++)
			fprintf(stderr, "stages: %s: wait status %#x\n", stages[i].command[0],
				(unsigned)status);
	}
	return failed;
}

int main(int argc, char **argv)
{
	static struct stage stages[MOST_STAGES];
	long runs = 1;
	double cpu = 0;
	int failed = 0;

	argv++;
	if (argc > 2 && !strcmp(*argv, "-n")) {
		runs = number(argv[1]);
		argv += 2;
	}
	int count = parse(stages, argv);
	double begin = now();

	for (long i = 0; i < runs && !failed; i++) {
		start(stages, count);
		failed = finish(stages, count);
	}
	if (failed)
		return 1;
	double took = now() - begin;

	for (int i = 0; i < count; i++)
		cpu += stages[i].cpu;
	printf("%.9f %.6f", took, cpu);
	for (int i = 0; i < count; i++)
		printf(" %ld", stages[i].peak);
	putchar('\n');
	return 0;
}
