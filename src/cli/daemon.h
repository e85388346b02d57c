/*
 * daemon.h: the virtimaged at the other end of one connection
 *
 * Used by one thread.  Nothing runs by itself: PINGs are answered and events handled while one of
 * these functions waits.  The daemon is not trusted: what it may not send ends the connection.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_CLI_DAEMON_H
#define VIMG_CLI_DAEMON_H

#include "wire/control.h"
#include "wire/frame.h"

/*
 * Errors of this domain carry the whole text.  The code is libvirt's virErrorNumber, as the daemon
 * sent it, or one of ours, which are negative.  Wrong URIs and local files are VIMG_ERROR.
 */
#define VIMG_DAEMON_ERROR (vimg_daemon_error_quark())
GQuark vimg_daemon_error_quark(void);

typedef enum {
    VIMG_DAEMON_UNREACHABLE = -1, /* nobody answers there */
    VIMG_DAEMON_LOST = -2,        /* the connection ended */
    VIMG_DAEMON_BROKEN = -3,      /* what came is no answer */
} VimgDaemonError;

typedef struct _VimgDaemon VimgDaemon;

/*
 * @uri: as virsh takes it; NULL: $VIRTIMAGE_DEFAULT_URI, else image:///system for root and
 * image:///session for others.
 */
VimgDaemon *vimg_daemon_open(const char *uri, gboolean read_only, GError **error);
/* Takes leave, if the connection is good.  Accepts NULL. */
void vimg_daemon_close(VimgDaemon *daemon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VimgDaemon, vimg_daemon_close)

/*
 * Calls @procedure of @program, VIMG_PROGRAM_REMOTE or VIMG_PROGRAM_CONTROL, and waits for the
 * reply.  Nothing to send or to get: NULL.  @ret must be zeroed; xdr_free() it whatever is
 * returned.
 */
gboolean vimg_daemon_call(VimgDaemon *daemon, guint32 program, gint32 procedure,
                          xdrproc_t args_proc, gpointer args, xdrproc_t ret_proc, gpointer ret,
                          GError **error);

/*
 * The same in two halves, for who wants to see events while a long call runs.  Each serial is to be
 * finished once.  Returns: the serial, or -1.
 */
gint32 vimg_daemon_start(VimgDaemon *daemon, guint32 program, gint32 procedure, xdrproc_t args_proc,
                         gpointer args, GError **error);
/* Waits for the reply to @serial. */
gboolean vimg_daemon_finish(VimgDaemon *daemon, gint32 serial, xdrproc_t ret_proc, gpointer ret,
                            GError **error);
/* Calls @func, or nothing if it is NULL, each quarter of a second that an answer is waited for. */
typedef void (*VimgDaemonWaiting)(gpointer data);
void vimg_daemon_set_waiting(VimgDaemon *daemon, VimgDaemonWaiting func, gpointer data);
/* Whether vimg_daemon_finish() would not wait any more. */
gboolean vimg_daemon_answered(VimgDaemon *daemon, gint32 serial);

/*
 * Handles what comes within @timeout_ms, -1 for however long it takes; returns as soon as something
 * did, or a signal.  Returns: FALSE with VIMG_DAEMON_LOST or VIMG_DAEMON_BROKEN.
 */
gboolean vimg_daemon_wait(VimgDaemon *daemon, gint timeout_ms, GError **error);
/* For poll(): readable when vimg_daemon_wait() has something to do. */
int vimg_daemon_fd(const VimgDaemon *daemon);

/* For the events that VIMG_CONTROL_JOB_WATCH asked for; @event is borrowed. */
typedef void (*VimgDaemonEventFunc)(const vimg_control_job_event *event, gpointer data);
void vimg_daemon_set_event(VimgDaemon *daemon, VimgDaemonEventFunc func, gpointer data);

#endif
