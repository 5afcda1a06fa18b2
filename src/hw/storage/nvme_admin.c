/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Admin commands of NVM Express. (5; pages that are identified: 5.15.2) */
#include <string.h>

#include "hw/storage/nvme.h"
#include "util/log.h"

#define PAGE 4096u
#define REFUSE(status) ((status) | NVME_DO_NOT_RETRY)

enum opcode {
    DELETE_SQ = 0x00,
    CREATE_SQ = 0x01,
    GET_LOG_PAGE = 0x02,
    DELETE_CQ = 0x04,
    CREATE_CQ = 0x05,
    IDENTIFY = 0x06,
    ABORT = 0x08,
    SET_FEATURES = 0x09,
    GET_FEATURES = 0x0a,
    ASYNC_EVENT = 0x0c,
};

static void put(uint8_t *page, unsigned offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        page[offset + i] = value >> 8 * i;
}

static void put_text(uint8_t *page, unsigned offset, unsigned size, const char *text)
{
    size_t length = strlen(text);
    for (unsigned i = 0; i < size; i++)
        page[offset + i] = i < length ? text[i] : ' ';
}

/* --- queues (5.3 to 5.6) ---------------------------------------------------------------------- */

/* dword 10: size - 1 and number; prp[0] and dword 11 bit 0: contiguous memory. */
static enum nvme_status queue_check(const struct nvme *nvme, const struct nvme_command *command,
                                    bool exists)
{
    unsigned id = command->dword[0] & 0xffff, size = (command->dword[0] >> 16) + 1;
    if (!id || id > nvme->queue_pairs || exists)
        return REFUSE(NVME_QUEUE_ID_INVALID);
    if (size < 2 || size > NVME_ENTRIES_MAX)
        return REFUSE(NVME_QUEUE_SIZE);
    if (!(command->dword[1] & 1))
        return REFUSE(NVME_INVALID_FIELD);
    if (command->prp[0] & ((1ull << nvme->page_bits) - 1))
        return REFUSE(NVME_INVALID_PRP_OFFSET);
    return NVME_SUCCESS;
}

static enum nvme_status create_cq(struct nvme *nvme, const struct nvme_command *command)
{
    unsigned id = command->dword[0] & 0xffff, vector = command->dword[1] >> 16;
    enum nvme_status status =
        queue_check(nvme, command, id < NVME_QUEUES_MAX && nvme->cq[id].exists);
    if (status != NVME_SUCCESS)
        return status;
    if (vector && (!pci_msix_enabled(&nvme->function) || vector >= nvme->msix_vectors))
        return REFUSE(NVME_VECTOR_INVALID);
    nvme_cq_create(nvme, id, command->prp[0], (command->dword[0] >> 16) + 1, vector,
                   command->dword[1] & 2);
    return NVME_SUCCESS;
}

static enum nvme_status create_sq(struct nvme *nvme, const struct nvme_command *command)
{
    unsigned id = command->dword[0] & 0xffff, cq = command->dword[1] >> 16;
    if (!cq || cq > nvme->queue_pairs || !nvme->cq[cq].exists)
        return REFUSE(NVME_CQ_INVALID);
    enum nvme_status status =
        queue_check(nvme, command, id < NVME_QUEUES_MAX && nvme->sq[id].exists);
    if (status == NVME_SUCCESS)
        nvme_sq_create(nvme, id, command->prp[0], (command->dword[0] >> 16) + 1, cq);
    return status;
}

static enum nvme_status delete_cq(struct nvme *nvme, const struct nvme_command *command)
{
    unsigned id = command->dword[0] & 0xffff;
    if (!id || id >= NVME_QUEUES_MAX || !nvme->cq[id].exists)
        return REFUSE(NVME_QUEUE_ID_INVALID);
    if (nvme->cq[id].users)
        return REFUSE(NVME_QUEUE_DELETION);
    nvme_cq_delete(nvme, id);
    return NVME_SUCCESS;
}

/* Commands that were fetched from it still end, and this one after them. */
static enum nvme_status delete_sq(struct nvme *nvme, struct nvme_request *request)
{
    unsigned id = request->command.dword[0] & 0xffff;
    if (!id || id >= NVME_QUEUES_MAX || !nvme->sq[id].exists || nvme->sq[id].deleter)
        return REFUSE(NVME_QUEUE_ID_INVALID);
    if (nvme->sq[id].in_flight) {
        request->status = NVME_SUCCESS;
        nvme->sq[id].deleter = request;
        return NVME_PENDING;
    }
    nvme_sq_delete(nvme, id);
    return NVME_SUCCESS;
}

/* --- IDENTIFY (5.15) -------------------------------------------------------------------------- */

