/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about vCPUs. */
#include <inttypes.h>
#include <string.h>

#include "engine/engine.h"
#include "monitor/command.h"
#include "vm/vm.h"
#include "x86/dump.h"

static void print_registers(struct hmp *hmp, unsigned index)
{
    const struct x86_cpu *cpu = hmp_cpu_index(hmp, index);
    g_autofree char *buffer = g_malloc(X86_DUMP_BYTES);
    struct text text = text_in(buffer, X86_DUMP_BYTES);

    x86_dump(cpu, &text);
    x86_dump_fpu(cpu, &text);
    hmp_print(hmp, "\nCPU#%u\n%s", index, buffer);
}

static void info_registers(struct hmp *hmp, const struct hmp_args *args)
{
    if (hmp_flag(args, 'a')) {
        for (unsigned i = 0; i < hmp->vm->config->cpus; i++)
            print_registers(hmp, i);
    } else if (args->count && args->value[0].number >= hmp->vm->config->cpus) {
        hmp_print(hmp, "CPU#%" PRIu64 " not available\n", args->value[0].number);
    } else {
        print_registers(hmp, args->count ? args->value[0].number : hmp->cpu);
    }
}
HMP_COMMAND(info_registers) = {
    .info = true,
    .name = "registers",
    .args = "-ai?",
    .params = "[-a|vcpu]",
    .help = "registers of the chosen vCPU, of another, or with -a of all",
    .run = info_registers,
};

static void info_cpus(struct hmp *hmp, const struct hmp_args *args)
{
    for (unsigned i = 0; i < hmp->vm->config->cpus; i++)
        hmp_print(hmp, "%c CPU #%u: thread_id=%d\n", i == hmp->cpu ? '*' : ' ', i,
                  hmp->vm->vcpus[i]->thread_id);
}
HMP_COMMAND(info_cpus) = {
    .info = true,
    .name = "cpus",
    .help = "the vCPUs and their threads; * marks the chosen one",
    .run = info_cpus,
};

static void run_cpu(struct hmp *hmp, const struct hmp_args *args)
{
    if (args->value[0].number >= hmp->vm->config->cpus)
        hmp_print(hmp, "invalid CPU index\n");
    else
        hmp->cpu = args->value[0].number;
}
HMP_COMMAND(cpu) = {
    .name = "cpu",
    .args = "i",
    .params = "index",
    .help = "choose the vCPU that other commands look at",
    .run = run_cpu,
};

static void run_nmi(struct hmp *hmp, const struct hmp_args *args)
{
    for (unsigned i = 0; i < hmp->vm->config->cpus; i++)
        vcpu_request(hmp->vm->vcpus[i], VCPU_NMI);
}
HMP_COMMAND(nmi) = {
    .name = "nmi",
    .help = "a non-maskable interrupt on every vCPU",
    .run = run_nmi,
};

/* --- print --- */

static void print_value(struct hmp *hmp, uint64_t value, char format)
{
    switch (format) {
    case 'o':
        hmp_print(hmp, "%#" PRIo64 "\n", value);
        break;
    case 'x':
        hmp_print(hmp, "%#" PRIx64 "\n", value);
        break;
    case 'u':
        hmp_print(hmp, "%" PRIu64 "\n", value);
        break;
    case 'c':
        hmp_print_character(hmp, value);
        hmp_print(hmp, "\n");
        break;
    default:
        hmp_print(hmp, "%" PRId64 "\n", (int64_t)value);
    }
}

static void run_print(struct hmp *hmp, const struct hmp_args *args)
{
    print_value(hmp, args->value[0].number, args->format.format);
}
HMP_COMMAND(print) = {
    .name = "print",
    .alias = "p",
    .args = "/l",
    .params = "/fmt expr",
    .help = "the value of an expression; $rax, $rip … are the chosen vCPU's registers",
    .run = run_print,
};
