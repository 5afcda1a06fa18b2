/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -bios: a flat firmware image that ends at 4 GiB, so that the reset vector is its last 16 bytes.
 * Its last 128 KiB also lie below 1 MiB, in RAM as on a board whose firmware has shadowed
 * itself. */
#include "machine/boot_bios.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define BIOS_END (1ull << 32)
#define BIOS_MAX (16u << 20)
#define RESET_VECTOR_BYTES 16u
#define SHADOW_BASE 0xe0000u
#define SHADOW_MAX 0x20000u

bool boot_bios_open(struct boot_bios *bios, const char *path, GError **error)
{
    struct boot_file file = { .fd = -1 };
    if (!boot_file_open(&file, "-bios", path, error))
        return false;
    if (file.size < RESET_VECTOR_BYTES || file.size > BIOS_MAX) {
        fail(error, "-bios: '%s' has %" PRIu64 " bytes; a firmware image has %u to %u", path,
             file.size, RESET_VECTOR_BYTES, BIOS_MAX);
        boot_file_close(&file);
        return false;
    }
    /* Slots for ROM are whole pages: a shorter image has zeros before it. */
    bios->image_size = file.size;
    bios->rom_size = (file.size + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    bios->rom =
        mmap(NULL, bios->rom_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool loaded =
        bios->rom != MAP_FAILED
            ? boot_file_read(&file, 0, bios->rom + bios->rom_size - file.size, file.size, error)
            : fail_errno(error, "-bios: no memory for '%s'", path);
    boot_file_close(&file);
    if (bios->rom == MAP_FAILED)
        bios->rom = NULL;
    if (!loaded) {
        boot_bios_close(bios);
        return false;
    }
    bios->region = (struct region){
        .name = "bios",
        .kind = REGION_ROM,
        .base = BIOS_END - bios->rom_size,
        .size = bios->rom_size,
        .host = bios->rom,
        .priority = 1,
    };
    return true;
}

void boot_bios_close(struct boot_bios *bios)
{
    if (bios->rom && !bios->borrowed)
        munmap(bios->rom, bios->rom_size);
    bios->rom = NULL;
}

bool boot_bios_load(const struct boot_bios *bios, const struct boot *boot, GError **error)
{
    uint64_t size = MIN(bios->image_size, SHADOW_MAX);
    void *shadow = boot_ram(boot, SHADOW_BASE + SHADOW_MAX - size, size);
    if (!shadow)
        return fail(error,
                    "-bios: %" PRIu64 " KiB of memory are too few; firmware takes at least "
                    "1 MiB",
                    boot->ram->size >> 10);
    memcpy(shadow, bios->rom + bios->rom_size - size, size);
    return true;
}
