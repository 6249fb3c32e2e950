// SPDX-License-Identifier: GPL-2.0-or-later
/* Watches of file systems: no space, no inodes, and quotas. */
#include "superblock.h"

#include <limits.h>
#include <linux/quota.h>
#include <signal.h>
#include <sys/quota.h>
#include <sys/xattr.h>

#define ID 0x0f
#define PAGE 4096
#define MIGRATE _IO('f', 9) /* EXT4_IOC_MIGRATE */

static char page[PAGE];

/* How many records of ENOSPC are queued; -1 if there is anything else. */
static int failures(const struct watch *watch)
{
	int count = 0;

	while (readable(watch->queue[0])) {
		if (!told_more(watch, NOSPC, 0, (struct xp_sb_record){ .error = ENOSPC }))
			return -1;
		count++;
	}
	return count;
}

/* Writes until nothing fits; both ends short of a page have been tried then. */
static int full_file(const char *where, const char *name)
{
	int fd = new_file(where, name);

	must(fd >= 0);
	while (write(fd, page, PAGE) > 0)
		;
	must(errno == ENOSPC);
	return fd;
}

static bool fails(long result)
{
	return result == -1 && errno == ENOSPC;
}

/* Each of several writes fails, and each is told once. */
static void failing_writes(const struct watch *watch, int fd, const char *what)
{
	int i, good = 0;

	failures(watch);
	for (i = 0; i < 5; i++)
		good += fails(write(fd, page, PAGE)) && failures(watch) == 1;
	ok(good == 5, "%s: each of 5 writes that fail is told once", what);
}

/* Writes to a page of a file that has no space for it: killed. */
static int fault(const void *argument)
{
	const int *fd = argument;
	volatile char *memory;

	signal(SIGBUS, SIG_DFL);
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (memory == MAP_FAILED)
		return 1;
	*memory = 1;
	return 0;
}

static void failing_fault(const struct watch *watch, int fd, const char *what)
{
	must(!ftruncate(fd, PAGE));
	ok(apart(fault, &fd, false) == -1 && failures(watch) == 1, "%s: a page fault", what);
}

