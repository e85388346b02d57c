/*
 * remote-table.c: libvirt's program, procedure by procedure
 *
 * FAST rows are answered by reserved workers: they ask memory only, or write a small file of ours.
 * Those are libvirt's own "priority" procedures but for two: defining and stopping a pool call its
 * backend here.  Stopping is not counted among the calls of its pool, because it is what a user
 * tries when those hang.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#include "config.h"

#include <libvirt/virterror.h>

#include "rpc/handlers.h"
#include "rpc/merge.h"
#include "wire/frame.h"

/* Takes no arguments or returns nothing. */
typedef char vimg_remote_none[0];

static bool_t
xdr_vimg_remote_none(XDR *xdr, vimg_remote_none *none)
{
    return TRUE;
}

#define FAST VIMG_PROC_MEMORY
#define LOOK (VIMG_PROC_MEMORY | VIMG_PROC_INLINE) /* asked of each volume, or by each client */
#define LIST (LOOK | VIMG_PROC_LIST)
#define WRITES VIMG_PROC_WRITES
#define POOL (VIMG_PROC_POOL_ARG | VIMG_PROC_POOL_UUID)
#define VOL VIMG_PROC_POOL_ARG
#define LONG VIMG_PROC_LONG
#define WIPED VIMG_PROC_SECRET
#define STREAM VIMG_PROC_STREAM
#define EARLY (VIMG_PROC_PRE_AUTH | VIMG_PROC_PRE_OPEN)
#define UNOPENED VIMG_PROC_PRE_OPEN
#define CLOSES VIMG_PROC_CLOSES
#define HOST VIMG_PROC_HOST /* what the host is, and what only a hypervisor has */

/* IN and OUT are types of remote.x, FROM is a virErrorDomain, both without their prefix. */
#define ROW(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM)                                            \
    FULL_ROW(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM, NULL, NULL)

