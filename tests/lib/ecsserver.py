#!/usr/bin/python3
# ecsserver.py: a control endpoint on loopback that speaks the public ECS API, and breaks when told
#
# Signatures are verified from the bytes of each request, by the vendor's documents.  As a program
# (--help) it takes commands from standard input, one a line, and answers each with a line.
#
# SPDX-License-Identifier: LGPL-2.1-or-later
import argparse
import base64
import calendar
import email.utils
import hashlib
import hmac
import json
import re
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote_plus

PATH = "/ocean/api/"
VERSION = "2014-05-26"
SKEW = 900


def encode(text):
    return quote(text, safe="-_.~")


class Refused(Exception):
    def __init__(self, status, code, message="no", headers=None):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


@dataclass
class Image:
    id: str
    name: str
    status: str = "Creating"
    usage: str = "none"
    tags: dict = field(default_factory=dict)
    source: tuple = None        # bucket and key


@dataclass
class Task:
    id: str
    action: str
    image: Image
    status: str = "Processing"
    percent: int = 0
    reason: tuple = None
    objects: list = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *unused):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.server.owner.now(), usegmt=True)

    def parse(self, text):
        pairs = [p.partition("=") for p in text.split("&") if p]
        return {unquote_plus(k): unquote_plus(v) for k, _, v in pairs}

    def serve(self):
        owner = self.server.owner
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        self.given = {k.lower(): v for k, v in self.headers.items()}
        try:
            if path != PATH:
                return self.raw(404, b"<html>nothing here</html>")
            self.all = self.parse(query)
            if self.body and "authorization" not in self.given:
                self.all.update(self.parse(self.body.decode()))
            self.action = self.given.get("x-acs-action") or self.all.get("Action")
            owner.count(self.action)
            self.lost = False
            if not self.go_wrong(owner.fault_for(self.action)):
                return None
            if "authorization" in self.given:
                self.check_acs3(path, query)
            else:
                self.check_rpc()
            self.note(path)
            return self.answer(200, owner.act(self.action, self.all))
        except Refused as refused:
            return self.answer(refused.status, {"Code": refused.code, "Message": refused.message,
                                                "HostId": "h"}, refused.headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        return None

    do_GET = do_POST = serve

    # ---- what goes wrong

    def go_wrong(self, fault):
        """False: it is answered already."""
        kind, argument = fault or (None, "")
        if kind == "status":
            status, _, code = argument.partition(":")
            raise Refused(int(status), code, "told to")
        if kind == "throttle":
            raise Refused(503, "Throttling.User", "told to", {"Retry-After": argument or "1"})
        if kind in ("garbage", "html"):
            self.raw(200, b'{"a": [' if kind == "garbage" else b"<html></html>")
            return False
        if kind == "huge":
            self.raw(200, b'{"a": "' + b"x" * (2 << 20) + b'"}')
            return False
        if kind == "drop":
            self.close_connection = True
            return False
        self.lost = kind == "lost"
        return True

    # ---- signatures

    def check_key(self, identity):
        if identity not in self.server.owner.keys:
            raise Refused(404, "InvalidAccessKeyId.NotFound")
        return self.server.owner.keys[identity]

    def note(self, path):
        """What somebody else may sign again."""
        seen, acs3 = self.server.owner.seen, "authorization" in self.given
        if seen is None:
            return
        identity = re.search("Credential=([^,]+)", self.given["authorization"])[1] if acs3 else \
            self.all["AccessKeyId"]
        seen.append({
            "scheme": "acs3" if acs3 else "rpc", "id": identity, "method": self.command,
            "given": self.given["authorization"] if acs3 else self.all["Signature"],
            "secret": self.server.owner.keys[identity], "path": path, "headers": self.given,
            "parameters": {k: v for k, v in self.all.items() if k != "Signature"}})

    def check_fresh(self, text, nonce):
        owner = self.server.owner
        at = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
        if abs(owner.now() - at) > SKEW:
            raise Refused(400, "InvalidTimeStamp.Expired")
        with owner.lock:
            if not nonce or nonce in owner.nonces:
                raise Refused(400, "SignatureNonceUsed")
            owner.nonces.add(nonce)

    def check_rpc(self):
        secret = self.check_key(self.all.get("AccessKeyId"))
        if (self.all.get("SignatureMethod"), self.all.get("SignatureVersion"),
                self.all.get("Format")) != ("HMAC-SHA1", "1.0", "JSON"):
            raise Refused(400, "IncompleteSignature")
        signed = "&".join(f"{encode(k)}={encode(v)}" for k, v in sorted(self.all.items())
                          if k != "Signature")
        text = f"{self.command}&%2F&{encode(signed)}"
        mac = hmac.new((secret + "&").encode(), text.encode(), "sha1").digest()
        if base64.b64encode(mac).decode() != self.all.get("Signature"):
            raise Refused(400, "SignatureDoesNotMatch")
        if self.all.get("Version") != VERSION:
            raise Refused(400, "InvalidVersion")
        self.check_fresh(self.all["Timestamp"], self.all.get("SignatureNonce"))

    def check_acs3(self, path, query):
        found = re.fullmatch(r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),"
                             r"Signature=([0-9a-f]+)", self.given.get("authorization", ""))
        if not found:
            raise Refused(400, "IncompleteSignature")
        secret = self.check_key(found[1])
        names = found[2].split(";")
        for name in self.given:
            if (name == "host" or name.startswith("x-acs-")) and name not in names:
                raise Refused(400, "IncompleteSignature", name)
        if self.given["x-acs-content-sha256"] != hashlib.sha256(self.body).hexdigest():
            raise Refused(400, "SignatureDoesNotMatch", "content")
        canonical = "\n".join((self.command, path,
                               "&".join(f"{encode(k)}={encode(v)}"
                                        for k, v in sorted(self.parse(query).items())),
                               "".join(f"{n}:{self.given[n].strip()}\n" for n in names),
                               ";".join(names), self.given["x-acs-content-sha256"]))
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        if hmac.new(secret.encode(), text.encode(), "sha256").hexdigest() != found[3]:
            raise Refused(400, "SignatureDoesNotMatch")
        if self.given.get("x-acs-version") != VERSION:
            raise Refused(400, "InvalidVersion")
        self.check_fresh(self.given["x-acs-date"], self.given.get("x-acs-signature-nonce"))

    # ---- answers

    def answer(self, status, document, headers=None):
        if self.lost:
            self.close_connection = True
            return
        document = dict(document, RequestId="R-" + uuid.uuid4().hex[:8])
        self.raw(status, json.dumps(document).encode(), headers)

    def raw(self, status, body, headers=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *unused):
        pass


