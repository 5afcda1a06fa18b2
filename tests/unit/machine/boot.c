/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaders over images made here: what a good one leaves in guest memory and registers, and
 * which sentence a bad one gets. */
#include "machine/boot.h"

#include <elf.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "machine/boot_bios.h"
#include "tap.h"

#define MIB (1u << 20)
#define CODE_OFFSET 1024u /* one setup sector after the first */
#define IMAGE_BYTES 8192u
#define PATTERN 0x5a

struct fixture {
    struct guest_ram ram;
    struct x86_cpu *cpu;
    struct boot boot;
    GError *error;
};

/* A file without a name of its own, holding `size` bytes. */
static void file_make(struct boot_file *file, const char *option, const void *data, size_t size)
{
    auto_close int fd = memfd_create("image", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_assert(write(fd, data, size) == (ssize_t)size);
    g_assert(boot_file_open(file, option, path, NULL));
}

static void fixture_init(struct fixture *f, uint64_t ram_bytes, const void *kernel, size_t size)
{
    memset(f, 0, sizeof(*f));
    g_assert(guest_ram_init(&f->ram, ram_bytes, 64 * MIB, NULL));
    f->cpu = aligned_alloc(64, sizeof(*f->cpu));
    memset(f->cpu, 0, sizeof(*f->cpu));
    f->boot = (struct boot){ .ram = &f->ram,
                             .cpu = f->cpu,
                             .command_line = "quiet splash",
                             .rsdp = BOOT_TABLES,
                             .kernel.fd = -1,
                             .initrd.fd = -1 };
    file_make(&f->boot.kernel, "-kernel", kernel, size);
}

static void fixture_end(struct fixture *f)
{
    g_clear_error(&f->error);
    boot_file_close(&f->boot.kernel);
    boot_file_close(&f->boot.initrd);
    guest_ram_destroy(&f->ram);
    free(f->cpu);
}

static void put16(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, sizeof(v));
}

static void put32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

/* A bzImage of protocol 2.15 with a 64-bit entry that unpacks to 2 MiB and takes 1 MiB there. */
static void bzimage_make(uint8_t *image)
{
    memset(image, 0, IMAGE_BYTES);
    image[0x1f1] = CODE_OFFSET / 512 - 1;
    put32(image + 0x1f4, (IMAGE_BYTES - CODE_OFFSET) / 16);
    image[0x201] = 0x6a;
    memcpy(image + 0x202, "HdrS", 4);
    put16(image + 0x206, 0x020f);
    image[0x211] = 1;
    put32(image + 0x22c, 0x7fffffff);
    put16(image + 0x236, 3);
    put32(image + 0x238, 2047);
    put32(image + 0x258, 2 * MIB);
    put32(image + 0x260, MIB);
    memset(image + CODE_OFFSET, PATTERN, IMAGE_BYTES - CODE_OFFSET);
}

static void test_linux(void)
{
    uint8_t image[IMAGE_BYTES];
    static uint8_t initrd[5000];
    struct fixture f;
    bzimage_make(image);
    memset(initrd, 7, sizeof(initrd));
    fixture_init(&f, 16 * MIB, image, sizeof(image));
    file_make(&f.boot.initrd, "-initrd", initrd, sizeof(initrd));
    tap_ok(boot_kernel(&f.boot, &f.error), "a bzImage loads");
    tap_ok(f.cpu->rip == MIB + 0x200 && f.cpu->regs[RSI] == BOOT_ZERO_PAGE,
           "entered in 64-bit mode");
    tap_ok(x86_code64(f.cpu) && f.cpu->cr0 & CR0_PG && f.cpu->cr3 == BOOT_PAGE_TABLES,
           "in long mode with paging");
    tap_ok(f.ram.host[MIB] == PATTERN && f.ram.host[MIB + IMAGE_BYTES - CODE_OFFSET - 1] == PATTERN,
           "its code is at 1 MiB");
    const uint8_t *zero = f.ram.host + BOOT_ZERO_PAGE;
    tap_is((char *)f.ram.host + get32(zero + 0x228), "quiet splash", "the command line is there");
    tap_ok(get64(zero + 0x70) == BOOT_TABLES, "the ACPI root pointer is passed");
    uint32_t at = get32(zero + 0x218);
    tap_ok(get32(zero + 0x21c) == sizeof(initrd) && at % 4096 == 0 && at > 15 * MIB
               && !memcmp(f.ram.host + at, initrd, sizeof(initrd)),
           "the initrd is high in memory");
    tap_ok(zero[0x1e8] == 4 && get64(zero + 0x2d0) == 0 && get64(zero + 0x2d8) == 0x9fc00,
           "the memory map starts with low memory");
    fixture_end(&f);
}

