/*
 * host-info.c: what clients ask of the machine itself: processors, memory, uuid
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/utsname.h>

#include "rpc/host-info.h"

#define CPUS_MAX 65536 /* beyond it a list is nonsense */

/* Returns: (transfer full) the file's text without blanks around it, or NULL. */
static char *read_text(const char *root, const char *format, ...) G_GNUC_PRINTF(2, 3);

static char *
read_text(const char *root, const char *format, ...)
{
    g_autofree char *name = NULL;
    g_autofree char *path = NULL;
    char *text = NULL;
    va_list args;

    va_start(args, format);
    name = g_strdup_vprintf(format, args);
    va_end(args);
    path = g_strconcat(root, name, NULL);
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    return g_strstrip(text);
}

/* The number at the start of @text, up to @max. */
static gboolean
parse_number(const char *text, guint64 max, guint64 *out)
{
    g_autofree char *digits = g_strndup(text, strspn(text, "0123456789"));

    return g_ascii_string_to_unsigned(digits, 10, 0, max, out, NULL);
}

/* The number behind "KEY…:" in a file of such lines. */
static gboolean
find_number(const char *text, const char *key, guint64 *out)
{
    const char *line = text;

    while (line && *line) {
        if (g_str_has_prefix(line, key)) {
            const char *value = strchr(line, ':');

            if (!value)
                return FALSE;
            value++;
            value += strspn(value, " \t");
            return parse_number(value, G_MAXINT64, out);
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return FALSE;
}

/* "0-3,8" as numbers.  Returns: (transfer full); empty if it is no such list. */
static GArray *
parse_list(const char *text)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(guint));
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (guint i = 0; parts[i]; i++) {
        const char *dash = strchr(parts[i], '-');
        guint64 first, last;

        if (!parse_number(parts[i], CPUS_MAX, &first))
            continue;
        last = first;
        if (dash && !parse_number(dash + 1, CPUS_MAX, &last))
            continue;
        for (guint64 n = first; n <= last && list->len < CPUS_MAX; n++) {
            guint value = (guint)n;

            g_array_append_val(list, value);
        }
    }
    return list;
}

static GArray *
read_list(const char *root, const char *name)
{
    g_autofree char *text = read_text(root, "%s", name);

    return parse_list(text ? text : "");
}

/* The place of one processor; -1 where the kernel does not say. */
static gint64
topology(const char *root, guint cpu, const char *what)
{
    g_autofree char *text = read_text(root, "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, what);
    guint64 value;

    return text && parse_number(text, G_MAXINT32, &value) ? (gint64)value : -1;
}

/*
 * Sockets of the machine, the most cores of one and the most threads of one: what people expect to
 * read.  Returns: FALSE if the kernel does not tell.
 */
static gboolean
count_topology(const char *root, const GArray *online, guint *sockets, guint *cores, guint *threads)
{
    g_autoptr(GHashTable) core_threads =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) socket_cores = g_hash_table_new(g_direct_hash, g_direct_equal);

    *cores = *threads = 1;
    for (guint i = 0; i < online->len; i++) {
        guint cpu = g_array_index(online, guint, i);
        gint64 package = topology(root, cpu, "physical_package_id");
        gint64 die = topology(root, cpu, "die_id");
        gint64 core = topology(root, cpu, "core_id");
        gpointer socket = GINT_TO_POINTER((gint)package);
        g_autofree char *key = NULL;
        guint n;

        if (package < 0 || core < 0)
            return FALSE;
        key = g_strdup_printf("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT,
                              package, die, core);
        n = GPOINTER_TO_UINT(g_hash_table_lookup(core_threads, key)) + 1;
        *threads = MAX(*threads, n);
        if (n == 1) {
            guint have = GPOINTER_TO_UINT(g_hash_table_lookup(socket_cores, socket)) + 1;

            g_hash_table_insert(socket_cores, socket, GUINT_TO_POINTER(have));
            *cores = MAX(*cores, have);
        }
        g_hash_table_insert(core_threads, g_steal_pointer(&key), GUINT_TO_POINTER(n));
    }
    *sockets = g_hash_table_size(socket_cores);
    return *sockets > 0;
}

static void
read_cpus(const char *root, VimgHostInfo *out)
{
    g_autoptr(GArray) online = read_list(root, "/sys/devices/system/cpu/online");
    g_autoptr(GArray) nodes = read_list(root, "/sys/devices/system/node/online");
    guint sockets = 1, cores = 1, threads = 1;

    out->cpus = online->len > 0 ? (int)online->len : (int)g_get_num_processors();
    out->nodes = nodes->len > 0 ? (int)nodes->len : 1;
    if (!count_topology(root, online, &sockets, &cores, &threads)) {
        sockets = 1;
        cores = (guint)out->cpus;
        threads = 1;
    }
    /* sockets are counted by node; a machine with less sockets than nodes is told as one node */
    if (sockets % (guint)out->nodes == 0)
        sockets /= (guint)out->nodes;
    else
        out->nodes = 1;
    out->sockets = (int)sockets;
    out->cores = (int)cores;
    out->threads = (int)threads;
}

static int
read_mhz(const char *root)
{
    g_autofree char *khz = read_text(root, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    g_autofree char *info = read_text(root, "/proc/cpuinfo");
    guint64 value;

    if (info && find_number(info, "cpu MHz", &value) && value <= G_MAXINT)
        return (int)value;
    if (khz && parse_number(khz, (guint64)G_MAXINT * 1000, &value))
        return (int)(value / 1000);
    return 0;
}

void
vimg_host_info_read(const char *root, VimgHostInfo *out)
{
    g_autofree char *memory = read_text(root, "/proc/meminfo");
    struct utsname name;

    memset(out, 0, sizeof(*out));
    if (uname(&name) == 0)
        g_strlcpy(out->arch, name.machine, sizeof(out->arch));
    if (memory)
        find_number(memory, "MemTotal", &out->memory);
    read_cpus(root, out);
    out->mhz = read_mhz(root);
}

/* Some boards carry a uuid of one repeated digit; it identifies nothing. */
static gboolean
is_nobody(const guint8 *uuid)
{
    for (guint i = 1; i < VIMG_UUID_SIZE; i++) {
        if (uuid[i] != uuid[0])
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_host_uuid_read(const char *root, guint8 uuid[VIMG_UUID_SIZE])
{
    static const char *const places[] = {"/sys/class/dmi/id/product_uuid", "/etc/machine-id"};

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *text = read_text(root, "%s", places[i]);

        if (text && vimg_uuid_parse(text, uuid) && !is_nobody(uuid))
            return TRUE;
    }
    return FALSE;
}

char *
vimg_host_capabilities(const char *root)
{
    g_autoptr(GString) xml = g_string_new("<capabilities>\n\n  <host>\n");
    g_autofree char *arch = NULL;
    guint8 uuid[VIMG_UUID_SIZE];
    VimgHostInfo info;

    vimg_host_info_read(root, &info);
    if (vimg_host_uuid_read(root, uuid)) {
        char text[VIMG_UUID_TEXT_SIZE];

        vimg_uuid_format(uuid, text);
        g_string_append_printf(xml, "    <uuid>%s</uuid>\n", text);
    }
    arch = g_markup_escape_text(info.arch, -1);
    g_string_append_printf(xml,
                           "    <cpu>\n      <arch>%s</arch>\n"
                           "      <topology sockets='%d' dies='1' cores='%d' threads='%d'/>\n"
                           "    </cpu>\n  </host>\n\n</capabilities>\n",
                           arch, info.sockets, info.cores, info.threads);
    return g_string_free(g_steal_pointer(&xml), FALSE);
}
