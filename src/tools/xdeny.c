/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xdeny - runs a command with system calls made to fail.
 *
 * Rules become one seccomp filter that allows everything else. A filter can compare
 * arguments but can't count, so a rule that counts hands its calls to xdeny by seccomp's
 * user notification, and xdeny stays behind the command to answer. Without such a rule
 * xdeny turns into the command.
 */
#include "cli.h"

#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* The kernel's MAX_ERRNO: seccomp cuts larger numbers down to it. */
#define ERRNO_MAX 4095

/* libseccomp's level for notification and the flag that lets a call run (Linux 5.5). */
#define API_NOTIFY 6

/* The child that execs borrows this much; execvp() puts a script's arguments on it. */
#define STACK_SIZE ((size_t)8 << 20)

enum { KEY_LIST = CLI_KEY_TOOL };

/* ------------------------------------------------------------ known flags */

/* A flag is given if (argument & mask) == value. */
struct flag {
	const char *name;
	uint32_t mask;
	uint32_t value;
};

/* clang-format off */
#define BITS(flag) { #flag, (uint32_t)(flag), (uint32_t)(flag) }
#define FIELD(flag, mask) { #flag, (uint32_t)(mask), (uint32_t)(flag) }
/* The kernel takes commands as 32 bits and ignores what a register holds above them. */
#define EQUALS(flag) { #flag, UINT32_MAX, (uint32_t)(flag) }

static const struct flag splice_flags[] = {
	BITS(SPLICE_F_MOVE), BITS(SPLICE_F_NONBLOCK), BITS(SPLICE_F_MORE), BITS(SPLICE_F_GIFT),
	{ 0 },
};

static const struct flag pipe_flags[] = {
	BITS(O_DIRECT), BITS(O_CLOEXEC), BITS(O_NONBLOCK), BITS(O_EXCL),
	/* The kernel's other name for O_EXCL, in a header that tools don't include. */
	{ "O_NOTIFICATION_PIPE", O_EXCL, O_EXCL }, { 0 },
};

static const struct flag open_flags[] = {
	FIELD(O_RDONLY, O_ACCMODE), FIELD(O_WRONLY, O_ACCMODE), FIELD(O_RDWR, O_ACCMODE),
	BITS(O_APPEND), BITS(O_CLOEXEC), BITS(O_CREAT), BITS(O_DIRECT), BITS(O_DIRECTORY),
	BITS(O_DSYNC), BITS(O_EXCL), BITS(O_NOATIME), BITS(O_NOCTTY), BITS(O_NOFOLLOW),
	BITS(O_NONBLOCK), BITS(O_PATH), BITS(O_SYNC), BITS(O_TMPFILE), BITS(O_TRUNC), { 0 },
};

static const struct flag fcntl_commands[] = {
	EQUALS(F_DUPFD), EQUALS(F_DUPFD_CLOEXEC), EQUALS(F_GETFD), EQUALS(F_SETFD),
	EQUALS(F_GETFL), EQUALS(F_SETFL), EQUALS(F_GETPIPE_SZ), EQUALS(F_SETPIPE_SZ),
	EQUALS(F_GETLK), EQUALS(F_SETLK), EQUALS(F_SETLKW), EQUALS(F_OFD_GETLK),
	EQUALS(F_OFD_SETLK), EQUALS(F_OFD_SETLKW), EQUALS(F_GETLEASE), EQUALS(F_SETLEASE),
	EQUALS(F_GETOWN), EQUALS(F_SETOWN), EQUALS(F_GETSIG), EQUALS(F_SETSIG),
	EQUALS(F_NOTIFY), EQUALS(F_ADD_SEALS), EQUALS(F_GET_SEALS), { 0 },
};

static const struct flag ioctl_commands[] = {
	EQUALS(FIONREAD), EQUALS(FIONBIO), EQUALS(FIOASYNC), EQUALS(FIOCLEX), EQUALS(FIONCLEX),
	EQUALS(TCGETS), EQUALS(TCSETS), EQUALS(TIOCGWINSZ), EQUALS(TIOCSWINSZ),
	EQUALS(TIOCOUTQ), EQUALS(TIOCSTI), EQUALS(BLKGETSIZE64), { 0 },
};

