/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frame every small guest stands in.
 *
 * How to write a guest: a C file with guest_main(), listed in ../meson.build. It starts in 32-bit
 * protected mode without paging (guests built with -m32) or in 64-bit mode (-m64), with a GDT, an
 * IDT and a TSS in place and interrupts off, and reports each case by one call of check() or
 * expect():
 *
 *     TRY("8: ud2");                          runs the code; label 8 is where the saved RIP shall
 * point expect("ud2", VECTOR_UD, 0);            vector, error code and saved RIP, in one TAP line
 *
 * Expectations come from the manuals, whose section the case names; the other witness is KVM, on
 * which the same guests run.
 *
 * 64-bit guests: physical memory is mapped at 0 (supervisor, 4 GiB) and again at USER_BASE (user,
 * the first GiB), so any function or variable has an address that CPL 3 may use. */
#ifndef YADO_GUEST_H
#define YADO_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned long word; /* a register: 32 or 64 bits */

enum vector {
    VECTOR_DE,
    VECTOR_DB,
    VECTOR_NMI,
    VECTOR_BP,
    VECTOR_OF,
    VECTOR_BR,
    VECTOR_UD,
    VECTOR_NM,
    VECTOR_DF,
    VECTOR_TS = 10,
    VECTOR_NP,
    VECTOR_SS,
    VECTOR_GP,
    VECTOR_PF,
    VECTOR_MF = 16,
    VECTOR_AC,
    VECTOR_MC,
    VECTOR_XM,
    VECTOR_NONE = 0x1ff, /* nothing happened */
};

#define FLAG_CF (1u << 0)
#define FLAG_PF (1u << 2)
#define FLAG_ZF (1u << 6)
#define FLAG_TF (1u << 8)
#define FLAG_IF (1u << 9)
#define FLAG_IOPL (3u << 12)
#define FLAG_NT (1u << 14)
#define FLAG_RF (1u << 16)
#define FLAG_VM (1u << 17)
#define FLAG_AC (1u << 18)
#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_PG (1u << 31)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define MSR_APIC_BASE 0x1b
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)
#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_U 4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_G 0x100ull
#define PTE_NX (1ull << 63)
#define PF_P 1 /* #PF error code */
#define PF_W 2
#define PF_U 4
#define PF_RSVD 8
#define PF_I 16

/* Selectors. Order after USER_CODE32 is what SYSRET asks for (SDM vol. 2, SYSRET). */
#define KERNEL_CODE32 0x08
#define KERNEL_DATA 0x10
#define KERNEL_CODE64 0x18
#define USER_CODE32 0x23
#define USER_DATA 0x2b
#define USER_CODE64 0x33
#define TSS_SELECTOR 0x38  /* two slots in 64-bit mode */
#define FREE_SELECTOR 0x50 /* from here to GDT_ENTRIES for the guest's own descriptors */
#define GDT_ENTRIES 64
#define KERNEL_CODE (sizeof(word) == 8 ? KERNEL_CODE64 : KERNEL_CODE32)
#define USER_CODE (sizeof(word) == 8 ? USER_CODE64 : USER_CODE32)
#define USER_BASE 0x8000000000ull
#define USER_ADDRESS(p) ((void *)((word)(p) + (sizeof(word) == 8 ? (word)USER_BASE : 0)))
#define PAGE_SIZE 4096u

/* What an exception or interrupt leaves on the stack; the order is that of the pushes in
 * traps.S. */
struct frame {
#ifdef __x86_64__
    word r15, r14, r13, r12, r11, r10, r9, r8;
#endif
    word di, si, bp, unused_sp, bx, dx, cx, ax;
    word vector, error;
    word ip, cs, flags;
    word sp, ss;         /* 32-bit: only if the privilege level changed */
    word es, ds, fs, gs; /* only from V86 mode */
};

/* The last exception taken inside TRY() or run_user(). */
extern struct trap {
    word vector, error, ip, cs, flags, sp, ss, cr2, dr6;
    word ax, bx, cx, dx;
} trap;
extern word resume_ip, resume_sp, fault_ip;
extern uint64_t gdt[GDT_ENTRIES];
extern char kernel_stack_top[];
extern void (*handlers[256])(
    struct frame *frame); /* called instead of recording; may edit the frame */

#ifdef __x86_64__
#define MOV_WORD "movq"
#define SP_NAME "%%rsp"
#else
#define MOV_WORD "movl"
#define SP_NAME "%%esp"
#endif

/* Runs assembly that is expected to fault; goes on after it. Label 8 marks the expected saved RIP.
 * The code may spoil ax, cx, dx and the stack pointer; inputs follow the template. */
