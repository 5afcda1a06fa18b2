/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk controller's requests to the medium of a drive, with what rerror= and werror= say about
 * failures: told to the guest, hidden from it, or kept until the machine, which is stopped, goes
 * on. Main loop, except where a function says otherwise. */
#ifndef YADO_HW_STORAGE_DISK_H
#define YADO_HW_STORAGE_DISK_H

#include "hw/storage/drive.h"
#include "vm/vm.h"

struct disk {
    struct drive_options *options; /* [const] of the device, attached */
    struct device *dev;            /* [const] */
    unsigned in_flight;            /* requests, the parked ones too */
    struct disk_request *parked;   /* failed, and will be repeated */
    struct vm_listener resumed;
};

/* One request. The owner fills the first part and keeps it alive until done(); nothing of it is
 * changed meanwhile. */
struct disk_request {
    enum block_op op;
    unsigned flags;                                        /* BLOCK_FUA, BLOCK_MAY_UNMAP */
    uint64_t offset, length;                               /* bytes */
    struct iov data;                                       /* READ, WRITE */
    void (*done)(struct disk_request *request, int error); /* negative errno, or 0 */

    /* disk.c's. */
    struct disk *disk;
    struct disk_request *next;
    struct block_request block;
};

void disk_init(struct disk *disk, struct drive_options *options, struct device *dev);
/* Drains first. Harmless on a zeroed disk. */
void disk_destroy(struct disk *disk);

/* Of a disk with a drive. */
void disk_submit(struct disk *disk, struct disk_request *request);
/* Returns when no request is under way; parked ones end with -ECANCELED. */
void disk_drain(struct disk *disk);

/* Any thread. Bytes; 0 without a medium. */
uint64_t disk_length(const struct disk *disk);
bool disk_has_medium(const struct disk *disk);
bool disk_is_read_only(const struct disk *disk);

#endif
