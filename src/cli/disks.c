/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/driver.h"
#include "machine/machine.h"
#include "util/keyval.h"
#include "vm/vm.h"

struct wish {
    char *text;         /* as given, for messages */
    const char *option; /* "-drive" */
    bool is_drive;      /* else a -blockdev */
    json_t *options;
    unsigned position;
    struct block_node *node; /* -blockdev: held until the end */
};

static void wish_free(void *opaque)
{
    struct wish *wish = opaque;
    block_unref(wish->node);
    json_decref(wish->options);
    g_free(wish->text);
    g_free(wish);
}

struct disks *disks_new(void)
{
    struct disks *disks = g_new0(struct disks, 1);
    disks->wishes = g_ptr_array_new_with_free_func(wish_free);
    return disks;
}

void disks_free(struct disks *disks)
{
    g_ptr_array_unref(disks->wishes);
    g_free(disks);
}

/* --- what was asked for --------------------------------------------------------------------- */

static struct wish *wish_new(struct disks *disks, const char *option, const char *text,
                             json_t *options)
{
    struct wish *wish = g_new0(struct wish, 1);
    wish->option = option;
    wish->text = g_strdup(text);
    wish->options = options;
    g_ptr_array_add(disks->wishes, wish);
    return wish;
}

bool disks_add_drive(struct disks *disks, const char *text, unsigned position, GError **error)
{
    json_t *options = options_from_text(text, NULL, error);
    if (!options)
        return false;
    struct wish *wish = wish_new(disks, "-drive", text, options);
    wish->is_drive = true;
    wish->position = position;
    return true;
}

bool disks_add_blockdev(struct disks *disks, const char *text, GError **error)
{
    json_t *options =
        *text == '{' ? options_from_json(text, error) : options_from_text(text, "driver", error);
    if (!options)
        return false;
    wish_new(disks, "-blockdev", text, options);
    if (!options_has(options, "node-name"))
        return fail(error, "'node-name' must be specified for the root node");
    return true;
}

bool disks_add_short(struct disks *disks, const char *name, const char *file, unsigned position,
                     GError **error)
{
    static const struct {
        const char *name, *interface, *index, *media;
    } forms[] = {
        { "hda", NULL, "0", "disk" },    { "hdb", NULL, "1", "disk" },
        { "hdc", NULL, "2", "disk" },    { "hdd", NULL, "3", "disk" },
        { "cdrom", NULL, "2", "cdrom" }, { "fda", "floppy", "0", NULL },
        { "fdb", "floppy", "1", NULL },  { "pflash", "pflash", NULL, NULL },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (strcmp(forms[i].name, name))
            continue;
        json_t *options = json_object();
        struct wish *wish = wish_new(disks, forms[i].name, file, options);
        wish->is_drive = true;
        wish->position = position;
        options_set(options, "file", file);
        if (forms[i].interface)
            options_set(options, "if", forms[i].interface);
        if (forms[i].index)
            options_set(options, "index", forms[i].index);
        if (forms[i].media)
            options_set(options, "media", forms[i].media);
        return true;
    }
    return fail(error, "there is no such short form of -drive");
}

/* --- opening -------------------------------------------------------------------------------- */

/* What a -drive says beside what its node consists of. */
struct drive_wish {
    char *id, *file, *format, *serial, *cache, *aio;
    int interface, media, rerror, werror;
    uint64_t index, bus, unit; /* UINT64_MAX: not given */
    bool read_only, snapshot, copy_on_read;
};

static void drive_wish_clear(struct drive_wish *wish)
{
    g_free(wish->id);
    g_free(wish->file);
    g_free(wish->format);
    g_free(wish->serial);
    g_free(wish->cache);
    g_free(wish->aio);
}

static bool take_place(json_t *options, struct drive_wish *wish, GError **error)
{
    wish->index = wish->bus = wish->unit = UINT64_MAX;
    if (!options_take_number(options, "index", 255, &wish->index, error)
        || !options_take_number(options, "bus", 255, &wish->bus, error)
        || !options_take_number(options, "unit", 255, &wish->unit, error))
        return false;
    return wish->index == UINT64_MAX || (wish->bus == UINT64_MAX && wish->unit == UINT64_MAX)
           || fail(error, "'index' cannot be used with 'bus' and 'unit'");
}

