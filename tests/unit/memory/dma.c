/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory/dma.h"

#include <string.h>

#include "tap.h"

#define LOW (1u << 20)
#define HIGH (1ull << 32)

static uint64_t told_gpa[8], told_length[8];
static uint8_t told_first[8]; /* what the listener saw there */
static unsigned told;

static void listener(void *opaque, uint64_t gpa, uint64_t length)
{
    uint64_t run;
    const uint8_t *host = address_space_host(opaque, gpa, false, &run);
    if (told < G_N_ELEMENTS(told_gpa)) {
        told_gpa[told] = gpa;
        told_length[told] = length;
        told_first[told] = host ? *host : 0;
    }
    told++;
}

static void test_building(struct address_space *space)
{
    struct dma_list list;
    dma_list_init(&list, space);
    tap_ok(dma_list_add(&list, 0x1000, 0x800, true) && dma_list_add(&list, 0x1800, 0x800, true)
               && list.count == 1 && list.bytes == 0x1000,
           "neighbours are joined");
    tap_ok(dma_list_add(&list, HIGH, 16, true) && list.count == 2, "far ones are not");
    tap_ok(!dma_list_add(&list, LOW - 8, 16, true) && list.count == 2 && list.bytes == 0x1010,
           "a range that leaves RAM is refused and leaves the list alone");
    tap_ok(!dma_list_add(&list, UINT64_MAX - 7, 16, true), "one that wraps around too");
    dma_list_clear(&list);
    tap_ok(!list.count && !list.bytes, "cleared");
    for (unsigned i = 0; i < 100; i++)
        dma_list_add(&list, 0x2000 + i * 512, 256, true);
    tap_ok(list.count == 100 && list.bytes == 25600 && list.gpa[99] == 0x2000 + 99 * 512,
           "a hundred parts");
    dma_list_destroy(&list);
}

static void test_copies(struct address_space *space)
{
    struct dma_list list;
    dma_list_init(&list, space);
    dma_list_add(&list, 0x3000, 4, true);
    dma_list_add(&list, HIGH + 0x100, 4, true);
    dma_list_add(&list, 0x5000, 4, true);
    told = 0;
    tap_ok(dma_list_store(&list, 2, "abcdefgh", 8) == 8, "stored over three parts");
    tap_ok(told == 3 && told_gpa[0] == 0x3002 && told_length[0] == 2 && told_gpa[1] == HIGH + 0x100
               && told_length[1] == 4 && told_gpa[2] == 0x5000 && told_length[2] == 2,
           "each part was told");
    tap_ok(told_first[0] == 'a' && told_first[1] == 'c' && told_first[2] == 'g',
           "after it was written");
    char back[16] = "";
    tap_ok(dma_list_load(&list, 3, back, sizeof(back)) == 9 && !memcmp(back, "bcdefgh", 7),
           "loaded to where the list ends");
    told = 0;
    dma_list_written(&list, 6);
    tap_ok(told == 2 && told_length[0] == 4 && told_length[1] == 2, "the first six bytes are told");
    tap_ok(dma_list_load(&list, 12, back, 1) == 0, "nothing is behind the end");
    dma_list_destroy(&list);
}

static void test_write_tells_after(struct address_space *space)
{
    told = 0;
    dma_write(space, 0x6000, "xyz", 3);
    tap_ok(told == 1 && told_gpa[0] == 0x6000 && told_first[0] == 'x',
           "dma_write() tells when the bytes are there");
}

int main(void)
{
    struct guest_ram ram;
    struct address_space *space = address_space_new("memory", 1ull << 52);
    if (!tap_ok(guest_ram_init(&ram, 2 * LOW, LOW, NULL), "memory with a hole"))
        return tap_done();
    guest_ram_map(&ram, space);
    ram_written_listen(space, listener, space);
    test_building(space);
    test_copies(space);
    test_write_tells_after(space);
    address_space_free(space);
    guest_ram_destroy(&ram);
    return tap_done();
}
