/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 4-level paging: page sizes, accessed and dirty bits, every right, reserved bits, and when a
 * cached translation may still be used (SDM vol. 3, 4.5-4.10). */
#include "guest.h"

#define WINDOW 0x5000000000ull /* virtual addresses the cases map for themselves: PML4 slot 0 */
#define CR3_KEEP (1ull << 63)  /* SDM vol. 3, 4.10.4.1: with PCIDs, do not invalidate */

static uint64_t *pml4e, *pdpte, *pde, *pte; /* of WINDOW, in tables of our own */
static uint8_t *page_a, *page_b;

static void window_init(void)
{
    uint64_t *pml4 = (uint64_t *)read_cr3();
    uint64_t *pd = page_alloc(), *pt = page_alloc();
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xfffull);
    pml4e = &pml4[0];
    pdpte = &pdpt[WINDOW >> 30 & 511];
    pde = &pd[0];
    pte = &pt[0];
    *pdpte = (word)pd | 7;
    *pde = (word)pt | 7;
    page_a = page_alloc();
    page_b = page_alloc();
    store32(page_a, 0xaaaaaaaa);
    store32(page_b, 0xbbbbbbbb);
    /* the PML4 entry itself must allow user access for the U/S cases */
    *pml4e |= PTE_U;
}

static void set_pte(uint64_t value)
{
    *(volatile uint64_t *)pte = value;
    invlpg(WINDOW);
}

static void accessed_dirty(void)
{
    *pdpte &= ~PTE_A;
    *pde &= ~PTE_A;
    set_pte((word)page_a | PTE_P | PTE_W);
    check("A/D: entry untouched before use", *(volatile uint64_t *)pte & (PTE_A | PTE_D), 0);
    check("4K: load through the window", load32((void *)WINDOW), 0xaaaaaaaa);
    check("A/D: load sets A only", *(volatile uint64_t *)pte & (PTE_A | PTE_D), PTE_A);
    check("A/D: A in the directory", *(volatile uint64_t *)pde & (PTE_A | PTE_D), PTE_A);
    check("A/D: A in the pointer table", *(volatile uint64_t *)pdpte & (PTE_A | PTE_D), PTE_A);
    store32((void *)(WINDOW + 4), 1);
    check("A/D: store after a cached load sets D", *(volatile uint64_t *)pte & (PTE_A | PTE_D),
          PTE_A | PTE_D);
    check("A/D: no D in the directory", *(volatile uint64_t *)pde & PTE_D, 0);
    set_pte((word)page_a | PTE_P);
    TRY("8: movl %%eax, (%%rcx)", "c"(WINDOW));
    expect_pf("#PF: store to a read-only page with WP", PF_P | PF_W, WINDOW);
    check("A/D: no D after a refused store", *(volatile uint64_t *)pte & PTE_D, 0);
    set_pte((word)page_a | PTE_P | PTE_W);
    TRY("movl $1, %%eax; 8: lock xaddl %%eax, 4(%%rcx)", "c"(WINDOW));
    check("A/D: locked access sets D", *(volatile uint64_t *)pte & PTE_D, PTE_D);
    check("4K: locked access through the window", load32(page_a + 4), 2);
    set_pte((word)page_a | PTE_P | PTE_W);
    asm volatile("movl $0xbbbbbbbb, %%eax; lock cmpxchgl %%ecx, (%0)"
                 :
                 : "r"(WINDOW)
                 : "eax", "memory");
    check("A/D: failed cmpxchg sets A", *(volatile uint64_t *)pte & PTE_A, PTE_A);
}

static void write_protect(void)
{
    write_cr0(read_cr0() & ~CR0_WP);
    set_pte((word)page_a | PTE_P);
    TRY("8: movl %%eax, (%%rcx)", "c"(WINDOW), "a"(0xaaaaaaab));
    expect_none("CR0.WP clear: supervisor writes a read-only page");
    check("CR0.WP clear: the store arrived", load32(page_a), 0xaaaaaaab);
    check("CR0.WP clear: D is set", *(volatile uint64_t *)pte & PTE_D, PTE_D);
    write_cr0(read_cr0() | CR0_WP);
    TRY("8: movl %%eax, (%%rcx)", "c"(WINDOW));
    expect_pf("CR0.WP set again applies to the cached page", PF_P | PF_W, WINDOW);
    store32(page_a, 0xaaaaaaaa);
    *pde &= ~PTE_W;
    set_pte((word)page_a | PTE_P | PTE_W);
    TRY("8: movl %%eax, (%%rcx)", "c"(WINDOW));
    expect_pf("W is the AND of all levels", PF_P | PF_W, WINDOW);
    *pde |= PTE_W;
    invlpg(WINDOW);
}

