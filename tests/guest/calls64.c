/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control flow that translators guess at: calls and returns that do not pair, deep recursion,
 * indirect jumps through tables, far transfers, stack switches. */
#include "guest.h"

#define DEPTH 300000

word deep_stack_top;
uint64_t counts[8];

asm(".text\n"
    "deep: cmpq $0, %rdi; je 1f; decq %rdi; call deep; incq %rax; 1: ret\n"
    "deep_other: cmpq $0, %rdi; je 1f; decq %rdi; call deep_third; addq $2, %rax; 1: ret\n"
    "deep_third: cmpq $0, %rdi; je 1f; decq %rdi; call deep_other; addq $3, %rax; 1: ret\n"
    /* returns to the second caller up, as longjmp does */
    "throw: addq $16, %rsp; jmp *-8(%rsp)\n"
    "middle: call throw; incq counts; ret\n"
    "outer: call middle; movl $77, %eax; ret\n"
    "retn: ret $24\n"
    "far_callee: lretq\n"
    "far_callee_n: lretq $16\n");
uint64_t deep(uint64_t n);
uint64_t deep_other(uint64_t n);
uint64_t outer(void);
extern char retn[], far_callee[], far_callee_n[];

static uint64_t on_stack(uint64_t (*function)(uint64_t), uint64_t n)
{
    uint64_t result;
    asm volatile("movq %%rsp, %%rbx; movq %3, %%rsp; xorl %%eax, %%eax; call *%2; movq %%rbx, %%rsp"
                 : "=&a"(result), "+D"(n)
                 : "r"(function), "r"(deep_stack_top)
                 : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

static void pairs(void)
{
    uint64_t value, want;
    asm volatile("xorl %%eax, %%eax; movl $1000, %%ecx; 1: call 2f; 2: pop %%rdx; incl %%eax; decl "
                 "%%ecx; jnz 1b"
                 : "=a"(value)
                 :
                 : "rcx", "rdx", "cc");
    check("call and pop", value, 1000);
    asm volatile("leaq 1f(%%rip), %%rax; push %%rax; ret; ud2; 1: movl $5, %%eax" : "=a"(value));
    check("push and ret", value, 5);
    asm volatile(
        "xorl %%eax, %%eax; movl $1000, %%ecx; 1: leaq 2f(%%rip), %%rdx; push %%rdx; ret; 3: ud2;"
        "2: incl %%eax; decl %%ecx; jnz 1b"
        : "=a"(value)
        :
        : "rcx", "rdx", "cc");
    check("push and ret, 1000 times", value, 1000);
    check("a return that skips a frame", outer(), 77);
    check("the skipped frame did not go on", counts[0], 0);
    asm volatile("movq %%rsp, %%rbx; pushq $1; pushq $2; pushq $3; call retn; subq %%rsp, %%rbx; "
                 "movq %%rbx, %0"
                 : "=r"(value)
                 :
                 : "rbx", "memory", "cc");
    check("ret 24", value, 0);
    /* one ret that returns to two places in turn */
    asm volatile(
        "xorl %%eax, %%eax; movl $500, %%ecx; 1: call 9f; addl $1, %%eax; call 9f; addl $3, %%eax;"
        "decl %%ecx; jnz 1b; jmp 8f; 9: ret; 8:"
        : "=a"(value)
        :
        : "rcx", "cc", "memory");
    check("one ret, two callers", value, 2000);
    asm volatile("xorl %%eax, %%eax; movl $100, %%ecx; 1: leaq 2f(%%rip), %%rdx; push %%rdx; leaq "
                 "3f(%%rip), %%rdx;"
                 "push %%rdx; leaq 4f(%%rip), %%rdx; push %%rdx; ret; 2: addl $1, %%eax; decl "
                 "%%ecx; jnz 1b; jmp 5f;"
                 "3: addl $10, %%eax; ret; 4: addl $100, %%eax; ret; 5:"
                 : "=a"(value)
                 :
                 : "rcx", "rdx", "cc", "memory");
    check("a chain of returns without calls", value, 11100);
    want = DEPTH;
    check("recursion 300000 deep", on_stack(deep, DEPTH), want);
    check("mutual recursion 300000 deep", on_stack(deep_other, DEPTH), DEPTH / 2 * 5);
    check("and once more", on_stack(deep, DEPTH), want);
}

static void far(void)
{
    struct __attribute__((packed)) {
        uint64_t offset;
        uint16_t selector;
    } pointer = { (word)far_callee, KERNEL_CODE64 };
    uint64_t value;
    asm volatile(
        "movq %%rsp, %%rbx; xorl %%eax, %%eax; movl $1000, %%ecx; 1: rex.W lcall *%1; incl %%eax;"
        "decl %%ecx; jnz 1b; cmpq %%rsp, %%rbx; je 2f; xorl %%eax, %%eax; 2:"
        : "=a"(value)
        : "m"(pointer)
        : "rbx", "rcx", "cc", "memory");
    check("far call and return 1000 times", value, 1000);
    asm volatile(
        "movq %%rsp, %%rbx; pushq $1; pushq $2; pushq $0x18; leaq 1f(%%rip), %%rax; push %%rax;"
        "jmp far_callee_n; 1: subq %%rsp, %%rbx"
        : "=b"(value)
        :
        : "rax", "memory", "cc");
    check("far return that drops 16 bytes", value, 0);
    asm volatile("movq %%ss, %%rcx; movq %%rsp, %%rbx; push %%rcx; push %%rbx; pushf; pushq $0x18;"
                 "leaq 1f(%%rip), %%rax; push %%rax; iretq; ud2; 1: subq %%rsp, %%rbx"
                 : "=b"(value)
                 :
                 : "rax", "rcx", "memory", "cc");
    check("iretq to the same level", value, 0);
}

static void indirect(void)
{
    uint64_t value;
    asm volatile(
        "xorl %%eax, %%eax; movl $3000, %%ecx; xorl %%edx, %%edx;"
        "1: movl %%ecx, %%edx; andl $3, %%edx; jmp *5f(,%%rdx,8);"
        "2: addl $1, %%eax; jmp 4f; 3: addl $10, %%eax; jmp 4f; 6: addl $100, %%eax; jmp 4f;"
        "7: addl $1000, %%eax; 4: decl %%ecx; jnz 1b; jmp 8f; .balign 8; 5: .quad 2b, 3b, 6b, 7b; "
        "8:"
        : "=a"(value)
        :
        : "rcx", "rdx", "cc", "memory");
    check("jump table", value, 750 * 1111);
    static uint64_t (*functions[64])(uint64_t);
    uint8_t *code = page_alloc();
    for (unsigned i = 0; i < 64; i++) {
        static const uint8_t lea[] = { 0x48, 0x8d, 0x47, 0, 0xc3 }; /* lea rax, [rdi + i]; ret */
        memcpy(code + 32 * i, lea, 5);
        code[32 * i + 3] = i;
        functions[i] = (void *)(code + 32 * i);
    }
    uint64_t sum = 0, want = 0;
    for (unsigned i = 0; i < 20000; i++) {
        sum = functions[(i * 37 + (i >> 5)) & 63](sum);
        want += (i * 37 + (i >> 5)) & 63;
    }
    check("64 functions through pointers", sum, want);
    asm volatile(
        "movl $1000, %%ecx; xorl %%eax, %%eax; leaq 2f(%%rip), %%rdx; leaq 3f(%%rip), %%rsi;"
        "1: jmp *%%rdx; 2: addl $1, %%eax; xchgq %%rdx, %%rsi; jmp 4f; 3: addl $7, %%eax; xchgq "
        "%%rdx, %%rsi;"
        "4: loop 1b"
        : "=a"(value)
        :
        : "rcx", "rdx", "rsi", "cc");
    check("a jump that alternates", value, 4000);
}

static void loops(void)
{
    uint64_t value;
    asm volatile("xorl %%eax, %%eax; movl $100000, %%ecx; 1: incl %%eax; loop 1b"
                 : "=a"(value)
                 :
                 : "rcx", "cc");
    check("loop", value, 100000);
    asm volatile(
        "xorl %%eax, %%eax; movabsq $0x100000005, %%rcx; 1: incl %%eax; .byte 0x67; loop 1b"
        : "=a"(value)
        :
        : "rcx", "cc");
    check("loop with ecx", value, 5);
    asm volatile("xorl %%eax, %%eax; movl $10, %%ecx; 1: incl %%eax; cmpl $4, %%eax; loopne 1b"
                 : "=a"(value)
                 :
                 : "rcx", "cc");
    check("loopne", value, 4);
    asm volatile("movl $7, %%eax; xorl %%ecx, %%ecx; jrcxz 1f; movl $8, %%eax; 1:"
                 : "=a"(value)
                 :
                 : "rcx", "cc");
    check("jrcxz", value, 7);
    asm volatile("movl $50000, %%ecx; xorl %%eax, %%eax; 1: addq %%rcx, %%rax; movl %%ecx, %%edx; "
                 "2: shrl %%edx;"
                 "jnz 2b; decl %%ecx; jnz 1b"
                 : "=a"(value)
                 :
                 : "rcx", "rdx", "cc");
    check("nested loops", value, 50000ull * 50001 / 2);
}

void guest_main(void)
{
    deep_stack_top = 0x3000000; /* grows down through the second 16 MiB */
    pairs();
    far();
    indirect();
    loops();
}
