/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef YADO_IMG_CREATE_H
#define YADO_IMG_CREATE_H

#include <jansson.h>

#include "util/util.h"

/* Creates an image, after looking at its backing file; `options` is completed (the size). Says
 * "Formatting …" unless `quiet`. `unsafe`: the backing file need not exist if a size is given. */
bool img_create_image(const char *filename, const char *format, json_t *options, bool unsafe,
                      bool quiet, GError **error);

#endif
