/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_mountinfo.c - the lines of mountinfo, and a table of them. */
#include "watch_mountinfo.h"

#include <stdlib.h>
#include <string.h>

#include "sys.h"
#include "watch.h"
#include "watch_values.h"

/* The longest line: three paths, each byte of them escaped, and options. */
#define BUFFER ((size_t)64 * 1024)

#define SHARED 1u
#define SLAVE 2u
#define UNBINDABLE 4u

static bool is_octal(const char *at)
{
	return at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' &&
	       at[2] <= '7';
}

size_t mountinfo_unescape(char *text, size_t length)
{
	size_t to = 0;

	for (size_t from = 0; from < length; to++) {
		if (text[from] == '\\' && length - from > 3 && is_octal(text + from + 1)) {
			text[to] = (char)((text[from + 1] - '0') << 6 |
					  (text[from + 2] - '0') << 3 | (text[from + 3] - '0'));
			from += 4;
		} else {
			text[to] = text[from++];
		}
	}
	return to;
}

/* FNV-1a: enough to tell whether words are the same as before. */
static uint64_t hash(uint64_t sum, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ (unsigned char)text[i]) * 0x100000001b3u;
	return (sum ^ ' ') * 0x100000001b3u;
}

/* The next word of a line, and the line behind it. False if there is none. */
static bool take_word(char **at, const char *limit, char **word, size_t *length)
{
	char *end;

	if (*at >= limit)
		return false;
	end = memchr(*at, ' ', (size_t)(limit - *at));
	*word = *at;
	*length = (size_t)((end ? end : limit) - *at);
	*at += *length + (end != NULL);
	return *length > 0;
}

static bool has_option(const char *options, size_t length, const char *option)
{
	size_t size = strlen(option);

	while (length >= size) {
		const char *comma = memchr(options, ',', length);
		size_t word = comma ? (size_t)(comma - options) : length;

		if (word == size && !memcmp(options, option, size))
			return true;
		if (!comma)
			return false;
		options += word + 1;
		length -= word + 1;
	}
	return false;
}

static bool begins(const char *word, size_t length, const char *with)
{
	return length >= strlen(with) && !memcmp(word, with, strlen(with));
}

/* The optional fields, up to the hyphen. Groups have numbers, which tell nothing of the kind. */
static bool take_propagation(char **at, const char *limit, struct mountinfo *info)
{
	char *word;
	size_t length;

	while (take_word(at, limit, &word, &length)) {
		if (length == 1 && *word == '-')
			return true;
		if (begins(word, length, "shared:"))
			info->propagation |= SHARED;
		else if (begins(word, length, "master:"))
			info->propagation |= SLAVE;
		else if (begins(word, length, "unbindable"))
			info->propagation |= UNBINDABLE;
	}
	return false;
}

static char *take_numbers(char *line, const char *limit, struct mountinfo *info)
{
	const char *at = values_number(line, limit, ' ', &info->id);

	at = at ? values_number(at, limit, ' ', &info->parent) : NULL;
	at = at ? values_number(at, limit, ':', &info->major) : NULL;
	at = at ? values_number(at, limit, ' ', &info->minor) : NULL;
	if (!at || info->major > UINT32_MAX || info->minor > UINT32_MAX)
		return NULL;
	return line + (at - line);
}

bool mountinfo_parse(char *line, size_t length, struct mountinfo *info)
{
	const char *limit = line + length;
	char *at, *root, *point, *options, *type, *source = line, *sb;
	size_t source_length = 0, options_length, type_length, sb_length;

	*info = (struct mountinfo){ 0 };
	at = take_numbers(line, limit, info);
	if (!at || !take_word(&at, limit, &root, &info->root_length) ||
	    !take_word(&at, limit, &point, &info->point_length) ||
	    !take_word(&at, limit, &options, &options_length) ||
	    !take_propagation(&at, limit, info) || !take_word(&at, limit, &type, &type_length))
		return false;
	/* A source may be empty, and then there are two blanks. */
	if (!take_word(&at, limit, &source, &source_length) && at >= limit)
		return false;
	if (!take_word(&at, limit, &sb, &sb_length))
		return false;
	info->readonly = has_option(options, options_length, "ro");
	info->sb_readonly = has_option(sb, sb_length, "ro");
	info->attributes = hash(0xcbf29ce484222325u, options, options_length);
	info->what = hash(hash(0xcbf29ce484222325u, root, info->root_length), type, type_length);
	info->what = hash(info->what, source, source_length);
	info->root = root;
	info->point = point;
	info->root_length = mountinfo_unescape(root, info->root_length);
	info->point_length = mountinfo_unescape(point, info->point_length);
	return true;
}

/* What is no line of mountinfo is none of ours. */
static int load_line(struct table *table, char *line, size_t length)
{
	struct mountinfo info;
	struct mount *mount;

	if (!mountinfo_parse(line, length, &info))
		return 0;
	mount = mount_new(info.id, info.parent, info.point, info.point_length);
	if (!mount)
		return -ENOMEM;
	mount->device = WATCH_DEVICE(info.major, info.minor);
	mount->what = info.what;
	mount->attributes = info.attributes;
	mount->propagation = info.propagation;
	mount->readonly = info.readonly;
	mount->sb_readonly = info.sb_readonly;
	if (table_add(table, mount))
		return 0;
	mount_put(mount);
	return -ENOMEM;
}

/* Loads the lines that are complete: how many bytes are left of the last one, or -errno. */
static ssize_t load_lines(struct table *table, char *buffer, size_t length)
{
	char *at = buffer, *end;
	int error;

	while ((end = memchr(at, '\n', length))) {
		error = load_line(table, at, (size_t)(end - at));
		if (error)
			return error;
		length -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	/* A line longer than the buffer is none that the kernel writes. */
	if (length == BUFFER)
		return 0;
	memmove(buffer, at, length);
	return (ssize_t)length;
}

int mountinfo_load(struct table *table)
{
	int fd = sys_open("/proc/thread-self/mountinfo", O_RDONLY);
	char *buffer = fd < 0 ? NULL : malloc(BUFFER);
	ssize_t n = 1, left = 0;

	if (fd < 0)
		return fd;
	if (!buffer)
		left = -ENOMEM;
	while (left >= 0 && n) {
		n = sys_read(fd, NULL, buffer + left, BUFFER - (size_t)left);
		if (n == -EINTR)
			continue;
		left = n < 0 ? n : load_lines(table, buffer, (size_t)(left + n));
	}
	free(buffer);
	close(fd);
	return left < 0 ? (int)left : 0;
}
