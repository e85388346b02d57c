/*
 * services.c: what the daemon does for backends: log, secrets, jobs, timers, word of lost storages
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/libvirt.h>

#include "pool/job.h"
#include "pool/services.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/thread.h"

/* What the model registered; nothing in it changes while a call is inside. */
typedef struct {
    VimgMutex lock;
    VimgCond left;  /* n_inside became 0 */
    guint n_inside; /* calls that use the fields below; under lock */
    VimgSecrets *secrets;
    VimgHostSecretFunc host_secret;
    gpointer host_data;
    VimgStatusFunc status;
    gpointer status_data;
    VimgKeptFunc kept;
} Registered;

static Registered registered = {.lock = VIMG_MUTEX_INIT, .left = PTHREAD_COND_INITIALIZER};

static Registered *
enter(void)
{
    VIMG_LOCK_GUARD(&registered.lock);
    registered.n_inside++;
    return &registered;
}

static void
leave(Registered *inside)
{
    VIMG_LOCK_GUARD(&inside->lock);
    if (--inside->n_inside == 0)
        vimg_cond_broadcast(&inside->left);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registered, leave)

void
vimg_services_set_secrets(VimgSecrets *secrets)
{
    VIMG_LOCK_GUARD(&registered.lock);
    while (registered.n_inside > 0)
        vimg_cond_wait(&registered.left, &registered.lock);
    registered.secrets = secrets;
}

void
vimg_services_set_host_secrets(VimgHostSecretFunc func, gpointer data)
{
    VIMG_LOCK_GUARD(&registered.lock);
    while (registered.n_inside > 0)
        vimg_cond_wait(&registered.left, &registered.lock);
    registered.host_secret = func;
    registered.host_data = data;
}

void
vimg_services_set_status_func(VimgStatusFunc func, gpointer data)
{
    VIMG_LOCK_GUARD(&registered.lock);
    while (registered.n_inside > 0)
        vimg_cond_wait(&registered.left, &registered.lock);
    registered.status = func;
    registered.status_data = data;
}

void
vimg_services_set_kept_func(VimgKeptFunc func)
{
    VIMG_LOCK_GUARD(&registered.lock);
    while (registered.n_inside > 0)
        vimg_cond_wait(&registered.left, &registered.lock);
    registered.kept = func;
}

/* ---- log, jobs, status ------------------------------------------------------------------ */

static void
service_log(VimgLogLevel level, const char *message)
{
    vimg_log(CLAMP(level, VIMG_LOG_DEBUG, VIMG_LOG_ERROR), "%s", message);
}

static void
service_job_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
    if (job)
        vimg_job_progress(job, phase, done, total);
}

static gboolean
service_job_cancelled(VimgPluginJob *job)
{
    return job && vimg_job_cancelled(job);
}

static guint64
service_job_number(VimgPluginJob *job)
{
    return job ? vimg_job_id(job) : 0;
}

static void
service_status(VimgPluginHost *host, const GError *error)
{
    g_autoptr(Registered) inside = enter();

    if (inside->status && host)
        inside->status(host, error, inside->status_data);
}

static gboolean
service_image_kept(VimgPluginHost *host, const char *uuid)
{
    g_autoptr(Registered) inside = enter();

    return inside->kept && host && uuid && inside->kept(host, uuid);
}

/* ---- secrets ---------------------------------------------------------------------------- */

/* libvirt knows no usage type for most kinds of storage: their secrets are of the general one. */
static const struct {
    const char *auth_type;
    int usage_type;
} usage_types[] = {
    {"ceph", VIR_SECRET_USAGE_TYPE_CEPH},
};

static int
usage_type_of(const char *auth_type)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(usage_types); i++) {
        if (g_strcmp0(auth_type, usage_types[i].auth_type) == 0)
            return usage_types[i].usage_type;
    }
    return VIR_SECRET_USAGE_TYPE_ISCSI;
}

/* Ours has none: @error says so, and stays if the host has none either. */
static VimgBuffer *
ask_host(const Registered *inside, int usage_type, const char *usage, const guint8 *uuid,
         GError **error)
{
    g_autoptr(GError) local = NULL;
    VimgBuffer *value = inside->host_secret(inside->host_data, usage_type, usage, uuid, &local);

    if (!value && g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SECRET))
        return NULL;
    g_clear_error(error);
    if (!value)
        g_propagate_error(error, g_steal_pointer(&local));
    return value;
}

static VimgBuffer *
find_secret(const Registered *inside, const char *auth_type, const char *usage,
            const char *uuid_text, GError **error)
{
    g_auto(VimgSecretId) id = {0};
    GError *missed = NULL;
    VimgBuffer *value = NULL;

    if (!usage && (!uuid_text || !vimg_uuid_parse(uuid_text, id.uuid))) {
        vimg_throw(error, VIMG_ERROR_XML, "%s", _("missing auth secret uuid or usage attribute"));
        return NULL;
    }
    if (usage
            ? vimg_secrets_by_usage(inside->secrets, usage_type_of(auth_type), usage, &id, &missed)
            : vimg_secrets_by_uuid(inside->secrets, id.uuid, &id, &missed))
        return vimg_secrets_get_value(inside->secrets, id.uuid, TRUE, error);
    if (inside->host_secret)
        value = ask_host(inside, usage_type_of(auth_type), usage, id.uuid, &missed);
    if (!value)
        g_propagate_error(error, missed);
    return value;
}

