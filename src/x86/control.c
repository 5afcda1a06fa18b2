/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control and debug registers, processor modes, flags that privilege guards, caches and TLB. */
#include "x86/descriptor.h"
#include "x86/handlers.h"
#include "x86/log.h"
#include "x86/model.h"

/* ---- CR0 to CR8 ----------------------------------------------------------------------------- */

#define CR0_DEFINED \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD \
     | CR0_PG)
#define CR3_NO_FLUSH (1ull << 63)

static void gp0(struct x86_cpu *cpu) __attribute__((noreturn, cold));
static void gp0(struct x86_cpu *cpu)
{
    x86_raise_error(cpu, VECTOR_GP, 0);
}

static bool pae_paging(const struct x86_cpu *cpu, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & (EFER_LME | EFER_LMA));
}

/* Rules of Intel SDM vol. 2, "MOV—Move to/from Control Registers", and vol. 3, 2.5 and 9.8.5. */
static void write_cr0(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->cr0, changed;

    if (value >> 32)
        gp0(cpu);
    value = (value & CR0_DEFINED) | CR0_ET;
    changed = old ^ value;
    if ((value & (CR0_PG | CR0_PE)) == CR0_PG || (value & (CR0_NW | CR0_CD)) == CR0_NW)
        gp0(cpu);
    if (changed & CR0_PG) {
        if (value & CR0_PG) {
            if ((cpu->efer & EFER_LME)
                && (!(cpu->cr4 & CR4_PAE) || (cpu->seg[SEG_CS].attr & SEG_ATTR_L)))
                gp0(cpu);
        } else if (x86_code64(cpu) || (cpu->cr4 & CR4_PCIDE)) {
            gp0(cpu);
        }
    }
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && pae_paging(cpu, value, cpu->cr4, cpu->efer)
        && !x86_load_pdptes(cpu, cpu->cr3))
        gp0(cpu);

    if (x86_log_on(cpu, LOG_MMU))
        x86_log_control(cpu, 0, value);
    cpu->cr0 = value;
    if (changed & CR0_PG) {
        cpu->efer &= ~(uint64_t)EFER_LMA;
        if ((value & CR0_PG) && (cpu->efer & EFER_LME))
            cpu->efer |= EFER_LMA;
    }
    if (changed & CR0_PE)
        x86_set_cpl(cpu, 0);
    if (changed & (CR0_PG | CR0_PE | CR0_WP))
        cpu->ops->flush_all(cpu, false);
    cpu->ops->mode_changed(cpu);
}

static void write_cr3(struct x86_cpu *cpu, uint64_t value)
{
    bool no_flush = false;

    if (x86_long_mode(cpu)) {
        if (cpu->cr4 & CR4_PCIDE)
            no_flush = value & CR3_NO_FLUSH;
        else if (value & CR3_NO_FLUSH)
            gp0(cpu);
        value &= ~CR3_NO_FLUSH;
        if (value & (cpu->model->reserved_phys | 0xfff0000000000000ull))
            gp0(cpu);
    } else {
        value = (uint32_t)value;
        if (pae_paging(cpu, cpu->cr0, cpu->cr4, cpu->efer) && !x86_load_pdptes(cpu, value))
            gp0(cpu);
    }
    /* The engine's TLB knows no PCIDs: only reloading the same CR3 may keep its entries. */
    if (no_flush && value == cpu->cr3)
        return;
    if (x86_log_on(cpu, LOG_MMU))
        x86_log_control(cpu, 3, value);
    cpu->cr3 = value;
    cpu->ops->flush_all(cpu, true);
}

uint64_t x86_cr4_allowed(const struct x86_cpu *cpu)
{
    return (x86_has(cpu, HAS_VME) ? CR4_VME | CR4_PVI : 0) | (x86_has(cpu, HAS_TSC) ? CR4_TSD : 0)
           | (x86_has(cpu, HAS_DE) ? CR4_DE : 0) | (x86_has(cpu, HAS_PSE) ? CR4_PSE : 0)
           | (x86_has(cpu, HAS_PAE) ? CR4_PAE : 0) | (x86_has(cpu, HAS_MCE) ? CR4_MCE : 0)
           | (x86_has(cpu, HAS_PGE) ? CR4_PGE : 0) | CR4_PCE
           | (x86_has(cpu, HAS_FXSR) ? CR4_OSFXSR : 0)
           | (x86_has(cpu, HAS_SSE) ? CR4_OSXMMEXCPT : 0) | (x86_has(cpu, HAS_UMIP) ? CR4_UMIP : 0)
           | (x86_has(cpu, HAS_FSGSBASE) ? CR4_FSGSBASE : 0)
           | (x86_has(cpu, HAS_PCID) ? CR4_PCIDE : 0) | (x86_has(cpu, HAS_XSAVE) ? CR4_OSXSAVE : 0)
           | (x86_has(cpu, HAS_SMEP) ? CR4_SMEP : 0) | (x86_has(cpu, HAS_SMAP) ? CR4_SMAP : 0);
}

