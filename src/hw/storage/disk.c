/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hw/storage/disk.h"

#include <errno.h>

static struct block_backend *backend_of(const struct disk *disk)
{
    return disk->options->drive->backend;
}

static void park(struct disk_request *request)
{
    struct disk *disk = request->disk;
    request->next = disk->parked;
    disk->parked = request;
}

static void finish(struct disk_request *request, int error)
{
    request->disk->in_flight--;
    request->done(request, error);
}

static void block_done(struct block_request *block, int error)
{
    struct disk_request *request = container_of(block, struct disk_request, block);
    struct disk *disk = request->disk;
    if (error && error != -ENOMEDIUM) {
        switch (block_backend_error_action(backend_of(disk), request->op == BLOCK_READ, error)) {
        case BLOCK_ACTION_STOP:
            park(request);
            vm_request_io_error(disk->dev->vm);
            return;
        case BLOCK_ACTION_IGNORE:
            error = 0;
            break;
        case BLOCK_ACTION_REPORT:
            break;
        }
    }
    finish(request, error);
}

static void start(struct disk_request *request)
{
    request->block = (struct block_request){
        .op = request->op,
        .flags = request->flags,
        .offset = request->offset,
        .length = request->length,
        .data = request->data,
        .done = block_done,
        .context = block_context_main(),
    };
    block_backend_submit(backend_of(request->disk), &request->block);
}

static void resumed(void *opaque)
{
    struct disk *disk = opaque;
    struct disk_request *request = disk->parked, *next;
    disk->parked = NULL;
    for (; request; request = next) {
        next = request->next;
        start(request);
    }
}

void disk_init(struct disk *disk, struct drive_options *options, struct device *dev)
{
    *disk = (struct disk){ .options = options, .dev = dev, .resumed = { resumed, disk } };
    vm_resumed_listen(dev->vm, &disk->resumed);
}

void disk_destroy(struct disk *disk)
{
    if (!disk->dev)
        return;
    disk_drain(disk);
    vm_resumed_unlisten(disk->dev->vm, &disk->resumed);
    *disk = (struct disk){ 0 };
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
    request->disk = disk;
    disk->in_flight++;
    start(request);
}

void disk_drain(struct disk *disk)
{
    while (disk->in_flight) {
        struct disk_request *request = disk->parked;
        if (request) {
            disk->parked = request->next;
            finish(request, -ECANCELED);
        } else {
            block_context_wait(block_context_main());
        }
    }
}

uint64_t disk_length(const struct disk *disk)
{
    return disk->options->drive ? block_backend_length(backend_of(disk)) : 0;
}

bool disk_has_medium(const struct disk *disk)
{
    return disk->options->drive && block_backend_has_medium(backend_of(disk));
}

bool disk_is_read_only(const struct disk *disk)
{
    return !disk->options->drive || block_backend_is_read_only(backend_of(disk));
}
