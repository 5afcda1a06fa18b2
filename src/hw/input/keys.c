/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/input/keys.h"

#include <string.h>

#include "hw/input/ps2.h"
#include "util/keyval.h"

#define E PS2_EXTENDED

static const struct {
    const char *name;
    unsigned code;
} keys[] = {
    { "shift", 0x2a },
    { "shift_r", 0x36 },
    { "alt", 0x38 },
    { "alt_r", E | 0x38 },
    { "altgr", E | 0x38 },
    { "ctrl", 0x1d },
    { "ctrl_r", E | 0x1d },
    { "menu", E | 0x5d },
    { "compose", E | 0x5d },
    { "meta_l", E | 0x5b },
    { "meta_r", E | 0x5c },
    { "esc", 0x01 },
    { "1", 0x02 },
    { "2", 0x03 },
    { "3", 0x04 },
    { "4", 0x05 },
    { "5", 0x06 },
    { "6", 0x07 },
    { "7", 0x08 },
    { "8", 0x09 },
    { "9", 0x0a },
    { "0", 0x0b },
    { "minus", 0x0c },
    { "equal", 0x0d },
    { "backspace", 0x0e },
    { "tab", 0x0f },
    { "q", 0x10 },
    { "w", 0x11 },
    { "e", 0x12 },
    { "r", 0x13 },
    { "t", 0x14 },
    { "y", 0x15 },
    { "u", 0x16 },
    { "i", 0x17 },
    { "o", 0x18 },
    { "p", 0x19 },
    { "bracket_left", 0x1a },
    { "bracket_right", 0x1b },
    { "ret", 0x1c },
    { "a", 0x1e },
    { "s", 0x1f },
    { "d", 0x20 },
    { "f", 0x21 },
    { "g", 0x22 },
    { "h", 0x23 },
    { "j", 0x24 },
    { "k", 0x25 },
    { "l", 0x26 },
    { "semicolon", 0x27 },
    { "apostrophe", 0x28 },
    { "grave_accent", 0x29 },
    { "backslash", 0x2b },
    { "z", 0x2c },
    { "x", 0x2d },
    { "c", 0x2e },
    { "v", 0x2f },
    { "b", 0x30 },
    { "n", 0x31 },
    { "m", 0x32 },
    { "comma", 0x33 },
    { "dot", 0x34 },
    { "slash", 0x35 },
    { "asterisk", 0x37 },
    { "spc", 0x39 },
    { "caps_lock", 0x3a },
    { "f1", 0x3b },
    { "f2", 0x3c },
    { "f3", 0x3d },
    { "f4", 0x3e },
    { "f5", 0x3f },
    { "f6", 0x40 },
    { "f7", 0x41 },
    { "f8", 0x42 },
    { "f9", 0x43 },
    { "f10", 0x44 },
    { "f11", 0x57 },
    { "f12", 0x58 },
    { "num_lock", 0x45 },
    { "scroll_lock", 0x46 },
    { "kp_divide", E | 0x35 },
    { "kp_multiply", 0x37 },
    { "kp_subtract", 0x4a },
    { "kp_add", 0x4e },
    { "kp_enter", E | 0x1c },
    { "kp_decimal", 0x53 },
    { "kp_0", 0x52 },
    { "kp_1", 0x4f },
    { "kp_2", 0x50 },
    { "kp_3", 0x51 },
    { "kp_4", 0x4b },
    { "kp_5", 0x4c },
    { "kp_6", 0x4d },
    { "kp_7", 0x47 },
    { "kp_8", 0x48 },
    { "kp_9", 0x49 },
    { "less", 0x56 },
    { "sysrq", 0x54 },
    { "print", PS2_KEY_PRINT },
    { "pause", PS2_KEY_PAUSE },
    { "home", E | 0x47 },
    { "up", E | 0x48 },
    { "pgup", E | 0x49 },
    { "left", E | 0x4b },
    { "right", E | 0x4d },
    { "end", E | 0x4f },
    { "down", E | 0x50 },
    { "pgdn", E | 0x51 },
    { "insert", E | 0x52 },
    { "delete", E | 0x53 },
    { "power", E | 0x5e },
    { "sleep", E | 0x5f },
    { "wake", E | 0x63 },
};

static bool key_find(const char *name, unsigned *code, GError **error)
{
    const char *names[G_N_ELEMENTS(keys) + 1] = { 0 };
    uint64_t number;
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        names[i] = keys[i].name;
        if (!strcmp(name, keys[i].name)) {
            *code = keys[i].code;
            return true;
        }
    }
    if (g_str_has_prefix(name, "0x") && parse_unsigned("the key", name, 0xff, &number, NULL)) {
        *code = number;
        return true;
    }
    return fail(error, "invalid parameter: %s%s", name, hint_nearest(name, names));
}

unsigned keys_parse(const char *text, unsigned *codes, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, "-", -1);
    unsigned count = 0;
    for (char **word = words; *word; word++) {
        if (count == KEYS_MAX) {
            fail(error, "at most %u keys are pressed at once", KEYS_MAX);
            return 0;
        }
        /* "<" is as QEMU wants it: without a name. */
        if (!key_find(strcmp(*word, "<") ? *word : "less", &codes[count++], error))
            return 0;
    }
    return count ? count : fail(error, "the keys are missing");
}
