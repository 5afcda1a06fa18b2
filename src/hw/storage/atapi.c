/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packet commands of a CD/DVD-ROM drive. (MMC-6; INQUIRY, REQUEST SENSE, MODE SENSE: SPC-4) */
#include <string.h>

#include "hw/storage/ata.h"
#include "util/log.h"

#define SECTOR 2048u
#define RAW_SECTOR 2352u
#define CD_SECTORS_MAX (80u * 60 * 75) /* a larger medium is a DVD */

enum sense_key { NO_SENSE = 0, NOT_READY = 2, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6 };
enum sense_code { /* additional sense code << 8 | qualifier */
                  INVALID_COMMAND = 0x2000,
                  OUT_OF_RANGE = 0x2100,
                  INVALID_FIELD = 0x2400,
                  MEDIUM_MAY_HAVE_CHANGED = 0x2800,
                  NO_MEDIUM = 0x3a00,
                  NO_MEDIUM_TRAY_CLOSED = 0x3a01,
                  NO_MEDIUM_TRAY_OPEN = 0x3a02,
                  REMOVAL_PREVENTED = 0x5302,
};
enum profile { PROFILE_CD_ROM = 0x08, PROFILE_DVD_ROM = 0x10 };

static uint16_t get16(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void good(struct ata_drive *drive)
{
    drive->sense = (struct ata_sense){ 0 };
    drive->count[0] = ATA_REASON_COMMAND | ATA_REASON_INPUT;
    ata_end(drive);
}

static void check(struct ata_drive *drive, enum sense_key key, enum sense_code code)
{
    drive->sense = (struct ata_sense){ .key = key, .code = code >> 8, .qualifier = code & 0xff };
    drive->count[0] = ATA_REASON_COMMAND | ATA_REASON_INPUT;
    ata_fail(drive, key << 4 | (key == ILLEGAL_REQUEST ? ATA_ERROR_ABORT : 0));
}

/* The most bytes of a block of data: the byte count limit the host has set. It is even; zero stands
 * for the largest. */
static unsigned block_limit(const struct ata_drive *drive)
{
    unsigned limit = drive->lba_mid[0] | drive->lba_high[0] << 8;
    if (!limit || limit == 0xffff)
        limit = 0xfffe;
    return MAX(limit & ~1u, 2);
}

/* The first bytes of the buffer, as many as the command allows. */
static void reply(struct ata_drive *drive, unsigned length, unsigned allocated)
{
    drive->sense = (struct ata_sense){ 0 };
    length = MIN(length, allocated);
    if (!length) {
        good(drive);
        return;
    }
    drive->block = block_limit(drive);
    ata_reply(drive, length);
}

/* --- the medium ------------------------------------------------------------------------------- */

static bool has_medium(const struct ata_drive *drive)
{
    return !drive->tray_open && disk_has_medium(&drive->disk);
}

static uint32_t last_sector(const struct ata_drive *drive)
{
    uint64_t sectors = ata_sectors(drive);
    return sectors ? MIN(sectors, UINT32_MAX) - 1 : 0;
}

static enum profile medium_profile(const struct ata_drive *drive)
{
    return ata_sectors(drive) > CD_SECTORS_MAX ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

static void not_ready(struct ata_drive *drive)
{
    check(drive, NOT_READY, drive->tray_open ? NO_MEDIUM_TRAY_OPEN : NO_MEDIUM_TRAY_CLOSED);
}

void atapi_medium_changed(struct ata_drive *drive)
{
    drive->medium_changed = drive->event_new = true;
}

void atapi_reset(struct ata_drive *drive)
{
    drive->sense = (struct ata_sense){ 0 };
    drive->tray_locked = false;
}

static void read_sectors(struct ata_drive *drive, uint32_t first, uint32_t count, unsigned raw)
{
    uint64_t all = ata_sectors(drive);
    if (first >= all || count > all - first) {
        check(drive, ILLEGAL_REQUEST, OUT_OF_RANGE);
        return;
    }
    if (!count) {
        good(drive);
        return;
    }
    drive->media_at = (uint64_t)first * SECTOR;
    drive->media_left = (uint64_t)count * SECTOR;
    drive->pio_at = drive->buffer_end = 0;
    drive->block = block_limit(drive);
    drive->raw = raw;
    drive->sense = (struct ata_sense){ 0 };
    ata_start_in(drive, drive->feature[0] & 1);
}

static void minute_second_frame(uint8_t *at, uint32_t sector)
{
    sector += 150; /* the two seconds before the first track */
    at[0] = sector / 75 / 60;
    at[1] = sector / 75 % 60;
    at[2] = sector % 75;
}

static uint8_t bcd(uint8_t value)
{
    return value / 10 << 4 | value % 10;
}

/* Mode 1: sync, address, 2048 bytes of data; the error correction bytes are left zero, as there is
 * nothing to correct. From the last sector to the first, for they grow. */
void atapi_expand(struct ata_drive *drive, unsigned sectors)
{
    uint32_t first = drive->media_at / SECTOR - sectors;
    for (unsigned i = sectors; i--;) {
        uint8_t *to = drive->buffer + i * RAW_SECTOR;
        memmove(to + 16, drive->buffer + i * SECTOR, SECTOR);
        memset(to + 16 + SECTOR, 0, RAW_SECTOR - 16 - SECTOR);
        memset(to, 0xff, 12);
        to[0] = to[11] = 0;
        minute_second_frame(to + 12, first + i);
        for (unsigned byte = 12; byte < 15; byte++)
            to[byte] = bcd(to[byte]);
        to[15] = 1;
    }
}

/* --- commands --------------------------------------------------------------------------------- */

static void inquiry(struct ata_drive *drive)
{
    uint8_t *page = drive->buffer;
    unsigned allocated = get16(drive->packet + 3);
    if (drive->packet[1] & 1) { /* vital product data */
        memset(page, 0, 64);
        page[0] = 5;
        page[1] = drive->packet[2];
        if (drive->packet[2] == 0x00) {
            page[3] = 2;
            page[5] = 0x80;
            reply(drive, 6, allocated);
        } else if (drive->packet[2] == 0x80) {
            page[3] = strlen(drive->serial);
            memcpy(page + 4, drive->serial, page[3]);
            reply(drive, 4 + page[3], allocated);
        } else {
            check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
        }
        return;
    }
    memset(page, ' ', 36);
    memcpy(page, (uint8_t[]){ 5, 0x80, 0, 0x21, 31, 0, 0, 0 }, 8);
    memcpy(page + 8, "QEMU", 4);
    memcpy(page + 16, drive->model, MIN(strlen(drive->model), 16));
    memcpy(page + 32, drive->version, MIN(strlen(drive->version), 4));
    reply(drive, 36, allocated);
}

static void request_sense(struct ata_drive *drive)
{
    struct ata_sense sense = drive->sense;
    if (drive->medium_changed && sense.key == NO_SENSE) {
        drive->medium_changed = false;
        sense = (struct ata_sense){ UNIT_ATTENTION, MEDIUM_MAY_HAVE_CHANGED >> 8, 0 };
    }
    memset(drive->buffer, 0, 18);
    drive->buffer[0] = 0x70;
    drive->buffer[2] = sense.key;
    drive->buffer[7] = 10;
    drive->buffer[12] = sense.code;
    drive->buffer[13] = sense.qualifier;
    reply(drive, 18, drive->packet[4]);
}

static void start_stop(struct ata_drive *drive)
{
    bool load_eject = drive->packet[4] & 2, start = drive->packet[4] & 1;
    if (load_eject && !start && drive->tray_locked) {
        check(drive, ILLEGAL_REQUEST, REMOVAL_PREVENTED);
        return;
    }
    if (load_eject && drive->tray_open == start) {
        drive->tray_open = !start;
        if (start && has_medium(drive))
            atapi_medium_changed(drive);
    }
    good(drive);
}

static void prevent_removal(struct ata_drive *drive)
{
    drive->tray_locked = drive->packet[4] & 1;
    good(drive);
}

static void read_capacity(struct ata_drive *drive)
{
    put32(drive->buffer, last_sector(drive));
    put32(drive->buffer + 4, SECTOR);
    reply(drive, 8, 8);
}

static void toc_entry(uint8_t *at, uint8_t track, uint32_t sector, bool msf)
{
    memset(at, 0, 8);
    at[1] = 0x14; /* data track; the subchannel holds its position */
    at[2] = track;
    if (msf)
        minute_second_frame(at + 5, sector);
    else
        put32(at + 4, sector);
}

/* One session with one track. */
static void read_toc(struct ata_drive *drive)
{
    bool msf = drive->packet[1] & 2;
    unsigned format = drive->packet[2] & 15, allocated = get16(drive->packet + 7);
    uint8_t *page = drive->buffer, track = drive->packet[6];
    unsigned length = 4;
    if (!format)
        format = drive->packet[9] >> 6;
    memset(page, 0, 64);
    page[2] = page[3] = 1; /* first and last track, or session */
    if (format == 0) {
        if (track > 1 && track != 0xaa) {
            check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
            return;
        }
        if (track <= 1) {
            toc_entry(page + length, 1, 0, msf);
            length += 8;
        }
        toc_entry(page + length, 0xaa, last_sector(drive) + 1, msf);
        length += 8;
    } else if (format == 1) {
        toc_entry(page + length, 1, 0, msf);
        length += 8;
    } else if (format == 2) {
        static const uint8_t points[] = { 0xa0, 0xa1, 0xa2, 1 };
        for (unsigned i = 0; i < G_N_ELEMENTS(points); i++, length += 11) {
            uint8_t *entry = page + length;
            entry[0] = 1;
            entry[1] = 0x14;
            entry[3] = points[i];
            if (points[i] == 0xa0 || points[i] == 0xa1)
                entry[8] = 1;
            else
                minute_second_frame(entry + 8, points[i] == 0xa2 ? last_sector(drive) + 1 : 0);
        }
    } else {
        check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
        return;
    }
    put16(page, length - 2);
    reply(drive, length, allocated);
}

static void read_cd(struct ata_drive *drive)
{
    uint32_t first = get32(drive->packet + 2);
    uint32_t count = (uint32_t)drive->packet[6] << 16 | get16(drive->packet + 7);
    switch (drive->packet[9] & 0xf8) {
    case 0x00: /* nothing wanted */
        good(drive);
        break;
    case 0x10: /* user data */
        read_sectors(drive, first, count, 0);
        break;
    case 0xf8: /* everything */
        read_sectors(drive, first, count, RAW_SECTOR);
        break;
    default:
        check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
    }
}

static uint8_t *feature(uint8_t *at, unsigned number, bool current, unsigned length)
{
    memset(at, 0, 4 + length);
    put16(at, number);
    at[2] = 1 << 2 | 1 << 1 | current; /* version 1, persistent */
    at[3] = length;
    return at + 4;
}

static void get_configuration(struct ata_drive *drive)
{
    enum {
        PROFILES = 0,
        CORE = 1,
        REMOVABLE = 3,
        MULTI_READ = 0x1d,
        CD_READ = 0x1e,
        DVD_READ = 0x1f
    };
    bool medium = has_medium(drive);
    unsigned current = medium ? medium_profile(drive) : 0;
    uint8_t *page = drive->buffer, *at = page + 8, *data;
    memset(page, 0, 8);
    put16(page + 6, current);

    data = feature(at, PROFILES, true, 8);
    put16(data, PROFILE_DVD_ROM);
    data[2] = current == PROFILE_DVD_ROM;
    put16(data + 4, PROFILE_CD_ROM);
    data[6] = current == PROFILE_CD_ROM;
    data = feature(data + 8, CORE, true, 8);
    put32(data, 2); /* physical interface: ATAPI */
    data[4] = 1;    /* device busy event */
    data = feature(data + 8, REMOVABLE, true, 4);
    data[0] = 1 << 5 | 1 << 3 | 1; /* tray, eject, lock */
    data = feature(data + 4, CD_READ, current == PROFILE_CD_ROM, 4);
    data = feature(data + 4, DVD_READ, current == PROFILE_DVD_ROM, 4);
    at = data + 4;
    put32(page, at - page - 4);
    reply(drive, at - page, get16(drive->packet + 7));
}

static void get_event_status(struct ata_drive *drive)
{
    enum { MEDIA_CLASS = 4, EVENT_EJECT = 1, EVENT_NEW = 2 };
    uint8_t *page = drive->buffer;
    if (!(drive->packet[1] & 1)) { /* asynchronous operation is not offered */
        check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
        return;
    }
    memset(page, 0, 8);
    page[3] = 1 << MEDIA_CLASS;
    if (!(drive->packet[4] & 1 << MEDIA_CLASS)) {
        put16(page, 2);
        page[2] = 0x80; /* no such event */
        reply(drive, 4, get16(drive->packet + 7));
        return;
    }
    put16(page, 6);
    page[2] = MEDIA_CLASS;
    page[4] = drive->event_eject ? EVENT_EJECT : drive->event_new ? EVENT_NEW : 0;
    page[5] = has_medium(drive) << 1 | drive->tray_open;
    if (drive->event_eject)
        drive->event_eject = false;
    else
        drive->event_new = false;
    reply(drive, 8, get16(drive->packet + 7));
}

/* Fills in the mode page; returns its length, 0 if there is no such page. */
static unsigned mode_page(struct ata_drive *drive, unsigned number, uint8_t *at)
{
    switch (number) {
    case 0x01: /* read error recovery: all that is possible */
        memset(at, 0, 8);
        at[0] = number;
        at[1] = 6;
        at[3] = 5; /* retries */
        return 8;
    case 0x0e: /* audio control */
        memset(at, 0, 16);
        at[0] = number;
        at[1] = 14;
        return 16;
    case 0x2a: /* capabilities */
        memset(at, 0, 20);
        at[0] = number;
        at[1] = 18;
        at[2] = 0x3b;                           /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
        at[4] = 0x70;                           /* mode 2 forms, multisession */
        at[6] = 0x29 | drive->tray_locked << 1; /* tray, eject, lock */
        put16(at + 8, 706);                     /* speed, kB/s: 4x */
        put16(at + 10, 2);
        put16(at + 12, 512); /* buffer, KiB */
        put16(at + 14, 706);
        return 20;
    default:
        return 0;
    }
}

static void mode_sense(struct ata_drive *drive)
{
    static const uint8_t pages[] = { 0x01, 0x0e, 0x2a };
    unsigned number = drive->packet[2] & 0x3f, control = drive->packet[2] >> 6, length = 8;
    if (control == 3) { /* saved values */
        check(drive, ILLEGAL_REQUEST, 0x3900);
        return;
    }
    memset(drive->buffer, 0, 8);
    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++)
        if (number == 0x3f || number == pages[i])
            length += mode_page(drive, pages[i], drive->buffer + length);
    if (length == 8) {
        check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
        return;
    }
    put16(drive->buffer, length - 2);
    drive->buffer[2] = has_medium(drive) ? 0x01 : 0x70;
    reply(drive, length, get16(drive->packet + 7));
}

static void read_disc_information(struct ata_drive *drive)
{
    uint8_t *page = drive->buffer;
    memset(page, 0, 34);
    put16(page, 32);
    page[2] = 0x0e;                            /* finalized, last session complete */
    page[3] = page[4] = page[5] = page[6] = 1; /* first track, sessions, tracks of the last one */
    page[7] = 0x20;                            /* unrestricted use */
    reply(drive, 34, get16(drive->packet + 7));
}

static void read_dvd_structure(struct ata_drive *drive)
{
    uint8_t *page = drive->buffer;
    unsigned allocated = get16(drive->packet + 8), format = drive->packet[7];
    uint32_t sectors = last_sector(drive) + 1;
    if (medium_profile(drive) != PROFILE_DVD_ROM || drive->packet[6]) {
        check(drive, ILLEGAL_REQUEST, 0x3002); /* incompatible format */
        return;
    }
    memset(page, 0, 2052);
    switch (format) {
    case 0x00: /* physical */
        put16(page, 2050);
        page[4] = 1;              /* DVD-ROM, part version 1 */
        page[5] = 0x0f;           /* 120 mm, rate not told */
        page[6] = 1;              /* one layer, read only */
        put32(page + 8, 0x30000); /* first sector of the data area */
        put32(page + 12, 0x30000 + sectors - 1);
        reply(drive, 2052, allocated);
        break;
    case 0x01: /* copyright: none */
        put16(page, 6);
        reply(drive, 8, allocated);
        break;
    case 0x04: /* manufacturing */
        put16(page, 2050);
        reply(drive, 2052, allocated);
        break;
    default:
        check(drive, ILLEGAL_REQUEST, INVALID_FIELD);
    }
}

static void mechanism_status(struct ata_drive *drive)
{
    memset(drive->buffer, 0, 8);
    drive->buffer[1] = drive->tray_open << 4;
    drive->buffer[5] = 1;
    reply(drive, 8, get16(drive->packet + 8));
}

static void read_subchannel(struct ata_drive *drive)
{
    memset(drive->buffer, 0, 4);
    drive->buffer[1] = 0x15; /* no audio status */
    reply(drive, 4, get16(drive->packet + 7));
}

static void read_10(struct ata_drive *drive)
{
    read_sectors(drive, get32(drive->packet + 2), get16(drive->packet + 7), 0);
}

static void read_12(struct ata_drive *drive)
{
    read_sectors(drive, get32(drive->packet + 2), get32(drive->packet + 6), 0);
}

static void seek(struct ata_drive *drive)
{
    if (get32(drive->packet + 2) > last_sector(drive))
        check(drive, ILLEGAL_REQUEST, OUT_OF_RANGE);
    else
        good(drive);
}

/* Commands that work without a medium, and those that do not report that it has changed. */
enum { WITHOUT_MEDIUM = 1, NO_ATTENTION = 2 };

static const struct {
    uint8_t code, flags;
    void (*run)(struct ata_drive *drive);
} commands[] = {
    { 0x00, 0, good }, /* TEST UNIT READY */
    { 0x03, WITHOUT_MEDIUM | NO_ATTENTION, request_sense },
    { 0x12, WITHOUT_MEDIUM | NO_ATTENTION, inquiry },
    { 0x1b, WITHOUT_MEDIUM, start_stop },
    { 0x1e, WITHOUT_MEDIUM, prevent_removal },
    { 0x25, 0, read_capacity },
    { 0x28, 0, read_10 },
    { 0x2b, 0, seek },
    { 0x42, 0, read_subchannel },
    { 0x43, 0, read_toc },
    { 0x46, WITHOUT_MEDIUM | NO_ATTENTION, get_configuration },
    { 0x4a, WITHOUT_MEDIUM | NO_ATTENTION, get_event_status },
    { 0x51, 0, read_disc_information },
    { 0x5a, WITHOUT_MEDIUM, mode_sense },
    { 0xa8, 0, read_12 },
    { 0xad, 0, read_dvd_structure },
    { 0xbb, WITHOUT_MEDIUM, good }, /* SET CD SPEED */
    { 0xbd, WITHOUT_MEDIUM, mechanism_status },
    { 0xbe, 0, read_cd },
};

void atapi_command(struct ata_drive *drive)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].code != drive->packet[0])
            continue;
        if (drive->medium_changed && has_medium(drive) && !(commands[i].flags & NO_ATTENTION)) {
            drive->medium_changed = false;
            check(drive, UNIT_ATTENTION, MEDIUM_MAY_HAVE_CHANGED);
        } else if (!has_medium(drive) && !(commands[i].flags & WITHOUT_MEDIUM)) {
            not_ready(drive);
        } else {
            commands[i].run(drive);
        }
        return;
    }
    log_if(LOG_UNIMP, "ATAPI: command %02x is refused", drive->packet[0]);
    check(drive, ILLEGAL_REQUEST, INVALID_COMMAND);
}
