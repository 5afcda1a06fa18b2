/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers, queues and interrupts of an NVM Express controller. */
#include "hw/storage/nvme.h"

#include <string.h>

#include "util/log.h"

#define REGISTERS_SIZE 0x2000u
#define DOORBELLS 0x1000u
#define MSIX_BAR 4u
#define PRP_PAGES_MAX (NVME_TRANSFER_MAX / 4096 + 1)

enum {
    CAP = 0x00,
    VS = 0x08,
    INTMS = 0x0c,
    INTMC = 0x10,
    CC = 0x14,
    CSTS = 0x1c,
    AQA = 0x24,
    ASQ = 0x28,
    ACQ = 0x30,
};
enum { CC_ENABLE = 1u << 0, CC_SHUTDOWN = 3u << 14 };
enum {
    CSTS_READY = 1u << 0,
    CSTS_FATAL = 1u << 1,
    CSTS_SHUT_DOWN = 2u << 2,
    CSTS_SHUTTING = 1u << 2
};
/* 2048 entries, contiguous queues, 7.5 s, NVM command set, pages of 4 to 64 KiB */
#define CAP_VALUE ((NVME_ENTRIES_MAX - 1) | 1ull << 16 | 15ull << 24 | 1ull << 37 | 4ull << 52)

static struct nvme *nvme_of(struct device *dev)
{
    return container_of(dev, struct nvme, function.dev);
}

static struct address_space *memory_of(const struct nvme *nvme)
{
    return nvme->function.dev.vm->memory;
}

/* --- interrupts (7.5) ------------------------------------------------------------------------- */

/* The pin: while any unmasked queue has something the host has not taken. */
static void pin_update(struct nvme *nvme)
{
    bool level = false;
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
        const struct nvme_cq *cq = &nvme->cq[i];
        level |= cq->exists && cq->interrupts && cq->head != cq->tail && cq->vector < 32
                 && !(nvme->masked >> cq->vector & 1);
    }
    pci_irq_set(&nvme->function, level);
}

static void interrupt(struct nvme *nvme, const struct nvme_cq *cq)
{
    if (!cq->interrupts)
        return;
    if (pci_msix_enabled(&nvme->function))
        pci_msix_notify(&nvme->function, cq->vector);
    else
        pin_update(nvme);
}

/* --- requests --------------------------------------------------------------------------------- */

static struct nvme_request *request_new(struct nvme *nvme)
{
    struct nvme_request *request = nvme->unused;
    if (request) {
        nvme->unused = request->next;
    } else {
        request = g_new0(struct nvme_request, 1);
        request->nvme = nvme;
        dma_list_init(&request->memory, memory_of(nvme));
    }
    request->status = NVME_SUCCESS;
    request->result = 0;
    request->next = NULL;
    dma_list_clear(&request->memory);
    return request;
}

static void request_free(struct nvme_request *request)
{
    g_clear_pointer(&request->buffer, g_free);
    request->next = request->nvme->unused;
    request->nvme->unused = request;
}

void nvme_submit(struct nvme_request *request,
                 void (*done)(struct disk_request *request, int error))
{
    struct nvme *nvme = request->nvme;
    request->disk.done = done;
    request->next = NULL;
    *nvme->submit_end = request;
    nvme->submit_end = &request->next;
    if (!nvme->fetching)
        defer_schedule(&nvme->work);
}

/* Called without the lock. */
static void requests_submit(struct nvme *nvme)
{
    pthread_mutex_lock(&nvme->function.dev.lock);
    struct nvme_request *request = nvme->to_submit, *next;
    nvme->to_submit = NULL;
    nvme->submit_end = &nvme->to_submit;
    pthread_mutex_unlock(&nvme->function.dev.lock);
    for (; request; request = next) {
        next = request->next;
        disk_submit(&nvme->disk, &request->disk);
    }
}

/* --- completion queues (4.1, 4.6) ------------------------------------------------------------- */

static bool cq_full(const struct nvme_cq *cq)
{
    return (cq->tail + 1) % cq->size == cq->head;
}

