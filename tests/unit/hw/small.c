/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices of one register: isa-debugcon, isa-debug-exit, post. */
#include "test_board.h"

#include "chardev/chardev.h"

static void test_debugcon(struct test_board *board)
{
    g_autoptr(GError) error = NULL;
    char path[] = "/tmp/yado-debugcon-XXXXXX";
    close(g_mkstemp(path));
    g_autofree char *definition = g_strdup_printf("file,id=dbg,path=%s", path);
    struct device *dev = device_new(&board->vm, "isa-debugcon", NULL, NULL);
    bool made = chardev_new(definition, &error) && device_set(dev, "chardev", "dbg", &error)
                && device_realize(dev, &error);
    if (!tap_ok(made, "isa-debugcon"))
        return;
    tap_ok(inb(board, 0xe9) == 0xe9, "somebody listens");
    for (const char *c = "hello\n"; *c; c++)
        outb(board, 0xe9, *c);
    device_free(dev);
    g_autofree char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    tap_is(text, "hello\n", "what was written arrives");
    tap_ok(inb(board, 0xe9) == 0xff, "the port is free afterwards");
    unlink(path);
}

static void test_debug_exit(struct test_board *board)
{
    struct vm *vm = &board->vm;
    struct device *dev = test_board_add(board, "isa-debug-exit");
    tap_ok(inb(board, 0x501) == 0 && inb(board, 0x503) == 0xff, "two ports at 0x501");
    outb(board, 0x501, 0x10);
    tap_ok(atomic_load(&vm->asked) && atomic_load(&vm->asked_exit_code) == 0x21,
           "0x10 ends the program with status 0x21");
    device_free(dev);
}

static void test_post(struct test_board *board)
{
    test_board_add(board, "post");
    outb(board, 0x80, 0x42);
    tap_ok(inb(board, 0x80) == 0x42, "the progress code reads back");
}

int main(void)
{
    struct test_board board;
    test_board_init(&board, 1);
    test_debugcon(&board);
    test_debug_exit(&board);
    test_post(&board);
    test_board_end(&board);
    return tap_done();
}
