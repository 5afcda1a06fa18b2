/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the machine code and the control layers need from the board's devices beyond device.h:
 * where they are (for the ACPI tables), and the few things that are done to them by name.
 *
 * Threads: main loop only, unless a function says otherwise. */
#ifndef YADO_HW_BOARD_H
#define YADO_HW_BOARD_H

#include "hw/device.h"

/* ISA interrupts = gsi numbers. ISA interrupt 0 reaches I/O APIC pin 2 (the usual override). */
enum board_irq {
    BOARD_IRQ_TIMER = 0,
    BOARD_IRQ_KEYBOARD = 1,
    BOARD_IRQ_RTC = 8,
    BOARD_IRQ_SCI = 9, /* level, active high */
    BOARD_IRQ_MOUSE = 12,
};
#define BOARD_GSI_COUNT 24
#define BOARD_IOAPIC_ADDRESS 0xfec00000u
#define BOARD_LAPIC_ADDRESS 0xfee00000u
/* Where PCI devices' memory may lie: RAM below 4 GiB never reaches it, and the I/O APIC ends it. */
#define BOARD_PCI_MEMORY 0xc0000000u

/* ACPI fixed hardware (ACPI specification 6.4, 4.8.3). */
#define ACPI_PM1_EVENT_PORT 0x600u   /* status, enable: 4 bytes */
#define ACPI_PM1_CONTROL_PORT 0x604u /* 2 bytes */
#define ACPI_PM_TIMER_PORT 0x608u    /* 4 bytes, 32 bits wide */
#define ACPI_GPE0_PORT 0x620u        /* status, enable: 4 bytes in all */
#define ACPI_GPE0_BYTES 4u
#define ACPI_SMI_COMMAND_PORT 0xb2u
#define ACPI_ENABLE_COMMAND 0xf1u
#define ACPI_DISABLE_COMMAND 0xf0u
#define ACPI_SLEEP_TYPE_S5 0u /* both SLP_TYP values of \_S5 */
#define ACPI_RESET_PORT 0xcf9u
#define ACPI_RESET_VALUE 0x06u

/* Presses the power button: the guest gets an SCI and may shut down. */
void acpi_pm_power_button(struct vm *vm);

/* Fills vm->gsi and, unless the engine has the interrupt controllers, creates the 8259 pair, the
 * I/O APIC and the local APICs' window. Call once, after the engine's vm_init() and before any
 * other device; local APICs themselves are made per vCPU by lapic_create(). */
bool board_interrupts_create(struct vm *vm, GError **error);

/* A source of its own for a line that others may drive too; the line is high while one of them is.
 * From realize, at most 32 per line. */
struct irq_line board_gsi_shared(struct vm *vm, unsigned gsi);

/* Is there system management mode: does the engine have it, and does -machine smm= want it? */
bool board_has_smm(const struct vm *vm);
/* Any thread. A system management interrupt, for the CPU that asks (the first, from other threads)
 * or for all. */
void board_smi(struct vm *vm, bool all);

/* Any thread. A message signalled interrupt, to the engine's controllers or ours. */
void board_msi_send(struct vm *vm, uint64_t address, uint32_t data);

/* Creates one of the board's own devices ("pit", "rtc", "i8042", …) with its defaults. */
struct device *board_device_create(struct vm *vm, const char *type, GError **error);

/* One byte of CMOS memory, 0x0e to 0x7f; kept over resets. Nothing happens on a board without
 * RTC. */
void rtc_set_cmos(struct vm *vm, uint8_t index, uint8_t value);

/* Any thread. The address line 20 gate: stored in vm->a20_off; every vCPU is sent VCPU_ENGINE and
 * takes it into cpu->a20_mask before it executes on. */
void board_set_a20(struct vm *vm, bool enabled);

/* The first device of a type, or NULL. */
struct device *board_find(struct vm *vm, const char *type);

#endif
