/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guards and gates: waiting for requests that are under way, at the cost of one atomic operation
 * for those that nobody waits for. */
#include "block/io.h"

void block_guard_init(struct block_guard *guard)
{
    pthread_mutex_init(&guard->lock, NULL);
    pthread_cond_init(&guard->emptied, NULL);
}

void block_guard_destroy(struct block_guard *guard)
{
    pthread_mutex_destroy(&guard->lock);
    pthread_cond_destroy(&guard->emptied);
}

void block_guard_leave(struct block_guard *guard)
{
    if (atomic_fetch_sub(&guard->users, 1) == 1 && atomic_load(&guard->awaited)) {
        pthread_mutex_lock(&guard->lock);
        pthread_cond_broadcast(&guard->emptied);
        pthread_mutex_unlock(&guard->lock);
    }
}

void block_guard_drain(struct block_guard *guard)
{
    if (!atomic_load(&guard->users))
        return;
    pthread_mutex_lock(&guard->lock);
    /* Set before users is read again: whoever leaves later sees it and wakes us. */
    atomic_store(&guard->awaited, true);
    while (atomic_load(&guard->users))
        pthread_cond_wait(&guard->emptied, &guard->lock);
    atomic_store(&guard->awaited, false);
    pthread_cond_broadcast(&guard->emptied);
    pthread_mutex_unlock(&guard->lock);
}

bool gate_try_enter(struct block_gate *gate)
{
    block_guard_enter(&gate->writes);
    if (likely(!atomic_load(&gate->closed)))
        return true;
    block_guard_leave(&gate->writes);
    return false;
}

void gate_enter(struct block_gate *gate)
{
    while (!gate_try_enter(gate)) {
        pthread_mutex_lock(&gate->exclusive);
        pthread_mutex_unlock(&gate->exclusive);
    }
}

void gate_close(struct block_gate *gate)
{
    pthread_mutex_lock(&gate->exclusive);
    atomic_store(&gate->closed, true);
    block_guard_drain(&gate->writes);
}

void gate_open(struct block_gate *gate)
{
    atomic_store(&gate->closed, false);
    pthread_mutex_unlock(&gate->exclusive);
}
