/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Architectural state of one x86-64 processor, the same for every engine: a machine that runs under
 * KVM can go on under the translator and back.
 *
 * Ownership: a vCPU's state belongs to its thread while it runs; others may look at it only while
 * the vCPU is stopped. What other threads do to a running vCPU goes through struct vcpu
 * (engine.h). */
#ifndef YADO_X86_CPU_H
#define YADO_X86_CPU_H

#include "util/util.h"

enum x86_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum x86_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* RFLAGS (Intel SDM vol. 1, 3.4.3) */
#define FLAG_CF (1u << 0)
#define FLAG_FIXED (1u << 1)
#define FLAG_PF (1u << 2)
#define FLAG_AF (1u << 4)
#define FLAG_ZF (1u << 6)
#define FLAG_SF (1u << 7)
#define FLAG_TF (1u << 8)
#define FLAG_IF (1u << 9)
#define FLAG_DF (1u << 10)
#define FLAG_OF (1u << 11)
#define FLAG_IOPL (3u << 12)
#define FLAG_IOPL_SHIFT 12
#define FLAG_NT (1u << 14)
#define FLAG_RF (1u << 16)
#define FLAG_VM (1u << 17)
#define FLAG_AC (1u << 18)
#define FLAG_VIF (1u << 19)
#define FLAG_VIP (1u << 20)
#define FLAG_ID (1u << 21)
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* Control registers (Intel SDM vol. 3, 2.5) */
#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_MCE (1u << 6)
#define CR4_PGE (1u << 7)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_LA57 (1u << 12)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)
#define CR4_PKE (1u << 22)
#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)
#define EFER_FFXSR (1u << 14)
#define EFER_AUTOIBRS (1u << 21)

enum x86_vector {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_XM = 19,
};

/* A segment register with its hidden part. `attr` holds the descriptor's attribute bits as VMX
 * access rights do: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15; bit 16 "unusable"
 * (loaded with a null selector). `limit` is in bytes, already scaled by G.
 * (Intel SDM vol. 3, 3.4.5 and 25.4.1) */
struct x86_segment {
    uint64_t base;
    uint32_t limit;
    uint32_t attr;
    uint16_t selector;
};
#define SEG_ATTR_TYPE 0xfu
#define SEG_ATTR_ACCESSED 1u
#define SEG_ATTR_WRITABLE 2u /* data: writable; code: readable */
#define SEG_ATTR_DOWN 4u     /* data: expands down; code: conforming */
#define SEG_ATTR_CODE 8u
#define SEG_ATTR_S (1u << 4)
#define SEG_ATTR_DPL_SHIFT 5
#define SEG_ATTR_P (1u << 7)
#define SEG_ATTR_AVL (1u << 12)
#define SEG_ATTR_L (1u << 13)
#define SEG_ATTR_DB (1u << 14)
#define SEG_ATTR_G (1u << 15)
#define SEG_ATTR_UNUSABLE (1u << 16)

struct x86_table {
    uint64_t base;
    uint16_t limit;
};

#define X86_XSAVE_BYTES 4096
#define X86_MTRR_COUNT 8

struct x86_cpu;
struct x86_model;
struct x86_walk;

/* What x86 code needs from the engine that runs it. All are called on the vCPU's own thread.
 * Only engines that execute privileged instructions in C (BT) set these. */
