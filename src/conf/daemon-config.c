/*
 * daemon-config.c: virtimaged.conf
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <gio/gio.h>

#include "conf/daemon-config.h"
#include "conf/host-uri.h"
#include "conf/pool-def.h"
#include "util/file.h"
#include "util/i18n.h"

/* Longest file taken, in bytes. */
#define FILE_SIZE_MAX (1024 * 1024)

typedef enum {
    KEY_STRING,
    KEY_LIST,
    KEY_UINT,
    KEY_UINT64,
    KEY_LEVEL,
} KeyType;

typedef struct {
    const char *file;
    const char *at;
    guint line;
} Scanner;

typedef struct {
    const char *name;
    KeyType type;
    gsize offset;                                        /* in VimgDaemonConfig */
    guint64 fallback, min, max;                          /* numbers */
    gboolean (*check)(const char *text, GError **error); /* one string; NULL: not empty */
    const char *const *items;                            /* of a list; NULL: none */
} Key;

static gboolean check_zone(const char *text, GError **error);
static gboolean check_uri(const char *text, GError **error);
static gboolean check_absolute(const char *text, GError **error);
static gboolean check_host(const char *text, GError **error);
static gboolean check_scheme(const char *text, GError **error);
static gboolean check_network(const char *text, GError **error);
static gboolean check_listen(const char *text, GError **error);

static const char *const import_schemes[] = {"https", "http", "file", NULL};

#define AT(member) G_STRUCT_OFFSET(VimgDaemonConfig, member)

static const Key keys[] = {
    {.name = "zones", .type = KEY_LIST, .offset = AT(zones), .check = check_zone},
    {.name = "socket_group", .type = KEY_STRING, .offset = AT(socket_group)},
    {.name = "compat_uris", .type = KEY_LIST, .offset = AT(compat_uris), .check = check_uri},
    {.name = "host_uri", .type = KEY_STRING, .offset = AT(host_uri), .check = check_host},
    {.name = "search_paths", .type = KEY_LIST, .offset = AT(search_paths), .check = check_absolute},
    {"max_clients", KEY_UINT, AT(max_clients), 5000, 1, 100000, NULL},
    {"max_streams", KEY_UINT, AT(max_streams), 256, 1, 10000, NULL},
    {"max_workers", KEY_UINT, AT(max_workers), 20, 1, 1000, NULL},
    {"max_pool_calls", KEY_UINT, AT(max_pool_calls), 5, 1, 1000, NULL},
    {"max_client_requests", KEY_UINT, AT(max_client_requests), 64, 1, 10000, NULL},
    {"max_client_bytes", KEY_UINT64, AT(max_client_bytes), 33554432, 65536, G_MAXINT64, NULL},
    {"max_stream_queue", KEY_UINT64, AT(max_stream_queue), 8388608, 65536, G_MAXINT64, NULL},
    {"keepalive_interval", KEY_UINT, AT(keepalive_interval), 5, 0, 86400, NULL},
    {"keepalive_count", KEY_UINT, AT(keepalive_count), 5, 1, 1000, NULL},
    {"stream_stall_timeout", KEY_UINT, AT(stream_stall_timeout), 120, 1, 86400, NULL},
    {.name = "metrics_file",
     .type = KEY_STRING,
     .offset = AT(metrics_file),
     .check = check_absolute},
    {"metrics_interval", KEY_UINT, AT(metrics_interval), 15, 1, 86400, NULL},
    {.name = "import_schemes",
     .type = KEY_LIST,
     .offset = AT(import_schemes),
     .check = check_scheme,
     .items = import_schemes},
    {.name = "import_hosts", .type = KEY_LIST, .offset = AT(import_hosts)},
    {.name = "import_addresses",
     .type = KEY_LIST,
     .offset = AT(import_addresses),
     .check = check_network},
    {.name = "import_directories",
     .type = KEY_LIST,
     .offset = AT(import_directories),
     .check = check_absolute},
    {.name = "import_ca_file",
     .type = KEY_STRING,
     .offset = AT(import_ca_file),
     .check = check_absolute},
    {.name = "import_proxy", .type = KEY_STRING, .offset = AT(import_proxy), .check = check_uri},
    {"import_timeout", KEY_UINT, AT(import_timeout), 60, 1, 86400},
    {"import_ratio", KEY_UINT, AT(import_ratio), 1000, 1, 1000000},
    {"import_max_size", KEY_UINT64, AT(import_max_size), 17592186044416, 1048576, G_MAXINT64},
    {"nbd_cache", KEY_UINT64, AT(nbd_cache), G_GUINT64_CONSTANT(4294967296), 0, G_MAXINT64},
    {"nbd_wait", KEY_UINT, AT(nbd_wait), 60, 1, 86400},
    {.name = "export_listen",
     .type = KEY_STRING,
     .offset = AT(export_listen),
     .check = check_listen},
    {.name = "export_url", .type = KEY_STRING, .offset = AT(export_url), .check = check_uri},
    {.name = "export_tls_cert",
     .type = KEY_STRING,
     .offset = AT(export_tls_cert),
     .check = check_absolute},
    {.name = "export_tls_key",
     .type = KEY_STRING,
     .offset = AT(export_tls_key),
     .check = check_absolute},
    {.name = "export_user", .type = KEY_STRING, .offset = AT(export_user)},
    {"export_connections", KEY_UINT, AT(export_connections), 100, 1, 10000},
    {"export_rate", KEY_UINT64, AT(export_rate), 0, 0, G_MAXINT64},
    {"export_client_connections", KEY_UINT, AT(export_client_connections), 32, 0, 10000},
    {"export_client_rate", KEY_UINT64, AT(export_client_rate), 0, 0, G_MAXINT64},
    {"export_timeout", KEY_UINT, AT(export_timeout), 60, 1, 86400},
    /* libvirt's numbers: 1 debug, 2 information, 3 warnings, 4 errors */
    {"log_level", KEY_LEVEL, AT(log_level), 2, 1, 4, NULL},
};

