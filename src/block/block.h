/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disk images: a graph of nodes, each a format (qcow2), a protocol (file) or a filter (throttle)
 * over its children. docs/block.md has the picture and says how a driver is written
 * (block/driver.h).
 *
 * Two ways to do I/O, on the same nodes, at the same time:
 *   - block_pread(), block_pwrite(), …: synchronous, from any thread that may wait. For tools, and
 *     for drivers while they run on a worker thread.
 *   - block_submit(): asynchronous, from the thread of a `struct block_context`, on which the
 *     request is completed. For devices and exports. Never waits.
 * Both are thread-safe: several contexts may submit to one node.
 *
 * The graph (open, close, attach, truncate, reopen) is changed by the main thread only, and only
 * where no request is under way.
 *
 * I/O functions return 0 or a negative errno; others set a GError. */
#ifndef YADO_BLOCK_BLOCK_H
#define YADO_BLOCK_BLOCK_H

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "block/iov.h"

struct block_node;
struct block_driver;
struct block_context;

/* ---- Requests ---- */

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_WRITE_ZEROES,
    BLOCK_DISCARD, /* the contents become undefined; a hint */
    BLOCK_FLUSH,   /* whatever completed before is on stable storage; offset and length are 0 */
};

enum {
    BLOCK_FUA = 1 << 0,         /* writes: on stable storage before completion */
    BLOCK_MAY_UNMAP = 1 << 1,   /* write zeroes: the space may be given back */
    BLOCK_NO_FALLBACK = 1 << 2, /* write zeroes: -ENOTSUP rather than slowly writing zero bytes */
    BLOCK_COMPRESSED = 1 << 3,  /* write: store compressed; whole clusters (synchronous only) */
    BLOCK_UNCHANGED = 1 << 4,   /* write: what can be read does not change (copy on read) */
};

/* Counts requests that are inside something, so that somebody can wait until none is. Any thread.
 */
struct block_guard {
    atomic_uint users;
    atomic_bool awaited;
    pthread_mutex_t lock;
    pthread_cond_t emptied;
};

void block_guard_init(struct block_guard *guard);
void block_guard_destroy(struct block_guard *guard);
static inline void block_guard_enter(struct block_guard *guard)
{
    atomic_fetch_add(&guard->users, 1);
}
void block_guard_leave(struct block_guard *guard);
/* Waits until nobody is inside; who enters meanwhile is waited for as well. */
void block_guard_drain(struct block_guard *guard);

enum { BLOCK_GUARDS_MAX = 8 };

/* What the kernel, or a helper thread, calls when something asynchronous has ended. */
struct block_completion {
    void (*complete)(struct block_completion *completion, int result);
};

/* An asynchronous request. The caller fills the first part, and may reuse the storage from done()
 * on; offset, length and data are changed on the way down through the layers. */
struct block_request {
    enum block_op op;
    unsigned flags;
    uint64_t offset, length; /* bytes */
    struct iov data;         /* READ, WRITE: data.size == length */
    /* Called once, on the context's thread, never from within block_submit(). `error` is 0 or a
     * negative errno. */
    void (*done)(struct block_request *request, int error);
    /* NULL: done() runs on any thread, perhaps within block_submit(); it must not wait. */
    struct block_context *context;

    /* The block layer's. */
    struct block_node *node; /* the layer where the request is now */
    struct block_request *next;
    int error;
    unsigned guard_count;
    struct block_guard *guards[BLOCK_GUARDS_MAX]; /* to be left on completion */
    struct block_completion completion;           /* for the driver that ends the request */
    void *scratch;                                /* the same driver's; freed on completion */
};

/* ---- Contexts: who waits for completions ---- */

/* A thread's event loop as the block layer sees it: an io_uring and a list of requests that ended
 * on other threads. With `loop`, it is a source of that GMainContext and requests are completed
 * while the loop runs; without (NULL), by block_context_wait(). Where the kernel has no io_uring,
 * worker threads do the I/O. Its own thread only. */
struct block_context *block_context_new(GMainContext *loop, GError **error);
/* No request may be under way. */
void block_context_free(struct block_context *context);
/* The default main loop's, made at first use; main thread only. */
struct block_context *block_context_main(void);
/* Starts what was submitted; waits until at least one request has been completed. */
void block_context_wait(struct block_context *context);
/* Starts what was submitted and completes what has ended, without waiting. What was submitted from
 * a callback of the loop is started by the loop anyway, once its callbacks have run. */
void block_context_poll(struct block_context *context);

/* ---- Nodes ---- */

/* How a parent may use a child, and what it lets others do meanwhile. The values are the ones other
 * programs' locks of the same file use (see file_lock.c). */
enum block_permission {
    BLOCK_PERM_READ = 1 << 0,            /* reads, and expects to see consistent data */
    BLOCK_PERM_WRITE = 1 << 1,           /* changes data */
    BLOCK_PERM_WRITE_UNCHANGED = 1 << 2, /* writes what is there already */
    BLOCK_PERM_RESIZE = 1 << 3,
    BLOCK_PERM_ALL = (1 << 4) - 1,
};

