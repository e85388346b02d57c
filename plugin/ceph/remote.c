/*
 * remote.c: asking the monitors' hosts over SSH where the monitors are and what the key is
 *
 * The key comes from the first host that answers.  All that answer are asked which cluster is
 * theirs, and must name the same.  What they say stays in memory.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "../ssh/ssh.h"
#include "definition.h"
#include "monitor.h"
#include "remote.h"
#include "store.h"
#include "../throw.h"

#define ACCEPT_COMMAND "virtimagectl host-key accept"
#define COMMAND_SECONDS 10
#define CONF_MAX (64 * 1024)
#define KEY_MAX 256
#define ADDRESSES_MAX 64

/* ---- what they say ---------------------------------------------------------------------- */

/*
 * Adds each address of @text, as "[v2:10.0.0.5:3300/0,v1:10.0.0.5:6789/0],10.0.0.6": where the
 * versions, the brackets and the nonces are does not matter.
 */
static void
add_addresses(GArray *hosts, const char *text)
{
    g_autoptr(GRegex) regex =
        g_regex_new("(?:v[0-9]:)?(\\[[0-9A-Fa-f:.%]+\\]|[0-9A-Za-z][0-9A-Za-z._-]*)"
                    "(?::([0-9]{1,5}))?(?:/[0-9]+)?",
                    0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    g_regex_match(regex, text, 0, &match);
    for (; g_match_info_matches(match) && hosts->len < ADDRESSES_MAX;
         g_match_info_next(match, NULL)) {
        g_autofree char *name = g_match_info_fetch(match, 1);
        g_autofree char *port = g_match_info_fetch(match, 2);
        VimgPluginAddress host = {NULL};
        guint64 number = 0;

        if (port && *port && g_ascii_string_to_unsigned(port, 10, 1, G_MAXUINT16, &number, NULL))
            host.port = (guint16)number;
        host.name = *name == '[' ? g_strndup(name + 1, strlen(name) - 2) : g_strdup(name);
        g_array_append_val(hosts, host);
    }
}

gboolean
vimg_ceph_remote_parse(VimgCephLogin *login, const char *text, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *fsid = NULL;
    guint before = login->hosts->len;
    gsize i;

    for (i = 0; lines[i]; i++) {
        char *value = strchr(lines[i], '=');

        if (!value)
            continue;
        *value++ = '\0';
        g_strdelimit(g_strstrip(lines[i]), " -", '_');
        g_strstrip(value);
        if (strcmp(lines[i], "fsid") == 0 && !fsid && g_uuid_string_is_valid(value))
            fsid = g_ascii_strdown(value, -1);
        else if (strcmp(lines[i], "mon_host") == 0)
            add_addresses(login->hosts, value);
    }
    if (!fsid || login->hosts->len == before)
        return throw_error(error, VIMG_ERROR_FAILED,
                           _("'ceph config generate-minimal-conf' names no cluster or no monitor"));
    g_free(login->fsid);
    login->fsid = g_steal_pointer(&fsid);
    return TRUE;
}

/* ---- the way there ---------------------------------------------------------------------- */

static char *
accept_line(const char *pool)
{
    gboolean plain = strspn(pool, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == strlen(pool);
    g_autofree char *quoted = plain && *pool != '-' ? g_strdup(pool) : g_shell_quote(pool);

    return g_strconcat(ACCEPT_COMMAND, " ", quoted, NULL);
}

/* Calls libssh2 with the host's own secret.  Returns: what @func does. */
typedef gboolean (*WayFunc)(const VimgSshTarget *target, gpointer data, GError **error);

static gboolean
with_target(const VimgPluginPool *pool, const VimgCephSshHost *host, VimgBuffer *password,
            gint64 deadline, WayFunc func, gpointer data, GError **error)
{
    const char *state = vimg_ceph_services ? vimg_ceph_services->state_dir : NULL;
    g_autofree char *known_hosts = state ? g_build_filename(state, "known_hosts", NULL) : NULL;
    g_autofree char *accept = accept_line(pool->name);
    gint64 left = (deadline - g_get_monotonic_time()) / G_USEC_PER_SEC;
    const VimgSshTarget target = {
        .hosts = &host->address,
        .n_hosts = 1,
        .network = pool->data_network,
        .user = host->user,
        .identity = vimg_ceph_option(pool, "ssh", "identity"),
        .password = password,
        .host_key = host->host_key,
        .policy = g_strcmp0(vimg_ceph_option(pool, "ssh", "policy"), "accept-new") == 0
                      ? VIMG_HOST_KEY_ACCEPT_NEW
                      : VIMG_HOST_KEY_KNOWN,
        .known_hosts = known_hosts,
        .accept_line = accept,
        .seconds = (guint)MAX(left, 1),
    };

    return func(&target, data, error);
}

/* ---- one host --------------------------------------------------------------------------- */

typedef struct {
    VimgCephLogin *login; /* complete after the first host that answers */
    gint64 deadline;
    char *fsid; /* of the host asked last */
} Question;

static guint
seconds_left(const Question *question)
{
    gint64 left = (question->deadline - g_get_monotonic_time()) / G_USEC_PER_SEC;

    return (guint)CLAMP(left, 1, COMMAND_SECONDS);
}

static gboolean
ask_configuration(Question *question, VimgSsh *ssh, VimgCephLogin *out, GError **error)
{
    static const char *const argv[] = {"ceph", "config", "generate-minimal-conf", NULL};
    g_autoptr(VimgBuffer) answer = vimg_ssh_run(ssh, argv, CONF_MAX, seconds_left(question), error);
    g_autofree char *text = NULL;

    if (!answer)
        return FALSE;
    text = g_strndup((const char *)answer->data, answer->size);
    return vimg_ceph_remote_parse(out, text, error);
}

static gboolean
ask_key(Question *question, VimgSsh *ssh, GError **error)
{
    VimgCephLogin *login = question->login;
    g_autofree char *name = g_strconcat("client.", login->user, NULL);
    const char *const argv[] = {"ceph", "auth", "get-key", name, NULL};
    VimgBuffer *answer = vimg_ssh_run(ssh, argv, KEY_MAX, seconds_left(question), error);

    if (!answer)
        return FALSE;
    login->key = vimg_ceph_login_key(answer, login->user, error);
    vimg_ceph_secret_free(answer);
    return login->key != NULL;
}

static gboolean
ask(const VimgSshTarget *target, gpointer data, GError **error)
{
    Question *question = data;
    g_autoptr(VimgCephLogin) found = vimg_ceph_login_alloc(question->login->user);
    g_autoptr(VimgSsh) ssh = vimg_ssh_connect(target, NULL, NULL, error);

    if (!ssh || !ask_configuration(question, ssh, found, error))
        return FALSE;
    if (!question->login->key) {
        if (!ask_key(question, ssh, error))
            return FALSE;
        g_array_unref(question->login->hosts);
        question->login->hosts = g_steal_pointer(&found->hosts);
        question->login->fsid = g_strdup(found->fsid);
    }
    question->fsid = g_steal_pointer(&found->fsid);
    return TRUE;
}

static gboolean
ask_host(Question *question, const VimgPluginPool *pool, const VimgCephSshHost *host,
         GError **error)
{
    VimgBuffer *password = NULL;
    gboolean ok;

    g_clear_pointer(&question->fsid, g_free);
    if (host->secret_usage || host->secret_uuid) {
        password = vimg_ceph_login_secret(VIMG_CEPH_SSH_AUTH, host->secret_usage, host->secret_uuid,
                                          error);
        if (!password)
            return FALSE;
    }
    ok = with_target(pool, host, password, question->deadline, ask, question, error);
    if (password)
        vimg_ceph_services->secret_free(password);
    return ok;
}

/* ---- all of them ------------------------------------------------------------------------ */

static void
warn(const VimgPluginPool *pool, const char *host, const char *why)
{
    g_autofree char *line = g_strdup_printf("pool '%s': monitor '%s': %s", pool->name, host, why);

    if (vimg_ceph_services)
        vimg_ceph_services->log(VIMG_LOG_WARNING, line);
}

gboolean
vimg_ceph_remote_ask(VimgCephLogin *login, const VimgPluginPool *pool, gint64 deadline,
                     GError **error)
{
    g_autoptr(GArray) hosts = vimg_ceph_ssh_hosts(pool);
    g_autoptr(GString) reasons = g_string_new(NULL);
    g_autoptr(GString) list = g_string_new(NULL);
    Question question = {.login = login};
    VimgErrorCode code = VIMG_ERROR_DISCONNECTED;
    gboolean strange = FALSE;
    guint i;

    for (i = 0; i < hosts->len; i++) {
        const VimgCephSshHost *host = &g_array_index(hosts, VimgCephSshHost, i);
        g_autoptr(GError) local = NULL;

        question.deadline = vimg_monitor_share(deadline, hosts->len - i);
        if (ask_host(&question, pool, host, &local)) {
            vimg_monitor_blame(list, host->address.name, question.fsid);
            strange |= strcmp(question.fsid, login->fsid) != 0;
            continue;
        }
        if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_AUTH) ||
            g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_SECRET))
            code = (VimgErrorCode)local->code;
        vimg_monitor_blame(reasons, host->address.name, local->message);
        warn(pool, host->address.name, local->message);
    }
    g_free(question.fsid);
    if (strange)
        return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                           _("the monitors do not belong to one cluster: %s"), list->str);
    if (login->key)
        return TRUE;
    return throw_error(error, code, _("no monitor tells the key: %s"), reasons->str);
}

