/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every exception 64-bit mode can raise, with error code, saved RIP and CR2 (SDM vol. 3, 6.15). */
#include "guest.h"

#define NONCANONICAL 0x8000000000000000ull
extern char trap_entries[];
#define UNMAPPED 0x7000000000ull /* PML4 slot 0, beyond the 4 GiB mapped */

static void divide(void)
{
    TRY("xorl %%ecx, %%ecx; movl $1, %%eax; 8: divl %%ecx");
    expect("#DE: div by zero", VECTOR_DE, 0);
    TRY("movl $1, %%edx; xorl %%eax, %%eax; movl $1, %%ecx; 8: divl %%ecx");
    expect("#DE: div quotient too large", VECTOR_DE, 0);
    TRY("movq $-1, %%rcx; cqto; 8: idivq %%rcx", "a"(1ull << 63));
    expect("#DE: idiv minimum by -1", VECTOR_DE, 0);
    TRY("xorl %%eax, %%eax; movb $0, %%cl; 8: divb %%cl");
    expect("#DE: divb", VECTOR_DE, 0);
    TRY("movl $7, %%eax; cltd; movl $2, %%ecx; 8: idivl %%ecx");
    expect_none("idiv that fits");
}

static void traps_and_software(void)
{
    TRY("int3; 8:");
    expect("#BP: int3 saves the next RIP", VECTOR_BP, 0);
    TRY(".byte 0xcd, 3; 8:");
    expect("#BP: int 3", VECTOR_BP, 0);
    TRY("int $0x80; 8:");
    expect("int 0x80", 0x80, 0);
    TRY(".byte 0xf1; 8:");
    expect("#DB: int1", VECTOR_DB, 0);
    TRY("pushf; orl $0x100, (%%rsp); popf; nop; 8: nop");
    expect("#DB: single step reports after the next instruction", VECTOR_DB, 0);
    check("#DB: DR6.BS", trap.dr6 & 0xe00f, 0x4000);
    write_dr6(0xffff0ff0);
}

static void invalid_opcode(void)
{
    TRY("8: ud2");
    expect("#UD: ud2", VECTOR_UD, 0);
    TRY("8: .byte 0x0f, 0xff, 0xc0");
    expect("#UD: ud0", VECTOR_UD, 0);
    TRY("8: .byte 0x06");
    expect("#UD: push es in 64-bit mode", VECTOR_UD, 0);
    TRY("8: .byte 0xce");
    expect("#UD: into in 64-bit mode", VECTOR_UD, 0);
    TRY("8: .byte 0x37");
    expect("#UD: aaa in 64-bit mode", VECTOR_UD, 0);
    TRY("8: .byte 0x9a, 0, 0, 0, 0, 0, 0");
    expect("#UD: direct far call in 64-bit mode", VECTOR_UD, 0);
    TRY("8: .byte 0xf0, 0x01, 0xc0");
    expect("#UD: lock add to a register", VECTOR_UD, 0);
    TRY("8: .byte 0xf0, 0x8b, 0x00", "a"(kernel_stack_top));
    expect("#UD: lock mov", VECTOR_UD, 0);
    TRY("8: .byte 0x8e, 0xc8", "a"(0));
    expect("#UD: mov to cs", VECTOR_UD, 0);
    TRY("8: .byte 0x0f, 0x20, 0xe8");
    expect("#UD: mov from cr5", VECTOR_UD, 0);
    TRY("8: .byte 0x0f, 0x01, 0xc7");
    expect("#UD: undefined 0f 01 c7", VECTOR_UD, 0);
    TRY("8: .byte 0x0f, 0x20, 0xc8");
    expect("#UD: mov from cr1", VECTOR_UD, 0);
    TRY("8: .byte 0x8d, 0xc0");
    expect("#UD: lea of a register", VECTOR_UD, 0);
    TRY("8: .byte 0xc5, 0xf8, 0x77");
    expect("#UD: vzeroupper with CR4.OSXSAVE clear", VECTOR_UD, 0);
    TRY("xorl %%ecx, %%ecx; 8: xgetbv");
    expect("#UD: xgetbv with CR4.OSXSAVE clear", VECTOR_UD, 0);
    write_cr4(read_cr4() & ~CR4_OSFXSR);
    TRY("8: addps %%xmm0, %%xmm0");
    expect("#UD: SSE with CR4.OSFXSR clear", VECTOR_UD, 0);
    write_cr4(read_cr4() | CR4_OSFXSR);
    write_cr0(read_cr0() | CR0_EM);
    TRY("8: addps %%xmm0, %%xmm0");
    expect("#UD: SSE with CR0.EM", VECTOR_UD, 0);
    TRY("8: fnop");
    expect("#NM: x87 with CR0.EM", VECTOR_NM, 0);
    write_cr0((read_cr0() & ~CR0_EM) | CR0_TS);
    TRY("8: fnop");
    expect("#NM: x87 with CR0.TS", VECTOR_NM, 0);
    TRY("8: addps %%xmm0, %%xmm0");
    expect("#NM: SSE with CR0.TS", VECTOR_NM, 0);
    TRY("8: fwait");
    expect("#NM: fwait with CR0.TS and MP", VECTOR_NM, 0);
    asm volatile("clts");
    TRY("8: fnop; addps %%xmm0, %%xmm0");
    expect_none("clts ends #NM");
}

