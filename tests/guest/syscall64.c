/* SPDX-License-Identifier: GPL-2.0-or-later */
/* syscall, sysret, sysenter, sysexit, swapgs, iretq between levels, and segment bases
 * (SDM vol. 2, the instructions' pages; vol. 3, 5.8.7 and 5.8.8). */
#include "guest.h"

extern char syscall_entry[], sysenter_entry[], user_syscall[], user_syscall_back[], user_sysenter[],
    user_compat[], user_compat_back[], user_syscall_tf[], user_fsgs[], user_loop[], user_loop_end[],
    compat_entry[];
word seen[8];
word kernel_sp_for_syscall;

asm(".text\n"
    "syscall_entry: movq %rcx, seen; movq %r11, seen+8; pushf; pop seen+16; movq %rsp, seen+24;"
    "  movw %cs, seen+32; movw %ss, seen+40; incq seen+48; movq $0x5a5a, %rax; sysretq\n"
    "compat_entry: movq %rcx, seen; movq %r11, seen+8; incq seen+48; sysretl\n"
    "sysenter_entry: movq %rsp, seen; pushf; pop seen+8; movw %cs, seen+32; movw %ss, seen+40;"
    "  leaq user_sysexit_back(%rip), %rdx; movq $0x8000000000, %rax; addq %rax, %rdx;"
    "  movq %rbx, %rcx; rex.W sysexit\n"
    "user_sysexit_back: int3\n"
    "user_syscall: movq %rsp, %rbx; stc; syscall\n user_syscall_back: pushf; pop %rcx; movq %rsp, "
    "%rdx; subq %rbx, %rdx; int3\n"
    "user_sysenter: movq %rsp, %rbx; sysenter\n"
    "user_syscall_tf: pushf; orq $0x100, (%rsp); popf; syscall; nop; int3\n"
    "user_fsgs: movq %fs:0, %rax; movq %gs:8, %rbx; int3\n"
    "user_loop: movl $1000, %ebx; 1: syscall; decl %ebx; jnz 1b\n user_loop_end: int3\n"
    ".code32\n user_compat: movl $7, %eax; syscall\n user_compat_back: incl %eax; .byte 0x40; "
    "int3\n"
    ".code64\n");
extern char user_sysexit_back[];

static void syscalls(void)
{
    TRY("8: syscall");
    expect("#UD: syscall with EFER.SCE clear", VECTOR_UD, 0);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_STAR, (uint64_t)(USER_CODE32) << 48 | (uint64_t)KERNEL_CODE64 << 32);
    wrmsr(MSR_LSTAR, (word)syscall_entry);
    wrmsr(MSR_CSTAR, (word)compat_entry);
    wrmsr(MSR_SFMASK, FLAG_IF | FLAG_TF | FLAG_CF | FLAG_AC);
    check("STAR reads back", rdmsr(MSR_STAR),
          (uint64_t)USER_CODE32 << 48 | (uint64_t)KERNEL_CODE64 << 32);
    memset(seen, 0, sizeof(seen));
    run_user(user_syscall);
    check("syscall: rcx is the return address", seen[0], (word)USER_ADDRESS(user_syscall_back));
    check("syscall: r11 is rflags", seen[1] & (FLAG_CF | 2), FLAG_CF | 2);
    check("syscall: SFMASK clears flags", seen[2] & (FLAG_CF | FLAG_IF), 0);
    check("syscall: rsp is the user's", seen[3], (word)USER_ADDRESS(user_stack_top));
    check("syscall: cs, ss", seen[4] << 16 | seen[5], KERNEL_CODE64 << 16 | (KERNEL_CODE64 + 8));
    check("sysret: returns to CPL 3", trap.cs << 16 | trap.ss, USER_CODE64 << 16 | USER_DATA);
    check("sysret: rax kept, rsp kept", trap.ax << 16 | trap.dx, 0x5a5aull << 16);
    check("sysret: rflags from r11", trap.cx & FLAG_CF, FLAG_CF);
    memset(seen, 0, sizeof(seen));
    run_user(user_loop);
    expect_user("1000 system calls", VECTOR_BP, 0, user_loop_end + 1);
    check("1000 system calls: count", seen[6], 1000);
    run_user(user_syscall_tf);
    check("syscall: SFMASK clears TF, sysret restores it", trap.vector, VECTOR_DB);
    write_dr6(0xffff0ff0);
    TRY("movq $0x8000000000000000, %%rcx; movl $2, %%r11d; movq %%rsp, %%rdx; 8: sysretq");
    check("#GP: sysret to a non-canonical address (at CPL 0 on Intel, at CPL 3 on AMD)",
          trap.vector, VECTOR_GP);
}

