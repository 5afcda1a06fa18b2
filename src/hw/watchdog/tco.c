/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/watchdog/tco.h"

#include "hw/chipset/ich9_lpc.h"
#include "hw/watchdog/watchdog.h"
#include "vm/vm.h"

#define TICK_NS 600000000ull
#define RELOAD_DEFAULT 4

enum tco_register {
    TCO_RELOAD = 0x00,
    TCO_DATA_IN = 0x02,
    TCO_DATA_OUT = 0x03,
    TCO_STATUS_1 = 0x04,
    TCO_STATUS_2 = 0x06,
    TCO_CONTROL_1 = 0x08,
    TCO_CONTROL_2 = 0x0a,
    TCO_MESSAGE_1 = 0x0c,
    TCO_MESSAGE_2 = 0x0d,
    TCO_SW_IRQ = 0x10,
    TCO_TIMER = 0x12,
};
#define STATUS_1_TIMEOUT 0x0008u
#define STATUS_2_SECOND 0x0002u
#define STATUS_2_BOOT 0x0004u
#define CONTROL_1_HALT 0x0800u
#define CONTROL_1_LOCK 0x1000u
#define TIMER_BITS 0x03ffu

/* --- the timer; under dev.lock --------------------------------------------------------------- */

static void tco_start(struct tco *tco)
{
    if (tco->control1 & CONTROL_1_HALT) {
        tco->expiry_ns = UINT64_MAX;
        timer_cancel(&tco->timer);
        return;
    }
    tco->expiry_ns = clock_now_ns() + tco->reload * TICK_NS;
    timer_arm(&tco->timer, tco->expiry_ns);
}

static uint16_t ticks_left(const struct tco *tco)
{
    uint64_t now = clock_now_ns();
    if (tco->expiry_ns == UINT64_MAX)
        return tco->reload;
    return tco->expiry_ns > now ? (tco->expiry_ns - now) / TICK_NS : 0;
}

static void tco_fired(void *opaque)
{
    struct tco *tco = opaque;
    bool expired = false;
    pthread_mutex_lock(&tco->dev->lock);
    if (!tco->second) {
        tco->status1 |= STATUS_1_TIMEOUT;
        tco->second = true;
        tco_start(tco);
    } else {
        tco->status2 |= STATUS_2_SECOND | STATUS_2_BOOT;
        expired = !tco->no_reboot;
        tco->expiry_ns = UINT64_MAX;
    }
    pthread_mutex_unlock(&tco->dev->lock);
    if (expired)
        watchdog_expired(tco->dev->vm, "iTCO");
}

/* --- registers ------------------------------------------------------------------------------- */

/* It is a part of one device only. */
static struct tco *tco_of(struct device *dev)
{
    return &container_of(dev, struct ich9_lpc, function.dev)->tco;
}

static uint64_t tco_read(struct device *dev, uint64_t offset, unsigned size)
{
    const struct tco *tco = tco_of(dev);
    switch (offset) {
    case TCO_RELOAD:
        return ticks_left(tco);
    case TCO_DATA_IN:
        return tco->data[0] | tco->data[1] << 8;
    case TCO_STATUS_1:
        return tco->status1;
    case TCO_STATUS_2:
        return tco->status2;
    case TCO_CONTROL_1:
        return tco->control1;
    case TCO_CONTROL_2:
        return tco->control2;
    case TCO_MESSAGE_1:
        return tco->message[0] | tco->message[1] << 8;
    case TCO_SW_IRQ:
        return tco->irq;
    case TCO_TIMER:
        return tco->reload;
    default:
        return 0;
    }
}

static void tco_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct tco *tco = tco_of(dev);
    switch (offset) {
    case TCO_RELOAD:
        tco->second = false;
        tco_start(tco);
        break;
    case TCO_DATA_IN:
        tco->data[0] = value;
        tco->data[1] = value >> 8;
        break;
    case TCO_STATUS_1:
        tco->status1 &= ~value;
        break;
    case TCO_STATUS_2:
        tco->status2 &= ~value;
        break;
    case TCO_CONTROL_1:
        tco->control1 = (value & 0xfeff) | (tco->control1 & CONTROL_1_LOCK);
        tco_start(tco);
        break;
    case TCO_CONTROL_2:
        tco->control2 = value;
        break;
    case TCO_MESSAGE_1:
        tco->message[0] = value;
        tco->message[1] = value >> 8;
        break;
    case TCO_SW_IRQ:
        tco->irq = value;
        break;
    case TCO_TIMER:
        tco->reload = MAX(value & TIMER_BITS, 1u);
        break;
    default:
        break;
    }
}

static const struct region_ops tco_ops = {
    .read = tco_read,
    .write = tco_write,
    .min_size = 2,
    .max_size = 2,
};

/* --- life ------------------------------------------------------------------------------------ */

void tco_init(struct tco *tco, struct device *dev)
{
    tco->dev = dev;
    tco->region = (struct region){
        .name = "sm-tco", .size = TCO_BYTES, .ops = &tco_ops, .dev = dev, .priority = 2
    };
    timer_init(&tco->timer, tco_fired, tco);
}

void tco_end(struct tco *tco)
{
    timer_cancel(&tco->timer);
}

void tco_reset(struct tco *tco)
{
    timer_cancel(&tco->timer);
    tco->reload = RELOAD_DEFAULT;
    tco->status1 = tco->status2 = tco->control2 = 0;
    tco->control1 = CONTROL_1_HALT;
    tco->message[0] = tco->message[1] = tco->data[0] = tco->data[1] = 0;
    tco->irq = 0x03;
    tco->expiry_ns = UINT64_MAX;
    tco->second = false;
}

void tco_set_no_reboot(struct tco *tco, bool no_reboot)
{
    tco->no_reboot = no_reboot;
}
