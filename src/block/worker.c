/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Worker threads: where synchronous driver code runs on behalf of asynchronous requests. One pool
 * for the process; a thread that had nothing to do for some seconds ends. */
#include <pthread.h>
#include <time.h>

#include "block/driver.h"

enum { THREADS_MAX = 64, IDLE_SECONDS = 10, STACK_BYTES = 256 * 1024 };

struct job {
    void (*function)(void *opaque);
    void *opaque;
    struct job *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    struct job *first, **last; /* [lock] */
    unsigned threads, idle;    /* [lock] */
    unsigned waiting;          /* [lock] jobs in the list */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .wanted = PTHREAD_COND_INITIALIZER };

/* [pool.lock] The next job, or NULL after idling long enough. */
static struct job *job_take(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += IDLE_SECONDS;
    while (!pool.first) {
        pool.idle++;
        int result = pthread_cond_timedwait(&pool.wanted, &pool.lock, &until);
        pool.idle--;
        if (result && !pool.first)
            return NULL;
    }
    struct job *job = pool.first;
    pool.first = job->next;
    if (!pool.first)
        pool.last = &pool.first;
    pool.waiting--;
    return job;
}

static void *worker(void *unused)
{
    struct job *job;

    pthread_mutex_lock(&pool.lock);
    while ((job = job_take())) {
        pthread_mutex_unlock(&pool.lock);
        job->function(job->opaque);
        g_free(job);
        pthread_mutex_lock(&pool.lock);
    }
    pool.threads--;
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

/* Whether a thread could be started. Signals stay with the threads that expect them. */
static bool worker_start(void)
{
    sigset_t all, old;
    pthread_attr_t attributes;
    pthread_t thread;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int result = pthread_create(&thread, &attributes, worker, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return result == 0;
}

void block_worker_run(void (*function)(void *opaque), void *opaque)
{
    struct job *job = g_new0(struct job, 1);
    *job = (struct job){ .function = function, .opaque = opaque };

    pthread_mutex_lock(&pool.lock);
    bool start = pool.idle <= pool.waiting && pool.threads < THREADS_MAX;
    if (start) {
        bool started = worker_start();
        pool.threads += started;
        if (!started && !pool.threads) {
            pthread_mutex_unlock(&pool.lock);
            g_free(job);
            function(opaque); /* no thread to be had at all: slow, but done */
            return;
        }
    }
    if (!pool.last)
        pool.last = &pool.first;
    *pool.last = job;
    pool.last = &job->next;
    pool.waiting++;
    pthread_cond_signal(&pool.wanted);
    pthread_mutex_unlock(&pool.lock);
}
