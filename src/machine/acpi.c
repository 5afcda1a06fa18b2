/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guest's ACPI finds: CPUs and interrupt wiring (MADT), fixed hardware for power off,
 * reset and the PM timer (FADT), PCI Express (MCFG), the HPET; the devices are in the DSDT. The
 * registers themselves are those of hw/board.h. (ACPI specification 6.4, chapter 5) */
#include "machine/acpi.h"

#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "machine/acpi_board.h"
#include "machine/acpi_layout.h"
#include "vm/vm.h"

/* --- building blocks ------------------------------------------------------------------------- */

static uint32_t tables_align(struct acpi_tables *tables, unsigned align)
{
    static const uint8_t zeros[64];
    g_byte_array_append(tables->bytes, zeros, -tables->bytes->len & (align - 1));
    return tables->bytes->len;
}

struct acpi_header acpi_header_make(const char *signature, uint8_t revision)
{
    struct acpi_header header = { .revision = revision, .oem_revision = 1, .creator_revision = 1 };
    memcpy(header.signature, signature, 4);
    memcpy(header.oem_id, "YADO  ", 6);
    memcpy(header.oem_table_id, "YADOMACH", 8);
    memcpy(header.creator_id, "YADO", 4);
    return header;
}

uint32_t acpi_table_add(struct acpi_tables *tables, void *table, size_t size)
{
    struct acpi_header *header = table;
    uint32_t at = tables_align(tables, 16);
    struct acpi_sum sum = { at + offsetof(struct acpi_header, checksum), at, size };
    header->length = size;
    g_byte_array_append(tables->bytes, table, size);
    g_array_append_val(tables->sums, sum);
    return at;
}

void acpi_table_add_pointer(struct acpi_tables *tables, uint32_t offset, uint8_t size)
{
    struct acpi_pointer pointer = { offset, size };
    g_array_append_val(tables->pointers, pointer);
}

/* The same for a table that the root tables list. */
static uint32_t table_list(struct acpi_tables *tables, void *table, size_t size)
{
    uint32_t at = acpi_table_add(tables, table, size);
    g_array_append_val(tables->listed, at);
    return at;
}

static struct acpi_address port_address(uint16_t port, uint8_t bits, uint8_t access)
{
    return (struct acpi_address){
        .space = ADDRESS_SPACE_IO, .bits = bits, .access = access, .address = port
    };
}

/* --- the tables ------------------------------------------------------------------------------ */

static uint32_t facs_add(struct acpi_tables *tables)
{
    struct acpi_facs facs = { .length = sizeof(facs), .version = 2 };
    memcpy(facs.signature, "FACS", 4);
    uint32_t at = tables_align(tables, 64);
    g_byte_array_append(tables->bytes, (uint8_t *)&facs, sizeof(facs));
    return at;
}

static void fadt_add(struct vm *vm, struct acpi_tables *tables, uint32_t facs, uint32_t dsdt)
{
    enum { BYTE_ACCESS = 1, WORD_ACCESS = 2, DWORD_ACCESS = 3 };
    struct acpi_board board;
    acpi_board_look(vm, &board);
    uint16_t control = board.pm_base + (ACPI_PM1_CONTROL_PORT - ACPI_PM1_EVENT_PORT);
    uint16_t timer = board.pm_base + (ACPI_PM_TIMER_PORT - ACPI_PM1_EVENT_PORT);
    struct acpi_fadt fadt = {
        .header = acpi_header_make("FACP", FADT_REVISION),
        .facs = facs,
        .dsdt = dsdt,
        .x_dsdt = dsdt, /* with `facs` given, the other must be zero */
        .sci = BOARD_IRQ_SCI,
        .smi_command = ACPI_SMI_COMMAND_PORT,
        .acpi_enable = ACPI_ENABLE_COMMAND,
        .acpi_disable = ACPI_DISABLE_COMMAND,
        .pm1a_event = board.pm_base,
        .pm1a_control = control,
        .pm_timer = timer,
        .gpe0 = board.gpe0,
        .pm1_event_bytes = 4,
        .pm1_control_bytes = 2,
        .pm_timer_bytes = 4,
        .gpe0_bytes = board.gpe0_bytes,
        .c2_latency = NO_C_STATE,
        .c3_latency = NO_C_STATE,
        .century = CMOS_CENTURY,
        .boot_architecture = BOOT_LEGACY_DEVICES | (board.pci ? 0 : BOOT_NO_VGA)
                             | (board_find(vm, "i8042") ? BOOT_8042 : 0),
        .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC
                 | FADT_TIMER_32_BITS | FADT_RESET,
        .reset = port_address(ACPI_RESET_PORT, 8, BYTE_ACCESS),
        .reset_value = ACPI_RESET_VALUE,
        .minor_revision = FADT_MINOR_REVISION,
        .x_pm1a_event = port_address(board.pm_base, 32, WORD_ACCESS),
        .x_pm1a_control = port_address(control, 16, WORD_ACCESS),
        .x_pm_timer = port_address(timer, 32, DWORD_ACCESS),
        .x_gpe0 = port_address(board.gpe0, 8 * board.gpe0_bytes, BYTE_ACCESS),
    };
    uint32_t at = table_list(tables, &fadt, sizeof(fadt));
    acpi_table_add_pointer(tables, at + offsetof(struct acpi_fadt, facs), 4);
    acpi_table_add_pointer(tables, at + offsetof(struct acpi_fadt, dsdt), 4);
    acpi_table_add_pointer(tables, at + offsetof(struct acpi_fadt, x_dsdt), 8);
}

