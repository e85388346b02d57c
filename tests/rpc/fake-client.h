/*
 * fake-client.h: a connection without a socket, and a server that has only that one
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef FAKE_CLIENT_H
#define FAKE_CLIENT_H

#include "rpc/client.h"
#include "rpc/server.h"
#include "rpc/upstream.h"

struct _VimgServer {
    VimgDaemonConfig config;
    gboolean privileged;
};

struct _VimgClient {
    VimgServer server;
    gboolean read_only;
    gboolean authenticated;
    gboolean keepalive;
    gboolean hears_close;
    uid_t uid;
    char *uri;
    gpointer data;
    GPtrArray *events; /* of char *: "370 " and the payload in hexadecimal */
};

/* Root's connection to root's daemon, neither authenticated nor open; ended by its one unref. */
VimgClient *fake_client_new(void);

/* Lower-case hexadecimal of what @proc makes of @data.  Returns: (transfer full) */
char *fake_encode(xdrproc_t proc, const void *data);

#endif
