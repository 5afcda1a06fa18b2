/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gathers, scatters and byte-masked stores: instructions with as many memory operands as elements.
 *
 * Translated code stores the registers into v->gather and calls bt_helper_execute(); the functions
 * here walk the elements, at the speed of a TLB hit each, without touching the vector registers the
 * guest has live in the host. Before an element that may fault, what is done so far is put into its
 * registers by a little piece of translated code (`load`), because the instruction can be
 * restarted: finished elements have their mask bit cleared. (Intel SDM vol. 2, VPGATHERDD: "If a
 * fault is triggered by an element and delivered, all elements closer to the LSB of the destination
 * will be completed".) None of them checks alignment but the byte-masked stores: 8 bytes.
 *
 * Runs with guest vector registers live. */
#include "engine/bt/translate.h"
#include "x86/access.h"
#include "x86/descriptor.h"
#include "x86/exception.h"

struct gather {
    struct bt_call call;
    void (*load)(void); /* v->gather.data and .mask to their registers; NULL: not needed */
    uint8_t elements, index_bytes, element_bytes;
    bool scatter, vector_mask; /* the mask is the elements' sign bits, else an opmask register */
};

/* ---- execution ----------------------------------------------------------------------------- */

static const struct gather *gather_of(const struct x86_insn *insn)
{
    return (const struct gather *)((const char *)insn - offsetof(struct gather, call.insn));
}

/* The registers as they are after the elements done so far. */
static void make_visible(struct bt_vcpu *v, const struct gather *g)
{
    if (unlikely(!v->cpu.fpu_in_host))
        bt_fpu_from_memory(&v->cpu);
    g->load();
}

/* As x86_seg_check() without the alignment. */
static uint64_t check_segment(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned size,
                              bool write)
{
    const struct x86_segment *s = &cpu->seg[seg];
    uint64_t linear = offset;
    bool good;
    if (x86_code64(cpu)) {
        if (seg == SEG_FS || seg == SEG_GS)
            linear += s->base;
        good = x86_canonical(cpu, linear) && x86_canonical(cpu, linear + size - 1);
    } else {
        linear = (uint32_t)(s->base + offset);
        good = x86_segment_allows(cpu, s, offset, size, write);
    }
    if (unlikely(!good))
        x86_raise_error(cpu, seg == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
    return linear;
}

static inline void copy_element(void *to, const void *from, unsigned size)
{
    if (size == 8)
        *(uint64_t *)to = *(const uint64_t *)from;
    else
        *(uint32_t *)to = *(const uint32_t *)from;
}

/* An element that the TLB does not know, or that must be looked at more closely. */
static void slow_element(struct bt_vcpu *v, const struct x86_insn *insn, const struct gather *g,
                         uint64_t offset, uint8_t *data)
{
    struct x86_cpu *cpu = &v->cpu;
    unsigned size = g->element_bytes;
    make_visible(v, g);
    uint64_t value = 0, linear = check_segment(cpu, insn->segment, offset, size, g->scatter);
    if (g->scatter) {
        copy_element(&value, data, size);
        x86_store(cpu, linear, value, size, x86_user(cpu));
    } else {
        value = x86_load(cpu, linear, size, x86_user(cpu));
        copy_element(data, &value, size);
    }
}

/* Where elements are: what all addresses have in common. */
struct element_base {
    uint64_t offset, mask, segment;
    unsigned access;
    bool quick; /* 64-bit code, no data breakpoints: the TLB is enough */
};

static struct element_base element_base(const struct x86_cpu *cpu, const struct x86_insn *insn,
                                        const struct gather *g)
{
    bool based = insn->segment == SEG_FS || insn->segment == SEG_GS;
    return (struct element_base){
        .offset = insn->disp + (insn->base == X86_NO_REG ? 0 : cpu->regs[insn->base]),
        .mask = insn->addr_width == 8 ? ~0ull : UINT32_MAX,
        .segment = based ? cpu->seg[insn->segment].base : 0,
        .access = x86_user(cpu) | (g->scatter ? X86_WRITE : X86_READ),
        .quick = x86_code64(cpu) && !(cpu->dr[7] & 0xff),
    };
}

static inline void move_element(struct bt_vcpu *v, const struct x86_insn *insn,
                                const struct gather *g, const struct element_base *base, unsigned n)
{
    unsigned size = g->element_bytes;
    int64_t index = g->index_bytes == 8 ? ((const int64_t *)v->gather.index)[n]
                                        : ((const int32_t *)v->gather.index)[n];
    uint64_t offset = (base->offset + index * insn->scale) & base->mask;
    uint8_t *data = v->gather.data + n * size;
    void *host =
        base->quick ? bt_hook_lookup(&v->cpu, offset + base->segment, size, base->access) : NULL;
    if (unlikely(!host))
        slow_element(v, insn, g, offset, data);
    else if (g->scatter)
        copy_element(host, data, size);
    else
        copy_element(data, host, size);
}

/* Clears v->gather.data or .mask from `from` on, a multiple of 8 (4: one element of VPGATHERQD). */
static void zero_rest(uint8_t *to, unsigned from)
{
    if (from & 4) {
        *(uint32_t *)(to + from) = 0;
        from += 4;
    }
    for (; from < sizeof(((struct bt_vcpu *)NULL)->gather.data); from += 8)
        *(uint64_t *)(to + from) = 0;
}

static void each_signed(struct bt_vcpu *v, const struct x86_insn *insn, const struct gather *g,
                        const struct element_base *base)
{
    static const uint64_t zero;
    for (unsigned n = 0; n < g->elements; n++) {
        uint8_t *mask = v->gather.mask + n * g->element_bytes;
        if (mask[g->element_bytes - 1] & 0x80)
            move_element(v, insn, g, base, n);
        copy_element(mask, &zero, g->element_bytes);
    }
}

static void each_in_opmask(struct bt_vcpu *v, const struct x86_insn *insn, const struct gather *g,
                           const struct element_base *base)
{
    uint64_t *opmask = (uint64_t *)v->gather.mask;
    uint64_t left = *opmask & ((1ull << g->elements) - 1);
    bool first = true;
    for (; left; left &= left - 1) {
        unsigned n = __builtin_ctzll(left);
        move_element(v, insn, g, base, n);
        *opmask &= ~(1ull << n);
        if (first) /* with the first element goes what is beyond the vector length */
            zero_rest(v->gather.data, g->elements * MAX(g->element_bytes, g->index_bytes));
        first = false;
    }
}

static enum x86_next execute_gather(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct bt_vcpu *v = bt_of(cpu);
    const struct gather *g = gather_of(insn);
    struct element_base base = element_base(cpu, insn, g);
    if (g->vector_mask)
        each_signed(v, insn, g, &base);
    else
        each_in_opmask(v, insn, g, &base);
    zero_rest(v->gather.mask, 0);
    zero_rest(v->gather.data, g->elements * g->element_bytes); /* not loaded again by a scatter */
    make_visible(v, g);
    cpu->rip = g->call.next_rip;
    return X86_NEXT;
}

/* MASKMOVQ, MASKMOVDQU: all bytes or a fault. */
static enum x86_next execute_maskmov(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct bt_vcpu *v = bt_of(cpu);
    const struct gather *g = gather_of(insn);
    const uint8_t *data = v->gather.data, *mask = v->gather.mask;
    uint64_t offset = cpu->regs[RDI];
    if (insn->addr_width < 8)
        offset &= (1ull << insn->addr_width * 8) - 1;
    /* Faults for bytes that are masked off "may" be reported: some processors do, so do we. */
    uint64_t linear = x86_seg_check(cpu, insn->segment, offset, 8, true);
    if (g->elements == 16)
        x86_seg_check(cpu, insn->segment, offset, 16, true);
    x86_probe(cpu, linear, g->elements, X86_WRITE | x86_user(cpu));

    for (unsigned n = 0; n < g->elements; n++)
        if (mask[n] & 0x80)
            x86_store(cpu, x86_code64(cpu) ? linear + n : (uint32_t)(linear + n), data[n], 1,
                      x86_user(cpu));
    cpu->rip = g->call.next_rip;
    return X86_NEXT;
}

/* ---- translation --------------------------------------------------------------------------- */

#define LOAD 0
#define STORE 1
typedef void emit_move(struct emit *e, bool store, unsigned reg, int32_t offset);

#define DATA CPU_OFFSET(gather.data)
#define INDEX CPU_OFFSET(gather.index)
#define MASK CPU_OFFSET(gather.mask)

/* vmovdqu ymm, gs:[offset] and back. Intel SDM vol. 2, 2.3.5 */
static void emit_ymm(struct emit *e, bool store, unsigned reg, int32_t offset)
{
    emit_8(e, 0x65);
    emit_8(e, 0xc4);
    emit_8(e, (~reg >> 3 & 1) << 7 | 0x61);
    emit_8(e, 0x7e);
    emit_8(e, store ? 0x7f : 0x6f);
    emit_modrm_mem(e, reg, H_NONE, H_NONE, 0, offset);
}

/* vmovdqu64 zmm, gs:[offset] and back. Intel SDM vol. 2, 2.7.1 */
static void emit_zmm(struct emit *e, bool store, unsigned reg, int32_t offset)
{
    emit_8(e, 0x65);
    emit_8(e, 0x62);
    emit_8(e, (~reg >> 3 & 1) << 7 | 0x60 | (~reg >> 4 & 1) << 4 | 1);
    emit_8(e, 0xfe);
    emit_8(e, 0x48);
    emit_8(e, store ? 0x7f : 0x6f);
    emit_modrm_mem(e, reg, H_NONE, H_NONE, 0, offset);
}

/* kmovq k, gs:[offset] and back; kmovw where there is no AVX512BW, and no more than 16 bits. */
static void emit_opmask(struct emit *e, bool store, unsigned reg, int32_t offset)
{
    emit_8(e, 0x65);
    emit_8(e, 0xc4);
    emit_8(e, 0xe1);
    emit_8(e, __builtin_cpu_supports("avx512bw") ? 0xf8 : 0x78);
    emit_8(e, store ? 0x91 : 0x90);
    emit_modrm_mem(e, reg, H_NONE, H_NONE, 0, offset);
}

/* movq gs:[offset], mm or movdqu gs:[offset], xmm */
static void emit_store_bytes(struct emit *e, bool mmx, unsigned reg, int32_t offset)
{
    emit_8(e, 0x65);
    if (!mmx)
        emit_8(e, 0xf3);
    emit_rex(e, false, reg, 0, 0);
    emit_8(e, 0x0f);
    emit_8(e, 0x7f);
    emit_modrm_mem(e, reg, H_NONE, H_NONE, 0, offset);
}

static unsigned vector_number(const ZydisDecodedOperand *op)
{
    return ZydisRegisterGetId(op->reg.value);
}

/* Bytes of an index and of an element; false: not one of these. */
static bool gather_shape(const struct insn *insn, struct gather *g)
{
    bool indexes64 = false, elements64 = false;
    switch (insn->info.mnemonic) {
    case ZYDIS_MNEMONIC_VPGATHERDD:
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VPSCATTERDD:
    case ZYDIS_MNEMONIC_VSCATTERDPS:
        break;
    case ZYDIS_MNEMONIC_VPGATHERDQ:
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VPSCATTERDQ:
    case ZYDIS_MNEMONIC_VSCATTERDPD:
        elements64 = true;
        break;
    case ZYDIS_MNEMONIC_VPGATHERQD:
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VPSCATTERQD:
    case ZYDIS_MNEMONIC_VSCATTERQPS:
        indexes64 = true;
        break;
    case ZYDIS_MNEMONIC_VPGATHERQQ:
    case ZYDIS_MNEMONIC_VGATHERQPD:
    case ZYDIS_MNEMONIC_VPSCATTERQQ:
    case ZYDIS_MNEMONIC_VSCATTERQPD:
        indexes64 = elements64 = true;
        break;
    default:
        return false;
    }
    g->index_bytes = indexes64 ? 8 : 4;
    g->element_bytes = elements64 ? 8 : 4;
    g->elements = insn->info.avx.vector_length / 8 / MAX(g->index_bytes, g->element_bytes);
    g->scatter = insn->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
    g->vector_mask = insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    return true;
}

/*      jmp   over
 * load:        v->gather to data and mask register
 *      ret
 * over:        data, index and mask register to v->gather
 *      call  execute */
static void emit_gather(struct translator *t, const struct insn *insn, struct gather *g)
{
    struct emit *e = &t->e;
    const ZydisDecodedOperand *data = &insn->op[g->scatter ? 2 : 0];
    const ZydisDecodedOperand *mask = &insn->op[g->vector_mask ? 2 : 1];
    /* VEX forms too change the whole register, but not before they are through. */
    emit_move *move = __builtin_cpu_supports("avx512f") ? emit_zmm : emit_ymm;
    emit_move *move_mask = g->vector_mask ? move : emit_opmask;

    uint8_t *over = emit_jmp_later(e);
    g->load = (void (*)(void))emit_here(e);
    if (!g->scatter)
        move(e, LOAD, vector_number(data), DATA);
    move_mask(e, LOAD, vector_number(mask), MASK);
    emit_ret(e);
    emit_patch32(e, over);
    move(e, STORE, vector_number(data), DATA);
    move(e, STORE, g->call.insn.index, INDEX);
    move_mask(e, STORE, vector_number(mask), MASK);
}

static bool is_maskmov(const struct insn *insn)
{
    return insn->info.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ
           || insn->info.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU
           || insn->info.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

static void emit_maskmov(struct translator *t, const struct insn *insn, struct gather *g)
{
    bool mmx = insn->info.mnemonic == ZYDIS_MNEMONIC_MASKMOVQ;
    g->elements = mmx ? 8 : 16;
    for (unsigned i = 0; i < insn->info.operand_count; i++)
        if (insn->op[i].type
            == ZYDIS_OPERAND_TYPE_MEMORY) /* ES, CS, SS, DS, FS, GS in both worlds */
            g->call.insn.segment = ZydisRegisterGetId(insn->op[i].mem.segment);
    emit_store_bytes(&t->e, mmx, vector_number(&insn->op[0]), DATA);
    emit_store_bytes(&t->e, mmx, vector_number(&insn->op[1]), MASK);
}

bool translate_gather(struct translator *t, const struct insn *insn)
{
    struct gather shape = { 0 };
    bool maskmov = is_maskmov(insn);
    if (!maskmov && !gather_shape(insn, &shape))
        return false;
    struct gather *g = bt_arena_alloc(t->bt, sizeof(*g));
    if (!g) {
        t->e.overflow = true;
        return true;
    }
    *g = shape;
    translate_call_fill(t, insn, &g->call);
    g->call.insn.execute = maskmov ? execute_maskmov : execute_gather;
    translate_map(t, insn);
    if (maskmov)
        emit_maskmov(t, insn, g);
    else
        emit_gather(t, insn, g);
    translate_call_emit(t, &g->call);
    return true;
}
