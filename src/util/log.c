/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "util/timer.h"

unsigned log_mask;

/* A guest can cause these as often as it likes, so they are limited. */
#define LOG_LIMITED (LOG_GUEST_ERRORS | LOG_UNIMP)
#define LOG_LIMIT_PER_SECOND 20

/* [atomic] Once it is a file, another file takes its number: who writes meanwhile needs no lock. */
static atomic_int log_fd = STDERR_FILENO;

#define LOG_RANGES 64
static struct log_range {
    uint64_t first, last;
} log_ranges[LOG_RANGES]; /* [const] once threads run */
static unsigned log_range_count;

#define X(name, word, help) word,
static const char *const category_names[] = { LOG_CATEGORIES(X) NULL };
#undef X
#define X(name, word, help) help,
static const char *const category_help[] = { LOG_CATEGORIES(X) };
#undef X
static_assert(LOG_BIT_COUNT <= 32, "categories are bits of an unsigned");

static void write_all(int fd, const char *text, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t written = write(fd, text + done, length - done);
        if (written < 0 && errno != EINTR)
            return;
        done += MAX(written, 0);
    }
}

void log_write(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    size_t length = strlen(text);
    /* One call, so that lines of several threads do not mix. */
    if (length && text[length - 1] != '\n') {
        text = g_realloc(text, length + 1);
        text[length++] = '\n';
    }
    write_all(atomic_load(&log_fd), text, length);
}

void log_raw(const char *text, size_t length)
{
    int fd = atomic_load(&log_fd);

    write_all(STDERR_FILENO, text, length);
    if (fd != STDERR_FILENO)
        write_all(fd, text, length);
}

void log_set_mask(unsigned mask)
{
    __atomic_store_n(&log_mask, mask, __ATOMIC_RELAXED);
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
    if (!strcmp(word, "none")) {
        *mask = 0;
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

/* --- the filter --- */

static bool number_parse(const char **text, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = g_ascii_strtoull(*text, &end, 0);
    bool good = g_ascii_isdigit(**text) && end != *text && errno == 0;
    *text = end;
    return good;
}

/* "A..B", "A+SIZE", "A-SIZE". */
static bool range_parse(const char *text, struct log_range *range)
{
    uint64_t right;

    if (!number_parse(&text, &range->first))
        return false;
    char kind = *text;
    text += kind == '.' && text[1] == '.' ? 2 : kind == '+' || kind == '-' ? 1 : 0;
    if (!strchr(".+-", kind) || !number_parse(&text, &right) || *text)
        return false;
    switch (kind) {
    case '.':
        range->last = right;
        return right >= range->first;
    case '+':
        range->last = range->first + (right - 1);
        return right && range->last >= range->first;
    default:
        range->last = range->first;
        range->first = range->last - (right - 1);
        return right && range->first <= range->last;
    }
}

bool log_parse_filter(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    unsigned count = 0;

    for (char **word = words; *word; word++, count++) {
        if (count == LOG_RANGES)
            return fail(error, "there are more than %u ranges", LOG_RANGES);
        if (!range_parse(*word, &log_ranges[count]))
            return fail(error,
                        "'%s' is not a range of addresses; ranges are 0x8000..0x8fff, "
                        "0x8000+0x200 or 0xffff-0x100",
                        *word);
    }
    log_range_count = count;
    return true;
}

bool log_in_range(uint64_t address)
{
    for (unsigned i = 0; i < log_range_count; i++) {
        if (address >= log_ranges[i].first && address <= log_ranges[i].last)
            return true;
    }
    return !log_range_count;
}

/* --- the file --- */

/* The path with the process id for its one "%d"; NULL if there is another '%'. */
static char *path_expand(const char *path)
{
    const char *percent = strchr(path, '%');

    if (!percent)
        return g_strdup(path);
    if (percent[1] != 'd' || strchr(percent + 1, '%'))
        return NULL;
    return g_strdup_printf("%.*s%d%s", (int)(percent - path), path, getpid(), percent + 2);
}

bool log_open(const char *path, GError **error)
{
    g_autofree char *expanded = path_expand(path);
    if (!expanded)
        return fail(error, "'%s': a log file's name may contain one %%d, for the process id", path);
    auto_close int fd = open(expanded, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail_errno(error, "cannot open log file '%s'", expanded);
    int old = atomic_load(&log_fd);
    if (old == STDERR_FILENO)
        atomic_store(&log_fd, take_fd(&fd));
    else if (dup3(fd, old, O_CLOEXEC) < 0)
        return fail_errno(error, "cannot replace the log file by '%s'", expanded);
    return true;
}
