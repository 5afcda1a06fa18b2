/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System management mode: entry, the state save area, RSM. The save area is written and read by
 * physical address, as the processor sees memory in this mode (vm->smm_memory).
 *
 * Not there: restart of I/O instructions, and I/O trapping. What a handler put into the save area
 * is trusted as far as hardware does: registers that cannot be like this shut the processor down.
 */
#include "x86/smm.h"

#include "x86/descriptor.h"
#include "x86/handlers.h"
#include "x86/paging.h"

/* Offsets from SMBASE + 0x8000. (AMD APM vol. 2, table 10-1) */
enum {
    AREA = 0x8000,
    SAVED_ES = 0x7e00, /* ES, CS, SS, DS, FS, GS, 16 bytes each as SAVED_SELECTOR... say */
    SAVED_GDTR = 0x7e60,
    SAVED_LDTR = 0x7e70,
    SAVED_IDTR = 0x7e80,
    SAVED_TR = 0x7e90,
    SAVED_HALT = 0x7ec9, /* byte: bit 0: halt again */
    SAVED_EFER = 0x7ed0,
    SAVED_REVISION = 0x7efc,
    SAVED_SMBASE = 0x7f00,
    SAVED_CR4 = 0x7f48,
    SAVED_CR3 = 0x7f50,
    SAVED_CR0 = 0x7f58,
    SAVED_DR7 = 0x7f60,
    SAVED_DR6 = 0x7f68,
    SAVED_RFLAGS = 0x7f70,
    SAVED_RIP = 0x7f78,
    SAVED_RAX = 0x7ff8, /* the others below it, by number */

    SAVED_SELECTOR = 0, /* word, inside a segment's 16 bytes */
    SAVED_ATTRIBUTES = 2,
    SAVED_LIMIT = 4,
    SAVED_BASE = 8,
};
#define REVISION 0x00020064u /* bit 17: SMBASE may be changed */
#define ATTRIBUTES 0xf0ffu
#define ENTRY_IP 0x8000u
#define EFER_DEFINED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR | EFER_AUTOIBRS)

static void save(struct x86_cpu *cpu, unsigned offset, uint64_t value, unsigned size)
{
    cpu->ops->phys_write(cpu, (cpu->smbase + AREA + offset) & cpu->a20_mask, value, size);
}

static uint64_t saved(struct x86_cpu *cpu, unsigned offset, unsigned size)
{
    return cpu->ops->phys_read(cpu, (cpu->smbase + AREA + offset) & cpu->a20_mask, size);
}

static void save_segment(struct x86_cpu *cpu, unsigned offset, const struct x86_segment *seg)
{
    save(cpu, offset + SAVED_SELECTOR, seg->selector, 2);
    save(cpu, offset + SAVED_ATTRIBUTES,
         seg->attr & (seg->attr & SEG_ATTR_UNUSABLE ? ATTRIBUTES & ~SEG_ATTR_P : ATTRIBUTES), 2);
    save(cpu, offset + SAVED_LIMIT, seg->limit, 4);
    save(cpu, offset + SAVED_BASE, seg->base, 8);
}

static void load_segment(struct x86_cpu *cpu, unsigned offset, struct x86_segment *seg)
{
    seg->selector = saved(cpu, offset + SAVED_SELECTOR, 2);
    seg->attr = saved(cpu, offset + SAVED_ATTRIBUTES, 2) & ATTRIBUTES;
    if (!(seg->attr & SEG_ATTR_P))
        seg->attr |= SEG_ATTR_UNUSABLE;
    seg->limit = saved(cpu, offset + SAVED_LIMIT, 4);
    seg->base = saved(cpu, offset + SAVED_BASE, 8);
}

static void save_table(struct x86_cpu *cpu, unsigned offset, const struct x86_table *table)
{
    save(cpu, offset + SAVED_LIMIT, table->limit, 4);
    save(cpu, offset + SAVED_BASE, table->base, 8);
}

static void load_table(struct x86_cpu *cpu, unsigned offset, struct x86_table *table)
{
    table->limit = saved(cpu, offset + SAVED_LIMIT, 4);
    table->base = saved(cpu, offset + SAVED_BASE, 8);
}

static void save_state(struct x86_cpu *cpu)
{
    for (unsigned n = 0; n < SEG_COUNT; n++)
        save_segment(cpu, SAVED_ES + 16 * n, &cpu->seg[n]);
    save_segment(cpu, SAVED_LDTR, &cpu->ldt);
    save_segment(cpu, SAVED_TR, &cpu->tr);
    save_table(cpu, SAVED_GDTR, &cpu->gdt);
    save_table(cpu, SAVED_IDTR, &cpu->idt);
    for (unsigned n = 0; n < 16; n++)
        save(cpu, SAVED_RAX - 8 * n, cpu->regs[n], 8);
    save(cpu, SAVED_RIP, cpu->rip, 8);
    save(cpu, SAVED_RFLAGS, cpu->rflags, 8);
    save(cpu, SAVED_DR6, cpu->dr[6], 8);
    save(cpu, SAVED_DR7, cpu->dr[7], 8);
    save(cpu, SAVED_CR0, cpu->cr0, 8);
    save(cpu, SAVED_CR3, cpu->cr3, 8);
    save(cpu, SAVED_CR4, cpu->cr4, 8);
    save(cpu, SAVED_EFER, cpu->efer, 8);
    save(cpu, SAVED_HALT, cpu->halted, 1);
    save(cpu, SAVED_REVISION, REVISION, 4);
    save(cpu, SAVED_SMBASE, cpu->smbase, 4);
}

