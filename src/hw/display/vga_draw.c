/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VGA shows, drawn into a picture: text, the old graphics modes, and Bochs'. (IBM VGA
 * Technical Reference, "CRT Controller" and "Attribute Controller")
 *
 * The guest writes video memory at any time; every place is masked to the memory's size, and every
 * size comes from registers of few bits, so that nothing it does is out of bounds. */
#include <string.h>

#include "hw/display/screen.h"
#include "hw/display/vga_internal.h"

#define CRTC_COLUMNS 0x01
#define CRTC_OVERFLOW 0x07
#define CRTC_SCAN_LINES 0x09
#define SCAN_LINES_DOUBLED 0x80u
#define CRTC_CURSOR_START 0x0a
#define CURSOR_OFF 0x20u
#define CRTC_CURSOR_END 0x0b
#define CRTC_START_HIGH 0x0c
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_LAST_LINE 0x12
#define CRTC_LINE_OFFSET 0x13
#define CRTC_MODE 0x17
#define CRTC_MODE_BYTES 0x40u
#define CRTC_LINE_COMPARE 0x18

#define SEQUENCER_CLOCK 1
#define CLOCK_8_DOTS 0x01u
#define CLOCK_HALF 0x08u
#define CLOCK_SCREEN_OFF 0x20u
#define SEQUENCER_FONTS 3

#define ATTRIBUTE_MODE 0x10
#define ATTRIBUTE_GRAPHICS 0x01u
#define ATTRIBUTE_LINE_GRAPHICS 0x04u
#define ATTRIBUTE_BLINK 0x08u
#define ATTRIBUTE_SPLIT_COLOURS 0x80u
#define ATTRIBUTE_COLOUR_SELECT 0x14
#define ATTRIBUTE_VIDEO_ON 0x20u

/* --- colours --------------------------------------------------------------------------------- */

/* Colour `index` of the DAC, whose components have 6 bits unless Bochs' extensions say 8. */
static uint32_t dac_colour(const struct vga *vga, uint8_t index)
{
    const uint8_t *dac = &vga->dac[3 * (index & vga->dac_mask)];
    bool wide = vga->vbe[VBE_ENABLE] & VBE_DAC_8_BITS;
    uint32_t colour = 0;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t part = wide ? dac[i] : (dac[i] & 0x3f) << 2 | (dac[i] >> 4 & 3);
        colour = colour << 8 | part;
    }
    return colour;
}

/* The sixteen colours of text and planar modes, which the attribute controller chooses from the
 * DAC's. */
static void colours_16(const struct vga *vga, uint32_t *colours)
{
    uint8_t select = vga->attribute[ATTRIBUTE_COLOUR_SELECT];
    for (unsigned i = 0; i < 16; i++) {
        uint8_t index = vga->attribute[i] & 0x3f;
        if (vga->attribute[ATTRIBUTE_MODE] & ATTRIBUTE_SPLIT_COLOURS)
            index = (index & 0x0f) | (select & 3) << 4;
        colours[i] = dac_colour(vga, index | (select & 0x0c) << 4);
    }
}

/* --- geometry -------------------------------------------------------------------------------- */

static uint8_t memory_at(const struct vga *vga, uint32_t offset)
{
    return vga->memory[offset & (vga->size - 1)];
}

