/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a CPU model from -cpu: a base (named, or the host's), then the user's changes, then cut
 * down to what the engine can do. */
#include "x86/model.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "x86/model_features.h"

#define XCR0_X87_SSE 3u
#define XCR0_AVX 4u
#define XCR0_AVX512 0xe0u
#define BT_PHYS_BITS 40u
#define DEFAULT_PHYS_BITS 40u

void x86_host_cpuid(void *opaque, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

/* ---- What there is to offer ----------------------------------------------------------------- */

struct source {
    x86_cpuid_fn cpuid;
    void *opaque;
    enum x86_model_engine engine;
    uint32_t host[FEATURE_WORDS];    /* as `cpuid` shows them */
    uint32_t allowed[FEATURE_WORDS]; /* what the engine can offer */
};

static uint32_t source_word(const struct source *source, uint32_t leaf, uint32_t subleaf,
                            unsigned reg)
{
    uint32_t out[4], top[4];

    source->cpuid(source->opaque, leaf & 0xffff0000u, 0, top);
    if (leaf > top[0] && (leaf & 0xffff0000u) != 0x40000000u)
        return 0;
    source->cpuid(source->opaque, leaf, subleaf, out);
    return out[reg];
}

static const struct {
    uint32_t leaf, subleaf;
    uint8_t reg;
} word_places[FEATURE_WORDS] = {
    [FEATURE_1_EDX] = { 1, 0, 3 },
    [FEATURE_1_ECX] = { 1, 0, 2 },
    [FEATURE_7_EBX] = { 7, 0, 1 },
    [FEATURE_7_ECX] = { 7, 0, 2 },
    [FEATURE_7_EDX] = { 7, 0, 3 },
    [FEATURE_7_1_EAX] = { 7, 1, 0 },
    [FEATURE_7_2_EDX] = { 7, 2, 3 },
    [FEATURE_EXT_EDX] = { 0x80000001, 0, 3 },
    [FEATURE_EXT_ECX] = { 0x80000001, 0, 2 },
    [FEATURE_EXT7_EDX] = { 0x80000007, 0, 3 },
    [FEATURE_EXT8_EBX] = { 0x80000008, 0, 1 },
    [FEATURE_EXT21_EAX] = { 0x80000021, 0, 0 },
    [FEATURE_EXT21_ECX] = { 0x80000021, 0, 2 },
    [FEATURE_6_EAX] = { 6, 0, 0 },
    [FEATURE_XSAVE_EAX] = { 0xd, 1, 0 },
    [FEATURE_XCR0] = { 0xd, 0, 0 },
    [FEATURE_KVM_EAX] = { 0x40000001, 0, 0 },
    [FEATURE_KVM_EDX] = { 0x40000001, 0, 3 },
};

static uint32_t known_bits(enum x86_feature_word word)
{
    uint32_t bits = 0;

    for (unsigned n = 0; n < 32; n++)
        if (feature_words[word].names[n])
            bits |= 1u << n;
    return bits;
}

static void set_bit(uint32_t *words, enum x86_feature_word word, unsigned bit)
{
    words[word] |= 1u << bit;
}

static bool get_bit(const uint32_t *words, enum x86_feature_word word, unsigned bit)
{
    return (words[word] >> bit) & 1;
}

static void source_init(struct source *source)
{
    bool bt = source->engine == X86_MODEL_BT;

    for (unsigned w = 0; w < FEATURE_WORDS; w++) {
        if (word_places[w].leaf && !(bt && word_places[w].leaf >> 28 == 4))
            source->host[w] = source_word(source, word_places[w].leaf, word_places[w].subleaf,
                                          word_places[w].reg);
        if (bt)
            source->allowed[w] =
                (source->host[w] & feature_words[w].bt_native) | feature_words[w].bt_emulated;
        else
            source->allowed[w] = source->host[w] & known_bits(w);
    }
    if (bt) {
        if (!get_bit(source->host, HAS_XSAVE))
            source->allowed[FEATURE_XSAVE_EAX] = 0;
        source->allowed[FEATURE_XCR0] =
            source->host[FEATURE_XCR0] & (XCR0_X87_SSE | XCR0_AVX | XCR0_AVX512);
        return;
    }
    /* KVM's in-kernel local APIC has these, but its list of supported features leaves them out. */
    set_bit(source->allowed, HAS_TSC_DEADLINE);
    set_bit(source->allowed, HAS_X2APIC);
    set_bit(source->allowed, FEATURE_1_ECX, 31);
    set_bit(source->allowed, FEATURE_6_EAX, 2);
    source->allowed[FEATURE_XCR0] = source->host[FEATURE_XCR0];
    /* KVM fills that MSR itself. */
    source->allowed[FEATURE_ARCH_CAPABILITIES] = source->allowed[FEATURE_ARCH_CAPABILITIES_HIGH] =
        0;
}

/* ---- Bases ---------------------------------------------------------------------------------- */

static const char *const vendor_names[] = { "GenuineIntel", "AuthenticAMD" };

static void set_vendor(struct x86_model *model, const char *id)
{
    memcpy(model->vendor_id, id, 12);
    if (!memcmp(id, "AuthenticAMD", 12) || !memcmp(id, "HygonGenuine", 12))
        model->vendor = X86_VENDOR_AMD;
    else if (!memcmp(id, "GenuineIntel", 12))
        model->vendor = X86_VENDOR_INTEL;
    else
        model->vendor = X86_VENDOR_OTHER;
}

static void set_signature(struct x86_model *model, unsigned family, unsigned number,
                          unsigned stepping)
{
    uint32_t base = MIN(family, 15u), extended = family - base;

    model->signature = extended << 20 | (number >> 4 & 15) << 16 | base << 8 | (number & 15) << 4
                       | (stepping & 15);
}

static const uint32_t default_caches[4][4] = {
    { 0x121, 7 << 22 | 63, 63, 1 },     /* L1d: 32 KiB, 8 ways */
    { 0x122, 7 << 22 | 63, 63, 1 },     /* L1i: the same */
    { 0x143, 15 << 22 | 63, 2047, 1 },  /* L2: 2 MiB, 16 ways */
    { 0x163, 15 << 22 | 63, 16383, 0 }, /* L3: 16 MiB, 16 ways */
};

static void base_caches(struct x86_model *model, const struct source *source, bool host)
{
    enum x86_vendor vendor = model->vendor;
    uint32_t leaf = vendor == X86_VENDOR_AMD ? 0x8000001d : 4;

    memcpy(model->cache, default_caches, sizeof(default_caches));
    if (!host || !source_word(source, leaf, 0, 0))
        return;
    memset(model->cache, 0, sizeof(model->cache));
    for (unsigned n = 0; n < 4; n++) {
        x86_host_cpuid(NULL, leaf, n, model->cache[n]);
        if (!(model->cache[n][0] & 31)) {
            model->cache[n][0] = 0;
            break;
        }
        model->cache[n][0] &= 0x3fff;
    }
}

/* What the translator could show but processors of this vendor never have. */
static void drop_foreign(struct x86_model *model)
{
    uint32_t *f = model->features;

    if (model->vendor == X86_VENDOR_AMD) {
        f[FEATURE_7_EDX] &= ~(1u << 10 | 1u << 26 | 1u << 27 | 1u << 29 | 1u << 31);
        f[FEATURE_7_2_EDX] = 0;
        f[FEATURE_ARCH_CAPABILITIES] = f[FEATURE_ARCH_CAPABILITIES_HIGH] = 0;
    } else {
        f[FEATURE_EXT8_EBX] &= 1u << 9;
        f[FEATURE_EXT21_EAX] = f[FEATURE_EXT21_ECX] = 0;
        f[FEATURE_EXT_ECX] &= ~(1u << 1 | 1u << 22);
        f[FEATURE_EXT_EDX] &= ~(1u << 25);
    }
}

static void base_host(struct x86_model *model, const struct source *source)
{
    uint32_t out[4], id[3];

    x86_host_cpuid(NULL, 0, 0, out);
    id[0] = out[1];
    id[1] = out[3];
    id[2] = out[2];
    set_vendor(model, (const char *)id);
    x86_host_cpuid(NULL, 1, 0, out);
    model->signature = out[0];
    for (unsigned n = 0; n < 3; n++) {
        x86_host_cpuid(NULL, 0x80000002 + n, 0, out);
        memcpy(model->brand + n * 16, out, 16);
    }
    for (unsigned w = 0; w < FEATURE_WORDS; w++)
        model->features[w] = source->allowed[w];
    if (source->engine == X86_MODEL_BT)
        drop_foreign(model);
    base_caches(model, source, true);
    model->level = 0xd;
    model->xlevel = 0x80000008;
}

static bool add_names(struct x86_model *model, const char *names)
{
    g_auto(GStrv) list = g_strsplit(names, " ", -1);
    enum x86_feature_word word;
    unsigned bit;

    for (char **name = list; *name; name++) {
        if (!**name)
            continue;
        if (!feature_find(*name, &word, &bit))
            return false;
        set_bit(model->features, word, bit);
    }
    return true;
}

static const struct named_model *find_named(const char *name)
{
    for (unsigned n = 0; n < named_model_count; n++)
        if (!strcmp(named_models[n].name, name))
            return &named_models[n];
    return NULL;
}

static void add_features(struct x86_model *model, const struct named_model *named)
{
    bool known;

    if (named->base)
        add_features(model, find_named(named->base));
    known = add_names(model, named->features);
    assert(known); /* the table is ours */
    (void)known;
}

static void base_named(struct x86_model *model, const struct named_model *named,
                       const struct source *source)
{
    set_vendor(model, vendor_names[named->vendor]);
    set_signature(model, named->family, named->model, named->stepping);
    g_strlcpy(model->brand, named->brand, sizeof(model->brand));
    model->level = named->level;
    model->xlevel = named->xlevel;
    add_features(model, named);
    add_names(model, "x2apic hypervisor");
    base_caches(model, source, false);
}

/* The translator's guest cannot be attacked through speculation by means it could defend against;
 * saying so keeps kernels from page-table isolation and retpolines, which would only cost. */
static void add_immunity(struct x86_model *model)
{
    if (model->vendor == X86_VENDOR_AMD)
        add_names(model, "auto-ibrs ibpb ibrs amd-ssbd amd-no-ssb btc-no srso-no tsa-sq-no "
                         "tsa-l1-no sbpb ibpb-brtype "
                         "null-sel-clr-base no-nested-data-bp lfence-always-serializing");
    else
        add_names(model, "spec-ctrl ssbd arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry "
                         "ssb-no mds-no pschange-mc-no taa-no sbdr-ssdp-no fbsdp-no psdp-no "
                         "bhi-no bhi-ctrl pbrsb-no gds-no rfds-no its-no mcdt-no");
}

static void add_paravirtual(struct x86_model *model, const struct source *source)
{
    uint32_t usual = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9
                     | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 24;

    model->features[FEATURE_KVM_EAX] |= source->allowed[FEATURE_KVM_EAX] & usual;
    model->features[FEATURE_KVM_EDX] = 0;
}

/* Removes the suffixes that only select a variant; `no_tsx` tells of one that changes features. */
static char *strip_variant(const char *name, bool *no_tsx)
{
    static const char *const suffixes[] = { "-IBRS", "-IBPB", "-noTSX", "-v1", "-v2",
                                            "-v3",   "-v4",   "-v5",    "-v6", "-v7" };
    char *base = g_strdup(name);
    bool again = true;

    while (again) {
        again = false;
        for (unsigned n = 0; n < G_N_ELEMENTS(suffixes); n++) {
            if (g_str_has_suffix(base, suffixes[n])) {
                base[strlen(base) - strlen(suffixes[n])] = 0;
                *no_tsx |= !strcmp(suffixes[n], "-noTSX");
                again = true;
            }
        }
    }
    return base;
}

static bool make_base(struct x86_model *model, const char *name, const struct source *source,
                      GError **error)
{
    bool no_tsx = false;
    g_autofree char *base = strip_variant(name, &no_tsx);
    const struct named_model *named = find_named(base);

    if (!strcmp(name, "host") || !strcmp(name, "max")) {
        base_host(model, source);
    } else if (named) {
        base_named(model, named, source);
        if (no_tsx)
            model->features[FEATURE_7_EBX] &= ~(1u << 4 | 1u << 11);
    } else {
        const char *names[64] = { "host", "max" };

        assert(named_model_count + 3 < G_N_ELEMENTS(names));
        for (unsigned n = 0; n < named_model_count; n++)
            names[n + 2] = named_models[n].name;
        return fail(error, "CPU model '%s' is unknown%s", name, hint_nearest(name, names));
    }
    if (source->engine == X86_MODEL_BT) {
        add_immunity(model);
        /* Short REP MOVS and STOS are calls into C here: better not to invite them. */
        model->features[FEATURE_7_EDX] &= ~(1u << 4);
        model->features[FEATURE_7_1_EAX] &= ~(1u << 10 | 1u << 11 | 1u << 12);
    }
    add_paravirtual(model, source);
    return true;
}

/* ---- The user's changes --------------------------------------------------------------------- */

struct request {
    uint32_t set[FEATURE_WORDS], cleared[FEATURE_WORDS]; /* named by the user */
    bool enforce, kvm_off, host_phys_bits, signature;
    unsigned family, number, stepping, phys_bits;
};

static bool parse_switch(const char *name, const char *value, bool *on, GError **error)
{
    if (!strcmp(value, "on") || !strcmp(value, "true") || !strcmp(value, "yes"))
        *on = true;
    else if (!strcmp(value, "off") || !strcmp(value, "false") || !strcmp(value, "no"))
        *on = false;
    else
        return fail(error, "CPU feature '%s' takes 'on' or 'off', not '%s'", name, value);
    return true;
}

static void change_feature(struct x86_model *model, struct request *request,
                           enum x86_feature_word word, unsigned bit, bool on)
{
    uint32_t mask = 1u << bit;

    if (word == FEATURE_KVM_EAX && bit == 3)
        mask |= 1; /* "kvmclock" is both generations of it */
    if (on) {
        model->features[word] |= mask;
        request->set[word] |= mask;
        request->cleared[word] &= ~mask;
    } else {
        model->features[word] &= ~mask;
        request->cleared[word] |= mask;
        request->set[word] &= ~mask;
    }
}

static bool parse_number(const char *name, const char *value, uint64_t max, uint64_t *number,
                         GError **error)
{
    char *end;

    *number = g_ascii_strtoull(value, &end, 0);
    if (end == value || *end || *number > max)
        return fail(error, "CPU property '%s' takes a number up to %" G_GUINT64_FORMAT ", not '%s'",
                    name, max, value);
    return true;
}

/* Properties that take a value other than on and off. `*known` says whether `name` is one. */
static bool parse_property(struct x86_model *model, struct request *request, const char *name,
                           const char *value, bool *known, GError **error)
{
    static const char *const numbers[] = { "family", "model",     "stepping",     "level",
                                           "xlevel", "phys-bits", "tsc-frequency" };
    static const uint64_t limits[] = { 270, 255, 15, 0x1f, 0x80000022, 52, 100000000000 };
    uint64_t number;

    *known = true;
    if (!strcmp(name, "model-id")) {
        memset(model->brand, 0, sizeof(model->brand));
        g_strlcpy(model->brand, value, sizeof(model->brand));
        return true;
    }
    if (!strcmp(name, "vendor")) {
        if (strlen(value) != 12)
            return fail(error, "CPU vendor '%s' does not have 12 characters", value);
        set_vendor(model, value);
        if (model->engine == X86_MODEL_BT)
            add_immunity(model);
        return true;
    }
    for (unsigned n = 0; n < G_N_ELEMENTS(numbers); n++) {
        if (strcmp(name, numbers[n]))
            continue;
        if (!parse_number(name, value, limits[n], &number, error))
            return false;
        switch (n) {
        case 0:
            request->family = number;
            request->signature = true;
            break;
        case 1:
            request->number = number;
            request->signature = true;
            break;
        case 2:
            request->stepping = number;
            request->signature = true;
            break;
        case 3:
            model->level = number;
            break;
        case 4:
            model->xlevel = number;
            break;
        case 5:
            request->phys_bits = number;
            break;
        case 6:
            model->tsc_khz = number / 1000;
            break;
        }
        return true;
    }
    *known = false;
    return true;
}

static bool unknown_feature(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    for (unsigned w = 0; w < FEATURE_WORDS; w++) {
        for (unsigned n = 0; n < 32; n++) {
            const char *list = feature_words[w].names[n];

            if (list)
                g_ptr_array_add(names, g_strndup(list, strcspn(list, "|")));
        }
    }
    g_ptr_array_add(names, NULL);
    return fail(error, "CPU feature '%s' is unknown%s", name,
                hint_nearest(name, (const char *const *)names->pdata));
}

static bool apply_switch(struct x86_model *model, struct request *request, const char *name,
                         bool on, GError **error)
{
    /* Accepted for compatibility; they choose among things that do not differ here. */
    static const char *const hints[] = { "check",    "migratable",      "pmu",
                                         "l3-cache", "host-cache-info", "full-cpuid-auto-level" };
    enum x86_feature_word word;
    unsigned bit;

    for (unsigned n = 0; n < G_N_ELEMENTS(hints); n++)
        if (!strcmp(name, hints[n]))
            return true;
    if (!strcmp(name, "enforce"))
        request->enforce = on;
    else if (!strcmp(name, "kvm"))
        request->kvm_off = !on;
    else if (!strcmp(name, "host-phys-bits"))
        request->host_phys_bits = on;
    else if (feature_find(name, &word, &bit))
        change_feature(model, request, word, bit, on);
    else
        return unknown_feature(name, error);
    return true;
}

static bool apply_item(struct x86_model *model, struct request *request, const char *item,
                       GError **error)
{
    g_autofree char *name = NULL;
    const char *equals = strchr(item, '=');
    bool on = true, known;

    if (*item == '+' || *item == '-')
        return apply_switch(model, request, item + 1, *item == '+', error);
    name = equals ? g_strndup(item, equals - item) : g_strdup(item);
    if (equals) {
        if (!parse_property(model, request, name, equals + 1, &known, error))
            return false;
        if (known)
            return true;
        if (!parse_switch(name, equals + 1, &on, error))
            return false;
    }
    return apply_switch(model, request, name, on, error);
}

/* ---- Cutting down to what can be had -------------------------------------------------------- */

static bool drop_unsupported(struct x86_model *model, const struct source *source,
                             const struct request *request, GError **error)
{
    const char *who = source->engine == X86_MODEL_BT ? "BT" : "host";
    bool missing = false;

    for (unsigned w = 0; w < FEATURE_WORDS; w++) {
        uint32_t lost = model->features[w] & ~source->allowed[w];

        model->features[w] &= source->allowed[w];
        if (w >= FEATURE_ARCH_CAPABILITIES && source->engine == X86_MODEL_KVM)
            continue;
        for (unsigned n = 0; n < 32; n++) {
            const char *names = feature_words[w].names[n];

            if (!((lost >> n) & 1) || !names)
                continue;
            warn("%s doesn't support requested feature: %s.%.*s [bit %u]", who,
                 feature_words[w].where, (int)strcspn(names, "|"), names, n);
            missing = true;
        }
    }
    if (missing && request->enforce)
        return fail(error, "CPU features are missing and 'enforce' was given");
    return true;
}

/* Features that make no sense without another one. */
static void apply_dependencies(struct x86_model *model)
{
    uint32_t *f = model->features;
    uint32_t xcr0 = XCR0_X87_SSE;

    if (!get_bit(f, HAS_XSAVE))
        f[FEATURE_1_ECX] &= ~(1u << 28); /* AVX */
    if (!get_bit(f, FEATURE_1_ECX, 28)) {
        f[FEATURE_1_ECX] &= ~(1u << 12 | 1u << 29); /* FMA, F16C */
        f[FEATURE_7_EBX] &= ~(1u << 5 | 1u << 16);  /* AVX2, AVX-512 */
        f[FEATURE_7_ECX] &= ~(1u << 9 | 1u << 10);  /* VAES, VPCLMULQDQ */
        f[FEATURE_7_1_EAX] &= ~(1u << 4);           /* AVX-VNNI */
        f[FEATURE_EXT_ECX] &= ~(1u << 11 | 1u << 16);
    }
    if (!get_bit(f, FEATURE_7_EBX, 16)) {
        f[FEATURE_7_EBX] &= ~0xdc230000u;
        f[FEATURE_7_ECX] &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
        f[FEATURE_7_EDX] &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 23);
        f[FEATURE_7_1_EAX] &= ~(1u << 5);
    }
    if (get_bit(f, FEATURE_1_ECX, 28))
        xcr0 |= XCR0_AVX;
    if (get_bit(f, FEATURE_7_EBX, 16))
        xcr0 |= XCR0_AVX512;
    if (!get_bit(f, HAS_XSAVE))
        xcr0 = f[FEATURE_XSAVE_EAX] = 0;
    if (model->engine == X86_MODEL_KVM && get_bit(f, FEATURE_7_ECX, 3))
        xcr0 |= 1u << 9; /* PKRU */
    f[FEATURE_XCR0] = xcr0;
    if (!get_bit(f, HAS_ARCH_CAPABILITIES))
        f[FEATURE_ARCH_CAPABILITIES] = f[FEATURE_ARCH_CAPABILITIES_HIGH] = 0;
}

static void raise_levels(struct x86_model *model)
{
    const uint32_t *f = model->features;

    if (f[FEATURE_7_EBX] | f[FEATURE_7_ECX] | f[FEATURE_7_EDX])
        model->level = MAX(model->level, 7u);
    if (get_bit(f, HAS_X2APIC))
        model->level = MAX(model->level, 0xbu);
    if (f[FEATURE_XCR0])
        model->level = MAX(model->level, 0xdu);
    model->xlevel = MAX(model->xlevel, 0x80000008u);
    if (get_bit(f, FEATURE_EXT_ECX, 22))
        model->xlevel = MAX(model->xlevel, 0x8000001eu);
    if (f[FEATURE_EXT21_EAX] | f[FEATURE_EXT21_ECX])
        model->xlevel = MAX(model->xlevel, 0x80000021u);
}

static unsigned host_phys_bits(const struct source *source)
{
    unsigned bits = source_word(source, 0x80000008, 0, 0) & 0xff;

    return bits ? bits : 36;
}

static void set_phys_bits(struct x86_model *model, const struct source *source,
                          const struct request *request, bool host_model)
{
    unsigned host = host_phys_bits(source);
    unsigned bits = MIN(host, DEFAULT_PHYS_BITS);

    if (request->host_phys_bits || (host_model && model->engine == X86_MODEL_KVM))
        bits = host;
    if (request->phys_bits)
        bits = CLAMP(request->phys_bits, 32u, host);
    if (model->engine == X86_MODEL_BT)
        bits = MIN(bits, BT_PHYS_BITS);
    model->phys_bits = bits;
    model->reserved_phys = 0x000fffffffffffffull & ~((1ull << bits) - 1);
}

static void set_xstate(struct x86_model *model, const struct source *source)
{
    uint32_t out[4];

    for (unsigned n = 2; n < G_N_ELEMENTS(model->xstate); n++) {
        if (!((model->features[FEATURE_XCR0] >> n) & 1))
            continue;
        source->cpuid(source->opaque, 0xd, n, out);
        model->xstate[n].size = out[0];
        model->xstate[n].offset = out[1];
        model->xstate[n].flags = out[2];
    }
}

static void override_signature(struct x86_model *model, const struct request *request)
{
    uint32_t s = model->signature;
    unsigned family = (s >> 8 & 15) + (s >> 20 & 255);
    unsigned number = (s >> 4 & 15) | (s >> 12 & 0xf0), stepping = s & 15;

    if (request->signature)
        set_signature(model, request->family != UINT_MAX ? request->family : family,
                      request->number != UINT_MAX ? request->number : number,
                      request->stepping != UINT_MAX ? request->stepping : stepping);
}

struct x86_model *x86_model_new(const char *text, enum x86_model_engine engine, x86_cpuid_fn cpuid,
                                void *opaque, unsigned cpus, unsigned tsc_khz, GError **error)
{
    struct source source = { .cpuid = cpuid, .opaque = opaque, .engine = engine };
    struct request request = { .family = UINT_MAX, .number = UINT_MAX, .stepping = UINT_MAX };
    g_auto(GStrv) items = g_strsplit(text, ",", -1);
    struct x86_model *model = g_new0(struct x86_model, 1);
    bool host_model;

    model->engine = engine;
    model->cpus = MAX(cpus, 1u);
    model->topology = (struct x86_topology){ 1, 1, model->cpus, 1 };
    model->tsc_khz = tsc_khz;
    source_init(&source);
    if (!items[0] || !make_base(model, items[0], &source, error)) {
        if (!items[0])
            fail(error, "-cpu needs a model name; '-cpu help' lists them");
        x86_model_free(model);
        return NULL;
    }
    model->name = g_strdup(items[0]);
    for (char **item = items + 1; *item; item++) {
        if (**item && !apply_item(model, &request, *item, error)) {
            x86_model_free(model);
            return NULL;
        }
    }
    if (!drop_unsupported(model, &source, &request, error)) {
        x86_model_free(model);
        return NULL;
    }
    host_model = !strcmp(items[0], "host") || !strcmp(items[0], "max");
    apply_dependencies(model);
    raise_levels(model);
    set_phys_bits(model, &source, &request, host_model);
    set_xstate(model, &source);
    override_signature(model, &request);
    model->hypervisor = get_bit(model->features, FEATURE_1_ECX, 31) && !request.kvm_off;
    return model;
}

void x86_model_set_topology(struct x86_model *model, const struct x86_topology *topology)
{
    model->topology = *topology;
    if (topology->dies > 1 && model->vendor != X86_VENDOR_AMD)
        model->level = MAX(model->level, 0x1fu);
}

void x86_model_free(struct x86_model *model)
{
    if (model)
        g_free(model->name);
    g_free(model);
}

void x86_model_print_help(void)
{
    puts("Available CPUs:");
    puts("  host                  this machine's processor, as far as the engine can show it");
    puts("  max                   everything the engine can offer on this machine");
    for (unsigned n = 0; n < named_model_count; n++)
        printf("  %-21s %s\n", named_models[n].name, named_models[n].brand);
    puts("\nRecognized CPUID flags:");
    for (unsigned w = 0; w < FEATURE_WORDS; w++) {
        for (unsigned n = 0, column = 0; n < 32; n++) {
            const char *names = feature_words[w].names[n];

            if (!names)
                continue;
            column += printf("%s%.*s", column ? " " : "  ", (int)strcspn(names, "|"), names);
            if (column > 80 || n == 31) {
                putchar('\n');
                column = 0;
            }
        }
        putchar('\n');
    }
}
