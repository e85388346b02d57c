/*
 * doctor.c: the way from a definition to its storage, step by step
 *
 * It takes neither the pool nor its open storage: it must work while that hangs in being started.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <json-glib/json-glib.h>

#include "pool/model-private.h"
#include "util/i18n.h"

static const char *const verdicts[] = {
    [VIMG_STEP_OK] = "ok",
    [VIMG_STEP_WARNING] = "warning",
    [VIMG_STEP_FAILED] = "failed",
    [VIMG_STEP_SKIPPED] = "skipped",
};
G_STATIC_ASSERT(G_N_ELEMENTS(verdicts) == VIMG_N_VERDICTS);

typedef struct {
    VimgPool *pool;
    const VimgPoolDef *def;
    JsonArray *steps;
    VimgStepVerdict worst;
} Doctor;

/* A VimgStepSink. */
static void
add_step(const VimgPluginStep *step, gpointer data)
{
    Doctor *doctor = data;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "step", step->name);
    json_object_set_string_member(object, "verdict", verdicts[step->verdict]);
    json_object_set_string_member(object, "detail", step->detail);
    if (step->remedy)
        json_object_set_string_member(object, "remedy", step->remedy);
    json_array_add_object_element(doctor->steps, object);
    if (step->verdict != VIMG_STEP_SKIPPED)
        doctor->worst = MAX(doctor->worst, step->verdict);
}

static void
add(Doctor *doctor, const char *name, VimgStepVerdict verdict, const char *detail,
    const char *remedy)
{
    const VimgPluginStep step = {
        .size = sizeof(step), .name = name, .verdict = verdict, .detail = detail, .remedy = remedy};

    add_step(&step, doctor);
}

/* @found: the detail if @ok; else @error is the detail and @remedy the way out. */
static void
judge(Doctor *doctor, const char *name, gboolean ok, const GError *error, const char *found,
      const char *remedy)
{
    add(doctor, name, ok ? VIMG_STEP_OK : VIMG_STEP_FAILED, ok ? found : error->message,
        ok ? NULL : remedy);
}

/* ---- steps of every pool ---------------------------------------------------------------- */

static const VimgType *
look_at_backend(Doctor *doctor)
{
    g_autoptr(GError) error = NULL;
    const VimgType *type =
        vimg_backends_get(doctor->pool->model->backends, doctor->def->type, &error);
    const char *found = type ? vimg_type_table(type)->description : NULL;

    judge(doctor, "backend", type != NULL, error, found ? found : doctor->def->type,
          _("install what the message names, then restart the daemon"));
    return type;
}

static gboolean
look_at_definition(Doctor *doctor, const VimgType *type, const VimgPoolView *view)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_pool_def_check(doctor->def, &error) &&
                  vimg_pool_check_path(doctor->def, &error) &&
                  (!type || vimg_type_check(type, view, &error));

    judge(doctor, "definition", ok, error, _("it is valid"), _("correct it with virsh pool-edit"));
    return ok;
}

static void
look_at_zone(Doctor *doctor)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = vimg_zone_check(doctor->def, doctor->pool->model->zones, &error);

    judge(doctor, "zone", ok, error, _("this host may open the pool"),
          _("attach the pool to a zone of this host, or start it on a host of its zones"));
}

static void
look_at_secret(Doctor *doctor)
{
    const VimgServices *services = vimg_services_get();
    const VimgPoolDef *def = doctor->def;
    g_autoptr(GError) error = NULL;
    VimgBuffer *value;

    if (!def->auth_type || (!def->secret_usage && !def->secret_uuid))
        return;
    value = services->secret_get(def->auth_type, def->secret_usage, def->secret_uuid, &error);
    judge(doctor, "secret", value != NULL, error, _("it is there and has a value"),
          _("define it with virsh secret-define and give it its value with secret-set-value"));
    if (value)
        services->secret_free(value);
}

