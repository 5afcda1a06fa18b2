/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk: a disk. (virtio 1.2, 5.2)
 *
 * A request is a chain: a header and data to read, then data to write and one byte of status. Its
 * data goes between guest RAM and the block layer without a copy; only the header and the status
 * are ours. Requests live in a list of free ones, so that none is allocated once the guest has
 * reached its usual depth.
 *
 * Threads: everything runs on the device's context, with vdev.lock held, but realize, unrealize
 * and the size's change (main loop). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "hw/storage/drive.h"
#include "virtio/iothread.h"
#include "virtio/types.h"
#include "vm/vm.h"

enum blk_feature { /* 5.2.3 */
                   BLK_F_SEG_MAX = 2,
                   BLK_F_GEOMETRY = 4,
                   BLK_F_RO = 5,
                   BLK_F_BLK_SIZE = 6,
                   BLK_F_FLUSH = 9,
                   BLK_F_TOPOLOGY = 10,
                   BLK_F_CONFIG_WCE = 11,
                   BLK_F_MQ = 12,
                   BLK_F_DISCARD = 13,
                   BLK_F_WRITE_ZEROES = 14,
};

enum blk_type { /* 5.2.6 */
                BLK_IN = 0,
                BLK_OUT = 1,
                BLK_FLUSH = 4,
                BLK_GET_ID = 8,
                BLK_DISCARD = 11,
                BLK_WRITE_ZEROES = 13,
};
enum blk_status { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };

struct blk_header {
    uint32_t type, priority;
    uint64_t sector;
};

struct blk_segment { /* of discard and write zeroes */
    uint64_t sector;
    uint32_t sectors, flags;
};
#define BLK_UNMAP 1u
#define BLK_ID_BYTES 20u
#define BLK_LEGACY_BARRIER 0x80000000u /* of the type; drivers without the feature never set it */

struct blk_config { /* 5.2.4 */
    uint64_t capacity;
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t block_size;
    uint8_t physical_exponent, alignment;
    uint16_t minimum_io;
    uint32_t optimal_io;
    uint8_t writeback, unused0;
    uint16_t queues;
    uint32_t discard_sectors_max, discard_segments_max, discard_alignment;
    uint32_t zeroes_sectors_max, zeroes_segments_max;
    uint8_t zeroes_may_unmap, unused1[3];
} __attribute__((packed));
static_assert(sizeof(struct blk_config) == 60, "fixed by the specification");

#define REQUEST_SECTORS_MAX ((uint32_t)INT32_MAX / SECTOR_BYTES)
#define QUEUES_AUTO UINT16_MAX

struct blk_request {
    struct vq_chain chain;
    struct block_request io;
    struct virtio_blk *blk;
    struct blk_request *next; /* free, or parked */
    uint16_t queue;
    uint64_t status_offset; /* in chain.in */
    uint32_t written;       /* bytes of data in chain.in */
};

struct virtio_blk {
    struct virtio_device vdev;
    struct drive_options disk;       /* [const] properties */
    struct iothread *iothread;       /* [const] property */
    uint16_t num_queues, queue_size; /* [const] properties */
    bool config_wce, discard, write_zeroes, seg_max_adjust, request_merging, scsi;
    uint32_t max_discard_sectors, max_write_zeroes_sectors;
    struct block_context *context; /* [const] */
    struct block_backend *backend; /* [const] */
    bool write_cache;              /* [const] at power on */
    struct blk_request *spare;     /* [lock] */
    struct blk_request *parked;    /* [lock] failed, to be tried again when the machine runs */
    struct vm_listener resumed;
};

static struct virtio_blk *blk_of(struct virtio_device *vdev)
{
    return container_of(vdev, struct virtio_blk, vdev);
}

static struct blk_config *config_of(struct virtio_blk *blk)
{
    return (struct blk_config *)blk->vdev.config;
}

static uint64_t capacity_sectors(const struct virtio_blk *blk)
{
    return block_backend_length(blk->backend) / SECTOR_BYTES;
}

/* --- requests ------------------------------------------------------------------------------- */

static void io_done(struct block_request *io, int error);

