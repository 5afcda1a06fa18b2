/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_board.h"

#define EVENT ACPI_PM1_EVENT_PORT
#define CONTROL ACPI_PM1_CONTROL_PORT

static uint16_t inw(struct test_board *board, uint16_t port)
{
    return address_space_read(board->vm.io, port, 2);
}

static void outw(struct test_board *board, uint16_t port, uint16_t value)
{
    address_space_write(board->vm.io, port, value, 2);
}

static bool sci(struct test_board *board)
{
    bool got = take(board) == 0x29;
    outb(board, 0xa0, 0x20);
    outb(board, 0x20, 0x20);
    return got;
}

static void test_timer(struct test_board *board)
{
    uint32_t first = address_space_read(board->vm.io, ACPI_PM_TIMER_PORT, 4);
    g_usleep(10000);
    uint32_t second = address_space_read(board->vm.io, ACPI_PM_TIMER_PORT, 4);
    tap_ok(second - first >= 35000 && second - first < 3579545, "it counts at 3.58 MHz");
    unsigned backwards = 0;
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t now = address_space_read(board->vm.io, ACPI_PM_TIMER_PORT, 4);
        backwards += (int32_t)(now - second) < 0;
        second = now;
    }
    tap_ok(!backwards, "and never backwards");
    tap_ok(address_space_read(board->vm.io, ACPI_PM_TIMER_PORT, 1) <= 0xff,
           "bytes of it can be read");
}

static void test_power_button(struct test_board *board)
{
    pic_program(board);
    outb(board, 0x4d1, 0x02);
    outb(board, ACPI_SMI_COMMAND_PORT, ACPI_ENABLE_COMMAND);
    acpi_pm_power_button(&board->vm);
    tap_ok(inw(board, EVENT) == 0x100 && !sci(board), "a button nobody listens to");
    outw(board, EVENT + 2, 0x100);
    tap_ok(sci(board), "enabled, it interrupts");
    tap_ok(sci(board), "as long as it is not acknowledged");
    outb(board, EVENT, 0xff);
    tap_ok(inw(board, EVENT) == 0x100, "a byte write clears only its half");
    outw(board, EVENT, 0x100);
    tap_ok(inw(board, EVENT) == 0 && !sci(board), "then it is over");
    tap_ok(address_space_read(board->vm.io, EVENT, 4) == 0x01000000, "both registers in one read");
    outb(board, EVENT + 3, 0);
    tap_ok(inw(board, EVENT + 2) == 0, "byte writes of the enable register");
}

static void test_control(struct test_board *board)
{
    struct vm *vm = &board->vm;
    tap_ok(inw(board, CONTROL) == 0, "no ACPI mode at reset");
    outb(board, 0xb2, ACPI_ENABLE_COMMAND);
    tap_ok(inw(board, CONTROL) == 1, "entered by command");
    outb(board, 0xb2, ACPI_DISABLE_COMMAND);
    tap_ok(inw(board, CONTROL) == 0, "left by command");
    outb(board, 0xb2, ACPI_ENABLE_COMMAND);
    tap_ok(inw(board, CONTROL) == 1, "and entered");
    outw(board, CONTROL, 0x2400 | 1);
    tap_ok(!atomic_load(&vm->asked) && inw(board, CONTROL) == 0x401, "an unknown sleep type");
    outw(board, CONTROL, 0x2000);
    tap_ok(atomic_load(&vm->asked), "S5 shuts down");
    atomic_store(&vm->asked, 0);
    outb(board, 0xcf9, 0x02);
    tap_ok(!atomic_load(&vm->asked), "reset control prepared");
    outb(board, ACPI_RESET_PORT, ACPI_RESET_VALUE);
    tap_ok(atomic_load(&vm->asked), "and done");
    outb(board, ACPI_GPE0_PORT + 2, 0x81);
    outb(board, ACPI_GPE0_PORT, 0xff);
    tap_ok(inb(board, ACPI_GPE0_PORT + 2) == 0x81 && inb(board, ACPI_GPE0_PORT) == 0,
           "event block");
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_timer,
        test_power_button,
        test_control,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        test_board_add(&board, "acpi-pm");
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
