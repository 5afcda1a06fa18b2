/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named models: the processors that clusters and libvirt's CPU map know by these names. */
#include "x86/model_features.h"

#define BASE32 \
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr " \
    "sse sse2 "
#define BASE64 BASE32 "syscall nx lm "

/* clang-format off */
const struct named_model named_models[] = {
    { "qemu64", NULL, X86_VENDOR_AMD, 15, 107, 1, 0xd, 0x8000000a, "QEMU Virtual CPU version 2.5+",
      BASE64 "sse3 cx16 lahf-lm" },
    { "qemu32", NULL, X86_VENDOR_INTEL, 6, 6, 3, 4, 0x80000004, "QEMU Virtual CPU version 2.5+",
      BASE32 "sse3" },
    { "kvm64", NULL, X86_VENDOR_INTEL, 15, 6, 1, 0xd, 0x80000008, "Common KVM processor",
      BASE64 "sse3 cx16" },
    { "kvm32", NULL, X86_VENDOR_INTEL, 15, 6, 1, 5, 0x80000008, "Common 32-bit KVM processor",
      BASE32 "sse3" },
    { "Conroe", NULL, X86_VENDOR_INTEL, 6, 15, 3, 10, 0x80000008,
      "Intel Celeron_4x0 (Conroe/Merom Class Core 2)", BASE64 "sse3 ssse3 lahf-lm" },
    { "Penryn", "Conroe", X86_VENDOR_INTEL, 6, 23, 3, 10, 0x80000008,
      "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", "cx16 sse4.1" },
    { "Nehalem", "Penryn", X86_VENDOR_INTEL, 6, 26, 3, 11, 0x80000008,
      "Intel Core i7 9xx (Nehalem Class Core i7)", "sse4.2 popcnt" },
    { "Westmere", "Nehalem", X86_VENDOR_INTEL, 6, 44, 1, 11, 0x80000008,
      "Westmere E56xx/L56xx/X56xx (Nehalem-C)", "aes pclmulqdq arat" },
    { "SandyBridge", "Westmere", X86_VENDOR_INTEL, 6, 42, 1, 0xd, 0x80000008,
      "Intel Xeon E312xx (Sandy Bridge)", "avx xsave xsaveopt tsc-deadline x2apic rdtscp" },
    { "IvyBridge", "SandyBridge", X86_VENDOR_INTEL, 6, 58, 9, 0xd, 0x80000008,
      "Intel Xeon E3-12xx v2 (Ivy Bridge)", "f16c rdrand fsgsbase smep erms" },
    { "Haswell", "IvyBridge", X86_VENDOR_INTEL, 6, 60, 4, 0xd, 0x80000008,
      "Intel Core Processor (Haswell)",
      "fma pcid movbe bmi1 hle avx2 bmi2 invpcid rtm" },
    { "Broadwell", "Haswell", X86_VENDOR_INTEL, 6, 61, 2, 0xd, 0x80000008,
      "Intel Core Processor (Broadwell)", "abm 3dnowprefetch rdseed adx smap" },
    { "Skylake-Client", "Broadwell", X86_VENDOR_INTEL, 6, 94, 3, 0xd, 0x80000008,
      "Intel Core Processor (Skylake)", "xsavec xgetbv1" },
    { "Skylake-Server", "Skylake-Client", X86_VENDOR_INTEL, 6, 85, 4, 0xd, 0x80000008,
      "Intel Xeon Processor (Skylake)",
      "pdpe1gb clwb clflushopt avx512f avx512dq avx512bw avx512cd avx512vl" },
    { "Cascadelake-Server", "Skylake-Server", X86_VENDOR_INTEL, 6, 85, 6, 0xd, 0x80000008,
      "Intel Xeon Processor (Cascadelake)",
      "avx512vnni spec-ctrl ssbd arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry mds-no" },
    { "Cooperlake", "Cascadelake-Server", X86_VENDOR_INTEL, 6, 85, 10, 0xd, 0x80000008,
      "Intel Xeon Processor (Cooperlake)", "stibp avx512-bf16 pschange-mc-no taa-no" },
    { "Icelake-Server", "Cascadelake-Server", X86_VENDOR_INTEL, 6, 134, 0, 0xd, 0x80000008,
      "Intel Xeon Processor (Icelake)",
      "wbnoinvd avx512vbmi umip avx512vbmi2 gfni vaes vpclmulqdq avx512bitalg avx512-vpopcntdq "
      "avx512ifma sha-ni rdpid fsrm" },
    { "SapphireRapids", "Icelake-Server", X86_VENDOR_INTEL, 6, 143, 4, 0xd, 0x80000008,
      "Intel Xeon Processor (SapphireRapids)",
      "avx512-bf16 avx-vnni avx512-fp16 serialize fzrm fsrs fsrc tsc-adjust" },
    { "Opteron_G1", NULL, X86_VENDOR_AMD, 15, 6, 1, 5, 0x80000008,
      "AMD Opteron 240 (Gen 1 Class Opteron)", BASE64 "sse3" },
    { "Opteron_G2", "Opteron_G1", X86_VENDOR_AMD, 15, 6, 1, 5, 0x80000008,
      "AMD Opteron 22xx (Gen 2 Class Opteron)", "cx16 lahf-lm" },
    { "Opteron_G3", "Opteron_G2", X86_VENDOR_AMD, 16, 2, 3, 5, 0x80000008,
      "AMD Opteron 23xx (Gen 3 Class Opteron)", "popcnt rdtscp misalignsse sse4a abm" },
    { "Opteron_G4", "Opteron_G3", X86_VENDOR_AMD, 21, 1, 2, 0xd, 0x8000001a,
      "AMD Opteron 62xx class CPU",
      "pclmulqdq ssse3 sse4.1 sse4.2 aes xsave avx pdpe1gb 3dnowprefetch xop fma4" },
    { "Opteron_G5", "Opteron_G4", X86_VENDOR_AMD, 21, 2, 0, 0xd, 0x8000001a,
      "AMD Opteron 63xx class CPU", "fma f16c tbm" },
    { "EPYC", NULL, X86_VENDOR_AMD, 23, 1, 2, 0xd, 0x8000001e, "AMD EPYC Processor",
      BASE64 "sse3 pclmulqdq ssse3 fma cx16 sse4.1 movbe sse4.2 popcnt aes xsave avx f16c rdrand "
      "fsgsbase bmi1 avx2 smep bmi2 rdseed adx smap clflushopt sha-ni mmxext fxsr-opt pdpe1gb "
      "rdtscp lahf-lm abm sse4a misalignsse 3dnowprefetch topoext xsaveopt xsavec xgetbv1 arat" },
    { "EPYC-Rome", "EPYC", X86_VENDOR_AMD, 23, 49, 0, 0xd, 0x8000001e, "AMD EPYC-Rome Processor",
      "clwb umip rdpid xsaveerptr wbnoinvd ibpb amd-stibp amd-ssbd" },
    { "EPYC-Milan", "EPYC-Rome", X86_VENDOR_AMD, 25, 1, 1, 0xd, 0x8000001e,
      "AMD EPYC-Milan Processor", "pcid erms invpcid fsrm ibrs vaes vpclmulqdq" },
    { "EPYC-Genoa", "EPYC-Milan", X86_VENDOR_AMD, 25, 17, 0, 0xd, 0x80000022,
      "AMD EPYC-Genoa Processor",
      "avx512f avx512dq avx512ifma avx512cd avx512bw avx512vl avx512vbmi avx512vbmi2 gfni "
      "avx512vnni avx512bitalg avx512-vpopcntdq avx512-bf16 amd-no-ssb auto-ibrs "
      "null-sel-clr-base lfence-always-serializing no-nested-data-bp" },
};
/* clang-format on */
const unsigned named_model_count = G_N_ELEMENTS(named_models);
