// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues, and watches of a file system, without memory. */
#include "superblock.h"

#include "fault.h"

#include <sys/statvfs.h>

#define PAGE 4096
#define ID 0x5a
#define NOTES 64
#define RECORD 40

static struct watch watch;
static struct image image; /* made once */
static const char *where;
static int object;
static struct statvfs before;
static unsigned char page[PAGE], room[2 * RECORD];

static long remount(unsigned long flags, const char *options)
{
	return outcome(mount(NULL, where, NULL, MS_REMOUNT | flags, options));
}

/* A queue that has no size, for the file system. */
static void prepare_bare_for(const char *path)
{
	struct stat st;

	where = path;
	must(!stat(where, &st) && !statvfs(where, &before));
	watch = (struct watch){ .id = ID, .device = st.st_dev };
	must(!pipe2(watch.queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC | O_NONBLOCK));
	object = open(where, O_RDONLY | O_CLOEXEC);
	must(object >= 0);
}

static void prepare_bare(void)
{
	prepare_bare_for(tmpfs("size=1m"));
}

static void prepare_queue(void)
{
	prepare_bare();
	must(!ioctl(watch.queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, NOTES));
}

static void prepare_watch(void)
{
	prepare_queue();
	must(!ask(watch.queue, object, ID, 0));
}

/* Nothing but the mount holds the file system. */
static void prepare_mount(void)
{
	prepare_watch();
	close(object);
	object = -1;
}

static void clean(void)
{
	must(object < 0 || !close(object));
	unwatch(&watch);
	must(!umount2(where, 0) || errno == EINVAL);
	must(where == image.where || !rmdir(where));
}

/* ------------------------------------------------------------------ watches */

static long add_watch(void)
{
	return ask(watch.queue, object, ID, 0);
}

static bool not_watched(void)
{
	return !remount(0, NULL) && nothing(&watch);
}

static bool is_watched(void)
{
	return !remount(0, NULL) && only(&watch, REMOUNT, 0);
}

static bool added(long result)
{
	return result == 0 && is_watched() && add_watch() == -EBUSY;
}

static long remove_watch(void)
{
	return ask(watch.queue, object, ID, XP_WATCH_REMOVE);
}

static bool removed(long result)
{
	return result == 0 && ended(&watch) && not_watched();
}

/* ------------------------------------------------------------------ events */

static long remount_read_only(void)
{
	return remount(MS_RDONLY, "size=2m");
}

/* The file system is as it was, and nothing is told. */
static bool unchanged(void)
{
	struct statvfs now;

	must(!statvfs(where, &now));
	return !memcmp(&now, &before, sizeof(now)) && nothing(&watch);
}

static bool read_only(long result)
{
	struct statvfs now;

	must(!statvfs(where, &now));
	return result == 0 && now.f_flag & ST_RDONLY && now.f_blocks == 2 * before.f_blocks &&
	       only(&watch, REMOUNT, READONLY);
}

static long unmount(void)
{
	return outcome(umount2(where, 0));
}

static bool shut_down(long result)
{
	return result == 0 && told(&watch, SHUTDOWN, 0) && ended(&watch);
}

static void prepare_full(void)
{
	prepare_watch();
	close(object);
	object = new_file(where, "file");
	must(object >= 0);
	while (write(object, page, PAGE) == PAGE)
		;
	must(errno == ENOSPC &&
	     told_more(&watch, NOSPC, 0, (struct xp_sb_record){ .error = ENOSPC }));
	must(nothing(&watch) && !statvfs(where, &before));
}

static long write_page(void)
{
	long result = outcome(write(object, page, PAGE));

	return result == -ENOSPC ? 0 : result;
}

static bool no_space(long result)
{
	return result == 0 &&
	       told_more(&watch, NOSPC, 0, (struct xp_sb_record){ .error = ENOSPC }) && unchanged();
}

/* One that can be frozen. */
static void prepare_ext4(void)
{
	if (!*image.where)
		image = ext4_image(2048, "");
	mount_image(&image, 0, NULL);
	prepare_bare_for(image.where);
	must(!ioctl(watch.queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, NOTES));
	must(!ask(watch.queue, object, ID, 0));
}

static long freeze(void)
{
	return outcome(ioctl(object, FIFREEZE, 0));
}

static long thaw(void)
{
	return outcome(ioctl(object, FITHAW, 0));
}

static bool not_frozen(void)
{
	return thaw() == -EINVAL && nothing(&watch);
}

static bool frozen(long result)
{
	return result == 0 && only(&watch, FREEZE, 0) && !thaw() && only(&watch, THAW, 0);
}

static void prepare_frozen(void)
{
	prepare_ext4();
	must(!freeze() && only(&watch, FREEZE, 0));
}