static void test_linux_32_bit_entry(void)
{
    uint8_t image[IMAGE_BYTES];
    struct fixture f;
    bzimage_make(image);
    put16(image + 0x236, 0);
    fixture_init(&f, 16 * MIB, image, sizeof(image));
    tap_ok(boot_kernel(&f.boot, &f.error) && f.cpu->rip == MIB && !(f.cpu->cr0 & CR0_PG)
               && f.cpu->seg[SEG_CS].attr & SEG_ATTR_DB,
           "without a 64-bit entry, the 32-bit one");
    fixture_end(&f);
}

/* With little room below 4 GiB (64 MiB in these machines), a kernel that allows it gets the initrd
 * above; one that does not gets an error. */
static void test_initrd_above_4g(void)
{
    uint8_t image[IMAGE_BYTES];
    size_t size = 63 * MIB;
    g_autofree uint8_t *initrd = g_malloc0(size);
    for (unsigned allowed = 0; allowed < 2; allowed++) {
        struct fixture f;
        bzimage_make(image);
        put16(image + 0x236, allowed ? 3 : 1);
        fixture_init(&f, 192 * MIB, image, sizeof(image));
        file_make(&f.boot.initrd, "-initrd", initrd, size);
        bool loaded = boot_kernel(&f.boot, &f.error);
        tap_ok(loaded == !!allowed, "an initrd %s go above 4 GiB", allowed ? "may" : "must not");
        if (loaded)
            tap_ok(get32(f.ram.host + BOOT_ZERO_PAGE + 0x0c0) == 1, "and its address says so");
        fixture_end(&f);
    }
}

struct change {
    const char *name;
    unsigned offset, bytes;
    uint32_t value;
    size_t size;          /* of the file; 0: all */
    const char *expected; /* part of the sentence */
};

