/*
 * backend.c: find and load backend modules, and hold them to the contract
 *
 * A module is opened when its type is first needed and stays for the life of the process: code of
 * libraries it brought along may run in threads we know nothing of.  What is kept is a zeroed copy
 * of as much of its table as both sides know.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>
#include <gmodule.h>

#include "pool/backend-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define MODULE_PREFIX "vimg-"
#define MODULE_SUFFIX ".so"

/* Distinct complaints about one backend; a liar must not fill the log. */
#define COMPLAINTS_MAX 256

struct _VimgBackends {
    const VimgServices *services;
    GHashTable *types; /* char * (of the type) → VimgType; constant once made */
};

#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(VimgBackend, name)                                                         \
    }

typedef struct {
    const char *name;
    gsize offset; /* of a pointer in VimgBackend */
} Field;

static const Field required[] = {
    FIELD(type),        FIELD(formats),     FIELD(identity),     FIELD(open),
    FIELD(close),       FIELD(probe),       FIELD(list),         FIELD(stat),
    FIELD(reader_open), FIELD(reader_next), FIELD(reader_close),
};

/* What content() is in the place of, besides those that write. */
static const Field moving[] = {
    FIELD(reader_open), FIELD(reader_next), FIELD(reader_close),
    FIELD(writer_stat), FIELD(writer_read), FIELD(writer_format),
};

/* All of them or none. */
static const Field writing[] = {
    FIELD(writer_open),   FIELD(writer_write), FIELD(writer_hole),
    FIELD(writer_finish), FIELD(writer_abort),
};

static const Field files[] = {
    FIELD(file_list),
    FIELD(file_open),
    FIELD(file_next),
    FIELD(file_close),
};

/* ---- types ------------------------------------------------------------------------------ */

static void
type_free(gpointer data)
{
    VimgType *type = data;

    vimg_mutex_clear(&type->lock);
    vimg_mutex_clear(&type->complaints->lock);
    g_hash_table_unref(type->complaints->seen);
    g_free(type->complaints);
    g_free(type->reason);
    g_free(type->path);
    g_free(type->name);
    g_free(type);
}

/* Names come from file names and from our own list; both become part of paths and documents. */
static gboolean
type_name_ok(const char *name)
{
    const char *c;

    for (c = name; *c; c++) {
        if (!g_ascii_islower(*c) && !g_ascii_isdigit(*c) && *c != '-')
            return FALSE;
    }
    return c > name && c - name <= 64;
}

static void
add_type(VimgBackends *backends, const char *plugin_dir, const char *name)
{
    g_autofree char *file = g_strconcat(MODULE_PREFIX, name, MODULE_SUFFIX, NULL);
    VimgType *type;

    if (!type_name_ok(name) || g_hash_table_contains(backends->types, name))
        return;
    type = g_new0(VimgType, 1);
    type->name = g_strdup(name);
    type->path = g_build_filename(plugin_dir, file, NULL);
    vimg_mutex_init(&type->lock);
    type->complaints = g_new0(VimgComplaints, 1);
    vimg_mutex_init(&type->complaints->lock);
    type->complaints->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert(backends->types, type->name, type);
}

VimgBackends *
vimg_backends_new(const char *plugin_dir, const VimgServices *services)
{
    VimgBackends *backends = g_new0(VimgBackends, 1);
    g_auto(GStrv) known = g_strsplit(VIMG_KNOWN_BACKENDS, " ", -1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(plugin_dir, 0, &error);
    const char *file;
    char **name;

    backends->services = services;
    backends->types = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, type_free);
    for (name = known; *name; name++)
        add_type(backends, plugin_dir, *name);
    if (!dir)
        vimg_warning("no backends: %s", error->message);
    while (dir && (file = g_dir_read_name(dir))) {
        g_autofree char *type = NULL;

        if (!g_str_has_prefix(file, MODULE_PREFIX) || !g_str_has_suffix(file, MODULE_SUFFIX) ||
            strlen(file) <= strlen(MODULE_PREFIX MODULE_SUFFIX))
            continue;
        type = g_strndup(file + strlen(MODULE_PREFIX),
                         strlen(file) - strlen(MODULE_PREFIX MODULE_SUFFIX));
        add_type(backends, plugin_dir, type);
    }
    return backends;
}

void
vimg_backends_free(VimgBackends *backends)
{
    if (!backends)
        return;
    g_hash_table_unref(backends->types);
    g_free(backends);
}

/* ---- loading ---------------------------------------------------------------------------- */

static gboolean
field_set(const VimgBackend *table, const Field *field)
{
    gpointer value;

    memcpy(&value, (const char *)table + field->offset, sizeof(value));
    return value != NULL;
}

