/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ATA disk or ATAPI CD-ROM drive, as its host adapter sees it: registers, commands, and data
 * which goes by PIO or DMA. The adapters are ide.c (task file and bus master registers) and ahci.c
 * (frames). (ATA/ATAPI Command Set - 3; older commands: ATA/ATAPI-6; packets: MMC-6)
 *
 *      guest ── registers ──> adapter ── ata_command() ──> ata.c ── block requests ──> image
 *                             adapter <── ata_adapter_ops ── ata.c
 *
 * A command that needs the medium leaves the drive busy; the main loop submits its requests and
 * ends it. Everything is guarded by the adapter's dev.lock, which the core takes around region
 * callbacks and ata.c where requests end. */
#ifndef YADO_HW_STORAGE_ATA_H
#define YADO_HW_STORAGE_ATA_H

#include "hw/device.h"
#include "hw/storage/disk.h"
#include "memory/dma.h"
#include "util/defer.h"

#define ATA_SECTOR 512u
#define ATA_BUFFER (128u << 10) /* bytes; a multiple of every block of data */

enum ata_status {
    ATA_ERR = 0x01, /* CHK of packet commands */
    ATA_DRQ = 0x08,
    ATA_DSC = 0x10, /* seek complete; SERV of packet commands */
    ATA_DF = 0x20,
    ATA_DRDY = 0x40,
    ATA_BSY = 0x80,
};

enum ata_error {
    ATA_ERROR_ABORT = 0x04,
    ATA_ERROR_ID_NOT_FOUND = 0x10,
    ATA_ERROR_UNCORRECTABLE = 0x40,
};

enum ata_device_bits { ATA_DEVICE_LBA = 0x40, ATA_DEVICE_SECOND = 0x10 };

/* Bits of the sector count register while a packet command transfers. (ATA/ATAPI-6, 9.8) */
enum ata_reason { ATA_REASON_COMMAND = 1, ATA_REASON_INPUT = 2 };

enum ata_kind { ATA_DISK, ATA_CDROM };

enum ata_phase {
    ATA_IDLE,
    ATA_BUSY,    /* waits for the block layer */
    ATA_PIO_IN,  /* the host reads buffer[pio_at … pio_end) */
    ATA_PIO_OUT, /* the host writes it */
    ATA_PACKET,  /* the same, the 12 bytes of a packet command */
    ATA_DMA,     /* the adapter is asked for memory */
};

struct ata_drive;

/* Called with the lock held. Each may call back into the drive. */
struct ata_adapter_ops {
    /* buffer[pio_at … pio_end) waits to be read or written; ata_pio_done() then goes on. */
    void (*pio)(struct ata_drive *drive, bool interrupt);
    /* drive->dma_left bytes want to be transferred, towards the host if drive->dma_in. The adapter
     * fills drive->dma with as much of them as it has memory for and calls ata_dma_ready(), now or
     * when it has been started. Called again if that was not all. */
    void (*dma)(struct ata_drive *drive);
    /* The command has ended, as status and error tell. */
    void (*done)(struct ata_drive *drive, bool interrupt);
};

/* SCSI sense of the last packet command, and the state of the tray. (MMC-6, SPC-4 4.5) */
struct ata_sense {
    uint8_t key, code, qualifier;
};

/* The queued command that failed, until the host has read the log of it. (ACS-3, A.14) */
struct ata_queue_error {
    bool valid;
    uint8_t tag, status, error;
    uint64_t sector;
    uint16_t sectors;
};

struct ata_drive {
    const struct ata_adapter_ops *adapter;  /* [const] */
    struct device *adapter_dev;             /* [const] whose lock guards all this */
    struct ide_bus *bus;                    /* [const] */
    unsigned unit;                          /* [const] 0: first of its channel */
    enum ata_kind kind;                     /* [const] */
    struct disk disk;                       /* [const]; a CD-ROM drive may have none ever */
    char serial[21], model[41], version[9]; /* [const] as IDENTIFY tells them */
    uint64_t wwn;                           /* [const] 0: none */
    uint16_t rotation_rate;                 /* [const] 1: not rotating, 0: not told */
    unsigned logical_block, physical_block; /* [const] bytes, of disks */
    uint16_t cylinders, heads, sectors;     /* [const] of the default translation */
    bool serial_ata;                        /* [const] behind AHCI: command queueing */