static void identify_controller(const struct nvme *nvme, uint8_t *page)
{
    g_autofree char *name = g_strdup_printf("nqn.2019-08.org.qemu:%s", nvme->options.serial);
    put(page, 0, 0x1b36, 2);
    put(page, 2, 0x1af4, 2);
    put_text(page, 4, 20, nvme->options.serial);
    put_text(page, 24, 40, nvme->model ? nvme->model : "QEMU NVMe Ctrl");
    put_text(page, 64, 8, YADO_VERSION);
    page[72] = 6; /* recommended arbitration burst */
    put(page, 73, 0x525400, 3);
    page[77] = nvme->mdts;
    put(page, 80, 0x00010400, 4);
    put(page, 92, 1u << 8, 4); /* events: namespace attributes */
    page[111] = 1;             /* an I/O controller */
    page[258] = 3;             /* abort limit, less one */
    page[259] = NVME_EVENTS_MAX - 1;
    page[260] = 1 << 1 | 1; /* one firmware slot, read only */
    page[261] = 1 << 2 | 1 << 1;
    put(page, 266, 0x157, 2); /* warning and critical temperature */
    put(page, 268, 0x175, 2);
    page[512] = 0x66; /* sizes of queue entries */
    page[513] = 0x44;
    put(page, 516, 1, 4);
    put(page, 520, 1 << 4 | 1 << 3 | 1 << 2 | 1, 2); /* compare, deallocate, zeroes, features */
    page[525] = 3 << 1 | 1;                          /* write cache; flush of all namespaces */
    memcpy(page + 768, name, MIN(strlen(name), 255));
    put(page, 2048, 2500, 2); /* power state 0: 25 W */
    put(page, 2052, 16, 4);
    put(page, 2056, 4, 4);
}

static void identify_namespace(const struct nvme *nvme, uint8_t *page)
{
    uint64_t blocks = nvme_blocks(nvme);
    unsigned granularity = nvme->options.discard_granularity == DRIVE_GRANULARITY_AUTO
                               ? 4096
                               : nvme->options.discard_granularity;
    unsigned units = MAX(granularity >> nvme->block_shift, 1) - 1;
    put(page, 0, blocks, 8);
    put(page, 8, blocks, 8);
    put(page, 16, blocks, 8);
    page[24] = 1 << 4;     /* preferred sizes are told */
    page[33] = 1 << 3 | 1; /* deallocated blocks read as zeroes; write zeroes may deallocate */
    for (unsigned offset = 64; offset <= 70; offset += 2)
        put(page, offset, units, 2);
    page[130] = nvme->block_shift;
}

static enum nvme_status identify_descriptors(struct nvme_request *request)
{
    struct nvme *nvme = request->nvme;
    uint8_t page[PAGE] = { 0 };
    /* An identifier that stays the same as long as the serial number does. */
    guint64 hash = g_str_hash(nvme->options.serial);
    page[0] = 1; /* EUI-64 */
    page[1] = 8;
    put(page, 4, hash << 32 | 0x00005452, 8);
    return nvme_reply(request, page, PAGE);
}

static enum nvme_status identify(struct nvme *nvme, struct nvme_request *request)
{
    uint8_t page[PAGE] = { 0 };
    uint32_t nsid = request->command.nsid;
    switch (request->command.dword[0] & 0xff) {
    case 0x00:
        if (nsid != NVME_NSID && nsid != NVME_ALL_NAMESPACES)
            return REFUSE(NVME_INVALID_NAMESPACE);
        identify_namespace(nvme, page);
        break;
    case 0x01:
        identify_controller(nvme, page);
        break;
    case 0x02: /* namespaces above nsid */
        if (nsid >= NVME_ALL_NAMESPACES - 1)
            return REFUSE(NVME_INVALID_NAMESPACE);
        if (nsid < NVME_NSID)
            put(page, 0, NVME_NSID, 4);
        break;
    case 0x03:
        if (nsid != NVME_NSID)
            return REFUSE(NVME_INVALID_NAMESPACE);
        return identify_descriptors(request);
    default:
        return REFUSE(NVME_INVALID_FIELD);
    }
    return nvme_reply(request, page, PAGE);
}

/* --- log pages (5.14) ------------------------------------------------------------------------- */

static void log_health(const struct nvme *nvme, uint8_t *page)
{
    put(page, 1, 0x143, 2); /* 50 degrees, in kelvins */
    page[3] = 100;          /* spare */
    page[4] = 10;
    put(page, 32, (nvme->units_read + 999) / 1000, 8);
    put(page, 48, (nvme->units_written + 999) / 1000, 8);
    put(page, 64, nvme->reads, 8);
    put(page, 80, nvme->writes, 8);
    put(page, 112, 1, 8); /* power cycles */
}

