/*
 * cluster-helper.c: the cluster that CEPH_CONF names, and definitions of pools in it
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "cluster-helper.h"

static GHashTable *secrets; /* usage → GBytes */

/* ---- services --------------------------------------------------------------------------- */

static VimgBuffer *
get_secret(const char *auth_type, const char *usage, const char *uuid, GError **error)
{
    GBytes *bytes = usage ? g_hash_table_lookup(secrets, usage) : NULL;
    VimgBuffer *value;

    if (!bytes) {
        g_set_error(error, VIMG_ERROR, VIMG_ERROR_NO_SECRET, "no secret '%s'", usage);
        return NULL;
    }
    value = vimg_buffer_new(g_bytes_get_size(bytes));
    memcpy(value->data, g_bytes_get_data(bytes, NULL), value->size);
    return value;
}

static void
log_message(VimgLogLevel level, const char *message)
{
    g_test_message("%s", message);
}

static guint job_patience; /* through __atomic builtins: RBD asks in threads of its own */

/* What another host does meanwhile; once. */
static void (*meanwhile)(gpointer);
static gpointer meanwhile_data;

static gboolean
is_cancelled(VimgPluginJob *job)
{
    void (*func)(gpointer) = __atomic_exchange_n(&meanwhile, NULL, __ATOMIC_ACQ_REL);
    guint left = __atomic_load_n(&job_patience, __ATOMIC_RELAXED);

    if (func)
        func(meanwhile_data);
    if (left > 0 && left < G_MAXUINT)
        __atomic_sub_fetch(&job_patience, 1, __ATOMIC_RELAXED);
    return job && left == 0;
}

static void
ignore_progress(VimgPluginJob *job, const char *phase, guint64 done, guint64 total)
{
}

static VimgServices services = {
    .abi = VIMG_PLUGIN_ABI,
    .size = sizeof(VimgServices),
    .log = log_message,
    .secret_get = get_secret,
    .secret_free = vimg_buffer_unref,
    .job_cancelled = is_cancelled,
    .job_progress = ignore_progress,
};

VimgPluginJob *
job_cancelled_after(guint times)
{
    __atomic_store_n(&job_patience, times, __ATOMIC_RELAXED);
    return (VimgPluginJob *)&job_patience;
}

VimgPluginJob *
job_meanwhile(void (*func)(gpointer), gpointer data)
{
    meanwhile_data = data;
    __atomic_store_n(&meanwhile, func, __ATOMIC_RELEASE);
    return job_cancelled_after(G_MAXUINT);
}

void
secret_set(const char *usage, const void *data, gsize size)
{
    g_hash_table_insert(secrets, g_strdup(usage), g_bytes_new(data, size));
}

void
cluster_helper_init(void)
{
    g_autofree char *key = cluster_key("admin");

    secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                    (GDestroyNotify)(void (*)(void))g_bytes_unref);
    secret_set(SECRET, key, strlen(key));
    vimg_ceph_services = &services;
}

void
cluster_helper_state(const char *dir)
{
    services.state_dir = dir;
}

/* ---- the cluster ------------------------------------------------------------------------ */

char *
cluster_run(const char *command)
{
    g_autoptr(GError) error = NULL;
    char *out = NULL;
    int status = 0;

    g_spawn_command_line_sync(command, &out, NULL, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 0);
    return g_strchomp(out);
}

char *
cluster_key(const char *user)
{
    g_autofree char *command = g_strdup_printf("ceph auth get-key client.%s", user);

    return cluster_run(command);
}

guint16
cluster_port(void)
{
    g_autofree char *command = g_strdup("ceph-conf --lookup mon_host");
    g_autofree char *address = cluster_run(command);
    guint64 port = 0;

    g_assert_true(
        g_ascii_string_to_unsigned(strrchr(address, ':') + 1, 10, 1, G_MAXUINT16, &port, NULL));
    return (guint16)port;
}

/* ---- definitions ------------------------------------------------------------------------ */

void
definition_add_host(Definition *definition, const char *host, guint16 port)
{
    const VimgPluginAddress address = {.name = host, .port = port};

    g_array_append_val(definition->hosts, address);
    definition->pool.hosts = (const VimgPluginAddress *)(gconstpointer)definition->hosts->data;
    definition->pool.n_hosts = definition->hosts->len;
}

static void
add_element(Definition *definition, const char *path, const char *const *attributes)
{
    VimgPluginElement element = {.path = path, .attributes = attributes, .text = ""};

    g_array_append_val(definition->elements, element);
    definition->pool.elements = (VimgPluginElement *)(gpointer)definition->elements->data;
    definition->pool.n_elements = definition->elements->len;
}

void
definition_add_element(Definition *definition, const char *path, const char *attribute,
                       const char *value)
{
    const char **attributes = g_new0(const char *, 3);

    attributes[0] = attribute;
    attributes[1] = value;
    add_element(definition, path, attributes);
}

void
definition_add_monitor(Definition *definition, const char *host, const char *port,
                       const char *secret)
{
    const char **attributes = g_new0(const char *, 7);

    definition->pool.n_hosts = 0;
    definition->pool.secret_usage = NULL;
    attributes[0] = "host";
    attributes[1] = host;
    attributes[2] = "sshPort";
    attributes[3] = port;
    attributes[4] = "username";
    attributes[5] = "root";
    add_element(definition, "monitor", attributes);
    if (secret)
        definition_add_element(definition, "monitor/secret", "usage", secret);
}

static void
clear_element(gpointer data)
{
    VimgPluginElement *element = data;

    g_free((gpointer)element->attributes);
}

Definition *
definition_new(const char *name)
{
    Definition *definition = g_new0(Definition, 1);

    definition->hosts = g_array_new(FALSE, FALSE, sizeof(VimgPluginAddress));
    definition->elements = g_array_new(FALSE, FALSE, sizeof(VimgPluginElement));
    g_array_set_clear_func(definition->elements, clear_element);
    definition->uuid = g_uuid_string_random();
    definition->pool = (VimgPluginPool){
        .size = sizeof(VimgPluginPool),
        .name = "images",
        .uuid = definition->uuid,
        .source_name = name,
        .auth_type = "ceph",
        .auth_user = "admin",
        .secret_usage = SECRET,
        .space_reserve = G_MAXUINT64,
    };
    definition_add_host(definition, "127.0.0.1", cluster_port());
    return definition;
}

void
definition_free(Definition *definition)
{
    if (!definition)
        return;
    g_array_unref(definition->hosts);
    g_array_unref(definition->elements);
    g_free(definition->uuid);
    g_free(definition);
}
