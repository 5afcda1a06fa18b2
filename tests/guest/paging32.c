/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paging outside long mode: 32-bit with 4 KiB and 4 MiB pages, PSE-36, and PAE with NX
 * (SDM vol. 3, 4.3 and 4.4). */
#include "guest.h"

#define WINDOW 0x40000000u

static uint32_t *directory, *table;
static uint8_t *page_a, *page_b;

static void set_pte(uint32_t value)
{
    *(volatile uint32_t *)&table[0] = value;
    invlpg(WINDOW);
}

static void paging_off(void)
{
    write_cr0(read_cr0() & ~(CR0_PG | CR0_WP));
    write_cr4(read_cr4() & ~(CR4_PSE | CR4_PAE | CR4_PGE));
}

static void small_pages(void)
{
    /* Identity 4 KiB mapping of the first 16 MiB, user allowed; the window is entry 256. */
    directory = page_alloc();
    for (unsigned i = 0; i < 4; i++) {
        uint32_t *identity = page_alloc();
        for (unsigned j = 0; j < 1024; j++)
            identity[j] = (i << 22 | j << 12) | 7;
        directory[i] = (word)identity | 7;
    }
    table = page_alloc();
    directory[WINDOW >> 22] = (word)table | 7;
    write_cr3((word)directory);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
    check("32-bit paging is on", read_cr0() >> 31, 1);
    set_pte((word)page_a | PTE_P | PTE_W);
    check("4K: load", load32((void *)WINDOW), 0xaaaaaaaa);
    check("4K: A", table[0] & (PTE_A | PTE_D), PTE_A);
    store32((void *)(WINDOW + 4), 0x1234);
    check("4K: store", load32(page_a + 4), 0x1234);
    check("4K: D", table[0] & (PTE_A | PTE_D), PTE_A | PTE_D);
    check("4K: A in the directory", directory[WINDOW >> 22] & PTE_A, PTE_A);
    set_pte((word)page_b | PTE_P);
    check("4K: remapped", load32((void *)WINDOW), 0xbbbbbbbb);
    TRY("8: movl %%eax, (%%ecx)", "c"(WINDOW));
    expect_pf("#PF: store to a read-only page", PF_P | PF_W, WINDOW);
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW + 0x5000));
    expect_pf("#PF: load of a page not present", 0, WINDOW + 0x5000);
    TRY("8: movl (%%ecx), %%eax", "c"(0xc0000000));
    expect_pf("#PF: no directory entry", 0, 0xc0000000);
    TRY("8: movl %%eax, (%%ecx)", "c"(WINDOW + 0xffe));
    expect_pf("#PF: crossing store, first page read-only", PF_P | PF_W, WINDOW + 0xffe);
    write_cr0(read_cr0() & ~CR0_WP);
    TRY("8: movl %%eax, (%%ecx)", "c"(WINDOW + 8), "a"(5));
    expect_none("CR0.WP clear");
    write_cr0(read_cr0() | CR0_WP);
    TRY("8: jmp *%%ecx", "c"(WINDOW + 0x5000));
    fault_ip = WINDOW + 0x5000;
    expect_pf("#PF: fetch sets no I bit here", 0, WINDOW + 0x5000);
}

asm(".text\n user_load: movl $0x40000000, %ecx; user_load_fault: movl (%ecx), %eax; int3\n"
    "user_store: movl $0x40000000, %ecx; user_store_fault: movl %eax, 16(%ecx); int3\n");
extern char user_load[], user_load_fault[], user_store[], user_store_fault[];

static void user_pages(void)
{
    set_pte((word)page_a | PTE_P | PTE_W | PTE_U);
    run_user(user_load);
    check("user load", trap.vector, VECTOR_BP);
    set_pte((word)page_a | PTE_P | PTE_U);
    run_user(user_store);
    expect_user("#PF: user store to a read-only page", VECTOR_PF, PF_P | PF_W | PF_U,
                user_store_fault);
    set_pte((word)page_a | PTE_P | PTE_W);
    run_user(user_load);
    expect_user("#PF: user load of a supervisor page", VECTOR_PF, PF_P | PF_U, user_load_fault);
    directory[WINDOW >> 22] &= ~PTE_U;
    set_pte((word)page_a | PTE_P | PTE_W | PTE_U);
    run_user(user_load);
    expect_user("#PF: U is the AND of both levels", VECTOR_PF, PF_P | PF_U, user_load_fault);
    directory[WINDOW >> 22] |= PTE_U;
    invlpg(WINDOW);
}

