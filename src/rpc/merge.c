/*
 * merge.c: what the host's own daemon says, around what we say
 *
 * A host that does not answer is no reason to show nothing: lists are ours alone then, which the
 * log says when it begins and when it ends.  While it lasts, nobody waits for it anew but one call
 * every now and then, which is how it is found again.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "rpc/merge.h"
#include "rpc/server-private.h"
#include "rpc/upstream.h"
#include "util/i18n.h"
#include "util/log.h"

/* Microseconds a list waits for the host: well below the 30 s after which clients give up on us. */
#define LIST_TIMEOUT (5 * G_USEC_PER_SEC)

gboolean
vimg_client_is_alias(VimgClient *client)
{
    const char *uri = vimg_client_get_uri(client);

    return uri && !g_str_has_prefix(uri, "image:");
}

static gboolean
is_never_ours(const VimgCall *call, VimgSide side)
{
    const VimgMerge *merge = call->proc->merge;

    return side == VIMG_SIDE_HOST && merge && merge->strict && vimg_client_is_alias(call->client) &&
           vimg_upstream_may_come(call->client);
}

gboolean
vimg_merge_may_run_alone(const VimgCall *call, GError **error)
{
    return !call->proc || !is_never_ours(call, call->side) ||
           vimg_throw(
               error, VIMG_ERROR_NO_SUPPORT, "%s",
               _("the secrets of this connection are the host's, and its libvirt daemon is not there: start it, or open image:///system"));
}

VimgSide
vimg_merge_side(const VimgCall *call)
{
    const VimgMerge *merge = call->proc->merge;
    VimgSide side = merge ? merge->side(call) : VIMG_SIDE_OURS;

    if (is_never_ours(call, side))
        return side;
    /* asked last: for what is ours it need not be known */
    if (side != VIMG_SIDE_OURS && !vimg_upstream_is_configured(call->client))
        side = VIMG_SIDE_OURS;
    return side;
}

/* ---- a host that does not answer ------------------------------------------------------------ */

/* One that refuses at once costs nobody any time. */
static void
note_failure(VimgClient *client, gboolean late, const char *why)
{
    VimgServer *server = vimg_client_server(client);

    __atomic_store_n(&server->host_missed, TRUE, __ATOMIC_RELAXED);
    if (late)
        vimg_upstream_note_late(client);
    if (!__atomic_exchange_n(&server->host_failed, TRUE, __ATOMIC_RELAXED))
        vimg_warning("lists show what is ours alone, as long as the host's own daemon does not "
                     "answer: %s",
                     why);
}

static void
renew_events(VimgClient *client, gpointer data)
{
    const VimgServerHooks *hooks = &vimg_client_server(client)->hooks;

    if (hooks->host_opened)
        hooks->host_opened(client);
}

/* Main loop. */
static void
renew_all(gpointer data)
{
    vimg_server_foreach_client(data, renew_events, NULL);
}

/* Who asked for events while it was away has not been heard of there. */
static void
note_answer(VimgClient *client)
{
    VimgServer *server = vimg_client_server(client);

    vimg_upstream_note_answer(client);
    if (__atomic_load_n(&server->host_missed, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&server->host_missed, FALSE, __ATOMIC_RELAXED))
        vimg_inbox_post(server->inbox, renew_all, server);
    if (__atomic_load_n(&server->host_failed, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&server->host_failed, FALSE, __ATOMIC_RELAXED))
        vimg_info("the host's own daemon answers again");
}

/* ---- both ----------------------------------------------------------------------------------- */

/* It answers, but this client may not: everybody else's lists are whole. */
static gboolean
is_clients_own(const GError *error)
{
    return error->domain == VIMG_VIR_ERROR ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_ACCESS_DENIED) ||
           g_error_matches(error, VIMG_ERROR, VIMG_ERROR_AUTH);
}

static void
take_failure(const VimgCall *call, gboolean late, const GError *cause, GError **error)
{
    if (call->proc->merge->surely && g_error_matches(cause, VIMG_ERROR, VIMG_ERROR_TIMEOUT))
        vimg_throw(error, VIMG_ERROR_BUSY,
                   _("whether the host has that name cannot be looked up: %s"), cause->message);
    if (is_clients_own(cause))
        vimg_debug("%s: %s", call->proc->name, cause->message);
    else
        note_failure(call->client, late, cause->message);
}

static void
find_question(const VimgCall *call, VimgQuestion *out)
{
    *out =
        (VimgQuestion){.procedure = call->procedure, .proc = call->proc->args, .args = call->args};
    if (call->proc->merge->ask)
        call->proc->merge->ask(call, out);
}

