/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/property.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chardev/chardev.h"
#include "hw/device.h"
#include "util/keyval.h"

const char *const on_off_auto_names[] = {
    [ON_OFF_AUTO_AUTO] = "auto",
    [ON_OFF_AUTO_ON] = "on",
    [ON_OFF_AUTO_OFF] = "off",
    NULL,
};

/* --- fields ---------------------------------------------------------------------------------- */

static void *property_field(const struct device *dev, const struct property *property)
{
    return (char *)dev + property->offset;
}

static void property_store(struct device *dev, const struct property *property, uint64_t value)
{
    void *field = property_field(dev, property);
    switch (property->kind) {
    case PROPERTY_KIND_BOOL:
        *(bool *)field = value;
        break;
    case PROPERTY_KIND_U8:
        *(uint8_t *)field = value;
        break;
    case PROPERTY_KIND_U16:
        *(uint16_t *)field = value;
        break;
    case PROPERTY_KIND_U32:
        *(uint32_t *)field = value;
        break;
    case PROPERTY_KIND_U64:
    case PROPERTY_KIND_SIZE:
        *(uint64_t *)field = value;
        break;
    case PROPERTY_KIND_I32:
    case PROPERTY_KIND_PCI_ADDRESS:
        *(int32_t *)field = value;
        break;
    case PROPERTY_KIND_ENUM:
        *(int *)field = value;
        break;
    case PROPERTY_KIND_MAC:
    case PROPERTY_KIND_STRING:
    case PROPERTY_KIND_STRINGS:
    case PROPERTY_KIND_REFERENCE:
        break; /* zero from the allocation */
    }
}

static uint64_t property_load(const struct device *dev, const struct property *property)
{
    const void *field = property_field(dev, property);
    switch (property->kind) {
    case PROPERTY_KIND_BOOL:
        return *(const bool *)field;
    case PROPERTY_KIND_U8:
        return *(const uint8_t *)field;
    case PROPERTY_KIND_U16:
        return *(const uint16_t *)field;
    case PROPERTY_KIND_U32:
        return *(const uint32_t *)field;
    case PROPERTY_KIND_U64:
    case PROPERTY_KIND_SIZE:
        return *(const uint64_t *)field;
    case PROPERTY_KIND_I32:
    case PROPERTY_KIND_PCI_ADDRESS:
        return *(const int32_t *)field;
    case PROPERTY_KIND_ENUM:
        return *(const int *)field;
    default:
        return 0;
    }
}

static const struct property *find_in(const struct property *list, const char *name)
{
    /* One item of a list of strings is "name.N". */
    size_t stem = strcspn(name, ".");
    for (const struct property *p = list; p && p->name; p++)
        if (!strcmp(p->name, name)
            || (p->kind == PROPERTY_KIND_STRINGS && name[stem] == '.' && strlen(p->name) == stem
                && !strncmp(p->name, name, stem)))
            return p;
    return NULL;
}

const struct property *property_find(const struct device_type *type, const char *name)
{
    const struct property *found = find_in(type->properties, name);
    return found ? found : find_in(type->bus->properties, name);
}

static void default_all(struct device *dev, const struct property *list)
{
    for (const struct property *p = list; p && p->name; p++)
        property_store(dev, p, p->default_value);
}

void properties_default(struct device *dev)
{
    default_all(dev, dev->type->bus->properties);
    default_all(dev, dev->type->properties);
}

static void property_clear(struct device *dev, const struct property *property)
{
    void *field = property_field(dev, property);
    if (property->kind == PROPERTY_KIND_STRING) {
        g_clear_pointer((char **)field, g_free);
    } else if (property->kind == PROPERTY_KIND_STRINGS) {
        g_clear_pointer((char ***)field, g_strfreev);
    } else if (property->kind == PROPERTY_KIND_REFERENCE) {
        void **target = field;
        if (*target && property->reference->release)
            property->reference->release(dev, *target);
        *target = NULL;
    }
}

static void clear_all(struct device *dev, const struct property *list)
{
    for (const struct property *p = list; p && p->name; p++)
        property_clear(dev, p);
}

void properties_clear(struct device *dev)
{
    clear_all(dev, dev->type->properties);
    clear_all(dev, dev->type->bus->properties);
}

/* --- from text ------------------------------------------------------------------------------- */

