/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Segmentation in 32-bit protected mode: limits, expand-down, conforming code, call gates, LDT,
 * task switches, null selectors, and the exceptions only this mode has (SDM vol. 3, chapters
 * 5-8). */
#include "guest.h"

#define SEG_DATA 0x50
#define SEG_DOWN 0x58
#define SEG_RODATA 0x60
#define SEG_EXECONLY 0x68
#define SEG_CONFORMING 0x70
#define SEG_CODE_SMALL 0x78
#define SEG_GATE 0x80
#define SEG_LDT 0x88
#define SEG_TSS_B 0x90
#define SEG_TASK_GATE 0x98
#define SEG_STACK 0xa0
#define SEG_CODE_DPL3 0xa8
#define SEG_16 0xb0
#define SEG_GATE3 0xb8
#define SEG_TSS_C 0xc0

extern char trap_entries[];
extern uint32_t tss[];
static uint8_t area[8192] __attribute__((aligned(4096)));
static uint64_t ldt[4] __attribute__((aligned(8)));

static void limits(void)
{
    gdt_set(SEG_DATA, (word)area, 0xfff, 0x493);
    asm volatile("movw %w0, %%fs" : : "r"(SEG_DATA));
    area[0xfff] = 0x77;
    area[0x1000] = 0x78;
    TRY("8: movb %%fs:0xfff, %%al");
    expect_none("limit: last byte");
    TRY("8: movb %%fs:0x1000, %%al");
    expect("#GP: byte beyond the limit", VECTOR_GP, 0);
    TRY("8: movl %%fs:0xffd, %%eax");
    expect("#GP: word that ends beyond the limit", VECTOR_GP, 0);
    TRY("8: movl %%eax, %%fs:0xffc");
    expect_none("limit: last four bytes");
    TRY("8: movl %%eax, %%fs:0xfffffffc");
    expect("#GP: far beyond the limit", VECTOR_GP, 0);
    TRY("8: lock incl %%fs:0xffe");
    expect("#GP: locked access", VECTOR_GP, 0);
    TRY("8: movups %%fs:0xff8, %%xmm0");
    expect("#GP: 16 bytes", VECTOR_GP, 0);
    TRY("8: fldt %%fs:0xff8");
    expect("#GP: 10 bytes", VECTOR_GP, 0);
    check("base is added", ({
              uint8_t v;
              asm volatile("movb %%fs:0xfff, %0" : "=q"(v));
              v;
          }),
          area[0xfff]);

    gdt_set(SEG_DOWN, (word)area, 0xfff, 0x497); /* offsets 0x1000 and above */
    asm volatile("movw %w0, %%fs" : : "r"(SEG_DOWN));
    TRY("8: movb %%fs:0x1000, %%al");
    expect_none("expand-down: first byte above the limit");
    TRY("8: movb %%fs:0xfff, %%al");
    expect("#GP: expand-down: at the limit", VECTOR_GP, 0);
    TRY("8: movl %%fs:0xffe, %%eax");
    expect("#GP: expand-down: begins below", VECTOR_GP, 0);
    gdt_set(SEG_DOWN, (word)area, 0xfff, 0x097); /* D/B clear: up to 0xffff */
    asm volatile("movw %w0, %%fs" : : "r"(SEG_DOWN));
    TRY("8: movb %%fs:0xffff, %%al");
    expect_none("expand-down 16-bit: last byte");
    TRY("8: movb %%fs:0x10000, %%al");
    expect("#GP: expand-down 16-bit: above 64 KiB", VECTOR_GP, 0);

    gdt_set(SEG_RODATA, 0, 0xfffff, 0xc91);
    asm volatile("movw %w0, %%fs" : : "r"(SEG_RODATA));
    TRY("8: movl %%fs:area_symbol, %%eax");
    expect_none("read-only data: load");
    TRY("8: movl %%eax, %%fs:area_symbol");
    expect("#GP: read-only data: store", VECTOR_GP, 0);
    TRY("8: movl %%eax, %%cs:area_symbol");
    expect("#GP: store through cs", VECTOR_GP, 0);
    TRY("8: movl %%cs:area_symbol, %%eax");
    expect_none("load through readable cs");
    TRY("xorl %%eax, %%eax; movw %%ax, %%fs; 8: movl %%fs:area_symbol, %%eax");
    expect("#GP: load through a null segment", VECTOR_GP, 0);
}
asm(".globl area_symbol; area_symbol = 0x120000");

