/*
 * diagnose.c: the way to a bucket and a control endpoint, step by step
 *
 * Each row of the table at the end is a step, with what must have been found before it is tried.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "definition.h"
#include "../diagnosis.h"
#include "diagnose.h"
#include "open.h"
#include "throw.h"

#define STEP_SECONDS 12
#define SKEW_LIKED 60 /* seconds */

typedef struct {
    const VimgPluginPool *pool;
    VimgStepSink sink;
    gpointer data;
    const char *step;
    VimgEbsSite *site; /* NULL: there are no keys */
    gboolean reached;  /* the bucket answers us */
    gint64 date;       /* seconds since 1970, by the storage's clock; 0: it was not said */
} Diagnosis;

static const char *
find_remedy(const GError *error)
{
    static const struct {
        VimgErrorCode code;
        const char *remedy;
    } remedies[] = {
        {VIMG_ERROR_AUTH, N_("compare the access key, then virsh secret-set-value")},
        {VIMG_ERROR_ACCESS_DENIED,
         N_("give the access key the rights that virtimage-aliyunebs(5) names")},
        {VIMG_ERROR_DISCONNECTED,
         N_("see that host and port are right, and can be reached from here")},
        {VIMG_ERROR_TIMEOUT, N_("see that host and port are right, and can be reached from here")},
        {VIMG_ERROR_CONFIG_UNSUPPORTED, N_("correct the definition with virsh pool-edit")},
        {VIMG_ERROR_NO_SUPPORT,
         N_("choose another <image:control dialect='…'/> with virsh pool-edit, or give the endpoint's whole path")},
        {VIMG_ERROR_NO_SECRET, N_("define the secret with virsh secret-define")},
    };
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(remedies); i++) {
        if (g_error_matches(error, VIMG_ERROR, (gint)remedies[i].code))
            return _(remedies[i].remedy);
    }
    return NULL;
}

/* ---- steps ------------------------------------------------------------------------------ */

static void
look_at_key(Diagnosis *diagnosis)
{
    g_autoptr(GError) error = NULL;

    diagnosis->site = vimg_ebs_site_new(diagnosis->pool, &error);
    if (diagnosis->site)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("there is the access key '%s'"),
             vimg_ebs_key_of(diagnosis->pool, FALSE).user);
    else
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
}

static void
look_at_bucket(Diagnosis *diagnosis)
{
    VimgPatience patience = vimg_ebs_patience_for(STEP_SECONDS);
    g_autofree char *prefix = g_strconcat(diagnosis->site->prefix, "/", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgOssPage) page =
        vimg_oss_list(diagnosis->site->oss, prefix, "/", NULL, &patience, &error);

    diagnosis->reached = page != NULL;
    if (page)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("bucket '%s' answers, and takes our signature"),
             diagnosis->pool->source_name);
    else
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
}

static void
look_at_storage(Diagnosis *diagnosis)
{
    VimgPatience patience = vimg_ebs_patience_for(STEP_SECONDS);
    const char *known = diagnosis->pool->store_id;
    g_autoptr(GError) error = NULL;
    g_autofree char *id = vimg_ebs_read_id(diagnosis->site, &patience, &error);

    if (!id && vimg_ebs_is_gone(error))
        tell(diagnosis, VIMG_STEP_FAILED, _("virsh pool-build makes it"),
             _("there is no storage below '%s'"), diagnosis->site->prefix);
    else if (!id)
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
    else if (known && strcmp(id, known) != 0)
        tell(diagnosis, VIMG_STEP_FAILED, _("correct bucket or prefix with virsh pool-edit"),
             _("it is storage '%1$s', not '%2$s'"), id, known);
    else
        tell(diagnosis, VIMG_STEP_OK, NULL, _("storage '%s' is there"), id);
}

