/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot kernels: 32-bit ELF files, or any file whose header says where it is loaded; entered in
 * 32-bit protected mode with EBX pointing to the information structure. (Multiboot Specification
 * 0.6.96) */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "machine/boot.h"
#include "machine/boot_elf.h"

#define HEADER_MAGIC 0x1badb002u
#define HEADER_BYTES 12u
#define HEADER_HAS_ADDRESSES (1u << 16)
#define HEADER_REQUIRED 0xffffu    /* flags that a loader must know or refuse */
#define HEADER_KNOWN_REQUIRED 0x7u /* aligned modules, memory, video (there is text) */
#define LOADED_MAGIC 0x2badb002u
#define NO_END 0u /* of load_end: the whole file; of bss_end: none */

#define INFO_MEMORY (1u << 0)
#define INFO_BOOT_DEVICE (1u << 1)
#define INFO_COMMAND_LINE (1u << 2)
#define INFO_MODULES (1u << 3)
#define INFO_MEMORY_MAP (1u << 6)
#define INFO_LOADER_NAME (1u << 9)
#define BOOT_DEVICE_UNKNOWN 0x8000ffffu

struct header { /* 3.1 */
    uint32_t magic, flags, checksum;
    uint32_t header, load, load_end, bss_end, entry; /* with HEADER_HAS_ADDRESSES */
};

struct info { /* 3.3, as far as it is given */
    uint32_t flags, memory_lower, memory_upper, boot_device, command_line;
    uint32_t modules_count, modules, symbols[4], map_bytes, map;
    uint32_t drives_bytes, drives, config, loader_name, apm_table;
};
static_assert(offsetof(struct info, map_bytes) == 44, "fixed by the specification");
static_assert(offsetof(struct info, loader_name) == 64, "fixed by the specification");

struct info_module {
    uint32_t start, end, command_line, reserved;
};

struct info_range {
    uint32_t size; /* of what follows */
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct info_range) == 24, "fixed by the specification");

/* At BOOT_ZERO_PAGE; the texts are where command lines are. */
struct start {
    struct info info;
    struct info_range map[BOOT_MEMORY_RANGES];
    struct info_module modules[BOOT_MODULES_MAX];
};

/* Writes texts one after the other. */
struct texts {
    const struct boot *boot;
    uint32_t used;
};

/* --- the header ------------------------------------------------------------------------------ */

/* Its place in the file, or a number past its start. */
static size_t header_place(const uint8_t *head, size_t size)
{
    for (size_t at = 0; at + HEADER_BYTES <= MIN(size, BOOT_HEAD_BYTES); at += 4) {
        uint32_t words[3];
        memcpy(words, head + at, sizeof(words));
        if (words[0] == HEADER_MAGIC && words[0] + words[1] + words[2] == 0)
            return at;
    }
    return SIZE_MAX;
}

bool boot_multiboot_detect(const uint8_t *head, size_t size)
{
    return header_place(head, size) != SIZE_MAX;
}

static bool header_read(const struct boot *boot, const uint8_t *head, size_t size, size_t place,
                        struct header *header, GError **error)
{
    memset(header, 0, sizeof(*header));
    memcpy(header, head + place, MIN(sizeof(*header), size - place));
    if (header->flags & HEADER_REQUIRED & ~HEADER_KNOWN_REQUIRED)
        return fail(error, "-kernel: '%s' has a multiboot header that requires features 0x%x",
                    boot->kernel.path, header->flags & HEADER_REQUIRED & ~HEADER_KNOWN_REQUIRED);
    if ((header->flags & HEADER_HAS_ADDRESSES) && size - place < sizeof(*header))
        return fail(error, "-kernel: '%s' is truncated within its multiboot header",
                    boot->kernel.path);
    return true;
}

/* --- loading --------------------------------------------------------------------------------- */

/* The header says where it is itself to be, and so where the rest goes. */
static bool load_flat(const struct boot *boot, const struct header *header, size_t place,
                      uint64_t *end, GError **error)
{
    uint32_t before = header->header - header->load;
    bool wrong = header->load > header->header || before > place
                 || (header->load_end != NO_END && header->load_end < header->load)
                 || (header->bss_end != NO_END && header->bss_end < header->load);
    if (wrong)
        return fail(error, "-kernel: '%s' has a multiboot header whose addresses contradict",
                    boot->kernel.path);
    struct elf_segment segment = { .offset = place - before, .address = header->load };
    segment.file_size = header->load_end != NO_END ? header->load_end - header->load
                                                   : boot->kernel.size - segment.offset;
    segment.memory_size = segment.file_size;
    if (header->bss_end != NO_END)
        segment.memory_size = MAX(segment.file_size, header->bss_end - header->load);
    *end = segment.address + segment.memory_size;
    return elf_segment_load(boot, &segment, error);
}

static bool load_elf(const struct boot *boot, const uint8_t *head, size_t size, uint64_t *entry,
                     uint64_t *end, GError **error)
{
    struct elf_image image;
    if (size < EI_NIDENT || memcmp(head, ELFMAG, SELFMAG))
        return fail(error,
                    "-kernel: '%s' is a multiboot file, but not ELF, and its header does "
                    "not say where to load it",
                    boot->kernel.path);
    if (!elf_read(boot, head, size, &image, error))
        return false;
    if (image.is64)
        return fail(error, "-kernel: '%s' is a multiboot file in 64-bit ELF; give a 32-bit one",
                    boot->kernel.path);
    if (!elf_load(boot, &image, error))
        return false;
    *entry = image.entry;
    *end = image.end;
    return true;
}