static void general_protection(void)
{
    TRY("8: movq (%%rcx), %%rax", "c"(NONCANONICAL));
    expect("#GP: non-canonical load", VECTOR_GP, 0);
    TRY("8: movq %%rax, (%%rcx)", "c"(0x0000800000000000ull));
    expect("#GP: non-canonical store", VECTOR_GP, 0);
    TRY("8: push (%%rcx)", "c"(0x0000800000000000ull));
    expect("#GP: push from a non-canonical address", VECTOR_GP, 0);
    gate_set(VECTOR_SS, trap_entries + 16 * VECTOR_SS, KERNEL_CODE64, 0x8e, 1);
    TRY("movq %%rcx, %%rsp; 8: push %%rax", "c"(NONCANONICAL));
    expect("#SS: push with non-canonical rsp", VECTOR_SS, 0);
    TRY("movq %%rcx, %%rsp; 8: pop %%rax", "c"(NONCANONICAL));
    expect("#SS: pop with non-canonical rsp", VECTOR_SS, 0);
    TRY("movq %%rcx, %%rsp; 8: movq (%%rsp), %%rax", "c"(NONCANONICAL));
    expect("#SS: non-canonical load through rsp", VECTOR_SS, 0);
}

static void selectors(void)
{
    TRY("8: movw %%cx, %%ds", "c"(GDT_ENTRIES * 8));
    expect("#GP: selector beyond the GDT", VECTOR_GP, GDT_ENTRIES * 8);
    TRY("8: movw %%cx, %%ds", "c"(0x0c));
    expect("#GP: LDT selector with no LDT", VECTOR_GP, 0x0c);
    TRY("8: movw %%cx, %%ss", "c"(KERNEL_CODE64));
    expect("#GP: code into ss", VECTOR_GP, KERNEL_CODE64);
    TRY("8: movw %%cx, %%ss", "c"(USER_DATA));
    expect("#GP: DPL 3 data into ss at CPL 0", VECTOR_GP, USER_DATA & ~3u);
    TRY("8: movw %%cx, %%ds", "c"(TSS_SELECTOR));
    expect("#GP: TSS into ds", VECTOR_GP, TSS_SELECTOR);
    gdt_set(FREE_SELECTOR, 0, 0xfffff, 0xc13);
    TRY("8: movw %%cx, %%ds", "c"(FREE_SELECTOR));
    expect("#NP: data segment not present", VECTOR_NP, FREE_SELECTOR);
    TRY("8: movw %%cx, %%ss", "c"(FREE_SELECTOR));
    expect("#SS: stack segment not present", VECTOR_SS, FREE_SELECTOR);
    TRY("pushq %%rcx; pushq $0; 8: lretq", "c"(FREE_SELECTOR + 8));
    expect("#GP: far return to a null descriptor", VECTOR_GP, FREE_SELECTOR + 8);
    TRY("pushq $0; pushq $0; 8: lretq");
    expect("#GP: far return to the null selector", VECTOR_GP, 0);
    gdt_set(FREE_SELECTOR + 8, 0, 0xfffff, 0xa1b);
    TRY("pushq %%rcx; pushq $0; 8: lretq", "c"(FREE_SELECTOR + 8));
    expect("#NP: far return to code not present", VECTOR_NP, FREE_SELECTOR + 8);
    TRY("8: movw %%cx, %%ss", "c"(0));
    expect_none("null ss at CPL 0 is allowed in 64-bit mode");
    TRY("8: movw %%cx, %%ss", "c"(3));
    expect("#GP: null ss with RPL 3 at CPL 0", VECTOR_GP, 0);
    TRY("8: movw %%cx, %%ds", "c"(3));
    expect_none("null ds with any RPL");
    TRY("8: ltr %%cx", "c"(TSS_SELECTOR));
    expect("#GP: ltr of a busy TSS", VECTOR_GP, TSS_SELECTOR);
    TRY("8: ltr %%cx", "c"(0));
    expect("#GP: ltr null", VECTOR_GP, 0);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40); /* not busy: in case the last one was not refused */
    asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
    TRY("8: lldt %%cx", "c"(KERNEL_DATA));
    expect("#GP: lldt of a data segment", VECTOR_GP, KERNEL_DATA);
    TRY("movw %%cx, %%ds; movw %%cx, %%es; movw %%cx, %%ss", "c"(KERNEL_DATA));
}

