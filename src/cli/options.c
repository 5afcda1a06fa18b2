/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

/* The help's left column. */
#define HELP_COLUMN 30

static const struct option *option_find(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (!strcmp(table->options[i].name, name))
            return &table->options[i];
    }
    return NULL;
}

static bool is_optional(const struct option *option)
{
    return option->argument && g_str_has_prefix(option->argument, "[=");
}

/* "name=value" of an option that may have one. */
static const struct option *option_with_value(const struct option_table *table, const char *name,
                                              const char **value)
{
    size_t length = strcspn(name, "=");
    g_autofree char *bare = g_strndup(name, length);
    const struct option *option = name[length] ? option_find(table, bare) : NULL;

    if (!option || !is_optional(option))
        return NULL;
    *value = name + length + 1;
    return option;
}

static void fail_unknown(const struct option_table *table, const char *argument, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *word = g_strconcat(table->dashes, argument + strspn(argument, "-"), NULL);

    for (size_t i = 0; i < table->count; i++)
        g_ptr_array_add(names, g_strconcat(table->dashes, table->options[i].name, NULL));
    g_ptr_array_add(names, NULL);
    fail(error, "%s: invalid option%s", argument,
         hint_nearest(word, (const char *const *)names->pdata));
}

enum option_result options_parse(const struct option_table *table, int argc, char **argv,
                                 void *target, GError **error)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i], *value = NULL;
        if (argument[0] != '-' || !argument[1]) {
            fail(error, "'%s' is not an option, and nothing else is expected", argument);
            return OPTION_BAD;
        }
        const char *name = argument + 1 + (argument[1] == '-');
        const struct option *option = option_find(table, name);
        if (!option)
            option = option_with_value(table, name, &value);
        if (!option) {
            fail_unknown(table, argument, error);
            return OPTION_BAD;
        }
        if (option->argument && !is_optional(option)) {
            if (i + 1 == argc) {
                fail(error, "%s: requires an argument, %s", argument, option->argument);
                return OPTION_BAD;
            }
            value = argv[++i];
        }
        enum option_result result = option->apply(target, value, error);
        if (result == OPTION_BAD)
            fail_prefix(error, "%s%s%s: ", argument, value && !is_optional(option) ? " " : "",
                        value && !is_optional(option) ? value : "");
        if (result != OPTION_GOOD)
            return result;
    }
    return OPTION_GOOD;
}

void options_print_help(const struct option_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct option *option = &table->options[i];
        if (!option->help)
            continue;
        g_autofree char *left = g_strconcat(table->dashes, option->name,
                                            option->argument && !is_optional(option) ? " " : "",
                                            option->argument ? option->argument : "", NULL);
        if (strlen(left) < HELP_COLUMN)
            printf("%-*s%s\n", HELP_COLUMN, left, option->help);
        else
            printf("%s\n%*s%s\n", left, HELP_COLUMN, "", option->help);
    }
}
