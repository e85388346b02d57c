/*
 * export-record.c: what is kept of an export, in a file each below exports/ of the state directory
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <unistd.h>
#include <json-glib/json-glib.h>

#include "conf/pool-def.h"
#include "pool/export-record.h"
#include "pool/json-scan.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"

#define RECORD_MAX ((gsize)16 * 1024) /* bytes of a file */
#define RECORDS_MAX 16384             /* files that are looked at */
#define HEX_SIZE (2 * VIMG_EXPORT_HASH_SIZE)

#define RECORD_SUFFIX ".json"
#define MAP_SUFFIX ".map"

void
vimg_export_record_free(VimgExportRecord *record)
{
    if (!record)
        return;
    g_free(record->pool_name);
    g_free(record->name);
    g_free(record->file);
    g_free(record->format);
    g_free(record->sha256);
    g_free(record->generation);
    g_free(record);
}

gboolean
vimg_export_record_unpacks(const VimgExportRecord *record)
{
    return record->convert && strcmp(record->format, "raw") == 0;
}

/* ---- text ------------------------------------------------------------------------------- */

#define AT(member) G_STRUCT_OFFSET(VimgExportRecord, member)

static const struct {
    const char *name;
    gsize offset;
} uuids[] = {{"id", AT(id)}, {"pool", AT(pool)}, {"image", AT(image)}};

static const struct {
    const char *name;
    gsize offset;
    gsize most; /* bytes */
} texts[] = {
    {"pool_name", AT(pool_name), 255},
    {"name", AT(name), 255},
    {"file", AT(file), 300},
    {"format", AT(format), 15},
};

static const struct {
    const char *name;
    gsize offset;
} numbers[] =
    {
        {"capacity", AT(capacity)}, {"stored", AT(stored)},   {"size", AT(size)},
        {"created", AT(created)},   {"expires", AT(expires)}, {"revoked", AT(revoked)},
},
  truths[] = {{"convert", AT(convert)},
              {"compress", AT(compress)},
              {"direct", AT(direct)},
              {"released", AT(released)},
              {"replaced", AT(replaced)}};

static void
format_hex(const guint8 *bytes, char hex[HEX_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (gsize i = 0; i < VIMG_EXPORT_HASH_SIZE; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[HEX_SIZE] = '\0';
}

static gboolean
is_hex(const char *text)
{
    return strlen(text) == HEX_SIZE && strspn(text, "0123456789abcdef") == HEX_SIZE;
}

char *
vimg_export_record_format(const VimgExportRecord *record)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();
    char hex[HEX_SIZE + 1];
    gsize i;

    format_hex(record->hash, hex);
    for (i = 0; i < G_N_ELEMENTS(uuids); i++)
        json_object_set_string_member(object, uuids[i].name,
                                      (char *)G_STRUCT_MEMBER_P(record, uuids[i].offset));
    json_object_set_string_member(object, "hash", hex);
    for (i = 0; i < G_N_ELEMENTS(texts); i++)
        json_object_set_string_member(object, texts[i].name,
                                      *(char **)G_STRUCT_MEMBER_P(record, texts[i].offset));
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        json_object_set_int_member(object, numbers[i].name,
                                   *(gint64 *)G_STRUCT_MEMBER_P(record, numbers[i].offset));
    for (i = 0; i < G_N_ELEMENTS(truths); i++)
        json_object_set_boolean_member(object, truths[i].name,
                                       *(gboolean *)G_STRUCT_MEMBER_P(record, truths[i].offset));
    if (record->sha256)
        json_object_set_string_member(object, "sha256", record->sha256);
    if (record->generation)
        json_object_set_string_member(object, "generation", record->generation);
    json_node_take_object(node, object);
    return json_to_string(node, TRUE);
}

/* Returns: (transfer none) the string @name of @object, or NULL. */
static const char *
get_text(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

static gboolean
take_uuids(JsonObject *object, VimgExportRecord *record)
{
    for (gsize i = 0; i < G_N_ELEMENTS(uuids); i++) {
        const char *text = get_text(object, uuids[i].name);
        guint8 uuid[VIMG_UUID_SIZE];

        if (!text || !vimg_uuid_parse(text, uuid))
            return FALSE;
        vimg_uuid_format(uuid, (char *)G_STRUCT_MEMBER_P(record, uuids[i].offset));
    }
    return TRUE;
}

static gboolean
take_texts(JsonObject *object, VimgExportRecord *record)
{
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        const char *text = get_text(object, texts[i].name);

        if (!text || !*text || strlen(text) > texts[i].most || strchr(text, '/'))
            return FALSE;
        *(char **)G_STRUCT_MEMBER_P(record, texts[i].offset) = g_strdup(text);
    }
    return TRUE;
}

static gboolean
take_numbers(JsonObject *object, VimgExportRecord *record)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        JsonNode *node = json_object_get_member(object, numbers[i].name);

        if (!node || json_node_get_value_type(node) != G_TYPE_INT64 || json_node_get_int(node) < 0)
            return FALSE;
        *(gint64 *)G_STRUCT_MEMBER_P(record, numbers[i].offset) = json_node_get_int(node);
    }
    for (i = 0; i < G_N_ELEMENTS(truths); i++) {
        JsonNode *node = json_object_get_member(object, truths[i].name);

        if (!node && truths[i].offset == AT(replaced))
            continue; /* an earlier release has written it */
        if (!node || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
            return FALSE;
        *(gboolean *)G_STRUCT_MEMBER_P(record, truths[i].offset) = json_node_get_boolean(node);
    }
    return TRUE;
}

