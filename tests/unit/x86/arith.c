/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The integer interpreter against the host CPU: random instructions with a memory operand [RDI] are
 * run natively and by x86_execute(); registers, defined flags and memory must agree. */
#include <sys/mman.h>

#include "setup.h"

enum { OPERAND = 0x200800, BYTES = 1024, ROUNDS = 40000 };

struct state {
    uint64_t rax, rbx, rcx, rdx, rsi, flags;
};

static uint64_t random_state = 88172645463325252ull;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}
static unsigned random_below(unsigned bound)
{
    return (random64() >> 20) % bound;
}

/* What may follow the prefixes. The ModRM byte is made up: [RDI], and a fixed or random
 * register. */
static const struct template
{
    const char *opcode; /* hexadecimal */
    int field;          /* ModRM.reg: -1 random register, -2 any of 0..7 */
    uint8_t immediate;  /* bytes; 0xff: 2 or 4 by operand size */
    bool lock;          /* may have a LOCK prefix */
    bool small;         /* the register is a bit offset */
}
templates[] = {
    { "00", -1, 0, true, false },        { "01", -1, 0, true, false },
    { "02", -1, 0, false, false },       { "03", -1, 0, false, false },
    { "09", -1, 0, true, false },        { "0b", -1, 0, false, false },
    { "10", -1, 0, true, false },        { "11", -1, 0, true, false },
    { "13", -1, 0, false, false },       { "19", -1, 0, true, false },
    { "1b", -1, 0, false, false },       { "21", -1, 0, true, false },
    { "28", -1, 0, true, false },        { "2b", -1, 0, false, false },
    { "31", -1, 0, true, false },        { "38", -1, 0, false, false },
    { "39", -1, 0, false, false },       { "3b", -1, 0, false, false },
    { "63", -1, 0, false, false },       { "69", -1, 0xff, false, false },
    { "6b", -1, 1, false, false },       { "80", -2, 1, false, false },
    { "81", -2, 0xff, false, false },    { "83", -2, 1, false, false },
    { "84", -1, 0, false, false },       { "85", -1, 0, false, false },
    { "86", -1, 0, true, false },        { "87", -1, 0, true, false },
    { "88", -1, 0, false, false },       { "89", -1, 0, false, false },
    { "8a", -1, 0, false, false },       { "8b", -1, 0, false, false },
    { "8d", -1, 0, false, false },       { "c0", -2, 1, false, false },
    { "c1", -2, 1, false, false },       { "d0", -2, 0, false, false },
    { "d1", -2, 0, false, false },       { "d2", -2, 0, false, false },
    { "d3", -2, 0, false, false },       { "c6", 0, 1, false, false },
    { "c7", 0, 0xff, false, false },     { "f6", 2, 0, true, false },
    { "f6", 3, 0, true, false },         { "f6", 4, 0, false, false },
    { "f6", 5, 0, false, false },        { "f7", 0, 0xff, false, false },
    { "f7", 2, 0, true, false },         { "f7", 3, 0, true, false },
    { "f7", 4, 0, false, false },        { "f7", 5, 0, false, false },
    { "fe", 0, 0, true, false },         { "fe", 1, 0, true, false },
    { "ff", 0, 0, true, false },         { "ff", 1, 0, true, false },
    { "0f40", -1, 0, false, false },     { "0f47", -1, 0, false, false },
    { "0f4d", -1, 0, false, false },     { "0f4a", -1, 0, false, false },
    { "0f92", 0, 0, false, false },      { "0f9e", 0, 0, false, false },
    { "0f95", 0, 0, false, false },      { "0fa3", -1, 0, false, true },
    { "0fab", -1, 0, true, true },       { "0fb3", -1, 0, true, true },
    { "0fbb", -1, 0, true, true },       { "0fba", 4, 1, false, false },
    { "0fba", 5, 1, true, false },       { "0fba", 6, 1, true, false },
    { "0fba", 7, 1, true, false },       { "0fa4", -1, 1, false, false },
    { "0fa5", -1, 0, false, false },     { "0fac", -1, 1, false, false },
    { "0fad", -1, 0, false, false },     { "0faf", -1, 0, false, false },
    { "0fb0", -1, 0, true, false },      { "0fb1", -1, 0, true, false },
    { "0fb6", -1, 0, false, false },     { "0fb7", -1, 0, false, false },
    { "0fbe", -1, 0, false, false },     { "0fbf", -1, 0, false, false },
    { "0fbc", -1, 0, false, false },     { "0fbd", -1, 0, false, false },
    { "0fc0", -1, 0, true, false },      { "0fc1", -1, 0, true, false },
    { "0fc7", 1, 0, true, false },       { "0f38f0", -1, 0, false, false },
    { "0f38f1", -1, 0, false, false },   { "f30fb8", -1, 0, false, false },
    { "f30fbc", -1, 0, false, false },   { "f30fbd", -1, 0, false, false },
    { "f20f38f0", -1, 0, false, false }, { "f20f38f1", -1, 0, false, false },
    { "660f38f6", -1, 0, false, false }, { "f30f38f6", -1, 0, false, false },
};

