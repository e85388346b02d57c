/*
 * merge-event.c: events of pools and secrets of both sides under one callback id
 *
 * A registration of a client is one here and one at the host, each side counting for itself.  What
 * comes from there bears the host's number, which is the first word of the event, and leaves with
 * ours.  When the host's own daemon was away, registrations are made there anew, so that a client
 * that only listens goes on hearing of both.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "rpc/events-private.h"
#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "rpc/server-private.h"
#include "rpc/upstream.h"
#include "util/log.h"

#define REGISTER_TIMEOUT (5 * G_USEC_PER_SEC)

/* ---- registering ---------------------------------------------------------------------------- */

static VimgSide
pool_side(const VimgCall *call)
{
    const vimg_remote_pool_register_args *args = call->args;
    VimgPoolId pool;

    if (!args->pool)
        return VIMG_SIDE_BOTH;
    vimg_pool_from_wire(args->pool, &pool);
    return vimg_model_hides_host_pool(call->model, &pool) ? VIMG_SIDE_OURS : VIMG_SIDE_BOTH;
}

static VimgSide
secret_side(const VimgCall *call)
{
    const vimg_remote_secret_register_args *args = call->args;
    g_auto(VimgSecretId) id = {0};

    if (vimg_client_is_alias(call->client))
        return VIMG_SIDE_HOST;
    if (args->secret &&
        vimg_model_secret_by_uuid(call->model, (const guint8 *)args->secret->uuid, &id, NULL))
        return VIMG_SIDE_OURS;
    return VIMG_SIDE_BOTH;
}

/* Lock held. */
static VimgRegistration *
find_callback(VimgSubscriber *subscriber, VimgEventClass class, int callback)
{
    GArray *list = subscriber->registrations[class];

    for (guint i = 0; i < list->len; i++) {
        VimgRegistration *registration = &g_array_index(list, VimgRegistration, i);

        if (registration->callback == callback)
            return registration;
    }
    return NULL;
}

/*
 * @losses: when the host was asked.  vimg_merge_host_lost() takes the lock after they were counted,
 * so a number that is too late is not noted, or is forgotten.  Returns: FALSE if nobody needs it.
 */
static gboolean
keep_number(VimgClient *client, VimgEventClass class, int callback, int number, guint losses)
{
    VimgSubscriber *subscriber = vimg_client_get_data(client);
    VimgRegistration *registration;
    VIMG_LOCK_GUARD(&subscriber->lock);

    if (losses != vimg_upstream_losses(client))
        return TRUE;
    registration = find_callback(subscriber, class, callback);
    if (!registration || registration->host_callback >= 0)
        return FALSE;
    registration->host_callback = number;
    return TRUE;
}

static bool_t
xdr_nothing(XDR *xdr, gpointer data)
{
    return TRUE;
}

/* Of two that registered one callback, the second one takes its own back. */
static void
note_number(VimgClient *client, VimgEventClass class, int callback, int number, guint losses)
{
    static const gint32 leave[] = {
        [VIMG_EVENTS_POOL] = VIMG_REMOTE_POOL_EVENT_DEREGISTER_ANY,
        [VIMG_EVENTS_SECRET] = VIMG_REMOTE_SECRET_EVENT_DEREGISTER_ANY,
    };
    const vimg_remote_int args = {.value = number};
    g_autoptr(GError) error = NULL;
    char nothing = 0;

    if (!keep_number(client, class, callback, number, losses))
        vimg_upstream_call(client, leave[class], (xdrproc_t)xdr_vimg_remote_int, &args,
                           (xdrproc_t)xdr_nothing, &nothing, REGISTER_TIMEOUT, &error);
}

static gboolean
note_answer(VimgCall *call, VimgEventClass class, const vimg_remote_int *host)
{
    const vimg_remote_int *ret = call->ret;

    note_number(call->client, class, ret->value, host->value, call->losses);
    return TRUE;
}

static gboolean
note_pool(VimgCall *call, gpointer host, GError **error)
{
    return note_answer(call, VIMG_EVENTS_POOL, host);
}

static gboolean
note_secret(VimgCall *call, gpointer host, GError **error)
{
    return note_answer(call, VIMG_EVENTS_SECRET, host);
}

/* ---- and no more ---------------------------------------------------------------------------- */

/* The host's number of the callback that @call names; -1: it has none. */
static int
host_number(const VimgCall *call, VimgEventClass class)
{
    VimgSubscriber *subscriber = vimg_client_get_data(call->client);
    const vimg_remote_int *args = call->args;
    const VimgRegistration *registration;
    VIMG_LOCK_GUARD(&subscriber->lock);

    registration = find_callback(subscriber, class, args->value);
    return registration ? registration->host_callback : -1;
}

static VimgSide
leave_pool_side(const VimgCall *call)
{
    return host_number(call, VIMG_EVENTS_POOL) >= 0 ? VIMG_SIDE_BOTH : VIMG_SIDE_OURS;
}

