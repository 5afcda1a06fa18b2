/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DSDT: which devices there are that cannot be probed, and how PCI's interrupts are routed.
 *
 *      \_SB_.PCI0          host bridge: windows, _PRT
 *      \_SB_.PCI0.ISA_     PIIX3 or ICH9 bridge: serial ports, keyboard, RTC, ...
 *      \_SB_.LNKA ...      the links between PCI's interrupts and the 8259s' inputs
 *      \_SB_.C000 ...      CPUs
 *
 * Boards without PCI have the ISA devices in \_SB_ itself. (ACPI specification 6.4) */
#include "hw/board.h"
#include "hw/misc/fw_cfg.h"
#include "hw/pci/pci.h"
#include "machine/acpi.h"
#include "machine/acpi_board.h"
#include "machine/acpi_layout.h"
#include "machine/aml.h"
#include "machine/firmware.h"
#include "virtio/mmio.h"
#include "vm/vm.h"

#define GIB (1ull << 30)
#define HIGH_WINDOW_BYTES (32 * GIB)

/* --- ISA devices ----------------------------------------------------------------------------- */

struct legacy_device {
    const char *name, *id;
    struct {
        uint16_t base;
        uint8_t count;
    } ports[3];
    uint8_t irq;
    const char *type; /* only where this device is; NULL: always */
};
#define NO_IRQ 0xff

static const struct legacy_device legacy_devices[] = {
    { "TMR_", "PNP0100", { { 0x40, 4 } }, BOARD_IRQ_TIMER, NULL },
    { "RTC_", "PNP0B00", { { 0x70, 2 } }, BOARD_IRQ_RTC, NULL },
    { "KBD_", "PNP0303", { { 0x60, 1 }, { 0x64, 1 } }, BOARD_IRQ_KEYBOARD, "i8042" },
    { "MOU_", "PNP0F13", { { 0 } }, BOARD_IRQ_MOUSE, "i8042" },
};

