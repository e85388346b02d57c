/*
 * hello.h: what a client says to a libvirt daemon before its first call
 *
 * Packets alone, without a socket: whoever sends them and reads the answers may wait or not.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_WIRE_HELLO_H
#define VIMG_WIRE_HELLO_H

#include "util/peer.h"
#include "wire/frame.h"
#include "wire/remote.h"

/* Whether a daemon wants to be asked how to authenticate, as far as is known. */
typedef enum {
    VIMG_HELLO_UNKNOWN,
    VIMG_HELLO_NEEDLESS, /* it asked for nothing, so the next one begins with opening */
    VIMG_HELLO_NEEDED,   /* such a one was refused */
} VimgHelloAuth;

/* What is said, one after the other. */
typedef enum {
    VIMG_HELLO_LIST,
    VIMG_HELLO_POLKIT,
    VIMG_HELLO_OPEN,
    VIMG_HELLO_IDENTITY,
    VIMG_HELLO_DONE,
} VimgHelloStep;

typedef struct {
    const char *name; /* what is opened: a URI; borrowed, as the peer is */
    gboolean read_only;
    const VimgPeer *peer;
    VimgHelloStep step;
    VimgHelloAuth auth; /* what is known now, of use to the next one */
    gboolean listed;    /* it was asked how to authenticate */
    guint32 serial;     /* of what was sent last; they begin with 1 */
} VimgHello;

/*
 * Opens @name as @peer, who connected, or whose process connected for it: both are borrowed until
 * the end.  @auth: what the one before came to know of the same daemon.
 */
void vimg_hello_init(VimgHello *hello, const char *name, gboolean read_only, const VimgPeer *peer,
                     VimgHelloAuth auth);
/* Returns: (transfer full) the packet of its step, which is not DONE; NULL with VIMG_ERROR_RPC. */
VimgBuffer *vimg_hello_next(VimgHello *hello, GError **error);
/* @header is of the answer to that packet.  */
gboolean vimg_hello_is_answer(const VimgHello *hello, const VimgFrameHeader *header);
/*
 * Goes on to the next step by such an answer; @payload may be NULL.  Returns: FALSE if nothing can
 * be opened; errors of the daemon itself are VIMG_VIR_ERROR.
 */
gboolean vimg_hello_take(VimgHello *hello, const VimgFrameHeader *header, const VimgBuffer *payload,
                         GError **error);

/*
 * Who @peer is, for the procedure that sets an identity.  @out: room for VIMG_REMOTE_IDENTITY_MAX,
 * whose strings are borrowed.  Returns: how many.
 */
guint vimg_hello_describe(const VimgPeer *peer, vimg_remote_param *out);

#endif
