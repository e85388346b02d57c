/*
 * control.c: a control endpoint, where objects become images of the block storage
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <curl/curl.h>

#include "control-private.h"
#include "../thread.h"
#include "throw.h"

#define GIB ((guint64)1024 * 1024 * 1024)
/* Without it only those that can be used are listed. */
#define ALL_STATES "Creating,Waiting,Available,UnAvailable,CreateFailed,Deprecated"

/* ---- where it is ---- */

static void
url_cleanup(CURLU **url)
{
    curl_url_cleanup(*url);
}

static char *
part_of(CURLU *url, CURLUPart what)
{
    char *part = NULL;
    char *copy;

    if (curl_url_get(url, what, &part, 0) != CURLUE_OK)
        return NULL;
    copy = g_strdup(part);
    curl_free(part);
    return copy;
}

/* @host as in the header, @path: with a '/' first and at its end. */
static gboolean
take_apart(const char *text, char **host, char **path)
{
    static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                         CURLUPART_FRAGMENT};
    __attribute__((cleanup(url_cleanup))) CURLU *url = curl_url();
    g_autofree char *scheme = NULL;
    g_autofree char *name = NULL;
    g_autofree char *port = NULL;
    g_autofree char *way = NULL;
    gsize i;

    if (!url || curl_url_set(url, CURLUPART_URL, text, CURLU_PATH_AS_IS) != CURLUE_OK)
        return FALSE;
    for (i = 0; i < G_N_ELEMENTS(unwanted); i++) {
        g_autofree char *part = part_of(url, unwanted[i]);

        if (part)
            return FALSE;
    }
    scheme = part_of(url, CURLUPART_SCHEME);
    name = part_of(url, CURLUPART_HOST);
    port = part_of(url, CURLUPART_PORT);
    way = part_of(url, CURLUPART_PATH);
    if (!scheme || !name || !way || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return FALSE;
    *host = port ? g_strconcat(name, ":", port, NULL) : g_strdup(name);
    *path = g_str_has_suffix(way, "/") ? g_strdup(way) : g_strconcat(way, "/", NULL);
    return TRUE;
}

gboolean
vimg_control_check_url(const char *url, GError **error)
{
    g_autofree char *host = NULL;
    g_autofree char *path = NULL;

    /* the library would take a third '/' for a slip, and the path's beginning for the host */
    if ((g_str_has_prefix(url, "http://") || g_str_has_prefix(url, "https://")) &&
        !strstr(url, ":///") && take_apart(url, &host, &path))
        return TRUE;
    return throw_error(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                       _("'%s' is no control endpoint, as http://ocean.example.org:8080/ocean/api"),
                       url);
}

VimgControl *
vimg_control_new(const VimgControlRules *rules, VimgCredential *credential, GError **error)
{
    g_autoptr(VimgControl) control = g_new0(VimgControl, 1);

    thread_must(pthread_mutex_init(&control->lock, NULL));
    control->credential = vimg_credential_ref(credential);
    if (!vimg_control_check_url(rules->url, error))
        return NULL;
    take_apart(rules->url, &control->host, &control->path);
    control->url = g_strconcat(g_str_has_prefix(rules->url, "https:") ? "https://" : "http://",
                               control->host, control->path, NULL);
    control->dialect = rules->dialect;
    control->region = g_strdup(rules->region);
    control->version = g_strdup(rules->version ? rules->version : VIMG_CONTROL_VERSION);
    control->web = vimg_web_new(&rules->web, error);
    return control->web ? g_steal_pointer(&control) : NULL;
}

void
vimg_control_free(VimgControl *control)
{
    if (!control)
        return;
    vimg_web_free(control->web);
    vimg_credential_unref(control->credential);
    pthread_mutex_destroy(&control->lock);
    g_free(control->url);
    g_free(control->host);
    g_free(control->path);
    g_free(control->region);
    g_free(control->version);
    g_free(control);
}

void
vimg_control_set_credential(VimgControl *control, VimgCredential *credential)
{
    vimg_credential_set(&control->credential, credential, &control->lock);
}

gint64
vimg_control_skew(VimgControl *control)
{
    return __atomic_load_n(&control->skew, __ATOMIC_RELAXED);
}

/* ---- actions ---- */

static GPtrArray *
new_parameters(const VimgControl *control)
{
    GPtrArray *parameters = vimg_pairs_new();

    vimg_pairs_add(parameters, "RegionId", control->region);
    return parameters;
}

static void
add_if(GPtrArray *parameters, const char *name, const char *value)
{
    if (value)
        vimg_pairs_add(parameters, name, value);
}

static const struct {
    const char *ours;
    const char *theirs;
} formats[] = {{"raw", "RAW"}, {"qcow2", "QCOW2"}, {"vpc", "VHD"}, {"vmdk", "VMDK"}};

static const char *
format_of(const char *format)
{
    gsize i;

    for (i = 0; format && i < G_N_ELEMENTS(formats); i++)
        if (strcmp(formats[i].ours, format) == 0)
            return formats[i].theirs;
    return NULL;
}

