/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio/queue.h"

#include "ring.h"

static struct guest_ram ram;
static struct address_space *space;
static unsigned broken;

static void on_broken(struct virtqueue *vq, const char *reason)
{
    broken++;
}

static const struct virtqueue_features plain = { .indirect = true };
static const struct virtqueue_features with_index = { .indirect = true, .event_index = true };
static const struct virtqueue_features packed = { .packed = true, .indirect = true };
static const struct virtqueue_features packed_index = { .packed = true, .event_index = true };

static void set_up(struct ring *ring, struct virtqueue *vq, uint16_t size,
                   struct virtqueue_features features)
{
    memset(ram.host, 0, RING_RAM);
    *ring = (struct ring){
        .space = space,
        .ram = ram.host,
        .size = size,
        .packed = features.packed,
        .wrap = true,
        .used_wrap = true,
    };
    virtqueue_reset(vq);
    vq->size = size;
    vq->descriptor_gpa = RING_TABLE;
    vq->driver_gpa = RING_DRIVER;
    vq->device_gpa = RING_DEVICE;
    broken = 0;
    virtqueue_start(vq, features);
}

static void test_split(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    set_up(&ring, vq, 4, plain);
    tap_ok(!virtqueue_pop(vq, chain) && !broken, "an empty queue has nothing");
    memcpy(ram.host + RING_DATA, "question", 8);
    *ring_split(&ring, 2) = (struct vring_descriptor){ RING_DATA, 8, VRING_NEXT, 1 };
    *ring_split(&ring, 1) =
        (struct vring_descriptor){ RING_DATA + 0x1000, 4, VRING_NEXT | VRING_WRITE, 3 };
    *ring_split(&ring, 3) = (struct vring_descriptor){ RING_DATA + 0x2000, 4, VRING_WRITE, 0 };
    ring_offer(&ring, 2);
    char text[9] = "";
    tap_ok(virtqueue_pop(vq, chain) && chain->out.bytes == 8 && chain->in.bytes == 8
               && chain->in.count == 2 && chain->id == 2,
           "a chain of three");
    dma_list_load(&chain->out, 0, text, 8);
    tap_is(text, "question", "what the driver wrote");
    dma_list_store(&chain->in, 0, "answered", 8);
    virtqueue_push(vq, chain, 8);
    tap_ok(!ring_take(&ring), "not seen before it is published");
    tap_ok(virtqueue_publish(vq), "the driver wants an interrupt");
    const struct vring_used *used = ring_take(&ring);
    tap_ok(used && used->id == 2 && used->length == 8, "used");
    tap_ok(!memcmp(ram.host + RING_DATA + 0x1000, "answ", 4)
               && !memcmp(ram.host + RING_DATA + 0x2000, "ered", 4),
           "written into both buffers");
    tap_ok(!virtqueue_publish(vq), "nothing to publish, no interrupt");
    ring_driver(&ring)[0] = VRING_AVAIL_NO_INTERRUPT;
    ring_offer(&ring, 3);
    virtqueue_pop(vq, chain);
    virtqueue_push(vq, chain, 0);
    tap_ok(!virtqueue_publish(vq) && ring_take(&ring), "no interrupt where none is wanted");
    virtqueue_suppress(vq);
    tap_ok(ring_device(&ring)[0] == VRING_USED_NO_NOTIFY, "kicks suppressed");
    tap_ok(virtqueue_unsuppress(vq) && ring_device(&ring)[0] == 0, "and asked for again");
    virtqueue_suppress(vq);
    ring_offer(&ring, 3);
    tap_ok(!virtqueue_unsuppress(vq), "what came meanwhile is noticed");
    bool first = virtqueue_pop(vq, chain);
    virtqueue_unpop(vq, chain);
    tap_ok(first && virtqueue_pop(vq, chain) && chain->id == 3, "popped again after it was undone");
}