static VimgSide
leave_secret_side(const VimgCall *call)
{
    if (vimg_client_is_alias(call->client))
        return VIMG_SIDE_HOST;
    return host_number(call, VIMG_EVENTS_SECRET) >= 0 ? VIMG_SIDE_BOTH : VIMG_SIDE_OURS;
}

static void
ask_leave(const VimgCall *call, VimgEventClass class, VimgQuestion *out)
{
    out->own.number.value = host_number(call, class);
    out->args = &out->own.number;
}

static void
ask_leave_pool(const VimgCall *call, VimgQuestion *out)
{
    ask_leave(call, VIMG_EVENTS_POOL, out);
}

static void
ask_leave_secret(const VimgCall *call, VimgQuestion *out)
{
    ask_leave(call, VIMG_EVENTS_SECRET, out);
}

#define NUMBER .answer = (xdrproc_t)xdr_vimg_remote_int, .answer_size = sizeof(vimg_remote_int)
#define NOTHING .answer = (xdrproc_t)xdr_nothing

const VimgMerge vimg_merge_pool_register = {.side = pool_side, .after = note_pool, NUMBER};
const VimgMerge vimg_merge_secret_register = {
    .side = secret_side, .strict = TRUE, .after = note_secret, NUMBER};
const VimgMerge vimg_merge_pool_deregister = {
    .side = leave_pool_side, .ask = ask_leave_pool, NOTHING};
const VimgMerge vimg_merge_secret_deregister = {
    .side = leave_secret_side, .strict = TRUE, .ask = ask_leave_secret, NOTHING};

/* ---- what comes from the host --------------------------------------------------------------- */

static gboolean
is_hidden_pool(VimgModel *model, const guint8 *payload, gsize size)
{
    vimg_remote_pool wire = {0};
    gboolean hidden = TRUE; /* nobody could read it either */
    VimgPoolId pool;

    if (vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_pool, &wire, payload, size, NULL)) {
        vimg_pool_from_wire(&wire, &pool);
        hidden = vimg_model_hides_host_pool(model, &pool);
    }
    xdr_free((xdrproc_t)xdr_vimg_remote_pool, (char *)&wire);
    return hidden;
}

static gboolean
is_hidden_secret(VimgModel *model, const guint8 *payload, gsize size)
{
    g_auto(VimgSecretId) id = {0};

    return size < VIMG_UUID_SIZE || vimg_model_secret_by_uuid(model, payload, &id, NULL);
}

static const struct {
    gint32 procedure;
    VimgEventClass class;
    VimgEventKind kind;
    gboolean (*is_hidden)(VimgModel *model, const guint8 *payload, gsize size);
} events[] = {
    {VIMG_REMOTE_EVENT_POOL_LIFECYCLE, VIMG_EVENTS_POOL, VIMG_EVENT_POOL_LIFECYCLE, is_hidden_pool},
    {VIMG_REMOTE_EVENT_POOL_REFRESH, VIMG_EVENTS_POOL, VIMG_EVENT_POOL_REFRESH, is_hidden_pool},
    {VIMG_REMOTE_EVENT_SECRET_LIFECYCLE, VIMG_EVENTS_SECRET, VIMG_EVENT_SECRET_LIFECYCLE,
     is_hidden_secret},
    {VIMG_REMOTE_EVENT_SECRET_VALUE, VIMG_EVENTS_SECRET, VIMG_EVENT_SECRET_VALUE, is_hidden_secret},
};

/* Returns: our number for the host's @number; -1: nobody asked for it. */
static int
our_number(VimgSubscriber *subscriber, VimgEventClass class, VimgEventKind kind, int number)
{
    GArray *list = subscriber->registrations[class];
    VIMG_LOCK_GUARD(&subscriber->lock);

    for (guint i = 0; i < list->len; i++) {
        const VimgRegistration *registration = &g_array_index(list, VimgRegistration, i);

        if (registration->kind == kind && registration->host_callback == number)
            return registration->callback;
    }
    return -1;
}

/* The payload gets our number in the place of the host's. */
gboolean
vimg_merge_event(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload)
{
    VimgModel *model = vimg_client_server(client)->model;
    guint32 word;
    int number;
    gsize i = 0;

    while (i < G_N_ELEMENTS(events) && events[i].procedure != header->procedure)
        i++;
    if (header->program != VIMG_PROGRAM_REMOTE || i == G_N_ELEMENTS(events) ||
        (events[i].class == VIMG_EVENTS_SECRET && vimg_client_is_alias(client)))
        return TRUE;
    if (!payload || payload->size < sizeof(word))
        return FALSE;
    memcpy(&word, payload->data, sizeof(word));
    number = our_number(vimg_client_get_data(client), events[i].class, events[i].kind,
                        (int)GUINT32_FROM_BE(word));
    if (number < 0 ||
        events[i].is_hidden(model, payload->data + sizeof(word), payload->size - sizeof(word)))
        return FALSE;
    word = GUINT32_TO_BE((guint32)number);
    memcpy(payload->data, &word, sizeof(word));
    return TRUE;
}

