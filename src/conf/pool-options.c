/*
 * pool-options.c: <image:options> of a pool
 *
 * Core's own options are a table; every other element of the namespace is collected as it stands,
 * for the backend to judge.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "conf/pool-private.h"
#include "conf/schedule.h"
#include "util/i18n.h"

#define DESCRIPTION_MAX 65536 /* bytes */
#define WORD_MAX 255          /* bytes of a short text */
#define ATTRIBUTES_MAX 4

typedef struct {
    const char *name;
    gboolean (*parse)(VimgPoolDef *def, const xmlNode *node, GError **error);
    gboolean many;
    const char *attributes[ATTRIBUTES_MAX]; /* NULL at the end */
} Option;

static gboolean
parse_description(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    g_autofree char *text = vimg_xml_text(node);

    g_strstrip(text);
    if (strlen(text) > DESCRIPTION_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("description is longer than %d bytes"),
                          DESCRIPTION_MAX);
    def->description = *text ? g_steal_pointer(&text) : NULL;
    return TRUE;
}

static gboolean
parse_state(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    g_autofree char *text = vimg_xml_text(node);

    g_strstrip(text);
    if (strcmp(text, "enabled") != 0 && strcmp(text, "disabled") != 0)
        return vimg_throw(error, VIMG_ERROR_XML, _("state is neither 'enabled' nor 'disabled': %s"),
                          text);
    def->disabled = *text == 'd';
    return TRUE;
}

static gboolean
parse_zone(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    g_autofree char *name = NULL;

    if (!vimg_xml_line_attribute(node, "name", &name, error) ||
        !vimg_name_check("zone", name ? name : "", error))
        return FALSE;
    if (g_ptr_array_find_with_equal_func(def->zones, name, g_str_equal, NULL))
        return vimg_throw(error, VIMG_ERROR_XML, _("zone '%s' is given twice"), name);
    if (def->zones->len == VIMG_POOL_ZONES_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("more than %d zones"), VIMG_POOL_ZONES_MAX);
    g_ptr_array_add(def->zones, g_steal_pointer(&name));
    return TRUE;
}

static gboolean
is_cidr(const char *text)
{
    const char *slash = strchr(text, '/');
    g_autofree char *address = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;
    struct in6_addr binary; /* holds an IPv4 address too */
    guint64 bits;

    if (!slash || !g_ascii_string_to_unsigned(slash + 1, 10, 0, 128, &bits, NULL))
        return FALSE;
    return (inet_pton(AF_INET, address, &binary) == 1 && bits <= 32) ||
           inet_pton(AF_INET6, address, &binary) == 1;
}

static gboolean
take_cidr(const xmlNode *node, char **out, GError **error)
{
    g_autofree char *cidr = NULL;

    if (!vimg_xml_line_attribute(node, "cidr", &cidr, error))
        return FALSE;
    if (!cidr || !is_cidr(cidr))
        return vimg_throw(error, VIMG_ERROR_XML, _("'%1$s' is not a network, in element '%2$s'"),
                          cidr ? cidr : "", vimg_xml_name(node));
    *out = g_steal_pointer(&cidr);
    return TRUE;
}

static gboolean
parse_data_network(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    return take_cidr(node, &def->data_network, error);
}

static gboolean
parse_sync_network(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    return take_cidr(node, &def->sync_network, error);
}

static gboolean
parse_reconnect(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    guint64 interval = def->reconnect_interval;

    if (!vimg_xml_bool_attribute(node, "enabled", &def->reconnect, error) ||
        !vimg_xml_uint_attribute(node, "interval", 1, 86400, &interval, error))
        return FALSE;
    def->reconnect_interval = (guint)interval;
    return TRUE;
}

static gboolean
parse_retrieve(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    return vimg_xml_bool_attribute(node, "existing", &def->retrieve_existing, error);
}

static gboolean
parse_cleanup(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    return vimg_xml_uint_attribute(node, "keepDeleted", 0, G_MAXINT32, &def->keep_deleted, error) &&
           vimg_xml_uint_attribute(node, "keepTemporary", 0, G_MAXINT32, &def->keep_temporary,
                                   error) &&
           vimg_xml_line_attribute(node, "schedule", &def->cleanup_schedule, error);
}

gboolean
vimg_pool_def_check(const VimgPoolDef *def, GError **error)
{
    VimgSchedule schedule;

    if (!def->cleanup_schedule || vimg_schedule_parse(def->cleanup_schedule, &schedule))
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_XML,
        _("schedule '%s' is neither HH:MM, the time of every day, nor an interval from 1h to 365d"),
        def->cleanup_schedule);
}

