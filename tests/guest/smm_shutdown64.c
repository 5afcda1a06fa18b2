/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RSM with registers no processor can have shuts the processor down; the board resets (SDM vol. 3,
 * 32.5). Where there is no such mode, a triple fault takes its place. */
#include "smm.h"

void guest_main(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        word base;
    } nothing = { 0, 0 };
    apic_enable();
    check("before the shutdown", 1, 1);
    if (!smm_works())
        asm volatile("lidt %0; ud2" : : "m"(nothing));
    SMM_MAIL->command = SMM_BREAK;
    smm_send();
    die("the processor goes on after an impossible RSM");
}
