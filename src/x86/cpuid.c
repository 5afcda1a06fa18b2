/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID from a model. (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E; the 0x4000xxxx leaves:
 * Linux, Documentation/virt/kvm/x86/cpuid.rst) */
#include "x86/model.h"

#define KVM_LEAF 0x40000000u
#define KVM_FEATURES 0x40000001u
#define TIMING_LEAF 0x40000010u
#define APIC_BUS_KHZ 1000000u
#define OSXSAVE (1u << 27)
#define HTT (1u << 28)
#define AMD_ALIASES 0x0183f3ffu /* leaf 1 EDX bits that 0x80000001 EDX repeats on AMD */

static void set(uint32_t out[4], uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    out[0] = eax;
    out[1] = ebx;
    out[2] = ecx;
    out[3] = edx;
}

static bool model_has(const struct x86_model *model, enum x86_feature_word word, unsigned bit)
{
    return (model->features[word] >> bit) & 1;
}

/* Bits of the APIC id inside a package. */
static unsigned package_bits(const struct x86_model *model)
{
    return x86_socket_shift(&model->topology);
}

static unsigned package_cpus(const struct x86_model *model)
{
    const struct x86_topology *t = &model->topology;
    return t->dies * t->cores * t->threads;
}

static uint32_t xsave_bytes(const struct x86_model *model, uint64_t components, bool compact)
{
    uint32_t bytes = 576;

    for (unsigned n = 2; n < 32; n++) {
        if (!((components >> n) & 1))
            continue;
        if (compact) {
            if (model->xstate[n].flags & 2)
                bytes = (bytes + 63) & ~63u;
            bytes += model->xstate[n].size;
        } else {
            bytes = MAX(bytes, model->xstate[n].offset + model->xstate[n].size);
        }
    }
    return bytes;
}

/* Leaf 0xd; EBX of sub-leaves 0 and 1 by the components now enabled. */
static void xsave_leaf(const struct x86_model *model, uint32_t subleaf, uint64_t enabled,
                       uint32_t out[4])
{
    uint32_t all = model->features[FEATURE_XCR0];

    if (!model_has(model, HAS_XSAVE))
        return;
    if (subleaf == 0)
        set(out, all, xsave_bytes(model, enabled, false), xsave_bytes(model, all, false), 0);
    else if (subleaf == 1)
        set(out, model->features[FEATURE_XSAVE_EAX],
            model->features[FEATURE_XSAVE_EAX] & 2 ? xsave_bytes(model, enabled, true) : 0, 0, 0);
    else if (subleaf < 32 && ((all >> subleaf) & 1))
        set(out, model->xstate[subleaf].size, model->xstate[subleaf].offset,
            model->xstate[subleaf].flags, 0);
}

/* Leaf 4 or 0x8000001d. All cores share the last level, each has its own of the others. */
static void cache_leaf(const struct x86_model *model, uint32_t subleaf, uint32_t out[4])
{
    unsigned sharing, level;

    if (subleaf >= 4 || !model->cache[subleaf][0])
        return;
    for (unsigned n = 0; n < 4; n++)
        out[n] = model->cache[subleaf][n];
    level = (out[0] >> 5) & 7;
    /* The caches of a core are shared by its threads, the last level by a die's cores. */
    sharing =
        (1u << (level >= 3 ? x86_die_shift(&model->topology) : x86_core_shift(&model->topology)))
        - 1;
    out[0] |= MIN(sharing, 0xfffu) << 14;
    if (model->vendor != X86_VENDOR_AMD) {
        unsigned core_bits = package_bits(model) - x86_core_shift(&model->topology);
        out[0] |= MIN((1u << core_bits) - 1, 63u) << 26;
    }
}

static void leaf_1(const struct x86_model *model, unsigned apic_id, uint32_t out[4])
{
    uint32_t ebx = apic_id << 24 | 8 << 8; /* APIC id; CLFLUSH line of 64 bytes */
    uint32_t edx = model->features[FEATURE_1_EDX];

    if (package_cpus(model) > 1) {
        ebx |= MIN(1u << package_bits(model), 255u) << 16;
        edx |= HTT;
    }
    set(out, model->signature, ebx, model->features[FEATURE_1_ECX] & ~OSXSAVE, edx);
}

static void leaf_7(const struct x86_model *model, uint32_t subleaf, uint32_t out[4])
{
    const uint32_t *f = model->features;

    if (subleaf == 0)
        set(out,
            f[FEATURE_7_2_EDX]   ? 2
            : f[FEATURE_7_1_EAX] ? 1
                                 : 0,
            f[FEATURE_7_EBX], f[FEATURE_7_ECX], f[FEATURE_7_EDX]);
    else if (subleaf == 1)
        set(out, f[FEATURE_7_1_EAX], 0, 0, 0);
    else if (subleaf == 2)
        set(out, 0, 0, 0, f[FEATURE_7_2_EDX]);
}

/* Leaves 0xb and, if there are dies to tell of, 0x1f: how many bits of the id to leave out for the
 * next level, and how many CPUs a level's unit has. */
