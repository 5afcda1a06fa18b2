/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses: how they are cut for devices, what unmapped addresses give, DMA, and readers that go on
 * while the topology changes. */
#include "memory/memory.h"

#include <pthread.h>
#include <stdatomic.h>

#include "hw/device.h"
#include "tap.h"

/* A device of 32 bytes that writes down how it was accessed: "r4@8 w2@a=beef". */
struct recorder {
    struct device dev;
    GString *log;
    uint8_t bytes[32];
};

static struct recorder recorder;

static uint64_t recorder_read(struct device *dev, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    g_string_append_printf(recorder.log, "r%u@%x ", size, (unsigned)offset);
    if (offset + size <= sizeof(recorder.bytes))
        memcpy(&value, recorder.bytes + offset, size);
    return value;
}

static void recorder_write(struct device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    g_string_append_printf(recorder.log, "w%u@%x=%llx ", size, (unsigned)offset,
                           (unsigned long long)value);
}

struct access_case {
    uint8_t min_size, max_size;
    uint64_t offset;
    unsigned size;
    const char *read, *write; /* of 0x8877665544332211, cut to size */
};

static const struct access_case access_cases[] = {
    { 0, 0, 0, 8, "r8@0 ", "w8@0=8877665544332211 " },
    { 0, 0, 3, 1, "r1@3 ", "w1@3=11 " },
    { 0, 1, 4, 4, "r1@4 r1@5 r1@6 r1@7 ", "w1@4=11 w1@5=22 w1@6=33 w1@7=44 " },
    { 0, 2, 2, 4, "r2@2 r2@4 ", "w2@2=2211 w2@4=4433 " },
    { 0, 4, 6, 4, "r2@6 r2@8 ", "w2@6=2211 w2@8=4433 " }, /* unaligned */
    { 0, 4, 5, 4, "r1@5 r2@6 r1@8 ", "w1@5=11 w2@6=3322 w1@8=44 " },
    { 4, 4, 8, 8, "r4@8 r4@c ", "w4@8=44332211 w4@c=88776655 " },
    { 4, 4, 9, 1, "r4@8 ", "w4@8=1100 " }, /* narrower than the register */
    { 4, 4, 6, 4, "r4@4 r4@8 ", "w4@4=22110000 w4@8=4433 " },
    { 2, 4, 1, 2, "r2@0 r2@2 ", "w2@0=1100 w2@2=22 " },
};

static void test_access_sizes(void)
{
    struct address_space *space = address_space_new("test", 1 << 16);
    for (size_t i = 0; i < sizeof(recorder.bytes); i++)
        recorder.bytes[i] = 0xa0 + i;
    for (size_t i = 0; i < G_N_ELEMENTS(access_cases); i++) {
        const struct access_case *c = &access_cases[i];
        struct region_ops ops = { recorder_read, recorder_write, c->min_size, c->max_size, false };
        struct region region = {
            .name = "r", .base = 0x100, .size = 32, .ops = &ops, .dev = &recorder.dev
        };
        address_space_add(space, &region);
        uint64_t want = 0;
        memcpy(&want, recorder.bytes + c->offset, c->size);
        g_string_truncate(recorder.log, 0);
        uint64_t value = address_space_read(space, 0x100 + c->offset, c->size);
        tap_is(recorder.log->str, c->read, "the pieces of a read");
        tap_ok(value == want, "and its value");
        g_string_truncate(recorder.log, 0);
        address_space_write(space, 0x100 + c->offset, 0x8877665544332211, c->size);
        tap_is(recorder.log->str, c->write, "the pieces of a write");
        address_space_remove(space, &region);
    }
    address_space_free(space);
}

static uint8_t memory[2 * GUEST_PAGE_SIZE] __attribute__((aligned(4096)));