static gboolean
check_zone(const char *text, GError **error)
{
    return vimg_name_check("zone", text, error);
}

static gboolean
check_uri(const char *text, GError **error)
{
    g_autofree char *scheme = g_uri_parse_scheme(text);

    return scheme || vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("'%s' is not a URI"), text);
}

static gboolean
check_host(const char *text, GError **error)
{
    g_autoptr(VimgHostUri) uri = NULL;

    if (g_str_equal(text, VIMG_HOST_URI_AUTO) || g_str_equal(text, VIMG_HOST_URI_NONE))
        return TRUE;
    uri = vimg_host_uri_parse(text, error);
    return uri != NULL;
}

static gboolean
check_absolute(const char *text, GError **error)
{
    return g_path_is_absolute(text) || vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                                                  _("'%s' is not an absolute path"), text);
}

static gboolean
check_scheme(const char *text, GError **error)
{
    return g_strv_contains(import_schemes, text) ||
           vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "%s",
                      _("images are imported from https, http and file URLs"));
}

static gboolean
check_network(const char *text, GError **error)
{
    g_autoptr(GInetAddressMask) mask = g_inet_address_mask_new_from_string(text, NULL);

    return mask ||
           vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      _("'%s' is not a network such as 192.0.2.0/24 or 2001:db8::/32"), text);
}

static gboolean
check_listen(const char *text, GError **error)
{
    g_autoptr(GSocketConnectable) parsed = g_network_address_parse(text, 0, NULL);
    GNetworkAddress *address = (GNetworkAddress *)parsed;
    g_autoptr(GInetAddress) numeric =
        address ? g_inet_address_new_from_string(g_network_address_get_hostname(address)) : NULL;
    const char *colon = *text == '[' ? strstr(text, "]:") : strchr(text, ':');
    guint64 port;

    return (*text == ':' &&
            g_ascii_string_to_unsigned(text + 1, 10, 0, G_MAXUINT16, &port, NULL)) ||
           (numeric && colon && (*text == '[' || !strchr(colon + 1, ':'))) ||
           vimg_throw(
               error, VIMG_ERROR_CONFIG_UNSUPPORTED,
               _("'%s' is not an address and a port such as 192.0.2.1:8080 or [2001:db8::1]:8080, or a port such as :8080"),
               text);
}

static gpointer
member(VimgDaemonConfig *config, const Key *key)
{
    return (guint8 *)config + key->offset;
}

static void
set_number(VimgDaemonConfig *config, const Key *key, guint64 value)
{
    if (key->type == KEY_UINT64)
        *(guint64 *)member(config, key) = value;
    else if (key->type == KEY_UINT)
        *(guint *)member(config, key) = (guint)value;
    else if (key->type == KEY_LEVEL)
        *(VimgLogLevel *)member(config, key) = VIMG_LOG_DEBUG + (VimgLogLevel)(value - 1);
}

