#!/usr/bin/python3
# ossserver.py: an object storage on loopback, strict, that breaks down when told to
#
# It knows nothing of the client: signatures are verified from the bytes of each request, by the
# vendor's documents.  As a program (--help) it takes commands from standard input, one a line, and
# answers each with a line; it ends with its input.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import argparse
import base64
import calendar
import ctypes
import email.utils
import hashlib
import hmac
import re
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from told import Told

SKEW = 900
URL_MAX = 604800     # seconds for which a signature in a URL is taken
PART_MIN = 100 * 1024
MARK = "-"      # version of the mark that a removal makes
V1_SIGNED = set("acl append bucketInfo callback callback-var cloudboxes continuation-token delete "
                "location objectMeta partNumber position regionList response-cache-control "
                "response-content-disposition response-content-encoding "
                "response-content-language response-content-type response-expires restore "
                "security-token sequential stat symlink tagging uploadId uploads versionId "
                "versioning versions".split())

_lzma = ctypes.CDLL("liblzma.so.5")
_lzma.lzma_crc64.restype = ctypes.c_uint64
_lzma.lzma_crc64.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def crc64(data):
    return _lzma.lzma_crc64(bytes(data), len(data), 0)


def md5_hex(data):
    return hashlib.md5(data).hexdigest().upper()


def encode(text, safe=""):
    return quote(text, safe=safe + "-_.~")


class Refused(Exception):
    """An answer that is an error."""
    def __init__(self, status, code, message="no", **headers):
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers


@dataclass
class Object:
    data: bytes
    etag: str
    meta: dict
    version: str
    crc: int
    modified: float = field(default_factory=time.time)


