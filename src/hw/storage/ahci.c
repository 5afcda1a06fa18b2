/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Serial ATA controller of ICH9: six ports, 32 commands each, native command queueing.
 * (Serial ATA AHCI 1.3.1; frames: Serial ATA 3.0, 10.3; queued commands: ACS-3, 7.23 and 7.62)
 *
 * A port takes commands from its list one after the other. Queued ones (READ and WRITE FPDMA) run
 * side by side and go straight to the block layer; any other waits for the drive (ata.c). */
#include <string.h>

#include "hw/board.h"
#include "hw/pci/pci.h"
#include "hw/storage/ide.h"
#include "util/log.h"
#include "vm/vm.h"

#define PORTS 6u
#define SLOTS 32u
#define PORT_BASE 0x100u
#define PORT_BYTES 0x80u
#define REGISTERS_SIZE 0x1000u
#define PRD_COUNT_MASK 0x3fffffu

enum hba_register { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10 };
enum { GHC_RESET = 1u << 0, GHC_INTERRUPTS = 1u << 1, GHC_AHCI = 1u << 31 };
/* 6 ports, 32 slots, AHCI only, 1.5 Gbit/s, queueing, 64-bit addresses */
#define CAP_VALUE ((PORTS - 1) | (SLOTS - 1) << 8 | 1u << 18 | 1u << 20 | 1u << 30 | 1u << 31)

enum port_register {
    PX_CLB = 0x00,
    PX_CLBU = 0x04,
    PX_FB = 0x08,
    PX_FBU = 0x0c,
    PX_IS = 0x10,
    PX_IE = 0x14,
    PX_CMD = 0x18,
    PX_TFD = 0x20,
    PX_SIG = 0x24,
    PX_SSTS = 0x28,
    PX_SCTL = 0x2c,
    PX_SERR = 0x30,
    PX_SACT = 0x34,
    PX_CI = 0x38,
};
enum {
    CMD_START = 1u << 0,
    CMD_SPIN_UP = 1u << 1,
    CMD_POWER = 1u << 2,
    CMD_OVERRIDE = 1u << 3,
    CMD_FIS_RECEIVE = 1u << 4,
    CMD_FIS_RUNNING = 1u << 14,
    CMD_RUNNING = 1u << 15,
    CMD_ATAPI = 1u << 24,
    CMD_WRITABLE = 0x0f00001f | CMD_ATAPI, /* with what only a rewritten port keeps */
};
enum {
    PXIS_REGISTER_FIS = 1u << 0,
    PXIS_PIO_SETUP = 1u << 1,
    PXIS_SET_BITS = 1u << 3,
    PXIS_CONNECT = 1u << 6,
    PXIS_MEMORY_ERROR = 1u << 29,
    PXIS_TASK_FILE_ERROR = 1u << 30,
};
enum {
    FIS_REGISTER_H2D = 0x27,
    FIS_REGISTER_D2H = 0x34,
    FIS_SET_BITS = 0xa1,
    FIS_PIO_SETUP = 0x5f
};
enum { AREA_PIO_SETUP = 0x20, AREA_REGISTER = 0x40, AREA_SET_BITS = 0x58 };
enum { READ_FPDMA = 0x60, WRITE_FPDMA = 0x61 };

struct header { /* 4.2.2 */
    uint32_t flags, transferred, table, table_high;
};
enum { HEADER_ATAPI = 1u << 5, HEADER_RESET = 1u << 8, HEADER_CLEAR_BUSY = 1u << 10 };

struct port;

/* A queued command; its tag is its slot. */
struct queued {
    struct port *port;
    struct disk_request request;
    struct dma_list memory;
    bool in_flight, stale; /* stale: the port was stopped or reset meanwhile */
};

struct ahci;

struct port {
    struct ide_bus bus;
    struct ahci *ahci;
    unsigned number;
    /* Registers. [dev.lock], all of this */
    uint64_t list, area;
    uint32_t is, ie, cmd, tfd, sig, sctl, serr, sact, ci;
    bool halted;    /* after an error, until stopped */
    bool resetting; /* software reset: between the two frames */
    bool running;   /* inside commands_run() */
    /* The command the drive works on. */
    int slot; /* -1: none */
    struct header header;
    uint64_t table;
    uint32_t prd_next, prd_count, prd_rest;
    uint64_t prd_at;
    uint32_t moved; /* bytes, for the header */
    uint32_t to_submit, queued_in_flight;
    struct queued queue[SLOTS];
    struct defer submit;
};

