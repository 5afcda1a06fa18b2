/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filling and flushing the software TLB, the code mappings (itlb) and the jump caches.
 * Runs with guest vector registers live: calls nothing outside src/x86 and src/engine/bt. */
#include "engine/bt/bt.h"
#include "x86/access.h"
#include "x86/exception.h"
#include "x86/log.h"

/* What an empty entry must never match: an address of another index. */
static uint64_t tag_never(unsigned index)
{
    return -((uint64_t)(index ^ 0x8000) << 12);
}

static void entry_clear(struct bt_tlb *tlb, unsigned index)
{
    tlb->read_tag[index] = tlb->write_tag[index] = tag_never(index);
    tlb->addend[index] = TLB_SHIFT_BIAS;
}

void bt_tlb_zeroed(struct bt_vcpu *v)
{
    /* All-zero entries (shift 0) match nothing, except at the two ends. */
    for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++) {
        entry_clear(&v->tlb[mmu], 0);
        entry_clear(&v->tlb[mmu], TLB_ENTRIES - 1);
        v->log[mmu].count = v->log_global[mmu].count = 0;
    }
    bt_jump_cache_flush(v);
}

void bt_tlb_init(struct bt_vcpu *v)
{
    bt_tlb_zeroed(v);
    for (unsigned i = 0; i < 2; i++) {
        v->large_low[i] = ~0ull;
        v->large_high[i] = 0;
    }
}

static void jump_cache_clear(struct bt_vcpu *v, enum bt_mmu mmu)
{
    struct bt_jump_cache *cache = &v->jump[mmu];
    for (unsigned i = 0; i < cache->used_count; i++)
        cache->tag[cache->used[i]] = 0;
    cache->used_count = 0;
    cache->tag[0] = 1ull << 62;
    cache->code[0] = v->bt->thunk.indirect;
}

void bt_jump_cache_add(struct bt_vcpu *v, enum bt_mmu mmu, uint64_t rip, void *code)
{
    struct bt_jump_cache *cache = &v->jump[mmu];
    unsigned index = rip & JUMP_MASK;
    if (index == 0)
        return;
    if (cache->used_count == JUMP_LOG)
        jump_cache_clear(v, mmu);
    cache->used[cache->used_count++] = index;
    cache->code[index] = code;
    cache->tag[index] = -rip;
}

void bt_jump_cache_flush(struct bt_vcpu *v)
{
    for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++)
        jump_cache_clear(v, mmu);
}

static void tlb_clear(struct bt_vcpu *v, enum bt_mmu mmu)
{
    struct bt_tlb *tlb = &v->tlb[mmu];
    x86_zero(tlb, sizeof(*tlb));
    entry_clear(tlb, 0);
    entry_clear(tlb, TLB_ENTRIES - 1);
    v->log[mmu].count = v->log_global[mmu].count = 0;
}

static void log_clear(struct bt_tlb *tlb, struct bt_tlb_log *log)
{
    for (unsigned i = 0; i < log->count; i++)
        entry_clear(tlb, log->index[i]);
    log->count = 0;
}

void bt_tlb_flush_all(struct x86_cpu *cpu, bool keep_global)
{
    struct bt_vcpu *v = bt_of(cpu);
    v->remapped = true;
    for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++) {
        log_clear(&v->tlb[mmu], &v->log[mmu]);
        if (!keep_global)
            log_clear(&v->tlb[mmu], &v->log_global[mmu]);
    }
    jump_cache_clear(v, MMU_USER);
    x86_zero(v->itlb[0], sizeof(v->itlb[0]));
    if (!keep_global || v->kernel_code_not_global) {
        jump_cache_clear(v, MMU_KERNEL);
        jump_cache_clear(v, MMU_KERNEL_AC);
        x86_zero(v->itlb[1], sizeof(v->itlb[1]));
        v->kernel_code_not_global = false;
    }
    if (!keep_global) {
        for (unsigned i = 0; i < 2; i++) {
            v->large_low[i] = ~0ull;
            v->large_high[i] = 0;
        }
    }
}

