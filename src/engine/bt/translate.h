/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inner interface of the translate_*.c files: one block of guest code becomes host code.
 *
 * translate.c decodes a run of instructions inside one page, then emits them one by one. Rare paths
 * (TLB misses, unlinked exits) are collected and emitted behind the block ("cold"). */
#ifndef YADO_ENGINE_BT_TRANSLATE_H
#define YADO_ENGINE_BT_TRANSLATE_H

#include "engine/bt/bt.h"
#include "engine/bt/emit.h"

#define BLOCK_INSNS 48
#define BLOCK_EXITS (BLOCK_INSNS + 2)
#define BLOCK_COLD (4 * BLOCK_INSNS)
#define BLOCK_CODE_BYTES 24576

struct insn {
    ZydisDecodedInstruction info;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    const uint8_t *bytes;
    uint64_t rip;                   /* as the guest sees it (without CS base) */
    uint16_t guest;                 /* offset from the block's start */
    const ZydisDecodedOperand *mem; /* the one memory operand, or NULL */
    bool in_c;                      /* executed by x86_execute() */
    int8_t refusal;                 /* vector this raises whatever it is, or -1 */
};

/* A host address expression for guest memory: [base + index + disp]. Valid after a lookup. */
struct place {
    uint8_t base, index;
    int32_t disp;
};

/* A guest address before the lookup: host register + disp. `guest_base` is the guest register that
 * `reg` is the home of, or X86_NO_REG if `reg` is T0 with the whole address. */
struct address {
    uint8_t reg, guest_base;
    int32_t disp;
    bool stack; /* faults are #SS */
};

struct translator;

/* Emits what an instruction does with its memory operand, up to its end. Called twice for writes:
 * in the hot code, and behind the block for devices and page crossings. */
typedef void body_fn(struct translator *t, const struct insn *insn, const struct place *m);

enum cold_kind {
    COLD_MEMORY,  /* the inline lookup missed */
    COLD_TAKEN,   /* a conditional branch is taken, and its exit needs more than a jump */
    COLD_LINK,    /* the exit is not linked, or its itlb check failed */
    COLD_REQUEST, /* a poll found a request */
    COLD_JUMP,    /* jump cache lookup of an indirect call */
    COLD_EXECUTE, /* the inline form cannot do it now: x86_execute() */
};

struct cold {
    enum cold_kind kind;
    uint8_t *hole; /* rel32 in hot code that leads here */
    const struct insn *insn;
    /* COLD_MEMORY */
    struct address address;
    uint32_t access;
    body_fn *body;
    struct place place;
    uint8_t *resume, *after; /* executable addresses */
    /* COLD_TAKEN, COLD_LINK, COLD_REQUEST */
    unsigned exit;    /* index */
    uint8_t *landing; /* of a call whose host return address is to be pushed, or NULL */
    bool poll;
};

/* A lookup that is still good: its addend serves [base + low, base + high), counted from where the
 * base register was then; it has moved by `moved` since. The addend is in T1 until something else
 * needs that, and in the slot's place in struct bt_vcpu. */
struct shared {
    bool valid, write, in_t1, stored;
    uint8_t guest_base;
    int32_t low, high, moved;
};

/* A struct bt_exit to be. */
struct new_exit {
    uint64_t target_rip;
    uint32_t target_mode;
    uint8_t *site, *stub, *itlb_site; /* executable addresses or NULL */
};

#define FIXUP_BLOCK BLOCK_EXITS

struct translator {
    struct emit e;
    struct bt *bt;
    struct bt_vcpu *v;
    struct bt_block *block; /* under construction, copied into the arena when done */
    size_t arena_start;     /* [bt lock] where in the arena things of this block begin */
    uint32_t mode;
    enum bt_mmu mmu;
    bool code64, flat;
    unsigned count, at; /* instructions; the one being emitted */
    bool ended;         /* control does not fall through */
    bool stops;         /* a debugger's breakpoint: the block leads to bt_next() and no further */
    struct shared shared[SHARED_SLOTS];
    unsigned next_shared;
    unsigned map_count, exit_count, cold_count, landing_count;
    struct bt_map map[BLOCK_INSNS * 6];
    struct new_exit exits[BLOCK_EXITS];
    uint8_t *landings[BLOCK_INSNS]; /* executable addresses */
    /* Where the ref of an exit, or of the block, goes once it has one: writable address of the
     * imm32, index of the exit or FIXUP_BLOCK. */
    struct {
        uint8_t *imm;
        unsigned exit;
    } fixups[BLOCK_EXITS * 3 + 1];
    unsigned fixup_count;
    struct cold cold[BLOCK_COLD];
    struct insn insns[BLOCK_INSNS];
    uint8_t bytes[4096 + 16];
};

