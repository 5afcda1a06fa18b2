/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User workloads on memory: the C library's block and string functions, and a pointer chase. */
#include "ybench.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- memcpy: memcpy, memset, strlen, memcmp of the C library --------------------------------- */

enum { BUFFER = 1 << 18, SMALL_COPIES = 2000, STRINGS = 400 };

static uint8_t source[BUFFER], target[BUFFER];
static char text[STRINGS][256];
static uint64_t text_length;

/* Called through pointers that the compiler cannot see through: else it would expand small copies
 * inline and compute lengths itself. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static size_t (*volatile length_of)(const char *) = strlen;
static int (*volatile compare)(const void *, const void *, size_t) = memcmp;

static void memcpy_prepare(void)
{
    uint64_t state = 13;

    for (size_t i = 0; i < BUFFER; i++)
        source[i] = lcg_next(&state) >> 56;
    text_length = 0;
    for (unsigned i = 0; i < STRINGS; i++) {
        size_t length = lcg_next(&state) >> 56;

        memset(text[i], 'a' + i % 26, length);
        text[i][length] = 0;
        text_length += length;
    }
}

static uint64_t memcpy_run(uint64_t iterations)
{
    uint64_t state = 17, checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t length = 0;

        copy(target, source, BUFFER);
        for (unsigned k = 0; k < SMALL_COPIES; k++) {
            uint64_t random = lcg_next(&state);
            size_t size = random >> 57, from = random >> 32 & 0xffff, to = random >> 16 & 0xffff;

            copy(target + to, source + from, size);
            verify_that(target[to + size / 2] == source[from + size / 2] || size == 0,
                        "a copy of %zu bytes lost its middle", size);
        }
        for (unsigned k = 0; k < STRINGS; k++)
            length += length_of(text[k]);
        verify_that(length == text_length, "strlen added up to %llu, not %llu",
                    (unsigned long long)length, (unsigned long long)text_length);
        checksum = checksum_add(checksum, target[i % BUFFER]);
        copy(target, source, BUFFER);
        verify_that(compare(target, source, BUFFER) == 0, "memcpy of %d bytes is wrong", BUFFER);
    }
    return checksum;
}

const struct workload memcpy_workload = {
    .name = "memcpy",
    .set = SET_USER,
    .iterations = 2800,
    .about = "memcpy (small and 256 KiB), strlen, memcmp of the C library",
    .prepare = memcpy_prepare,
    .run = memcpy_run,
};

/* ---- chase: one random cycle through 64 MiB -------------------------------------------------- */

enum { NODE_COUNT = 1 << 20 };

/* One per cache line, so that every step misses the caches and nearly all of the TLBs. */
struct node {
    struct node *next;
    uint64_t order; /* steps from node 0 */
} __attribute__((aligned(64)));
static struct node *nodes;

static void chase_prepare(void)
{
    uint64_t state = 19;

    nodes = mmap(NULL, NODE_COUNT * sizeof(*nodes), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (nodes == MAP_FAILED)
        die("cannot get 64 MiB for the pointer chase: %s", strerror(errno));
    /* Kernels differ in when they use huge pages: all get small ones. */
    madvise(nodes, NODE_COUNT * sizeof(*nodes), MADV_NOHUGEPAGE);

    /* Sattolo's shuffle gives a permutation that is one single cycle. `order` holds it until the
     * nodes are linked. */
    for (uint64_t i = 0; i < NODE_COUNT; i++)
        nodes[i].order = i;
    for (uint64_t i = NODE_COUNT - 1; i > 0; i--) {
        uint64_t other = (lcg_next(&state) >> 32) % i;
        uint64_t swapped = nodes[i].order;

        nodes[i].order = nodes[other].order;
        nodes[other].order = swapped;
    }
    for (uint64_t i = 0; i < NODE_COUNT; i++)
        nodes[i].next = &nodes[nodes[i].order];
    struct node *node = nodes;
    for (uint64_t i = 0; i < NODE_COUNT; i++, node = node->next)
        node->order = i;
}

static uint64_t chase_run(uint64_t iterations)
{
    const struct node *node = nodes;

    for (uint64_t i = 0; i < iterations; i++)
        node = node->next;
    return node->order;
}

static void chase_verify(uint64_t iterations, uint64_t checksum)
{
    verify_that(checksum == iterations % NODE_COUNT, "the chase ended at node %llu",
                (unsigned long long)checksum);
}

const struct workload chase_workload = {
    .name = "chase",
    .set = SET_USER,
    .iterations = 600000,
    .about = "dependent loads along a random cycle through 64 MiB",
    .prepare = chase_prepare,
    .run = chase_run,
    .verify = chase_verify,
};