@dataclass
class Upload:
    key: str
    meta: dict
    parts: dict = field(default_factory=dict)     # number: bytes
    initiated: float = field(default_factory=time.time)


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of an operation ("*": of any; "Put:records":
    where the second part of the key is that)."""
    op: str
    kind: str
    times: int = 1
    argument: str = ""
    skip: int = 0       # requests that go well before


class Verifier:
    """The three signatures, each from the text of the request alone."""
    def __init__(self, server, request):
        self.server, self.request = server, request
        self.headers = {}
        for name, value in request.headers.items():
            self.headers.setdefault(name.lower(), value.strip())

    def check(self):
        given = self.headers.get("authorization", "")
        if not given and "x-oss-signature" in self.request.query:
            self.v4url(self.request.query)
            self.note("v4url", self.request.query["x-oss-signature"])
            return
        for prefix, scheme in (("OSS4-HMAC-SHA256 ", self.v4), ("OSS ", self.v1),
                               ("AWS4-HMAC-SHA256 ", self.s3)):
            if given.startswith(prefix):
                if self.server.signature and scheme.__name__ != self.server.signature:
                    raise Refused(403, "InvalidArgument", "another signature is wanted")
                scheme(given[len(prefix):])
                self.note(scheme.__name__, given)
                return
        raise Refused(403, "AccessDenied", "no signature")

    def note(self, scheme, given):
        """What somebody else may sign again."""
        server, request = self.server, self.request
        if server.seen is None:
            return
        pairs = [p for p in request.pairs if p[0] != "x-oss-signature" and
                 (scheme != "v1" or p[0] in V1_SIGNED)]
        more = re.search(r"AdditionalHeaders=([^, ]+)", given)
        server.seen.append({
            "scheme": scheme, "given": given, "id": self.identity, "region": server.region,
            "secret": server.keys[self.identity], "method": request.command, "pairs": pairs,
            "bucket": request.bucket, "key": request.key or "", "headers": self.headers,
            "additional": more[1].split(";") if more else []})

    def check_time(self, at):
        if abs(self.server.now() - at) > SKEW:
            raise Refused(403, "RequestTimeTooSkewed", "the clocks differ")

    def secret(self, identity):
        if identity not in self.server.keys:
            raise Refused(403, "InvalidAccessKeyId", "no such key")
        return self.server.keys[identity].encode()

    def compare(self, expected, given, text):
        if not hmac.compare_digest(expected, given):
            self.server.wrong.append(text)
            raise Refused(403, "SignatureDoesNotMatch", "the signature is another one")

    def names_of(self, text):
        return dict(re.findall(r"(\w+)=([^, ]+)", text))

    def resource(self):
        key = self.request.key
        return f"/{self.request.bucket}/{key or ''}" if self.request.bucket else "/"

    def query_lines(self, bare):
        pairs = sorted((encode(k), None if v is None else encode(v))
                       for k, v in self.request.pairs if k != "x-oss-signature")
        return "&".join(k + (bare if v is None else "=" + v) for k, v in pairs)

    def scope_key(self, prefix, scope):
        key = (prefix + self.server.keys[self.identity]).encode()
        for part in scope:
            key = hmac.new(key, part.encode(), "sha256").digest()
        return key

    def dated(self, text):
        at = calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))
        self.check_time(at)
        return text

    def v4(self, text):
        given = self.names_of(text)
        self.identity, *scope = given["Credential"].split("/")
        self.secret(self.identity)
        date = self.dated(self.headers["x-oss-date"])
        if scope != [date[:8], self.server.region, "oss", "aliyun_v4_request"]:
            raise Refused(403, "InvalidArgument", "another scope")
        if self.headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
            raise Refused(400, "InvalidArgument", "x-oss-content-sha256")
        more = given.get("AdditionalHeaders", "").split(";")
        signed = sorted(n for n in self.headers if n in ("content-type", "content-md5") or
                        n.startswith("x-oss-") or n in more)
        lines = "".join(f"{n}:{self.headers[n]}\n" for n in signed)
        canonical = "\n".join((self.request.command, encode(self.resource(), "/"),
                               self.query_lines(""), lines, ";".join(n for n in more if n),
                               "UNSIGNED-PAYLOAD"))
        string = "\n".join(("OSS4-HMAC-SHA256", date, "/".join(scope),
                            hashlib.sha256(canonical.encode()).hexdigest()))
        key = self.scope_key("aliyun_v4", scope)
        self.compare(hmac.new(key, string.encode(), "sha256").hexdigest(), given["Signature"],
                     canonical)

    def v4url(self, given):
        """A signature that is in the query, as whoever has the URL sends it."""
        if self.server.signature not in (None, "v4") or \
                given.get("x-oss-signature-version") != "OSS4-HMAC-SHA256":
            raise Refused(403, "InvalidArgument", "another signature is wanted")
        self.identity, *scope = given["x-oss-credential"].split("/")
        self.secret(self.identity)
        date, expires = given["x-oss-date"], int(given["x-oss-expires"])
        if scope != [date[:8], self.server.region, "oss", "aliyun_v4_request"]:
            raise Refused(403, "InvalidArgument", "another scope")
        at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        if not 1 <= expires <= URL_MAX or at > self.server.now() + SKEW:
            raise Refused(403, "InvalidArgument", "for so long no URL is signed")
        if self.server.now() > at + expires:
            raise Refused(403, "AccessDenied", "Request has expired.")
        lines = "".join(f"{n}:{self.headers[n]}\n" for n in sorted(self.headers)
                        if n in ("content-type", "content-md5") or n.startswith("x-oss-"))
        canonical = "\n".join((self.request.command, encode(self.resource(), "/"),
                               self.query_lines(""), lines, "", "UNSIGNED-PAYLOAD"))
        string = "\n".join(("OSS4-HMAC-SHA256", date, "/".join(scope),
                            hashlib.sha256(canonical.encode()).hexdigest()))
        key = self.scope_key("aliyun_v4", scope)
        self.compare(hmac.new(key, string.encode(), "sha256").hexdigest(),
                     given["x-oss-signature"], canonical)

    def v1(self, text):
        self.identity, _, given = text.partition(":")
        date = self.headers.get("date") or self.headers["x-oss-date"]
        self.check_time(email.utils.mktime_tz(email.utils.parsedate_tz(date)))
        lines = "".join(f"{n}:{self.headers[n]}\n" for n in sorted(self.headers)
                        if n.startswith("x-oss-"))
        signed = sorted((k, v) for k, v in self.request.pairs
                        if k in V1_SIGNED or k.startswith("x-oss-"))
        query = "&".join(k if not v else f"{k}={v}" for k, v in signed)
        string = "\n".join((self.request.command, self.headers.get("content-md5", ""),
                            self.headers.get("content-type", ""), date, lines + self.resource()))
        string += "?" + query if query else ""
        mac = hmac.new(self.secret(self.identity), string.encode(), "sha1").digest()
        self.compare(base64.b64encode(mac).decode(), given, string)

    def s3(self, text):
        given = self.names_of(text)
        self.identity, *scope = given["Credential"].split("/")
        self.secret(self.identity)
        date = self.dated(self.headers["x-amz-date"])
        if scope != [date[:8], self.server.region, "s3", "aws4_request"]:
            raise Refused(403, "AuthorizationHeaderMalformed", "another scope")
        names = given["SignedHeaders"].split(";")
        for name in self.headers:
            if (name == "host" or name.startswith("x-amz-")) and name not in names:
                raise Refused(403, "AccessDenied", f"{name} is not signed")
        canonical = "\n".join((self.request.command, self.request.path.partition("?")[0],
                               self.query_lines("="),
                               "".join(f"{n}:{self.headers[n]}\n" for n in names),
                               ";".join(names), self.headers["x-amz-content-sha256"]))
        string = "\n".join(("AWS4-HMAC-SHA256", date, "/".join(scope),
                            hashlib.sha256(canonical.encode()).hexdigest()))
        key = self.scope_key("AWS4", scope)
        self.compare(hmac.new(key, string.encode(), "sha256").hexdigest(), given["Signature"],
                     canonical)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *unused):
        pass

    def date_time_string(self, timestamp=None):
        at = self.server.owner.now() if timestamp is None else timestamp
        return email.utils.formatdate(at, usegmt=True)

    # ---- what is asked for

    def take_apart(self):
        owner = self.server.owner
        if self.path.startswith("http://"):     # as a proxy is asked
            self.path = "/" + self.path.split("/", 3)[3]
            owner.proxied += 1
        path, _, query = self.path.partition("?")
        self.pairs = []
        for piece in query.split("&") if query else []:
            name, sign, value = piece.partition("=")
            self.pairs.append((unquote(name), unquote(value) if sign and value else None))
        self.query = dict(self.pairs)
        path = unquote(path)[1:]
        host = self.headers.get("Host", "").rpartition(":")[0]
        self.bucket = owner.bucket
        if host.startswith(owner.bucket + ".") or owner.cname:
            self.key = path or None
        else:
            if owner.virtual_only:
                raise Refused(403, "SecondLevelDomainForbidden",
                              "Please use virtual hosted style to access.")
            self.bucket, _, key = path.partition("/")
            self.key = key or None
        if self.bucket != owner.bucket:
            raise Refused(404, "NoSuchBucket", "no such bucket")
        self.prefix = "x-amz-" if owner.signature == "s3" else "x-oss-"

    def operation(self):
        q, m = self.query, self.command
        if self.key is None:
            for name, op in (("uploads", "ListUploads"), ("versions", "ListVersions"),
                             ("bucketInfo", "BucketInfo"),
                             ("stat", "BucketStat"), ("list-type", "List")):
                if m == "GET" and name in q:
                    return op
            return None
        copy = self.headers.get(self.prefix + "copy-source")
        return {("PUT", True): "PartCopy" if copy else "UploadPart", ("POST", True): "Complete",
                ("DELETE", True): "Abort", ("GET", True): "ListParts",
                ("PUT", False): "Copy" if copy else "Put", ("GET", False): "Get",
                ("HEAD", False): "Head", ("DELETE", False): "Delete",
                ("POST", False): "Initiate" if "uploads" in q else None,
                }.get((m, "uploadId" in q))

    def serve(self):
        owner = self.server.owner
        self.fault = None
        try:
            size = int(self.headers.get("Content-Length") or 0)
            self.body = self.rfile.read(size)
            if len(self.body) < size:
                self.close_connection = True
                return
            owner.clients.add(self.client_address[0])
            self.take_apart()
            op = self.operation()
            where = "%s:%s" % (op, ((self.key or "") + "/").split("/")[1])
            owner.count(op, where)
            self.fault = owner.fault_for(op, where)
            if self.fault and self.fault.kind in FAULTS_BEFORE:
                if FAULTS_BEFORE[self.fault.kind](self, self.fault):
                    return
            Verifier(owner, self).check()
            self.check_md5()
            if op is None:
                raise Refused(400, "InvalidArgument", "no such operation")
            getattr(self, "do_" + re.sub(r"(?<!^)(?=[A-Z])", "_", op).lower())()
        except Refused as refused:
            self.refuse(refused)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve

    def check_md5(self):
        given = self.headers.get("Content-MD5")
        if given and given != base64.b64encode(hashlib.md5(self.body).digest()).decode():
            raise Refused(400, "BadDigest", "Content-MD5 is another one")

    # ---- answers

    def refuse(self, refused):
        document = (f"<?xml version='1.0'?><Error><Code>{refused.code}</Code><Message>"
                    f"{escape(refused.message)}</Message><RequestId>R1</RequestId></Error>")
        headers = dict(refused.headers)
        if self.command == "HEAD":
            headers[self.prefix + "err"] = base64.b64encode(document.encode()).decode()
            document = ""
        self.answer(refused.status, document.encode(), {k.replace("_", "-"): v for k, v
                                                       in headers.items()})

    def answer(self, status, body=b"", headers=None, length=None):
        fault = self.fault
        if fault and fault.kind == "lost":
            self.close_connection = True
            return
        headers = dict(headers or {})
        announced = len(body) if length is None else length
        if fault and fault.kind in FAULTS_AFTER:
            body, announced = FAULTS_AFTER[fault.kind](self, headers, body, announced)
        self.send_response(status)
        self.send_header(self.prefix + "request-id", "R1")
        self.send_header("Content-Length", str(announced))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send_body(body)
            if len(body) != announced:
                self.close_connection = True
        self.wfile.flush()

    def send_body(self, body):
        rate = self.server.owner.rate
        if not rate:
            self.wfile.write(body)
            return
        for at in range(0, len(body), 65536):
            self.wfile.write(body[at:at + 65536])
            self.wfile.flush()
            time.sleep(65536 / rate)

    def xml(self, name, inner, headers=None):
        self.answer(200, f"<?xml version='1.0' encoding='UTF-8'?><{name}>{inner}</{name}>".encode(),
                    headers)

    def object_headers(self, found):
        headers = {"ETag": f'"{found.etag}"', "Last-Modified": self.date_time_string(
            found.modified)}
        if self.prefix == "x-oss-" and not self.server.owner.no_crc:
            headers["x-oss-hash-crc64ecma"] = str(found.crc)
        if self.server.owner.versions:
            headers[self.prefix + "version-id"] = found.version
        headers.update({self.prefix + "meta-" + k: v for k, v in found.meta.items()})
        return headers

    # ---- objects

    def find(self):
        found = self.server.owner.objects.get(self.key)
        if found is None:
            raise Refused(404, "NoSuchKey", "no such key")
        return found

    def metadata(self):
        prefix = self.prefix + "meta-"
        return {k.lower()[len(prefix):]: v for k, v in self.headers.items()
                if k.lower().startswith(prefix)}

    def check_overwrite(self):
        owner = self.server.owner
        if self.headers.get("x-oss-forbid-overwrite") == "true" and not owner.versions and \
                self.key in owner.objects:
            raise Refused(409, "FileAlreadyExists", "there is one")
        if self.headers.get("If-None-Match") == "*" and self.key in owner.objects:
            raise Refused(412, "PreconditionFailed", "there is one")

    def store(self, data, meta, etag=None):
        found = Object(bytes(data), etag or md5_hex(data), meta, uuid.uuid4().hex, crc64(data))
        owner = self.server.owner
        if owner.versions and self.key in owner.objects:
            owner.old.append((self.key, owner.objects[self.key]))
        owner.hidden.discard(self.key)
        owner.objects[self.key] = found
        return found

    def do_put(self):
        with self.server.owner.lock:
            self.check_overwrite()
            found = self.store(self.body, self.metadata())
        headers = self.object_headers(found)
        self.answer(200, b"", {k: v for k, v in headers.items() if "-meta-" not in k})

    def source(self):
        """The object that is to be copied; with the lock."""
        owner = self.server.owner
        source = unquote(self.headers[self.prefix + "copy-source"])
        if not source.startswith(f"/{owner.bucket}/"):
            raise Refused(400, "InvalidArgument", "another bucket")
        found = owner.objects.get(source[len(owner.bucket) + 2:])
        if found is None:
            raise Refused(404, "NoSuchKey", "no such key")
        only = self.headers.get(self.prefix + "copy-source-if-match")
        if only and only.strip('"') != found.etag:
            raise Refused(412, "PreconditionFailed", "another one")
        return found

    def do_copy(self):
        replace = self.headers.get(self.prefix + "metadata-directive") == "REPLACE"
        with self.server.owner.lock:
            self.check_overwrite()
            found = self.source()
            new = self.store(found.data, self.metadata() if replace else found.meta)
        self.xml("CopyObjectResult", f'<ETag>"{new.etag}"</ETag>')

    def do_head(self):
        version = self.query.get("versionId")
        owner = self.server.owner
        with owner.lock:
            found = next((o for k, o in [*owner.objects.items(), *owner.old]
                          if (k, o.version) == (self.key, version)), None) if version else None
        if version and not found:
            raise Refused(405 if version == MARK else 404, "NoSuchVersion", "no such version")
        found = found or self.find()
        self.answer(200, b"", self.object_headers(found), len(found.data))

    def do_get(self):
        found = self.find()
        only = self.headers.get("If-Match")
        if only and only.strip('"') != found.etag:
            raise Refused(412, "PreconditionFailed", "another one")
        headers = self.object_headers(found)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        size = len(found.data)
        if not asked or (self.fault and self.fault.kind == "whole"):
            return self.answer(200, found.data, headers)
        first, last = int(asked[1]), int(asked[2] or size - 1)
        standard = self.headers.get("x-oss-range-behavior") == "standard" or \
            self.prefix == "x-amz-"
        if first >= size or last >= size:
            if not standard:
                return self.answer(200, found.data, headers)
            if first >= size:
                raise Refused(416, "InvalidRange", "no such bytes")
            last = size - 1
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return self.answer(206, found.data[first:last + 1], headers)

    def do_delete(self):
        owner = self.server.owner
        with owner.lock:
            version = self.query.get("versionId")
            found = owner.objects.get(self.key)
            if found and version in (None, found.version):
                del owner.objects[self.key]
                if owner.versions and not version:      # a marker hides it
                    owner.old.append((self.key, found))
                    owner.hidden.add(self.key)
            if version == MARK:
                owner.hidden.discard(self.key)
            if version:
                owner.old = [(k, o) for k, o in owner.old if (k, o.version) != (self.key, version)]
                self.show_again()
        self.answer(204)

    def show_again(self):
        """What was put before is there again, once nothing is before it."""
        owner = self.server.owner
        former = [(k, o) for k, o in owner.old if k == self.key]
        if former and self.key not in owner.objects and self.key not in owner.hidden:
            owner.old.remove(former[-1])
            owner.objects[self.key] = former[-1][1]

    # ---- the bucket

    def page(self, names, start):
        most = min(int(self.query.get("max-keys") or self.query.get("max-uploads") or 100), 1000)
        most = min(most, self.server.owner.page or most)
        rest = [n for n in names if n > start]
        return rest[:most], len(rest) > most

    def key_text(self, key):
        return encode(key, "/") if self.query.get("encoding-type") == "url" else escape(key)

    def do_list(self):
        owner = self.server.owner
        prefix = self.query.get("prefix") or ""
        delimiter = self.query.get("delimiter")
        token = self.query.get("continuation-token")
        start = base64.b64decode(token).decode() if token else ""
        groups = {}
        with owner.lock:
            for key in owner.objects:
                if key.startswith(prefix):
                    cut = key.find(delimiter, len(prefix)) if delimiter else -1
                    groups[key if cut < 0 else key[:cut + 1]] = cut >= 0
            names, more = self.page(sorted(groups), start)
            text = "".join(f"<CommonPrefixes><Prefix>{self.key_text(n)}</Prefix></CommonPrefixes>"
                           if groups[n] else self.contents(n) for n in names)
        text += f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        if more:
            token = base64.b64encode(names[-1].encode()).decode()
            text += f"<NextContinuationToken>{token}</NextContinuationToken>"
        self.xml("ListBucketResult", text)

    def contents(self, key):
        found = self.server.owner.objects[key]
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(found.modified))
        return (f"<Contents><Key>{self.key_text(key)}</Key><Size>{len(found.data)}</Size>"
                f'<ETag>"{found.etag}"</ETag><LastModified>{at}</LastModified></Contents>')

    def do_list_versions(self):
        owner = self.server.owner
        start = (self.query.get("key-marker") or "", self.query.get("version-id-marker") or "~")
        with owner.lock:
            all_ = sorted([(k, MARK) for k in owner.hidden] + [
                (k, o.version) for k, o in [*owner.objects.items(), *owner.old]])
        names, more = self.page([n for n in all_
                                 if n[0].startswith(self.query.get("prefix") or "")], start)
        text = "".join("<{0}><Key>{1}</Key><VersionId>{2}</VersionId></{0}>".format(
            "DeleteMarker" if v == MARK else "Version", self.key_text(k), v) for k, v in names)
        text += f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        if more:
            text += (f"<NextKeyMarker>{self.key_text(names[-1][0])}</NextKeyMarker>"
                     f"<NextVersionIdMarker>{names[-1][1]}</NextVersionIdMarker>")
        self.xml("ListVersionsResult", text)

    def do_list_uploads(self):
        owner = self.server.owner
        prefix = self.query.get("prefix") or ""
        start = (self.query.get("key-marker") or "", self.query.get("upload-id-marker") or "~")
        with owner.lock:
            all_ = sorted((u.key, i) for i, u in owner.uploads.items() if u.key.startswith(prefix))
            names, more = self.page(all_, start)
            text = "".join(
                f"<Upload><Key>{self.key_text(k)}</Key><UploadId>{i}</UploadId><Initiated>"
                + time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(owner.uploads[i].initiated))
                + "</Initiated></Upload>" for k, i in names)
        text += f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        if more:
            text += (f"<NextKeyMarker>{self.key_text(names[-1][0])}</NextKeyMarker>"
                     f"<NextUploadIdMarker>{names[-1][1]}</NextUploadIdMarker>")
        self.xml("ListMultipartUploadsResult", text)

    def do_bucket_info(self):
        owner = self.server.owner
        versioning = "<Versioning>Enabled</Versioning>" if owner.versions else ""
        self.xml("BucketInfo", f"<Bucket><Name>{owner.bucket}</Name>{versioning}</Bucket>")

    def do_bucket_stat(self):
        owner = self.server.owner
        with owner.lock:
            used = sum(len(o.data) for o in owner.objects.values())
            self.xml("BucketStat", f"<Storage>{used}</Storage><ObjectCount>{len(owner.objects)}"
                     f"</ObjectCount><MultipartUploadCount>{len(owner.uploads)}"
                     "</MultipartUploadCount>")

    # ---- uploads in parts

    def upload(self):
        found = self.server.owner.uploads.get(self.query["uploadId"])
        if found is None or found.key != self.key:
            raise Refused(404, "NoSuchUpload", "no such upload")
        return found

    def do_initiate(self):
        owner = self.server.owner
        with owner.lock:
            self.check_overwrite()
            name = uuid.uuid4().hex.upper()
            owner.uploads[name] = Upload(self.key, self.metadata())
        self.xml("InitiateMultipartUploadResult", f"<Bucket>{owner.bucket}</Bucket><Key>"
                 f"{escape(self.key)}</Key><UploadId>{name}</UploadId>")

    def do_upload_part(self):
        owner = self.server.owner
        number = int(self.query["partNumber"])
        if not 1 <= number <= 10000:
            raise Refused(400, "InvalidArgument", "part number")
        if owner.signature == "s3" and "Content-MD5" not in self.headers:
            raise Refused(400, "InvalidRequest", "a bucket with a lock wants Content-MD5")
        with owner.lock:
            self.upload().parts[number] = self.body
            owner.in_flight_bytes += len(self.body)
        headers = {"ETag": f'"{md5_hex(self.body)}"'}
        if self.prefix == "x-oss-" and not owner.no_crc:
            headers["x-oss-hash-crc64ecma"] = str(crc64(self.body))
        self.answer(200, b"", headers)

    def do_part_copy(self):
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)",
                                   self.headers[self.prefix + "copy-source-range"]).groups()
        with self.server.owner.lock:
            data = self.source().data[int(first):int(last) + 1]
            self.upload().parts[int(self.query["partNumber"])] = data
        self.xml("CopyPartResult", f'<ETag>"{md5_hex(data)}"</ETag>')

    def do_list_parts(self):
        owner = self.server.owner
        with owner.lock:
            parts = self.upload().parts
            start = int(self.query.get("part-number-marker") or 0)
            rest = [n for n in sorted(parts) if n > start]
            most = min(int(self.query.get("max-parts") or 1000), owner.page or 1000)
            text = "".join(
                f"<Part><PartNumber>{n}</PartNumber><Size>{len(parts[n])}</Size>"
                f'<ETag>"{md5_hex(parts[n])}"</ETag>'
                + (f"<HashCrc64ecma>{crc64(parts[n])}</HashCrc64ecma>"
                   if self.prefix == "x-oss-" and not owner.no_crc else "")
                + "</Part>" for n in rest[:most])
            more = len(rest) > most
            if more:
                text += f"<NextPartNumberMarker>{rest[most - 1]}</NextPartNumberMarker>"
        self.xml("ListPartsResult", text + f"<IsTruncated>{str(more).lower()}</IsTruncated>")

    def do_complete(self):
        owner = self.server.owner
        listed = [(p.findtext("PartNumber"), p.findtext("ETag").strip('"'))
                  for p in ElementTree.fromstring(self.body)]
        numbers = [int(n) for n, _ in listed]
        with owner.lock:
            upload = self.upload()
            self.check_overwrite()
            if not listed or numbers != sorted(set(numbers)):
                raise Refused(400, "InvalidPartOrder", "parts")
            for at, (number, etag) in enumerate(zip(numbers, (e for _, e in listed))):
                part = upload.parts.get(number)
                if part is None or md5_hex(part) != etag.upper():
                    raise Refused(400, "InvalidPart", f"part {number}")
                if at < len(listed) - 1 and len(part) < PART_MIN:
                    raise Refused(400, "EntityTooSmall", f"part {number}")
            data = b"".join(upload.parts[n] for n in numbers)
            etag = md5_hex("".join(e for _, e in listed).encode()) + f"-{len(listed)}"
            found = self.store(data, upload.meta, etag)
            del owner.uploads[self.query["uploadId"]]
        headers = self.object_headers(found)
        self.xml("CompleteMultipartUploadResult", f'<ETag>"{found.etag}"</ETag>',
                 {k: v for k, v in headers.items() if k != "ETag" and "-meta-" not in k})

    def do_abort(self):
        with self.server.owner.lock:
            self.upload()
            del self.server.owner.uploads[self.query["uploadId"]]
        self.answer(204)


# ---- what goes wrong: before the request is served (True: it is answered)

def _status(handler, fault):
    status, _, code = (fault.argument or "500:InternalError").partition(":")
    raise Refused(int(status), code or "InternalError", "told to")


def _throttle(handler, fault):
    raise Refused(503, "SlowDown", "told to", **{"x_oss_qos_delay_time": fault.argument or "300"})


def _retry_after(handler, fault):
    raise Refused(503, "SlowDown", "told to", Retry_After=fault.argument or "1")


def _drop(handler, fault):
    handler.close_connection = True
    return True


def _stall(handler, fault):
    handler.server.owner.stop.wait(float(fault.argument or 60))
    handler.close_connection = True
    return True


def _garbage(handler, fault):
    handler.answer(200, b"<ListBucketResult><!-- ")
    return True


def _stranger(handler, fault):
    """Somebody between client and storage answers, as one who knows of no such storage."""
    body = b"<html><body>404 page not found</body></html>"
    handler.send_response(404)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    handler.wfile.flush()
    return True


FAULTS_BEFORE = {"status": _status, "throttle": _throttle, "retry-after": _retry_after,
                 "drop": _drop, "stall": _stall, "garbage": _garbage, "stranger": _stranger}


# ---- and with the answer; "lost" and "whole" are looked for where they matter

def _truncate(handler, headers, body, announced):
    return body[:len(body) // 2], announced


def _short(handler, headers, body, announced):
    return body[:len(body) // 2], len(body) // 2


def _long(handler, headers, body, announced):
    return body + b"x" * 1000, len(body) + 1000


def _crc(handler, headers, body, announced):
    if "x-oss-hash-crc64ecma" in headers:
        headers["x-oss-hash-crc64ecma"] = str(int(headers["x-oss-hash-crc64ecma"]) ^ 1)
    return body, announced


def _etag(handler, headers, body, announced):
    headers["ETag"] = '"' + "0" * 32 + '"'
    return body, announced


def _no_sum(handler, headers, body, announced):
    headers["ETag"] = '"1"'
    headers.pop("x-oss-hash-crc64ecma", None)
    return body, announced


def _no_etag(handler, headers, body, announced):
    body = re.sub(b"<ETag>.*</ETag>", b"<ETag></ETag>", body)
    return body, len(body)


def _flip(handler, headers, body, announced):
    return body[:-1] + bytes([body[-1] ^ 1]), announced


FAULTS_AFTER = {"truncate": _truncate, "short": _short, "long": _long, "crc": _crc,
                "etag": _etag, "no-sum": _no_sum, "no-etag": _no_etag, "flip": _flip}


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *unused):
        pass


class OssServer(Told):
    def __init__(self, bucket="images", keys=None, region="cn-hangzhou", signature=None,
                 cname=False, virtual_only=False, certificate=None, port=0):
        self.bucket, self.region, self.signature = bucket, region, signature
        self.keys = keys or {"ak": "sk"}
        self.cname, self.virtual_only = cname, virtual_only
        self.versions = self.no_crc = False
        self.page = 0           # entries of a page at most; 0: no limit of its own
        self.rate = 0           # bytes a second of an answer; 0: no limit
        self.skew = 0
        self.objects, self.uploads = {}, {}
        self.old, self.hidden = [], set()       # of a bucket that keeps versions
        self.counts, self.faults, self.wrong = {}, [], []
        self.seen = None        # a list: requests whose signature was right
        self.in_flight_bytes = self.proxied = 0
        self.clients = set()    # addresses
        self.lock, self.stop = threading.RLock(), threading.Event()
        self.http = Listener(("127.0.0.1", port), Handler)
        self.http.owner = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True,
                                                   do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def now(self):
        return time.time() + self.skew

    def count(self, *names):
        with self.lock:
            for name in names:
                self.counts[name] = self.counts.get(name, 0) + 1

    def fault(self, op, kind, times=1, argument="", skip=0):
        with self.lock:
            self.faults.append(Fault(op, kind, times, argument, skip))

    def fault_for(self, *names):
        with self.lock:
            for fault in self.faults:
                if fault.op not in (*names, "*"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def close(self):
        self.stop.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    # ---- as a program

    def command(self, words):
        name, *rest = words
        if name == "sha256":
            return hashlib.sha256(self.objects[rest[0]].data).hexdigest()
        if name == "meta":
            return self.objects[rest[0]].meta.get(rest[1], "-")
        if name == "spoil":
            found = self.objects[rest[0]]
            found.data, found.etag = found.data[:-1] + b"!", "SPOILED"
            return "ok"
        if name == "reset":
            with self.lock:
                self.faults.clear()
                self.counts.clear()
                self.objects.clear()
                self.uploads.clear()
                self.page = self.skew = self.rate = 0
                self.versions = self.no_crc = False
            return "ok"
        return super().command(words)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="an object storage on loopback")
    parser.add_argument("--bucket", default="images")
    parser.add_argument("--region", default="cn-hangzhou")
    parser.add_argument("--key", default="ak")
    parser.add_argument("--secret", default="sk")
    parser.add_argument("--signature", choices=("v4", "v1", "s3"))
    parser.add_argument("--cname", action="store_true")
    parser.add_argument("--virtual-only", action="store_true")
    parser.add_argument("--certificate", help="PEM of certificate and key: speak TLS")
    options = parser.parse_args()
    OssServer(options.bucket, {options.key: options.secret}, options.region, options.signature,
              options.cname, options.virtual_only, options.certificate).run()
