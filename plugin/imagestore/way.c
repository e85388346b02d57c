/*
 * way.c: the way to a store on another machine
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "option.h"
#include "remote.h"
#include "sftp/ssh-stream.h"
#include "store.h"
#include "../throw.h"
#include "transport.h"
#include "way.h"

#define ACCEPT_COMMAND "virtimagectl host-key accept"

struct _VimgWay {
    gint refs;
    GArray *hosts; /* of VimgPluginAddress, whose names are its own */
    char *network;
    char *auth_type;
    char *user;
    char *secret_usage;
    char *secret_uuid;
    char *identity;
    char *host_key;
    VimgHostKeyPolicy policy;
    char *known_hosts;
    char *accept_line;
    guint connections;
};

/* What makes one way another, as far as it is text of its own. */
static const gsize texts[] = {
    G_STRUCT_OFFSET(VimgWay, network),     G_STRUCT_OFFSET(VimgWay, auth_type),
    G_STRUCT_OFFSET(VimgWay, user),        G_STRUCT_OFFSET(VimgWay, secret_usage),
    G_STRUCT_OFFSET(VimgWay, secret_uuid), G_STRUCT_OFFSET(VimgWay, identity),
    G_STRUCT_OFFSET(VimgWay, host_key),    G_STRUCT_OFFSET(VimgWay, known_hosts),
};

static char **
text_of(const VimgWay *way, gsize i)
{
    return G_STRUCT_MEMBER_P(way, texts[i]);
}

/* ---- ways ------------------------------------------------------------------------------- */

static void
clear_address(gpointer data)
{
    VimgPluginAddress *address = data;

    g_free((char *)address->name);
}

