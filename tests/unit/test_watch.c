/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notifications: names, records, handles; and keys, where the kernel has a queue. */
#include <extpipe/uapi.h>
#include <sys/syscall.h>

#include "watchers.h"

#define KEYCTL_REVOKE 3
#define KEYCTL_UPDATE 2
#define KEYCTL_CLEAR 7
#define KEYCTL_LINK 8
#define KEYCTL_UNLINK 9
#define KEYCTL_SETPERM 5
#define KEYCTL_INVALIDATE 21
#define PROCESS_KEYRING (-2)

/* ------------------------------------------------------------------------------ names */

static const int counts[] = { XP_META_COUNT, XP_KEY_COUNT, XP_MOUNT_COUNT, XP_SB_COUNT,
			      XP_BLOCK_COUNT };

static void test_names(void)
{
	bool all = true, apart = true;

	for (int s = 0; s < XP_SOURCE_COUNT; s++) {
		all = all && xp_source_name((enum xp_source)s);
		for (int e = 0; e < counts[s]; e++)
			all = all && xp_event_name((enum xp_source)s, e);
		for (int e = 0; e < counts[s]; e++)
			for (int f = 0; f < e; f++)
				apart = apart && strcmp(xp_event_name((enum xp_source)s, e),
							xp_event_name((enum xp_source)s, f)) != 0;
		all = all && !xp_event_name((enum xp_source)s, counts[s]) &&
		      !xp_event_name((enum xp_source)s, -1);
	}
	ok(all, "each source and each event has a name, and nothing else has");
	ok(apart, "no two events of a source have one name");
	ok(!xp_source_name(XP_SOURCE_COUNT) && !xp_source_name((enum xp_source) - 1) &&
		   !xp_event_name(XP_SOURCE_COUNT, 0),
	   "no source, no name");
	ok(is(xp_source_name(XP_SOURCE_SB), "sb") &&
		   is(xp_event_name(XP_SOURCE_MOUNT, XP_MOUNT_ATTACH), "attach") &&
		   is(xp_event_name(XP_SOURCE_META, XP_META_LOSS), "loss"),
	   "they are those of watchq");
	all = true;
	for (int b = 0; b < XP_BACKEND_COUNT; b++)
		all = all && xp_backend_name((enum xp_backend)b);
	ok(all && !xp_backend_name(XP_BACKEND_COUNT) &&
		   is(xp_backend_name(XP_BACKEND_QUEUE), "queue"),
	   "each backend has a name");
}

/* ------------------------------------------------------------------------------ records */

struct header {
	__u32 type : 24;
	__u32 subtype : 8;
	__u32 info;
};

static unsigned char record[256];

/* A record of @size bytes, the words of which are all different. */
static void make(unsigned type, unsigned subtype, unsigned size, unsigned id, unsigned flags)
{
	struct header header = { .type = type, .subtype = subtype };

	header.info = size | id << 8 | flags;
	for (unsigned i = 0; i < sizeof(record); i++)
		record[i] = (unsigned char)i;
	memcpy(record, &header, sizeof(header));
}

static __u32 word(unsigned at)
{
	__u32 value;

	memcpy(&value, record + at, sizeof(value));
	return value;
}

static __u64 wide(unsigned at)
{
	__u64 value;

	memcpy(&value, record + at, sizeof(value));
	return value;
}

