/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work that a vCPU's thread leaves to the main loop: a device register was written, and what
 * follows from it (a disk request) may only be started there. */
#ifndef YADO_UTIL_DEFER_H
#define YADO_UTIL_DEFER_H

#include <stdatomic.h>

#include "util/util.h"

/* One piece of work, embedded in its owner. */
struct defer {
    void (*run)(void *opaque); /* [const] main loop */
    void *opaque;              /* [const] */
    struct defer *next;        /* of the waiting ones */
    atomic_bool waiting;
};

/* Main loop. `defer` must be zeroed, or was given to defer_cancel(). */
void defer_init(struct defer *defer, void (*run)(void *opaque), void *opaque);

/* Any thread: has run() called soon, once for any number of calls before it begins; a call made
 * while it runs makes it run again. What the caller wrote before, run() sees. */
void defer_schedule(struct defer *defer);

/* Main loop: forgets what was asked. No other thread may schedule it any more. */
void defer_cancel(struct defer *defer);

#endif
