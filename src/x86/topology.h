/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a machine's processors are arranged, and the APIC ids that follow: each level has as many
 * bits of the id as its count needs, threads the lowest (Intel SDM vol. 3, 9.9.1). Where a count is
 * not a power of two, ids have gaps. */
#ifndef YADO_X86_TOPOLOGY_H
#define YADO_X86_TOPOLOGY_H

#include "util/util.h"

struct x86_topology {
    unsigned sockets, dies, cores, threads; /* per machine, socket, die, core; at least 1 each */
};

static inline unsigned x86_topology_bits(unsigned count)
{
    return count > 1 ? 32 - __builtin_clz(count - 1) : 0;
}

/* Bits of the APIC id below the core's, the die's, the socket's number. */
static inline unsigned x86_core_shift(const struct x86_topology *topology)
{
    return x86_topology_bits(topology->threads);
}
static inline unsigned x86_die_shift(const struct x86_topology *topology)
{
    return x86_core_shift(topology) + x86_topology_bits(topology->cores);
}
static inline unsigned x86_socket_shift(const struct x86_topology *topology)
{
    return x86_die_shift(topology) + x86_topology_bits(topology->dies);
}

/* The APIC id of the CPU with this index. */
static inline unsigned x86_apic_id(const struct x86_topology *t, unsigned index)
{
    unsigned thread = index % t->threads, core = index / t->threads % t->cores;
    unsigned die = index / (t->threads * t->cores) % t->dies;
    unsigned socket = index / (t->threads * t->cores * t->dies);
    return socket << x86_socket_shift(t) | die << x86_die_shift(t) | core << x86_core_shift(t)
           | thread;
}

/* And back: UINT32_MAX if no CPU can have this id. There may be fewer CPUs than the result says. */
static inline unsigned x86_apic_index(const struct x86_topology *t, unsigned id)
{
    unsigned thread = id & ((1u << x86_core_shift(t)) - 1);
    unsigned core = (id >> x86_core_shift(t)) & ((1u << x86_topology_bits(t->cores)) - 1);
    unsigned die = (id >> x86_die_shift(t)) & ((1u << x86_topology_bits(t->dies)) - 1);
    unsigned socket = id >> x86_socket_shift(t);
    if (thread >= t->threads || core >= t->cores || die >= t->dies)
        return UINT32_MAX;
    return ((socket * t->dies + die) * t->cores + core) * t->threads + thread;
}

#endif
