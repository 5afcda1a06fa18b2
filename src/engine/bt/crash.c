/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of a crash in translated code, or in the C it calls, that is no guest exception: what
 * the guest was doing, in a form that can be sent to whoever mends it. Runs in a signal handler, so
 * nothing here allocates, locks, or uses stdio. The report is written in parts: if one part crashes
 * itself, what came before it is out. */
#include "engine/bt/crash.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ucontext.h>

#include "engine/bt/emit.h"
#include "util/log.h"
#include "x86/disassemble.h"
#include "x86/dump.h"
#include "x86/inspect.h"

#define PART_BYTES (X86_DUMP_BYTES + 1024)
#define HOST_BEFORE 6 /* instructions shown before and after the one that crashed */
#define HOST_AFTER 4

/* Where the program lies, whose addresses differ from run to run. */
extern const char program_start[] __asm__("__executable_start");
extern const char program_code_end[] __asm__("etext");

struct crash {
    struct bt *bt;
    struct bt_vcpu *v; /* NULL: another thread */
    int signal;
    const siginfo_t *info;
    const uint8_t *rip;           /* host */
    const struct bt_block *block; /* NULL: not in a block */
};

static void write_part(struct text *text)
{
    log_raw(text->start, text_length(text));
    *text = text_in(text->start, PART_BYTES);
}

/* --- what happened -------------------------------------------------------------------------- */

static const char *signal_name(int signal)
{
    switch (signal) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    case SIGTRAP:
        return "SIGTRAP";
    case SIGABRT:
        return "SIGABRT";
    default:
        return "signal";
    }
}

static bool in_program(const uint8_t *rip)
{
    return rip >= (const uint8_t *)program_start && rip < (const uint8_t *)program_code_end;
}

static bool in_code_memory(const struct crash *crash)
{
    return crash->bt && (size_t)(crash->rip - crash->bt->code_exec) < crash->bt->code_size;
}

static bool was_sent(const struct crash *crash)
{
    return crash->info->si_code <= 0 && crash->info->si_pid != getpid(); /* else abort() */
}

static void add_place(const struct crash *crash, struct text *text)
{
    if (crash->block)
        text_add(text, "in translated code of CPU %u", crash->v->cpu.index);
    else if (in_code_memory(crash))
        text_add(text, "between translated code and C of CPU %u", crash->v->cpu.index);
    else if (crash->v)
        text_add(text, "in C code that works for CPU %u", crash->v->cpu.index);
    else
        text_add(text, "in a thread that runs no CPU");
    if (in_program(crash->rip))
        text_add(text, ", at yado+0x%zx", (size_t)(crash->rip - (const uint8_t *)program_start));
    else
        text_add(text, ", at %p", crash->rip);
}

static void add_headline(const struct crash *crash, struct text *text)
{
    const siginfo_t *info = crash->info;

    text_add(text, "\nyado: internal error: %s (signal %d) ", signal_name(crash->signal),
             crash->signal);
    add_place(crash, text);
    if (was_sent(crash))
        text_add(text, "; it was sent by process %d, so nothing in the program caused it",
                 (int)info->si_pid);
    else if (crash->signal == SIGBUS && info->si_code == BUS_ADRERR)
        text_add(text, "; the host had no memory for address %p (is /dev/shm or its limit full?)",
                 info->si_addr);
    else if (crash->signal == SIGSEGV || crash->signal == SIGBUS)
        text_add(text, "; address %p", info->si_addr);
    text_add(text, "\n");
}

/* --- the guest ------------------------------------------------------------------------------ */

static bool table_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *entry)
{
    const struct bt_vcpu *v = opaque;
    const struct bt_range *range = bt_range_find(v, gpa);

    if (!range || gpa - range->base + size > range->size)
        return false;
    *entry = 0;
    memcpy(entry, range->host + (gpa - range->base), size);
    return true;
}

/* The bytes at `linear`, as many as are mapped; returns how many. */
static unsigned fetch(const struct crash *crash, uint64_t linear, uint8_t *to, unsigned bytes)
{
    for (unsigned done = 0; done < bytes; done++) {
        struct x86_mapping mapping;
        uint64_t byte;
        if (!x86_inspect(&crash->v->cpu, linear + done, table_read, crash->v, &mapping)
            || !table_read(crash->v, mapping.gpa, 1, &byte))
            return done;
        to[done] = byte;
    }
    return bytes;
}

static void add_guest_instruction(const struct crash *crash, struct text *text)
{
    const struct x86_cpu *cpu = &crash->v->cpu;
    uint64_t linear = x86_linear_rip(cpu);
    uint8_t bytes[X86_INSN_BYTES];
    unsigned count = fetch(crash, linear, bytes, sizeof(bytes));

    text_add(text, "Guest instruction%s:\n", crash->block ? "" : " (or one near it)");
    if (!count || !x86_disassemble(text, x86_code_bits(cpu), linear, bytes, count))
        text_add(text, "0x%08" PRIx64 ":  (its memory is not mapped)\n", linear);
}

