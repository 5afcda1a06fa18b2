/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/backend.h"

#include <errno.h>
#include <string.h>

#include "block/driver.h"

const char *const block_on_error_names[] = { "report", "ignore", "stop", "enospc", "auto", NULL };

static GPtrArray *backends; /* [main] */

struct block_backend *block_backend_find(const char *id)
{
    for (guint i = 0; backends && i < backends->len; i++) {
        struct block_backend *backend = backends->pdata[i];
        if (!g_strcmp0(backend->id, id))
            return backend;
    }
    return NULL;
}

void block_backend_visit(bool (*visit)(struct block_backend *backend, void *opaque), void *opaque)
{
    for (guint i = 0; backends && i < backends->len; i++) {
        if (!visit(backends->pdata[i], opaque))
            return;
    }
}

struct block_backend *block_backend_new(const char *id, GError **error)
{
    if (id && block_backend_find(id)) {
        fail(error, "Device with id '%s' already exists", id);
        return NULL;
    }
    struct block_backend *backend = g_new0(struct block_backend, 1);
    backend->id = g_strdup(id);
    backend->write_cache = true;
    backend->on_read_error = backend->on_write_error = BLOCK_ON_ERROR_AUTO;
    block_guard_init(&backend->requests);
    if (!backends)
        backends = g_ptr_array_new();
    g_ptr_array_add(backends, backend);
    return backend;
}

void block_backend_free(struct block_backend *backend)
{
    if (!backend)
        return;
    backend->ops = NULL;
    block_backend_eject(backend);
    g_ptr_array_remove(backends, backend);
    block_guard_destroy(&backend->requests);
    g_free(backend->serial);
    g_free(backend->id);
    g_free(backend);
}

static void tell_medium(struct block_backend *backend)
{
    if (backend->ops && backend->ops->media_changed)
        backend->ops->media_changed(backend->opaque, backend->root);
}

bool block_backend_insert(struct block_backend *backend, struct block_node *node, bool share_write,
                          GError **error)
{
    bool writes = !backend->read_only && !node->read_only;
    unsigned perm = BLOCK_PERM_READ | (writes ? BLOCK_PERM_WRITE : 0);
    unsigned shared = BLOCK_PERM_READ | BLOCK_PERM_WRITE_UNCHANGED | BLOCK_PERM_RESIZE
                      | (share_write ? BLOCK_PERM_WRITE : 0);

    if (backend->root)
        return fail(error, "Device '%s' has a medium already", backend->id ? backend->id : "");
    backend->root = block_attach(node, backend->id ? backend->id : "a device", perm, shared, error);
    if (!backend->root)
        return false;
    tell_medium(backend);
    return true;
}

void block_backend_eject(struct block_backend *backend)
{
    if (!backend->root)
        return;
    block_backend_drain(backend);
    if (!backend->root->node->read_only)
        block_flush(backend->root->node);
    block_detach(backend->root);
    backend->root = NULL;
    tell_medium(backend);
}

bool block_backend_attach_device(struct block_backend *backend, const struct block_device_ops *ops,
                                 void *opaque, GError **error)
{
    if (ops && backend->ops)
        return fail(error, "Drive '%s' is already in use by another block device",
                    backend->id ? backend->id : "");
    backend->ops = ops;
    backend->opaque = opaque;
    return true;
}

uint64_t block_backend_length(const struct block_backend *backend)
{
    return backend->root ? block_length(backend->root->node) : 0;
}

bool block_backend_is_read_only(const struct block_backend *backend)
{
    return backend->read_only || (backend->root && backend->root->node->read_only);
}

/* ---- Requests ---- */

static int backend_check(const struct block_backend *backend, const struct block_request *request)
{
    uint64_t length = block_backend_length(backend);

    if (!backend->root)
        return -ENOMEDIUM;
    if (request->offset > length || request->length > length - request->offset)
        return -EIO;
    if (request->op != BLOCK_READ && request->op != BLOCK_FLUSH
        && block_backend_is_read_only(backend))
        return -EACCES;
    return 0;
}

/* A disk whose format was guessed to be raw could be made to be guessed as something else, with a
 * backing file of the guest's choice, by what is written to its first bytes. */
