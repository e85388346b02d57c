/*
 * claim.c: who has a name
 *
 * A name is an object made exclusively, whose content is the uuid of the image.  It is made before
 * the image and removed after it: a crash leaves a claim of nobody, never an image without one.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include "claim.h"
#include "keys.h"
#include "layout.h"
#include "store.h"
#include "../throw.h"

#define UUID_SIZE 36
#define RESERVED "virtimage." /* names of our own objects and images */
#define PATIENCE                                                                                   \
    (15 * 60)          /* seconds; who makes or restores an image needs less than one minute       \
                        */
#define MAX_ERRNO 4095 /* librados says so where a comparison failed, and beyond where */
#define MAX_ROUNDS 4
/*
 * Keys are names, of all claims and some that are gone: else a cleanup would have to go through
 * every object of the pool.  A claim that is not among them, which takes two hosts at the same
 * moment, is found by who wants the name.
 */
#define INDEX "virtimage.names"
#define PAGE 1000
#define MAX_NAMES 1000000

static char *
object_of(const char *name)
{
    return g_strconcat(VIMG_CEPH_CLAIM, name, NULL);
}

/* Returns: 0, or a negative errno; -EEXIST: somebody has it. */
static int
make(VimgCluster *cluster, const char *object, const char *uuid)
{
    rados_write_op_t op = rados_create_write_op();
    int result;

    rados_write_op_create(op, LIBRADOS_CREATE_EXCLUSIVE, NULL);
    rados_write_op_write_full(op, uuid, UUID_SIZE);
    result = rados_write_op_operate(op, cluster->io, object, NULL, 0);
    rados_release_write_op(op);
    return result;
}

/* Returns: 0; 1: it is another one's; or a negative errno. */
static int
take_away(VimgCluster *cluster, const char *object, const char *uuid)
{
    rados_write_op_t op = rados_create_write_op();
    int compared = 0;
    int result;

    /* what has no uuid in it is nobody's */
    if (strlen(uuid) == UUID_SIZE)
        rados_write_op_cmpext(op, uuid, UUID_SIZE, 0, &compared);
    rados_write_op_remove(op);
    result = rados_write_op_operate(op, cluster->io, object, NULL, 0);
    rados_release_write_op(op);
    if (result <= -MAX_ERRNO)
        return 1;
    return result == -ENOENT ? 0 : result;
}

/* Returns: 0 and a filled @claim, or a negative errno. */
static int
load(VimgCluster *cluster, const char *name, VimgCephClaim *claim)
{
    g_autofree char *object = object_of(name);
    char uuid[UUID_SIZE + 1] = "";
    time_t made = 0;
    int result = rados_read(cluster->io, object, uuid, UUID_SIZE, 0);

    if (result >= 0)
        result = rados_stat(cluster->io, object, NULL, &made);
    if (result < 0)
        return result;
    claim->name = g_strdup(name);
    claim->uuid = g_strdup(g_uuid_string_is_valid(uuid) ? uuid : "");
    claim->made = made;
    return 0;
}

static void
clear_claim(VimgCephClaim *claim)
{
    g_free(claim->name);
    g_free(claim->uuid);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgCephClaim, clear_claim)

static int
is_there(VimgCluster *cluster, const char *name, gboolean *out)
{
    g_autofree char *id = NULL;
    int result = vimg_layout_id_of(cluster, name, &id);

    *out = result == 0;
    return result == -ENOENT ? 0 : result;
}

/* Its header is what RBD makes last. */
static int
is_staged(VimgCluster *cluster, const char *staged, gboolean *out)
{
    g_autofree char *object = NULL;
    g_autofree char *id = NULL;
    int result = vimg_layout_id_of(cluster, staged, &id);

    *out = FALSE;
    if (result == 0) {
        object = g_strconcat(VIMG_LAYOUT_HEADER, id, NULL);
        result = rados_stat(cluster->io, object, NULL, NULL);
        *out = result == 0;
    }
    return result == -ENOENT ? 0 : result;
}

gboolean
vimg_ceph_claim_is_left_over(VimgCluster *cluster, const VimgCephClaim *claim, guint64 age,
                             gboolean *out, GError **error)
{
    g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, claim->uuid, NULL);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    gboolean there = TRUE;
    int result = 0;

    *out = FALSE;
    if (claim->made > now || (guint64)(now - claim->made) < age)
        return TRUE;
    /* it may be published at this moment, or wiped */
    result = is_staged(cluster, staged, &there);
    if (result == 0 && !there)
        result = is_there(cluster, claim->name, &there);
    if (result == 0 && !there)
        result = is_staged(cluster, staged, &there);
    *out = !there;
    return result == 0 ||
           vimg_cluster_throw(error, result, _("cannot look up the name '%s'"), claim->name);
}

/* What is left of an image whose making was cut short, and which no list shows. */
static void
forget_staged(VimgCluster *cluster, const char *uuid)
{
    static const char *const suffixes[] = {"", VIMG_CEPH_SECOND};
    gsize i;

    for (i = 0; i < G_N_ELEMENTS(suffixes) && *uuid; i++) {
        g_autofree char *staged = g_strconcat(VIMG_CEPH_STAGED, uuid, suffixes[i], NULL);
        g_autofree char *id = NULL;
        gboolean there = TRUE;

        if (is_staged(cluster, staged, &there) < 0 || there ||
            vimg_layout_id_of(cluster, staged, &id) < 0)
            continue;
        rbd_remove(cluster->io, staged);
        vimg_layout_drop_name(cluster, staged, id);
    }
}

