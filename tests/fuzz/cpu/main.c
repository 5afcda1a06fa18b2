/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU fuzzer: random user-mode instruction sequences on the host CPU and in a guest on an engine
 * must leave the same registers, flags, memory and exception.
 *
 *     cpu-fuzz --guest fuzz-guest.elf --program build/compat/qemu-system-x86_64 --accel bt --count
 * 20000
 *
 * Prints TAP. A difference is shown with the shortest sequence that still shows it, both states and
 * the seed: `--seed S --count 1` repeats it. With FUZZ_SECONDS in the environment it goes on for
 * that long, from a seed taken from the clock. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

#define BATCH 20000u

struct options {
    uint64_t seed, count;
    unsigned min, max, reports;
    bool minimize, no_probe, keep, verbose;
};
static struct options options = {
    .seed = 1, .count = 20000, .min = 5, .max = 20, .reports = 5, .minimize = true
};
static struct engine engine = { .accelerator = "bt", .cpu = "max" };
static uint32_t xcr0;
static uint64_t differences, lost_natively, executed;
static unsigned test_number;

static void *reserve(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        fprintf(stderr, "cpu fuzzer: out of memory\n");
        exit(1);
    }
    return memory;
}

/* ---- Which forms both sides have ---- */

static uint64_t undefined_hash(const struct sequence *test, uint8_t *data)
{
    struct fuzz_state state;
    fuzz_state_init(test->seed, &state);
    fuzz_memory_init(test->seed, data);
    struct fuzz_layout layout;
    fuzz_layout_init(&layout);
    static uint8_t area[FUZZ_XSAVE_BYTES] __attribute__((aligned(64)));
    fuzz_to_xsave(&state, &layout, xcr0, area);
    fuzz_from_xsave(&state, &layout, xcr0, area);
    state.rip = FUZZ_CODE + test->code_offset;
    state.vector = 6;
    state.rflags |= 0x10000; /* RF, as for any fault */
    fuzz_normalize(&state, native_ignored_flags);
    return fuzz_hash(&state, data);
}

struct refusal {
    const char *extension;
    unsigned forms;
    const char *example;
};

static void note_refusal(struct refusal *list, unsigned *count, const struct sequence *test)
{
    const char *extension = sequence_extension(test);
    for (unsigned i = 0; i < *count; i++)
        if (!strcmp(list[i].extension, extension)) {
            list[i].forms++;
            return;
        }
    if (*count < 200)
        list[(*count)++] = (struct refusal){ extension, 1, sequence_mnemonic(test) };
}

static void probe_forms(void)
{
    unsigned count = generate_form_count(), here = 0, refused = 0, kinds = 0;
    struct sequence *cases = reserve(count, sizeof(*cases));
    uint64_t *native = reserve(count, 8), *guest = reserve(count, 8);
    bool *lost = reserve(count, 1), *guest_lost = reserve(count, 1);
    uint8_t *data = reserve(FUZZ_DATA_PAGES, FUZZ_PAGE);
    static struct refusal refusals[200];
    for (unsigned i = 0; i < count; i++)
        generate_sample(i, &cases[i]);
    native_run(cases, count, xcr0, native, lost, NULL);
    for (unsigned i = 0; i < count; i++)
        if (lost[i] || native[i] == undefined_hash(&cases[i], data)) {
            generate_disable(i);
            lost[i] = true;
        } else {
            here++;
        }
    if (options.no_probe)
        memset(lost, 1, count);
    engine_run(&engine, cases, count, xcr0, lost, guest, guest_lost, NULL);
    for (unsigned i = 0; i < count; i++) {
        if (lost[i])
            continue;
        if (!guest_lost[i] && guest[i] == undefined_hash(&cases[i], data)) {
            generate_disable(i);
            note_refusal(refusals, &kinds, &cases[i]);
            refused++;
        } else if (guest_lost[i] || guest[i] != native[i]) {
            differences++;
            if (options.verbose) {
                printf("# probe differs%s:\n", guest_lost[i] ? " (machine lost)" : "");
                sequence_print(&cases[i]);
            }
        }
    }
    printf("# %u instruction forms: this CPU has %u, the engine refuses %u, %lu probes differ\n",
           count, here, refused, (unsigned long)differences);
    for (unsigned i = 0; i < kinds; i++)
        printf("# refused: %s, %u forms, such as %s\n", refusals[i].extension, refusals[i].forms,
               refusals[i].example);
    free(cases);
    free(native);
    free(guest);
    free(lost);
    free(guest_lost);
    free(data);
}

