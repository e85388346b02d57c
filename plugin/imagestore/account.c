/*
 * account.c: what each image of a store takes
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "account.h"
#include "image.h"
#include "json.h"
#include "roots.h"
#include "shares.h"
#include "../throw.h"

/* Less than what the daemon takes of a report. */
#define REPORT_MAX ((gsize)14 * 1024 * 1024)
/* Of one image, but for its texts. */
#define ENTRY_SIZE 512

typedef struct {
    VimgPluginImage image;
    gboolean deleted;
    guint user;
    VimgShare share;
    guint64 own; /* bytes of its files */
} Entry;

typedef struct {
    VimgSliceStore *store;
    VimgPluginJob *job;
    VimgShares *shares;
    VimgRoots roots;
    GPtrArray *entries; /* of Entry: images and deleted ones */
    JsonArray *unreadable;
    gsize size; /* of the report, or more */
    gboolean truncated;
} Account;

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    vimg_plugin_image_clear(&entry->image);
    g_free(entry);
}

static void
account_clear(Account *account)
{
    vimg_shares_free(account->shares);
    vimg_roots_clear(&account->roots);
    g_ptr_array_unref(account->entries);
    json_array_unref(account->unreadable);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Account, account_clear)

static gboolean
take_index(const VimgIndex *index, gpointer data, GError **error)
{
    Account *account = data;

    return vimg_shares_add(account->shares, index, error);
}

static void
init(Account *account, VimgSliceStore *store, VimgPluginJob *job)
{
    account->store = store;
    account->job = job;
    account->shares = vimg_shares_new(store, job);
    account->entries = g_ptr_array_new_with_free_func(entry_free);
    account->unreadable = json_array_new();
    vimg_roots_init(&account->roots, store, NULL, account);
    account->roots.take = take_index;
}

/* ---- looking ---------------------------------------------------------------------------- */

/* FALSE: the report is full. */
static gboolean
make_room(Account *account, const char *name, const char *reason)
{
    /* each byte may need a backslash */
    gsize size = ENTRY_SIZE + 2 * (strlen(name) + (reason ? strlen(reason) : 0));

    account->truncated |= account->size + size > REPORT_MAX;
    if (account->truncated)
        return FALSE;
    account->size += size;
    return TRUE;
}

static void
note_unreadable(Account *account, const char *uuid, const VimgStoredImage *image,
                const char *reason)
{
    const char *name = image->manifest ? image->manifest->image.name : uuid;
    JsonObject *object;

    if (!make_room(account, name, reason))
        return;
    object = json_object_new();
    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "uuid", uuid);
    json_object_set_string_member(object, "reason", reason);
    json_array_add_object_element(account->unreadable, object);
}

static void
describe(Account *account, const char *uuid, const VimgStoredImage *image, VimgPluginImage *out)
{
    if (image->manifest) {
        vimg_image_describe(account->store, image, out);
        return;
    }
    out->uuid = g_strdup(uuid);
    out->name = g_strdup(uuid);
    out->state = VIMG_IMAGE_ERROR;
    out->reason = g_strdup(_("the manifest cannot be read"));
}

static guint64
sum_sizes(const VimgOp *list)
{
    guint64 sum = 0;
    guint i;

    for (i = 0; list->infos && i < list->infos->len; i++)
        sum += g_array_index(list->infos, VimgFileInfo, i).size;
    return sum;
}

/* @list: of its directory */
static void
add_entry(Account *account, const char *uuid, const VimgStoredImage *image, guint user,
          const VimgOp *list)
{
    Entry *entry = g_new0(Entry, 1);

    entry->image.size = sizeof(entry->image);
    describe(account, uuid, image, &entry->image);
    entry->deleted = image->deleted;
    entry->user = user;
    entry->own = sum_sizes(list);
    g_ptr_array_add(account->entries, entry);
}

/* What nobody can see needs its slices as well, until a collector takes it away. */
static gboolean
look_at_image(Account *account, const VimgImageLook *look, const VimgOp *list, GError **error)
{
    const VimgStoredImage *image = &look->stored;
    const char *uuid = look->uuid;
    g_autoptr(GError) local = NULL;
    guint user;

    if (look->result == 0 && !image->present)
        return TRUE;
    user = vimg_shares_begin(account->shares, image->deleted);
    if (look->result != 0)
        throw_result(&local, look->result, _("cannot read image %s"), uuid);
    else
        vimg_roots_read_image(&account->roots, uuid, &local);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (local)
        note_unreadable(account, uuid, image, local->message);
    if (image->deleted || image->claimed)
        add_entry(account, uuid, image, user, list);
    return TRUE;
}

/* Some of @uuids from @from on.  @n: how many. */
static gboolean
look_at_some(Account *account, const GPtrArray *uuids, guint from, guint *n, GError **error)
{
    g_autoptr(GArray) looks = NULL;
    g_autofree VimgOp *ops = NULL;
    gboolean good = TRUE;
    guint i;

    *n = vimg_roots_read_ahead(&account->roots, uuids, from);
    looks = vimg_image_look_some(account->store, uuids, from, *n);
    ops = g_new0(VimgOp, *n);
    for (i = 0; i < *n; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_LIST, .path = vimg_image_dir(uuids->pdata[from + i])};
    vimg_transport_list_detailed(account->store->transport, ops, *n);
    for (i = 0; good && i < *n; i++)
        good = vimg_slice_store_check_job(account->job, error) &&
               look_at_image(account, &g_array_index(looks, VimgImageLook, i), &ops[i], error);
    vimg_transport_clear_ops(ops, *n, TRUE);
    return good;
}

