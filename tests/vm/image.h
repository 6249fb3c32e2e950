/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image.h - file systems on loop devices, whose files are in /tmp.
 *
 * A device goes when its file system is unmounted.
 */
#ifndef EXTPIPE_TESTS_IMAGE_H
#define EXTPIPE_TESTS_IMAGE_H

#include "vm.h"

#include <linux/loop.h>
#include <stdarg.h>
#include <sys/mount.h>

struct image {
	char file[32];
	char name[16];  /* loop0, as in /sys/fs/ext4, once it is mounted */
	char where[32]; /* an empty directory */
};

/* Runs a command that has to succeed. */
__attribute__((format(printf, 1, 2))) static inline void shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	must(vsnprintf(command, sizeof(command), format, args) < (int)sizeof(command));
	va_end(args);
	must(system(command) == 0);
}

/* A number that the command prints. */
__attribute__((format(printf, 1, 2))) static inline unsigned long number(const char *format, ...)
{
	char command[512];
	unsigned long value;
	va_list args;
	FILE *out;

	va_start(args, format);
	must(vsnprintf(command, sizeof(command), format, args) < (int)sizeof(command));
	va_end(args);
	out = popen(command, "r");
	must(out && fscanf(out, "%lu", &value) == 1);
	must(pclose(out) == 0);
	return value;
}

/* A new image with an ext4 made by mkfs with @options. */
static inline struct image ext4_image(unsigned int kilobytes, const char *options)
{
	struct image image = { .file = "/tmp/image.XXXXXX", .where = "/tmp/mounted.XXXXXX" };
	int fd = mkstemp(image.file);

	must(fd >= 0 && !ftruncate(fd, kilobytes * 1024L));
	close(fd);
	must(mkdtemp(image.where));
	shell("mkfs.ext4 -q -F %s %s", options, image.file);
	return image;
}

/* A loop device for the file: one that others take meanwhile is no error. */
static inline int attach(struct image *image)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), device, number;
	char path[32];

	must(control >= 0);
	config.fd = (unsigned)open(image->file, O_RDWR | O_CLOEXEC);
	must((int)config.fd >= 0);
	for (;;) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		must(number >= 0);
		snprintf(image->name, sizeof(image->name), "loop%d", number);
		snprintf(path, sizeof(path), "/dev/%s", image->name);
		device = open(path, O_RDWR | O_CLOEXEC);
		must(device >= 0);
		if (!ioctl(device, LOOP_CONFIGURE, &config))
			break;
		must(errno == EBUSY);
		close(device);
	}
	close((int)config.fd);
	close(control);
	return device;
}

static inline void mount_image(struct image *image, unsigned long flags, const char *options)
{
	int device = attach(image);
	char path[32];

	snprintf(path, sizeof(path), "/dev/%s", image->name);
	must(!mount(path, image->where, "ext4", flags, options));
	close(device);
}

static inline void remove_image(struct image *image)
{
	must(!unlink(image->file) && !rmdir(image->where));
}

#endif
