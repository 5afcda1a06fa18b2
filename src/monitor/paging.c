/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info mem and info tlb: what the page tables of the chosen vCPU map. */
#include <inttypes.h>

#include "monitor/command.h"
#include "vm/vm.h"
#include "x86/inspect.h"

/* Tables can lead to themselves, and then map more than anybody could wait for. */
#define TABLES_MAX 65536u

#define PTE_W (1u << 1)
#define PTE_U (1u << 2)
#define PTE_T (1u << 3)
#define PTE_C (1u << 4)
#define PTE_A (1u << 5)
#define PTE_D (1u << 6)
#define PTE_PS (1u << 7)
#define PTE_G (1u << 8)
#define PTE_NX (1ull << 63)

/* --- info tlb --- */

static void print_page(void *opaque, const struct x86_page *page)
{
    static const struct {
        uint64_t bit;
        char letter;
    } shown[] = { { PTE_NX, 'X' }, { PTE_G, 'G' }, { PTE_PS, 'P' }, { PTE_D, 'D' }, { PTE_A, 'A' },
                  { PTE_C, 'C' },  { PTE_T, 'T' }, { PTE_U, 'U' },  { PTE_W, 'W' } };
    char letters[G_N_ELEMENTS(shown) + 1] = "";

    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++) {
        /* In a page table's own entries bit 7 is the PAT bit. */
        bool set = page->entry & shown[i].bit && !(shown[i].bit == PTE_PS && page->shift == 12);
        letters[i] = set ? shown[i].letter : '-';
    }
    hmp_print(opaque, "%016" PRIx64 ": %016" PRIx64 " %s\n", page->linear, page->gpa, letters);
}

/* --- info mem --- */

struct merge {
    struct hmp *hmp;
    uint64_t start, end; /* of the range not printed yet, if any */
    unsigned allowed;
    bool any;
};

static void print_range(const struct merge *merge)
{
    if (merge->any)
        hmp_print(merge->hmp, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %cr%c\n", merge->start,
                  merge->end, merge->end - merge->start, merge->allowed & PTE_U ? 'u' : '-',
                  merge->allowed & PTE_W ? 'w' : '-');
}

static void merge_page(void *opaque, const struct x86_page *page)
{
    struct merge *merge = opaque;
    unsigned allowed = page->allowed & (PTE_U | PTE_W);
    uint64_t end = page->linear + (1ull << page->shift);

    if (merge->any && merge->end == page->linear && merge->allowed == allowed) {
        merge->end = end;
        return;
    }
    print_range(merge);
    *merge = (struct merge){ merge->hmp, page->linear, end, allowed, true };
}

/* --- both --- */

static bool visit(struct hmp *hmp, void (*page)(void *opaque, const struct x86_page *page),
                  void *opaque)
{
    const struct x86_cpu *cpu = hmp_cpu(hmp);

    if (!(cpu->cr0 & CR0_PG)) {
        hmp_print(hmp, "PG disabled\n");
        return true;
    }
    return x86_inspect_all(cpu, hmp_table_read, hmp->vm, TABLES_MAX, page, opaque);
}

static void print_incomplete(struct hmp *hmp)
{
    hmp_print(hmp, "(there are more than %u page tables; the rest is left out)\n", TABLES_MAX);
}

static void info_mem(struct hmp *hmp, const struct hmp_args *args)
{
    struct merge merge = { .hmp = hmp };
    bool complete = visit(hmp, merge_page, &merge);

    print_range(&merge);
    if (!complete)
        print_incomplete(hmp);
}
HMP_COMMAND(info_mem) = {
    .info = true,
    .name = "mem",
    .help = "mapped ranges of virtual memory: start-end, size, user, read, write",
    .run = info_mem,
};

static void info_tlb(struct hmp *hmp, const struct hmp_args *args)
{
    if (!visit(hmp, print_page, hmp))
        print_incomplete(hmp);
}
HMP_COMMAND(info_tlb) = {
    .info = true,
    .name = "tlb",
    .help = "each mapped page: virtual and physical address, attributes",
    .run = info_tlb,
};