static guint
count_set(const VimgBackend *table, const Field *fields, gsize n)
{
    guint set = 0;
    gsize i;

    for (i = 0; i < n; i++)
        set += field_set(table, &fields[i]);
    return set;
}

static gboolean
check_formats(const VimgType *type, GError **error)
{
    g_auto(GStrv) formats = g_strsplit(type->table.formats, "|", -1);
    char **format;

    for (format = formats; *format; format++) {
        if (!type_name_ok(*format))
            return vimg_throw(error, VIMG_ERROR_INTERNAL, "bad list of formats '%s'",
                              type->table.formats);
    }
    return TRUE;
}

static gboolean
check_options(const VimgType *type, GError **error)
{
    const VimgPluginOption *option;

    for (option = type->table.options; option && option->path; option++) {
        if (!option->attribute || (guint)option->type > VIMG_OPTION_ENUM ||
            (option->type == VIMG_OPTION_ENUM && !option->values) ||
            (option->type == VIMG_OPTION_UINT && option->min > option->max))
            return vimg_throw(error, VIMG_ERROR_INTERNAL, "bad option of element '%s'",
                              option->path);
    }
    return TRUE;
}

/* What must be true of the copied table before anything in it is used. */
static gboolean
check_table(const VimgType *type, GError **error)
{
    const VimgBackend *table = &type->table;
    guint n_writing = count_set(table, writing, G_N_ELEMENTS(writing));
    guint n_files = count_set(table, files, G_N_ELEMENTS(files));
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(required); i++) {
        if (!field_set(table, &required[i]))
            return vimg_throw(error, VIMG_ERROR_INTERNAL, "it lacks '%s'", required[i].name);
    }
    if (n_writing > 0 && n_writing < G_N_ELEMENTS(writing))
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "it has some of the writer_… callbacks only");
    if (n_files > 0 && (n_files < G_N_ELEMENTS(files) || n_writing == 0 || !table->create))
        return vimg_throw(
            error, VIMG_ERROR_INTERNAL,
            "it has some of the file_… callbacks only, or cannot make images of them");
    if (strcmp(table->type, type->name) != 0)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "it calls itself '%s'", table->type);
    return check_formats(type, error) && check_options(type, error);
}

/* Content in plain files is moved by our own callbacks, which must not meet others. */
static gboolean
adopt_content(VimgBackend *table, GError **error)
{
    if (!table->content)
        return TRUE;
    if (count_set(table, writing, G_N_ELEMENTS(writing)) > 0 ||
        count_set(table, moving, G_N_ELEMENTS(moving)) > 0)
        return vimg_throw(error, VIMG_ERROR_INTERNAL,
                          "it has 'content' and some of the writer_… or reader_… callbacks");
    vimg_file_callbacks(table);
    return TRUE;
}

static gboolean
adopt_table(VimgType *type, const VimgBackend *table, GError **error)
{
    if (table->abi == 0 || table->abi > VIMG_PLUGIN_ABI)
        return vimg_throw(error, VIMG_ERROR_INTERNAL,
                          "it is made for version %u of the contract, this daemon has version %u",
                          table->abi, VIMG_PLUGIN_ABI);
    memcpy(&type->table, table, MIN(table->size, sizeof(type->table)));
    return adopt_content(&type->table, error) && check_table(type, error);
}

/* Called with the type's lock held, once a process for each module. */
static gboolean
load_module(VimgType *type, const VimgServices *services, GError **error)
{
    GModule *module = g_module_open_full(type->path, G_MODULE_BIND_LOCAL, error);
    const VimgBackend *table;
    VimgPluginInitFunc init = NULL;
    g_autoptr(GError) local = NULL;
    gpointer symbol;

    if (!module)
        return FALSE;
    /* from here on its code may run in threads of its own */
    g_module_make_resident(module);
    if (!g_module_symbol(module, VIMG_PLUGIN_INIT_NAME, &symbol) || !symbol)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "it does not export %s()",
                          VIMG_PLUGIN_INIT_NAME);
    memcpy(&init, &symbol, sizeof(init));
    table = init(services, &local);
    if (!table)
        return vimg_type_settle(type, FALSE, g_steal_pointer(&local), NULL, error);
    vimg_type_settle(type, TRUE, g_steal_pointer(&local), NULL, NULL);
    return adopt_table(type, table, error);
}

