/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machine types: which devices a board has, and what is in memory when it is switched on. Main
 * loop. */
#ifndef YADO_MACHINE_MACHINE_H
#define YADO_MACHINE_MACHINE_H

#include "util/util.h"

struct vm;
struct vm_config;

struct machine_type {
    const char *name, *description;
    bool (*create)(struct vm *vm, GError **error);
    /* How much of so much memory lies below 4 GiB at most. */
    uint64_t (*below_4g)(uint64_t memory_bytes);
    /* Versioned names, "pc-q35-7.2": what stands before the version, and the oldest; NULL: none. */
    const char *prefix, *oldest;
    unsigned ide_units; /* drives a bus of its IDE controller has; 0: no controller */
};

/* All types, the default first; an entry without name ends the list. */
extern const struct machine_type machine_types[];

void machine_print_help(void); /* -M help */

/* Where RAM below 4 GiB ends for this configuration, and room for devices begins. */
uint64_t machine_below_4g(const struct vm_config *config);

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
