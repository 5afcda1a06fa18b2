/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands of the NVM command set. (6) */
#include <errno.h>
#include <string.h>

#include "hw/storage/nvme.h"
#include "util/log.h"

#define REFUSE(status) ((status) | NVME_DO_NOT_RETRY)
#define FORCE_UNIT_ACCESS (1u << 30) /* of dword 12 */
#define RANGE_BYTES 16u

enum opcode {
    FLUSH = 0x00,
    WRITE = 0x01,
    READ = 0x02,
    COMPARE = 0x05,
    WRITE_ZEROES = 0x08,
    DATASET_MANAGEMENT = 0x09,
};

static enum nvme_status status_of(const struct disk_request *disk, int error)
{
    if (!error)
        return NVME_SUCCESS;
    if (error == -ENOSPC)
        return NVME_CAPACITY;
    if (disk->op == BLOCK_READ)
        return NVME_READ_ERROR;
    return NVME_WRITE_FAULT;
}

static void complete(struct nvme_request *request, enum nvme_status status)
{
    struct nvme *nvme = request->nvme;
    pthread_mutex_lock(&nvme->function.dev.lock);
    request->status = status;
    nvme_complete(request);
    pthread_mutex_unlock(&nvme->function.dev.lock);
}

static void done(struct disk_request *disk, int error)
{
    struct nvme_request *request = container_of(disk, struct nvme_request, disk);
    if (disk->op == BLOCK_READ && !error)
        dma_list_written(&request->memory, disk->length);
    complete(request, status_of(disk, error));
}

/* --- READ, WRITE, WRITE ZEROES ---------------------------------------------------------------- */

/* The run of blocks in dwords 10 to 12, as bytes of request->disk. */
static enum nvme_status run_take(struct nvme *nvme, struct nvme_request *request)
{
    const uint32_t *dword = request->command.dword;
    uint64_t first = dword[0] | (uint64_t)dword[1] << 32, blocks = (dword[2] & 0xffff) + 1;
    uint64_t all = nvme_blocks(nvme);
    if (first >= all || blocks > all - first)
        return REFUSE(NVME_LBA_RANGE);
    request->disk = (struct disk_request){
        .offset = first << nvme->block_shift,
        .length = blocks << nvme->block_shift,
    };
    return NVME_SUCCESS;
}

static unsigned write_flags(const struct nvme *nvme, const struct nvme_request *request)
{
    bool through = !nvme->features.write_cache || (request->command.dword[2] & FORCE_UNIT_ACCESS);
    return through ? BLOCK_FUA : 0;
}

static enum nvme_status transfer(struct nvme *nvme, struct nvme_request *request, enum block_op op)
{
    enum nvme_status status = run_take(nvme, request);
    if (status != NVME_SUCCESS)
        return status;
    if (request->disk.length > 4096u << nvme->mdts)
        return REFUSE(NVME_INVALID_FIELD);
    status = nvme_map(request, request->disk.length, op == BLOCK_READ);
    if (status != NVME_SUCCESS)
        return status;
    request->disk.op = op;
    request->disk.data = iov_whole(request->memory.iov, request->memory.count);
    uint64_t units = (request->disk.length + 511) / 512;
    if (op == BLOCK_READ) {
        nvme->reads++;
        nvme->units_read += units;
    } else {
        request->disk.flags = write_flags(nvme, request);
        nvme->writes++;
        nvme->units_written += units;
    }
    nvme_submit(request, done);
    return NVME_PENDING;
}

static enum nvme_status write_zeroes(struct nvme *nvme, struct nvme_request *request)
{
    enum { DEALLOCATE = 1u << 25 };
    enum nvme_status status = run_take(nvme, request);
    if (status != NVME_SUCCESS)
        return status;
    request->disk.op = BLOCK_WRITE_ZEROES;
    request->disk.flags = write_flags(nvme, request);
    if (request->command.dword[2] & DEALLOCATE)
        request->disk.flags |= BLOCK_MAY_UNMAP;
    nvme_submit(request, done);
    return NVME_PENDING;
}

static enum nvme_status flush(struct nvme_request *request)
{
    request->disk = (struct disk_request){ .op = BLOCK_FLUSH };
    nvme_submit(request, done);
    return NVME_PENDING;
}

/* --- COMPARE ---------------------------------------------------------------------------------- */

