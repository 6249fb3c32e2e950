/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xshim - runs an unmodified program with libextpipe behind its splice and its kin.
 *
 * The object that does it is preloaded by the dynamic loader, so xshim's work is to find it, to
 * refuse what it cannot be loaded into, and, if asked, to wait for COMMAND and tell what came of
 * the calls. Otherwise it turns into COMMAND.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../shim/tally.h"
#include "cli.h"

#ifndef XSHIM_LIBDIR
#define XSHIM_LIBDIR "/usr/local/lib"
#endif

#define OBJECT "libextpipe-shim.so"

/* As many scripts may run each other as the kernel follows (BINPRM_MAX_RECURSION and one). */
#define MOST_SCRIPTS 5

struct options {
	bool explain;
	enum cli_stats stats;
	char **command;
};

/* --------------------------------------------------------------- options */

static const struct argp_option option_table[] = {
	{ "explain", CLI_KEY_EXPLAIN, NULL, 0,
	  "Say on standard error which calls are emulated, and why", 0 },
	{ "stats", CLI_KEY_STATS, "text|json", OPTION_ARG_OPTIONAL,
	  "At the end print how many calls were native, emulated and failed, on standard error",
	  0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	static const char *const formats[] = { "text", "json", NULL };
	struct options *options = state->input;

	switch (key) {
	case CLI_KEY_EXPLAIN:
		options->explain = true;
		return 0;
	case CLI_KEY_STATS:
		options->stats = CLI_STATS_TEXT;
		if (arg)
			options->stats += cli_word_option(state, "--stats", arg, formats);
		return 0;
	case ARGP_KEY_ARGS:
		options->command = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no COMMAND was given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "[--] COMMAND [ARGUMENT...]",
	.doc = "Run COMMAND so that splice, vmsplice, sendfile, copy_file_range and packet pipes "
	       "work where the kernel refuses them.",
};

/* ------------------------------------------------------------ the object */

/* Sets @path to OBJECT in @directory, or to "" if it is not there. */
static bool object_in(char path[PATH_MAX], const char *directory, const char *below)
{
	char there[PATH_MAX];

	if ((size_t)snprintf(there, sizeof(there), "%s/%s" OBJECT, directory, below) <
		    sizeof(there) &&
	    !access(there, R_OK) && realpath(there, path))
		return true;
	*path = '\0';
	return false;
}

/* Beside xshim (in the build tree one directory up, in a staged tree in lib), or installed. */
static bool find_object(char path[PATH_MAX])
{
	static const char *const beside[] = { "", "../", "../lib/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
			if (object_in(path, self, beside[i]))
				return true;
	}
	return object_in(path, XSHIM_LIBDIR, "");
}

/* Puts OBJECT before whatever is preloaded already. Returns 0 or an exit status. */
static int preload(void)
{
	const char *others = getenv("LD_PRELOAD");
	char path[PATH_MAX], *value;

	if (!find_object(path)) {
		cli_say(OBJECT " is neither beside xshim nor in '" XSHIM_LIBDIR "'");
		return CLI_FAILED;
	}
	/* The loader takes them for separators, and knows no quotes. */
	if (path[strcspn(path, ": \t\n")]) {
		cli_complain("preloading", path, "a path with blanks or colons can't be preloaded");
		return CLI_FAILED;
	}
	if (asprintf(&value, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") <
		    0 ||
	    setenv("LD_PRELOAD", value, 1)) {
		cli_say("%s", strerror(ENOMEM));
		return CLI_FAILED;
	}
	free(value);
	return CLI_OK;
}

/* ------------------------------------------------------------ the command */

/* What is known of a file that is to be run. */
struct image {
	struct stat st;
	bool privileged;            /* it gets capabilities from its file */
	bool elf, foreign;          /* ELF, but of another machine or word size */
	char interpreter[PATH_MAX]; /* its loader, or a script's interpreter; "" if it has none */
	ElfW(Ehdr) header;
};

static void read_elf(struct image *image, int fd)
{
	ElfW(Phdr) segment;
	ElfW(Ehdr) *header = &image->header;

	image->elf = true;
	image->foreign = header->e_ident[EI_CLASS] !=
			 (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32);
	if (image->foreign)
		return;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		off_t at = (off_t)(header->e_phoff + (size_t)i * header->e_phentsize);

		if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment))
			return;
		if (segment.p_type != PT_INTERP || segment.p_filesz >= PATH_MAX)
			continue;
		if (pread(fd, image->interpreter, segment.p_filesz, (off_t)segment.p_offset) > 0)
			return;
	}
}

/* The word after "#!". */
static void read_script(struct image *image, int fd)
{
	char line[256] = "", *word = line + 2;
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

	if (n < 2)
		return;
	word += strspn(word, " \t");
	word[strcspn(word, " \t\n")] = '\0';
	strcpy(image->interpreter, word);
}

