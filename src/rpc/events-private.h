/*
 * events-private.h: what a connection wants to hear of
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_RPC_EVENTS_PRIVATE_H
#define VIMG_RPC_EVENTS_PRIVATE_H

#include "pool/model.h"
#include "util/thread.h"

/* Callbacks of pools and of secrets are counted apart, as in libvirt. */
typedef enum {
    VIMG_EVENTS_POOL,
    VIMG_EVENTS_SECRET,
    VIMG_EVENTS_N_CLASSES,
} VimgEventClass;

typedef struct {
    int callback;
    VimgEventKind kind;
    int event_id;      /* of @kind on the wire */
    gboolean filtered; /* to the object @uuid */
    guint8 uuid[VIMG_UUID_SIZE];
    gboolean shared;   /* the host's own daemon may have such an object too, */
    int host_callback; /* and tells of it by this number; -1: not yet */
} VimgRegistration;

/* Data of a client. */
typedef struct {
    VimgMutex lock;
    GArray *registrations[VIMG_EVENTS_N_CLASSES]; /* of VimgRegistration */
    int next[VIMG_EVENTS_N_CLASSES];              /* callback number */
    VimgModel *bound;   /* whose jobs of it end with it; NULL: they go on */
    guint64 number;     /* of the client, if @bound */
    VimgModel *watched; /* whose jobs it hears of; NULL: none */
    gboolean gone;
} VimgSubscriber;

#endif
