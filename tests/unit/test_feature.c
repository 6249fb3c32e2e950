/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xp_feature(): every feature answers, and the errno that decided it is the kernel's. */
#include <extpipe.h>
#include <pthread.h>

#include "tap.h"

static struct xp_feature ask(enum xp_feature_id id)
{
	struct xp_feature answer;

	must(!xp_feature(id, &answer));
	return answer;
}

static void test_table(void)
{
	for (unsigned id = 0; id < XP_FEATURE_COUNT; id++) {
		struct xp_feature f = ask(id), again = ask(id);

		ok(f.name && *f.name && f.why && *f.why, "feature %u has a name and a reason", id);
		ok(!memcmp(&f, &again, sizeof(f)), "%s answers the same twice", f.name);
		ok((f.support == XP_NATIVE) <= !f.error, "%s: native means no error", f.name);
		for (unsigned other = 0; other < id; other++)
			if (!strcmp(f.name, ask(other).name))
				ok(false, "%s is there twice", f.name);
	}
}

static void test_bounds(void)
{
	struct xp_feature answer;

	errno = 0;
	ok(xp_feature(XP_FEATURE_COUNT, &answer) == -1 && errno == EINVAL,
	   "no such feature: EINVAL");
	errno = 0;
	ok(xp_feature((enum xp_feature_id) - 1, &answer) == -1 && errno == EINVAL, "-1: EINVAL");
	ok(ask(XP_FEATURE_PIPE_SIZE).limit >= 65536, "a pipe may have 64 KiB at least");
	ok(ask(XP_FEATURE_PACKET_PIPE).limit == 4096, "a packet is up to PIPE_BUF");
}

static void decided_by(enum xp_feature_id id, enum xp_support support, int error)
{
	struct xp_feature f = ask(id);

	ok(f.support == support && f.error == error, "%s is told as %d with %s (got %d, %s)",
	   f.name, support, strerrorname_np(error), f.support, strerrorname_np(f.error));
}

static void body_denied(void)
{
	decided_by(XP_FEATURE_SPLICE, XP_EMULATED, EPERM);
	decided_by(XP_FEATURE_TEE, XP_ABSENT, EPERM);
	decided_by(XP_FEATURE_VMSPLICE, XP_EMULATED, ENOSYS);
	decided_by(XP_FEATURE_VMSPLICE_SHARES, XP_ABSENT, ENOSYS);
	decided_by(XP_FEATURE_SPLICE_SHARES, XP_ABSENT, EPERM);
	decided_by(XP_FEATURE_SENDFILE, XP_EMULATED, EINVAL);
	decided_by(XP_FEATURE_COPY_FILE_RANGE, XP_EMULATED, EOPNOTSUPP);
	decided_by(XP_FEATURE_FUSE_SPLICE, XP_EMULATED, EPERM);
}

static void body_no_memfd(void)
{
	decided_by(XP_FEATURE_SPLICE, XP_NATIVE, 0);
	ok(ask(XP_FEATURE_SENDFILE).support != XP_NATIVE,
	   "without a file sendfile is not vouched for");
}

static void *ask_all(void *arg)
{
	(void)arg;
	for (unsigned id = 0; id < XP_FEATURE_COUNT; id++)
		ask(id);
	return NULL;
}

static void body_threads(void)
{
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		must(!pthread_create(&threads[i], NULL, ask_all, NULL));
	for (int i = 0; i < 8; i++)
		must(!pthread_join(threads[i], NULL));
	decided_by(XP_FEATURE_TEE, XP_NATIVE, 0);
}

int main(void)
{
	static const denial none[] = { { -1, 0 } };
	static const denial no_memfd[] = { { SCMP_SYS(memfd_create), ENOSYS }, { -1, 0 } };
	static const denial denied[] = {
		{ SCMP_SYS(splice), EPERM },
		{ SCMP_SYS(tee), EPERM },
		{ SCMP_SYS(vmsplice), ENOSYS },
		{ SCMP_SYS(sendfile), EINVAL },
		{ SCMP_SYS(copy_file_range), EOPNOTSUPP },
		{ -1, 0 },
	};

	tap_denied(denied, body_denied);
	tap_denied(no_memfd, body_no_memfd);
	tap_denied(none, body_threads);
	test_table();
	test_bounds();
	ok(!strcmp(xp_version(), xp_version()) && strchr(xp_version(), '.'), "there is a version");
	return tap_done();
}