static void test_wrap(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    unsigned good = 0, total = 0x18000;
    set_up(&ring, vq, 8, plain);
    for (unsigned i = 0; i < 8; i++)
        *ring_split(&ring, i) = (struct vring_descriptor){ RING_DATA + i, 1, 0, 0 };
    for (unsigned i = 0; i < total; i++) {
        ring_offer(&ring, i % 8);
        if (!virtqueue_pop(vq, chain))
            break;
        virtqueue_push(vq, chain, 0);
        virtqueue_publish(vq);
        const struct vring_used *used = ring_take(&ring);
        good += used && used->id == i % 8;
    }
    tap_ok(good == total && !broken, "indexes run over 65535");
}

static void test_event_index(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    bool wanted[6];
    set_up(&ring, vq, 8, with_index);
    *ring_split(&ring, 0) = (struct vring_descriptor){ RING_DATA, 1, 0, 0 };
    ring_driver(&ring)[2 + 8] = 2; /* an interrupt when element 2 is used */
    for (unsigned i = 0; i < 6; i++) {
        ring_offer(&ring, 0);
        virtqueue_pop(vq, chain);
        virtqueue_push(vq, chain, 0);
        wanted[i] = virtqueue_publish(vq);
    }
    tap_ok(!wanted[0] && !wanted[1] && wanted[2] && !wanted[3] && !wanted[5],
           "one interrupt, at the index the driver named");
    tap_ok(virtqueue_unsuppress(vq) && ring_device(&ring)[2 + 4 * 8] == 6,
           "the driver is told at which index to kick");
    ring_driver(&ring)[2 + 8] = 7;
    for (unsigned i = 0; i < 4; i++) {
        ring_offer(&ring, 0);
        virtqueue_pop(vq, chain);
        virtqueue_push(vq, chain, 0);
    }
    tap_ok(virtqueue_publish(vq), "an index inside a batch counts");
}

static void test_indirect(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    struct vring_descriptor *table = (void *)(ram.host + 0x30000);
    set_up(&ring, vq, 4, plain);
    for (unsigned i = 0; i < 10; i++) /* more than the queue has entries */
        table[i] = (struct vring_descriptor){ RING_DATA + 0x100 * i, 16,
                                              i < 9 ? VRING_NEXT : VRING_WRITE, i + 1 };
    *ring_split(&ring, 1) = (struct vring_descriptor){ 0x30000, 160, VRING_INDIRECT, 0 };
    *ring_split(&ring, 0) = (struct vring_descriptor){ RING_DATA + 0x8000, 4, VRING_NEXT, 1 };
    ring_offer(&ring, 1);
    tap_ok(virtqueue_pop(vq, chain) && chain->out.count == 9 && chain->in.count == 1,
           "an indirect table");
    ring_offer(&ring, 0);
    tap_ok(virtqueue_pop(vq, chain) && chain->out.count == 10 && chain->out.iov[0].iov_len == 4,
           "one after a direct descriptor");
}

/* A ring of one request that is wrong in one way. */
struct bad {
    const char *name;
    struct vring_descriptor direct[4], table[4];
    uint16_t head;
    uint16_t jump; /* added to the available index */
};

#define D(...) \
    { \
        __VA_ARGS__ \
    }