static void write_cr4(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->cr4 ^ value;

    if (value & ~x86_cr4_allowed(cpu))
        gp0(cpu);
    if (x86_long_mode(cpu) && !(value & CR4_PAE))
        gp0(cpu);
    if ((changed & CR4_PCIDE) && (value & CR4_PCIDE) && (!x86_long_mode(cpu) || (cpu->cr3 & 0xfff)))
        gp0(cpu);
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))
        && pae_paging(cpu, cpu->cr0, value, cpu->efer) && !x86_load_pdptes(cpu, cpu->cr3))
        gp0(cpu);
    if (x86_log_on(cpu, LOG_MMU))
        x86_log_control(cpu, 4, value);
    cpu->cr4 = value;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE))
        cpu->ops->flush_all(cpu, false);
    cpu->ops->mode_changed(cpu);
}

static void write_cr8(struct x86_cpu *cpu, uint64_t value)
{
    if (value > 15)
        gp0(cpu);
    x86_quiesce(cpu);
    cpu->ops->apic_tpr_write(cpu, value);
    cpu->ops->interrupts_changed(cpu);
}

static uint64_t read_cr(struct x86_cpu *cpu, unsigned cr)
{
    switch (cr) {
    case 0:
        return cpu->cr0;
    case 2:
        return cpu->cr2;
    case 3:
        return cpu->cr3;
    case 4:
        return cpu->cr4;
    case 8:
        x86_quiesce(cpu);
        return cpu->ops->apic_tpr_read(cpu);
    default:
        x86_raise(cpu, VECTOR_UD);
    }
}

enum x86_next x86_do_mov_control(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool write = insn->op[0].kind == X86_OPERAND_CR;
    unsigned cr = insn->op[write ? 0 : 1].reg, reg = insn->op[write ? 1 : 0].reg;
    unsigned size = x86_code64(cpu) ? 8 : 4;
    uint64_t value = reg_get(cpu, reg, size);

    if (cr > 8 || cr == 1 || (cr > 4 && cr < 8))
        x86_raise(cpu, VECTOR_UD);
    need_cpl0(cpu);
    if (!write) {
        reg_set(cpu, reg, read_cr(cpu, cr), size);
        return insn_done(cpu, insn);
    }
    switch (cr) {
    case 0:
        write_cr0(cpu, value);
        break;
    case 2:
        cpu->cr2 = value;
        return insn_done(cpu, insn);
    case 3:
        write_cr3(cpu, value);
        break;
    case 4:
        write_cr4(cpu, value);
        break;
    case 8:
        write_cr8(cpu, value);
        break;
    }
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_clts(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    need_cpl0(cpu);
    if (!(cpu->cr0 & CR0_TS))
        return insn_done(cpu, insn);
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    cpu->ops->mode_changed(cpu);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_lmsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    need_cpl0(cpu);
    value = x86_operand_read(cpu, insn, 0) & 15;
    /* LMSW can set PE but not clear it. */
    write_cr0(cpu, (cpu->cr0 & ~0xeull) | value);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_smsw(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl != 0)
        gp0(cpu);
    x86_operand_write(cpu, insn, 0, cpu->cr0);
    return insn_done(cpu, insn);
}

/* ---- XCR0 ----------------------------------------------------------------------------------- */

#define XCR0_SSE 2u
#define XCR0_AVX 4u
#define XCR0_MPX 0x18u
#define XCR0_AVX512 0xe0u

static bool xcr0_valid(const struct x86_cpu *cpu, uint64_t value)
{
    if ((value & ~(uint64_t)cpu->model->features[FEATURE_XCR0]) || !(value & 1))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    if ((value & XCR0_MPX) && (value & XCR0_MPX) != XCR0_MPX)
        return false;
    return !(value & XCR0_AVX512) || ((value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX));
}

enum x86_next x86_do_xsetbv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = (cpu->regs[RDX] << 32) | (uint32_t)cpu->regs[RAX];

    if (!(cpu->cr4 & CR4_OSXSAVE))
        x86_raise(cpu, VECTOR_UD);
    if (cpu->cpl != 0 || (uint32_t)cpu->regs[RCX] != 0 || !xcr0_valid(cpu, value))
        gp0(cpu);
    cpu->xcr0 = value;
    cpu->ops->mode_changed(cpu);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_xgetbv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint32_t index = cpu->regs[RCX], low, high;
    uint64_t value = cpu->xcr0;

    if (!(cpu->cr4 & CR4_OSXSAVE))
        x86_raise(cpu, VECTOR_UD);
    if (index == 1 && x86_has(cpu, HAS_XGETBV1)) {
        if (!cpu->fpu_in_host)
            cpu->ops->fpu_from_memory(cpu);
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
        value &= (uint64_t)high << 32 | low;
    } else if (index != 0) {
        gp0(cpu);
    }
    cpu->regs[RAX] = (uint32_t)value;
    cpu->regs[RDX] = value >> 32;
    return insn_done(cpu, insn);
}

