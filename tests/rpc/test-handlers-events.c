/*
 * test-handlers-events.c: who is told of what
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fake-client.h"
#include "fake-model.h"
#include "handler-call.h"
#include "rpc/remote.h"
#include "wire/control.h"
#include "wire/remote.h"

#define POOL_REGISTER 368
#define POOL_DEREGISTER 369
#define SECRET_REGISTER 380
#define SECRET_DEREGISTER 381

/* "p" with the uuid of everything, as the wire has it. */
#define P_HEX                                                                                      \
    "00000001"                                                                                     \
    "70000000"                                                                                     \
    "000102030405060708090a0b0c0d0e0f"
/* the uuid, usage type 2, "u" */
#define S_HEX                                                                                      \
    "000102030405060708090a0b0c0d0e0f"                                                             \
    "00000002"                                                                                     \
    "00000001"                                                                                     \
    "75000000"

static const guint8 other_uuid[VIMG_UUID_SIZE] = {9};

/* Calls a handler with @args.  Returns: the callback number it gave; -1 with @error. */
static int
call(VimgClient *client, int procedure, gpointer args, GError **error)
{
    vimg_remote_int ret = {0};
    VimgCall made = {
        .client = client,
        .proc = &vimg_remote_program.procs[procedure],
        .args = args,
        .ret = &ret,
    };

    return made.proc->handler(&made, error) ? ret.value : -1;
}

static int
register_pool(VimgClient *client, int event_id, const guint8 *uuid)
{
    vimg_remote_pool pool = {.name = (char *)"p"};
    vimg_remote_pool_register_args args = {.event_id = event_id, .pool = uuid ? &pool : NULL};

    if (uuid)
        memcpy(pool.uuid, uuid, sizeof(pool.uuid));
    return call(client, POOL_REGISTER, &args, NULL);
}

static int
register_secret(VimgClient *client, int event_id, const guint8 *uuid)
{
    vimg_remote_secret secret = {.usage_id = (char *)"u"};
    vimg_remote_secret_register_args args = {.event_id = event_id, .secret = uuid ? &secret : NULL};

    if (uuid)
        memcpy(secret.uuid, uuid, sizeof(secret.uuid));
    return call(client, SECRET_REGISTER, &args, NULL);
}

static gboolean
deregister(VimgClient *client, int procedure, int callback)
{
    vimg_remote_int args = {.value = callback};
    g_autoptr(GError) error = NULL;

    if (call(client, procedure, &args, &error) >= 0)
        return TRUE;
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC_STATE);
    return FALSE;
}

/* Tells @client of one event on the object of everything; forgets what it heard before. */
static void
tell(VimgClient *client, VimgEventKind kind, int number)
{
    VimgEvent event = {.kind = kind, .event = number};

    event.pool.name = (char *)"p";
    memcpy(event.pool.uuid, fake_uuid, sizeof(event.pool.uuid));
    event.secret.usage_type = 2;
    event.secret.usage_id = (char *)"u";
    memcpy(event.secret.uuid, fake_uuid, sizeof(event.secret.uuid));
    g_ptr_array_set_size(client->events, 0);
    vimg_remote_event(&event, client);
}

static const char *
heard(VimgClient *client, guint i)
{
    g_assert_cmpint(i, <, client->events->len);
    return client->events->pdata[i];
}

static void
test_nobody(void)
{
    g_autoptr(VimgClient) client = fake_client_new();

    for (int kind = VIMG_EVENT_POOL_LIFECYCLE; kind <= VIMG_EVENT_SECRET_VALUE; kind++) {
        tell(client, (VimgEventKind)kind, 0);
        g_assert_cmpint(client->events->len, ==, 0);
    }
}

