/*
 * machine-overlay.c: who else needs what a disk holds
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <json-glib/json-glib.h>

#include "cli/machine-file.h"
#include "cli/machine-overlay.h"
#include "util/error.h"
#include "util/i18n.h"

#define DEPTH_MAX 64 /* of a chain; QEMU bears fewer */

static gboolean
is_file(const char *path)
{
    struct stat info;

    return path && g_path_is_absolute(path) && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Returns: (transfer full) what the image at @path says it is upon, and as what; NULL: nothing. */
static char *
backing_of(const char *path, char **format)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    char *argv[] = {"qemu-img", "info", "-U", "--output=json", "-f", *format, (char *)path, NULL};
    g_autofree char *text = NULL;
    JsonObject *info;
    int status;

    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                      NULL, &text, NULL, &status, NULL) ||
        status != 0 || !json_parser_load_from_data(parser, text, -1, NULL) ||
        !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        return NULL;
    info = json_node_get_object(json_parser_get_root(parser));
    g_free(*format);
    *format = g_strdup(
        json_object_get_string_member_with_default(info, "backing-filename-format", "raw"));
    return g_strdup(
        json_object_get_string_member_with_default(info, "full-backing-filename", NULL));
}

/* Whether the file with @mark is below the image at @path.  Only files are looked at. */
static gboolean
is_upon(const char *path, const char *format, const char *mark)
{
    g_autofree char *at = g_strdup(path);
    g_autofree char *kind = g_strdup(format);

    for (int depth = 0; depth < DEPTH_MAX && strcmp(kind, "raw") != 0 && is_file(at); depth++) {
        char *next = backing_of(at, &kind);
        g_autofree char *real = next ? realpath(next, NULL) : NULL;
        g_autofree char *other = real ? vimg_file_mark(real) : NULL;

        g_free(at);
        at = next;
        if (g_strcmp0(other, mark) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean
refuse_for(virDomainPtr domain, const char *path, const char *mark, GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    VimgMachineParts parts = {0};
    gboolean ok = TRUE;

    if (xml && vimg_machine_parts_parse(&parts, xml, NULL))
        for (guint i = 0; i < parts.disks->len && ok; i++) {
            const VimgMachineDisk *disk = parts.disks->pdata[i];

            if (is_upon(disk->path, disk->format, mark))
                ok = vimg_throw(
                    error, VIMG_ERROR_OPERATION_INVALID,
                    _("disk '%1$s' of machine '%2$s' is an overlay upon '%3$s' and would be lost with it"),
                    disk->target, virDomainGetName(domain), path);
        }
    vimg_machine_parts_clear(&parts);
    free(xml);
    return ok;
}

gboolean
vimg_overlay_refuse(VimgMachine *machine, const char *path, GError **error)
{
    g_autofree char *mark = vimg_file_mark(path);
    virDomainPtr *list = NULL;
    int n = virConnectListAllDomains(machine->connection, &list, 0);
    gboolean ok = TRUE;

    if (!mark)
        return vimg_throw_errno(error, "'%s'", path);
    if (n < 0)
        return vimg_machine_throw(error);
    for (int i = 0; i < n; i++) {
        ok = ok && refuse_for(list[i], path, mark, error);
        virDomainFree(list[i]);
    }
    free(list);
    return ok;
}
