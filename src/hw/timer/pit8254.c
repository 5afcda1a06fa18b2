/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pit: the 8254 timer of a PC (Intel 8254 data sheet, order 231164) and the port 0x61 bits that
 * belong to it. Channel 0 is interrupt 0, channel 1 once refreshed memory, channel 2 is the
 * speaker, which systems use to measure other clocks.
 *
 * Nothing counts: the counting element and the output are computed from the time since a channel
 * was loaded or triggered. Only channel 0 needs a timer, for the rising edges of its output; since
 * the interrupt is edge triggered, each is given as a pulse and the falling edges are not timed.
 *
 * A timer that fires late catches up edge by edge, so that a guest which counts interrupts keeps
 * its time; after a longer sleep (the host was suspended) the missed ones are dropped.
 *
 * Threads: ports on any vCPU's thread, timer on the main loop; all under dev.lock. */
#include "hw/board.h"
#include "hw/device.h"
#include "util/timer.h"
#include "vm/vm.h"

#define PIT_HZ 1193182ull
#define SECOND_NS 1000000000ull
#define CATCH_UP_NS (200 * 1000000ull)
#define SHORTEST_PERIOD_TICKS 60 /* 50 us; shorter ones would keep the main loop busy */
#define REFRESH_NS 15085

enum pit_access { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

struct pit_channel {
    uint64_t start_ns;     /* when counting began; meaningful while counting */
    uint64_t paused_ticks; /* how far it had come when the gate fell */
    uint32_t count;        /* 1 to 65536 (10000 in BCD) */
    uint16_t latched_count;
    uint8_t mode;   /* 0 to 5 */
    uint8_t access; /* enum pit_access */
    uint8_t bcd;
    uint8_t write_low; /* first byte of two */
    uint8_t latched_status;
    bool write_second, read_second; /* the next byte is the second of two */
    bool count_latched, status_latched;
    bool loaded;   /* a count was written since the control word ("null count" clear) */
    bool counting; /* loaded, and triggered if the mode wants that */
    bool gate;
};

struct pit {
    struct device dev;
    struct region ports, port61;
    struct irq_line line;
    struct timer timer;
    struct pit_channel channels[3]; /* [dev.lock] */
    uint64_t edge_ticks; /* [dev.lock] when channel 0's output rises next; UINT64_MAX: never */
    bool speaker;        /* [dev.lock] port 0x61 bit 1 */
};

/* --- the counting element -------------------------------------------------------------------- */

static uint64_t ticks_of_ns(uint64_t ns)
{
    return (unsigned __int128)ns * PIT_HZ / SECOND_NS;
}

static uint64_t ns_of_ticks(uint64_t ticks)
{
    return ((unsigned __int128)ticks * SECOND_NS + PIT_HZ - 1) / PIT_HZ;
}

static bool mode_is_periodic(const struct pit_channel *ch)
{
    return ch->mode == 2 || ch->mode == 3;
}

static bool mode_needs_trigger(const struct pit_channel *ch)
{
    return ch->mode == 1 || ch->mode == 5;
}

/* In modes 1 and 5 only the gate's rising edge counts, not its level. */
static bool channel_paused(const struct pit_channel *ch)
{
    return !ch->gate && !mode_needs_trigger(ch);
}

static uint64_t channel_ticks(const struct pit_channel *ch, uint64_t now_ns)
{
    if (channel_paused(ch))
        return ch->paused_ticks;
    return ticks_of_ns(now_ns - ch->start_ns);
}

static bool channel_output(const struct pit_channel *ch, uint64_t now_ns)
{
    if (!ch->counting)
        return ch->mode != 0;
    uint64_t ticks = channel_ticks(ch, now_ns);
    switch (ch->mode) {
    case 0:
    case 1:
        return ticks >= ch->count;
    case 2:
        return !ch->gate || ticks % ch->count != ch->count - 1;
    case 3:
        return !ch->gate || ticks % ch->count < (ch->count + 1) / 2;
    default:
        return ticks != ch->count;
    }
}

static uint16_t to_bcd(uint32_t value)
{
    return value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint16_t value)
{
    return (value & 15) + (value >> 4 & 15) * 10 + (value >> 8 & 15) * 100 + (value >> 12) * 1000;
}

/* What the counting element holds; it runs on below zero in the modes that end. */
static uint16_t channel_count(const struct pit_channel *ch, uint64_t now_ns)
{
    uint32_t modulus = ch->bcd ? 10000 : 65536, count = ch->count;
    if (ch->counting) {
        uint64_t ticks = channel_ticks(ch, now_ns);
        if (ch->mode == 2)
            count = ch->count - ticks % ch->count;
        else if (ch->mode == 3) /* two steps at a time, through the count twice per period */
            count = (ch->count - 2 * ticks % ch->count) & ~1u;
        else
            count = (ch->count + modulus - ticks % modulus) % modulus;
    }
    return ch->bcd ? to_bcd(count % 10000) : count;
}

/* --- channel 0's interrupt ------------------------------------------------------------------- */

/* The first rising edge of the output after `ticks`. */
static uint64_t channel_next_edge(const struct pit_channel *ch, uint64_t ticks)
{
    if (!ch->counting || channel_paused(ch))
        return UINT64_MAX;
    if (mode_is_periodic(ch)) {
        uint64_t period = ch->count;
        if (period < SHORTEST_PERIOD_TICKS)
            period *= (SHORTEST_PERIOD_TICKS + period - 1) / period;
        return (ticks / period + 1) * period;
    }
    uint64_t edge = ch->mode < 2 ? ch->count : (uint64_t)ch->count + 1;
    return ticks < edge ? edge : UINT64_MAX;
}

static void pit_schedule(struct pit *pit, uint64_t after_ticks)
{
    const struct pit_channel *ch = &pit->channels[0];
    pit->edge_ticks = channel_next_edge(ch, after_ticks);
    if (pit->edge_ticks == UINT64_MAX)
        timer_cancel(&pit->timer);
    else
        timer_arm(&pit->timer, ch->start_ns + ns_of_ticks(pit->edge_ticks));
}

/* Channel 0 was programmed. */
static void pit_restart(struct pit *pit)
{
    uint64_t now = clock_now_ns();
    irq_set(&pit->line, channel_output(&pit->channels[0], now));
    pit_schedule(pit, pit->channels[0].counting ? channel_ticks(&pit->channels[0], now) : 0);
}

static void pit_fired(void *opaque)
{
    struct pit *pit = opaque;
    const struct pit_channel *ch = &pit->channels[0];
    pthread_mutex_lock(&pit->dev.lock);
    uint64_t now = clock_now_ns();
    if (pit->edge_ticks != UINT64_MAX) {
        uint64_t due_ns = ch->start_ns + ns_of_ticks(pit->edge_ticks);
        if (now < due_ns) { /* programmed anew while this callback was on its way */
            timer_arm(&pit->timer, due_ns);
        } else {
            irq_set(&pit->line, false);
            irq_set(&pit->line, true);
            pit_schedule(pit,
                         now - due_ns > CATCH_UP_NS ? channel_ticks(ch, now) : pit->edge_ticks);
        }
    }
    pthread_mutex_unlock(&pit->dev.lock);
}

/* --- programming ----------------------------------------------------------------------------- */

static void channel_load(struct pit_channel *ch, uint16_t value)
{
    ch->count = ch->bcd ? from_bcd(value) : value;
    if (ch->count == 0) /* zero stands for the longest period */
        ch->count = ch->bcd ? 10000 : 65536;
    ch->loaded = true;
    if (mode_needs_trigger(ch)) /* a running one goes on with the old count in hardware */
        return;
    ch->counting = true;
    ch->start_ns = clock_now_ns();
    ch->paused_ticks = 0;
}

static void channel_latch_count(struct pit_channel *ch)
{
    if (ch->count_latched)
        return; /* the first latch holds until it is read */
    ch->latched_count = channel_count(ch, clock_now_ns());
    ch->count_latched = true;
}

static void channel_latch_status(struct pit_channel *ch)
{
    if (ch->status_latched)
        return;
    ch->latched_status = channel_output(ch, clock_now_ns()) << 7 | !ch->loaded << 6
                         | ch->access << 4 | ch->mode << 1 | ch->bcd;
    ch->status_latched = true;
}

static void pit_write_control(struct pit *pit, uint8_t value)
{
    unsigned select = value >> 6;
    if (select == 3) { /* read-back */
        for (unsigned i = 0; i < 3; i++) {
            if (!(value & (2u << i)))
                continue;
            if (!(value & 0x20))
                channel_latch_count(&pit->channels[i]);
            if (!(value & 0x10))
                channel_latch_status(&pit->channels[i]);
        }
        return;
    }
    struct pit_channel *ch = &pit->channels[select];
    enum pit_access access = value >> 4 & 3;
    if (access == ACCESS_LATCH) {
        channel_latch_count(ch);
        return;
    }
    unsigned mode = value >> 1 & 7;
    ch->mode = mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
    ch->access = access;
    ch->bcd = value & 1;
    ch->loaded = ch->counting = false;
    ch->write_second = ch->read_second = ch->count_latched = ch->status_latched = false;
    if (select == 0)
        pit_restart(pit);
}

static void pit_write_count(struct pit *pit, unsigned index, uint8_t value)
{
    struct pit_channel *ch = &pit->channels[index];
    if (ch->access == ACCESS_BOTH && !ch->write_second) {
        ch->write_low = value;
        ch->write_second = true;
        if (ch->mode == 0) { /* the first byte stops the count */
            ch->counting = false;
            if (index == 0)
                pit_restart(pit);
        }
        return;
    }
    ch->write_second = false;
    if (ch->access == ACCESS_BOTH)
        channel_load(ch, ch->write_low | value << 8);
    else
        channel_load(ch, ch->access == ACCESS_HIGH ? value << 8 : value);
    if (index == 0)
        pit_restart(pit);
}

static uint8_t channel_read(struct pit_channel *ch)
{
    if (ch->status_latched) {
        ch->status_latched = false;
        return ch->latched_status;
    }
    uint16_t count = ch->count_latched ? ch->latched_count : channel_count(ch, clock_now_ns());
    if (ch->access == ACCESS_BOTH) {
        ch->read_second = !ch->read_second;
        if (ch->read_second)
            return count;
    }
    ch->count_latched = false;
    return ch->access == ACCESS_LOW ? count : count >> 8;
}

static uint64_t pit_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    return offset == 3 ? 0xff : channel_read(&pit->channels[offset]); /* control: write only */
}