#define TRY(code, ...) \
    do { \
        word spoilt_; \
        asm volatile(MOV_WORD " $0x1ff, trap\n\t" MOV_WORD " $9f, resume_ip\n\t" MOV_WORD \
                              " " SP_NAME ", resume_sp\n\t" MOV_WORD " $8f, fault_ip\n\t" code \
                              "\n9:\t" MOV_WORD " $0, resume_ip" \
                     : "=a"(spoilt_), "=c"(spoilt_), "=d"(spoilt_) \
                     : __VA_ARGS__ \
                     : "memory", "cc"); \
    } while (0)

/* One TAP line each. */
void check(const char *name, uint64_t got, uint64_t want);
void expect(const char *name, enum vector vector,
            word error);                                    /* of the last TRY(), with saved RIP */
void expect_pf(const char *name, word error, word address); /* the same for #PF, with CR2 */
void expect_none(const char *name);
void expect_user(const char *name, enum vector vector, word error, const void *ip);
void skip(const char *name, const char *reason);

void print(const char *format, ...); /* %s %c %d %u %x (word) %X (uint64_t) */
_Noreturn void finish(void);         /* plan line, then leaves the machine by isa-debug-exit */
_Noreturn void die(const char *why);
void guest_main(void);

/* Enters CPL 3 at `entry` (an address CPL 3 may fetch from) and returns at the next exception or
 * interrupt without handler, recorded in `trap`. User code starts with the registers below,
 * DS=ES=SS flat, RFLAGS as given with bit 1. */
struct user_start {
    word ip, sp, flags, cs, ss, ax, bx, cx, dx;
};
void enter_user(const struct user_start *start);
void run_user(const void *entry); /* the common case; a stack is provided */
extern char user_stack_top[];

void gdt_set(unsigned selector, uint32_t base, uint32_t limit, unsigned attributes);
void gate_set(unsigned vector, const void *entry, unsigned selector, unsigned type_dpl,
              unsigned ist);
void *page_alloc(void);         /* zeroed, identity mapped, never freed */
void *pages_alloc(unsigned n);  /* the same, consecutive */
uint64_t *pte_of(word address); /* 64-bit frame tables: splits to 4 KiB and returns the entry */
void map_page(word address, uint64_t physical, uint64_t flags); /* 4 KiB, in the frame's tables */

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
bool string_equal(const char *a, const char *b);

static inline void outb(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void outl(uint16_t port, uint32_t value)
{
    asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    asm volatile("cpuid"
                 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                 : "a"(leaf), "c"(subleaf));
}
/* One CPUID bit; index 0-3 is eax, ebx, ecx, edx. False for leaves beyond the last. */
static inline bool has_cpuid(uint32_t leaf, uint32_t subleaf, unsigned index, unsigned bit)
{
    uint32_t r[4];
    cpuid(leaf & 0x80000000u, 0, r);
    if (leaf > r[0])
        return false;
    cpuid(leaf, subleaf, r);
    return r[index] >> bit & 1;
}
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}
static inline void wrmsr(uint32_t msr, uint64_t value)
{
    asm volatile("wrmsr"
                 :
                 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                 : "memory");
}
static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t)high << 32;
}
#define REGISTER_ACCESS(name) \
    static inline word read_##name(void) \
    { \
        word value; \
        asm volatile("mov %%" #name ", %0" : "=r"(value)); \
        return value; \
    } \
    static inline void write_##name(word value) \
    { \
        asm volatile("mov %0, %%" #name : : "r"(value) : "memory"); \
    }
REGISTER_ACCESS(cr0)
REGISTER_ACCESS(cr2)
REGISTER_ACCESS(cr3)
REGISTER_ACCESS(cr4)
REGISTER_ACCESS(dr0)
REGISTER_ACCESS(dr1)
REGISTER_ACCESS(dr2)
REGISTER_ACCESS(dr3)
REGISTER_ACCESS(dr6)
REGISTER_ACCESS(dr7)
#ifdef __x86_64__
REGISTER_ACCESS(cr8)
#endif
static inline void invlpg(word address)
{
    asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}
static inline word read_flags(void)
{
    word flags;
    asm volatile("pushf; pop %0" : "=r"(flags));
    return flags;
}
static inline void write_flags(word flags)
{
    asm volatile("push %0; popf" : : "r"(flags) : "cc", "memory");
}
static inline uint32_t load32(const volatile void *p)
{
    return *(const volatile uint32_t *)p;
}
static inline void store32(volatile void *p, uint32_t value)
{
    *(volatile uint32_t *)p = value;
}

#endif
