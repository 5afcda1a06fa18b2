/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `-object memory-backend-ram|file|memfd`: where guest RAM comes from and how the host treats it.
 * Main loop. */
#ifndef YADO_MEMORY_BACKEND_H
#define YADO_MEMORY_BACKEND_H

#include "memory/memory.h"

/* The options and size of the object with this id, valid as long as it; NULL and an error. */
const struct guest_ram_options *memory_backend_find(const char *id, uint64_t *size, GError **error);

#endif
