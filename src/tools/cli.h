/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cli.h - what every tool shares on its command line: start, numbers, errors, exit. */
#ifndef EXTPIPE_TOOLS_CLI_H
#define EXTPIPE_TOOLS_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit statuses, the same in every tool. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_UNSUPPORTED = 3,
	CLI_WOULD_BLOCK = 4,
	CLI_LOST = 5,
	CLI_TIMEOUT = 124,
	CLI_CANNOT_RUN = 126,
	CLI_NOT_FOUND = 127,
};

enum cli_stats { CLI_STATS_OFF, CLI_STATS_TEXT, CLI_STATS_JSON };

/* The common options; a tool embeds this and hands it to cli_common_argp as child input. */
struct cli_common {
	bool progress;
	enum cli_stats stats;
	bool explain;
	bool no_fallback;
	bool no_sandbox;
};

/* -P --stats --explain --no-fallback --no-sandbox, for argp_child. */
extern const struct argp cli_common_argp;

/* The children of a tool whose first child input is a cli_common. */
extern const struct argp_child cli_common_children[];

/* Long options without a letter start here; a tool's own come after CLI_KEY_TOOL. */
enum {
	CLI_KEY_STATS = 0x100,
	CLI_KEY_EXPLAIN,
	CLI_KEY_NO_FALLBACK,
	CLI_KEY_NO_SANDBOX,
	CLI_KEY_TOOL
};

/*
 * First call of every main(). Fills closed standard descriptors with ones that answer
 * EBADF, so that a file opened later can't be taken for one, and sets argp up: usage
 * errors exit with CLI_USAGE, --version prints "TOOL (extpipe) VERSION". What is printed on
 * standard output is checked at exit, whoever printed it: a failure becomes CLI_FAILED.
 */
void cli_start(void);

/* Parses SIZE strictly ("64K", "1MiB", "5GB"). Returns 0, or -1 where text is no SIZE. */
int cli_size(const char *text, uint64_t *size);

/* As cli_size, for an argp parser: ends the run with a usage error naming @option. */
uint64_t cli_size_option(struct argp_state *state, const char *option, const char *text);

/* As above, and 0 is refused too. */
size_t cli_positive_option(struct argp_state *state, const char *option, const char *text);

/* As above for a whole number from @min to @max. */
unsigned cli_number_option(struct argp_state *state, const char *option, const char *text,
			   unsigned min, unsigned max);

/* The index of @text in a NULL-terminated list of words, or a usage error naming them all. */
int cli_word_option(struct argp_state *state, const char *option, const char *text,
		    const char *const words[]);

/*
 * One line on standard error: "TOOL: SIDE 'OBJECT': CAUSE". Control characters in the object are
 * shown as escapes, so that a name with a newline makes one line too.
 */
void cli_complain(const char *side, const char *object, const char *cause);

/* cli_complain() with what strerror(3) says of an errno. */
void cli_error(const char *side, const char *object, int error);

/* One line on standard error: "TOOL: " and the formatted text. */
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs a command in this process's place; returns only to exit: 126 or 127, with a line. */
_Noreturn void cli_exec(char **command);

/* The length of the valid UTF-8 sequence at @bytes, of @left bytes at most; 0: there is none. */
size_t cli_utf8_length(const char *bytes, size_t left);

/* Are these bytes UTF-8? */
bool cli_is_utf8(const char *bytes, size_t length);

/* Writes a JSON string; bytes that are no UTF-8 become \udcXX, from which they can be had back. */
void cli_json_bytes(FILE *to, const char *bytes, size_t length);

/* The same, but each byte that is no UTF-8 becomes U+FFFD, which every parser accepts. */
void cli_json_lossy(FILE *to, const char *bytes, size_t length);

/* cli_json_bytes() of a text that a NUL ends. */
void cli_json_string(FILE *to, const char *text);

/* Writes bytes in base64. */
void cli_base64(FILE *to, const char *bytes, size_t length);

#endif
