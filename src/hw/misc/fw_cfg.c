/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg: items for the firmware behind three registers.
 *
 *      0x510  16 bits  selector: which item; starts again at its first byte
 *      0x511   8 bits  data: the item's next byte; zero after its end
 *      0x514  64 bits  address of a DMA request, big endian; the write of the lower half starts it
 *
 * A DMA request is a structure in guest memory: control, length, address, all big endian. It moves
 * many bytes at once, can skip, and is the only way to write. Reading the DMA register gives a
 * signature by which firmware knows that it is there.
 *
 * Threads: ports on any vCPU's thread, under dev.lock; that a transfer takes long delays only who
 * uses fw_cfg at the same time. */
#include "hw/misc/fw_cfg.h"

#include <endian.h>
#include <string.h>

#include "hw/board.h"
#include "util/log.h"
#include "vm/vm.h"

#define KEY_WRITE_CHANNEL 0x4000u /* of an old interface, ignored */
#define KEY_NUMBER_MASK 0x3fffu
#define KEY_INVALID 0xffffu
#define NUMBERED_ITEMS FW_CFG_FILE_FIRST
#define LOCAL_ITEMS 8u
#define FILES_MAX 0x1000u

#define FEATURE_PORTS 1u
#define FEATURE_DMA 2u

#define DMA_ERROR 0x01u
#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE 0x10u

enum port_offset { PORT_SELECTOR = 0, PORT_DATA = 1, PORT_DMA = 4 };

struct dma_request {
    uint32_t control, length;
    uint64_t address;
};
static_assert(sizeof(struct dma_request) == 16, "fixed by the interface");

struct directory_entry {
    uint32_t size;
    uint16_t key, reserved;
    char name[FW_CFG_NAME_BYTES];
};
static_assert(sizeof(struct directory_entry) == 64, "fixed by the interface");

struct item {
    GBytes *bytes; /* what `data` points into, or NULL where it is shared */
    uint8_t *data;
    uint32_t size;
    struct fw_cfg_hooks hooks;
    char *name; /* of a file */
};

struct owned {
    void *memory;
    void (*release)(void *memory);
};

struct fw_cfg {
    struct device dev;
    struct region ports, dma_port;
    /* [const] while vCPUs run; the contents of shared files: [dev.lock] */
    struct item numbered[NUMBERED_ITEMS], local[LOCAL_ITEMS];
    GArray *owned;    /* struct owned */
    GPtrArray *files; /* struct item *, by name; the first one's key is FW_CFG_FILE_FIRST */
    /* [dev.lock] */
    uint16_t selected;
    uint32_t position; /* in the selected item */
    uint64_t dma_address;
};

/* --- items ----------------------------------------------------------------------------------- */

static struct item *item_of_key(struct fw_cfg *cfg, uint16_t key)
{
    unsigned number = key & KEY_NUMBER_MASK;
    if (key == KEY_INVALID)
        return NULL;
    if (key & FW_CFG_LOCAL)
        return number < LOCAL_ITEMS ? &cfg->local[number] : NULL;
    if (number < NUMBERED_ITEMS)
        return &cfg->numbered[number];
    number -= FW_CFG_FILE_FIRST;
    return number < cfg->files->len ? cfg->files->pdata[number] : NULL;
}

static void item_set_bytes(struct item *item, GBytes *bytes)
{
    gsize size;
    if (item->bytes)
        g_bytes_unref(item->bytes);
    item->bytes = bytes;
    /* Never written: an item with bytes has no `written` hook. */
    item->data = (uint8_t *)g_bytes_get_data(bytes, &size);
    item->size = MIN(size, UINT32_MAX);
}

static GBytes *number_bytes(uint64_t value, unsigned size)
{
    uint64_t little = htole64(value);
    assert(size <= sizeof(little));
    return g_bytes_new(&little, size);
}

void fw_cfg_set(struct fw_cfg *cfg, uint16_t key, GBytes *data)
{
    struct item *item = item_of_key(cfg, key);
    assert(item && !item->name);
    item_set_bytes(item, data);
}

