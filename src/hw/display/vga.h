/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VGA with Bochs' extensions: registers, the window at 0xa0000, and what its picture looks like.
 * (IBM VGA Technical Reference; "VBE Display Driver" of Bochs)
 *
 * Video memory is four planes, interleaved: byte n of plane p is at 4n + p. What programs see of it
 * through the window depends on the mode; the linear frame buffer is the memory as it is.
 *
 * Threads: [lock] is function.dev.lock, held by the core around all callbacks; vga_draw() takes it
 * itself. */
#ifndef YADO_HW_DISPLAY_VGA_H
#define YADO_HW_DISPLAY_VGA_H

#include "hw/pci/pci.h"
#include "memory/memory.h"

#define VGA_SEQUENCER_REGISTERS 8
#define VGA_GRAPHICS_REGISTERS 16
#define VGA_ATTRIBUTE_REGISTERS 21
#define VGA_CRTC_REGISTERS 256
#define VGA_DAC_COLOURS 256
#define VGA_MEMORY_MIN (1u << 20)
#define VGA_MEMORY_MAX (256u << 20)

/* Bochs' registers: index at port 0x1ce, value at 0x1cf, 16 bits each. */
enum vbe_register {
    VBE_ID = 0,
    VBE_WIDTH,
    VBE_HEIGHT,
    VBE_DEPTH,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRTUAL_WIDTH,
    VBE_VIRTUAL_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_REGISTERS
};
#define VBE_ENABLED 0x01u
#define VBE_GET_LIMITS 0x02u
#define VBE_DAC_8_BITS 0x20u
#define VBE_LINEAR 0x40u
#define VBE_KEEP_MEMORY 0x80u

struct vga {
    struct pci_function function;
    uint8_t *memory;     /* [const] host memory, page aligned; the guest writes it at any time */
    uint32_t size;       /* [const] a power of two */
    uint32_t memory_mib; /* [const] property */
    struct region low_ports, high_ports, vbe_index_port, vbe_data_port, window;
    /* [lock] */
    uint8_t sequencer[VGA_SEQUENCER_REGISTERS], graphics[VGA_GRAPHICS_REGISTERS];
    uint8_t attribute[VGA_ATTRIBUTE_REGISTERS], crtc[VGA_CRTC_REGISTERS];
    uint8_t sequencer_index, graphics_index, attribute_index, crtc_index;
    bool attribute_data; /* the next write to 0x3c0 is data */
    uint8_t misc_output, feature_control, status1;
    uint8_t dac[3 * VGA_DAC_COLOURS], dac_mask, dac_state;
    uint8_t dac_read_index, dac_write_index, dac_component, dac_pending[3];
    uint8_t latch[4]; /* what was last read of each plane */
    uint16_t vbe_index, vbe[VBE_REGISTERS];
};

/* Allocates memory, and maps ports and window. */
bool vga_init(struct vga *vga, GError **error);
void vga_destroy(struct vga *vga);
void vga_reset(struct vga *vga);

/* Ports 0x3b0 to 0x3df and Bochs' registers, for other ways to them. Lock held. */
uint8_t vga_port_read(struct vga *vga, uint16_t port);
void vga_port_write(struct vga *vga, uint16_t port, uint8_t value);
uint16_t vga_vbe_read(struct vga *vga, uint16_t index);
void vga_vbe_write(struct vga *vga, uint16_t index, uint16_t value);

/* A byte of the window, `offset` from 0xa0000. Lock held. */
uint8_t vga_window_read(struct vga *vga, uint32_t offset);
void vga_window_write(struct vga *vga, uint32_t offset, uint8_t value);

static inline struct vga *vga_of(struct device *dev)
{
    return container_of(dev, struct vga, function.dev);
}

struct screen;
/* The picture. Any thread. */
void vga_draw(struct vga *vga, struct screen *screen);

#endif