static void log_effects(uint8_t *page)
{
    static const uint8_t admin[] = {
        DELETE_SQ, CREATE_SQ, GET_LOG_PAGE, DELETE_CQ,    CREATE_CQ,
        IDENTIFY,  ABORT,     SET_FEATURES, GET_FEATURES, ASYNC_EVENT
    };
    for (unsigned i = 0; i < sizeof(admin); i++)
        put(page, 4 * admin[i], 1, 4);
    for (unsigned i = 0; i < 3; i++)
        put(page, 1024 + 4 * i, i == 2 || i == 0 ? 1 : 3, 4); /* flush, write, read */
    put(page, 1024 + 4 * 0x05, 1, 4);
    put(page, 1024 + 4 * 0x08, 3, 4);
    put(page, 1024 + 4 * 0x09, 3, 4);
}

static enum nvme_status get_log_page(struct nvme *nvme, struct nvme_request *request)
{
    const uint32_t *dword = request->command.dword;
    uint64_t length = (((uint64_t)dword[1] & 0xffff) << 16 | dword[0] >> 16) * 4 + 4;
    uint64_t offset = dword[2] | (uint64_t)dword[3] << 32;
    uint8_t page[PAGE] = { 0 };
    unsigned size = PAGE;
    switch (dword[0] & 0xff) {
    case 0x01: /* errors: none */
        size = 64;
        break;
    case 0x02:
        log_health(nvme, page);
        size = 512;
        break;
    case 0x03: /* firmware slots */
        page[0] = 1;
        put_text(page, 8, 8, YADO_VERSION);
        size = 512;
        break;
    case 0x04: /* changed namespaces */
        if (nvme->namespace_changed)
            put(page, 0, NVME_NSID, 4);
        if (!(dword[0] & 1 << 15)) {
            nvme->namespace_changed = nvme->namespace_reported = false;
            nvme_events_send(nvme);
        }
        break;
    case 0x05:
        log_effects(page);
        break;
    default:
        return REFUSE(NVME_LOG_INVALID);
    }
    if (offset & 3 || offset >= size)
        return REFUSE(NVME_INVALID_FIELD);
    return nvme_reply(request, page + offset, MIN(length, size - offset));
}

/* --- features (5.21, 5.27) -------------------------------------------------------------------- */

enum feature {
    ARBITRATION = 0x01,
    POWER = 0x02,
    TEMPERATURE = 0x04,
    ERROR_RECOVERY = 0x05,
    WRITE_CACHE = 0x06,
    QUEUE_COUNT = 0x07,
    COALESCING = 0x08,
    VECTOR = 0x09,
    WRITE_ATOMICITY = 0x0a,
    EVENT_CONFIG = 0x0b,
};

static bool feature_value(const struct nvme *nvme, uint8_t feature, uint32_t argument,
                          uint32_t *value)
{
    const struct nvme_features *features = &nvme->features;
    unsigned queues = nvme->queue_pairs - 1;
    switch (feature) {
    case ARBITRATION:
        *value = features->arbitration;
        return true;
    case POWER:
        *value = 0;
        return true;
    case TEMPERATURE:
        if (argument & 0xf0000) { /* only the composite one is measured */
            *value = 0;
            return true;
        }
        *value = argument & 1u << 20 ? features->temperature_under : features->temperature_over;
        return true;
    case ERROR_RECOVERY:
        *value = features->error_recovery;
        return true;
    case WRITE_CACHE:
        *value = features->write_cache;
        return true;
    case QUEUE_COUNT:
        *value = queues | queues << 16;
        return true;
    case COALESCING:
        *value = features->coalescing;
        return true;
    case VECTOR:
        if ((argument & 0xffff) >= NVME_QUEUES_MAX)
            return false;
        *value = features->vectors[argument & 0xffff];
        return true;
    case WRITE_ATOMICITY:
        *value = features->write_atomicity;
        return true;
    case EVENT_CONFIG:
        *value = features->event_config;
        return true;
    default:
        return false;
    }
}

static enum nvme_status get_features(struct nvme *nvme, struct nvme_request *request)
{
    enum { CURRENT, DEFAULT, SAVED, CAPABILITIES };
    const uint32_t *dword = request->command.dword;
    unsigned select = dword[0] >> 8 & 7;
    uint32_t value;
    if (select > CAPABILITIES || !feature_value(nvme, dword[0] & 0xff, dword[1], &value))
        return REFUSE(NVME_INVALID_FIELD);
    if (select == CAPABILITIES)
        value = (dword[0] & 0xff) == POWER ? 0 : 1 << 2; /* changeable, not saveable */
    request->result = value;
    return NVME_SUCCESS;
}

