/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i440fx: the host bridge of an Intel 440FX (82441FX PMC data sheet, section 3.2), by which guests
 * know what kind of PC this is. It is function 00:00.0 of the PCI bus.
 *
 * Of its own registers there are PAM, which says where in 0xc0000 to 0xfffff RAM lies under the
 * ROMs, and SMRAM, which opens RAM under the video window to system management mode. They keep what
 * is written and change nothing: only firmware has a use for them, and systems started without it
 * find RAM in all of 0xc0000 to 0xfffff. The DRAM controller's registers are absent and read as
 * zero. */
#include "hw/pci/pci.h"

#define VENDOR_INTEL 0x8086
#define DEVICE_82441FX 0x1237
#define REVISION 2

#define REGISTER_PAM 0x59 /* seven bytes of two areas each; the first has the upper only */
#define REGISTER_SMRAM 0x72
#define SMRAM_SEGMENT 0x02 /* 0xa0000, the only choice */
#define SMRAM_ENABLE 0x08
#define SMRAM_LOCK 0x10
#define SMRAM_CLOSED 0x20
#define SMRAM_OPEN 0x40

struct i440fx {
    struct pci_function function;
};

/* Once locked, SMRAM is closed and stays so until reset. */
static void i440fx_config_write(struct pci_function *function, uint8_t offset, uint32_t value,
                                unsigned size)
{
    uint8_t *smram = &function->config[REGISTER_SMRAM];
    uint8_t locked = *smram & SMRAM_LOCK;
    pci_config_store(function, offset, value, size);
    *smram |= locked;
    if (*smram & SMRAM_LOCK)
        *smram &= ~SMRAM_OPEN;
}

static const struct pci_function_ops i440fx_ops = { .config_write = i440fx_config_write };

static bool i440fx_realize(struct device *dev, GError **error)
{
    static const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        { PCI_VENDOR, 2, VENDOR_INTEL, 0 },
        { PCI_DEVICE, 2, DEVICE_82441FX, 0 },
        /* The bridge always answers memory cycles and is always a master. */
        { PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
          PCI_COMMAND_PARITY | PCI_COMMAND_SERR },
        { PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM, 0 },
        { PCI_REVISION, 4, PCI_CLASS_HOST_BRIDGE << 8 | REVISION, 0 },
        { PCI_LATENCY_TIMER, 1, 0, 0xf8 },
        /* By these firmware knows that it runs in a virtual machine with fw_cfg. */
        { PCI_SUBSYSTEM_VENDOR, 2, 0x1af4, 0 },
        { PCI_SUBSYSTEM, 2, 0x1100, 0 },
        { REGISTER_PAM, 1, 0, 0x70 }, /* read, write, cache of each area */
        { REGISTER_PAM + 1, 4, 0, 0x77777777 },
        { REGISTER_PAM + 5, 2, 0, 0x7777 },
        { REGISTER_SMRAM, 1, SMRAM_SEGMENT, SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSED | SMRAM_OPEN },
    };
    struct pci_function *function = &container_of(dev, struct i440fx, function.dev)->function;
    struct pci_bus *bus = pci_root_bus(dev->vm);
    if (!bus)
        return fail(error, "i440fx: this board has no PCI bus");
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(function, registers[i].offset, registers[i].size, registers[i].value,
                          registers[i].writable);
    function->ops = &i440fx_ops;
    return pci_function_attach(function, bus, PCI_DEVFN(0, 0), error);
}

static void i440fx_reset(struct device *dev)
{
    pci_function_reset(&container_of(dev, struct i440fx, function.dev)->function);
}

static void i440fx_unrealize(struct device *dev)
{
    pci_function_detach(&container_of(dev, struct i440fx, function.dev)->function);
}

static const struct state_field i440fx_state[] = {
    STATE(BYTES, struct i440fx, function.config, .since = 1),
    {},
};

DEVICE_TYPE(i440fx) = {
    .name = "i440fx",
    .description = "host bridge of an Intel 440FX",
    .bus = &bus_system,
    .size = sizeof(struct i440fx),
    .state = i440fx_state,
    .realize = i440fx_realize,
    .reset = i440fx_reset,
    .unrealize = i440fx_unrealize,
};
