/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of a VGA. What they do to memory accesses is in vga_window.c, what they make of the
 * picture in vga_draw.c.
 *
 *      0x3c0 0x3c1   attribute controller: index and data alternate at one port
 *      0x3c2 0x3cc   miscellaneous output
 *      0x3c4 0x3c5   sequencer
 *      0x3c6 - 0x3c9 palette (DAC)
 *      0x3ce 0x3cf   graphics controller
 *      0x3d4 0x3d5   CRT controller; at 0x3b4 and 0x3b5 instead where misc_output says monochrome
 *      0x3da         status, at 0x3ba instead likewise
 *      0x1ce 0x1cf   Bochs' extensions, 16 bits each */
#include "hw/display/vga.h"

#include <string.h>
#include <sys/mman.h>

#include "hw/display/vga_internal.h"
#include "vm/vm.h"

#define WINDOW_BASE 0xa0000u
#define WINDOW_BYTES 0x20000u
#define VBE_INDEX_PORT 0x1ceu
#define VBE_DATA_PORT 0x1cfu
#define VBE_ID_NEWEST 0xb0c5u
#define VBE_ID_OLDEST 0xb0c0u
#define VBE_WIDTH_MAX 16000u
#define VBE_HEIGHT_MAX 12000u

#define MISC_COLOUR 0x01u    /* CRT controller and status at 0x3dx */
#define STATUS_RETRACE 0x08u /* vertical */
#define STATUS_BLANKED 0x01u /* no picture is shown at the moment */
#define CRTC_PROTECT 0x80u   /* in register 0x11: registers 0 to 7 are read only */
#define CRTC_OVERFLOW 0x07u  /* whose bit 4, of line compare, is not protected */
#define CRTC_LINE_COMPARE_8 0x10u
#define ATTRIBUTE_VIDEO_ON 0x20u

/* --- Bochs' extensions ----------------------------------------------------------------------- */

bool vga_vbe_on(const struct vga *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_ENABLED;
}

unsigned vga_vbe_bytes(const struct vga *vga, unsigned pixels)
{
    unsigned depth = vga->vbe[VBE_DEPTH];
    return depth == 4 ? pixels / 2 : pixels * ((depth + 7) / 8);
}

/* Makes sizes and offsets agree with each other and with the memory there is. */
static void vbe_fix(struct vga *vga)
{
    uint16_t *vbe = vga->vbe;
    static const uint8_t depths[] = { 4, 8, 15, 16, 24, 32 };
    if (!memchr(depths, vbe[VBE_DEPTH], sizeof(depths)))
        vbe[VBE_DEPTH] = 8;
    vbe[VBE_WIDTH] = CLAMP(vbe[VBE_WIDTH] & ~7u, 8, VBE_WIDTH_MAX);
    vbe[VBE_VIRTUAL_WIDTH] = CLAMP(vbe[VBE_VIRTUAL_WIDTH] & ~7u, vbe[VBE_WIDTH], VBE_WIDTH_MAX);
    uint32_t line = vga_vbe_bytes(vga, vbe[VBE_VIRTUAL_WIDTH]);
    uint32_t lines = MIN(vga->size / line, UINT16_MAX);
    vbe[VBE_HEIGHT] = CLAMP(vbe[VBE_HEIGHT], 1, MIN(lines, VBE_HEIGHT_MAX));
    vbe[VBE_VIRTUAL_HEIGHT] = lines;
    if (vbe[VBE_X_OFFSET] > vbe[VBE_VIRTUAL_WIDTH] - vbe[VBE_WIDTH])
        vbe[VBE_X_OFFSET] = vbe[VBE_VIRTUAL_WIDTH] - vbe[VBE_WIDTH];
    if (vbe[VBE_Y_OFFSET] > lines - vbe[VBE_HEIGHT])
        vbe[VBE_Y_OFFSET] = lines - vbe[VBE_HEIGHT];
}

/* Programs that enable a mode here do not set the old registers: these are made to agree, so that
 * the window shows the memory as it is. */
static void vbe_set_legacy(struct vga *vga)
{
    bool planar = vga->vbe[VBE_DEPTH] == 4;
    vga->graphics[6] = (vga->graphics[6] & ~0x0c) | 0x05; /* graphics, 64 KiB at 0xa0000 */
    vga->graphics[5] = planar ? vga->graphics[5] & ~0x60 : (vga->graphics[5] & ~0x60) | 0x40;
    vga->sequencer[4] = planar ? 0x06 : 0x0e; /* chained or not */
    vga->sequencer[2] |= 0x0f;
    vga->sequencer[1] &= ~8;
    vga->crtc[0x17] |= 3;
    vga->crtc[0x09] &= ~0x9f;
}

