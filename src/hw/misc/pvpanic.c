/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pvpanic, pvpanic-pci: a register by which a guest's kernel tells that it has panicked, at port
 * 0x505 or in a BAR. Reading gives the events that are understood: bit 0, panicked; bit 1, a crash
 * kernel was loaded and takes over. What a panic does, -action panic= says. */
#include "hw/misc/fw_cfg.h"
#include "hw/pci/pci.h"
#include "hw/watchdog/watchdog.h"
#include "vm/vm.h"

#define EVENT_PANICKED 1u
#define EVENT_CRASH_LOADED 2u
#define EVENTS (EVENT_PANICKED | EVENT_CRASH_LOADED)

static void event_take(struct vm *vm, uint8_t events, uint64_t value)
{
    if (value & events & EVENT_PANICKED)
        guest_panicked(vm);
}

static const char *check_events_text = "it is 1 (panicked), 2 (crash loaded) or 3";

/* --- on the ISA bus -------------------------------------------------------------------------- */

struct pvpanic_isa {
    struct device dev;
    struct region region;
    uint16_t port;  /* [const] property */
    uint8_t events; /* [const] property */
};

static uint64_t isa_read(struct device *dev, uint64_t offset, unsigned size)
{
    return container_of(dev, struct pvpanic_isa, dev)->events;
}

static void isa_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    event_take(dev->vm, container_of(dev, struct pvpanic_isa, dev)->events, value);
}

static const struct region_ops isa_ops = { .read = isa_read, .write = isa_write, .max_size = 1 };

static bool isa_realize(struct device *dev, GError **error)
{
    struct pvpanic_isa *pvpanic = container_of(dev, struct pvpanic_isa, dev);
    if (!pvpanic->events || pvpanic->events > EVENTS)
        return fail(error, "Property 'pvpanic.events': %s", check_events_text);
    pvpanic->region = (struct region){
        .name = "pvpanic",
        .base = pvpanic->port,
        .size = 1,
        .ops = &isa_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &pvpanic->region);
    struct fw_cfg *cfg = fw_cfg_find(dev->vm);
    if (cfg)
        fw_cfg_add_number(cfg, "etc/pvpanic-port", pvpanic->port, 2);
    return true;
}

static void isa_unrealize(struct device *dev)
{
    address_space_remove(dev->vm->io, &container_of(dev, struct pvpanic_isa, dev)->region);
}

static const struct property isa_properties[] = {
    PROPERTY_U16("ioport", struct pvpanic_isa, port, 0x505),
    PROPERTY_U8("events", struct pvpanic_isa, events, EVENTS),
    {},
};

DEVICE_TYPE(pvpanic_isa) = {
    .name = "pvpanic",
    .description = "tells of the guest's panic, at a port",
    .category = DEVICE_CATEGORY_MISC,
    .bus = &bus_isa,
    .single = true,
    .size = sizeof(struct pvpanic_isa),
    .properties = isa_properties,
    .realize = isa_realize,
    .unrealize = isa_unrealize,
};

/* --- on PCI ---------------------------------------------------------------------------------- */

#define BAR_BYTES 16u

struct pvpanic_pci {
    struct pci_function function;
    struct region region;
    uint8_t events; /* [const] property */
};

static struct pvpanic_pci *pvpanic_of(struct device *dev)
{
    return container_of(dev, struct pvpanic_pci, function.dev);
}

static uint64_t pci_read(struct device *dev, uint64_t offset, unsigned size)
{
    return offset ? 0 : pvpanic_of(dev)->events;
}

static void pci_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    if (!offset)
        event_take(dev->vm, pvpanic_of(dev)->events, value);
}

static const struct region_ops pci_ops = { .read = pci_read, .write = pci_write, .max_size = 1 };

static bool pci_realize(struct device *dev, GError **error)
{
    struct pvpanic_pci *pvpanic = pvpanic_of(dev);
    if (!pvpanic->events || pvpanic->events > EVENTS)
        return fail(error, "Property 'pvpanic-pci.events': %s", check_events_text);
    pvpanic->region =
        (struct region){ .name = "pvpanic", .size = BAR_BYTES, .ops = &pci_ops, .dev = dev };
    pci_bar_define(&pvpanic->function, 0, PCI_BAR_MEMORY32, BAR_BYTES);
    pci_bar_add_region(&pvpanic->function, 0, 0, &pvpanic->region);
    return true;
}

static const struct property pci_properties[] = {
    PROPERTY_U8("events", struct pvpanic_pci, events, EVENTS),
    {},
};

static const struct pci_type pvpanic_function = {
    .vendor = 0x1b36,
    .device = 0x0011,
    .revision = 1,
    .class = PCI_CLASS_SYSTEM_OTHER,
};

DEVICE_TYPE(pvpanic_pci) = {
    .name = "pvpanic-pci",
    .description = "tells of the guest's panic, on PCI",
    .category = DEVICE_CATEGORY_MISC,
    .bus = &bus_pci,
    .on_bus = &pvpanic_function,
    .size = sizeof(struct pvpanic_pci),
    .properties = pci_properties,
    .realize = pci_realize,
};