static struct blk_request *request_new(struct virtio_blk *blk)
{
    struct blk_request *request = blk->spare;
    if (request) {
        blk->spare = request->next;
        return request;
    }
    request = g_new0(struct blk_request, 1);
    request->blk = blk;
    vq_chain_init(&request->chain, blk->vdev.dev->vm->memory);
    return request;
}

static void request_release(struct blk_request *request)
{
    request->next = request->blk->spare;
    request->blk->spare = request;
}

static void requests_free(struct blk_request *list)
{
    while (list) {
        struct blk_request *next = list->next;
        vq_chain_destroy(&list->chain);
        g_free(list);
        list = next;
    }
}

/* Gives it back to the driver. */
static void request_end(struct blk_request *request, enum blk_status status)
{
    struct virtio_blk *blk = request->blk;
    uint8_t byte = status;
    dma_list_store(&request->chain.in, request->status_offset, &byte, 1);
    virtqueue_push(virtio_vq(&blk->vdev, request->queue), &request->chain, request->written + 1);
    virtio_publish_soon(&blk->vdev, request->queue);
    request_release(request);
}

static void request_submit(struct blk_request *request)
{
    virtio_request_begin(&request->blk->vdev);
    block_backend_submit(request->blk->backend, &request->io);
}

static void request_failed(struct blk_request *request, int error)
{
    struct virtio_blk *blk = request->blk;
    bool is_read = request->io.op == BLOCK_READ;
    switch (block_backend_error_action(blk->backend, is_read, error)) {
    case BLOCK_ACTION_STOP:
        request->next = blk->parked;
        blk->parked = request;
        vm_request_io_error(blk->vdev.dev->vm);
        break;
    case BLOCK_ACTION_IGNORE:
        request_end(request, BLK_OK);
        break;
    case BLOCK_ACTION_REPORT:
        request_end(request, BLK_IOERR);
        break;
    }
}

/* On the context, without the lock. */
static void io_done(struct block_request *io, int error)
{
    struct blk_request *request = container_of(io, struct blk_request, io);
    struct virtio_blk *blk = request->blk;

    virtio_lock(&blk->vdev);
    if (blk->vdev.resetting) /* it is void; nobody waits for its status */
        request_release(request);
    else if (error)
        request_failed(request, error);
    else
        request_end(request, BLK_OK);
    virtio_request_end(&blk->vdev);
    virtio_unlock(&blk->vdev);
}

/* --- what the driver asks ------------------------------------------------------------------- */

static bool range_good(const struct virtio_blk *blk, uint64_t sector, uint64_t bytes)
{
    uint64_t total = capacity_sectors(blk), sectors = bytes / SECTOR_BYTES;
    uint32_t block = blk->disk.logical_block_size;
    return bytes % block == 0 && sector % (block / SECTOR_BYTES) == 0 && sector <= total
           && sectors <= total - sector && bytes <= INT32_MAX;
}

static void transfer(struct blk_request *request, const struct blk_header *header, bool write)
{
    struct virtio_blk *blk = request->blk;
    const struct dma_list *list = write ? &request->chain.out : &request->chain.in;
    uint64_t skip = write ? sizeof(*header) : 0;
    uint64_t bytes = list->bytes - (write ? skip : 1);

    if (!range_good(blk, header->sector, bytes)
        || (write && block_backend_is_read_only(blk->backend))) {
        request_end(request, BLK_IOERR);
        return;
    }
    if (!bytes) {
        request_end(request, BLK_OK);
        return;
    }
    request->written = write ? 0 : bytes;
    request->io.op = write ? BLOCK_WRITE : BLOCK_READ;
    request->io.flags = 0;
    request->io.offset = header->sector * SECTOR_BYTES;
    request->io.length = bytes;
    request->io.data = iov_slice(iov_whole(list->iov, list->count), skip, bytes);
    request_submit(request);
}

static void flush(struct blk_request *request)
{
    request->io.op = BLOCK_FLUSH;
    request->io.flags = 0;
    request->io.offset = request->io.length = 0;
    request->io.data = (struct iov){ 0 };
    request_submit(request);
}

static void get_id(struct blk_request *request)
{
    char id[BLK_ID_BYTES] = "";
    const char *serial = request->blk->disk.serial;
    if (serial)
        memcpy(id, serial, MIN(strlen(serial), sizeof(id)));
    uint64_t room = MIN(request->chain.in.bytes - 1, sizeof(id));
    dma_list_store(&request->chain.in, 0, id, room);
    request->written = room;
    request_end(request, BLK_OK);
}

