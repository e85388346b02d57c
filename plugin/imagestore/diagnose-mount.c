/*
 * diagnose-mount.c: the file system that a store lies on
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "diagnose-private.h"
#include "location.h"
#include "../throw.h"

#define MOUNTS "/proc/self/mountinfo"

typedef struct {
    char *point;
    char *type;
    char *options; /* of the mount, then of the file system, each with a comma behind it */
} Mount;

static const struct {
    const char *type;
    const char *why;
} volatile_types[] = {
    {"tmpfs", N_("all that is stored there is gone after a reboot")},
    {"ramfs", N_("all that is stored there is gone after a reboot")},
    {"overlay", N_("what is stored there may go with the container it belongs to")},
};

static const struct {
    const char *option;
    const char *why;
} risky_options[] = {
    {"soft", N_("what is written while the server does not answer may be lost")},
    {"softerr", N_("what is written while the server does not answer may be lost")},
    {"nocto", N_("what other hosts store may be seen late")},
    {"nobarrier", N_("a power cut may take what was said to be durable")},
    {"barrier=0", N_("a power cut may take what was said to be durable")},
};

static void
mount_clear(Mount *mount)
{
    g_free(mount->point);
    g_free(mount->type);
    g_free(mount->options);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mount, mount_clear)

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE OPTIONS */
static gboolean
parse_line(const char *line, Mount *out)
{
    g_auto(GStrv) halves = g_strsplit(line, " - ", 2);
    g_auto(GStrv) head = NULL;
    g_auto(GStrv) tail = NULL;

    if (g_strv_length(halves) < 2)
        return FALSE;
    head = g_strsplit(halves[0], " ", 0);
    tail = g_strsplit(halves[1], " ", 0);
    if (g_strv_length(head) < 6 || g_strv_length(tail) < 3)
        return FALSE;
    out->point = g_strcompress(head[4]); /* blanks are \040 */
    out->type = g_strdup(tail[0]);
    out->options = g_strconcat(head[5], ",", tail[2], ",", NULL);
    return TRUE;
}

static gboolean
is_below(const char *path, const char *point)
{
    gsize length = strcmp(point, "/") == 0 ? 0 : strlen(point);

    return strncmp(path, point, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The mount of @path: the longest, and of those the last.  FALSE: nobody knows. */
static gboolean
find_mount(const char *mounts, const char *path, Mount *out)
{
    g_auto(GStrv) lines = g_strsplit(mounts, "\n", 0);
    guint i;

    for (i = 0; lines[i]; i++) {
        g_auto(Mount) mount = {0};

        if (!parse_line(lines[i], &mount) || !is_below(path, mount.point) ||
            (out->point && strlen(mount.point) < strlen(out->point)))
            continue;
        mount_clear(out);
        *out = mount;
        mount = (Mount){0};
    }
    return out->point != NULL;
}

static gboolean
has_option(const Mount *mount, const char *option)
{
    g_auto(GStrv) options = g_strsplit(mount->options, ",", 0);

    return g_strv_contains((const char *const *)options, option);
}

static gboolean
judge_type(VimgDiagnosis *diagnosis, const Mount *mount)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(volatile_types); i++) {
        if (strcmp(mount->type, volatile_types[i].type) == 0) {
            tell(diagnosis, VIMG_STEP_WARNING, _("keep the store on a disk"), "%s: %s", mount->type,
                 _(volatile_types[i].why));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean
judge_options(VimgDiagnosis *diagnosis, const Mount *mount)
{
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(risky_options); i++) {
        if (has_option(mount, risky_options[i].option)) {
            tell(diagnosis, VIMG_STEP_WARNING, _("mount it without that option"), "%s, %s: %s",
                 mount->type, risky_options[i].option, _(risky_options[i].why));
            return FALSE;
        }
    }
    return TRUE;
}

void
vimg_diagnose_mount_in(VimgDiagnosis *diagnosis, const char *mounts)
{
    g_autofree char *path = vimg_location_resolve(diagnosis->pool->dir);
    g_auto(Mount) mount = {0};

    if (!find_mount(mounts, path, &mount)) {
        tell(diagnosis, VIMG_STEP_SKIPPED, NULL, "%s", _("the mounts of this host cannot be read"));
        return;
    }
    if (!judge_type(diagnosis, &mount) || !judge_options(diagnosis, &mount))
        return;
    if (g_str_has_prefix(mount.type, "nfs"))
        tell(
            diagnosis, VIMG_STEP_OK, NULL,
            _("%1$s, mounted at '%2$s'; whether its server exports it as 'async', which loses data in a power cut, cannot be seen from here"),
            mount.type, mount.point);
    else
        tell(diagnosis, VIMG_STEP_OK, NULL, _("%1$s, mounted at '%2$s'"), mount.type, mount.point);
}

void
vimg_diagnose_mount(VimgDiagnosis *diagnosis)
{
    g_autofree char *mounts = NULL;

    g_file_get_contents(MOUNTS, &mounts, NULL, NULL);
    vimg_diagnose_mount_in(diagnosis, mounts ? mounts : "");
}