static gboolean
take_digests(JsonObject *object, VimgExportRecord *record)
{
    const char *hash = get_text(object, "hash");
    const char *sha256 = get_text(object, "sha256");
    const char *generation = get_text(object, "generation");

    if (!hash || !is_hex(hash) || (sha256 && !is_hex(sha256)) ||
        (generation && !vimg_plugin_generation_ok(generation)))
        return FALSE;
    for (gsize i = 0; i < VIMG_EXPORT_HASH_SIZE; i++)
        record->hash[i] = (guint8)(g_ascii_xdigit_value(hash[2 * i]) << 4 |
                                   g_ascii_xdigit_value(hash[2 * i + 1]));
    record->sha256 = g_strdup(sha256);
    record->generation = g_strdup(generation);
    return TRUE;
}

VimgExportRecord *
vimg_export_record_parse(const char *text, GError **error)
{
    g_autoptr(VimgExportRecord) record = g_new0(VimgExportRecord, 1);
    g_autoptr(JsonNode) node = NULL;

    if (g_utf8_validate(text, -1, NULL) && vimg_json_is_object(text))
        node = json_from_string(text, NULL);
    if (node && take_uuids(json_node_get_object(node), record) &&
        take_texts(json_node_get_object(node), record) &&
        take_numbers(json_node_get_object(node), record) &&
        take_digests(json_node_get_object(node), record) &&
        (record->convert || record->size == record->stored))
        return g_steal_pointer(&record);
    vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s", _("this is not the record of an export"));
    return NULL;
}

/* ---- files ------------------------------------------------------------------------------ */

static char *
find_file(const char *dir, const char *id, const char *suffix)
{
    g_autofree char *name = g_strconcat(id, suffix, NULL);

    return g_build_filename(dir, name, NULL);
}

gboolean
vimg_export_record_save(const char *dir, const char *id, const char *text, GError **error)
{
    g_autofree char *path = find_file(dir, id, RECORD_SUFFIX);

    return vimg_file_replace(path, text, strlen(text), 0600, error);
}

gboolean
vimg_export_map_save(const char *dir, const VimgExportRecord *record, const VimgQcow2Layout *layout,
                     GError **error)
{
    g_autofree char *path = find_file(dir, record->id, MAP_SUFFIX);
    gsize size;
    const guint8 *map = vimg_qcow2_layout_map(layout, &size);

    return vimg_file_replace(path, map, size, 0600, error);
}

VimgQcow2Layout *
vimg_export_map_load(const char *dir, const VimgExportRecord *record, GError **error)
{
    g_autofree char *path = find_file(dir, record->id, MAP_SUFFIX);
    g_autofree char *map = NULL;
    g_autoptr(VimgQcow2Layout) layout = NULL;
    gsize size;

    map = vimg_file_read(path, VIMG_QCOW2_MAP_MAX, &size, error);
    if (map)
        layout = vimg_qcow2_layout_from_map(record->stored, (const guint8 *)map, size, error);
    if (!layout || vimg_qcow2_layout_size(layout) == record->size)
        return g_steal_pointer(&layout);
    vimg_throw(error, VIMG_ERROR_INVALID_ARG, "%s", _("the map is not one of this image"));
    return NULL;
}

void
vimg_export_record_remove(const char *dir, const char *id)
{
    static const char *const suffixes[] = {RECORD_SUFFIX, MAP_SUFFIX};

    for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *path = find_file(dir, id, suffixes[i]);
        g_autoptr(GError) error = NULL;

        if (!vimg_file_remove(path, &error))
            vimg_warning("%s", error->message);
    }
}

/* Returns: (transfer full) the record in the file @name, which must be named so; or NULL. */
static VimgExportRecord *
load_record(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(VimgExportRecord) record = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = vimg_file_read(path, RECORD_MAX, NULL, &error);

    if (text)
        record = vimg_export_record_parse(text, &error);
    if (record && strlen(name) == strlen(record->id) + strlen(RECORD_SUFFIX) &&
        g_str_has_prefix(name, record->id))
        return g_steal_pointer(&record);
    vimg_warning("export '%s' is skipped: %s", path,
                 error ? error->message : "it is not called what it is");
    return NULL;
}

/* What a crash left: a file that was being written, or the map of a record that never was. */
static void
drop_rest(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *id = g_strndup(name, VIMG_UUID_TEXT_SIZE - 1);
    g_autofree char *record = find_file(dir, id, RECORD_SUFFIX);

    if (g_str_has_suffix(name, ".new") ||
        (g_str_has_suffix(name, MAP_SUFFIX) && !g_file_test(record, G_FILE_TEST_EXISTS)))
        unlink(path);
}

GPtrArray *
vimg_export_records_load(const char *path, GError **error)
{
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)vimg_export_record_free);
    g_autoptr(GDir) dir = g_dir_open(path, 0, error);
    const char *name;

    if (!dir)
        return NULL;
    for (guint n = 0; n < RECORDS_MAX && (name = g_dir_read_name(dir)); n++) {
        VimgExportRecord *record = NULL;

        if (g_str_has_suffix(name, RECORD_SUFFIX))
            record = load_record(path, name);
        else
            drop_rest(path, name);
        if (record)
            g_ptr_array_add(records, record);
    }
    return g_steal_pointer(&records);
}
