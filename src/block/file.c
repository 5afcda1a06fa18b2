/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The protocols of the host's files: "file" (regular files), "host_device" and "host_cdrom". */
#include <errno.h>
#include <fcntl.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "block/file.h"

enum { FILL_BYTES = 1 << 20 };

/* ---- Opening ---- */

static int host_open(struct block_node *node, const char *path, GError **error)
{
    int flags = O_CLOEXEC | (node->flags & BLOCK_OPEN_DIRECT ? O_DIRECT : 0);
    bool write = node->flags & BLOCK_OPEN_RW;
    /* A CD-ROM drive without a disc can be opened so. */
    int device = !strcmp(node->driver->name, "host_cdrom") ? O_NONBLOCK : 0;
    int fd = open(path, flags | device | (write ? O_RDWR : O_RDONLY));

    if (fd < 0 && write && (node->flags & BLOCK_OPEN_AUTO_READ_ONLY)
        && (errno == EACCES || errno == EROFS || errno == EPERM)) {
        fd = open(path, flags | device | O_RDONLY);
        node->read_only = true;
    }
    if (fd >= 0)
        return fd;
    if (errno == EINVAL && (flags & O_DIRECT))
        fail(error, "Could not open '%s': filesystem does not support O_DIRECT", path);
    else
        fail_errno(error, "Could not open '%s'", path);
    return -1;
}

static bool kind_check(struct block_node *node, struct file *file, const char *path, GError **error)
{
    struct stat status;
    bool regular_wanted = !strcmp(node->driver->name, "file");

    if (fstat(file->fd, &status))
        return fail_errno(error, "Could not read the attributes of '%s'", path);
    file->is_device = S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode);
    if (regular_wanted && !S_ISREG(status.st_mode) && !file->is_device)
        return fail(error, "'%s' driver requires '%s' to be a regular file", node->driver->name,
                    path);
    if (!regular_wanted && !file->is_device)
        return fail(error, "'%s' driver requires '%s' to be either a character or block device",
                    node->driver->name, path);
    return true;
}

static bool length_get(struct file *file, uint64_t *length)
{
    struct stat status;
    if (file->is_device && ioctl(file->fd, BLKGETSIZE64, length) == 0)
        return true;
    if (fstat(file->fd, &status))
        return false;
    *length = file->is_device ? 0 : status.st_size;
    return true;
}

/* What O_DIRECT wants. The kernel tells since 6.1; before, we try. */
static void alignment_find(struct block_node *node, struct file *file)
{
    struct statx info;

    node->alignment = node->memory_alignment = 1;
    if (!(node->flags & BLOCK_OPEN_DIRECT))
        return;
    if (!statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info)
        && (info.stx_mask & STATX_DIOALIGN) && info.stx_dio_offset_align
        && info.stx_dio_offset_align <= 65536) {
        node->alignment = info.stx_dio_offset_align;
        node->memory_alignment = MAX(info.stx_dio_mem_align, 1);
        return;
    }
    void *buffer = aligned_alloc(65536, 65536);
    node->alignment = node->memory_alignment = 4096;
    for (uint32_t size = 512; buffer && size <= 65536; size *= 2) {
        if (pread(file->fd, buffer, size, 0) >= 0) {
            node->alignment = node->memory_alignment = size;
            break;
        }
    }
    free(buffer);
}

static bool options_read(struct file *file, json_t *options, char **path, GError **error)
{
    static const char *const aio_words[] = { "threads", "native", "io_uring", NULL };
    static const char *const locking_words[] = { "auto", "on", "off", NULL };
    int aio = 2, locking = 0;
    bool ignored = false;

    *path = options_take_string(options, "filename");
    if (!*path)
        return fail(error, "A file name is required: option 'filename' is missing");
    if (!options_take_enum(options, "aio", aio_words, &aio, error)
        || !options_take_enum(options, "locking", locking_words, &locking, error)
        || !options_take_bool(options, "drop-cache", &ignored, error)
        || !options_take_bool(options, "x-check-cache-dropped", &ignored, error))
        return false;
    file->use_ring = aio != 0;
    file->locking = locking != 2;
    return true;
}

static bool file_open(struct block_node *node, json_t *options, GError **error)
{
    struct file *file = node->state;
    g_autofree char *path = NULL;
    uint64_t length;

    if (!options_read(file, options, &path, error))
        return false;
    auto_close int fd = file->fd = host_open(node, path, error);
    if (fd < 0 || !kind_check(node, file, path, error))
        return false;
    if (!length_get(file, &length))
        return fail_errno(error, "Could not find the size of '%s'", path);
    atomic_store(&node->length, length);
    alignment_find(node, file);
    if (file->is_device)
        file->locking = false;
    file->fd = take_fd(&fd);
    g_free(node->filename);
    node->filename = g_steal_pointer(&path);
    return true;
}

static void file_close(struct block_node *node)
{
    struct file *file = node->state;
    close(file->fd);
}

static bool file_set_permissions(struct block_node *node, unsigned perm, unsigned shared,
                                 GError **error)
{
    /* Forced sharing means not to take part in locking at all. */
    if (node->flags & BLOCK_OPEN_FORCE_SHARE)
        return true;
    return file_lock_update(node->state, node->filename, perm, shared, error);
}

/* ---- Size ---- */

static int64_t file_allocated_size(struct block_node *node)
{
    struct file *file = node->state;
    struct stat status;
    return fstat(file->fd, &status) ? -errno : (int64_t)status.st_blocks * 512;
}

