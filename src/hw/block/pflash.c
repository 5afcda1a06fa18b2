/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cfi.pflash01: a flash memory, 8 bits wide, with the commands of Intel's (Common Flash Interface,
 * JESD68; Intel StrataFlash data sheet, "Command Definitions").
 *
 * Mostly it is memory that can only be read. A write is a command, and until the one for "read
 * array" the whole device shows its status instead:
 *
 *      array    --- 0x40, then data -------->   program a byte        )
 *               --- 0x20, then 0xd0 -------->   erase a sector        )  status
 *               --- 0xe8, count, data, 0xd0 ->  program a buffer      )
 *               --- 0x70, 0x90, 0x98 ------->   status, identity, the CFI table
 *      <------- 0xff ---------------------------------
 *
 * So there are two regions of which one is mapped: ROM whose writes come here, and registers.
 * Changes go to the block node when an operation ends, and are on its way to the host then; they
 * survive the process.
 *
 * Threads: accesses on any vCPU's thread, under `lock` instead of dev.lock, because a change of
 * what is mapped may not be made under a device's lock. */
#include "hw/block/pflash.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "block/backend.h"
#include "util/log.h"
#include "vm/vm.h"

#define STATUS_READY 0x80u
#define STATUS_ERASE_ERROR 0x20u
#define STATUS_PROGRAM_ERROR 0x10u

#define MANUFACTURER_INTEL 0x89u
#define DEVICE_CODE 0x18u
#define BUFFER_BYTES 256u
#define CFI_TABLE_START 0x10u

enum pflash_command {
    COMMAND_READ_ARRAY_OLD = 0x00,
    COMMAND_PROGRAM_OLD = 0x10,
    COMMAND_ERASE = 0x20,
    COMMAND_PROGRAM = 0x40,
    COMMAND_CLEAR_STATUS = 0x50,
    COMMAND_LOCK = 0x60,
    COMMAND_STATUS = 0x70,
    COMMAND_IDENTITY = 0x90,
    COMMAND_CFI = 0x98,
    COMMAND_CONFIRM = 0xd0,
    COMMAND_BUFFER = 0xe8,
    COMMAND_RESET = 0xf0,
    COMMAND_READ_ARRAY = 0xff,
};

enum pflash_step {
    STEP_COMMAND, /* waits for a command */
    STEP_SECOND,  /* for the command's data, count or confirmation */
    STEP_DATA,    /* for the buffer's bytes */
    STEP_CONFIRM, /* for the buffer's confirmation */
};

struct pflash {
    struct device dev;
    struct drive_options options; /* [const] property */
    uint64_t end;                 /* [const] set before realize */
    bool secure;                  /* [const] property */
    bool read_only;               /* [const] */
    uint64_t size;                /* [const] */
    uint8_t *contents;            /* [lock] for writing */
    struct region array, registers;
    pthread_mutex_t lock;
    /* [lock] */
    bool array_mapped;
    uint8_t command, status;
    enum pflash_step step;
    uint32_t buffer_left, buffer_used;
    uint64_t buffer_offset;
    uint8_t buffer[BUFFER_BYTES];
};

/* --- contents -------------------------------------------------------------------------------- */

static void contents_save(struct pflash *flash, uint64_t offset, uint32_t size)
{
    struct block_node *node = block_backend_node(flash->options.drive->backend);
    int error = node ? block_pwrite(node, offset, flash->contents + offset, size, 0) : -ENOMEDIUM;
    if (!error)
        return;
    flash->status |= STATUS_PROGRAM_ERROR;
    warn("pflash: cannot write %u bytes at 0x%" G_GINT64_MODIFIER "x of '%s': %s", size, offset,
         flash->options.drive->name, strerror(-error));
}

/* With secure=on only firmware in system management mode changes anything, so that the system
 * cannot change what firmware trusts. */
static bool write_allowed(const struct pflash *flash)
{
    return !flash->read_only
           && (!flash->secure || (current_vcpu && current_vcpu->cpu && current_vcpu->cpu->smm));
}

