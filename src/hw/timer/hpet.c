/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hpet: three timers on a counter of 100 MHz (IA-PC HPET Specification 1.0a).
 *
 * With legacy replacement, timers 0 and 1 are the interrupts of the 8254 and of the RTC, whose own
 * wires are cut: this device is made before those two, and they drive it instead of the board's
 * lines. Where the 8254 is the engine's, its wire cannot be cut, and legacy replacement is absent.
 *
 * As in the 8254, nothing counts: the counter is computed from the time, and a host timer is set
 * for the next match of each comparator. Comparators that match more often than every 50 us lose
 * the matches between.
 *
 * Threads: registers on any vCPU's thread, timers on the main loop, the cut wires on any thread;
 * all under dev.lock. */
#include "hw/board.h"
#include "hw/device.h"
#include "util/timer.h"
#include "vm/vm.h"

#define HPET_BASE 0xfed00000u
#define HPET_BYTES 0x400u
#define TICK_NS 10u
#define TICK_FS 10000000ull
#define SHORTEST_NS 50000u
#define TIMERS 3u

enum hpet_register {
    HPET_CAPABILITIES = 0x000,
    HPET_CONFIGURATION = 0x010,
    HPET_STATUS = 0x020,
    HPET_COUNTER = 0x0f0,
    HPET_TIMERS = 0x100, /* 0x20 bytes each: */
    TIMER_CONFIGURATION = 0x00,
    TIMER_COMPARATOR = 0x08,
};
#define CAPABILITY_LEGACY (1ull << 15)
#define CAPABILITIES (0x80862001ull | (TIMERS - 1) << 8 | TICK_FS << 32)
#define CONFIGURATION_ENABLE 1u
#define CONFIGURATION_LEGACY 2u

#define TIMER_LEVEL (1u << 1)
#define TIMER_ENABLE (1u << 2)
#define TIMER_PERIODIC (1u << 3)
#define TIMER_CAN_PERIODIC (1u << 4)
#define TIMER_IS_64 (1u << 5)
#define TIMER_SET_VALUE (1u << 6)
#define TIMER_32 (1u << 8)
#define TIMER_ROUTE_SHIFT 9
#define TIMER_WRITABLE 0x3f4eu

struct hpet_timer {
    struct hpet *hpet;
    struct timer timer;
    uint64_t configuration; /* [dev.lock] as all below */
    uint64_t comparator, period;
    bool set_value; /* the next write of the comparator sets it beside the period */
};

struct hpet {
    struct device dev;
    struct region region;
    uint32_t routes;           /* [const] property: inputs a timer may drive */
    bool can_replace;          /* [const] */
    struct irq_line pit, rtc;  /* [const] the lines that were theirs */
    struct irq_line lines[32]; /* [const] by I/O APIC input */
    /* [dev.lock] */
    struct hpet_timer timers[TIMERS];
    uint64_t configuration, status;
    uint64_t offset; /* counter - ticks of the clock; while stopped, the counter */
    bool pit_level, rtc_level;
};

static struct hpet *hpet_of(struct device *dev)
{
    return container_of(dev, struct hpet, dev);
}

/* --- the counter ----------------------------------------------------------------------------- */

static bool enabled(const struct hpet *hpet)
{
    return hpet->configuration & CONFIGURATION_ENABLE;
}

static bool legacy(const struct hpet *hpet)
{
    return hpet->configuration & CONFIGURATION_LEGACY;
}

static uint64_t counter(const struct hpet *hpet)
{
    return enabled(hpet) ? clock_now_ns() / TICK_NS + hpet->offset : hpet->offset;
}

/* --- interrupts ------------------------------------------------------------------------------ */

static const struct irq_line *timer_line(const struct hpet *hpet, unsigned index)
{
    if (legacy(hpet) && index == 0)
        return &hpet->pit;
    if (legacy(hpet) && index == 1)
        return &hpet->rtc;
    unsigned route = hpet->timers[index].configuration >> TIMER_ROUTE_SHIFT & 31;
    return &hpet->lines[route];
}