/* translate.c */
void translate_map(struct translator *t, const struct insn *insn);
void translate_execute(struct translator *t, const struct insn *insn);
/* Its parts, for calls whose struct bt_call has more behind it. */
void translate_call_fill(struct translator *t, const struct insn *insn, struct bt_call *call);
void translate_call_emit(struct translator *t, const struct bt_call *call);

/* translate_memory.c */
bool address_is_simple(struct translator *t, const struct insn *insn);
struct address translate_address(struct translator *t, const struct insn *insn,
                                 const ZydisDecodedOperand *mem, unsigned size, bool write);
/* The whole instruction: lookup, body, cold path. `access`: ACCESS_READ/WRITE/... and size. */
void translate_access(struct translator *t, const struct insn *insn, struct address address,
                      uint32_t access, body_fn *body);
void translate_cold_memory(struct translator *t, const struct cold *cold);
/* Nothing looked up before holds any more. */
void shared_end(struct translator *t);
/* T1 is about to be overwritten. */
void shared_spoil(struct translator *t);
/* After an instruction: forget what its register writes made stale. */
void shared_update(struct translator *t, const struct insn *insn);

/* translate_copy.c */
void translate_copy(struct translator *t, const struct insn *insn);
bool copy_allowed(const struct insn *insn);
int insn_gpr(ZydisRegister reg, bool *high); /* enum x86_reg or -1 */
/* Host register that holds guest register `reg`; a register without home is loaded into `temp`. */
unsigned use_reg(struct translator *t, unsigned reg, unsigned temp);
void set_reg(struct translator *t, unsigned reg, unsigned from); /* 64-bit */

/* translate_flow.c */
/* T0 = ref of an exit of this block, or (FIXUP_BLOCK) of the block, known later. */
void emit_ref_later(struct translator *t, unsigned exit);
bool translate_flow(struct translator *t, const struct insn *insn); /* false: not control flow */
void translate_exit(struct translator *t, uint64_t target_rip, uint32_t target_mode, bool poll);
/* Back to bt_next() without executing anything. */
void translate_stop(struct translator *t, const struct insn *insn);
uint64_t next_rip(struct translator *t, const struct insn *insn);
void translate_cold_flow(struct translator *t, const struct cold *cold);
bool insn_is_flow(const struct insn *insn);

/* translate_special.c: stack, flags and system instructions worth inlining */
bool translate_special(struct translator *t, const struct insn *insn); /* false: not one of them */
/* Does the special translation of `insn` exist, and which stack slot does it touch, relative to the
 * stack pointer before it? size 0: none. Used for sharing lookups. */
bool special_stack_access(struct translator *t, const struct insn *insn, int32_t *disp,
                          unsigned *size, bool *write, int32_t *moved);

/* translate_fpu.c: vector the instruction raises because of CR0, CR4 or XCR0, or -1 */
int fpu_refusal(struct translator *t, const struct insn *insn);

/* translate_align.c: the ACCESS_GP and ACCESS_AC bits of an access by `insn`. */
uint32_t access_alignment(const struct insn *insn, uint32_t access);

/* gather.c */
bool translate_gather(struct translator *t, const struct insn *insn); /* false: not one of them */

static inline struct cold *translate_add_cold(struct translator *t, enum cold_kind kind)
{
    if (t->cold_count == BLOCK_COLD) {
        t->e.overflow = true;
        return &t->cold[0];
    }
    struct cold *cold = &t->cold[t->cold_count++];
    *cold = (struct cold){ .kind = kind, .insn = &t->insns[t->at] };
    return cold;
}

#endif
