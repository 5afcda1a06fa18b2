/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fast system calls. SYSCALL outside 64-bit code, and SYSENTER inside long mode, exist on one
 * vendor's processors each. (Intel SDM vol. 2; AMD APM vol. 3) */
#include "x86/handlers.h"
#include "x86/model.h"

#define ATTR_CODE64 0xa09bu /* present, accessed, readable code, L, G; DPL 0 */
#define ATTR_CODE32 0xc09bu
#define ATTR_DATA32 0xc093u
#define ATTR_DPL3 0x60u

static bool is_amd(const struct x86_cpu *cpu)
{
    return cpu->model->vendor == X86_VENDOR_AMD;
}

/* CS and SS as these instructions load them: flat, without looking at the GDT. */
static void load_flat(struct x86_cpu *cpu, uint16_t cs, uint32_t cs_attr, uint16_t ss, unsigned cpl)
{
    uint32_t dpl = cpl << SEG_ATTR_DPL_SHIFT;

    cpu->seg[SEG_CS] =
        (struct x86_segment){ .limit = 0xffffffffu, .attr = cs_attr | dpl, .selector = cs };
    cpu->seg[SEG_SS] =
        (struct x86_segment){ .limit = 0xffffffffu, .attr = ATTR_DATA32 | dpl, .selector = ss };
    cpu->cpl = cpl;
}

static enum x86_next switched(struct x86_cpu *cpu)
{
    cpu->ops->mode_changed(cpu);
    return X86_JUMP;
}

/* SYSCALL and SYSRET: #UD unless enabled and legal in this mode. */
static void check_syscall(struct x86_cpu *cpu)
{
    if (unlikely(!(cpu->efer & EFER_SCE)) || (unlikely(!x86_code64(cpu)) && !is_amd(cpu)))
        x86_raise(cpu, VECTOR_UD);
}

enum x86_next x86_do_syscall(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t next = rip_next(cpu, insn);
    uint16_t cs = (cpu->star >> 32) & 0xfffc;

    check_syscall(cpu);
    if (likely(x86_long_mode(cpu))) {
        bool wide = x86_code64(cpu);

        cpu->regs[RCX] = next;
        cpu->regs[R11] = cpu->rflags & ~(uint64_t)FLAG_RF;
        cpu->rflags = (cpu->rflags & ~(cpu->sfmask | FLAG_RF)) | FLAG_FIXED;
        cpu->rip = wide ? cpu->lstar : cpu->cstar;
        load_flat(cpu, cs, ATTR_CODE64, cs + 8, 0);
    } else {
        need_protected(cpu);
        cpu->regs[RCX] = (uint32_t)next;
        cpu->rflags &= ~(uint64_t)(FLAG_IF | FLAG_RF | FLAG_VM);
        cpu->rip = (uint32_t)cpu->star;
        load_flat(cpu, cs, ATTR_CODE32, cs + 8, 0);
    }
    return switched(cpu);
}

enum x86_next x86_do_sysret(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t flags = 0x3c7fd7; /* what R11 may set */
    bool wide = insn->prefixes & X86_PREFIX_REX_W;
    uint16_t base = cpu->star >> 48;

    check_syscall(cpu);
    need_protected(cpu);
    need_cpl0(cpu);
    /* Intel checks the return address here, still in ring 0; AMD when it is fetched, in ring 3. */
    if (wide && unlikely(!x86_canonical(cpu, cpu->regs[RCX])) && !is_amd(cpu))
        x86_raise_error(cpu, VECTOR_GP, 0);
    if (x86_long_mode(cpu))
        cpu->rflags = (cpu->regs[R11] & flags) | FLAG_FIXED;
    else
        cpu->rflags |= FLAG_IF;
    cpu->rip = wide ? cpu->regs[RCX] : (uint32_t)cpu->regs[RCX];
    load_flat(cpu, (base + (wide ? 16 : 0)) | 3, wide ? ATTR_CODE64 : ATTR_CODE32, (base + 8) | 3,
              3);
    cpu->ops->interrupts_changed(cpu);
    return switched(cpu);
}

static void check_sysenter(struct x86_cpu *cpu)
{
    if (is_amd(cpu) && x86_long_mode(cpu))
        x86_raise(cpu, VECTOR_UD);
    if (!x86_protected(cpu) || !(cpu->sysenter_cs & 0xfffc))
        x86_raise_error(cpu, VECTOR_GP, 0);
}

enum x86_next x86_do_sysenter(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool wide = x86_long_mode(cpu);
    uint16_t cs = cpu->sysenter_cs & 0xfffc;

    check_sysenter(cpu);
    cpu->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
    cpu->regs[RSP] = wide ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    cpu->rip = wide ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip;
    load_flat(cpu, cs, wide ? ATTR_CODE64 : ATTR_CODE32, cs + 8, 0);
    return switched(cpu);
}

enum x86_next x86_do_sysexit(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool wide = insn->prefixes & X86_PREFIX_REX_W;
    uint16_t cs = cpu->sysenter_cs + (wide ? 32 : 16);

    check_sysenter(cpu);
    need_cpl0(cpu);
    if (wide && (!x86_canonical(cpu, cpu->regs[RCX]) || !x86_canonical(cpu, cpu->regs[RDX])))
        x86_raise_error(cpu, VECTOR_GP, 0);
    cpu->rip = wide ? cpu->regs[RDX] : (uint32_t)cpu->regs[RDX];
    cpu->regs[RSP] = wide ? cpu->regs[RCX] : (uint32_t)cpu->regs[RCX];
    load_flat(cpu, cs | 3, wide ? ATTR_CODE64 : ATTR_CODE32, (cs + 8) | 3, 3);
    return switched(cpu);
}