static const struct bad bad_rings[] = {
    { "a loop of two",
      { D(RING_DATA, 1, VRING_NEXT, 1), D(RING_DATA, 1, VRING_NEXT, 0) },
      .head = 0 },
    { "a loop to itself", { D(RING_DATA, 1, VRING_NEXT, 0) } },
    { "a head beyond the table", .head = 4 },
    { "a next beyond the table", { D(RING_DATA, 1, VRING_NEXT, 4) } },
    { "no bytes", { D(RING_DATA, 0, 0, 0) } },
    { "a buffer to read after one to write",
      { D(RING_DATA, 1, VRING_NEXT | VRING_WRITE, 1), D(RING_DATA, 1, 0, 0) } },
    { "a buffer beyond RAM", { D(RING_RAM, 1, 0, 0) } },
    { "a buffer over the end of RAM", { D(RING_RAM - 8, 16, VRING_WRITE, 0) } },
    { "a buffer that wraps around", { D(UINT64_MAX - 3, 16, 0, 0) } },
    { "a buffer larger than memory", { D(RING_DATA, UINT32_MAX, VRING_WRITE, 0) } },
    { "an index jump", { D(RING_DATA, 1, 0, 0) }, .jump = 4 },
    { "an index step back", { D(RING_DATA, 1, 0, 0) }, .jump = 0xfffe },
    { "an indirect table of no bytes", { D(0x30000, 0, VRING_INDIRECT, 0) } },
    { "an indirect table of half a descriptor", { D(0x30000, 24, VRING_INDIRECT, 0) } },
    { "an indirect table beyond RAM", { D(RING_RAM, 16, VRING_INDIRECT, 0) } },
    { "an indirect table over the end of RAM", { D(RING_RAM - 16, 32, VRING_INDIRECT, 0) } },
    { "an indirect descriptor with a next one",
      { D(0x30000, 16, VRING_INDIRECT | VRING_NEXT, 1) } },
    { "an indirect table inside another",
      { D(0x30000, 64, VRING_INDIRECT, 0) },
      { D(0x30000, 64, VRING_INDIRECT, 0) } },
    { "a loop inside an indirect table",
      { D(0x30000, 64, VRING_INDIRECT, 0) },
      { D(RING_DATA, 1, VRING_NEXT, 0) } },
    { "a next beyond an indirect table",
      { D(0x30000, 64, VRING_INDIRECT, 0) },
      { D(RING_DATA, 1, VRING_NEXT, 4) } },
    { "an indirect table of a megabyte of loops",
      { D(0x30000, 16 * 65536, VRING_INDIRECT, 0) },
      { D(RING_DATA, 1, VRING_NEXT, 0) } },
    { "an indirect table too large to index", { D(0x30000, 16 * 65537, VRING_INDIRECT, 0) } },
};

static void test_bad_split(struct virtqueue *vq, struct vq_chain *chain)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_rings); i++) {
        const struct bad *bad = &bad_rings[i];
        struct ring ring;
        set_up(&ring, vq, 4, plain);
        memcpy(ram.host + RING_TABLE, bad->direct, sizeof(bad->direct));
        memcpy(ram.host + 0x30000, bad->table, sizeof(bad->table));
        ring_offer(&ring, bad->head);
        ring_driver(&ring)[1] += bad->jump;
        bool popped = false;
        for (unsigned n = 0; n < 8 && !broken; n++)
            popped = virtqueue_pop(vq, chain);
        tap_ok(broken == 1 && !popped && !virtqueue_pop(vq, chain) && broken == 1,
               "split ring with %s: refused once, for good", bad->name);
    }
}

static void test_packed(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    set_up(&ring, vq, 5, packed); /* no power of two needed */
    tap_ok(!virtqueue_pop(vq, chain) && !broken, "an empty packed queue has nothing");
    unsigned good = 0;
    for (unsigned i = 0; i < 1000; i++) {
        unsigned place = ring.available;
        bool wrap = ring.wrap;
        ring_offer_packed(&ring, RING_DATA, 4, 7, VRING_NEXT);
        ring_offer_packed(&ring, RING_DATA + 0x1000, 4, i % 100, VRING_WRITE);
        if (!virtqueue_pop(vq, chain) || chain->out.bytes != 4 || chain->in.bytes != 4
            || virtqueue_has_available(vq))
            break;
        virtqueue_push(vq, chain, 4);
        bool interrupt = virtqueue_publish(vq);
        const struct vring_packed_descriptor *used = ring_packed(&ring, place);
        uint16_t flags = used->flags & (VRING_PACKED_AVAILABLE | VRING_PACKED_USED);
        good += interrupt && used->id == i % 100 && used->length == 4
                && flags == (wrap ? VRING_PACKED_AVAILABLE | VRING_PACKED_USED : 0);
    }
    tap_ok(good == 1000 && !broken, "two descriptors a request, around the ring 400 times");
    ring_driver(&ring)[1] = VRING_EVENTS_DISABLE;
    ring_offer_packed(&ring, RING_DATA, 4, 1, 0);
    virtqueue_pop(vq, chain);
    virtqueue_push(vq, chain, 0);
    tap_ok(!virtqueue_publish(vq), "no interrupt where none is wanted");
    virtqueue_suppress(vq);
    tap_ok(ring_device(&ring)[1] == VRING_EVENTS_DISABLE, "kicks suppressed");
    tap_ok(virtqueue_unsuppress(vq) && ring_device(&ring)[1] == VRING_EVENTS_ENABLE, "and not");
}