static bool drive_wish_take(json_t *options, struct drive_wish *wish, GError **error)
{
    static const char *const media_names[] = { "disk", "cdrom", NULL };
    static const char *const aio_names[] = { "threads", "native", "io_uring", NULL };

    wish->id = options_take_string(options, "id");
    wish->format = options_take_string(options, "format");
    wish->serial = options_take_string(options, "serial");
    if (!json_is_object(json_object_get(options, "cache")))
        wish->cache = options_take_string(options, "cache");
    if (!json_is_object(json_object_get(options, "file")))
        wish->file = options_take_string(options, "file");
    wish->aio = options_take_string(options, "aio");
    if (wish->aio && !g_strv_contains(aio_names, wish->aio))
        return fail(error, "invalid aio option '%s': it is threads, native or io_uring%s",
                    wish->aio, "");
    return take_place(options, wish, error)
           && options_take_enum(options, "if", drive_interface_names, &wish->interface, error)
           && options_take_enum(options, "media", media_names, &wish->media, error)
           && options_take_enum(options, "rerror", block_on_error_names, &wish->rerror, error)
           && options_take_enum(options, "werror", block_on_error_names, &wish->werror, error)
           && options_take_bool(options, "readonly", &wish->read_only, error)
           && options_take_bool(options, "read-only", &wish->read_only, error)
           && options_take_bool(options, "copy-on-read", &wish->copy_on_read, error)
           && options_take_bool(options, "snapshot", &wish->snapshot, error);
}

/* Devices a bus of the interface has on this board; 0: it has no buses. */
static unsigned bus_units(const struct vm_config *config, int interface)
{
    const struct machine_type *machine = machine_type_find(config->machine, NULL);
    if (interface == DRIVE_IF_IDE)
        return machine && machine->ide_units ? machine->ide_units : 2;
    return interface == DRIVE_IF_SCSI ? 7 : 0;
}

static bool place_choose(struct drive_wish *wish, unsigned units, GError **error)
{
    if (wish->index != UINT64_MAX) {
        wish->bus = units ? wish->index / units : 0;
        wish->unit = units ? wish->index % units : wish->index;
    }
    if (wish->bus == UINT64_MAX)
        wish->bus = 0;
    if (wish->unit == UINT64_MAX) {
        wish->unit = 0;
        while (drive_at(wish->interface, wish->bus, wish->unit)) {
            if (++wish->unit == units && units) {
                wish->unit = 0;
                wish->bus++;
            }
        }
    }
    if (units && wish->unit >= units)
        return fail(error, "unit %" G_GUINT64_FORMAT " too big (max is %u)", wish->unit, units - 1);
    if (drive_at(wish->interface, wish->bus, wish->unit))
        return fail(error,
                    "drive with bus=%" G_GUINT64_FORMAT ", unit=%" G_GUINT64_FORMAT " exists",
                    wish->bus, wish->unit);
    return true;
}

static char *drive_name(const struct drive_wish *wish, unsigned units)
{
    const char *interface = drive_interface_names[wish->interface];
    if (wish->id)
        return g_strdup(wish->id);
    if (units)
        return g_strdup_printf("%s%u%s%u", interface, (unsigned)wish->bus,
                               wish->media ? "-cd" : "-hd", (unsigned)wish->unit);
    return g_strdup_printf("%s%u", interface, (unsigned)wish->unit);
}

/* A temporary image over `node`, which takes all writes. Takes the reference over. */
static struct block_node *overlay_open(struct block_node *below, GError **error)
{
    auto_block *base = below;
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "yado-XXXXXX", NULL);
    auto_json *create = json_pack("{s:I}", "size", (json_int_t)block_length(base));
    auto_json *open = json_pack("{s:s,s:{s:s,s:s},s:s}", "driver", "qcow2", "file", "driver",
                                "file", "filename", "", "backing", base->name);

    if (!block_driver_find("qcow2")) {
        fail(error, "snapshot=on needs the qcow2 driver, which this build does not have");
        return NULL;
    }
    auto_close int fd = g_mkstemp(path);
    if (fd < 0) {
        fail_errno(error, "cannot make a temporary file like '%s'", path);
        return NULL;
    }
    json_object_set_new(json_object_get(open, "file"), "filename", json_string(path));
    struct block_node *overlay = NULL;
    if (block_create("qcow2", path, create, error))
        overlay = block_open_options(open, BLOCK_OPEN_RW | BLOCK_OPEN_UNMAP, error);
    unlink(path);
    return overlay;
}

