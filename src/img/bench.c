/* SPDX-License-Identifier: GPL-2.0-or-later */
/* img bench: sequential requests, several under way at once. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "img/img.h"
#include "util/keyval.h"

struct bench {
    struct block_node *node;
    struct block_context *context;
    uint64_t count, offset, size, step, depth, flush_interval;
    uint64_t submitted, completed, at;
    unsigned flying;
    bool write, drain, writethrough;
    int error;
    bool flush_due;
};

struct slot {
    struct block_request request;
    struct iovec vec;
    struct bench *bench;
    uint8_t *buffer;
};

static void slot_done(struct block_request *request, int error)
{
    struct slot *slot = container_of(request, struct slot, request);
    struct bench *bench = slot->bench;

    if (error && !bench->error)
        bench->error = error;
    bench->flying--;
    request->done = NULL; /* free again */
    if (request->op == BLOCK_FLUSH) {
        bench->flush_due = false;
        return;
    }
    bench->completed++;
    if (bench->flush_interval && bench->completed % bench->flush_interval == 0)
        bench->flush_due = true;
}

static void slot_submit(struct slot *slot)
{
    struct bench *bench = slot->bench;

    slot->request = (struct block_request){ .op = bench->write ? BLOCK_WRITE : BLOCK_READ,
                                            .flags = bench->writethrough ? BLOCK_FUA : 0,
                                            .offset = bench->at,
                                            .length = bench->size,
                                            .data = iov_flat(&slot->vec, slot->buffer, bench->size),
                                            .done = slot_done,
                                            .context = bench->context };
    if (!bench->write)
        slot->request.flags = 0;
    bench->at += bench->step;
    if (bench->at + bench->size > block_length(bench->node))
        bench->at = 0;
    bench->submitted++;
    bench->flying++;
    block_submit(bench->node, &slot->request);
}

static void bench_flush(struct bench *bench, struct slot *slot)
{
    slot->request =
        (struct block_request){ .op = BLOCK_FLUSH, .done = slot_done, .context = bench->context };
    bench->flying++;
    block_submit(bench->node, &slot->request);
}

static void bench_loop(struct bench *bench, struct slot *slots)
{
    struct slot *flusher = &slots[bench->depth];

    while (bench->completed < bench->count && !bench->error) {
        if (bench->flush_due && !flusher->request.done && (!bench->drain || !bench->flying))
            bench_flush(bench, flusher);
        bool hold = bench->flush_due && bench->drain;
        for (uint64_t i = 0; i < bench->depth && !hold && bench->submitted < bench->count; i++) {
            if (!slots[i].request.done)
                slot_submit(&slots[i]);
        }
        block_context_wait(bench->context);
    }
    while (bench->flying)
        block_context_wait(bench->context);
}

static int bench_run(struct bench *bench, int pattern, bool quiet)
{
    g_autofree struct slot *slots = g_new0(struct slot, bench->depth + 1);
    g_autoptr(GError) error = NULL;
    struct timespec start, end;

    bench->context = block_context_new(NULL, &error);
    if (!bench->context)
        return img_fail(g_steal_pointer(&error));
    for (uint64_t i = 0; i <= bench->depth; i++) {
        slots[i].bench = bench;
        slots[i].buffer = aligned_alloc(4096, (bench->size + 4095) & ~4095ull);
        memset(slots[i].buffer, bench->write ? pattern : 0, bench->size);
    }
    if (!quiet) {
        printf("Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64 " in parallel "
               "(starting at offset %" PRIu64 ", step size %" PRIu64 ")\n",
               bench->count, bench->write ? "write" : "read", bench->size, bench->depth,
               bench->offset, bench->step);
        if (bench->flush_interval)
            printf("Sending flush every %" PRIu64 " %srequests\n", bench->flush_interval,
                   bench->drain ? "" : "non-draining ");
    }
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &start);
    bench_loop(bench, slots);
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (uint64_t i = 0; i <= bench->depth; i++)
        free(slots[i].buffer);
    block_context_free(bench->context);
    if (bench->error) {
        report_error("Failed request: %s", g_strerror(-bench->error));
        return 1;
    }
    if (!quiet)
        printf("Run completed in %3.3f seconds.\n",
               end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9);
    return 0;
}

static bool parse_count(const char *what, const char *text, uint64_t *value)
{
    if (parse_unsigned(what, text, INT32_MAX, value, NULL))
        return true;
    report_error("Invalid %s specified", what);
    return false;
}