static void topology_leaf(const struct x86_model *model, unsigned apic_id, uint32_t subleaf,
                          bool with_dies, uint32_t out[4])
{
    enum { THREADS = 1, CORES = 2, DIES = 5 };
    const struct x86_topology *t = &model->topology;
    unsigned threads = t->threads, cores = t->cores * threads;
    if (subleaf == 0)
        set(out, x86_core_shift(t), threads, THREADS << 8, apic_id);
    else if (subleaf == 1 && with_dies)
        set(out, x86_die_shift(t), cores, 1 | CORES << 8, apic_id);
    else if (subleaf == 1)
        set(out, package_bits(model), package_cpus(model), 1 | CORES << 8, apic_id);
    else if (subleaf == 2 && with_dies)
        set(out, package_bits(model), package_cpus(model), 2 | DIES << 8, apic_id);
    else
        set(out, 0, 0, subleaf & 0xff, apic_id);
}

static bool has_dies(const struct x86_model *model)
{
    return model->topology.dies > 1 && model->vendor != X86_VENDOR_AMD;
}

static void basic_leaf(const struct x86_model *model, unsigned apic_id, uint32_t leaf,
                       uint32_t subleaf, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        set(out, model->level, model->vendor_id[0], model->vendor_id[2], model->vendor_id[1]);
        break;
    case 1:
        leaf_1(model, apic_id, out);
        break;
    case 2: /* "ask leaf 4" */
        if (model->vendor != X86_VENDOR_AMD)
            set(out, 0x00feff01, 0, 0, 0xf0);
        break;
    case 4:
        if (model->vendor != X86_VENDOR_AMD)
            cache_leaf(model, subleaf, out);
        break;
    case 6:
        set(out, model->features[FEATURE_6_EAX], 0, 0, 0);
        break;
    case 7:
        leaf_7(model, subleaf, out);
        break;
    case 0xb:
        topology_leaf(model, apic_id, subleaf, false, out);
        break;
    case 0x1f:
        if (has_dies(model))
            topology_leaf(model, apic_id, subleaf, true, out);
        break;
    case 0xd:
        xsave_leaf(model, subleaf, model->features[FEATURE_XCR0], out);
        break;
    }
}

static void brand_leaf(const struct x86_model *model, unsigned part, uint32_t out[4])
{
    for (unsigned n = 0; n < 16; n++)
        out[n / 4] |= (uint32_t)(uint8_t)model->brand[part * 16 + n] << (n % 4 * 8);
}

/* Size, associativity and line of a cache as AMD's older leaves give them. */
static uint32_t amd_l1(const uint32_t cache[4])
{
    uint32_t ways = (cache[1] >> 22) + 1, line = (cache[1] & 0xfff) + 1;
    uint32_t kib = ways * line * (cache[2] + 1) / 1024;

    return kib << 24 | MIN(ways, 254u) << 16 | 1 << 8 | line;
}

static uint32_t amd_ways_code(uint32_t ways)
{
    return ways >= 32 ? 0xa : ways >= 16 ? 8 : ways >= 8 ? 6 : ways >= 4 ? 4 : 2;
}

static uint32_t amd_l2(const uint32_t cache[4])
{
    uint32_t ways = (cache[1] >> 22) + 1, line = (cache[1] & 0xfff) + 1;
    uint32_t kib = ways * line * (cache[2] + 1) / 1024;

    return kib << 16 | amd_ways_code(ways) << 12 | 1 << 8 | line;
}

static uint32_t amd_l3(const uint32_t cache[4])
{
    uint32_t ways = (cache[1] >> 22) + 1, line = (cache[1] & 0xfff) + 1;
    uint64_t bytes = (uint64_t)ways * line * (cache[2] + 1ull);

    return (uint32_t)(bytes / (512 * 1024)) << 18 | amd_ways_code(ways) << 12 | 1 << 8 | line;
}

/* AMD's way to say it: the core inside its package, and the die as a node. */
static void extended_topology(const struct x86_model *model, unsigned apic_id, uint32_t out[4])
{
    const struct x86_topology *t = &model->topology;
    unsigned core = (apic_id & ((1u << package_bits(model)) - 1)) >> x86_core_shift(t);
    unsigned die = core >> x86_topology_bits(t->cores);
    set(out, apic_id, (t->threads - 1) << 8 | core, (t->dies - 1) << 8 | die, 0);
}

