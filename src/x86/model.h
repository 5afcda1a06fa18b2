/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU models: what CPUID shows. A model is made once at start-up and constant afterwards; all vCPUs
 * of a machine share it. */
#ifndef YADO_X86_MODEL_H
#define YADO_X86_MODEL_H

#include "x86/topology.h"
#include "x86/cpu.h"

enum x86_model_engine { X86_MODEL_BT, X86_MODEL_KVM };

/* CPUID of the host, or what KVM supports on it (KVM_GET_SUPPORTED_CPUID). */
typedef void (*x86_cpuid_fn)(void *opaque, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* 32-bit words of feature bits, by where CPUID or an MSR shows them. */
enum x86_feature_word {
    FEATURE_1_EDX,
    FEATURE_1_ECX,
    FEATURE_7_EBX,
    FEATURE_7_ECX,
    FEATURE_7_EDX,
    FEATURE_7_1_EAX,
    FEATURE_7_2_EDX,
    FEATURE_EXT_EDX, /* 0x80000001 */
    FEATURE_EXT_ECX,
    FEATURE_EXT7_EDX,  /* 0x80000007 */
    FEATURE_EXT8_EBX,  /* 0x80000008 */
    FEATURE_EXT21_EAX, /* 0x80000021 */
    FEATURE_EXT21_ECX,
    FEATURE_6_EAX,
    FEATURE_XSAVE_EAX,         /* 0xd.1 */
    FEATURE_XCR0,              /* 0xd.0 */
    FEATURE_KVM_EAX,           /* 0x40000001 */
    FEATURE_KVM_EDX,           /* hints */
    FEATURE_ARCH_CAPABILITIES, /* MSR 0x10a, lower half */
    FEATURE_ARCH_CAPABILITIES_HIGH,
    FEATURE_WORDS,
};

enum x86_vendor { X86_VENDOR_INTEL, X86_VENDOR_AMD, X86_VENDOR_OTHER };

struct x86_model {
    char *name;
    enum x86_vendor vendor;
    uint32_t vendor_id[3]; /* EBX, EDX, ECX of leaf 0 */
    uint32_t signature;    /* leaf 1 EAX */
    uint32_t level, xlevel;
    uint32_t features[FEATURE_WORDS];
    char brand[49];
    unsigned phys_bits;
    uint64_t reserved_phys; /* address bits a page table entry must not have, bits 51..phys_bits */
    unsigned cpus;
    struct x86_topology topology; /* of them: one socket with as many cores, unless set */
    unsigned tsc_khz;       /* 0 unknown */
    bool hypervisor;        /* leaves 0x40000000… and the hypervisor bit */
    enum x86_model_engine engine;
    uint32_t cache[4][4]; /* leaf 4 descriptors, topology bits zero; EAX 0 ends */
    struct {
        uint32_t size, offset, flags;
    } xstate[32]; /* leaf 0xd, sub-leaves 2… */
};

/* Parses "name[,+feature][,-feature][,feature=on|off][,feature]…" for -cpu. `cpuid` is the
 * capability source: under BT, the host's CPUID (x86_host_cpuid); for KVM, the supported set.
 * Features asked for that cannot be had are dropped with a warning. `tsc_khz` may be 0. */
struct x86_model *x86_model_new(const char *text, enum x86_model_engine engine, x86_cpuid_fn cpuid,
                                void *opaque, unsigned cpus, unsigned tsc_khz, GError **error);
/* Before the model is used. */
void x86_model_set_topology(struct x86_model *model, const struct x86_topology *topology);
void x86_model_free(struct x86_model *model);
void x86_model_print_help(void); /* -cpu help */

/* The CPUID instruction of this host; `opaque` is not used. */
void x86_host_cpuid(void *opaque, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* CPUID of vCPU `index` without what depends on its state (OSXSAVE, XSAVE size by XCR0). */
void x86_model_cpuid(const struct x86_model *model, unsigned index, uint32_t leaf, uint32_t subleaf,
                     uint32_t out[4]);

/* Every (leaf, sub-leaf) that is not all zero, for KVM_SET_CPUID2: fills up to `max`, returns how
 * many there are. `indexed`: the sub-leaf matters. */
struct x86_model_leaf {
    uint32_t leaf, subleaf;
    bool indexed;
};
unsigned x86_model_leaves(const struct x86_model *model, struct x86_model_leaf *leaves,
                          unsigned max);

/* The CPUID instruction as this vCPU executes it now. Callable with guest registers live. */
void x86_cpuid(const struct x86_cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

static inline bool x86_has(const struct x86_cpu *cpu, enum x86_feature_word word, unsigned bit)
{
    return cpu->model->features[word] & (1u << bit);
}

/* Features the C code itself asks about, as (word, bit) for x86_has(). */
#define HAS_VME FEATURE_1_EDX, 1
#define HAS_DE FEATURE_1_EDX, 2
#define HAS_PSE FEATURE_1_EDX, 3
#define HAS_TSC FEATURE_1_EDX, 4
#define HAS_MSR FEATURE_1_EDX, 5
#define HAS_PAE FEATURE_1_EDX, 6
#define HAS_MCE FEATURE_1_EDX, 7
#define HAS_APIC FEATURE_1_EDX, 9
#define HAS_SEP FEATURE_1_EDX, 11
#define HAS_MTRR FEATURE_1_EDX, 12
#define HAS_PGE FEATURE_1_EDX, 13
#define HAS_MCA FEATURE_1_EDX, 14
#define HAS_PAT FEATURE_1_EDX, 16
#define HAS_PSE36 FEATURE_1_EDX, 17
#define HAS_FXSR FEATURE_1_EDX, 24
#define HAS_SSE FEATURE_1_EDX, 25
#define HAS_CX16 FEATURE_1_ECX, 13
#define HAS_PCID FEATURE_1_ECX, 17
#define HAS_X2APIC FEATURE_1_ECX, 21
#define HAS_TSC_DEADLINE FEATURE_1_ECX, 24
#define HAS_XSAVE FEATURE_1_ECX, 26
#define HAS_FSGSBASE FEATURE_7_EBX, 0
#define HAS_TSC_ADJUST FEATURE_7_EBX, 1
#define HAS_SMEP FEATURE_7_EBX, 7
#define HAS_INVPCID FEATURE_7_EBX, 10
#define HAS_SMAP FEATURE_7_EBX, 20
#define HAS_UMIP FEATURE_7_ECX, 2
#define HAS_RDPID FEATURE_7_ECX, 22
#define HAS_SPEC_CTRL FEATURE_7_EDX, 26
#define HAS_ARCH_CAPABILITIES FEATURE_7_EDX, 29
#define HAS_SYSCALL FEATURE_EXT_EDX, 11
#define HAS_NX FEATURE_EXT_EDX, 20
#define HAS_FFXSR FEATURE_EXT_EDX, 25
#define HAS_PDPE1GB FEATURE_EXT_EDX, 26
#define HAS_RDTSCP FEATURE_EXT_EDX, 27
#define HAS_LM FEATURE_EXT_EDX, 29
#define HAS_XSAVEOPT FEATURE_XSAVE_EAX, 0
#define HAS_XSAVEC FEATURE_XSAVE_EAX, 1
#define HAS_XGETBV1 FEATURE_XSAVE_EAX, 2
#define HAS_XSAVES FEATURE_XSAVE_EAX, 3

#endif