static void stacks(void)
{
    gdt_set(SEG_STACK, 0, (word)area >> 12, 0xc93); /* up to the end of the page */
    TRY("movw %w3, %%ss; movl %%ecx, %%esp; 8: movl 0x1000(%%esp), %%eax; movw %w4, %%ss;"
        "movl resume_sp, %%esp",
        "D"(SEG_STACK), "S"(KERNEL_DATA), "c"(area + 1));
    expect("#SS: load through esp beyond the limit", VECTOR_SS, 0);
    TRY("movw %w3, %%ss; movl %%ecx, %%esp; 8: movl %%ss:0xffd(%%ecx), %%eax; movw %w4, %%ss;"
        "movl resume_sp, %%esp",
        "D"(SEG_STACK), "S"(KERNEL_DATA), "c"(area));
    expect("#SS: load through ss across the limit", VECTOR_SS, 0);
    /* 16-bit stack segment: only sp counts, the rest of esp stays */
    gdt_set(SEG_STACK, (word)area, 0xffff, 0x093);
    word sp, value;
    asm volatile(
        "movl %%esp, %%edi; movw %w2, %%ss; movl $0x12340100, %%esp; push $0x5a5a; movl %%esp, %0;"
        "pop %1; movw %w3, %%ss; movl %%edi, %%esp"
        : "=&r"(sp), "=&r"(value)
        : "r"(SEG_STACK), "r"(KERNEL_DATA)
        : "edi", "memory");
    check("16-bit stack: upper half of esp unchanged", sp, 0x123400fc);
    check("16-bit stack: pushed below base + sp", load32(area + 0xfc), 0x5a5a);
    asm volatile(
        "movl %%esp, %%edi; movw %w1, %%ss; movl $0x00010000, %%esp; push $0x6b6b; movl %%esp, %0;"
        "movw %w2, %%ss; movl %%edi, %%esp"
        : "=&r"(sp)
        : "r"(SEG_STACK), "r"(KERNEL_DATA)
        : "edi", "memory");
    check("16-bit stack: sp wraps", sp, 0x0001fffc);
}

