/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI as firmware leaves it, for kernels that start without one.
 *
 * Memory BARs and the windows of bridges are taken from the end of RAM below 4 GiB on, up to the
 * I/O APIC; what is 64 bits wide and does not fit there, from the end of RAM above 4 GiB on. Ports
 * are taken from 0xc000 on. Of what does not fit, decoding stays off. */
#include "hw/board.h"
#include "hw/pci/bridge.h"
#include "hw/pci/pci.h"
#include "machine/boards.h"
#include "vm/vm.h"

#define VENDOR_INTEL 0x8086u
#define DEVICE_440FX 0x1237u
#define DEVICE_PIIX3 0x7000u
#define DEVICE_PIIX4_PM 0x7113u
#define DEVICE_Q35 0x29c0u
#define DEVICE_ICH9_LPC 0x2918u

#define SHADOW_RAM 0x33u /* a PAM register: both areas readable and writable */
#define ECAM_BASE 0xb0000000u
#define ECAM_BYTES 0x10000000u
#define RCBA_BASE 0xfed1c000u
#define IO_FIRST 0xc000u
#define IO_END 0x10000u
#define MEMORY_WINDOW 0x100000u
#define IO_WINDOW 0x1000u
#define BAR_LARGE 0x10000000u /* goes above 4 GiB if it can */

/* The interrupt of each link, as SeaBIOS chooses them. */
static const uint8_t link_irqs[] = { 10, 10, 11, 11 };
#define ELCR_SLAVE_PORT 0x4d1
#define ELCR_SLAVE_LEVELS 0x0c

/* --- what to put into registers -------------------------------------------------------------- */

static void set(struct pci_function *function, unsigned offset, uint32_t value, unsigned size)
{
    pci_function_write(function, offset, value, size);
}

static void set_shadow_ram(struct pci_function *host, unsigned pam)
{
    set(host, pam, SHADOW_RAM & 0xf0, 1);
    for (unsigned i = 1; i < 7; i++)
        set(host, pam + i, SHADOW_RAM, 1);
}

static void set_links(struct pci_function *bridge, unsigned offset)
{
    for (unsigned i = 0; i < 4; i++)
        set(bridge, offset + i, link_irqs[i], 1);
}

static void chipset_function(struct pci_function *function)
{
    if (function->pci->vendor != VENDOR_INTEL)
        return;
    switch (function->pci->device) {
    case DEVICE_440FX:
        set_shadow_ram(function, 0x59);
        break;
    case DEVICE_PIIX3:
        set_links(function, 0x60);
        break;
    case DEVICE_PIIX4_PM:
        set(function, 0x40, ACPI_PM1_EVENT_PORT | 1, 4);
        set(function, 0x80, 1, 1);
        break;
    case DEVICE_Q35:
        set_shadow_ram(function, 0x90);
        set(function, 0x64, 0, 4);
        set(function, 0x60, ECAM_BASE | 1, 4);
        break;
    case DEVICE_ICH9_LPC:
        set_links(function, 0x60);
        set_links(function, 0x68);
        set(function, 0x40, ACPI_PM1_EVENT_PORT | 1, 4);
        set(function, 0x44, 0x80, 1);
        set(function, 0xf0, RCBA_BASE | 1, 4);
        break;
    default:
        break;
    }
}

/* --- addresses ------------------------------------------------------------------------------- */

struct range {
    uint64_t next, end;
};

struct setup {
    struct range io, memory, memory64;
    unsigned next_bus;
    unsigned first_pin; /* link of slot 0's first pin */
};

#define NO_ADDRESS UINT64_MAX

static uint64_t take(struct range *range, uint64_t size)
{
    uint64_t base = (range->next + size - 1) & ~(size - 1);
    if (base < range->next || base > range->end || size > range->end - base)
        return NO_ADDRESS;
    range->next = base + size;
    return base;
}

static uint64_t bar_take(struct setup *setup, const struct pci_function *function,
                         const struct pci_bar *bar)
{
    bool wide = bar->kind & PCI_BAR_MEMORY64 && !function->bus->bridge;
    if (bar->kind & PCI_BAR_IO)
        return take(&setup->io, bar->size);
    uint64_t base = wide && bar->size >= BAR_LARGE ? NO_ADDRESS : take(&setup->memory, bar->size);
    return base == NO_ADDRESS && wide ? take(&setup->memory64, bar->size) : base;
}

