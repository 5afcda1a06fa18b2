/* SPDX-License-Identifier: GPL-2.0-or-later */
/* q35-pcihost and mch: the memory controller hub of an Intel Q35 (Express Chipset data sheet,
 * chapter 5), the root of a `q35`'s PCI Express bus, and its function 00:00.0.
 *
 *      0x60  PCIEXBAR    where the memory-mapped configuration space is: 256, 128 or 64 MiB
 *      0x90  PAM         seven bytes
 *      0x9d  SMRAM       RAM under the video window
 *      0x9e  ESMRAMC     TSEG: the last 1, 2 or 8 MiB, or what 0x50 says, of RAM below 4 GiB
 *      0xa0  TOM, TOUUD, GBSM, BGSM, TSEGMB, TOLUD: where firmware notes down the tops of memory
 *                        and the start of TSEG; they keep what is written and move nothing
 *      0x50  extended TSEG: its MiB are read after 0xffff was written (QEMU's addition)
 *
 * High SMRAM is absent: its enable bit stays zero. */
#include "hw/chipset/pam.h"
#include "hw/pci/host.h"
#include "vm/vm.h"

#define REGISTER_EXTENDED_TSEG 0x50
#define EXTENDED_TSEG_QUERY 0xffffu
#define REGISTER_GRAPHICS 0x52
#define REGISTER_TOPS 0xa0
#define REGISTER_PCIEXBAR 0x60
#define PCIEXBAR_ENABLE 1u
#define PCIEXBAR_LENGTH 6u /* bits 2:1 */
#define REGISTER_PAM 0x90
#define REGISTER_SMRAM 0x9d
#define REGISTER_ESMRAMC 0x9e
#define ESMRAMC_TSEG_ENABLE 0x01u
#define ESMRAMC_TSEG_SIZE 0x06u
#define ESMRAMC_CACHE 0x38u /* read as ones: SMRAM is not cached */
#define MIB (1u << 20)

struct mch {
    struct pci_function function;
    struct pam pam;
    uint16_t extended_tseg_mib; /* [const] property */
};

/* Lock closes SMRAM and fixes both registers until reset. */
static void mch_config_write(struct pci_function *function, unsigned offset, uint32_t value,
                             unsigned size)
{
    struct mch *mch = container_of(function, struct mch, function);
    uint8_t *smram = &function->config[REGISTER_SMRAM];
    uint8_t *esmramc = &function->config[REGISTER_ESMRAMC];
    uint8_t old_smram = *smram, old_esmramc = *esmramc;
    pci_config_store(function, offset, value, size);
    if (old_smram & SMRAM_LOCK) {
        *smram = old_smram;
        *esmramc = old_esmramc;
    }
    if (*smram & SMRAM_LOCK)
        *smram &= ~SMRAM_OPEN;
    if (pci_config_load(function, REGISTER_EXTENDED_TSEG, 2) == EXTENDED_TSEG_QUERY)
        pci_config_set(function, REGISTER_EXTENDED_TSEG, mch->extended_tseg_mib, 2);
}

static uint64_t tseg_bytes(const struct mch *mch)
{
    static const uint8_t mib[] = { 1, 2, 8 };
    uint8_t esmramc = mch->function.config[REGISTER_ESMRAMC];
    unsigned size = (esmramc & ESMRAMC_TSEG_SIZE) >> 1;
    if (!(esmramc & ESMRAMC_TSEG_ENABLE) || !(mch->function.config[REGISTER_SMRAM] & SMRAM_ENABLE))
        return 0;
    uint64_t bytes = (uint64_t)(size < 3 ? mib[size] : mch->extended_tseg_mib) * MIB;
    return bytes < mch->pam.vm->ram.below_4g_size ? bytes : 0;
}

