/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/access.h"

#include "x86/descriptor.h"
#include "x86/log.h"

/* Unaligned host accesses. */
struct __attribute__((packed)) any16 {
    uint16_t v;
};
struct __attribute__((packed)) any32 {
    uint32_t v;
};
struct __attribute__((packed)) any64 {
    uint64_t v;
};

static inline uint64_t host_load(const void *from, unsigned size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)from;
    case 2:
        return ((const struct any16 *)from)->v;
    case 4:
        return ((const struct any32 *)from)->v;
    case 8:
        return ((const struct any64 *)from)->v;
    default: {
        uint64_t value = 0;
        x86_copy(&value, from, size);
        return value;
    }
    }
}

static inline void host_store(void *to, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        *(uint8_t *)to = value;
        break;
    case 2:
        ((struct any16 *)to)->v = value;
        break;
    case 4:
        ((struct any32 *)to)->v = value;
        break;
    case 8:
        ((struct any64 *)to)->v = value;
        break;
    default:
        x86_copy(to, &value, size);
    }
}

/* Where the part of an access that lies in one page is: host memory, or a bus address. */
struct place {
    char *host; /* NULL: use gpa */
    uint64_t gpa;
};

static inline unsigned to_page_end(uint64_t linear)
{
    return 0x1000 - (linear & 0xfff);
}

static inline uint64_t wrap(const struct x86_cpu *cpu, uint64_t linear)
{
    return x86_long_mode(cpu) ? linear : (uint32_t)linear;
}

static struct place translate(struct x86_cpu *cpu, uint64_t linear, unsigned access)
{
    struct x86_walk walk;
    struct place place;

    if (x86_long_mode(cpu)) {
        if (unlikely(!x86_canonical(cpu, linear)))
            x86_raise_error(cpu, VECTOR_GP, 0);
    } else {
        linear = (uint32_t)linear;
    }
    bool mapped = x86_walk(cpu, linear, access, &walk);
    if (x86_log_on(cpu, LOG_MMU))
        x86_log_walk(cpu, linear, access, mapped, &walk);
    if (unlikely(!mapped))
        x86_raise_pf(cpu, linear, walk.error);
    place.gpa = walk.gpa;
    place.host = cpu->ops->fill ? cpu->ops->fill(cpu, linear, access, &walk) : NULL;
    if (!place.host && !(access & X86_WRITE)) {
        char *page = cpu->ops->ram(cpu, walk.gpa);

        if (page)
            place.host = page + (walk.gpa & 0xfff);
    }
    return place;
}

/* The largest access that the bus takes at once. */
static unsigned bus_size(uint64_t gpa, unsigned size)
{
    if (size == 1 || size == 2 || size == 4 || size == 8)
        return size;
    for (unsigned part = 8; part > 1; part /= 2)
        if (part <= size && !(gpa & (part - 1)))
            return part;
    return 1;
}

static void place_read(struct x86_cpu *cpu, struct place place, void *to, unsigned size)
{
    if (likely(place.host)) {
        x86_copy(to, place.host, size);
        return;
    }
    x86_quiesce(cpu);
    for (unsigned done = 0, part; done < size; done += part) {
        part = bus_size(place.gpa + done, size - done);
        host_store((char *)to + done, cpu->ops->phys_read(cpu, place.gpa + done, part), part);
    }
}

static void place_write(struct x86_cpu *cpu, struct place place, const void *from, unsigned size)
{
    if (likely(place.host)) {
        x86_copy(place.host, from, size);
        return;
    }
    x86_quiesce(cpu);
    for (unsigned done = 0, part; done < size; done += part) {
        part = bus_size(place.gpa + done, size - done);
        cpu->ops->phys_write(cpu, place.gpa + done, host_load((const char *)from + done, part),
                             part);
    }
}

