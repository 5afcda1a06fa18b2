/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `-object TYPE,id=ID,…` makes: things that are no devices but that devices, back ends and the
 * machine refer to by id (iothreads, memory back ends, sources of randomness, …).
 *
 * A type is one constant struct, registered by OBJECT_TYPE() in a linker section; an object begins
 * with `struct object`. Main loop only. */
#ifndef YADO_UTIL_OBJECT_H
#define YADO_UTIL_OBJECT_H

#include "util/keyval.h"
#include "util/util.h"

struct object;

struct object_option { /* for help, and for hints */
    const char *name, *kind, *help;
};

struct object_type {
    const char *name, *description;
    size_t size;                         /* of the struct, allocated zeroed */
    const struct object_option *options; /* ends with {}; may be NULL */
    /* Takes its options (keyval_take_…()); the core complains about those that are left. If it
     * fails, destroy() follows. */
    bool (*create)(struct object *object, struct keyval *options, GError **error);
    void (*destroy)(struct object *object); /* may be NULL */
    const void *ops;                        /* what users of a family of types agree on */
    bool late; /* made after chardevs, to which it refers; others are made before */
};

struct object {
    const struct object_type *type; /* [const] */
    char *id;                       /* [const] */
    unsigned users;                 /* [main] while there are any, it cannot be deleted */
};

#define OBJECT_TYPE(symbol) \
    static const struct object_type symbol##_type \
        __attribute__((used, section("yado_object_types"), aligned(8)))

/* Whether this text asks for a type that is `late`. */
bool object_text_is_late(const char *text);

/* From "TYPE,id=ID,…" or {"qom-type": TYPE, "id": ID, …}. NULL and an error. */
struct object *object_new_text(const char *text, GError **error);
/* The same from options that were parsed: qom-type=, id=, and the type's. */
struct object *object_new(struct keyval *options, GError **error);

/* One made by the program itself, whose id users cannot type. */
struct object *object_new_internal(const char *type, const char *id, struct keyval *options,
                                   GError **error);

struct object *object_find(const char *id);
/* Fails too if it is of another type. A name that ends in '-' stands for the family of types that
 * begin with it. */
struct object *object_find_type(const char *id, const char *type, GError **error);

struct object *object_ref(struct object *object); /* one more user */
void object_unref(struct object *object);

/* Fails while somebody uses it. */
bool object_delete(const char *id, GError **error);
/* In reverse order of creation, whoever uses them: the end of the program. */
void objects_delete_all(void);
/* Oldest first. */
void object_visit(void (*visit)(struct object *object, void *opaque), void *opaque);

/* `-object help`, and `-object TYPE,help`; the latter is false with an error for unknown types. */
void object_print_help(void);
bool object_print_options(const char *type, GError **error);

#endif
