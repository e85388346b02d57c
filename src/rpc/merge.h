/*
 * merge.h: calls about what this daemon and the host's own one both have: pools, volumes, secrets
 *
 * A row of a table says by its .merge how a call is shared; without a daemon of the host there is
 * nothing to share and the handler answers alone.  Which side a call is for is decided by the main
 * loop from memory; it asks the host too, and what is then made of both has workers of its own, but
 * for short lists.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_MERGE_H
#define VIMG_RPC_MERGE_H

#include "rpc/dispatch.h"
#include "wire/frame.h"
#include "wire/remote.h"

/* What the host is asked. */
typedef struct {
    gint32 procedure;
    xdrproc_t proc;
    gconstpointer args;
    union { /* for what @args points to */
        vimg_remote_list_args list;
        vimg_remote_int number;
    } own;
} VimgQuestion;

struct _VimgMerge {
    /* Main loop, a look into tables. */
    VimgSide (*side)(const VimgCall *call);
    /* for clients that came by another URI these are the host's even while there is none: "auto"
     * may find it later, and what had gone to ours would be lost to them */
    gboolean strict;

    /* BOTH, main loop, a look into tables.  @out: what the client asked; NULL: just that */
    void (*ask)(const VimgCall *call, VimgQuestion *out);
    /* what it has must be known: one that hangs fails the call, and it is asked once more by the
     * worker that runs the call, which may have waited for its turn; not of an INLINE row */
    gboolean surely;
    xdrproc_t answer;
    gsize answer_size;
    /*
     * Around the handler, where that runs.  @host: the answer, whose strings may be taken; NULL,
     * for before() alone: the host gave none.  before() may set call->pass, then the call is the
     * host's.
     */
    gboolean (*before)(VimgCall *call, gpointer host, GError **error);
    gboolean (*after)(VimgCall *call, gpointer host, GError **error);

    /* SEARCH, all in the main loop: what the handler fails with if it is not here */
    VimgErrorCode miss;
    /* FALSE: what the host found, @host, is hidden behind something of ours */
    gboolean (*check)(const VimgCall *call, gconstpointer host, GError **error);
};

/* Main loop.  OURS if there is nothing to share. */
VimgSide vimg_merge_side(const VimgCall *call);
/* Main loop: there is no host's daemon to ask.  FALSE: then nobody may answer @call. */
gboolean vimg_merge_may_run_alone(const VimgCall *call, GError **error);
/*
 * Main loop: asks the host about @call, of side BOTH; @done(@data) runs there when it has answered,
 * or has not.  Returns: FALSE if it is not to be asked now.
 */
gboolean vimg_merge_ask(VimgCall *call, void (*done)(gpointer data), gpointer data);
/*
 * Then: runs the handler of @call with what the host said.  TRUE with call->pass: the host is to
 * answer, call->ret is not filled.
 */
gboolean vimg_merge_run(VimgCall *call, GError **error);
/*
 * For an .after: @list, of @n elements of @size bytes, with the @more of @from behind them; where
 * those were there are zeros then, so that nobody frees what they own twice.
 */
gpointer vimg_merge_append(gpointer list, guint n, gpointer from, guint more, gsize size);
/* The handler of @call, of side SEARCH, failed with @error because it is not here. */
gboolean vimg_merge_is_missed(const VimgCall *call, const GError *error);

/* merge-side.c: one object, which one side has */
extern const VimgMerge vimg_merge_pool;    /* args: a pool first */
extern const VimgMerge vimg_merge_vol;     /* args: a volume first */
extern const VimgMerge vimg_merge_copy;    /* args: a pool and a volume */
extern const VimgMerge vimg_merge_sources; /* args: a type of pools first */
extern const VimgMerge vimg_merge_secret;  /* args: a secret first */
extern const VimgMerge vimg_merge_secret_define;
extern const VimgMerge vimg_merge_find_pool;
extern const VimgMerge vimg_merge_find_vol;
extern const VimgMerge vimg_merge_find_secret;

/* merge-pool.c: all pools, and new ones */
extern const VimgMerge vimg_merge_pools;
extern const VimgMerge vimg_merge_count_active;
extern const VimgMerge vimg_merge_count_inactive;
extern const VimgMerge vimg_merge_name_active;
extern const VimgMerge vimg_merge_name_inactive;
extern const VimgMerge vimg_merge_wish;   /* args: a document first */
extern const VimgMerge vimg_merge_rename; /* of our own program */
extern const VimgMerge vimg_merge_status; /* of our own program */
extern const VimgMerge vimg_merge_capabilities;

/* merge-secret.c: all secrets */
extern const VimgMerge vimg_merge_secrets;
extern const VimgMerge vimg_merge_count_secrets;
extern const VimgMerge vimg_merge_name_secrets;

/* merge-event.c: one callback id for the events of both sides */
extern const VimgMerge vimg_merge_pool_register;
extern const VimgMerge vimg_merge_pool_deregister;
extern const VimgMerge vimg_merge_secret_register;
extern const VimgMerge vimg_merge_secret_deregister;

/* Hooks of the server. */
GError *vimg_merge_answer(VimgClient *client, const VimgFrameHeader *header,
                          const VimgBuffer *payload);
gboolean vimg_merge_event(VimgClient *client, const VimgFrameHeader *header, VimgBuffer *payload);
void vimg_merge_host_lost(VimgClient *client);
gboolean vimg_merge_wants_host(VimgClient *client);

/* What the client registered for is registered at the host too, soon, where it is not yet. */
void vimg_merge_renew_events(VimgClient *client);

/* Whether the client came by another URI than ours, for which secrets are the host's. */
gboolean vimg_client_is_alias(VimgClient *client);

#endif
