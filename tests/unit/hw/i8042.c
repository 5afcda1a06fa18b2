/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller as Linux's i8042 and atkbd drivers probe it. */
#include "test_board.h"

static void command(struct test_board *board, uint8_t value)
{
    outb(board, 0x64, value);
}

static int answer(struct test_board *board)
{
    return inb(board, 0x64) & 1 ? inb(board, 0x60) : -1;
}

static void test_controller(struct test_board *board)
{
    tap_ok(answer(board) == -1, "nothing waits at first");
    command(board, 0xaa);
    tap_ok(answer(board) == 0x55 && (inb(board, 0x64) & 0x04), "self test");
    command(board, 0xab);
    tap_ok(answer(board) == 0x00, "keyboard port test");
    command(board, 0xa9);
    tap_ok(answer(board) == 0x00, "auxiliary port test");
    command(board, 0x60);
    outb(board, 0x60, 0x74);
    command(board, 0x20);
    tap_ok(answer(board) == 0x74, "command byte");
    command(board, 0xa8);
    command(board, 0x20);
    tap_ok(answer(board) == 0x54, "auxiliary port on");
    command(board, 0xa7);
    command(board, 0x20);
    tap_ok(answer(board) == 0x74, "and off");
    command(board, 0xd3);
    outb(board, 0x60, 0x5a);
    tap_ok((inb(board, 0x64) & 0x21) == 0x21 && answer(board) == 0x5a, "auxiliary loop");
    command(board, 0xd2);
    outb(board, 0x60, 0x1c);
    tap_ok((inb(board, 0x64) & 0x21) == 0x01 && answer(board) == 0x1c, "keyboard loop");
    command(board, 0x55);
    tap_ok(answer(board) == -1, "an unknown command is ignored");
    for (unsigned i = 0; i < 100; i++)
        command(board, 0xab);
    unsigned count = 0;
    while (answer(board) == 0)
        count++;
    tap_ok(count == 16, "a full queue drops");
}

static void test_devices(struct test_board *board)
{
    outb(board, 0x60, 0xf2);
    tap_ok(answer(board) == 0xfa && answer(board) == 0xab && answer(board) == 0x83,
           "the keyboard identifies itself");
    outb(board, 0x60, 0xff);
    tap_ok(answer(board) == 0xfa && answer(board) == 0xaa, "and resets");
    outb(board, 0x60, 0xed);
    tap_ok(answer(board) == 0xfa, "lamps");
    outb(board, 0x60, 0x07);
    tap_ok(answer(board) == 0xfa, "with parameter");
    outb(board, 0x60, 0xf0);
    answer(board);
    outb(board, 0x60, 0);
    tap_ok(answer(board) == 0xfa && answer(board) == 2, "scan code set 2");
    outb(board, 0x60, 0x11);
    tap_ok(answer(board) == 0xfe, "an unknown command");
    command(board, 0xd4);
    outb(board, 0x60, 0xf2);
    tap_ok((inb(board, 0x64) & 0x61) == 0x61 && answer(board) == 0xfe,
           "no mouse: time-out at once");
}

static void test_interrupts(struct test_board *board)
{
    pic_program(board);
    command(board, 0x60);
    outb(board, 0x60, 0x03);
    outb(board, 0x60, 0xf2);
    for (unsigned i = 0; i < 3; i++) {
        tap_ok(take(board) == 0x21, "an interrupt for byte %u", i);
        outb(board, 0x20, 0x20);
        inb(board, 0x60);
    }
    tap_ok(take(board) == -1, "and no more");
    command(board, 0xd3);
    outb(board, 0x60, 0xa5);
    tap_ok(take(board) == 0x2c, "the auxiliary port's interrupt");
    inb(board, 0x60);
}

static void test_a20_and_reset(struct test_board *board)
{
    struct vm *vm = &board->vm;
    command(board, 0xd0);
    tap_ok((answer(board) & 3) == 3 && !atomic_load(&vm->a20_off), "the gate is open");
    command(board, 0xd1);
    outb(board, 0x60, 0xdd);
    tap_ok(atomic_load(&vm->a20_off) && !(inb(board, 0x92) & 2), "closed through the output port");
    tap_ok(atomic_load(&board->cpus[0].requests) & VCPU_ENGINE, "CPUs are told");
    outb(board, 0x92, 0x02);
    tap_ok(!atomic_load(&vm->a20_off), "opened through port 0x92");
    command(board, 0xdd);
    tap_ok(atomic_load(&vm->a20_off), "closed by a command");
    device_reset(board_find(vm, "i8042"));
    tap_ok(!atomic_load(&vm->a20_off), "a reset opens it");
    unsigned before = atomic_load(&vm->asked);
    command(board, 0xfe);
    tap_ok(atomic_load(&vm->asked) != before, "pulsing the reset line asks for a reset");
    atomic_store(&vm->asked, 0);
    outb(board, 0x92, 0x01);
    tap_ok(atomic_load(&vm->asked), "so does port 0x92");
}

int main(void)
{
    static void (*const tests[])(struct test_board * board) = {
        test_controller,
        test_devices,
        test_interrupts,
        test_a20_and_reset,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        struct test_board board;
        test_board_init(&board, 1);
        test_board_add(&board, "i8042");
        test_board_add(&board, "port92");
        tests[i](&board);
        test_board_end(&board);
    }
    return tap_done();
}
