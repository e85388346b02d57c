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
#include "thread.h"
#include "throw.h"
#include "way.h"

struct _VimgLink {
    VimgPluginHost *host; /* NULL: nobody */
    char *where;          /* for people */
    char *root;           /* the directory there; NULL: of no store */
    pthread_mutex_t lock; /* guards what follows; never held during I/O */
    VimgWay *way;
};

/* Takes @where and @way over. */
static VimgLink *
link_make(char *where, VimgWay *way)
{
    VimgLink *link = g_new0(VimgLink, 1);

    link->where = where;
    link->way = way;
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

    g_free(link->root);
    vimg_way_unref(link->way);
    pthread_mutex_destroy(&link->lock);
    g_free(link->where);
    g_free(link);
}

gboolean
vimg_link_update(VimgLink *link, VimgTransport *transport, const VimgPluginPool *pool,
                 GError **error)
{
    g_autoptr(VimgWay) former = NULL;
    VimgWay *way = vimg_way_new(pool);

    pthread_mutex_lock(&link->lock);
    former = link->way;
    link->way = way;
    pthread_mutex_unlock(&link->lock);
    return vimg_transport_sftp_connect(transport, error);
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

static VimgSftpStream *
link_connect(gpointer data, GError **error)
{
    g_autoptr(VimgWay) way = link_way(data);

    return vimg_way_go(way, NULL, NULL, error);
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
    if (link)
        *link = made;
    return g_steal_pointer(&transport);
}

VimgTransport *
vimg_reach_via(VimgLink *link, const char *network, GError **error)
{
    g_autoptr(VimgWay) way = link_way(link);

    return reach_by(link_make(g_strdup(link->where), vimg_way_via(way, network)), link->root,
                    error);
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
