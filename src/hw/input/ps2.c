/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/input/ps2.h"

#include <glib.h>
#include <string.h>

#define REPLY_ACK 0xfau
#define REPLY_SELF_TEST_OK 0xaau
#define REPLY_RESEND 0xfeu
#define REPLY_ECHO 0xeeu
#define PREFIX_EXTENDED 0xe0u
#define PREFIX_PAUSE 0xe1u
#define PREFIX_RELEASED 0xf0u
#define RELEASED 0x80u

/* --- queue ----------------------------------------------------------------------------------- */

/* Replies have always room: keys and movements leave some. */
#define QUEUE_RESERVE 16

static void queue_put(struct ps2_queue *queue, uint8_t byte)
{
    if (queue->count < PS2_QUEUE_BYTES)
        queue->bytes[(queue->head + queue->count++) % PS2_QUEUE_BYTES] = byte;
}

/* A key or a movement comes whole or not at all. */
static void queue_put_event(struct ps2_queue *queue, const uint8_t *bytes, unsigned count)
{
    if (queue->count + count > PS2_QUEUE_BYTES - QUEUE_RESERVE)
        return;
    for (unsigned i = 0; i < count; i++)
        queue_put(queue, bytes[i]);
}

bool ps2_queue_take(struct ps2_queue *queue, uint8_t *byte)
{
    if (!queue->count)
        return false;
    *byte = queue->bytes[queue->head];
    queue->head = (queue->head + 1) % PS2_QUEUE_BYTES;
    queue->count--;
    return true;
}

/* --- scan codes ------------------------------------------------------------------------------ */

/* The 8042's table: the code of set 1 for each of set 2. */
static const uint8_t set1_of_set2[] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

bool ps2_translate(uint8_t *byte, bool *released)
{
    if (*byte == PREFIX_RELEASED) {
        *released = true;
        return false;
    }
    if (*byte < G_N_ELEMENTS(set1_of_set2))
        *byte = set1_of_set2[*byte];
    if (*released)
        *byte |= RELEASED;
    *released = false;
    return true;
}

/* Two codes of set 1 have two of set 2; keys send the second. */
static uint8_t set2_of_set1(uint8_t code)
{
    for (unsigned i = G_N_ELEMENTS(set1_of_set2); i-- > 0;)
        if (set1_of_set2[i] == code)
            return i;
    return 0;
}

/* --- keyboard -------------------------------------------------------------------------------- */

static void keyboard_defaults(struct ps2_keyboard *keyboard)
{
    keyboard->scan_code_set = 2;
    keyboard->repeat_rate = 0x2b; /* 10.9 a second after half a second */
    keyboard->scanning = true;
}

void ps2_keyboard_reset(struct ps2_keyboard *keyboard)
{
    *keyboard = (struct ps2_keyboard){ 0 };
    keyboard_defaults(keyboard);
}

static void keyboard_parameter(struct ps2_keyboard *keyboard, uint8_t command, uint8_t value)
{
    if (command == 0xf0 && value > 2) { /* set 3 is for terminals */
        queue_put(&keyboard->queue, REPLY_RESEND);
        return;
    }
    queue_put(&keyboard->queue, REPLY_ACK);
    if (command == 0xed)
        keyboard->lamps = value & 7;
    else if (command == 0xf3)
        keyboard->repeat_rate = value & 0x7f;
    else if (value == 0)
        queue_put(&keyboard->queue, keyboard->scan_code_set);
    else
        keyboard->scan_code_set = value;
}