static void cq_post(struct nvme *nvme, struct nvme_cq *cq, struct nvme_request *request)
{
    struct nvme_sq *sq = &nvme->sq[request->sq];
    uint32_t entry[4] = {
        request->result,
        0,
        sq->head | (uint32_t)request->sq << 16,
        request->command.id | (uint32_t)cq->phase << 16 | (uint32_t)request->status << 17,
    };
    uint64_t at = cq->base + 16ull * cq->tail;
    /* The phase bit tells the host that the entry is there: it is written last. */
    if (!pci_dma_write(&nvme->function, at, entry, 12)
        || !pci_dma_write(&nvme->function, at + 12, &entry[3], 4)) {
        log_if(LOG_GUEST_ERRORS, "NVMe: a completion queue is not in memory");
        nvme->state |= CSTS_FATAL;
    }
    if (++cq->tail == cq->size) {
        cq->tail = 0;
        cq->phase = !cq->phase;
    }
}

/* Posts what waits, as far as there is room. */
static void cq_flush(struct nvme *nvme, struct nvme_cq *cq)
{
    bool posted = false;
    while (cq->waiting && !cq_full(cq)) {
        struct nvme_request *request = cq->waiting;
        if (!(cq->waiting = request->next))
            cq->end = &cq->waiting;
        cq_post(nvme, cq, request);
        request_free(request);
        posted = true;
    }
    if (posted)
        interrupt(nvme, cq);
}

static void disable_finish(struct nvme *nvme);

void nvme_complete(struct nvme_request *request)
{
    struct nvme *nvme = request->nvme;
    struct nvme_sq *sq = &nvme->sq[request->sq];
    nvme->in_flight--;
    if (nvme->disabling || request->sq_serial != nvme->sq_serial[request->sq]) {
        request_free(request);
        if (nvme->disabling && !nvme->in_flight)
            disable_finish(nvme);
        return;
    }
    struct nvme_cq *cq = &nvme->cq[sq->cq];
    sq->in_flight--;
    request->next = NULL;
    *cq->end = request;
    cq->end = &request->next;
    cq_flush(nvme, cq);
    if (sq->deleter && !sq->in_flight) {
        struct nvme_request *deleter = sq->deleter;
        nvme_sq_delete(nvme, sq - nvme->sq);
        nvme_complete(deleter);
    }
}

void nvme_cq_create(struct nvme *nvme, unsigned id, uint64_t base, unsigned size, unsigned vector,
                    bool interrupts)
{
    struct nvme_cq *cq = &nvme->cq[id];
    *cq = (struct nvme_cq){
        .exists = true,
        .interrupts = interrupts,
        .phase = true,
        .size = size,
        .vector = vector,
        .base = base,
    };
    cq->end = &cq->waiting;
}

void nvme_cq_delete(struct nvme *nvme, unsigned id)
{
    struct nvme_cq *cq = &nvme->cq[id];
    while (cq->waiting) {
        struct nvme_request *request = cq->waiting;
        cq->waiting = request->next;
        request_free(request);
    }
    cq->exists = false;
    if (!pci_msix_enabled(&nvme->function))
        pin_update(nvme);
}

/* --- submission queues ------------------------------------------------------------------------ */

void nvme_sq_create(struct nvme *nvme, unsigned id, uint64_t base, unsigned size, unsigned cq)
{
    nvme->sq[id] = (struct nvme_sq){ .exists = true, .size = size, .cq = cq, .base = base };
    nvme->cq[cq].users++;
}

void nvme_sq_delete(struct nvme *nvme, unsigned id)
{
    struct nvme_sq *sq = &nvme->sq[id];
    nvme->cq[sq->cq].users--;
    nvme->sq_serial[id]++;
    *sq = (struct nvme_sq){ 0 };
}

