/*
 * test-machine.c: what is read of <domain> documents, and what they become in a clone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-disk.h"
#include "cli/machine-domain.h"
#include "cli/machine-history.h"
#include "util/error.h"

#define DOMAIN(devices) "<domain type='kvm' id='3'><devices>" devices "</devices></domain>"

static void
test_parts(void)
{
    g_autoptr(GError) error = NULL;
    VimgMachineParts parts = {0};
    VimgMachineDisk *disk;

    g_assert_true(vimg_machine_parts_parse(
        &parts,
        DOMAIN("<disk type='file' device='disk'><driver type='qcow2'/><source file='/a'/>"
               "<target dev='vda'/><boot order='2'/></disk>"
               "<disk type='block'><source dev='/dev/b'/><target dev='vdb'/><readonly/></disk>"
               "<disk type='volume'><source pool='p' volume='v'/><target dev='vdc'/></disk>"
               "<disk type='network'><source protocol='nbd'/><target dev='vdd'/><shareable/></disk>"
               "<disk type='file' device='cdrom'><source file='/c'/><target dev='hda'/></disk>"
               "<disk type='file' device='disk'><target dev='hdb'/></disk>"
               "<channel><target name='org.qemu.guest_agent.0' state='connected'/></channel>"),
        &error));
    g_assert_no_error(error);
    g_assert_cmpuint(parts.disks->len, ==, 4); /* no CD-ROM, and none without a medium */
    g_assert_true(parts.agent);
    g_assert_false(parts.has_owner);
    disk = vimg_machine_disk_find(parts.disks, "vda");
    g_assert_cmpstr(disk->path, ==, "/a");
    g_assert_cmpstr(disk->format, ==, "qcow2");
    g_assert_cmpuint(disk->boot, ==, 2);
    disk = vimg_machine_disk_find(parts.disks, "vdb");
    g_assert_cmpstr(disk->path, ==, "/dev/b");
    g_assert_cmpstr(disk->format, ==, "raw");
    g_assert_true(disk->block && disk->read_only);
    disk = vimg_machine_disk_find(parts.disks, "vdc");
    g_assert_cmpstr(disk->pool, ==, "p");
    g_assert_cmpstr(disk->volume, ==, "v");
    disk = vimg_machine_disk_find(parts.disks, "vdd");
    g_assert_true(disk->network && disk->shareable);
    g_assert_null(vimg_machine_disk_find(parts.disks, "hda"));
    vimg_machine_parts_clear(&parts);
}

/* Whether a volume that the disk is holds what the guest sees. */
static void
test_plain(void)
{
#define RBD(more) "<source protocol='rbd' name='p/v'>" more "</source><target dev='vda'/>"
    static const struct {
        const char *disk;
        gboolean plain;
    } rows[] = {
        {RBD(""), TRUE},
        {"<driver type='raw'/>" RBD("<host name='h' port='1'/>"), TRUE},
        {"<driver type='qcow2'/>" RBD(""), FALSE},
        {"<driver type='raw'/>" RBD("<encryption format='luks' engine='librbd'/>"), FALSE},
        {"<encryption format='luks'/>" RBD(""), FALSE},
        {RBD("<snapshot name='s'/>"), FALSE},
        {RBD("<slices><slice type='storage' offset='1' size='1'/></slices>"), FALSE},
        {RBD("<config file='/f'/>"), FALSE},
    };
#undef RBD

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *xml =
            g_strdup_printf(DOMAIN("<disk type='network'>%s</disk>"), rows[i].disk);
        g_autoptr(GError) error = NULL;
        VimgMachineParts parts = {0};
        VimgMachineDisk *disk;

        g_assert_true(vimg_machine_parts_parse(&parts, xml, &error));
        g_assert_no_error(error);
        disk = vimg_machine_disk_find(parts.disks, "vda");
        if (disk->plain != rows[i].plain)
            g_error("%s", xml);
        vimg_machine_parts_clear(&parts);
    }
}