static bool guess_endangered(const struct block_node *node, const struct block_request *request)
{
    enum { HEAD = 512 };
    uint8_t head[HEAD] = { 0 };

    if (!node->probed_raw || request->op != BLOCK_WRITE || request->offset >= HEAD)
        return false;
    uint64_t size = MIN(request->length, HEAD - request->offset);
    iov_copy_out(iov_slice(request->data, 0, size), head + request->offset);
    const struct block_driver *driver = block_driver_probe(head, HEAD, node->filename);
    return driver && strcmp(driver->name, "raw");
}

static void count(struct block_backend *backend, const struct block_request *request)
{
    bool write = request->op == BLOCK_WRITE;
    if (request->op == BLOCK_FLUSH) {
        atomic_fetch_add_explicit(&backend->statistics.flushes, 1, memory_order_relaxed);
    } else if (request->op <= BLOCK_WRITE) {
        atomic_fetch_add_explicit(&backend->statistics.bytes[write], request->length,
                                  memory_order_relaxed);
        atomic_fetch_add_explicit(&backend->statistics.operations[write], 1, memory_order_relaxed);
    }
}

void block_backend_submit(struct block_backend *backend, struct block_request *request)
{
    int error = backend_check(backend, request);
    struct block_node *node = block_backend_node(backend);

    request->guard_count = 0;
    request->scratch = NULL;
    block_guard_enter(&backend->requests);
    request->guards[request->guard_count++] = &backend->requests;
    if (!error && guess_endangered(node, request))
        error = -EPERM;
    if (error) {
        block_request_complete(request, error);
        return;
    }
    if (!backend->write_cache && request->op <= BLOCK_WRITE_ZEROES && request->op != BLOCK_READ)
        request->flags |= BLOCK_FUA;
    count(backend, request);
    block_submit_guarded(node, request);
}

void block_backend_drain(struct block_backend *backend)
{
    while (atomic_load(&backend->requests.users)) {
        block_context_poll(block_context_main());
        g_usleep(100);
    }
}

enum block_action block_backend_error_action(const struct block_backend *backend, bool is_read,
                                             int error)
{
    enum block_on_error policy = is_read ? backend->on_read_error : backend->on_write_error;
    if (policy == BLOCK_ON_ERROR_AUTO)
        policy = is_read ? BLOCK_ON_ERROR_REPORT : BLOCK_ON_ERROR_ENOSPC;
    switch (policy) {
    case BLOCK_ON_ERROR_IGNORE:
        return BLOCK_ACTION_IGNORE;
    case BLOCK_ON_ERROR_STOP:
        return BLOCK_ACTION_STOP;
    case BLOCK_ON_ERROR_ENOSPC:
        return error == -ENOSPC ? BLOCK_ACTION_STOP : BLOCK_ACTION_REPORT;
    default:
        return BLOCK_ACTION_REPORT;
    }
}

/* ---- Geometry ---- */

/* From the first partition that ends at a plausible head and sector. */
static bool geometry_from_partitions(struct block_backend *backend, struct block_geometry *geometry)
{
    uint8_t sector[512];
    uint64_t sectors = block_backend_length(backend) / 512;

    if (!backend->root || block_pread(backend->root->node, 0, sector, sizeof(sector))
        || sector[510] != 0x55 || sector[511] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *entry = sector + 0x1be + i * 16;
        uint32_t count_sectors;
        memcpy(&count_sectors, entry + 12, 4);
        uint32_t heads = entry[5] + 1, track = entry[6] & 63;
        if (!GUINT32_FROM_LE(count_sectors) || heads == 1 || !track)
            continue;
        uint64_t cylinders = sectors / (heads * track);
        if (cylinders < 1 || cylinders > 16383)
            continue;
        *geometry =
            (struct block_geometry){ .cylinders = cylinders, .heads = heads, .sectors = track };
        return true;
    }
    return false;
}

void block_backend_geometry(struct block_backend *backend, struct block_geometry *geometry)
{
    uint64_t cylinders = block_backend_length(backend) / 512 / (16 * 63);
    struct block_geometry standard = { .cylinders = CLAMP(cylinders, 2, 16383),
                                       .heads = 16,
                                       .sectors = 63 };

    if (!geometry_from_partitions(backend, geometry)) {
        *geometry = standard;
    } else if (geometry->heads > 16) {
        /* The partitions were made through a BIOS that translates: the disk itself has 16 heads. */
        *geometry = standard;
        geometry->lba_translation = true;
    }
}