void fw_cfg_set_number(struct fw_cfg *cfg, uint16_t key, uint64_t value, unsigned size)
{
    fw_cfg_set(cfg, key, number_bytes(value, size));
}

/* --- files ----------------------------------------------------------------------------------- */

static struct item *file_find(const struct fw_cfg *cfg, const char *name)
{
    for (guint i = 0; i < cfg->files->len; i++) {
        struct item *item = cfg->files->pdata[i];
        if (!strcmp(item->name, name))
            return item;
    }
    return NULL;
}

/* The directory: a count, then an entry per file. */
static void directory_make(struct fw_cfg *cfg)
{
    size_t size = sizeof(uint32_t) + cfg->files->len * sizeof(struct directory_entry);
    uint8_t *directory = g_malloc0(size);
    uint32_t count = htobe32(cfg->files->len);
    memcpy(directory, &count, sizeof(count));
    for (guint i = 0; i < cfg->files->len; i++) {
        const struct item *item = cfg->files->pdata[i];
        struct directory_entry entry = { htobe32(item->size), htobe16(FW_CFG_FILE_FIRST + i), 0 };
        memcpy(entry.name, item->name, strlen(item->name));
        memcpy(directory + sizeof(count) + i * sizeof(entry), &entry, sizeof(entry));
    }
    fw_cfg_set(cfg, FW_CFG_FILE_DIR, g_bytes_new_take(directory, size));
}

static struct item *file_add(struct fw_cfg *cfg, const char *name)
{
    guint at = 0;
    struct item *item = g_new0(struct item, 1);
    assert(strlen(name) < FW_CFG_NAME_BYTES && cfg->files->len < FILES_MAX);
    assert(!file_find(cfg, name));
    item->name = g_strdup(name);
    while (at < cfg->files->len && strcmp(((struct item *)cfg->files->pdata[at])->name, name) < 0)
        at++;
    g_ptr_array_insert(cfg->files, at, item);
    return item;
}

bool fw_cfg_file_name_valid(const struct fw_cfg *cfg, const char *name, GError **error)
{
    if (!*name)
        return fail(error, "a file's name is not empty");
    if (strlen(name) >= FW_CFG_NAME_BYTES)
        return fail(error, "name '%s' is too long; a file's name has at most %u characters", name,
                    FW_CFG_NAME_BYTES - 1);
    if (file_find(cfg, name))
        return fail(error, "there is a file '%s' already", name);
    if (cfg->files->len >= FILES_MAX / 2)
        return fail(error, "there are %u files already, and no room for '%s'", cfg->files->len,
                    name);
    return true;
}

void fw_cfg_add_file(struct fw_cfg *cfg, const char *name, GBytes *data)
{
    item_set_bytes(file_add(cfg, name), data);
    directory_make(cfg);
}

void fw_cfg_add_number(struct fw_cfg *cfg, const char *name, uint64_t value, unsigned size)
{
    fw_cfg_add_file(cfg, name, number_bytes(value, size));
}

void fw_cfg_add_shared(struct fw_cfg *cfg, const char *name, void *memory, uint32_t size,
                       const struct fw_cfg_hooks *hooks)
{
    struct item *item = file_add(cfg, name);
    item->data = memory;
    item->size = size;
    item->hooks = *hooks;
    directory_make(cfg);
}

void fw_cfg_own(struct fw_cfg *cfg, void *memory, void (*release)(void *memory))
{
    struct owned owned = { memory, release };
    g_array_append_val(cfg->owned, owned);
}

void fw_cfg_replace_file(struct fw_cfg *cfg, const char *name, GBytes *data)
{
    struct item *item = file_find(cfg, name);
    if (!item)
        item = file_add(cfg, name);
    item_set_bytes(item, data);
    directory_make(cfg);
}

const void *fw_cfg_file(const struct fw_cfg *cfg, const char *name, uint32_t *size)
{
    const struct item *item = file_find(cfg, name);
    if (!item)
        return NULL;
    *size = item->size;
    return item->data;
}

