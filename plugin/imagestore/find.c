/*
 * find.c: stores below a directory
 *
 * A search is a look round, not an inventory: so deep, so many directories and so long at most.
 * Symbolic links are not followed, and what cannot be read is not there.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "find.h"
#include "json.h"
#include "location.h"
#include "store.h"
#include "throw.h"

#define DEPTH_MAX 3
#define LOOKED_MAX 16384
#define FOUND_MAX 1024
#define TIME_MAX (10 * G_USEC_PER_SEC)

typedef struct {
    GString *out;
    guint looked;
    guint found;
    gint64 deadline;
} Search;

static gboolean
is_over(const Search *search)
{
    return search->looked >= LOOKED_MAX || search->found >= FOUND_MAX ||
           g_get_monotonic_time() > search->deadline;
}

/* Whether @dir holds a store, of whatever version; then it is in @search. */
static gboolean
take_store(Search *search, const char *dir)
{
    g_autoptr(VimgTransport) transport = vimg_transport_local_new(dir);
    g_autoptr(VimgBuffer) content = NULL;
    g_autoptr(JsonObject) root = NULL;
    g_autofree char *element = NULL;
    const char *uuid;
    guint64 format;

    if (vimg_transport_read(transport, "store.json", VIMG_JSON_MAX_SIZE, &content) != 0)
        return FALSE;
    root = vimg_json_parse(content->data, content->size, NULL);
    uuid = root ? vimg_json_string(root, "uuid") : NULL;
    if (!uuid || !g_uuid_string_is_valid(uuid) || !vimg_json_number(root, "format", &format) ||
        !g_utf8_validate(dir, -1, NULL))
        return FALSE;
    element = g_markup_printf_escaped("  <source>\n"
                                      "    <dir path='%s'/>\n"
                                      "    <image:store xmlns:image='urn:virtimage:pool:1' "
                                      "uuid='%s' format='%llu'/>\n"
                                      "  </source>\n",
                                      dir, uuid, ULL(format));
    g_string_append(search->out, element);
    search->found++;
    return TRUE;
}

/* Takes @fd over, a directory at @path. */
static void
search_in(Search *search, int fd, const char *path, guint depth)
{
    DIR *dir = NULL;
    struct dirent *entry;

    search->looked++;
    if (take_store(search, path) || depth == 0 || !(dir = fdopendir(fd))) {
        close(fd);
        return;
    }
    while (!is_over(search) && (entry = readdir(dir))) {
        g_autofree char *child = NULL;
        int below;

        if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
            continue;
        below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            continue;
        child = g_build_filename(path, entry->d_name, NULL);
        search_in(search, below, child, depth - 1);
    }
    closedir(dir);
}

char *
vimg_imagestore_find(const VimgPluginPool *pool, GError **error)
{
    Search search = {.deadline = g_get_monotonic_time() + TIME_MAX};
    int fd;

    if (!pool->dir) {
        throw_error(error, VIMG_ERROR_INVALID_ARG,
                    _("a directory to search is missing: give <dir path='...'/>"));
        return NULL;
    }
    if (!vimg_location_check(pool->dir, error))
        return NULL;
    fd = open(pool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        throw_result(error, errno, _("cannot open path '%s'"), pool->dir);
        return NULL;
    }
    search.out = g_string_new(NULL);
    search_in(&search, fd, pool->dir, DEPTH_MAX);
    if (is_over(&search))
        vimg_slice_store_log(VIMG_LOG_WARNING,
                             "the search for stores below '%s' ended early: %u directories looked "
                             "at, %u stores found",
                             pool->dir, search.looked, search.found);
    return g_string_free(search.out, FALSE);
}
