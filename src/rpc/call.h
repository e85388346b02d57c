/*
 * call.h: one call from its packet to its reply
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_CALL_H
#define VIMG_RPC_CALL_H

#include "rpc/dispatch.h"
#include "rpc/packet.h"
#include "rpc/scheduler.h"
#include "rpc/stream.h"
#include "wire/frame.h"

/* The main loop's, but for the time between vimg_server_call_submit() and @done. */
typedef struct {
    VimgCall base;
    VimgClient *client; /* a reference */
    VimgFrameHeader header;
    VimgBuffer *payload; /* until it is decoded; may be NULL */
    gsize offset;        /* of the arguments in it */
    gsize bytes;         /* of the payload, as counted for the client */
    VimgStream *stream;  /* VIMG_PROC_STREAM: a reference, once registered */
    VimgBuffer *reply;   /* a whole packet */
    gboolean failed;     /* @reply is an error */
    gboolean hosts;      /* the host's daemon is to be asked, if there is one */
    guint32 type;        /* of its packet: CALL or CALL_WITH_FDS */
    int *fds;            /* that came with it */
    guint n_fds;
    VimgInbox *inbox;
    void (*done)(gpointer call);
    VimgTask task;
    VimgScheduler *scheduler; /* which one has it; NULL: the host is being asked */
    GList link;               /* among the calls of the client that a worker has or will have */
} VimgServerCall;

/* @payload: (transfer full), may be NULL. */
VimgServerCall *vimg_server_call_new(VimgClient *client, const VimgFrameHeader *header,
                                     VimgBuffer *payload, gsize offset);
/* Frees the transfer too, if nobody took it, which may block. */
void vimg_server_call_free(VimgServerCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgServerCall, vimg_server_call_free)

/* They came with it; (transfer full) */
void vimg_server_call_add_fds(VimgServerCall *call, const int *fds, guint n);
/* Returns: (transfer full) the packet as it came; the call has none any more. */
VimgPacket *vimg_server_call_take_packet(VimgServerCall *call);
/*
 * Finds the row and decodes the arguments, in libvirt's order of complaints.  What we do not know
 * fails, and may be the host's all the same: @call->hosts.
 */
gboolean vimg_server_call_prepare(VimgServerCall *call, VimgModel *model,
                                  const VimgProgram *const *programs, GError **error);
/* Returns: (transfer full) the reply on its way to the client. */
VimgPacket *vimg_server_call_take_reply(VimgServerCall *call);
/* Sets the reply to @cause instead of whatever it was. */
void vimg_server_call_fail(VimgServerCall *call, const GError *cause);
/* Runs the handler and encodes the reply, here and now. */
void vimg_server_call_run(VimgServerCall *call);
/* The main loop is to do so. */
gboolean vimg_server_call_is_inline(const VimgServerCall *call);
/*
 * A worker does so; then @done(call) in the main loop.  What the host's own daemon is to be asked
 * before, it is asked at once; nobody waits for that, and what is short is run by the main loop.
 */
void vimg_server_call_submit(VimgServerCall *call, VimgScheduler *scheduler, VimgInbox *inbox,
                             void (*done)(gpointer call));

#endif