/* ---- a host that went and came back --------------------------------------------------------- */

/* Returns: (transfer full) the registrations of @class that the host does not know of. */
static GArray *
list_unknown(VimgSubscriber *subscriber, VimgEventClass class)
{
    GArray *unknown = g_array_new(FALSE, FALSE, sizeof(VimgRegistration));
    GArray *list = subscriber->registrations[class];
    VIMG_LOCK_GUARD(&subscriber->lock);

    for (guint i = 0; i < list->len; i++) {
        VimgRegistration *registration = &g_array_index(list, VimgRegistration, i);

        if (registration->shared && registration->host_callback < 0)
            g_array_append_val(unknown, *registration);
    }
    return unknown;
}

/* Both filters are for the uuid alone; a nonnull string must be there. */
static VimgUpstreamResult
register_pool(VimgClient *client, VimgRegistration *registration, vimg_remote_int *ret)
{
    vimg_remote_pool pool = {.name = (char *)""};
    vimg_remote_pool_register_args args = {.event_id = registration->event_id,
                                           .pool = registration->filtered ? &pool : NULL};
    g_autoptr(GError) error = NULL;

    memcpy(pool.uuid, registration->uuid, sizeof(pool.uuid));
    return vimg_upstream_call(client, VIMG_REMOTE_POOL_EVENT_REGISTER_ANY,
                              (xdrproc_t)xdr_vimg_remote_pool_register_args, &args,
                              (xdrproc_t)xdr_vimg_remote_int, ret, REGISTER_TIMEOUT, &error);
}

static VimgUpstreamResult
register_secret(VimgClient *client, VimgRegistration *registration, vimg_remote_int *ret)
{
    vimg_remote_secret secret = {.usage_id = (char *)""};
    vimg_remote_secret_register_args args = {.event_id = registration->event_id,
                                             .secret = registration->filtered ? &secret : NULL};
    g_autoptr(GError) error = NULL;

    memcpy(secret.uuid, registration->uuid, sizeof(secret.uuid));
    return vimg_upstream_call(client, VIMG_REMOTE_SECRET_EVENT_REGISTER_ANY,
                              (xdrproc_t)xdr_vimg_remote_secret_register_args, &args,
                              (xdrproc_t)xdr_vimg_remote_int, ret, REGISTER_TIMEOUT, &error);
}

typedef struct {
    VimgTask task;
    VimgClient *client; /* a reference */
} Renewal;

static void
renew(gpointer data)
{
    static VimgUpstreamResult (*const functions[])(VimgClient *, VimgRegistration *,
                                                   vimg_remote_int *) = {
        [VIMG_EVENTS_POOL] = register_pool,
        [VIMG_EVENTS_SECRET] = register_secret,
    };
    g_autofree Renewal *renewal = data;
    g_autoptr(VimgClient) client = renewal->client;

    for (guint class = 0; class < VIMG_EVENTS_N_CLASSES; class ++) {
        g_autoptr(GArray) unknown = list_unknown(vimg_client_get_data(client), class);

        for (guint i = 0; i < unknown->len; i++) {
            VimgRegistration *registration = &g_array_index(unknown, VimgRegistration, i);
            guint losses = vimg_upstream_losses(client);
            vimg_remote_int ret = {0};

            if (functions[class](client, registration, &ret) == VIMG_UPSTREAM_ANSWERED)
                note_number(client, class, registration->callback, ret.value, losses);
        }
    }
}

gboolean
vimg_merge_wants_host(VimgClient *client)
{
    gboolean wants = FALSE;

    for (guint class = 0; class < VIMG_EVENTS_N_CLASSES; class ++) {
        g_autoptr(GArray) unknown = list_unknown(vimg_client_get_data(client), class);

        wants |= unknown->len > 0;
    }
    return wants;
}

void
vimg_merge_renew_events(VimgClient *client)
{
    VimgScheduler *scheduler = vimg_server_host_scheduler(vimg_client_server(client));
    Renewal *renewal;

    if (!scheduler || !vimg_merge_wants_host(client))
        return;
    renewal = g_new0(Renewal, 1);
    renewal->task = (VimgTask){.func = renew, .data = renewal};
    renewal->client = vimg_client_ref(client);
    vimg_scheduler_push_slow(scheduler, NULL, &renewal->task);
}

void
vimg_merge_host_lost(VimgClient *client)
{
    VimgSubscriber *subscriber = vimg_client_get_data(client);
    VIMG_LOCK_GUARD(&subscriber->lock);

    for (guint class = 0; class < VIMG_EVENTS_N_CLASSES; class ++) {
        GArray *list = subscriber->registrations[class];

        for (guint i = 0; i < list->len; i++)
            g_array_index(list, VimgRegistration, i).host_callback = -1;
    }
}
