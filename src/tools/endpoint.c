/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "endpoint.h"

#include <errno.h>
#include <extpipe.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "signals.h"

/* A pipe that nobody has resized has this many bytes (PIPE_DEF_BUFFERS pages of 4 KiB). */
#define DEFAULT_PIPE 65536

const char *endpoint_verb(const struct endpoint *end)
{
	return end->side == ENDPOINT_READ ? "reading" : "writing";
}

int endpoint_failed(const struct endpoint *end, int error)
{
	/* A signal that ends the run needs no words. */
	if (error == EINTR && signals_stop())
		return CLI_FAILED;
	cli_error(endpoint_verb(end), end->name, error);
	return CLI_FAILED;
}

static int usage(const struct endpoint *end, const char *cause)
{
	cli_complain(endpoint_verb(end), end->name, cause);
	return CLI_USAGE;
}

/* After a call that waits: was it interrupted by a signal that does not end the run? */
static bool to_be_made_again(void)
{
	return errno == EINTR && !signals_stop() && (signals_asked(), true);
}

/* Takes a descriptor that exists already; one open in the wrong direction is none. */
static int adopt(struct endpoint *end, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	int wrong = end->side == ENDPOINT_READ ? O_WRONLY : O_RDONLY;

	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == wrong)
		return endpoint_failed(end, EBADF);
	end->fd = fd;
	end->adopted = true;
	return CLI_OK;
}

static int open_standard(struct endpoint *end)
{
	if (end->side == ENDPOINT_READ) {
		end->name = "standard input";
		return adopt(end, STDIN_FILENO);
	}
	end->name = "standard output";
	return adopt(end, STDOUT_FILENO);
}

static int open_fd(struct endpoint *end, const char *number)
{
	uint64_t fd;

	if (strspn(number, "0123456789") != strlen(number) || cli_size(number, &fd) ||
	    fd > INT32_MAX)
		return usage(end, "no descriptor number");
	return adopt(end, (int)fd);
}

static int open_path(struct endpoint *end, const char *path, bool append)
{
	int flags = O_CLOEXEC | O_NOCTTY;

	if (end->side == ENDPOINT_READ)
		flags |= O_RDONLY;
	else
		flags |= O_WRONLY | O_CREAT | (append ? O_APPEND : 0);
	do {
		end->fd = open(path, flags, 0666); /* waits for a FIFO's other end */
	} while (end->fd < 0 && to_be_made_again());
	if (end->fd < 0)
		return endpoint_failed(end, errno);
	end->path = true;
	return CLI_OK;
}

/* Splits "HOST:PORT", "[HOST]:PORT" or, with @any_host, "PORT"; @text is cut up. */
static int split_address(char *text, bool any_host, char **host, char **port)
{
	char *colon = strrchr(text, ':');
	uint64_t number;
	bool numeric;

	*host = NULL;
	*port = colon ? colon + 1 : text;
	if (colon) {
		*colon = '\0';
		*host = text;
		if (*text == '[' && colon > text + 1 && colon[-1] == ']') {
			colon[-1] = '\0';
			(*host)++;
		} else if (strchr(text, ':')) {
			return -1; /* an IPv6 address without brackets */
		}
	}
	if (!**port || (*host && !**host) || (!*host && !any_host))
		return -1;
	/* getaddrinfo(3) takes the lower 16 bits of any number. */
	numeric = strspn(*port, "0123456789") == strlen(*port);
	return numeric && (cli_size(*port, &number) || number > UINT16_MAX) ? -1 : 0;
}

static int resolve(const struct endpoint *end, const char *address, bool listening,
		   struct addrinfo **found)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	char *copy = strdup(address);
	char *host, *port;
	int error;

	if (!copy)
		return endpoint_failed(end, ENOMEM);
	if (split_address(copy, listening, &host, &port)) {
		free(copy);
		return usage(end, "no HOST:PORT");
	}
	/* No host: the loopback address, which is what getaddrinfo means by none. */
	error = getaddrinfo(host ? host : "127.0.0.1", port, &hints, found);
	free(copy);
	if (!error)
		return CLI_OK;
	cli_complain(endpoint_verb(end), end->name,
		     error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	return CLI_FAILED;
}

/* Waits for one connection and takes it in the listener's place. */
static int accept_one(struct endpoint *end, int listener)
{
	do {
		end->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (end->fd < 0 && to_be_made_again());
	if (end->fd < 0) {
		int error = errno;

		close(listener);
		return endpoint_failed(end, error);
	}
	close(listener);
	return CLI_OK;
}

/* The port of an internet address, -1 if there is none. */
static int port_of(const struct sockaddr *address, socklen_t length)
{
	char port[8];

	if (getnameinfo(address, length, NULL, 0, port, sizeof(port), NI_NUMERICSERV))
		return -1;
	return atoi(port);
}

/* Port 0 asks for any, and whoever is to connect has to know which it became. */
static void tell_port(int listener)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);

	if (!getsockname(listener, (struct sockaddr *)&address, &length))
		cli_say("listening on port %d", port_of((struct sockaddr *)&address, length));
}

