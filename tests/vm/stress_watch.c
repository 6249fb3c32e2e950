// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * stress_watch - watches come and go while what they watch does, from many processes at once.
 *
 * usage: stress_watch [SECONDS]
 *
 * Several mount namespaces share a tree of mounts. In each, workers mount, move, change and
 * unmount; watch, read, remove and close; make namespaces and let them end; and are killed. What
 * is read must be well formed and of the namespace that is watched. Prints TAP.
 *
 * A source of other events is a row of the table of workers.
 */
#include "mounts.h"
#include "stress.h"

#define NAMESPACES 3
#define PLACES 6

/* A place that others use at the same time: what is done there may well fail. */
static const char *place(void)
{
	static const char *const names[PLACES] = { "s/0", "s/1", "s/0/2", "s/1/2", "p/0", "p/1" };

	return names[chance(PLACES)];
}

static void try_move_beneath(void)
{
	int fd = x_open_tree(AT_FDCWD, place(), X_OPEN_TREE_CLONE | X_AT_RECURSIVE);

	if (fd < 0)
		return;
	x_move_mount(fd, "", AT_FDCWD, place(), X_MOVE_F_EMPTY | (chance(2) ? X_MOVE_BENEATH : 0));
	close(fd);
}

static void try_attributes(void)
{
	static const u64 types[] = { 0, 0, MS_SHARED, MS_PRIVATE, MS_SLAVE };
	struct attributes attributes = { .propagation = types[chance(5)] };

	if (chance(2))
		attributes.set = chance(2) ? X_ATTR_RDONLY : X_ATTR_NOSUID;
	else
		attributes.clear = X_ATTR_RDONLY | X_ATTR_NOSUID;
	set_attributes(AT_FDCWD, place(), chance(2) ? X_AT_RECURSIVE : 0, attributes);
}

/* The trees must not grow without end. */
static void clear_away(void)
{
	int i;

	for (i = 0; i < 20; i++)
		umount2(chance(2) ? "s/0" : "s/1", MNT_DETACH);
	for (i = 0; i < 20; i++)
		umount2(place(), MNT_DETACH);
}

static void mount_things(void)
{
	while (go_on()) {
		const char *where = place();

		switch (chance(9)) {
		case 0:
			if (!mount("stress", where, "tmpfs", 0, NULL) && chance(2)) {
				(void)!chdir(where);
				mkdir("2", 0755);
				must(!chdir("/tmp"));
			}
			break;
		case 1:
			mount(place(), where, NULL, MS_BIND, NULL);
			break;
		case 2:
			mount(place(), where, NULL, MS_MOVE, NULL);
			break;
		case 3:
			try_move_beneath();
			break;
		case 4:
			try_attributes();
			break;
		case 5:
			umount2(where, MNT_EXPIRE);
			break;
		case 6:
			clear_away();
			break;
		default:
			umount2(where, MNT_DETACH);
		}
	}
	clear_away();
}

/* ------------------------------------------------------------------ watching */

static bool well_formed(const union bytes *got, u64 ns, unsigned int id)
{
	const struct record *head = &got->head;
	unsigned int known = RECURSIVE | READONLY | PROPAGATED;

	if (tells_loss(got))
		return true;
	if ((head->info >> INFO_ID_SHIFT & 0xff) != id)
		return false;
	if (head->type == XP_WATCH_TYPE_META)
		return head->subtype == META_REMOVAL && (head->info & INFO_LENGTH) == 16;
	return head->type == XP_WATCH_TYPE_MOUNT && head->subtype <= EXPIRED &&
	       (head->info & INFO_LENGTH) == 32 && !(head->info & ~(0xffffu | known)) &&
	       got->mount.mnt_ns_id == ns && got->mount.mnt_id && got->mount.parent_id;
}

static u64 bad_records, good_records, watches, refusals;

static void read_some(const struct queue *queue, unsigned int most)
{
	union bytes got;

	while (most-- > 0 && next_record(queue->fds[0], &got, 0) > 0) {
		if (well_formed(&got, queue->ns, queue->id)) {
			good_records++;
		} else {
			bad_records++;
			tell("not well formed", &got);
		}
	}
}

/* All that may come back when others take the object away meanwhile. */
static void change_watch(const struct queue *queue, unsigned int flags, int fd)
{
	int error = watch(queue->fds[0], flags, fd, queue->id);

	watches += !error;
	refusals += error == -EAGAIN || error == -ENOSPC;
	errno = -error;
	must(!error || error == -EBUSY || error == -EBADSLT || error == -EINVAL ||
	     error == -EAGAIN || error == -ENOSPC || (on_base() && error == -ENOTTY));
}

