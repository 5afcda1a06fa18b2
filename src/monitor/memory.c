/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about guest memory: x, xp, sums, dumps to files, addresses, the memory map. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "monitor/command.h"
#include "vm/debug.h"
#include "vm/vm.h"
#include "x86/disassemble.h"
#include "x86/inspect.h"

/* A command must end: what `x` prints and `sum` reads is limited. */
#define DUMP_BYTES_MAX (64u << 10)
#define CHUNK_BYTES 4096u

/* Reads by linear address through the chosen vCPU's page tables, or by physical address. */
static size_t memory_read(struct hmp *hmp, bool physical, uint64_t addr, void *to, size_t bytes)
{
    struct vcpu *vcpu = hmp->vm->vcpus[hmp->cpu];

    hmp_cpu(hmp); /* holds it */
    return physical ? debug_read_physical(vcpu, addr, to, bytes)
                    : debug_read(vcpu, addr, to, bytes);
}

/* --- x and xp ------------------------------------------------------------------------------- */

void hmp_print_character(struct hmp *hmp, uint8_t c)
{
    static const char named[] = "'\\\n\r", names[] = "'\\nr";
    const char *known = c ? strchr(named, c) : NULL;

    if (known)
        hmp_print(hmp, "'\\%c'", names[known - named]);
    else if (g_ascii_isprint(c))
        hmp_print(hmp, "'%c'", c);
    else
        hmp_print(hmp, "'\\x%02x'", c);
}

static void print_item(struct hmp *hmp, const uint8_t *item, char format, unsigned size)
{
    int bits = size * 8;
    uint64_t value = 0;

    memcpy(&value, item, size);
    hmp_print(hmp, " ");
    switch (format) {
    case 'o':
        hmp_print(hmp, "%#*" PRIo64, (bits + 2) / 3, value);
        break;
    case 'u':
        hmp_print(hmp, "%*" PRIu64, (bits * 10 + 32) / 33, value);
        break;
    case 'd':
        hmp_print(hmp, "%*" PRId64, (bits * 10 + 32) / 33,
                  (int64_t)(value << (64 - bits)) >> (64 - bits));
        break;
    case 'c':
        hmp_print_character(hmp, value);
        break;
    default:
        hmp_print(hmp, "0x%0*" PRIx64, bits / 4, value);
    }
}

static void dump_instructions(struct hmp *hmp, bool physical, uint64_t addr, unsigned count)
{
    unsigned bits = x86_code_bits(hmp_cpu(hmp));

    for (unsigned i = 0; i < count; i++) {
        uint8_t code[X86_INSN_BYTES];
        char line[256];
        struct text text = text_in(line, sizeof(line));
        size_t available = memory_read(hmp, physical, addr, code, sizeof(code));
        unsigned length = available ? x86_disassemble(&text, bits, addr, code, available) : 0;
        if (!length) {
            hmp_print(hmp, "0x%08" PRIx64 ":  Cannot access memory\n", addr);
            return;
        }
        hmp_print(hmp, "%s", line);
        addr += length;
    }
}

static void dump_memory(struct hmp *hmp, const struct hmp_args *args, bool physical)
{
    uint64_t addr = args->value[0].number;
    char format = args->format.format ? args->format.format : 'x';
    unsigned size = args->format.size ? args->format.size : 4;
    unsigned count = MIN(args->format.count, DUMP_BYTES_MAX / 8);

    if (format == 'i') {
        dump_instructions(hmp, physical, addr, count);
        return;
    }
    if (format == 'c')
        size = 1;
    unsigned line_bytes = size == 1 ? 8 : 16;
    for (unsigned left = count * size, here; left; left -= here, addr += here) {
        here = MIN(left, line_bytes);
        hmp_print(hmp, "%016" PRIx64 ":", addr);
        for (unsigned at = 0; at < here; at += size) {
            uint8_t item[8]; /* one access each: it may be a device's register */
            if (memory_read(hmp, physical, addr + at, item, size) < size) {
                hmp_print(hmp, " Cannot access memory\n");
                return;
            }
            print_item(hmp, item, format, size);
        }
        hmp_print(hmp, "\n");
    }
}