static void gates(void)
{
    gate_set(0x40, trap_entries + 16 * 0x40, KERNEL_CODE64, 0x0e, 0);
    TRY("8: int $0x40");
    expect("#NP: gate not present", VECTOR_NP, 0x40 << 3 | 2);
    gate_set(0x40, trap_entries + 16 * 0x40, KERNEL_DATA, 0x8e, 0);
    TRY("8: int $0x40");
    expect("#GP: gate to a data segment", VECTOR_GP, KERNEL_DATA);
    gate_set(0x40, trap_entries + 16 * 0x40, 0, 0x8e, 0);
    TRY("8: int $0x40");
    expect("#GP: gate with null selector", VECTOR_GP, 0);
    gate_set(0x40, trap_entries + 16 * 0x40, KERNEL_CODE32, 0x8e, 0);
    TRY("8: int $0x40");
    expect("#GP: gate to 32-bit code in long mode", VECTOR_GP, KERNEL_CODE32);
    gate_set(0x40, trap_entries + 16 * 0x40, KERNEL_CODE64, 0x85, 0);
    TRY("8: int $0x40");
    expect("#GP: task gate in long mode", VECTOR_GP, 0x40 << 3 | 2);
    gate_set(0x40, trap_entries + 16 * 0x40, KERNEL_CODE64, 0x8e, 0);
}

asm(".text\n"
    "user_hlt: hlt\n"
    "user_int40: int $0x40\n"
    "user_int3: int3\n user_int3_next: nop\n"
    "user_in: inb $0x60, %al\n"
    "user_cli: cli\n"
    "user_mov_cr: movq %cr0, %rax\n"
    "user_load: movabsq 0x1000, %rax\n"
    "user_kernel_jump: movl $0x100000, %eax; jmp *%rax\n"
    "user_wrmsr: wrmsr\n"
    "user_lgdt: lgdt 0(%rsp)\n"
    "user_clts: clts\n"
    "user_ac: pushf; orl $0x40000, (%rsp); popf\n user_ac_fault: movl 1(%rsp), %eax\n"
    "user_sgdt: subq $16, %rsp\n user_sgdt_fault: sgdt (%rsp); int3; user_sgdt_next: nop\n"
    "user_popf: pushq $0x3202; popf; pushf; pop %rax; int3; user_popf_next: nop\n"
    "user_de: xorl %ecx, %ecx; user_de_fault: divl %ecx\n"
    "user_sysexit: sysexitl\n"
    "user_invd: invd\n"
    "user_rdpmc: movl $0x7fffffff, %ecx; user_rdpmc_fault: rdpmc\n");
extern char user_hlt[], user_int40[], user_int3[], user_int3_next[], user_in[], user_cli[],
    user_mov_cr[], user_load[], user_kernel_jump[], user_wrmsr[], user_lgdt[], user_clts[],
    user_ac[], user_ac_fault[], user_sgdt[], user_sgdt_fault[], user_sgdt_next[], user_popf[],
    user_popf_next[], user_de[], user_de_fault[], user_sysexit[], user_invd[], user_rdpmc[],
    user_rdpmc_fault[];

