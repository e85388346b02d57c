/*
 * answer.c: what the monitors answer to a command
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "answer.h"
#include "cluster.h"
#include "throw.h"

#define ANSWER_MAX (64 * 1024 * 1024) /* bytes; a cluster of 10,000 OSDs needs 15 MiB */
#define DEPTH_MAX 64                  /* the parser recurses */

/* ---- asking ----------------------------------------------------------------------------- */

static gboolean
is_sound(const char *text, gsize size)
{
    gboolean quoted = FALSE;
    gsize depth = 0;
    gsize i;

    for (i = 0; i < size && depth <= DEPTH_MAX; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '['))
            depth++;
        else if (!quoted && (text[i] == '}' || text[i] == ']') && depth > 0)
            depth--;
    }
    return size <= ANSWER_MAX && depth <= DEPTH_MAX && g_utf8_validate(text, (gssize)size, NULL);
}

static JsonNode *
parse(const char *text, gsize size, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = NULL;

    if (is_sound(text, size) && json_parser_load_from_data(parser, text, (gssize)size, NULL))
        root = json_parser_get_root(parser);
    if (root && !JSON_NODE_HOLDS_VALUE(root) && !JSON_NODE_HOLDS_NULL(root))
        return json_node_ref(root);
    throw_error(error, VIMG_ERROR_DAMAGED, _("the monitors answer something that is not JSON"));
    return NULL;
}

JsonNode *
vimg_ceph_ask(rados_t rados, const char *command, GError **error)
{
    g_autofree char *line = g_strdup_printf("{%s, \"format\": \"json\"}", command);
    const char *commands[] = {line, NULL};
    JsonNode *answer = NULL;
    char *status = NULL;
    char *out = NULL;
    size_t status_size = 0;
    size_t size = 0;
    int result = rados_mon_command(rados, commands, 1, "", 0, &out, &size, &status, &status_size);

    if (result < 0)
        vimg_cluster_throw(error, result, _("the monitors do not answer {%s}"), command);
    else
        answer = parse(out ? out : "", size, error);
    rados_buffer_free(out);
    rados_buffer_free(status);
    return answer;
}

/* ---- members ---------------------------------------------------------------------------- */

static JsonNode *
member(JsonObject *object, const char *name, JsonNodeType type)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_TYPE(node) == type ? node : NULL;
}

guint64
vimg_answer_number(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name, JSON_NODE_VALUE);
    gint64 number = 0;

    if (node && json_node_get_value_type(node) == G_TYPE_INT64)
        number = json_node_get_int(node);
    return number > 0 ? (guint64)number : 0;
}

const char *
vimg_answer_text(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name, JSON_NODE_VALUE);

    return node ? json_node_get_string(node) : NULL;
}

JsonObject *
vimg_answer_object(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name, JSON_NODE_OBJECT);

    return node ? json_node_get_object(node) : NULL;
}

JsonArray *
vimg_answer_array(JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name, JSON_NODE_ARRAY);

    return node ? json_node_get_array(node) : NULL;
}

JsonObject *
vimg_answer_item(JsonArray *array, guint i)
{
    JsonNode *node =
        array && i < json_array_get_length(array) ? json_array_get_element(array, i) : NULL;

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* ---- peers ------------------------------------------------------------------------------ */

static void
free_peer(gpointer data)
{
    VimgCephPeer *peer = data;

    g_free(peer->name);
    g_free(peer->address);
    g_free(peer);
}

/* Adds each address at which @item is to be had. */
static void
add_peer(GPtrArray *peers, const char *name, JsonObject *item)
{
    JsonArray *list = vimg_answer_array(vimg_answer_object(item, "public_addrs"), "addrvec");
    JsonObject *one;
    guint i;

    for (i = 0; (one = vimg_answer_item(list, i)); i++) {
        const char *address = vimg_answer_text(one, "addr");
        VimgCephPeer *peer;

        if (!address)
            continue;
        peer = g_new0(VimgCephPeer, 1);
        peer->name = g_strdup(name);
        peer->address = g_strdup(address);
        g_ptr_array_add(peers, peer);
    }
}

static void
add_monitor(GPtrArray *peers, JsonObject *item)
{
    const char *name = vimg_answer_text(item, "name");
    g_autofree char *full = g_strconcat("mon.", name ? name : "?", NULL);

    add_peer(peers, full, item);
}

static void
add_osd(GPtrArray *peers, JsonObject *item)
{
    g_autofree char *name = g_strdup_printf("osd.%llu", ULL(vimg_answer_number(item, "osd")));

    if (vimg_answer_number(item, "up") == 1)
        add_peer(peers, name, item);
}

/* @what: of the answer to @question, what @add adds each of. */
static GPtrArray *
list_peers(rados_t rados, const char *question, const char *what,
           void (*add)(GPtrArray *peers, JsonObject *item), GError **error)
{
    g_autoptr(JsonNode) answer = vimg_ceph_ask(rados, question, error);
    GPtrArray *peers;
    JsonArray *list;
    JsonObject *item;

    if (!answer)
        return NULL;
    peers = g_ptr_array_new_with_free_func(free_peer);
    list = JSON_NODE_HOLDS_OBJECT(answer) ? vimg_answer_array(json_node_get_object(answer), what)
                                          : NULL;
    for (guint i = 0; (item = vimg_answer_item(list, i)); i++)
        add(peers, item);
    return peers;
}

GPtrArray *
vimg_ceph_monitors(rados_t rados, GError **error)
{
    return list_peers(rados, "\"prefix\": \"mon dump\"", "mons", add_monitor, error);
}

GPtrArray *
vimg_ceph_osds(rados_t rados, GError **error)
{
    return list_peers(rados, "\"prefix\": \"osd dump\"", "osds", add_osd, error);
}
