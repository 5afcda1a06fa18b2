/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IDE controllers of PIIX3 and PIIX4: two channels of two drives at the legacy ports, with bus
 * master DMA. (ATA/ATAPI-6, 7 and 9; "Programming Interface for Bus Master IDE Controller" 1.0;
 * Intel 82371SB datasheet, 2.4) */
#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "hw/storage/ide.h"
#include "util/log.h"
#include "vm/vm.h"

enum { CONTROL_NO_INTERRUPT = 0x02, CONTROL_RESET = 0x04, CONTROL_HIGH_ORDER = 0x80 };
enum { BM_START = 0x01, BM_TO_MEMORY = 0x08 };
enum { BM_ACTIVE = 0x01, BM_ERROR = 0x02, BM_INTERRUPT = 0x04, BM_CAPABLE = 0x60 };
#define PRD_LAST (1u << 31)
#define PRD_TABLE_MAX 8192u /* entries in the 64 KiB a table cannot leave */

struct piix_ide;

struct channel {
    struct ide_bus bus;
    struct piix_ide *ide;
    unsigned irq; /* [const] ISA */
    struct region command, control_port;
    /* [dev.lock] */
    unsigned selected;
    uint8_t control;
    bool interrupt;

    /* Bus master. */
    uint8_t bm_command, bm_status;
    uint32_t table;        /* as the guest wrote it */
    uint32_t entry;        /* index of the next descriptor */
    uint32_t rest, at;     /* what is left of the one before it: bytes, address */
    bool last;             /* that was the last one */
    struct ata_drive *dma; /* waits for memory */
};

struct piix_ide {
    struct pci_function function;
    struct channel channels[2];
    struct region bus_master;
};

static struct channel *channel_of(struct ata_drive *drive)
{
    return container_of(drive->bus, struct channel, bus);
}

static struct ata_drive *selected(const struct channel *channel)
{
    return channel->bus.drives[channel->selected];
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void interrupt_update(struct channel *channel)
{
    bool level = channel->interrupt && !(channel->control & CONTROL_NO_INTERRUPT);
    irq_set(&channel->ide->function.dev.vm->gsi[channel->irq], level);
}

static void interrupt_raise(struct channel *channel)
{
    channel->interrupt = true;
    channel->bm_status |= BM_INTERRUPT;
    interrupt_update(channel);
}

static void interrupt_clear(struct channel *channel)
{
    channel->interrupt = false;
    interrupt_update(channel);
}

/* --- bus master ------------------------------------------------------------------------------- */

/* The next run of memory. False at the table's end, or where the table is not in RAM (and then the
 * error bit is set). */
static bool descriptor_next(struct channel *channel)
{
    uint32_t words[2];
    struct address_space *memory = channel->ide->function.dev.vm->memory;
    if (channel->last || channel->entry >= PRD_TABLE_MAX)
        return false;
    uint64_t address = (channel->table & ~3u) + (uint64_t)channel->entry++ * 8;
    if (!pci_is_master(&channel->ide->function) || !dma_read(memory, address, words, 8)) {
        channel->bm_status |= BM_ERROR;
        return false;
    }
    channel->at = words[0] & ~1u;
    channel->rest = words[1] & 0xfffe;
    if (!channel->rest)
        channel->rest = 0x10000;
    channel->last = words[1] & PRD_LAST;
    return true;
}

static void bm_fill(struct channel *channel)
{
    struct ata_drive *drive = channel->dma;
    while (drive->dma.bytes < drive->dma_left) {
        if (!channel->rest && !descriptor_next(channel))
            return;
        uint32_t part = MIN(channel->rest, drive->dma_left - drive->dma.bytes);
        if (!dma_list_add(&drive->dma, channel->at, part, drive->dma_in)) {
            channel->bm_status |= BM_ERROR;
            return;
        }
        channel->at += part;
        channel->rest -= part;
    }
}

/* A table that is too short leaves the transfer hanging, active, as hardware does; one that cannot
 * be reached ends it. */
static void bm_run(struct channel *channel)
{
    struct ata_drive *drive = channel->dma;
    if (!drive || !(channel->bm_command & BM_START))
        return;
    bm_fill(channel);
    if (!drive->dma.bytes && !(channel->bm_status & BM_ERROR))
        return;
    channel->dma = NULL;
    ata_dma_ready(drive);
}

static void bm_command_write(struct channel *channel, uint8_t value)
{
    bool was = channel->bm_command & BM_START, is = value & BM_START;
    channel->bm_command = value & (BM_START | BM_TO_MEMORY);
    if (is && !was) {
        channel->bm_status |= BM_ACTIVE;
        channel->entry = 0;
        channel->rest = 0;
        channel->last = false;
        bm_run(channel);
    } else if (!is) {
        channel->bm_status &= ~BM_ACTIVE;
    }
}

static uint64_t bm_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev);
    struct channel *channel = &ide->channels[offset >> 3 & 1];
    switch (offset & 7) {
    case 0:
        return channel->bm_command;
    case 2:
        return channel->bm_status;
    case 4 ... 7:
        return channel->table >> 8 * (offset & 3) & 0xff;
    default:
        return 0xff;
    }
}