    /* Registers; [1] is what was written before [0]. */
    uint8_t feature[2], count[2], lba_low[2], lba_mid[2], lba_high[2];
    uint8_t device, status, error, command;

    enum ata_phase phase;
    uint8_t *buffer;               /* ATA_BUFFER bytes */
    unsigned pio_at, pio_end;      /* the block of data */
    unsigned buffer_end;           /* how much of the buffer is filled, or is to be */
    unsigned block;                /* bytes of a block of data at the most */
    uint64_t media_at, media_left; /* bytes: where on the medium, and how much remains */
    unsigned raw; /* packet: bytes a sector if more than the medium's 2048, else 0 */
    struct dma_list dma;
    uint64_t dma_left;
    bool transfer_is_dma, dma_in, flush_after;

    /* Settings. */
    uint8_t multiple;      /* sectors a block of READ MULTIPLE; 0: off */
    uint8_t transfer_mode; /* as SET FEATURES has it: 0x40 | UDMA mode, 0x20 | MWDMA mode */
    uint16_t current_heads, current_sectors;
    bool write_cache, smart;
    struct ata_queue_error queue_error;

    /* Packet devices. */
    uint8_t packet[12];
    struct ata_sense sense;
    bool tray_open, tray_locked, medium_changed, event_new, event_eject;

    /* Requests; one is under way at a time. */
    struct defer submit;
    struct disk_request request;
    struct iovec flat;
    void (*then)(struct ata_drive *drive, int error); /* what the request's end leads to */
    bool in_flight, reset_pending;
};

/* Main loop. Before: the [const] fields. */
void ata_init(struct ata_drive *drive);
/* Main loop, vCPUs stopped; also if ata_init() was never called. */
void ata_destroy(struct ata_drive *drive);
/* Main loop, vCPUs stopped, without the lock: returns when no request is under way. */
void ata_drain(struct ata_drive *drive);

/* With the lock held, all of the following. */

/* Power-on or software reset: ends what is under way; the registers get the device's signature,
 * after a request that is under way has ended. Settings go back only with `hard`. */
void ata_reset(struct ata_drive *drive, bool hard);
/* The command register was written. Ignored while busy. */
void ata_command(struct ata_drive *drive, uint8_t command);
/* The adapter has moved the block of data. */
void ata_pio_done(struct ata_drive *drive);
/* drive->dma is filled; empty: the host has no memory for it, and the command is aborted. */
void ata_dma_ready(struct ata_drive *drive);
/* Sectors of the medium. */
uint64_t ata_sectors(const struct ata_drive *drive);

/* ---- between ata*.c files ---- */

/* The 512 bytes of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE. */
void ata_identify(const struct ata_drive *drive, uint8_t *page);
/* READ LOG EXT: the directory and the queued error log. True as for ata_smart(). */
bool ata_read_log(struct ata_drive *drive);
/* SMART. True if the command goes on or has ended; false: abort it. */
bool ata_smart(struct ata_drive *drive);

/* The packet is complete. */
void atapi_command(struct ata_drive *drive);
void atapi_reset(struct ata_drive *drive);
/* Makes sectors with all their fields of those read from the medium into the buffer. */
void atapi_expand(struct ata_drive *drive, unsigned sectors);
void atapi_medium_changed(struct ata_drive *drive);

void ata_end(struct ata_drive *drive);                 /* well, with an interrupt */
void ata_fail(struct ata_drive *drive, uint8_t error); /* enum ata_error bits */
/* The first `length` bytes of the buffer go to the host, by PIO. */
void ata_reply(struct ata_drive *drive, unsigned length);
/* Starts a transfer of media_left bytes and what the buffer holds, as the command's kind tells. */
void ata_start_in(struct ata_drive *drive, bool dma);
/* `request` (op, offset, length, data) is given to the block layer; `then` is called with the lock
 * held when it has ended, unless the drive was reset. */
void ata_submit(struct ata_drive *drive, void (*then)(struct ata_drive *drive, int error));

#endif