static void mch_remap(struct pci_function *function)
{
    struct mch *mch = container_of(function, struct mch, function);
    struct pci_host *host = function->bus->host;
    uint64_t bar = pci_config_load(function, REGISTER_PCIEXBAR, 4)
                   | (uint64_t)pci_config_load(function, REGISTER_PCIEXBAR + 4, 4) << 32;
    unsigned length = (bar & PCIEXBAR_LENGTH) >> 1;
    uint64_t bytes = length < 3 ? (256ull * MIB) >> length : 0, tseg = tseg_bytes(mch);
    pam_update(&mch->pam, &function->config[REGISTER_PAM]);
    pam_update_smram(&mch->pam, function->config[REGISTER_SMRAM]);
    pam_update_tseg(&mch->pam, mch->pam.vm->ram.below_4g_size - tseg, tseg);
    pci_host_map_ecam(host, bytes ? bar & ~(bytes - 1) : 0, bar & PCIEXBAR_ENABLE ? bytes : 0);
}

static bool mch_realize(struct device *dev, GError **error)
{
    static const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        { PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, PCI_COMMAND_SERR },
        { PCI_STATUS, 2, PCI_STATUS_FAST_BACK, 0 },
        { REGISTER_EXTENDED_TSEG, 2, 0, 0xffff },
        { REGISTER_PCIEXBAR, 4, 0xb0000000u, 0xf0000007u },
        { REGISTER_PCIEXBAR + 4, 4, 0, 0x0000000fu },
        { REGISTER_PAM, 1, 0, 0x30 },
        { REGISTER_PAM + 1, 4, 0, 0x33333333 },
        { REGISTER_PAM + 5, 2, 0, 0x3333 },
        { REGISTER_GRAPHICS, 2, 0, 0x03f2 },
        { REGISTER_TOPS, 4, 0, ~0u },
        { REGISTER_TOPS + 4, 4, 0, ~0u },
        { REGISTER_TOPS + 8, 4, 0, ~0u },
        { REGISTER_TOPS + 12, 4, 0, ~0u },
        { REGISTER_TOPS + 16, 2, 0, 0xffff },
        { REGISTER_SMRAM, 1, SMRAM_SEGMENT, SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSED | SMRAM_OPEN },
        { REGISTER_ESMRAMC, 1, ESMRAMC_CACHE, ESMRAMC_TSEG_SIZE | ESMRAMC_TSEG_ENABLE },
    };
    struct mch *mch = container_of(dev, struct mch, function.dev);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(&mch->function, registers[i].offset, registers[i].size,
                          registers[i].value, registers[i].writable);
    pam_init(&mch->pam, dev);
    return true;
}

static void mch_unrealize(struct device *dev)
{
    pam_end(&container_of(dev, struct mch, function.dev)->pam);
}

static const struct property mch_properties[] = {
    PROPERTY_U16("extended-tseg-mbytes", struct mch, extended_tseg_mib, 16, .max = 0xfff),
    {},
};

static const struct pci_function_ops mch_ops = {
    .config_write = mch_config_write,
    .remap = mch_remap,
};
static const struct pci_type mch_pci = {
    .vendor = 0x8086,
    .device = 0x29c0,
    .class = PCI_CLASS_HOST_BRIDGE,
    .ops = &mch_ops,
};

DEVICE_TYPE(mch) = {
    .name = "mch",
    .description = "memory controller hub of an Intel Q35",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &mch_pci,
    .board_only = true,
    .size = sizeof(struct mch),
    .properties = mch_properties,
    .realize = mch_realize,
    .unrealize = mch_unrealize,
};

/* --- the host bridge itself ------------------------------------------------------------------ */

static bool host_realize(struct device *dev, GError **error)
{
    struct pci_host *host = container_of(dev, struct pci_host, dev);
    pci_host_init(host, "pcie.0", true, true);
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

DEVICE_TYPE(q35_host) = {
    .name = "q35-pcihost",
    .description = "root of an Intel Q35's PCI Express bus",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_system,
    .size = sizeof(struct pci_host),
    .state = host_state,
    .realize = host_realize,
    .reset = host_reset,
    .unrealize = host_unrealize,
};
