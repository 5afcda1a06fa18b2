/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks of image files against other processes, ours and QEMU's alike.
 *
 * Each permission is a byte of the file, locked as "open file description" locks are: byte 100 + n
 * is read-locked by whoever uses permission n, byte 200 + n by whoever does not let others use it.
 * All locks are shared; a conflict is found by asking whether an exclusive one would be possible,
 * on the bytes that contradict ours. Contents of those bytes do not matter. */
#include <errno.h>
#include <fcntl.h>

#include "block/file.h"

enum { USES_BASE = 100, REFUSES_BASE = 200, PERMISSIONS = 4 };

static const char *const permission_names[PERMISSIONS] = { "consistent read", "write",
                                                           "write unchanged", "resize" };

static int lock_byte(int fd, int kind, off_t byte)
{
    struct flock lock = { .l_type = kind, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int result;
    do
        result = fcntl(fd, F_OFD_SETLK, &lock);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

/* Locks what `new_bits` has more than `held`, or unlocks what it has less. */
static int change_locks(int fd, off_t base, unsigned held, unsigned new_bits, bool unlock)
{
    unsigned changed = unlock ? held & ~new_bits : new_bits & ~held;
    int first_error = 0;
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        if (!(changed & 1u << i))
            continue;
        int error = lock_byte(fd, unlock ? F_UNLCK : F_RDLCK, base + i);
        if (error && !first_error)
            first_error = error;
    }
    return first_error;
}

/* Whether somebody else holds one of the bytes `bits` says. */
static bool others_hold(int fd, off_t base, unsigned bits, unsigned *which)
{
    for (unsigned i = 0; i < PERMISSIONS; i++) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = base + i, .l_len = 1
        };
        if (!(bits & 1u << i))
            continue;
        if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
            *which = i;
            return true;
        }
    }
    return false;
}

bool file_lock_update(struct file *file, const char *path, unsigned perm, unsigned shared,
                      GError **error)
{
    unsigned unshared = BLOCK_PERM_ALL & ~shared, which;
    bool good = true;

    if (!file->locking)
        return true;
    int result = change_locks(file->fd, USES_BASE, file->locked_perm, perm, false);
    if (!result)
        result = change_locks(file->fd, REFUSES_BASE, file->locked_unshared, unshared, false);
    if (result) {
        errno = -result;
        good = fail_errno(error, "Failed to lock '%s'", path);
    } else if (others_hold(file->fd, REFUSES_BASE, perm, &which)) {
        good = fail(error, "Failed to get \"%s\" lock\nIs another process using the image [%s]?",
                    permission_names[which], path);
    } else if (others_hold(file->fd, USES_BASE, unshared, &which)) {
        good = fail(error,
                    "Failed to get shared \"%s\" lock\nIs another process using the image [%s]?",
                    permission_names[which], path);
    }
    if (good) {
        change_locks(file->fd, USES_BASE, file->locked_perm, perm, true);
        change_locks(file->fd, REFUSES_BASE, file->locked_unshared, unshared, true);
        file->locked_perm = perm;
        file->locked_unshared = unshared;
    } else {
        change_locks(file->fd, USES_BASE, perm, file->locked_perm, true);
        change_locks(file->fd, REFUSES_BASE, unshared, file->locked_unshared, true);
    }
    return good;
}
