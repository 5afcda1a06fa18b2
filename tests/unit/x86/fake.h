/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An engine that does nothing itself, for testing the x86 layer: flat RAM, ports and MSRs that
 * remember the last access, unwinding by longjmp. Instructions are given as bytes and executed by
 * x86_execute(); a fault either ends the run or is delivered. */
#ifndef YADO_TESTS_X86_FAKE_H
#define YADO_TESTS_X86_FAKE_H

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../../tap.h"
#include "x86/access.h"
#include "x86/exception.h"
#include "x86/execute.h"
#include "x86/model.h"
#include "x86/paging.h"

#define FAKE_RAM (16u << 20)
#define NO_FAULT (-1)

struct fake {
    struct x86_cpu cpu; /* first */
    jmp_buf unwind;
    uint8_t *ram;
    bool direct;         /* accesses through host pointers, as with a TLB; else bus accesses */
    unsigned bus_writes; /* phys_write calls */
    unsigned flushes, halts;
    uint16_t port;
    uint64_t port_value, tpr;
    unsigned cas_failures; /* that many phys_cas calls fail first */
    enum x86_next next;
};

static struct fake *fake_of(struct x86_cpu *cpu)
{
    return (struct fake *)cpu;
}
static void __attribute__((noreturn)) fake_unwind(struct x86_cpu *cpu)
{
    longjmp(fake_of(cpu)->unwind, 1);
}
static void *fake_lookup(struct x86_cpu *cpu, uint64_t addr, unsigned size, unsigned access)
{
    return NULL;
}
static void *fake_ram(struct x86_cpu *cpu, uint64_t gpa)
{
    return gpa < FAKE_RAM ? fake_of(cpu)->ram + (gpa & ~0xfffull) : NULL;
}
static void *fake_fill(struct x86_cpu *cpu, uint64_t addr, unsigned access,
                       const struct x86_walk *walk)
{
    if (!fake_of(cpu)->direct || walk->gpa >= FAKE_RAM)
        return NULL;
    return fake_of(cpu)->ram + walk->gpa;
}
static void fake_flush_all(struct x86_cpu *cpu, bool keep_global)
{
    fake_of(cpu)->flushes++;
}
static void fake_flush_page(struct x86_cpu *cpu, uint64_t addr)
{
    fake_of(cpu)->flushes++;
}
static void fake_nothing(struct x86_cpu *cpu)
{
}
static uint64_t fake_phys_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    if (gpa + size > FAKE_RAM)
        return 0x5a5a5a5a5a5a5a5aull;
    memcpy(&value, fake_of(cpu)->ram + gpa, size);
    return value;
}
static void fake_phys_write(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size)
{
    fake_of(cpu)->bus_writes++;
    if (gpa + size <= FAKE_RAM)
        memcpy(fake_of(cpu)->ram + gpa, &value, size);
}
static bool fake_phys_cas(struct x86_cpu *cpu, uint64_t gpa, uint64_t old, uint64_t value,
                          unsigned size)
{
    if (fake_of(cpu)->cas_failures) {
        fake_of(cpu)->cas_failures--;
        return false;
    }
    memcpy(fake_of(cpu)->ram + gpa, &value, size);
    return true;
}
static uint64_t fake_io_read(struct x86_cpu *cpu, uint16_t port, unsigned size)
{
    fake_of(cpu)->port = port;
    return fake_of(cpu)->port_value++;
}
static void fake_io_write(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
    fake_of(cpu)->port = port;
    fake_of(cpu)->port_value = value;
}
static uint8_t fake_tpr_read(struct x86_cpu *cpu)
{
    return fake_of(cpu)->tpr;
}
static void fake_tpr_write(struct x86_cpu *cpu, uint8_t tpr)
{
    fake_of(cpu)->tpr = tpr;
}
static bool fake_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    *value = msr;
    return true;
}
static bool fake_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    return true;
}
static void fake_halt(struct x86_cpu *cpu)
{
    fake_of(cpu)->halts++;
}
static uint64_t fake_tsc(struct x86_cpu *cpu)
{
    return 1000 + cpu->tsc_offset;
}
static const struct x86_engine_ops fake_ops = {
    .unwind = fake_unwind,
    .lookup = fake_lookup,
    .ram = fake_ram,
    .fill = fake_fill,
    .flush_all = fake_flush_all,
    .flush_page = fake_flush_page,
    .mode_changed = fake_nothing,
    .phys_read = fake_phys_read,
    .phys_write = fake_phys_write,
    .phys_cas = fake_phys_cas,
    .io_read = fake_io_read,
    .io_write = fake_io_write,
    .apic_tpr_read = fake_tpr_read,
    .apic_tpr_write = fake_tpr_write,
    .apic_msr_read = fake_msr_read,
    .apic_msr_write = fake_msr_write,
    .pv_msr_read = fake_msr_read,
    .pv_msr_write = fake_msr_write,
    .halt = fake_halt,
    .interrupts_changed = fake_nothing,
    .fpu_to_memory = fake_nothing,
    .fpu_from_memory = fake_nothing,
    .tsc_read = fake_tsc,
};