static void pit_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    if (offset == 3)
        pit_write_control(pit, value);
    else
        pit_write_count(pit, offset, value);
}

/* --- port 0x61 ------------------------------------------------------------------------------- */

static void channel_set_gate(struct pit_channel *ch, bool gate)
{
    uint64_t now = clock_now_ns();
    if (gate == ch->gate)
        return;
    if (!gate) {
        if (ch->counting)
            ch->paused_ticks = channel_ticks(ch, now);
        ch->gate = false;
        return;
    }
    ch->gate = true;
    if (mode_needs_trigger(ch) || mode_is_periodic(ch)) { /* a rising edge starts anew */
        ch->counting = ch->loaded;
        ch->start_ns = now;
    } else {
        ch->start_ns = now - ns_of_ticks(ch->paused_ticks);
    }
}

static uint64_t port61_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    const struct pit_channel *ch = &pit->channels[2];
    uint64_t now = clock_now_ns();
    return ch->gate | pit->speaker << 1 | (now / REFRESH_NS & 1) << 4
           | channel_output(ch, now) << 5;
}

static void port61_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    pit->speaker = value & 2;
    channel_set_gate(&pit->channels[2], value & 1);
}

/* --- life ------------------------------------------------------------------------------------ */

static const struct region_ops pit_ops = { .read = pit_read, .write = pit_write, .max_size = 1 };
static const struct region_ops port61_ops = {
    .read = port61_read,
    .write = port61_write,
    .max_size = 1,
};

