/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linux bzImage, entered in 64-bit mode where the kernel offers it, else in 32-bit mode.
 *
 * No real-mode code of the kernel runs: what it would ask a BIOS for is written into the zero page.
 * (Linux, Documentation/arch/x86/boot.rst, zero-page.rst) */
#include <endian.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "machine/boot.h"
#include "x86/model.h"

/* Offsets in the image's first sectors and, from 0x1f1 on, in the zero page as well. */
enum linux_header {
    HDR_START = 0x1f1,
    HDR_SETUP_SECTORS = 0x1f1,
    HDR_CODE_PARAGRAPHS = 0x1f4, /* size of the protected-mode part, in units of 16 bytes */
    HDR_JUMP = 0x200,            /* its second byte gives the end of the header */
    HDR_MAGIC = 0x202,           /* "HdrS" */
    HDR_VERSION = 0x206,
    HDR_LOADER_TYPE = 0x210,
    HDR_LOAD_FLAGS = 0x211,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_COMMAND_LINE = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_XLOAD_FLAGS = 0x236,
    HDR_COMMAND_LINE_SIZE = 0x238,
    HDR_SETUP_DATA = 0x250,
    HDR_PREFERRED_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_END_MAX = 0x290, /* the zero page's next field starts here */
};

/* The zero page's own fields. */
enum zero_page {
    ZERO_ACPI_RSDP = 0x070,
    ZERO_EXT_RAMDISK_IMAGE = 0x0c0,
    ZERO_EXT_RAMDISK_SIZE = 0x0c4,
    ZERO_E820_ENTRIES = 0x1e8,
    ZERO_E820_TABLE = 0x2d0,
    ZERO_BYTES = 4096,
};

#define MAGIC "HdrS"
#define VERSION_MIN 0x0206 /* command line longer than 255 bytes; 2008 */
#define VERSION_INIT_SIZE 0x020a
#define VERSION_XLOAD_FLAGS 0x020c
#define LOAD_HIGH 0x01 /* load flags: protected-mode code goes to 1 MiB */
#define XLF_KERNEL_64 0x01
#define XLF_ABOVE_4G 0x02
#define ENTRY_64_OFFSET 0x200
#define LOADER_UNKNOWN 0xff
#define LOAD_ADDRESS 0x100000u
#define SETUP_RNG_SEED 9
#define SEED_BYTES 32
#define SECTOR 512u

struct e820_entry {
    uint64_t base, size;
    uint32_t type;
} __attribute__((packed));
static_assert(sizeof(struct e820_entry) == 20, "fixed by the zero page");

struct setup_data_seed {
    uint64_t next;
    uint32_t type, length;
    uint8_t seed[SEED_BYTES];
};

struct linux_image {
    const uint8_t *head;
    size_t head_size;
    unsigned version;
    unsigned header_end;
    uint64_t code_offset, code_size; /* of the protected-mode part, in the file */
    uint64_t run_end; /* first address behind what the kernel uses to unpack itself */
    unsigned xload_flags;
};

static uint16_t get16(const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof(v));
    return le16toh(v);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return le32toh(v);
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return le64toh(v);
}

static void put32(uint8_t *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof(v));
}

bool boot_linux_detect(const uint8_t *head, size_t size)
{
    return size >= HDR_VERSION + 2 && !memcmp(head + HDR_MAGIC, MAGIC, 4);
}

static bool image_parse(const struct boot *boot, struct linux_image *image, GError **error)
{
    const uint8_t *head = image->head;
    const char *path = boot->kernel.path;
    image->version = get16(head + HDR_VERSION);
    if (image->version < VERSION_MIN)
        return fail(error,
                    "-kernel: '%s' uses Linux boot protocol %u.%02u; 2.06 (Linux 2.6.22) or "
                    "later is needed",
                    path, image->version >> 8, image->version & 0xff);
    image->header_end = HDR_MAGIC + head[HDR_JUMP + 1];
    image->header_end = MIN(image->header_end, HDR_END_MAX);
    if (image->header_end < HDR_COMMAND_LINE_SIZE + 4 || image->header_end > image->head_size)
        return fail(error, "-kernel: '%s' has a Linux header of only %u bytes", path,
                    image->header_end - HDR_START);
    if (!(head[HDR_LOAD_FLAGS] & LOAD_HIGH))
        return fail(error, "-kernel: '%s' is a zImage that loads below 1 MiB; a bzImage is needed",
                    path);
    unsigned sectors = head[HDR_SETUP_SECTORS] ? head[HDR_SETUP_SECTORS] : 4;
    image->code_offset = (sectors + 1) * SECTOR;
    if (image->code_offset >= boot->kernel.size)
        return fail(error,
                    "-kernel: '%s' is truncated: it has %" PRIu64 " bytes, and its code "
                    "starts at %" PRIu64,
                    path, boot->kernel.size, image->code_offset);
    image->code_size = boot->kernel.size - image->code_offset;
    /* Counted up to whole 16 bytes; what follows in the file, a signature, is not code. */
    uint64_t code_end = image->code_offset + (uint64_t)get32(head + HDR_CODE_PARAGRAPHS) * 16;
    if (boot->kernel.size + 15 < code_end)
        return fail(error,
                    "-kernel: '%s' is truncated: it has %" PRIu64 " bytes, and its code ends at "
                    "%" PRIu64,
                    path, boot->kernel.size, code_end);
    if (image->version >= VERSION_XLOAD_FLAGS)
        image->xload_flags = get16(head + HDR_XLOAD_FLAGS);
    return true;
}

/* The kernel unpacks itself to its preferred address, or to where it was loaded if that is higher,
 * and uses init_size bytes there. Without that much memory it would die without a word. */