static void user_mode(void)
{
    static const struct {
        const char *name;
        const char *entry, *fault;
        unsigned vector, error;
    } cases[] = {
        { "#GP: hlt at CPL 3", user_hlt, user_hlt, VECTOR_GP, 0 },
        { "#GP: int through a DPL 0 gate", user_int40, user_int40, VECTOR_GP, 0x40 << 3 | 2 },
        { "#BP: int3 at CPL 3", user_int3, user_int3_next, VECTOR_BP, 0 },
        { "#GP: in at CPL 3", user_in, user_in, VECTOR_GP, 0 },
        { "#GP: cli at CPL 3", user_cli, user_cli, VECTOR_GP, 0 },
        { "#GP: mov cr at CPL 3", user_mov_cr, user_mov_cr, VECTOR_GP, 0 },
        { "#PF: user load of a supervisor page", user_load, user_load, VECTOR_PF, PF_P | PF_U },
        { "#GP: wrmsr at CPL 3", user_wrmsr, user_wrmsr, VECTOR_GP, 0 },
        { "#GP: lgdt at CPL 3", user_lgdt, user_lgdt, VECTOR_GP, 0 },
        { "#GP: clts at CPL 3", user_clts, user_clts, VECTOR_GP, 0 },
        { "#GP: invd at CPL 3", user_invd, user_invd, VECTOR_GP, 0 },
        { "#GP: rdpmc at CPL 3", user_rdpmc, user_rdpmc_fault, VECTOR_GP, 0 },
        { "#AC: misaligned load with CR0.AM and AC", user_ac, user_ac_fault, VECTOR_AC, 0 },
        { "#DE: at CPL 3", user_de, user_de_fault, VECTOR_DE, 0 },
        { "popf at CPL 3 leaves IF and IOPL", user_popf, user_popf_next, VECTOR_BP, 0 },
        { "sgdt at CPL 3 without UMIP", user_sgdt, user_sgdt_next, VECTOR_BP, 0 },
    };
    write_cr0(read_cr0() | CR0_AM);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_user(cases[i].entry);
        expect_user(cases[i].name, cases[i].vector, cases[i].error, cases[i].fault);
        if (cases[i].entry == user_popf)
            check("popf at CPL 3: flags read back", trap.ax & (FLAG_IF | FLAG_IOPL), 0);
        if (cases[i].vector == VECTOR_PF)
            check("#PF at CPL 3: CR2", trap.cr2, 0x1000);
    }
    run_user(user_ac);
    check("saved cs of CPL 3", trap.cs, USER_CODE64);
    check("saved ss of CPL 3", trap.ss, USER_DATA);
    run_user(user_kernel_jump);
    trap.ip = (word)USER_ADDRESS(trap.ip); /* the fault is at the target, already supervisor */
    expect_user("#PF: user fetch from a supervisor page", VECTOR_PF, PF_P | PF_U | PF_I,
                (void *)0x100000);
    write_cr0(read_cr0() & ~CR0_AM);
    if (has_cpuid(7, 0, 2, 2)) {
        write_cr4(read_cr4() | CR4_UMIP);
        run_user(user_sgdt);
        expect_user("#GP: sgdt at CPL 3 with UMIP", VECTOR_GP, 0, user_sgdt_fault);
        write_cr4(read_cr4() & ~CR4_UMIP);
    } else {
        skip("#GP: sgdt at CPL 3 with UMIP", "CPUID offers no UMIP");
    }
}

