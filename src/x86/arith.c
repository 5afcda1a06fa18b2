/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ordinary integer arithmetic, for the operands that the translator does not handle inline:
 * segments with a base or limit, page crossings, devices, pages it guards. The operation is always
 * executed by the host CPU on copies (alu.h's reasoning), so its flags are right by
 * construction. */
#include "x86/alu.h"
#include "x86/handlers.h"

/* ---- Executing one operation on the host ---------------------------------------------------- */

/* clang-format off */
/* CF comes from `flags` where the operation reads it; `flags` returns all six. */
#define HOST_OP(suffix, modifier, text) \
    __asm__("btl $0, %k[in]\n\t" text suffix " %" modifier "[b], %" modifier "[a]" \
            "\n\tlahf\n\tseto %%al" \
            : [a] "+&r"(a), "=&a"(ax) : [b] "r"(b), [in] "r"(*flags) : "cc")
#define HOST_UNARY(suffix, modifier, text) \
    __asm__("btl $0, %k[in]\n\t" text suffix " %" modifier "[a]\n\tlahf\n\tseto %%al" \
            : [a] "+&r"(a), "=&a"(ax) : [in] "r"(*flags) : "cc")
#define HOST_SHIFT(suffix, modifier, text) \
    __asm__("btl $0, %k[in]\n\t" text suffix " %%cl, %" modifier "[a]\n\tlahf\n\tseto %%al" \
            : [a] "+&r"(a), "=&a"(ax) : "c"(b), [in] "r"(*flags) : "cc")
#define BY_SIZE(HOST, text) \
    switch (size) { \
    case 1: HOST("b", "b", text); break; \
    case 2: HOST("w", "w", text); break; \
    case 4: HOST("l", "k", text); break; \
    default: HOST("q", "q", text); \
    }

static uint64_t host_binary(unsigned mnemonic, uint64_t a, uint64_t b, unsigned size,
                            uint64_t *flags)
{
    uint64_t ax;

    switch (mnemonic) {
    case ZYDIS_MNEMONIC_ADD: BY_SIZE(HOST_OP, "add"); break;
    case ZYDIS_MNEMONIC_ADC: BY_SIZE(HOST_OP, "adc"); break;
    case ZYDIS_MNEMONIC_SUB: case ZYDIS_MNEMONIC_CMP: BY_SIZE(HOST_OP, "sub"); break;
    case ZYDIS_MNEMONIC_SBB: BY_SIZE(HOST_OP, "sbb"); break;
    case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_TEST: BY_SIZE(HOST_OP, "and"); break;
    case ZYDIS_MNEMONIC_OR: BY_SIZE(HOST_OP, "or"); break;
    default: BY_SIZE(HOST_OP, "xor");
    }
    *flags = flags_from_ax(ax);
    return a & width_mask(size);
}

static uint64_t host_unary(unsigned mnemonic, uint64_t a, unsigned size, uint64_t *flags)
{
    uint64_t ax;

    switch (mnemonic) {
    case ZYDIS_MNEMONIC_INC: BY_SIZE(HOST_UNARY, "inc"); break;
    case ZYDIS_MNEMONIC_DEC: BY_SIZE(HOST_UNARY, "dec"); break;
    case ZYDIS_MNEMONIC_NEG: BY_SIZE(HOST_UNARY, "neg"); break;
    default: return ~a & width_mask(size); /* NOT: no flags */
    }
    *flags = flags_from_ax(ax);
    return a & width_mask(size);
}

static uint64_t host_shift(unsigned mnemonic, uint64_t a, uint64_t b, unsigned size,
                           uint64_t *flags)
{
    uint64_t ax, old = *flags & FLAGS_ARITHMETIC, rotate = 0;

    if (!(b & (size == 8 ? 63 : 31)))
        return a;
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_SHL: BY_SIZE(HOST_SHIFT, "shl"); break;
    case ZYDIS_MNEMONIC_SHR: BY_SIZE(HOST_SHIFT, "shr"); break;
    case ZYDIS_MNEMONIC_SAR: BY_SIZE(HOST_SHIFT, "sar"); break;
    case ZYDIS_MNEMONIC_ROL: BY_SIZE(HOST_SHIFT, "rol"); rotate = 1; break;
    case ZYDIS_MNEMONIC_ROR: BY_SIZE(HOST_SHIFT, "ror"); rotate = 1; break;
    case ZYDIS_MNEMONIC_RCL: BY_SIZE(HOST_SHIFT, "rcl"); rotate = 1; break;
    default: BY_SIZE(HOST_SHIFT, "rcr"); rotate = 1;
    }
    *flags = flags_from_ax(ax);
    if (rotate) /* rotates touch CF and OF only */
        *flags = (old & ~(uint64_t)(FLAG_CF | FLAG_OF)) | (*flags & (FLAG_CF | FLAG_OF));
    return a & width_mask(size);
}