int img_bench(int argc, char **argv)
{
    enum { OPTION_FLUSH = 256, OPTION_NO_DRAIN, OPTION_PATTERN, OPTION_IMAGE_OPTS, OPTION_OBJECT };
    static const struct option long_options[] = {
        { "help", no_argument, 0, 'h' },
        { "flush-interval", required_argument, 0, OPTION_FLUSH },
        { "no-drain", no_argument, 0, OPTION_NO_DRAIN },
        { "pattern", required_argument, 0, OPTION_PATTERN },
        { "image-opts", no_argument, 0, OPTION_IMAGE_OPTS },
        { "object", required_argument, 0, OPTION_OBJECT },
        { "force-share", no_argument, 0, 'U' },
        {},
    };
    struct img_open how = { .flags = BLOCK_OPEN_UNMAP };
    struct bench bench = { .count = 75000, .depth = 64, .size = 4096, .drain = true };
    bool quiet = false;
    uint64_t pattern = 0;
    const char *aio = NULL;
    int letter;

    while ((letter = getopt_long(argc, argv, ":hc:d:f:ni:o:qs:S:t:wU", long_options, NULL)) >= 0) {
        switch (letter) {
        case 'c':
            if (!parse_count("request count", optarg, &bench.count))
                return 1;
            break;
        case 'd':
            if (!parse_count("queue depth", optarg, &bench.depth))
                return 1;
            break;
        case 'f':
            how.format = optarg;
            break;
        case 'n':
            aio = "native";
            break;
        case 'i':
            aio = optarg;
            break;
        case 'o':
            if (!img_parse_size("offset", optarg, &bench.offset))
                return 1;
            break;
        case 'q':
            quiet = true;
            break;
        case 's':
            if (!img_parse_size("buffer size", optarg, &bench.size))
                return 1;
            break;
        case 'S':
            if (!img_parse_size("step size", optarg, &bench.step))
                return 1;
            break;
        case 't':
            how.cache = optarg;
            break;
        case 'w':
            bench.write = true;
            how.flags |= BLOCK_OPEN_RW;
            break;
        case 'U':
            how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case OPTION_FLUSH:
            if (!parse_count("flush interval", optarg, &bench.flush_interval))
                return 1;
            break;
        case OPTION_NO_DRAIN:
            bench.drain = false;
            break;
        case OPTION_PATTERN:
            if (!parse_unsigned("pattern", optarg, 255, &pattern, NULL)) {
                report_error("Invalid pattern byte specified");
                return 1;
            }
            break;
        case OPTION_IMAGE_OPTS:
            how.image_opts = true;
            break;
        case OPTION_OBJECT:
            if (!img_object(optarg))
                return 1;
            break;
        case 'h':
            return img_help("bench");
        default:
            return img_bad_option(argc, argv);
        }
    }
    if (optind != argc - 1) {
        img_usage_error("Expecting one image file name");
        return 1;
    }
    if (aio && strcmp(aio, "native") && strcmp(aio, "threads") && strcmp(aio, "io_uring")) {
        report_error("Invalid aio option: %s", aio);
        return 1;
    }
    if (!bench.write && bench.flush_interval) {
        report_error("--flush-interval is only available in write tests");
        return 1;
    }
    if (bench.flush_interval && bench.flush_interval < bench.depth) {
        report_error("Flush interval can't be smaller than depth");
        return 1;
    }
    if (!bench.size || bench.size > INT32_MAX || !bench.depth || bench.depth > 4096) {
        report_error(bench.depth && bench.depth <= 4096 ? "Invalid buffer size specified"
                                                        : "Invalid queue depth specified");
        return 1;
    }
    unsigned flags = 0;
    if (how.cache && !block_cache_mode(how.cache, &flags, &bench.writethrough, NULL)) {
        report_error("Invalid cache mode");
        return 1;
    }
    bench.step = bench.step ? bench.step : bench.size;
    bench.at = bench.offset;
    auto_image *node = bench.node = img_open(argv[optind], &how);
    if (!node)
        return 1;
    if (bench.size > block_length(node)) {
        report_error("The image is smaller than one request of %" PRIu64 " bytes", bench.size);
        return 1;
    }
    if (bench.offset + bench.size > block_length(node))
        bench.at = 0;
    return bench_run(&bench, pattern, quiet);
}