/* Looks at a file that could be run; false where that can't be told. */
static bool read_image(struct image *image, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n;

	memset(image, 0, sizeof(*image));
	if (fd < 0)
		return false;
	if (!fstat(fd, &image->st) && S_ISREG(image->st.st_mode)) {
		image->privileged = fgetxattr(fd, "security.capability", NULL, 0) > 0;
		n = pread(fd, &image->header, sizeof(image->header), 0);
		if (n >= (ssize_t)sizeof(image->header) &&
		    !memcmp(image->header.e_ident, ELFMAG, SELFMAG))
			read_elf(image, fd);
		else if (n > 2 && !memcmp(&image->header, "#!", 2))
			read_script(image, fd);
	}
	close(fd);
	return true;
}

/* Why the object can't be preloaded into a program, or NULL. */
static const char *hindrance(const struct image *image)
{
	static struct image self;

	if (!image->elf)
		return NULL;
	if (image->st.st_mode & S_ISUID)
		return "it is set-user-ID, and the loader preloads nothing into it";
	if ((image->st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		return "it is set-group-ID, and the loader preloads nothing into it";
	if (image->privileged)
		return "it has file capabilities, and the loader preloads nothing into it";
	if (read_image(&self, "/proc/self/exe") &&
	    (image->foreign || image->header.e_machine != self.header.e_machine))
		return "it is built for another machine than " OBJECT;
	if (!*image->interpreter)
		return "it is statically linked, and nothing can be preloaded into it";
	if (*self.interpreter &&
	    strcmp(strrchr(image->interpreter, '/') ?: "", strrchr(self.interpreter, '/') ?: ""))
		return "it has another C library than " OBJECT;
	return NULL;
}

/* Sets @path to what execvp(3) would run; false where there is nothing. */
static bool find_command(char path[PATH_MAX], const char *command)
{
	const char *places = getenv("PATH") ?: "/bin:/usr/bin";

	if (strchr(command, '/'))
		return (size_t)snprintf(path, PATH_MAX, "%s", command) < PATH_MAX;
	while (*command) {
		int length = (int)strcspn(places, ":");
		struct stat st;

		if ((size_t)snprintf(path, PATH_MAX, "%.*s%s%s", length, places,
				     length ? "/" : "./", command) < PATH_MAX &&
		    !access(path, X_OK) && !stat(path, &st) && S_ISREG(st.st_mode))
			return true;
		if (!places[length])
			return false;
		places += length + 1;
	}
	return false;
}

/* May COMMAND be run? What can't be run at all, exec(2) says best. Returns 0 or an exit status. */
static int check_command(const char *command)
{
	static struct image image;
	char path[PATH_MAX];
	const char *why;

	if (!find_command(path, command))
		return CLI_OK;
	for (int scripts = 0; scripts <= MOST_SCRIPTS && read_image(&image, path); scripts++) {
		why = hindrance(&image);
		if (why) {
			cli_complain("running", scripts ? path : command, why);
			return CLI_FAILED;
		}
		if (image.elf || !*image.interpreter)
			break;
		strcpy(path, image.interpreter);
	}
	return CLI_OK;
}

/* -------------------------------------------------------------- the tally */

/* Where the processes count and tell; see tally.h. */
struct office {
	char directory[PATH_MAX / 2];
	struct tally *counts;
	int lines;
	char line[1024]; /* not complete yet */
	size_t length;
};

static void name_in(char path[PATH_MAX], const struct office *office, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", office->directory, name);
}

static int make_counts(struct office *office)
{
	char path[PATH_MAX];
	int fd;

	name_in(path, office, TALLY_COUNTS);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*office->counts)))
		return -1;
	office->counts = mmap(NULL, sizeof(*office->counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			      0);
	close(fd);
	return office->counts == MAP_FAILED ? -1 : 0;
}

static int make_lines(struct office *office)
{
	char path[PATH_MAX];

	name_in(path, office, TALLY_LINES);
	if (mkfifo(path, 0600))
		return -1;
	/* For both, so that it never ends. */
	office->lines = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return office->lines < 0 ? -1 : 0;
}

static int open_office(struct office *office, const struct options *options)
{
	const char *place = getenv("TMPDIR");

	office->lines = -1;
	if (!place || *place != '/')
		place = "/tmp";
	if ((size_t)snprintf(office->directory, sizeof(office->directory), "%s/xshim.XXXXXX",
			     place) >= sizeof(office->directory))
		errno = ENAMETOOLONG;
	else if (mkdtemp(office->directory) && !make_counts(office) &&
		 (!options->explain || !make_lines(office)) &&
		 !setenv(TALLY_VARIABLE, office->directory, 1))
		return CLI_OK;
	cli_error("making", office->directory, errno);
	return CLI_FAILED;
}