static void page_faults(void)
{
    TRY("8: movq (%%rcx), %%rax", "c"(UNMAPPED));
    expect_pf("#PF: load of an unmapped page", 0, UNMAPPED);
    TRY("8: movq %%rax, (%%rcx)", "c"(UNMAPPED + 8));
    expect_pf("#PF: store", PF_W, UNMAPPED + 8);
    TRY("8: addq %%rax, (%%rcx)", "c"(UNMAPPED + 8));
    expect_pf("#PF: read-modify-write counts as a write", PF_W, UNMAPPED + 8);
    TRY("8: lock cmpxchgq %%rax, (%%rcx)", "c"(UNMAPPED + 8));
    expect_pf("#PF: cmpxchg counts as a write", PF_W, UNMAPPED + 8);
    TRY("8: call *(%%rcx)", "c"(UNMAPPED + 16));
    expect_pf("#PF: indirect call", 0, UNMAPPED + 16);
    gate_set(VECTOR_PF, trap_entries + 16 * VECTOR_PF, KERNEL_CODE64, 0x8e, 1);
    TRY("movq %%rcx, %%rsp; 8: push %%rax", "c"(UNMAPPED + 0x108));
    expect_pf("#PF: push", PF_W, UNMAPPED + 0x100);
    TRY("movq %%rcx, %%rsp; 8: call 1f; 1:", "c"(UNMAPPED + 0x108));
    expect_pf("#PF: call", PF_W, UNMAPPED + 0x100);
    TRY("movq %%rcx, %%rsp; 8: ret", "c"(UNMAPPED + 0x108));
    expect_pf("#PF: ret", 0, UNMAPPED + 0x108);
    gate_set(VECTOR_PF, trap_entries + 16 * VECTOR_PF, KERNEL_CODE64, 0x8e, 0);
    TRY("8: movups (%%rcx), %%xmm0", "c"(UNMAPPED + 1));
    expect_pf("#PF: SSE load", 0, UNMAPPED + 1);

    /* Last mapped page below the hole at 4 GiB: accesses that cross into it. */
    word page = (word)page_alloc(), hole = 0x6000000000;
    map_page(hole - PAGE_SIZE, page, PTE_P | PTE_W);
    TRY("8: movq (%%rcx), %%rax", "c"(hole - 3));
    expect_pf("#PF: crossing load reports the second page", 0, hole);
    TRY("8: movq %%rax, (%%rcx)", "c"(hole - 3), "a"(-1ull));
    expect_pf("#PF: crossing store", PF_W, hole);
    check("#PF: crossing store wrote nothing", load32((void *)(page + PAGE_SIZE - 4)), 0);
    TRY("8: incq (%%rcx)", "c"(hole - 3));
    expect_pf("#PF: crossing inc", PF_W, hole);
    word count;
    TRY("push %%rdi; movl $64, %%ecx; movl $0x55, %%eax; 8: rep stosb; pop %%rdi", "D"(hole - 16));
    count = trap.cx;
    expect_pf("#PF: rep stosb in the middle", PF_W, hole);
    check("#PF: rep stosb count left", count, 48);
    check("#PF: rep stosb stored the first part", load32((void *)(page + PAGE_SIZE - 4)),
          0x55555555);
    TRY("8: jmp *%%rcx", "c"(NONCANONICAL));
    check("#GP: jump to a non-canonical address", trap.vector, VECTOR_GP);
    TRY("8: movaps (%%rcx), %%xmm0", "c"(page + 8));
    expect("#GP: misaligned movaps", VECTOR_GP, 0);
}

static void floating_point(void)
{
    uint16_t control = 0x037b; /* zero divide unmasked */
    uint32_t mxcsr = 0x1d80, normal = 0x1f80;
    TRY("fninit; fldcw %3; fld1; fldz; .byte 0xde, 0xf9; 8: fwait", "m"(control));
    expect("#MF: reported by the next waiting instruction", VECTOR_MF, 0);
    TRY("8: fld1");
    expect("#MF: still pending for fld1", VECTOR_MF, 0);
    asm volatile("fnclex; fninit");
    mxcsr = normal & ~0x200u; /* zero divide unmasked */
    TRY("ldmxcsr %3; xorps %%xmm0, %%xmm0; pcmpeqd %%xmm1, %%xmm1; pslld $25, %%xmm1; psrld $2, "
        "%%xmm1;"
        "8: divps %%xmm0, %%xmm1",
        "m"(mxcsr));
    expect("#XM: divps by zero unmasked", VECTOR_XM, 0);
    write_cr4(read_cr4() & ~CR4_OSXMMEXCPT);
    TRY("8: divps %%xmm0, %%xmm1");
    expect("#UD: the same with CR4.OSXMMEXCPT clear", VECTOR_UD, 0);
    write_cr4(read_cr4() | CR4_OSXMMEXCPT);
    asm volatile("ldmxcsr %0" : : "m"(normal));
    mxcsr = 0x10000;
    TRY("8: ldmxcsr %3", "m"(mxcsr));
    expect("#GP: reserved MXCSR bit", VECTOR_GP, 0);
    write_cr0(read_cr0() & ~CR0_NE);
    asm volatile("fnclex");
    write_cr0(read_cr0() | CR0_NE);
}