/* Documents that are none, or that would lead into paths and documents of ours. */
static void
test_bad_parts(void)
{
    static const char *const bad[] = {
        "",
        "<domain>",
        "<network/>",
        DOMAIN("<disk><source file='/a'/></disk>"),
        DOMAIN("<disk><source file='/a'/><target dev='../x'/></disk>"),
        DOMAIN("<disk><source file='/a'/><target dev=\"v'a\"/></disk>"),
        DOMAIN("<disk><source file='/a'/><target dev='abcdefghijklmnopq'/></disk>"),
    };

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        VimgMachineParts parts = {0};

        g_assert_false(vimg_machine_parts_parse(&parts, bad[i], &error));
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_XML);
        vimg_machine_parts_clear(&parts);
    }
}

static void
test_owner(void)
{
    g_autoptr(GError) error = NULL;
    VimgMachineParts parts = {0};

    g_assert_true(vimg_machine_parts_parse(
        &parts,
        "<domain><devices/><seclabel type='dynamic' model='apparmor'><label>x</label></seclabel>"
        "<seclabel type='dynamic' model='dac'><label>+64055:+103</label></seclabel></domain>",
        &error));
    g_assert_true(parts.has_owner);
    g_assert_cmpuint(parts.owner, ==, 64055);
    g_assert_cmpuint(parts.group, ==, 103);
    vimg_machine_parts_clear(&parts);
}

static const struct {
    const char *xml;
    const char *words; /* of the refusal; NULL: it can be cloned */
} checks[] = {
    {DOMAIN("<disk type='file'/><interface type='network'/>"), NULL},
    {DOMAIN("<tpm model='tpm-crb'/>"), "TPM"},
    {DOMAIN("<hostdev mode='subsystem' type='pci'/>"), "device of the host"},
    {DOMAIN("<interface type='hostdev'/>"), "network device"},
    {DOMAIN("<disk type='vhostuser'/>"), "another process"},
    {"<domain><os><nvram type='network'/></os></domain>", "firmware"},
};

static void
test_check(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(checks); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(vimg_domain_check(checks[i].xml, &error) == !checks[i].words);
        if (!checks[i].words)
            continue;
        g_assert_error(error, VIMG_ERROR, VIMG_ERROR_OPERATION_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, checks[i].words));
    }
}

/* What must be gone from a clone, and what it must have. */
static void
test_change(void)
{
    static const char old[] =
        "<domain id='7'><name>old</name><uuid>u-old</uuid><genid>g-old</genid>"
        "<os><loader>/l</loader><nvram template='/t'>/v/old_VARS.fd</nvram></os>"
        "<sysinfo type='smbios'><system><entry name='uuid'>u-old</entry>"
        "<entry name='product'>keep-product</entry></system></sysinfo><devices>"
        "<disk type='network' device='disk'><auth username='a-old'/><source protocol='x' name='s-old'/>"
        "<backingStore><source file='b-old'/></backingStore><target dev='vda'/></disk>"
        "<disk type='file' device='disk'><source file='/data-old'/><target dev='vdb'/></disk>"
        "<disk type='file' device='cdrom'><source file='/keep.iso'/><target dev='hda'/></disk>"
        "<disk type='file'><source file='/keep-shared'/><target dev='vdc'/><shareable/></disk>"
        "<interface type='bridge'><mac address='m-old'/><source bridge='keep-bridge'/>"
        "<target dev='tap-old'/><virtualport><parameters interfaceid='i-old'/></virtualport>"
        "</interface><graphics type='vnc' port='5901-old' autoport='no' listen='keep-listen'/>"
        "<vsock><cid auto='no' address='c-old'/></vsock>"
        "<serial type='file'><source path='/log/s'/><log file='/log/l'/></serial>"
        "<serial type='dev'><source path='/dev/ttyS0'/></serial></devices></domain>";
    static const char *const have[] = {
        "<name>new</name>",
        "<uuid>u-new</uuid>",
        "keep-product",
        "/keep.iso",
        "/keep-shared",
        "keep-bridge",
        "keep-listen",
        "autoport=\"yes\"",
        "file=\"/n/vda\"",
        "path=\"/log/s.new\"",
        "file=\"/log/l.new\"",
        "\"/dev/ttyS0\"",
        ">/v/new_VARS.fd</nvram>",
    };
    g_autoptr(GArray) disks = g_array_new(FALSE, FALSE, sizeof(VimgDomainDisk));
    VimgDomainDisk disk = {"vda", "/n/vda", FALSE, NULL};
    VimgDomainChange change = {"new", "u-new", "/v/new_VARS.fd", disks};
    g_autoptr(GError) error = NULL;
    g_autofree char *nvram = vimg_domain_nvram(old);
    g_autofree char *got = NULL;

    g_assert_cmpstr(nvram, ==, "/v/old_VARS.fd");
    g_array_append_val(disks, disk);
    got = vimg_domain_change(old, &change, &error);
    g_assert_no_error(error);
    g_assert_null(strstr(got, "old"));
    g_assert_null(strstr(got, "id=\"7\""));
    for (gsize i = 0; i < G_N_ELEMENTS(have); i++)
        if (!strstr(got, have[i]))
            g_error("no %s in %s", have[i], got);
}

