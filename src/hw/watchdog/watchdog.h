/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a watchdog that expires, or a guest that reports its panic, does to the machine: -action,
 * -watchdog-action. Any thread. */
#ifndef YADO_HW_WATCHDOG_WATCHDOG_H
#define YADO_HW_WATCHDOG_WATCHDOG_H

#include "util/util.h"

struct vm;

enum watchdog_action {
    WATCHDOG_RESET,
    WATCHDOG_SHUTDOWN, /* asks the guest to */
    WATCHDOG_POWEROFF,
    WATCHDOG_INJECT_NMI,
    WATCHDOG_PAUSE,
    WATCHDOG_DEBUG, /* a line on standard error */
    WATCHDOG_NONE,
};
extern const char *const watchdog_action_names[];

enum panic_action { PANIC_SHUTDOWN, PANIC_PAUSE, PANIC_EXIT_FAILURE, PANIC_NONE };
extern const char *const panic_action_names[];

/* The guest's kernel says that it has panicked. */
void guest_panicked(struct vm *vm);

void watchdog_expired(struct vm *vm, const char *name);

#endif
