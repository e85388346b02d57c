/*
 * definition.c: what the definition of a pool in an object storage says
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "definition.h"
#include "throw.h"

#define PREFIX_MAX 64  /* bytes; a key has room for 1023 */
#define USER_MAX 128   /* bytes */
#define REGION_MAX 64  /* bytes */
#define BUCKET_LEAST 3 /* bytes */
#define BUCKET_MOST 63 /* bytes */
#define NO_DIALECT "none"

/* In the order of VimgOssStyle and VimgOssSignature. */
static const char *const styles[] = {"virtual", "path", "cname"};
static const char *const signatures[] = {"v4", "v1", "s3"};

G_STATIC_ASSERT(G_N_ELEMENTS(styles) == VIMG_OSS_N_STYLES);
G_STATIC_ASSERT(G_N_ELEMENTS(signatures) == VIMG_OSS_N_SIGNATURES);

const VimgPluginOption vimg_ebs_options[] = {
    {"oss", "region", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"oss", "style", VIMG_OPTION_ENUM, 0, 0, "virtual|path|cname", "virtual"},
    {"oss", "signature", VIMG_OPTION_ENUM, 0, 0, "v4|v1|s3", "v4"},
    {"oss", "prefix", VIMG_OPTION_STRING, 0, 0, NULL, VIMG_EBS_PREFIX},
    {"oss", "tls", VIMG_OPTION_BOOL, 0, 0, NULL, "yes"},
    {"oss/auth", "type", VIMG_OPTION_ENUM, 0, 0, VIMG_EBS_AUTH, NULL},
    {"oss/auth", "username", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"oss/auth/secret", "usage", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"oss/auth/secret", "uuid", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"control", "dialect", VIMG_OPTION_ENUM, 0, 0, "ecs-rpc|ecs-acs3|none", "ecs-rpc"},
    {"control", "region", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"control", "version", VIMG_OPTION_STRING, 0, 0, NULL, VIMG_CONTROL_VERSION},
    {"rollback", "import", VIMG_OPTION_BOOL, 0, 0, NULL, "yes"},
    {"http", "caFile", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {"http", "proxy", VIMG_OPTION_STRING, 0, 0, NULL, NULL},
    {NULL},
};

/* ---- elements --------------------------------------------------------------------------- */

static const char *
option(const VimgPluginPool *pool, const char *path, const char *attribute)
{
    const char *const *pair;
    gsize i;

    for (i = 0; i < pool->n_elements; i++) {
        if (strcmp(pool->elements[i].path, path) != 0)
            continue;
        for (pair = pool->elements[i].attributes; pair && pair[0]; pair += 2) {
            if (strcmp(pair[0], attribute) == 0)
                return pair[1];
        }
    }
    return NULL;
}

static guint
find_word(const char *const *words, gsize n, const char *word)
{
    gsize i;

    for (i = 0; word && i < n; i++) {
        if (strcmp(words[i], word) == 0)
            return (guint)i;
    }
    return 0;
}

const char *
vimg_ebs_prefix(const VimgPluginPool *pool)
{
    const char *prefix = option(pool, "oss", "prefix");

    return prefix ? prefix : VIMG_EBS_PREFIX;
}

/* Without an endpoint there is nobody to speak to. */
static const char *
dialect_name(const VimgPluginPool *pool)
{
    const char *name = option(pool, "control", "dialect");

    if (name)
        return name;
    return pool->device ? vimg_dialect_rpc.name : NO_DIALECT;
}

const VimgDialect *
vimg_ebs_dialect(const VimgPluginPool *pool)
{
    return vimg_dialect_find(dialect_name(pool));
}

gboolean
vimg_ebs_rollback_wanted(const VimgPluginPool *pool)
{
    return g_strcmp0(option(pool, "rollback", "import"), "no") != 0;
}

char *
vimg_ebs_region(const VimgPluginPool *pool, gboolean control)
{
    const char *region = control ? option(pool, "control", "region") : NULL;

    if (!region)
        region = option(pool, "oss", "region");
    if (region || pool->n_hosts == 0)
        return g_strdup(region);
    return vimg_oss_region_of(pool->hosts[0].name);
}

VimgEbsKey
vimg_ebs_key_of(const VimgPluginPool *pool, gboolean control)
{
    VimgEbsKey key = {pool->auth_user, pool->secret_usage, pool->secret_uuid};
    const char *user = option(pool, "oss/auth", "username");

    if (control || !user)
        return key;
    key.user = user;
    key.usage = option(pool, "oss/auth/secret", "usage");
    key.uuid = option(pool, "oss/auth/secret", "uuid");
    return key;
}

static VimgWebRules
web_rules(const VimgPluginPool *pool)
{
    return (VimgWebRules){.ca_file = option(pool, "http", "caFile"),
                          .proxy = option(pool, "http", "proxy")};
}

void
vimg_ebs_oss_rules(const VimgPluginPool *pool, VimgOssRules *out)
{
    *out = (VimgOssRules){
        .plain = g_strcmp0(option(pool, "oss", "tls"), "no") == 0,
        .host = pool->hosts[0].name,
        .port = pool->hosts[0].port,
        .bucket = pool->source_name,
        .style = find_word(styles, G_N_ELEMENTS(styles), option(pool, "oss", "style")),
        .signature =
            find_word(signatures, G_N_ELEMENTS(signatures), option(pool, "oss", "signature")),
        .web = web_rules(pool),
    };
}

void
vimg_ebs_control_rules(const VimgPluginPool *pool, VimgControlRules *out)
{
    *out = (VimgControlRules){
        .url = pool->device,
        .dialect = vimg_ebs_dialect(pool),
        .version = option(pool, "control", "version"),
        .web = web_rules(pool),
    };
}

/* ---- the callbacks ---------------------------------------------------------------------- */

static gboolean
is_word(const char *text, gsize max, const char *more)
{
    gsize size = text ? strlen(text) : 0;
    g_autofree char *allowed = g_strconcat(G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS, more, NULL);

    return size > 0 && size <= max && strspn(text, allowed) == size;
}

static gboolean
check_bucket(const char *bucket, GError **error)
{
    gsize size = strlen(bucket);

    if (size >= BUCKET_LEAST && size <= BUCKET_MOST && g_ascii_isalnum(*bucket) &&
        strspn(bucket, G_CSET_a_2_z G_CSET_DIGITS "-.") == size)
        return TRUE;
    return throw_error(error, VIMG_ERROR_XML,
                       _("'%s' cannot be the name of a bucket: 3 to 63 of a-z, 0-9 and '-'"),
                       bucket);
}

static gboolean
check_prefix(const char *prefix, GError **error)
{
    if (is_word(prefix, PREFIX_MAX, "-_./") && g_ascii_isalnum(*prefix) &&
        !g_str_has_suffix(prefix, "/") && !strstr(prefix, "//") && !strstr(prefix, ".."))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_XML,
        _("'%s' cannot be a prefix: letters, digits, '-', '_', '.', and '/' between them"), prefix);
}