/* What a child is to its parent; its permissions follow from that. */
enum block_role {
    BLOCK_ROLE_STORAGE,  /* a format's "file": data and metadata */
    BLOCK_ROLE_DATA,     /* only data ("data-file", a VMDK extent) */
    BLOCK_ROLE_BACKING,  /* read where the parent has nothing */
    BLOCK_ROLE_FILTERED, /* the parent is a filter and hands everything on */
    BLOCK_ROLE_ROOT,     /* the parent is a user: a device, a tool, an export */
};

struct block_child {
    char *name; /* "file", "backing"; of a root, its user for messages */
    enum block_role role;
    struct block_node *parent; /* NULL for a root */
    struct block_node *node;
    unsigned perm, shared; /* enum block_permission */
};

/* Flags of opening. A child inherits its parent's, with the exceptions at block_open_child(). */
enum {
    BLOCK_OPEN_RW = 1 << 0,
    BLOCK_OPEN_RESIZE = 1 << 1,
    BLOCK_OPEN_NO_BACKING = 1 << 2,  /* leave out the backing file */
    BLOCK_OPEN_NO_IO = 1 << 3,       /* only what the header says is wanted ("info") */
    BLOCK_OPEN_CHECK = 1 << 4,       /* for check: open dirty or corrupt images, repair nothing */
    BLOCK_OPEN_FORCE_SHARE = 1 << 5, /* read what somebody else may be writing (-U) */
    BLOCK_OPEN_AUTO_READ_ONLY = 1 << 6, /* fall back to reading where writing is not allowed */
    BLOCK_OPEN_DIRECT = 1 << 7,         /* cache.direct: O_DIRECT */
    BLOCK_OPEN_NO_FLUSH = 1 << 8,       /* cache.no-flush: ignore flushes */
    BLOCK_OPEN_UNMAP = 1 << 9,          /* discard=unmap: pass discards on */
    BLOCK_OPEN_PROTOCOL = 1 << 10,      /* do not look for a format */
    BLOCK_OPEN_INACTIVE = 1 << 11, /* somebody else writes until migration ends: load nothing */
};

enum block_detect_zeroes { BLOCK_DETECT_OFF, BLOCK_DETECT_ON, BLOCK_DETECT_UNMAP };

/* Makes a read-modify-write whole: while it is closed, other writes wait. */
struct block_gate {
    pthread_mutex_t exclusive; /* held while it is closed */
    atomic_bool closed;
    struct block_guard writes; /* under way */
};

/* Users read this; the block layer and the node's driver write it. [graph]: main thread, when no
 * request is under way. */
struct block_node {
    const struct block_driver *driver; /* [const] */
    void *state;                       /* [const] the driver's, driver->state_size bytes */
    char *name;                        /* [const] node-name; "#block123" if none was given */
    /* How to open the same image again: a plain name if one is enough, else "json:{…}". */
    char *filename;             /* [graph] */
    json_t *options;            /* [graph] the full options it was opened with */
    unsigned flags;             /* [graph] BLOCK_OPEN_* */
    unsigned references;        /* [graph] users and parents */
    GPtrArray *children;        /* [graph] struct block_child; owned */
    GPtrArray *parents;         /* [graph] struct block_child, theirs */
    struct block_node *file;    /* [graph] child "file", NULL for a protocol */
    struct block_node *backing; /* [graph] child "backing" or NULL */
    _Atomic(uint64_t) length;   /* bytes; changes by block_truncate() and writes that grow a file */
    bool read_only;             /* [graph] */
    bool probed_raw; /* [graph] raw by guess: no write may make another format of its first bytes */
    enum block_detect_zeroes detect_zeroes; /* [graph] */

    /* Limits, set by the driver's open; the core keeps requests within them. */
    uint32_t alignment;        /* of offsets and lengths; a power of two, 1 if any will do */
    uint32_t memory_alignment; /* of addresses */
    uint64_t max_transfer;     /* bytes a request; 0: any */
    uint32_t cluster_size;     /* 0: none */

    pthread_mutex_t lock; /* for the driver; `serialized` drivers are called with it held */
    struct block_gate gate;
};

/* ---- Opening ---- */

/* Opens an image by a name as users write it: a path, "file:…", "nbd:…", "json:{…}". `format` may
 * be NULL: then it is found from the contents. `options` (borrowed, may be NULL) has more options
 * as a tree. The result has one reference, for the caller. */
struct block_node *block_open(const char *filename, const char *format, json_t *options,
                              unsigned flags, GError **error);
/* The same from options alone ("driver", "file": {…}), as -blockdev has them. `options` borrowed.
 */
