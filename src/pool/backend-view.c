/*
 * backend-view.c: a definition as a backend sees it, and whether that backend can take it
 *
 * Also the callbacks that work on a definition alone, without an open storage.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "pool/backend-private.h"
#include "util/i18n.h"

struct _VimgPoolView {
    VimgPluginPool pool;
    const VimgPoolDef *def; /* borrowed */
    char uuid[VIMG_UUID_TEXT_SIZE];
    VimgPluginAddress *hosts;
    VimgPluginElement *elements;
    char *store_id;
    char *state_dir;
};

static void
view_hosts(VimgPoolView *view, const GPtrArray *hosts)
{
    view->hosts = g_new0(VimgPluginAddress, hosts->len + 1);
    for (guint i = 0; i < hosts->len; i++) {
        const VimgHostDef *host = hosts->pdata[i];

        view->hosts[i] = (VimgPluginAddress){.name = host->name, .port = host->port};
    }
}

static void
view_elements(VimgPoolView *view, const GPtrArray *elements)
{
    view->elements = g_new0(VimgPluginElement, elements->len + 1);
    for (guint i = 0; i < elements->len; i++) {
        const VimgElementDef *element = elements->pdata[i];

        view->elements[i] = (VimgPluginElement){
            .path = element->path,
            .attributes = (const char *const *)element->attributes,
            .text = element->text ? element->text : "",
        };
    }
}

VimgPoolView *
vimg_pool_view_new(const VimgPoolDef *def, const char *store_id, const char *state_dir)
{
    VimgPoolView *view = g_new0(VimgPoolView, 1);

    view->def = def;
    view->store_id = g_strdup(store_id);
    view->state_dir = g_strdup(state_dir);
    vimg_uuid_format(def->uuid, view->uuid);
    view_hosts(view, def->hosts);
    view_elements(view, def->elements);
    view->pool = (VimgPluginPool){
        .size = sizeof(view->pool),
        .name = def->name,
        .uuid = view->uuid,
        .hosts = view->hosts,
        .n_hosts = def->hosts->len,
        .dir = vimg_pool_def_dir(def),
        .source_name = def->source_name,
        .device = def->device,
        .auth_type = def->auth_type,
        .auth_user = def->auth_user,
        .secret_usage = def->secret_usage,
        .secret_uuid = def->secret_uuid,
        .data_network = def->data_network,
        .sync_network = def->sync_network,
        .retrieve_existing = def->retrieve_existing,
        .keep_deleted = def->keep_deleted,
        .keep_temporary = def->keep_temporary,
        .space_reserve = def->space_reserve,
        .space_quota = def->space_quota,
        .elements = view->elements,
        .n_elements = def->elements->len,
        .store_id = view->store_id,
        .state_dir = view->state_dir,
    };
    return view;
}

void
vimg_pool_view_free(VimgPoolView *view)
{
    if (!view)
        return;
    g_free(view->hosts);
    g_free(view->elements);
    g_free(view->store_id);
    g_free(view->state_dir);
    g_free(view);
}

const VimgPluginPool *
vimg_pool_view_get(const VimgPoolView *view)
{
    return &view->pool;
}

void
vimg_pool_view_set_secret(VimgPoolView *view, const VimgBuffer *secret)
{
    view->pool.secret = secret;
}

/* ---- source elements -------------------------------------------------------------------- */

static gboolean
has_dir(const VimgPoolDef *def)
{
    return vimg_pool_def_dir(def) != NULL;
}

static gboolean
has_host(const VimgPoolDef *def)
{
    return def->hosts->len > 0;
}

static gboolean
has_name(const VimgPoolDef *def)
{
    return def->source_name != NULL;
}

static gboolean
has_device(const VimgPoolDef *def)
{
    return def->device != NULL;
}

static gboolean
has_auth(const VimgPoolDef *def)
{
    return def->auth_type != NULL;
}

/* <target><path> is what stock clients add to any pool: only <source><dir> asks for something. */
static gboolean
gives_dir(const VimgPoolDef *def)
{
    return def->source_dir != NULL;
}