static void test_borders(void)
{
    struct address_space *space = address_space_new("test", 1ull << 52);
    static const struct region_ops ops = { recorder_read, recorder_write, 0, 8, false };
    static const struct region_ops mute = { .max_size = 8 };
    struct region ram = { .kind = REGION_RAM, .base = 0, .size = 4096, .host = memory };
    struct region rom = { .kind = REGION_ROM, .base = 4096, .size = 4096, .host = memory + 4096 };
    struct region io = {
        .name = "io", .base = 8192, .size = 32, .ops = &ops, .dev = &recorder.dev
    };
    struct region last = {
        .name = "last", .base = (1ull << 52) - 8, .size = 8, .ops = &mute, .dev = &recorder.dev
    };
    struct region over = {
        .name = "over", .base = 8193, .size = 1, .ops = &mute, .dev = &recorder.dev, .priority = 1
    };
    address_space_add(space, &ram);
    address_space_add(space, &rom);
    address_space_add(space, &io);
    address_space_add(space, &last);
    address_space_add(space, &over);

    address_space_write(space, 100, 0x1122334455667788, 8);
    tap_ok(address_space_read(space, 102, 4) == 0x33445566, "RAM, not aligned");
    memory[4095] = 0x5a;
    memory[4096] = 0xa5;
    tap_ok(address_space_read(space, 4095, 2) == 0xa55a, "a read across RAM and ROM");
    address_space_write(space, 4095, 0x0102, 2);
    tap_ok(memory[4095] == 0x02 && memory[4096] == 0xa5, "a write changes the RAM half only");
    g_string_truncate(recorder.log, 0);
    address_space_read(space, 8190, 4);
    tap_is(recorder.log->str, "r2@0 ", "a read across ROM and a device");
    g_string_truncate(recorder.log, 0);
    address_space_read(space, 8192, 4);
    tap_is(recorder.log->str, "r4@0 ", "a register whose second byte is another device's");
    g_string_truncate(recorder.log, 0);
    address_space_write(space, 8193, 0x0201, 2);
    tap_is(recorder.log->str, "w1@2=2 ", "which is there for its own accesses");
    tap_ok(address_space_read(space, 8192 + 31, 2) >> 8 == 0xff, "past the device: all ones");
    tap_ok(address_space_read(space, 1 << 20, 8) == UINT64_MAX, "nothing there: all ones");
    address_space_write(space, 1 << 20, 1, 8);
    tap_ok(address_space_read(space, (1ull << 52) - 4, 8) == UINT64_MAX, "across the space's end");

    uint64_t run;
    uint8_t buffer[64] = { 0 };
    tap_ok(!address_space_host(space, 4096, true, &run), "ROM is not writable memory");
    tap_ok(address_space_host(space, 4100, false, &run) == memory + 4100 && run == 4092,
           "but readable");
    tap_ok(!address_space_host(space, 8192, false, &run), "a device is not memory");
    tap_ok(!dma_write(space, 4096, buffer, 1), "DMA does not write ROM");
    tap_ok(!dma_read(space, 8192, buffer, 4), "DMA does not read devices");
    tap_ok(!dma_write(space, UINT64_MAX - 3, buffer, 8), "DMA does not wrap around");
    tap_ok(dma_write(space, 0, buffer, 0), "a transfer of nothing succeeds");
    address_space_free(space);
}

static unsigned changes, written_calls;
static uint64_t written_gpa, written_length;
static uint8_t seen_when_told;

static void on_change(struct address_space *space, void *opaque)
{
    changes++;
}

static void on_written(void *opaque, uint64_t gpa, uint64_t length)
{
    written_calls++;
    written_gpa = gpa;
    written_length = length;
    seen_when_told = memory[gpa];
}