static void program(struct pflash *flash, uint64_t offset, const uint8_t *data, uint32_t size)
{
    flash->status |= STATUS_READY;
    if (!write_allowed(flash) || size > flash->size - offset) {
        flash->status |= STATUS_PROGRAM_ERROR;
        return;
    }
    memcpy(flash->contents + offset, data, size);
    contents_save(flash, offset, size);
}

static void erase(struct pflash *flash, uint64_t offset)
{
    offset &= ~(uint64_t)(PFLASH_SECTOR_BYTES - 1);
    flash->status |= STATUS_READY;
    if (!write_allowed(flash)) {
        flash->status |= STATUS_ERASE_ERROR;
        return;
    }
    memset(flash->contents + offset, 0xff, PFLASH_SECTOR_BYTES);
    contents_save(flash, offset, PFLASH_SECTOR_BYTES);
}

/* --- reading what is not the array ----------------------------------------------------------- */

static unsigned log2_of(uint64_t size)
{
    return 63 - __builtin_clzll(size);
}

static uint8_t cfi_byte(const struct pflash *flash, unsigned offset)
{
    uint32_t last = flash->size / PFLASH_SECTOR_BYTES - 1;
    const uint8_t table[] = {
        'Q',
        'R',
        'Y',
        0x01,
        0x00,
        0x31,
        0x00,
        0,
        0,
        0,
        0, /* Intel's commands; extended table */
        0x45,
        0x55,
        0,
        0, /* 4.5 to 5.5 V */
        7,
        7,
        10,
        0,
        4,
        4,
        4,
        0, /* powers of two: times */
        log2_of(flash->size),
        0x02,
        0x00,
        log2_of(BUFFER_BYTES),
        0x00,
        1,
        last,
        last >> 8,
        PFLASH_SECTOR_BYTES >> 8 & 0xff,
        PFLASH_SECTOR_BYTES >> 16,
        'P',
        'R',
        'I',
        '1',
        '0',
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    };
    unsigned index = offset - CFI_TABLE_START;
    return offset >= CFI_TABLE_START && index < sizeof(table) ? table[index] : 0;
}

static uint8_t identity_byte(unsigned offset)
{
    return offset == 0 ? MANUFACTURER_INTEL : offset == 1 ? DEVICE_CODE : 0;
}

static uint8_t register_read(const struct pflash *flash, uint64_t offset)
{
    switch (flash->command) {
    case COMMAND_READ_ARRAY:
        return flash->contents[offset];
    case COMMAND_IDENTITY:
        return identity_byte(offset & 0xff);
    case COMMAND_CFI:
        return cfi_byte(flash, offset & 0xff);
    default:
        return flash->status;
    }
}

/* --- commands -------------------------------------------------------------------------------- */

static void to_array(struct pflash *flash)
{
    flash->command = COMMAND_READ_ARRAY;
    flash->step = STEP_COMMAND;
}

static void command_start(struct pflash *flash, uint8_t command)
{
    switch (command) {
    case COMMAND_PROGRAM_OLD:
    case COMMAND_PROGRAM:
    case COMMAND_ERASE:
    case COMMAND_LOCK:
    case COMMAND_BUFFER:
        flash->command = command;
        flash->status |= STATUS_READY;
        flash->step = STEP_SECOND;
        break;
    case COMMAND_STATUS:
    case COMMAND_IDENTITY:
    case COMMAND_CFI:
        flash->command = command;
        break;
    case COMMAND_CLEAR_STATUS:
        flash->status = 0; /* ready as well: by that firmware tells flash from ROM */
        to_array(flash);
        break;
    case COMMAND_READ_ARRAY_OLD:
    case COMMAND_RESET:
    case COMMAND_READ_ARRAY:
        to_array(flash);
        break;
    default:
        log_if(LOG_GUEST_ERRORS, "pflash: command 0x%02x is unknown", command);
        to_array(flash);
        break;
    }
}

