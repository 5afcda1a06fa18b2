/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option texts and the numbers in them; a row is a thing somebody types. */
#include "util/keyval.h"

#include "tap.h"

static const struct split_case {
    const char *text, *implied;
    const char *expected; /* "name=value|…", or NULL: refused */
} split_cases[] = {
    { "pc,accel=kvm", "type", "type=pc|accel=kvm" },
    { "type=pc", "type", "type=pc" },
    { "a=1,b,c=", NULL, "a=1|b=on|c=" },
    { "path=/a,,b,x=1", NULL, "path=/a,b|x=1" },
    { "path=a,,", NULL, "path=a," },
    { "a=b=c", NULL, "a=b=c" },
    { "a=1,pc", "type", "a=1|pc=on" }, /* implied is for the first only */
    { "", NULL, "" },
    { "", "type", NULL },
    { "=x", NULL, NULL },
    { "a=1,", NULL, NULL },
    { ",", NULL, NULL },
    { ",a=1", "type", NULL },
    { "a=1,=2", NULL, NULL },
};

static void test_split(const struct split_case *row)
{
    g_autoptr(GError) error = NULL;
    auto_keyval *keyval = keyval_parse(row->text, row->implied, &error);
    g_autoptr(GString) got = g_string_new(NULL);

    for (size_t i = 0; keyval && i < keyval->count; i++)
        g_string_append_printf(got, "%s%s=%s", i ? "|" : "", keyval->items[i].name,
                               keyval->items[i].value);
    g_autofree char *name =
        g_strdup_printf("'%s' with %s", row->text, row->implied ? row->implied : "nothing implied");
    tap_is(keyval ? got->str : NULL, row->expected, name);
}

static const struct size_case {
    const char *text;
    uint64_t unit;
    bool valid;
    uint64_t bytes;
} size_cases[] = {
    { "512", 1 << 20, true, 512ull << 20 },
    { "512", 1, true, 512 },
    { "2G", 1 << 20, true, 2ull << 30 },
    { "2g", 1 << 20, true, 2ull << 30 },
    { "1.5G", 1, true, 3ull << 29 },
    { "0.5k", 1, true, 512 },
    { "4096b", 1 << 20, true, 4096 },
    { "1048576k", 1, true, 1ull << 30 },
    { "15E", 1, true, 15ull << 60 },
    { "0", 1 << 20, true, 0 },
    { "16E", 1, false, 0 }, /* would wrap to 0 */
    { "99999999999999999999", 1, false, 0 },
    { "99999999999999", 1 << 20, false, 0 },
    { "-1", 1, false, 0 }, /* strtoull() would take it */
    { " 1", 1, false, 0 },
    { "+1", 1, false, 0 },
    { "1Q", 1, false, 0 },
    { "1GG", 1, false, 0 },
    { "1.G", 1, false, 0 },
    { ".5G", 1, false, 0 },
    { "G", 1, false, 0 },
    { "", 1, false, 0 },
    { "lots", 1, false, 0 },
};

static void test_size(const struct size_case *row)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes = 0;
    bool valid = parse_size("size", row->text, row->unit, &bytes, &error);

    tap_ok(valid == row->valid && (!valid || bytes == row->bytes) && valid == !error, "size '%s'",
           row->text);
}

static const struct number_case {
    const char *text;
    uint64_t max;
    bool valid;
    uint64_t value;
} number_cases[] = {
    { "0", 10, true, 0 },
    { "10", 10, true, 10 },
    { "010", 10, true, 10 },
    { "0x1f", 255, true, 31 },
    { "11", 10, false, 0 },
    { "-1", UINT64_MAX, false, 0 },
    { "", 10, false, 0 },
    { "0x", 10, false, 0 },
    { "5 ", 10, false, 0 },
    { "5x", 10, false, 0 },
    { "0x-1", 10, false, 0 },
    { "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
    { "18446744073709551616", UINT64_MAX, false, 0 },
};

static void test_number(const struct number_case *row)
{
    g_autoptr(GError) error = NULL;
    uint64_t value = 0;
    bool valid = parse_unsigned("number", row->text, row->max, &value, &error);

    tap_ok(valid == row->valid && (!valid || value == row->value) && valid == !error, "number '%s'",
           row->text);
}

static void test_take(void)
{
    static const char *const names[] = { "size", "slots", NULL };
    g_autoptr(GError) error = NULL;
    auto_keyval *keyval = keyval_parse("size=1,sots=2,size=3", NULL, NULL);
    bool flag = true;

    tap_is(keyval_take(keyval, "size"), "3", "the last of a name counts");
    tap_ok(keyval_take_bool(keyval, "absent", &flag, NULL) && flag, "what is not given stays");
    tap_ok(!keyval_finish(keyval, names, &error) && strstr(error->message, "'sots'")
               && strstr(error->message, "'slots'"),
           "what nobody takes is named, with the nearest name");
    keyval_take(keyval, "sots");
    tap_ok(keyval_finish(keyval, names, NULL), "all taken");
}

static void test_bool(void)
{
    static const char *const good[] = { "on", "yes", "true", "y" }, *const bad[] = { "", "1",
                                                                                     "On!" };
    bool value;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
        tap_ok(parse_bool("b", good[i], &value, NULL) && value, "'%s' is on", good[i]);
    tap_ok(parse_bool("b", "off", &value, NULL) && !value, "'off' is off");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        tap_ok(!parse_bool("b", bad[i], &value, NULL), "'%s' is neither", bad[i]);
}

int main(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(split_cases); i++)
        test_split(&split_cases[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(size_cases); i++)
        test_size(&size_cases[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(number_cases); i++)
        test_number(&number_cases[i]);
    test_take();
    test_bool();
    return tap_done();
}
