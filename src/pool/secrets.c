/*
 * secrets.c: the daemon's own secrets: definitions and values in config_dir/secrets (0700)
 *
 * A change is written first and shown afterwards.  The .xml file alone decides whether a secret
 * exists: it is the last to be written and the first to go, and values without one are removed at
 * the next start.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <sys/stat.h>
#include <libvirt/libvirt.h>

#include "pool/secrets.h"
#include "util/file.h"
#include "util/i18n.h"
#include "util/log.h"
#include "util/thread.h"
#include "util/wipe.h"

#define DEFINITION_MAX (64 * 1024)
#define VALUE_MAX 65536                           /* the wire's limit */
#define ENCODED_MAX ((VALUE_MAX + 2) / 3 * 4 + 2) /* and a line end */

#define DEFINITION_SUFFIX ".xml"
#define VALUE_SUFFIX ".base64"
#define UNFINISHED_SUFFIX ".new" /* of vimg_file_replace() */

typedef struct {
    char uuid[VIMG_UUID_TEXT_SIZE];
    VimgSecretDef *def;
    VimgBuffer *value; /* NULL: none */
} Secret;

struct _VimgSecrets {
    char *dir;
    /* Held through a change, files included; taken before lock. */
    VimgMutex changes;
    VimgMutex lock;
    GHashTable *table; /* Secret.uuid → Secret; read under either lock, changed under both */
};

/* ---- memory ----------------------------------------------------------------------------- */

void
vimg_secret_value_free(VimgBuffer *value)
{
    vimg_buffer_wipe(value);
}

static VimgBuffer *
value_new(const void *data, gsize size)
{
    VimgBuffer *value = vimg_buffer_new(size);

    memcpy(value->data, data, size);
    return value;
}

/* Text that held a value. */
typedef char WipedText;

static void
wiped_text_free(WipedText *text)
{
    explicit_bzero(text, strlen(text));
    g_free(text);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WipedText, wiped_text_free)

static void
secret_free(Secret *secret)
{
    vimg_secret_value_free(secret->value);
    vimg_secret_def_free(secret->def);
    g_free(secret);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secret, secret_free)

VimgSecrets *
vimg_secrets_new(const char *dir)
{
    VimgSecrets *secrets = g_new0(VimgSecrets, 1);

    secrets->dir = g_strdup(dir);
    vimg_mutex_init(&secrets->changes);
    vimg_mutex_init(&secrets->lock);
    secrets->table =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)secret_free);
    return secrets;
}

void
vimg_secrets_free(VimgSecrets *secrets)
{
    if (!secrets)
        return;
    g_hash_table_unref(secrets->table);
    vimg_mutex_clear(&secrets->lock);
    vimg_mutex_clear(&secrets->changes);
    g_free(secrets->dir);
    g_free(secrets);
}

/* ---- looking up, with one of the locks held --------------------------------------------- */

static Secret *
find_uuid(VimgSecrets *secrets, const guint8 *uuid, GError **error)
{
    char text[VIMG_UUID_TEXT_SIZE];
    Secret *secret;

    vimg_uuid_format(uuid, text);
    secret = g_hash_table_lookup(secrets->table, text);
    if (!secret)
        vimg_throw(error, VIMG_ERROR_NO_SECRET, _("no secret with matching uuid '%s'"), text);
    return secret;
}

/* Secrets without a usage are never found by it. */
static Secret *
find_usage(VimgSecrets *secrets, int usage_type, const char *usage_id)
{
    GHashTableIter iter;
    gpointer value;

    if (usage_type == VIR_SECRET_USAGE_TYPE_NONE)
        return NULL;
    g_hash_table_iter_init(&iter, secrets->table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Secret *secret = value;

        if (secret->def->usage_type == usage_type &&
            g_strcmp0(secret->def->usage_id, usage_id) == 0)
            return secret;
    }
    return NULL;
}

