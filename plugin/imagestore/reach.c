/*
 * reach.c: from a definition to the files of its store, on this host or another
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "location.h"
#include "reach.h"
#include "remote.h"
#include "sftp/transport-sftp.h"
#include "store.h"
#include "../thread.h"
#include "../throw.h"
#include "way.h"

/* A store is synchronised over one network, or over those of the stores it is copied to. */
#define NETWORKS_MAX 4

/* A second transport of a store, for data over one network. */
typedef struct {
    char *network;
    VimgLink *link;
    VimgTransport *transport;
} Via;

struct _VimgLink {
    VimgPluginHost *host; /* NULL: nobody */
    char *where;          /* for people */
    char *root;           /* the directory there; NULL: of no store */
    VimgSshPeer *peer;    /* where the first of the connections leads to; the keeper's */
    VimgSshPeer *met;     /* where one leads to that was not looked at yet; likewise */
    gint given_up;        /* atomic: its transport ends */
    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    VimgWay *way;
    char *resolved;  /* what @root is on the server; NULL: not known yet */
    char *uuid;      /* of the store; NULL: the same */
    GPtrArray *vias; /* of Via; only grows */
};

static void
via_free(Via *via)
{
    vimg_transport_free(via->transport);
    g_free(via->network);
    g_free(via);
}

/* Takes @where and @way over. */
static VimgLink *
link_make(char *where, VimgWay *way)
{
    VimgLink *link = g_new0(VimgLink, 1);

    link->where = where;
    link->way = way;
    link->vias = g_ptr_array_new_with_free_func((GDestroyNotify)via_free);
    thread_must(pthread_mutex_init(&link->lock, NULL));
    return link;
}

static VimgLink *
link_new(const VimgPluginPool *pool, VimgPluginHost *host)
{
    VimgLink *link = link_make(vimg_remote_where(pool), vimg_way_new(pool));

    link->host = host;
    return link;
}

static void
link_free(gpointer data)
{
    VimgLink *link = data;

    g_ptr_array_unref(link->vias);
    g_free(link->root);
    g_free(link->resolved);
    g_free(link->uuid);
    vimg_ssh_peer_free(link->peer);
    vimg_ssh_peer_free(link->met);
    vimg_way_unref(link->way);
    pthread_mutex_destroy(&link->lock);
    g_free(link->where);
    g_free(link);
}

/* Takes @way over.  Returns: (transfer full) the one before. */
static VimgWay *
exchange_way(VimgLink *link, VimgWay *way)
{
    VimgWay *former;

    pthread_mutex_lock(&link->lock);
    former = link->way;
    link->way = way;
    pthread_mutex_unlock(&link->lock);
    return former;
}

/* Connects by the way that @link goes now; else it goes @former again, which is taken over. */
static gboolean
renew(VimgLink *link, VimgTransport *transport, guint connections, VimgWay *former, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (vimg_transport_sftp_renew(transport, connections, &local)) {
        vimg_way_unref(former);
        return TRUE;
    }
    vimg_way_unref(exchange_way(link, former));
    /* it may yet connect by the other one */
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED))
        vimg_transport_sftp_restore(transport);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_link_update(VimgLink *link, VimgTransport *transport, const VimgPluginPool *pool,
                 GError **error)
{
    g_autoptr(VimgWay) way = vimg_way_new(pool);
    g_autoptr(VimgWay) former = exchange_way(link, vimg_way_ref(way));

    if (vimg_way_equal(way, former))
        return vimg_transport_sftp_connect(transport, error);
    return renew(link, transport, vimg_way_connections(way), g_steal_pointer(&former), error);
}

void
vimg_link_expect(VimgLink *link, const char *uuid)
{
    LOCK_GUARD(&link->lock);

    g_free(link->uuid);
    link->uuid = g_strdup(uuid);
}

/* ---- what a transport asks for ---------------------------------------------------------- */

static VimgWay *
link_way(VimgLink *link)
{
    VimgWay *way;

    pthread_mutex_lock(&link->lock);
    way = vimg_way_ref(link->way);
    pthread_mutex_unlock(&link->lock);
    return way;
}

static void
link_give_up(gpointer data)
{
    __atomic_store_n(&((VimgLink *)data)->given_up, TRUE, __ATOMIC_RELEASE);
}