void ps2_keyboard_write(struct ps2_keyboard *keyboard, uint8_t value)
{
    struct ps2_queue *queue = &keyboard->queue;
    uint8_t command = keyboard->command;
    keyboard->command = 0;
    if (command && value < 0xed) { /* a command ends the wait for a parameter */
        keyboard_parameter(keyboard, command, value);
        return;
    }
    switch (value) {
    case 0xed: /* lamps */
    case 0xf0: /* scan code set */
    case 0xf3: /* repeat rate */
        keyboard->command = value;
        queue_put(queue, REPLY_ACK);
        break;
    case 0xee:
        queue_put(queue, REPLY_ECHO);
        break;
    case 0xf2: /* identify: an MF2 keyboard */
        queue_put(queue, REPLY_ACK);
        queue_put(queue, 0xab);
        queue_put(queue, 0x83);
        break;
    case 0xf4:
        keyboard->scanning = true;
        queue_put(queue, REPLY_ACK);
        break;
    case 0xf5:
    case 0xf6:
        queue->count = 0;
        keyboard_defaults(keyboard);
        keyboard->scanning = value == 0xf6;
        queue_put(queue, REPLY_ACK);
        break;
    case 0xf7 ... 0xfa: /* key types of set 3 */
        queue_put(queue, REPLY_ACK);
        break;
    case 0xff:
        ps2_keyboard_reset(keyboard);
        queue_put(queue, REPLY_ACK);
        queue_put(queue, REPLY_SELF_TEST_OK);
        break;
    default:
        queue_put(queue, REPLY_RESEND);
        break;
    }
}

/* One code with its prefixes; returns how many bytes. */
static unsigned key_bytes(const struct ps2_keyboard *keyboard, uint8_t code, bool extended,
                          bool down, uint8_t *bytes)
{
    unsigned count = 0;
    if (extended)
        bytes[count++] = PREFIX_EXTENDED;
    if (keyboard->scan_code_set == 1) {
        bytes[count++] = code | (down ? 0 : RELEASED);
        return count;
    }
    if (!down)
        bytes[count++] = PREFIX_RELEASED;
    bytes[count++] = set2_of_set1(code);
    return count;
}

/* Pause sends all at once and nothing when it is released. */
static void key_pause(struct ps2_keyboard *keyboard)
{
    static const uint8_t set1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
    static const uint8_t set2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
    if (keyboard->scan_code_set == 1)
        queue_put_event(&keyboard->queue, set1, sizeof(set1));
    else
        queue_put_event(&keyboard->queue, set2, sizeof(set2));
}

void ps2_keyboard_key(struct ps2_keyboard *keyboard, unsigned key, bool down)
{
    enum { FAKE_SHIFT = 0x2a };
    uint8_t bytes[8];
    unsigned count = 0;
    if (!keyboard->scanning)
        return;
    if (key == PS2_KEY_PAUSE) {
        if (down)
            key_pause(keyboard);
        return;
    }
    /* Print screen comes with a shift of its own. */
    if (key == PS2_KEY_PRINT && down)
        count += key_bytes(keyboard, FAKE_SHIFT, true, true, bytes);
    count += key_bytes(keyboard, key & 0x7f, key & PS2_EXTENDED, down, bytes + count);
    if (key == PS2_KEY_PRINT && !down)
        count += key_bytes(keyboard, FAKE_SHIFT, true, false, bytes + count);
    queue_put_event(&keyboard->queue, bytes, count);
}

/* --- mouse ----------------------------------------------------------------------------------- */

#define MOUSE_REMOTE 0x40u
#define MOUSE_ENABLED 0x20u
#define MOUSE_SCALED 0x10u

static void mouse_defaults(struct ps2_mouse *mouse)
{
    mouse->status = 0;
    mouse->resolution = 2;
    mouse->rate = 100;
}

void ps2_mouse_reset(struct ps2_mouse *mouse)
{
    *mouse = (struct ps2_mouse){ 0 };
    mouse_defaults(mouse);
}

/* The sequences of rates by which drivers ask for a wheel and for more buttons. */
static void mouse_set_rate(struct ps2_mouse *mouse, uint8_t rate)
{
    mouse->rate = rate;
    if (mouse->last_rates[0] == 200 && rate == 80) {
        if (mouse->last_rates[1] == 100)
            mouse->id = 3;
        else if (mouse->last_rates[1] == 200)
            mouse->id = 4;
    }
    mouse->last_rates[0] = mouse->last_rates[1];
    mouse->last_rates[1] = rate;
}

static int take_clamped(int32_t *moved, int limit)
{
    int taken = CLAMP(*moved, -limit, limit - 1);
    *moved -= taken;
    return taken;
}

