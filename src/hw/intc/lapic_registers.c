/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's registers: one set, seen through the memory window in xAPIC mode and through
 * MSRs in x2APIC mode (Intel SDM vol. 3, 11.4 and 11.12). What differs between the two is below the
 * common part, under "the memory window" and "MSRs". All on the vCPU's own thread. */
#include "hw/intc/lapic.h"

#include "util/log.h"
#include "vm/vm.h"

#define VERSION_VALUE (0x14 | (LVT_COUNT - 1) << 16)

static const uint32_t lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERFORMANCE] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

/* --- registers ------------------------------------------------------------------------------- */

static uint32_t word_of(const uint64_t *words, unsigned index)
{
    return words[index / 2] >> (32 * (index & 1));
}

static uint32_t atomic_word_of(_Atomic uint64_t *words, unsigned index)
{
    return atomic_load(&words[index / 2]) >> (32 * (index & 1));
}

/* What is in service is about to matter. */
static void collect_eoi(struct lapic *apic)
{
    if (apic->collect_eoi)
        apic->collect_eoi(apic->vcpu);
}

/* False: no such register. */
static bool lapic_register_read(struct lapic *apic, unsigned reg, uint32_t *value)
{
    if (reg == APIC_REG_PPR || (reg >= APIC_REG_ISR && reg < APIC_REG_TMR))
        collect_eoi(apic);
    switch (reg) {
    case APIC_REG_ID:
        *value = lapic_is_x2apic(apic) ? apic->id : apic->id << 24;
        return true;
    case APIC_REG_VERSION:
        *value = VERSION_VALUE;
        return true;
    case APIC_REG_TPR:
        *value = apic->tpr;
        return true;
    case APIC_REG_PPR:
        *value = atomic_load(&apic->ppr);
        return true;
    case APIC_REG_LDR:
        *value = atomic_load(&apic->ldr);
        return true;
    case APIC_REG_SVR:
        *value = atomic_load(&apic->svr);
        return true;
    case APIC_REG_ISR ... APIC_REG_ISR + 7:
        *value = word_of(apic->isr, reg - APIC_REG_ISR);
        return true;
    case APIC_REG_TMR ... APIC_REG_TMR + 7:
        *value = atomic_word_of(apic->tmr, reg - APIC_REG_TMR);
        return true;
    case APIC_REG_IRR ... APIC_REG_IRR + 7:
        *value = atomic_word_of(apic->irr, reg - APIC_REG_IRR);
        return true;
    case APIC_REG_ESR:
        *value = apic->esr;
        return true;
    case APIC_REG_ICR:
        *value = apic->icr_low;
        return true;
    case APIC_REG_LVT ... APIC_REG_LVT + LVT_COUNT - 1:
        *value = atomic_load(&apic->lvt[reg - APIC_REG_LVT]);
        return true;
    case APIC_REG_INITIAL_COUNT:
        *value = apic->initial_count;
        return true;
    case APIC_REG_CURRENT_COUNT:
        *value = lapic_timer_read_current(apic);
        return true;
    case APIC_REG_DIVIDE:
        *value = apic->divide;
        return true;
    default:
        return false;
    }
}

static void lapic_write_lvt(struct lapic *apic, enum lapic_lvt which, uint32_t value)
{
    value &= lvt_writable[which];
    if (!lapic_software_enabled(apic))
        value |= LVT_MASKED;
    if (which == LVT_TIMER)
        lapic_timer_write_lvt(apic, value);
    else
        atomic_store(&apic->lvt[which], value);
    if (which == LVT_LINT0)
        lapic_announce(apic);
}

static void lapic_write_svr(struct lapic *apic, uint32_t value)
{
    atomic_store(&apic->svr, value & 0x1ff);
    if (value & SVR_ENABLED)
        return;
    for (unsigned i = 0; i < LVT_COUNT; i++) /* disabling by software masks all local sources */
        atomic_fetch_or(&apic->lvt[i], LVT_MASKED);
}

static bool lapic_register_write(struct lapic *apic, unsigned reg, uint32_t value)
{
    if (reg == APIC_REG_EOI)
        collect_eoi(apic);
    switch (reg) {
    case APIC_REG_TPR:
        lapic_tpr_set(apic, value);
        return true;
    case APIC_REG_EOI:
        lapic_eoi(apic);
        return true;
    case APIC_REG_SVR:
        lapic_write_svr(apic, value);
        return true;
    case APIC_REG_ESR:
        apic->esr = atomic_exchange(&apic->errors, 0);
        return true;
    case APIC_REG_LVT ... APIC_REG_LVT + LVT_COUNT - 1:
        lapic_write_lvt(apic, reg - APIC_REG_LVT, value);
        return true;
    case APIC_REG_INITIAL_COUNT:
        lapic_timer_write_initial(apic, value);
        return true;
    case APIC_REG_DIVIDE:
        lapic_timer_write_divide(apic, value);
        return true;
    default:
        return false;
    }
}

static void lapic_write_icr(struct lapic *apic, uint32_t value)
{
    apic->icr_low = value & 0xccfff; /* the delivery status bit stays zero: sent at once */
    lapic_send(apic);
}

/* --- the memory window (xAPIC) --------------------------------------------------------------- */