struct x86_engine_ops {
    /* Does not return: unwinds to the engine's loop, which delivers the exception recorded in
     * cpu->fault_* at cpu->rip (x86_raise() fills them). */
    void (*unwind)(struct x86_cpu *cpu) __attribute__((noreturn));
    /* Host pointer for an access of `size` bytes at linear `addr` if the engine has it at hand (and
     * it is RAM, with the right permission, not crossing a page), else NULL: walk the tables. */
    void *(*lookup)(struct x86_cpu *cpu, uint64_t addr, unsigned size, unsigned access);
    /* Host pointer to the start of the 4 KiB page of guest RAM that holds `gpa`, for reading; NULL
     * if it is not RAM. Page tables are read through it. */
    void *(*ram)(struct x86_cpu *cpu, uint64_t gpa);
    /* May be NULL. Tells the engine's TLB of a successful walk and returns the host pointer of
     * `addr` if later accesses of this kind may go straight to memory, else NULL (a device, a page
     * that holds translated code). */
    void *(*fill)(struct x86_cpu *cpu, uint64_t addr, unsigned access, const struct x86_walk *walk);
    /* Paging changed. `keep_global`: entries of global pages may stay (CR3 load). */
    void (*flush_all)(struct x86_cpu *cpu, bool keep_global);
    void (*flush_page)(struct x86_cpu *cpu, uint64_t addr);
    /* CR0, CR4, EFER, XCR0, CPL, code size, RFLAGS.AC, debug registers or segments may have
     * changed. Not called for the bases of FS and GS in 64-bit code: they are to be read as code
     * runs. */
    void (*mode_changed)(struct x86_cpu *cpu);
    /* Physical memory as the guest sees it, with devices. */
    uint64_t (*phys_read)(struct x86_cpu *cpu, uint64_t gpa, unsigned size);
    void (*phys_write)(struct x86_cpu *cpu, uint64_t gpa, uint64_t value, unsigned size);
    /* Compare-and-swap on guest RAM (page table A/D bits); false if the value had changed. */
    bool (*phys_cas)(struct x86_cpu *cpu, uint64_t gpa, uint64_t old, uint64_t value,
                     unsigned size);
    uint64_t (*io_read)(struct x86_cpu *cpu, uint16_t port, unsigned size);
    void (*io_write)(struct x86_cpu *cpu, uint16_t port, uint64_t value, unsigned size);
    /* Local APIC: task priority (CR8), base and x2APIC MSRs; false means #GP. */
    uint8_t (*apic_tpr_read)(struct x86_cpu *cpu);
    void (*apic_tpr_write)(struct x86_cpu *cpu, uint8_t tpr_class);
    bool (*apic_msr_read)(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
    bool (*apic_msr_write)(struct x86_cpu *cpu, uint32_t msr, uint64_t value);
    /* KVM paravirtual MSRs (clock, steal time, …); false means #GP. */
    bool (*pv_msr_read)(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
    bool (*pv_msr_write)(struct x86_cpu *cpu, uint32_t msr, uint64_t value);
    /* hlt: the vCPU sleeps until an interrupt once the current instruction is over. */
    void (*halt)(struct x86_cpu *cpu);
    /* Interrupts may have become deliverable (IF, TPR, interrupt shadow). */
    void (*interrupts_changed)(struct x86_cpu *cpu);
    /* Guest vector/x87 registers between the host's and cpu->xsave (see fpu_in_host). */
    void (*fpu_to_memory)(struct x86_cpu *cpu);
    void (*fpu_from_memory)(struct x86_cpu *cpu);
    /* After each data access while cpu->watched, except those the processor makes by itself. */
    void (*accessed)(struct x86_cpu *cpu, uint64_t addr, unsigned size, bool write);
    /* Host TSC as the guest sees it. */
    uint64_t (*tsc_read)(struct x86_cpu *cpu);
};

struct x86_cpu {
    uint64_t regs[16]; /* indexed by enum x86_reg */
    uint64_t rip;
    uint64_t rflags; /* all bits, bit 1 set; inside translated code the arithmetic ones are stale */
    struct x86_segment seg[SEG_COUNT], ldt, tr;
    struct x86_table gdt, idt;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t cr8;   /* only for saved state; at run time the local APIC holds it */
    uint64_t dr[8]; /* dr[4], dr[5] unused */
    uint64_t efer;
    uint64_t xcr0, xss;
    uint64_t pdpte[4]; /* PAE paging: loaded with CR3 */

    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_aux, tsc_offset, tsc_adjust, misc_enable, apic_base, spec_ctrl;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[X86_MTRR_COUNT], mtrr_mask[X86_MTRR_COUNT];
    uint64_t hwcr; /* AMD hardware configuration */
    uint64_t mcg_status, mcg_ctl, mci_ctl[32], smbase, feature_control;
    uint64_t smi_count;
    /* KVM's paravirtual MSRs (Linux, Documentation/virt/kvm/x86/msr.rst). [BT] */
    uint64_t kvm_wall_clock, kvm_system_time, kvm_steal_time, kvm_pv_eoi;

    uint64_t a20_mask; /* all ones, or with bit 20 clear */

    /* Exception being raised or delivered, see x86_raise(). */
    uint64_t fault_addr; /* #PF: CR2 */
    uint32_t fault_error;
    uint8_t fault_vector;
    bool fault_has_error;
    bool fault_is_soft; /* int n, int3, into: return address is the next instruction */

    /* Event whose delivery is under way (enum x86_delivering): what a second fault makes of it. */
    uint8_t delivering;
    /* #DB: bits to report in DR6 (B0-B3, BD, BS, BT), put there by whoever raises it. Data
     * breakpoints hit by an instruction collect in debug_pending; the trap is due after it. */
    uint32_t fault_dr6, debug_pending;

    bool watched;     /* a debugger wants to know of data accesses: ops->accessed */
    bool watch_hit;   /* and of one made by this instruction; a string instruction stops after it */
    bool single_step; /* a debugger runs this instruction alone */

    uint8_t cpl; /* always equal to SS.DPL / 3 in V86 mode / 0 in real mode */
    bool halted;
    bool int_shadow;  /* sti, mov ss: no interrupt before the next instruction is done */
    bool nmi_blocked; /* until iret */
    bool nmi_pending;
    uint64_t ignne;       /* IGNNE#: x87 errors are ignored while CR0.NE is clear */
    bool smm;             /* in system management mode */
    bool smi_pending;     /* an SMI waits for the end of an instruction, or of this mode */
    bool smm_nmi_blocked; /* in system management mode: nmi_blocked as it was before */
    bool init_pending;    /* an INIT came in system management mode and waits for its end */
    bool wait_for_sipi;   /* application processor between INIT and SIPI */

    bool fpu_in_host; /* [BT] guest x87/vector registers are in the host's, not in xsave */

    unsigned index;                /* vCPU number, equals initial APIC id here */
    const struct x86_model *model; /* CPUID */
    const struct x86_engine_ops *ops;
    void *engine; /* the engine's own per-vCPU data */

    /* Standard (not compacted) format; and a second area for xsave.c, while it works. */
    uint8_t xsave[X86_XSAVE_BYTES] __attribute__((aligned(64)));
    uint8_t xsave_scratch[X86_XSAVE_BYTES] __attribute__((aligned(64)));
};

static inline bool x86_long_mode(const struct x86_cpu *cpu) /* LMA: 64-bit or compatibility */
{
    return cpu->efer & EFER_LMA;
}
static inline bool x86_code64(const struct x86_cpu *cpu)
{
    return (cpu->efer & EFER_LMA) && (cpu->seg[SEG_CS].attr & SEG_ATTR_L);
}
static inline bool x86_protected(const struct x86_cpu *cpu)
{
    return cpu->cr0 & CR0_PE;
}
static inline bool x86_v86(const struct x86_cpu *cpu)
{
    return (cpu->rflags & FLAG_VM) && (cpu->cr0 & CR0_PE);
}

/* Power-on or INIT state (Intel SDM vol. 3, table 10-1). INIT keeps x87/vector state, caches, MTRRs
 * and most MSRs. */
void x86_cpu_reset(struct x86_cpu *cpu, bool init);

#endif
