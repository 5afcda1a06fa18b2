/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot loaders: how a kernel or firmware image gets into guest memory and with which registers the
 * first CPU starts. Images are hostile input: every size in them is checked here.
 *
 * A loader sees guest RAM, one CPU and open files, no machine, so that tests and fuzzers call it
 * directly. Main loop, before vCPUs run. */
#ifndef YADO_MACHINE_BOOT_H
#define YADO_MACHINE_BOOT_H

#include "memory/memory.h"
#include "x86/cpu.h"

/* Low memory while a kernel starts. Everything lies in usable RAM that kernels take over once they
 * have read it; the ACPI tables are in the area firmware keeps. */
#define BOOT_GDT 0x6000u
#define BOOT_ZERO_PAGE 0x7000u /* Linux boot_params, or PVH start info */
#define BOOT_SETUP_DATA 0x8000u
#define BOOT_PAGE_TABLES 0x9000u /* 6 pages: the first 4 GiB one to one */
#define BOOT_STACK 0xf000u       /* top */
#define BOOT_COMMAND_LINE 0x10000u
#define BOOT_COMMAND_LINE_MAX 0x10000u
#define BOOT_EBDA 0x9fc00u
#define BOOT_TABLES 0xf0000u
#define BOOT_TABLES_SIZE 0x10000u
#define BOOT_SMBIOS 0xfe000u /* the end of the tables */
#define BOOT_SMBIOS_SIZE 0x2000u
#define BOOT_RAM_MIN 0x100000u /* smaller machines cannot hold the above */

struct boot_file {
    int fd; /* -1: not given */
    char *path;
    const char *option; /* "-kernel", for messages */
    uint64_t size;
};

struct boot_module {
    struct boot_file file;
    char *command_line; /* the file's name and what follows it */
};
#define BOOT_MODULES_MAX 64u

struct boot {
    struct guest_ram *ram;
    struct x86_cpu *cpu; /* the first CPU, in its reset state; the loader sets it up */
    struct boot_file kernel, initrd;
    struct boot_module *modules; /* of a multiboot kernel, instead of the initrd */
    unsigned module_count;
    const char *command_line; /* never NULL */
    uint64_t rsdp;            /* ACPI root pointer; 0: none */
};

enum memory_type { MEMORY_USABLE = 1, MEMORY_RESERVED = 2 }; /* as in E820 and PVH */

struct memory_range {
    uint64_t base, size;
    enum memory_type type;
};
#define BOOT_MEMORY_RANGES 5

/* Opens a regular file; `file` names it in later errors until boot_file_close(). */
bool boot_file_open(struct boot_file *file, const char *option, const char *path, GError **error);
void boot_file_close(struct boot_file *file);
bool boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, size_t size,
                    GError **error);

/* Host address of [gpa, gpa + size) if all of it is guest RAM, else NULL. */
void *boot_ram(const struct boot *boot, uint64_t gpa, uint64_t size);

/* Reads part of a file straight into guest RAM, without a copy in between. */
bool boot_ram_load(const struct boot *boot, const struct boot_file *file, uint64_t offset,
                   uint64_t gpa, uint64_t size, GError **error);

/* Guest RAM that shall read as zero. Whole pages are given back to the host. */
bool boot_ram_clear(const struct boot *boot, uint64_t gpa, uint64_t size);

/* What the guest is told about memory, ascending; returns how many, at most BOOT_MEMORY_RANGES. */
unsigned boot_memory_map(const struct guest_ram *ram, struct memory_range *ranges);

/* Chooses where the initrd goes: page aligned, as high as possible below `limit` (exclusive) and
 * not below `kernel_end`, or with `above_4g` also there. Then loads it. Without initrd: *base =
 * 0. */
bool boot_initrd_load(const struct boot *boot, uint64_t kernel_end, uint64_t limit, bool above_4g,
                      uint64_t *base, GError **error);

/* Flat 32-bit protected mode without paging, or 64-bit mode with the first 4 GiB mapped one to one;
 * interrupts off, `entry` in RIP. Selectors as Linux expects: code 0x10, data 0x18. */
void boot_cpu_protected(const struct boot *boot, uint64_t entry);
void boot_cpu_long(const struct boot *boot, uint64_t entry);

/* "FILE ARGUMENTS,FILE …", a comma in a name written twice: opens them as boot->modules.
 * boot_modules_close() closes them, in failure too. */
bool boot_modules_open(struct boot *boot, const char *text, GError **error);
void boot_modules_close(struct boot *boot);
/* Is the opened kernel a multiboot one? False and no error if it cannot be read: loading it says
 * why. */
bool boot_kernel_takes_modules(const struct boot *boot);

/* Loads boot->kernel, whichever kind it is. */
bool boot_kernel(const struct boot *boot, GError **error);

/* The three kinds; `head` is the file's start, shorter than BOOT_HEAD_BYTES only if the file is. */
#define BOOT_HEAD_BYTES 8192u /* where a multiboot header may be */
bool boot_linux_detect(const uint8_t *head, size_t size);
bool boot_linux(const struct boot *boot, const uint8_t *head, size_t size, GError **error);
bool boot_multiboot_detect(const uint8_t *head, size_t size);
bool boot_multiboot(const struct boot *boot, const uint8_t *head, size_t size, GError **error);
bool boot_pvh_detect(const uint8_t *head, size_t size);
bool boot_pvh(const struct boot *boot, const uint8_t *head, size_t size, GError **error);

#endif
