/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/capability.h>

/* What moving bytes takes; names, because some exist on some architectures only. */
static const int allowed[] = {
	/* moving */
	SCMP_SYS(splice),
	SCMP_SYS(tee),
	SCMP_SYS(vmsplice),
	SCMP_SYS(sendfile),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	/* waiting */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(restart_syscall),
	/* descriptors */
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(memfd_create),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(ioctl),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(fsync),
	SCMP_SYS(shutdown),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(mmap2),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	/* signals and the end */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(setitimer),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* statmount(2) and listmount(2), Linux 6.8, which libseccomp may not know. */
#ifdef __alpha__
#define STATMOUNT 567
#define LISTMOUNT 568
#else
#define STATMOUNT 457
#define LISTMOUNT 458
#endif

/* What looking at things takes beyond that. */
static const int looking[] = {
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(recvfrom),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	STATMOUNT,
	LISTMOUNT,
};

/* What serving files takes beyond the first. */
static const int serving[] = {
	SCMP_SYS(getdents64),
	SCMP_SYS(readlinkat),
	SCMP_SYS(dup3),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	/* threads */
	SCMP_SYS(mprotect),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_yield),
};

/* The operations of keyctl(2) on a key that is known. */
#define KEYCTL_DESCRIBE 6
#define KEYCTL_WATCH_KEY 32

#define NO_CAPABILITY (-1)

int sandbox_drop_capabilities(int keep)
{
	cap_value_t kept[] = { keep };
	cap_flag_value_t has = CAP_CLEAR;
	cap_t now = cap_get_proc(), set = cap_init();
	int result = now && set ? 0 : -1, error;

	/* One that it hasn't can't be kept. */
	if (!result && keep != NO_CAPABILITY)
		result = cap_get_flag(now, keep, CAP_EFFECTIVE, &has);
	if (!result && has == CAP_SET)
		result = cap_set_flag(set, CAP_PERMITTED, 1, kept, CAP_SET) ||
			 cap_set_flag(set, CAP_EFFECTIVE, 1, kept, CAP_SET);
	if (!result)
		result = cap_set_proc(set);
	error = errno;
	if (now)
		cap_free(now);
	if (set)
		cap_free(set);
	return result ? error : 0;
}

/* 0 or -errno. */
static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return error;
}

/* Opening for reading. 0 or -errno. */
static int allow_opening(scmp_filter_ctx filter)
{
	const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC | O_TMPFILE;

	return seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
		SCMP_A2(SCMP_CMP_MASKED_EQ, writing & ~(scmp_datum_t)O_DIRECTORY, O_RDONLY));
}

/* 0 or -errno. */
static int allow_looking(scmp_filter_ctx filter)
{
	int error = allow_all(filter, looking, sizeof(looking) / sizeof(looking[0]));

	if (!error)
		error = allow_opening(filter);
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(keyctl), 1,
					 SCMP_A0(SCMP_CMP_EQ, KEYCTL_DESCRIBE, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(keyctl), 1,
					 SCMP_A0(SCMP_CMP_EQ, KEYCTL_WATCH_KEY, 0));
	return error;
}

/* 0 or -errno. */
static int allow_serving(scmp_filter_ctx filter)
{
	const scmp_datum_t thread = CLONE_VM | CLONE_THREAD;
	int error = allow_all(filter, serving, sizeof(serving) / sizeof(serving[0]));

	if (!error)
		error = allow_opening(filter);
	/* A filter can't see what clone3(2) is asked for; libc takes clone(2) where it's missing.
	 */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					 SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
	return error;
}

/* 0 or an errno; ENOSYS, EINVAL or ECANCELED where the kernel has no filters. */
static int load_filter(int (*allow_more)(scmp_filter_ctx filter))
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error = filter ? 0 : -ENOMEM;

	/* A tree: the kernel tries the filter for every call number while it loads it. */
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!error)
		error = allow_all(filter, allowed, sizeof(allowed) / sizeof(allowed[0]));
	if (!error && allow_more)
		error = allow_more(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return -error;
}

static int enter(const struct cli_common *common, int (*allow_more)(scmp_filter_ctx filter),
		 int keep)
{
	int error;

	if (common->no_sandbox)
		return CLI_OK;
	error = sandbox_drop_capabilities(keep);
	if (error) {
		cli_error("dropping", "capabilities", error);
		return CLI_FAILED;
	}
	error = load_filter(allow_more);
	if (error && common->explain)
		cli_say("no seccomp filter: %s", strerror(error));
	return CLI_OK;
}

int sandbox_enter(const struct cli_common *common)
{
	return enter(common, NULL, NO_CAPABILITY);
}

int sandbox_enter_watching(const struct cli_common *common, bool admin)
{
	return enter(common, allow_looking, admin ? CAP_SYS_ADMIN : NO_CAPABILITY);
}

int sandbox_enter_serving(const struct cli_common *common)
{
	return enter(common, allow_serving, CAP_DAC_READ_SEARCH);
}
