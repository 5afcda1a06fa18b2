/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A PS/2 keyboard and a PS/2 mouse, at the far ends of their wires: commands go in, bytes come out
 * of a queue. (IBM PS/2 Hardware Interface Technical Reference, "Keyboards" and "Mouse"; Microsoft,
 * "IntelliMouse" for the wheel)
 *
 * No threads here: who owns one holds its own lock. */
#ifndef YADO_HW_INPUT_PS2_H
#define YADO_HW_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_QUEUE_BYTES 64

struct ps2_queue {
    uint8_t bytes[PS2_QUEUE_BYTES];
    uint8_t head, count;
};

struct ps2_keyboard {
    struct ps2_queue queue;
    uint8_t command;       /* that waits for its parameter, or 0 */
    uint8_t scan_code_set; /* 1 or 2 */
    uint8_t lamps, repeat_rate;
    bool scanning;
};

struct ps2_mouse {
    struct ps2_queue queue;
    uint8_t command;
    uint8_t id; /* 0; 3 with a wheel; 4 with five buttons */
    uint8_t status, resolution, rate, last_rates[2];
    bool wrap;
    uint8_t buttons, reported_buttons;
    int32_t x, y, wheel; /* moved and not reported yet; y upwards */
};

bool ps2_queue_take(struct ps2_queue *queue, uint8_t *byte);

void ps2_keyboard_reset(struct ps2_keyboard *keyboard);
void ps2_keyboard_write(struct ps2_keyboard *keyboard, uint8_t value);
/* A key by its code of set 1; PS2_EXTENDED for those that have the prefix 0xe0. */
#define PS2_EXTENDED 0x80u
#define PS2_KEY_PAUSE 0x1ffu
#define PS2_KEY_PRINT (PS2_EXTENDED | 0x37u)
void ps2_keyboard_key(struct ps2_keyboard *keyboard, unsigned key, bool down);

/* What the controller makes of a byte of set 2; `*released` is kept from one to the next. False:
 * there is nothing to pass on yet. */
bool ps2_translate(uint8_t *byte, bool *released);

void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t value);
/* Movement to the right, downwards, and of the wheel; buttons: bit 0 left, 1 right, 2 middle. */
void ps2_mouse_event(struct ps2_mouse *mouse, int dx, int dy, int dz, unsigned buttons);

#endif