/* Texts for a missing element are stock's. */
static const struct {
    guint32 fields; /* any of these */
    gboolean (*has)(const VimgPoolDef *def);
    gboolean (*gives)(const VimgPoolDef *def);
    const char *missing;
    const char *element;
} source_elements[] = {
    {VIMG_SOURCE_HOST | VIMG_SOURCE_HOSTS, has_host, has_host,
     N_("missing storage pool source host name"), "host"},
    {VIMG_SOURCE_DIR, has_dir, gives_dir, N_("missing storage pool source path"), "dir"},
    {VIMG_SOURCE_NAME, has_name, has_name, N_("missing storage pool source name"), "name"},
    {VIMG_SOURCE_DEVICE, has_device, has_device, N_("missing storage pool source device path"),
     "device"},
    {VIMG_SOURCE_AUTH, has_auth, has_auth, N_("missing storage pool source auth"), "auth"},
};

static gboolean
check_source(const VimgType *type, const VimgPoolDef *def, GError **error)
{
    guint32 allowed = type->table.source_required | type->table.source_allowed;
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(source_elements); i++) {
        guint32 fields = source_elements[i].fields;

        if (type->table.source_required & fields && !source_elements[i].has(def))
            return vimg_throw(error, VIMG_ERROR_XML, "%s", _(source_elements[i].missing));
        if (!(allowed & fields) && source_elements[i].gives(def))
            return vimg_throw(error, VIMG_ERROR_XML,
                              _("storage pool type '%1$s' takes no source element '%2$s'"),
                              type->name, source_elements[i].element);
    }
    if (def->hosts->len > 1 && !(allowed & VIMG_SOURCE_HOSTS))
        return vimg_throw(error, VIMG_ERROR_XML, "%s",
                          _("expected exactly one host for the storage pool"));
    if (def->auth_type && g_strcmp0(def->auth_type, type->table.auth_type) != 0)
        return vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED, _("unknown auth type '%s'"),
                          def->auth_type);
    return TRUE;
}

/* ---- options ---------------------------------------------------------------------------- */

/* Returns: (transfer full) all a backend takes, as "slice/@size, slice/@compression". */
static char *
allowed_options(const VimgType *type)
{
    const VimgPluginOption *option;
    g_autoptr(GString) text = g_string_new(NULL);

    for (option = type->table.options; option && option->path; option++)
        g_string_append_printf(text, "%s%s/@%s", text->len > 0 ? ", " : "", option->path,
                               option->attribute);
    if (text->len == 0)
        g_string_append(text, _("none"));
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Whether @path is an option's element or one that holds such. */
static gboolean
element_known(const VimgType *type, const char *path)
{
    const VimgPluginOption *option;
    gsize length = strlen(path);

    for (option = type->table.options; option && option->path; option++) {
        if (strncmp(option->path, path, length) == 0 &&
            (option->path[length] == '\0' || option->path[length] == '/'))
            return TRUE;
    }
    return FALSE;
}

static const VimgPluginOption *
find_option(const VimgType *type, const char *path, const char *attribute)
{
    const VimgPluginOption *option;

    for (option = type->table.options; option && option->path; option++) {
        if (strcmp(option->path, path) == 0 && strcmp(option->attribute, attribute) == 0)
            return option;
    }
    return NULL;
}

static gboolean
in_list(const char *values, const char *value)
{
    g_auto(GStrv) list = g_strsplit(values, "|", -1);

    return g_strv_contains((const char *const *)list, value);
}

static gboolean
check_value(const VimgPluginOption *option, const char *value, GError **error)
{
    guint64 number;

    switch (option->type) {
    case VIMG_OPTION_STRING:
        return TRUE;
    case VIMG_OPTION_BOOL:
        if (in_list("yes|no", value))
            return TRUE;
        break;
    case VIMG_OPTION_ENUM:
        if (in_list(option->values, value))
            return TRUE;
        break;
    case VIMG_OPTION_UINT:
        if (g_ascii_string_to_unsigned(value, 10, option->min, option->max, &number, NULL))
            return TRUE;
        return vimg_throw(
            error, VIMG_ERROR_XML,
            _("Invalid value for attribute '%1$s' in element '%2$s': '%3$s' is not a number from %4$llu to %5$llu"),
            option->attribute, option->path, value, (unsigned long long)option->min,
            (unsigned long long)option->max);
    }
    return vimg_throw(
        error, VIMG_ERROR_XML,
        _("Invalid value for attribute '%1$s' in element '%2$s': '%3$s' is not one of %4$s"),
        option->attribute, option->path, value,
        option->type == VIMG_OPTION_BOOL ? "yes|no" : option->values);
}

static gboolean
check_element(const VimgType *type, const VimgPluginElement *element, GError **error)
{
    const char *const *attribute;

    if (!element_known(type, element->path)) {
        g_autofree char *allowed = allowed_options(type);

        return vimg_throw(error, VIMG_ERROR_XML,
                          _("unknown option element '%1$s'; storage pool type '%2$s' takes: %3$s"),
                          element->path, type->name, allowed);
    }
    if (*element->text)
        return vimg_throw(error, VIMG_ERROR_XML, _("option element '%s' takes no text"),
                          element->path);
    for (attribute = element->attributes; attribute && *attribute; attribute += 2) {
        const VimgPluginOption *option = find_option(type, element->path, attribute[0]);

        if (!option) {
            g_autofree char *allowed = allowed_options(type);

            return vimg_throw(
                error, VIMG_ERROR_XML,
                _("unknown attribute '%1$s' in element '%2$s'; storage pool type '%3$s' takes: %4$s"),
                attribute[0], element->path, type->name, allowed);
        }
        if (!check_value(option, attribute[1], error))
            return FALSE;
    }
    return TRUE;
}

gboolean
vimg_type_check(const VimgType *type, const VimgPoolView *view, GError **error)
{
    GError *local = NULL;
    gboolean ok;
    gsize i;

    if (!check_source(type, view->def, error))
        return FALSE;
    if (view->pool.retrieve_existing && !vimg_type_can_adopt(type))
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("storage pool type '%s' cannot retrieve existing images: leave out element 'retrieve'"),
            type->name);
    for (i = 0; i < view->pool.n_elements; i++) {
        if (!check_element(type, &view->pool.elements[i], error))
            return FALSE;
    }
    if (!type->table.check)
        return TRUE;
    ok = type->table.check(&view->pool, &local);
    return vimg_type_settle(type, ok, local, NULL, error);
}