/* --- registers ------------------------------------------------------------------------------- */

static void item_select(struct fw_cfg *cfg, uint16_t key)
{
    cfg->selected = key & ~KEY_WRITE_CHANNEL;
    cfg->position = 0;
    const struct item *item = item_of_key(cfg, cfg->selected);
    if (!item)
        cfg->selected = KEY_INVALID;
    else if (item->hooks.selected)
        item->hooks.selected(item->hooks.opaque);
}

static uint32_t item_left(const struct item *item, uint32_t position)
{
    return item && position < item->size ? item->size - position : 0;
}

static uint64_t ports_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct fw_cfg *cfg = container_of(dev, struct fw_cfg, dev);
    const struct item *item = item_of_key(cfg, cfg->selected);
    return item_left(item, cfg->position) ? item->data[cfg->position++] : 0;
}

static void ports_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == PORT_SELECTOR && size == 2)
        item_select(container_of(dev, struct fw_cfg, dev), value);
}

/* --- DMA ------------------------------------------------------------------------------------- */

/* Zeros follow an item's end. They are written in pieces: the guest chooses how many. */
static bool guest_clear(struct vm *vm, uint64_t address, uint32_t length)
{
    static const uint8_t zeros[GUEST_PAGE_SIZE];
    while (length) {
        uint32_t piece = MIN(length, sizeof(zeros));
        if (!dma_write(vm->memory, address, zeros, piece))
            return false;
        address += piece;
        length -= piece;
    }
    return true;
}

static bool dma_read_item(struct fw_cfg *cfg, const struct dma_request *request)
{
    struct vm *vm = cfg->dev.vm;
    const struct item *item = item_of_key(cfg, cfg->selected);
    uint32_t there = MIN(item_left(item, cfg->position), request->length);
    if (there && !dma_write(vm->memory, request->address, item->data + cfg->position, there))
        return false;
    cfg->position += there;
    return guest_clear(vm, request->address + there, request->length - there);
}

static bool dma_write_item(struct fw_cfg *cfg, const struct dma_request *request)
{
    const struct item *item = item_of_key(cfg, cfg->selected);
    uint32_t start = cfg->position;
    if (!item || !item->hooks.written || request->length > item_left(item, start)
        || !dma_read(cfg->dev.vm->memory, request->address, item->data + start, request->length))
        return false;
    cfg->position += request->length;
    item->hooks.written(item->hooks.opaque, start, request->length);
    return true;
}

static bool dma_run(struct fw_cfg *cfg, const struct dma_request *request)
{
    if (request->control & DMA_SELECT)
        item_select(cfg, request->control >> 16);
    if (request->control & DMA_READ)
        return dma_read_item(cfg, request);
    if (request->control & DMA_WRITE)
        return dma_write_item(cfg, request);
    const struct item *item = item_of_key(cfg, cfg->selected);
    if (request->control & DMA_SKIP)
        cfg->position += MIN(item_left(item, cfg->position), request->length);
    return true;
}

static void dma_start(struct fw_cfg *cfg)
{
    struct vm *vm = cfg->dev.vm;
    uint64_t address = cfg->dma_address;
    struct dma_request request;
    cfg->dma_address = 0;
    if (!dma_read(vm->memory, address, &request, sizeof(request))) {
        log_if(LOG_GUEST_ERRORS, "fw_cfg: DMA request at 0x%" G_GINT64_MODIFIER "x is not in RAM",
               address);
        return;
    }
    request.control = be32toh(request.control);
    request.length = be32toh(request.length);
    request.address = be64toh(request.address);
    uint32_t status = htobe32(dma_run(cfg, &request) ? 0 : DMA_ERROR);
    /* The control field alone: it says that all is done. */
    dma_write(vm->memory, address, &status, sizeof(status));
}

