/*
 * frame.c: packets of libvirt's RPC: length word, header, XDR payload
 *
 * Everything on the wire is big-endian and comes in units of four bytes.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "util/i18n.h"
#include "util/wipe.h"
#include "wire/frame.h"
#include "wire/remote.h"

#define FIRST_SIZE 1024           /* of an encoding attempt; grows fourfold */
#define ERROR_STRING_MAX 65536    /* bytes of a client's own words that an error gives back */
#define HOLE_PAYLOAD_SIZE (8 + 4) /* hyper length, unsigned flags */

static void
put32(guint8 *at, guint32 value)
{
    guint32 wire = GUINT32_TO_BE(value);

    memcpy(at, &wire, sizeof(wire));
}

static guint32
get32(const guint8 *at)
{
    guint32 wire;

    memcpy(&wire, at, sizeof(wire));
    return GUINT32_FROM_BE(wire);
}

gboolean
vimg_frame_length(const guint8 word[4], guint32 *length)
{
    *length = get32(word);
    return *length >= VIMG_FRAME_MIN && *length <= VIMG_FRAME_MAX;
}

void
vimg_frame_header_decode(const guint8 *data, VimgFrameHeader *header)
{
    header->program = get32(data);
    header->version = get32(data + 4);
    header->procedure = (gint32)get32(data + 8);
    header->type = get32(data + 12);
    header->serial = get32(data + 16);
    header->status = get32(data + 20);
}

void
vimg_frame_header_encode(const VimgFrameHeader *header, guint8 *data)
{
    put32(data, header->program);
    put32(data + 4, header->version);
    put32(data + 8, (guint32)header->procedure);
    put32(data + 12, header->type);
    put32(data + 16, header->serial);
    put32(data + 20, header->status);
}

void
vimg_frame_head_encode(const VimgFrameHeader *header, gsize size, guint8 head[VIMG_FRAME_MIN])
{
    put32(head, (guint32)(VIMG_FRAME_MIN + size));
    vimg_frame_header_encode(header, head + VIMG_FRAME_LENGTH_SIZE);
}

/* @buffer has room for @payload bytes behind the header. */
static VimgBuffer *
seal(VimgBuffer *buffer, const VimgFrameHeader *header, gsize payload)
{
    buffer->size = VIMG_FRAME_MIN + payload;
    vimg_frame_head_encode(header, payload, buffer->data);
    return buffer;
}

VimgBuffer *
vimg_frame_new(const VimgFrameHeader *header, const void *payload, gsize size)
{
    VimgBuffer *buffer;

    if (size > VIMG_FRAME_MAX - VIMG_FRAME_MIN)
        return NULL;
    buffer = vimg_buffer_new(VIMG_FRAME_MIN + size);
    if (size)
        memcpy(buffer->data + VIMG_FRAME_MIN, payload, size);
    return seal(buffer, header, size);
}

VimgBuffer *
vimg_frame_new_xdr(const VimgFrameHeader *header, xdrproc_t proc, const void *data, GError **error)
{
    gsize size = FIRST_SIZE;

    for (;;) {
        g_autoptr(VimgBuffer) buffer = vimg_buffer_new(size);
        XDR xdrs;
        gboolean done;
        gsize used;

        xdrmem_create(&xdrs, (char *)buffer->data + VIMG_FRAME_MIN, size - VIMG_FRAME_MIN,
                      XDR_ENCODE);
        done = proc(&xdrs, (void *)data);
        used = xdr_getpos(&xdrs);
        xdr_destroy(&xdrs);
        if (done)
            return seal(g_steal_pointer(&buffer), header, used);
        vimg_buffer_wipe(g_steal_pointer(&buffer)); /* it may be a secret, and is rare */
        /* XDR does not say why it failed, so room is what is tried */
        if (size == VIMG_FRAME_MAX)
            break;
        size = MIN(size * 4, VIMG_FRAME_MAX);
    }
    vimg_throw(error, VIMG_ERROR_RPC, _("Unable to encode message payload"));
    return NULL;
}

/* ---- errors ----------------------------------------------------------------------------- */

