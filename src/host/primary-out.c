/*
 * primary-out.c: an image of ours becomes a volume in a pool of the host
 *
 * The volume is made by the host's daemon, with the rights of whoever asks, and filled where it
 * lies, if this daemon sees that file too, else by a stream; no other file is in between.  Until it
 * is complete it stands in the journal.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>
#include <libvirt/virterror.h>

#include "host/cut.h"
#include "host/primary-clone.h"
#include "host/primary-file.h"
#include "util/i18n.h"
#include "util/log.h"

static void
clone_clear(VimgHostClone *clone)
{
    g_clear_pointer(&clone->sink, vimg_host_sink_free);
    g_clear_pointer(&clone->vol, virStorageVolFree);
    vimg_host_pool_clear(&clone->to);
    vimg_source_info_clear(&clone->info);
    if (clone->first.data)
        vimg_buffer_unref(clone->first.data);
    vimg_transfer_free(clone->transfer);
    vimg_volume_def_free(clone->def);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VimgHostClone, clone_clear)

/* ---- doing it --------------------------------------------------------------------------- */

static gboolean
make_volume(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    gboolean files = clone->to.kind == VIMG_HOST_FILES;
    VimgHostVolume volume = {
        .capacity = vimg_host_clone_first_capacity(clone),
        .format = files ? clone->format : NULL,
        .sparse = files,
    };
    g_autofree char *xml = vimg_host_volume_xml(clone->xml, &volume, error);

    if (!xml)
        return FALSE;
    clone->vol = virStorageVolCreateXML(clone->to.pool, xml, 0);
    if (!clone->vol)
        return vimg_host_throw(error);
    clone->sure = TRUE;
    if (!vimg_host_journal_made(entry, clone->connect, &clone->to, clone->vol, error))
        return FALSE;
    clone->sure = FALSE;
    return TRUE;
}

/* A device shows behind its content what its last owner left there. */
static gboolean
whole_size(const VimgHostClone *clone, guint64 *size, GError **error)
{
    virStorageVolInfo info;

    *size = clone->capacity;
    if (clone->to.kind == VIMG_HOST_FILES)
        return TRUE;
    if (virStorageVolGetInfo(clone->vol, &info) < 0)
        return vimg_host_throw(error);
    *size = info.capacity;
    return TRUE;
}

/* What is new by a backend of ours is zeros; all others are, up to their ends, when this is done.
 */
static gboolean
fill_up(VimgHostClone *clone, VimgHostSink *sink, guint64 size, GError **error)
{
    guint64 whole;

    if (strcmp(clone->format, VIMG_HOST_RAW) != 0 || clone->to.kind == VIMG_HOST_OTHERS)
        return TRUE;
    return whole_size(clone, &whole, error) &&
           (size >= whole || vimg_host_sink_hole(sink, whole - size, error));
}

/* Of what is filled by streams nobody here holds the file: the mark is looked for before it goes.
 */
static gboolean
is_still_ours(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    gboolean it = FALSE;

    if (clone->to.foreign || vimg_host_sink_has_file(clone->sink))
        return TRUE;
    return vimg_host_journal_look(entry, clone->connect, &clone->to, clone->vol, &it, error) &&
           (it || vimg_host_file_throw_replaced(clone->def->name, error));
}

/* By libvirt, of what is unfinished until then. */
static gboolean
grow(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    if (!vimg_host_sink_head(clone->sink, error) || !vimg_host_sink_is_there(clone->sink, error))
        return FALSE;
    if (virStorageVolResize(clone->vol, clone->capacity, 0) < 0)
        return vimg_host_throw(error);
    return vimg_transfer_check(clone->transfer, error) && is_still_ours(clone, entry, error);
}

static gboolean
fill(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    VimgHostSource source = {clone->primary, clone->transfer, &clone->info,
                             clone->way,     clone->capacity, &clone->first};
    VimgHostSink *sink = clone->sink;
    guint64 size = 0;

    if (!vimg_host_source_pour(&source, sink, &size, error) || !fill_up(clone, sink, size, error) ||
        !vimg_host_sink_rest(sink, error) || !vimg_transfer_check(clone->transfer, error) ||
        !is_still_ours(clone, entry, error))
        return FALSE;
    if (vimg_host_clone_grows(clone) && !grow(clone, entry, error))
        return FALSE;
    clone->sure = TRUE; /* the mark goes */
    return vimg_host_sink_finish(sink, error);
}

