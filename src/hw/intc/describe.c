/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/intc/describe.h"

#include <inttypes.h>

#include "hw/intc/lapic.h"

#define LVT_POLARITY (1u << 13)
#define LVT_LEVEL (1u << 15)
#define LVT_PENDING (1u << 12)
#define LVT_REMOTE_IRR (1u << 14)

const char *apic_delivery_name(unsigned delivery)
{
    static const char *const names[8] = {
        [APIC_FIXED] = "Fixed", [APIC_LOWEST] = "LowPri",
        [APIC_SMI] = "SMI",     [3] = "...",
        [APIC_NMI] = "NMI",     [APIC_INIT] = "INIT",
        [APIC_SIPI] = "SIPI",   [APIC_EXTINT] = "ExtINT",
    };
    return names[delivery & 7];
}

static void add_lvt(struct lapic *apic, enum lapic_lvt which, const char *name, GString *to)
{
    static const char *const modes[4] = { "one-shot", "periodic", "tsc-deadline", "reserved" };
    uint32_t lvt = atomic_load(&apic->lvt[which]);

    g_string_append_printf(to, "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s", name, lvt,
                           lvt & LVT_POLARITY ? "active-lo" : "active-hi",
                           lvt & LVT_LEVEL ? "level" : "edge", lvt & LVT_MASKED ? "masked" : "",
                           lvt & LVT_PENDING ? "pending" : "",
                           which == LVT_TIMER ? modes[lvt >> LVT_TIMER_MODE_SHIFT & 3] : "",
                           apic_delivery_name(lvt >> LVT_DELIVERY_SHIFT));
    unsigned delivery = lvt >> LVT_DELIVERY_SHIFT & 7;
    if (delivery == APIC_FIXED || delivery == APIC_LOWEST)
        g_string_append_printf(to, " (vec %u)", lvt & LVT_VECTOR);
    g_string_append_c(to, '\n');
}

/* `level`: of the requests, those that came level triggered; NULL: not known. */
static void add_vectors(const char *name, const uint64_t *set, const uint64_t *level, GString *to)
{
    bool any = false;

    g_string_append_printf(to, "%s\t", name);
    for (unsigned vector = 0; vector < 256; vector++) {
        if (!(set[vector >> 6] >> (vector & 63) & 1))
            continue;
        bool is_level = level && level[vector >> 6] >> (vector & 63) & 1;
        g_string_append_printf(to, " %u%s", vector, is_level ? "(level)" : "");
        any = true;
    }
    g_string_append(to, any ? "\n" : " (none)\n");
}

static void add_timer(struct lapic *apic, GString *to)
{
    uint32_t divide = apic->divide, shift = ((divide & 3) | (divide >> 1 & 4)) + 1;

    g_string_append_printf(
        to, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n", divide,
        1u << (shift & 7), apic->initial_count, lapic_timer_read_current(apic));
}

static void add_icr(const struct lapic *apic, GString *to)
{
    static const char *const shorthands[4] = { "no-shorthand", "self", "all-self", "all" };
    uint32_t low = apic->icr_low;

    g_string_append_printf(to, "ICR\t 0x%08x %s %s %s %s\n", low,
                           low & 1u << 11 ? "logical" : "physical",
                           low & 1u << 15 ? "level" : "edge",
                           low & 1u << 14 ? "assert" : "de-assert", shorthands[low >> 18 & 3]);
    g_string_append_printf(to, "ICR2\t 0x%08x", apic->icr_high);
    if (!(low >> 18 & 3))
        g_string_append_printf(to, " %s %u", low & 1u << 11 ? "mask" : "cpu", apic->icr_high >> 24);
    g_string_append_c(to, '\n');
}

void lapic_describe(struct lapic *apic, GString *to)
{
    uint32_t svr = atomic_load(&apic->svr);
    uint64_t irr[4], tmr[4];

    for (unsigned i = 0; i < 4; i++) {
        irr[i] = atomic_load(&apic->irr[i]);
        tmr[i] = atomic_load(&apic->tmr[i]);
    }
    g_string_append_printf(to, "dumping local APIC state for CPU %u\n\n", apic->id);
    add_lvt(apic, LVT_LINT0, "LVT0", to);
    add_lvt(apic, LVT_LINT1, "LVT1", to);
    add_lvt(apic, LVT_PERFORMANCE, "LVTPC", to);
    add_lvt(apic, LVT_ERROR, "LVTERR", to);
    add_lvt(apic, LVT_THERMAL, "LVTTHMR", to);
    add_lvt(apic, LVT_TIMER, "LVTT", to);
    add_timer(apic, to);
    g_string_append_printf(to, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", svr,
                           svr & SVR_ENABLED ? "enabled" : "disabled", svr & 1u << 9 ? "on" : "off",
                           svr & 0xff);
    add_icr(apic, to);
    g_string_append_printf(to, "ESR\t 0x%08x\n", apic->esr);
    add_vectors("ISR", apic->isr, tmr, to);
    add_vectors("IRR", irr, tmr, to);
    g_string_append_printf(to, "\nAPR 0x00 TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n",
                           apic->tpr, atomic_load(&apic->dfr) >> 28,
                           lapic_is_x2apic(apic) ? atomic_load(&apic->ldr)
                                                 : atomic_load(&apic->ldr) >> 24,
                           atomic_load(&apic->ppr));
}
