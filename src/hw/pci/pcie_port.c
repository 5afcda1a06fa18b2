/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI Express ports: pcie-root-port, ioh3420 (root ports), x3130-upstream and xio3130-downstream
 * (a switch). Each is a bridge with the PCI Express capability and one MSI vector; behind a root or
 * downstream port is one slot. (PCI Express Base Specification 3.1, 7.8)
 *
 *      pcie.0 ── pcie-root-port ── x3130-upstream ──┬── xio3130-downstream ── device
 *                                                   └── xio3130-downstream ── device
 *
 * chassis= and slot= together name a slot for the user of the machine, so no two ports share them.
 */
#include "hw/pci/bridge.h"
#include "vm/vm.h"

#define EXPRESS_FLAGS 0x02
#define EXPRESS_SLOT_IMPLEMENTED 0x0100u
#define EXPRESS_SLOT_CAPABILITIES 0x14
#define EXPRESS_SLOT_CONTROL 0x18
#define EXPRESS_SLOT_STATUS 0x1a
#define EXPRESS_ROOT_CONTROL 0x1c
#define SLOT_NUMBER_SHIFT 19
#define SLOT_STATUS_PRESENT 0x0040u
#define SLOT_STATUS_EVENTS 0x011fu /* written ones clear */
#define SLOT_CONTROL_BITS 0x1fffu
#define ROOT_CONTROL_BITS 0x001fu

struct pcie_port {
    struct pci_bridge bridge;
    uint8_t port, chassis; /* [const] properties, as all below */
    uint16_t slot;
};

struct port_type {
    struct pci_type pci; /* first: the bus looks at it */
    enum pci_express_kind kind;
};

static struct pcie_port *port_of(struct device *dev)
{
    return container_of(dev, struct pcie_port, bridge.function.dev);
}

static const struct port_type *port_type_of(const struct device *dev)
{
    return container_of((const struct pci_type *)dev->type->on_bus, struct port_type, pci);
}

static bool has_slot(enum pci_express_kind kind)
{
    return kind == PCI_EXPRESS_ROOT_PORT || kind == PCI_EXPRESS_DOWNSTREAM_PORT;
}

static bool port_realize(struct device *dev, GError **error);

static bool slot_is_free(const struct pcie_port *port, GError **error)
{
    const struct device *self = &port->bridge.function.dev;
    for (guint i = 0; i < self->vm->devices->len; i++) {
        struct device *dev = self->vm->devices->pdata[i];
        if (dev->type->realize != port_realize || !has_slot(port_type_of(dev)->kind))
            continue;
        const struct pcie_port *other = port_of(dev);
        if (other->chassis == port->chassis && other->slot == port->slot)
            return fail(error,
                        "Can't add chassis slot: chassis %u slot %u is %s '%s' already; give "
                        "another chassis= or slot=",
                        port->chassis, port->slot, dev->type->name, dev->id ? dev->id : "");
    }
    return true;
}

static void slot_define(struct pcie_port *port)
{
    struct pci_function *function = &port->bridge.function;
    uint8_t at = function->express;
    function->power_on[at + EXPRESS_FLAGS + 1] |= EXPRESS_SLOT_IMPLEMENTED >> 8;
    pci_config_define(function, at + EXPRESS_SLOT_CAPABILITIES, 4,
                      (uint32_t)port->slot << SLOT_NUMBER_SHIFT, 0);
    pci_config_define(function, at + EXPRESS_SLOT_CONTROL, 2, 0, SLOT_CONTROL_BITS);
    pci_config_define_clears(function, at + EXPRESS_SLOT_STATUS, 2, SLOT_STATUS_EVENTS);
    pci_config_define(function, at + EXPRESS_ROOT_CONTROL, 2, 0, ROOT_CONTROL_BITS);
}

/* The presence bit says whether something is in the slot at this moment. */
static uint32_t port_config_read(struct pci_function *function, unsigned offset, unsigned size)
{
    struct pci_bridge *bridge = container_of(function, struct pci_bridge, function);
    if (function->express && has_slot(port_type_of(&function->dev)->kind)) {
        unsigned status = function->express + EXPRESS_SLOT_STATUS;
        uint32_t value = pci_config_load(function, status, 2) & ~SLOT_STATUS_PRESENT;
        pci_config_set(function, status,
                       value | (bridge->bus.functions[0] ? SLOT_STATUS_PRESENT : 0), 2);
    }
    return pci_config_load(function, offset, size);
}

