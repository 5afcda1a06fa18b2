/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86/access.h"
#include "x86/model.h"

#define RESET_DR6 0xffff0ff0u
#define RESET_DR7 0x400u
#define RESET_PAT 0x0007040600070406ull
#define RESET_MISC_ENABLE (1u << 0 | 1u << 11 | 1u << 12) /* fast strings; no BTS, no PEBS */
#define APIC_BASE_DEFAULT 0xfee00000u
#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_ENABLED (1u << 11)
#define RESET_FCW 0x40u
#define RESET_MXCSR 0x1f80u

static void reset_segments(struct x86_cpu *cpu)
{
    for (unsigned n = 0; n < SEG_COUNT; n++)
        cpu->seg[n] = (struct x86_segment){ .limit = 0xffff, .attr = 0x93 };
    cpu->seg[SEG_CS] = (struct x86_segment){
        .base = 0xffff0000u, .limit = 0xffff, .attr = 0x9b, .selector = 0xf000
    };
    cpu->ldt = (struct x86_segment){ .limit = 0xffff, .attr = 0x82 };
    cpu->tr = (struct x86_segment){ .limit = 0xffff, .attr = 0x8b };
    cpu->gdt = cpu->idt = (struct x86_table){ .limit = 0xffff };
}

static void reset_fpu(struct x86_cpu *cpu)
{
    cpu->fpu_in_host = false;
    x86_zero(cpu->xsave, sizeof(cpu->xsave));
    *(uint16_t *)cpu->xsave = RESET_FCW;
    cpu->xsave[4] = 0xff; /* abridged tag word: all registers hold a value, +0.0 */
    *(uint32_t *)(cpu->xsave + 24) = RESET_MXCSR;
    *(uint64_t *)(cpu->xsave + 512) = 3; /* x87 and SSE images are valid */
}

/* What INIT leaves alone and power-on clears. */
static void reset_msrs(struct x86_cpu *cpu)
{
    cpu->xcr0 = 1;
    cpu->xss = 0;
    cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->pat = RESET_PAT;
    cpu->tsc_aux = cpu->tsc_adjust = 0;
    cpu->misc_enable = RESET_MISC_ENABLE;
    cpu->apic_base = APIC_BASE_DEFAULT | APIC_BASE_ENABLED | (cpu->index ? 0 : APIC_BASE_BSP);
    cpu->spec_ctrl = 0;
    cpu->hwcr = 1ull << 24; /* TscFreqSel: the TSC counts at P0 frequency */
    cpu->mtrr_def_type = 0;
    for (unsigned n = 0; n < G_N_ELEMENTS(cpu->mtrr_fixed); n++)
        cpu->mtrr_fixed[n] = 0;
    for (unsigned n = 0; n < X86_MTRR_COUNT; n++)
        cpu->mtrr_base[n] = cpu->mtrr_mask[n] = 0;
    cpu->mcg_status = 0;
    cpu->mcg_ctl = ~0ull;
    for (unsigned n = 0; n < G_N_ELEMENTS(cpu->mci_ctl); n++)
        cpu->mci_ctl[n] = ~0ull;
    cpu->smbase = 0x30000;
    cpu->smi_count = 0;
    cpu->kvm_wall_clock = cpu->kvm_system_time = cpu->kvm_steal_time = cpu->kvm_pv_eoi = 0;
    cpu->feature_control = 0;
}

void x86_cpu_reset(struct x86_cpu *cpu, bool init)
{
    for (unsigned n = 0; n < 16; n++)
        cpu->regs[n] = 0;
    cpu->regs[RDX] = cpu->model ? cpu->model->signature : 0; /* as CPUID 1 gives in EAX */
    cpu->rip = 0xfff0;
    cpu->rflags = FLAG_FIXED;
    reset_segments(cpu);
    cpu->cr0 = CR0_ET | (init ? cpu->cr0 & (CR0_NW | CR0_CD) : CR0_NW | CR0_CD);
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->cr8 = 0;
    for (unsigned n = 0; n < 4; n++)
        cpu->dr[n] = cpu->pdpte[n] = 0;
    cpu->dr[6] = RESET_DR6;
    cpu->dr[7] = RESET_DR7;
    cpu->efer = 0;

    cpu->fault_addr = 0;
    cpu->fault_error = cpu->fault_dr6 = cpu->debug_pending = 0;
    cpu->fault_vector = 0;
    cpu->fault_has_error = cpu->fault_is_soft = false;
    cpu->delivering = 0;
    cpu->cpl = 0;
    cpu->halted = cpu->int_shadow = cpu->nmi_blocked = cpu->nmi_pending = cpu->smm = false;
    cpu->smm_nmi_blocked = cpu->init_pending = false;
    cpu->ignne = false;
    cpu->wait_for_sipi = cpu->index != 0;
    if (!init) {
        cpu->a20_mask = ~0ull;
        cpu->smi_pending = false;
        reset_msrs(cpu);
        reset_fpu(cpu);
    }
}
