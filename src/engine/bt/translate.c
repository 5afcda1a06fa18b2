/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One block: decode a run of guest instructions, emit host code for each, then the rare paths
 * behind it, then publish. See translate.h for the parts. */
#include "engine/bt/translate.h"

#include <string.h>

#include "memory/memory.h"
#include "util/log.h"
#include "vm/vm.h"
#include "x86/access.h"
#include "x86/exception.h"

void translate_map(struct translator *t, const struct insn *insn)
{
    uint32_t host = t->e.p + t->e.exec - t->block->code;
    if (t->map_count && t->map[t->map_count - 1].host == host)
        t->map_count--;
    if (t->map_count && t->map[t->map_count - 1].guest == insn->guest)
        return;
    if (t->map_count == G_N_ELEMENTS(t->map)) {
        t->e.overflow = true;
        return;
    }
    t->map[t->map_count++] = (struct bt_map){ host, insn->guest, insn->info.length, 0 };
}

void translate_call_fill(struct translator *t, const struct insn *insn, struct bt_call *call)
{
    call->rip = insn->rip;
    call->next_rip = next_rip(t, insn);
    call->mode = t->mode;
    call->enters_kernel = insn->info.meta.category == ZYDIS_CATEGORY_SYSCALL
                          || insn->info.meta.category == ZYDIS_CATEGORY_INTERRUPT;
    call->loads_ss =
        (insn->info.mnemonic == ZYDIS_MNEMONIC_MOV || insn->info.mnemonic == ZYDIS_MNEMONIC_POP)
        && insn->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER
        && insn->op[0].reg.value == ZYDIS_REGISTER_SS;
    x86_insn_make(&call->insn, &insn->info, insn->op);
}

void translate_call_emit(struct translator *t, const struct bt_call *call)
{
    emit_mov_imm(&t->e, T0, bt_arena_ref(t->bt, call));
    emit_call(&t->e, t->bt->thunk.execute);
    shared_end(t);
}

void translate_execute(struct translator *t, const struct insn *insn)
{
    struct bt_call *call = bt_arena_alloc(t->bt, sizeof(*call));
    if (!call) {
        t->e.overflow = true;
        return;
    }
    translate_call_fill(t, insn, call);
    translate_map(t, insn);
    translate_call_emit(t, call);
}

static enum x86_next raise_ud(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_raise(cpu, VECTOR_UD);
}
static enum x86_next raise_nm(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_raise(cpu, VECTOR_NM);
}
static enum x86_next raise_gp(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    x86_raise_error(cpu, VECTOR_GP, 0);
}

/* The instruction does nothing but raise #UD, #NM or #GP(0). */
static void translate_raise(struct translator *t, const struct insn *insn, int vector)
{
    struct bt_call *call = bt_arena_alloc(t->bt, sizeof(*call));
    if (!call) {
        t->e.overflow = true;
        return;
    }
    translate_call_fill(t, insn, call);
    call->insn.execute = vector == VECTOR_UD ? raise_ud : vector == VECTOR_NM ? raise_nm : raise_gp;
    translate_map(t, insn);
    translate_call_emit(t, call);
}

/* After these, code goes on somewhere else, or under other rules. */
static bool ends_block(const struct insn *insn)
{
    switch (insn->info.meta.category) {
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_UNCOND_BR:
        return true;
    default:
        return insn->info.mnemonic == ZYDIS_MNEMONIC_HLT
               || insn->info.mnemonic == ZYDIS_MNEMONIC_UD2
               || insn->info.mnemonic == ZYDIS_MNEMONIC_IRET
               || insn->info.mnemonic == ZYDIS_MNEMONIC_IRETD
               || insn->info.mnemonic == ZYDIS_MNEMONIC_IRETQ;
    }
}

static ZydisMachineMode machine_mode(uint32_t mode, ZydisStackWidth *stack)
{
    *stack = ZYDIS_STACK_WIDTH_64;
    if (mode & MODE_CODE64)
        return ZYDIS_MACHINE_MODE_LONG_64;
    *stack = mode & MODE_STACK32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
    if (mode & MODE_CODE32)
        return ZYDIS_MACHINE_MODE_LONG_COMPAT_32;
    return mode & MODE_PROTECTED ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_REAL_16;
}

/* An instruction Zydis does not know raises #UD; one of more than 15 bytes #GP. */
static void decode_invalid(struct insn *insn, bool too_long)
{
    insn->refusal = too_long ? VECTOR_GP : VECTOR_UD;
    memset(&insn->info, 0, sizeof(insn->info));
    insn->info.mnemonic = ZYDIS_MNEMONIC_UD2;
    insn->info.length = 2;
    insn->info.operand_width = 32;
    insn->info.address_width = 32;
    insn->info.meta.category = ZYDIS_CATEGORY_MISC;
    insn->in_c = true;
}

