/*
 * test-hello.c: what a libvirt daemon is greeted with, and what becomes of each answer
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "wire/hello.h"

#define LIST VIMG_REMOTE_AUTH_LIST
#define POLKIT VIMG_REMOTE_AUTH_POLKIT
#define OPEN VIMG_REMOTE_CONNECT_OPEN
#define IDENTITY VIMG_REMOTE_CONNECT_SET_IDENTITY
#define STEPS_MAX 6

typedef enum {
    SAYS_OK,
    SAYS_NONE,
    SAYS_POLKIT,
    SAYS_SASL,
    SAYS_NO,
    SAYS_RUBBISH,
} Answer;

typedef struct {
    const char *path;
    VimgHelloAuth before;
    guint64 began; /* 0: who the client is cannot be said */
    struct {
        gint32 procedure;
        Answer answer;
    } steps[STEPS_MAX];
    int code; /* virErrorNumber; 0: it is open */
    VimgHelloAuth after;
} Case;

#define UNKNOWN VIMG_HELLO_UNKNOWN
#define NEEDLESS VIMG_HELLO_NEEDLESS
#define NEEDED VIMG_HELLO_NEEDED

static const Case cases[] = {
    {"/hello/first",
     UNKNOWN,
     1,
     {{LIST, SAYS_NONE}, {OPEN, SAYS_OK}, {IDENTITY, SAYS_OK}},
     0,
     NEEDLESS},
    {"/hello/next", NEEDLESS, 1, {{OPEN, SAYS_OK}, {IDENTITY, SAYS_OK}}, 0, NEEDLESS},
    {"/hello/nobody-known", NEEDLESS, 0, {{OPEN, SAYS_OK}}, 0, NEEDLESS},
    {"/hello/refused-unasked",
     NEEDLESS,
     1,
     {{OPEN, SAYS_NO}, {LIST, SAYS_NONE}, {OPEN, SAYS_OK}, {IDENTITY, SAYS_OK}},
     0,
     NEEDED},
    {"/hello/refused-twice",
     NEEDLESS,
     1,
     {{OPEN, SAYS_NO}, {LIST, SAYS_NONE}, {OPEN, SAYS_NO}},
     VIR_ERR_NO_CONNECT,
     NEEDED},
    {"/hello/needed",
     NEEDED,
     1,
     {{LIST, SAYS_NONE}, {OPEN, SAYS_OK}, {IDENTITY, SAYS_OK}},
     0,
     NEEDED},
    {"/hello/polkit",
     UNKNOWN,
     1,
     {{LIST, SAYS_POLKIT}, {POLKIT, SAYS_OK}, {OPEN, SAYS_OK}, {IDENTITY, SAYS_OK}},
     0,
     UNKNOWN},
    {"/hello/polkit-after-none",
     NEEDLESS,
     0,
     {{OPEN, SAYS_NO}, {LIST, SAYS_POLKIT}, {POLKIT, SAYS_OK}, {OPEN, SAYS_OK}},
     0,
     NEEDED},
    {"/hello/polkit-refused",
     UNKNOWN,
     1,
     {{LIST, SAYS_POLKIT}, {POLKIT, SAYS_NO}},
     VIR_ERR_NO_CONNECT,
     UNKNOWN},
    {"/hello/sasl", UNKNOWN, 1, {{LIST, SAYS_SASL}}, VIR_ERR_AUTH_FAILED, UNKNOWN},
    {"/hello/list-refused", UNKNOWN, 1, {{LIST, SAYS_NO}}, VIR_ERR_NO_CONNECT, UNKNOWN},
    {"/hello/list-rubbish", UNKNOWN, 1, {{LIST, SAYS_RUBBISH}}, VIR_ERR_RPC, UNKNOWN},
    {"/hello/error-rubbish",
     UNKNOWN,
     1,
     {{LIST, SAYS_NONE}, {OPEN, SAYS_RUBBISH}},
     VIR_ERR_RPC,
     NEEDLESS},
    {"/hello/identity-refused",
     UNKNOWN,
     1,
     {{LIST, SAYS_NONE}, {OPEN, SAYS_OK}, {IDENTITY, SAYS_NO}},
     0,
     NEEDLESS},
};

/* ---- a daemon ----------------------------------------------------------------------------- */

static VimgBuffer *
payload_of(xdrproc_t proc, gconstpointer data)
{
    const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE};
    g_autoptr(VimgBuffer) frame = vimg_frame_new_xdr(&header, proc, data, NULL);
    VimgBuffer *payload = vimg_buffer_new(frame->size - VIMG_FRAME_MIN);

    memcpy(payload->data, frame->data + VIMG_FRAME_MIN, payload->size);
    return payload;
}

static VimgBuffer *
list_of(vimg_remote_auth_type type)
{
    vimg_remote_auth_list_ret list = {.types = {1, &type}};

    return payload_of((xdrproc_t)xdr_vimg_remote_auth_list_ret, &list);
}

static VimgBuffer *
refusal(void)
{
    char *text = (char *)"not you";
    vimg_remote_error error = {
        .code = VIR_ERR_NO_CONNECT, .domain = VIR_FROM_RPC, .message = &text};

    return payload_of((xdrproc_t)xdr_vimg_remote_error, &error);
}

