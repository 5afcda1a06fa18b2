/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware images (-bios). Main loop. */
#ifndef YADO_MACHINE_BOOT_BIOS_H
#define YADO_MACHINE_BOOT_BIOS_H

#include "machine/boot.h"

struct boot_bios {
    uint8_t *rom;  /* NULL: none */
    bool borrowed; /* the rom is flash memory, which is mapped by its device */
    uint64_t rom_size, image_size;
    struct region region; /* ends at 4 GiB; the caller maps it */
};

/* Reads the image; firmware_file_find() gives the path. */
bool boot_bios_open(struct boot_bios *bios, const char *path, GError **error);
void boot_bios_close(struct boot_bios *bios);

/* Puts its shadow below 1 MiB. The CPU keeps its reset state: it starts at the reset vector. */
bool boot_bios_load(const struct boot_bios *bios, const struct boot *boot, GError **error);

#endif
