/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "monitor/readline.h"

#include <string.h>

#define LINE_BYTES 4095u
#define HISTORY_LINES 64u
#define LIST_COLUMNS 79u

#define CTRL(letter) ((letter)&0x1f)
#define ESCAPE 0x1b
#define DELETE 0x7f

/* Inside a terminal's key sequence: ESC [ number ~, ESC [ letter, ESC O letter. */
enum escape_state { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_BRACKET, ESCAPE_LETTER };

struct readline {
    const char *prompt;
    const struct readline_ops *ops;
    void *opaque;
    GString *line;
    size_t cursor;
    GPtrArray *history; /* char *, and a NULL at the end */
    guint recalled;     /* the entry that is shown; history->len - 1: none */
    char *typed;        /* what was there before the first was recalled */
    enum escape_state escape;
    unsigned escape_number;
};

struct readline *readline_new(const char *prompt, const struct readline_ops *ops, void *opaque)
{
    struct readline *readline = g_new0(struct readline, 1);
    readline->prompt = prompt;
    readline->ops = ops;
    readline->opaque = opaque;
    readline->line = g_string_new(NULL);
    readline->history = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(readline->history, NULL);
    return readline;
}

void readline_free(struct readline *readline)
{
    if (!readline)
        return;
    g_string_free(readline->line, TRUE);
    g_ptr_array_unref(readline->history);
    g_free(readline->typed);
    g_free(readline);
}

const char *const *readline_history(const struct readline *readline)
{
    return (const char *const *)readline->history->pdata;
}

/* --- the terminal --------------------------------------------------------------------------- */

static void put(struct readline *readline, const char *text, size_t length)
{
    if (length)
        readline->ops->write(readline->opaque, text, length);
}

static void put_repeated(struct readline *readline, char c, size_t count)
{
    g_autofree char *text = g_strnfill(count, c);
    put(readline, text, count);
}

void readline_show(struct readline *readline)
{
    put(readline, readline->prompt, strlen(readline->prompt));
    put(readline, readline->line->str, readline->line->len);
    put_repeated(readline, '\b', readline->line->len - readline->cursor);
}

/* The terminal's cursor is where ours is; what follows has changed and was `old_length` long. */
static void put_tail(struct readline *readline, size_t old_length)
{
    const GString *line = readline->line;
    size_t tail = line->len - readline->cursor;
    size_t blanks = old_length > tail ? old_length - tail : 0;

    put(readline, line->str + readline->cursor, tail);
    put_repeated(readline, ' ', blanks);
    put_repeated(readline, '\b', tail + blanks);
}

/* --- editing -------------------------------------------------------------------------------- */

static void move_to(struct readline *readline, size_t cursor)
{
    if (cursor < readline->cursor)
        put_repeated(readline, '\b', readline->cursor - cursor);
    else
        put(readline, readline->line->str + readline->cursor, cursor - readline->cursor);
    readline->cursor = cursor;
}

static void insert(struct readline *readline, const char *text, size_t length)
{
    size_t tail = readline->line->len - readline->cursor;

    if (readline->line->len + length > LINE_BYTES)
        return;
    g_string_insert_len(readline->line, readline->cursor, text, length);
    put(readline, text, length);
    readline->cursor += length;
    if (tail)
        put_tail(readline, tail);
}

/* Deletes [start, end). */
static void erase(struct readline *readline, size_t start, size_t end)
{
    move_to(readline, start);
    size_t tail = readline->line->len - start;
    g_string_erase(readline->line, start, end - start);
    if (tail)
        put_tail(readline, tail);
}

static void erase_word(struct readline *readline)
{
    size_t start = readline->cursor;

    while (start && readline->line->str[start - 1] == ' ')
        start--;
    while (start && readline->line->str[start - 1] != ' ')
        start--;
    erase(readline, start, readline->cursor);
}

static void replace(struct readline *readline, const char *text)
{
    erase(readline, 0, readline->line->len);
    insert(readline, text, strlen(text));
}

/* --- history -------------------------------------------------------------------------------- */

static void history_add(struct readline *readline, const char *line)
{
    GPtrArray *history = readline->history;

    for (guint i = 0; i + 1 < history->len; i++) {
        if (!strcmp(history->pdata[i], line)) {
            g_ptr_array_remove_index(history, i);
            break;
        }
    }
    if (history->len > HISTORY_LINES)
        g_ptr_array_remove_index(history, 0);
    g_ptr_array_insert(history, history->len - 1, g_strdup(line));
}

static void history_move(struct readline *readline, int by)
{
    guint newest = readline->history->len - 1, target = readline->recalled + by;

    if (target > newest) /* before the first, or after what was typed */
        return;
    if (readline->recalled == newest) {
        g_free(readline->typed);
        readline->typed = g_strdup(readline->line->str);
    }
    readline->recalled = target;
    replace(readline, target == newest ? readline->typed : readline->history->pdata[target]);
}

