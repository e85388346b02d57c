/*
 * test-file-fixture.c: files that are being written, by a kernel that fails and hangs when told to
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/primary-mark.h"
#include "test-file-fixture.h"
#include "util/error.h"

#define ALL (SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)

/* ---- the kernel --------------------------------------------------------------------------- */

Kernel kernel = {.lock = VIMG_MUTEX_INIT};

/* These are in the place of the C library's. */
int
sync_file_range(int fd, off_t offset, off_t size, unsigned int flags)
{
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(size, >, 0);
    if (flags == SYNC_FILE_RANGE_WRITE) {
        g_assert_cmpint(offset, ==, kernel.begun);
        kernel.begun = offset + size;
        return 0;
    }
    g_assert_cmpuint(flags, ==, ALL);
    g_assert_cmpint(offset, ==, kernel.done);
    kernel.done = offset + size;
    kernel.n++;
    errno = kernel.error;
    kernel.error = 0;
    return errno ? -1 : 0;
}

static void
wait_for_answer(Call call)
{
    VIMG_LOCK_GUARD(&kernel.lock);
    if (kernel.held != call)
        return;
    kernel.waiting++;
    vimg_cond_broadcast(&kernel.changed);
    while (kernel.held)
        vimg_cond_wait(&kernel.changed, &kernel.lock);
    kernel.waiting--;
}

int
fsync(int fd)
{
    wait_for_answer(SYNC);
    return (int)syscall(SYS_fsync, fd);
}

int
fdatasync(int fd)
{
    wait_for_answer(SYNC);
    return (int)syscall(SYS_fdatasync, fd);
}

int
ftruncate(int fd, off_t size)
{
    wait_for_answer(CUT);
    return (int)syscall(SYS_ftruncate, fd, size);
}

int
lstat(const char *path, struct stat *info)
{
    wait_for_answer(LOOK);
    return fstatat(AT_FDCWD, path, info, AT_SYMLINK_NOFOLLOW);
}

static void
kernel_begins(off_t at)
{
    kernel.begun = kernel.done = at;
    kernel.n = 0;
    kernel.error = 0;
}

/* ---- files -------------------------------------------------------------------------------- */

gint cancelled;

static gboolean
check(gpointer job, GError **error)
{
    g_assert_cmpstr(job, ==, "job");
    return !__atomic_load_n(&cancelled, __ATOMIC_RELAXED) ||
           vimg_throw(error, VIMG_ERROR_ABORTED, "cancelled");
}

static const VimgHostWaiter waiter = {check, (gpointer) "job", "pool-id"};

void
make_marked(const char *path, const char *id, guint64 place, gsize size)
{
    g_autofree char *content = g_malloc0(MAX(size, place + VIMG_HOST_MARK_SIZE));
    g_autofree char *mark = g_strconcat(WORDS, id, NULL);
    g_autoptr(GError) error = NULL;

    memcpy(content + place, mark, strlen(mark));
    g_file_set_contents(path, content, (gssize)size, &error);
    g_assert_no_error(error);
}

VimgHostFile *
try_open(const char *path, guint64 at, GError **error)
{
    const VimgHostFileSpec spec = {path, "v", "p", ID, 32768};

    kernel_begins((off_t)at);
    return vimg_host_file_open(&spec, at, &waiter, error);
}

VimgHostFile *
open_file(const char *path, guint64 at)
{
    g_autoptr(GError) error = NULL;
    VimgHostFile *file;

    make_marked(path, ID, 32768, MIB);
    file = try_open(path, at, &error);
    g_assert_no_error(error);
    g_assert_nonnull(file);
    return file;
}

void
assert_bytes(const char *data, int byte, gsize size)
{
    for (gsize i = 0; i < size; i++)
        g_assert_cmpint(data[i], ==, byte);
}
