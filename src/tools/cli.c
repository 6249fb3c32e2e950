/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"

#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option common_options[] = {
	{ "progress", 'P', NULL, 0, "Show a meter on standard error", 0 },
	{ "stats", CLI_KEY_STATS, "text|json", OPTION_ARG_OPTIONAL,
	  "At the end print what was moved, on standard error", 0 },
	{ "explain", CLI_KEY_EXPLAIN, NULL, 0,
	  "Say on standard error which way was chosen, and why", 0 },
	{ "no-fallback", CLI_KEY_NO_FALLBACK, NULL, 0,
	  "Exit with status 3 rather than fall back to another way", 0 },
	{ "no-sandbox", CLI_KEY_NO_SANDBOX, NULL, 0, "Keep capabilities and load no seccomp filter",
	  0 },
	{ 0 },
};

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	static const char *const formats[] = { "text", "json", NULL };
	struct cli_common *common = state->input;

	switch (key) {
	case 'P':
		common->progress = true;
		return 0;
	case CLI_KEY_STATS:
		common->stats = CLI_STATS_TEXT;
		if (arg)
			common->stats += cli_word_option(state, "--stats", arg, formats);
		return 0;
	case CLI_KEY_EXPLAIN:
		common->explain = true;
		return 0;
	case CLI_KEY_NO_FALLBACK:
		common->no_fallback = true;
		return 0;
	case CLI_KEY_NO_SANDBOX:
		common->no_sandbox = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp cli_common_argp = { .options = common_options, .parser = parse_common };

const struct argp_child cli_common_children[] = {
	{ &cli_common_argp, 0, "Common options:", 9 },
	{ 0 },
};

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "%s (extpipe) %s\n", program_invocation_short_name, xp_version());
}

/* Runs at exit. A standard output that was closed, and not written to, is no failure. */
static void check_stdout(void)
{
	bool failed = ferror(stdout);
	bool pending = __fpending(stdout);

	if (!fclose(stdout) && !failed)
		return;
	if (!failed && !pending && errno == EBADF)
		return;
	cli_error("writing", "standard output", errno);
	_exit(CLI_FAILED);
}

void cli_start(void)
{
	/* The lowest free descriptor is the one that was found closed. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC) != fd)
			_exit(CLI_FAILED);
	if (atexit(check_stdout))
		_exit(CLI_FAILED);
	argp_err_exit_status = CLI_USAGE;
	argp_program_version_hook = print_version;
}

/* The multiplier that a suffix stands for, or 0: "", K, KiB = 1024, KB = 1000 and so on. */
static uint64_t suffix_value(const char *suffix)
{
	static const char letters[] = "KMGTP";
	const char *letter;
	uint64_t base, value = 1;

	if (!*suffix)
		return 1;
	letter = strchr(letters, *suffix == 'k' ? 'K' : *suffix);
	if (!letter)
		return 0;
	if (!suffix[1] || !strcmp(suffix + 1, "iB"))
		base = 1024;
	else if (!strcmp(suffix + 1, "B"))
		base = 1000;
	else
		return 0;
	for (const char *step = letters; step <= letter; step++)
		value *= base;
	return value;
}

int cli_size(const char *text, uint64_t *size)
{
	unsigned long long count;
	uint64_t unit;
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	count = strtoull(text, &end, 10);
	unit = suffix_value(end);
	/* Offsets and lengths are signed in the kernel, so INT64_MAX is the most. */
	if (errno || !unit || __builtin_mul_overflow(count, unit, size) || *size > INT64_MAX)
		return -1;
	return 0;
}

uint64_t cli_size_option(struct argp_state *state, const char *option, const char *text)
{
	uint64_t size = 0;

	if (cli_size(text, &size))
		argp_error(state, "%s: '%s' is no size", option, text);
	return size;
}

size_t cli_positive_option(struct argp_state *state, const char *option, const char *text)
{
	uint64_t size = cli_size_option(state, option, text);

	if (!size)
		argp_error(state, "%s: must be more than 0", option);
	return (size_t)size;
}

unsigned cli_number_option(struct argp_state *state, const char *option, const char *text,
			   unsigned min, unsigned max)
{
	uint64_t number = 0;

	if (strspn(text, "0123456789") != strlen(text) || cli_size(text, &number) || number < min ||
	    number > max)
		argp_error(state, "%s: '%s' is no number from %u to %u", option, text, min, max);
	return (unsigned)number;
}

int cli_word_option(struct argp_state *state, const char *option, const char *text,
		    const char *const words[])
{
	char list[128] = "";

	for (int i = 0; words[i]; i++) {
		if (!strcmp(text, words[i]))
			return i;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 words[i]);
	}
	argp_error(state, "%s: '%s' is none of %s", option, text, list);
	return 0;
}

