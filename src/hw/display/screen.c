/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/display/screen.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <string.h>

#include "hw/device.h"
#include "vm/vm.h"

void screen_resize(struct screen *screen, unsigned width, unsigned height)
{
    g_free(screen->pixels);
    screen->width = width;
    screen->height = height;
    screen->pixels = g_new0(uint32_t, (size_t)width * height);
}

void screen_free(struct screen *screen)
{
    g_free(screen->pixels);
    *screen = (struct screen){ 0 };
}

bool screen_capture(struct vm *vm, const char *id, struct screen *screen, GError **error)
{
    for (guint i = 0; i < vm->devices->len; i++) {
        struct device *dev = vm->devices->pdata[i];
        if (dev->type->draw && (!id || !g_strcmp0(dev->id, id))) {
            dev->type->draw(dev, screen);
            return true;
        }
    }
    return id ? fail(error, "there is no display device with the id '%s'", id)
              : fail(error, "there is no display device; -vga std adds one");
}

/* --- files ----------------------------------------------------------------------------------- */

static void line_to_rgb(const struct screen *screen, unsigned y, uint8_t *rgb)
{
    const uint32_t *pixels = screen->pixels + (size_t)y * screen->width;
    for (unsigned x = 0; x < screen->width; x++) {
        *rgb++ = pixels[x] >> 16;
        *rgb++ = pixels[x] >> 8;
        *rgb++ = pixels[x];
    }
}

static bool write_ppm(const struct screen *screen, uint8_t *line, FILE *file)
{
    bool good = fprintf(file, "P6\n%u %u\n255\n", screen->width, screen->height) > 0;
    for (unsigned y = 0; good && y < screen->height; y++) {
        line_to_rgb(screen, y, line);
        good = fwrite(line, 3, screen->width, file) == screen->width;
    }
    return good;
}

/* libpng leaves by longjmp() when it fails. */
static bool write_png(const struct screen *screen, uint8_t *line, FILE *file)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, file);
    png_set_IHDR(png, info, screen->width, screen->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (unsigned y = 0; y < screen->height; y++) {
        line_to_rgb(screen, y, line);
        png_write_row(png, line);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return true;
}

bool screen_save(const struct screen *screen, enum screen_format format, const char *path,
                 GError **error)
{
    FILE *file = fopen(path, "wbe");
    if (!file)
        return fail_errno(error, "cannot write '%s'", path);
    g_autofree uint8_t *line = g_malloc(3 * (size_t)screen->width);
    errno = 0;
    bool good =
        format == SCREEN_PNG ? write_png(screen, line, file) : write_ppm(screen, line, file);
    good = fclose(file) == 0 && good;
    return good || fail_errno(error, "cannot write '%s'", path);
}
