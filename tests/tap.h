/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Test results in TAP, for unit tests in C. One thread.
 *
 *     int main(void)
 *     {
 *         tap_ok(1 + 1 == 2, "one and one are %d", 2);
 *         return tap_done();
 *
 * } */
#ifndef YADO_TESTS_TAP_H
#define YADO_TESTS_TAP_H

#include <glib.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned tap_count, tap_failures;

/* One check; the rest is its name. Returns `passed`, so that a test can explain a failure. */
G_GNUC_PRINTF(2, 3) G_GNUC_UNUSED static bool tap_ok(bool passed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *name = g_strdup_vprintf(format, args);
    va_end(args);
    printf("%sok %u - %s\n", passed ? "" : "not ", ++tap_count, name);
    fflush(stdout);
    tap_failures += !passed;
    return passed;
}

/* A line of explanation. */
G_GNUC_PRINTF(1, 2) G_GNUC_UNUSED static void tap_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    printf("# %s\n", text);
    fflush(stdout);
}

/* A check that cannot be made here, and why. */
G_GNUC_UNUSED
static void tap_skip(const char *name, const char *reason)
{
    printf("ok %u - %s # SKIP %s\n", ++tap_count, name, reason);
}

/* Two strings are the same. */
G_GNUC_UNUSED
static bool tap_is(const char *got, const char *expected, const char *name)
{
    bool same = !g_strcmp0(got, expected);
    tap_ok(same, "%s", name);
    if (!same)
        tap_note("got '%s', expected '%s'", got ? got : "(null)", expected ? expected : "(null)");
    return same;
}

/* Prints the plan; the exit status of main(). */
G_GNUC_UNUSED
static int tap_done(void)
{
    printf("1..%u\n", tap_count);
    return tap_failures ? 1 : 0;
}

#endif