static gboolean
fill_volume(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    gboolean ok;

    clone->sink =
        vimg_host_sink_new(clone->connect, clone->vol, entry, &clone->to, clone->transfer);
    ok = fill(clone, entry, error);
    vimg_host_sink_stop(clone->sink);
    return ok;
}

/* A storage that has both needs not be told what the content is, unless the volume is to need
 * nothing else. */
static gboolean
may_share(const VimgHostClone *clone)
{
    return clone->to.foreign && !clone->def->flatten && clone->way == VIMG_HOST_AS_IS;
}

/* Beside it first: so whoever finds it unfinished knows it. */
static gboolean
share_beside(VimgHostClone *clone, VimgHostEntry *entry, gboolean *done, GError **error)
{
    VimgForeign *foreign = clone->to.foreign;
    g_autofree char *name = vimg_host_journal_beside(entry, error);

    clone->beside = name != NULL;
    if (!name || !vimg_foreign_share(foreign, name, clone->capacity, clone->transfer, done, error))
        return FALSE;
    clone->replacing = *done;
    if (*done && !vimg_host_journal_replace(entry, &clone->to, name, error))
        return FALSE;
    clone->beside = FALSE;
    return TRUE;
}

static gboolean
share(VimgHostClone *clone, VimgHostEntry *entry, gboolean *done, GError **error)
{
    *done = FALSE;
    if (!may_share(clone))
        return TRUE;
    if (vimg_foreign_replaces(clone->to.foreign))
        return share_beside(clone, entry, done, error);
    return vimg_foreign_share(clone->to.foreign, clone->def->name, clone->capacity, clone->transfer,
                              done, error);
}

static gboolean
give_content(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    gboolean done;

    /* it may be replaced by another */
    clone->sure = clone->to.foreign && !vimg_foreign_replaces(clone->to.foreign);
    if (!share(clone, entry, &done, error))
        return FALSE;
    clone->sure = FALSE;
    /* libvirt looks at what others wrote when it is asked, at one volume */
    return done || fill_volume(clone, entry, error);
}

/* Whether what has its name may go, as nobody replaced it; *@it: it is there and ours. */
static gboolean
look_for_ours(VimgHostClone *clone, VimgHostEntry *entry, gboolean *it)
{
    g_autoptr(GError) error = NULL;

    *it = TRUE;
    if (!clone->sure)
        return vimg_host_journal_look(entry, clone->connect, &clone->to, clone->vol, it, NULL);
    if (!clone->sink || vimg_host_sink_is_there(clone->sink, &error))
        return TRUE;
    *it = FALSE;
    return g_error_matches(error, VIMG_ERROR, VIMG_ERROR_NO_VOL);
}

/* Whether nothing is there any more that is ours. */
static gboolean
remove_ours(VimgHostClone *clone, VimgHostEntry *entry)
{
    gboolean it;

    return look_for_ours(clone, entry, &it) && (!it || virStorageVolDelete(clone->vol, 0) == 0);
}

/* Of a storage that was lost only the reaper asks libvirt, which would stop its pool. */
static gboolean
drop_beside(const VimgHostClone *clone, const VimgHostEntry *entry, const GError *error)
{
    return !clone->beside || (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) &&
                              vimg_host_journal_end_beside(entry, &clone->to));
}

/* Without an answer nobody knows whether it was made. */
static gboolean
is_gone(VimgHostClone *clone, VimgHostEntry *entry, const GError *error)
{
    gboolean alone = drop_beside(clone, entry, error);

    /* until it takes the place, that is said of the name beside it */
    if (g_error_matches(error, VIMG_ERROR, VIMG_ERROR_VOL_EXISTS) &&
        (!clone->beside || clone->replacing))
        return alone;
    if (!clone->vol)
        return !g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED);
    return remove_ours(clone, entry) && alone;
}

