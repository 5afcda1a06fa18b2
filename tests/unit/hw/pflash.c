/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flash memory: reads are memory, writes are commands, and what is programmed is in the file. */
#include "hw/block/pflash.h"

#include <fcntl.h>

#include "block/block.h"
#include "test_board.h"

#define SIZE (3 * PFLASH_SECTOR_BYTES)
#define END (1ull << 32)
#define BASE (END - SIZE)
#define READY 0x80

static void put(struct test_board *board, uint64_t offset, uint8_t value)
{
    address_space_write(board->vm.memory, BASE + offset, value, 1);
}

static uint8_t get(struct test_board *board, uint64_t offset)
{
    return address_space_read(board->vm.memory, BASE + offset, 1);
}

static bool is_memory(struct test_board *board)
{
    return address_space_host(board->vm.memory, BASE, false, NULL) != NULL;
}

static uint8_t file_byte(const char *path, size_t offset)
{
    g_autofree char *content = NULL;
    return g_file_get_contents(path, &content, NULL, NULL) ? content[offset] : 0xee;
}

static void test_commands(struct test_board *board, const char *path)
{
    tap_ok(is_memory(board) && get(board, 0x1005) == 0x55, "reads are reads of memory");
    put(board, 0x1005, 0x40);
    put(board, 0x1005, 0x12);
    tap_ok(!is_memory(board) && get(board, 0) == READY,
           "after programming a byte its status shows");
    put(board, 0, 0xff);
    tap_ok(is_memory(board) && get(board, 0x1005) == 0x12, "and then the byte");
    tap_ok(file_byte(path, 0x1005) == 0x12, "which is in the file");
    put(board, 0x1010, 0x20);
    put(board, 0x1010, 0xd0);
    put(board, 0, 0xff);
    tap_ok(get(board, 0x1005) == 0xff && get(board, 0x1fff) == 0xff && get(board, 0xfff) == 0x55
               && get(board, 0x2000) == 0x55,
           "erasing is of a whole sector");
    put(board, 0x2000, 0xe8);
    put(board, 0x2000, 3);
    for (unsigned i = 0; i < 4; i++)
        put(board, 0x2008 + i, 0xa0 + i);
    put(board, 0x2000, 0xd0);
    put(board, 0, 0xff);
    tap_ok(get(board, 0x2008) == 0xa0 && get(board, 0x200b) == 0xa3 && get(board, 0x200c) == 0x55,
           "a buffer is programmed");
    put(board, SIZE - 2, 0xe8);
    put(board, SIZE - 2, 255);
    for (unsigned i = 0; i < 256; i++)
        put(board, (SIZE - 2 + i) % SIZE, i);
    put(board, 0, 0xd0);
    put(board, 0, 0xff);
    tap_ok(get(board, SIZE - 1) == 1 && get(board, 0) == 0x55, "one that ends beyond it is cut");
    put(board, 0, 0x50);
    put(board, 0, 0x70);
    tap_ok(get(board, 0) == 0, "cleared, the status is zero");
    put(board, 0, 0x90);
    tap_ok(get(board, 0) == 0x89, "the maker's code");
    put(board, 0, 0x98);
    tap_ok(get(board, 0x10) == 'Q' && get(board, 0x11) == 'R' && get(board, 0x12) == 'Y',
           "the CFI table");
    put(board, 0, 0x77);
    tap_ok(is_memory(board), "an unknown command leads back to memory");
}

static void test_read_only(struct test_board *board, const char *path)
{
    put(board, 0, 0x40);
    put(board, 0, 0x12);
    tap_ok(get(board, 0) & 0x10, "read-only memory refuses to be programmed");
    put(board, 0, 0x20);
    put(board, 0, 0xd0);
    tap_ok(get(board, 0) & 0x20, "and erased");
    put(board, 0, 0xff);
    tap_ok(get(board, 0) == 0x55 && file_byte(path, 0) == 0x55, "and keeps its contents");
}

static void run(bool read_only, void (*test)(struct test_board *board, const char *path))
{
    struct test_board board;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_strdup_printf("/tmp/yado-pflash-%d", getpid());
    g_autofree char *content = g_malloc(SIZE);
    memset(content, 0x55, SIZE);
    g_file_set_contents(path, content, SIZE, NULL);
    test_board_init(&board, 1);
    struct block_backend *backend = block_backend_new("flash", &error);
    backend->read_only = read_only;
    auto_block *node = block_open(path, "raw", NULL, read_only ? 0 : BLOCK_OPEN_RW, &error);
    if (tap_ok(node && block_backend_insert(backend, node, false, &error)
                   && drive_new("flash", backend) && pflash_create(&board.vm, "flash", END, &error),
               "a flash memory"))
        test(&board, path);
    else
        tap_note("%s", error->message);
    test_board_end(&board);
    drives_delete_all();
    unlink(path);
}

int main(void)
{
    run(false, test_commands);
    run(true, test_read_only);
    return tap_done();
}
