/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String instructions. Runs of elements that stay inside a page of plain RAM are done by the host's
 * own string instruction of the same element size, so overlapping operands come out exactly as on
 * hardware, and at its speed. Everything else goes element by element. Registers are brought up to
 * date after each run, which makes faults precise; after BUDGET_BYTES the instruction returns
 * X86_AGAIN, so that interrupts get their turn. */
#include "x86/alu.h"
#include "x86/descriptor.h"
#include "x86/handlers.h"

#define BUDGET_BYTES 65536u
#define BUDGET_IO 256u

struct string_op {
    struct x86_cpu *cpu;
    const struct x86_insn *insn;
    unsigned size, width; /* of an element, of an address */
    bool back, repeat;
    uint64_t count;  /* iterations left */
    uint64_t budget; /* elements left before X86_AGAIN */
};

static bool string_begin(struct string_op *op, struct x86_cpu *cpu, const struct x86_insn *insn)
{
    op->cpu = cpu;
    op->insn = insn;
    op->size = insn->width;
    op->width = insn->addr_width;
    op->back = cpu->rflags & FLAG_DF;
    op->repeat = insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE);
    op->count = op->repeat ? reg_get(cpu, RCX, op->width) : 1;
    /* A single step or a breakpoint trap is due after every iteration. */
    op->budget = cpu->rflags & FLAG_TF || cpu->dr[7] & 0xff || cpu->single_step
                     ? 1
                     : BUDGET_BYTES / op->size;
    return op->count != 0;
}

static void advance(const struct string_op *op, enum x86_reg reg, uint64_t elements)
{
    uint64_t bytes = elements * op->size;

    reg_set(op->cpu, reg, op->cpu->regs[reg] + (op->back ? -bytes : bytes), op->width);
}

static void count_down(struct string_op *op, uint64_t elements)
{
    op->count -= elements;
    op->budget -= MIN(elements, op->budget);
    if (unlikely(op->cpu->watch_hit)) /* a debugger wants to look */
        op->budget = 0;
    if (op->repeat)
        reg_set(op->cpu, RCX, op->count, op->width);
}

static enum x86_next string_end(const struct string_op *op, bool stopped)
{
    if (op->count && !stopped)
        return X86_AGAIN;
    return insn_done(op->cpu, op->insn);
}

static uint64_t offset_of(const struct string_op *op, enum x86_reg reg)
{
    return reg_get(op->cpu, reg, op->width);
}

/* How many elements, from seg:reg on, lie in one page and inside the segment, and the linear
 * address of the first. Zero if the first one alone needs the slow way. */
static uint64_t run_length(const struct string_op *op, enum x86_seg seg, enum x86_reg reg,
                           bool write, uint64_t *linear)
{
    const struct x86_cpu *cpu = op->cpu;
    const struct x86_segment *s = &cpu->seg[seg];
    uint64_t offset = offset_of(op, reg), at, n = MIN(op->count, op->budget), mask;
    unsigned in_page;

    if (x86_code64(cpu))
        at = offset + (seg >= SEG_FS ? s->base : 0);
    else
        at = (uint32_t)(s->base + offset);
    in_page = at & 0xfff;
    if (in_page + op->size > 0x1000)
        return 0;
    n = MIN(n, op->back ? in_page / op->size + 1u : (0x1000 - in_page) / op->size);
    mask = width_mask(op->width);
    if (op->width < 8)
        n = MIN(n, op->back ? offset / op->size + 1 : (mask - offset + 1) / op->size);
    if (!n || ((cpu->rflags & FLAG_AC) && (cpu->cr0 & CR0_AM) && cpu->cpl == 3))
        return 0;
    if (x86_code64(cpu)) {
        if (!x86_canonical(cpu, at))
            return 0;
    } else {
        uint64_t low = op->back ? offset - (n - 1) * op->size : offset;

        if (!x86_segment_allows(cpu, s, low, n * op->size, write))
            return 0;
    }
    *linear = at;
    return n;
}

/* Host pointer to the first element of a run, or NULL. May raise #PF. */
static void *run_host(const struct string_op *op, uint64_t linear, bool write)
{
    return x86_host(op->cpu, linear, op->size, x86_user(op->cpu) | (write ? X86_WRITE : X86_READ));
}

/* The host's string instruction, with the direction flag set around it if need be. (The C ABI wants
 * it clear everywhere else.) */
#define HOST_STRING(op, instruction, outputs, inputs) \
    do { \
        if ((op)->back) \
            __asm__ volatile("std\n\t" instruction "\n\tcld" : outputs:inputs : "memory", "cc"); \
        else \
            __asm__ volatile(instruction:outputs:inputs : "memory", "cc"); \
    } while (0)
