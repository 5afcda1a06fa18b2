/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions that need more than a copy but are too frequent for a call into C: stack, lea, flag
 * register, interrupt flag, SMAP, and the save and restore of the FPU. */
#include "engine/bt/translate.h"

#include "x86/model.h"

static bool stack_inline(const struct translator *t, const struct insn *insn)
{
    if (insn->in_c)
        return false;
    if (t->code64)
        return insn->info.operand_width == 64;
    return t->flat && (t->mode & MODE_STACK32) && insn->info.operand_width == 32;
}

static bool is_push(const struct insn *insn)
{
    if (insn->info.mnemonic != ZYDIS_MNEMONIC_PUSH)
        return false;
    bool high;
    return insn->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE
           || (insn->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER
               && insn_gpr(insn->op[0].reg.value, &high) >= 0);
}

static bool is_pop(const struct insn *insn)
{
    bool high;
    return insn->info.mnemonic == ZYDIS_MNEMONIC_POP
           && insn->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER
           && insn_gpr(insn->op[0].reg.value, &high) >= 0;
}

static bool is_pushf(const struct translator *t, const struct insn *insn)
{
    return (insn->info.mnemonic == ZYDIS_MNEMONIC_PUSHFQ
            || insn->info.mnemonic == ZYDIS_MNEMONIC_PUSHFD)
           && !(t->mode & MODE_V86);
}

bool special_stack_access(struct translator *t, const struct insn *insn, int32_t *disp,
                          unsigned *size, bool *write, int32_t *moved)
{
    int32_t word = t->code64 ? 8 : 4;
    if (!stack_inline(t, insn))
        return false;
    *size = word;
    if (is_push(insn) || is_pushf(t, insn)
        || (insn->info.meta.category == ZYDIS_CATEGORY_CALL && !insn->mem && insn_is_flow(insn))) {
        *disp = *moved = -word;
        *write = true;
        return true;
    }
    bool high;
    if (is_pop(insn)) {
        *disp = 0;
        *moved = insn_gpr(insn->op[0].reg.value, &high) == RSP ? INT32_MIN : word;
        *write = false;
        return true;
    }
    if (insn->info.meta.category == ZYDIS_CATEGORY_RET && insn_is_flow(insn)
        && insn->info.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR) {
        *disp = 0;
        *moved = INT32_MIN;
        *write = false;
        return true;
    }
    return false;
}

static void move_rsp(struct translator *t, int32_t delta)
{
    if (t->code64)
        emit_lea(&t->e, HOME_RSP, HOME_RSP, H_NONE, 0, delta);
    else
        emit_lea32(&t->e, HOME_RSP, HOME_RSP, H_NONE, 0, delta);
}

static void store_word(struct translator *t, const struct place *m, unsigned reg)
{
    emit_op_mem(&t->e, t->code64, 0x89, reg, m->base, m->index, 0, m->disp);
}
static void load_word(struct translator *t, const struct place *m, unsigned reg)
{
    emit_op_mem(&t->e, t->code64, 0x8b, reg, m->base, m->index, 0, m->disp);
}

static void push_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    bool high;
    if (insn->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        emit_op_mem(e, t->code64, 0xc7, 0, m->base, m->index, 0, m->disp);
        emit_32(e, insn->op[0].imm.value.u);
    } else {
        store_word(t, m, use_reg(t, insn_gpr(insn->op[0].reg.value, &high), S0));
    }
    move_rsp(t, t->code64 ? -8 : -4);
}

static void load_spill_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    load_word(t, m, S0);
    emit_store_vcpu(&t->e, CPU_OFFSET(spill[1]), S0);
}

static void push_spill_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    emit_load_vcpu(&t->e, S0, CPU_OFFSET(spill[1]));
    store_word(t, m, S0);
    move_rsp(t, t->code64 ? -8 : -4);
}

static void pop_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    bool high;
    unsigned reg = insn_gpr(insn->op[0].reg.value, &high);
    load_word(t, m, S0);
    move_rsp(t, t->code64 ? 8 : 4);
    set_reg(t, reg, S0);
}

static void leave_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    load_word(t, m, S0);
    if (t->code64)
        emit_lea(&t->e, HOME_RSP, H_RBP, H_NONE, 0, 8);
    else
        emit_lea32(&t->e, HOME_RSP, H_RBP, H_NONE, 0, 4);
    emit_mov(&t->e, H_RBP, S0);
}