/* ---- Showing a difference ---- */

static void print_words(const char *name, unsigned index, const uint64_t *a, const uint64_t *b,
                        unsigned words)
{
    if (!memcmp(a, b, words * 8))
        return;
    printf("#   %s%u\n#     host", name, index);
    for (unsigned i = words; i--;)
        printf(" %016lx", (unsigned long)a[i]);
    printf("\n#     guest");
    for (unsigned i = words; i--;)
        printf("%s%016lx", i == words - 1 ? "" : " ", (unsigned long)b[i]);
    printf("\n");
}

static void print_states(const struct fuzz_state *start, const struct outcome *host,
                         const struct outcome *guest)
{
    static const char *const names[] = { "rax",     "rcx",     "rdx",    "rbx",   "rsp", "rbp",
                                         "rsi",     "rdi",     "r8",     "r9",    "r10", "r11",
                                         "r12",     "r13",     "r14",    "r15",   "rip", "rflags",
                                         "fs_base", "gs_base", "vector", "error", "cr2", "fcw",
                                         "fsw",     "ftw",     "mxcsr" };
    const uint64_t *a = (const uint64_t *)&host->state, *b = (const uint64_t *)&guest->state,
                   *c = (const uint64_t *)start;
    printf("#   register           start             host            guest\n");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        printf("#   %-8s %16lx %16lx %16lx%s\n", names[i], (unsigned long)c[i], (unsigned long)a[i],
               (unsigned long)b[i], a[i] == b[i] ? "" : "  <-- differs");
    for (unsigned i = 0; i < 8; i++)
        print_words("st", i, host->state.st[i], guest->state.st[i], 2);
    for (unsigned i = 0; i < 8; i++)
        print_words("k", i, &host->state.k[i], &guest->state.k[i], 1);
    for (unsigned i = 0; i < 32; i++)
        print_words("zmm", i, host->state.zmm[i], guest->state.zmm[i], 8);
    for (unsigned i = 0, shown = 0; i < sizeof(host->data) && shown < 32; i++)
        if (host->data[i] != guest->data[i]) {
            printf("#   memory %lx host %02x guest %02x\n", (unsigned long)(FUZZ_DATA + i),
                   host->data[i], guest->data[i]);
            shown++;
        }
}

/* Does any of these differ? Returns its index, or `count`. */
static unsigned first_difference(const struct sequence *cases, unsigned count, bool *machine_lost)
{
    uint64_t *host = reserve(count, 8), *guest = reserve(count, 8);
    bool *lost = reserve(count, 1), *guest_lost = reserve(count, 1);
    unsigned found = count;
    native_run(cases, count, xcr0, host, lost, NULL);
    engine_run(&engine, cases, count, xcr0, lost, guest, guest_lost, NULL);
    for (unsigned i = 0; i < count && found == count; i++)
        if (!lost[i] && (guest_lost[i] || host[i] != guest[i])) {
            found = i;
            *machine_lost = guest_lost[i];
        }
    free(host);
    free(guest);
    free(lost);
    free(guest_lost);
    return found;
}

/* Replaces instructions by nops, as long as a difference remains: lengths and jumps stay right. */
static void minimize(struct sequence *test)
{
    bool machine_lost;
    for (;;) {
        uint16_t offset[SEQUENCE_MAX + 1];
        unsigned count = sequence_split(test, offset), tries = 0;
        static struct sequence shorter[SEQUENCE_MAX];
        for (unsigned i = 0; i < count; i++) {
            unsigned n = offset[i + 1] - offset[i];
            if (n == 1 && test->code[offset[i]] == 0x90)
                continue;
            shorter[tries] = *test;
            memset(shorter[tries].code + offset[i], 0x90, n);
            tries++;
        }
        unsigned found = first_difference(shorter, tries, &machine_lost);
        if (found == tries)
            break;
        *test = shorter[found];
    }
    /* Without the nops, if that changes nothing. */
    struct sequence packed = *test;
    uint16_t offset[SEQUENCE_MAX + 1];
    unsigned count = sequence_split(test, offset);
    packed.code_bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned n = offset[i + 1] - offset[i];
        if (n == 1 && test->code[offset[i]] == 0x90)
            continue;
        memcpy(packed.code + packed.code_bytes, test->code + offset[i], n);
        packed.code_bytes += n;
    }
    if (first_difference(&packed, 1, &machine_lost) == 0)
        *test = packed;
}