/* Returns: (transfer full) */
static char *
describe_last(const char *error, gint64 failed_at)
{
    g_autoptr(GDateTime) then = g_date_time_new_from_unix_local(failed_at);
    g_autofree char *when = g_date_time_format(then, "%Y-%m-%d %H:%M:%S");

    return g_strdup_printf(_("the pool is connected; its last error, %1$s: %2$s"), when, error);
}

static void
look_at_state(Doctor *doctor)
{
    VimgPool *pool = doctor->pool;
    g_autofree char *lost = NULL;
    g_autofree char *last = NULL;
    gboolean connected;
    gboolean active;

    vimg_mutex_lock(&pool->lock);
    active = pool->active;
    connected = pool->status == VIMG_POOL_CONNECTED;
    lost = g_strdup(pool->lost);
    if (pool->last_error)
        last = describe_last(pool->last_error, pool->failed_at);
    vimg_mutex_unlock(&pool->lock);
    if (!active)
        add(doctor, "connection", VIMG_STEP_OK, _("the pool is not active"), NULL);
    else if (connected)
        add(doctor, "connection", VIMG_STEP_OK, last ? last : _("the pool is connected"), NULL);
    else
        add(doctor, "connection", VIMG_STEP_FAILED, lost ? lost : _("it is being connected"),
            _("mend what fails below; virsh pool-refresh then connects at once"));
}

/* ---- all of them ------------------------------------------------------------------------ */

static gboolean
look_at_storage(Doctor *doctor, const VimgType *type, const VimgPoolView *view, VimgJob *job,
                GError **error)
{
    if (type)
        return vimg_type_diagnose(type, view, add_step, doctor, job, error);
    add(doctor, "storage", VIMG_STEP_SKIPPED, _("not without its backend and a valid definition"),
        NULL);
    return TRUE;
}

/* Under the lock, as a pool that is renamed takes its jobs along. */
static VimgJob *
begin(VimgPool *pool)
{
    VIMG_LOCK_GUARD(&pool->lock);
    return vimg_job_begin(pool->model->jobs, VIMG_DOCTOR_KIND, vimg_pool_name(pool), NULL, 0);
}

static gboolean
look(Doctor *doctor, GError **error)
{
    VimgPool *pool = doctor->pool;
    g_autoptr(VimgJob) job = begin(pool);
    const VimgType *type = look_at_backend(doctor);
    g_autoptr(GError) local = NULL;
    g_autofree char *known = vimg_persist_store_id(pool, &local);
    g_autoptr(VimgPoolView) view = vimg_pool_view(pool->model, doctor->def, known);

    if (local)
        add(doctor, "record", VIMG_STEP_FAILED, local->message,
            _("without it nobody knows which storage is that of the pool: bring the file back"));
    if (!look_at_definition(doctor, type, view))
        type = NULL;
    look_at_zone(doctor);
    look_at_secret(doctor);
    look_at_state(doctor);
    return look_at_storage(doctor, type, view, job, error);
}

char *
vimg_model_pool_doctor(VimgModel *model, const VimgPoolId *id, GError **error)
{
    g_autoptr(VimgPool) pool = vimg_registry_get(model, id, error);
    g_autoptr(VimgPoolDef) def = pool ? vimg_pool_copy_def(pool) : NULL;
    g_autoptr(JsonObject) root = NULL;
    g_autoptr(JsonNode) node = NULL;
    Doctor doctor = {.pool = pool, .def = def};

    if (!pool)
        return NULL;
    root = json_object_new();
    json_object_set_string_member(root, "pool", vimg_pool_name(pool));
    doctor.steps = json_array_new();
    json_object_set_array_member(root, "steps", doctor.steps);
    if (!look(&doctor, error))
        return NULL;
    json_object_set_string_member(root, "verdict", verdicts[doctor.worst]);
    node = json_node_init_object(json_node_alloc(), root);
    return json_to_string(node, FALSE);
}
