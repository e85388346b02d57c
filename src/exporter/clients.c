/*
 * clients.c: who downloads, by address: how much at a time, and how fast
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <netinet/in.h>
#include <string.h>

#include "exporter/clients.h"

#define NETWORK_BYTES 8 /* of an IPv6 address, of which one client has all others */

/* What a client is known by; all of it is compared. */
typedef struct {
    guint8 family;
    guint8 address[NETWORK_BYTES];
} Key;

struct _VimgClient {
    Key key;
    guint downloads; /* under lock */
    VimgPace pace;
};

struct _VimgClients {
    VimgClientLimits limits;
    VimgPace pace;

    VimgMutex lock;
    GHashTable *by_key; /* of VimgClient, those that download */
    guint downloads;
};

static guint
hash_key(gconstpointer data)
{
    const guint8 *bytes = data;
    guint hash = 5381;

    for (gsize i = 0; i < sizeof(Key); i++)
        hash = hash * 33 + bytes[i];
    return hash;
}

static gboolean
same_key(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(Key)) == 0;
}

/* One whose address is not known is the same as all such. */
static Key
key_of(const struct sockaddr *address)
{
    Key key = {0};

    if (address && address->sa_family == AF_INET) {
        key.family = AF_INET;
        memcpy(key.address, &((const struct sockaddr_in *)(gconstpointer)address)->sin_addr, 4);
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *wide =
            &((const struct sockaddr_in6 *)(gconstpointer)address)->sin6_addr;
        gboolean mapped = IN6_IS_ADDR_V4MAPPED(wide);

        key.family = mapped ? AF_INET : AF_INET6;
        memcpy(key.address, wide->s6_addr + (mapped ? 12 : 0), mapped ? 4 : NETWORK_BYTES);
    }
    return key;
}

static void
free_client(gpointer data)
{
    VimgClient *client = data;

    vimg_pace_clear(&client->pace);
    g_free(client);
}

VimgClients *
vimg_clients_new(const VimgClientLimits *limits)
{
    VimgClients *clients = g_new0(VimgClients, 1);

    clients->limits = *limits;
    vimg_pace_init(&clients->pace, limits->rate);
    vimg_mutex_init(&clients->lock);
    clients->by_key = g_hash_table_new_full(hash_key, same_key, NULL, free_client);
    return clients;
}

void
vimg_clients_free(VimgClients *clients)
{
    if (!clients)
        return;
    g_hash_table_unref(clients->by_key);
    vimg_mutex_clear(&clients->lock);
    vimg_pace_clear(&clients->pace);
    g_free(clients);
}

VimgClientsAnswer
vimg_clients_enter(VimgClients *clients, const struct sockaddr *address, VimgClient **out)
{
    const VimgClientLimits *limits = &clients->limits;
    Key key = key_of(address);
    VimgClient *client;

    VIMG_LOCK_GUARD(&clients->lock);
    client = g_hash_table_lookup(clients->by_key, &key);
    /* whoever has enough is told so, however many there are */
    if (client && limits->each > 0 && client->downloads >= limits->each)
        return VIMG_CLIENTS_GREEDY;
    if (clients->downloads >= limits->downloads)
        return VIMG_CLIENTS_CROWDED;
    if (!client) {
        client = g_new0(VimgClient, 1);
        client->key = key;
        vimg_pace_init(&client->pace, limits->each_rate);
        g_hash_table_insert(clients->by_key, &client->key, client);
    }
    client->downloads++;
    clients->downloads++;
    *out = client;
    return VIMG_CLIENTS_WELCOME;
}

void
vimg_clients_leave(VimgClients *clients, VimgClient *client)
{
    VIMG_LOCK_GUARD(&clients->lock);
    clients->downloads--;
    client->downloads--;
    if (client->downloads == 0)
        g_hash_table_remove(clients->by_key, &client->key);
}

void
vimg_clients_take(VimgClients *clients, VimgClient *client, gsize bytes)
{
    vimg_pace_take(&client->pace, bytes);
    vimg_pace_take(&clients->pace, bytes);
}
