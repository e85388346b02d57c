/*
 * events.c: who wants to hear of what, and telling them
 *
 * Registrations belong to a connection and end with it.  An event may overtake the reply of the
 * call that caused it, as in libvirt.  Nothing is sent under the lock of one connection's table.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "rpc/events-private.h"
#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "rpc/remote.h"
#include "util/i18n.h"
#include "wire/frame.h"

#define REGISTRATIONS_MAX 1024 /* of one connection and class */

/* What a class calls itself in messages, and its event ids in their order on the wire. */
static const struct {
    const char *unsupported;
    const char *not_registered;
    VimgEventKind kinds[2];
} classes[] = {
    [VIMG_EVENTS_POOL] = {N_("unsupported storage pool event ID %d"),
                          N_("storage pool event callback %d not registered"),
                          {VIMG_EVENT_POOL_LIFECYCLE, VIMG_EVENT_POOL_REFRESH}},
    [VIMG_EVENTS_SECRET] = {N_("unsupported secret event ID %d"),
                            N_("secret event callback %d not registered"),
                            {VIMG_EVENT_SECRET_LIFECYCLE, VIMG_EVENT_SECRET_VALUE}},
};

/* ---- registrations -------------------------------------------------------------------------- */

static gpointer
subscriber_new(VimgClient *client)
{
    VimgSubscriber *subscriber = g_new0(VimgSubscriber, 1);

    vimg_mutex_init(&subscriber->lock);
    for (guint i = 0; i < VIMG_EVENTS_N_CLASSES; i++)
        subscriber->registrations[i] = g_array_new(FALSE, FALSE, sizeof(VimgRegistration));
    return subscriber;
}

static void
subscriber_free(gpointer data)
{
    VimgSubscriber *subscriber = data;

    if (!subscriber)
        return;
    if (subscriber->bound) /* no call of it runs any more */
        vimg_model_jobs_forget(subscriber->bound, subscriber->number);
    for (guint i = 0; i < VIMG_EVENTS_N_CLASSES; i++)
        g_array_unref(subscriber->registrations[i]);
    vimg_mutex_clear(&subscriber->lock);
    g_free(subscriber);
}

/* A connection that is gone hears nothing more, even while a call of it still runs. */
static void
subscriber_drop(VimgClient *client, gpointer data)
{
    VimgSubscriber *subscriber = data;
    VIMG_LOCK_GUARD(&subscriber->lock);

    for (guint i = 0; i < VIMG_EVENTS_N_CLASSES; i++)
        g_array_set_size(subscriber->registrations[i], 0);
    if (subscriber->watched)
        vimg_model_watch_jobs(subscriber->watched, FALSE, NULL);
    subscriber->watched = NULL;
    subscriber->gone = TRUE;
    if (subscriber->bound)
        vimg_model_jobs_leave(subscriber->bound, subscriber->number);
}

const VimgServerHooks vimg_remote_hooks = {
    .connected = subscriber_new,
    .disconnected = subscriber_drop,
    .free_data = subscriber_free,
    .host_message = vimg_merge_event,
    .host_answer = vimg_merge_answer,
    .host_opened = vimg_merge_renew_events,
    .host_lost = vimg_merge_host_lost,
    .host_wanted = vimg_merge_wants_host,
};

/* @uuid: 16 bytes, or NULL for every object. */
static gboolean
add(VimgCall *call, VimgEventClass class, int event_id, const char *uuid, GError **error)
{
    VimgSubscriber *subscriber = vimg_client_get_data(call->client);
    vimg_remote_int *ret = call->ret;
    VimgRegistration registration = {0};

    if (event_id < 0 || event_id >= (int)G_N_ELEMENTS(classes[class].kinds))
        return vimg_throw(error, VIMG_ERROR_RPC_STATE, _(classes[class].unsupported), event_id);
    registration.kind = classes[class].kinds[event_id];
    registration.event_id = event_id;
    registration.shared = call->side == VIMG_SIDE_BOTH;
    registration.host_callback = -1;
    registration.filtered = uuid != NULL;
    if (uuid)
        memcpy(registration.uuid, uuid, sizeof(registration.uuid));

    VIMG_LOCK_GUARD(&subscriber->lock);
    if (subscriber->registrations[class]->len >= REGISTRATIONS_MAX ||
        subscriber->next[class] == G_MAXINT)
        return vimg_throw(error, VIMG_ERROR_BUSY, "%s",
                          _("too many event callbacks on this connection"));
    registration.callback = subscriber->next[class]++;
    g_array_append_val(subscriber->registrations[class], registration);
    ret->value = registration.callback;
    return TRUE;
}