/* ---- Debug registers ------------------------------------------------------------------------ */

#define DR7_FIXED 0x400u
#define DR7_DEFINED 0xffff2fffu
#define DR7_GD (1u << 13)

enum x86_next x86_do_mov_debug(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    bool write = insn->op[0].kind == X86_OPERAND_DR;
    unsigned dr = insn->op[write ? 0 : 1].reg, reg = insn->op[write ? 1 : 0].reg;
    unsigned size = x86_code64(cpu) ? 8 : 4;
    uint64_t value = reg_get(cpu, reg, size);

    if (dr > 7)
        x86_raise(cpu, VECTOR_UD);
    if (dr == 4 || dr == 5) {
        if (cpu->cr4 & CR4_DE)
            x86_raise(cpu, VECTOR_UD);
        dr += 2;
    }
    need_cpl0(cpu);
    if (cpu->dr[7] & DR7_GD)
        x86_raise_debug(cpu, DR6_BD);
    if (!write) {
        reg_set(cpu, reg, cpu->dr[dr], size);
        return insn_done(cpu, insn);
    }
    if (dr >= 6 && value >> 32)
        gp0(cpu);
    if (dr == 6)
        value = (value & (0xf | DR6_BD | DR6_BS | DR6_BT)) | DR6_FIXED;
    else if (dr == 7)
        value = (value & DR7_DEFINED) | DR7_FIXED;
    cpu->dr[dr] = value;
    cpu->ops->mode_changed(cpu);
    return insn_done_jump(cpu, insn);
}

/* ---- TLB and caches ------------------------------------------------------------------------- */

enum x86_next x86_do_invlpg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t linear;

    need_cpl0(cpu);
    linear = operand_offset(cpu, insn);
    if (!x86_code64(cpu))
        linear = (uint32_t)(linear + cpu->seg[insn->segment].base);
    else if (insn->segment >= SEG_FS)
        linear += cpu->seg[insn->segment].base;
    cpu->ops->flush_page(cpu, linear);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_invpcid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t type, linear, pcid, addr;
    bool current;

    if (!x86_has(cpu, HAS_INVPCID) || (cpu->rflags & FLAG_VM))
        x86_raise(cpu, VECTOR_UD);
    need_cpl0(cpu);
    type = x86_operand_read(cpu, insn, 0);
    linear = operand_linear(cpu, insn, 16, false);
    pcid = x86_load(cpu, linear, 8, 0);
    addr = x86_load(cpu, linear + 8, 8, 0);
    if (type > 3 || pcid > 0xfff || (type < 2 && pcid && !(cpu->cr4 & CR4_PCIDE))
        || (type == 0 && !x86_canonical(cpu, addr)))
        gp0(cpu);
    /* Entries of other PCIDs do not outlive a CR3 load here. */
    current = !(cpu->cr4 & CR4_PCIDE) || (cpu->cr3 & 0xfff) == pcid;
    if (type == 0 && current)
        cpu->ops->flush_page(cpu, addr);
    else if (type == 2)
        cpu->ops->flush_all(cpu, false);
    else if (type == 3 || (type == 1 && current))
        cpu->ops->flush_all(cpu, true);
    return insn_done_jump(cpu, insn);
}

