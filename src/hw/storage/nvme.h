/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An NVM Express controller with one namespace, between its files: nvme.c (registers and queues),
 * nvme_admin.c (admin commands), nvme_io.c (commands of the NVM command set).
 * (NVM Express Base Specification 1.4)
 *
 *      doorbell (vCPU) ── defer ──> commands_fetch() ──> nvme_admin() or nvme_io()
 *                                                             │ disk_submit()
 *      interrupt <── completion queue <── nvme_complete() <───┘
 *
 * Commands are fetched, submitted and completed by the main loop. dev.lock guards all state and is
 * held around nvme_admin(), nvme_io() and nvme_complete(). */
#ifndef YADO_HW_STORAGE_NVME_H
#define YADO_HW_STORAGE_NVME_H

#include "hw/pci/pci.h"
#include "hw/storage/disk.h"
#include "memory/dma.h"
#include "util/defer.h"

#define NVME_QUEUES_MAX 65u    /* pairs, the admin queues included */
#define NVME_ENTRIES_MAX 2048u /* of a queue */
#define NVME_EVENTS_MAX 4u     /* asynchronous event requests that may be outstanding */
#define NVME_MDTS 7u           /* a transfer is at most 2^7 pages of 4 KiB */
#define NVME_TRANSFER_MAX (4096u << NVME_MDTS)
#define NVME_NSID 1u
#define NVME_ALL_NAMESPACES UINT32_MAX

/* Status codes, with their type in bits 8-10. (4.6.1) */
enum nvme_status {
    NVME_SUCCESS = 0x000,
    NVME_INVALID_OPCODE = 0x001,
    NVME_INVALID_FIELD = 0x002,
    NVME_DATA_TRANSFER_ERROR = 0x004,
    NVME_INTERNAL_ERROR = 0x006,
    NVME_INVALID_NAMESPACE = 0x00b,
    NVME_INVALID_PRP_OFFSET = 0x013,
    NVME_LBA_RANGE = 0x080,
    NVME_CAPACITY = 0x081,
    NVME_CQ_INVALID = 0x100,
    NVME_QUEUE_ID_INVALID = 0x101,
    NVME_QUEUE_SIZE = 0x102,
    NVME_EVENT_LIMIT = 0x105,
    NVME_VECTOR_INVALID = 0x108,
    NVME_LOG_INVALID = 0x109,
    NVME_QUEUE_DELETION = 0x10c,
    NVME_NOT_SAVEABLE = 0x10d,
    NVME_NOT_CHANGEABLE = 0x10e,
    NVME_WRITE_FAULT = 0x280,
    NVME_READ_ERROR = 0x281,
    NVME_COMPARE_FAILURE = 0x285,
    NVME_DO_NOT_RETRY = 0x4000,
    NVME_PENDING = 0x10000, /* none yet: completed later */
};

/* Submission queue entry. (4.2) */
struct nvme_command {
    uint8_t opcode, flags;
    uint16_t id;
    uint32_t nsid;
    uint64_t reserved, metadata, prp[2];
    uint32_t dword[6]; /* 10 to 15 */
};
_Static_assert(sizeof(struct nvme_command) == 64, "submission queue entries have 64 bytes");

struct nvme;
struct nvme_request;

struct nvme_cq {
    bool exists, interrupts, phase;
    uint16_t size, head, tail, vector;
    uint64_t base;
    unsigned users;                      /* submission queues that complete here */
    struct nvme_request *waiting, **end; /* completions for which there is no room yet */
};

struct nvme_sq {
    bool exists, more; /* more: the doorbell was rung */
    uint16_t size, head, tail, cq;
    uint64_t base;
    unsigned in_flight;
    struct nvme_request *deleter; /* the command that waits for in_flight to become 0 */
};

/* A command under way. */
struct nvme_request {
    struct nvme *nvme;
    struct nvme_command command;
    uint16_t sq, sq_serial; /* the queue, and which of those with this number it was */
    enum nvme_status status;
    uint32_t result; /* dword 0 of the completion */
    struct nvme_request *next;
    struct disk_request disk;
    struct dma_list memory;
    struct iovec flat;
    uint8_t *buffer;    /* compare, deallocate; freed with the request */
    unsigned at, count; /* ranges of a deallocation */
};

struct nvme_features {
    uint32_t arbitration, error_recovery, coalescing, event_config, write_atomicity;
    uint16_t temperature_over, temperature_under;
    bool write_cache;
    uint32_t vectors[NVME_QUEUES_MAX]; /* interrupt vector configuration */
};

struct nvme {
    struct pci_function function;
    struct drive_options options;
    uint32_t queue_pairs, mdts, msix_vectors; /* properties */
    char *model;
    struct region registers;
    struct disk disk;
    unsigned block_shift; /* [const] log2 of a logical block */

    /* [dev.lock] */
    uint32_t masked, config, state; /* INTMS, CC, CSTS */
    uint32_t admin_sizes;
    uint64_t admin_sq, admin_cq;
    struct nvme_sq sq[NVME_QUEUES_MAX];
    struct nvme_cq cq[NVME_QUEUES_MAX];
    uint16_t sq_serial[NVME_QUEUES_MAX];
    unsigned page_bits;
    struct nvme_features features;
    struct nvme_request *events[NVME_EVENTS_MAX];
    unsigned event_count;
    bool namespace_changed, namespace_reported;
    unsigned in_flight;
    bool disabling;
    bool fetching;                                /* inside work(), which submits at its end */
    struct nvme_request *unused;                  /* for reuse */
    struct nvme_request *to_submit, **submit_end; /* filled while the lock is held */
    struct defer work;
    uint64_t units_read, units_written, reads, writes; /* SMART: 1000 blocks of 512 bytes */
};

/* Both answer with a status, or NVME_PENDING if nvme_complete() will be called for the request. */
enum nvme_status nvme_admin(struct nvme *nvme, struct nvme_request *request);
enum nvme_status nvme_io(struct nvme *nvme, struct nvme_request *request);

/* The command has ended: request->status and ->result go to the host. */
void nvme_complete(struct nvme_request *request);
/* Gives request->disk to the disk once the lock is free; `done` gets it back, without the lock. */
void nvme_submit(struct nvme_request *request,
                 void (*done)(struct disk_request *request, int error));

/* The memory that the command's PRP entries name, `length` bytes of it, into request->memory. (4.3)
 */
enum nvme_status nvme_map(struct nvme_request *request, uint64_t length, bool to_host);
/* Sends a page of data to the command's memory: at most `length` bytes. */
enum nvme_status nvme_reply(struct nvme_request *request, const void *page, uint64_t length);

/* Queues. Sizes in entries; checked by the caller except for memory. */
void nvme_sq_create(struct nvme *nvme, unsigned id, uint64_t base, unsigned size, unsigned cq);
void nvme_cq_create(struct nvme *nvme, unsigned id, uint64_t base, unsigned size, unsigned vector,
                    bool interrupts);
void nvme_sq_delete(struct nvme *nvme, unsigned id);
void nvme_cq_delete(struct nvme *nvme, unsigned id);
/* Completes an event request, if there is one, for a namespace that has changed. */
void nvme_events_send(struct nvme *nvme);

static inline uint64_t nvme_blocks(const struct nvme *nvme)
{
    return disk_length(&nvme->disk) >> nvme->block_shift;
}

#endif
