/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ICH9-LPC: a `q35`'s PCI-to-ISA bridge and what else is in function 1f.0 of an Intel ICH9 (data
 * sheet order 316972, chapters 10 and 13): where ACPI's fixed hardware is, the routing of the eight
 * PCI interrupt wires, SMI control, the TCO watchdog, and the chip configuration registers (RCBA).
 *
 * The wires A to H are I/O APIC pins 16 to 23, and ISA interrupts by PIRQ_ROUT at 0x60 and 0x68.
 * Slots 25 to 29 and 31 have their pins on A to D, slot 30 on E to H, and slots below 25 on E to H,
 * turned by one from slot to slot; the registers that could change that (D31IR and so on) are read
 * only. Slots up to 24 hold no device in a real ICH9. */
#include "hw/chipset/ich9_lpc.h"

#include "hw/acpi/pm.h"
#include "hw/board.h"
#include "hw/chipset/pirq.h"
#include "vm/vm.h"

#define REGISTER_PM_BASE 0x40
#define PM_BASE_BITS 0xff80u
#define REGISTER_ACPI_CONTROL 0x44
#define ACPI_CONTROL_ENABLE 0x80u
#define REGISTER_ROUTES_A 0x60
#define REGISTER_ROUTES_E 0x68
#define REGISTER_PM_CONFIGURATION 0xa0
#define PM_SMI_LOCK 0x10u
#define REGISTER_RCBA 0xf0
#define RCBA_ENABLE 1u
#define RCBA_BYTES 0x4000u
#define WIRE_GSI 16u

/* Ports, from PM_BASE on */
#define GPE0_OFFSET 0x20u
#define SMI_OFFSET 0x30u
#define SMI_BYTES 8u
#define SMI_ENABLE_GLOBAL 0x01u
#define SMI_ENABLE_APMC 0x20u
#define SMI_STATUS_APM 0x20u
#define TCO_OFFSET 0x60u

/* Chip configuration registers */
#define RCBA_SLOT_ROUTES 0x3140u /* D31IR, D30IR, …: 16 bits per slot */
#define RCBA_SLOT_ROUTES_END 0x3154u
#define RCBA_D30_ROUTES 0x3142u
#define SLOT_ROUTES 0x3210u
#define D30_ROUTES 0x7654u
#define RCBA_GCS 0x3410u
#define GCS_NO_REBOOT 0x20u

static unsigned lpc_route(unsigned slot, unsigned pin)
{
    if (slot <= 24)
        return 4 + (slot + pin) % 4;
    return slot == 30 ? 4 + pin : pin;
}

static void lpc_pirq_set(void *opaque, unsigned wire, bool level)
{
    struct ich9_lpc *lpc = opaque;
    irq_set(&lpc->function.dev.vm->gsi[WIRE_GSI + wire], level);
    pirq_update(&lpc->pirq);
}

static struct ich9_lpc *lpc_of(struct device *dev)
{
    return container_of(dev, struct ich9_lpc, function.dev);
}

/* --- system management interrupts ------------------------------------------------------------- */

static uint64_t smi_read(struct device *dev, uint64_t offset, unsigned size)
{
    return offset ? lpc_of(dev)->smi_status : lpc_of(dev)->smi_enable;
}

/* The global bit cannot be cleared any more once SMI_LOCK is set. */
static void smi_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct ich9_lpc *lpc = lpc_of(dev);
    uint32_t fixed = 0;
    if (offset) {
        lpc->smi_status &= ~value;
        return;
    }
    if (lpc->function.config[REGISTER_PM_CONFIGURATION] & PM_SMI_LOCK)
        fixed |= SMI_ENABLE_GLOBAL;
    if (!board_has_smm(dev->vm)) /* it stays as firmware finds it where it has set SMM up already */
        fixed |= SMI_ENABLE_APMC;
    lpc->smi_enable = (lpc->smi_enable & fixed) | (value & ~fixed);
}

static const struct region_ops smi_ops = {
    .read = smi_read,
    .write = smi_write,
    .min_size = 4,
    .max_size = 4,
};

