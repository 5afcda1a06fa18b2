/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIIX4_PM: the power management function of a `pc` (82371AB data sheet, section 7.1), 01.3. Its
 * registers say where the ports of ACPI's fixed hardware (hw/acpi/pm.c) and of the SMBus host are,
 * and whether a write to the APM command port makes a system management interrupt. */
#include "hw/acpi/pm.h"
#include "hw/board.h"
#include "hw/misc/smbus_host.h"
#include "hw/pci/pci.h"
#include "vm/vm.h"

#define REGISTER_BASE 0x40
#define BASE_BITS 0xffc0u
#define REGISTER_DEVICE_B 0x5b
#define DEVICE_B_APMC 0x02u /* an SMI for each APM command */
#define REGISTER_MISC 0x80
#define MISC_IO_ENABLE 0x01u
#define REGISTER_SMBUS_BASE 0x90
#define REGISTER_SMBUS_HOST 0xd2
#define SMBUS_HOST_ENABLE 0x01u
#define SMBUS_BASE_DEFAULT 0xb100u

struct piix4_pm {
    struct pci_function function;
    struct smbus_host smbus;
    uint32_t smbus_base;            /* [const] property */
    uint8_t disable_s3, disable_s4; /* [const] properties */
    uint8_t s4_value;               /* [const] property */
};

static uint64_t smbus_read(struct device *dev, uint64_t offset, unsigned size)
{
    return smbus_host_read(&container_of(dev, struct piix4_pm, function.dev)->smbus, offset);
}

static void smbus_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    smbus_host_write(&container_of(dev, struct piix4_pm, function.dev)->smbus, offset, value);
}

static const struct region_ops smbus_ops = {
    .read = smbus_read,
    .write = smbus_write,
    .max_size = 1,
};

static void pm_remap(struct pci_function *function)
{
    struct piix4_pm *pm = container_of(function, struct piix4_pm, function);
    const uint8_t *config = function->config;
    uint16_t base = (config[REGISTER_BASE] | config[REGISTER_BASE + 1] << 8) & BASE_BITS;
    uint16_t smbus = (config[REGISTER_SMBUS_BASE] | config[REGISTER_SMBUS_BASE + 1] << 8) & 0xfff0;
    bool on = config[REGISTER_MISC] & MISC_IO_ENABLE;
    acpi_pm_map(function->dev.vm, on ? base : 0, on ? ACPI_GPE0_PORT : 0);
    smbus_host_map(&pm->smbus, &smbus_ops,
                   config[REGISTER_SMBUS_HOST] & SMBUS_HOST_ENABLE ? smbus : 0);
}

static void pm_command(void *opaque, uint8_t command)
{
    struct piix4_pm *pm = opaque;
    pthread_mutex_lock(&pm->function.dev.lock);
    bool due = pm->function.config[REGISTER_DEVICE_B] & DEVICE_B_APMC;
    pthread_mutex_unlock(&pm->function.dev.lock);
    if (due)
        board_smi(pm->function.dev.vm, false);
}

static bool pm_realize(struct device *dev, GError **error)
{
    struct piix4_pm *pm = container_of(dev, struct piix4_pm, function.dev);
    /* Without SMM, firmware is told that it has set it up already, so that it does not wait. */
    uint8_t device_b = board_has_smm(dev->vm) ? 0 : DEVICE_B_APMC;
    const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        { PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM, 0 },
        { REGISTER_BASE, 4, 1, BASE_BITS },
        { 0x58, 3, 0, 0xffffff },
        { REGISTER_DEVICE_B, 1, device_b, 0xff },
        { REGISTER_MISC, 1, 0, MISC_IO_ENABLE },
        { REGISTER_SMBUS_BASE, 4, pm->smbus_base | 1, 0xfff0 },
        { REGISTER_SMBUS_HOST, 1, 0x09, 0x0f },
    };
    if (pm->smbus_base > 0xffc0 || pm->smbus_base % 64)
        return fail(error, "PIIX4_PM: smb_io_base is a multiple of 64 up to 0xffc0, not 0x%x",
                    pm->smbus_base);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(&pm->function, registers[i].offset, registers[i].size, registers[i].value,
                          registers[i].writable);
    pm->smbus.dev = dev;
    acpi_pm_connect(dev->vm, pm_command, pm);
    return true;
}

static void pm_reset(struct device *dev)
{
    smbus_host_reset(&container_of(dev, struct piix4_pm, function.dev)->smbus);
}

static void pm_unrealize(struct device *dev)
{
    struct piix4_pm *pm = container_of(dev, struct piix4_pm, function.dev);
    acpi_pm_connect(dev->vm, NULL, NULL);
    acpi_pm_map(dev->vm, 0, 0);
    smbus_host_map(&pm->smbus, &smbus_ops, 0);
}

static const struct property pm_properties[] = {
    PROPERTY_U32("smb_io_base", struct piix4_pm, smbus_base, SMBUS_BASE_DEFAULT),
    PROPERTY_U8("disable_s3", struct piix4_pm, disable_s3, 0),
    PROPERTY_U8("disable_s4", struct piix4_pm, disable_s4, 0),
    PROPERTY_U8("s4_val", struct piix4_pm, s4_value, 2, .max = 7),
    {},
};

static const struct pci_function_ops pm_ops = { .remap = pm_remap };
static const struct pci_type pm_pci = {
    .vendor = 0x8086,
    .device = 0x7113,
    .revision = 3,
    .class = PCI_CLASS_OTHER_BRIDGE,
    .interrupt_pin = 1,
    .ops = &pm_ops,
};

DEVICE_TYPE(piix4_pm) = {
    .name = "PIIX4_PM",
    .description = "power management of a PIIX4",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &pm_pci,
    .board_only = true,
    .size = sizeof(struct piix4_pm),
    .properties = pm_properties,
    .realize = pm_realize,
    .reset = pm_reset,
    .unrealize = pm_unrealize,
};