/* A machine in reset state with the model `model` and empty RAM. */
G_GNUC_UNUSED
static struct fake *fake_new(const char *model)
{
    static struct x86_model *shared; /* CPUID is slow on a virtual host */
    struct fake *f = aligned_alloc(64, (sizeof(*f) + 63) & ~63ul);
    g_autoptr(GError) error = NULL;

    memset(f, 0, sizeof(*f));
    if (!shared || strcmp(shared->name, model)) {
        x86_model_free(shared);
        shared = x86_model_new(model, X86_MODEL_BT, x86_host_cpuid, NULL, 1, 0, &error);
        if (!shared)
            g_error("%s", error->message);
    }
    f->ram = g_malloc0(FAKE_RAM + 4096);
    f->cpu.ops = &fake_ops;
    f->cpu.model = shared;
    f->direct = true;
    x86_cpu_reset(&f->cpu, false);
    return f;
}

G_GNUC_UNUSED
static void fake_free(struct fake *f)
{
    g_free(f->ram);
    free(f);
}

G_GNUC_UNUSED
static uint64_t peek(struct fake *f, uint64_t gpa, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, f->ram + gpa, size);
    return value;
}
G_GNUC_UNUSED
static void poke(struct fake *f, uint64_t gpa, uint64_t value, unsigned size)
{
    memcpy(f->ram + gpa, &value, size);
}

/* Descriptors for GDT entries: `attr` as struct x86_segment has it. */
G_GNUC_UNUSED
static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
    if (attr & SEG_ATTR_G)
        limit >>= 12;
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xf0ff) << 40
           | (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56;
}
G_GNUC_UNUSED
static uint64_t gate(uint16_t selector, uint32_t offset, uint32_t type_dpl_p)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)type_dpl_p << 40
           | (uint64_t)(offset >> 16) << 48;
}

G_GNUC_UNUSED
static const char *fake_decode(struct fake *f, const char *bytes, struct x86_insn *insn)
{
    struct x86_cpu *cpu = &f->cpu;
    bool wide = x86_code64(cpu), big = cpu->seg[SEG_CS].attr & SEG_ATTR_DB;
    uint8_t code[16];
    size_t length = 0;
    ZydisDecoder decoder;
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    for (const char *at = bytes; *at; at += 2 + (at[2] == ' ')) {
        unsigned byte;

        if (sscanf(at, "%2x", &byte) != 1)
            return "bytes";
        code[length++] = byte;
    }
    ZydisDecoderInit(&decoder,
                     wide  ? ZYDIS_MACHINE_MODE_LONG_64
                     : big ? ZYDIS_MACHINE_MODE_LEGACY_32
                           : ZYDIS_MACHINE_MODE_LEGACY_16,
                     wide  ? ZYDIS_STACK_WIDTH_64
                     : big ? ZYDIS_STACK_WIDTH_32
                           : ZYDIS_STACK_WIDTH_16);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code, length, &info, operands))
        || info.length != length)
        return "decode";
    x86_insn_make(insn, &info, operands);
    return NULL;
}

/* Executes one instruction; the vector of the fault it raised, or NO_FAULT. */
G_GNUC_UNUSED
static int fake_execute(struct fake *f, const struct x86_insn *insn)
{
    if (setjmp(f->unwind))
        return f->cpu.fault_vector;
    do {
        f->next = x86_execute(&f->cpu, insn);
    } while (f->next == X86_AGAIN);
    return NO_FAULT;
}

/* The same, from its bytes in hexadecimal. */
G_GNUC_UNUSED
static int fake_run(struct fake *f, const char *bytes)
{
    struct x86_insn insn;
    const char *bad = fake_decode(f, bytes, &insn);

    if (bad)
        g_error("cannot decode %s: %s", bytes, bad);
    return fake_execute(f, &insn);
}

/* Delivers an event as the engine's loop does, nested faults included. */
G_GNUC_UNUSED
static enum x86_delivery fake_deliver(struct fake *f, uint8_t vector, enum x86_event event,
                                      bool has_error, uint32_t error)
{
    if (setjmp(f->unwind))
        return x86_deliver_fault(&f->cpu); /* a fault here jumps back again */
    return x86_deliver(&f->cpu, vector, event, has_error, error, f->cpu.rip + 2);
}

#endif