static void
leave(VimgHostClone *clone, VimgHostEntry *entry)
{
    if (!clone->sink || !vimg_host_sink_hand_over(clone->sink, entry))
        vimg_host_journal_leave(entry, clone->vol != NULL);
}

/* What is there of it goes; if it cannot, the journal knows.  Of another's nothing goes. */
static void
take_back(VimgHostClone *clone, VimgHostEntry *entry, const GError *error)
{
    g_autoptr(GError) local = NULL;

    if (clone->sink && vimg_host_sink_hand_over(clone->sink, entry)) {
        vimg_warning(
            "the storage of the host's pool '%s' hangs, so the unfinished volume '%s' stays until it answers",
            virStoragePoolGetName(clone->to.pool), clone->def->name);
    } else if (!is_gone(clone, entry, error)) {
        vimg_warning(
            "the unfinished volume '%s' of the host's pool '%s' stays until it can be removed",
            clone->def->name, virStoragePoolGetName(clone->to.pool));
        leave(clone, entry);
    } else if (!vimg_host_journal_end(entry, &local)) {
        vimg_warning("%s", local->message);
    }
}

/* It is said to be complete only when nobody will take it for unfinished. */
static gboolean
complete(VimgHostClone *clone, VimgHostEntry *entry, GError **error)
{
    if (vimg_host_journal_complete(entry, error))
        return TRUE;
    if ((clone->sink && !vimg_host_sink_is_there(clone->sink, NULL)) ||
        virStorageVolDelete(clone->vol, 0) < 0)
        vimg_warning("volume '%s' of the host's pool '%s' stays, though its clone has failed",
                     clone->def->name, virStoragePoolGetName(clone->to.pool));
    return FALSE;
}

/* Whoever has found it: libvirt, or this daemon where it writes itself.  A backend says it.  Takes
 * @why over. */
static void
throw_why(const VimgHostClone *clone, GError *why, GError **error)
{
    if (clone->to.foreign || !g_error_matches(why, VIMG_ERROR, VIMG_ERROR_NO_SPACE)) {
        g_propagate_error(error, why);
        return;
    }
    vimg_throw(
        error, VIMG_ERROR_NO_SPACE,
        _("volume '%1$s' does not fit into the host's pool '%2$s': delete volumes there or give it more room, then clone again: %3$s"),
        clone->def->name, virStoragePoolGetName(clone->to.pool), why->message);
    g_error_free(why);
}

static gboolean
copy_into(VimgHostClone *clone, GError **error)
{
    VimgHostEntry *entry = vimg_host_journal_begin(clone->primary, &clone->to, clone->def->name,
                                                   clone->transfer, error);
    GError *local = NULL;

    if (!entry || !vimg_host_journal_note(entry, vimg_host_clone_first_capacity(clone),
                                          vimg_host_clone_content(clone), error))
        return FALSE;
    if (make_volume(clone, entry, &local) && give_content(clone, entry, &local))
        return complete(clone, entry, error);
    take_back(clone, entry, local);
    throw_why(clone, local, error);
    return FALSE;
}

static gboolean
copy(VimgHostClone *clone, GError **error)
{
    const gboolean may_hang = clone->to.kind == VIMG_HOST_FILES;
    gboolean ok;

    if (may_hang &&
        !vimg_host_file_begin(clone->to.uuid, virStoragePoolGetName(clone->to.pool), error))
        return FALSE;
    ok = copy_into(clone, error);
    if (may_hang)
        vimg_host_file_end(clone->to.uuid);
    return ok;
}

static gboolean
open_pool(VimgHostClone *clone, GError **error)
{
    if (clone->to.kind != VIMG_HOST_OTHERS)
        return TRUE;
    if (!vimg_host_pool_open_foreign(clone->primary, clone->connect, &clone->to, error))
        return FALSE;
    return clone->to.foreign ||
           vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                      _("images cannot be cloned into the host's pool '%1$s' of type '%2$s'"),
                      virStoragePoolGetName(clone->to.pool), clone->to.type);
}

/* ---- as an overlay -------------------------------------------------------------------------- */

