/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* watch_values.h - what the numbers in records stand for. */
#ifndef EXTPIPE_LIB_WATCH_VALUES_H
#define EXTPIPE_LIB_WATCH_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest description that the kernel gives, and what stands before it. */
#define VALUES_KEY 4352
#define VALUES_DEVICE 64

/* Names of devices, kept for when they are gone: the last so many. */
#define VALUES_KEPT 64
struct device_names {
	struct {
		uint64_t device;
		char name[VALUES_DEVICE];
	} kept[VALUES_KEPT];
	unsigned next;
};

/*
 * The type and the description of a key, in @buffer of VALUES_KEY bytes. False, and both NULL, if
 * there is none or it can't be seen.
 */
bool values_key(int32_t key, char *buffer, const char **type, const char **description);

/* The name of a block device, NULL if it was never known. It holds until the next call. */
const char *values_device(struct device_names *names, uint64_t device, bool gone);

/* Forgets a device whose number may be given to another. */
void values_forget(struct device_names *names, uint64_t device);

/* Writes a number in decimal, without an end: where it ends. 20 bytes are enough. */
char *values_decimal(char *to, uint64_t number);

/* Reads a number in decimal, which must be followed by @end: what comes after, or NULL. */
const char *values_number(const char *from, const char *limit, char end, uint64_t *number);

#endif