struct ahci {
    struct pci_function function;
    uint32_t ghc, is, index;
    struct port ports[PORTS];
    struct region registers, index_pair;
};

static struct ata_drive *drive_of(const struct port *port)
{
    return port->bus.drives[0];
}

static struct port *port_of(struct ata_drive *drive)
{
    return container_of(drive->bus, struct port, bus);
}

static struct address_space *memory_of(const struct port *port)
{
    return port->ahci->function.dev.vm->memory;
}

/* --- interrupts (10.7) ------------------------------------------------------------------------ */

static void interrupts_update(struct ahci *ahci)
{
    uint32_t before = ahci->is;
    for (unsigned i = 0; i < PORTS; i++)
        if (ahci->ports[i].is & ahci->ports[i].ie)
            ahci->is |= 1u << i;
    bool level = ahci->is && (ahci->ghc & GHC_INTERRUPTS);
    if (!pci_msi_enabled(&ahci->function))
        pci_irq_set(&ahci->function, level);
    else if (level && (ahci->is & ~before))
        pci_msi_notify(&ahci->function, 0);
}

static void interrupt(struct port *port, uint32_t bits)
{
    port->is |= bits;
    interrupts_update(port->ahci);
}

/* --- frames to the host ----------------------------------------------------------------------- */

static bool master(const struct port *port)
{
    return pci_is_master(&port->ahci->function);
}

static void fis_store(struct port *port, unsigned area, const uint8_t *fis, unsigned length)
{
    if ((port->cmd & CMD_FIS_RECEIVE)
        && (!master(port) || !dma_write(memory_of(port), port->area + area, fis, length)))
        port->is |= PXIS_MEMORY_ERROR;
}

static void task_file_update(struct port *port)
{
    const struct ata_drive *drive = drive_of(port);
    port->tfd = drive ? drive->status | drive->error << 8 : 0x7f;
}

static void registers_fill(const struct ata_drive *drive, uint8_t *fis)
{
    fis[4] = drive->lba_low[0];
    fis[5] = drive->lba_mid[0];
    fis[6] = drive->lba_high[0];
    fis[7] = drive->device;
    fis[8] = drive->lba_low[1];
    fis[9] = drive->lba_mid[1];
    fis[10] = drive->lba_high[1];
    fis[12] = drive->count[0];
    fis[13] = drive->count[1];
}

static void register_fis(struct port *port, bool interrupting)
{
    const struct ata_drive *drive = drive_of(port);
    uint8_t fis[20] = { FIS_REGISTER_D2H, interrupting << 6, drive->status, drive->error };
    registers_fill(drive, fis);
    fis_store(port, AREA_REGISTER, fis, sizeof(fis));
    task_file_update(port);
}

static void pio_setup_fis(struct port *port, bool in, unsigned length)
{
    const struct ata_drive *drive = drive_of(port);
    uint8_t fis[20] = { FIS_PIO_SETUP, in << 5 | 1 << 6, drive->status, drive->error };
    registers_fill(drive, fis);
    fis[15] = ATA_DRDY | ATA_DSC; /* what the status will be */
    fis[16] = length;
    fis[17] = length >> 8;
    fis_store(port, AREA_PIO_SETUP, fis, sizeof(fis));
}

static void set_bits_fis(struct port *port, uint32_t finished, uint8_t status, uint8_t error)
{
    uint8_t fis[8] = { FIS_SET_BITS, 1 << 6, status & 0x77, error };
    memcpy(fis + 4, &finished, 4);
    fis_store(port, AREA_SET_BITS, fis, sizeof(fis));
    port->tfd = (port->tfd & (ATA_BSY | ATA_DRQ)) | (status & 0x77) | error << 8;
}

/* --- the memory of a command (4.2.3.3) -------------------------------------------------------- */