static int open_tcp_listen(struct endpoint *end, const char *address)
{
	struct addrinfo *found;
	int status = resolve(end, address, true, &found);
	int listener, error = 0, on = 1;

	if (status)
		return status;
	listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, found->ai_addr, found->ai_addrlen) || listen(listener, 1))
		error = errno;
	if (!error && !port_of(found->ai_addr, found->ai_addrlen))
		tell_port(listener);
	freeaddrinfo(found);
	if (!error)
		return accept_one(end, listener);
	if (listener >= 0)
		close(listener);
	return endpoint_failed(end, error);
}

/* connect(2); one that was interrupted goes on, and tells its end by polling writable. */
static int connect_to(int fd, const struct sockaddr *address, socklen_t length)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t size = sizeof(error);

	if (!connect(fd, address, length))
		return 0;
	if (!to_be_made_again())
		return -1;
	while (poll(&poll_fd, 1, -1) < 0)
		if (!to_be_made_again())
			return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -1;
	errno = error;
	return error ? -1 : 0;
}

static int open_tcp(struct endpoint *end, const char *address)
{
	struct addrinfo *found;
	int status = resolve(end, address, false, &found);
	int error = 0;

	if (status)
		return status;
	for (struct addrinfo *a = found; a && end->fd < 0; a = a->ai_next) {
		int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0 && !connect_to(fd, a->ai_addr, a->ai_addrlen)) {
			end->fd = fd;
			break;
		}
		error = errno;
		if (fd >= 0)
			close(fd);
	}
	freeaddrinfo(found);
	return end->fd < 0 ? endpoint_failed(end, error) : CLI_OK;
}

/* A socket for @path and its address; -1 and errno where the path doesn't fit. */
static int unix_socket(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address->sun_path, path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int open_unix(struct endpoint *end, const char *path)
{
	struct sockaddr_un address;
	int fd = unix_socket(path, &address);

	if (fd < 0)
		return endpoint_failed(end, errno);
	if (connect_to(fd, (struct sockaddr *)&address, sizeof(address))) {
		int error = errno;

		close(fd);
		return endpoint_failed(end, error);
	}
	end->fd = fd;
	return CLI_OK;
}

/* The name is taken away again once somebody has connected, or nobody will. */
static int open_unix_listen(struct endpoint *end, const char *path)
{
	struct sockaddr_un address;
	int listener = unix_socket(path, &address);
	int status;

	if (listener < 0)
		return endpoint_failed(end, errno);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address))) {
		int error = errno;

		close(listener);
		return endpoint_failed(end, error);
	}
	if (listen(listener, 1)) {
		status = endpoint_failed(end, errno);
		close(listener);
	} else {
		status = accept_one(end, listener);
	}
	unlink(path);
	return status;
}

static const struct {
	const char *prefix;
	int (*open)(struct endpoint *end, const char *rest);
} kinds[] = {
	{ "fd:", open_fd },
	{ "tcp:", open_tcp },
	{ "tcp-listen:", open_tcp_listen },
	{ "unix:", open_unix },
	{ "unix-listen:", open_unix_listen },
};

int endpoint_open(struct endpoint *end, const char *text, bool append)
{
	end->fd = -1;
	end->name = text;
	end->path = end->adopted = false;
	if (!strcmp(text, "-"))
		return open_standard(end);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t length = strlen(kinds[i].prefix);

		if (!strncmp(text, kinds[i].prefix, length))
			return text[length] ? kinds[i].open(end, text + length) :
					      usage(end, "nothing after the colon");
	}
	return open_path(end, text, append);
}

int endpoint_truncate(struct endpoint *end)
{
	struct stat st;

	if (!end->path || fstat(end->fd, &st) || !S_ISREG(st.st_mode))
		return CLI_OK;
	return ftruncate(end->fd, 0) ? endpoint_failed(end, errno) : CLI_OK;
}

bool endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
	struct stat x, y;

	if (fstat(a->fd, &x) || fstat(b->fd, &y))
		return false;
	if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
		return x.st_rdev == y.st_rdev;
	return (S_ISREG(x.st_mode) || S_ISFIFO(x.st_mode)) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

void endpoint_size_pipe(const struct endpoint *end, size_t size, bool explain)
{
	struct xp_pipe_info info;

	/* A size that somebody chose before stays. */
	if (xp_pipe_info(end->fd, &info) || (!size && info.size != DEFAULT_PIPE))
		return;
	if (xp_pipe_set_size(end->fd, size ? size : ENDPOINT_LARGE_PIPE) < 0 && explain)
		cli_error("resizing the pipe at", end->name, errno);
}

int endpoint_close(struct endpoint *end)
{
	int fd = end->fd;

	if (fd < 0)
		return CLI_OK;
	/* A descriptor that was there before may be an output twice; closing a duplicate tells. */
	if (end->adopted)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 || close(fd) ? endpoint_failed(end, errno) : CLI_OK;
}