static void lpc_command(void *opaque, uint8_t command)
{
    struct ich9_lpc *lpc = opaque;
    pthread_mutex_lock(&lpc->function.dev.lock);
    bool due = lpc->smi_enable & SMI_ENABLE_APMC;
    if (due)
        lpc->smi_status |= SMI_STATUS_APM;
    pthread_mutex_unlock(&lpc->function.dev.lock);
    if (due)
        board_smi(lpc->function.dev.vm, false);
}

/* --- chip configuration registers ------------------------------------------------------------- */

static uint64_t rcba_read(struct device *dev, uint64_t offset, unsigned size)
{
    if (offset == RCBA_GCS)
        return lpc_of(dev)->gcs;
    if (offset < RCBA_SLOT_ROUTES || offset >= RCBA_SLOT_ROUTES_END)
        return 0;
    return offset == (RCBA_D30_ROUTES & ~3u) ? SLOT_ROUTES | D30_ROUTES << 16
                                             : SLOT_ROUTES | SLOT_ROUTES << 16;
}

static void rcba_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct ich9_lpc *lpc = lpc_of(dev);
    if (offset != RCBA_GCS)
        return;
    lpc->gcs = value & GCS_NO_REBOOT;
    tco_set_no_reboot(&lpc->tco, lpc->gcs);
}

static const struct region_ops rcba_ops = {
    .read = rcba_read,
    .write = rcba_write,
    .min_size = 4,
    .max_size = 4,
};

/* --- configuration space --------------------------------------------------------------------- */

static void place(struct ich9_lpc *lpc, struct address_space *space, struct region *region,
                  uint64_t base)
{
    if (region->base == base)
        return;
    if (region->base)
        address_space_remove(space, region);
    region->base = base;
    if (base)
        address_space_add(space, region);
}

static void lpc_remap(struct pci_function *function)
{
    struct ich9_lpc *lpc = container_of(function, struct ich9_lpc, function);
    struct vm *vm = function->dev.vm;
    uint16_t base = pci_config_load(function, REGISTER_PM_BASE, 2) & PM_BASE_BITS;
    uint32_t rcba = pci_config_load(function, REGISTER_RCBA, 4);
    if (!(function->config[REGISTER_ACPI_CONTROL] & ACPI_CONTROL_ENABLE))
        base = 0;
    acpi_pm_map(vm, base, base ? base + GPE0_OFFSET : 0);
    place(lpc, vm->io, &lpc->smi, base ? base + SMI_OFFSET : 0);
    place(lpc, vm->io, &lpc->tco.region, base ? base + TCO_OFFSET : 0);
    place(lpc, vm->memory, &lpc->rcba, rcba & RCBA_ENABLE ? rcba & ~(RCBA_BYTES - 1) : 0);
}

static void lpc_written(struct pci_function *function)
{
    struct ich9_lpc *lpc = container_of(function, struct ich9_lpc, function);
    uint8_t routes[PCI_PIRQ_COUNT];
    pthread_mutex_lock(&function->dev.lock);
    for (unsigned i = 0; i < 4; i++) {
        routes[i] = function->config[REGISTER_ROUTES_A + i];
        routes[4 + i] = function->config[REGISTER_ROUTES_E + i];
    }
    pthread_mutex_unlock(&function->dev.lock);
    pirq_set_routes(&lpc->pirq, 0, routes, PCI_PIRQ_COUNT);
}

/* --- life ------------------------------------------------------------------------------------ */

