/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers. A switch for those with rules of their own, tables for what is only
 * stored or reads as a constant. (Intel SDM vol. 4; AMD APM vol. 2, appendix A) */
#include "util/log.h"
#include "x86/handlers.h"
#include "x86/model.h"

/* clang-format off */
enum {
    MSR_TSC = 0x10, MSR_KVM_WALL_CLOCK = 0x11, MSR_KVM_SYSTEM_TIME = 0x12, MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b, MSR_EBL_CR_POWERON = 0x2a, MSR_SMI_COUNT = 0x34,
    MSR_FEATURE_CONTROL = 0x3a, MSR_TSC_ADJUST = 0x3b, MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49,
    MSR_UCODE_WRITE = 0x79, MSR_SMBASE = 0x9e, MSR_UCODE_REV = 0x8b, MSR_PLATFORM_INFO = 0xce, MSR_MTRRCAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a, MSR_FLUSH_CMD = 0x10b, MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176, MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a, MSR_MCG_CTL = 0x17b, MSR_PERF_STATUS = 0x198, MSR_PERF_CTL = 0x199,
    MSR_CLOCK_MODULATION = 0x19a, MSR_THERM_INTERRUPT = 0x19b, MSR_THERM_STATUS = 0x19c,
    MSR_MISC_ENABLE = 0x1a0, MSR_TEMPERATURE_TARGET = 0x1a2, MSR_DEBUGCTL = 0x1d9,
    MSR_LASTBRANCH_FROM = 0x1db, MSR_LASTEXCEPTION_TO = 0x1de, MSR_MTRR_BASE0 = 0x200,
    MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K = 0x258, MSR_MTRR_FIX4K = 0x268, MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff, MSR_MC0_CTL = 0x400, MSR_TSC_DEADLINE = 0x6e0, MSR_XSS = 0xda0,
    MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff,
    MSR_KVM_FIRST = 0x4b564d00, MSR_KVM_LAST = 0x4b564dff,
};
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u
#define MSR_AMD_HWCR 0xc0010015u
#define MSR_AMD_DE_CFG 0xc0011029u

#define MCE_BANKS 10u
#define MCG_CTL_P (1u << 8)

/* Registers that read as a constant and take any write without effect: power management, chipset
 * and errata controls that operating systems touch by CPU family, without asking CPUID. */
static const struct constant_msr {
    uint32_t msr;
    uint64_t value;
} constant_msrs[] = {
    { MSR_PLATFORM_ID, 0 },
    { MSR_EBL_CR_POWERON, 0 },
    { MSR_UCODE_WRITE, 0 },
    { MSR_UCODE_REV, 0x100000000ull },
    { MSR_PLATFORM_INFO, 0 },
    { MSR_PERF_STATUS, 1000ull | 4ull << 40 },
    { MSR_PERF_CTL, 0 },
    { MSR_CLOCK_MODULATION, 0 },
    { MSR_THERM_INTERRUPT, 0 },
    { MSR_THERM_STATUS, 0 },
    { MSR_TEMPERATURE_TARGET, 0 },
    { MSR_DEBUGCTL, 0 },
    { 0x606, 0 }, /* RAPL units: none */
    { 0xc0010000, 0 }, { 0xc0010001, 0 }, { 0xc0010002, 0 }, { 0xc0010003, 0 }, /* AMD counters */
    { 0xc0010004, 0 }, { 0xc0010005, 0 }, { 0xc0010006, 0 }, { 0xc0010007, 0 },
    { 0xc0010010, 0 }, /* SYSCFG */
    { 0xc001001a, 0 }, /* TOP_MEM */
    { 0xc001001d, 0 }, /* TOP_MEM2 */
    { 0xc001001f, 0 }, /* NB_CFG */
    { 0xc0010020, 0 }, /* patch loader */
    { 0xc0010055, 0 }, /* interrupt pending message */
    { 0xc0010058, 0 }, /* MMIO configuration base */
    { 0xc0010112, 0 }, /* TSEG address */
    { 0xc0010113, 0 }, /* TSEG mask */
    { 0xc0010114, 0x10 }, /* VM_CR: SVM disabled */
    { 0xc0010140, 0 }, /* OSVW length */
    { 0xc0010141, 0 }, /* OSVW status */
    { 0xc0010299, 0 }, /* RAPL units */
    { 0xc0011020, 0 }, /* LS_CFG */
    { 0xc0011021, 0 }, /* IC_CFG */
    { 0xc0011022, 0 }, /* DC_CFG */
    { 0xc0011023, 0 }, /* TW_CFG */
    { MSR_AMD_DE_CFG, 2 }, /* LFENCE serializes */
    { 0xc001102a, 0 }, /* BU_CFG2 */
    { 0xc001102d, 0 }, /* LS_CFG2 */
};
/* clang-format on */