/* Copies code bytes of the page into t->bytes and decodes up to BLOCK_INSNS. The last instruction
 * may cross into the next page; then it stands alone. Raises the fetch's page fault. */
static void decode(struct translator *t, uint64_t rip)
{
    struct bt_block *block = t->block;
    ZydisDecoder decoder;
    ZydisStackWidth stack;
    ZydisMachineMode mode = machine_mode(t->mode, &stack);
    ZydisDecoderInit(&decoder, mode, stack);

    unsigned in_page = 4096 - (block->gpa & 4095), offset = 0, available = in_page;
    bt_fetch_bytes(t->v, block->gpa, t->bytes, in_page);
    bool single = t->mode & (MODE_STEP | MODE_ONE) || atomic_load(&t->bt->vm->one_insn);
    unsigned limit = single ? 1 : BLOCK_INSNS;
    /* bt_next() has looked before an instruction that runs alone. */
    bool breaks = t->bt->debug.break_count && !(t->mode & MODE_STEP);
    t->stops = breaks && bt_debug_break_at(t->bt, rip);
    if (t->stops)
        limit = 1;
    while (t->count < limit && offset < in_page) {
        if (breaks && t->count && bt_debug_break_at(t->bt, rip + offset))
            break; /* it gets its own block */
        struct insn *insn = &t->insns[t->count];
        insn->bytes = t->bytes + offset;
        insn->guest = offset;
        insn->rip = rip - block->cs_base + offset;
        insn->mem = NULL;
        insn->in_c = false;
        insn->refusal = -1;
        ZyanStatus status = ZydisDecoderDecodeFull(
            &decoder, insn->bytes, MIN(available - offset, 15u), &insn->info, insn->op);
        if (status == ZYDIS_STATUS_NO_MORE_DATA && available == in_page && in_page - offset < 15) {
            if (t->count)
                break; /* the instruction that crosses gets its own block */
            uint64_t linear = rip + in_page;
            if (!(t->mode & MODE_CODE64))
                linear = (uint32_t)linear;
            /* May raise; nothing is allocated yet. The lock is not held here. */
            block->gpa2 = bt_fetch_page(t->v, linear) & ~4095ull;
            bt_fetch_bytes(t->v, block->gpa2, t->bytes + in_page, 16);
            available = in_page + 16;
            limit = 1;
            continue;
        }
        if (!ZYAN_SUCCESS(status))
            decode_invalid(
                insn, status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG
                          || (status == ZYDIS_STATUS_NO_MORE_DATA && available - offset >= 15));
        for (unsigned i = 0; i < insn->info.operand_count; i++)
            if (insn->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY
                && insn->op[i].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
                insn->mem = &insn->op[i];
        if (insn->info.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED && (t->mode & MODE_CPL))
            insn->in_c = true;
        if (insn->refusal < 0)
            insn->refusal = fpu_refusal(t, insn);
        if (insn->refusal >= 0)
            insn->in_c = true;
        offset += insn->info.length;
        t->count++;
        if (ends_block(insn) && !(insn->info.meta.category == ZYDIS_CATEGORY_CALL))
            break;
    }
    block->guest_bytes = offset;
}

int64_t bt_branch_stack_move(struct bt_vcpu *v, uint64_t gpa, unsigned length)
{
    uint8_t bytes[16];
    ZydisDecoder decoder;
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    x86_quiesce(&v->cpu);
    bt_fetch_bytes(v, gpa, bytes, MIN(length, sizeof(bytes)));
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, length, &info, operands)))
        return 0;
    if (info.meta.category == ZYDIS_CATEGORY_CALL)
        return -8;
    if (info.meta.category != ZYDIS_CATEGORY_RET)
        return 0;
    return 8 + (info.operand_count_visible ? (int64_t)(operands[0].imm.value.u & 0xffff) : 0);
}

/* Checks at a block's entry that the second page of a crossing instruction is mapped as when it was
 * translated. */
static void emit_crossing_check(struct translator *t)
{
    struct emit *e = &t->e;
    uint64_t linear = (t->block->rip + 4095) & ~4095ull;
    unsigned user = t->mmu == MMU_USER ? 0 : 1;
    translate_map(t, &t->insns[0]);
    emit_load_vcpu(e, S0,
                   offsetof(struct bt_vcpu, itlb) + user * sizeof(t->v->itlb[0])
                       + 8 * itlb_index(linear));
    emit_mov_imm(e, T0, -itlb_value(linear, t->block->gpa2));
    emit_lea(e, S0, S0, T0, 0, 0);
    uint8_t *ok = emit_jrcxz_later(e);
    emit_ref_later(t, FIXUP_BLOCK);
    emit_jmp(e, t->bt->thunk.crossing);
    emit_patch8(e, ok);
}