static void loads(void)
{
    static const struct {
        const char *name;
        unsigned selector, vector, error;
    } ds_cases[] = {
        {"ds: beyond the GDT", 0x200, VECTOR_GP, 0x200},
        {"ds: execute-only code", SEG_EXECONLY, VECTOR_GP, SEG_EXECONLY},
        {"ds: readable code", KERNEL_CODE32, VECTOR_NONE, 0},
        {"ds: call gate", SEG_GATE, VECTOR_GP, SEG_GATE},
        {"ds: not present", SEG_DATA, VECTOR_NP, SEG_DATA},
        {"ds: null", 0, VECTOR_NONE, 0},
        {"ds: RPL 3 of a DPL 0 segment", KERNEL_DATA | 3, VECTOR_GP, KERNEL_DATA},
        {"ds: LDT entry", 0x04, VECTOR_NONE, 0},
        {"ds: LDT entry not present", 0x0c, VECTOR_NP, 0x0c},
        {"ds: beyond the LDT", 0x24, VECTOR_GP, 0x24},
    }, ss_cases[] = {
        {"ss: null", 0, VECTOR_GP, 0},
        {"ss: not present", SEG_DATA, VECTOR_SS, SEG_DATA},
        {"ss: read-only", SEG_RODATA, VECTOR_GP, SEG_RODATA},
        {"ss: RPL 3", KERNEL_DATA | 3, VECTOR_GP, KERNEL_DATA},
        {"ss: DPL 3", USER_DATA & ~3u, VECTOR_GP, USER_DATA & ~3u},
        {"ss: code", KERNEL_CODE32, VECTOR_GP, KERNEL_CODE32},
    };
    gdt_set(SEG_DATA, 0, 0xfffff, 0xc13);
    gdt_set(SEG_EXECONLY, 0, 0xfffff, 0xc99);
    gdt_set(SEG_LDT, (word)ldt, sizeof(ldt) - 1, 0x082);
    ldt[0] = gdt[KERNEL_DATA / 8];
    ldt[1] = gdt[SEG_DATA / 8];
    asm volatile("lldt %w0" : : "r"(SEG_LDT));
    for (unsigned i = 0; i < sizeof(ds_cases) / sizeof(ds_cases[0]); i++) {
        TRY("8: movw %%cx, %%ds; movw %%dx, %%ds", "c"(ds_cases[i].selector), "d"(KERNEL_DATA));
        expect(ds_cases[i].name, ds_cases[i].vector, ds_cases[i].error);
    }
    for (unsigned i = 0; i < sizeof(ss_cases) / sizeof(ss_cases[0]); i++) {
        TRY("8: movw %%cx, %%ss; movw %%dx, %%ss", "c"(ss_cases[i].selector), "d"(KERNEL_DATA));
        expect(ss_cases[i].name, ss_cases[i].vector, ss_cases[i].error);
    }
    gdt_set(SEG_DATA, 0, 0xfffff, 0xc92); /* not yet accessed */
    asm volatile("movw %w0, %%fs" : : "r"(SEG_DATA));
    check("loading sets the accessed bit", gdt[SEG_DATA / 8] >> 40 & 1, 1);
    asm volatile("lldt %w0" : : "r"(0));
    TRY("8: movw %%cx, %%ds", "c"(0x04));
    expect("#GP: LDT selector with a null LDT", VECTOR_GP, 0x04);
    word rights, limit;
    bool ok;
    asm volatile("larl %3, %0; lsll %3, %1; setz %2"
                 : "=&r"(rights), "=&r"(limit), "=q"(ok)
                 : "r"(KERNEL_DATA));
    check("lar", rights & 0xf0ff00, 0xc09300); /* bits 16-19 are undefined */
    check("lsl", limit, 0xffffffff);
    asm volatile("xorl %0, %0; larl %2, %0; setz %1" : "=&r"(rights), "=q"(ok) : "r"(0x200));
    check("lar beyond the GDT clears ZF", ok, false);
    asm volatile("verr %w1; setz %0" : "=q"(ok) : "r"(SEG_EXECONLY));
    check("verr of execute-only code", ok, false);
    asm volatile("verw %w1; setz %0" : "=q"(ok) : "r"(KERNEL_DATA));
    check("verw of data", ok, true);
    uint16_t selector = 0x10;
    asm volatile("arpl %w2, %0; setz %1" : "+r"(selector), "=q"(ok) : "r"(3));
    check("arpl raises RPL", selector << 1 | ok, 0x13 << 1 | 1);
}

asm(".text\n"
    "gate_target: movl %cs, %eax; movl 8(%esp), %ecx; movl $1, %edx; lret $4\n"
    "user_gate: push $0x1234; lcall $0xbb, $0; int3; user_gate_next: nop\n"
    "user_gate0: lcall $0x83, $0\n"
    "conforming: movl %cs, %eax; lret\n"
    "user_conforming: lcall *conforming_pointer; int3; user_conforming_next: nop\n"
    "user_ds0: movl $0x10, %eax; user_ds0_fault: movw %ax, %ds\n"
    "user_jump0: ljmp $0x08, $0\n"
    "user_iret_up: push $0; push $0x08; push $0; user_iret_fault: iret\n"
    "user_io: inb $0x80, %al; int3; user_io_next: nop\n"
    "user_io2: inw $0x87, %ax; int3; user_io2_next: nop\n"
    ".data; .globl conforming_pointer; conforming_pointer: .long conforming; .word 0x73; .text\n");
extern char gate_target[], user_gate[], user_gate_next[], user_gate0[], conforming[],
    user_conforming[], user_conforming_next[], user_ds0[], user_ds0_fault[], user_jump0[],
    user_iret_up[], user_iret_fault[], user_io[], user_io_next[], user_io2[], user_io2_next[];

static void gate_descriptor(unsigned slot, unsigned selector, const void *target,
                            unsigned attributes, unsigned parameters)
{
    word offset = (word)target;
    gdt[slot / 8] = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)parameters << 32
                    | (uint64_t)attributes << 40 | (uint64_t)(offset >> 16) << 48;
}