static gboolean
remove_callback(VimgCall *call, VimgEventClass class, GError **error)
{
    VimgSubscriber *subscriber = vimg_client_get_data(call->client);
    const vimg_remote_int *args = call->args;
    GArray *list = subscriber->registrations[class];
    VIMG_LOCK_GUARD(&subscriber->lock);

    for (guint i = 0; i < list->len; i++) {
        if (g_array_index(list, VimgRegistration, i).callback == args->value) {
            g_array_remove_index(list, i);
            return TRUE;
        }
    }
    return vimg_throw(error, VIMG_ERROR_RPC_STATE, _(classes[class].not_registered), args->value);
}

gboolean
vimg_handle_pool_event_register(VimgCall *call, GError **error)
{
    const vimg_remote_pool_register_args *args = call->args;

    return add(call, VIMG_EVENTS_POOL, args->event_id, args->pool ? args->pool->uuid : NULL, error);
}

gboolean
vimg_handle_pool_event_deregister(VimgCall *call, GError **error)
{
    return remove_callback(call, VIMG_EVENTS_POOL, error);
}

gboolean
vimg_handle_secret_event_register(VimgCall *call, GError **error)
{
    const vimg_remote_secret_register_args *args = call->args;

    return add(call, VIMG_EVENTS_SECRET, args->event_id, args->secret ? args->secret->uuid : NULL,
               error);
}

gboolean
vimg_handle_secret_event_deregister(VimgCall *call, GError **error)
{
    return remove_callback(call, VIMG_EVENTS_SECRET, error);
}

/* Asked for twice it is the same. */
gboolean
vimg_handle_job_watch(VimgCall *call, GError **error)
{
    VimgSubscriber *subscriber = vimg_client_get_data(call->client);
    const vimg_control_watch_args *args = call->args;
    gboolean on = args->on != 0;
    VIMG_LOCK_GUARD(&subscriber->lock);

    if (on == (subscriber->watched != NULL) || subscriber->gone)
        return TRUE;
    if (!vimg_model_watch_jobs(call->model, on, error))
        return FALSE;
    subscriber->watched = on ? call->model : NULL;
    return TRUE;
}

gboolean
vimg_handle_job_bind(VimgCall *call, GError **error)
{
    VimgSubscriber *subscriber = vimg_client_get_data(call->client);
    VIMG_LOCK_GUARD(&subscriber->lock);

    if (subscriber->gone)
        return vimg_throw(error, VIMG_ERROR_ABORTED, _("the client has gone"));
    subscriber->bound = call->model;
    subscriber->number = vimg_client_number(call->client);
    return TRUE;
}

/* ---- telling -------------------------------------------------------------------------------- */

/* The objects of @event as the wire has them; strings are borrowed from @event. */
static void
event_pool(const VimgEvent *event, vimg_remote_pool *out)
{
    out->name = event->pool.name;
    memcpy(out->uuid, event->pool.uuid, sizeof(out->uuid));
}

static void
event_secret(const VimgEvent *event, vimg_remote_secret *out)
{
    memcpy(out->uuid, event->secret.uuid, sizeof(out->uuid));
    out->usage_type = event->secret.usage_type;
    out->usage_id = event->secret.usage_id ? event->secret.usage_id : (char *)"";
}

static void
send_pool_lifecycle(VimgClient *client, int callback, const VimgEvent *event)
{
    vimg_remote_pool_lifecycle_event data = {.callback = callback, .event = event->event};

    event_pool(event, &data.pool);
    vimg_client_send_event(client, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_EVENT_POOL_LIFECYCLE,
                           (xdrproc_t)xdr_vimg_remote_pool_lifecycle_event, &data);
}

static void
send_pool_refresh(VimgClient *client, int callback, const VimgEvent *event)
{
    vimg_remote_pool_refresh_event data = {.callback = callback};

    event_pool(event, &data.pool);
    vimg_client_send_event(client, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_EVENT_POOL_REFRESH,
                           (xdrproc_t)xdr_vimg_remote_pool_refresh_event, &data);
}

