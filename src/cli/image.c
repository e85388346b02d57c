/*
 * image.c: an image of a pool, as the daemon's documents say
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/image.h"
#include "util/error.h"
#include "util/i18n.h"

#define DEPTH 4

void
vimg_image_free(VimgImage *image)
{
    if (!image)
        return;
    g_free(image->pool);
    g_free(image->name);
    g_free(image->key);
    g_free(image->uuid);
    g_free(image->generation);
    g_free(image->state);
    g_free(image->reason);
    g_free(image->format);
    g_free(image->checksum_type);
    g_free(image->checksum);
    g_free(image->parent);
    g_free(image->machine);
    g_free(image->machine_disk);
    g_free(image->snapshot);
    g_free(image->machine_name);
    g_free(image);
}

vimg_remote_vol
vimg_image_id(const VimgImage *image)
{
    return (vimg_remote_vol){image->pool, image->name, image->key};
}

/* ---- documents -------------------------------------------------------------------------- */

typedef enum {
    TEXT,
    NUMBER,
    TIME,
} Kind;

/* What is read, and where it goes; an attribute is read from the element's beginning. */
static const struct {
    const char *path;
    const char *attribute; /* NULL: the content */
    Kind kind;
    gsize offset;
} fields[] = {
    {"volume/physical", NULL, NUMBER, G_STRUCT_OFFSET(VimgImage, physical)},
    {"volume/target/format", "type", TEXT, G_STRUCT_OFFSET(VimgImage, format)},
    {"volume/image:info/image:state", NULL, TEXT, G_STRUCT_OFFSET(VimgImage, state)},
    {"volume/image:info/image:state", "reason", TEXT, G_STRUCT_OFFSET(VimgImage, reason)},
    {"volume/image:info/image:position", NULL, NUMBER, G_STRUCT_OFFSET(VimgImage, position)},
    {"volume/image:info/image:uuid", NULL, TEXT, G_STRUCT_OFFSET(VimgImage, uuid)},
    {"volume/image:info/image:generation", NULL, TEXT, G_STRUCT_OFFSET(VimgImage, generation)},
    {"volume/image:info/image:created", NULL, TIME, G_STRUCT_OFFSET(VimgImage, created)},
    {"volume/image:info/image:checksum", NULL, TEXT, G_STRUCT_OFFSET(VimgImage, checksum)},
    {"volume/image:info/image:parent", NULL, TEXT, G_STRUCT_OFFSET(VimgImage, parent)},
    {"volume/image:info/image:machine", "uuid", TEXT, G_STRUCT_OFFSET(VimgImage, machine)},
    {"volume/image:info/image:machine", "disk", TEXT, G_STRUCT_OFFSET(VimgImage, machine_disk)},
    {"volume/image:info/image:machine", "snapshot", TEXT, G_STRUCT_OFFSET(VimgImage, snapshot)},
    {"volume/image:info/image:machine", "name", TEXT, G_STRUCT_OFFSET(VimgImage, machine_name)},
    {"volume/image:info/image:checksum", "type", TEXT, G_STRUCT_OFFSET(VimgImage, checksum_type)},
};

static gboolean
put_number(guint64 *out, const char *text, GError **error)
{
    return g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, out, error);
}

static gboolean
put_time(gint64 *out, const char *text, GError **error)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);

    if (!time)
        return vimg_throw(error, VIMG_ERROR_XML, _("'%s' is no time"), text);
    *out = g_date_time_to_unix(time);
    return TRUE;
}

static gboolean
put(VimgImage *image, Kind kind, gsize offset, const char *text, GError **error)
{
    gpointer field = G_STRUCT_MEMBER_P(image, offset);

    if (kind == NUMBER)
        return put_number(field, text, error);
    if (kind == TIME)
        return put_time(field, text, error);
    g_free(*(char **)field);
    *(char **)field = g_strdup(text);
    return TRUE;
}

/* Where the parser is, outermost first; nothing that is looked for lies deeper. */
static char *
path_of(GMarkupParseContext *context)
{
    const char *names[DEPTH + 1] = {NULL};
    const GSList *at = g_markup_parse_context_get_element_stack(context);
    gsize first = DEPTH;

    for (; at && first > 0; at = at->next)
        names[--first] = at->data;
    return g_strjoinv("/", (char **)names + first);
}

