/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of devices: named, typed fields which -device, -global, -set and the monitor reach as
 * texts. A device type (and its bus) lists them once; parsing, bounds, help and `info qtree` follow
 * from the list.
 *
 *      static const struct property disk_properties[] = {
 *          PROPERTY_REFERENCE("drive", struct disk, node, &block_reference),
 *          PROPERTY_SIZE("logical_block_size", struct disk, sector, 512, .min = 512, .max = 4096),
 *          PROPERTY_ENUM("rerror", struct disk, rerror, error_names, ERROR_AUTO),
 *          {},
 *      };
 *
 * Main loop only; fields are constant once the device is realized. */
#ifndef YADO_HW_PROPERTY_H
#define YADO_HW_PROPERTY_H

#include "util/util.h"

struct device;
struct device_type;

enum property_kind {
    PROPERTY_KIND_BOOL,        /* bool */
    PROPERTY_KIND_U8,          /* uint8_t */
    PROPERTY_KIND_U16,         /* uint16_t */
    PROPERTY_KIND_U32,         /* uint32_t */
    PROPERTY_KIND_U64,         /* uint64_t */
    PROPERTY_KIND_I32,         /* int32_t */
    PROPERTY_KIND_SIZE,        /* uint64_t bytes; "64k" */
    PROPERTY_KIND_ENUM,        /* int: index into .names */
    PROPERTY_KIND_PCI_ADDRESS, /* int32_t: slot << 3 | function, -1: any; "5", "0x1e.1" */
    PROPERTY_KIND_MAC,         /* struct mac_address */
    PROPERTY_KIND_STRING,      /* char *, owned by the device */
    PROPERTY_KIND_STRINGS,     /* char **, NULL-terminated, owned; "name.0=a,name.1=b" */
    PROPERTY_KIND_REFERENCE,   /* pointer to what .reference finds by id */
};

struct mac_address {
    uint8_t bytes[6]; /* all zero: none was given */
};

/* Things outside the device which a property names by id: chardevs, block nodes, network back ends,
 * objects. The module that owns them defines one of these. */
struct reference_kind {
    const char *noun; /* "chardev", for messages and help */
    /* The thing named `id`, claimed for `dev` if it can have one user only; NULL and an error. */
    void *(*take)(struct device *dev, const char *id, GError **error);
    /* The device is going away. NULL: nothing to do. */
    void (*release)(struct device *dev, void *target);
    /* Its id, for listings. NULL or a NULL result: none. */
    const char *(*id)(const void *target);
};

struct property {
    const char *name;
    enum property_kind kind;
    size_t offset;
    uint64_t default_value; /* numbers, booleans, enums; negative ones cast */
    const char *help;
    uint64_t min, max;        /* numbers; max 0: whatever the field holds */
    const char *const *names; /* ENUM: NULL-terminated */
    const struct reference_kind *reference;
    /* More to be said about a value; called after it was stored. */
    bool (*check)(struct device *dev, const struct property *property, GError **error);
};

#define PROPERTY_(word, structure, field, kind_, default_, ...) \
    { \
        .name = word, .kind = PROPERTY_KIND_##kind_, .offset = offsetof(structure, field), \
        .default_value = (uint64_t)(default_), ##__VA_ARGS__ \
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
#define PROPERTY_I32(word, structure, field, ...) \
    PROPERTY_(word, structure, field, I32, __VA_ARGS__)
#define PROPERTY_SIZE(word, structure, field, ...) \
    PROPERTY_(word, structure, field, SIZE, __VA_ARGS__)
/* `list` is a NULL-terminated array of the values' names. */
#define PROPERTY_ENUM(word, structure, field, list, ...) \
    PROPERTY_(word, structure, field, ENUM, __VA_ARGS__, .names = list)
#define PROPERTY_ON_OFF_AUTO(word, structure, field, ...) \
    PROPERTY_ENUM(word, structure, field, on_off_auto_names, __VA_ARGS__)
#define PROPERTY_PCI_ADDRESS(word, structure, field, ...) \
    PROPERTY_(word, structure, field, PCI_ADDRESS, -1, ##__VA_ARGS__)
#define PROPERTY_MAC(word, structure, field, ...) \
    PROPERTY_(word, structure, field, MAC, 0, ##__VA_ARGS__)
#define PROPERTY_STRING(word, structure, field, ...) \
    PROPERTY_(word, structure, field, STRING, 0, ##__VA_ARGS__)
#define PROPERTY_STRINGS(word, structure, field, ...) \
    PROPERTY_(word, structure, field, STRINGS, 0, ##__VA_ARGS__)
#define PROPERTY_REFERENCE(word, structure, field, kind_, ...) \
    PROPERTY_(word, structure, field, REFERENCE, 0, .reference = kind_, ##__VA_ARGS__)
#define PROPERTY_CHARDEV(word, structure, field, ...) \
    PROPERTY_REFERENCE(word, structure, field, &chardev_reference, ##__VA_ARGS__)

enum on_off_auto { ON_OFF_AUTO_AUTO, ON_OFF_AUTO_ON, ON_OFF_AUTO_OFF };
extern const char *const on_off_auto_names[];
extern const struct reference_kind chardev_reference;

static inline bool on_off_auto_is(int value, bool automatic)
{
    return value == ON_OFF_AUTO_AUTO ? automatic : value == ON_OFF_AUTO_ON;
}

/* The property of this name among the type's and its bus's, or NULL. */
const struct property *property_find(const struct device_type *type, const char *name);

/* Sets the default of every property. */
void properties_default(struct device *dev);
/* Frees and releases what the properties hold. */
void properties_clear(struct device *dev);

/* Parses and stores; the error is a whole sentence with device and property. */
bool property_set(struct device *dev, const struct property *property, const char *value,
                  GError **error);

/* The value as `info qtree` prints it: 42 (0x2a), "text", true, 05.0. Free with g_free(). */
char *property_text(const struct device *dev, const struct property *property);

/* "uint32", "bool", "OnOffAuto": how -device X,help calls the kind. */
const char *property_kind_name(const struct property *property);

#endif
