/* SPDX-License-Identifier: GPL-2.0-or-later */
/* file: output goes to a file, there is no input. null: output goes nowhere. */
#include "chardev/backend.h"

#include <fcntl.h>
#include <sys/stat.h>

struct file {
    struct chardev chardev; /* first member */
    int fd;
};

static bool file_open(struct chardev *chardev, struct keyval *options, GError **error)
{
    struct file *file = container_of(chardev, struct file, chardev);
    const char *path = keyval_take(options, "path");
    bool append = false;
    struct stat st;

    file->fd = -1;
    if (!path || !*path)
        return fail(error, "a file needs path=");
    if (!keyval_take_bool(options, "append", &append, error))
        return false;
    file->fd =
        open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | (append ? O_APPEND : O_TRUNC), 0666);
    if (file->fd < 0)
        return fail_errno(error, "cannot open '%s' for writing", path);
    /* A pipe or a terminal may be slow; its description is our own. */
    if (!fstat(file->fd, &st) && !S_ISREG(st.st_mode))
        fcntl(file->fd, F_SETFL, fcntl(file->fd, F_GETFL) | O_NONBLOCK);
    chardev_set_fds(chardev, -1, file->fd);
    chardev_send_event(chardev, CHARDEV_OPENED);
    return true;
}

static void file_lost(struct chardev *chardev)
{
    warn("chardev '%s': writing failed; output is dropped from now on", chardev->id);
}

static void file_close(struct chardev *chardev)
{
    util_close_fd(&container_of(chardev, struct file, chardev)->fd);
}

static const char *const file_options[] = { "path", "append", NULL };

const struct chardev_driver chardev_file = {
    .name = "file",
    .help = "output to a file (path=, append=on|off)",
    .size = sizeof(struct file),
    .options = file_options,
    .open = file_open,
    .close = file_close,
    .lost = file_lost,
};

static bool null_open(struct chardev *chardev, struct keyval *options, GError **error)
{
    chardev_send_event(chardev, CHARDEV_OPENED);
    return true;
}

static void null_write(struct chardev *chardev, const uint8_t *data, size_t length)
{
}

static void null_close(struct chardev *chardev)
{
}

static const char *const null_options[] = { NULL };

const struct chardev_driver chardev_null = {
    .name = "null",
    .help = "drops output, has no input",
    .size = sizeof(struct chardev),
    .options = null_options,
    .open = null_open,
    .close = null_close,
    .write = null_write,
};
