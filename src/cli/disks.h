/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -drive, -blockdev and their short forms: first remembered in the order given, then, when the
 * session starts, opened. Main loop. */
#ifndef YADO_CLI_DISKS_H
#define YADO_CLI_DISKS_H

#include "hw/storage/drive.h"

struct vm_config;

struct disks {
    GPtrArray *wishes; /* what was asked for; disks.c's */
    bool snapshot;     /* -snapshot: no -drive is written */
};

struct disks *disks_new(void);
void disks_free(struct disks *disks);

/* `position`: how many -device came before; a drive that makes a device makes it there. */
bool disks_add_drive(struct disks *disks, const char *text, unsigned position, GError **error);
bool disks_add_blockdev(struct disks *disks, const char *text, GError **error);
/* -hda to -hdd, -cdrom, -fda, -fdb, -pflash, -sd, -mtdblock; `name` without dash. */
bool disks_add_short(struct disks *disks, const char *name, const char *file, unsigned position,
                     GError **error);

/* Opens all; if=virtio adds to config->devices. */
bool disks_open(struct disks *disks, struct vm_config *config, GError **error);
/* After the machine was made: every drive that named a place must have got one. */
bool disks_check_used(const struct vm_config *config, GError **error);
/* When no device is left. */
void disks_close(struct disks *disks);

#endif
