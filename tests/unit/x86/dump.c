/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The layout of QEMU's `info registers`, and disassembly lines. */
#include "x86/dump.h"

#include "tap.h"
#include "x86/disassemble.h"
#include "x86/model.h"

static char buffer[X86_DUMP_BYTES];
static struct x86_cpu cpu;
static struct x86_model model;

static const char *dump(void (*function)(const struct x86_cpu *cpu, struct text *to))
{
    struct text text = text_in(buffer, sizeof(buffer));
    function(&cpu, &text);
    return buffer;
}

/* What QEMU 7.2 prints of a CPU after power-on. */
static const char power_on[] =
    "EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1\n"
    "ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000\n"
    "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n"
    "ES =0000 00000000 0000ffff 00009300\n"
    "CS =f000 ffff0000 0000ffff 00009b00\n"
    "SS =0000 00000000 0000ffff 00009300\n"
    "DS =0000 00000000 0000ffff 00009300\n"
    "FS =0000 00000000 0000ffff 00009300\n"
    "GS =0000 00000000 0000ffff 00009300\n"
    "LDT=0000 00000000 0000ffff 00008200\n"
    "TR =0000 00000000 0000ffff 00008b00\n"
    "GDT=     00000000 0000ffff\n"
    "IDT=     00000000 0000ffff\n"
    "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n"
    "DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 \n"
    "DR6=00000000ffff0ff0 DR7=0000000000000400\n"
    "EFER=0000000000000000\n";

static void test_power_on(void)
{
    cpu.model = &model;
    model.signature = 0x60fb1;
    cpu.a20_mask = ~0ull;
    x86_cpu_reset(&cpu, false);
    tap_is(dump(x86_dump), power_on, "after power-on, line by line as QEMU");
    tap_ok(strstr(dump(x86_dump_fpu), "FCW=0") && strstr(buffer, "XMM07=")
               && !strstr(buffer, "XMM08="),
           "eight SSE registers outside 64-bit mode");
}

static void test_long_mode(void)
{
    static const char *const lines[] = {
        "RAX=1122334455667788 RBX=0000000000000000 RCX=",
        "\nR8 =0000000000000000 R9 =",
        "\nRIP=ffffffff81000000 RFL=00000647 [D--Z-PC] CPL=0 II=0 A20=1 SMM=0 HLT=1\n",
        "\nCS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\n",
        "\nSS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\n",
        "\nDS =0000 0000000000000000 00000000 00000000\n",
        "\nTR =0040 fffffe0000003000 00004087 00008b00 DPL=0 TSS64-busy\n",
        "\nCR0=80050033 CR2=0000000000001000 CR3=00000000022fc003 CR4=00370eb0\n",
    };
    cpu.regs[RAX] = 0x1122334455667788;
    cpu.rip = 0xffffffff81000000;
    cpu.rflags = 0x647;
    cpu.halted = true;
    cpu.efer = 0xd01;
    cpu.cr0 = 0x80050033;
    cpu.cr2 = 0x1000;
    cpu.cr3 = 0x22fc003;
    cpu.cr4 = 0x370eb0;
    cpu.seg[SEG_CS] = (struct x86_segment){ 0, ~0u, 0xa09b, 0x10 };
    cpu.seg[SEG_SS] = (struct x86_segment){ 0, ~0u, 0xc093, 0x18 };
    cpu.seg[SEG_DS] = (struct x86_segment){ 0, ~0u, SEG_ATTR_UNUSABLE, 0 };
    cpu.tr = (struct x86_segment){ 0xfffffe0000003000, 0x4087, 0x8b, 0x40 };
    dump(x86_dump);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        tap_ok(strstr(buffer, lines[i]), "64-bit: %s", g_strstrip(g_strdup(lines[i])));
}

static void put(unsigned offset, uint64_t value)
{
    memcpy(cpu.xsave + offset, &value, 8);
}

static void test_vectors(void)
{
    model.xstate[2].offset = 576;
    put(512, 7);        /* x87, SSE and AVX are there */
    put(0, 0x1800027f); /* control word, status with TOP 3 */
    put(4, 0x18);
    put(24, 0x1f80);
    put(32, 0x8000000000000000); /* ST(0), which is register 3 */
    put(40, 0x3fff);
    put(160 + 16, 0x1111);
    put(168 + 16, 0x2222);
    put(576 + 16, 0x3333);
    cpu.xcr0 = 7;
    dump(x86_dump_fpu);
    tap_ok(strstr(buffer, "FCW=027f FSW=0000 [ST=3] FTW=18 MXCSR=00001f80\n"), "x87 control words");
    tap_ok(strstr(buffer, "FPR3=8000000000000000 3fff\n"), "x87 registers by number");
    tap_ok(strstr(buffer,
                  "\nYMM01=0000000000000000 0000000000003333 0000000000002222 0000000000001111\n"),
           "AVX registers from their two places");
    tap_ok(strstr(buffer, "YMM15=") && !strstr(buffer, "XMM"), "sixteen of them in 64-bit mode");
    put(512, 3);
    dump(x86_dump_fpu);
    tap_ok(strstr(buffer, "\nYMM01=0000000000000000 0000000000000000 0000000000002222"),
           "a component in its initial state is zero");
    cpu.xcr0 = 3;
    dump(x86_dump_fpu);
    tap_ok(
        strstr(buffer,
               "XMM00=0000000000000000 0000000000000000 XMM01=0000000000002222 0000000000001111\n"),
        "two SSE registers to a line");
}

static const struct {
    unsigned bits;
    uint64_t address;
    const char *bytes, *line;
    unsigned length;
} code[] = {
    { 64, 0xffffffff81000000, "\x48\x89\xe5",
      "0xffffffff81000000:  48 89 e5                 mov      %rsp, %rbp\n", 3 },
    { 16, 0xfffffff0, "\xea\x5b\xe0\x00\xf0", "0xfffffff0:  ea 5b e0 00 f0           ", 5 },
    { 32, 0x1000, "\x90", "0x00001000:  90                       nop\n", 1 },
    { 64, 0x1000, "\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11",
      "0x00001000:  48 b8 88 77 66 55 44 33  mov      $0x1122334455667788, %rax\n0x00001008:  22 "
      "11\n",
      10 },
    { 64, 0x1000, "\x06\x06", "0x00001000:  06                       .byte    0x06\n", 1 },
    { 64, 0x1000, "\x48", "", 0 },
};

static void test_disassembly(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(code); i++) {
        size_t available = code[i].length ? MAX(code[i].length, strlen(code[i].bytes)) : 1;
        struct text text = text_in(buffer, sizeof(buffer));
        unsigned length = x86_disassemble(&text, code[i].bits, code[i].address,
                                          (const uint8_t *)code[i].bytes, available);
        bool good = length == code[i].length && g_str_has_prefix(buffer, code[i].line);
        tap_ok(good, "%u-bit code, %u bytes", code[i].bits, code[i].length);
        if (!good)
            tap_note("%u: %s", length, buffer);
    }
}

int main(void)
{
    test_power_on();
    test_long_mode();
    test_vectors();
    test_disassembly();
    return tap_done();
}