static bool texts_add(struct texts *texts, const char *text, uint32_t *address, GError **error)
{
    size_t size = strlen(text) + 1;
    if (size > BOOT_COMMAND_LINE_MAX - texts->used)
        return fail(error, "-append and -initrd: the command lines have more than %u bytes",
                    BOOT_COMMAND_LINE_MAX);
    *address = BOOT_COMMAND_LINE + texts->used;
    memcpy(boot_ram(texts->boot, *address, size), text, size);
    texts->used += size;
    return true;
}

/* One after the other behind the kernel, each at the start of a page. */
static bool modules_load(const struct boot *boot, struct start *start, struct texts *texts,
                         uint64_t end, GError **error)
{
    uint64_t address = MAX(end, BOOT_RAM_MIN);
    for (unsigned i = 0; i < boot->module_count; i++) {
        const struct boot_module *module = &boot->modules[i];
        struct info_module *info = &start->modules[i];
        address = (address + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
        if (address + module->file.size > UINT32_MAX
            || !boot_ram_load(boot, &module->file, 0, address, module->file.size, error))
            return *error || fail(error, "-initrd: '%s' does not fit", module->file.path);
        info->start = address;
        info->end = address + module->file.size;
        if (!texts_add(texts, module->command_line, &info->command_line, error))
            return false;
        address = info->end;
    }
    return true;
}

static bool info_write(const struct boot *boot, uint64_t end, GError **error)
{
    struct start start = { 0 };
    struct info *info = &start.info;
    struct texts texts = { .boot = boot };
    struct memory_range ranges[BOOT_MEMORY_RANGES];
    g_autofree char *line = g_strdup_printf("%s%s%s", boot->kernel.path,
                                            *boot->command_line ? " " : "", boot->command_line);
    if (!texts_add(&texts, line, &info->command_line, error)
        || !texts_add(&texts, "yado", &info->loader_name, error)
        || !modules_load(boot, &start, &texts, end, error))
        return false;
    unsigned count = boot_memory_map(boot->ram, ranges);
    for (unsigned i = 0; i < count; i++)
        start.map[i] = (struct info_range){ sizeof(start.map[0]) - 4, ranges[i].base,
                                            ranges[i].size, ranges[i].type };
    info->flags = INFO_MEMORY | INFO_BOOT_DEVICE | INFO_COMMAND_LINE | INFO_MODULES
                  | INFO_MEMORY_MAP | INFO_LOADER_NAME;
    info->memory_lower = BOOT_EBDA >> 10;
    info->memory_upper = (boot->ram->below_4g_size >> 10) - 1024;
    info->boot_device = BOOT_DEVICE_UNKNOWN;
    info->modules_count = boot->module_count;
    info->modules = BOOT_ZERO_PAGE + offsetof(struct start, modules);
    info->map_bytes = count * sizeof(start.map[0]);
    info->map = BOOT_ZERO_PAGE + offsetof(struct start, map);
    static_assert(sizeof(start) <= BOOT_COMMAND_LINE - BOOT_ZERO_PAGE, "they do not meet");
    memcpy(boot_ram(boot, BOOT_ZERO_PAGE, sizeof(start)), &start, sizeof(start));
    return true;
}

bool boot_multiboot(const struct boot *boot, const uint8_t *head, size_t size, GError **error)
{
    struct header header;
    uint64_t entry = 0, end = 0;
    size_t place = header_place(head, size);
    if (!header_read(boot, head, size, place, &header, error))
        return false;
    bool flat = header.flags & HEADER_HAS_ADDRESSES;
    if (flat ? !load_flat(boot, &header, place, &end, error)
             : !load_elf(boot, head, size, &entry, &end, error))
        return false;
    if (!info_write(boot, end, error))
        return false;
    boot_cpu_protected(boot, flat ? header.entry : entry);
    boot->cpu->regs[RAX] = LOADED_MAGIC;
    boot->cpu->regs[RBX] = BOOT_ZERO_PAGE;
    return true;
}

/* --- modules --------------------------------------------------------------------------------- */

bool boot_kernel_takes_modules(const struct boot *boot)
{
    uint8_t head[BOOT_HEAD_BYTES];
    size_t size = MIN(boot->kernel.size, sizeof(head));
    g_autoptr(GError) error = NULL;
    return boot_file_read(&boot->kernel, 0, head, size, &error)
           && boot_multiboot_detect(head, size);
}

/* Up to the next single comma; ",," is a comma. */
static char *module_text_take(const char **text)
{
    g_autoptr(GString) item = g_string_new(NULL);
    for (; **text; (*text)++) {
        if (**text == ',' && *++*text != ',')
            break;
        g_string_append_c(item, **text);
    }
    return g_strdup(item->str);
}

bool boot_modules_open(struct boot *boot, const char *text, GError **error)
{
    boot->modules = g_new0(struct boot_module, BOOT_MODULES_MAX);
    for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
        boot->modules[i].file.fd = -1;
    while (*text) {
        if (boot->module_count == BOOT_MODULES_MAX)
            return fail(error, "-initrd: a multiboot kernel gets at most %u modules",
                        BOOT_MODULES_MAX);
        struct boot_module *module = &boot->modules[boot->module_count];
        module->command_line = module_text_take(&text);
        g_autofree char *path = g_strndup(module->command_line, strcspn(module->command_line, " "));
        boot->module_count++;
        if (!boot_file_open(&module->file, "-initrd", path, error))
            return false;
    }
    return true;
}

void boot_modules_close(struct boot *boot)
{
    for (unsigned i = 0; i < boot->module_count; i++) {
        boot_file_close(&boot->modules[i].file);
        g_free(boot->modules[i].command_line);
    }
    boot->module_count = 0;
    g_clear_pointer(&boot->modules, g_free);
}