static bool prd_take(struct port *port)
{
    uint32_t words[4];
    if (port->prd_next == port->prd_count
        || !dma_read(memory_of(port), port->table + 0x80 + 16ull * port->prd_next, words, 16))
        return false;
    port->prd_next++;
    port->prd_at = words[0] | (uint64_t)words[1] << 32;
    port->prd_rest = (words[3] & PRD_COUNT_MASK) + 1;
    return true;
}

/* Appends up to `length` bytes of the command's memory, as far as there is some. */
static void memory_take(struct port *port, struct dma_list *list, uint64_t length, bool write)
{
    while (list->bytes < length && (port->prd_rest || prd_take(port))) {
        uint32_t part = MIN(port->prd_rest, length - list->bytes);
        if (!dma_list_add(list, port->prd_at, part, write))
            return;
        port->prd_at += part;
        port->prd_rest -= part;
    }
}

/* --- what the drive asks for ------------------------------------------------------------------ */

static void commands_run(struct port *port);

static void drive_pio(struct ata_drive *drive, bool interrupting)
{
    struct port *port = port_of(drive);
    unsigned length = drive->pio_end - drive->pio_at;
    bool in = drive->phase == ATA_PIO_IN;
    if (drive->phase == ATA_PACKET) {
        dma_read(memory_of(port), port->table + 0x40, drive->buffer, length);
        ata_pio_done(drive);
        return;
    }
    pio_setup_fis(port, in, length);
    dma_list_clear(&drive->dma);
    memory_take(port, &drive->dma, length, in);
    if (in)
        port->moved += dma_list_store(&drive->dma, 0, drive->buffer + drive->pio_at, length);
    else
        port->moved += dma_list_load(&drive->dma, 0, drive->buffer + drive->pio_at, length);
    if (drive->dma.bytes < length) {
        ata_fail(drive, ATA_ERROR_ABORT);
        return;
    }
    if (interrupting)
        interrupt(port, PXIS_PIO_SETUP);
    ata_pio_done(drive);
}

static void drive_dma(struct ata_drive *drive)
{
    struct port *port = port_of(drive);
    memory_take(port, &drive->dma, drive->dma_left, drive->dma_in);
    port->moved += drive->dma.bytes;
    ata_dma_ready(drive);
}

static void drive_done(struct ata_drive *drive, bool interrupting)
{
    struct port *port = port_of(drive);
    bool failed = drive->status & ATA_ERR;
    if (port->slot < 0) /* the port was stopped meanwhile */
        return;
    dma_write(memory_of(port), port->list + 32 * port->slot + 4, &port->moved, 4);
    if (interrupting)
        register_fis(port, true);
    else
        task_file_update(port);
    if (failed)
        port->halted = true; /* CI keeps the bit, so that the host finds the command */
    else
        port->ci &= ~(1u << port->slot);
    port->slot = -1;
    interrupt(port, (interrupting ? PXIS_REGISTER_FIS : 0) | (failed ? PXIS_TASK_FILE_ERROR : 0));
    commands_run(port);
}

static const struct ata_adapter_ops adapter_ops = {
    .pio = drive_pio,
    .dma = drive_dma,
    .done = drive_done,
};

/* --- queued commands -------------------------------------------------------------------------- */

static void queued_failed(struct port *port, unsigned tag, uint8_t error)
{
    struct ata_drive *drive = drive_of(port);
    drive->queue_error = (struct ata_queue_error){
        .valid = true,
        .tag = tag,
        .status = ATA_DRDY | ATA_DSC | ATA_ERR,
        .error = error,
        .sector = port->queue[tag].request.offset / ATA_SECTOR,
        .sectors = port->queue[tag].request.length / ATA_SECTOR,
    };
    drive->status = ATA_DRDY | ATA_DSC | ATA_ERR;
    drive->error = error;
    port->halted = true;
    set_bits_fis(port, 0, drive->status, error);
    interrupt(port, PXIS_SET_BITS | PXIS_TASK_FILE_ERROR);
}

