/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The second witness: the same cases in a guest on an engine. */
#ifndef YADO_FUZZ_ENGINE_H
#define YADO_FUZZ_ENGINE_H

#include "native.h"

struct engine {
    const char *program, *accelerator, *guest, *cpu;
    unsigned dump_from; /* outcomes are sent from this case of a run on */
    char folder[64];    /* for the batch and the console; made by engine_init() */
};

/* Asks the guest which XSAVE components its CPU has. False, with a message, if it does not run. */
bool engine_init(struct engine *engine, uint32_t *xcr0);
void engine_end(struct engine *engine);

/* Runs cases 0..count-1 except those with skip[i]; hashes[i] is valid unless lost[i]: then the
 * machine ended or hung in that case, and engine_reason says how the last one did. outcomes[] may
 * be NULL; it is filled from engine->dump_from on. */
void engine_run(struct engine *engine, const struct sequence *cases, unsigned count, uint32_t xcr0,
                const bool *skip, uint64_t *hashes, bool *lost, struct outcome *outcomes);
extern char engine_reason[512];

#endif