static void no_execute(void)
{
    page_b[16] = 0xc3; /* ret */
    set_pte((word)page_b | PTE_P | PTE_W);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    expect_none("execute a page without NX");
    set_pte((word)page_b | PTE_P | PTE_W | PTE_NX);
    TRY("leaq 1f(%%rip), %%rax; 8: call *%%rcx; 1:", "c"(WINDOW + 16));
    fault_ip = WINDOW + 16;
    expect_pf("#PF: execute an NX page", PF_P | PF_I, WINDOW + 16);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_none("an NX page can be read");
    set_pte((word)page_b | PTE_P | PTE_W);
    *pde |= PTE_NX;
    invlpg(WINDOW);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    fault_ip = WINDOW + 16;
    expect_pf("#PF: NX in the directory", PF_P | PF_I, WINDOW + 16);
    *pde &= ~PTE_NX;
    set_pte(0);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    fault_ip = WINDOW + 16;
    expect_pf("#PF: fetch from a page not present", PF_I, WINDOW + 16);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_NXE);
    set_pte((word)page_b | PTE_P | PTE_W | PTE_NX);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("#PF: NX is reserved with EFER.NXE clear", PF_P | PF_RSVD, WINDOW);
    set_pte((word)page_b | PTE_P | PTE_W);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    expect_none("execute with EFER.NXE clear");
    set_pte(0);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    fault_ip = WINDOW + 16;
    expect_pf("#PF: no I bit with EFER.NXE clear", 0, WINDOW + 16);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
}

