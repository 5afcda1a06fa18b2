/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arguments of a monitor command, read as its row says. */
#include <string.h>

#include "monitor/command.h"

static void skip_spaces(const char **text)
{
    while (g_ascii_isspace(**text))
        (*text)++;
}

static char *quoted(const char **text, GError **error)
{
    static const char from[] = "nr\\'\"", to[] = "\n\r\\'\"";
    g_autoptr(GString) result = g_string_new(NULL);
    const char *at = *text + 1;

    for (; *at != '"'; at++) {
        if (!*at || (*at == '\\' && !at[1])) {
            fail(error, "unterminated string literal");
            return NULL;
        }
        if (*at == '\\') {
            const char *known = strchr(from, *++at);
            if (!known) {
                fail(error, "unsupported escape code: '\\%c'", *at);
                return NULL;
            }
            g_string_append_c(result, to[known - from]);
        } else {
            g_string_append_c(result, *at);
        }
    }
    *text = at + 1;
    return g_strdup(result->str);
}

char *hmp_word(const char **text, GError **error)
{
    skip_spaces(text);
    if (**text == '"')
        return quoted(text, error);
    size_t length = strcspn(*text, " \t\n\r\v\f");
    if (!length)
        return NULL;
    char *word = g_strndup(*text, length);
    *text += length;
    return word;
}

/* /COUNT and letters, up to the next space. */
static bool parse_format(const char **text, struct hmp_args *args, GError **error)
{
    static const char sizes[] = "bhwg";

    args->format.count = 1;
    skip_spaces(text);
    if (**text != '/')
        return true;
    (*text)++;
    if (g_ascii_isdigit(**text)) {
        char *end;
        guint64 count = g_ascii_strtoull(*text, &end, 10);
        args->format.count = MIN(count, UINT32_MAX);
        *text = end;
    }
    for (; **text && !g_ascii_isspace(**text); (*text)++) {
        const char *size = strchr(sizes, **text);
        if (size)
            args->format.size = 1u << (size - sizes);
        else if (strchr("oxducis", **text))
            args->format.format = **text;
        else
            return fail(error, "invalid char in format: '%c'", **text);
    }
    return args->format.format != 's' || fail(error, "invalid char in format: 's'");
}

static bool parse_on_off(const char **text, uint64_t *value, GError **error)
{
    g_autofree char *word = hmp_word(text, error);

    *value = !g_strcmp0(word, "on");
    return *value || !g_strcmp0(word, "off")
           || (word && fail(error, "Expected 'on' or 'off', not '%s'", word));
}

/* Flags stand before what follows them in `args`. */
static bool parse_flag(char letter, const char **text, struct hmp_args *args)
{
    const char *at = *text;

    skip_spaces(&at);
    if (at[0] != '-' || at[1] != letter || (at[2] && !g_ascii_isspace(at[2])))
        return false;
    args->flags |= 1ull << (letter & 63);
    *text = at + 2;
    return true;
}

static bool parse_one(struct hmp *hmp, const struct hmp_command *command, char type,
                      const char **text, struct hmp_args *args, GError **error)
{
    uint64_t *number = &args->value[args->count].number;
    char **word = &args->value[args->count].text;

    switch (type) {
    case 'i':
    case 'l':
        if (!hmp_expression(hmp, text, number, error))
            return false;
        if (type == 'i' && *number != (uint32_t)*number && *number != (uint64_t)(int32_t)*number)
            return fail(error, "'%s' has failed: integer is for 32-bit values", command->name);
        break;
    case 'b':
        if (!parse_on_off(text, number, error))
            return false;
        break;
    case 'S':
        skip_spaces(text);
        *word = g_strchomp(g_strdup(*text));
        *text += strlen(*text);
        break;
    default:
        *word = hmp_word(text, error);
        if (!*word)
            return (error && *error)
                   || fail(error, "%s: %s expected", command->name,
                           type == 'F' ? "filename" : "string");
    }
    args->count++;
    return !*error;
}

static bool parse_all(struct hmp *hmp, const struct hmp_command *command, const char *text,
                      struct hmp_args *args, GError **error)
{
    for (const char *type = command->args ? command->args : ""; *type; type++) {
        if (*type == '-') {
            parse_flag(*++type, &text, args);
            continue;
        }
        if (*type == '/') {
            if (!parse_format(&text, args, error))
                return false;
            continue;
        }
        bool optional = type[1] == '?';
        skip_spaces(&text);
        if (!*text && optional)
            break;
        if (!parse_one(hmp, command, *type, &text, args, error))
            return false;
        type += optional;
    }
    skip_spaces(&text);
    return !*text
           || fail(error, "%s%s%s: extraneous characters at the end of line", command->name,
                   command->alias ? "|" : "", command->alias ? command->alias : "");
}

bool hmp_args_parse(struct hmp *hmp, const struct hmp_command *command, const char *text,
                    struct hmp_args *args)
{
    g_autoptr(GError) error = NULL;

    *args = (struct hmp_args){ .format.count = 1 };
    if (parse_all(hmp, command, text, args, &error))
        return true;
    hmp_print(hmp, "%s\nTry \"help %s%s\" for more information\n", error->message,
              command->info ? "info " : "", command->name);
    hmp_args_clear(args);
    return false;
}

void hmp_args_clear(struct hmp_args *args)
{
    for (unsigned i = 0; i < HMP_ARGS; i++)
        g_clear_pointer(&args->value[i].text, g_free);
}