/* Expansion ROMs stay off; the kernel gives them an address if it wants to read one. */
static void bars_assign(struct setup *setup, struct pci_function *function)
{
    uint16_t command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
    for (unsigned i = 0; i < PCI_BAR_COUNT; i++) {
        const struct pci_bar *bar = &function->bars[i];
        if (!bar->size)
            continue;
        uint64_t base = bar_take(setup, function, bar);
        if (base == NO_ADDRESS) {
            command &= ~(bar->kind & PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
            continue;
        }
        set(function, PCI_BARS + 4 * i, base, 4);
        if (bar->kind & PCI_BAR_MEMORY64)
            set(function, PCI_BARS + 4 * i + 4, base >> 32, 4);
    }
    set(function, PCI_COMMAND, command, 2);
}

static void interrupt_assign(const struct setup *setup, struct pci_function *function)
{
    unsigned pin = function->pci->interrupt_pin, slot = function->devfn >> 3;
    if (!pin)
        return;
    for (struct pci_function *f = function; f->bus->bridge;
         f = f->bus->bridge, slot = f->devfn >> 3)
        pin += slot;
    set(function, PCI_INTERRUPT_LINE, link_irqs[(slot + pin - 1 + setup->first_pin) & 3], 1);
}

static void bus_assign(struct setup *setup, struct pci_bus *bus);

/* Windows hold what was taken for the bus behind, rounded up; an empty one is closed. */
static void bridge_assign(struct setup *setup, struct pci_function *bridge)
{
    struct range *io = &setup->io, *memory = &setup->memory;
    unsigned number = setup->next_bus++;
    uint64_t io_base = io->next = (io->next + IO_WINDOW - 1) & ~(uint64_t)(IO_WINDOW - 1);
    uint64_t memory_base = memory->next =
        (memory->next + MEMORY_WINDOW - 1) & ~(uint64_t)(MEMORY_WINDOW - 1);
    set(bridge, PCI_PRIMARY_BUS, pci_bus_number(bridge->bus), 1);
    set(bridge, PCI_SECONDARY_BUS, number, 1);
    set(bridge, PCI_SUBORDINATE_BUS, 0xff, 1);
    bus_assign(setup, pci_bridge_bus(bridge));
    set(bridge, PCI_SUBORDINATE_BUS, setup->next_bus - 1, 1);
    io->next = (io->next + IO_WINDOW - 1) & ~(uint64_t)(IO_WINDOW - 1);
    memory->next = (memory->next + MEMORY_WINDOW - 1) & ~(uint64_t)(MEMORY_WINDOW - 1);
    bool has_io = io->next > io_base, has_memory = memory->next > memory_base;
    set(bridge, PCI_IO_BASE, has_io ? io_base >> 8 : 0xf0, 1);
    set(bridge, PCI_IO_LIMIT, has_io ? (io->next - 1) >> 8 & 0xf0 : 0, 1);
    set(bridge, PCI_MEMORY_BASE, has_memory ? memory_base >> 16 : 0xfff0, 2);
    set(bridge, PCI_MEMORY_LIMIT, has_memory ? (memory->next - 1) >> 16 & 0xfff0 : 0, 2);
    set(bridge, PCI_PREFETCH_BASE, 0xfff0, 2);
    set(bridge, PCI_PREFETCH_LIMIT, 0, 2);
    bars_assign(setup, bridge);
    set(bridge, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static void bus_assign(struct setup *setup, struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_FUNCTION_COUNT; i++) {
        struct pci_function *function = bus->functions[i];
        if (!function)
            continue;
        chipset_function(function);
        interrupt_assign(setup, function);
        if (function->pci->bridge)
            bridge_assign(setup, function);
        else
            bars_assign(setup, function);
    }
}

void pci_setup(struct vm *vm)
{
    struct pci_bus *root = pci_root_bus(vm);
    uint64_t low = vm->ram.below_4g_size, high = vm->ram.size - low;
    if (root) {
        bool q35 = root->functions[0] && root->functions[0]->pci->device == DEVICE_Q35;
        /* What is beside the configuration space of a Q35 is on one side of it. */
        uint64_t first = q35 ? ECAM_BASE + ECAM_BYTES : low;
        struct setup setup = {
            .io = { IO_FIRST, IO_END },
            .memory = { MAX(first, 0x80000000u), BOARD_IOAPIC_ADDRESS },
            .memory64 = { MAX(1ull << 32, (1ull << 32) + high), 1ull << 36 },
            .next_bus = 1,
            .first_pin = q35 ? 0 : 3,
        };
        bus_assign(&setup, root);
        address_space_write(vm->io, ELCR_SLAVE_PORT, ELCR_SLAVE_LEVELS, 1);
    }
    if (vm->config->acpi)
        address_space_write(vm->io, ACPI_SMI_COMMAND_PORT, ACPI_ENABLE_COMMAND, 1);
}
