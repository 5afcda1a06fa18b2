/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of ATA drives and how their data moves; packet commands are in atapi.c. */
#include "hw/storage/ata.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/log.h"
#include "vm/vm.h"

#define READY (ATA_DRDY | ATA_DSC)
#define CHUNK_SECTORS (ATA_BUFFER / ATA_SECTOR)
#define MULTIPLE_MAX 16

uint64_t ata_sectors(const struct ata_drive *drive)
{
    unsigned size = drive->kind == ATA_CDROM ? 2048 : ATA_SECTOR;
    return disk_length(&drive->disk) / size;
}

/* --- requests to the block layer -------------------------------------------------------------- */

static void request_done(struct disk_request *request, int error)
{
    struct ata_drive *drive = container_of(request, struct ata_drive, request);
    pthread_mutex_lock(&drive->adapter_dev->lock);
    drive->in_flight = false;
    if (drive->reset_pending) {
        drive->reset_pending = false;
        ata_reset(drive, false);
    } else {
        drive->then(drive, error);
    }
    pthread_mutex_unlock(&drive->adapter_dev->lock);
}

static void submit_deferred(void *opaque)
{
    struct ata_drive *drive = opaque;
    disk_submit(&drive->disk, &drive->request);
}

void ata_submit(struct ata_drive *drive, void (*then)(struct ata_drive *drive, int error))
{
    drive->phase = ATA_BUSY;
    drive->status = ATA_BSY;
    drive->then = then;
    drive->in_flight = true;
    drive->request.done = request_done;
    defer_schedule(&drive->submit);
}

