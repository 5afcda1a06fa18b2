/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8259 pair, seen from the boot CPU of a machine whose LINT0 is open for it, as after reset. */
#include "test_board.h"

static void eoi_master(struct test_board *board)
{
    outb(board, 0x20, 0x20);
}

static void eoi_both(struct test_board *board)
{
    outb(board, 0xa0, 0x20);
    outb(board, 0x20, 0x20);
}

static void test_edges(struct test_board *board)
{
    pic_program(board);
    irq_set(&board->vm.gsi[4], true);
    tap_ok(take(board) == 0x24, "an edge on input 4");
    tap_ok(take(board) == -1, "is given once");
    eoi_master(board);
    tap_ok(take(board) == -1, "and not again while the line stays high");
    irq_set(&board->vm.gsi[4], false);
    irq_set(&board->vm.gsi[4], true);
    tap_ok(take(board) == 0x24, "but with the next edge");
    irq_set(&board->vm.gsi[4], false);
    irq_set(&board->vm.gsi[4], true);
    tap_ok(take(board) == -1, "an edge while in service waits");
    eoi_master(board);
    tap_ok(take(board) == 0x24, "and is not lost");
    eoi_master(board);
    irq_set(&board->vm.gsi[4], false);
    pulse(board, 4);
    tap_ok(take(board) == 0x24, "a short pulse is not lost");
    eoi_master(board);
}

static void test_priorities(struct test_board *board)
{
    pic_program(board);
    pulse(board, 5);
    pulse(board, 3);
    tap_ok(take(board) == 0x23, "3 is served before 5");
    pulse(board, 1);
    tap_ok(take(board) == 0x21, "1 interrupts 3");
    eoi_master(board);
    tap_ok(take(board) == -1, "5 does not");
    eoi_master(board);
    tap_ok(take(board) == 0x25, "it comes after the end of 3");
    outb(board, 0x20, 0x0b);
    tap_ok(inb(board, 0x20) == 0x20, "the in-service register shows it");
    eoi_master(board);
    outb(board, 0x20, 0x0a);
    tap_ok(inb(board, 0x20) == 0, "and no requests are left");
}

static void test_masks(struct test_board *board)
{
    pic_program(board);
    outb(board, 0x21, 0x10);
    pulse(board, 4);
    tap_ok(take(board) == -1 && inb(board, 0x21) == 0x10, "a masked input waits");
    outb(board, 0x21, 0);
    tap_ok(take(board) == 0x24, "until the mask is opened");
    eoi_master(board);
}

static void test_cascade(struct test_board *board)
{
    pic_program(board);
    pulse(board, 14);
    pulse(board, 8);
    tap_ok(take(board) == 0x28, "8 through the slave");
    tap_ok(take(board) == -1, "14 waits for its end");
    eoi_both(board);
    tap_ok(take(board) == 0x2e, "then it comes");
    pulse(board, 8);
    outb(board, 0xa0, 0x20);
    tap_ok(take(board) == -1, "the master still serves its cascade input");
    eoi_master(board);
    tap_ok(take(board) == 0x28, "the request made meanwhile is not lost");
    eoi_both(board);
    pulse(board, 1);
    pulse(board, 12);
    tap_ok(take(board) == 0x21, "1 comes before the slave");
    eoi_master(board);
    tap_ok(take(board) == 0x2c, "which follows");
    eoi_both(board);
}

static void test_levels(struct test_board *board)
{
    pic_program(board);
    outb(board, 0x4d0, 0xff);
    outb(board, 0x4d1, 0xff);
    tap_ok(inb(board, 0x4d0) == 0xf8 && inb(board, 0x4d1) == 0xde, "fixed inputs stay edges");
    irq_set(&board->vm.gsi[11], true);
    tap_ok(take(board) == 0x2b, "a level on 11");
    eoi_both(board);
    tap_ok(take(board) == 0x2b, "comes again while it is there");
    irq_set(&board->vm.gsi[11], false);
    eoi_both(board);
    tap_ok(take(board) == -1, "and ends with it");
    outb(board, 0x4d0, 0);
    outb(board, 0x4d1, 0);
}

