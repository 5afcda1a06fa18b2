/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory accesses of translated code that the inline lookup could not do: TLB misses, devices, ROM,
 * pages with code, page crossings; and physical memory for the C code in src/x86.
 *
 * A plain miss fills the TLB and goes back. Everything else is "bounced": the instruction runs on a
 * buffer, filled here before and written back by the commit after it. The buffer lies between two
 * inaccessible pages, and where only part of a masked access may be touched, it is placed so that
 * the rest falls on one of these: the host then decides what faults.
 *
 * Runs with guest vector registers live. */
#include "memory/memory.h"
#include "engine/bt/bt.h"
#include "vm/vm.h"
#include "x86/access.h"
#include "x86/exception.h"
#include "x86/log.h"

/* ---- physical memory
 * ------------------------------------------------------------------------------- */

void *bt_ram(struct x86_cpu *cpu, uint64_t gpa)
{
    const struct bt_range *range = bt_range_find(bt_of(cpu), gpa);
    return range ? range->host + ((gpa & ~4095ull) - range->base) : NULL;
}

static bool has_code(struct bt *bt, uint64_t gpa)
{
    return gpa >> 12 < bt->page_count
           && __atomic_load_n(&bt->page_flags[gpa >> 12], __ATOMIC_SEQ_CST) & PAGE_CODE;
}

/* After a write to guest memory: translations of what was there go. In this order, and with the
 * fence: another vCPU that translates meanwhile either sees the new bytes, or is in time to be
 * told. */
static void written(struct bt_vcpu *v, uint64_t gpa, unsigned length)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (unlikely(has_code(v->bt, gpa))) {
        x86_quiesce(&v->cpu);
        bt_invalidate(v->bt, gpa, length);
    }
}

static inline uint64_t load_host(const uint8_t *host, unsigned size)
{
    uint64_t value = 0;
    x86_copy(&value, host, size);
    return value;
}

static struct address_space *memory_of(struct x86_cpu *cpu)
{
    struct vm *vm = bt_of(cpu)->vcpu->vm;
    return cpu->smm ? vm->smm_memory : vm->memory;
}

uint64_t bt_phys_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    const struct bt_range *range = bt_range_find(bt_of(cpu), gpa);
    if (range)
        return load_host(range->host + (gpa - range->base), size);
    x86_quiesce(cpu);
    return address_space_read(memory_of(cpu), gpa, size);
}

void bt_phys_write(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
    struct bt_vcpu *v = bt_of(cpu);
    const struct bt_range *range = bt_range_find(v, gpa);
    if (range && range->writable) {
        x86_copy(range->host + (gpa - range->base), &value, size);
        written(v, gpa, size);
    } else {
        x86_quiesce(cpu);
        address_space_write(memory_of(cpu), gpa, value, size);
    }
}

