/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/storage/drive.h"

#include <inttypes.h>
#include <string.h>

const char *const drive_interface_names[] = { "none", "ide", "scsi",   "floppy", "pflash",
                                              "mtd",  "sd",  "virtio", NULL };

static GPtrArray *drives; /* [main] struct drive *; NULL: none yet */

/* --- all drives ----------------------------------------------------------------------------- */

struct drive *drive_find(const char *name)
{
    for (guint i = 0; drives && i < drives->len; i++) {
        struct drive *drive = drives->pdata[i];
        if (!strcmp(drive->name, name))
            return drive;
    }
    return NULL;
}

struct drive *drive_at(enum drive_interface interface, int bus, int unit)
{
    for (guint i = 0; drives && i < drives->len; i++) {
        struct drive *drive = drives->pdata[i];
        if (drive->interface == interface && drive->bus == bus && drive->unit == unit)
            return drive;
    }
    return NULL;
}

void drive_visit(void (*visit)(struct drive *drive, void *opaque), void *opaque)
{
    for (guint i = 0; drives && i < drives->len; i++)
        visit(drives->pdata[i], opaque);
}

struct drive *drive_new(const char *name, struct block_backend *backend)
{
    struct drive *drive = g_new0(struct drive, 1);
    drive->name = g_strdup(name);
    drive->backend = backend;
    drive->bus = drive->unit = -1;
    if (!drives)
        drives = g_ptr_array_new();
    g_ptr_array_add(drives, drive);
    return drive;
}

static void drive_delete(struct drive *drive)
{
    g_ptr_array_remove(drives, drive);
    block_backend_free(drive->backend);
    block_unref(drive->node);
    g_free(drive->name);
    g_free(drive);
}

void drives_delete_all(void)
{
    while (drives && drives->len)
        drive_delete(drives->pdata[drives->len - 1]);
    g_clear_pointer(&drives, g_ptr_array_unref);
}

/* --- as a property -------------------------------------------------------------------------- */

/* Several devices may share a node (share-rw=on), each through a drive of its own. */
static struct drive *drive_of_node(const char *name, GError **error)
{
    struct block_node *node = block_find(name);
    if (!node) {
        fail(error, "Can't find value '%s': no -drive or -blockdev has this name", name);
        return NULL;
    }
    struct block_backend *backend = block_backend_new(NULL, error);
    if (!backend)
        return NULL;
    backend->read_only = node->read_only;
    struct drive *drive = drive_new(name, backend);
    drive->node = block_ref(node);
    return drive;
}

static void *take(struct device *dev, const char *id, GError **error)
{
    struct drive *drive = drive_find(id);
    if (!drive || drive->node)
        drive = drive_of_node(id, error);
    if (!drive)
        return NULL;
    if (drive->user && drive->user != dev) {
        fail(error, "Drive '%s' is already in use by another block device", id);
        return NULL;
    }
    drive->user = dev;
    return drive;
}

static void release(struct device *dev, void *target)
{
    struct drive *drive = target;
    if (drive->node)
        drive_delete(drive);
    else
        drive->user = NULL;
}

static const char *name_of(const void *target)
{
    return ((const struct drive *)target)->name;
}

const struct reference_kind drive_reference = {
    .noun = "drive",
    .take = take,
    .release = release,
    .id = name_of,
};

/* --- a device's use of one ------------------------------------------------------------------ */

static bool is_power_of_two(uint64_t value)
{
    return value && !(value & (value - 1));
}

static bool block_sizes_complete(struct drive_options *options, GError **error)
{
    uint64_t *logical = &options->logical_block_size, *physical = &options->physical_block_size;
    if (!*logical)
        *logical = SECTOR_BYTES;
    if (!*physical)
        *physical = *logical;
    if (*logical < SECTOR_BYTES || *logical > 2 << 20 || !is_power_of_two(*logical))
        return fail(error, "logical_block_size %" PRIu64 " is not a power of two from 512 to 2 MiB",
                    *logical);
    if (*physical > 2 << 20 || !is_power_of_two(*physical))
        return fail(error, "physical_block_size %" PRIu64 " is not a power of two up to 2 MiB",
                    *physical);
    if (*logical > *physical)
        return fail(error, "logical_block_size > physical_block_size not supported");
    if (options->minimum_io_size % *logical || options->optimal_io_size % *logical)
        return fail(error, "min_io_size and opt_io_size must be multiples of logical_block_size");
    if (options->discard_granularity != DRIVE_GRANULARITY_AUTO
        && options->discard_granularity % *logical)
        return fail(error, "discard_granularity must be a multiple of logical_block_size");
    return true;
}

static void geometry_complete(struct drive_options *options)
{
    struct block_geometry geometry;
    if (options->cylinders || options->heads || options->sectors)
        return;
    block_backend_geometry(options->drive->backend, &geometry);
    options->cylinders = geometry.cylinders;
    options->heads = geometry.heads;
    options->sectors = geometry.sectors;
}

static bool policies_set(const struct drive_options *options, GError **error)
{
    struct block_backend *backend = options->drive->backend;
    if (options->rerror == BLOCK_ON_ERROR_ENOSPC)
        return fail(error, "rerror=enospc: a full disk is no error of reads");
    if (options->rerror != BLOCK_ON_ERROR_AUTO)
        backend->on_read_error = options->rerror;
    if (options->werror != BLOCK_ON_ERROR_AUTO)
        backend->on_write_error = options->werror;
    backend->write_cache = on_off_auto_is(options->write_cache, backend->write_cache);
    return true;
}

static bool share_writes(struct block_backend *backend, GError **error)
{
    struct block_child *root = backend->root;
    return !root || block_set_permissions(root, root->perm, root->shared | BLOCK_PERM_WRITE, error);
}

bool drive_attach(struct drive_options *options, struct device *dev, bool needs_medium,
                  const struct block_device_ops *ops, void *opaque, GError **error)
{
    struct drive *drive = options->drive;
    if (!drive)
        return fail(error, "drive property not set");
    struct block_backend *backend = drive->backend;
    if (!drive->node && !block_backend_has_medium(backend) && needs_medium)
        return fail(error, "Device needs media, but drive is empty");
    if (!block_sizes_complete(options, error) || !policies_set(options, error))
        return false;
    if (!options->serial)
        options->serial = g_strdup(backend->serial);
    if (drive->node) {
        if (!block_backend_insert(backend, drive->node, options->share_rw, error))
            return false;
    } else if (options->share_rw && !share_writes(backend, error)) {
        return false;
    }
    geometry_complete(options);
    return block_backend_attach_device(backend, ops, opaque, error);
}

void drive_detach(struct drive_options *options, void *opaque)
{
    struct drive *drive = options->drive;
    if (!drive || drive->backend->opaque != opaque)
        return;
    block_backend_attach_device(drive->backend, NULL, NULL, NULL);
    if (drive->node)
        block_backend_eject(drive->backend);
}
