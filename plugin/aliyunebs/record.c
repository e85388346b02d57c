/*
 * record.c: what the bucket keeps about an image
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "record.h"
#include "../imagestore/json.h"
#include "../throw.h"

#define FIELD(name) G_STRUCT_OFFSET(VimgEbsRecord, name)

static const struct {
    const char *name;
    gsize offset;
} strings[] = {
    {"key", FIELD(key)},
    {"etag", FIELD(etag)},
    {"objectVersion", FIELD(version)},
    {"crc64", FIELD(crc)},
    {"upload", FIELD(upload)},
    {"attempt", FIELD(attempt)},
    {"imageId", FIELD(image_id)},
    {"uuid", FIELD(info.uuid)},
    {"name", FIELD(info.name)},
    {"format", FIELD(info.format)},
    {"error", FIELD(info.reason)},
    {"parent", FIELD(info.parent)},
    {"checksumType", FIELD(info.checksum_type)},
    {"checksum", FIELD(info.checksum)},
    {"os", FIELD(info.os)},
    {"arch", FIELD(info.arch)},
    {"description", FIELD(info.description)},
    {"copyOf", FIELD(info.copy_of)},
    {"machine", FIELD(info.machine)},
    {"kept", FIELD(kept)},
};

static const struct {
    const char *name;
    gsize offset;
} numbers[] = {
    {"partSize", FIELD(part_size)},
    {"capacity", FIELD(info.capacity)},
    {"allocation", FIELD(info.allocation)},
    {"physical", FIELD(info.physical)},
    {"position", FIELD(info.position)},
    {"created", FIELD(info.created)}, /* this and the next are signed, never negative */
    {"deleted", FIELD(info.deleted)},
};

G_STATIC_ASSERT(sizeof(gint64) == sizeof(guint64));

static char **
string_of(const VimgEbsRecord *record, gsize i)
{
    return (char **)G_STRUCT_MEMBER_P(record, strings[i].offset);
}

static guint64 *
number_of(const VimgEbsRecord *record, gsize i)
{
    return (guint64 *)G_STRUCT_MEMBER_P(record, numbers[i].offset);
}

void
vimg_ebs_set(char **field, const char *value)
{
    char *old = *field;

    *field = g_strdup(value);
    g_free(old);
}

/* ---- the struct ------------------------------------------------------------------------- */

/* An object is never changed, only replaced by another one. */
static void
settle_generation(VimgEbsRecord *record)
{
    g_clear_pointer(&record->info.generation, g_free);
    vimg_plugin_image_set_generation(&record->info, record->etag);
}

static VimgEbsRecord *
own_strings(VimgEbsRecord *record)
{
    gsize i;

    record->info.size = sizeof(record->info);
    record->info.origin = NULL;     /* there are no files to adopt */
    record->info.generation = NULL; /* not borrowed */
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        *string_of(record, i) = g_strdup(*string_of(record, i));
    settle_generation(record);
    return record;
}

VimgEbsRecord *
vimg_ebs_record_new(const VimgPluginImage *image)
{
    VimgEbsRecord *record = g_new0(VimgEbsRecord, 1);

    memcpy(&record->info, image, MIN(image->size, sizeof(record->info)));
    return own_strings(record);
}

VimgEbsRecord *
vimg_ebs_record_copy(const VimgEbsRecord *record)
{
    VimgEbsRecord *copy = g_new0(VimgEbsRecord, 1);

    *copy = *record;
    return own_strings(copy);
}

void
vimg_ebs_record_free(VimgEbsRecord *record)
{
    gsize i;

    if (!record)
        return;
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        g_free(*string_of(record, i));
    g_free(record->info.generation);
    g_free(record);
}

gboolean
vimg_ebs_record_is_staged(const VimgEbsRecord *record)
{
    return !record->etag;
}

void
vimg_ebs_record_empty(VimgEbsRecord *record)
{
    char **const fields[] = {&record->key,    &record->etag,    &record->version, &record->crc,
                             &record->upload, &record->attempt, &record->image_id};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(fields); i++)
        g_clear_pointer(fields[i], g_free);
    settle_generation(record);
    record->part_size = 0;
    record->info.state = VIMG_IMAGE_SAVING;
    record->info.allocation = record->info.physical = record->info.position = 0;
}

void
vimg_ebs_record_give(VimgEbsRecord *record, VimgPluginImage *out)
{
    settle_generation(record);
    vimg_plugin_image_move(out, &record->info);
}

/* ---- the document ----------------------------------------------------------------------- */