static void test_bad_bzimages(void)
{
    static const struct change changes[] = {
        { "an old protocol", 0x206, 2, 0x0205, 0, "boot protocol 2.05" },
        { "a zImage", 0x211, 1, 0, 0, "zImage" },
        { "a short header", 0x201, 1, 0x10, 0, "header of only" },
        { "a file that ends in its setup", 0x1f1, 1, 64, 0, "truncated" },
        { "a file that ends in its code", 0x1f4, 4, 0x10000, 0, "its code ends at" },
        { "a file that ends in its code", 0, 1, 0, 4096, "its code ends at 8192" },
        { "a file that ends in its header", 0, 1, 0, 0x240, "header" },
        { "more memory than there is", 0x260, 4, 0x7fffffff, 0, "MiB of memory to start" },
        { "a preferred address near the end", 0x25c, 4, 0xffffffff, 0, "MiB of memory to start" },
        { "no magic", 0x202, 4, 0, 0, "neither a Linux bzImage nor a multiboot or ELF file" },
        { "a command line too long", 0x238, 4, 5, 0, "at most 5" },
        { "a file of one byte", 0, 1, 0, 1, "neither" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        const struct change *c = &changes[i];
        uint8_t image[IMAGE_BYTES];
        struct fixture f;
        bzimage_make(image);
        memcpy(image + c->offset, &c->value, c->bytes);
        fixture_init(&f, 16 * MIB, image, c->size ? c->size : sizeof(image));
        bool refused = !boot_kernel(&f.boot, &f.error);
        tap_ok(refused && strstr(f.error->message, c->expected), "bzImage, %s: %s", c->name,
               f.error ? f.error->message : "loaded");
        fixture_end(&f);
    }
}

struct elf_file {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    struct {
        Elf32_Nhdr header;
        char name[4];
        uint32_t entry;
    } note;
    uint8_t code[64];
};

static void elf_make(struct elf_file *elf)
{
    memset(elf, 0, sizeof(*elf));
    memcpy(elf->header.e_ident, ELFMAG, SELFMAG);
    elf->header.e_ident[EI_CLASS] = ELFCLASS64;
    elf->header.e_ident[EI_DATA] = ELFDATA2LSB;
    elf->header.e_machine = EM_X86_64;
    elf->header.e_phoff = offsetof(struct elf_file, segments);
    elf->header.e_phentsize = sizeof(Elf64_Phdr);
    elf->header.e_phnum = 2;
    elf->segments[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
                                     .p_paddr = MIB,
                                     .p_offset = offsetof(struct elf_file, code),
                                     .p_filesz = 64,
                                     .p_memsz = 10000 };
    elf->segments[1] = (Elf64_Phdr){ .p_type = PT_NOTE,
                                     .p_offset = offsetof(struct elf_file, note),
                                     .p_filesz = sizeof(elf->note),
                                     .p_align = 4 };
    elf->note.header = (Elf32_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
    memcpy(elf->note.name, "Xen", 4);
    elf->note.entry = MIB + 16;
    memset(elf->code, PATTERN, sizeof(elf->code));
}

static void test_pvh(void)
{
    struct elf_file elf;
    struct fixture f;
    elf_make(&elf);
    fixture_init(&f, 192 * MIB, &elf, sizeof(elf));
    memset(f.ram.host + MIB, 0xcc, 16384); /* what a run before a reset left */
    file_make(&f.boot.initrd, "-initrd", "abc", 3);
    tap_ok(boot_kernel(&f.boot, &f.error), "an ELF file with a PVH note loads");
    tap_ok(f.cpu->rip == MIB + 16 && f.cpu->regs[RBX] == BOOT_ZERO_PAGE && f.cpu->cr0 & CR0_PE
               && !(f.cpu->cr0 & CR0_PG),
           "entered in protected mode");
    tap_ok(f.ram.host[MIB] == PATTERN && f.ram.host[MIB + 63] == PATTERN
               && f.ram.host[MIB + 64] == 0 && f.ram.host[MIB + 9999] == 0
               && f.ram.host[MIB + 10000] == 0xcc,
           "its data is loaded and the rest cleared, no more");
    const uint8_t *info = f.ram.host + BOOT_ZERO_PAGE;
    tap_ok(get32(info) == 0x336ec578 && get32(info + 4) == 1, "the start info has its magic");
    tap_is((char *)f.ram.host + get64(info + 24), "quiet splash", "the command line is there");
    const uint8_t *module = f.ram.host + get64(info + 16);
    tap_ok(get32(info + 12) == 1 && get64(module + 8) == 3
               && !memcmp(f.ram.host + get64(module), "abc", 3),
           "the initrd is a module");
    tap_ok(get32(info + 48) == 5 && get64(f.ram.host + get64(info + 40) + 4 * 24) == 1ull << 32,
           "the memory map ends with memory above 4 GiB");
    fixture_end(&f);
}

static void test_bad_elf(void)
{
#define FIELD(member) offsetof(struct elf_file, member)
    static const struct change changes[] = {
        { "of another architecture", FIELD(header.e_machine), 2, EM_AARCH64, 0, "architecture" },
        { "without note", FIELD(segments[1].p_type), 4, PT_NULL, 0, "without a PVH entry note" },
        { "with a note of another name", FIELD(note.name), 4, 0, 0, "without a PVH entry note" },
        { "with a note without end", FIELD(note.header.n_descsz), 4, 0xfffffff0, 0, "without" },
        { "without segments", FIELD(header.e_phnum), 2, 0, 0, "program header table" },
        { "with too many segments", FIELD(header.e_phnum), 2, 0xffff, 0, "program header table" },
        { "with its table elsewhere", FIELD(header.e_phoff) + 4, 4, 0xffffffff, 0, "truncated" },
        { "cut in the table", 0, 1, 0x7f, 100, "truncated" },
        { "cut in its header", 0, 1, 0x7f, 40, "truncated" },
        { "with its data elsewhere", FIELD(segments[0].p_offset) + 4, 4, 0x7fffffff, 0,
          "truncated" },
        { "too large for memory", FIELD(segments[0].p_memsz), 4, 0xfffffff0, 0, "give it more" },
        { "wrapping around", FIELD(segments[0].p_paddr) + 4, 4, 0xffffffff, 0, "have there" },
        { "over the start info", FIELD(segments[0].p_paddr), 4, 0x5000, 0, "start info" },
        { "with more data than memory", FIELD(segments[0].p_memsz), 4, 3, 0, "ELF segment of 64" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        const struct change *c = &changes[i];
        struct elf_file elf;
        struct fixture f;
        elf_make(&elf);
        memcpy((char *)&elf + c->offset, &c->value, c->bytes);
        fixture_init(&f, 16 * MIB, &elf, c->size ? c->size : sizeof(elf));
        bool refused = !boot_kernel(&f.boot, &f.error);
        tap_ok(refused && strstr(f.error->message, c->expected), "ELF %s: %s", c->name,
               f.error ? f.error->message : "loaded");
        fixture_end(&f);
    }
}

static void test_bios(void)
{
    static const size_t sizes[] = { 16, 4096, 65536, 65536 + 512, 256 << 10 };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        size_t size = sizes[i];
        g_autofree uint8_t *image = g_malloc0(size);
        struct fixture f;
        struct boot_bios bios = { 0 };
        image[0] = 0x11;
        image[size - 1] = 0x22;
        fixture_init(&f, 16 * MIB, image, size);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", f.boot.kernel.fd);
        bool loaded =
            boot_bios_open(&bios, path, &f.error) && boot_bios_load(&bios, &f.boot, &f.error);
        tap_ok(loaded && bios.region.base + bios.region.size == 1ull << 32
                   && bios.rom[bios.rom_size - 1] == 0x22 && bios.rom[bios.rom_size - size] == 0x11
                   && f.ram.host[0xfffff] == 0x22,
               "firmware of %zu bytes ends at 4 GiB and 1 MiB", size);
        boot_bios_close(&bios);
        fixture_end(&f);
    }
}

static void test_open(void)
{
    static const struct {
        const char *path, *expected;
    } cases[] = {
        { "/nonexistent/vmlinuz", "-kernel: cannot open '/nonexistent/vmlinuz': No such file" },
        { "/", "-kernel: '/' is not a regular file" },
        { "/dev/null", "-kernel: '/dev/null' is not a regular file" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct boot_file file = { .fd = -1 };
        g_autoptr(GError) error = NULL;
        bool refused = !boot_file_open(&file, "-kernel", cases[i].path, &error);
        tap_ok(refused && g_str_has_prefix(error->message, cases[i].expected), "%s",
               error ? error->message : cases[i].path);
    }
}

int main(void)
{
    test_linux();
    test_linux_32_bit_entry();
    test_initrd_above_4g();
    test_bad_bzimages();
    test_pvh();
    test_bad_elf();
    test_bios();
    test_open();
    return tap_done();
}
