/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg: what the machine tells its firmware, as numbered items and named files. (The interface is
 * QEMU's, "QEMU Firmware Configuration (fw_cfg) Device".)
 *
 * Numbers are little endian. Files are numbered in the order of their names, so an item's key is
 * not fixed before the machine is complete.
 *
 * Threads: main loop, while no vCPU runs, unless a function says otherwise. */
#ifndef YADO_HW_MISC_FW_CFG_H
#define YADO_HW_MISC_FW_CFG_H

#include "hw/device.h"

#define FW_CFG_PORT 0x510u
#define FW_CFG_PORT_BYTES 12u /* selector, data, DMA address */
#define FW_CFG_NAME_BYTES 56u /* of a file, its end included */

enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_LOCAL = 0x8000, /* keys from here on are the architecture's */
    FW_CFG_ACPI_TABLES = FW_CFG_LOCAL + 0,
    FW_CFG_SMBIOS = FW_CFG_LOCAL + 1,
    FW_CFG_IRQ0_OVERRIDE = FW_CFG_LOCAL + 2,
    FW_CFG_HPET = FW_CFG_LOCAL + 4,
};

/* What the guest does to a file, beside reading it. Both run on a vCPU's thread with the device's
 * lock held. */
struct fw_cfg_hooks {
    void (*selected)(void *opaque); /* before the first byte can be read; may be NULL */
    void (*written)(void *opaque, uint32_t start, uint32_t length); /* NULL: read only */
    void *opaque;
};

struct fw_cfg;

struct fw_cfg *fw_cfg_find(struct vm *vm); /* NULL: the board has none */

/* Items by number; a second call replaces the first one's. `data` is taken over. */
void fw_cfg_set(struct fw_cfg *cfg, uint16_t key, GBytes *data);
void fw_cfg_set_number(struct fw_cfg *cfg, uint16_t key, uint64_t value, unsigned size);

/* Files. The names of callers in Yado are unique and short enough; fw_cfg_file_name_valid() is for
 * the user's. `data` is taken over. */
bool fw_cfg_file_name_valid(const struct fw_cfg *cfg, const char *name, GError **error);
void fw_cfg_add_file(struct fw_cfg *cfg, const char *name, GBytes *data);
void fw_cfg_add_number(struct fw_cfg *cfg, const char *name, uint64_t value, unsigned size);
/* Memory that the guest sees and, with hooks->written, changes. It outlives the device
 * or is given to fw_cfg_own(). */
void fw_cfg_add_shared(struct fw_cfg *cfg, const char *name, void *memory, uint32_t size,
                       const struct fw_cfg_hooks *hooks);

/* `release` is called with `memory` when the device goes away: the end of shared memory. */
void fw_cfg_own(struct fw_cfg *cfg, void *memory, void (*release)(void *memory));

/* New contents of a file of fw_cfg_add_file(), which is added if there is none yet. */
void fw_cfg_replace_file(struct fw_cfg *cfg, const char *name, GBytes *data);
/* A file's contents, or NULL. Borrowed. */
const void *fw_cfg_file(const struct fw_cfg *cfg, const char *name, uint32_t *size);

#endif
