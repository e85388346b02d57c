// api.js MODULES URL SECRET: the vendor's client calls a control endpoint
//
// SPDX-License-Identifier: LGPL-2.1-or-later
'use strict';
const assert = require('assert');
const { createRequire } = require('module');
const [modules, endpoint, secret] = process.argv.slice(2);
const { RPCClient } = createRequire(modules + '/')('@alicloud/pop-core');

const client = (accessKeySecret) => new RPCClient({
  accessKeyId: 'ak', accessKeySecret, endpoint, apiVersion: '2014-05-26',
});
const RegionId = 'cn-hangzhou';

async function main() {
  for (const method of ['GET', 'POST']) {
    const call = (action, params) => client(secret).request(action, { RegionId, ...params },
      { method });
    const made = await call('ImportImage', {
      ImageName: 'peer-' + method,
      ClientToken: method,
      DiskDeviceMapping: [{ Format: 'RAW', OSSBucket: 'images', OSSObject: 'large' }],
      Tag: [{ Key: 'virtimage', Value: "it's (a) *" }],
    });
    const again = await call('ImportImage', {
      ImageName: 'peer-' + method, ClientToken: method });
    assert.strictEqual(again.TaskId, made.TaskId);
    const task = await call('DescribeTaskAttribute', { TaskId: made.TaskId });
    assert.strictEqual(task.TaskStatus, 'Finished');
    const found = await call('DescribeImages', { ImageId: made.ImageId });
    assert.strictEqual(found.Images.Image[0].Tags.Tag[0].TagValue, "it's (a) *");
    await call('DeleteImage', { ImageId: made.ImageId });
    assert.strictEqual((await call('DescribeImages', {})).TotalCount, 0);
  }
  await assert.rejects(client('wrong').request('DescribeImages', { RegionId }),
    { code: 'SignatureDoesNotMatch' });
  await assert.rejects(client(secret).request('NoSuchAction', { RegionId }),
    { code: 'InvalidAction.NotFound' });
}
main().then(() => console.log('ok'));