/* Did the host alone change its mind? (Its hypervisor is not always perfect.) If so the case says
 * nothing about the engine. */
static bool host_wavers(const struct sequence *test, uint64_t host_hash)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t hash;
        bool lost;
        native_run(test, 1, xcr0, &hash, &lost, NULL);
        if (lost || hash != host_hash)
            return true;
    }
    return false;
}

/* The last of `count` cases again, after the same ones as before. */
static bool run_in_context(const struct sequence *cases, unsigned count, struct outcome *last)
{
    uint64_t *hashes = reserve(count, 8);
    bool *lost = reserve(count, 1);
    struct outcome *outcomes = reserve(count, sizeof(*outcomes));
    engine.dump_from = count - 1;
    engine_run(&engine, cases, count, xcr0, NULL, hashes, lost, outcomes);
    engine.dump_from = 0;
    *last = outcomes[count - 1];
    bool survived = !lost[count - 1];
    free(hashes);
    free(lost);
    free(outcomes);
    return survived;
}

#define CONTEXT 200u /* cases */

static void report(uint64_t seed, const struct sequence *cases, unsigned index)
{
    static struct outcome host, guest;
    struct sequence test = cases[index];
    struct fuzz_state start;
    uint64_t hash;
    bool lost, guest_lost, repeats;
    repeats = first_difference(&test, 1, &guest_lost) == 0;
    printf("not ok %u - sequence with seed %lu differs%s\n", ++test_number, (unsigned long)seed,
           repeats ? "" : ", but not when it runs alone: what ran before it matters");
    if (options.minimize && repeats)
        minimize(&test);
    native_run(&test, 1, xcr0, &hash, &lost, &host);
    if (repeats) {
        engine_run(&engine, &test, 1, xcr0, NULL, &hash, &guest_lost, &guest);
    } else {
        unsigned before = index < CONTEXT ? index : CONTEXT;
        guest_lost = !run_in_context(cases + index - before, before + 1, &guest);
    }
    fuzz_state_init(test.seed, &start);
    start.rip = FUZZ_CODE + test.code_offset;
    sequence_print(&test);
    if (guest_lost)
        printf("#   the machine does not survive it: %s\n", engine_reason);
    else
        print_states(&start, &host, &guest);
    fflush(stdout);
}

/* ---- The run ---- */

static void run_batch(uint64_t first, unsigned count)
{
    static struct sequence cases[BATCH];
    static uint64_t host[BATCH], guest[BATCH];
    static bool lost[BATCH], guest_lost[BATCH];
    for (unsigned i = 0; i < count; i++)
        generate_sequence(first + i, options.min, options.max, &cases[i]);
    native_run(cases, count, xcr0, host, lost, NULL);
    engine_run(&engine, cases, count, xcr0, lost, guest, guest_lost, NULL);
    for (unsigned i = 0; i < count; i++) {
        lost_natively += lost[i];
        executed += !lost[i];
        if (lost[i] || (!guest_lost[i] && host[i] == guest[i]))
            continue;
        if (host_wavers(&cases[i], host[i])) {
            printf("# seed %lu: the host itself does not repeat its result\n",
                   (unsigned long)(first + i));
            continue;
        }
        differences++;
        if (options.reports) {
            options.reports--;
            report(first + i, cases, i);
        } else if (options.verbose) {
            printf("# seed %lu differs too\n", (unsigned long)(first + i));
        }
    }
}

static _Noreturn void usage(void)
{
    fprintf(
        stderr,
        "usage: cpu-fuzz --guest ELF [--program P] [--accel bt|kvm|tcg] [--cpu MODEL] [--seed S]\n"
        "                [--count N] [--length MIN-MAX] [--reports N] [--no-minimize] [--no-probe] "
        "[--keep] [--verbose]\n"
        "                [--without general|x87|sse|vex|evex] [--ignore-flags MASK]\n");
    exit(1);
}