/* With the x87 error goes IGNNE#, see ferr.c. */
static void emit_error_cleared(struct translator *t, const struct insn *insn)
{
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_FNCLEX:
    case ZYDIS_MNEMONIC_FNINIT:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
        emit_store_imm_vcpu(&t->e, CPU_OFFSET(cpu.ignne), 0);
        break;
    default:
        break;
    }
}

static void emit_insn(struct translator *t, const struct insn *insn)
{
    if (t->e.end - t->e.p < 512 || t->map_count + 4 > G_N_ELEMENTS(t->map)) {
        t->e.overflow = true;
        return;
    }
    if (log_enabled(LOG_OUT_ASM | LOG_BT_ASM))
        translate_map(t, insn); /* also of those that cannot fault */
    if (insn->refusal >= 0) {
        translate_raise(t, insn, insn->refusal);
        goto done;
    }
    if (!insn->in_c) {
        if (translate_special(t, insn))
            goto done;
        if (translate_flow(t, insn))
            return;
        if (translate_gather(t, insn))
            goto done;
        if (copy_allowed(insn)) {
            translate_copy(t, insn);
            goto done;
        }
    }
    translate_execute(t, insn);
done:
    if (unlikely(!(t->v->cpu.cr0 & CR0_NE)))
        emit_error_cleared(t, insn);
    shared_update(t, insn);
}

static void emit_cold(struct translator *t)
{
    for (unsigned i = 0; i < t->cold_count && !t->e.overflow; i++) {
        struct cold *cold = &t->cold[i];
        if (t->e.end - t->e.p < 256) {
            t->e.overflow = true;
            return;
        }
        switch (cold->kind) {
        case COLD_MEMORY:
            translate_cold_memory(t, cold);
            break;
        case COLD_EXECUTE:
            emit_patch32(&t->e, cold->hole);
            translate_execute(t, cold->insn);
            emit_jmp(&t->e, cold->resume);
            break;
        default:
            translate_cold_flow(t, cold);
        }
    }
}

static void reset(struct translator *t, unsigned insns)
{
    t->count = insns;
    t->at = t->map_count = t->exit_count = t->cold_count = t->landing_count = 0;
    t->fixup_count = 0;
    t->ended = false;
    shared_end(t);
    t->e.p = t->bt->code_next + t->bt->code_write_offset;
    t->e.end = t->e.p + BLOCK_CODE_BYTES;
    t->e.overflow = false;
    t->block->code = t->bt->code_next;
    t->bt->arena_next = t->arena_start;
}

/* Emits the first `insns` decoded instructions; false if a limit was hit. */
static bool emit_block(struct translator *t, unsigned insns)
{
    reset(t, insns);
    emit_nop8(&t->e); /* PATCH_BYTES for kill_block() */
    if (t->block->gpa2 != BT_NO_PAGE)
        emit_crossing_check(t);
    if (t->stops)
        translate_stop(t, &t->insns[0]);
    for (t->at = 0; t->at < t->count && !t->ended && !t->e.overflow; t->at++)
        emit_insn(t, &t->insns[t->at]);
    if (!t->ended && !t->e.overflow)
        translate_exit(t, next_rip(t, &t->insns[t->count - 1]), t->mode, false);
    t->at = t->count - 1;
    emit_cold(t);
    return !t->e.overflow;
}

static uint16_t place_in_block(const struct translator *t, const uint8_t *code)
{
    return code ? code - t->block->code : 0;
}

