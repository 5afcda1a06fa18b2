/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -bios: an image of any size is mapped so that it ends at 4 GiB, or refused. */
#include <sys/mman.h>

#include "machine/boot_bios.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guest_ram ram;
    if (!ram.host && !guest_ram_init(&ram, 2u << 20, 3ull << 30, NULL))
        return 0;
    auto_close int fd = memfd_create("bios", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    struct boot boot = { .ram = &ram };
    struct boot_bios bios = { 0 };
    g_autoptr(GError) error = NULL;
    if (write(fd, data, size) != (ssize_t)size || !boot_bios_open(&bios, path, &error))
        return 0;
    assert(bios.region.base + bios.region.size == 1ull << 32);
    bool loaded = boot_bios_load(&bios, &boot, &error);
    assert(loaded && ram.host[0xfffff] == data[size - 1]);
    boot_bios_close(&bios);
    return 0;
}
