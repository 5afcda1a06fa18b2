/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A drive as a device sees it: a name, a medium that may be absent and change, and what to do about
 * errors. IDE, NVMe, virtio-blk and exports all use this; tools do for the root of a graph.
 *
 * Threads: block_backend_submit() from any thread that is `request->context`'s; everything else on
 * the main loop. A medium is changed only when no request is under way: block_backend_drain() waits
 * for that, running the contexts' completions being their threads' business. */
#ifndef YADO_BLOCK_BACKEND_H
#define YADO_BLOCK_BACKEND_H

#include "block/block.h"

enum block_on_error {
    BLOCK_ON_ERROR_REPORT, /* tell the guest */
    BLOCK_ON_ERROR_IGNORE, /* pretend that it worked */
    BLOCK_ON_ERROR_STOP,   /* pause the machine; the request is repeated when it goes on */
    BLOCK_ON_ERROR_ENOSPC, /* STOP if there is no space left, else REPORT */
    BLOCK_ON_ERROR_AUTO,   /* reads REPORT, writes ENOSPC */
};
extern const char *const block_on_error_names[]; /* NULL-terminated, in the enum's order */

enum block_action { BLOCK_ACTION_REPORT, BLOCK_ACTION_IGNORE, BLOCK_ACTION_STOP };

/* What a device is told; called on the main loop. Members may be NULL. */
struct block_device_ops {
    /* There is a medium now, another than before, or none any more. */
    void (*media_changed)(void *opaque, bool present);
    void (*eject_request)(void *opaque, bool force);
    bool (*is_tray_open)(void *opaque);
    bool (*is_locked)(void *opaque); /* the guest holds the tray */
    void (*resized)(void *opaque);
    void (*set_write_cache)(void *opaque, bool enabled);
};

struct block_backend {
    char *id;                 /* [const] drive id; NULL for an anonymous one */
    struct block_child *root; /* [main] NULL: no medium */
    bool read_only;           /* [main] as asked for; a medium may be so as well */
    bool write_cache;         /* [main] false: every write is stable when it completes */
    char *serial;             /* [main] or NULL */
    enum block_on_error on_read_error, on_write_error; /* [main] */
    const struct block_device_ops *ops;                /* [main] NULL: no device uses it */
    void *opaque;                                      /* [main] of ops: the device */
    struct block_guard requests;                       /* under way */
    struct {
        atomic_uint_fast64_t bytes[2], operations[2], failed[2]; /* read, written */
        atomic_uint_fast64_t flushes;
    } statistics;
};

/* `id` may be NULL; NULL and an error if another drive has it. Without a medium. */
struct block_backend *block_backend_new(const char *id, GError **error);
/* Removes the medium and forgets the drive. */
void block_backend_free(struct block_backend *backend);
struct block_backend *block_backend_find(const char *id);
/* In order of making, until `visit` returns false. */
void block_backend_visit(bool (*visit)(struct block_backend *backend, void *opaque), void *opaque);

/* Puts a medium in: takes a reference of `node`. The device is told. Fails if it may not be used so
 * (a read-only node in a drive that writes, somebody else's lock). */
bool block_backend_insert(struct block_backend *backend, struct block_node *node, bool share_write,
                          GError **error);
void block_backend_eject(struct block_backend *backend);

/* A device takes the drive for itself; fails if another has it. NULL `ops` gives it back. */
bool block_backend_attach_device(struct block_backend *backend, const struct block_device_ops *ops,
                                 void *opaque, GError **error);

static inline struct block_node *block_backend_node(const struct block_backend *backend)
{
    return backend->root ? backend->root->node : NULL;
}
static inline bool block_backend_has_medium(const struct block_backend *backend)
{
    return backend->root;
}
/* 0 without a medium. */
uint64_t block_backend_length(const struct block_backend *backend);
/* Also if the medium cannot be written. */
bool block_backend_is_read_only(const struct block_backend *backend);

/* CHS geometry as a BIOS would guess it: from the partition table if it tells, else by size. */
struct block_geometry {
    uint32_t cylinders, heads, sectors;
    bool lba_translation;
};
void block_backend_geometry(struct block_backend *backend, struct block_geometry *geometry);

/* Like block_submit(), after checking that the request lies within the medium (-EIO), that there is
 * one (-ENOMEDIUM) and that it may be written (-EACCES). Adds BLOCK_FUA where the cache is off. */
void block_backend_submit(struct block_backend *backend, struct block_request *request);
/* Waits until no request is under way. Main thread; runs its own context meanwhile. */
void block_backend_drain(struct block_backend *backend);

/* What a device does about a failed request; `error` is a negative errno. STOP: the device keeps
 * the request and submits it again when the machine goes on; it asks for the pause itself. */
enum block_action block_backend_error_action(const struct block_backend *backend, bool is_read,
                                             int error);

#endif
