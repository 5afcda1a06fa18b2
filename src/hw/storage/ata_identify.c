/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a drive tells of itself: IDENTIFY DEVICE, IDENTIFY PACKET DEVICE, and SMART.
 * (ATA/ATAPI Command Set - 3, 7.12, 7.13, 7.48; older words: ATA/ATAPI-6, 8.15) */
#include <string.h>

#include "hw/storage/ata.h"

#define MULTIPLE_MAX 16
#define MAX_LBA28 0x0fffffffu

static void put(uint8_t *page, unsigned word, uint64_t value, unsigned words)
{
    for (unsigned i = 0; i < 2 * words; i++)
        page[2 * word + i] = value >> (8 * i);
}

/* Texts are padded with blanks, the first letter of each pair in the high byte. */
static void put_text(uint8_t *page, unsigned word, unsigned words, const char *text)
{
    size_t length = strlen(text);
    for (unsigned i = 0; i < 2 * words; i++)
        page[2 * word + (i ^ 1)] = i < length ? text[i] : ' ';
}

/* The supported modes of a kind in the low byte, the selected one in the high byte. */
static unsigned modes(const struct ata_drive *drive, unsigned supported, unsigned kind)
{
    unsigned selected = drive->transfer_mode >> 3 == kind ? 1u << (drive->transfer_mode & 7) : 0;
    return supported | (selected & supported) << 8;
}

static void put_common(const struct ata_drive *drive, uint8_t *page)
{
    put_text(page, 10, 10, drive->serial);
    put_text(page, 23, 4, drive->version);
    put_text(page, 27, 20, drive->model);
    put(page, 48, 1, 1);                  /* 32-bit PIO */
    put(page, 53, 7, 1);                  /* words 54-58, 64-70 and 88 are valid */
    put(page, 62, modes(drive, 7, 2), 1); /* single word DMA 0-2 */
    put(page, 63, modes(drive, 7, 4), 1); /* multiword DMA 0-2 */
    put(page, 64, 3, 1);                  /* PIO 3 and 4 */
    for (unsigned word = 65; word <= 68; word++)
        put(page, word, 120, 1); /* cycle times, ns */
    put(page, 80, 0xf0, 1);      /* ATA-4 to ATA-7 */
    put(page, 81, 0x16, 1);
    put(page, 88, modes(drive, 0x3f, 8), 1);                         /* Ultra DMA 0-5 */
    put(page, 93, drive->serial_ata ? 0 : 1 | 1 << 13 | 1 << 14, 1); /* 80-wire cable */
    if (drive->serial_ata)
        put(page, 76, (drive->kind == ATA_DISK ? 1 << 8 : 0) | 3 << 1, 1);
}