static gboolean
parse_space(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    return vimg_xml_uint_attribute(node, "reserve", 0, G_MAXINT64, &def->space_reserve, error) &&
           vimg_xml_uint_attribute(node, "quota", 0, G_MAXINT64, &def->space_quota, error);
}

static const Option options[] = {
    {.name = "description", .parse = parse_description},
    {.name = "state", .parse = parse_state},
    {.name = "zone", .parse = parse_zone, .many = TRUE, .attributes = {"name"}},
    {.name = "dataNetwork", .parse = parse_data_network, .attributes = {"cidr"}},
    {.name = "syncNetwork", .parse = parse_sync_network, .attributes = {"cidr"}},
    {.name = "reconnect", .parse = parse_reconnect, .attributes = {"enabled", "interval"}},
    {.name = "retrieve", .parse = parse_retrieve, .attributes = {"existing"}},
    {.name = "cleanup",
     .parse = parse_cleanup,
     .attributes = {"keepDeleted", "keepTemporary", "schedule"}},
    {.name = "space", .parse = parse_space, .attributes = {"reserve", "quota"}},
};

static gboolean
take_attributes(const xmlNode *node, char ***out, GError **error)
{
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
    const xmlAttr *attr;

    for (attr = node->properties; attr; attr = attr->next) {
        if (attr->ns)
            return vimg_throw(error, VIMG_ERROR_XML,
                              _("unknown attribute '%1$s' in element '%2$s'"),
                              (const char *)attr->name, vimg_xml_name(node));
        g_ptr_array_add(pairs, g_strdup((const char *)attr->name));
        g_ptr_array_add(pairs, vimg_xml_attribute(node, (const char *)attr->name));
    }
    g_ptr_array_add(pairs, NULL);
    *out = (char **)g_ptr_array_free(g_steal_pointer(&pairs), FALSE);
    return TRUE;
}

/* An element and all below it that is ours or in no namespace, parents first. */
static gboolean
collect(VimgPoolDef *def, const xmlNode *node, const char *above, GError **error)
{
    g_autoptr(VimgElementDef) element = g_new0(VimgElementDef, 1);
    g_autofree char *path =
        g_strdup_printf("%s%s%s", above, *above ? "/" : "", vimg_xml_name(node));
    const xmlNode *child;

    if (def->elements->len == VIMG_POOL_ELEMENTS_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("more than %d elements in element 'options'"),
                          VIMG_POOL_ELEMENTS_MAX);
    if (strlen(path) > WORD_MAX)
        return vimg_throw(error, VIMG_ERROR_XML, _("element name is longer than %d bytes"),
                          WORD_MAX);
    element->path = g_strdup(path);
    element->text = g_strstrip(vimg_xml_text(node));
    if (!take_attributes(node, &element->attributes, error))
        return FALSE;
    g_ptr_array_add(def->elements, g_steal_pointer(&element));
    for (child = vimg_xml_first(node); child; child = vimg_xml_next(child)) {
        if ((vimg_xml_in(child, NULL) || vimg_xml_in(child, VIMG_POOL_NAMESPACE)) &&
            !collect(def, child, path, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
parse_option(VimgPoolDef *def, const Option *option, const xmlNode *node, GError **error)
{
    static const char *const none[] = {NULL};

    return vimg_xml_check_attributes(node, option->attributes, error) &&
           vimg_xml_check_children(node, VIMG_POOL_NAMESPACE, none, error) &&
           option->parse(def, node, error);
}

gboolean
vimg_pool_parse_options(VimgPoolDef *def, const xmlNode *node, GError **error)
{
    gboolean seen[G_N_ELEMENTS(options)] = {FALSE};
    const xmlNode *child;
    guint i;

    for (child = vimg_xml_first(node); child; child = vimg_xml_next(child)) {
        if (!vimg_xml_in(child, VIMG_POOL_NAMESPACE))
            continue;
        for (i = 0; i < G_N_ELEMENTS(options); i++) {
            if (strcmp(vimg_xml_name(child), options[i].name) == 0)
                break;
        }
        if (i == G_N_ELEMENTS(options)) {
            if (!collect(def, child, "", error))
                return FALSE;
            continue;
        }
        if (seen[i] && !options[i].many)
            return vimg_throw(error, VIMG_ERROR_XML,
                              _("element '%1$s' may be given only once in element '%2$s'"),
                              options[i].name, vimg_xml_name(node));
        seen[i] = TRUE;
        if (!parse_option(def, &options[i], child, error))
            return FALSE;
    }
    return TRUE;
}