static void
fill_id(VimgSecretId *out, const VimgSecretDef *def)
{
    memcpy(out->uuid, def->uuid, VIMG_UUID_SIZE);
    out->usage_type = def->usage_type;
    out->usage_id = g_strdup(def->usage_id ? def->usage_id : "");
}

gboolean
vimg_secrets_by_uuid(VimgSecrets *secrets, const guint8 *uuid, VimgSecretId *out, GError **error)
{
    const Secret *secret;

    VIMG_LOCK_GUARD(&secrets->lock);
    secret = find_uuid(secrets, uuid, error);
    if (!secret)
        return FALSE;
    fill_id(out, secret->def);
    return TRUE;
}

gboolean
vimg_secrets_by_usage(VimgSecrets *secrets, int usage_type, const char *usage_id, VimgSecretId *out,
                      GError **error)
{
    const Secret *secret;

    VIMG_LOCK_GUARD(&secrets->lock);
    secret = find_usage(secrets, usage_type, usage_id);
    if (!secret)
        return vimg_throw(error, VIMG_ERROR_NO_SECRET, _("no secret with matching usage '%s'"),
                          usage_id);
    fill_id(out, secret->def);
    return TRUE;
}

/* A pair of filter flags: neither or both let everything through. */
static gboolean
passes(guint flags, guint yes, guint no, gboolean is)
{
    guint asked = flags & (yes | no);

    return asked == 0 || asked & (is ? yes : no);
}

GPtrArray *
vimg_secrets_list(VimgSecrets *secrets, guint flags)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vimg_secret_id_free);
    GHashTableIter iter;
    gpointer value;

    VIMG_LOCK_GUARD(&secrets->lock);
    g_hash_table_iter_init(&iter, secrets->table);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VimgSecretDef *def = ((const Secret *)value)->def;
        VimgSecretId *id;

        if (!passes(flags, VIR_CONNECT_LIST_SECRETS_EPHEMERAL,
                    VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL, def->ephemeral) ||
            !passes(flags, VIR_CONNECT_LIST_SECRETS_PRIVATE, VIR_CONNECT_LIST_SECRETS_NO_PRIVATE,
                    def->private_))
            continue;
        id = g_new0(VimgSecretId, 1);
        fill_id(id, def);
        g_ptr_array_add(list, id);
    }
    return list;
}

guint
vimg_secrets_count(VimgSecrets *secrets)
{
    VIMG_LOCK_GUARD(&secrets->lock);

    return g_hash_table_size(secrets->table);
}

char *
vimg_secrets_xml(VimgSecrets *secrets, const guint8 *uuid, GError **error)
{
    const Secret *secret;

    VIMG_LOCK_GUARD(&secrets->lock);
    secret = find_uuid(secrets, uuid, error);
    return secret ? vimg_secret_def_format(secret->def) : NULL;
}

VimgBuffer *
vimg_secrets_get_value(VimgSecrets *secrets, const guint8 *uuid, gboolean internal, GError **error)
{
    const Secret *secret;

    VIMG_LOCK_GUARD(&secrets->lock);
    secret = find_uuid(secrets, uuid, error);
    if (!secret)
        return NULL;
    if (secret->def->private_ && !internal) {
        vimg_throw(error, VIMG_ERROR_INVALID_SECRET, "%s", _("secret is private"));
        return NULL;
    }
    if (!secret->value) {
        vimg_throw(error, VIMG_ERROR_NO_SECRET, _("secret '%s' does not have a value"),
                   secret->uuid);
        return NULL;
    }
    return value_new(secret->value->data, secret->value->size);
}

/* ---- files, with changes held ----------------------------------------------------------- */

static char *
file_path(const VimgSecrets *secrets, const char *uuid, const char *suffix)
{
    g_autofree char *file = g_strconcat(uuid, suffix, NULL);

    return g_build_filename(secrets->dir, file, NULL);
}