static void close_office(const struct office *office)
{
	static const char *const names[] = { TALLY_COUNTS, TALLY_LINES };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		name_in(path, office, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(office->directory);
}

/* Prints the lines that came. */
static void print_lines(struct office *office)
{
	char *end;
	ssize_t n;

	if (office->lines < 0)
		return;
	while ((n = read(office->lines, office->line + office->length,
			 sizeof(office->line) - office->length)) > 0) {
		office->length += (size_t)n;
		while ((end = memchr(office->line, '\n', office->length))) {
			size_t length = (size_t)(end - office->line);

			cli_say("%.*s", (int)length, office->line);
			office->length -= length + 1;
			memmove(office->line, end + 1, office->length);
		}
	}
}

static const char *const call_names[] = {
#define NAME(id, name) name,
	TALLY_CALLS(NAME)
};

static uint64_t count(const struct office *office, int call, enum tally_end end)
{
	return atomic_load(&office->counts->calls[call][end]);
}

static void print_text(const struct office *office)
{
	const char *between = "";

	fprintf(stderr, "%s:", program_invocation_short_name);
	for (int call = 0; call < SHIM_CALLS; call++) {
		uint64_t native = count(office, call, TALLY_NATIVE);
		uint64_t emulated = count(office, call, TALLY_EMULATED);
		uint64_t failed = count(office, call, TALLY_FAILED);

		if (!(native | emulated | failed))
			continue;
		fprintf(stderr, "%s %s %ju native, %ju emulated, %ju failed", between,
			call_names[call], (uintmax_t)native, (uintmax_t)emulated,
			(uintmax_t)failed);
		between = ";";
	}
	fprintf(stderr, "%s\n", *between ? "" : " none of the calls was made");
}

static void print_json(const struct office *office)
{
	fputs("{\"tool\":\"xshim\"", stderr);
	for (int call = 0; call < SHIM_CALLS; call++)
		fprintf(stderr, ",\"%s\":{\"native\":%ju,\"emulated\":%ju,\"failed\":%ju}",
			call_names[call], (uintmax_t)count(office, call, TALLY_NATIVE),
			(uintmax_t)count(office, call, TALLY_EMULATED),
			(uintmax_t)count(office, call, TALLY_FAILED));
	fputs("}\n", stderr);
}

/* ---------------------------------------------------------------- running */

/* How signals were before xshim took them. */
struct signals {
	sigset_t mask;
	void (*on_child_end)(int);
};

/*
 * Takes the signals that would end xshim before COMMAND: a terminal sends its own to both, and
 * xshim leaves them unread; SIGTERM and SIGHUP are passed on. Returns a descriptor or -1.
 */
static int take_signals(struct signals *before)
{
	sigset_t taken, readable;

	sigemptyset(&readable);
	sigaddset(&readable, SIGTERM);
	sigaddset(&readable, SIGHUP);
	sigaddset(&readable, SIGCHLD);
	taken = readable;
	sigaddset(&taken, SIGINT);
	sigaddset(&taken, SIGQUIT);
	before->on_child_end = signal(SIGCHLD, SIG_DFL);
	if (before->on_child_end == SIG_ERR || sigprocmask(SIG_BLOCK, &taken, &before->mask))
		return -1;
	return signalfd(-1, &readable, SFD_CLOEXEC | SFD_NONBLOCK);
}

static pid_t start_command(char **command, const struct signals *before)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	signal(SIGCHLD, before->on_child_end);
	sigprocmask(SIG_SETMASK, &before->mask, NULL);
	cli_exec(command);
}

/* Waits for @pid, printing lines and passing signals on meanwhile. Returns its status. */
static int attend(pid_t pid, int signals, struct office *office)
{
	struct pollfd watched[] = { { .fd = signals, .events = POLLIN },
				    { .fd = office->lines, .events = POLLIN } };
	struct signalfd_siginfo signal;
	int status = 0;

	while (!waitpid(pid, &status, WNOHANG)) {
		if (poll(watched, 2, -1) < 0 && errno != EINTR)
			break;
		print_lines(office);
		while (read(signals, &signal, sizeof(signal)) == (ssize_t)sizeof(signal))
			if (signal.ssi_signo != SIGCHLD)
				kill(pid, (int)signal.ssi_signo);
	}
	print_lines(office);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_and_tell(const struct options *options)
{
	static struct office office;
	struct signals before;
	int status = open_office(&office, options);
	int signals = -1;
	pid_t pid = -1;

	if (!status)
		signals = take_signals(&before);
	if (signals >= 0)
		pid = start_command(options->command, &before);
	if (pid > 0)
		status = attend(pid, signals, &office);
	else if (!status) {
		cli_say("starting COMMAND: %s", strerror(errno));
		status = CLI_FAILED;
	}
	if (pid > 0 && options->stats == CLI_STATS_TEXT)
		print_text(&office);
	if (pid > 0 && options->stats == CLI_STATS_JSON)
		print_json(&office);
	close_office(&office);
	return status;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	int status;

	cli_start();
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
	status = check_command(*options.command);
	if (!status)
		status = preload();
	if (status)
		return status;
	if (options.explain || options.stats)
		return run_and_tell(&options);
	cli_exec(options.command);
}
