/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line edited at a prompt, with history and completion; the keys are those of QEMU's monitor:
 *
 *      Ctrl-A, Home       to the start         Ctrl-P, up      the line before in the history
 *      Ctrl-E, End        to the end           Ctrl-N, down    the line after
 *      Ctrl-B, left       a character back     Ctrl-U          deletes the line
 *      Ctrl-F, right      a character on       Ctrl-K          deletes what follows
 *      Ctrl-H, Backspace  deletes the one      Ctrl-W          deletes the word before
 *                         before               Tab             completes
 *      Ctrl-D, Del        deletes the one at   Ctrl-C          forgets the line
 *
 * It writes nothing but text, backspaces and newlines, so that any terminal will do, and what is
 * typed at the end of a line is simply echoed. Main loop only. */
#ifndef YADO_MONITOR_READLINE_H
#define YADO_MONITOR_READLINE_H

#include "util/util.h"

struct readline;

struct readline_ops {
    void (*write)(void *opaque, const char *text, size_t length);
    /* A line was entered; not an empty one's end, and without the newline. */
    void (*run)(void *opaque, const char *line);
    /* What the last word of `start` may become, NULL-terminated (g_strfreev). NULL: no completion.
     */
    char **(*complete)(void *opaque, const char *start);
};

struct readline *readline_new(const char *prompt, const struct readline_ops *ops, void *opaque);
void readline_free(struct readline *readline);

/* Shows the prompt, and what is typed already. */
void readline_show(struct readline *readline);
void readline_key(struct readline *readline, uint8_t key);

/* Entered lines, oldest first; NULL-terminated. Valid until the next key. */
const char *const *readline_history(const struct readline *readline);

#endif
