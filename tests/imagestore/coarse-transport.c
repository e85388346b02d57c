/*
 * coarse-transport.c: a storage that tells what SFTP tells
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "coarse-transport.h"
#include "pass-transport.h"

#define SECOND G_GINT64_CONSTANT(1000000000)

typedef struct {
    PassTransport pass;
    gint64 skew;
    guint reads; /* __atomic builtins */
} Coarse;

static void
blur(const Coarse *coarse, VimgFileInfo *info)
{
    info->mtime = (info->mtime / SECOND + coarse->skew) * SECOND;
    info->inode = 0;
    info->allocation = 0;
}

static void
list(const Coarse *coarse, VimgOp *op)
{
    guint i;

    op->result = vimg_transport_list_infos(coarse->pass.inner, op->path, &op->names, &op->infos);
    for (i = 0; op->result == 0 && i < op->infos->len; i++)
        blur(coarse, &g_array_index(op->infos, VimgFileInfo, i));
}

static void
coarse_run(VimgTransport *transport, VimgOp *ops, gsize n)
{
    Coarse *coarse = (Coarse *)transport;
    gsize i;

    for (i = 0; i < n; i++) {
        if (ops[i].kind == VIMG_OP_READ_AT)
            __atomic_add_fetch(&coarse->reads, 1, __ATOMIC_RELAXED);
        if (ops[i].kind == VIMG_OP_LIST && ops[i].with_infos) {
            list(coarse, &ops[i]);
            continue;
        }
        vimg_transport_run(coarse->pass.inner, &ops[i], 1);
        if (ops[i].kind == VIMG_OP_STAT || ops[i].kind == VIMG_OP_READ_AT)
            blur(coarse, &ops[i].info);
    }
}

static const VimgTransportOps coarse_ops = {
    .run = coarse_run,
    .sync_all = pass_sync_all,
    .space = pass_space,
    .free = pass_free,
};

VimgTransport *
coarse_transport_new(VimgTransport *inner, gint64 skew)
{
    Coarse *coarse = g_new0(Coarse, 1);

    coarse->pass.parent.ops = &coarse_ops;
    coarse->pass.inner = inner;
    coarse->skew = skew;
    return &coarse->pass.parent;
}

guint
coarse_transport_reads(VimgTransport *transport)
{
    return __atomic_load_n(&((Coarse *)transport)->reads, __ATOMIC_RELAXED);
}