static gboolean
check_key(const VimgPluginPool *pool, gboolean control, GError **error)
{
    VimgEbsKey key = vimg_ebs_key_of(pool, control);

    if (!is_word(key.user, USER_MAX, "-_.") || (!key.usage && !key.uuid) || (key.usage && key.uuid))
        return throw_error(
            error, VIMG_ERROR_XML,
            _("an access key is needed: <auth type='aliyun' username='ID'><secret usage='…'/></auth>"));
    return TRUE;
}

static gboolean
check_regions(const VimgPluginPool *pool, GError **error)
{
    gboolean needs = g_strcmp0(option(pool, "oss", "signature"), "v1") != 0;
    g_autofree char *oss = vimg_ebs_region(pool, FALSE);
    g_autofree char *control = vimg_ebs_region(pool, TRUE);

    if ((oss || !needs) && (control || !vimg_ebs_dialect(pool)) &&
        (!oss || is_word(oss, REGION_MAX, "-_")) &&
        (!control || is_word(control, REGION_MAX, "-_")))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_XML,
        _("the region cannot be read from host '%s': say it by <image:oss region='…'/>"),
        pool->hosts[0].name);
}

static gboolean
check_control(const VimgPluginPool *pool, GError **error)
{
    const char *version = option(pool, "control", "version");
    gboolean none = !vimg_ebs_dialect(pool);

    if (version && !is_word(version, REGION_MAX, "-."))
        return throw_error(error, VIMG_ERROR_XML, _("'%s' cannot be a version of the control API"),
                           version);
    if (none && pool->device)
        return throw_error(
            error, VIMG_ERROR_XML,
            _("there is a control endpoint '%s', but the dialect 'none': leave one of them out"),
            pool->device);
    if (!none && !pool->device)
        return throw_error(
            error, VIMG_ERROR_XML,
            _("dialect '%s' needs a control endpoint: <device path='http://host:port/ocean/api'/>"),
            dialect_name(pool));
    return none || vimg_control_check_url(pool->device, error);
}

