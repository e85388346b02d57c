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
#include "host/cut.h"
#include "host/identity.h"
#include "host/introduce.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/thread.h"

#define PATIENCE                                                                                   \
    ((gint64)60 * G_USEC_PER_SEC) /* until a daemon that does not answer is given up               \
                                   */
#define TURN_PATIENCE ((gint64)2 * G_USEC_PER_SEC)
#define LEAST_PATIENCE ((gint64)10 * G_USEC_PER_SEC) /* a daemon that just starts is slow */
#define LINE_TRIES 3                                 /* to find out which socket a connection has */
#define LEFT_MAX 8                                   /* threads that still wait for one */

/* One of them, in a thread that nobody can call back: whoever of the two ends last frees it. */
typedef struct {
    char *uri;
    gboolean as_caller;
    VimgCaller caller; /* a copy */
    gboolean with_line;
    VimgMutex lock;
    VimgCond changed;
    gboolean ended; /* under lock, as all below */
    gboolean left;
    virConnectPtr connect;
    int line; /* -1: not known */
    GError *error;
} Attempt;

static guint n_left; /* atomic */

/* Who opens a connection: it finds its socket among those of the process by what is new. */
static struct {
    VimgMutex lock;
    VimgCond changed;
    gboolean taken; /* under lock */
} turn;

/* seconds between questions whether it lives, and how many may stay without an answer */
static int keepalive_interval = 5;
static guint keepalive_count = 5;

/* What it says is in the error of the call. */
static void
say_nothing(void *data, virErrorPtr error)
{
}

void
vimg_host_init(void)
{
    vimg_mutex_init(&turn.lock);
    vimg_cond_init(&turn.changed);
    virInitialize();
    virEventRegisterDefaultImpl(); /* GLib's main context, without which there is no keepalive */
    virSetErrorFunc(NULL, say_nothing);
}

void
vimg_host_set_patience(guint interval, guint count)
{
    if (interval == 0)
        return;
    keepalive_interval = (int)interval;
    keepalive_count = count;
}

gint64
vimg_host_patience(gint64 most)
{
    gint64 silent = (gint64)keepalive_interval * (keepalive_count + 1) * G_USEC_PER_SEC;

    return MIN(most, MAX(LEAST_PATIENCE, silent));
}

void
vimg_host_disconnect(VimgHostConnect *connect)
{
    if (connect)
        virConnectClose(connect);
}

static void
attempt_free(Attempt *attempt)
{
    vimg_host_disconnect(attempt->connect);
    if (attempt->line >= 0)
        close(attempt->line);
    g_clear_error(&attempt->error);
    vimg_peer_clear(&attempt->caller);
    vimg_mutex_clear(&attempt->lock);
    vimg_cond_clear(&attempt->changed);
    g_free(attempt->uri);
    g_free(attempt);
}

static virConnectPtr
open_connection(const char *uri, GError **error)
{
    virConnectPtr connect = virConnectOpenAuth(uri, NULL, 0);
    virErrorPtr said;

    if (connect) {
        virConnectSetKeepAlive(connect, keepalive_interval, keepalive_count);
        return connect;
    }
    said = virGetLastError();
    vimg_throw(error, VIMG_ERROR_DISCONNECTED,
               _("the host's libvirt daemon at '%1$s' cannot be used: %2$s"), uri,
               said && said->message ? said->message : _("unknown error"));
    return NULL;
}

/* Returns: whether nobody else opens one until give_turn(); not so if one of them hangs */
static gboolean
take_turn(void)
{
    gint64 deadline = g_get_monotonic_time() + TURN_PATIENCE;
    gboolean in_time = TRUE;

    VIMG_LOCK_GUARD(&turn.lock);
    while (turn.taken && in_time)
        in_time = vimg_cond_wait_until(&turn.changed, &turn.lock, deadline);
    if (turn.taken)
        return FALSE;
    turn.taken = TRUE;
    return TRUE;
}

static void
give_turn(void)
{
    VIMG_LOCK_GUARD(&turn.lock);
    turn.taken = FALSE;
    vimg_cond_signal(&turn.changed);
}

/* Sockets that lead elsewhere may be opened at the same moment; hardly ever each time. */
static virConnectPtr
open_with_line(const char *uri, int *line, GError **error)
{
    for (int left = LINE_TRIES; left > 0; left--) {
        g_autoptr(GHashTable) before = vimg_cut_sockets();
        virConnectPtr connect = open_connection(uri, error);

        *line = connect ? vimg_cut_find(before) : -1;
        if (!connect || *line >= 0)
            return connect;
        vimg_host_disconnect(connect);
    }
    vimg_info(
        "which socket leads to the host's libvirt daemon is not known: if that hangs, a clone "
        "that is cancelled waits for it");
    return open_connection(uri, error);
}