static void legacy_device_emit(GByteArray *aml, const struct legacy_device *device)
{
    struct aml_items *items = aml_items_new();
    for (size_t i = 0; i < G_N_ELEMENTS(device->ports) && device->ports[i].count; i++)
        aml_item_ports(items, device->ports[i].base, device->ports[i].count);
    if (device->irq != NO_IRQ)
        aml_item_irqs(items, 1u << device->irq);
    size_t block = aml_begin_device(aml, device->name);
    aml_name_eisa_id(aml, "_HID", device->id);
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

static void serial_emit(GByteArray *aml, unsigned index)
{
    static const struct {
        uint16_t port;
        uint8_t irq;
    } places[VM_SERIAL_PORTS] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };
    const char name[] = { 'C', 'O', 'M', '1' + index, '\0' };
    struct aml_items *items = aml_items_new();
    aml_item_ports(items, places[index].port, 8);
    aml_item_irqs(items, 1u << places[index].irq);
    size_t block = aml_begin_device(aml, name);
    aml_name_eisa_id(aml, "_HID", "PNP0501");
    aml_name_integer(aml, "_UID", index + 1);
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

static void floppy_emit(GByteArray *aml)
{
    struct aml_items *items = aml_items_new();
    aml_item_ports(items, 0x3f2, 4);
    aml_item_ports(items, 0x3f7, 1);
    aml_item_irqs(items, 1u << 6);
    aml_item_dma(items, 1u << 2);
    size_t block = aml_begin_device(aml, "FDC0");
    aml_name_eisa_id(aml, "_HID", "PNP0700");
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

/* A device that only says where its ports are, for a driver that knows it by name. */
static void named_device_emit(GByteArray *aml, const char *name, const char *id, uint16_t port,
                              uint8_t count)
{
    enum { PRESENT_ENABLED_WORKING = 0xb }; /* not shown to the user */
    struct aml_items *items = aml_items_new();
    aml_item_ports(items, port, count);
    size_t block = aml_begin_device(aml, name);
    aml_name_string(aml, "_HID", id);
    aml_name_integer(aml, "_STA", PRESENT_ENABLED_WORKING);
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

static void isa_devices_emit(GByteArray *aml, struct vm *vm)
{
    for (unsigned i = 0; i < VM_SERIAL_PORTS; i++)
        if (vm->config->serial[i])
            serial_emit(aml, i);
    for (size_t i = 0; i < G_N_ELEMENTS(legacy_devices); i++)
        if (!legacy_devices[i].type || board_find(vm, legacy_devices[i].type))
            legacy_device_emit(aml, &legacy_devices[i]);
    if (board_find(vm, "isa-fdc"))
        floppy_emit(aml);
    if (board_find(vm, "pvpanic"))
        named_device_emit(aml, "PEVT", "QEMU0001", 0x505, 1);
    if (fw_cfg_find(vm))
        named_device_emit(aml, "FWCF", "QEMU0002", FW_CFG_PORT, FW_CFG_PORT_BYTES);
}

/* --- PCI's interrupt links ------------------------------------------------------------------- */

#define LINKS_PIIX3 4u
#define LINKS_ICH9 8u
#define LINK_DISABLED 0x80u
/* Where the interrupt's number is in the buffer of one extended interrupt descriptor. */
#define INTERRUPT_NUMBER_OFFSET 5u

static const char *link_register(unsigned link)
{
    static const char *const names[] = { "PRQA", "PRQB", "PRQC", "PRQD",
                                         "PRQE", "PRQF", "PRQG", "PRQH" };
    return names[link];
}

static const char *link_name(unsigned link)
{
    static const char *const names[] = { "LNKA", "LNKB", "LNKC", "LNKD",
                                         "LNKE", "LNKF", "LNKG", "LNKH" };
    return names[link];
}

/* The bridge's routing registers, one byte per link: 0x60 to 0x63, in ICH9 also 0x68 to 0x6b. */
static void link_registers_emit(GByteArray *aml, bool q35)
{
    unsigned links = q35 ? LINKS_ICH9 : LINKS_PIIX3;
    aml_region(aml, "PIRQ", AML_PCI_CONFIG, 0x60, q35 ? 0x0c : 0x04);
    size_t field = aml_begin_field(aml, "PIRQ", AML_BYTE_ACCESS);
    for (unsigned i = 0; i < links; i++) {
        if (i == LINKS_PIIX3)
            aml_field(aml, NULL, 32);
        aml_field(aml, link_register(i), 8);
    }
    aml_end(aml, field);
}

/* Method (IQST, 1): _STA of a link whose register has this value. */
static void link_status_emit(GByteArray *aml)
{
    enum { PRESENT_DISABLED = 0x9, PRESENT_ENABLED = 0xb };
    size_t method = aml_begin_method(aml, "IQST", 1);
    size_t block = aml_begin(aml, AML_IF);
    aml_op(aml, AML_AND);
    aml_op(aml, AML_ARG(0));
    aml_integer(aml, LINK_DISABLED);
    aml_op(aml, AML_NOWHERE);
    aml_op(aml, AML_RETURN);
    aml_integer(aml, PRESENT_DISABLED);
    aml_end(aml, block);
    aml_op(aml, AML_RETURN);
    aml_integer(aml, PRESENT_ENABLED);
    aml_end(aml, method);
}

/* Method (IQCR, 1): _CRS of a link whose register has this value. */
static void link_current_emit(GByteArray *aml)
{
    static const uint32_t none[] = { 0 };
    struct aml_items *items = aml_items_new();
    aml_item_level_gsis(items, none, 1);
    size_t method = aml_begin_method_serialized(aml, "IQCR", 1);
    aml_name(aml, "PRR0");
    aml_resources(aml, items);
    aml_op(aml, AML_CREATE_DWORD);
    aml_path(aml, "PRR0");
    aml_integer(aml, INTERRUPT_NUMBER_OFFSET);
    aml_path(aml, "PRRI");
    size_t block = aml_begin(aml, AML_IF);
    aml_op(aml, AML_LLESS);
    aml_op(aml, AML_ARG(0));
    aml_integer(aml, LINK_DISABLED);
    aml_op(aml, AML_STORE);
    aml_op(aml, AML_ARG(0));
    aml_path(aml, "PRRI");
    aml_end(aml, block);
    aml_op(aml, AML_RETURN);
    aml_path(aml, "PRR0");
    aml_end(aml, method);
}

static void call_with_register(GByteArray *aml, const char *method, const char *name,
                               const char *reg)
{
    size_t block = aml_begin_method(aml, name, 0);
    aml_op(aml, AML_RETURN);
    aml_path(aml, method);
    aml_path(aml, reg);
    aml_end(aml, block);
}

static void link_emit(GByteArray *aml, unsigned link)
{
    static const uint32_t choices[] = { 5, 10, 11 };
    const char *path[] = { "\\_SB_.PCI0.ISA_.PRQA", "\\_SB_.PCI0.ISA_.PRQB",
                           "\\_SB_.PCI0.ISA_.PRQC", "\\_SB_.PCI0.ISA_.PRQD",
                           "\\_SB_.PCI0.ISA_.PRQE", "\\_SB_.PCI0.ISA_.PRQF",
                           "\\_SB_.PCI0.ISA_.PRQG", "\\_SB_.PCI0.ISA_.PRQH" };
    const char *reg = path[link];
    struct aml_items *items = aml_items_new();
    aml_item_level_gsis(items, choices, G_N_ELEMENTS(choices));
    size_t device = aml_begin_device(aml, link_name(link));
    aml_name_eisa_id(aml, "_HID", "PNP0C0F");
    aml_name_integer(aml, "_UID", link);
    aml_name(aml, "_PRS");
    aml_resources(aml, items);
    call_with_register(aml, "IQST", "_STA", reg);
    call_with_register(aml, "IQCR", "_CRS", reg);

    size_t method = aml_begin_method(aml, "_DIS", 0);
    aml_op(aml, AML_OR);
    aml_path(aml, reg);
    aml_integer(aml, LINK_DISABLED);
    aml_path(aml, reg);
    aml_end(aml, method);

    method = aml_begin_method(aml, "_SRS", 1);
    aml_op(aml, AML_CREATE_DWORD);
    aml_op(aml, AML_ARG(0));
    aml_integer(aml, INTERRUPT_NUMBER_OFFSET);
    aml_path(aml, "PRRI");
    aml_op(aml, AML_STORE);
    aml_path(aml, "PRRI");
    aml_path(aml, reg);
    aml_end(aml, method);
    aml_end(aml, device);
}

/* The PIIX4's power management is wired to the SCI instead of a link. */
static void link_sci_emit(GByteArray *aml)
{
    static const uint32_t sci[] = { BOARD_IRQ_SCI };
    size_t device = aml_begin_device(aml, "LNKS");
    aml_name_eisa_id(aml, "_HID", "PNP0C0F");
    aml_name_integer(aml, "_UID", LINKS_ICH9);
    for (unsigned i = 0; i < 2; i++) {
        struct aml_items *items = aml_items_new();
        aml_item_level_gsis(items, sci, 1);
        aml_name(aml, i ? "_CRS" : "_PRS");
        aml_resources(aml, items);
    }
    aml_name_integer(aml, "_STA", 0xb);
    size_t method = aml_begin_method(aml, "_DIS", 0);
    aml_end(aml, method);
    method = aml_begin_method(aml, "_SRS", 1);
    aml_end(aml, method);
    aml_end(aml, device);
}

/* --- PCI's interrupt routing ----------------------------------------------------------------- */

#define PCI_SLOTS 32u
#define PCI_PINS 4u

/* Which link a slot's pin is wired to. In a PIIX board slot 1 is the first and each next slot is
 * turned by one. In Q35, slots 0 to 24 and 30 use links E to H, turned by one from slot to slot;
 * the others, which are inside the ICH9, A to D as they are. */
static unsigned pin_link(bool q35, unsigned slot, unsigned pin)
{
    if (!q35)
        return (slot + pin + PCI_PINS - 1) % PCI_PINS;
    if (slot <= 24)
        return 4 + (slot + pin) % PCI_PINS;
    return slot == 30 ? 4 + pin : pin;
}

/* One entry per pin: which slot (all its functions), pin, link or 0, and then an interrupt. */
static void routing_emit(GByteArray *aml, bool q35, bool apic)
{
    enum { ALL_FUNCTIONS = 0xffff, FIRST_PCI_GSI = 16 };
    size_t package = aml_begin_package(aml, PCI_SLOTS * PCI_PINS);
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        for (unsigned pin = 0; pin < PCI_PINS; pin++) {
            unsigned link = pin_link(q35, slot, pin);
            size_t entry = aml_begin_package(aml, 4);
            aml_integer(aml, slot << 16 | ALL_FUNCTIONS);
            aml_integer(aml, pin);
            if (apic)
                aml_integer(aml, 0);
            else
                aml_path(aml, !q35 && slot == 1 && pin == 0 ? "LNKS" : link_name(link));
            aml_integer(aml, apic ? FIRST_PCI_GSI + link : 0);
            aml_end(aml, entry);
        }
    }
    aml_end(aml, package);
}

/* With the I/O APIC (\_PIC has been told), a Q35's links are its inputs 16 to 23. */
static void q35_prt_emit(GByteArray *aml)
{
    aml_name(aml, "PRTP");
    routing_emit(aml, true, false);
    aml_name(aml, "PRTA");
    routing_emit(aml, true, true);
    size_t method = aml_begin_method(aml, "_PRT", 0);
    size_t block = aml_begin(aml, AML_IF);
    aml_path(aml, "\\PICF");
    aml_op(aml, AML_RETURN);
    aml_path(aml, "PRTA");
    aml_end(aml, block);
    aml_op(aml, AML_RETURN);
    aml_path(aml, "PRTP");
    aml_end(aml, method);
}

static void pic_method_emit(GByteArray *aml)
{
    aml_name_integer(aml, "PICF", 0);
    size_t method = aml_begin_method(aml, "_PIC", 1);
    aml_op(aml, AML_STORE);
    aml_op(aml, AML_ARG(0));
    aml_path(aml, "PICF");
    aml_end(aml, method);
}

/* --- host bridge ----------------------------------------------------------------------------- */

/* Memory from RAM's end to the I/O APIC belongs to PCI, but for the configuration space. */
static void low_windows(struct aml_items *items, const struct vm *vm,
                        const struct acpi_board *board)
{
    uint64_t first = vm->ram.below_4g_size, end = BOARD_IOAPIC_ADDRESS;
    if (board->ecam_bytes && board->ecam_base >= first && board->ecam_base < end) {
        if (board->ecam_base > first)
            aml_item_window(items, AML_MEMORY, first, board->ecam_base - 1);
        first = board->ecam_base + board->ecam_bytes;
    }
    if (first < end)
        aml_item_window(items, AML_MEMORY, first, end - 1);
}

static void high_window(struct aml_items *items, const struct vm *vm)
{
    uint64_t ram_end = 4 * GIB + (vm->ram.size - vm->ram.below_4g_size);
    uint64_t first = (ram_end + GIB - 1) & ~(GIB - 1);
    unsigned bits = board_phys_bits(vm);
    if (bits >= 64 || first + HIGH_WINDOW_BYTES <= 1ull << bits)
        aml_item_window(items, AML_MEMORY, first, first + HIGH_WINDOW_BYTES - 1);
}

static void bridge_resources_emit(GByteArray *aml, const struct vm *vm,
                                  const struct acpi_board *board)
{
    struct aml_items *items = aml_items_new();
    aml_item_ports(items, PCI_ADDRESS_PORT, 8);
    aml_item_window(items, AML_BUS, 0, 0xff);
    aml_item_window(items, AML_IO, 0, PCI_ADDRESS_PORT - 1);
    aml_item_window(items, AML_IO, PCI_ADDRESS_PORT + 8, 0xffff);
    aml_item_window(items, AML_MEMORY, 0xa0000, 0xbffff);
    low_windows(items, vm, board);
    high_window(items, vm);
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
}

/* _OSC: the system may have all of PCI Express that it asks for. (PCI Firmware Specification 3.0,
 * 4.5.1) */
static void osc_emit(GByteArray *aml)
{
    enum { GRANTED = 0x1f, BAD_UUID = 0x4, BAD_REVISION = 0x8, MASKED = 0x10 };
    static const char *const words[] = { "CDW1", "CDW2", "CDW3" };
    size_t method = aml_begin_method_serialized(aml, "_OSC", 4);
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        aml_op(aml, AML_CREATE_DWORD);
        aml_op(aml, AML_ARG(3));
        aml_integer(aml, 4 * i);
        aml_path(aml, words[i]);
    }
    size_t block = aml_begin(aml, AML_IF);
    aml_op(aml, AML_LEQUAL);
    aml_op(aml, AML_ARG(0));
    aml_uuid(aml, "33DB4D5B-1FF7-401C-9657-7441C03DD766");
    aml_op(aml, AML_AND);
    aml_path(aml, "CDW3");
    aml_integer(aml, GRANTED);
    aml_op(aml, AML_LOCAL(0));
    size_t inner = aml_begin(aml, AML_IF);
    aml_op(aml, AML_LNOT);
    aml_op(aml, AML_LEQUAL);
    aml_op(aml, AML_ARG(1));
    aml_integer(aml, 1);
    aml_op(aml, AML_OR);
    aml_path(aml, "CDW1");
    aml_integer(aml, BAD_REVISION);
    aml_path(aml, "CDW1");
    aml_end(aml, inner);
    inner = aml_begin(aml, AML_IF);
    aml_op(aml, AML_LNOT);
    aml_op(aml, AML_LEQUAL);
    aml_path(aml, "CDW3");
    aml_op(aml, AML_LOCAL(0));
    aml_op(aml, AML_OR);
    aml_path(aml, "CDW1");
    aml_integer(aml, MASKED);
    aml_path(aml, "CDW1");
    aml_end(aml, inner);
    aml_op(aml, AML_STORE);
    aml_op(aml, AML_LOCAL(0));
    aml_path(aml, "CDW3");
    aml_end(aml, block);
    block = aml_begin(aml, AML_ELSE);
    aml_op(aml, AML_OR);
    aml_path(aml, "CDW1");
    aml_integer(aml, BAD_UUID);
    aml_path(aml, "CDW1");
    aml_end(aml, block);
    aml_op(aml, AML_RETURN);
    aml_op(aml, AML_ARG(3));
    aml_end(aml, method);
}

/* Systems use the configuration space in memory only where a device reserves it. */
static void ecam_emit(GByteArray *aml, const struct acpi_board *board)
{
    struct aml_items *items = aml_items_new();
    aml_item_memory(items, board->ecam_base, board->ecam_bytes, true);
    size_t block = aml_begin_device(aml, "DRAC");
    aml_name_eisa_id(aml, "_HID", "PNP0C01");
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

static void pci_emit(GByteArray *aml, struct vm *vm, const struct acpi_board *board)
{
    size_t bridge = aml_begin_device(aml, "PCI0");
    aml_name_eisa_id(aml, "_HID", board->q35 ? "PNP0A08" : "PNP0A03");
    if (board->q35)
        aml_name_eisa_id(aml, "_CID", "PNP0A03");
    aml_name_integer(aml, "_UID", 0);
    aml_name_integer(aml, "_ADR", 0);
    if (board->q35)
        osc_emit(aml);
    bridge_resources_emit(aml, vm, board);
    if (board->ecam_bytes)
        ecam_emit(aml, board);
    if (board->isa_bridge) {
        if (board->q35) {
            q35_prt_emit(aml);
        } else {
            aml_name(aml, "_PRT");
            routing_emit(aml, false, false);
        }
    }
    size_t isa = aml_begin_device(aml, "ISA_");
    aml_name_integer(aml, "_ADR", board->q35 ? 0x1f0000 : 0x10000);
    if (board->isa_bridge)
        link_registers_emit(aml, board->q35);
    isa_devices_emit(aml, vm);
    aml_end(aml, isa);
    aml_end(aml, bridge);
    if (!board->isa_bridge)
        return;
    link_status_emit(aml);
    link_current_emit(aml);
    for (unsigned i = 0; i < (board->q35 ? LINKS_ICH9 : LINKS_PIIX3); i++)
        link_emit(aml, i);
    if (!board->q35)
        link_sci_emit(aml);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void hpet_emit(GByteArray *aml)
{
    struct aml_items *items = aml_items_new();
    aml_item_memory(items, ACPI_HPET_BASE, ACPI_HPET_BYTES, false);
    size_t block = aml_begin_device(aml, "HPET");
    aml_name_eisa_id(aml, "_HID", "PNP0103");
    aml_name_integer(aml, "_UID", 0);
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

static void cpu_emit(GByteArray *aml, unsigned index)
{
    g_autofree char *name = g_strdup_printf("C%03X", index);
    size_t block = aml_begin_device(aml, name);
    aml_name_string(aml, "_HID", "ACPI0007");
    aml_name_integer(aml, "_UID", index);
    aml_end(aml, block);
}

static void virtio_mmio_emit(unsigned index, uint64_t base, unsigned gsi, void *opaque)
{
    GByteArray *aml = opaque;
    const uint32_t gsis[] = { gsi };
    struct aml_items *items = aml_items_new();
    g_autofree char *name = g_strdup_printf("VR%02u", index);
    aml_item_memory(items, base, VIRTIO_MMIO_BYTES, true);
    aml_item_level_gsis(items, gsis, 1);
    size_t block = aml_begin_device(aml, name);
    aml_name_string(aml, "_HID", "LNRO0005"); /* the id drivers of virtio-mmio look for */
    aml_name_integer(aml, "_UID", index);
    aml_name_integer(aml, "_CCA", 1); /* DMA is coherent */
    aml_name(aml, "_CRS");
    aml_resources(aml, items);
    aml_end(aml, block);
}

static void sleep_state_emit(GByteArray *aml, const char *name, unsigned type)
{
    aml_name(aml, name);
    size_t package = aml_begin_package(aml, 4);
    aml_integer(aml, type);
    aml_integer(aml, type);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_end(aml, package);
}

uint32_t acpi_dsdt_add(struct vm *vm, struct acpi_tables *tables)
{
    g_autoptr(GByteArray) dsdt = g_byte_array_new();
    struct acpi_header header = acpi_header_make("DSDT", 2);
    struct acpi_board board;
    acpi_board_look(vm, &board);
    g_byte_array_append(dsdt, (uint8_t *)&header, sizeof(header));
    pic_method_emit(dsdt);
    size_t scope = aml_begin_scope(dsdt, "\\_SB_");
    for (unsigned i = 0; i < vm->config->cpus; i++)
        cpu_emit(dsdt, i);
    if (board.pci)
        pci_emit(dsdt, vm, &board);
    else
        isa_devices_emit(dsdt, vm);
    if (board.hpet)
        hpet_emit(dsdt);
    virtio_mmio_visit(vm, virtio_mmio_emit, dsdt);
    aml_end(dsdt, scope);
    sleep_state_emit(dsdt, "\\_S5_", FIRMWARE_SLEEP_S5);
    return acpi_table_add(tables, dsdt->data, dsdt->len);
}
