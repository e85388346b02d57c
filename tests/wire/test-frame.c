/*
 * test-frame.c: packets as bytes: lengths, headers, errors, holes, strings
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "wire/frame.h"
#include "wire/remote.h"
#include "wire/xdr.h"

static const VimgFrameHeader header = {.program = VIMG_PROGRAM_REMOTE,
                                       .version = 1,
                                       .procedure = 84,
                                       .type = VIMG_FRAME_REPLY,
                                       .serial = 0x01020304,
                                       .status = VIMG_FRAME_OK};

/* ---- length words ----------------------------------------------------------------------- */

typedef struct {
    const char *path;
    guint8 word[4];
    gboolean good;
    guint32 length;
} LengthCase;

static const LengthCase lengths[] = {
    {"/frame/length/zero", {0, 0, 0, 0}, FALSE, 0},
    {"/frame/length/itself", {0, 0, 0, 4}, FALSE, 4},
    {"/frame/length/short-header", {0, 0, 0, 27}, FALSE, 27},
    {"/frame/length/empty", {0, 0, 0, 28}, TRUE, 28},
    {"/frame/length/middle", {0, 1, 2, 3}, TRUE, 0x010203},
    {"/frame/length/largest", {2, 0, 0, 4}, TRUE, 33554436},
    {"/frame/length/too-large", {2, 0, 0, 5}, FALSE, 33554437},
    {"/frame/length/all-bits", {255, 255, 255, 255}, FALSE, 0xffffffff},
};

static void
test_length(gconstpointer data)
{
    const LengthCase *c = data;
    guint32 length = 0;

    g_assert_cmpint(vimg_frame_length(c->word, &length), ==, c->good);
    g_assert_cmpuint(length, ==, c->length);
}

/* ---- headers ---------------------------------------------------------------------------- */

static void
test_header(void)
{
    static const guint8 wire[] = {0x20, 0x00, 0x80, 0x86, 0, 0, 0, 1, 0, 0, 0, 84,
                                  0,    0,    0,    1,    1, 2, 3, 4, 0, 0, 0, 0};
    guint8 out[VIMG_FRAME_HEADER_SIZE];
    VimgFrameHeader back = {0};

    vimg_frame_header_encode(&header, out);
    g_assert_cmpmem(out, sizeof(out), wire, sizeof(wire));
    vimg_frame_header_decode(wire, &back);
    g_assert_cmpuint(back.program, ==, header.program);
    g_assert_cmpuint(back.version, ==, header.version);
    g_assert_cmpint(back.procedure, ==, header.procedure);
    g_assert_cmpuint(back.type, ==, header.type);
    g_assert_cmpuint(back.serial, ==, header.serial);
    g_assert_cmpuint(back.status, ==, header.status);
}

static void
test_negative_procedure(void)
{
    VimgFrameHeader in = header;
    VimgFrameHeader back = {0};
    guint8 wire[VIMG_FRAME_HEADER_SIZE];

    in.procedure = -7;
    vimg_frame_header_encode(&in, wire);
    vimg_frame_header_decode(wire, &back);
    g_assert_cmpint(back.procedure, ==, -7);
}

static void
test_new(void)
{
    g_autoptr(VimgBuffer) empty = vimg_frame_new(&header, NULL, 0);
    g_autoptr(VimgBuffer) some = vimg_frame_new(&header, "abcd", 4);
    guint8 head[VIMG_FRAME_MIN];

    g_assert_cmpuint(empty->size, ==, 28);
    g_assert_cmpuint(empty->data[3], ==, 28);
    g_assert_cmpuint(some->size, ==, 32);
    g_assert_cmpmem(some->data + 28, 4, "abcd", 4);
    vimg_frame_head_encode(&header, 4, head);
    g_assert_cmpmem(head, sizeof(head), some->data, sizeof(head));
}

static void
test_new_limit(void)
{
    gsize most = VIMG_FRAME_MAX - VIMG_FRAME_MIN;
    g_autofree char *data = g_malloc0(most + 1);
    g_autoptr(VimgBuffer) largest = vimg_frame_new(&header, data, most);

    g_assert_nonnull(largest);
    g_assert_cmpuint(largest->size, ==, VIMG_FRAME_MAX);
    g_assert_null(vimg_frame_new(&header, data, most + 1));
}

