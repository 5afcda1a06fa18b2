/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the core: nodes and the links between them (node.c, permission.c, open.c). Main thread. */
#ifndef YADO_BLOCK_GRAPH_H
#define YADO_BLOCK_GRAPH_H

#include "block/driver.h"

/* A node without children, not yet opened. `name` may be NULL. NULL and an error if it is taken. */
struct block_node *node_new(const struct block_driver *driver, const char *name, GError **error);
/* Frees a node and its children; its driver has been closed, or never opened. */
void node_free(struct block_node *node);

/* Links `node` below `parent` (NULL: a root) and takes over the caller's reference, also on
 * failure. The permissions are set as the role says; for a root, as given. */
struct block_child *child_link(struct block_node *parent, const char *name, enum block_role role,
                               struct block_node *node, unsigned perm, unsigned shared,
                               GError **error);
/* Unlinks, drops the reference, frees. */
void child_unlink(struct block_child *child);

/* Recomputes what a node's children must allow, after its own parents' permissions or its read_only
 * changed. On failure the node's children are as they were. */
bool permissions_refresh(struct block_node *node, GError **error);

/* Opens the backing file that options ("backing": {…}, a name or null) or the header name, if any.
 */
bool block_open_backing(struct block_node *node, json_t *options, GError **error);

/* Whether a backing file of this name is one of those being opened right now: a cycle. */
bool open_is_cyclic(const char *filename);

#endif