static void command_continue(struct pflash *flash, uint64_t offset, uint8_t value)
{
    flash->step = STEP_COMMAND;
    switch (flash->command) {
    case COMMAND_PROGRAM_OLD:
    case COMMAND_PROGRAM:
        program(flash, offset, &value, 1);
        break;
    case COMMAND_ERASE:
        if (value == COMMAND_CONFIRM)
            erase(flash, offset);
        else
            to_array(flash);
        break;
    case COMMAND_BUFFER: /* one less than the bytes that follow */
        flash->buffer_left = value + 1;
        flash->buffer_used = 0;
        flash->step = STEP_DATA;
        break;
    default: /* locking: all is always unlocked */
        if (value == COMMAND_READ_ARRAY)
            to_array(flash);
        break;
    }
}

/* The bytes of one buffer follow each other; the first says where. */
static void buffer_put(struct pflash *flash, uint64_t offset, uint8_t value)
{
    if (!flash->buffer_used)
        flash->buffer_offset = offset;
    if (offset - flash->buffer_offset < BUFFER_BYTES) {
        flash->buffer[offset - flash->buffer_offset] = value;
        flash->buffer_used = MAX(flash->buffer_used, offset - flash->buffer_offset + 1);
    }
    if (!--flash->buffer_left)
        flash->step = STEP_CONFIRM;
}

static void register_write(struct pflash *flash, uint64_t offset, uint8_t value)
{
    switch (flash->step) {
    case STEP_COMMAND:
        command_start(flash, value);
        break;
    case STEP_SECOND:
        command_continue(flash, offset, value);
        break;
    case STEP_DATA:
        buffer_put(flash, offset, value);
        break;
    case STEP_CONFIRM:
        flash->step = STEP_COMMAND;
        if (value == COMMAND_CONFIRM)
            program(flash, flash->buffer_offset, flash->buffer, flash->buffer_used);
        else
            flash->status |= STATUS_PROGRAM_ERROR;
        break;
    }
}

/* --- regions --------------------------------------------------------------------------------- */

/* Maps what the command asks for. No lock held: the change waits for other vCPUs, and one of them
 * may be waiting for the lock. */
static void regions_switch(struct pflash *flash)
{
    struct address_space *space = flash->dev.vm->memory;
    address_space_begin(space);
    pthread_mutex_lock(&flash->lock);
    bool array = flash->command == COMMAND_READ_ARRAY && flash->step == STEP_COMMAND;
    bool change = array != flash->array_mapped;
    flash->array_mapped = array;
    pthread_mutex_unlock(&flash->lock);
    if (change) {
        address_space_remove(space, array ? &flash->registers : &flash->array);
        address_space_add(space, array ? &flash->array : &flash->registers);
    }
    address_space_end(space);
}

static uint64_t flash_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct pflash *flash = container_of(dev, struct pflash, dev);
    uint64_t value = 0;
    pthread_mutex_lock(&flash->lock);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)register_read(flash, offset + i) << (8 * i);
    pthread_mutex_unlock(&flash->lock);
    return value;
}

static void flash_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct pflash *flash = container_of(dev, struct pflash, dev);
    pthread_mutex_lock(&flash->lock);
    for (unsigned i = 0; i < size; i++)
        register_write(flash, offset + i, value >> (8 * i));
    bool array = flash->command == COMMAND_READ_ARRAY && flash->step == STEP_COMMAND;
    bool change = array != flash->array_mapped;
    pthread_mutex_unlock(&flash->lock);
    if (change)
        regions_switch(flash);
}

static const struct region_ops flash_ops = {
    .read = flash_read,
    .write = flash_write,
    .unlocked = true,
};

/* --- life ------------------------------------------------------------------------------------ */

