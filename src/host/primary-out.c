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
#include "host/primary-file.h"
#include "host/primary-private.h"
#include "util/i18n.h"
#include "util/log.h"

#define ULL(number) ((unsigned long long)(number))

#define RAW "raw"
#define QCOW2 "qcow2"

/* One of them. */
typedef struct {
    VimgHostPrimary *primary;
    virConnectPtr connect;
    VimgHostPool to;
    VimgSourceInfo info;
    VimgTransfer *transfer; /* the job */
    VimgVolumeDef *def;     /* what its client said */
    const char *xml;
    const char *format; /* of the volume */
    VimgHostWay way;
    guint64 capacity; /* of the volume */
    virStorageVolPtr vol;
    VimgHostSink *sink; /* what fills .vol */
    gboolean sure;      /* .vol can only be ours: it was just made, or is being completed */
    gboolean beside;    /* there is another that was to take its place */
    gboolean replacing; /* it was made, and takes that */
} Clone;

static void
clone_clear(Clone *clone)
{
    g_clear_pointer(&clone->sink, vimg_host_sink_free);
    g_clear_pointer(&clone->vol, virStorageVolFree);
    vimg_host_pool_clear(&clone->to);
    vimg_source_info_clear(&clone->info);
    vimg_transfer_free(clone->transfer);
    vimg_volume_def_free(clone->def);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Clone, clone_clear)

/* ---- what is to be done ------------------------------------------------------------------- */

/* Optical discs are as raw as disks. */
static const char *
stored_format(const char *format)
{
    return strcmp(format, "iso") == 0 ? RAW : format;
}

static gboolean
choose_way(Clone *clone, GError **error)
{
    const char *have = stored_format(clone->info.format);
    const char *want = clone->def->format ? stored_format(clone->def->format) : RAW;

    if (clone->to.kind != VIMG_HOST_FILES && strcmp(want, RAW) != 0)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("volumes of the host's pool '%1$s', which is of type '%2$s', are raw, not '%3$s'"),
            virStoragePoolGetName(clone->to.pool), clone->to.type, want);
    clone->format = want;
    if (strcmp(have, want) == 0)
        clone->way = VIMG_HOST_AS_IS;
    else if (strcmp(want, RAW) == 0)
        clone->way = VIMG_HOST_TO_RAW;
    else if (strcmp(want, QCOW2) == 0)
        clone->way = VIMG_HOST_TO_QCOW2;
    else
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("image '%1$s' can become a volume of format 'raw', 'qcow2' or '%2$s', not '%3$s'"),
            clone->info.name, clone->info.format, want);
    return TRUE;
}

/* As in stock: less than its source has, it never has. */
static gboolean
choose_capacity(Clone *clone, GError **error)
{
    guint64 asked = clone->def->has_capacity ? clone->def->capacity : 0;

    clone->capacity = MAX(asked, clone->info.capacity);
    if (clone->capacity == clone->info.capacity || strcmp(clone->format, RAW) == 0 ||
        strcmp(clone->format, QCOW2) == 0)
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("a volume of format '%1$s' must have the capacity of its image, %2$llu bytes"),
        clone->format, ULL(clone->info.capacity));
}

/* ---- doing it --------------------------------------------------------------------------- */

/* What is no raw disk says its own capacity, and grows afterwards. */
static guint64
first_capacity(const Clone *clone)
{
    return strcmp(clone->format, RAW) == 0 ? clone->capacity : clone->info.capacity;
}

/* Bytes that will come, or fewer: a mark within them is written over. */
static guint64
content_size(const Clone *clone)
{
    if (clone->way == VIMG_HOST_TO_QCOW2)
        return VIMG_HOST_HEAD; /* each has its header and three tables */
    if (strcmp(clone->format, RAW) == 0 && clone->to.kind == VIMG_HOST_FILES)
        return clone->capacity;
    return clone->way == VIMG_HOST_AS_IS ? clone->info.physical : clone->info.capacity;
}

