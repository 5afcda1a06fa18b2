/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a format, protocol or filter consists of: one constant struct, registered by BLOCK_DRIVER()
 * in a linker section. Adding a driver edits no other source file but meson.build.
 *
 * A request reaches a driver in one of three ways; docs/block.md tells when to use which.
 *
 *   lookup()  "where is it?" Called on the submitting thread, so it never waits: it looks into
 * tables already in memory. Found, the core sends the request on to the child at once (no copy, no
 * other thread). Not found: the core calls the next from a worker thread. read(), write(), … plain
 * synchronous code which calls block_pread() and its kin on the children. A format can be written
 * with these alone. submit()  for protocols that are asynchronous themselves.
 *
 * Threads: any of these may run on several threads at once, unless `serialized`: then the core
 * holds node->lock around each call of read(), write(), write_zeroes(), discard(), flush() and
 * status(), and around lookup() if it is free (else the slow way is taken). open(), close(),
 * truncate() and everything below them: main thread, nothing else under way.
 *
 * Images are hostile: whatever a header says is checked before it is used to allocate, loop or
 * seek; tables are bounded; no value reaches an assert. close() is called only if open() returned
 * true: an open() that fails frees what it allocated (children are the core's). */
#ifndef YADO_BLOCK_DRIVER_H
#define YADO_BLOCK_DRIVER_H

#include "block/block.h"
#include "block/options.h"

/* The answer of lookup(). */
enum block_extent_kind {
    BLOCK_EXTENT_CHILD, /* at `offset` of `node`; a write there needs nothing else to be changed */
    BLOCK_EXTENT_ZERO,  /* read: zeroes. Write zeroes, discard, flush: nothing to do */
};
struct block_extent {
    enum block_extent_kind kind;
    uint64_t length; /* bytes from the asked offset on, at least 1; more than asked is cut */
    uint64_t offset;
    struct block_node *node;
    /* If set: the driver has entered it for this request, and the core leaves it when the request
     * has ended: so a driver knows whether space it wants to reuse is still being used. */
    struct block_guard *guard;
};

/* One option of `qemu-img create -o`. */
struct block_create_option {
    const char *name;
    enum { BLOCK_OPTION_STRING, BLOCK_OPTION_SIZE, BLOCK_OPTION_BOOL, BLOCK_OPTION_NUMBER } kind;
    const char *default_value; /* as text, or NULL; only for the help */
    const char *help;
    bool amend; /* `qemu-img amend` can change it */
};

/* What create() is given. A format makes its file with block_create_storage() and writes its header
 * into that. Options not taken are reported by the core. */
struct block_create {
    const char *filename;
    uint64_t size;   /* bytes, as asked; a format that needs a multiple rounds up */
    json_t *options; /* without "size" */
};

struct block_check {
    bool fix_leaks, fix_errors; /* what to repair */
    /* One finding, without a newline; error: it counts as corruption or failure. */
    void (*message)(struct block_check *check, bool error, const char *text);
    uint64_t corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
};

struct block_snapshot {
    char *id, *name;
    uint64_t vm_state_size, disk_size;
    uint32_t date_sec, date_nsec;
    uint64_t vm_clock_nsec;
    uint64_t icount; /* UINT64_MAX: none */
};

struct block_measure {
    uint64_t required, fully_allocated;
    uint64_t bitmaps; /* UINT64_MAX: not reported */
};

struct block_driver {
    const char *name;
    const char *protocol; /* protocols: prefix of names ("nbd"), or NULL */
    bool is_protocol, is_filter;
    bool serialized;
    bool supports_backing;
    bool growable;   /* writes beyond the end make it longer */
    bool native_fua; /* write() and submit() do BLOCK_FUA; for others the core flushes afterwards */
    bool compressible; /* write() knows BLOCK_COMPRESSED */
    size_t state_size; /* node->state, zeroed */

    /* 0 (no) to 100 (sure) from the first bytes, at most 2048 of them. */
    int (*probe)(const uint8_t *head, size_t size, const char *filename);
    /* Protocols: 0 to 100 for a plain name ("/dev/sr0" is host_cdrom's). */
    int (*probe_name)(const char *filename);
    /* Protocols: puts what the name says into `options`; NULL: {"filename": name without prefix}.
     */
    bool (*parse_filename)(const char *filename, json_t *options, GError **error);

    /* Formats first call block_open_file(node, options, error). Takes its own options; the core
     * complains about what is left. Sets node->length and limits. */
    bool (*open)(struct block_node *node, json_t *options, GError **error);
    void (*close)(struct block_node *node); /* flush was called before if writable */

    bool (*lookup)(struct block_node *node, enum block_op op, unsigned flags, uint64_t offset,
                   uint64_t length, struct block_extent *extent);
    void (*submit)(struct block_node *node, struct block_request *request);
    int (*read)(struct block_node *node, uint64_t offset, struct iov data);
    int (*write)(struct block_node *node, uint64_t offset, struct iov data, unsigned flags);
    /* -ENOTSUP makes the core write zero bytes. NULL: the same. */
    int (*write_zeroes)(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags);
    /* -ENOTSUP counts as done. */
    int (*discard)(struct block_node *node, uint64_t offset, uint64_t length);
    /* Writes back the driver's own caches; the core flushes the children that hold data afterwards.
     * A protocol's makes everything durable. */
    int (*flush)(struct block_node *node);
    /* `status` is zeroed; NULL: all data. Offset and length are within the node. */
    int (*status)(struct block_node *node, uint64_t offset, uint64_t length,
                  struct block_status *status);

    /* Sets node->length. NULL: the size cannot be changed. */
    bool (*truncate)(struct block_node *node, uint64_t length,
                     enum block_preallocation preallocation, GError **error);
    /* NULL: the sum of the children that hold data. */
    int64_t (*allocated_size)(struct block_node *node);
    /* Protocols: the permissions of all users together have changed. */
    bool (*set_permissions)(struct block_node *node, unsigned perm, unsigned shared,
                            GError **error);

    const struct block_create_option *create_options; /* ends with {}; NULL: cannot be created */
    bool (*create)(struct block_create *create, GError **error);
    /* What an image of `size` bytes needs, holding what `source` (or NULL) has. */
    bool (*measure)(json_t *options, uint64_t size, struct block_node *source,
                    struct block_measure *measure, GError **error);
    bool (*amend)(struct block_node *node, json_t *options, bool force, GError **error);
    /* Fails only if it could not be done at all; findings are counted. */
    bool (*check)(struct block_node *node, struct block_check *check, GError **error);
    /* It was not closed cleanly. */
    bool (*is_dirty)(struct block_node *node);
    /* For `info`: "format-specific information" with QEMU's names, or NULL. New reference. */
    json_t *(*specific_info)(struct block_node *node);
    /* What the header says about the backing file; NULL without one. Both g_free(). */
    char *(*backing_name)(struct block_node *node, char **format);
    bool (*set_backing)(struct block_node *node, const char *name, const char *format,
                        GError **error);
    bool (*make_empty)(struct block_node *node, GError **error); /* after commit */

    const struct block_snapshot_ops *snapshots; /* internal snapshots, or NULL */
    const struct block_bitmap_ops *bitmaps;     /* persistent bitmaps, or NULL */
};

struct block_snapshot_ops {
    /* Appends to `list`, an array of struct block_snapshot; strings are the caller's to free. */
    bool (*list)(struct block_node *node, GArray *list, GError **error);
    bool (*create)(struct block_node *node, struct block_snapshot *snapshot, GError **error);
    bool (*apply)(struct block_node *node, const char *id_or_name, GError **error);
    bool (*remove)(struct block_node *node, const char *id_or_name, GError **error);
    bool (*load)(struct block_node *node, const char *id_or_name, GError **error); /* read only */
    int (*vm_state_read)(struct block_node *node, uint64_t offset, struct iov data);
    int (*vm_state_write)(struct block_node *node, uint64_t offset, struct iov data);
};

struct block_bitmap_ops {
    bool (*add)(struct block_node *node, const char *name, uint32_t granularity, bool disabled,
                GError **error);
    bool (*remove)(struct block_node *node, const char *name, GError **error);
    bool (*clear)(struct block_node *node, const char *name, GError **error);
    bool (*enable)(struct block_node *node, const char *name, bool enable, GError **error);
    bool (*merge)(struct block_node *node, const char *name, struct block_node *source,
                  const char *source_name, GError **error);
    /* Those of `source` (a node with the same ops) that are consistent. */
    bool (*copy_all)(struct block_node *source, struct block_node *target, GError **error);
};

#define BLOCK_DRIVER(symbol) \
    static const struct block_driver symbol##_driver \
        __attribute__((used, section("yado_block_drivers"), aligned(8)))

const struct block_driver *block_driver_find(const char *name);
void block_driver_visit(void (*visit)(const struct block_driver *driver, void *opaque),
                        void *opaque);
/* The format of these first bytes; raw if none is sure. */
const struct block_driver *block_driver_probe(const uint8_t *head, size_t size,
                                              const char *filename);
/* The protocol that a name means ("nbd:…", a path). NULL and an error if its prefix is unknown. */
const struct block_driver *block_driver_protocol(const char *filename, GError **error);

/* For open(): opens the child "file" from options ("file": {…} or a node's name). */
bool block_open_file(struct block_node *node, json_t *options, GError **error);
/* The same for any child. Returns true without a child if the option is absent and `optional`.
 * Storage and data inherit all flags; backing files are opened read-only. */
bool block_open_child(struct block_node *node, json_t *options, const char *name,
                      enum block_role role, bool optional, GError **error);
/* A child by a name found in the image (VMDK's extents, "data-file"). */
bool block_open_child_named(struct block_node *node, const char *filename, const char *name,
                            enum block_role role, GError **error);
/* NULL if there is none. */
struct block_node *block_child_node(struct block_node *node, const char *name);

/* For create(): makes the file, and opens it to be written; NULL and an error. */
struct block_node *block_create_storage(struct block_create *create, uint64_t length,
                                        GError **error);

/* For submit(): the request has ended. Any thread. */
void block_request_complete(struct block_request *request, int error);
/* For submit(): it cannot be done without waiting after all; read(), write() … do it on a worker.
 */
void block_request_to_worker(struct block_request *request);
/* block_submit() of a request that has guards already. */
void block_submit_guarded(struct block_node *node, struct block_request *request);
/* Runs `function` on a worker thread. */
void block_worker_run(void (*function)(void *opaque), void *opaque);

/* A slot in the context's ring, or NULL if the kernel has none or it is full. What is prepared
 * there is submitted by the context; its user data is a struct block_completion. Context's thread
 * only. */
struct io_uring_sqe;
struct io_uring_sqe *block_context_sqe(struct block_context *context);
/* This thread is the context's. */
bool block_context_is_current(const struct block_context *context);
/* The request has ended: done() is called from the context's loop. Any thread. */
void block_context_post(struct block_context *context, struct block_request *request);

#endif
