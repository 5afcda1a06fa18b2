/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qcow2 images from strangers: opened, checked, mapped, read, repaired and written. The input is
 * the image; it lies in a file in memory. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "block/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void map_all(struct block_node *node)
{
    uint64_t offset = 0, length = block_length(node);
    struct block_status status;

    for (unsigned i = 0; i < 100 && offset < length; i++) {
        if (block_status(node, offset, length - offset, &status))
            break;
        offset += status.length;
    }
}

static void use(struct block_node *node, bool write)
{
    static uint8_t buffer[70000];
    uint64_t length = block_length(node);

    if (node->driver->specific_info)
        json_decref(node->driver->specific_info(node));
    map_all(node);
    block_pread(node, 0, buffer, MIN(sizeof(buffer), length));
    if (length > sizeof(buffer))
        block_pread(node, length - sizeof(buffer), buffer, sizeof(buffer));
    if (!write)
        return;
    block_pwrite(node, MIN(length / 2, 1000), buffer, MIN(1000, length / 2), 0);
    block_write_zeroes(node, 0, MIN(length, 200000), BLOCK_MAY_UNMAP);
    block_discard(node, 0, MIN(length, 100000));
    block_flush(node);
    if (node->driver->snapshots && length < 1 << 30) {
        struct block_snapshot snapshot = { .name = "fuzz" };
        node->driver->snapshots->create(node, &snapshot, NULL);
        node->driver->snapshots->apply(node, "fuzz", NULL);
        node->driver->snapshots->remove(node, "fuzz", NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned modes[] = { 0, BLOCK_OPEN_CHECK, BLOCK_OPEN_RW,
                                      BLOCK_OPEN_RW | BLOCK_OPEN_CHECK };
    static int fd = -1;
    static FILE *quiet;
    if (!quiet)
        quiet = freopen("/dev/null", "w", stderr);
    if (fd < 0)
        fd = memfd_create("image", 0);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    if (size > 79 && (data[79] & 4))
        return 0; /* the name of a data file: not any file of the host shall be written to */
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
            return 0;
        auto_block *node = block_open(path, "qcow2", NULL, modes[i] | BLOCK_OPEN_NO_BACKING, NULL);
        if (!node)
            continue;
        struct block_check check = { .fix_leaks = modes[i] & BLOCK_OPEN_RW,
                                     .fix_errors = modes[i] & BLOCK_OPEN_RW };
        if ((modes[i] & BLOCK_OPEN_CHECK) && node->driver->check)
            node->driver->check(node, &check, NULL);
        use(node, modes[i] & BLOCK_OPEN_RW);
    }
    return 0;
}
