/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xprobe - what this kernel does with extended pipes. */
#include <errno.h>
#include <extpipe.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { KEY_JSON = CLI_KEY_TOOL, KEY_NATIVE };

struct xprobe {
	bool json, native, quiet;
	bool wanted[XP_FEATURE_COUNT];
	bool any; /* FEATUREs were named */
	struct xp_feature features[XP_FEATURE_COUNT];
};

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "Print one JSON array", 0 },
	{ "native", KEY_NATIVE, NULL, 0, "Exit with 0 only if all FEATUREs are native", 0 },
	{ "quiet", 'q', NULL, 0, "Print nothing; the exit status tells", 0 },
	{ 0 },
};

static error_t parse_feature(struct xprobe *x, const char *name, struct argp_state *state)
{
	for (unsigned id = 0; id < XP_FEATURE_COUNT; id++) {
		if (!strcmp(name, x->features[id].name)) {
			x->wanted[id] = x->any = true;
			return 0;
		}
	}
	argp_error(state, "'%s' is no feature; xprobe alone lists them", name);
	return EINVAL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct xprobe *x = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		return parse_feature(x, arg, state);
	case KEY_JSON:
		x->json = true;
		return 0;
	case KEY_NATIVE:
		x->native = true;
		return 0;
	case 'q':
		x->quiet = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[FEATURE...]",
	.doc = "Find out by experiment what this kernel does with extended pipes.\v"
	       "With FEATUREs, exit with 0 only if all of them are usable, and with 3 otherwise.",
};

static const char *support_name(enum xp_support support)
{
	static const char *const names[] = {
		[XP_ABSENT] = "absent",
		[XP_EMULATED] = "emulated",
		[XP_NATIVE] = "native",
	};

	return names[support];
}

static void print_text(const struct xp_feature *f)
{
	printf("%-18s %-9s", f->name, support_name(f->support));
	if (f->limit >= 0)
		printf(" %10" PRId64, f->limit);
	else
		printf(" %10s", "-");
	printf("  %s", f->why);
	if (f->error)
		printf(" (%s)", strerrorname_np(f->error) ?: "unknown error");
	putchar('\n');
}

static void print_json(const struct xp_feature *f, bool first)
{
	printf("%s{\"feature\":\"%s\",\"support\":\"%s\",\"errno\":", first ? "" : ",\n ", f->name,
	       support_name(f->support));
	if (f->error)
		printf("\"%s\"", strerrorname_np(f->error) ?: "unknown error");
	else
		fputs("null", stdout);
	fputs(",\"why\":", stdout);
	cli_json_string(stdout, f->why);
	if (f->limit >= 0)
		printf(",\"limit\":%" PRId64, f->limit);
	putchar('}');
}

static void print(const struct xprobe *x)
{
	bool first = true;

	if (x->json)
		putchar('[');
	else if (!x->any)
		printf("%-18s %-9s %10s  %s\n", "FEATURE", "SUPPORT", "LIMIT", "WHY");
	for (unsigned id = 0; id < XP_FEATURE_COUNT; id++) {
		if (x->any && !x->wanted[id])
			continue;
		if (x->json)
			print_json(&x->features[id], first);
		else
			print_text(&x->features[id]);
		first = false;
	}
	if (x->json)
		puts("]");
}

static int verdict(const struct xprobe *x)
{
	for (unsigned id = 0; id < XP_FEATURE_COUNT; id++)
		if (x->wanted[id] &&
		    x->features[id].support < (x->native ? XP_NATIVE : XP_EMULATED))
			return CLI_UNSUPPORTED;
	return CLI_OK;
}

int main(int argc, char **argv)
{
	struct xprobe x = { 0 };

	cli_start();
	for (unsigned id = 0; id < XP_FEATURE_COUNT; id++) {
		if (xp_feature(id, &x.features[id])) {
			cli_say("probing: %s", strerror(errno));
			return CLI_FAILED;
		}
	}
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	if (!x.quiet)
		print(&x);
	return verdict(&x);
}
