/*
 * primary-choose.c: what an image of ours becomes in a pool of the host
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "host/primary-clone.h"
#include "host/primary-mark.h"
#include "image/inspect.h"
#include "image/qcow2-header.h"
#include "util/i18n.h"

#define ULL(number) ((unsigned long long)(number))

const char *
vimg_host_stored_format(const char *format)
{
    return strcmp(format, "iso") == 0 ? VIMG_HOST_RAW : format;
}

static gboolean
choose_way(VimgHostClone *clone, GError **error)
{
    const char *have = vimg_host_stored_format(clone->info.format);
    const char *want =
        clone->def->format ? vimg_host_stored_format(clone->def->format) : VIMG_HOST_RAW;

    if (clone->to.kind != VIMG_HOST_FILES && strcmp(want, VIMG_HOST_RAW) != 0)
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("volumes of the host's pool '%1$s', which is of type '%2$s', are raw, not '%3$s'"),
            virStoragePoolGetName(clone->to.pool), clone->to.type, want);
    clone->format = want;
    if (strcmp(have, want) == 0)
        clone->way = VIMG_HOST_AS_IS;
    else if (strcmp(want, VIMG_HOST_RAW) == 0)
        clone->way = VIMG_HOST_TO_RAW;
    else if (strcmp(want, VIMG_HOST_QCOW2) == 0)
        clone->way = VIMG_HOST_TO_QCOW2;
    else
        return vimg_throw(
            error, VIMG_ERROR_CONFIG_UNSUPPORTED,
            _("image '%1$s' can become a volume of format 'raw', 'qcow2' or '%2$s', not '%3$s'"),
            clone->info.name, clone->info.format, want);
    return TRUE;
}

/* As in stock: less than its source has, it never has. */
gboolean
vimg_host_clone_choose_capacity(VimgHostClone *clone, GError **error)
{
    guint64 asked = clone->def->has_capacity ? clone->def->capacity : 0;

    clone->capacity = MAX(asked, clone->info.capacity);
    if (clone->capacity == clone->info.capacity || strcmp(clone->format, VIMG_HOST_RAW) == 0 ||
        strcmp(clone->format, VIMG_HOST_QCOW2) == 0)
        return TRUE;
    return vimg_throw(
        error, VIMG_ERROR_OPERATION_UNSUPPORTED,
        _("a volume of format '%1$s' must have the capacity of its image, %2$llu bytes"),
        clone->format, ULL(clone->info.capacity));
}

/* What is no raw disk says its own capacity, and grows when all but the mark is written. */
guint64
vimg_host_clone_first_capacity(const VimgHostClone *clone)
{
    return strcmp(clone->format, VIMG_HOST_RAW) == 0 ? clone->capacity : clone->info.capacity;
}

gboolean
vimg_host_clone_grows(const VimgHostClone *clone)
{
    return vimg_host_clone_first_capacity(clone) != clone->capacity;
}

guint64
vimg_host_clone_content(const VimgHostClone *clone)
{
    if (clone->way == VIMG_HOST_TO_QCOW2)
        return VIMG_HOST_HEAD; /* each has its header and three tables */
    if (strcmp(clone->format, VIMG_HOST_RAW) == 0 && clone->to.kind == VIMG_HOST_FILES)
        return clone->capacity;
    return clone->way == VIMG_HOST_AS_IS ? clone->info.physical : clone->info.capacity;
}

/* Whether the mark of an unfinished volume lies where its header's cluster says nothing. */
static gboolean
has_room(const VimgHostClone *clone)
{
    const VimgExtent *first = &clone->first;
    VimgQcow2Header header;

    if (clone->info.physical < VIMG_HOST_HEAD || !first->data || first->length < VIMG_INSPECT_HEAD)
        return FALSE;
    header = vimg_qcow2_header_read(first->data->data + first->offset);
    return header.cluster_bits < 32 && vimg_qcow2_cluster_size(&header) >= VIMG_HOST_HEAD;
}

/* One that grows is written anew, in larger clusters, if its own are too small for the mark. */
static gboolean
choose_clusters(VimgHostClone *clone, GError **error)
{
    if (clone->way != VIMG_HOST_AS_IS || !vimg_host_clone_grows(clone))
        return TRUE;
    if (!vimg_transfer_next(clone->transfer, &clone->first, error))
        return FALSE;
    if (!has_room(clone))
        clone->way = VIMG_HOST_TO_QCOW2;
    return TRUE;
}

gboolean
vimg_host_clone_choose(VimgHostClone *clone, GError **error)
{
    return choose_way(clone, error) && vimg_host_clone_choose_capacity(clone, error) &&
           choose_clusters(clone, error);
}
