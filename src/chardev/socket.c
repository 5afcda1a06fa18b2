/* SPDX-License-Identifier: GPL-2.0-or-later */
/* socket: unix and TCP, as server or client.
 *
 *      server   listening --accept--> connected --peer gone--> listening
 *      client   connected --peer gone--> closed, or with reconnect=N: tries again every N seconds
 *
 * One peer at a time; while it is there, others wait in the backlog. */
#include "chardev/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct address {
    struct sockaddr_storage bytes;
    socklen_t length;
};

struct socket {
    struct chardev chardev;      /* first member */
    struct address address;      /* [const] what to listen on or connect to; empty with fd= */
    char *path;                  /* [const] unix server: removed at the end */
    char *title;                 /* [const] for messages, as the user wrote it */
    bool server, wait, no_delay; /* [const] */
    unsigned reconnect_s;        /* [const] 0: never */
    int listen_fd, fd;           /* [main] -1: none */
    unsigned watch;              /* [main] GSource id: accept, connect, or the timer to try again */
};

static ssize_t socket_send(struct chardev *chardev, const uint8_t *data, size_t length)
{
    return send(chardev->out_fd, data, length, MSG_NOSIGNAL);
}

static void watch_end(struct socket *sock)
{
    if (sock->watch)
        g_source_remove(sock->watch);
    sock->watch = 0;
}

static void set_nonblocking(int fd, bool nonblocking)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static void connected(struct socket *sock, int fd)
{
    int on = 1;

    set_nonblocking(fd, true);
    /* Fail on a unix socket, and mean nothing there. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (sock->no_delay)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sock->fd = fd;
    chardev_set_fds(&sock->chardev, fd, fd);
    chardev_send_event(&sock->chardev, CHARDEV_OPENED);
}

/* --- server --- */

static gboolean accept_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    struct socket *sock = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (peer < 0)
        return G_SOURCE_CONTINUE;
    sock->watch = 0;
    connected(sock, peer);
    return G_SOURCE_REMOVE;
}

static void accept_later(struct socket *sock)
{
    sock->watch = g_unix_fd_add(sock->listen_fd, G_IO_IN, accept_ready, sock);
}

/* wait=on: the machine starts when the first peer is there. */
static bool accept_now(struct socket *sock, GError **error)
{
    struct pollfd ready = { .fd = sock->listen_fd, .events = POLLIN };
    int peer;

    report_error("info: waiting for connection on: %s", sock->title);
    do {
        poll(&ready, 1, -1);
        peer = accept4(sock->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    } while (peer < 0 && (errno == EINTR || errno == EAGAIN || errno == ECONNABORTED));
    if (peer < 0)
        return fail_errno(error, "cannot accept a connection on %s", sock->title);
    connected(sock, peer);
    return true;
}

static bool server_listen(struct socket *sock, GError **error)
{
    struct stat st;
    int on = 1;

    if (sock->listen_fd < 0) {
        int family = sock->address.bytes.ss_family;
        sock->listen_fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (sock->listen_fd < 0)
            return fail_errno(error, "cannot make a socket for %s", sock->title);
        if (family != AF_UNIX)
            setsockopt(sock->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        else if (!lstat(sock->path, &st) && S_ISSOCK(st.st_mode))
            unlink(sock->path); /* left behind by an earlier run */
        if (bind(sock->listen_fd, (struct sockaddr *)&sock->address.bytes, sock->address.length)) {
            g_clear_pointer(&sock->path, g_free); /* not ours to remove */
            return fail_errno(error, "cannot bind %s", sock->title);
        }
        if (listen(sock->listen_fd, 1))
            return fail_errno(error, "cannot listen on %s", sock->title);
    }
    set_nonblocking(sock->listen_fd, true);
    if (sock->wait)
        return accept_now(sock, error);
    accept_later(sock);
    return true;
}

/* --- client --- */

static void connect_later(struct socket *sock);

static gboolean connect_done(gint fd, GIOCondition condition, gpointer opaque)
{
    struct socket *sock = opaque;
    int result = 0;
    socklen_t length = sizeof(result);

    sock->watch = 0;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length);
    if (!result) {
        connected(sock, fd);
    } else {
        close(fd);
        sock->fd = -1;
        connect_later(sock);
    }
    return G_SOURCE_REMOVE;
}

static gboolean connect_again(gpointer opaque)
{
    struct socket *sock = opaque;
    sock->watch = 0;
    sock->fd = socket(sock->address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock->fd < 0) {
        connect_later(sock);
    } else if (!connect(sock->fd, (struct sockaddr *)&sock->address.bytes, sock->address.length)) {
        connected(sock, sock->fd);
    } else if (errno == EINPROGRESS) {
        sock->watch = g_unix_fd_add(sock->fd, G_IO_OUT, connect_done, sock);
    } else {
        close(sock->fd);
        sock->fd = -1;
        connect_later(sock);
    }
    return G_SOURCE_REMOVE;
}

static void connect_later(struct socket *sock)
{
    sock->watch = g_timeout_add_seconds(sock->reconnect_s, connect_again, sock);
}

static bool client_connect(struct socket *sock, GError **error)
{
    if (sock->fd >= 0) { /* fd= */
        connected(sock, sock->fd);
        return true;
    }
    auto_close int fd = socket(sock->address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&sock->address.bytes, sock->address.length)) {
        connected(sock, take_fd(&fd));
        return true;
    }
    if (!sock->reconnect_s)
        return fail_errno(error, "cannot connect to %s", sock->title);
    connect_later(sock);
    return true;
}

