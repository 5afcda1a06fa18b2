/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/text.h"

#include <inttypes.h>

#include "tap.h"

int main(void)
{
    char buffer[64], small[6];
    struct text text = text_in(buffer, sizeof(buffer));

    text_add(&text, "%d|%5d|%-5d|%05d|%u", -7, -7, -7, -7, 4000000000u);
    tap_is(buffer, "-7|   -7|-7   |-0007|4000000000", "decimal numbers");
    text = text_in(buffer, sizeof(buffer));
    text_add(&text, "%x|%08x|%016" PRIx64 "|%X|%*x", 0xabu, 0xabu, (uint64_t)1 << 63, 0xabu, 4, 1u);
    tap_is(buffer, "ab|000000ab|8000000000000000|AB|   1", "hexadecimal numbers");
    text = text_in(buffer, sizeof(buffer));
    text_add(&text, "%s|%4s|%-4s|%c|%%|%zu|%" PRId64, "word", "ab", "ab", 'c', sizeof(int),
             INT64_MIN);
    tap_is(buffer, "word|  ab|ab  |c|%|4|-9223372036854775808", "words, characters, sizes");

    text = text_in(small, sizeof(small));
    text_add(&text, "%s", "longer than five");
    tap_is(small, "longe", "what does not fit is left out");
    text_add(&text, "more");
    tap_ok(text_length(&text) == 5 && !strcmp(small, "longe"), "and nothing more is taken");

    text = text_in(buffer, sizeof(buffer));
    text_add(&text, "one\nab");
    text_column(&text, 5);
    text_add(&text, "c");
    text_column(&text, 2);
    text_add(&text, "d");
    tap_is(buffer, "one\nab   c d", "columns");
    return tap_done();
}