static void test_record_types(void)
{
	struct xp_event e;

	make(XP_WATCH_TYPE_KEY, XP_KEY_LINKED, 16, 200, 0);
	ok(xp_record_parse(record, 16, &e) == 16 && e.source == XP_SOURCE_KEY &&
		   e.event == XP_KEY_LINKED && e.watch == 200 && e.key_id == (int32_t)word(8) &&
		   e.aux == word(12) && e.record == record && e.record_size == 16 && !e.removal &&
		   e.backend == XP_BACKEND_QUEUE,
	   "a key's record");
	make(XP_WATCH_TYPE_MOUNT, XP_MOUNT_MOVE, 32, 1, 0x70000);
	ok(xp_record_parse(record, 32, &e) == 32 && e.source == XP_SOURCE_MOUNT &&
		   e.event == XP_MOUNT_MOVE && e.mount_id == wide(8) && e.parent_id == wide(16) &&
		   e.ns_id == wide(24) &&
		   e.flags == (XP_EVENT_RECURSIVE | XP_EVENT_READONLY | XP_EVENT_PROPAGATED),
	   "a mount's");
	make(XP_WATCH_TYPE_SB, XP_SB_QUOTA, 40, 2, 0x10000);
	ok(xp_record_parse(record, 40, &e) == 40 && e.source == XP_SOURCE_SB &&
		   e.event == XP_SB_QUOTA && e.major == word(8) && e.minor == word(12) &&
		   e.ino == wide(16) && e.error == (int)word(24) && e.quota_warning == word(28) &&
		   e.quota_type == word(32) && e.quota_id == word(36) &&
		   e.flags == XP_EVENT_READONLY,
	   "a file system's");
	make(XP_WATCH_TYPE_BLOCK, XP_BLOCK_ERROR, 40, 3, 0);
	ok(xp_record_parse(record, 40, &e) == 40 && e.source == XP_SOURCE_BLOCK &&
		   e.event == XP_BLOCK_ERROR && e.major == word(8) && e.minor == word(12) &&
		   e.sector == wide(16) && e.bytes == word(24) && e.operation == (int)word(28) &&
		   e.error == (int)word(32),
	   "a block device's");
	make(XP_WATCH_TYPE_BLOCK, XP_BLOCK_RESIZE, 40, 3, 0);
	ok(xp_record_parse(record, 40, &e) == 40 && e.operation == -1,
	   "what is no error has no operation");
	make(XP_WATCH_TYPE_META, XP_META_REMOVAL, 8, 255, 0);
	ok(xp_record_parse(record, 8, &e) == 8 && e.removal && e.event == -1 && e.watch == 255,
	   "a removal");
	make(XP_WATCH_TYPE_META, XP_META_REMOVAL, 16, 7, 0);
	ok(xp_record_parse(record, 16, &e) == 16 && e.removal && e.watch == 7, "a longer one");
	make(XP_WATCH_TYPE_META, XP_META_LOSS, 8, 0, 0);
	ok(xp_record_parse(record, 8, &e) == 8 && !e.removal && e.event == XP_META_LOSS &&
		   e.source == XP_SOURCE_META && e.watch == -1,
	   "a loss");
}

/* What a later kernel may say is passed on, not guessed at. */
static void test_record_unknown(void)
{
	struct xp_event e;

	make(77, 3, 127, 9, 0);
	ok(xp_record_parse(record, 200, &e) == 127 && e.source == XP_SOURCE_META && e.event == -1 &&
		   !e.removal && e.watch == 9 && e.record_size == 127,
	   "an unknown type is passed through");
	make(0xffffff, 255, 8, 9, 0);
	ok(xp_record_parse(record, 8, &e) == 8 && e.event == -1, "the largest, too");
	make(XP_WATCH_TYPE_KEY, XP_KEY_COUNT, 16, 9, 0);
	ok(xp_record_parse(record, 16, &e) == 16 && e.source == XP_SOURCE_KEY && e.event == -1 &&
		   e.key_id == (int32_t)word(8),
	   "an unknown event of a known source");
	make(XP_WATCH_TYPE_BLOCK, XP_BLOCK_CHANGE, 40, 9, 0);
	ok(xp_record_parse(record, 40, &e) == 40 && e.event == -1,
	   "an event that is not the kernel's has no record");
	make(XP_WATCH_TYPE_META, 2, 8, 9, 0);
	ok(xp_record_parse(record, 8, &e) == 8 && e.event == -1 && !e.removal,
	   "a third of the queue");
	make(XP_WATCH_TYPE_MOUNT, XP_MOUNT_ATTACH, 48, 9, 0);
	ok(xp_record_parse(record, 48, &e) == 48 && e.mount_id == wide(8),
	   "a record that has grown");
}

/* Lengths that lie: too small for a header, for the type, larger than what was read. */
static void test_record_lengths(void)
{
	static const unsigned least[] = { 8, 16, 32, 40, 40 };
	struct xp_event e;
	bool right = true;

	for (unsigned type = 0; type <= XP_WATCH_TYPE_BLOCK + 1; type++) {
		unsigned need = type <= XP_WATCH_TYPE_BLOCK ? least[type] : 8;

		for (unsigned length = 0; length < 128; length++) {
			for (unsigned size = 0; size <= 128; size++) {
				bool good = length >= need && length <= size && size >= 8;
				ssize_t n;

				make(type, 0, length, 1, 0);
				errno = 0;
				n = xp_record_parse(record, size, &e);
				right = right &&
					(good ? n == (ssize_t)length : n == -1 && errno == EBADMSG);
			}
		}
	}
	ok(right, "every length of every type, cut everywhere");
}

/* ------------------------------------------------------------------------------ handles */

