/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tools share: numbers and JSON strings. */
#include "../../src/tools/cli.h"

#include "tap.h"

static const struct {
	const char *text;
	int64_t size; /* -1: no size */
} sizes[] = {
	{ "0", 0 },
	{ "1", 1 },
	{ "007", 7 },
	{ "4K", 4096 },
	{ "4k", 4096 },
	{ "4KiB", 4096 },
	{ "4KB", 4000 },
	{ "2M", 2 << 20 },
	{ "2MB", 2000000 },
	{ "3G", 3ll << 30 },
	{ "1TB", 1000000000000 },
	{ "1T", 1ll << 40 },
	{ "1P", 1ll << 50 },
	{ "1PiB", 1ll << 50 },
	{ "9223372036854775807", INT64_MAX },
	{ "8191P", 8191ll << 50 },
	{ "", -1 },
	{ "K", -1 },
	{ "-1", -1 },
	{ "+1", -1 },
	{ " 1", -1 },
	{ "1 ", -1 },
	{ "1.5K", -1 },
	{ "1KK", -1 },
	{ "1Ki", -1 },
	{ "1B", -1 },
	{ "1KiBs", -1 },
	{ "0x10", -1 },
	{ "1E", -1 },
	{ "9223372036854775808", -1 },
	{ "8192P", -1 },
	{ "18446744073709551616", -1 },
	{ "99999999999999999999999K", -1 },
};

static const struct {
	const char *text, *json;
} strings[] = {
	{ "plain", "\"plain\"" },
	{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ "tab\tnl\n", "\"tab\\u0009nl\\u000a\"" },
	{ "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
	{ "\xff", "\"\\udcff\"" },
	{ "\xc3", "\"\\udcc3\"" },
	{ "\xc0\xaf", "\"\\udcc0\\udcaf\"" },
	{ "\xed\xa0\x80", "\"\\udced\\udca0\\udc80\"" },
	{ "\xf0\x9f\x90\xa7", "\"\xf0\x9f\x90\xa7\"" },
	{ "\xf4\x90\x80\x80", "\"\\udcf4\\udc90\\udc80\\udc80\"" },
	{ "", "\"\"" },
};

static bool json_is(const char *text, const char *json)
{
	char *got = NULL;
	size_t len;
	FILE *to = open_memstream(&got, &len);
	bool same;

	must(to);
	cli_json_string(to, text);
	must(!fclose(to));
	same = !strcmp(got, json);
	if (!same)
		printf("# got %s\n", got);
	free(got);
	return same;
}

int main(void)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t size = 0;
		int result = cli_size(sizes[i].text, &size);

		if (sizes[i].size < 0)
			ok(result == -1, "'%s' is no size", sizes[i].text);
		else
			ok(!result && size == (uint64_t)sizes[i].size, "'%s' is %lld",
			   sizes[i].text, (long long)sizes[i].size);
	}
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		ok(json_is(strings[i].text, strings[i].json), "JSON string %s", strings[i].json);
	return tap_done();
}
