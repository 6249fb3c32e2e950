/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cause random COUNT SEED DIRECTORY - so many random mounts, moves and unmounts below DIRECTORY.
 * cause pairs COUNT DIRECTORY - so many mounts on DIRECTORY, each unmounted at once.
 * cause move FROM TO - moves a mount, as mount(8) does if it may write its own notes.
 * cause remount ro|rw DIRECTORY - makes a file system read-only or writable.
 * cause setperm COUNT KEY - so many changes of a key's permissions.
 * cause id DIRECTORY - prints the number of the mount: the unique one, if the kernel has that.
 *
 * Of the random ones what the kernel refuses (a move into itself, say) is not counted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNIQUE 0x4000u /* STATX_MNT_ID_UNIQUE, Linux 6.8 */
#define SETPERM 5      /* KEYCTL_SETPERM */
#define PLACES 8       /* directories in each mount, and in DIRECTORY */
#define DEEPEST 3

static int mount_one(const char *path)
{
	char below[4200];

	if (mount("none", path, "tmpfs", 0, "size=64k"))
		return -1;
	for (int i = 0; i < PLACES; i++) {
		snprintf(below, sizeof(below), "%s/%d", path, i);
		mkdir(below, 0755);
	}
	return 0;
}

/* DIRECTORY/3/1/7: one to three levels; which exist is a matter of what is mounted. */
static void some_place(char *path, size_t size, const char *directory)
{
	snprintf(path, size, "%s", directory);
	for (long depth = 1 + random() % DEEPEST; depth; depth--)
		snprintf(path + strlen(path), size - strlen(path), "/%ld", random() % PLACES);
}

static void make_random(long count, const char *directory)
{
	char from[4096], to[4096];

	while (count) {
		int result;

		some_place(from, sizeof(from), directory);
		some_place(to, sizeof(to), directory);
		switch (random() % 8) {
		case 0:
		case 1:
			result = umount2(from, 0);
			break;
		case 2:
			result = umount2(from, MNT_DETACH);
			break;
		case 3:
		case 4:
			result = mount(from, to, NULL, MS_MOVE, NULL);
			break;
		case 5:
			result = mount(from, to, NULL, MS_BIND, NULL);
			break;
		default:
			result = mount_one(from);
		}
		count -= !result;
	}
}

static int print_id(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID | UNIQUE, &st)) {
		perror(path);
		return 1;
	}
	printf("%llu\n", (unsigned long long)st.stx_mnt_id);
	return 0;
}

static int fails(const char *what)
{
	perror(what);
	return 1;
}

static int make_pairs(long count, const char *directory)
{
	for (; count; count--)
		if (mount("none", directory, "tmpfs", 0, "size=64k") || umount2(directory, 0))
			return fails(directory);
	return 0;
}

static int make_readonly(int readonly, const char *directory)
{
	unsigned long flags = MS_REMOUNT | (readonly ? MS_RDONLY : 0);

	return mount("none", directory, NULL, flags, NULL) ? fails(directory) : 0;
}

static int change_key(long count, const char *key)
{
	for (; count; count--)
		if (syscall(SYS_keyctl, SETPERM, strtol(key, NULL, 10), 0x3f3f0000))
			return fails(key);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "", *object = argv[argc - 1];
	long count = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

	if (argc == 3 && !strcmp(what, "id"))
		return print_id(object);
	if (argc == 4 && !strcmp(what, "pairs"))
		return make_pairs(count, object);
	if (argc == 4 && !strcmp(what, "move"))
		return mount(argv[2], object, NULL, MS_MOVE, NULL) ? fails(object) : 0;
	if (argc == 4 && !strcmp(what, "remount"))
		return make_readonly(!strcmp(argv[2], "ro"), object);
	if (argc == 4 && !strcmp(what, "setperm"))
		return change_key(count, object);
	if (argc != 5 || strcmp(what, "random") != 0)
		return 2;
	srandom((unsigned)strtol(argv[3], NULL, 10));
	make_random(count, object);
	return 0;
}
