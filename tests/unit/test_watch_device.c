/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications of block devices and file systems, on a loop device and ext4, caused for real. */
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "watchers.h"

#define SIZE (8 << 20)

static char base[64], image[128], device[64], place[128];
static int loop = -1, loop_number;

static bool run(const char *command)
{
	return !system(command); /* NOLINT(bugprone-command-processor,cert-env33-c) */
}

/* A loop device of the test's own, or false. */
static bool make_loop(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return false;
	loop_number = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(device, sizeof(device), "/dev/loop%d", loop_number);
	loop = loop_number < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
	return loop >= 0;
}

static bool attach(void)
{
	int file = open(image, O_RDWR | O_CLOEXEC);
	bool done = file >= 0 && !ioctl(loop, LOOP_SET_FD, file);

	if (file >= 0)
		close(file);
	return done;
}

/* Waits for an event of the loop device; others are not the test's. */
static bool device_tells(struct xp_watch *watch, int event, struct xp_event *e)
{
	while (next_within(watch, e, 3000) == 1)
		if (e->source == XP_SOURCE_BLOCK && e->event == event && e->device &&
		    is(e->device, device + 5))
			return true;
	return false;
}

static void test_block(const char *how)
{
	struct xp_watch *all = xp_watch_open(NULL), *one = xp_watch_open(NULL);
	struct xp_target target = { .source = XP_SOURCE_BLOCK, .fd = -1 };
	struct xp_event e = { 0 };
	bool queue;

	must(all && one);
	queue = service_of(all, XP_SOURCE_BLOCK).backend == XP_BACKEND_QUEUE;
	ok(!xp_watch_add(all, &target), "%s: all devices are watched", how);
	ok(!add_path(one, XP_SOURCE_BLOCK, device, XP_WATCH_INITIAL), "%s: and one", how);
	ok(next_within(one, &e, 1000) == 1 && e.event == XP_BLOCK_ADD &&
		   e.flags == XP_EVENT_INITIAL && is(e.device, device + 5) &&
		   e.minor == (uint32_t)loop_number && next_within(one, &e, 50) == -2,
	   "%s: which is there", how);
	must(attach());
	/* A uevent does not say of it what has changed. */
	ok(device_tells(all, queue ? XP_BLOCK_MEDIA : XP_BLOCK_CHANGE, &e) && e.major == 7,
	   "%s: a medium comes", how);
	must(!truncate(image, SIZE * 2L) && !ioctl(loop, LOOP_SET_CAPACITY));
	/* The queue tells of the first size as well. */
	while (device_tells(one, XP_BLOCK_RESIZE, &e) && e.sector != SIZE * 2 / 512)
		;
	ok(e.event == XP_BLOCK_RESIZE && e.sector == SIZE * 2 / 512,
	   "%s: it grows, to so many sectors", how);
	must(!ioctl(loop, LOOP_CLR_FD));
	close(loop);
	loop = -1;
	ok(device_tells(all, XP_BLOCK_MEDIA, &e) && device_tells(one, XP_BLOCK_MEDIA, &e),
	   "%s: the medium goes, and both are told", how);
	xp_watch_close(all);
	xp_watch_close(one);
}

/* A device of the test's own that comes and goes: the loop driver makes them on demand. */
static void test_come_and_go(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	struct xp_target target = { .source = XP_SOURCE_BLOCK, .fd = -1 };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number = 200, one;
	struct xp_event e = { 0 };

	must(watch && control >= 0 && !xp_watch_add(watch, &target));
	while (number < 230 && ioctl(control, LOOP_CTL_ADD, number) != number)
		number++;
	snprintf(device, sizeof(device), "/dev/loop%d", number);
	ok(device_tells(watch, XP_BLOCK_ADD, &e) && e.major == 7 && e.minor == (uint32_t)number &&
		   !(e.flags & XP_EVENT_INITIAL),
	   "%s: a device comes", how);
	one = -1;
	for (int i = 0; one < 0 && i < 100; i++, usleep(10000))
		if (!access(device, F_OK))
			one = add_path(watch, XP_SOURCE_BLOCK, device, 0);
	if (one < 0)
		skip("nobody makes device nodes", "%s: it is watched", how);
	must(ioctl(control, LOOP_CTL_REMOVE, number) >= 0);
	ok(device_tells(watch, XP_BLOCK_REMOVE, &e), "%s: it goes", how);
	if (one > 0) {
		bool over = false;

		while (!over && next_within(watch, &e, 2000) == 1)
			over = e.removal && e.watch == one && e.source == XP_SOURCE_BLOCK;
		ok(over, "%s: and its own watch is over", how);
	}
	close(control);
	xp_watch_close(watch);
}

