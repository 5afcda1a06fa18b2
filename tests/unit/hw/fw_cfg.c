/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg: selecting and reading through the ports, the sorted directory, DMA and what it refuses.
 */
#include "hw/misc/fw_cfg.h"

#include <endian.h>

#include "test_board.h"

#define DATA_PORT (FW_CFG_PORT + 1)
#define DMA_PORT (FW_CFG_PORT + 4)
#define REQUEST 0x1000u
#define BUFFER 0x2000u
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static void select_item(struct test_board *board, uint16_t key)
{
    address_space_write(board->vm.io, FW_CFG_PORT, key, 2);
}

static uint32_t dma(struct test_board *board, uint32_t control, uint32_t length, uint64_t address)
{
    struct {
        uint32_t control, length;
        uint64_t address;
    } request = { htobe32(control), htobe32(length), htobe64(address) };
    dma_write(board->vm.memory, REQUEST, &request, sizeof(request));
    address_space_write(board->vm.io, DMA_PORT + 4, htobe32(REQUEST), 4);
    dma_read(board->vm.memory, REQUEST, &request, sizeof(request));
    return be32toh(request.control);
}

/* The key of a file as the guest finds it, 0 if it is not in the directory. */
static uint16_t guest_find(struct test_board *board, const char *wanted, uint32_t *size)
{
    uint32_t count = 0;
    uint8_t entry[64];
    select_item(board, FW_CFG_FILE_DIR);
    for (unsigned i = 0; i < 4; i++)
        count = count << 8 | inb(board, DATA_PORT);
    for (; count; count--) {
        for (size_t i = 0; i < sizeof(entry); i++)
            entry[i] = inb(board, DATA_PORT);
        *size = entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3];
        if (!strcmp((char *)entry + 8, wanted))
            return entry[4] << 8 | entry[5];
    }
    return 0;
}

static unsigned written_start, written_length, selections;

static void note_written(void *opaque, uint32_t start, uint32_t length)
{
    written_start = start;
    written_length = length;
}

static void note_selected(void *opaque)
{
    selections++;
}

static void test_ports(struct test_board *board, struct fw_cfg *cfg)
{
    char signature[5] = { 0 };
    select_item(board, FW_CFG_SIGNATURE);
    for (unsigned i = 0; i < 4; i++)
        signature[i] = inb(board, DATA_PORT);
    tap_is(signature, "QEMU", "the signature");
    tap_ok(inb(board, DATA_PORT) == 0, "zeros follow an item's end");
    tap_ok(address_space_read(board->vm.io, DMA_PORT, 4) == 0x554d4551,
           "DMA says that it is there");
    fw_cfg_set_number(cfg, FW_CFG_NB_CPUS, 0x1234, 2);
    select_item(board, FW_CFG_NB_CPUS | 0x4000);
    unsigned low = inb(board, DATA_PORT), high = inb(board, DATA_PORT);
    tap_ok(low == 0x34 && high == 0x12, "numbers are little endian; the write channel is ignored");
    select_item(board, 0x3fff);
    tap_ok(inb(board, DATA_PORT) == 0, "an item that is not there reads as zero");
    select_item(board, 0xbfff);
    tap_ok(inb(board, DATA_PORT) == 0, "nor one of the architecture");
}

static void test_files(struct test_board *board, struct fw_cfg *cfg)
{
    uint32_t size = 0;
    fw_cfg_add_file(cfg, "opt/b", g_bytes_new("bbb", 3));
    fw_cfg_add_file(cfg, "etc/a", g_bytes_new("aa", 2));
    fw_cfg_add_file(cfg, "opt/c", g_bytes_new("c", 1));
    uint16_t a = guest_find(board, "etc/a", &size), b = guest_find(board, "opt/b", &size);
    tap_ok(a == 0x20 && b == 0x21 && size == 3, "files are numbered in the order of their names");
    fw_cfg_replace_file(cfg, "opt/b", g_bytes_new("BBBB", 4));
    b = guest_find(board, "opt/b", &size);
    select_item(board, b);
    tap_ok(size == 4 && inb(board, DATA_PORT) == 'B', "a file's contents can be replaced");
    static const char *const bad[] = {
        "", "opt/b", "a-name-that-is-longer-than-the-fifty-five-characters-it-may-have"
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        tap_ok(!fw_cfg_file_name_valid(cfg, bad[i], NULL), "the name '%s' is refused", bad[i]);
}

static void test_dma(struct test_board *board, struct fw_cfg *cfg)
{
    static uint8_t shared[8] = "12345678";
    const struct fw_cfg_hooks hooks = { note_selected, note_written, NULL };
    uint32_t size;
    uint8_t bytes[8];
    memset(bytes, 0xee, sizeof(bytes));
    dma_write(board->vm.memory, BUFFER, bytes, sizeof(bytes));
    tap_ok(dma(board, SELECT | READ, 6, BUFFER) == 0, "DMA reads");
    dma_read(board->vm.memory, BUFFER, bytes, sizeof(bytes));
    tap_ok(!memcmp(bytes, "QEMU\0\0\xee\xee", 8), "what was asked for, and zeros after the end");

    fw_cfg_add_shared(cfg, "etc/shared", shared, sizeof(shared), &hooks);
    uint32_t key = (uint32_t)guest_find(board, "etc/shared", &size) << 16;
    dma_write(board->vm.memory, BUFFER, "xyz", 3);
    tap_ok(dma(board, key | SELECT | SKIP, 2, 0) == 0 && dma(board, WRITE, 3, BUFFER) == 0,
           "DMA skips and writes");
    tap_ok(!memcmp(shared, "12xyz678", 8) && written_start == 2 && written_length == 3
               && selections == 1,
           "into the file, and its owner hears of it");
    tap_ok(dma(board, key | SELECT | WRITE, 9, BUFFER) == ERROR && !memcmp(shared, "12xyz678", 8),
           "more than the file holds is refused");
    tap_ok(dma(board, SELECT | WRITE, 1, BUFFER) == ERROR, "an item is read only");
    tap_ok(dma(board, key | SELECT | READ, 8, 0xfee00000) == ERROR
               && dma(board, SELECT | READ, UINT32_MAX, BUFFER) == ERROR,
           "a transfer reaches RAM only");
    address_space_write(board->vm.io, DMA_PORT, htobe32(0xffffffff), 4);
    address_space_write(board->vm.io, DMA_PORT + 4, htobe32(0xfffffff8), 4);
    tap_ok(dma(board, SELECT | READ, 1, BUFFER) == 0, "a request outside of memory is harmless");
}

int main(void)
{
    struct test_board board;
    test_board_init(&board, 1);
    guest_ram_init(&board.vm.ram, 1 << 20, 3ull << 30, NULL);
    guest_ram_map(&board.vm.ram, board.vm.memory);
    test_board_add(&board, "fw_cfg");
    struct fw_cfg *cfg = fw_cfg_find(&board.vm);
    test_ports(&board, cfg);
    test_files(&board, cfg);
    test_dma(&board, cfg);
    test_board_end(&board);
    guest_ram_destroy(&board.vm.ram);
    return tap_done();
}