static void test_spurious(struct test_board *board)
{
    pic_program(board);
    outb(board, 0x4d0, 0x20);
    irq_set(&board->vm.gsi[5], true);
    irq_set(&board->vm.gsi[5], false);
    tap_ok(pic_acknowledge(board->vm.pic) == 0x27, "a level that has gone gives the master's 7");
    outb(board, 0x20, 0x0b);
    tap_ok(inb(board, 0x20) == 0, "which is not in service");
    outb(board, 0x4d0, 0);
}

static void test_modes(struct test_board *board)
{
    pic_program(board);
    outb(board, 0x20, 0x11); /* again, with automatic end of interrupt */
    outb(board, 0x21, 0x20);
    outb(board, 0x21, 0x04);
    outb(board, 0x21, 0x03);
    pulse(board, 3);
    pulse(board, 4);
    tap_ok(take(board) == 0x23 && take(board) == 0x24, "automatic end: one after the other");

    pic_program(board);
    outb(board, 0x20, 0xc3); /* lowest priority: 3 */
    pulse(board, 3);
    pulse(board, 4);
    tap_ok(take(board) == 0x24, "rotated: 4 before 3");
    outb(board, 0x20, 0xa0); /* end and rotate: 4 is lowest now */
    tap_ok(take(board) == 0x23, "then 3");
    eoi_master(board);

    pic_program(board);
    pulse(board, 1);
    take(board);
    outb(board, 0x20, 0x68); /* special mask mode */
    outb(board, 0x21, 0x02);
    pulse(board, 6);
    tap_ok(take(board) == 0x26, "special mask: 6 while 1 is in service and masked");
    outb(board, 0x20, 0x48);
    outb(board, 0x20, 0x66);
    outb(board, 0x20, 0x61); /* specific ends */
    outb(board, 0x20, 0x0b);
    tap_ok(inb(board, 0x20) == 0, "specific ends of interrupt");

    pic_program(board);
    pulse(board, 5);
    outb(board, 0x20, 0x0c);
    tap_ok(inb(board, 0x20) == 0x85, "poll mode acknowledges 5");
    outb(board, 0x20, 0x0c);
    tap_ok(inb(board, 0x20) == 0, "and finds nothing more");
    eoi_master(board);
}

static void test_paths(struct test_board *board)
{
    struct lapic *apic = board->cpus[0].apic;
    uint64_t base;
    pic_program(board);
    mmio_write(board, 0xfee00350, 0x10700); /* LINT0 masked */
    pulse(board, 3);
    tap_ok(!lapic_has_interrupt(apic), "a masked LINT0 keeps the 8259 out");
    lapic_msr_read(apic, 0x1b, &base);
    tap_ok(lapic_msr_write(apic, 0x1b, base & ~0x800ull) && take(board) == 0x23,
           "a disabled local APIC lets it through");
    eoi_master(board);
    lapic_msr_write(apic, 0x1b, base);

    mmio_write(board, 0xfee000f0, 0x1ff);
    mmio_write(board, 0xfee00350, 0x00041); /* LINT0 fixed, vector 0x41 */
    pulse(board, 3);
    tap_ok(take(board) == 0x41, "virtual wire with a fixed vector");
    mmio_write(board, 0xfee000b0, 0);
    pic_acknowledge(board->vm.pic);
    eoi_master(board);

    mmio_write(board, 0xfee00350, 0x10000);
    mmio_write(board, BOARD_IOAPIC_ADDRESS, 0x10); /* pin 0: ExtINT to CPU 0 */
    mmio_write(board, BOARD_IOAPIC_ADDRESS + 0x10, 0x700);
    pulse(board, 6);
    tap_ok(take(board) == 0x26, "virtual wire through the I/O APIC");
    tap_ok(take(board) == -1, "once");
    eoi_master(board);
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_edges,  test_priorities, test_masks, test_cascade,
        test_levels, test_spurious,   test_modes, test_paths,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