static const struct flag map_flags[] = {
	FIELD(MAP_SHARED, MAP_TYPE), FIELD(MAP_PRIVATE, MAP_TYPE), BITS(MAP_ANONYMOUS),
	BITS(MAP_FIXED), BITS(MAP_FIXED_NOREPLACE), BITS(MAP_HUGETLB), BITS(MAP_LOCKED),
	BITS(MAP_NORESERVE), BITS(MAP_POPULATE), BITS(MAP_STACK), { 0 },
};

static const struct flag protections[] = {
	BITS(PROT_READ), BITS(PROT_WRITE), BITS(PROT_EXEC), { 0 },
};

static const struct flag memfd_flags[] = {
	BITS(MFD_CLOEXEC), BITS(MFD_ALLOW_SEALING), BITS(MFD_HUGETLB), { 0 },
};

static const struct flag fallocate_modes[] = {
	BITS(FALLOC_FL_KEEP_SIZE), BITS(FALLOC_FL_PUNCH_HOLE), BITS(FALLOC_FL_ZERO_RANGE),
	BITS(FALLOC_FL_COLLAPSE_RANGE), BITS(FALLOC_FL_INSERT_RANGE), { 0 },
};

static const struct flag whences[] = {
	EQUALS(SEEK_SET), EQUALS(SEEK_CUR), EQUALS(SEEK_END), EQUALS(SEEK_DATA),
	EQUALS(SEEK_HOLE), { 0 },
};

static const struct flag advices[] = {
	EQUALS(MADV_DONTNEED), EQUALS(MADV_FREE), EQUALS(MADV_HUGEPAGE), EQUALS(MADV_WILLNEED),
	{ 0 },
};

static const struct flag families[] = {
	EQUALS(AF_UNIX), EQUALS(AF_INET), EQUALS(AF_INET6), EQUALS(AF_NETLINK), EQUALS(AF_PACKET),
	EQUALS(AF_ALG), { 0 },
};

static const struct flag accept_flags[] = {
	BITS(SOCK_CLOEXEC), BITS(SOCK_NONBLOCK), { 0 },
};

static const struct flag socket_types[] = {
	FIELD(SOCK_STREAM, 0xf), FIELD(SOCK_DGRAM, 0xf), FIELD(SOCK_SEQPACKET, 0xf),
	FIELD(SOCK_RAW, 0xf), BITS(SOCK_CLOEXEC), BITS(SOCK_NONBLOCK), { 0 },
};

static const struct flag message_flags[] = {
	BITS(MSG_DONTWAIT), BITS(MSG_MORE), BITS(MSG_NOSIGNAL), BITS(MSG_OOB), BITS(MSG_PEEK),
	BITS(MSG_TRUNC), BITS(MSG_WAITALL), BITS(MSG_ZEROCOPY), { 0 },
};

static const struct flag rw_flags[] = {
	BITS(RWF_APPEND), BITS(RWF_DSYNC), BITS(RWF_HIPRI), BITS(RWF_NOWAIT), BITS(RWF_SYNC), { 0 },
};

static const struct flag rename_flags[] = {
	BITS(RENAME_EXCHANGE), BITS(RENAME_NOREPLACE), BITS(RENAME_WHITEOUT), { 0 },
};

static const struct flag namespaces[] = {
	BITS(CLONE_NEWCGROUP), BITS(CLONE_NEWIPC), BITS(CLONE_NEWNET), BITS(CLONE_NEWNS),
	BITS(CLONE_NEWPID), BITS(CLONE_NEWUSER), BITS(CLONE_NEWUTS), BITS(CLONE_FILES),
	BITS(CLONE_FS), { 0 },
};

static const struct flag prctl_commands[] = {
	EQUALS(PR_CAPBSET_DROP), EQUALS(PR_SET_DUMPABLE), EQUALS(PR_SET_NAME),
	EQUALS(PR_SET_NO_NEW_PRIVS), EQUALS(PR_SET_PDEATHSIG), EQUALS(PR_SET_SECCOMP), { 0 },
};

