/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Encrypted images. */
#include "block/qcow2/qcow2.h"

bool qcow2_crypto_open(struct qcow2 *s, json_t *options, GError **error)
{
    if (s->header.crypt_method == QCOW2_CRYPT_NONE || (s->node->flags & BLOCK_OPEN_NO_IO))
        return true;
    return fail(error, "Encrypted images are not supported");
}

void qcow2_crypto_close(struct qcow2 *s)
{
}

bool qcow2_crypto_create(struct block_node *file, json_t *options, GError **error)
{
    return fail(error, "Encrypted images are not supported");
}

json_t *qcow2_crypto_info(struct qcow2 *s)
{
    return NULL;
}

int qcow2_encrypt(struct qcow2 *s, uint64_t host_offset, uint64_t guest_offset, void *data,
                  size_t length)
{
    return -ENOTSUP;
}

int qcow2_decrypt(struct qcow2 *s, uint64_t host_offset, uint64_t guest_offset, void *data,
                  size_t length)
{
    return -ENOTSUP;
}
