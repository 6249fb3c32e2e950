/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fusemount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define DEVICE "/dev/fuse"
#define HELPER "fusermount3"

enum {
	KEY_WRITABLE,
	KEY_NONEMPTY,
	KEY_FSNAME,
	KEY_SUBTYPE,
	KEY_ENTRY,
	KEY_ATTR,
	KEY_MAX_READ,
};

/* What is ours among the words of -o, or said by us where the user doesn't. */
static const struct fuse_opt words[] = {
	FUSE_OPT_KEY("rw", KEY_WRITABLE),          FUSE_OPT_KEY("nonempty", KEY_NONEMPTY),
	FUSE_OPT_KEY("fsname=", KEY_FSNAME),       FUSE_OPT_KEY("subtype=", KEY_SUBTYPE),
	FUSE_OPT_KEY("entry_timeout=", KEY_ENTRY), FUSE_OPT_KEY("attr_timeout=", KEY_ATTR),
	FUSE_OPT_KEY("max_read=", KEY_MAX_READ),   FUSE_OPT_END,
};

/* "attr_timeout=1.5". Returns 0, or -1 after a line. */
static int read_seconds(const char *word, double *seconds)
{
	const char *number = strchr(word, '=') + 1;
	char *end;

	*seconds = strtod(number, &end);
	if (*number >= '0' && *number <= '9' && !*end && *seconds <= 1e9)
		return 0;
	cli_say("-o %s: no number of seconds", word);
	return -1;
}

/* 1, or -1 after a line. */
static int read_max_read(struct fusemount *mount, const char *word)
{
	const char *number = strchr(word, '=') + 1;
	uint64_t size;

	if (cli_size(number, &size) || number[strspn(number, "0123456789")] || size > UINT32_MAX) {
		cli_say("-o %s: no number of bytes", word);
		return -1;
	}
	mount->low.option = (unsigned)size;
	return 1;
}

/* 1 keeps a word for libfuse, 0 drops it, -1 is an error. */
static int on_word(void *data, const char *word, int key, struct fuse_args *out)
{
	struct fusemount *mount = data;

	(void)out;
	switch (key) {
	case KEY_WRITABLE:
		cli_say("-o %s: only reading is served", word);
		return -1;
	case KEY_NONEMPTY:
		mount->nonempty = true;
		return 0;
	case KEY_FSNAME:
		mount->fsname = true;
		return 1;
	case KEY_SUBTYPE:
		mount->subtype = true;
		return 1;
	case KEY_ENTRY:
		return read_seconds(word, &fuselow_timeouts.entry);
	case KEY_ATTR:
		return read_seconds(word, &fuselow_timeouts.attr);
	case KEY_MAX_READ:
		return read_max_read(mount, word);
	default:
		return 1;
	}
}

static int no_memory(void)
{
	cli_say("%s", strerror(ENOMEM));
	return CLI_FAILED;
}

int fusemount_option(struct fusemount *mount, const char *option)
{
	if (!mount->args.argc && fuse_opt_add_arg(&mount->args, program_invocation_short_name))
		return no_memory(), -1;
	if (fuse_opt_add_arg(&mount->args, "-o") || fuse_opt_add_arg(&mount->args, option))
		return no_memory(), -1;
	return 0;
}

/* Says what is wrong with the mount point. */
static int failed(const struct fusemount *mount, int error)
{
	cli_error("mounting", mount->given, error);
	return CLI_FAILED;
}

/* 0 or an errno. */
static int check_empty(const char *path, const struct stat *st)
{
	DIR *stream;
	int entries = 0;

	if (S_ISREG(st->st_mode))
		return st->st_size ? EEXIST : 0;
	stream = opendir(path);
	if (!stream)
		return errno;
	while (entries <= 2 && readdir(stream))
		entries++;
	closedir(stream);
	return entries > 2 ? ENOTEMPTY : 0;
}

static int check_point(struct fusemount *mount, bool tree)
{
	struct stat st;
	int error = 0;

	mount->path = realpath(mount->given, NULL);
	if (!mount->path || stat(mount->path, &st))
		return failed(mount, errno);
	mount->is_file = S_ISREG(st.st_mode);
	if (!S_ISDIR(st.st_mode) && (tree || !mount->is_file))
		return failed(mount, ENOTDIR);
	if (!mount->nonempty)
		error = check_empty(mount->path, &st);
	if (error == EEXIST) {
		cli_complain("mounting", mount->given, "File not empty");
		return CLI_FAILED;
	}
	return error ? failed(mount, error) : CLI_OK;
}