static bool constant_msr(uint32_t msr, uint64_t *value)
{
    for (unsigned n = 0; n < G_N_ELEMENTS(constant_msrs); n++) {
        if (constant_msrs[n].msr == msr) {
            *value = constant_msrs[n].value;
            return true;
        }
    }
    return false;
}

static bool msr_unknown(struct x86_cpu *cpu, const char *how, uint32_t msr)
{
    if (log_enabled(LOG_UNIMP)) {
        x86_quiesce(cpu);
        log_write("%s 0x%x at 0x%" G_GINT64_MODIFIER "x is not implemented: #GP\n", how, msr,
                  cpu->rip);
    }
    return false;
}

/* Registers that are only stored, where the model offers them: where they are kept, or NULL. */
static uint64_t *stored_msr(struct x86_cpu *cpu, uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_CS:
        return &cpu->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &cpu->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &cpu->sysenter_eip;
    case MSR_STAR:
        return &cpu->star;
    case MSR_LSTAR:
        return &cpu->lstar;
    case MSR_CSTAR:
        return &cpu->cstar;
    case MSR_SFMASK:
        return &cpu->sfmask;
    case MSR_FS_BASE:
        return &cpu->seg[SEG_FS].base;
    case MSR_GS_BASE:
        return &cpu->seg[SEG_GS].base;
    case MSR_KERNEL_GS_BASE:
        return &cpu->kernel_gs_base;
    case MSR_PAT:
        return &cpu->pat;
    case MSR_MISC_ENABLE:
        return &cpu->misc_enable;
    case MSR_AMD_HWCR:
        return &cpu->hwcr;
    case MSR_MTRR_DEF_TYPE:
        return &cpu->mtrr_def_type;
    case MSR_MTRR_FIX64K:
        return &cpu->mtrr_fixed[0];
    case MSR_MTRR_FIX16K:
    case MSR_MTRR_FIX16K + 1:
        return &cpu->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K];
    case MSR_MTRR_FIX4K ... MSR_MTRR_FIX4K + 7:
        return &cpu->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K];
    case MSR_MTRR_BASE0 ... MSR_MTRR_BASE0 + 2 * X86_MTRR_COUNT - 1:
        return msr & 1 ? &cpu->mtrr_mask[(msr - MSR_MTRR_BASE0) / 2]
                       : &cpu->mtrr_base[(msr - MSR_MTRR_BASE0) / 2];
    case MSR_MCG_STATUS:
        return &cpu->mcg_status;
    case MSR_MCG_CTL:
        return &cpu->mcg_ctl;
    case MSR_TSC_AUX:
        return x86_has(cpu, HAS_RDTSCP) || x86_has(cpu, HAS_RDPID) ? &cpu->tsc_aux : NULL;
    case MSR_TSC_ADJUST:
        return x86_has(cpu, HAS_TSC_ADJUST) ? &cpu->tsc_adjust : NULL;
    case MSR_SPEC_CTRL:
        return x86_has(cpu, HAS_SPEC_CTRL) || x86_has(cpu, FEATURE_EXT8_EBX, 14)
                       || x86_has(cpu, FEATURE_EXT8_EBX, 24)
                   ? &cpu->spec_ctrl
                   : NULL;
    case MSR_EFER:
        return &cpu->efer;
    default:
        return NULL;
    }
}

