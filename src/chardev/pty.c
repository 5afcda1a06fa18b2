/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pty: a pseudo terminal, to be opened with screen, minicom and the like.
 *
 * We keep the far side open ourselves. So our side never reports a hang-up between two users, and
 * what the guest printed before the first one came is there for them, as much as the queue
 * holds. */
#include "chardev/backend.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

struct pty {
    struct chardev chardev; /* first member */
    int near, far;
};

static bool pty_open(struct chardev *chardev, struct keyval *options, GError **error)
{
    struct pty *pty = container_of(chardev, struct pty, chardev);
    char path[64];
    struct termios modes;

    pty->far = -1;
    pty->near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (pty->near < 0 || grantpt(pty->near) || unlockpt(pty->near)
        || ptsname_r(pty->near, path, sizeof(path)))
        return fail_errno(error, "cannot make a pseudo terminal");
    pty->far = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->far < 0 || tcgetattr(pty->far, &modes))
        return fail_errno(error, "cannot open the pseudo terminal '%s'", path);
    cfmakeraw(&modes); /* or it would echo the guest's output back as input */
    tcsetattr(pty->far, TCSANOW, &modes);
    chardev_set_fds(chardev, pty->near, pty->near);
    chardev_send_event(chardev, CHARDEV_OPENED);
    printf("char device redirected to %s (label %s)\n", path, chardev->id);
    fflush(stdout);
    return true;
}

#define DRAIN_POLL_US 5000
#define DRAIN_PATIENCE 20 /* polls without progress */

/* Closing our side takes away what the far side has not read yet: lets a reader have the guest's
 * last words. Nobody reading, or a reader that has stopped, costs a tenth of a second. */
static void drain(struct pty *pty)
{
    int before = -1, unread;
    unsigned quiet = 0;
    while (pty->far >= 0 && quiet < DRAIN_PATIENCE) {
        g_usleep(DRAIN_POLL_US); /* the kernel passes bytes on a little later */
        if (ioctl(pty->far, FIONREAD, &unread) || (!unread && !before))
            return;
        quiet = unread == before ? quiet + 1 : 0;
        before = unread;
    }
}

static void pty_close(struct chardev *chardev)
{
    struct pty *pty = container_of(chardev, struct pty, chardev);
    drain(pty);
    util_close_fd(&pty->far);
    util_close_fd(&pty->near);
}

static const char *const pty_options[] = { NULL };

const struct chardev_driver chardev_pty = {
    .name = "pty",
    .help = "a pseudo terminal, whose path is printed at start",
    .size = sizeof(struct pty),
    .options = pty_options,
    .open = pty_open,
    .close = pty_close,
    .drop_when_stalled = true,
};
