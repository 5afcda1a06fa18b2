/* SPDX-License-Identifier: GPL-2.0-or-later */
/* APIC ids of CPUs: fields as wide as needed, gaps where counts are no powers of two, and back. */
#include "x86/topology.h"

#include "tap.h"

static const struct {
    struct x86_topology topology;
    unsigned index, id;
} cases[] = {
    { { 1, 1, 1, 1 }, 0, 0 },   { { 1, 1, 1, 1 }, 3, 3 }, /* more CPUs than it says: one socket each
                                                           */
    { { 1, 1, 8, 1 }, 7, 7 },   { { 2, 1, 3, 1 }, 3, 4 }, { { 2, 1, 3, 1 }, 5, 6 },
    { { 2, 1, 2, 2 }, 5, 5 },   { { 2, 1, 3, 2 }, 6, 8 }, { { 1, 3, 1, 3 }, 8, 10 },
    { { 5, 1, 5, 1 }, 24, 36 },
};

int main(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct x86_topology *t = &cases[i].topology;
        unsigned id = x86_apic_id(t, cases[i].index);
        tap_ok(id == cases[i].id && x86_apic_index(t, id) == cases[i].index,
               "%u sockets, %u dies, %u cores, %u threads: CPU %u has id %u", t->sockets, t->dies,
               t->cores, t->threads, cases[i].index, id);
    }
    const struct x86_topology three = { 2, 1, 3, 1 };
    tap_ok(x86_apic_index(&three, 3) == UINT32_MAX, "an id in a gap is nobody's");
    return tap_done();
}
