/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System management mode for engines that execute privileged instructions in C. The engine counts
 * cpu->smi_pending as an event between instructions, above NMI, unless cpu->smm is set already; RSM
 * is an instruction like others. (Intel SDM vol. 3, chapter 32; AMD APM vol. 2, chapter 10) */
#ifndef YADO_X86_SMM_H
#define YADO_X86_SMM_H

#include "x86/cpu.h"

/* Saves the state at SMBASE + 0xfe00, in the AMD64 layout that QEMU has too whatever the model, and
 * starts the handler at SMBASE + 0x8000. Guest vector registers may be live. */
void x86_smm_enter(struct x86_cpu *cpu);

#endif
