/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest physical memory and port space: which addresses are RAM, ROM, or a device.
 *
 * An address space is a sorted table ("view") of the regions one sees. Changing the topology builds
 * a new view and publishes it with one pointer store; readers take no lock.
 *
 * Threads: lookups and accesses from any thread. Device callbacks run with the device's own lock
 * taken by this layer (dev->lock). Topology changes: any thread, a vCPU's in the middle of an
 * access included; but whoever changes holds no lock that a device's callback takes, dev->lock
 * above all, because an engine may wait for other vCPUs to leave theirs. A change is in effect for
 * all vCPUs when the outermost address_space_end() (or address_space_add(), …) returns. Of several
 * spaces, memory is begun before ports. A region that was removed may still be in use by an access
 * on another thread; it is freed only with all vCPUs paused. */
#ifndef YADO_MEMORY_MEMORY_H
#define YADO_MEMORY_MEMORY_H

#include "util/util.h"

#define GUEST_PAGE_SHIFT 12
#define GUEST_PAGE_SIZE 4096u

struct device;

/* Register access callbacks. `offset` is relative to the region. The core splits or widens an
 * access to min_size..max_size (powers of two, 1..8; zero means 1 and 8), so a switch in a callback
 * sees registers only. Both callbacks are called with dev->lock held. */
struct region_ops {
    uint64_t (*read)(struct device *dev, uint64_t offset, unsigned size);
    void (*write)(struct device *dev, uint64_t offset, uint64_t value, unsigned size);
    uint8_t min_size, max_size;
    bool unlocked; /* the callbacks need no dev->lock (per-CPU or read-only registers) */
};

enum region_kind {
    REGION_IO,  /* callbacks */
    REGION_RAM, /* host memory, read/write */
    REGION_ROM, /* host memory; guest writes go to ops->write, or without ops are dropped */
};

/* A register a write to which does nothing but signal an eventfd, so that the kernel can do it
 * without leaving the guest (KVM_IOEVENTFD). Engines that do not look at these call the region's
 * write(), which does the same. */
struct region_event {
    uint64_t offset;
    unsigned size; /* of the write: 1, 2, 4 or 8; 0: any */
    bool match;    /* only if `value` is written */
    uint64_t value;
    int fd;
};

/* One piece of an address space. Owned by whoever embeds it; must outlive the space. */
struct region {
    const char *name; /* [const] for listings */
    enum region_kind kind;
    uint64_t base, size;               /* [const] while mapped */
    int priority;                      /* higher hides lower where they overlap */
    const struct region_ops *ops;      /* REGION_IO */
    struct device *dev;                /* REGION_IO: whose lock is taken, passed to ops */
    uint8_t *host;                     /* REGION_RAM/ROM: page aligned */
    const struct region_event *events; /* [const] while mapped; REGION_IO */
    unsigned event_count;
};

struct address_space;

struct address_space *address_space_new(const char *name, uint64_t size);
/* A second look at `below`, which it follows: everything there, and the regions added to this one
 * over it; of two with the same priority this one's is seen. `below` may have one such, and must
 * outlive it. What is removed from it must have been added to it. (System management mode: RAM that
 * only a processor in that mode reaches.) */
struct address_space *address_space_new_over(const char *name, struct address_space *below);
void address_space_free(struct address_space *space);
void address_space_add(struct address_space *space, struct region *region);
void address_space_remove(struct address_space *space, struct region *region);

/* Between these two, changes are made by one thread at a time, and published together at the end.
 * They nest. */
void address_space_begin(struct address_space *space);
void address_space_end(struct address_space *space);

/* Who is told of changes, on the thread that makes them. Set up before vCPUs run. */
struct address_space_listener {
    /* Before a change, no lock held; may wait until no vCPU executes. NULL: nothing. */
    void (*begin)(void *opaque);
    /* The new view is published: engines flush TLBs and KVM updates its slots. */
    void (*changed)(struct address_space *space, void *opaque);
    void (*end)(void *opaque); /* after it, no lock held; for every begin() */
    void *opaque;
};
void address_space_listen(struct address_space *space,
                          const struct address_space_listener *listener);