static void test_open(void)
{
	struct xp_watch_options options = { .depth = 513 };
	struct xp_watch *watch;
	struct xp_service service;
	struct xp_event event;

	ok(!xp_watch_open(&options) && errno == EINVAL, "513 notes: EINVAL");
	options.depth = 512;
	watch = xp_watch_open(&options);
	ok(watch != NULL, "512 are possible");
	xp_watch_close(watch);
	options.backend = XP_BACKEND_UEVENT;
	ok(!xp_watch_open(&options) && errno == EINVAL,
	   "a backend that can't be asked for: EINVAL");
	watch = xp_watch_open(NULL);
	must(watch);
	ok(at_rest(watch), "an empty handle is at rest");
	ok(!xp_watch_next(watch, &event, 0) && !xp_watch_next(watch, &event, XP_NONBLOCK),
	   "and has nothing to tell");
	ok(fails(xp_watch_next(watch, &event, 1), EINVAL), "an unknown flag: EINVAL");
	ok(fails(xp_watch_remove(watch, 0), ENOENT) && fails(xp_watch_remove(watch, -1), ENOENT),
	   "no such watch: ENOENT");
	ok(fails(xp_watch_service(watch, XP_SOURCE_META, &service), EINVAL) &&
		   fails(xp_watch_service(watch, XP_SOURCE_COUNT, &service), EINVAL),
	   "no such source: EINVAL");
	for (int s = XP_SOURCE_KEY; s < XP_SOURCE_COUNT; s++) {
		service = service_of(watch, (enum xp_source)s);
		ok(service.why && *service.why && !service.backend == !service.events &&
			   !service.backend == (service.error != 0),
		   "%s: %s, %s", xp_source_name((enum xp_source)s),
		   xp_backend_name(service.backend), service.why);
	}
	xp_watch_close(watch);
	xp_watch_close(NULL);
}

static void test_target(void)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	struct xp_target target = { .source = XP_SOURCE_META };

	must(watch);
	ok(fails(xp_watch_add(watch, &target), EINVAL), "the queue itself is no source: EINVAL");
	target.source = XP_SOURCE_COUNT;
	ok(fails(xp_watch_add(watch, &target), EINVAL), "no source: EINVAL");
	target.source = XP_SOURCE_SB;
	target.fd = -1;
	ok(fails(xp_watch_add(watch, &target), EBADF), "a file system needs a descriptor: EBADF");
	target.source = XP_SOURCE_BLOCK;
	target.fd = open("/", O_RDONLY);
	ok(fails(xp_watch_add(watch, &target), EINVAL), "a directory is no device: EINVAL");
	close(target.fd);
	xp_watch_close(watch);
}

/* A service and a feature must not contradict each other. */
static void test_features(void)
{
	static const enum xp_feature_id ids[] = { XP_FEATURE_COUNT, XP_FEATURE_WATCH_KEY,
						  XP_FEATURE_WATCH_MOUNT, XP_FEATURE_WATCH_SB,
						  XP_FEATURE_WATCH_BLOCK };
	struct xp_watch *watch = xp_watch_open(NULL);

	must(watch);
	for (int s = XP_SOURCE_KEY; s < XP_SOURCE_COUNT; s++) {
		struct xp_service service = service_of(watch, (enum xp_source)s);
		struct xp_feature feature;

		must(!xp_feature(ids[s], &feature));
		ok(service.backend == XP_BACKEND_QUEUE ? feature.support == XP_NATIVE :
							 !service.backend == !feature.support,
		   "%s: %s is what the service says: %s", feature.name,
		   feature.support == XP_NATIVE   ? "native" :
		   feature.support == XP_EMULATED ? "emulated" :
						    "absent",
		   feature.why);
	}
	xp_watch_close(watch);
}

/* ------------------------------------------------------------------------------ keys */

static long keyctl(long operation, long a, long b, long c)
{
	return syscall(SYS_keyctl, operation, a, b, c);
}

static bool key_event(struct xp_watch *watch, int number, int event, int32_t key, uint32_t aux)
{
	struct xp_event e;

	return next_within(watch, &e, 2000) == 1 && e.watch == number && e.event == event &&
	       e.key_id == key && (!aux || e.aux == aux) && e.record && e.record_size == 16 &&
	       e.backend == XP_BACKEND_QUEUE;
}

/* What happens to a key by itself. */
static void test_key_alone(struct xp_watch *watch, int32_t key, int number)
{
	must(!keyctl(KEYCTL_UPDATE, key, (long)(uintptr_t) "new", 3));
	ok(key_event(watch, number, XP_KEY_UPDATED, key, 0), "a key is updated");
	must(!keyctl(KEYCTL_SETPERM, key, 0x3f3f0000, 0));
	ok(key_event(watch, number, XP_KEY_SETATTR, key, 0), "its permissions change");
	must(!keyctl(KEYCTL_REVOKE, key, 0, 0));
	ok(key_event(watch, number, XP_KEY_REVOKED, key, 0), "it is revoked");
}