static void test_packed_batch(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    struct vq_chain second = { 0 };
    vq_chain_init(&second, space);
    set_up(&ring, vq, 8, packed_index);
    ring_offer_packed(&ring, RING_DATA, 4, 10, 0);
    ring_offer_packed(&ring, RING_DATA, 4, 11, 0);
    bool popped = virtqueue_pop(vq, chain) && virtqueue_pop(vq, &second);
    ring_driver(&ring)[0] = 1 | 1 << 15; /* place 1 in the first lap */
    ring_driver(&ring)[1] = VRING_EVENTS_DESCRIPTOR;
    uint16_t before = ring_packed(&ring, 0)->flags;
    virtqueue_push(vq, &second, 0);
    virtqueue_push(vq, chain, 0);
    tap_ok(popped && ring_packed(&ring, 0)->flags == before
               && ring_packed(&ring, 1)->flags & VRING_PACKED_USED,
           "the first element of a batch is made visible last");
    tap_ok(virtqueue_publish(vq) && ring_packed(&ring, 0)->flags & VRING_PACKED_USED
               && ring_packed(&ring, 0)->id == 11 && ring_packed(&ring, 1)->id == 10,
           "an interrupt for the place the driver named; out of order");
    ring_offer_packed(&ring, RING_DATA, 4, 12, 0);
    virtqueue_pop(vq, chain);
    virtqueue_push(vq, chain, 0);
    tap_ok(!virtqueue_publish(vq), "none for a later one");
    virtqueue_unsuppress(vq);
    tap_ok(ring_device(&ring)[1] == VRING_EVENTS_DESCRIPTOR
               && ring_device(&ring)[0] == (3 | 1 << 15),
           "the driver is told at which place to kick");
    vq_chain_destroy(&second);
}

static void test_bad_packed(struct virtqueue *vq, struct vq_chain *chain)
{
    static const struct {
        const char *name;
        uint64_t address;
        uint32_t length;
        uint16_t flags;
    } rows[] = {
        { "no bytes", RING_DATA, 0, 0 },
        { "a buffer beyond RAM", RING_RAM, 1, 0 },
        { "a chain through the whole ring", RING_DATA, 1, VRING_NEXT },
        { "an indirect descriptor with a next one", 0x30000, 16, VRING_INDIRECT | VRING_NEXT },
        { "an indirect table of 5 bytes", 0x30000, 5, VRING_INDIRECT },
        { "an indirect table of empty descriptors", 0x30000, 32, VRING_INDIRECT },
        { "an indirect table that is too long", 0x30000, 16 * 1025, VRING_INDIRECT },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct ring ring;
        set_up(&ring, vq, 4, packed);
        for (unsigned n = 0; n < 4; n++)
            ring_offer_packed(&ring, rows[i].address, rows[i].length, 0, rows[i].flags);
        tap_ok(!virtqueue_pop(vq, chain) && broken == 1, "packed ring with %s: refused",
               rows[i].name);
    }
    struct ring ring;
    set_up(&ring, vq, 4, packed);
    for (unsigned n = 0; n < 4; n++)
        ring_offer_packed(&ring, RING_DATA, 1, n, 0);
    for (unsigned n = 0; n < 4; n++)
        virtqueue_pop(vq, chain);
    ring_offer_packed(&ring, RING_DATA, 1, 9, 0); /* while all places are in use */
    tap_ok(!broken && !virtqueue_pop(vq, chain) && broken == 1, "a place that is in use: refused");
}

