/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Self- and cross-modifying code on one processor (SDM vol. 3, 8.1.3), code across page boundaries,
 * and data that merely lives next to code. */
#include "guest.h"

#define WINDOW 0x5000000000ull
#define MOV_EAX 0xb8 /* mov eax, imm32 */
#define RET 0xc3

typedef unsigned (*function)(void);

static uint8_t *code; /* two pages, executable and writable through the identity mapping */

static void put_function(uint8_t *at, uint32_t result)
{
    at[0] = MOV_EAX;
    store32(at + 1, result);
    at[5] = RET;
}

static void ahead(void)
{
    unsigned got;
    asm volatile("movl $0x22222222, 1f+1(%%rip); 1: movl $0x11111111, %0" : "=a"(got) : : "memory");
    check("the very next instruction", got, 0x22222222);
    asm volatile("movl $0x44444444, 1f+1(%%rip); nop; nop; nop; nop; addl $1, %%ecx; jmp 1f; nop;"
                 "1: movl $0x33333333, %0"
                 : "=a"(got)
                 :
                 : "memory", "ecx", "cc");
    check("behind a jump", got, 0x44444444);
    asm volatile("movl $10, %%ecx; xorl %0, %0;"
                 "1: addl $1, 2f+1(%%rip); 2: addl $1000, %%eax; decl %%ecx; jnz 1b"
                 : "=a"(got)
                 :
                 : "memory", "ecx", "cc");
    check("an immediate rewritten in each turn of its loop", got, 10055);
    asm volatile("xorl %0, %0; movl $8, %%ecx; 1: incl %0; decl %%ecx; jnz 2f; jmp 3f;"
                 "2: movb $0x90, 1b(%%rip); movb $0x90, 1b+1(%%rip); jmp 1b; 3:"
                 : "=a"(got)
                 :
                 : "memory", "ecx", "cc");
    check("an instruction of its own loop replaced by nops", got, 1);
    asm volatile("movb $0x90, 1f(%%rip); movb $0x90, 1f+1(%%rip); xorl %0, %0; 1: incl %0; incl %0"
                 : "=a"(got)
                 :
                 : "memory", "cc");
    check("two stores ahead in the same block", got, 1);
    asm volatile("movl $3, %%ecx; xorl %%eax, %%eax; 1: addl $5, %%eax; push %%rax; "
                 "xorb $0x28, 1b+1(%%rip); pop %%rax; loop 1b"
                 : "=a"(got)
                 :
                 : "memory", "ecx", "cc");
    check("the loop head behind the store: add, sub, add", got, 5);
}

static void other_block(void)
{
    function f = (function)code;
    unsigned sum = 0, want = 0;
    put_function(code, 0);
    for (unsigned i = 1; i <= 1000; i++) {
        store32(code + 1, i);
        sum += f();
        want += i;
    }
    check("another page's function patched 1000 times", sum, want);
    for (unsigned i = 0; i < 4; i++) {
        put_function(code + 64 * i, i);
        ((function)(code + 64 * i))();
    }
    put_function(code + 64, 77);
    check("one of four functions in a page", ((function)(code + 64))(), 77);
    check("its neighbour", ((function)(code + 128))(), 2);
    /* jmp rel32 retargeted between two functions: chained blocks must follow */
    uint8_t *jump = code + 512;
    jump[0] = 0xe9;
    sum = 0;
    for (unsigned i = 0; i < 100; i++) {
        store32(jump + 1, (uint32_t)(code + 64 * (i & 3) - (jump + 5)));
        sum = sum * 3 + ((function)jump)();
    }
    want = 0;
    for (unsigned i = 0; i < 100; i++)
        want = want * 3 + ((i & 3) == 1 ? 77 : (i & 3));
    check("a jump retargeted 100 times", sum, want);
}

