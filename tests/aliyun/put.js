// put.js MODULES PORT FILE PARALLEL PARTSIZE: sends a file in parts, as the vendor's client does
//
// SPDX-License-Identifier: LGPL-2.1-or-later
'use strict';
const { createRequire } = require('module');
const [modules, port, file, parallel, partSize] = process.argv.slice(2);
require('dns').setDefaultResultOrder('ipv4first');
const OSS = createRequire(modules + '/')('ali-oss');

const client = new OSS({
  accessKeyId: 'ak', accessKeySecret: 'sk', bucket: 'images', region: 'oss-cn-hangzhou',
  endpoint: 'http://localhost:' + port, sldEnable: true, authorizationV4: true,
  timeout: 600000,
});
client.multipartUpload('vendor', file, { parallel: +parallel, partSize: +partSize })
  .catch((error) => { console.error(error.message); process.exitCode = 1; });
