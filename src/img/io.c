/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-io: single requests to an image, from the command line or standard input. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "img/img.h"
#include "util/keyval.h"
#include "util/version.h"

static struct {
    struct block_node *node;
    struct img_open how;
    struct block_context *context;
    unsigned flying;
    bool machine_readable, quit, writethrough;
    int status;
} io;

struct io_command {
    const char *name, *alias;
    int arguments_min, arguments_max;
    bool no_file;
    int (*run)(int argc, char **argv);
    const char *usage, *help;
};

/* ---- Results ---- */

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec - start->tv_sec + (now.tv_nsec - start->tv_nsec) / 1e9;
}

static char *size_text(double value)
{
    static const struct {
        double unit;
        const char *name;
    } units[] = { { 1ull << 60, "EiB" }, { 1ull << 50, "PiB" }, { 1ull << 40, "TiB" },
                  { 1ull << 30, "GiB" }, { 1ull << 20, "MiB" }, { 1ull << 10, "KiB" } };
    const char *name = "bytes";
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (value >= units[i].unit) {
            value /= units[i].unit;
            name = units[i].name;
            break;
        }
    }
    char *text = g_strdup_printf("%.3f", value);
    char *zeroes = strstr(text, ".000");
    if (zeroes)
        *zeroes = 0;
    char *result = g_strdup_printf("%s %s", text, name);
    g_free(text);
    return result;
}

static void report(const char *what, const struct timespec *start, int64_t offset, int64_t count,
                   int64_t total)
{
    double seconds = seconds_since(start), rate = seconds > 0 ? 1 / seconds : 0;
    g_autofree char *size = size_text(total), *speed = size_text(total * rate);

    if (io.machine_readable) {
        printf("%" PRId64 "/%d,%02d:%02d:%02d.%06d\n", total, 1, 0, (int)seconds / 60,
               (int)seconds % 60, (int)((seconds - (int)seconds) * 1e6));
        return;
    }
    printf("%s %" PRId64 "/%" PRId64 " bytes at offset %" PRId64 "\n", what, total, count, offset);
    printf("%s, %d ops; %02d.%02d sec (%s/sec and %.4f ops/sec)\n", size, 1, (int)seconds,
           (int)((seconds - (int)seconds) * 100), speed, rate);
}

static int failed(const char *what, int error)
{
    printf("%s failed: %s\n", what, g_strerror(-error));
    return error;
}

/* ---- Arguments ---- */

static bool number(const char *text, int64_t *value)
{
    uint64_t bytes;
    bool good = text[0] == '0' && (text[1] == 'x' || text[1] == 'X')
                    ? parse_unsigned("", text, INT64_MAX, &bytes, NULL)
                    : parse_size("", text, 1, &bytes, NULL) && bytes <= INT64_MAX;
    if (!good) {
        printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n",
               text);
        return false;
    }
    *value = bytes;
    return true;
}

static bool pattern_parse(const char *text, int *pattern)
{
    uint64_t value;
    if (!parse_unsigned("", text, 255, &value, NULL)) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *pattern = value;
    return true;
}

/* Options that reading and writing share; a letter that a command does not have is refused by
 * getopt. */
struct transfer {
    bool compressed, fua, no_fallback, quiet, unmap, zero, dump, verify;
    int pattern;
    const char *file;
    int64_t verify_start, verify_length;
    int64_t offset, length;
};

