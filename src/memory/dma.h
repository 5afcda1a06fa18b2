/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A scatter list of guest RAM: what a device's descriptors (PRDs, PRPs, AHCI's PRDT, …) name, as
 * host addresses that block and network back ends transfer to and from without a copy.
 *
 * Threads: one user at a time. The host addresses stay valid while the machine lives (RAM is not
 * unmapped); whether they are still where the guest sees its RAM is the guest's business. */
#ifndef YADO_MEMORY_DMA_H
#define YADO_MEMORY_DMA_H

#include <sys/uio.h>

#include "memory/memory.h"

struct dma_list {
    struct address_space *space;
    struct iovec *iov; /* owned; reused after dma_list_clear() */
    uint64_t *gpa;     /* of each iov */
    unsigned count, capacity;
    uint64_t bytes; /* of all */
};

void dma_list_init(struct dma_list *list, struct address_space *space);
void dma_list_destroy(struct dma_list *list);

/* Empties the list, keeping its memory. */
void dma_list_clear(struct dma_list *list);

/* Appends `length` bytes at `gpa`, joining neighbours. False, with nothing appended, where a part
 * is not RAM (or, with `for_write` false, ROM). */
bool dma_list_add(struct dma_list *list, uint64_t gpa, uint64_t length, bool for_write);

/* After the first `bytes` of the list were written through their host addresses: tells those who
 * track writes (translated code, dirty logs). */
void dma_list_written(const struct dma_list *list, uint64_t bytes);

/* Copies between a buffer and the list from byte `offset` of it on; returns how many bytes there
 * were. dma_list_store() tells the trackers itself. */
uint64_t dma_list_load(const struct dma_list *list, uint64_t offset, void *to, uint64_t length);
uint64_t dma_list_store(const struct dma_list *list, uint64_t offset, const void *from,
                        uint64_t length);

#endif
