/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM: one memfd (or file), mapped once, shared, and by default neither reserved nor touched.
 *
 * Shared and file backed, so that other processes can be given it (vhost-user, later) and the
 * translator can map parts of it again. The two regions are the part below the hole for devices
 * under 4 GiB and the rest, which starts at 4 GiB. */
#include "memory/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* A nameless file, the file of this path, or one in this folder that has no name any more. */
static int ram_file_open(const struct guest_ram_options *options, GError **error)
{
    const char *path = options->path;
    int fd;
    if (!path) {
        unsigned flags = MFD_CLOEXEC | (options->hugetlb ? MFD_HUGETLB : 0);
        if (options->hugetlb && options->hugetlb_bytes)
            flags |= (unsigned)__builtin_ctzll(options->hugetlb_bytes) << MFD_HUGE_SHIFT;
        fd = memfd_create("yado-ram", flags);
        if (fd < 0)
            fail_errno(error, "cannot create guest memory");
        return fd;
    }
    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_autofree char *name = g_build_filename(path, "yado-ram-XXXXXX", NULL);
        fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlink(name);
    } else {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    }
    if (fd < 0)
        fail_errno(error, "can't open backing store %s for guest RAM", path);
    return fd;
}

/* A file that is large enough already is not cut. */
static bool ram_file_resize(int fd, uint64_t size, const struct guest_ram_options *options,
                            GError **error)
{
    struct stat info;
    if (fstat(fd, &info) == 0 && info.st_size >= (off_t)size)
        return true;
    if (options->path && info.st_size > 0)
        return fail(error,
                    "backing store %s size 0x%" PRIx64
                    " does not match the memory's size 0x%" PRIx64,
                    options->path, (uint64_t)info.st_size, size);
    return ftruncate(fd, size) == 0
           || fail_errno(error, "cannot make guest memory of %" PRIu64 " MiB", size >> 20);
}

static bool ram_treat(void *host, uint64_t size, const struct guest_ram_options *options,
                      GError **error)
{
    if (options->policy
        && syscall(SYS_mbind, host, size, options->policy, &options->host_nodes,
                   8 * sizeof(options->host_nodes) + 1, 0))
        return fail_errno(error, "cannot bind memory to host NUMA nodes");
    if (options->merge)
        madvise(host, size, MADV_MERGEABLE); /* hosts without KSM refuse */
    if (!options->dump)
        madvise(host, size, MADV_DONTDUMP);
    if (options->prealloc && madvise(host, size, MADV_POPULATE_WRITE))
        return fail_errno(error, "preallocating %" PRIu64 " MiB of guest memory failed",
                          size >> 20);
    if (options->lock && mlock(host, size))
        return fail_errno(error, "locking %" PRIu64 " MiB of guest memory failed", size >> 20);
    return true;
}

bool guest_ram_init(struct guest_ram *ram, uint64_t size, uint64_t below_4g_limit, GError **error)
{
    static const struct guest_ram_options plain = { .merge = true, .dump = true };
    return guest_ram_init_from(ram, size, below_4g_limit, &plain, error);
}

bool guest_ram_init_from(struct guest_ram *ram, uint64_t size, uint64_t below_4g_limit,
                         const struct guest_ram_options *options, GError **error)
{
    memset(ram, 0, sizeof(*ram));
    ram->fd = -1;
    if (size == 0 || size % GUEST_PAGE_SIZE)
        return fail(error, "memory size %" PRIu64 " is not a multiple of %u bytes above zero", size,
                    GUEST_PAGE_SIZE);
    if (size > INT64_MAX)
        return fail(error, "memory size %" PRIu64 " is more than a file can hold", size);

    auto_close int fd = ram_file_open(options, error);
    if (fd < 0 || !ram_file_resize(fd, size, options, error))
        return false;
    /* A file that nobody can name any more needs no protection from the guest's writes. */
    bool is_private =
        options->path && !options->share && !g_file_test(options->path, G_FILE_TEST_IS_DIR);
    void *host = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      (is_private ? MAP_PRIVATE : MAP_SHARED) | MAP_NORESERVE, fd, 0);
    if (host == MAP_FAILED)
        return fail_errno(error, "cannot map guest memory of %" PRIu64 " MiB", size >> 20);
    if (!ram_treat(host, size, options, error)) {
        munmap(host, size);
        return false;
    }
    /* Who writes to the file instead of the mapping would change the user's. */
    ram->fd = is_private ? -1 : take_fd(&fd);
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