static gboolean
make_volume(Clone *clone, VimgHostEntry *entry, GError **error)
{
    gboolean files = clone->to.kind == VIMG_HOST_FILES;
    VimgHostVolume volume = {
        .capacity = first_capacity(clone),
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
whole_size(const Clone *clone, guint64 *size, GError **error)
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
fill_up(Clone *clone, VimgHostSink *sink, guint64 size, GError **error)
{
    guint64 whole;

    if (strcmp(clone->format, RAW) != 0 || clone->to.kind == VIMG_HOST_OTHERS)
        return TRUE;
    return whole_size(clone, &whole, error) &&
           (size >= whole || vimg_host_sink_hole(sink, whole - size, error));
}

static gboolean
grow(Clone *clone, GError **error)
{
    if (strcmp(clone->format, RAW) == 0 || clone->capacity == clone->info.capacity)
        return TRUE;
    if (!vimg_host_sink_is_there(clone->sink, error))
        return FALSE;
    return virStorageVolResize(clone->vol, clone->capacity, 0) == 0 || vimg_host_throw(error);
}

/* Of what is filled by streams nobody here holds the file: the mark is looked for before it goes.
 */
static gboolean
is_still_ours(Clone *clone, VimgHostEntry *entry, GError **error)
{
    gboolean it = FALSE;

    if (clone->to.foreign || vimg_host_sink_has_file(clone->sink))
        return TRUE;
    return vimg_host_journal_look(entry, clone->connect, &clone->to, clone->vol, &it, error) &&
           (it || vimg_host_file_throw_replaced(clone->def->name, error));
}

static gboolean
fill(Clone *clone, VimgHostEntry *entry, GError **error)
{
    VimgHostSource source = {clone->primary, clone->transfer, &clone->info, clone->way};
    VimgHostSink *sink = clone->sink;
    guint64 size = 0;

    if (!vimg_host_source_pour(&source, sink, &size, error) || !fill_up(clone, sink, size, error) ||
        !vimg_host_sink_rest(sink, error) || !vimg_transfer_check(clone->transfer, error) ||
        !is_still_ours(clone, entry, error))
        return FALSE;
    clone->sure = TRUE; /* the mark goes */
    return vimg_host_sink_finish(sink, error) && grow(clone, error);
}

static gboolean
fill_volume(Clone *clone, VimgHostEntry *entry, GError **error)
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
may_share(const Clone *clone)
{
    return clone->to.foreign && !clone->def->flatten && clone->way == VIMG_HOST_AS_IS;
}

/* Beside it first: so whoever finds it unfinished knows it. */
static gboolean
share_beside(Clone *clone, VimgHostEntry *entry, gboolean *done, GError **error)
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
share(Clone *clone, VimgHostEntry *entry, gboolean *done, GError **error)
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
give_content(Clone *clone, VimgHostEntry *entry, GError **error)
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
look_for_ours(Clone *clone, VimgHostEntry *entry, gboolean *it)
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
remove_ours(Clone *clone, VimgHostEntry *entry)
{
    gboolean it;

    return look_for_ours(clone, entry, &it) && (!it || virStorageVolDelete(clone->vol, 0) == 0);
}

/* Of a storage that was lost only the reaper asks libvirt, which would stop its pool. */
static gboolean
drop_beside(const Clone *clone, const VimgHostEntry *entry, const GError *error)
{
    return !clone->beside || (!g_error_matches(error, VIMG_ERROR, VIMG_ERROR_DISCONNECTED) &&
                              vimg_host_journal_end_beside(entry, &clone->to));
}

/* Without an answer nobody knows whether it was made. */
static gboolean
is_gone(Clone *clone, VimgHostEntry *entry, const GError *error)
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
leave(Clone *clone, VimgHostEntry *entry)
{
    if (!clone->sink || !vimg_host_sink_hand_over(clone->sink, entry))
        vimg_host_journal_leave(entry, clone->vol != NULL);
}

/* What is there of it goes; if it cannot, the journal knows.  Of another's nothing goes. */
static void
take_back(Clone *clone, VimgHostEntry *entry, const GError *error)
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
complete(Clone *clone, VimgHostEntry *entry, GError **error)
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
throw_why(const Clone *clone, GError *why, GError **error)
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
copy_into(Clone *clone, GError **error)
{
    VimgHostEntry *entry =
        vimg_host_journal_begin(clone->primary, &clone->to, clone->def->name, first_capacity(clone),
                                content_size(clone), clone->transfer, error);
    GError *local = NULL;

    if (!entry)
        return FALSE;
    if (make_volume(clone, entry, &local) && give_content(clone, entry, &local))
        return complete(clone, entry, error);
    take_back(clone, entry, local);
    throw_why(clone, local, error);
    return FALSE;
}

static gboolean
copy(Clone *clone, GError **error)
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
open_pool(Clone *clone, GError **error)
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
check_overlay(const Clone *clone, GError **error)
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
    return !def->format || strcmp(def->format, QCOW2) == 0 ||
           vimg_throw(error, VIMG_ERROR_CONFIG_UNSUPPORTED,
                      _("a volume with a backing store is of format 'qcow2', not '%s'"),
                      def->format);
}

/* The image becomes the volume @name.  Returns: (transfer full) */
static virStorageVolPtr
place_base(const Clone *clone, const char *name, GError **error)
{
    g_autofree char *xml = g_strdup_printf("<volume><name>%s</name></volume>", name);
    g_autoptr(VimgVolumeDef) def = vimg_volume_def_parse(xml, FALSE, error);
    Clone base = *clone;

    base.def = def;
    base.xml = xml;
    base.format = stored_format(clone->info.format);
    base.way = VIMG_HOST_AS_IS;
    base.capacity = clone->info.capacity;
    base.vol = NULL;
    base.sink = NULL;
    /* what was noted of one that is gone must not be taken for this, which is not whole for long */
    if (!def || !vimg_host_base_forget(clone->primary, &clone->to, name, error) ||
        !copy(&base, error) ||
        !vimg_host_base_note(clone->primary, &clone->to, base.vol, &clone->info, TRUE, error))
        g_clear_pointer(&base.vol, virStorageVolFree);
    g_clear_pointer(&base.sink, vimg_host_sink_free);
    return base.vol;
}

static virStorageVolPtr
need_base(const Clone *clone, const char *name, GError **error)
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
make_whole(Clone *clone, const char *xml, GError **error)
{
    VimgHostEntry *entry = vimg_host_journal_begin_whole(clone->primary, &clone->to,
                                                         clone->def->name, clone->transfer, error);

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
lay_over(Clone *clone, virStorageVolPtr base, GError **error)
{
    char *path = virStorageVolGetPath(base);
    VimgHostVolume volume = {
        .capacity = clone->capacity,
        .format = QCOW2,
        .sparse = TRUE,
        .backing = path,
        .backing_format = stored_format(clone->info.format),
    };
    g_autofree char *xml = path ? vimg_host_volume_xml(clone->xml, &volume, error) : NULL;

    if (!path)
        return vimg_host_throw(error);
    free(path);
    return xml && make_whole(clone, xml, error);
}

/* Another host may have removed it meanwhile, when nothing lay on it yet. */
static gboolean
check_base(Clone *clone, virStorageVolPtr base, GError **error)
{
    if (vimg_host_base_is_noted(clone->primary, &clone->to, base))
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
make_overlay(Clone *clone, GError **error)
{
    g_autofree char *name = vimg_host_base_name(&clone->info);
    g_autoptr(virStorageVol) base = NULL;
    gboolean ok;

    clone->format = QCOW2;
    if (!check_overlay(clone, error) || !choose_capacity(clone, error) ||
        !vimg_host_base_take(clone->primary, &clone->to, name, clone->transfer, error))
        return FALSE;
    base = need_base(clone, name, error);
    ok = base && lay_over(clone, base, error) && check_base(clone, base, error);
    vimg_host_base_give(clone->primary, &clone->to, name);
    return ok;
}

static gboolean
run(Clone *clone, GError **error)
{
    if (clone->def->backing_path)
        return make_overlay(clone, error);
    return choose_way(clone, error) && choose_capacity(clone, error) && open_pool(clone, error) &&
           copy(clone, error);
}

/* The host's loss is none of the image's storage, which tells of its own; and why a cancelled one
 * ended does not matter.  Takes @why over.  Returns: FALSE */
static gboolean
fail(Clone *clone, GError *why, GError **error)
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
run_until_cut(Clone *clone, int line, GError **error)
{
    g_autoptr(VimgCutter) cutter = vimg_cutter_new(line, clone->transfer, error);

    return cutter && run(clone, error);
}

gboolean
vimg_host_clone_out(VimgHostPrimary *primary, virConnectPtr connect, int line,
                    const VimgPoolId *pool, const char *xml, const VimgVolId *source, guint flags,
                    VimgVolId *out, GError **error)
{
    g_auto(Clone) clone = {.primary = primary, .connect = connect, .xml = xml};
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
