/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control flow. Direct exits are jumps patched from block to block ("linked"). Inside a page that
 * is always valid; across pages the exit first checks that the target page is still mapped as it
 * was. Guest calls are host calls and guest returns host returns, so the host predicts them: the
 * host return address leads to a landing that compares the guest's actual return address with the
 * one it was made for.
 *
 * Every cycle of guest code contains a backward direct branch, or an indirect one: these poll for
 * requests, the former by go_on, the latter through the jump cache's mask. */
#include "engine/bt/translate.h"

static uint64_t truncate_rip(struct translator *t, const struct insn *insn, uint64_t rip)
{
    if (t->code64)
        return rip;
    return insn->info.operand_width == 16 ? (uint16_t)rip : (uint32_t)rip;
}

uint64_t next_rip(struct translator *t, const struct insn *insn)
{
    uint64_t rip = insn->rip + insn->info.length;
    return t->code64 ? rip : t->mode & MODE_CODE32 ? (uint32_t)rip : (uint16_t)rip;
}

static uint64_t branch_target(struct translator *t, const struct insn *insn)
{
    return truncate_rip(t, insn, insn->rip + insn->info.length + insn->op[0].imm.value.s);
}

static bool same_page(struct translator *t, uint64_t rip)
{
    return ((rip + t->block->cs_base) ^ t->block->rip) >> 12 == 0;
}

/* Blocks that run one instruction never link. */
static bool links(const struct translator *t)
{
    return !(t->mode & (MODE_STEP | MODE_ONE)) && !bt_nochain();
}

static unsigned new_exit(struct translator *t, uint64_t target_rip, uint32_t target_mode)
{
    if (t->exit_count == BLOCK_EXITS) {
        t->e.overflow = true;
        return 0;
    }
    t->exits[t->exit_count] = (struct new_exit){
        .target_rip = target_rip,
        .target_mode = target_mode & ~(MODE_SINGLY | MODE_ONE),
    };
    return t->exit_count++;
}

void emit_ref_later(struct translator *t, unsigned exit)
{
    struct emit *e = &t->e;
    if (t->fixup_count == G_N_ELEMENTS(t->fixups)) {
        e->overflow = true;
        return;
    }
    emit_rex(e, false, 0, 0, T0);
    emit_8(e, 0xb8 | (T0 & 7));
    emit_32(e, 0);
    t->fixups[t->fixup_count].imm = e->p - 4;
    t->fixups[t->fixup_count++].exit = exit;
}

static void emit_poll(struct translator *t, unsigned exit)
{
    struct emit *e = &t->e;
    emit_load_vcpu(e, S0, CPU_OFFSET(go_on));
    /* Not taken as long as there is nothing to do. */
    uint8_t *request = emit_jrcxz_later(e);
    emit_8(e, 0xeb); /* jmp over */
    emit_8(e, 5);
    emit_patch8(e, request);
    struct cold *cold = translate_add_cold(t, COLD_REQUEST);
    cold->exit = exit;
    cold->hole = emit_jmp_later(e);
}

/* Falls through if the target page is mapped as it was when the exit was linked. */
static void emit_itlb_check(struct translator *t, unsigned exit, uint8_t *landing)
{
    struct emit *e = &t->e;
    uint64_t linear = t->exits[exit].target_rip + t->block->cs_base;
    unsigned user = t->mmu == MMU_USER ? 0 : 1;
    emit_load_vcpu(e, S0,
                   offsetof(struct bt_vcpu, itlb) + user * sizeof(t->v->itlb[0])
                       + 8 * itlb_index(linear));
    emit_nops(e, -(uintptr_t)(emit_here(e) + 2) & 7);
    emit_rex(e, true, 0, 0, T1);
    emit_8(e, 0xb8 | (T1 & 7));
    t->exits[exit].itlb_site = emit_here(e);
    emit_64(e, ITLB_NEVER);
    emit_lea(e, S0, S0, T1, 0, 0);
    uint8_t *ok = emit_jrcxz_later(e);
    struct cold *cold = translate_add_cold(t, COLD_LINK);
    cold->exit = exit;
    cold->landing = landing;
    cold->hole = emit_jmp_later(e);
    emit_patch8(e, ok);
}

/* An unconditional jump (or, with opcode 0xe8, call) that can be linked. */
static void emit_linked(struct translator *t, unsigned exit, uint8_t opcode)
{
    struct emit *e = &t->e;
    if (opcode == 0xe8) /* landing 8-aligned, so that it can be overwritten at once */
        emit_nops(e, -(uintptr_t)(emit_here(e) + 5) & 7);
    else
        emit_nops(e, -(uintptr_t)(emit_here(e) + 1) & 3);
    emit_8(e, opcode);
    t->exits[exit].site = emit_here(e);
    struct cold *cold = translate_add_cold(t, COLD_LINK);
    cold->exit = exit;
    cold->hole = emit_hole32(e);
}

