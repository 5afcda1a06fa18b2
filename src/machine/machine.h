/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machine types: which devices a board has, and what is in memory when it is switched on. Main
 * loop. */
#ifndef YADO_MACHINE_MACHINE_H
#define YADO_MACHINE_MACHINE_H

#include "util/util.h"

struct vm;

struct machine_type {
    const char *name, *description;
    bool (*create)(struct vm *vm, GError **error);
};

/* All types, the default first; an entry without name ends the list. */
extern const struct machine_type machine_types[];

/* NULL and an error naming the nearest type if there is none of this name. */
const struct machine_type *machine_type_find(const char *name, GError **error);

/* Creates the board's devices for vm->config->machine and opens the files to boot from, so that a
 * missing kernel is found before anything runs. After the engine's vm_init(). */
bool machine_create(struct vm *vm, GError **error);

/* When the devices of -device are there as well: tells the firmware what the machine has. */
bool machine_finish(struct vm *vm, GError **error);

/* At start and after every reset, with devices and vCPUs in their power-on state: writes boot code
 * and tables into guest memory and sets the first vCPU's registers. */
bool machine_load(struct vm *vm, GError **error);

#endif