/* Discard and write zeroes; one segment, as the configuration says. */
static void range_request(struct blk_request *request, bool zeroes)
{
    struct virtio_blk *blk = request->blk;
    struct blk_segment segment;
    uint32_t max = zeroes ? blk->max_write_zeroes_sectors : blk->max_discard_sectors;
    uint64_t bytes = request->chain.out.bytes - sizeof(struct blk_header);

    if (bytes != sizeof(segment)
        || dma_list_load(&request->chain.out, sizeof(struct blk_header), &segment, bytes)
               != bytes) {
        request_end(request, bytes > sizeof(segment) ? BLK_UNSUPP : BLK_IOERR);
        return;
    }
    uint64_t length = (uint64_t)segment.sectors * SECTOR_BYTES;
    if (segment.flags & ~BLK_UNMAP || (!zeroes && segment.flags)) { /* 5.2.6.2 */
        request_end(request, BLK_UNSUPP);
        return;
    }
    if (segment.sectors > max || !range_good(blk, segment.sector, length)
        || block_backend_is_read_only(blk->backend)) {
        request_end(request, BLK_IOERR);
        return;
    }
    if (!length) {
        request_end(request, BLK_OK);
        return;
    }
    request->io.op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD;
    request->io.flags = zeroes && segment.flags ? BLOCK_MAY_UNMAP : 0;
    request->io.offset = segment.sector * SECTOR_BYTES;
    request->io.length = length;
    request->io.data = (struct iov){ 0 };
    request_submit(request);
}

static void request_start(struct blk_request *request)
{
    struct virtio_blk *blk = request->blk;
    struct blk_header header;
    struct vq_chain *chain = &request->chain;

    if (dma_list_load(&chain->out, 0, &header, sizeof(header)) != sizeof(header)
        || !chain->in.bytes) {
        virtio_fail(&blk->vdev, "virtio-blk request without %s",
                    chain->in.bytes ? "a whole header" : "a status byte");
        request_release(request);
        return;
    }
    request->status_offset = chain->in.bytes - 1;
    request->written = 0;
    switch (header.type & ~BLK_LEGACY_BARRIER) {
    case BLK_IN:
        transfer(request, &header, false);
        break;
    case BLK_OUT:
        transfer(request, &header, true);
        break;
    case BLK_FLUSH:
        flush(request);
        break;
    case BLK_GET_ID:
        get_id(request);
        break;
    case BLK_DISCARD:
    case BLK_WRITE_ZEROES:
        if (virtio_has(&blk->vdev,
                       1ull << (header.type == BLK_DISCARD ? BLK_F_DISCARD : BLK_F_WRITE_ZEROES))) {
            range_request(request, header.type == BLK_WRITE_ZEROES);
            break;
        }
        /* fall through */
    default:
        request_end(request, BLK_UNSUPP);
        break;
    }
}

static void blk_kick(struct virtio_device *vdev, unsigned index)
{
    struct virtio_blk *blk = blk_of(vdev);
    struct virtqueue *vq = virtio_vq(vdev, index);
    unsigned budget = vq->size; /* then others have their turn, however fast the driver is */

    do {
        virtqueue_suppress(vq);
        while (virtio_running(vdev) && budget) {
            struct blk_request *request = request_new(blk);
            if (!virtqueue_pop(vq, &request->chain)) {
                request_release(request);
                break;
            }
            budget--;
            request->queue = index;
            request->io.done = io_done;
            request->io.context = blk->context;
            request_start(request);
        }
    } while (!virtqueue_unsuppress(vq) && budget && virtio_running(vdev));
    if (!budget)
        virtio_kick(vdev);
}

/* --- configuration -------------------------------------------------------------------------- */

static void config_written(struct virtio_device *vdev, unsigned offset, unsigned size)
{
    struct virtio_blk *blk = blk_of(vdev);
    struct blk_config *config = config_of(blk);
    config->writeback = !!config->writeback;
    blk->backend->write_cache = config->writeback;
}

