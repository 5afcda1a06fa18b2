/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The device model: a type is a constant struct in a linker section; a device is an instance of it
 * whose first member is `struct device`, plugged into a bus that another device offers.
 *
 *      main-system-bus ── pci-host ── pci.0 ──┬── PIIX3 ── isa.0 ── isa-debugcon
 *                                             └── pci-bridge (id=br) ── br ── nvme
 *
 * Life: device_new() allocates and applies defaults and -global; device_set() parses properties;
 * device_realize() finds the bus, lets it give the device its place (bus_class.plug), and calls the
 * type's realize, which maps regions and connects interrupts; device_reset() puts it into its
 * power-on state; device_free() undoes all of it, children first. Main loop only, except region
 * callbacks. */
#ifndef YADO_HW_DEVICE_H
#define YADO_HW_DEVICE_H

#include <pthread.h>

#include "hw/property.h"
#include "util/util.h"

struct vm;
struct chardev;
struct device;
struct keyval;
struct screen;

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

/* --- buses ----------------------------------------------------------------------------------- */

/* A kind of bus: one constant per kind, defined by the folder that implements it. */
struct bus_class {
    const char *name; /* as messages and help have it: "PCI" */
    const char *noun; /* of automatic bus names: "pci" gives pci.0, pci.1, … */
    /* What every device on such a bus has beside its own: addr=, unit=, … Their offsets are into
     * the struct that all devices of the bus begin with. */
    const struct property *properties;
    /* Gives the device, whose properties are set and whose dev->bus is, its place on the bus, just
     * before its type's realize; unplug() takes it back, after unrealize, or after a plug() that
     * failed. NULL: nothing to do. */
    bool (*plug)(struct device *dev, GError **error);
    void (*unplug)(struct device *dev);
    /* After the type's realize has succeeded: what needs the device complete. It may fail; then
     * unrealize and unplug() follow. NULL: nothing. */
    bool (*realized)(struct device *dev, GError **error);
    /* Called before the type's reset, without dev->lock. NULL: nothing. */
    void (*reset)(struct device *dev);
    /* The last lines of the device in `info qtree`, or NULL; free with g_free(). */
    char *(*describe)(const struct device *dev);
    /* The device's node in an Open Firmware path, as firmware's boot order wants it
     * ("ethernet@3", "disk@0,0"); NULL: the bus adds nothing. Free with g_free(). */
    char *(*firmware_node)(const struct device *dev);
};

/* One bus; embedded in the device that offers it. */
struct bus {
    const struct bus_class *class; /* [const] NULL: not set up */
    char *name;                    /* [const] "pci.0" */
    struct device *parent;         /* [const] NULL: the machine's own bus */
    unsigned max_devices;          /* [const] 0: no limit */
    GPtrArray *children;           /* [main] struct device *, oldest first; NULL: none */
};

extern const struct bus_class bus_system; /* what the board consists of; not for -device */
extern const struct bus_class bus_isa;

/* From the offering device's realize. The name is `name`; else the device's id with ".0", ".1", …;
 * else the next free of the class. */
void bus_init(struct bus *bus, const struct bus_class *class, struct device *parent,
              const char *name);
/* From its unrealize; the core has freed the children. */
void bus_destroy(struct bus *bus);

/* By name, anywhere in the machine; NULL if there is none. */
struct bus *bus_find(struct vm *vm, const char *name);
/* The first of the class that is not full, outer before inner; or NULL. */
struct bus *bus_find_class(struct vm *vm, const struct bus_class *class);
/* "; did you mean 'pci.0'?" for the nearest bus of the class, or "". Valid until this thread's next
 * hint. */
const char *bus_hint(struct vm *vm, const struct bus_class *class, const char *name);
/* Calls `visit` for every device on the bus and on the buses they offer. */
void bus_visit(struct bus *bus, void (*visit)(struct device *dev, void *opaque), void *opaque);

/* --- types ----------------------------------------------------------------------------------- */

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

/* The headings of -device help, in its order. */
#define DEVICE_CATEGORIES(X) \
    X(NONE, "Uncategorized") \
    X(BRIDGE, "Controller/Bridge/Hub") \
    X(USB, "USB") \
    X(STORAGE, "Storage") \
    X(NETWORK, "Network") \
    X(INPUT, "Input") \
    X(DISPLAY, "Display") \
    X(SOUND, "Sound") \
    X(MISC, "Misc") \
    X(CPU, "CPU") \
    X(WATCHDOG, "Watchdog")
#define X(name, text) DEVICE_CATEGORY_##name,
enum device_category { DEVICE_CATEGORIES(X) DEVICE_CATEGORY_COUNT };
#undef X

struct device_type {
    const char *name, *description;
    const char *alias; /* another name -device and -global know it by; may be NULL */
    enum device_category category;
    const struct bus_class *bus;
    const void *on_bus; /* what the bus wants to know of the type: struct pci_type, … */
    bool board_only;    /* part of a board, or of another device: not for -device */
    bool single;        /* a machine has at most one */
    size_t size;
    const struct property *properties;
    const struct state_field *state;
    const char *firmware_name; /* "ethernet": its node in firmware paths; NULL: by the bus */
    bool (*realize)(struct device *dev, GError **error);
    void (*reset)(struct device *dev);
    /* Never after a realize that failed. */
    void (*unrealize)(struct device *dev);
    /* Of a display: its picture now; takes dev.lock. Main loop. */
    void (*draw)(struct device *dev, struct screen *screen);
};

/* Registers a type: `DEVICE_TYPE(debugcon) = { .name = "isa-debugcon", … };` */
#define DEVICE_TYPE(symbol) \
    static const struct device_type symbol##_type \
        __attribute__((used, section("yado_device_types"), aligned(8)))

/* By name or alias. */
const struct device_type *device_type_find(const char *name);
void device_type_visit(void (*visit)(const struct device_type *type, void *opaque), void *opaque);

/* `-device help`, and `-device NAME,help`; false and an error if there is no such type. */
void device_print_help(void);
bool device_print_properties(const char *name, GError **error);

/* --- devices --------------------------------------------------------------------------------- */

struct device {
    const struct device_type *type; /* [const] */
    char *id;                       /* [const] may be NULL */
    struct vm *vm;                  /* [const] */
    struct bus *bus;                /* [const] once realized: where it is plugged */
    GPtrArray *buses;               /* [main] struct bus *, those it offers; NULL: none */
    char *bus_name;                 /* [main] bus=; NULL: not given */
    bool realized;                  /* [main] */
    pthread_mutex_t lock;           /* taken by the core around region callbacks and reset */
};

/* NULL and an error naming the nearest type if `type_name` is unknown. */
struct device *device_new(struct vm *vm, const char *type_name, const char *id, GError **error);
/* The same for what a user asked for: `options` has driver=, and may have id= and bus=; the rest
 * are properties. Board-only types are refused. */
struct device *device_new_from(struct vm *vm, const struct keyval *options, GError **error);
bool device_set(struct device *dev, const char *property, const char *value, GError **error);
/* For PROPERTY_REFERENCE: the thing itself, claimed by the caller, released by the device. */
void device_set_reference(struct device *dev, const char *property, void *target);

/* Plugs it into dev->bus_name, else into the first bus of its class, and adds it to vm->devices. A
 * device that failed can only be freed. */
bool device_realize(struct device *dev, GError **error);
/* The same on a given bus: for devices made by other devices and boards. */
bool device_realize_on(struct device *dev, struct bus *bus, GError **error);
void device_reset(struct device *dev);
void device_free(struct device *dev);

/* By id; NULL if there is none. */
struct device *device_find(struct vm *vm, const char *id);

#endif
