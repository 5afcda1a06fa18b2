/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keyboard controller as Linux's i8042 and atkbd drivers probe it. */
#include "hw/input/keys.h"
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
    tap_ok(count == 9, "a full queue drops");
}

static void test_devices(struct test_board *board)
{
    outb(board, 0x60, 0xf2);
    tap_ok(answer(board) == 0xfa && answer(board) == 0xab && answer(board) == 0x41,
           "the keyboard identifies itself, translated");
    outb(board, 0x60, 0xff);
    tap_ok(answer(board) == 0xfa && answer(board) == 0xaa, "and resets");
    outb(board, 0x60, 0xed);
    tap_ok(answer(board) == 0xfa, "lamps");
    outb(board, 0x60, 0x07);
    tap_ok(answer(board) == 0xfa, "with parameter");
    outb(board, 0x60, 0xf0);
    answer(board);
    outb(board, 0x60, 0);
    tap_ok(answer(board) == 0xfa && answer(board) == 0x41, "scan code set 2, translated");
    outb(board, 0x60, 0x11);
    tap_ok(answer(board) == 0xfe, "an unknown command");
    command(board, 0xd4);
    outb(board, 0x60, 0xf2);
    tap_ok((inb(board, 0x64) & 0x21) == 0x21 && answer(board) == 0xfa && answer(board) == 0,
           "the mouse identifies itself");
}

static void expect(struct test_board *board, const char *expected, const char *name)
{
    g_autoptr(GString) got = g_string_new(NULL);
    for (int byte; (byte = answer(board)) >= 0;)
        g_string_append_printf(got, "%s%02x", got->len ? " " : "", byte);
    tap_is(got->str, expected, name);
}

static void keyboard(struct test_board *board, uint8_t value)
{
    outb(board, 0x60, value);
    answer(board);
}

static void press(struct test_board *board, const char *text)
{
    unsigned codes[KEYS_MAX];
    unsigned count = keys_parse(text, codes, NULL);
    keys_send(&board->vm, codes, count, 0, NULL);
    run_loop(5);
}

static void test_keys(struct test_board *board)
{
    press(board, "ctrl-alt-delete");
    expect(board, "1d 38 e0 53 e0 d3 b8 9d", "keys in set 1, as the controller translates them");
    press(board, "pause");
    expect(board, "e1 1d 45 e1 9d c5", "pause");
    press(board, "print");
    expect(board, "e0 2a e0 37 e0 b7 e0 aa", "print screen");
    command(board, 0x60);
    outb(board, 0x60, 0x05);
    press(board, "shift-f7");
    expect(board, "12 83 f0 83 f0 12", "keys in set 2");
    keyboard(board, 0xf0);
    keyboard(board, 1);
    press(board, "a");
    expect(board, "1e 9e", "keys in set 1 from the keyboard");
    keyboard(board, 0xf5);
    press(board, "a");
    expect(board, "", "a keyboard that is off sends nothing");
    keyboard(board, 0xf4);
    for (unsigned i = 0; i < 100; i++)
        press(board, "b");
    outb(board, 0x60, 0xee);
    unsigned count = 0;
    int last = -1;
    for (int byte; (byte = answer(board)) >= 0; count++)
        last = byte;
    tap_ok(count < 80 && last == 0xee, "a reply has room behind keys that nobody read");
    unsigned codes[KEYS_MAX];
    g_autoptr(GError) error = NULL;
    tap_ok(!keys_parse("ctrl-foo", codes, &error) && strstr(error->message, "foo"),
           "an unknown key is refused");
    tap_ok(keys_parse("0x1d-0x9c", codes, NULL) == 2 && codes[1] == 0x9c, "codes by number");
}

static void mouse(struct test_board *board, uint8_t value)
{
    command(board, 0xd4);
    outb(board, 0x60, value);
}

static void test_mouse(struct test_board *board)
{
    command(board, 0xa8);
    mouse(board, 0xff);
    expect(board, "fa aa 00", "the mouse resets");
    mouse_send(&board->vm, 5, 3, 0, NULL);
    expect(board, "", "and is off");
    mouse(board, 0xf4);
    expect(board, "fa", "on");
    mouse_send(&board->vm, 5, 3, 0, NULL);
    expect(board, "28 05 fd", "a movement");
    mouse_set_buttons(&board->vm, 5, NULL);
    expect(board, "0b 00 00", "two buttons");
    mouse_set_buttons(&board->vm, 0, NULL);
    expect(board, "08 00 00", "none");
    static const uint8_t wheel[] = { 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2 };
    for (size_t i = 0; i < sizeof(wheel); i++)
        mouse(board, wheel[i]);
    expect(board, "fa fa fa fa fa fa fa 03", "a wheel for who asks by rates");
    mouse_send(&board->vm, -300, 0, 1, NULL);
    expect(board, "18 00 00 01 18 d4 00 00", "a long way is two movements");
    mouse(board, 0xe9);
    expect(board, "fa 20 02 50", "its status");
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
        test_controller, test_devices, test_keys, test_mouse, test_interrupts, test_a20_and_reset,
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