gboolean
vimg_merge_ask(VimgCall *call, void (*done)(gpointer data), gpointer data)
{
    VimgQuestion question;

    if (!call->proc->merge->surely && !vimg_upstream_may_wait(call->client))
        return FALSE;
    find_question(call, &question);
    call->losses = vimg_upstream_losses(call->client);
    call->asked = vimg_upstream_ask(call->client, question.procedure, question.proc, question.args,
                                    LIST_TIMEOUT, done, data);
    return TRUE;
}

static void
free_answer(const VimgMerge *merge, gpointer host)
{
    if (host)
        xdr_free(merge->answer, host);
    g_free(host);
}

/* By a worker, which waits. */
static VimgUpstreamResult
ask_again(const VimgCall *call, gpointer host, gint64 *took, GError **error)
{
    gint64 since = g_get_monotonic_time();
    VimgUpstreamResult result;
    VimgQuestion question;

    find_question(call, &question);
    result = vimg_upstream_call(call->client, question.procedure, question.proc, question.args,
                                call->proc->merge->answer, host, LIST_TIMEOUT, error);
    *took = g_get_monotonic_time() - since;
    return result;
}

/*
 * @again: asked anew.  Returns: (transfer full) what the host answered, or NULL; then the call
 * fails if @error is set.
 */
static gpointer
take_answer(const VimgCall *call, gboolean again, GError **error)
{
    const VimgMerge *merge = call->proc->merge;
    g_autoptr(GError) local = NULL;
    gint64 took = 0;
    gpointer host;

    if (!call->asked)
        return NULL;
    host = g_malloc0(MAX(merge->answer_size, 1));
    switch (again ? ask_again(call, host, &took, &local)
                  : vimg_upstream_take(call->asked, merge->answer, host, &took, &local)) {
    case VIMG_UPSTREAM_ANSWERED:
        note_answer(call->client);
        return host;
    case VIMG_UPSTREAM_REFUSED:
        note_answer(call->client);
        vimg_debug("%s: the host's own daemon: %s", call->proc->name, local->message);
        break;
    case VIMG_UPSTREAM_ABSENT:
        __atomic_store_n(&vimg_client_server(call->client)->host_missed, TRUE, __ATOMIC_RELAXED);
        break;
    case VIMG_UPSTREAM_FAILED:
        take_failure(call, took >= LIST_TIMEOUT / 2, local, error);
        break;
    }
    free_answer(merge, host);
    return NULL;
}

gboolean
vimg_merge_run(VimgCall *call, GError **error)
{
    const VimgMerge *merge = call->proc->merge;
    GError *unknown = NULL;
    gpointer host;
    gboolean ok = TRUE;

    host = take_answer(call, FALSE, &unknown);
    /* it answers, but what it said is as old as the wait for a worker was long */
    if (merge->surely && !unknown) {
        free_answer(merge, host);
        host = take_answer(call, TRUE, &unknown);
    }
    if (unknown) {
        g_propagate_error(error, unknown);
        return FALSE;
    }
    if (merge->before)
        ok = merge->before(call, host, error);
    if (ok && !call->pass) {
        ok = call->proc->handler(call, error);
        if (ok && host && merge->after)
            ok = merge->after(call, host, error);
    }
    free_answer(merge, host);
    return ok;
}

/* ---- search --------------------------------------------------------------------------------- */

/* Returns: NULL if it has none. */
static const VimgProc *
find_row(const VimgServer *server, const VimgFrameHeader *header)
{
    const VimgProgram *const *program = server->programs;

    while (*program && (*program)->id != header->program)
        program++;
    return *program && header->procedure >= 0 && (gsize)header->procedure < (*program)->n_procs
               ? &(*program)->procs[header->procedure]
               : NULL;
}

GError *
vimg_merge_answer(VimgClient *client, const VimgFrameHeader *header, const VimgBuffer *payload)
{
    const VimgProc *proc = find_row(vimg_client_server(client), header);
    VimgCall call = {.model = vimg_client_server(client)->model, .client = client, .proc = proc};
    GError *error = NULL;
    gpointer found;

    if (!proc || !proc->merge || !proc->merge->check)
        return NULL;
    found = g_malloc0(proc->ret_size);
    if (vimg_xdr_decode(proc->ret, found, payload ? payload->data : NULL,
                        payload ? payload->size : 0, &error))
        proc->merge->check(&call, found, &error);
    xdr_free(proc->ret, found);
    g_free(found);
    return error;
}

gboolean
vimg_merge_is_missed(const VimgCall *call, const GError *error)
{
    return call->side == VIMG_SIDE_SEARCH &&
           g_error_matches(error, VIMG_ERROR, call->proc->merge->miss);
}

gpointer
vimg_merge_append(gpointer list, guint n, gpointer from, guint more, gsize size)
{
    list = g_realloc_n(list, (gsize)n + more, size);
    if (more > 0) {
        memcpy((char *)list + n * size, from, more * size);
        memset(from, 0, more * size);
    }
    return list;
}