/* clang-format on */

/* ---- Read, modify, write -------------------------------------------------------------------- */

/* What a modifying instruction computes: the new value of operand 0 from the old, with flags. */
typedef uint64_t (*modify_fn)(const struct x86_insn *insn, uint64_t old, uint64_t other,
                              uint64_t *flags);

/* Reads operand 0 for a later write: a fault is reported as the write's. */
static uint64_t read_for_write(struct x86_cpu *cpu, uint64_t linear, unsigned size)
{
    x86_probe(cpu, linear, size, x86_user(cpu) | X86_WRITE);
    return x86_load(cpu, linear, size, x86_user(cpu));
}

/* Applies `modify` to `size` bytes at `linear`; returns what was there. */
static uint64_t modify_memory(struct x86_cpu *cpu, const struct x86_insn *insn, uint64_t linear,
                              unsigned size, uint64_t other, modify_fn modify, uint64_t *flags)
{
    uint64_t old = read_for_write(cpu, linear, size), in = *flags, value, found;

    if (!(insn->prefixes & X86_PREFIX_LOCK)) {
        x86_store(cpu, linear, modify(insn, old, other, flags), size, x86_user(cpu));
        return old;
    }
    for (;;) {
        *flags = in;
        value = modify(insn, old, other, flags);
        found = x86_cas(cpu, linear, old, value, size);
        if (found == old)
            return old;
        old = found;
    }
}

/* Operand 0 = modify(operand 0, other); commits flags. */
static enum x86_next modify_operand(struct x86_cpu *cpu, const struct x86_insn *insn,
                                    uint64_t other, modify_fn modify)
{
    uint64_t flags = cpu->rflags & FLAGS_ARITHMETIC;
    unsigned size = insn->op[0].size;

    if (insn->op[0].kind == X86_OPERAND_MEM)
        modify_memory(cpu, insn, operand_linear(cpu, insn, size, true), size, other, modify,
                      &flags);
    else
        x86_operand_write(cpu, insn, 0,
                          modify(insn, x86_operand_read(cpu, insn, 0), other, &flags));
    flags_set(cpu, flags);
    return insn_done(cpu, insn);
}

/* ---- Binary, unary, shifts ------------------------------------------------------------------ */

static uint64_t modify_binary(const struct x86_insn *insn, uint64_t old, uint64_t other,
                              uint64_t *flags)
{
    return host_binary(insn->mnemonic, old, other, insn->op[0].size, flags);
}

enum x86_next x86_do_binary(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return modify_operand(cpu, insn, x86_operand_read(cpu, insn, 1), modify_binary);
}

enum x86_next x86_do_compare(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t flags = 0, first = x86_operand_read(cpu, insn, 0);

    host_binary(insn->mnemonic, first, x86_operand_read(cpu, insn, 1), insn->op[0].size, &flags);
    flags_set(cpu, flags);
    return insn_done(cpu, insn);
}

static uint64_t modify_unary(const struct x86_insn *insn, uint64_t old, uint64_t other,
                             uint64_t *flags)
{
    return host_unary(insn->mnemonic, old, insn->op[0].size, flags);
}

enum x86_next x86_do_unary(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return modify_operand(cpu, insn, 0, modify_unary);
}

static uint64_t modify_shift(const struct x86_insn *insn, uint64_t old, uint64_t other,
                             uint64_t *flags)
{
    return host_shift(insn->mnemonic, old, other, insn->op[0].size, flags);
}

enum x86_next x86_do_shift(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return modify_operand(cpu, insn, x86_operand_read(cpu, insn, 1) & 0xff, modify_shift);
}