static void socket_lost(struct chardev *chardev)
{
    struct socket *sock = container_of(chardev, struct socket, chardev);

    chardev_set_fds(chardev, -1, -1);
    util_close_fd(&sock->fd);
    sock->fd = -1;
    chardev_send_event(chardev, CHARDEV_CLOSED);
    if (sock->server)
        accept_later(sock);
    else if (sock->reconnect_s)
        connect_later(sock);
}

/* --- options --- */

static bool address_unix(struct socket *sock, const char *path, GError **error)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&sock->address.bytes;

    if (!*path)
        return fail(error, "path= is empty; a unix: socket has one");
    if (strlen(path) >= sizeof(address->sun_path))
        return fail(error, "the socket's path '%s' is longer than %zu characters", path,
                    sizeof(address->sun_path) - 1);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    sock->address.length = sizeof(*address);
    if (sock->server)
        sock->path = g_strdup(path);
    sock->title = g_strdup_printf("unix:%s", path);
    return true;
}

static bool address_tcp(struct socket *sock, const char *host, const char *port, int family,
                        GError **error)
{
    struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    uint64_t number;

    if (!port || !*port)
        return fail(error, "a socket needs path=, fd=, or host= and port=");
    if (!parse_unsigned("port", port, UINT16_MAX, &number, error))
        return false;
    if (!host)
        host = "";
    if (!*host && family == AF_UNSPEC)
        hints.ai_family = AF_INET;
    if (sock->server)
        hints.ai_flags = AI_PASSIVE;
    sock->title = g_strdup_printf("tcp:%s:%s", host, port);
    int result = getaddrinfo(*host ? host : NULL, port, &hints, &found);
    if (result)
        return fail(error, "cannot resolve %s: %s", sock->title, gai_strerror(result));
    memcpy(&sock->address.bytes, found->ai_addr, found->ai_addrlen);
    sock->address.length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool address_fd(struct socket *sock, const char *text, GError **error)
{
    uint64_t fd;
    int listening = 0;
    socklen_t length = sizeof(listening);

    if (!parse_unsigned("fd", text, INT32_MAX, &fd, error))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length))
        return fail_errno(error, "fd=%s is no open socket", text);
    if (listening != sock->server)
        return fail(error, "fd=%s is a %s socket, which does not go with server=%s", text,
                    listening ? "listening" : "connected", sock->server ? "on" : "off");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    *(sock->server ? &sock->listen_fd : &sock->fd) = fd;
    sock->title = g_strdup_printf("fd:%s", text);
    return true;
}

