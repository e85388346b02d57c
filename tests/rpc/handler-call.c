/*
 * handler-call.c: calling a handler with bytes, and reading its answer as bytes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "fake-model.h"
#include "handler-call.h"
#include "wire/frame.h"

/* ---- bytes ---------------------------------------------------------------------------------- */

static void
put_number(GByteArray *out, guint64 value, guint size)
{
    for (guint i = size; i-- > 0;) {
        guint8 byte = (guint8)(value >> (8 * i));

        g_byte_array_append(out, &byte, 1);
    }
}

static void
put_text(GByteArray *out, const char *text)
{
    gsize length = strlen(text);

    put_number(out, length, 4);
    g_byte_array_append(out, (const guint8 *)text, (guint)length);
    put_number(out, 0, (guint)((4 - length % 4) % 4));
}

static void
put_hex(GByteArray *out, const char *hex)
{
    for (; *hex; hex += 2) {
        guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

        g_byte_array_append(out, &byte, 1);
    }
}

GByteArray *
handler_bytes(const char *tokens)
{
    g_auto(GStrv) parts = g_strsplit(tokens, " ", -1);
    GByteArray *out = g_byte_array_new();

    for (guint i = 0; parts[i]; i++) {
        const char *value = *parts[i] ? parts[i] + 2 : "";

        if (g_str_has_prefix(parts[i], "s:") || g_str_has_prefix(parts[i], "o:"))
            put_text(out, value);
        else if (g_str_has_prefix(parts[i], "i:"))
            put_number(out, (guint64)g_ascii_strtoll(value, NULL, 10), 4);
        else if (g_str_has_prefix(parts[i], "h:"))
            put_number(out, g_ascii_strtoull(value, NULL, 10), 8);
        else if (g_str_has_prefix(parts[i], "x:"))
            put_hex(out, value);
        else if (g_str_equal(parts[i], "U"))
            g_byte_array_append(out, fake_uuid, sizeof(fake_uuid));
        else
            g_assert_cmpstr(parts[i], ==, "");
    }
    return out;
}

char *
handler_hex(const char *tokens)
{
    g_autoptr(GByteArray) bytes = handler_bytes(tokens);
    GString *hex = g_string_new(NULL);

    for (guint i = 0; i < bytes->len; i++)
        g_string_append_printf(hex, "%02x", bytes->data[i]);
    return g_string_free(hex, FALSE);
}

/* ---- calls ---------------------------------------------------------------------------------- */

char *
handler_call(VimgClient *client, int procedure, const char *tokens, VimgCall *out, GError **error)
{
    return handler_call_in(&vimg_remote_program, client, procedure, tokens, out, error);
}

char *
handler_call_in(const VimgProgram *program, VimgClient *client, int procedure, const char *tokens,
                VimgCall *out, GError **error)
{
    g_autoptr(GByteArray) bytes = handler_bytes(tokens);
    const VimgProc *proc = &program->procs[procedure];
    VimgCall unused = {0};
    VimgCall *made = out ? out : &unused;
    char *hex = NULL;

    g_assert_cmpint(procedure, <, program->n_procs);
    g_assert_nonnull(proc->handler);
    made->client = client;
    made->proc = proc;
    made->args = g_malloc0(proc->args_size);
    made->ret = g_malloc0(proc->ret_size);
    g_assert_true(vimg_xdr_decode(proc->args, made->args, bytes->data, bytes->len, NULL));
    if (proc->handler(made, error))
        hex = fake_encode(proc->ret, made->ret);
    xdr_free(proc->args, made->args);
    xdr_free(proc->ret, made->ret);
    g_free(made->args);
    g_free(made->ret);
    return hex;
}

void
handler_check_error(const GError *error, int code, const char *expected)
{
    g_assert_error(error, VIMG_ERROR, code);
    if (expected) {
        g_autofree char *text = vimg_error_text(error);

        g_assert_cmpstr(text, ==, expected);
    }
}