char *
vimg_ebs_record_format(const VimgEbsRecord *record)
{
    g_autoptr(JsonObject) object = json_object_new();
    gsize i;

    json_object_set_int_member(object, "version", 1);
    for (i = 0; i < G_N_ELEMENTS(strings); i++)
        vimg_json_set_string(object, strings[i].name, *string_of(record, i));
    for (i = 0; i < G_N_ELEMENTS(numbers); i++)
        json_object_set_int_member(object, numbers[i].name, (gint64)*number_of(record, i));
    return vimg_json_format(object);
}

static gboolean
read_members(VimgEbsRecord *record, JsonObject *object)
{
    guint64 version;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(strings); i++) {
        *string_of(record, i) = g_strdup(vimg_json_string(object, strings[i].name));
        if (!*string_of(record, i) && json_object_has_member(object, strings[i].name))
            return FALSE;
    }
    for (i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (!vimg_json_number(object, numbers[i].name, number_of(record, i)))
            return FALSE;
    }
    return vimg_json_number(object, "version", &version) && version == 1 && record->info.name &&
           record->info.uuid && g_uuid_string_is_valid(record->info.uuid) &&
           (!record->etag || record->key);
}

VimgEbsRecord *
vimg_ebs_record_parse(const void *data, gsize size, GError **error)
{
    g_autoptr(JsonObject) object = vimg_json_parse(data, size, error);
    g_autoptr(VimgEbsRecord) record = g_new0(VimgEbsRecord, 1);

    if (!object)
        return NULL;
    record->info.size = sizeof(record->info);
    if (!read_members(record, object)) {
        throw_error(error, VIMG_ERROR_DAMAGED, _("the record of the image cannot be read"));
        return NULL;
    }
    record->info.state = vimg_ebs_record_is_staged(record) ? VIMG_IMAGE_SAVING : VIMG_IMAGE_ACTIVE;
    if (record->info.reason)
        record->info.state = VIMG_IMAGE_ERROR;
    settle_generation(record);
    return g_steal_pointer(&record);
}

/* ---- in the bucket ---------------------------------------------------------------------- */

/* Whoever can write a record shall not make us remove, or show, what lies elsewhere. */
static gboolean
is_own_key(const VimgEbsSite *site, const VimgEbsRecord *record)
{
    g_autofree char *below = vimg_ebs_key(site, record->info.uuid, "");

    return !record->key || g_str_has_prefix(record->key, below);
}

VimgEbsRecord *
vimg_ebs_record_load(VimgEbsSite *site, const char *uuid, const VimgPatience *patience,
                     GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "records", uuid);
    g_autoptr(VimgEbsRecord) record = NULL;
    g_autoptr(VimgBuffer) text = vimg_oss_get(site->oss, key, VIMG_EBS_RECORD_MAX, patience, error);

    if (!text)
        return NULL;
    record = vimg_ebs_record_parse(text->data, text->size, error);
    if (!record || (strcmp(record->info.uuid, uuid) == 0 && is_own_key(site, record)))
        return g_steal_pointer(&record);
    throw_error(error, VIMG_ERROR_DAMAGED, _("object '%s' is of another image"), key);
    return NULL;
}

gboolean
vimg_ebs_record_save(VimgEbsSite *site, const VimgEbsRecord *record, const VimgPatience *patience,
                     GError **error)
{
    g_autofree char *key = vimg_ebs_key(site, "records", record->info.uuid);
    g_autofree char *text = vimg_ebs_record_format(record);
    g_autoptr(GPtrArray) metadata = vimg_ebs_metadata(record->info.uuid);
    VimgOssPut put = {.key = key,
                      .data = text,
                      .size = strlen(text),
                      .content_type = "application/json",
                      .metadata = metadata};

    if (put.size > VIMG_EBS_RECORD_MAX)
        return throw_error(error, VIMG_ERROR_INVALID_ARG, _("the description is too long"));
    return vimg_oss_put(site->oss, &put, NULL, patience, error);
}

gboolean
vimg_ebs_record_update(VimgEbsSite *site, VimgEbsRecord *record, const char *former,
                       const VimgPatience *patience, GError **error)
{
    g_autoptr(VimgEbsRecord) now = vimg_ebs_record_load(site, record->info.uuid, patience, error);

    if (!now)
        return FALSE;
    if (!vimg_ebs_record_is_staged(now) || g_strcmp0(now->attempt, former) != 0)
        return throw_error(error, VIMG_ERROR_BUSY, _("another host writes the image"));
    return vimg_ebs_record_save(site, record, patience, error);
}
