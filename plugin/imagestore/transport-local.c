/*
 * transport-local.c: file operations in a directory of this host
 *
 * Every operation goes by path from the root, never through a held directory descriptor: a lease
 * directory that was renamed away must not be reachable any more.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "transport.h"

/* From this size on, writing back starts at once, so that the sync of a batch has little left. */
#define WRITEBACK_SIZE (64 * 1024)

typedef struct {
    VimgTransport parent;
    char *root; /* without a final slash, "" for / */
    gboolean plain;
} Local;

static int
errno_of(int result)
{
    return result < 0 ? errno : 0;
}

static int
write_all(int fd, const guint8 *data, gsize size)
{
    while (size > 0) {
        gssize n = write(fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return EIO;
        data += n;
        size -= (gsize)n;
    }
    return 0;
}

static int
write_file(const char *path, int flags, mode_t mode, const VimgOp *op)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, mode);
    int result;

    if (fd < 0)
        return errno;
    result = write_all(fd, op->data, op->size);
    if (result == 0 && op->size >= WRITEBACK_SIZE)
        sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    if (close(fd) < 0 && result == 0)
        result = errno;
    if (result != 0 && (flags & O_EXCL))
        unlink(path);
    return result;
}

/* Fewer than @size bytes where the file ends. */
static int
read_bytes(int fd, guint64 offset, gsize size, VimgBuffer **out)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(size);
    gsize done = 0;

    while (done < size) {
        gssize n = pread(fd, buffer->data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        done += (gsize)n;
    }
    buffer->size = done;
    *out = g_steal_pointer(&buffer);
    return 0;
}

static void
fill_info(const struct stat *st, VimgFileInfo *out)
{
    out->type = S_ISREG(st->st_mode)   ? VIMG_FILE_REGULAR
                : S_ISDIR(st->st_mode) ? VIMG_FILE_DIRECTORY
                                       : VIMG_FILE_OTHER;
    out->size = (guint64)st->st_size;
    out->mtime = (gint64)st->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_mtim.tv_nsec;
    out->inode = st->st_ino;
    out->allocation = (guint64)st->st_blocks * 512;
}

/* Also of @size: how much of it is data before the next hole, if there is one. */
static guint64
hole_at(int fd, guint64 offset, guint64 file_size, gsize *size)
{
    off_t end = lseek(fd, (off_t)offset, SEEK_DATA);

    if (end < 0 && errno == ENXIO)
        return file_size - offset;
    if (end > (off_t)offset)
        return MIN((guint64)end, file_size) - offset;
    end = lseek(fd, (off_t)offset, SEEK_HOLE);
    if (end > (off_t)offset)
        *size = MIN(*size, (guint64)end - offset);
    return 0;
}

static int
read_part(int fd, VimgOp *op, const struct stat *st)
{
    guint64 file_size = (guint64)st->st_size;
    gsize size = op->offset < file_size ? MIN(op->size, file_size - op->offset) : 0;
    struct stat after;
    int result;

    if (size > 0)
        op->hole = hole_at(fd, op->offset, file_size, &size);
    result = read_bytes(fd, op->offset, op->hole ? 0 : size, &op->content);
    if (result == 0 && fstat(fd, &after) < 0)
        result = errno;
    if (result == 0)
        fill_info(&after, &op->info);
    return result;
}

static int
read_open(int fd, VimgOp *op)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || op->offset > G_MAXINT64)
        return EINVAL;
    if (op->kind == VIMG_OP_READ_AT)
        return read_part(fd, op, &st);
    if ((guint64)st.st_size > op->size)
        return EFBIG;
    return read_bytes(fd, 0, (gsize)st.st_size, &op->content);
}

static int
read_file(const char *path, VimgOp *op)
{
    /* O_NONBLOCK: a FIFO put here by someone must not hang the daemon */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int result;

    if (fd < 0)
        return errno;
    result = read_open(fd, op);
    if (result != 0)
        g_clear_pointer(&op->content, vimg_buffer_unref);
    close(fd);
    return result;
}

/* EINVAL or ENOSYS: only what replaces can be had. */
static int
rename_strictly(const Local *local, const char *from, const char *to)
{
    if (local->plain)
        return EINVAL;
    return errno_of(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));
}

static int
rename_file(const Local *local, const char *from, const char *to)
{
    int result = rename_strictly(local, from, to);

    return result == EINVAL || result == ENOSYS ? errno_of(rename(from, to)) : result;
}

/*
 * Two steps are for what nobody else moves: between them it could be taken away from both places.
 * The first one decides, so a lease that is fenced then, with the old name in it, is no failure.
 */
static int
publish_file(const Local *local, const char *from, const char *to)
{
    int result = rename_strictly(local, from, to);

    if (result != EINVAL && result != ENOSYS)
        return result;
    if (link(from, to) == 0) {
        unlink(from);
        return 0;
    }
    /* there are file systems without links */
    return errno == EPERM || errno == EOPNOTSUPP ? rename_file(local, from, to) : errno;
}

static int
stat_file(const char *path, VimgFileInfo *out)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno;
    fill_info(&st, out);
    return 0;
}

/* Of an entry of @dir; a directory that is to be @fresh is opened: only then NFS asks the server.
 */
static int
look_at_entry(int dir, const char *name, gboolean fresh, VimgFileInfo *out)
{
    struct stat st;
    int fd;

    *out = (VimgFileInfo){.type = VIMG_FILE_OTHER};
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : errno;
    fill_info(&st, out);
    if (!fresh || out->type != VIMG_FILE_DIRECTORY)
        return 0;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0)
        fill_info(&st, out);
    if (fd >= 0)
        close(fd);
    return 0;
}

