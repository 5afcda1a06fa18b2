/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VGA as programs drive it: write modes against a model of the manual's words, the palette, and
 * what text, 256-colour and Bochs' modes look like. */
#include "hw/display/vga.h"
#include "hw/display/screen.h"
#include "test_board.h"

static void out_index(struct test_board *board, uint16_t port, uint8_t index, uint8_t value)
{
    address_space_write(board->vm.io, port, index | value << 8, 2);
}

static void vbe(struct test_board *board, uint16_t index, uint16_t value)
{
    address_space_write(board->vm.io, 0x1ce, index, 2);
    address_space_write(board->vm.io, 0x1cf, value, 2);
}

static uint16_t vbe_get(struct test_board *board, uint16_t index)
{
    address_space_write(board->vm.io, 0x1ce, index, 2);
    return address_space_read(board->vm.io, 0x1cf, 2);
}

static void poke(struct test_board *board, uint32_t address, uint8_t value)
{
    address_space_write(board->vm.memory, address, value, 1);
}

static uint8_t peek(struct test_board *board, uint32_t address)
{
    return address_space_read(board->vm.memory, address, 1);
}

static void attribute(struct test_board *board, uint8_t index, uint8_t value)
{
    inb(board, 0x3da);
    outb(board, 0x3c0, index);
    outb(board, 0x3c0, value);
}

static void colour(struct test_board *board, uint8_t index, uint32_t rgb)
{
    outb(board, 0x3c8, index);
    for (int shift = 16; shift >= 0; shift -= 8)
        outb(board, 0x3c9, rgb >> shift);
}

/* Planar, at 0xa0000. */
static void mode_planar(struct test_board *board)
{
    outb(board, 0x3c2, 0x01);
    out_index(board, 0x3c4, 2, 0x0f);
    out_index(board, 0x3c4, 4, 0x06);
    out_index(board, 0x3ce, 5, 0x00);
    out_index(board, 0x3ce, 6, 0x05);
    out_index(board, 0x3ce, 8, 0xff);
    out_index(board, 0x3ce, 3, 0);
    out_index(board, 0x3ce, 1, 0);
}

static uint32_t planes(struct test_board *board, uint32_t address)
{
    uint32_t value = 0;
    out_index(board, 0x3ce, 5, 0);
    for (unsigned plane = 0; plane < 4; plane++) {
        out_index(board, 0x3ce, 4, plane);
        value |= (uint32_t)peek(board, address) << (8 * plane);
    }
    return value;
}

