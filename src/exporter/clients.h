/*
 * clients.h: who downloads, by address: how much at a time, and how fast
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef VIMG_EXPORTER_CLIENTS_H
#define VIMG_EXPORTER_CLIENTS_H

#include <sys/socket.h>

#include "exporter/pace.h"

/* Downloads at a time, and bytes a second of them. */
typedef struct {
    guint downloads; /* of all */
    guint64 rate;    /* of all; 0: no limit */
    guint each;      /* of one client; 0: no limit, as of the next one */
    guint64 each_rate;
} VimgClientLimits;

typedef struct _VimgClients VimgClients;
typedef struct _VimgClient VimgClient;

VimgClients *vimg_clients_new(const VimgClientLimits *limits);
/* Nobody takes anything.  Accepts NULL. */
void vimg_clients_free(VimgClients *clients);

typedef enum {
    VIMG_CLIENTS_WELCOME,
    VIMG_CLIENTS_CROWDED, /* too many clients, or their downloads */
    VIMG_CLIENTS_GREEDY,  /* too many downloads of this one */
} VimgClientsAnswer;

/*
 * One more download by @address: all of an IPv6 network of 64 bits is one client.  @out: until
 * vimg_clients_leave(); set only if it is welcome.
 */
VimgClientsAnswer vimg_clients_enter(VimgClients *clients, const struct sockaddr *address,
                                     VimgClient **out);
void vimg_clients_leave(VimgClients *clients, VimgClient *client);
/* Returns when @bytes more may go to @client. */
void vimg_clients_take(VimgClients *clients, VimgClient *client, gsize bytes);

#endif