static bool linkable(struct translator *t, uint64_t target_rip)
{
    return links(t) && (same_page(t, target_rip) || t->block->cs_base == 0);
}

static void emit_exit(struct translator *t, unsigned exit, bool poll)
{
    uint64_t target_rip = t->exits[exit].target_rip;
    if (!linkable(t, target_rip)) {
        struct cold *cold = translate_add_cold(t, links(t) ? COLD_LINK : COLD_REQUEST);
        cold->exit = exit;
        cold->hole = emit_jmp_later(&t->e);
        return;
    }
    if (poll) {
        struct emit *e = &t->e;
        emit_load_vcpu(e, S0, CPU_OFFSET(go_on));
        uint8_t *request = emit_jrcxz_later(e);
        if (!same_page(t, target_rip))
            emit_itlb_check(t, exit, NULL);
        emit_linked(t, exit, 0xe9);
        emit_patch8(e, request);
        struct cold *cold = translate_add_cold(t, COLD_REQUEST);
        cold->exit = exit;
        cold->hole = emit_jmp_later(e);
        return;
    }
    if (!same_page(t, target_rip))
        emit_itlb_check(t, exit, NULL);
    emit_linked(t, exit, 0xe9);
}

void translate_stop(struct translator *t, const struct insn *insn)
{
    translate_map(t, insn);
    unsigned exit = new_exit(t, insn->rip, t->mode);
    struct cold *cold = translate_add_cold(t, COLD_REQUEST);
    cold->exit = exit;
    cold->hole = emit_jmp_later(&t->e);
    t->ended = true;
}

void translate_exit(struct translator *t, uint64_t target_rip, uint32_t target_mode, bool poll)
{
    emit_exit(t, new_exit(t, target_rip, target_mode), poll);
    t->ended = true;
}

void translate_cold_flow(struct translator *t, const struct cold *cold)
{
    struct emit *e = &t->e;
    const uint8_t *stub = t->exits[cold->exit].stub;
    if (cold->kind == COLD_LINK && stub && !cold->landing) { /* the same once more */
        int32_t rel = stub - (cold->hole + e->exec + 4);
        memcpy(cold->hole, &rel, sizeof(rel));
        return;
    }
    emit_patch32(e, cold->hole);
    switch (cold->kind) {
    case COLD_TAKEN:
        emit_exit(t, cold->exit, cold->poll);
        break;
    case COLD_LINK:
        if (!t->exits[cold->exit].stub && !cold->landing)
            t->exits[cold->exit].stub = emit_here(e);
        if (cold->landing) {
            emit_mov_imm(e, S0, (uintptr_t)cold->landing);
            emit_push(e, S0);
        }
        emit_ref_later(t, cold->exit);
        emit_jmp(e, t->bt->thunk.link);
        break;
    case COLD_REQUEST:
        emit_ref_later(t, cold->exit);
        emit_jmp(e, t->bt->thunk.request);
        break;
    case COLD_JUMP:
        bt_emit_jump(e, t->bt, t->mmu, cold->hole + e->exec - t->bt->code_exec);
        break;
    default:
        break;
    }
}

/* ---- conditional branches
 * -------------------------------------------------------------------------- */

static void translate_jcc(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    uint64_t target = branch_target(t, insn);
    bool poll = target <= insn->rip;
    unsigned condition = insn->info.opcode & 15;
    unsigned exit = new_exit(t, target, t->mode);
    if (!poll && links(t) && same_page(t, target)) {
        emit_nops(e, -(uintptr_t)(emit_here(e) + 2) & 3);
        uint8_t *hole = emit_jcc_later(e, condition);
        t->exits[exit].site = hole + e->exec;
        struct cold *cold = translate_add_cold(t, COLD_LINK);
        cold->exit = exit;
        cold->hole = hole;
        return;
    }
    struct cold *cold = translate_add_cold(t, COLD_TAKEN);
    cold->exit = exit;
    cold->poll = poll;
    cold->hole = emit_jcc_later(e, condition);
}