static uint64_t property_max(const struct property *property)
{
    if (property->max)
        return property->max;
    switch (property->kind) {
    case PROPERTY_KIND_U8:
        return UINT8_MAX;
    case PROPERTY_KIND_U16:
        return UINT16_MAX;
    case PROPERTY_KIND_U32:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

static bool set_number(struct device *dev, const struct property *property, const char *text,
                       GError **error)
{
    uint64_t value;
    bool good = property->kind == PROPERTY_KIND_SIZE
                    ? parse_size("it", text, 1, &value, error)
                    : parse_unsigned("it", text, property_max(property), &value, error);
    if (!good)
        return false;
    if (value < property->min || value > property_max(property))
        return fail(error, "it is %" PRIu64 " to %" PRIu64 ", and not '%s'", property->min,
                    property_max(property), text);
    property_store(dev, property, value);
    return true;
}

static bool set_signed(struct device *dev, const struct property *property, const char *text,
                       GError **error)
{
    bool negative = text[0] == '-';
    uint64_t value, max = negative ? -(int64_t)INT32_MIN : INT32_MAX;
    if (!parse_unsigned("it", text + negative, max, &value, error))
        return false;
    property_store(dev, property, negative ? -value : value);
    return true;
}

static bool set_enum(struct device *dev, const struct property *property, const char *text,
                     GError **error)
{
    for (int i = 0; property->names[i]; i++) {
        if (!strcmp(property->names[i], text)) {
            property_store(dev, property, i);
            return true;
        }
    }
    g_autofree char *all = g_strjoinv("/", (char **)property->names);
    return fail(error, "it is one of %s, and not '%s'", all, text);
}

/* "SLOT" or "SLOT.FUNCTION" in hexadecimal, with or without 0x, as QEMU takes them. */
static bool set_pci_address(struct device *dev, const struct property *property, const char *text,
                            GError **error)
{
    char *end = (char *)text;
    unsigned long slot = 32, function = 0;
    if (g_ascii_isxdigit(*text))
        slot = strtoul(text, &end, 16);
    if (*end == '.' && g_ascii_isxdigit(end[1]))
        function = strtoul(end + 1, &end, 16);
    if (*end || slot > 31 || function > 7)
        return fail(error,
                    "it is a slot, 0 to 1f, which may be followed by a function, 0 to 7, such as "
                    "'5' or '1e.1', and not '%s'",
                    text);
    property_store(dev, property, slot << 3 | function);
    return true;
}

static bool set_mac(struct device *dev, const struct property *property, const char *text,
                    GError **error)
{
    struct mac_address mac;
    bool good = strlen(text) == 17;
    for (unsigned i = 0; good && i < 6; i++) {
        int high = g_ascii_xdigit_value(text[3 * i]), low = g_ascii_xdigit_value(text[3 * i + 1]);
        good =
            high >= 0 && low >= 0 && (i == 5 || text[3 * i + 2] == ':' || text[3 * i + 2] == '-');
        mac.bytes[i] = high << 4 | low;
    }
    if (!good)
        return fail(error, "it is an address such as 52:54:00:12:34:56, and not '%s'", text);
    if (mac.bytes[0] & 1)
        return fail(error, "'%s' is a multicast address, which no network card can have", text);
    *(struct mac_address *)property_field(dev, property) = mac;
    return true;
}

static void strings_add(char ***field, const char *text)
{
    guint count = *field ? g_strv_length(*field) : 0;
    *field = g_renew(char *, *field, count + 2);
    (*field)[count] = g_strdup(text);
    (*field)[count + 1] = NULL;
}

static bool property_parse(struct device *dev, const struct property *property, const char *text,
                           GError **error)
{
    void *field = property_field(dev, property);
    switch (property->kind) {
    case PROPERTY_KIND_BOOL:
        return parse_bool("it", text, field, error);
    case PROPERTY_KIND_U8:
    case PROPERTY_KIND_U16:
    case PROPERTY_KIND_U32:
    case PROPERTY_KIND_U64:
    case PROPERTY_KIND_SIZE:
        return set_number(dev, property, text, error);
    case PROPERTY_KIND_I32:
        return set_signed(dev, property, text, error);
    case PROPERTY_KIND_ENUM:
        return set_enum(dev, property, text, error);
    case PROPERTY_KIND_PCI_ADDRESS:
        return set_pci_address(dev, property, text, error);
    case PROPERTY_KIND_MAC:
        return set_mac(dev, property, text, error);
    case PROPERTY_KIND_STRING:
        property_clear(dev, property);
        *(char **)field = g_strdup(text);
        return true;
    case PROPERTY_KIND_STRINGS:
        strings_add(field, text);
        return true;
    case PROPERTY_KIND_REFERENCE:
        property_clear(dev, property);
        *(void **)field = property->reference->take(dev, text, error);
        return *(void **)field;
    }
    return false;
}

bool property_set(struct device *dev, const struct property *property, const char *value,
                  GError **error)
{
    return (property_parse(dev, property, value, error)
            && (!property->check || property->check(dev, property, error)))
           || fail_prefix(error, "Property '%s.%s': ", dev->type->name, property->name);
}

/* --- to text --------------------------------------------------------------------------------- */

static char *reference_text(const struct device *dev, const struct property *property)
{
    const void *target = *(void *const *)property_field(dev, property);
    const char *id = target && property->reference->id ? property->reference->id(target) : NULL;
    return g_strdup_printf("\"%s\"", id ? id : "");
}

char *property_text(const struct device *dev, const struct property *property)
{
    const void *field = property_field(dev, property);
    uint64_t value = property_load(dev, property);
    switch (property->kind) {
    case PROPERTY_KIND_BOOL:
        return g_strdup(value ? "true" : "false");
    case PROPERTY_KIND_SIZE: {
        g_autofree char *size = g_format_size_full(value, G_FORMAT_SIZE_IEC_UNITS);
        return g_strdup_printf("%" PRIu64 " (%s)", value, size);
    }
    case PROPERTY_KIND_I32:
        return g_strdup_printf("%d (0x%" PRIx64 ")", (int32_t)value, (uint64_t)(int32_t)value);
    case PROPERTY_KIND_ENUM:
        return g_strdup_printf("\"%s\"", property->names[value]);
    case PROPERTY_KIND_PCI_ADDRESS:
        if ((int32_t)value < 0)
            return g_strdup("<unset>");
        return g_strdup_printf("%02x.%x", (unsigned)value >> 3, (unsigned)value & 7);
    case PROPERTY_KIND_MAC: {
        const uint8_t *b = ((const struct mac_address *)field)->bytes;
        return g_strdup_printf("\"%02x:%02x:%02x:%02x:%02x:%02x\"", b[0], b[1], b[2], b[3], b[4],
                               b[5]);
    }
    case PROPERTY_KIND_STRING:
        return g_strdup_printf("\"%s\"", *(char *const *)field ? *(char *const *)field : "");
    case PROPERTY_KIND_STRINGS: {
        char **strings = *(char **const *)field;
        return strings ? g_strjoinv(",", strings) : g_strdup("");
    }
    case PROPERTY_KIND_REFERENCE:
        return reference_text(dev, property);
    default:
        return g_strdup_printf("%" PRIu64 " (0x%" PRIx64 ")", value, value);
    }
}

const char *property_kind_name(const struct property *property)
{
    static const char *const names[] = {
        [PROPERTY_KIND_BOOL] = "bool",         [PROPERTY_KIND_U8] = "uint8",
        [PROPERTY_KIND_U16] = "uint16",        [PROPERTY_KIND_U32] = "uint32",
        [PROPERTY_KIND_U64] = "uint64",        [PROPERTY_KIND_I32] = "int32",
        [PROPERTY_KIND_SIZE] = "size",         [PROPERTY_KIND_ENUM] = "enum",
        [PROPERTY_KIND_PCI_ADDRESS] = "int32", [PROPERTY_KIND_MAC] = "str",
        [PROPERTY_KIND_STRING] = "str",        [PROPERTY_KIND_STRINGS] = "list",
        [PROPERTY_KIND_REFERENCE] = "str",
    };
    return property->names == on_off_auto_names ? "OnOffAuto" : names[property->kind];
}

/* --- references to chardevs ------------------------------------------------------------------ */

static void *chardev_take(struct device *dev, const char *id, GError **error)
{
    struct chardev *chardev = chardev_find(id);
    if (!chardev)
        fail(error, "no chardev has the id '%s'", id);
    return chardev;
}

const struct reference_kind chardev_reference = { .noun = "chardev", .take = chardev_take };
