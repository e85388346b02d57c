/*
 * connect.c: connections to the host's own libvirt daemon, made as whoever asks
 *
 * A daemon knows the other end of a socket as who it was when it connected.  So a thread becomes
 * the caller, by the system calls that change that thread alone, connects, and ends.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <unistd.h>
#include <libvirt/virterror.h>

#include "host/connect.h"
#include "host/identity.h"
#include "util/i18n.h"
#include "util/thread.h"

typedef struct {
    const char *uri;
    const VimgCaller *caller;
    virConnectPtr connect;
    GError *error;
} Attempt;

/* What it says is in the error of the call. */
static void
say_nothing(void *data, virErrorPtr error)
{
}

void
vimg_host_init(void)
{
    virInitialize();
    virSetErrorFunc(NULL, say_nothing);
}

void
vimg_host_disconnect(VimgHostConnect *connect)
{
    if (connect)
        virConnectClose(connect);
}

static void
open_connection(Attempt *attempt)
{
    virErrorPtr said;

    attempt->connect = virConnectOpenAuth(attempt->uri, NULL, 0);
    if (attempt->connect)
        return;
    said = virGetLastError();
    vimg_throw(&attempt->error, VIMG_ERROR_DISCONNECTED,
               _("the host's libvirt daemon at '%1$s' cannot be used: %2$s"), attempt->uri,
               said && said->message ? said->message : _("unknown error"));
}

static void
connect_as(gpointer data)
{
    Attempt *attempt = data;

    if (vimg_identity_take(attempt->caller, &attempt->error))
        open_connection(attempt);
}

VimgHostConnect *
vimg_host_connect(const char *uri, const VimgCaller *caller, GError **error)
{
    Attempt attempt = {.uri = uri, .caller = caller};
    VimgThread thread;

    if (!caller || caller->uid == geteuid()) {
        open_connection(&attempt);
    } else {
        if (!vimg_thread_start(&thread, "vimg-caller", connect_as, &attempt, error))
            return NULL;
        vimg_thread_join(thread);
    }
    if (attempt.error)
        g_propagate_error(error, attempt.error);
    return attempt.connect;
}

gboolean
vimg_host_is_lost(VimgHostConnect *connect)
{
    return virConnectIsAlive(connect) != 1;
}