static void madt_cpu(GByteArray *madt, unsigned index, unsigned id)
{
    if (id < XAPIC_IDS) {
        struct madt_lapic entry = { MADT_LAPIC, sizeof(entry), index, id, MADT_ENABLED };
        g_byte_array_append(madt, (uint8_t *)&entry, sizeof(entry));
    } else {
        struct madt_x2apic entry = { MADT_X2APIC, sizeof(entry), 0, id, MADT_ENABLED, index };
        g_byte_array_append(madt, (uint8_t *)&entry, sizeof(entry));
    }
}

static void madt_override(GByteArray *madt, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    struct madt_override entry = { MADT_OVERRIDE, sizeof(entry), 0, irq, gsi, flags };
    g_byte_array_append(madt, (uint8_t *)&entry, sizeof(entry));
}

static void madt_add(struct vm *vm, struct acpi_tables *tables)
{
    g_autoptr(GByteArray) madt = g_byte_array_new();
    struct acpi_madt head = { acpi_header_make("APIC", 5), BOARD_LAPIC_ADDRESS,
                              MADT_PCAT_COMPATIBLE };
    g_byte_array_append(madt, (uint8_t *)&head, sizeof(head));
    for (unsigned i = 0; i < vm->config->cpus; i++)
        madt_cpu(madt, i, vm_apic_id(vm, i));
    struct madt_ioapic ioapic = { MADT_IOAPIC, sizeof(ioapic), 0, 0, BOARD_IOAPIC_ADDRESS, 0 };
    g_byte_array_append(madt, (uint8_t *)&ioapic, sizeof(ioapic));
    madt_override(madt, BOARD_IRQ_TIMER, 2, MADT_AS_BUS);
    /* The SCI, and what PCI's links may be routed to. */
    static const uint8_t level[] = { 5, BOARD_IRQ_SCI, 10, 11 };
    bool pci = pci_root_bus(vm);
    for (size_t i = 0; i < sizeof(level); i++)
        if (pci || level[i] == BOARD_IRQ_SCI)
            madt_override(madt, level[i], level[i], MADT_HIGH_LEVEL);
    struct madt_nmi nmi = { MADT_NMI, sizeof(nmi), MADT_ALL_CPUS, MADT_AS_BUS, 1 };
    g_byte_array_append(madt, (uint8_t *)&nmi, sizeof(nmi));
    table_list(tables, madt->data, madt->len);
}

static void waet_add(struct acpi_tables *tables)
{
    struct acpi_waet waet = { acpi_header_make("WAET", 1), WAET_PM_TIMER_GOOD };
    table_list(tables, &waet, sizeof(waet));
}

static void hpet_add(struct acpi_tables *tables)
{
    enum { BLOCK_ID = 0x8086a201 }; /* Intel, legacy replacement, 64 bits, 3 timers, revision 1 */
    struct acpi_hpet hpet = {
        .header = acpi_header_make("HPET", 1),
        .block_id = BLOCK_ID,
        .address = { .space = ADDRESS_SPACE_MEMORY, .address = ACPI_HPET_BASE },
    };
    table_list(tables, &hpet, sizeof(hpet));
}

static void mcfg_add(struct acpi_tables *tables, const struct acpi_board *board)
{
    struct acpi_mcfg mcfg = {
        .header = acpi_header_make("MCFG", 1),
        .base = board->ecam_base,
        .last_bus = (board->ecam_bytes >> 20) - 1,
    };
    table_list(tables, &mcfg, sizeof(mcfg));
}

/* --- the root -------------------------------------------------------------------------------- */

static uint32_t root_table_add(struct acpi_tables *tables, const char *signature, unsigned size)
{
    g_autoptr(GByteArray) root = g_byte_array_new();
    struct acpi_header header = acpi_header_make(signature, 1);
    g_byte_array_append(root, (uint8_t *)&header, sizeof(header));
    for (guint i = 0; i < tables->listed->len; i++) {
        uint64_t offset = g_array_index(tables->listed, uint32_t, i);
        g_byte_array_append(root, (uint8_t *)&offset, size);
    }
    uint32_t at = acpi_table_add(tables, root->data, root->len);
    for (guint i = 0; i < tables->listed->len; i++)
        acpi_table_add_pointer(tables, at + sizeof(header) + i * size, size);
    return at;
}

void acpi_tables_build(struct vm *vm, struct acpi_tables *tables)
{
    struct acpi_board board;
    acpi_board_look(vm, &board);
    *tables = (struct acpi_tables){
        .bytes = g_byte_array_new(),
        .pointers = g_array_new(FALSE, FALSE, sizeof(struct acpi_pointer)),
        .sums = g_array_new(FALSE, FALSE, sizeof(struct acpi_sum)),
        .listed = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
    };
    uint32_t facs = facs_add(tables);
    uint32_t dsdt = acpi_dsdt_add(vm, tables);
    fadt_add(vm, tables, facs, dsdt);
    madt_add(vm, tables);
    if (board.hpet)
        hpet_add(tables);
    if (board.ecam_bytes)
        mcfg_add(tables, &board);
    waet_add(tables);
    tables->rsdt = root_table_add(tables, "RSDT", 4);
    tables->xsdt = root_table_add(tables, "XSDT", 8);
}

void acpi_tables_free(struct acpi_tables *tables)
{
    g_byte_array_unref(tables->bytes);
    g_array_unref(tables->pointers);
    g_array_unref(tables->sums);
    g_array_unref(tables->listed);
}