#define LIST(...) __VA_ARGS__

/* ---- MOVS, STOS, LODS ----------------------------------------------------------------------- */

/* clang-format off */
static void host_movs(const struct string_op *op, void *to, const void *from, uint64_t n)
{
    switch (op->size) {
    case 1: HOST_STRING(op, "rep movsb", LIST("+D"(to), "+S"(from), "+c"(n)), ); break;
    case 2: HOST_STRING(op, "rep movsw", LIST("+D"(to), "+S"(from), "+c"(n)), ); break;
    case 4: HOST_STRING(op, "rep movsl", LIST("+D"(to), "+S"(from), "+c"(n)), ); break;
    default: HOST_STRING(op, "rep movsq", LIST("+D"(to), "+S"(from), "+c"(n)), );
    }
}

enum x86_next x86_do_movs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_seg seg = insn->segment;
    struct string_op op;

    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    do {
        uint64_t from, to, n = run_length(&op, seg, RSI, false, &from);
        uint64_t m = n ? run_length(&op, SEG_ES, RDI, true, &to) : 0;
        void *source = m ? run_host(&op, from, false) : NULL;
        void *target = source ? run_host(&op, to, true) : NULL;

        n = MIN(n, m);
        if (likely(target)) {
            host_movs(&op, target, source, n);
        } else {
            uint64_t value = x86_load_seg(cpu, seg, offset_of(&op, RSI), op.size);

            x86_store_seg(cpu, SEG_ES, offset_of(&op, RDI), value, op.size);
            n = 1;
        }
        advance(&op, RSI, n);
        advance(&op, RDI, n);
        count_down(&op, n);
    } while (op.count && op.budget);
    return string_end(&op, false);
}

static void host_stos(const struct string_op *op, void *to, uint64_t value, uint64_t n)
{
    switch (op->size) {
    case 1: HOST_STRING(op, "rep stosb", LIST("+D"(to), "+c"(n)), "a"(value)); break;
    case 2: HOST_STRING(op, "rep stosw", LIST("+D"(to), "+c"(n)), "a"(value)); break;
    case 4: HOST_STRING(op, "rep stosl", LIST("+D"(to), "+c"(n)), "a"(value)); break;
    default: HOST_STRING(op, "rep stosq", LIST("+D"(to), "+c"(n)), "a"(value));
    }
}

enum x86_next x86_do_stos(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct string_op op;

    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    do {
        uint64_t to, n = run_length(&op, SEG_ES, RDI, true, &to);
        void *target = n ? run_host(&op, to, true) : NULL;

        if (likely(target)) {
            host_stos(&op, target, cpu->regs[RAX], n);
        } else {
            x86_store_seg(cpu, SEG_ES, offset_of(&op, RDI), cpu->regs[RAX], op.size);
            n = 1;
        }
        advance(&op, RDI, n);
        count_down(&op, n);
    } while (op.count && op.budget);
    return string_end(&op, false);
}

enum x86_next x86_do_lods(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    struct string_op op;

    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    op.budget = MIN(op.budget, BUDGET_IO);
    do {
        uint64_t value = x86_load_seg(cpu, insn->segment, offset_of(&op, RSI), op.size);

        reg_set(cpu, RAX, value, op.size);
        advance(&op, RSI, 1);
        count_down(&op, 1);
    } while (op.count && op.budget);
    return string_end(&op, false);
}

/* ---- SCAS, CMPS ----------------------------------------------------------------------------- */

#define FLAGS_TO_AX "\n\tlahf\n\tseto %%al"

/* Runs REPE or REPNE; returns how many elements were compared, and the flags of the last one. */
static uint64_t host_scas(const struct string_op *op, const void *at, uint64_t value, uint64_t n,
                          uint64_t *flags)
{
    uint64_t left = n, ax = value;
    bool until = op->insn->prefixes & X86_PREFIX_REPNE;

#define SCAS(suffix) \
    if (until) \
        HOST_STRING(op, "repne scas" suffix FLAGS_TO_AX, LIST("+D"(at), "+c"(left), "+a"(ax)), ); \
    else \
        HOST_STRING(op, "repe scas" suffix FLAGS_TO_AX, LIST("+D"(at), "+c"(left), "+a"(ax)), )
    switch (op->size) {
    case 1: SCAS("b"); break;
    case 2: SCAS("w"); break;
    case 4: SCAS("l"); break;
    default: SCAS("q");
    }
#undef SCAS
    *flags = flags_from_ax(ax);
    return n - left;
}