static void watch_things(void)
{
	int ns = own_ns();

	while (go_on()) {
		struct queue queue = empty_queue(chance(256));
		unsigned int i, turns = chance(200);

		queue.ns = ns_id(ns);
		for (i = 0; i < turns && go_on(); i++) {
			int fd = chance(3) ? open(place(), O_PATH | O_CLOEXEC) : dup(ns);

			if (fd >= 0) {
				change_watch(&queue, chance(3) ? 0 : XP_WATCH_REMOVE, fd);
				close(fd);
			}
			read_some(&queue, chance(30));
		}
		close_queue(&queue);
	}
	must(!bad_records);
}

/* A reader that reads all that it can, of the whole namespace. */
static void read_things(void)
{
	struct queue queue = watch_here();

	while (go_on()) {
		struct pollfd poll_fd = { .fd = queue.fds[0], .events = POLLIN };

		must(poll(&poll_fd, 1, 100) >= 0);
		read_some(&queue, 1000);
	}
	must(!bad_records);
}

/* Namespaces that end, watched from without and from within. */
static void make_namespaces(void)
{
	int here = own_ns();

	while (go_on()) {
		int other = clone_ns();
		struct queue queue = empty_queue(chance(256));
		int fd;

		queue.ns = ns_id(other);
		change_watch(&queue, 0, other);

		if (chance(2)) {
			enter(other);
			umount2(place(), MNT_DETACH);
			mount("stress", place(), "tmpfs", 0, NULL);
			fd = handle("/");
			change_watch(&queue, 0, fd);
			close(fd);
			enter(here);
		}
		if (chance(2)) {
			close(other);
			read_some(&queue, 100);
			close_queue(&queue);
		} else {
			close_queue(&queue);
			close(other);
		}
	}
}

/* Processes with watches on all, killed at any moment. */
static void kill_watchers(void)
{
	while (go_on()) {
		pid_t child = fork();

		must(child >= 0);
		if (!child) {
			must(!unshare(chance(2) ? CLONE_NEWNS : 0));
			seed = (unsigned int)getpid();
			deadline += 10;
			watch_things();
			_exit(0);
		}
		usleep(chance(30000));
		must(!kill(child, SIGKILL) && waitpid(child, NULL, 0) == child);
	}
}

/* ------------------------------------------------------------------ workers */

static const struct {
	const char *name;
	void (*work)(void);
	int count; /* in each namespace */
} workers[] = {
	{ "mounting and unmounting", mount_things, 2 },
	{ "adding and removing watches", watch_things, 2 },
	{ "reading", read_things, 1 },
	{ "making namespaces", make_namespaces, 1 },
	{ "killing watchers", kill_watchers, 1 },
};

#define WORKERS (sizeof(workers) / sizeof(*workers))
#define MOST_PROCESSES 64

static pid_t begin(unsigned int worker, int ns)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	must(child >= 0);
	if (!child) {
		seed = (unsigned int)getpid() * 2654435761u;
		alarm((unsigned int)(deadline - now()) + CASE_SECONDS);
		enter(ns);
		workers[worker].work();
		printf("# %s: %llu records, %llu watches, %llu refused\n", workers[worker].name,
		       (unsigned long long)good_records, (unsigned long long)watches,
		       (unsigned long long)refusals);
		fflush(stdout);
		_exit(0);
	}
	return child;
}

static void stress(void)
{
	int spaces[NAMESPACES], i, n, failed[WORKERS] = { 0 }, processes = 0;
	struct {
		pid_t pid;
		unsigned int worker;
	} running[MOST_PROCESSES];
	unsigned int w;
	int status;

	alarm(0);
	tmpfs("s");
	make("s", MS_SHARED);
	dir("s/0");
	dir("s/1");
	tmpfs("p");
	dir("p/0");
	dir("p/1");
	for (i = 0; i < NAMESPACES; i++) {
		spaces[i] = i ? clone_ns() : own_ns();
		for (w = 0; w < WORKERS; w++) {
			for (n = 0; n < workers[w].count; n++) {
				must(processes < MOST_PROCESSES);
				running[processes].worker = w;
				running[processes++].pid = begin(w, spaces[i]);
			}
		}
	}
	for (i = 0; i < processes; i++) {
		must(waitpid(running[i].pid, &status, 0) == running[i].pid);
		if (status)
			printf("# %s: status %#x\n", workers[running[i].worker].name, status);
		failed[running[i].worker] += status != 0;
	}
	for (w = 0; w < WORKERS; w++)
		ok(!failed[w], "%s", workers[w].name);
	mended(watches_left() == 0, "no watch is left");
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 5;

	if (seconds < 1 || argc > 2) {
		fprintf(stderr, "usage: stress_watch [SECONDS]\n");
		return 2;
	}
	deadline = now() + seconds;
	apart("stress", stress);
	return tap_done();
}