static void vbe_enable(struct vga *vga, uint16_t value)
{
    bool was_on = vga_vbe_on(vga);
    if ((value & VBE_ENABLED) && !was_on) {
        vga->vbe[VBE_VIRTUAL_WIDTH] = vga->vbe[VBE_X_OFFSET] = vga->vbe[VBE_Y_OFFSET] = 0;
        vbe_fix(vga);
        if (!(value & VBE_KEEP_MEMORY))
            memset(vga->memory, 0,
                   vga_vbe_bytes(vga, vga->vbe[VBE_VIRTUAL_WIDTH]) * vga->vbe[VBE_HEIGHT]);
        vbe_set_legacy(vga);
    }
    if (!(value & VBE_ENABLED))
        vga->vbe[VBE_BANK] = 0;
    vga->vbe[VBE_ENABLE] = value;
}

uint16_t vga_vbe_read(struct vga *vga, uint16_t index)
{
    if (index >= VBE_REGISTERS)
        return 0;
    if (vga->vbe[VBE_ENABLE] & VBE_GET_LIMITS) {
        switch (index) {
        case VBE_WIDTH:
            return VBE_WIDTH_MAX;
        case VBE_HEIGHT:
            return VBE_HEIGHT_MAX;
        case VBE_DEPTH:
            return 32;
        }
    }
    return index == VBE_MEMORY_64K ? vga->size >> 16 : vga->vbe[index];
}

void vga_vbe_write(struct vga *vga, uint16_t index, uint16_t value)
{
    switch (index) {
    case VBE_ID:
        if (value >= VBE_ID_OLDEST && value <= VBE_ID_NEWEST)
            vga->vbe[VBE_ID] = value;
        break;
    case VBE_WIDTH:
    case VBE_HEIGHT:
    case VBE_DEPTH:
    case VBE_VIRTUAL_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        vga->vbe[index] = value;
        if (vga_vbe_on(vga))
            vbe_fix(vga);
        break;
    case VBE_BANK:
        vga->vbe[VBE_BANK] = value & ((vga->size >> 16) - 1);
        break;
    case VBE_ENABLE:
        vbe_enable(vga, value);
        break;
    }
}

/* --- palette --------------------------------------------------------------------------------- */

static uint8_t dac_read(struct vga *vga)
{
    uint8_t value = vga->dac[3 * vga->dac_read_index + vga->dac_component];
    if (++vga->dac_component == 3) {
        vga->dac_component = 0;
        vga->dac_read_index++;
    }
    return value;
}

/* A colour changes when its third component is written. */
static void dac_write(struct vga *vga, uint8_t value)
{
    vga->dac_pending[vga->dac_component++] = value;
    if (vga->dac_component < 3)
        return;
    memcpy(&vga->dac[3 * vga->dac_write_index], vga->dac_pending, 3);
    vga->dac_component = 0;
    vga->dac_write_index++;
}

/* --- attribute controller and CRT controller ------------------------------------------------- */

static void attribute_write(struct vga *vga, uint8_t value)
{
    static const uint8_t bits[VGA_ATTRIBUTE_REGISTERS - 16] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };
    unsigned index = vga->attribute_index & 0x1f;
    if (!vga->attribute_data)
        vga->attribute_index = value & 0x3f;
    else if (index < 16)
        vga->attribute[index] = value & 0x3f;
    else if (index < VGA_ATTRIBUTE_REGISTERS)
        vga->attribute[index] = value & bits[index - 16];
    vga->attribute_data = !vga->attribute_data;
}

static void crtc_write(struct vga *vga, uint8_t value)
{
    unsigned index = vga->crtc_index;
    if ((vga->crtc[0x11] & CRTC_PROTECT) && index <= CRTC_OVERFLOW) {
        if (index == CRTC_OVERFLOW)
            vga->crtc[index] =
                (vga->crtc[index] & ~CRTC_LINE_COMPARE_8) | (value & CRTC_LINE_COMPARE_8);
        return;
    }
    vga->crtc[index] = value;
}

/* Programs wait for the picture to end, and then for it to begin: each look sees the other. */
static uint8_t status1_read(struct vga *vga)
{
    vga->attribute_data = false;
    vga->status1 ^= STATUS_RETRACE | STATUS_BLANKED;
    return vga->status1;
}