static bool pit_realize(struct device *dev, GError **error)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    timer_init(&pit->timer, pit_fired, pit);
    if (dev->vm->gsi)
        pit->line = dev->vm->gsi[BOARD_IRQ_TIMER];
    pit->ports = (struct region){
        .name = "pit",
        .base = 0x40,
        .size = 4,
        .ops = &pit_ops,
        .dev = dev,
    };
    pit->port61 = (struct region){
        .name = "port61",
        .base = 0x61,
        .size = 1,
        .ops = &port61_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &pit->ports);
    address_space_add(dev->vm->io, &pit->port61);
    return true;
}

static void pit_reset(struct device *dev)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    for (unsigned i = 0; i < 3; i++) /* undefined by the data sheet: idle, output high */
        pit->channels[i] = (struct pit_channel){
            .mode = 3,
            .access = ACCESS_BOTH,
            .count = 65536,
            .gate = i != 2,
        };
    pit->speaker = false;
    pit_schedule(pit, 0);
    irq_set(&pit->line, false);
}

static void pit_unrealize(struct device *dev)
{
    struct pit *pit = container_of(dev, struct pit, dev);
    timer_cancel(&pit->timer);
    address_space_remove(dev->vm->io, &pit->ports);
    address_space_remove(dev->vm->io, &pit->port61);
}

static const struct state_field pit_state[] = {
    STATE(BYTES, struct pit, channels, .since = 1),
    STATE(U64, struct pit, edge_ticks, .since = 1),
    STATE(BOOL, struct pit, speaker, .since = 1),
    {},
};

DEVICE_TYPE(pit) = {
    .name = "pit",
    .description = "8254 interval timer and port 0x61",
    .bus = &bus_system,
    .size = sizeof(struct pit),
    .state = pit_state,
    .realize = pit_realize,
    .reset = pit_reset,
    .unrealize = pit_unrealize,
};
