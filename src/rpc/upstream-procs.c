/*
 * upstream-procs.c: procedures of libvirt that leave something behind at the host's daemon
 *
 * Numbers of libvirt's protocol, which never change.  One that is missing here is forwarded all the
 * same; only if the host's daemon ends, nobody tells the client that its stream or its events did.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/upstream-private.h"

typedef struct {
    guint32 program;
    gint32 procedure;
    VimgUpstreamEffect effect;
} Row;

static const Row rows[] = {
    {VIMG_PROGRAM_REMOTE, 105, VIMG_UPSTREAM_REGISTERS},   /* domains, the oldest way */
    {VIMG_PROGRAM_REMOTE, 106, VIMG_UPSTREAM_DEREGISTERS}, /* */
    {VIMG_PROGRAM_REMOTE, 148, VIMG_UPSTREAM_STREAM},      /* tunnelled migration */
    {VIMG_PROGRAM_REMOTE, 167, VIMG_UPSTREAM_REGISTERS},   /* domains, any event */
    {VIMG_PROGRAM_REMOTE, 168, VIMG_UPSTREAM_DEREGISTERS}, /* */
    {VIMG_PROGRAM_REMOTE, 201, VIMG_UPSTREAM_STREAM},      /* console */
    {VIMG_PROGRAM_REMOTE, 208, VIMG_UPSTREAM_STREAM},      /* upload to a volume */
    {VIMG_PROGRAM_REMOTE, 209, VIMG_UPSTREAM_STREAM},      /* download of a volume */
    {VIMG_PROGRAM_REMOTE, 211, VIMG_UPSTREAM_STREAM},      /* screenshot */
    {VIMG_PROGRAM_REMOTE, 217, VIMG_UPSTREAM_STREAM},      /* tunnelled migration, version 3 */
    {VIMG_PROGRAM_REMOTE, 296, VIMG_UPSTREAM_STREAM},      /* channel */
    {VIMG_PROGRAM_REMOTE, 304, VIMG_UPSTREAM_STREAM},      /* the same with parameters */
    {VIMG_PROGRAM_REMOTE, 313, VIMG_UPSTREAM_REGISTERS},   /* networks */
    {VIMG_PROGRAM_REMOTE, 314, VIMG_UPSTREAM_DEREGISTERS}, /* */
    {VIMG_PROGRAM_REMOTE, 316, VIMG_UPSTREAM_REGISTERS},   /* domains, with a callback id */
    {VIMG_PROGRAM_REMOTE, 317, VIMG_UPSTREAM_DEREGISTERS}, /* */
    {VIMG_PROGRAM_REMOTE, 374, VIMG_UPSTREAM_REGISTERS},   /* node devices */
    {VIMG_PROGRAM_REMOTE, 375, VIMG_UPSTREAM_DEREGISTERS}, /* */
    {VIMG_PROGRAM_REMOTE, 380, VIMG_UPSTREAM_REGISTERS},   /* secrets, of a client by an alias */
    {VIMG_PROGRAM_REMOTE, 381, VIMG_UPSTREAM_DEREGISTERS}, /* */
    {VIMG_PROGRAM_QEMU, 4, VIMG_UPSTREAM_REGISTERS},       /* QEMU's monitor */
    {VIMG_PROGRAM_QEMU, 5, VIMG_UPSTREAM_DEREGISTERS},
};

VimgUpstreamEffect
vimg_upstream_effect(const VimgFrameHeader *header)
{
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].procedure == header->procedure && rows[i].program == header->program)
            return rows[i].effect;
    return VIMG_UPSTREAM_NOTHING;
}