/* Writes the finished block into the arena. Returns NULL when that is full. */
static struct bt_block *finish(struct translator *t)
{
    struct bt *bt = t->bt;
    uint8_t map[G_N_ELEMENTS(t->map) * MAP_PACKED_BYTES];
    size_t map_bytes = bt_map_pack(map, t->map, t->map_count);
    struct bt_block *block =
        bt_arena_alloc(bt, sizeof(*block) + t->exit_count * sizeof(struct bt_exit)
                               + t->landing_count * sizeof(uint16_t) + map_bytes);
    if (!block)
        return NULL;
    *block = *t->block;
    block->code_bytes = t->e.p + t->e.exec - block->code;
    block->exit_count = t->exit_count;
    block->landing_count = t->landing_count;
    block->map_count = t->map_count;
    for (unsigned i = 0; i < t->exit_count; i++)
        bt_block_exits(block)[i] = (struct bt_exit){
            .target_rip = t->exits[i].target_rip,
            .target_mmu = (t->exits[i].target_mode & MODE_MMU) >> MODE_MMU_SHIFT,
            .site = place_in_block(t, t->exits[i].site),
            .stub = place_in_block(t, t->exits[i].stub),
            .itlb_site = place_in_block(t, t->exits[i].itlb_site),
            .index = i,
        };
    for (unsigned i = 0; i < t->landing_count; i++)
        bt_block_landings(block)[i] = place_in_block(t, t->landings[i]);
    memcpy(bt_block_packed_map(block), map, map_bytes);
    for (unsigned i = 0; i < t->fixup_count; i++) {
        unsigned exit = t->fixups[i].exit;
        uint32_t ref = exit == FIXUP_BLOCK ? bt_arena_ref(bt, block)
                                           : bt_arena_ref(bt, &bt_block_exits(block)[exit]);
        memcpy(t->fixups[i].imm, &ref, sizeof(ref));
    }
    bt->code_next += (block->code_bytes + BLOCK_ALIGN - 1) & -BLOCK_ALIGN;
    bt_code_grown(bt, block);
    return block;
}

/* Is guest memory still what was translated? */
static bool bytes_unchanged(struct translator *t, const struct bt_block *block)
{
    uint8_t now[BLOCK_INSNS * 15];
    unsigned in_first = MIN(block->guest_bytes, 4096 - (block->gpa & 4095));
    unsigned in_second = block->gpa2 == BT_NO_PAGE ? 0 : block->guest_bytes - in_first;
    bt_fetch_bytes(t->v, block->gpa, now, in_first);
    if (in_second)
        bt_fetch_bytes(t->v, block->gpa2, now + in_first, in_second);
    return memcmp(now, t->bytes, in_first + in_second) == 0;
}

/* A write to the guest's code must not be lost between reading the bytes and publishing the block.
 * Whoever writes looks at PAGE_CODE after the write and, if it is set, takes the lock to drop what
 * was made from there. The page is marked before the bytes are read, so
 *
 *   - a write that did not see the mark came before it: the bytes read are the new ones;
 *   - one that did see it is either in memory when the bytes are compared under the lock, or takes
 *     the lock after the block was published, and drops it;
 *   - if the mark was taken away meanwhile, with the page's last block, all begins again. */
struct bt_block *bt_translate(struct bt_vcpu *v, uint64_t rip, uint64_t cs_base, uint64_t gpa,
                              uint32_t mode)
{
    struct bt *bt = v->bt;
    struct translator *t = v->translator;
    struct bt_block scratch = {
        .rip = rip, .cs_base = cs_base, .gpa = gpa, .gpa2 = BT_NO_PAGE, .mode = mode
    };
    t->bt = bt;
    t->v = v;
    t->block = &scratch;
    t->mode = mode;
    t->mmu = (mode & MODE_MMU) >> MODE_MMU_SHIFT;
    t->code64 = mode & MODE_CODE64;
    t->flat = mode & MODE_FLAT;
    t->count = 0;
    t->e.exec = -bt->code_write_offset;

    bool again = false;
    uint64_t uncovered = atomic_load(&bt->uncovered);
    bt_page_has_code(v, gpa);
    decode(t, rip);
    if (scratch.gpa2 != BT_NO_PAGE) {
        bt_page_has_code(v, scratch.gpa2);
        bt_fetch_bytes(v, scratch.gpa2, t->bytes + 4096 - (gpa & 4095), 16);
    }

    pthread_mutex_lock(&bt->lock);
    struct bt_block *block = NULL;
    if (bt->code_next + BLOCK_CODE_BYTES <= bt->code_exec + bt->code_size
        && bt->arena_next + BLOCK_CODE_BYTES <= bt->code_size) {
        t->arena_start = bt->arena_next;
        unsigned insns = t->count;
        while (!emit_block(t, insns) && insns > 1)
            insns = insns > 4 ? insns / 2 : insns - 1;
        const struct insn *last = &t->insns[t->count - 1];
        scratch.guest_bytes = last->guest + last->info.length;
        if (!t->e.overflow)
            block = finish(t);
        if (block && bt->uncovered == uncovered && bytes_unchanged(t, block))
            bt_block_publish(bt, block);
        else if (block)
            again = true;
    }
    pthread_mutex_unlock(&bt->lock);
    if (again)
        return bt_translate(v, rip, cs_base, gpa, mode);
    if (block && log_enabled(LOG_IN_ASM | LOG_OUT_ASM | LOG_BT_ASM) && log_in_range(block->rip))
        bt_log_block(t, block);
    return block;
}