static void add_block(const struct crash *crash, struct text *text)
{
    const struct bt_block *block = crash->block;

    text_add(text,
             "Block: guest 0x%" PRIx64 " (physical 0x%" PRIx64 "), %u bytes, mode 0x%x; host %p, "
             "%u bytes%s\n",
             block->rip, block->gpa, block->guest_bytes, block->mode, block->code,
             block->code_bytes, block->dead ? "; dropped" : "");
}

/* --- the host ------------------------------------------------------------------------------- */

/* One line, with an arrow at the instruction that crashed; its length, or 0. */
static unsigned add_host_line(const struct crash *crash, const uint8_t *at, const uint8_t *end,
                              struct text *text)
{
    text_add(text, at == crash->rip ? "--> " : "    ");
    return x86_disassemble(text, 64, (uintptr_t)at, at, end - at);
}

/* Instructions can only be found forwards, from the block's start. */
static void add_host_code(const struct crash *crash, struct text *text)
{
    const uint8_t *before[HOST_BEFORE] = { 0 }, *at = crash->rip, *end = at + 64;
    char buffer[256];
    unsigned count = 0;

    if (crash->block) {
        end = crash->block->code + crash->block->code_bytes;
        for (at = crash->block->code; at < crash->rip; count++) {
            struct text scratch = text_in(buffer, sizeof(buffer));
            before[count % HOST_BEFORE] = at;
            at += MAX(1, x86_disassemble_words(&scratch, 64, 0, at, end - at));
        }
        if (count)
            at = before[count > HOST_BEFORE ? count % HOST_BEFORE : 0];
    }
    text_add(text, "Host code:\n");
    for (unsigned n = 0, shown = 0; n < HOST_AFTER && at < end && shown < 32; shown++) {
        unsigned length = add_host_line(crash, at, end, text);
        n += at >= crash->rip;
        if (!length)
            break;
        at += length;
    }
}

static void add_host_registers(const ucontext_t *context, struct text *text)
{
    static const struct {
        const char *name;
        int reg;
    } shown[] = { { "RAX", REG_RAX }, { "RBX", REG_RBX }, { "RCX", REG_RCX }, { "RDX", REG_RDX },
                  { "RSI", REG_RSI }, { "RDI", REG_RDI }, { "RBP", REG_RBP }, { "RSP", REG_RSP },
                  { "R8 ", REG_R8 },  { "R9 ", REG_R9 },  { "R10", REG_R10 }, { "R11", REG_R11 },
                  { "R12", REG_R12 }, { "R13", REG_R13 }, { "R14", REG_R14 }, { "R15", REG_R15 } };

    text_add(text, "Host registers:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
        text_add(text, "%s=%016llx%c", shown[i].name,
                 (unsigned long long)context->uc_mcontext.gregs[shown[i].reg],
                 i % 4 == 3 ? '\n' : ' ');
}

/* --- the report ----------------------------------------------------------------------------- */

static void report_cpu(const struct crash *crash, const ucontext_t *context, struct text *text)
{
    add_guest_instruction(crash, text);
    write_part(text);
    text_add(text, "Guest registers of CPU %u:\n", crash->v->cpu.index);
    x86_dump(&crash->v->cpu, text);
    write_part(text);
    if (crash->block)
        add_block(crash, text);
    if (crash->block || in_code_memory(crash) || in_program(crash->rip))
        add_host_code(crash, text);
    add_host_registers(context, text);
    write_part(text);
}

/* Another thread crashed; what is known of the vCPUs is as old as their last way out. */
static void report_others(const struct crash *crash, struct text *text)
{
    for (unsigned i = 0; crash->bt && i < crash->bt->vcpu_count; i++) {
        const struct x86_cpu *cpu = &crash->bt->vcpus[i]->cpu;
        text_add(text, "CPU %u: last seen at guest RIP 0x%" PRIx64 ", CR3 0x%" PRIx64 "%s\n", i,
                 cpu->rip, cpu->cr3, cpu->halted ? ", halted" : "");
    }
    write_part(text);
}

void bt_crash(struct bt *bt, struct bt_vcpu *v, int signal, const siginfo_t *info, void *opaque)
{
    const ucontext_t *context = opaque;
    struct crash crash = { .bt = bt, .v = v, .signal = signal, .info = info };
    char buffer[PART_BYTES];
    struct text text = text_in(buffer, sizeof(buffer));

    crash.rip = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
    if (v && in_code_memory(&crash))
        crash.block = bt_block_of_code(bt, crash.rip);
    add_headline(&crash, &text);
    write_part(&text);
    if (v)
        report_cpu(&crash, context, &text);
    else
        report_others(&crash, &text);
    text_add(&text, was_sent(&crash)
                        ? "Whoever sent the signal can tell why; the guest was stopped by it.\n"
                        : "Please report this with all lines above, the command line, and what "
                          "'yado --version' prints.\n");
    write_part(&text);
}