static gboolean
look(Account *account, GError **error)
{
    g_autoptr(GPtrArray) uuids = NULL;
    guint n;
    guint i;

    if (!vimg_shares_list(account->shares, error) ||
        !(uuids = vimg_image_uuids(account->store, error)))
        return FALSE;
    for (i = 0; i < uuids->len; i += n) {
        vimg_slice_store_progress(account->job, "reading indexes", i, uuids->len);
        if (!look_at_some(account, uuids, i, &n, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- the report ------------------------------------------------------------------------- */

static guint64
freed(const Entry *entry)
{
    return entry->share.unique + entry->own;
}

static gint
compare_entries(gconstpointer a, gconstpointer b)
{
    const Entry *x = *(const Entry *const *)a;
    const Entry *y = *(const Entry *const *)b;

    if (freed(x) != freed(y))
        return freed(x) < freed(y) ? 1 : -1;
    return strcmp(x->image.name, y->image.name);
}

static const char *
state_name(const Entry *entry)
{
    static const char *const names[] = {
        [VIMG_IMAGE_SAVING] = "saving",
        [VIMG_IMAGE_ACTIVE] = "active",
        [VIMG_IMAGE_ERROR] = "error",
    };

    return names[entry->image.state];
}

static void
format_entry(Account *account, const Entry *entry, JsonArray *array)
{
    const VimgPluginImage *image = &entry->image;
    JsonObject *object;

    if (!make_room(account, image->name, image->reason))
        return;
    object = json_object_new();
    json_object_set_string_member(object, "name", image->name);
    json_object_set_string_member(object, "uuid", image->uuid);
    json_object_set_string_member(object, "state", state_name(entry));
    vimg_json_set_string(object, "reason", image->reason);
    json_object_set_int_member(object, "capacity", (gint64)image->capacity);
    json_object_set_int_member(object, "allocation", (gint64)image->allocation);
    json_object_set_int_member(object, "unique", (gint64)entry->share.unique);
    json_object_set_int_member(object, "shared", (gint64)entry->share.shared);
    json_object_set_int_member(object, "freed", (gint64)freed(entry));
    json_array_add_object_element(array, object);
}

static void
format_entries(Account *account, JsonArray *images, JsonArray *deleted)
{
    guint i;

    for (i = 0; i < account->entries->len; i++) {
        Entry *entry = g_ptr_array_index(account->entries, i);

        entry->share = vimg_shares_get(account->shares, entry->user);
    }
    g_ptr_array_sort(account->entries, compare_entries);
    for (i = 0; i < account->entries->len; i++) {
        const Entry *entry = g_ptr_array_index(account->entries, i);

        format_entry(account, entry, entry->deleted ? deleted : images);
    }
}

/* Own files of deleted images, or content of the others. */
static guint64
sum_up(const Account *account, gboolean deleted)
{
    guint64 sum = 0;
    guint i;

    for (i = 0; i < account->entries->len; i++) {
        const Entry *entry = g_ptr_array_index(account->entries, i);

        if (entry->deleted == deleted)
            sum += deleted ? entry->own : entry->image.physical;
    }
    return sum;
}

static char *
format(Account *account, gint64 as_of)
{
    g_autoptr(JsonObject) root = json_object_new();
    JsonArray *images = json_array_new();
    JsonArray *deleted = json_array_new();
    JsonObject *trash = json_object_new();
    JsonObject *total = json_object_new();
    VimgShareTotals totals;

    vimg_shares_sum_up(account->shares, &totals);
    format_entries(account, images, deleted);
    json_object_set_int_member(trash, "freed", (gint64)(totals.deleted + sum_up(account, TRUE)));
    json_object_set_array_member(trash, "images", deleted);
    json_object_set_int_member(total, "logical", (gint64)sum_up(account, FALSE));
    json_object_set_int_member(total, "stored", (gint64)totals.stored);
    json_object_set_int_member(total, "plain", (gint64)totals.plain);
    json_object_set_int_member(total, "shared", (gint64)totals.shared);
    json_object_set_int_member(total, "orphans", (gint64)totals.orphans);
    json_object_set_int_member(root, "as_of", as_of);
    json_object_set_boolean_member(root, "complete",
                                   json_array_get_length(account->unreadable) == 0);
    json_object_set_boolean_member(root, "truncated", account->truncated);
    json_object_set_array_member(root, "images", images);
    json_object_set_object_member(root, "trash", trash);
    json_object_set_object_member(root, "total", total);
    json_object_set_array_member(root, "unreadable", json_array_ref(account->unreadable));
    return vimg_json_format(root);
}

char *
vimg_account(VimgSliceStore *store, VimgPluginJob *job, GError **error)
{
    gint64 as_of = g_get_real_time() / G_USEC_PER_SEC;
    g_auto(Account) account = {0};

    init(&account, store, job);
    return look(&account, error) ? format(&account, as_of) : NULL;
}
