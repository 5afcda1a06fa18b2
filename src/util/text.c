/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/text.h"

#include <stdarg.h>
#include <string.h>

static void add_char(struct text *text, char c)
{
    if (text->at < text->end)
        *text->at++ = c;
    *text->at = '\0';
}

struct conversion {
    bool zero, left;
    int width;
    unsigned longs; /* l: 1, ll and z: 2 */
};

static void add_padded(struct text *text, const char *word, size_t length,
                       const struct conversion *how)
{
    int padding = how->width - (int)length;

    while (!how->left && padding-- > 0)
        add_char(text, how->zero ? '0' : ' ');
    while (length--)
        add_char(text, *word++);
    while (how->left && padding-- > 0)
        add_char(text, ' ');
}

static void add_number(struct text *text, uint64_t value, unsigned base, const char *digits,
                       bool negative, struct conversion *how)
{
    char buffer[24], *at = buffer + sizeof(buffer);

    do
        *--at = digits[value % base];
    while (value /= base);
    if (negative && how->zero) {
        add_char(text, '-');
        how->width--;
    } else if (negative) {
        *--at = '-';
    }
    add_padded(text, at, buffer + sizeof(buffer) - at, how);
}

static const char *parse_conversion(const char *format, struct conversion *how, va_list *args)
{
    for (; *format == '0' || *format == '-'; format++) {
        how->zero |= *format == '0';
        how->left |= *format == '-';
    }
    if (*format == '*') {
        how->width = va_arg(*args, int);
        format++;
    }
    for (; *format >= '0' && *format <= '9'; format++)
        how->width = how->width * 10 + (*format - '0');
    for (; *format && strchr("hlz", *format); format++)
        how->longs += *format == 'l' ? 1 : *format == 'z' ? 2 : 0;
    return format;
}

void text_add(struct text *text, const char *format, ...)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
    va_list args;

    va_start(args, format);
    for (; *format; format++) {
        struct conversion how = { 0 };
        if (*format != '%') {
            add_char(text, *format);
            continue;
        }
        format = parse_conversion(format + 1, &how, &args);
        switch (*format) {
        case 'd': {
            int64_t value = how.longs ? va_arg(args, long) : va_arg(args, int);
            add_number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, lower, value < 0,
                       &how);
            break;
        }
        case 'u':
        case 'x':
        case 'X': {
            uint64_t value = how.longs ? va_arg(args, unsigned long) : va_arg(args, unsigned);
            add_number(text, value, *format == 'u' ? 10 : 16, *format == 'X' ? upper : lower, false,
                       &how);
            break;
        }
        case 'p':
            add_char(text, '0');
            add_char(text, 'x');
            add_number(text, (uintptr_t)va_arg(args, void *), 16, lower, false, &how);
            break;
        case 'c': {
            char c = va_arg(args, int);
            add_padded(text, &c, 1, &how);
            break;
        }
        case 's': {
            const char *word = va_arg(args, const char *);
            word = word ? word : "(null)";
            add_padded(text, word, strlen(word), &how);
            break;
        }
        default:
            add_char(text, *format);
        }
    }
    va_end(args);
}

void text_column(struct text *text, unsigned column)
{
    const char *line = text->at;

    while (line > text->start && line[-1] != '\n')
        line--;
    do
        add_char(text, ' ');
    while (text->at < text->end && text->at - line < (ptrdiff_t)column);
}
