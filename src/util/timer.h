/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One-shot timers against CLOCK_MONOTONIC, fired by the main loop's thread.
 *
 * Threads: timer_arm() and timer_cancel() from any thread; callbacks run on the main loop with no
 * lock held. timer_cancel() does not wait for a callback already running. */
#ifndef YADO_UTIL_TIMER_H
#define YADO_UTIL_TIMER_H

#include "util/util.h"

struct timer {
    void (*fire)(void *opaque);
    void *opaque;
    uint64_t deadline_ns; /* [timer lock] UINT64_MAX: not armed */
    size_t heap_index;    /* [timer lock] */
};

uint64_t clock_now_ns(void);

void timer_init(struct timer *timer, void (*fire)(void *opaque), void *opaque);

/* Fires once when clock_now_ns() has reached `deadline_ns`; replaces an earlier deadline. */
void timer_arm(struct timer *timer, uint64_t deadline_ns);
void timer_cancel(struct timer *timer);

/* Attaches the timers to the default GMainContext; called once, before the loop runs. */
bool timers_start(GError **error);

#endif
