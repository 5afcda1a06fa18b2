/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/options.h"

#include "tap.h"

static enum option_result apply_value(void *target, const char *value, GError **error)
{
    g_string_append_printf(target, "[%s]", value);
    return OPTION_GOOD;
}

static enum option_result apply_switch(void *target, const char *value, GError **error)
{
    g_string_append(target, value ? "unexpected value" : "S");
    return OPTION_GOOD;
}

static enum option_result apply_refuse(void *target, const char *value, GError **error)
{
    return option_result(fail(error, "not that"));
}

static enum option_result apply_answer(void *target, const char *value, GError **error)
{
    return OPTION_ANSWERED;
}

static const struct option options[] = {
    { "kernel", "FILE", "", apply_value }, { "m", "SIZE", "", apply_value },
    { "S", NULL, "", apply_switch },       { "refuse", "X", "", apply_refuse },
    { "help", NULL, NULL, apply_answer },
};

static const struct option_table table = { options, G_N_ELEMENTS(options), "-" };

static const struct parse_case {
    const char *line;     /* arguments, separated by spaces */
    const char *expected; /* what was applied; '?': answered; '!': the error */
} cases[] = {
    { "", "" },
    { "-m 1 -S", "[1]S" },
    { "--m 1 --S", "[1]S" },
    { "-m -S", "[-S]" }, /* an argument may look like an option */
    { "-m 1 -m 2", "[1][2]" },
    { "-S -help -nonsense", "?" },
    { "-m", "!-m: requires an argument, SIZE" },
    { "-kernl x", "!-kernl: invalid option; did you mean '-kernel'?" },
    { "--kernl x", "!--kernl: invalid option; did you mean '-kernel'?" },
    { "---S", "!---S: invalid option; did you mean '-S'?" },
    { "-xyzzy", "!-xyzzy: invalid option" },
    { "-", "!'-' is not an option, and nothing else is expected" },
    { "disk.img", "!'disk.img' is not an option, and nothing else is expected" },
    { "-refuse x", "!-refuse x: not that" },
};

int main(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *line = g_strconcat("program ", cases[i].line, NULL);
        g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", -1);
        g_autoptr(GString) got = g_string_new(NULL);
        g_autoptr(GError) error = NULL;

        switch (options_parse(&table, g_strv_length(words), words, got, &error)) {
        case OPTION_GOOD:
            break;
        case OPTION_ANSWERED:
            g_string_assign(got, "?");
            break;
        case OPTION_BAD:
            g_string_printf(got, "!%s", error->message);
            break;
        }
        tap_is(got->str, cases[i].expected, line);
    }
    return tap_done();
}
