/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may do what with a node: every link says what its parent does with the child and what it lets
 * others do. A protocol turns the sum into locks against other processes. */
#include <string.h>

#include "block/graph.h"

static const char *permission_name(unsigned bits)
{
    return bits & BLOCK_PERM_READ              ? "consistent read"
           : bits & BLOCK_PERM_WRITE           ? "write"
           : bits & BLOCK_PERM_WRITE_UNCHANGED ? "write unchanged"
                                               : "resize";
}

static void node_sum(struct block_node *node, unsigned *perm, unsigned *shared)
{
    *perm = 0;
    *shared = BLOCK_PERM_ALL;
    for (guint i = 0; i < node->parents->len; i++) {
        struct block_child *link = node->parents->pdata[i];
        *perm |= link->perm;
        *shared &= link->shared;
    }
}

/* What `parent`, used as its own parents use it, needs of a child in this role. */
static void role_permissions(struct block_node *parent, enum block_role role, unsigned *perm,
                             unsigned *shared)
{
    const unsigned changes = BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;

    node_sum(parent, perm, shared);
    switch (role) {
    case BLOCK_ROLE_STORAGE:
        /* Metadata may be written even if the user only reads, and nobody else may touch it. */
        *shared |= BLOCK_PERM_WRITE_UNCHANGED;
        *perm |= parent->flags & BLOCK_OPEN_NO_IO ? 0 : BLOCK_PERM_READ;
        *perm |= parent->read_only ? 0 : changes;
        *shared &= ~changes;
        break;
    case BLOCK_ROLE_DATA:
        *shared |= BLOCK_PERM_WRITE_UNCHANGED;
        if (*perm & BLOCK_PERM_WRITE)
            *perm |= BLOCK_PERM_RESIZE;
        *shared &= ~BLOCK_PERM_RESIZE;
        break;
    case BLOCK_ROLE_BACKING:
        *perm &= BLOCK_PERM_READ;
        *shared = (*shared & BLOCK_PERM_WRITE ? changes : 0) | BLOCK_PERM_READ
                  | BLOCK_PERM_WRITE_UNCHANGED;
        break;
    case BLOCK_ROLE_FILTERED:
    case BLOCK_ROLE_ROOT:
        *shared |= BLOCK_PERM_WRITE_UNCHANGED;
        break;
    }
    if (parent->flags & BLOCK_OPEN_INACTIVE)
        *shared |= changes;
    if (parent->flags & BLOCK_OPEN_FORCE_SHARE)
        *shared = BLOCK_PERM_ALL;
}

static const char *link_user(const struct block_child *link)
{
    return link->parent ? link->parent->name : link->name;
}

/* Whether the users of a node contradict each other. */
static bool users_agree(struct block_node *node, GError **error)
{
    for (guint i = 0; i < node->parents->len; i++) {
        struct block_child *a = node->parents->pdata[i];
        for (guint j = 0; j < node->parents->len; j++) {
            struct block_child *b = node->parents->pdata[j];
            unsigned conflict = a->perm & ~b->shared;
            if (i != j && conflict)
                return fail(error,
                            "Conflicts with use by %s as '%s', which does not allow '%s' on %s",
                            link_user(b), b->parent ? b->name : "root", permission_name(conflict),
                            node->name);
        }
    }
    return true;
}

bool permissions_refresh(struct block_node *node, GError **error)
{
    unsigned perm, shared;

    node_sum(node, &perm, &shared);
    if (!users_agree(node, error))
        return false;
    if ((perm & (BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED)) && node->read_only)
        return fail(error, "Block node is read-only");
    for (guint i = 0; i < node->children->len; i++) {
        struct block_child *child = node->children->pdata[i];
        role_permissions(node, child->role, &perm, &shared);
        if (!block_set_permissions(child, perm, shared, error))
            return false;
    }
    node_sum(node, &perm, &shared);
    return !node->driver->set_permissions
           || node->driver->set_permissions(node, perm, shared, error);
}

bool block_set_permissions(struct block_child *child, unsigned perm, unsigned shared,
                           GError **error)
{
    unsigned old_perm = child->perm, old_shared = child->shared;

    if (perm == old_perm && shared == old_shared)
        return true;
    child->perm = perm;
    child->shared = shared;
    if (permissions_refresh(child->node, error))
        return true;
    child->perm = old_perm;
    child->shared = old_shared;
    permissions_refresh(child->node, NULL);
    return false;
}

struct block_child *child_link(struct block_node *parent, const char *name, enum block_role role,
                               struct block_node *node, unsigned perm, unsigned shared,
                               GError **error)
{
    struct block_child *child = g_new0(struct block_child, 1);

    *child = (struct block_child){ .name = g_strdup(name),
                                   .role = role,
                                   .parent = parent,
                                   .node = node,
                                   .shared = BLOCK_PERM_ALL };
    g_ptr_array_add(node->parents, child);
    if (parent) {
        g_ptr_array_add(parent->children, child);
        role_permissions(parent, role, &perm, &shared);
        if (!strcmp(name, "file"))
            parent->file = node;
        else if (!strcmp(name, "backing"))
            parent->backing = node;
    }
    if (block_set_permissions(child, perm, shared, error))
        return child;
    child_unlink(child);
    return NULL;
}

void child_unlink(struct block_child *child)
{
    struct block_node *parent = child->parent, *node = child->node;

    g_ptr_array_remove(node->parents, child);
    if (parent) {
        g_ptr_array_remove(parent->children, child);
        if (parent->file == node && !strcmp(child->name, "file"))
            parent->file = NULL;
        if (parent->backing == node && !strcmp(child->name, "backing"))
            parent->backing = NULL;
    }
    if (node->references > 1)
        permissions_refresh(node, NULL);
    block_unref(node);
    g_free(child->name);
    g_free(child);
}

struct block_child *block_attach(struct block_node *node, const char *user, unsigned perm,
                                 unsigned shared, GError **error)
{
    return child_link(NULL, user, BLOCK_ROLE_ROOT, block_ref(node), perm, shared, error);
}

void block_detach(struct block_child *child)
{
    if (child)
        child_unlink(child);
}
