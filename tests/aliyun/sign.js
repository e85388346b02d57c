// sign.js MODULES: signs requests again, by the code that the vendor publishes
//
// Standard input: a request a line, as JSON, with the secret it was signed by.  Standard output: for
// each the Authorization header, or what is the Signature among the parameters.
//
// SPDX-License-Identifier: LGPL-2.1-or-later
'use strict';
const { createRequire } = require('module');
const load = createRequire(process.argv[2] + '/');
const oss = load('ali-oss/lib/common/signUtils');
const api = load('@alicloud/openapi-util').default;

// without a value is not with an empty one
const queryOf = (pairs) => Object.fromEntries(pairs);

const signers = {
  v4: (r) => oss.authorizationV4(r.id, r.secret, r.region, r.method,
    { headers: r.headers, queries: queryOf(r.pairs) }, r.bucket, r.key, r.additional),
  v4url: (r) => oss.getSignatureV4(r.secret, queryOf(r.pairs)['x-oss-date'].slice(0, 8), r.region,
    oss.getStringToSign(r.region, queryOf(r.pairs)['x-oss-date'], oss.getCanonicalRequest(r.method,
      { headers: {}, queries: queryOf(r.pairs) }, r.bucket, r.key, []))),
  v1: (r) => oss.authorization(r.id, r.secret, oss.buildCanonicalString(r.method,
    '/' + r.bucket + '/' + (r.key || ''), { headers: r.headers, parameters: queryOf(r.pairs) })),
  rpc: (r) => api.getRPCSignature(r.parameters, r.method, r.secret),
  acs3: (r) => api.getAuthorization(
    { method: r.method, pathname: r.path, query: r.parameters, headers: r.headers },
    'ACS3-HMAC-SHA256', r.headers['x-acs-content-sha256'], r.id, r.secret),
};

const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line);
for (const line of lines) {
  const request = JSON.parse(line);
  console.log(signers[request.scheme](request));
}
