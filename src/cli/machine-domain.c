/*
 * machine-domain.c: the document of a machine that becomes that of its clone
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <string.h>

#include "cli/machine-domain.h"
#include "cli/tree.h"
#include "util/error.h"
#include "util/i18n.h"

/* ---- what cannot be cloned -------------------------------------------------------------- */

/* Devices that are of one machine at a time, or keep what must not be had twice. */
static const struct {
    const char *element;
    const char *type; /* NULL: any */
    const char *why;
} unique[] = {
    {"tpm", NULL, N_("it has a TPM, whose secrets must not be had twice")},
    {"hostdev", NULL, N_("it has a device of the host for itself")},
    {"interface", "hostdev", N_("it has a network device of the host for itself")},
    {"disk", "vhostuser", N_("it has a disk that another process serves to it alone")},
    {"disk", "nvme", N_("it has a disk of the host for itself")},
};

static const char *
find_unique(xmlNode *node)
{
    g_autofree char *type = vimg_tree_attribute(node, "type");

    for (gsize i = 0; i < G_N_ELEMENTS(unique); i++)
        if (vimg_tree_is(node, unique[i].element) &&
            (!unique[i].type || g_strcmp0(type, unique[i].type) == 0))
            return unique[i].why;
    return NULL;
}

gboolean
vimg_domain_check(const char *xml, GError **error)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(xml, "domain", error);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNode *devices = vimg_tree_element(root, "devices");
    xmlNode *nvram = vimg_tree_element(vimg_tree_element(root, "os"), "nvram");
    g_autofree char *type = vimg_tree_attribute(nvram, "type");
    const char *why =
        type && strcmp(type, "file") != 0 ? N_("the variables of its firmware are no file") : NULL;

    if (!doc)
        return FALSE;
    for (xmlNode *node = devices ? devices->children : NULL; node && !why; node = node->next)
        why = find_unique(node);
    return !why || vimg_throw(error, VIMG_ERROR_OPERATION_UNSUPPORTED,
                              _("the machine cannot be cloned: %s"), _(why));
}

static xmlNode *
nvram_of(xmlNode *root)
{
    return vimg_tree_element(vimg_tree_element(root, "os"), "nvram");
}

char *
vimg_domain_nvram(const char *xml)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(xml, "domain", NULL);
    xmlNode *nvram = doc ? nvram_of(xmlDocGetRootElement(doc)) : NULL;
    g_autofree char *file = vimg_tree_attribute(vimg_tree_element(nvram, "source"), "file");
    char *path = file ? g_steal_pointer(&file) : vimg_tree_text(nvram);

    if (path && g_path_is_absolute(g_strstrip(path)))
        return path;
    g_free(path);
    return NULL;
}

/* ---- identity --------------------------------------------------------------------------- */

static void
set_text(xmlNode *root, const char *name, const char *text)
{
    xmlNode *node = vimg_tree_element(root, name);

    if (node)
        xmlNodeSetContent(node, NULL);
    else
        node = xmlNewChild(root, NULL, (const xmlChar *)name, NULL);
    xmlNodeAddContent(node, (const xmlChar *)text);
}

/* SMBIOS tells the guest a uuid, which libvirt wants to be the machine's, and a serial number. */
static void
forget_smbios(xmlNode *root)
{
    xmlNode *system = vimg_tree_element(vimg_tree_element(root, "sysinfo"), "system");

    for (xmlNode *node = system ? system->children : NULL, *next; node; node = next) {
        g_autofree char *name = vimg_tree_attribute(node, "name");

        next = node->next;
        if (g_strcmp0(name, "uuid") == 0 || g_strcmp0(name, "serial") == 0)
            vimg_tree_drop(node);
    }
}

static void
identify(xmlNode *root, const VimgDomainChange *change)
{
    xmlNode *genid = vimg_tree_element(root, "genid");
    xmlNode *nvram = nvram_of(root);

    xmlUnsetProp(root, (const xmlChar *)"id");
    set_text(root, "name", change->name);
    set_text(root, "uuid", change->uuid);
    if (genid)
        xmlNodeSetContent(genid, NULL); /* libvirt makes another */
    forget_smbios(root);
    if (!nvram || !change->nvram)
        return;
    if (vimg_tree_element(nvram, "source")) {
        vimg_tree_set(vimg_tree_element(nvram, "source"), "file", change->nvram);
    } else {
        xmlNodeSetContent(nvram, NULL);
        xmlNodeAddContent(nvram, (const xmlChar *)change->nvram);
    }
}

/* ---- devices ---------------------------------------------------------------------------- */

/* Where the pool is, and the key for it. */
static void
copy_way(xmlNode *from, xmlNode *to)
{
    xmlNode *auth = vimg_tree_element(from, "auth");

    for (xmlNode *host = from ? from->children : NULL; host; host = host->next)
        if (vimg_tree_is(host, "host"))
            xmlAddChild(to, xmlDocCopyNode(host, to->doc, 1));
    if (auth) {
        xmlNode *copy = xmlAddChild(to, xmlDocCopyNode(auth, to->doc, 1));
        g_autofree char *type = vimg_tree_attribute(copy, "type");

        xmlUnsetProp(copy, (const xmlChar *)"type");
        if (type && vimg_tree_element(copy, "secret"))
            vimg_tree_set(vimg_tree_element(copy, "secret"), "type", type);
    }
}

