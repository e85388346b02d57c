/*
 * record.c: what we keep on an RBD image about the image it is
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "answer.h"
#include "record.h"
#include "../throw.h"

#define TEXT_MAX ((gsize)256 * 1024) /* bytes; RBD keeps it beside the sizes of the image */

static const struct {
    const char *name;
    gsize offset;
} strings[] = {
    {"id", G_STRUCT_OFFSET(VimgCephRecord, id)},
    {"digest", G_STRUCT_OFFSET(VimgCephRecord, digest)},
    {"uploadedFormat", G_STRUCT_OFFSET(VimgCephRecord, info.uploaded_format)},
    {"uuid", G_STRUCT_OFFSET(VimgCephRecord, info.uuid)},
    {"name", G_STRUCT_OFFSET(VimgCephRecord, info.name)},
    {"format", G_STRUCT_OFFSET(VimgCephRecord, info.format)},
    {"error", G_STRUCT_OFFSET(VimgCephRecord, info.reason)},
    {"parent", G_STRUCT_OFFSET(VimgCephRecord, info.parent)},
    {"checksumType", G_STRUCT_OFFSET(VimgCephRecord, info.checksum_type)},
    {"checksum", G_STRUCT_OFFSET(VimgCephRecord, info.checksum)},
    {"os", G_STRUCT_OFFSET(VimgCephRecord, info.os)},
    {"arch", G_STRUCT_OFFSET(VimgCephRecord, info.arch)},
    {"description", G_STRUCT_OFFSET(VimgCephRecord, info.description)},
    {"copyOf", G_STRUCT_OFFSET(VimgCephRecord, info.copy_of)},
    {"machine", G_STRUCT_OFFSET(VimgCephRecord, info.machine)},
};

static const struct {
    const char *name;
    gsize offset;
} numbers[] = {
    {"uploadedSize", G_STRUCT_OFFSET(VimgCephRecord, info.uploaded_size)},
    {"capacity", G_STRUCT_OFFSET(VimgCephRecord, info.capacity)},
    {"allocation", G_STRUCT_OFFSET(VimgCephRecord, info.allocation)},
    {"physical", G_STRUCT_OFFSET(VimgCephRecord, info.physical)},
    {"position", G_STRUCT_OFFSET(VimgCephRecord, info.position)},
    {"created", G_STRUCT_OFFSET(VimgCephRecord, info.created)}, /* signed, never negative */
};

G_STATIC_ASSERT(sizeof(gint64) == sizeof(guint64));

static char **
string_of(const VimgCephRecord *record, gsize i)
{
    return (char **)G_STRUCT_MEMBER_P(record, strings[i].offset);
}

static guint64 *
number_of(const VimgCephRecord *record, gsize i)
{
    return (guint64 *)G_STRUCT_MEMBER_P(record, numbers[i].offset);
}

/* ---- the struct ------------------------------------------------------------------------- */

VimgCephRecord *
vimg_ceph_record_new(const VimgPluginImage *image)
{
    VimgCephRecord *record = g_new0(VimgCephRecord, 1);
    gsize i;

    record->ours = TRUE;
    memcpy(&record->info, image, MIN(image->size, sizeof(record->info)));
    record->info.size = sizeof(record->info);
    record->info.origin = NULL; /* there are no files to adopt */
    record->info.needed_by = NULL;
    record->info.generation = NULL; /* of what it is made of, if of anything */
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        *string_of(record, i) = g_strdup(*string_of(record, i));
    return record;
}

void
vimg_ceph_record_free(VimgCephRecord *record)
{
    if (!record)
        return;
    vimg_plugin_image_clear(&record->info);
    g_free(record->rbd);
    g_free(record->id);
    g_free(record->digest);
    g_free(record);
}

gboolean
vimg_ceph_record_is_staged(const VimgCephRecord *record)
{
    g_autofree char *uuid = NULL;

    if (!g_str_has_prefix(record->rbd, VIMG_CEPH_STAGED))
        return FALSE;
    uuid = g_strdup(record->rbd + strlen(VIMG_CEPH_STAGED));
    if (g_str_has_suffix(uuid, VIMG_CEPH_SECOND))
        uuid[strlen(uuid) - strlen(VIMG_CEPH_SECOND)] = '\0';
    return g_uuid_string_is_valid(uuid);
}

