/*
 * damage.c: images that lack slices
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "damage.h"
#include "image.h"
#include "publish.h"
#include "slice.h"
#include "../throw.h"
#include "turn.h"

#define BATCH 1024
#define MAX_SIZE ((gsize)VIMG_DAMAGE_IDS * VIMG_ID_HEX + 64)

void
vimg_damage_clear(VimgDamage *damage)
{
    g_clear_pointer(&damage->ids, g_array_unref);
    g_clear_pointer(&damage->rescued, g_array_unref);
    damage->count = 0;
}

static void
add(VimgDamage *damage, const VimgSliceId *id)
{
    if (!damage->ids)
        damage->ids = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    if (damage->ids->len < VIMG_DAMAGE_IDS)
        g_array_append_val(damage->ids, *id);
    damage->count++;
}

char *
vimg_damage_describe(const VimgDamage *damage)
{
    char hex[VIMG_ID_HEX];

    vimg_id_to_hex(&g_array_index(damage->ids, VimgSliceId, 0), hex);
    return g_strdup_printf(
        _("%1$llu slices are damaged, first %2$s; upload or sync an image that holds them, then refresh the pool"),
        ULL(damage->count), hex);
}

/* ---- looking ---------------------------------------------------------------------------- */

static gboolean
rescue(VimgSliceStore *store, const VimgSliceId *id, GArray **rescued)
{
    if (!vimg_slice_rescue(store->transport, id))
        return FALSE;
    if (!*rescued)
        *rescued = g_array_new(FALSE, FALSE, sizeof(VimgSliceId));
    g_array_append_val(*rescued, *id);
    return TRUE;
}

/*
 * What of @ids (of VimgSliceId, borrowed) is missing goes to @missing; @ids is empty then.
 * @rescued: what was condemned is moved back and noted there; NULL: it is missing too.
 */
static int
look_up(VimgSliceStore *store, GPtrArray *ids, GArray **rescued, GHashTable *bad,
        GPtrArray *missing)
{
    g_autofree VimgOp *ops = g_new0(VimgOp, ids->len);
    int result = 0;
    guint i;

    for (i = 0; i < ids->len; i++)
        ops[i] = (VimgOp){.kind = VIMG_OP_STAT, .path = vimg_slice_path(ids->pdata[i])};
    vimg_transport_run(store->transport, ops, ids->len);
    for (i = 0; i < ids->len; i++) {
        gboolean there = ops[i].result == 0 && ops[i].info.size > 0;

        if (ops[i].result == ENOENT && rescued)
            there = rescue(store, ids->pdata[i], rescued);
        else if (ops[i].result != 0 && ops[i].result != ENOENT)
            result = ops[i].result;
        if (!there || (bad && g_hash_table_contains(bad, ids->pdata[i])))
            g_ptr_array_add(missing, ids->pdata[i]);
        g_free((char *)ops[i].path);
    }
    g_ptr_array_set_size(ids, 0);
    return result;
}

gboolean
vimg_damage_find(VimgSliceStore *store, const VimgIndex *index, const VimgLease *lease,
                 GHashTable *bad, const VimgMarks *good, VimgPluginJob *job, VimgDamage *out,
                 GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(vimg_id_hash, vimg_id_equal_func);
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    g_autoptr(GPtrArray) missing = g_ptr_array_new();
    gsize n = vimg_index_count(index);
    gsize i;

    for (i = 0; i < n; i++) {
        int result = 0;
        guint k;

        if (!vimg_index_is_zero(index, i) &&
            !(good && vimg_marks_has(good, vimg_index_id(index, i))))
            g_ptr_array_add(ids, (gpointer)vimg_index_id(index, i));
        if (ids->len < BATCH && i < n - 1)
            continue;
        if (!vimg_slice_store_check_job(job, error))
            return FALSE;
        result = look_up(store, ids, lease ? &out->rescued : NULL, bad, missing);
        if (result != 0)
            return throw_result(error, result, _("cannot look up slices"));
        for (k = 0; k < missing->len; k++) {
            if (g_hash_table_add(seen, missing->pdata[k]))
                add(out, missing->pdata[k]);
        }
        g_ptr_array_set_size(missing, 0);
    }
    return !out->rescued || vimg_publish_sync(store, index, error);
}

/* ---- the mark --------------------------------------------------------------------------- */

static char *
format(const VimgDamage *damage)
{
    GString *text = g_string_new(NULL);
    guint i;

    for (i = 0; i < damage->ids->len; i++) {
        char hex[VIMG_ID_HEX];

        vimg_id_to_hex(&g_array_index(damage->ids, VimgSliceId, i), hex);
        g_string_append_printf(text, "%s\n", hex);
    }
    g_string_append_printf(text, "%" G_GUINT64_FORMAT "\n", damage->count);
    return g_string_free(text, FALSE);
}

