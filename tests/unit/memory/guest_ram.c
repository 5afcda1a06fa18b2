/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/memory.h"

#include <sys/stat.h>

#include "tap.h"

static void test_refused(uint64_t size, const char *name)
{
    struct guest_ram ram;
    g_autoptr(GError) error = NULL;
    bool made = guest_ram_init(&ram, size, 3ull << 30, &error);
    tap_ok(!made && error && error->message[0], "%s is refused", name);
    guest_ram_destroy(&ram);
}

static void test_layout(void)
{
    struct guest_ram ram;
    g_autoptr(GError) error = NULL;
    uint64_t limit = 1 << 20, size = 3 << 20, run = 0;
    if (!tap_ok(guest_ram_init(&ram, size, limit, &error), "3 MiB with a hole after the first"))
        return;
    struct address_space *space = address_space_new("memory", 1ull << 52);
    guest_ram_map(&ram, space);
    tap_ok(address_space_host(space, 0, true, &run) == ram.host && run == limit,
           "the low part is at zero");
    tap_ok(!address_space_host(space, limit, true, &run), "after it there is nothing");
    tap_ok(address_space_host(space, 1ull << 32, true, &run) == ram.host + limit
               && run == size - limit,
           "the rest is at 4 GiB");
    tap_ok(!address_space_host(space, (1ull << 32) + size - limit, false, &run),
           "and ends where RAM ends");
    struct stat st;
    tap_ok(fstat(ram.fd, &st) == 0 && (uint64_t)st.st_size == size && st.st_blocks == 0,
           "nothing of it was touched");
    uint32_t value = 0x12345678, back = 0;
    tap_ok(!dma_write(space, limit - 2, &value, 4), "DMA across the hole is refused");
    tap_ok(dma_write(space, (1ull << 32) + 4, &value, 4)
               && dma_read(space, (1ull << 32) + 4, &back, 4) && back == value,
           "DMA above 4 GiB");
    address_space_free(space);
    guest_ram_destroy(&ram);
}

int main(void)
{
    test_refused(0, "no memory");
    test_refused(4097, "half a page");
    test_refused(1ull << 62, "more than an address space");
    test_refused(UINT64_MAX & ~4095ull, "more than a file");
    test_layout();
    return tap_done();
}
