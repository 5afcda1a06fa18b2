/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VGA: the standard graphics card of QEMU's machines, a VGA with Bochs' extensions on PCI.
 *
 *      BAR 0   video memory as it is
 *      BAR 2   registers in memory, for machines that do not reach the ports:
 *              0x400  ports 0x3c0 to 0x3df
 *              0x500  Bochs' registers, 16 bits each
 *              0x600  the size of the block after 0x600, and the frame buffer's byte order */
#include "hw/display/screen.h"
#include "hw/display/vga.h"

#define BAR_MEMORY 0
#define BAR_REGISTERS 2
#define REGISTERS_BYTES 4096u
#define AREA_PORTS 0x400u
#define AREA_VBE 0x500u
#define AREA_EXTRA 0x600u
#define EXTRA_SIZE 0u
#define EXTRA_ORDER 4u
#define EXTRA_BYTES 8u
#define ORDER_LITTLE 0x1e1e1e1eu

struct vga_pci {
    struct vga vga;
    struct region frame_buffer, registers;
};

/* --- registers in memory --------------------------------------------------------------------- */

static uint64_t extra_read(uint64_t offset, unsigned size)
{
    uint32_t value = offset < EXTRA_ORDER ? EXTRA_BYTES : ORDER_LITTLE;
    return value >> (8 * (offset & 3));
}

/* The core hands over single bytes, and 16 bits where they are aligned. */
static uint64_t registers_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct vga *vga = vga_of(dev);
    if (offset >= AREA_EXTRA && offset < AREA_EXTRA + EXTRA_BYTES)
        return extra_read(offset - AREA_EXTRA, size);
    if (offset >= AREA_VBE && offset < AREA_VBE + 2 * VBE_REGISTERS)
        return vga_vbe_read(vga, (offset - AREA_VBE) / 2) >> (8 * (offset & 1));
    if (offset < AREA_PORTS || offset >= AREA_PORTS + 0x20)
        return 0;
    uint16_t port = 0x3c0 + (offset - AREA_PORTS);
    uint16_t value = vga_port_read(vga, port);
    return size == 1 ? value : value | vga_port_read(vga, port + 1) << 8;
}

static void registers_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *vga = vga_of(dev);
    if (offset >= AREA_VBE && offset < AREA_VBE + 2 * VBE_REGISTERS && size == 2) {
        vga_vbe_write(vga, (offset - AREA_VBE) / 2, value);
        return;
    }
    if (offset < AREA_PORTS || offset >= AREA_PORTS + 0x20)
        return;
    for (unsigned i = 0; i < size; i++)
        vga_port_write(vga, 0x3c0 + (offset - AREA_PORTS) + i, value >> (8 * i));
}

static const struct region_ops registers_ops = {
    .read = registers_read,
    .write = registers_write,
    .max_size = 2,
};

/* --- life ------------------------------------------------------------------------------------ */

static bool vga_pci_realize(struct device *dev, GError **error)
{
    struct vga_pci *card = container_of(dev, struct vga_pci, vga.function.dev);
    struct vga *vga = &card->vga;
    if (!vga_init(vga, error))
        return false;
    card->frame_buffer = (struct region){
        .name = "vga-vram",
        .kind = REGION_RAM,
        .size = vga->size,
        .host = vga->memory,
    };
    card->registers = (struct region){
        .name = "vga-mmio",
        .size = REGISTERS_BYTES,
        .ops = &registers_ops,
        .dev = dev,
    };
    pci_bar_define(&vga->function, BAR_MEMORY, PCI_BAR_MEMORY32 | PCI_BAR_PREFETCH, vga->size);
    pci_bar_add_region(&vga->function, BAR_MEMORY, 0, &card->frame_buffer);
    pci_bar_define(&vga->function, BAR_REGISTERS, PCI_BAR_MEMORY32, REGISTERS_BYTES);
    pci_bar_add_region(&vga->function, BAR_REGISTERS, 0, &card->registers);
    return true;
}

static void vga_pci_reset(struct device *dev)
{
    vga_reset(vga_of(dev));
}

static void vga_pci_unrealize(struct device *dev)
{
    vga_destroy(vga_of(dev));
}

static void vga_pci_draw(struct device *dev, struct screen *screen)
{
    vga_draw(vga_of(dev), screen);
}

static const struct property vga_pci_properties[] = {
    PROPERTY_U32("vgamem_mb", struct vga, memory_mib, 16, .help = "video memory in MiB"),
    {},
};

static const struct state_field vga_pci_state[] = {
    STATE(BYTES, struct vga, sequencer, .since = 1),
    STATE(BYTES, struct vga, graphics, .since = 1),
    STATE(BYTES, struct vga, attribute, .since = 1),
    STATE(BYTES, struct vga, crtc, .since = 1),
    STATE(U8, struct vga, sequencer_index, .since = 1),
    STATE(U8, struct vga, graphics_index, .since = 1),
    STATE(U8, struct vga, attribute_index, .since = 1),
    STATE(U8, struct vga, crtc_index, .since = 1),
    STATE(BOOL, struct vga, attribute_data, .since = 1),
    STATE(U8, struct vga, misc_output, .since = 1),
    STATE(U8, struct vga, feature_control, .since = 1),
    STATE(U8, struct vga, status1, .since = 1),
    STATE(BYTES, struct vga, dac, .since = 1),
    STATE(U8, struct vga, dac_mask, .since = 1),
    STATE(U8, struct vga, dac_state, .since = 1),
    STATE(U8, struct vga, dac_read_index, .since = 1),
    STATE(U8, struct vga, dac_write_index, .since = 1),
    STATE(U8, struct vga, dac_component, .since = 1),
    STATE(BYTES, struct vga, dac_pending, .since = 1),
    STATE(BYTES, struct vga, latch, .since = 1),
    STATE(U16, struct vga, vbe_index, .since = 1),
    STATE(U16, struct vga, vbe, .since = 1),
    {},
};

static const struct pci_type vga_pci_function = {
    .vendor = 0x1234,
    .device = 0x1111,
    .revision = 2,
    .class = PCI_CLASS_VGA,
    .romfile = "vgabios-stdvga.bin",
};

DEVICE_TYPE(vga_card) = {
    .name = "VGA",
    .description = "standard graphics card",
    .category = DEVICE_CATEGORY_DISPLAY,
    .bus = &bus_pci,
    .on_bus = &vga_pci_function,
    .single = true,
    .size = sizeof(struct vga_pci),
    .properties = vga_pci_properties,
    .state = vga_pci_state,
    .firmware_name = "display",
    .realize = vga_pci_realize,
    .reset = vga_pci_reset,
    .unrealize = vga_pci_unrealize,
    .draw = vga_pci_draw,
};