static bool lpc_realize(struct device *dev, GError **error)
{
    static const struct {
        uint8_t offset, size;
        uint32_t value, writable;
    } registers[] = {
        { PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
          PCI_COMMAND_SERR },
        { PCI_STATUS, 2, PCI_STATUS_DEVSEL_MEDIUM, 0 },
        { REGISTER_PM_BASE, 4, 1, PM_BASE_BITS },
        { REGISTER_ACPI_CONTROL, 1, 0, 0x87 },
        { REGISTER_ROUTES_A, 4, PIRQ_OFF * 0x01010101u, PIRQ_ROUTE_BITS * 0x01010101u },
        { REGISTER_ROUTES_E, 4, PIRQ_OFF * 0x01010101u, PIRQ_ROUTE_BITS * 0x01010101u },
        { 0x80, 4, 0, 0x3f0f0377 }, /* LPC decoding: COM, LPT, floppy */
        { REGISTER_PM_CONFIGURATION, 2, 0, 0x1fff },
        { REGISTER_RCBA, 4, 0, ~(RCBA_BYTES - 1) | RCBA_ENABLE },
    };
    struct ich9_lpc *lpc = lpc_of(dev);
    struct pci_host *host = lpc->function.bus->host;
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
        pci_config_define(&lpc->function, registers[i].offset, registers[i].size,
                          registers[i].value, registers[i].writable);
    lpc->smi = (struct region){
        .name = "acpi-smi", .size = SMI_BYTES, .ops = &smi_ops, .dev = dev, .priority = 2
    };
    lpc->rcba = (struct region){
        .name = "lpc-rcrb-mmio", .size = RCBA_BYTES, .ops = &rcba_ops, .dev = dev, .priority = 1
    };
    tco_init(&lpc->tco, dev);
    pirq_init(&lpc->pirq, host);
    pci_host_connect(host, lpc_route, lpc_pirq_set, lpc);
    acpi_pm_connect(dev->vm, lpc_command, lpc);
    bus_init(&lpc->isa, &bus_isa, dev, "isa.0");
    return true;
}

static void lpc_reset(struct device *dev)
{
    struct ich9_lpc *lpc = lpc_of(dev);
    uint8_t off[PCI_PIRQ_COUNT];
    memset(off, PIRQ_OFF, sizeof(off));
    pirq_set_routes(&lpc->pirq, 0, off, sizeof(off));
    lpc->smi_enable = board_has_smm(dev->vm) ? 0 : SMI_ENABLE_APMC;
    lpc->smi_status = 0;
    lpc->gcs = lpc->no_reboot ? GCS_NO_REBOOT : 0;
    tco_reset(&lpc->tco);
    tco_set_no_reboot(&lpc->tco, lpc->gcs);
}

static void lpc_unrealize(struct device *dev)
{
    struct ich9_lpc *lpc = lpc_of(dev);
    struct vm *vm = dev->vm;
    bus_destroy(&lpc->isa);
    acpi_pm_connect(vm, NULL, NULL);
    place(lpc, vm->memory, &lpc->rcba, 0);
    place(lpc, vm->io, &lpc->smi, 0);
    place(lpc, vm->io, &lpc->tco.region, 0);
    tco_end(&lpc->tco);
    pirq_end(&lpc->pirq);
    pci_host_connect(lpc->function.bus->host, NULL, NULL, NULL);
}

static const struct property lpc_properties[] = {
    PROPERTY_BOOL("noreboot", struct ich9_lpc, no_reboot, true,
                  .help = "the watchdog cannot act until the guest lets it"),
    PROPERTY_U8("disable_s3", struct ich9_lpc, disable_s3, 0),
    PROPERTY_U8("disable_s4", struct ich9_lpc, disable_s4, 0),
    PROPERTY_U8("s4_val", struct ich9_lpc, s4_value, 2, .max = 7),
    {},
};

static const struct state_field lpc_state[] = {
    STATE(U32, struct ich9_lpc, smi_enable, .since = 1),
    STATE(U32, struct ich9_lpc, smi_status, .since = 1),
    STATE(U32, struct ich9_lpc, gcs, .since = 1),
    {},
};

static const struct pci_function_ops lpc_ops = { .remap = lpc_remap, .written = lpc_written };
static const struct pci_type lpc_pci = {
    .vendor = 0x8086,
    .device = 0x2918,
    .revision = 2,
    .class = PCI_CLASS_ISA_BRIDGE,
    .multifunction = true,
    .ops = &lpc_ops,
};

DEVICE_TYPE(ich9_lpc) = {
    .name = "ICH9-LPC",
    .description = "PCI-to-ISA bridge of an ICH9",
    .category = DEVICE_CATEGORY_BRIDGE,
    .bus = &bus_pci,
    .on_bus = &lpc_pci,
    .board_only = true,
    .size = sizeof(struct ich9_lpc),
    .properties = lpc_properties,
    .state = lpc_state,
    .realize = lpc_realize,
    .reset = lpc_reset,
    .unrealize = lpc_unrealize,
};
