/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest's ACPI finds: CPUs and interrupt wiring (MADT), fixed hardware for power off,
 * reset and the PM timer (FADT), and the legacy devices (DSDT). The registers themselves are those
 * of hw/board.h. (ACPI specification 6.4, chapter 5) */
#include "machine/acpi.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "machine/aml.h"
#include "vm/vm.h"

/* --- layouts -------------------------------------------------------------------------------- */

#define PACKED __attribute__((packed))

struct acpi_header { /* 5.2.6 */
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem_id[6], oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} PACKED;
static_assert(sizeof(struct acpi_header) == 36, "fixed by the specification");

struct acpi_rsdp { /* 5.2.5.3 */
    char signature[8];
    uint8_t checksum;
    char oem_id[6];
    uint8_t revision;
    uint32_t rsdt, length;
    uint64_t xsdt;
    uint8_t extended_checksum, reserved[3];
} PACKED;
static_assert(sizeof(struct acpi_rsdp) == 36, "fixed by the specification");

struct acpi_address { /* 5.2.3.2 */
    uint8_t space, bits, offset, access;
    uint64_t address;
} PACKED;
#define ADDRESS_SPACE_IO 1

struct acpi_facs { /* 5.2.10 */
    char signature[4];
    uint32_t length, hardware_signature, waking_vector, global_lock, flags;
    uint64_t x_waking_vector;
    uint8_t version, reserved[31];
} PACKED;
static_assert(sizeof(struct acpi_facs) == 64, "fixed by the specification");

struct acpi_fadt { /* 5.2.9 */
    struct acpi_header header;
    uint32_t facs, dsdt;
    uint8_t reserved1, pm_profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
    uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes, gpe0_bytes,
        gpe1_bytes, gpe1_base, cstate_control;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_architecture;
    uint8_t reserved2;
    uint32_t flags;
    struct acpi_address reset;
    uint8_t reset_value;
    uint16_t arm_boot_architecture;
    uint8_t minor_revision;
    uint64_t x_facs, x_dsdt;
    struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
        x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
    uint64_t hypervisor_vendor;
} PACKED;
static_assert(sizeof(struct acpi_fadt) == 276, "fixed by the specification");

#define FADT_REVISION 6
#define FADT_MINOR_REVISION 4
#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_NO_FIXED_RTC (1u << 6)
#define FADT_TIMER_32_BITS (1u << 8)
#define FADT_RESET (1u << 10)
#define BOOT_LEGACY_DEVICES (1u << 0)
#define BOOT_8042 (1u << 1)
#define BOOT_NO_VGA (1u << 2)
#define NO_C_STATE 0xfff /* a latency beyond the limit: the state does not exist */
#define CMOS_CENTURY 0x32

struct acpi_madt { /* 5.2.12 */
    struct acpi_header header;
    uint32_t lapic_address, flags;
} PACKED;
#define MADT_PCAT_COMPATIBLE 1u

struct madt_lapic {
    uint8_t type, length, uid, id;
    uint32_t flags;
} PACKED;
#define MADT_ENABLED 1u

struct madt_x2apic {
    uint8_t type, length;
    uint16_t reserved;
    uint32_t id, flags, uid;
} PACKED;
#define XAPIC_IDS 255u /* a larger number needs x2APIC */

struct madt_ioapic {
    uint8_t type, length, id, reserved;
    uint32_t address, gsi_base;
} PACKED;

struct madt_override {
    uint8_t type, length, bus, source;
    uint32_t gsi;
    uint16_t flags;
} PACKED;
#define MADT_AS_BUS 0u
#define MADT_HIGH_LEVEL 0xdu

struct madt_nmi {
    uint8_t type, length, uid;
    uint16_t flags;
    uint8_t lint;
} PACKED;
#define MADT_ALL_CPUS 0xff

enum madt_type {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_NMI = 4,
    MADT_X2APIC = 9
};

struct acpi_waet { /* Windows ACPI Emulated Devices Table */
    struct acpi_header header;
    uint32_t flags;
} PACKED;
#define WAET_PM_TIMER_GOOD 2u /* one read suffices */

/* --- the tables ----------------------------------------------------------------------------- */

/* All tables one after the other, as they will lie at BOOT_TABLES. */
struct tables {
    GByteArray *bytes;
    uint32_t rsdt[4];
    uint64_t xsdt[4];
    unsigned count; /* of tables the root tables list */
};