class EcsServer:
    def __init__(self, keys=None, region="cn-hangzhou", port=0, oss=None):
        self.keys, self.region = keys or {"ak": "sk"}, region
        self.oss = oss          # an OssServer: what is imported must lie there
        self.images, self.tasks, self.tokens = {}, {}, {}
        self.counts, self.faults, self.nonces = {}, [], set()
        self.seen = None        # a list: calls whose signature was right
        self.skew = 0
        self.step = 100         # percent that a task moves on each time it is asked about
        self.fail_imports = False
        self.blind = False      # images are listed whichever are asked for
        self.lock = threading.RLock()
        self.http = Listener(("127.0.0.1", port), Handler)
        self.http.owner = self
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/ocean/api"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def now(self):
        return time.time() + self.skew

    def count(self, action):
        with self.lock:
            self.counts[action] = self.counts.get(action, 0) + 1

    def fault(self, action, kind, times=1, argument=""):
        with self.lock:
            self.faults.append([action, kind, times, argument])

    def fault_for(self, action):
        with self.lock:
            for fault in self.faults:
                if fault[0] in (action, "*") and fault[2] > 0:
                    fault[2] -= 1
                    return fault[1], fault[3]
        return None

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    # ---- actions

    def act(self, action, given):
        do = getattr(self, "do_" + re.sub(r"(?<!^)(?=[A-Z])", "_", action or "").lower(), None)
        if do is None:
            raise Refused(404, "InvalidAction.NotFound")
        if given.get("RegionId") != self.region:
            raise Refused(404, "InvalidRegionId.NotFound")
        with self.lock:
            return do(given)

    def new_task(self, action, image):
        task = Task("t-" + uuid.uuid4().hex[:16], action, image)
        self.tasks[task.id] = task
        return task

    def new_image(self, name):
        if any(i.name == name for i in self.images.values()):
            raise Refused(403, "InvalidImageName.Duplicated")
        image = Image("m-" + uuid.uuid4().hex[:16], name)
        self.images[image.id] = image
        return image

    def once(self, given, make):
        """The same answer for the same ClientToken."""
        token = given.get("ClientToken")
        if token not in self.tokens or not token:
            self.tokens[token] = make()
        return self.tokens[token]

    def do_import_image(self, given):
        def make():
            place = tuple(given.get("DiskDeviceMapping.1." + n) for n in ("OSSBucket", "OSSObject"))
            if self.oss and (place[0] != self.oss.bucket or place[1] not in self.oss.objects):
                raise Refused(404, "InvalidOSSObject.NotFound")
            image = self.new_image(given["ImageName"])
            image.source = place
            image.tags = {given[f"Tag.{n}.Key"]: given.get(f"Tag.{n}.Value", "")
                          for n in range(1, 21) if f"Tag.{n}.Key" in given}
            task = self.new_task("ImportImage", image)
            return {"ImageId": image.id, "TaskId": task.id, "RegionId": self.region}
        return self.once(given, make)

    def do_export_image(self, given):
        image = self.find(given)
        task = self.new_task("ExportImage", image)
        key = f"{given.get('OSSPrefix', '')}_{image.id}_system.{given.get('ImageFormat', 'raw')}"
        task.objects = [key]
        if self.oss and image.source:
            found = self.oss.objects.get(image.source[1])
            if found:
                self.oss.objects[key] = found
        return {"TaskId": task.id, "RegionId": self.region}

    def do_copy_image(self, given):
        def make():
            source = self.find(given)
            image = self.new_image(given["DestinationImageName"])
            image.status, image.source = "Available", source.source
            return {"ImageId": image.id}
        return self.once(given, make)

    def find(self, given):
        image = self.images.get(given.get("ImageId"))
        if image is None:
            raise Refused(404, "InvalidImageId.NotFound")
        return image

    def task_of(self, given):
        task = self.tasks.get(given.get("TaskId"))
        if task is None:
            raise Refused(400, "InvalidTaskId.NotFound")
        return task

    def end(self, task):
        failed = self.fail_imports and task.action == "ImportImage"
        task.status = "Failed" if failed else "Finished"
        if failed:
            task.reason = ("InvalidImageFormat", "the image cannot be read")
            self.images.pop(task.image.id, None)
        elif task.action == "ImportImage":
            task.image.status = "Available"

    def do_describe_task_attribute(self, given):
        task = self.task_of(given)
        if task.status == "Processing":
            task.percent = min(task.percent + self.step, 100)
            if task.percent == 100:
                self.end(task)
        progress = {"OperationStatus": task.status, "RelatedItemSet": {"RelatedItem": [
            {"Name": "OSSObject", "Value": o} for o in task.objects]}}
        if task.reason:
            progress["ErrorCode"], progress["ErrorMsg"] = task.reason
        return {"TaskId": task.id, "TaskAction": task.action, "TaskStatus": task.status,
                "TaskProcess": f"{task.percent}%",
                "SupportCancel": "true" if task.status == "Processing" else "false",
                "OperationProgressSet": {"OperationProgress": [progress]}}

    def do_cancel_task(self, given):
        task = self.task_of(given)
        if task.status != "Processing":
            raise Refused(403, "InvalidTaskId.IncorrectTaskStatus")
        task.status = "Cancelled"
        if task.action == "ImportImage":
            self.images.pop(task.image.id, None)
        return {}

    def do_describe_images(self, given):
        states = given.get("Status", "Available").split(",")
        found = [i for i in self.images.values() if self.blind or i.status in states and
                 given.get("ImageId", i.id) == i.id and given.get("ImageName", i.name) == i.name]
        return {"TotalCount": len(found), "PageNumber": 1, "Images": {"Image": [
            {"ImageId": i.id, "ImageName": i.name, "Status": i.status, "Usage": i.usage,
             "Progress": "100%" if i.status == "Available" else "10%",
             "Tags": {"Tag": [{"TagKey": k, "TagValue": v} for k, v in i.tags.items()]}}
            for i in found[:int(given.get("PageSize", 10))]]}}

    def do_delete_image(self, given):
        image = self.images.get(given.get("ImageId"))
        if image and image.status == "Creating":
            raise Refused(403, "IncorrectImageStatus")
        self.images.pop(given.get("ImageId"), None)
        return {}

    # ---- as a program

    def command(self, words):
        name, *rest = words
        if name == "fault":
            self.fault(rest[0], rest[1], int(rest[2]) if len(rest) > 2 else 1,
                       rest[3] if len(rest) > 3 else "")
            return "ok"
        if name == "set":
            setattr(self, rest[0], json.loads(rest[1]))
            return "ok"
        if name == "count":
            return str(self.counts.get(rest[0], 0))
        if name == "number":
            return str(len(getattr(self, rest[0])))
        return "unknown"


def run(server):
    print(server.port, flush=True)
    for line in sys.stdin:
        if line.split():
            print(server.command(line.split()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="a control endpoint on loopback")
    parser.add_argument("--region", default="cn-hangzhou")
    parser.add_argument("--key", default="ak")
    parser.add_argument("--secret", default="sk")
    options = parser.parse_args()
    run(EcsServer({options.key: options.secret}, options.region))
