/*
 * test-services.c: what backends get from the daemon
 *
 * Timers are waited for by conditions: no test depends on how fast anything is.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdlib.h>
#include <libvirt/libvirt.h>

#include "pool/job.h"
#include "pool/services.h"
#include "util/thread.h"

static const VimgServices *services;

/* ---- timers ----------------------------------------------------------------------------- */

typedef struct {
    VimgMutex lock;
    VimgCond changed;
    guint calls;       /* begun */
    guint inside;      /* now */
    guint most_inside; /* ever */
    gboolean blocked;  /* a call stays inside until this is FALSE */
    gboolean removed;
    guint id;
} Ticks;

static void
ticks_init(Ticks *ticks)
{
    memset(ticks, 0, sizeof(*ticks));
    vimg_mutex_init(&ticks->lock);
    vimg_cond_init(&ticks->changed);
}

static void
ticks_clear(Ticks *ticks)
{
    vimg_cond_clear(&ticks->changed);
    vimg_mutex_clear(&ticks->lock);
}

static void
tick(gpointer data)
{
    Ticks *ticks = data;

    VIMG_LOCK_GUARD(&ticks->lock);
    ticks->calls++;
    ticks->inside++;
    ticks->most_inside = MAX(ticks->most_inside, ticks->inside);
    vimg_cond_broadcast(&ticks->changed);
    while (ticks->blocked)
        vimg_cond_wait(&ticks->changed, &ticks->lock);
    g_assert_false(ticks->removed);
    ticks->inside--;
}

static void
await_calls(Ticks *ticks, guint calls)
{
    VIMG_LOCK_GUARD(&ticks->lock);
    while (ticks->calls < calls)
        vimg_cond_wait(&ticks->changed, &ticks->lock);
}

static void
test_timer(void)
{
    Ticks ticks;
    guint id;

    ticks_init(&ticks);
    id = services->timer_add(1, tick, &ticks);
    g_assert_cmpuint(id, !=, 0);
    await_calls(&ticks, 2);
    services->timer_remove(id);
    services->timer_remove(id); /* of none: nothing */
    services->timer_remove(0);
    g_assert_cmpuint(ticks.inside, ==, 0);
    g_assert_cmpuint(ticks.most_inside, ==, 1);
    ticks_clear(&ticks);
}

/* Its interval in microseconds needs more than 32 bits: it is not due for more than an hour. */
static void
test_timer_long(void)
{
    Ticks rare;
    Ticks often;

    ticks_init(&rare);
    ticks_init(&often);
    rare.id = services->timer_add(4295, tick, &rare);
    often.id = services->timer_add(1, tick, &often);
    await_calls(&often, 1);
    services->timer_remove(often.id);
    services->timer_remove(rare.id);
    g_assert_cmpuint(rare.calls, ==, 0);
    ticks_clear(&rare);
    ticks_clear(&often);
}

static void
remove_timer(gpointer data)
{
    Ticks *ticks = data;

    services->timer_remove(ticks->id);
    VIMG_LOCK_GUARD(&ticks->lock);
    ticks->removed = TRUE; /* tick() would notice being inside still */
}

/* A hung timer holds up who removes it, and no other timer. */
static void
test_timer_hung(void)
{
    Ticks hung;
    Ticks other;
    VimgThread remover;

    ticks_init(&hung);
    ticks_init(&other);
    hung.blocked = TRUE;
    hung.id = services->timer_add(1, tick, &hung);
    await_calls(&hung, 1);
    g_assert_true(vimg_thread_start(&remover, "remover", remove_timer, &hung, NULL));
    other.id = services->timer_add(1, tick, &other);
    await_calls(&other, 1);
    services->timer_remove(other.id);
    vimg_mutex_lock(&hung.lock);
    g_assert_false(hung.removed);
    hung.blocked = FALSE;
    vimg_cond_broadcast(&hung.changed);
    vimg_mutex_unlock(&hung.lock);
    vimg_thread_join(remover);
    g_assert_true(hung.removed);
    g_assert_cmpuint(hung.inside, ==, 0);
    ticks_clear(&hung);
    ticks_clear(&other);
}

static void
tick_and_remove(gpointer data)
{
    Ticks *ticks = data;

    vimg_mutex_lock(&ticks->lock);
    services->timer_remove(ticks->id);
    vimg_mutex_unlock(&ticks->lock);
    tick(data);
}

/* Against the contract; it must neither hang nor end the daemon. */
static void
test_timer_removes_itself(void)
{
    Ticks ticks;

    ticks_init(&ticks);
    vimg_mutex_lock(&ticks.lock);
    ticks.id = services->timer_add(1, tick_and_remove, &ticks);
    vimg_mutex_unlock(&ticks.lock);
    await_calls(&ticks, 1);
    services->timer_remove(ticks.id);
    ticks_clear(&ticks);
}

/* ---- jobs, status ----------------------------------------------------------------------- */

static void
test_jobs(void)
{
    VimgJobs *jobs = vimg_jobs_new();
    VimgJob *job = vimg_job_begin(jobs, "upload", "p", "v", 0);
    g_autoptr(GPtrArray) list = NULL;

    services->job_progress(NULL, "x", 1, 2);
    g_assert_false(services->job_cancelled(NULL));
    g_assert_cmpuint(services->job_number(NULL), ==, 0);
    g_assert_cmpuint(services->job_number(job), ==, vimg_job_id(job));
    g_assert_cmpuint(services->job_number(job), >, 0);
    services->job_progress(job, "importing", 1, 2);
    list = vimg_jobs_list(jobs, NULL);
    g_assert_cmpstr(((VimgJobInfo *)g_ptr_array_index(list, 0))->phase, ==, "importing");
    g_assert_false(services->job_cancelled(job));
    vimg_job_cancel(job);
    g_assert_true(services->job_cancelled(job));
    vimg_job_end(job);
    vimg_jobs_free(jobs);
}

