/*
 * vimg-plugin-services.h: what the daemon does for backends
 *
 * Included by vimg-plugin.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_SERVICES_H
#define VIMG_PLUGIN_SERVICES_H

#include <glib.h>

#include "vimg-plugin-buffer.h"

G_BEGIN_DECLS

typedef struct _VimgPluginJob VimgPluginJob;   /* a running job, opaque to the backend */
typedef struct _VimgPluginHost VimgPluginHost; /* the daemon's side of an open pool, opaque */

typedef enum {
    VIMG_LOG_DEBUG,
    VIMG_LOG_INFO,
    VIMG_LOG_WARNING,
    VIMG_LOG_ERROR,
} VimgLogLevel;

/* Every function may be called from any thread, at any time after vimg_plugin_init() began. */
typedef struct {
    guint32 abi;
    guint32 size;

    void (*log)(VimgLogLevel level, const char *message);

    /*
     * The value of the secret a definition names (auth type, usage or uuid as in <auth>).  Returns:
     * (transfer full) its bytes, to be wiped with secret_free(); NULL with @error.
     */
    VimgBuffer *(*secret_get)(const char *auth_type, const char *usage, const char *uuid,
                              GError **error);
    void (*secret_free)(VimgBuffer *value);

    /*
     * @job NULL is allowed and does nothing (never cancelled).  @done and @total (0: not known) are
     * of @phase: bytes of content, of upkeep also what it goes through.
     */
    void (*job_progress)(VimgPluginJob *job, const char *phase, guint64 done, guint64 total);
    gboolean (*job_cancelled)(VimgPluginJob *job);

    /*
     * Calls @func(@data) every @seconds in a worker thread until the timer is removed; calls of one
     * timer never overlap.  Returns: the timer, or 0 if no thread could be had.  timer_remove()
     * waits for a running call: never from inside of it.
     */
    guint (*timer_add)(guint seconds, void (*func)(gpointer data), gpointer data);
    void (*timer_remove)(guint id);

    /*
     * The storage behind an open pool was lost (@error set) or is back (@error NULL).  The pool
     * shows as inaccessible until then; the daemon probes it at the pool's reconnect interval.
     * From when open() was called until close() returns.
     */
    void (*status)(VimgPluginHost *host, const GError *error);

    /* private directory of the daemon, 0700, which survives restarts; NULL: there is none */
    const char *state_dir;
    guint64 (*job_number)(VimgPluginJob *job); /* that no other job has; 0: @job is NULL */
    /*
     * Whether the deleted image @uuid of an open pool is promised to somebody, so that no cleanup
     * may give it up.  As status().
     */
    gboolean (*image_kept)(VimgPluginHost *host, const char *uuid);
} VimgServices;

G_END_DECLS

#endif