bool bt_phys_cas(struct x86_cpu *cpu, uint64_t gpa, uint64_t old, uint64_t value, unsigned size)
{
    struct bt_vcpu *v = bt_of(cpu);
    const struct bt_range *range = bt_range_find(v, gpa);
    if (!range || !range->writable)
        return true;
    uint8_t *host = range->host + (gpa - range->base);
    bool done;
    if (size == 4) {
        uint32_t expected = old;
        done = __atomic_compare_exchange_n((uint32_t *)host, &expected, value, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        done = __atomic_compare_exchange_n((uint64_t *)host, &old, value, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    }
    written(v, gpa, size);
    return done;
}

/* A device access of any size, in pieces a bus can carry. */
static void device_read(struct x86_cpu *cpu, uint64_t gpa, uint8_t *to, unsigned size)
{
    while (size) {
        unsigned piece = 8;
        while (piece > size || gpa & (piece - 1))
            piece /= 2;
        uint64_t value = bt_phys_read(cpu, gpa, piece);
        x86_copy(to, &value, piece);
        to += piece;
        gpa += piece;
        size -= piece;
    }
}

static void device_write(struct x86_cpu *cpu, uint64_t gpa, const uint8_t *from, unsigned size)
{
    while (size) {
        unsigned piece = 8;
        while (piece > size || gpa & (piece - 1))
            piece /= 2;
        bt_phys_write(cpu, gpa, load_host(from, piece), piece);
        from += piece;
        gpa += piece;
        size -= piece;
    }
}

/* ---- the memory passage
 * ------------------------------------------------------------------------------ */

/* Makes the state precise: cpu.rip is the instruction that called, cpu.rflags complete. */
static struct bt_block *synchronize(struct bt_vcpu *v, const uint8_t *return_address)
{
    struct bt_block *block = bt_block_of_code(v->bt, return_address - 1);
    struct bt_map map = bt_block_map(block, return_address - 1);
    v->cpu.rip = block->rip - block->cs_base + map.guest;
    bt_flags_in(v);
    return block;
}

static void resume_fpu(struct bt_vcpu *v)
{
    if (unlikely(!v->cpu.fpu_in_host))
        bt_fpu_from_memory(&v->cpu);
}

/* One page's part of a bounced access. */
struct part {
    uint64_t gpa;
    uint8_t *host; /* NULL: device */
    bool present;
};

static struct part find_part(struct bt_vcpu *v, uint64_t addr, bool write, bool masked)
{
    struct x86_cpu *cpu = &v->cpu;
    struct x86_walk walk;
    if (unlikely(x86_code64(cpu) && !x86_canonical(cpu, addr))) /* checked before, if not masked */
        return (struct part){ .present = false };
    if (!x86_walk(cpu, addr, (write ? X86_WRITE : X86_READ) | x86_user(cpu), &walk)) {
        if (masked)
            return (struct part){ .present = false };
        x86_raise_pf(cpu, addr, walk.error);
    }
    const struct bt_range *range = bt_range_find(v, walk.gpa);
    return (struct part){ .gpa = walk.gpa,
                          .present = true,
                          .host = range ? range->host + (walk.gpa - range->base) : NULL };
}

static void part_read(struct bt_vcpu *v, const struct part *part, uint8_t *to, unsigned size)
{
    if (part->host)
        x86_copy(to, part->host, size);
    else
        device_read(&v->cpu, part->gpa, to, size);
}

static void part_write(struct bt_vcpu *v, uint64_t gpa, uint8_t *host, const uint8_t *from,
                       unsigned size)
{
    const struct bt_range *range = host ? bt_range_find(v, gpa) : NULL;
    if (host && range && range->writable) {
        x86_copy(host, from, size);
        written(v, gpa, size);
    } else {
        device_write(&v->cpu, gpa, from, size);
    }
}

/* A store under a mask is executed twice, on a buffer of zeros and one of ones: it has stored the
 * bytes that come out the same. Memory, which may be a device, is not read for it, and nothing is
 * written that another vCPU may be writing. */
static bool stores_under_mask(uint32_t access)
{
    return (access & (ACCESS_MASKED | ACCESS_READ | ACCESS_WRITE))
           == (ACCESS_MASKED | ACCESS_WRITE);
}

static unsigned present_start(const struct bt_vcpu *v)
{
    return v->bounce.present[0] ? 0 : v->bounce.first;
}
static unsigned present_end(const struct bt_vcpu *v)
{
    return v->bounce.present[1] ? v->bounce.size : v->bounce.first;
}

static void fill_present(struct bt_vcpu *v, uint8_t with)
{
    for (unsigned i = present_start(v); i < present_end(v); i++)
        v->bounce.data[i] = with;
}

/* After the first execution: has the second one to come? */
static bool second_execution(struct bt_vcpu *v)
{
    if (!stores_under_mask(v->bounce.access) || v->bounce.filled_ones)
        return false;
    for (unsigned i = present_start(v); i < present_end(v); i++)
        v->bounce.on_zeros[i] = v->bounce.data[i];
    v->bounce.filled_ones = true;
    fill_present(v, 0xff);
    *(uint64_t *)v->return_sp = v->bounce.body;
    return true;
}

/* Writes one page's part of the buffer back. */
static void part_commit(struct bt_vcpu *v, unsigned i)
{
    unsigned start = i ? v->bounce.first : 0, end = i ? v->bounce.size : v->bounce.first;
    const uint8_t *data = v->bounce.data, *on_zeros = v->bounce.on_zeros;
    bool masked = stores_under_mask(v->bounce.access);
    if (!v->bounce.present[i])
        return;
    for (unsigned from = start, to; from < end; from = to) {
        to = masked ? from : end;
        while (to < end && data[to] == on_zeros[to])
            to++;
        if (to > from)
            part_write(v, v->bounce.gpa[i] + (from - start),
                       v->bounce.host[i] ? v->bounce.host[i] + (from - start) : NULL, data + from,
                       to - from);
        else
            to++;
    }
}

/* Where in the buffer the operand goes: aligned as in the guest to 64 bytes; at an edge of the
 * accessible part if some of it must not be touched, with the same distance to the page's end. */
static uint8_t *bounce_place(struct bt_vcpu *v, uint64_t addr, unsigned size, unsigned first,
                             const struct part part[2])
{
    uint8_t *low = v->bounce_memory + BOUNCE_GUARD, *high = low + BOUNCE_BYTES;
    if (!part[0].present && (size == first || !part[1].present))
        return low - BOUNCE_GUARD + (addr & 4095); /* all of it faults */
    if (!part[0].present)
        return low - first;
    if (size > first && !part[1].present)
        return high - first;
    return low + (addr & 63);
}

static uint64_t bounce(struct bt_vcpu *v, uint64_t addr, uint64_t place, uint32_t access,
                       struct bt_block *block)
{
    struct x86_cpu *cpu = &v->cpu;
    unsigned size = access & ACCESS_SIZE;
    bool write = access & ACCESS_WRITE, masked = access & ACCESS_MASKED;
    unsigned first = 4096 - (addr & 4095);
    struct part part[2] = { 0 };

    if (first > size)
        first = size;
    uint64_t second = addr + first;
    if (!x86_long_mode(cpu))
        second = (uint32_t)second;
    part[0] = find_part(v, addr, write, masked);
    if (size > first)
        part[1] = find_part(v, second, write, masked);

    /* A write to a page with code, in one piece, goes to the page itself; the commit drops what was
     * translated from there, and if that was this very block, leaves it. */
    if (write && size == first && part[0].present && part[0].host) {
        const struct bt_range *range = bt_range_find(v, part[0].gpa);
        if (range && range->writable) {
            v->bounce.active = false;
            v->bounce.in_place = true;
            v->bounce.access = access;
            v->bounce.size = size;
            v->bounce.gpa[0] = part[0].gpa;
            *(uint64_t *)v->return_sp += 5;
            resume_fpu(v);
            return (uint64_t)part[0].host - place + TLB_SHIFT_BIAS;
        }
    }

    uint8_t *data = bounce_place(v, addr, size, first, part);
    if (access & ACCESS_READ) {
        if (part[0].present)
            part_read(v, &part[0], data, first);
        if (size > first && part[1].present)
            part_read(v, &part[1], data + first, size - first);
    }
    v->bounce.addr = addr;
    v->bounce.first = first;
    v->bounce.data = data;
    v->bounce.access = access;
    v->bounce.active = write;
    if (write) {
        v->bounce.size = size;
        for (unsigned i = 0; i < 2; i++) {
            v->bounce.present[i] = part[i].present;
            v->bounce.gpa[i] = part[i].gpa;
            v->bounce.host[i] = part[i].host;
        }
        v->bounce.body = *(uint64_t *)v->return_sp += 5;
        if (stores_under_mask(access)) {
            v->bounce.filled_ones = false;
            fill_present(v, 0);
        }
    }
    resume_fpu(v);
    return (uint64_t)data - place + TLB_SHIFT_BIAS;
}

/* The last byte must be canonical too: an access may straddle the edge. */
static bool canonical(const struct x86_cpu *cpu, uint64_t addr, unsigned size)
{
    return x86_canonical(cpu, addr) && x86_canonical(cpu, addr + size - 1);
}

/* Both faults come before the page fault. (Intel SDM vol. 3, 6.9 leaves it open; processors
 * agree.) */
static void check_alignment(struct x86_cpu *cpu, uint64_t addr, uint32_t access)
{
    uint64_t gp = (1u << (access >> ACCESS_GP_SHIFT & 7)) - 1,
             ac = (1u << (access >> ACCESS_AC_SHIFT & 7)) - 1;
    if (likely(!(addr & (gp | ac))))
        return;
    if (addr & ac && cpu->rflags & FLAG_AC && cpu->cpl == 3 && cpu->cr0 & CR0_AM)
        x86_raise_error(cpu, VECTOR_AC, 0);
    if (addr & gp)
        x86_raise_error(cpu, VECTOR_GP, 0);
}

/* Does an x87 exception wait for the next waiting instruction? The x87 registers are the
 * guest's. */
static bool x87_pending(void)
{
    uint16_t status;
    __asm__ volatile("fnstsw %0" : "=a"(status));
    return status & 0x80;
}

/* Nearly all misses are plain: the page is RAM and may be accessed. These need neither the guest's
 * instruction pointer nor its flags, which take longer to find than the page. Returns NULL, with
 * nothing changed, for all others. */
static uint8_t *plain_miss(struct bt_vcpu *v, uint64_t addr, uint32_t access)
{
    struct x86_cpu *cpu = &v->cpu;
    unsigned size = access & ACCESS_SIZE;
    bool write = access & ACCESS_WRITE;
    uint64_t low_bits = ((1u << (access >> ACCESS_GP_SHIFT & 7)) - 1)
                        | ((1u << (access >> ACCESS_AC_SHIFT & 7)) - 1);
    struct x86_walk walk;

    if (access & ACCESS_X87 || addr & low_bits || (addr & 4095) + size > 4096
        || (x86_code64(cpu) ? !canonical(cpu, addr, size) : addr != (uint32_t)addr)
        || cpu->dr[7] & 0xff || v->bt->debug.watch_count || log_enabled(LOG_MMU))
        return NULL;
    if (!x86_walk(cpu, addr, (write ? X86_WRITE : X86_READ) | x86_user(cpu), &walk))
        return NULL;
    return bt_tlb_fill(v, addr, bt_mmu_of(cpu), write, &walk);
}

uint64_t bt_helper_memory(struct bt_vcpu *v, uint64_t addr, uint32_t access, void *return_address)
{
    uint8_t *plain = plain_miss(v, addr, access);
    if (likely(plain)) {
        resume_fpu(v);
        return (uint64_t)plain - addr + TLB_SHIFT_BIAS;
    }
    struct x86_cpu *cpu = &v->cpu;
    unsigned size = access & ACCESS_SIZE;
    bool write = access & ACCESS_WRITE;
    uint64_t place = addr; /* what the code adds the result to */
    struct bt_block *block = synchronize(v, return_address);

    bool valid = !x86_code64(cpu) || canonical(cpu, addr, size);
    if (!x86_code64(cpu))
        addr = (uint32_t)addr;
    if (access & ACCESS_X87 && x87_pending()) /* reported before anything about the operand */
        x86_raise(cpu, VECTOR_MF);
    check_alignment(cpu, addr, access);
    if (unlikely(!valid && !(access & (ACCESS_MASKED | ACCESS_SHARED))))
        x86_raise_error(cpu, access & ACCESS_STACK ? VECTOR_SS : VECTOR_GP, 0);
    if (block->mode & MODE_CHECKED)
        cpu->debug_pending |=
            x86_breakpoints(cpu, addr, size, write ? X86_WATCH_WRITE : X86_WATCH_READ);

    if (unlikely(v->bt->debug.watch_count) && !(access & ACCESS_SHARED))
        bt_debug_access(v, addr, size, access & ACCESS_READ, write);

    if (valid && (addr & 4095) + size <= 4096) {
        struct x86_walk walk = { 0 };
        unsigned kind = (write ? X86_WRITE : X86_READ) | x86_user(cpu);
        bool mapped = x86_walk(cpu, addr, kind, &walk);
        if (x86_log_on(cpu, LOG_MMU))
            x86_log_walk(cpu, addr, kind, mapped, &walk);
        if (mapped) {
            uint8_t *host = bt_tlb_fill(v, addr, bt_mmu_of(cpu), write, &walk);
            if (host) {
                resume_fpu(v);
                bt_flags_out(v);
                return (uint64_t)host - place + TLB_SHIFT_BIAS;
            }
        } else if (!(access & (ACCESS_SHARED | ACCESS_MASKED))) {
            x86_raise_pf(cpu, addr, walk.error);
        }
    }
    if (access & ACCESS_SHARED) { /* one by one instead */
        *(void **)v->return_sp = bt_singly(v);
        resume_fpu(v);
        bt_flags_out(v);
        return 0;
    }
    uint64_t result = bounce(v, addr, place, access, block);
    bt_flags_out(v);
    return result;
}

uint64_t bt_helper_segment(struct bt_vcpu *v, uint64_t offset, uint32_t access,
                           void *return_address)
{
    synchronize(v, return_address);
    uint64_t linear = x86_seg_check(&v->cpu, access >> ACCESS_SEG_SHIFT, offset,
                                    access & ACCESS_SIZE, access & ACCESS_WRITE);
    bt_flags_out(v);
    return linear;
}

/* Did the x87 store that just ran leave memory alone? An unmasked invalid operation, overflow or
 * underflow does; after an unmasked precision exception the result is there. None was pending
 * before, see ACCESS_X87. (Intel SDM vol. 1, 8.5) */
static bool x87_stored_nothing(void)
{
    const uint16_t before_the_store = 1 | 8 | 16;
    uint16_t control, status;
    __asm__ volatile("fnstsw %0; fnstcw %1" : "=a"(status), "=m"(control));
    return status & ~control & before_the_store;
}

/* The instruction has run on the buffer (or on a page whose code it changed). */
bool bt_helper_commit(struct bt_vcpu *v, void *return_address)
{
    const struct bt_block *block = bt_block_of_code(v->bt, (uint8_t *)return_address - 1);
    struct bt_map map = bt_block_map(block, (uint8_t *)return_address - 1);
    uint64_t next_rip = block->rip - block->cs_base + map.guest + map.length;
    uint64_t flushes = v->bt->flushes;
    if (v->bounce.active && second_execution(v)) {
        resume_fpu(v);
        return true;
    }
    if (v->bounce.active) {
        v->bounce.active = false;
        bool stored = !(v->bounce.access & ACCESS_X87) || !x87_stored_nothing();
        for (unsigned i = 0; i < 2 && stored; i++)
            part_commit(v, i);
    }
    if (v->bounce.in_place) {
        v->bounce.in_place = false;
        written(v, v->bounce.gpa[0], v->bounce.size);
    }
    /* The device may have changed the memory map, which waits for the other vCPUs, of which one may
     * have dropped all code. Or it raised an interrupt: that is taken at once, as hardware does. */
    if (v->bt->flushes != flushes
        || ((block->dead || !__atomic_load_n(&v->go_on, __ATOMIC_RELAXED))
            && !(v->bounce.access & ACCESS_NO_EXIT))) {
        v->cpu.rip = next_rip;
        bt_flags_in(v);
        return false;
    }
    resume_fpu(v);
    return true;
}

/* ---- vector registers
 * -------------------------------------------------------------------------------- */

/* All state components the host has enabled that a guest can use; the host's XCR0 limits them. */
#define FPU_COMPONENTS 0xe7u

void bt_fpu_to_memory(struct x86_cpu *cpu)
{
    static const uint32_t host_mxcsr = 0x1f80;
    __asm__ volatile("xsave64 %0" : "+m"(cpu->xsave) : "a"(FPU_COMPONENTS), "d"(0) : "memory");
    __asm__ volatile("fninit; ldmxcsr %0; vzeroupper" : : "m"(host_mxcsr));
    cpu->fpu_in_host = false;
}

void bt_fpu_from_memory(struct x86_cpu *cpu)
{
    __asm__ volatile("xrstor64 %0" : : "m"(cpu->xsave), "a"(FPU_COMPONENTS), "d"(0) : "memory");
    cpu->fpu_in_host = true;
}
