/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first witness: the host CPU. Cases run in a child process, so that a stray store harms
 * nobody. */
#ifndef YADO_FUZZ_NATIVE_H
#define YADO_FUZZ_NATIVE_H

#include "generate.h"

struct outcome {
    struct fuzz_state state;
    uint8_t data[FUZZ_DATA_PAGES * FUZZ_PAGE];
};

/* Maps the case's pages at their addresses. False, with a message on stderr, if this host
 * cannot. */
bool native_init(void);
uint32_t native_xcr0(void);
extern uint32_t native_ignored_flags; /* see fuzz_normalize() */

/* Runs `count` cases. hashes[i] is valid unless lost[i]: then the case hung or killed its process.
 * `outcomes` may be NULL. */
void native_run(const struct sequence *cases, unsigned count, uint32_t xcr0, uint64_t *hashes,
                bool *lost, struct outcome *outcomes);

#endif
