/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys typed, and what a terminal then shows in the prompt's line. */
#include "monitor/readline.h"

#include "tap.h"

static char screen[8192]; /* the line the cursor is in */
static size_t column;
static GString *entered;

static void terminal(void *opaque, const char *text, size_t length)
{
    for (; length--; text++) {
        if (*text == '\b') {
            column--;
        } else if (*text == '\n') {
            memset(screen, 0, sizeof(screen));
            column = 0;
        } else if (*text != '\r') {
            screen[column++] = *text;
        }
    }
}

static void run(void *opaque, const char *line)
{
    g_string_append_printf(entered, "<%s>", line);
}

static char **complete(void *opaque, const char *start)
{
    static const char *const words[] = { "info", "inform", "quit" };
    GPtrArray *found = g_ptr_array_new();
    const char *space = strrchr(start, ' '), *last = space ? space + 1 : start;

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_has_prefix(words[i], last))
            g_ptr_array_add(found, g_strdup(words[i]));
    g_ptr_array_add(found, NULL);
    return (char **)g_ptr_array_free(found, FALSE);
}

#define UP "\x1b[A"
#define DOWN "\x1b[B"
#define RIGHT "\x1b[C"
#define LEFT "\x1b[D"
#define HOME "\x1b[H"
#define END "\x1b[4~"
#define DEL "\x1b[3~"

static const struct {
    const char *keys, *shown, *entered, *name;
    size_t column;
} cases[] = {
    { "info", "> info", "", "plain text", 6 },
    { "info\r", "> ", "<info>", "a line", 2 },
    { "  \r\r", "> ", "", "empty lines run nothing", 2 },
    { "inof\b\b"
      "fo",
      "> info", "", "backspace", 6 },
    { "\b\x7f"
      "a",
      "> a", "", "backspace at the start", 3 },
    { "bc" LEFT LEFT LEFT "a", "> abc", "", "inserting at the start", 3 },
    { "ac" LEFT "b" END "d", "> abcd", "", "End", 6 },
    { "bcd" HOME "a" RIGHT "X", "> abXcd", "", "Home and right", 5 },
    { "\x01\x06\x02\x05"
      "a\x01"
      "b",
      "> ba", "", "Ctrl-A, F, B, E", 3 },
    { "abc" LEFT LEFT DEL, "> ac ", "", "Del", 3 },
    { "abc\x04", "> abc", "", "Ctrl-D at the end", 5 },
    { "abcd" LEFT LEFT "\x0b", "> ab  ", "", "Ctrl-K", 4 },
    { "abcd" LEFT "\x15x", "> x   ", "", "Ctrl-U", 3 },
    { "abc\x03"
      "d\r",
      "> ", "<d>", "Ctrl-C forgets the line", 2 },
    { "one two  \x17", "> one      ", "", "Ctrl-W", 6 },
    { "one two" LEFT "\x17\r", "> ", "<one o>", "Ctrl-W inside a word", 2 },
    { "one\rtwo\r" UP, "> two", "<one><two>", "up", 5 },
    { "one\rtwo\r" UP UP UP "!", "> one!", "<one><two>", "up to the oldest", 6 },
    { "one\rtwo\rnew" UP UP DOWN DOWN DOWN, "> new", "<one><two>", "down to what was typed", 5 },
    { "one\rtwo\rone\r" UP UP "\r", "> ", "<one><two><one><two>", "a line is kept once", 2 },
    { "one\r\x10\x0e", "> ", "<one>", "Ctrl-P and Ctrl-N", 2 },
    { "q\t", "> quit ", "", "Tab completes", 7 },
    { "in\t", "> info", "", "as far as is common", 6 },
    { "in\t\t", "> info", "", "and lists the rest", 6 },
    { "help in\tr\t\r", "> ", "<help inform >", "the last word", 2 },
    { "x\t", "> x", "", "nothing to complete", 3 },
    { "a\x1b[1;5C\x1b[99~\x1bOHb", "> ba", "", "modifiers and unknown keys", 3 },
    { "\x1bx\x02"
      "a\x1f",
      "> a", "", "other control keys", 3 },
};

int main(void)
{
    static const struct readline_ops ops = { terminal, run, complete };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct readline *readline = readline_new("> ", &ops, NULL);
        memset(screen, 0, sizeof(screen));
        column = 0;
        entered = g_string_new(NULL);
        readline_show(readline);
        for (const char *key = cases[i].keys; *key; key++)
            readline_key(readline, *key);
        g_autofree char *shown = g_strchomp(g_strdup(screen));
        g_autofree char *expected = g_strchomp(g_strdup(cases[i].shown));
        bool good = !strcmp(shown, expected) && column == cases[i].column
                    && !strcmp(entered->str, cases[i].entered);
        tap_ok(good, "%s", cases[i].name);
        if (!good)
            tap_note("'%s' column %zu, entered %s", screen, column, entered->str);
        g_string_free(entered, TRUE);
        readline_free(readline);
    }

    struct readline *readline = readline_new("", &ops, NULL);
    entered = g_string_new(NULL);
    for (unsigned i = 0; i < 10000; i++)
        readline_key(readline, 'a');
    readline_key(readline, '\r');
    tap_ok(entered->len < 5000, "a line has an end");
    for (unsigned i = 0; i < 100; i++) {
        readline_key(readline, '0' + i / 10);
        readline_key(readline, '0' + i % 10);
        readline_key(readline, '\r');
    }
    const char *const *history = readline_history(readline);
    tap_ok(g_strv_length((char **)history) == 64 && !strcmp(history[63], "99")
               && !strcmp(history[0], "36"),
           "the history keeps the last 64 lines");
    g_string_free(entered, TRUE);
    readline_free(readline);
    return tap_done();
}