static bool still_frozen(void)
{
	return freeze() == -EBUSY && nothing(&watch);
}

static bool thawed(long result)
{
	return result == 0 && only(&watch, THAW, 0) && not_frozen();
}

/* ------------------------------------------------------------------ queues */

static void prepare_size(void)
{
	prepare_bare();
	must(!ask(watch.queue, object, ID, 0));
}

static long set_size(void)
{
	return outcome(ioctl(watch.queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, NOTES));
}

static bool only_loss(void)
{
	return is_loss(watch.queue[0]) && nothing(&watch);
}

/* What happens is lost without a size. */
static bool no_size(void)
{
	return !remount(0, NULL) && only_loss();
}

/* As many records as it has to have room for, and the loss of one more. */
static bool has_size(long result)
{
	int good = 0, i;

	for (i = 0; i <= NOTES; i++)
		must(!remount(i % 2 ? MS_RDONLY : 0, NULL));
	for (i = 0; i < NOTES; i++)
		good += told(&watch, REMOUNT, i % 2 ? READONLY : 0);
	return result == 0 && good == NOTES && only_loss() && set_size() == -EBUSY;
}

/* Lets remounts pass by which the file system is then read-only, or those by which it is not. */
static long filter_remounts(unsigned int flags)
{
	struct filter filter = { .count = 1,
				 .types[0] = { .type = XP_WATCH_TYPE_SB,
					       .info_filter = flags,
					       .info_mask = READONLY,
					       .subtypes[0] = 1u << REMOUNT } };

	return outcome(ioctl(watch.queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, &filter));
}

static void prepare_filter(void)
{
	prepare_watch();
	must(!filter_remounts(READONLY));
}

static long set_filter(void)
{
	return filter_remounts(0);
}

static bool passes(unsigned int flags)
{
	must(!remount(MS_RDONLY, NULL) && !remount(0, NULL));
	return only(&watch, REMOUNT, flags);
}

static bool has_old_filter(void)
{
	return passes(READONLY);
}

static bool has_new_filter(long result)
{
	return result == 0 && passes(0);
}

/* ------------------------------------------------------------------ reading */

static void prepare_records(void)
{
	prepare_watch();
	must(!remount(MS_RDONLY, NULL) && !remount(0, NULL));
}

static long read_records(void)
{
	return outcome(read(watch.queue[0], room, sizeof(room)));
}

static bool records_wait(void)
{
	return queued(watch.queue[0]) == 2 * RECORD && readable(watch.queue[0]);
}

static bool is_remount(const unsigned char *record, unsigned int flags)
{
	struct xp_sb_record wanted = { .watch = { XP_WATCH_TYPE_SB | REMOUNT << 24,
						  RECORD | ID << INFO_ID_SHIFT | flags },
				       .dev_major = major(watch.device),
				       .dev_minor = minor(watch.device) };

	return !memcmp(record, &wanted, RECORD);
}

/* A read that has got the first record is a success. */
static bool records_read(long result)
{
	if (result == RECORD)
		must(read(watch.queue[0], room + RECORD, RECORD) == RECORD);
	else if (result != 2 * RECORD)
		return false;
	return is_remount(room, READONLY) && is_remount(room + RECORD, 0) && nothing(&watch);
}

static void prepare_loss(void)
{
	prepare_size();
	must(!remount(0, NULL));
}

static bool loss_waits(void)
{
	return readable(watch.queue[0]);
}

static bool loss_read(long result)
{
	return result == sizeof(loss_record) && tells_loss(room) && nothing(&watch);
}

static const struct operation operations[] = {
	{ "a watch of a file system", prepare_queue, add_watch, not_watched, added, clean },
	{ "its removal", prepare_watch, remove_watch, is_watched, removed, clean },
	{ "a remount", prepare_watch, remount_read_only, unchanged, read_only, clean },
	{ "umount", prepare_mount, unmount, unchanged, shut_down, clean },
	{ "no space", prepare_full, write_page, unchanged, no_space, clean },
	{ "freezing", prepare_ext4, freeze, not_frozen, frozen, clean },
	{ "thawing", prepare_frozen, thaw, still_frozen, thawed, clean },
	{ "the size of a queue", prepare_size, set_size, no_size, has_size, clean },
	{ "a filter", prepare_filter, set_filter, has_old_filter, has_new_filter, clean },
	{ "reading records", prepare_records, read_records, records_wait, records_read, clean },
	{ "reading a loss", prepare_loss, read_records, loss_waits, loss_read, clean },
};

int main(void)
{
	open_injection(ANY_PAGE);
	if (can_watch())
		REFUSE_EACH(operations);
	if (*image.where)
		remove_image(&image);
	return tap_done();
}