static bool image_place(const struct boot *boot, struct linux_image *image, GError **error)
{
    const uint8_t *head = image->head;
    uint64_t code_end = LOAD_ADDRESS + image->code_size;
    image->run_end = code_end;
    if (image->version >= VERSION_INIT_SIZE && image->header_end >= HDR_INIT_SIZE + 4) {
        uint64_t preferred = get64(head + HDR_PREFERRED_ADDRESS);
        uint64_t start = MAX(preferred, LOAD_ADDRESS);
        if (__builtin_add_overflow(start, get32(head + HDR_INIT_SIZE), &image->run_end))
            image->run_end = UINT64_MAX;
        image->run_end = MAX(image->run_end, code_end);
    }
    if (image->run_end > boot->ram->below_4g_size)
        return fail(error,
                    "-kernel: '%s' needs %" PRIu64 " MiB of memory to start, and the machine "
                    "has %" PRIu64 " MiB; give it more with -m",
                    boot->kernel.path, (image->run_end >> 20) + !!(image->run_end & 0xfffff),
                    boot->ram->size >> 20);
    return true;
}

static bool command_line_write(const struct boot *boot, const struct linux_image *image,
                               uint8_t *zero, GError **error)
{
    size_t length = strlen(boot->command_line);
    size_t max = MIN(get32(image->head + HDR_COMMAND_LINE_SIZE), BOOT_COMMAND_LINE_MAX - 1);
    if (length > max)
        return fail(error,
                    "-append: the command line has %zu bytes, and this kernel takes at most "
                    "%zu",
                    length, max);
    memcpy(boot_ram(boot, BOOT_COMMAND_LINE, length + 1), boot->command_line, length + 1);
    put32(zero + HDR_COMMAND_LINE, BOOT_COMMAND_LINE);
    return true;
}

static void memory_map_write(const struct boot *boot, uint8_t *zero)
{
    struct memory_range ranges[BOOT_MEMORY_RANGES];
    unsigned n = boot_memory_map(boot->ram, ranges);
    for (unsigned i = 0; i < n; i++) {
        struct e820_entry entry = { htole64(ranges[i].base), htole64(ranges[i].size),
                                    htole32(ranges[i].type) };
        memcpy(zero + ZERO_E820_TABLE + i * sizeof(entry), &entry, sizeof(entry));
    }
    zero[ZERO_E820_ENTRIES] = n;
}

/* Randomness for a guest that has no other source yet; without it, it starts a bit later. */
static void seed_write(const struct boot *boot, uint8_t *zero)
{
    struct setup_data_seed data = { .type = htole32(SETUP_RNG_SEED),
                                    .length = htole32(SEED_BYTES) };
    if (getrandom(data.seed, sizeof(data.seed), GRND_NONBLOCK) != sizeof(data.seed))
        return;
    memcpy(boot_ram(boot, BOOT_SETUP_DATA, sizeof(data)), &data, sizeof(data));
    put64(zero + HDR_SETUP_DATA, BOOT_SETUP_DATA);
}

static bool zero_page_write(const struct boot *boot, const struct linux_image *image,
                            GError **error)
{
    uint8_t *zero = boot_ram(boot, BOOT_ZERO_PAGE, ZERO_BYTES);
    memset(zero, 0, ZERO_BYTES);
    memcpy(zero + HDR_START, image->head + HDR_START, image->header_end - HDR_START);
    zero[HDR_LOADER_TYPE] = LOADER_UNKNOWN;
    put64(zero + ZERO_ACPI_RSDP, boot->rsdp);
    memory_map_write(boot, zero);
    if (image->header_end >= HDR_SETUP_DATA + 8)
        seed_write(boot, zero);
    if (!command_line_write(boot, image, zero, error))
        return false;
    uint64_t initrd, initrd_limit = (uint64_t)get32(image->head + HDR_INITRD_MAX) + 1;
    bool above_4g = image->xload_flags & XLF_ABOVE_4G && image->xload_flags & XLF_KERNEL_64;
    if (!boot_initrd_load(boot, image->run_end, initrd_limit, above_4g, &initrd, error))
        return false;
    uint64_t size = initrd ? boot->initrd.size : 0;
    put32(zero + HDR_RAMDISK_IMAGE, initrd);
    put32(zero + HDR_RAMDISK_SIZE, size);
    put32(zero + ZERO_EXT_RAMDISK_IMAGE, initrd >> 32);
    put32(zero + ZERO_EXT_RAMDISK_SIZE, size >> 32);
    return true;
}

static bool cpu_has_long_mode(const struct x86_cpu *cpu)
{
    return !cpu->model || x86_has(cpu, HAS_LM);
}

bool boot_linux(const struct boot *boot, const uint8_t *head, size_t size, GError **error)
{
    struct linux_image image = { .head = head, .head_size = size };
    if (!image_parse(boot, &image, error) || !image_place(boot, &image, error)
        || !zero_page_write(boot, &image, error)
        || !boot_ram_load(boot, &boot->kernel, image.code_offset, LOAD_ADDRESS, image.code_size,
                          error))
        return false;
    if (image.xload_flags & XLF_KERNEL_64 && cpu_has_long_mode(boot->cpu))
        boot_cpu_long(boot, LOAD_ADDRESS + ENTRY_64_OFFSET);
    else
        boot_cpu_protected(boot, LOAD_ADDRESS);
    boot->cpu->regs[RSI] = BOOT_ZERO_PAGE;
    boot->cpu->regs[RBX] = boot->cpu->regs[RBP] = boot->cpu->regs[RDI] = 0;
    return true;
}
