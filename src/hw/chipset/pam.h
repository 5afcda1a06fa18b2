/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host bridges of PCs do to RAM below 1 MiB and to RAM for system management mode:
 *
 *      0xa0000-0xbffff  RAM only for SMM (SMRAM), or for all while it is open; else the video card
 *      0xc0000-0xfffff  13 areas (PAM registers), each RAM, RAM that cannot be written, or what
 *                       lies on the buses: option ROMs, the firmware's image
 *      TSEG (Q35)       the last part of RAM below 4 GiB, only for SMM once it is enabled
 *
 * Priorities: RAM 0, hidden by the equally high but younger holes here; ROMs and video windows 1;
 * areas that are RAM 2; SMRAM 3. Changes: as memory.h says, in a pci_function_ops.remap. */
#ifndef YADO_HW_CHIPSET_PAM_H
#define YADO_HW_CHIPSET_PAM_H

#include "hw/device.h"
#include "memory/memory.h"

#define PAM_AREAS 13u
#define PAM_REGISTERS \
    7u /* bytes: the first describes the area at 0xf0000 in its upper half, the \
          others two areas each, from 0xc0000 upwards */
#define PAM_WRITABLE 0x33u /* all of a register's areas are plain RAM */

enum pam_mode { PAM_BUS = 0, PAM_READ_ONLY = 1, PAM_WRITE_ONLY = 2, PAM_RAM = 3 };

/* Where the registers of SMRAM, the same in both chipsets, are at their bits. */
#define SMRAM_SEGMENT 0x02u /* 0xa0000, the only choice */
#define SMRAM_ENABLE 0x08u
#define SMRAM_LOCK 0x10u
#define SMRAM_CLOSED 0x20u
#define SMRAM_OPEN 0x40u

struct pam {
    struct vm *vm;
    struct region hole, video_hole;
    struct region areas[PAM_AREAS];
    enum pam_mode modes[PAM_AREAS];
    struct region smram_open, smram; /* size 0: not mapped */
    struct region tseg_hole, tseg;   /* the same */
};

void pam_init(struct pam *pam, struct device *dev);
void pam_end(struct pam *pam);

/* By the registers. In a change of the memory's topology. */
void pam_update(struct pam *pam, const uint8_t *registers);
void pam_update_smram(struct pam *pam, uint8_t smram);
/* `bytes` 0: no TSEG. */
void pam_update_tseg(struct pam *pam, uint64_t base, uint64_t bytes);

#endif