typedef struct {
    VimgPluginHost *host;
    char *message;
    guint calls;
} Status;

static void
take_status(VimgPluginHost *host, const GError *error, gpointer data)
{
    Status *status = data;

    status->host = host;
    g_free(status->message);
    status->message = error ? g_strdup(error->message) : NULL;
    status->calls++;
}

static void
test_status(void)
{
    VimgPluginHost *host = GUINT_TO_POINTER(77);
    g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_DISCONNECTED, "gone");
    Status status = {0};

    services->status(host, error); /* nobody asked */
    vimg_services_set_status_func(take_status, &status);
    services->status(NULL, error);
    g_assert_cmpuint(status.calls, ==, 0);
    services->status(host, error);
    g_assert_true(status.host == host);
    g_assert_cmpstr(status.message, ==, "gone");
    services->status(host, NULL);
    g_assert_null(status.message);
    vimg_services_set_status_func(NULL, NULL);
    services->status(host, error);
    g_assert_cmpuint(status.calls, ==, 2);
}

static gboolean
keep_one(VimgPluginHost *host, const char *uuid)
{
    return host == GUINT_TO_POINTER(77) && strcmp(uuid, "u") == 0;
}

static void
test_kept(void)
{
    VimgPluginHost *host = GUINT_TO_POINTER(77);

    g_assert_false(services->image_kept(host, "u")); /* nobody knows */
    vimg_services_set_kept_func(keep_one);
    g_assert_true(services->image_kept(host, "u"));
    g_assert_false(services->image_kept(host, "v"));
    g_assert_false(services->image_kept(NULL, "u"));
    g_assert_false(services->image_kept(host, NULL));
    vimg_services_set_kept_func(NULL);
    g_assert_false(services->image_kept(host, "u"));
}

/* ---- secrets ---------------------------------------------------------------------------- */

#define UUID "11111111-1111-4111-8111-11111111111%d"

static void
define(VimgSecrets *secrets, int n, const char *usage, const char *value)
{
    g_autofree char *xml = g_strdup_printf(
        "<secret ephemeral='yes' private='yes'><uuid>" UUID "</uuid>%s</secret>", n, usage);
    g_auto(VimgSecretId) id = {0};
    g_auto(VimgSecretId) again = {0};
    g_autoptr(GError) error = NULL;

    vimg_secrets_define(secrets, xml, 0, &id, &error);
    g_assert_no_error(error);
    vimg_secrets_set_value(secrets, id.uuid, value, strlen(value), &again, &error);
    g_assert_no_error(error);
}

static const struct {
    const char *auth_type;
    const char *usage;
    const char *uuid;
    const char *value; /* NULL: VIMG_ERROR_NO_SECRET */
} lookups[] = {
    {"ceph", "id", NULL, "cephx"},
    {"ssh", "id", NULL, "password"},
    {"anything", "id", NULL, "password"},
    {NULL, "id", NULL, "password"},
    {"ssh", NULL, "11111111-1111-4111-8111-111111111111", "cephx"},
    {"ssh", NULL, "11111111-1111-4111-8111-111111111113", "plain"},
    {"ceph", "other", NULL, NULL},
    {"ssh", NULL, "11111111-1111-4111-8111-111111111119", NULL},
};

/* Private ones too: backends are who they are for. */
static void
test_secrets(void)
{
    VimgSecrets *secrets = vimg_secrets_new("/nonexistent");
    g_autoptr(GError) error = NULL;
    gsize i;

    g_assert_null(services->secret_get("ssh", "id", NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_INTERNAL);
    g_clear_error(&error);
    define(secrets, 1, "<usage type='ceph'><name>id</name></usage>", "cephx");
    define(secrets, 2, "<usage type='iscsi'><target>id</target></usage>", "password");
    define(secrets, 3, "", "plain");
    vimg_services_set_secrets(secrets);
    for (i = 0; i < G_N_ELEMENTS(lookups); i++) {
        VimgBuffer *value =
            services->secret_get(lookups[i].auth_type, lookups[i].usage, lookups[i].uuid, &error);

        if (lookups[i].value) {
            g_assert_no_error(error);
            g_assert_cmpmem(value->data, value->size, lookups[i].value, strlen(lookups[i].value));
        } else {
            g_assert_null(value);
            g_assert_error(error, VIMG_ERROR, VIMG_ERROR_NO_SECRET);
            g_clear_error(&error);
        }
        services->secret_free(value);
    }
    g_assert_null(services->secret_get("ssh", NULL, NULL, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
    vimg_services_set_secrets(NULL);
    vimg_secrets_free(secrets);
}

static void
test_table(void)
{
    g_assert_cmpuint(services->abi, ==, VIMG_PLUGIN_ABI);
    g_assert_cmpuint(services->size, ==, sizeof(VimgServices));
    services->log((VimgLogLevel)99, "a level nobody knows, and a\nsecond line");
    services->log((VimgLogLevel)-1, "%s%n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    services = vimg_services_get();
    g_test_add_func("/services/timer", test_timer);
    g_test_add_func("/services/timer-long", test_timer_long);
    g_test_add_func("/services/timer-hung", test_timer_hung);
    g_test_add_func("/services/timer-removes-itself", test_timer_removes_itself);
    g_test_add_func("/services/jobs", test_jobs);
    g_test_add_func("/services/status", test_status);
    g_test_add_func("/services/kept", test_kept);
    g_test_add_func("/services/secrets", test_secrets);
    g_test_add_func("/services/table", test_table);
    return g_test_run();
}