static void timer_interrupt(struct hpet *hpet, unsigned index)
{
    const struct hpet_timer *timer = &hpet->timers[index];
    const struct irq_line *line = timer_line(hpet, index);
    if (timer->configuration & TIMER_LEVEL) {
        hpet->status |= 1u << index;
        if (timer->configuration & TIMER_ENABLE)
            irq_set(line, true);
    } else if (timer->configuration & TIMER_ENABLE) {
        irq_set(line, true);
        irq_set(line, false);
    }
}

/* The 8254's and the RTC's wires end here. */
static void cut_wire_set(void *opaque, unsigned pin, bool level)
{
    struct hpet *hpet = opaque;
    bool is_pit = pin == BOARD_IRQ_TIMER;
    pthread_mutex_lock(&hpet->dev.lock);
    *(is_pit ? &hpet->pit_level : &hpet->rtc_level) = level;
    if (!legacy(hpet))
        irq_set(is_pit ? &hpet->pit : &hpet->rtc, level);
    pthread_mutex_unlock(&hpet->dev.lock);
}

/* --- comparators ----------------------------------------------------------------------------- */

static uint64_t timer_mask(const struct hpet_timer *timer)
{
    return timer->configuration & TIMER_32 ? UINT32_MAX : UINT64_MAX;
}

static void timer_schedule(struct hpet_timer *timer)
{
    const struct hpet *hpet = timer->hpet;
    if (!enabled(hpet)) {
        timer_cancel(&timer->timer);
        return;
    }
    uint64_t left = (timer->comparator - counter(hpet)) & timer_mask(timer), ns;
    if (__builtin_mul_overflow(left, TICK_NS, &ns) || ns > INT64_MAX) {
        timer_cancel(&timer->timer); /* in some centuries */
        return;
    }
    timer_arm(&timer->timer, clock_now_ns() + ns);
}

static void timer_fired(void *opaque)
{
    struct hpet_timer *timer = opaque;
    struct hpet *hpet = timer->hpet;
    pthread_mutex_lock(&hpet->dev.lock);
    uint64_t mask = timer_mask(timer), late = (counter(hpet) - timer->comparator) & mask;
    if (!enabled(hpet) || late > mask / 2) { /* it was programmed anew meanwhile */
        timer_schedule(timer);
        pthread_mutex_unlock(&hpet->dev.lock);
        return;
    }
    if (timer->configuration & TIMER_PERIODIC && timer->period) {
        uint64_t behind = late + SHORTEST_NS / TICK_NS;
        uint64_t periods = behind < timer->period ? 1 : behind / timer->period;
        timer->comparator = (timer->comparator + periods * timer->period) & mask;
        timer_schedule(timer);
    } else if (timer->configuration & TIMER_32) {
        /* It matches again when the low half of the counter has come round. */
        timer_arm(&timer->timer, clock_now_ns() + (1ull << 32) * TICK_NS);
    }
    timer_interrupt(hpet, timer - hpet->timers);
    pthread_mutex_unlock(&hpet->dev.lock);
}

/* --- registers ------------------------------------------------------------------------------- */

static uint64_t capabilities(const struct hpet *hpet)
{
    return CAPABILITIES | (hpet->can_replace ? CAPABILITY_LEGACY : 0);
}

static uint64_t timer_capabilities(const struct hpet *hpet)
{
    return (uint64_t)hpet->routes << 32 | TIMER_CAN_PERIODIC | TIMER_IS_64;
}

static uint64_t register_get(const struct hpet *hpet, unsigned offset)
{
    unsigned index = (offset - HPET_TIMERS) / 0x20;
    switch (offset) {
    case HPET_CAPABILITIES:
        return capabilities(hpet);
    case HPET_CONFIGURATION:
        return hpet->configuration;
    case HPET_STATUS:
        return hpet->status;
    case HPET_COUNTER:
        return counter(hpet);
    default:
        break;
    }
    if (offset < HPET_TIMERS || index >= TIMERS)
        return 0;
    const struct hpet_timer *timer = &hpet->timers[index];
    switch (offset & 0x1f) {
    case TIMER_CONFIGURATION:
        return timer->configuration | timer_capabilities(hpet);
    case TIMER_COMPARATOR:
        return timer->comparator;
    default:
        return 0;
    }
}