static gboolean
parse(const VimgBuffer *content, VimgDamage *out)
{
    g_autofree char *text = g_strndup((const char *)content->data, content->size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", VIMG_DAMAGE_IDS + 2);
    guint64 count;
    VimgSliceId id;
    gsize i;

    for (i = 0; lines[i] && vimg_id_parse(lines[i], &id); i++)
        add(out, &id);
    if (i == 0 || !lines[i] ||
        !g_ascii_string_to_unsigned(g_strstrip(lines[i]), 10, i, G_MAXINT64, &count, NULL))
        return FALSE;
    out->count = count;
    return TRUE;
}

gboolean
vimg_damage_write(VimgSliceStore *store, const char *uuid, const VimgDamage *damage, GError **error)
{
    g_autoptr(VimgTurn) turn = vimg_turn_new(store, uuid, error);
    g_auto(VimgStoredImage) image = {0};
    g_autofree char *staged = turn ? vimg_lease_path(turn->lease, VIMG_IMAGE_DAMAGED) : NULL;
    g_autofree char *place = vimg_image_path(uuid, VIMG_IMAGE_DAMAGED);
    g_autofree char *dir = g_strconcat("images/", uuid, NULL);
    g_autofree char *text = format(damage);
    int result;

    if (!turn)
        return FALSE;
    result = vimg_image_look(store, uuid, &image);
    if (result == 0 && !image.published)
        return TRUE;
    if (result == 0)
        result = vimg_transport_create(store->transport, staged, text, strlen(text), FALSE);
    if (result == 0)
        result = vimg_transport_sync(store->transport, staged);
    if (result == 0)
        vimg_transport_unlink(store->transport, place); /* of an earlier verification */
    if (result == 0)
        result = vimg_transport_rename(store->transport, staged, place);
    if (result == 0)
        result = vimg_transport_sync(store->transport, dir);
    if (result == ENOENT)
        return vimg_lease_throw_fenced(error);
    if (result != 0)
        return throw_result(error, result, _("cannot mark the image as damaged"));
    return TRUE;
}

/* All of them were listed and more, or the list is no list: only the index knows. */
static gboolean
look_at_index(VimgSliceStore *store, const char *uuid, VimgDamage *out)
{
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_INDEX);
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(VimgIndex) index = NULL;

    if (vimg_transport_read(store->transport, path, VIMG_INDEX_MAX_SIZE, &content) != 0)
        return FALSE;
    index = vimg_index_decode(content->data, content->size, NULL);
    return index && vimg_damage_find(store, index, NULL, NULL, NULL, NULL, out, NULL);
}

/* What is missing of what the mark lists.  FALSE: that cannot be told. */
static gboolean
look(VimgSliceStore *store, const char *uuid, VimgDamage *out)
{
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_DAMAGED);
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    g_autoptr(GPtrArray) missing = g_ptr_array_new();
    g_auto(VimgDamage) listed = {0};
    guint i;
    int result = vimg_transport_read(store->transport, path, MAX_SIZE, &content);

    if (result == ENOENT)
        return TRUE;
    if (result != 0 || !parse(content, &listed))
        return look_at_index(store, uuid, out);
    for (i = 0; i < listed.ids->len; i++)
        g_ptr_array_add(ids, &g_array_index(listed.ids, VimgSliceId, i));
    /* what cannot be looked up counts as missing */
    look_up(store, ids, NULL, NULL, missing);
    if (missing->len == 0 && listed.count > listed.ids->len)
        return look_at_index(store, uuid, out);
    for (i = 0; i < missing->len; i++)
        add(out, missing->pdata[i]);
    if (missing->len > 0)
        out->count += listed.count - listed.ids->len;
    return TRUE;
}

/* Another verification may just mark it again: in its turn, what was seen is looked at once more.
 */
static void
heal(VimgSliceStore *store, const char *uuid)
{
    g_autoptr(VimgTurn) turn = store->read_only ? NULL : vimg_turn_try(store, uuid, NULL);
    g_autofree char *path = vimg_image_path(uuid, VIMG_IMAGE_DAMAGED);
    g_auto(VimgDamage) damage = {0};

    if (!turn || !look(store, uuid, &damage) || damage.count > 0)
        return;
    if (vimg_transport_unlink(store->transport, path) == 0)
        vimg_slice_store_log(VIMG_LOG_INFO, "image %s has all its slices again", uuid);
}

char *
vimg_damage_look(VimgSliceStore *store, const char *uuid)
{
    g_auto(VimgDamage) damage = {0};

    if (!look(store, uuid, &damage))
        return g_strdup(_("cannot read the index"));
    if (damage.count > 0)
        return vimg_damage_describe(&damage);
    heal(store, uuid);
    return NULL;
}