static bool transfer_parse(struct transfer *t, int argc, char **argv, const char *options)
{
    int letter;
    *t = (struct transfer){ .pattern = -1, .verify_length = -1 };
    optind = 0;
    while ((letter = getopt(argc, argv, options)) >= 0) {
        switch (letter) {
        case 'b':
        case 'p':
        case 'r':
        case 'a':
            break;
        case 'c':
            t->compressed = true;
            break;
        case 'C':
            io.machine_readable = true;
            break;
        case 'f':
            t->fua = true;
            break;
        case 'n':
            t->no_fallback = true;
            break;
        case 'q':
            t->quiet = true;
            break;
        case 'u':
            t->unmap = true;
            break;
        case 'v':
            t->dump = true;
            break;
        case 'z':
            t->zero = true;
            break;
        case 'P':
            t->verify = true;
            if (!pattern_parse(optarg, &t->pattern))
                return false;
            break;
        case 's':
            if (strchr(options, 'z')) {
                t->file = optarg;
            } else if (!number(optarg, &t->verify_start)) {
                return false;
            }
            break;
        case 'l':
            if (!number(optarg, &t->verify_length))
                return false;
            break;
        case 'i':
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Offset, and the sum of the lengths; the lengths are left for the caller of a vector. */
static bool range_parse(struct transfer *t, int argc, char **argv)
{
    if (argc - optind < 2) {
        printf("bad argument count %d to %s, expected at least 2 arguments\n", argc - optind,
               argv[0]);
        return false;
    }
    if (!number(argv[optind], &t->offset))
        return false;
    for (int i = optind + 1; i < argc; i++) {
        int64_t part;
        if (!number(argv[i], &part))
            return false;
        t->length += part;
        if (t->length > INT32_MAX - 511 && !t->zero) {
            printf("length cannot exceed %d, given %s\n", INT32_MAX - 511, argv[i]);
            return false;
        }
    }
    return true;
}

static uint8_t *buffer_new(int64_t length, int pattern)
{
    uint8_t *buffer = aligned_alloc(4096, (length + 4095 + 512) & ~4095ll);
    if (buffer)
        memset(buffer, pattern, length);
    return buffer;
}

static bool in_range(const char *what, const struct transfer *t, int *error)
{
    uint64_t size = block_length(io.node);
    bool good = (uint64_t)t->offset <= size && (uint64_t)t->length <= size - t->offset;
    if (!good)
        *error = failed(what, -EIO);
    return good;
}

/* ---- read and write ---- */

static void dump(const uint8_t *buffer, int64_t offset, int64_t length)
{
    for (int64_t i = 0; i < length; i += 16) {
        printf("%08" PRIx64 ":  ", (uint64_t)(offset + i));
        for (int64_t j = i; j < i + 16 && j < length; j++)
            printf("%02x ", buffer[j]);
        putchar(' ');
        for (int64_t j = i; j < i + 16 && j < length; j++)
            putchar(isalnum(buffer[j]) ? buffer[j] : '.');
        putchar('\n');
    }
}

static int verify(const struct transfer *t, const uint8_t *buffer)
{
    int64_t length = t->verify_length >= 0 ? t->verify_length : t->length - t->verify_start;
    if (t->verify_start > t->length || length > t->length - t->verify_start) {
        printf("pattern verification range exceeds end of read data\n");
        return -EINVAL;
    }
    for (int64_t i = 0; i < length; i++) {
        if (buffer[t->verify_start + i] != t->pattern) {
            printf("Pattern verification failed at offset %" PRId64 ", %" PRId64 " bytes\n",
                   t->offset + t->verify_start, length);
            return -EINVAL;
        }
    }
    return 0;
}

static int io_read(int argc, char **argv)
{
    struct transfer t;
    struct timespec start;
    int error = 0;

    if (!transfer_parse(&t, argc, argv, "bCl:pP:qs:vr") || !range_parse(&t, argc, argv))
        return -EINVAL;
    if (!t.verify && (t.verify_length >= 0 || t.verify_start)) {
        printf("-s and -l need -P\n");
        return -EINVAL;
    }
    if (!in_range("read", &t, &error))
        return error;
    uint8_t *buffer = buffer_new(t.length, 0xab);
    if (!buffer)
        return failed("read", -ENOMEM);
    clock_gettime(CLOCK_MONOTONIC, &start);
    error = block_pread(io.node, t.offset, buffer, t.length);
    int read_error = error ? failed("read", error) : 0;
    error = read_error ? read_error : t.verify ? verify(&t, buffer) : 0;
    if (!read_error && !t.quiet) {
        if (t.dump)
            dump(buffer, t.offset, t.length);
        report("read", &start, t.offset, t.length, t.length);
    }
    free(buffer);
    return error;
}

static bool buffer_fill(const struct transfer *t, uint8_t *buffer)
{
    g_autofree char *contents = NULL;
    gsize size;
    if (!t->file)
        return true;
    if (!g_file_get_contents(t->file, &contents, &size, NULL) || !size) {
        printf("%s: cannot be read, or is empty\n", t->file);
        return false;
    }
    for (int64_t i = 0; i < t->length; i++)
        buffer[i] = contents[i % size];
    return true;
}

static int write_now(const struct transfer *t, const uint8_t *buffer)
{
    bool fua = t->fua || io.writethrough;
    unsigned flags = (fua ? BLOCK_FUA : 0) | (t->unmap ? BLOCK_MAY_UNMAP : 0)
                     | (t->no_fallback ? BLOCK_NO_FALLBACK : 0)
                     | (t->compressed ? BLOCK_COMPRESSED : 0);
    return t->zero ? block_write_zeroes(io.node, t->offset, t->length, flags)
                   : block_pwrite(io.node, t->offset, buffer, t->length, flags);
}

static int io_write(int argc, char **argv)
{
    struct transfer t;
    struct timespec start;
    int error = 0;

    if (!transfer_parse(&t, argc, argv, "bcCfnpqP:rs:uz") || !range_parse(&t, argc, argv))
        return -EINVAL;
    if ((t.zero && t.verify) || (t.unmap && !t.zero) || (t.no_fallback && !t.zero)) {
        printf(t.zero ? "-z and -P cannot be specified at the same time\n"
                      : "-u and -n require -z to be specified\n");
        return -EINVAL;
    }
    if (io.node->read_only) {
        report_error("Block node is read-only");
        return -EACCES;
    }
    if (!in_range("write", &t, &error))
        return error;
    uint8_t *buffer = t.zero ? NULL : buffer_new(t.length, t.pattern < 0 ? 0xcd : t.pattern);
    if (!t.zero && !buffer)
        return failed("write", -ENOMEM);
    if (buffer && !buffer_fill(&t, buffer)) {
        free(buffer);
        return -EINVAL;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    error = write_now(&t, buffer);
    if (error)
        error = failed("write", error);
    else if (!t.quiet)
        report("wrote", &start, t.offset, t.length, t.length);
    free(buffer);
    return error;
}

/* ---- aio_read and aio_write ---- */

struct aio {
    struct block_request request;
    struct iovec vec;
    struct transfer t;
    struct timespec start;
    uint8_t *buffer;
};

static void aio_done(struct block_request *request, int error)
{
    struct aio *aio = container_of(request, struct aio, request);
    bool reads = request->op == BLOCK_READ;

    io.flying--;
    if (error)
        printf("%s failed: %s\n", reads ? "readv" : "aio_write", g_strerror(-error));
    else if (reads && aio->t.verify)
        error = verify(&aio->t, aio->buffer);
    if (!error && !aio->t.quiet) {
        if (reads && aio->t.dump)
            dump(aio->buffer, aio->t.offset, aio->t.length);
        report(reads ? "read" : "wrote", &aio->start, aio->t.offset, aio->t.length, aio->t.length);
    }
    if (error)
        io.status = 1;
    free(aio->buffer);
    g_free(aio);
}

static int aio_submit(int argc, char **argv, bool write)
{
    struct aio *aio = g_new0(struct aio, 1);
    int error = -EINVAL;

    if (transfer_parse(&aio->t, argc, argv, write ? "CfiP:quz" : "CP:iqv")
        && range_parse(&aio->t, argc, argv)
        && in_range(write ? "aio_write" : "readv", &aio->t, &error)) {
        int pattern = aio->t.pattern < 0 ? 0xcd : aio->t.pattern;
        aio->buffer = buffer_new(aio->t.length, pattern);
        aio->request = (struct block_request){
            .op = !write        ? BLOCK_READ
                  : aio->t.zero ? BLOCK_WRITE_ZEROES
                                : BLOCK_WRITE,
            .flags = (aio->t.fua || (write && io.writethrough) ? BLOCK_FUA : 0)
                     | (aio->t.unmap ? BLOCK_MAY_UNMAP : 0),
            .offset = aio->t.offset,
            .length = aio->t.length,
            .done = aio_done,
            .context = io.context,
        };
        if (!aio->t.zero)
            aio->request.data = iov_flat(&aio->vec, aio->buffer, aio->t.length);
        clock_gettime(CLOCK_MONOTONIC, &aio->start);
        io.flying++;
        block_submit(io.node, &aio->request);
        block_context_poll(io.context);
        return 0;
    }
    g_free(aio);
    return error;
}

static int io_aio_read(int argc, char **argv)
{
    return aio_submit(argc, argv, false);
}

static int io_aio_write(int argc, char **argv)
{
    return aio_submit(argc, argv, true);
}

static int io_aio_flush(int argc, char **argv)
{
    while (io.flying)
        block_context_wait(io.context);
    return 0;
}

/* ---- Others ---- */

static int io_flush(int argc, char **argv)
{
    return block_flush(io.node);
}

static int io_discard(int argc, char **argv)
{
    struct transfer t;
    struct timespec start;
    int error = 0;

    if (!transfer_parse(&t, argc, argv, "Cq"))
        return -EINVAL;
    t.zero = true; /* no buffer: any length */
    if (!range_parse(&t, argc, argv) || !in_range("discard", &t, &error))
        return error ? error : -EINVAL;
    clock_gettime(CLOCK_MONOTONIC, &start);
    error = io.node->read_only ? -EACCES : block_discard(io.node, t.offset, t.length);
    if (error)
        return failed("discard", error);
    if (!t.quiet)
        report("discard", &start, t.offset, t.length, t.length);
    return 0;
}

static int io_truncate(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    int64_t length;

    if (!number(argv[1], &length))
        return -EINVAL;
    if (block_truncate(io.node, length, BLOCK_PREALLOC_OFF, &error))
        return 0;
    report_error("%s", error->message);
    return -EIO;
}

static int io_length(int argc, char **argv)
{
    g_autofree char *size = size_text(block_length(io.node));
    printf("%s\n", size);
    return 0;
}

static int io_info(int argc, char **argv)
{
    const char *format = io.node->driver->name;
    g_autofree char *cluster = size_text(io.node->cluster_size);
    printf("format name: %s\n", format);
    printf("cluster size: %s\nvm state offset: %s\n", cluster, "0 bytes");
    return 0;
}

static int io_alloc(int argc, char **argv)
{
    int64_t offset, length = 512, sum = 0;
    struct block_status status;

    if (!number(argv[1], &offset) || (argc > 2 && !number(argv[2], &length)))
        return -EINVAL;
    for (int64_t at = 0; at < length; at += status.length) {
        int error = block_status(io.node, offset + at, length - at, &status);
        if (error)
            return failed("is_allocated", error);
        if (status.flags & BLOCK_STATUS_ALLOCATED)
            sum += status.length;
        if (status.flags & BLOCK_STATUS_EOF)
            break;
    }
    g_autofree char *where = size_text(offset);
    printf("%" PRId64 "/%" PRId64 " bytes allocated at offset %s\n", sum, length, where);
    return 0;
}

static int io_map(int argc, char **argv)
{
    uint64_t size = block_length(io.node);

    for (uint64_t offset = 0; offset < size;) {
        struct block_status status = { 0 };
        uint64_t length = 0;
        bool there = false;
        while (offset + length < size) {
            int error = block_status(io.node, offset + length, size - offset - length, &status);
            if (error)
                return failed("Failed to get allocation status", error);
            bool allocated = status.flags & BLOCK_STATUS_ALLOCATED;
            if (length && allocated != there)
                break;
            there = allocated;
            length += status.length;
        }
        g_autofree char *length_text = size_text(length), *offset_text = size_text(offset);
        printf("%s (0x%" PRIx64 ") bytes %sallocated at offset %s (0x%" PRIx64 ")\n", length_text,
               length, there ? "    " : "not ", offset_text, offset);
        offset += length;
    }
    return 0;
}

static int io_sleep(int argc, char **argv)
{
    int64_t milliseconds;
    if (!number(argv[1], &milliseconds))
        return -EINVAL;
    g_usleep(MIN(milliseconds, 3600000) * 1000);
    return 0;
}

static int io_close(int argc, char **argv)
{
    io_aio_flush(0, NULL);
    img_close(io.node);
    io.node = NULL;
    return 0;
}

static int io_open_file(const char *filename)
{
    if (io.node) {
        printf("file open already, try 'help close'\n");
        return -EBUSY;
    }
    io.node = img_open(filename, &io.how);
    return io.node ? 0 : -EINVAL;
}

static int io_open(int argc, char **argv)
{
    int letter;
    struct img_open old = io.how;
    optind = 0;
    while ((letter = getopt(argc, argv, "snro:ki:t:d:U")) >= 0) {
        switch (letter) {
        case 'r':
            io.how.flags &= ~(BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE);
            break;
        case 'n':
            io.how.flags |= BLOCK_OPEN_DIRECT;
            break;
        case 'U':
            io.how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case 't':
            io.how.cache = optarg;
            break;
        case 'o':
        case 'i':
        case 'd':
        case 'k':
        case 's':
            break;
        default:
            return -EINVAL;
        }
    }
    int error = optind == argc - 1 ? io_open_file(argv[optind]) : -EINVAL;
    io.how = old;
    return error;
}

static int io_quit(int argc, char **argv)
{
    io.quit = true;
    return 0;
}

static int io_abort(int argc, char **argv)
{
    fflush(NULL);
    abort();
}

static int io_help(int argc, char **argv);

static const struct io_command io_commands[] = {
    { "abort", NULL, 0, 0, true, io_abort, "", "simulate a program crash" },
    { "aio_flush", NULL, 0, 0, false, io_aio_flush, "", "completes all outstanding aio requests" },
    { "aio_read", NULL, 2, -1, false, io_aio_read, "[-Cqv] [-P pattern] off len [len..]",
      "asynchronously reads a number of bytes" },
    { "aio_write", NULL, 2, -1, false, io_aio_write, "[-Cfiquz] [-P pattern] off len [len..]",
      "asynchronously writes a number of bytes" },
    { "alloc", NULL, 1, 2, false, io_alloc, "offset [count]",
      "checks if offset is allocated in the file" },
    { "close", "c", 0, 0, false, io_close, "", "close the current open file" },
    { "discard", "d", 2, -1, false, io_discard, "[-Cq] off len",
      "discards a number of bytes at a specified offset" },
    { "flush", "f", 0, 0, false, io_flush, "", "flush all in-core file state to disk" },
    { "help", "?", 0, 1, true, io_help, "[command]", "help for one or all commands" },
    { "info", "i", 0, 0, false, io_info, "", "prints information about the current file" },
    { "length", "l", 0, 0, false, io_length, "", "gets the length of the current file" },
    { "map", NULL, 0, 0, false, io_map, "", "prints the allocated areas of a file" },
    { "open", "o", 0, -1, true, io_open, "[-rsnU] [-t cache] path",
      "open the file specified by path" },
    { "quit", "q", 0, 0, true, io_quit, "", "exit the program" },
    { "read", "r", 2, -1, false, io_read, "[-abCqrv] [-P pattern [-s off] [-l len]] off len",
      "reads a number of bytes at a specified offset" },
    { "readv", NULL, 2, -1, false, io_read, "[-Cqv] [-P pattern] off len [len..]",
      "reads a number of bytes at a specified offset" },
    { "sleep", NULL, 1, 1, true, io_sleep, "milliseconds",
      "waits for the given value in milliseconds" },
    { "truncate", "t", 1, 1, false, io_truncate, "off",
      "truncates the current file at the given offset" },
    { "write", "w", 2, -1, false, io_write, "[-bcCfnqruz] [-P pattern | -s source_file] off len",
      "writes a number of bytes at a specified offset" },
    { "writev", NULL, 2, -1, false, io_write, "[-Cfqr] [-P pattern] off len [len..]",
      "writes a number of bytes at a specified offset" },
};

static int io_help(int argc, char **argv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(io_commands); i++) {
        const struct io_command *command = &io_commands[i];
        if (argc < 2 || !strcmp(argv[1], command->name))
            printf("%s %s%s-- %s\n", command->name, command->usage, *command->usage ? " " : "",
                   command->help);
    }
    return 0;
}

static void run_line(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    int count = 0;

    for (char **word = words; *word; word++) {
        if (**word)
            words[count++] = *word;
        else
            g_free(*word);
    }
    words[count] = NULL;
    if (!count || words[0][0] == '#')
        return;
    g_autofree char **arguments = g_memdup2(words, (count + 1) * sizeof(*words));
    for (size_t i = 0; i < G_N_ELEMENTS(io_commands); i++) {
        const struct io_command *command = &io_commands[i];
        if (strcmp(command->name, words[0]) && g_strcmp0(command->alias, words[0]))
            continue;
        if (!command->no_file && !io.node) {
            printf("no file open, try 'help open'\n");
            io.status = 1;
        } else if (count - 1 < command->arguments_min
                   || (command->arguments_max >= 0 && count - 1 > command->arguments_max)) {
            fprintf(stderr, "bad argument count %d to %s, expected at least %d arguments\n",
                    count - 1, words[0], command->arguments_min);
            io.status = 1;
        } else if (command->run(count, arguments)) {
            io.status = 1;
        }
        io.machine_readable = false;
        fflush(stdout);
        return;
    }
    fprintf(stderr, "command \"%s\" not found\n", words[0]);
    io.status = 1;
}

static void run_input(void)
{
    g_autofree char *line = NULL;
    size_t room = 0;

    while (!io.quit) {
        printf("qemu-io> ");
        fflush(stdout);
        ssize_t length = getline(&line, &room, stdin);
        if (length < 0)
            break;
        g_strchomp(line);
        run_line(line);
        if (io.flying)
            block_context_poll(io.context);
    }
}

static const struct option io_long_options[] = {
    { "help", no_argument, 0, 'h' },        { "version", no_argument, 0, 'V' },
    { "cmd", required_argument, 0, 'c' },   { "format", required_argument, 0, 'f' },
    { "read-only", no_argument, 0, 'r' },   { "snapshot", no_argument, 0, 's' },
    { "nocache", no_argument, 0, 'n' },     { "copy-on-read", no_argument, 0, 'C' },
    { "misalign", no_argument, 0, 'm' },    { "native-aio", no_argument, 0, 'k' },
    { "aio", required_argument, 0, 'i' },   { "discard", required_argument, 0, 'd' },
    { "cache", required_argument, 0, 't' }, { "trace", required_argument, 0, 'T' },
    { "force-share", no_argument, 0, 'U' }, { "object", required_argument, 0, 256 },
    { "image-opts", no_argument, 0, 257 },  {},
};

static int io_usage(void)
{
    printf("usage: qemu-io [-r] [-n] [-U] [-t cache] [-d ignore|unmap] [-f format] [--image-opts] "
           "[-c command]... [file]\n\nRuns commands on an image; 'help' lists them.\n");
    return 0;
}

/* False: the program ends with `*status`. */
static bool io_options(int argc, char **argv, GPtrArray *lines, int *status)
{
    unsigned flags = 0;
    int letter;

    *status = 1;
    while ((letter = getopt_long(argc, argv, "hVc:d:f:rsnCmki:t:T:U", io_long_options, NULL))
           >= 0) {
        switch (letter) {
        case 'h':
            *status = io_usage();
            return false;
        case 'V':
            printf("qemu-io version " QEMU_VERSION " (Yado " YADO_VERSION ")\n");
            *status = 0;
            return false;
        case 'c':
            g_ptr_array_add(lines, optarg);
            break;
        case 'd':
            if (!strcmp(optarg, "unmap") || !strcmp(optarg, "on"))
                io.how.flags |= BLOCK_OPEN_UNMAP;
            else if (!strcmp(optarg, "ignore") || !strcmp(optarg, "off"))
                io.how.flags &= ~BLOCK_OPEN_UNMAP;
            else
                return report_error("Invalid discard option: %s", optarg), false;
            break;
        case 'f':
            io.how.format = optarg;
            break;
        case 'r':
            io.how.flags &= ~(BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE);
            break;
        case 'n':
            io.how.flags |= BLOCK_OPEN_DIRECT;
            break;
        case 't':
            if (!block_cache_mode(optarg, &flags, &io.writethrough, NULL))
                return report_error("Invalid cache option: %s", optarg), false;
            io.how.cache = optarg;
            break;
        case 'U':
            io.how.flags |= BLOCK_OPEN_FORCE_SHARE;
            break;
        case 256:
            if (!img_object(optarg))
                return false;
            break;
        case 257:
            io.how.image_opts = true;
            break;
        case 's':
        case 'C':
            return report_error("-%c is not supported", letter), false;
        case '?':
            return false;
        }
    }
    return true;
}

int cli_io(int argc, char **argv)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    int status;

    io.how.flags = BLOCK_OPEN_RW | BLOCK_OPEN_RESIZE | BLOCK_OPEN_UNMAP;
    if (!io_options(argc, argv, lines, &status))
        return status;
    if (optind < argc - 1) {
        report_error("only one file can be given");
        return 1;
    }
    io.context = block_context_new(NULL, &error);
    if (!io.context)
        return img_fail(g_steal_pointer(&error));
    if (optind < argc && io_open_file(argv[optind]))
        return 1;
    for (guint i = 0; i < lines->len && !io.quit; i++)
        run_line(lines->pdata[i]);
    if (!lines->len)
        run_input();
    io_aio_flush(0, NULL);
    if (!img_close(io.node))
        io.status = 1;
    block_context_free(io.context);
    return io.status;
}