/* A character of a name as one line shows it. */
static void put_escaped(char c)
{
	static const char letters[] = "abtnvfr"; /* from \a, 7, to \r, 13 */

	if (c >= '\a' && c <= '\r')
		fprintf(stderr, "\\%c", letters[c - '\a']);
	else if ((unsigned char)c < ' ' || c == 0x7f)
		fprintf(stderr, "\\%03o", (unsigned char)c);
	else
		fputc(c, stderr);
}

void cli_complain(const char *side, const char *object, const char *cause)
{
	fprintf(stderr, "%s: %s '", program_invocation_short_name, side);
	while (*object)
		put_escaped(*object++);
	fprintf(stderr, "': %s\n", cause);
}

void cli_error(const char *side, const char *object, int error)
{
	cli_complain(side, object, strerror(error));
}

void cli_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

_Noreturn void cli_exec(char **command)
{
	execvp(command[0], command);
	cli_error("running", command[0], errno);
	exit(errno == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_RUN);
}

size_t cli_utf8_length(const char *bytes, size_t left)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t length = *s < 0x80 ? 1 :
			*s < 0xc2 ? 0 :
			*s < 0xe0 ? 2 :
			*s < 0xf0 ? 3 :
			*s < 0xf5 ? 4 :
				    0;

	if (length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and what lies beyond U+10FFFF. */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

bool cli_is_utf8(const char *bytes, size_t length)
{
	for (size_t at = 0, n; at < length; at += n) {
		n = cli_utf8_length(bytes + at, length - at);
		if (!n)
			return false;
	}
	return true;
}

/* One character of a JSON string, of @n bytes. */
static void json_character(FILE *to, const char *s, size_t n)
{
	if (*s == '"' || *s == '\\')
		fprintf(to, "\\%c", *s);
	else if ((unsigned char)*s < 0x20 || *s == 0x7f)
		fprintf(to, "\\u%04x", *s);
	else if (n == 1)
		fputc(*s, to);
	else
		fwrite(s, 1, n, to);
}

/* Bytes that are no UTF-8: as lone surrogates, or lost. */
static void json_string(FILE *to, const char *s, size_t length, bool lossy)
{
	fputc('"', to);
	for (const char *end = s + length; s < end;) {
		size_t n = cli_utf8_length(s, (size_t)(end - s));

		if (n)
			json_character(to, s, n);
		else if (lossy)
			fputs("\\ufffd", to);
		else /* what it stands for can't be in the text */
			fprintf(to, "\\udc%02x", (unsigned char)*s);
		s += n ? n : 1;
	}
	fputc('"', to);
}

void cli_json_bytes(FILE *to, const char *bytes, size_t length)
{
	json_string(to, bytes, length, false);
}

void cli_json_lossy(FILE *to, const char *bytes, size_t length)
{
	json_string(to, bytes, length, true);
}

void cli_json_string(FILE *to, const char *text)
{
	cli_json_bytes(to, text, strlen(text));
}

void cli_base64(FILE *to, const char *bytes, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)bytes;

	for (size_t at = 0; at < length; at += 3) {
		size_t left = length - at;
		unsigned three = (unsigned)s[at] << 16 | (left > 1 ? (unsigned)s[at + 1] << 8 : 0) |
				 (left > 2 ? s[at + 2] : 0);

		fputc(digits[three >> 18], to);
		fputc(digits[three >> 12 & 63], to);
		fputc(left > 1 ? digits[three >> 6 & 63] : '=', to);
		fputc(left > 2 ? digits[three & 63] : '=', to);
	}
}