/* Anybody who may see the definition sees it, so it has no room for a password. */
static gboolean
check_proxy(const char *proxy, GError **error)
{
    static const char *const schemes[] = {"http", "https", "socks5", "socks5h", NULL};
    g_autofree char *scheme = NULL;
    g_autofree char *user = NULL;
    g_autofree char *host = NULL;
    g_autofree char *path = NULL;
    g_autofree char *query = NULL;

    if (!proxy || (g_uri_split(proxy, G_URI_FLAGS_NONE, &scheme, &user, &host, NULL, &path, &query,
                               NULL, NULL) &&
                   scheme && g_strv_contains(schemes, scheme) && host && *host && !user && !query &&
                   (!*path || strcmp(path, "/") == 0)))
        return TRUE;
    return throw_error(
        error, VIMG_ERROR_XML,
        _("a proxy is scheme, host and port, as http://proxy.example.org:3128, without user and password"));
}

gboolean
vimg_ebs_check(const VimgPluginPool *pool, GError **error)
{
    const char *ca = option(pool, "http", "caFile");

    if (ca && !g_path_is_absolute(ca))
        return throw_error(error, VIMG_ERROR_XML, _("the CA file '%s' needs its whole path"), ca);
    return check_bucket(pool->source_name, error) && check_prefix(vimg_ebs_prefix(pool), error) &&
           check_key(pool, TRUE, error) && check_key(pool, FALSE, error) &&
           check_proxy(option(pool, "http", "proxy"), error) && check_control(pool, error) &&
           check_regions(pool, error);
}

char *
vimg_ebs_identity(const VimgPluginPool *pool)
{
    g_autofree char *host = g_ascii_strdown(pool->hosts[0].name, -1);

    return g_strdup_printf("aliyunebs:%s:%u:%s/%s", host, pool->hosts[0].port, pool->source_name,
                           vimg_ebs_prefix(pool));
}

char *
vimg_ebs_origin(const VimgPluginPool *pool)
{
    GString *text = g_string_new(NULL);
    const char *const parts[] = {pool->hosts[0].name, pool->source_name, pool->device,
                                 pool->data_network};
    const char *const *attribute;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(parts); i++)
        g_string_append_printf(text, "%s\n", parts[i] ? parts[i] : "");
    g_string_append_printf(text, "%u\n", pool->hosts[0].port);
    for (i = 0; i < pool->n_elements; i++) {
        g_string_append_printf(text, "%s\n", pool->elements[i].path);
        for (attribute = pool->elements[i].attributes; attribute && *attribute; attribute++)
            g_string_append_printf(text, "%s\n", *attribute);
    }
    return g_string_free(text, FALSE);
}