/* loop, loope, loopne and jcxz count or test RCX by address size. */
static void translate_loop(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    unsigned width = insn->info.address_width;
    bool jcxz = insn->info.opcode == 0xe3;
    if (!jcxz) {
        if (width == 64) {
            emit_lea(e, HOME_RCX, HOME_RCX, H_NONE, 0, -1);
        } else {
            if (width == 16)
                emit_8(e, 0x66);
            emit_lea32(e, HOME_RCX, HOME_RCX, H_NONE, 0, -1);
        }
    }
    if (width == 64)
        emit_mov(e, H_RCX, HOME_RCX);
    else if (width == 32)
        emit_mov32(e, H_RCX, HOME_RCX);
    else
        emit_movzx16(e, H_RCX, HOME_RCX);

    uint8_t *not_taken[2] = { NULL, NULL };
    if (jcxz) {
        uint8_t *taken = emit_jrcxz_later(e);
        emit_8(e, 0xeb);
        emit_8(e, 5);
        emit_patch8(e, taken);
    } else {
        not_taken[0] = emit_jrcxz_later(e);
        if (insn->info.opcode != 0xe2) { /* e0: loopne, e1: loope */
            emit_8(e, insn->info.opcode == 0xe0 ? 0x74 : 0x75);
            emit_8(e, 0);
            not_taken[1] = e->p - 1;
        }
    }
    uint64_t target = branch_target(t, insn);
    struct cold *cold = translate_add_cold(t, COLD_TAKEN);
    cold->exit = new_exit(t, target, t->mode);
    cold->poll = target <= insn->rip;
    cold->hole = emit_jmp_later(e);
    for (unsigned i = 0; i < 2; i++)
        if (not_taken[i])
            emit_patch8(e, not_taken[i]);
}

/* ---- calls and returns
 * ------------------------------------------------------------------------------ */

static bool near_stack_inline(const struct translator *t, const struct insn *insn)
{
    if (t->code64)
        return insn->info.operand_width == 64;
    return t->flat && (t->mode & MODE_STACK32) && insn->info.operand_width == 32;
}

static struct address stack_address(int32_t disp)
{
    return (struct address){ .reg = HOME_RSP, .guest_base = RSP, .disp = disp, .stack = true };
}

static void push_return_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    uint64_t value = next_rip(t, insn);
    unsigned size = t->code64 ? 8 : 4;
    if (value == (uint64_t)(int32_t)value || size == 4) {
        emit_op_mem(e, size == 8, 0xc7, 0, m->base, m->index, 0, m->disp);
        emit_32(e, value);
    } else {
        emit_mov_imm(e, S0, value);
        emit_op_mem(e, true, 0x89, S0, m->base, m->index, 0, m->disp);
    }
    if (t->code64)
        emit_lea(e, HOME_RSP, HOME_RSP, H_NONE, 0, -8);
    else
        emit_lea32(e, HOME_RSP, HOME_RSP, H_NONE, 0, -4);
}

static void push_return(struct translator *t, const struct insn *insn)
{
    unsigned size = t->code64 ? 8 : 4;
    translate_access(t, insn, stack_address(-(int32_t)size), size | ACCESS_WRITE | ACCESS_NO_EXIT,
                     push_return_body);
}

/* Where a return comes to; T0 is where it wants to go. */
static void emit_landing(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    uint64_t expected = next_rip(t, insn);
    int64_t negated = -(int64_t)expected;
    if (t->landing_count == BLOCK_INSNS) {
        e->overflow = true;
        return;
    }
    t->landings[t->landing_count++] = emit_here(e);
    /* One instruction of at least PATCH_BYTES, to be overwritten. */
    if (negated == (int32_t)negated) {
        emit_lea_8_bytes(e, S0, T0, negated);
    } else {
        emit_mov_imm64(e, S0, negated);
        emit_lea(e, S0, S0, T0, 0, 0);
    }
    uint8_t *ok = emit_jrcxz_later(e);
    emit_jmp(e, t->block->cs_base ? t->bt->thunk.indirect : t->bt->thunk.jump[t->mmu]);
    emit_patch8(e, ok);
    shared_end(t);
}

static void translate_call(struct translator *t, const struct insn *insn)
{
    struct emit *e = &t->e;
    uint64_t target = branch_target(t, insn);
    push_return(t, insn);
    if (!linkable(t, target)) {
        translate_exit(t, target, t->mode, false);
        return;
    }
    unsigned exit = new_exit(t, target, t->mode);
    if (target <= insn->rip)
        emit_poll(t, exit);
    if (same_page(t, target)) {
        emit_linked(t, exit, 0xe8);
    } else {
        /* The check's cold path pushes the landing by itself, whose address comes only now. */
        unsigned first = t->cold_count;
        emit_itlb_check(t, exit, NULL);
        emit_linked(t, exit, 0xe8);
        t->cold[first].landing = emit_here(e);
    }
    emit_landing(t, insn);
}

