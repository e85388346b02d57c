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
#include "throw.h"

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

static void
add_entry(Account *account, const char *uuid, const VimgStoredImage *image, guint user)
{
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    Entry *entry = g_new0(Entry, 1);

    entry->image.size = sizeof(entry->image);
    describe(account, uuid, image, &entry->image);
    entry->deleted = image->deleted;
    entry->user = user;
    entry->own = vimg_transport_measure(account->store->transport, dir);
    g_ptr_array_add(account->entries, entry);
}

/* What nobody can see needs its slices as well, until a collector takes it away. */
static gboolean
look_at_image(Account *account, const char *uuid, GError **error)
{
    g_auto(VimgStoredImage) image = {0};
    g_autoptr(GError) local = NULL;
    int result = vimg_image_look(account->store, uuid, &image);
    guint user;

    if (result == 0 && !image.present)
        return TRUE;
    user = vimg_shares_begin(account->shares, image.deleted);
    if (result != 0)
        throw_result(&local, result, _("cannot read image %s"), uuid);
    else
        vimg_roots_read_image(&account->roots, uuid, &local);
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_ABORTED)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (local)
        note_unreadable(account, uuid, &image, local->message);
    if (image.deleted || image.claimed)
        add_entry(account, uuid, &image, user);
    return TRUE;
}

static gboolean
look(Account *account, GError **error)
{
    g_autoptr(GPtrArray) names = NULL;
    int result;
    guint i;

    if (!vimg_shares_list(account->shares, error))
        return FALSE;
    result = vimg_transport_list(account->store->transport, "images", &names);
    if (result != 0)
        return throw_result(error, result, _("cannot list the images"));
    for (i = 0; i < names->len; i++) {
        vimg_slice_store_progress(account->job, "reading indexes", i, names->len);
        if (!vimg_slice_store_check_job(account->job, error) ||
            (vimg_image_is_uuid(names->pdata[i]) &&
             !look_at_image(account, names->pdata[i], error)))
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
