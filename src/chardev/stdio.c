/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stdio: standard input and output, a terminal or not.
 *
 * Their file descriptions are shared with whoever started us, so O_NONBLOCK must not be set on
 * them: it would outlive us there. Output goes through a description of its own, opened from /proc,
 * where there is one; else each piece is small enough not to block once poll() says there is
 * room. */
#include "chardev/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "chardev/terminal.h"

/* A terminal is writable from 256 bytes of room on, a pipe from PIPE_BUF. */
#define PIECE_BYTES 256

enum out_kind { OUT_OWN, OUT_FILE, OUT_SOCKET, OUT_SHARED };

struct stdio {
    struct chardev chardev; /* first member */
    int out_fd;             /* [const] our own; -1 until open has succeeded */
    enum out_kind out_kind; /* [const] */
    bool signals;           /* [const] property */
};

static bool stdio_used; /* [main] */

static ssize_t stdio_send(struct chardev *chardev, const uint8_t *data, size_t length)
{
    const struct stdio *stdio = container_of(chardev, struct stdio, chardev);
    struct pollfd ready = { .fd = chardev->out_fd, .events = POLLOUT };

    switch (stdio->out_kind) {
    case OUT_OWN:
    case OUT_FILE:
        break;
    case OUT_SOCKET:
        return send(chardev->out_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    case OUT_SHARED:
        if (poll(&ready, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        length = MIN(length, PIECE_BYTES);
        break;
    }
    return write(chardev->out_fd, data, length);
}

static int out_open(enum out_kind *kind)
{
    struct stat st;
    if (fstat(STDOUT_FILENO, &st))
        return -1;
    if (S_ISREG(st.st_mode)) {
        *kind = OUT_FILE;
    } else if (S_ISSOCK(st.st_mode)) {
        *kind = OUT_SOCKET;
    } else {
        int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        *kind = fd >= 0 ? OUT_OWN : OUT_SHARED;
        if (fd >= 0)
            return fd;
    }
    return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

static bool stdio_open(struct chardev *chardev, struct keyval *options, GError **error)
{
    struct stdio *stdio = container_of(chardev, struct stdio, chardev);

    stdio->out_fd = -1;
    stdio->signals = true;
    if (!keyval_take_bool(options, "signal", &stdio->signals, error))
        return false;
    if (stdio_used)
        return fail(error, "stdio is used by another chardev already; mux=on would share it");
    stdio_used = true;
    terminal_guard();
    stdio->out_fd = out_open(&stdio->out_kind);
    chardev_set_fds(chardev, STDIN_FILENO, stdio->out_fd);
    chardev_send_event(chardev, CHARDEV_OPENED);
    return true;
}

static void stdio_activate(struct chardev *chardev)
{
    const struct stdio *stdio = container_of(chardev, struct stdio, chardev);
    terminal_make_raw(stdio->signals);
}

static void stdio_close(struct chardev *chardev)
{
    struct stdio *stdio = container_of(chardev, struct stdio, chardev);
    if (stdio->out_fd < 0)
        return;
    close(stdio->out_fd);
    terminal_restore();
    stdio_used = false;
}

static const char *const stdio_options[] = { "signal", NULL };

const struct chardev_driver chardev_stdio = {
    .name = "stdio",
    .help = "standard input and output (signal=on|off: does Ctrl-C end this program)",
    .size = sizeof(struct stdio),
    .options = stdio_options,
    .open = stdio_open,
    .close = stdio_close,
    .activate = stdio_activate,
    .send = stdio_send,
};