static bool take_flags(struct socket *sock, struct keyval *options, GError **error)
{
    bool delay = true, no_delay = false, telnet = false, has_wait = keyval_take(options, "wait");
    uint64_t reconnect_s = 0;

    sock->wait = true;
    if (keyval_take(options, "nowait")) { /* the old spelling of wait=off */
        sock->wait = false;
        has_wait = true;
    }
    if (!keyval_take_bool(options, "server", &sock->server, error)
        || !keyval_take_bool(options, "wait", &sock->wait, error)
        || !keyval_take_bool(options, "delay", &delay, error)
        || !keyval_take_bool(options, "nodelay", &no_delay, error)
        || !keyval_take_bool(options, "telnet", &telnet, error)
        || !keyval_take_unsigned(options, "reconnect", 3600 * 24, &reconnect_s, error))
        return false;
    if (telnet)
        return fail(error, "telnet=on is not supported; a plain connection is (telnet=off)");
    if (!sock->server && has_wait && sock->wait)
        return fail(error, "wait=on is for server=on");
    if (sock->server && reconnect_s)
        return fail(error, "reconnect= is for a client, not with server=on");
    sock->no_delay = no_delay || !delay;
    sock->reconnect_s = reconnect_s;
    return true;
}

static bool take_address(struct socket *sock, struct keyval *options, GError **error)
{
    const char *path = keyval_take(options, "path"), *fd = keyval_take(options, "fd");
    const char *host = keyval_take(options, "host"), *port = keyval_take(options, "port");
    bool ipv4 = false, ipv6 = false;

    if (!keyval_take_bool(options, "ipv4", &ipv4, error)
        || !keyval_take_bool(options, "ipv6", &ipv6, error))
        return false;
    if (!!path + !!fd + (host || port) != 1)
        return fail(error, "a socket needs one of path=, fd=, or host= and port=");
    if (path)
        return address_unix(sock, path, error);
    if (fd)
        return address_fd(sock, fd, error);
    int family = ipv4 == ipv6 ? AF_UNSPEC : ipv4 ? AF_INET : AF_INET6;
    return address_tcp(sock, host, port, family, error);
}

static const char *const socket_options[] = { "path", "host",  "port",    "fd",     "server",
                                              "wait", "delay", "nodelay", "telnet", "reconnect",
                                              "ipv4", "ipv6",  "nowait",  NULL };

static bool socket_open(struct chardev *chardev, struct keyval *options, GError **error)
{
    struct socket *sock = container_of(chardev, struct socket, chardev);

    sock->listen_fd = sock->fd = -1;
    /* Unknown options first: waiting for a peer may take for ever. */
    if (!take_flags(sock, options, error) || !take_address(sock, options, error)
        || !keyval_finish(options, socket_options, error))
        return false;
    return sock->server ? server_listen(sock, error) : client_connect(sock, error);
}

static void socket_close(struct chardev *chardev)
{
    struct socket *sock = container_of(chardev, struct socket, chardev);

    watch_end(sock);
    util_close_fd(&sock->fd);
    util_close_fd(&sock->listen_fd);
    if (sock->path)
        unlink(sock->path);
    g_free(sock->path);
    g_free(sock->title);
}

const struct chardev_driver chardev_socket = {
    .name = "socket",
    .help =
        "unix (path=) or TCP (host=, port=) socket (server=on|off, wait=on|off, reconnect=SECONDS)",
    .size = sizeof(struct socket),
    .options = socket_options,
    .open = socket_open,
    .close = socket_close,
    .send = socket_send,
    .lost = socket_lost,
    .drop_when_stalled = true,
};
