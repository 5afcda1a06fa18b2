/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String instructions against a byte-by-byte model: overlap, direction, page and segment ends,
 * faults with part of the work done. */
#include "setup.h"

enum { SOURCE = 0x200000, TARGET = 0x300000, SPAN = 0x3000 };

static uint32_t random_state = 12345;

static unsigned random_below(unsigned bound)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % bound;
}

static void fill_random(struct fake *f, uint64_t at, unsigned bytes, unsigned values)
{
    for (unsigned n = 0; n < bytes; n++)
        f->ram[at + n] = random_below(values);
}

static const char *const movs_bytes[] = { "f3 a4", "66 f3 a5", "f3 a5", "f3 48 a5" };
static const char *const stos_bytes[] = { "f3 aa", "66 f3 ab", "f3 ab", "f3 48 ab" };
static const char *const scas_bytes[2][4] = { { "f3 ae", "66 f3 af", "f3 af", "f3 48 af" },
                                              { "f2 ae", "66 f2 af", "f2 af", "f2 48 af" } };
static const char *const cmps_bytes[2][4] = { { "f3 a6", "66 f3 a7", "f3 a7", "f3 48 a7" },
                                              { "f2 a6", "66 f2 a7", "f2 a7", "f2 48 a7" } };

static void check_movs(bool direct)
{
    unsigned wrong = 0;

    for (unsigned round = 0; round < 100; round++) {
        struct fake *f = setup_long(3);
        unsigned width = random_below(4), size = 1u << width, count = random_below(2000);
        bool back = random_below(2);
        uint64_t from = SOURCE + 0x1000 + random_below(0x800);
        uint64_t to = random_below(2) ? TARGET + 0x1000 : from + random_below(64) - 32;
        int64_t step = back ? -(int64_t)size : size;
        uint8_t *model = g_malloc(TARGET + 16 * SPAN);

        f->direct = direct;
        if (back) {
            from += count * size;
            to += count * size;
        }
        fill_random(f, SOURCE - SPAN, 16 * SPAN, 256);
        memcpy(model + SOURCE - SPAN, f->ram + SOURCE - SPAN, TARGET + 17 * SPAN - SOURCE);
        f->cpu.regs[RSI] = from;
        f->cpu.regs[RDI] = to;
        f->cpu.regs[RCX] = count;
        f->cpu.rflags |= back ? FLAG_DF : 0;
        for (unsigned n = 0; n < count; n++) {
            uint8_t element[8];

            memcpy(element, model + from + n * step, size);
            memcpy(model + to + n * step, element, size);
        }
        if (fake_run(f, movs_bytes[width]) != NO_FAULT || f->cpu.regs[RCX]
            || f->cpu.regs[RSI] != from + count * step || f->cpu.regs[RDI] != to + count * step
            || memcmp(model + SOURCE - SPAN, f->ram + SOURCE - SPAN, TARGET + 9 * SPAN - SOURCE))
            wrong++;
        g_free(model);
        fake_free(f);
    }
    tap_ok(!wrong, "rep movs as a loop, %s", direct ? "host pointers" : "bus");
}

static void check_compare(bool direct)
{
    unsigned wrong = 0;

    for (unsigned round = 0; round < 200; round++) {
        struct fake *f = setup_long(3);
        unsigned width = random_below(4), size = 1u << width, count = random_below(1500) + 1;
        unsigned until = random_below(2), done = 0;
        bool back = random_below(2), scan = random_below(2);
        int64_t step = back ? -(int64_t)size : size;
        uint64_t from = SOURCE + 0xff1, to = TARGET + 0x7, a = 0, b = 0;
        bool equal = false;

        f->direct = direct;
        fill_random(f, SOURCE, 4 * SPAN, until ? 256 : 1);
        fill_random(f, TARGET, 4 * SPAN, until ? 256 : 1);
        if (!until)
            f->ram[TARGET + random_below(SPAN)] = 1;
        if (back) {
            from += count * size;
            to += count * size;
        }
        f->cpu.regs[RAX] = until ? 0x1122334455667788ull : 0;
        f->cpu.regs[RSI] = from;
        f->cpu.regs[RDI] = to;
        f->cpu.regs[RCX] = count;
        f->cpu.rflags |= back ? FLAG_DF : 0;
        while (done < count) {
            a = scan ? f->cpu.regs[RAX] : peek(f, from + done * step, size);
            b = peek(f, to + done * step, size);
            a &= size == 8 ? ~0ull : (1ull << size * 8) - 1;
            done++;
            equal = a == b;
            if (equal == until)
                break;
        }
        fake_run(f, scan ? scas_bytes[until][width] : cmps_bytes[until][width]);
        if (f->cpu.regs[RCX] != count - done || f->cpu.regs[RDI] != to + done * step
            || f->cpu.regs[RSI] != from + (scan ? 0 : done * step)
            || !!(f->cpu.rflags & FLAG_ZF) != equal || !!(f->cpu.rflags & FLAG_CF) != (a < b)
            || f->cpu.rip == CODE)
            wrong++;
        fake_free(f);
    }
    tap_ok(!wrong, "rep scas and cmps as a loop, %s", direct ? "host pointers" : "bus");
}