/* One random instruction; its length. */
static unsigned generate(uint8_t *code, const struct template **used, bool *small)
{
    static const uint8_t registers[] = { 0, 1, 2, 3, 6 };
    const struct template *t = &templates[random_below(G_N_ELEMENTS(templates))];
    unsigned n = 0, size = random_below(3), opcode[4], bytes = strlen(t->opcode) / 2, at = 0;
    unsigned field;
    bool mandatory;

    for (unsigned i = 0; i < bytes; i++)
        sscanf(t->opcode + i * 2, "%2x", &opcode[i]);
    mandatory = opcode[0] == 0xf3 || opcode[0] == 0xf2 || opcode[0] == 0x66;
    if (t->lock && random_below(2))
        code[n++] = 0xf0;
    if (size == 0 && opcode[0] != 0x66)
        code[n++] = 0x66;
    if (mandatory)
        code[n++] = opcode[at++];
    if (size == 2)
        code[n++] = 0x48;
    while (at < bytes)
        code[n++] = opcode[at++];
    if (t->field >= 0)
        field = t->field;
    else
        field = t->field == -2 ? random_below(8) : registers[random_below(5)];
    code[n++] = field << 3 | 7;
    for (unsigned i = 0; i < (t->immediate == 0xff ? (size ? 4u : 2u) : t->immediate); i++)
        code[n++] = random64() >> 24;
    *used = t;
    *small = t->small;
    return n;
}

static void run_native(void *code, void *operand, struct state *s)
{
    register uint64_t r8 __asm__("r8") = (uint64_t)code;
    register uint64_t r9 __asm__("r9") = s->flags;

    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                     "push %%r9\n\tpopfq\n\tcall *%%r8\n\tpushfq\n\tpop %%r9\n\t"
                     "lea 128(%%rsp), %%rsp"
                     : "+a"(s->rax), "+b"(s->rbx), "+c"(s->rcx), "+d"(s->rdx), "+S"(s->rsi),
                       "+r"(r8), "+r"(r9)
                     : "D"(operand)
                     : "memory", "cc", "r10", "r11");
    s->flags = r9;
}

static void set_registers(struct fake *f, const struct state *s)
{
    f->cpu.regs[RAX] = s->rax;
    f->cpu.regs[RBX] = s->rbx;
    f->cpu.regs[RCX] = s->rcx;
    f->cpu.regs[RDX] = s->rdx;
    f->cpu.regs[RSI] = s->rsi;
    f->cpu.rflags = (s->flags & FLAGS_ARITHMETIC) | FLAG_FIXED;
}

static bool same_registers(const struct fake *f, const struct state *s, uint64_t flags, bool is_lea)
{
    if (!is_lea
        && (f->cpu.regs[RAX] != s->rax || f->cpu.regs[RBX] != s->rbx || f->cpu.regs[RCX] != s->rcx
            || f->cpu.regs[RDX] != s->rdx || f->cpu.regs[RSI] != s->rsi))
        return false;
    return !((f->cpu.rflags ^ s->flags) & flags & FLAGS_ARITHMETIC);
}

static uint64_t interesting(void)
{
    static const uint64_t values[] = { 0,      1,          ~0ull,      0x80,       0x7f,
                                       0x8000, 0x7fffffff, 0x80000000, 1ull << 63, ~0ull >> 1 };

    return random_below(3) ? random64() : values[random_below(G_N_ELEMENTS(values))];
}

int main(void)
{
    uint8_t *page =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct fake *f = setup_long(0);
    uint8_t native[BYTES];
    unsigned wrong = 0, run = 0;
    ZydisDecoder decoder;

    if (page == MAP_FAILED) {
        tap_skip("the interpreter agrees with the host", "memory cannot be made executable");
        return tap_done();
    }
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (unsigned round = 0; round < ROUNDS; round++) {
        ZydisDecodedInstruction info;
        ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
        const struct template *t;
        struct x86_insn insn;
        struct state s;
        uint64_t defined;
        bool small;
        unsigned length = generate(page, &t, &small);

        if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, page, length, &info, operands))
            || info.length != length)
            continue;
        page[length] = 0xc3;
        x86_insn_make(&insn, &info, operands);
        s = (struct state){ interesting(), interesting(), interesting(),
                            interesting(), interesting(), random64() & FLAGS_ARITHMETIC };
        if (small)
            s.rax = s.rbx = s.rcx = s.rdx = s.rsi = (int64_t)random_below(4000) - 2000;
        for (unsigned n = 0; n < BYTES; n += 8) {
            uint64_t value = interesting();

            if (!random_below(4))
                value = s.rax; /* so that CMPXCHG succeeds at times */
            memcpy(native + n, &value, 8);
        }
        f->direct = random_below(2);
        memcpy(f->ram + OPERAND - BYTES / 2, native, BYTES);
        set_registers(f, &s);
        f->cpu.regs[RDI] = OPERAND;
        f->cpu.rip = CODE;
        run_native(page, native + BYTES / 2, &s);
        if (fake_execute(f, &insn) != NO_FAULT) {
            tap_note("%s raised %d", t->opcode, f->cpu.fault_vector);
            wrong++;
            continue;
        }
        defined = ~(uint64_t)info.cpu_flags->undefined;
        run++;
        if ((!same_registers(f, &s, defined, t->opcode[0] == '8' && t->opcode[1] == 'd')
             || memcmp(f->ram + OPERAND - BYTES / 2, native, BYTES))
            && wrong++ < 10)
            tap_note("%s (%s), length %u: flags 0x%x, host 0x%x", t->opcode,
                     ZydisMnemonicGetString(info.mnemonic), length, (unsigned)f->cpu.rflags,
                     (unsigned)s.flags);
    }
    tap_ok(run > ROUNDS / 2 && !wrong, "the interpreter agrees with the host (%u instructions)",
           run);
    munmap(page, 4096);
    fake_free(f);
    return tap_done();
}
