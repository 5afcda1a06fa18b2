/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "x86/dump.h"

#define LINE_BYTES 1024

static void add_state(struct x86_cpu *cpu, struct text *text)
{
    x86_dump(cpu, text);
    if (log_enabled(LOG_FPU))
        x86_dump_fpu(cpu, text);
}

void x86_log_state(struct x86_cpu *cpu, const char *head)
{
    char buffer[X86_DUMP_BYTES + LINE_BYTES];
    struct text text = text_in(buffer, sizeof(buffer));

    text_add(&text, "%s", head);
    add_state(cpu, &text);
    log_write("%s", buffer);
}

/* --- events --------------------------------------------------------------------------------- */

void x86_log_event(struct x86_cpu *cpu, uint8_t vector, enum x86_event event, uint32_t error)
{
    static atomic_uint count;
    char buffer[X86_DUMP_BYTES + LINE_BYTES];
    struct text text = text_in(buffer, sizeof(buffer));
    bool software = event == X86_EVENT_SOFT_INT || event == X86_EVENT_SOFT_EXCEPTION;

    if (event == X86_EVENT_INTERRUPT)
        text_add(&text, "Servicing hardware INT=0x%02x\n", vector);
    else if (cpu->delivering)
        text_add(&text, "(while another exception was delivered)\n");
    text_add(&text,
             "%6u: v=%02x e=%04x i=%d cpl=%u IP=%04x:%016" PRIx64 " pc=%016" PRIx64
             " SP=%04x:%016" PRIx64,
             atomic_fetch_add(&count, 1), vector, error, software, cpu->cpl,
             cpu->seg[SEG_CS].selector, cpu->rip,
             (x86_code64(cpu) ? 0 : cpu->seg[SEG_CS].base) + cpu->rip, cpu->seg[SEG_SS].selector,
             cpu->regs[RSP]);
    if (vector == VECTOR_PF && event == X86_EVENT_EXCEPTION)
        text_add(&text, " CR2=%016" PRIx64, cpu->cr2);
    else
        text_add(&text, " RAX=%016" PRIx64, cpu->regs[RAX]);
    text_add(&text, " CPU=%u %s\n", cpu->index,
             event == X86_EVENT_EXCEPTION && x86_vector_name(vector) ? x86_vector_name(vector)
                                                                     : "");
    add_state(cpu, &text);
    log_write("%s", buffer);
}

void x86_log_reset(struct x86_cpu *cpu, const char *what)
{
    char head[LINE_BYTES];
    struct text text = text_in(head, sizeof(head));

    text_add(&text, "%s (CPU %u)\n", what, cpu->index);
    x86_log_state(cpu, head);
}

void x86_log_far(struct x86_cpu *cpu, const char *what, uint16_t selector, uint64_t offset)
{
    char head[LINE_BYTES];
    struct text text = text_in(head, sizeof(head));

    text_add(&text, "%s %04x:%016" PRIx64 " from %04x:%016" PRIx64 "\n", what, selector, offset,
             cpu->seg[SEG_CS].selector, cpu->rip);
    x86_log_state(cpu, head);
}

/* --- paging --------------------------------------------------------------------------------- */

static bool entry_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size, uint64_t *entry)
{
    const char *page = cpu->ops->ram(cpu, gpa);

    *entry = 0;
    if (page)
        memcpy(entry, page + (gpa & 0xfff), size);
    return page;
}

/* The entries as they are after the walk. Tables that are not in RAM are left out: reading a device
 * could do something. */
static void add_levels(struct x86_cpu *cpu, uint64_t linear, struct text *text)
{
    bool pae = cpu->cr4 & CR4_PAE, wide = x86_long_mode(cpu);
    unsigned size = pae ? 8 : 4, bits = pae ? 9 : 10;
    int level = wide ? 3 : 1;
    uint64_t table = wide ? cpu->cr3 & 0x000ffffffffff000ull : cpu->cr3 & 0xfffff000u, entry;

    if (pae && !wide) {
        entry = cpu->pdpte[linear >> 30 & 3];
        text_add(text, " PDPTE %016" PRIx64, entry);
        if (!(entry & 1))
            return;
        table = entry & 0x000ffffffffff000ull;
    }
    for (; level >= 0; level--) {
        static const char *const names[] = { "PTE", "PDE", "PDPTE", "PML4E" };
        uint64_t index = linear >> (12 + bits * level) & ((1u << bits) - 1);
        if (!entry_read(cpu, table + index * size, size, &entry))
            return;
        text_add(text, " %s %0*" PRIx64, names[level], (int)size * 2, entry);
        if (!(entry & 1) || (level && entry & 0x80))
            return;
        table = entry & (pae ? 0x000ffffffffff000ull : 0xfffff000u);
    }
}

void x86_log_walk(struct x86_cpu *cpu, uint64_t linear, enum x86_access access, bool good,
                  const struct x86_walk *walk)
{
    char line[LINE_BYTES];
    struct text text = text_in(line, sizeof(line));

    text_add(&text, "cpu %u: %s %s %016" PRIx64 " at %016" PRIx64 ":", cpu->index,
             access & X86_USER ? "user" : "kernel",
             access & X86_EXEC    ? "fetch"
             : access & X86_WRITE ? "write"
                                  : "read",
             linear, cpu->rip);
    if (cpu->cr0 & CR0_PG)
        add_levels(cpu, linear, &text);
    if (good)
        text_add(&text, " => %016" PRIx64 ", %u KiB page", walk->gpa,
                 1u << (walk->page_shift - 10));
    else
        text_add(&text, " => #PF, error %04x", walk->error);
    log_write("%s", line);
}

void x86_log_control(struct x86_cpu *cpu, unsigned number, uint64_t value)
{
    log_write("CR%u update: CR%u=0x%08" PRIx64 " CPU=%u", number, number, value, cpu->index);
}