static void compatibility(void)
{
    uint32_t vendor[4];
    cpuid(0, 0, vendor);
    if (vendor[1] != 0x68747541) { /* "Auth": only AMD has syscall in compatibility mode */
        skip("syscall from compatibility mode", "this vendor has none");
        return;
    }
    /* The code must lie below 4 GiB for a 32-bit segment: map one user page there. */
    uint8_t *page = page_alloc();
    uint64_t *pml4 = (uint64_t *)read_cr3();
    pml4[0] |= PTE_U;
    *(uint64_t *)(pml4[0] & ~0xfffull) |= PTE_U;
    map_page(0x30000000, (word)page, PTE_P | PTE_W | PTE_U);
    memcpy(page, user_compat, 64);
    memset(seen, 0, sizeof(seen));
    struct user_start start = {
        .ip = 0x30000000, .sp = 0x30000800, .flags = 2, .cs = USER_CODE32, .ss = USER_DATA
    };
    enter_user(&start);
    check("syscall from compatibility mode: through CSTAR", seen[6], 1);
    check("syscall from compatibility mode: rcx", seen[0],
          0x30000000 + (user_compat_back - user_compat));
    check("sysretl: 32-bit code goes on", trap.ax, 9);
    check("sysretl: cs", trap.cs, USER_CODE32);
}

static void sysenters(void)
{
    uint32_t vendor[4];
    cpuid(0, 0, vendor);
    if (vendor[1] == 0x68747541) {
        run_user(user_sysenter);
        expect_user("#UD: sysenter in long mode on AMD", VECTOR_UD, 0, user_sysenter + 3);
        return;
    }
    run_user(user_sysenter);
    expect_user("#GP: sysenter with a null SYSENTER_CS", VECTOR_GP, 0, user_sysenter + 3);
    wrmsr(0x174, KERNEL_CODE64);
    wrmsr(0x175, (word)kernel_stack_top - 8192);
    wrmsr(0x176, (word)sysenter_entry);
    TRY("nop; 8:");
    run_user(user_sysenter);
    check("sysenter: rsp", seen[0], (word)kernel_stack_top - 8192);
    check("sysenter: IF clear", seen[1] & FLAG_IF, 0);
    check("sysenter: cs, ss", seen[4] << 16 | seen[5], KERNEL_CODE64 << 16 | (KERNEL_CODE64 + 8));
    check("sysexit: back at CPL 3", trap.vector << 8 | (trap.cs & 3), VECTOR_BP << 8 | 3);
    check("sysexit: rip", trap.ip, (word)USER_ADDRESS(user_sysexit_back) + 1);
}

static void bases(void)
{
    static uint64_t a[2] = { 0x1111, 0x2222 }, b[2] = { 0x3333, 0x4444 };
    wrmsr(MSR_GS_BASE, (word)a);
    wrmsr(MSR_KERNEL_GS_BASE, (word)b);
    uint64_t value;
    asm volatile("movq %%gs:0, %0" : "=r"(value));
    check("gs base", value, 0x1111);
    asm volatile("swapgs; movq %%gs:0, %0" : "=r"(value) : : "memory");
    check("swapgs", value, 0x3333);
    check("swapgs: KERNEL_GS_BASE", rdmsr(MSR_KERNEL_GS_BASE), (word)a);
    asm volatile("swapgs");
    wrmsr(MSR_FS_BASE, (word)USER_ADDRESS(a));
    wrmsr(MSR_GS_BASE, (word)USER_ADDRESS(b));
    asm volatile("movw %w0, %%fs; movw %w0, %%gs" : : "r"(0));
    wrmsr(MSR_FS_BASE, (word)USER_ADDRESS(a));
    wrmsr(MSR_GS_BASE, (word)USER_ADDRESS(b));
    run_user(user_fsgs);
    check("fs and gs bases at CPL 3", trap.ax << 16 | trap.bx, 0x11114444);
    asm volatile("movw %w0, %%fs" : : "r"(KERNEL_DATA));
    check("loading fs replaces the base", rdmsr(MSR_FS_BASE), 0);
    if (has_cpuid(7, 0, 1, 0)) {
        TRY("8: rdfsbase %%rax");
        expect("#UD: rdfsbase with CR4.FSGSBASE clear", VECTOR_UD, 0);
        write_cr4(read_cr4() | CR4_FSGSBASE);
        asm volatile("wrgsbase %1; rdgsbase %0" : "=r"(value) : "r"((word)a));
        check("wrgsbase, rdgsbase", value, (word)a);
        TRY("8: wrgsbase %%rcx", "c"(1ull << 63));
        expect("#GP: wrgsbase non-canonical", VECTOR_GP, 0);
        asm volatile("wrfsbase %k1; rdfsbase %0" : "=r"(value) : "r"(~0ull));
        check("wrfsbase with 32 bits", value, 0xffffffff);
    }
    if (has_cpuid(0x80000001, 0, 3, 27)) {
        wrmsr(0xc0000103, 0x1234);
        uint32_t aux, low, high;
        asm volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
        check("rdtscp: TSC_AUX", aux, 0x1234);
    }
}

void guest_main(void)
{
    syscalls();
    compatibility();
    sysenters();
    bases();
}
