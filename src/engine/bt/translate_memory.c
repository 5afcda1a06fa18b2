/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory operands: the address, the inline TLB lookup, and how neighbouring accesses share
 * one.
 *
 *      lea   T0, [base + disp]         guest address (left out if it is just a register)
 *      rorx  T1, T0, 12
 *      movzx T1d, T1w                  page number modulo TLB size
 *      mov   S0, tag[T1]               negated page address
 *      mov   T1, addend[T1]            host - guest + 12
 *      lea   S0, [S0 + T0 + size - 1]  0..4095 if it is this page, to the last byte
 *      shrx  S0, S0, T1                by the addend's low bits, 12
 *      jrcxz hit
 *      jmp   cold
 * hit: op    [T0 + T1 - 12]
 *
 * No instruction of it touches flags, so the guest's stay in the host's, precise at every fault. */
#include "engine/bt/translate.h"

#define SHARE_SPAN 1024

static unsigned mem_size(const ZydisDecodedOperand *mem)
{
    return mem->size / 8;
}

/* [register + disp] with the register at home, flat segment, full address size. */
bool address_is_simple(struct translator *t, const struct insn *insn)
{
    const ZydisDecodedOperand *mem = insn->mem;
    if (!mem || mem->mem.type != ZYDIS_MEMOP_TYPE_MEM || mem->mem.index != ZYDIS_REGISTER_NONE)
        return false;
    if (insn->info.address_width != (t->code64 ? 64 : 32))
        return false;
    bool high;
    int base = insn_gpr(mem->mem.base, &high);
    if (base < 0 || host_home[base] == H_NONE)
        return false;
    if (mem->mem.segment == ZYDIS_REGISTER_FS || mem->mem.segment == ZYDIS_REGISTER_GS
        || (mem->mem.segment == ZYDIS_REGISTER_CS && !t->code64))
        return false;
    if (!t->code64 && !t->flat) /* sums that leave 32 bits miss the TLB; the helper wraps them */
        return false;
    return mem->mem.disp.value > -0x40000000 && mem->mem.disp.value < 0x40000000;
}

static enum x86_seg segment_of(ZydisRegister reg)
{
    switch (reg) {
    case ZYDIS_REGISTER_ES:
        return SEG_ES;
    case ZYDIS_REGISTER_CS:
        return SEG_CS;
    case ZYDIS_REGISTER_SS:
        return SEG_SS;
    case ZYDIS_REGISTER_FS:
        return SEG_FS;
    case ZYDIS_REGISTER_GS:
        return SEG_GS;
    default:
        return SEG_DS;
    }
}

/* The effective address, without segment base, into T0. Spoils T1. */
static void effective_address(struct translator *t, const struct insn *insn,
                              const ZydisDecodedOperand *mem)
{
    struct emit *e = &t->e;
    bool high;
    int64_t disp = mem->mem.disp.value;
    int base = insn_gpr(mem->mem.base, &high), index = insn_gpr(mem->mem.index, &high);
    unsigned width = insn->info.address_width;
    if (mem->mem.base == ZYDIS_REGISTER_RIP || mem->mem.base == ZYDIS_REGISTER_EIP) {
        uint64_t address = insn->rip + insn->info.length + disp;
        emit_mov_imm(e, T0, width == 64 ? address : (uint32_t)address);
        return;
    }
    if (base < 0 && index < 0) {
        uint64_t address = disp;
        if (width == 32)
            address = (uint32_t)address;
        else if (width == 16)
            address = (uint16_t)address;
        emit_mov_imm(e, T0, address);
        return;
    }
    unsigned b = base < 0 ? H_NONE : use_reg(t, base, T0);
    unsigned i = index < 0 ? H_NONE : index == base && b == T0 ? T0 : use_reg(t, index, T1);
    unsigned scale = mem->mem.scale == 8   ? 3
                     : mem->mem.scale == 4 ? 2
                     : mem->mem.scale == 2 ? 1
                                           : 0;
    if (width == 64) {
        if (b == T0 && i == H_NONE && disp == 0)
            return;
        emit_lea(e, T0, b, i, scale, disp);
    } else {
        emit_lea32(e, T0, b, i, scale, disp);
        if (width == 16)
            emit_movzx16(e, T0, T0);
    }
}

