/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC of one vCPU, xAPIC and x2APIC (Intel SDM vol. 3, chapter 11).
 *
 *      message, LVT --> irr --> above ppr? --> lapic_acknowledge() --> isr --> EOI
 *                        any thread             the vCPU's thread only
 *
 * Acceptance is lock-free: the sender sets the trigger mode bit, then the request bit, and
 * announces the interrupt with vcpu_request() if the request bit was clear. The vCPU's thread takes
 * the announcement first and looks at `irr` afterwards, so that none is lost. Whatever lowers the
 * processor priority (EOI, TPR) announces again what it uncovers.
 *
 * ExtINT: the 8259 pair has no vector to offer before its INTA cycle. The boot CPU asks it directly
 * while LINT0 is set up for it, or while its APIC is disabled, when the wire goes to the core. */
#include "hw/intc/lapic.h"

#include "hw/board.h"
#include "util/log.h"
#include "vm/vm.h"

#define FIRST_VECTOR 16 /* lower ones are illegal */

/* --- acceptance: any thread ------------------------------------------------------------------ */

static int highest_irr(struct lapic *apic)
{
    for (int word = 3; word >= 0; word--) {
        uint64_t bits = atomic_load_explicit(&apic->irr[word], memory_order_acquire);
        if (bits)
            return word * 64 + 63 - __builtin_clzll(bits);
    }
    return -1;
}

static void lapic_set_irr(struct lapic *apic, uint8_t vector, bool level)
{
    uint64_t bit = 1ull << (vector & 63);
    if (level)
        atomic_fetch_or(&apic->tmr[vector >> 6], bit);
    else if (atomic_load(&apic->tmr[vector >> 6]) & bit)
        atomic_fetch_and(&apic->tmr[vector >> 6], ~bit);
    if (!(atomic_fetch_or(&apic->irr[vector >> 6], bit) & bit))
        vcpu_request(apic->vcpu, VCPU_INTERRUPT);
}

void lapic_error(struct lapic *apic, uint32_t bits)
{
    /* An error of the error interrupt itself stops here, because its bit is set by then. */
    if (~atomic_fetch_or(&apic->errors, bits) & bits)
        lapic_fire_lvt(apic, LVT_ERROR);
}

static void lapic_accept_vector(struct lapic *apic, uint8_t vector, bool level)
{
    if (vector < FIRST_VECTOR)
        lapic_error(apic, ESR_RECEIVED_ILLEGAL_VECTOR);
    else
        lapic_set_irr(apic, vector, level);
}

bool lapic_accept(struct lapic *apic, const struct apic_message *message)
{
    if (!lapic_enabled(apic))
        return false;
    switch (message->delivery) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (!lapic_software_enabled(apic))
            return false;
        lapic_accept_vector(apic, message->vector, message->level);
        return true;
    case APIC_NMI:
        vcpu_request(apic->vcpu, VCPU_NMI);
        return true;
    case APIC_INIT:
        vcpu_request(apic->vcpu, VCPU_INIT);
        return true;
    case APIC_SIPI:
        atomic_store(&apic->vcpu->sipi_vector, message->vector);
        vcpu_request(apic->vcpu, VCPU_SIPI);
        return true;
    case APIC_EXTINT:
        atomic_store(&apic->extint, true);
        vcpu_request(apic->vcpu, VCPU_INTERRUPT);
        return true;
    case APIC_SMI:
        vcpu_request(apic->vcpu, VCPU_SMI);
        return true;
    default:
        log_if(LOG_GUEST_ERRORS, "apic %u: delivery mode %u is reserved", apic->id,
               message->delivery);
        return false;
    }
}

void lapic_fire_lvt(struct lapic *apic, enum lapic_lvt which)
{
    uint32_t lvt = atomic_load(&apic->lvt[which]);
    if ((lvt & LVT_MASKED) || !lapic_enabled(apic))
        return;
    /* The timer's and the error entry have no delivery mode; their bits there read as fixed. */
    switch (lvt >> LVT_DELIVERY_SHIFT & 7) {
    case APIC_FIXED:
        lapic_accept_vector(apic, lvt & LVT_VECTOR, false);
        break;
    case APIC_NMI:
        vcpu_request(apic->vcpu, VCPU_NMI);
        break;
    case APIC_INIT:
        vcpu_request(apic->vcpu, VCPU_INIT);
        break;
    default:
        break; /* ExtINT is the 8259's, see lapic_sees_pic() */
    }
}

/* --- taking interrupts ----------------------------------------------------------------------- */

static bool lapic_sees_pic(struct lapic *apic)
{
    struct pic *pic = apic->dev.vm->pic;
    if (apic->id != 0 || !pic || !pic_has_interrupt(pic))
        return false;
    uint32_t lvt = atomic_load_explicit(&apic->lvt[LVT_LINT0], memory_order_relaxed);
    return !lapic_enabled(apic)
           || (!(lvt & LVT_MASKED) && (lvt >> LVT_DELIVERY_SHIFT & 7) == APIC_EXTINT);
}

