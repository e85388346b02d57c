/*
 * list.c: every pool of a connection and every image in it, with sizes, through libvirt's C API
 *
 * Usage: list [URI]       (default: image:///system)
 * Prints one line a pool (name, state, free bytes) and below it one line an image (name, virtual
 * size, bytes in the store).  Exit status: 0, or 1 with a message when something could not be
 * asked.
 *
 * It knows nothing of virtimage: an image pool is a libvirt storage pool.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include <stdio.h>
#include <stdlib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* Returns: -1 after saying why. */
static int
fail(const char *what)
{
    fprintf(stderr, "list: %s: %s\n", what, virGetLastErrorMessage());
    return -1;
}

static int
print_volume(virStorageVolPtr volume)
{
    virStorageVolInfo info;

    if (virStorageVolGetInfo(volume, &info) < 0)
        return fail(virStorageVolGetName(volume));
    printf("    %-32s %14llu bytes, %14llu in the store\n", virStorageVolGetName(volume),
           info.capacity, info.allocation);
    return 0;
}

static int
print_volumes(virStoragePoolPtr pool)
{
    virStorageVolPtr *volumes = NULL;
    int n = virStoragePoolListAllVolumes(pool, &volumes, 0);
    int result = n < 0 ? fail("cannot list the images") : 0;

    for (int i = 0; i < n; i++) {
        if (print_volume(volumes[i]) < 0)
            result = -1;
        virStorageVolFree(volumes[i]);
    }
    free(volumes);
    return result;
}

static int
print_pool(virStoragePoolPtr pool)
{
    virStoragePoolInfo info;

    if (virStoragePoolGetInfo(pool, &info) < 0)
        return fail(virStoragePoolGetName(pool));
    if (info.state != VIR_STORAGE_POOL_RUNNING) {
        printf("%s: not running\n", virStoragePoolGetName(pool));
        return 0;
    }
    printf("%s: running, %llu bytes free\n", virStoragePoolGetName(pool), info.available);
    return print_volumes(pool);
}

static int
print_pools(virConnectPtr conn)
{
    virStoragePoolPtr *pools = NULL;
    int n = virConnectListAllStoragePools(conn, &pools, 0);
    int result = n < 0 ? fail("cannot list the pools") : 0;

    for (int i = 0; i < n; i++) {
        if (print_pool(pools[i]) < 0)
            result = -1;
        virStoragePoolFree(pools[i]);
    }
    free(pools);
    return result;
}

/* Errors are printed once, by fail(), and not by the library. */
static void
quiet(void *data, virErrorPtr error)
{
    (void)data;
    (void)error;
}

int
main(int argc, char **argv)
{
    const char *uri = argc > 1 ? argv[1] : "image:///system";
    virConnectPtr conn;
    int result;

    if (argc > 2) {
        fprintf(stderr, "Usage: %s [URI]\n", argv[0]);
        return 1;
    }
    virSetErrorFunc(NULL, quiet);
    if (!(conn = virConnectOpenReadOnly(uri)))
        return fail(uri) < 0;
    result = print_pools(conn);
    virConnectClose(conn);
    return result < 0;
}
