/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Diagnostic log, chosen by -d CATEGORY[,…] and written to standard error or the file of -D.
 * Any thread. A category that is off costs one load and a branch. */
#ifndef YADO_UTIL_LOG_H
#define YADO_UTIL_LOG_H

#include "util/util.h"

#define LOG_CATEGORIES(X) \
    X(GUEST_ERRORS, "guest_errors", \
      "what a guest did wrong: bad register accesses, bad descriptors") \
    X(UNIMP, "unimp", "guest use of what is not implemented") \
    X(INT, "int", "interrupts and exceptions as they are delivered") \
    X(IN_ASM, "in_asm", "guest code of each translated block") \
    X(OUT_ASM, "out_asm", "host code of each translated block") \
    X(EXEC, "exec", "each entry into translated code from the dispatcher") \
    X(MMU, "mmu", "guest page walks") \
    X(CPU_RESET, "cpu_reset", "CPU state at reset and at triple faults") \
    X(IO, "io", "port and memory-mapped accesses")

#define X(name, word, help) LOG_BIT_##name,
enum log_bit { LOG_CATEGORIES(X) LOG_BIT_COUNT };
#undef X
#define X(name, word, help) LOG_##name = 1u << LOG_BIT_##name,
enum log_category { LOG_CATEGORIES(X) };
#undef X

extern unsigned log_mask; /* set once from the command line, before threads start */

static inline bool log_enabled(enum log_category category)
{
    return unlikely(log_mask & category);
}

/* One line, or several; the newline at the end is added if missing. */
void log_write(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Counts a message against the rate limit of GUEST_ERRORS and UNIMP, which a guest can cause as
 * often as it likes; false: leave it out. Other categories are not limited. */
bool log_admit(enum log_category category);

#define log_if(category, ...) \
    do { \
        if (log_enabled(category) && log_admit(category)) \
            log_write(__VA_ARGS__); \
    } while (0)

/* Parses "a,b,c" or "all"; otherwise false and an error naming the nearest category. "help" and "?"
 * are for the caller to see first (log_print_help()). */
bool log_parse_categories(const char *text, unsigned *mask, GError **error);
/* The list of categories with what they show; the caller frees it. */
char *log_help(void);
void log_print_help(void);
const char *const *log_category_names(void); /* NULL-terminated */
bool log_open(const char *path, GError **error);

#endif