static char *
accept_line(const char *pool)
{
    gboolean plain = strspn(pool, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == strlen(pool);
    g_autofree char *quoted = plain && *pool != '-' ? g_strdup(pool) : g_shell_quote(pool);

    return g_strconcat(ACCEPT_COMMAND, " ", quoted, NULL);
}

/* Returns: (transfer full) the daemon's own; NULL: it has none, or is older than that. */
static char *
known_hosts(void)
{
    const gsize needed = G_STRUCT_OFFSET(VimgServices, state_dir) + sizeof(const char *);

    if (!vimg_services || vimg_services->size < needed || !vimg_services->state_dir)
        return NULL;
    return g_build_filename(vimg_services->state_dir, "known_hosts", NULL);
}

static VimgWay *
way_alloc(void)
{
    VimgWay *way = g_new0(VimgWay, 1);

    way->refs = 1;
    way->hosts = g_array_new(FALSE, FALSE, sizeof(VimgPluginAddress));
    g_array_set_clear_func(way->hosts, clear_address);
    return way;
}

VimgWay *
vimg_way_new(const VimgPluginPool *pool)
{
    const char *policy = vimg_option_text(pool, "ssh", "policy");
    VimgWay *way = way_alloc();
    gsize i;

    for (i = 0; i < pool->n_hosts; i++) {
        VimgPluginAddress host = {.name = g_strdup(pool->hosts[i].name),
                                  .port = vimg_remote_port(&pool->hosts[i])};

        g_array_append_val(way->hosts, host);
    }
    way->network = g_strdup(pool->data_network);
    way->auth_type = g_strdup(pool->auth_type);
    way->user = g_strdup(pool->auth_user);
    way->secret_usage = g_strdup(pool->secret_usage);
    way->secret_uuid = g_strdup(pool->secret_uuid);
    way->identity = g_strdup(vimg_option_text(pool, "ssh", "identity"));
    way->host_key = g_strdup(vimg_option_text(pool, "ssh", "hostKey"));
    way->policy =
        g_strcmp0(policy, "accept-new") == 0 ? VIMG_HOST_KEY_ACCEPT_NEW : VIMG_HOST_KEY_KNOWN;
    way->known_hosts = known_hosts();
    way->accept_line = accept_line(pool->name);
    way->connections =
        (guint)vimg_option_number(pool, "ssh", "connections", VIMG_WAY_CONNECTIONS_DEFAULT);
    way->connections = CLAMP(way->connections, 1, VIMG_WAY_CONNECTIONS_MAX);
    return way;
}

VimgWay *
vimg_way_via(const VimgWay *way, const char *network)
{
    VimgWay *via = way_alloc();
    guint i;

    for (i = 0; i < way->hosts->len; i++) {
        VimgPluginAddress host = g_array_index(way->hosts, VimgPluginAddress, i);

        host.name = g_strdup(host.name);
        g_array_append_val(via->hosts, host);
    }
    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        *text_of(via, i) = g_strdup(*text_of(way, i));
    g_free(via->network);
    via->network = g_strdup(network);
    via->accept_line = g_strdup(way->accept_line);
    via->policy = way->policy;
    via->connections = way->connections;
    return via;
}

VimgWay *
vimg_way_ref(VimgWay *way)
{
    __atomic_add_fetch(&way->refs, 1, __ATOMIC_RELAXED);
    return way;
}

static gboolean
same_hosts(const VimgWay *a, const VimgWay *b)
{
    guint i;

    if (a->hosts->len != b->hosts->len)
        return FALSE;
    for (i = 0; i < a->hosts->len; i++) {
        const VimgPluginAddress *one = &g_array_index(a->hosts, VimgPluginAddress, i);
        const VimgPluginAddress *other = &g_array_index(b->hosts, VimgPluginAddress, i);

        if (strcmp(one->name, other->name) != 0 || one->port != other->port)
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_way_equal(const VimgWay *a, const VimgWay *b)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (g_strcmp0(*text_of(a, i), *text_of(b, i)) != 0)
            return FALSE;
    }
    /* the line that accepts a key is only said where none is known */
    return same_hosts(a, b) && a->policy == b->policy && a->connections == b->connections;
}

void
vimg_way_unref(VimgWay *way)
{
    gsize i;

    if (!way || __atomic_sub_fetch(&way->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    g_array_unref(way->hosts);
    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*text_of(way, i));
    g_free(way->accept_line);
    g_free(way);
}

guint
vimg_way_connections(const VimgWay *way)
{
    return way->connections;
}

/* ---- going ------------------------------------------------------------------------------ */

/* Borrows from @way and @password. */
static VimgSshTarget
target_of(const VimgWay *way, const VimgBuffer *password)
{
    return (VimgSshTarget){
        .hosts = (const VimgPluginAddress *)(gconstpointer)way->hosts->data,
        .n_hosts = way->hosts->len,
        .network = way->network,
        .user = way->user,
        .identity = way->identity,
        .password = password,
        .host_key = way->host_key,
        .policy = way->policy,
        .known_hosts = way->known_hosts,
        .accept_line = way->accept_line,
    };
}

/* @out: (transfer full) to vimg_services->secret_free(); NULL if there is no secret to ask for. */
static gboolean
get_password(const VimgWay *way, VimgBuffer **out, GError **error)
{
    *out = NULL;
    if (!vimg_services || (!way->secret_usage && !way->secret_uuid))
        return TRUE;
    *out = vimg_services->secret_get(way->auth_type, way->secret_usage, way->secret_uuid, error);
    return *out != NULL;
}

static VimgSsh *
log_in(const VimgWay *way, const VimgSshPeer *only, const VimgSshGivenUp *given_up,
       VimgSshSink sink, gpointer data, GError **error)
{
    VimgBuffer *password;
    VimgSshTarget target;
    VimgSsh *ssh;

    if (!get_password(way, &password, error))
        return NULL;
    target = target_of(way, password);
    target.only = only;
    target.given_up = *given_up;
    ssh = vimg_ssh_connect(&target, sink, data, error);
    if (password)
        vimg_services->secret_free(password);
    return ssh;
}

/* Takes @ssh over, NULL with @error set.  What is asked of it first may be given up too. */
static VimgSftpStream *
open_stream(VimgSsh *ssh, const VimgSshGivenUp *given_up, GError **error)
{
    VimgSftpStream *stream = ssh ? vimg_sftp_stream_new_ssh(ssh, error) : NULL;

    if (!stream)
        return NULL;
    stream->given_up = given_up->ask;
    stream->given_up_data = given_up->data;
    return stream;
}

static gboolean
is_cancelled(gpointer job)
{
    return !vimg_slice_store_check_job(job, NULL);
}

VimgSftpStream *
vimg_way_go(const VimgWay *way, VimgSshSink sink, gpointer data, GError **error)
{
    VimgPluginJob *job = vimg_transport_job();
    const VimgSshGivenUp given_up = {job ? is_cancelled : NULL, job};
    VimgSsh *ssh = log_in(way, NULL, &given_up, sink, data, error);

    if (ssh && sink)
        sink(VIMG_SSH_SUBSYSTEM, "sftp", data);
    return open_stream(ssh, &given_up, error);
}

VimgSftpStream *
vimg_way_go_to(const VimgWay *way, const VimgSshPeer *only, VimgSshPeer **reached,
               const VimgSshGivenUp *given_up, GError **error)
{
    VimgSsh *ssh = log_in(way, only, given_up, NULL, NULL, error);
    g_autoptr(VimgSshPeer) peer = ssh ? vimg_ssh_peer_new(ssh) : NULL;
    VimgSftpStream *stream = open_stream(ssh, given_up, error);

    if (stream && reached)
        *reached = g_steal_pointer(&peer);
    return stream;
}

gboolean
vimg_way_accept(const VimgPluginPool *pool, const char *fingerprint, GError **error)
{
    g_autoptr(VimgWay) way = NULL;
    VimgSshTarget target;

    if (!vimg_remote_is_fingerprint(fingerprint))
        return throw_error(
            error, VIMG_ERROR_INVALID_ARG,
            _("host key '%s' is not a fingerprint: SHA256: and 43 digits of base64, as ssh-keygen -l shows it"),
            fingerprint);
    if (!vimg_remote_is(pool))
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the store is a directory of this host, which has no host key"));
    way = vimg_way_new(pool);
    target = target_of(way, NULL);
    return vimg_ssh_accept(&target, fingerprint, error);
}