/* The arithmetic flags are the host's; cpu.rflags has the others, and zeros for these. */
static void pushf_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    emit_8(e, 0x9c); /* pushfq */
    emit_pop(e, S0);
    emit_and_vcpu(e, S0, S0, CPU_OFFSET(flags_mask));
    emit_load_vcpu(e, T0, CPU_OFFSET(cpu.rflags));
    emit_lea(e, S0, S0, T0, 0, 0);
    store_word(t, m, S0);
    move_rsp(t, t->code64 ? -8 : -4);
}

static void translate_lea(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    const ZydisDecodedOperandMem *mem = &insn->op[1].mem;
    bool high;
    unsigned to = insn_gpr(insn->op[0].reg.value, &high);
    int base = insn_gpr(mem->base, &high), index = insn_gpr(mem->index, &high);
    unsigned width = insn->info.address_width, size = insn->op[0].size;
    unsigned scale = mem->scale == 8 ? 3 : mem->scale == 4 ? 2 : mem->scale == 2 ? 1 : 0;
    unsigned target = host_home[to] != H_NONE && size >= 32 ? host_home[to] : T0;

    translate_map(t, insn);
    if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP
        || (base < 0 && index < 0)) {
        uint64_t value = mem->disp.value;
        if (mem->base != ZYDIS_REGISTER_NONE)
            value += insn->rip + insn->info.length;
        if (width == 32 || size == 32)
            value = (uint32_t)value;
        if (width == 16)
            value = (uint16_t)value;
        emit_mov_imm(e, target, value);
    } else {
        unsigned b = base < 0 ? H_NONE : use_reg(t, base, T0);
        unsigned i = index < 0 ? H_NONE : index == base ? b : use_reg(t, index, S0);
        if (width == 64 && size == 64) {
            emit_lea(e, target, b, i, scale, mem->disp.value);
        } else {
            emit_lea32(e, target, b, i, scale, mem->disp.value);
            if (width == 16)
                emit_movzx16(e, target, target);
        }
    }
    if (size == 16) { /* keeps the upper part */
        unsigned home = use_reg(t, to, S0);
        emit_8(e, 0x66);
        emit_rex(e, false, T0, 0, home);
        emit_8(e, 0x89);
        emit_8(e, 0xc0 | (T0 & 7) << 3 | (home & 7));
        set_reg(t, to, home);
    } else if (target == T0) {
        set_reg(t, to, T0);
    }
}

/* ---- interrupt flag, SMAP
 * ------------------------------------------------------------------------------ */

/* cpu.rflags bit `flag` := value; spoils S0. */
static void emit_flag(struct translator *t, int32_t mask_offset, uint32_t flag, bool set)
{
    struct emit *e = &t->e;
    emit_load_vcpu(e, S0, CPU_OFFSET(cpu.rflags));
    emit_and_vcpu(e, S0, S0, mask_offset);
    if (set)
        emit_lea(e, S0, S0, H_NONE, 0, flag);
    emit_store_vcpu(e, CPU_OFFSET(cpu.rflags), S0);
}

/* Enabling interrupts while one waits goes through C, which knows about the shadow. */
static void translate_sti(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    translate_map(t, insn);
    emit_load_vcpu(e, S0, CPU_OFFSET(go_on));
    uint8_t *request = emit_jrcxz_later(e);
    emit_load_vcpu(e, S0, CPU_OFFSET(irq_wanted));
    uint8_t *none = emit_jrcxz_later(e);
    emit_patch8(e, request);
    struct cold *cold = translate_add_cold(t, COLD_EXECUTE);
    cold->insn = insn;
    cold->hole = emit_jmp_later(e);
    emit_patch8(e, none);
    emit_flag(t, CPU_OFFSET(not_if_mask), FLAG_IF, true);
    cold->resume = emit_here(e);
}

/* The next block has other access rights; what is on the host return stack has not. */
static void translate_ac(struct translator *t, const struct insn *insn, bool set)
{
    struct emit *e = &t->e;
    enum bt_mmu mmu = set && (t->v->cpu.cr4 & CR4_SMAP) ? MMU_KERNEL_AC : MMU_KERNEL;
    translate_map(t, insn);
    emit_flag(t, CPU_OFFSET(not_ac_mask), FLAG_AC, set);
    if (mmu == t->mmu)
        return;
    emit_load_vcpu(e, H_RSP, CPU_OFFSET(return_base));
    emit_mov_imm(e, S0, (uintptr_t)t->bt->thunk.sentinel[mmu]);
    emit_op_mem(e, true, 0x89, S0, H_RSP, H_NONE, 0, 0);
    shared_end(t);
    translate_exit(t, next_rip(t, insn), (t->mode & ~MODE_MMU) | mmu << MODE_MMU_SHIFT, false);
}

/* The host's counter plus the guest's offset, without touching flags: the halves are joined and
 * split by rotation. */