/* Jump cache entries whose target is in the page; the index has the address bits below it. */
static void jump_cache_clear_page(struct bt_vcpu *v, uint64_t addr)
{
    for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++) {
        struct bt_jump_cache *cache = &v->jump[mmu];
        for (unsigned i = 0; i < cache->used_count; i++)
            if ((-cache->tag[cache->used[i]] ^ addr) >> 12 == 0)
                cache->tag[cache->used[i]] = 0;
    }
}

void bt_tlb_flush_page(struct x86_cpu *cpu, uint64_t addr)
{
    struct bt_vcpu *v = bt_of(cpu);
    for (unsigned i = 0; i < 2; i++) {
        if (addr >= v->large_low[i] && addr < v->large_high[i]) {
            bt_tlb_flush_all(cpu, false);
            return;
        }
    }
    unsigned index = addr >> 12 & (TLB_ENTRIES - 1);
    for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++)
        entry_clear(&v->tlb[mmu], index);
    bool code = false;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *entry = &v->itlb[i][itlb_index(addr)];
        if (*entry && (*entry & 0xffffff) == (addr >> 24 & 0xffffff)) {
            *entry = 0;
            code = true;
        }
    }
    if (code) {
        jump_cache_clear_page(v, addr);
        v->remapped = true;
    }
}

const struct bt_range *bt_memory_find(const struct bt_memory *memory, uint64_t gpa)
{
    unsigned low = 0, high = memory->count; /* the first that begins above gpa */
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (memory->range[middle].base <= gpa)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || gpa - memory->range[low - 1].base >= memory->range[low - 1].size)
        return NULL;
    return &memory->range[low - 1];
}

/* Pages with code are written through C. PAGE_WRITTEN is set first and PAGE_CODE looked at after,
 * the translator does it the other way round: one of the two sees the other. */
static bool may_write_directly(struct bt *bt, const struct bt_range *range, uint64_t gpa)
{
    uint64_t page = gpa >> 12;
    if (!range->writable)
        return false;
    if (page >= bt->page_count)
        return true;
    uint8_t *flags = &bt->page_flags[page];
    if (__atomic_load_n(flags, __ATOMIC_RELAXED) & PAGE_CODE)
        return false; /* without PAGE_WRITTEN, which the next translation would have to act upon */
    if (!(__atomic_load_n(flags, __ATOMIC_RELAXED) & PAGE_WRITTEN))
        __atomic_or_fetch(flags, PAGE_WRITTEN, __ATOMIC_SEQ_CST);
    return !(__atomic_load_n(flags, __ATOMIC_SEQ_CST) & PAGE_CODE);
}

uint8_t *bt_tlb_fill(struct bt_vcpu *v, uint64_t addr, enum bt_mmu mmu, bool write,
                     const struct x86_walk *walk)
{
    const struct bt_range *range = bt_range_find(v, walk->gpa);
    if (unlikely(v->bt->debug.watch_count) && bt_debug_page_watched(v->bt, addr))
        return NULL; /* every access to it is to be seen */
    /* A20 masking and ranges that do not cover whole pages would need more than one entry. */
    if (!range || ((walk->gpa & ~4095ull) + 4096 - range->base > range->size))
        return NULL;
    uint8_t *host = range->host + (walk->gpa - range->base);
    struct bt_tlb *tlb = &v->tlb[mmu];
    unsigned index = addr >> 12 & (TLB_ENTRIES - 1);
    uint64_t page = addr & ~4095ull;
    bool writable = walk->can_write && may_write_directly(v->bt, range, walk->gpa);

    struct bt_tlb_log *log = walk->global ? &v->log_global[mmu] : &v->log[mmu];
    if (log->count == TLB_LOG_SIZE)
        tlb_clear(v, mmu);
    log->index[log->count++] = index;
    if (walk->page_shift > 12) {
        unsigned kernel = mmu != MMU_USER;
        uint64_t low = addr & -(1ull << walk->page_shift), high = low + (1ull << walk->page_shift);
        if (low < v->large_low[kernel])
            v->large_low[kernel] = low;
        if (high > v->large_high[kernel])
            v->large_high[kernel] = high;
    }
    tlb->addend[index] = (uint64_t)host - addr + TLB_SHIFT_BIAS;
    tlb->read_tag[index] = walk->can_read ? -page : tag_never(index);
    tlb->write_tag[index] = writable ? -page : tag_never(index);
    return write && !writable ? NULL : host;
}