#define DOUBLE_SHIFT(text, suffix, modifier) \
    __asm__(text suffix " %%cl, %" modifier "[b], %" modifier "[a]\n\tlahf\n\tseto %%al" \
            : [a] "+&r"(a), "=&a"(ax) \
            : [b] "r"(b), "c"(count) \
            : "cc")

/* SHLD, SHRD. */
enum x86_next x86_do_double_shift(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    bool memory = insn->op[0].kind == X86_OPERAND_MEM;
    bool left = insn->mnemonic == ZYDIS_MNEMONIC_SHLD;
    uint64_t linear = memory ? operand_linear(cpu, insn, size, true) : 0;
    uint64_t a = memory ? read_for_write(cpu, linear, size) : x86_operand_read(cpu, insn, 0);
    uint64_t b = x86_operand_read(cpu, insn, 1), count = x86_operand_read(cpu, insn, 2), ax;

    count &= size == 8 ? 63 : 31;
    if (!count) {
        if (!memory) /* a 32-bit destination still loses its upper half */
            x86_operand_write(cpu, insn, 0, a);
        return insn_done(cpu, insn);
    }
    switch (size) {
    case 2:
        if (left)
            DOUBLE_SHIFT("shld", "w", "w");
        else
            DOUBLE_SHIFT("shrd", "w", "w");
        break;
    case 4:
        if (left)
            DOUBLE_SHIFT("shld", "l", "k");
        else
            DOUBLE_SHIFT("shrd", "l", "k");
        break;
    default:
        if (left)
            DOUBLE_SHIFT("shld", "q", "q");
        else
            DOUBLE_SHIFT("shrd", "q", "q");
    }
    if (memory)
        x86_store(cpu, linear, a, size, x86_user(cpu));
    else
        x86_operand_write(cpu, insn, 0, a);
    flags_set(cpu, flags_from_ax(ax));
    return insn_done(cpu, insn);
}

/* ---- Exchanges ------------------------------------------------------------------------------ */

enum x86_next x86_do_xchg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    unsigned mem = insn->op[1].kind == X86_OPERAND_MEM ? 1 : 0, reg = !mem;
    uint64_t first, second;

    if (insn->op[mem].kind != X86_OPERAND_MEM) {
        first = x86_operand_read(cpu, insn, 0);
        second = x86_operand_read(cpu, insn, 1);
        x86_operand_write(cpu, insn, 0, second);
        x86_operand_write(cpu, insn, 1, first);
        return insn_done(cpu, insn);
    }
    {
        uint64_t linear = operand_linear(cpu, insn, size, true);

        second = x86_operand_read(cpu, insn, reg);
        first = read_for_write(cpu, linear, size);
        for (uint64_t found; (found = x86_cas(cpu, linear, first, second, size)) != first;)
            first = found;
        x86_operand_write(cpu, insn, reg, first);
    }
    return insn_done(cpu, insn);
}

static uint64_t modify_add(const struct x86_insn *insn, uint64_t old, uint64_t other,
                           uint64_t *flags)
{
    return host_binary(ZYDIS_MNEMONIC_ADD, old, other, insn->op[0].size, flags);
}

enum x86_next x86_do_xadd(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t other = x86_operand_read(cpu, insn, 1), old, flags = 0, sum;

    if (insn->op[0].kind == X86_OPERAND_MEM) {
        old = modify_memory(cpu, insn, operand_linear(cpu, insn, size, true), size, other,
                            modify_add, &flags);
        x86_operand_write(cpu, insn, 1, old);
    } else {
        old = x86_operand_read(cpu, insn, 0);
        sum = modify_add(insn, old, other, &flags);
        x86_operand_write(cpu, insn, 1, old);
        x86_operand_write(cpu, insn, 0, sum);
    }
    flags_set(cpu, flags);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_cmpxchg(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t expected = reg_get(cpu, RAX, size), value = x86_operand_read(cpu, insn, 1), found;

    if (insn->op[0].kind == X86_OPERAND_MEM) {
        found = x86_cas(cpu, operand_linear(cpu, insn, size, true), expected, value, size);
    } else {
        found = x86_operand_read(cpu, insn, 0);
        if (found == expected)
            x86_operand_write(cpu, insn, 0, value);
        else
            x86_operand_write(cpu, insn, 0, found); /* clears the upper half of a 32-bit one */
    }
    flags_set(cpu, flags_compare(expected, found, size));
    if (found != expected)
        reg_set(cpu, RAX, found, size);
    return insn_done(cpu, insn);
}

static enum x86_next set_zf(struct x86_cpu *cpu, const struct x86_insn *insn, bool zf)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAG_ZF) | (zf ? FLAG_ZF : 0);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_cmpxchg8b(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t expected = cpu->regs[RDX] << 32 | (uint32_t)cpu->regs[RAX];
    uint64_t value = cpu->regs[RCX] << 32 | (uint32_t)cpu->regs[RBX];
    uint64_t found = x86_cas(cpu, operand_linear(cpu, insn, 8, true), expected, value, 8);

    if (found != expected) {
        cpu->regs[RAX] = (uint32_t)found;
        cpu->regs[RDX] = found >> 32;
    }
    return set_zf(cpu, insn, found == expected);
}