static void translate_rdtsc(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    translate_map(t, insn);
    emit_8(e, 0x0f);
    emit_8(e, 0x31);
    emit_rorx(e, H_RDX, H_RDX, 32);
    emit_lea(e, H_RAX, H_RAX, H_RDX, 0, 0);
    emit_load_vcpu(e, S0, CPU_OFFSET(cpu.tsc_offset));
    emit_lea(e, H_RAX, H_RAX, S0, 0, 0);
    emit_rorx(e, H_RDX, H_RAX, 32);
    emit_mov32(e, H_RDX, H_RDX);
    emit_mov32(e, H_RAX, H_RAX);
}

/* ---- FPU state
 * ----------------------------------------------------------------------------------------- */

/* 0F AE /r or 0F C7 /r on the place. */
static void emit_fpu_op(struct translator *t, bool wide, uint8_t opcode, unsigned reg,
                        const struct place *m)
{
    struct emit *e = &t->e;
    emit_rex(e, wide, reg, m->index == H_NONE ? 0 : m->index, m->base);
    emit_8(e, 0x0f);
    emit_8(e, opcode);
    emit_modrm_mem(e, reg, m->base, m->index, 0, m->disp);
}

/* The last instruction and operand pointers are the host's: code addresses the guest must not
 * see. */
static void clear_pointers(struct translator *t, const struct place *m)
{
    for (unsigned offset = 8; offset < 24; offset += 8) {
        emit_op_mem(&t->e, true, 0xc7, 0, m->base, m->index, 0, m->disp + offset);
        emit_32(&t->e, 0);
    }
}

#define XSTATE_BV 512
#define XCOMP_BV 520

/* Goes to C if S0 is zero, or with `if_zero` false if it is not. */
static struct cold *emit_to_c(struct translator *t, const struct insn *insn, bool if_zero)
{
    struct emit *e = &t->e;
    uint8_t *zero = emit_jrcxz_later(e), *over = NULL;
    if (if_zero) {
        emit_8(e, 0xeb); /* jmp over */
        emit_8(e, 0);
        over = e->p - 1;
        emit_patch8(e, zero);
    }
    struct cold *cold = translate_add_cold(t, COLD_EXECUTE);
    cold->insn = insn;
    cold->hole = emit_jmp_later(e);
    emit_patch8(e, if_zero ? over : zero);
    return cold;
}

/* The image at T0 goes to the host's xrstor, which does not mind components that the guest has not
 * enabled, nor that xrstors wants the compacted form: C raises the exception. */
static unsigned emit_image_checks(struct translator *t, const struct insn *insn,
                                  struct cold *cold[3])
{
    struct emit *e = &t->e;
    unsigned count = 0;
    if (t->v->foreign_xstate) {
        emit_op_mem(e, true, 0x8b, S0, T0, H_NONE, 0, XSTATE_BV);
        emit_pext_vcpu(e, S0, S0, CPU_OFFSET(foreign_xstate));
        cold[count++] = emit_to_c(t, insn, false);
        emit_op_mem(e, true, 0x8b, S0, T0, H_NONE, 0, XCOMP_BV);
        emit_pext_vcpu(e, S0, S0, CPU_OFFSET(foreign_xstate));
        cold[count++] = emit_to_c(t, insn, false);
    }
    if (insn->info.mnemonic == ZYDIS_MNEMONIC_XRSTORS
        || insn->info.mnemonic == ZYDIS_MNEMONIC_XRSTORS64) {
        emit_op_mem(e, true, 0x8b, S0, T0, H_NONE, 0, XCOMP_BV);
        emit_rorx(e, S0, S0, 63);
        emit_pext_vcpu(e, S0, S0, CPU_OFFSET(bit0_mask));
        cold[count++] = emit_to_c(t, insn, true);
    }
    return count;
}