static void configuration_set(struct hpet *hpet, uint64_t value)
{
    uint64_t now = counter(hpet);
    bool was_legacy = legacy(hpet);
    hpet->configuration =
        value & (CONFIGURATION_ENABLE | (hpet->can_replace ? CONFIGURATION_LEGACY : 0));
    hpet->offset = enabled(hpet) ? now - clock_now_ns() / TICK_NS : now;
    if (was_legacy != legacy(hpet)) {
        irq_set(&hpet->pit, !legacy(hpet) && hpet->pit_level);
        irq_set(&hpet->rtc, !legacy(hpet) && hpet->rtc_level);
    }
    for (unsigned i = 0; i < TIMERS; i++)
        timer_schedule(&hpet->timers[i]);
}

/* Writing ones ends level interrupts. */
static void status_clear(struct hpet *hpet, uint64_t value)
{
    for (unsigned i = 0; i < TIMERS; i++)
        if (value & hpet->status & 1u << i)
            irq_set(timer_line(hpet, i), false);
    hpet->status &= ~value;
}

/* With SET_VALUE, a write of a periodic timer's comparator sets what it matches first; without, how
 * much is added each time. */
static void comparator_set(struct hpet_timer *timer, uint64_t value)
{
    value &= timer_mask(timer);
    if (!(timer->configuration & TIMER_PERIODIC) || timer->set_value)
        timer->comparator = value;
    if (timer->configuration & TIMER_PERIODIC)
        timer->period = value;
    timer->set_value = false;
    timer_schedule(timer);
}

static void timer_configure(struct hpet *hpet, unsigned index, uint64_t value)
{
    struct hpet_timer *timer = &hpet->timers[index];
    if (hpet->status & 1u << index)
        irq_set(timer_line(hpet, index), false);
    timer->configuration = value & TIMER_WRITABLE & ~TIMER_SET_VALUE;
    timer->set_value = value & TIMER_SET_VALUE;
    timer->comparator &= timer_mask(timer);
    if (hpet->status & 1u << index && timer->configuration & TIMER_ENABLE)
        irq_set(timer_line(hpet, index), true);
    timer_schedule(timer);
}

static void register_set(struct hpet *hpet, unsigned offset, uint64_t value)
{
    unsigned index = (offset - HPET_TIMERS) / 0x20;
    switch (offset) {
    case HPET_CONFIGURATION:
        configuration_set(hpet, value);
        return;
    case HPET_STATUS:
        status_clear(hpet, value);
        return;
    case HPET_COUNTER:
        hpet->offset = enabled(hpet) ? value - clock_now_ns() / TICK_NS : value;
        for (unsigned i = 0; i < TIMERS; i++)
            timer_schedule(&hpet->timers[i]);
        return;
    default:
        break;
    }
    if (offset < HPET_TIMERS || index >= TIMERS)
        return;
    if ((offset & 0x1f) == TIMER_CONFIGURATION)
        timer_configure(hpet, index, value);
    else if ((offset & 0x1f) == TIMER_COMPARATOR)
        comparator_set(&hpet->timers[index], value);
}

static uint64_t hpet_read(struct device *dev, uint64_t offset, unsigned size)
{
    return register_get(hpet_of(dev), offset & ~7u) >> (offset & 4 ? 32 : 0);
}

/* Half a register: the other half stays, except that a status bit is not written twice, and that a
 * comparator of 32 bits has no upper half. */
static void hpet_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct hpet *hpet = hpet_of(dev);
    unsigned reg = offset & ~7u;
    if (size == 4) {
        uint64_t old = reg == HPET_STATUS ? 0 : register_get(hpet, reg);
        value =
            offset & 4 ? (old & UINT32_MAX) | value << 32 : (old & ~(uint64_t)UINT32_MAX) | value;
    }
    register_set(hpet, reg, value);
}

static const struct region_ops hpet_ops = {
    .read = hpet_read,
    .write = hpet_write,
    .min_size = 4,
    .max_size = 8,
};

/* --- life ------------------------------------------------------------------------------------ */

