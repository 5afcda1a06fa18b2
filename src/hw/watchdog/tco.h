/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TCO timer of an ICH9 (data sheet order 316972, 13.9): counts down from TCO_TMR in units of
 * 0.6 seconds, sets TIMEOUT, counts once more, and then, unless NO_REBOOT holds it, the machine is
 * reset, or what -watchdog-action says. Writing TCO_RLD starts it anew. */
#ifndef YADO_HW_WATCHDOG_TCO_H
#define YADO_HW_WATCHDOG_TCO_H

#include "hw/device.h"
#include "memory/memory.h"
#include "util/timer.h"

#define TCO_BYTES 0x20u

struct tco {
    struct device *dev;   /* whose lock is taken */
    struct region region; /* the owner maps it */
    struct timer timer;
    /* [dev.lock] */
    uint16_t reload, status1, status2, control1, control2;
    uint8_t message[2], data[2], irq;
    uint64_t expiry_ns; /* UINT64_MAX: halted */
    bool second;        /* the first timeout has been */
    bool no_reboot;
};

void tco_init(struct tco *tco, struct device *dev);
void tco_end(struct tco *tco);
/* Under dev.lock. */
void tco_reset(struct tco *tco);
void tco_set_no_reboot(struct tco *tco, bool no_reboot);

#endif
