/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the VGA. */
#ifndef YADO_HW_DISPLAY_VGA_INTERNAL_H
#define YADO_HW_DISPLAY_VGA_INTERNAL_H

#include "hw/display/vga.h"

/* A mode of Bochs' extensions is shown. */
bool vga_vbe_on(const struct vga *vga);
/* How many bytes so many pixels take in it. */
unsigned vga_vbe_bytes(const struct vga *vga, unsigned pixels);

#endif