/* Whoever has the name: us; nobody any more, which frees it; another one. */
static gboolean
look_at_holder(VimgCluster *cluster, const char *name, const char *uuid, gboolean *ours,
               GError **error)
{
    g_auto(VimgCephClaim) claim = {0};
    g_autofree char *object = object_of(name);
    gboolean left_over = FALSE;
    int result = load(cluster, name, &claim);

    *ours = FALSE;
    if (result == -ENOENT)
        return TRUE;
    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look up the name '%s'"), name);
    *ours = strcmp(claim.uuid, uuid) == 0;
    if (*ours)
        return TRUE;
    if (!vimg_ceph_claim_is_left_over(cluster, &claim, PATIENCE, &left_over, error))
        return FALSE;
    if (!left_over)
        return throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
    forget_staged(cluster, claim.uuid);
    take_away(cluster, object, claim.uuid);
    return TRUE;
}

/* An image of other tools has no claim. */
static gboolean
check_free(VimgCluster *cluster, const char *name, GError **error)
{
    gboolean there = FALSE;
    int result = is_there(cluster, name, &there);

    if (result < 0)
        return vimg_cluster_throw(error, result, _("cannot look up the name '%s'"), name);
    return !there || throw_error(error, VIMG_ERROR_VOL_EXISTS, "'%s'", name);
}

gboolean
vimg_ceph_claim_take(VimgCluster *cluster, const char *name, const char *uuid, GError **error)
{
    g_autofree char *object = object_of(name);
    gboolean ours = FALSE;
    int result = -EEXIST;
    guint round;

    if (g_str_has_prefix(name, RESERVED))
        return throw_error(error, VIMG_ERROR_INVALID_ARG,
                           _("names that begin with '%s' are not for images"), RESERVED);
    if (!check_free(cluster, name, error))
        return FALSE;
    for (round = 0; result == -EEXIST && !ours && round < MAX_ROUNDS; round++) {
        result = vimg_ceph_key_set(cluster, INDEX, name, "");
        if (result == 0)
            result = make(cluster, object, uuid);
        if (result == -EEXIST && !look_at_holder(cluster, name, uuid, &ours, error))
            return FALSE;
    }
    if (result < 0 && !ours)
        return vimg_cluster_throw(error, result, _("cannot claim the name '%s'"), name);
    return TRUE;
}

gboolean
vimg_ceph_claim_release(VimgCluster *cluster, const char *name, const char *uuid, GError **error)
{
    g_autofree char *object = object_of(name);
    int result = take_away(cluster, object, uuid);

    if (result == 0)
        result = vimg_ceph_key_set(cluster, INDEX, name, NULL);
    return result >= 0 ||
           vimg_cluster_throw(error, result, _("cannot release the name '%s'"), name);
}

gboolean
vimg_ceph_claim_clean(VimgCluster *cluster, const VimgCephClaim *claim, GError **error)
{
    forget_staged(cluster, claim->uuid);
    return vimg_ceph_claim_release(cluster, claim->name, claim->uuid, error);
}

void
vimg_ceph_claim_drop(VimgCluster *cluster, const char *name, const char *uuid)
{
    g_autoptr(GError) error = NULL;

    if (!vimg_ceph_claim_release(cluster, name, uuid, &error))
        vimg_ceph_warn("%s", error->message);
}

/* ---- all -------------------------------------------------------------------------------- */

static void
free_claim(gpointer data)
{
    clear_claim(data);
    g_free(data);
}

static void
add_name(gpointer data, const char *key, const char *value, gsize size)
{
    g_ptr_array_add(data, g_strdup(key));
}

static int
list_names(VimgCluster *cluster, GPtrArray *names)
{
    VimgCephKeys keys = {INDEX, "", "", PAGE};
    gboolean more = TRUE;
    int result = 0;

    while (result == 0 && more && names->len < MAX_NAMES) {
        guint before = names->len;

        keys.after = before > 0 ? names->pdata[before - 1] : "";
        result = vimg_ceph_keys_each(cluster, &keys, add_name, names, &more);
        if (names->len == before)
            break;
    }
    return result == -ENOENT ? 0 : result;
}

GPtrArray *
vimg_ceph_claim_list(VimgCluster *cluster, GError **error)
{
    g_autoptr(GPtrArray) claims = g_ptr_array_new_with_free_func(free_claim);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int result = list_names(cluster, names);
    guint i;

    for (i = 0; result == 0 && i < names->len; i++) {
        g_auto(VimgCephClaim) claim = {0};

        result = load(cluster, names->pdata[i], &claim);
        if (result == 0) {
            g_ptr_array_add(claims, g_memdup2(&claim, sizeof(claim)));
            memset(&claim, 0, sizeof(claim));
        }
        if (result == -ENOENT)
            result = 0;
    }
    if (result < 0) {
        vimg_cluster_throw(error, result, _("cannot list the names in RADOS pool '%s'"),
                           cluster->pool);
        return NULL;
    }
    return g_steal_pointer(&claims);
}

gboolean
vimg_ceph_claim_forget(VimgCluster *cluster, GError **error)
{
    int result = rados_remove(cluster->io, INDEX);

    return result == 0 || result == -ENOENT ||
           vimg_cluster_throw(error, result, _("cannot remove the list of names"));
}