static uint8_t checksum(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    return -sum;
}

static uint32_t tables_align(struct tables *tables, unsigned align)
{
    static const uint8_t zeros[64];
    unsigned rest = -tables->bytes->len & (align - 1);
    g_byte_array_append(tables->bytes, zeros, rest);
    return BOOT_TABLES + tables->bytes->len;
}

static struct acpi_header header_make(const char *signature, uint8_t revision)
{
    struct acpi_header header = { .revision = revision, .oem_revision = 1, .creator_revision = 1 };
    memcpy(header.signature, signature, 4);
    memcpy(header.oem_id, "YADO  ", 6);
    memcpy(header.oem_table_id, "YADOMACH", 8);
    memcpy(header.creator_id, "YADO", 4);
    return header;
}

/* Fills in length and checksum of `table`, whose first member is its header; returns its
 * address. */
static uint32_t table_add(struct tables *tables, void *table, size_t size)
{
    struct acpi_header *header = table;
    header->length = size;
    header->checksum = 0;
    header->checksum = checksum(table, size);
    uint32_t address = tables_align(tables, 16);
    g_byte_array_append(tables->bytes, table, size);
    return address;
}

static void table_list(struct tables *tables, uint32_t address)
{
    tables->rsdt[tables->count] = address;
    tables->xsdt[tables->count++] = address;
}

static struct acpi_address port_address(uint16_t port, uint8_t bits, uint8_t access)
{
    return (struct acpi_address){
        .space = ADDRESS_SPACE_IO, .bits = bits, .access = access, .address = port
    };
}

static void fadt_add(struct tables *tables, uint32_t facs, uint32_t dsdt, bool keyboard)
{
    enum { BYTE_ACCESS = 1, WORD_ACCESS = 2, DWORD_ACCESS = 3 };
    struct acpi_fadt fadt = {
        .header = header_make("FACP", FADT_REVISION),
        .facs = facs,
        .dsdt = dsdt,
        .x_dsdt = dsdt, /* with `facs` given, the other must be zero */
        .sci = BOARD_IRQ_SCI,
        .smi_command = ACPI_SMI_COMMAND_PORT,
        .acpi_enable = ACPI_ENABLE_COMMAND,
        .acpi_disable = ACPI_DISABLE_COMMAND,
        .pm1a_event = ACPI_PM1_EVENT_PORT,
        .pm1a_control = ACPI_PM1_CONTROL_PORT,
        .pm_timer = ACPI_PM_TIMER_PORT,
        .gpe0 = ACPI_GPE0_PORT,
        .pm1_event_bytes = 4,
        .pm1_control_bytes = 2,
        .pm_timer_bytes = 4,
        .gpe0_bytes = ACPI_GPE0_BYTES,
        .c2_latency = NO_C_STATE,
        .c3_latency = NO_C_STATE,
        .century = CMOS_CENTURY,
        .boot_architecture = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | (keyboard ? BOOT_8042 : 0),
        .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC
                 | FADT_TIMER_32_BITS | FADT_RESET,
        .reset = port_address(ACPI_RESET_PORT, 8, BYTE_ACCESS),
        .reset_value = ACPI_RESET_VALUE,
        .minor_revision = FADT_MINOR_REVISION,
        .x_pm1a_event = port_address(ACPI_PM1_EVENT_PORT, 32, WORD_ACCESS),
        .x_pm1a_control = port_address(ACPI_PM1_CONTROL_PORT, 16, WORD_ACCESS),
        .x_pm_timer = port_address(ACPI_PM_TIMER_PORT, 32, DWORD_ACCESS),
        .x_gpe0 = port_address(ACPI_GPE0_PORT, 8 * ACPI_GPE0_BYTES, BYTE_ACCESS),
    };
    table_list(tables, table_add(tables, &fadt, sizeof(fadt)));
}

static void madt_cpu(GByteArray *madt, unsigned index)
{
    if (index < XAPIC_IDS) {
        struct madt_lapic entry = { MADT_LAPIC, sizeof(entry), index, index, MADT_ENABLED };
        g_byte_array_append(madt, (uint8_t *)&entry, sizeof(entry));
    } else {
        struct madt_x2apic entry = { MADT_X2APIC, sizeof(entry), 0, index, MADT_ENABLED, index };
        g_byte_array_append(madt, (uint8_t *)&entry, sizeof(entry));
    }
}

