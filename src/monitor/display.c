/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitor commands about what the guest shows. */
#include <string.h>

#include "hw/display/screen.h"
#include "monitor/command.h"
#include "vm/vm.h"

static bool dump_format(const char *word, enum screen_format *format, GError **error)
{
    if (!g_strcmp0(word, "png"))
        *format = SCREEN_PNG;
    else if (!g_strcmp0(word, "ppm"))
        *format = SCREEN_PPM;
    else
        return fail(error, "the format is 'ppm' or 'png', not '%s'", word ? word : "");
    return true;
}

/* [-f FORMAT] [DEVICE [HEAD]] */
static bool dump_parse(const char *text, enum screen_format *format, char **device, GError **error)
{
    unsigned count = 0;
    for (;;) {
        g_autofree char *word = hmp_word(&text, error);
        if (!word)
            return !*error;
        if (!strcmp(word, "-f")) {
            g_autofree char *name = hmp_word(&text, error);
            if (*error || !dump_format(name, format, error))
                return false;
        } else if (count++ == 0) {
            *device = g_steal_pointer(&word);
        } else if (count > 2 || strcmp(word, "0")) {
            return fail(error, "a display has one head, 0, not '%s'", word);
        }
    }
}

static void run_screendump(struct hmp *hmp, const struct hmp_args *args)
{
    g_autofree char *device = NULL;
    enum screen_format format = SCREEN_PPM;
    struct screen screen = { 0 };
    GError *error = NULL;
    const char *rest = args->count > 1 ? args->value[1].text : "";
    if (!dump_parse(rest, &format, &device, &error)
        || !screen_capture(hmp->vm, device, &screen, &error)
        || !screen_save(&screen, format, args->value[0].text, &error))
        hmp_print_error(hmp, error);
    screen_free(&screen);
}
HMP_COMMAND(screendump) = {
    .name = "screendump",
    .args = "FS?",
    .params = "filename [-f format] [device [head]]",
    .help = "write a picture of the screen: ppm (default) or png",
    .run = run_screendump,
};
