/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Layouts of the ACPI tables. (ACPI specification 6.4, chapter 5; others name theirs) */
#ifndef YADO_MACHINE_ACPI_LAYOUT_H
#define YADO_MACHINE_ACPI_LAYOUT_H

#include <assert.h>
#include <stdint.h>

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
#define ADDRESS_SPACE_MEMORY 0
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

enum madt_type {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_NMI = 4,
    MADT_X2APIC = 9
};

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

struct acpi_waet { /* Windows ACPI Emulated Devices Table */
    struct acpi_header header;
    uint32_t flags;
} PACKED;
#define WAET_PM_TIMER_GOOD 2u /* one read suffices */

struct acpi_hpet { /* IA-PC HPET specification 1.0a, 3.2.4 */
    struct acpi_header header;
    uint32_t block_id;
    struct acpi_address address;
    uint8_t number;
    uint16_t minimum_tick;
    uint8_t page_protection;
} PACKED;
static_assert(sizeof(struct acpi_hpet) == 56, "fixed by the specification");

struct acpi_mcfg { /* PCI Firmware Specification 3.0, 4.1.2 */
    struct acpi_header header;
    uint64_t reserved, base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved2;
} PACKED;
static_assert(sizeof(struct acpi_mcfg) == 60, "fixed by the specification");

#endif