static void queued_done(struct disk_request *request, int error)
{
    struct queued *queued = container_of(request, struct queued, request);
    struct port *port = queued->port;
    unsigned tag = queued - port->queue;
    pthread_mutex_lock(&port->ahci->function.dev.lock);
    queued->in_flight = false;
    port->queued_in_flight--;
    if (request->op == BLOCK_READ && !error)
        dma_list_written(&queued->memory, request->length);
    if (!queued->stale && error) {
        queued_failed(port, tag, ATA_ERROR_UNCORRECTABLE);
    } else if (!queued->stale) {
        uint32_t moved = request->length;
        dma_write(memory_of(port), port->list + 32 * tag + 4, &moved, 4);
        port->sact &= ~(1u << tag);
        set_bits_fis(port, 1u << tag, ATA_DRDY | ATA_DSC, 0);
        interrupt(port, PXIS_SET_BITS);
    }
    commands_run(port);
    pthread_mutex_unlock(&port->ahci->function.dev.lock);
}

static void submit_deferred(void *opaque)
{
    struct port *port = opaque;
    pthread_mutex_lock(&port->ahci->function.dev.lock);
    uint32_t tags = port->to_submit;
    port->to_submit = 0;
    pthread_mutex_unlock(&port->ahci->function.dev.lock);
    for (; tags; tags &= tags - 1)
        disk_submit(&drive_of(port)->disk, &port->queue[__builtin_ctz(tags)].request);
}

/* False: the command is wrong. */
static bool queued_start(struct port *port, unsigned slot, const uint8_t *fis)
{
    struct ata_drive *drive = drive_of(port);
    struct queued *queued = &port->queue[slot];
    bool read = fis[2] == READ_FPDMA;
    uint64_t sector = 0, sectors = fis[3] | fis[11] << 8, all = ata_sectors(drive);
    static const uint8_t lba[] = { 10, 9, 8, 6, 5, 4 };
    for (unsigned i = 0; i < sizeof(lba); i++)
        sector = sector << 8 | fis[lba[i]];
    if (!sectors)
        sectors = 65536;
    if (fis[12] >> 3 != slot || drive->kind != ATA_DISK
        || (!read && disk_is_read_only(&drive->disk)))
        return false;
    queued->request = (struct disk_request){
        .op = read ? BLOCK_READ : BLOCK_WRITE,
        .flags = !read && ((fis[7] & 0x80) || !drive->write_cache) ? BLOCK_FUA : 0,
        .offset = sector * ATA_SECTOR,
        .length = sectors * ATA_SECTOR,
        .done = queued_done,
    };
    if (sector >= all || sectors > all - sector)
        return false;
    dma_list_clear(&queued->memory);
    memory_take(port, &queued->memory, queued->request.length, read);
    if (queued->memory.bytes < queued->request.length)
        return false;
    queued->request.data = iov_whole(queued->memory.iov, queued->memory.count);
    queued->in_flight = true;
    queued->stale = false;
    port->queued_in_flight++;
    port->ci &= ~(1u << slot); /* the drive has taken it; it is busy no more */
    port->to_submit |= 1u << slot;
    defer_schedule(&port->submit);
    return true;
}

/* --- commands --------------------------------------------------------------------------------- */

static void registers_take(struct ata_drive *drive, const uint8_t *fis)
{
    drive->feature[0] = fis[3];
    drive->lba_low[0] = fis[4];
    drive->lba_mid[0] = fis[5];
    drive->lba_high[0] = fis[6];
    drive->device = fis[7];
    drive->lba_low[1] = fis[8];
    drive->lba_mid[1] = fis[9];
    drive->lba_high[1] = fis[10];
    drive->feature[1] = fis[11];
    drive->count[0] = fis[12];
    drive->count[1] = fis[13];
}

/* The host writes the device control register: a software reset is two frames. (10.4.1) */
static void control_fis(struct port *port, unsigned slot, const uint8_t *fis)
{
    struct ata_drive *drive = drive_of(port);
    bool reset = fis[15] & 0x04;
    port->ci &= ~(1u << slot);
    if (port->resetting && !reset) {
        ata_reset(drive, false);
        register_fis(port, true);
        interrupt(port, PXIS_REGISTER_FIS);
    }
    port->resetting = reset;
}