static void ext4_blocks(void)
{
	struct image image = ext4_image(8192, "-b 4096 -m 0");
	int hole, direct, fd, small;
	struct watch watch;

	mount_image(&image, 0, NULL);
	hole = new_file(image.where, "hole");
	direct = open(in(image.where, "direct"), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
	small = new_file(image.where, "small");
	must(hole >= 0 && direct >= 0 && small >= 0);
	watch = watched(image.where, ID);
	fd = full_file(image.where, "full");
	failing_writes(&watch, fd, "ext4");
	ok(fails(fallocate(hole, 0, 0, PAGE)) && failures(&watch) == 1, "ext4: fallocate");
	failing_fault(&watch, hole, "ext4");
	{
		char *aligned = aligned_alloc(PAGE, PAGE);

		must(aligned);
		ok(fails(write(direct, aligned, PAGE)) && failures(&watch) == 1,
		   "ext4: a direct write");
		free(aligned);
	}
	ok(fails(fsetxattr(small, "user.large", page, 3000, 0)) && failures(&watch) == 1,
	   "ext4: an attribute that needs a block");
	ok(fails(mkdir(in(image.where, "directory"), 0700)) && failures(&watch) == 1,
	   "ext4: a directory");
	must(!ftruncate(fd, 0));
	ok(write(fd, page, PAGE) == PAGE && failures(&watch) == 0, "with space again: nothing");
	close(fd);
	close(hole);
	close(direct);
	close(small);
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/* The value is in an inode of its own, and asks for space within the operation. */
static void ext4_large_attribute(void)
{
	struct image image = ext4_image(8192, "-b 4096 -m 0 -O ea_inode");
	static char value[60000];
	struct watch watch;
	int fd, other;

	mount_image(&image, 0, NULL);
	other = new_file(image.where, "other");
	watch = watched(image.where, ID);
	fd = full_file(image.where, "full");
	failures(&watch);
	ok(fails(fsetxattr(other, "user.large", value, sizeof(value), 0)) && failures(&watch) == 1,
	   "ext4: an attribute that is stored in an inode");
	close(other);
	close(fd);
	must(!umount2(image.where, 0));
	unwatch(&watch);
	remove_image(&image);
}

/* Of such names a directory's block holds 15. */
static const char *long_name(char letter)
{
	static char name[NAME_MAX + 1];

	memset(name, letter, NAME_MAX);
	return name;
}

/* A directory whose only block has no room for another of them. */
static int full_directory(const char *where)
{
	int fd, i;

	must(!mkdir(in(where, "d"), 0700));
	fd = open(in(where, "d"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0);
	for (i = 0; i < 15; i++)
		must(!close(openat(fd, long_name((char)('a' + i)), O_WRONLY | O_CREAT, 0600)));
	return fd;
}

/* A new name may need another block for its directory. */
static void ext4_renames(void)
{
	struct image image = ext4_image(8192, "-b 4096 -m 0");
	int directory, fd, i, good = 0;
	const char *old;
	struct watch watch;

	mount_image(&image, 0, NULL);
	directory = full_directory(image.where);
	must(!close(new_file(image.where, "old")));
	watch = watched(image.where, ID);
	fd = full_file(image.where, "full");
	failures(&watch);
	old = in(image.where, "old");
	for (i = 0; i < 3; i++)
		good += fails(renameat(AT_FDCWD, old, directory, long_name('x'))) &&
			failures(&watch) == 1;
	ok(good == 3, "ext4: each of 3 renames that fail is told once");
	ok(fails(renameat2(AT_FDCWD, old, directory, long_name('x'), RENAME_WHITEOUT)) &&
		   failures(&watch) == 1,
	   "so is one that leaves a whiteout");
	ok(fails(linkat(AT_FDCWD, old, directory, long_name('x'), 0)) && failures(&watch) == 1,
	   "and a link");
	ok(!renameat(AT_FDCWD, old, directory, long_name('a')) && failures(&watch) == 0,
	   "a name that is there already needs no space: nothing");
	close(fd);
	close(directory);
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/* What is within the inode has to be moved to a block before it can grow, or be mapped. */
static void ext4_inline_data(void)
{
	struct image image = ext4_image(8192, "-b 4096 -m 0 -I 256 -O inline_data");
	const struct xp_sb_record no_space = { .error = ENOSPC };
	int small, fd;
	struct watch watch;

	mount_image(&image, 0, NULL);
	small = new_file(image.where, "small");
	must(small >= 0 && write(small, page, 50) == 50);
	watch = watched(image.where, ID);
	fd = full_file(image.where, "full");
	failures(&watch);
	/* ext4_setattr() takes it for an error of the file system as well. */
	ok(fails(ftruncate(small, PAGE)) && told_more(&watch, NOSPC, 0, no_space) &&
		   told_more(&watch, ERROR, 0, no_space) && nothing(&watch),
	   "ext4, data in the inode: it is to become longer");
	ok(fails(fallocate(small, 0, 0, PAGE)) && failures(&watch) == 1, "fallocate");
	ok(apart(fault, &small, false) == -1 && failures(&watch) == 1, "a page fault");
	ok(pwrite(small, "x", 1, 0) == 1 && failures(&watch) == 0, "a write within it: nothing");
	close(fd);
	close(small);
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

/* With no inode left. */
static void ext4_inode_needed(const struct watch *watch, const char *where)
{
	int directory = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int plain = open(in(where, "a"), O_RDWR | O_CLOEXEC);

	must(directory >= 0 && plain >= 0);
	ok(fails(renameat2(directory, "a", directory, "n", RENAME_WHITEOUT)) &&
		   failures(watch) == 1,
	   "a rename that is to leave a whiteout is told once");
	ok(fails(ioctl(plain, MIGRATE)) && failures(watch) == 1,
	   "so is a file that is to have extents");
	close(plain);
	close(directory);
}

static void ext4_inodes(void)
{
	struct image image = ext4_image(2048, "-N 16");
	struct watch watch;
	char name[] = "a";
	int fd, i, good = 0;

	mount_image(&image, 0, NULL);
	watch = watched(image.where, ID);
	while ((fd = new_file(image.where, name)) >= 0) {
		close(fd);
		if (name[0]++ == 'a')
			shell("chattr -e %s", in(image.where, "a"));
	}
	must(errno == ENOSPC);
	ok(failures(&watch) == 1, "ext4: the first new file that fails is told once");
	for (i = 0; i < 5; i++)
		good += fails(new_file(image.where, "more")) && failures(&watch) == 1;
	ok(good == 5, "so is each of the next 5");
	ext4_inode_needed(&watch, image.where);
	must(!umount2(image.where, 0));
	unwatch(&watch);
	remove_image(&image);
}

static int write_page(const void *argument)
{
	const int *fd = argument;

	return write(*fd, page, PAGE) == PAGE ? 0 : errno;
}

/* Room for root alone. */
static void ext4_reserved(void)
{
	struct image image = ext4_image(8192, "-b 4096 -m 20");
	struct watch watch;
	int fd, result;

	mount_image(&image, 0, NULL);
	fd = new_file(image.where, "file");
	watch = watched(image.where, ID);
	while (!(result = apart(write_page, &fd, true)))
		;
	ok(result == ENOSPC && failures(&watch) == 1, "ext4: a user, where root has space");
	ok(write(fd, page, PAGE) == PAGE && failures(&watch) == 0, "root has, and is not told");
	close(fd);
	must(!umount2(image.where, 0));
	unwatch(&watch);
	remove_image(&image);
}

static void tmpfs_blocks(void)
{
	const char *where = tmpfs("size=64k");
	struct watch watch = watched(where, ID);
	int hole = new_file(where, "hole"), fd = full_file(where, "full");

	failing_writes(&watch, fd, "tmpfs");
	ok(fails(fallocate(hole, 0, 0, PAGE)) && failures(&watch) == 1, "tmpfs: fallocate");
	ok(fails(fallocate(hole, 0, 0, 65 * 1024)) && failures(&watch) == 1,
	   "tmpfs: more than it ever has");
	failing_fault(&watch, hole, "tmpfs");
	page[PAGE - 1] = 0;
	memset(page, 'x', PAGE - 1);
	ok(fails(symlink(page, in(where, "link"))) && failures(&watch) == 1, "tmpfs: symlink");
	must(!ftruncate(fd, 0));
	ok(write(fd, page, PAGE) == PAGE && failures(&watch) == 0, "with space again: nothing");
	close(fd);
	close(hole);
	ok(unmounted(&watch, where, 0), "unmounted");
	unwatch(&watch);
	rmdir(where);
}

static void tmpfs_inodes(void)
{
	const char *where = tmpfs("nr_inodes=3");
	struct watch watch = watched(where, ID);
	int a = new_file(where, "a"), b = new_file(where, "b");
	char from[64];

	must(a >= 0 && b >= 0);
	ok(fails(new_file(where, "c")) && failures(&watch) == 1, "tmpfs: a file");
	strcpy(from, in(where, "a"));
	ok(fails(link(from, in(where, "c"))) && failures(&watch) == 1, "tmpfs: a link");
	ok(fails(fsetxattr(a, "user.large", page, 2000, 0)) && failures(&watch) == 1,
	   "tmpfs: an attribute");
	close(a);
	close(b);
	must(!umount2(where, 0) && !rmdir(where));
	unwatch(&watch);
}

/* ------------------------------------------------------------------------------ quotas */

static bool only_quota(const struct watch *watch, unsigned int warning)
{
	return told_more(watch, QUOTA, 0,
			 (struct xp_sb_record){ .quota_warning = warning,
						.quota_type = USRQUOTA,
						.quota_id = USER }) &&
	       nothing(watch);
}

/* Blocks of 1 KiB: above 8 soft, above 16 hard; inodes: above 2 soft, above 3 hard. */
static void limit(const struct image *image)
{
	struct dqblk limits = {
		.dqb_bsoftlimit = 8,
		.dqb_bhardlimit = 16,
		.dqb_isoftlimit = 2,
		.dqb_ihardlimit = 3,
		.dqb_valid = QIF_LIMITS,
	};
	char device[32];

	snprintf(device, sizeof(device), "/dev/%s", image->name);
	must(!quotactl(QCMD(Q_SETQUOTA, USRQUOTA), device, USER, (void *)&limits));
}

static int create(const void *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? errno : close(fd);
}

static void quota_of_blocks(const struct watch *watch, const char *where)
{
	int fd = open(in(where, "1"), O_WRONLY | O_CLOEXEC);

	must(fd >= 0);
	ok(!apart(write_page, &fd, true) && !apart(write_page, &fd, true) && nothing(watch),
	   "as much as is allowed: nothing");
	ok(!apart(write_page, &fd, true) && only_quota(watch, QUOTA_NL_BSOFTWARN),
	   "above the soft limit");
	ok(!apart(write_page, &fd, true) && nothing(watch), "it is told once");
	ok(apart(write_page, &fd, true) == EDQUOT && only_quota(watch, QUOTA_NL_BHARDWARN),
	   "the hard limit: EDQUOT");
	ok(apart(write_page, &fd, true) == EDQUOT && nothing(watch), "it is told once");
	ok(!ftruncate(fd, PAGE) && only_quota(watch, QUOTA_NL_BSOFTBELOW), "below them again");
	close(fd);
}

static void quota_of_inodes(const struct watch *watch, const char *where)
{
	ok(!apart(create, in(where, "1"), true) && !apart(create, in(where, "2"), true) &&
		   nothing(watch),
	   "as many files as are allowed: nothing");
	ok(!apart(create, in(where, "3"), true) && only_quota(watch, QUOTA_NL_ISOFTWARN),
	   "one more than the soft limit");
	ok(apart(create, in(where, "4"), true) == EDQUOT && only_quota(watch, QUOTA_NL_IHARDWARN),
	   "than the hard limit: EDQUOT");
	ok(!unlink(in(where, "3")) && only_quota(watch, QUOTA_NL_ISOFTBELOW), "one less");
}

static void quotas(void)
{
	struct image image = ext4_image(2048, "-b 1024 -O quota -E quotatype=usrquota");
	struct watch watch;

	mount_image(&image, 0, "usrquota");
	must(!chmod(image.where, 0777));
	limit(&image);
	watch = watched(image.where, ID);
	quota_of_inodes(&watch, image.where);
	quota_of_blocks(&watch, image.where);
	ok(unmounted(&watch, image.where, 0), "unmounted");
	unwatch(&watch);
	remove_image(&image);
}

int main(void)
{
	if (!can_watch())
		return tap_done();
	ext4_blocks();
	ext4_large_attribute();
	ext4_renames();
	ext4_inline_data();
	ext4_inodes();
	ext4_reserved();
	tmpfs_blocks();
	tmpfs_inodes();
	quotas();
	return tap_done();
}
