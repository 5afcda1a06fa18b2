/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window at 0xa0000: how an access becomes one to the four planes. (IBM VGA Technical
 * Reference, "Graphics Controller")
 *
 * chained     the planes follow each other: byte n is in plane n % 4. With the memory's layout that
 *             is the memory as it is.
 * odd/even    even bytes are in planes 0 and 2, odd ones in 1 and 3: characters and attributes.
 * planar      each byte is eight pixels in all four planes at once. Reads fill the latches; writes
 *             combine the CPU's byte with them.
 *
 * In planar modes 32 bits hold a byte of each plane, plane 0 lowest. */
#include <string.h>

#include "hw/display/vga_internal.h"

#define SEQUENCER_MAP_MASK 2
#define SEQUENCER_MODE 4
#define MODE_CHAIN_4 0x08u
#define GRAPHICS_SET_RESET 0
#define GRAPHICS_SET_RESET_ENABLE 1
#define GRAPHICS_COMPARE 2
#define GRAPHICS_FUNCTION 3
#define GRAPHICS_READ_MAP 4
#define GRAPHICS_MODE 5
#define MODE_ODD_EVEN 0x10u
#define MODE_READ_COMPARE 0x08u
#define GRAPHICS_MISC 6
#define GRAPHICS_IGNORE 7
#define GRAPHICS_BIT_MASK 8
#define OUTSIDE UINT32_MAX

/* Bits 0 to 3, one for each plane, made bytes. */
static uint32_t planes_expand(uint8_t bits)
{
    uint32_t value = 0;
    for (unsigned plane = 0; plane < 4; plane++)
        if (bits & 1u << plane)
            value |= 0xffu << (8 * plane);
    return value;
}

static uint32_t byte_repeat(uint8_t byte)
{
    return byte * 0x01010101u;
}

/* Where in the mapped part an offset from 0xa0000 is, OUTSIDE if it is in none. */
static uint32_t window_offset(const struct vga *vga, uint32_t offset)
{
    static const struct {
        uint32_t base, size;
    } maps[] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
    unsigned map = vga->graphics[GRAPHICS_MISC] >> 2 & 3;
    if (offset < maps[map].base || offset - maps[map].base >= maps[map].size)
        return OUTSIDE;
    offset -= maps[map].base;
    return map == 1 ? offset + ((uint32_t)vga->vbe[VBE_BANK] << 16) : offset;
}

static bool is_chained(const struct vga *vga)
{
    return vga->sequencer[SEQUENCER_MODE] & MODE_CHAIN_4;
}

static bool is_odd_even(const struct vga *vga)
{
    return vga->graphics[GRAPHICS_MODE] & MODE_ODD_EVEN;
}

/* The place in the first of its two planes of a byte in odd/even mode; the other is 2 further. */
static uint32_t odd_even_place(uint32_t offset)
{
    return (offset & ~1u) << 1 | (offset & 1);
}

uint8_t vga_window_read(struct vga *vga, uint32_t offset)
{
    uint32_t mask = vga->size - 1;
    offset = window_offset(vga, offset);
    if (offset == OUTSIDE)
        return 0xff;
    if (is_chained(vga))
        return vga->memory[offset & mask];
    if (is_odd_even(vga))
        return vga
            ->memory[(odd_even_place(offset) | (vga->graphics[GRAPHICS_READ_MAP] & 2)) & mask];
    memcpy(vga->latch, &vga->memory[offset * 4 & mask], 4);
    if (!(vga->graphics[GRAPHICS_MODE] & MODE_READ_COMPARE))
        return vga->latch[vga->graphics[GRAPHICS_READ_MAP]];
    /* Which of the eight pixels have the colour, in the planes that are looked at. */
    uint8_t differ = 0;
    for (unsigned plane = 0; plane < 4; plane++) {
        uint8_t wanted = vga->graphics[GRAPHICS_COMPARE] & 1u << plane ? 0xff : 0;
        if (vga->graphics[GRAPHICS_IGNORE] & 1u << plane)
            differ |= vga->latch[plane] ^ wanted;
    }
    return ~differ;
}

static uint8_t rotate_right(uint8_t value, unsigned count)
{
    return count ? value >> count | value << (8 - count) : value;
}

/* The logical function, then the latches where the bit mask is clear. */
static uint32_t planes_combine(const struct vga *vga, uint32_t value, uint8_t bits, uint32_t latch)
{
    uint32_t mask = byte_repeat(bits);
    switch (vga->graphics[GRAPHICS_FUNCTION] >> 3) {
    case 1:
        value &= latch;
        break;
    case 2:
        value |= latch;
        break;
    case 3:
        value ^= latch;
        break;
    }
    return (value & mask) | (latch & ~mask);
}

/* What a write of `byte` in planar mode makes of the four planes. */
static uint32_t planes_written(const struct vga *vga, uint8_t byte)
{
    const uint8_t *graphics = vga->graphics;
    uint32_t latch, set_mask = planes_expand(graphics[GRAPHICS_SET_RESET_ENABLE]);
    uint32_t set = planes_expand(graphics[GRAPHICS_SET_RESET]);
    uint8_t bits = graphics[GRAPHICS_BIT_MASK];
    memcpy(&latch, vga->latch, 4);
    byte = (graphics[GRAPHICS_MODE] & 3) == 2 ? byte
                                              : rotate_right(byte, graphics[GRAPHICS_FUNCTION] & 7);
    switch (graphics[GRAPHICS_MODE] & 3) {
    case 0:
        return planes_combine(vga, (byte_repeat(byte) & ~set_mask) | (set & set_mask), bits, latch);
    case 1:
        return latch;
    case 2:
        return planes_combine(vga, planes_expand(byte), bits, latch);
    default:
        return planes_combine(vga, set, bits & byte, latch);
    }
}

static void planar_write(struct vga *vga, uint32_t offset, uint8_t byte)
{
    uint32_t mask = planes_expand(vga->sequencer[SEQUENCER_MAP_MASK]), old;
    uint8_t *place = &vga->memory[offset * 4 & (vga->size - 1)];
    memcpy(&old, place, 4);
    uint32_t value = (old & ~mask) | (planes_written(vga, byte) & mask);
    memcpy(place, &value, 4);
}

void vga_window_write(struct vga *vga, uint32_t offset, uint8_t value)
{
    uint8_t map_mask = vga->sequencer[SEQUENCER_MAP_MASK];
    uint32_t mask = vga->size - 1;
    offset = window_offset(vga, offset);
    if (offset == OUTSIDE)
        return;
    if (is_chained(vga)) {
        if (map_mask & 1u << (offset & 3))
            vga->memory[offset & mask] = value;
    } else if (is_odd_even(vga)) {
        uint32_t place = odd_even_place(offset) & mask;
        for (unsigned plane = offset & 1; plane < 4; plane += 2, place += 2)
            if (map_mask & 1u << plane)
                vga->memory[place] = value;
    } else {
        planar_write(vga, offset, value);
    }
}