static gboolean
save_definition(const VimgSecrets *secrets, const char *uuid, const VimgSecretDef *def,
                GError **error)
{
    g_autofree char *path = file_path(secrets, uuid, DEFINITION_SUFFIX);
    g_autofree char *xml = vimg_secret_def_format(def);

    return vimg_dir_make(secrets->dir, 0700, error) &&
           vimg_file_replace(path, xml, strlen(xml), 0600, error);
}

static gboolean
save_value(const VimgSecrets *secrets, const char *uuid, const VimgBuffer *value, GError **error)
{
    g_autofree char *path = file_path(secrets, uuid, VALUE_SUFFIX);
    g_autoptr(WipedText) text = g_base64_encode(value->data, value->size);

    return vimg_dir_make(secrets->dir, 0700, error) &&
           vimg_file_replace(path, text, strlen(text), 0600, error);
}

/* The secret is gone with its definition; a value that stays behind goes at the next start. */
static gboolean
remove_files(const VimgSecrets *secrets, const char *uuid, GError **error)
{
    g_autofree char *definition = file_path(secrets, uuid, DEFINITION_SUFFIX);
    g_autofree char *value = file_path(secrets, uuid, VALUE_SUFFIX);
    g_autoptr(GError) local = NULL;

    if (!vimg_file_remove(definition, error))
        return FALSE;
    if (!vimg_file_remove(value, &local))
        vimg_warning("the value of a removed secret stays behind: %s", local->message);
    return TRUE;
}

/* ---- changing --------------------------------------------------------------------------- */

/* libvirt's rules. */
static gboolean
check_definition(VimgSecrets *secrets, const Secret *old, const VimgSecretDef *def, GError **error)
{
    const Secret *other;

    if (old) {
        if (old->def->usage_type != def->usage_type ||
            g_strcmp0(old->def->usage_id, def->usage_id) != 0)
            return vimg_throw(error, VIMG_ERROR_INTERNAL,
                              _("a secret with UUID %1$s is already defined for use with %2$s"),
                              old->uuid, old->def->usage_id);
        if (old->def->private_ && !def->private_)
            return vimg_throw(error, VIMG_ERROR_INTERNAL, "%s",
                              _("cannot change private flag on existing secret"));
        return TRUE;
    }
    other = find_usage(secrets, def->usage_type, def->usage_id);
    if (other)
        return vimg_throw(error, VIMG_ERROR_INTERNAL,
                          _("a secret with UUID %1$s already defined for use with %2$s"),
                          other->uuid, def->usage_id);
    return TRUE;
}

/* Files as they must be once @def has taken the place of @old (NULL: there was none). */
static gboolean
store_definition(const VimgSecrets *secrets, const char *uuid, const Secret *old,
                 const VimgSecretDef *def, GError **error)
{
    if (def->ephemeral)
        return !old || old->def->ephemeral || remove_files(secrets, uuid, error);
    if (old && old->def->ephemeral && old->value && !save_value(secrets, uuid, old->value, error))
        return FALSE;
    return save_definition(secrets, uuid, def, error);
}

/* Takes @def. */
static void
show_definition(VimgSecrets *secrets, const char *uuid, VimgSecretDef *def)
{
    Secret *secret;

    VIMG_LOCK_GUARD(&secrets->lock);
    secret = g_hash_table_lookup(secrets->table, uuid);
    if (!secret) {
        secret = g_new0(Secret, 1);
        g_strlcpy(secret->uuid, uuid, sizeof(secret->uuid));
        g_hash_table_insert(secrets->table, secret->uuid, secret);
    }
    vimg_secret_def_free(secret->def);
    secret->def = def;
}

