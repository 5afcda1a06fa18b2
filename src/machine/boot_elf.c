/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/boot_elf.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

/* The two widths have the same fields in different places. */
#define SEGMENT_FROM(header) \
    (struct elf_segment) \
    { \
        .type = (header)->p_type, .offset = (header)->p_offset, .address = (header)->p_paddr, \
        .file_size = (header)->p_filesz, .memory_size = (header)->p_memsz, \
        .align = (header)->p_align \
    }

static bool segments_read(const struct boot *boot, struct elf_image *image, bool is64,
                          uint64_t table, unsigned count, unsigned entry_size, GError **error)
{
    union {
        Elf32_Phdr header32;
        Elf64_Phdr header64;
    } entry;
    size_t size = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (!count || count > ELF_SEGMENTS_MAX || entry_size != size)
        return fail(error,
                    "-kernel: '%s' has an ELF program header table of %u entries of %u bytes; "
                    "1 to %u of %zu are possible",
                    boot->kernel.path, count, entry_size, ELF_SEGMENTS_MAX, size);
    if (table > boot->kernel.size)
        return fail(error,
                    "-kernel: '%s' is truncated: its ELF program headers are at byte %" PRIu64
                    " of %" PRIu64,
                    boot->kernel.path, table, boot->kernel.size);
    for (unsigned i = 0; i < count; i++) {
        if (!boot_file_read(&boot->kernel, table + i * size, &entry, size, error))
            return false;
        image->segments[i] = is64 ? SEGMENT_FROM(&entry.header64) : SEGMENT_FROM(&entry.header32);
    }
    image->count = count;
    return true;
}

bool elf_read(const struct boot *boot, const uint8_t *head, size_t size, struct elf_image *image,
              GError **error)
{
    *image = (struct elf_image){ 0 };
    const char *path = boot->kernel.path;
    Elf64_Ehdr header64;
    Elf32_Ehdr header32;
    if (size < sizeof(header64))
        return fail(error, "-kernel: '%s' is truncated within its ELF header", path);
    memcpy(&header64, head, sizeof(header64));
    memcpy(&header32, head, sizeof(header32));
    if (head[EI_DATA] == ELFDATA2LSB && head[EI_CLASS] == ELFCLASS64
        && header64.e_machine == EM_X86_64) {
        image->is64 = true;
        image->entry = header64.e_entry;
        return segments_read(boot, image, true, header64.e_phoff, header64.e_phnum,
                             header64.e_phentsize, error);
    }
    if (head[EI_DATA] == ELFDATA2LSB && head[EI_CLASS] == ELFCLASS32
        && header32.e_machine == EM_386) {
        image->entry = header32.e_entry;
        return segments_read(boot, image, false, header32.e_phoff, header32.e_phnum,
                             header32.e_phentsize, error);
    }
    return fail(error, "-kernel: '%s' is an ELF file for another architecture than x86", path);
}

bool elf_segment_load(const struct boot *boot, const struct elf_segment *segment, GError **error)
{
    uint64_t end;
    if (segment->file_size > segment->memory_size
        || __builtin_add_overflow(segment->address, segment->memory_size, &end))
        return fail(error,
                    "-kernel: '%s' has an ELF segment of %" PRIu64 " bytes for %" PRIu64
                    " bytes of memory at 0x%" PRIx64,
                    boot->kernel.path, segment->file_size, segment->memory_size, segment->address);
    uint64_t low_end = BOOT_COMMAND_LINE + BOOT_COMMAND_LINE_MAX;
    if (segment->address < low_end && end > BOOT_GDT)
        return fail(error,
                    "-kernel: '%s' has an ELF segment at 0x%" PRIx64 "; 0x%x to 0x%" PRIx64
                    " holds the start info",
                    boot->kernel.path, segment->address, BOOT_GDT, low_end);
    if (!boot_ram_load(boot, &boot->kernel, segment->offset, segment->address, segment->file_size,
                       error))
        return false;
    uint64_t rest = segment->memory_size - segment->file_size;
    if (!rest || boot_ram_clear(boot, segment->address + segment->file_size, rest))
        return true;
    return fail(error,
                "-kernel: '%s' needs memory up to 0x%" PRIx64 ", and the machine has %" PRIu64
                " MiB; give it more with -m",
                boot->kernel.path, end, boot->ram->size >> 20);
}

bool elf_load(const struct boot *boot, struct elf_image *image, GError **error)
{
    for (unsigned i = 0; i < image->count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != PT_LOAD || !segment->memory_size)
            continue;
        if (!elf_segment_load(boot, segment, error))
            return false;
        image->end = MAX(image->end, segment->address + segment->memory_size);
    }
    return true;
}
