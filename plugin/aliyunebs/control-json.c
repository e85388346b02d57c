/*
 * control-json.c: the documents a control endpoint answers with
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "control-json.h"
#include "throw.h"

#define TEXT_MAX 512
#define ID_MAX 128
#define TAGS_MAX 64

static gboolean
throw_nonsense(GError **error, const char *what)
{
    return throw_error(error, VIMG_ERROR_INTERNAL,
                       _("the control endpoint answers without a '%s' that can be understood"),
                       what);
}

/* One line of bounded length, whatever came. */
static char *
plain_text(JsonObject *object, const char *name)
{
    char *text = g_strdup(vimg_json_string(object, name));
    char *at;

    if (!text)
        return NULL;
    if (g_utf8_strlen(text, -1) > TEXT_MAX)
        *g_utf8_offset_to_pointer(text, TEXT_MAX) = '\0';
    for (at = text; *at; at++)
        if (g_ascii_iscntrl(*at))
            *at = ' ';
    return text;
}

/* Array @name of object @outer, as "Images": {"Image": […]}.  NULL: there is none. */
static JsonArray *
list_of(JsonObject *object, const char *outer, const char *name)
{
    JsonObject *inner = vimg_json_object(object, outer);
    JsonNode *node = inner ? json_object_get_member(inner, name) : NULL;

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

static JsonObject *
element(JsonArray *array, guint i)
{
    JsonNode *node = json_array_get_element(array, i);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

/* "37%", "37" or 37; 0 for all else. */
static guint
percent_of(JsonObject *object, const char *name)
{
    const char *text = vimg_json_string(object, name);
    g_autofree char *digits = text ? g_strdup(text) : NULL;
    guint64 percent = 0;

    if (!digits)
        vimg_json_number(object, name, &percent);
    else if (g_str_has_suffix(digits, "%"))
        digits[strlen(digits) - 1] = '\0';
    if (digits && !g_ascii_string_to_unsigned(digits, 10, 0, 100, &percent, NULL))
        percent = 0;
    return (guint)MIN(percent, 100);
}

static gboolean
flag_of(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    const char *text = vimg_json_string(object, name);

    if (text)
        return g_ascii_strcasecmp(text, "true") == 0;
    return node && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node);
}

char *
vimg_control_id(JsonObject *answer, const char *name, GError **error)
{
    const char *text = vimg_json_string(answer, name);
    gsize length = text ? strlen(text) : 0;

    if (length > 0 && length <= ID_MAX &&
        strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-_.") == length)
        return g_strdup(text);
    throw_nonsense(error, name);
    return NULL;
}

/* ---- errors ---- */

gboolean
vimg_control_fault(JsonObject *answer, VimgControlFault *out)
{
    memset(out, 0, sizeof(*out));
    out->code = plain_text(answer, "Code");
    if (!out->code)
        return FALSE;
    out->message = plain_text(answer, "Message");
    out->request_id = plain_text(answer, "RequestId");
    return TRUE;
}

void
vimg_control_fault_clear(VimgControlFault *fault)
{
    g_clear_pointer(&fault->code, g_free);
    g_clear_pointer(&fault->message, g_free);
    g_clear_pointer(&fault->request_id, g_free);
}

/* ---- tasks ---- */

static const struct {
    const char *status;
    VimgTaskState state;
} task_states[] = {
    {"Finished", VIMG_TASK_FINISHED},
    {"Failed", VIMG_TASK_FAILED},
    {"Cancelled", VIMG_TASK_FAILED},
    {"Canceled", VIMG_TASK_FAILED},
};

/* What became of each thing of the task: reasons of failures, names of objects. */
static void
take_progress(JsonObject *progress, VimgTask *out, GPtrArray *objects)
{
    JsonArray *items = list_of(progress, "RelatedItemSet", "RelatedItem");
    g_autofree char *code = plain_text(progress, "ErrorCode");
    g_autofree char *text = plain_text(progress, "ErrorMsg");
    guint i;

    if (!out->reason && code && *code)
        out->reason = g_strdup_printf("%s: %s", code, text ? text : "-");
    for (i = 0; items && i < MIN(json_array_get_length(items), VIMG_CONTROL_OBJECTS_MAX); i++) {
        JsonObject *item = element(items, i);
        const char *name = item ? vimg_json_string(item, "Name") : NULL;
        const char *value = item ? vimg_json_string(item, "Value") : NULL;

        if (name && value && strcmp(name, "OSSObject") == 0 && *value && strlen(value) < 1024 &&
            objects->len < VIMG_CONTROL_OBJECTS_MAX)
            g_ptr_array_add(objects, g_strdup(value));
    }
}

gboolean
vimg_control_task(JsonObject *answer, VimgTask *out, GError **error)
{
    const char *status = vimg_json_string(answer, "TaskStatus");
    JsonArray *all = list_of(answer, "OperationProgressSet", "OperationProgress");
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(g_free);
    gsize i;

    memset(out, 0, sizeof(*out));
    if (!status)
        return throw_nonsense(error, "TaskStatus");
    for (i = 0; i < G_N_ELEMENTS(task_states); i++)
        if (g_ascii_strcasecmp(status, task_states[i].status) == 0)
            out->state = task_states[i].state;
    out->percent = percent_of(answer, "TaskProcess");
    if (out->percent == 0) /* what older servers call it */
        out->percent = percent_of(answer, "Progress");
    out->can_cancel = flag_of(answer, "SupportCancel");
    for (i = 0; all && i < MIN(json_array_get_length(all), VIMG_CONTROL_OBJECTS_MAX); i++)
        if (element(all, (guint)i))
            take_progress(element(all, (guint)i), out, objects);
    if (objects->len > 0) {
        g_ptr_array_add(objects, NULL);
        out->objects = (char **)g_ptr_array_steal(objects, NULL);
    }
    return TRUE;
}

void
vimg_task_clear(VimgTask *task)
{
    g_clear_pointer(&task->reason, g_free);
    g_clear_pointer(&task->objects, g_strfreev);
    memset(task, 0, sizeof(*task));
}

/* ---- images ---- */

static const struct {
    const char *status;
    VimgCloudImageState state;
} image_states[] = {
    {"Available", VIMG_CLOUD_IMAGE_AVAILABLE},
    {"Deprecated", VIMG_CLOUD_IMAGE_AVAILABLE},
    {"UnAvailable", VIMG_CLOUD_IMAGE_FAILED},
    {"CreateFailed", VIMG_CLOUD_IMAGE_FAILED},
};

static void
take_tags(JsonObject *image, VimgCloudImage *out)
{
    JsonArray *tags = list_of(image, "Tags", "Tag");
    guint i;

    out->tags = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (i = 0; tags && i < MIN(json_array_get_length(tags), TAGS_MAX); i++) {
        JsonObject *tag = element(tags, i);
        const char *key = tag ? vimg_json_string(tag, "TagKey") : NULL;
        const char *value = tag ? vimg_json_string(tag, "TagValue") : NULL;

        if (key && value)
            g_hash_table_replace(out->tags, g_strdup(key), g_strdup(value));
    }
}

gboolean
vimg_control_image(JsonObject *answer, VimgCloudImage *out, GError **error)
{
    JsonArray *images = list_of(answer, "Images", "Image");
    JsonObject *image;
    const char *status;
    gsize i;

    memset(out, 0, sizeof(*out));
    if (!images)
        return throw_nonsense(error, "Images");
    if (json_array_get_length(images) == 0)
        return TRUE;
    image = element(images, 0);
    status = image ? vimg_json_string(image, "Status") : NULL;
    if (!status)
        return throw_nonsense(error, "Status");
    out->id = vimg_control_id(image, "ImageId", error);
    if (!out->id)
        return FALSE;
    out->state = VIMG_CLOUD_IMAGE_WAITING;
    for (i = 0; i < G_N_ELEMENTS(image_states); i++)
        if (g_ascii_strcasecmp(status, image_states[i].status) == 0)
            out->state = image_states[i].state;
    out->name = plain_text(image, "ImageName");
    out->in_use = g_strcmp0(vimg_json_string(image, "Usage"), "instance") == 0;
    out->percent = percent_of(image, "Progress");
    take_tags(image, out);
    return TRUE;
}

void
vimg_cloud_image_clear(VimgCloudImage *image)
{
    g_clear_pointer(&image->id, g_free);
    g_clear_pointer(&image->name, g_free);
    g_clear_pointer(&image->tags, g_hash_table_unref);
    memset(image, 0, sizeof(*image));
}
