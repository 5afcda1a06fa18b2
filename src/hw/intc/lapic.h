/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A local APIC from the inside; shared by lapic.c (registers), lapic_timer.c and apic_bus.c
 * (messages). Everybody else uses hw/intc/apic.h.
 *
 * Who may touch what: other vCPUs and the main loop only set bits in `irr` and `tmr`, raise
 * `extint`, add to `errors`, and look at the atomics by which messages find their destination. All
 * other registers belong to the vCPU's thread; the timer's are under dev.lock, because the main
 * loop fires it. */
#ifndef YADO_HW_INTC_LAPIC_H
#define YADO_HW_INTC_LAPIC_H

#include <stdatomic.h>

#include "hw/device.h"
#include "hw/intc/apic.h"
#include "util/timer.h"

/* Register numbers: the offset in the memory window >> 4, and the x2APIC MSR - 0x800
 * (Intel SDM vol. 3, tables 11-1 and 11-6). */
enum lapic_register {
    APIC_REG_ID = 0x02,
    APIC_REG_VERSION = 0x03,
    APIC_REG_TPR = 0x08,
    APIC_REG_APR = 0x09,
    APIC_REG_PPR = 0x0a,
    APIC_REG_EOI = 0x0b,
    APIC_REG_RRD = 0x0c,
    APIC_REG_LDR = 0x0d,
    APIC_REG_DFR = 0x0e,
    APIC_REG_SVR = 0x0f,
    APIC_REG_ISR = 0x10,
    APIC_REG_TMR = 0x18,
    APIC_REG_IRR = 0x20,
    APIC_REG_ESR = 0x28,
    APIC_REG_ICR = 0x30,
    APIC_REG_ICR_HIGH = 0x31,
    APIC_REG_LVT = 0x32,
    APIC_REG_INITIAL_COUNT = 0x38,
    APIC_REG_CURRENT_COUNT = 0x39,
    APIC_REG_DIVIDE = 0x3e,
    APIC_REG_SELF_IPI = 0x3f,
};

enum lapic_lvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERFORMANCE,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    LVT_COUNT
};

#define LVT_VECTOR 0xffu
#define LVT_DELIVERY_SHIFT 8
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE_SHIFT 17
enum lapic_timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

#define SVR_ENABLED (1u << 8)

#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLED (1u << 11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

/* Error status bits (11.5.3) */
#define ESR_SEND_ILLEGAL_VECTOR (1u << 5)
#define ESR_RECEIVED_ILLEGAL_VECTOR (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)

struct lapic {
    struct device dev; /* of type "lapic", not in vm->devices; its lock: the timer's */
    struct vcpu *vcpu; /* [const] */
    uint32_t id;       /* [const] the vCPU's index */

    /* [atomic] any thread */
    _Atomic uint64_t irr[4], tmr[4];
    atomic_bool extint; /* an ExtINT message waits for its INTA cycle */
    atomic_uint errors; /* since the last write of ESR */

    /* [atomic] written by the vCPU's thread, read by any */
    _Atomic uint64_t base; /* IA32_APIC_BASE */
    atomic_uint svr, ldr, dfr, ppr;
    atomic_uint lvt[LVT_COUNT];

    /* The vCPU's thread only */
    uint64_t isr[4];
    uint32_t tpr, esr, icr_low, icr_high;

    /* [dev.lock] */
    struct timer timer;
    uint32_t initial_count, divide;
    uint64_t tsc_deadline; /* guest TSC; 0 once fired */
    uint64_t expiry_ns;    /* UINT64_MAX: not running */
    uint64_t (*tsc_to_clock_ns)(struct vcpu *vcpu, uint64_t guest_tsc); /* [const] */
    void (*collect_eoi)(struct vcpu *vcpu);                             /* [const] or NULL */
};

static inline bool lapic_enabled(struct lapic *apic)
{
    return atomic_load_explicit(&apic->base, memory_order_relaxed) & APIC_BASE_ENABLED;
}

static inline bool lapic_is_x2apic(struct lapic *apic)
{
    return atomic_load_explicit(&apic->base, memory_order_relaxed) & APIC_BASE_X2APIC;
}

static inline bool lapic_software_enabled(struct lapic *apic)
{
    return atomic_load_explicit(&apic->svr, memory_order_relaxed) & SVR_ENABLED;
}

/* --- any thread --- */
/* Takes one message; false if this APIC does not listen. */
bool lapic_accept(struct lapic *apic, const struct apic_message *message);
/* A local source (timer, error, LINT pin) fires. */
void lapic_fire_lvt(struct lapic *apic, enum lapic_lvt which);
void lapic_error(struct lapic *apic, uint32_t bits);

/* --- the vCPU's thread --- */
/* After the priority fell or the 8259's way in changed: announces what is deliverable now. */
void lapic_announce(struct lapic *apic);
/* Sends what the interrupt command register holds. */
void lapic_send(struct lapic *apic);
/* All registers but IA32_APIC_BASE as after power-on, in the mode that says. */
void lapic_reset_registers(struct lapic *apic);

/* --- the vCPU's thread: timer registers --- */
void lapic_timer_init(struct lapic *apic);
void lapic_timer_reset(struct lapic *apic);
void lapic_timer_write_lvt(struct lapic *apic, uint32_t value);
void lapic_timer_write_initial(struct lapic *apic, uint32_t count);
void lapic_timer_write_divide(struct lapic *apic, uint32_t value);
uint32_t lapic_timer_read_current(struct lapic *apic);
bool lapic_timer_write_deadline(struct lapic *apic, uint64_t tsc);
uint64_t lapic_timer_read_deadline(struct lapic *apic);

/* IA32_APIC_BASE moved the registers: the board's window follows. */
void apic_window_move(struct vm *vm, uint64_t base);

/* The window's registers, as the current vCPU sees them. */
uint32_t lapic_mmio_read(struct lapic *apic, uint32_t offset);
void lapic_mmio_write(struct lapic *apic, uint32_t offset, uint32_t value);

#endif