static void test_listeners(void)
{
    struct address_space *space = address_space_new("test", 1 << 20);
    struct region ram = { .kind = REGION_RAM, .base = 0, .size = sizeof(memory), .host = memory };
    address_space_listen(space, &(struct address_space_listener){ .changed = on_change });
    ram_written_listen(space, on_written, NULL);
    address_space_add(space, &ram);
    tap_ok(changes == 1, "listeners hear of a new region");
    uint8_t data[16];
    memset(data, 0xcc, sizeof(data));
    memory[50] = 7;
    tap_ok(dma_write(space, 50, data, 16) && written_calls == 1 && written_gpa == 50
               && written_length == 16,
           "and of DMA");
    tap_ok(seen_when_told == 0xcc, "after it has changed the memory");
    address_space_remove(space, &ram);
    tap_ok(changes == 2 && address_space_read(space, 0, 1) == 0xff, "and of a removal");
    address_space_free(space);
}

static void test_space_over_another(void)
{
    static uint8_t above[4096] __attribute__((aligned(4096)));
    memset(memory, 0x11, sizeof(memory));
    memset(above, 0x22, sizeof(above));
    struct address_space *space = address_space_new("below", 1 << 20);
    struct region ram = { .kind = REGION_RAM, .size = sizeof(memory), .host = memory };
    struct region hidden = { .kind = REGION_RAM, .base = 0x8000, .size = 4096, .host = above };
    address_space_add(space, &ram);
    struct address_space *over = address_space_new_over("over", space);
    tap_ok(address_space_read(over, 0, 1) == 0x11, "a space over another shows what is there");
    changes = 0;
    address_space_listen(over, &(struct address_space_listener){ .changed = on_change });
    address_space_add(over, &hidden);
    tap_ok(address_space_read(over, 0x8000, 1) == 0x22
               && address_space_read(space, 0x8000, 1) == 0xff,
           "and what was added to it, which the one below does not");
    address_space_remove(space, &ram);
    tap_ok(address_space_read(over, 0, 1) == 0xff && address_space_read(over, 0x8000, 1) == 0x22,
           "it follows a removal below");
    ram.base = 0x8000;
    address_space_add(space, &ram);
    tap_ok(address_space_read(over, 0x8000, 1) == 0x22,
           "and hides what comes below with its priority");
    tap_ok(changes == 3, "its listeners hear of all changes");
    address_space_free(over);
    address_space_free(space);
}

static atomic_bool stop;
static struct address_space *shared_space;

static void *reader(void *opaque)
{
    size_t *wrong = opaque;
    while (!atomic_load(&stop)) {
        if (address_space_read(shared_space, 16, 8) != 0x1111111111111111)
            ++*wrong;
        uint64_t overlaid = address_space_read(shared_space, 4096, 8);
        if (overlaid != 0x1111111111111111 && overlaid != 0x2222222222222222)
            ++*wrong;
    }
    return NULL;
}

static void test_concurrent_change(void)
{
    static uint8_t below[2 * 4096] __attribute__((aligned(4096)));
    static uint8_t above[4096] __attribute__((aligned(4096)));
    memset(below, 0x11, sizeof(below));
    memset(above, 0x22, sizeof(above));
    struct region low = { .kind = REGION_RAM, .size = sizeof(below), .host = below };
    struct region high = {
        .kind = REGION_RAM, .base = 4096, .size = 4096, .host = above, .priority = 1
    };
    shared_space = address_space_new("test", 1 << 20);
    address_space_add(shared_space, &low);
    pthread_t threads[2];
    size_t wrong[2] = { 0 };
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, reader, &wrong[i]);
    for (unsigned i = 0; i < 2000; i++) {
        address_space_add(shared_space, &high);
        address_space_remove(shared_space, &high);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    tap_ok(!wrong[0] && !wrong[1], "readers see the old or the new view, 4000 changes long");
    address_space_free(shared_space);
}

int main(void)
{
    recorder.log = g_string_new(NULL);
    pthread_mutex_init(&recorder.dev.lock, NULL);
    test_access_sizes();
    test_borders();
    test_listeners();
    test_space_over_another();
    test_concurrent_change();
    g_string_free(recorder.log, TRUE);
    return tap_done();
}
