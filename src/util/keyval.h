/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option texts as QEMU writes them: "pc,accel=kvm,usb=off". Items are separated by commas; ",,"
 * stands for one comma inside a value; an item without "=" is a switch, `name` meaning name=on. The
 * first item without "=" may be the value of an implied name ("pc" is type=pc).
 *
 * A reader takes the names it knows; keyval_finish() then reports the first one nobody took. The
 * last of several items with one name counts. Any thread, no shared state. */
#ifndef YADO_UTIL_KEYVAL_H
#define YADO_UTIL_KEYVAL_H

#include "util/util.h"

struct keyval_item {
    char *name, *value;
    bool bare; /* was written without "=" */
    bool taken;
};

struct keyval {
    struct keyval_item *items;
    size_t count;
    char *text; /* as it was written, for messages */
};

/* `implied` may be NULL; if not, the text must not be empty. Fails on an empty name ("=x",
 * "a=1,"). */
struct keyval *keyval_parse(const char *text, const char *implied, GError **error);
/* An object in JSON instead: nested names are joined with dots, elements numbered from 0. */
struct keyval *keyval_parse_json(const char *text, GError **error);
/* JSON if the text begins with '{', else as keyval_parse(). */
struct keyval *keyval_parse_any(const char *text, const char *implied, GError **error);
void keyval_free(struct keyval *keyval);

static inline void keyval_cleanup(struct keyval **keyval)
{
    keyval_free(*keyval);
}
#define auto_keyval __attribute__((cleanup(keyval_cleanup))) struct keyval

/* The value of `name`, or NULL. Valid as long as the keyval. */
const char *keyval_take(struct keyval *keyval, const char *name);

/* The same without taking it. */
const char *keyval_get(const struct keyval *keyval, const char *name);

/* Adds an item at the end, where it counts more than others of its name. */
void keyval_add(struct keyval *keyval, const char *name, const char *value);

/* These leave `*value` alone where the name was not given, and fail where it is malformed. */
bool keyval_take_bool(struct keyval *keyval, const char *name, bool *value, GError **error);
bool keyval_take_unsigned(struct keyval *keyval, const char *name, uint64_t max, uint64_t *value,
                          GError **error);

/* Fails on the first item nobody took, naming the nearest of `names` (NULL-terminated). */
bool keyval_finish(const struct keyval *keyval, const char *const *names, GError **error);

/* "on", "yes", "true", "y" and their opposites. `name` is for the message. */
bool parse_bool(const char *name, const char *text, bool *value, GError **error);

/* A whole decimal or 0x number not above `max`; no sign, no space, nothing after it. */
bool parse_unsigned(const char *name, const char *text, uint64_t max, uint64_t *value,
                    GError **error);

/* Bytes: a number, which may have a decimal fraction, and one of b, k, M, G, T, P, E (powers of
 * 1024; either case). Without a suffix the number counts `unit` bytes. */
bool parse_size(const char *name, const char *text, uint64_t unit, uint64_t *bytes, GError **error);

#endif