static void command_start(struct port *port, unsigned slot)
{
    struct ata_drive *drive = drive_of(port);
    uint8_t fis[20];
    if (!master(port)
        || !dma_read(memory_of(port), port->list + 32 * slot, &port->header,
                     sizeof(port->header))) {
        port->halted = true;
        interrupt(port, PXIS_MEMORY_ERROR);
        return;
    }
    port->table = (port->header.table & ~0x7full) | (uint64_t)port->header.table_high << 32;
    port->prd_next = port->prd_rest = port->moved = 0;
    port->prd_count = port->header.flags >> 16;
    if (!dma_read(memory_of(port), port->table, fis, sizeof(fis))) {
        port->halted = true;
        interrupt(port, PXIS_MEMORY_ERROR);
        return;
    }
    if (fis[0] != FIS_REGISTER_H2D) {
        log_if(LOG_GUEST_ERRORS, "AHCI: port %u: frame of type %02x in slot %u", port->number,
               fis[0], slot);
        port->ci &= ~(1u << slot);
        return;
    }
    if (!(fis[1] & 0x80)) {
        control_fis(port, slot, fis);
        return;
    }
    if (fis[2] == READ_FPDMA || fis[2] == WRITE_FPDMA) {
        if (!queued_start(port, slot, fis))
            queued_failed(port, slot, ATA_ERROR_ABORT);
        return;
    }
    registers_take(drive, fis);
    port->slot = slot;
    port->tfd = ATA_BSY;
    ata_command(drive, fis[2]);
}

/* Starts what can be started. A command that ends at once comes back here; the loop goes on then.
 */
static void commands_run(struct port *port)
{
    struct ata_drive *drive = drive_of(port);
    if (port->running)
        return;
    port->running = true;
    while (drive && (port->cmd & CMD_START) && !port->halted && port->slot < 0 && port->ci
           && !drive->in_flight) {
        unsigned slot = __builtin_ctz(port->ci);
        command_start(port, slot);
    }
    port->running = false;
}

/* --- ports ------------------------------------------------------------------------------------ */

/* Forgets all commands; requests that are under way end without effect. */
static void port_stop(struct port *port)
{
    struct ata_drive *drive = drive_of(port);
    port->ci = port->sact = 0;
    port->slot = -1;
    port->halted = false;
    for (unsigned i = 0; i < SLOTS; i++)
        port->queue[i].stale = true;
    if (drive && drive->phase != ATA_IDLE)
        ata_reset(drive, false);
}

/* The link comes up: the drive tells what it is. (10.4.2) */
static void port_connect(struct port *port)
{
    struct ata_drive *drive = drive_of(port);
    port_stop(port);
    port->resetting = false;
    port->serr = 0;
    if (!drive) {
        port->tfd = 0x7f;
        port->sig = UINT32_MAX;
        return;
    }
    ata_reset(drive, false);
    port->sig = drive->kind == ATA_CDROM ? 0xeb140101 : 0x00000101;
    port->tfd = drive->status | drive->error << 8;
    port->serr = 1u << 26; /* exchanged */
    port->is |= PXIS_CONNECT;
    register_fis(port, false);
    interrupts_update(port->ahci);
}

static void port_reset(struct port *port)
{
    port->list = port->area = 0;
    port->is = port->ie = port->sctl = 0;
    port->cmd = CMD_SPIN_UP | CMD_POWER;
    port_connect(port);
    port->is = 0;
}

static void command_write(struct port *port, uint32_t value)
{
    uint32_t before = port->cmd;
    const struct ata_drive *drive = drive_of(port);
    port->cmd = value & CMD_WRITABLE;
    if (drive && drive->kind == ATA_CDROM)
        port->cmd |= CMD_ATAPI;
    if ((before & CMD_START) && !(value & CMD_START))
        port_stop(port);
    if (!(before & CMD_FIS_RECEIVE) && (value & CMD_FIS_RECEIVE) && drive)
        register_fis(port, false);
    if ((value & CMD_OVERRIDE) && drive)
        port->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    port->cmd &= ~(uint32_t)CMD_OVERRIDE;
    commands_run(port);
}