static void compare_done(struct disk_request *disk, int error)
{
    struct nvme_request *request = container_of(disk, struct nvme_request, disk);
    enum nvme_status status = status_of(disk, error);
    uint8_t *theirs = request->buffer + disk->length;
    if (!error
        && (dma_list_load(&request->memory, 0, theirs, disk->length) != disk->length
            || memcmp(request->buffer, theirs, disk->length)))
        status = REFUSE(NVME_COMPARE_FAILURE);
    complete(request, status);
}

static enum nvme_status compare(struct nvme *nvme, struct nvme_request *request)
{
    enum nvme_status status = run_take(nvme, request);
    uint64_t length = request->disk.length;
    if (status != NVME_SUCCESS)
        return status;
    if (length > 4096u << nvme->mdts)
        return REFUSE(NVME_INVALID_FIELD);
    status = nvme_map(request, length, false);
    if (status != NVME_SUCCESS)
        return status;
    request->buffer = g_malloc(2 * length); /* what the disk has, and what the host has */
    request->disk.op = BLOCK_READ;
    request->disk.data = iov_flat(&request->flat, request->buffer, length);
    nvme_submit(request, compare_done);
    return NVME_PENDING;
}

/* --- DATASET MANAGEMENT: deallocate ----------------------------------------------------------- */

static void range_done(struct disk_request *disk, int error);

/* Submits the next range that is not empty. NVME_PENDING, or the command's status if there is none.
 */
static enum nvme_status range_next(struct nvme *nvme, struct nvme_request *request)
{
    while (request->at < request->count) {
        const uint8_t *range = request->buffer + RANGE_BYTES * request->at++;
        uint64_t first, all = nvme_blocks(nvme);
        uint32_t blocks;
        memcpy(&blocks, range + 4, sizeof(blocks));
        memcpy(&first, range + 8, sizeof(first));
        if (!blocks)
            continue;
        if (first >= all || blocks > all - first)
            return REFUSE(NVME_LBA_RANGE);
        request->disk = (struct disk_request){
            .op = BLOCK_DISCARD,
            .offset = first << nvme->block_shift,
            .length = (uint64_t)blocks << nvme->block_shift,
        };
        nvme_submit(request, range_done);
        return NVME_PENDING;
    }
    return NVME_SUCCESS;
}

static void range_done(struct disk_request *disk, int error)
{
    struct nvme_request *request = container_of(disk, struct nvme_request, disk);
    struct nvme *nvme = request->nvme;
    pthread_mutex_lock(&nvme->function.dev.lock);
    request->status = error ? status_of(disk, error) : range_next(nvme, request);
    if (request->status != NVME_PENDING)
        nvme_complete(request);
    pthread_mutex_unlock(&nvme->function.dev.lock);
}

static enum nvme_status dataset_management(struct nvme *nvme, struct nvme_request *request)
{
    enum { DEALLOCATE = 1 << 2 };
    unsigned count = (request->command.dword[0] & 0xff) + 1;
    enum nvme_status status = nvme_map(request, count * RANGE_BYTES, false);
    if (status != NVME_SUCCESS)
        return status;
    if (!(request->command.dword[1] & DEALLOCATE)) /* hints about use: nothing follows from them */
        return NVME_SUCCESS;
    request->buffer = g_malloc0(count * RANGE_BYTES);
    dma_list_load(&request->memory, 0, request->buffer, count * RANGE_BYTES);
    request->at = 0;
    request->count = count;
    return range_next(nvme, request);
}

enum nvme_status nvme_io(struct nvme *nvme, struct nvme_request *request)
{
    uint8_t opcode = request->command.opcode;
    uint32_t nsid = request->command.nsid;
    bool changes = opcode == WRITE || opcode == WRITE_ZEROES || opcode == DATASET_MANAGEMENT;
    if (nsid != NVME_NSID && !(opcode == FLUSH && nsid == NVME_ALL_NAMESPACES))
        return REFUSE(NVME_INVALID_NAMESPACE);
    if (changes && disk_is_read_only(&nvme->disk))
        return REFUSE(NVME_WRITE_FAULT);
    switch (opcode) {
    case FLUSH:
        return flush(request);
    case WRITE:
        return transfer(nvme, request, BLOCK_WRITE);
    case READ:
        return transfer(nvme, request, BLOCK_READ);
    case COMPARE:
        return compare(nvme, request);
    case WRITE_ZEROES:
        return write_zeroes(nvme, request);
    case DATASET_MANAGEMENT:
        return dataset_management(nvme, request);
    default:
        log_if(LOG_UNIMP, "NVMe: command %02x is refused", opcode);
        return REFUSE(NVME_INVALID_OPCODE);
    }
}