gboolean
vimg_secrets_define(VimgSecrets *secrets, const char *xml, guint flags, VimgSecretId *out,
                    GError **error)
{
    g_autoptr(VimgSecretDef) def = NULL;
    char uuid[VIMG_UUID_TEXT_SIZE];
    const Secret *old;

    if (flags & ~(guint)VIR_SECRET_DEFINE_VALIDATE)
        return vimg_throw(error, VIMG_ERROR_FLAGS, _("unsupported flags (0x%1$x) in function %2$s"),
                          flags & ~(guint)VIR_SECRET_DEFINE_VALIDATE, "secretDefineXML");
    def = vimg_secret_def_parse(xml, (flags & VIR_SECRET_DEFINE_VALIDATE) != 0, error);
    if (!def)
        return FALSE;
    if (!def->has_uuid) {
        vimg_uuid_random(def->uuid);
        def->has_uuid = TRUE;
    }
    vimg_uuid_format(def->uuid, uuid);
    VIMG_LOCK_GUARD(&secrets->changes);
    old = g_hash_table_lookup(secrets->table, uuid);
    if (!check_definition(secrets, old, def, error) ||
        !store_definition(secrets, uuid, old, def, error))
        return FALSE;
    fill_id(out, def);
    show_definition(secrets, uuid, g_steal_pointer(&def));
    return TRUE;
}

gboolean
vimg_secrets_set_value(VimgSecrets *secrets, const guint8 *uuid, const void *value, gsize size,
                       VimgSecretId *out, GError **error)
{
    VimgBuffer *fresh;
    Secret *secret;

    if (size == 0) /* stock's bare text, without the words before it */
        return vimg_throw(error, VIMG_ERROR_FLAGS, _("value in %s must not be NULL"),
                          "virSecretSetValue");
    if (size > VALUE_MAX)
        return vimg_throw(error, VIMG_ERROR_INVALID_ARG,
                          _("secret value of %zu bytes is too large"), size);
    VIMG_LOCK_GUARD(&secrets->changes);
    secret = find_uuid(secrets, uuid, error);
    if (!secret)
        return FALSE;
    fresh = value_new(value, size);
    if (!secret->def->ephemeral && !save_value(secrets, secret->uuid, fresh, error)) {
        vimg_secret_value_free(fresh);
        return FALSE;
    }
    fill_id(out, secret->def);
    VIMG_LOCK_GUARD(&secrets->lock);
    vimg_secret_value_free(secret->value);
    secret->value = fresh;
    return TRUE;
}

gboolean
vimg_secrets_undefine(VimgSecrets *secrets, const guint8 *uuid, VimgSecretId *out, GError **error)
{
    const Secret *secret;

    VIMG_LOCK_GUARD(&secrets->changes);
    secret = find_uuid(secrets, uuid, error);
    if (!secret)
        return FALSE;
    if (!secret->def->ephemeral && !remove_files(secrets, secret->uuid, error))
        return FALSE;
    fill_id(out, secret->def);
    VIMG_LOCK_GUARD(&secrets->lock);
    g_hash_table_remove(secrets->table, secret->uuid);
    return TRUE;
}

/* ---- loading ---------------------------------------------------------------------------- */

/* GLib's decoder passes over what it does not know; a damaged value must not become another one. */
static gboolean
is_base64(const char *text)
{
    gsize length = strlen(text);
    gsize digits = strspn(text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+/");
    gsize padding = strspn(text + digits, "=");

    return length > 0 && length % 4 == 0 && padding <= 2 && digits + padding == length;
}

/* Returns: (transfer full) what @text, which is wiped, stands for; NULL if it is no base64. */
static VimgBuffer *
decode_value(char *text, gsize length)
{
    VimgBuffer *value = NULL;
    gsize size = 0;

    if (length == strlen(text) && is_base64(g_strchomp(text)) &&
        g_base64_decode_inplace(text, &size) && size > 0 && size <= VALUE_MAX)
        value = value_new(text, size);
    explicit_bzero(text, length);
    return value;
}

/* A missing file is no error. */
static gboolean
load_value(const VimgSecrets *secrets, Secret *secret, GError **error)
{
    g_autofree char *path = file_path(secrets, secret->uuid, VALUE_SUFFIX);
    g_autofree char *text = NULL;
    gsize length;

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    text = vimg_file_read(path, ENCODED_MAX, &length, error);
    if (!text)
        return FALSE;
    secret->value = decode_value(text, length);
    if (!secret->value)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "'%s' holds no value in base64", path);
    return TRUE;
}