/* The bytes "QEMU CFG" in their order in the ports. */
static uint64_t dma_port_read(struct device *dev, uint64_t offset, unsigned size)
{
    static const char signature[] = "QEMU CFG";
    uint64_t value = 0;
    for (unsigned i = 0; i < size && offset + i < 8; i++)
        value |= (uint64_t)signature[offset + i] << (8 * i);
    return value;
}

static void dma_port_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct fw_cfg *cfg = container_of(dev, struct fw_cfg, dev);
    uint64_t half = be32toh((uint32_t)value);
    if (size != 4)
        return;
    if (offset == 0) {
        cfg->dma_address = half << 32;
        return;
    }
    cfg->dma_address |= half;
    dma_start(cfg);
}

/* --- life ------------------------------------------------------------------------------------ */

static const struct region_ops ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .max_size = 2,
};
static const struct region_ops dma_ops = {
    .read = dma_port_read,
    .write = dma_port_write,
    .max_size = 4,
};

struct fw_cfg *fw_cfg_find(struct vm *vm)
{
    struct device *dev = board_find(vm, "fw_cfg");
    return dev ? container_of(dev, struct fw_cfg, dev) : NULL;
}

static void file_free(void *opaque)
{
    struct item *item = opaque;
    if (item->bytes)
        g_bytes_unref(item->bytes);
    g_free(item->name);
    g_free(item);
}

static bool fw_cfg_realize(struct device *dev, GError **error)
{
    struct fw_cfg *cfg = container_of(dev, struct fw_cfg, dev);
    cfg->files = g_ptr_array_new_with_free_func(file_free);
    cfg->owned = g_array_new(FALSE, FALSE, sizeof(struct owned));
    fw_cfg_set(cfg, FW_CFG_SIGNATURE, g_bytes_new("QEMU", 4));
    fw_cfg_set_number(cfg, FW_CFG_ID, FEATURE_PORTS | FEATURE_DMA, 4);
    directory_make(cfg);
    cfg->ports = (struct region){
        .name = "fw_cfg",
        .base = FW_CFG_PORT,
        .size = 2,
        .ops = &ports_ops,
        .dev = dev,
    };
    cfg->dma_port = (struct region){
        .name = "fw_cfg-dma",
        .base = FW_CFG_PORT + PORT_DMA,
        .size = 8,
        .ops = &dma_ops,
        .dev = dev,
    };
    address_space_add(dev->vm->io, &cfg->ports);
    address_space_add(dev->vm->io, &cfg->dma_port);
    return true;
}

static void fw_cfg_reset(struct device *dev)
{
    struct fw_cfg *cfg = container_of(dev, struct fw_cfg, dev);
    cfg->dma_address = 0;
    item_select(cfg, FW_CFG_SIGNATURE);
}

static void items_free(struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].bytes)
            g_bytes_unref(items[i].bytes);
}

static void fw_cfg_unrealize(struct device *dev)
{
    struct fw_cfg *cfg = container_of(dev, struct fw_cfg, dev);
    address_space_remove(dev->vm->io, &cfg->ports);
    address_space_remove(dev->vm->io, &cfg->dma_port);
    items_free(cfg->numbered, NUMBERED_ITEMS);
    items_free(cfg->local, LOCAL_ITEMS);
    g_ptr_array_unref(cfg->files);
    for (guint i = 0; i < cfg->owned->len; i++) {
        struct owned *owned = &g_array_index(cfg->owned, struct owned, i);
        owned->release(owned->memory);
    }
    g_array_unref(cfg->owned);
}

static const struct state_field fw_cfg_state[] = {
    STATE(U16, struct fw_cfg, selected, .since = 1),
    STATE(U32, struct fw_cfg, position, .since = 1),
    STATE(U64, struct fw_cfg, dma_address, .since = 1),
    {},
};

DEVICE_TYPE(fw_cfg) = {
    .name = "fw_cfg",
    .description = "firmware configuration",
    .bus = &bus_system,
    .size = sizeof(struct fw_cfg),
    .state = fw_cfg_state,
    .realize = fw_cfg_realize,
    .reset = fw_cfg_reset,
    .unrealize = fw_cfg_unrealize,
};