/* Returns: (transfer full) what it says, or NULL for nothing */
static VimgBuffer *
answer_of(Answer answer)
{
    switch (answer) {
    case SAYS_NONE:
        return list_of(VIMG_AUTH_NONE);
    case SAYS_POLKIT:
        return list_of(VIMG_AUTH_POLKIT);
    case SAYS_SASL:
        return list_of(VIMG_AUTH_SASL);
    case SAYS_NO:
        return refusal();
    default:
        return NULL;
    }
}

static gboolean
take(VimgHello *hello, gint32 procedure, Answer answer, GError **error)
{
    g_autoptr(VimgBuffer) frame = vimg_hello_next(hello, error);
    g_autoptr(VimgBuffer) payload = answer_of(answer);
    VimgFrameHeader header, other;

    g_assert_nonnull(frame);
    vimg_frame_header_decode(frame->data + 4, &header);
    g_assert_cmpint(header.procedure, ==, procedure);
    g_assert_cmpuint(header.type, ==, VIMG_FRAME_CALL);
    g_assert_false(vimg_hello_is_answer(hello, &header));
    header.type = VIMG_FRAME_REPLY;
    if (answer == SAYS_NO || (answer == SAYS_RUBBISH && procedure == OPEN))
        header.status = VIMG_FRAME_ERROR;
    other = header;
    other.serial++;
    g_assert_false(vimg_hello_is_answer(hello, &other));
    g_assert_true(vimg_hello_is_answer(hello, &header));
    return vimg_hello_take(hello, &header, payload, error);
}

static void
test_hello(gconstpointer data)
{
    const Case *c = data;
    const VimgPeer peer = {.uid = 1000, .gid = 1000, .pid = 7, .began = c->began};
    g_autoptr(GError) error = NULL;
    gboolean ok = TRUE;
    VimgHello hello;

    vimg_hello_init(&hello, "qemu:///system", FALSE, &peer, c->before);
    for (guint i = 0; i < STEPS_MAX && c->steps[i].procedure; i++) {
        g_assert_true(ok);
        g_assert_cmpint(hello.step, !=, VIMG_HELLO_DONE);
        ok = take(&hello, c->steps[i].procedure, c->steps[i].answer, &error);
    }
    if (c->code == 0) {
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpint(hello.step, ==, VIMG_HELLO_DONE);
    } else {
        g_assert_false(ok);
        g_assert_nonnull(error);
        g_assert_cmpint(vimg_error_to_vir(error)->code, ==, c->code);
    }
    g_assert_cmpint(hello.auth, ==, c->after);
}

/* ---- what is in it ------------------------------------------------------------------------ */

static void
test_open(gconstpointer data)
{
    gboolean read_only = GPOINTER_TO_INT(data);
    const VimgPeer peer = {.uid = 0};
    vimg_remote_open_args args = {0};
    g_autoptr(VimgBuffer) frame = NULL;
    VimgHello hello;

    vimg_hello_init(&hello, "qemu:///system", read_only, &peer, NEEDLESS);
    frame = vimg_hello_next(&hello, NULL);
    g_assert_true(vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_open_args, &args,
                                  frame->data + VIMG_FRAME_MIN, frame->size - VIMG_FRAME_MIN,
                                  NULL));
    g_assert_cmpstr(*args.name, ==, "qemu:///system");
    g_assert_cmpuint(args.flags, ==, read_only ? 1 : 0);
    xdr_free((xdrproc_t)xdr_vimg_remote_open_args, (char *)&args);
}

static void
test_describe(gconstpointer data)
{
    const char *label = data;
    const VimgPeer peer = {.uid = 1000, .gid = 100, .pid = 7, .began = 99, .label = (char *)label};
    vimg_remote_param params[VIMG_REMOTE_IDENTITY_MAX] = {0};

    g_assert_cmpuint(vimg_hello_describe(&peer, params), ==, label ? 5 : 4);
    g_assert_cmpstr(params[0].field, ==, "unix-user-id");
    g_assert_cmpuint(params[0].value.vimg_remote_param_value_u.ul, ==, 1000);
    g_assert_cmpstr(params[1].field, ==, "unix-group-id");
    g_assert_cmpuint(params[1].value.vimg_remote_param_value_u.ul, ==, 100);
    g_assert_cmpstr(params[2].field, ==, "process-id");
    g_assert_cmpint(params[2].value.vimg_remote_param_value_u.l, ==, 7);
    g_assert_cmpstr(params[3].field, ==, "process-time");
    g_assert_cmpuint(params[3].value.vimg_remote_param_value_u.ul, ==, 99);
    if (label)
        g_assert_cmpstr(params[4].value.vimg_remote_param_value_u.s, ==, label);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add_data_func(cases[i].path, &cases[i], test_hello);
    g_test_add_data_func("/hello/open", GINT_TO_POINTER(FALSE), test_open);
    g_test_add_data_func("/hello/open-read-only", GINT_TO_POINTER(TRUE), test_open);
    g_test_add_data_func("/hello/describe", NULL, test_describe);
    g_test_add_data_func("/hello/describe-label", "a:b:c", test_describe);
    return g_test_run();
}
