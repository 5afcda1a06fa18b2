/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "util/timer.h"

unsigned log_mask;

/* A guest can cause these as often as it likes, so they are limited. */
#define LOG_LIMITED (LOG_GUEST_ERRORS | LOG_UNIMP)
#define LOG_LIMIT_PER_SECOND 20

static FILE *log_file; /* NULL: standard error */

#define X(name, word, help) word,
static const char *const category_names[] = { LOG_CATEGORIES(X) NULL };
#undef X
#define X(name, word, help) help,
static const char *const category_help[] = { LOG_CATEGORIES(X) };
#undef X
static_assert(LOG_BIT_COUNT <= 32, "categories are bits of an unsigned");

void log_write(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    size_t length = strlen(text);
    /* One call, so that lines of several threads do not mix. */
    fprintf(log_file ? log_file : stderr, "%s%s", text,
            length && text[length - 1] == '\n' ? "" : "\n");
}

bool log_admit(enum log_category category)
{
    /* Seconds in the upper half, messages in that second in the lower: one word, so no lock. */
    static atomic_ullong window;
    if (!(category & LOG_LIMITED))
        return true;

    uint64_t second = clock_now_ns() / 1000000000u;
    uint64_t old = atomic_load(&window), new;
    do
        new = old >> 32 == second ? old + 1 : second << 32 | 1;
    while (!atomic_compare_exchange_weak(&window, &old, new));

    uint32_t count = (uint32_t) new;
    if (count == LOG_LIMIT_PER_SECOND + 1)
        log_write("(more messages about the guest in this second are left out)");
    return count <= LOG_LIMIT_PER_SECOND;
}

static bool category_parse(const char *word, unsigned *mask, GError **error)
{
    if (!strcmp(word, "all")) {
        *mask |= (1u << LOG_BIT_COUNT) - 1;
        return true;
    }
    for (unsigned bit = 0; bit < LOG_BIT_COUNT; bit++) {
        if (!strcmp(word, category_names[bit])) {
            *mask |= 1u << bit;
            return true;
        }
    }
    return fail(error, "log category '%s' is unknown%s", word, hint_nearest(word, category_names));
}

bool log_parse_categories(const char *text, unsigned *mask, GError **error)
{
    unsigned parsed = 0;
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    if (!words[0])
        return fail(error, "the list of log categories is empty; -d help shows them");
    for (char **word = words; *word; word++) {
        if (!category_parse(*word, &parsed, error))
            return false;
    }
    *mask = parsed;
    return true;
}

char *log_help(void)
{
    GString *text = g_string_new("Log items (comma separated):\n");
    g_string_append_printf(text, "%-15s %s\n", "none", "no category");
    for (unsigned bit = 0; bit < LOG_BIT_COUNT; bit++)
        g_string_append_printf(text, "%-15s %s\n", category_names[bit], category_help[bit]);
    g_string_append_printf(text, "%-15s %s\n", "all", "all of them");
    return g_string_free(text, FALSE);
}

void log_print_help(void)
{
    g_autofree char *text = log_help();
    printf("%s", text);
}

const char *const *log_category_names(void)
{
    return category_names;
}

bool log_open(const char *path, GError **error)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return fail_errno(error, "cannot open log file '%s'", path);
    setvbuf(file, NULL, _IOLBF, 0);
    if (log_file)
        fclose(log_file);
    log_file = file;
    return true;
}