static void command_run(struct nvme *nvme, unsigned id)
{
    struct nvme_sq *sq = &nvme->sq[id];
    struct nvme_request *request = request_new(nvme);
    request->sq = id;
    request->sq_serial = nvme->sq_serial[id];
    nvme->in_flight++;
    sq->in_flight++;
    bool fetched = pci_dma_read(&nvme->function, sq->base + 64ull * sq->head, &request->command,
                                sizeof(request->command));
    sq->head = (sq->head + 1) % sq->size;
    if (!fetched) {
        log_if(LOG_GUEST_ERRORS, "NVMe: submission queue %u is not in memory", id);
        nvme->state |= CSTS_FATAL;
        request->status = NVME_DATA_TRANSFER_ERROR;
    } else if (request->command.flags & 0xc3) { /* fused commands and SGLs are not offered */
        request->status = NVME_INVALID_FIELD | NVME_DO_NOT_RETRY;
    } else {
        request->status = id ? nvme_io(nvme, request) : nvme_admin(nvme, request);
    }
    if (request->status != NVME_PENDING)
        nvme_complete(request);
}

/* Main loop: takes what the doorbells have announced. */
static void work(void *opaque)
{
    struct nvme *nvme = opaque;
    pthread_mutex_lock(&nvme->function.dev.lock);
    nvme->fetching = true;
    for (unsigned id = 0; id < NVME_QUEUES_MAX; id++) {
        struct nvme_sq *sq = &nvme->sq[id];
        if (!sq->more)
            continue;
        sq->more = false;
        while (sq->exists && !sq->deleter && sq->head != sq->tail && !nvme->disabling
               && sq->in_flight < sq->size)
            command_run(nvme, id);
    }
    for (unsigned id = 0; id < NVME_QUEUES_MAX; id++)
        if (nvme->cq[id].waiting)
            cq_flush(nvme, &nvme->cq[id]);
    nvme->fetching = false;
    pthread_mutex_unlock(&nvme->function.dev.lock);
    requests_submit(nvme);
}

/* --- memory of commands (4.3) ----------------------------------------------------------------- */

static bool map_add(struct nvme_request *request, uint64_t address, uint64_t length, bool to_host)
{
    return pci_is_master(&request->nvme->function)
           && dma_list_add(&request->memory, address, length, to_host);
}

/* `left` bytes in whole pages, by the list at `list`, whose last entry leads on to the next. */
static enum nvme_status map_list(struct nvme_request *request, uint64_t list, uint64_t left,
                                 bool to_host)
{
    struct nvme *nvme = request->nvme;
    uint64_t page = 1ull << nvme->page_bits, entries[PRP_PAGES_MAX];
    for (unsigned lists = 0; left; lists++) {
        uint64_t room = (page - (list & (page - 1))) / 8;
        uint64_t wanted = MIN((left + page - 1) / page, room);
        bool chained = (left + page - 1) / page > room;
        if ((list & 7) || lists == PRP_PAGES_MAX || wanted > G_N_ELEMENTS(entries))
            return NVME_INVALID_PRP_OFFSET | NVME_DO_NOT_RETRY;
        if (!pci_dma_read(&nvme->function, list, entries, wanted * 8))
            return NVME_DATA_TRANSFER_ERROR;
        for (unsigned i = 0; i < wanted - chained; i++) {
            uint64_t part = MIN(left, page);
            if (entries[i] & (page - 1))
                return NVME_INVALID_PRP_OFFSET | NVME_DO_NOT_RETRY;
            if (!map_add(request, entries[i], part, to_host))
                return NVME_DATA_TRANSFER_ERROR;
            left -= part;
        }
        list = entries[wanted - 1];
    }
    return NVME_SUCCESS;
}

enum nvme_status nvme_map(struct nvme_request *request, uint64_t length, bool to_host)
{
    uint64_t page = 1ull << request->nvme->page_bits, *prp = request->command.prp;
    uint64_t first = MIN(length, page - (prp[0] & (page - 1)));
    if (prp[0] & 3)
        return NVME_INVALID_PRP_OFFSET | NVME_DO_NOT_RETRY;
    if (!map_add(request, prp[0], first, to_host))
        return NVME_DATA_TRANSFER_ERROR;
    length -= first;
    if (!length)
        return NVME_SUCCESS;
    if (length > page)
        return map_list(request, prp[1], length, to_host);
    if (prp[1] & (page - 1))
        return NVME_INVALID_PRP_OFFSET | NVME_DO_NOT_RETRY;
    return map_add(request, prp[1], length, to_host) ? NVME_SUCCESS : NVME_DATA_TRANSFER_ERROR;
}