/* Three of one second: only what each is based on tells their order. */
static void
test_history(void)
{
    static VimgImage images[] = {
        {.uuid = (char *)"a", .parent = (char *)"b", .machine_disk = (char *)"vda", .created = 5},
        {.uuid = (char *)"b", .parent = (char *)"c", .machine_disk = (char *)"vda", .created = 5},
        {.uuid = (char *)"d", .parent = (char *)"x", .machine_disk = (char *)"vdb", .created = 5},
        {.uuid = (char *)"c", .machine_disk = (char *)"vda", .created = 5},
        {.uuid = (char *)"z", .parent = (char *)"z", .machine_disk = (char *)"vda", .created = 4},
    };
    g_autoptr(GPtrArray) history = g_ptr_array_new();
    g_autoptr(GString) order = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(images); i++)
        g_ptr_array_add(history, &images[i]);
    vimg_history_sort(history);
    for (guint i = 0; i < history->len; i++)
        g_string_append(order, ((VimgImage *)history->pdata[i])->uuid);
    g_assert_cmpstr(order->str, ==, "zcdba");
}

#define SNAPSHOT(uuid_, parent_, disk_, pool_, snapshot_, created_)                                \
    {                                                                                              \
        .uuid = (char *)(uuid_), .parent = (char *)(parent_), .machine_disk = (char *)(disk_),     \
        .pool = (char *)(pool_), .snapshot = (char *)(snapshot_), .created = (created_)            \
    }

/* Snapshots of one second, in one pool and in two: none is torn, nor before what it is based on. */
static void
test_moments(void)
{
    static VimgImage images[] = {
        SNAPSHOT("f", NULL, "vdb", "q", "other", 5), SNAPSHOT("d", "b", "vdb", "p", "after", 5),
        SNAPSHOT("e", NULL, "vda", "q", "other", 5), SNAPSHOT("b", NULL, "vdb", "p", "zero", 5),
        SNAPSHOT("c", "a", "vda", "p", "after", 6), /* it took longer */
        SNAPSHOT("a", NULL, "vda", "p", "zero", 5),  SNAPSHOT("1", NULL, "vdb", "q", "first", 4),
        SNAPSHOT("0", NULL, "vda", "q", "first", 4), SNAPSHOT("9", NULL, "vda", "r", "", 9),
        SNAPSHOT("8", NULL, "vda", "p", "later", 8),
    };
    g_autoptr(GPtrArray) history = g_ptr_array_new();
    g_autoptr(GString) order = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(images); i++)
        g_ptr_array_add(history, &images[i]);
    vimg_history_sort_moments(history);
    for (guint i = 0; i < history->len; i++)
        g_string_append(order, ((VimgImage *)history->pdata[i])->uuid);
    g_assert_cmpstr(order->str, ==, "01abcdef89");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/parts", test_parts);
    g_test_add_func("/machine/parts/plain", test_plain);
    g_test_add_func("/machine/parts/bad", test_bad_parts);
    g_test_add_func("/machine/parts/owner", test_owner);
    g_test_add_func("/machine/clone/check", test_check);
    g_test_add_func("/machine/clone/change", test_change);
    g_test_add_func("/machine/history", test_history);
    g_test_add_func("/machine/history/moments", test_moments);
    return g_test_run();
}