/* ------------------------------------------------------------------------------ file systems */

static bool sb_tells(struct xp_watch *watch, int event, struct xp_event *e)
{
	while (next_within(watch, e, 3000) == 1)
		if (e->source == XP_SOURCE_SB && e->event == event)
			return true;
	return false;
}

static void test_remount(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	struct stat st;
	struct xp_event e = { 0 };

	snprintf(place, sizeof(place), "%s/remount", base);
	must(watch && !mkdir(place, 0755) && !mount("x", place, "tmpfs", 0, NULL));
	must(!stat(place, &st));
	ok(!add_path(watch, XP_SOURCE_SB, place, XP_WATCH_INITIAL) &&
		   sb_tells(watch, XP_SB_REMOUNT, &e) && e.flags == XP_EVENT_INITIAL &&
		   is(e.path, place) && e.major == major(st.st_dev) && e.minor == minor(st.st_dev),
	   "%s: a file system is writable to begin with", how);
	must(!mount("x", place, "none", MS_REMOUNT | MS_RDONLY, NULL));
	ok(sb_tells(watch, XP_SB_REMOUNT, &e) && e.flags == XP_EVENT_READONLY && is(e.path, place),
	   "%s: it becomes read-only", how);
	must(!mount("x", place, "none", MS_REMOUNT, NULL));
	ok(sb_tells(watch, XP_SB_REMOUNT, &e) && !e.flags, "%s: and writable", how);
	must(!umount(place));
	while (next_within(watch, &e, 3000) == 1 && !e.removal)
		;
	ok(e.removal && e.source == XP_SOURCE_SB && !xp_watch_next(watch, &e, 0),
	   "%s: with it the watch is over, and does not keep it", how);
	xp_watch_close(watch);
	must(!rmdir(place));
}

/* A directory's block is overwritten, and then read. */
static void test_error(const char *how)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	char command[512];
	struct xp_event e = { 0 };
	bool made;

	must(watch);
	snprintf(place, sizeof(place), "%s/ext4", base);
	must(!mkdir(place, 0755) && !truncate(image, 0) && !truncate(image, SIZE));
	snprintf(
		command, sizeof(command),
		"mkfs.ext4 -q -F -O ^has_journal,^metadata_csum %s >/dev/null 2>&1 && "
		"printf 'mkdir d\nzap_block -f d -p 0xff 0\n' | debugfs -w -f - %s >/dev/null 2>&1",
		image, image);
	made = service_of(watch, XP_SOURCE_SB).events & 1u << XP_SB_ERROR && run(command);
	made = made && make_loop() && attach() &&
	       !mount(device, place, "ext4", 0, "errors=continue");
	if (!made && loop >= 0)
		ioctl(loop, LOOP_CLR_FD);
	if (!made) {
		skip("no ext4 can be made here, or nothing tells of errors", "%s: an error", how);
	} else {
		ok(!add_path(watch, XP_SOURCE_SB, place, 0), "%s: ext4 is watched", how);
		snprintf(command, sizeof(command), "ls %s/d >/dev/null 2>&1", place);
		(void)run(command);
		ok(sb_tells(watch, XP_SB_ERROR, &e) && e.error && is(e.path, place) &&
			   is(e.device, device + 5),
		   "%s: an error is told, with the file system and the device", how);
		must(!umount2(place, MNT_DETACH));
		must(!ioctl(loop, LOOP_CLR_FD));
	}
	if (loop >= 0)
		close(loop);
	loop = -1;
	xp_watch_close(watch);
	must(!rmdir(place));
}

static void body_no_fanotify(void)
{
	test_remount("without fanotify");
}

int main(void)
{
	static const denial no_fanotify[] = { { SCMP_SYS(fanotify_init), EPERM },
					      { SCMP_SYS(pipe2), ENOPKG },
					      { -1, 0 } };
	struct xp_watch *watch = xp_watch_open(NULL);
	bool block = watch && service_of(watch, XP_SOURCE_BLOCK).backend;
	int file;

	xp_watch_close(watch);
	if (!private_mounts(base)) {
		skip("no mount namespace may be had", "devices and file systems");
		return tap_done();
	}
	snprintf(image, sizeof(image), "%s/image", base);
	file = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(file >= 0 && !ftruncate(file, SIZE) && !close(file));
	if (block && make_loop()) {
		test_block("as it is");
		test_come_and_go("as it is");
	} else {
		skip("no loop device may be had", "block devices");
	}
	test_remount("as it is");
	test_error("as it is");
	tap_denied(no_fanotify, body_no_fanotify);
	leave_mounts(base);
	return tap_done();
}