enum nvme_status nvme_reply(struct nvme_request *request, const void *page, uint64_t length)
{
    enum nvme_status status = nvme_map(request, length, true);
    if (status == NVME_SUCCESS)
        dma_list_store(&request->memory, 0, page, length);
    return status;
}

/* --- the controller's states (3.1.5, 3.1.6, 7.6) ---------------------------------------------- */

static void disable_finish(struct nvme *nvme)
{
    for (unsigned id = 0; id < NVME_QUEUES_MAX; id++) {
        nvme->sq_serial[id]++;
        nvme->sq[id] = (struct nvme_sq){ 0 };
        if (nvme->cq[id].exists)
            nvme_cq_delete(nvme, id);
        nvme->cq[id] = (struct nvme_cq){ 0 };
    }
    nvme->disabling = false;
    nvme->state = 0;
    nvme->config &= ~CC_ENABLE;
    pin_update(nvme);
}

static void disable(struct nvme *nvme)
{
    nvme->disabling = true;
    for (unsigned i = 0; i < nvme->event_count; i++) {
        nvme->in_flight--;
        request_free(nvme->events[i]);
    }
    nvme->event_count = 0;
    for (unsigned id = 0; id < NVME_QUEUES_MAX; id++) {
        if (!nvme->sq[id].deleter)
            continue;
        nvme->in_flight--;
        request_free(nvme->sq[id].deleter);
    }
    if (!nvme->in_flight)
        disable_finish(nvme);
}

/* False, and the host sees a fatal status, if what it has set cannot be. */
static bool enable(struct nvme *nvme)
{
    uint32_t config = nvme->config;
    unsigned page_bits = 12 + (config >> 7 & 15);
    unsigned sq_size = (nvme->admin_sizes & 0xfff) + 1;
    unsigned cq_size = (nvme->admin_sizes >> 16 & 0xfff) + 1;
    uint64_t page_mask = (1ull << page_bits) - 1;
    bool entries = (config >> 16 & 15) == 0 || (config >> 16 & 15) == 6;
    entries &= (config >> 20 & 15) == 0 || (config >> 20 & 15) == 4;
    if (page_bits > 16 || (config >> 4 & 7) || !entries || sq_size < 2 || cq_size < 2
        || (nvme->admin_sq & page_mask) || (nvme->admin_cq & page_mask)) {
        log_if(LOG_GUEST_ERRORS, "NVMe: enabled with configuration %08x, queue sizes %08x", config,
               nvme->admin_sizes);
        return false;
    }
    nvme->page_bits = page_bits;
    nvme_cq_create(nvme, 0, nvme->admin_cq, cq_size, 0, true);
    nvme_sq_create(nvme, 0, nvme->admin_sq, sq_size, 0);
    return true;
}

static void shut_down_done(struct disk_request *disk, int error)
{
    struct nvme_request *request = container_of(disk, struct nvme_request, disk);
    struct nvme *nvme = request->nvme;
    pthread_mutex_lock(&nvme->function.dev.lock);
    nvme->in_flight--;
    nvme->state = (nvme->state & ~CSTS_SHUTTING) | CSTS_SHUT_DOWN;
    request_free(request);
    if (nvme->disabling && !nvme->in_flight)
        disable_finish(nvme);
    pthread_mutex_unlock(&nvme->function.dev.lock);
}

static void shut_down(struct nvme *nvme)
{
    struct nvme_request *request = request_new(nvme);
    request->disk = (struct disk_request){ .op = BLOCK_FLUSH };
    nvme->in_flight++;
    nvme->state |= CSTS_SHUTTING;
    nvme_submit(request, shut_down_done);
}

static void config_write(struct nvme *nvme, uint32_t value)
{
    uint32_t before = nvme->config;
    nvme->config = value;
    if ((value & CC_SHUTDOWN) && !(before & CC_SHUTDOWN))
        shut_down(nvme);
    else if (!(value & CC_SHUTDOWN) && (before & CC_SHUTDOWN))
        nvme->state &= ~(CSTS_SHUTTING | CSTS_SHUT_DOWN);
    if (nvme->disabling)
        return;
    if ((value & CC_ENABLE) && !(before & CC_ENABLE))
        nvme->state |= enable(nvme) ? CSTS_READY : CSTS_FATAL;
    else if (!(value & CC_ENABLE) && (before & CC_ENABLE))
        disable(nvme);
}