struct address translate_address(struct translator *t, const struct insn *insn,
                                 const ZydisDecodedOperand *mem, unsigned size, bool write)
{
    struct emit *e = &t->e;
    enum x86_seg segment = segment_of(mem->mem.segment);
    struct address address = { .reg = T0, .guest_base = X86_NO_REG, .stack = segment == SEG_SS };
    bool high;
    if (mem == insn->mem && address_is_simple(t, insn)) {
        int base = insn_gpr(mem->mem.base, &high);
        address.reg = host_home[base];
        address.guest_base = base;
        address.disp = mem->mem.disp.value;
        return address;
    }
    shared_spoil(t);
    effective_address(t, insn, mem);
    if (t->code64) {
        if (segment == SEG_FS || segment == SEG_GS) {
            emit_load_vcpu(e, T1, CPU_OFFSET(cpu.seg[segment].base));
            emit_lea(e, T0, T0, T1, 0, 0);
            if (insn->info.address_width == 32) /* the base is not truncated */
                return address;
        }
        return address;
    }
    if (t->flat && segment != SEG_FS && segment != SEG_GS && segment != SEG_CS
        && insn->info.address_width == 32)
        return address;
    translate_map(t, insn);
    emit_mov_imm(e, S0, (uint32_t)segment << ACCESS_SEG_SHIFT | size | (write ? ACCESS_WRITE : 0));
    emit_call(e, t->bt->thunk.segment);
    return address;
}

static int32_t tlb_tag_offset(struct translator *t, bool write)
{
    size_t tlb = offsetof(struct bt_vcpu, tlb) + t->mmu * sizeof(struct bt_tlb);
    return tlb + (write ? offsetof(struct bt_tlb, write_tag) : offsetof(struct bt_tlb, read_tag));
}

static int32_t tlb_addend_offset(struct translator *t)
{
    return offsetof(struct bt_vcpu, tlb) + t->mmu * sizeof(struct bt_tlb)
           + offsetof(struct bt_tlb, addend);
}

/* Emits the check for [reg + low, reg + low + span) and leaves the addend in T1. Returns the hole
 * of the jump taken on a miss. */
static uint8_t *emit_lookup(struct translator *t, unsigned reg, int32_t low, unsigned span,
                            bool write)
{
    struct emit *e = &t->e;
    unsigned address = reg;
    if (low) {
        emit_lea(e, T0, reg, H_NONE, 0, low);
        address = T0;
    }
    emit_rorx(e, T1, address, 12);
    emit_movzx16(e, T1, T1);
    emit_load_vcpu_index(e, S0, tlb_tag_offset(t, write), T1);
    emit_load_vcpu_index(e, T1, tlb_addend_offset(t), T1);
    emit_lea(e, S0, S0, address, 0, span - 1);
    emit_shrx(e, S0, S0, T1);
    uint8_t *hit = emit_jrcxz_later(e);
    uint8_t *hole = emit_jmp_later(e);
    emit_patch8(e, hit);
    return hole;
}

/* What instruction `insn` would access through the simple base `guest_base`, relative to the
 * register before it. */
static bool access_through(struct translator *t, const struct insn *insn, unsigned guest_base,
                           int32_t *disp, unsigned *size, bool *write)
{
    int32_t moved;
    bool high;
    if (guest_base == RSP && special_stack_access(t, insn, disp, size, write, &moved))
        return *size != 0;
    if (!address_is_simple(t, insn) || insn->in_c || !copy_allowed(insn))
        return false;
    if (insn_gpr(insn->mem->mem.base, &high) != (int)guest_base)
        return false;
    *disp = insn->mem->mem.disp.value;
    *size = mem_size(insn->mem);
    *write = insn->mem->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    return *size && *size <= 64;
}