static void run_x(struct hmp *hmp, const struct hmp_args *args)
{
    dump_memory(hmp, args, false);
}
HMP_COMMAND(x) = {
    .name = "x",
    .args = "/l",
    .params = "/fmt addr",
    .help = "guest memory at a virtual address; /4i: four instructions, /8xg: eight 64-bit words",
    .run = run_x,
};

static void run_xp(struct hmp *hmp, const struct hmp_args *args)
{
    dump_memory(hmp, args, true);
}
HMP_COMMAND(xp) = {
    .name = "xp",
    .args = "/l",
    .params = "/fmt addr",
    .help = "the same at a physical address",
    .run = run_xp,
};

/* --- sums and files ------------------------------------------------------------------------- */

static void run_sum(struct hmp *hmp, const struct hmp_args *args)
{
    uint64_t addr = args->value[0].number, left = args->value[1].number;
    uint8_t buffer[CHUNK_BYTES];
    uint16_t sum = 0;

    while (left) {
        size_t here = MIN(left, sizeof(buffer));
        if (memory_read(hmp, true, addr, buffer, here) < here) {
            hmp_print(hmp, "Error: there is no memory at all of these addresses\n");
            return;
        }
        for (size_t i = 0; i < here; i++)
            sum = (uint16_t)(sum >> 1 | sum << 15) + buffer[i];
        addr += here;
        left -= here;
    }
    hmp_print(hmp, "%05d\n", sum);
}
HMP_COMMAND(sum) = {
    .name = "sum",
    .args = "li",
    .params = "addr size",
    .help = "a 16-bit checksum (as BSD's sum) of physical memory",
    .run = run_sum,
};

static bool save_range(struct hmp *hmp, bool physical, uint64_t addr, uint64_t bytes, FILE *file,
                       GError **error)
{
    uint8_t buffer[CHUNK_BYTES];

    for (uint64_t done = 0, here; done < bytes; done += here) {
        here = MIN(bytes - done, sizeof(buffer));
        if (memory_read(hmp, physical, addr + done, buffer, here) < here)
            return fail(error, "Invalid addr 0x%016" PRIx64 "/size %" PRIu64 " specified", addr,
                        bytes);
        if (fwrite(buffer, 1, here, file) != here)
            return fail_errno(error, "cannot write");
    }
    return true;
}

static void save(struct hmp *hmp, const struct hmp_args *args, bool physical)
{
    const char *path = args->value[2].text;
    GError *error = NULL;
    FILE *file = fopen(path, "wbe");

    if (!file)
        fail_errno(&error, "Could not open '%s'", path);
    else
        save_range(hmp, physical, args->value[0].number, args->value[1].number, file, &error);
    if (file && fclose(file) && !error)
        fail_errno(&error, "cannot write '%s'", path);
    if (error)
        hmp_print_error(hmp, error);
}

static void run_memsave(struct hmp *hmp, const struct hmp_args *args)
{
    save(hmp, args, false);
}
HMP_COMMAND(memsave) = {
    .name = "memsave",
    .args = "liF",
    .params = "addr size file",
    .help = "write guest memory at a virtual address to a file (\"name\" in quotes)",
    .run = run_memsave,
};

static void run_pmemsave(struct hmp *hmp, const struct hmp_args *args)
{
    save(hmp, args, true);
}
HMP_COMMAND(pmemsave) = {
    .name = "pmemsave",
    .args = "liF",
    .params = "addr size file",
    .help = "the same at a physical address",
    .run = run_pmemsave,
};

/* --- addresses ------------------------------------------------------------------------------ */

