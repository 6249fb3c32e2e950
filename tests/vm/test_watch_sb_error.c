// SPDX-License-Identifier: GPL-2.0-or-later
/* Watches of file systems: damage, forced shutdowns, and devices that go. */
#include "blockdev.h"
#include "superblock.h"

#include <dirent.h>

#define ID 0xe1
#define ROOT_INODE 2
#define EXT4_SHUTDOWN _IOR('X', 125, unsigned int)
#define SHUTDOWN_FREEZING 0
#define SHUTDOWN_WITH_LOG 1
#define SHUTDOWN_AT_ONCE 2

/* A file system without checksums: so that it is the damage which is found. */
#define PLAIN "-b 1024 -O ^metadata_csum"

static bool told_error(const struct watch *watch, unsigned int flags, unsigned long ino, int error)
{
	return told_more(watch, ERROR, flags,
			 (struct xp_sb_record){ .ino = ino, .error = (unsigned)error });
}

static bool only_error(const struct watch *watch, unsigned int flags, unsigned long ino, int error)
{
	return told_error(watch, flags, ino, error) && nothing(watch);
}

static void trigger(const struct image *image)
{
	shell("echo test >/sys/fs/ext4/%s/trigger_fs_error", image->name);
}

static void triggered(void)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;

	mount_image(&image, 0, "errors=continue");
	watch = watched(image.where, ID);
	trigger(&image);
	ok(only_error(&watch, 0, 0, EUCLEAN), "errors=continue: an error");
	trigger(&image);
	ok(only_error(&watch, 0, 0, EUCLEAN), "and another");
	must(!mount(NULL, image.where, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	ok(only(&watch, REMOUNT, READONLY), "remounted read-only");
	trigger(&image);
	ok(only_error(&watch, READONLY, 0, EUCLEAN), "an error while it is");
	ok(unmounted(&watch, image.where, READONLY), "unmounted");
	unwatch(&watch);

	mount_image(&image, 0, "errors=remount-ro");
	watch = watched(image.where, ID);
	trigger(&image);
	ok(only_error(&watch, READONLY, 0, EUCLEAN),
	   "errors=remount-ro: one record, of an error, and now read-only");
	ok(new_file(image.where, "file") == -1, "nothing is written any more");
	trigger(&image);
	ok(nothing(&watch), "after it has stopped, no error is told");
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/* An image with a directory of some files; the numbers of the directory and of the first file. */
static struct image with_directory(const char *options, unsigned long ino[2])
{
	struct image image = ext4_image(2048, options);
	struct stat st;
	int i;

	mount_image(&image, 0, NULL);
	must(!mkdir(in(image.where, "d"), 0755));
	must(!stat(in(image.where, "d"), &st));
	ino[0] = st.st_ino;
	for (i = 0; i < 4; i++) {
		char name[] = "d/0";

		name[2] += (char)i;
		close(new_file(image.where, name));
	}
	must(!stat(in(image.where, "d/0"), &st));
	ino[1] = st.st_ino;
	must(!umount2(image.where, 0));
	return image;
}

/* Overwrites bytes of the image, which nobody has mounted. */
static void damage(const struct image *image, off_t at, int byte, size_t size)
{
	int fd = open(image->file, O_WRONLY | O_CLOEXEC);
	char *bytes = malloc(size);

	must(fd >= 0 && bytes);
	memset(bytes, byte, size);
	must(pwrite(fd, bytes, size, at) == (ssize_t)size);
	free(bytes);
	close(fd);
}

static int entries(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;

	must(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void damaged_directory(const char *errors, unsigned int flags)
{
	unsigned long ino[2], block;
	struct image image = with_directory(PLAIN, ino);
	struct watch watch;
	char option[32];

	block = number("debugfs -R 'blocks /d' %s 2>/dev/null", image.file);
	damage(&image, (off_t)block * 1024, 0xff, 1024);
	snprintf(option, sizeof(option), "errors=%s", errors);
	mount_image(&image, 0, option);
	watch = watched(image.where, ID);
	ok(entries(in(image.where, "d")) == 0 && only_error(&watch, flags, ino[0], EUCLEAN),
	   "%s: a damaged directory, by its inode", errors);
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

static void damaged_inode(void)
{
	unsigned long ino[2], block, offset;
	struct image image = with_directory("-b 1024 -I 256", ino);
	struct watch watch;
	struct stat st;

	block = number("debugfs -R 'imap /d/0' %s 2>/dev/null | sed -n 's/.*at block //;s/,.*//p'",
		       image.file);
	offset = number("printf '%%d\\n' $(debugfs -R 'imap /d/0' %s 2>/dev/null | "
			"sed -n 's/.*offset //p')",
			image.file);
	damage(&image, (off_t)(block * 1024 + offset + 100), 0x77, 4);
	mount_image(&image, 0, "errors=continue");
	watch = watched(image.where, ID);
	ok(stat(in(image.where, "d/0"), &st) == -1 && errno == EBADMSG &&
		   only_error(&watch, 0, ino[1], EBADMSG),
	   "an inode whose checksum is wrong");
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

static void deleted_inode(void)
{
	unsigned long ino[2];
	struct image image = with_directory(PLAIN, ino);
	struct watch watch;
	struct stat st;

	shell("debugfs -w -R 'set_inode_field /d/0 links_count 0' %s >/dev/null 2>&1", image.file);
	mount_image(&image, 0, "errors=continue");
	watch = watched(image.where, ID);
	ok(stat(in(image.where, "d/0"), &st) == -1 && errno == EUCLEAN &&
		   only_error(&watch, 0, ino[0], EUCLEAN),
	   "a name for an inode that is deleted: the directory's error");
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/*
 * Blocks that are marked, and not counted: found with the lock of the group held. Other groups
 * have space.
 */
static void damaged_bitmap(const char *errors, unsigned int flags)
{
	struct image image = ext4_image(20480, PLAIN ",^uninit_bg,^flex_bg");
	struct watch watch;
	char option[32];
	int fd;

	shell("debugfs -w -R 'setb 1500 8' %s >/dev/null 2>&1", image.file);
	snprintf(option, sizeof(option), "errors=%s", errors);
	mount_image(&image, 0, option);
	watch = watched(image.where, ID);
	fd = new_file(image.where, "file");
	must(fd >= 0);
	ok(fallocate(fd, 0, 0, 4096) == (flags ? -1 : 0) && only_error(&watch, flags, 0, EUCLEAN),
	   "%s: a damaged block bitmap", errors);
	close(fd);
	must(!umount2(image.where, 0));
	unwatch(&watch);
	remove_image(&image);
}

static int shut_down(const char *where, unsigned int how)
{
	int fd = open(where, O_RDONLY | O_CLOEXEC), result;

	must(fd >= 0);
	result = ioctl(fd, EXT4_SHUTDOWN, &how) ? -errno : 0;
	close(fd);
	return result;
}

static void forced(unsigned int how, const char *name)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;

	mount_image(&image, 0, NULL);
	watch = watched(image.where, ID);
	ok(shut_down(image.where, 77) == -EINVAL && nothing(&watch), "an unknown way: nothing");
	ok(!shut_down(image.where, how), "shut down by force, %s", name);
	if (how == SHUTDOWN_FREEZING)
		ok(told(&watch, FREEZE, 0) && told(&watch, THAW, 0), "frozen, and thawed");
	ok(only(&watch, SHUTDOWN, 0), "told of once");
	ok(!shut_down(image.where, SHUTDOWN_AT_ONCE) && nothing(&watch), "twice: nothing");
	trigger(&image);
	ok(nothing(&watch), "and no error after it");
	ok(unmounted(&watch, image.where, 0), "unmounted: told of again, and the end");
	unwatch(&watch);
	remove_image(&image);
}

/* Frozen twice, once through its device: one of the two is nothing to tell. */
static void forced_while_frozen(void)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;
	int fd;

	mount_image(&image, 0, NULL);
	watch = watched(image.where, ID);
	fd = open(image.where, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && !ioctl(fd, FIFREEZE, 0));
	ok(only(&watch, FREEZE, 0), "frozen");
	ok(!shut_down(image.where, SHUTDOWN_FREEZING) && only(&watch, SHUTDOWN, 0),
	   "frozen within: SHUTDOWN, and nothing of the freeze or the thaw");
	ok(!ioctl(fd, FITHAW, 0) && only(&watch, THAW, 0), "thawed");
	close(fd);
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/* By its administrator, with and without becoming read-only as well. */
static void aborted(const char *errors, unsigned long how, unsigned int flags)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;

	mount_image(&image, 0, errors);
	watch = watched(image.where, ID);
	ok(!mount(NULL, image.where, NULL, MS_REMOUNT | how, "abort") &&
		   told_error(&watch, READONLY, 0, ESHUTDOWN) && only(&watch, REMOUNT, flags),
	   "%s, aborted%s: an error after which nothing is written, and a remount", errors,
	   how ? " read-only" : "");
	ok(new_file(image.where, "file") == -1 && nothing(&watch), "nothing is");
	ok(unmounted(&watch, image.where, flags), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/* What has been aborted can be remounted, without another error, but not read-only. */
static void aborted_twice(void)
{
	struct image image = ext4_image(2048, "");
	struct watch watch;

	mount_image(&image, 0, NULL);
	must(!mount(NULL, image.where, NULL, MS_REMOUNT, "abort"));
	watch = watched(image.where, ID);
	ok(!mount(NULL, image.where, NULL, MS_REMOUNT, "abort") && only(&watch, REMOUNT, 0),
	   "aborted twice: a remount");
	ok(mount(NULL, image.where, NULL, MS_REMOUNT | MS_RDONLY, NULL) == -1 && errno == EROFS &&
		   nothing(&watch),
	   "made read-only after that: EROFS, and nothing");
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

static void device_gone(void)
{
	char where[] = "/tmp/gone.XXXXXX";
	struct watch watch;

	must(mkdtemp(where));
	null_configure("sb", "size=2", NULL);
	null_power("sb", true);
	shell("mkfs.ext4 -q -F /dev/sb");
	must(!mount("/dev/sb", where, "ext4", 0, NULL));
	watch = watched(where, ID);
	null_power("sb", false);
	ok(only(&watch, SHUTDOWN, 0), "the device is gone: SHUTDOWN, once");
	ok(!access(where, F_OK) && new_file(where, "file") == -1 && nothing(&watch),
	   "what fails for it is no event");
	ok(unmounted(&watch, where, 0), "unmounted: told of again, and the end");
	unwatch(&watch);
	null_remove("sb");
	must(!rmdir(where));
}

int main(void)
{
	if (!can_watch())
		return tap_done();
	triggered();
	damaged_directory("continue", 0);
	damaged_directory("remount-ro", READONLY);
	damaged_inode();
	deleted_inode();
	damaged_bitmap("continue", 0);
	damaged_bitmap("remount-ro", READONLY);
	forced(SHUTDOWN_FREEZING, "freezing it");
	forced(SHUTDOWN_WITH_LOG, "with its log");
	forced(SHUTDOWN_AT_ONCE, "at once");
	forced_while_frozen();
	aborted("errors=continue", 0, 0);
	aborted("errors=remount-ro", 0, 0);
	aborted("errors=continue", MS_RDONLY, READONLY);
	aborted_twice();
	device_gone();
	return tap_done();
}