static void cache_flushed(struct disk_request *disk, int error)
{
    struct nvme_request *request = container_of(disk, struct nvme_request, disk);
    struct nvme *nvme = request->nvme;
    pthread_mutex_lock(&nvme->function.dev.lock);
    request->status = error ? NVME_WRITE_FAULT : NVME_SUCCESS;
    nvme_complete(request);
    pthread_mutex_unlock(&nvme->function.dev.lock);
}

static enum nvme_status set_features(struct nvme *nvme, struct nvme_request *request)
{
    struct nvme_features *features = &nvme->features;
    const uint32_t *dword = request->command.dword;
    uint32_t value = dword[1];
    if (dword[0] & 1u << 31)
        return REFUSE(NVME_NOT_SAVEABLE);
    switch (dword[0] & 0xff) {
    case ARBITRATION:
        features->arbitration = value;
        break;
    case TEMPERATURE:
        if (!(value & 0xf0000))
            *(value & 1u << 20 ? &features->temperature_under : &features->temperature_over) =
                value;
        break;
    case ERROR_RECOVERY:
        features->error_recovery = value & 0xffff;
        break;
    case WRITE_CACHE:
        features->write_cache = value & 1;
        if (features->write_cache)
            break;
        request->disk = (struct disk_request){ .op = BLOCK_FLUSH };
        nvme_submit(request, cache_flushed);
        return NVME_PENDING;
    case QUEUE_COUNT:
        if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff)
            return REFUSE(NVME_INVALID_FIELD);
        request->result = (nvme->queue_pairs - 1) | (nvme->queue_pairs - 1) << 16;
        break;
    case COALESCING:
        features->coalescing = value & 0xffff;
        break;
    case VECTOR:
        if ((value & 0xffff) >= NVME_QUEUES_MAX)
            return REFUSE(NVME_INVALID_FIELD);
        features->vectors[value & 0xffff] = value & 0x1ffff;
        break;
    case WRITE_ATOMICITY:
        features->write_atomicity = value & 1;
        break;
    case EVENT_CONFIG:
        features->event_config = value & (0xff | 1u << 8);
        break;
    case POWER:
        return value & 31 ? REFUSE(NVME_INVALID_FIELD) : NVME_SUCCESS;
    default:
        return REFUSE(NVME_INVALID_FIELD);
    }
    return NVME_SUCCESS;
}

/* --- events (5.2) ----------------------------------------------------------------------------- */

void nvme_events_send(struct nvme *nvme)
{
    enum { NOTICE = 2, NAMESPACE_CHANGED = 0, PAGE_CHANGED_NAMESPACES = 4 };
    if (!nvme->namespace_changed || nvme->namespace_reported || !nvme->event_count
        || !(nvme->features.event_config & 1u << 8))
        return;
    struct nvme_request *request = nvme->events[--nvme->event_count];
    request->status = NVME_SUCCESS;
    request->result = PAGE_CHANGED_NAMESPACES << 16 | NAMESPACE_CHANGED << 8 | NOTICE;
    nvme->namespace_reported = true; /* until its log page has been read */
    nvme_complete(request);
}

static enum nvme_status async_event(struct nvme *nvme, struct nvme_request *request)
{
    if (nvme->event_count == NVME_EVENTS_MAX)
        return REFUSE(NVME_EVENT_LIMIT);
    nvme->events[nvme->event_count++] = request;
    nvme_events_send(nvme);
    return NVME_PENDING;
}

enum nvme_status nvme_admin(struct nvme *nvme, struct nvme_request *request)
{
    switch (request->command.opcode) {
    case DELETE_SQ:
        return delete_sq(nvme, request);
    case CREATE_SQ:
        return create_sq(nvme, &request->command);
    case GET_LOG_PAGE:
        return get_log_page(nvme, request);
    case DELETE_CQ:
        return delete_cq(nvme, &request->command);
    case CREATE_CQ:
        return create_cq(nvme, &request->command);
    case IDENTIFY:
        return identify(nvme, request);
    case ABORT: /* nothing waits here that could be taken back */
        request->result = 1;
        return NVME_SUCCESS;
    case SET_FEATURES:
        return set_features(nvme, request);
    case GET_FEATURES:
        return get_features(nvme, request);
    case ASYNC_EVENT:
        return async_event(nvme, request);
    default:
        log_if(LOG_UNIMP, "NVMe: admin command %02x is refused", request->command.opcode);
        return REFUSE(NVME_INVALID_OPCODE);
    }
}
