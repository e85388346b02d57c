/*
 * test-call.c: nothing that a call brought or took away stays in memory if its row says so
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "rpc/call.h"
#include "rpc/connection.h"
#include "rpc/server-private.h"

#define VALUE "swordfish or so"

typedef struct {
    char value[sizeof(VALUE)];
} Text;

static guint seen, clean; /* structs that were freed, and those of them that were empty */

static gboolean
is_zero(const void *data, gsize size)
{
    static const guint8 zeros[sizeof(VALUE)];

    g_assert_cmpuint(size, <=, sizeof(zeros));
    return memcmp(data, zeros, size) == 0;
}

static bool_t
xdr_text(XDR *xdrs, Text *text)
{
    if (xdrs->x_op == XDR_FREE) {
        seen++;
        clean += is_zero(text->value, sizeof(text->value));
    }
    return xdr_opaque(xdrs, text->value, sizeof(text->value));
}

static gboolean
handle(VimgCall *call, GError **error)
{
    g_assert_cmpstr(((Text *)call->args)->value, ==, VALUE);
    *(Text *)call->ret = *(Text *)call->args;
    return TRUE;
}

#define ROW(FLAGS)                                                                                 \
    {                                                                                              \
        .name = "row", .args = (xdrproc_t)xdr_text, .args_size = sizeof(Text),                     \
        .ret = (xdrproc_t)xdr_text, .ret_size = sizeof(Text), .handler = handle,                   \
        .flags = VIMG_PROC_MEMORY | VIMG_PROC_PRE_AUTH | VIMG_PROC_PRE_OPEN | (FLAGS)              \
    }

static const VimgProc rows[] = {ROW(0), ROW(VIMG_PROC_SECRET)};
static const VimgProgram program = {
    .id = 1, .version = 1, .procs = rows, .n_procs = G_N_ELEMENTS(rows)};
static const VimgProgram *const programs[] = {&program, NULL};

typedef struct {
    VimgServer server;
    VimgClient *client;
    VimgBuffer *payload;
    VimgServerCall *call;
} Fixture;

static void
set_up(Fixture *f, gconstpointer secret)
{
    const VimgFrameHeader header = {
        .program = 1, .version = 1, .procedure = GPOINTER_TO_INT(secret)};

    seen = clean = 0;
    f->client = vimg_client_new(&f->server, -1, 0, FALSE);
    f->payload = vimg_buffer_new(sizeof(Text));
    memcpy(f->payload->data, VALUE, sizeof(Text));
    f->call = vimg_server_call_new(f->client, &header, vimg_buffer_ref(f->payload), 0);
}

static void
tear_down(Fixture *f, gconstpointer secret)
{
    vimg_server_call_free(f->call);
    vimg_buffer_unref(f->payload);
    vimg_client_unref(f->client);
}

static void
prepare(Fixture *f)
{
    g_autoptr(GError) error = NULL;

    vimg_server_call_prepare(f->call, NULL, programs, &error);
    g_assert_no_error(error);
}

static void
done(gpointer call)
{
}

/* Returns: (transfer full) a reference to the reply, so that it can be looked at. */
static VimgBuffer *
run(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgScheduler) scheduler = vimg_scheduler_new(1, 1, 1, &error);
    VimgInbox *inbox = vimg_inbox_new(NULL, &error);

    g_assert_no_error(error);
    prepare(f);
    vimg_server_call_submit(f->call, scheduler, inbox, done);
    vimg_inbox_run(inbox, TRUE);
    vimg_inbox_free(inbox);
    g_assert_cmpmem(f->call->reply->data + VIMG_FRAME_MIN, sizeof(VALUE), VALUE, sizeof(VALUE));
    return vimg_buffer_ref(f->call->reply);
}

static void
test_payload(Fixture *f, gconstpointer secret)
{
    prepare(f);
    g_assert_cmpint(is_zero(f->payload->data, f->payload->size), ==, GPOINTER_TO_INT(secret));
}

/* Whose it is nobody has found out. */
static void
test_payload_never_prepared(Fixture *f, gconstpointer secret)
{
    g_clear_pointer(&f->call, vimg_server_call_free);
    g_assert_true(is_zero(f->payload->data, f->payload->size));
}

static void
test_args_never_run(Fixture *f, gconstpointer secret)
{
    prepare(f);
    g_clear_pointer(&f->call, vimg_server_call_free);
    g_assert_cmpuint(seen, ==, 1);
    g_assert_cmpuint(clean, ==, GPOINTER_TO_INT(secret));
}

static void
test_args_and_ret(Fixture *f, gconstpointer secret)
{
    vimg_buffer_unref(run(f));
    g_assert_cmpuint(seen, ==, 2);
    g_assert_cmpuint(clean, ==, GPOINTER_TO_INT(secret) * 2);
}

static void
test_reply(Fixture *f, gconstpointer secret)
{
    g_autoptr(VimgBuffer) reply = run(f);

    vimg_packet_free(vimg_server_call_take_reply(f->call));
    g_assert_cmpint(is_zero(reply->data + VIMG_FRAME_MIN, sizeof(VALUE)), ==,
                    GPOINTER_TO_INT(secret));
}

static void
test_reply_never_sent(Fixture *f, gconstpointer secret)
{
    g_autoptr(VimgBuffer) reply = run(f);

    g_clear_pointer(&f->call, vimg_server_call_free);
    g_assert_cmpint(is_zero(reply->data + VIMG_FRAME_MIN, sizeof(VALUE)), ==,
                    GPOINTER_TO_INT(secret));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(Fixture *f, gconstpointer secret);
    } tests[] = {
        {"payload", test_payload},
        {"payload-never-prepared", test_payload_never_prepared},
        {"args-never-run", test_args_never_run},
        {"args-and-ret", test_args_and_ret},
        {"reply", test_reply},
        {"reply-never-sent", test_reply_never_sent},
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (int secret = FALSE; secret <= TRUE; secret++) {
            g_autofree char *path =
                g_strdup_printf("/call/%s/%s", secret ? "secret" : "plain", tests[i].name);

            g_test_add(path, Fixture, GINT_TO_POINTER(secret), set_up, tests[i].func, tear_down);
        }
    }
    return g_test_run();
}
