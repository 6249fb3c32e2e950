/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parsers behind notifications, from the library's inside. */
#include "watch_mountinfo.h"

#include <extpipe.h>
#include <sys/fanotify.h>

#include "tap.h"
#include "watch_fan.h"
#include "watch_set.h"
#include "watch_table.h"
#include "watch_uevent.h"
#include "watch_values.h"

static char line[512];
static struct mountinfo info;

static bool parses(const char *text)
{
	snprintf(line, sizeof(line), "%s", text);
	return mountinfo_parse(line, strlen(line), &info);
}

static bool says(const char *text, size_t length, const char *what)
{
	return length == strlen(what) && !memcmp(text, what, length);
}

static void test_mountinfo(void)
{
	static const char whole[] =
		"36 35 98:4294967295 /mnt1 /mnt\\0402\\134 ro,noatime shared:7 master:1 - ext3 "
		"/dev/root rw,errors=continue";
	bool cut = true;
	uint64_t attributes;

	ok(parses(whole) && info.id == 36 && info.parent == 35 && info.major == 98 &&
		   info.minor == UINT32_MAX && info.readonly && !info.sb_readonly,
	   "a line of mountinfo");
	ok(says(info.root, info.root_length, "/mnt1") &&
		   says(info.point, info.point_length, "/mnt 2\\"),
	   "its escapes are resolved");
	ok(info.propagation == 3, "and its propagation is known");
	attributes = info.attributes;
	ok(parses("1 1 0:1 / / rw - tmpfs  ro") && info.sb_readonly && !info.readonly &&
		   !info.propagation && info.attributes != attributes,
	   "no optional fields, no source, a read-only file system");
	for (size_t length = 0; length < strlen(whole); length++) {
		snprintf(line, sizeof(line), "%s", whole);
		if (mountinfo_parse(line, length, &info))
			cut = cut && length > strlen(whole) - strlen("rw,errors=continue");
	}
	ok(cut, "cut anywhere, it is none");
	ok(!parses("") && !parses("x 1 0:1 / / rw - a b c") && !parses("1 1 0 / / rw - a b c") &&
		   !parses("1 1 0:4294967296 / / rw - a b c") && !parses("1 1 0:1 / / rw a b c"),
	   "what is no line is none");
}

static void test_unescape(void)
{
	char text[] = "\\011\\012\\040\\134\\377x\\400\\08\\12";

	ok(mountinfo_unescape(text, strlen(text)) == 16 &&
		   !memcmp(text, "\t\n \\\377x\\400\\08\\12", 16),
	   "octal escapes, and what only looks like them");
}

/* Lines with \n between them, as they come with NUL. */
static bool uevent(const char *text, struct uevent *event)
{
	char message[512];
	size_t length = strlen(text) + 1;

	memcpy(message, text, length);
	for (size_t i = 0; i < length; i++)
		if (message[i] == '\n')
			message[i] = '\0';
	return uevent_parse(message, length, event);
}

#define LOOP "@/devices/virtual/block/loop0\nDEVPATH=/devices/virtual/block/loop0\n"
#define DISK "SUBSYSTEM=block\nMAJOR=7\nMINOR=3\nDEVTYPE=disk\n"

static void test_uevent(void)
{
	struct uevent e;

	ok(uevent("add" LOOP DISK "ACTION=add", &e) && e.event == XP_BLOCK_ADD && e.major == 7 &&
		   e.minor == 3,
	   "a device comes");
	ok(uevent("remove" LOOP DISK "ACTION=remove", &e) && e.event == XP_BLOCK_REMOVE,
	   "and goes");
	ok(uevent("change" LOOP DISK "ACTION=change\nDISK_MEDIA_CHANGE=1", &e) &&
		   e.event == XP_BLOCK_MEDIA,
	   "a medium");
	ok(uevent("change" LOOP DISK "ACTION=change\nRESIZE=1", &e) && e.event == XP_BLOCK_RESIZE,
	   "a size");
	ok(uevent("change" LOOP DISK "ACTION=change\nRESIZE=12", &e) && e.event == XP_BLOCK_CHANGE,
	   "something else");
	ok(!uevent("bind" LOOP DISK "ACTION=bind", &e) && !uevent("libudev\nACTION=add", &e) &&
		   !uevent("add" LOOP "SUBSYSTEM=block\nMAJOR=7\nMINOR=3\nDEVTYPE=partition", &e) &&
		   !uevent("add" LOOP DISK "ACTION=add\nMAJOR=x", &e) &&
		   !uevent("add" LOOP DISK "ACTION=add\nMINOR=4294967296", &e) && !uevent("", &e),
	   "what is about no whole block device is none");
	ok(!uevent_parse("add@/x\0ACTION=add", 17, &e) && !uevent_parse("", 0, &e),
	   "nor what has no end");
}

