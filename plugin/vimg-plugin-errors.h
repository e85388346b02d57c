/*
 * vimg-plugin-errors.h: why a call failed, for callers that act on it
 *
 * Included by vimg-plugin.h.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_PLUGIN_ERRORS_H
#define VIMG_PLUGIN_ERRORS_H

#include <glib.h>

G_BEGIN_DECLS

#define VIMG_ERROR (vimg_error_quark())

static inline GQuark
vimg_error_quark(void)
{
    return g_quark_from_static_string("vimg-error");
}

/* What the caller may do about it; the daemon maps each to a libvirt error code. */
typedef enum {
    VIMG_ERROR_INTERNAL, /* a bug of ours, or a storage that answers nonsense */
    VIMG_ERROR_NO_MEMORY,
    VIMG_ERROR_INVALID_ARG, /* an argument is wrong whatever the state */
    VIMG_ERROR_XML,         /* a document lacks or misuses an element */
    VIMG_ERROR_XML_DETAIL,  /* a document is not well-formed */
    VIMG_ERROR_XML_SCHEMA,  /* a document failed --validate */
    VIMG_ERROR_NO_POOL,
    VIMG_ERROR_NO_VOL,
    VIMG_ERROR_NO_SECRET,
    VIMG_ERROR_INVALID_SECRET,
    VIMG_ERROR_VOL_EXISTS,        /* message: the quoted name alone; a backend's is made so */
    VIMG_ERROR_FAILED,            /* the operation failed and nothing more specific fits */
    VIMG_ERROR_OPERATION_INVALID, /* not in this state; another state would do */
    VIMG_ERROR_OPERATION_DENIED,  /* not on a read-only connection */
    VIMG_ERROR_NO_SUPPORT,        /* no such function here */
    VIMG_ERROR_OPERATION_UNSUPPORTED,
    VIMG_ERROR_CONFIG_UNSUPPORTED, /* the definition asks for what is not possible */
    VIMG_ERROR_ARGUMENT_UNSUPPORTED,
    VIMG_ERROR_BUSY,   /* a limit is reached or another job runs; try again later */
    VIMG_ERROR_SYSTEM, /* an operating system call failed; message ends in its text */
    VIMG_ERROR_NO_SPACE,
    VIMG_ERROR_ABORTED, /* cancelled by a client */
    VIMG_ERROR_TIMEOUT,
    VIMG_ERROR_AUTH, /* the storage refused our credentials */
    VIMG_ERROR_ACCESS_DENIED,
    VIMG_ERROR_POOL_BUILT,   /* build found a storage already built */
    VIMG_ERROR_PROBE,        /* build or start found data that is not ours */
    VIMG_ERROR_DISCONNECTED, /* the storage cannot be reached or is not the one we know */
    VIMG_ERROR_DAMAGED,      /* stored data fails its digest or cannot be parsed */
    VIMG_ERROR_NO_CONNECT,   /* a URI that is not ours */
    VIMG_ERROR_RPC,          /* a message that cannot be decoded or dispatched */
    VIMG_ERROR_RPC_STATE,    /* a call out of order on its connection */
    VIMG_ERROR_FLAGS,        /* flags nobody knows, or two that exclude each other */
    VIMG_N_ERRORS
} VimgErrorCode;

G_END_DECLS

#endif