static gboolean
link_is_given_up(gpointer data)
{
    return __atomic_load_n(&((VimgLink *)data)->given_up, __ATOMIC_ACQUIRE);
}

static VimgSftpStream *
link_connect(gpointer data, GError **error)
{
    VimgLink *link = data;
    g_autoptr(VimgWay) way = link_way(link);
    const VimgSshGivenUp given_up = {link_is_given_up, link};

    g_clear_pointer(&link->met, vimg_ssh_peer_free);
    return vimg_way_go_to(way, NULL, &link->met, &given_up, error);
}

static VimgSftpStream *
link_connect_more(gpointer data, GError **error)
{
    VimgLink *link = data;
    g_autoptr(VimgWay) way = link_way(link);
    const VimgSshGivenUp given_up = {link_is_given_up, link};

    return vimg_way_go_to(way, link->peer, NULL, &given_up, error);
}

static gboolean
throw_away(GError **error, int result, const char *what)
{
    return throw_error(error, VIMG_ERROR_DISCONNECTED, "%s: %s", what, g_strerror(result));
}

static gboolean
check_place(VimgTransport *fresh, const char *root, const char *resolved, GError **error)
{
    int result;
    g_autofree char *now = vimg_transport_resolve(fresh, &result);

    if (!now)
        return throw_away(error, result, root);
    if (strcmp(now, resolved) == 0)
        return TRUE;
    return throw_error(error, VIMG_ERROR_DISCONNECTED,
                       _("path '%1$s' leads to '%2$s' now, not to '%3$s'"), root, now, resolved);
}

static gboolean
check_store(VimgTransport *fresh, const char *uuid, GError **error)
{
    g_autofree char *found = NULL;
    int result = vimg_slice_store_uuid(fresh, &found);

    if (result != 0)
        return throw_away(error, result, "store.json");
    if (g_strcmp0(found, uuid) == 0)
        return TRUE;
    return throw_error(error, VIMG_ERROR_DISCONNECTED, _("another store lies in place of store %s"),
                       uuid);
}

/* Another machine of the same name, or this one without its file system, is not the storage. */
static gboolean
link_check(VimgTransport *fresh, gpointer data, GError **error)
{
    VimgLink *link = data;
    g_autofree char *resolved = NULL;
    g_autofree char *uuid = NULL;

    {
        LOCK_GUARD(&link->lock);

        resolved = g_strdup(link->resolved);
        uuid = g_strdup(link->uuid);
    }
    if ((resolved && !check_place(fresh, link->root, resolved, error)) ||
        (uuid && !check_store(fresh, uuid, error)))
        return FALSE;
    vimg_ssh_peer_free(link->peer);
    link->peer = g_steal_pointer(&link->met);
    return TRUE;
}

static void
link_status(gboolean connected, const char *reason, gpointer data)
{
    VimgLink *link = data;
    g_autoptr(GError) error = NULL;

    if (!link->host || !vimg_services)
        return;
    if (!connected)
        throw_error(&error, VIMG_ERROR_DISCONNECTED, _("'%1$s' is out of reach: %2$s"), link->where,
                    reason ? reason : g_strerror(ENOTCONN));
    vimg_services->status(link->host, error);
}

/* ---- reaching --------------------------------------------------------------------------- */

static VimgTransport *
reach_by(VimgLink *link, const char *root, GError **error)
{
    VimgSftpTransportConfig config = {.root = root,
                                      .connect = link_connect,
                                      .connect_more = link_connect_more,
                                      .give_up = link_give_up,
                                      .check = link_check,
                                      .status = link_status,
                                      .data = link,
                                      .free_data = link_free,
                                      .connections = vimg_way_connections(link->way)};
    g_autoptr(VimgTransport) transport = vimg_transport_sftp_new(&config);

    if (!vimg_transport_sftp_connect(transport, error))
        return NULL;
    return g_steal_pointer(&transport);
}