struct block_node *block_open_options(json_t *options, unsigned flags, GError **error);
struct block_node *block_ref(struct block_node *node);
/* The last reference closes: flushes, closes children. NULL is allowed. */
void block_unref(struct block_node *node);
static inline void block_unref_cleanup(struct block_node **node)
{
    block_unref(*node);
}
#define auto_block __attribute__((cleanup(block_unref_cleanup))) struct block_node

struct block_node *block_find(const char *node_name);
/* Every node, in order of opening, until `visit` returns false. */
void block_visit(bool (*visit)(struct block_node *node, void *opaque), void *opaque);

/* Attaches a user. Fails if the permissions conflict with those of other users, here ("Conflicts
 * with use by …") or in another process ("Failed to get \"write\" lock"). Takes a reference. */
struct block_child *block_attach(struct block_node *node, const char *user, unsigned perm,
                                 unsigned shared, GError **error);
bool block_set_permissions(struct block_child *child, unsigned perm, unsigned shared,
                           GError **error);
void block_detach(struct block_child *child);

/* "none", "writethrough", "writeback", "unsafe", "directsync": sets the flags of opening, and
 * whether every write is to be stable before it completes. */
bool block_cache_mode(const char *mode, unsigned *flags, bool *writethrough, GError **error);

/* ---- Synchronous I/O; may wait ---- */

/* Bytes beyond the end read as zeroes; writing there fails unless the node is a growing protocol.
 */
int block_preadv(struct block_node *node, uint64_t offset, struct iov data);
int block_pwritev(struct block_node *node, uint64_t offset, struct iov data, unsigned flags);
int block_pread(struct block_node *node, uint64_t offset, void *buffer, size_t length);
int block_pwrite(struct block_node *node, uint64_t offset, const void *buffer, size_t length,
                 unsigned flags);
int block_write_zeroes(struct block_node *node, uint64_t offset, uint64_t length, unsigned flags);
int block_discard(struct block_node *node, uint64_t offset, uint64_t length);
int block_flush(struct block_node *node);
/* block_pwrite() followed by block_flush(). */
int block_pwrite_sync(struct block_node *node, uint64_t offset, const void *buffer, size_t length);

/* ---- Asynchronous I/O ---- */

/* Errors are reported by done(), never here. */
void block_submit(struct block_node *node, struct block_request *request);

/* ---- What is where ---- */

enum {
    BLOCK_STATUS_DATA = 1 << 0,      /* reading may return other than zeroes */
    BLOCK_STATUS_ZERO = 1 << 1,      /* reads as zeroes */
    BLOCK_STATUS_ALLOCATED = 1 << 2, /* decided by this layer, not by its backing file */
    BLOCK_STATUS_OFFSET = 1 << 3,    /* it is at `host_offset` of `file` */
    BLOCK_STATUS_COMPRESSED = 1 << 4,
    BLOCK_STATUS_EOF = 1 << 5, /* the run ends where the node ends */
};

struct block_status {
    unsigned flags;
    uint64_t length; /* bytes from the asked offset on for which all this holds, at least 1 */
    uint64_t host_offset;
    struct block_node *file;
    unsigned depth; /* layers of backing files above the one that has it */
};

/* About bytes from `offset` on, at most `length` of them; this layer only. */
int block_status(struct block_node *node, uint64_t offset, uint64_t length,
                 struct block_status *status);
/* The same through backing files, down to but excluding `base` (NULL: all). */
int block_status_above(struct block_node *node, struct block_node *base, uint64_t offset,
                       uint64_t length, struct block_status *status);
/* The format or protocol below any filters. */
struct block_node *block_skip_filters(struct block_node *node);

/* ---- Size ---- */

enum block_preallocation {
    BLOCK_PREALLOC_OFF,
    BLOCK_PREALLOC_METADATA,
    BLOCK_PREALLOC_FALLOC,
    BLOCK_PREALLOC_FULL,
};
extern const char *const block_preallocation_names[]; /* NULL-terminated, in the enum's order */

static inline uint64_t block_length(struct block_node *node)
{
    return atomic_load_explicit(&node->length, memory_order_relaxed);
}
/* Bytes the image takes on its host, or a negative errno. */
int64_t block_allocated_size(struct block_node *node);
bool block_truncate(struct block_node *node, uint64_t length,
                    enum block_preallocation preallocation, GError **error);

/* ---- Creating ---- */

/* `options` (borrowed): a tree of what the driver's create_options list ("size", "cluster_size",
 * …); each must be known to the format or its protocol. */
bool block_create(const char *format, const char *filename, json_t *options, GError **error);

/* ---- Names ---- */

/* What a backing file's name, found in the image `filename`, refers to: absolute, protocol and json
 * names as they are, others relative to the image's folder. NULL and an error if there is none. */
char *block_path_combine(const char *filename, const char *backing, GError **error);
/* "x" of "x:…", or NULL; a path with "/" before its ":" has none. */
char *block_name_protocol(const char *filename);

#endif
