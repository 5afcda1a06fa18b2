/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which guest instruction host code belongs to: a list of struct bt_map per block, sorted by place
 * in the host code. It is read only for exceptions and rare accesses, but there is one for every
 * block, so it is packed. An entry is
 *
 *     byte 0    length in bits 3:0, flags in bits 6:4, bit 7: the guest address goes back
 *     number    host bytes since the entry before
 *     number    guest bytes forth or back since then
 *
 * with numbers in groups of seven bits, low ones first, bit 7 set in all but the last.
 * Runs with guest vector registers live. */
#include "engine/bt/bt.h"

#define LENGTH 15u
#define FLAGS_SHIFT 4
#define FLAGS 7u
#define BACK 0x80u

static uint8_t *put_number(uint8_t *to, unsigned number)
{
    for (; number >= 128; number >>= 7)
        *to++ = number | 128;
    *to++ = number;
    return to;
}

static const uint8_t *get_number(const uint8_t *from, unsigned *number)
{
    unsigned shift = 0;
    *number = 0;
    do {
        *number |= (*from & 127u) << shift;
        shift += 7;
    } while (*from++ & 128);
    return from;
}

size_t bt_map_pack(uint8_t *to, const struct bt_map *map, unsigned count)
{
    uint8_t *start = to;
    struct bt_map last = { 0 };
    for (unsigned i = 0; i < count; i++) {
        bool back = map[i].guest < last.guest;
        *to++ = map[i].length | map[i].flags << FLAGS_SHIFT | (back ? BACK : 0);
        to = put_number(to, map[i].host - last.host);
        to = put_number(to, back ? last.guest - map[i].guest : map[i].guest - last.guest);
        last = map[i];
    }
    return to - start;
}

struct bt_map bt_block_map(const struct bt_block *block, const uint8_t *code)
{
    unsigned offset = code - block->code;
    const uint8_t *from = bt_block_packed_map(block);
    struct bt_map map = { 0 };
    for (unsigned i = 0; i < block->map_count; i++) {
        uint8_t head = *from;
        unsigned host, guest;
        from = get_number(from + 1, &host);
        from = get_number(from, &guest);
        if (i && map.host + host > offset)
            break;
        map.host += host;
        map.guest += head & BACK ? -guest : guest;
        map.length = head & LENGTH;
        map.flags = head >> FLAGS_SHIFT & FLAGS;
    }
    return map;
}