static void test_write_modes(struct test_board *board)
{
    static const struct {
        uint8_t mode, function, set, enable_set, bits, map, value;
        uint32_t expected; /* over 0x44332211 */
        const char *name;
    } cases[] = {
        { 0, 0x00, 0x0, 0x0, 0xff, 0xf, 0xa5, 0xa5a5a5a5, "mode 0 replaces" },
        { 0, 0x01, 0x0, 0x0, 0xff, 0xf, 0x01, 0x80808080, "mode 0 rotates" },
        { 0, 0x00, 0x5, 0xf, 0xff, 0xf, 0xa5, 0x00ff00ff, "mode 0 sets and resets" },
        { 0, 0x00, 0x0, 0x0, 0x0f, 0xf, 0xff, 0x4f3f2f1f, "mode 0 under a bit mask" },
        { 0, 0x00, 0x0, 0x0, 0xff, 0x2, 0xee, 0x4433ee11, "only planes of the map mask change" },
        { 0, 0x08, 0x0, 0x0, 0xff, 0xf, 0x0f, 0x04030201, "and" },
        { 0, 0x10, 0x0, 0x0, 0xff, 0xf, 0x0f, 0x4f3f2f1f, "or" },
        { 0, 0x18, 0x0, 0x0, 0xff, 0xf, 0xff, 0xbbccddee, "exclusive or" },
        { 1, 0x00, 0x0, 0x0, 0x00, 0xf, 0x99, 0x44332211, "mode 1 copies the latches" },
        { 2, 0x00, 0x0, 0x0, 0xff, 0xf, 0x06, 0x00ffff00, "mode 2 takes a colour" },
        { 3, 0x00, 0x9, 0x0, 0xff, 0xf, 0xf0, 0xf40302f1, "mode 3 takes a mask" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        mode_planar(board);
        for (unsigned plane = 0; plane < 4; plane++) {
            out_index(board, 0x3c4, 2, 1 << plane);
            poke(board, 0xa0100, 0x11 * (plane + 1));
        }
        out_index(board, 0x3c4, 2, cases[i].map);
        peek(board, 0xa0100); /* fills the latches */
        out_index(board, 0x3ce, 0, cases[i].set);
        out_index(board, 0x3ce, 1, cases[i].enable_set);
        out_index(board, 0x3ce, 3, cases[i].function);
        out_index(board, 0x3ce, 5, cases[i].mode);
        out_index(board, 0x3ce, 8, cases[i].bits);
        poke(board, 0xa0100, cases[i].value);
        uint32_t got = planes(board, 0xa0100);
        tap_ok(got == cases[i].expected, "%s (0x%08x)", cases[i].name, got);
    }
    mode_planar(board);
    out_index(board, 0x3ce, 0, 0);
    out_index(board, 0x3c4, 2, 0x3);
    poke(board, 0xa0200, 0xf0);
    out_index(board, 0x3c4, 2, 0xc);
    poke(board, 0xa0200, 0x3c);
    out_index(board, 0x3ce, 2, 0x3);
    out_index(board, 0x3ce, 7, 0xf);
    out_index(board, 0x3ce, 5, 0x08);
    tap_ok(peek(board, 0xa0200) == 0xc0, "a read compares colours");
}

static void test_registers(struct test_board *board)
{
    colour(board, 5, 0x3f2010);
    outb(board, 0x3c7, 5);
    unsigned red = inb(board, 0x3c9), green = inb(board, 0x3c9), blue = inb(board, 0x3c9);
    tap_ok(red == 0x3f && green == 0x20 && blue == 0x10, "a colour of the palette");
    outb(board, 0x3c2, 0x01);
    out_index(board, 0x3d4, 0x11, 0);
    out_index(board, 0x3d4, 0x00, 0x12);
    out_index(board, 0x3d4, 0x11, 0x80);
    out_index(board, 0x3d4, 0x00, 0x34);
    outb(board, 0x3d4, 0x00);
    tap_ok(inb(board, 0x3d5) == 0x12, "protected registers keep their values");
    outb(board, 0x3c2, 0x00);
    tap_ok(inb(board, 0x3d5) == 0xff && inb(board, 0x3b5) == 0x12,
           "in monochrome they are elsewhere");
    outb(board, 0x3c2, 0x01);
    tap_ok((inb(board, 0x3da) ^ inb(board, 0x3da)) & 8, "retrace begins and ends");
}

/* The registers of 80 by 25 characters of 9 by 16 dots. */
static void mode_text(struct test_board *board)
{
    outb(board, 0x3c2, 0x67);
    out_index(board, 0x3c4, 1, 0);
    out_index(board, 0x3c4, 3, 0);
    out_index(board, 0x3ce, 6, 0x0e);
    out_index(board, 0x3d4, 0x11, 0);
    out_index(board, 0x3d4, 0x01, 79);
    out_index(board, 0x3d4, 0x07, 0x1f);
    out_index(board, 0x3d4, 0x09, 0x4f);
    out_index(board, 0x3d4, 0x0a, 0x20);
    out_index(board, 0x3d4, 0x0c, 0);
    out_index(board, 0x3d4, 0x0d, 0);
    out_index(board, 0x3d4, 0x12, 0x8f);
    out_index(board, 0x3d4, 0x13, 40);
    out_index(board, 0x3d4, 0x17, 0xa3);
    out_index(board, 0x3d4, 0x18, 0xff);
    for (unsigned i = 0; i < 16; i++)
        attribute(board, i, i);
    attribute(board, 0x10, 0x0c);
    colour(board, 1, 0x00003f);
    colour(board, 7, 0x3f3f3f);
    inb(board, 0x3da);
    outb(board, 0x3c0, 0x20);
}

static void test_text(struct test_board *board, struct vga *vga)
{
    struct screen screen = { 0 };
    mode_planar(board);
    out_index(board, 0x3c4, 2, 4); /* a font: 'A' has dots in its second line only */
    poke(board, 0xa0000 + 'A' * 32 + 1, 0x81);
    out_index(board, 0x3c4, 2, 3);
    out_index(board, 0x3c4, 4, 2);
    out_index(board, 0x3ce, 5, 0x10);
    mode_text(board);
    poke(board, 0xb8000 + 2 * 81, 'A');
    poke(board, 0xb8000 + 2 * 81 + 1, 0x17);
    vga_draw(vga, &screen);
    tap_ok(screen.width == 720 && screen.height == 400, "text of 80 by 25: %u by %u dots",
           screen.width, screen.height);
    const uint32_t *cell = screen.pixels + 17 * 720 + 9;
    tap_ok(cell[0] == 0xffffff && cell[1] == 0x0000ff && cell[7] == 0xffffff && cell[8] == 0x0000ff,
           "a character in its colours");
    out_index(board, 0x3d4, 0x0a, 14);
    out_index(board, 0x3d4, 0x0b, 15);
    out_index(board, 0x3d4, 0x0e, 0);
    out_index(board, 0x3d4, 0x0f, 81);
    vga_draw(vga, &screen);
    cell = screen.pixels + (16 + 14) * 720 + 9;
    tap_ok(cell[0] == 0xffffff && cell[8] == 0xffffff && cell[-720] == 0x0000ff, "the cursor");
    screen_free(&screen);
}

static void test_vbe(struct test_board *board, struct vga *vga)
{
    struct screen screen = { 0 };
    tap_ok(vbe_get(board, VBE_ID) == 0xb0c5 && vbe_get(board, VBE_MEMORY_64K) == 256,
           "Bochs' registers are there");
    vbe(board, VBE_WIDTH, 1024);
    vbe(board, VBE_HEIGHT, 768);
    vbe(board, VBE_DEPTH, 32);
    vbe(board, VBE_ENABLE, VBE_ENABLED | VBE_LINEAR);
    uint32_t *pixels = (uint32_t *)vga->memory;
    pixels[3 * 1024 + 5] = 0xff123456;
    vga_draw(vga, &screen);
    tap_ok(screen.width == 1024 && screen.height == 768 && screen.pixels[3 * 1024 + 5] == 0x123456,
           "1024 by 768 in 32 bits");
    vbe(board, VBE_X_OFFSET, 5000);
    vbe(board, VBE_Y_OFFSET, 60000);
    tap_ok(vbe_get(board, VBE_X_OFFSET) == 0 && vbe_get(board, VBE_Y_OFFSET) == 4096 - 768,
           "offsets end where memory does");
    vbe(board, VBE_BANK, 1);
    poke(board, 0xa0000, 0x77);
    tap_ok(vga->memory[0x10000] == 0x77, "the window shows a bank");
    static const uint16_t nonsense[] = { 0, 1, 7, 0x7fff, 0xffff, 4, 24, 15 };
    for (size_t i = 0; i < G_N_ELEMENTS(nonsense); i++) {
        for (unsigned reg = VBE_WIDTH; reg <= VBE_DEPTH; reg++)
            vbe(board, reg, nonsense[(i + reg) % G_N_ELEMENTS(nonsense)]);
        vbe(board, VBE_ENABLE, VBE_ENABLED);
        vbe(board, VBE_VIRTUAL_WIDTH, nonsense[i]);
        vga_draw(vga, &screen);
    }
    tap_ok(screen.width > 0, "modes that make no sense are drawn as something");
    vbe(board, VBE_ENABLE, 0);
    screen_free(&screen);
}

static void test_256_colours(struct test_board *board, struct vga *vga)
{
    struct screen screen = { 0 };
    mode_text(board);
    out_index(board, 0x3c4, 2, 0x0f);
    out_index(board, 0x3c4, 4, 0x0e);
    out_index(board, 0x3ce, 5, 0x40);
    out_index(board, 0x3ce, 6, 0x05);
    out_index(board, 0x3d4, 0x09, 0x41);
    colour(board, 200, 0x3f0000);
    poke(board, 0xa0000 + 320 * 2 + 3, 200);
    vga_draw(vga, &screen);
    tap_ok(screen.width == 640 && screen.height == 400 && screen.pixels[4 * 640 + 6] == 0xff0000
               && screen.pixels[5 * 640 + 7] == 0xff0000 && screen.pixels[6 * 640 + 6] == 0,
           "320 by 200 in 256 colours is doubled both ways");
    g_autofree char *path = g_strdup_printf("/tmp/yado-vga-%d.ppm", getpid());
    g_autofree char *content = NULL;
    gsize size = 0;
    tap_ok(screen_save(&screen, SCREEN_PPM, path, NULL)
               && g_file_get_contents(path, &content, &size, NULL) && size == 15 + 640 * 400 * 3
               && g_str_has_prefix(content, "P6\n640 400\n255\n"),
           "a PPM file");
    tap_ok(screen_save(&screen, SCREEN_PNG, path, NULL), "a PNG file");
    unlink(path);
    screen_free(&screen);
}

int main(void)
{
    struct test_board board;
    test_board_init(&board, 1);
    test_board_add(&board, "i440FX-pcihost");
    struct vga *vga = vga_of(test_board_add(&board, "VGA"));
    test_registers(&board);
    test_write_modes(&board);
    test_text(&board, vga);
    test_vbe(&board, vga);
    test_256_colours(&board, vga);
    test_board_end(&board);
    return tap_done();
}
