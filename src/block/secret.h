/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passphrases by name, as -object secret,id=… gives them. Main thread. */
#ifndef YADO_BLOCK_SECRET_H
#define YADO_BLOCK_SECRET_H

#include "block/options.h"

/* `options`: id, and data or file, and format (raw, base64); taken. */
bool block_secret_add(json_t *options, GError **error);
/* The bytes, valid as long as the program runs; NULL and an error if there is none. */
const uint8_t *block_secret_find(const char *id, size_t *size, GError **error);

#endif