static void user_supervisor(void)
{
    static const char *const smap = "CPUID offers no SMAP", *const smep = "CPUID offers no SMEP";
    page_b[16] = 0xc3;
    set_pte((word)page_b | PTE_P | PTE_W | PTE_U);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    expect_none("supervisor executes a user page without SMEP");
    if (has_cpuid(7, 0, 1, 7)) {
        write_cr4(read_cr4() | CR4_SMEP);
        TRY("8: call *%%rcx", "c"(WINDOW + 16));
        fault_ip = WINDOW + 16;
        expect_pf("#PF: SMEP", PF_P | PF_I, WINDOW + 16);
        TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
        expect_none("SMEP lets supervisor read user pages");
        write_cr4(read_cr4() & ~CR4_SMEP);
        TRY("8: call *%%rcx", "c"(WINDOW + 16));
        expect_none("SMEP off again");
    } else {
        skip("#PF: SMEP", smep);
    }
    if (!has_cpuid(7, 0, 1, 20)) {
        skip("#PF: SMAP", smap);
        return;
    }
    write_cr4(read_cr4() | CR4_SMAP);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("#PF: SMAP load", PF_P, WINDOW);
    TRY("8: movl %%eax, (%%rcx)", "c"(WINDOW + 32));
    expect_pf("#PF: SMAP store", PF_P | PF_W, WINDOW + 32);
    TRY("stac; 8: movl (%%rcx), %%eax; movl %%eax, 32(%%rcx); clac", "c"(WINDOW));
    expect_none("SMAP: stac allows");
    TRY("stac; clac; 8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("#PF: SMAP after clac", PF_P, WINDOW);
    write_flags(read_flags() | FLAG_AC);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_none("SMAP: popf with AC allows");
    write_flags(read_flags() & ~FLAG_AC);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("#PF: SMAP after popf without AC", PF_P, WINDOW);
    TRY("8: call *%%rcx", "c"(WINDOW + 16));
    expect_none("SMAP does not concern fetches");
    write_cr4(read_cr4() & ~CR4_SMAP);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_none("SMAP off again");
}

asm(".text\n user_touch: movabsq $0x5000000000, %rcx; user_load_fault: movl (%rcx), %eax; int3;"
    "user_store: movabsq $0x5000000000, %rcx; user_store_fault: movl %eax, 64(%rcx); int3;"
    "user_fetch: movabsq $0x5000000010, %rcx; call *%rcx; int3\n");
extern char user_touch[], user_load_fault[], user_store[], user_store_fault[], user_fetch[];

static void user_rights(void)
{
    set_pte((word)page_b | PTE_P | PTE_W | PTE_U);
    run_user(user_touch);
    check("user loads a user page", trap.vector, VECTOR_BP);
    run_user(user_store);
    check("user stores to a user page", trap.vector, VECTOR_BP);
    run_user(user_fetch);
    check("user executes a user page", trap.vector, VECTOR_BP);
    set_pte((word)page_b | PTE_P | PTE_U);
    run_user(user_store);
    expect_user("#PF: user store to a read-only page", VECTOR_PF, PF_P | PF_W | PF_U,
                user_store_fault);
    write_cr0(read_cr0() & ~CR0_WP);
    run_user(user_store);
    expect_user("#PF: the same with CR0.WP clear", VECTOR_PF, PF_P | PF_W | PF_U, user_store_fault);
    write_cr0(read_cr0() | CR0_WP);
    set_pte((word)page_b | PTE_P | PTE_W);
    check("supervisor loads its page", load32((void *)WINDOW), 0xbbbbbbbb);
    run_user(user_touch);
    expect_user("#PF: user load right after a supervisor load", VECTOR_PF, PF_P | PF_U,
                user_load_fault);
    *pdpte &= ~PTE_U;
    set_pte((word)page_b | PTE_P | PTE_W | PTE_U);
    run_user(user_touch);
    expect_user("#PF: U is the AND of all levels", VECTOR_PF, PF_P | PF_U, user_load_fault);
    *pdpte |= PTE_U;
    set_pte((word)page_b | PTE_P | PTE_W | PTE_U | PTE_NX);
    run_user(user_fetch);
    check("#PF: user executes an NX page", trap.error, PF_P | PF_U | PF_I);
    set_pte(0);
    run_user(user_touch);
    expect_user("#PF: user load of a page not present", VECTOR_PF, PF_U, user_load_fault);
}

static void reserved_bits(void)
{
    uint32_t r[4];
    cpuid(0x80000008, 0, r);
    unsigned width = r[0] & 0xff;
    if (width < 52) {
        set_pte((word)page_a | PTE_P | PTE_W | 1ull << 51);
        TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
        expect_pf("#PF: address bit 51 reserved", PF_P | PF_RSVD, WINDOW);
        TRY("8: movl %%eax, (%%rcx)", "c"(WINDOW));
        expect_pf("#PF: the same for a store", PF_P | PF_RSVD | PF_W, WINDOW);
    } else {
        skip("#PF: address bit 51 reserved", "physical addresses have 52 bits");
    }
    uint64_t old = *pde;
    *pde = 0x200000 | PTE_P | PTE_W | PTE_PS | 1ull << 13;
    invlpg(WINDOW);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("#PF: 2M entry with bit 13", PF_P | PF_RSVD, WINDOW);
    *pde = old;
    uint64_t *pml4 = (uint64_t *)read_cr3();
    pml4[5] = (word)page_alloc() | PTE_P | PTE_W | PTE_PS;
    TRY("8: movl (%%rcx), %%eax", "c"(5ull << 39));
    expect_pf("#PF: PS in a PML4 entry", PF_P | PF_RSVD, 5ull << 39);
    pml4[5] = 0;
    set_pte((word)page_a | PTE_W | 1ull << 51);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("reserved bits of an absent entry do not count", 0, WINDOW);
}

static void large_pages(void)
{
    uint64_t old = *pde;
    store32((void *)0x2345678, 0x12345678);
    *(volatile uint64_t *)pde = 0x2200000 | PTE_P | PTE_W | PTE_PS;
    invlpg(WINDOW);
    check("2M: load", load32((void *)(WINDOW + 0x145678)), 0x12345678);
    check("2M: A without D", *(volatile uint64_t *)pde & (PTE_A | PTE_D), PTE_A);
    store32((void *)(WINDOW + 0x145678), 0x87654321);
    check("2M: store", load32((void *)0x2345678), 0x87654321);
    check("2M: D", *(volatile uint64_t *)pde & (PTE_A | PTE_D), PTE_A | PTE_D);
    *(volatile uint64_t *)pde = old;
    invlpg(WINDOW + 0x100000);
    set_pte((word)page_a | PTE_P | PTE_W);
    check("2M replaced by 4K: invlpg anywhere in it is enough", load32((void *)WINDOW), 0xaaaaaaaa);
    if (!has_cpuid(0x80000001, 0, 3, 26)) {
        skip("1G: load", "CPUID offers no 1 GiB pages");
        return;
    }
    uint64_t old_pdpte = *pdpte;
    *(volatile uint64_t *)pdpte = 0 | PTE_P | PTE_W | PTE_PS;
    invlpg(WINDOW);
    check("1G: load", load32((void *)(WINDOW + 0x2345678)), 0x87654321);
    store32((void *)(WINDOW + 0x2345678), 0x11223344);
    check("1G: store", load32((void *)0x2345678), 0x11223344);
    check("1G: A and D", *(volatile uint64_t *)pdpte & (PTE_A | PTE_D), PTE_A | PTE_D);
    *(volatile uint64_t *)pdpte = 0x2000 | PTE_P | PTE_W | PTE_PS;
    invlpg(WINDOW);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("#PF: 1G entry with bit 13", PF_P | PF_RSVD, WINDOW);
    *(volatile uint64_t *)pdpte = old_pdpte;
    invlpg(WINDOW);
}

/* What must be forgotten when. That a stale entry is kept is allowed but not promised, so only the
 * "must be gone" half is checked, after an access that certainly cached the old one. */
static void invalidation(void)
{
    volatile uint64_t *entry = pte;
    set_pte((word)page_a | PTE_P | PTE_W);
    check("TLB: page A", load32((void *)WINDOW), 0xaaaaaaaa);
    *entry = (word)page_b | PTE_P | PTE_W;
    invlpg(WINDOW + 0xabc);
    check("TLB: invlpg", load32((void *)WINDOW), 0xbbbbbbbb);
    *entry = (word)page_a | PTE_P | PTE_W;
    write_cr3(read_cr3());
    check("TLB: mov to cr3", load32((void *)WINDOW), 0xaaaaaaaa);
    *entry = (word)page_b | PTE_P | PTE_W;
    write_cr4(read_cr4() | CR4_PGE);
    check("TLB: CR4.PGE set", load32((void *)WINDOW), 0xbbbbbbbb);
    *entry = (word)page_a | PTE_P | PTE_W | PTE_G;
    invlpg(WINDOW);
    check("TLB: global page A", load32((void *)WINDOW), 0xaaaaaaaa);
    *entry = (word)page_b | PTE_P | PTE_W | PTE_G;
    invlpg(WINDOW);
    check("TLB: invlpg of a global page", load32((void *)WINDOW), 0xbbbbbbbb);
    *entry = (word)page_a | PTE_P | PTE_W | PTE_G;
    write_cr4(read_cr4() & ~CR4_PGE);
    check("TLB: CR4.PGE cleared drops global pages", load32((void *)WINDOW), 0xaaaaaaaa);
    *entry = (word)page_b | PTE_P | PTE_W;
    write_cr0(read_cr0() & ~CR0_WP);
    write_cr0(read_cr0() | CR0_WP);
    invlpg(WINDOW);
    check("TLB: page B again", load32((void *)WINDOW), 0xbbbbbbbb);
    /* not present -> present needs no invalidation: absent entries are not cached */
    set_pte(0);
    TRY("8: movl (%%rcx), %%eax", "c"(WINDOW));
    expect_pf("TLB: absent", 0, WINDOW);
    *entry = (word)page_a | PTE_P | PTE_W;
    check("TLB: absent to present needs no invlpg", load32((void *)WINDOW), 0xaaaaaaaa);
    /* After a fault the entry is re-read: more rights need no invalidation (SDM 4.10.4.3). */
    set_pte((word)page_a | PTE_P);
    check("TLB: read-only page A", load32((void *)WINDOW), 0xaaaaaaaa);
    *entry = (word)page_a | PTE_P | PTE_W;
    TRY("8: movl %%eax, 64(%%rcx)", "c"(WINDOW));
    if (trap.vector == VECTOR_PF) /* one spurious fault is allowed */
        TRY("8: movl %%eax, 64(%%rcx)", "c"(WINDOW));
    expect_none("TLB: read-only to writable shows after at most one fault");
}

struct invpcid {
    uint64_t pcid, address;
};
static void invpcid(uint64_t type, uint64_t pcid, uint64_t address)
{
    struct invpcid descriptor = { pcid, address };
    asm volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

static void process_context(void)
{
    if (!has_cpuid(1, 0, 2, 17)) {
        skip("PCID", "CPUID offers no PCID");
        return;
    }
    volatile uint64_t *entry = pte;
    uint64_t base = read_cr3();
    write_cr4(read_cr4() | CR4_PCIDE | CR4_PGE);
    set_pte((word)page_a | PTE_P | PTE_W);
    write_cr3(base | 1);
    check("PCID 1: page A", load32((void *)WINDOW), 0xaaaaaaaa);
    write_cr3(base | 2);
    *entry = (word)page_b | PTE_P | PTE_W;
    check("PCID 2: page B", load32((void *)WINDOW), 0xbbbbbbbb);
    write_cr3(base | 1);
    check("PCID 1: cr3 load without bit 63 invalidates", load32((void *)WINDOW), 0xbbbbbbbb);
    check("PCID: bit 63 is not stored", read_cr3(), base | 1);
    write_cr3(base | 2 | CR3_KEEP);
    check("PCID: bit 63 reads as zero", read_cr3(), base | 2);
    TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() & ~(word)CR4_PCIDE));
    expect_none("CR4.PCIDE may be cleared with any PCID");
    TRY("8: movq %%rcx, %%cr4", "c"(read_cr4() | CR4_PCIDE));
    expect("#GP: CR4.PCIDE set while CR3[11:0] is not 0", VECTOR_GP, 0);
    write_cr3(base);
    write_cr4(read_cr4() | CR4_PCIDE);
    if (has_cpuid(7, 0, 1, 10)) {
        check("INVPCID: page B", load32((void *)WINDOW), 0xbbbbbbbb);
        *entry = (word)page_a | PTE_P | PTE_W;
        invpcid(0, 0, WINDOW);
        check("INVPCID: one address", load32((void *)WINDOW), 0xaaaaaaaa);
        *entry = (word)page_b | PTE_P | PTE_W;
        invpcid(1, 0, 0);
        check("INVPCID: one context", load32((void *)WINDOW), 0xbbbbbbbb);
        *entry = (word)page_a | PTE_P | PTE_W | PTE_G;
        invpcid(2, 0, 0);
        check("INVPCID: all contexts with global pages", load32((void *)WINDOW), 0xaaaaaaaa);
        *entry = (word)page_b | PTE_P | PTE_W;
        invpcid(2, 0, 0);
        load32((void *)WINDOW);
        *entry = (word)page_a | PTE_P | PTE_W;
        invpcid(3, 0, 0);
        check("INVPCID: all contexts without global pages", load32((void *)WINDOW), 0xaaaaaaaa);
        struct invpcid bad = { 1ull << 12, 0 };
        TRY("8: invpcid (%%rcx), %%rax", "c"(&bad), "a"(0));
        expect("#GP: INVPCID with reserved descriptor bits", VECTOR_GP, 0);
        TRY("8: invpcid (%%rcx), %%rax", "c"(&bad), "a"(4));
        expect("#GP: INVPCID type 4", VECTOR_GP, 0);
    } else {
        skip("INVPCID", "CPUID offers no INVPCID");
    }
    write_cr4(read_cr4() & ~(CR4_PCIDE | CR4_PGE));
}