static void
set_network(xmlNode *node, xmlNode *source, const VimgDomainDisk *disk)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(disk->pool, "pool", NULL);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    g_autofree char *type = vimg_tree_attribute(root, "type");

    vimg_tree_set(node, "type", "network");
    vimg_tree_set(source, "protocol", type ? type : "");
    vimg_tree_set(source, "name", disk->path);
    copy_way(vimg_tree_element(root, "source"), source);
    if (vimg_tree_element(node, "driver"))
        vimg_tree_set(vimg_tree_element(node, "driver"), "type", "raw");
}

static void
set_source(xmlNode *node, const VimgDomainDisk *disk)
{
    xmlNode *source;

    vimg_tree_drop(vimg_tree_element(node, "source"));
    vimg_tree_drop(vimg_tree_element(node, "backingStore"));
    vimg_tree_drop(vimg_tree_element(node, "mirror"));
    vimg_tree_drop(vimg_tree_element(node, "auth"));
    vimg_tree_set(node, "type", disk->block ? "block" : "file");
    source = xmlNewChild(node, NULL, (const xmlChar *)"source", NULL);
    if (disk->pool) {
        set_network(node, source, disk);
        return;
    }
    vimg_tree_set(source, disk->block ? "dev" : "file", disk->path);
}

static void
change_disk(xmlNode *node, const VimgDomainChange *change)
{
    g_autofree char *device = vimg_tree_attribute(node, "device");
    g_autofree char *target = vimg_tree_attribute(vimg_tree_element(node, "target"), "dev");

    for (guint i = 0; i < change->disks->len; i++) {
        const VimgDomainDisk *disk = &g_array_index(change->disks, VimgDomainDisk, i);

        if (g_strcmp0(disk->target, target) == 0) {
            set_source(node, disk);
            return;
        }
    }
    /* what nobody writes to, or is meant to be shared, both may have */
    if ((device && strcmp(device, "disk") != 0) || vimg_tree_element(node, "readonly") ||
        vimg_tree_element(node, "shareable"))
        return;
    vimg_tree_drop(node);
}

static void
change_interface(xmlNode *node)
{
    xmlNode *port = vimg_tree_element(node, "virtualport");
    xmlNode *parameters = vimg_tree_element(port, "parameters");

    vimg_tree_drop(vimg_tree_element(node, "mac"));
    vimg_tree_drop(vimg_tree_element(node, "target"));
    if (parameters)
        xmlUnsetProp(parameters, (const xmlChar *)"interfaceid");
}

/* Both may listen where a port is chosen for them. */
static void
change_graphics(xmlNode *node)
{
    static const char *const stale[] = {"port", "tlsPort", "websocket", "socket"};

    for (gsize i = 0; i < G_N_ELEMENTS(stale); i++)
        xmlUnsetProp(node, (const xmlChar *)stale[i]);
    vimg_tree_set(node, "autoport", "yes");
    for (xmlNode *listen = node->children; listen; listen = listen->next)
        if (vimg_tree_is(listen, "listen"))
            xmlUnsetProp(listen, (const xmlChar *)"socket");
}

static void
change_vsock(xmlNode *node)
{
    xmlNode *cid = vimg_tree_element(node, "cid");

    if (!cid)
        return;
    xmlUnsetProp(cid, (const xmlChar *)"address");
    vimg_tree_set(cid, "auto", "yes");
}

/* Files and sockets of a character device, which the emulator writes to or makes. */
static void
change_path(xmlNode *node, const char *attribute, const VimgDomainChange *change)
{
    g_autofree char *path = vimg_tree_attribute(node, attribute);
    g_autofree char *other = path ? g_strdup_printf("%s.%s", path, change->name) : NULL;

    if (other && g_path_is_absolute(path) && !g_str_has_prefix(path, "/dev/"))
        vimg_tree_set(node, attribute, other);
}

static void
change_character(xmlNode *node, const VimgDomainChange *change)
{
    change_path(vimg_tree_element(node, "source"), "path", change);
    change_path(vimg_tree_element(node, "log"), "file", change);
}

static void
change_device(xmlNode *node, const VimgDomainChange *change)
{
    static const char *const characters[] = {"serial", "parallel", "console", "channel", NULL};

    if (vimg_tree_is(node, "disk"))
        change_disk(node, change);
    else if (vimg_tree_is(node, "interface"))
        change_interface(node);
    else if (vimg_tree_is(node, "graphics"))
        change_graphics(node);
    else if (vimg_tree_is(node, "vsock"))
        change_vsock(node);
    else if (node->type == XML_ELEMENT_NODE &&
             g_strv_contains(characters, (const char *)node->name))
        change_character(node, change);
}

char *
vimg_domain_change(const char *xml, const VimgDomainChange *change, GError **error)
{
    g_autoptr(xmlDoc) doc = vimg_tree_read(xml, "domain", error);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    xmlNode *devices = vimg_tree_element(root, "devices");

    if (!doc)
        return NULL;
    identify(root, change);
    for (xmlNode *node = devices ? devices->children : NULL, *next; node; node = next) {
        next = node->next;
        change_device(node, change);
    }
    return vimg_tree_write(doc);
}
