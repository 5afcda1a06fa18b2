/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of CPUID features, as -cpu spells them, and the table of named models. Internal to the
 * model code; start-up only. */
#ifndef YADO_X86_MODEL_FEATURES_H
#define YADO_X86_MODEL_FEATURES_H

#include "x86/model.h"

struct feature_word_info {
    const char *where;     /* "CPUID.07H:EBX", for messages */
    const char *names[32]; /* alternatives separated by '|'; NULL: no such bit */
    /* What the translator can offer: instructions that the host executes (if the host has them),
     * and what is made up in C whatever the host has. */
    uint32_t bt_native, bt_emulated;
};
extern const struct feature_word_info feature_words[FEATURE_WORDS];

/* One named model. `features` lists names separated by spaces, on top of those of `base`. */
struct named_model {
    const char *name, *base;
    enum x86_vendor vendor;
    uint16_t family, model, stepping;
    uint32_t level, xlevel;
    const char *brand;
    const char *features;
};
extern const struct named_model named_models[];
extern const unsigned named_model_count;

/* Finds the feature called `name` ('_' and '.' count as '-'). */
bool feature_find(const char *name, enum x86_feature_word *word, unsigned *bit);

#endif