static void madt_add(struct tables *tables, unsigned cpus)
{
    g_autoptr(GByteArray) madt = g_byte_array_new();
    struct acpi_madt head = { header_make("APIC", 5), BOARD_LAPIC_ADDRESS, MADT_PCAT_COMPATIBLE };
    g_byte_array_append(madt, (uint8_t *)&head, sizeof(head));
    for (unsigned i = 0; i < cpus; i++)
        madt_cpu(madt, i);
    struct madt_ioapic ioapic = { MADT_IOAPIC, sizeof(ioapic), 0, 0, BOARD_IOAPIC_ADDRESS, 0 };
    g_byte_array_append(madt, (uint8_t *)&ioapic, sizeof(ioapic));
    const struct madt_override overrides[] = {
        { MADT_OVERRIDE, sizeof(overrides[0]), 0, BOARD_IRQ_TIMER, 2, MADT_AS_BUS },
        { MADT_OVERRIDE, sizeof(overrides[0]), 0, BOARD_IRQ_SCI, BOARD_IRQ_SCI, MADT_HIGH_LEVEL },
    };
    g_byte_array_append(madt, (const uint8_t *)overrides, sizeof(overrides));
    struct madt_nmi nmi = { MADT_NMI, sizeof(nmi), MADT_ALL_CPUS, MADT_AS_BUS, 1 };
    g_byte_array_append(madt, (uint8_t *)&nmi, sizeof(nmi));
    table_list(tables, table_add(tables, madt->data, madt->len));
}

static void waet_add(struct tables *tables)
{
    struct acpi_waet waet = { header_make("WAET", 1), WAET_PM_TIMER_GOOD };
    table_list(tables, table_add(tables, &waet, sizeof(waet)));
}

/* --- DSDT ----------------------------------------------------------------------------------- */

struct legacy_device {
    const char *name, *id;
    struct aml_ports ports[3];
    uint8_t irq;
    bool keyboard; /* of the keyboard controller, which not every board has */
};

static const struct legacy_device legacy_devices[] = {
    { "TMR_", "PNP0100", { { 0x40, 4 } }, BOARD_IRQ_TIMER, false },
    { "RTC_", "PNP0B00", { { 0x70, 2 } }, BOARD_IRQ_RTC, false },
    { "KBD_", "PNP0303", { { 0x60, 1 }, { 0x64, 1 } }, BOARD_IRQ_KEYBOARD, true },
    { "MOU_", "PNP0F13", { { 0 } }, BOARD_IRQ_MOUSE, true },
};

static void legacy_device_emit(GByteArray *aml, const struct legacy_device *device)
{
    size_t block = aml_begin_device(aml, device->name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, device->id);
    aml_resources(aml, device->ports, device->irq);
    aml_end(aml, block);
}

static void serial_emit(GByteArray *aml, unsigned index)
{
    static const struct {
        uint16_t port;
        uint8_t irq;
    } places[VM_SERIAL_PORTS] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };
    const struct aml_ports ports[] = { { places[index].port, 8 }, { 0 } };
    const char name[] = { 'C', 'O', 'M', '1' + index, '\0' };
    size_t block = aml_begin_device(aml, name);
    aml_name(aml, "_HID");
    aml_eisa_id(aml, "PNP0501");
    aml_name(aml, "_UID");
    aml_integer(aml, index + 1);
    aml_resources(aml, ports, places[index].irq);
    aml_end(aml, block);
}

static void pci_emit(GByteArray *aml)
{
    static const struct aml_ports ports[] = { { PCI_ADDRESS_PORT, 8 }, { 0 } };
    static const struct aml_window windows[] = {
        { AML_BUS, 0, 0xff },
        { AML_IO, 0, PCI_ADDRESS_PORT - 1 },
        { AML_IO, PCI_ADDRESS_PORT + 8, 0xffff },
        { AML_MEMORY, 0xa0000, 0xbffff },
        { AML_MEMORY, BOARD_PCI_MEMORY, BOARD_IOAPIC_ADDRESS - 1 },
        { 0 },
    };
    size_t block = aml_begin_device(aml, "PCI0");
    aml_name(aml, "_HID");
    aml_eisa_id(aml, "PNP0A03");
    aml_name(aml, "_UID");
    aml_integer(aml, 0);
    aml_bridge_resources(aml, ports, windows);
    aml_end(aml, block);
}