enum x86_next x86_do_wbinvd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    need_cpl0(cpu);
    return insn_done(cpu, insn);
}

/* ---- FS and GS bases ------------------------------------------------------------------------ */

enum x86_next x86_do_swapgs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t base = cpu->seg[SEG_GS].base;

    if (!x86_code64(cpu))
        x86_raise(cpu, VECTOR_UD);
    need_cpl0(cpu);
    cpu->seg[SEG_GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
    return insn_done(cpu, insn);
}

static enum x86_next read_base(struct x86_cpu *cpu, const struct x86_insn *insn, enum x86_seg seg)
{
    if (!x86_code64(cpu) || !(cpu->cr4 & CR4_FSGSBASE))
        x86_raise(cpu, VECTOR_UD);
    reg_set(cpu, insn->op[0].reg, cpu->seg[seg].base, insn->op[0].size);
    return insn_done(cpu, insn);
}

static enum x86_next write_base(struct x86_cpu *cpu, const struct x86_insn *insn, enum x86_seg seg)
{
    uint64_t base = reg_get(cpu, insn->op[0].reg, insn->op[0].size);

    if (!x86_code64(cpu) || !(cpu->cr4 & CR4_FSGSBASE))
        x86_raise(cpu, VECTOR_UD);
    if (!x86_canonical(cpu, base))
        gp0(cpu);
    cpu->seg[seg].base = base;
    return insn_done(cpu, insn);
}

enum x86_next x86_do_rdfsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return read_base(cpu, insn, SEG_FS);
}
enum x86_next x86_do_rdgsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return read_base(cpu, insn, SEG_GS);
}
enum x86_next x86_do_wrfsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return write_base(cpu, insn, SEG_FS);
}
enum x86_next x86_do_wrgsbase(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return write_base(cpu, insn, SEG_GS);
}

/* ---- Counters, identification, halting ------------------------------------------------------ */

static uint64_t read_tsc(struct x86_cpu *cpu)
{
    if ((cpu->cr4 & CR4_TSD) && cpu->cpl != 0)
        gp0(cpu);
    return cpu->ops->tsc_read(cpu);
}

enum x86_next x86_do_rdtsc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t tsc = read_tsc(cpu);

    cpu->regs[RAX] = (uint32_t)tsc;
    cpu->regs[RDX] = tsc >> 32;
    return insn_done(cpu, insn);
}

enum x86_next x86_do_rdtscp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!x86_has(cpu, HAS_RDTSCP))
        x86_raise(cpu, VECTOR_UD);
    x86_do_rdtsc(cpu, insn);
    cpu->regs[RCX] = (uint32_t)cpu->tsc_aux;
    return X86_NEXT;
}

enum x86_next x86_do_rdpmc(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    gp0(cpu); /* no counter is offered, so every index is invalid */
}

enum x86_next x86_do_rdpid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    if (!x86_has(cpu, HAS_RDPID))
        x86_raise(cpu, VECTOR_UD);
    reg_set(cpu, insn->op[0].reg, (uint32_t)cpu->tsc_aux, x86_code64(cpu) ? 8 : 4);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_cpuid(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint32_t out[4];

    x86_cpuid(cpu, cpu->regs[RAX], cpu->regs[RCX], out);
    cpu->regs[RAX] = out[0];
    cpu->regs[RBX] = out[1];
    cpu->regs[RCX] = out[2];
    cpu->regs[RDX] = out[3];
    return insn_done(cpu, insn);
}

enum x86_next x86_do_hlt(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    need_cpl0(cpu);
    cpu->rip = rip_next(cpu, insn);
    cpu->int_shadow = false;
    cpu->halted = true;
    x86_quiesce(cpu);
    cpu->ops->halt(cpu);
    return X86_JUMP;
}

/* KVM's hypercall; none of those that need one is offered. */
enum x86_next x86_do_vmcall(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    const int64_t no_permission = -1, no_such_call = -1000;

    if (!cpu->model->hypervisor || !x86_protected(cpu))
        x86_raise(cpu, VECTOR_UD);
    reg_set(cpu, RAX, cpu->cpl ? no_permission : no_such_call, x86_code64(cpu) ? 8 : 4);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_undefined(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_raise(cpu, VECTOR_UD);
}