/* --- registers -------------------------------------------------------------------------------- */

static void doorbell(struct nvme *nvme, unsigned index, uint32_t value)
{
    unsigned id = index / 2;
    if (id >= NVME_QUEUES_MAX || !(nvme->state & CSTS_READY))
        return;
    if (index & 1) {
        struct nvme_cq *cq = &nvme->cq[id];
        if (!cq->exists || value >= cq->size) {
            log_if(LOG_GUEST_ERRORS, "NVMe: doorbell of completion queue %u: %u", id, value);
            return;
        }
        cq->head = value;
        if (cq->waiting)
            defer_schedule(&nvme->work);
        if (!pci_msix_enabled(&nvme->function))
            pin_update(nvme);
        return;
    }
    struct nvme_sq *sq = &nvme->sq[id];
    if (!sq->exists || value >= sq->size) {
        log_if(LOG_GUEST_ERRORS, "NVMe: doorbell of submission queue %u: %u", id, value);
        return;
    }
    sq->tail = value;
    sq->more = true;
    defer_schedule(&nvme->work);
}

static uint64_t registers_read(struct device *dev, uint64_t offset, unsigned size)
{
    struct nvme *nvme = nvme_of(dev);
    switch (offset) {
    case CAP:
        return (uint32_t)CAP_VALUE;
    case CAP + 4:
        return CAP_VALUE >> 32;
    case VS:
        return 0x00010400;
    case INTMS:
    case INTMC:
        return nvme->masked;
    case CC:
        return nvme->config;
    case CSTS:
        return nvme->state;
    case AQA:
        return nvme->admin_sizes;
    case ASQ:
        return (uint32_t)nvme->admin_sq;
    case ASQ + 4:
        return nvme->admin_sq >> 32;
    case ACQ:
        return (uint32_t)nvme->admin_cq;
    case ACQ + 4:
        return nvme->admin_cq >> 32;
    default:
        return 0;
    }
}

static uint64_t replaced(uint64_t old, uint64_t value, bool high)
{
    return high ? (uint32_t)old | value << 32 : (old & ~0xffffffffull) | (uint32_t)value;
}

static void registers_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    struct nvme *nvme = nvme_of(dev);
    if (offset >= DOORBELLS) {
        doorbell(nvme, (offset - DOORBELLS) / 4, value & 0xffff);
        return;
    }
    switch (offset) {
    case INTMS:
        nvme->masked |= value;
        pin_update(nvme);
        break;
    case INTMC:
        nvme->masked &= ~value;
        pin_update(nvme);
        break;
    case CC:
        config_write(nvme, value);
        break;
    case AQA:
        nvme->admin_sizes = value & 0x0fff0fff;
        break;
    case ASQ:
    case ASQ + 4:
        nvme->admin_sq = replaced(nvme->admin_sq, value, offset != ASQ);
        break;
    case ACQ:
    case ACQ + 4:
        nvme->admin_cq = replaced(nvme->admin_cq, value, offset != ACQ);
        break;
    }
}

static const struct region_ops register_ops = {
    .read = registers_read,
    .write = registers_write,
    .min_size = 4,
    .max_size = 4,
};

/* --- life ------------------------------------------------------------------------------------- */

static void drain(struct nvme *nvme)
{
    while (nvme->disk.in_flight || nvme->to_submit) {
        requests_submit(nvme);
        disk_drain(&nvme->disk);
    }
}

static void resized(void *opaque)
{
    struct nvme *nvme = opaque;
    pthread_mutex_lock(&nvme->function.dev.lock);
    nvme->namespace_changed = true;
    nvme_events_send(nvme);
    pthread_mutex_unlock(&nvme->function.dev.lock);
}

static const struct block_device_ops block_ops = { .resized = resized };

