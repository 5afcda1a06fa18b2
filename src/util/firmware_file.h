/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where firmware images are found: -L folders first, then where Debian's packages put theirs. */
#ifndef YADO_UTIL_FIRMWARE_FILE_H
#define YADO_UTIL_FIRMWARE_FILE_H

#include "util/util.h"

/* The path of an image. A name with a slash is a path already, and so is one that exists in the
 * working folder; others are looked for. `folders` are char *, tried first; NULL: none. `option` is
 * for the message, which also names the package that has the file, if it is a known one. NULL and
 * an error if there is no such image. */
char *firmware_file_find(const GPtrArray *folders, const char *option, const char *name,
                         GError **error);

/* For -L help: one folder per line. */
void firmware_folders_print(const GPtrArray *folders);

#endif