static enum bt_mmu hook_mmu(const struct x86_cpu *cpu, unsigned access)
{
    if (access & X86_USER)
        return MMU_USER;
    if (access & X86_IMPLICIT || cpu->cpl == 3)
        return MMU_KERNEL;
    return bt_mmu_of(cpu);
}

void *bt_hook_lookup(struct x86_cpu *cpu, uint64_t addr, unsigned size, unsigned access)
{
    struct bt_vcpu *v = bt_of(cpu);
    const struct bt_tlb *tlb = &v->tlb[hook_mmu(cpu, access)];
    unsigned index = addr >> 12 & (TLB_ENTRIES - 1);
    if (access & X86_EXEC)
        return NULL;
    uint64_t tag = access & X86_WRITE ? tlb->write_tag[index] : tlb->read_tag[index];
    unsigned shift = tlb->addend[index] & 63;
    if ((tag + addr + size - 1) >> shift)
        return NULL;
    return (void *)(addr + tlb->addend[index] - TLB_SHIFT_BIAS);
}

void *bt_hook_fill(struct x86_cpu *cpu, uint64_t addr, unsigned access, const struct x86_walk *walk)
{
    if (access & X86_EXEC)
        return NULL;
    return bt_tlb_fill(bt_of(cpu), addr, hook_mmu(cpu, access), access & X86_WRITE, walk);
}

uint64_t bt_fetch_page(struct bt_vcpu *v, uint64_t addr)
{
    struct x86_cpu *cpu = &v->cpu;
    bool user = cpu->cpl == 3;
    uint64_t *entry = &v->itlb[user ? 0 : 1][itlb_index(addr)];
    if (x86_code64(cpu) && !x86_canonical(cpu, addr))
        x86_raise_error(cpu, VECTOR_GP, 0);
    if (*entry && (*entry & 0xffffff) == (addr >> 24 & 0xffffff))
        return (*entry >> 24 & 0x7fffffffffull) << 12 | (addr & 4095);
    struct x86_walk walk;
    bool mapped = x86_walk(cpu, addr, X86_EXEC | x86_user(cpu), &walk);
    if (x86_log_on(cpu, LOG_MMU))
        x86_log_walk(cpu, addr, X86_EXEC | x86_user(cpu), mapped, &walk);
    if (!mapped)
        x86_raise_pf(cpu, addr, walk.error);
    if (unlikely(v->bt->debug.active))
        bt_debug_fetched(v, addr);
    *entry = itlb_value(addr, walk.gpa);
    if (!user && !walk.global)
        v->kernel_code_not_global = true;
    if (walk.page_shift > 12) {
        uint64_t low = addr & -(1ull << walk.page_shift), high = low + (1ull << walk.page_shift);
        if (low < v->large_low[!user])
            v->large_low[!user] = low;
        if (high > v->large_high[!user])
            v->large_high[!user] = high;
    }
    return walk.gpa;
}

static void protect_logged(struct bt_tlb *tlb, const struct bt_tlb_log *log, const uint8_t *host)
{
    for (unsigned i = 0; i < log->count; i++) {
        unsigned index = log->index[i];
        uint64_t page = -tlb->write_tag[index];
        if (page + tlb->addend[index] - TLB_SHIFT_BIAS == (uint64_t)host)
            tlb->write_tag[index] = tag_never(index);
    }
}

void bt_tlb_protect(struct bt *bt, uint64_t gpa)
{
    for (unsigned i = 0; i < bt->vcpu_count; i++) {
        struct bt_vcpu *v = bt->vcpus[i];
        const struct bt_range *range = bt_range_find(v, gpa);
        if (!range)
            continue;
        const uint8_t *host = range->host + ((gpa & ~4095ull) - range->base);
        for (unsigned mmu = 0; mmu < MMU_COUNT; mmu++) {
            protect_logged(&v->tlb[mmu], &v->log[mmu], host);
            protect_logged(&v->tlb[mmu], &v->log_global[mmu], host);
        }
    }
}
