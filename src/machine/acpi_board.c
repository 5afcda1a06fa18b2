/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/acpi_board.h"

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "vm/vm.h"
#include "x86/model.h"

#define VENDOR_INTEL 0x8086u
#define DEVICE_Q35_MCH 0x29c0u
#define DEVICE_PIIX3 0x7000u
#define DEVICE_PIIX4_PM 0x7113u
#define DEVICE_ICH9_LPC 0x2918u
#define PM_BASE_REGISTER 0x40 /* in the PIIX4's and in the ICH9's configuration space */

static bool is_intel(struct pci_bus *bus, uint8_t devfn, unsigned device)
{
    return pci_function_read(bus->functions[devfn], PCI_VENDOR, 4) == (device << 16 | VENDOR_INTEL);
}

/* PCIEXBAR of the Q35's host bridge: base, bits 2:1 for the size, and enabled. */
static void look_for_ecam(struct pci_bus *bus, struct acpi_board *board)
{
    enum { PCIEXBAR = 0x60 };
    uint64_t value = pci_function_read(bus->functions[0], PCIEXBAR, 4)
                     | (uint64_t)pci_function_read(bus->functions[0], PCIEXBAR + 4, 4) << 32;
    unsigned length = value >> 1 & 3;
    if (!(value & 1) || length > 2)
        return;
    board->ecam_bytes = (256ull << 20) >> length;
    board->ecam_base = value & ~(board->ecam_bytes - 1);
}

static void look_at_pci(struct pci_bus *bus, struct acpi_board *board)
{
    const uint8_t lpc = PCI_DEVFN(31, 0), piix3 = PCI_DEVFN(1, 0), piix4_pm = PCI_DEVFN(1, 3);
    board->q35 = is_intel(bus, 0, DEVICE_Q35_MCH);
    if (board->q35) {
        look_for_ecam(bus, board);
        board->isa_bridge = is_intel(bus, lpc, DEVICE_ICH9_LPC);
    } else {
        board->isa_bridge = is_intel(bus, piix3, DEVICE_PIIX3);
    }
    uint16_t base = 0;
    if (board->q35 && board->isa_bridge)
        base = pci_function_read(bus->functions[lpc], PM_BASE_REGISTER, 2) & 0xff80;
    else if (is_intel(bus, piix4_pm, DEVICE_PIIX4_PM))
        base = pci_function_read(bus->functions[piix4_pm], PM_BASE_REGISTER, 2) & 0xffc0;
    if (base)
        board->pm_base = base;
    if (base && board->q35)
        board->gpe0 = base + (ACPI_GPE0_PORT - ACPI_PM1_EVENT_PORT);
}

void acpi_board_look(struct vm *vm, struct acpi_board *board)
{
    struct pci_bus *bus = pci_root_bus(vm);
    *board = (struct acpi_board){
        .pci = bus,
        .hpet = board_find(vm, "hpet"),
        .pm_base = ACPI_PM1_EVENT_PORT,
        .gpe0 = ACPI_GPE0_PORT,
        .gpe0_bytes = ACPI_GPE0_BYTES,
    };
    if (bus)
        look_at_pci(bus, board);
}

unsigned board_phys_bits(const struct vm *vm)
{
    const struct x86_model *model =
        vm->vcpus && vm->vcpus[0] && vm->vcpus[0]->cpu ? vm->vcpus[0]->cpu->model : NULL;
    return model ? model->phys_bits : 36;
}