static void xsave_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    struct cold *cold[3];
    unsigned cold_count = 0;
    bool wide = insn->info.raw.rex.W && (insn->info.attributes & ZYDIS_ATTRIB_HAS_REX);
    bool save = true;
    uint8_t opcode = 0xae;
    unsigned reg;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
        reg = 5; /* xrstor reads the compacted format too */
        save = false;
        break;
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
        opcode = 0xc7; /* no supervisor state is offered: xsavec is xsaves */
        reg = 4;
        break;
    default:
        reg = 4; /* xsaveopt too: the host's notion of "modified" is not the guest's */
    }
    struct place place = { T0, H_NONE, 0 }; /* the operand may be addressed through rax or rdx */
    emit_lea(e, T0, m->base, m->index, 0, m->disp);
    m = &place;
    if (!save)
        cold_count = emit_image_checks(t, insn, cold);
    emit_store_vcpu(e, CPU_OFFSET(spill[0]), H_RAX);
    emit_store_vcpu(e, CPU_OFFSET(spill[1]), H_RDX);
    t->map[t->map_count - 1].flags = MAP_SPILLED;
    emit_and_vcpu(e, H_RAX, H_RAX, CPU_OFFSET(cpu.xcr0));
    emit_mov_imm(e, H_RDX, 0);
    emit_fpu_op(t, wide, opcode, reg, m);
    if (save) {
        if (opcode
            == 0xc7) /* of what was asked for, xsavec writes only what is in use: XSTATE_BV */
            emit_op_mem(e, true, 0x8b, S0, T0, H_NONE, 0, XSTATE_BV);
        emit_and_vcpu(e, S0, opcode == 0xc7 ? S0 : H_RAX, CPU_OFFSET(bit0_mask));
        uint8_t *without = emit_jrcxz_later(e);
        clear_pointers(t, m);
        emit_patch8(e, without);
    }
    emit_load_vcpu(e, H_RAX, CPU_OFFSET(spill[0]));
    emit_load_vcpu(e, H_RDX, CPU_OFFSET(spill[1]));
    for (unsigned i = 0; i < cold_count; i++)
        cold[i]->resume = emit_here(e);
}

static void fxsave_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    emit_fpu_op(t, insn->info.raw.rex.W && (insn->info.attributes & ZYDIS_ATTRIB_HAS_REX), 0xae, 0,
                m);
    clear_pointers(t, m);
}

/* fnsave, fnstenv, frstor, fldenv. Pointers are at 12 to 27 of the 32-bit format, at 6 to 13 of the
 * 16-bit format. The host uses the protected-mode formats; those of real mode differ only in the
 * pointers, all zero here. (Intel SDM vol. 1, figures 8-9 to 8-12) */
static void environment_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    bool narrow = insn->info.operand_width == 16;
    ZydisMnemonic mnemonic = insn->info.mnemonic;
    bool whole = mnemonic == ZYDIS_MNEMONIC_FNSAVE || mnemonic == ZYDIS_MNEMONIC_FRSTOR;
    bool save = mnemonic == ZYDIS_MNEMONIC_FNSAVE || mnemonic == ZYDIS_MNEMONIC_FNSTENV;
    if (narrow)
        emit_8(e, 0x66);
    emit_op_mem(e, false, whole ? 0xdd : 0xd9, save ? 6 : 4, m->base, m->index, 0, m->disp);
    for (unsigned offset = narrow ? 6 : 12; save && offset < (narrow ? 14 : 28); offset += 8) {
        emit_op_mem(e, true, 0xc7, 0, m->base, m->index, 0, m->disp + offset);
        emit_32(e, 0);
    }
}

/* Size of the XSAVE area in standard format for the guest's XCR0. */
static unsigned xsave_bytes(struct translator *t)
{
    uint32_t out[4];
    x86_cpuid(&t->v->cpu, 0xd, 0, out);
    return out[1];
}

static bool xsave_offered(const struct x86_cpu *cpu, enum x86_feature_word word, unsigned bit)
{
    return cpu->cr4 & CR4_OSXSAVE && x86_has(cpu, word, bit);
}

static bool translate_fpu_state(struct translator *t, const struct insn *insn)
{
    const struct x86_cpu *cpu = &t->v->cpu;
    bool masked = false, write = true;
    unsigned size;
    body_fn *body = xsave_body;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
        size = 512;
        body = fxsave_body;
        break;
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FLDENV:
        write = false;
        __attribute__((fallthrough));
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
        size = insn->info.operand_width == 16 ? 14 : 28;
        if (insn->info.mnemonic == ZYDIS_MNEMONIC_FNSAVE
            || insn->info.mnemonic == ZYDIS_MNEMONIC_FRSTOR)
            size += 80;
        body = environment_body;
        break;
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
        if (cpu->cpl || !xsave_offered(cpu, HAS_XSAVES))
            return false;
        size = xsave_bytes(t);
        masked = true;
        break;
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
        if (cpu->cpl || !xsave_offered(cpu, HAS_XSAVES))
            return false;
        write = false;
        masked = true;
        size = xsave_bytes(t);
        break;
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
        write = false;
        __attribute__((fallthrough));
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
        if (!xsave_offered(cpu, HAS_XSAVE)
            || (insn->info.meta.isa_ext == ZYDIS_ISA_EXT_XSAVEC && !x86_has(cpu, HAS_XSAVEC))
            || (insn->info.meta.isa_ext == ZYDIS_ISA_EXT_XSAVEOPT && !x86_has(cpu, HAS_XSAVEOPT)))
            return false;
        masked = true;
        size = xsave_bytes(t);
        break;
    default:
        return false;
    }
    if (!insn->mem || (insn->info.attributes & ZYDIS_ATTRIB_HAS_LOCK))
        return false;
    struct address address = translate_address(t, insn, insn->mem, size, write);
    translate_access(t, insn, address,
                     size | ACCESS_READ | (write ? ACCESS_WRITE : 0) | (masked ? ACCESS_MASKED : 0),
                     body);
    shared_end(t);
    return true;
}