static void parse(int argc, char **argv)
{
    enum {
        GUEST = 256,
        PROGRAM,
        ACCEL,
        CPU,
        SEED,
        COUNT,
        LENGTH,
        REPORTS,
        NO_MINIMIZE,
        VERBOSE,
        WITHOUT,
        IGNORE,
        NO_PROBE,
        KEEP
    };
    static const struct option longs[] = { { "guest", 1, NULL, GUEST },
                                           { "program", 1, NULL, PROGRAM },
                                           { "accel", 1, NULL, ACCEL },
                                           { "cpu", 1, NULL, CPU },
                                           { "seed", 1, NULL, SEED },
                                           { "count", 1, NULL, COUNT },
                                           { "length", 1, NULL, LENGTH },
                                           { "reports", 1, NULL, REPORTS },
                                           { "no-minimize", 0, NULL, NO_MINIMIZE },
                                           { "no-probe", 0, NULL, NO_PROBE },
                                           { "keep", 0, NULL, KEEP },
                                           { "verbose", 0, NULL, VERBOSE },
                                           { "without", 1, NULL, WITHOUT },
                                           { "ignore-flags", 1, NULL, IGNORE },
                                           { 0 } };
    static const char *const families[] = { "general", "x87", "sse", "vex", "evex" };
    for (int option; (option = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        unsigned family = 0;
        switch (option) {
        case GUEST:
            engine.guest = optarg;
            break;
        case PROGRAM:
            engine.program = optarg;
            break;
        case ACCEL:
            engine.accelerator = optarg;
            break;
        case CPU:
            engine.cpu = optarg;
            break;
        case SEED:
            options.seed = strtoull(optarg, NULL, 0);
            break;
        case COUNT:
            options.count = strtoull(optarg, NULL, 0);
            break;
        case LENGTH:
            if (sscanf(optarg, "%u-%u", &options.min, &options.max) != 2 || options.min < 1
                || options.max < options.min || options.max > 40)
                usage();
            break;
        case REPORTS:
            options.reports = atoi(optarg);
            break;
        case NO_MINIMIZE:
            options.minimize = false;
            break;
        case NO_PROBE:
            options.no_probe = true;
            break;
        case KEEP:
            options.keep = true;
            break;
        case VERBOSE:
            options.verbose = true;
            break;
        case WITHOUT:
            while (family < FAMILY_COUNT && strcmp(families[family], optarg))
                family++;
            if (family == FAMILY_COUNT)
                usage();
            generate_disable_family(family);
            break;
        case IGNORE: /* QEMU's tcg never saves RF: 0x10000 */
            native_ignored_flags = strtoul(optarg, NULL, 0);
            break;
        default:
            usage();
        }
    }
    if (!engine.guest)
        usage();
}

int main(int argc, char **argv)
{
    static char program[4096];
    uint32_t guest_xcr0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(argc, argv);
    if (!engine.program) {
        const char *build = getenv("YADO_BUILD");
        snprintf(program, sizeof(program), "%s/compat/qemu-system-x86_64", build ? build : "build");
        engine.program = program;
    }
    generate_init();
    if (!native_init() || !engine_init(&engine, &guest_xcr0))
        return 1;
    xcr0 = native_xcr0() & guest_xcr0;
    printf("# XSAVE components: this CPU %x, guest %x\n", native_xcr0(), guest_xcr0);
    time_t begin = time(NULL);
    unsigned seconds = getenv("FUZZ_SECONDS") ? atoi(getenv("FUZZ_SECONDS")) : 0;
    if (seconds)
        options.seed = (uint64_t)begin << 32;
    probe_forms();
    uint64_t probe_differences = differences;
    differences = 0;
    uint64_t done = 0;
    while (seconds ? (unsigned)(time(NULL) - begin) < seconds : done < options.count) {
        unsigned count = seconds || options.count - done > BATCH ? BATCH : options.count - done;
        run_batch(options.seed + done, count);
        done += count;
        if (done % (BATCH * 5) == 0)
            printf("# %lu sequences, %lu differ, %ld s\n", (unsigned long)done,
                   (unsigned long)differences, (long)(time(NULL) - begin));
    }
    printf("# %lu sequences in %ld s; %lu could not run on the host\n", (unsigned long)executed,
           (long)(time(NULL) - begin), (unsigned long)lost_natively);
    printf("%sok %u - each instruction form once: %lu differ\n", probe_differences ? "not " : "",
           ++test_number, (unsigned long)probe_differences);
    printf("%sok %u - %lu sequences from seed %lu: %lu differ\n", differences ? "not " : "",
           ++test_number, (unsigned long)done, (unsigned long)options.seed,
           (unsigned long)differences);
    printf("1..%u\n", test_number);
    if (options.keep)
        printf("# the last batch, to be given to the guest as -initrd, is in %s\n", engine.folder);
    else
        engine_end(&engine);
    return differences || probe_differences ? 1 : 0;
}
