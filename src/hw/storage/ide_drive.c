/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ide-hd and ide-cd: a drive on an IDE or Serial ATA bus. What it does is in ata.c and atapi.c. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hw/storage/ide.h"

struct ide_drive {
    struct device dev;
    int32_t unit;
    struct drive_options options;
    char *model, *version;
    uint64_t wwn;
    uint16_t rotation_rate;
    struct ata_drive ata;
};

/* --- the bus ---------------------------------------------------------------------------------- */

static const struct property bus_properties[] = {
    PROPERTY_I32("unit", struct ide_drive, unit, -1, .help = "0: master, 1: slave", .max = 1),
    {},
};

static bool ide_plug(struct device *dev, GError **error)
{
    struct ide_drive *drive = container_of(dev, struct ide_drive, dev);
    struct ide_bus *bus = container_of(dev->bus, struct ide_bus, bus);
    unsigned unit = drive->unit >= 0 ? (unsigned)drive->unit : bus->drives[0] ? 1 : 0;
    if (unit >= bus->units)
        return drive->unit >= 0 && bus->units == 1
                   ? fail(error, "bus '%s' has unit 0 only", bus->bus.name)
                   : fail(error, "bus '%s' is full", bus->bus.name);
    if (bus->drives[unit])
        return fail(error, "unit %u of bus '%s' is in use", unit, bus->bus.name);
    drive->unit = unit;
    return true;
}

static void ide_unplug(struct device *dev)
{
    struct ide_drive *drive = container_of(dev, struct ide_drive, dev);
    struct ide_bus *bus = container_of(dev->bus, struct ide_bus, bus);
    if (drive->unit >= 0 && bus->drives[drive->unit] == &drive->ata)
        bus->drives[drive->unit] = NULL;
}

static char *ide_firmware_node(const struct device *dev)
{
    const struct ide_drive *drive = container_of(dev, struct ide_drive, dev);
    const struct ide_bus *bus = container_of(dev->bus, struct ide_bus, bus);
    unsigned port = atoi(strrchr(bus->bus.name, '.') + 1);
    if (bus->serial_ata)
        return g_strdup_printf("drive@%x/disk@0", port);
    return g_strdup_printf("drive@%x/disk@%x", port, drive->unit);
}

const struct bus_class bus_ide = {
    .name = "IDE",
    .noun = "ide",
    .properties = bus_properties,
    .plug = ide_plug,
    .unplug = ide_unplug,
    .firmware_node = ide_firmware_node,
};

void ide_bus_reset(struct ide_bus *bus)
{
    for (unsigned unit = 0; unit < bus->units; unit++) {
        struct ata_drive *drive = bus->drives[unit];
        if (!drive)
            continue;
        /* What is under way ends on this thread, and takes the lock for that. */
        pthread_mutex_unlock(&drive->adapter_dev->lock);
        ata_drain(drive);
        pthread_mutex_lock(&drive->adapter_dev->lock);
        ata_reset(drive, true);
    }
}

/* --- the drives ------------------------------------------------------------------------------- */

static void media_changed(void *opaque, bool present)
{
    struct ide_drive *drive = opaque;
    struct ata_drive *ata = &drive->ata;
    pthread_mutex_lock(&ata->adapter_dev->lock);
    if (present)
        atapi_medium_changed(ata);
    pthread_mutex_unlock(&ata->adapter_dev->lock);
}

static void eject_request(void *opaque, bool force)
{
    struct ide_drive *drive = opaque;
    struct ata_drive *ata = &drive->ata;
    pthread_mutex_lock(&ata->adapter_dev->lock);
    ata->event_eject = true;
    if (force)
        ata->tray_locked = false;
    pthread_mutex_unlock(&ata->adapter_dev->lock);
}

static bool is_tray_open(void *opaque)
{
    return ((struct ide_drive *)opaque)->ata.tray_open;
}

static bool is_locked(void *opaque)
{
    return ((struct ide_drive *)opaque)->ata.tray_locked;
}

static const struct block_device_ops cdrom_block_ops = {
    .media_changed = media_changed,
    .eject_request = eject_request,
    .is_tray_open = is_tray_open,
    .is_locked = is_locked,
};
static const struct block_device_ops disk_block_ops = { 0 };

static bool text_take(char *to, size_t size, const char *given, const char *standard,
                      const char *property, GError **error)
{
    const char *text = given ? given : standard;
    if (strlen(text) >= size)
        return fail(error, "property '%s': '%s' is longer than %zu characters", property, text,
                    size - 1);
    memset(to, 0, size);
    memcpy(to, text, strlen(text));
    return true;
}