static void
on_element(GMarkupParseContext *context, const char *element, const char **names,
           const char **values, gpointer data, GError **error)
{
    g_autofree char *path = path_of(context);

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (!fields[i].attribute || strcmp(path, fields[i].path) != 0)
            continue;
        for (gsize k = 0; names[k]; k++) {
            if (strcmp(names[k], fields[i].attribute) == 0 &&
                !put(data, fields[i].kind, fields[i].offset, values[k], error))
                return;
        }
    }
}

static void
on_text(GMarkupParseContext *context, const char *text, gsize size, gpointer data, GError **error)
{
    g_autofree char *path = path_of(context);

    for (gsize i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (!fields[i].attribute && strcmp(path, fields[i].path) == 0 &&
            !put(data, fields[i].kind, fields[i].offset, text, error))
            return;
    }
}

gboolean
vimg_image_parse(VimgImage *image, const char *xml, GError **error)
{
    static const GMarkupParser parser = {.start_element = on_element, .text = on_text};
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, image, NULL);
    g_autoptr(GError) local = NULL;
    gboolean good = g_markup_parse_context_parse(context, xml, -1, &local) &&
                    g_markup_parse_context_end_parse(context, &local);

    g_markup_parse_context_free(context);
    if (good && image->uuid && image->state)
        return TRUE;
    g_set_error_literal(error, VIMG_DAEMON_ERROR, VIMG_DAEMON_BROKEN,
                        _("the daemon's answer cannot be understood"));
    return FALSE;
}

/* ---- the daemon ------------------------------------------------------------------------- */

/* @vol: taken over. */
static VimgImage *
describe(VimgCtl *ctl, vimg_remote_vol *vol, GError **error)
{
    vimg_remote_vol_flags_args args = {*vol, 0};
    vimg_remote_string ret = {0};
    g_autoptr(VimgImage) image = g_new0(VimgImage, 1);
    gboolean good;

    image->pool = g_strdup(vol->pool);
    image->name = g_strdup(vol->name);
    image->key = g_strdup(vol->key);
    good = vimg_daemon_call(ctl->daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_VOL_GET_XML_DESC,
                            (xdrproc_t)xdr_vimg_remote_vol_flags_args, &args,
                            (xdrproc_t)xdr_vimg_remote_string, &ret, error) &&
           vimg_image_parse(image, ret.value, error);
    xdr_free((xdrproc_t)xdr_vimg_remote_string, (char *)&ret);
    xdr_free((xdrproc_t)xdr_vimg_remote_vol, (char *)vol);
    return good ? g_steal_pointer(&image) : NULL;
}

/* The image that @procedure answers with. */
static VimgImage *
ask(VimgCtl *ctl, gint32 procedure, xdrproc_t args_proc, gpointer args, GError **error)
{
    VimgDaemon *daemon = vimg_ctl_daemon(ctl, error);
    vimg_remote_vol vol = {0};

    if (!daemon)
        return NULL;
    if (vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, procedure, args_proc, args,
                         (xdrproc_t)xdr_vimg_remote_vol, &vol, error))
        return describe(ctl, &vol, error);
    xdr_free((xdrproc_t)xdr_vimg_remote_vol, (char *)&vol);
    return NULL;
}

VimgImage *
vimg_image_find(VimgCtl *ctl, const VimgCtlPool *pool, const char *name, GError **error)
{
    vimg_remote_pool_name_args args = {*pool, (char *)name};

    return ask(ctl, VIMG_REMOTE_VOL_LOOKUP_BY_NAME, (xdrproc_t)xdr_vimg_remote_pool_name_args,
               &args, error);
}

VimgImage *
vimg_image_create(VimgCtl *ctl, const VimgCtlPool *pool, const char *xml, GError **error)
{
    vimg_remote_vol_create_args args = {*pool, (char *)xml, 0};

    return ask(ctl, VIMG_REMOTE_VOL_CREATE_XML, (xdrproc_t)xdr_vimg_remote_vol_create_args, &args,
               error);
}

