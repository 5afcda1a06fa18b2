/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/flash.h"

#include "hw/block/pflash.h"
#include "vm/vm.h"

#define FLASH_END (1ull << 32)
#define FLASH_BYTES_MAX (8u << 20)

/* -machine pflash0=NODE, or -drive if=pflash,unit=0; NULL: neither. */
static bool unit_find(struct vm *vm, unsigned unit, const char **name, GError **error)
{
    const struct drive *drive = drive_at(DRIVE_IF_PFLASH, 0, unit);
    *name = vm->config->pflash_nodes[unit];
    if (*name && drive)
        return fail(error, "flash memory %u was given by -machine pflash%u= and by -drive", unit,
                    unit);
    if (drive)
        *name = drive->name;
    return true;
}

bool flash_create(struct vm *vm, const uint8_t **image, uint64_t *size, GError **error)
{
    const char *names[PFLASH_UNITS];
    uint64_t end = FLASH_END;
    *image = NULL;
    for (unsigned i = 0; i < PFLASH_UNITS; i++)
        if (!unit_find(vm, i, &names[i], error))
            return false;
    if (names[1] && !names[0])
        return fail(error, "flash memory 1 needs flash memory 0, which is missing");
    for (unsigned i = 0; i < PFLASH_UNITS && names[i]; i++) {
        uint64_t bytes;
        struct device *dev = pflash_create(vm, names[i], end, error);
        if (!dev)
            return fail_prefix(error, "flash memory %u: ", i);
        const uint8_t *contents = pflash_contents(dev, &bytes);
        end -= bytes;
        if (FLASH_END - end > FLASH_BYTES_MAX)
            return fail(error, "the flash memories are larger than %u MiB in all",
                        FLASH_BYTES_MAX >> 20);
        if (i == 0) {
            *image = contents;
            *size = bytes;
        }
    }
    return true;
}
