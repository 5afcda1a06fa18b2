/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF files: reading the program headers and loading what they say. (ELF specification 1.2) */
#ifndef YADO_MACHINE_BOOT_ELF_H
#define YADO_MACHINE_BOOT_ELF_H

#include "machine/boot.h"

#define ELF_SEGMENTS_MAX 128

struct elf_segment {
    uint32_t type;
    uint64_t offset, address, file_size, memory_size, align;
};

struct elf_image {
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    unsigned count;
    bool is64;
    uint64_t entry;
    uint64_t end; /* first address behind all segments; known when they are loaded */
};

/* Of boot->kernel, whose first `size` bytes are `head`. */
bool elf_read(const struct boot *boot, const uint8_t *head, size_t size, struct elf_image *image,
              GError **error);
bool elf_load(const struct boot *boot, struct elf_image *image, GError **error);
/* One piece of the kernel file, and zeros behind it up to `memory_size`. */
bool elf_segment_load(const struct boot *boot, const struct elf_segment *segment, GError **error);

#endif
