/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guests of system management mode share with their handler (smm_handler.S). */
#ifndef YADO_GUEST_SMM_H
#define YADO_GUEST_SMM_H

#include "apic.h"

#define SMBASE_AT_RESET 0x30000u
#define APIC_SMI 0x200

/* At SMM_MAIL: what the handler saw, and what it shall do. */
#define SMM_MAIL ((volatile struct smm_mail *)0x6000)
struct smm_mail {
    uint32_t count; /* of entries */
    uint32_t cs, cr0, cr4, efer, flags, dr7;
    uint32_t command, argument;
    uint32_t nmis; /* taken by the guest, as the handler saw it on leaving */
    uint32_t smbase_msr;
};
enum { SMM_NOTHING, SMM_RELOCATE, SMM_SET_RBX, SMM_SEND, SMM_HALT_AGAIN, SMM_BREAK };

/* The save area's fields, from SMBASE (AMD APM vol. 2, table 10-1). */
#define SAVED_CS 0xfe10
#define SAVED_DS 0xfe30
#define SAVED_GDTR_BASE 0xfe68
#define SAVED_TR 0xfe90
#define SAVED_HALT 0xfec9
#define SAVED_EFER 0xfed0
#define SAVED_REVISION 0xfefc
#define SAVED_SMBASE 0xff00
#define SAVED_CR4 0xff48
#define SAVED_CR3 0xff50
#define SAVED_CR0 0xff58
#define SAVED_RFLAGS 0xff70
#define SAVED_RIP 0xff78
#define SAVED_RBX 0xffe0
#define SAVED_RAX 0xfff8

extern char smm_handler[], smm_handler_end[];

static inline void smm_install(uint32_t smbase)
{
    memcpy((void *)(word)(smbase + 0x8000), smm_handler, smm_handler_end - smm_handler);
}
/* Destination of the processor's SMIs to itself. */
static inline void smm_aim(void)
{
    apic_write(APIC_ICR_HIGH, apic_read(APIC_ID));
}
static inline void smm_send(void)
{
    apic_write(APIC_ICR_LOW, APIC_ASSERT | APIC_SMI);
}
/* One that shows whether there is this mode. */
static inline bool smm_works(void)
{
    memset((void *)SMM_MAIL, 0, sizeof(*SMM_MAIL));
    smm_install(SMBASE_AT_RESET);
    smm_aim();
    smm_send();
    for (unsigned i = 0; i < 1000 && !SMM_MAIL->count; i++)
        asm volatile("pause");
    return SMM_MAIL->count;
}

#endif