/* What is given back of @text, which is UTF-8: whole characters. */
static gsize
clipped(const char *text)
{
    gsize size = strlen(text);

    if (size <= ERROR_STRING_MAX)
        return size;
    return (gsize)(g_utf8_find_prev_char(text, text + ERROR_STRING_MAX + 1) - text);
}

static void
append32(GByteArray *out, guint32 value)
{
    guint8 wire[4];

    put32(wire, value);
    g_byte_array_append(out, wire, sizeof(wire));
}

/* A nullable string.  Clients in some languages give up on what is no UTF-8. */
static void
append_text(GByteArray *out, const char *text)
{
    static const guint8 padding[4];
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    gsize size;

    append32(out, valid ? 1 : 0);
    if (!valid)
        return;
    size = clipped(valid);
    append32(out, (guint32)size);
    g_byte_array_append(out, (const guint8 *)valid, (guint)size);
    g_byte_array_append(out, padding, (guint)(-size & 3));
}

VimgBuffer *
vimg_frame_new_error(const VimgFrameHeader *header, const GError *cause, int domain)
{
    const VimgVirError *vir = vimg_error_to_vir(cause);
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree char *text = vimg_error_text(cause);
    VimgFrameHeader failed = *header;

    append32(out, (guint32)vir->code);
    append32(out, (guint32)(vir->domain ? vir->domain : domain));
    append_text(out, text);
    append32(out, VIR_ERR_ERROR);
    append32(out, 0); /* no domain object */
    append_text(out, vir->form);
    append_text(out, cause->message);
    append_text(out, NULL);
    append32(out, (guint32)-1);
    append32(out, (guint32)-1);
    append32(out, 0); /* no network object */
    failed.status = VIMG_FRAME_ERROR;
    return vimg_frame_new(&failed, out->data, out->len);
}

gboolean
vimg_frame_throw(const VimgBuffer *payload, GError **error)
{
    vimg_remote_error got = {0};

    if (vimg_xdr_decode((xdrproc_t)xdr_vimg_remote_error, &got, payload ? payload->data : NULL,
                        payload ? payload->size : 0, error))
        vimg_throw_vir(error, got.code, got.domain, got.message ? *got.message : "");
    xdr_free((xdrproc_t)xdr_vimg_remote_error, (char *)&got);
    return FALSE;
}

/* ---- holes ------------------------------------------------------------------------------ */

VimgBuffer *
vimg_frame_new_hole(const VimgFrameHeader *header, guint64 length)
{
    guint8 payload[HOLE_PAYLOAD_SIZE];

    if (length == 0 || length > G_MAXINT64)
        return NULL;
    put32(payload, (guint32)(length >> 32));
    put32(payload + 4, (guint32)length);
    put32(payload + 8, 0);
    return vimg_frame_new(header, payload, sizeof(payload));
}

gboolean
vimg_frame_hole_decode(const guint8 *payload, gsize size, guint64 *length, guint32 *flags,
                       GError **error)
{
    guint64 value;

    if (size < HOLE_PAYLOAD_SIZE)
        return vimg_throw(error, VIMG_ERROR_RPC, _("Unable to decode message payload"));
    value = (guint64)get32(payload) << 32 | get32(payload + 4);
    if (value == 0 || value > G_MAXINT64)
        return vimg_throw(error, VIMG_ERROR_RPC, _("invalid length of a stream hole"));
    *length = value;
    *flags = get32(payload + 8);
    return TRUE;
}

/* ---- decoding --------------------------------------------------------------------------- */

gboolean
vimg_xdr_decode(xdrproc_t proc, void *data, const guint8 *payload, gsize size, GError **error)
{
    XDR xdrs;
    gboolean done;

    if (size > VIMG_FRAME_MAX)
        return vimg_throw(error, VIMG_ERROR_RPC, _("Unable to decode message payload"));
    xdrmem_create(&xdrs, (char *)payload, (u_int)size, XDR_DECODE);
    done = proc(&xdrs, data);
    xdr_destroy(&xdrs);
    if (!done)
        return vimg_throw(error, VIMG_ERROR_RPC, _("Unable to decode message payload"));
    return TRUE;
}
