/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device model: a type is a constant struct in a linker section; a device is an instance of it
 * whose first member is `struct device`.
 *
 * Life: device_new() allocates and applies property defaults; device_set() parses properties;
 * device_realize() calls the type's realize, which maps regions and connects interrupts;
 * device_reset() puts it into its power-on state. Main loop only, except region callbacks. */
#ifndef YADO_HW_DEVICE_H
#define YADO_HW_DEVICE_H

#include <pthread.h>

#include "util/util.h"

struct vm;
struct chardev;
struct device;

enum device_bus {
    BUS_ISA,
    BUS_SYSTEM, /* part of the board; not for -device */
};

/* An interrupt wire. `set` may be called from any thread; the receiver takes its own lock. A wire
 * with set == NULL is not connected. */
struct irq_line {
    void (*set)(void *opaque, unsigned pin, bool level);
    void *opaque;
    unsigned pin;
};

static inline void irq_set(const struct irq_line *line, bool level)
{
    if (line->set)
        line->set(line->opaque, line->pin, level);
}

enum property_kind {
    PROPERTY_KIND_BOOL,    /* bool */
    PROPERTY_KIND_U8,      /* uint8_t */
    PROPERTY_KIND_U16,     /* uint16_t */
    PROPERTY_KIND_U32,     /* uint32_t */
    PROPERTY_KIND_U64,     /* uint64_t */
    PROPERTY_KIND_STRING,  /* char *, owned by the device */
    PROPERTY_KIND_CHARDEV, /* struct chardev *, borrowed; given by id */
};

struct property {
    const char *name;
    enum property_kind kind;
    size_t offset;
    uint64_t default_value; /* integers and booleans */
    const char *help;
};

#define PROPERTY_(word, structure, field, kind_, default_, ...) \
    { \
        .name = word, .kind = PROPERTY_KIND_##kind_, .offset = offsetof(structure, field), \
        .default_value = default_, ##__VA_ARGS__ \
    }
#define PROPERTY_BOOL(word, structure, field, ...) \
    PROPERTY_(word, structure, field, BOOL, __VA_ARGS__)
#define PROPERTY_U8(word, structure, field, ...) PROPERTY_(word, structure, field, U8, __VA_ARGS__)
#define PROPERTY_U16(word, structure, field, ...) \
    PROPERTY_(word, structure, field, U16, __VA_ARGS__)
#define PROPERTY_U32(word, structure, field, ...) \
    PROPERTY_(word, structure, field, U32, __VA_ARGS__)
#define PROPERTY_U64(word, structure, field, ...) \
    PROPERTY_(word, structure, field, U64, __VA_ARGS__)
#define PROPERTY_STRING(word, structure, field) PROPERTY_(word, structure, field, STRING, 0)
#define PROPERTY_CHARDEV(word, structure, field) PROPERTY_(word, structure, field, CHARDEV, 0)

/* One field of a device's saved state; listed once, used by snapshots and migration. */
enum state_kind {
    STATE_KIND_BOOL,
    STATE_KIND_U8,
    STATE_KIND_U16,
    STATE_KIND_U32,
    STATE_KIND_U64,
    STATE_KIND_BYTES
};
struct state_field {
    const char *name;
    enum state_kind kind;
    size_t offset, size; /* size: bytes in all (arrays included) */
    uint16_t since;
};
#define STATE(kind_, structure, field, ...) \
    { \
        .name = #field, .kind = STATE_KIND_##kind_, .offset = offsetof(structure, field), \
        .size = sizeof(((structure *)0)->field), ##__VA_ARGS__ \
    }

struct device_type {
    const char *name, *description;
    enum device_bus bus;
    size_t size;
    const struct property *properties;
    const struct state_field *state;
    bool (*realize)(struct device *dev, GError **error);
    void (*reset)(struct device *dev);
    void (*unrealize)(struct device *dev);
};

struct device {
    const struct device_type *type; /* [const] */
    char *id;                       /* [const] may be NULL */
    struct vm *vm;                  /* [const] */
    bool realized;                  /* [main] */
    pthread_mutex_t lock;           /* taken by the core around region callbacks and reset */
};

/* Registers a type: `DEVICE_TYPE(debugcon) = { .name = "isa-debugcon", … };` */
#define DEVICE_TYPE(symbol) \
    static const struct device_type symbol##_type \
        __attribute__((used, section("yado_device_types"), aligned(8)))

const struct device_type *device_type_find(const char *name);
void device_type_visit(void (*visit)(const struct device_type *type, void *opaque), void *opaque);

/* NULL and an error naming the nearest type if `type_name` is unknown. */
struct device *device_new(struct vm *vm, const char *type_name, const char *id, GError **error);
bool device_set(struct device *dev, const char *property, const char *value, GError **error);
/* Adds the device to vm->devices when realize succeeded. */
bool device_realize(struct device *dev, GError **error);
void device_reset(struct device *dev);
void device_free(struct device *dev);

#endif
