/*
 * dispatch.h: from a procedure number to the function that answers it
 *
 * A program is one table of rows.  Rights, ordering and cost are data in the row; dispatch.c checks
 * them once.  A new procedure is a type in the .x file, a row and a handler, nothing else.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_DISPATCH_H
#define VIMG_RPC_DISPATCH_H

#include <rpc/rpc.h>

#include "pool/model.h"
#include "rpc/client.h"

typedef enum {
    VIMG_PROC_WRITES = 1 << 0,     /* refused on a read-only connection */
    VIMG_PROC_PRE_AUTH = 1 << 1,   /* allowed before AUTH_LIST was asked */
    VIMG_PROC_PRE_OPEN = 1 << 2,   /* allowed before CONNECT_OPEN */
    VIMG_PROC_MEMORY = 1 << 3,     /* answered from memory: gets a reserved worker */
    VIMG_PROC_STREAM = 1 << 4,     /* a stream begins when the handler succeeds */
    VIMG_PROC_CLOSES = 1 << 5,     /* the connection ends when the reply is sent */
    VIMG_PROC_POOL_ARG = 1 << 6,   /* args begin with a pool name: so many at a time per pool */
    VIMG_PROC_SECRET = 1 << 7,     /* what it takes and gives is wiped before its memory is freed */
    VIMG_PROC_INLINE = 1 << 8,     /* a look into a table, run by the main loop: nothing else may */
    VIMG_PROC_LONG = 1 << 9,       /* args begin with a pool, busy for hours if that is active */
    VIMG_PROC_POOL_UUID = 1 << 10, /* behind the name comes the uuid, which alone counts */
    VIMG_PROC_IMPORT = 1 << 11,    /* if LONG: is counted by itself */
    VIMG_PROC_LIST = 1 << 13,      /* of all pools or secrets: INLINE only while they are few */
    /* with the host's own daemon, if there is one: upstream.h */
    VIMG_PROC_HOST = 1 << 12, /* it is asked; the handler answers only where there is none */
} VimgProcFlags;

typedef struct _VimgCall VimgCall;
typedef struct _VimgMerge VimgMerge;               /* merge.h */
typedef struct _VimgUpstreamCall VimgUpstreamCall; /* upstream.h */

/* Whose a call is, of this daemon and the host's own. */
typedef enum {
    VIMG_SIDE_OURS,
    VIMG_SIDE_HOST,   /* goes there as it came, and so does the answer */
    VIMG_SIDE_BOTH,   /* the host is asked, and the handler runs */
    VIMG_SIDE_SEARCH, /* the main loop runs the handler; what that does not find goes to the host */
} VimgSide;

/*
 * Runs in a worker (in the main loop if VIMG_PROC_INLINE), no lock held.  Fills call->ret (zeroed,
 * later freed by its xdr routine with what malloc gave, so g_strdup() is right) or sets @error.
 */
typedef gboolean (*VimgHandler)(VimgCall *call, GError **error);

/* Whether one call is the host's, by its arguments: a look into a table, run by the main loop. */
typedef gboolean (*VimgHostRoute)(const VimgCall *call);

typedef struct {
    const char *name; /* libvirt's API name or our own, for messages and logs */
    xdrproc_t args;   /* (xdrproc_t)xdr_void without any */
    gsize args_size;
    xdrproc_t ret;
    gsize ret_size;
    VimgHandler handler; /* NULL: no such procedure */
    guint flags;
    int domain;             /* virErrorDomain of its errors */
    VimgHostRoute route;    /* NULL: as the flags say; TRUE is as VIMG_PROC_HOST, for this call */
    const VimgMerge *merge; /* how it is shared with the host's own daemon; NULL: it is ours */
} VimgProc;

typedef struct {
    guint32 id;
    guint32 version;
    const VimgProc *procs;
    gsize n_procs;
} VimgProgram;

struct _VimgCall {
    VimgModel *model;
    VimgClient *client; /* borrowed for the call */
    const VimgProc *proc;
    gint32 procedure;
    gpointer args;
    gpointer ret;
    /* VIMG_PROC_STREAM: set by the handler, taken by the server */
    VimgTransfer *transfer; /* (transfer full) */
    gboolean upload;
    gboolean sparse;
    VimgSide side;
    VimgUpstreamCall *asked; /* (transfer full) BOTH: the question that the host has answered */
    guint losses;            /* of the client's connections to the host, when that was asked */
    gboolean pass; /* set when it was run: the host's own daemon is to answer it after all */
};

/* The row of a procedure; NULL if there is none. */
const VimgProc *vimg_program_proc(const VimgProgram *program, gint32 procedure);

/* Authenticated and opened, so far as a procedure with @flags wants that. */
gboolean vimg_dispatch_admit(VimgClient *client, guint flags, GError **error);

/*
 * Everything that can refuse a call before its handler runs, in libvirt's order: authenticated,
 * opened, rights, arguments.  @call->args is decoded on success (the caller frees it either way).
 */
gboolean vimg_dispatch_prepare(VimgCall *call, const guint8 *payload, gsize size, GError **error);

/* The tables: libvirt's own program, and ours. */
extern const VimgProgram vimg_remote_program;  /* remote-table.c */
extern const VimgProgram vimg_control_program; /* control-table.c */

#endif
