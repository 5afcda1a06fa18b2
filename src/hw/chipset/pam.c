/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/chipset/pam.h"

#include "vm/vm.h"

#define AREA_FIRST 0xc0000u
#define AREA_LAST 0xf0000u /* 64 KiB; the others have 16 */
#define AREA_BYTES 0x4000u
#define AREA_LAST_BYTES 0x10000u
#define HOLE_END 0x100000u
#define VIDEO_BASE 0xa0000u
#define VIDEO_BYTES 0x20000u

/* Nobody answers: reads give all ones. */
static const struct region_ops hole_ops = { .unlocked = true };

static void hole_map(struct pam *pam, struct region *hole, struct device *dev, const char *name,
                     uint64_t base, uint64_t bytes)
{
    *hole = (struct region){
        .name = name,
        .base = base,
        .size = bytes,
        .ops = &hole_ops,
        .dev = dev,
    };
    address_space_add(pam->vm->memory, hole);
}

static uint64_t area_base(unsigned area)
{
    return area ? AREA_FIRST + (area - 1) * AREA_BYTES : AREA_LAST;
}

void pam_init(struct pam *pam, struct device *dev)
{
    pam->vm = dev->vm;
    hole_map(pam, &pam->hole, dev, "pam-pci", AREA_FIRST, HOLE_END - AREA_FIRST);
    hole_map(pam, &pam->video_hole, dev, "smram-pci", VIDEO_BASE, VIDEO_BYTES);
    for (unsigned i = 0; i < PAM_AREAS; i++)
        pam->areas[i] = (struct region){
            .name = "pam-ram",
            .base = area_base(i),
            .size = i ? AREA_BYTES : AREA_LAST_BYTES,
            .host = pam->vm->ram.host + area_base(i),
            .priority = 2,
        };
}

static void area_set(struct pam *pam, unsigned i, enum pam_mode mode)
{
    struct region *region = &pam->areas[i];
    bool mapped = pam->modes[i] & PAM_READ_ONLY, wanted = mode & PAM_READ_ONLY;
    if (pam->modes[i] == mode)
        return;
    if (mapped)
        address_space_remove(pam->vm->memory, region);
    region->kind = mode == PAM_RAM ? REGION_RAM : REGION_ROM;
    if (wanted)
        address_space_add(pam->vm->memory, region);
    pam->modes[i] = mode;
}

void pam_update(struct pam *pam, const uint8_t *registers)
{
    address_space_begin(pam->vm->memory);
    area_set(pam, 0, registers[0] >> 4 & 3);
    for (unsigned i = 1; i < PAM_AREAS; i++)
        area_set(pam, i, registers[(i + 1) / 2] >> (i % 2 ? 0 : 4) & 3);
    address_space_end(pam->vm->memory);
}

/* Maps or unmaps `region`, whose size tells which it is. */
static void ram_set(struct address_space *space, struct region *region, const struct region *wanted)
{
    if (region->size == wanted->size && region->base == wanted->base)
        return;
    if (region->size)
        address_space_remove(space, region);
    *region = *wanted;
    if (region->size)
        address_space_add(space, region);
}

void pam_update_smram(struct pam *pam, uint8_t smram)
{
    const struct region none = { .base = VIDEO_BASE }, ram = {
        .name = "smram",
        .kind = REGION_RAM,
        .base = VIDEO_BASE,
        .size = VIDEO_BYTES,
        .host = pam->vm->ram.host + VIDEO_BASE,
        .priority = 3,
    };
    bool enabled = smram & SMRAM_ENABLE;
    address_space_begin(pam->vm->memory);
    ram_set(pam->vm->memory, &pam->smram_open, enabled && smram & SMRAM_OPEN ? &ram : &none);
    ram_set(pam->vm->smm_memory, &pam->smram, enabled ? &ram : &none);
    address_space_end(pam->vm->memory);
}

void pam_update_tseg(struct pam *pam, uint64_t base, uint64_t bytes)
{
    struct region hole = {
        .name = "tseg-blackhole",
        .base = base,
        .size = bytes,
        .ops = &hole_ops,
        .dev = pam->hole.dev,
        .priority = 3,
    };
    struct region ram = hole;
    ram.name = "tseg";
    ram.kind = REGION_RAM;
    ram.host = pam->vm->ram.host + base;
    address_space_begin(pam->vm->memory);
    ram_set(pam->vm->memory, &pam->tseg_hole, &hole);
    ram_set(pam->vm->smm_memory, &pam->tseg, &ram);
    address_space_end(pam->vm->memory);
}

void pam_end(struct pam *pam)
{
    const uint8_t closed[PAM_REGISTERS] = { 0 };
    pam_update(pam, closed);
    pam_update_smram(pam, 0);
    pam_update_tseg(pam, 0, 0);
    address_space_remove(pam->vm->memory, &pam->hole);
    address_space_remove(pam->vm->memory, &pam->video_hole);
}