/* Writes zero bytes over what was added, so that their space is really there. */
static bool fill(struct block_node *node, uint64_t from, uint64_t to, GError **error)
{
    struct file *file = node->state;
    g_autofree char *zeroes = g_malloc0(FILL_BYTES);

    while (from < to) {
        ssize_t done = pwrite(file->fd, zeroes, MIN(FILL_BYTES, to - from), from);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return fail_errno(error, "Could not write zeros for preallocation");
        from += done;
    }
    return fsync(file->fd) ? fail_errno(error, "Could not flush file to disk") : true;
}

static bool file_grow(struct block_node *node, uint64_t old, uint64_t length,
                      enum block_preallocation preallocation, GError **error)
{
    struct file *file = node->state;
    switch (preallocation) {
    case BLOCK_PREALLOC_OFF:
        break;
    case BLOCK_PREALLOC_FALLOC:
        if (length > old && posix_fallocate(file->fd, old, length - old)) {
            errno = posix_fallocate(file->fd, old, length - old);
            return fail_errno(error, "Could not preallocate data for the new file");
        }
        break;
    case BLOCK_PREALLOC_FULL:
        if (!fill(node, old, length, error))
            return false;
        break;
    default:
        return fail(error, "Unsupported preallocation mode '%s'",
                    block_preallocation_names[preallocation]);
    }
    if (ftruncate(file->fd, length))
        return fail_errno(error, "Could not resize file");
    return true;
}

static bool file_truncate(struct block_node *node, uint64_t length,
                          enum block_preallocation preallocation, GError **error)
{
    struct file *file = node->state;
    uint64_t old = block_length(node);

    if (file->is_device) {
        if (preallocation)
            return fail(error, "Preallocation mode '%s' unsupported for this non-regular file",
                        block_preallocation_names[preallocation]);
        return length <= old || fail(error, "Cannot grow device files");
    }
    if (length < old && preallocation)
        return fail(error, "Preallocation can't be used for shrinking files");
    if (!file_grow(node, old, length, preallocation, error)) {
        if (length > old && ftruncate(file->fd, old))
            return fail_prefix(error, "and the old size could not be restored: ");
        return false;
    }
    atomic_store(&node->length, length);
    return true;
}

/* ---- Creating ---- */

static const struct block_create_option file_create_options[] = {
    { "size", BLOCK_OPTION_SIZE, NULL, "Virtual disk size" },
    { "nocow", BLOCK_OPTION_BOOL, NULL, "Turn off copy-on-write (valid only on btrfs)" },
    { "preallocation", BLOCK_OPTION_STRING, NULL,
      "Preallocation mode (allowed values: off, falloc, full)" },
    { "extent_size_hint", BLOCK_OPTION_SIZE, NULL,
      "Extent size hint for the image file, 0 to disable" },
    {},
};

static bool file_create(struct block_create *create, GError **error)
{
    int preallocation = BLOCK_PREALLOC_OFF;
    bool nocow = false;
    uint64_t hint = 0;

    if (!options_take_enum(create->options, "preallocation", block_preallocation_names,
                           &preallocation, error)
        || !options_take_bool(create->options, "nocow", &nocow, error)
        || !options_take_size(create->options, "extent_size_hint", &hint, error))
        return false;
    const char *path = create->filename;
    if (g_str_has_prefix(path, "file:"))
        path += strlen("file:");
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_errno(error, "Could not create '%s'", path);

    /* Whoever uses the file now must not have it emptied under them. */
    struct file file = { .fd = fd, .locking = true };
    if (!file_lock_update(&file, path, BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE,
                          BLOCK_PERM_ALL & ~BLOCK_PERM_RESIZE, error))
        return false;
    if (ftruncate(fd, 0))
        return fail_errno(error, "Could not empty '%s'", path);
    int attributes;
    if (nocow && !ioctl(fd, FS_IOC_GETFLAGS, &attributes)) {
        attributes |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &attributes);
    }
    struct block_node node = { .state = &file };
    return file_truncate(&node, create->size, preallocation, error);
}

/* ---- Drivers ---- */

static int device_probe_name(const char *filename)
{
    struct stat status;
    return !stat(filename, &status) && (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode)) ? 100
                                                                                            : 0;
}

static int cdrom_probe_name(const char *filename)
{
    struct stat status;
    if (stat(filename, &status) || !S_ISBLK(status.st_mode))
        return 0;
    auto_close int fd = open(filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && ioctl(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT) >= 0 ? 101 : 0;
}

#define FILE_IO_FUNCTIONS \
    .is_protocol = true, .growable = true, .native_fua = true, .state_size = sizeof(struct file), \
    .open = file_open, .close = file_close, .submit = file_submit, .read = file_read, \
    .write = file_write, .write_zeroes = file_write_zeroes, .discard = file_discard, \
    .flush = file_flush, .status = file_status, .truncate = file_truncate, \
    .allocated_size = file_allocated_size, .set_permissions = file_set_permissions

BLOCK_DRIVER(file) = {
    .name = "file",
    .protocol = "file",
    .create_options = file_create_options,
    .create = file_create,
    FILE_IO_FUNCTIONS,
};

BLOCK_DRIVER(host_device) = {
    .name = "host_device",
    .protocol = "host_device",
    .probe_name = device_probe_name,
    FILE_IO_FUNCTIONS,
};

BLOCK_DRIVER(host_cdrom) = {
    .name = "host_cdrom",
    .protocol = "host_cdrom",
    .probe_name = cdrom_probe_name,
    FILE_IO_FUNCTIONS,
};
