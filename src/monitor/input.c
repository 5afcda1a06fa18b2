/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands that press keys and move the mouse. */
#include "hw/input/keys.h"
#include "monitor/command.h"
#include "vm/vm.h"

#define HOLD_MS 100
#define HOLD_MS_MAX 60000

static void run_sendkey(struct hmp *hmp, const struct hmp_args *args)
{
    unsigned codes[KEYS_MAX];
    GError *error = NULL;
    uint64_t hold_ms = args->count > 1 ? args->value[1].number : HOLD_MS;
    unsigned count = keys_parse(args->value[0].text, codes, &error);
    if (!count || !keys_send(hmp->vm, codes, count, MIN(hold_ms, HOLD_MS_MAX), &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(sendkey) = {
    .name = "sendkey",
    .args = "si?",
    .params = "keys [hold_ms]",
    .help = "press keys (e.g. 'sendkey ctrl-alt-f1', for 100 ms unless hold_ms is given)",
    .run = run_sendkey,
};

static void run_mouse_move(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;
    int wheel = args->count > 2 ? (int)args->value[2].number : 0;
    if (!mouse_send(hmp->vm, args->value[0].number, args->value[1].number, wheel, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(mouse_move) = {
    .name = "mouse_move",
    .args = "iii?",
    .params = "dx dy [dz]",
    .help = "move the mouse, dz is its wheel",
    .run = run_mouse_move,
};

static void run_mouse_button(struct hmp *hmp, const struct hmp_args *args)
{
    GError *error = NULL;
    if (!mouse_set_buttons(hmp->vm, args->value[0].number, &error))
        hmp_print_error(hmp, error);
}
HMP_COMMAND(mouse_button) = {
    .name = "mouse_button",
    .args = "i",
    .params = "state",
    .help = "which mouse buttons are pressed (1=L, 2=M, 4=R)",
    .run = run_mouse_button,
};