static void check_stos(void)
{
    unsigned wrong = 0;

    for (unsigned width = 0; width < 4; width++) {
        struct fake *f = setup_long(3);
        unsigned size = 1u << width;

        f->cpu.regs[RAX] = 0x8877665544332211ull;
        f->cpu.regs[RDI] = TARGET + 0xffd; /* elements that cross the page */
        f->cpu.regs[RCX] = 20000;
        fake_run(f, stos_bytes[width]);
        for (unsigned n = 0; n < 20000; n++)
            wrong += memcmp(f->ram + TARGET + 0xffd + n * size, &f->cpu.regs[RAX], size) != 0;
        wrong += f->cpu.regs[RDI] != TARGET + 0xffd + 20000u * size || f->cpu.regs[RCX] != 0;
        fake_free(f);
    }
    tap_ok(!wrong, "rep stos of every size");
}

static void check_fault(void)
{
    struct fake *f = setup_long(3);

    /* RAM ends, and with it the mapping, after 2 GiB: the tables map more than there is. */
    f->cpu.regs[RDI] = 0x80000000ull - 100;
    f->cpu.regs[RCX] = 1000;
    tap_ok(fake_run(f, "f3 aa") == VECTOR_PF && f->cpu.regs[RCX] == 900
               && f->cpu.regs[RDI] == 0x80000000ull && f->cpu.fault_addr == 0x80000000ull
               && f->cpu.rip == CODE,
           "a fault leaves the rest of the work in the registers");
    f->cpu.rflags |= FLAG_DF;
    poke(f, PML4 + 0x1008, 0, 8); /* the second gibibyte goes away */
    f->cpu.regs[RSI] = SOURCE + 0x10;
    f->cpu.regs[RDI] = 0x40000003;
    f->cpu.regs[RCX] = 8;
    tap_ok(fake_run(f, "f3 a4") == VECTOR_PF && f->cpu.fault_addr == 0x40000003
               && f->cpu.regs[RCX] == 8,
           "backwards too");
    fake_free(f);
}

static void check_address_sizes(void)
{
    struct fake *f = setup_protected(0);

    f->cpu.regs[RSI] = 0xabcdfffe;
    f->cpu.regs[RDI] = 0xabcd8000;
    f->cpu.regs[RCX] = 0xabcd0004;
    poke(f, 0xfffe, 0x2211, 2);
    poke(f, 0x0000, 0x4433, 2);
    tap_ok(fake_run(f, "67 f3 a4") == NO_FAULT && peek(f, 0x8000, 4) == 0x44332211
               && f->cpu.regs[RSI] == 0xabcd0002 && f->cpu.regs[RDI] == 0xabcd8004
               && f->cpu.regs[RCX] == 0xabcd0000,
           "16-bit addresses wrap, upper halves stay");
    f->cpu.seg[SEG_ES].limit = 0x2000;
    f->cpu.regs[RDI] = 0x1ff0;
    f->cpu.regs[RCX] = 0x100;
    tap_ok(fake_run(f, "f3 aa") == VECTOR_GP && f->cpu.regs[RDI] == 0x2001,
           "up to the segment's limit");
    f->cpu.seg[SEG_FS].base = SOURCE;
    poke(f, SOURCE + 8, 0x77, 1);
    f->cpu.regs[RSI] = 8;
    tap_ok(fake_run(f, "64 ac") == NO_FAULT && (f->cpu.regs[RAX] & 0xff) == 0x77,
           "segment override");
    f->cpu.regs[RCX] = 0;
    f->cpu.regs[RDI] = 0xffffff00;
    tap_ok(fake_run(f, "f3 aa") == NO_FAULT && f->cpu.regs[RDI] == 0xffffff00,
           "no iteration, no fault");
    fake_free(f);
}

static void check_ports(void)
{
    struct fake *f = setup_protected(0);

    f->cpu.regs[RDX] = 0x1f0;
    f->cpu.regs[RDI] = TARGET;
    f->cpu.regs[RCX] = 600;
    f->port_value = 0x100;
    tap_ok(fake_run(f, "f3 66 6d") == NO_FAULT && f->port == 0x1f0 && peek(f, TARGET, 2) == 0x100
               && peek(f, TARGET + 1198, 2) == 0x100 + 599,
           "rep insw");
    f->cpu.regs[RSI] = TARGET;
    tap_ok(fake_run(f, "6e") == NO_FAULT && f->port_value == 0, "outsb");
    fake_free(f);

    f = setup_protected(3);
    f->cpu.regs[RDX] = 0x80;
    memset(f->ram + TSS + 0x88, 0xff, 0x2000 - 0x88);
    tap_ok(fake_run(f, "ec") == VECTOR_GP, "a port the bitmap forbids");
    poke(f, TSS + 0x88 + 0x10, 0, 1);
    tap_ok(fake_run(f, "ec") == NO_FAULT, "a port it allows");
    tap_ok(fake_run(f, "ed") == NO_FAULT, "four of them");
    f->cpu.regs[RDX] = 0x85;
    tap_ok(fake_run(f, "ed") == VECTOR_GP, "one of four forbidden");
    fake_free(f);
}

int main(void)
{
    check_movs(true);
    check_movs(false);
    check_compare(true);
    check_compare(false);
    check_stos();
    check_fault();
    check_address_sizes();
    check_ports();
    return tap_done();
}