static void identify_disk(const struct ata_drive *drive, uint8_t *page)
{
    uint64_t sectors = ata_sectors(drive);
    uint64_t visible = (uint64_t)drive->cylinders * drive->current_heads * drive->current_sectors;
    bool trim = !disk_is_read_only(&drive->disk);
    unsigned extra = 1 << 14 | (drive->wwn ? 1 << 8 : 0) | 1 << 6 /* FUA */
                     | (drive->serial_ata ? 1 << 5 /* logs */ : 0);

    put(page, 0, 0x0040, 1); /* fixed */
    put(page, 1, drive->cylinders, 1);
    put(page, 3, drive->heads, 1);
    put(page, 4, ATA_SECTOR * drive->sectors, 1);
    put(page, 5, ATA_SECTOR, 1);
    put(page, 6, drive->sectors, 1);
    put(page, 20, 3, 1);   /* buffer: dual ported, read-ahead */
    put(page, 21, 512, 1); /* sectors of buffer */
    put(page, 22, 4, 1);
    put(page, 47, 0x8000 | MULTIPLE_MAX, 1);
    put(page, 49, 1 << 11 | 1 << 9 | 1 << 8, 1); /* IORDY, LBA, DMA */
    put(page, 51, 0x200, 1);
    put(page, 52, 0x200, 1);
    put(page, 54, drive->cylinders, 1);
    put(page, 55, drive->current_heads, 1);
    put(page, 56, drive->current_sectors, 1);
    put(page, 57, MIN(visible, UINT32_MAX), 2);
    put(page, 59, drive->multiple ? 0x100 | drive->multiple : 0, 1);
    put(page, 60, MIN(sectors, MAX_LBA28), 2);
    put(page, 69, trim ? 1 << 14 : 0, 1); /* trimmed sectors: always the same contents */
    if (drive->serial_ata)
        put(page, 75, 31, 1);                                /* commands queued, less one */
    put(page, 82, 1 << 14 | 1 << 5 | 1, 1);                  /* NOP, write cache, SMART */
    put(page, 83, 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10, 1); /* flush (EXT), 48-bit LBA */
    put(page, 84, extra, 1);
    put(page, 85, 1 << 14 | (drive->write_cache ? 1 << 5 : 0) | drive->smart, 1);
    put(page, 86, 1 << 13 | 1 << 12 | 1 << 10, 1);
    put(page, 87, extra, 1);
    put(page, 100, sectors, 4);
    if (drive->physical_block > drive->logical_block)
        put(page, 106, 0x6000 | __builtin_ctz(drive->physical_block / drive->logical_block), 1);
    else
        put(page, 106, 0x4000, 1);
    for (unsigned i = 0; drive->wwn && i < 4; i++)
        put(page, 108 + i, drive->wwn >> (48 - 16 * i), 1);
    put(page, 105, trim ? ATA_BUFFER / ATA_SECTOR : 0, 1); /* most sectors of trim ranges */
    put(page, 169, trim, 1);
    put(page, 217, drive->rotation_rate, 1);
}

static void identify_cdrom(const struct ata_drive *drive, uint8_t *page)
{
    put(page, 0, 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5, 1); /* ATAPI, CD-ROM, removable, 50 us */
    put(page, 20, 3, 1);
    put(page, 21, 512, 1);
    put(page, 22, 4, 1);
    put(page, 49, 1 << 11 | 1 << 9 | 1 << 8, 1);
    put(page, 82, 1 << 9 | 1 << 4, 1); /* DEVICE RESET, PACKET */
    put(page, 83, 1 << 14, 1);
    put(page, 84, 1 << 14, 1);
    put(page, 85, 1 << 9 | 1 << 4, 1);
    put(page, 87, 1 << 14, 1);
}

void ata_identify(const struct ata_drive *drive, uint8_t *page)
{
    memset(page, 0, ATA_SECTOR);
    put_common(drive, page);
    if (drive->kind == ATA_DISK)
        identify_disk(drive, page);
    else
        identify_cdrom(drive, page);
}

/* --- SMART ------------------------------------------------------------------------------------ */

enum {
    SMART_DATA = 0xd0,
    SMART_THRESHOLDS = 0xd1,
    SMART_AUTOSAVE = 0xd2,
    SMART_SAVE = 0xd3,
    SMART_OFFLINE = 0xd4,
    SMART_LOG = 0xd5,
    SMART_ENABLE = 0xd8,
    SMART_DISABLE = 0xd9,
    SMART_STATUS = 0xda
};

/* A healthy drive's attributes: id, flags, value, worst, raw value, threshold. */
static const struct {
    uint8_t id, flags, value, worst, raw, threshold;
} attributes[] = {
    { 1, 3, 100, 100, 0, 6 },    /* raw read error rate */
    { 3, 3, 100, 100, 16, 0 },   /* spin-up time */
    { 4, 2, 100, 100, 100, 20 }, /* starts and stops */
    { 5, 3, 100, 100, 0, 36 },   /* reallocated sectors */
    { 9, 3, 100, 100, 1, 0 },    /* hours */
    { 12, 3, 100, 100, 0, 0 },   /* power cycles */
    { 190, 3, 69, 69, 31, 50 },  /* air flow temperature */
};

