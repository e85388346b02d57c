/*
 * talk.h: a few calls to a libvirt daemon, one after the other, by a thread that may wait
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_HOST_TALK_H
#define VIMG_HOST_TALK_H

#include "util/peer.h"
#include "wire/frame.h"
#include "wire/reader.h"

typedef struct {
    int fd;          /* borrowed; does not block */
    int cancel;      /* ends a call when readable; -1: nothing does */
    gint64 deadline; /* as g_get_monotonic_time() */
    guint32 serial;
    VimgReader reader;
    VimgFrameHeader header; /* of the reply */
    VimgBuffer *payload;    /* wiped: it may hold a secret */
    gboolean answered;
} VimgTalk;

void vimg_talk_init(VimgTalk *talk, int fd, int cancel, gint64 deadline);
void vimg_talk_clear(VimgTalk *talk);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgTalk, vimg_talk_clear)

/*
 * First of all: authenticates and opens @name as @peer, as whom it connected.  Errors of the daemon
 * itself are VIMG_VIR_ERROR.
 */
gboolean vimg_talk_open(VimgTalk *talk, const char *name, gboolean read_only, const VimgPeer *peer,
                        GError **error);
/*
 * One call of libvirt's own program.  @args NULL: without arguments; @ret NULL: whatever it returns
 * is left alone, else it is zeroed, and the caller's to xdr_free() whatever comes of it.  Errors of
 * the daemon itself are VIMG_VIR_ERROR.
 */
gboolean vimg_talk_call(VimgTalk *talk, gint32 procedure, xdrproc_t args_proc, gconstpointer args,
                        xdrproc_t ret_proc, gpointer ret, GError **error);

#endif
