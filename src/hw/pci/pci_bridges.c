/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bridges to conventional PCI buses: pci-bridge, from one such bus to another; pcie-pci-bridge and
 * i82801b11-bridge, from PCI Express. (PCI-to-PCI Bridge Architecture Specification 1.2) */
#include "hw/pci/bridge.h"

struct plain_bridge {
    struct pci_bridge bridge;
    uint8_t chassis; /* [const] property */
};

static struct plain_bridge *bridge_of(struct device *dev)
{
    return container_of(dev, struct plain_bridge, bridge.function.dev);
}

static bool pci_bridge_realize(struct device *dev, GError **error)
{
    struct plain_bridge *bridge = bridge_of(dev);
    if (!bridge->chassis)
        return fail(error, "Bridge chassis not specified. Each bridge is required to be assigned a "
                           "unique chassis id > 0");
    pci_bridge_init(&bridge->bridge, false, ~0u);
    return true;
}

static bool express_bridge_realize(struct device *dev, GError **error)
{
    struct plain_bridge *bridge = bridge_of(dev);
    struct pci_function *function = &bridge->bridge.function;
    if (!pci_express_init(function, 0, PCI_EXPRESS_PCI_BRIDGE, 0, error)
        || !pci_power_init(function, 0, error) || !pci_msi_init(function, 0, 1, error))
        return false;
    pci_bridge_init(&bridge->bridge, false, ~0u);
    return true;
}

static bool dmi_bridge_realize(struct device *dev, GError **error)
{
    pci_bridge_init(&bridge_of(dev)->bridge, false, ~0u);
    return true;
}

static void bridge_unrealize(struct device *dev)
{
    pci_bridge_end(&bridge_of(dev)->bridge);
}

static const struct property bridge_properties[] = {
    PROPERTY_U8("chassis_nr", struct plain_bridge, chassis, 0,
                .help = "number of the bridge, which no other has"),
    {},
};

static const struct pci_type pci_bridge_pci = {
    .vendor = 0x1b36,
    .device = 0x0001,
    .class = PCI_CLASS_PCI_BRIDGE,
    .bridge = true,
    .ops = &pci_bridge_ops,
};
static const struct pci_type express_bridge_pci = {
    .vendor = 0x1b36,
    .device = 0x000e,
    .class = PCI_CLASS_PCI_BRIDGE,
    .interrupt_pin = 1,
    .express = true,
    .bridge = true,
    .ops = &pci_bridge_ops,
};
static const struct pci_type dmi_bridge_pci = {
    .vendor = 0x8086,
    .device = 0x244e,
    .revision = 0x92,
    .class = PCI_CLASS_PCI_BRIDGE | 1, /* subtractive decoding */
    .bridge = true,
    .ops = &pci_bridge_ops,
};

DEVICE_TYPE(pci_bridge_device) = {
    .name = "pci-bridge",
    .description = "Standard PCI Bridge",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &pci_bridge_pci,
    .size = sizeof(struct plain_bridge),
    .properties = bridge_properties,
    .realize = pci_bridge_realize,
    .unrealize = bridge_unrealize,
};

DEVICE_TYPE(express_bridge) = {
    .name = "pcie-pci-bridge",
    .description = "PCI Express to PCI bridge",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &express_bridge_pci,
    .size = sizeof(struct plain_bridge),
    .realize = express_bridge_realize,
    .unrealize = bridge_unrealize,
};

DEVICE_TYPE(dmi_bridge) = {
    .name = "i82801b11-bridge",
    .description = "DMI to PCI bridge of an ICH9",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &dmi_bridge_pci,
    .size = sizeof(struct plain_bridge),
    .realize = dmi_bridge_realize,
    .unrealize = bridge_unrealize,
};
