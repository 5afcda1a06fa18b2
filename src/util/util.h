/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers every layer uses: errors, ownership by scope, containers, hints.
 *
 * Errors: a function that can fail returns false (or NULL) and describes the failure in its last
 * parameter, `GError **error`. The text is one sentence: what, which, why, nearest valid thing.
 * It is either returned or reported, never both. */
#ifndef YADO_UTIL_UTIL_H
#define YADO_UTIL_UTIL_H

#include <assert.h>
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Error domain of all of Yado's own errors; the code is always 0. */
GQuark yado_error_quark(void);

/* Sets `error` to the formatted sentence and returns false. */
bool fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* As fail(), with ": " and the text of errno appended. */
bool fail_errno(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Prefixes context to an error on its way up ("in -device isa-debugcon: "). Returns false. */
bool fail_prefix(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* One line on standard error, prefixed with the program's name; for what does not stop us. */
void warn(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The same for what does: "program: sentence". */
void report_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "; did you mean 'x'?" for the entry of the NULL-terminated `names` nearest to `word`, or "" if
 * none is near. The result is valid until this thread's next call. */
const char *hint_nearest(const char *word, const char *const *names);

/* A process that has reported a crash of its own ends with crash_exit(): it runs what was set (one
 * function, async-signal-safe: it restores the terminal) and exits with status 1. */
void crash_set_cleanup(void (*cleanup)(void));
void crash_exit(void) __attribute__((noreturn));

static inline void util_close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* A file descriptor closed at the end of its scope unless take_fd() has moved it out. */
#define auto_close __attribute__((cleanup(util_close_fd)))

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
