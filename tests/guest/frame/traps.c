/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables, exceptions, pages: what guests share beneath their cases. */
#include "guest.h"

struct trap trap;
word resume_ip, resume_sp, fault_ip, back_ip;
void (*handlers[256])(struct frame *frame);
extern char trap_entries[], guest_end[];

#ifdef __x86_64__
struct gate {
    uint16_t offset0, selector;
    uint8_t ist, type_dpl;
    uint16_t offset1;
    uint32_t offset2, zero;
};
#else
struct gate {
    uint16_t offset0, selector;
    uint8_t ist, type_dpl;
    uint16_t offset1;
};
#endif
struct gate idt[256] __attribute__((aligned(16)));

/* SDM vol. 3, 8.2.1 and 8.7: 104 bytes both ways; 64-bit keeps RSP0 at 4, IST1 at 36. */
uint32_t tss[26 + 2] __attribute__((aligned(16)));
static char ist_stack[8192] __attribute__((aligned(16)));
static char *next_page;

void gdt_set(unsigned selector, uint32_t base, uint32_t limit, unsigned attributes)
{
    /* `attributes`: descriptor bits 40-47 in 0-7, bits 52-55 in 8-11. */
    gdt[selector / 8] = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16
                        | (uint64_t)(attributes & 0xff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48
                        | (uint64_t)(attributes >> 8 & 0xf) << 52 | (uint64_t)(base >> 24) << 56;
}

void gate_set(unsigned vector, const void *entry, unsigned selector, unsigned type_dpl,
              unsigned ist)
{
    word offset = (word)entry;
    struct gate gate = { .offset0 = offset,
                         .selector = selector,
                         .ist = ist,
                         .type_dpl = type_dpl,
                         .offset1 = offset >> 16 };
#ifdef __x86_64__
    gate.offset2 = offset >> 32;
#endif
    idt[vector] = gate;
}

void frame_init(void);
void frame_init(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        word base;
    } idt_pointer = { sizeof(idt) - 1, (word)idt };

    next_page = guest_end;
    for (unsigned i = 0; i < 256; i++)
        gate_set(i, trap_entries + 16 * i, KERNEL_CODE,
                 i == VECTOR_BP || i == VECTOR_OF ? 0xee : 0x8e, i == VECTOR_DF ? 1 : 0);
    asm volatile("lidt %0" : : "m"(idt_pointer));
    if (sizeof(word) == 4)
        tss[2] = KERNEL_DATA;
    else
        tss[9] = (word)(ist_stack + sizeof(ist_stack));
    tss[25] = 104u << 16; /* I/O map beyond the limit: no port for CPL 3 */
    gdt_set(TSS_SELECTOR, (word)tss, 103, 0x89);
    asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void trap_handler(struct frame *frame);
void trap_handler(struct frame *frame)
{
    if (handlers[frame->vector & 0xff]) {
        handlers[frame->vector & 0xff](frame);
        return;
    }
    bool outer = sizeof(word) == 8 || (frame->cs & 3) || (frame->flags & FLAG_VM);
    trap = (struct trap){ .vector = frame->vector,
                          .error = frame->error,
                          .ip = frame->ip,
                          .cs = frame->cs,
                          .flags = frame->flags,
                          .sp = outer ? frame->sp : 0,
                          .ss = outer ? frame->ss : 0,
                          .cr2 = read_cr2(),
                          .dr6 = read_dr6(),
                          .ax = frame->ax,
                          .bx = frame->bx,
                          .cx = frame->cx,
                          .dx = frame->dx };
    if (!resume_ip) {
        print("Bail out! exception %u error %x at %x:%x flags %x sp %x cr2 %x\n", frame->vector,
              frame->error, frame->cs, frame->ip, frame->flags, trap.sp, trap.cr2);
        die("nobody expected an exception");
    }
    word ip = resume_ip;
    resume_ip = 0;
    /* Back to where TRY() or enter_user() waits, whatever mode the exception came from. */
#ifdef __x86_64__
    frame->ip = ip;
    frame->cs = KERNEL_CODE64;
    frame->ss = 0;
    frame->sp = resume_sp;
    frame->flags = 2;
#else
    back_ip = ip;
    asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; movl %1, %%esp; push $2; popf; popal;"
                 "movl resume_sp, %%esp; jmp *back_ip"
                 :
                 : "r"(KERNEL_DATA), "r"(frame));
#endif
}

void run_user(const void *entry)
{
    struct user_start start = { .ip = (word)USER_ADDRESS(entry),
                                .sp = (word)USER_ADDRESS(user_stack_top),
                                .flags = 2,
                                .cs = USER_CODE,
                                .ss = USER_DATA };
    enter_user(&start);
}

void *pages_alloc(unsigned n)
{
    void *pages = next_page;
    next_page += n * PAGE_SIZE;
    return memset(pages, 0, n * PAGE_SIZE);
}

void *page_alloc(void)
{
    return pages_alloc(1);
}

#ifdef __x86_64__
uint64_t *pte_of(word address)
{
    uint64_t *table = (uint64_t *)(read_cr3() & ~0xfffull);
    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint64_t *entry = &table[address >> shift & 511];
        if (!(*entry & PTE_P)) {
            *entry = (word)page_alloc() | PTE_P | PTE_W | PTE_U;
        } else if (*entry & PTE_PS) {
            uint64_t *split = page_alloc(), large = *entry;
            for (unsigned i = 0; i < 512; i++)
                split[i] = shift > 21 ? large + ((uint64_t)i << (shift - 9))
                                      : (large & ~PTE_PS) + ((uint64_t)i << 12);
            *entry = (word)split | PTE_P | PTE_W | PTE_U;
            write_cr3(read_cr3());
        }
        table = (uint64_t *)(*entry & 0xffffffffff000ull);
    }
    return &table[address >> 12 & 511];
}

void map_page(word address, uint64_t physical, uint64_t flags)
{
    *(volatile uint64_t *)pte_of(address) = physical | flags;
    invlpg(address);
}
#endif