static bool may_mount(void)
{
	cap_flag_value_t has = CAP_CLEAR;
	cap_t now = cap_get_proc();

	if (now && cap_get_flag(now, CAP_SYS_ADMIN, CAP_EFFECTIVE, &has))
		has = CAP_CLEAR;
	if (now)
		cap_free(now);
	return has == CAP_SET;
}

/* Is there one that can be run? As libfuse does, it's looked for where Debian has it, too. */
static int find_helper(void)
{
	const char *path = getenv("PATH");
	char file[4096];
	int error = ENOENT;

	if (!access("/usr/bin/" HELPER, X_OK) || !access("/bin/" HELPER, X_OK))
		return 0;
	while (path && *path) {
		size_t length = strcspn(path, ":");

		if (length && length < sizeof(file) - sizeof(HELPER) - 1) {
			memcpy(file, path, length);
			strcpy(file + length, "/" HELPER);
			if (!access(file, X_OK))
				return 0;
			error = errno == EACCES ? EACCES : error;
		}
		path += length + (path[length] == ':');
	}
	return error;
}

static int check_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	int error = errno;

	if (fd >= 0) {
		close(fd);
		return CLI_OK;
	}
	cli_error("opening", DEVICE, error);
	return CLI_UNSUPPORTED;
}

int fusemount_check(struct fusemount *mount, const char *given, bool tree)
{
	int status, error = 0;

	mount->given = given;
	status = check_point(mount, tree);
	if (!status)
		status = check_device();
	if (!status && !may_mount())
		error = find_helper();
	if (error) {
		cli_error("running", HELPER, error);
		return CLI_UNSUPPORTED;
	}
	return status;
}

/* "fsname=TEXT" with what separates options escaped. 0 or -1. */
static int add_named(struct fusemount *mount, const char *name, const char *text)
{
	char *option = NULL;
	int result = -1;
	size_t length = strlen(name) + strlen(text) + 1;
	char *word = malloc(length);

	if (word) {
		strcpy(word, name);
		strcat(word, text);
		if (!fuse_opt_add_opt_escaped(&option, word))
			result = fusemount_option(mount, option);
	}
	free(word);
	free(option);
	return result;
}

int fusemount_session(struct fusemount *mount, const char *source,
		      const struct fuse_lowlevel_ops *ops, struct fuse_session **session)
{
	if (fusemount_option(mount, "ro,default_permissions"))
		return CLI_FAILED;
	if (fuse_opt_parse(&mount->args, mount, words, on_word))
		return CLI_USAGE;
	if ((!mount->fsname && add_named(mount, "fsname=", source)) ||
	    (!mount->subtype && add_named(mount, "subtype=", program_invocation_short_name)))
		return CLI_FAILED;
	mount->low.ready = eventfd(0, EFD_CLOEXEC);
	if (mount->low.ready < 0)
		return no_memory();
	fuselow_listen(false);
	*session = fuse_session_new(&mount->args, ops, sizeof(*ops), &mount->low);
	if (*session)
		return CLI_OK;
	cli_say("-o: %s", fuselow_words());
	return CLI_USAGE;
}

/* The last line of a file, without fusermount3's name; what libfuse said, if there is none. */
static const char *last_words(int fd, char *text, size_t room)
{
	ssize_t n = pread(fd, text, room - 1, 0);
	char *line;

	if (n <= 0)
		return fuselow_words();
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	if (!strncmp(line, HELPER ": ", sizeof(HELPER) + 1))
		line += sizeof(HELPER) + 1;
	return line;
}

int fusemount_mount(struct fusemount *mount, struct fuse_session *session)
{
	int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	int words_fd = memfd_create("words", MFD_CLOEXEC);
	char text[1024];
	int failure;

	/* fusermount3 says for itself what is wrong; one line is to say it. */
	if (before >= 0 && words_fd >= 0)
		dup2(words_fd, STDERR_FILENO);
	failure = fuse_session_mount(session, mount->path);
	if (before >= 0) {
		dup2(before, STDERR_FILENO);
		close(before);
	}
	if (failure) {
		const char *cause = last_words(words_fd, text, sizeof(text));

		cli_complain("mounting", mount->given, *cause ? cause : "it failed");
	}
	if (words_fd >= 0)
		close(words_fd);
	return failure ? CLI_FAILED : CLI_OK;
}
