/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "block/iov.h"

#include <string.h>

struct iov iov_whole(const struct iovec *vec, size_t count)
{
    struct iov iov = { .vec = vec };
    for (size_t i = 0; i < count; i++)
        iov.size += vec[i].iov_len;
    return iov_slice(iov, 0, iov.size);
}

struct iov iov_slice(struct iov iov, uint64_t at, uint64_t size)
{
    iov.skip += at;
    iov.size = size;
    while (size && iov.skip >= iov.vec->iov_len)
        iov.skip -= iov.vec++->iov_len;
    return iov;
}

void *iov_first(struct iov iov, uint64_t *size)
{
    *size = MIN(iov.size, iov.vec->iov_len - iov.skip);
    return (char *)iov.vec->iov_base + iov.skip;
}

unsigned iov_export(struct iov iov, struct iovec *out, unsigned max, uint64_t *size)
{
    unsigned count = 0;
    *size = 0;
    while (iov.size && count < max) {
        uint64_t part;
        void *base = iov_first(iov, &part);
        out[count++] = (struct iovec){ .iov_base = base, .iov_len = part };
        *size += part;
        iov = iov_slice(iov, part, iov.size - part);
    }
    return count;
}

void iov_copy_in(struct iov to, const void *from)
{
    while (to.size) {
        uint64_t part;
        void *base = iov_first(to, &part);
        memcpy(base, from, part);
        from = (const char *)from + part;
        to = iov_slice(to, part, to.size - part);
    }
}

void iov_copy_out(struct iov from, void *to)
{
    while (from.size) {
        uint64_t part;
        const void *base = iov_first(from, &part);
        memcpy(to, base, part);
        to = (char *)to + part;
        from = iov_slice(from, part, from.size - part);
    }
}

void iov_fill(struct iov iov, int byte)
{
    while (iov.size) {
        uint64_t part;
        void *base = iov_first(iov, &part);
        memset(base, byte, part);
        iov = iov_slice(iov, part, iov.size - part);
    }
}

bool iov_is_zero(struct iov iov)
{
    while (iov.size) {
        uint64_t part;
        const void *base = iov_first(iov, &part);
        if (!buffer_is_zero(base, part))
            return false;
        iov = iov_slice(iov, part, iov.size - part);
    }
    return true;
}

bool iov_is_aligned(struct iov iov, size_t alignment)
{
    while (iov.size) {
        uint64_t part;
        uintptr_t base = (uintptr_t)iov_first(iov, &part);
        if ((base | part) & (alignment - 1))
            return false;
        iov = iov_slice(iov, part, iov.size - part);
    }
    return true;
}

bool buffer_is_zero(const void *buffer, size_t size)
{
    const unsigned char *bytes = buffer;
    size_t head = MIN(size, 16);

    for (size_t i = 0; i < head; i++) {
        if (bytes[i])
            return false;
    }
    /* The first 16 bytes are zero; if each byte equals the one 16 before it, all are. */
    return size <= 16 || !memcmp(bytes, bytes + 16, size - 16);
}
