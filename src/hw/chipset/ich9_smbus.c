/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICH9-SMB: the SMBus function of an ICH9, 1f.3 (data sheet order 316972, chapter 20), with its
 * ports in BAR 4. */
#include "hw/misc/smbus_host.h"
#include "hw/pci/pci.h"

#define REGISTER_HOST_CONFIGURATION 0x40
#define PORTS 64u

struct ich9_smbus {
    struct pci_function function;
    struct smbus_host host;
};

static uint64_t smbus_read(struct device *dev, uint64_t offset, unsigned size)
{
    return smbus_host_read(&container_of(dev, struct ich9_smbus, function.dev)->host, offset);
}

static void smbus_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    smbus_host_write(&container_of(dev, struct ich9_smbus, function.dev)->host, offset, value);
}

static const struct region_ops smbus_ops = {
    .read = smbus_read,
    .write = smbus_write,
    .max_size = 1,
};

static bool smbus_realize(struct device *dev, GError **error)
{
    struct ich9_smbus *smbus = container_of(dev, struct ich9_smbus, function.dev);
    smbus->host.dev = dev;
    smbus->host.region = (struct region){
        .name = "ich9-smbus",
        .size = PORTS,
        .ops = &smbus_ops,
        .dev = dev,
    };
    pci_config_define(&smbus->function, REGISTER_HOST_CONFIGURATION, 1, 0, 0x0f);
    pci_bar_define(&smbus->function, 4, PCI_BAR_IO, PORTS);
    pci_bar_add_region(&smbus->function, 4, 0, &smbus->host.region);
    return true;
}

static void smbus_reset(struct device *dev)
{
    smbus_host_reset(&container_of(dev, struct ich9_smbus, function.dev)->host);
}

static const struct pci_type smbus_pci = {
    .vendor = 0x8086,
    .device = 0x2930,
    .revision = 2,
    .class = PCI_CLASS_SMBUS,
    .interrupt_pin = 2,
    .multifunction = true,
};

DEVICE_TYPE(ich9_smbus) = {
    .name = "ICH9-SMB",
    .description = "SMBus controller of an ICH9",
    .alias = "ICH9 SMB",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &smbus_pci,
    .board_only = true,
    .size = sizeof(struct ich9_smbus),
    .realize = smbus_realize,
    .reset = smbus_reset,
};
