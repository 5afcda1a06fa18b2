/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS tables: what a machine says it is made of, and -smbios. Main loop. */
#ifndef YADO_MACHINE_SMBIOS_H
#define YADO_MACHINE_SMBIOS_H

#include "machine/boot.h"

struct vm;
struct fw_cfg;

/* Adds etc/smbios/smbios-anchor and etc/smbios/smbios-tables. Fails on what is wrong with the texts
 * of -smbios. */
bool smbios_describe(struct vm *vm, struct fw_cfg *cfg, GError **error);

/* Writes them into [BOOT_SMBIOS, BOOT_SMBIOS + BOOT_SMBIOS_SIZE), for kernels that start without
 * firmware; nothing if they do not fit there. */
void smbios_load(struct vm *vm, const struct boot *boot);

#endif