static bool is_engine_msr(uint32_t msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE
           || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static bool is_pv_msr(uint32_t msr)
{
    return msr == MSR_KVM_WALL_CLOCK || msr == MSR_KVM_SYSTEM_TIME
           || (msr >= MSR_KVM_FIRST && msr <= MSR_KVM_LAST);
}

bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
    const uint64_t *stored;

    if (is_engine_msr(msr) || is_pv_msr(msr)) {
        x86_quiesce(cpu);
        return is_pv_msr(msr) ? cpu->ops->pv_msr_read(cpu, msr, value)
                              : cpu->ops->apic_msr_read(cpu, msr, value);
    }
    stored = stored_msr(cpu, msr);
    if (stored) {
        *value = *stored;
        return true;
    }
    *value = 0;
    switch (msr) {
    case MSR_TSC:
        *value = cpu->ops->tsc_read(cpu);
        return true;
    case MSR_MTRRCAP:
        *value = X86_MTRR_COUNT | 1u << 8 | 1u << 10; /* fixed ranges, write combining */
        return x86_has(cpu, HAS_MTRR);
    case MSR_FEATURE_CONTROL:
        *value = cpu->feature_control | 1; /* locked: nothing it could enable is offered */
        return cpu->model->vendor != X86_VENDOR_AMD;
    case MSR_MCG_CAP:
        *value = MCE_BANKS | MCG_CTL_P;
        return x86_has(cpu, HAS_MCA);
    case MSR_ARCH_CAPABILITIES:
        *value = cpu->model->features[FEATURE_ARCH_CAPABILITIES]
                 | (uint64_t)cpu->model->features[FEATURE_ARCH_CAPABILITIES_HIGH] << 32;
        return x86_has(cpu, HAS_ARCH_CAPABILITIES);
    case MSR_SMI_COUNT:
        *value = cpu->smi_count;
        return cpu->model->vendor != X86_VENDOR_AMD || msr_unknown(cpu, "rdmsr", msr);
    case MSR_SMBASE: /* for the handler to know where it is; changed through the save area */
        *value = cpu->smbase;
        return cpu->smm || msr_unknown(cpu, "rdmsr", msr);
    case MSR_LASTBRANCH_FROM ... MSR_LASTEXCEPTION_TO:
        return true;
    case MSR_XSS:
        *value = cpu->xss;
        return x86_has(cpu, HAS_XSAVES) || msr_unknown(cpu, "rdmsr", msr);
    case MSR_MC0_CTL ... MSR_MC0_CTL + 4 * MCE_BANKS - 1:
        if (msr % 4 == 0)
            *value = cpu->mci_ctl[(msr - MSR_MC0_CTL) / 4];
        return true;
    default:
        return constant_msr(msr, value) || msr_unknown(cpu, "rdmsr", msr);
    }
}

static bool write_efer(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t allowed = EFER_LMA | (x86_has(cpu, HAS_SYSCALL) ? EFER_SCE : 0)
                       | (x86_has(cpu, HAS_LM) ? EFER_LME : 0)
                       | (x86_has(cpu, HAS_NX) ? EFER_NXE : 0)
                       | (x86_has(cpu, HAS_FFXSR) ? EFER_FFXSR : 0)
                       | (x86_has(cpu, FEATURE_EXT21_EAX, 8) ? EFER_AUTOIBRS : 0);
    uint64_t changed;

    if (value & ~allowed)
        return false;
    value = (value & ~(uint64_t)EFER_LMA) | (cpu->efer & EFER_LMA);
    changed = value ^ cpu->efer;
    if ((changed & EFER_LME) && (cpu->cr0 & CR0_PG))
        return false;
    cpu->efer = value;
    if (changed & EFER_NXE)
        cpu->ops->flush_all(cpu, false);
    cpu->ops->mode_changed(cpu);
    return true;
}

static void write_tsc(struct x86_cpu *cpu, uint64_t value)
{
    uint64_t delta = value - cpu->ops->tsc_read(cpu);

    cpu->tsc_offset += delta;
    cpu->tsc_adjust += delta;
    cpu->ops->mode_changed(cpu);
}

static bool memory_types_valid(uint64_t value, unsigned legal)
{
    for (unsigned n = 0; n < 64; n += 8)
        if (((value >> n) & 0xff) > 7 || !((legal >> ((value >> n) & 7)) & 1))
            return false;
    return true;
}
#define PAT_TYPES 0xf3u  /* 0, 1, 4, 5, 6, 7 */
#define MTRR_TYPES 0x73u /* 0, 1, 4, 5, 6 */