static void blk_start(struct virtio_device *vdev)
{
    struct virtio_blk *blk = blk_of(vdev);
    /* A driver that knows no flushes expects writes to be stable. (5.2.6.2) */
    if (!virtio_has(vdev, 1ull << BLK_F_FLUSH) && !virtio_has(vdev, 1ull << BLK_F_CONFIG_WCE))
        blk->backend->write_cache = false;
}

static void blk_reset(struct virtio_device *vdev)
{
    struct virtio_blk *blk = blk_of(vdev);
    while (blk->parked) {
        struct blk_request *request = blk->parked;
        blk->parked = request->next;
        request_release(request);
    }
    blk->backend->write_cache = blk->write_cache;
    config_of(blk)->writeback = blk->write_cache;
}

/* Main loop: the image has another size now. */
static void blk_resized(void *opaque)
{
    struct virtio_blk *blk = opaque;
    virtio_lock(&blk->vdev);
    config_of(blk)->capacity = capacity_sectors(blk);
    virtio_config_changed(&blk->vdev);
    virtio_unlock(&blk->vdev);
}

/* On the context: what was kept when the machine stopped. */
static gboolean parked_retry(gpointer opaque)
{
    struct virtio_blk *blk = opaque;
    virtio_lock(&blk->vdev);
    struct blk_request *list = blk->parked;
    blk->parked = NULL;
    while (list) {
        struct blk_request *request = list;
        list = request->next;
        /* The block layer has changed what it was given: from the start. */
        request_start(request);
    }
    virtio_unlock(&blk->vdev);
    return G_SOURCE_REMOVE;
}

/* Main loop. */
static void machine_resumed(void *opaque)
{
    struct virtio_blk *blk = opaque;
    g_main_context_invoke(virtio_loop(&blk->vdev), parked_retry, blk);
}

static void config_fill(struct virtio_blk *blk)
{
    struct blk_config *config = config_of(blk);
    const struct drive_options *disk = &blk->disk;
    uint32_t granularity =
        disk->discard_granularity && disk->discard_granularity != DRIVE_GRANULARITY_AUTO
            ? disk->discard_granularity
            : disk->logical_block_size;
    *config = (struct blk_config){
        .capacity = capacity_sectors(blk),
        .seg_max = blk->seg_max_adjust ? blk->queue_size - 2 : 128 - 2,
        .cylinders = disk->cylinders,
        .heads = disk->heads,
        .sectors = disk->sectors,
        .block_size = disk->logical_block_size,
        .physical_exponent = __builtin_ctz(disk->physical_block_size / disk->logical_block_size),
        .minimum_io = disk->minimum_io_size / disk->logical_block_size,
        .optimal_io = disk->optimal_io_size / disk->logical_block_size,
        .queues = blk->num_queues,
        .discard_sectors_max = blk->max_discard_sectors,
        .discard_segments_max = 1,
        .discard_alignment = granularity / SECTOR_BYTES,
        .zeroes_sectors_max = blk->max_write_zeroes_sectors,
        .zeroes_segments_max = 1,
        .zeroes_may_unmap = 1,
    };
    if (blk->config_wce)
        blk->vdev.config_writable[offsetof(struct blk_config, writeback)] = 0xff;
    blk->vdev.config_size = sizeof(*config);
}

static uint64_t features(const struct virtio_blk *blk)
{
    return 1ull << BLK_F_SEG_MAX | 1ull << BLK_F_GEOMETRY | 1ull << BLK_F_BLK_SIZE
           | 1ull << BLK_F_TOPOLOGY | 1ull << BLK_F_FLUSH
           | (block_backend_is_read_only(blk->backend) ? 1ull << BLK_F_RO : 0)
           | (blk->config_wce ? 1ull << BLK_F_CONFIG_WCE : 0)
           | (blk->num_queues > 1 ? 1ull << BLK_F_MQ : 0)
           | (blk->discard ? 1ull << BLK_F_DISCARD : 0)
           | (blk->write_zeroes ? 1ull << BLK_F_WRITE_ZEROES : 0);
}