/* The number of lines, whose bits 8 and 9 are in the overflow register. */
static unsigned line_count(const struct vga *vga)
{
    uint8_t overflow = vga->crtc[CRTC_OVERFLOW];
    return (vga->crtc[CRTC_LAST_LINE] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1;
}

/* From the line after this one on, the picture begins anew at address 0. */
static unsigned line_compare(const struct vga *vga)
{
    return vga->crtc[CRTC_LINE_COMPARE] | (vga->crtc[CRTC_OVERFLOW] & 0x10) << 4
           | (vga->crtc[CRTC_SCAN_LINES] & 0x40) << 3;
}

/* Addresses count four bytes, one of each plane. */
static uint32_t start_address(const struct vga *vga)
{
    return (vga->crtc[CRTC_START_HIGH] << 8 | vga->crtc[CRTC_START_HIGH + 1]) * 4;
}

static uint32_t bytes_per_line(const struct vga *vga)
{
    return vga->crtc[CRTC_LINE_OFFSET] * 8;
}

/* --- text ------------------------------------------------------------------------------------ */

struct text {
    unsigned columns, cell_width, cell_height, dot_width;
    uint32_t fonts[2]; /* where in plane 2; the second for attributes with bit 3, if not the same */
    uint32_t colours[16];
    uint32_t cursor; /* the address of its cell, UINT32_MAX if it is off */
};

/* Each of the eight fonts has 8 KiB of plane 2; their order is historical. */
static uint32_t font_place(unsigned number)
{
    return (number & 3) * 0x4000 + (number >> 2) * 0x2000;
}

static void text_look(const struct vga *vga, struct text *text)
{
    uint8_t fonts = vga->sequencer[SEQUENCER_FONTS];
    text->columns = vga->crtc[CRTC_COLUMNS] + 1;
    text->dot_width = vga->sequencer[SEQUENCER_CLOCK] & CLOCK_HALF ? 2 : 1;
    text->cell_width = (vga->sequencer[SEQUENCER_CLOCK] & CLOCK_8_DOTS ? 8 : 9) * text->dot_width;
    text->cell_height = (vga->crtc[CRTC_SCAN_LINES] & 0x1f) + 1;
    text->fonts[0] = font_place((fonts & 3) | (fonts >> 4 & 1) << 2);
    text->fonts[1] = font_place((fonts >> 2 & 3) | (fonts >> 5 & 1) << 2);
    colours_16(vga, text->colours);
    text->cursor = UINT32_MAX;
    if (!(vga->crtc[CRTC_CURSOR_START] & CURSOR_OFF))
        text->cursor = (vga->crtc[CRTC_CURSOR_HIGH] << 8 | vga->crtc[CRTC_CURSOR_HIGH + 1]) * 4;
}

/* The dots of one line of a character, the leftmost in bit 8. Line-drawing characters reach into
 * the ninth column. */
static unsigned glyph_dots(const struct vga *vga, const struct text *text, uint8_t character,
                           uint8_t attribute, unsigned line)
{
    uint32_t font = text->fonts[attribute >> 3 & 1];
    unsigned dots = memory_at(vga, (font + character * 32 + line) * 4 + 2) << 1;
    bool joined = character >= 0xc0 && character <= 0xdf
                  && (vga->attribute[ATTRIBUTE_MODE] & ATTRIBUTE_LINE_GRAPHICS);
    return joined ? dots | (dots >> 1 & 1) : dots;
}

static void cell_draw(const struct vga *vga, const struct text *text, uint32_t address,
                      struct screen *screen, uint32_t *pixels, unsigned lines)
{
    uint8_t character = memory_at(vga, address), attribute = memory_at(vga, address + 1);
    bool blinks = vga->attribute[ATTRIBUTE_MODE] & ATTRIBUTE_BLINK;
    uint32_t front = text->colours[attribute & 0x0f];
    uint32_t back = text->colours[attribute >> 4 & (blinks ? 0x07 : 0x0f)];
    unsigned first = vga->crtc[CRTC_CURSOR_START] & 0x1f, last = vga->crtc[CRTC_CURSOR_END] & 0x1f;
    for (unsigned line = 0; line < lines; line++, pixels += screen->width) {
        unsigned dots = glyph_dots(vga, text, character, attribute, line);
        if (address == text->cursor && line >= first && line <= last)
            dots = 0x1ff;
        for (unsigned x = 0; x < text->cell_width; x++)
            pixels[x] = dots & 0x100 >> x / text->dot_width ? front : back;
    }
}

static void text_draw(const struct vga *vga, struct screen *screen)
{
    struct text text;
    text_look(vga, &text);
    unsigned height = line_count(vga), split = line_compare(vga) + 1;
    uint32_t address = start_address(vga);
    screen_resize(screen, text.columns * text.cell_width, height);
    for (unsigned y = 0; y < height; y += text.cell_height) {
        if (split && y >= split) {
            address = 0;
            split = 0;
        }
        for (unsigned column = 0; column < text.columns; column++)
            cell_draw(vga, &text, address + 4 * column, screen,
                      screen->pixels + y * screen->width + column * text.cell_width,
                      MIN(text.cell_height, height - y));
        address += bytes_per_line(vga);
    }
}

/* --- the old graphics modes ------------------------------------------------------------------ */

enum pixel_format { PIXELS_PLANAR = 0, PIXELS_CGA = 1, PIXELS_256 = 2 };

/* Eight pixels of the four bytes at `address`: a bit of each plane, or two bits of a pair. */
static void pixels_8(const struct vga *vga, enum pixel_format format, uint32_t address,
                     const uint32_t *colours, uint32_t *pixels)
{
    uint8_t planes[4];
    for (unsigned i = 0; i < 4; i++)
        planes[i] = memory_at(vga, address + i);
    uint8_t plane_mask = vga->attribute[0x12] & 0x0f;
    for (unsigned x = 0; x < 8; x++) {
        unsigned colour = 0;
        if (format == PIXELS_CGA) {
            unsigned byte = x / 4, shift = 6 - 2 * (x % 4);
            colour = (planes[byte] >> shift & 3) | (planes[byte + 2] >> shift & 3) << 2;
        } else {
            for (unsigned plane = 0; plane < 4; plane++)
                colour |= (planes[plane] >> (7 - x) & 1) << plane;
        }
        pixels[x] = colours[colour & plane_mask];
    }
}

/* One line of `units`, each eight dots wide. */
static void line_draw(const struct vga *vga, enum pixel_format format, uint32_t address,
                      const uint32_t *colours, uint32_t *pixels, unsigned units, unsigned repeat)
{
    for (unsigned unit = 0; unit < units; unit++, address += 4) {
        uint32_t eight[8];
        if (format == PIXELS_256) { /* four pixels of two dots */
            for (unsigned x = 0; x < 8; x++)
                eight[x] = dac_colour(vga, memory_at(vga, address + x / 2));
        } else {
            pixels_8(vga, format, address, colours, eight);
        }
        for (unsigned x = 0; x < 8 * repeat; x++)
            *pixels++ = eight[x / repeat];
    }
}

/* In CGA's and Hercules' modes, bits of the line's number are part of the address: bit 13 and 14 of
 * what the CPU sees, which counts two or four bytes of memory. */
static uint32_t line_address(const struct vga *vga, uint32_t address, unsigned line)
{
    unsigned low = vga->crtc[CRTC_MODE] & CRTC_MODE_BYTES ? 15 : 14;
    if (!(vga->crtc[CRTC_MODE] & 1))
        address = (address & ~(1u << low)) | (line & 1) << low;
    if (!(vga->crtc[CRTC_MODE] & 2))
        address = (address & ~(1u << 15)) | (line >> 1 & 1) << 15;
    return address;
}

static void graphics_draw(const struct vga *vga, struct screen *screen)
{
    enum pixel_format format = MIN(vga->graphics[5] >> 5 & 3, PIXELS_256);
    unsigned units = vga->crtc[CRTC_COLUMNS] + 1, height = line_count(vga);
    unsigned repeat = format != PIXELS_256 && vga->sequencer[SEQUENCER_CLOCK] & CLOCK_HALF ? 2 : 1;
    unsigned scans = (vga->crtc[CRTC_SCAN_LINES] & 0x1f) + 1, split = line_compare(vga) + 1;
    unsigned doubled = vga->crtc[CRTC_SCAN_LINES] & SCAN_LINES_DOUBLED ? 2 : 1;
    uint32_t colours[16], address = start_address(vga);
    colours_16(vga, colours);
    screen_resize(screen, 8 * units * repeat, height);
    for (unsigned y = 0, line = 0; y < height; y++) {
        if (y == split) {
            address = 0;
            line = 0;
        }
        line_draw(vga, format, line_address(vga, address, line / doubled), colours,
                  screen->pixels + y * screen->width, units, repeat);
        if (++line == scans * doubled) {
            line = 0;
            address += bytes_per_line(vga);
        }
    }
}

/* --- Bochs' modes ---------------------------------------------------------------------------- */

static uint32_t deep_pixel(const struct vga *vga, uint32_t offset, unsigned depth)
{
    unsigned bytes = (depth + 7) / 8, value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (unsigned)memory_at(vga, offset + i) << (8 * i);
    switch (depth) {
    case 8:
        return dac_colour(vga, value);
    case 15: /* five bits each; the highest are repeated below */
        return (value & 0x7c00) << 9 | (value & 0x7000) << 4 | (value & 0x03e0) << 6
               | (value & 0x0380) << 1 | (value & 0x001f) << 3 | (value & 0x001c) >> 2;
    case 16:
        return (value & 0xf800) << 8 | (value & 0xe000) << 3 | (value & 0x07e0) << 5
               | (value & 0x0600) >> 1 | (value & 0x001f) << 3 | (value & 0x001c) >> 2;
    default:
        return value & 0xffffff;
    }
}

static void vbe_draw(const struct vga *vga, struct screen *screen)
{
    const uint16_t *vbe = vga->vbe;
    unsigned depth = vbe[VBE_DEPTH], bytes = (depth + 7) / 8;
    uint32_t pitch = vga_vbe_bytes(vga, vbe[VBE_VIRTUAL_WIDTH]);
    uint32_t colours[16];
    screen_resize(screen, vbe[VBE_WIDTH], vbe[VBE_HEIGHT]);
    if (depth == 4) { /* eight pixels in four bytes, in all planes at once */
        colours_16(vga, colours);
        for (unsigned y = 0; y < screen->height; y++)
            line_draw(vga, PIXELS_PLANAR, (y + vbe[VBE_Y_OFFSET]) * pitch + vbe[VBE_X_OFFSET] / 2,
                      colours, screen->pixels + y * screen->width, screen->width / 8, 1);
        return;
    }
    for (unsigned y = 0; y < screen->height; y++) {
        uint32_t offset = (y + vbe[VBE_Y_OFFSET]) * pitch + vbe[VBE_X_OFFSET] * bytes;
        for (unsigned x = 0; x < screen->width; x++)
            screen->pixels[y * screen->width + x] = deep_pixel(vga, offset + x * bytes, depth);
    }
}

/* --- all ------------------------------------------------------------------------------------- */

void vga_draw(struct vga *vga, struct screen *screen)
{
    enum { DARK_WIDTH = 640, DARK_HEIGHT = 480 };
    pthread_mutex_lock(&vga->function.dev.lock);
    if (vga_vbe_on(vga))
        vbe_draw(vga, screen);
    else if (!(vga->attribute_index & ATTRIBUTE_VIDEO_ON)
             || (vga->sequencer[SEQUENCER_CLOCK] & CLOCK_SCREEN_OFF))
        screen_resize(screen, DARK_WIDTH, DARK_HEIGHT);
    else if (vga->graphics[6] & 1)
        graphics_draw(vga, screen);
    else
        text_draw(vga, screen);
    pthread_mutex_unlock(&vga->function.dev.lock);
}