/* ---- errors ----------------------------------------------------------------------------- */

typedef struct {
    const guint8 *at;
    gsize left;
} Cursor;

static guint32
next32(Cursor *cursor)
{
    guint32 value;

    g_assert_cmpuint(cursor->left, >=, 4);
    memcpy(&value, cursor->at, 4);
    cursor->at += 4;
    cursor->left -= 4;
    return GUINT32_FROM_BE(value);
}

static char *
next_text(Cursor *cursor)
{
    guint32 present = next32(cursor);
    guint32 size;
    char *text;

    if (!present)
        return NULL;
    g_assert_cmpuint(present, ==, 1);
    size = next32(cursor);
    g_assert_cmpuint((size + 3) / 4 * 4, <=, cursor->left);
    text = g_strndup((const char *)cursor->at, size);
    for (guint32 i = size; i % 4; i++)
        g_assert_cmpuint(cursor->at[i], ==, 0);
    cursor->at += (size + 3) / 4 * 4;
    cursor->left -= (size + 3) / 4 * 4;
    return text;
}

typedef struct {
    const char *path;
    VimgErrorCode code;
    const char *detail;
    int vir_code, vir_domain;
    const char *message, *form;
} ErrorCase;

static const ErrorCase errors[] = {
    {"/frame/error/no-pool", VIMG_ERROR_NO_POOL, "no storage pool with matching name 'x'",
     VIR_ERR_NO_STORAGE_POOL, VIR_FROM_STORAGE,
     "Storage pool not found: no storage pool with matching name 'x'",
     "Storage pool not found: %s"},
    {"/frame/error/domain-of-the-caller", VIMG_ERROR_INVALID_ARG, "abc", VIR_ERR_INVALID_ARG,
     VIR_FROM_SECRET, "invalid argument: abc", "invalid argument: %s"},
    {"/frame/error/rpc", VIMG_ERROR_RPC, "unknown procedure: 4", VIR_ERR_RPC, VIR_FROM_RPC,
     "unknown procedure: 4", "%s"},
    {"/frame/error/percent", VIMG_ERROR_FAILED, "100%s%n", VIR_ERR_OPERATION_FAILED,
     VIR_FROM_SECRET, "operation failed: 100%s%n", "operation failed: %s"},
};

static void
test_error(gconstpointer data)
{
    const ErrorCase *c = data;
    g_autoptr(GError) error = g_error_new_literal(VIMG_ERROR, (int)c->code, c->detail);
    g_autoptr(VimgBuffer) frame = vimg_frame_new_error(&header, error, VIR_FROM_SECRET);
    Cursor cursor = {frame->data + VIMG_FRAME_MIN, frame->size - VIMG_FRAME_MIN};
    VimgFrameHeader back;
    g_autofree char *message = NULL;
    g_autofree char *str1 = NULL;
    g_autofree char *str2 = NULL;

    vimg_frame_header_decode(frame->data + 4, &back);
    g_assert_cmpuint(back.status, ==, VIMG_FRAME_ERROR);
    g_assert_cmpuint(back.type, ==, header.type);
    g_assert_cmpint((int)next32(&cursor), ==, c->vir_code);
    g_assert_cmpint((int)next32(&cursor), ==, c->vir_domain);
    message = next_text(&cursor);
    g_assert_cmpstr(message, ==, c->message);
    g_assert_cmpuint(next32(&cursor), ==, VIR_ERR_ERROR);
    g_assert_cmpuint(next32(&cursor), ==, 0);
    str1 = next_text(&cursor);
    g_assert_cmpstr(str1, ==, c->form);
    str2 = next_text(&cursor);
    g_assert_cmpstr(str2, ==, c->detail);
    g_assert_null(next_text(&cursor));
    g_assert_cmpint((int)next32(&cursor), ==, -1);
    g_assert_cmpint((int)next32(&cursor), ==, -1);
    g_assert_cmpuint(next32(&cursor), ==, 0);
    g_assert_cmpuint(cursor.left, ==, 0);
}