static bool contents_load(struct pflash *flash, GError **error)
{
    const char *name = flash->options.drive->name;
    void *host =
        mmap(NULL, flash->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED)
        return fail_errno(error, "pflash: no memory for '%s'", name);
    flash->contents = host;
    int status =
        block_pread(block_backend_node(flash->options.drive->backend), 0, host, flash->size);
    if (!status)
        return true;
    munmap(host, flash->size);
    return fail(error, "pflash: cannot read '%s': %s", name, strerror(-status));
}

/* The medium is always there, and nobody takes it out. */
static const struct block_device_ops flash_drive_ops = { 0 };

static bool drive_open(struct pflash *flash, GError **error)
{
    if (!flash->options.drive)
        return fail(error, "cfi.pflash01: flash memory is given with -drive if=pflash or "
                           "-machine pflash0=");
    if (!drive_attach(&flash->options, &flash->dev, true, &flash_drive_ops, flash, error))
        return false;
    struct block_backend *backend = flash->options.drive->backend;
    flash->size = block_backend_length(backend);
    flash->read_only = block_backend_is_read_only(backend);
    if (!flash->size || flash->size % PFLASH_SECTOR_BYTES || flash->size > flash->end)
        return fail(error,
                    "pflash: '%s' has %" G_GUINT64_FORMAT " bytes; it takes a multiple of %u",
                    flash->options.drive->name, flash->size, PFLASH_SECTOR_BYTES);
    return contents_load(flash, error);
}

static bool flash_realize(struct device *dev, GError **error)
{
    struct pflash *flash = container_of(dev, struct pflash, dev);
    if (!drive_open(flash, error)) {
        drive_detach(&flash->options, flash);
        return false;
    }
    pthread_mutex_init(&flash->lock, NULL);
    flash->array = (struct region){
        .name = "system.flash",
        .kind = REGION_ROM,
        .base = flash->end - flash->size,
        .size = flash->size,
        .priority = 1,
        .host = flash->contents,
        .ops = &flash_ops,
        .dev = dev,
    };
    flash->registers = flash->array;
    flash->registers.kind = REGION_IO;
    flash->registers.host = NULL;
    flash->array_mapped = true;
    address_space_add(dev->vm->memory, &flash->array);
    return true;
}

static void flash_reset(struct device *dev)
{
    struct pflash *flash = container_of(dev, struct pflash, dev);
    to_array(flash);
    flash->status = STATUS_READY;
    regions_switch(flash); /* dev.lock is held, but no callback takes it */
}

static void flash_unrealize(struct device *dev)
{
    struct pflash *flash = container_of(dev, struct pflash, dev);
    address_space_remove(dev->vm->memory, flash->array_mapped ? &flash->array : &flash->registers);
    munmap(flash->contents, flash->size);
    drive_detach(&flash->options, flash);
    pthread_mutex_destroy(&flash->lock);
}

static const struct property flash_properties[] = {
    DRIVE_PROPERTIES(struct pflash, options),
    PROPERTY_BOOL("secure", struct pflash, secure, false,
                  .help = "only system management mode writes"),
    {},
};

DEVICE_TYPE(pflash) = {
    .name = "cfi.pflash01",
    .description = "flash memory with Intel's commands",
    .bus = &bus_system,
    .category = DEVICE_CATEGORY_STORAGE,
    .board_only = true,
    .size = sizeof(struct pflash),
    .properties = flash_properties,
    .realize = flash_realize,
    .reset = flash_reset,
    .unrealize = flash_unrealize,
};

struct device *pflash_create(struct vm *vm, const char *drive, uint64_t end, GError **error)
{
    struct device *dev = device_new(vm, "cfi.pflash01", NULL, error);
    if (!dev)
        return NULL;
    struct pflash *flash = container_of(dev, struct pflash, dev);
    flash->end = end;
    if (device_set(dev, "drive", drive, error) && device_realize(dev, error))
        return dev;
    device_free(dev);
    return NULL;
}

const uint8_t *pflash_contents(const struct device *dev, uint64_t *size)
{
    const struct pflash *flash = container_of(dev, struct pflash, dev);
    *size = flash->size;
    return flash->contents;
}