void x86_smm_enter(struct x86_cpu *cpu)
{
    cpu->smi_pending = false;
    cpu->smm = true;
    cpu->smi_count++;
    save_state(cpu);

    cpu->smm_nmi_blocked = cpu->nmi_blocked;
    cpu->nmi_blocked = true;
    cpu->halted = cpu->int_shadow = false;
    cpu->rip = ENTRY_IP;
    cpu->rflags = FLAG_FIXED;
    cpu->cr0 &= ~(uint64_t)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    cpu->cr4 = 0;
    cpu->efer = 0;
    cpu->dr[7] = 0x400;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        cpu->seg[n] = (struct x86_segment){
            .limit = UINT32_MAX,
            .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_WRITABLE | SEG_ATTR_ACCESSED | SEG_ATTR_G,
        };
    cpu->seg[SEG_CS].selector = cpu->smbase >> 4;
    cpu->seg[SEG_CS].base = cpu->smbase;
    x86_set_cpl(cpu, 0);
    cpu->ops->flush_all(cpu, false);
    cpu->ops->mode_changed(cpu);
}

/* Values that no processor can have. (Intel SDM vol. 3, 32.5: they lead to shutdown) */
static bool registers_possible(const struct x86_cpu *cpu)
{
    bool paging = cpu->cr0 & CR0_PG;

    if (cpu->cr0 >> 32 || (paging && !(cpu->cr0 & CR0_PE))
        || ((cpu->cr0 & CR0_NW) && !(cpu->cr0 & CR0_CD)) || (cpu->cr4 & ~x86_cr4_allowed(cpu))
        || (cpu->efer & ~(uint64_t)EFER_DEFINED))
        return false;
    if (cpu->efer & EFER_LMA)
        return paging && (cpu->efer & EFER_LME) && (cpu->cr4 & CR4_PAE);
    return !(paging && (cpu->efer & EFER_LME));
}

static void load_state(struct x86_cpu *cpu)
{
    for (unsigned n = 0; n < SEG_COUNT; n++)
        load_segment(cpu, SAVED_ES + 16 * n, &cpu->seg[n]);
    load_segment(cpu, SAVED_LDTR, &cpu->ldt);
    load_segment(cpu, SAVED_TR, &cpu->tr);
    load_table(cpu, SAVED_GDTR, &cpu->gdt);
    load_table(cpu, SAVED_IDTR, &cpu->idt);
    for (unsigned n = 0; n < 16; n++)
        cpu->regs[n] = saved(cpu, SAVED_RAX - 8 * n, 8);
    cpu->rip = saved(cpu, SAVED_RIP, 8);
    cpu->rflags = saved(cpu, SAVED_RFLAGS, 4) | FLAG_FIXED;
    cpu->dr[6] = saved(cpu, SAVED_DR6, 4) | DR6_FIXED;
    cpu->dr[7] = saved(cpu, SAVED_DR7, 4) | 0x400;
    cpu->cr0 = saved(cpu, SAVED_CR0, 8) | CR0_ET;
    cpu->cr3 = saved(cpu, SAVED_CR3, 8);
    cpu->cr4 = saved(cpu, SAVED_CR4, 8);
    cpu->efer = saved(cpu, SAVED_EFER, 8);
    cpu->halted = saved(cpu, SAVED_HALT, 1) & 1;
    cpu->smbase = saved(cpu, SAVED_SMBASE, 4);
}

enum x86_next x86_do_rsm(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool possible;

    if (!cpu->smm)
        x86_raise(cpu, VECTOR_UD);
    load_state(cpu);
    cpu->smm = false;
    cpu->nmi_blocked = cpu->smm_nmi_blocked;
    cpu->smm_nmi_blocked = false;
    possible = registers_possible(cpu);
    if (possible && (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LMA))
        possible = x86_load_pdptes(cpu, cpu->cr3);
    if (!possible) {
        x86_cpu_reset(cpu, true); /* nothing is left that could run */
        cpu->delivering = X86_DELIVERING_DOUBLE_FAULT;
    }
    x86_set_cpl(cpu, x86_v86(cpu)         ? 3
                     : x86_protected(cpu) ? cpu->seg[SEG_SS].attr >> SEG_ATTR_DPL_SHIFT & 3
                                          : 0);
    cpu->ops->flush_all(cpu, false);
    cpu->ops->mode_changed(cpu);
    if (!possible)
        x86_raise(cpu, VECTOR_DF); /* shutdown */
    return X86_JUMP;
}