static void cpu_emit(GByteArray *aml, unsigned index)
{
    g_autofree char *name = g_strdup_printf("C%03X", index);
    size_t block = aml_begin_device(aml, name);
    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0007");
    aml_name(aml, "_UID");
    aml_integer(aml, index);
    aml_end(aml, block);
}

static uint32_t dsdt_add(struct tables *tables, const struct vm *vm, bool keyboard, bool pci)
{
    g_autoptr(GByteArray) dsdt = g_byte_array_new();
    struct acpi_header header = header_make("DSDT", 2);
    g_byte_array_append(dsdt, (uint8_t *)&header, sizeof(header));
    size_t scope = aml_begin_scope(dsdt, "\\_SB_");
    for (unsigned i = 0; i < vm->config->cpus; i++)
        cpu_emit(dsdt, i);
    if (pci)
        pci_emit(dsdt);
    for (unsigned i = 0; i < VM_SERIAL_PORTS; i++)
        if (vm->config->serial[i])
            serial_emit(dsdt, i);
    for (size_t i = 0; i < G_N_ELEMENTS(legacy_devices); i++)
        if (keyboard || !legacy_devices[i].keyboard)
            legacy_device_emit(dsdt, &legacy_devices[i]);
    aml_end(dsdt, scope);

    aml_name(dsdt, "\\_S5_");
    size_t package = aml_begin_package(dsdt, 4);
    aml_integer(dsdt, ACPI_SLEEP_TYPE_S5);
    aml_integer(dsdt, ACPI_SLEEP_TYPE_S5);
    aml_integer(dsdt, 0);
    aml_integer(dsdt, 0);
    aml_end(dsdt, package);
    return table_add(tables, dsdt->data, dsdt->len);
}

/* --- the root ------------------------------------------------------------------------------- */

static uint32_t root_table_add(struct tables *tables, const char *signature, const void *entries,
                               size_t size)
{
    g_autoptr(GByteArray) root = g_byte_array_new();
    struct acpi_header header = header_make(signature, 1);
    g_byte_array_append(root, (uint8_t *)&header, sizeof(header));
    g_byte_array_append(root, entries, size);
    return table_add(tables, root->data, root->len);
}

/* The root pointer is at the very start, where it was left room: kernels that are not told its
 * address search the area in steps of 16 bytes. */
static void rsdp_write(struct tables *tables)
{
    struct acpi_rsdp rsdp = { .revision = 2, .length = sizeof(rsdp) };
    memcpy(rsdp.signature, "RSD PTR ", 8);
    memcpy(rsdp.oem_id, "YADO  ", 6);
    rsdp.rsdt = root_table_add(tables, "RSDT", tables->rsdt, tables->count * sizeof(uint32_t));
    rsdp.xsdt = root_table_add(tables, "XSDT", tables->xsdt, tables->count * sizeof(uint64_t));
    rsdp.checksum = checksum(&rsdp, offsetof(struct acpi_rsdp, length));
    rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
    memcpy(tables->bytes->data, &rsdp, sizeof(rsdp));
}

static uint32_t facs_add(struct tables *tables)
{
    struct acpi_facs facs = { .length = sizeof(facs), .version = 2 };
    memcpy(facs.signature, "FACS", 4);
    uint32_t address = tables_align(tables, 64);
    g_byte_array_append(tables->bytes, (uint8_t *)&facs, sizeof(facs));
    return address;
}

bool acpi_load(const struct vm *vm, const struct boot *boot, uint64_t *rsdp, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    struct tables tables = { .bytes = bytes };
    bool keyboard = board_find((struct vm *)vm, "i8042") != NULL;
    bool pci = pci_root_bus((struct vm *)vm) != NULL;
    g_byte_array_set_size(bytes, sizeof(struct acpi_rsdp));
    uint32_t facs = facs_add(&tables);
    uint32_t dsdt = dsdt_add(&tables, vm, keyboard, pci);
    fadt_add(&tables, facs, dsdt, keyboard);
    madt_add(&tables, vm->config->cpus);
    waet_add(&tables);
    rsdp_write(&tables);
    void *host = boot_ram(boot, BOOT_TABLES, bytes->len);
    if (bytes->len > BOOT_TABLES_SIZE || !host)
        return fail(error, "the ACPI tables take %u bytes; %u fit", bytes->len, BOOT_TABLES_SIZE);
    memcpy(host, bytes->data, bytes->len);
    *rsdp = BOOT_TABLES;
    return true;
}