/* What the directory itself says of it, if that is all that is asked. */
static int
take_entry(int dir, const struct dirent *found, const VimgOp *op, VimgFileInfo *out)
{
    if (!op->types_only || found->d_type == DT_UNKNOWN)
        return look_at_entry(dir, found->d_name, op->fresh, out);
    *out = (VimgFileInfo){.type = found->d_type == DT_REG   ? VIMG_FILE_REGULAR
                                  : found->d_type == DT_DIR ? VIMG_FILE_DIRECTORY
                                                            : VIMG_FILE_OTHER};
    return 0;
}

typedef struct {
    ino_t inode;
    char *name;
    VimgFileInfo info;
} Entry;

static gint
compare_entries(gconstpointer a, gconstpointer b)
{
    ino_t x = ((const Entry *)a)->inode;
    ino_t y = ((const Entry *)b)->inode;

    return x < y ? -1 : x > y;
}

/*
 * In the order of the inodes.  Whoever lists many files touches them next, and a file system that
 * gives names in the order of their hashes would go to and fro in its tables and its journal.
 */
static int
list_directory(const char *path, VimgOp *op)
{
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    struct dirent *found;
    int failed = 0;
    int result;
    guint i;
    DIR *dir = opendir(path);

    if (!dir)
        return errno;
    while (failed == 0 && (errno = 0, (found = readdir(dir)))) {
        Entry entry = {.inode = found->d_ino};

        if (op->most > 0 && entries->len >= op->most)
            break;
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        entry.name = g_strdup(found->d_name);
        if (op->with_infos)
            failed = take_entry(dirfd(dir), found, op, &entry.info);
        g_array_append_val(entries, entry);
    }
    result = failed ? failed : errno;
    closedir(dir);
    g_array_sort(entries, compare_entries);
    op->names = g_ptr_array_new_full(entries->len, g_free);
    op->infos = op->with_infos ? g_array_new(FALSE, FALSE, sizeof(VimgFileInfo)) : NULL;
    for (i = 0; i < entries->len; i++) {
        const Entry *entry = &g_array_index(entries, Entry, i);

        g_ptr_array_add(op->names, entry->name);
        if (op->infos)
            g_array_append_val(op->infos, entry->info);
    }
    if (result != 0)
        vimg_transport_clear_ops(op, 1, FALSE);
    return result;
}

static int
sync_path(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int result;

    if (fd < 0)
        return errno;
    result = errno_of(fsync(fd));
    close(fd);
    return result;
}

static int
run_op(const Local *local, VimgOp *op)
{
    g_autofree char *path = g_strconcat(local->root, "/", op->path, NULL);
    g_autofree char *to = op->to ? g_strconcat(local->root, "/", op->to, NULL) : NULL;

    switch (op->kind) {
    case VIMG_OP_MKDIR:
        return errno_of(mkdir(path, 0777));
    case VIMG_OP_RMDIR:
        return errno_of(rmdir(path));
    case VIMG_OP_CREATE:
        return write_file(path, O_CREAT | O_EXCL, op->sealed ? 0444 : 0644, op);
    case VIMG_OP_OVERWRITE:
        return write_file(path, O_TRUNC, 0, op);
    case VIMG_OP_READ:
    case VIMG_OP_READ_AT:
        return read_file(path, op);
    case VIMG_OP_RENAME:
        return rename_file(local, path, to);
    case VIMG_OP_PUBLISH:
        return publish_file(local, path, to);
    case VIMG_OP_UNLINK:
        return errno_of(unlink(path));
    case VIMG_OP_STAT:
        return stat_file(path, &op->info);
    case VIMG_OP_LIST:
        return list_directory(path, op);
    case VIMG_OP_SYNC:
        return sync_path(path);
    }
    return EINVAL;
}

static void
local_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    gsize i;

    for (i = 0; i < n; i++)
        ops[i].result = run_op((const Local *)transport, &ops[i]);
}

static int
local_sync_all(VimgTransport *transport)
{
    const Local *local = (const Local *)transport;
    int fd = open(local->root[0] ? local->root : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result;

    if (fd < 0)
        return errno;
    result = errno_of(syncfs(fd));
    close(fd);
    return result;
}

static int
local_space(VimgTransport *transport, VimgSpace *out)
{
    const Local *local = (const Local *)transport;
    struct statvfs st;

    if (statvfs(local->root[0] ? local->root : "/", &st) < 0)
        return errno;
    out->total = (guint64)st.f_blocks * st.f_frsize;
    out->available = (guint64)st.f_bavail * st.f_frsize;
    out->read_only = (st.f_flag & ST_RDONLY) != 0;
    return 0;
}

static void
local_free(VimgTransport *transport)
{
    Local *local = (Local *)transport;

    g_free(local->root);
    g_free(local);
}

static const VimgTransportOps local_ops = {
    .run = local_run,
    .sync_all = local_sync_all,
    .space = local_space,
    .free = local_free,
};

VimgTransport *
vimg_transport_local_new(const char *root)
{
    Local *local = g_new0(Local, 1);
    gsize length = strlen(root);

    while (length > 0 && root[length - 1] == '/')
        length--;
    local->parent.ops = &local_ops;
    local->root = g_strndup(root, length);
    return &local->parent;
}

void
vimg_transport_local_set_plain(VimgTransport *transport)
{
    ((Local *)transport)->plain = TRUE;
}