bool hmp_table_read(void *opaque, uint64_t gpa, unsigned size, uint64_t *entry)
{
    struct vm *vm = opaque;
    uint64_t run;
    const uint8_t *host = address_space_host(vm->memory, gpa, false, &run);

    *entry = 0;
    if (host && run >= size)
        memcpy(entry, host, size);
    return host && run >= size;
}

static void run_gva2gpa(struct hmp *hmp, const struct hmp_args *args)
{
    struct x86_mapping mapping;

    if (x86_inspect(hmp_cpu(hmp), args->value[0].number, hmp_table_read, hmp->vm, &mapping))
        hmp_print(hmp, "gpa: %#" PRIx64 "\n", mapping.gpa);
    else
        hmp_print(hmp, "Unmapped\n");
}
HMP_COMMAND(gva2gpa) = {
    .name = "gva2gpa",
    .args = "l",
    .params = "addr",
    .help = "the physical address that a virtual one leads to",
    .run = run_gva2gpa,
};

struct region_search {
    uint64_t gpa;
    const struct region *found;
};

static void region_match(const struct region *region, uint64_t base, uint64_t size, uint64_t offset,
                         void *opaque)
{
    struct region_search *search = opaque;

    if (search->gpa - base < size)
        search->found = region;
}

static void run_gpa2hva(struct hmp *hmp, const struct hmp_args *args)
{
    struct region_search search = { .gpa = args->value[0].number };
    uint64_t run;
    void *host = address_space_host(hmp->vm->memory, search.gpa, false, &run);

    address_space_visit(hmp->vm->memory, region_match, &search);
    if (!search.found)
        hmp_print(hmp, "Error: No memory is mapped at address 0x%" PRIx64 "\n", search.gpa);
    else if (!host)
        hmp_print(hmp, "Error: Memory at address 0x%" PRIx64 " is not RAM\n", search.gpa);
    else
        hmp_print(hmp, "Host virtual address for 0x%" PRIx64 " (%s) is %p\n", search.gpa,
                  search.found->name, host);
}
HMP_COMMAND(gpa2hva) = {
    .name = "gpa2hva",
    .args = "l",
    .params = "addr",
    .help = "where this process has a physical address of the guest",
    .run = run_gpa2hva,
};

static void info_mtree(struct hmp *hmp, const struct hmp_args *args)
{
    g_autofree char *memory = address_space_describe(hmp->vm->memory);
    g_autofree char *io = address_space_describe(hmp->vm->io);

    hmp_print(hmp, "address-space: memory\n%s\naddress-space: I/O\n%s", memory, io);
}
HMP_COMMAND(info_mtree) = {
    .info = true,
    .name = "mtree",
    .args = "-f",
    .params = "[-f]",
    .help = "the maps of memory and ports as they are in force (-f changes nothing)",
    .run = info_mtree,
};

/* --- ports ---------------------------------------------------------------------------------- */

static unsigned port_size(const struct hmp_args *args)
{
    return args->format.size == 2 || args->format.size == 4 ? args->format.size : 1;
}

static void run_in(struct hmp *hmp, const struct hmp_args *args)
{
    unsigned size = port_size(args), port = args->value[0].number & 0xffff;
    uint64_t value = address_space_read(hmp->vm->io, port, size);

    hmp_print(hmp, "port%c[0x%04x] = 0x%0*" PRIx64 "\n", "?bw?l"[size], port, (int)size * 2, value);
}
HMP_COMMAND(i) = {
    .name = "i",
    .args = "/i",
    .params = "/fmt addr",
    .help = "read a port: i/b, i/h (16 bits), i/w (32 bits)",
    .run = run_in,
};

static void run_out(struct hmp *hmp, const struct hmp_args *args)
{
    address_space_write(hmp->vm->io, args->value[0].number & 0xffff, args->value[1].number,
                        port_size(args));
}
HMP_COMMAND(o) = {
    .name = "o",
    .args = "/ii",
    .params = "/fmt addr value",
    .help = "write a port: o/b, o/h (16 bits), o/w (32 bits)",
    .run = run_out,
};
