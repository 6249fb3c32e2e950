/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "next.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "shim.h"

/* Looked up before main(), or when another object's constructor calls one. */
static struct {
	_Atomic(void *) at;
	const char *name;
} next[] = {
	[SHIM_SPLICE] = { .name = "splice" },
	[SHIM_TEE] = { .name = "tee" },
	[SHIM_VMSPLICE] = { .name = "vmsplice" },
	[SHIM_SENDFILE] = { .name = "sendfile64" },
	[SHIM_COPY_FILE_RANGE] = { .name = "copy_file_range" },
	[SHIM_PIPE2] = { .name = "pipe2" },
	[SHIM_CALLS] = { .name = "syscall" },
};

/* Every libc that the shim can be loaded beside has all of them. */
static void *look_up(enum shim_call call)
{
	void *at = dlsym(RTLD_NEXT, next[call].name);

	atomic_store_explicit(&next[call].at, at, memory_order_relaxed);
	return at;
}

static inline void *found(enum shim_call call)
{
	void *at = atomic_load_explicit(&next[call].at, memory_order_relaxed);

	return __builtin_expect(at != NULL, 1) ? at : look_up(call);
}

__attribute__((constructor)) static void look_up_all(void)
{
	for (int call = 0; call <= SHIM_CALLS; call++)
		look_up(call);
}

ssize_t next_splice(int in, loff_t *off_in, int out, loff_t *off_out, size_t len, unsigned flags)
{
	__typeof__(next_splice) *call = found(SHIM_SPLICE);

	return call(in, off_in, out, off_out, len, flags);
}

ssize_t next_tee(int in, int out, size_t len, unsigned flags)
{
	__typeof__(next_tee) *call = found(SHIM_TEE);

	return call(in, out, len, flags);
}

ssize_t next_vmsplice(int fd, const struct iovec *iov, size_t count, unsigned flags)
{
	__typeof__(next_vmsplice) *call = found(SHIM_VMSPLICE);

	return call(fd, iov, count, flags);
}

ssize_t next_sendfile(int out, int in, loff_t *offset, size_t len)
{
	__typeof__(next_sendfile) *call = found(SHIM_SENDFILE);

	return call(out, in, offset, len);
}

ssize_t next_copy_file_range(int in, loff_t *off_in, int out, loff_t *off_out, size_t len,
			     unsigned flags)
{
	__typeof__(next_copy_file_range) *call = found(SHIM_COPY_FILE_RANGE);

	return call(in, off_in, out, off_out, len, flags);
}

int next_pipe2(int fds[2], int flags)
{
	__typeof__(next_pipe2) *call = found(SHIM_PIPE2);

	return call(fds, flags);
}

/* Six arguments are taken whatever the call has, as syscall(2) itself does. */
long next_syscall(long number, ...)
{
	__typeof__(next_syscall) *call = found(SHIM_CALLS);
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