static void transfers(void)
{
    word result;
    gate_descriptor(SEG_GATE, KERNEL_CODE32, gate_target, 0x8c, 0);
    gate_descriptor(SEG_GATE3, KERNEL_CODE32, gate_target, 0xec, 1);
    asm volatile("push $0x77; lcall $0x80, $0" : "=a"(result) : : "ecx", "edx", "memory", "cc");
    check("call gate at the same level", result, KERNEL_CODE32);
    run_user(user_gate);
    expect_user("call gate to CPL 0 and back by retf n", VECTOR_BP, 0, user_gate_next);
    check("call gate: cs at CPL 0", trap.ax, KERNEL_CODE32);
    check("call gate: one parameter copied", trap.cx, 0x1234);
    check("call gate: stack popped on both sides", trap.sp, (word)user_stack_top);
    run_user(user_gate0);
    expect_user("#GP: call gate with DPL 0 from CPL 3", VECTOR_GP, SEG_GATE, user_gate0);
    gdt_set(SEG_CONFORMING, 0, 0xfffff, 0xc9f);
    run_user(user_conforming);
    expect_user("conforming code keeps CPL 3", VECTOR_BP, 0, user_conforming_next);
    check("conforming code: cs", trap.ax, SEG_CONFORMING | 3);
    run_user(user_ds0);
    expect_user("#GP: CPL 3 loads a DPL 0 segment", VECTOR_GP, KERNEL_DATA, user_ds0_fault);
    run_user(user_jump0);
    expect_user("#GP: CPL 3 jumps to DPL 0 code", VECTOR_GP, KERNEL_CODE32, user_jump0);
    run_user(user_iret_up);
    expect_user("#GP: iret to an inner level", VECTOR_GP, KERNEL_CODE32, user_iret_fault);
    TRY("8: ljmp $0x10, $0");
    expect("#GP: far jump to data", VECTOR_GP, KERNEL_DATA);
    TRY("8: ljmp $0, $0");
    expect("#GP: far jump to null", VECTOR_GP, 0);
    gdt_set(SEG_CODE_DPL3, 0, 0xfffff, 0xc7b);
    TRY("8: ljmp $0xa8, $0");
    expect("#GP: far jump to an outer level", VECTOR_GP, SEG_CODE_DPL3);
    gdt_set(SEG_CODE_SMALL, 0, 0xfff, 0x49b);
    TRY("8: ljmp $0x78, $0x1000");
    expect("#GP: far jump beyond the code limit", VECTOR_GP, 0);
    *(volatile uint8_t *)0x1000 = 0xcc; /* int3 stops what ignores the limit */
    TRY("push $0x78; push $0x1000; 8: lret");
    expect("#GP: far return beyond the code limit", VECTOR_GP, 0);
    /* near jump in a small code segment based on the running code */
    gdt_set(SEG_CODE_SMALL, (word)area, 0x1f, 0x49b);
    static const uint8_t jump_out[] = { 0xe9, 0x40, 0, 0, 0 };
    memset(area, 0xcc, sizeof(area)); /* int3 stops what ignores the limit */
    memcpy(area, jump_out, sizeof(jump_out));
    TRY("8: lcall $0x78, $0");
    check("#GP: near jump beyond the code limit", trap.vector << 16 | trap.cs,
          VECTOR_GP << 16 | SEG_CODE_SMALL);
    check("#GP: near jump beyond the code limit: saved eip", trap.ip, 0);
    memset(area, 0x90, 0x20);
    TRY("8: lcall $0x78, $0");
    check("#GP: running off the code limit", trap.vector << 16 | trap.ip, VECTOR_GP << 16 | 0x20);
    /* 16-bit code segment */
    gdt_set(SEG_16, (word)area, 0xffff, 0x09b);
    static const uint8_t code16[] = { 0xb8, 0x34, 0x12, 0x66, 0xba, 1, 2, 3, 4, 0x66, 0xcb };
    memcpy(area, code16, sizeof(code16));
    word dx;
    asm volatile("movl $0xffff0000, %%eax; lcall $0xb0, $0" : "=a"(result), "=d"(dx) : : "memory");
    check("16-bit code: mov ax keeps the upper half", result, 0xffff1234);
    check("16-bit code: operand size prefix", dx, 0x04030201);
}

