/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The drives a machine was given (`-drive`, or a node of `-blockdev`), where they are meant to be,
 * and the properties that all disk devices share. What a drive does is block/backend.h's. Main
 * loop. */
#ifndef YADO_HW_STORAGE_DRIVE_H
#define YADO_HW_STORAGE_DRIVE_H

#include "block/backend.h"
#include "hw/device.h"

#define SECTOR_BYTES 512u

/* -drive if= */
enum drive_interface {
    DRIVE_IF_NONE,
    DRIVE_IF_IDE,
    DRIVE_IF_SCSI,
    DRIVE_IF_FLOPPY,
    DRIVE_IF_PFLASH,
    DRIVE_IF_MTD,
    DRIVE_IF_SD,
    DRIVE_IF_VIRTIO,
    DRIVE_IF_COUNT,
};
extern const char *const drive_interface_names[]; /* "none", "ide", … */

struct drive {
    char *name;                    /* [const] -drive id=, or the node's name */
    struct block_backend *backend; /* [const] */
    struct block_node *node; /* of a -blockdev: inserted when a device attaches; a reference */
    enum drive_interface interface; /* [const] */
    int bus, unit;                  /* [const] -1: none */
    bool cdrom;                     /* [const] media=cdrom */
    struct device *user;            /* NULL: none yet */
};

/* Takes the backend over. */
struct drive *drive_new(const char *name, struct block_backend *backend);
struct drive *drive_find(const char *name);
/* The drive at this place of if=, or NULL. Boards that have a device there make it. */
struct drive *drive_at(enum drive_interface interface, int bus, int unit);
void drive_visit(void (*visit)(struct drive *drive, void *opaque), void *opaque);
void drives_delete_all(void); /* when no device is left */

/* For the property `drive`: the -drive or node of this name. */
extern const struct reference_kind drive_reference;

#define DRIVE_GRANULARITY_AUTO UINT32_MAX

/* Sizes in bytes; 0: the device's or the medium's default. */
struct drive_options {
    struct drive *drive;
    char *serial;
    uint64_t logical_block_size, physical_block_size, discard_granularity, optimal_io_size;
    uint16_t minimum_io_size;
    int write_cache;    /* enum on_off_auto */
    int rerror, werror; /* enum block_on_error */
    bool share_rw;
    uint32_t cylinders, heads, sectors;
    int32_t bootindex; /* -1: none */
};

#define DRIVE_PROPERTIES(structure, field) \
    PROPERTY_REFERENCE("drive", structure, field.drive, &drive_reference, \
                       .help = "-drive or block node that is the medium"), \
        PROPERTY_STRING("serial", structure, field.serial), \
        PROPERTY_SIZE("logical_block_size", structure, field.logical_block_size, 0, \
                      .help = "0 for the default, 512"), \
        PROPERTY_SIZE("physical_block_size", structure, field.physical_block_size, 0), \
        PROPERTY_U16("min_io_size", structure, field.minimum_io_size, 0), \
        PROPERTY_SIZE("opt_io_size", structure, field.optimal_io_size, 0), \
        PROPERTY_SIZE("discard_granularity", structure, field.discard_granularity, \
                      DRIVE_GRANULARITY_AUTO), \
        PROPERTY_ON_OFF_AUTO("write-cache", structure, field.write_cache, ON_OFF_AUTO_AUTO), \
        PROPERTY_ENUM("rerror", structure, field.rerror, block_on_error_names, \
                      BLOCK_ON_ERROR_AUTO), \
        PROPERTY_ENUM("werror", structure, field.werror, block_on_error_names, \
                      BLOCK_ON_ERROR_AUTO), \
        PROPERTY_BOOL("share-rw", structure, field.share_rw, false), \
        PROPERTY_U32("cyls", structure, field.cylinders, 0), \
        PROPERTY_U32("heads", structure, field.heads, 0), \
        PROPERTY_U32("secs", structure, field.sectors, 0), \
        PROPERTY_I32("bootindex", structure, field.bootindex, -1)

/* For realize: checks the options, fills in defaults (sizes, geometry, serial), and takes the drive
 * for the device. One that `needs_medium` is refused an empty drive. */
bool drive_attach(struct drive_options *options, struct device *dev, bool needs_medium,
                  const struct block_device_ops *ops, void *opaque, GError **error);
/* For unrealize; harmless if drive_attach() was not called or failed. */
void drive_detach(struct drive_options *options, void *opaque);

#endif
