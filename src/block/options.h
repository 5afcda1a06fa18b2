/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of nodes as one tree, however they were written: "driver=qcow2,file.filename=x" and
 * {"driver": "qcow2", "file": {"filename": "x"}} are the same. Values from texts are strings,
 * values from JSON have types; readers accept both.
 *
 * Taking an option removes it from the tree, so that what is left at the end is what nobody knows.
 * Any thread; a tree belongs to one. */
#ifndef YADO_BLOCK_OPTIONS_H
#define YADO_BLOCK_OPTIONS_H

#include <jansson.h>

#include "util/util.h"

static inline void options_unref(json_t **options)
{
    json_decref(*options);
}
#define auto_json __attribute__((cleanup(options_unref))) json_t

/* Both return a new reference, or NULL and an error. */
json_t *options_from_text(const char *text, const char *implied, GError **error);
json_t *options_from_json(const char *text, GError **error);

/* A tree of a flat one, in which "file.filename" are two levels; members that are objects already
 * may have more such names inside. New reference. */
json_t *options_nest(json_t *flat, GError **error);

/* A deep copy; an empty object for NULL. */
json_t *options_copy(json_t *options);

/* Adds what `more` (may be NULL) has to `options`; where both have it, `more` wins. */
void options_merge(json_t *options, json_t *more);

bool options_has(json_t *options, const char *name);
void options_set(json_t *options, const char *name, const char *value);

/* NULL if it is not there (or is no scalar); g_free(). Numbers and booleans are given as text. */
char *options_take_string(json_t *options, const char *name);
char *options_peek_string(json_t *options, const char *name);

/* `*value` stays as it is where the option is absent; malformed values fail. */
bool options_take_bool(json_t *options, const char *name, bool *value, GError **error);
bool options_take_number(json_t *options, const char *name, uint64_t max, uint64_t *value,
                         GError **error);
bool options_take_size(json_t *options, const char *name, uint64_t *value, GError **error);
/* One of the NULL-terminated `words`; `*value` is its place. */
bool options_take_enum(json_t *options, const char *name, const char *const *words, int *value,
                       GError **error);

/* The object `name`, moved out of the tree (new reference), or NULL. */
json_t *options_take_object(json_t *options, const char *name);

/* The names of an object's members in the order in which QEMU prints them, NULL-terminated;
 * g_free() the array. */
const char **options_order(json_t *object);
/* JSON in one line, in that order; g_free(). */
char *options_dump(json_t *options);

/* The dotted name of some option left in the tree, or NULL if none is; g_free(). */
char *options_leftover(json_t *options);

#endif