static void store_kinds(void)
{
    function f = (function)code;
    static uint8_t image[16];
    put_function(code, 1);
    f();
    put_function(image, 2);
    asm volatile("rep movsb" : : "S"(image), "D"(code), "c"(16) : "memory");
    check("rep movsb over code", f(), 2);
    put_function(image, 3);
    asm volatile("movups (%0), %%xmm0; movups %%xmm0, (%1)" : : "r"(image), "r"(code) : "memory");
    check("SSE store", f(), 3);
    asm volatile("lock addl $1, 1(%0)" : : "r"(code) : "memory", "cc");
    check("lock add", f(), 4);
    asm volatile("movl $5, %%eax; xchgl %%eax, 1(%0)" : : "r"(code) : "memory", "eax");
    check("xchg", f(), 5);
    asm volatile("movq %%rsp, %%rcx; leaq 9(%0), %%rsp; push $6; movq %%rcx, %%rsp"
                 :
                 : "r"(code)
                 : "memory", "rcx");
    code[5] = RET;
    check("push", f(), 6);
    put_function(code, 6);
    asm volatile("fildl %1; fistpl 1(%0)" : : "r"(code), "m"((uint32_t){ 7 }) : "memory");
    check("x87 store", f(), 7);
    asm volatile("movl $8, %%eax; movnti %%eax, 1(%0); sfence" : : "r"(code) : "memory", "eax");
    check("movnti", f(), 8);
    asm volatile("btsl $4, 1(%0)" : : "r"(code) : "memory", "cc");
    check("bts", f(), 24);
    asm volatile("movl $24, %%eax; movl $9, %%ecx; cmpxchgl %%ecx, 1(%0)"
                 :
                 : "r"(code)
                 : "memory", "eax", "ecx", "cc");
    check("cmpxchg", f(), 9);
    asm volatile("movl $10, %%eax; stosl" : : "D"(code + 1) : "memory", "eax");
    check("stosl", f(), 10);
    asm volatile("sgdt (%0)" : : "r"(code + 64) : "memory");
    check("sgdt into the code page", f(), 10);
    /* A store that begins in the page before. */
    uint8_t *page = code + PAGE_SIZE;
    put_function(page, 1);
    ((function)page)();
    *(volatile uint64_t *)(page - 4) = (uint64_t)(MOV_EAX | 11u << 8) << 32;
    check("a store across the page boundary into code", ((function)page)(), 11);
}

static void aliases(void)
{
    uint8_t *alias = (uint8_t *)WINDOW;
    map_page(WINDOW, (word)code, PTE_P | PTE_W);
    function f = (function)code, g = (function)alias;
    put_function(code, 1);
    check("through an alias: before", f() + g(), 2);
    store32(alias + 1, 2);
    check("written through the alias, run at the home address", f(), 2);
    store32(code + 1, 3);
    check("written at home, run at the alias", g(), 3);
    put_function(code + PAGE_SIZE, 50);
    map_page(WINDOW, (word)code + PAGE_SIZE, PTE_P | PTE_W);
    check("the alias remapped to another page", g(), 50);
    map_page(WINDOW, (word)code, PTE_P);
    check("and back, read-only", g(), 3);
    store32(code + 1, 4);
    check("written at home while the alias is read-only", g(), 4);
    map_page(WINDOW, (word)code, PTE_P | PTE_W);
    for (unsigned i = 0; i < 100; i++) {
        store32((i & 1 ? alias : code) + 1, i);
        if (f() != i || g() != i) {
            check("alternating writers", f() * 1000 + g(), i * 1001);
            return;
        }
    }
    check("alternating writers", 0, 0);
}