gboolean
vimg_ceph_record_is_second(const VimgCephRecord *record)
{
    return record->ours && vimg_ceph_record_is_staged(record) &&
           strcmp(record->rbd + strlen(VIMG_CEPH_STAGED), record->info.uuid) != 0;
}

void
vimg_ceph_record_settle_generation(VimgCephRecord *record)
{
    gboolean known =
        record->ours && !vimg_ceph_record_is_staged(record) && record->id && *record->id;

    g_clear_pointer(&record->info.generation, g_free);
    vimg_plugin_image_set_generation(&record->info, known ? record->id : NULL);
}

void
vimg_ceph_record_give(VimgCephRecord *record, VimgPluginImage *out)
{
    vimg_plugin_image_move(out, &record->info);
}

/* ---- the text --------------------------------------------------------------------------- */

char *
vimg_ceph_record_format(const VimgCephRecord *record)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) object = json_object_new();
    gsize i;

    json_object_set_int_member(object, "version", 1);
    for (i = 0; i < G_N_ELEMENTS(strings); i++) {
        if (*string_of(record, i))
            json_object_set_string_member(object, strings[i].name, *string_of(record, i));
    }
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        json_object_set_int_member(object, numbers[i].name, (gint64)*number_of(record, i));
    if (record->purged)
        json_object_set_int_member(object, "purged", 1);
    if (record->begun)
        json_object_set_int_member(object, "begun", 1);
    if (record->info.passing)
        json_object_set_int_member(object, "passing", 1);
    json_node_set_object(root, object);
    return json_to_string(root, FALSE);
}

/* Nothing in it is nested, and the parser recurses. */
static gboolean
is_flat(const char *text)
{
    gboolean quoted = FALSE;
    const char *c;
    guint opened = 0;

    for (c = text; *c; c++) {
        if (quoted && *c == '\\' && c[1])
            c++;
        else if (*c == '"')
            quoted = !quoted;
        else if (!quoted && (*c == '{' || *c == '['))
            opened++;
    }
    return opened == 1;
}

/* Every member that is there must be of its kind. */
static gboolean
read_members(VimgCephRecord *record, JsonObject *object)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(strings); i++) {
        const char *text = vimg_answer_text(object, strings[i].name);

        if (!text && json_object_has_member(object, strings[i].name))
            return FALSE;
        g_free(*string_of(record, i));
        *string_of(record, i) = g_strdup(text);
    }
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        *number_of(record, i) = vimg_answer_number(object, numbers[i].name);
    record->purged = vimg_answer_number(object, "purged") == 1;
    record->begun = vimg_answer_number(object, "begun") == 1;
    record->info.passing = vimg_answer_number(object, "passing") == 1;
    return vimg_answer_number(object, "version") == 1 && record->id && record->info.name &&
           record->info.uuid && g_uuid_string_is_valid(record->info.uuid);
}

gboolean
vimg_ceph_record_parse(VimgCephRecord *record, const char *text, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = NULL;

    if (strnlen(text, TEXT_MAX + 1) <= TEXT_MAX && g_utf8_validate(text, -1, NULL) &&
        is_flat(text) && json_parser_load_from_data(parser, text, -1, NULL))
        root = json_parser_get_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root) && read_members(record, json_node_get_object(root)))
        return TRUE;
    return throw_error(error, VIMG_ERROR_DAMAGED, _("the metadata of the image cannot be read"));
}

gboolean
vimg_ceph_record_save(rbd_image_t image, const VimgCephRecord *record, GError **error)
{
    VimgCephRecord bound = *record;
    g_autofree char *text = NULL;
    char id[256];
    int result = rbd_get_id(image, id, sizeof(id));

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot get the id of the image"));
    bound.id = id;
    text = vimg_ceph_record_format(&bound);
    if (strlen(text) > TEXT_MAX)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("the description is too long"));
    result = rbd_metadata_set(image, VIMG_CEPH_METADATA, text);
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot write the metadata of the image"));
}
