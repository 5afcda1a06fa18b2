/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The passages between translated code and C, emitted once at the start of the code memory.
 *
 * Translated code runs on its own little stack that holds nothing but host return addresses of
 * guest calls; C runs on the vCPU thread's stack, from cpu.host_sp on. A passage stores the guest
 * registers into struct x86_cpu, so C always sees (and may change) the whole state, and loads them
 * again. Guest vector registers stay in the host's: what C is called here is compiled without
 * them. */
#include "engine/bt/bt.h"
#include "engine/bt/emit.h"

static const uint8_t saved_by_callee[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };

/* Flags travel as the pair lahf and seto make: AH holds SF ZF AF PF CF, AL holds OF. */
static void emit_save_all(struct emit *e)
{
    for (unsigned reg = 0; reg < 16; reg++)
        if (host_home[reg] != H_NONE)
            emit_store_vcpu(e, REG_OFFSET(reg), host_home[reg]);
    emit_8(e, 0x9f); /* lahf */
    emit_8(e, 0x0f); /* seto al */
    emit_8(e, 0x90);
    emit_8(e, 0xc0);
    emit_store_vcpu(e, CPU_OFFSET(flags_ax), H_RAX);
}

static void emit_load_all(struct emit *e)
{
    emit_load_vcpu(e, H_RAX, CPU_OFFSET(flags_ax));
    emit_8(e, 0x04); /* add al, 0x7f: OF = AL */
    emit_8(e, 0x7f);
    emit_8(e, 0x9e); /* sahf */
    for (unsigned reg = 0; reg < 16; reg++)
        if (host_home[reg] != H_NONE)
            emit_load_vcpu(e, host_home[reg], REG_OFFSET(reg));
}

static void emit_to_c_stack(struct emit *e)
{
    emit_store_vcpu(e, CPU_OFFSET(return_sp), H_RSP);
    emit_load_vcpu(e, H_RSP, CPU_OFFSET(host_sp));
    emit_load_vcpu(e, H_RDI, CPU_OFFSET(self));
}

static void emit_from_c_stack(struct emit *e)
{
    emit_load_vcpu(e, H_RSP, CPU_OFFSET(return_sp));
}

/* C function (v, T0, ecx, return address) whose result goes to `result`; then back to the
 * caller. */
static uint8_t *emit_access_thunk(struct emit *e, void *function, unsigned result)
{
    uint8_t *start = emit_here(e);
    emit_save_all(e);
    emit_mov(e, H_RSI, T0);
    emit_mov32(e, H_RDX, S0);
    emit_load(e, H_RCX, H_RSP, 0);
    emit_to_c_stack(e);
    emit_call_c(e, function);
    emit_from_c_stack(e);
    emit_mov(e, result, H_RAX);
    emit_load_all(e);
    emit_ret(e);
    return start;
}

/* C function (v, argument) that says whether to go on after the call. */
static uint8_t *emit_condition_thunk(struct emit *e, void *function, bool return_address,
                                     const uint8_t *dispatch)
{
    uint8_t *start = emit_here(e);
    emit_save_all(e);
    if (return_address)
        emit_load(e, H_RSI, H_RSP, 0);
    else
        emit_mov(e, H_RSI, T0);
    emit_to_c_stack(e);
    emit_call_c(e, function);
    emit_8(e, 0x84); /* test al, al */
    emit_8(e, 0xc0);
    emit_8(e, 0x0f); /* jz dispatch */
    emit_8(e, 0x84);
    emit_rel32(e, dispatch);
    emit_from_c_stack(e);
    emit_load_all(e);
    emit_ret(e);
    return start;
}

/* C function (v, T0 or the return address) that returns the code to go on with. */
static uint8_t *emit_jump_thunk(struct emit *e, void *function, bool return_address)
{
    uint8_t *start = emit_here(e);
    emit_save_all(e);
    if (return_address)
        emit_load(e, H_RSI, H_RSP, 0);
    else
        emit_mov(e, H_RSI, T0);
    emit_to_c_stack(e);
    emit_call_c(e, function);
    emit_from_c_stack(e);
    emit_mov(e, T0, H_RAX);
    emit_load_all(e);
    emit_jmp_reg(e, T0);
    return start;
}