static void test_keyring(struct xp_watch *watch)
{
	struct xp_target target = { .source = XP_SOURCE_KEY, .flags = XP_WATCH_INITIAL };
	int32_t ring, key, other;
	struct xp_event event;
	int number;

	ring = (int32_t)syscall(SYS_add_key, "keyring", "extpipe-ring", NULL, 0, PROCESS_KEYRING);
	must(ring > 0);
	key = (int32_t)syscall(SYS_add_key, "user", "extpipe:a;b", "x", 1, ring);
	other = (int32_t)syscall(SYS_add_key, "user", "extpipe:other", "x", 1, PROCESS_KEYRING);
	must(key > 0 && other > 0);
	target.key = ring;
	number = xp_watch_add(watch, &target);
	ok(number >= 0 && next_within(watch, &event, 1000) == 1 && event.flags & XP_EVENT_INITIAL &&
		   event.event == XP_KEY_LINKED && event.aux == (uint32_t)key,
	   "what a keyring holds is told to begin with");
	must(!keyctl(KEYCTL_LINK, other, ring, 0));
	ok(key_event(watch, number, XP_KEY_LINKED, ring, (uint32_t)other), "a key is linked");
	must(!keyctl(KEYCTL_UNLINK, other, ring, 0));
	ok(key_event(watch, number, XP_KEY_UNLINKED, ring, (uint32_t)other), "and unlinked");
	must(!keyctl(KEYCTL_CLEAR, ring, 0, 0));
	ok(key_event(watch, number, XP_KEY_CLEARED, ring, 0), "all are");
	target.key = other;
	target.flags = 0;
	number = xp_watch_add(watch, &target);
	must(number >= 0);
	test_key_alone(watch, other, number);
	must(!keyctl(KEYCTL_INVALIDATE, ring, 0, 0));
	ok(key_event(watch, 0, XP_KEY_INVALIDATED, ring, 0), "a keyring is invalidated");
	ok(next_within(watch, &event, 2000) == 1 && event.removal && event.watch == 0,
	   "and its watch over");
}

/* A queue with one note, which the kernel rounds up to a page of them. */
static void test_key_loss(void)
{
	struct xp_watch_options options = { .backend = XP_BACKEND_QUEUE, .depth = 1 };
	struct xp_target target = { .source = XP_SOURCE_KEY };
	struct xp_watch *watch = xp_watch_open(&options);
	struct xp_event event;
	int seen = 0, lost = 0;

	must(watch);
	target.key = (int32_t)syscall(SYS_add_key, "user", "extpipe:loss", "x", 1, PROCESS_KEYRING);
	must(target.key > 0 && !xp_watch_add(watch, &target));
	for (int i = 0; i < 100; i++)
		must(!keyctl(KEYCTL_UPDATE, target.key, (long)(uintptr_t) "new", 3));
	while (next_within(watch, &event, 100) == 1) {
		seen += event.event == XP_KEY_UPDATED && event.source == XP_SOURCE_KEY;
		lost += event.event == XP_META_LOSS && event.source == XP_SOURCE_META;
	}
	ok(seen >= 1 && seen < 100 && lost == 1, "what does not fit is told to be lost");
	must(!xp_watch_remove(watch, 0));
	ok(next_within(watch, &event, 1000) == 1 && event.removal && event.watch == 0,
	   "a watch is removed");
	ok(!xp_watch_next(watch, &event, 0), "and none is left");
	xp_watch_close(watch);
	keyctl(KEYCTL_INVALIDATE, target.key, 0, 0);
}

static void test_keys(void)
{
	struct xp_watch *watch = xp_watch_open(NULL);
	struct xp_target target = { .source = XP_SOURCE_KEY, .key = PROCESS_KEYRING };
	struct xp_watch_options queue = { .backend = XP_BACKEND_QUEUE };

	must(watch);
	if (service_of(watch, XP_SOURCE_KEY).backend == XP_BACKEND_QUEUE) {
		test_keyring(watch);
		test_key_loss();
	} else {
		ok(fails(xp_watch_add(watch, &target), EOPNOTSUPP), "no keys here: EOPNOTSUPP");
		ok(!xp_watch_open(&queue) && errno == EOPNOTSUPP, "no queue here: EOPNOTSUPP");
		skip("watch-key", "events of keys");
	}
	xp_watch_close(watch);
}

int main(void)
{
	test_names();
	test_record_types();
	test_record_unknown();
	test_record_lengths();
	test_open();
	test_target();
	test_features();
	test_keys();
	return tap_done();
}