/* Returns: whether it is loaded; if not, *@reason is (transfer full) why. */
static gboolean
type_load(VimgType *type, const VimgServices *services, char **reason)
{
    g_autoptr(GError) error = NULL;

    VIMG_LOCK_GUARD(&type->lock);
    if (type->state == VIMG_TYPE_UNTRIED || type->state == VIMG_TYPE_MISSING) {
        g_clear_pointer(&type->reason, g_free);
        if (access(type->path, F_OK) < 0 && errno == ENOENT) {
            type->state = VIMG_TYPE_MISSING;
            type->reason = g_strdup_printf(_("its module '%s' is not installed"), type->path);
        } else if (load_module(type, services, &error)) {
            type->state = VIMG_TYPE_LOADED;
        } else {
            type->state = VIMG_TYPE_FAILED;
            type->reason = g_strdup(error->message);
            vimg_warning("backend '%s' is unavailable: %s", type->name, type->reason);
        }
    }
    *reason = g_strdup(type->reason);
    return type->state == VIMG_TYPE_LOADED;
}

const VimgType *
vimg_backends_get(VimgBackends *backends, const char *type, GError **error)
{
    VimgType *found = g_hash_table_lookup(backends->types, type);
    g_autofree char *reason = NULL;

    if (!found) {
        vimg_throw(error, VIMG_ERROR_XML,
                   _("Invalid value for attribute 'type' in element 'pool': '%s'."), type);
        return NULL;
    }
    if (!type_load(found, backends->services, &reason)) {
        vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                   _("storage pool type '%1$s' is unavailable: %2$s"), type, reason);
        return NULL;
    }
    return found;
}

gboolean
vimg_backends_knows(VimgBackends *backends, const char *type)
{
    return g_hash_table_contains(backends->types, type);
}

/* ---- listing ---------------------------------------------------------------------------- */

typedef struct {
    VimgTypeStatus status; /* first: the list is one of VimgTypeStatus */
    char *reason;
} Row;

static void
row_free(gpointer data)
{
    Row *row = data;

    g_free(row->reason);
    g_free(row);
}

static gint
compare_rows(gconstpointer a, gconstpointer b)
{
    const VimgTypeStatus *const *left = a;
    const VimgTypeStatus *const *right = b;

    return strcmp((*left)->type, (*right)->type);
}

GPtrArray *
vimg_backends_list(VimgBackends *backends)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(row_free);
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, backends->types);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VimgType *type = value;
        Row *row = g_new0(Row, 1);

        row->status.type = type->name;
        if (type_load(type, backends->services, &row->reason))
            row->status.loaded = type;
        row->status.reason = row->reason;
        g_ptr_array_add(list, row);
    }
    g_ptr_array_sort(list, compare_rows);
    return list;
}

const VimgBackend *
vimg_type_table(const VimgType *type)
{
    return &type->table;
}

gboolean
vimg_type_has_format(const VimgType *type, const char *format)
{
    g_auto(GStrv) formats = g_strsplit(type->table.formats, "|", -1);

    return g_strv_contains((const char *const *)formats, format);
}

gboolean
vimg_type_takes_undeclared(const VimgType *type)
{
    return type->table.size > offsetof(VimgBackend, writer_read);
}

gboolean
vimg_type_can_adopt(const VimgType *type)
{
    return type->table.file_list != NULL;
}

/* ---- honesty ---------------------------------------------------------------------------- */

void
vimg_type_complain(const VimgType *type, const char *format, ...)
{
    g_autofree char *text = NULL;
    gboolean fresh = FALSE;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    vimg_mutex_lock(&type->complaints->lock);
    if (g_hash_table_size(type->complaints->seen) < COMPLAINTS_MAX)
        fresh = g_hash_table_add(type->complaints->seen, g_strdup(text));
    vimg_mutex_unlock(&type->complaints->lock);
    if (fresh)
        vimg_warning("backend '%s' breaks its contract: %s", type->name, text);
}

gboolean
vimg_type_settle(const VimgType *type, gboolean ok, GError *local, const char *image,
                 GError **error)
{
    g_autoptr(GError) cause = local;
    g_autofree char *message = NULL;

    if (ok) {
        if (cause)
            vimg_type_complain(type, "success with an error set: %s", cause->message);
        return TRUE;
    }
    if (!cause)
        return vimg_type_nonsense(type, image, error, _("failed without an error"));
    message = g_utf8_make_valid(cause->message, -1);
    if (image && g_error_matches(cause, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS))
        g_set_error(error, cause->domain, cause->code, "'%s'", image); /* its form has no detail */
    else if (image)
        g_set_error(error, cause->domain, cause->code, _("volume '%1$s': %2$s"), image, message);
    else
        g_set_error_literal(error, cause->domain, cause->code, message);
    return FALSE;
}

gboolean
vimg_type_nonsense(const VimgType *type, const char *image, GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (image)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, _("volume '%1$s': %2$s: %3$s"), image,
                          type->name, text);
    return vimg_throw(error, VIMG_ERROR_INTERNAL, "%s: %s", type->name, text);
}