static inline void watch(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    if (unlikely(cpu->dr[7] & 0xff) && !(access & (X86_IMPLICIT | X86_EXEC)))
        cpu->debug_pending |= x86_breakpoints(
            cpu, linear, size, access & X86_WRITE ? X86_WATCH_WRITE : X86_WATCH_READ);
    if (unlikely(cpu->watched) && !(access & (X86_IMPLICIT | X86_EXEC)))
        cpu->ops->accessed(cpu, linear, size, access & X86_WRITE);
}

/* What the engine has at hand, unless data breakpoints want to see every access. */
static inline void *at_hand(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    if (unlikely(cpu->dr[7] & 0xff))
        return NULL;
    return cpu->ops->lookup(cpu, linear, size, access);
}

void *x86_host(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    void *host = at_hand(cpu, linear, size, access);

    if (likely(host))
        return host;
    if (size > to_page_end(linear) || (cpu->dr[7] & 0xff) || cpu->watched)
        return NULL;
    return translate(cpu, linear, access).host;
}

void x86_load_bytes(struct x86_cpu *cpu, uint64_t linear, void *to, unsigned size, unsigned access)
{
    void *host = at_hand(cpu, linear, size, access);
    unsigned first = to_page_end(linear);

    if (likely(host)) {
        x86_copy(to, host, size);
        return;
    }
    if (likely(size <= first)) {
        place_read(cpu, translate(cpu, linear, access), to, size);
    } else {
        /* Both pages are looked at before a device might see the first read. */
        struct place low = translate(cpu, linear, access);
        uint64_t rest = wrap(cpu, linear + first);
        struct place high = translate(cpu, rest, access);

        place_read(cpu, low, to, first);
        if (size - first > 0x1000)
            x86_load_bytes(cpu, rest, (char *)to + first, size - first, access);
        else
            place_read(cpu, high, (char *)to + first, size - first);
    }
    watch(cpu, linear, size, access);
}

void x86_store_bytes(struct x86_cpu *cpu, uint64_t linear, const void *from, unsigned size,
                     unsigned access)
{
    void *host;
    unsigned first = to_page_end(linear);

    access |= X86_WRITE;
    host = at_hand(cpu, linear, size, access);
    if (likely(host)) {
        x86_copy(host, from, size);
        return;
    }
    if (likely(size <= first)) {
        place_write(cpu, translate(cpu, linear, access), from, size);
    } else {
        struct place low = translate(cpu, linear, access);
        uint64_t rest = wrap(cpu, linear + first);
        struct place high = translate(cpu, rest, access);

        place_write(cpu, low, from, first);
        if (size - first > 0x1000)
            x86_store_bytes(cpu, rest, (const char *)from + first, size - first, access);
        else
            place_write(cpu, high, (const char *)from + first, size - first);
    }
    watch(cpu, linear, size, access);
}

uint64_t x86_load(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    const void *host = at_hand(cpu, linear, size, access);
    uint64_t value = 0;

    if (likely(host))
        return host_load(host, size);
    x86_load_bytes(cpu, linear, &value, size, access);
    return value;
}

void x86_store(struct x86_cpu *cpu, uint64_t linear, uint64_t value, unsigned size, unsigned access)
{
    void *host = at_hand(cpu, linear, size, access | X86_WRITE);

    if (likely(host))
        host_store(host, value, size);
    else
        x86_store_bytes(cpu, linear, &value, size, access);
}

void x86_probe(struct x86_cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    while (size) {
        unsigned part = MIN(size, to_page_end(linear));

        if (!cpu->ops->lookup(cpu, linear, part, access))
            translate(cpu, linear, access);
        linear = wrap(cpu, linear + part);
        size -= part;
    }
}

