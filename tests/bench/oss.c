/*
 * oss.c: the client of an object storage alone, for a measurement
 *
 * oss put|get PORT KEY PARTS [FILE]: sends FILE, or reads the object, so many parts at a time (0:
 * as many as is the default), and prints the most memory it had in MiB.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "download.h"
#include "multipart.h"

#define PIECE ((gsize)1024 * 1024)

static gboolean
put(VimgOss *oss, const char *key, guint workers, const char *path, GError **error)
{
    g_autofree guint8 *piece = g_malloc(PIECE);
    VimgOssUploadRules rules = {.key = key, .workers = workers};
    g_autoptr(VimgOssUpload) upload = NULL;
    g_auto(VimgOssObject) made = {0};
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0 || fstat(fd, &info) < 0)
        return FALSE;
    rules.part_size = vimg_oss_part_size((guint64)info.st_size);
    upload = vimg_oss_upload_begin(oss, &rules, error);
    while (upload && (n = read(fd, piece, PIECE)) > 0)
        if (!vimg_oss_upload_write(upload, piece, (guint64)n, error))
            return FALSE;
    close(fd);
    return upload && vimg_oss_upload_finish(upload, &made, error);
}

static gboolean
get(VimgOss *oss, const char *key, guint workers, GError **error)
{
    g_auto(VimgOssObject) object = {0};
    VimgOssDownloadRules rules = {.key = key, .object = &object, .workers = workers};
    g_autoptr(VimgOssDownload) download = NULL;
    VimgExtent extent;

    if (!vimg_oss_head(oss, key, &object, NULL, error))
        return FALSE;
    download = vimg_oss_download_new(oss, &rules, error);
    for (;;) {
        if (!download || !vimg_oss_download_next(download, &extent, error))
            return FALSE;
        if (extent.length == 0)
            return TRUE;
        vimg_buffer_unref(extent.data);
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VimgCredential) credential = vimg_credential_new("ak", (const guint8 *)"sk", 2, NULL);
    VimgOssRules rules = {.plain = TRUE,
                          .host = "127.0.0.1",
                          .bucket = "images",
                          .region = "cn-hangzhou",
                          .style = VIMG_OSS_PATH};
    g_autoptr(VimgOss) oss = NULL;
    struct rusage usage;
    guint workers;
    gboolean good;

    if (argc < 5)
        return 2;
    rules.port = (guint16)g_ascii_strtoull(argv[2], NULL, 10);
    workers = (guint)g_ascii_strtoull(argv[4], NULL, 10);
    oss = vimg_oss_new(&rules, credential, &error);
    good = oss && (argc > 5 ? put(oss, argv[3], workers, argv[5], &error)
                            : get(oss, argv[3], workers, &error));
    if (!good) {
        fprintf(stderr, "%s\n", error ? error->message : "no such file");
        return 1;
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld\n", usage.ru_maxrss / 1024);
    return 0;
}