static gboolean
check_overlay(const VimgHostClone *clone, GError **error)
{
    const VimgVolumeDef *def = clone->def;

    if (clone->to.kind != VIMG_HOST_FILES)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED,
            _("the host's pool '%1$s' of type '%2$s' has no files, so no volume can lie on another there: leave <backingStore> out"),
            virStoragePoolGetName(clone->to.pool), clone->to.type);
    if (strcmp(def->backing_path, clone->info.path) != 0)
        return vimg_throw(
            error, VIMG_ERROR_OPERATION_UNSUPPORTED,
            _("<backingStore> must name the image that is cloned, '%1$s', not '%2$s'"),
            clone->info.path, def->backing_path);
    return !def->format || strcmp(def->format, VIMG_HOST_QCOW2) == 0 ||
           vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      _("a volume with a backing store is of format 'qcow2', not '%s'"),
                      def->format);
}

/* What was read may be of another content than the base is to have the name of; if nobody can tell
 * now, whoever comes next compares it. */
static gboolean
confirm_base(const VimgHostClone *clone, virStorageVolPtr base, GError **error)
{
    GError *local = NULL;

    if (vimg_transfer_confirm(clone->transfer, &clone->info, &local))
        return TRUE;
    if (g_error_matches(local, VIMG_ERROR, VIMG_ERROR_OPERATION_INVALID))
        vimg_host_base_drop(clone->connect, &clone->to, base);
    g_propagate_error(error, local);
    return FALSE;
}

/* The image becomes the volume @name.  Returns: (transfer full) */
static virStorageVolPtr
place_base(const VimgHostClone *clone, const char *name, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume><name>%s</name></volume>", name);
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(xml, FALSE, error);
    VimgHostClone base = *clone;

    base.def = def;
    base.xml = xml;
    base.format = vimg_host_stored_format(clone->info.format);
    base.way = VIMG_HOST_AS_IS;
    base.capacity = clone->info.capacity;
    base.vol = NULL;
    base.sink = NULL;
    /* what was noted of one that is gone must not be taken for this, which is not whole for long */
    if (!def || !vimg_host_base_forget(clone->primary, &clone->to, name, error) ||
        !copy(&base, error) || !confirm_base(clone, base.vol, error) ||
        !vimg_host_base_note(clone->primary, &clone->to, base.vol, &clone->info, TRUE, error))
        g_clear_pointer(&base.vol, virStorageVolFree);
    g_clear_pointer(&base.sink, vimg_host_sink_free);
    return base.vol;
}

static virStorageVolPtr
need_base(const VimgHostClone *clone, const char *name, GError **error)
{
    virStorageVolPtr vol = virStorageVolLookupByName(clone->to.pool, name);

    if (!vol && vimg_host_said(VIR_ERR_NO_STORAGE_VOL))
        return place_base(clone, name, error);
    if (!vol) {
        vimg_host_throw(error);
        return NULL;
    }
    if (!vimg_host_base_check(clone->primary, clone->connect, &clone->to, vol, &clone->info,
                              clone->transfer, error))
        g_clear_pointer(&vol, virStorageVolFree);
    return vol;
}

/* In the turn of its name: what others left of that could be taken for it. */
static gboolean
make_whole(VimgHostClone *clone, const char *xml, GError **error)
{
    VimgHostEntry *entry = vimg_host_journal_begin(clone->primary, &clone->to, clone->def->name,
                                                   clone->transfer, error);

    if (!entry)
        return FALSE;
    clone->vol = virStorageVolCreateXML(clone->to.pool, xml, 0);
    if (clone->vol)
        return complete(clone, entry, error);
    vimg_host_throw(error);
    vimg_host_journal_end(entry, NULL);
    return FALSE;
}

static gboolean
lay_over(VimgHostClone *clone, virStorageVolPtr base, GError **error)
{
    char *path = virStorageVolGetPath(base);
    VimgHostVolume volume = {
        .capacity = clone->capacity,
        .format = VIMG_HOST_QCOW2,
        .sparse = TRUE,
        .backing = path,
        .backing_format = vimg_host_stored_format(clone->info.format),
    };
    g_autofree char *xml = path ? vimg_host_volume_xml(clone->xml, &volume, error) : NULL;

    if (!path)
        return vimg_host_throw(error);
    free(path);
    return xml && make_whole(clone, xml, error);
}

