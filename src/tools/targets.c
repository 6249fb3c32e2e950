/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "targets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define NSFS_MAGIC 0x6e736673

/* The kernel's KEY_SPEC_*, by the names that keyctl(1) has for them. */
static const struct {
	const char *name;
	int32_t key;
} special_keys[] = {
	{ "@t", -1 },  { "@p", -2 }, { "@s", -3 }, { "@u", -4 },
	{ "@us", -5 }, { "@g", -6 }, { "@a", -7 },
};

uint64_t events_of(enum xp_source source)
{
	uint64_t events = 0;

	for (int i = 0; i < 64 && xp_event_name(source, i); i++)
		events |= UINT64_C(1) << i;
	return events;
}

/* A number as keyctl(1) takes it: decimal, or hexadecimal with 0x; 0 where it is none. */
static int32_t key_number(const char *text)
{
	const char *digits = text + (*text == '-');
	bool hex = !strncmp(digits, "0x", 2);
	long number;
	char *end;

	if (strspn(digits + (hex ? 2 : 0), hex ? "0123456789abcdefABCDEF" : "0123456789") !=
	    strlen(digits + (hex ? 2 : 0)))
		return 0;
	errno = 0;
	number = strtol(text, &end, hex ? 16 : 10);
	return errno || *end || number > INT32_MAX || number < -7 ? 0 : (int32_t)number;
}

/* The key that @text is, or 0. */
static int32_t key_constant(const char *text)
{
	for (size_t i = 0; i < sizeof(special_keys) / sizeof(special_keys[0]); i++)
		if (!strcmp(text, special_keys[i].name))
			return special_keys[i].key;
	return key_number(text);
}

static const char *check_key(const char *text)
{
	const char *colon = strchr(text, ':');

	if (*text == '%')
		return colon && colon[1] && colon - text <= 32 ? NULL :
								 "a key by name is %TYPE:NAME";
	return key_constant(text) ? NULL :
				    "KEY is a number, @s, @u, @us, @t, @p, @g, @a or %TYPE:NAME";
}

const char *target_parse(struct target *target, const char *text)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	enum xp_source source = XP_SOURCE_KEY;
	bool optional;

	while (source < XP_SOURCE_COUNT && (strlen(xp_source_name(source)) != length ||
					    strncmp(xp_source_name(source), text, length)))
		source++;
	if (source == XP_SOURCE_COUNT)
		return "WATCH is key:KEY, mount, mount:PATH, sb:PATH, block or block:DEVICE";
	*target = (struct target){ text, colon ? colon + 1 : NULL, source };
	optional = source == XP_SOURCE_MOUNT || source == XP_SOURCE_BLOCK;
	if (!colon && !optional)
		return source == XP_SOURCE_KEY ? "which KEY?" : "which PATH?";
	if (colon && !colon[1])
		return "nothing stands after the colon";
	return source == XP_SOURCE_KEY ? check_key(target->object) : NULL;
}

/* Adds the events of a source that have this name, or all for "*". */
static bool choose(struct event_choice *choice, enum xp_source source, const char *event)
{
	const char *name;
	bool found = false;

	for (int i = 0; i < 64 && (name = xp_event_name(source, i)); i++) {
		if (strcmp(event, "*") != 0 && strcmp(event, name) != 0)
			continue;
		choice->events[source] |= UINT64_C(1) << i;
		found = true;
	}
	return found;
}

static const char *parse_choice(struct event_choice *choice, char *word)
{
	char *dot = strchr(word, '.');
	const char *event = dot ? dot + 1 : "*";
	bool known = false, found = false, any;

	if (dot)
		*dot = '\0';
	any = !strcmp(word, "*");
	for (unsigned s = 0; s < XP_SOURCE_COUNT; s++) {
		uint64_t before = choice->events[s];

		if (!any && strcmp(word, xp_source_name(s)) != 0)
			continue;
		known = true;
		found |= choose(choice, s, event);
		if (!any && strcmp(event, "*") != 0)
			choice->named[s] |= choice->events[s] & ~before;
	}
	if (dot)
		*dot = '.';
	return !known ? "no such source" : !found ? "no such event" : NULL;
}

const char *choice_parse(struct event_choice *choice, char *list, const char **word)
{
	const char *wrong = NULL;
	char *next = list;

	while (!wrong && next) {
		*word = strsep(&next, ",");
		wrong = **word ? parse_choice(choice, (char *)(uintptr_t)*word) : "empty";
	}
	return wrong;
}

static int find_key(const char *text, int32_t *key)
{
	char type[33];
	const char *colon;

	if (*text != '%') {
		*key = key_constant(text);
		return 0;
	}
	colon = strchr(text, ':');
	snprintf(type, sizeof(type), "%.*s", (int)(colon - text - 1), text + 1);
	*key = xp_key_find(*type ? type : "keyring", colon + 1);
	return *key < 0 ? errno : 0;
}

bool target_is_namespace(const struct xp_target *found)
{
	struct statfs fs;

	return found->source == XP_SOURCE_MOUNT && found->fd >= 0 && !fstatfs(found->fd, &fs) &&
	       fs.f_type == NSFS_MAGIC;
}

/* A file that only stands for a namespace is opened for good; all else just names a place. */
static int open_place(const char *path, struct xp_target *found)
{
	found->fd = open(path, O_PATH | O_CLOEXEC);
	if (found->fd < 0)
		return errno;
	if (!target_is_namespace(found))
		return 0;
	close(found->fd);
	found->fd = open(path, O_RDONLY | O_CLOEXEC);
	return found->fd < 0 ? errno : 0;
}

/* A device by its path, or by the kernel's name for it, in which ! stands for a slash. */
static int open_device(const char *name, int *fd)
{
	char path[PATH_MAX];
	struct stat st;
	int n;

	n = snprintf(path, sizeof(path), "%s%s", strchr(name, '/') ? "" : "/dev/", name);
	if (n >= (int)sizeof(path))
		return ENAMETOOLONG;
	*fd = open(path, O_PATH | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st))
		return errno;
	return S_ISBLK(st.st_mode) ? 0 : ENOTBLK;
}

int target_open(const struct target *target, struct xp_target *found)
{
	*found = (struct xp_target){ .source = target->source, .fd = -1 };
	if (!target->object)
		return 0;
	switch (target->source) {
	case XP_SOURCE_KEY:
		return find_key(target->object, &found->key);
	case XP_SOURCE_BLOCK:
		return open_device(target->object, &found->fd);
	default:
		return open_place(target->object, found);
	}
}

const char *target_error(const struct target *target, int error)
{
	static const char *const no_object[XP_SOURCE_COUNT] = {
		[XP_SOURCE_KEY] = "no key that can be watched",
		[XP_SOURCE_MOUNT] = "no mount's root, and no mount namespace",
		[XP_SOURCE_SB] = "no file system that can be watched",
		[XP_SOURCE_BLOCK] = "no block device",
	};

	switch (error) {
	case EINVAL:
		return no_object[target->source];
	case ENOTBLK:
		return "no block device";
	case ENOKEY:
		return "no such key";
	case EBUSY:
		return "watched already";
	case EAGAIN:
		return "the user has as many watches as RLIMIT_NOFILE permits";
	case ENOSPC:
		return "too many watches";
	default:
		return strerror(error);
	}
}