static void bm_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev);
    struct channel *channel = &ide->channels[offset >> 3 & 1];
    unsigned shift = 8 * (offset & 3);
    switch (offset & 7) {
    case 0:
        bm_command_write(channel, value);
        break;
    case 2: /* two bits are the guest's, two are cleared by ones */
        channel->bm_status = (value & BM_CAPABLE) | (channel->bm_status & BM_ACTIVE)
                             | (channel->bm_status & ~value & (BM_ERROR | BM_INTERRUPT));
        break;
    case 4 ... 7:
        channel->table = (channel->table & ~(0xffu << shift)) | (uint32_t)value << shift;
        break;
    }
}

static const struct region_ops bm_ops = { .read = bm_read, .write = bm_write, .max_size = 1 };

/* --- what drives ask for ---------------------------------------------------------------------- */

static void drive_pio(struct ata_drive *drive, bool interrupt)
{
    if (interrupt)
        interrupt_raise(channel_of(drive));
}

static void drive_dma(struct ata_drive *drive)
{
    struct channel *channel = channel_of(drive);
    channel->dma = drive;
    bm_run(channel);
}

static void drive_done(struct ata_drive *drive, bool interrupt)
{
    struct channel *channel = channel_of(drive);
    if (channel->bm_status & BM_ACTIVE && !channel->rest)
        channel->bm_status &= ~BM_ACTIVE;
    channel->dma = NULL;
    if (interrupt)
        interrupt_raise(channel);
}

static const struct ata_adapter_ops adapter_ops = {
    .pio = drive_pio,
    .dma = drive_dma,
    .done = drive_done,
};

/* --- task file -------------------------------------------------------------------------------- */

static bool pio_open(const struct ata_drive *drive, bool write)
{
    if (!drive)
        return false;
    return write ? drive->phase == ATA_PIO_OUT || drive->phase == ATA_PACKET
                 : drive->phase == ATA_PIO_IN;
}

/* A transfer's end may be in the middle of an access: what is beyond is lost, or reads as zero. */
static uint64_t data_read(struct channel *channel, unsigned size)
{
    struct ata_drive *drive = selected(channel);
    uint64_t value = 0;
    if (!pio_open(drive, false))
        return 0;
    unsigned length = MIN(size, drive->pio_end - drive->pio_at);
    memcpy(&value, drive->buffer + drive->pio_at, length);
    drive->pio_at += length;
    if (drive->pio_at == drive->pio_end)
        ata_pio_done(drive);
    return value;
}

static void data_write(struct channel *channel, uint64_t value, unsigned size)
{
    struct ata_drive *drive = selected(channel);
    if (!pio_open(drive, true))
        return;
    unsigned length = MIN(size, drive->pio_end - drive->pio_at);
    memcpy(drive->buffer + drive->pio_at, &value, length);
    drive->pio_at += length;
    if (drive->pio_at == drive->pio_end)
        ata_pio_done(drive);
}