/* Which argument of which call holds which flags. A call may have several rows. */
static const struct known {
	const char *call;
	unsigned arg;
	const struct flag *flags;
} known[] = {
	{ "accept4", 3, accept_flags },
	{ "fallocate", 1, fallocate_modes },
	{ "fcntl", 1, fcntl_commands },
	{ "ioctl", 1, ioctl_commands },
	{ "lseek", 2, whences },
	{ "madvise", 2, advices },
	{ "memfd_create", 1, memfd_flags },
	{ "mmap", 2, protections },
	{ "mmap", 3, map_flags },
	{ "mprotect", 2, protections },
	{ "open", 1, open_flags },
	{ "openat", 2, open_flags },
	{ "pipe2", 1, pipe_flags },
	{ "prctl", 0, prctl_commands },
	{ "preadv2", 5, rw_flags },
	{ "pwritev2", 5, rw_flags },
	{ "recvfrom", 3, message_flags },
	{ "recvmsg", 2, message_flags },
	{ "renameat2", 4, rename_flags },
	{ "sendmsg", 2, message_flags },
	{ "sendto", 3, message_flags },
	{ "socket", 0, families },
	{ "socket", 1, socket_types },
	{ "socketpair", 0, families },
	{ "socketpair", 1, socket_types },
	{ "splice", 5, splice_flags },
	{ "tee", 3, splice_flags },
	{ "unshare", 0, namespaces },
	{ "vmsplice", 3, splice_flags },
	{ NULL, 0, NULL },
};

/* Second names of errno values; strerrorname_np() knows one for each. */
static const struct alias {
	const char *name;
	int error;
} aliases[] = {
	{ "EDEADLOCK", EDEADLOCK }, { "ENOTSUP", ENOTSUP }, { "EWOULDBLOCK", EWOULDBLOCK },
	{ NULL, 0 },
};

/*
 * Calls that can't be counted: the process that loads the filter has to make them while xdeny,
 * its vfork(2) parent, is stopped and so can't answer.
 */
static const char *const uncountable[] = { "execve", "execveat", "exit", "exit_group", NULL };
/* clang-format on */

/* ------------------------------------------------------------------ rules */

struct rule {
	const char *text; /* as it was given */
	int call;
	unsigned arg; /* applies if (argument & mask) == value; no flag: both are 0 */
	uint32_t mask;
	uint32_t value;
	uint64_t first; /* of these calls, counted from 1, the ones that fail; 0: all */
	uint64_t last;
	uint64_t seen;
	int error;
};

struct options {
	struct rule *rules;
	unsigned count;
	bool counting;
	bool list;
	char **command;
};

static int parse_number(const char *text, uint64_t max, uint64_t *number)
{
	/* cli_size() would also take a suffix. */
	if (strspn(text, "0123456789") != strlen(text) || cli_size(text, number))
		return -1;
	return *number >= 1 && *number <= max ? 0 : -1;
}

static int parse_errno(const char *text)
{
	uint64_t number;

	if (!parse_number(text, ERRNO_MAX, &number))
		return (int)number;
	for (const struct alias *alias = aliases; alias->name; alias++)
		if (!strcmp(alias->name, text))
			return alias->error;
	for (int error = 1; error <= ERRNO_MAX; error++) {
		const char *name = strerrorname_np(error);

		if (name && !strcmp(name, text))
			return error;
	}
	return -1;
}

static void parse_call(struct argp_state *state, struct rule *rule, const char *name)
{
	rule->call = seccomp_syscall_resolve_name(name);
	if (rule->call == __NR_SCMP_ERROR)
		argp_error(state, "'%s': no system call is named '%s'", rule->text, name);
	/* libseccomp numbers the calls of other architectures below zero. */
	if (rule->call < 0)
		argp_error(state, "'%s': this architecture has no %s(2)", rule->text, name);
}

static void parse_flag(struct argp_state *state, struct rule *rule, const char *call,
		       const char *name)
{
	for (const struct known *row = known; row->call; row++) {
		if (strcmp(row->call, call))
			continue;
		for (const struct flag *flag = row->flags; flag->name; flag++) {
			if (strcmp(flag->name, name))
				continue;
			rule->arg = row->arg;
			rule->mask = flag->mask;
			rule->value = flag->value;
			return;
		}
	}
	argp_error(state, "'%s': no flag '%s' of %s is known (see --list)", rule->text, name, call);
}