/* Puts an object, and another one in its place, which must be refused. */
static gboolean
try_writing(Diagnosis *diagnosis, const char *key, const GPtrArray *metadata, gboolean *exclusive,
            GError **error)
{
    VimgPatience patience = vimg_ebs_patience_for(STEP_SECONDS);
    VimgOssPut put = {.key = key, .data = "1", .size = 1, .metadata = metadata, .exclusive = TRUE};
    g_auto(VimgOssObject) seen = {0};
    g_autoptr(GError) local = NULL;

    if (!vimg_oss_put(diagnosis->site->oss, &put, NULL, &patience, error) ||
        !vimg_oss_head(diagnosis->site->oss, key, &seen, &patience, error))
        return FALSE;
    diagnosis->date = seen.date;
    put.data = "2";
    *exclusive = !vimg_oss_put(diagnosis->site->oss, &put, NULL, &patience, &local);
    if (!*exclusive || g_error_matches(local, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* With all of its @versions. */
static gboolean
remove_trial(const Diagnosis *diagnosis, const char *key, const char *name, guint versions,
             GError **error)
{
    VimgPatience patience = vimg_ebs_patience_for(STEP_SECONDS);

    while (versions > 0 &&
           vimg_ebs_drop_object(diagnosis->site, key, name, NULL, NULL, &patience, error))
        versions--;
    return versions == 0;
}

static void
look_at_writing(Diagnosis *diagnosis)
{
    g_autofree char *name = g_uuid_string_random();
    g_autofree char *key = vimg_ebs_key(diagnosis->site, "doctor", name);
    g_autoptr(GPtrArray) metadata = vimg_ebs_metadata(name);
    g_autoptr(GError) error = NULL;
    gboolean exclusive = FALSE;
    gboolean written = try_writing(diagnosis, key, metadata, &exclusive, &error);

    if (remove_trial(diagnosis, key, name, written && !exclusive ? 2 : 1, error ? NULL : &error) &&
        written && exclusive)
        tell(diagnosis, VIMG_STEP_OK, NULL,
             _("an object was written, and protected from another one"));
    else if (error)
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
    else
        tell(
            diagnosis, VIMG_STEP_WARNING, _("use a bucket without versions, or one host alone"),
            _("the storage replaces objects though it is told not to: two hosts may take one name"));
}

static void
look_at_clock(Diagnosis *diagnosis)
{
    gint64 skew = diagnosis->date - g_get_real_time() / G_USEC_PER_SEC;

    if (diagnosis->date == 0)
        tell(diagnosis, VIMG_STEP_SKIPPED, NULL, "%s", _("the storage does not tell its time"));
    else if (ABS(skew) > SKEW_LIKED)
        tell(diagnosis, VIMG_STEP_WARNING, _("set the clock of this host, as by chrony"),
             _("the storage's clock is %lld seconds ahead of ours"), (long long)skew);
    else
        tell(diagnosis, VIMG_STEP_OK, NULL, "%s", _("the storage's clock is ours"));
}

static void
look_at_control(Diagnosis *diagnosis)
{
    VimgPatience patience = vimg_ebs_patience_for(STEP_SECONDS);
    const VimgDialect *dialect = vimg_ebs_dialect(diagnosis->pool);
    g_autoptr(GError) error = NULL;

    if (!dialect)
        tell(diagnosis, VIMG_STEP_OK, NULL, _("there is no control endpoint: images are objects"));
    else if (vimg_control_probe(diagnosis->site->control, &patience, &error))
        tell(diagnosis, VIMG_STEP_OK, NULL, _("control endpoint '%1$s' speaks '%2$s' with us"),
             diagnosis->pool->device, dialect->name);
    else
        tell(diagnosis, VIMG_STEP_FAILED, find_remedy(error), "%s", error->message);
}

/* ---- the way ---------------------------------------------------------------------------- */

typedef enum {
    NEEDS_NOTHING,
    NEEDS_KEY,
    NEEDS_BUCKET,
} Needs;

static const struct {
    const char *name;
    Needs needs;
    void (*look)(Diagnosis *diagnosis);
} steps[] = {
    {"key", NEEDS_NOTHING, look_at_key},        {"bucket", NEEDS_KEY, look_at_bucket},
    {"storage", NEEDS_BUCKET, look_at_storage}, {"writing", NEEDS_BUCKET, look_at_writing},
    {"clock", NEEDS_BUCKET, look_at_clock},     {"control", NEEDS_KEY, look_at_control},
};

static gboolean
has(const Diagnosis *diagnosis, Needs needs)
{
    const gboolean found[] = {
        [NEEDS_NOTHING] = TRUE,
        [NEEDS_KEY] = diagnosis->site != NULL,
        [NEEDS_BUCKET] = diagnosis->reached,
    };

    return found[needs];
}

gboolean
vimg_ebs_diagnose(const VimgPluginPool *pool, VimgStepSink sink, gpointer data, VimgPluginJob *job,
                  GError **error)
{
    Diagnosis diagnosis = {.pool = pool, .sink = sink, .data = data};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(steps) && vimg_ebs_check_job(job, error); i++) {
        diagnosis.step = steps[i].name;
        if (has(&diagnosis, steps[i].needs))
            steps[i].look(&diagnosis);
        else
            tell(&diagnosis, VIMG_STEP_SKIPPED, NULL, "%s",
                 _("not tried: an earlier step must be right first"));
    }
    vimg_ebs_site_unref(diagnosis.site);
    return i == G_N_ELEMENTS(steps);
}