static void checksum(uint8_t *page)
{
    uint8_t sum = 0;
    for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
        sum += page[i];
    page[ATA_SECTOR - 1] = -sum;
}

static void attributes_write(uint8_t *page, bool thresholds)
{
    memset(page, 0, ATA_SECTOR);
    page[0] = 1; /* version */
    for (unsigned i = 0; i < G_N_ELEMENTS(attributes); i++) {
        uint8_t *entry = page + 2 + 12 * i;
        entry[0] = attributes[i].id;
        entry[1] = thresholds ? attributes[i].threshold : attributes[i].flags;
        if (thresholds)
            continue;
        entry[3] = attributes[i].value;
        entry[4] = attributes[i].worst;
        entry[5] = attributes[i].raw;
    }
    if (!thresholds) {
        page[362] = 0x02;       /* off-line data collection: completed */
        page[364] = 120;        /* its seconds */
        page[367] = 1 << 4 | 1; /* off-line commands and self-tests exist */
        page[368] = 3;
        page[372] = 2; /* minutes of the short self-test */
        page[373] = 54;
    }
    checksum(page);
}

/* --- logs ------------------------------------------------------------------------------------- */

bool ata_read_log(struct ata_drive *drive)
{
    enum { DIRECTORY = 0x00, QUEUED_ERROR = 0x10 };
    uint8_t *page = drive->buffer;
    if (!drive->serial_ata || drive->count[0] != 1 || drive->count[1] || drive->lba_mid[0])
        return false;
    memset(page, 0, ATA_SECTOR);
    if (drive->lba_low[0] == DIRECTORY) {
        put(page, 0, 1, 1);
        put(page, QUEUED_ERROR, 1, 1); /* one page */
    } else if (drive->lba_low[0] == QUEUED_ERROR) {
        const struct ata_queue_error *failed = &drive->queue_error;
        page[0] = failed->valid ? failed->tag : 0x80;
        page[2] = failed->status;
        page[3] = failed->error;
        for (unsigned byte = 0; byte < 3; byte++) {
            page[4 + byte] = failed->sector >> 8 * byte;
            page[8 + byte] = failed->sector >> (24 + 8 * byte);
        }
        page[12] = failed->sectors;
        page[13] = failed->sectors >> 8;
        checksum(page);
        drive->queue_error.valid = false;
    } else {
        return false;
    }
    drive->block = ATA_SECTOR;
    ata_reply(drive, ATA_SECTOR);
    return true;
}

bool ata_smart(struct ata_drive *drive)
{
    if (drive->lba_mid[0] != 0x4f || drive->lba_high[0] != 0xc2)
        return false;
    if (!drive->smart && drive->feature[0] != SMART_ENABLE)
        return false;
    switch (drive->feature[0]) {
    case SMART_ENABLE:
    case SMART_DISABLE:
        drive->smart = drive->feature[0] == SMART_ENABLE;
        break;
    case SMART_STATUS: /* mid and high as they are: no threshold exceeded */
    case SMART_AUTOSAVE:
    case SMART_SAVE:
    case SMART_OFFLINE:
        break;
    case SMART_DATA:
    case SMART_THRESHOLDS:
        attributes_write(drive->buffer, drive->feature[0] == SMART_THRESHOLDS);
        drive->block = ATA_SECTOR;
        ata_reply(drive, ATA_SECTOR);
        return true;
    case SMART_LOG:
        if (drive->lba_low[0] > 1 && drive->lba_low[0] != 6)
            return false; /* the directory, the error log and the self-test log exist, empty */
        memset(drive->buffer, 0, ATA_SECTOR);
        drive->buffer[0] = 1;
        checksum(drive->buffer);
        drive->block = ATA_SECTOR;
        ata_reply(drive, ATA_SECTOR);
        return true;
    default:
        return false;
    }
    ata_end(drive);
    return true;
}