static bool options_good(struct virtio_blk *blk, GError **error)
{
    uint32_t size = blk->queue_size;
    if (blk->num_queues == QUEUES_AUTO)
        blk->num_queues = MIN(blk->vdev.dev->vm->config->cpus, VIRTIO_QUEUES_MAX);
    if (!blk->num_queues || blk->num_queues > VIRTIO_QUEUES_MAX)
        return fail(error, "num-queues property must be 1 to %u, not %u", VIRTIO_QUEUES_MAX,
                    blk->num_queues);
    if (size < 2 || size > VIRTQUEUE_SIZE_MAX || size & (size - 1))
        return fail(error, "invalid queue-size property (%u), must be a power of 2 (max %u)", size,
                    VIRTQUEUE_SIZE_MAX);
    if (blk->seg_max_adjust && size < 4)
        return fail(error, "queue-size property must be greater than 2 with seg-max-adjust");
    if (!blk->max_discard_sectors || blk->max_discard_sectors > REQUEST_SECTORS_MAX
        || !blk->max_write_zeroes_sectors || blk->max_write_zeroes_sectors > REQUEST_SECTORS_MAX)
        return fail(error, "max-discard-sectors and max-write-zeroes-sectors are 1 to %u",
                    REQUEST_SECTORS_MAX);
    return true;
}

static const struct block_device_ops blk_device_ops = { .resized = blk_resized };

static bool blk_realize(struct virtio_device *vdev, GError **error)
{
    struct virtio_blk *blk = blk_of(vdev);
    if (!options_good(blk, error)
        || !drive_attach(&blk->disk, vdev->dev, true, &blk_device_ops, blk, error))
        return false;
    blk->backend = blk->disk.drive->backend;
    blk->write_cache = blk->backend->write_cache;
    blk->context = iothread_block_context(blk->iothread);
    vdev->iothread = blk->iothread;
    vdev->device_features = features(blk);
    config_fill(blk);
    for (unsigned i = 0; i < blk->num_queues; i++)
        virtio_add_queue(vdev, blk->queue_size);
    blk->resumed = (struct vm_listener){ machine_resumed, blk };
    vm_resumed_listen(vdev->dev->vm, &blk->resumed);
    return true;
}

static void blk_unrealize(struct virtio_device *vdev)
{
    struct virtio_blk *blk = blk_of(vdev);
    vm_resumed_unlisten(vdev->dev->vm, &blk->resumed);
    requests_free(blk->spare);
    blk->spare = NULL;
    drive_detach(&blk->disk, blk);
}

static const struct virtio_ops blk_ops = {
    .id = VIRTIO_ID_BLOCK,
    .class_code = 0x010000, /* mass storage, SCSI: what guests know of old */
    .legacy_pci_id = 0x1001,
    .realize = blk_realize,
    .unrealize = blk_unrealize,
    .config_written = config_written,
    .start = blk_start,
    .reset = blk_reset,
    .kick = blk_kick,
};

#define BLK_PROPERTIES(structure, field) \
    DRIVE_PROPERTIES(structure, field.disk), \
        PROPERTY_REFERENCE("iothread", structure, field.iothread, &iothread_reference, \
                           .help = "-object iothread that does the work"), \
        PROPERTY_U16("num-queues", structure, field.num_queues, QUEUES_AUTO, \
                     .help = "65535: as many as CPUs"), \
        PROPERTY_U16("queue-size", structure, field.queue_size, 256), \
        PROPERTY_BOOL("seg-max-adjust", structure, field.seg_max_adjust, true), \
        PROPERTY_BOOL("config-wce", structure, field.config_wce, true), \
        PROPERTY_BOOL("discard", structure, field.discard, true), \
        PROPERTY_BOOL("write-zeroes", structure, field.write_zeroes, true), \
        PROPERTY_U32("max-discard-sectors", structure, field.max_discard_sectors, \
                     REQUEST_SECTORS_MAX), \
        PROPERTY_U32("max-write-zeroes-sectors", structure, field.max_write_zeroes_sectors, \
                     REQUEST_SECTORS_MAX), \
        PROPERTY_BOOL("request-merging", structure, field.request_merging, true, \
                      .help = "accepted, has no effect"),

VIRTIO_TYPES(virtio_blk, "virtio-blk", struct virtio_blk, BLK_PROPERTIES, &blk_ops,
             DEVICE_CATEGORY_STORAGE, "disk");