static void io_permission(void)
{
    /* SDM vol. 1, 19.5.2: the map lies in the TSS at the offset in its last word */
    static uint32_t big_tss[26 + 9];
    memcpy(big_tss, tss, 104);
    big_tss[25] = 104u << 16;
    memset(&big_tss[26], 0xff, 36);
    ((uint8_t *)&big_tss[26])[0x80 / 8] = 0x7e; /* ports 80 and 87 allowed, 88 not */
    gdt_set(SEG_TSS_C, (word)big_tss, sizeof(big_tss) - 1, 0x89);
    uint32_t old = tss[25];
    asm volatile("ltr %w0" : : "r"(SEG_TSS_C));
    struct user_start start = { .ip = (word)user_io,
                                .sp = (word)user_stack_top,
                                .flags = 2,
                                .cs = USER_CODE,
                                .ss = USER_DATA };
    big_tss[1] = (word)__builtin_frame_address(0) - 2048;
    enter_user(&start);
    expect_user("I/O map: port allowed", VECTOR_BP, 0, user_io_next);
    start.ip = (word)user_io2;
    enter_user(&start);
    expect_user("#GP: I/O map: second byte not allowed", VECTOR_GP, 0, user_io2);
    start.flags = 2 | FLAG_IOPL;
    start.ip = (word)user_io2;
    enter_user(&start);
    expect_user("IOPL 3 allows every port", VECTOR_BP, 0, user_io2_next);
    tss[25] = old;
    gdt_set(TSS_SELECTOR, (word)tss, 103, 0x89);
    asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

static uint32_t tss_b[26];
static uint8_t task_stack[4096];
static volatile uint32_t task_runs, task_tr, task_flags;

static void task_body(void)
{
    for (;;) {
        uint16_t tr;
        asm volatile("str %0" : "=r"(tr));
        task_tr = tr;
        task_runs++;
        task_flags = read_flags();
        asm volatile("iret");
    }
}

static void task_init(void (*entry)(void))
{
    memset(tss_b, 0, sizeof(tss_b));
    tss_b[7] = read_cr3();
    tss_b[8] = (word)entry;
    tss_b[9] = 2;
    tss_b[14] = (word)(task_stack + sizeof(task_stack));
    tss_b[18] = KERNEL_DATA; /* es */
    tss_b[19] = KERNEL_CODE32;
    tss_b[20] = tss_b[21] = KERNEL_DATA; /* ss, ds */
    gdt_set(SEG_TSS_B, (word)tss_b, 103, 0x89);
}

static void tasks(void)
{
    task_init(task_body);
    asm volatile("lcall $0x90, $0" : : : "memory", "eax", "ecx", "edx", "cc");
    check("task switch by far call and iret", task_runs << 16 | task_tr, 1u << 16 | SEG_TSS_B);
    check("task switch: NT in the new task", task_flags & FLAG_NT, FLAG_NT);
    check("task switch: back link", tss_b[0] & 0xffff, TSS_SELECTOR);
    check("task switch: B is not busy any more", gdt[SEG_TSS_B / 8] >> 40 & 0xf, 9);
    check("task switch: A is busy", gdt[TSS_SELECTOR / 8] >> 40 & 0xf, 0xb);
    check("task switch: CR0.TS", read_cr0() & CR0_TS, CR0_TS);
    asm volatile("clts");
    gdt[SEG_TASK_GATE / 8] = (uint64_t)SEG_TSS_B << 16 | 0x85ull << 40;
    asm volatile("lcall $0x98, $0" : : : "memory", "eax", "ecx", "edx", "cc");
    check("task switch through a task gate in the GDT", task_runs, 2);
    asm volatile("clts");
    gate_set(0x81, NULL, SEG_TSS_B, 0x85, 0);
    asm volatile("int $0x81" : : : "memory", "eax", "ecx", "edx", "cc");
    check("task switch through a task gate in the IDT", task_runs, 3);
    asm volatile("clts");
    TRY("8: lcall $0x38, $0");
    expect("#GP: call of a busy task", VECTOR_GP, TSS_SELECTOR);
    gdt_set(SEG_TSS_B, (word)tss_b, 0x66, 0x89);
    TRY("8: lcall $0x90, $0");
    expect("#TS: TSS limit too small", VECTOR_TS, SEG_TSS_B);
    gdt_set(SEG_TSS_B, (word)tss_b, 103, 0x09);
    TRY("8: lcall $0x90, $0");
    expect("#NP: TSS not present", VECTOR_NP, SEG_TSS_B);
    write_flags(read_flags() | FLAG_NT);
    tss[0] = KERNEL_DATA;
    TRY("8: iret");
    expect("#TS: iret with NT to something else than a TSS", VECTOR_TS, KERNEL_DATA);
    write_flags(read_flags() & ~FLAG_NT);
    tss[0] = 0;
}

static void only_32(void)
{
    static const struct {
        int32_t low, high;
    } bounds = { -5, 5 };
    TRY("8: boundl %%eax, %3", "m"(bounds), "a"(6));
    expect("#BR: above", VECTOR_BR, 0);
    TRY("8: boundl %%eax, %3", "m"(bounds), "a"(-6));
    expect("#BR: below", VECTOR_BR, 0);
    TRY("8: boundl %%eax, %3", "m"(bounds), "a"(-5));
    expect_none("bound: inside");
    TRY("movb $0x7f, %%al; addb $1, %%al; into; 8:");
    expect("#OF: into saves the next EIP", VECTOR_OF, 0);
    TRY("xorl %%eax, %%eax; 8: into");
    expect_none("into without overflow");
    TRY("8: .byte 0x62, 0xc0");
    expect("#UD: bound with a register operand", VECTOR_UD, 0);
    static const struct {
        const char *name;
        uint8_t op[2];
        uint16_t ax, want;
    } bcd[] = {
        { "daa", { 0x27, 0x90 }, 0x00ae, 0x0014 },  { "das", { 0x2f, 0x90 }, 0x00ae, 0x0048 },
        { "aaa", { 0x37, 0x90 }, 0x010b, 0x0201 },  { "aas", { 0x3f, 0x90 }, 0x020a, 0x0104 },
        { "aam", { 0xd4, 10 }, 0x0053, 0x0803 },    { "aad", { 0xd5, 10 }, 0x0803, 0x0053 },
        { "aam 16", { 0xd4, 16 }, 0x00a7, 0x0a07 }, { "salc", { 0xd6, 0x90 }, 0x1234, 0x1200 },
    };
    for (unsigned i = 0; i < sizeof(bcd) / sizeof(bcd[0]); i++) {
        memcpy(area + 64, bcd[i].op, 2);
        area[66] = 0xc3;
        word ax;
        asm volatile("clc; call *%2"
                     : "=a"(ax)
                     : "0"((word)bcd[i].ax), "r"(area + 64)
                     : "cc", "memory");
        check(bcd[i].name, ax, bcd[i].want);
    }
    TRY(".byte 0xd4; .byte 0; 8:");
    check("#DE: aam 0", trap.vector, VECTOR_DE);
    word before, after, es, si;
    asm volatile("movl %%esp, %0; pushal; popal; movl %%esp, %1" : "=r"(before), "=r"(after));
    check("pusha, popa", before, after);
    asm volatile("push %%es; pop %0; push %%fs; push %%gs; pop %%gs; pop %%fs" : "=r"(es));
    check("push es", es & 0xffff, KERNEL_DATA); /* the upper half is not defined */
    static struct __attribute__((packed)) {
        uint32_t offset;
        uint16_t selector;
    } far = { 0x12345678, KERNEL_DATA };
    asm volatile("lesl %1, %0" : "=r"(si) : "m"(far));
    check("les", si, 0x12345678);
    /* 16-bit addressing in 32-bit code */
    store32(area + 16, 0xfeedface);
    gdt_set(SEG_DATA, (word)area, 0xffff, 0x493);
    asm volatile("movw %w2, %%fs; movl $0xffff0008, %%ebx; movl $0xffff0004, %%esi;"
                 ".byte 0x64, 0x67, 0x8b, 0x40, 4; nop"
                 : "=a"(si)
                 : "0"(0), "r"(SEG_DATA)
                 : "ebx", "esi");
    check("16-bit addressing [bx+si+4]", si, 0xfeedface);
    TRY("8: .byte 0x63, 0xc1");
    expect_none("arpl executes");
    TRY("8: sysretl");
    check("#UD: sysret outside 64-bit mode, SCE clear", trap.vector, VECTOR_UD);
}

void guest_main(void)
{
    limits();
    stacks();
    loads();
    transfers();
    io_permission();
    tasks();
    only_32();
}
