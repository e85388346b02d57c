// oss.js MODULES PORT SECRET v4|v1: the vendor's client uses a bucket
//
// SPDX-License-Identifier: LGPL-2.1-or-later
'use strict';
const assert = require('assert');
const fs = require('fs');
const { createRequire } = require('module');
require('dns').setDefaultResultOrder('ipv4first');
const [modules, port, secret, signature, file] = process.argv.slice(2);
const OSS = createRequire(modules + '/')('ali-oss');

const client = (accessKeySecret) => new OSS({
  accessKeyId: 'ak', accessKeySecret, bucket: 'images', region: 'oss-cn-hangzhou',
  endpoint: 'http://localhost:' + port, sldEnable: true, authorizationV4: signature === 'v4',
});

async function main() {
  const oss = client(secret);
  const bytes = fs.readFileSync(file);
  const key = 'a b+c/ü~(1)';
  const headers = { 'x-oss-forbid-overwrite': 'true', 'x-oss-meta-virtimage': '1' };

  await oss.put(key, Buffer.from('hello world'), { headers });
  await assert.rejects(oss.put(key, Buffer.from('x'), { headers }), { code: 'FileAlreadyExists' });
  const head = await oss.head(key);
  assert.strictEqual(head.meta.virtimage, '1');
  assert.strictEqual(head.res.headers['x-oss-hash-crc64ecma'], '5981764153023615706');
  const part = await oss.get(key, { headers: { Range: 'bytes=1-3' } });
  assert.strictEqual(part.content.toString(), 'ell');
  await oss.multipartUpload('large', file, { partSize: 1 << 20, parallel: 3 });
  assert.ok((await oss.get('large')).content.equals(bytes));
  const list = await oss.listV2({ 'max-keys': 1 });
  assert.ok(list.isTruncated);
  const rest = await oss.listV2({ 'continuation-token': list.nextContinuationToken });
  assert.deepStrictEqual([...list.objects, ...rest.objects].map((o) => o.name), [key, 'large']);
  await oss.copy('copy', 'large');
  const upload = await oss.initMultipartUpload('never');
  assert.strictEqual((await oss.listUploads({})).uploads[0].uploadId, upload.uploadId);
  await oss.abortMultipartUpload('never', upload.uploadId);
  for (const name of [key, 'large', 'copy']) await oss.delete(name);
  await assert.rejects(oss.get('large'), { code: 'NoSuchKey' });
  await assert.rejects(client('wrong').head(key), { status: 403 });
}
main().then(() => console.log('ok'));
