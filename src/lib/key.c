/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key.c - keys by their names. */
#include "extpipe.h"

#include <string.h>

#include "ret.h"
#include "sys.h"

#define KEYCTL_DESCRIBE 6
#define LONGEST_NAME 4096 /* of a description, with its NUL */
#define FIELDS_BEFORE 4   /* "type;uid;gid;permissions;description" */

/* Is this the key's type and description? */
static bool is_named(int32_t key, const char *type, const char *description)
{
	char text[LONGEST_NAME + 128], *at = text;
	size_t length = strlen(type);
	ssize_t n = sys_keyctl(KEYCTL_DESCRIBE, key, (long)text, sizeof(text));

	if (n <= 0 || (size_t)n > sizeof(text) || strncmp(text, type, length) ||
	    text[length] != ';')
		return false;
	for (int field = 0; field < FIELDS_BEFORE && at; field++)
		at = strchr(at + (field > 0), ';');
	return at && !strcmp(at + 1, description);
}

/*
 * Hands each of @n bytes of /proc/keys on: a line's first word is a key in hexadecimal. @key is
 * what was read of it, -1 behind it. Returns the first that has the name, or 0.
 */
static int32_t search(const char *bytes, size_t n, int64_t *key, const char *type,
		      const char *description)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		const char *digit = memchr(digits, bytes[i], sizeof(digits) - 1);

		if (bytes[i] == '\n') {
			*key = 0;
		} else if (*key >= 0 && digit) {
			*key = (*key << 4 | (digit - digits)) & INT32_MAX;
		} else if (*key >= 0) {
			if (is_named((int32_t)*key, type, description))
				return (int32_t)*key;
			*key = -1;
		}
	}
	return 0;
}

/* The key among those that may be seen: 0 if there is none, or -errno. */
static ssize_t find_visible(const char *type, const char *description)
{
	int fd = sys_open("/proc/keys", O_RDONLY);
	int32_t found = 0;
	int64_t key = 0;
	char bytes[4096];
	ssize_t n;

	if (fd < 0)
		return 0;
	do {
		n = sys_read(fd, NULL, bytes, sizeof(bytes));
		if (n > 0)
			found = search(bytes, (size_t)n, &key, type, description);
	} while (n > 0 && !found);
	close(fd);
	return found ? found : n;
}

int32_t xp_key_find(const char *type, const char *description)
{
	ssize_t key, error = sys_request_key(type, description, NULL, 0);

	if (error > 0)
		return (int32_t)error;
	if (error != -ENOKEY && error != -EACCES)
		return (int32_t)ret(error);
	key = find_visible(type, description);
	return (int32_t)ret(key ? key : error);
}
