/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Node options: texts and JSON become the same trees. */
#include "block/options.h"

#include "tap.h"

static const struct text_case {
    const char *text, *expected; /* compact JSON with sorted keys, or NULL: refused */
} text_cases[] = {
    { "driver=raw,file.filename=a", "{\"driver\":\"raw\",\"file\":{\"filename\":\"a\"}}" },
    { "file.driver=nbd,file.server.host=h",
      "{\"file\":{\"driver\":\"nbd\",\"server\":{\"host\":\"h\"}}}" },
    { "a=1,a.b=2", NULL },
    { "a.b=2,a=1", NULL },
    { "a..b=2", NULL },
    { "raw", "{\"driver\":\"raw\"}" },
};

static const struct text_case json_cases[] = {
    { "{\"file.filename\":\"a\",\"x\":1}", "{\"file\":{\"filename\":\"a\"},\"x\":1}" },
    { "{\"file\":{\"server.host\":\"a\"},\"file.x\":1}",
      "{\"file\":{\"server\":{\"host\":\"a\"},\"x\":1}}" },
    { "{\"file\":null}", "{\"file\":null}" },
    { "[]", NULL },
    { "{", NULL },
    { "{\"a\":1,\"a\":2}", NULL },
};

static void check(json_t *tree, const struct text_case *row, GError *error)
{
    char *got = tree ? json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    tap_is(got, row->expected, row->text);
    tap_ok(!tree == !!error, "%s: an error or a tree", row->text);
    free(got);
}

int main(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(text_cases); i++) {
        g_autoptr(GError) error = NULL;
        auto_json *tree = options_from_text(text_cases[i].text, "driver", &error);
        check(tree, &text_cases[i], error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(json_cases); i++) {
        g_autoptr(GError) error = NULL;
        auto_json *tree = options_from_json(json_cases[i].text, &error);
        check(tree, &json_cases[i], error);
    }

    g_autoptr(GError) error = NULL;
    auto_json *tree =
        options_from_json("{\"a\":true,\"b\":\"on\",\"c\":\"4k\",\"d\":{\"e\":1}}", &error);
    bool a = false, b = false;
    uint64_t c = 0;
    tap_ok(options_take_bool(tree, "a", &a, &error) && a, "a JSON boolean");
    tap_ok(options_take_bool(tree, "b", &b, &error) && b, "a boolean as text");
    tap_ok(options_take_size(tree, "c", &c, &error) && c == 4096, "a size with a suffix");
    tap_ok(!options_take_size(tree, "d", &c, &error) && error, "an object is no size");
    g_autofree char *rest = options_leftover(tree);
    tap_is(rest, "d.e", "what nobody took is named in full");
    return tap_done();
}