/* The highest request above the processor priority, or -1. */
static int lapic_deliverable(struct lapic *apic)
{
    if (!lapic_enabled(apic))
        return -1;
    int vector = highest_irr(apic);
    unsigned ppr = atomic_load_explicit(&apic->ppr, memory_order_relaxed);
    return vector >= 0 && (unsigned)vector >> 4 > ppr >> 4 ? vector : -1;
}

bool lapic_has_interrupt(struct lapic *apic)
{
    return lapic_deliverable(apic) >= 0 || lapic_sees_pic(apic)
           || atomic_load_explicit(&apic->extint, memory_order_relaxed);
}

static int highest_isr(const struct lapic *apic)
{
    for (int word = 3; word >= 0; word--)
        if (apic->isr[word])
            return word * 64 + 63 - __builtin_clzll(apic->isr[word]);
    return -1;
}

static void lapic_update_ppr(struct lapic *apic)
{
    int served = highest_isr(apic);
    uint32_t ppr = apic->tpr;
    if (served >= 0 && (uint32_t)served >> 4 > apic->tpr >> 4)
        ppr = served & 0xf0;
    atomic_store_explicit(&apic->ppr, ppr, memory_order_relaxed);
}

/* After the priority fell or the 8259's way in changed. */
void lapic_announce(struct lapic *apic)
{
    if (lapic_has_interrupt(apic))
        vcpu_request(apic->vcpu, VCPU_INTERRUPT);
}

int lapic_acknowledge(struct lapic *apic)
{
    struct pic *pic = apic->dev.vm->pic;
    if (pic && (lapic_sees_pic(apic) || atomic_load(&apic->extint))) {
        atomic_store(&apic->extint, false);
        return pic_acknowledge(pic);
    }
    int vector = lapic_deliverable(apic);
    if (vector < 0)
        return -1;
    uint64_t bit = 1ull << (vector & 63);
    atomic_fetch_and(&apic->irr[vector >> 6], ~bit);
    apic->isr[vector >> 6] |= bit;
    lapic_update_ppr(apic);
    return vector;
}

void lapic_eoi(struct lapic *apic)
{
    int vector = highest_isr(apic);
    if (vector < 0)
        return;
    uint64_t bit = 1ull << (vector & 63);
    apic->isr[vector >> 6] &= ~bit;
    lapic_update_ppr(apic);
    if ((atomic_load(&apic->tmr[vector >> 6]) & bit) && apic->dev.vm->ioapic)
        ioapic_eoi(apic->dev.vm->ioapic, vector);
    lapic_announce(apic);
}

bool lapic_eoi_may_wait(struct lapic *apic, uint8_t vector)
{
    for (unsigned word = 0; word < 4; word++) {
        uint64_t only = word == vector >> 6 ? 1ull << (vector & 63) : 0;
        if (apic->isr[word] != only || atomic_load(&apic->tmr[word]) & only
            || atomic_load(&apic->irr[word]))
            return false;
    }
    return true;
}

uint8_t lapic_tpr_get(struct lapic *apic)
{
    return apic->tpr;
}

void lapic_tpr_set(struct lapic *apic, uint8_t tpr)
{
    bool lowered = tpr < apic->tpr;
    apic->tpr = tpr;
    lapic_update_ppr(apic);
    if (lowered)
        lapic_announce(apic);
}

/* --- sending --------------------------------------------------------------------------------- */

