/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF kernels with a PVH entry note: 32-bit or 64-bit files, always entered in 32-bit protected
 * mode with EBX pointing to the start info. (Xen, "x86/HVM direct boot ABI", docs/misc/pvh.pandoc;
 * ELF specification 1.2) */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "machine/boot.h"
#include "machine/boot_elf.h"

#define NOTE_PHYS32_ENTRY 18
#define NOTE_NAME "Xen"
#define NOTES_BYTES_MAX (1u << 20)
#define START_MAGIC 0x336ec578u

struct hvm_start_info { /* version 1 */
    uint32_t magic, version, flags, modules_count;
    uint64_t modules, command_line, rsdp, memory_map;
    uint32_t memory_map_entries, reserved;
};
static_assert(sizeof(struct hvm_start_info) == 56, "fixed by the ABI");

struct hvm_module {
    uint64_t address, size, command_line, reserved;
};

struct hvm_memory_entry {
    uint64_t address, size;
    uint32_t type, reserved;
};
static_assert(sizeof(struct hvm_memory_entry) == 24, "fixed by the ABI");

struct hvm_start {
    struct hvm_start_info info;
    struct hvm_module initrd;
    struct hvm_memory_entry map[BOOT_MEMORY_RANGES];
};

bool boot_pvh_detect(const uint8_t *head, size_t size)
{
    return size >= EI_NIDENT && !memcmp(head, ELFMAG, SELFMAG);
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

/* Names and descriptors are padded to the segment's alignment, 4 or 8; the padding after the last
 * descriptor may be missing. Sizes are 32-bit, so sums in 64 bits do not wrap. */
static bool notes_scan(struct elf_image *image, const uint8_t *notes, uint64_t size, uint64_t align)
{
    for (uint64_t at = 0; at + sizeof(Elf32_Nhdr) <= size;) {
        Elf32_Nhdr note;
        memcpy(&note, notes + at, sizeof(note));
        uint64_t name = at + sizeof(note);
        uint64_t value = align_up(name + note.n_namesz, align);
        uint64_t end = value + note.n_descsz;
        if (end > size)
            return false;
        if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == sizeof(NOTE_NAME)
            && !memcmp(notes + name, NOTE_NAME, sizeof(NOTE_NAME))
            && (note.n_descsz == 4 || note.n_descsz == 8)) {
            image->entry = 0;
            memcpy(&image->entry, notes + value, note.n_descsz);
            return true;
        }
        at = align_up(end, align);
    }
    return false;
}

static bool entry_find(const struct boot *boot, struct elf_image *image, GError **error)
{
    bool found = false;
    for (unsigned i = 0; i < image->count && !found; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != PT_NOTE)
            continue;
        if (segment->file_size > NOTES_BYTES_MAX)
            return fail(error,
                        "-kernel: '%s' has ELF notes of %" PRIu64 " bytes; at most %u are read",
                        boot->kernel.path, segment->file_size, NOTES_BYTES_MAX);
        if (segment->offset > boot->kernel.size)
            return fail(error,
                        "-kernel: '%s' is truncated: its ELF notes are at byte %" PRIu64
                        " of %" PRIu64,
                        boot->kernel.path, segment->offset, boot->kernel.size);
        g_autofree uint8_t *notes = g_malloc(segment->file_size);
        if (!boot_file_read(&boot->kernel, segment->offset, notes, segment->file_size, error))
            return false;
        found = notes_scan(image, notes, segment->file_size, segment->align == 8 ? 8 : 4);
    }
    if (!found)
        return fail(error,
                    "-kernel: '%s' is an ELF file without a PVH entry note; kernels built with "
                    "CONFIG_PVH have one, and a bzImage needs none",
                    boot->kernel.path);
    if (image->entry > UINT32_MAX)
        return fail(error, "-kernel: '%s' has its PVH entry at 0x%" PRIx64 ", above 4 GiB",
                    boot->kernel.path, image->entry);
    return true;
}

static bool start_info_write(const struct boot *boot, const struct elf_image *image, GError **error)
{
    size_t length = strlen(boot->command_line);
    if (length >= BOOT_COMMAND_LINE_MAX)
        return fail(error, "-append: the command line has %zu bytes; at most %u fit", length,
                    BOOT_COMMAND_LINE_MAX - 1);
    memcpy(boot_ram(boot, BOOT_COMMAND_LINE, length + 1), boot->command_line, length + 1);

    struct hvm_start start = {
        .info = {
            .magic = START_MAGIC,
            .version = 1,
            .command_line = BOOT_COMMAND_LINE,
            .rsdp = boot->rsdp,
            .memory_map = BOOT_ZERO_PAGE + offsetof(struct hvm_start, map),
        },
    };
    if (!boot_initrd_load(boot, MAX(image->end, BOOT_RAM_MIN), UINT32_MAX, false,
                          &start.initrd.address, error))
        return false;
    if (start.initrd.address) {
        start.initrd.size = boot->initrd.size;
        start.info.modules = BOOT_ZERO_PAGE + offsetof(struct hvm_start, initrd);
        start.info.modules_count = 1;
    }
    struct memory_range ranges[BOOT_MEMORY_RANGES];
    start.info.memory_map_entries = boot_memory_map(boot->ram, ranges);
    for (unsigned i = 0; i < start.info.memory_map_entries; i++)
        start.map[i] =
            (struct hvm_memory_entry){ ranges[i].base, ranges[i].size, ranges[i].type, 0 };
    static_assert(sizeof(start) <= BOOT_SETUP_DATA - BOOT_ZERO_PAGE, "they share the page");
    memcpy(boot_ram(boot, BOOT_ZERO_PAGE, sizeof(start)), &start, sizeof(start));
    return true;
}

bool boot_pvh(const struct boot *boot, const uint8_t *head, size_t size, GError **error)
{
    struct elf_image image;
    if (!elf_read(boot, head, size, &image, error) || !entry_find(boot, &image, error)
        || !elf_load(boot, &image, error) || !start_info_write(boot, &image, error))
        return false;
    boot_cpu_protected(boot, image.entry);
    boot->cpu->regs[RBX] = BOOT_ZERO_PAGE;
    return true;
}