/*      pext  T1, T0, jump_mask         mask 0 while a request is pending: entry 0, a miss
 *      mov   S0, tag[T1]
 *      lea   S0, [S0 + T0]
 *      jrcxz hit
 *      jmp   indirect
 * hit: jmp   code[T1] */
void bt_emit_jump(struct emit *e, const struct bt *bt, enum bt_mmu mmu, uint32_t site)
{
    size_t cache = offsetof(struct bt_vcpu, jump) + mmu * sizeof(struct bt_jump_cache);
    emit_pext_vcpu(e, T1, T0, CPU_OFFSET(jump_mask));
    emit_load_vcpu_index(e, S0, cache + offsetof(struct bt_jump_cache, tag), T1);
    emit_lea(e, S0, S0, T0, 0, 0);
    uint8_t *hit = emit_jrcxz_later(e);
    if (site)
        emit_site(e, site);
    emit_jmp(e, bt->thunk.indirect);
    emit_patch8(e, hit);
    emit_jmp_vcpu_index(e, cache + offsetof(struct bt_jump_cache, code), T1);
}

void bt_emit_thunks(struct bt *bt)
{
    struct emit e = {
        .p = bt->code_exec + bt->code_write_offset,
        .end = bt->code_exec + bt->code_write_offset + bt->code_size,
        .exec = -bt->code_write_offset,
    };

    /* enter: an ordinary C function without arguments. */
    bt->thunk.enter = (void (*)(void))emit_here(&e);
    for (unsigned i = 0; i < G_N_ELEMENTS(saved_by_callee); i++)
        emit_push(&e, saved_by_callee[i]);
    emit_lea(&e, H_RSP, H_RSP, H_NONE, 0, -8);
    emit_store_vcpu(&e, CPU_OFFSET(host_sp), H_RSP);

    bt->thunk.dispatch = emit_here(&e);
    emit_load_vcpu(&e, H_RSP, CPU_OFFSET(host_sp));
    emit_load_vcpu(&e, H_RDI, CPU_OFFSET(self));
    emit_call_c(&e, bt_next);
    emit_load_vcpu(&e, H_RSP, CPU_OFFSET(return_base));
    emit_mov(&e, T0, H_RAX);
    emit_load_all(&e);
    emit_jmp_reg(&e, T0);

    bt->thunk.leave = emit_here(&e);
    emit_load_vcpu(&e, H_RSP, CPU_OFFSET(host_sp));
    emit_lea(&e, H_RSP, H_RSP, H_NONE, 0, 8);
    for (unsigned i = G_N_ELEMENTS(saved_by_callee); i-- > 0;)
        emit_pop(&e, saved_by_callee[i]);
    emit_ret(&e);

    bt->thunk.memory = emit_access_thunk(&e, bt_helper_memory, T1);
    bt->thunk.segment = emit_access_thunk(&e, bt_helper_segment, T0);
    bt->thunk.commit = emit_condition_thunk(&e, bt_helper_commit, true, bt->thunk.dispatch);
    bt->thunk.execute = emit_condition_thunk(&e, bt_helper_execute, false, bt->thunk.dispatch);
    bt->thunk.link = emit_jump_thunk(&e, bt_helper_link, false);
    bt->thunk.request = emit_jump_thunk(&e, bt_helper_request, false);
    bt->thunk.dead = emit_jump_thunk(&e, bt_helper_dead, true);
    bt->thunk.crossing = emit_jump_thunk(&e, bt_helper_crossing, false);
    bt->thunk.indirect = emit_jump_thunk(&e, bt_helper_indirect, false);

    for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++) {
        bt->thunk.jump[mmu] = emit_here(&e);
        bt_emit_jump(&e, bt, mmu, 0);
        bt->thunk.sentinel[mmu] = emit_here(&e);
        emit_load_vcpu(&e, H_RSP, CPU_OFFSET(return_base));
        bt_emit_jump(&e, bt, mmu, 0);
    }
    bt->thunk.sentinel_plain = emit_here(&e);
    emit_load_vcpu(&e, H_RSP, CPU_OFFSET(return_base));
    emit_jmp(&e, bt->thunk.indirect);

    bt->passage_first = emit_here(&e);
    bt->code_start = bt->passage_first + PASSAGES / 2 * PASSAGE_BYTES;
    bt->code_next = bt->code_start;
}