static void mouse_report(struct ps2_mouse *mouse)
{
    uint8_t bytes[4];
    unsigned count = mouse->id ? 4 : 3;
    int x = take_clamped(&mouse->x, 256), y = take_clamped(&mouse->y, 256);
    int wheel = take_clamped(&mouse->wheel, 8);
    bytes[0] = 0x08 | (mouse->buttons & 7) | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0);
    bytes[1] = x;
    bytes[2] = y;
    bytes[3] = mouse->id == 4 ? (wheel & 0x0f) | (mouse->buttons & 0x18) << 1 : wheel;
    mouse->reported_buttons = mouse->buttons;
    queue_put_event(&mouse->queue, bytes, count);
}

static void mouse_reply_status(struct ps2_mouse *mouse)
{
    queue_put(&mouse->queue, REPLY_ACK);
    queue_put(&mouse->queue, mouse->status | (mouse->buttons & 1) << 2 | (mouse->buttons >> 1 & 1)
                                 | (mouse->buttons >> 2 & 1) << 1);
    queue_put(&mouse->queue, mouse->resolution);
    queue_put(&mouse->queue, mouse->rate);
}

static void mouse_command(struct ps2_mouse *mouse, uint8_t value)
{
    struct ps2_queue *queue = &mouse->queue;
    switch (value) {
    case 0xe6:
        mouse->status &= ~MOUSE_SCALED;
        break;
    case 0xe7:
        mouse->status |= MOUSE_SCALED;
        break;
    case 0xe8: /* resolution */
    case 0xf3: /* rate */
        mouse->command = value;
        break;
    case 0xe9:
        mouse_reply_status(mouse);
        return;
    case 0xea:
        mouse->status &= ~MOUSE_REMOTE;
        break;
    case 0xeb: /* a report now */
        queue_put(queue, REPLY_ACK);
        mouse_report(mouse);
        return;
    case 0xee:
        mouse->wrap = true;
        break;
    case 0xf0:
        mouse->status |= MOUSE_REMOTE;
        break;
    case 0xf2:
        queue_put(queue, REPLY_ACK);
        queue_put(queue, mouse->id);
        return;
    case 0xf4:
        mouse->status |= MOUSE_ENABLED;
        break;
    case 0xf5:
        mouse->status &= ~MOUSE_ENABLED;
        break;
    case 0xf6:
        mouse_defaults(mouse);
        break;
    case 0xff:
        ps2_mouse_reset(mouse);
        queue_put(queue, REPLY_ACK);
        queue_put(queue, REPLY_SELF_TEST_OK);
        queue_put(queue, mouse->id);
        return;
    default:
        queue_put(queue, REPLY_RESEND);
        return;
    }
    queue_put(queue, REPLY_ACK);
}

void ps2_mouse_write(struct ps2_mouse *mouse, uint8_t value)
{
    uint8_t command = mouse->command;
    mouse->command = 0;
    if (mouse->wrap && value != 0xec && value != 0xff) { /* everything comes back */
        queue_put(&mouse->queue, value);
        return;
    }
    if (value == 0xec) {
        mouse->wrap = false;
        queue_put(&mouse->queue, REPLY_ACK);
        return;
    }
    if (!command) {
        mouse_command(mouse, value);
        return;
    }
    if (command == 0xe8)
        mouse->resolution = value & 3;
    else
        mouse_set_rate(mouse, value);
    queue_put(&mouse->queue, REPLY_ACK);
}

void ps2_mouse_event(struct ps2_mouse *mouse, int dx, int dy, int dz, unsigned buttons)
{
    enum { FAR = 1 << 20, REPORTS_MAX = 8 }; /* farther than any screen is wide */
    mouse->x = CLAMP(mouse->x + CLAMP(dx, -FAR, FAR), -FAR, FAR);
    mouse->y = CLAMP(mouse->y - CLAMP(dy, -FAR, FAR), -FAR, FAR);
    mouse->wheel = CLAMP(mouse->wheel + CLAMP(dz, -FAR, FAR), -FAR, FAR);
    mouse->buttons = buttons;
    if (!(mouse->status & MOUSE_ENABLED) || (mouse->status & MOUSE_REMOTE)) {
        mouse->x = mouse->y = mouse->wheel = 0;
        return;
    }
    for (unsigned i = 0; i < REPORTS_MAX; i++) {
        if (!mouse->x && !mouse->y && !mouse->wheel && mouse->buttons == mouse->reported_buttons)
            break;
        mouse_report(mouse);
    }
}