static void test_places(struct virtqueue *vq)
{
    static const struct {
        const char *name;
        uint16_t size;
        uint64_t descriptors, driver, device;
        bool packed, good;
    } rows[] = {
        { "everything in RAM", 8, RING_TABLE, RING_DRIVER, RING_DEVICE, false, true },
        { "descriptors beyond RAM", 8, RING_RAM, RING_DRIVER, RING_DEVICE, false, false },
        { "descriptors over the end", 8, RING_RAM - 64, RING_DRIVER, RING_DEVICE, false, false },
        { "the available ring at the top", 8, RING_TABLE, UINT64_MAX - 1, RING_DEVICE, false,
          false },
        { "a used ring over the end", 8, RING_TABLE, RING_DRIVER, RING_RAM - 64, false, false },
        { "an odd table", 8, RING_TABLE + 8, RING_DRIVER, RING_DEVICE, false, false },
        { "an odd used ring", 8, RING_TABLE, RING_DRIVER, RING_DEVICE + 2, false, false },
        { "no entries", 0, RING_TABLE, RING_DRIVER, RING_DEVICE, false, false },
        { "7 entries", 7, RING_TABLE, RING_DRIVER, RING_DEVICE, false, false },
        { "7 packed entries", 7, RING_TABLE, RING_DRIVER, RING_DEVICE, true, true },
        { "2048 entries", 2048, RING_TABLE, RING_DRIVER, RING_DEVICE, false, false },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        virtqueue_reset(vq);
        broken = 0;
        vq->size = rows[i].size;
        vq->descriptor_gpa = rows[i].descriptors;
        vq->driver_gpa = rows[i].driver;
        vq->device_gpa = rows[i].device;
        bool good = virtqueue_start(vq, rows[i].packed ? packed : plain);
        tap_ok(good == rows[i].good && broken == !good, "a queue with %s: %s", rows[i].name,
               rows[i].good ? "works" : "refused");
    }
}

static void test_reset(struct virtqueue *vq, struct vq_chain *chain)
{
    struct ring ring;
    set_up(&ring, vq, 4, plain);
    *ring_split(&ring, 0) = (struct vring_descriptor){ RING_DATA, 1, VRING_WRITE, 0 };
    ring_offer(&ring, 0);
    tap_ok(virtqueue_pop(vq, chain), "a request in flight");
    struct ring again;
    set_up(&again, vq, 4, plain);
    virtqueue_push(vq, chain, 1);
    tap_ok(!virtqueue_publish(vq) && !ring_take(&again), "is void after a reset");
}

int main(void)
{
    struct virtqueue vq = { 0 };
    struct vq_chain chain = { 0 };
    space = address_space_new("memory", 1ull << 52);
    if (!tap_ok(guest_ram_init(&ram, RING_RAM, RING_RAM, NULL), "memory"))
        return tap_done();
    guest_ram_map(&ram, space);
    virtqueue_init(&vq, space, on_broken, NULL);
    vq_chain_init(&chain, space);
    test_split(&vq, &chain);
    test_wrap(&vq, &chain);
    test_event_index(&vq, &chain);
    test_indirect(&vq, &chain);
    test_bad_split(&vq, &chain);
    test_packed(&vq, &chain);
    test_packed_batch(&vq, &chain);
    test_bad_packed(&vq, &chain);
    test_places(&vq);
    test_reset(&vq, &chain);
    vq_chain_destroy(&chain);
    address_space_free(space);
    guest_ram_destroy(&ram);
    return tap_done();
}
