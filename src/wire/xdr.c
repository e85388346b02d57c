/*
 * xdr.c: what libtirpc's XDR lacks
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "wire/xdr.h"

#define ELEMENT_MIN 4 /* bytes on the wire; XDR has nothing smaller */

static bool_t
decode(XDR *xdrs, char **text, u_int max)
{
    char *bytes;
    u_int size;

    if (!xdr_u_int(xdrs, &size) || size > max || size > xdrs->x_handy)
        return FALSE;
    bytes = malloc((size_t)size + 1); /* freed by xdr_free() */
    if (!bytes)
        return FALSE;
    if (!xdr_opaque(xdrs, bytes, size) || memchr(bytes, '\0', size)) {
        free(bytes);
        return FALSE;
    }
    bytes[size] = '\0';
    *text = bytes;
    return TRUE;
}

static bool_t
encode(XDR *xdrs, char *text, u_int max)
{
    size_t length = text ? strlen(text) : 0;
    u_int size = (u_int)length;

    return text && length <= max && xdr_u_int(xdrs, &size) && xdr_opaque(xdrs, text, size);
}

bool_t
vimg_xdr_string(XDR *xdrs, char **text, u_int max)
{
    switch (xdrs->x_op) {
    case XDR_ENCODE:
        return encode(xdrs, *text, max);
    case XDR_DECODE:
        return decode(xdrs, text, max);
    case XDR_FREE:
        free(*text);
        *text = NULL;
        return TRUE;
    }
    return FALSE;
}

/* The elements that @xdrs claims to have next can be there.  Leaves it where it was. */
static bool_t
has_room(XDR *xdrs)
{
    u_int start = xdr_getpos(xdrs);
    u_int count;

    return xdr_u_int(xdrs, &count) && count <= xdrs->x_handy / ELEMENT_MIN &&
           xdr_setpos(xdrs, start);
}

bool_t
vimg_xdr_array(XDR *xdrs, char **elements, u_int *count, u_int max, u_int size, xdrproc_t proc)
{
    if (xdrs->x_op == XDR_DECODE && !has_room(xdrs))
        return FALSE;
    return xdr_array(xdrs, elements, count, max, size, proc);
}

bool_t
vimg_xdr_bytes(XDR *xdrs, char **bytes, u_int *size, u_int max)
{
    if (xdr_bytes(xdrs, bytes, size, max))
        return TRUE;
    if (xdrs->x_op == XDR_DECODE && !*bytes)
        *size = 0;
    return FALSE;
}

/* ---- wiping ----------------------------------------------------------------------------- */

static bool_t
pass_long(XDR *xdrs, const long *value)
{
    return TRUE;
}

/* "Writes" @bytes of the struct itself, or constant padding, which is zero and is not touched. */
static bool_t
wipe_bytes(XDR *xdrs, const char *bytes, u_int size)
{
    volatile char *at = (char *)bytes;

    for (; size > 0; at++, size--) {
        if (*at)
            *at = 0;
    }
    return TRUE;
}

static int32_t *
no_room(XDR *xdrs, u_int size)
{
    return NULL;
}

void
vimg_xdr_wipe(xdrproc_t proc, void *data)
{
    static const struct xdr_ops ops = {
        .x_putlong = pass_long, .x_putbytes = wipe_bytes, .x_inline = no_room};
    XDR xdrs = {.x_op = XDR_ENCODE, .x_ops = &ops};

    proc(&xdrs, data);
}