static void load_target_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    emit_op_mem(&t->e, t->code64, 0x8b, T0, m->base, m->index, 0, m->disp);
}

static void translate_indirect(struct translator *t, const struct insn *insn, bool call)
{
    struct emit *e = &t->e;
    unsigned size = t->code64 ? 8 : 4;
    bool high;
    int reg = insn->mem ? -1 : insn_gpr(insn->op[0].reg.value, &high);
    if (insn->mem) {
        struct address address = translate_address(t, insn, insn->mem, size, false);
        translate_access(t, insn, address, size | ACCESS_READ, load_target_body);
    } else {
        emit_mov(e, T0, use_reg(t, reg, T0));
        if (!t->code64)
            emit_mov32(e, T0, T0);
    }
    if (call) {
        emit_store_vcpu(e, CPU_OFFSET(spill[1]), T0);
        push_return(t, insn);
        emit_load_vcpu(e, T0, CPU_OFFSET(spill[1]));
    }
    if (!links(t) || t->block->cs_base) {
        emit_site(e, emit_here(e) - t->bt->code_exec);
        emit_jmp(e, t->bt->thunk.indirect);
        t->ended = true;
    } else if (call) {
        emit_nops(e, -(uintptr_t)(emit_here(e) + 5) & 7);
        emit_8(e, 0xe8);
        struct cold *cold = translate_add_cold(t, COLD_JUMP);
        cold->hole = emit_hole32(e);
        emit_landing(t, insn);
    } else {
        bt_emit_jump(e, t->bt, t->mmu, emit_here(e) - t->bt->code_exec);
        t->ended = true;
    }
}

static void ret_body(struct translator *t, const struct insn *insn, const struct place *m)
{
    struct emit *e = &t->e;
    int32_t drop =
        insn->info.operand_count_visible ? (int32_t)(insn->op[0].imm.value.u & 0xffff) : 0;
    emit_op_mem(e, t->code64, 0x8b, T0, m->base, m->index, 0, m->disp);
    if (t->code64)
        emit_lea(e, HOME_RSP, HOME_RSP, H_NONE, 0, 8 + drop);
    else
        emit_lea32(e, HOME_RSP, HOME_RSP, H_NONE, 0, 4 + drop);
}

static void translate_ret(struct translator *t, const struct insn *insn)
{
    unsigned size = t->code64 ? 8 : 4;
    translate_access(t, insn, stack_address(0), size | ACCESS_READ, ret_body);
    if (t->code64)
        emit_site(&t->e, emit_here(&t->e) - t->bt->code_exec);
    if (links(t))
        emit_ret(&t->e);
    else
        emit_jmp(&t->e, t->bt->thunk.indirect);
    t->ended = true;
}

/* ---- dispatch
 * ----------------------------------------------------------------------------------------- */

bool insn_is_flow(const struct insn *insn)
{
    switch (insn->info.meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
        return insn->info.mnemonic != ZYDIS_MNEMONIC_XABORT
               && insn->info.mnemonic != ZYDIS_MNEMONIC_XBEGIN
               && insn->info.mnemonic != ZYDIS_MNEMONIC_XEND;
    default:
        return false;
    }
}

bool translate_flow(struct translator *t, const struct insn *insn)
{
    const ZydisDecodedInstruction *info = &insn->info;
    if (!insn_is_flow(insn) || insn->in_c)
        return false;
    bool near_jump = info->meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT
                     || info->meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR;
    bool direct = insn->op[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
    if (!near_jump || (t->code64 && info->operand_width != 64))
        return false;
    translate_map(t, insn);
    switch (info->meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
        if (info->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (info->opcode & 0xfc) == 0xe0)
            translate_loop(t, insn);
        else
            translate_jcc(t, insn);
        return true;
    case ZYDIS_CATEGORY_UNCOND_BR:
        if (direct) {
            uint64_t target = branch_target(t, insn);
            translate_exit(t, target, t->mode, target <= insn->rip);
            return true;
        }
        if (!t->code64 && (!t->flat || info->operand_width != 32))
            return false; /* C checks the code segment's limit */
        translate_indirect(t, insn, false);
        return true;
    case ZYDIS_CATEGORY_CALL:
        if (!near_stack_inline(t, insn))
            return false;
        if (direct)
            translate_call(t, insn);
        else
            translate_indirect(t, insn, true);
        return true;
    default:
        if (!near_stack_inline(t, insn))
            return false;
        translate_ret(t, insn);
        return true;
    }
}
