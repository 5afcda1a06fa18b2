/* SPDX-License-Identifier: GPL-2.0-or-later */
/* (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E) */
#include "x86/model_features.h"

#include <string.h>

#define BIT(n) (1u << (n))

/* clang-format off */
const struct feature_word_info feature_words[FEATURE_WORDS] = {
    [FEATURE_1_EDX] = {
        .where = "CPUID.01H:EDX",
        .names = {
            [0] = "fpu", [1] = "vme", [2] = "de", [3] = "pse", [4] = "tsc",
            [5] = "msr", [6] = "pae", [7] = "mce", [8] = "cx8", [9] = "apic",
            [11] = "sep", [12] = "mtrr", [13] = "pge", [14] = "mca", [15] = "cmov",
            [16] = "pat", [17] = "pse36", [18] = "pn", [19] = "clflush",
            [21] = "ds", [22] = "acpi", [23] = "mmx", [24] = "fxsr", [25] = "sse",
            [26] = "sse2", [27] = "ss", [28] = "ht", [29] = "tm", [30] = "ia64",
            [31] = "pbe",
        },
        .bt_native = BIT(0) | BIT(4) | BIT(8) | BIT(15) | BIT(19) | BIT(23) | BIT(24) |
            BIT(25) | BIT(26),
        .bt_emulated = BIT(1) | BIT(2) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(9) |
            BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(16) | BIT(17) | BIT(27),
    },
    [FEATURE_1_ECX] = {
        .where = "CPUID.01H:ECX",
        .names = {
            [0] = "sse3|pni", [1] = "pclmulqdq|pclmuldq", [2] = "dtes64",
            [3] = "monitor", [4] = "ds-cpl", [5] = "vmx", [6] = "smx", [7] = "est",
            [8] = "tm2", [9] = "ssse3", [10] = "cid", [12] = "fma", [13] = "cx16",
            [14] = "xtpr", [15] = "pdcm", [17] = "pcid", [18] = "dca",
            [19] = "sse4.1|sse4-1", [20] = "sse4.2|sse4-2", [21] = "x2apic",
            [22] = "movbe", [23] = "popcnt", [24] = "tsc-deadline", [25] = "aes",
            [26] = "xsave", [28] = "avx", [29] = "f16c", [30] = "rdrand",
            [31] = "hypervisor",
        },
        .bt_native = BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) |
            BIT(22) | BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30),
        .bt_emulated = BIT(17) | BIT(21) | BIT(24) | BIT(31),
    },
    [FEATURE_7_EBX] = {
        .where = "CPUID.07H:EBX",
        .names = {
            [0] = "fsgsbase", [1] = "tsc-adjust", [2] = "sgx", [3] = "bmi1",
            [4] = "hle", [5] = "avx2", [6] = "fdp-excptn-only", [7] = "smep",
            [8] = "bmi2", [9] = "erms", [10] = "invpcid", [11] = "rtm",
            [13] = "zero-fcs-fds", [14] = "mpx", [16] = "avx512f",
            [17] = "avx512dq", [18] = "rdseed", [19] = "adx", [20] = "smap",
            [21] = "avx512ifma", [22] = "pcommit", [23] = "clflushopt",
            [24] = "clwb", [25] = "intel-pt", [26] = "avx512pf", [27] = "avx512er",
            [28] = "avx512cd", [29] = "sha-ni", [30] = "avx512bw",
            [31] = "avx512vl",
        },
        .bt_native = BIT(3) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(16) | BIT(17) |
            BIT(18) | BIT(19) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30)
            | BIT(31),
        .bt_emulated = BIT(0) | BIT(1) | BIT(7) | BIT(9) | BIT(10) | BIT(20),
    },
    [FEATURE_7_ECX] = {
        .where = "CPUID.07H:ECX",
        .names = {
            [1] = "avx512vbmi|avx512-vbmi", [2] = "umip", [3] = "pku",
            [5] = "waitpkg", [6] = "avx512vbmi2|avx512-vbmi2", [7] = "shstk",
            [8] = "gfni", [9] = "vaes", [10] = "vpclmulqdq",
            [11] = "avx512vnni|avx512-vnni", [12] = "avx512bitalg|avx512-bitalg",
            [14] = "avx512-vpopcntdq", [16] = "la57", [22] = "rdpid",
            [24] = "bus-lock-detect", [25] = "cldemote", [27] = "movdiri",
            [28] = "movdir64b", [30] = "sgxlc", [31] = "pks",
        },
        .bt_native = BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) |
            BIT(14),
        .bt_emulated = BIT(2) | BIT(22),
    },
    [FEATURE_7_EDX] = {
        .where = "CPUID.07H:EDX",
        .names = {
            [2] = "avx512-4vnniw", [3] = "avx512-4fmaps", [4] = "fsrm",
            [5] = "uintr", [8] = "avx512-vp2intersect", [10] = "md-clear",
            [14] = "serialize", [16] = "tsx-ldtrk", [19] = "arch-lbr", [20] = "ibt",
            [22] = "amx-bf16", [23] = "avx512-fp16", [24] = "amx-tile",
            [25] = "amx-int8", [26] = "spec-ctrl", [27] = "stibp",
            [28] = "flush-l1d", [29] = "arch-capabilities",
            [30] = "core-capability", [31] = "ssbd",
        },
        .bt_native = BIT(8) | BIT(14) | BIT(23),
        .bt_emulated = BIT(4) | BIT(10) | BIT(26) | BIT(27) | BIT(29) | BIT(31),
    },
    [FEATURE_7_1_EAX] = {
        .where = "CPUID.07H.01H:EAX",
        .names = {
            [4] = "avx-vnni", [5] = "avx512-bf16", [7] = "cmpccxadd", [10] = "fzrm",
            [11] = "fsrs", [12] = "fsrc", [21] = "amx-fp16", [22] = "hreset",
            [23] = "avx-ifma", [26] = "lam",
        },
        .bt_native = BIT(4) | BIT(5),
        .bt_emulated = BIT(10) | BIT(11) | BIT(12),
    },
    [FEATURE_7_2_EDX] = {
        .where = "CPUID.07H.02H:EDX",
        .names = {
            [0] = "intel-psfd", [1] = "ipred-ctrl", [2] = "rrsba-ctrl",
            [3] = "ddpd-u", [4] = "bhi-ctrl", [5] = "mcdt-no",
        },
        .bt_emulated = BIT(4) | BIT(5),
    },
    [FEATURE_EXT_EDX] = {
        .where = "CPUID.80000001H:EDX",
        .names = {
            [11] = "syscall", [19] = "mp", [20] = "nx|xd", [22] = "mmxext",
            [25] = "fxsr-opt|ffxsr", [26] = "pdpe1gb", [27] = "rdtscp",
            [29] = "lm|i64", [30] = "3dnowext", [31] = "3dnow",
        },
        .bt_native = BIT(22),
        .bt_emulated = BIT(11) | BIT(20) | BIT(25) | BIT(26) | BIT(27) | BIT(29),
    },
    [FEATURE_EXT_ECX] = {
        .where = "CPUID.80000001H:ECX",
        .names = {
            [0] = "lahf-lm", [1] = "cmp-legacy", [2] = "svm", [3] = "extapic",
            [4] = "cr8legacy", [5] = "abm|lzcnt", [6] = "sse4a",
            [7] = "misalignsse", [8] = "3dnowprefetch", [9] = "osvw", [10] = "ibs",
            [11] = "xop", [12] = "skinit", [13] = "wdt", [15] = "lwp",
            [16] = "fma4", [17] = "tce", [19] = "nodeid-msr", [21] = "tbm",
            [22] = "topoext", [23] = "perfctr-core", [24] = "perfctr-nb",
        },
        .bt_native = BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) |
            BIT(21),
        .bt_emulated = BIT(1) | BIT(22),
    },
    [FEATURE_EXT7_EDX] = {
        .where = "CPUID.80000007H:EDX",
        .names = {
            [8] = "invtsc",
        },
        .bt_emulated = BIT(8),
    },
    [FEATURE_EXT8_EBX] = {
        .where = "CPUID.80000008H:EBX",
        .names = {
            [0] = "clzero", [2] = "xsaveerptr", [4] = "rdpru", [9] = "wbnoinvd",
            [12] = "ibpb", [14] = "ibrs", [15] = "amd-stibp",
            [17] = "stibp-always-on", [24] = "amd-ssbd", [25] = "virt-ssbd",
            [26] = "amd-no-ssb", [28] = "amd-psfd", [29] = "btc-no",
            [30] = "ibpb-ret",
        },
        .bt_native = BIT(2),
        .bt_emulated = BIT(9) | BIT(12) | BIT(14) | BIT(15) | BIT(24) | BIT(26) | BIT(29)
            | BIT(30),
    },
    [FEATURE_EXT21_EAX] = {
        .where = "CPUID.80000021H:EAX",
        .names = {
            [0] = "no-nested-data-bp", [2] = "lfence-always-serializing",
            [6] = "null-sel-clr-base", [8] = "auto-ibrs", [27] = "sbpb",
            [28] = "ibpb-brtype", [29] = "srso-no",
        },
        .bt_native = BIT(2),
        .bt_emulated = BIT(0) | BIT(6) | BIT(8) | BIT(27) | BIT(28) | BIT(29),
    },
    [FEATURE_EXT21_ECX] = {
        .where = "CPUID.80000021H:ECX",
        .names = { [1] = "tsa-sq-no", [2] = "tsa-l1-no" },
        .bt_emulated = BIT(1) | BIT(2),
    },
    [FEATURE_6_EAX] = {
        .where = "CPUID.06H:EAX",
        .names = {
            [2] = "arat",
        },
        .bt_emulated = BIT(2),
    },
    [FEATURE_XSAVE_EAX] = {
        .where = "CPUID.0DH.01H:EAX",
        .names = {
            [0] = "xsaveopt", [1] = "xsavec", [2] = "xgetbv1", [3] = "xsaves",
        },
        .bt_native = BIT(0) | BIT(1) | BIT(2) | BIT(3),
    },
    [FEATURE_XCR0] = {
        .where = "CPUID.0DH.00H:EAX", /* follows from the features above */
    },
    [FEATURE_KVM_EAX] = {
        .where = "CPUID.40000001H:EAX",
        .names = {
            [0] = "kvmclock-old", [1] = "kvm-nopiodelay", [2] = "kvm-mmu",
            [3] = "kvmclock", [4] = "kvm-asyncpf", [5] = "kvm-steal-time",
            [6] = "kvm-pv-eoi", [7] = "kvm-pv-unhalt", [9] = "kvm-pv-tlb-flush",
            [10] = "kvm-asyncpf-vmexit", [11] = "kvm-pv-ipi",
            [12] = "kvm-poll-control", [13] = "kvm-pv-sched-yield",
            [14] = "kvm-asyncpf-int", [15] = "kvm-msi-ext-dest-id",
            [24] = "kvmclock-stable-bit",
        },
        .bt_emulated = BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(24),
    },
    [FEATURE_KVM_EDX] = {
        .where = "CPUID.40000001H:EDX",
        .names = {
            [0] = "kvm-hint-dedicated",
        },
        .bt_emulated = BIT(0),
    },
    [FEATURE_ARCH_CAPABILITIES] = {
        .where = "MSR(10AH)",
        .names = {
            [0] = "rdctl-no", [1] = "ibrs-all", [2] = "rsba",
            [3] = "skip-l1dfl-vmentry", [4] = "ssb-no", [5] = "mds-no",
            [6] = "pschange-mc-no", [7] = "tsx-ctrl", [8] = "taa-no",
            [13] = "sbdr-ssdp-no", [14] = "fbsdp-no", [15] = "psdp-no",
            [17] = "fb-clear", [19] = "rrsba", [20] = "bhi-no", [24] = "pbrsb-no",
            [26] = "gds-no", [27] = "rfds-no",
        },
        .bt_emulated = BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) |
            BIT(13) | BIT(14) | BIT(15) | BIT(20) | BIT(24) | BIT(26) | BIT(27),
    },
    [FEATURE_ARCH_CAPABILITIES_HIGH] = {
        .where = "MSR(10AH).high",
        .names = { [30] = "its-no" },
        .bt_emulated = BIT(30),
    },
};
/* clang-format on */

static char plain(char c)
{
    return c == '_' || c == '.' ? '-' : c;
}

/* Is `name` one of the '|'-separated alternatives? */
static bool name_matches(const char *alternatives, const char *name)
{
    for (const char *at = alternatives; *at; at += *at == '|') {
        const char *n = name;

        while (*at && *at != '|' && *n && plain(*at) == plain(*n)) {
            at++;
            n++;
        }
        if ((!*at || *at == '|') && !*n)
            return true;
        at += strcspn(at, "|");
    }
    return false;
}

bool feature_find(const char *name, enum x86_feature_word *word, unsigned *bit)
{
    for (unsigned w = 0; w < FEATURE_WORDS; w++) {
        for (unsigned n = 0; n < 32; n++) {
            if (feature_words[w].names[n] && name_matches(feature_words[w].names[n], name)) {
                *word = w;
                *bit = n;
                return true;
            }
        }
    }
    return false;
}
