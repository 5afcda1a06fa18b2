/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One table per subcommand lists its options; parser, help text and nearest-name hints come from
 * it.
 * `-name` and `--name` are the same option. */
#ifndef YADO_CLI_OPTIONS_H
#define YADO_CLI_OPTIONS_H

#include "util/util.h"

/* ANSWERED: the option was a question (help, version), and the program ends well. */
enum option_result { OPTION_BAD, OPTION_GOOD, OPTION_ANSWERED };

struct option {
    const char *name; /* without dashes */
    /* How the help shows it; NULL: the option takes none. "[=…]": it may be there, as
     * "--name=argument"; `value` is NULL without it. */
    const char *argument;
    const char *help; /* NULL: another spelling of an option the help lists */
    enum option_result (*apply)(void *target, const char *value, GError **error);
};

struct option_table {
    const struct option *options;
    size_t count;
    const char *dashes; /* as the help writes them: "-" or "--" */
};

/* Applies each of argv[1…] to `target`, in order. Errors name the option. */
enum option_result options_parse(const struct option_table *table, int argc, char **argv,
                                 void *target, GError **error);
void options_print_help(const struct option_table *table);

static inline enum option_result option_result(bool good)
{
    return good ? OPTION_GOOD : OPTION_BAD;
}

#endif