static uint32_t command_read(const struct port *port)
{
    const struct ata_drive *drive = drive_of(port);
    bool busy = port->queued_in_flight || (drive && drive->in_flight);
    return port->cmd | (port->cmd & CMD_FIS_RECEIVE ? CMD_FIS_RUNNING : 0)
           | ((port->cmd & CMD_START) || busy ? CMD_RUNNING : 0);
}

static uint32_t port_load(const struct port *port, unsigned offset)
{
    switch (offset) {
    case PX_CLB:
        return port->list;
    case PX_CLBU:
        return port->list >> 32;
    case PX_FB:
        return port->area;
    case PX_FBU:
        return port->area >> 32;
    case PX_IS:
        return port->is;
    case PX_IE:
        return port->ie;
    case PX_CMD:
        return command_read(port);
    case PX_TFD:
        return port->tfd;
    case PX_SIG:
        return port->sig;
    case PX_SSTS: /* a device, 1.5 Gbit/s, active */
        return drive_of(port) ? 0x113 : 0;
    case PX_SCTL:
        return port->sctl;
    case PX_SERR:
        return port->serr;
    case PX_SACT:
        return port->sact;
    case PX_CI:
        return port->ci;
    default:
        return 0;
    }
}

static void port_store(struct port *port, unsigned offset, uint32_t value)
{
    switch (offset) {
    case PX_CLB:
        port->list = (port->list & ~0xffffffffull) | (value & ~0x3ffu);
        break;
    case PX_CLBU:
        port->list = (uint32_t)port->list | (uint64_t)value << 32;
        break;
    case PX_FB:
        port->area = (port->area & ~0xffffffffull) | (value & ~0xffu);
        break;
    case PX_FBU:
        port->area = (uint32_t)port->area | (uint64_t)value << 32;
        break;
    case PX_IS:
        port->is &= ~value;
        interrupts_update(port->ahci);
        break;
    case PX_IE:
        port->ie = value & 0xfdc000ff;
        interrupts_update(port->ahci);
        break;
    case PX_CMD:
        command_write(port, value);
        break;
    case PX_SCTL: {
        uint32_t before = port->sctl & 15;
        port->sctl = value;
        if (before == 1 && !(value & 15))
            port_connect(port);
        break;
    }
    case PX_SERR:
        port->serr &= ~value;
        break;
    case PX_SACT:
        port->sact |= value;
        break;
    case PX_CI:
        if (port->cmd & CMD_START)
            port->ci |= value;
        commands_run(port);
        break;
    }
}

/* --- the controller --------------------------------------------------------------------------- */

static void controller_reset(struct ahci *ahci)
{
    ahci->ghc = GHC_AHCI;
    for (unsigned i = 0; i < PORTS; i++)
        port_reset(&ahci->ports[i]);
    ahci->is = 0;
    interrupts_update(ahci);
}

static uint64_t registers_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    unsigned port = (offset - PORT_BASE) / PORT_BYTES;
    if (offset >= PORT_BASE)
        return port < PORTS ? port_load(&ahci->ports[port], offset % PORT_BYTES) : 0;
    switch (offset) {
    case CAP:
        return CAP_VALUE;
    case GHC:
        return ahci->ghc;
    case IS:
        return ahci->is;
    case PI:
        return (1u << PORTS) - 1;
    case VS:
        return 0x00010000;
    default:
        return 0;
    }
}

static void registers_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    unsigned port = (offset - PORT_BASE) / PORT_BYTES;
    if (offset >= PORT_BASE) {
        if (port < PORTS)
            port_store(&ahci->ports[port], offset % PORT_BYTES, value);
    } else if (offset == GHC && (value & GHC_RESET)) {
        controller_reset(ahci);
    } else if (offset == GHC) {
        ahci->ghc = GHC_AHCI | (value & GHC_INTERRUPTS);
        interrupts_update(ahci);
    } else if (offset == IS) {
        ahci->is &= ~(uint32_t)value;
        interrupts_update(ahci);
    }
}

static const struct region_ops register_ops = {
    .read = registers_read,
    .write = registers_write,
    .min_size = 4,
    .max_size = 4,
};

/* The same registers through two ports, for code that cannot reach the memory. (10.13) */
static uint64_t index_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    if (offset == 0x10)
        return ahci->index;
    return offset == 0x14 ? registers_read(dev, ahci->index, 4) : 0;
}