enum x86_next x86_do_cmpxchg16b(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t linear = operand_linear(cpu, insn, 16, true), found[2], value[2];
    uint64_t low = cpu->regs[RAX], high = cpu->regs[RDX];
    unsigned access = x86_user(cpu) | X86_WRITE;
    bool equal;
    void *host;

    if (linear & 15)
        x86_raise_error(cpu, VECTOR_GP, 0);
    host = x86_host(cpu, linear, 16, access);
    if (host) {
        __asm__ volatile("lock cmpxchg16b (%[at])\n\tsete %[equal]"
                         : "+a"(low), "+d"(high), [equal] "=q"(equal)
                         : "b"(cpu->regs[RBX]), "c"(cpu->regs[RCX]), [at] "r"(host)
                         : "memory", "cc");
    } else {
        x86_probe(cpu, linear, 16, access);
        x86_load_bytes(cpu, linear, found, 16, x86_user(cpu));
        equal = found[0] == low && found[1] == high;
        value[0] = equal ? cpu->regs[RBX] : found[0];
        value[1] = equal ? cpu->regs[RCX] : found[1];
        x86_store_bytes(cpu, linear, value, 16, x86_user(cpu));
        low = found[0];
        high = found[1];
    }
    if (!equal) {
        cpu->regs[RAX] = low;
        cpu->regs[RDX] = high;
    }
    return set_zf(cpu, insn, equal);
}

/* ---- Bits ----------------------------------------------------------------------------------- */

static uint64_t modify_bit(const struct x86_insn *insn, uint64_t old, uint64_t bit, uint64_t *flags)
{
    uint64_t mask = 1ull << bit;

    *flags = (*flags & ~(uint64_t)FLAG_CF) | (old & mask ? FLAG_CF : 0);
    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_BTS:
        return old | mask;
    case ZYDIS_MNEMONIC_BTR:
        return old & ~mask;
    case ZYDIS_MNEMONIC_BTC:
        return old ^ mask;
    default:
        return old;
    }
}