/* How far an instruction moves a register, if that is known; INT32_MIN if it is changed
 * otherwise. */
static int32_t register_move(struct translator *t, const struct insn *insn, unsigned reg)
{
    int32_t disp, moved;
    unsigned size;
    bool write, high;
    if (reg == RSP && special_stack_access(t, insn, &disp, &size, &write, &moved))
        return moved;
    for (unsigned i = 0; i < insn->info.operand_count; i++) {
        const ZydisDecodedOperand *op = &insn->op[i];
        if (op->type != ZYDIS_OPERAND_TYPE_REGISTER
            || !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            || insn_gpr(op->reg.value, &high) != (int)reg)
            continue;
        bool full = op->size == (t->code64 ? 64 : 32) && i == 0;
        if (full && insn->info.mnemonic == ZYDIS_MNEMONIC_LEA
            && insn_gpr(insn->op[1].mem.base, &high) == (int)reg && t->code64
            && insn->info.address_width == 64 && insn->op[1].mem.index == ZYDIS_REGISTER_NONE
            && ABS(insn->op[1].mem.disp.value) < SHARE_SPAN * 4)
            return insn->op[1].mem.disp.value;
        if (full && t->code64 && insn->op[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE
            && ABS(insn->op[1].imm.value.s) < SHARE_SPAN * 4) {
            if (insn->info.mnemonic == ZYDIS_MNEMONIC_ADD)
                return insn->op[1].imm.value.s;
            if (insn->info.mnemonic == ZYDIS_MNEMONIC_SUB)
                return -insn->op[1].imm.value.s;
        }
        return INT32_MIN;
    }
    return 0;
}

/* Does emitting this instruction leave lookups valid (it may spoil T1, not more)? */
static bool keeps_lookups(const struct insn *insn)
{
    return !insn->in_c
           && (copy_allowed(insn) || insn->info.mnemonic == ZYDIS_MNEMONIC_LEA
               || insn->info.meta.category == ZYDIS_CATEGORY_NOP
               || insn->info.meta.category == ZYDIS_CATEGORY_WIDENOP);
}

/* Does emitting it leave T1 alone? */
static bool keeps_t1(const struct insn *insn)
{
    bool high;
    unsigned homeless = 0;
    if (insn->mem && insn->info.mnemonic != ZYDIS_MNEMONIC_LEA)
        return false;
    for (unsigned i = 0; i < insn->info.operand_count; i++)
        if (insn->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            int reg = insn_gpr(insn->op[i].reg.value, &high);
            homeless += reg >= 0 && host_home[reg] == H_NONE;
        }
    return homeless <= 1;
}

/* Extends [*low, *high) over the accesses that follow and could use the same lookup. Returns how
 * many there are, the present one included; `*spoiled`: T1 is used otherwise before the last of
 * them. */
static unsigned share_ahead(struct translator *t, unsigned guest_base, int32_t *low, int32_t *high,
                            bool *any_write, bool *spoiled)
{
    unsigned accesses = 0;
    int32_t moved = 0;
    bool spoils = false;
    for (unsigned i = t->at; i < t->count; i++) {
        const struct insn *insn = &t->insns[i];
        int32_t disp;
        unsigned size;
        bool write, flow = insn_is_flow(insn);
        if (access_through(t, insn, guest_base, &disp, &size, &write)) {
            int32_t from = moved + disp, to = from + (int32_t)size;
            if (MAX(*high, to) - MIN(*low, from) > SHARE_SPAN)
                break;
            *low = MIN(*low, from);
            *high = MAX(*high, to);
            *any_write |= write;
            *spoiled |= spoils;
            accesses++;
        } else if (flow) {
            if (insn->info.meta.category != ZYDIS_CATEGORY_COND_BR)
                break;
        } else {
            int32_t ignored;
            bool stack = special_stack_access(t, insn, &ignored, &size, &write, &ignored);
            if (!stack && !keeps_lookups(insn))
                break;
            spoils |= stack || !keeps_t1(insn);
        }
        if (flow && insn->info.meta.category != ZYDIS_CATEGORY_COND_BR)
            break;
        int32_t step = register_move(t, insn, guest_base);
        if (step == INT32_MIN)
            break;
        moved += step;
    }
    return accesses;
}

void shared_end(struct translator *t)
{
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        t->shared[i].valid = false;
}

void shared_spoil(struct translator *t)
{
    for (unsigned i = 0; i < SHARED_SLOTS; i++) {
        t->shared[i].in_t1 = false;
        if (!t->shared[i].stored)
            t->shared[i].valid = false;
    }
}

void shared_update(struct translator *t, const struct insn *insn)
{
    for (unsigned i = 0; i < SHARED_SLOTS; i++) {
        struct shared *shared = &t->shared[i];
        if (!shared->valid)
            continue;
        int32_t step = register_move(t, insn, shared->guest_base);
        if (step == INT32_MIN)
            shared->valid = false;
        else
            shared->moved += step;
    }
}

/* A slot whose lookup covers the access, with its addend brought into T1; or NULL. */
static struct shared *shared_use(struct translator *t, struct address address, unsigned size,
                                 bool write)
{
    if (address.guest_base == X86_NO_REG)
        return NULL;
    for (unsigned i = 0; i < SHARED_SLOTS; i++) {
        struct shared *shared = &t->shared[i];
        if (!shared->valid || shared->guest_base != address.guest_base
            || shared->moved + address.disp < shared->low
            || shared->moved + address.disp + (int32_t)size > shared->high
            || (write && !shared->write))
            continue;
        if (!shared->in_t1) {
            shared_spoil(t);
            emit_load_vcpu(&t->e, T1, CPU_OFFSET(shared[0]) + 8 * (int32_t)i);
            shared->in_t1 = true;
        }
        return shared;
    }
    return NULL;
}

static struct shared *shared_new(struct translator *t, unsigned guest_base)
{
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        if (t->shared[i].valid && t->shared[i].guest_base == guest_base)
            return &t->shared[i];
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        if (!t->shared[i].valid)
            return &t->shared[i];
    return &t->shared[t->next_shared++ % SHARED_SLOTS];
}

/*      mov   T0, reg
 *      mov   ecx, access
 *      jmp   memory
 *
 * Such a passage is made once for each register and kind of access. Returns NULL if there are too
 * many. */
static const uint8_t *passage(struct translator *t, unsigned reg, uint32_t access)
{
    struct bt *bt = t->bt;
    uint32_t hash = (access ^ reg << 27) * 0x9e3779b9u >> 16;
    struct bt_passage *at = &bt->passages[hash % PASSAGES];
    while (at->place && (at->access != access || at->reg != reg))
        at = at + 1 < bt->passages + PASSAGES ? at + 1 : bt->passages;
    if (!at->place) {
        if (bt->passage_count == PASSAGES / 2)
            return NULL;
        *at = (struct bt_passage){ access, ++bt->passage_count, reg };
        struct emit e = {
            .p = bt->passage_first + (at->place - 1) * PASSAGE_BYTES + bt->code_write_offset,
            .exec = -bt->code_write_offset,
        };
        emit_mov(&e, T0, reg);
        emit_mov_imm(&e, S0, access);
        emit_jmp(&e, bt->thunk.memory);
    }
    return bt->passage_first + (at->place - 1) * PASSAGE_BYTES;
}

/* Instead of a cold path: a call of the passage, in place of the jump at `hole`. It comes back to
 * `resume`, which is right behind, and with the addend, as after a hit. Not for what may have to be
 * done in the bounce buffer and committed then. */
static bool call_passage(struct translator *t, uint8_t *hole, struct address address, int32_t low,
                         uint32_t access)
{
    if (t->mode & MODE_CHECKED || (access & ACCESS_WRITE && !(access & ACCESS_SHARED)))
        return false;
    const uint8_t *target = passage(t, low ? T0 : address.reg, access);
    if (!target)
        return false;
    int32_t rel = target - (hole + t->e.exec + 4);
    hole[-1] = 0xe8;
    memcpy(hole, &rel, sizeof(rel));
    return true;
}

void translate_access(struct translator *t, const struct insn *insn, struct address address,
                      uint32_t access, body_fn *body)
{
    struct emit *e = &t->e;
    unsigned size = access & ACCESS_SIZE;
    bool write = access & ACCESS_WRITE;
    struct place place = { address.reg, T1, address.disp - TLB_SHIFT_BIAS };

    translate_map(t, insn);
    if (shared_use(t, address, size, write)) {
        body(t, insn, &place);
        return;
    }
    shared_spoil(t);

    int32_t low = address.disp, high = address.disp + size;
    bool check_write = write, spoiled = false;
    struct shared *shared = NULL;
    if (address.guest_base != X86_NO_REG && !(t->mode & (MODE_SINGLY | MODE_CHECKED))
        && !(access & ACCESS_MASKED) && size <= 64
        && share_ahead(t, address.guest_base, &low, &high, &check_write, &spoiled) > 1) {
        shared = shared_new(t, address.guest_base);
        *shared = (struct shared){ .valid = true,
                                   .write = check_write,
                                   .low = low,
                                   .high = high,
                                   .in_t1 = true,
                                   .stored = spoiled,
                                   .guest_base = address.guest_base };
        access = (access & ~ACCESS_SIZE) | ACCESS_SHARED | (high - low) | ACCESS_READ
                 | (check_write ? ACCESS_WRITE : 0);
    } else {
        low = address.disp;
        high = address.disp + size;
        check_write = write;
    }

    uint8_t *hole = t->mode & MODE_CHECKED
                        ? emit_jmp_later(e)
                        : emit_lookup(t, address.reg, low, high - low, check_write);
    uint8_t *resume = emit_here(e);
    if (shared && spoiled)
        emit_store_vcpu(e, CPU_OFFSET(shared[0]) + 8 * (int32_t)(shared - t->shared), T1);
    body(t, insn, &place);

    access |= (address.stack ? ACCESS_STACK : 0) | (shared ? 0 : access_alignment(insn, access));
    if (call_passage(t, hole, address, low, access))
        return;
    struct cold *cold = translate_add_cold(t, COLD_MEMORY);
    cold->hole = hole;
    cold->insn = insn;
    cold->address = address;
    cold->address.disp = low;
    cold->access = access;
    cold->body = body;
    cold->place = place;
    cold->resume = resume;
    cold->after = emit_here(e);
}

/*      lea   T0, [guest address]
 *      mov   ecx, access
 *      call  memory                    T1 = addend, as after a hit
 *      jmp   resume
 *  and where the helper returns 5 bytes further on, because the data are in the bounce buffer:
 *      op    [T0 + T1 - 12]
 *      call  commit
 *      jmp   after */
void translate_cold_memory(struct translator *t, const struct cold *cold)
{
    struct emit *e = &t->e;
    emit_patch32(e, cold->hole);
    translate_map(t, cold->insn);
    if (cold->address.reg != T0 || cold->address.disp)
        emit_lea(e, T0, cold->address.reg, H_NONE, 0, cold->address.disp);
    emit_mov_imm(e, S0, cold->access);
    emit_call(e, t->bt->thunk.memory);
    emit_jmp(e, cold->resume);
    if (!(cold->access & ACCESS_WRITE) || (cold->access & ACCESS_SHARED))
        return;
    cold->body(t, cold->insn, &cold->place);
    emit_call(e, t->bt->thunk.commit);
    emit_jmp(e, cold->after);
}
