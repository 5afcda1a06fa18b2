/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loaders share: files, guest RAM, the memory map, the first CPU's mode. */
#include "machine/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

/* --- files ---------------------------------------------------------------------------------- */

bool boot_file_open(struct boot_file *file, const char *option, const char *path, GError **error)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_errno(error, "%s: cannot open '%s'", option, path);
    if (!S_ISREG(st.st_mode))
        return fail(error, "%s: '%s' is not a regular file", option, path);
    if (!st.st_size)
        return fail(error, "%s: '%s' is empty", option, path);
    file->option = option;
    file->path = g_strdup(path);
    file->size = st.st_size;
    file->fd = take_fd(&fd);
    return true;
}

void boot_file_close(struct boot_file *file)
{
    util_close_fd(&file->fd);
    file->fd = -1;
    g_clear_pointer(&file->path, g_free);
}

bool boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, size_t size,
                    GError **error)
{
    uint8_t *out = buffer;
    while (size) {
        ssize_t n = pread(file->fd, out, size, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(error, "%s: cannot read '%s'", file->option, file->path);
        if (n == 0)
            return fail(error,
                        "%s: '%s' is truncated: it ends at byte %" PRIu64
                        ", and %zu more are needed",
                        file->option, file->path, offset, size);
        out += n;
        offset += n;
        size -= n;
    }
    return true;
}

/* --- guest RAM ------------------------------------------------------------------------------ */

#define FOUR_GIB (1ull << 32)

void *boot_ram(const struct boot *boot, uint64_t gpa, uint64_t size)
{
    const struct guest_ram *ram = boot->ram;
    uint64_t high_size = ram->size - ram->below_4g_size;
    if (gpa < ram->below_4g_size && size <= ram->below_4g_size - gpa)
        return ram->host + gpa;
    if (gpa >= FOUR_GIB && gpa - FOUR_GIB < high_size && size <= high_size - (gpa - FOUR_GIB))
        return ram->host + ram->below_4g_size + (gpa - FOUR_GIB);
    return NULL;
}

/* Copies inside the host's kernel, from the file's pages to those of guest RAM: no fault per page,
 * and none is cleared before it is overwritten, which makes this nearly twice as fast as reading.
 * Returns how much was copied; the rest has to be read, and where that fails, it says why. */
static uint64_t ram_copy_from_file(const struct guest_ram *ram, const struct boot_file *file,
                                   uint64_t offset, const uint8_t *host, uint64_t size)
{
    uint64_t done = 0;
    off_t from = offset;
    if (lseek(ram->fd, host - ram->host, SEEK_SET) < 0)
        return 0;
    while (done < size) {
        ssize_t n = sendfile(ram->fd, file->fd, &from, size - done);
        if (n <= 0)
            break;
        done += n;
    }
    return done;
}

bool boot_ram_load(const struct boot *boot, const struct boot_file *file, uint64_t offset,
                   uint64_t gpa, uint64_t size, GError **error)
{
    if (offset > file->size || size > file->size - offset)
        return fail(error,
                    "%s: '%s' is truncated: it has %" PRIu64 " bytes, and its header asks for "
                    "%" PRIu64 " at %" PRIu64,
                    file->option, file->path, file->size, size, offset);
    uint8_t *host = boot_ram(boot, gpa, size);
    if (!host)
        return fail(error,
                    "%s: '%s' needs memory from 0x%" PRIx64 " to 0x%" PRIx64
                    ", which a machine with %" PRIu64 " MiB does not have there",
                    file->option, file->path, gpa, gpa + size, boot->ram->size >> 20);
    uint64_t done = ram_copy_from_file(boot->ram, file, offset, host, size);
    return boot_file_read(file, offset + done, host + done, size - done, error);
}

bool boot_ram_clear(const struct boot *boot, uint64_t gpa, uint64_t size)
{
    uint8_t *host = boot_ram(boot, gpa, size);
    if (!host)
        return false;
    size_t page = GUEST_PAGE_SIZE;
    uint64_t head = MIN(size, -(uintptr_t)host & (page - 1));
    memset(host, 0, head);
    host += head;
    size -= head;
    uint64_t pages = size & ~(uint64_t)(page - 1);
    if (pages && madvise(host, pages, MADV_REMOVE) < 0)
        memset(host, 0, pages);
    memset(host + pages, 0, size - pages);
    return true;
}

unsigned boot_memory_map(const struct guest_ram *ram, struct memory_range *ranges)
{
    unsigned n = 0;
    ranges[n++] = (struct memory_range){ 0, BOOT_EBDA, MEMORY_USABLE };
    ranges[n++] = (struct memory_range){ BOOT_EBDA, 0xa0000 - BOOT_EBDA, MEMORY_RESERVED };
    ranges[n++] = (struct memory_range){ BOOT_TABLES, BOOT_TABLES_SIZE, MEMORY_RESERVED };
    if (ram->below_4g_size > BOOT_RAM_MIN)
        ranges[n++] =
            (struct memory_range){ BOOT_RAM_MIN, ram->below_4g_size - BOOT_RAM_MIN, MEMORY_USABLE };
    if (ram->size > ram->below_4g_size)
        ranges[n++] =
            (struct memory_range){ FOUR_GIB, ram->size - ram->below_4g_size, MEMORY_USABLE };
    return n;
}

static uint64_t initrd_place(const struct boot *boot, uint64_t kernel_end, uint64_t limit,
                             bool above_4g)
{
    const struct guest_ram *ram = boot->ram;
    uint64_t size = boot->initrd.size, mask = ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    uint64_t top = MIN(limit, ram->below_4g_size);
    if (size <= top && ((top - size) & mask) >= kernel_end)
        return (top - size) & mask;
    uint64_t high_size = ram->size - ram->below_4g_size;
    if (above_4g && size <= high_size)
        return (FOUR_GIB + high_size - size) & mask;
    return 0;
}

bool boot_initrd_load(const struct boot *boot, uint64_t kernel_end, uint64_t limit, bool above_4g,
                      uint64_t *base, GError **error)
{
    const struct boot_file *initrd = &boot->initrd;
    *base = 0;
    if (initrd->fd < 0)
        return true;
    *base = initrd_place(boot, kernel_end, limit, above_4g);
    if (!*base)
        return fail(error,
                    "-initrd: '%s' of %" PRIu64 " KiB does not fit into %" PRIu64
                    " MiB of guest memory beside the kernel, which takes the first %" PRIu64
                    " MiB; give the machine more with -m",
                    initrd->path, (initrd->size + 1023) >> 10, boot->ram->size >> 20,
                    (kernel_end + 0xfffff) >> 20);
    return boot_ram_load(boot, initrd, 0, *base, initrd->size, error);
}

/* --- the first CPU -------------------------------------------------------------------------- */

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TASK 0x20

/* Descriptors of segments over the whole address space. (Intel SDM vol. 3, 3.4.5) */
#define DESCRIPTOR_CODE32 0x00cf9b000000ffffull
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA 0x00cf93000000ffffull
#define DESCRIPTOR_TASK 0x00008b0000000067ull

#define PAGE_PRESENT 1u
#define PAGE_WRITABLE 2u
#define PAGE_LARGE 0x80u
#define LARGE_PAGE_BYTES (2u << 20)

static struct x86_segment segment_flat(uint16_t selector, uint32_t attr)
{
    return (struct x86_segment){ .base = 0,
                                 .limit = 0xffffffff,
                                 .selector = selector,
                                 .attr = attr | SEG_ATTR_S | SEG_ATTR_P | SEG_ATTR_G };
}

static void segments_set(const struct boot *boot, bool code64)
{
    struct x86_cpu *cpu = boot->cpu;
    const uint64_t gdt[] = {
        0, 0, code64 ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32, DESCRIPTOR_DATA, DESCRIPTOR_TASK, 0
    };
    memcpy(boot_ram(boot, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
    cpu->gdt = (struct x86_table){ .base = BOOT_GDT, .limit = sizeof(gdt) - 1 };
    cpu->idt = (struct x86_table){ 0 };
    cpu->seg[SEG_CS] =
        segment_flat(SELECTOR_CODE, SEG_ATTR_CODE | SEG_ATTR_WRITABLE | SEG_ATTR_ACCESSED
                                        | (code64 ? SEG_ATTR_L : SEG_ATTR_DB));
    for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
        if (seg != SEG_CS)
            cpu->seg[seg] =
                segment_flat(SELECTOR_DATA, SEG_ATTR_WRITABLE | SEG_ATTR_ACCESSED | SEG_ATTR_DB);
    }
    /* A busy 32- or 64-bit task state segment; nothing uses it before the kernel loads its own. */
    cpu->tr =
        (struct x86_segment){ .selector = SELECTOR_TASK, .limit = 0x67, .attr = 0xb | SEG_ATTR_P };
    cpu->ldt = (struct x86_segment){ .attr = SEG_ATTR_UNUSABLE };
    cpu->cpl = 0;
}

static void cpu_start(const struct boot *boot, uint64_t entry)
{
    struct x86_cpu *cpu = boot->cpu;
    cpu->rip = entry;
    cpu->rflags = FLAG_FIXED;
    cpu->regs[RSP] = BOOT_STACK;
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr4 = 0;
    cpu->efer = 0;
}

void boot_cpu_protected(const struct boot *boot, uint64_t entry)
{
    cpu_start(boot, entry);
    segments_set(boot, false);
}

/* One page for each level, then four directories of 2 MiB pages. */
static void page_tables_write(const struct boot *boot)
{
    uint64_t *tables = boot_ram(boot, BOOT_PAGE_TABLES, 6 * GUEST_PAGE_SIZE);
    const unsigned per_table = GUEST_PAGE_SIZE / sizeof(uint64_t);
    uint64_t flags = PAGE_PRESENT | PAGE_WRITABLE;
    memset(tables, 0, 2 * GUEST_PAGE_SIZE);
    tables[0] = (BOOT_PAGE_TABLES + GUEST_PAGE_SIZE) | flags;
    for (unsigned i = 0; i < 4; i++)
        tables[per_table + i] = (BOOT_PAGE_TABLES + (2 + i) * GUEST_PAGE_SIZE) | flags;
    for (uint64_t i = 0; i < 4 * per_table; i++)
        tables[2 * per_table + i] = i * LARGE_PAGE_BYTES | flags | PAGE_LARGE;
}

void boot_cpu_long(const struct boot *boot, uint64_t entry)
{
    struct x86_cpu *cpu = boot->cpu;
    cpu_start(boot, entry);
    segments_set(boot, true);
    page_tables_write(boot);
    cpu->cr3 = BOOT_PAGE_TABLES;
    cpu->cr4 = CR4_PAE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->cr0 |= CR0_PG;
}

/* --- which kind ----------------------------------------------------------------------------- */

/* The words of the BIOS data area that kernels look at: the first serial port, where the extended
 * BIOS data area is, and the KiB below it. */
static void bios_data_write(const struct boot *boot)
{
    uint16_t com1 = 0x3f8, ebda_segment = BOOT_EBDA >> 4, low_kib = BOOT_EBDA >> 10;
    memcpy(boot_ram(boot, 0x400, 2), &com1, 2);
    memcpy(boot_ram(boot, 0x40e, 2), &ebda_segment, 2);
    memcpy(boot_ram(boot, 0x413, 2), &low_kib, 2);
}

bool boot_kernel(const struct boot *boot, GError **error)
{
    uint8_t head[BOOT_HEAD_BYTES];
    size_t size = MIN(boot->kernel.size, sizeof(head));
    if (boot->ram->below_4g_size < BOOT_RAM_MIN)
        return fail(error,
                    "%" PRIu64 " KiB of memory are too few to boot a kernel; it takes at "
                    "least 1 MiB",
                    boot->ram->size >> 10);
    if (!boot_file_read(&boot->kernel, 0, head, size, error))
        return false;
    bios_data_write(boot);
    if (boot_linux_detect(head, size))
        return boot_linux(boot, head, size, error);
    if (boot_multiboot_detect(head, size))
        return boot_multiboot(boot, head, size, error);
    if (boot_pvh_detect(head, size))
        return boot_pvh(boot, head, size, error);
    return fail(
        error,
        "-kernel: '%s' is neither a Linux bzImage nor a multiboot or ELF file; firmware images "
        "are given with -bios",
        boot->kernel.path);
}
