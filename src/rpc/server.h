/*
 * server.h: the listening sockets, the main loop's side of every connection, and the workers
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_SERVER_H
#define VIMG_RPC_SERVER_H

#include "conf/daemon-config.h"
#include "rpc/dispatch.h"
#include "rpc/scheduler.h"
#include "wire/frame.h"

typedef struct {
    gpointer (*connected)(VimgClient *client);               /* returns client data; main loop */
    void (*disconnected)(VimgClient *client, gpointer data); /* drop registrations; main loop */
    void (*free_data)(gpointer data);                        /* with the last reference */
    /*
     * optional: an event of the host's daemon, before the client has it; @payload may be NULL, and
     * may be changed where it lies.  Returns: FALSE if the client is not to have it.  Main loop
     */
    gboolean (*host_message)(VimgClient *client, const VimgFrameHeader *header,
                             VimgBuffer *payload);
    /*
     * optional: its answer to a call of the client, before the client has it; @payload may be NULL.
     * Returns: (transfer full) what the client is told instead, or NULL.  Main loop
     */
    GError *(*host_answer)(VimgClient *client, const VimgFrameHeader *header,
                           const VimgBuffer *payload);
    /* optional: the client's connection to it is open, or it answers again; main loop */
    void (*host_opened)(VimgClient *client);
    /* optional: the client's connection to it ended, with all that was registered there; main loop
     */
    void (*host_lost)(VimgClient *client);
    /* optional: the client listens for something there that was not registered; main loop */
    gboolean (*host_wanted)(VimgClient *client);
} VimgServerHooks;

/* @config and @programs (NULL-terminated) are borrowed for the life of the server. */
VimgServer *vimg_server_new(GMainContext *context, const VimgDaemonConfig *config, VimgModel *model,
                            const VimgProgram *const *programs, const VimgServerHooks *hooks,
                            GError **error);
/* Ends connections, aborts streams, joins threads.  Main loop.  Accepts NULL. */
void vimg_server_free(VimgServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgServer, vimg_server_free)

/* Binds @path (a stale socket nobody listens on is replaced; a live one is an error). */
gboolean vimg_server_listen(VimgServer *server, const char *path, mode_t mode, gid_t group,
                            gboolean read_only, GError **error);
/* Takes over a socket that systemd passed. */
gboolean vimg_server_listen_fd(VimgServer *server, int fd, gboolean read_only, GError **error);

/* Calls @func in the main loop after @seconds without clients, streams and @busy() == 0. */
void vimg_server_set_idle_timeout(VimgServer *server, guint seconds, guint (*busy)(gpointer data),
                                  void (*func)(gpointer data), gpointer data);

/* Any thread: @func for each connected client. */
void vimg_server_foreach_client(VimgServer *server, void (*func)(VimgClient *client, gpointer data),
                                gpointer data);
const VimgDaemonConfig *vimg_server_config(VimgServer *server);
/* How the daemon was started: URIs it answers, "image:///system" first. */
gboolean vimg_server_is_privileged(VimgServer *server);

/* Main loop: the workers that may wait for the host's own daemon; NULL while the server ends. */
VimgScheduler *vimg_server_host_scheduler(VimgServer *server);

#endif