static void control_registers(void)
{
    TRY("8: movq %%rcx, %%cr0", "c"((read_cr0() | CR0_PG) & ~CR0_PE));
    expect("#GP: CR0.PG without PE", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%cr0", "c"(read_cr0() | 1u << 29));
    expect("#GP: CR0.NW without CD", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%cr0", "c"(read_cr0() | 1ull << 40));
    expect("#GP: CR0 bit 40", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() & ~CR4_PAE));
    expect("#GP: CR4.PAE cleared in long mode", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() | 1u << 31));
    expect("#GP: CR4 reserved bit", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%cr3", "c"(read_cr3() | 1ull << 62));
    expect("#GP: CR3 reserved bit", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%cr8", "c"(0x10));
    expect("#GP: CR8 reserved bit", VECTOR_GP, 0);
    TRY("movl $0xc0000080, %%ecx; rdmsr; andl $~0x100, %%eax; 8: wrmsr");
    expect("#GP: EFER.LME cleared while paging", VECTOR_GP, 0);
    TRY("8: rdmsr", "c"(0x2fff));
    expect("#GP: unknown MSR read", VECTOR_GP, 0);
    TRY("8: wrmsr", "c"(0x2fff));
    expect("#GP: unknown MSR write", VECTOR_GP, 0);
    TRY("8: wrmsr", "c"(MSR_FS_BASE), "a"(0), "d"(0x80000000));
    expect("#GP: non-canonical FS base", VECTOR_GP, 0);
    TRY("8: wrmsr", "c"(MSR_LSTAR), "a"(0), "d"(0x8000));
    expect("#GP: non-canonical LSTAR", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%dr7", "c"(1ull << 32));
    expect("#GP: DR7 upper half", VECTOR_GP, 0);
    TRY("8: movq %%rcx, %%dr6", "c"(1ull << 32));
    expect("#GP: DR6 upper half", VECTOR_GP, 0);
    write_cr4(read_cr4() | CR4_DE);
    TRY("8: movq %%dr4, %%rax");
    expect("#UD: dr4 with CR4.DE", VECTOR_UD, 0);
    write_cr4(read_cr4() & ~CR4_DE);
    TRY("8: movq %%dr4, %%rax");
    expect_none("dr4 is dr6 without CR4.DE");
}

/* SDM vol. 3, 6.15 "Double Fault": a contributory fault while delivering one. */
static void double_fault(void)
{
    gate_set(VECTOR_GP, NULL, KERNEL_CODE64, 0x0e, 0);
    TRY("8: movq (%%rcx), %%rax", "c"(NONCANONICAL));
    check("#DF: #NP while delivering #GP", trap.vector, VECTOR_DF);
    check("#DF: error code 0", trap.error, 0);
    gate_set(VECTOR_GP, trap_entries + 16 * VECTOR_GP, KERNEL_CODE64, 0x8e, 0);

    /* #PF while delivering #PF: the stack is unmapped; #DF comes on its own stack. */
    TRY("movq %%rcx, %%rsp; 8: movq (%%rcx), %%rax", "c"(UNMAPPED));
    check("#DF: #PF while delivering #PF", trap.vector, VECTOR_DF);
    /* #NP while delivering #DE (contributory pair), and the benign pair #UD then #NP. */
    gate_set(VECTOR_DE, NULL, KERNEL_CODE64, 0x0e, 0);
    TRY("xorl %%ecx, %%ecx; 8: divl %%ecx");
    check("#DF: #NP while delivering #DE", trap.vector, VECTOR_DF);
    gate_set(VECTOR_DE, trap_entries + 16 * VECTOR_DE, KERNEL_CODE64, 0x8e, 0);
    gate_set(VECTOR_UD, NULL, KERNEL_CODE64, 0x0e, 0);
    TRY("8: ud2");
    /* EXT is set: an earlier exception was being delivered (SDM vol. 3, 6.13) */
    expect("#NP while delivering #UD is no double fault", VECTOR_NP, VECTOR_UD << 3 | 3);
    gate_set(VECTOR_UD, trap_entries + 16 * VECTOR_UD, KERNEL_CODE64, 0x8e, 0);
}

void guest_main(void)
{
    divide();
    traps_and_software();
    invalid_opcode();
    general_protection();
    selectors();
    gates();
    user_mode();
    page_faults();
    floating_point();
    control_registers();
    double_fault();
}