static VimgBuffer *
service_secret_get(const char *auth_type, const char *usage, const char *uuid, GError **error)
{
    g_autoptr(Registered) inside = enter();

    if (!inside->secrets) {
        vimg_throw(error, VIMG_ERROR_INTERNAL, "no secrets while the daemon starts or ends");
        return NULL;
    }
    return find_secret(inside, auth_type, usage, uuid, error);
}

/* ---- timers ----------------------------------------------------------------------------- */

/* A timer has a thread of its own, so that one hung storage delays nobody else's heartbeat. */
typedef struct {
    VimgMutex lock;
    VimgCond changed;
    gboolean ending; /* under lock */
    guint seconds;
    void (*func)(gpointer data);
    gpointer data;
    VimgThread thread;
} Timer;

static VimgMutex timers_lock = VIMG_MUTEX_INIT;
static GHashTable *timers; /* id → Timer; under timers_lock */
static guint last_timer;   /* under timers_lock */

static void
timer_main(gpointer data)
{
    Timer *timer = data;
    const gint64 interval = (gint64)timer->seconds * G_USEC_PER_SEC;
    gint64 due = g_get_monotonic_time() + interval;

    vimg_mutex_lock(&timer->lock);
    while (!timer->ending) {
        if (vimg_cond_wait_until(&timer->changed, &timer->lock, due) || timer->ending)
            continue;
        vimg_mutex_unlock(&timer->lock);
        timer->func(timer->data);
        /* calls missed because this one took long are not made up for */
        due = MAX(due + interval, g_get_monotonic_time());
        vimg_mutex_lock(&timer->lock);
    }
    vimg_mutex_unlock(&timer->lock);
}

static void
timer_free(Timer *timer)
{
    vimg_cond_clear(&timer->changed);
    vimg_mutex_clear(&timer->lock);
    g_free(timer);
}

static guint
service_timer_add(guint seconds, void (*func)(gpointer data), gpointer data)
{
    Timer *timer = g_new0(Timer, 1);
    g_autoptr(GError) error = NULL;

    vimg_mutex_init(&timer->lock);
    vimg_cond_init(&timer->changed);
    timer->seconds = MAX(seconds, 1);
    timer->func = func;
    timer->data = data;
    VIMG_LOCK_GUARD(&timers_lock);
    if (!timers)
        timers = g_hash_table_new(NULL, NULL);
    if (!vimg_thread_start(&timer->thread, "timer", timer_main, timer, &error)) {
        vimg_warning("no timer: %s", error->message);
        timer_free(timer);
        return 0;
    }
    do
        last_timer++;
    while (last_timer == 0 || g_hash_table_contains(timers, GUINT_TO_POINTER(last_timer)));
    g_hash_table_insert(timers, GUINT_TO_POINTER(last_timer), timer);
    return last_timer;
}

/* Returns: (transfer full) the timer @id, which nobody else finds any more, or NULL. */
static Timer *
take_timer(guint id)
{
    Timer *timer;

    VIMG_LOCK_GUARD(&timers_lock);
    timer = timers ? g_hash_table_lookup(timers, GUINT_TO_POINTER(id)) : NULL;
    if (!timer)
        return NULL;
    if (pthread_equal(timer->thread, pthread_self())) {
        vimg_warning("a timer cannot be removed from inside of its own call");
        return NULL;
    }
    g_hash_table_remove(timers, GUINT_TO_POINTER(id));
    return timer;
}

static void
service_timer_remove(guint id)
{
    Timer *timer = take_timer(id);

    if (!timer)
        return;
    vimg_mutex_lock(&timer->lock);
    timer->ending = TRUE;
    vimg_cond_signal(&timer->changed);
    vimg_mutex_unlock(&timer->lock);
    vimg_thread_join(timer->thread);
    timer_free(timer);
}

/* ---- the table -------------------------------------------------------------------------- */

/* Constant but for its directory. */
static VimgServices services = {
    .abi = VIMG_PLUGIN_ABI,
    .size = sizeof(VimgServices),
    .log = service_log,
    .secret_get = service_secret_get,
    .secret_free = vimg_secret_value_free,
    .job_progress = service_job_progress,
    .job_cancelled = service_job_cancelled,
    .timer_add = service_timer_add,
    .timer_remove = service_timer_remove,
    .status = service_status,
    .job_number = service_job_number,
    .image_kept = service_image_kept,
};

void
vimg_services_set_state_dir(const char *dir)
{
    services.state_dir = g_intern_string(dir);
}

const VimgServices *
vimg_services_get(void)
{
    return &services;
}
