/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bus between ATA drives (ide-hd, ide-cd) and their adapters: a parallel channel with two
 * drives (ide.c), or a Serial ATA port with one (ahci.c). Main loop. */
#ifndef YADO_HW_STORAGE_IDE_H
#define YADO_HW_STORAGE_IDE_H

#include "hw/storage/ata.h"

extern const struct bus_class bus_ide;

struct ide_bus {
    struct bus bus; /* of class bus_ide; its parent is the adapter, whose lock guards the drives */
    const struct ata_adapter_ops *ops; /* [const] */
    unsigned units;                    /* [const] how many drives: 1 or 2 */
    bool serial_ata;                   /* [const] */
    struct ata_drive *drives[2];       /* by unit; NULL: none. Borrowed; fixed once vCPUs run */
};

/* The drives' power-on state, and their memory: called by the adapter's reset, which holds the
 * lock. */
void ide_bus_reset(struct ide_bus *bus);

#endif