static void finish(struct readline *readline)
{
    g_autofree char *line = g_strdup(readline->line->str);

    put(readline, "\r\n", 2);
    g_string_truncate(readline->line, 0);
    readline->cursor = 0;
    if (line[strspn(line, " \t")]) {
        history_add(readline, line);
        readline->recalled = readline->history->len - 1;
        readline->ops->run(readline->opaque, line);
    }
    readline->recalled = readline->history->len - 1;
    readline_show(readline);
}

/* --- completion ----------------------------------------------------------------------------- */

static size_t common_length(char **words)
{
    size_t length = strlen(words[0]);

    for (char **word = words + 1; *word; word++) {
        size_t same = 0;
        while (same < length && words[0][same] == (*word)[same])
            same++;
        length = same;
    }
    return length;
}

static void list_words(struct readline *readline, char **words)
{
    g_autoptr(GString) text = g_string_new("\r\n");
    size_t widest = 0, column = 0;

    for (char **word = words; *word; word++)
        widest = MAX(widest, strlen(*word));
    for (char **word = words; *word; word++) {
        if (column && column + widest + 1 > LIST_COLUMNS) {
            g_string_append(text, "\r\n");
            column = 0;
        }
        g_string_append_printf(text, "%-*s ", (int)widest, *word);
        column += widest + 1;
    }
    g_string_append(text, "\r\n");
    put(readline, text->str, text->len);
    readline_show(readline);
}

static void complete(struct readline *readline)
{
    g_autofree char *start = g_strndup(readline->line->str, readline->cursor);
    const char *space = strrchr(start, ' '), *last = space ? space + 1 : start;
    g_auto(GStrv) words =
        readline->ops->complete ? readline->ops->complete(readline->opaque, start) : NULL;

    if (!words || !words[0])
        return;
    size_t typed = strlen(last), common = common_length(words);
    if (common > typed)
        insert(readline, words[0] + typed, common - typed);
    if (!words[1])
        insert(readline, " ", 1);
    else if (common <= typed)
        list_words(readline, words);
}

/* --- keys ----------------------------------------------------------------------------------- */

static void plain_key(struct readline *readline, uint8_t key)
{
    size_t cursor = readline->cursor, length = readline->line->len;

    switch (key) {
    case CTRL('A'):
        move_to(readline, 0);
        break;
    case CTRL('B'):
        move_to(readline, cursor ? cursor - 1 : 0);
        break;
    case CTRL('C'):
    case CTRL('U'):
        erase(readline, 0, length);
        break;
    case CTRL('D'):
        if (cursor < length)
            erase(readline, cursor, cursor + 1);
        break;
    case CTRL('E'):
        move_to(readline, length);
        break;
    case CTRL('F'):
        move_to(readline, MIN(cursor + 1, length));
        break;
    case CTRL('H'):
    case DELETE:
        if (cursor)
            erase(readline, cursor - 1, cursor);
        break;
    case '\t':
        complete(readline);
        break;
    case '\n':
    case '\r':
        finish(readline);
        break;
    case CTRL('K'):
        erase(readline, cursor, length);
        break;
    case CTRL('N'):
        history_move(readline, 1);
        break;
    case CTRL('P'):
        history_move(readline, -1);
        break;
    case CTRL('W'):
        erase_word(readline);
        break;
    case ESCAPE:
        readline->escape = ESCAPE_BEGUN;
        break;
    default:
        if (key >= ' ')
            insert(readline, (const char *)&key, 1);
    }
}

/* What the sequence's last byte means, as the control key that does the same; 0: nothing. */
static uint8_t sequence_key(const struct readline *readline, uint8_t last)
{
    static const struct {
        uint8_t last, number, key;
    } known[] = {
        { 'A', 0, CTRL('P') }, { 'B', 0, CTRL('N') }, { 'C', 0, CTRL('F') }, { 'D', 0, CTRL('B') },
        { 'H', 0, CTRL('A') }, { 'F', 0, CTRL('E') }, { '~', 1, CTRL('A') }, { '~', 3, CTRL('D') },
        { '~', 4, CTRL('E') }, { '~', 7, CTRL('A') }, { '~', 8, CTRL('E') },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (known[i].last == last && (last != '~' || known[i].number == readline->escape_number))
            return known[i].key;
    }
    return 0;
}

static void escape_key(struct readline *readline, uint8_t key)
{
    if (readline->escape == ESCAPE_BEGUN && (key == '[' || key == 'O')) {
        readline->escape = key == '[' ? ESCAPE_BRACKET : ESCAPE_LETTER;
        readline->escape_number = 0;
        return;
    }
    if (readline->escape == ESCAPE_BRACKET && g_ascii_isdigit(key)) {
        readline->escape_number = (readline->escape_number * 10 + (key - '0')) % 1000;
        return;
    }
    if (readline->escape == ESCAPE_BRACKET && key == ';') /* a modifier follows; the key counts */
        return;
    uint8_t same = readline->escape == ESCAPE_BEGUN ? 0 : sequence_key(readline, key);
    readline->escape = ESCAPE_NONE;
    if (same)
        plain_key(readline, same);
}

void readline_key(struct readline *readline, uint8_t key)
{
    if (readline->escape)
        escape_key(readline, key);
    else
        plain_key(readline, key);
}
