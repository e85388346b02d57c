/*
 * file.c: files that are whole or absent, and bounded reading
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"
#include "util/file.h"
#include "util/i18n.h"

/*
 * For a large write the kernel takes its pages in large pieces, and in a virtual machine those are
 * often memory that its host has taken back: 2 GiB written to a new file by 1 MiB took 4 s there,
 * by 32 KiB 0.5 s, and both 0.3 s where no page was new.
 */
#define STEP ((gsize)32 * 1024)

void
vimg_autofd_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

int
vimg_steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

int
vimg_write_all(int fd, const void *data, gsize size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t n = write(fd, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        size -= (gsize)n;
    }
    return 0;
}

int
vimg_pwrite_all(int fd, const void *data, gsize size, guint64 offset)
{
    const char *at = data;

    while (size > 0) {
        ssize_t n = pwrite(fd, at, MIN(size, STEP), (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        offset += (guint64)n;
        size -= (gsize)n;
    }
    return 0;
}

gboolean
vimg_dir_sync(const char *path, GError **error)
{
    vimg_autofd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return vimg_throw_errno(error, _("cannot open directory '%s'"), path);
    if (fsync(fd) < 0)
        return vimg_throw_errno(error, _("cannot flush directory '%s'"), path);
    return TRUE;
}

static gboolean
sync_parent(const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);

    return vimg_dir_sync(parent, error);
}

/* In the directory of @path, however long its name is: a file name has 255 bytes at most. */
static char *
name_beside(const char *path)
{
    g_autofree char *random = g_uuid_string_random();
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);

    return g_strdup_printf("%s/%.200s.%s.new", dir, name, random);
}

gboolean
vimg_file_replace(const char *path, const void *data, gsize size, mode_t mode, GError **error)
{
    g_autofree char *beside = name_beside(path);
    vimg_autofd int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0)
        return vimg_throw_errno(error, _("cannot create '%s'"), beside);
    if (fchmod(fd, mode) < 0 || vimg_write_all(fd, data, size) < 0 || fsync(fd) < 0 ||
        rename(beside, path) < 0) {
        vimg_throw_errno(error, _("cannot write '%s'"), path);
        unlink(beside);
        return FALSE;
    }
    return sync_parent(path, error);
}

gboolean
vimg_file_remove(const char *path, GError **error)
{
    if (unlink(path) < 0) {
        if (errno == ENOENT)
            return TRUE;
        return vimg_throw_errno(error, _("cannot remove '%s'"), path);
    }
    return sync_parent(path, error);
}

gboolean
vimg_dir_make(const char *path, mode_t mode, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);

    if (g_file_test(path, G_FILE_TEST_IS_DIR))
        return TRUE;
    if (strcmp(parent, path) != 0 && !vimg_dir_make(parent, mode, error))
        return FALSE;
    /* what another made at the same time may not be durable yet */
    if (mkdir(path, mode) < 0 && (errno != EEXIST || !g_file_test(path, G_FILE_TEST_IS_DIR)))
        return vimg_throw_errno(error, _("cannot make directory '%s'"), path);
    return sync_parent(path, error);
}

char *
vimg_file_read(const char *path, gsize max, gsize *size, GError **error)
{
    vimg_autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    g_autofree char *data = NULL;
    struct stat st;
    gsize have = 0;

    if (fd < 0 || fstat(fd, &st) < 0) {
        vimg_throw_errno(error, _("cannot read '%s'"), path);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || (guint64)st.st_size > max) {
        vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                   _("'%1$s' is not a regular file of at most %2$zu bytes"), path, max);
        return NULL;
    }
    data = g_malloc((gsize)st.st_size + 1);
    while (have < (gsize)st.st_size) {
        ssize_t n = read(fd, data + have, (gsize)st.st_size - have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            vimg_throw_errno(error, _("cannot read '%s'"), path);
            return NULL;
        }
        if (n == 0)
            break;
        have += (gsize)n;
    }
    data[have] = '\0';
    if (size)
        *size = have;
    return g_steal_pointer(&data);
}