static void
send_secret_lifecycle(VimgClient *client, int callback, const VimgEvent *event)
{
    vimg_remote_secret_lifecycle_event data = {.callback = callback, .event = event->event};

    event_secret(event, &data.secret);
    vimg_client_send_event(client, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_EVENT_SECRET_LIFECYCLE,
                           (xdrproc_t)xdr_vimg_remote_secret_lifecycle_event, &data);
}

static void
send_secret_value(VimgClient *client, int callback, const VimgEvent *event)
{
    vimg_remote_secret_value_event data = {.callback = callback};

    event_secret(event, &data.secret);
    vimg_client_send_event(client, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_EVENT_SECRET_VALUE,
                           (xdrproc_t)xdr_vimg_remote_secret_value_event, &data);
}

static const struct {
    VimgEventClass class;
    void (*send)(VimgClient *client, int callback, const VimgEvent *event);
} kinds[] = {
    [VIMG_EVENT_POOL_LIFECYCLE] = {VIMG_EVENTS_POOL, send_pool_lifecycle},
    [VIMG_EVENT_POOL_REFRESH] = {VIMG_EVENTS_POOL, send_pool_refresh},
    [VIMG_EVENT_SECRET_LIFECYCLE] = {VIMG_EVENTS_SECRET, send_secret_lifecycle},
    [VIMG_EVENT_SECRET_VALUE] = {VIMG_EVENTS_SECRET, send_secret_value},
};

static gboolean
wants(const VimgRegistration *registration, const VimgEvent *event)
{
    const guint8 *uuid =
        kinds[event->kind].class == VIMG_EVENTS_POOL ? event->pool.uuid : event->secret.uuid;

    return registration->kind == event->kind &&
           (!registration->filtered || memcmp(registration->uuid, uuid, VIMG_UUID_SIZE) == 0);
}

/* Returns: (transfer full) the callbacks of @subscriber that @event is for. */
static GArray *
matching(VimgSubscriber *subscriber, const VimgEvent *event)
{
    GArray *callbacks = g_array_new(FALSE, FALSE, sizeof(int));
    GArray *list = subscriber->registrations[kinds[event->kind].class];
    VIMG_LOCK_GUARD(&subscriber->lock);

    for (guint i = 0; i < list->len; i++) {
        const VimgRegistration *registration = &g_array_index(list, VimgRegistration, i);

        if (wants(registration, event))
            g_array_append_val(callbacks, registration->callback);
    }
    return callbacks;
}

static void
tell(VimgClient *client, gpointer data)
{
    const VimgEvent *event = data;
    g_autoptr(GArray) callbacks = matching(vimg_client_get_data(client), event);

    for (guint i = 0; i < callbacks->len; i++)
        kinds[event->kind].send(client, g_array_index(callbacks, int, i), event);
}

void
vimg_remote_event(const VimgEvent *event, gpointer data)
{
    vimg_server_foreach_client(data, tell, (gpointer)event);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static gboolean
watches_jobs(VimgClient *client)
{
    VimgSubscriber *subscriber = vimg_client_get_data(client);
    VIMG_LOCK_GUARD(&subscriber->lock);

    return subscriber->watched != NULL;
}

static void
tell_job(VimgClient *client, gpointer data)
{
    VimgJobEvent *event = data;
    VimgJobInfo *job = event->job;
    vimg_control_job_event wire = {
        .job = {.id = job->id,
                .pool = job->pool,
                .volume = job->volume ? &job->volume : NULL,
                .kind = job->kind,
                .phase = job->phase,
                .done = job->done,
                .total = job->total,
                .started = job->started,
                .cancelled = job->cancelled},
        .ended = event->step == VIMG_JOB_ENDED,
        .error = event->error ? &event->error : NULL,
        .own = job->caller == vimg_client_number(client),
    };

    if (!watches_jobs(client))
        return;
    if (event->step == VIMG_JOB_MOVED)
        vimg_client_send_progress(client, VIMG_PROGRAM_CONTROL, VIMG_CONTROL_JOB_EVENT,
                                  (xdrproc_t)xdr_vimg_control_job_event, &wire);
    else
        vimg_client_send_event(client, VIMG_PROGRAM_CONTROL, VIMG_CONTROL_JOB_EVENT,
                               (xdrproc_t)xdr_vimg_control_job_event, &wire);
}

void
vimg_remote_job_event(const VimgJobEvent *event, gpointer data)
{
    vimg_server_foreach_client(data, tell_job, (gpointer)event);
}
