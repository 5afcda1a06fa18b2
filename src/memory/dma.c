/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/dma.h"

#include <string.h>

void dma_list_init(struct dma_list *list, struct address_space *space)
{
    *list = (struct dma_list){ .space = space };
}

void dma_list_destroy(struct dma_list *list)
{
    g_free(list->iov);
    g_free(list->gpa);
    *list = (struct dma_list){ .space = list->space };
}

void dma_list_clear(struct dma_list *list)
{
    list->count = 0;
    list->bytes = 0;
}

static void append(struct dma_list *list, uint8_t *host, uint64_t gpa, uint64_t length)
{
    struct iovec *last = list->count ? &list->iov[list->count - 1] : NULL;
    list->bytes += length;
    if (last && (uint8_t *)last->iov_base + last->iov_len == host
        && list->gpa[list->count - 1] + last->iov_len == gpa) {
        last->iov_len += length;
        return;
    }
    if (list->count == list->capacity) {
        list->capacity = MAX(16, 2 * list->capacity);
        list->iov = g_renew(struct iovec, list->iov, list->capacity);
        list->gpa = g_renew(uint64_t, list->gpa, list->capacity);
    }
    list->iov[list->count] = (struct iovec){ host, length };
    list->gpa[list->count++] = gpa;
}

/* Whether all of the range is memory a device may transfer with. */
static bool reachable(struct address_space *space, uint64_t gpa, uint64_t length, bool for_write)
{
    uint64_t run;
    if (length > UINT64_MAX - gpa)
        return false;
    for (; length; gpa += run, length -= run) {
        if (!address_space_host(space, gpa, for_write, &run))
            return false;
        run = MIN(run, length);
    }
    return true;
}

bool dma_list_add(struct dma_list *list, uint64_t gpa, uint64_t length, bool for_write)
{
    if (!reachable(list->space, gpa, length, for_write))
        return false;
    while (length) {
        uint64_t run;
        uint8_t *host = address_space_host(list->space, gpa, for_write, &run);
        if (!host) /* the guest took the memory away between the two looks */
            return false;
        run = MIN(run, length);
        append(list, host, gpa, run);
        gpa += run;
        length -= run;
    }
    return true;
}

void dma_list_written(const struct dma_list *list, uint64_t bytes)
{
    for (unsigned i = 0; i < list->count && bytes; i++) {
        uint64_t part = MIN(list->iov[i].iov_len, bytes);
        ram_written(list->space, list->gpa[i], part);
        bytes -= part;
    }
}

/* Moves [offset, offset + length) of the list to or from `buffer`. */
static uint64_t copy(const struct dma_list *list, uint64_t offset, uint8_t *buffer, uint64_t length,
                     bool store)
{
    uint64_t done = 0;
    for (unsigned i = 0; i < list->count && done < length; i++) {
        uint64_t size = list->iov[i].iov_len;
        if (offset >= size) {
            offset -= size;
            continue;
        }
        uint64_t part = MIN(size - offset, length - done);
        uint8_t *host = (uint8_t *)list->iov[i].iov_base + offset;
        if (store) {
            memcpy(host, buffer + done, part);
            ram_written(list->space, list->gpa[i] + offset, part);
        } else {
            memcpy(buffer + done, host, part);
        }
        done += part;
        offset = 0;
    }
    return done;
}

uint64_t dma_list_load(const struct dma_list *list, uint64_t offset, void *to, uint64_t length)
{
    return copy(list, offset, to, length, false);
}

uint64_t dma_list_store(const struct dma_list *list, uint64_t offset, const void *from,
                        uint64_t length)
{
    return copy(list, offset, (uint8_t *)from, length, true);
}