enum shorthand { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

static void lapic_send_to_others(struct lapic *apic, const struct apic_message *message)
{
    struct vm *vm = apic->dev.vm;
    for (unsigned i = 0; i < vm->config->cpus; i++)
        if (vm->vcpus[i] && vm->vcpus[i]->apic && vm->vcpus[i]->apic != apic)
            lapic_accept(vm->vcpus[i]->apic, message);
}

/* Sends what the interrupt command register holds (11.6.1). */
void lapic_send(struct lapic *apic)
{
    uint32_t icr = apic->icr_low;
    bool x2apic = lapic_is_x2apic(apic);
    struct apic_message message = {
        .destination = x2apic ? apic->icr_high : apic->icr_high >> 24,
        .from_x2apic = x2apic,
        .logical = icr & (1u << 11),
        .vector = icr & 0xff,
        .delivery = icr >> 8 & 7,
    };
    bool with_vector = message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST;
    if (with_vector && message.vector < FIRST_VECTOR) {
        lapic_error(apic, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    if (message.delivery == APIC_INIT && (icr & 0xc000) == 0x8000)
        return; /* INIT level de-assert: only old arbitration ids cared */
    switch ((enum shorthand)(icr >> 18 & 3)) {
    case TO_DESTINATION:
        apic_deliver(apic->dev.vm, &message);
        break;
    case TO_SELF:
        if (with_vector)
            lapic_accept(apic, &message);
        break;
    case TO_ALL:
        lapic_accept(apic, &message);
        lapic_send_to_others(apic, &message);
        break;
    case TO_OTHERS:
        lapic_send_to_others(apic, &message);
        break;
    }
}

/* --- life ------------------------------------------------------------------------------------ */

void lapic_reset_registers(struct lapic *apic)
{
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&apic->irr[i], 0);
        atomic_store(&apic->tmr[i], 0);
        apic->isr[i] = 0;
    }
    lapic_timer_reset(apic);
    atomic_store(&apic->extint, false);
    atomic_store(&apic->errors, 0);
    apic->tpr = apic->esr = apic->icr_low = apic->icr_high = 0;
    atomic_store(&apic->svr, 0xff);
    atomic_store(&apic->dfr, UINT32_MAX);
    /* In x2APIC mode the logical id follows from the physical one (11.12.10.2). */
    atomic_store(&apic->ldr,
                 lapic_is_x2apic(apic) ? (apic->id >> 4) << 16 | 1u << (apic->id & 15) : 0);
    for (unsigned i = 0; i < LVT_COUNT; i++)
        atomic_store(&apic->lvt[i], LVT_MASKED);
    lapic_update_ppr(apic);
}

void lapic_reset(struct lapic *apic, bool init)
{
    if (!init) {
        uint64_t old = atomic_load(&apic->base);
        atomic_store(&apic->base,
                     BOARD_LAPIC_ADDRESS | APIC_BASE_ENABLED | (apic->id == 0 ? APIC_BASE_BSP : 0));
        if ((old & APIC_BASE_ADDRESS) != BOARD_LAPIC_ADDRESS && old)
            apic_window_move(apic->dev.vm, BOARD_LAPIC_ADDRESS);
    }
    lapic_reset_registers(apic);
    /* Firmware opens this way for the 8259 early; a kernel started without firmware expects it. */
    if (apic->id == 0)
        atomic_store(&apic->lvt[LVT_LINT0], APIC_EXTINT << LVT_DELIVERY_SHIFT);
}

struct lapic *lapic_create(struct vm *vm, struct vcpu *vcpu)
{
    struct device *dev = device_new(vm, "lapic", NULL, NULL);
    assert(dev); /* the type is in this file */
    struct lapic *apic = container_of(dev, struct lapic, dev);
    apic->vcpu = vcpu;
    apic->id = vm_apic_id(vm, vcpu->index);
    lapic_timer_init(apic);
    lapic_reset(apic, false);
    return apic;
}

void lapic_free(struct lapic *apic)
{
    if (!apic)
        return;
    timer_cancel(&apic->timer);
    device_free(&apic->dev);
}

void lapic_set_eoi_collector(struct lapic *apic, void (*collect)(struct vcpu *vcpu))
{
    apic->collect_eoi = collect;
}

void lapic_set_tsc_conversion(struct lapic *apic,
                              uint64_t (*tsc_to_clock_ns)(struct vcpu *vcpu, uint64_t guest_tsc))
{
    apic->tsc_to_clock_ns = tsc_to_clock_ns;
}

static const struct state_field lapic_state[] = {
    STATE(BYTES, struct lapic, irr, .since = 1),
    STATE(BYTES, struct lapic, tmr, .since = 1),
    STATE(BYTES, struct lapic, isr, .since = 1),
    STATE(BOOL, struct lapic, extint, .since = 1),
    STATE(U32, struct lapic, errors, .since = 1),
    STATE(U64, struct lapic, base, .since = 1),
    STATE(U32, struct lapic, svr, .since = 1),
    STATE(U32, struct lapic, ldr, .since = 1),
    STATE(U32, struct lapic, dfr, .since = 1),
    STATE(BYTES, struct lapic, lvt, .since = 1),
    STATE(U32, struct lapic, tpr, .since = 1),
    STATE(U32, struct lapic, esr, .since = 1),
    STATE(U32, struct lapic, icr_low, .since = 1),
    STATE(U32, struct lapic, icr_high, .since = 1),
    STATE(U32, struct lapic, initial_count, .since = 1),
    STATE(U32, struct lapic, divide, .since = 1),
    STATE(U64, struct lapic, tsc_deadline, .since = 1),
    STATE(U64, struct lapic, expiry_ns, .since = 1),
    {},
};

DEVICE_TYPE(lapic) = {
    .name = "lapic",
    .description = "local APIC of one vCPU",
    .bus = &bus_system,
    .size = sizeof(struct lapic),
    .state = lapic_state,
};