static uint8_t register_read(struct channel *channel, unsigned offset)
{
    const struct ata_drive *drive = selected(channel);
    unsigned previous = channel->control & CONTROL_HIGH_ORDER ? 1 : 0;
    if (!drive) /* the other drive, if there is one, drives the bus low */
        return 0;
    switch (offset) {
    case 1:
        return drive->error;
    case 2:
        return drive->count[previous];
    case 3:
        return drive->lba_low[previous];
    case 4:
        return drive->lba_mid[previous];
    case 5:
        return drive->lba_high[previous];
    case 6:
        return drive->device | 0xa0 | (drive->unit ? ATA_DEVICE_SECOND : 0);
    default:
        interrupt_clear(channel);
        return drive->status;
    }
}

static void push(uint8_t *pair, uint8_t value)
{
    pair[1] = pair[0];
    pair[0] = value;
}

/* Both drives listen; only the selected one executes, except what asks who is there. */
static void register_write(struct channel *channel, unsigned offset, uint8_t value)
{
    channel->control &= ~CONTROL_HIGH_ORDER;
    if (offset == 6)
        channel->selected = value & ATA_DEVICE_SECOND ? 1 : 0;
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = channel->bus.drives[unit];
        if (!drive || drive->phase == ATA_BUSY)
            continue;
        switch (offset) {
        case 1:
            push(drive->feature, value);
            break;
        case 2:
            push(drive->count, value);
            break;
        case 3:
            push(drive->lba_low, value);
            break;
        case 4:
            push(drive->lba_mid, value);
            break;
        case 5:
            push(drive->lba_high, value);
            break;
        case 6:
            drive->device = value;
            break;
        case 7:
            if (unit == channel->selected || value == 0x90) {
                interrupt_clear(channel);
                ata_command(drive, value);
            }
            break;
        }
    }
}

static struct channel *command_channel(struct piix_ide *ide, uint64_t port)
{
    return &ide->channels[port];
}

static uint64_t command_read(struct channel *channel, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    if (offset == 0)
        return data_read(channel, size);
    for (unsigned i = 0; i < size && offset + i < 8; i++)
        value |= (uint64_t)register_read(channel, offset + i) << 8 * i;
    return value;
}

static void command_write(struct channel *channel, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == 0) {
        data_write(channel, value, size);
        return;
    }
    for (unsigned i = 0; i < size && offset + i < 8; i++)
        register_write(channel, offset + i, value >> 8 * i);
}

static void control_write(struct channel *channel, uint8_t value)
{
    bool was = channel->control & CONTROL_RESET, is = value & CONTROL_RESET;
    channel->control = value;
    for (unsigned unit = 0; unit < 2; unit++) {
        struct ata_drive *drive = channel->bus.drives[unit];
        if (!drive)
            continue;
        if (is && !was)
            drive->status = ATA_BSY;
        else if (was && !is)
            ata_reset(drive, false);
    }
    if (was && !is) {
        channel->selected = 0;
        channel->dma = NULL;
        channel->interrupt = false;
    }
    interrupt_update(channel);
}

static uint8_t alternate_status(const struct channel *channel)
{
    const struct ata_drive *drive = selected(channel);
    return drive ? drive->status : 0;
}

/* One set of callbacks a channel: the regions' offsets do not tell which it is. */
#define CHANNEL_OPS(number) \
    static uint64_t command_read_##number(struct device *dev, uint64_t offset, unsigned size) \
    { \
        struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev); \
        return command_read(command_channel(ide, number), offset, size); \
    } \
    static void command_write_##number(struct device *dev, uint64_t offset, uint64_t value, \
                                       unsigned size) \
    { \
        struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev); \
        command_write(command_channel(ide, number), offset, value, size); \
    } \
    static uint64_t control_read_##number(struct device *dev, uint64_t offset, unsigned size) \
    { \
        struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev); \
        return alternate_status(command_channel(ide, number)); \
    } \
    static void control_write_##number(struct device *dev, uint64_t offset, uint64_t value, \
                                       unsigned size) \
    { \
        struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev); \
        control_write(command_channel(ide, number), value); \
    } \
    static const struct region_ops command_ops_##number = { .read = command_read_##number, \
                                                            .write = command_write_##number, \
                                                            .max_size = 4 }; \
    static const struct region_ops control_ops_##number = { .read = control_read_##number, \
                                                            .write = control_write_##number, \
                                                            .max_size = 1 }

