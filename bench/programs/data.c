/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User workloads on data structures: sorting and hashing. */
#include "ybench.h"

#include <string.h>

/* ---- sort: quicksort and heap sort of 32-bit integers ---------------------------------------- */

enum { SORT_COUNT = 20000, INSERTION_LIMIT = 12 };

static void sort_insertion(uint32_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t value = values[i];
        size_t k = i;

        for (; k > 0 && values[k - 1] > value; k--)
            values[k] = values[k - 1];
        values[k] = value;
    }
}

static void sort_quick(uint32_t *values, size_t count)
{
    while (count > INSERTION_LIMIT) {
        uint32_t pivot = values[count / 2];
        size_t low = 0, high = count - 1;

        for (;;) {
            while (values[low] < pivot)
                low++;
            while (values[high] > pivot)
                high--;
            if (low >= high)
                break;
            uint32_t swapped = values[low];
            values[low++] = values[high];
            values[high--] = swapped;
        }
        sort_quick(values, low);
        values += low;
        count -= low;
    }
    sort_insertion(values, count);
}

static void heap_sink(uint32_t *heap, size_t at, size_t count)
{
    uint32_t value = heap[at];

    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= value)
            break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

static void sort_heap(uint32_t *values, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        heap_sink(values, i, count);
    for (size_t last = count; last-- > 1;) {
        uint32_t largest = values[0];

        values[0] = values[last];
        values[last] = largest;
        heap_sink(values, 0, last);
    }
}

static uint64_t sort_run(uint64_t iterations)
{
    static uint32_t quick[SORT_COUNT], heap[SORT_COUNT];
    uint64_t state = 3, checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t before = 0, after = 0;

        for (size_t k = 0; k < SORT_COUNT; k++) {
            quick[k] = heap[k] = lcg_next(&state) >> 32;
            before += quick[k];
        }
        sort_quick(quick, SORT_COUNT);
        sort_heap(heap, SORT_COUNT);
        for (size_t k = 0; k < SORT_COUNT; k++) {
            after += quick[k];
            verify_that(k == 0 || quick[k - 1] <= quick[k], "quicksort left item %zu out of order",
                        k);
        }
        verify_that(before == after, "quicksort lost an item");
        verify_that(memcmp(quick, heap, sizeof(quick)) == 0, "heap sort and quicksort disagree");
        checksum = checksum_add(checksum, quick[SORT_COUNT / 3] + before);
    }
    return checksum;
}

const struct workload sort_workload = {
    .name = "sort",
    .set = SET_USER,
    .iterations = 35,
    .about = "quicksort and heap sort of random integers",
    .run = sort_run,
};

/* ---- hash: SHA-256 (FIPS 180-4, section 6.2) and an open-addressing hash table --------------- */

enum { SHA_BLOCK = 64, TABLE_SLOTS = 1 << 13, TABLE_KEYS = 5000 };

static const uint32_t sha_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
static const uint32_t sha_start[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t rotate(uint32_t value, unsigned by)
{
    return value >> by | value << (32 - by);
}

static void sha_block(uint32_t hash[8], const uint8_t block[SHA_BLOCK])
{
    uint32_t w[64], s[8];

    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16
               | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7]
               + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, hash, sizeof(s));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
        uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choice
                      + sha_constants[i] + w[i];
        uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;

        memmove(s + 1, s, 7 * sizeof(s[0]));
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        hash[i] += s[i];
}

/* The one-block message "abc" of the standard's example, padded. */
static void hash_prepare(void)
{
    static const uint32_t expected[8] = {
        0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
        0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad,
    };
    uint8_t block[SHA_BLOCK] = { 'a', 'b', 'c', 0x80, [63] = 24 };
    uint32_t hash[8];

    memcpy(hash, sha_start, sizeof(hash));
    sha_block(hash, block);
    verify_that(memcmp(hash, expected, sizeof(hash)) == 0, "SHA-256 of 'abc' is wrong");
}

static uint64_t sha_run(unsigned blocks)
{
    uint8_t block[SHA_BLOCK] = { 0 };
    uint32_t hash[8];

    memcpy(hash, sha_start, sizeof(hash));
    for (unsigned i = 0; i < blocks; i++) {
        memcpy(block, hash, sizeof(hash));
        sha_block(hash, block);
    }
    return (uint64_t)hash[0] << 32 | hash[7];
}

struct slot {
    uint64_t key; /* zero: free */
    uint64_t value;
};
static struct slot table[TABLE_SLOTS];

static struct slot *table_find(uint64_t key)
{
    size_t at = key * 0x9e3779b97f4a7c15ull >> 51;

    while (table[at].key && table[at].key != key)
        at = (at + 1) % TABLE_SLOTS;
    return &table[at];
}

static uint64_t table_run(uint64_t seed)
{
    uint64_t state = seed, sum = 0;

    memset(table, 0, sizeof(table));
    for (unsigned i = 0; i < TABLE_KEYS; i++) {
        uint64_t key = lcg_next(&state) | 1;
        struct slot *slot = table_find(key);

        slot->key = key;
        slot->value = i;
    }
    state = seed;
    for (unsigned i = 0; i < TABLE_KEYS; i++) {
        uint64_t key = lcg_next(&state) | 1;

        sum += table_find(key)->value;
        sum += table_find(key ^ 2)->key != 0;
    }
    return sum;
}

static uint64_t hash_run(uint64_t iterations)
{
    uint64_t checksum = 0;

    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t sum = table_run(i);

        verify_that(sum == (uint64_t)TABLE_KEYS * (TABLE_KEYS - 1) / 2,
                    "the hash table lost a key (%llu)", (unsigned long long)sum);
        checksum = checksum_add(checksum, sha_run(500) + sum);
    }
    return checksum;
}

const struct workload hash_workload = {
    .name = "hash",
    .set = SET_USER,
    .iterations = 230,
    .about = "SHA-256 in plain C, and a hash table",
    .prepare = hash_prepare,
    .run = hash_run,
};