/* Two whole address spaces: the same virtual code address holds different code in each. */
static void address_spaces(void)
{
    uint64_t *other = page_alloc(), *pdpt = page_alloc(), *pd = page_alloc(), *pt = page_alloc();
    uint64_t base = read_cr3();
    memcpy(other, (void *)base, PAGE_SIZE);
    memcpy(pdpt, (void *)(other[0] & ~0xfffull), PAGE_SIZE);
    other[0] = (word)pdpt | 7;
    pdpt[WINDOW >> 30 & 511] = (word)pd | 7;
    pd[0] = (word)pt | 7;
    pt[0] = (word)page_b | 7;
    set_pte((word)page_a | PTE_P | PTE_W);
    static const uint8_t return_1[] = { 0xb8, 1, 0, 0, 0, 0xc3 },
                         return_2[] = { 0xb8, 2, 0, 0, 0, 0xc3 };
    memcpy(page_a + 256, return_1, sizeof(return_1));
    memcpy(page_b + 256, return_2, sizeof(return_2));
    unsigned (*function)(void) = (void *)(WINDOW + 256);
    unsigned sum = 0;
    for (unsigned i = 0; i < 1000; i++) {
        write_cr3(i & 1 ? (word)other : base);
        sum = sum * 3 + function();
    }
    unsigned want = 0;
    for (unsigned i = 0; i < 1000; i++)
        want = want * 3 + 1 + (i & 1);
    check("code at one address differs between address spaces", sum, want);
    write_cr3(base);
    set_pte((word)page_b | PTE_P | PTE_W);
    check("code after remapping with invlpg", function(), 2);
    set_pte((word)page_a | PTE_P | PTE_W);
    check("code after remapping back", function(), 1);
}

void guest_main(void)
{
    window_init();
    accessed_dirty();
    write_protect();
    no_execute();
    user_supervisor();
    user_rights();
    reserved_bits();
    large_pages();
    invalidation();
    process_context();
    address_spaces();
}