static void extended_leaf(const struct x86_model *model, unsigned apic_id, uint32_t leaf,
                          uint32_t subleaf, uint32_t out[4])
{
    bool amd = model->vendor == X86_VENDOR_AMD;
    const uint32_t *f = model->features;

    switch (leaf) {
    case 0x80000000:
        set(out, model->xlevel, 0, 0, 0);
        if (amd)
            set(out, model->xlevel, model->vendor_id[0], model->vendor_id[2], model->vendor_id[1]);
        break;
    case 0x80000001:
        set(out, amd ? model->signature : 0, 0, f[FEATURE_EXT_ECX],
            f[FEATURE_EXT_EDX] | (amd ? f[FEATURE_1_EDX] & AMD_ALIASES : 0));
        if (amd && package_cpus(model) > 1)
            out[2] |= 2; /* cores, not threads */
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        brand_leaf(model, leaf - 0x80000002, out);
        break;
    case 0x80000005:
        if (amd)
            set(out, 0x01ff01ff, 0x01ff01ff, amd_l1(model->cache[0]), amd_l1(model->cache[1]));
        break;
    case 0x80000006:
        set(out, 0, 0, amd_l2(model->cache[2]), 0);
        if (amd)
            set(out, 0, 0x42004200, amd_l2(model->cache[2]),
                model->cache[3][0] ? amd_l3(model->cache[3]) : 0);
        break;
    case 0x80000007:
        set(out, 0, 0, 0, f[FEATURE_EXT7_EDX]);
        break;
    case 0x80000008:
        set(out, model->phys_bits | (model_has(model, HAS_LM) ? 48 : 32) << 8, f[FEATURE_EXT8_EBX],
            0, 0);
        if (amd && package_cpus(model) > 1)
            out[2] = package_bits(model) << 12 | MIN(package_cpus(model) - 1, 255u);
        break;
    case 0x8000001d:
        if (amd && (f[FEATURE_EXT_ECX] & (1u << 22)))
            cache_leaf(model, subleaf, out);
        break;
    case 0x8000001e:
        if (amd && (f[FEATURE_EXT_ECX] & (1u << 22)))
            extended_topology(model, apic_id, out);
        break;
    case 0x80000021:
        set(out, f[FEATURE_EXT21_EAX], 0, f[FEATURE_EXT21_ECX], 0);
        break;
    }
}

static void hypervisor_leaf(const struct x86_model *model, uint32_t leaf, uint32_t out[4])
{
    if (leaf == KVM_LEAF) /* "KVMKVMKVM" */
        set(out, model->tsc_khz ? TIMING_LEAF : KVM_FEATURES, 0x4b4d564b, 0x564b4d56, 0x4d);
    else if (leaf == KVM_FEATURES)
        set(out, model->features[FEATURE_KVM_EAX], 0, 0, model->features[FEATURE_KVM_EDX]);
    else if (leaf == TIMING_LEAF && model->tsc_khz)
        set(out, model->tsc_khz, APIC_BUS_KHZ, 0, 0);
}

void x86_model_cpuid(const struct x86_model *model, unsigned index, uint32_t leaf, uint32_t subleaf,
                     uint32_t out[4])
{
    unsigned apic_id = x86_apic_id(&model->topology, index);
    set(out, 0, 0, 0, 0);
    if (leaf >= 0x80000000u && leaf <= model->xlevel) {
        extended_leaf(model, apic_id, leaf, subleaf, out);
    } else if (leaf >= KVM_LEAF && leaf <= TIMING_LEAF) {
        if (model->hypervisor)
            hypervisor_leaf(model, leaf, out);
    } else if (leaf <= model->level) {
        basic_leaf(model, apic_id, leaf, subleaf, out);
    } else if (model->vendor != X86_VENDOR_AMD) {
        /* Intel answers an invalid leaf with the highest basic one. */
        basic_leaf(model, apic_id, model->level, subleaf, out);
    }
}

void x86_cpuid(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct x86_model *model = cpu->model;

    x86_model_cpuid(model, cpu->index, leaf, subleaf, out);
    if (leaf == 1 && (cpu->cr4 & CR4_OSXSAVE))
        out[2] |= OSXSAVE;
    else if (leaf == 0xd && subleaf < 2 && model->level >= 0xd) {
        set(out, 0, 0, 0, 0);
        xsave_leaf(model, subleaf, cpu->xcr0, out);
    }
}

unsigned x86_model_leaves(const struct x86_model *model, struct x86_model_leaf *leaves,
                          unsigned max)
{
    static const struct {
        uint32_t first, last, subleaves;
    } ranges[] = {
        { 0, 3, 0 },
        { 4, 4, 4 },
        { 5, 6, 0 },
        { 7, 7, 3 },
        { 8, 0xa, 0 },
        { 0xb, 0xb, 3 },
        { 0xd, 0xd, 32 },
        { 0x1f, 0x1f, 4 },
        { KVM_LEAF, TIMING_LEAF, 0 },
        { 0x80000000u, 0x8000001cu, 0 },
        { 0x8000001du, 0x8000001du, 4 },
        { 0x8000001eu, 0x80000021u, 0 },
    };
    unsigned count = 0;
    uint32_t out[4];

    for (unsigned r = 0; r < G_N_ELEMENTS(ranges); r++) {
        for (uint32_t leaf = ranges[r].first; leaf <= ranges[r].last; leaf++) {
            for (uint32_t sub = 0; sub < MAX(ranges[r].subleaves, 1u); sub++) {
                if (leaf < KVM_LEAF && leaf > model->level)
                    continue;
                x86_model_cpuid(model, model->cpus - 1, leaf, sub, out);
                if (!(out[0] | out[1] | out[2] | out[3]))
                    continue;
                if (count < max)
                    leaves[count] = (struct x86_model_leaf){ leaf, sub, ranges[r].subleaves > 0 };
                count++;
            }
        }
    }
    return count;
}
