/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

GQuark yado_error_quark(void)
{
    return g_quark_from_static_string("yado-error");
}

bool fail(GError **error, const char *format, ...)
{
    if (!error)
        return false;
    va_list args;
    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(yado_error_quark(), 0, format, args));
    va_end(args);
    return false;
}

bool fail_errno(GError **error, const char *format, ...)
{
    int saved_errno = errno;
    if (!error)
        return false;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fail(error, "%s: %s", text, g_strerror(saved_errno));
    errno = saved_errno;
    return false;
}

bool fail_prefix(GError **error, const char *format, ...)
{
    if (!error || !*error)
        return false;
    va_list args;
    va_start(args, format);
    g_autofree char *prefix = g_strdup_vprintf(format, args);
    va_end(args);
    g_prefix_error(error, "%s", prefix);
    return false;
}

static void report(const char *kind, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    const char *program = g_get_prgname();
    /* One call, so that lines of several threads do not mix. */
    fprintf(stderr, "%s: %s%s\n", program ? program : "yado", kind, text);
}

void warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report("warning: ", format, args);
    va_end(args);
}

void report_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report("", format, args);
    va_end(args);
}

/* Longer words get no hint: nobody mistypes them, and the table below stays on the stack. */
#define HINT_WORD_MAX 63

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    return MIN(MIN(a, b), c);
}

/* Edits (insert, delete, replace, swap neighbours; case is free) that make `a` of `b`. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    unsigned rows[3][HINT_WORD_MAX + 1]; /* of the distance table: the one before last, last, new */
    unsigned *older = rows[0], *old = rows[1], *new = rows[2];

    for (size_t j = 0; j <= b_length; j++)
        old[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        new[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            bool differ = g_ascii_tolower(a[i - 1]) != g_ascii_tolower(b[j - 1]);
            new[j] = min3(old[j] + 1, new[j - 1] + 1, old[j - 1] + differ);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                new[j] = MIN(new[j], older[j - 2] + 1);
        }
        unsigned *spare = older;
        older = old;
        old = new;
        new = spare;
    }
    return old[b_length];
}

/* How far `name` is from `word`; above the limit it is no help to suggest it. */
static unsigned hint_distance(const char *word, const char *name)
{
    size_t word_length = strlen(word), name_length = strlen(name);
    if (name_length > HINT_WORD_MAX)
        return UINT_MAX;
    unsigned distance = edit_distance(word, name);
    /* An abbreviation or an overlong form is near, however much is missing. */
    if (word_length >= 3 && name_length >= 3
        && !g_ascii_strncasecmp(word, name, MIN(word_length, name_length)))
        return MIN(distance, 1);
    return distance;
}

const char *hint_nearest(const char *word, const char *const *names)
{
    static _Thread_local char hint[HINT_WORD_MAX + sizeof("; did you mean ''?")];
    size_t length = strlen(word);
    unsigned best = MAX(1, (length + 1) / 3) + 1; /* one typing error per three letters */
    const char *nearest = NULL;

    if (!length || length > HINT_WORD_MAX)
        return "";
    for (; *names; names++) {
        unsigned distance = hint_distance(word, *names);
        if (distance < best) {
            best = distance;
            nearest = *names;
        }
    }
    if (!nearest)
        return "";
    g_snprintf(hint, sizeof(hint), "; did you mean '%s'?", nearest);
    return hint;
}

/* --- crashes --- */

static void (*_Atomic crash_cleanup)(void);

void crash_set_cleanup(void (*cleanup)(void))
{
    crash_cleanup = cleanup;
}

void crash_exit(void)
{
    if (crash_cleanup)
        crash_cleanup();
    _exit(1);
}
