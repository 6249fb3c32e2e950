// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ioctls of queues and packets from a 32-bit program: made through int 0x80, by which the
 * kernel takes a 64-bit program for one. What they point to must lie below 4 GiB.
 */
#include "packet.h"

enum { COMPAT_IOCTL = 54, NOTES = 32, WATCH_ID = 77 };

static int compat_ioctl(int fd, unsigned int request, void *argument)
{
	int result = COMPAT_IOCTL;

	__asm__ volatile("int $0x80"
			 : "+a"(result)
			 : "b"(fd), "c"(request), "d"((unsigned int)(uintptr_t)argument)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void *low_memory(void)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			-1, 0);

	must(at != MAP_FAILED);
	return at;
}

static void queues(const int queue[2])
{
	struct xp_watch_query *query = low_memory();
	struct filter *filter = low_memory();
	int *bytes = low_memory();

	*bytes = -1;
	ok(!compat_ioctl(queue[0], FIONREAD, bytes) && *bytes == 0, "FIONREAD: an empty queue");
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, (void *)NOTES),
	       "the queue gets its size");
	mended(compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_SIZE, (void *)NOTES) == -EBUSY,
	       "and has it: EBUSY");
	filter->count = 1;
	filter->types[0].type = XP_WATCH_TYPE_KEY;
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_SET_FILTER, filter), "a filter");
	query->size = sizeof(*query);
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_QUERY, query) &&
		       query->types & 1 << XP_WATCH_TYPE_KEY,
	       "the query answers");
	ok(compat_ioctl(queue[0], 0x5799, NULL) == -ENOTTY, "an unknown one: ENOTTY");
}

/* A watch's end is told with its id and the object's number, whatever the filter. */
static bool told_of_end(int fd, dev_t device)
{
	const struct {
		unsigned int head[2];
		unsigned long long device;
	} wanted = { { XP_WATCH_TYPE_META, sizeof(wanted) | WATCH_ID << INFO_ID_SHIFT }, device };
	unsigned char record[128];

	return readable(fd) && read(fd, record, sizeof(record)) == sizeof(wanted) &&
	       !memcmp(record, &wanted, sizeof(wanted)) && is_empty(fd);
}

static void watches(const int queue[2])
{
	struct xp_watch_object *watch = low_memory();
	struct stat root;

	must(!stat("/", &root));
	*watch = (struct xp_watch_object){
		.size = sizeof(*watch),
		.type = XP_WATCH_TYPE_SB,
		.fd = open("/", O_PATH | O_CLOEXEC),
		.id = WATCH_ID,
	};
	must(watch->fd >= 0);
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_WATCH, watch),
	       "a file system is watched");
	mended(compat_ioctl(queue[1], XP_IOC_WATCH_QUEUE_WATCH, watch) == -EBUSY &&
		       fails(ioctl(queue[0], XP_IOC_WATCH_QUEUE_WATCH, watch), EBUSY),
	       "which a 64-bit program sees too: EBUSY");
	watch->flags = XP_WATCH_REMOVE;
	mended(!compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_WATCH, watch), "and no longer");
	mended(compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_WATCH, watch) == -EBADSLT,
	       "there is nothing more to remove: EBADSLT");
	mended(told_of_end(queue[0], root.st_dev), "the queue is told, once");
	mended(compat_ioctl(queue[0], XP_IOC_WATCH_QUEUE_WATCH, NULL) == -EFAULT,
	       "no memory: EFAULT");
	close(watch->fd);
}

static void packets(void)
{
	unsigned int *number = low_memory();
	int fds[2];

	must(!pipe2(fds, O_DIRECT | O_NONBLOCK | O_CLOEXEC));
	*number = 10000;
	mended(!compat_ioctl(fds[1], XP_IOC_PIPE_SET_PACKET_LIMIT, number) &&
		       get_limit(fds[0]) == 10000,
	       "a pipe gets its limit");
	*number = UNKNOWN;
	mended(!compat_ioctl(fds[0], XP_IOC_PIPE_GET_PACKET_LIMIT, number) && *number == 10000,
	       "and tells it");
	must(put(fds[1], 9999, 1) == 9999);
	*number = UNKNOWN;
	mended(!compat_ioctl(fds[0], XP_IOC_PIPE_NEXT_PACKET, number) && *number == 9999,
	       "so it does the size of the next packet");
	mended(take(fds[0], 9999, 1), "which comes whole");
	*number = CAPACITY + 1;
	mended(compat_ioctl(fds[1], XP_IOC_PIPE_SET_PACKET_LIMIT, number) == -EINVAL &&
		       compat_ioctl(fds[0], XP_IOC_PIPE_SET_PACKET_LIMIT, number) == -EBADF &&
		       compat_ioctl(fds[1], XP_IOC_PIPE_SET_PACKET_LIMIT, NULL) == -EFAULT &&
		       compat_ioctl(fds[0], XP_IOC_PIPE_GET_PACKET_LIMIT, NULL) == -EFAULT &&
		       compat_ioctl(fds[0], XP_IOC_PIPE_NEXT_PACKET, NULL) == -EFAULT &&
		       get_limit(fds[1]) == 10000,
	       "too large: EINVAL, a read end: EBADF, no memory: EFAULT, and nothing changes");
	close_both(fds);
}

/* Each of the series' ioctls of a packet on a queue, and of a queue on a pipe. */
static void wrong_pipes(const int queue[2])
{
	unsigned int *words = low_memory();
	struct xp_watch_object *watch = low_memory();
	int fds[2];

	must(!pipe2(fds, O_CLOEXEC));
	words[0] = sizeof(struct xp_watch_query);
	mended(compat_ioctl(queue[1], XP_IOC_PIPE_SET_PACKET_LIMIT, words) == -EOPNOTSUPP &&
		       compat_ioctl(queue[0], XP_IOC_PIPE_GET_PACKET_LIMIT, words) == -EOPNOTSUPP &&
		       compat_ioctl(queue[0], XP_IOC_PIPE_NEXT_PACKET, words) == -EOPNOTSUPP,
	       "a queue has no packets: EOPNOTSUPP");
	watch->size = sizeof(*watch);
	watch->type = XP_WATCH_TYPE_SB;
	mended(compat_ioctl(fds[0], XP_IOC_WATCH_QUEUE_QUERY, words) == -ENODEV &&
		       compat_ioctl(fds[0], XP_IOC_WATCH_QUEUE_WATCH, watch) == -ENODEV,
	       "an ordinary pipe is no queue: ENODEV");
	close_both(fds);
}

int main(void)
{
	int queue[2];

	must(!pipe2(queue, XP_O_NOTIFICATION_PIPE | O_CLOEXEC));
	queues(queue);
	watches(queue);
	packets();
	wrong_pipes(queue);
	close_both(queue);
	return tap_done();
}
