/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i440FX-pcihost and i440FX: the host bridge of an Intel 440FX (82441FX PMC data sheet, section
 * 3.2), the root of a `pc`'s PCI bus, and its function 00:00.0, by which guests know what kind of
 * PC this is.
 *
 * Of its own registers there are PAM, which says where in 0xc0000 to 0xfffff RAM lies under the
 * ROMs, and SMRAM, which opens RAM under the video window to system management mode. The DRAM
 * controller's registers are absent and read as zero. */
#include "hw/board.h"
#include "hw/chipset/pam.h"
#include "hw/pci/host.h"
#include "vm/vm.h"

#define REGISTER_PAM 0x59
#define REGISTER_SMRAM 0x72

struct i440fx {
    struct pci_function function;
    struct pam pam;
};

/* Once locked, SMRAM is closed and stays so until reset. */
static void i440fx_config_write(struct pci_function *function, unsigned offset, uint32_t value,
                                unsigned size)
{
    uint8_t *smram = &function->config[REGISTER_SMRAM];
    uint8_t locked = *smram & SMRAM_LOCK;
    pci_config_store(function, offset, value, size);
    *smram |= locked;
    if (*smram & SMRAM_LOCK)
        *smram &= ~SMRAM_OPEN;
}

static void i440fx_remap(struct pci_function *function)
{
    struct i440fx *i440fx = container_of(function, struct i440fx, function);
    pam_update(&i440fx->pam, &function->config[REGISTER_PAM]);
    pam_update_smram(&i440fx->pam, function->config[REGISTER_SMRAM]);
}

static bool i440fx_realize(struct device *dev, GError **error)
{
    static const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        /* The bridge always answers memory cycles and is always a master. */
        { PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
          PCI_COMMAND_PARITY | PCI_COMMAND_SERR },
        { PCI_STATUS, 2, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM, 0 },
        { PCI_LATENCY_TIMER, 1, 0, 0xf8 },
        { REGISTER_PAM, 1, 0, 0x70 }, /* read, write, cache of each area */
        { REGISTER_PAM + 1, 4, 0, 0x77777777 },
        { REGISTER_PAM + 5, 2, 0, 0x7777 },
        { REGISTER_SMRAM, 1, SMRAM_SEGMENT, SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSED | SMRAM_OPEN },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(pci_function_of(dev), registers[i].offset, registers[i].size,
                          registers[i].value, registers[i].writable);
    pam_init(&container_of(dev, struct i440fx, function.dev)->pam, dev);
    return true;
}

static void i440fx_unrealize(struct device *dev)
{
    pam_end(&container_of(dev, struct i440fx, function.dev)->pam);
}

static const struct pci_function_ops i440fx_ops = {
    .config_write = i440fx_config_write,
    .remap = i440fx_remap,
};
static const struct pci_type i440fx_pci = {
    .vendor = 0x8086,
    .device = 0x1237,
    .revision = 2,
    .class = PCI_CLASS_HOST_BRIDGE,
    .ops = &i440fx_ops,
};

DEVICE_TYPE(i440fx) = {
    .name = "i440FX",
    .description = "host bridge of an Intel 440FX",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &i440fx_pci,
    .board_only = true,
    .size = sizeof(struct i440fx),
    .realize = i440fx_realize,
    .unrealize = i440fx_unrealize,
};

/* --- the host bridge itself ------------------------------------------------------------------ */

static bool host_realize(struct device *dev, GError **error)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    pci_host_init(host, "pci.0", false, true);
    return true;
}

static void host_reset(struct device *dev)
{
    pci_host_reset(container_of(dev, struct pci_host, dev));
}

static void host_unrealize(struct device *dev)
{
    pci_host_end(container_of(dev, struct pci_host, dev));
}

static const struct state_field host_state[] = {
    STATE(U32, struct pci_host, address, .since = 1),
    {},
};

DEVICE_TYPE(i440fx_host) = {
    .name = "i440FX-pcihost",
    .description = "root of an Intel 440FX's PCI bus",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_system,
    .size = sizeof(struct pci_host),
    .state = host_state,
    .realize = host_realize,
    .reset = host_reset,
    .unrealize = host_unrealize,
};