static void parse_count(struct argp_state *state, struct rule *rule, const char *call, char *text)
{
	size_t length = strlen(text);
	bool onwards = length && text[length - 1] == '+';

	if (onwards)
		text[length - 1] = '\0';
	if (parse_number(text, INT64_MAX, &rule->first))
		argp_error(state, "'%s': after @ comes a number from 1, or a number and +",
			   rule->text);
	rule->last = onwards ? UINT64_MAX : rule->first;
	for (const char *const *name = uncountable; *name; name++)
		if (!strcmp(*name, call))
			argp_error(state, "'%s': %s can't be counted, starting COMMAND needs it",
				   rule->text, call);
}

/* Fills in a rule from CALL[:FLAG][@N[+]]=ERRNO; a bad one ends the run. */
static void parse_rule(struct argp_state *state, struct rule *rule, const char *text)
{
	char call[128], *error, *count, *flag;
	size_t size = strlen(text) + 1;

	*rule = (struct rule){ .text = text };
	if (!strchr(text, '=') || size > sizeof(call))
		argp_error(state, "'%s' is no rule: CALL=ERRNO was expected, and -- before COMMAND",
			   text);
	memcpy(call, text, size);
	error = strchr(call, '=');
	*error++ = '\0';
	count = strchr(call, '@');
	if (count)
		*count++ = '\0';
	flag = strchr(call, ':');
	if (flag)
		*flag++ = '\0';

	parse_call(state, rule, call);
	if (flag)
		parse_flag(state, rule, call, flag);
	if (count)
		parse_count(state, rule, call, count);
	rule->error = parse_errno(error);
	if (rule->error < 0)
		argp_error(state, "'%s': '%s' is neither an errno's name nor 1 to %d", text, error,
			   ERRNO_MAX);
}

/* Can one call fall under both? */
static bool overlap(const struct rule *a, const struct rule *b)
{
	if (a->call != b->call)
		return false;
	return a->arg != b->arg || !((a->value ^ b->value) & a->mask & b->mask);
}

static bool same_calls(const struct rule *a, const struct rule *b)
{
	return a->arg == b->arg && a->mask == b->mask && a->value == b->value;
}

/*
 * Rules that meet must agree, since the filter's order isn't the user's. Two that count
 * are told apart call by call, and disagree only where that never helps.
 */
static bool contradict(const struct rule *a, const struct rule *b)
{
	if (!overlap(a, b))
		return false;
	if (!a->first && !b->first)
		return a->error != b->error;
	if (!a->first || !b->first)
		return true;
	return same_calls(a, b) && a->first <= b->last && b->first <= a->last &&
	       a->error != b->error;
}

static void add_rule(struct argp_state *state, struct options *options, const char *text)
{
	struct rule *rule = &options->rules[options->count];

	parse_rule(state, rule, text);
	for (unsigned i = 0; i < options->count; i++)
		if (contradict(&options->rules[i], rule))
			argp_error(state, "'%s' and '%s' contradict each other",
				   options->rules[i].text, text);
	options->count++;
	options->counting |= rule->first > 0;
}

/* ----------------------------------------------------------------- filter */

static int filter_rule(scmp_filter_ctx filter, const struct rule *rule)
{
	struct scmp_arg_cmp flag = SCMP_CMP64(rule->arg, SCMP_CMP_MASKED_EQ, rule->mask,
					      rule->value);
	uint32_t action = rule->first ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO((uint32_t)rule->error);
	int error = seccomp_rule_add_array(filter, action, rule->call, rule->mask ? 1 : 0, &flag);

	/* Two counts of one call ask for the same rule. */
	return error == -EEXIST ? 0 : error;
}