static void
test_bytes(void)
{
    static const struct {
        VimgEventKind kind;
        int event;
        const char *expected;
    } rows[] = {
        {VIMG_EVENT_POOL_LIFECYCLE, 3,
         "370 00000000" P_HEX "00000003"
         "00000000"},
        {VIMG_EVENT_POOL_REFRESH, 0, "373 00000001" P_HEX},
        {VIMG_EVENT_SECRET_LIFECYCLE, 1,
         "382 00000000" S_HEX "00000001"
         "00000000"},
        {VIMG_EVENT_SECRET_VALUE, 0, "383 00000001" S_HEX},
    };
    g_autoptr(VimgClient) client = fake_client_new();

    /* each class counts for itself, from 0 */
    g_assert_cmpint(register_pool(client, 0, NULL), ==, 0);
    g_assert_cmpint(register_pool(client, 1, NULL), ==, 1);
    g_assert_cmpint(register_secret(client, 0, NULL), ==, 0);
    g_assert_cmpint(register_secret(client, 1, NULL), ==, 1);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        tell(client, rows[i].kind, rows[i].event);
        g_assert_cmpint(client->events->len, ==, 1);
        g_assert_cmpstr(heard(client, 0), ==, rows[i].expected);
    }
}

static void
test_filter(void)
{
    g_autoptr(VimgClient) client = fake_client_new();

    g_assert_cmpint(register_pool(client, 0, other_uuid), ==, 0);
    g_assert_cmpint(register_pool(client, 0, fake_uuid), ==, 1);
    g_assert_cmpint(register_pool(client, 0, NULL), ==, 2);
    tell(client, VIMG_EVENT_POOL_LIFECYCLE, 2);
    g_assert_cmpint(client->events->len, ==, 2);
    g_assert_true(g_str_has_prefix(heard(client, 0), "370 00000001"));
    g_assert_true(g_str_has_prefix(heard(client, 1), "370 00000002"));

    g_assert_cmpint(register_secret(client, 0, other_uuid), ==, 0);
    tell(client, VIMG_EVENT_SECRET_LIFECYCLE, 0);
    g_assert_cmpint(client->events->len, ==, 0);
}

static void
test_deregister(void)
{
    g_autoptr(VimgClient) client = fake_client_new();

    g_assert_cmpint(register_pool(client, 0, NULL), ==, 0);
    g_assert_false(deregister(client, SECRET_DEREGISTER, 0));
    g_assert_true(deregister(client, POOL_DEREGISTER, 0));
    g_assert_false(deregister(client, POOL_DEREGISTER, 0));
    tell(client, VIMG_EVENT_POOL_LIFECYCLE, 0);
    g_assert_cmpint(client->events->len, ==, 0);
    /* a number is never given twice */
    g_assert_cmpint(register_pool(client, 0, NULL), ==, 1);
}

/* ---- jobs ----------------------------------------------------------------------------------- */

static gboolean
watch(VimgClient *client, gboolean on, GError **error)
{
    vimg_control_watch_args args = {.on = on};
    VimgCall made = {.model = (VimgModel *)&fake_model,
                     .client = client,
                     .proc = &vimg_control_program.procs[23],
                     .args = &args};

    g_string_truncate(fake_model.log, 0);
    return made.proc->handler(&made, error);
}

static guint64 caller; /* of the job that is told of */

static void
tell_job(VimgClient *client, VimgJobStep step, const char *volume, const char *error)
{
    VimgJobInfo job = {.id = 1,
                       .pool = (char *)"p",
                       .volume = (char *)volume,
                       .kind = (char *)"k",
                       .phase = (char *)"",
                       .done = 1ULL << 33,
                       .total = 2,
                       .started = 3,
                       .caller = caller,
                       .cancelled = error != NULL};
    VimgJobEvent event = {.job = &job, .step = step, .error = (char *)error};

    g_ptr_array_set_size(client->events, 0);
    vimg_remote_job_event(&event, (gpointer)client);
}

static void
assert_heard(VimgClient *client, const char *mark, const char *tokens)
{
    g_autofree char *payload = handler_hex(tokens);
    g_autofree char *expected = g_strconcat(mark, " ", payload, NULL);

    g_assert_cmpint(client->events->len, ==, 1);
    g_assert_cmpstr(heard(client, 0), ==, expected);
}

