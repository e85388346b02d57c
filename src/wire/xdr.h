/*
 * xdr.h: what libtirpc's XDR lacks
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_WIRE_XDR_H
#define VIMG_WIRE_XDR_H

#include <rpc/rpc.h>

/*
 * Stands in for xdr_string() in everything that rpcgen makes.  A string with a NUL inside is not
 * decoded (C would see a shorter one than the peer sent), NULL is not encoded, and nothing is
 * allocated for bytes that are not there.  Memory streams only.
 */
bool_t vimg_xdr_string(XDR *xdrs, char **text, u_int max);

/*
 * Stands in for xdr_array(): a count of more elements than the bytes left could hold is refused
 * before room is made for them.  Memory streams only.
 */
bool_t vimg_xdr_array(XDR *xdrs, char **elements, u_int *count, u_int max, u_int size,
                      xdrproc_t proc);

/* Stands in for xdr_bytes(): bytes that could not be decoded have no size either. */
bool_t vimg_xdr_bytes(XDR *xdrs, char **bytes, u_int *size, u_int max);

/* Zeroes all strings and bytes of @data where they lie, before it is given to xdr_free(). */
void vimg_xdr_wipe(xdrproc_t proc, void *data);

#endif