static gboolean
load_definition(VimgSecrets *secrets, const char *file, GError **error)
{
    g_autofree char *path = g_build_filename(secrets->dir, file, NULL);
    g_autofree char *xml = vimg_file_read(path, DEFINITION_MAX, NULL, error);
    g_autoptr(VimgSecretDef) def = NULL;
    g_autoptr(Secret) secret = g_new0(Secret, 1);
    g_autoptr(GError) local = NULL;
    g_autofree char *expected = NULL;

    if (!xml || !(def = vimg_secret_def_parse(xml, FALSE, error)))
        return FALSE;
    vimg_uuid_format(def->uuid, secret->uuid);
    expected = g_strconcat(secret->uuid, DEFINITION_SUFFIX, NULL);
    if (!def->has_uuid || strcmp(file, expected) != 0)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "its name is not that of its uuid");
    if (def->ephemeral)
        return vimg_throw(error, VIMG_ERROR_INTERNAL, "an ephemeral secret has no file");
    if (!check_definition(secrets, NULL, def, error))
        return FALSE;
    if (!load_value(secrets, secret, &local))
        vimg_warning("secret %s has no value: %s", secret->uuid, local->message);
    secret->def = g_steal_pointer(&def);
    VIMG_LOCK_GUARD(&secrets->lock);
    g_hash_table_replace(secrets->table, secret->uuid, secret);
    secret = NULL;
    return TRUE;
}

/* Values without a definition, and files a crash left half written. */
static void
remove_leftover(const VimgSecrets *secrets, const char *file)
{
    g_autofree char *path = g_build_filename(secrets->dir, file, NULL);
    g_autoptr(GError) error = NULL;

    if (g_str_has_suffix(file, VALUE_SUFFIX)) {
        g_autofree char *uuid = g_strndup(file, strlen(file) - strlen(VALUE_SUFFIX));
        g_autofree char *definition = file_path(secrets, uuid, DEFINITION_SUFFIX);

        if (g_file_test(definition, G_FILE_TEST_EXISTS))
            return;
    }
    vimg_info("removing '%s', left behind by an interrupted change", path);
    if (!vimg_file_remove(path, &error))
        vimg_warning("%s", error->message);
}

/* Nobody else may look in, whoever made the directory. */
static gboolean
prepare_dir(const VimgSecrets *secrets, GError **error)
{
    struct stat st;

    if (!vimg_dir_make(secrets->dir, 0700, error))
        return FALSE;
    if (stat(secrets->dir, &st) < 0 || ((st.st_mode & 077) != 0 && chmod(secrets->dir, 0700) < 0))
        return vimg_throw_errno(error, _("cannot protect directory '%s'"), secrets->dir);
    return TRUE;
}

gboolean
vimg_secrets_load(VimgSecrets *secrets, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = NULL;
    const char *name;
    guint i;

    VIMG_LOCK_GUARD(&secrets->changes);
    if (!prepare_dir(secrets, error) || !(dir = g_dir_open(secrets->dir, 0, error)))
        return FALSE;
    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(files, g_strdup(name));
    for (i = 0; i < files->len; i++) {
        const char *file = g_ptr_array_index(files, i);
        g_autoptr(GError) local = NULL;

        if (g_str_has_suffix(file, VALUE_SUFFIX) || g_str_has_suffix(file, UNFINISHED_SUFFIX)) {
            remove_leftover(secrets, file);
        } else if (g_str_has_suffix(file, DEFINITION_SUFFIX)) {
            if (!load_definition(secrets, file, &local))
                vimg_warning("skipping secret file '%s/%s': %s", secrets->dir, file,
                             local->message);
        }
    }
    return TRUE;
}