static void
test_jobs(void)
{
    g_autoptr(VimgClient) client = fake_client_new();

    fake_model_reset();
    tell_job(client, VIMG_JOB_BEGUN, NULL, NULL);
    g_assert_cmpint(client->events->len, ==, 0);
    g_assert_true(watch(client, TRUE, NULL));
    g_assert_cmpstr(fake_model.log->str, ==, "watch_jobs(1)");
    g_assert_true(watch(client, TRUE, NULL));
    g_assert_cmpstr(fake_model.log->str, ==, "");
    tell_job(client, VIMG_JOB_BEGUN, NULL, NULL);
    assert_heard(client, "24", "h:1 s:p i:0 s:k s: h:8589934592 h:2 h:3 i:0 i:0 i:0 i:0");
    caller = 7;
    tell_job(client, VIMG_JOB_BEGUN, NULL, NULL);
    assert_heard(client, "24", "h:1 s:p i:0 s:k s: h:8589934592 h:2 h:3 i:0 i:0 i:0 i:1");
    caller = 0;
    tell_job(client, VIMG_JOB_MOVED, "v", NULL);
    assert_heard(client, "24?", "h:1 s:p i:1 s:v s:k s: h:8589934592 h:2 h:3 i:0 i:0 i:0 i:0");
    tell_job(client, VIMG_JOB_ENDED, "v", NULL);
    assert_heard(client, "24", "h:1 s:p i:1 s:v s:k s: h:8589934592 h:2 h:3 i:0 i:1 i:0 i:0");
    tell_job(client, VIMG_JOB_ENDED, NULL, "why");
    assert_heard(client, "24", "h:1 s:p i:0 s:k s: h:8589934592 h:2 h:3 i:1 i:1 i:1 s:why i:0");
    g_assert_true(watch(client, FALSE, NULL));
    g_assert_cmpstr(fake_model.log->str, ==, "watch_jobs(0)");
    tell_job(client, VIMG_JOB_ENDED, NULL, NULL);
    g_assert_cmpint(client->events->len, ==, 0);
}

/* Whoever went watches no more, whatever it asked for last. */
static void
test_jobs_gone(void)
{
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;

    fake_model_reset();
    fake_model.fail = TRUE;
    g_assert_false(watch(client, TRUE, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_DAMAGED);
    fake_model.fail = FALSE;
    g_assert_true(watch(client, TRUE, NULL));
    g_string_truncate(fake_model.log, 0);
    vimg_remote_hooks.disconnected(client, client->data);
    g_assert_cmpstr(fake_model.log->str, ==, "watch_jobs(0)");
    g_assert_true(watch(client, TRUE, NULL));
    g_assert_cmpstr(fake_model.log->str, ==, "");
    tell_job(client, VIMG_JOB_BEGUN, NULL, NULL);
    g_assert_cmpint(client->events->len, ==, 0);
}

static void
test_disconnected(void)
{
    g_autoptr(VimgClient) client = fake_client_new();

    register_pool(client, 0, NULL);
    vimg_remote_hooks.disconnected(client, client->data);
    tell(client, VIMG_EVENT_POOL_LIFECYCLE, 0);
    g_assert_cmpint(client->events->len, ==, 0);
}

static void
test_limit(void)
{
    vimg_remote_pool_register_args args = {0};
    g_autoptr(VimgClient) client = fake_client_new();
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 1024; i++)
        g_assert_cmpint(register_pool(client, 0, NULL), ==, i);
    g_assert_cmpint(call(client, POOL_REGISTER, &args, &error), ==, -1);
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_BUSY);
    g_assert_true(deregister(client, POOL_DEREGISTER, 7));
    g_assert_cmpint(register_pool(client, 0, NULL), ==, 1024);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/handlers/events/nobody", test_nobody);
    g_test_add_func("/handlers/events/bytes", test_bytes);
    g_test_add_func("/handlers/events/filter", test_filter);
    g_test_add_func("/handlers/events/deregister", test_deregister);
    g_test_add_func("/handlers/events/disconnected", test_disconnected);
    g_test_add_func("/handlers/events/limit", test_limit);
    g_test_add_func("/handlers/events/jobs", test_jobs);
    g_test_add_func("/handlers/events/jobs-gone", test_jobs_gone);
    return g_test_run();
}
