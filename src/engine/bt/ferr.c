/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 errors with CR0.NE clear: no exception, but FERR# to the board (vm->ferr), and the processor
 * stands still at the waiting instruction until an interrupt comes, hopefully the one that FERR#
 * leads to. With IGNNE# asserted it executes the instruction as if there were no error.
 *
 * The host knows only exceptions. To ignore an error, one instruction runs with all of them masked;
 * bit 12 of the control word, which processors since the 80387 keep but do not use, is inverted for
 * as long, so that afterwards one sees whether the instruction loaded the control word itself.
 * Translated code clears cpu.ignne where an instruction clears the error (translate.c).
 * (Intel SDM vol. 1, appendix D.2) Runs with guest vector registers live. */
#include "engine/bt/bt.h"
#include "hw/device.h"
#include "vm/vm.h"
#include "x86/access.h"

#define MASKS 0x3fu
#define MARK 0x1000u
#define SUMMARY 0x8080u /* ES, and B, which is the same */

static uint16_t *control_word(struct x86_cpu *cpu)
{
    return (uint16_t *)cpu->xsave;
}
static uint16_t *status_word(struct x86_cpu *cpu)
{
    return (uint16_t *)cpu->xsave + 1;
}

bool bt_ferr_error(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    const struct irq_line *ferr = v->bt->vm->ferr;
    if (cpu->cr0 & CR0_NE || !ferr)
        return false;
    if (cpu->ignne) {
        v->ferr = FERR_IGNORE;
        v->ferr_rip = cpu->rip;
    } else {
        x86_quiesce(cpu);
        cpu->halted = true;
        irq_set(ferr, true);
    }
    return true;
}

bool bt_ferr_begin(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    v->ferr = FERR_NOTHING;
    if (cpu->rip != v->ferr_rip) /* something else came first */
        return false;
    x86_quiesce(cpu);
    v->ferr_control = *control_word(cpu);
    *control_word(cpu) = (v->ferr_control ^ MARK) | MASKS;
    *status_word(cpu) &= ~SUMMARY;
    v->ferr = FERR_MASKED;
    return true;
}

void bt_ferr_end(struct bt_vcpu *v)
{
    struct x86_cpu *cpu = &v->cpu;
    v->ferr = FERR_NOTHING;
    x86_quiesce(cpu);
    if (*control_word(cpu) == ((v->ferr_control ^ MARK) | MASKS))
        *control_word(cpu) = v->ferr_control;
    if (*status_word(cpu) & ~*control_word(cpu) & MASKS)
        *status_word(cpu) |= SUMMARY;
}