/* Where a port of this kind can be plugged. */
static bool place_is_right(const struct pcie_port *port, enum pci_express_kind kind, GError **error)
{
    const struct pci_function *function = &port->bridge.function;
    const char *name = function->dev.type->name;
    const struct pci_function *above = function->bus->bridge;
    bool above_upstream = above && above->dev.type->realize == port_realize
                          && port_type_of(&above->dev)->kind == PCI_EXPRESS_UPSTREAM_PORT;
    if (kind == PCI_EXPRESS_ROOT_PORT && above)
        return fail(error, "%s goes on the root bus, and '%s' is not it", name,
                    function->bus->bus.name);
    if (kind == PCI_EXPRESS_DOWNSTREAM_PORT && !above_upstream)
        return fail(error, "%s goes behind an x3130-upstream, and '%s' is not", name,
                    function->bus->bus.name);
    return true;
}

static bool port_realize(struct device *dev, GError **error)
{
    struct pcie_port *port = port_of(dev);
    struct pci_function *function = &port->bridge.function;
    enum pci_express_kind kind = port_type_of(dev)->kind;
    if (!place_is_right(port, kind, error) || (has_slot(kind) && !slot_is_free(port, error))
        || !pci_express_init(function, 0, kind, port->port, error)
        || !pci_msi_init(function, 0, 1, error) || !pci_power_init(function, 0, error))
        return false;
    if (has_slot(kind))
        slot_define(port);
    pci_bridge_init(&port->bridge, true, has_slot(kind) ? 1 : ~0u);
    return true;
}

static void port_unrealize(struct device *dev)
{
    pci_bridge_end(&port_of(dev)->bridge);
}

static const struct pci_function_ops port_ops = {
    .config_read = port_config_read,
    .config_write = pci_bridge_config_write,
    .written = pci_bridge_written,
};

static const struct property port_properties[] = {
    PROPERTY_U8("port", struct pcie_port, port, 0),
    PROPERTY_U8("chassis", struct pcie_port, chassis, 0),
    PROPERTY_U16("slot", struct pcie_port, slot, 0, .max = 0x1fff),
    {},
};
static const struct property upstream_properties[] = {
    PROPERTY_U8("port", struct pcie_port, port, 0),
    {},
};

#define PORT(symbol, name_, help, vendor_, device_, revision_, kind_, list) \
    static const struct port_type symbol##_port = { \
        .pci = { .vendor = vendor_, \
                 .device = device_, \
                 .revision = revision_, \
                 .class = PCI_CLASS_PCI_BRIDGE, \
                 .interrupt_pin = 1, \
                 .express = true, \
                 .bridge = true, \
                 .ops = &port_ops }, \
        .kind = kind_, \
    }; \
    DEVICE_TYPE(symbol) = { \
        .name = name_, \
        .description = help, \
        .category = DEVICE_CATEGORY_BRIDGE, \
        .bus = &bus_pci, \
        .on_bus = &symbol##_port.pci, \
        .size = sizeof(struct pcie_port), \
        .properties = list, \
        .realize = port_realize, \
        .unrealize = port_unrealize, \
    }

PORT(pcie_root_port, "pcie-root-port", "PCI Express Root Port", 0x1b36, 0x000c, 0,
     PCI_EXPRESS_ROOT_PORT, port_properties);
PORT(ioh3420, "ioh3420", "Intel IOH device id 3420 PCIE Root Port", 0x8086, 0x3420, 2,
     PCI_EXPRESS_ROOT_PORT, port_properties);
PORT(x3130_upstream, "x3130-upstream", "TI X3130 Upstream Port of PCI Express Switch", 0x104c,
     0x8232, 2, PCI_EXPRESS_UPSTREAM_PORT, upstream_properties);
PORT(xio3130_downstream, "xio3130-downstream", "TI X3130 Downstream Port of PCI Express Switch",
     0x104c, 0x8233, 1, PCI_EXPRESS_DOWNSTREAM_PORT, port_properties);