/* A client's own words may fill a packet; what is given back of them may not. */
static void
test_error_long(gconstpointer data)
{
    const char *unit = data;
    GString *detail = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) frame = NULL;
    g_autofree char *message = NULL;
    Cursor cursor;

    while (detail->len < 5 * 1024 * 1024)
        g_string_append(detail, unit);
    error = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_NO_VOL, detail->str);
    g_string_free(detail, TRUE);
    frame = vimg_frame_new_error(&header, error, 0);
    g_assert_cmpuint(frame->size, <, 256 * 1024);
    cursor = (Cursor){frame->data + VIMG_FRAME_MIN + 8, frame->size - VIMG_FRAME_MIN - 8};
    message = next_text(&cursor);
    g_assert_cmpuint(strlen(message), >, 65000);
    g_assert_cmpuint(strlen(message), <=, 65536);
    g_assert_true(g_utf8_validate(message, -1, NULL));
}

/* ---- holes ------------------------------------------------------------------------------ */

static void
test_hole(void)
{
    static const guint8 wire[] = {0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0, 0, 0, 0};
    g_autoptr(VimgBuffer) frame = vimg_frame_new_hole(&header, 0x123456789abc);
    guint64 length = 0;
    guint32 flags = 1;
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(frame->size, ==, 40);
    g_assert_cmpmem(frame->data + 28, 12, wire, sizeof(wire));
    g_assert_true(vimg_frame_hole_decode(wire, sizeof(wire), &length, &flags, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(length, ==, 0x123456789abc);
    g_assert_cmpuint(flags, ==, 0);
    g_assert_null(vimg_frame_new_hole(&header, 0));
    g_assert_null(vimg_frame_new_hole(&header, (guint64)G_MAXINT64 + 1));
}

typedef struct {
    const char *path;
    guint8 payload[12];
    gsize size;
} HoleCase;

static const HoleCase bad_holes[] = {
    {"/frame/hole/empty", {0}, 0},
    {"/frame/hole/truncated", {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 11},
    {"/frame/hole/zero", {0}, 12},
    {"/frame/hole/negative", {0x80, 0, 0, 0, 0, 0, 0, 1}, 12},
};

static void
test_bad_hole(gconstpointer data)
{
    const HoleCase *c = data;
    g_autoptr(GError) error = NULL;
    guint64 length = 0;
    guint32 flags = 0;

    g_assert_false(vimg_frame_hole_decode(c->payload, c->size, &length, &flags, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
}

/* ---- XDR -------------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    const char *wire;
    gsize size;
    const char *text; /* NULL: refused */
} StringCase;

#define BYTES(text) text, sizeof(text) - 1

static const StringCase strings[] = {
    {"/xdr/string/empty", BYTES("\0\0\0\0"), ""},
    {"/xdr/string/padded", BYTES("\0\0\0\5hello\0\0\0"), "hello"},
    {"/xdr/string/exact", BYTES("\0\0\0\4four"), "four"},
    {"/xdr/string/odd-padding", BYTES("\0\0\0\3abc\xff"), "abc"},
    {"/xdr/string/trailing", BYTES("\0\0\0\4fourmore"), "four"},
    {"/xdr/string/nul-inside", BYTES("\0\0\0\5he\0lo\0\0\0"), NULL},
    {"/xdr/string/nul-last", BYTES("\0\0\0\4abc\0"), NULL},
    {"/xdr/string/truncated", BYTES("\0\0\0\5hell"), NULL},
    {"/xdr/string/no-padding", BYTES("\0\0\0\5hello"), NULL},
    {"/xdr/string/no-length", BYTES("\0\0\0"), NULL},
    {"/xdr/string/nothing", "", 0, NULL},
    {"/xdr/string/too-long", BYTES("\0\x40\0\1abcd"), NULL},
    {"/xdr/string/far-too-long", BYTES("\xff\xff\xff\xff"), NULL},
};

static void
test_string(gconstpointer data)
{
    const StringCase *c = data;
    /* a copy of its own, so that reading beyond it is noticed */
    g_autofree guint8 *wire = g_memdup2(c->wire, c->size);
    vimg_remote_string out = {0};
    g_autoptr(GError) error = NULL;
    gboolean done;

    done = vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_string, &out, wire, c->size, &error);
    if (c->text) {
        g_assert_no_error(error);
        g_assert_true(done);
        g_assert_cmpstr(out.value, ==, c->text);
    } else {
        g_assert_false(done);
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
        g_assert_cmpstr(error->message, ==, "Unable to decode message payload");
    }
    xdr_free((xdrproc_t)xdr_vimg_remote_string, &out);
}

static void
test_string_limit(void)
{
    gsize size = 4194304;
    g_autofree guint8 *wire = g_malloc(size + 5);
    vimg_remote_string out = {0};
    g_autoptr(GError) error = NULL;

    memset(wire, 'x', size + 5);
    memcpy(wire, "\0\x40\0\0", 4);
    g_assert_true(vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_string, &out, wire, size + 4, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(strlen(out.value), ==, size);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, &out);
}

/* go-libvirt says "present" with another number than 1. */
static void
test_optional(void)
{
    static const guint8 go[] = {1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 0};
    vimg_remote_optional_text out = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(
        vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_optional_text, &out, go, sizeof(go), &error));
    g_assert_no_error(error);
    g_assert_cmpstr(*out, ==, "a");
    xdr_free((xdrproc_t)xdr_vimg_remote_optional_text, &out);
}

typedef struct {
    const char *path;
    const char *wire;
    gsize size;
    int count; /* -1: refused */
} ArrayCase;

static const ArrayCase arrays[] = {
    {"/xdr/array/empty", BYTES("\0\0\0\0"), 0},
    {"/xdr/array/two", BYTES("\0\0\0\2\0\0\0\1a\0\0\0\0\0\0\0"), 2},
    {"/xdr/array/truncated", BYTES("\0\0\0\2\0\0\0\1a\0\0\0"), -1},
    {"/xdr/array/element-truncated", BYTES("\0\0\0\1\0\0\0\5abcd"), -1},
    {"/xdr/array/count-alone", BYTES("\0\0\x40\0"), -1},
    {"/xdr/array/over-the-limit", BYTES("\0\0\x40\1\0\0\0\0"), -1},
    {"/xdr/array/all-bits", BYTES("\xff\xff\xff\xff\0\0\0\0"), -1},
};

static void
test_array(gconstpointer data)
{
    const ArrayCase *c = data;
    g_autofree guint8 *wire = g_memdup2(c->wire, c->size);
    vimg_remote_names_ret out = {0};
    g_autoptr(GError) error = NULL;
    gboolean done;

    done = vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_names_ret, &out, wire, c->size, &error);
    g_assert_cmpint(done, ==, c->count >= 0);
    if (done)
        g_assert_cmpint((int)out.names.names_len, ==, c->count);
    else
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
    xdr_free((xdrproc_t)xdr_vimg_remote_names_ret, &out);
}

static void
test_encode(gconstpointer data)
{
    gsize size = GPOINTER_TO_SIZE(data);
    g_autofree char *text = g_strnfill(size, 'y');
    vimg_remote_string in = {text};
    vimg_remote_string out = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) frame =
        vimg_frame_new_xdr(&header, (xdrproc_t)xdr_vimg_remote_string, &in, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(frame->size, ==, 28 + 4 + (size + 3) / 4 * 4);
    g_assert_true(vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_string, &out, frame->data + 28,
                                  frame->size - 28, &error));
    g_assert_cmpstr(out.value, ==, text);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, &out);
}