VimgImage *
vimg_image_create_from(VimgCtl *ctl, const VimgCtlPool *pool, const char *xml, const char *pool_of,
                       const char *volume, guint flags, GError **error)
{
    vimg_remote_vol source = {(char *)pool_of, (char *)volume, (char *)""};
    vimg_remote_vol_create_from_args args = {*pool, (char *)xml, source, flags};

    return ask(ctl, VIMG_REMOTE_VOL_CREATE_XML_FROM,
               (xdrproc_t)xdr_vimg_remote_vol_create_from_args, &args, error);
}

gboolean
vimg_image_clone_to(VimgCtl *ctl, const VimgImage *image, const vimg_remote_pool *pool,
                    const char *xml, GError **error)
{
    VimgDaemon *daemon = vimg_ctl_daemon(ctl, error);
    vimg_remote_vol_create_from_args args = {*pool, (char *)xml, vimg_image_id(image), 0};
    vimg_remote_vol vol = {0};
    gboolean ok =
        daemon && vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, VIMG_REMOTE_VOL_CREATE_XML_FROM,
                                   (xdrproc_t)xdr_vimg_remote_vol_create_from_args, &args,
                                   (xdrproc_t)xdr_vimg_remote_vol, &vol, error);

    xdr_free((xdrproc_t)xdr_vimg_remote_vol, (char *)&vol);
    return ok;
}

static gboolean
change(VimgCtl *ctl, gint32 procedure, const VimgImage *image, GError **error)
{
    VimgDaemon *daemon = vimg_ctl_daemon(ctl, error);
    vimg_remote_vol_flags_args args = {vimg_image_id(image), 0};

    return daemon &&
           vimg_daemon_call(daemon, VIMG_PROGRAM_REMOTE, procedure,
                            (xdrproc_t)xdr_vimg_remote_vol_flags_args, &args, NULL, NULL, error);
}

gboolean
vimg_image_delete(VimgCtl *ctl, const VimgImage *image, GError **error)
{
    return change(ctl, VIMG_REMOTE_VOL_DELETE, image, error);
}

gboolean
vimg_image_wipe(VimgCtl *ctl, const VimgImage *image, GError **error)
{
    return change(ctl, VIMG_REMOTE_VOL_WIPE, image, error);
}

/* ---- all of a pool -------------------------------------------------------------------------- */

/* What is not known is null. */
static void
set_known(JsonObject *object, const char *name, gboolean known, gint64 value)
{
    if (known)
        json_object_set_int_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

static JsonObject *
volume_to_json(const vimg_control_volume *volume)
{
    gboolean known = volume->as_of != 0;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "uuid", volume->uuid);
    json_object_set_string_member(object, "name", volume->name);
    json_object_set_string_member(object, "state", volume->state);
    json_object_set_string_member(object, "reason", volume->reason ? *volume->reason : NULL);
    json_object_set_string_member(object, "format", volume->format ? *volume->format : NULL);
    json_object_set_int_member(object, "capacity", (gint64)volume->capacity);
    json_object_set_int_member(object, "allocation", (gint64)volume->allocation);
    json_object_set_int_member(object, "physical", (gint64)volume->physical);
    json_object_set_int_member(object, "created", volume->created);
    set_known(object, "unique", known, (gint64)volume->unique);
    set_known(object, "shared", known, (gint64)volume->shared);
    set_known(object, "as_of", known, volume->as_of);
    return object;
}

static gboolean
add_page(VimgCtl *ctl, const VimgCtlPool *pool, vimg_remote_text *after, JsonArray *list,
         GError **error)
{
    vimg_control_volumes_args args = {*pool, after, VIMG_CONTROL_PAGE_MAX};
    vimg_control_volumes_ret ret = {0};
    gboolean ok =
        vimg_ctl_call(ctl, VIMG_CONTROL_VOLUME_LIST, (xdrproc_t)xdr_vimg_control_volumes_args,
                      &args, (xdrproc_t)xdr_vimg_control_volumes_ret, &ret, error);

    for (u_int i = 0; ok && i < ret.volumes.volumes_len; i++)
        json_array_add_object_element(list, volume_to_json(&ret.volumes.volumes_val[i]));
    xdr_free((xdrproc_t)xdr_vimg_control_volumes_ret, (char *)&ret);
    return ok;
}

JsonObject *
vimg_image_list(VimgCtl *ctl, const VimgCtlPool *pool, GError **error)
{
    return vimg_ctl_list(ctl, pool, "volumes", "name", add_page, error);
}
