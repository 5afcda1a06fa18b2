/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fault while delivering a double fault shuts the processor down; the board resets
 * (SDM vol. 3, 6.15 "Double Fault"). With -no-reboot the program then ends. */
#include "guest.h"

void guest_main(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        word base;
    } nothing = { 0, 0 };
    check("before the triple fault", 1, 1);
    asm volatile("lidt %0; ud2" : : "m"(nothing));
    die("the processor goes on after a triple fault");
}
