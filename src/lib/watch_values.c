/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_values.c - key numbers to descriptions, device numbers to names, and decimals. */
#include "watch_values.h"

#include <string.h>

#include "sys.h"

/* keyctl(2): "type;uid;gid;permissions;description", where only the last may hold semicolons. */
#define KEYCTL_DESCRIBE 6

bool values_key(int32_t key, char *buffer, const char **type, const char **description)
{
	long length = sys_keyctl(KEYCTL_DESCRIBE, key, (long)(uintptr_t)buffer, VALUES_KEY);
	char *at = buffer;

	*type = *description = NULL;
	if (length <= 0 || length > VALUES_KEY)
		return false;
	buffer[length - 1] = '\0';
	for (unsigned i = 0; i < 4; i++) {
		at = strchr(at, ';');
		if (!at)
			return false;
		*at++ = '\0';
	}
	*type = buffer;
	*description = at;
	return true;
}

char *values_decimal(char *to, uint64_t number)
{
	char digits[20];
	unsigned count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while (number /= 10);
	while (count)
		*to++ = digits[--count];
	return to;
}

const char *values_number(const char *from, const char *limit, char end, uint64_t *number)
{
	const char *at = from;

	*number = 0;
	for (; at < limit && *at >= '0' && *at <= '9'; at++) {
		uint64_t digit = (uint64_t)(*at - '0');

		if (*number > (UINT64_MAX - digit) / 10)
			return NULL;
		*number = *number * 10 + digit;
	}
	return at > from && at < limit && *at == end ? at + 1 : NULL;
}

/* /sys/dev/block/MAJOR:MINOR is a link whose last part is the name. */
static bool read_name(uint64_t device, char *name)
{
	char path[64] = "/sys/dev/block/", link[512];
	char *end = values_decimal(path + strlen(path), device >> 32);
	const char *last;
	ssize_t length;

	*end++ = ':';
	*values_decimal(end, (uint32_t)device) = '\0';
	length = sys_readlink(path, link, sizeof(link) - 1);
	if (length <= 0)
		return false;
	link[length] = '\0';
	last = strrchr(link, '/');
	last = last ? last + 1 : link;
	if (!*last || strlen(last) >= VALUES_DEVICE)
		return false;
	strcpy(name, last);
	return true;
}

static unsigned find(const struct device_names *names, uint64_t device)
{
	unsigned i = 0;

	while (i < VALUES_KEPT && (!*names->kept[i].name || names->kept[i].device != device))
		i++;
	return i;
}

const char *values_device(struct device_names *names, uint64_t device, bool gone)
{
	char name[VALUES_DEVICE];
	unsigned i = find(names, device);

	if (!gone && read_name(device, name)) {
		if (i == VALUES_KEPT) {
			i = names->next;
			names->next = (names->next + 1) % VALUES_KEPT;
		}
		names->kept[i].device = device;
		strcpy(names->kept[i].name, name);
	}
	return i < VALUES_KEPT ? names->kept[i].name : NULL;
}

void values_forget(struct device_names *names, uint64_t device)
{
	unsigned i = find(names, device);

	if (i < VALUES_KEPT)
		names->kept[i].name[0] = '\0';
}