static void
test_encode_void(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgBuffer) frame =
        vimg_frame_new_xdr(&header, (xdrproc_t)(void (*)(void))xdr_void, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(frame->size, ==, 28);
}

static void
test_encode_bad(gconstpointer data)
{
    gsize size = GPOINTER_TO_SIZE(data);
    g_autofree char *text = size ? g_strnfill(size, 'y') : NULL;
    vimg_remote_string in = {text};
    g_autoptr(GError) error = NULL;

    g_assert_null(vimg_frame_new_xdr(&header, (xdrproc_t)xdr_vimg_remote_string, &in, &error));
    g_assert_error(error, VIMG_ERROR, VIMG_ERROR_RPC);
}

/* ---- wiping ----------------------------------------------------------------------------- */

/* Sizes with padding and without: the padding is a constant that cannot be written to. */
static void
test_wipe(void)
{
    for (guint size = 0; size <= 9; size++) {
        char value[] = "swordfish", usage[] = "of whom", uuid[] = "0123456789abcdef";
        vimg_remote_secret_set_args args = {.secret.usage_id = usage, .value = {size, value}};

        memcpy(args.secret.uuid, uuid, sizeof(args.secret.uuid));
        vimg_xdr_wipe((xdrproc_t)xdr_vimg_remote_secret_set_args, &args);
        for (guint i = 0; i < size; i++)
            g_assert_cmpint(value[i], ==, 0);
        g_assert_cmpstr(value + size, ==, &"swordfish"[size]);
        g_assert_cmpint(usage[0] + usage[6] + args.secret.uuid[0] + args.secret.uuid[15], ==, 0);
    }
}