static bool nvme_realize(struct device *dev, GError **error)
{
    struct nvme *nvme = nvme_of(dev);
    if (!drive_attach(&nvme->options, dev, true, &block_ops, nvme, error))
        return false;
    const char *serial = nvme->options.serial;
    if (!serial || strlen(serial) > 20) {
        drive_detach(&nvme->options, nvme);
        return fail(error, !serial ? "serial property not set"
                                   : "property 'serial' is longer than 20 characters");
    }
    pci_config_define(&nvme->function, 0x09, 1, 0x02, 0); /* NVMe I/O controller */
    nvme->registers =
        (struct region){ .name = "nvme", .size = REGISTERS_SIZE, .ops = &register_ops, .dev = dev };
    pci_bar_define(&nvme->function, 0, PCI_BAR_MEMORY64, 2 * REGISTERS_SIZE);
    pci_bar_add_region(&nvme->function, 0, 0, &nvme->registers);
    if (!pci_msix_init(&nvme->function, nvme->msix_vectors, MSIX_BAR, error)
        || !pci_power_init(&nvme->function, 0, error)
        || (pci_bus_of(dev->bus)->express
            && !pci_express_init(&nvme->function, 0, PCI_EXPRESS_ENDPOINT, 0, error))) {
        drive_detach(&nvme->options, nvme);
        return false;
    }
    nvme->block_shift = __builtin_ctz(nvme->options.logical_block_size);
    nvme->submit_end = &nvme->to_submit;
    disk_init(&nvme->disk, &nvme->options, dev);
    defer_init(&nvme->work, work, nvme);
    return true;
}

static void nvme_unrealize(struct device *dev)
{
    struct nvme *nvme = nvme_of(dev);
    drain(nvme);
    defer_cancel(&nvme->work);
    pthread_mutex_lock(&dev->lock);
    disable(nvme);
    pthread_mutex_unlock(&dev->lock);
    while (nvme->unused) {
        struct nvme_request *request = nvme->unused;
        nvme->unused = request->next;
        dma_list_destroy(&request->memory);
        g_free(request);
    }
    disk_destroy(&nvme->disk);
    drive_detach(&nvme->options, nvme);
}

static void nvme_reset(struct device *dev)
{
    struct nvme *nvme = nvme_of(dev);
    pthread_mutex_unlock(&dev->lock); /* requests take it when they end */
    drain(nvme);
    pthread_mutex_lock(&dev->lock);
    disable(nvme);
    nvme->config = nvme->state = nvme->masked = nvme->admin_sizes = 0;
    nvme->admin_sq = nvme->admin_cq = 0;
    nvme->namespace_changed = nvme->namespace_reported = false;
    nvme->features = (struct nvme_features){
        .temperature_over = 0x157, /* 70 degrees, in kelvins */
        .write_cache = nvme->options.drive->backend->write_cache,
    };
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++)
        nvme->features.vectors[i] = i;
}

static const struct property nvme_properties[] = {
    DRIVE_PROPERTIES(struct nvme, options),
    PROPERTY_U32("max_ioqpairs", struct nvme, queue_pairs, NVME_QUEUES_MAX - 1, .min = 1,
                 .max = NVME_QUEUES_MAX - 1, .help = "pairs of I/O queues"),
    PROPERTY_U32("msix_qsize", struct nvme, msix_vectors, NVME_QUEUES_MAX, .min = 1, .max = 2048,
                 .help = "interrupt vectors"),
    PROPERTY_U32("mdts", struct nvme, mdts, NVME_MDTS, .min = 1, .max = NVME_MDTS,
                 .help = "a transfer is at most 2^mdts pages of 4 KiB"),
    PROPERTY_STRING("model", struct nvme, model),
    {},
};

static const struct pci_type nvme_pci = {
    .vendor = 0x1b36,
    .device = 0x0010,
    .revision = 2,
    .class = 0x010802,
    .interrupt_pin = 1,
    .express = true,
};

DEVICE_TYPE(nvme) = {
    .name = "nvme",
    .description = "Non-Volatile Memory Express",
    .category = DEVICE_CATEGORY_STORAGE,
    .bus = &bus_pci,
    .on_bus = &nvme_pci,
    .size = sizeof(struct nvme),
    .properties = nvme_properties,
    .firmware_name = "nvme",
    .realize = nvme_realize,
    .reset = nvme_reset,
    .unrealize = nvme_unrealize,
};
