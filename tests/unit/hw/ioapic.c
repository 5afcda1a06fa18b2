/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_board.h"

#define IOAPIC 0xfec00000u
#define MASKED 0x10000u
#define LEVEL 0x8000u

static uint32_t ioapic_get(struct test_board *board, uint8_t reg)
{
    mmio_write(board, IOAPIC, reg);
    return mmio_read(board, IOAPIC + 0x10);
}

static void ioapic_set(struct test_board *board, uint8_t reg, uint32_t value)
{
    mmio_write(board, IOAPIC, reg);
    mmio_write(board, IOAPIC + 0x10, value);
}

/* Pin to CPU 0. */
static void pin_program(struct test_board *board, unsigned pin, uint32_t low)
{
    ioapic_set(board, 0x11 + 2 * pin, 0);
    ioapic_set(board, 0x10 + 2 * pin, low);
}

static void end_of_interrupt(struct test_board *board)
{
    mmio_write(board, 0xfee000b0, 0);
}

static void test_registers(struct test_board *board)
{
    tap_ok(ioapic_get(board, 1) == 0x170020, "version 0x20, 24 pins");
    ioapic_set(board, 0, 0xff000000);
    tap_ok(ioapic_get(board, 0) == 0x0f000000 && ioapic_get(board, 2) == 0x0f000000,
           "four bits of identity");
    tap_ok(ioapic_get(board, 0x10) == MASKED && ioapic_get(board, 0x11) == 0, "masked at reset");
    ioapic_set(board, 0x14, 0xffffffff);
    ioapic_set(board, 0x15, 0xffffffff);
    tap_ok(ioapic_get(board, 0x14) == 0x1afff && ioapic_get(board, 0x15) == 0xff000000,
           "status bits and reserved ones are not writable");
    tap_ok(ioapic_get(board, 0x40) == 0xffffffff && ioapic_get(board, 3) == 0xffffffff,
           "registers that do not exist");
    ioapic_set(board, 0x40, 1);
    ioapic_set(board, 0xff, 1);
    tap_ok(mmio_read(board, IOAPIC + 0x20) == 0, "offsets that do not exist");
    address_space_write(board->vm.memory, IOAPIC, 0x01, 1);
    tap_ok(address_space_read(board->vm.memory, IOAPIC + 0x12, 1) == 0x17, "byte accesses");
}

static void test_edge(struct test_board *board)
{
    pin_program(board, 5, 0x45);
    irq_set(&board->vm.gsi[5], true);
    tap_ok(take(board) == 0x45, "an edge");
    irq_set(&board->vm.gsi[5], true);
    tap_ok(take(board) == -1, "is one edge while high");
    end_of_interrupt(board);
    irq_set(&board->vm.gsi[5], false);
    pulse(board, 5);
    pulse(board, 5);
    tap_ok(take(board) == 0x45, "two pulses in a row");
    end_of_interrupt(board);
    tap_ok(take(board) == -1, "are one request");
    pin_program(board, 5, 0x45 | MASKED);
    pulse(board, 5);
    pin_program(board, 5, 0x45);
    tap_ok(take(board) == -1, "an edge on a masked pin is lost");
    pulse(board, 0);
    pin_program(board, 2, 0x30);
    pulse(board, 0);
    tap_ok(take(board) == 0x30, "interrupt 0 is pin 2");
    end_of_interrupt(board);
    pulse(board, 2);
    tap_ok(take(board) == -1, "and interrupt 2 nothing");
}

static void test_level(struct test_board *board)
{
    pin_program(board, 10, 0x5a | LEVEL);
    irq_set(&board->vm.gsi[10], true);
    tap_ok(take(board) == 0x5a, "a level");
    tap_ok(ioapic_get(board, 0x10 + 20) == (0x5a | LEVEL | 0x4000), "sets remote IRR");
    tap_ok(mmio_read(board, 0xfee00180 + 0x20) == 1u << (0x5a & 31), "and the trigger mode bit");
    irq_set(&board->vm.gsi[10], false);
    irq_set(&board->vm.gsi[10], true);
    tap_ok(take(board) == -1, "nothing more before its end");
    end_of_interrupt(board);
    tap_ok(take(board) == 0x5a, "still there after it: again");
    irq_set(&board->vm.gsi[10], false);
    end_of_interrupt(board);
    tap_ok(take(board) == -1 && ioapic_get(board, 0x10 + 20) == (0x5a | LEVEL), "gone: nothing");

    irq_set(&board->vm.gsi[10], true);
    take(board);
    pin_program(board, 10, 0x5a | LEVEL | MASKED);
    end_of_interrupt(board);
    tap_ok(take(board) == -1, "a masked level waits");
    pin_program(board, 10, 0x5a | LEVEL);
    tap_ok(take(board) == 0x5a, "and comes when unmasked");
    pin_program(board, 10, 0x5a);
    pin_program(board, 10, 0x5b | LEVEL);
    tap_ok(take(board) == -1, "switching to edge clears remote IRR; same class waits");
    end_of_interrupt(board);
    tap_ok(take(board) == 0x5b, "then comes as what it is now");
    mmio_write(board, IOAPIC + 0x40, 0x5b);
    tap_ok(ioapic_get(board, 0x10 + 20) & 0x4000, "the EOI register sends it again");
    irq_set(&board->vm.gsi[10], false);
    end_of_interrupt(board);
    take(board);
    end_of_interrupt(board);
    tap_ok(take(board) == -1 && !(ioapic_get(board, 0x10 + 20) & 0x4000), "and all ends");
}

static void test_nobody(struct test_board *board)
{
    ioapic_set(board, 0x11 + 22, 0x07000000); /* pin 11 to an APIC that does not exist */
    ioapic_set(board, 0x10 + 22, 0x60 | LEVEL);
    irq_set(&board->vm.gsi[11], true);
    tap_ok(!(ioapic_get(board, 0x10 + 22) & 0x4000), "nobody took it: not pending there");
    ioapic_set(board, 0x11 + 22, 0);
    tap_ok(take(board) == 0x60, "with a new destination it arrives");
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_registers,
        test_edge,
        test_level,
        test_nobody,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        mmio_write(&board, 0xfee000f0, 0x1ff);   /* local APIC on, */
        mmio_write(&board, 0xfee00350, 0x10000); /* 8259 off */
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