CHANNEL_OPS(0);
CHANNEL_OPS(1);

static const struct {
    const struct region_ops *command, *control;
    uint16_t command_port, control_port;
    uint8_t irq;
    const char *command_name, *control_name;
} legacy[2] = {
    { &command_ops_0, &control_ops_0, 0x1f0, 0x3f6, 14, "ide-0-command", "ide-0-control" },
    { &command_ops_1, &control_ops_1, 0x170, 0x376, 15, "ide-1-command", "ide-1-control" },
};

/* --- the function ----------------------------------------------------------------------------- */

enum { IDE_TIMING = 0x40 /* one 16-bit register a channel */, IDE_DECODE = 1 << 15 };

static bool piix_realize(struct device *dev, GError **error)
{
    struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev);
    for (unsigned i = 0; i < 2; i++) {
        struct channel *channel = &ide->channels[i];
        channel->ide = ide;
        channel->irq = legacy[i].irq;
        channel->bus.ops = &adapter_ops;
        channel->bus.units = 2;
        bus_init(&channel->bus.bus, &bus_ide, dev, NULL);
        channel->bus.bus.max_devices = 2;
        channel->command = (struct region){ .name = legacy[i].command_name,
                                            .base = legacy[i].command_port,
                                            .size = 8,
                                            .ops = legacy[i].command,
                                            .dev = dev };
        channel->control_port = (struct region){ .name = legacy[i].control_name,
                                                 .base = legacy[i].control_port,
                                                 .size = 1,
                                                 .ops = legacy[i].control,
                                                 .dev = dev };
        address_space_add(dev->vm->io, &channel->command);
        address_space_add(dev->vm->io, &channel->control_port);
        pci_config_define(&ide->function, IDE_TIMING + 2 * i, 2, IDE_DECODE, 0xffff);
    }
    ide->bus_master =
        (struct region){ .name = "ide-bus-master", .size = 16, .ops = &bm_ops, .dev = dev };
    pci_bar_define(&ide->function, 4, PCI_BAR_IO, 16);
    pci_bar_add_region(&ide->function, 4, 0, &ide->bus_master);
    return true;
}

static void piix_unrealize(struct device *dev)
{
    struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev);
    for (unsigned i = 0; i < 2; i++) {
        address_space_remove(dev->vm->io, &ide->channels[i].command);
        address_space_remove(dev->vm->io, &ide->channels[i].control_port);
        bus_destroy(&ide->channels[i].bus.bus);
    }
}

static void piix_reset(struct device *dev)
{
    struct piix_ide *ide = container_of(dev, struct piix_ide, function.dev);
    for (unsigned i = 0; i < 2; i++) {
        struct channel *channel = &ide->channels[i];
        ide_bus_reset(&channel->bus);
        channel->selected = 0;
        channel->control = channel->bm_command = channel->bm_status = 0;
        channel->table = channel->entry = channel->rest = 0;
        channel->dma = NULL;
        channel->last = false;
        interrupt_clear(channel);
    }
}

static const struct pci_type piix3_pci = { .vendor = 0x8086, .device = 0x7010, .class = 0x010180 };
static const struct pci_type piix4_pci = { .vendor = 0x8086, .device = 0x7111, .class = 0x010180 };

DEVICE_TYPE(piix3_ide) = {
    .name = "piix3-ide",
    .description = "IDE controller of PIIX3",
    .category = DEVICE_CATEGORY_STORAGE,
    .bus = &bus_pci,
    .on_bus = &piix3_pci,
    .board_only = true,
    .size = sizeof(struct piix_ide),
    .firmware_name = "ide",
    .realize = piix_realize,
    .reset = piix_reset,
    .unrealize = piix_unrealize,
};

DEVICE_TYPE(piix4_ide) = {
    .name = "piix4-ide",
    .description = "IDE controller of PIIX4",
    .category = DEVICE_CATEGORY_STORAGE,
    .bus = &bus_pci,
    .on_bus = &piix4_pci,
    .board_only = true,
    .size = sizeof(struct piix_ide),
    .firmware_name = "ide",
    .realize = piix_realize,
    .reset = piix_reset,
    .unrealize = piix_unrealize,
};