/* Rules for registers that are stored; false: #GP. */
static bool write_stored(struct x86_cpu *cpu, uint32_t msr, uint64_t value, uint64_t *stored)
{
    switch (msr) {
    case MSR_EFER:
        return write_efer(cpu, value);
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        if (!x86_canonical(cpu, value))
            return false;
        break;
    case MSR_SYSENTER_CS:
    case MSR_SFMASK:
        value = (uint32_t)value;
        break;
    case MSR_TSC_AUX:
        if (value >> 32)
            return false;
        break;
    case MSR_TSC_ADJUST:
        cpu->tsc_offset += value - *stored;
        *stored = value;
        cpu->ops->mode_changed(cpu);
        return true;
    case MSR_PAT:
        if (!memory_types_valid(value, PAT_TYPES))
            return false;
        break;
    case MSR_MTRR_DEF_TYPE:
        if ((value & ~0xcffull) || !((MTRR_TYPES >> (value & 7)) & 1) || (value & 0xf8))
            return false;
        break;
    case MSR_MTRR_FIX64K:
    case MSR_MTRR_FIX16K ... MSR_MTRR_FIX16K + 1:
    case MSR_MTRR_FIX4K ... MSR_MTRR_FIX4K + 7:
        if (!memory_types_valid(value, MTRR_TYPES))
            return false;
        break;
    case MSR_MCG_CTL:
        if (value != 0 && value != ~0ull)
            return false;
        break;
    }
    *stored = value;
    return true;
}

static bool write_machine_check(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    switch (msr % 4) {
    case 0: /* control: all bits or none, give or take bit 10 (a Linux workaround) */
        if (value != 0 && (value | (1ull << 10)) != ~0ull)
            return false;
        cpu->mci_ctl[(msr - MSR_MC0_CTL) / 4] = value;
        return true;
    case 1: /* status: can only be cleared */
        return value == 0;
    default:
        return true;
    }
}

bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
    uint64_t *stored, ignored;

    if (is_engine_msr(msr) || is_pv_msr(msr)) {
        x86_quiesce(cpu);
        return is_pv_msr(msr) ? cpu->ops->pv_msr_write(cpu, msr, value)
                              : cpu->ops->apic_msr_write(cpu, msr, value);
    }
    stored = stored_msr(cpu, msr);
    if (stored)
        return write_stored(cpu, msr, value, stored);
    switch (msr) {
    case MSR_TSC:
        write_tsc(cpu, value);
        return true;
    case MSR_MTRRCAP:
    case MSR_FEATURE_CONTROL:
    case MSR_SMI_COUNT:
    case MSR_SMBASE:
    case MSR_MCG_CAP:
    case MSR_ARCH_CAPABILITIES:
        return false;
    case MSR_PRED_CMD:
        return (value & ~0x81ull) == 0 && /* IBPB, SBPB */
               (x86_has(cpu, HAS_SPEC_CTRL) || x86_has(cpu, FEATURE_EXT8_EBX, 12));
    case MSR_FLUSH_CMD:
        return (value & ~1ull) == 0 && x86_has(cpu, FEATURE_7_EDX, 28);
    case MSR_XSS:
        return value == 0 && x86_has(cpu, HAS_XSAVES);
    case MSR_MC0_CTL ... MSR_MC0_CTL + 4 * MCE_BANKS - 1:
        return write_machine_check(cpu, msr, value);
    default:
        return constant_msr(msr, &ignored) || msr_unknown(cpu, "wrmsr", msr);
    }
}

enum x86_next x86_do_rdmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    need_cpl0(cpu);
    if (!x86_msr_read(cpu, cpu->regs[RCX], &value))
        x86_raise_error(cpu, VECTOR_GP, 0);
    cpu->regs[RAX] = (uint32_t)value;
    cpu->regs[RDX] = value >> 32;
    return insn_done(cpu, insn);
}

enum x86_next x86_do_wrmsr(struct x86_cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = cpu->regs[RDX] << 32 | (uint32_t)cpu->regs[RAX];

    need_cpl0(cpu);
    if (!x86_msr_write(cpu, cpu->regs[RCX], value))
        x86_raise_error(cpu, VECTOR_GP, 0);
    return insn_done_jump(cpu, insn);
}
