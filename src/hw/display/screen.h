/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A picture of what a display shows. */
#ifndef YADO_HW_DISPLAY_SCREEN_H
#define YADO_HW_DISPLAY_SCREEN_H

#include "util/util.h"

struct vm;

struct screen {
    unsigned width, height;
    uint32_t *pixels; /* 0x00RRGGBB, line by line; owned */
};

/* All black; what was there before is freed. */
void screen_resize(struct screen *screen, unsigned width, unsigned height);
void screen_free(struct screen *screen);

/* The picture of the display device with this id, or with NULL of the first one, by its type's
 * `draw`. Main loop. */
bool screen_capture(struct vm *vm, const char *id, struct screen *screen, GError **error);

enum screen_format { SCREEN_PPM, SCREEN_PNG };
bool screen_save(const struct screen *screen, enum screen_format format, const char *path,
                 GError **error);

#endif