/* --- ports ----------------------------------------------------------------------------------- */

/* The CRT controller and status are at one of two places; 0x3b4 stands for both here. */
static uint16_t port_fold(const struct vga *vga, uint16_t port)
{
    bool colour = vga->misc_output & MISC_COLOUR;
    if (port >= 0x3b0 && port <= 0x3bb)
        return colour ? 0 : port;
    if (port >= 0x3d0)
        return colour ? port - 0x20 : 0;
    return port;
}

uint8_t vga_port_read(struct vga *vga, uint16_t port)
{
    switch (port_fold(vga, port)) {
    case 0x3c0:
        return vga->attribute_data ? 0 : vga->attribute_index;
    case 0x3c1:
        return (vga->attribute_index & 0x1f) < VGA_ATTRIBUTE_REGISTERS
                   ? vga->attribute[vga->attribute_index & 0x1f]
                   : 0;
    case 0x3c2:
        return 0; /* no switch is sensed */
    case 0x3c4:
        return vga->sequencer_index;
    case 0x3c5:
        return vga->sequencer[vga->sequencer_index];
    case 0x3c6:
        return vga->dac_mask;
    case 0x3c7:
        return vga->dac_state;
    case 0x3c8:
        return vga->dac_write_index;
    case 0x3c9:
        return dac_read(vga);
    case 0x3ca:
        return vga->feature_control;
    case 0x3cc:
        return vga->misc_output;
    case 0x3ce:
        return vga->graphics_index;
    case 0x3cf:
        return vga->graphics[vga->graphics_index];
    case 0x3b4:
        return vga->crtc_index;
    case 0x3b5:
        return vga->crtc[vga->crtc_index];
    case 0x3ba:
        return status1_read(vga);
    default:
        return 0xff;
    }
}

void vga_port_write(struct vga *vga, uint16_t port, uint8_t value)
{
    static const uint8_t sequencer_bits[VGA_SEQUENCER_REGISTERS] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
    static const uint8_t graphics_bits[VGA_GRAPHICS_REGISTERS] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03,
                                                                   0x7b, 0x0f, 0x0f, 0xff };
    switch (port_fold(vga, port)) {
    case 0x3c0:
        attribute_write(vga, value);
        break;
    case 0x3c2:
        vga->misc_output = value & ~0x10;
        break;
    case 0x3c4:
        vga->sequencer_index = value & (VGA_SEQUENCER_REGISTERS - 1);
        break;
    case 0x3c5:
        vga->sequencer[vga->sequencer_index] = value & sequencer_bits[vga->sequencer_index];
        break;
    case 0x3c6:
        vga->dac_mask = value;
        break;
    case 0x3c7:
        vga->dac_read_index = value;
        vga->dac_component = 0;
        vga->dac_state = 3;
        break;
    case 0x3c8:
        vga->dac_write_index = value;
        vga->dac_component = 0;
        vga->dac_state = 0;
        break;
    case 0x3c9:
        dac_write(vga, value);
        break;
    case 0x3ce:
        vga->graphics_index = value & (VGA_GRAPHICS_REGISTERS - 1);
        break;
    case 0x3cf:
        vga->graphics[vga->graphics_index] = value & graphics_bits[vga->graphics_index];
        break;
    case 0x3b4:
        vga->crtc_index = value;
        break;
    case 0x3b5:
        crtc_write(vga, value);
        break;
    case 0x3ba:
        vga->feature_control = value & 0x10;
        break;
    }
}

/* --- regions --------------------------------------------------------------------------------- */

static uint64_t low_read(struct device *dev, uint64_t offset, unsigned size)
{
    return vga_port_read(vga_of(dev), 0x3b0 + offset);
}

static void low_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    vga_port_write(vga_of(dev), 0x3b0 + offset, value);
}

static uint64_t high_read(struct device *dev, uint64_t offset, unsigned size)
{
    return vga_port_read(vga_of(dev), 0x3c0 + offset);
}

static void high_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    vga_port_write(vga_of(dev), 0x3c0 + offset, value);
}

static uint64_t vbe_index_read(struct device *dev, uint64_t offset, unsigned size)
{
    return vga_of(dev)->vbe_index;
}

static void vbe_index_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    vga_of(dev)->vbe_index = value;
}