static void index_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    if (offset == 0x10)
        ahci->index = value & (REGISTERS_SIZE - 4);
    else if (offset == 0x14)
        registers_write(dev, ahci->index, value, 4);
}

static const struct region_ops index_ops = {
    .read = index_read,
    .write = index_write,
    .min_size = 4,
    .max_size = 4,
};

static bool capabilities_add(struct ahci *ahci, GError **error)
{
    struct pci_function *function = &ahci->function;
    pci_config_define(function, 0x90, 1, 0x40, 0); /* MAP: AHCI */
    uint8_t sata = pci_capability_add(function, 0x12, 0xa8, 8, error);
    if (!sata)
        return false;
    pci_config_define(function, sata + 2, 1, 0x10, 0); /* revision 1.0 */
    pci_config_define(function, sata + 4, 4, 0x48, 0); /* the index pair: BAR 4, at 16 */
    return pci_msi_init(function, 0x80, 1, error);
}

static bool ahci_realize(struct device *dev, GError **error)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    if (!capabilities_add(ahci, error))
        return false;
    ahci->registers =
        (struct region){ .name = "ahci", .size = REGISTERS_SIZE, .ops = &register_ops, .dev = dev };
    ahci->index_pair =
        (struct region){ .name = "ahci-idp", .size = 32, .ops = &index_ops, .dev = dev };
    pci_bar_define(&ahci->function, 4, PCI_BAR_IO, 32);
    pci_bar_add_region(&ahci->function, 4, 0, &ahci->index_pair);
    pci_bar_define(&ahci->function, 5, PCI_BAR_MEMORY32, REGISTERS_SIZE);
    pci_bar_add_region(&ahci->function, 5, 0, &ahci->registers);
    for (unsigned i = 0; i < PORTS; i++) {
        struct port *port = &ahci->ports[i];
        port->ahci = ahci;
        port->number = i;
        port->slot = -1;
        port->bus.ops = &adapter_ops;
        port->bus.units = 1;
        port->bus.serial_ata = true;
        bus_init(&port->bus.bus, &bus_ide, dev, NULL);
        port->bus.bus.max_devices = 1;
        defer_init(&port->submit, submit_deferred, port);
        for (unsigned slot = 0; slot < SLOTS; slot++) {
            port->queue[slot].port = port;
            dma_list_init(&port->queue[slot].memory, dev->vm->memory);
        }
    }
    return true;
}

static void port_drain(struct port *port)
{
    if (!drive_of(port))
        return;
    if (atomic_load(&port->submit.waiting)) {
        defer_cancel(&port->submit);
        submit_deferred(port);
    }
    ata_drain(drive_of(port));
}

static void ahci_unrealize(struct device *dev)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    for (unsigned i = 0; i < PORTS; i++) {
        struct port *port = &ahci->ports[i];
        port_drain(port);
        defer_cancel(&port->submit);
        for (unsigned slot = 0; slot < SLOTS; slot++)
            dma_list_destroy(&port->queue[slot].memory);
        bus_destroy(&port->bus.bus);
    }
}

static void ahci_reset(struct device *dev)
{
    struct ahci *ahci = container_of(dev, struct ahci, function.dev);
    for (unsigned i = 0; i < PORTS; i++) {
        pthread_mutex_unlock(&dev->lock);
        port_drain(&ahci->ports[i]);
        pthread_mutex_lock(&dev->lock);
        ide_bus_reset(&ahci->ports[i].bus);
    }
    ahci->index = 0;
    controller_reset(ahci);
}

static const struct pci_type ahci_pci = {
    .vendor = 0x8086,
    .device = 0x2922,
    .revision = 2,
    .class = 0x010601,
    .interrupt_pin = 1,
};

DEVICE_TYPE(ahci) = {
    .name = "ich9-ahci",
    .description = "Serial ATA controller with 6 ports",
    .alias = "ahci",
    .category = DEVICE_CATEGORY_STORAGE,
    .bus = &bus_pci,
    .on_bus = &ahci_pci,
    .size = sizeof(struct ahci),
    .realize = ahci_realize,
    .reset = ahci_reset,
    .unrealize = ahci_unrealize,
};