/* The node, or NULL without an error if the drive is empty. */
static struct block_node *node_open(const struct drive_wish *wish, json_t *options,
                                    bool *writethrough, GError **error)
{
    unsigned flags = BLOCK_OPEN_AUTO_READ_ONLY;
    bool writes = !wish->read_only && !wish->media;
    json_t *cache = json_object_get(options, "cache");
    struct block_node *node;

    if (wish->copy_on_read) {
        fail(error, "copy-on-read=on is not supported");
        return NULL;
    }
    if (wish->cache && !block_cache_mode(wish->cache, &flags, writethrough, error))
        return NULL;
    if (json_is_object(cache)) {
        bool writeback = true;
        if (!options_take_bool(cache, "writeback", &writeback, error))
            return NULL;
        *writethrough = !writeback;
    }
    if (writes && !wish->snapshot)
        flags |= BLOCK_OPEN_RW;
    if (wish->file)
        node = *wish->file ? block_open(wish->file, wish->format, options, flags, error) : NULL;
    else if (json_object_size(options))
        node = block_open_options(options, flags, error);
    else
        node = NULL;
    return node && writes && wish->snapshot ? overlay_open(node, error) : node;
}

static void device_add(struct vm_config *config, const struct drive *drive, unsigned position)
{
    const char *type = strcmp(config->machine, "microvm") ? "virtio-blk-pci" : "virtio-blk-device";
    g_autofree char *text = g_strdup_printf("%s,drive=%s", type, drive->name);
    struct keyval *options = keyval_parse(text, "driver", NULL);
    if (options)
        g_ptr_array_insert(config->devices, position, options);
}

static bool drive_open(struct disks *disks, struct wish *asked, struct vm_config *config,
                       unsigned *devices_added, GError **error)
{
    __attribute__((cleanup(drive_wish_clear))) struct drive_wish wish = {
        .interface = strcmp(config->machine, "microvm") ? DRIVE_IF_IDE : DRIVE_IF_VIRTIO,
        .rerror = BLOCK_ON_ERROR_AUTO,
        .werror = BLOCK_ON_ERROR_AUTO,
        .snapshot = disks->snapshot,
    };
    bool writethrough = false;
    GError *reason = NULL;

    if (!drive_wish_take(asked->options, &wish, error))
        return false;
    unsigned units = bus_units(config, wish.interface);
    if (!place_choose(&wish, units, error))
        return false;
    auto_block *node = node_open(&wish, asked->options, &writethrough, &reason);
    if (reason) {
        g_propagate_error(error, reason);
        return false;
    }
    g_autofree char *name = drive_name(&wish, units);
    struct block_backend *backend = block_backend_new(name, error);
    if (!backend)
        return false;
    struct drive *drive = drive_new(name, backend);
    backend->read_only = wish.read_only || wish.media;
    backend->write_cache = !writethrough;
    backend->on_read_error = wish.rerror;
    backend->on_write_error = wish.werror;
    backend->serial = g_strdup(wish.serial);
    if (node && !block_backend_insert(backend, node, false, error))
        return false;
    drive->cdrom = wish.media;
    drive->interface = wish.interface;
    drive->bus = wish.bus;
    drive->unit = wish.unit;
    if (drive->interface == DRIVE_IF_VIRTIO)
        device_add(config, drive, asked->position + (*devices_added)++);
    return true;
}

bool disks_open(struct disks *disks, struct vm_config *config, GError **error)
{
    unsigned devices_added = 0;

    /* A drive may stand on nodes that are defined after it. */
    for (int drives = 0; drives < 2; drives++) {
        for (guint i = 0; i < disks->wishes->len; i++) {
            struct wish *wish = disks->wishes->pdata[i];
            bool good = true;
            if (wish->is_drive != drives)
                continue;
            if (drives)
                good = drive_open(disks, wish, config, &devices_added, error);
            else
                good = (wish->node = block_open_options(wish->options, BLOCK_OPEN_RW, error));
            if (!good)
                return fail_prefix(error, "%s%s %s: ", *wish->option == '-' ? "" : "-",
                                   wish->option, wish->text);
        }
    }
    return true;
}

struct unused {
    const struct vm_config *config;
    GError **error;
    bool found;
};

static void check_used(struct drive *drive, void *opaque)
{
    struct unused *unused = opaque;
    if (unused->found || drive->user || drive->interface == DRIVE_IF_NONE)
        return;
    unused->found = true;
    fail(unused->error, "machine type '%s' does not support if=%s,bus=%d,unit=%d (drive '%s')",
         unused->config->machine, drive_interface_names[drive->interface], drive->bus, drive->unit,
         drive->name);
}

bool disks_check_used(const struct vm_config *config, GError **error)
{
    struct unused unused = { config, error, false };
    drive_visit(check_used, &unused);
    return !unused.found;
}

void disks_close(struct disks *disks)
{
    drives_delete_all();
    g_ptr_array_set_size(disks->wishes, 0);
}