static uint64_t host_cas(void *at, uint64_t old, uint64_t value, unsigned size)
{
    switch (size) {
    case 1:
        return __sync_val_compare_and_swap((uint8_t *)at, (uint8_t)old, (uint8_t)value);
    case 2:
        return __sync_val_compare_and_swap((uint16_t *)at, (uint16_t)old, (uint16_t)value);
    case 4:
        return __sync_val_compare_and_swap((uint32_t *)at, (uint32_t)old, (uint32_t)value);
    default:
        return __sync_val_compare_and_swap((uint64_t *)at, old, value);
    }
}

/* The same on RAM the engine guards. Its phys_cas takes 4 or 8 bytes, so smaller operands are
 * swapped with what surrounds them. `page` is where the page is in the host. */
static uint64_t guarded_cas(struct x86_cpu *cpu, const char *page, uint64_t gpa, uint64_t old,
                            uint64_t value, unsigned size)
{
    uint64_t start = size >= 4 ? gpa : (gpa & 3) + size <= 4 ? gpa & ~3ull : gpa - 1;
    unsigned whole_size = MAX(size, 4u), shift = (gpa - start) * 8;
    uint64_t mask = (size == 8 ? 0 : 1ull << size * 8) - 1, whole, found;

    do {
        whole = host_load(page + (start & 0xfff), whole_size);
        found = (whole >> shift) & mask;
        if (found != (old & mask))
            break;
    } while (!cpu->ops->phys_cas(cpu, start, whole,
                                 (whole & ~(mask << shift)) | (value & mask) << shift, whole_size));
    return found;
}

uint64_t x86_cas(struct x86_cpu *cpu, uint64_t linear, uint64_t old, uint64_t value, unsigned size)
{
    unsigned access = x86_user(cpu) | X86_WRITE;
    void *host = x86_host(cpu, linear, size, access);
    uint64_t found;

    if (likely(host))
        return host_cas(host, old, value, size);
    if (size <= to_page_end(linear)) {
        struct place place = translate(cpu, linear, access);
        const char *page = cpu->ops->ram(cpu, place.gpa);

        if (page) { /* RAM the engine guards, because it holds translated code */
            watch(cpu, linear, size, access);
            return guarded_cas(cpu, page, place.gpa, old, value, size);
        }
    }
    /* A device, or two pages: no other processor's accesses can be excluded here. */
    x86_probe(cpu, linear, size, access);
    found = x86_load(cpu, linear, size, x86_user(cpu));
    x86_store(cpu, linear, found == old ? value : found, size, access);
    return found;
}

static void __attribute__((noreturn, cold)) seg_fault(struct x86_cpu *cpu, enum x86_seg seg)
{
    x86_raise_error(cpu, seg == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
}

uint64_t x86_seg_check(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned size,
                       bool write)
{
    const struct x86_segment *s = &cpu->seg[seg];
    uint64_t linear;

    if (x86_code64(cpu)) {
        linear = offset + (seg == SEG_FS || seg == SEG_GS ? s->base : 0);
        if (unlikely(!x86_canonical(cpu, linear) || !x86_canonical(cpu, linear + size - 1)))
            seg_fault(cpu, seg);
    } else {
        if (unlikely(!x86_segment_allows(cpu, s, offset, size, write)))
            seg_fault(cpu, seg);
        linear = (uint32_t)(s->base + offset);
    }
    if (unlikely((cpu->rflags & FLAG_AC) && (cpu->cr0 & CR0_AM) && cpu->cpl == 3) && size <= 8
        && (linear & (size == 6 ? 3 : size - 1))) /* 6: a far pointer */
        x86_raise_error(cpu, VECTOR_AC, 0);
    return linear;
}

uint64_t x86_load_seg(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, unsigned size)
{
    return x86_load(cpu, x86_seg_check(cpu, seg, offset, size, false), size, x86_user(cpu));
}

void x86_store_seg(struct x86_cpu *cpu, enum x86_seg seg, uint64_t offset, uint64_t value,
                   unsigned size)
{
    x86_store(cpu, x86_seg_check(cpu, seg, offset, size, true), value, size, x86_user(cpu));
}