static struct irq_line cut_wire(struct hpet *hpet, unsigned gsi)
{
    struct irq_line *line = &hpet->dev.vm->gsi[gsi], old = *line;
    *line = (struct irq_line){ .set = cut_wire_set, .opaque = hpet, .pin = gsi };
    return old;
}

static bool hpet_realize(struct device *dev, GError **error)
{
    struct hpet *hpet = hpet_of(dev);
    struct vm *vm = dev->vm;
    hpet->can_replace =
        !vm->engine || !vm->engine->kernel_irqchip || !vm->engine->kernel_irqchip(vm);
    hpet->pit = vm->gsi[BOARD_IRQ_TIMER];
    hpet->rtc = vm->gsi[BOARD_IRQ_RTC];
    if (hpet->can_replace) {
        hpet->pit = cut_wire(hpet, BOARD_IRQ_TIMER);
        hpet->rtc = cut_wire(hpet, BOARD_IRQ_RTC);
    }
    for (unsigned i = 0; i < BOARD_GSI_COUNT; i++)
        if (hpet->routes >> i & 1)
            hpet->lines[i] = i == 2 ? hpet->pit : i == 8 ? hpet->rtc : board_gsi_shared(vm, i);
    for (unsigned i = 0; i < TIMERS; i++) {
        hpet->timers[i].hpet = hpet;
        timer_init(&hpet->timers[i].timer, timer_fired, &hpet->timers[i]);
    }
    hpet->region = (struct region){
        .name = "hpet",
        .base = HPET_BASE,
        .size = HPET_BYTES,
        .ops = &hpet_ops,
        .dev = dev,
        .priority = 1,
    };
    address_space_add(vm->memory, &hpet->region);
    return true;
}

static void hpet_reset(struct device *dev)
{
    struct hpet *hpet = hpet_of(dev);
    status_clear(hpet, hpet->status);
    hpet->configuration = hpet->offset = 0;
    for (unsigned i = 0; i < TIMERS; i++) {
        struct hpet_timer *timer = &hpet->timers[i];
        timer_cancel(&timer->timer);
        timer->configuration = timer->period = 0;
        timer->comparator = UINT64_MAX;
        timer->set_value = false;
    }
}

static void hpet_unrealize(struct device *dev)
{
    struct hpet *hpet = hpet_of(dev);
    for (unsigned i = 0; i < TIMERS; i++)
        timer_cancel(&hpet->timers[i].timer);
    if (hpet->can_replace) {
        dev->vm->gsi[BOARD_IRQ_TIMER] = hpet->pit;
        dev->vm->gsi[BOARD_IRQ_RTC] = hpet->rtc;
    }
    address_space_remove(dev->vm->memory, &hpet->region);
}

static const struct property hpet_properties[] = {
    PROPERTY_U32("hpet-intcap", struct hpet, routes, 4, .max = 0xffffff,
                 .help = "I/O APIC inputs that timers can drive, a bit each"),
    {},
};

static const struct state_field hpet_state[] = {
    STATE(U64, struct hpet, configuration, .since = 1),
    STATE(U64, struct hpet, status, .since = 1),
    STATE(U64, struct hpet, offset, .since = 1),
    STATE(U64, struct hpet, timers[0].configuration, .since = 1),
    STATE(U64, struct hpet, timers[0].comparator, .since = 1),
    STATE(U64, struct hpet, timers[0].period, .since = 1),
    STATE(U64, struct hpet, timers[1].configuration, .since = 1),
    STATE(U64, struct hpet, timers[1].comparator, .since = 1),
    STATE(U64, struct hpet, timers[1].period, .since = 1),
    STATE(U64, struct hpet, timers[2].configuration, .since = 1),
    STATE(U64, struct hpet, timers[2].comparator, .since = 1),
    STATE(U64, struct hpet, timers[2].period, .since = 1),
    {},
};

DEVICE_TYPE(hpet) = {
    .name = "hpet",
    .description = "high precision event timer",
    .bus = &bus_system,
    .size = sizeof(struct hpet),
    .properties = hpet_properties,
    .state = hpet_state,
    .realize = hpet_realize,
    .reset = hpet_reset,
    .unrealize = hpet_unrealize,
};
