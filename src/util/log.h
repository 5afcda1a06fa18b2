/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Diagnostic log, chosen by -d CATEGORY[,…] or the monitor's `log`, and written to standard error
 * or the file of -D. The names are QEMU's where QEMU has the same. Any thread. A category that is
 * off costs one load and a branch; in translated code nothing, because that is decided when the
 * code is made. */
#ifndef YADO_UTIL_LOG_H
#define YADO_UTIL_LOG_H

#include "util/util.h"

#define LOG_CATEGORIES(X) \
    X(OUT_ASM, "out_asm", "host code of each translated block (bt)") \
    X(IN_ASM, "in_asm", "guest code of each translated block (bt)") \
    X(BT_ASM, "bt_asm", "each guest instruction beside the host code made from it (bt)") \
    X(INT, "int", "interrupts and exceptions as they are delivered, with registers (bt)") \
    X(EXEC, "exec", "each block that is executed; chaining is off meanwhile (bt)") \
    X(CPU, "cpu", "registers before each executed block; chaining is off meanwhile (bt)") \
    X(FPU, "fpu", "x87 and vector registers as well, where others show registers") \
    X(MMU, "mmu", "page walks level by level, page faults, control register writes (bt)") \
    X(PCALL, "pcall", "far calls, jumps and returns, iret, in protected mode (bt)") \
    X(CPU_RESET, "cpu_reset", "registers before a CPU is reset, and triple faults") \
    X(UNIMP, "unimp", "guest use of what is not implemented") \
    X(GUEST_ERRORS, "guest_errors", "guest mistakes: bad register accesses, bad descriptors") \
    X(PAGE, "page", "the map of guest memory at the start") \
    X(NOCHAIN, "nochain", "no jumps from block to block: each goes through the dispatcher (bt)") \
    X(IO, "io", "port and memory-mapped accesses")

#define X(name, word, help) LOG_BIT_##name,
enum log_bit { LOG_CATEGORIES(X) LOG_BIT_COUNT };
#undef X
#define X(name, word, help) LOG_##name = 1u << LOG_BIT_##name,
enum log_category { LOG_CATEGORIES(X) };
#undef X

/* What is wanted of each executed block; the translator then makes blocks that can tell. */
#define LOG_EACH_BLOCK (LOG_EXEC | LOG_CPU)

extern unsigned log_mask; /* [atomic] use log_set_mask() */

/* Is any of these categories on? */
static inline bool log_enabled(unsigned categories)
{
    return unlikely(__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & categories);
}

/* Main loop, or before threads start. Running engines are told by vm_translate_again(). */
void log_set_mask(unsigned mask);

/* One line, or several; the newline at the end is added if missing. */
void log_write(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* On standard error, and in the log if that is a file. Async-signal-safe. */
void log_raw(const char *text, size_t length);

/* Counts a message against the rate limit of GUEST_ERRORS and UNIMP, which a guest can cause as
 * often as it likes; false: leave it out. Other categories are not limited. */
bool log_admit(enum log_category category);

#define log_if(category, ...) \
    do { \
        if (log_enabled(category) && log_admit(category)) \
            log_write(__VA_ARGS__); \
    } while (0)

/* Parses "a,b,c", "all" or "none"; otherwise false and an error naming the nearest category. "help"
 * and "?" are for the caller to see first (log_print_help()). */
bool log_parse_categories(const char *text, unsigned *mask, GError **error);
/* The list of categories with what they show; the caller frees it. */
char *log_help(void);
void log_print_help(void);
const char *const *log_category_names(void); /* NULL-terminated */

/* -dfilter: code outside these ranges is left out of in_asm, out_asm, bt_asm, exec and cpu. "A..B"
 * (both included), "A+SIZE", or "A-SIZE" (the SIZE bytes that end with A), separated by commas;
 * none means everything. Before threads start. */
bool log_parse_filter(const char *text, GError **error);
bool log_in_range(uint64_t address);

/* Opens the file, where "%d" becomes the process id, in place of the one before. */
bool log_open(const char *path, GError **error);

#endif