/* BT, BTS, BTR, BTC. A bit offset in a register reaches beyond the memory operand. */
enum x86_next x86_do_bit_test(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size, bits = size * 8;
    uint64_t number = x86_operand_read(cpu, insn, 1), flags = cpu->rflags & FLAGS_ARITHMETIC;
    bool write = insn->mnemonic != ZYDIS_MNEMONIC_BT;
    uint64_t offset, linear;

    if (insn->op[0].kind != X86_OPERAND_MEM) {
        uint64_t value =
            modify_bit(insn, x86_operand_read(cpu, insn, 0), number & (bits - 1), &flags);
        if (write)
            x86_operand_write(cpu, insn, 0, value);
    } else {
        offset = operand_offset(cpu, insn);
        if (insn->op[1].kind == X86_OPERAND_REG)
            offset += (sign_extend(number, size) >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
        linear =
            x86_seg_check(cpu, insn->segment, offset & width_mask(insn->addr_width), size, write);
        if (write)
            modify_memory(cpu, insn, linear, size, number & (bits - 1), modify_bit, &flags);
        else
            modify_bit(insn, x86_load(cpu, linear, size, x86_user(cpu)), number & (bits - 1),
                       &flags);
    }
    flags_set(cpu, flags);
    return insn_done(cpu, insn);
}

#define BIT_SCAN(text, suffix, modifier) \
    __asm__(text suffix " %" modifier "[b], %" modifier "[a]\n\tlahf\n\tseto %%al" \
            : [a] "+&r"(a), "=&a"(ax) \
            : [b] "r"(b) \
            : "cc")
#define SCAN_BY_SIZE(text) \
    switch (insn->op[0].size) { \
    case 2: \
        BIT_SCAN(text, "w", "w"); \
        break; \
    case 4: \
        BIT_SCAN(text, "l", "k"); \
        break; \
    default: \
        BIT_SCAN(text, "q", "q"); \
    }

/* BSF, BSR, LZCNT, TZCNT, POPCNT. A BSF of zero leaves the destination as the host leaves it. */
enum x86_next x86_do_bit_scan(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned reg = insn->op[0].reg;
    uint64_t a = cpu->regs[reg], b = x86_operand_read(cpu, insn, 1), ax;

    switch (insn->mnemonic) {
    case ZYDIS_MNEMONIC_BSF:
        SCAN_BY_SIZE("bsf");
        break;
    case ZYDIS_MNEMONIC_BSR:
        SCAN_BY_SIZE("bsr");
        break;
    case ZYDIS_MNEMONIC_LZCNT:
        SCAN_BY_SIZE("lzcnt");
        break;
    case ZYDIS_MNEMONIC_TZCNT:
        SCAN_BY_SIZE("tzcnt");
        break;
    default:
        SCAN_BY_SIZE("popcnt");
    }
    cpu->regs[reg] = a;
    flags_set(cpu, flags_from_ax(ax));
    return insn_done(cpu, insn);
}

/* ---- Multiplication and division ------------------------------------------------------------ */

#define WIDE_MULTIPLY(text, suffix, modifier) \
    __asm__(text suffix " %" modifier "[b]\n\tseto %b[o]\n\tmovzbl %b[o], %k[o]" \
            : "+a"(low), "+d"(high), [o] "=&r"(overflow) \
            : [b] "r"(b) \
            : "cc")

/* MUL and one-operand IMUL: CF and OF say whether the upper half is needed; the other flags are
 * undefined and stay as they were. */
static enum x86_next multiply_wide(struct x86_cpu *cpu, const struct x86_insn *insn, bool sign)
{
    unsigned size = insn->op[0].size;
    uint64_t low = cpu->regs[RAX], high = cpu->regs[RDX], b = x86_operand_read(cpu, insn, 0);
    uint64_t overflow;

    switch (size) {
    case 1:
        if (sign)
            WIDE_MULTIPLY("imul", "b", "b");
        else
            WIDE_MULTIPLY("mul", "b", "b");
        break;
    case 2:
        if (sign)
            WIDE_MULTIPLY("imul", "w", "w");
        else
            WIDE_MULTIPLY("mul", "w", "w");
        break;
    case 4:
        if (sign)
            WIDE_MULTIPLY("imul", "l", "k");
        else
            WIDE_MULTIPLY("mul", "l", "k");
        break;
    default:
        if (sign)
            WIDE_MULTIPLY("imul", "q", "q");
        else
            WIDE_MULTIPLY("mul", "q", "q");
    }
    reg_set(cpu, RAX, low, MAX(size, 2u));
    if (size > 1)
        reg_set(cpu, RDX, high, size);
    cpu->rflags =
        (cpu->rflags & ~(uint64_t)(FLAG_CF | FLAG_OF)) | (overflow ? FLAG_CF | FLAG_OF : 0);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_mul(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    return multiply_wide(cpu, insn, false);
}

enum x86_next x86_do_imul(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    int64_t a, b, result;
    bool overflow;

    if (insn->operands == 1)
        return multiply_wide(cpu, insn, true);
    a = sign_extend(x86_operand_read(cpu, insn, insn->operands - 2), size);
    b = sign_extend(x86_operand_read(cpu, insn, insn->operands - 1), size);
    overflow = __builtin_mul_overflow(a, b, &result);
    overflow = overflow || sign_extend(result, size) != result;
    x86_operand_write(cpu, insn, 0, result);
    cpu->rflags =
        (cpu->rflags & ~(uint64_t)(FLAG_CF | FLAG_OF)) | (overflow ? FLAG_CF | FLAG_OF : 0);
    return insn_done(cpu, insn);
}

/* high:low / divisor as the host's DIV does; the caller has made sure that the quotient fits. */
static void divide_unsigned(uint64_t *low, uint64_t *high, uint64_t divisor)
{
    __asm__("divq %2" : "+a"(*low), "+d"(*high) : "r"(divisor) : "cc");
}

/* The dividend of DIV and IDIV as one number of 128 bits. */
static void dividend(const struct x86_cpu *cpu, unsigned size, bool sign, uint64_t *low,
                     uint64_t *high)
{
    uint64_t value;

    if (size == 8) {
        *low = cpu->regs[RAX];
        *high = cpu->regs[RDX];
        return;
    }
    if (size == 1)
        value = reg_get(cpu, RAX, 2);
    else
        value = reg_get(cpu, RDX, size) << size * 8 | reg_get(cpu, RAX, size);
    if (sign)
        value = sign_extend(value, size * 2);
    *low = value;
    *high = sign && (int64_t)value < 0 ? ~0ull : 0;
}

static void set_quotient(struct x86_cpu *cpu, unsigned size, uint64_t quotient, uint64_t rest)
{
    if (size == 1) {
        reg_set(cpu, RAX, (rest & 0xff) << 8 | (quotient & 0xff), 2);
    } else {
        reg_set(cpu, RAX, quotient, size);
        reg_set(cpu, RDX, rest, size);
    }
}

enum x86_next x86_do_div(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    uint64_t divisor = x86_operand_read(cpu, insn, 0), low, high;

    dividend(cpu, size, false, &low, &high);
    if (!divisor || high >= divisor)
        x86_raise(cpu, VECTOR_DE);
    divide_unsigned(&low, &high, divisor);
    if (low & ~width_mask(size))
        x86_raise(cpu, VECTOR_DE);
    set_quotient(cpu, size, low, high);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_idiv(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->op[0].size;
    int64_t divisor = sign_extend(x86_operand_read(cpu, insn, 0), size);
    uint64_t low, high, magnitude = divisor < 0 ? -(uint64_t)divisor : (uint64_t)divisor, limit;
    bool negative, result_negative;

    dividend(cpu, size, true, &low, &high);
    negative = (int64_t)high < 0;
    if (negative) {
        low = -low;
        high = ~high + (low == 0);
    }
    result_negative = negative != (divisor < 0);
    limit = sign_bit(size) - !result_negative; /* largest magnitude of the quotient */
    if (!magnitude || high >= magnitude)
        x86_raise(cpu, VECTOR_DE);
    divide_unsigned(&low, &high, magnitude);
    if (low > limit)
        x86_raise(cpu, VECTOR_DE);
    set_quotient(cpu, size, result_negative ? -low : low, negative ? -high : high);
    return insn_done(cpu, insn);
}

/* ADCX and ADOX: addition with a carry chain of its own. */
enum x86_next x86_do_add_chain(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t carry = insn->mnemonic == ZYDIS_MNEMONIC_ADCX ? FLAG_CF : FLAG_OF;
    uint64_t a = x86_operand_read(cpu, insn, 0), b = x86_operand_read(cpu, insn, 1), sum;
    unsigned size = insn->op[0].size;
    bool out;

    if (size == 8) {
        out = __builtin_add_overflow(a, b, &sum);
        out |= __builtin_add_overflow(sum, (uint64_t) !!(cpu->rflags & carry), &sum);
    } else {
        sum = a + b + !!(cpu->rflags & carry);
        out = sum >> 32;
    }
    x86_operand_write(cpu, insn, 0, sum);
    cpu->rflags = (cpu->rflags & ~carry) | (out ? carry : 0);
    return insn_done(cpu, insn);
}

enum x86_next x86_do_crc32(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t crc = (uint32_t)cpu->regs[insn->op[0].reg], value = x86_operand_read(cpu, insn, 1);

    switch (insn->op[1].size) {
    case 1:
        __asm__("crc32b %b1, %k0" : "+r"(crc) : "r"(value));
        break;
    case 2:
        __asm__("crc32w %w1, %k0" : "+r"(crc) : "r"(value));
        break;
    case 4:
        __asm__("crc32l %k1, %k0" : "+r"(crc) : "r"(value));
        break;
    default:
        __asm__("crc32q %1, %0" : "+r"(crc) : "r"(value));
    }
    cpu->regs[insn->op[0].reg] = crc;
    return insn_done(cpu, insn);
}