VimgDaemonConfig *
vimg_daemon_config_new(void)
{
    VimgDaemonConfig *config = g_new0(VimgDaemonConfig, 1);
    guint i;

    for (i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].type == KEY_LIST)
            *(char ***)member(config, &keys[i]) =
                keys[i].items ? g_strdupv((char **)keys[i].items) : g_new0(char *, 1);
        else
            set_number(config, &keys[i], keys[i].fallback);
    }
    return config;
}

void
vimg_daemon_config_free(VimgDaemonConfig *config)
{
    if (!config)
        return;
    g_strfreev(config->zones);
    g_free(config->socket_group);
    g_strfreev(config->compat_uris);
    g_free(config->host_uri);
    g_strfreev(config->search_paths);
    g_free(config->metrics_file);
    g_strfreev(config->import_schemes);
    g_strfreev(config->import_hosts);
    g_strfreev(config->import_addresses);
    g_strfreev(config->import_directories);
    g_free(config->import_ca_file);
    g_free(config->import_proxy);
    g_free(config->export_listen);
    g_free(config->export_url);
    g_free(config->export_tls_cert);
    g_free(config->export_tls_key);
    g_free(config->export_user);
    g_free(config);
}

static gboolean G_GNUC_PRINTF(3, 4)
    fail(const Scanner *scanner, GError **error, const char *format, ...)
{
    g_autofree char *detail = NULL;
    va_list args;

    va_start(args, format);
    detail = g_strdup_vprintf(format, args);
    va_end(args);
    return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, "%s:%u: %s", scanner->file,
                      scanner->line, detail);
}

static void
skip_blank(Scanner *scanner)
{
    while (*scanner->at == ' ' || *scanner->at == '\t' || *scanner->at == '\r')
        scanner->at++;
}

static void
skip_comment(Scanner *scanner)
{
    if (*scanner->at == '#')
        scanner->at += strcspn(scanner->at, "\n");
}

/* Blanks, comments and line ends. */
static void
skip_lines(Scanner *scanner)
{
    for (;;) {
        skip_blank(scanner);
        skip_comment(scanner);
        if (*scanner->at != '\n')
            return;
        scanner->at++;
        scanner->line++;
    }
}

static gboolean
scan_string(Scanner *scanner, const Key *key, char **out, GError **error)
{
    char quote = *scanner->at;
    g_autofree char *text = NULL;
    g_autoptr(GError) local = NULL;
    gsize size;

    if (quote != '"' && quote != '\'')
        return fail(scanner, error, _("%s needs a string in quotes"), key->name);
    scanner->at++;
    for (size = 0; scanner->at[size] && scanner->at[size] != quote; size++) {
        if (g_ascii_iscntrl(scanner->at[size]))
            break;
    }
    if (scanner->at[size] != quote)
        return fail(scanner, error, _("the string does not end on its line"));
    text = g_strndup(scanner->at, size);
    scanner->at += size + 1;
    if (!*text)
        return fail(scanner, error, _("%s: an empty string"), key->name);
    if (!g_utf8_validate(text, -1, NULL))
        return fail(scanner, error, _("%s: not valid UTF-8"), key->name);
    if (key->check && !key->check(text, &local))
        return fail(scanner, error, "%s: %s", key->name, local->message);
    g_free(*out);
    *out = g_steal_pointer(&text);
    return TRUE;
}

