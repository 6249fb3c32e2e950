// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mount_expiry - /dev/mount_expiry, a list of mounts that expire, as an automounter keeps one.
 *
 * Each open of it is a list. ioctl(fd, 0, MOUNT) puts the mount of the descriptor MOUNT on it,
 * once a mount; ioctl(fd, 1, 0) looks through it, as an automounter's timer does: a mount that
 * nobody has used since the last time expires.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/slab.h>

static int expiry_open(struct inode *inode, struct file *file)
{
	struct list_head *mounts = kmalloc(sizeof(*mounts), GFP_KERNEL);

	if (!mounts)
		return -ENOMEM;
	INIT_LIST_HEAD(mounts);
	file->private_data = mounts;
	return 0;
}

/*
 * What is in use stays on the list, from which nothing but its end takes a mount: then the head
 * is left to the mounts. It is memory, no code, so that the module can go.
 */
static int expiry_release(struct inode *inode, struct file *file)
{
	struct list_head *mounts = file->private_data;

	mark_mounts_for_expiry(mounts);
	mark_mounts_for_expiry(mounts);
	if (list_empty(mounts))
		kfree(mounts);
	return 0;
}

static int expiry_add(struct list_head *mounts, unsigned long fd)
{
	struct file *file = fget_raw(fd);

	if (!file)
		return -EBADF;
	mnt_set_expiry(file->f_path.mnt, mounts);
	fput(file);
	return 0;
}

static long expiry_ioctl(struct file *file, unsigned int cmd, unsigned long fd)
{
	switch (cmd) {
	case 0:
		return expiry_add(file->private_data, fd);
	case 1:
		mark_mounts_for_expiry(file->private_data);
		return 0;
	}
	return -ENOTTY;
}

static const struct file_operations expiry_operations = {
	.owner = THIS_MODULE,
	.open = expiry_open,
	.release = expiry_release,
	.unlocked_ioctl = expiry_ioctl,
};

static struct miscdevice expiry = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mount_expiry",
	.fops = &expiry_operations,
};

module_misc_device(expiry);
MODULE_DESCRIPTION("Mounts that expire at a test's wish");
MODULE_LICENSE("GPL");
