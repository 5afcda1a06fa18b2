/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i6300esb: the watchdog of an Intel 6300ESB (data sheet order 300641, chapter 16): two stages,
 * each with a preload value of 20 bits that counts in units of 2^15 (or, with the fast clock, 2^5)
 * cycles of 33 MHz. The first stage's end is noted (its interrupt and SMI are absent), the second's
 * does what -watchdog-action says. Registers in the BAR take a write only after 0x80 and 0x86 were
 * written to the reload register.
 *
 * Threads: registers on any vCPU's thread, the timer on the main loop, all under dev.lock. */
#include "hw/pci/pci.h"
#include "hw/watchdog/watchdog.h"
#include "util/timer.h"
#include "vm/vm.h"

#define REGISTER_CONFIGURATION 0x60
#define CONFIGURATION_FAST 0x04u
#define CONFIGURATION_NO_REBOOT 0x20u
#define REGISTER_LOCK 0x68
#define LOCK_LOCKED 0x01u
#define LOCK_ENABLE 0x02u
#define LOCK_FREE_RUNNING 0x04u

enum esb_register { ESB_PRELOAD_1 = 0x0, ESB_PRELOAD_2 = 0x4, ESB_STATUS = 0x8, ESB_RELOAD = 0xc };
#define PRELOAD_BITS 0xfffffu
#define RELOAD_START 0x0100u
#define RELOAD_TIMEOUT 0x0200u
#define RELOAD_TIMEOUT_LINUX 0x1000u /* where Linux's driver looks for it */
#define UNLOCK_1 0x80u
#define UNLOCK_2 0x86u
#define BAR_BYTES 16u
#define CLOCK_HZ 33000000ull
#define SECOND_NS 1000000000ull

struct i6300esb {
    struct pci_function function;
    struct region region;
    struct timer timer;
    /* [function.dev.lock] */
    uint32_t preload[2];
    uint8_t stage;    /* 0: stopped; 1, 2: which one runs */
    uint8_t unlocked; /* how much of the sequence has been written: 0 to 2 */
    bool timed_out;   /* until the guest clears it, over resets */
};

static struct i6300esb *esb_of(struct device *dev)
{
    return container_of(dev, struct i6300esb, function.dev);
}

/* --- the timer ------------------------------------------------------------------------------- */

static void stage_start(struct i6300esb *esb, uint8_t stage)
{
    const uint8_t *config = esb->function.config;
    esb->stage = config[REGISTER_LOCK] & LOCK_ENABLE ? stage : 0;
    if (!esb->stage) {
        timer_cancel(&esb->timer);
        return;
    }
    unsigned shift = config[REGISTER_CONFIGURATION] & CONFIGURATION_FAST ? 5 : 15;
    uint64_t cycles = (uint64_t)esb->preload[stage - 1] << shift;
    timer_arm(&esb->timer, clock_now_ns() + (unsigned __int128)cycles * SECOND_NS / CLOCK_HZ + 1);
}

static void stage_ended(void *opaque)
{
    struct i6300esb *esb = opaque;
    bool expired = false;
    pthread_mutex_lock(&esb->function.dev.lock);
    const uint8_t *config = esb->function.config;
    if (esb->stage == 1) {
        stage_start(esb, 2);
    } else if (esb->stage == 2) {
        expired = !(config[REGISTER_CONFIGURATION] & CONFIGURATION_NO_REBOOT);
        esb->timed_out |= expired;
        esb->stage = 0;
        if (config[REGISTER_LOCK] & LOCK_FREE_RUNNING)
            stage_start(esb, 1);
    }
    pthread_mutex_unlock(&esb->function.dev.lock);
    if (expired)
        watchdog_expired(esb->function.dev.vm, "i6300esb");
}

/* --- registers ------------------------------------------------------------------------------- */

static uint64_t esb_read(struct device *dev, uint64_t offset, unsigned size)
{
    return offset == ESB_RELOAD && esb_of(dev)->timed_out ? RELOAD_TIMEOUT | RELOAD_TIMEOUT_LINUX
                                                          : 0;
}

static void esb_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct i6300esb *esb = esb_of(dev);
    if (offset == ESB_RELOAD && value == UNLOCK_1) {
        esb->unlocked = 1;
        return;
    }
    if (offset == ESB_RELOAD && value == UNLOCK_2 && esb->unlocked == 1) {
        esb->unlocked = 2;
        return;
    }
    if (esb->unlocked != 2)
        return;
    esb->unlocked = 0;
    if (offset == ESB_PRELOAD_1 || offset == ESB_PRELOAD_2) {
        esb->preload[offset / 4] = value & PRELOAD_BITS;
    } else if (offset == ESB_RELOAD) {
        if (value & RELOAD_START)
            stage_start(esb, 1);
        if (value & RELOAD_TIMEOUT)
            esb->timed_out = false;
    }
}

static const struct region_ops esb_ops = {
    .read = esb_read,
    .write = esb_write,
    .min_size = 4,
    .max_size = 4,
};

static void esb_config_write(struct pci_function *function, unsigned offset, uint32_t value,
                             unsigned size)
{
    struct i6300esb *esb = container_of(function, struct i6300esb, function);
    uint8_t *lock = &function->config[REGISTER_LOCK], before = *lock;
    pci_config_store(function, offset, value, size);
    if (before & LOCK_LOCKED)
        *lock = before;
    if ((*lock ^ before) & LOCK_ENABLE)
        stage_start(esb, 1);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool esb_realize(struct device *dev, GError **error)
{
    struct i6300esb *esb = esb_of(dev);
    timer_init(&esb->timer, stage_ended, esb);
    esb->region =
        (struct region){ .name = "i6300esb", .size = BAR_BYTES, .ops = &esb_ops, .dev = dev };
    pci_config_define(&esb->function, REGISTER_CONFIGURATION, 2, 0, 0x0027);
    pci_config_define(&esb->function, REGISTER_LOCK, 1, 0, 0x07);
    pci_bar_define(&esb->function, 0, PCI_BAR_MEMORY32, BAR_BYTES);
    pci_bar_add_region(&esb->function, 0, 0, &esb->region);
    return true;
}

static void esb_reset(struct device *dev)
{
    struct i6300esb *esb = esb_of(dev);
    timer_cancel(&esb->timer);
    esb->stage = esb->unlocked = 0;
    esb->preload[0] = esb->preload[1] = PRELOAD_BITS;
}

static void esb_unrealize(struct device *dev)
{
    timer_cancel(&esb_of(dev)->timer);
}

static const struct state_field esb_state[] = {
    STATE(BYTES, struct i6300esb, preload, .since = 1),
    STATE(U8, struct i6300esb, stage, .since = 1),
    STATE(U8, struct i6300esb, unlocked, .since = 1),
    STATE(BOOL, struct i6300esb, timed_out, .since = 1),
    {},
};

static const struct pci_function_ops esb_function_ops = { .config_write = esb_config_write };
static const struct pci_type esb_pci = {
    .vendor = 0x8086,
    .device = 0x25ab,
    .class = PCI_CLASS_SYSTEM_OTHER,
    .ops = &esb_function_ops,
};

DEVICE_TYPE(i6300esb) = {
    .name = "i6300esb",
    .description = "watchdog of an Intel 6300ESB",
    .category = DEVICE_CATEGORY_WATCHDOG,
    .bus = &bus_pci,
    .on_bus = &esb_pci,
    .size = sizeof(struct i6300esb),
    .state = esb_state,
    .realize = esb_realize,
    .reset = esb_reset,
    .unrealize = esb_unrealize,
};
