/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM: one memfd, mapped once, shared, neither reserved nor touched.
 *
 * Shared and file backed, so that other processes can be given it (vhost-user, later) and the
 * translator can map parts of it again. The two regions are the part below the hole for devices
 * under 4 GiB and the rest, which starts at 4 GiB. */
#include "memory/memory.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

bool guest_ram_init(struct guest_ram *ram, uint64_t size, uint64_t below_4g_limit, GError **error)
{
    memset(ram, 0, sizeof(*ram));
    ram->fd = -1;
    if (size == 0 || size % GUEST_PAGE_SIZE)
        return fail(error, "memory size %" PRIu64 " is not a multiple of %u bytes above zero", size,
                    GUEST_PAGE_SIZE);
    if (size > INT64_MAX)
        return fail(error, "memory size %" PRIu64 " is more than a file can hold", size);

    auto_close int fd = memfd_create("yado-ram", MFD_CLOEXEC);
    if (fd < 0)
        return fail_errno(error, "cannot create guest memory");
    if (ftruncate(fd, size) < 0)
        return fail_errno(error, "cannot make guest memory of %" PRIu64 " MiB", size >> 20);
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (host == MAP_FAILED)
        return fail_errno(error, "cannot map guest memory of %" PRIu64 " MiB", size >> 20);

    ram->fd = take_fd(&fd);
    ram->host = host;
    ram->size = size;
    ram->below_4g_size = MIN(size, below_4g_limit);
    ram->low = (struct region){
        .name = "ram-below-4g",
        .kind = REGION_RAM,
        .base = 0,
        .size = ram->below_4g_size,
        .host = ram->host,
    };
    ram->high = (struct region){
        .name = "ram-above-4g",
        .kind = REGION_RAM,
        .base = 1ull << 32,
        .size = size - ram->below_4g_size,
        .host = ram->host + ram->below_4g_size,
    };
    return true;
}

/* Memory that is shared is punched out of its file, private memory dropped. */
static void host_discard(uint8_t *host, uint64_t length)
{
    if (madvise(host, length, MADV_REMOVE))
        madvise(host, length, MADV_DONTNEED);
}

void ram_discard(struct address_space *space, uint64_t gpa, uint64_t length)
{
    uint64_t end;
    if (__builtin_add_overflow(gpa, length, &end))
        return;
    gpa = (gpa + GUEST_PAGE_SIZE - 1) & -(uint64_t)GUEST_PAGE_SIZE;
    end &= -(uint64_t)GUEST_PAGE_SIZE;
    while (gpa < end) {
        uint64_t run;
        uint8_t *host = address_space_host(space, gpa, true, &run);
        if (!host) { /* not RAM here: look again at the next page */
            gpa += GUEST_PAGE_SIZE;
            continue;
        }
        run = MIN(run, end - gpa) & -(uint64_t)GUEST_PAGE_SIZE;
        if (!run)
            run = GUEST_PAGE_SIZE;
        else
            host_discard(host, run);
        ram_written(space, gpa, run);
        gpa += run;
    }
}

void guest_ram_map(struct guest_ram *ram, struct address_space *space)
{
    address_space_add(space, &ram->low);
    if (ram->high.size)
        address_space_add(space, &ram->high);
}

void guest_ram_destroy(struct guest_ram *ram)
{
    if (!ram->host)
        return;
    munmap(ram->host, ram->size);
    util_close_fd(&ram->fd);
    ram->host = NULL;
}