static int set_attributes(scmp_filter_ctx filter)
{
	/* clang-format off */
	static const struct {
		enum scmp_filter_attr attribute;
		uint32_t value;
	} attributes[] = {
		{ SCMP_FLTATR_API_SYSRAWRC, 1 },            /* errno as the kernel gave it */
		{ SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW }, /* 32-bit programs run, undenied */
		{ SCMP_FLTATR_CTL_SSB, 1 },                 /* COMMAND as fast as without xdeny */
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		int error = seccomp_attr_set(filter, attributes[i].attribute, attributes[i].value);

		if (error)
			return error;
	}
	return 0;
}

/* Makes the filter; NULL with a line if that can't be done. */
static scmp_filter_ctx make_filter(const struct options *options)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int error = filter ? set_attributes(filter) : -ENOMEM;

	for (unsigned i = 0; !error && i < options->count; i++)
		error = filter_rule(filter, &options->rules[i]);
	if (!error)
		return filter;
	cli_say("making the filter: %s", strerror(-error));
	seccomp_release(filter);
	return NULL;
}

/* Returns 0 or an errno. libseccomp calls all it doesn't expect EFAULT, and errno is right. */
static int load_filter(scmp_filter_ctx filter)
{
	int error = -seccomp_load(filter);

	return error == EFAULT ? errno : error;
}

static int load_failed(int error)
{
	if (error == EBUSY)
		cli_say("rules that count can't be used inside another xdeny whose rules count: %s",
			strerror(error));
	else
		cli_say("loading the filter: %s", strerror(error));
	return CLI_UNSUPPORTED;
}

/* ------------------------------------------------------- rules that count */

/* What the process that becomes COMMAND shares with xdeny until then. */
struct launch {
	char **command;
	scmp_filter_ctx filter;
	sigset_t mask; /* of signals, and what SIGCHLD did: as xdeny found them */
	void (*on_child_end)(int);
	int load_error; /* why the filter could not be loaded, or 0 */
	int exec_error; /* why COMMAND could not be run, or 0 */
};

/* What xdeny waits for, in the order in which the descriptors are made, so ascending. */
enum { SIGNALS, COMMAND, LISTENER, WATCHED };

struct server {
	const struct options *options;
	struct seccomp_notif *request;
	struct seccomp_notif_resp *response;
	struct pollfd watched[WATCHED];
	pid_t pid;
};

/* Runs in the new process. What it calls after the filter is loaded would be counted. */
static int become_command(void *arg)
{
	struct launch *launch = arg;

	if (signal(SIGCHLD, launch->on_child_end) == SIG_ERR ||
	    sigprocmask(SIG_SETMASK, &launch->mask, NULL))
		launch->load_error = errno;
	else
		launch->load_error = load_filter(launch->filter);
	if (!launch->load_error) {
		execvp(launch->command[0], launch->command);
		launch->exec_error = errno;
	}
	return CLI_CANNOT_RUN;
}

/*
 * Starts COMMAND. The new process shares memory and descriptors with xdeny until its exec
 * gives it its own, so the listener that its filter comes with is xdeny's too, and no call
 * that a rule might deny is needed to hand it over. Returns the process, or -1 with errno.
 */
static pid_t launch_command(struct launch *launch, int *process)
{
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | SIGCHLD;
	char *stack;
	pid_t pid;
	int error;

	/* Shrinking the heap while the filter loads would be a call. Other allocators refuse. */
	(void)mallopt(M_TRIM_THRESHOLD, -1);
	(void)mallopt(M_MMAP_MAX, 0);
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -1;
	pid = clone(become_command, stack + STACK_SIZE, flags, launch, process);
	error = errno;
	munmap(stack, STACK_SIZE);
	errno = error;
	return pid;
}

static bool concerns(const struct rule *rule, const struct seccomp_data *call)
{
	return rule->first && rule->call == call->nr &&
	       ((uint32_t)call->args[rule->arg] & rule->mask) == rule->value;
}

/* What the rules say to this call: an errno, or 0 to let it run. */
static int verdict(const struct options *options, const struct seccomp_data *call)
{
	for (unsigned i = 0; i < options->count; i++) {
		const struct rule *rule = &options->rules[i];

		if (concerns(rule, call) && rule->seen + 1 >= rule->first &&
		    rule->seen + 1 <= rule->last)
			return rule->error;
	}
	return 0;
}

