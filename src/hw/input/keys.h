/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys by QEMU's names, and pressing them. Main loop. */
#ifndef YADO_HW_INPUT_KEYS_H
#define YADO_HW_INPUT_KEYS_H

#include "util/util.h"

struct vm;

#define KEYS_MAX 16

/* "ctrl-alt-delete": names or scan codes (0x1d) with "-" between. Returns how many, 0 and an error
 * naming the nearest key. The codes are those of ps2_keyboard_key(). */
unsigned keys_parse(const char *text, unsigned *codes, GError **error);

/* Presses them in order, and `hold_ms` later releases them in reverse. Fails without a keyboard. */
bool keys_send(struct vm *vm, const unsigned *codes, unsigned count, unsigned hold_ms,
               GError **error);

/* The mouse: movement in dots to the right, down, and wheel clicks; which buttons are down now. */
bool mouse_send(struct vm *vm, int dx, int dy, int dz, GError **error);
bool mouse_set_buttons(struct vm *vm, unsigned buttons, GError **error);

#endif