/* ---- storages that are not open --------------------------------------------------------- */

char *
vimg_type_identity(const VimgType *type, const VimgPoolView *view)
{
    char *identity = type->table.identity(&view->pool);

    if (identity && *identity)
        return identity;
    vimg_type_complain(type, "a definition without identity");
    g_free(identity);
    return g_strdup_printf("%s:pool:%s", type->name, view->uuid);
}

gboolean
vimg_type_build(const VimgType *type, const VimgPoolView *view, guint flags, VimgPluginJob *job,
                GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!type->table.build)
        return TRUE; /* there is nothing to prepare; stock says so too */
    ok = type->table.build(&view->pool, flags, job, &local);
    return vimg_type_settle(type, ok, local, NULL, error);
}

gboolean
vimg_type_remove(const VimgType *type, const VimgPoolView *view, VimgPluginJob *job, GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!type->table.remove)
        return vimg_throw(error, VIMG_ERROR_NO_SUPPORT, "%s",
                          _("pool does not support pool deletion"));
    ok = type->table.remove(&view->pool, job, &local);
    return vimg_type_settle(type, ok, local, NULL, error);
}

gboolean
vimg_type_host_key_accept(const VimgType *type, const VimgPoolView *view, const char *fingerprint,
                          GError **error)
{
    GError *local = NULL;
    gboolean ok;

    if (!type->table.host_key_accept)
        return vimg_throw(error, VIMG_ERROR_NO_SUPPORT,
                          _("storages of pool type '%s' are not known by keys"), type->name);
    ok = type->table.host_key_accept(&view->pool, fingerprint, &local);
    return vimg_type_settle(type, ok, local, NULL, error);
}

char *
vimg_type_find_sources(const VimgType *type, const VimgPoolView *view, GError **error)
{
    g_autofree char *found = NULL;
    GError *local = NULL;

    if (!type->table.find_sources) {
        vimg_throw(error, VIMG_ERROR_NO_SUPPORT,
                   _("pool type '%s' does not support source discovery"), type->name);
        return NULL;
    }
    found = type->table.find_sources(&view->pool, &local);
    if (!vimg_type_settle(type, found != NULL, local, NULL, error))
        return NULL;
    if (!g_utf8_validate(found, -1, NULL)) {
        vimg_type_nonsense(type, NULL, error, "sources that are not UTF-8");
        return NULL;
    }
    return g_steal_pointer(&found);
}

char *
vimg_type_location(const VimgType *type, const VimgPoolView *view)
{
    g_autofree char *location = type->table.location ? type->table.location(&view->pool) : NULL;

    if (!type->table.location)
        return NULL;
    if (location && *location && vimg_text_check(location))
        return g_steal_pointer(&location);
    vimg_type_complain(type, "a definition without location");
    return NULL;
}
