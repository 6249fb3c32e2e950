// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * watch_feed - /dev/watch_feed, a source of notifications for tests.
 *
 * Keys, the kernel's own source, post eight sub-types and nothing that a test could choose.
 * ioctl(fd, 0, QUEUE) makes the notification pipe QUEUE watch this source, once per open of it,
 * and ioctl(fd, 1, QUEUE) removes the watch and returns its id as others see it meanwhile.
 * write(fd, RECORD) posts the record, whose header says how long it is.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/watch_queue.h>

#define WATCH_ID 0x5a

static int feed_open(struct inode *inode, struct file *file)
{
	struct watch_list *watchers = kzalloc(sizeof(*watchers), GFP_KERNEL);

	if (!watchers)
		return -ENOMEM;
	init_watch_list(watchers, NULL);
	file->private_data = watchers;
	return 0;
}

static int feed_release(struct inode *inode, struct file *file)
{
	remove_watch_list(file->private_data, 0);
	return 0;
}

/* What init_watch() does, which is not exported. */
static struct watch *new_watch(struct watch_queue *queue)
{
	struct watch *watch = kzalloc(sizeof(*watch), GFP_KERNEL);

	if (!watch)
		return NULL;
	kref_init(&watch->usage);
	INIT_HLIST_NODE(&watch->list_node);
	INIT_HLIST_NODE(&watch->queue_node);
	rcu_assign_pointer(watch->queue, queue);
	watch->info_id = WATCH_ID << WATCH_INFO_ID__SHIFT;
	return watch;
}

static int feed_watch(struct watch_list *watchers, struct watch_queue *queue)
{
	struct watch *watch = new_watch(queue);
	int ret = watch ? add_watch_to_object(watch, watchers) : -ENOMEM;

	if (ret)
		kfree(watch);
	return ret;
}

/* The id of the watch, as one sees it who found the watch before its removal. */
static int feed_unwatch(struct watch_list *watchers, struct watch_queue *queue)
{
	struct watch *watch;
	int ret;

	rcu_read_lock();
	watch = hlist_entry_safe(rcu_dereference(hlist_first_rcu(&watchers->watchers)),
				 struct watch, list_node);
	ret = remove_watch_from_object(watchers, queue, 0, false);
	if (!ret)
		ret = (READ_ONCE(watch->info_id) & WATCH_INFO_ID) >> WATCH_INFO_ID__SHIFT;
	rcu_read_unlock();
	return ret;
}

static long feed_ioctl(struct file *file, unsigned int cmd, unsigned long fd)
{
	struct watch_queue *queue;
	int ret = -ENOTTY;

	queue = get_watch_queue(fd);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	switch (cmd) {
	case 0:
		ret = feed_watch(file->private_data, queue);
		break;
	case 1:
		ret = feed_unwatch(file->private_data, queue);
		break;
	}
	put_watch_queue(queue);
	return ret;
}

static ssize_t feed_write(struct file *file, const char __user *from, size_t len, loff_t *at)
{
	union {
		struct watch_notification header;
		char bytes[WATCH_INFO_LENGTH + 1];
	} record = {};

	if (len < sizeof(record.header) || len > WATCH_INFO_LENGTH)
		return -EINVAL;
	if (copy_from_user(&record, from, len))
		return -EFAULT;
	if ((record.header.info & WATCH_INFO_LENGTH) != len || record.header.type >= WATCH_TYPE__NR)
		return -EINVAL;
	post_watch_notification(file->private_data, &record.header, current_cred(), 0);
	return len;
}

static const struct file_operations feed_operations = {
	.owner = THIS_MODULE,
	.open = feed_open,
	.release = feed_release,
	.unlocked_ioctl = feed_ioctl,
	.write = feed_write,
};

static struct miscdevice feed = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "watch_feed",
	.fops = &feed_operations,
};

module_misc_device(feed);
MODULE_DESCRIPTION("Notifications at a test's wish");
MODULE_LICENSE("GPL");
