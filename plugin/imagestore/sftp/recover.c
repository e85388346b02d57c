/*
 * recover.c: what became of operations whose connection was lost
 *
 * Nobody knows whether the server executed what was under way.  Most operations may be done twice.
 * The others are looked up: names below a lease are used once, so what is found at the new one and
 * no more at the old one was moved by us; with the lease gone, we may not move anything any more.
 *
 * A server may still execute what it received before, after it was asked anew.  That is harmless:
 * a second rename finds nothing, a second exclusive create something, which is looked up once more;
 * and a half written file is not continued but removed, so late writes reach one without a name.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>

#include "recover.h"

/* What is there now. */
typedef struct {
    VimgTransport *transport;
    VimgOp *op;
    VimgSftpTrack *track;
    const VimgOp *self, *to, *parent;
} Look;

static gboolean
is_there(const VimgOp *op)
{
    return op->result == 0;
}

static void
end(const Look *look, int result)
{
    look->op->result = result;
    look->track->ended = TRUE;
}

/* What moved while it was looked at is to be done, and then looked at, once more. */
static void
end_unless_moved(const Look *look, int result)
{
    if (result != ENOENT)
        end(look, result);
}

/* A name is claimed by what is in its directory; an empty one is as good as ours. */
static void
look_mkdir(const Look *look)
{
    g_autoptr(GPtrArray) names = NULL;
    int result;

    if (!is_there(look->self))
        return;
    if (look->self->info.type != VIMG_FILE_DIRECTORY) {
        end(look, EEXIST);
        return;
    }
    result = vimg_transport_list(look->transport, look->op->path, &names);
    if (result == 0 && names->len > 0)
        result = EEXIST;
    end_unless_moved(look, result);
}

/* Before its file was open to us, an attempt wrote nothing to it. */
static void
look_create(const Look *look)
{
    if (look->track->mine)
        look->track->replace = TRUE;
    else if (is_there(look->self) && look->self->info.size > 0)
        end(look, EEXIST);
    else if (is_there(look->self) && look->op->size > 0)
        look->track->replace = TRUE;
    else if (is_there(look->self))
        end(look, look->op->durable ? vimg_transport_sync(look->transport, look->op->path) : 0);
}

static void
look_rename(const Look *look)
{
    if (is_there(look->self))
        return;
    end(look, is_there(look->to) && is_there(look->parent) ? 0 : ENOENT);
}

/* Returns: 0 if both names are of one file, EEXIST if not, or why that cannot be seen. */
static int
compare(const Look *look)
{
    g_autoptr(VimgBuffer) from = NULL;
    g_autoptr(VimgBuffer) to = NULL;
    gsize size = (gsize)look->self->info.size;
    int result;

    if (look->self->info.size != look->to->info.size ||
        look->self->info.mtime != look->to->info.mtime)
        return EEXIST;
    result = vimg_transport_read(look->transport, look->op->path, size, &from);
    if (result == 0)
        result = vimg_transport_read(look->transport, look->op->to, size, &to);
    if (result != 0)
        return result;
    return from->size == to->size && memcmp(from->data, to->data, from->size) == 0 ? 0 : EEXIST;
}

/* Between its two steps the file has both names. */
static void
look_publish(const Look *look)
{
    if (!is_there(look->self))
        look_rename(look);
    else if (is_there(look->to)) {
        int result = compare(look);

        if (result == 0)
            vimg_transport_unlink(look->transport, look->op->path);
        end_unless_moved(look, result);
    }
}

/* The others are done once more. */
static void (*const looks[])(const Look *look) = {
    [VIMG_OP_MKDIR] = look_mkdir,   [VIMG_OP_CREATE] = look_create,
    [VIMG_OP_RENAME] = look_rename, [VIMG_OP_PUBLISH] = look_publish,
    [VIMG_OP_SYNC] = NULL,
};

/* An answer that tells neither that it is there nor that it is not. */
static int
doubt(const Look *look)
{
    const VimgOp *const seen[] = {look->self, look->to, look->parent};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(seen); i++) {
        if (seen[i]->result != 0 && seen[i]->result != ENOENT)
            return seen[i]->result;
    }
    return 0;
}

enum {
    SELF,
    TO,
    PARENT,
    N_SEEN
};

void
vimg_sftp_recover(VimgTransport *transport, VimgOp *ops, VimgSftpTrack *tracks, gsize n)
{
    g_autoptr(GArray) indexes = g_array_new(FALSE, FALSE, sizeof(gsize));
    g_autofree VimgOp *seen = NULL;
    gsize i;

    for (i = 0; i < n; i++) {
        if (!tracks[i].ended && ops[i].kind < G_N_ELEMENTS(looks) && looks[ops[i].kind])
            g_array_append_val(indexes, i);
    }
    seen = g_new0(VimgOp, N_SEEN * (gsize)indexes->len);
    for (i = 0; i < indexes->len; i++) {
        const VimgOp *op = &ops[g_array_index(indexes, gsize, i)];
        VimgOp *at = seen + N_SEEN * i;

        at[SELF] = (VimgOp){.kind = VIMG_OP_STAT, .path = op->path};
        at[TO] = (VimgOp){.kind = VIMG_OP_STAT, .path = op->to ? op->to : op->path};
        at[PARENT] = (VimgOp){.kind = VIMG_OP_STAT, .path = g_path_get_dirname(op->path)};
    }
    vimg_transport_run(transport, seen, N_SEEN * (gsize)indexes->len);
    for (i = 0; i < indexes->len; i++) {
        gsize at = g_array_index(indexes, gsize, i);
        VimgOp *found = seen + N_SEEN * i;
        const Look look = {transport,    &ops[at],   &tracks[at],
                           found + SELF, found + TO, found + PARENT};
        int result = doubt(&look);

        if (result != 0)
            end(&look, result);
        else
            looks[ops[at].kind](&look);
        g_free((char *)found[PARENT].path);
    }
}

gboolean
vimg_sftp_is_doubtful(const VimgOp *op)
{
    switch (op->kind) {
    case VIMG_OP_RENAME:
        return op->result == ENOENT;
    case VIMG_OP_PUBLISH:
        return op->result == ENOENT || op->result == EEXIST;
    case VIMG_OP_CREATE:
    case VIMG_OP_MKDIR:
        return op->result == EEXIST;
    default:
        return FALSE;
    }
}

int
vimg_sftp_settle(const VimgOp *op, int result)
{
    gboolean removes = op->kind == VIMG_OP_UNLINK || op->kind == VIMG_OP_RMDIR;

    return removes && result == ENOENT ? 0 : result;
}