/* ---- dispatch
 * -------------------------------------------------------------------------------------------- */

static void translate_stack_access(struct translator *t, const struct insn *insn, int32_t disp,
                                   bool write, body_fn *body)
{
    struct address address = { .reg = HOME_RSP, .guest_base = RSP, .disp = disp, .stack = true };
    unsigned size = t->code64 ? 8 : 4;
    translate_access(t, insn, address, size | (write ? ACCESS_WRITE : ACCESS_READ), body);
}

static bool is_nop(const struct insn *insn)
{
    switch (insn->info.meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
    case ZYDIS_CATEGORY_MPX:
    case ZYDIS_CATEGORY_CLDEMOTE:
        return !(insn->info.attributes & ZYDIS_ATTRIB_HAS_LOCK);
    default:
        return insn->info.mnemonic == ZYDIS_MNEMONIC_ENDBR64
               || insn->info.mnemonic == ZYDIS_MNEMONIC_ENDBR32
               || insn->info.mnemonic == ZYDIS_MNEMONIC_RDSSPD
               || insn->info.mnemonic == ZYDIS_MNEMONIC_RDSSPQ;
    }
}

bool translate_special(struct translator *t, const struct insn *insn)
{
    int32_t word = t->code64 ? 8 : 4;
    bool kernel = (t->mode & MODE_CPL) == 0 && !(t->mode & MODE_V86);
    if (is_nop(insn))
        return true;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_LEA:
        if (insn->op[1].type != ZYDIS_OPERAND_TYPE_MEMORY)
            return false;
        translate_lea(t, insn);
        return true;
    case ZYDIS_MNEMONIC_STI:
        if (!kernel || (t->mode & (MODE_STEP | MODE_ONE)))
            return false;
        translate_sti(t, insn);
        return true;
    case ZYDIS_MNEMONIC_RDTSC:
        if ((t->mode & MODE_CPL) && t->v->cpu.cr4 & CR4_TSD)
            return false;
        translate_rdtsc(t, insn);
        return true;
    case ZYDIS_MNEMONIC_CLD: /* the host's own stays clear, as C wants it */
    case ZYDIS_MNEMONIC_STD:
        emit_flag(t, CPU_OFFSET(not_df_mask), FLAG_DF, insn->info.mnemonic == ZYDIS_MNEMONIC_STD);
        return true;
    case ZYDIS_MNEMONIC_CLI:
        if (!kernel)
            return false;
        translate_map(t, insn);
        emit_flag(t, CPU_OFFSET(not_if_mask), FLAG_IF, false);
        return true;
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
        if (!kernel || !t->code64 || (t->mode & (MODE_STEP | MODE_ONE))
            || !x86_has(&t->v->cpu, HAS_SMAP))
            return false;
        translate_ac(t, insn, insn->info.mnemonic == ZYDIS_MNEMONIC_STAC);
        return true;
    default:
        break;
    }
    if (translate_fpu_state(t, insn))
        return true;
    if (!stack_inline(t, insn))
        return false;
    if (is_push(insn)) {
        translate_stack_access(t, insn, -word, true, push_body);
        return true;
    }
    if (insn->info.mnemonic == ZYDIS_MNEMONIC_PUSH && insn->mem) {
        struct address address = translate_address(t, insn, insn->mem, word, false);
        translate_access(t, insn, address, word | ACCESS_READ, load_spill_body);
        translate_stack_access(t, insn, -word, true, push_spill_body);
        shared_end(t);
        return true;
    }
    if (is_pop(insn)) {
        translate_stack_access(t, insn, 0, false, pop_body);
        return true;
    }
    if (is_pushf(t, insn)) {
        translate_stack_access(t, insn, -word, true, pushf_body);
        return true;
    }
    if (insn->info.mnemonic == ZYDIS_MNEMONIC_LEAVE) {
        struct address address = { .reg = H_RBP, .guest_base = RBP, .stack = true };
        translate_access(t, insn, address, word | ACCESS_READ, leave_body);
        shared_end(t);
        return true;
    }
    return false;
}
