/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isabus-bridge: offers the ISA bus on boards without a PCI device that does. */
#include "hw/device.h"

struct isabus_bridge {
    struct device dev;
    struct bus bus;
};

static bool bridge_realize(struct device *dev, GError **error)
{
    bus_init(&container_of(dev, struct isabus_bridge, dev)->bus, &bus_isa, dev, NULL);
    return true;
}

static void bridge_unrealize(struct device *dev)
{
    bus_destroy(&container_of(dev, struct isabus_bridge, dev)->bus);
}

DEVICE_TYPE(isabus_bridge) = {
    .name = "isabus-bridge",
    .description = "ISA bus of a board",
    .bus = &bus_system,
    .size = sizeof(struct isabus_bridge),
    .realize = bridge_realize,
    .unrealize = bridge_unrealize,
};