VimgTransport *
vimg_reach(const VimgPluginPool *pool, VimgPluginHost *host, VimgLink **link, GError **error)
{
    g_autoptr(VimgTransport) transport = NULL;
    g_autofree char *resolved = NULL;
    VimgLink *made;
    int result;

    if (link)
        *link = NULL;
    if (!vimg_remote_is(pool))
        return vimg_transport_local_new(pool->dir);
    made = link_new(pool, host);
    made->root = g_strdup(pool->dir);
    transport = reach_by(made, pool->dir, error);
    if (!transport)
        return NULL;
    resolved = vimg_transport_resolve(transport, &result);
    if (resolved && !vimg_location_allow(pool->dir, resolved, error))
        return NULL;
    if (!resolved && result != ENOENT) {
        throw_result(error, result, _("path '%s'"), pool->dir);
        return NULL;
    }
    {
        LOCK_GUARD(&made->lock);

        made->resolved = g_steal_pointer(&resolved);
    }
    if (link)
        *link = made;
    return g_steal_pointer(&transport);
}

/* The lock is held. */
static Via *
find_via(const VimgLink *link, const char *network)
{
    guint i;

    for (i = 0; i < link->vias->len; i++) {
        Via *via = g_ptr_array_index(link->vias, i);

        if (strcmp(via->network, network) == 0)
            return via;
    }
    return NULL;
}

/* The one there is for @network; it stays as long as @link.  Returns: NULL: there is none. */
static Via *
look_up_via(VimgLink *link, const char *network)
{
    LOCK_GUARD(&link->lock);

    return find_via(link, network);
}

/* Lets @via go by the definition of now. */
static gboolean
renew_via(VimgLink *link, Via *via, GError **error)
{
    g_autoptr(VimgWay) now = link_way(link);
    g_autoptr(VimgWay) way = vimg_way_via(now, via->network);
    g_autoptr(VimgWay) former = exchange_way(via->link, vimg_way_ref(way));

    return vimg_way_equal(way, former) ||
           renew(via->link, via->transport, vimg_way_connections(way), g_steal_pointer(&former),
                 error);
}

/* What @via leads to is to be what @link does. */
static void
expect_same(VimgLink *via, VimgLink *link)
{
    LOCK_GUARD(&link->lock);

    via->root = g_strdup(link->root);
    via->resolved = g_strdup(link->resolved);
    via->uuid = g_strdup(link->uuid);
}

/* Keeps @made unless another thread was first or there are many.  Returns: whether it did. */
static gboolean
keep_via(VimgLink *link, Via *made)
{
    LOCK_GUARD(&link->lock);

    if (link->vias->len == NETWORKS_MAX || find_via(link, made->network))
        return FALSE;
    g_ptr_array_add(link->vias, made);
    return TRUE;
}

VimgTransport *
vimg_reach_via(VimgLink *link, const char *network, VimgTransport **owned, GError **error)
{
    g_autoptr(VimgWay) way = link_way(link);
    Via *via = look_up_via(link, network);
    VimgTransport *transport;
    Via *made;

    if (via)
        return renew_via(link, via, error) ? via->transport : NULL;
    made = g_new0(Via, 1);
    made->network = g_strdup(network);
    made->link = link_make(g_strdup(link->where), vimg_way_via(way, network));
    expect_same(made->link, link);
    made->transport = transport = reach_by(made->link, link->root, error);
    if (!transport || !keep_via(link, made)) {
        *owned = g_steal_pointer(&made->transport);
        via_free(made);
    }
    return transport;
}

typedef struct {
    const VimgPluginPool *pool;
    GError *error; /* why it could not be asked */
} Asker;

/* A VimgRealPath of the server.  Nearly always it is asked once: only the last name may be new. */
static char *
real_there(const char *path, gpointer data)
{
    Asker *asker = data;
    g_autoptr(VimgTransport) transport = NULL;
    char *real;
    int result;

    if (asker->error)
        return NULL;
    transport = reach_by(link_new(asker->pool, NULL), path, &asker->error);
    real = transport ? vimg_transport_resolve(transport, &result) : NULL;
    if (transport && !real && result != ENOENT)
        throw_result(&asker->error, result, _("path '%s'"), path);
    return real;
}

VimgTransport *
vimg_reach_root(const VimgPluginPool *pool, GError **error)
{
    Asker asker = {.pool = pool};
    g_autofree char *resolved = NULL;

    if (!vimg_remote_is(pool))
        return vimg_transport_local_new("/");
    resolved = vimg_location_resolve_by(pool->dir, real_there, &asker);
    if (asker.error) {
        g_propagate_error(error, asker.error);
        return NULL;
    }
    if (!vimg_location_allow(pool->dir, resolved, error))
        return NULL;
    return reach_by(link_new(pool, NULL), "/", error);
}