/* A row of which some calls are the host's, as a function of their arguments says. */
#define ROUTED(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM, ROUTE)                                  \
    FULL_ROW(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM, vimg_route_##ROUTE, NULL)

/* A row of what both sides have, which is shared as a KIND of merge.h says. */
#define MERGED(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM, KIND)                                   \
    FULL_ROW(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM, NULL, &vimg_merge_##KIND)

#define FULL_ROW(NUMBER, API, IN, OUT, HANDLER, FLAGS, FROM, ROUTE, MERGE)                         \
    [VIMG_REMOTE_##NUMBER] = {.name = API,                                                         \
                              .args = (xdrproc_t)xdr_vimg_remote_##IN,                             \
                              .args_size = sizeof(vimg_remote_##IN),                               \
                              .ret = (xdrproc_t)xdr_vimg_remote_##OUT,                             \
                              .ret_size = sizeof(vimg_remote_##OUT),                               \
                              .handler = vimg_handle_##HANDLER,                                    \
                              .flags = FLAGS,                                                      \
                              .domain = VIR_FROM_##FROM,                                           \
                              .route = ROUTE,                                                      \
                              .merge = MERGE}

static const VimgProc procs[] = {
    ROW(CONNECT_OPEN, "virConnectOpen", open_args, none, open, LOOK | UNOPENED, NONE),
    ROW(CONNECT_CLOSE, "virConnectClose", none, none, nothing, LOOK | UNOPENED | CLOSES, NONE),
    ROW(CONNECT_GET_TYPE, "virConnectGetType", none, string, get_type, FAST | HOST, DOMAIN),
    ROW(CONNECT_GET_VERSION, "virConnectGetVersion", none, version, get_version, FAST | HOST,
        DOMAIN),
    ROW(CONNECT_GET_MAX_VCPUS, "virConnectGetMaxVcpus", max_vcpus_args, int, unsupported,
        FAST | HOST, DOMAIN),
    ROW(NODE_GET_INFO, "virNodeGetInfo", none, node_info, node_get_info, FAST | HOST, DOMAIN),
    ROW(CONNECT_GET_CAPABILITIES, "virConnectGetCapabilities", none, string, get_capabilities, HOST,
        DOMAIN),
    ROW(CONNECT_LIST_DEFINED_DOMAINS, "virConnectListDefinedDomains", max_args, names_ret,
        list_none, FAST | HOST, DOMAIN),
    ROW(CONNECT_NUM_OF_DEFINED_DOMAINS, "virConnectNumOfDefinedDomains", none, int, none,
        FAST | HOST, DOMAIN),
    ROW(CONNECT_LIST_DEFINED_NETWORKS, "virConnectListDefinedNetworks", max_args, names_ret,
        list_none, FAST | HOST, NETWORK),
    ROW(CONNECT_LIST_DOMAINS, "virConnectListDomains", max_args, ids_ret, list_none, FAST | HOST,
        DOMAIN),
    ROW(CONNECT_LIST_NETWORKS, "virConnectListNetworks", max_args, names_ret, list_none,
        FAST | HOST, NETWORK),
    ROW(CONNECT_NUM_OF_DEFINED_NETWORKS, "virConnectNumOfDefinedNetworks", none, int, none,
        FAST | HOST, NETWORK),
    ROW(CONNECT_NUM_OF_DOMAINS, "virConnectNumOfDomains", none, int, none, FAST | HOST, DOMAIN),
    ROW(CONNECT_NUM_OF_NETWORKS, "virConnectNumOfNetworks", none, int, none, FAST | HOST, NETWORK),
    ROW(CONNECT_GET_HOSTNAME, "virConnectGetHostname", none, string, get_hostname, FAST | HOST,
        DOMAIN),
    ROUTED(CONNECT_SUPPORTS_FEATURE, "virConnectSupportsFeature", int, int, supports_feature,
           LOOK | UNOPENED, RPC, feature),

    ROW(AUTH_LIST, "authList", none, auth_list_ret, auth_list, LOOK | EARLY, AUTH),
    ROW(AUTH_SASL_INIT, "authSaslInit", none, string, auth_other, FAST | EARLY, AUTH),
    ROW(AUTH_SASL_START, "authSaslStart", sasl_start_args, sasl_ret, auth_other, FAST | EARLY,
        AUTH),
    ROW(AUTH_SASL_STEP, "authSaslStep", sasl_step_args, sasl_ret, auth_other, FAST | EARLY, AUTH),
    ROW(AUTH_POLKIT, "authPolkit", none, int, auth_other, FAST | EARLY, AUTH),

    MERGED(CONNECT_NUM_OF_POOLS, "virConnectNumOfStoragePools", none, int, num_of_pools, LIST,
           STORAGE, count_active),
    MERGED(CONNECT_LIST_POOLS, "virConnectListStoragePools", max_args, names_ret, list_pools, LIST,
           STORAGE, name_active),
    MERGED(CONNECT_NUM_OF_DEFINED_POOLS, "virConnectNumOfDefinedStoragePools", none, int,
           num_of_defined_pools, LIST, STORAGE, count_inactive),
    MERGED(CONNECT_LIST_DEFINED_POOLS, "virConnectListDefinedStoragePools", max_args, names_ret,
           list_defined_pools, LIST, STORAGE, name_inactive),
    MERGED(CONNECT_FIND_POOL_SOURCES, "virConnectFindStoragePoolSources", find_sources_args, string,
           find_pool_sources, WRITES, STORAGE, sources),
    MERGED(POOL_CREATE_XML, "virStoragePoolCreateXML", xml_args, pool, pool_create_xml, WRITES,
           STORAGE, wish),
    MERGED(POOL_DEFINE_XML, "virStoragePoolDefineXML", xml_args, pool, pool_define_xml, WRITES,
           STORAGE, wish),
    MERGED(POOL_CREATE, "virStoragePoolCreate", pool_flags_args, none, pool_create, WRITES | POOL,
           STORAGE, pool),
    MERGED(POOL_BUILD, "virStoragePoolBuild", pool_flags_args, none, pool_build,
           WRITES | POOL | LONG, STORAGE, pool),
    MERGED(POOL_DESTROY, "virStoragePoolDestroy", pool, none, pool_destroy, WRITES, STORAGE, pool),
    MERGED(POOL_DELETE, "virStoragePoolDelete", pool_flags_args, none, pool_delete, WRITES | POOL,
           STORAGE, pool),
    MERGED(POOL_UNDEFINE, "virStoragePoolUndefine", pool, none, pool_undefine, FAST | WRITES | POOL,
           STORAGE, pool),
    MERGED(POOL_REFRESH, "virStoragePoolRefresh", pool_flags_args, none, pool_refresh,
           WRITES | POOL, STORAGE, pool),
    MERGED(POOL_LOOKUP_BY_NAME, "virStoragePoolLookupByName", string, pool, pool_lookup_by_name,
           FAST, STORAGE, find_pool),
    MERGED(POOL_LOOKUP_BY_UUID, "virStoragePoolLookupByUUID", uuid_args, pool, pool_lookup_by_uuid,
           FAST, STORAGE, find_pool),
    MERGED(POOL_LOOKUP_BY_VOLUME, "virStoragePoolLookupByVolume", vol, pool, pool_lookup_by_volume,
           FAST | VOL, STORAGE, vol),
    MERGED(POOL_GET_INFO, "virStoragePoolGetInfo", pool, pool_info, pool_get_info, FAST | POOL,
           STORAGE, pool),
    MERGED(POOL_GET_XML_DESC, "virStoragePoolGetXMLDesc", pool_flags_args, string,
           pool_get_xml_desc, FAST | POOL, STORAGE, pool),
    MERGED(POOL_GET_AUTOSTART, "virStoragePoolGetAutostart", pool, int, pool_get_autostart,
           FAST | POOL, STORAGE, pool),
    MERGED(POOL_SET_AUTOSTART, "virStoragePoolSetAutostart", pool_autostart_args, none,
           pool_set_autostart, FAST | WRITES | POOL, STORAGE, pool),
    MERGED(POOL_NUM_OF_VOLUMES, "virStoragePoolNumOfVolumes", pool, int, pool_num_of_volumes,
           FAST | POOL, STORAGE, pool),
    MERGED(POOL_LIST_VOLUMES, "virStoragePoolListVolumes", pool_max_args, names_ret,
           pool_list_volumes, FAST | POOL, STORAGE, pool),

    MERGED(VOL_CREATE_XML, "virStorageVolCreateXML", vol_create_args, vol, vol_create_xml,
           WRITES | POOL, STORAGE, pool),
    MERGED(VOL_DELETE, "virStorageVolDelete", vol_flags_args, none, vol_delete, WRITES | VOL,
           STORAGE, vol),
    MERGED(VOL_LOOKUP_BY_NAME, "virStorageVolLookupByName", pool_name_args, vol, vol_lookup_by_name,
           FAST | POOL, STORAGE, pool),
    MERGED(VOL_LOOKUP_BY_KEY, "virStorageVolLookupByKey", string, vol, vol_lookup_by_key, FAST,
           STORAGE, find_vol),
    MERGED(VOL_LOOKUP_BY_PATH, "virStorageVolLookupByPath", string, vol, vol_lookup_by_path, FAST,
           STORAGE, find_vol),
    MERGED(VOL_GET_INFO, "virStorageVolGetInfo", vol, vol_info, vol_get_info, LOOK | VOL, STORAGE,
           vol),
    MERGED(VOL_GET_XML_DESC, "virStorageVolGetXMLDesc", vol_flags_args, string, vol_get_xml_desc,
           FAST | VOL, STORAGE, vol),
    MERGED(VOL_GET_PATH, "virStorageVolGetPath", vol, string, vol_get_path, LOOK | VOL, STORAGE,
           vol),

    ROW(CONNECT_GET_URI, "virConnectGetURI", none, string, get_uri, LOOK, DOMAIN),
    ROW(NODE_NUM_OF_DEVICES, "virNodeNumOfDevices", devices_count_args, int, none, FAST | HOST,
        NODEDEV),
    ROW(NODE_LIST_DEVICES, "virNodeListDevices", devices_args, names_ret, list_no_devices,
        FAST | HOST, NODEDEV),
    MERGED(VOL_CREATE_XML_FROM, "virStorageVolCreateXMLFrom", vol_create_from_args, vol,
           vol_create_xml_from, WRITES | POOL, STORAGE, copy),
    ROW(CONNECT_NUM_OF_INTERFACES, "virConnectNumOfInterfaces", none, int, none, FAST | HOST,
        INTERFACE),
    ROW(CONNECT_LIST_INTERFACES, "virConnectListInterfaces", max_args, names_ret, list_none,
        FAST | HOST, INTERFACE),
    ROW(CONNECT_NUM_OF_DEFINED_INTERFACES, "virConnectNumOfDefinedInterfaces", none, int, none,
        FAST | HOST, INTERFACE),
    ROW(CONNECT_LIST_DEFINED_INTERFACES, "virConnectListDefinedInterfaces", max_args, names_ret,
        list_none, FAST | HOST, INTERFACE),

    MERGED(CONNECT_NUM_OF_SECRETS, "virConnectNumOfSecrets", none, int, num_of_secrets, LIST,
           SECRET, count_secrets),
    MERGED(CONNECT_LIST_SECRETS, "virConnectListSecrets", max_args, names_ret, list_secrets, LIST,
           SECRET, name_secrets),
    MERGED(SECRET_LOOKUP_BY_UUID, "virSecretLookupByUUID", uuid_args, secret, secret_lookup_by_uuid,
           FAST, SECRET, find_secret),
    MERGED(SECRET_DEFINE_XML, "virSecretDefineXML", xml_args, secret, secret_define_xml,
           FAST | WRITES, SECRET, secret_define),
    MERGED(SECRET_GET_XML_DESC, "virSecretGetXMLDesc", secret_flags_args, string,
           secret_get_xml_desc, FAST, SECRET, secret),
    MERGED(SECRET_SET_VALUE, "virSecretSetValue", secret_set_args, none, secret_set_value,
           FAST | WRITES | WIPED, SECRET, secret),
    MERGED(SECRET_GET_VALUE, "virSecretGetValue", secret_flags_args, secret_value_ret,
           secret_get_value, FAST | WRITES | WIPED, SECRET, secret),
    MERGED(SECRET_UNDEFINE, "virSecretUndefine", secret, none, secret_undefine, FAST | WRITES,
           SECRET, secret),
    MERGED(SECRET_LOOKUP_BY_USAGE, "virSecretLookupByUsage", secret_usage_args, secret,
           secret_lookup_by_usage, FAST, SECRET, find_secret),

    ROW(CONNECT_IS_SECURE, "virConnectIsSecure", none, int, is_secure, LOOK, DOMAIN),
    MERGED(POOL_IS_ACTIVE, "virStoragePoolIsActive", pool, int, pool_is_active, FAST | POOL,
           STORAGE, pool),
    MERGED(POOL_IS_PERSISTENT, "virStoragePoolIsPersistent", pool, int, pool_is_persistent,
           FAST | POOL, STORAGE, pool),
    ROW(CONNECT_GET_LIB_VERSION, "virConnectGetLibVersion", none, version, get_lib_version,
        FAST | HOST, DOMAIN),
    MERGED(VOL_WIPE, "virStorageVolWipe", vol_flags_args, none, vol_wipe, WRITES | VOL, STORAGE,
           vol),
    ROW(CONNECT_NUM_OF_NWFILTERS, "virConnectNumOfNWFilters", none, int, none, FAST | HOST,
        NWFILTER),
    ROW(CONNECT_LIST_NWFILTERS, "virConnectListNWFilters", max_args, names_ret, list_none,
        FAST | HOST, NWFILTER),
    ROW(CONNECT_GET_SYSINFO, "virConnectGetSysinfo", flags_args, string, unsupported, FAST | HOST,
        DOMAIN),
    MERGED(VOL_UPLOAD, "virStorageVolUpload", vol_stream_args, none, vol_upload,
           WRITES | VOL | STREAM, STORAGE, vol),
    MERGED(VOL_DOWNLOAD, "virStorageVolDownload", vol_stream_args, none, vol_download,
           WRITES | VOL | STREAM, STORAGE, vol),
    MERGED(VOL_WIPE_PATTERN, "virStorageVolWipePattern", vol_wipe_args, none, vol_wipe_pattern,
           WRITES | VOL, STORAGE, vol),
    MERGED(VOL_RESIZE, "virStorageVolResize", vol_resize_args, none, vol_resize, WRITES | VOL,
           STORAGE, vol),

    ROW(CONNECT_LIST_ALL_DOMAINS, "virConnectListAllDomains", list_args, empty_ret, none,
        FAST | HOST, DOMAIN),
    MERGED(CONNECT_LIST_ALL_POOLS, "virConnectListAllStoragePools", list_args, pools_ret,
           list_all_pools, LIST, STORAGE, pools),
    MERGED(POOL_LIST_ALL_VOLUMES, "virStoragePoolListAllVolumes", pool_list_args, vols_ret,
           pool_list_all_volumes, FAST | POOL, STORAGE, pool),
    ROW(CONNECT_LIST_ALL_NETWORKS, "virConnectListAllNetworks", list_args, empty_ret, none,
        FAST | HOST, NETWORK),
    ROW(CONNECT_LIST_ALL_INTERFACES, "virConnectListAllInterfaces", list_args, empty_ret, none,
        FAST | HOST, INTERFACE),
    ROW(CONNECT_LIST_ALL_NODE_DEVICES, "virConnectListAllNodeDevices", list_args, empty_ret, none,
        FAST | HOST, NODEDEV),
    ROW(CONNECT_LIST_ALL_NWFILTERS, "virConnectListAllNWFilters", list_args, empty_ret, none,
        FAST | HOST, NWFILTER),
    MERGED(CONNECT_LIST_ALL_SECRETS, "virConnectListAllSecrets", list_args, secrets_ret,
           list_all_secrets, LIST, SECRET, secrets),

    ROW(CONNECT_REGISTER_CLOSE_CALLBACK, "virConnectRegisterCloseCallback", none, none, hear_close,
        LOOK, RPC),
    ROW(CONNECT_UNREGISTER_CLOSE_CALLBACK, "virConnectUnregisterCloseCallback", none, none,
        unhear_close, LOOK, RPC),
    MERGED(POOL_EVENT_REGISTER_ANY, "virConnectStoragePoolEventRegisterAny", pool_register_args,
           int, pool_event_register, FAST, RPC, pool_register),
    MERGED(POOL_EVENT_DEREGISTER_ANY, "virConnectStoragePoolEventDeregisterAny", int, none,
           pool_event_deregister, FAST, RPC, pool_deregister),
    MERGED(VOL_GET_INFO_FLAGS, "virStorageVolGetInfoFlags", vol_flags_args, vol_info,
           vol_get_info_flags, LOOK | VOL, STORAGE, vol),
    MERGED(SECRET_EVENT_REGISTER_ANY, "virConnectSecretEventRegisterAny", secret_register_args, int,
           secret_event_register, FAST, RPC, secret_register),
    MERGED(SECRET_EVENT_DEREGISTER_ANY, "virConnectSecretEventDeregisterAny", int, none,
           secret_event_deregister, FAST, RPC, secret_deregister),
    MERGED(POOL_LOOKUP_BY_TARGET_PATH, "virStoragePoolLookupByTargetPath", string, pool,
           pool_lookup_by_target_path, FAST, STORAGE, find_pool),
    MERGED(CONNECT_GET_POOL_CAPABILITIES, "virConnectGetStoragePoolCapabilities", flags_args,
           string, pool_capabilities, 0, STORAGE, capabilities),
    ROW(CONNECT_SET_IDENTITY, "virConnectSetIdentity", identity_args, none, set_identity, FAST,
        RPC),
};

const VimgProgram vimg_remote_program = {
    .id = VIMG_PROGRAM_REMOTE,
    .version = 1,
    .procs = procs,
    .n_procs = G_N_ELEMENTS(procs),
};
