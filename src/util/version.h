/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef YADO_UTIL_VERSION_H
#define YADO_UTIL_VERSION_H

/* QEMU's version whose options, messages and monitor commands these are; programs look at it. */
#define QEMU_VERSION "7.2.0"

#endif
