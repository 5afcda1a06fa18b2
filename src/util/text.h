/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text written into a buffer of fixed size, for where nothing may be allocated and no lock taken: a
 * signal handler that reports a crash. What does not fit is left out; the text always ends in a
 * zero byte. Async-signal-safe. */
#ifndef YADO_UTIL_TEXT_H
#define YADO_UTIL_TEXT_H

#include "util/util.h"

struct text {
    char *start, *at, *end; /* `end`: the buffer's last byte, kept for the zero */
};

static inline struct text text_in(char *buffer, size_t bytes)
{
    *buffer = '\0';
    return (struct text){ buffer, buffer, buffer + bytes - 1 };
}

static inline size_t text_length(const struct text *text)
{
    return text->at - text->start;
}

/* As printf: %d %u %x %X %c %s %p %% with flags 0 and -, a width (also *), and h, l, ll, z. */
void text_add(struct text *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Spaces up to `column`, counted from the start of the line; at least one. */
void text_column(struct text *text, unsigned column);

#endif