static uint64_t host_cmps(const struct string_op *op, const void *a, const void *b, uint64_t n,
                          uint64_t *flags)
{
    uint64_t left = n, ax;
    bool until = op->insn->prefixes & X86_PREFIX_REPNE;

#define CMPS(suffix) \
    if (until) \
        HOST_STRING(op, "repne cmps" suffix FLAGS_TO_AX, \
                    LIST("+S"(a), "+D"(b), "+c"(left), "=&a"(ax)), ); \
    else \
        HOST_STRING(op, "repe cmps" suffix FLAGS_TO_AX, \
                    LIST("+S"(a), "+D"(b), "+c"(left), "=&a"(ax)), )
    switch (op->size) {
    case 1: CMPS("b"); break;
    case 2: CMPS("w"); break;
    case 4: CMPS("l"); break;
    default: CMPS("q");
    }
#undef CMPS
    *flags = flags_from_ax(ax);
    return n - left;
}

/* clang-format on */

/* Has a repeated comparison found what ends it? */
static bool comparison_ends(const struct string_op *op, uint64_t flags)
{
    bool equal = flags & FLAG_ZF;

    return op->repeat && equal == !!(op->insn->prefixes & X86_PREFIX_REPNE);
}

enum x86_next x86_do_scas(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t flags, value = reg_get(cpu, RAX, insn->width);
    struct string_op op;
    bool ends;

    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    do {
        uint64_t at, n = run_length(&op, SEG_ES, RDI, false, &at);
        const void *host = n ? run_host(&op, at, false) : NULL;

        if (likely(host)) {
            n = host_scas(&op, host, value, n, &flags);
        } else {
            uint64_t element = x86_load_seg(cpu, SEG_ES, offset_of(&op, RDI), op.size);

            flags = flags_compare(value, element, op.size);
            n = 1;
        }
        advance(&op, RDI, n);
        count_down(&op, n);
        flags_set(cpu, flags);
        ends = comparison_ends(&op, flags);
    } while (op.count && op.budget && !ends);
    return string_end(&op, ends);
}

enum x86_next x86_do_cmps(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    enum x86_seg seg = insn->segment;
    uint64_t flags;
    struct string_op op;
    bool ends;

    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    do {
        uint64_t a, b, n = run_length(&op, seg, RSI, false, &a);
        uint64_t m = n ? run_length(&op, SEG_ES, RDI, false, &b) : 0;
        const void *host_a = m ? run_host(&op, a, false) : NULL;
        const void *host_b = host_a ? run_host(&op, b, false) : NULL;

        n = MIN(n, m);
        if (likely(host_b)) {
            n = host_cmps(&op, host_a, host_b, n, &flags);
        } else {
            uint64_t first = x86_load_seg(cpu, seg, offset_of(&op, RSI), op.size);
            uint64_t second = x86_load_seg(cpu, SEG_ES, offset_of(&op, RDI), op.size);

            flags = flags_compare(first, second, op.size);
            n = 1;
        }
        advance(&op, RSI, n);
        advance(&op, RDI, n);
        count_down(&op, n);
        flags_set(cpu, flags);
        ends = comparison_ends(&op, flags);
    } while (op.count && op.budget && !ends);
    return string_end(&op, ends);
}

/* ---- INS, OUTS ------------------------------------------------------------------------------ */

enum x86_next x86_do_ins(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint16_t port = cpu->regs[RDX];
    struct string_op op;

    x86_io_check(cpu, port, insn->width);
    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    op.budget = MIN(op.budget, BUDGET_IO);
    do {
        /* The port may not be read before it is sure that the value can be stored. */
        uint64_t linear = x86_seg_check(cpu, SEG_ES, offset_of(&op, RDI), op.size, true);

        x86_probe(cpu, linear, op.size, x86_user(cpu) | X86_WRITE);
        x86_quiesce(cpu);
        x86_store(cpu, linear, cpu->ops->io_read(cpu, port, op.size), op.size, x86_user(cpu));
        advance(&op, RDI, 1);
        count_down(&op, 1);
    } while (op.count && op.budget);
    return string_end(&op, false);
}

enum x86_next x86_do_outs(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint16_t port = cpu->regs[RDX];
    struct string_op op;

    x86_io_check(cpu, port, insn->width);
    if (!string_begin(&op, cpu, insn))
        return insn_done(cpu, insn);
    op.budget = MIN(op.budget, BUDGET_IO);
    do {
        uint64_t value = x86_load_seg(cpu, insn->segment, offset_of(&op, RSI), op.size);

        x86_quiesce(cpu);
        cpu->ops->io_write(cpu, port, value, op.size);
        advance(&op, RSI, 1);
        count_down(&op, 1);
    } while (op.count && op.budget);
    return string_end(&op, false);
}