uint32_t lapic_mmio_read(struct lapic *apic, uint32_t offset)
{
    uint32_t value = 0;
    if (!lapic_enabled(apic) || lapic_is_x2apic(apic))
        return UINT32_MAX;
    unsigned reg = offset >> 4;
    if (offset & 0xf)
        return 0; /* between registers; undefined by the manual */
    if (lapic_register_read(apic, reg, &value))
        return value;
    switch (reg) {
    case APIC_REG_ICR_HIGH:
        return apic->icr_high;
    case APIC_REG_DFR:
        return atomic_load(&apic->dfr);
    case APIC_REG_APR:
    case APIC_REG_RRD:
    case APIC_REG_EOI:
        return 0;
    default:
        break;
    }
    log_if(LOG_GUEST_ERRORS, "apic %u: read at offset 0x%x, where no register is", apic->id,
           offset);
    lapic_error(apic, ESR_ILLEGAL_REGISTER);
    return 0;
}

void lapic_mmio_write(struct lapic *apic, uint32_t offset, uint32_t value)
{
    if (!lapic_enabled(apic) || lapic_is_x2apic(apic) || (offset & 0xf))
        return;
    unsigned reg = offset >> 4;
    if (lapic_register_write(apic, reg, value))
        return;
    switch (reg) {
    case APIC_REG_ICR:
        lapic_write_icr(apic, value);
        return;
    case APIC_REG_ICR_HIGH:
        apic->icr_high = value & 0xff000000;
        return;
    case APIC_REG_LDR:
        atomic_store(&apic->ldr, value & 0xff000000);
        return;
    case APIC_REG_DFR:
        atomic_store(&apic->dfr, value | 0x0fffffff);
        return;
    case APIC_REG_ID: /* read-only here, as on current processors */
    case APIC_REG_VERSION:
        return;
    default:
        break;
    }
    log_if(LOG_GUEST_ERRORS, "apic %u: write at offset 0x%x, where no writable register is",
           apic->id, offset);
    lapic_error(apic, ESR_ILLEGAL_REGISTER);
}

/* --- MSRs ------------------------------------------------------------------------------------ */

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800
#define MSR_X2APIC_END 0x8ff

/* Legal: disabled <-> xAPIC -> x2APIC -> disabled (11.12.5). */
static bool lapic_write_base(struct lapic *apic, uint64_t value)
{
    uint64_t mode_bits = APIC_BASE_ENABLED | APIC_BASE_X2APIC;
    uint64_t old = atomic_load(&apic->base);
    uint64_t from = old & mode_bits, to = value & mode_bits;
    if (value & ~(APIC_BASE_ADDRESS | APIC_BASE_BSP | mode_bits))
        return false;
    if (to == APIC_BASE_X2APIC || (from == 0 && to == mode_bits)
        || (from == mode_bits && to == APIC_BASE_ENABLED))
        return false;
    atomic_store(&apic->base, value);
    if (from != to && to == 0)
        lapic_reset_registers(apic);
    else if (from != to && to == mode_bits)
        atomic_store(&apic->ldr, (apic->id >> 4) << 16 | 1u << (apic->id & 15));
    if ((value ^ old) & APIC_BASE_ADDRESS)
        apic_window_move(apic->dev.vm, value & APIC_BASE_ADDRESS);
    lapic_announce(apic); /* a disabled APIC lets the 8259 through */
    return true;
}

static bool lapic_x2apic_read(struct lapic *apic, unsigned reg, uint64_t *value)
{
    uint32_t low;
    if (!lapic_enabled(apic) || !lapic_is_x2apic(apic))
        return false;
    if (reg == APIC_REG_ICR) {
        *value = (uint64_t)apic->icr_high << 32 | apic->icr_low;
        return true;
    }
    if (!lapic_register_read(apic, reg, &low))
        return false;
    *value = low;
    return true;
}

static bool lapic_x2apic_write(struct lapic *apic, unsigned reg, uint64_t value)
{
    if (!lapic_enabled(apic) || !lapic_is_x2apic(apic))
        return false;
    if (reg == APIC_REG_ICR) {
        apic->icr_high = value >> 32;
        lapic_write_icr(apic, value);
        return true;
    }
    if (value >> 32)
        return false;
    switch (reg) {
    case APIC_REG_SELF_IPI: {
        struct apic_message message = { .vector = value, .delivery = APIC_FIXED };
        if (value > 0xff)
            return false;
        lapic_accept(apic, &message);
        return true;
    }
    case APIC_REG_EOI:
    case APIC_REG_ESR:
        return value == 0 && lapic_register_write(apic, reg, 0);
    case APIC_REG_TPR:
        return value <= 0xff && lapic_register_write(apic, reg, value);
    default:
        return lapic_register_write(apic, reg, value);
    }
}

bool lapic_msr_read(struct lapic *apic, uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_APIC_BASE:
        *value = atomic_load(&apic->base);
        return true;
    case MSR_TSC_DEADLINE:
        *value = lapic_timer_read_deadline(apic);
        return true;
    case MSR_X2APIC ... MSR_X2APIC_END:
        return lapic_x2apic_read(apic, msr - MSR_X2APIC, value);
    default:
        return false;
    }
}

bool lapic_msr_write(struct lapic *apic, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_APIC_BASE:
        return lapic_write_base(apic, value);
    case MSR_TSC_DEADLINE:
        return lapic_timer_write_deadline(apic, value);
    case MSR_X2APIC ... MSR_X2APIC_END:
        return lapic_x2apic_write(apic, msr - MSR_X2APIC, value);
    default:
        return false;
    }
}
