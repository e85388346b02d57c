/*
 * way.h: the way to a store on another machine
 *
 * From a pool's definition to the server's SFTP subsystem.  A way never changes: another definition
 * is another way.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_IMAGESTORE_WAY_H
#define VIMG_IMAGESTORE_WAY_H

#include "sftp/stream.h"
#include "../ssh/ssh.h"

#define VIMG_WAY_CONNECTIONS_MAX 8
#define VIMG_WAY_CONNECTIONS_DEFAULT 4

typedef struct _VimgWay VimgWay;

/* Of @pool, which vimg_remote_check() let pass.  Returns: (transfer full) */
VimgWay *vimg_way_new(const VimgPluginPool *pool);
VimgWay *vimg_way_ref(VimgWay *way);
/* The same way, but over @network, a CIDR, alone.  Returns: (transfer full) */
VimgWay *vimg_way_via(const VimgWay *way, const char *network);
/* Whether connections of one are as good as those of the other. */
gboolean vimg_way_equal(const VimgWay *a, const VimgWay *b);
/* Accepts NULL. */
void vimg_way_unref(VimgWay *way);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgWay, vimg_way_unref)

/* At most so many connections at once. */
guint vimg_way_connections(const VimgWay *way);

/*
 * Goes the whole way, with the password as it is now.  @sink, which may be NULL, hears of each step
 * before it is taken.  Errors are those of vimg_ssh_connect() and say which step failed, or that
 * the secret is missing, or that the thread's job was cancelled.  Returns: (transfer full)
 */
VimgSftpStream *vimg_way_go(const VimgWay *way, VimgSshSink sink, gpointer data, GError **error);
/*
 * The same without a word; @only: to that machine alone, NULL: to any.  @reached: (transfer full)
 * the machine, if it is not NULL.  @given_up: instead of the thread's job.
 */
VimgSftpStream *vimg_way_go_to(const VimgWay *way, const VimgSshPeer *only, VimgSshPeer **reached,
                               const VimgSshGivenUp *given_up, GError **error);

/* The host_key_accept() of the contract. */
gboolean vimg_way_accept(const VimgPluginPool *pool, const char *fingerprint, GError **error);

#endif