/* An event of fanotify with the information that follows it. */
static size_t fan(char *to, unsigned type, unsigned length, unsigned declared)
{
	struct fanotify_event_metadata head = { .vers = FANOTIFY_METADATA_VERSION, .fd = -1 };

	head.metadata_len = sizeof(head);
	head.event_len = (unsigned)sizeof(head) + length;
	head.mask = FAN_EVENT_ATTACH;
	memset(to, 0, 256);
	memcpy(to, &head, sizeof(head));
	to[sizeof(head)] = (char)type;
	memcpy(to + sizeof(head) + 2, &(uint16_t){ (uint16_t)declared }, 2);
	memset(to + sizeof(head) + 4, 0x11, length > 4 ? length - 4 : 0);
	return head.event_len;
}

static void test_fan(void)
{
	char data[256];
	struct fan_event e;
	size_t length = fan(data, 7, 16, 16);
	bool cut = true;

	ok(fan_parse(data, length, &e) == length && e.mount == 0x1111111111111111u &&
		   e.mask == FAN_EVENT_ATTACH,
	   "an event of fanotify");
	for (size_t size = 0; size < length; size++)
		cut = cut && !fan_parse(data, size, &e);
	ok(cut, "cut anywhere, it is none");
	length = fan(data, 7, 16, 17);
	ok(!fan_parse(data, length, &e), "information longer than the event is none");
	length = fan(data, 7, 16, 3);
	ok(!fan_parse(data, length, &e), "nor shorter than its own head");
	length = fan(data, 7, 12, 12);
	ok(fan_parse(data, length, &e) == length && !e.mount, "nor what has no room for an id");
	length = fan(data, 99, 16, 16);
	ok(fan_parse(data, length, &e) == length && !e.mount, "what is unknown is passed over");
	length = fan(data, 5, 12, 12);
	ok(fan_parse(data, length, &e) == length && !e.error,
	   "an error that is no errno is not told as one");
}

static void test_numbers(void)
{
	char text[32];
	uint64_t number;

	*values_decimal(text, 0) = '\0';
	ok(!strcmp(text, "0"), "0 in decimal");
	*values_decimal(text, UINT64_MAX) = '\0';
	ok(!strcmp(text, "18446744073709551615"), "the largest number in decimal");
	ok(values_number(text, text + 21, '\0', &number) && number == UINT64_MAX, "and back");
	ok(!values_number("18446744073709551616 ", text + 32, ' ', &number) &&
		   !values_number(" ", text, ' ', &number) &&
		   !values_number("1x", text, ' ', &number),
	   "what is no number is none");
}

static void test_table(void)
{
	struct table table = { 0 };
	struct set set = { { 0 } };
	bool right = true;

	for (uint64_t id = 0; id < 3000; id++)
		must(table_add(&table, mount_new(id << 33 | id, 0, "/x", 2)));
	for (uint64_t id = 0; id < 3000; id += 2) {
		struct mount *mount = table_find(&table, id << 33 | id);

		must(mount && !strcmp(mount->path, "/x"));
		table_remove(&table, mount);
		mount_put(mount);
	}
	for (uint64_t id = 0; id < 3000; id++)
		right = right && !table_find(&table, id << 33 | id) == !(id % 2);
	ok(right && table.count == 1500, "a table keeps what is in it, and nothing else");
	table_clear(&table);
	ok(!table_find(&table, 1) && !table.first && !table.last, "and can be emptied");
	set_add(&set, 0);
	set_add(&set, 255);
	set_drop(&set, 0);
	ok(set_first(&set) == 255 && set_has(&set, 255) && !set_has(&set, 254), "a set");
	set_drop(&set, 255);
	ok(set_first(&set) == SET_BITS, "an empty set");
}

int main(void)
{
	test_mountinfo();
	test_unescape();
	test_uevent();
	test_fan();
	test_numbers();
	test_table();
	return tap_done();
}