gboolean
vimg_control_import(VimgControl *control, const VimgImport *import, char **image_id, char **task_id,
                    const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;
    g_autofree char *image = NULL;

    vimg_pairs_add(parameters, "ClientToken", import->token);
    vimg_pairs_add(parameters, "ImageName", import->name);
    add_if(parameters, "Description", import->description);
    add_if(parameters, "Architecture", import->arch);
    add_if(parameters, "OSType", import->os);
    vimg_pairs_add(parameters, "DiskDeviceMapping.1.OSSBucket", import->bucket);
    vimg_pairs_add(parameters, "DiskDeviceMapping.1.OSSObject", import->key);
    add_if(parameters, "DiskDeviceMapping.1.Format", format_of(import->format));
    vimg_pairs_add_number(parameters, "DiskDeviceMapping.1.DiskImageSize",
                          MAX(import->size / GIB + (import->size % GIB > 0), 1));
    vimg_pairs_add(parameters, "Tag.1.Key", import->tag);
    vimg_pairs_add(parameters, "Tag.1.Value", import->tag_value);
    answer = vimg_control_call(control, "ImportImage", parameters, patience, error);
    image = answer ? vimg_control_id(answer, "ImageId", error) : NULL;
    *task_id = image ? vimg_control_id(answer, "TaskId", error) : NULL;
    if (!*task_id)
        return FALSE;
    *image_id = g_steal_pointer(&image);
    return TRUE;
}

gboolean
vimg_control_export(VimgControl *control, const char *image_id, const char *bucket,
                    const char *prefix, const char *format, char **task_id,
                    const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;
    g_autofree char *theirs = NULL;

    vimg_pairs_add(parameters, "ImageId", image_id);
    vimg_pairs_add(parameters, "OSSBucket", bucket);
    add_if(parameters, "OSSPrefix", prefix);
    if (format_of(format)) {
        theirs = g_ascii_strdown(format_of(format), -1);
        vimg_pairs_add(parameters, "ImageFormat", theirs);
    }
    answer = vimg_control_call(control, "ExportImage", parameters, patience, error);
    *task_id = answer ? vimg_control_id(answer, "TaskId", error) : NULL;
    return *task_id != NULL;
}

gboolean
vimg_control_copy(VimgControl *control, const char *image_id, const char *name, const char *token,
                  char **new_id, const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;

    vimg_pairs_add(parameters, "ImageId", image_id);
    vimg_pairs_add(parameters, "DestinationRegionId", control->region);
    vimg_pairs_add(parameters, "DestinationImageName", name);
    vimg_pairs_add(parameters, "ClientToken", token);
    answer = vimg_control_call(control, "CopyImage", parameters, patience, error);
    *new_id = answer ? vimg_control_id(answer, "ImageId", error) : NULL;
    return *new_id != NULL;
}

gboolean
vimg_control_describe_task(VimgControl *control, const char *task_id, VimgTask *out,
                           const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;

    vimg_pairs_add(parameters, "TaskId", task_id);
    answer = vimg_control_call(control, "DescribeTaskAttribute", parameters, patience, error);
    return answer && vimg_control_task(answer, out, error);
}

gboolean
vimg_control_cancel_task(VimgControl *control, const char *task_id, const VimgPatience *patience,
                         GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;

    vimg_pairs_add(parameters, "TaskId", task_id);
    answer = vimg_control_call(control, "CancelTask", parameters, patience, error);
    return answer != NULL;
}

gboolean
vimg_control_describe_image(VimgControl *control, const char *image_id, const char *name,
                            VimgCloudImage *out, const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;

    vimg_pairs_add(parameters, "Status", ALL_STATES);
    vimg_pairs_add(parameters, "ImageOwnerAlias", "self");
    vimg_pairs_add(parameters, image_id ? "ImageId" : "ImageName", image_id ? image_id : name);
    answer = vimg_control_call(control, "DescribeImages", parameters, patience, error);
    if (!answer || !vimg_control_image(answer, out, error))
        return FALSE;
    /* one that does not look at what it is asked for shows images of others */
    if (out->state == VIMG_CLOUD_IMAGE_ABSENT ||
        g_strcmp0(image_id ? out->id : out->name, image_id ? image_id : name) == 0)
        return TRUE;
    throw_error(error, VIMG_ERROR_INTERNAL,
                _("the control endpoint answers with image '%1$s', and was asked for '%2$s'"),
                out->id, image_id ? image_id : name);
    vimg_cloud_image_clear(out);
    return FALSE;
}

gboolean
vimg_control_delete_image(VimgControl *control, const char *image_id, const VimgPatience *patience,
                          GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;
    g_autoptr(GError) local = NULL;

    vimg_pairs_add(parameters, "ImageId", image_id);
    answer = vimg_control_call(control, "DeleteImage", parameters, patience, &local);
    if (answer || g_error_matches(local, VIMG_ERROR, VIMG_ERROR_NO_VOL))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

gboolean
vimg_control_probe(VimgControl *control, const VimgPatience *patience, GError **error)
{
    g_autoptr(GPtrArray) parameters = new_parameters(control);
    g_autoptr(JsonObject) answer = NULL;
    g_auto(VimgCloudImage) image = {0};

    vimg_pairs_add_number(parameters, "PageSize", 1);
    answer = vimg_control_call(control, "DescribeImages", parameters, patience, error);
    return answer && vimg_control_image(answer, &image, error);
}