/* Answers one call. One that a signal interrupts comes again, and must count once. */
static void answer(struct server *server)
{
	const struct options *options = server->options;
	const struct seccomp_data *call = &server->request->data;
	int error;

	memset(server->request, 0, sizeof(*server->request));
	if (seccomp_notify_receive(server->watched[LISTENER].fd, server->request))
		return;
	error = verdict(options, call);
	*server->response = (struct seccomp_notif_resp){
		.id = server->request->id,
		.error = -error,
		.flags = error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE,
	};
	if (seccomp_notify_respond(server->watched[LISTENER].fd, server->response))
		return;
	for (unsigned i = 0; i < options->count; i++)
		if (concerns(&options->rules[i], call))
			options->rules[i].seen++;
}

static void forward_signal(const struct server *server)
{
	struct signalfd_siginfo signal;

	if (read(server->watched[SIGNALS].fd, &signal, sizeof(signal)) == sizeof(signal))
		kill(server->pid, (int)signal.ssi_signo);
}

/* Answers until COMMAND ends or, where that is past, until nobody is left to be answered. */
static int serve(struct server *server)
{
	struct pollfd *watched = server->watched;

	while (watched[COMMAND].fd >= 0 || watched[LISTENER].fd >= 0) {
		if (poll(watched, WATCHED, -1) < 0) {
			if (errno == EINTR)
				continue;
			cli_say("waiting for system calls: %s", strerror(errno));
			return -1;
		}
		if (watched[LISTENER].revents & POLLIN)
			answer(server);
		else if (watched[LISTENER].revents)
			watched[LISTENER].fd = -1;
		if (watched[SIGNALS].revents)
			forward_signal(server);
		if (watched[COMMAND].revents)
			return 0;
	}
	return 0;
}

/*
 * Lets go of everything that COMMAND was given, standard error apart: a pipe ends when
 * COMMAND closes it. What can't be closed does no harm but to that.
 */
static void close_others(const struct server *server)
{
	unsigned next = STDERR_FILENO + 1;

	(void)close_range(0, STDERR_FILENO - 1, 0);
	for (int i = 0; i < WATCHED; i++) {
		unsigned fd = (unsigned)server->watched[i].fd;

		if (fd > next)
			(void)close_range(next, fd - 1, 0);
		next = fd + 1;
	}
	(void)close_range(next, ~0U, 0);
}

/* Leaves a process behind to answer what COMMAND started and did not wait for. */
static void serve_the_rest(struct server *server)
{
	struct pollfd *watched = server->watched;
	pid_t pid;

	/* Without a caller left the listener reports an error, and only that. */
	if (watched[LISTENER].fd < 0 ||
	    (poll(&watched[LISTENER], 1, 0) > 0 && !(watched[LISTENER].revents & POLLIN)))
		return;
	pid = fork();
	if (pid < 0)
		cli_say("answering the processes that COMMAND left: %s", strerror(errno));
	if (pid)
		return;
	close(STDERR_FILENO);
	watched[COMMAND].fd = -1;
	watched[SIGNALS].fd = -1;
	_exit(serve(server) ? CLI_FAILED : CLI_OK);
}