static uint64_t vbe_data_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct vga *vga = vga_of(dev);
    return vga_vbe_read(vga, vga->vbe_index);
}

static void vbe_data_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *vga = vga_of(dev);
    vga_vbe_write(vga, vga->vbe_index, value);
}

static uint64_t window_read(struct device *dev, uint64_t offset, unsigned size)
{
    return vga_window_read(vga_of(dev), offset);
}

static void window_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    vga_window_write(vga_of(dev), offset, value);
}

static const struct region_ops low_ops = { .read = low_read, .write = low_write, .max_size = 1 };
static const struct region_ops high_ops = { .read = high_read, .write = high_write, .max_size = 1 };
static const struct region_ops vbe_index_ops = {
    .read = vbe_index_read,
    .write = vbe_index_write,
    .min_size = 2,
    .max_size = 2,
};
static const struct region_ops vbe_data_ops = {
    .read = vbe_data_read,
    .write = vbe_data_write,
    .min_size = 2,
    .max_size = 2,
};
static const struct region_ops window_ops = {
    .read = window_read,
    .write = window_write,
    .max_size = 1,
};

/* --- life ------------------------------------------------------------------------------------ */

static void vga_map(struct vga *vga, struct address_space *space, struct region *region,
                    const char *name, uint32_t base, uint32_t size, const struct region_ops *ops)
{
    *region = (struct region){
        .name = name,
        .base = base,
        .size = size,
        .ops = ops,
        .dev = &vga->function.dev,
        .priority = 1, /* the window lies over RAM; Bochs' ports over each other */
    };
    address_space_add(space, region);
}

bool vga_init(struct vga *vga, GError **error)
{
    struct device *dev = &vga->function.dev;
    uint64_t size = (uint64_t)vga->memory_mib << 20;
    if (size < VGA_MEMORY_MIN || size > VGA_MEMORY_MAX || (size & (size - 1)))
        return fail(error, "%s: vgamem_mb=%u is not a power of two from %u to %u", dev->type->name,
                    vga->memory_mib, VGA_MEMORY_MIN >> 20, VGA_MEMORY_MAX >> 20);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return fail_errno(error, "%s: cannot map %u MiB of video memory", dev->type->name,
                          vga->memory_mib);
    struct address_space *io = dev->vm->io;
    vga->memory = memory;
    vga->size = size;
    vga_map(vga, io, &vga->low_ports, "vga-mono", 0x3b0, 12, &low_ops);
    vga_map(vga, io, &vga->high_ports, "vga", 0x3c0, 32, &high_ops);
    vga_map(vga, io, &vga->vbe_index_port, "vbe-index", VBE_INDEX_PORT, 2, &vbe_index_ops);
    vga_map(vga, io, &vga->vbe_data_port, "vbe-data", VBE_DATA_PORT, 2, &vbe_data_ops);
    vga_map(vga, dev->vm->memory, &vga->window, "vga-window", WINDOW_BASE, WINDOW_BYTES,
            &window_ops);
    return true;
}

void vga_destroy(struct vga *vga)
{
    struct address_space *io = vga->function.dev.vm->io;
    address_space_remove(io, &vga->low_ports);
    address_space_remove(io, &vga->high_ports);
    address_space_remove(io, &vga->vbe_index_port);
    address_space_remove(io, &vga->vbe_data_port);
    address_space_remove(vga->function.dev.vm->memory, &vga->window);
    munmap(vga->memory, vga->size);
}

void vga_reset(struct vga *vga)
{
    memset(vga->sequencer, 0, sizeof(vga->sequencer));
    memset(vga->graphics, 0, sizeof(vga->graphics));
    memset(vga->attribute, 0, sizeof(vga->attribute));
    memset(vga->crtc, 0, sizeof(vga->crtc));
    memset(vga->dac, 0, sizeof(vga->dac));
    memset(vga->latch, 0, sizeof(vga->latch));
    memset(vga->vbe, 0, sizeof(vga->vbe));
    vga->sequencer_index = vga->graphics_index = vga->attribute_index = vga->crtc_index = 0;
    vga->attribute_data = false;
    vga->misc_output = vga->feature_control = vga->status1 = 0;
    vga->dac_mask = 0xff;
    vga->dac_state = vga->dac_read_index = vga->dac_write_index = vga->dac_component = 0;
    vga->vbe_index = 0;
    vga->vbe[VBE_ID] = VBE_ID_NEWEST;
    vga->vbe[VBE_DEPTH] = 8;
}
