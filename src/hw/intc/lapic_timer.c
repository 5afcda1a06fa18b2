/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's timer (Intel SDM vol. 3, 11.5.4): one-shot, periodic, TSC deadline.
 *
 * Its input clock is 1 GHz, so one count is (divisor) nanoseconds. The vCPU's thread writes the
 * registers, the main loop fires; both hold dev.lock. timer_cancel() may come too late for a
 * callback that is already on its way, so the callback believes `expiry_ns`, not the fact that it
 * runs. */
#include "hw/intc/lapic.h"

/* A guest that programs nanoseconds would keep the main loop from everything else. */
#define SHORTEST_PERIOD_NS 50000

static enum lapic_timer_mode timer_mode(struct lapic *apic)
{
    uint32_t mode = atomic_load(&apic->lvt[LVT_TIMER]) >> LVT_TIMER_MODE_SHIFT & 3;
    return mode > TIMER_TSC_DEADLINE ? TIMER_ONE_SHOT : mode; /* 3 is reserved */
}

/* The divide register counts 2, 4, … 128, 1 in its bits 3, 1 and 0. */
static unsigned timer_shift(const struct lapic *apic)
{
    unsigned code = (apic->divide & 3) | (apic->divide >> 1 & 4);
    return (code + 1) & 7;
}

static uint64_t timer_period_ns(const struct lapic *apic)
{
    return MAX((uint64_t)apic->initial_count << timer_shift(apic), SHORTEST_PERIOD_NS);
}

static void timer_stop(struct lapic *apic)
{
    apic->expiry_ns = UINT64_MAX;
    timer_cancel(&apic->timer);
}

/* Runs until `expiry_ns`. What is due already fires here and now, without the main loop. */
static void timer_start(struct lapic *apic, uint64_t expiry_ns)
{
    if (expiry_ns > clock_now_ns()) {
        apic->expiry_ns = expiry_ns;
        timer_arm(&apic->timer, expiry_ns);
        return;
    }
    timer_stop(apic);
    apic->tsc_deadline = 0;
    lapic_fire_lvt(apic, LVT_TIMER);
}

static void lapic_timer_fired(void *opaque)
{
    struct lapic *apic = opaque;
    pthread_mutex_lock(&apic->dev.lock);
    uint64_t now = clock_now_ns();
    if (now >= apic->expiry_ns) {
        if (timer_mode(apic) == TIMER_PERIODIC) {
            uint64_t period = timer_period_ns(apic);
            uint64_t missed = (now - apic->expiry_ns) / period;
            apic->expiry_ns += (missed + 1) * period;
            timer_arm(&apic->timer, apic->expiry_ns);
        } else {
            apic->expiry_ns = UINT64_MAX;
            apic->tsc_deadline = 0;
        }
        lapic_fire_lvt(apic, LVT_TIMER);
    } else if (apic->expiry_ns != UINT64_MAX) {
        timer_arm(&apic->timer, apic->expiry_ns);
    }
    pthread_mutex_unlock(&apic->dev.lock);
}

/* --- registers ------------------------------------------------------------------------------ */

static uint64_t timer_remaining(struct lapic *apic)
{
    uint64_t now = clock_now_ns();
    if (apic->expiry_ns == UINT64_MAX || timer_mode(apic) == TIMER_TSC_DEADLINE)
        return 0;
    if (now < apic->expiry_ns)
        return (apic->expiry_ns - now) >> timer_shift(apic);
    if (timer_mode(apic) != TIMER_PERIODIC)
        return 0;
    uint64_t period = timer_period_ns(apic); /* about to fire; the count has wrapped already */
    return (period - (now - apic->expiry_ns) % period) >> timer_shift(apic);
}

uint32_t lapic_timer_read_current(struct lapic *apic)
{
    pthread_mutex_lock(&apic->dev.lock);
    uint64_t count = timer_remaining(apic);
    pthread_mutex_unlock(&apic->dev.lock);
    return MIN(count, UINT32_MAX);
}

void lapic_timer_write_initial(struct lapic *apic, uint32_t count)
{
    pthread_mutex_lock(&apic->dev.lock);
    if (timer_mode(apic) != TIMER_TSC_DEADLINE) {
        apic->initial_count = count;
        if (count == 0)
            timer_stop(apic);
        else if (timer_mode(apic) == TIMER_PERIODIC)
            timer_start(apic, clock_now_ns() + timer_period_ns(apic));
        else
            timer_start(apic, clock_now_ns() + ((uint64_t)count << timer_shift(apic)));
    }
    pthread_mutex_unlock(&apic->dev.lock);
}

void lapic_timer_write_divide(struct lapic *apic, uint32_t value)
{
    pthread_mutex_lock(&apic->dev.lock);
    uint64_t count = timer_remaining(apic);
    apic->divide = value & 0x0b;
    if (count) /* a running count goes on at the new rate */
        timer_start(apic, clock_now_ns() + (count << timer_shift(apic)));
    pthread_mutex_unlock(&apic->dev.lock);
}

void lapic_timer_write_lvt(struct lapic *apic, uint32_t value)
{
    pthread_mutex_lock(&apic->dev.lock);
    bool was_deadline = timer_mode(apic) == TIMER_TSC_DEADLINE;
    atomic_store(&apic->lvt[LVT_TIMER], value);
    if (was_deadline != (timer_mode(apic) == TIMER_TSC_DEADLINE)) { /* either way it is disarmed */
        timer_stop(apic);
        apic->initial_count = 0;
        apic->tsc_deadline = 0;
    }
    pthread_mutex_unlock(&apic->dev.lock);
}

bool lapic_timer_write_deadline(struct lapic *apic, uint64_t tsc)
{
    if (!apic->tsc_to_clock_ns)
        return false;
    pthread_mutex_lock(&apic->dev.lock);
    if (timer_mode(apic) == TIMER_TSC_DEADLINE) { /* else the write is ignored */
        apic->tsc_deadline = tsc;
        if (tsc == 0)
            timer_stop(apic);
        else
            timer_start(apic, apic->tsc_to_clock_ns(apic->vcpu, tsc));
    }
    pthread_mutex_unlock(&apic->dev.lock);
    return true;
}

uint64_t lapic_timer_read_deadline(struct lapic *apic)
{
    pthread_mutex_lock(&apic->dev.lock);
    uint64_t tsc = timer_mode(apic) == TIMER_TSC_DEADLINE ? apic->tsc_deadline : 0;
    pthread_mutex_unlock(&apic->dev.lock);
    return tsc;
}

/* --- life ----------------------------------------------------------------------------------- */

void lapic_timer_init(struct lapic *apic)
{
    timer_init(&apic->timer, lapic_timer_fired, apic);
    apic->expiry_ns = UINT64_MAX;
}

void lapic_timer_reset(struct lapic *apic)
{
    pthread_mutex_lock(&apic->dev.lock);
    timer_stop(apic);
    apic->initial_count = 0;
    apic->divide = 0;
    apic->tsc_deadline = 0;
    pthread_mutex_unlock(&apic->dev.lock);
}
