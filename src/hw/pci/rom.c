/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Expansion ROMs: romfile=, rombar=, romsize=. (PCI Local Bus Specification 3.0, 6.3) */
#include <string.h>
#include <sys/mman.h>

#include "hw/pci/internal.h"
#include "util/firmware_file.h"
#include "vm/vm.h"

#define ROM_MAX (16u << 20) /* more than any card has; keeps a wrong file out of memory */

static uint64_t round_up_power(uint64_t bytes)
{
    uint64_t size = GUEST_PAGE_SIZE;
    while (size < bytes)
        size *= 2;
    return size;
}

bool pci_rom_init(struct pci_function *function, GError **error)
{
    const char *name = function->romfile ? function->romfile : function->pci->romfile;
    if (!name || !*name || !function->rombar)
        return true;
    g_autofree char *content = NULL;
    g_autoptr(GError) reason = NULL;
    const struct vm_config *config = function->dev.vm->config;
    g_autofree char *path = firmware_file_find(config->firmware_folders, "romfile", name, &reason);
    gsize bytes;
    if (!path || !g_file_get_contents(path, &content, &bytes, &reason)) {
        if (!function->romfile) /* the default's package is not installed */
            return true;
        return fail(error, "%s", reason->message);
    }
    if (!bytes || bytes > ROM_MAX)
        return fail(error, "romfile '%s' has %zu bytes; an option ROM has 1 to %u", name, bytes,
                    ROM_MAX);
    uint64_t size = round_up_power(bytes);
    if (function->romsize != UINT32_MAX) {
        if (function->romsize < bytes || function->romsize & (function->romsize - 1))
            return fail(error, "romsize=%u is a power of two that holds romfile's %zu bytes",
                        function->romsize, bytes);
        size = MAX(function->romsize, GUEST_PAGE_SIZE);
    }
    uint8_t *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED)
        return fail_errno(error, "romfile '%s': cannot map %" G_GUINT64_FORMAT " bytes", name,
                          size);
    memcpy(host, content, bytes);
    memset(host + bytes, 0xff, size - bytes);
    function->rom = (struct region){
        .name = "pci-rom",
        .kind = REGION_ROM,
        .size = size,
        .host = host,
    };
    function->rom_bytes = size;
    pci_bar_define(function, PCI_BAR_ROM, PCI_BAR_MEMORY32, size);
    pci_bar_add_region(function, PCI_BAR_ROM, 0, &function->rom);
    return true;
}

void pci_rom_end(struct pci_function *function)
{
    if (function->rom_bytes)
        munmap(function->rom.host, function->rom_bytes);
    function->rom_bytes = 0;
}