/* "[", strings separated by commas, perhaps over several lines, "]". */
static gboolean
scan_list(Scanner *scanner, const Key *key, char ***out, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

    if (*scanner->at != '[')
        return fail(scanner, error, _("%s needs a list of strings: [ \"…\", \"…\" ]"), key->name);
    scanner->at++;
    for (;;) {
        g_autofree char *item = NULL;

        skip_lines(scanner);
        if (*scanner->at == ']')
            break;
        if (!scan_string(scanner, key, &item, error))
            return FALSE;
        if (g_ptr_array_find_with_equal_func(list, item, g_str_equal, NULL))
            return fail(scanner, error, _("%1$s: '%2$s' is given twice"), key->name, item);
        g_ptr_array_add(list, g_steal_pointer(&item));
        skip_lines(scanner);
        if (*scanner->at == ',')
            scanner->at++;
        else if (*scanner->at != ']')
            return fail(scanner, error, _("%s: the list does not end"), key->name);
    }
    scanner->at++;
    g_ptr_array_add(list, NULL);
    g_strfreev(*out);
    *out = (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
    return TRUE;
}

static gboolean
scan_number(Scanner *scanner, const Key *key, VimgDaemonConfig *config, GError **error)
{
    gsize size = strspn(scanner->at, G_CSET_DIGITS);
    g_autofree char *text = g_strndup(scanner->at, size);
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, key->min, key->max, &value, NULL))
        return fail(scanner, error, _("%1$s needs a number from %2$llu to %3$llu"), key->name,
                    (unsigned long long)key->min, (unsigned long long)key->max);
    scanner->at += size;
    set_number(config, key, value);
    return TRUE;
}

static gboolean
scan_value(Scanner *scanner, const Key *key, VimgDaemonConfig *config, GError **error)
{
    switch (key->type) {
    case KEY_STRING:
        return scan_string(scanner, key, member(config, key), error);
    case KEY_LIST:
        return scan_list(scanner, key, member(config, key), error);
    default:
        return scan_number(scanner, key, config, error);
    }
}

/* KEY = VALUE, to the end of its line; marks the key in @seen. */
static gboolean
scan_setting(Scanner *scanner, VimgDaemonConfig *config, gboolean *seen, GError **error)
{
    gsize size = strspn(scanner->at, G_CSET_a_2_z G_CSET_DIGITS "_");
    g_autofree char *name = g_strndup(scanner->at, size);
    guint i;

    if (!size)
        return fail(scanner, error, _("expected a setting: NAME = VALUE"));
    for (i = 0; i < G_N_ELEMENTS(keys) && strcmp(keys[i].name, name) != 0; i++)
        ;
    if (i == G_N_ELEMENTS(keys))
        return fail(scanner, error, _("unknown setting '%s'"), name);
    if (seen[i])
        return fail(scanner, error, _("%s is set twice"), name);
    seen[i] = TRUE;
    scanner->at += size;
    skip_blank(scanner);
    if (*scanner->at != '=')
        return fail(scanner, error, _("expected '=' after %s"), name);
    scanner->at++;
    skip_blank(scanner);
    if (!scan_value(scanner, &keys[i], config, error))
        return FALSE;
    skip_blank(scanner);
    skip_comment(scanner);
    if (*scanner->at && *scanner->at != '\n')
        return fail(scanner, error, _("text after the value of %s"), name);
    return TRUE;
}

/* What one setting needs of another. */
static gboolean
check_together(const VimgDaemonConfig *config, const char *file, GError **error)
{
    g_autoptr(GSocketConnectable) listen =
        config->export_listen && *config->export_listen != ':'
            ? g_network_address_parse(config->export_listen, 0, NULL)
            : NULL;
    g_autoptr(GInetAddress) address =
        listen ? g_inet_address_new_from_string(
                     g_network_address_get_hostname((GNetworkAddress *)listen))
               : NULL;

    if (!config->export_tls_cert != !config->export_tls_key)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("%s: export_tls_cert and export_tls_key need each other"), file);
    if (address && g_inet_address_get_is_any(address) && !config->export_url)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                          _("%s: export_listen names no single address, so export_url must be set"),
                          file);
    return TRUE;
}

VimgDaemonConfig *
vimg_daemon_config_parse(const char *name, const char *text, GError **error)
{
    g_autoptr(VimgDaemonConfig) config = vimg_daemon_config_new();
    gboolean seen[G_N_ELEMENTS(keys)] = {FALSE};
    Scanner scanner = {.file = name, .at = text, .line = 1};

    for (skip_lines(&scanner); *scanner.at; skip_lines(&scanner)) {
        if (!scan_setting(&scanner, config, seen, error))
            return NULL;
    }
    return check_together(config, name, error) ? g_steal_pointer(&config) : NULL;
}

VimgDaemonConfig *
vimg_daemon_config_load(const char *path, GError **error)
{
    gsize size;
    g_autofree char *text = vimg_file_read(path, FILE_SIZE_MAX, &size, error);

    if (!text)
        return NULL;
    if (strlen(text) != size) {
        vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("%s:1: not a text file"), path);
        return NULL;
    }
    return vimg_daemon_config_parse(path, text, error);
}