/* The flattened view: calls `visit` for each range in ascending order, none overlapping.
 * `base`/`size` is the visible part, `offset` its start inside the region. */
void address_space_visit(struct address_space *space,
                         void (*visit)(const struct region *region, uint64_t base, uint64_t size,
                                       uint64_t offset, void *opaque),
                         void *opaque);

/* The flattened view as text, a line per range; the caller frees it. */
char *address_space_describe(struct address_space *space);

/* Host address of guest RAM (or, with `for_write` false, ROM) at `gpa`, with `*run` set to how many
 * bytes from there on are contiguous in the host; NULL if it is something else. */
uint8_t *address_space_host(struct address_space *space, uint64_t gpa, bool for_write,
                            uint64_t *run);

/* Is anything there, RAM, ROM or a device? */
bool address_space_is_mapped(struct address_space *space, uint64_t addr);

/* One CPU access of 1, 2, 4 or 8 bytes. Nothing mapped: reads give all ones, writes are dropped
 * (as on a PC bus), and both are logged under guest_errors. A device takes an access that starts at
 * one of its visible registers whole if it is large enough for it, else each part goes to whoever
 * is there. */
uint64_t address_space_read(struct address_space *space, uint64_t addr, unsigned size);
void address_space_write(struct address_space *space, uint64_t addr, uint64_t value, unsigned size);

/* Device DMA: RAM only. False (and nothing more transferred) where the range leaves RAM. A DMA
 * write tells every dirty/code tracker (see ram_written_listen). */
bool dma_read(struct address_space *space, uint64_t gpa, void *buffer, uint64_t length);
bool dma_write(struct address_space *space, uint64_t gpa, const void *buffer, uint64_t length);

/* `written` runs on the writing thread after a device has changed the range: a listener that was
 * told before could look at the old bytes once more. One listener per use (the translator drops
 * code made from those pages). */
void ram_written_listen(struct address_space *space,
                        void (*written)(void *opaque, uint64_t gpa, uint64_t length), void *opaque);

/* Any thread: what a device calls that has written to RAM through host addresses. */
void ram_written(struct address_space *space, uint64_t gpa, uint64_t length);

/* Any thread: the contents of these pages are not wanted any more; their memory goes back to the
 * host and they read as zeroes from now on. Pages that are not RAM, and parts of pages, stay. */
void ram_discard(struct address_space *space, uint64_t gpa, uint64_t length);

/* Guest RAM: one memfd named "yado-ram", mapped once, not reserved, not touched. The guest sees
 * [0, below_4g) and [4 GiB, 4 GiB + rest). */
struct guest_ram {
    uint8_t *host;
    uint64_t size;
    uint64_t below_4g_size;
    int fd;
    struct region low, high;
};
bool guest_ram_init(struct guest_ram *ram, uint64_t size, uint64_t below_4g_limit, GError **error);

/* Where it comes from and how the host treats it; all zero but merge and dump: the default. */
struct guest_ram_options {
    const char *path;    /* a file or folder; NULL: a memfd */
    bool share;          /* of a file: the guest's writes go there, else they are private */
    bool prealloc, lock; /* take all pages at the start; keep them from being swapped out */
    bool merge, dump;    /* equal pages may be merged; it is part of core dumps */
    bool hugetlb;        /* a memfd of huge pages, of hugetlb_bytes (0: the host's default) */
    uint64_t hugetlb_bytes;
    int policy; /* MPOL_*, over the nodes in host_nodes */
    uint64_t host_nodes;
};
bool guest_ram_init_from(struct guest_ram *ram, uint64_t size, uint64_t below_4g_limit,
                         const struct guest_ram_options *options, GError **error);
void guest_ram_map(struct guest_ram *ram, struct address_space *space);
void guest_ram_destroy(struct guest_ram *ram);

#endif