void ata_drain(struct ata_drive *drive)
{
    if (atomic_load(&drive->submit.waiting)) {
        defer_cancel(&drive->submit);
        submit_deferred(drive);
    }
    disk_drain(&drive->disk);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void finish(struct ata_drive *drive, uint8_t error, bool interrupt)
{
    drive->phase = ATA_IDLE;
    drive->error = error;
    drive->status = READY | (error ? ATA_ERR : 0);
    drive->adapter->done(drive, interrupt);
}

void ata_end(struct ata_drive *drive)
{
    finish(drive, 0, true);
}

void ata_fail(struct ata_drive *drive, uint8_t error)
{
    finish(drive, error, true);
}

/* --- where on the medium ---------------------------------------------------------------------- */

static bool is_lba(const struct ata_drive *drive)
{
    return drive->device & ATA_DEVICE_LBA;
}

static uint64_t sector_get(const struct ata_drive *drive, bool extended)
{
    uint64_t low = drive->lba_low[0], mid = drive->lba_mid[0], high = drive->lba_high[0];
    if (extended)
        return low | mid << 8 | high << 16 | (uint64_t)drive->lba_low[1] << 24
               | (uint64_t)drive->lba_mid[1] << 32 | (uint64_t)drive->lba_high[1] << 40;
    if (is_lba(drive))
        return low | mid << 8 | high << 16 | (uint64_t)(drive->device & 15) << 24;
    uint64_t track = (mid | high << 8) * drive->current_heads + (drive->device & 15);
    return low ? track * drive->current_sectors + low - 1 : UINT64_MAX; /* sectors count from 1 */
}

static void sector_set(struct ata_drive *drive, uint64_t sector, bool extended)
{
    if (!extended && !is_lba(drive)) {
        uint64_t track = sector / drive->current_sectors;
        uint64_t cylinder = track / drive->current_heads;
        drive->lba_low[0] = sector % drive->current_sectors + 1;
        drive->lba_mid[0] = cylinder;
        drive->lba_high[0] = cylinder >> 8;
        drive->device = (drive->device & 0xf0) | track % drive->current_heads;
        return;
    }
    drive->lba_low[0] = sector;
    drive->lba_mid[0] = sector >> 8;
    drive->lba_high[0] = sector >> 16;
    if (!extended) {
        drive->device = (drive->device & 0xf0) | (sector >> 24 & 15);
        return;
    }
    drive->lba_low[1] = sector >> 24;
    drive->lba_mid[1] = sector >> 32;
    drive->lba_high[1] = sector >> 40;
}

static bool is_extended(uint8_t command)
{
    switch (command) {
    case 0x24 ... 0x29: /* reads and their native max */
    case 0x34 ... 0x39: /* writes */
    case 0x3d:
    case 0x42:
    case 0xce:
        return true;
    default:
        return false;
    }
}

/* The run of sectors that the registers name; false, and the command has failed, if it is not all
 * on the disk. */
static bool run_take(struct ata_drive *drive)
{
    bool extended = is_extended(drive->command);
    uint64_t sectors = drive->count[0], first = sector_get(drive, extended);
    if (extended)
        sectors |= drive->count[1] << 8;
    if (!sectors)
        sectors = extended ? 65536 : 256;
    uint64_t all = ata_sectors(drive);
    if (first >= all || sectors > all - first) {
        log_if(LOG_GUEST_ERRORS,
               "ATA: command %02x for %" PRIu64 " sectors at %" PRIu64 " of %" PRIu64,
               drive->command, sectors, first, all);
        ata_fail(drive, ATA_ERROR_ID_NOT_FOUND);
        return false;
    }
    drive->media_at = first * ATA_SECTOR;
    drive->media_left = sectors * ATA_SECTOR;
    return true;
}

/* The registers name the last sector transferred, or after an error the first that was not. */
static void run_tell(struct ata_drive *drive, bool error)
{
    uint64_t sector = drive->media_at / ATA_SECTOR;
    bool extended = is_extended(drive->command);
    if (drive->kind == ATA_CDROM)
        return;
    sector_set(drive, error || !sector ? sector : sector - 1, extended);
    drive->count[0] = drive->media_left / ATA_SECTOR;
    drive->count[1] = extended ? drive->media_left / ATA_SECTOR >> 8 : drive->count[1];
}

static void media_failed(struct ata_drive *drive, int error)
{
    if (drive->kind == ATA_CDROM) {
        drive->sense = (struct ata_sense){ .key = 3, .code = 0x11 }; /* unrecovered read error */
        ata_fail(drive, drive->sense.key << 4);
        return;
    }
    run_tell(drive, true);
    ata_fail(drive, error == -ENOMEDIUM ? ATA_ERROR_ABORT : ATA_ERROR_UNCORRECTABLE);
}

/* --- towards the host ------------------------------------------------------------------------- */

static void in_next(struct ata_drive *drive);

static void in_block(struct ata_drive *drive)
{
    unsigned length = MIN(drive->buffer_end - drive->pio_at, drive->block);
    drive->pio_end = drive->pio_at + length;
    drive->phase = ATA_PIO_IN;
    drive->status = READY | ATA_DRQ;
    drive->error = 0;
    if (drive->kind == ATA_CDROM && drive->command == 0xa0) {
        drive->count[0] = ATA_REASON_INPUT;
        drive->lba_mid[0] = length;
        drive->lba_high[0] = length >> 8;
    }
    drive->adapter->pio(drive, true);
}

static unsigned medium_sector(const struct ata_drive *drive)
{
    return drive->kind == ATA_CDROM ? 2048 : ATA_SECTOR;
}

static void in_filled(struct ata_drive *drive, int error)
{
    unsigned sectors = drive->request.length / medium_sector(drive);
    if (error) {
        media_failed(drive, error);
        return;
    }
    drive->media_at += drive->request.length;
    drive->media_left -= drive->request.length;
    drive->pio_at = 0;
    drive->buffer_end = drive->request.length;
    if (drive->raw) {
        atapi_expand(drive, sectors);
        drive->buffer_end = sectors * drive->raw;
    }
    in_next(drive);
}

static void fill(struct ata_drive *drive)
{
    unsigned sector = medium_sector(drive);
    uint64_t length = MIN(drive->media_left, ATA_BUFFER / MAX(sector, drive->raw) * sector);
    drive->request.op = BLOCK_READ;
    drive->request.offset = drive->media_at;
    drive->request.length = length;
    drive->request.data = iov_flat(&drive->flat, drive->buffer, length);
    ata_submit(drive, in_filled);
}

static void dma_ask(struct ata_drive *drive, uint64_t left, bool in)
{
    drive->phase = ATA_DMA;
    drive->status = ATA_BSY;
    if (drive->kind == ATA_CDROM)
        drive->status = READY | ATA_DRQ;
    drive->dma_left = left;
    drive->dma_in = in;
    dma_list_clear(&drive->dma);
    drive->adapter->dma(drive);
}

/* What the buffer has goes first, then what remains on the medium, by way of the buffer or straight
 * into the host's memory. */
static void in_next(struct ata_drive *drive)
{
    bool dma = drive->transfer_is_dma;
    if (drive->pio_at < drive->buffer_end) {
        if (dma)
            dma_ask(drive, drive->buffer_end - drive->pio_at, true);
        else
            in_block(drive);
    } else if (!drive->media_left) {
        drive->count[0] =
            drive->kind == ATA_CDROM ? ATA_REASON_COMMAND | ATA_REASON_INPUT : drive->count[0];
        run_tell(drive, false);
        /* The interrupt of the last block was the last one of a disk's PIO command. */
        finish(drive, 0, dma || drive->kind == ATA_CDROM);
    } else if (dma && !drive->raw) {
        dma_ask(drive, drive->media_left, true);
    } else {
        fill(drive);
    }
}

void ata_start_in(struct ata_drive *drive, bool dma)
{
    drive->transfer_is_dma = dma;
    in_next(drive);
}

void ata_reply(struct ata_drive *drive, unsigned length)
{
    drive->pio_at = 0;
    drive->buffer_end = length;
    drive->media_left = 0;
    drive->raw = 0;
    ata_start_in(drive,
                 drive->kind == ATA_CDROM && drive->command == 0xa0 && (drive->feature[0] & 1));
}

/* --- from the host ---------------------------------------------------------------------------- */

static void out_finish(struct ata_drive *drive, int error)
{
    if (error)
        media_failed(drive, error);
    else
        ata_end(drive);
}

static void flush(struct ata_drive *drive)
{
    drive->request.op = BLOCK_FLUSH;
    drive->request.offset = drive->request.length = 0;
    drive->request.data = (struct iov){ 0 };
    ata_submit(drive, out_finish);
}

/* All data is with the block layer. */
static void out_end(struct ata_drive *drive)
{
    run_tell(drive, false);
    if (drive->flush_after || !drive->write_cache)
        flush(drive);
    else
        ata_end(drive);
}

static void out_block(struct ata_drive *drive, bool interrupt)
{
    drive->pio_end = drive->pio_at + MIN(drive->buffer_end - drive->pio_at, drive->block);
    drive->phase = ATA_PIO_OUT;
    drive->status = READY | ATA_DRQ;
    drive->error = 0;
    drive->adapter->pio(drive, interrupt);
}

static void out_fill(struct ata_drive *drive, bool interrupt)
{
    drive->pio_at = 0;
    drive->buffer_end = MIN(drive->media_left, ATA_BUFFER);
    out_block(drive, interrupt);
}

static void out_written(struct ata_drive *drive, int error)
{
    if (error) {
        media_failed(drive, error);
        return;
    }
    drive->media_at += drive->request.length;
    drive->media_left -= drive->request.length;
    if (!drive->media_left)
        out_end(drive);
    else if (drive->transfer_is_dma)
        dma_ask(drive, drive->media_left, false);
    else
        out_fill(drive, true);
}

static void out_flush_buffer(struct ata_drive *drive)
{
    drive->request.op = BLOCK_WRITE;
    drive->request.offset = drive->media_at;
    drive->request.length = drive->buffer_end;
    drive->request.data = iov_flat(&drive->flat, drive->buffer, drive->buffer_end);
    ata_submit(drive, out_written);
}

/* --- DATA SET MANAGEMENT: trim (7.5) ---------------------------------------------------------- */

static void trim_done(struct ata_drive *drive, int error);

/* The buffer holds ranges of 8 bytes: 48 bits of LBA, 16 of length; length 0 is unused. */
static void trim_next(struct ata_drive *drive)
{
    while (drive->pio_at < drive->buffer_end) {
        uint64_t range, all = ata_sectors(drive);
        memcpy(&range, drive->buffer + drive->pio_at, sizeof(range));
        drive->pio_at += sizeof(range);
        uint64_t first = range & ((1ull << 48) - 1), sectors = range >> 48;
        if (!sectors)
            continue;
        if (first >= all || sectors > all - first) {
            ata_fail(drive, ATA_ERROR_ID_NOT_FOUND);
            return;
        }
        drive->request.op = BLOCK_DISCARD;
        drive->request.offset = first * ATA_SECTOR;
        drive->request.length = sectors * ATA_SECTOR;
        drive->request.data = (struct iov){ 0 };
        ata_submit(drive, trim_done);
        return;
    }
    ata_end(drive);
}

static void trim_done(struct ata_drive *drive, int error)
{
    if (error)
        ata_fail(drive, ATA_ERROR_ABORT);
    else
        trim_next(drive);
}

/* --- blocks and memory from the adapter ------------------------------------------------------- */

void ata_pio_done(struct ata_drive *drive)
{
    enum ata_phase phase = drive->phase;
    drive->pio_at = drive->pio_end;
    if (phase == ATA_PACKET) {
        memcpy(drive->packet, drive->buffer, sizeof(drive->packet));
        drive->pio_at = drive->buffer_end = 0;
        atapi_command(drive);
    } else if (phase == ATA_PIO_IN) {
        in_next(drive);
    } else if (phase == ATA_PIO_OUT) {
        if (drive->pio_at < drive->buffer_end)
            out_block(drive, true);
        else
            out_flush_buffer(drive);
    }
}

static void dma_transferred(struct ata_drive *drive, int error)
{
    if (drive->dma_in && !error)
        dma_list_written(&drive->dma, drive->request.length);
    if (!drive->dma_in) {
        out_written(drive, error);
        return;
    }
    if (error) {
        media_failed(drive, error);
        return;
    }
    drive->media_at += drive->request.length;
    drive->media_left -= drive->request.length;
    in_next(drive);
}

void ata_dma_ready(struct ata_drive *drive)
{
    uint64_t length = MIN(drive->dma.bytes, drive->dma_left);
    if (drive->phase != ATA_DMA)
        return;
    if (drive->command == 0x06) {
        drive->buffer_end = dma_list_load(&drive->dma, 0, drive->buffer, length) & ~511u;
        drive->pio_at = 0;
        trim_next(drive);
        return;
    }
    if (drive->dma_in && drive->pio_at < drive->buffer_end) {
        length = dma_list_store(&drive->dma, 0, drive->buffer + drive->pio_at, length);
        drive->pio_at += length;
        if (length)
            in_next(drive);
        else
            ata_fail(drive, ATA_ERROR_ABORT);
        return;
    }
    length -= length % medium_sector(drive);
    if (!length) {
        run_tell(drive, true);
        ata_fail(drive, ATA_ERROR_ABORT);
        return;
    }
    drive->request.op = drive->dma_in ? BLOCK_READ : BLOCK_WRITE;
    drive->request.offset = drive->media_at;
    drive->request.length = length;
    drive->request.data = iov_slice(iov_whole(drive->dma.iov, drive->dma.count), 0, length);
    ata_submit(drive, dma_transferred);
}

/* --- commands --------------------------------------------------------------------------------- */

enum direction { IN, OUT };

static void transfer(struct ata_drive *drive, enum direction direction, bool dma, unsigned sectors)
{
    if (direction == OUT && disk_is_read_only(&drive->disk)) {
        ata_fail(drive, ATA_ERROR_ABORT);
        return;
    }
    if (!run_take(drive))
        return;
    drive->block = sectors * ATA_SECTOR;
    drive->pio_at = drive->buffer_end = 0;
    drive->raw = 0;
    drive->transfer_is_dma = dma;
    if (direction == IN)
        in_next(drive);
    else if (dma)
        dma_ask(drive, drive->media_left, false);
    else
        out_fill(drive, false);
}

static bool transfer_multiple(struct ata_drive *drive, enum direction direction)
{
    if (!drive->multiple)
        return false;
    transfer(drive, direction, false, drive->multiple);
    return true;
}

static bool set_features(struct ata_drive *drive)
{
    uint8_t value = drive->count[0];
    switch (drive->feature[0]) {
    case 0x02:
        drive->write_cache = true;
        break;
    case 0x82:
        drive->write_cache = false;
        flush(drive);
        return true;
    case 0x03: /* transfer mode */
        if ((value >> 3 == 0 && (value & 7) > 1) || (value >> 3 == 1 && (value & 7) > 4)
            || (value >> 3 == 4 && (value & 7) > 2) || (value >> 3 == 8 && (value & 7) > 5)
            || (value >> 3 != 0 && value >> 3 != 1 && value >> 3 != 4 && value >> 3 != 8))
            return false;
        if (value >> 3 >= 4)
            drive->transfer_mode = value;
        break;
    case 0x05: /* power management, acoustics, look-ahead and what reverts to defaults: all the same
                */
    case 0x85:
    case 0x42:
    case 0xc2:
    case 0x55:
    case 0xaa:
    case 0x66:
    case 0xcc:
        break;
    case 0x10: /* Serial ATA features: none is needed */
    case 0x90:
        if (!drive->serial_ata)
            return false;
        break;
    default:
        return false;
    }
    ata_end(drive);
    return true;
}

static bool set_multiple(struct ata_drive *drive)
{
    uint8_t sectors = drive->count[0];
    if (sectors > MULTIPLE_MAX || (sectors & (sectors - 1)))
        return false;
    drive->multiple = sectors;
    ata_end(drive);
    return true;
}

static bool set_translation(struct ata_drive *drive)
{
    if (!drive->count[0])
        return false;
    drive->current_sectors = drive->count[0];
    drive->current_heads = (drive->device & 15) + 1;
    ata_end(drive);
    return true;
}

static bool native_max(struct ata_drive *drive, bool extended)
{
    uint64_t all = ata_sectors(drive);
    if (!all)
        return false;
    sector_set(drive, extended ? all - 1 : MIN(all, 1u << 28) - 1, extended);
    ata_end(drive);
    return true;
}

static bool trim(struct ata_drive *drive)
{
    unsigned sectors = drive->count[0] | drive->count[1] << 8;
    if (!(drive->feature[0] & 1) || !sectors || sectors > CHUNK_SECTORS
        || disk_is_read_only(&drive->disk))
        return false;
    drive->media_left = 0;
    dma_ask(drive, sectors * ATA_SECTOR, false);
    return true;
}

static void signature(struct ata_drive *drive)
{
    drive->count[0] = drive->lba_low[0] = 1;
    drive->lba_mid[0] = drive->kind == ATA_CDROM ? 0x14 : 0;
    drive->lba_high[0] = drive->kind == ATA_CDROM ? 0xeb : 0;
    drive->device &= ATA_DEVICE_SECOND;
}

static void diagnose(struct ata_drive *drive)
{
    signature(drive);
    finish(drive, 0, true);
    drive->error = 1; /* passed; not an error */
    if (drive->kind == ATA_CDROM)
        drive->status = 0;
}

static bool disk_command(struct ata_drive *drive)
{
    switch (drive->command) {
    case 0x20: /* READ SECTORS, with and without retries, EXT */
    case 0x21:
    case 0x24:
        transfer(drive, IN, false, 1);
        return true;
    case 0x30:
    case 0x31:
    case 0x34:
    case 0x3c:
        transfer(drive, OUT, false, 1);
        return true;
    case 0xc4: /* READ MULTIPLE */
    case 0x29:
        return transfer_multiple(drive, IN);
    case 0xc5:
    case 0x39:
        return transfer_multiple(drive, OUT);
    case 0xc8: /* READ DMA */
    case 0xc9:
    case 0x25:
        transfer(drive, IN, true, CHUNK_SECTORS);
        return true;
    case 0x3d: /* WRITE DMA FUA EXT */
        drive->flush_after = true;
        transfer(drive, OUT, true, CHUNK_SECTORS);
        return true;
    case 0xca:
    case 0xcb:
    case 0x35:
        transfer(drive, OUT, true, CHUNK_SECTORS);
        return true;
    case 0x40: /* READ VERIFY: reading it now would not make it readable later */
    case 0x41:
    case 0x42:
        if (run_take(drive))
            ata_end(drive);
        return true;
    case 0x06:
        return trim(drive);
    case 0xc6:
        return set_multiple(drive);
    case 0x91:
        return set_translation(drive);
    case 0xf8:
        return native_max(drive, false);
    case 0x27:
        return native_max(drive, true);
    case 0x2f: /* READ LOG EXT */
        return ata_read_log(drive);
    case 0xb0:
        return ata_smart(drive);
    case 0xec:
        ata_identify(drive, drive->buffer);
        drive->block = ATA_SECTOR;
        ata_reply(drive, ATA_SECTOR);
        return true;
    case 0x10 ... 0x1f: /* RECALIBRATE */
    case 0x70:          /* SEEK */
        ata_end(drive);
        return true;
    default:
        return false;
    }
}

static bool packet_device_command(struct ata_drive *drive)
{
    switch (drive->command) {
    case 0xa0:
        drive->pio_at = 0;
        drive->pio_end = sizeof(drive->packet);
        drive->phase = ATA_PACKET;
        drive->status = READY | ATA_DRQ;
        drive->count[0] = ATA_REASON_COMMAND;
        drive->adapter->pio(drive, false);
        return true;
    case 0xa1:
        ata_identify(drive, drive->buffer);
        drive->block = ATA_SECTOR;
        ata_reply(drive, ATA_SECTOR);
        return true;
    case 0x08: /* DEVICE RESET */
        ata_reset(drive, false);
        drive->adapter->done(drive, false);
        return true;
    case 0xec: /* aborted, but the signature tells what kind this is */
        signature(drive);
        return false;
    default:
        return false;
    }
}

static bool common_command(struct ata_drive *drive)
{
    switch (drive->command) {
    case 0xef:
        return set_features(drive);
    case 0x90:
        diagnose(drive);
        return true;
    case 0xe7: /* FLUSH CACHE */
    case 0xea:
        if (drive->kind == ATA_CDROM)
            ata_end(drive);
        else
            flush(drive);
        return true;
    case 0xe5: /* CHECK POWER MODE: active */
    case 0x98:
        drive->count[0] = 0xff;
        ata_end(drive);
        return true;
    case 0xe0 ... 0xe3: /* STANDBY, IDLE, with and without timer */
    case 0x94 ... 0x97:
    case 0xe6: /* SLEEP */
    case 0x99:
        ata_end(drive);
        return true;
    default:
        return false;
    }
}

void ata_command(struct ata_drive *drive, uint8_t command)
{
    bool reset = command == 0x08 && drive->kind == ATA_CDROM;
    if (drive->in_flight || (drive->phase != ATA_IDLE && !reset)) {
        log_if(LOG_GUEST_ERRORS, "ATA: command %02x while %02x is under way", command,
               drive->command);
        return;
    }
    drive->command = command;
    drive->error = 0;
    drive->flush_after = false;
    drive->status = READY;
    bool known = drive->kind == ATA_CDROM ? packet_device_command(drive) : disk_command(drive);
    if (!known && !common_command(drive)) {
        log_if(LOG_UNIMP, "ATA: command %02x (feature %02x) is aborted", command,
               drive->feature[0]);
        ata_fail(drive, ATA_ERROR_ABORT);
    }
}

/* --- life ------------------------------------------------------------------------------------- */

void ata_reset(struct ata_drive *drive, bool hard)
{
    if (hard) {
        drive->multiple = MULTIPLE_MAX;
        drive->transfer_mode = 0x45;
        drive->current_heads = drive->heads;
        drive->current_sectors = drive->sectors;
        drive->write_cache = true;
        drive->smart = true;
        drive->device = 0;
    }
    if (drive->in_flight) {
        drive->reset_pending = true;
        drive->status = ATA_BSY;
        return;
    }
    drive->phase = ATA_IDLE;
    signature(drive);
    drive->error = 1;
    drive->status = drive->kind == ATA_CDROM ? 0 : READY;
    if (drive->kind == ATA_CDROM)
        atapi_reset(drive);
}

void ata_init(struct ata_drive *drive)
{
    defer_init(&drive->submit, submit_deferred, drive);
    drive->buffer = g_malloc0(ATA_BUFFER);
    dma_list_init(&drive->dma, drive->adapter_dev->vm->memory);
    ata_reset(drive, true);
}

void ata_destroy(struct ata_drive *drive)
{
    if (!drive->buffer)
        return;
    ata_drain(drive);
    defer_cancel(&drive->submit);
    g_free(drive->buffer);
    drive->buffer = NULL;
    disk_destroy(&drive->disk);
    dma_list_destroy(&drive->dma);
}
