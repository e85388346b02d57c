/*
 * backend-file.c: content in plain files, for backends that only say which file it is
 *
 * These are callbacks like those of a backend, and stand in its table in the place of its own.
 * Their handle is the open storage itself.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/backend-private.h"
#include "util/file.h"
#include "util/i18n.h"

/* Most bytes read at a time. */
#define PIECE (256 * 1024)

typedef struct {
    VimgStore *store; /* borrowed: the writer or reader of it holds a reference */
    int fd;
    guint64 at;  /* next byte to be read or written */
    guint64 end; /* of what is to be read */
} Content;

static void
content_free(gpointer data)
{
    Content *content = data;

    close(content->fd);
    g_free(content);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Content, content_free)

static Content *
content_open(VimgStore *store, const char *uuid, gboolean saving, GError **error)
{
    vimg_autofd int fd = -1;
    GError *local = NULL;
    Content *content;
    struct stat st;

    fd = store->type->table.content(store->handle, uuid, saving, &local);
    if (!vimg_type_settle(store->type, fd >= 0, local, NULL, error))
        return NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        vimg_throw(error, VIMG_ERROR_DAMAGED, "%s", _("its content is not a plain file"));
        return NULL;
    }
    content = g_new0(Content, 1);
    content->store = store;
    content->fd = vimg_steal_fd(&fd);
    content->end = (guint64)st.st_size;
    return content;
}

/* ---- writing ---------------------------------------------------------------------------- */

static gboolean
throw_unwritable(GError **error)
{
    return vimg_throw_errno(error, "%s", _("cannot write its content"));
}

/* What an upload left that was interrupted may not be durable, so nothing of it is kept. */
static gpointer
file_writer_open(gpointer store, const char *uuid, const VimgWriteRequest *request,
                 VimgPluginJob *job, GError **error)
{
    g_autoptr(Content) content = content_open(store, uuid, TRUE, error);

    if (content && ftruncate(content->fd, 0) == 0)
        return g_steal_pointer(&content);
    if (content)
        throw_unwritable(error);
    return NULL;
}

static gboolean
file_writer_write(gpointer writer, VimgBuffer *buffer, gsize offset, gsize size, GError **error)
{
    Content *content = writer;

    if (vimg_pwrite_all(content->fd, buffer->data + offset, size, content->at) < 0)
        return throw_unwritable(error);
    content->at += size;
    return TRUE;
}

static gboolean
file_writer_hole(gpointer writer, guint64 length, GError **error)
{
    Content *content = writer;

    content->at += length;
    return TRUE;
}

static gboolean
file_writer_finish(gpointer writer, gboolean seal, const VimgPluginImage *image,
                   VimgPluginImage *out, GError **error)
{
    g_autoptr(Content) content = writer;
    VimgStore *store = content->store;

    if (!seal)
        return vimg_throw(error, VIMG_ERROR_ARGUMENT_UNSUPPORTED, "%s",
                          _("images can only be uploaded as a whole"));
    if (ftruncate(content->fd, (off_t)content->at) < 0 || fsync(content->fd) < 0)
        return throw_unwritable(error);
    return store->type->table.seal(store->handle, image, out, error);
}

/* ---- reading ---------------------------------------------------------------------------- */

static gpointer
file_reader_open(gpointer store, const char *uuid, guint64 offset, guint64 length,
                 VimgPluginJob *job, GError **error)
{
    Content *content = content_open(store, uuid, FALSE, error);

    if (!content)
        return NULL;
    content->at = MIN(offset, content->end);
    if (length > 0)
        content->end = content->at + MIN(length, content->end - content->at);
    return content;
}

/* Where what is @whence from the next byte on begins; the end at the latest. */
static guint64
find(const Content *content, int whence)
{
    off_t found = lseek(content->fd, (off_t)content->at, whence);

    if (found < 0 && errno == ENXIO) /* only a hole is left, of a file that may have been cut */
        found = lseek(content->fd, 0, SEEK_END);
    return found < 0 ? content->at : MIN((guint64)found, content->end);
}

static gboolean
read_data(Content *content, guint64 most, VimgExtent *out, GError **error)
{
    g_autoptr(VimgBuffer) buffer = vimg_buffer_new(MIN(PIECE, most));
    gssize n = pread(content->fd, buffer->data, buffer->size, (off_t)content->at);

    if (n < 0)
        return vimg_throw_errno(error, "%s", _("cannot read its content"));
    if (n == 0)
        return vimg_throw(error, VIMG_ERROR_DAMAGED, "%s", _("its content is shorter than it was"));
    out->length = (guint64)n;
    out->data = g_steal_pointer(&buffer);
    return TRUE;
}

static gboolean
file_reader_next(gpointer reader, VimgExtent *out, GError **error)
{
    Content *content = reader;
    guint64 data, hole;

    if (content->at == content->end)
        return TRUE;
    data = find(content, SEEK_DATA);
    hole = find(content, SEEK_HOLE);
    if (data > content->at)
        out->length = data - content->at;
    else if (!read_data(content, (hole > content->at ? hole : content->end) - content->at, out,
                        error))
        return FALSE;
    content->at += out->length;
    return TRUE;
}

/* ---- the table -------------------------------------------------------------------------- */

void
vimg_file_callbacks(VimgBackend *table)
{
    table->reader_open = file_reader_open;
    table->reader_generation = NULL; /* which content() does not tell */
    table->reader_next = file_reader_next;
    table->reader_close = content_free;
    if (!table->seal)
        return;
    table->writer_open = file_writer_open;
    table->writer_write = file_writer_write;
    table->writer_hole = file_writer_hole;
    table->writer_finish = file_writer_finish;
    table->writer_abort = content_free;
}