static void page_crossing(void)
{
    /* mov eax, imm32 with two bytes in the first page, ret in the second */
    uint8_t *first = page_alloc(), *second = page_alloc(), *third = page_alloc();
    map_page(WINDOW, (word)first, PTE_P | PTE_W);
    map_page(WINDOW + PAGE_SIZE, (word)second, PTE_P | PTE_W);
    uint8_t *at = (uint8_t *)WINDOW + PAGE_SIZE - 2;
    function f = (function)at;
    put_function(at, 0x12345678);
    check("an instruction across two pages", f(), 0x12345678);
    second[0] = 0x55;
    check("its second half changed", f(), 0x12345578);
    first[PAGE_SIZE - 1] = 0x99;
    check("its first half changed", f(), 0x12345599);
    memcpy(third, second, 16);
    third[1] = 0xab;
    map_page(WINDOW + PAGE_SIZE, (word)third, PTE_P | PTE_W);
    check("its second page remapped", f(), 0x12ab5599);
    map_page(WINDOW + PAGE_SIZE, 0, 0);
    TRY("8: call *%%rcx", "c"(at));
    fault_ip = (word)at;
    expect_pf("#PF: its second page is missing", PF_I, WINDOW + PAGE_SIZE);
    map_page(WINDOW + PAGE_SIZE, (word)second, PTE_P | PTE_W | PTE_NX);
    TRY("8: call *%%rcx", "c"(at));
    fault_ip = (word)at;
    expect_pf("#PF: its second page is NX", PF_P | PF_I, WINDOW + PAGE_SIZE);
    map_page(WINDOW + PAGE_SIZE, (word)second, PTE_P | PTE_W);
    check("its second page is back", f(), 0x12345599);
    /* a block that runs on into the next page, which then changes */
    memset(first + PAGE_SIZE - 8, 0x90, 8);
    put_function((uint8_t *)WINDOW + PAGE_SIZE, 5);
    function g = (function)(WINDOW + PAGE_SIZE - 8);
    check("straight code into the next page", g(), 5);
    store32(second + 1, 6);
    check("the next page changed", g(), 6);
    map_page(WINDOW + PAGE_SIZE, 0, 0);
    TRY("8: call *%%rcx", "c"(g));
    fault_ip = WINDOW + PAGE_SIZE;
    expect_pf("#PF: the next page is missing", PF_I, WINDOW + PAGE_SIZE);
    /* an invalid opcode whose length is decided on the first page needs no second page */
    first[PAGE_SIZE - 2] = 0x0f;
    first[PAGE_SIZE - 1] = 0x0b;
    TRY("8: call *%%rcx", "c"(at));
    fault_ip = (word)at;
    expect("#UD: ud2 at the end of a page, the next one missing", VECTOR_UD, 0);
    /* instructions longer than 15 bytes */
    memset(first, 0x66, 15);
    first[15] = 0x90;
    TRY("8: call *%%rcx", "c"(WINDOW));
    fault_ip = WINDOW;
    expect("#GP: an instruction of 16 bytes", VECTOR_GP, 0);
    memset(first, 0x66, 14);
    first[14] = 0x90;
    first[15] = RET;
    TRY("8: call *%%rcx", "c"(WINDOW));
    expect_none("an instruction of 15 bytes");
}

static void data_beside_code(void)
{
    unsigned sum;
    asm volatile("xorl %%eax, %%eax; movl $200000, %%ecx; jmp 1f; .balign 8; 2: .quad 0;"
                 "1: addl $1, 2b(%%rip); addl 2b(%%rip), %%eax; decl %%ecx; jnz 1b"
                 : "=a"(sum)
                 :
                 : "ecx", "memory", "cc");
    check("a counter between instructions, 200000 stores", sum, (uint32_t)(200000ull * 200001 / 2));
    /* A stack in the page that runs. */
    asm volatile(
        "movq %%rsp, %%rdx; leaq 3f(%%rip), %%rsp; xorl %%eax, %%eax; movl $20000, %%ecx;"
        "1: push %%rcx; addq (%%rsp), %%rax; call 2f; pop %%rbx; decl %%ecx; jnz 1b; jmp 4f;"
        "2: addl $1, %%eax; ret; .skip 64; 3: .quad 0; 4: movq %%rdx, %%rsp"
        : "=a"(sum)
        :
        : "rbx", "rcx", "rdx", "memory", "cc");
    check("a stack between instructions", sum, (uint32_t)(20000ull * 20001 / 2 + 20000));
}

asm(".text\n user_smc: leaq 1f(%rip), %rbx; movl $7, 1(%rbx); 1: movl $1, %eax; addl %eax, %ecx;"
    "cmpl $8, %ecx; jae 2f; incl 1(%rbx); jmp 1b; 2: int3\n");
extern char user_smc[];

void guest_main(void)
{
    code = pages_alloc(2);
    ahead();
    other_block();
    store_kinds();
    aliases();
    page_crossing();
    data_beside_code();
    struct user_start start = { .ip = (word)USER_ADDRESS(user_smc),
                                .sp = (word)USER_ADDRESS(user_stack_top),
                                .flags = 2,
                                .cs = USER_CODE,
                                .ss = USER_DATA };
    enter_user(&start);
    check("self-modifying code at CPL 3", trap.ax << 8 | trap.cx, 8 << 8 | 15);
}
