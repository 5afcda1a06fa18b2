/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF kernels with a PVH entry note: 32-bit or 64-bit files, always entered in 32-bit protected
 * mode with EBX pointing to the start info. (Xen, "x86/HVM direct boot ABI", docs/misc/pvh.pandoc;
 * ELF specification 1.2) */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "machine/boot.h"

#define NOTE_PHYS32_ENTRY 18
#define NOTE_NAME "Xen"
#define SEGMENTS_MAX 128
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

struct elf_segment {
    uint32_t type;
    uint64_t offset, address, file_size, memory_size, align;
};

struct elf_image {
    struct elf_segment segments[SEGMENTS_MAX];
    unsigned count;
    bool entry_found;
    uint64_t entry;
    uint64_t end; /* first address behind all segments */
};

bool boot_pvh_detect(const uint8_t *head, size_t size)
{
    return size >= EI_NIDENT && !memcmp(head, ELFMAG, SELFMAG);
}

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
    if (!count || count > SEGMENTS_MAX || entry_size != size)
        return fail(error,
                    "-kernel: '%s' has an ELF program header table of %u entries of %u bytes; "
                    "1 to %u of %zu are possible",
                    boot->kernel.path, count, entry_size, SEGMENTS_MAX, size);
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

static bool header_read(const struct boot *boot, struct elf_image *image, const uint8_t *head,
                        size_t size, GError **error)
{
    const char *path = boot->kernel.path;
    Elf64_Ehdr header64;
    Elf32_Ehdr header32;
    if (size < sizeof(header64))
        return fail(error, "-kernel: '%s' is truncated within its ELF header", path);
    memcpy(&header64, head, sizeof(header64));
    memcpy(&header32, head, sizeof(header32));
    if (head[EI_DATA] == ELFDATA2LSB && head[EI_CLASS] == ELFCLASS64
        && header64.e_machine == EM_X86_64)
        return segments_read(boot, image, true, header64.e_phoff, header64.e_phnum,
                             header64.e_phentsize, error);
    if (head[EI_DATA] == ELFDATA2LSB && head[EI_CLASS] == ELFCLASS32
        && header32.e_machine == EM_386)
        return segments_read(boot, image, false, header32.e_phoff, header32.e_phnum,
                             header32.e_phentsize, error);
    return fail(error, "-kernel: '%s' is an ELF file for another architecture than x86", path);
}

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

/* Names and descriptors are padded to the segment's alignment, 4 or 8; the padding after the last
 * descriptor may be missing. Sizes are 32-bit, so sums in 64 bits do not wrap. */
static void notes_scan(struct elf_image *image, const uint8_t *notes, uint64_t size, uint64_t align)
{
    for (uint64_t at = 0; !image->entry_found && at + sizeof(Elf32_Nhdr) <= size;) {
        Elf32_Nhdr note;
        memcpy(&note, notes + at, sizeof(note));
        uint64_t name = at + sizeof(note);
        uint64_t value = align_up(name + note.n_namesz, align);
        uint64_t end = value + note.n_descsz;
        if (end > size)
            return;
        if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == sizeof(NOTE_NAME)
            && !memcmp(notes + name, NOTE_NAME, sizeof(NOTE_NAME))
            && (note.n_descsz == 4 || note.n_descsz == 8)) {
            memcpy(&image->entry, notes + value, note.n_descsz);
            image->entry_found = true;
        }
        at = align_up(end, align);
    }
}

static bool entry_find(const struct boot *boot, struct elf_image *image, GError **error)
{
    for (unsigned i = 0; i < image->count && !image->entry_found; i++) {
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
        notes_scan(image, notes, segment->file_size, segment->align == 8 ? 8 : 4);
    }
    if (!image->entry_found)
        return fail(error,
                    "-kernel: '%s' is an ELF file without a PVH entry note; kernels built with "
                    "CONFIG_PVH have one, and a bzImage needs none",
                    boot->kernel.path);
    if (image->entry > UINT32_MAX)
        return fail(error, "-kernel: '%s' has its PVH entry at 0x%" PRIx64 ", above 4 GiB",
                    boot->kernel.path, image->entry);
    return true;
}

static bool segment_load(const struct boot *boot, const struct elf_segment *segment, GError **error)
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

static bool segments_load(const struct boot *boot, struct elf_image *image, GError **error)
{
    for (unsigned i = 0; i < image->count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->type != PT_LOAD || !segment->memory_size)
            continue;
        if (!segment_load(boot, segment, error))
            return false;
        image->end = MAX(image->end, segment->address + segment->memory_size);
    }
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
    struct elf_image image = { 0 };
    if (!header_read(boot, &image, head, size, error) || !entry_find(boot, &image, error)
        || !segments_load(boot, &image, error) || !start_info_write(boot, &image, error))
        return false;
    boot_cpu_protected(boot, image.entry);
    boot->cpu->regs[RBX] = BOOT_ZERO_PAGE;
    return true;
}
