/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIIX3: a `pc`'s PCI-to-ISA bridge (82371SB data sheet, section 2.2), function 01.0. It offers the
 * ISA bus and leads the PCI bus's four interrupt wires to ISA interrupts, by PIRQRC at 0x60 to
 * 0x63.
 *
 * The wires of slot 1 are PIRQA to PIRQD in that order; each further slot's are turned by one. */
#include "hw/chipset/pirq.h"
#include "hw/device.h"

#define REGISTER_ROUTES 0x60
#define ROUTES 4u

struct piix3 {
    struct pci_function function;
    struct bus isa;
    struct pirq pirq;
};

static unsigned piix3_route(unsigned slot, unsigned pin)
{
    return (slot + pin - 1) & 3;
}

static void piix3_pirq_set(void *opaque, unsigned pirq, bool level)
{
    pirq_update(opaque);
}

static void piix3_written(struct pci_function *function)
{
    struct piix3 *piix3 = container_of(function, struct piix3, function);
    uint8_t routes[ROUTES];
    pthread_mutex_lock(&function->dev.lock);
    for (unsigned i = 0; i < ROUTES; i++)
        routes[i] = function->config[REGISTER_ROUTES + i];
    pthread_mutex_unlock(&function->dev.lock);
    pirq_set_routes(&piix3->pirq, 0, routes, ROUTES);
}

static bool piix3_realize(struct device *dev, GError **error)
{
    static const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        { PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
          PCI_COMMAND_SERR },
        { PCI_STATUS, 2, PCI_STATUS_DEVSEL_MEDIUM, 0 },
        { 0x4c, 1, 0x4d, 0x7f },     /* ISA recovery timers */
        { 0x4e, 2, 0x0003, 0x0fff }, /* X-bus chip selects */
        { REGISTER_ROUTES, 4, PIRQ_OFF * 0x01010101u, PIRQ_ROUTE_BITS * 0x01010101u },
        { 0x69, 1, 0x02, 0xfe },     /* top of memory */
        { 0x70, 1, 0x80, 0x8f },     /* motherboard interrupt */
        { 0x76, 2, 0x0c0c, 0x8f8f }, /* motherboard DMA */
        { 0x80, 1, 0, 0x7f },
        { 0xa0, 1, 0x08, 0x1f }, /* SMI control */
        { 0xa8, 1, 0x0f, 0xff },
    };
    struct piix3 *piix3 = container_of(dev, struct piix3, function.dev);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(&piix3->function, registers[i].offset, registers[i].size,
                          registers[i].value, registers[i].writable);
    pirq_init(&piix3->pirq, piix3->function.bus->host);
    pci_host_connect(piix3->function.bus->host, piix3_route, piix3_pirq_set, &piix3->pirq);
    bus_init(&piix3->isa, &bus_isa, dev, "isa.0");
    return true;
}

static void piix3_reset(struct device *dev)
{
    const uint8_t off[ROUTES] = { PIRQ_OFF, PIRQ_OFF, PIRQ_OFF, PIRQ_OFF };
    pirq_set_routes(&container_of(dev, struct piix3, function.dev)->pirq, 0, off, ROUTES);
}

static void piix3_unrealize(struct device *dev)
{
    struct piix3 *piix3 = container_of(dev, struct piix3, function.dev);
    bus_destroy(&piix3->isa);
    pirq_end(&piix3->pirq);
    pci_host_connect(piix3->function.bus->host, NULL, NULL, NULL);
}

static const struct pci_function_ops piix3_ops = { .written = piix3_written };
static const struct pci_type piix3_pci = {
    .vendor = 0x8086,
    .device = 0x7000,
    .class = PCI_CLASS_ISA_BRIDGE,
    .multifunction = true,
    .ops = &piix3_ops,
};

DEVICE_TYPE(piix3) = {
    .name = "PIIX3",
    .description = "PCI-to-ISA bridge of a PIIX3",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &piix3_pci,
    .board_only = true,
    .size = sizeof(struct piix3),
    .realize = piix3_realize,
    .reset = piix3_reset,
    .unrealize = piix3_unrealize,
};