static void large_pages(void)
{
    volatile uint32_t *entry = &directory[(WINDOW >> 22) + 1];
    uint8_t *window = (uint8_t *)WINDOW + 0x400000;
    if (!has_cpuid(1, 0, 3, 3)) {
        skip("4M", "CPUID offers no PSE");
        return;
    }
    write_cr4(read_cr4() | CR4_PSE);
    store32((void *)0x812344, 0x5ca1ab1e);
    *entry = 0x800000 | PTE_P | PTE_W | PTE_PS;
    invlpg((word)window);
    check("4M: load", load32(window + 0x12344), 0x5ca1ab1e);
    check("4M: A", *entry & (PTE_A | PTE_D), PTE_A);
    store32(window + 0x12344, 1);
    check("4M: store and D", load32((void *)0x812344) << 8 | (*entry & (PTE_A | PTE_D)),
          1 << 8 | PTE_A | PTE_D);
    *entry = 0x800000 | PTE_P | PTE_W | PTE_PS | 1u << 21;
    invlpg((word)window);
    TRY("8: movl (%%ecx), %%eax", "c"(window));
    expect_pf("#PF: 4M: bit 21 is reserved", PF_P | PF_RSVD, (word)window);
    if (has_cpuid(1, 0, 3, 17)) {
        /* bits 32-39 of the address are bits 13-20 of the entry; nothing is there: reads as ones */
        *entry = 0 | PTE_P | PTE_W | PTE_PS | 8u << 13;
        invlpg((word)window);
        store32((void *)0x3000, 0x13572468);
        check("PSE-36: not the low page", load32(window + 0x3000) != 0x13572468, true);
    }
    write_cr4(read_cr4() & ~CR4_PSE);
    *entry = (word)table | PTE_P | PTE_W | PTE_PS;
    write_cr3(read_cr3());
    set_pte((word)page_b | PTE_P | PTE_W);
    check("CR4.PSE clear: PS is ignored", load32(window), 0xbbbbbbbb);
    *entry = 0;
    paging_off();
    check("paging off: the window is plain address space again",
          load32((void *)(word)(page_a)) == 0xaaaaaaaa && !(read_cr0() & CR0_PG), true);
}

static uint64_t *pdpt, *window_pd, *window_pt;

static void pae(void)
{
    pdpt = page_alloc();
    uint64_t *pd = page_alloc();
    window_pd = page_alloc();
    window_pt = page_alloc();
    for (unsigned i = 0; i < 16; i++)
        pd[i] = (uint64_t)i << 21 | 0x87;
    pdpt[0] = (word)pd | 1;
    pdpt[1] = (word)window_pd | 1;
    window_pd[0] = (word)window_pt | 7;
    window_pt[0] = (word)page_a | 3;
    write_cr4(read_cr4() | CR4_PAE);
    pdpt[2] = 1ull << 1 | 1; /* bit 1 is reserved in a PDPTE */
    write_cr3((word)pdpt);
    TRY("8: movl %%ecx, %%cr0", "c"(read_cr0() | CR0_PG | CR0_WP));
    expect("#GP: enabling PAE paging with a bad PDPTE", VECTOR_GP, 0);
    pdpt[2] = 0;
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
    volatile uint64_t *pte = &window_pt[0];
    check("PAE: load", load32((void *)WINDOW), 0xaaaaaaaa);
    check("PAE: A", *pte & (PTE_A | PTE_D), PTE_A);
    store32((void *)(WINDOW + 12), 9);
    check("PAE: D", *pte & (PTE_A | PTE_D), PTE_A | PTE_D);
    *pte = (word)page_a | 3 | 1ull << 51;
    invlpg(WINDOW);
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW));
    expect_pf("#PF: PAE: reserved address bit", PF_P | PF_RSVD, WINDOW);
    *pte = (word)page_a | 3 | 1ull << 52;
    invlpg(WINDOW);
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW));
    expect_pf("#PF: PAE: bit 52", PF_P | PF_RSVD, WINDOW);
    *pte = (word)page_a | 3 | PTE_NX;
    invlpg(WINDOW);
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW));
    expect_pf("#PF: PAE: NX with EFER.NXE clear", PF_P | PF_RSVD, WINDOW);
    if (has_cpuid(0x80000001, 0, 3, 20)) {
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
        TRY("8: movl (%%ecx), %%eax", "c"(WINDOW));
        expect_none("PAE: NX page can be read");
        TRY("8: jmp *%%ecx", "c"(WINDOW + 32));
        fault_ip = WINDOW + 32;
        expect_pf("#PF: PAE: execute an NX page", PF_P | PF_I, WINDOW + 32);
    }
    /* PDPTEs are loaded with CR3, later changes do not count (SDM vol. 3, 4.4.1) */
    *pte = (word)page_a | 3;
    *(volatile uint64_t *)&pdpt[1] = 0;
    invlpg(WINDOW);
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW));
    expect_none("PAE: PDPTE change waits for CR3");
    write_cr3(read_cr3());
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW));
    expect_pf("#PF: PAE: PDPTE change after CR3 load", 0, WINDOW);
    pdpt[1] = (word)window_pd | 1 | 1ull << 63;
    TRY("8: movl %%ecx, %%cr3", "c"(pdpt));
    expect("#GP: CR3 load with a reserved PDPTE bit", VECTOR_GP, 0);
    pdpt[1] = (word)window_pd | 1;
    write_cr3((word)pdpt);
    check("PAE: window again", load32((void *)WINDOW), 0xaaaaaaaa);
    window_pd[1] = 0x800000 | PTE_P | PTE_W | PTE_PS;
    store32((void *)0x800100, 0x2468ace0);
    check("PAE: 2M", load32((void *)(WINDOW + 0x200100)), 0x2468ace0);
    window_pd[2] = 0x800000 | PTE_P | PTE_W | PTE_PS | 1u << 14;
    TRY("8: movl (%%ecx), %%eax", "c"(WINDOW + 0x400000));
    expect_pf("#PF: PAE: 2M with a reserved bit", PF_P | PF_RSVD, WINDOW + 0x400000);
    run_user(user_load);
    expect_user("#PF: PAE: user load of a supervisor page", VECTOR_PF, PF_P | PF_U,
                user_load_fault);
    paging_off();
}

void guest_main(void)
{
    page_a = page_alloc();
    page_b = page_alloc();
    store32(page_a, 0xaaaaaaaa);
    store32(page_b, 0xbbbbbbbb);
    small_pages();
    user_pages();
    large_pages();
    pae();
}