static virConnectPtr
open_in_turn(const Attempt *attempt, int *line, GError **error)
{
    gboolean alone = take_turn();
    virConnectPtr connect = attempt->with_line ? open_with_line(attempt->uri, line, error)
                                               : open_connection(attempt->uri, error);

    if (alone)
        give_turn();
    return connect;
}

static void
connect_as(gpointer data)
{
    Attempt *attempt = data;
    virConnectPtr connect = NULL;
    GError *error = NULL;
    gboolean left;
    int line = -1;

    if (!attempt->as_caller || vimg_identity_take(&attempt->caller, &error))
        connect = open_in_turn(attempt, &line, &error);
    if (connect && attempt->as_caller)
        vimg_introduce_by(connect, &attempt->caller);
    vimg_mutex_lock(&attempt->lock);
    attempt->connect = connect;
    attempt->line = line;
    attempt->error = error;
    attempt->ended = TRUE;
    left = attempt->left;
    vimg_cond_signal(&attempt->changed);
    vimg_mutex_unlock(&attempt->lock);
    if (!left)
        return;
    __atomic_sub_fetch(&n_left, 1, __ATOMIC_RELAXED);
    attempt_free(attempt);
}

static Attempt *
attempt_new(const char *uri, const VimgCaller *caller, gboolean with_line)
{
    Attempt *attempt = g_new0(Attempt, 1);

    attempt->line = -1;
    attempt->with_line = with_line;
    attempt->uri = g_strdup(uri);
    vimg_mutex_init(&attempt->lock);
    vimg_cond_init(&attempt->changed);
    if (!caller)
        return attempt;
    attempt->as_caller = TRUE;
    vimg_peer_copy(caller, &attempt->caller);
    return attempt;
}

/* Returns: whether it has ended; else its thread has it now */
static gboolean
wait_for(Attempt *attempt)
{
    gint64 deadline = g_get_monotonic_time() + vimg_host_patience(PATIENCE);
    gboolean in_time = TRUE;

    VIMG_LOCK_GUARD(&attempt->lock);
    while (!attempt->ended && in_time)
        in_time = vimg_cond_wait_until(&attempt->changed, &attempt->lock, deadline);
    if (attempt->ended)
        return TRUE;
    attempt->left = TRUE;
    __atomic_add_fetch(&n_left, 1, __ATOMIC_RELAXED);
    return FALSE;
}

static VimgHostConnect *
throw_silent(const char *uri, GError **error)
{
    vimg_throw(error, VIMG_ERROR_DISCONNECTED,
               _("the host's libvirt daemon at '%s' accepts connections, and does not answer"),
               uri);
    return NULL;
}

static gboolean
has_group(const VimgCaller *caller, gid_t group)
{
    gboolean found = caller->gid == group;

    for (gsize i = 0; i < caller->n_groups; i++)
        found = found || caller->groups[i] == group;
    return found;
}

/* A daemon that is not root cannot become its client, so it must be no more than that. */
static gboolean
is_no_more(const VimgCaller *caller, GError **error)
{
    g_autofree gid_t *groups = NULL;
    gboolean ok = caller->uid == geteuid() && has_group(caller, getegid());
    int n = getgroups(0, NULL);

    if (geteuid() == 0 || caller->uid == 0)
        return TRUE;
    groups = g_new(gid_t, MAX(n, 1));
    n = getgroups(n, groups);
    for (int i = 0; i < n; i++)
        ok = ok && has_group(caller, groups[i]);
    return (n >= 0 && ok) ||
           vimg_throw(
               error, VIMG_ERROR_ACCESS_DENIED,
               _("this daemon has a user or groups that its client with id %u does not have, so it does nothing at the host's libvirt daemon for it: log in again, and start the daemon again"),
               (guint)caller->uid);
}

VimgHostConnect *
vimg_host_connect(const char *uri, const VimgCaller *caller, int *line, GError **error)
{
    VimgHostConnect *connect;
    Attempt *attempt;

    if (caller && !is_no_more(caller, error))
        return NULL;
    if (__atomic_load_n(&n_left, __ATOMIC_RELAXED) >= LEFT_MAX)
        return throw_silent(uri, error);
    attempt = attempt_new(uri, caller, line != NULL);
    if (!vimg_thread_start_detached("vimg-caller", connect_as, attempt, error)) {
        attempt_free(attempt);
        return NULL;
    }
    if (!wait_for(attempt))
        return throw_silent(uri, error);
    connect = g_steal_pointer(&attempt->connect);
    if (line) {
        *line = attempt->line;
        attempt->line = -1;
    }
    if (attempt->error)
        g_propagate_error(error, g_steal_pointer(&attempt->error));
    attempt_free(attempt);
    return connect;
}

gboolean
vimg_host_is_lost(VimgHostConnect *connect)
{
    return virConnectIsAlive(connect) != 1;
}
