/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU models: names, changes, what they lead to in CPUID. */
#include "fake.h"

static struct x86_model *make(const char *text, GError **error)
{
    return x86_model_new(text, X86_MODEL_BT, x86_host_cpuid, NULL, 4, 2500000, error);
}

/* What a word of a leaf is after parsing `text`. */
static const struct {
    const char *text;
    uint32_t leaf, subleaf;
    unsigned reg;
    uint32_t mask, value;
    const char *name;
} rows[] = {
    { "max", 1, 0, 2, 1u << 31, 1u << 31, "the hypervisor bit is shown" },
    { "max,-hypervisor", 1, 0, 2, 1u << 31, 0, "and can be hidden" },
    { "max,hypervisor=off", 0x40000000, 0, 1, ~0u, 0, "which hides KVM's leaves" },
    { "max", 0x40000000, 0, 1, ~0u, 0x4b4d564b, "KVM's signature" },
    { "max", 0x40000001, 0, 0, 9, 9, "both kvmclocks" },
    { "max,-kvmclock", 0x40000001, 0, 0, 9, 0, "go together" },
    { "max", 0x40000010, 0, 0, ~0u, 2500000, "TSC frequency" },
    { "max", 1, 0, 2, 1u << 5, 0, "no VMX" },
    { "max", 1, 0, 2, 1u << 3, 0, "no MONITOR" },
    { "max", 7, 0, 1, 1u << 4 | 1u << 11, 0, "no TSX" },
    { "max", 7, 0, 2, 1u << 3 | 1u << 16, 0, "no PKU, no LA57" },
    { "max", 7, 0, 1, 1u << 7 | 1u << 20, 1u << 7 | 1u << 20, "SMEP and SMAP" },
    { "max", 1, 0, 1, 0xff0000, 4 << 16, "four logical processors" },
    { "max", 0xb, 0, 1, 0xffff, 1, "one thread per core" },
    { "max", 0xb, 1, 1, 0xffff, 4, "four cores" },
    { "max", 0xb, 1, 0, 31, 2, "numbered by two bits" },
    { "max", 0x80000007, 0, 3, 1u << 8, 1u << 8, "invariant TSC" },
    { "max,-invtsc", 0x80000007, 0, 3, 1u << 8, 0, "off on request" },
    { "qemu64", 0, 0, 1, ~0u, 0x68747541, "qemu64 is an AMD" },
    { "qemu64", 1, 0, 0, ~0u, 0x60fb1, "of family 15, model 107, stepping 1" },
    { "Nehalem", 1, 0, 0, ~0u, 0x106a3, "Nehalem's signature" },
    { "Nehalem,+avx,+xsave", 1, 0, 2, 1u << 26, 1u << 26, "a feature added" },
    { "Nehalem,family=6,model=44,stepping=2", 1, 0, 0, ~0u, 0x206c2, "signature changed" },
    { "max,-xsave", 1, 0, 2, 1u << 28, 0, "AVX needs XSAVE" },
    { "max,-xsave", 0xd, 0, 0, ~0u, 0, "and there is no XCR0" },
    { "max,-avx512f", 0xd, 0, 0, 0xe0, 0, "no AVX-512 state without AVX-512" },
    { "max,sse4_1=off", 1, 0, 2, 1u << 19, 0, "underscores are dashes" },
    { "Nehalem,phys-bits=36", 0x80000008, 0, 0, 0xff, 36, "physical address bits" },
    { "max,vendor=GenuineIntel", 0, 0, 1, ~0u, 0x756e6547, "vendor changed" },
    { "Haswell-noTSX-IBRS", 1, 0, 0, ~0u, 0x306c4, "variant names" },
};

static void check_rows(void)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(rows); n++) {
        g_autoptr(GError) error = NULL;
        struct x86_model *model = make(rows[n].text, &error);
        uint32_t out[4] = { 0 };

        if (model)
            x86_model_cpuid(model, 0, rows[n].leaf, rows[n].subleaf, out);
        if (!tap_ok(model && (out[rows[n].reg] & rows[n].mask) == rows[n].value, "%s: %s",
                    rows[n].text, rows[n].name))
            tap_note("%s", model ? g_strdup_printf("got 0x%x", out[rows[n].reg]) : error->message);
        x86_model_free(model);
    }
}

static const struct {
    const char *text, *message;
} mistakes[] = {
    { "maxx", "CPU model 'maxx' is unknown; did you mean 'max'?" },
    { "Haswel", "CPU model 'Haswel' is unknown; did you mean 'Haswell'?" },
    { "max,+avx3", "CPU feature 'avx3' is unknown; did you mean 'avx'?" },
    { "max,avx=maybe", "CPU feature 'avx' takes 'on' or 'off', not 'maybe'" },
    { "max,family=x", "CPU property 'family' takes a number up to 270, not 'x'" },
    { "max,vendor=me", "CPU vendor 'me' does not have 12 characters" },
    { "max,+vmx,enforce", "CPU features are missing and 'enforce' was given" },
};

static void check_mistakes(void)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(mistakes); n++) {
        g_autoptr(GError) error = NULL;
        struct x86_model *model = make(mistakes[n].text, &error);

        tap_is(error ? error->message : "accepted", mistakes[n].message, mistakes[n].text);
        x86_model_free(model);
    }
}

static void check_dynamic(void)
{
    struct fake *f = fake_new("max");
    uint32_t out[4], before;

    x86_cpuid(&f->cpu, 1, 0, out);
    before = out[2] >> 27 & 1;
    f->cpu.cr4 |= CR4_OSXSAVE;
    x86_cpuid(&f->cpu, 1, 0, out);
    tap_ok(!before && (out[2] >> 27 & 1), "OSXSAVE follows CR4");
    x86_cpuid(&f->cpu, 0xd, 0, out);
    tap_ok(out[1] == 576, "XSAVE area of x87 and SSE only");
    if (f->cpu.model->features[FEATURE_XCR0] & 4) {
        f->cpu.xcr0 = 7;
        x86_cpuid(&f->cpu, 0xd, 0, out);
        tap_ok(out[1] == 832, "with AVX");
    }
    tap_ok(x86_model_leaves(f->cpu.model, NULL, 0) > 15, "leaves are listed for KVM");
    fake_free(f);
}

static void check_all_named(void)
{
    static const char *const names[] = {
        "host",           "qemu32",
        "kvm64",          "kvm32",
        "Conroe",         "Penryn",
        "Westmere",       "SandyBridge",
        "IvyBridge",      "Haswell",
        "Broadwell",      "Skylake-Client",
        "Skylake-Server", "Cascadelake-Server",
        "Cooperlake",     "Icelake-Server",
        "SapphireRapids", "Opteron_G1",
        "Opteron_G2",     "Opteron_G3",
        "Opteron_G4",     "Opteron_G5",
        "EPYC",           "EPYC-Rome",
        "EPYC-Milan",     "EPYC-Genoa",
        "EPYC-v4",
    };

    for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
        struct x86_model *model = make(names[n], NULL);

        tap_ok(model && model->level >= 4 && model->brand[0], "%s can be made", names[n]);
        x86_model_free(model);
    }
}

int main(void)
{
    check_rows();
    check_mistakes();
    check_dynamic();
    check_all_named();
    return tap_done();
}