/* What failed to be decoded ends somewhere. */
static void
test_wipe_half(void)
{
    char value[] = "swordfish";
    vimg_remote_secret_set_args args = {.value = {9, value}};

    vimg_xdr_wipe((xdrproc_t)xdr_vimg_remote_secret_set_args, &args);
    args.secret.usage_id = (char[]){"x"};
    vimg_xdr_wipe((xdrproc_t)xdr_vimg_remote_secret_set_args, &args);
    g_assert_cmpstr(value, ==, "");
}

/* A value of more bytes than there can be: libtirpc would leave its size behind. */
static void
test_wipe_refused(void)
{
    guint8 bytes[16 + 4 + 8 + 4] = {[23] = 1, [24] = 'x', [28] = 0xff, [31] = 1};
    vimg_remote_secret_set_args args = {0};
    XDR xdrs;

    xdrmem_create(&xdrs, (char *)bytes, sizeof(bytes), XDR_DECODE);
    g_assert_false(xdr_vimg_remote_secret_set_args(&xdrs, &args));
    g_assert_cmpstr(args.secret.usage_id, ==, "x");
    g_assert_cmpuint(args.value.value_len, ==, 0);
    vimg_xdr_wipe((xdrproc_t)xdr_vimg_remote_secret_set_args, &args);
    g_assert_cmpstr(args.secret.usage_id, ==, "");
    xdr_free((xdrproc_t)xdr_vimg_remote_secret_set_args, (char *)&args);
}

int
main(int argc, char **argv)
{
    gsize i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(lengths); i++)
        g_test_add_data_func(lengths[i].path, &lengths[i], test_length);
    g_test_add_func("/frame/header/bytes", test_header);
    g_test_add_func("/frame/header/negative-procedure", test_negative_procedure);
    g_test_add_func("/frame/new", test_new);
    g_test_add_func("/frame/new/limit", test_new_limit);
    for (i = 0; i < G_N_ELEMENTS(errors); i++)
        g_test_add_data_func(errors[i].path, &errors[i], test_error);
    g_test_add_data_func("/frame/error/long", "a", test_error_long);
    g_test_add_data_func("/frame/error/long-utf8", "\xe6\xb1\x89x", test_error_long);
    g_test_add_data_func("/frame/error/long-no-utf8", "\x80", test_error_long);
    g_test_add_func("/frame/hole/bytes", test_hole);
    for (i = 0; i < G_N_ELEMENTS(bad_holes); i++)
        g_test_add_data_func(bad_holes[i].path, &bad_holes[i], test_bad_hole);
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        g_test_add_data_func(strings[i].path, &strings[i], test_string);
    for (i = 0; i < G_N_ELEMENTS(arrays); i++)
        g_test_add_data_func(arrays[i].path, &arrays[i], test_array);
    g_test_add_func("/xdr/string/limit", test_string_limit);
    g_test_add_func("/xdr/optional/go", test_optional);
    g_test_add_data_func("/xdr/encode/small", GSIZE_TO_POINTER(3), test_encode);
    g_test_add_data_func("/xdr/encode/edge", GSIZE_TO_POINTER(1024 - 28 - 4), test_encode);
    g_test_add_data_func("/xdr/encode/grown", GSIZE_TO_POINTER(1024 - 28 - 3), test_encode);
    g_test_add_data_func("/xdr/encode/largest", GSIZE_TO_POINTER(4194304), test_encode);
    g_test_add_func("/xdr/encode/void", test_encode_void);
    g_test_add_data_func("/xdr/encode/null", GSIZE_TO_POINTER(0), test_encode_bad);
    g_test_add_data_func("/xdr/encode/too-long", GSIZE_TO_POINTER(4194305), test_encode_bad);
    g_test_add_func("/xdr/wipe", test_wipe);
    g_test_add_func("/xdr/wipe/half", test_wipe_half);
    g_test_add_func("/xdr/wipe/refused", test_wipe_refused);
    return g_test_run();
}