/* Another host may have removed it meanwhile, when nothing lay on it yet. */
static gboolean
check_base(VimgHostClone *clone, virStorageVolPtr base, GError **error)
{
    if (vimg_host_base_is_noted(clone->primary, &clone->to, base, &clone->info))
        return TRUE;
    if (virStorageVolDelete(clone->vol, 0) < 0)
        vimg_warning("volume '%s' of the host's pool '%s' lies on '%s', which is gone",
                     clone->def->name, virStoragePoolGetName(clone->to.pool),
                     virStorageVolGetName(base));
    g_clear_pointer(&clone->vol, virStorageVolFree);
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_INVALID,
        _("volume '%1$s' of the host's pool '%2$s', which the new one was to lie on, was changed or removed meanwhile: try again"),
        virStorageVolGetName(base), virStoragePoolGetName(clone->to.pool));
}

static gboolean
make_overlay(VimgHostClone *clone, GError **error)
{
    g_autofree char *name = vimg_host_base_name(&clone->info);
    g_autoptr(virStorageVol) base = NULL;
    gboolean ok;

    clone->format = VIMG_HOST_QCOW2;
    if (!check_overlay(clone, error) || !vimg_host_clone_choose_capacity(clone, error) ||
        !vimg_transfer_confirm(clone->transfer, &clone->info, error) ||
        !vimg_host_base_take(clone->primary, &clone->to, name, clone->transfer, error))
        return FALSE;
    base = need_base(clone, name, error);
    ok = base && lay_over(clone, base, error) && check_base(clone, base, error);
    vimg_host_base_give(clone->primary, &clone->to, name);
    return ok;
}

static gboolean
run(VimgHostClone *clone, GError **error)
{
    if (clone->def->backing_path)
        return make_overlay(clone, error);
    return vimg_host_clone_choose(clone, error) && open_pool(clone, error) && copy(clone, error);
}

/* The host's loss is none of the image's storage, which tells of its own; and why a cancelled one
 * ended does not matter.  Takes @why over.  Returns: FALSE */
static gboolean
fail(VimgHostClone *clone, GError *why, GError **error)
{
    g_autoptr(GError) other = g_error_new_literal(VIMG_ERROR, VIMG_ERROR_FAILED, why->message);

    vimg_transfer_fail(clone->transfer, vimg_host_is_lost(clone->connect) ? other : why);
    if (vimg_transfer_check(clone->transfer, error))
        g_propagate_error(error, why);
    else
        g_error_free(why);
    return FALSE;
}

/* Whoever cancels it waits for no daemon that does not answer. */
static gboolean
run_until_cut(VimgHostClone *clone, int line, GError **error)
{
    g_autoptr(VimgCutter) cutter = vimg_cutter_new(line, clone->transfer, error);

    return cutter && run(clone, error);
}

gboolean
vimg_host_clone_out(VimgHostPrimary *primary, virConnectPtr connect, int line,
                    const VimgPoolId *pool, const char *xml, const VimgVolId *source, guint flags,
                    VimgVolId *out, GError **error)
{
    g_auto(VimgHostClone) clone = {.primary = primary, .connect = connect, .xml = xml};
    GError *local = NULL;

    clone.def = vimg_volume_def_parse(xml, (flags & VIR_STORAGE_VOL_CREATE_VALIDATE) != 0, error);
    if (!clone.def || !vimg_name_check("volume", clone.def->name, error) ||
        !vimg_host_pool_find(connect, pool, &clone.to, error))
        return FALSE;
    clone.transfer = vimg_model_source(primary->model, source, &clone.info, error);
    if (!clone.transfer)
        return FALSE;
    if (!run_until_cut(&clone, line, &local))
        return fail(&clone, local, error);
    out->pool = g_strdup(virStoragePoolGetName(clone.to.pool));
    out->name = g_strdup(virStorageVolGetName(clone.vol));
    out->key = g_strdup(virStorageVolGetKey(clone.vol));
    return TRUE;
}