/* Waits for COMMAND and answers its calls meanwhile; gives its status. */
static int attend(struct server *server)
{
	int status;

	if (serve(server))
		return CLI_FAILED;
	if (waitpid(server->pid, &status, 0) < 0) {
		cli_say("waiting for COMMAND: %s", strerror(errno));
		return CLI_FAILED;
	}
	serve_the_rest(server);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* COMMAND never ran: says why. */
static int not_run(const struct launch *launch, pid_t pid)
{
	waitpid(pid, NULL, 0);
	if (launch->load_error)
		return load_failed(launch->load_error);
	cli_error("running", launch->command[0], launch->exec_error);
	return launch->exec_error == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_RUN;
}

/*
 * Takes the signals that would end xdeny before COMMAND: the keyboard's reach COMMAND as
 * well and are left unread, SIGTERM and SIGHUP are passed on. Returns a descriptor or -1.
 */
static int take_signals(struct launch *launch)
{
	sigset_t taken, read;

	sigemptyset(&read);
	sigaddset(&read, SIGTERM);
	sigaddset(&read, SIGHUP);
	taken = read;
	sigaddset(&taken, SIGINT);
	sigaddset(&taken, SIGQUIT);
	/* Ignored by whoever started xdeny, it would keep COMMAND's status from us. */
	launch->on_child_end = signal(SIGCHLD, SIG_DFL);
	if (launch->on_child_end == SIG_ERR || sigprocmask(SIG_BLOCK, &taken, &launch->mask))
		return -1;
	return signalfd(-1, &read, SFD_CLOEXEC);
}

static int run_counting(const struct options *options, scmp_filter_ctx filter)
{
	struct launch launch = { .command = options->command, .filter = filter };
	struct server server = { .options = options };
	int status = CLI_FAILED;

	if (seccomp_notify_alloc(&server.request, &server.response)) {
		cli_say("this kernel can't count calls: it has no seccomp notification");
		return CLI_UNSUPPORTED;
	}
	for (int i = 0; i < WATCHED; i++)
		server.watched[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	server.watched[SIGNALS].fd = take_signals(&launch);
	if (server.watched[SIGNALS].fd >= 0)
		server.pid = launch_command(&launch, &server.watched[COMMAND].fd);
	if (server.watched[SIGNALS].fd < 0 || server.pid < 0) {
		cli_say("starting COMMAND: %s", strerror(errno));
		goto out;
	}
	if (launch.load_error || launch.exec_error) {
		status = not_run(&launch, server.pid);
		goto out;
	}
	server.watched[LISTENER].fd = seccomp_notify_fd(filter);
	close_others(&server);
	status = attend(&server);
out:
	seccomp_notify_free(server.request, server.response);
	return status;
}

/* ------------------------------------------------------------------- main */

static int run(const struct options *options)
{
	scmp_filter_ctx filter;
	int status;

	if (options->counting && seccomp_api_get() < API_NOTIFY) {
		cli_say("this kernel can't count calls: its seccomp notification is too old");
		return CLI_UNSUPPORTED;
	}
	filter = make_filter(options);
	if (!filter)
		return CLI_FAILED;
	if (options->counting) {
		status = run_counting(options, filter);
	} else {
		int error = load_filter(filter);

		if (!error)
			cli_exec(options->command);
		status = load_failed(error);
	}
	seccomp_release(filter);
	return status;
}

static void list_flags(void)
{
	const char *call = "";

	for (const struct known *row = known; row->call; row++) {
		if (strcmp(row->call, call))
			printf("%s%s:", *call ? "\n" : "", row->call);
		call = row->call;
		for (const struct flag *flag = row->flags; flag->name; flag++)
			printf(" %s", flag->name);
	}
	putchar('\n');
}

static const struct argp_option option_table[] = {
	{ "list", KEY_LIST, NULL, 0, "Print the flags that are known for each CALL, and exit", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_LIST:
		options->list = true;
		return 0;
	case ARGP_KEY_ARG:
		/* Only what follows -- is COMMAND: a mistyped rule must not be run. */
		if (!state->quoted) {
			add_rule(state, options, arg);
			return 0;
		}
		options->command = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (options->list)
			return 0;
		if (!options->count)
			argp_error(state, "no RULE was given");
		if (!options->command)
			argp_error(state, "no COMMAND was given after --");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "RULE... -- COMMAND [ARGUMENT...]",
	.doc = "Run COMMAND with system calls made to fail.\v"
	       "A RULE is CALL=ERRNO, CALL:FLAG=ERRNO for the calls in which FLAG is given, "
	       "CALL@N=ERRNO for the Nth call, or CALL@N+=ERRNO from the Nth on.",
};

int main(int argc, char **argv)
{
	struct options options = { 0 };
	int status;

	cli_start();
	options.rules = calloc((size_t)argc, sizeof(*options.rules));
	if (!options.rules) {
		cli_say("%s", strerror(ENOMEM));
		return CLI_FAILED;
	}
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
	if (options.list) {
		list_flags();
		status = CLI_OK;
	} else {
		status = run(&options);
	}
	free(options.rules);
	return status;
}