static bool geometry_take(struct ide_drive *drive, GError **error)
{
    struct drive_options *options = &drive->options;
    if (!options->cylinders || options->cylinders > 65535)
        return fail(error, "property 'cyls' is %" PRIu32 ", not 1 to 65535", options->cylinders);
    if (!options->heads || options->heads > 16)
        return fail(error, "property 'heads' is %" PRIu32 ", not 1 to 16", options->heads);
    if (!options->sectors || options->sectors > 255)
        return fail(error, "property 'secs' is %" PRIu32 ", not 1 to 255", options->sectors);
    drive->ata.cylinders = options->cylinders;
    drive->ata.heads = options->heads;
    drive->ata.sectors = options->sectors;
    return true;
}

static bool disk_prepare(struct ide_drive *drive, GError **error)
{
    if (drive->options.logical_block_size != ATA_SECTOR)
        return fail(error, "property 'logical_block_size': IDE disks have blocks of 512 bytes");
    drive->ata.logical_block = drive->options.logical_block_size;
    drive->ata.physical_block = drive->options.physical_block_size;
    drive->ata.wwn = drive->wwn;
    drive->ata.rotation_rate = drive->rotation_rate;
    return geometry_take(drive, error);
}

static bool drive_prepare(struct ide_drive *drive, enum ata_kind kind, const char *model,
                          GError **error)
{
    struct ide_bus *bus = container_of(drive->dev.bus, struct ide_bus, bus);
    struct ata_drive *ata = &drive->ata;
    /* As QEMU numbers them, so that a guest finds /dev/disk/by-id again. */
    unsigned number = 2 * atoi(strrchr(bus->bus.name, '.') + 1) + drive->unit + 1;
    g_autofree char *numbered = g_strdup_printf("QM%05u", number);
    *ata = (struct ata_drive){
        .adapter = bus->ops,
        .adapter_dev = bus->bus.parent,
        .bus = bus,
        .unit = drive->unit,
        .kind = kind,
        .serial_ata = bus->serial_ata,
    };
    return text_take(ata->serial, sizeof(ata->serial), drive->options.serial, numbered, "serial",
                     error)
           && text_take(ata->model, sizeof(ata->model), drive->model, model, "model", error)
           && text_take(ata->version, sizeof(ata->version), drive->version, "2.5+", "ver", error)
           && (kind == ATA_CDROM || disk_prepare(drive, error));
}

static bool drive_realize(struct ide_drive *drive, enum ata_kind kind, const char *model,
                          GError **error)
{
    struct ide_bus *bus = container_of(drive->dev.bus, struct ide_bus, bus);
    struct ata_drive *ata = &drive->ata;
    bool attached = drive->options.drive || kind == ATA_DISK;
    const struct block_device_ops *ops = kind == ATA_CDROM ? &cdrom_block_ops : &disk_block_ops;
    if (attached
        && !drive_attach(&drive->options, &drive->dev, kind == ATA_DISK, ops, drive, error))
        return false;
    if (!drive_prepare(drive, kind, model, error)) {
        drive_detach(&drive->options, drive);
        return false;
    }
    disk_init(&ata->disk, &drive->options, &drive->dev);
    ata_init(ata);
    bus->drives[drive->unit] = ata;
    return true;
}

static bool disk_realize(struct device *dev, GError **error)
{
    return drive_realize(container_of(dev, struct ide_drive, dev), ATA_DISK, "QEMU HARDDISK",
                         error);
}

static bool cdrom_realize(struct device *dev, GError **error)
{
    return drive_realize(container_of(dev, struct ide_drive, dev), ATA_CDROM, "QEMU DVD-ROM",
                         error);
}

static void drive_unrealize(struct device *dev)
{
    struct ide_drive *drive = container_of(dev, struct ide_drive, dev);
    ata_destroy(&drive->ata);
    drive_detach(&drive->options, drive);
}

#define COMMON_PROPERTIES \
    DRIVE_PROPERTIES(struct ide_drive, options), \
        PROPERTY_STRING("model", struct ide_drive, model), \
        PROPERTY_STRING("ver", struct ide_drive, version), \
        PROPERTY_U64("wwn", struct ide_drive, wwn, 0)

static const struct property disk_properties[] = {
    COMMON_PROPERTIES,
    PROPERTY_U16("rotation_rate", struct ide_drive, rotation_rate, 0,
                 .help = "rounds a minute; 1: a solid state disk"),
    {},
};

static const struct property cdrom_properties[] = { COMMON_PROPERTIES, {} };

DEVICE_TYPE(ide_hd) = {
    .name = "ide-hd",
    .description = "virtual IDE disk",
    .category = DEVICE_CATEGORY_STORAGE,
    .bus = &bus_ide,
    .size = sizeof(struct ide_drive),
    .properties = disk_properties,
    .realize = disk_realize,
    .unrealize = drive_unrealize,
};

DEVICE_TYPE(ide_cd) = {
    .name = "ide-cd",
    .description = "virtual IDE CD-ROM",
    .category = DEVICE_CATEGORY_STORAGE,
    .bus = &bus_ide,
    .size = sizeof(struct ide_drive),
    .properties = cdrom_properties,
    .realize = cdrom_realize,
    .unrealize = drive_unrealize,
};