/* ---- host keys -------------------------------------------------------------------------- */

static gboolean
accept_key(const VimgSshTarget *target, gpointer data, GError **error)
{
    return vimg_ssh_accept(target, data, error);
}

gboolean
vimg_ceph_host_key_accept(const VimgPluginPool *pool, const char *fingerprint, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)VIMG_SSH_SECONDS * G_USEC_PER_SEC;
    g_autoptr(GArray) hosts = vimg_ceph_ssh_hosts(pool);
    g_autoptr(GString) reasons = g_string_new(NULL);
    gboolean done = FALSE;
    guint i;

    if (hosts->len == 0)
        return throw_error(error, VIMG_ERROR_OPERATION_INVALID,
                           _("the pool asks no monitor over SSH, so there is no host key"));
    for (i = 0; i < hosts->len; i++) {
        const VimgCephSshHost *host = &g_array_index(hosts, VimgCephSshHost, i);
        g_autoptr(GError) local = NULL;

        if (with_target(pool, host, NULL, vimg_monitor_share(deadline, hosts->len - i), accept_key,
                        (gpointer)fingerprint, &local))
            done = TRUE;
        else
            vimg_monitor_blame(reasons, host->address.name, local->message);
    }
    return done || throw_error(error, VIMG_ERROR_AUTH, "%s", reasons->str);
}
